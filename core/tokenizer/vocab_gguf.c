/* vocab_gguf.c - vocabularies in GGUF metadata (keys tokenizer.ggml.*, as llama.cpp writes and reads them).
 *
 * Keys of our own: mobilellm.tokenizer.nfc (bool) where the pre-tokenizer's name does not say it, and
 * mobilellm.tokenizer.end_ids (array of i32), the tokens that end a generation. */
#include <stdio.h>
#include <stdlib.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../model/blueprint.h"
#include "vocab.h"

/* GGUF counts the kinds from 1. */
enum { TYPE_NORMAL = 1, TYPE_BYTE = 6 };
enum { PAD_LENGTH = 32 }; /* bytes of "[PAD123]" */

typedef struct {
    const mllm_gguf *g;
    const char *path;
    mllm_error *err;
    mllm_vocab_source s;
    const char **pieces;
    uint32_t *lengths;
    float *scores;
    uint8_t *kinds;
    mllm_merge_text *merges;
    mllm_token *ends;
} reading;

static mllm_token read_id(reading *r, const char *key) {
    uint64_t id;
    return mllm_gguf_u64(r->g, key, &id) && id < r->s.count ? (mllm_token)id : -1;
}

static mllm_code read_tokens(reading *r, const mllm_kv *tokens) {
    if (tokens->count == 0 || tokens->count > MLLM_MAX_VOCABULARY)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tokenizer.ggml.tokens has %llu elements", r->path,
                         (unsigned long long)tokens->count);
    size_t n = r->s.count = (size_t)tokens->count;
    r->pieces = mllm_alloc_array(n, sizeof *r->pieces);
    r->lengths = mllm_alloc_array(n, sizeof *r->lengths);
    r->kinds = mllm_calloc(n, 1);
    if (!r->pieces || !r->lengths || !r->kinds) return mllm_fail_memory(r->err, n * 16, "the tokens");
    const void *cursor = NULL;
    uint64_t i = 0, index;
    const char *s;
    size_t length;
    while (i < n && mllm_kv_next_string(tokens, &cursor, &index, &s, &length)) {
        if (length > UINT32_MAX)
            return mllm_fail(r->err, MLLM_E_FORMAT, "%s: token %llu is too long", r->path, (unsigned long long)i);
        r->pieces[i] = s;
        r->lengths[i++] = (uint32_t)length;
    }
    if (i < n)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tokenizer.ggml.tokens ends after %llu of %zu", r->path,
                         (unsigned long long)i, n);
    r->s.pieces = r->pieces;
    r->s.lengths = r->lengths;
    r->s.kinds = r->kinds;
    return MLLM_OK;
}

/* The array `key` of one number per token; NULL in *out when it is absent. */
static mllm_code number_array(reading *r, const char *key, const mllm_kv **out) {
    const mllm_kv *kv = mllm_gguf_find(r->g, key);
    *out = NULL;
    if (!kv) return MLLM_OK;
    if (!kv->is_array || kv->type == MLLM_KV_STRING || kv->type == MLLM_KV_ARRAY)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: %s is no array of numbers", r->path, key);
    if (kv->count != r->s.count)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: %s has %llu elements for %zu tokens", r->path, key,
                         (unsigned long long)kv->count, r->s.count);
    *out = kv;
    return MLLM_OK;
}

static mllm_code read_scores(reading *r) {
    const mllm_kv *kv;
    mllm_code code = number_array(r, "tokenizer.ggml.scores", &kv);
    if (code != MLLM_OK) return code;
    if (!kv) return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tokenizer.ggml.scores is missing", r->path);
    r->scores = mllm_alloc_array(r->s.count, sizeof *r->scores);
    if (!r->scores) return mllm_fail_memory(r->err, r->s.count * sizeof *r->scores, "the scores");
    if (kv->type == MLLM_KV_F32)
        memcpy(r->scores, kv->data, r->s.count * sizeof *r->scores);
    else
        for (size_t i = 0; i < r->s.count; i++) r->scores[i] = (float)mllm_kv_number(kv, i);
    r->s.scores = r->scores;
    return MLLM_OK;
}

static void set_kind(reading *r, mllm_token id, mllm_token_kind kind) {
    if (id >= 0 && r->kinds[id] == MLLM_TOKEN_NORMAL) r->kinds[id] = (uint8_t)kind;
}

static mllm_code read_kinds(reading *r) {
    const mllm_kv *kv;
    mllm_code code = number_array(r, "tokenizer.ggml.token_type", &kv);
    if (code != MLLM_OK) return code;
    for (size_t i = 0; kv && i < r->s.count; i++) {
        double type = mllm_kv_number(kv, i);
        r->kinds[i] = type >= TYPE_NORMAL && type <= TYPE_BYTE ? (uint8_t)((int)type - TYPE_NORMAL) : MLLM_TOKEN_NORMAL;
    }
    r->s.bos = read_id(r, "tokenizer.ggml.bos_token_id");
    r->s.eos = read_id(r, "tokenizer.ggml.eos_token_id");
    r->s.unknown = read_id(r, "tokenizer.ggml.unknown_token_id");
    if (kv) {
        for (size_t i = 0; r->s.unknown < 0 && i < r->s.count; i++)
            if (r->kinds[i] == MLLM_TOKEN_UNKNOWN) r->s.unknown = (mllm_token)i;
        return MLLM_OK;
    }
    /* No kinds: what the ids and spellings tell. */
    set_kind(r, r->s.bos, MLLM_TOKEN_CONTROL);
    set_kind(r, r->s.eos, MLLM_TOKEN_CONTROL);
    set_kind(r, r->s.unknown, MLLM_TOKEN_UNKNOWN);
    for (size_t i = 0; r->s.family == MLLM_VOCAB_SPM && i < r->s.count; i++)
        if (r->lengths[i] == 6 && memcmp(r->pieces[i], "<0x", 3) == 0 && r->pieces[i][5] == '>')
            r->kinds[i] = MLLM_TOKEN_BYTE;
    return MLLM_OK;
}

static mllm_code read_merges(reading *r) {
    const mllm_kv *kv = mllm_gguf_find(r->g, "tokenizer.ggml.merges");
    if (!kv) return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tokenizer.ggml.merges is missing", r->path);
    if (!kv->is_array || kv->type != MLLM_KV_STRING)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tokenizer.ggml.merges is no array of strings", r->path);
    if (kv->count > (1u << 24))
        return mllm_fail(r->err, MLLM_E_LIMIT, "%s: %llu merges", r->path, (unsigned long long)kv->count);
    r->merges = mllm_alloc_array((size_t)kv->count, sizeof *r->merges);
    if (!r->merges) return mllm_fail_memory(r->err, (size_t)kv->count * sizeof *r->merges, "the merges");
    const void *cursor = NULL;
    uint64_t index;
    const char *s;
    size_t length, n = 0;
    while (n < kv->count && mllm_kv_next_string(kv, &cursor, &index, &s, &length)) {
        const char *space = length > 2 && length < UINT32_MAX ? memchr(s + 1, ' ', length - 2) : NULL;
        if (!space)
            return mllm_fail(r->err, MLLM_E_FORMAT, "%s: merge %zu is not two pieces with a space between", r->path, n);
        size_t left = (size_t)(space - s);
        r->merges[n++] = (mllm_merge_text){s, space + 1, (uint32_t)left, (uint32_t)(length - left - 1)};
    }
    r->s.merges = r->merges;
    r->s.merge_count = n;
    r->s.skip_unknown_merges = true; /* padded or cut vocabularies are in circulation */
    return MLLM_OK;
}

static mllm_code read_pre(reading *r) {
    const char *name, *architecture;
    size_t length, n;
    if (!mllm_gguf_string(r->g, "tokenizer.ggml.pre", &name, &length)) {
        /* Files older than the key: only GPT-2's own can be told. */
        if (!mllm_gguf_string(r->g, "general.architecture", &architecture, &n) || n != 4 ||
            memcmp(architecture, "gpt2", 4) != 0)
            return mllm_fail(r->err, MLLM_E_UNSUPPORTED,
                             "%s: tokenizer.ggml.pre is missing: how it cuts words is not known", r->path);
        name = "gpt-2", length = 5;
    }
    if (!mllm_pretokenizer_by_name(name, length, &r->s.pre))
        return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: pre-tokenizer \"%.*s\" is not known", r->path,
                         length > 64 ? 64 : (int)length, name);
    r->s.ignore_merges = r->s.pre == MLLM_PRE_LLAMA3;
    r->s.nfc = length == 5 && memcmp(name, "qwen2", 5) == 0;
    mllm_gguf_bool(r->g, "mobilellm.tokenizer.nfc", &r->s.nfc);
    mllm_gguf_bool(r->g, "mobilellm.tokenizer.ignore_merges", &r->s.ignore_merges);
    return MLLM_OK;
}

static mllm_code read_ends(reading *r) {
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    const mllm_kv *kv = mllm_gguf_find(r->g, "mobilellm.tokenizer.end_ids");
    size_t more = kv && kv->is_array && kv->type <= MLLM_KV_I32 && kv->count <= r->s.count ? (size_t)kv->count : 0;
    r->ends = mllm_alloc_array(more + 2, sizeof *r->ends);
    if (!r->ends) return mllm_fail_memory(r->err, more * sizeof *r->ends, "the ends");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        mllm_token id = read_id(r, keys[i]);
        if (id >= 0) r->ends[r->s.end_count++] = id;
    }
    for (size_t i = 0; i < more; i++) {
        double id = mllm_kv_number(kv, i);
        if (id >= 0 && id < (double)r->s.count) r->ends[r->s.end_count++] = (mllm_token)id;
    }
    r->s.ends = r->ends;
    return MLLM_OK;
}

static mllm_code read_all(reading *r, const mllm_kv *tokens) {
    mllm_code code = read_tokens(r, tokens);
    if (code == MLLM_OK) code = read_kinds(r);
    if (code != MLLM_OK) return code;
    if (r->s.family == MLLM_VOCAB_SPM) {
        code = read_scores(r);
        r->s.space_prefix = r->s.add_bos = r->s.prefix_each = true; /* where the keys are absent, Llama 2 is meant */
    } else {
        code = read_pre(r);
        if (code == MLLM_OK) code = read_merges(r);
        r->s.add_bos = r->s.pre == MLLM_PRE_LLAMA3;
    }
    if (code != MLLM_OK) return code;
    mllm_gguf_bool(r->g, "tokenizer.ggml.add_space_prefix", &r->s.space_prefix);
    mllm_gguf_bool(r->g, "tokenizer.ggml.remove_extra_whitespaces", &r->s.collapse_spaces);
    mllm_gguf_bool(r->g, "tokenizer.ggml.add_bos_token", &r->s.add_bos);
    mllm_gguf_bool(r->g, "tokenizer.ggml.add_eos_token", &r->s.add_eos);
    return read_ends(r);
}

mllm_vocab *mllm_vocab_from_gguf(const mllm_gguf *g, const char *path, mllm_error *err) {
    if (err) err->code = MLLM_OK;
    const mllm_kv *tokens = mllm_gguf_find(g, "tokenizer.ggml.tokens");
    const char *model;
    size_t length;
    if (!tokens || !mllm_gguf_string(g, "tokenizer.ggml.model", &model, &length)) return NULL;
    reading r = {.g = g, .path = path, .err = err};
    r.s.where = path;
    mllm_vocab *v = NULL;
    if (!tokens->is_array || tokens->type != MLLM_KV_STRING) {
        mllm_fail(err, MLLM_E_FORMAT, "%s: tokenizer.ggml.tokens is no array of strings", path);
        return NULL;
    }
    if (length == 5 && memcmp(model, "llama", 5) == 0)
        r.s.family = MLLM_VOCAB_SPM;
    else if (length == 4 && memcmp(model, "gpt2", 4) == 0)
        r.s.family = MLLM_VOCAB_BPE;
    else {
        mllm_fail(err, MLLM_E_UNSUPPORTED, "%s: tokenizer.ggml.model \"%.*s\" is not known (llama, gpt2)", path,
                  length > 64 ? 64 : (int)length, model);
        return NULL;
    }
    if (read_all(&r, tokens) == MLLM_OK) v = mllm_vocab_new(&r.s, err);
    mllm_free(r.pieces);
    mllm_free(r.lengths);
    mllm_free(r.scores);
    mllm_free(r.kinds);
    mllm_free(r.merges);
    mllm_free(r.ends);
    return v;
}

/* ------------------------------------------------------------------ writing */

/* The writer reports its own lack of memory at the end; a string that no memory can hold makes ours one of those. */
static void out_of_memory(mllm_gguf_writer *w, const char *key) {
    mllm_gguf_put_string(w, key, NULL, SIZE_MAX);
}

static void put_merges(const mllm_vocab *v, mllm_gguf_writer *w) {
    size_t bytes = 0, n = v->merge_count;
    uint32_t a, b;
    for (size_t i = 0; i < n; i++) {
        mllm_vocab_spelling(v, v->merges[i].left, &a);
        mllm_vocab_spelling(v, v->merges[i].right, &b);
        bytes += a + b + 1;
    }
    char *pool = mllm_alloc(bytes), *to = pool;
    const char **pieces = mllm_alloc_array(n, sizeof *pieces);
    size_t *lengths = mllm_alloc_array(n, sizeof *lengths);
    if (pool && pieces && lengths) {
        for (size_t i = 0; i < n; i++) {
            const char *left = mllm_vocab_spelling(v, v->merges[i].left, &a),
                       *right = mllm_vocab_spelling(v, v->merges[i].right, &b);
            pieces[i] = to;
            lengths[i] = (size_t)a + b + 1;
            memcpy(to, left, a);
            to[a] = ' ';
            memcpy(to + a + 1, right, b);
            to += lengths[i];
        }
        mllm_gguf_put_strings(w, "tokenizer.ggml.merges", pieces, lengths, n);
    } else
        out_of_memory(w, "tokenizer.ggml.merges");
    mllm_free(pool);
    mllm_free(pieces);
    mllm_free(lengths);
}

static void put_id(mllm_gguf_writer *w, const char *key, mllm_token id) {
    if (id >= 0) mllm_gguf_put_u32(w, key, (uint32_t)id);
}

void mllm_vocab_put_gguf(const mllm_vocab *v, size_t rows, mllm_gguf_writer *w) {
    bool spm = v->family == MLLM_VOCAB_SPM;
    const char *pre = spm ? "default" : mllm_pretokenizer_name(v->pre);
    mllm_gguf_put_string(w, "tokenizer.ggml.model", spm ? "llama" : "gpt2", spm ? 5 : 4);
    mllm_gguf_put_string(w, "tokenizer.ggml.pre", pre, strlen(pre));

    size_t count = rows > v->count && rows <= MLLM_MAX_VOCABULARY ? rows : v->count, padding = count - v->count;
    const char **pieces = mllm_alloc_array(count, sizeof *pieces);
    size_t *lengths = mllm_alloc_array(count, sizeof *lengths);
    int32_t *types = mllm_alloc_array(count, sizeof *types);
    float *scores = mllm_alloc_array(count, sizeof *scores);
    char(*pads)[PAD_LENGTH] = mllm_alloc_array(padding, sizeof *pads);
    if (!pieces || !lengths || !types || !scores || !pads) {
        out_of_memory(w, "tokenizer.ggml.tokens");
        goto done;
    }
    size_t end_count = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        uint32_t n;
        pieces[i] = mllm_vocab_spelling(v, i, &n);
        lengths[i] = n;
        types[i] = (int32_t)mllm_vocab_kind_of(v, i) + TYPE_NORMAL;
        scores[i] = v->scores ? v->scores[i] : -1e6f;
        if (v->kind[i] & MLLM_KIND_END && (mllm_token)i != v->eos) end_count++;
    }
    for (size_t i = v->count; i < count; i++) { /* the spelling that llama.cpp's own converter uses */
        char *pad = pads[i - v->count];
        lengths[i] = (size_t)snprintf(pad, PAD_LENGTH, "[PAD%zu]", i);
        pieces[i] = pad;
        types[i] = MLLM_TOKEN_UNUSED + TYPE_NORMAL;
        scores[i] = -1e6f;
    }
    mllm_gguf_put_strings(w, "tokenizer.ggml.tokens", pieces, lengths, count);
    if (spm) {
        /* A list of merges as scores: a piece is as strong as its strongest merge. */
        for (uint32_t i = v->merge_count; i-- > 0;) scores[v->merges[i].result] = -(float)i;
        mllm_gguf_put_numbers(w, "tokenizer.ggml.scores", MLLM_KV_F32, scores, count);
    }
    mllm_gguf_put_numbers(w, "tokenizer.ggml.token_type", MLLM_KV_I32, types, count);
    if (!spm) put_merges(v, w);
    put_id(w, "tokenizer.ggml.bos_token_id", v->bos);
    put_id(w, "tokenizer.ggml.eos_token_id", v->eos);
    put_id(w, "tokenizer.ggml.unknown_token_id", v->unknown);
    mllm_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", v->add_bos);
    mllm_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", v->add_eos);
    mllm_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", v->space_prefix);
    if (spm && v->collapse_spaces) mllm_gguf_put_bool(w, "tokenizer.ggml.remove_extra_whitespaces", true);
    if (!spm && v->nfc != (v->pre == MLLM_PRE_QWEN2)) mllm_gguf_put_bool(w, "mobilellm.tokenizer.nfc", v->nfc);
    if (!spm && v->ignore_merges != (v->pre == MLLM_PRE_LLAMA3))
        mllm_gguf_put_bool(w, "mobilellm.tokenizer.ignore_merges", v->ignore_merges);
    if (end_count) {
        size_t n = 0;
        for (uint32_t i = 0; i < v->count; i++)
            if (v->kind[i] & MLLM_KIND_END && (mllm_token)i != v->eos) types[n++] = (int32_t)i;
        mllm_gguf_put_numbers(w, "mobilellm.tokenizer.end_ids", MLLM_KV_I32, types, n);
    }
done:
    mllm_free(pieces);
    mllm_free(lengths);
    mllm_free(types);
    mllm_free(scores);
    mllm_free(pads);
}
