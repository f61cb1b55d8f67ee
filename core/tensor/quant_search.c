/* quant_search.c - the best Q4_0 block.
 *
 * A block stores d (binary16) and q[32] in -8..7, w ~ d q. For given q the best scale is d = sum h w q / sum h q^2 and leaves
 *
 *   sum h (w - d q)^2  =  sum h w^2  -  (sum h w q)^2 / sum h q^2
 *
 * and for a given d the best q is w / d rounded. So the best pair is among the q that rounding gives for some s = 1 / d. As s grows from 0,
 * |q| of a weight goes from k - 1 to k where s |w| = k - 1/2: at most 8 events a weight, after each of which both sums are one step
 * further. Walking through the events in order sees every candidate there is. The side of the levels that has one more (-8) may lie on
 * either sign of w: d > 0 and d < 0 are two walks over the same events. (That the best scale of a rounding may belong to yet another rounding does
 * not matter: that one is among the candidates too, and better.) */
#include "tensor.h"

#include <math.h>
#include <string.h>

#include "../base/half.h"

enum { BLOCK = 32, BLOCK_BYTES = 18 };

/* Weights by their next event, the earliest on top. */
typedef struct {
    float at[BLOCK];
    uint8_t weight[BLOCK];
    int count;
} events;

static void sink(events *e, int i) {
    float at = e->at[i];
    uint8_t weight = e->weight[i];
    for (int child; (child = 2 * i + 1) < e->count; i = child) {
        if (child + 1 < e->count && e->at[child + 1] < e->at[child]) child++;
        if (!(e->at[child] < at)) break;
        e->at[i] = e->at[child];
        e->weight[i] = e->weight[child];
    }
    e->at[i] = at;
    e->weight[i] = weight;
}

/* Both sums on the way, for d > 0 and d < 0. */
typedef struct {
    float wq, qq, best, scale;
} walk;

static void step(walk *a, float wq, float qq) {
    a->wq += wq;
    a->qq += qq;
    /* best = wq^2 / qq, the part of the error that is gone */
    if (a->wq * a->wq > a->best * a->qq) {
        a->best = a->wq * a->wq / a->qq;
        a->scale = a->wq / a->qq;
    }
}

static int level(float v) {
    v = nearbyintf(v);
    return v < -8 ? -8 : v > 7 ? 7 : (int)v;
}

/* The block with scale d as it can be stored; its error. */
static float write_block(const float *w, const float *h, float d, uint8_t *b) {
    uint16_t half = mllm_f32_to_f16(d);
    d = mllm_f16_to_f32(half);
    if (!isfinite(d)) return INFINITY;
    float inverse = d != 0 ? 1 / d : 0, error = 0;
    if (!isfinite(inverse)) inverse = 0;
    memcpy(b, &half, sizeof half);
    for (int j = 0; j < BLOCK / 2; j++) {
        int low = level(w[j] * inverse), high = level(w[j + BLOCK / 2] * inverse);
        float e = w[j] - d * (float)low, f = w[j + BLOCK / 2] - d * (float)high;
        error += h[j] * e * e + h[j + BLOCK / 2] * f * f;
        b[2 + j] = (uint8_t)((low + 8) | (high + 8) << 4);
    }
    return error;
}

/* w: finite, the largest magnitude 1 (so that nothing overflows and no sum is denormal); h: the largest 1. */
static void find_scales(const float *w, const float *h, float scales[2]) {
    events e = {.count = 0};
    uint8_t reached[BLOCK] = {0};
    for (int j = 0; j < BLOCK; j++)
        if (w[j] != 0 && h[j] > 0) {
            e.at[e.count] = 0.5f / fabsf(w[j]);
            e.weight[e.count++] = (uint8_t)j;
        }
    for (int i = e.count / 2 - 1; i >= 0; i--) sink(&e, i);
    walk up = {0}, down = {0};
    while (e.count) {
        int j = e.weight[0], k = ++reached[j];
        float size = fabsf(w[j]), wq = h[j] * size, qq = h[j] * (float)(2 * k - 1);
        if (k < 8 || w[j] < 0) step(&up, wq, qq);
        if (k < 8 || w[j] > 0) step(&down, wq, qq);
        if (k < 8)
            e.at[0] = ((float)k + 0.5f) / size;
        else {
            e.count--;
            e.at[0] = e.at[e.count];
            e.weight[0] = e.weight[e.count];
        }
        sink(&e, 0);
    }
    scales[0] = up.scale;
    scales[1] = -down.scale;
}

static bool search_block(const float *w, const float *h, uint8_t *b) {
    float most = 0, heaviest = 0, scaled[BLOCK], weight[BLOCK], best = INFINITY;
    for (int j = 0; j < BLOCK; j++) {
        if (!isfinite(w[j])) return false;
        most = fmaxf(most, fabsf(w[j]));
        if (h) heaviest = fmaxf(heaviest, h[j]);
    }
    bool even = !(heaviest > 0) || !isfinite(heaviest);
    for (int j = 0; j < BLOCK; j++) {
        scaled[j] = most > 0 ? w[j] / most : 0;
        weight[j] = even ? 1 : h[j] / heaviest;
    }
    float candidates[2];
    find_scales(scaled, weight, candidates);
    for (int i = 0; i < 2; i++) {
        uint8_t block[BLOCK_BYTES];
        /* The half of the scale decides the levels: what is stored is judged, in the units of the weights. */
        float error = write_block(w, weight, candidates[i] * most, block);
        if (!(error < best)) continue;
        best = error;
        memcpy(b, block, sizeof block);
    }
    return best < INFINITY;
}

bool mllm_quantize_row_search(const float *in, const float *h, void *row, size_t cols) {
    uint8_t *b = row;
    if (cols % BLOCK) return false;
    for (size_t c = 0; c < cols; c += BLOCK, b += BLOCK_BYTES)
        if (!search_block(in + c, h ? h + c : NULL, b)) return false;
    return true;
}
