#include "../mobilellm.h"

static mllm_code matcher_mask(void *ctx, uint64_t *mask, uint32_t budget, mllm_error *err) {
    return mllm_matcher_mask(ctx, mask, budget, err);
}

static mllm_code matcher_accept(void *ctx, mllm_token token, uint32_t budget, mllm_error *err) {
    return mllm_matcher_accept_within(ctx, token, budget, err);
}

static size_t matcher_forced(void *ctx, mllm_token *out, size_t capacity) {
    return mllm_matcher_forced_tokens(ctx, out, capacity);
}

static bool matcher_complete(void *ctx) {
    return mllm_matcher_is_complete(ctx);
}

static void matcher_release(void *ctx) {
    mllm_matcher_release(ctx);
}

mllm_constraint mllm_constraint_matcher(mllm_matcher *matcher) {
    return (mllm_constraint){matcher, matcher_mask, matcher_accept, matcher_forced, matcher_complete, matcher_release};
}
