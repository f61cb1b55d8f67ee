/* kv_cache.h - keys and values of one session, in chunks of positions that forks share until one of them writes. */
#ifndef MLLM_MODEL_KV_CACHE_H
#define MLLM_MODEL_KV_CACHE_H

#include "../tensor/kernel.h"

typedef struct mllm_kv_chunk mllm_kv_chunk;

typedef struct {
    mllm_type type;
    uint32_t slots, heads, head_size;
    size_t row_bytes; /* one key (or value) of one head */
    size_t head_bytes; /* MLLM_KV_CHUNK rows, 64-byte multiple */
    size_t chunk_bytes; /* slots x {keys, values} x heads x head_bytes */
    mllm_kv_chunk **chunks;
    size_t count, capacity;
} mllm_kv_cache;

mllm_code mllm_kv_init(mllm_kv_cache *c, mllm_type type, uint32_t slots, uint32_t heads, uint32_t head_size,
                       mllm_error *err);
void mllm_kv_free(mllm_kv_cache *c);
/* Makes positions [from, to) writable: allocates chunks, copies those that a fork shares. On failure nothing is lost. */
mllm_code mllm_kv_reserve(mllm_kv_cache *c, size_t from, size_t to, mllm_error *err);
/* `to` becomes a fork of `from` (initialised, empty), sharing every chunk up to `positions`. */
mllm_code mllm_kv_share(mllm_kv_cache *to, const mllm_kv_cache *from, size_t positions, mllm_error *err);
/* Gives back the chunks beyond `positions`. */
void mllm_kv_trim(mllm_kv_cache *c, size_t positions);
size_t mllm_kv_bytes(const mllm_kv_cache *c);

/* What a chunk holds of one head: keys, or values. `position` is any of the chunk's. */
void *mllm_kv_head(const mllm_kv_cache *c, uint32_t slot, bool value, uint32_t head, size_t position);

#endif
