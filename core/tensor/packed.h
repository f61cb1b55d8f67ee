/* packed.h - the layout that the integer kernels share, for weights and for activations.
 *
 * Weights are repacked once, in panels of 16 rows and groups of 32 columns. A group of a panel is
 *
 *   P8 (544 bytes): 8 times 64 bytes, the bytes [row 0..15][column 4s .. 4s+3] of w + 128 as unsigned, s = 0..7; then 16 scales (half)
 *   P4 (288 bytes): 4 times 64 bytes, low nibbles the same for s = 0..3, high nibbles for s = 4..7, of w + 8; then 16 scales (half)
 *
 * so that a 32-bit lane belongs to a row and a dot product of four bytes per lane (vpdpbusd, sdot) needs no sum across lanes. Q4_0 becomes
 * P4 with the same weights, Q8_0 becomes P8 with the same weights; other quantized types are rounded to P8. F32, F16 and BF16 stay
 * as stored and are multiplied in floats.
 *
 * An activation row is rounded to signed bytes in the same groups, x = d * q. Then
 *
 *   y[r] = sum over groups  scale[r] * d * ( sum (w + B) q  -  B sum q ),   B = 128 or 8
 *
 * where the inner sums are exact integers and B sum q is known from the activation alone. Groups are added in order, one after the
 * other, for one token and for many: so results do not depend on how many tokens are computed together. */
#ifndef MLLM_TENSOR_PACKED_H
#define MLLM_TENSOR_PACKED_H

#include "kernel.h"

enum {
    MLLM_PANEL = 16,
    MLLM_GROUP = 32,
    MLLM_P8_SCALES = MLLM_PANEL * MLLM_GROUP,
    MLLM_P8_BYTES = MLLM_P8_SCALES + 2 * MLLM_PANEL,
    MLLM_P4_SCALES = MLLM_PANEL * MLLM_GROUP / 2,
    MLLM_P4_BYTES = MLLM_P4_SCALES + 2 * MLLM_PANEL
};

/* Bytes of the packed form, 0 for matrices that stay as stored. A tensor of a packed type is its own packed form. Rows [from, to) of it, from a multiple of MLLM_PANEL. */
size_t mllm_packed_bytes(const mllm_tensor *w);
void mllm_packed_fill(const mllm_tensor *w, void *packed, size_t from, size_t to);

/* P8 or P4: what packing makes of a tensor. */
static inline mllm_type mllm_packed_type(const mllm_tensor *w) {
    return w->type == MLLM_Q4_0 || w->type == MLLM_P4 ? MLLM_P4 : MLLM_P8;
}

static inline bool mllm_packed_is_p4(const mllm_tensor *w) {
    return w->type == MLLM_Q4_0 || w->type == MLLM_P4;
}

static inline size_t mllm_packed_panel_bytes(const mllm_tensor *w) {
    return w->cols / MLLM_GROUP * (mllm_packed_is_p4(w) ? MLLM_P4_BYTES : MLLM_P8_BYTES);
}

/* A prepared row, as byte offsets: floats [cols] at 0 | d [groups] | -128 sum q [groups] | -8 sum q [groups] | q [cols] bytes |
 * pairs [cols] of int16 (q 4s, q 4s+2, q 4s+1, q 4s+3: for processors that multiply 16-bit pairs). Each part starts at a multiple of 64. */
typedef struct {
    size_t d, sum8, sum4, q, pairs, total;
} mllm_prepared;

static inline mllm_prepared mllm_prepared_layout(size_t cols) {
    size_t groups = (cols / MLLM_GROUP * 4 + 63) / 64 * 64, floats = (cols * 4 + 63) / 64 * 64;
    mllm_prepared p = {.d = floats, .sum8 = floats + groups, .sum4 = floats + 2 * groups, .q = floats + 3 * groups};
    p.pairs = p.q + (cols + 63) / 64 * 64;
    p.total = p.pairs; /* a kernel that uses pairs adds 2 * cols */
    return p;
}

/* Products, with the panel function of a kernel: writes y[t][MLLM_PANEL] = panel . x[t] for n <= MLLM_TILE tokens. */
enum { MLLM_TILE = 8 };
typedef struct {
    const char *x; /* prepared row of the first token; the others follow stride bytes apart */
    size_t stride, groups;
    mllm_prepared p;
    bool ahead; /* these tokens are the first by this panel: what follows it in memory may be fetched meanwhile */
} mllm_operand;
typedef void (*mllm_panel_fn)(const unsigned char *panel, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]);
/* A kernel's ways with the two kinds of panel, and with matrices that are not packed. */
typedef struct {
    mllm_panel_fn p8, p4;
    mllm_panel_fn pair8,
        pair4; /* for several tokens: a panel and its neighbour, y[MLLM_TILE + t] is the neighbour's. NULL: none */
    const mllm_floats *floats;
} mllm_panel_ways;

void mllm_packed_product(const mllm_panel_ways *ways, const mllm_matrix *w, size_t from, size_t to, const void *x,
                         size_t x_stride, size_t m, float *y, size_t ldy, bool add, void *scratch);
void mllm_packed_product_rows(const mllm_panel_ways *ways, const mllm_matrix *w, const mllm_token *ids, size_t count,
                              const void *x, float *y, void *scratch);

#endif
