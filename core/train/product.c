#include "product.h"

#include "../tensor/matmul.h"

void mllm_train_product(const mllm_products *how, bool ta, bool tb, size_t m, size_t n, size_t k, mllm_real alpha,
                        const mllm_real *a, size_t lda, const mllm_real *b, size_t ldb, mllm_real beta, mllm_real *c,
                        size_t ldc) {
#ifdef MLLM_TRAIN_DOUBLE
    (void)how;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            mllm_real sum = 0;
            for (size_t p = 0; p < k; p++)
                sum += (ta ? a[p * lda + i] : a[i * lda + p]) * (tb ? b[j * ldb + p] : b[p * ldb + j]);
            c[i * ldc + j] = alpha * sum + (beta == 0 ? 0 : beta * c[i * ldc + j]);
        }
#else
    if (how->bf16)
        mllm_product_bf16(how->panels, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    else
        mllm_matmul_f32(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
#endif
}
