/* vector_avx2.h - vectors of eight floats for vector_ops.h, and activations in eight bits: what the kernels on 256 bits share. The file that
 * includes it has defined TARGET, the function attribute that turns AVX2, FMA and F16C on. */
#include <immintrin.h>

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
#define v_brain(p)                                                                                                     \
    _mm256_castsi256_ps(                                                                                               \
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))), 16))
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

/* 32 activations -> 32 signed bytes, x = *d * q. */
INLINE __m256i round_group(const float *x, float *d) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 v[4], most = _mm256_setzero_ps();
    MLLM_UNROLL for (int j = 0; j < 4; j++) {
        v[j] = _mm256_loadu_ps(x + 8 * j);
        most = _mm256_max_ps(most, _mm256_andnot_ps(sign, v[j]));
    }
    float top = most_of_lanes(most);
    __m256 inverse = _mm256_set1_ps(top > 1e-35f ? 127.0f / top : 0); /* below, the reciprocal would overflow */
    __m256i q[4];
    MLLM_UNROLL for (int j = 0; j < 4; j++) q[j] = _mm256_cvtps_epi32(_mm256_mul_ps(v[j], inverse));
    *d = top / 127.0f;
    /* Packing takes from both 128-bit halves in turn: fours of bytes 0 2 4 6 | 1 3 5 7. What was not a number saturates. */
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

INLINE int32_t sum_bytes(__m256i bytes) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
    __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    __m128i x = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
    x = _mm_add_epi32(x, _mm_unpackhi_epi64(x, x));
    return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 1)));
}

/* A prepared row (packed.h) without its pairs. */
INLINE void prepare_bytes(const float *x, size_t cols, char *to) {
    mllm_prepared p = mllm_prepared_layout(cols);
    memcpy(to, x, cols * sizeof(float));
    float *d = (float *)(void *)(to + p.d);
    int32_t *sum8 = (int32_t *)(void *)(to + p.sum8), *sum4 = (int32_t *)(void *)(to + p.sum4);
    for (size_t g = 0; g < cols / MLLM_GROUP; g++) {
        __m256i bytes = round_group(x + g * MLLM_GROUP, &d[g]);
        int32_t sum = sum_bytes(bytes);
        sum8[g] = -128 * sum;
        sum4[g] = -8 * sum;
        _mm256_store_si256((__m256i *)(void *)(to + p.q + g * MLLM_GROUP), bytes);
    }
}

INLINE __m256i load_panel(const unsigned char *at) {
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

INLINE __m256i same_int(const char *at) {
    return _mm256_set1_epi32(*(const int32_t *)(const void *)at);
}

INLINE __m256 same_float(const char *at) {
    return _mm256_set1_ps(*(const float *)(const void *)at);
}
