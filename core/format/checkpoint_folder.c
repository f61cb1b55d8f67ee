/* checkpoint_folder.c - a Hugging Face folder: config.json, model.safetensors alone or in the shards that
 * model.safetensors.index.json lists, the tokenizer's files, and the chat template. */
#include "checkpoint_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/file_map.h"
#include "../base/json.h"
#include "../tokenizer/vocab_source.h"
#include "hf_config.h"

enum { MAX_TEXT = 256 << 20, MAX_SHARDS = 1024 };

/* "folder/file", NULL when out of memory. */
static char *join(const char *folder, const char *file, mllm_error *err) {
    size_t n = strlen(folder) + strlen(file) + 2;
    char *path = mllm_alloc(n);
    if (path)
        snprintf(path, n, "%s%s%s", folder, *folder && folder[strlen(folder) - 1] == '/' ? "" : "/", file);
    else
        mllm_fail_memory(err, n, "a path");
    return path;
}

static mllm_code open_text(mllm_file_map *map, const char *path, mllm_error *err) {
    mllm_code code = mllm_file_map_open(map, path, err);
    if (code == MLLM_OK && map->size > MAX_TEXT) {
        code = mllm_fail(err, MLLM_E_LIMIT, "%s: a text of %zu bytes, more than %d", path, map->size, MAX_TEXT);
        mllm_file_map_close(map);
    }
    return code;
}

static mllm_code read_json(mllm_json *doc, const char *path, mllm_error *err) {
    mllm_file_map map;
    mllm_error inner = {0};
    mllm_code code = open_text(&map, path, err);
    if (code) return code;
    code = mllm_json_parse(doc, map.data ? (const char *)map.data : "", map.size, 0, &inner);
    mllm_file_map_close(&map);
    return code ? mllm_fail(err, code, "%s: %.300s", path, inner.message) : MLLM_OK;
}

/* ------------------------------------------------------------------- shards */

static mllm_code add_shard(mllm_checkpoint *c, const char *file, mllm_error *err) {
    char *path = join(c->path, file, err);
    if (!path) return MLLM_E_MEMORY;
    for (size_t i = 0; i < c->shard_count; i++)
        if (strcmp(c->shard_paths[i], path) == 0) {
            mllm_free(path);
            return MLLM_OK;
        }
    if (c->shard_count == MAX_SHARDS) {
        mllm_free(path);
        return mllm_fail(err, MLLM_E_LIMIT, "%s: more than %d shards", c->path, MAX_SHARDS);
    }
    mllm_safetensors **shards = mllm_realloc_array(c->shards, c->shard_count + 1, sizeof *shards);
    if (shards) c->shards = shards;
    char **paths = mllm_realloc_array(c->shard_paths, c->shard_count + 1, sizeof *paths);
    if (paths) c->shard_paths = paths;
    if (!shards || !paths) {
        mllm_free(path);
        return mllm_fail_memory(err, (c->shard_count + 1) * sizeof *shards, "the list of shards");
    }
    c->shards[c->shard_count] = mllm_safetensors_open(path, err);
    c->shard_paths[c->shard_count] = path;
    if (!c->shards[c->shard_count]) {
        mllm_free(path);
        return err->code;
    }
    c->shard_count++;
    return MLLM_OK;
}

/* The files that the index's weight_map names. Where a tensor is found decides, not what the map says about it. */
static mllm_code add_indexed_shards(mllm_checkpoint *c, const char *path, mllm_error *err) {
    mllm_json doc;
    mllm_code code = read_json(&doc, path, err);
    if (code) return code;
    uint32_t map = mllm_json_get(&doc, 0, "weight_map"), key = map + 1;
    if (!map || doc.nodes[map].kind != MLLM_JSON_OBJECT)
        code = mllm_fail(err, MLLM_E_FORMAT, "%s: key weight_map is missing", path);
    for (uint32_t n = map ? doc.nodes[map].count : 0; code == MLLM_OK && n--; key = doc.nodes[key + 1].next) {
        const mllm_json_node *file = &doc.nodes[key + 1];
        if (file->kind != MLLM_JSON_STRING || file->count == 0 || strlen(file->as.string) != file->count ||
            strchr(file->as.string, '/') || strchr(file->as.string, '\\')) /* a name in this folder, nowhere else */
            code = mllm_fail(err, MLLM_E_FORMAT, "%s: weight_map names no file in this folder for %.100s", path,
                             doc.nodes[key].as.string);
        else
            code = add_shard(c, file->as.string, err);
    }
    mllm_json_free(&doc);
    return code;
}

static mllm_code open_shards(mllm_checkpoint *c, mllm_error *err) {
    char *single = join(c->path, "model.safetensors", err), *index = join(c->path, "model.safetensors.index.json", err);
    mllm_code code;
    if (!single || !index)
        code = MLLM_E_MEMORY;
    else if (mllm_file_exists(single))
        code = add_shard(c, "model.safetensors", err);
    else if (mllm_file_exists(index))
        code = add_indexed_shards(c, index, err);
    else
        code = mllm_fail(
            err, MLLM_E_IO,
            "%s: neither model.safetensors nor model.safetensors.index.json is there (pytorch_model.bin is not read)",
            c->path);
    mllm_free(single);
    mllm_free(index);
    return code;
}

/* Whether the file's name for a role begins with "model." depends on the class that saved it. */
static mllm_code look_up(const mllm_checkpoint *c, const char *name, mllm_tensor *out, mllm_error *err) {
    for (size_t i = 0; i < c->shard_count; i++) {
        const char *dtype;
        const mllm_tensor *t = mllm_safetensors_find(c->shards[i], name, &dtype);
        if (!t) continue;
        if (out->data)
            return mllm_fail(err, MLLM_E_FORMAT, "%s: tensor %s stands in two shards", c->shard_paths[i], name);
        if (!t->data)
            return mllm_fail(err, MLLM_E_UNSUPPORTED,
                             "%s: tensor %s has the type %.20s, or no element; F32, F16 and BF16 can be read",
                             c->shard_paths[i], name, dtype);
        *out = *t;
    }
    return MLLM_OK;
}

static const char *const whole_names[] = {[MLLM_W_EMBEDDING] = "model.embed_tokens.weight",
                                          [MLLM_W_OUTPUT_NORM] = "model.norm.weight",
                                          [MLLM_W_HEAD] = "lm_head.weight"};
static const char *const part_names[MLLM_W_ROLES] = {[MLLM_W_ATTENTION_NORM] = "input_layernorm.weight",
                                                     [MLLM_W_Q] = "self_attn.q_proj.weight",
                                                     [MLLM_W_K] = "self_attn.k_proj.weight",
                                                     [MLLM_W_V] = "self_attn.v_proj.weight",
                                                     [MLLM_W_O] = "self_attn.o_proj.weight",
                                                     [MLLM_W_Q_BIAS] = "self_attn.q_proj.bias",
                                                     [MLLM_W_K_BIAS] = "self_attn.k_proj.bias",
                                                     [MLLM_W_V_BIAS] = "self_attn.v_proj.bias",
                                                     [MLLM_W_O_BIAS] = "self_attn.o_proj.bias",
                                                     [MLLM_W_Q_NORM] = "self_attn.q_norm.weight",
                                                     [MLLM_W_K_NORM] = "self_attn.k_norm.weight",
                                                     [MLLM_W_FFN_NORM] = "post_attention_layernorm.weight",
                                                     [MLLM_W_GATE] = "mlp.gate_proj.weight",
                                                     [MLLM_W_UP] = "mlp.up_proj.weight",
                                                     [MLLM_W_DOWN] = "mlp.down_proj.weight"};

mllm_code mllm_checkpoint_find_folder(const mllm_checkpoint *c, mllm_role role, int64_t index, char name[128],
                                      mllm_tensor *out, mllm_error *err) {
    if (role <= MLLM_W_HEAD)
        snprintf(name, 128, "%s", whole_names[role]);
    else if (index == MLLM_FFN_OUTSIDE)
        snprintf(name, 128, "model.%s", part_names[role]);
    else
        snprintf(name, 128, "model.layers.%u.%s", (uint32_t)index, part_names[role]);
    *out = (mllm_tensor){0};
    mllm_code code = look_up(c, name, out, err);
    if (code || out->data || strncmp(name, "model.", 6) != 0) return code;
    return look_up(c, name + 6, out, err);
}

/* A block beyond the config's, or a part of a block that no role stands for (the bias of a gate), would be left out of the sum in silence.
 * Old files store the frequencies of the rotation, which follow from the config. */
mllm_code mllm_checkpoint_check_folder(const mllm_checkpoint *c, mllm_error *err) {
    for (size_t s = 0; s < c->shard_count; s++)
        for (size_t i = 0; i < mllm_safetensors_count(c->shards[s]); i++) {
            const char *name = mllm_safetensors_name(c->shards[s], i), *at = name;
            if (strncmp(at, "model.", 6) == 0) at += 6;
            if (strncmp(at, "layers.", 7) != 0 || at[7] < '0' || at[7] > '9') continue;
            char *part;
            unsigned long block = strtoul(at + 7, &part, 10);
            if (block >= c->blueprint.blocks)
                return mllm_fail(err, MLLM_E_FORMAT,
                                 "%s: tensor %.100s is there, but num_hidden_layers in config.json is %u",
                                 c->shard_paths[s], name, c->blueprint.blocks);
            bool known = strcmp(part, ".self_attn.rotary_emb.inv_freq") == 0;
            for (int role = 0; role < MLLM_W_ROLES && !known; role++)
                known = *part == '.' && part_names[role] && strcmp(part + 1, part_names[role]) == 0;
            if (!known)
                return mllm_fail(err, MLLM_E_UNSUPPORTED, "%s: tensor %.100s has no place in this architecture",
                                 c->shard_paths[s], name);
        }
    return MLLM_OK;
}

/* ------------------------------------------------------------ chat template */

static mllm_code set_template(mllm_checkpoint *c, const char *s, size_t length, mllm_error *err) {
    c->chat_template = mllm_strndup(s, length);
    return c->chat_template ? MLLM_OK : mllm_fail_memory(err, length, "a chat template");
}

/* A string, or a list of {name, template} with one called "default". */
static mllm_code template_from_config(mllm_checkpoint *c, const char *path, mllm_error *err) {
    mllm_json doc;
    mllm_code code = read_json(&doc, path, err);
    if (code) return code;
    uint32_t at = mllm_json_get(&doc, 0, "chat_template");
    const mllm_json_node *n = doc.nodes, *found = NULL;
    if (at && n[at].kind == MLLM_JSON_STRING) found = &n[at];
    if (at && n[at].kind == MLLM_JSON_ARRAY) {
        uint32_t item = at + 1;
        for (uint32_t i = 0; i < n[at].count; i++, item = n[item].next) {
            uint32_t name = mllm_json_get(&doc, item, "name"), text = mllm_json_get(&doc, item, "template");
            if (name && text && n[name].kind == MLLM_JSON_STRING && n[text].kind == MLLM_JSON_STRING &&
                strcmp(n[name].as.string, "default") == 0)
                found = &n[text];
        }
    }
    if (found) code = set_template(c, found->as.string, found->count, err);
    mllm_json_free(&doc);
    return code;
}

/* chat_template.jinja has the last word, as in transformers. */
static mllm_code read_template(mllm_checkpoint *c, mllm_error *err) {
    char *jinja = join(c->path, "chat_template.jinja", err), *tokenizer = join(c->path, "tokenizer_config.json", err);
    mllm_code code = jinja && tokenizer ? MLLM_OK : MLLM_E_MEMORY;
    if (code == MLLM_OK && mllm_file_exists(jinja)) {
        mllm_file_map map;
        code = open_text(&map, jinja, err);
        if (code == MLLM_OK) {
            code = set_template(c, map.data ? (const char *)map.data : "", map.size, err);
            mllm_file_map_close(&map);
        }
    } else if (code == MLLM_OK && mllm_file_exists(tokenizer))
        code = template_from_config(c, tokenizer, err);
    mllm_free(jinja);
    mllm_free(tokenizer);
    return code;
}

/* ------------------------------------------------------------------ together */

static mllm_code read_config(mllm_checkpoint *c, mllm_tensor_facts *facts, mllm_error *err) {
    char *path = join(c->path, "config.json", err);
    if (!path) return MLLM_E_MEMORY;
    mllm_json doc;
    mllm_hf_facts hf = {0};
    mllm_code code = read_json(&doc, path, err);
    if (code == MLLM_OK) {
        code = mllm_hf_config_read(&doc, path, &c->blueprint, &hf, err);
        mllm_json_free(&doc);
    }
    mllm_free(path);
    facts->tied = hf.tied;
    facts->needs_qkv_bias = hf.needs_qkv_bias;
    facts->needs_qk_norm = hf.needs_qk_norm;
    return code;
}

/* The folder's own name, "mobilellm-125m" of ".../mobilellm-125m/". */
static void set_name(mllm_checkpoint *c) {
    size_t end = strlen(c->path);
    while (end && c->path[end - 1] == '/') end--;
    size_t start = end;
    while (start && c->path[start - 1] != '/') start--;
    if (end - start < sizeof c->blueprint.name) memcpy(c->blueprint.name, c->path + start, end - start);
}

mllm_code mllm_checkpoint_read_folder(mllm_checkpoint *c, bool vocabulary_only, mllm_tensor_facts *facts,
                                      mllm_error *err) {
    mllm_code code = read_config(c, facts, err);
    if (code && (!vocabulary_only || code == MLLM_E_MEMORY)) return code;
    set_name(c);
    if (!vocabulary_only && (code = open_shards(c, err)) != MLLM_OK) return code;
    if ((code = read_template(c, err)) != MLLM_OK) return code;
    mllm_error inner = {0};
    c->vocab = mllm_vocab_from_folder(c->path, &inner);
    return c->vocab || inner.code == MLLM_OK ? MLLM_OK : mllm_fail(err, inner.code, "%s", inner.message);
}
