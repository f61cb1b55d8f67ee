/* vocab_folder.c - the files of a Hugging Face folder that a vocabulary is made of, and a vocabulary from any path.
 *
 * tokenizer.json goes before tokenizer.model. Beside them: tokenizer_config.json (bos_token, eos_token, add_bos_token, add_eos_token,
 * added_tokens_decoder), special_tokens_map.json (bos_token, eos_token), generation_config.json and config.json (bos_token_id,
 * eos_token_id: a number or a list), added_tokens.json. */
#include <stdio.h>
#include <stdlib.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/file_map.h"
#include "../base/json.h"
#include "../model/blueprint.h"
#include "vocab.h"
#include "vocab_json.h"

enum { CONFIGS = 5 };

typedef struct {
    mllm_json docs[CONFIGS]; /* the strings of `x` live there */
    mllm_vocab_extras x;
    mllm_token *ends;
    size_t added_capacity;
    bool failed;
} folder;

static char *join(const char *dir, const char *name) {
    size_t room = strlen(dir) + strlen(name) + 2;
    char *path = mllm_alloc(room);
    if (path) snprintf(path, room, "%s/%s", dir, name);
    return path;
}

/* Opens dir/name; *found says whether it is there. */
static mllm_code open_file(const char *dir, const char *name, mllm_file_map *map, char **path, bool *found,
                           mllm_error *err) {
    *found = false;
    if (!(*path = join(dir, name))) return mllm_fail_memory(err, strlen(dir), "a path");
    if (!mllm_file_exists(*path)) return MLLM_OK;
    mllm_code code = mllm_file_map_open(map, *path, err);
    *found = code == MLLM_OK;
    return code;
}

/* A string, or an object with a string "content" (an AddedToken). */
static void read_spelling(const mllm_json *d, uint32_t node, const char **s, uint32_t *length) {
    if (!node || *s) return;
    if (d->nodes[node].kind == MLLM_JSON_OBJECT) node = mllm_json_get(d, node, "content");
    if (!node || d->nodes[node].kind != MLLM_JSON_STRING) return;
    *s = d->nodes[node].as.string;
    *length = d->nodes[node].count;
}

static void read_flag(const mllm_json *d, const char *key, int *out) {
    uint32_t node = mllm_json_get(d, 0, key);
    if (!node || *out >= 0) return;
    if (d->nodes[node].kind == MLLM_JSON_TRUE) *out = 1;
    if (d->nodes[node].kind == MLLM_JSON_FALSE) *out = 0;
}

static mllm_token token_number(const mllm_json_node *n) {
    return n->kind == MLLM_JSON_INTEGER && n->as.integer >= 0 && n->as.integer < MLLM_MAX_VOCABULARY
               ? (mllm_token)n->as.integer
               : -1;
}

/* bos_token_id, eos_token_id: a number or a list. All that end are collected. */
static void read_ids(folder *f, const mllm_json *d) {
    uint32_t bos = mllm_json_get(d, 0, "bos_token_id"), eos = mllm_json_get(d, 0, "eos_token_id");
    if (bos && f->x.bos_id < 0) f->x.bos_id = token_number(&d->nodes[bos]);
    if (!eos) return;
    bool list = d->nodes[eos].kind == MLLM_JSON_ARRAY;
    size_t count = list ? d->nodes[eos].count : 1;
    mllm_token *ends = mllm_realloc_array(f->ends, f->x.end_count + count, sizeof *ends);
    if (!ends) {
        f->failed = true;
        return;
    }
    f->ends = ends;
    uint32_t at = list ? eos + 1 : eos;
    for (size_t i = 0; i < count; i++, at = d->nodes[at].next) {
        mllm_token id = token_number(&d->nodes[at]);
        if (id < 0) continue;
        if (f->x.eos_id < 0) f->x.eos_id = id;
        ends[f->x.end_count++] = id;
    }
    f->x.ends = ends;
}

static void add_token(folder *f, mllm_added_token a) {
    for (size_t i = 0; i < f->x.added_count && i < 64; i++) /* the decoder and added_tokens.json repeat each other */
        if (f->x.added[i].id == a.id) return;
    if (f->x.added_count == f->added_capacity) {
        size_t capacity = f->added_capacity ? 2 * f->added_capacity : 16;
        mllm_added_token *p = mllm_realloc_array(f->x.added, capacity, sizeof *p);
        if (!p) {
            f->failed = true;
            return;
        }
        f->x.added = p;
        f->added_capacity = capacity;
    }
    f->x.added[f->x.added_count++] = a;
}

/* tokenizer_config.json: {"32000": {"content": ..., "special": ...}} */
static void read_decoder(folder *f, const mllm_json *d) {
    uint32_t node = mllm_json_get(d, 0, "added_tokens_decoder");
    if (!node || d->nodes[node].kind != MLLM_JSON_OBJECT) return;
    uint32_t at = node + 1;
    for (uint32_t n = d->nodes[node].count; n--; at = d->nodes[at + 1].next) {
        char *end;
        long id = strtol(d->nodes[at].as.string, &end, 10);
        uint32_t content = mllm_json_get(d, at + 1, "content"), special = mllm_json_get(d, at + 1, "special");
        if (*end || id < 0 || id >= MLLM_MAX_VOCABULARY || !content || d->nodes[content].kind != MLLM_JSON_STRING)
            continue;
        add_token(f, (mllm_added_token){d->nodes[content].as.string, d->nodes[content].count, (mllm_token)id,
                                        special && d->nodes[special].kind == MLLM_JSON_TRUE, 0});
    }
}

/* added_tokens.json: {"<pad>": 32000} */
static void read_added(folder *f, const mllm_json *d) {
    uint32_t at = 1;
    for (uint32_t n = d->nodes[0].count; n--; at = d->nodes[at + 1].next) {
        mllm_token id = token_number(&d->nodes[at + 1]);
        const mllm_json_node *s = &d->nodes[at];
        if (id >= 0)
            add_token(f, (mllm_added_token){s->as.string, s->count, id, s->count > 2 && *s->as.string == '<', 0});
    }
}

static mllm_code read_configs(folder *f, const char *dir, mllm_error *err) {
    static const char *const names[CONFIGS] = {"tokenizer_config.json", "special_tokens_map.json",
                                               "generation_config.json", "config.json", "added_tokens.json"};
    f->x = (mllm_vocab_extras)MLLM_NO_EXTRAS;
    for (int i = 0; i < CONFIGS; i++) {
        mllm_file_map map = {0};
        char *path;
        bool found;
        mllm_error inner = {0};
        mllm_json *d = &f->docs[i];
        mllm_code code = open_file(dir, names[i], &map, &path, &found, err);
        if (found) {
            code = mllm_json_parse(d, (const char *)map.data, map.size, 0, &inner);
            if (code != MLLM_OK) mllm_fail(err, code, "%s: %s", path, inner.message);
        }
        mllm_file_map_close(&map);
        mllm_free(path);
        if (code != MLLM_OK) return code;
        if (!found || d->nodes[0].kind != MLLM_JSON_OBJECT) continue;
        if (i <= 1) {
            read_spelling(d, mllm_json_get(d, 0, "bos_token"), &f->x.bos, &f->x.bos_length);
            read_spelling(d, mllm_json_get(d, 0, "eos_token"), &f->x.eos, &f->x.eos_length);
        }
        if (i == 0) {
            read_flag(d, "add_bos_token", &f->x.add_bos);
            read_flag(d, "add_eos_token", &f->x.add_eos);
            read_decoder(f, d);
        }
        if (i == 2 || i == 3) read_ids(f, d);
        if (i == 4) read_added(f, d);
    }
    return f->failed ? mllm_fail_memory(err, 0, "a folder's added tokens") : MLLM_OK;
}

mllm_vocab *mllm_vocab_from_folder(const char *dir, mllm_error *err) {
    if (err) err->code = MLLM_OK;
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    mllm_vocab *v = NULL;
    bool found = false;
    for (int i = 0; i < 2 && !found; i++) {
        mllm_file_map map = {0};
        char *path;
        mllm_code code = open_file(dir, names[i], &map, &path, &found, err);
        if (found) {
            folder f = {0};
            const char *data = (const char *)map.data;
            code = read_configs(&f, dir, err);
            if (code == MLLM_OK)
                v = i ? mllm_vocab_from_spm_with(data, map.size, path, &f.x, err)
                      : mllm_vocab_from_json_with(data, map.size, path, &f.x, err);
            for (int k = 0; k < CONFIGS; k++) mllm_json_free(&f.docs[k]);
            mllm_free(f.x.added);
            mllm_free(f.ends);
        }
        mllm_file_map_close(&map);
        mllm_free(path);
        if (code != MLLM_OK) break;
    }
    return v;
}

static mllm_vocab *open_gguf(const char *path, mllm_error *err) {
    mllm_gguf *g = mllm_gguf_open(path, err);
    if (!g) return NULL;
    mllm_vocab *v = mllm_vocab_from_gguf(g, path, err);
    mllm_gguf_close(g);
    return v;
}

mllm_vocab *mllm_vocab_open(const char *path, mllm_error *err) {
    mllm_error none = {0};
    if (!err) err = &none;
    err->code = MLLM_OK;
    mllm_vocab *v = NULL;
    if (mllm_file_is_folder(path)) {
        v = mllm_vocab_from_folder(path, err);
    } else {
        mllm_file_map map = {0};
        if (mllm_file_map_open(&map, path, err) != MLLM_OK) return NULL;
        const char *data = (const char *)map.data;
        if (map.size >= 4 && memcmp(data, "GGUF", 4) == 0)
            v = open_gguf(path, err);
        else if (map.size && *data == '{')
            v = mllm_vocab_from_json(data, map.size, path, err);
        else
            v = mllm_vocab_from_spm(data, map.size, path, err);
        mllm_file_map_close(&map);
    }
    if (!v && err->code == MLLM_OK) mllm_fail(err, MLLM_E_FORMAT, "%s: no vocabulary in it", path);
    return v;
}
