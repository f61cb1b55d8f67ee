/* kernel_avxvnni.c - AVX-VNNI: vpdpbusd on 256 bits, for processors that have it without AVX-512 (Intel's from Alder Lake on). A panel of
 * packed.h is two vectors of eight 32-bit lanes, one a row: four unsigned weights of each row are multiplied with four signed
 * activations, the same for all rows, and added to the lane. The same integers as on AVX-512, floats added in the same order. */
#if defined(__x86_64__)
#ifndef MLLM_AVXVNNI_ELSEWHERE /* a test takes the instruction from AVX-512, to check all the rest on processors without it */
#define TARGET __attribute__((target("avx2,fma,f16c,avxvnni")))
#endif
#include "../base/cpu.h"
#include "vector_avx2.h"

#ifndef MLLM_AVXVNNI_ELSEWHERE
#define add_fours(dot, w, q) _mm256_dpbusd_avx_epi32(dot, w, q)

static bool available(void) {
    return mllm_cpu_features()->avx_vnni;
}
#endif

static size_t prepared_bytes(size_t cols) {
    return mllm_prepared_layout(cols).total;
}

TARGET static void prepare(const float *x, size_t cols, void *out) {
    prepare_bytes(x, cols, out);
}

/* Sixteen registers: the integer sums of sixteen rows by four tokens are half of them; the floats wait in y, touched once a group. */
INLINE void panel_product(const unsigned char *panel, bool four, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]) {
    const __m256i low = _mm256_set1_epi8(15);
    const size_t sums = four ? o->p.sum4 : o->p.sum8;
    MLLM_UNROLL for (int t = 0; t < n; t++) MLLM_UNROLL for (int h = 0; h < 2; h++)
        _mm256_storeu_ps(y[t] + 8 * h, _mm256_setzero_ps());
    for (size_t g = 0; g < o->groups; g++, panel += four ? MLLM_P4_BYTES : MLLM_P8_BYTES) {
        __m256i dot[4][2];
        MLLM_UNROLL for (int t = 0; t < n; t++) dot[t][0] = dot[t][1] =
            same_int(o->x + (size_t)t * o->stride + sums + 4 * g);
        MLLM_UNROLL for (int s = 0; s < 8; s++) {
            __m256i w[2];
            MLLM_UNROLL for (int h = 0; h < 2; h++) {
                w[h] = load_panel(panel + 64 * (four ? s % 4 : s) + 32 * h);
                if (four) w[h] = _mm256_and_si256(s < 4 ? w[h] : _mm256_srli_epi16(w[h], 4), low);
            }
            MLLM_UNROLL for (int t = 0; t < n; t++) {
                __m256i q = same_int(o->x + (size_t)t * o->stride + o->p.q + g * MLLM_GROUP + 4 * (size_t)s);
                MLLM_UNROLL for (int h = 0; h < 2; h++) dot[t][h] = add_fours(dot[t][h], w[h], q);
            }
        }
        MLLM_UNROLL for (int h = 0; h < 2; h++) {
            __m256 scale = v_half(panel + (four ? MLLM_P4_SCALES : MLLM_P8_SCALES) + 16 * h);
            MLLM_UNROLL for (int t = 0; t < n; t++) {
                __m256 d = same_float(o->x + (size_t)t * o->stride + o->p.d + 4 * g);
                _mm256_storeu_ps(y[t] + 8 * h, _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[t][h]), _mm256_mul_ps(scale, d),
                                                               _mm256_loadu_ps(y[t] + 8 * h)));
            }
        }
    }
}

#define KERNEL mllm_kernel_avxvnni
#define NAME "avxvnni"
#define PACK mllm_packed_fill
#define BY_FOURS panel_product
#include "packed_kernel.h"
#endif
