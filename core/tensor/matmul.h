/* matmul.h - the float matrix product: OpenBLAS where it is built in, a plain blocked loop otherwise. One thread: callers
 * split the work over their team. */
#ifndef MLLM_TENSOR_MATMUL_H
#define MLLM_TENSOR_MATMUL_H

#include <stdbool.h>
#include <stddef.h>

/* C[m,n] = alpha * op(A)[m,k] @ op(B)[k,n] + beta * C. Row-major; op is the transpose when the flag is set; lda, ldb, ldc are the
 * distances of rows as stored, in floats. */
void mllm_matmul_f32(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha, const float *a,
                     size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

#endif
