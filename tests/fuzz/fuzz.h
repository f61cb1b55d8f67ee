/* fuzz.h - the harness of the fuzzers. A program has one function, FUZZ(source), that draws its decisions from bytes, runs the code under test
 * and calls FUZZ_FAIL for what must not be. The same bytes make the same decisions; when they run out every decision is 0.
 *
 *   fuzz_X                    the inputs of one fixed seed (a fifth of them under the sanitizers), as part of the tests; the clock decides
 *                             nothing
 *   fuzz_X SECONDS [SEED]     for so long, keeping and changing inputs that reached new code (make fuzz SECONDS=3600)
 *   fuzz_X --inputs N [SEED]  the same for so many inputs
 *   fuzz_X --replay FILE      one input again; a failure of the above leaves it in fuzz_X.failed
 *
 * The code under test is compiled with -fsanitize-coverage=trace-pc (gcc and clang): every block that it enters is counted here. That count is
 * also the measure of time where something must be linear. */
#ifndef FUZZ_H
#define FUZZ_H

#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mobilellm.h"

typedef struct {
    const uint8_t *data;
    size_t size, at;
} fuzz_source;

/* A decision among 0 .. n - 1. */
static inline uint32_t fuzz_below(fuzz_source *s, uint32_t n) {
    if (n < 2 || s->at >= s->size) return 0;
    uint32_t v = s->data[s->at++];
    if (n > 256 && s->at < s->size) v |= (uint32_t)s->data[s->at++] << 8;
    return v % n;
}

static inline bool fuzz_one_in(fuzz_source *s, uint32_t n) {
    return s->at < s->size && fuzz_below(s, n) == 0;
}

/* A text that grows; what does not fit is dropped. */
typedef struct {
    char data[1 << 14];
    size_t length;
} fuzz_text;

static inline void fuzz_put(fuzz_text *t, const char *bytes, size_t n) {
    if (n > sizeof t->data - 1 - t->length) return;
    memcpy(t->data + t->length, bytes, n);
    t->length += n;
    t->data[t->length] = 0;
}

MLLM_PRINTF(2, 3) static inline void fuzz_printf(fuzz_text *t, const char *format, ...) {
    char line[512];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (n > 0) fuzz_put(t, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/* For messages: control bytes and what is beyond ASCII as \xHH. */
static inline const char *fuzz_show(const char *bytes, size_t n) {
    static char out[4][4096];
    static int which;
    char *o = out[which = (which + 1) % 4];
    size_t k = 0;
    for (size_t i = 0; i < n && k + 8 < sizeof out[0]; i++) {
        unsigned char c = (unsigned char)bytes[i];
        k += (size_t)snprintf(o + k, 8, c >= 0x20 && c < 0x7F ? "%c" : "\\x%02X", c);
    }
    o[k] = 0;
    return o;
}

static void FUZZ(fuzz_source *s);

/* ------------------------------------------------------------- coverage and work */

enum { FUZZ_MAP = 1 << 16 };
static uint8_t fuzz_map[FUZZ_MAP]; /* how often a way from block to block was gone */
static uint64_t fuzz_work; /* blocks entered since the program began */
static uint32_t fuzz_before;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void) {
    uint32_t here = (uint32_t)((uintptr_t)__builtin_return_address(0) * 2654435761u >> 8) & (FUZZ_MAP - 1);
    uint8_t *seen = &fuzz_map[here ^ fuzz_before];
    if (*seen < 255) ++*seen;
    fuzz_before = here >> 1;
    fuzz_work++;
}

/* ------------------------------------------------------------------- failures */

static const uint8_t *fuzz_input; /* the one that runs */
static size_t fuzz_input_size;
static uint64_t fuzz_count;
static const char *fuzz_name = "fuzz";

static void fuzz_keep(void) {
    char path[512];
    snprintf(path, sizeof path, "%s.failed", fuzz_name);
    FILE *f = fopen(path, "wb");
    if (!f) return;
    fwrite(fuzz_input, 1, fuzz_input_size, f);
    fclose(f);
    fprintf(stderr, "input %llu is in %s: replay with %s --replay %s\n", (unsigned long long)fuzz_count, path,
            fuzz_name, path);
}

#define FUZZ_FAIL(...)                                                                                                 \
    do {                                                                                                               \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                                \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fputc('\n', stderr);                                                                                           \
        abort();                                                                                                       \
    } while (0)

/* A fault, an abort of a sanitizer, or an input that takes longer than two minutes, which is taken for a hang. */
static void fuzz_caught(int number) {
    fprintf(stderr, "%s: %s\n", fuzz_name, number == SIGALRM ? "an input takes more than two minutes" : "fault");
    fuzz_keep();
    printf("%s: 0 passed, 1 failed, 0 skipped\n", fuzz_name);
    fflush(stdout);
    _exit(1);
}

/* Sanitizers end by abort, so that the input is kept. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "abort_on_error=1:detect_stack_use_after_return=0";
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) {
    return "abort_on_error=1:print_stacktrace=1";
}

static uint64_t fuzz_state;
static uint64_t fuzz_random(void) { /* splitmix64 */
    uint64_t z = fuzz_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

enum { FUZZ_SIZE = 2048, FUZZ_POOL = 4096 };
typedef struct {
    uint8_t *data;
    size_t size;
} fuzz_kept;
static fuzz_kept fuzz_pool[FUZZ_POOL];
static size_t fuzz_pool_count;

static void fuzz_fresh(uint8_t *out, size_t *size) {
    *size = fuzz_random() % (fuzz_random() % 4 ? 200 : FUZZ_SIZE) + 1;
    for (size_t i = 0; i < *size; i++) out[i] = (uint8_t)(fuzz_random() >> 20);
}

static void fuzz_change(uint8_t *data, size_t *size) {
    for (uint64_t k = fuzz_random() % 6 + 1; k--;) {
        size_t at = fuzz_random() % *size, n = fuzz_random() % 12 + 1;
        switch (fuzz_random() % 6) {
        case 0: data[at] = (uint8_t)fuzz_random(); break;
        case 1: data[at] = (uint8_t)(data[at] + fuzz_random() % 7 - 3); break;
        case 2: /* take out */
            if (n >= *size - at) break;
            memmove(data + at, data + at + n, *size - at - n);
            *size -= n;
            break;
        case 3: /* put in, new or a copy of the neighbours */
            if (*size + n > FUZZ_SIZE) break;
            memmove(data + at + n, data + at, *size - at);
            *size += n;
            if (fuzz_random() % 2)
                for (size_t i = 0; i < n; i++) data[at + i] = (uint8_t)fuzz_random();
            break;
        case 4: *size = at + 1; break;
        default: { /* the end of another */
            const fuzz_kept *other = &fuzz_pool[fuzz_random() % fuzz_pool_count];
            size_t from = fuzz_random() % other->size, m = other->size - from;
            if (at + m > FUZZ_SIZE) break;
            memcpy(data + at, other->data + from, m);
            *size = at + m;
        }
        }
    }
}

static void fuzz_run(const uint8_t *data, size_t size) {
    fuzz_source s = {data, size, 0};
    fuzz_input = data;
    fuzz_input_size = size;
    fuzz_before = 0;
    alarm(120);
    FUZZ(&s);
    fuzz_count++;
}

/* True when the last run went a way that none went before, or one much more often. */
static bool fuzz_is_new(void) {
    static uint8_t known[FUZZ_MAP];
    bool found = false;
    for (size_t i = 0; i < FUZZ_MAP; i += 8) {
        uint64_t eight;
        memcpy(&eight, fuzz_map + i, 8);
        for (size_t k = i; eight && k < i + 8; k++) {
            uint8_t n = fuzz_map[k], bit = n == 0 ? 0 : n < 4 ? 1 : n < 32 ? 2 : n < 255 ? 4 : 8;
            if (bit & ~known[k]) {
                known[k] |= bit;
                found = true;
            }
        }
    }
    return found;
}

static int fuzz_main(int argc, char **argv, uint64_t count) {
    static uint8_t input[FUZZ_SIZE];
    static uint8_t stack[1 << 16];
    size_t size;
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = fuzz_caught, .sa_flags = SA_ONSTACK};
    fuzz_name = argv[0];
    sigaltstack(&other, NULL);
    int signals[] = {SIGABRT, SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (!MLLM_SANITIZED || i < 2) sigaction(signals[i], &action, NULL);
    if (argc == 3 && strcmp(argv[1], "--replay") == 0) {
        FILE *f = fopen(argv[2], "rb");
        size = f ? fread(input, 1, sizeof input, f) : 0;
        if (f) fclose(f);
        fuzz_run(input, size);
        printf("no failure\n");
        return 0;
    }
    if (argc < 2) {
        fuzz_state = 20261121;
        while (fuzz_count < count) {
            fuzz_fresh(input, &size);
            fuzz_run(input, size);
        }
        printf("%s: 1 passed, 0 failed, 0 skipped\n", fuzz_name);
        return 0;
    }
    int first = argc > 2 && strcmp(argv[1], "--inputs") == 0 ? 2 : 1;
    uint64_t inputs = first == 2 ? strtoull(argv[2], NULL, 10) : 0;
    time_t end = time(NULL) + atol(argv[1]);
    fuzz_state = argc > first + 1 ? strtoull(argv[first + 1], NULL, 10) : (uint64_t)time(NULL);
    printf("%s: seed %llu\n", fuzz_name, (unsigned long long)fuzz_state);
    fflush(stdout);
    while (inputs ? fuzz_count < inputs : fuzz_count % 16 || time(NULL) < end) {
        if (fuzz_pool_count == 0 || fuzz_random() % 4 == 0)
            fuzz_fresh(input, &size);
        else {
            const fuzz_kept *k = &fuzz_pool[fuzz_random() % fuzz_pool_count];
            memcpy(input, k->data, size = k->size);
            fuzz_change(input, &size);
        }
        memset(fuzz_map, 0, sizeof fuzz_map);
        fuzz_run(input, size);
        if (!fuzz_is_new()) continue;
        fuzz_kept *place = &fuzz_pool[fuzz_pool_count < FUZZ_POOL ? fuzz_pool_count++ : fuzz_random() % FUZZ_POOL];
        free(place->data);
        place->data = malloc(size);
        if (!place->data) return 1;
        memcpy(place->data, input, size);
        place->size = size;
    }
    printf("%s: %llu inputs, %zu of them kept for the new code they reached, no failure\n", fuzz_name,
           (unsigned long long)fuzz_count, fuzz_pool_count);
    for (size_t i = 0; i < fuzz_pool_count; i++) free(fuzz_pool[i].data);
    return 0;
}

#define FUZZ_MAIN(count)                                                                                               \
    int main(int argc, char **argv) {                                                                                  \
        return fuzz_main(argc, argv, MLLM_SANITIZED ? (count) / 5 : (count));                                          \
    }

#endif
