/* The products of training by AMX tiles, with the tile instructions replaced by plain loops: packing, tails, alpha and beta. */
#if defined(__x86_64__)
#include "amx_emulated.h"
#include <stdbool.h>
#define AMX __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define mllm_product_bf16 emulated_product
#define mllm_product_has_bf16 emulated_has_bf16
#define mllm_product_words emulated_words
static bool use_tiles(void) {
    return true;
}
#include "train/product_bf16.c"

#include "bf16_product.h"

static void test_tiles(void) {
    test_bf16_product();
    CHECK(!configured, "tiles were not released");
}

static const test_case tests[] = {{"tiles", test_tiles}};
TEST_MAIN(tests)
#else
#include "test.h"
static void test_tiles(void) {
    SKIP("AMX is x86-64 only");
}
static const test_case tests[] = {{"tiles", test_tiles}};
TEST_MAIN(tests)
#endif
