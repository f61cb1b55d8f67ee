/* GGUF: what the writer wrote the reader reads, and nothing that is broken gets through or brings it down. */
#include "failing.h"
#include "test.h"

#include <sys/stat.h>

#include "format/gguf.h"

static char folder[64];
static const char *temporary(const char *name) {
    static char path[128];
    if (!*folder) {
        snprintf(folder, sizeof folder, "/tmp/mllm-gguf-XXXXXX");
        if (!mkdtemp(folder)) abort();
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool ramp(void *ctx, size_t tensor, size_t row, float *out) {
    size_t cols = *(const size_t *)ctx;
    for (size_t i = 0; i < cols; i++) out[i] = (float)tensor + (float)row / 8 + (float)i / 64;
    return true;
}

static const char *const pieces[] = {"a", "", "\xe2\x96\x81the"};
static const size_t lengths[] = {1, 0, 6};

static mllm_code write_sample(const char *path, mllm_error *err) {
    mllm_gguf_writer *w = mllm_gguf_create(path, err);
    if (!w) return err->code;
    static const float scores[] = {0, -1.5f, 3};
    static const int32_t kinds[] = {1, 2, 6};
    size_t cols = 64;
    mllm_gguf_put_string(w, "general.architecture", "llama", 5);
    mllm_gguf_put_u32(w, "llama.block_count", 3);
    mllm_gguf_put_f32(w, "llama.epsilon", 0.5f);
    mllm_gguf_put_bool(w, "flag", true);
    mllm_gguf_put_strings(w, "tokens", pieces, lengths, 3);
    mllm_gguf_put_numbers(w, "scores", MLLM_KV_F32, scores, 3);
    mllm_gguf_put_numbers(w, "kinds", MLLM_KV_I32, kinds, 3);
    mllm_gguf_put_tensor(w, "b.weight", MLLM_F32, 3, 64, false);
    mllm_gguf_put_tensor(w, "a.norm", MLLM_F32, 1, 64, true);
    mllm_gguf_put_tensor(w, "c.weight", MLLM_Q8_0, 5, 64, false);
    return mllm_gguf_finish(w, ramp, NULL, &cols, err);
}

static void round_trip(void) {
    mllm_error err = {0};
    const char *path = temporary("sample.gguf");
    CHECK(write_sample(path, &err) == MLLM_OK, "%s", err.message);
    mllm_gguf *g = mllm_gguf_open(path, &err);
    CHECK(g, "%s", err.message);
    if (!g) return;
    uint64_t n = 0;
    double d = 0;
    bool flag = false;
    const char *s = NULL;
    size_t length = 0;
    CHECK(mllm_gguf_kv_count(g) == 7 && strcmp(mllm_gguf_kv(g, 6)->key, "kinds") == 0 && !mllm_gguf_kv(g, 7));
    CHECK(mllm_gguf_u64(g, "llama.block_count", &n) && n == 3);
    CHECK(mllm_gguf_f64(g, "llama.block_count", &d) && d == 3);
    CHECK(mllm_gguf_f64(g, "llama.epsilon", &d) && d == 0.5 && !mllm_gguf_u64(g, "llama.epsilon", &n));
    CHECK(mllm_gguf_bool(g, "flag", &flag) && flag && !mllm_gguf_u64(g, "flag", &n));
    CHECK(mllm_gguf_string(g, "general.architecture", &s, &length) && length == 5 && memcmp(s, "llama", 5) == 0);
    CHECK(!mllm_gguf_string(g, "tokens", &s, &length) && !mllm_gguf_u64(g, "nothing", &n));
    const mllm_kv *tokens = mllm_gguf_find(g, "tokens"), *scores = mllm_gguf_find(g, "scores");
    const void *cursor = NULL;
    uint64_t index, seen = 0;
    while (mllm_kv_next_string(tokens, &cursor, &index, &s, &length)) {
        CHECK(index == seen && length == lengths[seen] && memcmp(s, pieces[seen], length) == 0);
        seen++;
    }
    CHECK(seen == 3);
    CHECK(scores->count == 3 && mllm_kv_number(scores, 1) == -1.5 && mllm_kv_number(scores, 3) == 0);
    CHECK(mllm_kv_number(mllm_gguf_find(g, "kinds"), 2) == 6);

    CHECK(mllm_gguf_tensor_count(g) == 3);
    const char *name = NULL;
    const mllm_tensor *t = mllm_gguf_tensor(g, 1, &name);
    CHECK(t && strcmp(name, "a.norm") == 0 && t->rows == 1 && t->cols == 64);
    CHECK(mllm_gguf_tensor_by_name(g, "a.norm") == t && !mllm_gguf_tensor_by_name(g, "a.nor"));
    t = mllm_gguf_tensor_by_name(g, "b.weight");
    CHECK(t->rows == 3 && t->row_bytes == 256 && ((const float *)t->data)[2 * 64 + 3] == 0 + 2.0f / 8 + 3.0f / 64);
    t = mllm_gguf_tensor_by_name(g, "c.weight");
    float row[64];
    CHECK(t->type == MLLM_Q8_0 && t->rows == 5 && t->row_bytes == 68);
    mllm_dequantize_row(t->type, (const char *)t->data + 4 * t->row_bytes, row, 64);
    CHECK(row[63] > 3.47f && row[63] < 3.5f, "%g", (double)row[63]);
    mllm_gguf_close(g);
    mllm_gguf_close(NULL);
}

static bool nothing(void *ctx, size_t tensor, size_t row, float *out) {
    (void)ctx, (void)tensor, (void)row, (void)out;
    return false;
}

static bool infinite(void *ctx, size_t tensor, size_t row, float *out) {
    (void)ctx, (void)tensor, (void)row;
    for (int i = 0; i < 32; i++) out[i] = i == 9 ? 1e38f * 10 : 1;
    return true;
}

static void writer_errors(void) {
    mllm_error err = {0};
    CHECK(!mllm_gguf_create("/nowhere/at/all.gguf", &err) && err.code == MLLM_E_IO && strstr(err.message, "/nowhere"));
    char path[128];
    snprintf(path, sizeof path, "%s", temporary("bad.gguf"));
    mllm_gguf_writer *w = mllm_gguf_create(path, &err);
    mllm_gguf_put_tensor(w, "odd", MLLM_Q8_0, 1, 31, false);
    mllm_gguf_put_tensor(w, "none", MLLM_F32, 0, 31, false);
    CHECK(mllm_gguf_finish(w, ramp, NULL, NULL, &err) == MLLM_E_ARGUMENT && strstr(err.message, "odd"), "%s",
          err.message);
    w = mllm_gguf_create(path, &err);
    mllm_gguf_put_tensor(w, "t", MLLM_Q8_0, 1, 32, false);
    CHECK(mllm_gguf_finish(w, nothing, NULL, NULL, &err) == MLLM_E_CANCELLED && strstr(err.message, "tensor t: row 0"),
          "%s", err.message);
    w = mllm_gguf_create(path, &err);
    mllm_gguf_put_tensor(w, "t", MLLM_Q8_0, 1, 32, false);
    CHECK(mllm_gguf_finish(w, infinite, NULL, NULL, &err) == MLLM_E_FORMAT && strstr(err.message, "finite"), "%s",
          err.message);
    mllm_gguf_abandon(mllm_gguf_create(path, &err));
    CHECK(access(path, F_OK) != 0, "an unfinished file is never seen");
    char command[256];
    snprintf(command, sizeof command, "ls %s | grep -q part", folder);
    CHECK(system(command) != 0, "and leaves nothing behind");
}

/* A GGUF file by hand. */
typedef struct {
    uint8_t bytes[4096];
    size_t n;
} blob;
static void u32(blob *b, uint32_t v) {
    memcpy(b->bytes + b->n, &v, 4), b->n += 4;
}
static void u64(blob *b, uint64_t v) {
    memcpy(b->bytes + b->n, &v, 8), b->n += 8;
}
static void text(blob *b, const char *s) {
    u64(b, strlen(s));
    memcpy(b->bytes + b->n, s, strlen(s)), b->n += strlen(s);
}
static void header(blob *b, uint32_t version, uint64_t tensors, uint64_t keys) {
    b->n = 4;
    memcpy(b->bytes, "GGUF", 4);
    u32(b, version), u64(b, tensors), u64(b, keys);
}
static void tensor(blob *b, const char *name, uint32_t type, uint64_t cols, uint64_t rows, uint64_t offset) {
    text(b, name), u32(b, 2), u64(b, cols), u64(b, rows), u32(b, type), u64(b, offset);
}
static void data(blob *b, size_t bytes) {
    while (b->n % 32) b->bytes[b->n++] = 0;
    memset(b->bytes + b->n, 0, bytes), b->n += bytes;
}
static void save(const char *path, const void *bytes, size_t n) {
    unlink(path); /* some file systems flush a file that is cut and written again */
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n) abort();
    fclose(f);
}
static void expect(const blob *b, mllm_code code, const char *one, const char *two) {
    mllm_error err = {0};
    const char *path = temporary("case.gguf");
    save(path, b->bytes, b->n);
    mllm_gguf *g = mllm_gguf_open(path, &err);
    CHECK(!g && err.code == code && strstr(err.message, "case.gguf") && strstr(err.message, one) &&
              strstr(err.message, two),
          "(%s, %s) %s: %s", one, two, mllm_code_name(err.code), err.message);
    mllm_gguf_close(g);
}

static void refused(void) {
    static blob b;
    mllm_error err;
    CHECK(!mllm_gguf_open("/nowhere.gguf", &err) && err.code == MLLM_E_IO);
    CHECK(!mllm_gguf_open("/tmp", &err) && err.code == MLLM_E_IO && strstr(err.message, "regular"), "%s", err.message);
    b.n = 0;
    expect(&b, MLLM_E_FORMAT, "truncated", "header");
    memcpy(b.bytes, "GGML", b.n = 4);
    expect(&b, MLLM_E_FORMAT, "not a GGUF", "");
    header(&b, 1, 0, 0);
    expect(&b, MLLM_E_UNSUPPORTED, "version 1", "");
    header(&b, 0x03000000, 0, 0);
    expect(&b, MLLM_E_UNSUPPORTED, "big-endian", "");
    header(&b, 3, 0, UINT64_MAX);
    expect(&b, MLLM_E_LIMIT, "keys", "");
    header(&b, 3, 0, 1000);
    expect(&b, MLLM_E_FORMAT, "keys", "truncated");
    header(&b, 3, UINT64_MAX, 0);
    expect(&b, MLLM_E_LIMIT, "tensors", "");
    header(&b, 3, 0, 1), u64(&b, UINT64_MAX), u64(&b, 0);
    expect(&b, MLLM_E_FORMAT, "a key", "18446744073709551615");
    header(&b, 3, 0, 1), text(&b, "k"), u32(&b, 13), u32(&b, 0);
    expect(&b, MLLM_E_FORMAT, "key k", "type 13");
    header(&b, 3, 0, 1), text(&b, "k"), u32(&b, 9), u32(&b, 4), u64(&b, UINT64_MAX);
    expect(&b, MLLM_E_FORMAT, "k at byte", "truncated");
    header(&b, 3, 0, 1), text(&b, "k"), u32(&b, 9), u32(&b, 8), u64(&b, UINT64_MAX), u64(&b, 1);
    expect(&b, MLLM_E_FORMAT, "k at byte", "truncated");
    header(&b, 3, 0, 1), text(&b, "k"), u32(&b, 9), u32(&b, 9), u64(&b, 1);
    expect(&b, MLLM_E_UNSUPPORTED, "key k", "array of arrays");
    header(&b, 3, 0, 1), text(&b, "k"), u32(&b, 8), u64(&b, 1000);
    expect(&b, MLLM_E_FORMAT, "k at byte", "1000");
    header(&b, 3, 0, 2), text(&b, "k"), u32(&b, 4), u32(&b, 1), text(&b, "k"), u32(&b, 4), u32(&b, 1);
    expect(&b, MLLM_E_FORMAT, "key k", "twice");
    header(&b, 3, 0, 1), text(&b, "general.alignment"), u32(&b, 4), u32(&b, 48);
    expect(&b, MLLM_E_FORMAT, "general.alignment", "power");
    header(&b, 3, 1, 0), text(&b, "t"), u32(&b, 5), data(&b, 64);
    expect(&b, MLLM_E_FORMAT, "tensor t", "5 dimensions");
    header(&b, 3, 1, 0), tensor(&b, "t", 0, 0, 1, 0), data(&b, 64);
    expect(&b, MLLM_E_FORMAT, "tensor t", "size 0 in dimension 0");
    header(&b, 3, 1, 0), tensor(&b, "t", 0, UINT64_C(1) << 40, UINT64_C(1) << 40, 0), data(&b, 64);
    expect(&b, MLLM_E_FORMAT, "tensor t", "dimension 1");
    header(&b, 3, 1, 0), tensor(&b, "t", 16, 256, 1, 0), data(&b, 64);
    expect(&b, MLLM_E_UNSUPPORTED, "tensor t", "type 16");
    header(&b, 3, 1, 0), tensor(&b, "t", 8, 33, 1, 0), data(&b, 64);
    expect(&b, MLLM_E_FORMAT, "tensor t", "33");
    header(&b, 3, 1, 0), tensor(&b, "t", 0, 16, 1, 8), data(&b, 128);
    expect(&b, MLLM_E_FORMAT, "tensor t", "alignment");
    header(&b, 3, 1, 0), tensor(&b, "t", 0, 16, 1, 64), data(&b, 96);
    expect(&b, MLLM_E_FORMAT, "tensor t", "past the end");
    header(&b, 3, 1, 0), tensor(&b, "t", 0, 16, 1, UINT64_MAX - 31), data(&b, 96);
    expect(&b, MLLM_E_FORMAT, "tensor t", "past the end");
    header(&b, 3, 2, 0), tensor(&b, "t", 0, 16, 1, 0), tensor(&b, "u", 0, 16, 1, 32), data(&b, 128);
    expect(&b, MLLM_E_FORMAT, "t and u", "overlap");
    header(&b, 3, 2, 0), tensor(&b, "t", 0, 8, 1, 0), tensor(&b, "t", 0, 8, 1, 32), data(&b, 128);
    expect(&b, MLLM_E_FORMAT, "tensor t", "twice");
    header(&b, 2, 1, 0), tensor(&b, "t", 0, 16, 1, 0), data(&b, 64);
    save(temporary("case.gguf"), b.bytes, b.n);
    mllm_gguf *g = mllm_gguf_open(temporary("case.gguf"), &err);
    CHECK(g && mllm_gguf_tensor_by_name(g, "t")->rows == 1, "%s", err.message);
    mllm_gguf_close(g);
}

/* Reads whatever can be reached; a sanitizer or a crash would tell. */
static void walk(const char *path) {
    mllm_error err = {0};
    mllm_gguf *g = mllm_gguf_open(path, &err);
    if (!g) {
        CHECK(err.code != MLLM_OK && strstr(err.message, path), "%s", err.message);
        return;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < mllm_gguf_kv_count(g); i++) {
        const mllm_kv *kv = mllm_gguf_kv(g, i);
        const void *cursor = NULL;
        uint64_t index;
        const char *s;
        size_t length;
        while (mllm_kv_next_string(kv, &cursor, &index, &s, &length)) sum += length ? (uint8_t)s[length - 1] : 0;
        if (kv->type != MLLM_KV_STRING && kv->count) sum += mllm_kv_number(kv, kv->count - 1) > 0;
        if (kv->type == MLLM_KV_STRING && kv->length) sum += ((const uint8_t *)kv->data)[kv->length - 1];
    }
    for (size_t i = 0; i < mllm_gguf_tensor_count(g); i++) {
        const mllm_tensor *t = mllm_gguf_tensor(g, i, NULL);
        sum += ((const uint8_t *)t->data)[t->rows * t->row_bytes - 1];
    }
    CHECK(sum < UINT64_MAX);
    mllm_gguf_close(g);
}

static uint8_t *load(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(*n);
    if (fread(bytes, 1, *n, f) != *n) abort();
    fclose(f);
    return bytes;
}

/* More rounds with MLLM_TEST_MUTATIONS. */
static int rounds(int usual) {
    const char *more = getenv("MLLM_TEST_MUTATIONS");
    return more ? atoi(more) : usual;
}

static void mutated(const char *source, size_t head, int count) {
    size_t n;
    uint8_t *bytes = load(source, &n);
    CHECK(bytes);
    if (!bytes) return;
    size_t whole = n;
    if (n > 65536) n = 65536; /* the data of a large file adds nothing but time: a hole stands for it */
    char path[128];
    snprintf(path, sizeof path, "%s", temporary("mutant.gguf"));
    uint64_t state = 12345;
    for (int i = 0; i < count; i++) {
        uint8_t *copy = malloc(n);
        memcpy(copy, bytes, n);
        state = state * 6364136223846793005u + 1442695040888963407u;
        int flips = 1 + (int)(state >> 61);
        for (int k = 0; k < flips; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            size_t at = (size_t)(state >> 33) % head;
            copy[at] = state >> 20 & 1 ? (uint8_t)(state >> 24) : (uint8_t)(copy[at] ^ 1 << (state >> 29 & 7));
        }
        save(path, copy, n);
        CHECK(truncate(path, (off_t)whole) == 0);
        walk(path);
        free(copy);
    }
    size_t step = head / (size_t)(count ? count : 1) + 1;
    for (size_t cut = 0; cut < head; cut += step) {
        save(path, bytes, cut);
        walk(path);
    }
    free(bytes);
}

static void mutations(void) {
    mllm_error err;
    char path[512];
    snprintf(path, sizeof path, "%s", temporary("sample.gguf"));
    CHECK(write_sample(path, &err) == MLLM_OK);
    mutated(path, 600, rounds(1500));
    const char *shared = test_shared();
    if (!shared) SKIP("mutations of a llama.cpp file: no shared data");
    snprintf(path, sizeof path, "%s/golden/mobilellm-q4_k_m.gguf", shared);
    mutated(path, 13300, rounds(1000));
}

static void files_of_llama_cpp(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("files written by llama.cpp: no shared data");
    char path[512];
    mllm_error err = {0};
    snprintf(path, sizeof path, "%s/golden/mobilellm-q6_k.gguf", shared);
    mllm_gguf *g = mllm_gguf_open(path, &err);
    CHECK(g, "%s", err.message);
    if (g) {
        const mllm_tensor *t = mllm_gguf_tensor_by_name(g, "blk.2.ffn_down.weight");
        CHECK(t && t->type == MLLM_Q6_K && t->rows == 256 && t->cols == 768);
        mllm_gguf_close(g);
    }
    snprintf(path, sizeof path, "%s/tokenizers/llama2/ggml-vocab-llama-spm.gguf", shared);
    g = mllm_gguf_open(path, &err);
    CHECK(g && mllm_gguf_tensor_count(g) == 0 && mllm_gguf_find(g, "tokenizer.ggml.tokens")->count == 32000);
    mllm_gguf_close(g);
}

static void out_of_memory(void) {
    char path[128];
    snprintf(path, sizeof path, "%s", temporary("memory.gguf"));
    int failures = 0, done = 0;
    mllm_set_allocator(failing, NULL);
    for (int n = 0; n < 400 && !done; n++) {
        mllm_error err = {0};
        fail_from(n);
        mllm_code code = write_sample(path, &err);
        mllm_gguf *g = code ? NULL : mllm_gguf_open(path, &err);
        done = g != NULL;
        if (!done) {
            failures++;
            CHECK(err.code == MLLM_E_MEMORY, "%d: %s", n, err.message);
        }
        mllm_gguf_close(g);
    }
    mllm_set_allocator(NULL, NULL);
    CHECK(done && failures > 10, "%d", failures);
}

static void cleanup(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK(!*folder || system(command) == 0);
}

static const test_case tests[] = {
    {"round_trip", round_trip}, {"writer_errors", writer_errors},           {"refused", refused},
    {"mutations", mutations},   {"files_of_llama_cpp", files_of_llama_cpp}, {"out_of_memory", out_of_memory},
    {"cleanup", cleanup}};
TEST_MAIN(tests)
