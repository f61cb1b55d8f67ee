/* sampling.h - what the tests of core/sample share. */
#ifndef SAMPLING_H
#define SAMPLING_H

#include "test.h"

#include "base/random.h"

#include <float.h>
#include <math.h>

enum { MOST_TOKENS = 6000 };

typedef struct {
    const char *name;
    double value;
} param;

#define END                                                                                                            \
    { "", 0 }

/* Adds a stage with the numbers of `list`, which ends with END; a NULL name is the first parameter. */
static inline mllm_code add_list(mllm_sampler *s, const char *stage, const param *list, mllm_error *err) {
    mllm_sampler_param params[8] = {{0}};
    size_t count = 0;
    for (; !list[count].name || *list[count].name; count++)
        params[count] = (mllm_sampler_param){.name = list[count].name, .kind = 'n', .number = list[count].value};
    return mllm_sampler_add(s, stage, params, count, err);
}

#define ADD(s, stage, ...)                                                                                             \
    do {                                                                                                               \
        mllm_error add_error = {MLLM_OK, ""};                                                                          \
        mllm_code add_code = add_list(s, stage, (const param[]){__VA_ARGS__, END}, &add_error);                        \
        CHECK(add_code == MLLM_OK, "%s", add_error.message);                                                           \
    } while (0)

static inline mllm_code add_tokens(mllm_sampler *s, const char *stage, const char *name, const mllm_token *tokens,
                                   const float *values, size_t count, mllm_error *err) {
    mllm_sampler_param p = {
        .name = name, .kind = values ? 'v' : 't', .tokens = tokens, .values = values, .count = count};
    return mllm_sampler_add(s, stage, &p, 1, err);
}

/* What the chain had left when it came to this function. */
typedef struct {
    size_t count;
    mllm_token ids[MOST_TOKENS];
    float logits[MOST_TOKENS];
} captured;

static inline mllm_code capture(void *ctx, mllm_sampler_view *view, mllm_error *err) {
    (void)err;
    captured *c = ctx;
    c->count = view->count;
    for (size_t i = 0; i < view->count; i++) {
        c->ids[i] = view->ids ? view->ids[i] : (mllm_token)i;
        c->logits[i] = view->logits[i];
    }
    return MLLM_OK;
}

static inline mllm_sampler *new_sampler(uint64_t seed) {
    mllm_error err;
    mllm_sampler *s = mllm_sampler_new(seed, &err);
    CHECK(s != NULL, "no sampler");
    if (!s) exit(1);
    return s;
}

static inline void add_capture(mllm_sampler *s, captured *c) {
    CHECK(mllm_sampler_add_function(s, capture, c, NULL, NULL) == MLLM_OK);
}

/* Index in the captured set, -1 when the token was dropped. */
static inline int captured_at(const captured *c, mllm_token id) {
    for (size_t i = 0; i < c->count; i++)
        if (c->ids[i] == id) return (int)i;
    return -1;
}

static inline mllm_token draw(mllm_sampler *s, const float *logits, size_t n) {
    mllm_error err = {MLLM_OK, ""};
    mllm_token t = mllm_sampler_sample(s, logits, n, &err);
    CHECK(t >= 0 && (size_t)t < n, "token %d: %s", (int)t, err.message);
    return t;
}

/* A bell curve of standard deviation `spread`; with levels > 0 rounded, so that many are equal. */
static inline void fill_logits(mllm_random *r, float *logits, size_t n, double spread, int levels) {
    for (size_t i = 0; i < n; i++) {
        double x = -6;
        for (int k = 0; k < 12; k++) x += mllm_random_uniform(r);
        x *= spread;
        logits[i] = (float)(levels ? floor(x * levels) / levels : x);
    }
}

/* Probabilities in double with the C library's exp; -INFINITY counts 0. Returns the logarithm of the sum of exp(logit). */
static inline double reference_softmax(const float *logits, size_t n, double *p) {
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        if ((double)logits[i] > max) max = (double)logits[i];
    for (size_t i = 0; i < n; i++) sum += p[i] = exp((double)logits[i] - max);
    for (size_t i = 0; i < n; i++) p[i] /= sum;
    return max + log(sum);
}

/* Indices best first; of equals the smaller id. */
static const float *sorting;
static inline int best_first(const void *a, const void *b) {
    int i = *(const int *)a, j = *(const int *)b;
    if (sorting[i] != sorting[j]) return sorting[i] > sorting[j] ? -1 : 1;
    return i - j;
}
static inline void reference_order(const float *logits, size_t n, int *order) {
    for (size_t i = 0; i < n; i++) order[i] = (int)i;
    sorting = logits;
    qsort(order, n, sizeof *order, best_first);
}

#endif
