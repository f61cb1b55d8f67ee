#include "packed.h"

#include <string.h>

static bool is_float(mllm_type type) {
    return type == MLLM_F32 || type == MLLM_F16 || type == MLLM_BF16;
}

size_t mllm_packed_bytes(const mllm_tensor *w) {
    if (is_float(w->type) || w->cols % MLLM_GROUP) return 0;
    return (w->rows + MLLM_PANEL - 1) / MLLM_PANEL * mllm_packed_panel_bytes(w);
}

/* One row of Q4_0 blocks (half scale, then bytes: low nibble column j, high nibble column j + 16) into its lane of a panel. */
static void fill_p4(const unsigned char *block, size_t groups, unsigned char *panel, size_t lane) {
    for (size_t g = 0; g < groups; g++, block += 18, panel += MLLM_P4_BYTES) {
        for (size_t s = 0; s < 4; s++) memcpy(panel + s * 64 + lane * 4, block + 2 + s * 4, 4);
        memcpy(panel + MLLM_P4_SCALES + 2 * lane, block, 2);
    }
}

/* One row of Q8_0 blocks (half scale, then 32 signed bytes). */
static void fill_p8(const unsigned char *block, size_t groups, unsigned char *panel, size_t lane) {
    for (size_t g = 0; g < groups; g++, block += 34, panel += MLLM_P8_BYTES) {
        for (size_t s = 0; s < 8; s++) {
            uint32_t four;
            memcpy(&four, block + 2 + s * 4, 4);
            four ^= 0x80808080u; /* + 128 */
            memcpy(panel + s * 64 + lane * 4, &four, 4);
        }
        memcpy(panel + MLLM_P8_SCALES + 2 * lane, block, 2);
    }
}

void mllm_packed_fill(const mllm_tensor *w, void *packed, size_t from, size_t to) {
    size_t groups = w->cols / MLLM_GROUP, bytes = mllm_packed_panel_bytes(w);
    unsigned block = mllm_type_facts(w->type)->block, block_bytes = mllm_type_facts(w->type)->block_bytes;
    for (size_t r = from; r < to; r += MLLM_PANEL) {
        unsigned char *panel = (unsigned char *)packed + r / MLLM_PANEL * bytes;
        size_t n = w->rows - r < MLLM_PANEL ? w->rows - r : MLLM_PANEL;
        if (n < MLLM_PANEL) memset(panel, 0, bytes); /* scale 0: rows that do not exist */
        for (size_t lane = 0; lane < n; lane++) {
            const unsigned char *row = (const unsigned char *)w->data + (r + lane) * w->row_bytes;
            if (w->type == MLLM_Q4_0)
                fill_p4(row, groups, panel, lane);
            else if (w->type == MLLM_Q8_0)
                fill_p8(row, groups, panel, lane);
            else
                for (size_t c = 0; c < w->cols; c += block) {
                    float x[256];
                    unsigned char q[256 / MLLM_GROUP * 34];
                    mllm_dequantize_row(w->type, row + c / block * block_bytes, x, block);
                    mllm_quantize_row(MLLM_Q8_0, x, q, block);
                    fill_p8(q, block / MLLM_GROUP, panel + c / MLLM_GROUP * MLLM_P8_BYTES, lane);
                }
        }
    }
}

/* ------------------------------------------------ rows of packed tensors */

mllm_type mllm_type_unpacked(mllm_type type) {
    return type == MLLM_P8 ? MLLM_Q8_0 : type == MLLM_P4 ? MLLM_Q4_0 : type;
}

size_t mllm_tensor_bytes(const mllm_tensor *t) {
    size_t rows = mllm_type_is_packed(t->type) ? (t->rows + MLLM_PANEL - 1) / MLLM_PANEL * MLLM_PANEL : t->rows;
    return rows * t->row_bytes;
}

/* The inverse of fill_p4 and fill_p8 for one group. */
static void take_block(bool four, const unsigned char *group, size_t lane, unsigned char *block) {
    memcpy(block, group + (four ? MLLM_P4_SCALES : MLLM_P8_SCALES) + 2 * lane, 2);
    for (size_t s = 0; s < (four ? 4u : 8u); s++) {
        uint32_t bytes;
        memcpy(&bytes, group + s * 64 + lane * 4, 4);
        if (!four) bytes ^= 0x80808080u;
        memcpy(block + 2 + s * 4, &bytes, 4);
    }
}

void mllm_tensor_unpack_row(const mllm_tensor *t, size_t row, void *out) {
    bool four = mllm_packed_is_p4(t);
    size_t group_bytes = four ? MLLM_P4_BYTES : MLLM_P8_BYTES, block_bytes = four ? 18 : 34;
    const unsigned char *group = (const unsigned char *)t->data + row / MLLM_PANEL * mllm_packed_panel_bytes(t);
    unsigned char *block = out;
    for (size_t g = 0; g < t->cols / MLLM_GROUP; g++, group += group_bytes, block += block_bytes)
        take_block(four, group, row % MLLM_PANEL, block);
}

void mllm_tensor_row(const mllm_tensor *t, size_t row, float *out) {
    if (!mllm_type_is_packed(t->type)) {
        mllm_dequantize_row(t->type, (const char *)t->data + row * t->row_bytes, out, t->cols);
        return;
    }
    bool four = mllm_packed_is_p4(t);
    size_t group_bytes = four ? MLLM_P4_BYTES : MLLM_P8_BYTES;
    const unsigned char *group = (const unsigned char *)t->data + row / MLLM_PANEL * mllm_packed_panel_bytes(t);
    for (size_t c = 0; c < t->cols; c += MLLM_GROUP, group += group_bytes) {
        unsigned char block[34];
        take_block(four, group, row % MLLM_PANEL, block);
        mllm_dequantize_row(mllm_type_unpacked(t->type), block, out + c, MLLM_GROUP);
    }
}

static const unsigned char *panel_at(const mllm_matrix *w, size_t row) {
    return (const unsigned char *)w->packed + row / MLLM_PANEL * mllm_packed_panel_bytes(&w->stored);
}

/* Rows of `rows` results of n tokens, side by side from column r of y on. */
static inline void put_rows(float *y, size_t ldy, float (*from)[MLLM_PANEL], size_t n, size_t rows, bool add) {
    for (size_t t = 0; t < n; t++, y += ldy)
        if (add)
            for (size_t j = 0; j < rows; j++) y[j] += from[t][j];
        else
            memcpy(y, from[t], rows * sizeof(float));
}

void mllm_packed_product(const mllm_panel_ways *ways, const mllm_matrix *w, size_t from, size_t to, const void *x,
                         size_t x_stride, size_t m, float *y, size_t ldy, bool add, void *scratch) {
    if (!w->packed) {
        mllm_float_product(ways->floats, w, from, to, x, x_stride, m, y, ldy, add, scratch);
        return;
    }
    bool four = mllm_packed_is_p4(&w->stored);
    mllm_panel_fn one = four ? ways->p4 : ways->p8, two = m == 1 ? NULL : four ? ways->pair4 : ways->pair8;
    mllm_operand o = {
        .stride = x_stride, .p = mllm_prepared_layout(w->stored.cols), .groups = w->stored.cols / MLLM_GROUP};
    for (size_t r = from, panels; r < to; r += panels * MLLM_PANEL) {
        const unsigned char *panel = panel_at(w, r);
        panels = two && to - r >= 2 * MLLM_PANEL ? 2 : 1;
        for (size_t i = 0; i < m; i += MLLM_TILE) {
            float v[2 * MLLM_TILE][MLLM_PANEL];
            size_t n = m - i < MLLM_TILE ? m - i : MLLM_TILE;
            o.x = (const char *)x + i * x_stride;
            o.ahead = i == 0;
            (panels == 2 ? two : one)(panel, &o, (int)n, v);
            float *to_y = y + i * ldy + r;
            if (to - r < MLLM_PANEL) {
                put_rows(to_y, ldy, v, n, to - r, add);
                continue;
            }
            put_rows(to_y, ldy, v, n, MLLM_PANEL, add); /* a length that the compiler knows */
            if (panels == 2) put_rows(to_y + MLLM_PANEL, ldy, v + MLLM_TILE, n, MLLM_PANEL, add);
        }
    }
}

/* A chosen row comes with its whole panel: sixteen times the work of one row, still far from the whole vocabulary. */
void mllm_packed_product_rows(const mllm_panel_ways *ways, const mllm_matrix *w, const mllm_token *ids, size_t count,
                              const void *x, float *y, void *scratch) {
    if (!w->packed) {
        mllm_float_product_rows(ways->floats, w, ids, count, x, y, scratch);
        return;
    }
    mllm_panel_fn fn = mllm_packed_is_p4(&w->stored) ? ways->p4 : ways->p8;
    mllm_operand o = {.x = x, .p = mllm_prepared_layout(w->stored.cols), .groups = w->stored.cols / MLLM_GROUP};
    size_t held = (size_t)-1;
    float lanes[1][MLLM_PANEL] = {{0}};
    for (size_t k = 0; k < count; k++) {
        size_t id = (size_t)ids[k];
        if (id / MLLM_PANEL != held) fn(panel_at(w, id), &o, 1, lanes);
        held = id / MLLM_PANEL;
        y[k] = lanes[0][id % MLLM_PANEL];
    }
}
