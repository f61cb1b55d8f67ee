/* half.h - the 16-bit float formats. To float exactly; from float rounded to nearest, ties to even, as hardware does. */
#ifndef MLLM_BASE_HALF_H
#define MLLM_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float mllm_float_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t mllm_bits_of_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 of fraction. */
static inline float mllm_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3FF;
    uint32_t bits;
    if (exponent == 0)
        bits = mllm_bits_of_float((float)fraction * 0x1p-24f); /* zero and the subnormal ones */
    else if (exponent == 31)
        bits = 0x7F800000u | fraction << 13;
    else
        bits = (exponent + 112) << 23 | fraction << 13;
    return mllm_float_of_bits(bits | sign);
}

static inline uint16_t mllm_f32_to_f16(float f) {
    uint32_t bits = mllm_bits_of_float(f), sign = bits >> 16 & 0x8000;
    bits &= 0x7FFFFFFFu;
    if (bits > 0x7F800000u) return (uint16_t)(sign | 0x7E00 | (bits >> 13 & 0x3FF)); /* not a number, made quiet */
    if (bits >= 0x477FF000u) return (uint16_t)(sign | 0x7C00); /* 65520 and more: infinity */
    if (bits <
        0x38800000u) /* below 2^-14: the last bit of 0.5 is worth 2^-24, so this addition rounds to the right place */
        return (uint16_t)(sign | (mllm_bits_of_float(mllm_float_of_bits(bits) + 0.5f) - 0x3F000000u));
    bits += 0xFFF + (bits >> 13 & 1);
    return (uint16_t)(sign | ((bits - (112u << 23)) >> 13));
}

/* bfloat16: the upper half of a float. */
static inline float mllm_bf16_to_f32(uint16_t h) {
    return mllm_float_of_bits((uint32_t)h << 16);
}

static inline uint16_t mllm_f32_to_bf16(float f) {
    uint32_t bits = mllm_bits_of_float(f);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

/* A 16-bit number at an address that need not be aligned (file formats are little endian, and so are the machines). */
static inline uint16_t mllm_load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#endif
