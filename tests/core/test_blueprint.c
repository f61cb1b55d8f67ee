/* Blueprints: the steps of each system, the shapes of tensors, and every relation that is checked. */
#include "test.h"

#include <math.h>

#include "base/file_map.h"
#include "base/order.h"
#include "model/blueprint.h"

static mllm_blueprint mobilellm_125m(uint32_t passes, bool shared) {
    mllm_blueprint b = {.vocabulary = 32000,
                        .width = 576,
                        .heads = 9,
                        .kv_heads = 3,
                        .head_size = 64,
                        .ffn_width = 1536,
                        .context = 2048,
                        .blocks = 30,
                        .norm_epsilon = 1e-5f,
                        .rope_base = 10000,
                        .rope_size = 64,
                        .tied_embedding = true};
    mllm_error err = {0};
    CHECK(mllm_blueprint_make_steps(&b, passes, shared, &err) == MLLM_OK, "%s", err.message);
    return b;
}

static void steps(void) {
    mllm_blueprint b = mobilellm_125m(1, false), copy;
    CHECK(b.step_count == 30 && b.kv_slots == 30 && b.ffns == 30 && b.steps[29].block == 29 && b.steps[29].ffn == 29);
    CHECK(mllm_blueprint_check(&b, "here", NULL) == MLLM_OK);
    CHECK(mllm_blueprint_parameters(&b) == 124635456, "the published 124.6 million");
    CHECK(mllm_blueprint_make_steps(&b, 2, false, NULL) == MLLM_OK && b.step_count == 60 && b.kv_slots == 60 &&
          b.ffns == 30);
    CHECK(b.steps[31].block == 15 && b.steps[31].ffn == 15 && b.steps[31].kv_slot == 31 && b.steps[31].rope);
    CHECK(mllm_blueprint_parameters(&b) == 124635456, "executed twice, stored once");
    CHECK(mllm_blueprint_copy(&copy, &b, NULL) == MLLM_OK && copy.steps != b.steps && copy.steps[59].block == 29);
    mllm_blueprint_free(&copy);
    CHECK(!copy.steps && !copy.width);
    mllm_blueprint_free(&copy);
    CHECK(mllm_blueprint_make_steps(&b, 1, true, NULL) == MLLM_OK && b.ffns == 1 && b.steps[7].ffn == 0 &&
          b.steps[7].block == 7);
    CHECK(mllm_blueprint_shape(&b, MLLM_W_GATE).count == 1 && mllm_blueprint_shape(&b, MLLM_W_FFN_NORM).count == 30);
    CHECK(mllm_blueprint_make_steps(&b, 0, false, NULL) == MLLM_E_FORMAT &&
          mllm_blueprint_make_steps(&b, 35, false, NULL) == MLLM_E_FORMAT);
    mllm_blueprint_free(&b);
}

static void shapes(void) {
    mllm_blueprint b = mobilellm_125m(1, false);
    static const struct {
        mllm_role role;
        size_t rows, cols;
        uint32_t count;
    } expected[] = {{MLLM_W_EMBEDDING, 32000, 576, 1}, {MLLM_W_OUTPUT_NORM, 1, 576, 1},
                    {MLLM_W_HEAD, 0, 576, 1},          {MLLM_W_ATTENTION_NORM, 1, 576, 30},
                    {MLLM_W_Q, 576, 576, 30},          {MLLM_W_K, 192, 576, 30},
                    {MLLM_W_V, 192, 576, 30},          {MLLM_W_O, 576, 576, 30},
                    {MLLM_W_Q_BIAS, 0, 576, 30},       {MLLM_W_K_BIAS, 0, 192, 30},
                    {MLLM_W_V_BIAS, 0, 192, 30},       {MLLM_W_O_BIAS, 0, 576, 30},
                    {MLLM_W_Q_NORM, 0, 64, 30},        {MLLM_W_K_NORM, 0, 64, 30},
                    {MLLM_W_FFN_NORM, 1, 576, 30},     {MLLM_W_GATE, 1536, 576, 30},
                    {MLLM_W_UP, 1536, 576, 30},        {MLLM_W_DOWN, 576, 1536, 30}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        mllm_role_shape s = mllm_blueprint_shape(&b, expected[i].role);
        CHECK(s.rows == expected[i].rows && s.cols == expected[i].cols && s.count == expected[i].count, "role %d",
              expected[i].role);
    }
    b.qkv_bias = b.output_bias = b.qk_norm = true;
    b.tied_embedding = false;
    CHECK(mllm_blueprint_shape(&b, MLLM_W_K_BIAS).rows == 1 && mllm_blueprint_shape(&b, MLLM_W_O_BIAS).rows == 1);
    CHECK(mllm_blueprint_shape(&b, MLLM_W_Q_NORM).rows == 1 && mllm_blueprint_shape(&b, MLLM_W_HEAD).rows == 32000);
    mllm_blueprint_free(&b);
}

static void checks(void) {
    mllm_error err;
#define WRONG(change, text)                                                                                            \
    do {                                                                                                               \
        mllm_blueprint b = mobilellm_125m(2, false);                                                                   \
        change;                                                                                                        \
        err = (mllm_error){0};                                                                                         \
        CHECK(mllm_blueprint_check(&b, "a file", &err) == MLLM_E_FORMAT && strstr(err.message, "a file: ") &&          \
                  strstr(err.message, text),                                                                           \
              "%s: %s", text, err.message);                                                                            \
        mllm_blueprint_free(&b);                                                                                       \
    } while (0)
    WRONG(b.vocabulary = 0, "vocabulary");
    WRONG(b.vocabulary = MLLM_MAX_VOCABULARY + 1, "vocabulary");
    WRONG(b.width = 0, "width");
    WRONG(b.width = 100000, "100000");
    WRONG(b.heads = 0, "heads");
    WRONG(b.heads = 65536, "heads x head size");
    WRONG(b.kv_heads = 0, "KV heads");
    WRONG(b.kv_heads = 2, "9 heads cannot share 2");
    WRONG(b.head_size = 0, "head size");
    WRONG(b.ffn_width = 0, "FFN width");
    WRONG(b.context = 0, "context");
    WRONG(b.blocks = 0, "blocks");
    WRONG(b.ffns = 0, "FFNs");
    WRONG(b.step_count = 0, "steps");
    WRONG(b.kv_slots = 2000, "KV slots");
    WRONG(b.rope_size = 66, "rotated");
    WRONG(b.rope_size = 63, "odd");
    WRONG(b.rope_size = 0, "no dimension is rotated");
    WRONG(b.norm_epsilon = NAN, "epsilon");
    WRONG(b.norm_epsilon = -1, "epsilon");
    WRONG(b.rope_base = INFINITY, "RoPE base");
    WRONG(b.rope_base = 0, "RoPE base");
    WRONG(b.rope_scaling = MLLM_ROPE_LINEAR, "scaling factor");
    WRONG((b.rope_scaling = MLLM_ROPE_LLAMA3, b.rope_factor = 8), "low_freq_factor");
    WRONG((b.rope_scaling = MLLM_ROPE_LLAMA3, b.rope_factor = 8, b.rope_low = 4, b.rope_high = 1,
           b.rope_original_context = 1),
          "low_freq_factor 4");
    WRONG(b.steps[5].block = 30, "step 5");
    WRONG(b.steps[5].ffn = 30, "step 5");
    WRONG(b.steps[5].kv_slot = 60, "step 5");
    WRONG(b.steps[5].kv_slot = 4, "KV slot 4 belongs to two");
}

static bool smaller(const void *ctx, uint32_t a, uint32_t b) {
    const int *v = ctx;
    return v[a] < v[b];
}

static void ordering(void) {
    int values[257] = {0};
    uint32_t order[257];
    for (size_t n = 0; n <= 257; n += n < 20 ? 1 : 79) {
        for (size_t i = 0; i < n; i++) {
            values[i] = (int)((i * 7919 + n * 31) % 101);
            order[i] = (uint32_t)i;
        }
        mllm_order(order, n, smaller, values);
        uint64_t sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += order[i];
            CHECK(i == 0 || values[order[i - 1]] <= values[order[i]], "%zu of %zu", i, n);
        }
        CHECK(sum == n * (n ? n - 1 : 0) / 2, "a permutation");
    }
}

static void maps(void) {
    char path[] = "/tmp/mllm-map-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, "four", 4) == 4);
    close(fd);
    mllm_file_map map;
    mllm_error err = {0};
    CHECK(mllm_file_map_open(&map, path, &err) == MLLM_OK && map.size == 4 && memcmp(map.data, "four", 4) == 0);
    mllm_file_map_close(&map);
    mllm_file_map_close(&map);
    CHECK(!map.data && mllm_file_exists(path) && !mllm_file_is_folder(path) && mllm_file_is_folder("/tmp") &&
          !mllm_file_exists("/tmp"));
    CHECK(truncate(path, 0) == 0 && mllm_file_map_open(&map, path, &err) == MLLM_OK && !map.data && map.size == 0);
    mllm_file_map_close(&map);
    unlink(path);
    CHECK(mllm_file_map_open(&map, path, &err) == MLLM_E_IO && strstr(err.message, path));
    CHECK(mllm_file_map_open(&map, "/tmp", &err) == MLLM_E_IO && strstr(err.message, "regular"));
}

static const test_case tests[] = {
    {"steps", steps}, {"shapes", shapes}, {"checks", checks}, {"ordering", ordering}, {"maps", maps}};
TEST_MAIN(tests)
