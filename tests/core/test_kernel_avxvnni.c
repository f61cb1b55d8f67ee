/* The AVX-VNNI kernel with its one instruction replaced by plain loops, against the AVX2 kernel: equal bits on every processor with AVX2. The
 * instruction itself runs in test_kernels and test_golden where there is one. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>

#include "base/cpu.h"
#include "tensor/kernel.h"

#define TARGET __attribute__((target("avx2,fma,f16c")))

/* Intel's pseudocode of VPDPBUSD: each lane += four unsigned bytes times four signed ones. */
TARGET static __m256i add_fours(__m256i dot, __m256i w, __m256i q) {
    int32_t sums[8];
    uint8_t a[32];
    int8_t b[32];
    _mm256_storeu_si256((__m256i *)(void *)sums, dot);
    _mm256_storeu_si256((__m256i *)(void *)a, w);
    _mm256_storeu_si256((__m256i *)(void *)b, q);
    for (int i = 0; i < 32; i++) sums[i / 4] += a[i] * b[i];
    return _mm256_loadu_si256((const __m256i *)(const void *)sums);
}

static bool available(void) {
    return mllm_cpu_features()->avx2;
}

#define MLLM_AVXVNNI_ELSEWHERE
#define mllm_kernel_avxvnni emulated
extern const mllm_kernel emulated;
#include "tensor/kernel_avxvnni.c"

#include "base/alloc.h"
#include "test.h"

static uint64_t state = 7;
static float uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 33) / 1073741824.0 - 1.0);
}

static void check(mllm_type type, size_t rows, size_t cols, size_t tokens, bool adding) {
    mllm_matrix w = {.stored = {.type = type, .rows = rows, .cols = cols, .row_bytes = mllm_row_bytes(type, cols)}};
    unsigned char *stored = malloc(rows * w.stored.row_bytes);
    float *x = malloc((rows > tokens ? rows : tokens) * cols * sizeof(float)), *y[2];
    w.stored.data = stored;
    for (size_t i = 0; i < rows * cols; i++) x[i] = uniform();
    for (size_t r = 0; r < rows; r++) mllm_quantize_row(type, x + r * cols, stored + r * w.stored.row_bytes, cols);
    w.packed = mllm_alloc_aligned(emulated.pack_bytes(&w.stored));
    emulated.pack(&w.stored, w.packed, 0, rows);
    for (size_t i = 0; i < tokens * cols; i++) x[i] = i % 97 == 3 ? 30.0f : uniform();
    const mllm_kernel *kernels[2] = {&emulated, &mllm_kernel_avx2};
    for (int k = 0; k < 2; k++) {
        size_t stride = kernels[k]->prepared_bytes(cols);
        char *prepared = mllm_alloc_aligned(tokens * stride);
        void *scratch = mllm_alloc_aligned(kernels[k]->scratch_bytes(cols));
        y[k] = malloc((tokens * rows + 2) * sizeof(float));
        for (size_t i = 0; i < tokens * rows; i++) y[k][i] = 5;
        for (size_t i = 0; i < tokens; i++) kernels[k]->prepare(x + i * cols, cols, prepared + i * stride);
        kernels[k]->product(&w, 0, rows, prepared, stride, tokens, y[k], rows, adding, scratch);
        mllm_token ids[2] = {(mllm_token)(rows - 1), 0};
        kernels[k]->product_rows(&w, ids, 2, prepared, y[k] + tokens * rows, scratch);
        mllm_free_aligned(prepared);
        mllm_free_aligned(scratch);
    }
    CHECK(memcmp(y[0], y[1], (tokens * rows + 2) * sizeof(float)) == 0, " %s [%zu x %zu] x %zu differs from avx2",
          mllm_type_facts(type)->name, rows, cols, tokens);
    CHECK(y[0][0] != 5);
    free(stored);
    free(x);
    free(y[0]);
    free(y[1]);
    mllm_free_aligned(w.packed);
}

static void products(void) {
    if (!available()) SKIP("this processor has no AVX2");
    static const size_t shapes[][3] = {{32, 32, 1}, {64, 64, 2},   {16, 96, 3},   {50, 160, 4},
                                       {33, 64, 7}, {100, 288, 9}, {7, 1536, 13}, {129, 576, 21}};
    static const mllm_type types[] = {MLLM_Q8_0, MLLM_Q4_0};
    for (int t = 0; t < 2; t++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int add = 0; add < 2; add++) check(types[t], shapes[s][0], shapes[s][1], shapes[s][2], add);
}

static const test_case tests[] = {{"products", products}};
TEST_MAIN(tests)
#else
#include "test.h"
static void products(void) {
    SKIP("AVX-VNNI is x86-64 only");
}
static const test_case tests[] = {{"products", products}};
TEST_MAIN(tests)
#endif
