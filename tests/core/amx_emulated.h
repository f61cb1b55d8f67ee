/* amx_emulated.h - AMX tile instructions as plain loops, so that what uses them is tested on processors without. Included before the
 * source under test. */
#ifndef MLLM_TEST_AMX_EMULATED_H
#define MLLM_TEST_AMX_EMULATED_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

static unsigned char registers[8][16][64];
static int configured;

static void emulated_load(int t, const void *base, size_t stride) {
    for (size_t r = 0; r < 16; r++) memcpy(registers[t][r], (const char *)base + r * stride, 64);
}

static void emulated_store(int t, void *base, size_t stride) {
    for (size_t r = 0; r < 16; r++) memcpy((char *)base + r * stride, registers[t][r], 64);
}

static float of_bf16(const unsigned char *p) {
    uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* Intel's pseudocode of TDPBF16PS: c[m][n] += a[m][2k] b[k][2n] + a[m][2k+1] b[k][2n+1] */
static int broken; /* a machine whose tiles are wrong */
static void emulated_dot(int c, int a, int b) {
    if (broken) a = 4;
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 16; n++) {
            float sum;
            memcpy(&sum, &registers[c][m][4 * n], 4);
            for (int k = 0; k < 16; k++)
                for (int h = 0; h < 2; h++)
                    sum += of_bf16(&registers[a][m][4 * k + 2 * h]) * of_bf16(&registers[b][k][4 * n + 2 * h]);
            memcpy(&registers[c][m][4 * n], &sum, 4);
        }
}

static void emulated_config(const void *config) {
    const unsigned char *c = config;
    configured = c[0] == 1 && c[16] == 64 && c[48] == 16 && c[55] == 16;
}

#undef _tile_loadconfig
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_release
#define _tile_loadconfig(c) emulated_config(c)
#define _tile_loadd(t, base, stride) emulated_load(t, base, stride)
#define _tile_stored(t, base, stride) emulated_store(t, base, stride)
#define _tile_zero(t) memset(registers[t], 0, sizeof registers[t])
#define _tile_dpbf16ps(c, a, b) emulated_dot(c, a, b)
#define _tile_release() (configured = 0)
#define MLLM_AMX_EMULATED
#endif
