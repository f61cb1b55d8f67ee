/* vector_ops.h - norm, SwiGLU and attention on vectors of floats. A kernel file includes it once, after it has defined
 *
 *   vf                 the vector, LANES floats; HELD of them hold a block of scores per head in attention, beside HELD keys
 *   TARGET             the function attribute that turns its instructions on
 *   v_load v_store v_set1 v_add v_mul v_fma(a, b, c) = a * b + c, v_sub v_div v_max v_min v_sum(v) v_most(v)
 *   v_half(p)          LANES floats from LANES halves;  v_brain(p) from LANES bfloat16;  v_bytes(p) from LANES signed bytes
 *   v_round(v)         to the nearest integer;  v_scale(v, n) = v * 2^n for integral n of -126 .. 127
 *
 * What it gives is static: rms_norm, swiglu, store, attend and floats, for the kernel's table. */
#include <math.h>
#include <string.h>

#include "../base/half.h"
#include "kernel.h"

#define INLINE static inline __attribute__((always_inline)) TARGET

/* exp(x) for x <= 88, relative error below 3e-7; below -87 it is about 1e-38. 2^n p(r), r = x - n ln 2, |r| <= ln 2 / 2, p the series to
 * degree 7; ln 2 in two parts (Cody and Waite). */
INLINE vf v_exp(vf x) {
    x = v_max(x, v_set1(-87.0f));
    vf n = v_round(v_mul(x, v_set1(1.44269504f)));
    vf r = v_fma(n, v_set1(-0.693359375f), x);
    r = v_fma(n, v_set1(2.12194440e-4f), r);
    vf p = v_set1(1.98412698e-4f);
    p = v_fma(p, r, v_set1(1.38888889e-3f));
    p = v_fma(p, r, v_set1(8.33333333e-3f));
    p = v_fma(p, r, v_set1(4.16666667e-2f));
    p = v_fma(p, r, v_set1(1.66666667e-1f));
    p = v_fma(p, r, v_set1(0.5f));
    p = v_fma(p, r, v_set1(1.0f));
    p = v_fma(p, r, v_set1(1.0f));
    return v_scale(p, n);
}

TARGET static void expand(mllm_type type, const void *row, float *out, size_t cols) {
    const uint16_t *p = row;
    size_t i = 0;
    if ((type == MLLM_F16 || type == MLLM_BF16) && (uintptr_t)row % sizeof *p == 0) {
        if (type == MLLM_F16)
            for (; i + LANES <= cols; i += LANES) v_store(out + i, v_half(p + i));
        else
            for (; i + LANES <= cols; i += LANES) v_store(out + i, v_brain(p + i));
        row = p + i;
    }
    if (i < cols) mllm_dequantize_row(type, row, out + i, cols - i);
}

/* Four sums, so that one addition does not wait for the other. */
TARGET static float dot(const float *a, const float *b, size_t n) {
    vf sum[4];
    MLLM_UNROLL for (int j = 0; j < 4; j++) sum[j] = v_set1(0);
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        MLLM_UNROLL for (int j = 0; j < 4; j++) sum[j] =
            v_fma(v_load(a + i + j * LANES), v_load(b + i + j * LANES), sum[j]);
    for (; i + LANES <= n; i += LANES) sum[0] = v_fma(v_load(a + i), v_load(b + i), sum[0]);
    float all = v_sum(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
    for (; i < n; i++) all += a[i] * b[i];
    return all;
}

static const mllm_floats floats = {expand, dot};

TARGET static void rms_norm(const float *x, const float *weight, float epsilon, size_t n, float *out) {
    vf sums = v_set1(0);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) sums = v_fma(v_load(x + i), v_load(x + i), sums);
    float sum = v_sum(sums);
    for (size_t j = i; j < n; j++) sum += x[j] * x[j];
    float scale = 1.0f / sqrtf(sum / (float)n + epsilon);
    for (i = 0; i + LANES <= n; i += LANES)
        v_store(out + i, v_mul(v_mul(v_load(x + i), v_set1(scale)), v_load(weight + i)));
    for (; i < n; i++) out[i] = x[i] * scale * weight[i];
}

INLINE vf v_swiglu(vf gate, vf up) {
    vf below = v_min(v_sub(v_set1(0), gate), v_set1(87.0f));
    return v_mul(v_div(gate, v_add(v_set1(1.0f), v_exp(below))), up);
}

TARGET static void swiglu(float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) v_store(gate + i, v_swiglu(v_load(gate + i), v_load(up + i)));
    if (i == n) return;
    float g[LANES] = {0}, u[LANES] = {0};
    memcpy(g, gate + i, (n - i) * sizeof(float));
    memcpy(u, up + i, (n - i) * sizeof(float));
    v_store(g, v_swiglu(v_load(g), v_load(u)));
    memcpy(gate + i, g, (n - i) * sizeof(float));
}

/* A chunk's keys lie transposed, [head_size][64 positions]: a lane is a position, and no score needs a sum across lanes. Values lie
 * [64 positions][head_size]. In Q8_0 these are the bytes, and the scales follow them: [head_size / 32][64 positions] halves, of keys and of
 * values. Head sizes that do not fill vectors keep the plain order. */
enum { BLOCK = LANES * HELD };

static bool fills_vectors(uint32_t head_size) {
    return head_size % LANES == 0;
}

static void store(mllm_type type, const float *row, uint32_t head_size, bool value, void *chunk, uint32_t at) {
    if (!fills_vectors(head_size)) {
        mllm_store(type, row, head_size, value, chunk, at);
        return;
    }
    if (type == MLLM_Q8_0) {
        signed char *bytes = chunk, block[34];
        for (uint32_t d = 0; d < head_size; d += 32) {
            mllm_quantize_row(type, row + d, block, 32);
            memcpy(bytes + head_size * MLLM_KV_CHUNK + 2 * (d / 32 * MLLM_KV_CHUNK + at), block, 2);
            for (uint32_t i = d; i < d + 32; i++)
                bytes[value ? at * head_size + i : i * MLLM_KV_CHUNK + at] = block[2 + i - d];
        }
    } else if (value) {
        mllm_store(type, row, head_size, value, chunk, at);
    } else if (type == MLLM_F16) {
        uint16_t *keys = chunk;
        for (uint32_t d = 0; d < head_size; d++) keys[d * MLLM_KV_CHUNK + at] = mllm_f32_to_f16(row[d]);
    } else {
        float *keys = chunk;
        for (uint32_t d = 0; d < head_size; d++) keys[d * MLLM_KV_CHUNK + at] = row[d];
    }
}

/* Keys or values of a chunk, with the scales of Q8_0 as floats [head_size / 32][64 positions]. */
typedef struct {
    mllm_type type;
    const void *rows;
    const float *scales;
} cached;

/* LANES elements from element i on, without their scale. */
INLINE vf v_stored(const cached *s, size_t i) {
    if (s->type == MLLM_F16) return v_half((const uint16_t *)s->rows + i);
    if (s->type == MLLM_F32) return v_load((const float *)s->rows + i);
    return v_bytes((const unsigned char *)s->rows + i);
}

/* Some of the query heads of an attention: where they lie, their weights [n][64] of a chunk, and what their sums so far are multiplied with. */
typedef struct {
    const float *q[MLLM_TOGETHER];
    float *out[MLLM_TOGETHER], *max, *sum, *weights, keep[MLLM_TOGETHER];
} queries;

/* out[d .. d + held * LANES) = keep * out + sum over positions of weight * value. */
INLINE void add_values(const queries *u, int n, int held, size_t hs, size_t d, const cached *values, uint32_t first,
                       uint32_t end) {
    vf out[MLLM_TOGETHER][HELD];
    MLLM_UNROLL for (int k = 0; k < n; k++) MLLM_UNROLL for (int j = 0; j < held; j++) out[k][j] =
        v_mul(v_load(u->out[k] + d + LANES * (unsigned)j), v_set1(u->keep[k]));
    for (uint32_t p = first; p < end; p++) {
        vf value[HELD];
        MLLM_UNROLL for (int j = 0; j < held; j++) {
            value[j] = v_stored(values, p * hs + d + LANES * (unsigned)j);
            if (values->type == MLLM_Q8_0)
                value[j] = v_mul(value[j], v_set1(values->scales[(d + LANES * (unsigned)j) / 32 * MLLM_KV_CHUNK + p]));
        }
        MLLM_UNROLL for (int k = 0; k < n; k++) {
            vf x = v_set1(u->weights[k * MLLM_KV_CHUNK + (int)p]);
            MLLM_UNROLL for (int j = 0; j < held; j++) out[k][j] = v_fma(x, value[j], out[k][j]);
        }
    }
    MLLM_UNROLL for (int k = 0; k < n; k++) MLLM_UNROLL for (int j = 0; j < held; j++)
        v_store(u->out[k] + d + LANES * (unsigned)j, out[k][j]);
}

/* The online softmax: weights are scores and become exp(score - highest), 0 where not seen; the state follows. */
INLINE void weigh(queries *u, int n, uint32_t first, uint32_t end) {
    uint32_t low = first - first % LANES, high = (end + LANES - 1) / LANES * LANES;
    MLLM_UNROLL for (int k = 0; k < n; k++) {
        float *w = u->weights + k * MLLM_KV_CHUNK;
        for (uint32_t p = low; p < first; p++) w[p] = -INFINITY; /* not seen, whatever was computed there */
        for (uint32_t p = end; p < high; p++) w[p] = -INFINITY;
        vf top = v_set1(-INFINITY);
        for (uint32_t p = low; p < high; p += LANES) top = v_max(top, v_load(w + p));
        float before = u->max[k], highest = v_most(top);
        if (before > highest) highest = before;
        u->keep[k] = before == -INFINITY ? 0 : expf(before - highest);
        vf sums = v_set1(0);
        for (uint32_t p = low; p < high; p += LANES) {
            vf e = v_exp(v_sub(v_load(w + p), v_set1(highest)));
            v_store(w + p, e);
        }
        for (uint32_t p = low; p < first; p++) w[p] = 0;
        for (uint32_t p = end; p < high; p++) w[p] = 0;
        for (uint32_t p = low; p < high; p += LANES) sums = v_add(sums, v_load(w + p));
        u->max[k] = highest;
        u->sum[k] = u->sum[k] * u->keep[k] + v_sum(sums);
    }
}

/* What is read of keys and values serves n query heads; n and the type are constants where this is inlined. */
INLINE void attend_columns(queries *u, int n, float scale, size_t hs, const cached *keys, const cached *values,
                           uint32_t first, uint32_t end) {
    for (uint32_t at = first - first % BLOCK; at < end; at += BLOCK) {
        vf score[MLLM_TOGETHER][HELD];
        MLLM_UNROLL for (int k = 0; k < n; k++) MLLM_UNROLL for (int j = 0; j < HELD; j++) score[k][j] = v_set1(0);
        for (size_t d = 0; d < hs; d++) {
            vf key[HELD];
            MLLM_UNROLL for (int j = 0; j < HELD; j++) {
                key[j] = v_stored(keys, d * MLLM_KV_CHUNK + at + LANES * (unsigned)j);
                if (keys->type == MLLM_Q8_0)
                    key[j] = v_mul(key[j], v_load(keys->scales + d / 32 * MLLM_KV_CHUNK + at + LANES * (unsigned)j));
            }
            MLLM_UNROLL for (int k = 0; k < n; k++) {
                vf x = v_set1(u->q[k][d]);
                MLLM_UNROLL for (int j = 0; j < HELD; j++) score[k][j] = v_fma(x, key[j], score[k][j]);
            }
        }
        MLLM_UNROLL for (int k = 0; k < n; k++) MLLM_UNROLL for (int j = 0; j < HELD; j++)
            v_store(u->weights + k * MLLM_KV_CHUNK + at + LANES * (unsigned)j, v_mul(score[k][j], v_set1(scale)));
    }
    weigh(u, n, first, end);
    size_t d = 0;
    for (; d + BLOCK <= hs; d += BLOCK) add_values(u, n, HELD, hs, d, values, first, end);
    if (HELD > 2 && d + 2 * LANES <= hs) { /* heads of 32 with lanes of 16, for one */
        add_values(u, n, 2, hs, d, values, first, end);
        d += 2 * LANES;
    }
    for (; d < hs; d += LANES) add_values(u, n, 1, hs, d, values, first, end);
}

INLINE void attend_some(const mllm_attention *a, uint32_t at, int n, const cached *keys, const cached *values,
                        uint32_t first, uint32_t end, float *weights) {
    queries u = {.max = a->max + at, .sum = a->sum + at, .weights = weights};
    size_t hs = a->head_size;
    for (int k = 0; k < n; k++) {
        uint32_t row = (at + (uint32_t)k) / a->heads, head = (at + (uint32_t)k) % a->heads;
        u.q[k] = a->q + row * a->q_stride + head * hs;
        u.out[k] = a->out + row * a->out_stride + head * hs;
    }
    attend_columns(&u, n, a->scale, hs, keys, values, first, end);
}

/* The type is a constant where this is inlined. scratch: weights, then scales. */
INLINE void attend_type(mllm_type type, const mllm_attention *a, const void *keys, const void *values, uint32_t first,
                        uint32_t end, float *scratch) {
    const size_t hs = a->head_size, groups = type == MLLM_Q8_0 ? hs / 32 * MLLM_KV_CHUNK : 0;
    float *scales = scratch + MLLM_TOGETHER * MLLM_KV_CHUNK;
    for (size_t i = 0; i < groups; i += LANES) {
        v_store(scales + i, v_half((const uint16_t *)keys + hs * MLLM_KV_CHUNK / 2 + i));
        v_store(scales + groups + i, v_half((const uint16_t *)values + hs * MLLM_KV_CHUNK / 2 + i));
    }
    const cached k = {type, keys, scales}, v = {type, values, scales + groups};
    uint32_t total = a->rows * a->heads, step;
    for (uint32_t at = 0; at < total; at += step) {
        uint32_t left = total - at;
        step = left == 7 || left == 5 ? 4 : left < MLLM_TOGETHER ? left : MLLM_TOGETHER;
        switch (step) {
        case 6: attend_some(a, at, 6, &k, &v, first, end, scratch); break;
        case 4: attend_some(a, at, 4, &k, &v, first, end, scratch); break;
        case 3: attend_some(a, at, 3, &k, &v, first, end, scratch); break;
        case 2: attend_some(a, at, 2, &k, &v, first, end, scratch); break;
        default: attend_some(a, at, 1, &k, &v, first, end, scratch);
        }
    }
}

TARGET static void attend(mllm_type type, const mllm_attention *a, const void *keys, const void *values, uint32_t first,
                          uint32_t end, void *scratch) {
    if (!fills_vectors(a->head_size))
        mllm_attend(type, a, keys, values, first, end, scratch);
    else if (type == MLLM_F16)
        attend_type(MLLM_F16, a, keys, values, first, end, scratch);
    else if (type == MLLM_F32)
        attend_type(MLLM_F32, a, keys, values, first, end, scratch);
    else
        attend_type(MLLM_Q8_0, a, keys, values, first, end, scratch);
}
