/* tensor.h - what a stored matrix is. Numbers of the types are GGUF's (ggml_type), so that a file's value can be used. */
#ifndef MLLM_TENSOR_TENSOR_H
#define MLLM_TENSOR_TENSOR_H

#include "../mobilellm.h"

typedef enum {
    MLLM_F32 = 0,
    MLLM_F16 = 1,
    MLLM_Q4_0 = 2,
    MLLM_Q4_1 = 3,
    MLLM_Q5_0 = 6,
    MLLM_Q5_1 = 7,
    MLLM_Q8_0 = 8,
    MLLM_Q2_K = 10,
    MLLM_Q3_K = 11,
    MLLM_Q4_K = 12,
    MLLM_Q5_K = 13,
    MLLM_Q6_K = 14,
    MLLM_IQ4_NL = 20,
    MLLM_BF16 = 30,
    /* Ours, outside of ggml's range, so that other engines refuse a file that has them: the panels of packed.h. */
    MLLM_P4 = 1004,
    MLLM_P8 = 1008
} mllm_type;

/* A matrix of `rows` x `cols`, row-major: row r starts at data + r * row_bytes and holds `cols` weights in the blocks of
 * `type`. y = W x maps cols -> rows (Hugging Face's [out, in]). A vector is one row. `data` belongs to somebody else
 * (a file map, a model), is NULL in an absent tensor and need not be aligned beyond its type's block.
 * In the packed types (P4, P8) sixteen rows lie together and rows that are no multiple of 16 are filled up: there row_bytes is a row's
 * share, and only mllm_tensor_row knows where its weights are. */
typedef struct {
    mllm_type type;
    size_t rows, cols, row_bytes;
    const void *data;
} mllm_tensor;

/* Facts of a type; NULL for a number that is none. */
typedef struct {
    const char *name; /* "Q8_0" */
    unsigned block; /* weights per block: 1, 32 or 256 */
    unsigned block_bytes;
} mllm_type_info;
const mllm_type_info *mllm_type_facts(uint32_t type);
/* What a packed type holds: P8 -> Q8_0, P4 -> Q4_0; every other type itself. */
mllm_type mllm_type_unpacked(mllm_type type);
static inline bool mllm_type_is_packed(mllm_type type) {
    return type == MLLM_P4 || type == MLLM_P8;
}
/* "q8_0", "Q8_0" -> MLLM_Q8_0; false for an unknown name. */
bool mllm_type_by_name(const char *name, mllm_type *type);
/* Bytes of a row; 0 when cols is no multiple of the block or the size overflows. */
size_t mllm_row_bytes(mllm_type type, size_t cols);

/* All bytes of a tensor, the filling of packed ones included. The caller knows that they do not overflow. */
size_t mllm_tensor_bytes(const mllm_tensor *t);
/* Row `row` in floats [cols], whatever the type: what everybody uses who is not a kernel (packed.c). */
void mllm_tensor_row(const mllm_tensor *t, size_t row, float *out);
/* A row of a packed tensor as Q8_0 or Q4_0 has it: mllm_row_bytes(mllm_type_unpacked(type), cols) bytes, the same weights. */
void mllm_tensor_unpack_row(const mllm_tensor *t, size_t row, void *out);

/* Exact expansion of `cols` weights at `row` to float (quant.c; the formats are GGUF's). Not for packed types. */
void mllm_dequantize_row(mllm_type type, const void *row, float *out, size_t cols);
/* Rounds a float row: F32 F16 BF16 Q8_0 Q4_0. False for another type, for cols that is no multiple of its block, and where Q8_0 or
 * Q4_0 meets a weight that is not finite or too large for its scale. */
bool mllm_quantize_row(mllm_type type, const float *in, void *row, size_t cols);

/* Rounds to Q4_0 with the scale of each block that makes  sum h[c] (in[c] - out[c])^2  smallest: every way to round the block's 32 weights
 * together is looked at, with its own best scale, not a few guesses (quant_search.c). h [cols] are weights >= 0, how strongly an error in
 * a column counts; NULL: all the same. False as above. */
bool mllm_quantize_row_search(const float *in, const float *h, void *row, size_t cols);

#endif
