/* kernel_avx2.c - AVX2 with FMA and F16C, for x86-64 without VNNI. A panel of packed.h is two vectors of eight rows. There is no exact
 * product of unsigned and signed bytes here (vpmaddubsw saturates), so:
 *
 *   P8  bytes are widened in their 16-bit halves, even columns and odd ones apart, and multiplied with pairs of 16-bit activations
 *       (vpmaddwd: exact). Measured against vpmaddubsw on |w| and q with the sign of w (vpsignb), which needs a vpmaddwd
 *       as well: 1.15 times as fast on Zen 4;
 *   P4  weights of 0..15 cannot saturate vpmaddubsw: 8 steps x 2 x 15 x 127 = 30480 fit into 16 bits, one vpmaddwd per group sums pairs.
 *
 * The sums are the same integers as on AVX-512, and floats are added in the same order. */
#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2,fma,f16c")))
#include "../base/cpu.h"
#include "vector_avx2.h"

static bool available(void) {
    return mllm_cpu_features()->avx2;
}

static size_t prepared_bytes(size_t cols) {
    return mllm_prepared_layout(cols).total + (2 * cols + 63) / 64 * 64;
}

TARGET static void prepare(const float *x, size_t cols, void *out) {
    mllm_prepared p = mllm_prepared_layout(cols);
    char *to = out;
    prepare_bytes(x, cols, to);
    const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
    for (size_t c = 0; c + 16 <= cols; c += 16) {
        __m128i q = _mm_shuffle_epi8(_mm_load_si128((const __m128i *)(const void *)(to + p.q + c)), order);
        _mm256_store_si256((__m256i *)(void *)(to + p.pairs + 2 * c), _mm256_cvtepi8_epi16(q));
    }
}

/* gcc takes sums of integers apart, to compute all products first, and then has no registers for them: here the order is meant. */
#define IN_ORDER(v) __asm__("" : "+x"(v))

/* dot + w . q, in 16 bits (P4) or 32. */
INLINE __m256i add_product(bool four, __m256i dot, __m256i w, __m256i q) {
    dot = four ? _mm256_add_epi16(dot, _mm256_maddubs_epi16(w, q)) : _mm256_add_epi32(dot, _mm256_madd_epi16(w, q));
    IN_ORDER(dot);
    return dot;
}

/* Sixteen registers: the integer sums of sixteen rows by four tokens are half of them, so an activation that was read serves both halves of the
 * panel; the floats wait in y, touched once a group. */
INLINE void panel_product(const unsigned char *panel, bool four, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]) {
    const __m256i low = four ? _mm256_set1_epi8(15) : _mm256_set1_epi16(255), ones = _mm256_set1_epi16(1);
    MLLM_UNROLL for (int t = 0; t < n; t++) MLLM_UNROLL for (int h = 0; h < 2; h++)
        _mm256_storeu_ps(y[t] + 8 * h, _mm256_setzero_ps());
    for (size_t g = 0; g < o->groups; g++, panel += four ? MLLM_P4_BYTES : MLLM_P8_BYTES) {
        __m256i dot[4][2];
        MLLM_UNROLL for (int t = 0; t < n; t++) dot[t][0] = dot[t][1] =
            four ? _mm256_setzero_si256() : same_int(o->x + (size_t)t * o->stride + o->p.sum8 + 4 * g);
        MLLM_UNROLL for (int s = 0; s < 8; s++) {
            if (four && s >= 4) continue; /* two columns in a byte */
            __m256i a[2], b[2]; /* low and high halves: of bytes, or of 16 bits */
            MLLM_UNROLL for (int h = 0; h < 2; h++) {
                __m256i w = load_panel(panel + 64 * s + 32 * h);
                a[h] = _mm256_and_si256(w, low);
                b[h] = four ? _mm256_and_si256(_mm256_srli_epi16(w, 4), low) : _mm256_srli_epi16(w, 8);
            }
            MLLM_UNROLL for (int t = 0; t < n; t++) {
                const char *row = o->x + (size_t)t * o->stride;
                const char *q = four ? row + o->p.q + g * MLLM_GROUP + 4 * (size_t)s
                                     : row + o->p.pairs + 2 * (g * MLLM_GROUP + 4 * (size_t)s);
                __m256i qa = same_int(q), qb = same_int(q + (four ? 16 : 4));
                MLLM_UNROLL for (int h = 0; h < 2; h++) {
                    dot[t][h] = add_product(four, dot[t][h], a[h], qa);
                    dot[t][h] = add_product(four, dot[t][h], b[h], qb);
                }
            }
        }
        MLLM_UNROLL for (int h = 0; h < 2; h++) {
            __m256 scale = v_half(panel + (four ? MLLM_P4_SCALES : MLLM_P8_SCALES) + 16 * h);
            MLLM_UNROLL for (int t = 0; t < n; t++) {
                const char *row = o->x + (size_t)t * o->stride;
                __m256i whole = dot[t][h];
                if (four) whole = _mm256_add_epi32(_mm256_madd_epi16(whole, ones), same_int(row + o->p.sum4 + 4 * g));
                __m256 d = same_float(row + o->p.d + 4 * g);
                _mm256_storeu_ps(y[t] + 8 * h, _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole), _mm256_mul_ps(scale, d),
                                                               _mm256_loadu_ps(y[t] + 8 * h)));
            }
        }
    }
}

#define KERNEL mllm_kernel_avx2
#define NAME "avx2"
#define PACK mllm_packed_fill
#define BY_FOURS panel_product
#include "packed_kernel.h"
#endif
