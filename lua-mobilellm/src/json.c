/* json.c - mobilellm.json: encode, decode, array, is_array, object, keys; mobilellm.null.
 *
 * A decoded array carries a metatable, the array mark; so an empty one stays one. Encoding: a marked table or a sequence (keys 1..n, n > 0)
 * is an array, any other table with string keys only an object. The keys of an object come in byte order, unless it carries an order: a
 * metatable of its own with a list of keys, from decode(text, {ordered = true}) or object(). Keys that the list does not have come
 * behind those, in byte order. */
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY "mobilellm.json.array"
#define BUFFER "mobilellm.json.buffer"
#define DOCUMENT "mobilellm.json.document"

/* ------------------------------------------------------- owned C objects */

static int buffer_gc(lua_State *L) {
    mllm_buffer_free(lua_touserdata(L, 1));
    return 0;
}

static int document_gc(lua_State *L) {
    mllm_json_free(lua_touserdata(L, 1));
    return 0;
}

static void *push_owned(lua_State *L, size_t size, const char *metatable, lua_CFunction gc) {
    void *p = lua_newuserdata(L, size);
    memset(p, 0, size);
    if (luaL_newmetatable(L, metatable)) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return p;
}

mllm_json *mllm_lua_json_document(lua_State *L) {
    return push_owned(L, sizeof(mllm_json), DOCUMENT, document_gc);
}

mllm_buffer *mllm_lua_json_buffer(lua_State *L) {
    return push_owned(L, sizeof(mllm_buffer), BUFFER, buffer_gc);
}

/* -------------------------------------------------------------- decoding */

static const char order_key = 0; /* its address is the key of the order in an object's metatable */

/* The list of keys on top of the stack becomes the order of the table at `index`. */
static void set_order(lua_State *L, int index) {
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "mobilellm.json.object");
    lua_setfield(L, -2, "__name");
    lua_pushlightuserdata(L, (void *)(uintptr_t)&order_key);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_setmetatable(L, index);
    lua_pop(L, 1);
}

/* Pushes the list of keys that the table at `index` carries; pushes nothing when it carries none. */
static bool get_order(lua_State *L, int index) {
    if (!lua_getmetatable(L, index)) return false;
    lua_pushlightuserdata(L, (void *)(uintptr_t)&order_key);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_istable(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

/* Recursion is as deep as the document, which the reader has bounded by MLLM_JSON_MAX_DEPTH. */
static void push_value(lua_State *L, const mllm_json *doc, uint32_t node, bool ordered) {
    const mllm_json_node *n = &doc->nodes[node];
    luaL_checkstack(L, 8, "JSON nested too deeply");
    switch (n->kind) {
    case MLLM_JSON_NULL: lua_pushlightuserdata(L, NULL); break;
    case MLLM_JSON_FALSE: lua_pushboolean(L, false); break;
    case MLLM_JSON_TRUE: lua_pushboolean(L, true); break;
    case MLLM_JSON_INTEGER: mllm_lua_pushinteger(L, n->as.integer); break;
    case MLLM_JSON_NUMBER: lua_pushnumber(L, n->as.number); break;
    case MLLM_JSON_STRING: lua_pushlstring(L, n->as.string, n->count); break;
    case MLLM_JSON_ARRAY: {
        lua_createtable(L, n->count < 1 << 20 ? (int)n->count : 1 << 20, 0);
        uint32_t child = node + 1;
        for (uint32_t i = 1; i <= n->count; i++, child = doc->nodes[child].next) {
            push_value(L, doc, child, ordered);
            lua_rawseti(L, -2, (int)i);
        }
        luaL_setmetatable(L, ARRAY);
        break;
    }
    case MLLM_JSON_OBJECT: {
        lua_createtable(L, 0, n->count < 1 << 20 ? (int)n->count : 1 << 20);
        uint32_t child = node + 1;
        int object = lua_gettop(L);
        if (ordered) lua_createtable(L, n->count < 1 << 20 ? (int)n->count : 1 << 20, 0);
        for (uint32_t i = 0; i < n->count; i++) {
            const mllm_json_node *key = &doc->nodes[child];
            lua_pushlstring(L, key->as.string, key->count);
            if (ordered) { /* a key that comes twice is listed twice: the readers take the first */
                lua_pushvalue(L, -1);
                lua_rawseti(L, object + 1, (int)(i + 1));
            }
            child = key->next;
            push_value(L, doc, child, ordered);
            child = doc->nodes[child].next;
            lua_rawset(L, object); /* the last of several equal keys stays */
        }
        if (ordered) set_order(L, object);
        break;
    }
    }
}

void mllm_lua_json_push(lua_State *L, const mllm_json *doc, uint32_t node) {
    push_value(L, doc, node, false);
}

/* json.decode(text, {ordered}) -> value | nil, message, code. ordered: objects carry the order of their keys. */
static int decode(lua_State *L) {
    static const char *const names[] = {"ordered", NULL};
    size_t length;
    luaL_checktype(L, 1, LUA_TSTRING);
    mllm_lua_options(L, 2, "json.decode", names);
    bool ordered = mllm_lua_option_boolean(L, 2, "ordered", false);
    const char *text = lua_tolstring(L, 1, &length);
    mllm_json *doc = mllm_lua_json_document(L);
    mllm_error err = {MLLM_OK, ""};
    if (mllm_json_parse(doc, text, length, 0, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    push_value(L, doc, 0, ordered);
    mllm_json_free(doc); /* now rather than at the next collection */
    memset(doc, 0, sizeof *doc);
    return 1;
}

/* -------------------------------------------------------------- encoding */

typedef struct {
    lua_State *L;
    mllm_buffer *out;
    int path; /* stack index of a table: the keys from the root to here */
    int seen; /* stack index of a table: the tables from the root to here */
    int depth;
} encoder;

/* Raises "json.encode: <what> at $.a[3]". */
static int refuse(encoder *e, const char *what) {
    lua_State *L = e->L;
    lua_pushfstring(L, "json.encode: %s at $", what);
    for (int i = 1; i <= e->depth; i++) {
        lua_rawgeti(L, e->path, i);
        if (lua_type(L, -1) == LUA_TNUMBER)
            lua_pushfstring(L, "[%d]", (int)lua_tonumber(L, -1));
        else
            lua_pushfstring(L, ".%s", lua_tostring(L, -1));
        lua_remove(L, -2);
        lua_concat(L, 2);
        if (lua_rawlen(L, -1) > 400) { /* a long path says enough by its beginning */
            lua_pushliteral(L, "...");
            lua_concat(L, 2);
            break;
        }
    }
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
}

static void put(encoder *e, const char *bytes, size_t length) {
    mllm_buffer_put(e->out, bytes, length);
}

typedef struct {
    const char *bytes;
    size_t length;
} json_key;

static int by_bytes(const void *a, const void *b) {
    const json_key *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->length < y->length ? x->length : y->length);
    return order ? order : x->length < y->length ? -1 : x->length > y->length;
}

/* The keys of the table at `index`, all of them strings, in their order; pushes what holds them. The table keeps their bytes. */
static json_key *sorted_keys(lua_State *L, int index, size_t *count) {
    size_t n = 0, at = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) n++;
    json_key *keys = mllm_lua_buffer(L, 2 * n + 1, sizeof *keys), *out = keys + n;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), at++)
        keys[at].bytes = lua_tolstring(L, -2, &keys[at].length);
    if (n > 1) qsort(keys, n, sizeof *keys, by_bytes);
    *count = n;
    if (!get_order(L, index)) return keys;
    bool *taken = mllm_lua_buffer(L, n + 1, sizeof *taken);
    memset(taken, 0, n + 1);
    size_t listed = lua_rawlen(L, -2), done = 0;
    for (size_t i = 1; i <= listed && n > 0; i++) {
        lua_rawgeti(L, -2, (int)i);
        json_key key;
        key.bytes = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &key.length) : NULL;
        const json_key *found = key.bytes ? bsearch(&key, keys, n, sizeof *keys, by_bytes) : NULL;
        if (found && !taken[found - keys]) {
            taken[found - keys] = true;
            out[done++] = *found;
        }
        lua_pop(L, 1);
    }
    for (size_t i = 0; i < n; i++)
        if (!taken[i]) out[done++] = keys[i];
    lua_pop(L, 2);
    return out;
}

static void encode_value(encoder *e, int index);

/* The number of elements when the table at `index` is an array, -1 for an object. */
static int64_t array_length(encoder *e, int index) {
    lua_State *L = e->L;
    bool marked = false;
    if (lua_getmetatable(L, index)) {
        luaL_getmetatable(L, ARRAY);
        marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    int64_t numbers = 0, strings = 0, largest = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        int64_t key;
        if (lua_type(L, -2) == LUA_TSTRING)
            strings++;
        else if (mllm_lua_tointeger(L, -2, &key) && key >= 1 && key <= INT32_MAX) {
            numbers++;
            if (key > largest) largest = key;
        } else {
            lua_pushfstring(L, "a table with a key that is neither a string nor a position (%s)", luaL_typename(L, -2));
            refuse(e, lua_tostring(L, -1));
        }
    }
    if (marked && strings) refuse(e, "an array with a string key");
    if (numbers && strings) refuse(e, "a table with both string keys and positions");
    if (largest != numbers) refuse(e, "an array with a hole");
    return marked || numbers ? numbers : -1;
}

static void enter(encoder *e, int index) {
    lua_State *L = e->L;
    if (e->depth >= MLLM_JSON_MAX_DEPTH) refuse(e, "nesting deeper than 512");
    luaL_checkstack(L, 12, "json.encode");
    lua_pushvalue(L, index);
    lua_rawget(L, e->seen);
    if (!lua_isnil(L, -1)) refuse(e, "a table that contains itself");
    lua_pop(L, 1);
    lua_pushvalue(L, index);
    lua_pushboolean(L, true);
    lua_rawset(L, e->seen);
    e->depth++;
}

static void leave(encoder *e, int index) {
    e->depth--;
    lua_pushvalue(e->L, index);
    lua_pushnil(e->L);
    lua_rawset(e->L, e->seen);
}

static void encode_table(encoder *e, int index) {
    lua_State *L = e->L;
    luaL_checkstack(L, 12, "json.encode");
    int64_t length = array_length(e, index);
    enter(e, index);
    if (length >= 0) {
        put(e, "[", 1);
        for (int i = 1; i <= (int)length; i++) {
            if (i > 1) put(e, ",", 1);
            lua_pushinteger(L, i);
            lua_rawseti(L, e->path, e->depth);
            lua_rawgeti(L, index, i);
            encode_value(e, lua_gettop(L));
            lua_pop(L, 1);
        }
        put(e, "]", 1);
    } else {
        size_t count;
        const json_key *keys = sorted_keys(L, index, &count);
        put(e, "{", 1);
        for (size_t at = 0; at < count; at++) {
            if (at > 0) put(e, ",", 1);
            lua_pushlstring(L, keys[at].bytes, keys[at].length);
            lua_pushvalue(L, -1);
            lua_rawseti(L, e->path, e->depth);
            if (!mllm_json_put_string(e->out, keys[at].bytes, keys[at].length) && !e->out->failed)
                refuse(e, "a key that is not UTF-8");
            put(e, ":", 1);
            lua_rawget(L, index);
            encode_value(e, lua_gettop(L));
            lua_pop(L, 1);
        }
        put(e, "}", 1);
        lua_pop(L, 1); /* keys */
    }
    leave(e, index);
}

static void encode_number(encoder *e, int index) {
    lua_State *L = e->L;
    int64_t integer;
#if LUA_VERSION_NUM >= 503
    bool whole = lua_isinteger(L, index) && mllm_lua_tointeger(L, index, &integer);
#else /* one kind of number: whole ones are spelled as integers as far as they are exact */
    bool whole = mllm_lua_tointeger(L, index, &integer) && integer >= -9007199254740992 && integer <= 9007199254740992;
#endif
    if (whole)
        mllm_json_put_integer(e->out, integer);
    else if (!mllm_json_put_double(e->out, lua_tonumber(L, index)) && !e->out->failed)
        refuse(e, isnan(lua_tonumber(L, index)) ? "NaN" : "an infinite number");
}

static void encode_value(encoder *e, int index) {
    lua_State *L = e->L;
    switch (lua_type(L, index)) {
    case LUA_TNUMBER: encode_number(e, index); break;
    case LUA_TBOOLEAN: lua_toboolean(L, index) ? put(e, "true", 4) : put(e, "false", 5); break;
    case LUA_TSTRING: {
        size_t length;
        const char *s = lua_tolstring(L, index, &length);
        if (!mllm_json_put_string(e->out, s, length) && !e->out->failed) refuse(e, "a string that is not UTF-8");
        break;
    }
    case LUA_TTABLE: encode_table(e, index); break;
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, index)) {
            put(e, "null", 4);
            break;
        }
        /* fall through */
    default: lua_pushfstring(L, "a %s", luaL_typename(L, index)); refuse(e, lua_tostring(L, -1));
    }
}

void mllm_lua_json_encode(lua_State *L, int index) {
    luaL_checkstack(L, 12, "json.encode");
    int top = lua_gettop(L);
    lua_pushvalue(L, index);
    encoder e = {.L = L, .path = top + 2, .seen = top + 3};
    lua_newtable(L);
    lua_newtable(L);
    e.out = mllm_lua_json_buffer(L);
    encode_value(&e, top + 1);
    if (e.out->failed) luaL_error(L, "not enough memory");
    lua_pushlstring(L, e.out->data ? e.out->data : "", e.out->length);
    mllm_buffer_free(e.out);
    memset(e.out, 0, sizeof *e.out);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

/* json.encode(value) -> text. Raises, naming the place, for what JSON cannot say: NaN and infinities, cycles, mixed keys, holes, strings
 * that are not UTF-8, functions ... */
static int encode(lua_State *L) {
    luaL_checkany(L, 1);
    mllm_lua_json_encode(L, 1);
    return 1;
}

/* json.array(t) -> t, marked as an array; a new one without t. */
static int array(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (lua_getmetatable(L, 1)) {
        luaL_getmetatable(L, ARRAY);
        luaL_argcheck(L, lua_rawequal(L, -1, -2), 1, "a table without a metatable expected");
        lua_settop(L, 1);
    }
    luaL_setmetatable(L, ARRAY);
    return 1;
}

/* json.is_array(value): true for a table with the mark. */
static int is_array(lua_State *L) {
    luaL_checkany(L, 1);
    bool marked = false;
    if (lua_istable(L, 1) && lua_getmetatable(L, 1)) {
        luaL_getmetatable(L, ARRAY);
        marked = lua_rawequal(L, -1, -2);
    }
    lua_pushboolean(L, marked);
    return 1;
}

/* Raises for a key that is not a string. */
static void check_string_keys(lua_State *L, int index) {
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "an object's keys are strings, got a %s", luaL_typename(L, -2));
}

/* json.object(t, keys) -> t, which carries the order `keys` from now on. */
static int object(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    if (lua_getmetatable(L, 1)) {
        lua_pop(L, 1);
        luaL_argcheck(L, get_order(L, 1), 1, "a table without a metatable expected");
        lua_settop(L, 2);
    }
    size_t n = lua_rawlen(L, 2);
    lua_createtable(L, n < 1 << 20 ? (int)n : 1 << 20, 0); /* a copy: the caller's list may change */
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, 2, (int)i);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 2, "a list of strings expected");
        lua_rawseti(L, 3, (int)i);
    }
    set_order(L, 1);
    lua_settop(L, 1);
    return 1;
}

/* json.keys(t) -> list of the object's keys as encode writes them: in the order that it carries, else in byte order. */
static int keys_of(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    check_string_keys(L, 1);
    size_t count;
    const json_key *keys = sorted_keys(L, 1, &count);
    lua_createtable(L, count < 1 << 20 ? (int)count : 1 << 20, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(L, keys[i].bytes, keys[i].length);
        lua_rawseti(L, -2, (int)(i + 1));
    }
    return 1;
}

void mllm_lua_open_json(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"encode", encode}, {"decode", decode}, {"array", array}, {"is_array", is_array},
        {"object", object}, {"keys", keys_of},  {NULL, NULL}};
    luaL_newmetatable(L, ARRAY);
    lua_pushliteral(L, "mobilellm.json.array");
    lua_setfield(L, -2, "__name");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_setfield(L, -2, "json");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
}
