/* quantize.c - mobilellm.quantize and model:perplexity: fewer bits, and what they cost. */
#include "session.h"

#include <string.h>

static const char *check_path(lua_State *L, int index) {
    const char *path = luaL_checkstring(L, index);
    luaL_argcheck(L, strlen(path) == lua_rawlen(L, index), index, "a path without zero bytes expected");
    return path;
}

/* The text or list of ids at `index`, without a begin token; *bos is the one that windows begin with, or -1. Pushes what owns the ids. */
static mllm_token *text_or_ids(lua_State *L, int index, const mllm_model *model, size_t *count, mllm_token *bos) {
    const mllm_vocab *vocab = mllm_model_vocab(model);
    bool special = mllm_lua_option_boolean(L, 3, "special", false);
    *bos = vocab && mllm_vocab_adds_bos(vocab) ? mllm_vocab_bos(vocab) : -1;
    if (lua_istable(L, index)) return mllm_lua_check_tokens(L, index, count);
    return mllm_lua_tokenize(L, index, mllm_lua_model_vocab(L, model), special ? MLLM_TOKENIZE_SPECIAL : 0, count);
}

/* Tokens of a window: 512 unless given, where the model allows it. */
static int window(lua_State *L, const mllm_model *model) {
    int longest = model ? mllm_model_get_info(model).context : 512, usual = longest < 512 ? longest : 512;
    int given = (int)mllm_lua_option_integer(L, 3, "context", 0, 0, INT32_MAX);
    return given ? given : usual;
}

/* Importance of the model at `from` on the text at `text`, or NULL with *err. Leaves what owns its memory on the stack. */
static mllm_importance *gather(lua_State *L, const char *from, int text, mllm_error *err) {
    mllm_load_options load = {.kernel = mllm_lua_option_string(L, 3, "kernel", NULL),
                              .threads = (int)mllm_lua_option_integer(L, 3, "threads", 0, 0, 256)};
    window(L, NULL); /* misuse is told before a model is loaded */
    mllm_lua_model *m = mllm_lua_new(L, &mllm_lua_model_class);
    if (!(m->model = mllm_model_load(from, &load, err))) return NULL;
    m->object.open = true;
    size_t count;
    mllm_token bos, *ids = text_or_ids(L, text, m->model, &count, &bos);
    mllm_session_options open = {.context = window(L, m->model)};
    mllm_session *s = mllm_session_new(m->model, &open, err);
    mllm_importance *importance = s ? mllm_importance_gather(s, ids, count, bos, err) : NULL;
    mllm_session_release(s);
    return importance;
}

/* mobilellm.quantize(from, to, {type = "q8_0", embedding, search, calibrate = text or ids, packed, threads, kernel, context,
 * special}) -> true | nil, message, code. Q4_0 with `search`: the best scale of each block; with `calibrate`, errors weighted by what that text sends through
 * the model. core/format/quantize.h tells more. */
static int quantize(lua_State *L) {
    static const char *const names[] = {"type",    "embedding", "search",  "calibrate", "packed",
                                        "threads", "kernel",    "context", "special",   NULL};
    mllm_lua_options(L, 3, "quantize", names);
    lua_settop(L, 3);
    const char *from = check_path(L, 1), *to = check_path(L, 2);
    mllm_quantize_options o = {.type = mllm_lua_option_string(L, 3, "type", "q8_0"),
                               .embedding = mllm_lua_option_string(L, 3, "embedding", NULL),
                               .search = mllm_lua_option_boolean(L, 3, "search", false),
                               .packed = mllm_lua_option_boolean(L, 3, "packed", false)};
    mllm_error err = {MLLM_OK, ""};
    mllm_importance *importance = NULL;
    if (mllm_lua_option(L, 3, "calibrate")) {
        if (lua_type(L, -1) != LUA_TSTRING && !lua_istable(L, -1))
            return luaL_error(L, "option 'calibrate': text or list of token ids expected, got %s",
                              luaL_typename(L, -1));
        if (!(importance = gather(L, from, lua_gettop(L), &err))) return mllm_lua_fail(L, &err);
        o.importance = importance;
    }
    mllm_code code = mllm_quantize(from, to, &o, &err);
    mllm_importance_free(importance);
    if (code != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_pushboolean(L, true);
    return 1;
}

/* model:perplexity(text or ids, {context, kv_type, bos, special}) -> {perplexity, logprob, tokens, windows} | nil, message, code. Windows of `context` tokens
 * (512, or the model's own), each half new: core/format/quantize.h. Each begins with the begin token if the vocabulary wishes one, or as `bos`
 * says. */
static int model_perplexity(lua_State *L) {
    static const char *const names[] = {"context", "kv_type", "bos", "special", NULL};
    mllm_model *model = mllm_lua_check_model(L, 1);
    mllm_lua_options(L, 3, "perplexity", names);
    lua_settop(L, 3);
    mllm_session_options open = {.context = window(L, model), .kv_type = mllm_lua_option_string(L, 3, "kv_type", NULL)};
    const mllm_vocab *vocab = mllm_model_vocab(model);
    size_t count;
    mllm_token bos, *ids = text_or_ids(L, 2, model, &count, &bos);
    if (mllm_lua_option(L, 3, "bos")) {
        lua_pop(L, 1);
        bool wanted = mllm_lua_option_boolean(L, 3, "bos", false);
        bos = wanted && vocab ? mllm_vocab_bos(vocab) : -1;
    }
    mllm_error err = {MLLM_OK, ""};
    mllm_perplexity_result r;
    mllm_session *s = mllm_session_new(model, &open, &err);
    mllm_code code = s ? mllm_perplexity(s, ids, count, bos, &r, &err) : err.code;
    mllm_session_release(s);
    if (code != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_createtable(L, 0, 4);
    lua_pushnumber(L, r.perplexity);
    lua_setfield(L, -2, "perplexity");
    lua_pushnumber(L, r.logprob);
    lua_setfield(L, -2, "logprob");
    mllm_lua_pushinteger(L, (int64_t)r.tokens);
    lua_setfield(L, -2, "tokens");
    mllm_lua_pushinteger(L, (int64_t)r.windows);
    lua_setfield(L, -2, "windows");
    return 1;
}

void mllm_lua_open_quantize(lua_State *L) {
    lua_pushcfunction(L, quantize);
    lua_setfield(L, -2, "quantize");
    lua_getfield(L, -1, "classes");
    lua_getfield(L, -1, "model");
    lua_pushcfunction(L, model_perplexity);
    lua_setfield(L, -2, "perplexity");
    lua_pop(L, 2);
}
