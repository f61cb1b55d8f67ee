/* Perplexity, importance, and 4-bit blocks with the best scale. */
#include <math.h>

#include "../core/format/checkpoint.h"
#include "../core/format/importance.h"
#include "failing.h"
#include "tiny_model.h"

enum { CONTEXT = 200, LENGTH = 150 };
static char path[64], out_path[64];
static mllm_token tokens[LENGTH];

static void make_file(mllm_type type, uint64_t seed) {
    mllm_error err = {0};
    snprintf(path, sizeof path, "/tmp/mllm_quantize_%d.gguf", (int)getpid());
    snprintf(out_path, sizeof out_path, "/tmp/mllm_quantize_%d_out.gguf", (int)getpid());
    CHECK(tiny_write(path, type, CONTEXT, seed, &err), " %s", err.message);
    for (int i = 0; i < LENGTH; i++) tokens[i] = (mllm_token)((i * 37 + i * i) % TINY_VOCABULARY);
}

static void forget_files(void) {
    unlink(path);
    unlink(out_path);
}

static mllm_session *open_session(const char *file, const char *kernel, int threads, int context) {
    mllm_error err = {0};
    mllm_load_options o = {.kernel = kernel, .threads = threads};
    mllm_session_options so = {.context = context};
    mllm_model *m = mllm_model_load(file, &o, &err);
    mllm_session *s = m ? mllm_session_new(m, &so, &err) : NULL;
    CHECK(s, " %s", err.message);
    mllm_model_release(m);
    return s;
}

static float random_float(uint64_t *state) { /* -1 .. 1 */
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(*state >> 33) / 1073741824.0 - 1.0);
}

/* ----------------------------------------------------------------- search */

static double error_of(const float *w, const float *h, const void *row, size_t cols) {
    float *back = malloc(cols * sizeof *back);
    double sum = 0;
    mllm_dequantize_row(MLLM_Q4_0, row, back, cols);
    for (size_t c = 0; c < cols; c++) {
        double e = (double)w[c] - (double)back[c];
        sum += (h ? (double)h[c] : 1) * e * e;
    }
    free(back);
    return sum;
}

/* Every scale of a fine grid, its best levels: nothing in it is better than what the search found. */
static double best_of_grid(const float *w, const float *h) {
    double best = INFINITY;
    for (int i = -1500; i <= 1500; i++) {
        double d = i / 1500.0 * 0.3, error = 0;
        for (int j = 0; j < 32; j++) {
            double q = d != 0 ? nearbyint((double)w[j] / d) : 0;
            q = q < -8 ? -8 : q > 7 ? 7 : q;
            double e = (double)w[j] - d * q;
            error += (h ? (double)h[j] : 1) * e * e;
        }
        best = error < best ? error : best;
    }
    return best;
}

static void search_finds_the_best(void) {
    uint64_t state = 5;
    double plain_sum = 0, search_sum = 0;
    for (int round = 0; round < 36; round++) {
        float w[32], h[32];
        unsigned char row[18], simple[18];
        for (int j = 0; j < 32; j++) {
            float a = random_float(&state), b = random_float(&state);
            w[j] = round % 3 == 0 ? a : a * b * b; /* flat, or with tails */
            h[j] = round % 2 ? (float)exp(4 * (double)random_float(&state)) : 1;
        }
        const float *weights = round % 2 ? h : NULL;
        CHECK(mllm_quantize_row_search(w, weights, row, 32));
        double found = error_of(w, weights, row, 32), grid = best_of_grid(w, weights);
        CHECK(found <= grid * 1.001, " round %d: %g, a grid finds %g", round, found, grid);
        CHECK(mllm_quantize_row(MLLM_Q4_0, w, simple, 32));
        plain_sum += error_of(w, weights, simple, 32);
        search_sum += found;
    }
    CHECK(search_sum < 0.97 * plain_sum, " %g by search, %g without", search_sum, plain_sum);
}

static void search_edges(void) {
    float w[64] = {0}, h[64], back[64];
    unsigned char row[36];
    CHECK(!mllm_quantize_row_search(w, NULL, row, 31), " no multiple of a block");
    CHECK(mllm_quantize_row_search(w, NULL, row, 64));
    mllm_dequantize_row(MLLM_Q4_0, row, back, 64);
    for (int j = 0; j < 64; j++) CHECK(back[j] == 0, " zeros stay zeros");
    w[40] = -3; /* alone: exact, on the side that has one more or not */
    CHECK(mllm_quantize_row_search(w, NULL, row, 64));
    mllm_dequantize_row(MLLM_Q4_0, row, back, 64);
    for (int j = 0; j < 64; j++) CHECK(back[j] == w[j], " %d: %g", j, (double)back[j]);
    /* What 4 bits can hold exactly is held exactly, with -8 on either side. */
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int j = 0; j < 64; j++) w[j] = (float)sign * 0.25f * (float)(j % 16 - 8);
        CHECK(mllm_quantize_row_search(w, NULL, row, 64) && error_of(w, NULL, row, 64) == 0, " sign %d", sign);
    }
    /* A column of weight 0 may come out as it likes, the others better for it. */
    for (int j = 0; j < 64; j++) w[j] = 0.25f * (float)(j % 16 - 8), h[j] = 1;
    w[5] = 1000, h[5] = 0;
    CHECK(mllm_quantize_row_search(w, h, row, 64) && error_of(w, h, row, 64) == 0);
    memset(h, 0, sizeof h);
    w[5] = 0.5f;
    CHECK(mllm_quantize_row_search(w, h, row, 64), " no weight at all is the same as none given");
    CHECK(error_of(w, NULL, row, 64) < 0.3);
    w[63] = INFINITY;
    CHECK(!mllm_quantize_row_search(w, NULL, row, 64));
    w[63] = NAN;
    CHECK(!mllm_quantize_row_search(w, NULL, row, 64));
    w[63] = 1e30f; /* no binary16 is large enough for the scale */
    CHECK(!mllm_quantize_row_search(w, NULL, row, 64));
    for (int j = 0; j < 64; j++) w[j] = 1e-30f * (float)j; /* nor small enough */
    CHECK(mllm_quantize_row_search(w, NULL, row, 64));
    mllm_dequantize_row(MLLM_Q4_0, row, back, 64);
    for (int j = 0; j < 64; j++) CHECK(fabsf(back[j]) < 1e-6f);
}

/* ------------------------------------------------------------- perplexity */

/* By the definition: for each token the window that counts it, one by one, and the softmax of the logits before it. */
static double by_definition(mllm_session *s, size_t count, mllm_token bos, size_t context, size_t *predicted) {
    size_t room = context - (bos >= 0), first = bos >= 0 ? 0 : 1, from = 0, before = 0;
    double sum = 0;
    *predicted = 0;
    for (size_t i = first; i < count; i++) {
        while (i >= from + room) from = count - (from + room / 2) < room ? count - room : from + room / 2;
        if (i == first || from != before) {
            mllm_session_rewind(s, 0, NULL);
            if (bos >= 0) mllm_session_feed(s, &bos, 1, NULL);
            mllm_session_feed(s, tokens + from, i - from, NULL);
        } else
            mllm_session_feed(s, tokens + i - 1, 1, NULL);
        before = from;
        const float *l = mllm_session_logits(s, NULL);
        double all = 0;
        for (int j = 0; j < TINY_VOCABULARY; j++) all += exp((double)l[j]);
        sum += (double)l[tokens[i]] - log(all);
        ++*predicted;
    }
    return sum;
}

static void perplexity(void) {
    static const struct {
        size_t count;
        mllm_token bos;
        int context;
        size_t windows;
    } cases[] = {{LENGTH, -1, CONTEXT, 1}, {LENGTH, 7, CONTEXT, 1}, {40, 7, 41, 1},      {40, 7, 40, 2},
                 {41, -1, 41, 1},          {LENGTH, 7, 33, 9},      {LENGTH, -1, 32, 9}, {1, 3, 50, 1},
                 {2, -1, 50, 1},           {9, -1, 2, 8},           {9, 1, 4, 7}};
    make_file(MLLM_Q8_0, 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_error err = {0};
        mllm_session *s = open_session(path, "reference", 1, cases[i].context);
        mllm_perplexity_result r;
        mllm_code code = mllm_perplexity(s, tokens, cases[i].count, cases[i].bos, &r, &err);
        CHECK(code == MLLM_OK, " case %zu: %s", i, err.message);
        size_t n, left;
        double sum = by_definition(s, cases[i].count, cases[i].bos, (size_t)cases[i].context, &n);
        CHECK(r.tokens == n && r.windows == cases[i].windows, " case %zu: %zu tokens, not %zu, in %zu windows", i,
              r.tokens, n, r.windows);
        CHECK(fabs(r.logprob - sum) < 1e-3, " case %zu: %g, by definition %g", i, r.logprob, sum);
        CHECK(fabs(r.perplexity - exp(-sum / (double)n)) < 1e-3 * r.perplexity);
        CHECK(mllm_perplexity(s, tokens, cases[i].count, cases[i].bos, &r, &err) == MLLM_OK);
        mllm_session_tokens(s, &left);
        CHECK(left == 0, " the session is left with %zu tokens", left);
        mllm_session_release(s);
    }
    mllm_error err = {0};
    mllm_perplexity_result r;
    mllm_session *s = open_session(path, NULL, 2, 50), *small = open_session(path, NULL, 1, 2);
    mllm_token wrong[3] = {1, TINY_VOCABULARY, 2};
    CHECK(mllm_perplexity(s, tokens, 0, 3, &r, &err) == MLLM_E_ARGUMENT && strstr(err.message, "0 tokens"));
    CHECK(mllm_perplexity(s, tokens, 1, -1, &r, &err) == MLLM_E_ARGUMENT);
    CHECK(mllm_perplexity(small, tokens, 9, 3, &r, &err) == MLLM_E_ARGUMENT && strstr(err.message, "too short"));
    CHECK(mllm_perplexity(s, wrong, 3, 3, &r, &err) == MLLM_E_TOKEN);
    mllm_session_release(s);
    mllm_session_release(small);
    forget_files();
}

/* ------------------------------------------------------------- importance */

static void importance(void) {
    make_file(MLLM_F32, 6);
    mllm_error err = {0};
    mllm_session *s = open_session(path, "reference", 1, CONTEXT);
    mllm_importance *m = mllm_importance_gather(s, tokens, LENGTH, -1, &err);
    CHECK(m, " %s", err.message);
    /* The input of block 0 is the normed embedding: computed here from the file. */
    mllm_checkpoint *c = mllm_checkpoint_open(path, false, &err);
    mllm_tensor e = mllm_checkpoint_tensor(c, MLLM_W_EMBEDDING, 0),
                n = mllm_checkpoint_tensor(c, MLLM_W_ATTENTION_NORM, 0);
    double mean[TINY_WIDTH] = {0};
    float norm[TINY_WIDTH], x[TINY_WIDTH];
    mllm_tensor_row(&n, 0, norm);
    for (int i = 0; i < LENGTH; i++) {
        double squares = 0;
        mllm_tensor_row(&e, (size_t)tokens[i], x);
        for (int j = 0; j < TINY_WIDTH; j++) squares += (double)x[j] * (double)x[j] / TINY_WIDTH;
        for (int j = 0; j < TINY_WIDTH; j++) {
            double v = (double)x[j] / sqrt(squares + 1e-5) * (double)norm[j];
            mean[j] += v * v / LENGTH;
        }
    }
    mllm_checkpoint_close(c);
    static const struct {
        mllm_role role;
        size_t cols;
    } roles[] = {{MLLM_W_Q, TINY_WIDTH},        {MLLM_W_K, TINY_WIDTH},
                 {MLLM_W_V, TINY_WIDTH},        {MLLM_W_O, TINY_HEADS * TINY_HEAD},
                 {MLLM_W_GATE, TINY_WIDTH},     {MLLM_W_UP, TINY_WIDTH},
                 {MLLM_W_DOWN, TINY_FFN},       {MLLM_W_HEAD, TINY_WIDTH},
                 {MLLM_W_EMBEDDING, TINY_WIDTH}};
    size_t cols = 0;
    const float *q = mllm_importance_of(m, MLLM_W_K, 0, &cols);
    CHECK(q && cols == TINY_WIDTH);
    for (int j = 0; q && j < TINY_WIDTH; j++)
        CHECK(fabs((double)q[j] - mean[j]) < 1e-4 * mean[j] + 1e-7, " column %d: %g, not %g", j, (double)q[j], mean[j]);
    /* Any kernel and any number of threads sees nearly, or exactly, the same. */
    mllm_session *t = open_session(path, "reference", 3, CONTEXT);
    mllm_importance *again = mllm_importance_gather(t, tokens, LENGTH, -1, &err);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        bool single = roles[i].role == MLLM_W_HEAD || roles[i].role == MLLM_W_EMBEDDING;
        for (uint32_t index = 0; index < (single ? 1 : TINY_BLOCKS); index++) {
            size_t more = 0;
            const float *a = mllm_importance_of(m, roles[i].role, index, &cols),
                        *b = mllm_importance_of(again, roles[i].role, index, &more);
            CHECK(a && b && cols == roles[i].cols && more == cols, " role %d of %u", (int)roles[i].role, index);
            CHECK(a && b && memcmp(a, b, cols * sizeof *a) == 0, " role %d of %u", (int)roles[i].role, index);
        }
    }
    CHECK(m->of[MLLM_W_Q].rows[1] == LENGTH && m->of[MLLM_W_HEAD].rows[0] == LENGTH - 1);
    /* Looking changes nothing. */
    mllm_perplexity_result r, looked;
    mllm_session *fresh = open_session(path, "reference", 1, CONTEXT);
    CHECK(mllm_perplexity(fresh, tokens, LENGTH, -1, &r, &err) == MLLM_OK);
    CHECK(mllm_perplexity(s, tokens, LENGTH, -1, &looked, &err) == MLLM_OK && r.logprob == looked.logprob);
    mllm_importance_free(m);
    mllm_importance_free(again);
    mllm_importance_free(NULL);
    CHECK(!mllm_importance_gather(s, tokens, 1, -1, &err) && err.code == MLLM_E_ARGUMENT);
    mllm_session_release(s);
    mllm_session_release(t);
    mllm_session_release(fresh);
    forget_files();
}

/* ------------------------------------------------------------------ files */

/* Mean squared error of what the head computes from, weighted by the importance: over all matrices of two files. */
static double weighted_error(const char *a, const char *b, const mllm_importance *m) {
    mllm_error err = {0};
    mllm_checkpoint *x = mllm_checkpoint_open(a, false, &err), *y = mllm_checkpoint_open(b, false, &err);
    CHECK(x && y, " %s", err.message);
    double sum = 0;
    for (int role = 0; role < MLLM_W_ROLES; role++)
        for (uint32_t i = 0; i < TINY_BLOCKS; i++) {
            mllm_tensor s = mllm_checkpoint_tensor(x, (mllm_role)role, i),
                        t = mllm_checkpoint_tensor(y, (mllm_role)role, i);
            size_t cols = 0;
            const float *h = s.data ? mllm_importance_of(m, (mllm_role)role, i, &cols) : NULL;
            if (!h || s.cols != cols) continue;
            for (size_t r = 0; r < s.rows; r++) {
                float v[TINY_FFN], w[TINY_FFN];
                mllm_tensor_row(&s, r, v);
                mllm_tensor_row(&t, r, w);
                for (size_t c = 0; c < cols; c++) sum += (double)h[c] * ((double)v[c] - w[c]) * ((double)v[c] - w[c]);
            }
        }
    mllm_checkpoint_close(x);
    mllm_checkpoint_close(y);
    return sum;
}

static void files(void) {
    make_file(MLLM_F32, 8);
    mllm_error err = {0};
    mllm_session *s = open_session(path, NULL, 2, 64);
    mllm_importance *m = mllm_importance_gather(s, tokens, LENGTH, -1, &err);
    CHECK(m, " %s", err.message);
    double errors[3];
    for (int i = 0; i < 3; i++) {
        mllm_quantize_options o = {.type = "q4_0", .search = i == 1, .importance = i == 2 ? m : NULL};
        CHECK(mllm_quantize(path, out_path, &o, &err) == MLLM_OK, " %s", err.message);
        errors[i] = weighted_error(path, out_path, m);
    }
    CHECK(errors[1] < errors[0] && errors[2] < 0.99 * errors[1], " plain %g, search %g, weighted %g", errors[0],
          errors[1], errors[2]);

    static const struct {
        const char *type, *embedding, *quantization;
        bool packed;
        size_t tensors;
        const char *kinds[3];
    } cases[] = {{"q4_0", "q8_0", "Q4_0", false, 3, {"Q8_0", "F32", "Q4_0"}},
                 {"q4_0", NULL, "Q4_0", false, 2, {"Q4_0", "F32", NULL}},
                 {"Q8_0", "q4_0", "Q8_0", false, 3, {"Q4_0", "F32", "Q8_0"}},
                 {"q4_0", "f16", "Q4_0", false, 3, {"F16", "F32", "Q4_0"}},
                 {"q4_0", "q8_0", "P4", true, 3, {"P8", "F32", "P4"}},
                 {NULL, NULL, "Q8_0", false, 2, {"Q8_0", "F32", NULL}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_quantize_options o = {.type = cases[i].type, .embedding = cases[i].embedding, .packed = cases[i].packed};
        CHECK(mllm_quantize(path, out_path, &o, &err) == MLLM_OK, " %s", err.message);
        mllm_session *q = open_session(out_path, NULL, 1, 64);
        mllm_model_info info = mllm_model_get_info(mllm_session_model(q));
        CHECK(strcmp(info.quantization, cases[i].quantization) == 0, " %s", info.quantization);
        CHECK(info.type_count == cases[i].tensors);
        for (size_t k = 0; k < info.type_count && k < 3; k++)
            CHECK(cases[i].kinds[k] && strcmp(info.types[k].stored, cases[i].kinds[k]) == 0, " case %zu: %s", i,
                  info.types[k].stored);
        mllm_perplexity_result r;
        CHECK(mllm_perplexity(q, tokens, LENGTH, -1, &r, &err) == MLLM_OK && r.perplexity > 1);
        mllm_session_release(q);
    }

    mllm_quantize_options none = {.type = "f32"}, nothing = {.type = "q8_0", .search = true},
                          odd = {.embedding = "bf16"};
    CHECK(mllm_quantize(path, out_path, &none, &err) == MLLM_E_ARGUMENT && strstr(err.message, "f32"), " %s",
          err.message);
    CHECK(mllm_quantize(path, out_path, &odd, &err) == MLLM_E_ARGUMENT && strstr(err.message, "bf16"), " %s",
          err.message);
    CHECK(mllm_quantize(path, out_path, &nothing, &err) == MLLM_E_ARGUMENT && strstr(err.message, "search"));
    CHECK(mllm_quantize("/nowhere/x", out_path, NULL, &err) == MLLM_E_IO && strstr(err.message, "/nowhere/x"));
    m->of[MLLM_W_DOWN].cols--;
    mllm_quantize_options shape = {.type = "q4_0", .importance = m};
    CHECK(mllm_quantize(path, out_path, &shape, &err) == MLLM_E_ARGUMENT && strstr(err.message, "shape"));
    m->of[MLLM_W_DOWN].cols++;
    mllm_importance_free(m);
    mllm_session_release(s);
    forget_files();
}

static void without_memory(void) {
    make_file(MLLM_F32, 8);
    bool done = false;
    for (long n = 0; n < 20000 && !done; n += n < 400 ? 3 : 17) {
        mllm_error err = {0};
        fail_from(n);
        mllm_set_allocator(failing, NULL);
        mllm_session_options so = {.context = 64};
        mllm_load_options lo = {.threads = 1};
        mllm_model *m = mllm_model_load(path, &lo, &err);
        mllm_session *s = m ? mllm_session_new(m, &so, &err) : NULL;
        mllm_importance *i = s ? mllm_importance_gather(s, tokens, 70, 1, &err) : NULL;
        mllm_quantize_options o = {.type = "q4_0", .importance = i};
        if (i) done = mllm_quantize(path, out_path, &o, &err) == MLLM_OK;
        mllm_importance_free(i);
        mllm_session_release(s);
        mllm_model_release(m);
        mllm_set_allocator(NULL, NULL);
        CHECK(done || err.code == MLLM_E_MEMORY, " after %ld allocations: %d %s", n, (int)err.code, err.message);
    }
    CHECK(done);
    forget_files();
}

static const test_case tests[] = {{"search finds the best", search_finds_the_best},
                                  {"search edges", search_edges},
                                  {"perplexity", perplexity},
                                  {"importance", importance},
                                  {"files", files},
                                  {"without memory", without_memory}};
TEST_MAIN(tests)
