/* The forward pass against the reference logits of other engines' making: every model in shared/golden with the reference kernel within
 * the tolerance its README names, and every other kernel of this processor within its own.
 *
 * Largest relative errors of a logit vector seen: reference and blas 5e-6 (F32 cache); the integer kernels, whose activations are 8-bit
 * groups, 0.007 on float weights (the F16 cache), 0.07 on Q8_0, 0.08 on Q4_0, 0.16 on types that are rounded to eight bits at load. Random
 * weights amplify rounding: llama.cpp v0.5.0 itself is 0.07 away from the reference on these files. */
#include <dirent.h>
#include <math.h>
#include <sys/stat.h>

#include "base/json.h"
#include "tensor/kernel.h"
#include "test.h"

static const double tolerance_exact = 5e-4, tolerance_float = 0.02, tolerance_fast = 0.25;

static char *read_file(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *data = malloc((size_t)n + 1);
    *size = fread(data, 1, (size_t)n, f);
    fclose(f);
    return data;
}

static double number(const mllm_json_node *n) {
    return n->kind == MLLM_JSON_INTEGER ? (double)n->as.integer : n->as.number;
}

static size_t list(const mllm_json *doc, const char *key, double *out, size_t most) {
    uint32_t node = mllm_json_get(doc, 0, key);
    size_t n = node ? doc->nodes[node].count : 0;
    if (n > most) n = most;
    uint32_t at = node + 1;
    for (size_t i = 0; i < n; i++, at = doc->nodes[at].next) out[i] = number(&doc->nodes[at]);
    return n;
}

static mllm_token highest(const float *logits, size_t n) {
    mllm_token best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = (mllm_token)i;
    return best;
}

static void compare(const char *what, const float *logits, const double *reference, size_t n, double tolerance) {
    double error = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)logits[i] - reference[i]) * ((double)logits[i] - reference[i]);
        norm += reference[i] * reference[i];
    }
    CHECK(sqrt(error / norm) < tolerance, " %s: relative error %g", what, sqrt(error / norm));
    if (getenv("MLLM_VERBOSE")) printf("%s: relative error %.2g\n", what, sqrt(error / norm));
}

static void check_model(const char *path, const char *logits_path, const char *kernel) {
    enum { MOST = 4096 };
    static double tokens[MOST], argmax[MOST], first[MOST], last[MOST], greedy[MOST];
    size_t size;
    char *text = read_file(logits_path, &size), label[1200];
    mllm_error err = {0};
    mllm_json doc;
    if (!text || mllm_json_parse(&doc, text, size, 0, &err) != MLLM_OK) {
        CHECK(0, " %s: %s", logits_path, err.message);
        free(text);
        return;
    }
    size_t n = list(&doc, "tokens", tokens, MOST), vocabulary = list(&doc, "logits_first", first, MOST);
    list(&doc, "argmax", argmax, MOST);
    list(&doc, "logits_last", last, MOST);
    size_t more = list(&doc, "greedy", greedy, MOST);
    CHECK(n == 32 && vocabulary == 512 && more > 0, " %s: %zu tokens, %zu logits, %zu greedy", logits_path, n,
          vocabulary, more);
    bool exact = strcmp(kernel, "reference") == 0 || strcmp(kernel, "blas") == 0;
    bool quantized = strstr(path, "-q") != NULL;
    double tolerance = exact ? tolerance_exact : quantized ? tolerance_fast : tolerance_float;

    for (int threads = 1; threads <= 2; threads++) {
        mllm_load_options o = {.kernel = kernel, .threads = threads};
        mllm_model *model = mllm_model_load(path, &o, &err);
        CHECK(model, " %s: %s", path, err.message);
        mllm_session_options so = {.kv_type = exact ? "f32" : "auto"};
        mllm_session *s = model ? mllm_session_new(model, &so, &err) : NULL;
        CHECK(s, " %s: %s", path, err.message);
        for (size_t i = 0; s && i < n; i++) {
            mllm_token id = (mllm_token)tokens[i];
            CHECK(mllm_session_feed(s, &id, 1, &err) == MLLM_OK, " %s", err.message);
            float *logits = mllm_session_logits(s, &err);
            snprintf(label, sizeof label, "%s, %s, %d threads, position %zu", path, kernel, threads, i);
            if (i == 0) compare(label, logits, first, vocabulary, tolerance);
            if (i + 1 == n) compare(label, logits, last, vocabulary, tolerance);
            mllm_token best = highest(logits, vocabulary), expected = (mllm_token)argmax[i];
            /* Where the two best are closer than the tolerance, either may win. */
            double span = 0;
            for (size_t j = 0; j < vocabulary; j++) span += (double)logits[j] * (double)logits[j];
            CHECK(best == expected || (double)(logits[best] - logits[expected]) < 2 * tolerance * sqrt(span),
                  " %s: %d instead of %d", label, (int)best, (int)expected);
        }
        /* The whole prompt at once, then greedy decoding. */
        if (s) CHECK(mllm_session_rewind(s, 0, &err) == MLLM_OK);
        mllm_token prompt[MOST];
        for (size_t i = 0; i < n; i++) prompt[i] = (mllm_token)tokens[i];
        if (s) CHECK(mllm_session_feed(s, prompt, n, &err) == MLLM_OK, " %s", err.message);
        if (s) compare(label, mllm_session_logits(s, &err), last, vocabulary, tolerance);
        for (size_t i = 0; s && exact && i < more; i++) {
            mllm_token id = highest(mllm_session_logits(s, &err), vocabulary);
            CHECK(id == (mllm_token)greedy[i], " %s, %s: greedy token %zu is %d instead of %d", path, kernel, i,
                  (int)id, (int)greedy[i]);
            if (id != (mllm_token)greedy[i]) break;
            mllm_session_feed(s, &id, 1, &err);
        }
        mllm_session_release(s);
        mllm_model_release(model);
    }
    mllm_json_free(&doc);
    free(text);
}

static void check_all(const char *kernel) {
    const char *shared = test_shared();
    if (!shared) SKIP("shared golden models are not here");
    char dir[400], path[900], logits[900];
    snprintf(dir, sizeof dir, "%s/golden", shared);
    DIR *d = opendir(dir);
    if (!d) SKIP("%s is not here", dir);
    int seen = 0;
    for (struct dirent *e; (e = readdir(d));) {
        size_t length = strlen(e->d_name);
        if (length < 12 || strcmp(e->d_name + length - 12, ".logits.json") != 0) continue;
        snprintf(logits, sizeof logits, "%s/%s", dir, e->d_name);
        snprintf(path, sizeof path, "%s/%.*s", dir, (int)(length - 12), e->d_name);
        struct stat st;
        if (stat(path, &st) != 0) snprintf(path, sizeof path, "%s/%.*s.gguf", dir, (int)(length - 12), e->d_name);
        check_model(path, logits, kernel);
        seen++;
    }
    closedir(d);
    CHECK(seen >= 15, " only %d golden models", seen);
}

/* A kernel against the reference outputs; its absence on this processor is no failure. */
static void check_kernel(const char *kernel) {
    mllm_error err = {0};
    if (!mllm_kernel_choose(kernel, &err)) {
        CHECK(err.code == MLLM_E_UNSUPPORTED, " %s: %s", kernel, err.message);
        return;
    }
    check_all(kernel);
}

static void reference(void) {
    check_kernel("reference");
}

static void blas(void) {
    check_kernel("blas");
}

static void avx2(void) {
    check_kernel("avx2");
}

static void avxvnni(void) {
    check_kernel("avxvnni");
}

static void avx512(void) {
    check_kernel("avx512");
}

static void amx(void) {
    check_kernel("amx");
}

static void neon(void) {
    check_kernel("neon");
}

static void i8mm(void) {
    check_kernel("i8mm");
}

static const test_case tests[] = {{"reference", reference}, {"blas", blas}, {"avx2", avx2}, {"avxvnni", avxvnni},
                                  {"avx512", avx512},       {"amx", amx},   {"neon", neon}, {"i8mm", i8mm}};
TEST_MAIN(tests)
