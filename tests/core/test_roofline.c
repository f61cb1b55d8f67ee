/* The limits of the machine: their form, what they refuse, and want of memory. Never how fast. */
#include <math.h>
#include <stdlib.h>

#include "../core/tensor/roofline.h"
#include "failing.h"
#include "test.h"

static void test_read(void) {
    static const size_t sizes[] = {1, 4096, 3 << 20};
    for (size_t i = 0; i < 3; i++)
        for (int threads = 1; threads <= 3; threads++) {
            double rates[3] = {0};
            mllm_error err = {0};
            CHECK(mllm_roofline_read(threads, sizes[i], 3, rates, &err) == MLLM_OK, " %s", err.message);
            for (int k = 0; k < 3; k++) CHECK(rates[k] > 0 && isfinite(rates[k]), " %g", rates[k]);
        }
    double rate;
    mllm_error err = {0};
    CHECK(mllm_roofline_read(1, SIZE_MAX - 100, 1, &rate, &err) == MLLM_E_MEMORY &&
          strstr(err.message, "buffer to read"));
}

static void test_product(void) {
    static const char *const kernels[] = {"auto",   "reference", "blas", "avx2", "avxvnni",
                                          "avx512", "amx",       "neon", "i8mm"};
    static const mllm_type types[] = {MLLM_Q8_0, MLLM_Q4_0, MLLM_F32, MLLM_BF16};
    for (size_t k = 0; k < 7; k++)
        for (size_t t = 0; t < 4; t++) {
            mllm_roofline_work work = {
                .kernel = kernels[k], .type = types[t], .threads = 1 + (int)t % 2, .rows = 20, .cols = 64, .tokens = 9};
            double rates[2] = {0};
            mllm_error err = {0};
            mllm_code code = mllm_roofline_product(&work, 2, rates, &err);
            if (code == MLLM_E_UNSUPPORTED) continue; /* not this processor's */
            CHECK(code == MLLM_OK, " %s: %s", kernels[k], err.message);
            CHECK(rates[0] > 0 && rates[1] > 0 && isfinite(rates[0]), " %s: %g", kernels[k], rates[0]);
        }
}

static void test_refusals(void) {
    const mllm_roofline_work good = {.type = MLLM_Q8_0, .threads = 1, .rows = 16, .cols = 64, .tokens = 2};
    double rate;
    for (int i = 0; i < 6; i++) {
        mllm_roofline_work work = good;
        mllm_error err = {0};
        if (i == 0) work.kernel = "fast";
        if (i == 1) work.cols = 33; /* no multiple of a block */
        if (i == 2) work.rows = 0;
        if (i == 3) work.tokens = SIZE_MAX;
        if (i == 4) work.threads = 0;
        if (i == 5) work.type = MLLM_Q6_K, work.cols = 256; /* nobody writes it */
        CHECK(mllm_roofline_product(&work, 1, &rate, &err) == MLLM_E_ARGUMENT && err.message[0], " %d: %s", i,
              err.message);
    }
}

static void test_memory(void) {
    const mllm_roofline_work work = {
        .kernel = "auto", .type = MLLM_Q8_0, .threads = 2, .rows = 16, .cols = 64, .tokens = 2};
    for (int which = 0; which < 2; which++) {
        mllm_code code = MLLM_E_MEMORY;
        size_t n = 0;
        for (; n < 40 && code != MLLM_OK; n++) {
            double rate = 0;
            mllm_error err = {0};
            mllm_set_allocator(failing, NULL);
            fail_from((long)n);
            code = which ? mllm_roofline_product(&work, 1, &rate, &err) : mllm_roofline_read(2, 4096, 1, &rate, &err);
            mllm_set_allocator(NULL, NULL);
            CHECK(code == MLLM_OK || (code == MLLM_E_MEMORY && err.code == MLLM_E_MEMORY), " %zu: %s", n, err.message);
        }
        CHECK(n > 2 && n < 40, " %zu", n);
    }
}

int main(int argc, char **argv) {
    static const test_case tests[] = {
        {"read", test_read}, {"product", test_product}, {"refusals", test_refusals}, {"memory", test_memory}};
    return test_main(tests, sizeof tests / sizeof *tests, argc, argv);
}
