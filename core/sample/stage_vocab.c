/* stage_vocab.c - what a vocabulary tells a chain: end tokens, and the tokens that hold a breaker. */
#include "stages.h"

#include "../base/alloc.h"
#include "../base/error.h"

static bool holds(const char *bytes, size_t length, const char *part) {
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= length; i++)
        if (memcmp(bytes + i, part, n) == 0) return n > 0;
    return false;
}

static bool vocab_wants(const mllm_stage *stage, const mllm_vocab *vocab, mllm_token id) {
    if (stage->type->ends) return mllm_vocab_is_end(vocab, id);
    size_t length;
    const char *bytes = mllm_vocab_bytes(vocab, id, &length);
    for (size_t i = 0; bytes && i < stage->string_count; i++)
        if (holds(bytes, length, stage->strings[i])) return true;
    return false;
}

mllm_code mllm_sampler_set_vocab(mllm_sampler *sampler, const mllm_vocab *vocab, mllm_error *err) {
    int size = mllm_vocab_size(vocab);
    for (size_t i = 0; i < sampler->stage_count; i++) {
        mllm_stage *stage = &sampler->stages[i];
        if (stage->tokens_given || !(stage->type->ends || stage->strings)) continue;
        size_t count = 0;
        for (mllm_token id = 0; id < size; id++) count += vocab_wants(stage, vocab, id);
        mllm_token *tokens = mllm_alloc_array(count, sizeof *tokens);
        if (!tokens) return mllm_fail_memory(err, count * sizeof *tokens, "a sampler's tokens");
        mllm_free(stage->tokens);
        stage->tokens = tokens;
        stage->token_count = 0;
        for (mllm_token id = 0; id < size; id++)
            if (vocab_wants(stage, vocab, id)) tokens[stage->token_count++] = id;
        stage->vocab_missing = false;
    }
    return MLLM_OK;
}
