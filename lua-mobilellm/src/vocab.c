/* vocab.c - a vocabulary without a model: trained here, or read from a file.
 *
 *   train.bpe{texts = function or list, size = 4096, special = {}, pre = "smollm", bos =, eos =, min_count = 2} -> vocabulary
 *     texts      a function that returns the next text, nil at the end; or a list of texts
 *     size       tokens: the special ones, 256 bytes, merges; the vocabulary is smaller when the texts do not give so many
 *     special    spellings of control tokens, ids 0, 1, ... in this order
 *     pre        how text is cut into words: "smollm", "gpt-2", "llama-bpe", "qwen2"
 *     bos, eos   one of `special`; without `eos` the first with a well-known spelling of an end ("<|im_end|>", "<|end|>" ...)
 *   train.vocabulary(path) -> vocabulary     tokenizer.json, tokenizer.model, a GGUF file or a folder; nil, message, code
 *   vocabulary:tokenize(text, {bos = false, eos = false, special = false, continuation = false}) -> list of ids
 *   vocabulary:detokenize(ids, {special = false, continuation = false}) -> text
 *   vocabulary:size()  vocabulary:bos()  vocabulary:eos()  vocabulary:is_end(id)
 *   vocabulary:find(spelling) -> id or nil     vocabulary:bytes(id) -> bytes or nil
 *   vocabulary:save(path) -> true              tokenizer.json, which the `tokenizers` library reads; nil, message, code */
#include "vocab.h"

#include <string.h>

#include "binding.h"

typedef struct {
    mllm_lua_object object;
    mllm_vocab *vocab;
} lua_vocab;

static void vocab_close(void *object) {
    lua_vocab *o = object;
    mllm_vocab_free(o->vocab);
    o->vocab = NULL;
}

static const mllm_lua_class vocab_class = {"mobilellm.vocabulary", "vocabulary", sizeof(lua_vocab), vocab_close};

mllm_vocab *mllm_lua_check_vocab(lua_State *L, int index) {
    return ((lua_vocab *)mllm_lua_check(L, index, &vocab_class))->vocab;
}

/* ---------------------------------------------------------------- training */

typedef struct {
    mllm_lua_bridge *bridge;
    mllm_error err; /* of the callback */
    int texts, held; /* stack: the function or list; the text that core/ is reading */
    int64_t at;
} text_source;

/* mllm_text_fn: calls the function, or takes the next of the list. */
static bool next_text(void *ctx, const char **text, size_t *length) {
    text_source *s = ctx;
    lua_State *L = s->bridge->L;
    bool list = lua_istable(L, s->texts);
    if (list) {
        lua_rawgeti(L, s->texts, (int)++s->at);
    } else {
        lua_pushvalue(L, s->texts);
        if (!mllm_lua_callback(s->bridge, 0, 1, &s->err)) return false;
    }
    int type = lua_type(L, -1);
    if (type == LUA_TSTRING) {
        *text = lua_tolstring(L, -1, length);
        lua_replace(L, s->held);
        return true;
    }
    lua_pop(L, 1);
    if (type != LUA_TNIL)
        mllm_lua_callback_error(s->bridge, &s->err, "train.bpe: text expected from 'texts', got %s",
                                lua_typename(L, type));
    return false;
}

/* The list of strings under option `special`; the strings stay in the options table. */
static const char **check_special(lua_State *L, size_t *count) {
    *count = 0;
    if (!mllm_lua_option(L, 1, "special")) {
        lua_pop(L, 1);
        return NULL;
    }
    if (!lua_istable(L, -1)) luaL_error(L, "option 'special': list of strings expected, got %s", luaL_typename(L, -1));
    int list = lua_gettop(L);
    *count = lua_rawlen(L, list);
    const char **special = mllm_lua_buffer(L, *count, sizeof *special); /* stays on the stack, as the list does */
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, list, (int)i + 1);
        size_t length = 0;
        const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
        if (!s || strlen(s) != length) luaL_error(L, "option 'special': entry %d is no string without NUL", (int)i + 1);
        special[i] = s;
        lua_pop(L, 1);
    }
    return special;
}

static int train_bpe(lua_State *L) {
    static const char *const names[] = {"texts", "size", "special", "pre", "bos", "eos", "min_count", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    mllm_lua_options(L, 1, "train.bpe", names);
    mllm_bpe_train_options o = {.size = (size_t)mllm_lua_option_integer(L, 1, "size", 4096, 256, 1 << 20),
                                .pre = mllm_lua_option_string(L, 1, "pre", "smollm"),
                                .bos = mllm_lua_option_string(L, 1, "bos", NULL),
                                .eos = mllm_lua_option_string(L, 1, "eos", NULL),
                                .min_count = (size_t)mllm_lua_option_integer(L, 1, "min_count", 2, 1, INT32_MAX)};
    o.special = check_special(L, &o.special_count);
    mllm_lua_option(L, 1, "texts");
    if (!lua_istable(L, -1) && !lua_isfunction(L, -1))
        luaL_error(L, "option 'texts': function or list of texts expected, got %s", luaL_typename(L, -1));
    text_source s = {.bridge = mllm_lua_bridge_get(L), .texts = lua_gettop(L)};
    lua_pushnil(L);
    s.held = lua_gettop(L);
    lua_vocab *v = mllm_lua_new(L, &vocab_class);
    luaL_checkstack(L, LUA_MINSTACK, "train.bpe");
    mllm_error err = {0};
    lua_State *before = mllm_lua_enter(s.bridge, L);
    v->vocab = mllm_bpe_train(next_text, &s, &o, &err);
    mllm_lua_leave(s.bridge, before);
    v->object.open = v->vocab != NULL; /* an error of the callback comes after what was learned so far */
    if (s.err.code != MLLM_OK) return mllm_lua_fail(L, &s.err);
    if (!v->vocab) return mllm_lua_fail(L, &err);
    return 1;
}

/* ------------------------------------------------------------------ reading */

static int train_vocabulary(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    lua_vocab *v = mllm_lua_new(L, &vocab_class);
    mllm_error err = {0};
    v->vocab = mllm_vocab_open(path, &err);
    if (!v->vocab) return mllm_lua_fail(L, &err);
    v->object.open = true;
    return 1;
}

/* ------------------------------------------------------------------ methods */

static unsigned check_flags(lua_State *L, int index, const char *function, bool tokenize) {
    static const char *const both[] = {"special", "continuation", "bos", "eos", NULL}, *const text[] = {"special",
                                                                                                        "continuation",
                                                                                                        NULL};
    mllm_lua_options(L, index, function, tokenize ? both : text);
    unsigned flags = 0;
    if (mllm_lua_option_boolean(L, index, "special", false)) flags |= MLLM_TOKENIZE_SPECIAL;
    if (mllm_lua_option_boolean(L, index, "continuation", false)) flags |= MLLM_TOKENIZE_NO_PREFIX;
    if (tokenize && mllm_lua_option_boolean(L, index, "bos", false)) flags |= MLLM_TOKENIZE_BOS;
    if (tokenize && mllm_lua_option_boolean(L, index, "eos", false)) flags |= MLLM_TOKENIZE_EOS;
    return flags;
}

static int fail_memory(lua_State *L) {
    mllm_error err = {MLLM_E_MEMORY, "out of memory, or more than 1 GiB of text"};
    return mllm_lua_fail(L, &err);
}

static int vocab_tokenize(lua_State *L) {
    mllm_vocab *v = mllm_lua_check_vocab(L, 1);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    unsigned flags = check_flags(L, 3, "tokenize", true);
    size_t room = length / 2 + 16;
    mllm_token *ids = mllm_lua_buffer(L, room, sizeof *ids);
    size_t n = mllm_tokenize(v, text, length, flags, ids, room);
    if (n == SIZE_MAX) return fail_memory(L);
    if (n > room) {
        ids = mllm_lua_buffer(L, n, sizeof *ids);
        n = mllm_tokenize(v, text, length, flags, ids, n);
        if (n == SIZE_MAX) return fail_memory(L);
    }
    mllm_lua_push_tokens(L, ids, n);
    return 1;
}

static int vocab_detokenize(lua_State *L) {
    mllm_vocab *v = mllm_lua_check_vocab(L, 1);
    unsigned flags = check_flags(L, 3, "detokenize", false);
    size_t count;
    const mllm_token *ids = mllm_lua_check_tokens(L, 2, &count);
    size_t n = mllm_detokenize(v, ids, count, flags, NULL, 0);
    char *text = mllm_lua_buffer(L, n + 1, 1);
    mllm_detokenize(v, ids, count, flags, text, n + 1);
    lua_pushlstring(L, text, n);
    return 1;
}

static int vocab_size(lua_State *L) {
    mllm_lua_pushinteger(L, mllm_vocab_size(mllm_lua_check_vocab(L, 1)));
    return 1;
}

static int push_id(lua_State *L, mllm_token id) {
    if (id < 0)
        lua_pushnil(L);
    else
        mllm_lua_pushinteger(L, id);
    return 1;
}

static int vocab_bos(lua_State *L) {
    return push_id(L, mllm_vocab_bos(mllm_lua_check_vocab(L, 1)));
}

static int vocab_eos(lua_State *L) {
    return push_id(L, mllm_vocab_eos(mllm_lua_check_vocab(L, 1)));
}

static int vocab_is_end(lua_State *L) {
    mllm_vocab *v = mllm_lua_check_vocab(L, 1);
    lua_pushboolean(L, mllm_vocab_is_end(v, mllm_lua_check_token(L, 2)));
    return 1;
}

static int vocab_find(lua_State *L) {
    mllm_vocab *v = mllm_lua_check_vocab(L, 1);
    size_t length;
    const char *piece = luaL_checklstring(L, 2, &length);
    return push_id(L, mllm_vocab_find(v, piece, length));
}

static int vocab_bytes(lua_State *L) {
    mllm_vocab *v = mllm_lua_check_vocab(L, 1);
    size_t length;
    const char *bytes = mllm_vocab_bytes(v, mllm_lua_check_token(L, 2), &length);
    if (bytes)
        lua_pushlstring(L, bytes, length);
    else
        lua_pushnil(L);
    return 1;
}

static int vocab_save(lua_State *L) {
    mllm_vocab *v = mllm_lua_check_vocab(L, 1);
    const char *path = luaL_checkstring(L, 2);
    mllm_error err = {0};
    if (mllm_vocab_save(v, path, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

void mllm_lua_open_vocab(lua_State *L) {
    static const luaL_Reg methods[] = {{"tokenize", vocab_tokenize}, {"detokenize", vocab_detokenize},
                                       {"size", vocab_size},         {"bos", vocab_bos},
                                       {"eos", vocab_eos},           {"is_end", vocab_is_end},
                                       {"find", vocab_find},         {"bytes", vocab_bytes},
                                       {"save", vocab_save},         {NULL, NULL}};
    static const luaL_Reg functions[] = {{"bpe", train_bpe}, {"vocabulary", train_vocabulary}, {NULL, NULL}};
    mllm_lua_class_open(L, &vocab_class, methods, NULL);
    lua_getfield(L, -1, "train");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "train");
    }
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
