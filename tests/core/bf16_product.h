/* bf16_product.h - the check of mllm_product_bf16, by whatever instructions. */
#ifndef MLLM_TEST_BF16_PRODUCT_H
#define MLLM_TEST_BF16_PRODUCT_H

#include <math.h>
#include <stdlib.h>

#include "test.h"
#include "train/layout.h"

/* Products in bfloat16 of every form and with every kind of rest, against double. */
static void test_bf16_product(void) {
    if (!mllm_product_has_bf16()) SKIP("this processor has no AVX512_BF16");
    static const size_t shapes[][3] = {{1, 1, 1},     {7, 5, 3},    {16, 32, 32},  {17, 33, 31}, {64, 130, 64},
                                       {130, 64, 70}, {9, 48, 515}, {515, 20, 33}, {8, 1030, 9}, {530, 40, 1030}};
    size_t most = 530 * 1030;
    float *a = malloc(most * sizeof *a), *b = malloc(most * sizeof *b), *c = malloc(most * sizeof *c);
    uint32_t *panels = aligned_alloc(64, mllm_product_words() * 4);
    uint64_t state = 1;
    for (size_t i = 0; i < most; i++) { /* eight bits: exact in bfloat16, so that the answer is exact but for the sum */
        a[i] = (float)(mllm_splitmix(&state) % 255) - 127;
        b[i] = ((float)(mllm_splitmix(&state) % 255) - 127) / 64;
    }
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int form = 0; form < 8; form++) {
            size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2], ldc = n + 3;
            bool ta = form & 1, tb = form & 2;
            size_t lda = (ta ? m : k) + 2, ldb = (tb ? k : n) + 1;
            float beta = form & 4 ? 0.5f : 0;
            if ((ta ? k : m) * lda > most || (tb ? n : k) * ldb > most) continue;
            for (size_t i = 0; i < m * ldc; i++) c[i] = beta != 0 ? 2 : NAN;
            mllm_product_bf16(panels, ta, tb, m, n, k, 0.25f, a, lda, b, ldb, beta, c, ldc);
            double worst = 0;
            for (size_t i = 0; i < m; i++) {
                for (size_t j = 0; j < n; j++) {
                    double sum = 0, size = 1;
                    for (size_t p = 0; p < k; p++) {
                        double x = (double)(ta ? a[p * lda + i] : a[i * lda + p]) *
                                   (double)(tb ? b[j * ldb + p] : b[p * ldb + j]);
                        sum += x;
                        size += fabs(x);
                    }
                    double error = fabs(c[i * ldc + j] - (0.25 * sum + (beta != 0 ? 1 : 0))) / size;
                    worst = error > worst || error != error ? error : worst;
                }
                if (i + 1 < m)
                    CHECK(beta != 0 ? c[i * ldc + n] == 2 : c[i * ldc + n] != c[i * ldc + n], "wrote beside C");
            }
            CHECK(worst < 1e-5, "%zu x %zu x %zu, form %d: off by %g", m, n, k, form, worst);
        }
    free(a);
    free(b);
    free(c);
    free(panels);
}

#endif
