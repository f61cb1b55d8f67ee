/* Storage types: halves bit by bit, each block layout against a plain reading of its definition, rounding within its bound. */
#include "test.h"

#include <math.h>

#include "base/half.h"
#include "tensor/tensor.h"

static void halves(void) {
    for (uint32_t h = 0; h < 65536; h++) {
        float f = mllm_f16_to_f32((uint16_t)h);
        int exponent = h >> 10 & 31, fraction = h & 1023;
        double expected = exponent == 0    ? ldexp(fraction, -24)
                          : exponent == 31 ? (fraction ? NAN : INFINITY)
                                           : ldexp(1024 + fraction, exponent - 25);
        if (h & 0x8000) expected = -expected;
        if (isnan(expected)) {
            CHECK(isnan(f) && (mllm_f32_to_f16(f) & 0x7C00) == 0x7C00 && mllm_f32_to_f16(f) & 0x3FF, "%x", h);
        } else {
            CHECK((double)f == expected && !!signbit(f) == (int)(h >> 15), "%x: %g", h, (double)f);
            CHECK(mllm_f32_to_f16(f) == h, "%x", h);
        }
        if (exponent < 31 &&
            h < 0x7BFF) { /* the middle between neighbours goes to the even one, a hair beside it to the nearer */
            float next = mllm_f16_to_f32((uint16_t)(h + 1)), middle = (f + next) / 2;
            CHECK(mllm_f32_to_f16(middle) == h + (h & 1), "%x", h);
            CHECK(mllm_f32_to_f16(nextafterf(middle, 0)) == h && mllm_f32_to_f16(nextafterf(middle, 1e9f)) == h + 1,
                  "%x", h);
        }
        float b = mllm_bf16_to_f32((uint16_t)h);
        CHECK(mllm_bits_of_float(b) == h << 16 && (isnan(b) || mllm_f32_to_bf16(b) == h), "%x", h);
    }
    CHECK(mllm_f32_to_f16(65519.996f) == 0x7BFF && mllm_f32_to_f16(65520.0f) == 0x7C00 &&
          mllm_f32_to_f16(-1e30f) == 0xFC00);
    CHECK(mllm_f32_to_f16(0x1p-25f) == 0 && mllm_f32_to_f16(0x1.8p-25f) == 1 && mllm_f32_to_f16(1e-30f) == 0);
    CHECK(mllm_f32_to_bf16(mllm_float_of_bits(0x3F808000)) == 0x3F80, "tie to even");
    CHECK(mllm_f32_to_bf16(mllm_float_of_bits(0x3F818000)) == 0x3F82, "tie to even");
    CHECK(mllm_f32_to_bf16(mllm_float_of_bits(0x3F808001)) == 0x3F81);
    CHECK(mllm_f32_to_bf16(mllm_float_of_bits(0x7F800001)) == 0x7FC0, "not a number stays one");
    CHECK(mllm_f32_to_bf16(mllm_float_of_bits(0x7F7FFFFF)) == 0x7F80);
}

static void types(void) {
    static const struct {
        uint32_t number;
        const char *name;
        unsigned block, bytes;
    } all[] = {{0, "F32", 1, 4},       {1, "F16", 1, 2},       {2, "Q4_0", 32, 18},    {3, "Q4_1", 32, 20},
               {6, "Q5_0", 32, 22},    {7, "Q5_1", 32, 24},    {8, "Q8_0", 32, 34},    {10, "Q2_K", 256, 84},
               {11, "Q3_K", 256, 110}, {12, "Q4_K", 256, 144}, {13, "Q5_K", 256, 176}, {14, "Q6_K", 256, 210},
               {20, "IQ4_NL", 32, 18}, {30, "BF16", 1, 2}};
    size_t at = 0;
    for (uint32_t t = 0; t < 64; t++) {
        const mllm_type_info *f = mllm_type_facts(t);
        if (at == sizeof all / sizeof *all || all[at].number != t) {
            CHECK(!f, "%u", t);
            continue;
        }
        CHECK(f && strcmp(f->name, all[at].name) == 0 && f->block == all[at].block && f->block_bytes == all[at].bytes,
              "%u", t);
        CHECK(mllm_row_bytes((mllm_type)t, 512) == 512 / all[at].block * all[at].bytes);
        CHECK((mllm_row_bytes((mllm_type)t, SIZE_MAX / 256 * 256) == 0) == (all[at].bytes > all[at].block), "%u", t);
        mllm_type back;
        char lower[16] = {0};
        for (size_t i = 0; all[at].name[i]; i++)
            lower[i] =
                (char)(all[at].name[i] >= 'A' && all[at].name[i] <= 'Z' ? all[at].name[i] + 32 : all[at].name[i]);
        CHECK(mllm_type_by_name(all[at].name, &back) && (uint32_t)back == t);
        CHECK(mllm_type_by_name(lower, &back) && (uint32_t)back == t);
        at++;
    }
    CHECK(at == sizeof all / sizeof *all);
    mllm_type none;
    CHECK(!mllm_type_by_name("q8", &none) && !mllm_type_by_name("q8_00", &none) && !mllm_type_by_name("", &none));
    CHECK(mllm_row_bytes(MLLM_Q8_0, 33) == 0 && mllm_row_bytes(MLLM_Q4_K, 128) == 0 &&
          mllm_row_bytes((mllm_type)5, 32) == 0);
}

/* Little blocks made by hand: the first bytes chosen so that every field shows. */
static void layouts(void) {
    float w[256];
    uint8_t b[256] = {0};
    uint16_t one = 0x3C00, two = 0x4000;
#define HALF(at, h) memcpy(b + (at), &(h), 2)
    HALF(0, one);
    b[2] = 0x9F, b[17] = 0x01;
    mllm_dequantize_row(MLLM_Q4_0, b, w, 32);
    CHECK(w[0] == 7 && w[16] == 1 && w[1] == -8 && w[15] == -7 && w[31] == -8);
    mllm_dequantize_row(MLLM_IQ4_NL, b, w, 32);
    CHECK(w[0] == 113 && w[16] == 13 && w[1] == -127 && w[15] == -104);
    memset(b, 0, sizeof b);
    HALF(0, two), HALF(2, one);
    b[4] = 0x9F;
    mllm_dequantize_row(MLLM_Q4_1, b, w, 32);
    CHECK(w[0] == 31 && w[16] == 19 && w[1] == 1);
    memset(b, 0, sizeof b);
    HALF(0, two);
    b[2] = 0x01, b[4] = 0x02, b[6] = 0x9F, b[7] = 0x11;
    mllm_dequantize_row(MLLM_Q5_0, b, w, 32);
    CHECK(w[0] == 2 * (31 - 16) && w[16] == 2 * (9 - 16) && w[1] == 2 * (1 - 16) && w[17] == 2 * (17 - 16) &&
          w[2] == -32);
    memset(b, 0, sizeof b);
    HALF(0, two), HALF(2, one);
    b[4] = 0x01, b[6] = 0x02, b[8] = 0x9F, b[9] = 0x11;
    mllm_dequantize_row(MLLM_Q5_1, b, w, 32);
    CHECK(w[0] == 63 && w[16] == 19 && w[1] == 3 && w[17] == 35 && w[2] == 1);
    memset(b, 0, sizeof b);
    HALF(0, two);
    b[2] = 0x80, b[33] = 0x7F;
    mllm_dequantize_row(MLLM_Q8_0, b, w, 32);
    CHECK(w[0] == -256 && w[31] == 254 && w[1] == 0);

    memset(b, 0, sizeof b);
    HALF(80, two), HALF(82, one);
    b[0] = 0x31, b[3] = 0x21, b[9] = 0x05, b[16] = 0xE4, b[16 + 16] = 0x0C, b[16 + 48] = 0x03;
    mllm_dequantize_row(MLLM_Q2_K, b, w, 256);
    CHECK(w[0] == 2 * 1 * 0 - 3 && w[1] == -3, "group 0");
    CHECK(w[48] == 2 * 1 * 3 - 2 && w[49] == -2, "group 3: bits 2 and 3 of byte 16");
    CHECK(w[144] == 2 * 5 * 3 && w[145] == 0, "group 9: second half, upper 16");

    memset(b, 0, sizeof b);
    HALF(108, one);
    /* scale 5: low nibble of byte 5, upper bits at 2 of byte 9; scale 14: high nibble of byte 6, upper bits at 6 of byte 10. */
    b[96 + 5] = 0x07, b[96 + 9] = 0x0C, b[96 + 6] = 0x20, b[96 + 10] = 0x80;
    b[16] = 0x04, b[32 + 16] = 0x30; /* group 5: third bit is bit 2 of h[16]; q at 4 of byte 16 */
    b[0] = 0x80, b[32 + 32] = 0x40; /* group 14: bit 7 of h[0]; q at 6 of byte 32 */
    mllm_dequantize_row(MLLM_Q3_K, b, w, 256);
    CHECK(w[80] == (float)((7 | 3 << 4) - 32) * 3 && w[81] == (float)((7 | 3 << 4) - 32) * -4, "%g %g", (double)w[80],
          (double)w[81]);
    CHECK(w[224] == (float)((2 | 2 << 4) - 32) * 1 && w[225] == (float)((2 | 2 << 4) - 32) * -4);
    CHECK(w[1] == -32 * -4);

    for (int five = 0; five < 2; five++) {
        memset(b, 0, sizeof b);
        HALF(0, two), HALF(2, one);
        b[4 + 1] = 5 | 2 << 6, b[4 + 5] = 9 | 1 << 6; /* group 1 directly; their tops belong to group 5 */
        b[4 + 9] = 0x7B; /* group 5: low bits 11 and 7 */
        uint8_t *q = b + (five ? 48 : 16);
        q[0] = 0xA3, q[32 * 2 + 31] = 0xC0;
        if (five) b[16] = 0x02, b[16 + 31] = 0x20;
        mllm_dequantize_row(five ? MLLM_Q5_K : MLLM_Q4_K, b, w, 256);
        float up = five ? 16 : 0;
        CHECK(w[32] == 2 * 5 * (10 + up) - 9 && w[33] == -9, "%g", (double)w[32]);
        CHECK(w[191] == 2 * (11 | 2 << 4) * (12 + up) - (7 | 1 << 4), "%g", (double)w[191]);
        CHECK(w[0] == 0);
    }

    memset(b, 0, sizeof b);
    HALF(208, two);
    b[192 + 3] = 0xFD, b[192 + 14] = 4;
    b[32 + 16] = 0x05, b[128 + 16] = 0x0C; /* weight 48 = 32 * 1 + 16: group 3 */
    b[64 + 0] = 0x90, b[128 + 32] = 0x20 | 0xC0; /* weights 192 (k = 2) and 224 (k = 3, group 14) */
    b[64 + 32] = 0x30;
    mllm_dequantize_row(MLLM_Q6_K, b, w, 256);
    CHECK(w[48] == 2 * -3 * (float)((5 | 3 << 4) - 32), "%g", (double)w[48]);
    CHECK(w[224] == 2 * 4 * (float)((3 | 3 << 4) - 32), "%g", (double)w[224]);
    CHECK(w[192] == 0 && w[225] == 2 * 4 * -32);
}

static uint64_t state = 42;
static float noise(void) {
    float sum = 0;
    for (int i = 0; i < 6; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        sum += (float)(state >> 40) / 16777216.0f - 0.5f;
    }
    return sum;
}

static void rounding(void) {
    enum { N = 4096 };
    static float in[N], out[N];
    static uint8_t row[N * 4];
    for (int i = 0; i < N; i++) in[i] = 0.02f * noise() * (i < 64 ? 1e-5f : 1);
    static const struct {
        mllm_type type;
        float bound; /* of the error, per largest weight of the block */
    } cases[] = {
        {MLLM_F32, 0}, {MLLM_F16, 0x1p-10f}, {MLLM_BF16, 0x1p-8f}, {MLLM_Q8_0, 0.51f / 127}, {MLLM_Q4_0, 0.17f}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        CHECK(mllm_quantize_row(cases[c].type, in, row, N));
        mllm_dequantize_row(cases[c].type, row, out, N);
        for (int i = 64; i < N; i += 32) { /* the first blocks are below what a half can scale */
            float max = 0;
            for (int j = i; j < i + 32; j++) max = fmaxf(max, fabsf(in[j]));
            for (int j = i; j < i + 32; j++)
                CHECK(fabsf(out[j] - in[j]) <= cases[c].bound * max, "type %d: %g %g", cases[c].type, (double)in[j],
                      (double)out[j]);
        }
    }
    /* What was rounded once stays as it is. */
    CHECK(mllm_quantize_row(MLLM_Q8_0, in, row, N));
    mllm_dequantize_row(MLLM_Q8_0, row, in, N);
    CHECK(mllm_quantize_row(MLLM_Q8_0, in, row, N));
    mllm_dequantize_row(MLLM_Q8_0, row, out, N);
    CHECK(memcmp(in + 64, out + 64, (N - 64) * sizeof *in) == 0);

    memset(in, 0, sizeof in);
    CHECK(mllm_quantize_row(MLLM_Q4_0, in, row, 32));
    mllm_dequantize_row(MLLM_Q4_0, row, out, 32);
    CHECK(out[0] == 0 && out[31] == 0);
    CHECK(!mllm_quantize_row(MLLM_Q6_K, in, row, 256) && !mllm_quantize_row(MLLM_Q8_0, in, row, 31));
    in[5] = INFINITY;
    CHECK(!mllm_quantize_row(MLLM_Q8_0, in, row, 32) && !mllm_quantize_row(MLLM_Q4_0, in, row, 32));
    in[5] = NAN;
    CHECK(!mllm_quantize_row(MLLM_Q8_0, in, row, 32) && !mllm_quantize_row(MLLM_Q4_0, in, row, 32));
    in[5] = 1e30f;
    CHECK(!mllm_quantize_row(MLLM_Q8_0, in, row, 32) && !mllm_quantize_row(MLLM_Q4_0, in, row, 32));
}

static const test_case tests[] = {{"halves", halves}, {"types", types}, {"layouts", layouts}, {"rounding", rounding}};
TEST_MAIN(tests)
