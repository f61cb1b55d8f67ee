/* The AMX kernel with its tile instructions replaced by plain loops: layout, tails and addition are checked on every processor with AVX-512
 * and BF16. The instructions themselves run in test_kernels and test_golden where there are any. */
#if defined(__x86_64__)
#include "amx_emulated.h"
#include "base/cpu.h"
#include "tensor/kernel.h"

#define TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define mllm_kernel_amx emulated_amx
static bool available(void) {
    return mllm_cpu_features()->avx512_bf16 && mllm_cpu_features()->avx512_vnni;
}
extern const mllm_kernel emulated_amx;
#include "tensor/kernel_amx.c"

#include <math.h>

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
    float *dense = malloc(rows * cols * sizeof(float)), *x = malloc(tokens * cols * sizeof(float)),
          *y = malloc(tokens * rows * sizeof(float));
    w.stored.data = stored;
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) dense[r * cols + c] = uniform();
        mllm_quantize_row(type, dense + r * cols, stored + r * w.stored.row_bytes, cols);
        mllm_dequantize_row(type, stored + r * w.stored.row_bytes, dense + r * cols, cols);
    }
    w.packed = mllm_alloc_aligned(emulated_amx.pack_bytes(&w.stored));
    emulated_amx.pack(&w.stored, w.packed, 0, rows);
    size_t stride = emulated_amx.prepared_bytes(cols);
    char *prepared = mllm_alloc_aligned(tokens * stride);
    void *scratch = mllm_alloc_aligned(emulated_amx.scratch_bytes(cols));
    for (size_t i = 0; i < tokens * cols; i++) x[i] = uniform();
    for (size_t i = 0; i < tokens; i++) emulated_amx.prepare(x + i * cols, cols, prepared + i * stride);
    for (size_t i = 0; i < tokens * rows; i++) y[i] = 5;
    emulated_amx.product(&w, 0, rows, prepared, stride, tokens, y, rows, adding, scratch);
    CHECK(!configured, " tiles were not released");
    double error = 0, norm = 0;
    for (size_t i = 0; i < tokens; i++)
        for (size_t r = 0; r < rows; r++) {
            double exact = adding ? 5 : 0, ww = 0, xx = 0;
            for (size_t c = 0; c < cols; c++) {
                exact += (double)dense[r * cols + c] * (double)x[i * cols + c];
                ww += (double)dense[r * cols + c] * (double)dense[r * cols + c];
                xx += (double)x[i * cols + c] * (double)x[i * cols + c];
            }
            error += (exact - (double)y[i * rows + r]) * (exact - (double)y[i * rows + r]);
            norm += ww * xx;
        }
    CHECK(sqrt(error / norm) < 0.005, " %s [%zu x %zu] x %zu: %g", mllm_type_facts(type)->name, rows, cols, tokens,
          sqrt(error / norm));
    free(stored);
    free(dense);
    free(x);
    free(y);
    mllm_free_aligned(w.packed);
    mllm_free_aligned(prepared);
    mllm_free_aligned(scratch);
}

static void products(void) {
    if (!emulated_amx.available()) SKIP("this processor has no AVX-512 BF16");
    static const size_t shapes[][3] = {{32, 32, 32}, {64, 64, 64},   {16, 96, 33}, {50, 160, 47},
                                       {33, 64, 48}, {100, 288, 70}, {7, 32, 40}};
    static const mllm_type types[] = {MLLM_Q8_0, MLLM_Q4_0};
    for (int t = 0; t < 2; t++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int add = 0; add < 2; add++) check(types[t], shapes[s][0], shapes[s][1], shapes[s][2], add);
    CHECK(tiles_work(), " the kernel's own check fails");
    broken = 1;
    CHECK(!tiles_work(), " wrong tiles go unnoticed");
    broken = 0;
    check(MLLM_Q8_0, 40, 64, 5, true); /* few tokens take the other path */
}

static const test_case tests[] = {{"products", products}};
TEST_MAIN(tests)
#else
#include "test.h"
static void products(void) {
    SKIP("AMX is x86-64 only");
}
static const test_case tests[] = {{"products", products}};
TEST_MAIN(tests)
#endif
