#include "binding.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------- compat */

#if LUA_VERSION_NUM < 502

void mllm_lua_setfuncs(lua_State *L, const luaL_Reg *functions, int upvalues) {
    luaL_checkstack(L, upvalues + 1, "too many upvalues");
    for (; functions->name; functions++) {
        for (int i = 0; i < upvalues; i++) lua_pushvalue(L, -upvalues);
        lua_pushcclosure(L, functions->func, upvalues);
        lua_setfield(L, -(upvalues + 2), functions->name);
    }
    lua_pop(L, upvalues);
}

void *mllm_lua_testudata(lua_State *L, int index, const char *metatable) {
    void *object = lua_touserdata(L, index);
    if (!object || !lua_getmetatable(L, index)) return NULL;
    luaL_getmetatable(L, metatable);
    if (!lua_rawequal(L, -1, -2)) object = NULL;
    lua_pop(L, 2);
    return object;
}

void mllm_lua_pushkept(lua_State *L, int index) {
    index = lua_absindex(L, index);
    lua_getfenv(L, index);
    /* A new userdata shares the environment of the function that made it: that one is not its own. */
    lua_pushliteral(L, "mobilellm.kept");
    lua_rawget(L, -2);
    bool own = lua_touserdata(L, -1) == lua_touserdata(L, index) && lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (own) return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushliteral(L, "mobilellm.kept");
    lua_pushlightuserdata(L, lua_touserdata(L, index));
    lua_rawset(L, -3);
    lua_pushvalue(L, -1);
    lua_setfenv(L, index);
}

#else

void mllm_lua_pushkept(lua_State *L, int index) {
    index = lua_absindex(L, index);
    if (lua_getiuservalue(L, index, 1) == LUA_TTABLE) return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, index, 1);
}

#endif

bool mllm_lua_tointeger(lua_State *L, int index, int64_t *out) {
    if (lua_type(L, index) != LUA_TNUMBER) return false;
#if LUA_VERSION_NUM >= 503
    int is_integer;
    *out = lua_tointegerx(L, index, &is_integer);
    return is_integer;
#else
    double v = lua_tonumber(L, index);
    if (!(v >= -9223372036854775808.0 && v < 9223372036854775808.0) || floor(v) != v) return false;
    *out = (int64_t)v;
    return true;
#endif
}

void mllm_lua_pushinteger(lua_State *L, int64_t value) {
#if LUA_VERSION_NUM >= 503
    lua_pushinteger(L, value);
#else
    lua_pushnumber(L, (lua_Number)value);
#endif
}

/* ------------------------------------------------------------ userdata */

static int object_close(lua_State *L) {
    const mllm_lua_class *class = lua_touserdata(L, lua_upvalueindex(1));
    mllm_lua_object *object = luaL_checkudata(L, 1, class->metatable);
    if (object->open) {
        object->open = false;
        class->close(object);
    }
    return 0;
}

static int object_tostring(lua_State *L) {
    const mllm_lua_class *class = lua_touserdata(L, lua_upvalueindex(1));
    mllm_lua_object *object = luaL_checkudata(L, 1, class->metatable);
    if (object->open)
        lua_pushfstring(L, "mobilellm %s: %p", class->noun, (void *)object);
    else
        lua_pushfstring(L, "mobilellm %s (closed)", class->noun);
    return 1;
}

static void set_object_function(lua_State *L, const mllm_lua_class *class, const char *name, lua_CFunction f) {
    lua_pushlightuserdata(L, (void *)(uintptr_t) class);
    lua_pushcclosure(L, f, 1);
    lua_setfield(L, -2, name);
}

void mllm_lua_class_open(lua_State *L, const mllm_lua_class *class, const luaL_Reg *methods,
                         const luaL_Reg *metamethods) {
    int top = lua_gettop(L);
    luaL_newmetatable(L, class->metatable);
    lua_pushstring(L, class->metatable);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false); /* scripts see no metatable to break */
    lua_setfield(L, -2, "__metatable");
    set_object_function(L, class, "__gc", object_close);
    set_object_function(L, class, "__close", object_close);
    set_object_function(L, class, "__tostring", object_tostring);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    set_object_function(L, class, "close", object_close);
    /* core.classes[noun] = methods */
    lua_getfield(L, LUA_REGISTRYINDEX, "mobilellm.classes");
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, "mobilellm.classes");
    }
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, class->noun);
    lua_pop(L, 1);
    lua_setfield(L, -2, "__index");
    if (metamethods) luaL_setfuncs(L, metamethods, 0);
    lua_settop(L, top);
}

void *mllm_lua_new(lua_State *L, const mllm_lua_class *class) {
    void *object = lua_newuserdata(L, class->size);
    memset(object, 0, class->size);
    luaL_setmetatable(L, class->metatable);
    return object;
}

void *mllm_lua_test(lua_State *L, int index, const mllm_lua_class *class) {
    return luaL_testudata(L, index, class->metatable);
}

void *mllm_lua_check(lua_State *L, int index, const mllm_lua_class *class) {
    mllm_lua_object *object = luaL_testudata(L, index, class->metatable);
    if (!object) {
        const char *text = lua_pushfstring(L, "%s expected, got %s", class->noun, luaL_typename(L, index));
        luaL_argerror(L, index, text);
        return NULL; /* not reached */
    }
    if (!object->open) luaL_error(L, "attempt to use a closed %s", class->noun);
    return object;
}

/* -------------------------------------------------------------- errors */

/* Pushes "file:line: " of the caller outside of this module, "" when there is none. Where the module's Lua files lie is what core.files was
 * told. */
void mllm_lua_where(lua_State *L, int from) {
    lua_getfield(L, LUA_REGISTRYINDEX, "mobilellm.files");
    size_t length = 0;
    const char *own = lua_tolstring(L, -1, &length);
    lua_Debug ar;
    for (int level = from; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline <= 0 || (own && strncmp(ar.source, own, length) == 0)) continue;
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    lua_pushliteral(L, "");
}

int mllm_lua_error(lua_State *L, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    mllm_lua_where(L, 1);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_concat(L, 2);
    return lua_error(L);
}

int mllm_lua_argerror(lua_State *L, int index, const char *message) {
    lua_Debug ar;
    if (!lua_getstack(L, 0, &ar)) return mllm_lua_error(L, "bad argument #%d (%s)", index, message);
    lua_getinfo(L, "n", &ar);
    const char *name = ar.name ? ar.name : "?";
    if (*ar.namewhat == 'm') { /* the object itself does not count */
        index--;
        if (index == 0) return mllm_lua_error(L, "calling '%s' on bad self (%s)", name, message);
    }
    return mllm_lua_error(L, "bad argument #%d to '%s' (%s)", index, name, message);
}

static void type_error(lua_State *L, int index, const char *expected) {
    const char *got = lua_isnone(L, index) ? "no value" : luaL_typename(L, index);
    mllm_lua_argerror(L, index, lua_pushfstring(L, "%s expected, got %s", expected, got));
}

const char *mllm_lua_checklstring(lua_State *L, int index, size_t *length) {
    const char *s = lua_tolstring(L, index, length);
    if (!s) type_error(L, index, "string");
    return s;
}

lua_Number mllm_lua_checknumber(lua_State *L, int index) {
    if (!lua_isnumber(L, index)) type_error(L, index, "number");
    return lua_tonumber(L, index);
}

void mllm_lua_checktype(lua_State *L, int index, int type) {
    if (lua_type(L, index) != type) type_error(L, index, lua_typename(L, type));
}

int mllm_lua_misuse(lua_State *L) {
    mllm_lua_where(L, 1);
    lua_pushvalue(L, 1);
    lua_concat(L, 2);
    return lua_error(L);
}

int mllm_lua_files(lua_State *L) {
    luaL_checktype(L, 1, LUA_TSTRING);
    lua_pushvalue(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "mobilellm.files");
    return 0;
}

static void drop_error(mllm_lua_bridge *bridge, lua_State *L) {
    luaL_unref(L, LUA_REGISTRYINDEX, bridge->error);
    bridge->error = LUA_NOREF;
}

int mllm_lua_fail(lua_State *L, const mllm_error *err) {
    mllm_lua_bridge *bridge = mllm_lua_bridge_get(L);
    if (bridge->error != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, bridge->error);
        drop_error(bridge, L);
        return lua_error(L);
    }
    if (err->code == MLLM_E_ARGUMENT) return luaL_error(L, "%s", err->message);
    lua_pushnil(L);
    lua_pushstring(L, err->message);
    lua_pushstring(L, mllm_code_name(err->code));
    return 3;
}

/* ----------------------------------------------------------- callbacks */

mllm_lua_bridge *mllm_lua_bridge_get(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, "mobilellm.bridge");
    mllm_lua_bridge *bridge = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (bridge) return bridge; /* the registry holds it */
    bridge = lua_newuserdata(L, sizeof *bridge);
    *bridge = (mllm_lua_bridge){.L = NULL, .error = LUA_NOREF};
    lua_setfield(L, LUA_REGISTRYINDEX, "mobilellm.bridge");
    return bridge;
}

lua_State *mllm_lua_enter(mllm_lua_bridge *bridge, lua_State *L) {
    lua_State *before = bridge->L;
    if (bridge->error != LUA_NOREF) drop_error(bridge, L);
    bridge->L = L;
    return before;
}

void mllm_lua_leave(mllm_lua_bridge *bridge, lua_State *before) {
    bridge->L = before;
}

/* Keeps the value on top of the stack (popped). Runs protected: a reference may need memory. */
static int keep_error(lua_State *L) {
    mllm_lua_bridge *bridge = lua_touserdata(L, 2);
    lua_settop(L, 1);
    if (bridge->error != LUA_NOREF) drop_error(bridge, L);
    /* nil needs a value of its own: LUA_REFNIL is no LUA_NOREF, and rawgeti of it gives nil, as raised. */
    bridge->error = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static bool keep_top_error(mllm_lua_bridge *bridge, mllm_error *err) {
    lua_State *L = bridge->L;
    if (err) {
        err->code = MLLM_E_CANCELLED;
        snprintf(err->message, sizeof err->message, "a callback failed");
    }
    lua_pushcfunction(L, keep_error);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, bridge);
    if (lua_pcall(L, 2, 0, 0) != 0) lua_pop(L, 1); /* out of memory: err alone tells */
    return false;
}

bool mllm_lua_callback(mllm_lua_bridge *bridge, int arguments, int results, mllm_error *err) {
    lua_State *L = bridge->L;
    int status = lua_pcall(L, arguments, results, 0);
    bridge->L = L; /* the callback may have entered and left by an error */
    return status == 0 || keep_top_error(bridge, err);
}

bool mllm_lua_callback_error(mllm_lua_bridge *bridge, mllm_error *err, const char *format, ...) {
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    lua_pushstring(bridge->L, text);
    return keep_top_error(bridge, err);
}

/* ------------------------------------------------------------- options */

void mllm_lua_options(lua_State *L, int index, const char *function, const char *const *names) {
    if (lua_isnoneornil(L, index)) return;
    index = lua_absindex(L, index);
    if (!lua_istable(L, index)) luaL_error(L, "%s: options must be a table, got %s", function, luaL_typename(L, index));
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            lua_pushvalue(L, -2); /* lua_tostring would change the key itself */
            const char *text = lua_tostring(L, -1);
            luaL_error(L, "%s: unknown option [%s]", function, text ? text : luaL_typename(L, -2));
        }
        size_t length;
        const char *key = lua_tolstring(L, -2, &length);
        const char *const *n = names;
        while (*n && strcmp(*n, key) != 0) n++;
        if (!*n || strlen(key) != length) luaL_error(L, "%s: unknown option '%s'", function, key);
    }
}

bool mllm_lua_option(lua_State *L, int index, const char *name) {
    if (lua_isnoneornil(L, index))
        lua_pushnil(L);
    else
        lua_getfield(L, index, name);
    return !lua_isnil(L, -1);
}

/* `format` ends in ", got %s"; the wrong value is on top. */
static void wrong(lua_State *L, const char *name, const char *expected) {
    if (lua_type(L, -1) == LUA_TNUMBER) {
        lua_pushvalue(L, -1);
        luaL_error(L, "option '%s': %s expected, got %s", name, expected, lua_tostring(L, -1));
    }
    luaL_error(L, "option '%s': %s expected, got %s", name, expected, luaL_typename(L, -1));
}

static const char *span(char *text, size_t size, int64_t low, int64_t high) {
    if (low == INT64_MIN && high == INT64_MAX)
        snprintf(text, size, "integer");
    else if (high == INT64_MAX)
        snprintf(text, size, "integer of at least %lld", (long long)low);
    else
        snprintf(text, size, "integer from %lld to %lld", (long long)low, (long long)high);
    return text;
}

int64_t mllm_lua_option_integer(lua_State *L, int index, const char *name, int64_t fallback, int64_t low,
                                int64_t high) {
    int64_t value = fallback;
    char text[80];
    if (mllm_lua_option(L, index, name) && (!mllm_lua_tointeger(L, -1, &value) || value < low || value > high))
        wrong(L, name, span(text, sizeof text, low, high));
    lua_pop(L, 1);
    return value;
}

double mllm_lua_option_number(lua_State *L, int index, const char *name, double fallback, double low, double high) {
    double value = fallback;
    if (mllm_lua_option(L, index, name)) {
        value = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : NAN;
        if (!(value >= low && value <= high)) {
            char text[100];
            if (low == -INFINITY && high == INFINITY)
                snprintf(text, sizeof text, "number");
            else if (high == INFINITY)
                snprintf(text, sizeof text, "number of at least %g", low);
            else
                snprintf(text, sizeof text, "number from %g to %g", low, high);
            wrong(L, name, text);
        }
    }
    lua_pop(L, 1);
    return value;
}

bool mllm_lua_option_boolean(lua_State *L, int index, const char *name, bool fallback) {
    bool value = fallback;
    if (mllm_lua_option(L, index, name)) {
        if (!lua_isboolean(L, -1)) wrong(L, name, "boolean");
        value = lua_toboolean(L, -1);
    }
    lua_pop(L, 1);
    return value;
}

const char *mllm_lua_option_string(lua_State *L, int index, const char *name, const char *fallback) {
    const char *value = fallback;
    if (mllm_lua_option(L, index, name)) {
        if (lua_type(L, -1) != LUA_TSTRING) wrong(L, name, "string");
        size_t length;
        value = lua_tolstring(L, -1, &length);
        if (strlen(value) != length) luaL_error(L, "option '%s': a string without zero bytes expected", name);
    }
    lua_pop(L, 1);
    return value;
}

/* ----------------------------------------------------- tokens and bytes */

int64_t mllm_lua_check_integer(lua_State *L, int index, int64_t low, int64_t high) {
    int64_t value = 0;
    if (!mllm_lua_tointeger(L, index, &value) || value < low || value > high) {
        char text[80];
        span(text, sizeof text, low, high);
        if (lua_type(L, index) == LUA_TNUMBER) {
            lua_pushvalue(L, index);
            lua_pushfstring(L, "%s expected, got %s", text, lua_tostring(L, -1));
        } else
            lua_pushfstring(L, "%s expected, got %s", text, luaL_typename(L, index));
        luaL_argerror(L, index, lua_tostring(L, -1));
    }
    return value;
}

mllm_token mllm_lua_check_token(lua_State *L, int index) {
    return (mllm_token)mllm_lua_check_integer(L, index, INT32_MIN, INT32_MAX);
}

void *mllm_lua_buffer(lua_State *L, size_t count, size_t size) {
    if (size && count > SIZE_MAX / 2 / size) luaL_error(L, "not enough memory");
    size_t bytes = count * size;
    return lua_newuserdata(L, bytes > 0 ? bytes : (size_t)1);
}

mllm_token *mllm_lua_check_tokens(lua_State *L, int index, size_t *count) {
    luaL_checktype(L, index, LUA_TTABLE);
    index = lua_absindex(L, index);
    *count = lua_rawlen(L, index);
    if (*count > INT32_MAX) luaL_argerror(L, index, "too many tokens");
    mllm_token *tokens = mllm_lua_buffer(L, *count, sizeof *tokens);
    for (size_t i = 0; i < *count; i++) {
        int64_t id = 0;
        lua_rawgeti(L, index, (int)(i + 1));
        if (!mllm_lua_tointeger(L, -1, &id)) {
            const char *got = lua_type(L, -1) == LUA_TNUMBER ? lua_tostring(L, -1) : luaL_typename(L, -1);
            luaL_argerror(L, index, lua_pushfstring(L, "token id expected at [%d], got %s", (int)(i + 1), got));
        }
        /* No vocabulary holds the ends of the range: core says so for what lies beyond them, too. */
        tokens[i] = (mllm_token)(id < INT32_MIN ? INT32_MIN : id > INT32_MAX ? INT32_MAX : id);
        lua_pop(L, 1);
    }
    return tokens;
}

void mllm_lua_push_tokens(lua_State *L, const mllm_token *tokens, size_t count) {
    lua_createtable(L, count <= INT32_MAX ? (int)count : 0, 0);
    for (size_t i = 0; i < count; i++) {
        mllm_lua_pushinteger(L, tokens[i]);
        lua_rawseti(L, -2, (int)(i + 1));
    }
}
