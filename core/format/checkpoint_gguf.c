/* checkpoint_gguf.c - GGUF metadata as a blueprint. Names of keys and tensors: ggml's docs/gguf.md and llama.cpp's
 * llama-arch.cpp; those under "mobilellm." are ours and stand in checkpoint_write.c. */
#include "checkpoint_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../tokenizer/vocab_source.h"

typedef struct {
    const char *architecture;
    bool interleaved; /* rows of q and k are permuted */
    bool qkv_bias, qk_norm;
    uint32_t nope_interval; /* every n-th block has no positions, as llama.cpp has it in its code; 0: none */
} family;

static const family families[] = {
    {"llama", true, false, false, 0}, {"mobilellm", true, false, false, 0}, {"qwen2", false, true, false, 0},
    {"qwen3", false, false, true, 0}, {"smollm3", true, false, false, 4},
};

/* "ARCHITECTURE.suffix" */
typedef struct {
    const mllm_gguf *g;
    const char *path, *architecture;
    mllm_error *err;
    char key[128];
} metadata;

static const char *key_of(metadata *m, const char *suffix) {
    snprintf(m->key, sizeof m->key, "%s.%s", m->architecture, suffix);
    return m->key;
}

enum { REQUIRED = -1 };

/* A count. Some files have one for every block; that is fine as long as they are all the same. */
static mllm_code get_count(metadata *m, const char *suffix, int64_t fallback, uint32_t *out) {
    const mllm_kv *kv = mllm_gguf_find(m->g, key_of(m, suffix));
    if (!kv && fallback == REQUIRED) return mllm_fail(m->err, MLLM_E_FORMAT, "%s: key %s is missing", m->path, m->key);
    double v = kv ? mllm_kv_number(kv, 0) : (double)fallback;
    if (kv && (kv->type == MLLM_KV_STRING || kv->count == 0 || !(v >= 0 && v <= UINT32_MAX) || v != floor(v)))
        return mllm_fail(m->err, MLLM_E_FORMAT, "%s: key %s is no count", m->path, m->key);
    for (uint64_t i = 1; kv && i < kv->count; i++)
        if (mllm_kv_number(kv, i) != v)
            return mllm_fail(m->err, MLLM_E_UNSUPPORTED, "%s: key %s differs between blocks", m->path, m->key);
    *out = (uint32_t)v;
    return MLLM_OK;
}

static mllm_code get_float(metadata *m, const char *suffix, double fallback, float *out) {
    const mllm_kv *kv = mllm_gguf_find(m->g, key_of(m, suffix));
    double v = fallback;
    if (!kv && fallback == REQUIRED) return mllm_fail(m->err, MLLM_E_FORMAT, "%s: key %s is missing", m->path, m->key);
    if (kv && !mllm_gguf_f64(m->g, m->key, &v))
        return mllm_fail(m->err, MLLM_E_FORMAT, "%s: key %s is no number", m->path, m->key);
    *out = (float)v;
    return MLLM_OK;
}

static bool is_text(const char *s, size_t length, const char *word) {
    return strlen(word) == length && memcmp(s, word, length) == 0;
}

/* ---------------------------------------------------------------- positions */

/* Source: Llama 3.1's reference code and transformers' _compute_llama3_parameters. */
void mllm_llama3_rope_factors(const mllm_blueprint *b, float *out) {
    const double pi = 3.14159265358979323846;
    for (uint32_t i = 0; i < b->rope_size / 2; i++) {
        double wave = 2 * pi * pow((double)b->rope_base, 2.0 * i / b->rope_size);
        double turns = (double)b->rope_original_context / wave; /* of this pair within the original context */
        double low = (double)b->rope_low, high = (double)b->rope_high, factor = (double)b->rope_factor;
        double smooth = (turns - low) / (high - low);
        out[i] = (float)(turns > high ? 1 : turns < low ? factor : 1 / ((1 - smooth) / factor + smooth));
    }
}

/* llama.cpp stores Llama 3's scaling as the tensor of its result. It is turned back into the formula, so that there is one
 * representation; a tensor that is not of this form (longrope) is refused. */
static mllm_code read_rope_freqs(metadata *m, mllm_blueprint *b) {
    const mllm_tensor *t = mllm_gguf_tensor_by_name(m->g, "rope_freqs.weight");
    if (!t) return MLLM_OK;
    uint32_t n = b->rope_size / 2;
    if (t->type != MLLM_F32 || t->rows != 1 || t->cols != n || n == 0 || n > 4096)
        return mllm_fail(m->err, MLLM_E_FORMAT, "%s: tensor rope_freqs.weight is no vector of %u F32 numbers", m->path,
                         n);
    float *expected = mllm_alloc_array(2 * (size_t)n, sizeof *expected), *stored = expected ? expected + n : NULL;
    if (!expected) return mllm_fail_memory(m->err, 2 * n * sizeof *expected, "rotary frequencies");
    memcpy(stored, t->data, n * sizeof *stored);
    mllm_blueprint guess = *b;
    guess.rope_low = 1;
    guess.rope_high = 4;
    guess.rope_factor = 1; /* the slowest pair is divided by all of it */
    for (uint32_t i = 0; i < n; i++)
        if (stored[i] > guess.rope_factor) guess.rope_factor = stored[i];
    uint32_t original = 0;
    mllm_code code = get_count(m, "rope.scaling.original_context_length", 8192, &original);
    guess.rope_original_context = original;
    bool same = code == MLLM_OK && isfinite(guess.rope_factor);
    if (same) mllm_llama3_rope_factors(&guess, expected);
    for (uint32_t i = 0; same && i < n; i++) same = fabsf(stored[i] - expected[i]) <= 1e-3f * expected[i];
    mllm_free(expected);
    if (code) return code;
    if (!same)
        return mllm_fail(m->err, MLLM_E_UNSUPPORTED,
                         "%s: tensor rope_freqs.weight is not Llama 3's scaling (factor %g, original context %u)",
                         m->path, (double)guess.rope_factor, original);
    if (guess.rope_factor == 1) return MLLM_OK;
    guess.rope_scaling = MLLM_ROPE_LLAMA3;
    *b = guess;
    return MLLM_OK;
}

static mllm_code read_rope(metadata *m, mllm_blueprint *b, bool vocabulary_only) {
    mllm_code code;
    if ((code = get_float(m, "rope.freq_base", 10000, &b->rope_base)) != MLLM_OK ||
        (code = get_count(m, "rope.dimension_count", b->head_size, &b->rope_size)) != MLLM_OK)
        return code;
    const char *type = "none";
    size_t length = 4;
    float old = 1;
    if (mllm_gguf_find(m->g, key_of(m, "rope.scaling.type")) && !mllm_gguf_string(m->g, m->key, &type, &length))
        return mllm_fail(m->err, MLLM_E_FORMAT, "%s: key %s is no string", m->path, m->key);
    if ((code = get_float(m, "rope.scale_linear", 1, &old)) != MLLM_OK ||
        (code = get_float(m, "rope.scaling.factor", (double)old, &b->rope_factor)) != MLLM_OK)
        return code;
    if (is_text(type, length, "linear") || (is_text(type, length, "none") && old != 1)) {
        b->rope_scaling = MLLM_ROPE_LINEAR;
    } else if (is_text(type, length, "llama3")) { /* only our own files */
        b->rope_scaling = MLLM_ROPE_LLAMA3;
        if ((code = get_float(m, "rope.scaling.low_freq_factor", REQUIRED, &b->rope_low)) != MLLM_OK ||
            (code = get_float(m, "rope.scaling.high_freq_factor", REQUIRED, &b->rope_high)) != MLLM_OK ||
            (code = get_count(m, "rope.scaling.original_context_length", REQUIRED, &b->rope_original_context)) !=
                MLLM_OK)
            return code;
    } else if (!is_text(type, length, "none"))
        return mllm_fail(m->err, MLLM_E_UNSUPPORTED, "%s: key %s: rope scaling \"%.*s\" is not supported", m->path,
                         key_of(m, "rope.scaling.type"), length < 40 ? (int)length : 40, type);
    return vocabulary_only ? MLLM_OK : read_rope_freqs(m, b);
}

/* -------------------------------------------------------------------- steps */

/* An array of our own with one number for every step. */
static mllm_code get_per_step(metadata *m, const mllm_blueprint *b, const char *suffix, const mllm_kv **out) {
    const mllm_kv *kv = mllm_gguf_find(m->g, key_of(m, suffix));
    *out = kv;
    if (kv && (!kv->is_array || kv->type == MLLM_KV_STRING || kv->count != b->step_count))
        return mllm_fail(m->err, MLLM_E_FORMAT, "%s: key %s is no array of %u numbers", m->path, m->key, b->step_count);
    return MLLM_OK;
}

static mllm_code read_steps(metadata *m, const family *f, mllm_blueprint *b, mllm_tensor_facts *facts) {
    bool own = strcmp(f->architecture, "mobilellm") == 0, shared = false;
    uint32_t passes = 1, window = 0;
    mllm_code code = MLLM_OK;
    if (own) {
        if ((code = get_count(m, "block_passes", 1, &passes)) != MLLM_OK) return code;
        if (mllm_gguf_find(m->g, key_of(m, "shared_ffn")) && !mllm_gguf_bool(m->g, m->key, &shared))
            return mllm_fail(m->err, MLLM_E_FORMAT, "%s: key %s is no boolean", m->path, m->key);
        facts->shared_ffn = shared;
        if (mllm_gguf_find(m->g, key_of(m, "rope.interleaved")) && !mllm_gguf_bool(m->g, m->key, &b->rope_interleaved))
            return mllm_fail(m->err, MLLM_E_FORMAT, "%s: key %s is no boolean", m->path, m->key);
    }
    if ((code = get_count(m, "attention.sliding_window", 0, &window)) != MLLM_OK) return code;
    mllm_error inner = {0};
    if ((code = mllm_blueprint_make_steps(b, passes, shared, &inner)) != MLLM_OK)
        return mllm_fail(m->err, code, "%s: %s", m->path, inner.message);
    const mllm_kv *windows = NULL, *ropes = NULL;
    if (own && ((code = get_per_step(m, b, "attention.step_windows", &windows)) != MLLM_OK ||
                (code = get_per_step(m, b, "rope.steps", &ropes)) != MLLM_OK))
        return code;
    for (uint32_t i = 0; i < b->step_count; i++) {
        double w = windows ? mllm_kv_number(windows, i) : window;
        if (!(w >= 0 && w <= MLLM_MAX_CONTEXT))
            return mllm_fail(m->err, MLLM_E_FORMAT, "%s: step %u has a window of %g", m->path, i, w);
        b->steps[i].window = (uint32_t)w;
        b->steps[i].rope =
            ropes ? mllm_kv_number(ropes, i) != 0 : f->nope_interval == 0 || (i + 1) % f->nope_interval != 0;
    }
    return MLLM_OK;
}

/* ------------------------------------------------------------------ together */

static mllm_code read_blueprint(metadata *m, mllm_checkpoint *c, bool vocabulary_only, mllm_tensor_facts *facts) {
    mllm_blueprint *b = &c->blueprint;
    const family *f = NULL;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].architecture, m->architecture) == 0) f = &families[i];
    if (!f)
        return mllm_fail(m->err, MLLM_E_UNSUPPORTED, "%s: general.architecture \"%s\" is not supported", m->path,
                         m->architecture);
    b->rope_interleaved = f->interleaved;
    facts->needs_qkv_bias = f->qkv_bias;
    facts->needs_qk_norm = f->qk_norm;
    uint32_t experts, value_length;
    uint64_t parts = 1;
    if (mllm_gguf_u64(m->g, "split.count", &parts) && parts > 1)
        return mllm_fail(m->err, MLLM_E_UNSUPPORTED,
                         "%s: key split.count: the model is split into %llu files, which must be merged first", m->path,
                         (unsigned long long)parts);
    mllm_code code;
    if ((code = get_count(m, "expert_count", 0, &experts)) != MLLM_OK) return code;
    if (experts) return mllm_fail(m->err, MLLM_E_UNSUPPORTED, "%s: mixtures of experts are not supported", m->path);
    if ((code = get_count(m, "context_length", REQUIRED, &b->context)) != MLLM_OK ||
        (code = get_count(m, "embedding_length", REQUIRED, &b->width)) != MLLM_OK ||
        (code = get_count(m, "block_count", REQUIRED, &b->blocks)) != MLLM_OK ||
        (code = get_count(m, "feed_forward_length", REQUIRED, &b->ffn_width)) != MLLM_OK ||
        (code = get_count(m, "attention.head_count", REQUIRED, &b->heads)) != MLLM_OK ||
        (code = get_count(m, "attention.head_count_kv", b->heads, &b->kv_heads)) != MLLM_OK ||
        (code = get_float(m, "attention.layer_norm_rms_epsilon", REQUIRED, &b->norm_epsilon)) != MLLM_OK)
        return code;
    if (!mllm_gguf_find(m->g, key_of(m, "attention.key_length")) && (b->heads == 0 || b->width % b->heads))
        return mllm_fail(m->err, MLLM_E_FORMAT, "%s: width %u does not divide into %u heads, and key %s is missing",
                         m->path, b->width, b->heads, m->key);
    if ((code = get_count(m, "attention.key_length", b->heads ? b->width / b->heads : 0, &b->head_size)) != MLLM_OK ||
        (code = get_count(m, "attention.value_length", b->head_size, &value_length)) != MLLM_OK)
        return code;
    if (value_length != b->head_size)
        return mllm_fail(m->err, MLLM_E_UNSUPPORTED,
                         "%s: keys of %u and values of %u numbers a head: they must be equal", m->path, b->head_size,
                         value_length);
    if ((code = read_rope(m, b, vocabulary_only)) != MLLM_OK || (code = read_steps(m, f, b, facts)) != MLLM_OK)
        return code;
    const mllm_tensor *embedding = mllm_gguf_tensor_by_name(m->g, "token_embd.weight");
    if (embedding && !vocabulary_only) { /* the key may be missing, the tokens may be fewer than the rows */
        b->vocabulary = embedding->rows < UINT32_MAX ? (uint32_t)embedding->rows : UINT32_MAX;
        return MLLM_OK;
    }
    return get_count(m, "vocab_size", 0, &b->vocabulary);
}

static mllm_code read_texts(mllm_checkpoint *c, mllm_error *err) {
    const char *s;
    size_t length;
    if (mllm_gguf_string(c->gguf, "general.name", &s, &length))
        snprintf(c->blueprint.name, sizeof c->blueprint.name, "%.*s", length < 90 ? (int)length : 90, s);
    if (mllm_gguf_string(c->gguf, "tokenizer.chat_template", &s, &length)) {
        c->chat_template = mllm_strndup(s, length);
        if (!c->chat_template) return mllm_fail_memory(err, length, "a chat template");
    }
    return MLLM_OK;
}

mllm_code mllm_checkpoint_read_gguf(mllm_checkpoint *c, bool vocabulary_only, mllm_tensor_facts *facts,
                                    mllm_error *err) {
    c->gguf = mllm_gguf_open(c->path, err);
    if (!c->gguf) return err->code;
    const char *s;
    size_t length;
    if (!mllm_gguf_string(c->gguf, "general.architecture", &s, &length))
        return mllm_fail(err, MLLM_E_FORMAT, "%s: key general.architecture is missing", c->path);
    if (length >= sizeof c->blueprint.architecture || memchr(s, 0, length))
        return mllm_fail(err, MLLM_E_UNSUPPORTED, "%s: general.architecture \"%.*s\" is not supported", c->path,
                         length < 60 ? (int)length : 60, s);
    memcpy(c->blueprint.architecture, s, length);
    metadata m = {.g = c->gguf, .path = c->path, .architecture = c->blueprint.architecture, .err = err};
    mllm_code code = read_blueprint(&m, c, vocabulary_only, facts);
    /* Tokens can be had from a file whose architecture is strange to us. */
    if (code && (!vocabulary_only || code == MLLM_E_MEMORY)) return code;
    if ((code = read_texts(c, err)) != MLLM_OK) return code;
    mllm_error inner = {0};
    c->vocab = mllm_vocab_from_gguf(c->gguf, c->path, &inner);
    return c->vocab || inner.code == MLLM_OK ? MLLM_OK : mllm_fail(err, inner.code, "%s", inner.message);
}

void mllm_gguf_tensor_name(mllm_role role, uint32_t index, char name[128]) {
    static const char *const whole[] = {[MLLM_W_EMBEDDING] = "token_embd.weight",
                                        [MLLM_W_OUTPUT_NORM] = "output_norm.weight",
                                        [MLLM_W_HEAD] = "output.weight"};
    static const char *const part[] = {[MLLM_W_ATTENTION_NORM] = "attn_norm.weight",
                                       [MLLM_W_Q] = "attn_q.weight",
                                       [MLLM_W_K] = "attn_k.weight",
                                       [MLLM_W_V] = "attn_v.weight",
                                       [MLLM_W_O] = "attn_output.weight",
                                       [MLLM_W_Q_BIAS] = "attn_q.bias",
                                       [MLLM_W_K_BIAS] = "attn_k.bias",
                                       [MLLM_W_V_BIAS] = "attn_v.bias",
                                       [MLLM_W_O_BIAS] = "attn_output.bias",
                                       [MLLM_W_Q_NORM] = "attn_q_norm.weight",
                                       [MLLM_W_K_NORM] = "attn_k_norm.weight",
                                       [MLLM_W_FFN_NORM] = "ffn_norm.weight",
                                       [MLLM_W_GATE] = "ffn_gate.weight",
                                       [MLLM_W_UP] = "ffn_up.weight",
                                       [MLLM_W_DOWN] = "ffn_down.weight"};
    if (role <= MLLM_W_HEAD)
        snprintf(name, 128, "%s", whole[role]);
    else
        snprintf(name, 128, "blk.%u.%s", index, part[role]);
}

mllm_code mllm_checkpoint_find_gguf(const mllm_checkpoint *c, mllm_role role, int64_t index, char name[128],
                                    mllm_tensor *out, mllm_error *err) {
    (void)err;
    *out = (mllm_tensor){0};
    snprintf(name, 128, "(an FFN outside the blocks)");
    if (index == MLLM_FFN_OUTSIDE) return MLLM_OK;
    mllm_gguf_tensor_name(role, (uint32_t)index, name);
    const mllm_tensor *t = mllm_gguf_tensor_by_name(c->gguf, name);
    if (t) *out = *t;
    return MLLM_OK;
}
