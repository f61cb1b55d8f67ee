/* kernel_avx2.c - AVX2 with FMA and F16C, for x86-64 without AVX-512. A panel of packed.h is two vectors of eight rows. There is no exact
 * product of unsigned and signed bytes here (vpmaddubsw saturates), so:
 *
 *   P8  bytes are widened in their 16-bit halves, even columns and odd ones apart, and multiplied with pairs of 16-bit activations
 *       (vpmaddwd: exact);
 *   P4  weights of 0..15 cannot saturate vpmaddubsw: 8 steps x 2 x 15 x 127 = 30480 fit into 16 bits, one vpmaddwd per group sums pairs.
 *
 * The sums are the same integers as on AVX-512, and floats are added in the same order. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "../base/cpu.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define vf __m256
enum { LANES = 8, HELD = 2 };
#define v_load(p) _mm256_loadu_ps(p)
#define v_store(p, v) _mm256_storeu_ps(p, v)
#define v_set1(x) _mm256_set1_ps(x)
#define v_add(a, b) _mm256_add_ps(a, b)
#define v_sub(a, b) _mm256_sub_ps(a, b)
#define v_mul(a, b) _mm256_mul_ps(a, b)
#define v_div(a, b) _mm256_div_ps(a, b)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_min(a, b) _mm256_min_ps(a, b)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_sum(v) sum_lanes(v)
#define v_most(v) most_of_lanes(v)
#define v_round(v) _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_scale(v, n) times_power(v, n)
#define v_half(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define v_bytes(p) _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p))))

TARGET static inline float sum_lanes(__m256 v) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

TARGET static inline float most_of_lanes(__m256 v) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

TARGET static inline __m256 times_power(__m256 v, __m256 n) {
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}

#include "packed.h"
#include "vector_ops.h"

static bool available(void) {
    return mllm_cpu_features()->avx2;
}

static size_t prepared_bytes(size_t cols) {
    return mllm_prepared_layout(cols).total + (2 * cols + 63) / 64 * 64;
}

TARGET static void prepare(const float *x, size_t cols, void *out) {
    mllm_prepared p = mllm_prepared_layout(cols);
    char *to = out;
    memcpy(to, x, cols * sizeof(float));
    float *d = (float *)(void *)(to + p.d);
    int32_t *sum8 = (int32_t *)(void *)(to + p.sum8), *sum4 = (int32_t *)(void *)(to + p.sum4);
    int16_t *pairs = (int16_t *)(void *)(to + p.pairs);
    const __m256 sign = _mm256_set1_ps(-0.0f);
    for (size_t g = 0; g < cols / MLLM_GROUP; g++) {
        const float *at = x + g * MLLM_GROUP;
        __m256 most = _mm256_setzero_ps();
        for (int j = 0; j < MLLM_GROUP; j += 8)
            most = _mm256_max_ps(most, _mm256_andnot_ps(sign, _mm256_loadu_ps(at + j)));
        float top = most_of_lanes(most);
        float inverse = top > 1e-35f ? 127.0f / top : 0; /* below, the reciprocal would overflow */
        int32_t q[MLLM_GROUP];
        int sum = 0;
        for (int j = 0; j < MLLM_GROUP; j += 8)
            _mm256_storeu_si256((__m256i *)(void *)(q + j),
                                _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(at + j), _mm256_set1_ps(inverse))));
        signed char *bytes = (signed char *)to + p.q + g * MLLM_GROUP;
        for (int j = 0; j < MLLM_GROUP; j++) {
            int v = q[j] < -128 ? -128 : q[j] > 127 ? 127 : q[j]; /* only what was not a number is outside */
            bytes[j] = (signed char)v;
            sum += v;
        }
        for (int s = 0; s < MLLM_GROUP; s += 4) {
            int16_t *pair = pairs + g * MLLM_GROUP + (size_t)s;
            pair[0] = bytes[s];
            pair[1] = bytes[s + 2];
            pair[2] = bytes[s + 1];
            pair[3] = bytes[s + 3];
        }
        d[g] = top / 127.0f;
        sum8[g] = -128 * sum;
        sum4[g] = -8 * sum;
    }
}

/* Sixteen registers: eight rows at a time, and at most four tokens. */
INLINE void half_panel8(const unsigned char *panel, const mllm_operand *o, int n, float (*y)[MLLM_PANEL], int half) {
    const __m256i low = _mm256_set1_epi16(255);
    __m256 sum[4];
    MLLM_UNROLL for (int t = 0; t < n; t++) sum[t] = _mm256_setzero_ps();
    for (size_t g = 0; g < o->groups; g++, panel += MLLM_P8_BYTES) {
        __m256i dot[4];
        MLLM_UNROLL for (int t = 0; t < n; t++) dot[t] =
            _mm256_set1_epi32(*(const int32_t *)(const void *)(o->x + (size_t)t * o->stride + o->p.sum8 + 4 * g));
        MLLM_UNROLL for (int s = 0; s < 8; s++) {
            __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(panel + 64 * s + 32 * half));
            __m256i even = _mm256_and_si256(w, low), odd = _mm256_srli_epi16(w, 8);
            MLLM_UNROLL for (int t = 0; t < n; t++) {
                const int32_t *pair = (const int32_t *)(const void *)(o->x + (size_t)t * o->stride + o->p.pairs +
                                                                      2 * (g * MLLM_GROUP + 4 * (size_t)s));
                dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(even, _mm256_set1_epi32(pair[0])));
                dot[t] = _mm256_add_epi32(dot[t], _mm256_madd_epi16(odd, _mm256_set1_epi32(pair[1])));
            }
        }
        __m256 scale = v_half(panel + MLLM_P8_SCALES + 16 * half);
        MLLM_UNROLL for (int t = 0; t < n; t++) {
            __m256 d = _mm256_set1_ps(*(const float *)(const void *)(o->x + (size_t)t * o->stride + o->p.d + 4 * g));
            sum[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[t]), _mm256_mul_ps(scale, d), sum[t]);
        }
    }
    MLLM_UNROLL for (int t = 0; t < n; t++) _mm256_storeu_ps(y[t] + 8 * half, sum[t]);
}

INLINE void half_panel4(const unsigned char *panel, const mllm_operand *o, int n, float (*y)[MLLM_PANEL], int half) {
    const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256 sum[4];
    MLLM_UNROLL for (int t = 0; t < n; t++) sum[t] = _mm256_setzero_ps();
    for (size_t g = 0; g < o->groups; g++, panel += MLLM_P4_BYTES) {
        __m256i dot[4];
        MLLM_UNROLL for (int t = 0; t < n; t++) dot[t] = _mm256_setzero_si256();
        MLLM_UNROLL for (int s = 0; s < 4; s++) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(panel + 64 * s + 32 * half));
            __m256i a = _mm256_and_si256(v, low), b = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
            MLLM_UNROLL for (int t = 0; t < n; t++) {
                const int32_t *q =
                    (const int32_t *)(const void *)(o->x + (size_t)t * o->stride + o->p.q + g * MLLM_GROUP);
                dot[t] = _mm256_add_epi16(dot[t], _mm256_maddubs_epi16(a, _mm256_set1_epi32(q[s])));
                dot[t] = _mm256_add_epi16(dot[t], _mm256_maddubs_epi16(b, _mm256_set1_epi32(q[s + 4])));
            }
        }
        __m256 scale = v_half(panel + MLLM_P4_SCALES + 16 * half);
        MLLM_UNROLL for (int t = 0; t < n; t++) {
            const char *row = o->x + (size_t)t * o->stride;
            __m256i whole =
                _mm256_add_epi32(_mm256_madd_epi16(dot[t], ones),
                                 _mm256_set1_epi32(*(const int32_t *)(const void *)(row + o->p.sum4 + 4 * g)));
            __m256 d = _mm256_set1_ps(*(const float *)(const void *)(row + o->p.d + 4 * g));
            sum[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), _mm256_mul_ps(scale, d), sum[t]);
        }
    }
    MLLM_UNROLL for (int t = 0; t < n; t++) _mm256_storeu_ps(y[t] + 8 * half, sum[t]);
}

INLINE void any_panel(const unsigned char *panel, bool four, const mllm_operand *whole, int n, float (*y)[MLLM_PANEL]) {
    mllm_operand o = *whole;
    for (; n > 0; n -= 4, y += 4, o.x += 4 * o.stride)
        for (int half = 0; half < 2; half++) switch (n) {
            case 1: four ? half_panel4(panel, &o, 1, y, half) : half_panel8(panel, &o, 1, y, half); break;
            case 2: four ? half_panel4(panel, &o, 2, y, half) : half_panel8(panel, &o, 2, y, half); break;
            case 3: four ? half_panel4(panel, &o, 3, y, half) : half_panel8(panel, &o, 3, y, half); break;
            default: four ? half_panel4(panel, &o, 4, y, half) : half_panel8(panel, &o, 4, y, half);
            }
}

#define KERNEL mllm_kernel_avx2
#define NAME "avx2"
#define PACK mllm_packed_fill
#include "packed_kernel.h"
#endif
