/* model.c - mobilellm.load and the model userdata. Lua files add generate, stream, choose, score and chat to its methods. */
#include "session.h"

#include <string.h>

static void close_model(void *object) {
    mllm_model_release(((mllm_lua_model *)object)->model);
}

const mllm_lua_class mllm_lua_model_class = {"mobilellm.model", "model", sizeof(mllm_lua_model), close_model};

mllm_model *mllm_lua_check_model(lua_State *L, int index) {
    return ((mllm_lua_model *)mllm_lua_check(L, index, &mllm_lua_model_class))->model;
}

const mllm_vocab *mllm_lua_model_vocab(lua_State *L, const mllm_model *model) {
    const mllm_vocab *vocab = mllm_model_vocab(model);
    if (!vocab) luaL_error(L, "this model came without a tokenizer: %s", mllm_model_get_info(model).path);
    return vocab;
}

/* mobilellm.load(path, {threads, kernel, vocabulary_only}) -> model | nil, message, code */
static int load(lua_State *L) {
    static const char *const names[] = {"threads", "kernel", "vocabulary_only", NULL};
    const char *path = luaL_checkstring(L, 1);
    luaL_argcheck(L, strlen(path) == lua_rawlen(L, 1), 1, "a path without zero bytes expected");
    mllm_lua_options(L, 2, "load", names);
    mllm_load_options options = {
        .kernel = mllm_lua_option_string(L, 2, "kernel", NULL),
        .threads = (int)mllm_lua_option_integer(L, 2, "threads", 0, 0, 1024),
        .vocabulary_only = mllm_lua_option_boolean(L, 2, "vocabulary_only", false),
    };
    mllm_lua_model *m = mllm_lua_new(L, &mllm_lua_model_class);
    mllm_error err = {MLLM_OK, ""};
    m->model = mllm_model_load(path, &options, &err);
    if (!m->model) return mllm_lua_fail(L, &err);
    m->object.open = true;
    return 1;
}

static void set_integer(lua_State *L, const char *name, uint64_t value) {
    mllm_lua_pushinteger(L, value <= INT64_MAX ? (int64_t)value : INT64_MAX);
    lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value) {
    if (!value) return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_token(lua_State *L, const char *name, mllm_token id) {
    if (id >= 0) set_integer(L, name, (uint64_t)id);
}

/* model:info() -> table */
static int model_info(lua_State *L) {
    mllm_model *model = mllm_lua_check_model(L, 1);
    mllm_model_info info = mllm_model_get_info(model);
    lua_createtable(L, 0, 28);
    set_string(L, "path", info.path);
    set_string(L, "name", info.name);
    set_string(L, "architecture", info.architecture);
    set_string(L, "kernel", info.kernel);
    set_string(L, "quantization", info.quantization);
    set_string(L, "kept_as", info.kept_as);
    set_string(L, "chat_template", info.chat_template);
    const struct {
        const char *name;
        int value;
    } counts[] = {{"blocks", info.blocks},         {"steps", info.steps},         {"ffns", info.ffns},
                  {"kv_slots", info.kv_slots},     {"width", info.width},         {"heads", info.heads},
                  {"kv_heads", info.kv_heads},     {"head_size", info.head_size}, {"ffn_width", info.ffn_width},
                  {"vocabulary", info.vocabulary}, {"context", info.context},     {"threads", info.threads}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        mllm_lua_pushinteger(L, counts[i].value);
        lua_setfield(L, -2, counts[i].name);
    }
    lua_pushboolean(L, info.tied_embedding);
    lua_setfield(L, -2, "tied_embedding");
    set_integer(L, "parameters", info.parameters);
    set_integer(L, "bytes", info.weight_bytes + info.packed_bytes);
    set_integer(L, "weight_bytes", info.weight_bytes);
    set_integer(L, "packed_bytes", info.packed_bytes);
    lua_createtable(L, (int)info.type_count, 0);
    for (size_t i = 0; i < info.type_count; i++) {
        const mllm_model_type *t = &info.types[i];
        lua_createtable(L, 0, 6);
        set_string(L, "stored", t->stored);
        set_string(L, "kept_as", t->kept_as);
        set_integer(L, "tensors", t->tensors);
        set_integer(L, "parameters", t->parameters);
        set_integer(L, "stored_bytes", t->stored_bytes);
        set_integer(L, "kept_bytes", t->kept_bytes);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "types");
    const mllm_vocab *vocab = mllm_model_vocab(model);
    if (vocab) {
        set_token(L, "bos", mllm_vocab_bos(vocab));
        set_token(L, "eos", mllm_vocab_eos(vocab));
        lua_pushboolean(L, mllm_vocab_adds_bos(vocab));
        lua_setfield(L, -2, "adds_bos");
    }
    return 1;
}

mllm_token *mllm_lua_tokenize(lua_State *L, int index, const mllm_vocab *vocab, unsigned flags, size_t *count) {
    size_t length;
    const char *text = luaL_checklstring(L, index, &length);
    /* No piece is shorter than a byte; the markers of the text's ends and a dummy space come on top. */
    size_t capacity = length < SIZE_MAX - 8 ? length + 8 : length;
    mllm_token *ids = mllm_lua_buffer(L, capacity, sizeof *ids);
    *count = mllm_tokenize(vocab, text, length, flags, ids, capacity);
    if (*count == SIZE_MAX) luaL_error(L, "not enough memory");
    if (*count > capacity) { /* a vocabulary that spells one byte with several tokens */
        capacity = *count;
        ids = mllm_lua_buffer(L, capacity, sizeof *ids);
        lua_replace(L, -2);
        *count = mllm_tokenize(vocab, text, length, flags, ids, capacity);
        if (*count > capacity) luaL_error(L, "not enough memory");
    }
    return ids;
}

mllm_token *mllm_lua_check_prompt(lua_State *L, int index, mllm_session *session, bool special, size_t *count) {
    if (lua_istable(L, index)) return mllm_lua_check_tokens(L, index, count);
    if (lua_type(L, index) != LUA_TSTRING) {
        const char *got = luaL_typename(L, index);
        luaL_argerror(L, index, lua_pushfstring(L, "text or list of token ids expected, got %s", got));
    }
    const mllm_vocab *vocab = mllm_lua_model_vocab(L, mllm_session_model(session));
    size_t before;
    mllm_session_tokens(session, &before);
    unsigned flags = special ? MLLM_TOKENIZE_SPECIAL : 0;
    if (before > 0)
        flags |= MLLM_TOKENIZE_NO_PREFIX;
    else if (mllm_vocab_adds_bos(vocab))
        flags |= MLLM_TOKENIZE_BOS;
    return mllm_lua_tokenize(L, index, vocab, flags, count);
}

static unsigned text_flags(lua_State *L, int index) {
    return (mllm_lua_option_boolean(L, index, "bos", false) ? MLLM_TOKENIZE_BOS : 0u) |
           (mllm_lua_option_boolean(L, index, "eos", false) ? MLLM_TOKENIZE_EOS : 0u) |
           (mllm_lua_option_boolean(L, index, "special", false) ? MLLM_TOKENIZE_SPECIAL : 0u) |
           (mllm_lua_option_boolean(L, index, "continuation", false) ? MLLM_TOKENIZE_NO_PREFIX : 0u);
}

/* The list of {text =, user =} at `index` as one text on top of the stack, below it a string with a byte 1 where user is true. */
static void join_segments(lua_State *L, int index) {
    size_t segments = lua_rawlen(L, index), total = 0;
    for (size_t i = 1; i <= segments; i++) {
        lua_rawgeti(L, index, (int)i);
        if (!lua_istable(L, -1))
            luaL_error(L, "tokenize: segment %d: table expected, got %s", (int)i, luaL_typename(L, -1));
        lua_getfield(L, -1, "text");
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "tokenize: segment %d: field 'text': string expected, got %s", (int)i, luaL_typename(L, -1));
        total += lua_rawlen(L, -1);
        lua_pop(L, 2);
    }
    char *text = mllm_lua_buffer(L, 2 * total + 1, 1), *typed = text + total;
    for (size_t i = 1, at = 0; i <= segments; i++) {
        size_t length;
        lua_rawgeti(L, index, (int)i);
        lua_getfield(L, -1, "text");
        lua_getfield(L, -2, "user");
        const char *s = lua_tolstring(L, -2, &length);
        if (length > total - at) luaL_error(L, "tokenize: the segments changed");
        memcpy(text + at, s, length);
        memset(typed + at, lua_toboolean(L, -1), length);
        at += length;
        lua_pop(L, 3);
    }
    lua_pushlstring(L, typed, total);
    lua_pushlstring(L, text, total);
}

/* model:tokenize(text, {bos, eos, special, continuation}) -> list of ids. All options are false unless given: the ids are those of the
 * text alone. The text may be a list of {text =, user =}, as a template's segments() gives it: where user is true no spelling becomes a
 * control token. */
static int model_tokenize(lua_State *L) {
    static const char *const names[] = {"bos", "eos", "special", "continuation", NULL};
    mllm_model *model = mllm_lua_check_model(L, 1);
    if (!lua_istable(L, 2)) luaL_checktype(L, 2, LUA_TSTRING);
    mllm_lua_options(L, 3, "tokenize", names);
    size_t count;
    if (lua_istable(L, 2)) {
        const mllm_vocab *vocab = mllm_lua_model_vocab(L, model);
        unsigned flags = text_flags(L, 3);
        join_segments(L, 2);
        size_t length, capacity;
        const char *text = lua_tolstring(L, -1, &length), *typed = lua_tostring(L, -2);
        count = mllm_tokenize_typed(vocab, text, length, typed, flags, NULL, 0);
        if (count == SIZE_MAX) return luaL_error(L, "not enough memory");
        mllm_token *list = mllm_lua_buffer(L, count + 1, sizeof *list);
        capacity = count;
        count = mllm_tokenize_typed(vocab, text, length, typed, flags, list, capacity);
        if (count > capacity) return luaL_error(L, "not enough memory");
        mllm_lua_push_tokens(L, list, count);
        return 1;
    }
    mllm_token *ids = mllm_lua_tokenize(L, 2, mllm_lua_model_vocab(L, model), text_flags(L, 3), &count);
    mllm_lua_push_tokens(L, ids, count);
    return 1;
}

/* model:detokenize(ids, {special, continuation}) -> string */
static int model_detokenize(lua_State *L) {
    static const char *const names[] = {"special", "continuation", NULL};
    mllm_model *model = mllm_lua_check_model(L, 1);
    const mllm_vocab *vocab = mllm_lua_model_vocab(L, model);
    size_t count;
    mllm_lua_options(L, 3, "detokenize", names);
    unsigned flags = text_flags(L, 3);
    mllm_token *ids = mllm_lua_check_tokens(L, 2, &count);
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= mllm_vocab_size(vocab)) {
            mllm_error err = {MLLM_E_TOKEN, ""};
            lua_pushfstring(L, "token id %d at [%d] is outside the vocabulary of %d", (int)ids[i], (int)(i + 1),
                            mllm_vocab_size(vocab));
            strncpy(err.message, lua_tostring(L, -1), sizeof err.message - 1);
            return mllm_lua_fail(L, &err);
        }
    size_t length = mllm_detokenize(vocab, ids, count, flags, NULL, 0);
    if (length == SIZE_MAX) return luaL_error(L, "not enough memory");
    char *text = mllm_lua_buffer(L, length + 1, 1);
    mllm_detokenize(vocab, ids, count, flags, text, length + 1);
    lua_pushlstring(L, text, length);
    return 1;
}

/* model:token(id) -> bytes, kind | nil: what a token stands for, and "normal", "control", "byte", "unknown", "user", "unused". */
static int model_token(lua_State *L) {
    static const char *const kinds[] = {"normal", "unknown", "control", "user", "unused", "byte"};
    const mllm_vocab *vocab = mllm_lua_model_vocab(L, mllm_lua_check_model(L, 1));
    mllm_token id = mllm_lua_check_token(L, 2);
    size_t length;
    const char *bytes = mllm_vocab_bytes(vocab, id, &length);
    if (!bytes) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushlstring(L, bytes, length);
    lua_pushstring(L, kinds[mllm_vocab_kind(vocab, id)]);
    return 2;
}

/* model:find(piece) -> id | nil: by the spelling in the vocabulary ("</s>", "▁the"). */
static int model_find(lua_State *L) {
    const mllm_vocab *vocab = mllm_lua_model_vocab(L, mllm_lua_check_model(L, 1));
    size_t length;
    const char *piece = luaL_checklstring(L, 2, &length);
    mllm_token id = mllm_vocab_find(vocab, piece, length);
    if (id < 0)
        lua_pushnil(L);
    else
        mllm_lua_pushinteger(L, id);
    return 1;
}

/* model:is_end(id): true for a token that ends a generation. */
static int model_is_end(lua_State *L) {
    const mllm_vocab *vocab = mllm_lua_model_vocab(L, mllm_lua_check_model(L, 1));
    lua_pushboolean(L, mllm_vocab_is_end(vocab, mllm_lua_check_token(L, 2)));
    return 1;
}

void mllm_lua_open_model(lua_State *L) {
    static const luaL_Reg methods[] = {{"info", model_info},
                                       {"tokenize", model_tokenize},
                                       {"detokenize", model_detokenize},
                                       {"token", model_token},
                                       {"find", model_find},
                                       {"is_end", model_is_end},
                                       {NULL, NULL}};
    mllm_lua_class_open(L, &mllm_lua_model_class, methods, NULL);
    lua_pushcfunction(L, load);
    lua_setfield(L, -2, "load");
}
