#include "matmul.h"

#if MLLM_BLAS
#include <cblas.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../base/cpu.h"

/* OpenBLAS's own choice of kernels (exported by builds for many processors, absent from others). */
void gotoblas_dynamic_init(void) __attribute__((weak));
void gotoblas_dynamic_quit(void) __attribute__((weak));

/* OpenBLAS 0.3.21 takes an AVX-512 processor that it does not know by name (AMD's Zen 4 and 5) for a Haswell and then computes at half
 * its speed: here 130 instead of 245 Gflop/s a core. It chooses again when asked, by a name from the environment. Whoever set
 * that name himself is not overruled. */
static void choose_kernels(void) {
    const char *name = openblas_get_corename();
    if (!gotoblas_dynamic_init || !gotoblas_dynamic_quit || !mllm_cpu_features()->avx512) return;
    if (getenv("OPENBLAS_CORETYPE") || (strcmp(name, "Haswell") != 0 && strcmp(name, "Zen") != 0)) return;
    if (setenv("OPENBLAS_CORETYPE", "SkylakeX", 1) != 0) return;
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv("OPENBLAS_CORETYPE");
}

static void prepare(void) {
    choose_kernels();
    /* Our team splits the work; a second team inside OpenBLAS would fight it for the cores. */
    openblas_set_num_threads(1);
}

void mllm_matmul_f32(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                     const float *b, size_t ldb, float beta, float *c, size_t ldc) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n,
                (blasint)k, alpha, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

#else

void mllm_matmul_f32(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                     const float *b, size_t ldb, float beta, float *c, size_t ldc) {
    for (size_t i = 0; i < m; i++) {
        float *row = c + i * ldc;
        if (tb) { /* rows of B are contiguous along k: dot products */
            for (size_t j = 0; j < n; j++) {
                float sum = 0;
                for (size_t p = 0; p < k; p++) sum += (ta ? a[p * lda + i] : a[i * lda + p]) * b[j * ldb + p];
                row[j] = alpha * sum + (beta == 0 ? 0 : beta * row[j]);
            }
        } else { /* add scaled rows of B, so that the inner loop runs along memory */
            for (size_t j = 0; j < n; j++) row[j] = beta == 0 ? 0 : beta * row[j];
            for (size_t p = 0; p < k; p++) {
                float x = alpha * (ta ? a[p * lda + i] : a[i * lda + p]);
                for (size_t j = 0; j < n; j++) row[j] += x * b[p * ldb + j];
            }
        }
    }
}

#endif
