/* quant.c - the storage formats of weights. Layouts are ggml's (ggml-common.h, ggml-quants.c of llama.cpp, MIT); what is said
 * about a block here is all there is to know about it. A half is an IEEE binary16 at an even offset, little endian. */
#include "tensor.h"

#include <math.h>
#include <string.h>

#include "../base/half.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are read in place and are little endian"
#endif

static const mllm_type_info facts[] = {
    [MLLM_F32] = {"F32", 1, 4},         [MLLM_F16] = {"F16", 1, 2},       [MLLM_Q4_0] = {"Q4_0", 32, 18},
    [MLLM_Q4_1] = {"Q4_1", 32, 20},     [MLLM_Q5_0] = {"Q5_0", 32, 22},   [MLLM_Q5_1] = {"Q5_1", 32, 24},
    [MLLM_Q8_0] = {"Q8_0", 32, 34},     [MLLM_Q2_K] = {"Q2_K", 256, 84},  [MLLM_Q3_K] = {"Q3_K", 256, 110},
    [MLLM_Q4_K] = {"Q4_K", 256, 144},   [MLLM_Q5_K] = {"Q5_K", 256, 176}, [MLLM_Q6_K] = {"Q6_K", 256, 210},
    [MLLM_IQ4_NL] = {"IQ4_NL", 32, 18}, [MLLM_BF16] = {"BF16", 1, 2},
};
enum { TYPES = sizeof facts / sizeof *facts };

const mllm_type_info *mllm_type_facts(uint32_t type) {
    static const mllm_type_info p4 = {"P4", 32, 18}, p8 = {"P8", 32, 34}; /* a row's share of a panel */
    if (type == MLLM_P4) return &p4;
    if (type == MLLM_P8) return &p8;
    return type < TYPES && facts[type].name ? &facts[type] : NULL;
}

bool mllm_type_by_name(const char *name, mllm_type *type) {
    for (uint32_t t = 0; t < TYPES; t++) {
        const char *a = facts[t].name, *b = name;
        if (!a) continue;
        while (*a && (*a == *b || (*a >= 'A' && *a <= 'Z' && *b == *a + 32))) a++, b++;
        if (*a || *b) continue;
        *type = (mllm_type)t;
        return true;
    }
    return false;
}

size_t mllm_row_bytes(mllm_type type, size_t cols) {
    const mllm_type_info *f = mllm_type_facts(type);
    if (!f || cols % f->block || cols / f->block > SIZE_MAX / f->block_bytes) return 0;
    return cols / f->block * f->block_bytes;
}

/* ------------------------------------------------------------ expansion */

static float half_at(const uint8_t *p) {
    return mllm_f16_to_f32(mllm_load_u16(p));
}

/* {half d; u8 q[16]}: w[j] = d (low(q[j]) - 8), w[j + 16] = d (high(q[j]) - 8) */
static void q4_0(const uint8_t *b, float *w) {
    float d = half_at(b);
    const uint8_t *q = b + 2;
    for (int j = 0; j < 16; j++) {
        w[j] = d * (float)((q[j] & 15) - 8);
        w[j + 16] = d * (float)((q[j] >> 4) - 8);
    }
}

/* {half d, m; u8 q[16]}: w = d q + m */
static void q4_1(const uint8_t *b, float *w) {
    float d = half_at(b), m = half_at(b + 2);
    const uint8_t *q = b + 4;
    for (int j = 0; j < 16; j++) {
        w[j] = d * (float)(q[j] & 15) + m;
        w[j + 16] = d * (float)(q[j] >> 4) + m;
    }
}

/* The fifth bits of 32 weights: bit j belongs to w[j]. */
static uint32_t fifth_bits(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* {half d; u8 h[4]; u8 q[16]}: w = d (q + 16 h - 16) */
static void q5_0(const uint8_t *b, float *w) {
    float d = half_at(b);
    uint32_t h = fifth_bits(b + 2);
    const uint8_t *q = b + 6;
    for (int j = 0; j < 16; j++) {
        w[j] = d * (float)((int)((q[j] & 15) | (h >> j & 1) << 4) - 16);
        w[j + 16] = d * (float)((int)(q[j] >> 4 | (h >> (j + 16) & 1) << 4) - 16);
    }
}

/* {half d, m; u8 h[4]; u8 q[16]}: w = d (q + 16 h) + m */
static void q5_1(const uint8_t *b, float *w) {
    float d = half_at(b), m = half_at(b + 2);
    uint32_t h = fifth_bits(b + 4);
    const uint8_t *q = b + 8;
    for (int j = 0; j < 16; j++) {
        w[j] = d * (float)((q[j] & 15) | (h >> j & 1) << 4) + m;
        w[j + 16] = d * (float)(q[j] >> 4 | (h >> (j + 16) & 1) << 4) + m;
    }
}

/* {half d; i8 q[32]}: w = d q */
static void q8_0(const uint8_t *b, float *w) {
    float d = half_at(b);
    for (int j = 0; j < 32; j++) w[j] = d * (float)(int8_t)b[2 + j];
}

/* {half d; u8 q[16]}: w = d level[q] */
static void iq4_nl(const uint8_t *b, float *w) {
    static const float level[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    float d = half_at(b);
    for (int j = 0; j < 16; j++) {
        w[j] = d * level[b[2 + j] & 15];
        w[j + 16] = d * level[b[2 + j] >> 4];
    }
}

/* {u8 s[16]; u8 q[64]; half d, m}: 16 groups of 16, w = d low(s[g]) q - m high(s[g]). Groups 2k and 2k + 1 of a half of 128
 * are bits 2k, 2k + 1 of its 32 bytes. */
static void q2_k(const uint8_t *b, float *w) {
    const uint8_t *s = b, *q = b + 16;
    float d = half_at(b + 80), m = half_at(b + 82);
    for (int g = 0; g < 16; g++) {
        const uint8_t *from = q + 32 * (g / 8) + 16 * (g % 2);
        int shift = 2 * (g % 8 / 2);
        float scale = d * (float)(s[g] & 15), offset = m * (float)(s[g] >> 4);
        for (int l = 0; l < 16; l++) *w++ = scale * (float)(from[l] >> shift & 3) - offset;
    }
}

/* {u8 h[32]; u8 q[64]; u8 s[12]; half d}: w = d (s[g] - 32) (q - (h ? 0 : 4)). Groups as in Q2_K; the third bits of the 32
 * weights of groups 2k and 2k + 1 are bit k of h. Scale g has its low 4 bits in byte g % 8 (high nibble from g = 8 on), its upper
 * 2 bits at 2 (g / 4) of byte 8 + g % 4. */
static void q3_k(const uint8_t *b, float *w) {
    const uint8_t *h = b, *q = b + 32, *s = b + 96;
    float d = half_at(b + 108);
    for (int g = 0; g < 16; g++) {
        const uint8_t *from = q + 32 * (g / 8) + 16 * (g % 2), *third = h + 16 * (g % 2);
        int shift = 2 * (g % 8 / 2), bit = 1 << g / 2;
        int low = g < 8 ? s[g] & 15 : s[g - 8] >> 4, high = s[8 + g % 4] >> 2 * (g / 4) & 3;
        float scale = d * (float)((low | high << 4) - 32);
        for (int l = 0; l < 16; l++) *w++ = scale * (float)((from[l] >> shift & 3) - (third[l] & bit ? 0 : 4));
    }
}

/* Scale and offset g (6 bits each, 8 of both in 12 bytes) of Q4_K and Q5_K: the first four lie in bytes g and g + 4, the others
 * have their low 4 bits in the nibbles of byte g + 4 and their upper 2 in the top of bytes g - 4 and g. */
static void scale_and_offset(const uint8_t *s, int g, int *scale, int *offset) {
    if (g < 4) {
        *scale = s[g] & 63;
        *offset = s[g + 4] & 63;
    } else {
        *scale = (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
        *offset = s[g + 4] >> 4 | s[g] >> 6 << 4;
    }
}

/* {half d, m; u8 s[12]; u8 q[128]}: 8 groups of 32, w = d scale q - m offset. Groups 2k and 2k + 1 are the low and the high
 * nibbles of 32 bytes. */
static void q4_k(const uint8_t *b, float *w) {
    float d = half_at(b), m = half_at(b + 2);
    for (int g = 0; g < 8; g++) {
        int scale, offset, shift = 4 * (g % 2);
        scale_and_offset(b + 4, g, &scale, &offset);
        float ds = d * (float)scale, mo = m * (float)offset;
        const uint8_t *q = b + 16 + 32 * (g / 2);
        for (int l = 0; l < 32; l++) *w++ = ds * (float)(q[l] >> shift & 15) - mo;
    }
}

/* {half d, m; u8 s[12]; u8 h[32]; u8 q[128]}: as Q4_K with a fifth bit, bit g of h[l]. */
static void q5_k(const uint8_t *b, float *w) {
    float d = half_at(b), m = half_at(b + 2);
    const uint8_t *h = b + 16;
    for (int g = 0; g < 8; g++) {
        int scale, offset, shift = 4 * (g % 2);
        scale_and_offset(b + 4, g, &scale, &offset);
        float ds = d * (float)scale, mo = m * (float)offset;
        const uint8_t *q = b + 48 + 32 * (g / 2);
        for (int l = 0; l < 32; l++) *w++ = ds * (float)((q[l] >> shift & 15) | (h[l] >> g & 1) << 4) - mo;
    }
}

/* {u8 q[128]; u8 h[64]; i8 s[16]; half d}: 16 groups of 16, w = d s[g] (q + 16 h - 32). Each half of 128 has 64 bytes of q and 32
 * of h: weights 32k + l take the nibble k / 2 of q[32 (k % 2) + l] and bits 2k, 2k + 1 of h[l]. */
static void q6_k(const uint8_t *b, float *w) {
    float d = half_at(b + 208);
    for (int i = 0; i < 256; i++) {
        int half = i / 128, k = i % 128 / 32, l = i % 32;
        int low = b[64 * half + 32 * (k % 2) + l] >> 4 * (k / 2) & 15, high = b[128 + 32 * half + l] >> 2 * k & 3;
        w[i] = d * (float)(int8_t)b[192 + i / 16] * (float)((low | high << 4) - 32);
    }
}

void mllm_dequantize_row(mllm_type type, const void *row, float *out, size_t cols) {
    const uint8_t *p = row;
    void (*block)(const uint8_t *, float *) = NULL;
    switch (type) {
    case MLLM_F32: memcpy(out, row, cols * sizeof *out); return;
    case MLLM_F16:
        for (size_t i = 0; i < cols; i++) out[i] = half_at(p + 2 * i);
        return;
    case MLLM_BF16:
        for (size_t i = 0; i < cols; i++) out[i] = mllm_bf16_to_f32(mllm_load_u16(p + 2 * i));
        return;
    case MLLM_Q4_0: block = q4_0; break;
    case MLLM_Q4_1: block = q4_1; break;
    case MLLM_Q5_0: block = q5_0; break;
    case MLLM_Q5_1: block = q5_1; break;
    case MLLM_Q8_0: block = q8_0; break;
    case MLLM_Q2_K: block = q2_k; break;
    case MLLM_Q3_K: block = q3_k; break;
    case MLLM_Q4_K: block = q4_k; break;
    case MLLM_Q5_K: block = q5_k; break;
    case MLLM_Q6_K: block = q6_k; break;
    case MLLM_IQ4_NL: block = iq4_nl; break;
    case MLLM_P4:
    case MLLM_P8: break; /* a row does not lie in one piece: mllm_tensor_row */
    }
    const mllm_type_info *f = mllm_type_facts(type);
    if (!block || !f) return;
    for (size_t i = 0; i + f->block <= cols; i += f->block, p += f->block_bytes) block(p, out + i);
}

/* ------------------------------------------------------------- rounding */

static void put_half(uint8_t *p, uint16_t h) {
    memcpy(p, &h, sizeof h);
}

/* The largest magnitude of 32 weights; NAN when one is not finite. */
static float peak(const float *w) {
    float max = 0;
    for (int j = 0; j < 32; j++) {
        if (!isfinite(w[j])) return NAN;
        max = fmaxf(max, fabsf(w[j]));
    }
    return max;
}

static int clamp(float v, int low, int high) {
    v = nearbyintf(v);
    return v < (float)low ? low : v > (float)high ? high : (int)v;
}

/* The scale as it will be read back, and its inverse. */
static float stored_scale(float d, uint16_t *h, float *inverse) {
    *h = mllm_f32_to_f16(d);
    d = mllm_f16_to_f32(*h);
    *inverse = d != 0 ? 1 / d : 0;
    return d;
}

static bool round_q8_0(const float *w, uint8_t *b) {
    uint16_t h;
    float inverse, d = stored_scale(peak(w) / 127, &h, &inverse);
    if (!isfinite(d)) return false;
    put_half(b, h);
    for (int j = 0; j < 32; j++) b[2 + j] = (uint8_t)(int8_t)clamp(w[j] * inverse, -127, 127);
    return true;
}

/* Sixteen levels -8..7: the largest weight gets the end that has one more. A slightly smaller or larger scale often fits the other
 * 31 weights better, so a few are tried and the one with the smallest squared error is kept. */
static bool round_q4_0(const float *w, uint8_t *b) {
    float max = peak(w), best = INFINITY;
    if (!isfinite(max)) return false;
    for (int j = 0; j < 32; j++)
        if (fabsf(w[j]) == max) {
            max = w[j];
            break;
        }
    uint16_t chosen = 0;
    for (int k = -3; k <= 3; k++) {
        uint16_t h;
        float inverse, d = stored_scale(max / -(8 + 0.3f * (float)k), &h, &inverse), error = 0;
        if (!isfinite(d)) return false;
        for (int j = 0; j < 32; j++) {
            float e = w[j] - d * (float)clamp(w[j] * inverse, -8, 7);
            error += e * e;
        }
        if (error < best || k == -3) {
            best = error;
            chosen = h;
        }
    }
    float inverse;
    stored_scale(mllm_f16_to_f32(chosen), &chosen, &inverse);
    put_half(b, chosen);
    for (int j = 0; j < 16; j++) {
        int low = clamp(w[j] * inverse, -8, 7) + 8, high = clamp(w[j + 16] * inverse, -8, 7) + 8;
        b[2 + j] = (uint8_t)(low | high << 4);
    }
    return true;
}

bool mllm_quantize_row(mllm_type type, const float *in, void *row, size_t cols) {
    uint8_t *p = row;
    bool (*block)(const float *, uint8_t *) = NULL;
    switch (type) {
    case MLLM_F32: memcpy(row, in, cols * sizeof *in); return true;
    case MLLM_F16:
        for (size_t i = 0; i < cols; i++) put_half(p + 2 * i, mllm_f32_to_f16(in[i]));
        return true;
    case MLLM_BF16:
        for (size_t i = 0; i < cols; i++) put_half(p + 2 * i, mllm_f32_to_bf16(in[i]));
        return true;
    case MLLM_Q8_0: block = round_q8_0; break;
    case MLLM_Q4_0: block = round_q4_0; break;
    default: return false;
    }
    const mllm_type_info *f = mllm_type_facts(type);
    if (!f || cols % f->block) return false;
    for (size_t i = 0; i < cols; i += f->block, p += f->block_bytes)
        if (!block(in + i, p)) return false;
    return true;
}
