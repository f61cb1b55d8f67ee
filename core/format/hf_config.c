/* hf_config.c - the keys are those of the configuration classes in the transformers library (and of MobileLLM's own
 * configuration.py: share_embedding, layer_sharing); a key that is absent has the default of its class. */
#include "hf_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"

typedef struct {
    const mllm_json *doc;
    const char *path;
    uint32_t node; /* the object that keys are looked up in */
    mllm_error *err;
} config;

/* The value of `key`, NULL when it is absent or null. */
static const mllm_json_node *value(const config *c, const char *key) {
    uint32_t i = mllm_json_get(c->doc, c->node, key);
    return i && c->doc->nodes[i].kind != MLLM_JSON_NULL ? &c->doc->nodes[i] : NULL;
}

static bool number_of(const mllm_json_node *n, double *out) {
    if (n->kind == MLLM_JSON_INTEGER) *out = (double)n->as.integer;
    if (n->kind == MLLM_JSON_NUMBER) *out = n->as.number;
    return n->kind == MLLM_JSON_INTEGER || n->kind == MLLM_JSON_NUMBER;
}

enum { REQUIRED = -1 };

/* A count; `fallback` when the key is absent, unless that is REQUIRED. */
static mllm_code get_count(const config *c, const char *key, int64_t fallback, uint32_t *out) {
    const mllm_json_node *n = value(c, key);
    if (!n && fallback == REQUIRED) return mllm_fail(c->err, MLLM_E_FORMAT, "%s: key %s is missing", c->path, key);
    double v = (double)fallback;
    if (n && (!number_of(n, &v) || v < 0 || v > UINT32_MAX || v != floor(v)))
        return mllm_fail(c->err, MLLM_E_FORMAT, "%s: key %s is no count", c->path, key);
    *out = (uint32_t)v;
    return MLLM_OK;
}

static mllm_code get_float(const config *c, const char *key, double fallback, float *out) {
    const mllm_json_node *n = value(c, key);
    if (!n && fallback == REQUIRED) return mllm_fail(c->err, MLLM_E_FORMAT, "%s: key %s is missing", c->path, key);
    double v = fallback;
    if (n && !number_of(n, &v)) return mllm_fail(c->err, MLLM_E_FORMAT, "%s: key %s is no number", c->path, key);
    *out = (float)v;
    return MLLM_OK;
}

/* 1, 0, or `fallback` when the key is absent. */
static mllm_code get_flag(const config *c, const char *key, int fallback, int *out) {
    const mllm_json_node *n = value(c, key);
    if (n && n->kind != MLLM_JSON_TRUE && n->kind != MLLM_JSON_FALSE)
        return mllm_fail(c->err, MLLM_E_FORMAT, "%s: key %s is neither true nor false", c->path, key);
    *out = n ? n->kind == MLLM_JSON_TRUE : fallback;
    return MLLM_OK;
}

static const char *get_string(const config *c, const char *key) {
    const mllm_json_node *n = value(c, key);
    return n && n->kind == MLLM_JSON_STRING ? n->as.string : NULL;
}

/* ------------------------------------------------------------- architecture */

typedef struct {
    const char *model_type;
    bool qkv_bias, qk_norm;
    bool window_flag; /* sliding_window counts only where use_sliding_window says so */
    uint32_t window_from; /* the default of max_window_layers */
    bool nope; /* no_rope_layers, no_rope_layer_interval */
    int tied; /* the default of tie_word_embeddings; -1: let the tensors decide */
} family;

static const family families[] = {
    {"llama", false, false, true, 0, false, -1},     {"mobilellm", false, false, true, 0, false, -1},
    {"mobillama", false, false, true, 0, false, -1}, {"mistral", false, false, false, 0, false, -1},
    {"qwen2", true, false, true, 28, false, -1},     {"qwen3", false, true, true, 28, false, -1},
    {"smollm3", false, false, true, 0, true, 1},
};

static const family *find_family(const config *c) {
    const char *type = get_string(c, "model_type");
    if (!type) {
        mllm_fail(c->err, MLLM_E_FORMAT, "%s: key model_type is missing", c->path);
        return NULL;
    }
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].model_type, type) == 0) return &families[i];
    mllm_fail(c->err, MLLM_E_UNSUPPORTED, "%s: model_type \"%.60s\" is not supported", c->path, type);
    return NULL;
}

/* ---------------------------------------------------------------- positions */

/* rope_scaling, or rope_parameters as newer files call it (there with rope_theta inside). */
static mllm_code read_rope(config *c, mllm_blueprint *b) {
    mllm_code code = get_float(c, "rope_theta", 10000, &b->rope_base);
    if (code) return code;
    float part;
    if ((code = get_float(c, "partial_rotary_factor", 1, &part)) != MLLM_OK) return code;
    double rotated = (double)b->head_size * (double)part;
    if (!(part > 0 && part <= 1) || rotated != floor(rotated))
        return mllm_fail(c->err, MLLM_E_FORMAT, "%s: key partial_rotary_factor is %g", c->path, (double)part);
    b->rope_size = (uint32_t)rotated;
    uint32_t object = mllm_json_get(c->doc, c->node, "rope_scaling");
    if (!object || c->doc->nodes[object].kind == MLLM_JSON_NULL)
        object = mllm_json_get(c->doc, c->node, "rope_parameters");
    if (!object || c->doc->nodes[object].kind == MLLM_JSON_NULL) return MLLM_OK;
    if (c->doc->nodes[object].kind != MLLM_JSON_OBJECT)
        return mllm_fail(c->err, MLLM_E_FORMAT, "%s: key rope_scaling is no object", c->path);
    config inner = *c;
    inner.node = object;
    if ((code = get_float(&inner, "rope_theta", (double)b->rope_base, &b->rope_base)) != MLLM_OK) return code;
    const char *type = get_string(&inner, "rope_type");
    if (!type) type = get_string(&inner, "type");
    if (!type) return mllm_fail(c->err, MLLM_E_FORMAT, "%s: key rope_scaling has no rope_type", c->path);
    if (strcmp(type, "default") == 0) return MLLM_OK;
    if (strcmp(type, "linear") == 0) {
        b->rope_scaling = MLLM_ROPE_LINEAR;
        return get_float(&inner, "factor", REQUIRED, &b->rope_factor);
    }
    if (strcmp(type, "llama3") != 0)
        return mllm_fail(c->err, MLLM_E_UNSUPPORTED, "%s: rope_scaling of type \"%.40s\" is not supported", c->path,
                         type);
    b->rope_scaling = MLLM_ROPE_LLAMA3;
    if ((code = get_float(&inner, "factor", REQUIRED, &b->rope_factor)) == MLLM_OK &&
        (code = get_float(&inner, "low_freq_factor", REQUIRED, &b->rope_low)) == MLLM_OK &&
        (code = get_float(&inner, "high_freq_factor", REQUIRED, &b->rope_high)) == MLLM_OK)
        code = get_count(&inner, "original_max_position_embeddings", REQUIRED, &b->rope_original_context);
    return code;
}

/* -------------------------------------------------------------------- steps */

/* An array with one element for every block, NULL when the key is absent. */
static mllm_code get_per_block(const config *c, const mllm_blueprint *b, const char *key,
                               const mllm_json_node **first) {
    const mllm_json_node *n = value(c, key);
    *first = NULL;
    if (!n) return MLLM_OK;
    if (n->kind != MLLM_JSON_ARRAY || n->count < b->blocks)
        return mllm_fail(c->err, MLLM_E_FORMAT, "%s: key %s is no list of %u", c->path, key, b->blocks);
    *first = n + 1;
    return MLLM_OK;
}

/* Which blocks see a window, and which see no positions. Both passes of a shared block do as the block. */
static mllm_code read_steps(const config *c, const family *f, mllm_blueprint *b) {
    int sharing, use_window;
    uint32_t window, window_from, interval;
    mllm_code code;
    if ((code = get_flag(c, "layer_sharing", 0, &sharing)) != MLLM_OK ||
        (code = get_flag(c, "use_sliding_window", !f->window_flag, &use_window)) != MLLM_OK ||
        (code = get_count(c, "sliding_window", 0, &window)) != MLLM_OK ||
        (code = get_count(c, "max_window_layers", f->window_from, &window_from)) != MLLM_OK ||
        (code = get_count(c, "no_rope_layer_interval", 4, &interval)) != MLLM_OK)
        return code;
    if (!use_window) window = 0;
    const mllm_json_node *types, *ropes;
    if ((code = get_per_block(c, b, "layer_types", &types)) != MLLM_OK ||
        (code = get_per_block(c, b, "no_rope_layers", &ropes)) != MLLM_OK)
        return code;
    uint32_t passes = sharing ? 2 : 1;
    mllm_error inner = {0};
    code = mllm_blueprint_make_steps(b, passes, false, &inner);
    if (code) return mllm_fail(c->err, code, "%s: %s", c->path, inner.message);
    for (uint32_t i = 0; i < b->blocks; i++) {
        bool windowed = window && i >= window_from, rope = true;
        if (types) {
            /* Scalars have no subtree: element i is the i-th node, whatever its kind; strings are checked here. */
            const char *type = types[i].kind == MLLM_JSON_STRING ? types[i].as.string : "";
            windowed = window && strcmp(type, "sliding_attention") == 0;
            if (strcmp(type, "sliding_attention") != 0 && strcmp(type, "full_attention") != 0)
                return mllm_fail(c->err, MLLM_E_UNSUPPORTED,
                                 "%s: layer_types: block %u has the unsupported type \"%.40s\"", c->path, i, type);
        }
        if (f->nope && ropes) { /* despite the key's name, 1 is a block with rotary positions */
            if (ropes[i].kind != MLLM_JSON_INTEGER)
                return mllm_fail(c->err, MLLM_E_FORMAT, "%s: key no_rope_layers is no list of 0 and 1", c->path);
            rope = ropes[i].as.integer != 0;
        } else if (f->nope)
            rope = interval == 0 || (i + 1) % interval != 0;
        for (uint32_t p = 0; p < passes; p++) {
            b->steps[i * passes + p].window = windowed ? window : 0;
            b->steps[i * passes + p].rope = rope;
        }
    }
    return MLLM_OK;
}

/* ------------------------------------------------------------------ together */

static mllm_code read_shapes(const config *c, mllm_blueprint *b) {
    mllm_code code;
    if ((code = get_count(c, "vocab_size", REQUIRED, &b->vocabulary)) != MLLM_OK ||
        (code = get_count(c, "hidden_size", REQUIRED, &b->width)) != MLLM_OK ||
        (code = get_count(c, "intermediate_size", REQUIRED, &b->ffn_width)) != MLLM_OK ||
        (code = get_count(c, "num_hidden_layers", REQUIRED, &b->blocks)) != MLLM_OK ||
        (code = get_count(c, "num_attention_heads", REQUIRED, &b->heads)) != MLLM_OK ||
        (code = get_count(c, "num_key_value_heads", b->heads, &b->kv_heads)) != MLLM_OK ||
        (code = get_count(c, "max_position_embeddings", 2048, &b->context)) != MLLM_OK ||
        (code = get_float(c, "rms_norm_eps", 1e-6, &b->norm_epsilon)) != MLLM_OK)
        return code;
    if (!value(c, "head_dim") && (b->heads == 0 || b->width % b->heads))
        return mllm_fail(c->err, MLLM_E_FORMAT,
                         "%s: hidden_size %u does not divide into %u heads, and there is no head_dim", c->path,
                         b->width, b->heads);
    return get_count(c, "head_dim", b->heads ? b->width / b->heads : 0, &b->head_size);
}

mllm_code mllm_hf_config_read(const mllm_json *doc, const char *path, mllm_blueprint *b, mllm_hf_facts *facts,
                              mllm_error *err) {
    config c = {.doc = doc, .path = path, .err = err};
    if (doc->nodes[0].kind != MLLM_JSON_OBJECT) return mllm_fail(err, MLLM_E_FORMAT, "%s: no JSON object", path);
    const family *f = find_family(&c);
    if (!f) return err ? err->code : MLLM_E_FORMAT;
    snprintf(b->architecture, sizeof b->architecture, "%s", f->model_type);
    const char *activation = get_string(&c, "hidden_act");
    if (activation && strcmp(activation, "silu") != 0 && strcmp(activation, "swish") != 0)
        return mllm_fail(err, MLLM_E_UNSUPPORTED, "%s: hidden_act \"%.40s\" is not supported", path, activation);
    if (value(&c, "quantization_config"))
        return mllm_fail(err, MLLM_E_UNSUPPORTED, "%s: quantization_config: quantized folders are not supported", path);
    int mlp_bias, shared, tied;
    mllm_code code = get_flag(&c, "mlp_bias", 0, &mlp_bias);
    if (code == MLLM_OK && mlp_bias) return mllm_fail(err, MLLM_E_UNSUPPORTED, "%s: mlp_bias is not supported", path);
    if (code == MLLM_OK) code = get_flag(&c, "share_embedding", 0, &shared);
    if (code == MLLM_OK) code = get_flag(&c, "tie_word_embeddings", f->tied, &tied);
    if (code == MLLM_OK) code = read_shapes(&c, b);
    if (code == MLLM_OK) code = read_rope(&c, b);
    if (code == MLLM_OK) code = read_steps(&c, f, b);
    if (code) return code;
    b->rope_interleaved = false;
    facts->tied = shared ? 1 : tied;
    facts->needs_qkv_bias = f->qkv_bias;
    facts->needs_qk_norm = f->qk_norm;
    return MLLM_OK;
}
