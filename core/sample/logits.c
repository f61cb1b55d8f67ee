/* logits.c - questions to an array of logits, and two arrays made one. */
#include "stages.h"

#include "../base/alloc.h"
#include "select.h"
#include "softmax.h"

#include <float.h>
#include <math.h>

mllm_token mllm_logits_argmax(const float *logits, size_t n) {
    float max = mllm_max(logits, n);
    for (size_t i = 0; max > -INFINITY && i < n; i++)
        if (logits[i] == max) return (mllm_token)i;
    return -1;
}

/* The sum of exp(logit - max), and of that times (logit - max). NaN and +INFINITY take the slow way: NaN counts 0, +INFINITY has all the
 * weight. *max is -INFINITY when all are masked. */
static double sums(const float *logits, size_t n, float *max, double *mean) {
    *max = mllm_max(logits, n);
    *mean = 0;
    if (!(*max > -INFINITY)) return 0;
    double sum = *max <= FLT_MAX ? mllm_exp_sums(logits, n, *max, mean) : NAN;
    if (sum == sum && *mean == *mean) return sum;
    sum = *mean = 0;
    for (size_t i = 0; i < n; i++) {
        double below = logits[i] == *max ? 0 : (double)logits[i] - (double)*max;
        double w = below == below ? mllm_exp(below) : 0;
        sum += w;
        if (w > 0) *mean += w * below;
    }
    return sum;
}

double mllm_logits_logsumexp(const float *logits, size_t n) {
    float max;
    double mean, sum = sums(logits, n, &max, &mean);
    return max > -INFINITY ? (double)max + mllm_log(sum) : -INFINITY;
}

double mllm_logits_entropy(const float *logits, size_t n) {
    float max;
    double mean, sum = sums(logits, n, &max, &mean), h = sum > 0 ? mllm_log(sum) - mean / sum : 0;
    return h > 0 ? h : 0;
}

double mllm_logits_removed(const float *logits, const mllm_token *ids, size_t n, const uint64_t *mask) {
    float max = mllm_max(logits, n);
    double all = 0, removed = 0;
    if (!(max > -INFINITY)) return 0;
    for (size_t i = 0; i < n; i++) {
        size_t id = ids ? (size_t)ids[i] : i;
        double w = logits[i] == max ? 1 : mllm_exp((double)logits[i] - (double)max);
        if (w != w) continue;
        all += w;
        if (!(mask[id / 64] >> (id % 64) & 1)) removed += w;
    }
    return removed / all;
}

bool mllm_logits_softmax(const float *logits, size_t n, float *out) {
    float max = mllm_max(logits, n);
    double sum = 0;
    if (max > -INFINITY && max <= FLT_MAX)
        sum = mllm_exp_array(logits, n, max, out);
    else
        for (size_t i = 0; i < n; i++) sum += (double)(out[i] = logits[i] > FLT_MAX ? 1.0f : 0.0f);
    if (sum != sum) { /* NaN among them: 0 */
        sum = 0;
        for (size_t i = 0; i < n; i++) sum += (double)(out[i] = out[i] == out[i] ? out[i] : 0);
    }
    if (sum > 0) mllm_scale(out, n, (float)(1 / sum));
    return sum > 0;
}

/* True when a stands before b: greater logit, then smaller id. */
static bool before(const mllm_candidate *a, const mllm_candidate *b) {
    return a->logit != b->logit ? a->logit > b->logit : a->id < b->id;
}

/* Heap sort, best first: no worst case, no recursion. The heap's root is the one that stands last. */
static void sink(mllm_candidate *c, size_t at, size_t n) {
    mllm_candidate moved = c[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(&c[child], &c[child + 1])) child++;
        if (!before(&moved, &c[child])) break;
        c[at] = c[child];
    }
    c[at] = moved;
}

static void sort(mllm_candidate *c, size_t n) {
    for (size_t i = n / 2; i-- > 0;) sink(c, i, n);
    for (size_t i = n; i-- > 1;) {
        mllm_candidate last = c[0];
        c[0] = c[i];
        c[i] = last;
        sink(c, 0, i);
    }
}

size_t mllm_logits_topk(const float *logits, size_t n, size_t k, mllm_candidate *out) {
    if (k > n) k = n;
    if (k == 0) return 0;
    float least = -FLT_MAX;
    if (k < n / 32) { /* few of many: most need not be looked at twice */
        uint32_t *scratch = mllm_alloc_array(4 * k, sizeof *scratch);
        if (!scratch) return SIZE_MAX;
        float reached = mllm_floor_of_best(logits, n, k, scratch);
        mllm_free(scratch);
        if (reached > least) least = reached;
    }
    size_t left = 0, kept = 0;
    for (size_t i = 0; i < n; i++) left += logits[i] >= least;
    if (left == 0) return 0;
    uint32_t *keys = mllm_alloc_array(left, sizeof *keys);
    if (!keys) return SIZE_MAX;
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        if (logits[i] >= least) keys[at++] = mllm_key(logits[i]);
    mllm_cut cut = mllm_select(keys, NULL, left, (double)k);
    mllm_free(keys);
    float max;
    double mean, norm = mllm_log(sums(logits, n, &max, &mean));
    for (size_t i = 0; i < n && kept < k; i++) {
        if (!(logits[i] >= least)) continue;
        uint32_t key = mllm_key(logits[i]);
        if (key < cut.key || (key == cut.key && cut.ties == 0)) continue;
        if (key == cut.key) cut.ties--;
        double below = logits[i] == max ? 0 : (double)logits[i] - (double)max;
        out[kept++] = (mllm_candidate){(mllm_token)i, logits[i], below - norm};
    }
    sort(out, kept);
    return kept;
}

static float bounded(double x) {
    return x > (double)FLT_MAX ? FLT_MAX : x < -(double)FLT_MAX ? -FLT_MAX : (float)x;
}

void mllm_logits_guide(float *logits, const float *other, size_t n, double scale) {
    double own = mllm_logits_logsumexp(logits, n), base = mllm_logits_logsumexp(other, n);
    for (size_t i = 0; i < n; i++) {
        if (!(logits[i] > -INFINITY)) continue;
        double x = (double)logits[i] - own, y = (double)other[i] - base;
        logits[i] = bounded(other[i] > -INFINITY ? y + scale * (x - y) : x);
    }
}

void mllm_logits_contrast(float *logits, const float *other, size_t n, double alpha, double beta) {
    float max = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (logits[i] > max) max = logits[i];
    double least = (double)max + mllm_log(alpha);
    for (size_t i = 0; i < n; i++) {
        if (!((double)logits[i] >= least) || !(logits[i] > -INFINITY)) {
            logits[i] = -INFINITY;
            continue;
        }
        double x = (double)logits[i];
        logits[i] = bounded(other[i] > -INFINITY ? x + beta * (x - (double)other[i]) : x);
    }
}
