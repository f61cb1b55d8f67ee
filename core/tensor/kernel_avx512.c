/* kernel_avx512.c - AVX-512 with VNNI. A panel of packed.h is sixteen 32-bit lanes, one a row: vpdpbusd multiplies four unsigned weights of
 * each row with four signed activations, the same for all rows, and adds them to the lane. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "../base/cpu.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define vf __m512
enum { LANES = 16, HELD = 4 };
#define v_load(p) _mm512_loadu_ps(p)
#define v_store(p, v) _mm512_storeu_ps(p, v)
#define v_set1(x) _mm512_set1_ps(x)
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_div(a, b) _mm512_div_ps(a, b)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_sum(v) _mm512_reduce_add_ps(v)
#define v_most(v) _mm512_reduce_max_ps(v)
#define v_round(v) _mm512_roundscale_ps(v, 0)
#define v_scale(v, n) _mm512_scalef_ps(v, n)
#define v_half(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define v_brain(p)                                                                                                     \
    _mm512_castsi512_ps(                                                                                               \
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p))), 16))
#define v_bytes(p) _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))))

#include "packed.h"
#include "vector_ops.h"

static bool available(void) {
    return mllm_cpu_features()->avx512_vnni;
}

/* 16 bytes of each of 16 rows -> 4 vectors of 16 lanes: vector s holds bytes 4s .. 4s+3 of all rows, in their order. */
INLINE void transpose(const unsigned char *at, size_t row_bytes, __m512i *out) {
    __m512i z[4];
    MLLM_UNROLL for (size_t j = 0; j < 4; j++) { /* 128-bit lane l: row 4l + j */
        const unsigned char *row = at + j * row_bytes;
        z[j] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)row));
        z[j] = _mm512_inserti32x4(z[j], _mm_loadu_si128((const __m128i *)(const void *)(row + 4 * row_bytes)), 1);
        z[j] = _mm512_inserti32x4(z[j], _mm_loadu_si128((const __m128i *)(const void *)(row + 8 * row_bytes)), 2);
        z[j] = _mm512_inserti32x4(z[j], _mm_loadu_si128((const __m128i *)(const void *)(row + 12 * row_bytes)), 3);
    }
    __m512i a = _mm512_unpacklo_epi32(z[0], z[1]), b = _mm512_unpacklo_epi32(z[2], z[3]);
    __m512i c = _mm512_unpackhi_epi32(z[0], z[1]), d = _mm512_unpackhi_epi32(z[2], z[3]);
    out[0] = _mm512_unpacklo_epi64(a, b);
    out[1] = _mm512_unpackhi_epi64(a, b);
    out[2] = _mm512_unpacklo_epi64(c, d);
    out[3] = _mm512_unpackhi_epi64(c, d);
}

/* The same as mllm_packed_fill for Q8_0 and Q4_0, sixteen rows at a time: loading a model is mostly this. */
TARGET static void pack(const mllm_tensor *w, void *packed, size_t from, size_t to) {
    bool four = w->type == MLLM_Q4_0;
    size_t whole = four || w->type == MLLM_Q8_0 ? w->rows / MLLM_PANEL * MLLM_PANEL : 0, r = from;
    size_t groups = w->cols / MLLM_GROUP, bytes = mllm_packed_panel_bytes(w), block = four ? 18 : 34;
    const __m512i flip = _mm512_set1_epi32(four ? 0 : (int)0x80808080u); /* + 128 */
    for (; r < to && r < whole; r += MLLM_PANEL) {
        unsigned char *out = (unsigned char *)packed + r / MLLM_PANEL * bytes;
        const unsigned char *in = (const unsigned char *)w->data + r * w->row_bytes;
        for (size_t g = 0; g < groups; g++, in += block) {
            for (size_t half = 0; half < (four ? 1u : 2u); half++, out += 256) {
                __m512i v[4];
                transpose(in + 2 + 16 * half, w->row_bytes, v);
                MLLM_UNROLL for (int s = 0; s < 4; s++) _mm512_storeu_si512(out + 64 * s, _mm512_xor_si512(v[s], flip));
            }
            for (size_t lane = 0; lane < MLLM_PANEL; lane++, out += 2) memcpy(out, in + lane * w->row_bytes, 2);
        }
    }
    if (r < to) mllm_packed_fill(w, packed, r, to);
}

static size_t prepared_bytes(size_t cols) {
    return mllm_prepared_layout(cols).total;
}

TARGET static void prepare(const float *x, size_t cols, void *out) {
    mllm_prepared p = mllm_prepared_layout(cols);
    char *to = out;
    memcpy(to, x, cols * sizeof(float));
    float *d = (float *)(void *)(to + p.d);
    int32_t *sum8 = (int32_t *)(void *)(to + p.sum8), *sum4 = (int32_t *)(void *)(to + p.sum4);
    for (size_t g = 0; g < cols / MLLM_GROUP; g++) {
        __m512 a = _mm512_loadu_ps(x + g * MLLM_GROUP), b = _mm512_loadu_ps(x + g * MLLM_GROUP + 16);
        float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
        /* Below this the reciprocal would overflow; such a group adds nothing that a float sum would keep. */
        float inverse = most > 1e-35f ? 127.0f / most : 0;
        __m512 scale = _mm512_set1_ps(inverse);
        __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, scale)), qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, scale));
        int sum = _mm512_reduce_add_epi32(_mm512_add_epi32(qa, qb));
        d[g] = most / 127.0f;
        sum8[g] = -128 * sum;
        sum4[g] = -8 * sum;
        _mm_store_si128((__m128i *)(void *)(to + p.q + g * MLLM_GROUP), _mm512_cvtsepi32_epi8(qa));
        _mm_store_si128((__m128i *)(void *)(to + p.q + g * MLLM_GROUP + 16), _mm512_cvtsepi32_epi8(qb));
    }
}

/* Reading activations is what many tokens by one panel wait for: here each that was read serves two panels, and gcc must not read it again. */
#define IN_REGISTER(v) __asm__("" : "+v"(v))

INLINE __m512i same_int(const char *at) {
    return _mm512_set1_epi32(*(const int32_t *)(const void *)at);
}

enum { FEW = 4 };

/* n tokens, at most FEW, by one panel: the memory's speed. Panels follow one another, and the processor fetches them by itself. */
INLINE void few_tokens(const unsigned char *panel, bool four, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]) {
    const char *q = o->x + o->p.q, *sum = o->x + (four ? o->p.sum4 : o->p.sum8), *d = o->x + o->p.d;
    const __m512i low = _mm512_set1_epi8(15);
    __m512 all[FEW];
    MLLM_UNROLL for (int t = 0; t < n; t++) all[t] = _mm512_setzero_ps();
    for (size_t g = 0; g < o->groups; g++, panel += four ? MLLM_P4_BYTES : MLLM_P8_BYTES) {
        __m512i dot[FEW];
        MLLM_UNROLL for (int t = 0; t < n; t++) dot[t] = same_int(sum + (size_t)t * o->stride + 4 * g);
        MLLM_UNROLL for (size_t s = 0; s < 8; s++) {
            __m512i w = _mm512_loadu_si512(panel + 64 * (four ? s % 4 : s));
            if (four) w = _mm512_and_si512(s < 4 ? w : _mm512_srli_epi16(w, 4), low);
            MLLM_UNROLL for (int t = 0; t < n; t++) dot[t] =
                _mm512_dpbusd_epi32(dot[t], w, same_int(q + (size_t)t * o->stride + g * MLLM_GROUP + 4 * s));
        }
        __m512 scale = v_half(panel + (four ? MLLM_P4_SCALES : MLLM_P8_SCALES));
        MLLM_UNROLL for (int t = 0; t < n; t++) {
            const char *own = d + (size_t)t * o->stride + 4 * g;
            __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(*(const float *)(const void *)own));
            all[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[t]), both, all[t]);
        }
    }
    MLLM_UNROLL for (int t = 0; t < n; t++) _mm512_storeu_ps(y[t], all[t]);
}

/* n tokens by a panel and the one `second` bytes behind it: y[t] and y[MLLM_TILE + t]. `four` and `n` are constants where this is inlined.
 *
 * The processor does not see by itself that weights follow one another where several tokens share them and two panels are read in turns: they
 * are fetched, in their order, a panel and more ahead, into the L2 (fetched into the L1, they wait for its few buffers). */
INLINE void many_tokens(const unsigned char *panel, size_t second, bool four, const mllm_operand *o, int n,
                        float (*y)[MLLM_PANEL]) {
    enum { AHEAD = 4096 };
    const size_t sums = four ? o->p.sum4 : o->p.sum8;
    const __m512i low = _mm512_set1_epi8(15);
    const char *next = (const char *)panel + 2 * second + AHEAD;
    __m512 sum[2][MLLM_TILE];
    MLLM_UNROLL for (int h = 0; h < 2; h++) MLLM_UNROLL for (int t = 0; t < n; t++) sum[h][t] = _mm512_setzero_ps();
    for (size_t g = 0; g < o->groups; g++, panel += four ? MLLM_P4_BYTES : MLLM_P8_BYTES) {
        if (o->ahead) {
            MLLM_UNROLL for (int s = 0; s < 9; s++) _mm_prefetch(next + 64 * s, _MM_HINT_T1);
            if (!four) MLLM_UNROLL for (int s = 9; s < 17; s++) _mm_prefetch(next + 64 * s, _MM_HINT_T1);
            next += 2 * (four ? MLLM_P4_BYTES : MLLM_P8_BYTES);
        }
        __m512i dot[2][MLLM_TILE];
        MLLM_UNROLL for (int t = 0; t < n; t++) dot[0][t] = dot[1][t] =
            same_int(o->x + (size_t)t * o->stride + sums + 4 * g);
        MLLM_UNROLL for (size_t s = 0; s < 8; s++) {
            __m512i w[2];
            MLLM_UNROLL for (size_t h = 0; h < 2; h++) {
                w[h] = _mm512_loadu_si512(panel + h * second + 64 * (four ? s % 4 : s));
                if (four) w[h] = _mm512_and_si512(s < 4 ? w[h] : _mm512_srli_epi16(w[h], 4), low);
            }
            MLLM_UNROLL for (int t = 0; t < n; t++) {
                __m512i q = same_int(o->x + (size_t)t * o->stride + o->p.q + g * MLLM_GROUP + 4 * s);
                IN_REGISTER(q);
                MLLM_UNROLL for (int h = 0; h < 2; h++) {
                    dot[h][t] = _mm512_dpbusd_epi32(dot[h][t], w[h], q);
                    IN_REGISTER(dot[h][t]); /* in this order: sums taken apart would not fit */
                }
            }
        }
        MLLM_UNROLL for (size_t h = 0; h < 2; h++) {
            __m512 scale = v_half(panel + h * second + (four ? MLLM_P4_SCALES : MLLM_P8_SCALES));
            MLLM_UNROLL for (int t = 0; t < n; t++) {
                const char *d = o->x + (size_t)t * o->stride + o->p.d + 4 * g;
                __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(*(const float *)(const void *)d));
                sum[h][t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[h][t]), both, sum[h][t]);
            }
        }
    }
    MLLM_UNROLL for (int h = 0; h < 2; h++) MLLM_UNROLL for (int t = 0; t < n; t++)
        _mm512_storeu_ps(y[h * MLLM_TILE + t], sum[h][t]);
}

INLINE void few_pair(const unsigned char *panel, size_t second, bool four, const mllm_operand *o, int n,
                     float (*y)[MLLM_PANEL]) {
    for (int h = 0; h < 2; h++, panel += second, y += MLLM_TILE) switch (n) {
        case 4: few_tokens(panel, four, o, 4, y); break;
        case 3: few_tokens(panel, four, o, 3, y); break;
        case 2: few_tokens(panel, four, o, 2, y); break;
        default: few_tokens(panel, four, o, 1, y);
        }
}

INLINE void any_pair(const unsigned char *panel, size_t second, bool four, const mllm_operand *o, int n,
                     float (*y)[MLLM_PANEL]) {
    /* From where on two panels at once are faster was measured (SPEED.md). */
    if (n <= (four ? 2 : FEW)) {
        few_pair(panel, second, four, o, n, y);
        return;
    }
    switch (n) {
    case 8: many_tokens(panel, second, four, o, 8, y); break;
    case 7: many_tokens(panel, second, four, o, 7, y); break;
    case 6: many_tokens(panel, second, four, o, 6, y); break;
    case 5: many_tokens(panel, second, four, o, 5, y); break;
    case 4: many_tokens(panel, second, four, o, 4, y); break;
    default: many_tokens(panel, second, four, o, 3, y);
    }
}

TARGET static void pair8(const unsigned char *panel, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]) {
    any_pair(panel, o->groups * MLLM_P8_BYTES, false, o, n, y);
}

TARGET static void pair4(const unsigned char *panel, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]) {
    any_pair(panel, o->groups * MLLM_P4_BYTES, true, o, n, y);
}

/* A last panel without a neighbour stands beside itself. */
INLINE void any_panel(const unsigned char *panel, bool four, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]) {
    if (n == 1) {
        few_tokens(panel, four, o, 1, y);
        return;
    }
    float both[2 * MLLM_TILE][MLLM_PANEL];
    any_pair(panel, 0, four, o, n, both);
    memcpy(y, both, (size_t)n * sizeof *y);
}

#define PAIRS .pair8 = pair8, .pair4 = pair4
#define KERNEL mllm_kernel_avx512
#define NAME "avx512"
#define PACK pack
#include "packed_kernel.h"
#endif
