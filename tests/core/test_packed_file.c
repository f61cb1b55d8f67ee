/* Files whose matrices are stored as the kernels want them: the same logits to the bit, back again without loss, and no trust. */
#include <math.h>

#include "../core/format/checkpoint.h"
#include "../core/train/train.h"
#include "failing.h"
#include "tiny_model.h"

enum { CONTEXT = 200, LENGTH = 70 };
static const char *const kernels[] = {"reference", "blas", "avx2", "avxvnni", "avx512", "amx", "neon", "i8mm"};
static char plain[64], packed[64], back[64];

static void names(void) {
    snprintf(plain, sizeof plain, "/tmp/mllm_packed_%d_a.gguf", (int)getpid());
    snprintf(packed, sizeof packed, "/tmp/mllm_packed_%d_b.gguf", (int)getpid());
    snprintf(back, sizeof back, "/tmp/mllm_packed_%d_c.gguf", (int)getpid());
}

static void forget_files(void) {
    unlink(plain);
    unlink(packed);
    unlink(back);
}

static mllm_model *load(const char *path, const char *kernel, int threads) {
    mllm_error err = {0};
    mllm_load_options o = {.kernel = kernel, .threads = threads};
    mllm_model *m = mllm_model_load(path, &o, &err);
    if (!m && err.code != MLLM_E_UNSUPPORTED) CHECK(m, " %s: %s", path, err.message);
    return m;
}

/* Logits after a prompt and after one more token, [2][TINY_VOCABULARY]; a few chosen rows of the head behind them. */
static void run(mllm_model *m, float *out) {
    mllm_error err = {0};
    mllm_token tokens[LENGTH], chosen[3] = {0, 17, TINY_VOCABULARY - 1};
    for (int i = 0; i < LENGTH; i++) tokens[i] = (mllm_token)((i * 37 + i * i) % TINY_VOCABULARY);
    mllm_session *s = mllm_session_new(m, NULL, &err);
    CHECK(s && mllm_session_feed(s, tokens, LENGTH - 1, &err) == MLLM_OK, " %s", err.message);
    memcpy(out, mllm_session_logits(s, &err), TINY_VOCABULARY * sizeof *out);
    CHECK(mllm_session_feed(s, tokens + LENGTH - 1, 1, &err) == MLLM_OK);
    memcpy(out + TINY_VOCABULARY, mllm_session_logits(s, &err), TINY_VOCABULARY * sizeof *out);
    CHECK(mllm_session_logits_of(s, chosen, 3, out + 2 * TINY_VOCABULARY, &err) == MLLM_OK);
    mllm_session_release(s);
}

static bool same_file(const char *a, const char *b) {
    FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
    int x = 0, y = 0;
    while (f && g && x == y && x != EOF) x = fgetc(f), y = fgetc(g);
    if (f) fclose(f);
    if (g) fclose(g);
    return f && g && x == y;
}

static void same_logits_under_every_kernel(void) {
    static const struct {
        mllm_type type;
        const char *name, *kept;
    } types[] = {{MLLM_Q8_0, "q8_0", "P8"}, {MLLM_Q4_0, "q4_0", "P4"}};
    mllm_error err = {0};
    names();
    for (size_t t = 0; t < 2; t++) {
        CHECK(tiny_write(plain, types[t].type, CONTEXT, 21 + t, &err), " %s", err.message);
        CHECK(mllm_convert_packed(plain, packed, types[t].name, &err) == MLLM_OK, " %s", err.message);
        for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++)
            for (int threads = 1; threads <= 3; threads += 2) {
                mllm_model *a = load(plain, kernels[k], threads), *b = load(packed, kernels[k], threads);
                if (!a || !b) continue;
                float x[2 * TINY_VOCABULARY + 3], y[2 * TINY_VOCABULARY + 3];
                run(a, x);
                run(b, y);
                CHECK(memcmp(x, y, sizeof x) == 0, " %s %s, %d threads", kernels[k], types[t].name, threads);
                mllm_model_info i = mllm_model_get_info(b), j = mllm_model_get_info(a);
                CHECK(i.packed_bytes == 0 && strcmp(i.quantization, types[t].kept) == 0 &&
                          strcmp(i.kept_as, types[t].kept) == 0,
                      " %s: %s kept as %s, %llu bytes packed", kernels[k], i.quantization, i.kept_as,
                      (unsigned long long)i.packed_bytes);
                bool floats = strcmp(kernels[k], "reference") == 0 || strcmp(kernels[k], "blas") == 0;
                CHECK(strcmp(j.kept_as, floats ? j.quantization : types[t].kept) == 0, " %s: kept as %s", kernels[k],
                      j.kept_as);
                CHECK((j.packed_bytes != 0) == !floats);
                uint64_t tensors = 0, bytes = 0, parameters = 0;
                for (size_t n = 0; n < i.type_count; n++) {
                    tensors += i.types[n].tensors;
                    bytes += i.types[n].stored_bytes;
                    parameters += i.types[n].parameters;
                }
                CHECK(tensors == 9 * TINY_BLOCKS + 2 && bytes == i.weight_bytes && parameters == i.parameters);
                mllm_model_release(a);
                mllm_model_release(b);
            }
        /* Back again, and packed a second time: nothing is lost, not even in blocks that rounding would never write. */
        CHECK(mllm_convert(packed, back, types[t].name, &err) == MLLM_OK, " %s", err.message);
        mllm_model *a = load(plain, "reference", 1), *b = load(back, "reference", 1);
        float x[2 * TINY_VOCABULARY + 3], y[2 * TINY_VOCABULARY + 3];
        run(a, x);
        run(b, y);
        CHECK(memcmp(x, y, sizeof x) == 0, " %s after packing and unpacking", types[t].name);
        mllm_model_release(a);
        mllm_model_release(b);
        char again[80];
        snprintf(again, sizeof again, "%s.again", back);
        CHECK(mllm_convert_packed(back, again, types[t].name, &err) == MLLM_OK, " %s", err.message);
        CHECK(same_file(packed, again), " packing is not repeatable");
        unlink(again);
        forget_files();
    }
}

/* A session that was saved with one of the two files goes on with the other: they hold the same weights. */
static void sessions_fit_both(void) {
    static const mllm_type types[] = {MLLM_Q8_0, MLLM_Q4_0};
    mllm_error err = {0};
    char saved[80];
    names();
    snprintf(saved, sizeof saved, "%s.sess", plain);
    for (int t = 0; t < 2; t++)
        for (int way = 0; way < 2; way++) {
            CHECK(tiny_write(plain, types[t], CONTEXT, 40, &err), " %s", err.message);
            CHECK(mllm_convert_packed(plain, packed, t ? "q4_0" : "q8_0", &err) == MLLM_OK, " %s", err.message);
            mllm_model *a = load(way ? packed : plain, NULL, 1), *b = load(way ? plain : packed, NULL, 2);
            mllm_session *one = mllm_session_new(a, NULL, &err), *other = mllm_session_new(b, NULL, &err);
            const mllm_token tokens[] = {3, 1, 4, 1, 5, 9}, more = 2;
            CHECK(mllm_session_feed(one, tokens, 6, &err) == MLLM_OK);
            CHECK(mllm_session_save(one, saved, &err) == MLLM_OK, " %s", err.message);
            CHECK(mllm_session_restore(other, saved, &err) == MLLM_OK, " %s", err.message);
            CHECK(mllm_session_feed(one, &more, 1, &err) == MLLM_OK &&
                  mllm_session_feed(other, &more, 1, &err) == MLLM_OK);
            const float *x = mllm_session_logits(one, &err), *y = mllm_session_logits(other, &err);
            CHECK(memcmp(x, y, TINY_VOCABULARY * sizeof *x) == 0);
            mllm_session_release(one);
            mllm_session_release(other);
            mllm_model_release(a);
            mllm_model_release(b);
            unlink(plain); /* other weights of the same shape are refused, in the other file, too */
            CHECK(tiny_write(plain, types[t], CONTEXT, 41, &err), " %s", err.message);
            mllm_model *c = load(plain, NULL, 1);
            mllm_session *third = mllm_session_new(c, NULL, &err);
            CHECK(mllm_session_restore(third, saved, &err) == MLLM_E_UNSUPPORTED &&
                      strstr(err.message, "another model"),
                  " %s", err.message);
            mllm_session_release(third);
            mllm_model_release(c);
            unlink(saved);
            forget_files();
        }
}

/* Rows one by one: what a block holds that no rounding makes (scale 0, a single small weight, -128) goes through packing as it is. */
static bool odd_row(void *ctx, size_t tensor, size_t row, mllm_type type, void *out) {
    unsigned char *block = out;
    (void)ctx;
    (void)tensor;
    for (int b = 0; b < 2; b++, block += type == MLLM_Q8_0 ? 34 : 18) {
        block[0] = (unsigned char)(row * 7 + (size_t)b);
        block[1] = (unsigned char)(row % 60);
        for (int j = 0; j < (type == MLLM_Q8_0 ? 32 : 16); j++)
            block[2 + j] = (unsigned char)(row * 31 + (size_t)j * 17 + (size_t)b);
    }
    return true;
}

static bool no_row(void *ctx, size_t tensor, size_t row, float *out) {
    (void)ctx;
    (void)tensor;
    (void)row;
    (void)out;
    return false;
}

static void rows_come_back(void) {
    static const mllm_type types[] = {MLLM_P8, MLLM_P4};
    names();
    for (size_t rows = 1; rows < 40; rows += 6)
        for (int t = 0; t < 2; t++) {
            mllm_error err = {0};
            mllm_gguf_writer *w = mllm_gguf_create(packed, &err);
            mllm_gguf_put_packed(w);
            mllm_gguf_put_tensor(w, "a", types[t], rows, 64, false);
            mllm_gguf_put_tensor(w, "b", types[t], rows, 64, false);
            CHECK(mllm_gguf_finish(w, no_row, odd_row, NULL, &err) == MLLM_OK, " %s", err.message);
            mllm_gguf *g = mllm_gguf_open(packed, &err);
            CHECK(g, " %s", err.message);
            if (!g) continue;
            for (size_t i = 0; i < 2; i++) {
                const mllm_tensor *a = mllm_gguf_tensor(g, i, NULL);
                mllm_type base = mllm_type_unpacked(a->type);
                CHECK(a->rows == rows && mllm_tensor_bytes(a) == (rows + 15) / 16 * 16 * a->row_bytes);
                CHECK((uintptr_t)a->data % 64 == 0, " panels at %p", a->data);
                for (size_t r = 0; r < rows; r++) {
                    unsigned char want[68], got[68];
                    float x[64], y[64];
                    odd_row(NULL, 0, r, base, want);
                    mllm_tensor_unpack_row(a, r, got);
                    CHECK(memcmp(want, got, mllm_row_bytes(base, 64)) == 0, " row %zu of %zu", r, rows);
                    mllm_dequantize_row(base, want, x, 64);
                    mllm_tensor_row(a, r, y);
                    CHECK(memcmp(x, y, sizeof x) == 0, " row %zu of %zu in floats", r, rows);
                }
            }
            mllm_gguf_close(g);
        }
    forget_files();
}

static void other_types_on_the_way(void) {
    mllm_error err = {0};
    names();
    CHECK(tiny_write(plain, MLLM_F32, CONTEXT, 5, &err), " %s", err.message);
    /* Float weights are rounded, then packed: the same as in two steps. */
    CHECK(mllm_convert(plain, back, "q4_0", &err) == MLLM_OK &&
          mllm_convert_packed(back, packed, "q4_0", &err) == MLLM_OK);
    char direct[80];
    snprintf(direct, sizeof direct, "%s.direct", back);
    CHECK(mllm_convert_packed(plain, direct, "q4_0", &err) == MLLM_OK && same_file(packed, direct));
    /* A packed file is a source like any other. */
    CHECK(mllm_convert(packed, direct, "f32", &err) == MLLM_OK, " %s", err.message);
    mllm_model *a = load(direct, "reference", 1), *b = load(packed, "reference", 1);
    float x[2 * TINY_VOCABULARY + 3], y[2 * TINY_VOCABULARY + 3];
    run(a, x);
    run(b, y);
    CHECK(memcmp(x, y, sizeof x) == 0);
    mllm_model_release(a);
    mllm_model_release(b);
    unlink(direct);
    CHECK(mllm_convert_packed(plain, packed, "f16", &err) == MLLM_E_ARGUMENT && strstr(err.message, "f16"), " %s",
          err.message);
    forget_files();
}

/* Training goes on from a packed file as from the other. */
static void trainers_start_the_same(void) {
    mllm_error err = {0};
    char trained[2][80];
    names();
    CHECK(tiny_write(plain, MLLM_Q4_0, CONTEXT, 5, &err) &&
          mllm_convert_packed(plain, packed, "q4_0", &err) == MLLM_OK);
    for (int i = 0; i < 2; i++) {
        snprintf(trained[i], sizeof trained[i], "%s.%d", back, i);
        mllm_checkpoint *c = mllm_checkpoint_open(i ? packed : plain, false, &err);
        CHECK(c, " %s", err.message);
        mllm_train_options o = mllm_train_defaults();
        mllm_trainer *t = mllm_trainer_from(c, &o, &err);
        CHECK(t, " %s", err.message);
        CHECK(t && mllm_trainer_export(t, trained[i], MLLM_F32, NULL, NULL, NULL, NULL, &err) == MLLM_OK, " %s",
              err.message);
        mllm_trainer_free(t);
        mllm_checkpoint_close(c);
    }
    CHECK(same_file(trained[0], trained[1]), " weights differ");
    unlink(trained[0]);
    unlink(trained[1]);
    forget_files();
}

static unsigned char *slurp(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    unsigned char *bytes = malloc(*size);
    CHECK(fread(bytes, 1, *size, f) == *size);
    fclose(f);
    return bytes;
}

static void put(const char *path, const unsigned char *bytes, size_t size) {
    FILE *f = fopen(path, "wb");
    CHECK(fwrite(bytes, 1, size, f) == size);
    fclose(f);
}

static unsigned char *find(unsigned char *bytes, size_t size, const char *text) {
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= size; i++)
        if (memcmp(bytes + i, text, n) == 0) return bytes + i;
    return NULL;
}

/* Whatever a file says of itself, it is refused or it runs: never read outside of the map. */
static void damage(void) {
    mllm_error err = {0};
    names();
    CHECK(tiny_write(plain, MLLM_Q8_0, CONTEXT, 3, &err) && mllm_convert_packed(plain, packed, "q8_0", &err) == MLLM_OK,
          " %s", err.message);
    size_t size;
    unsigned char *bytes = slurp(packed, &size), *at;
    const struct {
        const char *text;
        size_t offset;
        unsigned char value;
        mllm_code code;
        const char *message;
    } edits[] = {{"p16x32", 1, '2', MLLM_E_UNSUPPORTED, "p26x32"},
                 {"mobilellm.packed", 3, 'x', MLLM_E_FORMAT, "mobilellm.packed"},
                 {"general.alignment", 17 + 4, 32, MLLM_E_FORMAT, "no multiple of 64"},
                 {"blk.0.attn_q.weight", 19 + 4 + 16, 0xEF, MLLM_E_UNSUPPORTED, "unknown type 1007"},
                 {"blk.0.attn_q.weight", 19 + 4 + 16 + 4, 32, MLLM_E_FORMAT, "alignment"}};
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        at = find(bytes, size, edits[i].text);
        CHECK(at, " %s", edits[i].text);
        if (!at) continue;
        unsigned char old = at[edits[i].offset];
        at[edits[i].offset] = edits[i].value;
        put(back, bytes, size);
        at[edits[i].offset] = old;
        err = (mllm_error){0};
        mllm_model *m = mllm_model_load(back, NULL, &err);
        CHECK(err.code == edits[i].code && strstr(err.message, edits[i].message), " %s: code %d, %s", edits[i].text,
              (int)err.code, err.message);
        mllm_model_release(m);
    }
    uint64_t state = 1;
    int loaded = 0;
    size_t header = (size_t)(find(bytes, size, "output_norm.weight") - bytes) + 64;
    for (int i = 0; i < 400; i++) {
        unsigned char old[4];
        size_t where[4], length = size;
        for (int k = 0; k < 4; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            where[k] = (size_t)(state >> 33) % (i % 2 ? header : size);
            old[k] = bytes[where[k]];
            bytes[where[k]] = k < i % 4 + 1 ? (unsigned char)(state >> 20) : old[k];
        }
        if (i % 5 == 0) length = (size_t)(state >> 30) % size;
        put(back, bytes, length);
        for (int k = 3; k >= 0; k--) bytes[where[k]] = old[k];
        mllm_load_options o = {.kernel = i % 3 ? NULL : "reference", .threads = 1};
        mllm_model *m = mllm_model_load(back, &o, &err);
        if (!m) {
            CHECK(err.message[0]);
            continue;
        }
        loaded++;
        mllm_session *s = mllm_session_new(m, NULL, &err);
        mllm_token tokens[3] = {1, 2, 299};
        if (s && mllm_model_get_info(m).vocabulary == TINY_VOCABULARY &&
            mllm_session_feed(s, tokens, 3, &err) == MLLM_OK)
            CHECK(mllm_session_logits(s, &err));
        mllm_session_release(s);
        mllm_model_release(m);
    }
    CHECK(loaded > 20 && loaded < 400, " %d of 400 loaded", loaded);
    free(bytes);
    forget_files();
}

static void without_memory(void) {
    mllm_error err = {0};
    names();
    CHECK(tiny_write(plain, MLLM_Q8_0, CONTEXT, 3, &err), " %s", err.message);
    bool done = false;
    for (long n = 0; n < 20000 && !done; n += n < 200 ? 1 : 13) {
        fail_from(n);
        mllm_set_allocator(failing, NULL);
        mllm_code code = mllm_convert_packed(plain, packed, "q8_0", &err);
        mllm_set_allocator(NULL, NULL);
        done = code == MLLM_OK;
        CHECK(done || code == MLLM_E_MEMORY, " after %ld allocations: %d %s", n, (int)code, err.message);
        CHECK(done || access(packed, F_OK) != 0, " half a file");
    }
    CHECK(done);
    forget_files();
}

static const test_case tests[] = {{"sessions fit both", sessions_fit_both},
                                  {"same logits under every kernel", same_logits_under_every_kernel},
                                  {"rows come back", rows_come_back},
                                  {"other types on the way", other_types_on_the_way},
                                  {"trainers start the same", trainers_start_the_same},
                                  {"damage", damage},
                                  {"without memory", without_memory}};
TEST_MAIN(tests)
