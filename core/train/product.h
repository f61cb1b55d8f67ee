/* product.h - the matrix products of training. All of them go through here, so that the arithmetic is chosen in one place:
 * floats (tensor/matmul.h), or bfloat16 inputs with float sums where the processor has AVX512_BF16. */
#ifndef MLLM_TRAIN_PRODUCT_H
#define MLLM_TRAIN_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "real.h"

/* One per thread: where panels are packed. */
typedef struct {
    bool bf16;
    uint32_t *panels; /* mllm_product_words() 32-bit words, 64-byte aligned; NULL without bf16 */
} mllm_products;

/* True when this build and this CPU can multiply bfloat16. */
bool mllm_product_has_bf16(void);
/* 32-bit words of packing space. */
size_t mllm_product_words(void);

/* C[m,n] = alpha * op(A)[m,k] @ op(B)[k,n] + beta * C, as mllm_matmul_f32. */
#define mllm_train_product MLLM_REAL(mllm_train_product)
void mllm_train_product(const mllm_products *how, bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                        mllm_real alpha, const mllm_real *a, size_t lda, const mllm_real *b, size_t ldb, mllm_real beta,
                        mllm_real *c, size_t ldc);

/* product_bf16.c; only where mllm_product_has_bf16(). A and B are rounded to bfloat16 (to nearest, ties to even), their products are
 * summed in float. */
void mllm_product_bf16(uint32_t *panels, bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha,
                       const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

#endif
