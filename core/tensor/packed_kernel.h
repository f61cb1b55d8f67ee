/* packed_kernel.h - the end of a kernel file on packed weights: its products and its table. Included once, last, after vector_ops.h and
 *
 *   any_panel(panel, four, operand, n, y)   an inline function: y[t] = panel . token t for n <= MLLM_TILE tokens of either kind of panel;
 *                                           or BY_FOURS, the name of one for n <= 4, and where it pays WHOLE_TILE, the name of one
 *                                           for MLLM_TILE (without n)
 *   available, prepare, prepared_bytes      as in the table
 *   KERNEL, NAME, PACK                      the table's symbol, its name, and the function that packs rows
 *   PAIRS                                   where it has them: the functions for two panels, as fields of mllm_panel_ways */
#include "packed.h"

#ifdef BY_FOURS
INLINE void any_panel(const unsigned char *panel, bool four, const mllm_operand *whole, int n, float (*y)[MLLM_PANEL]) {
#ifdef WHOLE_TILE
    if (n == MLLM_TILE) {
        WHOLE_TILE(panel, four, whole, y);
        return;
    }
#endif
    mllm_operand o = *whole;
    for (; n > 0; n -= 4, y += 4, o.x += 4 * o.stride) switch (n) {
        case 1: BY_FOURS(panel, four, &o, 1, y); break;
        case 2: BY_FOURS(panel, four, &o, 2, y); break;
        case 3: BY_FOURS(panel, four, &o, 3, y); break;
        default: BY_FOURS(panel, four, &o, 4, y);
        }
}
#endif

TARGET static void panel8(const unsigned char *panel, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]) {
    any_panel(panel, false, o, n, y);
}

TARGET static void panel4(const unsigned char *panel, const mllm_operand *o, int n, float (*y)[MLLM_PANEL]) {
    any_panel(panel, true, o, n, y);
}

#ifndef PAIRS
#define PAIRS .pair8 = NULL
#endif
static const mllm_panel_ways ways = {.p8 = panel8, .p4 = panel4, .floats = &floats, PAIRS};

static void product(const mllm_matrix *w, size_t from, size_t to, const void *x, size_t x_stride, size_t m, float *y,
                    size_t ldy, bool add, void *scratch) {
    mllm_packed_product(&ways, w, from, to, x, x_stride, m, y, ldy, add, scratch);
}

static void product_rows(const mllm_matrix *w, const mllm_token *ids, size_t count, const void *x, float *y,
                         void *scratch) {
    mllm_packed_product_rows(&ways, w, ids, count, x, y, scratch);
}

const mllm_kernel KERNEL = {
    .name = NAME,
    .grain = 2 * MLLM_PANEL, /* the panel of the float products, too */
    .available = available,
    .pack_bytes = mllm_packed_bytes,
    .pack = PACK,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .product = product,
    .scratch_bytes = mllm_float_scratch,
    .product_rows = product_rows,
    .store = store,
    .attend = attend,
    .rms_norm = rms_norm,
    .swiglu = swiglu,
};
