/* kernel_i8mm.c - aarch64 with the matrix products of ARMv8.6 (FEAT_I8MM; Neoverse V1 and N2, Cortex-A510 and later, Apple M2). usmmla
 * multiplies eight unsigned weights of two rows with eight signed activations of two tokens: 32 multiply-adds, where sdot has 16. From
 * FEW tokens on they are brought into that order, eight tokens to a tile; fewer go the way of kernel_neon.c, and so does everything else.
 * The same integers, floats added in the same order: the bits are those of `neon`. */
#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "../base/cpu.h"
#include "packed.h"

#define LENDER mllm_kernel_neon
#include "borrowed.h"

#define TARGET __attribute__((target("arch=armv8.2-a+dotprod+i8mm")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum {
    TILE = 8, /* tokens */
    FEW = 5, /* below, a tile is more instructions than the rows that it would hold */
    BLOCK = 4 * TILE, /* tokens brought into order at a time */
    CHUNKS = MLLM_GROUP / 8,
    PAIRS = TILE / 2
};

/* A group of a tile. */
typedef struct {
    int8_t q[PAIRS][CHUNKS][16]; /* eight columns of the even token, then of the odd one */
    float d[PAIRS][4]; /* even, odd, even, odd */
    int32_t offset[PAIRS][4]; /* -B sum q, as d */
} tile_group;

static bool available(void) {
    return mllm_cpu_features()->neon_dot && mllm_cpu_features()->neon_i8mm;
}

static size_t scratch_bytes(size_t cols) {
    size_t tiles = BLOCK / TILE * (cols / MLLM_GROUP) * sizeof(tile_group), floats = mllm_float_scratch(cols);
    return tiles > floats ? tiles : floats;
}

/* `n` prepared rows as a tile; the tokens that are not there are zeros. */
TARGET static void fill_tile(const char *x, size_t stride, size_t n, const mllm_prepared *p, size_t groups, bool four,
                             tile_group *out) {
    if (n < TILE) memset(out, 0, groups * sizeof *out);
    for (size_t t = 0; t < n; t++) {
        const char *row = x + t * stride;
        const int8_t *q = (const int8_t *)row + p->q;
        const float *d = (const float *)(const void *)(row + p->d);
        const int32_t *sum4 = (const int32_t *)(const void *)(row + p->sum4);
        for (size_t g = 0; g < groups; g++, q += MLLM_GROUP) {
            MLLM_UNROLL for (int c = 0; c < CHUNKS; c++) vst1_s8(&out[g].q[t / 2][c][8 * (t % 2)], vld1_s8(q + 8 * c));
            int32_t offset = four ? sum4[g] : 16 * sum4[g]; /* -8 sum q; -128 sum q */
            out[g].d[t / 2][t % 2] = out[g].d[t / 2][t % 2 + 2] = d[g];
            out[g].offset[t / 2][t % 2] = out[g].offset[t / 2][t % 2 + 2] = offset;
        }
    }
}

/* Four rows of a panel (from row 4 r) by a tile: y[token][row]. */
INLINE void four_rows(const unsigned char *panel, bool four, int r, const tile_group *x, size_t groups,
                      float (*y)[MLLM_PANEL]) {
    float32x4_t sum[PAIRS][2]; /* of two rows each: (row, even) (row, odd) (row + 1, even) (row + 1, odd) */
    MLLM_UNROLL for (int p = 0; p < PAIRS; p++) sum[p][0] = sum[p][1] = vdupq_n_f32(0);
    for (size_t g = 0; g < groups; g++, x++, panel += four ? MLLM_P4_BYTES : MLLM_P8_BYTES) {
        uint32x4_t v[2 * CHUNKS]; /* four rows by four columns */
        if (four) MLLM_UNROLL for (int s = 0; s < CHUNKS; s++) {
                uint8x16_t both = vld1q_u8(panel + 64 * s + 16 * r);
                v[s] = vreinterpretq_u32_u8(vandq_u8(both, vdupq_n_u8(15)));
                v[s + CHUNKS] = vreinterpretq_u32_u8(vshrq_n_u8(both, 4));
            }
        else
            MLLM_UNROLL for (int s = 0; s < 2 * CHUNKS; s++) v[s] =
                vreinterpretq_u32_u8(vld1q_u8(panel + 64 * s + 16 * r));
        uint8x16_t w[CHUNKS][2]; /* two rows by eight columns */
        MLLM_UNROLL for (int c = 0; c < CHUNKS; c++) {
            w[c][0] = vreinterpretq_u8_u32(vzip1q_u32(v[2 * c], v[2 * c + 1]));
            w[c][1] = vreinterpretq_u8_u32(vzip2q_u32(v[2 * c], v[2 * c + 1]));
        }
        const unsigned char *halves = panel + (four ? MLLM_P4_SCALES : MLLM_P8_SCALES) + 8 * r;
        float32x4_t scale = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(halves)));
        float32x4_t scales[2] = {vzip1q_f32(scale, scale), vzip2q_f32(scale, scale)};
        MLLM_UNROLL for (int p = 0; p < PAIRS; p++) {
            int32x4_t dot[2];
            dot[0] = dot[1] = vld1q_s32(x->offset[p]);
            MLLM_UNROLL for (int c = 0; c < CHUNKS; c++) {
                int8x16_t q = vld1q_s8(x->q[p][c]);
                dot[0] = vusmmlaq_s32(dot[0], w[c][0], q);
                dot[1] = vusmmlaq_s32(dot[1], w[c][1], q);
            }
            float32x4_t d = vld1q_f32(x->d[p]);
            MLLM_UNROLL for (int h = 0; h < 2; h++) sum[p][h] =
                vfmaq_f32(sum[p][h], vcvtq_f32_s32(dot[h]), vmulq_f32(scales[h], d));
        }
    }
    MLLM_UNROLL for (int p = 0; p < PAIRS; p++) {
        vst1q_f32(y[2 * p] + 4 * r, vuzp1q_f32(sum[p][0], sum[p][1]));
        vst1q_f32(y[2 * p + 1] + 4 * r, vuzp2q_f32(sum[p][0], sum[p][1]));
    }
}

TARGET static void tile8(const unsigned char *panel, const tile_group *x, size_t groups, float (*y)[MLLM_PANEL]) {
    for (int r = 0; r < MLLM_PANEL / 4; r++) four_rows(panel, false, r, x, groups, y);
}

TARGET static void tile4(const unsigned char *panel, const tile_group *x, size_t groups, float (*y)[MLLM_PANEL]) {
    for (int r = 0; r < MLLM_PANEL / 4; r++) four_rows(panel, true, r, x, groups, y);
}

static void put(float *restrict to, const float *restrict from, size_t n, bool add) {
    for (size_t j = 0; j < n; j++) to[j] = add ? to[j] + from[j] : from[j];
}

static void product(const mllm_matrix *w, size_t from, size_t to, const void *x, size_t x_stride, size_t m, float *y,
                    size_t ldy, bool add, void *scratch) {
    size_t tiled = !w->packed ? 0 : m % TILE < FEW ? m / TILE * TILE : m;
    size_t groups = w->stored.cols / MLLM_GROUP, panel_bytes = mllm_packed_panel_bytes(&w->stored);
    bool four = mllm_packed_is_p4(&w->stored);
    mllm_prepared layout = mllm_prepared_layout(w->stored.cols);
    tile_group *tiles = scratch;
    for (size_t i = 0; i < tiled; i += BLOCK) {
        size_t tokens = tiled - i < BLOCK ? tiled - i : BLOCK;
        for (size_t t = 0; t < tokens; t += TILE) {
            size_t n = tokens - t < TILE ? tokens - t : TILE;
            fill_tile((const char *)x + (i + t) * x_stride, x_stride, n, &layout, groups, four,
                      tiles + t / TILE * groups);
        }
        for (size_t r = from; r < to; r += MLLM_PANEL) {
            const unsigned char *panel = (const unsigned char *)w->packed + r / MLLM_PANEL * panel_bytes;
            size_t rows = to - r < MLLM_PANEL ? to - r : MLLM_PANEL;
            for (size_t t = 0; t < tokens; t += TILE) {
                float v[TILE][MLLM_PANEL];
                (four ? tile4 : tile8)(panel, tiles + t / TILE * groups, groups, v);
                for (size_t k = t; k < tokens && k < t + TILE; k++) put(y + (i + k) * ldy + r, v[k - t], rows, add);
            }
        }
    }
    if (tiled < m)
        mllm_kernel_neon.product(w, from, to, (const char *)x + tiled * x_stride, x_stride, m - tiled, y + tiled * ldy,
                                 ldy, add, scratch);
}

static size_t prepared_bytes(size_t cols) {
    return mllm_kernel_neon.prepared_bytes(cols);
}

static void prepare(const float *x, size_t cols, void *out) {
    mllm_kernel_neon.prepare(x, cols, out);
}

const mllm_kernel mllm_kernel_i8mm = {
    .name = "i8mm",
    .grain = 2 * MLLM_PANEL,
    .available = available,
    .pack_bytes = mllm_packed_bytes,
    .pack = mllm_packed_fill,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .product = product,
    .scratch_bytes = scratch_bytes,
    BORROWED,
};
#endif
