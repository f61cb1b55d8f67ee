/* session.c - the session userdata: one timeline of tokens. start() is added by generate.lua. */
#include "session.h"

#include "logits.h"

#include "base/alloc.h"

#include <string.h>

void mllm_lua_timeline_release(mllm_lua_timeline *timeline) {
    if (!timeline || --timeline->references > 0) return;
    mllm_session_release(timeline->session);
    mllm_free(timeline);
}

static void close_session(void *object) {
    mllm_lua_timeline_release(((mllm_lua_session *)object)->timeline);
}

const mllm_lua_class mllm_lua_session_class = {"mobilellm.session", "session", sizeof(mllm_lua_session), close_session};

/* The job of the session at `index`, unless it does not touch the session any more. */
static bool busy(lua_State *L, int index) {
    mllm_lua_timeline *t = ((mllm_lua_session *)mllm_lua_check(L, index, &mllm_lua_session_class))->timeline;
    if (t->job && mllm_generation_settled(t->job)) t->job = NULL;
    return t->job != NULL;
}

mllm_lua_timeline *mllm_lua_check_timeline(lua_State *L, int index) {
    mllm_lua_timeline *t = ((mllm_lua_session *)mllm_lua_check(L, index, &mllm_lua_session_class))->timeline;
    if (busy(L, index) && t->give_way) t->give_way(t->holder);
    /* A job that nobody holds any more is closed by the collector. */
    if (busy(L, index)) lua_gc(L, LUA_GCCOLLECT, 0);
    if (busy(L, index))
        luaL_error(L, "attempt to use a session while a job runs on it (cancel or close the job first)");
    return t;
}

mllm_session *mllm_lua_check_session(lua_State *L, int index) {
    return mllm_lua_check_timeline(L, index)->session;
}

/* Keeps the model object at `model` with the session on top: what is made once for a model (a grammar's token trie) stays. */
static void keep_model(lua_State *L, int model) {
    mllm_lua_pushkept(L, -1);
    lua_pushvalue(L, model);
    lua_setfield(L, -2, "model");
    lua_pop(L, 1);
}

/* A closed session object on top of the stack, with room for a session that is not there yet. */
static mllm_lua_timeline *push_session(lua_State *L) {
    mllm_lua_session *s = mllm_lua_new(L, &mllm_lua_session_class);
    s->timeline = mllm_calloc(1, sizeof *s->timeline);
    if (!s->timeline) {
        luaL_error(L, "not enough memory");
        return NULL;
    }
    s->timeline->references = 1;
    s->object.open = true;
    return s->timeline;
}

/* model:session{context, kv_type} -> session | nil, message, code */
static int model_session(lua_State *L) {
    static const char *const names[] = {"context", "kv_type", NULL};
    mllm_model *model = mllm_lua_check_model(L, 1);
    mllm_lua_options(L, 2, "session", names);
    mllm_session_options options = {
        .context = (int)mllm_lua_option_integer(L, 2, "context", 0, 1, INT32_MAX),
        .kv_type = mllm_lua_option_string(L, 2, "kv_type", NULL),
    };
    mllm_error err = {MLLM_OK, ""};
    mllm_lua_timeline *t = push_session(L);
    keep_model(L, 1);
    t->session = mllm_session_new(model, &options, &err);
    return t->session ? 1 : mllm_lua_fail(L, &err);
}

/* session:fork() -> session | nil, message, code */
static int session_fork(lua_State *L) {
    mllm_session *session = mllm_lua_check_session(L, 1);
    mllm_error err = {MLLM_OK, ""};
    mllm_lua_pushkept(L, 1);
    lua_getfield(L, -1, "model");
    mllm_lua_timeline *t = push_session(L);
    keep_model(L, lua_gettop(L) - 1);
    t->session = mllm_session_fork(session, &err);
    return t->session ? 1 : mllm_lua_fail(L, &err);
}

/* session:feed(ids_or_text, {special}) -> number of tokens fed | nil, message, code. Text at the start of a session gets the begin token
 * when the vocabulary wishes it; later text continues what stands there. */
static int session_feed(lua_State *L) {
    static const char *const names[] = {"special", NULL};
    mllm_session *session = mllm_lua_check_session(L, 1);
    mllm_lua_options(L, 3, "feed", names);
    size_t count;
    mllm_token *ids = mllm_lua_check_prompt(L, 2, session, mllm_lua_option_boolean(L, 3, "special", false), &count);
    mllm_error err = {MLLM_OK, ""};
    if (mllm_session_feed(session, ids, count, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    mllm_lua_pushinteger(L, (int64_t)count);
    return 1;
}

/* session:score(ids_or_text, {special}) -> list of log-probabilities | nil, message, code. Feeds the tokens; each number is the natural
 * log-probability of one of them, given all before it. At least one token must have been fed before. */
static int session_score(lua_State *L) {
    static const char *const names[] = {"special", NULL};
    mllm_session *session = mllm_lua_check_session(L, 1);
    mllm_lua_options(L, 3, "score", names);
    size_t count;
    mllm_token *ids = mllm_lua_check_prompt(L, 2, session, mllm_lua_option_boolean(L, 3, "special", false), &count);
    double *out = mllm_lua_buffer(L, count, sizeof *out);
    mllm_error err = {MLLM_OK, ""};
    if (mllm_session_score(session, ids, count, out, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushnumber(L, out[i]);
        lua_rawseti(L, -2, (int)(i + 1));
    }
    return 1;
}

static uint64_t logits_epoch(lua_State *L, int owner) {
    return mllm_session_epoch(mllm_lua_check_session(L, owner));
}

/* session:logits() -> live view of the logits for the next token, stale after the next feed or rewind | nil, message, code */
static int session_logits(lua_State *L) {
    mllm_session *session = mllm_lua_check_session(L, 1);
    mllm_error err = {MLLM_OK, ""};
    float *logits = mllm_session_logits(session, &err);
    if (!logits) return mllm_lua_fail(L, &err);
    int n = mllm_model_get_info(mllm_session_model(session)).vocabulary;
    mllm_lua_push_logits(L, 1, logits, (size_t)n, logits_epoch);
    return 1;
}

/* session:tokens() -> list of ids */
static int session_tokens(lua_State *L) {
    size_t count;
    const mllm_token *tokens = mllm_session_tokens(mllm_lua_check_session(L, 1), &count);
    mllm_lua_push_tokens(L, tokens, count);
    return 1;
}

/* #session -> number of tokens */
static int session_length(lua_State *L) {
    size_t count;
    mllm_session_tokens(mllm_lua_check_session(L, 1), &count);
    mllm_lua_pushinteger(L, (int64_t)count);
    return 1;
}

/* session:rewind(n) -> session: keeps the first n tokens. Raises when it has fewer. */
static int session_rewind(lua_State *L) {
    mllm_session *session = mllm_lua_check_session(L, 1);
    size_t count;
    mllm_session_tokens(session, &count);
    int64_t keep = mllm_lua_check_integer(L, 2, 0, (int64_t)count);
    mllm_error err = {MLLM_OK, ""};
    if (mllm_session_rewind(session, (size_t)keep, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_settop(L, 1);
    return 1;
}

static const char *check_path(lua_State *L, int index) {
    const char *path = luaL_checkstring(L, index);
    luaL_argcheck(L, strlen(path) == lua_rawlen(L, index), index, "a path without zero bytes expected");
    return path;
}

/* session:save(path), session:restore(path) -> session | nil, message, code */
static int session_save(lua_State *L) {
    mllm_session *session = mllm_lua_check_session(L, 1);
    mllm_error err = {MLLM_OK, ""};
    if (mllm_session_save(session, check_path(L, 2), &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_settop(L, 1);
    return 1;
}

static int session_restore(lua_State *L) {
    mllm_session *session = mllm_lua_check_session(L, 1);
    mllm_error err = {MLLM_OK, ""};
    if (mllm_session_restore(session, check_path(L, 2), &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_settop(L, 1);
    return 1;
}

/* session:context() -> most tokens it may hold */
static int session_context(lua_State *L) {
    mllm_lua_pushinteger(L, mllm_session_context(mllm_lua_check_session(L, 1)));
    return 1;
}

/* session:bytes() -> bytes that its cache takes now */
static int session_bytes(lua_State *L) {
    mllm_lua_pushinteger(L, (int64_t)mllm_session_kv_bytes(mllm_lua_check_session(L, 1)));
    return 1;
}

/* session:model() -> its model; another handle of it when the first one was closed. */
static int session_model(lua_State *L) {
    mllm_session *session = mllm_lua_check_session(L, 1);
    mllm_lua_pushkept(L, 1);
    lua_getfield(L, -1, "model");
    mllm_lua_model *m = mllm_lua_test(L, -1, &mllm_lua_model_class);
    if (m && m->object.open) return 1;
    m = mllm_lua_new(L, &mllm_lua_model_class);
    m->model = mllm_model_retain(mllm_session_model(session));
    m->object.open = true;
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, "model"); /* kept table, old value, m, m */
    return 1;
}

void mllm_lua_open_session(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"fork", session_fork},     {"feed", session_feed},       {"score", session_score},
        {"tokens", session_tokens}, {"logits", session_logits},   {"rewind", session_rewind},
        {"save", session_save},     {"restore", session_restore}, {"context", session_context},
        {"bytes", session_bytes},   {"model", session_model},     {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__len", session_length}, {NULL, NULL}};
    mllm_lua_class_open(L, &mllm_lua_session_class, methods, metamethods);
    lua_getfield(L, -1, "classes");
    lua_getfield(L, -1, "model");
    lua_pushcfunction(L, model_session);
    lua_setfield(L, -2, "session");
    lua_pop(L, 2);
}
