/* session.c - a timeline of tokens: feeding, logits, rewinding, forking, scoring. */
#include <math.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "session.h"

enum { DEFAULT_CONTEXT = 4096 };

static mllm_code kv_type(const mllm_model *m, const char *name, mllm_type *type, mllm_error *err) {
    if (!name || strcmp(name, "auto") == 0) {
        *type = m->kernel == &mllm_kernel_reference ? MLLM_F32 : MLLM_F16;
        return MLLM_OK;
    }
    if (mllm_type_by_name(name, type) && (*type == MLLM_F32 || *type == MLLM_F16 || *type == MLLM_Q8_0)) return MLLM_OK;
    return mllm_fail(err, MLLM_E_ARGUMENT, "kv_type '%s' is unknown: auto, f32, f16, q8_0", name);
}

mllm_session *mllm_session_new(mllm_model *model, const mllm_session_options *options, mllm_error *err) {
    if (!model->has_weights) {
        mllm_fail(err, MLLM_E_ARGUMENT, "%s was loaded with vocabulary_only: it has no weights to run", model->path);
        return NULL;
    }
    const mllm_blueprint *b = model->blueprint;
    int context = options ? options->context : 0, longest = (int)b->context;
    if (context == 0) context = longest < DEFAULT_CONTEXT ? longest : DEFAULT_CONTEXT;
    if (context < 1) {
        mllm_fail(err, MLLM_E_ARGUMENT, "context = %d: at least 1 token expected", context);
        return NULL;
    }
    if (context > longest) context = longest; /* a bound of the caller's beside the model's own */
    mllm_type type;
    if (kv_type(model, options ? options->kv_type : NULL, &type, err) != MLLM_OK) return NULL;
    mllm_session *s = mllm_calloc(1, sizeof *s);
    if (!s) {
        mllm_fail_memory(err, sizeof *s, "a session");
        return NULL;
    }
    s->context = context;
    s->last = mllm_alloc_array(b->width, sizeof *s->last);
    if (!s->last || mllm_kv_init(&s->cache, type, b->kv_slots, b->kv_heads, b->head_size, err) != MLLM_OK) {
        if (!s->last) mllm_fail_memory(err, b->width * sizeof *s->last, "a session");
        mllm_free(s->last);
        mllm_free(s);
        return NULL;
    }
    s->model = mllm_model_retain(model);
    return s;
}

void mllm_session_release(mllm_session *s) {
    if (!s) return;
    mllm_kv_free(&s->cache);
    mllm_workspace_free(&s->work);
    mllm_free(s->tokens);
    mllm_free(s->last);
    mllm_free_aligned(s->logits);
    mllm_model_release(s->model);
    mllm_free(s);
}

mllm_model *mllm_session_model(const mllm_session *s) {
    return s->model;
}

const mllm_token *mllm_session_tokens(const mllm_session *s, size_t *count) {
    *count = s->count;
    return s->tokens;
}

int mllm_session_context(const mllm_session *s) {
    return s->context;
}

size_t mllm_session_kv_bytes(const mllm_session *s) {
    return mllm_kv_bytes(&s->cache);
}

uint64_t mllm_session_epoch(const mllm_session *s) {
    return s->epoch;
}

static mllm_code tokens_fit(mllm_session *s, size_t count, mllm_error *err) {
    if (count <= s->capacity) return MLLM_OK;
    size_t capacity = count < 64 ? 64 : count * 2;
    if (capacity > (size_t)s->context) capacity = (size_t)s->context;
    mllm_token *more = mllm_realloc_array(s->tokens, capacity, sizeof *more);
    if (!more) return mllm_fail_memory(err, capacity * sizeof *more, "a session's tokens");
    s->tokens = more;
    s->capacity = capacity;
    return MLLM_OK;
}

/* All or nothing: everything that can fail happens before the first token is counted. */
static mllm_code check(mllm_session *s, const mllm_token *tokens, size_t count, mllm_error *err) {
    if (count > (size_t)s->context - s->count)
        return mllm_fail(err, MLLM_E_CONTEXT,
                         "the context is full: %zu tokens are there and %zu more do not fit into %d", s->count, count,
                         s->context);
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= s->model->blueprint->vocabulary)
            return mllm_fail(err, MLLM_E_TOKEN, "token %d at place %zu is outside the vocabulary of %u", (int)tokens[i],
                             i + 1, s->model->blueprint->vocabulary);
    mllm_code code = tokens_fit(s, s->count + count, err);
    return code == MLLM_OK ? mllm_kv_reserve(&s->cache, s->count, s->count + count, err) : code;
}

static void changed(mllm_session *s) {
    s->epoch++;
    s->has_last = s->has_logits = false;
}

mllm_code mllm_session_feed(mllm_session *s, const mllm_token *tokens, size_t count, mllm_error *err) {
    mllm_code code = check(s, tokens, count, err);
    if (code != MLLM_OK || count == 0) return code;
    size_t before = s->count;
    for (size_t done = 0; done < count && code == MLLM_OK;) {
        size_t n = count - done < MLLM_SLICE ? count - done : MLLM_SLICE;
        code = mllm_forward(s, tokens + done, n, err);
        if (code != MLLM_OK) break;
        memmove(s->tokens + s->count, tokens + done, n * sizeof *tokens);
        s->count += n;
        done += n;
        if (done == count) {
            changed(s);
            mllm_forward_norm(s, n - 1, s->last);
            s->has_last = true;
        }
    }
    if (code != MLLM_OK) s->count = before;
    return code;
}

mllm_code mllm_session_feed_rows(mllm_session *s, const mllm_token *tokens, size_t count, size_t rows, float *out,
                                 mllm_error *err) {
    enum { MOST = 32 };
    if (rows < 1 || rows > count || rows > MOST)
        return mllm_fail(err, MLLM_E_ARGUMENT, "logits of %zu rows: 1 to %d of the %zu tokens are possible", rows, MOST,
                         count);
    mllm_code code = check(s, tokens, count, err);
    if (code != MLLM_OK) return code;
    size_t before = s->count, width = s->model->blueprint->width, first = count > MLLM_SLICE ? count - rows : 0;
    float *normed = mllm_alloc_aligned(rows * width * sizeof *normed);
    if (!normed) return mllm_fail_memory(err, rows * width * sizeof *normed, "rows of logits");
    if (first > 0) code = mllm_session_feed(s, tokens, first, err);
    if (code == MLLM_OK) code = mllm_forward(s, tokens + first, count - first, err);
    if (code == MLLM_OK) {
        for (size_t i = 0; i < rows; i++) mllm_forward_norm(s, count - first - rows + i, normed + i * width);
        code = mllm_forward_head(s, normed, rows, out, err);
    }
    changed(s);
    if (code == MLLM_OK) {
        memmove(s->tokens + s->count, tokens + first, (count - first) * sizeof *tokens);
        s->count += count - first;
        memcpy(s->last, normed + (rows - 1) * width, width * sizeof *normed);
        s->has_last = true;
    } else
        s->count = before;
    mllm_free_aligned(normed);
    return code;
}

/* The last position's row, computed again when a rewind has made another position the last. */
static mllm_code need_last(mllm_session *s, mllm_error *err) {
    if (s->count == 0)
        return mllm_fail(err, MLLM_E_ARGUMENT, "the session is empty: feed it a token before asking for logits");
    if (s->has_last) return MLLM_OK;
    mllm_code code = mllm_kv_reserve(&s->cache, s->count - 1, s->count, err);
    if (code != MLLM_OK) return code;
    s->count--;
    code = mllm_forward(s, s->tokens + s->count, 1, err);
    s->count++;
    if (code != MLLM_OK) return code;
    mllm_forward_norm(s, 0, s->last);
    s->has_last = true;
    return MLLM_OK;
}

float *mllm_session_logits(mllm_session *s, mllm_error *err) {
    if (need_last(s, err) != MLLM_OK) return NULL;
    size_t bytes = s->model->blueprint->vocabulary * sizeof(float);
    if (!s->logits && !(s->logits = mllm_alloc_aligned(bytes))) {
        mllm_fail_memory(err, bytes, "logits");
        return NULL;
    }
    if (!s->has_logits && mllm_forward_head(s, s->last, 1, s->logits, err) != MLLM_OK) return NULL;
    s->has_logits = true;
    return s->logits;
}

mllm_code mllm_session_logits_of(mllm_session *s, const mllm_token *ids, size_t count, float *out, mllm_error *err) {
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= s->model->blueprint->vocabulary)
            return mllm_fail(err, MLLM_E_TOKEN, "token %d at place %zu is outside the vocabulary of %u", (int)ids[i],
                             i + 1, s->model->blueprint->vocabulary);
    mllm_code code = need_last(s, err);
    return code == MLLM_OK && count ? mllm_forward_head_rows(s, s->last, ids, count, out, err) : code;
}

mllm_code mllm_session_rewind(mllm_session *s, size_t count, mllm_error *err) {
    if (count > s->count)
        return mllm_fail(err, MLLM_E_ARGUMENT, "cannot rewind to %zu tokens: the session has %zu", count, s->count);
    if (count == s->count) return MLLM_OK;
    s->count = count;
    mllm_kv_trim(&s->cache, count);
    changed(s);
    return MLLM_OK;
}

mllm_session *mllm_session_fork(mllm_session *s, mllm_error *err) {
    mllm_session_options options = {.context = s->context};
    mllm_session *f = mllm_session_new(s->model, &options, err);
    if (!f) return NULL;
    f->cache.type = s->cache.type; /* the name of the type is not kept: take over its layout instead */
    f->cache.row_bytes = s->cache.row_bytes;
    f->cache.head_bytes = s->cache.head_bytes;
    f->cache.chunk_bytes = s->cache.chunk_bytes;
    const mllm_blueprint *b = s->model->blueprint;
    if (tokens_fit(f, s->count, err) != MLLM_OK || mllm_kv_share(&f->cache, &s->cache, s->count, err) != MLLM_OK ||
        (s->has_logits && !(f->logits = mllm_alloc_aligned(b->vocabulary * sizeof(float))))) {
        if (s->has_logits && !f->logits) mllm_fail_memory(err, b->vocabulary * sizeof(float), "logits");
        mllm_session_release(f);
        return NULL;
    }
    if (s->count) memcpy(f->tokens, s->tokens, s->count * sizeof *s->tokens);
    f->count = s->count;
    f->has_last = s->has_last;
    memcpy(f->last, s->last, b->width * sizeof(float));
    f->has_logits = s->has_logits;
    if (s->has_logits) memcpy(f->logits, s->logits, b->vocabulary * sizeof(float));
    return f;
}

/* ------------------------------------------------------------------ score */

/* log softmax(row)[token], summed in double. */
static double log_probability(const float *row, size_t n, mllm_token token) {
    float max = row[0];
    for (size_t i = 1; i < n; i++) max = row[i] > max ? row[i] : max;
    double sum = exp((double)row[0] - (double)max);
    for (size_t i = 1; i < n; i++) sum += exp((double)row[i] - (double)max);
    return (double)row[token] - (double)max - log(sum);
}

mllm_code mllm_session_score(mllm_session *s, const mllm_token *tokens, size_t count, double *out, mllm_error *err) {
    enum { BLOCK = 8 };
    if (count == 0) return MLLM_OK;
    mllm_code code = check(s, tokens, count, err);
    if (code == MLLM_OK) code = need_last(s, err);
    if (code != MLLM_OK) return code;
    const mllm_blueprint *b = s->model->blueprint;
    float *rows = mllm_alloc_aligned(BLOCK * (size_t)b->width * sizeof(float));
    float *logits = mllm_alloc_aligned(BLOCK * (size_t)b->vocabulary * sizeof(float));
    if (!rows || !logits) code = mllm_fail_memory(err, BLOCK * (size_t)b->vocabulary * sizeof(float), "scores");
    size_t before = s->count;
    for (size_t done = 0; code == MLLM_OK && done < count;) {
        /* The row before predicts tokens[done]; it is the last one of what was fed. */
        size_t n = count - done < MLLM_SLICE ? count - done : MLLM_SLICE;
        code = mllm_forward_head(s, s->last, 1, logits, err);
        if (code != MLLM_OK) break;
        out[done] = log_probability(logits, b->vocabulary, tokens[done]);
        code = mllm_forward(s, tokens + done, n, err);
        if (code != MLLM_OK) break;
        for (size_t i = 0; i + 1 < n && code == MLLM_OK; i += BLOCK) {
            size_t m = n - 1 - i < BLOCK ? n - 1 - i : BLOCK;
            for (size_t j = 0; j < m; j++) mllm_forward_norm(s, i + j, rows + j * b->width);
            code = mllm_forward_head(s, rows, m, logits, err);
            for (size_t j = 0; j < m && code == MLLM_OK; j++)
                out[done + i + j + 1] =
                    log_probability(logits + j * b->vocabulary, b->vocabulary, tokens[done + i + j + 1]);
        }
        mllm_forward_norm(s, n - 1, s->last);
        memmove(s->tokens + s->count, tokens + done, n * sizeof *tokens);
        s->count += n;
        done += n;
    }
    changed(s);
    if (code == MLLM_OK)
        s->has_last = true;
    else
        s->count = before;
    mllm_free_aligned(rows);
    mllm_free_aligned(logits);
    return code;
}
