/* session_file.c - a session in a file: what it would cost a prefill to have again.
 *
 *   8 bytes "MLLMSESS" | u32 version | u32 type of the cache | u64 fingerprint of the model | u32 slots, heads, head_size, width
 *   | u32 tokens, flags (1: `last` is valid) | tokens | last [width] floats | keys and values, whole chunks: [chunk][slot][key, value][head]
 *   | u64 FNV-1a of everything before.
 * Numbers are little-endian, the host's floats are IEEE. The order inside a chunk is the kernel's, so the fingerprint includes its name. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "session.h"

enum { VERSION = 2, HAS_LAST = 1 };
static const char magic[8] = {'M', 'L', 'L', 'M', 'S', 'E', 'S', 'S'};

typedef struct {
    char magic[8];
    uint32_t version, type;
    uint64_t fingerprint;
    uint32_t slots, heads, head_size, width, tokens, flags;
} header;

typedef struct {
    FILE *file;
    uint64_t hash;
    bool failed;
} stream;

static void hash(stream *f, const void *data, size_t size) {
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++) f->hash = (f->hash ^ p[i]) * 0x100000001B3u;
}

static void put(stream *f, const void *data, size_t size) {
    if (f->failed || size == 0) return;
    hash(f, data, size);
    f->failed = fwrite(data, 1, size, f->file) != size;
}

static void get(stream *f, void *data, size_t size) {
    if (f->failed || size == 0) return;
    f->failed = fread(data, 1, size, f->file) != size;
    if (!f->failed) hash(f, data, size);
}

/* Everything in the cache in the order of the file. */
static void walk(stream *f, const mllm_kv_cache *c, size_t positions, bool writing) {
    for (size_t at = 0; at < positions && !f->failed; at += MLLM_KV_CHUNK) {
        void *chunk = mllm_kv_head(c, 0, false, 0, at);
        if (writing)
            put(f, chunk, c->chunk_bytes);
        else
            get(f, chunk, c->chunk_bytes);
    }
}

static uint64_t fingerprint(const mllm_session *s) {
    stream f = {.hash = s->model->fingerprint};
    hash(&f, s->model->kernel->name, strlen(s->model->kernel->name));
    return f.hash;
}

static header describe(const mllm_session *s) {
    const mllm_kv_cache *c = &s->cache;
    header h = {
        .version = VERSION, .type = c->type, .fingerprint = fingerprint(s), .slots = c->slots, .heads = c->heads};
    memcpy(h.magic, magic, sizeof magic);
    h.head_size = c->head_size;
    h.width = s->model->blueprint->width;
    h.tokens = (uint32_t)s->count;
    h.flags = s->has_last ? HAS_LAST : 0;
    return h;
}

mllm_code mllm_session_save(mllm_session *s, const char *path, mllm_error *err) {
    size_t length = strlen(path);
    char *beside = mllm_alloc(length + 5);
    if (!beside) return mllm_fail_memory(err, length + 5, "a path");
    memcpy(beside, path, length);
    memcpy(beside + length, ".new", 5);
    stream f = {.file = fopen(beside, "wb"), .hash = 0xCBF29CE484222325u};
    mllm_code code = MLLM_OK;
    if (!f.file) {
        code = mllm_fail(err, MLLM_E_IO, "%s: %s", beside, strerror(errno));
    } else {
        header h = describe(s);
        put(&f, &h, sizeof h);
        put(&f, s->tokens, s->count * sizeof *s->tokens);
        put(&f, s->last, h.width * sizeof(float));
        walk(&f, &s->cache, s->count, true);
        uint64_t sum = f.hash;
        put(&f, &sum, sizeof sum);
        f.failed |= fflush(f.file) != 0;
        if (fclose(f.file) != 0 || f.failed || rename(beside, path) != 0) {
            code = mllm_fail(err, MLLM_E_IO, "%s: %s", path, strerror(errno));
            unlink(beside);
        }
    }
    mllm_free(beside);
    return code;
}

static mllm_code check_header(const mllm_session *s, const header *h, const char *path, mllm_error *err) {
    const mllm_kv_cache *c = &s->cache;
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: not a saved session", path);
    if (h->version != VERSION)
        return mllm_fail(err, MLLM_E_UNSUPPORTED, "%s: saved session of version %u, this build reads %d", path,
                         h->version, VERSION);
    if (h->fingerprint != fingerprint(s) || h->slots != c->slots || h->heads != c->heads ||
        h->head_size != c->head_size || h->width != s->model->blueprint->width)
        return mllm_fail(err, MLLM_E_UNSUPPORTED,
                         "%s: saved by another model, or under another kernel, than %s under '%s'", path,
                         s->model->path, s->model->kernel->name);
    if (h->type != (uint32_t)c->type) {
        const mllm_type_info *t = mllm_type_facts(h->type);
        return mllm_fail(err, MLLM_E_UNSUPPORTED, "%s: its cache is of type %s, this session's of type %s", path,
                         t ? t->name : "?", mllm_type_facts(c->type)->name);
    }
    if (h->tokens > (uint32_t)s->context)
        return mllm_fail(err, MLLM_E_CONTEXT, "%s: holds %u tokens, this session at most %d", path, h->tokens,
                         s->context);
    return MLLM_OK;
}

/* Reads into a new cache and swaps it in at the end: a bad file leaves the session as it was. */
mllm_code mllm_session_restore(mllm_session *s, const char *path, mllm_error *err) {
    stream f = {.file = fopen(path, "rb"), .hash = 0xCBF29CE484222325u};
    if (!f.file) return mllm_fail(err, MLLM_E_IO, "%s: %s", path, strerror(errno));
    header h;
    mllm_kv_cache cache = {0};
    mllm_token *tokens = NULL;
    float *last = NULL;
    get(&f, &h, sizeof h);
    mllm_code code = f.failed ? mllm_fail(err, MLLM_E_FORMAT, "%s: not a saved session (too short)", path)
                              : check_header(s, &h, path, err);
    if (code == MLLM_OK) {
        size_t chunks = (h.tokens + MLLM_KV_CHUNK - 1) / MLLM_KV_CHUNK;
        long long want = (long long)(sizeof h + h.tokens * sizeof *tokens + h.width * sizeof *last +
                                     chunks * s->cache.chunk_bytes + sizeof f.hash);
        if (fseeko(f.file, 0, SEEK_END) != 0 || ftello(f.file) != want ||
            fseeko(f.file, (off_t)sizeof h, SEEK_SET) != 0)
            code = mllm_fail(err, MLLM_E_FORMAT, "%s: truncated or padded: %lld bytes expected", path, want);
    }
    if (code == MLLM_OK)
        code = mllm_kv_init(&cache, s->cache.type, s->cache.slots, s->cache.heads, s->cache.head_size, err);
    if (code == MLLM_OK) code = mllm_kv_reserve(&cache, 0, h.tokens, err);
    if (code == MLLM_OK) {
        tokens = mllm_alloc_array(h.tokens, sizeof *tokens);
        last = mllm_alloc_array(h.width, sizeof *last);
        if (!tokens || !last) code = mllm_fail_memory(err, h.tokens * sizeof *tokens, "a session's tokens");
    }
    if (code == MLLM_OK) {
        get(&f, tokens, h.tokens * sizeof *tokens);
        get(&f, last, h.width * sizeof *last);
        walk(&f, &cache, h.tokens, false);
        uint64_t sum = f.hash, stored = 0;
        get(&f, &stored, sizeof stored);
        if (f.failed)
            code = mllm_fail(err, MLLM_E_IO, "%s: cannot be read to its end", path);
        else if (sum != stored)
            code = mllm_fail(err, MLLM_E_FORMAT, "%s: damaged (its checksum does not match)", path);
        for (uint32_t i = 0; code == MLLM_OK && i < h.tokens; i++)
            if (tokens[i] < 0 || (uint32_t)tokens[i] >= s->model->blueprint->vocabulary)
                code = mllm_fail(err, MLLM_E_FORMAT, "%s: token %d is outside the vocabulary", path, (int)tokens[i]);
    }
    fclose(f.file);
    if (code != MLLM_OK) {
        mllm_kv_free(&cache);
        mllm_free(tokens);
        mllm_free(last);
        return code;
    }
    mllm_kv_free(&s->cache);
    s->cache = cache;
    mllm_free(s->tokens);
    s->tokens = tokens;
    s->count = s->capacity = h.tokens;
    mllm_free(s->last);
    s->last = last;
    s->has_last = h.flags & HAS_LAST && h.tokens > 0;
    s->has_logits = false;
    s->epoch++;
    return MLLM_OK;
}
