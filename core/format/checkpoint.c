/* checkpoint.c - from the tensors that are there to a complete blueprint, and every tensor checked against it. */
#include "checkpoint_parts.h"

#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/file_map.h"
#include "../tokenizer/tokenizer.h"

typedef struct {
    mllm_checkpoint *c;
    mllm_tensor_find find;
    const mllm_tensor_facts *facts;
    mllm_error *err;
} opening;

static mllm_code find(const opening *o, mllm_role role, int64_t index, char name[128], mllm_tensor *out) {
    return o->find(o->c, role, index, name, out, o->err);
}

static mllm_code is_there(const opening *o, mllm_role role, bool *there) {
    char name[128];
    mllm_tensor t;
    mllm_code code = find(o, role, 0, name, &t);
    *there = t.data != NULL;
    return code;
}

/* Optional parts are there when block 0 has them, or when the architecture cannot be without; that all blocks agree is checked
 * with every other tensor. */
static mllm_code find_options(const opening *o) {
    mllm_blueprint *b = &o->c->blueprint;
    bool head, q_norm;
    mllm_code code;
    if ((code = is_there(o, MLLM_W_HEAD, &head)) != MLLM_OK ||
        (code = is_there(o, MLLM_W_Q_BIAS, &b->qkv_bias)) != MLLM_OK ||
        (code = is_there(o, MLLM_W_O_BIAS, &b->output_bias)) != MLLM_OK ||
        (code = is_there(o, MLLM_W_Q_NORM, &q_norm)) != MLLM_OK)
        return code;
    b->tied_embedding = o->facts->tied == -1 ? !head : o->facts->tied;
    b->qkv_bias |= o->facts->needs_qkv_bias;
    b->qk_norm = q_norm || o->facts->needs_qk_norm;
    return MLLM_OK;
}

/* ------------------------------------------------------------ one FFN for all */

static bool equal(const mllm_tensor *a, const mllm_tensor *b) {
    if (a->type != b->type || a->rows != b->rows || a->cols != b->cols) return false;
    size_t bytes = mllm_tensor_bytes(a), probe = bytes < 4096 ? bytes : 4096;
    if (a->data == b->data) return true;
    return memcmp(a->data, b->data, probe) == 0 && memcmp(a->data, b->data, bytes) == 0;
}

/* Where the tensors of one FFN role stand, and whether they are all the same. */
typedef struct {
    int64_t place; /* the first */
    uint32_t seen;
    bool same;
} occurrence;

static mllm_code find_occurrences(const opening *o, mllm_role role, occurrence *found) {
    char name[128];
    mllm_tensor first = {0}, t;
    *found = (occurrence){.same = true};
    for (int64_t i = MLLM_FFN_OUTSIDE; i < (int64_t)o->c->blueprint.blocks && found->same; i++) {
        mllm_code code = find(o, role, i, name, &t);
        if (code) return code;
        if (!t.data) continue;
        if (found->seen++ == 0) {
            first = t;
            found->place = i;
        } else
            found->same = equal(&first, &t);
    }
    return MLLM_OK;
}

/* Every block has an FFN, or there is one for all of them: in one place, or repeated in every block. The latter is recognized by
 * its bytes; a page of the first two blocks shows for every other model that it is none. What is missing will be named later.
 * *place becomes the index to look for, in all roles. */
static mllm_code find_ffn(const opening *o, int64_t *place, bool *shared) {
    occurrence gate, other;
    mllm_code code = find_occurrences(o, MLLM_W_GATE, &gate);
    *place = gate.place;
    *shared = code == MLLM_OK && o->c->blueprint.blocks > 1 && gate.seen > 0 && gate.same;
    for (mllm_role role = MLLM_W_UP; code == MLLM_OK && *shared && role <= MLLM_W_DOWN; role++) {
        code = find_occurrences(o, role, &other);
        *shared = other.same && other.place == gate.place && other.seen == gate.seen;
    }
    return code;
}

/* ------------------------------------------------------------------- tensors */

static mllm_code add_tensor(const opening *o, mllm_role role, int64_t place, mllm_tensor *out) {
    mllm_role_shape shape = mllm_blueprint_shape(&o->c->blueprint, role);
    char name[128];
    mllm_code code = find(o, role, place, name, out);
    if (code) return code;
    if (!out->data) return mllm_fail(o->err, MLLM_E_FORMAT, "%s: tensor %s is missing", o->c->path, name);
    if (out->rows != shape.rows || out->cols != shape.cols)
        return mllm_fail(o->err, MLLM_E_FORMAT, "%s: tensor %s is [%zu, %zu], but should be [%zu, %zu]", o->c->path,
                         name, out->rows, out->cols, shape.rows, shape.cols);
    return MLLM_OK;
}

static mllm_code collect(const opening *o, int64_t ffn_place) {
    mllm_checkpoint *c = o->c;
    size_t total = 0;
    for (int role = 0; role < MLLM_W_ROLES; role++) {
        mllm_role_shape shape = mllm_blueprint_shape(&c->blueprint, (mllm_role)role);
        c->first[role] = total;
        c->count[role] = shape.rows ? shape.count : 0;
        total += c->count[role];
    }
    c->tensors = mllm_calloc(total, sizeof *c->tensors);
    if (!c->tensors) return mllm_fail_memory(o->err, total * sizeof *c->tensors, "the list of tensors");
    for (int role = 0; role < MLLM_W_ROLES; role++)
        for (uint32_t i = 0; i < c->count[role]; i++) {
            bool single_ffn = role >= MLLM_W_GATE && c->blueprint.ffns == 1;
            mllm_code code =
                add_tensor(o, (mllm_role)role, single_ffn ? ffn_place : i, &c->tensors[c->first[role] + i]);
            if (code) return code;
        }
    return MLLM_OK;
}

static mllm_code check_vocabulary(const mllm_checkpoint *c, mllm_error *err) {
    int tokens = c->vocab ? mllm_vocab_size(c->vocab) : 0;
    if (tokens < 0 || (uint32_t)tokens > c->blueprint.vocabulary)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: the tokenizer has %d tokens, the embedding only %u rows", c->path,
                         tokens, c->blueprint.vocabulary);
    return MLLM_OK;
}

/* The last part of opening: all of it but the vocabulary depends on the tensors. */
static mllm_code complete(const opening *o) {
    mllm_checkpoint *c = o->c;
    mllm_blueprint *b = &c->blueprint;
    /* Sizes first: nothing is looked up for a number of blocks that is out of bounds. */
    mllm_code code = mllm_blueprint_check(b, c->path, o->err);
    if (code == MLLM_OK) code = find_options(o);
    int64_t place = 0;
    bool shared = false;
    if (code == MLLM_OK) code = find_ffn(o, &place, &shared);
    if (code) return code;
    if (o->facts->shared_ffn == -1 && shared) {
        for (uint32_t i = 0; i < b->step_count; i++) b->steps[i].ffn = 0;
        b->ffns = 1;
    }
    if ((code = collect(o, b->ffns == 1 ? place : 0)) != MLLM_OK) return code;
    return check_vocabulary(c, o->err);
}

/* A file with nothing but a vocabulary: tokenizer.model, tokenizer.json. */
static mllm_code open_vocabulary(mllm_checkpoint *c, mllm_error *err) {
    c->vocab = mllm_vocab_open(c->path, err);
    if (!c->vocab) return err->code;
    c->blueprint.vocabulary = (uint32_t)mllm_vocab_size(c->vocab);
    return MLLM_OK;
}

static mllm_code open_all(mllm_checkpoint *c, bool vocabulary_only, mllm_error *err) {
    mllm_tensor_facts facts = {.tied = -1, .shared_ffn = -1};
    bool folder = mllm_file_is_folder(c->path);
    if (vocabulary_only && !folder) {
        mllm_file_map map = {0};
        mllm_code code = mllm_file_map_open(&map, c->path, err);
        if (code) return code;
        bool gguf = map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0;
        mllm_file_map_close(&map);
        if (!gguf) return open_vocabulary(c, err);
    }
    mllm_code code = folder ? mllm_checkpoint_read_folder(c, vocabulary_only, &facts, err)
                            : mllm_checkpoint_read_gguf(c, vocabulary_only, &facts, err);
    if (code) return code;
    if (vocabulary_only) {
        if (!c->vocab) return mllm_fail(err, MLLM_E_FORMAT, "%s: no vocabulary is in it", c->path);
        c->blueprint.vocabulary = (uint32_t)mllm_vocab_size(c->vocab);
        return MLLM_OK;
    }
    opening o = {c, folder ? mllm_checkpoint_find_folder : mllm_checkpoint_find_gguf, &facts, err};
    if ((code = complete(&o)) != MLLM_OK || !folder) return code;
    return mllm_checkpoint_check_folder(c, err);
}

mllm_checkpoint *mllm_checkpoint_open(const char *path, bool vocabulary_only, mllm_error *err) {
    mllm_error own = {0}; /* the parts look at the code, so there always is one */
    mllm_checkpoint *c = mllm_calloc(1, sizeof *c);
    if (c) c->path = mllm_strndup(path, strlen(path));
    mllm_code code =
        c && c->path ? open_all(c, vocabulary_only, &own) : mllm_fail_memory(&own, sizeof *c, "a checkpoint");
    if (code == MLLM_OK) return c;
    mllm_fail(err, code, "%s", own.message);
    mllm_checkpoint_close(c);
    return NULL;
}

void mllm_checkpoint_close(mllm_checkpoint *c) {
    if (!c) return;
    mllm_vocab_free(c->vocab);
    for (size_t i = 0; i < c->shard_count; i++) {
        mllm_safetensors_close(c->shards[i]);
        mllm_free(c->shard_paths[i]);
    }
    mllm_free(c->shards);
    mllm_free(c->shard_paths);
    mllm_gguf_close(c->gguf);
    mllm_blueprint_free(&c->blueprint);
    mllm_free(c->tensors);
    mllm_free(c->chat_template);
    mllm_free(c->path);
    mllm_free(c);
}

const mllm_blueprint *mllm_checkpoint_blueprint(const mllm_checkpoint *c) {
    return &c->blueprint;
}

mllm_tensor mllm_checkpoint_tensor(const mllm_checkpoint *c, mllm_role role, uint32_t index) {
    if ((unsigned)role >= MLLM_W_ROLES || index >= c->count[role]) return (mllm_tensor){0};
    return c->tensors[c->first[role] + index];
}

const mllm_vocab *mllm_checkpoint_vocab(const mllm_checkpoint *c) {
    return c->vocab;
}

const char *mllm_checkpoint_chat_template(const mllm_checkpoint *c) {
    return c->chat_template;
}
