/* kernel_neon.c - aarch64 with the dot product of ARMv8.2. A panel of packed.h is four vectors of four rows: sdot multiplies four signed
 * bytes of each row with four activations, taken from a lane. Bytes of P8 become signed again by flipping their top bit; nibbles of P4
 * are small enough to be signed as they are. */
#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "../base/cpu.h"

#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define vf float32x4_t
enum { LANES = 4, HELD = 4 };
#define v_load(p) vld1q_f32(p)
#define v_store(p, v) vst1q_f32(p, v)
#define v_set1(x) vdupq_n_f32(x)
#define v_add(a, b) vaddq_f32(a, b)
#define v_sub(a, b) vsubq_f32(a, b)
#define v_mul(a, b) vmulq_f32(a, b)
#define v_div(a, b) vdivq_f32(a, b)
#define v_max(a, b) vmaxq_f32(a, b)
#define v_min(a, b) vminq_f32(a, b)
#define v_fma(a, b, c) vfmaq_f32(c, a, b)
#define v_sum(v) vaddvq_f32(v)
#define v_most(v) vmaxvq_f32(v)
#define v_round(v) vrndnq_f32(v)
#define v_scale(v, n)                                                                                                  \
    vmulq_f32(v, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23)))
#define v_half(p) vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))
#define v_brain(p) vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))
#define v_bytes(p) four_bytes(p)

TARGET static inline float32x4_t four_bytes(const unsigned char *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four))))));
}

#include "packed.h"
#include "vector_ops.h"

static bool available(void) {
    return mllm_cpu_features()->neon_dot;
}

static size_t prepared_bytes(size_t cols) {
    return mllm_prepared_layout(cols).total;
}

TARGET static void prepare(const float *x, size_t cols, void *out) {
    mllm_prepared p = mllm_prepared_layout(cols);
    char *to = out;
    memcpy(to, x, cols * sizeof(float));
    float *d = (float *)(void *)(to + p.d);
    int32_t *sum4 = (int32_t *)(void *)(to + p.sum4);
    for (size_t g = 0; g < cols / MLLM_GROUP; g++) {
        const float *at = x + g * MLLM_GROUP;
        float32x4_t most = vdupq_n_f32(0);
        for (int j = 0; j < MLLM_GROUP; j += 4) most = vmaxq_f32(most, vabsq_f32(vld1q_f32(at + j)));
        float top = vmaxvq_f32(most);
        float inverse = top > 1e-35f ? 127.0f / top : 0; /* below, the reciprocal would overflow */
        int8_t *q = (int8_t *)to + p.q + g * MLLM_GROUP;
        int32x4_t sum = vdupq_n_s32(0);
        for (int j = 0; j < MLLM_GROUP; j += 8) {
            int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(at + j), inverse));
            int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(at + j + 4), inverse));
            sum = vaddq_s32(sum, vaddq_s32(a, b));
            vst1_s8(q + j, vqmovn_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b))));
        }
        d[g] = top / 127.0f;
        sum4[g] = -8 * vaddvq_s32(sum);
    }
}

INLINE void panel_product(const unsigned char *panel, bool four, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]) {
    float32x4_t sum[4][4];
    MLLM_UNROLL for (int t = 0; t < n; t++) MLLM_UNROLL for (int r = 0; r < 4; r++) sum[t][r] = vdupq_n_f32(0);
    for (size_t g = 0; g < o->groups; g++, panel += four ? MLLM_P4_BYTES : MLLM_P8_BYTES) {
        const uint16_t *scales = (const uint16_t *)(const void *)(panel + (four ? MLLM_P4_SCALES : MLLM_P8_SCALES));
        MLLM_UNROLL for (int r = 0; r < 4; r++) { /* four rows: their 32 weights fill eight registers */
            int8x16_t w[8];
            if (four) MLLM_UNROLL for (int s = 0; s < 4; s++) {
                    uint8x16_t v = vld1q_u8(panel + 64 * s + 16 * r);
                    w[s] = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15)));
                    w[s + 4] = vreinterpretq_s8_u8(vshrq_n_u8(v, 4));
                }
            else
                MLLM_UNROLL for (int s = 0; s < 8; s++) w[s] =
                    vreinterpretq_s8_u8(veorq_u8(vld1q_u8(panel + 64 * s + 16 * r), vdupq_n_u8(0x80)));
            float32x4_t scale = v_half(scales + 4 * r);
            MLLM_UNROLL for (int t = 0; t < n; t++) {
                const char *row = o->x + (size_t)t * o->stride;
                const int8_t *q = (const int8_t *)row + o->p.q + g * MLLM_GROUP;
                int8x16_t a = vld1q_s8(q), b = vld1q_s8(q + 16);
                int32x4_t dot = vdupq_n_s32(four ? *(const int32_t *)(const void *)(row + o->p.sum4 + 4 * g) : 0);
                dot = vdotq_laneq_s32(dot, w[0], a, 0);
                dot = vdotq_laneq_s32(dot, w[1], a, 1);
                dot = vdotq_laneq_s32(dot, w[2], a, 2);
                dot = vdotq_laneq_s32(dot, w[3], a, 3);
                dot = vdotq_laneq_s32(dot, w[4], b, 0);
                dot = vdotq_laneq_s32(dot, w[5], b, 1);
                dot = vdotq_laneq_s32(dot, w[6], b, 2);
                dot = vdotq_laneq_s32(dot, w[7], b, 3);
                float d = *(const float *)(const void *)(row + o->p.d + 4 * g);
                sum[t][r] = vfmaq_f32(sum[t][r], vcvtq_f32_s32(dot), vmulq_n_f32(scale, d));
            }
        }
    }
    MLLM_UNROLL for (int t = 0; t < n; t++) MLLM_UNROLL for (int r = 0; r < 4; r++) vst1q_f32(y[t] + 4 * r, sum[t][r]);
}

INLINE void any_panel(const unsigned char *panel, bool four, const mllm_operand *whole, int n, float (*y)[MLLM_PANEL]) {
    mllm_operand o = *whole;
    for (; n > 0; n -= 4, y += 4, o.x += 4 * o.stride) switch (n) {
        case 1: panel_product(panel, four, &o, 1, y); break;
        case 2: panel_product(panel, four, &o, 2, y); break;
        case 3: panel_product(panel, four, &o, 3, y); break;
        default: panel_product(panel, four, &o, 4, y);
        }
}

#define KERNEL mllm_kernel_neon
#define NAME "neon"
#define PACK mllm_packed_fill
#include "packed_kernel.h"
#endif
