/* plugin.c - for qemu-user: counts the instructions that run in one function of the program, by kind. Argument: name=FUNCTION, a name
 * that begins so counts as well (the compiler's .constprop and .isra copies).
 *
 * The declarations are those of QEMU's plugin interface, version 1 (QEMU 7.2, docs/devel/tcg-plugins.rst, include/qemu/qemu-plugin.h);
 * Debian ships no header for it. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
    const char *target_name;
    struct {
        int min, cur;
    } version;
    bool system_emulation;
} qemu_info;
typedef void (*on_translate)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*on_end)(qemu_plugin_id_t id, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, on_translate f);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, on_end f, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *insn);
char *qemu_plugin_insn_disas(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *counter, uint64_t add);
void qemu_plugin_outs(const char *text);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info *info, int argc, char **argv);

enum { VECTOR, MEMORY, OTHER, KINDS };
static uint64_t counts[KINDS];
static const char *wanted = "";
static size_t wanted_length;

/* By the text of the disassembly: vector registers are written "v3.16b", "q3", "s3", "d3"; loads and stores begin with ld or st. */
static int kind_of(const char *text) {
    if (strncmp(text, ".byte", 5) == 0) return VECTOR; /* sdot, usmmla: newer than the disassembler */
    if (strncmp(text, "ld", 2) == 0 || strncmp(text, "st", 2) == 0 || strncmp(text, "prf", 3) == 0) return MEMORY;
    for (const char *p = text; (p = strpbrk(p, "vqsdh")) != NULL; p++)
        if (p > text && (p[-1] == ' ' || p[-1] == '{' || p[-1] == '\t') && p[1] >= '0' && p[1] <= '9') return VECTOR;
    return OTHER;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const char *symbol = qemu_plugin_insn_symbol(insn);
        if (!symbol || strncmp(symbol, wanted, wanted_length) != 0) continue;
        char *text = qemu_plugin_insn_disas(insn);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, 0 /* add */, &counts[kind_of(text)], 1);
        if (getenv("COUNT_SHOW")) fprintf(stderr, "%d %s\n", kind_of(text), text);
        free(text);
    }
}

static void report(qemu_plugin_id_t id, void *data) {
    (void)id;
    (void)data;
    char line[100];
    snprintf(line, sizeof line, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts[VECTOR], counts[MEMORY], counts[OTHER]);
    qemu_plugin_outs(line);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info *info, int argc,
                                                               char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "name=", 5) == 0) wanted = strdup(argv[i] + 5);
    wanted_length = strlen(wanted);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, report, NULL);
    return 0;
}
