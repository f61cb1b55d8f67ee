/* Weights that copy from the start: the second half of a repeated text is predicted before any training. */
#include "train/prime.h"

#include <string.h>

#include "base/error.h"
#include "failing.h"
#include "test.h"

static mllm_trainer *make_other(uint32_t blocks, double base, uint32_t rope_size, bool interleaved, bool tied,
                                mllm_error *err) {
    mllm_blueprint b;
    memset(&b, 0, sizeof b);
    strcpy(b.architecture, "mobilellm");
    b.vocabulary = 600, b.width = 192, b.heads = 6, b.kv_heads = 3, b.head_size = 32, b.ffn_width = 96;
    b.context = 128, b.blocks = blocks, b.norm_epsilon = 1e-5f, b.rope_base = (float)base, b.rope_size = rope_size;
    b.rope_interleaved = interleaved, b.rope_factor = 1, b.tied_embedding = tied;
    mllm_trainer *t = NULL;
    if (mllm_blueprint_make_steps(&b, 1, false, err) == MLLM_OK) {
        mllm_train_options o = mllm_train_defaults();
        o.threads = 1, o.shards = 1, o.seed = 7;
        t = mllm_trainer_new(&b, &o, err);
    }
    mllm_blueprint_free(&b);
    return t;
}

static mllm_trainer *make(uint32_t blocks, double base, uint32_t rope_size, bool interleaved, mllm_error *err) {
    return make_other(blocks, base, rope_size, interleaved, true, err);
}

/* Of a text of 24 tokens and the same again: how many of the second half's tokens are predicted. */
static int copied(mllm_trainer *t) {
    enum { HALF = 24 };
    mllm_token ids[2 * HALF];
    uint64_t state = 11;
    for (int i = 0; i < HALF; i++) ids[i] = ids[i + HALF] = (mllm_token)(mllm_splitmix(&state) % 600);
    static float logits[600];
    int right = 0;
    for (int n = HALF + 1; n < 2 * HALF; n++) {
        mllm_error err;
        if (mllm_trainer_logits(t, ids, (size_t)n, logits, &err) != MLLM_OK) return -1;
        int best = 0;
        for (int i = 1; i < 600; i++)
            if (logits[i] > logits[best]) best = i;
        right += best == ids[n];
    }
    return right;
}

static void test_copies(void) {
    const struct {
        double base;
        uint32_t rope_size;
        bool interleaved;
    } cases[] = {{1e6, 32, false}, {1e6, 32, true}, {1e4, 16, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_error err;
        mllm_trainer *t = make(6, cases[i].base, cases[i].rope_size, cases[i].interleaved, &err);
        CHECK(t != NULL, "case %zu: %s", i, err.message);
        if (!t) continue;
        CHECK(copied(t) <= 2);
        CHECK(mllm_trainer_prime_copying(t, 7, &err) == MLLM_OK);
        int right = copied(t);
        CHECK(right >= 16, "case %zu: %d of 23", i, right);
        mllm_trainer_free(t);
    }
}

static void test_head_apart(void) {
    mllm_error err;
    mllm_trainer *t = make_other(6, 1e6, 32, false, false, &err);
    CHECK(t && mllm_trainer_prime_copying(t, 7, &err) == MLLM_OK);
    int right = t ? copied(t) : 0;
    CHECK(right >= 16, "%d of 23", right);
    mllm_trainer_free(t);
}

static void test_refuses(void) {
    mllm_error err;
    mllm_trainer *t = make(1, 1e6, 32, false, &err);
    CHECK(t && mllm_trainer_prime_copying(t, 7, &err) == MLLM_E_UNSUPPORTED);
    mllm_trainer_free(t);
    t = make(4, 100, 32, false, &err);
    CHECK(t && mllm_trainer_prime_copying(t, 7, &err) == MLLM_E_UNSUPPORTED);
    CHECK(t && strstr(err.message, "slow") != NULL);
    mllm_trainer_free(t);
}

static void test_memory(void) {
    mllm_error err;
    mllm_set_allocator(failing, NULL);
    mllm_trainer *t = make(6, 1e6, 32, false, &err);
    CHECK(t != NULL);
    int n = 0;
    mllm_code code = MLLM_E_MEMORY;
    for (; t && n < 20 && code == MLLM_E_MEMORY; n++) {
        fail_once(n);
        code = mllm_trainer_prime_copying(t, 7, &err);
        fail_never();
    }
    CHECK(code == MLLM_OK && n > 1, "%d allocations, code %d", n, (int)code);
    mllm_trainer_free(t);
    mllm_set_allocator(NULL, NULL);
}

static const test_case tests[] = {
    {"copies", test_copies}, {"head_apart", test_head_apart}, {"refuses", test_refuses}, {"memory", test_memory}};
TEST_MAIN(tests)
