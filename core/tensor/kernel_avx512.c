/* kernel_avx512.c - AVX-512 with VNNI: 8-bit products, and floats sixteen at a time.
 *
 * Weights are repacked once, in panels of 16 rows and groups of 32 columns. A group of a panel is
 *
 *   P8 (544 bytes): 8 times 64 bytes, the bytes [row 0..15][column 4s .. 4s+3] of w + 128 as unsigned, s = 0..7; then 16 scales (half)
 *   P4 (288 bytes): 4 times 64 bytes, low nibbles the same for s = 0..3, high nibbles for s = 4..7, of w + 8; then 16 scales (half)
 *
 * so that a lane belongs to a row and vpdpbusd needs no sum across lanes. Q4_0 becomes P4 with the same weights, Q8_0 becomes P8
 * with the same weights; other quantized types are rounded to P8. F32, F16 and BF16 stay as stored and are multiplied in floats.
 *
 * An activation row is rounded to signed bytes in the same groups, x = d * q. Then
 *
 *   y[r] = sum over groups  scale[r] * d * ( sum (w + B) q  -  B sum q ),   B = 128 or 8
 *
 * where the inner sums are exact integers and B sum q is known from the activation alone. Groups are added in order, one after the
 * other, for one token and for many: so results do not depend on how many tokens are computed together. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "../base/cpu.h"
#include "../base/half.h"
#include "kernel.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { ROWS = 16, GROUP = 32, P8 = ROWS * GROUP + 2 * ROWS, P4 = ROWS * GROUP / 2 + 2 * ROWS, TILE = 8 };

static bool available(void) {
    return mllm_cpu_features()->avx512_vnni;
}

/* ------------------------------------------------------------- packing */

static bool is_float(mllm_type type) {
    return type == MLLM_F32 || type == MLLM_F16 || type == MLLM_BF16;
}

static size_t panel_bytes(const mllm_tensor *w) {
    return w->cols / GROUP * (w->type == MLLM_Q4_0 ? P4 : P8);
}

static size_t pack_bytes(const mllm_tensor *w) {
    if (is_float(w->type) || w->cols % GROUP) return 0;
    return (w->rows + ROWS - 1) / ROWS * panel_bytes(w);
}

/* One row of the file into its lane of a panel. `blocks` are Q8_0 or Q4_0 blocks. */
static void pack_lane(const unsigned char *blocks, bool four, size_t groups, unsigned char *panel, size_t lane) {
    for (size_t g = 0; g < groups; g++) {
        if (four) {
            const unsigned char *b = blocks + g * 18; /* half scale, then bytes: low nibble column j, high nibble column j + 16 */
            unsigned char *to = panel + g * P4;
            for (size_t s = 0; s < 4; s++)
                for (size_t j = 0; j < 4; j++) to[s * 64 + lane * 4 + j] = b[2 + s * 4 + j];
            memcpy(to + 256 + 2 * lane, b, 2);
        } else {
            const unsigned char *b = blocks + g * 34;
            unsigned char *to = panel + g * P8;
            for (size_t s = 0; s < 8; s++) {
                uint32_t four_bytes;
                memcpy(&four_bytes, b + 2 + s * 4, 4);
                four_bytes ^= 0x80808080u; /* + 128 */
                memcpy(to + s * 64 + lane * 4, &four_bytes, 4);
            }
            memcpy(to + 512 + 2 * lane, b, 2);
        }
    }
}

static void pack(const mllm_tensor *w, void *packed, size_t from, size_t to) {
    size_t groups = w->cols / GROUP, bytes = panel_bytes(w);
    bool four = w->type == MLLM_Q4_0, direct = four || w->type == MLLM_Q8_0;
    for (size_t r = from; r < to; r += ROWS) {
        unsigned char *panel = (unsigned char *)packed + r / ROWS * bytes;
        size_t n = w->rows - r < ROWS ? w->rows - r : ROWS;
        if (n < ROWS) memset(panel, 0, bytes); /* scale 0: rows that do not exist */
        for (size_t lane = 0; lane < n; lane++) {
            const unsigned char *row = (const unsigned char *)w->data + (r + lane) * w->row_bytes;
            if (direct) {
                pack_lane(row, four, groups, panel, lane);
                continue;
            }
            unsigned block = mllm_type_facts(w->type)->block, block_bytes = mllm_type_facts(w->type)->block_bytes;
            for (size_t c = 0; c < w->cols; c += block) {
                float x[256];
                unsigned char q[256 / GROUP * 34];
                mllm_dequantize_row(w->type, row + c / block * block_bytes, x, block);
                mllm_quantize_row(MLLM_Q8_0, x, q, block);
                pack_lane(q, false, block / GROUP, panel + c / GROUP * P8, lane);
            }
        }
    }
}

/* --------------------------------------------------------- activations */

/* A prepared row: floats [cols] | d [groups] | 128 sum q [groups] | 8 sum q [groups] (both negated) | q [cols]; each part padded to 64 bytes. */
typedef struct {
    size_t d, sum8, sum4, q, total;
} parts;

static parts layout(size_t cols) {
    size_t groups = (cols / GROUP * 4 + 63) / 64 * 64, floats = (cols * 4 + 63) / 64 * 64;
    parts p = {.d = floats, .sum8 = floats + groups, .sum4 = floats + 2 * groups, .q = floats + 3 * groups};
    p.total = p.q + (cols + 63) / 64 * 64;
    return p;
}

static size_t prepared_bytes(size_t cols) {
    return layout(cols).total;
}

TARGET static void prepare(const float *x, size_t cols, void *out) {
    parts p = layout(cols);
    char *to = out;
    memcpy(to, x, cols * sizeof(float));
    float *d = (float *)(void *)(to + p.d);
    int32_t *sum8 = (int32_t *)(void *)(to + p.sum8), *sum4 = (int32_t *)(void *)(to + p.sum4);
    for (size_t g = 0; g < cols / GROUP; g++) {
        __m512 a = _mm512_loadu_ps(x + g * GROUP), b = _mm512_loadu_ps(x + g * GROUP + 16);
        float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
        /* Below this the reciprocal would overflow; such a group adds nothing that a float sum would keep. */
        float inverse = most > 1e-35f ? 127.0f / most : 0;
        __m512 scale = _mm512_set1_ps(inverse);
        __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, scale)), qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, scale));
        int sum = _mm512_reduce_add_epi32(_mm512_add_epi32(qa, qb));
        d[g] = inverse == 0 ? most * 0 : most / 127.0f; /* a NaN stays one */
        sum8[g] = -128 * sum;
        sum4[g] = -8 * sum;
        _mm_store_si128((__m128i *)(void *)(to + p.q + g * GROUP), _mm512_cvtsepi32_epi8(qa));
        _mm_store_si128((__m128i *)(void *)(to + p.q + g * GROUP + 16), _mm512_cvtsepi32_epi8(qb));
    }
}

/* ------------------------------------------------------------ products */

typedef struct {
    const char *x;      /* prepared rows */
    size_t stride;
    parts p;
    size_t groups;
} operand;

/* y[TILE tokens at most, 16 rows] of one panel. n is a constant where it is inlined. */
INLINE void panel_product(const unsigned char *panel, bool four, const operand *o, size_t first, int n, __m512 *y) {
    for (int t = 0; t < n; t++) y[t] = _mm512_setzero_ps();
    const char *x = o->x + first * o->stride;
    size_t bytes = four ? P4 : P8;
    const __m512i low = _mm512_set1_epi8(15);
    for (size_t g = 0; g < o->groups; g++, panel += bytes) {
        __m512i w[8];
        if (four)
            for (int s = 0; s < 4; s++) {
                __m512i v = _mm512_loadu_si512(panel + 64 * s);
                w[s] = _mm512_and_si512(v, low);
                w[s + 4] = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
            }
        else
            for (int s = 0; s < 8; s++) w[s] = _mm512_loadu_si512(panel + 64 * s);
        __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(panel + (four ? 256 : 512))));
        for (int t = 0; t < n; t++) {
            const char *row = x + (size_t)t * o->stride;
            const int32_t *q = (const int32_t *)(const void *)(row + o->p.q + g * GROUP);
            __m512i sum = _mm512_set1_epi32(*(const int32_t *)(const void *)(row + (four ? o->p.sum4 : o->p.sum8) + 4 * g));
            for (int s = 0; s < 8; s++) sum = _mm512_dpbusd_epi32(sum, w[s], _mm512_set1_epi32(q[s]));
            __m512 d = _mm512_set1_ps(*(const float *)(const void *)(row + o->p.d + 4 * g));
            y[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, d), y[t]);
        }
    }
}

INLINE void put(float *y, size_t r, size_t to, __m512 v, bool add) {
    __mmask16 mask = to - r >= ROWS ? (__mmask16)0xFFFF : (__mmask16)((1u << (to - r)) - 1);
    if (add) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, y + r));
    _mm512_mask_storeu_ps(y + r, mask, v);
}

INLINE void panels(const mllm_matrix *w, bool four, size_t from, size_t to, const operand *o, size_t m, float *y, size_t ldy, bool add) {
    size_t bytes = panel_bytes(&w->stored);
    for (size_t r = from; r < to; r += ROWS) {
        const unsigned char *panel = (const unsigned char *)w->packed + r / ROWS * bytes;
        __m512 v[TILE];
        size_t i = 0;
        for (; i + TILE <= m; i += TILE) {
            panel_product(panel, four, o, i, TILE, v);
            for (size_t t = 0; t < TILE; t++) put(y + (i + t) * ldy, r, to, v[t], add);
        }
        for (; i + 2 <= m; i += 2) {
            panel_product(panel, four, o, i, 2, v);
            for (size_t t = 0; t < 2; t++) put(y + (i + t) * ldy, r, to, v[t], add);
        }
        if (i < m) {
            panel_product(panel, four, o, i, 1, v);
            put(y + i * ldy, r, to, v[0], add);
        }
    }
}

TARGET static void product(const mllm_matrix *w, size_t from, size_t to, const void *x, size_t x_stride, size_t m, float *y, size_t ldy,
                           bool add, void *scratch) {
    if (!w->packed) {
        mllm_float_product(w, from, to, x, x_stride, m, y, ldy, add, scratch);
        return;
    }
    operand o = {.x = x, .stride = x_stride, .p = layout(w->stored.cols), .groups = w->stored.cols / GROUP};
    if (w->stored.type == MLLM_Q4_0)
        panels(w, true, from, to, &o, m, y, ldy, add);
    else
        panels(w, false, from, to, &o, m, y, ldy, add);
}

/* A chosen row comes with its whole panel: sixteen times the work of one row, still far from the whole vocabulary. */
TARGET static void product_rows(const mllm_matrix *w, const mllm_token *ids, size_t count, const void *x, float *y, void *scratch) {
    if (!w->packed) {
        mllm_kernel_blas.product_rows(w, ids, count, x, y, scratch);
        return;
    }
    operand o = {.x = x, .p = layout(w->stored.cols), .groups = w->stored.cols / GROUP};
    bool four = w->stored.type == MLLM_Q4_0;
    size_t bytes = panel_bytes(&w->stored), held = (size_t)-1;
    float lanes[ROWS];
    for (size_t k = 0; k < count; k++) {
        size_t id = (size_t)ids[k];
        if (id / ROWS != held) {
            const unsigned char *panel = (const unsigned char *)w->packed + id / ROWS * bytes;
            __m512 v;
            if (four)
                panel_product(panel, true, &o, 0, 1, &v);
            else
                panel_product(panel, false, &o, 0, 1, &v);
            _mm512_storeu_ps(lanes, v);
            held = id / ROWS;
        }
        y[k] = lanes[id % ROWS];
    }
}

/* --------------------------------------------------------- elementwise */

/* exp(x) for x <= 88, relative error below 2e-7: 2^n * p(r), r = x - n ln 2, |r| <= ln 2 / 2, p the series to degree 7. */
INLINE __m512 exp16(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-104.0f));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.98412698e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.38888889e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.33333333e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.16666667e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.66666667e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

TARGET static void rms_norm(const float *x, const float *weight, float epsilon, size_t n, float *out) {
    __m512 sum = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i);
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    __mmask16 rest = (__mmask16)((1u << (n - i)) - 1);
    __m512 tail = _mm512_maskz_loadu_ps(rest, x + i);
    sum = _mm512_fmadd_ps(tail, tail, sum);
    __m512 scale = _mm512_set1_ps(1.0f / sqrtf(_mm512_reduce_add_ps(sum) / (float)n + epsilon));
    for (i = 0; i + 16 <= n; i += 16)
        _mm512_storeu_ps(out + i, _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(x + i), scale), _mm512_loadu_ps(weight + i)));
    _mm512_mask_storeu_ps(out + i, rest, _mm512_mul_ps(_mm512_mul_ps(tail, scale), _mm512_maskz_loadu_ps(rest, weight + i)));
}

TARGET static void swiglu(float *gate, const float *up, size_t n) {
    const __m512 one = _mm512_set1_ps(1.0f);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = n - i >= 16 ? (__mmask16)0xFFFF : (__mmask16)((1u << (n - i)) - 1);
        __m512 g = _mm512_maskz_loadu_ps(mask, gate + i), u = _mm512_maskz_loadu_ps(mask, up + i);
        __m512 below = _mm512_min_ps(_mm512_sub_ps(_mm512_setzero_ps(), g), _mm512_set1_ps(88.0f));
        __m512 v = _mm512_mul_ps(_mm512_div_ps(g, _mm512_add_ps(one, exp16(below))), u);
        _mm512_mask_storeu_ps(gate + i, mask, v);
    }
}

/* ----------------------------------------------------------- attention */

/* Half precision keys lie transposed, [head_size][64 positions]: a lane is a position, and no score needs a sum across lanes. Values lie
 * [64 positions][head_size]. Other types, and head sizes that are no multiple of 16, keep the plain order. */
static bool transposed(mllm_type type, uint32_t head_size) {
    return type == MLLM_F16 && head_size % 16 == 0;
}

static void store(mllm_type type, const float *row, uint32_t head_size, bool value, void *chunk, uint32_t at) {
    if (value || !transposed(type, head_size)) {
        mllm_store(type, row, head_size, value, chunk, at);
        return;
    }
    uint16_t *keys = chunk;
    for (uint32_t d = 0; d < head_size; d++) keys[d * MLLM_KV_CHUNK + at] = mllm_f32_to_f16(row[d]);
}

INLINE __m512 halves(const uint16_t *at) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)at));
}

/* heads is a constant where it is inlined: scores of 64 positions and sums of 64 dimensions live in registers. */
INLINE void attend_heads(const mllm_attention *a, uint32_t h, int heads, const uint16_t *keys, const uint16_t *values, uint32_t first,
                         uint32_t end, float *weights) {
    size_t hs = a->head_size;
    const float *q = a->q + h * hs;
    __m512 score[4][4];
    for (int k = 0; k < heads; k++)
        for (int j = 0; j < 4; j++) score[k][j] = _mm512_setzero_ps();
    for (size_t d = 0; d < hs; d++) {
        __m512 key[4];
        for (int j = 0; j < 4; j++) key[j] = halves(keys + d * MLLM_KV_CHUNK + 16 * j);
        for (int k = 0; k < heads; k++) {
            __m512 x = _mm512_set1_ps(q[(size_t)k * hs + d]);
            for (int j = 0; j < 4; j++) score[k][j] = _mm512_fmadd_ps(x, key[j], score[k][j]);
        }
    }
    const __m512 lowest = _mm512_set1_ps(-INFINITY), scale = _mm512_set1_ps(a->scale);
    uint64_t seen = (end == 64 ? ~0ull : (1ull << end) - 1) & ~((1ull << first) - 1);
    for (int k = 0; k < heads; k++) {
        __m512 top = lowest;
        for (int j = 0; j < 4; j++) {
            score[k][j] = _mm512_mask_mul_ps(lowest, (__mmask16)(seen >> 16 * j), score[k][j], scale);
            top = _mm512_max_ps(top, score[k][j]);
        }
        float before = a->max[h + (uint32_t)k], highest = _mm512_reduce_max_ps(top);
        if (before > highest) highest = before;
        float keep = before == -INFINITY ? 0 : _mm512_cvtss_f32(exp16(_mm512_set1_ps(before - highest)));
        __m512 sum = _mm512_setzero_ps();
        for (int j = 0; j < 4; j++) {
            __mmask16 mask = (__mmask16)(seen >> 16 * j);
            __m512 weight = _mm512_maskz_mov_ps(mask, exp16(_mm512_sub_ps(score[k][j], _mm512_set1_ps(highest))));
            sum = _mm512_add_ps(sum, weight);
            _mm512_storeu_ps(weights + k * MLLM_KV_CHUNK + 16 * j, weight);
        }
        a->max[h + (uint32_t)k] = highest;
        a->sum[h + (uint32_t)k] = a->sum[h + (uint32_t)k] * keep + _mm512_reduce_add_ps(sum);
        float *out = a->out + (h + (size_t)k) * hs;
        for (size_t d = 0; d < hs; d += 16) _mm512_storeu_ps(out + d, _mm512_mul_ps(_mm512_loadu_ps(out + d), _mm512_set1_ps(keep)));
    }
    for (size_t d = 0; d < hs; d += 64) {
        int blocks = hs - d < 64 ? (int)(hs - d) / 16 : 4;
        __m512 out[4][4];
        for (int k = 0; k < heads; k++)
            for (int j = 0; j < blocks; j++) out[k][j] = _mm512_loadu_ps(a->out + (h + (size_t)k) * hs + d + 16 * (size_t)j);
        for (uint32_t p = first; p < end; p++) {
            const uint16_t *value = values + p * hs + d;
            if (blocks == 4) {
                __m512 v[4];
                for (int j = 0; j < 4; j++) v[j] = halves(value + 16 * j);
                for (int k = 0; k < heads; k++) {
                    __m512 x = _mm512_set1_ps(weights[k * MLLM_KV_CHUNK + (int)p]);
                    for (int j = 0; j < 4; j++) out[k][j] = _mm512_fmadd_ps(x, v[j], out[k][j]);
                }
            } else
                for (int j = 0; j < blocks; j++) {
                    __m512 v = halves(value + 16 * j);
                    for (int k = 0; k < heads; k++)
                        out[k][j] = _mm512_fmadd_ps(_mm512_set1_ps(weights[k * MLLM_KV_CHUNK + (int)p]), v, out[k][j]);
                }
        }
        for (int k = 0; k < heads; k++)
            for (int j = 0; j < blocks; j++) _mm512_storeu_ps(a->out + (h + (size_t)k) * hs + d + 16 * (size_t)j, out[k][j]);
    }
}

TARGET static void attend(mllm_type type, const mllm_attention *a, const void *keys, const void *values, uint32_t first, uint32_t end,
                          void *scratch) {
    if (!transposed(type, a->head_size)) {
        mllm_attend(type, a, keys, values, first, end, scratch);
        return;
    }
    uint32_t h = 0;
    for (; h + 4 <= a->heads; h += 4) attend_heads(a, h, 4, keys, values, first, end, scratch);
    if (a->heads - h == 3) attend_heads(a, h, 3, keys, values, first, end, scratch);
    if (a->heads - h == 2) attend_heads(a, h, 2, keys, values, first, end, scratch);
    if (a->heads - h == 1) attend_heads(a, h, 1, keys, values, first, end, scratch);
}

const mllm_kernel mllm_kernel_avx512 = {
    .name = "avx512",
    .grain = 2 * ROWS, /* the panel of the float products, too */
    .available = available,
    .pack_bytes = pack_bytes,
    .pack = pack,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .product = product,
    .scratch_bytes = mllm_float_scratch,
    .product_rows = product_rows,
    .store = store,
    .attend = attend,
    .rms_norm = rms_norm,
    .swiglu = swiglu,
};
#endif
