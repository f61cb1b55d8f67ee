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

/* Four rows of a group, from row 4 r: their 32 weights fill eight registers, nibbles less `less`. Returns their scales. */
INLINE float32x4_t four_rows(const unsigned char *panel, bool four, int8_t less, int r, int8x16_t *w) {
    if (four) MLLM_UNROLL for (int s = 0; s < 4; s++) {
            uint8x16_t v = vld1q_u8(panel + 64 * s + 16 * r);
            w[s] = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15))), vdupq_n_s8(less));
            w[s + 4] = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(v, 4)), vdupq_n_s8(less));
        }
    else
        MLLM_UNROLL for (int s = 0; s < 8; s++) w[s] =
            vreinterpretq_s8_u8(veorq_u8(vld1q_u8(panel + 64 * s + 16 * r), vdupq_n_u8(0x80)));
    return v_half((const uint16_t *)(const void *)(panel + (four ? MLLM_P4_SCALES : MLLM_P8_SCALES)) + 4 * r);
}

/* sum + (four rows . 32 activations q + offset) * scale * d. */
INLINE float32x4_t add_group(float32x4_t sum, const int8x16_t *w, float32x4_t scale, const char *q, int32_t offset,
                             float d) {
    int8x16_t a = vld1q_s8((const int8_t *)q), b = vld1q_s8((const int8_t *)q + 16);
    int32x4_t dot = vdupq_n_s32(offset);
    dot = vdotq_laneq_s32(dot, w[0], a, 0);
    dot = vdotq_laneq_s32(dot, w[1], a, 1);
    dot = vdotq_laneq_s32(dot, w[2], a, 2);
    dot = vdotq_laneq_s32(dot, w[3], a, 3);
    dot = vdotq_laneq_s32(dot, w[4], b, 0);
    dot = vdotq_laneq_s32(dot, w[5], b, 1);
    dot = vdotq_laneq_s32(dot, w[6], b, 2);
    dot = vdotq_laneq_s32(dot, w[7], b, 3);
    return vfmaq_f32(sum, vcvtq_f32_s32(dot), vmulq_n_f32(scale, d));
}

/* Four rows by MLLM_TILE tokens: the weights are brought into registers once for all of them, and the nibbles centred there. */
INLINE void tile_rows(const unsigned char *panel, bool four, const mllm_operand *o, int r, float (*y)[MLLM_PANEL]) {
    float32x4_t sum[MLLM_TILE];
    const char *row[MLLM_TILE];
    MLLM_UNROLL for (int t = 0; t < MLLM_TILE; t++) {
        sum[t] = vdupq_n_f32(0);
        row[t] = o->x + (size_t)t * o->stride;
    }
    size_t groups = o->groups, q = o->p.q, d = o->p.d;
    for (size_t g = 0; g < groups; g++, panel += four ? MLLM_P4_BYTES : MLLM_P8_BYTES) {
        /* Eight row pointers and two offsets: left alone, gcc keeps and moves sixteen pointers. */
        MLLM_UNROLL for (int t = 0; t < MLLM_TILE; t++) __asm__("" : "+r"(row[t]));
        int8x16_t w[8];
        float32x4_t scale = four_rows(panel, four, 8, r, w);
        MLLM_UNROLL for (int t = 0; t < MLLM_TILE; t++) sum[t] =
            add_group(sum[t], w, scale, row[t] + q + g * MLLM_GROUP, 0,
                      *(const float *)(const void *)(row[t] + d + g * sizeof(float)));
    }
    MLLM_UNROLL for (int t = 0; t < MLLM_TILE; t++) vst1q_f32(y[t] + 4 * r, sum[t]);
}

INLINE void tile_product(const unsigned char *panel, bool four, const mllm_operand *o, float (*y)[MLLM_PANEL]) {
    for (int r = 0; r < 4; r++) tile_rows(panel, four, o, r, y);
}

/* All sixteen rows by few tokens, group by group as they lie in memory. */
INLINE void panel_product(const unsigned char *panel, bool four, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]) {
    float32x4_t sum[4][4];
    MLLM_UNROLL for (int t = 0; t < n; t++) MLLM_UNROLL for (int r = 0; r < 4; r++) sum[t][r] = vdupq_n_f32(0);
    for (size_t g = 0; g < o->groups; g++, panel += four ? MLLM_P4_BYTES : MLLM_P8_BYTES)
        MLLM_UNROLL for (int r = 0; r < 4; r++) {
            int8x16_t w[8];
            float32x4_t scale = four_rows(panel, four, 0, r, w);
            MLLM_UNROLL for (int t = 0; t < n; t++) {
                const char *row = o->x + (size_t)t * o->stride;
                int32_t offset = four ? *(const int32_t *)(const void *)(row + o->p.sum4 + 4 * g) : 0;
                float d = *(const float *)(const void *)(row + o->p.d + 4 * g);
                sum[t][r] = add_group(sum[t][r], w, scale, row + o->p.q + g * MLLM_GROUP, offset, d);
            }
        }
    MLLM_UNROLL for (int t = 0; t < n; t++) MLLM_UNROLL for (int r = 0; r < 4; r++) vst1q_f32(y[t] + 4 * r, sum[t][r]);
}

#define KERNEL mllm_kernel_neon
#define NAME "neon"
#define PACK mllm_packed_fill
#define BY_FOURS panel_product
#define WHOLE_TILE tile_product
#include "packed_kernel.h"
#endif
