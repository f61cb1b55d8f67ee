#include "kv_cache.h"

#include <stdatomic.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"

struct mllm_kv_chunk {
    atomic_int references;
    void *data; /* aligned, chunk_bytes: [slot][keys, values][head] head_bytes, inside as the kernel likes */
};

mllm_code mllm_kv_init(mllm_kv_cache *c, mllm_type type, uint32_t slots, uint32_t heads, uint32_t head_size,
                       mllm_error *err) {
    *c = (mllm_kv_cache){.type = type, .slots = slots, .heads = heads, .head_size = head_size};
    c->row_bytes = mllm_row_bytes(type, head_size);
    if (c->row_bytes == 0)
        return mllm_fail(err, MLLM_E_UNSUPPORTED,
                         "a KV cache of type %s needs a head size that is a multiple of %u, not %u",
                         mllm_type_facts(type)->name, mllm_type_facts(type)->block, head_size);
    c->head_bytes = (c->row_bytes * MLLM_KV_CHUNK + 63) / 64 * 64;
    c->chunk_bytes = c->head_bytes * heads * 2 * slots; /* bounded by the blueprint's limits */
    return MLLM_OK;
}

static void drop(mllm_kv_chunk *chunk) {
    if (!chunk || atomic_fetch_sub(&chunk->references, 1) != 1) return;
    mllm_free_aligned(chunk->data);
    mllm_free(chunk);
}

void mllm_kv_free(mllm_kv_cache *c) {
    for (size_t i = 0; i < c->count; i++) drop(c->chunks[i]);
    mllm_free(c->chunks);
    c->chunks = NULL;
    c->count = c->capacity = 0;
}

static mllm_kv_chunk *new_chunk(const mllm_kv_cache *c, const mllm_kv_chunk *origin, mllm_error *err) {
    mllm_kv_chunk *chunk = mllm_alloc(sizeof *chunk);
    void *data = chunk ? mllm_alloc_aligned(c->chunk_bytes) : NULL;
    if (!data) {
        mllm_free(chunk);
        mllm_fail_memory(err, c->chunk_bytes, "the KV cache");
        return NULL;
    }
    /* What is not written yet is never used, but a saved file holds whole chunks: no stray memory in it. */
    if (origin)
        memcpy(data, origin->data, c->chunk_bytes);
    else
        memset(data, 0, c->chunk_bytes);
    atomic_init(&chunk->references, 1);
    chunk->data = data;
    return chunk;
}

static mllm_code grow(mllm_kv_cache *c, size_t chunks, mllm_error *err) {
    if (chunks <= c->capacity) return MLLM_OK;
    size_t capacity = c->capacity * 2 > chunks ? c->capacity * 2 : chunks;
    mllm_kv_chunk **more = mllm_realloc_array(c->chunks, capacity, sizeof *more);
    if (!more) return mllm_fail_memory(err, capacity * sizeof *more, "the KV cache");
    c->chunks = more;
    c->capacity = capacity;
    return MLLM_OK;
}

mllm_code mllm_kv_reserve(mllm_kv_cache *c, size_t from, size_t to, mllm_error *err) {
    if (to <= from) return MLLM_OK;
    size_t need = (to + MLLM_KV_CHUNK - 1) / MLLM_KV_CHUNK;
    mllm_code code = grow(c, need, err);
    for (size_t i = from / MLLM_KV_CHUNK; code == MLLM_OK && i < need; i++) {
        bool fresh = i >= c->count;
        if (!fresh && atomic_load(&c->chunks[i]->references) == 1) continue;
        mllm_kv_chunk *chunk = new_chunk(c, fresh ? NULL : c->chunks[i], err);
        if (!chunk) return MLLM_E_MEMORY;
        if (fresh)
            c->count = i + 1;
        else
            drop(c->chunks[i]);
        c->chunks[i] = chunk;
    }
    return code;
}

mllm_code mllm_kv_share(mllm_kv_cache *to, const mllm_kv_cache *from, size_t positions, mllm_error *err) {
    size_t need = (positions + MLLM_KV_CHUNK - 1) / MLLM_KV_CHUNK;
    mllm_code code = grow(to, need, err);
    if (code != MLLM_OK) return code;
    for (size_t i = 0; i < need; i++) {
        atomic_fetch_add(&from->chunks[i]->references, 1);
        to->chunks[i] = from->chunks[i];
    }
    to->count = need;
    return MLLM_OK;
}

void mllm_kv_trim(mllm_kv_cache *c, size_t positions) {
    size_t need = (positions + MLLM_KV_CHUNK - 1) / MLLM_KV_CHUNK;
    while (c->count > need) drop(c->chunks[--c->count]);
}

size_t mllm_kv_bytes(const mllm_kv_cache *c) {
    return c->count * c->chunk_bytes;
}

void *mllm_kv_head(const mllm_kv_cache *c, uint32_t slot, bool value, uint32_t head, size_t position) {
    size_t at = (((size_t)slot * 2 + value) * c->heads + head) * c->head_bytes;
    return (char *)c->chunks[position / MLLM_KV_CHUNK]->data + at;
}
