/* perplexity.c - a text through a model in windows: how well it was predicted, and what went into the products meanwhile. */
#include <math.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../format/importance.h"
#include "session.h"

/* One window: tokens[from, end) behind bos; those before `counted` are only context. */
static mllm_code window(mllm_session *s, const mllm_token *tokens, mllm_token bos, size_t from, size_t counted,
                        size_t end, double *out, mllm_error *err) {
    mllm_code code = mllm_session_rewind(s, 0, err);
    if (code == MLLM_OK && bos >= 0) code = mllm_session_feed(s, &bos, 1, err);
    if (code == MLLM_OK) code = mllm_session_feed(s, tokens + from, counted - from, err);
    return code == MLLM_OK ? mllm_session_score(s, tokens + counted, end - counted, out, err) : code;
}

mllm_code mllm_perplexity(mllm_session *s, const mllm_token *tokens, size_t count, mllm_token bos,
                          mllm_perplexity_result *out, mllm_error *err) {
    size_t first = bos >= 0 ? 0 : 1, room = (size_t)s->context - (bos >= 0 ? 1 : 0);
    *out = (mllm_perplexity_result){0};
    if (count <= first)
        return mllm_fail(err, MLLM_E_ARGUMENT, "a text of %zu tokens has none that can be predicted", count);
    if (room < 2)
        return mllm_fail(err, MLLM_E_ARGUMENT, "a context of %d tokens is too short for a window", s->context);
    double *logprobs = mllm_alloc_array(room, sizeof *logprobs), sum = 0;
    if (!logprobs) return mllm_fail_memory(err, room * sizeof *logprobs, "scores");
    mllm_code code = MLLM_OK;
    size_t counted = first;
    for (size_t from = 0; code == MLLM_OK && counted < count; from += room / 2) {
        if (count - from < room) from = count > room ? count - room : 0;
        size_t end = count - from < room ? count : from + room;
        code = window(s, tokens, bos, from, counted, end, logprobs, err);
        for (size_t i = 0; code == MLLM_OK && i < end - counted; i++) sum += logprobs[i];
        counted = end;
        out->windows++;
    }
    mllm_free(logprobs);
    if (code != MLLM_OK) return code;
    out->logprob = sum;
    out->tokens = count - first;
    out->perplexity = exp(-sum / (double)out->tokens);
    return mllm_session_rewind(s, 0, err);
}

static void see(void *ctx, mllm_role role, uint32_t index, const float *x, size_t cols) {
    mllm_importance_add(ctx, role, index, x, cols);
}

mllm_importance *mllm_importance_gather(mllm_session *s, const mllm_token *tokens, size_t count, mllm_token bos,
                                        mllm_error *err) {
    mllm_importance *m = mllm_importance_new(s->model->blueprint);
    if (!m) {
        mllm_fail_memory(err, sizeof *m, "an importance matrix");
        return NULL;
    }
    mllm_perplexity_result result;
    s->watch = (mllm_watch){see, m};
    mllm_code code = mllm_perplexity(s, tokens, count, bos, &result, err);
    s->watch = (mllm_watch){0};
    if (code == MLLM_OK) return m;
    mllm_importance_free(m);
    return NULL;
}
