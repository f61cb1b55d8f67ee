/* logits.h - the logits userdata: a view of an array of floats that somebody else owns, or an array of its own. */
#ifndef MLLM_LUA_LOGITS_H
#define MLLM_LUA_LOGITS_H

#include "binding.h"

extern const mllm_lua_class mllm_lua_logits_class;

typedef struct {
    mllm_lua_object object;
    float *data; /* [count] */
    const mllm_token
        *ids; /* [count], ascending: the token of each logit, others are masked; NULL: data[i] is that of token i */
    size_t count;
    size_t size; /* of the vocabulary: above every id */
    uint64_t (*epoch)(lua_State *L, int owner); /* NULL: nobody's */
    uint64_t born;
} mllm_lua_logits;

/* The view at `index`; raises when it is something else or stale. */
mllm_lua_logits *mllm_lua_check_logits(lua_State *L, int index);
/* Pushes a view of logits[n]. The object at stack index `owner` is kept alive by it. `epoch(L, owner)` is asked before every use: it gives a number
 * that changes when the array becomes invalid, or raises (the owner was closed). */
void mllm_lua_push_logits(lua_State *L, int owner, float *logits, size_t n, uint64_t (*epoch)(lua_State *L, int owner));
/* Pushes a view with its own array [n], not filled. */
mllm_lua_logits *mllm_lua_new_logits(lua_State *L, size_t n);

#endif
