/* Opening models: what config.json and GGUF metadata say becomes the right blueprint, every tensor is found and checked, and
 * whatever is wrong is named. */
#include "failing.h"
#include "tiny_folder.h"

#include "format/checkpoint.h"
#include "format/gguf.h"
#include "format/safetensors.h"

static mllm_checkpoint *opened(const char *path) {
    mllm_error err = {0};
    mllm_checkpoint *c = mllm_checkpoint_open(path, false, &err);
    CHECK(c, "%s", err.message);
    return c;
}

static void refuse(const char *path, mllm_code code, const char *one, const char *two) {
    mllm_error err = {0};
    mllm_checkpoint *c = mllm_checkpoint_open(path, false, &err);
    CHECK(!c && err.code == code && strstr(err.message, one) && strstr(err.message, two) &&
              strstr(err.message, tiny_root),
          "(%s, %s) %s: %s", one, two, mllm_code_name(err.code), err.message);
    mllm_checkpoint_close(c);
}

static float weight(const mllm_checkpoint *c, mllm_role role, uint32_t index, size_t row, size_t col) {
    mllm_tensor t = mllm_checkpoint_tensor(c, role, index);
    float values[4096];
    if (!t.data || row >= t.rows || col >= t.cols || t.cols > 4096) return NAN;
    mllm_dequantize_row(t.type, (const char *)t.data + row * t.row_bytes, values, t.cols);
    return values[col];
}

static void plain(void) {
    mllm_checkpoint *c = opened(tiny_folder("plain", "llama", "", TINY_HEAD));
    if (!c) return;
    const mllm_blueprint *b = mllm_checkpoint_blueprint(c);
    CHECK(strcmp(b->architecture, "llama") == 0 && strcmp(b->name, "plain") == 0);
    CHECK(b->vocabulary == 10 && b->width == 32 && b->heads == 2 && b->kv_heads == 1 && b->head_size == 4 &&
          b->ffn_width == 64);
    CHECK(b->blocks == 3 && b->ffns == 3 && b->kv_slots == 3 && b->step_count == 3 && b->context == 256);
    CHECK(b->norm_epsilon == 1e-5f && b->rope_base == 10000 && b->rope_size == 4 && !b->rope_interleaved);
    CHECK(!b->tied_embedding && !b->qkv_bias && !b->output_bias && !b->qk_norm && b->rope_scaling == MLLM_ROPE_NONE);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(b->steps[i].block == i && b->steps[i].ffn == i && b->steps[i].kv_slot == i && b->steps[i].rope &&
              !b->steps[i].window);
    CHECK(weight(c, MLLM_W_EMBEDDING, 0, 9, 31) == tiny_value("model.embed_tokens.weight", 9, 31));
    CHECK(weight(c, MLLM_W_HEAD, 0, 3, 1) == tiny_value("lm_head.weight", 3, 1));
    CHECK(weight(c, MLLM_W_Q, 2, 7, 5) == tiny_value("model.layers.2.self_attn.q_proj.weight", 7, 5));
    CHECK(weight(c, MLLM_W_O, 1, 31, 7) == tiny_value("model.layers.1.self_attn.o_proj.weight", 31, 7));
    CHECK(weight(c, MLLM_W_FFN_NORM, 1, 0, 7) == tiny_value("model.layers.1.post_attention_layernorm.weight", 0, 7));
    CHECK(weight(c, MLLM_W_DOWN, 0, 31, 63) == tiny_value("model.layers.0.mlp.down_proj.weight", 31, 63));
    CHECK(!mllm_checkpoint_tensor(c, MLLM_W_Q_BIAS, 0).data && !mllm_checkpoint_tensor(c, MLLM_W_Q, 3).data);
    CHECK(!mllm_checkpoint_vocab(c) && !mllm_checkpoint_chat_template(c));
    mllm_checkpoint_close(c);
    mllm_checkpoint_close(NULL);

    c = opened(tiny_folder("shards", "llama", "", TINY_SHARDS | TINY_HEAD));
    if (c) {
        CHECK(weight(c, MLLM_W_GATE, 0, 1, 1) == tiny_value("model.layers.0.mlp.gate_proj.weight", 1, 1));
        CHECK(weight(c, MLLM_W_GATE, 2, 1, 1) == tiny_value("model.layers.2.mlp.gate_proj.weight", 1, 1));
    }
    mllm_checkpoint_close(c);
    c = opened(tiny_folder("bare", "llama", "", TINY_NO_PREFIX));
    if (c) CHECK(weight(c, MLLM_W_V, 2, 1, 1) == tiny_value("layers.2.self_attn.v_proj.weight", 1, 1));
    mllm_checkpoint_close(c);
}

/* Opens a variant and hands out a copy of its blueprint (the steps stay valid until the next call). */
static const mllm_blueprint *variant(const char *model_type, const char *extra, unsigned flags) {
    static mllm_checkpoint *last;
    static const mllm_blueprint none;
    mllm_checkpoint_close(last);
    last = model_type ? opened(tiny_folder("variant", model_type, extra, flags)) : NULL;
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", tiny_path("variant"));
    CHECK(system(command) == 0);
    return last ? mllm_checkpoint_blueprint(last) : &none;
}

static void heads_and_options(void) {
    CHECK(variant("llama", "", 0)->tied_embedding, "no head, nothing said");
    CHECK(variant("llama", "\"tie_word_embeddings\": true", 0)->tied_embedding);
    CHECK(variant("llama", "\"tie_word_embeddings\": true", TINY_HEAD)->tied_embedding, "the config decides");
    CHECK(variant("mobilellm", "\"tie_word_embeddings\": false, \"share_embedding\": true", 0)->tied_embedding);
    CHECK(!variant("llama", "\"tie_word_embeddings\": false", TINY_HEAD)->tied_embedding);
    const mllm_blueprint *b = variant("qwen2", "", TINY_BIAS);
    CHECK(b->qkv_bias && !b->output_bias && !b->qk_norm && strcmp(b->architecture, "qwen2") == 0);
    b = variant("llama", "\"attention_bias\": true", TINY_BIAS | TINY_OUTPUT_BIAS);
    CHECK(b->qkv_bias && b->output_bias);
    b = variant("qwen3", "", TINY_QK_NORM);
    CHECK(b->qk_norm && !b->qkv_bias);
    variant(NULL, "", 0);
    refuse(tiny_folder("nohead", "llama", "\"tie_word_embeddings\": false", 0), MLLM_E_FORMAT, "lm_head.weight",
           "missing");
    refuse(tiny_folder("nobias", "qwen2", "", 0), MLLM_E_FORMAT, "q_proj.bias", "missing");
    refuse(tiny_folder("nonorm", "qwen3", "", 0), MLLM_E_FORMAT, "q_norm.weight", "missing");
}

static void sharing(void) {
    const mllm_blueprint *b = variant("mobilellm", "\"layer_sharing\": true", 0);
    CHECK(b->step_count == 6 && b->kv_slots == 6 && b->blocks == 3 && b->ffns == 3);
    for (uint32_t i = 0; i < 6 && b->step_count == 6; i++)
        CHECK(b->steps[i].block == i / 2 && b->steps[i].ffn == i / 2 && b->steps[i].kv_slot == i);
    static const unsigned shared[] = {TINY_FFN_FIRST, TINY_FFN_SAME, TINY_FFN_OUTSIDE, TINY_FFN_SAME | TINY_SHARDS};
    for (size_t k = 0; k < sizeof shared / sizeof *shared; k++) {
        b = variant("llama", "", shared[k] | TINY_HEAD);
        CHECK(b->ffns == 1 && b->step_count == 3 && b->kv_slots == 3, "%zu", k);
        for (uint32_t i = 0; i < 3 && b->step_count == 3; i++) CHECK(b->steps[i].block == i && b->steps[i].ffn == 0);
    }
    CHECK(variant("llama", "", TINY_FFN_GATES)->ffns == 3, "equal gates alone make no shared FFN");
    variant(NULL, "", 0);
    mllm_checkpoint *c = opened(tiny_folder("outside", "mobillama", "", TINY_FFN_OUTSIDE));
    if (c) CHECK(weight(c, MLLM_W_UP, 0, 2, 3) == tiny_value("model.mlp.up_proj.weight", 2, 3));
    if (c) CHECK(!mllm_checkpoint_tensor(c, MLLM_W_UP, 1).data);
    mllm_checkpoint_close(c);
}

static void positions(void) {
    const mllm_blueprint *b =
        variant("llama",
                "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 32.0, \"low_freq_factor\": 1.0, "
                "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192}",
                0);
    CHECK(b->rope_scaling == MLLM_ROPE_LLAMA3 && b->rope_factor == 32 && b->rope_low == 1 && b->rope_high == 4 &&
          b->rope_original_context == 8192);
    b = variant("llama", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}", 0);
    CHECK(b->rope_scaling == MLLM_ROPE_LINEAR && b->rope_factor == 4);
    b = variant("llama",
                "\"rope_theta\": null, \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 500000}", 0);
    CHECK(b->rope_scaling == MLLM_ROPE_NONE && b->rope_base == 500000);
    CHECK(variant("llama", "\"partial_rotary_factor\": 0.5", 0)->rope_size == 2);

    b = variant("smollm3", "\"no_rope_layers\": [1, 0, 1], \"tie_word_embeddings\": true", 0);
    CHECK(b->step_count == 3 && b->steps[0].rope && !b->steps[1].rope && b->steps[2].rope);
    b = variant("smollm3", "\"no_rope_layer_interval\": 3", 0);
    CHECK(b->step_count == 3 && b->steps[0].rope && b->steps[1].rope && !b->steps[2].rope);

    b = variant("mistral", "\"sliding_window\": 64", 0);
    CHECK(b->step_count == 3 && b->steps[0].window == 64 && b->steps[2].window == 64);
    b = variant("qwen2", "\"sliding_window\": 64, \"use_sliding_window\": false", TINY_BIAS);
    CHECK(b->step_count == 3 && b->steps[0].window == 0 && b->steps[2].window == 0);
    b = variant("qwen2", "\"sliding_window\": 64, \"use_sliding_window\": true", TINY_BIAS);
    CHECK(b->step_count == 3 && b->steps[2].window == 0, "from block 28 on, where nothing is said");
    b = variant("qwen2", "\"sliding_window\": 64, \"use_sliding_window\": true, \"max_window_layers\": 2", TINY_BIAS);
    CHECK(b->step_count == 3 && b->steps[1].window == 0 && b->steps[2].window == 64);
    b = variant("mobilellm",
                "\"layer_sharing\": true, \"sliding_window\": 64, \"use_sliding_window\": true, "
                "\"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\"]",
                0);
    CHECK(b->step_count == 6 && !b->steps[1].window && b->steps[2].window == 64 && b->steps[3].window == 64 &&
          !b->steps[4].window);
    variant(NULL, "", 0);
}

static void bad_configs(void) {
    static const struct {
        const char *type, *extra;
        mllm_code code;
        const char *one, *two;
    } cases[] = {
        {"gpt2", "", MLLM_E_UNSUPPORTED, "model_type", "gpt2"},
        {"llama", "\"model_type\": null", MLLM_E_FORMAT, "model_type", "missing"},
        {"llama", "\"hidden_size\": null", MLLM_E_FORMAT, "hidden_size", "missing"},
        {"llama", "\"vocab_size\": null", MLLM_E_FORMAT, "vocab_size", "missing"},
        {"llama", "\"num_hidden_layers\": null", MLLM_E_FORMAT, "num_hidden_layers", "missing"},
        {"llama", "\"num_attention_heads\": null", MLLM_E_FORMAT, "num_attention_heads", "missing"},
        {"llama", "\"intermediate_size\": \"64\"", MLLM_E_FORMAT, "intermediate_size", "count"},
        {"llama", "\"hidden_size\": -32", MLLM_E_FORMAT, "hidden_size", "count"},
        {"llama", "\"hidden_size\": 1e30", MLLM_E_FORMAT, "hidden_size", "count"},
        {"llama", "\"hidden_size\": 31, \"head_dim\": null", MLLM_E_FORMAT, "hidden_size 31", "2 heads"},
        {"llama", "\"num_attention_heads\": 0, \"head_dim\": null", MLLM_E_FORMAT, "0 heads", ""},
        {"llama", "\"num_attention_heads\": 3, \"num_key_value_heads\": 2", MLLM_E_FORMAT, "3 heads", "2 KV heads"},
        {"llama", "\"num_key_value_heads\": 0", MLLM_E_FORMAT, "KV heads", "0"},
        {"llama", "\"num_hidden_layers\": 100000", MLLM_E_FORMAT, "100000 blocks", ""},
        {"llama", "\"num_hidden_layers\": 4", MLLM_E_FORMAT, "layers.3.", "missing"},
        {"llama", "\"vocab_size\": 11", MLLM_E_FORMAT, "embed_tokens.weight is [10, 32]", "[11, 32]"},
        {"llama", "\"vocab_size\": 4294967295", MLLM_E_FORMAT, "vocabulary", "4294967295"},
        {"llama", "\"intermediate_size\": 65", MLLM_E_FORMAT, "gate_proj.weight is [64, 32]", "[65, 32]"},
        {"llama", "\"head_dim\": 5", MLLM_E_FORMAT, "odd", ""},
        {"llama", "\"head_dim\": 8", MLLM_E_FORMAT, "q_proj.weight is [8, 32]", "[16, 32]"},
        {"llama", "\"rms_norm_eps\": -1", MLLM_E_FORMAT, "epsilon", ""},
        {"llama", "\"rope_theta\": 0", MLLM_E_FORMAT, "RoPE base", ""},
        {"llama", "\"rope_theta\": \"x\"", MLLM_E_FORMAT, "rope_theta", "number"},
        {"llama", "\"rope_scaling\": {\"factor\": 2}", MLLM_E_FORMAT, "rope_scaling", "rope_type"},
        {"llama", "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2}", MLLM_E_UNSUPPORTED, "rope_scaling", "yarn"},
        {"llama", "\"rope_scaling\": {\"type\": \"linear\"}", MLLM_E_FORMAT, "factor", "missing"},
        {"llama", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}", MLLM_E_FORMAT, "scaling factor", "0"},
        {"llama", "\"rope_scaling\": {\"type\": \"llama3\", \"factor\": 8}", MLLM_E_FORMAT, "low_freq_factor",
         "missing"},
        {"llama", "\"rope_scaling\": 3", MLLM_E_FORMAT, "rope_scaling", "object"},
        {"llama", "\"hidden_act\": \"gelu\"", MLLM_E_UNSUPPORTED, "hidden_act", "gelu"},
        {"llama", "\"mlp_bias\": true", MLLM_E_UNSUPPORTED, "mlp_bias", ""},
        {"llama", "\"quantization_config\": {}", MLLM_E_UNSUPPORTED, "quantization_config", ""},
        {"llama", "\"tie_word_embeddings\": 1", MLLM_E_FORMAT, "tie_word_embeddings", "true nor false"},
        {"llama", "\"layer_types\": [\"full_attention\"]", MLLM_E_FORMAT, "layer_types", "list of 3"},
        {"llama", "\"layer_types\": [\"full_attention\", [], \"x\"]", MLLM_E_UNSUPPORTED, "layer_types", "block 1"},
        {"smollm3", "\"no_rope_layers\": [1, true, 0]", MLLM_E_FORMAT, "no_rope_layers", ""},
        {"llama", "\"max_position_embeddings\": 0", MLLM_E_FORMAT, "context", "0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(tiny_folder("bad", cases[i].type, cases[i].extra, 0), cases[i].code, cases[i].one, cases[i].two);
}

static void bad_folders(void) {
    char path[256];
    const char *dir = tiny_folder("folder", "llama", "", 0);
    snprintf(path, sizeof path, "%s/config.json", dir);
    tiny_save(path, "{\"model_type\": \"llama\",\n oops}", 30);
    refuse(dir, MLLM_E_FORMAT, "config.json", "line 2 column 2");
    tiny_save(path, "[]", 2);
    refuse(dir, MLLM_E_FORMAT, "config.json", "object");
    char deep[2000];
    memset(deep, '[', sizeof deep);
    tiny_save(path, deep, sizeof deep);
    refuse(dir, MLLM_E_LIMIT, "config.json", "nested");
    unlink(path);
    refuse(dir, MLLM_E_IO, "config.json", "");
    dir = tiny_folder("folder", "llama", "", 0);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    unlink(path);
    refuse(dir, MLLM_E_IO, "model.safetensors", "index");
    refuse(tiny_path("nothing"), MLLM_E_IO, "nothing", "");

    /* What is stored and would not be used. */
    static const struct {
        const char *extra, *name, *two;
    } unused[] = {{"\"num_hidden_layers\": 2", "layers.2.", "num_hidden_layers in config.json is 2"},
                  {"", "model.layers.1.mlp.gate_proj.bias", "no place"},
                  {"", "layers.0.self_attn.sinks", "no place"},
                  {"", "layers.99999999999999999999.mlp.up_proj.weight", "num_hidden_layers"}};
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++) {
        tiny_extra = i ? unused[i].name : NULL;
        refuse(tiny_folder("unused", "llama", unused[i].extra, 0),
               i == 1 || i == 2 ? MLLM_E_UNSUPPORTED : MLLM_E_FORMAT, unused[i].name, unused[i].two);
    }
    tiny_extra = "model.layers.1.self_attn.rotary_emb.inv_freq"; /* old files have it; it follows from the config */
    mllm_checkpoint_close(opened(tiny_folder("unused", "llama", "", 0)));
    tiny_extra = NULL;

    dir = tiny_folder("sharded", "llama", "", TINY_SHARDS);
    char *index = tiny_path("sharded/model.safetensors.index.json")[0]
                      ? strdup(tiny_path("sharded/model.safetensors.index.json"))
                      : NULL;
    static const struct {
        const char *text;
        mllm_code code;
        const char *one, *two;
    } cases[] = {
        {"{}", MLLM_E_FORMAT, "weight_map", "missing"},
        {"{\"weight_map\": 3}", MLLM_E_FORMAT, "weight_map", "missing"},
        {"{\"weight_map\": {\"a\": \"../evil.safetensors\"}}", MLLM_E_FORMAT, "weight_map", "in this folder"},
        {"{\"weight_map\": {\"a\": 1}}", MLLM_E_FORMAT, "weight_map", "in this folder"},
        {"{\"weight_map\": {\"a\": \"absent.safetensors\"}}", MLLM_E_IO, "absent.safetensors", ""},
        {"{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}", MLLM_E_FORMAT, "layers.1.", "missing"},
        {"{\"weight_map\": {}}", MLLM_E_FORMAT, "embed_tokens", "missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tiny_save(index, cases[i].text, strlen(cases[i].text));
        refuse(dir, cases[i].code, cases[i].one, cases[i].two);
    }
    char command[512];
    snprintf(command, sizeof command, "cp %s/model-00001-of-00002.safetensors %s/copy.safetensors", dir, dir);
    CHECK(system(command) == 0);
    static const char twice[] =
        "{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\", \"b\": \"copy.safetensors\", "
        "\"c\": \"model-00002-of-00002.safetensors\"}}";
    tiny_save(index, twice, sizeof twice - 1);
    refuse(dir, MLLM_E_FORMAT, "two shards", "");
    free(index);
}

static void bad_safetensors(void) {
    static const struct {
        const char *header;
        uint64_t length; /* 0: the text's own */
        size_t data;
        mllm_code code;
        const char *one, *two;
    } cases[] = {
        {"{", 1000, 0, MLLM_E_FORMAT, "truncated", "1000"},
        {"{", UINT64_MAX, 0, MLLM_E_FORMAT, "truncated", ""},
        {"[]", 0, 0, MLLM_E_FORMAT, "header", "object"},
        {"{\"a\": 1}", 0, 0, MLLM_E_FORMAT, "tensor a", "dtype"},
        {"{\"a\" 1}", 0, 0, MLLM_E_FORMAT, "header", "line 1 column 6"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}}", 0, 7, MLLM_E_FORMAT, "tensor a",
         "up to offset 8"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [8, 0]}}", 0, 8, MLLM_E_FORMAT, "tensor a",
         "range"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [-8, 0]}}", 0, 8, MLLM_E_FORMAT, "tensor a",
         "range"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 4]}}", 0, 8, MLLM_E_FORMAT, "tensor a",
         "do not fill"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [4294967296, 4294967296], \"data_offsets\": [0, 0]}}", 0, 8,
         MLLM_E_FORMAT, "tensor a", "impossible shape"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [-1], \"data_offsets\": [0, 0]}}", 0, 8, MLLM_E_FORMAT, "tensor a",
         "impossible shape"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}, \"b\": {\"dtype\": \"F32\", "
         "\"shape\": [2], "
         "\"data_offsets\": [4, 12]}}",
         0, 16, MLLM_E_FORMAT, "a and b", "overlap"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}, \"a\": {\"dtype\": \"F32\", "
         "\"shape\": [1], "
         "\"data_offsets\": [4, 8]}}",
         0, 16, MLLM_E_FORMAT, "tensor a", "twice"},
        {"{\"a\\u0000b\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}", 0, 16, MLLM_E_FORMAT, "NUL",
         ""},
        {"{\"model.embed_tokens.weight\": {\"dtype\": \"I32\", \"shape\": [2, 2], \"data_offsets\": [0, 16]}}", 0, 16,
         MLLM_E_UNSUPPORTED, "model.embed_tokens.weight", "I32"},
        {"{\"model.embed_tokens.weight\": {\"dtype\": \"F4\", \"shape\": [2, 2], \"data_offsets\": [0, 2]}}", 0, 16,
         MLLM_E_UNSUPPORTED, "model.embed_tokens.weight", "F4"},
    };
    const char *dir = tiny_folder("safe", "llama", "", 0), *file = tiny_path("safe/model.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char bytes[2048] = {0};
        uint64_t length = cases[i].length ? cases[i].length : strlen(cases[i].header);
        memcpy(bytes, &length, 8);
        memcpy(bytes + 8, cases[i].header, strlen(cases[i].header));
        tiny_save(file, bytes, 8 + strlen(cases[i].header) + cases[i].data);
        refuse(dir, cases[i].code, cases[i].one, cases[i].two);
    }
    tiny_save(file, "1234567", 7);
    refuse(dir, MLLM_E_FORMAT, "truncated", "7 bytes");
}

static void chat_templates(void) {
    const char *dir = tiny_folder("chat", "llama", "", 0);
    char config[256], jinja[256];
    snprintf(config, sizeof config, "%s/tokenizer_config.json", dir);
    snprintf(jinja, sizeof jinja, "%s/chat_template.jinja", dir);
    static const struct {
        const char *config, *jinja, *expected;
    } cases[] = {
        {"{\"chat_template\": \"one\\n\"}", NULL, "one\n"},
        {"{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"}, {\"name\": \"default\", \"template\": "
         "\"d\"}]}",
         NULL, "d"},
        {"{\"chat_template\": null}", NULL, NULL},
        {"{}", NULL, NULL},
        {"{\"chat_template\": \"one\"}", "{{ two }}", "{{ two }}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tiny_save(config, cases[i].config, strlen(cases[i].config));
        if (cases[i].jinja) tiny_save(jinja, cases[i].jinja, strlen(cases[i].jinja));
        mllm_checkpoint *c = opened(dir);
        const char *found = c ? mllm_checkpoint_chat_template(c) : "not opened";
        CHECK((!found && !cases[i].expected) || (found && cases[i].expected && strcmp(found, cases[i].expected) == 0),
              "%zu: %s", i, found ? found : "none");
        mllm_checkpoint_close(c);
    }
    unlink(jinja);
    tiny_save(config, "{", 1);
    refuse(dir, MLLM_E_FORMAT, "tokenizer_config.json", "line 1");
}

/* ---------------------------------------------------------------------- GGUF */

/* A GGUF file with metadata and tensors of the tiny model; `change` says what is different about it. */
static bool ones(void *ctx, size_t tensor, size_t row, float *out) {
    (void)tensor, (void)row;
    for (int i = 0; i < 64; i++) out[i] = ctx ? ((float *)ctx)[i] : 1;
    return true;
}

static void gguf_model(const char *path, const char *architecture, const char *without,
                       void (*more)(mllm_gguf_writer *)) {
    mllm_error err = {0};
    mllm_gguf_writer *w = mllm_gguf_create(path, &err);
    char key[128];
    mllm_gguf_put_string(w, "general.architecture", architecture, strlen(architecture));
    static const struct {
        const char *suffix;
        uint32_t v;
    } counts[] = {{"context_length", 256},     {"embedding_length", 32},     {"block_count", 2},
                  {"feed_forward_length", 64}, {"attention.head_count", 2},  {"attention.head_count_kv", 1},
                  {"attention.key_length", 4}, {"attention.value_length", 4}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        snprintf(key, sizeof key, "%s.%s", architecture, counts[i].suffix);
        if (strcmp(counts[i].suffix, without) != 0) mllm_gguf_put_u32(w, key, counts[i].v);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", architecture);
    if (strcmp(without, "epsilon") != 0) mllm_gguf_put_f32(w, key, 1e-5f);
    if (more) more(w);
    if (strcmp(without, "embedding") != 0) mllm_gguf_put_tensor(w, "token_embd.weight", MLLM_F32, 10, 32, false);
    mllm_gguf_put_tensor(w, "output_norm.weight", MLLM_F32, 1, 32, true);
    for (int i = 0; i < 2; i++) {
        static const struct {
            const char *name;
            size_t rows, cols;
        } parts[] = {{"attn_norm", 0, 32}, {"ffn_norm", 0, 32}, {"attn_q", 8, 32},
                     {"attn_k", 4, 32},    {"attn_v", 4, 32},   {"attn_output", 32, 8},
                     {"ffn_gate", 64, 32}, {"ffn_up", 64, 32},  {"ffn_down", 32, 64}};
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            snprintf(key, sizeof key, "blk.%d.%s.weight", i, parts[k].name);
            if (strcmp(without, key) == 0) continue;
            size_t rows = parts[k].rows ? parts[k].rows : 1;
            mllm_gguf_put_tensor(w, key, MLLM_F32, rows, parts[k].cols, parts[k].rows == 0);
        }
    }
    CHECK(mllm_gguf_finish(w, ones, NULL, NULL, &err) == MLLM_OK, "%s", err.message);
}

static void put_experts(mllm_gguf_writer *w) {
    mllm_gguf_put_u32(w, "llama.expert_count", 8);
}
static void put_split(mllm_gguf_writer *w) {
    mllm_gguf_put_u32(w, "split.count", 3);
}
static void put_yarn(mllm_gguf_writer *w) {
    mllm_gguf_put_string(w, "llama.rope.scaling.type", "yarn", 4);
}
static void put_linear(mllm_gguf_writer *w) {
    mllm_gguf_put_string(w, "llama.rope.scaling.type", "linear", 6);
    mllm_gguf_put_f32(w, "llama.rope.scaling.factor", 4);
}
static void put_text(mllm_gguf_writer *w) {
    mllm_gguf_put_string(w, "llama.rope.freq_base", "x", 1);
}
static void put_rotated(mllm_gguf_writer *w) {
    mllm_gguf_put_u32(w, "llama.rope.dimension_count", 6);
}
static void put_varying(mllm_gguf_writer *w) {
    static const uint32_t v[] = {1, 2};
    mllm_gguf_put_numbers(w, "llama.attention.head_count_kv", MLLM_KV_U32, v, 2);
}
static void put_equal(mllm_gguf_writer *w) {
    static const uint32_t v[] = {1, 1};
    mllm_gguf_put_numbers(w, "llama.attention.head_count_kv", MLLM_KV_U32, v, 2);
}
static void put_freqs(mllm_gguf_writer *w) {
    mllm_gguf_put_tensor(w, "rope_freqs.weight", MLLM_F32, 1, 3, true);
}
static void put_own(mllm_gguf_writer *w) {
    static const uint32_t windows[] = {0, 16, 0, 32};
    static const uint8_t ropes[] = {1, 0, 1, 1};
    mllm_gguf_put_u32(w, "mobilellm.block_passes", 2);
    mllm_gguf_put_numbers(w, "mobilellm.attention.step_windows", MLLM_KV_U32, windows, 4);
    mllm_gguf_put_numbers(w, "mobilellm.rope.steps", MLLM_KV_U8, ropes, 4);
    mllm_gguf_put_bool(w, "mobilellm.rope.interleaved", false);
}
static void put_wrong_steps(mllm_gguf_writer *w) {
    static const uint32_t windows[] = {0, 16};
    mllm_gguf_put_u32(w, "mobilellm.block_passes", 2);
    mllm_gguf_put_numbers(w, "mobilellm.attention.step_windows", MLLM_KV_U32, windows, 2);
}
static void put_many_passes(mllm_gguf_writer *w) {
    mllm_gguf_put_u32(w, "mobilellm.block_passes", 4000000000u);
}
static void put_shared(mllm_gguf_writer *w) {
    mllm_gguf_put_u32(w, "mobilellm.shared_ffn", 1);
}

static void gguf_metadata(void) {
    const char *path = tiny_path("m.gguf");
    static const struct {
        const char *architecture, *without;
        void (*more)(mllm_gguf_writer *);
        mllm_code code;
        const char *one, *two;
    } cases[] = {
        {"gpt2", "", NULL, MLLM_E_UNSUPPORTED, "general.architecture", "gpt2"},
        {"llama", "context_length", NULL, MLLM_E_FORMAT, "llama.context_length", "missing"},
        {"llama", "embedding_length", NULL, MLLM_E_FORMAT, "llama.embedding_length", "missing"},
        {"llama", "block_count", NULL, MLLM_E_FORMAT, "llama.block_count", "missing"},
        {"llama", "feed_forward_length", NULL, MLLM_E_FORMAT, "llama.feed_forward_length", "missing"},
        {"llama", "attention.head_count", NULL, MLLM_E_FORMAT, "llama.attention.head_count", "missing"},
        {"llama", "epsilon", NULL, MLLM_E_FORMAT, "layer_norm_rms_epsilon", "missing"},
        {"llama", "attention.key_length", NULL, MLLM_E_UNSUPPORTED, "16", "4"},
        {"llama", "embedding", NULL, MLLM_E_FORMAT, "vocabulary", "0"},
        {"llama", "blk.1.attn_k.weight", NULL, MLLM_E_FORMAT, "blk.1.attn_k.weight", "missing"},
        {"llama", "blk.1.ffn_up.weight", NULL, MLLM_E_FORMAT, "blk.1.ffn_up.weight", "missing"},
        {"llama", "", put_experts, MLLM_E_UNSUPPORTED, "experts", ""},
        {"llama", "", put_split, MLLM_E_UNSUPPORTED, "split.count", "3"},
        {"llama", "", put_yarn, MLLM_E_UNSUPPORTED, "rope.scaling.type", "yarn"},
        {"llama", "", put_text, MLLM_E_FORMAT, "llama.rope.freq_base", "number"},
        {"llama", "", put_rotated, MLLM_E_FORMAT, "rotated", "6"},
        {"llama", "attention.head_count_kv", put_varying, MLLM_E_UNSUPPORTED, "head_count_kv", "differs"},
        {"llama", "", put_freqs, MLLM_E_FORMAT, "rope_freqs.weight", "2"},
        {"qwen2", "", NULL, MLLM_E_FORMAT, "blk.0.attn_q.bias", "missing"},
        {"qwen3", "", NULL, MLLM_E_FORMAT, "blk.0.attn_q_norm.weight", "missing"},
        {"mobilellm", "", put_wrong_steps, MLLM_E_FORMAT, "step_windows", "4"},
        {"mobilellm", "", put_many_passes, MLLM_E_FORMAT, "4000000000", ""},
        {"mobilellm", "", put_shared, MLLM_E_FORMAT, "shared_ffn", "boolean"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_model(path, cases[i].architecture, cases[i].without, cases[i].more);
        refuse(path, cases[i].code, cases[i].one, cases[i].two);
    }
    gguf_model(path, "llama", "attention.head_count_kv", put_equal);
    mllm_checkpoint *c = opened(path);
    if (c) {
        const mllm_blueprint *b = mllm_checkpoint_blueprint(c);
        CHECK(b->kv_heads == 1 && b->rope_interleaved && b->tied_embedding && b->vocabulary == 10);
        CHECK(b->ffns == 1, "equal content in all blocks is one FFN");
    }
    mllm_checkpoint_close(c);
    gguf_model(path, "llama", "", put_linear);
    if ((c = opened(path)))
        CHECK(mllm_checkpoint_blueprint(c)->rope_scaling == MLLM_ROPE_LINEAR &&
              mllm_checkpoint_blueprint(c)->rope_factor == 4);
    mllm_checkpoint_close(c);
    gguf_model(path, "mobilellm", "", put_own);
    if ((c = opened(path))) {
        const mllm_blueprint *b = mllm_checkpoint_blueprint(c);
        CHECK(b->step_count == 4 && b->blocks == 2 && b->kv_slots == 4 && !b->rope_interleaved && b->ffns == 2);
        CHECK(b->steps[1].window == 16 && b->steps[3].window == 32 && !b->steps[0].window && b->steps[0].rope &&
              !b->steps[1].rope);
    }
    mllm_checkpoint_close(c);
}

/* ------------------------------------------------------------- the golden files */

/* Row of the half-rotation order where GGUF has row r. */
static size_t unpermuted(size_t r, size_t head_size) {
    size_t head = r / head_size * head_size, i = r - head;
    return head + i / 2 + (i % 2 ? head_size / 2 : 0);
}

static void golden(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("golden models: no shared data");
    /* Allowed root mean square error of a matrix, per its own root mean square. */
    static const struct {
        const char *type;
        double bound;
    } types[] = {{"f16", 3e-4},  {"bf16", 2.5e-3}, {"q8_0", 7e-3},   {"q4_0", 0.11},   {"q4_1", 0.10},  {"q5_0", 0.055},
                 {"q5_1", 0.05}, {"q6_k", 0.025},  {"q5_k_m", 0.05}, {"q4_k_m", 0.10}, {"q3_k_m", 0.2}, {"q2_k", 0.4}};
    char path[512];
    snprintf(path, sizeof path, "%s/golden/mobilellm-hf", shared);
    mllm_checkpoint *hf = opened(path);
    if (!hf) return;
    const mllm_blueprint *a = mllm_checkpoint_blueprint(hf);
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        snprintf(path, sizeof path, "%s/golden/mobilellm-%s.gguf", shared, types[k].type);
        mllm_checkpoint *c = opened(path);
        if (!c) continue;
        const mllm_blueprint *b = mllm_checkpoint_blueprint(c);
        CHECK(b->width == a->width && b->heads == a->heads && b->step_count == a->step_count && b->tied_embedding &&
              b->rope_interleaved);
        CHECK(mllm_checkpoint_vocab(c) != NULL, "%s", types[k].type);
        double worst = 0, least = 1;
        for (int role = 0; role < MLLM_W_ROLES; role++) {
            mllm_role_shape shape = mllm_blueprint_shape(a, (mllm_role)role);
            for (uint32_t i = 0; shape.rows && i < shape.count; i++) {
                double error = 0, power = 0;
                for (size_t r = 0; r < shape.rows; r++) {
                    size_t source = role == MLLM_W_Q || role == MLLM_W_K ? unpermuted(r, a->head_size) : r;
                    mllm_tensor t = mllm_checkpoint_tensor(hf, (mllm_role)role, i),
                                u = mllm_checkpoint_tensor(c, (mllm_role)role, i);
                    float x[1024], y[1024];
                    mllm_dequantize_row(t.type, (const char *)t.data + source * t.row_bytes, x, t.cols);
                    mllm_dequantize_row(u.type, (const char *)u.data + r * u.row_bytes, y, u.cols);
                    for (size_t j = 0; j < t.cols; j++) {
                        error += (double)(x[j] - y[j]) * (double)(x[j] - y[j]);
                        power += (double)x[j] * (double)x[j];
                    }
                }
                double relative = sqrt(error / power);
                worst = fmax(worst, relative);
                if (shape.rows > 1) least = fmin(least, relative);
            }
        }
        CHECK(worst < types[k].bound && least > types[k].bound / 20, "%s: %g to %g, not below %g", types[k].type, least,
              worst, types[k].bound);
        mllm_checkpoint_close(c);
    }
    mllm_checkpoint_close(hf);

    snprintf(path, sizeof path, "%s/golden/mobilellm-ls-hf", shared);
    if ((hf = opened(path)))
        CHECK(mllm_checkpoint_blueprint(hf)->step_count == 6 && mllm_checkpoint_blueprint(hf)->kv_slots == 6);
    mllm_checkpoint_close(hf);
    snprintf(path, sizeof path, "%s/golden/mobillama-hf", shared);
    if ((hf = opened(path)))
        CHECK(mllm_checkpoint_blueprint(hf)->ffns == 1 && !mllm_checkpoint_blueprint(hf)->tied_embedding);
    mllm_checkpoint_close(hf);
}

static void vocabulary_only(void) {
    const char *shared = test_shared();
    mllm_error err = {0};
    CHECK(!mllm_checkpoint_open(tiny_folder("tokens", "llama", "", 0), true, &err) && err.code == MLLM_E_FORMAT &&
              strstr(err.message, "vocabulary"),
          "%s", err.message);
    if (!shared) SKIP("vocabularies alone: no shared data");
    static const struct {
        const char *file;
        uint32_t size;
    } files[] = {{"llama2/ggml-vocab-llama-spm.gguf", 32000}, {"gpt2/ggml-vocab-gpt-2.gguf", 50257}};
    for (int i = 0; i < 2; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/tokenizers/%s", shared, files[i].file);
        mllm_checkpoint *c = mllm_checkpoint_open(path, true, &err);
        CHECK(c && mllm_checkpoint_vocab(c) && mllm_checkpoint_blueprint(c)->vocabulary == files[i].size, "%s",
              err.message);
        mllm_checkpoint_close(c);
    }
}

/* ------------------------------------------------------------------- mutations */

/* More rounds with MLLM_TEST_MUTATIONS. */
static int rounds(int usual) {
    const char *more = getenv("MLLM_TEST_MUTATIONS");
    return more ? atoi(more) : usual;
}

static void walk(const char *path) {
    mllm_error err = {0};
    mllm_checkpoint *c = mllm_checkpoint_open(path, false, &err);
    if (!c) {
        CHECK(err.code != MLLM_OK && strstr(err.message, tiny_root), "%s", err.message);
        return;
    }
    const mllm_blueprint *b = mllm_checkpoint_blueprint(c);
    static float row[MLLM_MAX_WIDTH * 16];
    for (int role = 0; role < MLLM_W_ROLES; role++)
        for (uint32_t i = 0; i < mllm_blueprint_shape(b, (mllm_role)role).count; i++) {
            mllm_tensor t = mllm_checkpoint_tensor(c, (mllm_role)role, i);
            if (t.data) mllm_dequantize_row(t.type, (const char *)t.data + (t.rows - 1) * t.row_bytes, row, t.cols);
        }
    mllm_checkpoint_close(c);
}

static void mutate(const char *model, const char *file, size_t head, int count) {
    size_t n;
    uint8_t *bytes = tiny_load(file, &n);
    CHECK(bytes);
    if (!bytes) return;
    if (head > n) head = n;
    uint64_t state = 99;
    for (int i = 0; i < count; i++) {
        uint8_t *copy = malloc(n);
        memcpy(copy, bytes, n);
        state = state * 6364136223846793005u + 1442695040888963407u;
        for (int k = 1 + (int)(state >> 62); k > 0; k--) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            size_t at = (size_t)(state >> 33) % head;
            copy[at] = state >> 20 & 1 ? (uint8_t)(state >> 24) : (uint8_t)(copy[at] ^ 1 << (state >> 29 & 7));
        }
        tiny_save(file, copy, n);
        walk(model);
        free(copy);
    }
    size_t step = n / (size_t)count + 1;
    for (size_t cut = 0; cut < n; cut += step) {
        tiny_save(file, bytes, cut);
        walk(model);
    }
    tiny_save(file, bytes, n);
    free(bytes);
}

static void mutations(void) {
    char file[256];
    const char *dir = tiny_folder("mutant", "llama", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}",
                                  TINY_SHARDS | TINY_HEAD);
    snprintf(file, sizeof file, "%s/config.json", dir);
    mutate(dir, file, SIZE_MAX, rounds(400));
    snprintf(file, sizeof file, "%s/model.safetensors.index.json", dir);
    mutate(dir, file, SIZE_MAX, rounds(300));
    snprintf(file, sizeof file, "%s/model-00001-of-00002.safetensors", dir);
    mutate(dir, file, 1200, rounds(600));
    char path[256];
    snprintf(path, sizeof path, "%s", tiny_path("mutant.gguf"));
    gguf_model(path, "mobilellm", "", put_own);
    mutate(path, path, 2200, rounds(1500));
    const char *shared = test_shared();
    if (!shared) SKIP("mutations of the golden files: no shared data");
    char source[512];
    snprintf(source, sizeof source, "%s/golden/mobilellm-q2_k.gguf", shared);
    size_t n;
    uint8_t *bytes = tiny_load(source, &n);
    if (!bytes) return;
    tiny_save(path, bytes, n);
    free(bytes);
    mutate(path, path, 13300, rounds(200));
}

static void out_of_memory(void) {
    char paths[2][256];
    snprintf(paths[0], sizeof paths[0], "%s",
             tiny_folder("memory", "llama", "\"sliding_window\": 5, \"use_sliding_window\": true", TINY_SHARDS));
    snprintf(paths[1], sizeof paths[1], "%s", tiny_path("memory.gguf"));
    char config[300];
    snprintf(config, sizeof config, "%s/tokenizer_config.json", paths[0]);
    tiny_save(config, "{\"chat_template\": \"x\"}", 22);
    gguf_model(paths[1], "mobilellm", "", put_own);
    for (int k = 0; k < 2; k++) {
        int failures = 0;
        bool done = false;
        mllm_set_allocator(failing, NULL);
        for (int n = 0; n < 2000 && !done; n++) {
            mllm_error err = {0};
            fail_from(n);
            mllm_checkpoint *c = mllm_checkpoint_open(paths[k], false, &err);
            done = c != NULL;
            if (!done) {
                failures++;
                CHECK(err.code == MLLM_E_MEMORY, "%d: %s: %s", n, mllm_code_name(err.code), err.message);
            }
            mllm_checkpoint_close(c);
        }
        mllm_set_allocator(NULL, NULL);
        CHECK(done && failures > 10, "%d", failures);
    }
}

static const test_case tests[] = {{"plain", plain},
                                  {"heads_and_options", heads_and_options},
                                  {"sharing", sharing},
                                  {"positions", positions},
                                  {"bad_configs", bad_configs},
                                  {"bad_folders", bad_folders},
                                  {"bad_safetensors", bad_safetensors},
                                  {"chat_templates", chat_templates},
                                  {"gguf_metadata", gguf_metadata},
                                  {"golden", golden},
                                  {"vocabulary_only", vocabulary_only},
                                  {"mutations", mutations},
                                  {"out_of_memory", out_of_memory},
                                  {"cleanup", tiny_cleanup}};
TEST_MAIN(tests)
