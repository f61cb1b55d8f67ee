/* session.h - the userdata of model and session, for the files that work on them. */
#ifndef MLLM_LUA_SESSION_H
#define MLLM_LUA_SESSION_H

#include "binding.h"

typedef struct mllm_generation mllm_generation;

/* ---- model.c */

extern const mllm_lua_class mllm_lua_model_class;
typedef struct {
    mllm_lua_object object;
    mllm_model *model;
} mllm_lua_model;

/* The open model at `index`; raises otherwise. */
mllm_model *mllm_lua_check_model(lua_State *L, int index);
/* Its vocabulary; raises when the model has none. */
const mllm_vocab *mllm_lua_model_vocab(lua_State *L, const mllm_model *model);
/* Ids of the string at `index`; pushes the buffer that owns them. */
mllm_token *mllm_lua_tokenize(lua_State *L, int index, const mllm_vocab *vocab, unsigned flags, size_t *count);
/* A prompt: a list of ids as it is, or a text, tokenized as the continuation of `session`: the begin token goes first when the session is
 * empty and the vocabulary wishes it. `special`: spellings of control tokens count as such. Pushes the buffer that owns the ids. */
mllm_token *mllm_lua_check_prompt(lua_State *L, int index, mllm_session *session, bool special, size_t *count);

/* ---- session.c */

extern const mllm_lua_class mllm_lua_session_class;

/* What a session object and the jobs that run on it hold together: the last one gives the session back. Touched only on threads
 * that run Lua. */
typedef struct {
    mllm_session *session;
    int references;
    mllm_generation *job; /* the running one; NULL: the session is free */
    /* A generation that a loop drives (generate, stream) gives way when the session is used otherwise: nobody can tell a loop that was left from
     * one that goes on. NULL: the job is the script's, and the session is busy until it is over. */
    void (*give_way)(void *holder);
    void *holder;
} mllm_lua_timeline;

typedef struct {
    mllm_lua_object object;
    mllm_lua_timeline *timeline;
} mllm_lua_session;

/* The open session at `index`, free to use; raises otherwise, also while a job runs on it. */
mllm_session *mllm_lua_check_session(lua_State *L, int index);
mllm_lua_timeline *mllm_lua_check_timeline(lua_State *L, int index);
void mllm_lua_timeline_release(mllm_lua_timeline *timeline);

#endif
