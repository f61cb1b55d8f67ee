/* sampler.c - the sampler userdata: a chain of stages, of core/ and of the script.
 *
 * Its kept table holds the script's functions (by stage number), the logits view and the list of tokens that they are given. A weak table in
 * the registry leads from the mllm_sampler that calls back to its userdata. */
#include "sampler.h"

#include "base/alloc.h"
#include "logits.h"
#include "session.h"

#include <string.h>
#include <time.h>

static void close_sampler(void *object) {
    mllm_lua_sampler *s = object;
    mllm_sampler_release(s->sampler);
    mllm_model_release(s->model);
}

const mllm_lua_class mllm_lua_sampler_class = {"mobilellm.sampler", "sampler", sizeof(mllm_lua_sampler), close_sampler};

mllm_sampler *mllm_lua_check_sampler(lua_State *L, int index) {
    return ((mllm_lua_sampler *)mllm_lua_check(L, index, &mllm_lua_sampler_class))->sampler;
}

#define REGISTRY "mobilellm.samplers"

/* Fields of the kept table beside the functions. */
#define VIEW "view"
#define TOKENS "tokens"
#define TOKEN_COUNT "count"
#define DROPPED "dropped"
#define RESETS "resets"

/* registry[REGISTRY][sampler] = userdata at `index` */
static void enlist(lua_State *L, int index, const mllm_sampler *sampler) {
    index = lua_absindex(L, index);
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY);
    lua_pushlightuserdata(L, (void *)(uintptr_t)sampler);
    lua_pushvalue(L, index);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* ------------------------------------------------------- script's stages */

typedef struct {
    mllm_lua_bridge *bridge;
    int place; /* of the function in the kept table */
} script_stage;

static double kept_number(lua_State *L, int kept, const char *name) {
    lua_getfield(L, kept, name);
    double x = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return x;
}

/* Pushes the list of tokens, the one of last time with what has come since. Scripts read it. */
static void push_history(lua_State *L, int kept, const mllm_sampler_view *view) {
    lua_getfield(L, kept, TOKENS);
    double count = kept_number(L, kept, TOKEN_COUNT);
    if (!lua_istable(L, -1) || kept_number(L, kept, DROPPED) != (double)view->history_dropped ||
        kept_number(L, kept, RESETS) != (double)view->history_resets || count > (double)view->history_count) {
        lua_pop(L, 1);
        count = 0;
        lua_createtable(L, (int)view->history_count, 0);
        lua_pushvalue(L, -1);
        lua_setfield(L, kept, TOKENS);
        lua_pushnumber(L, (lua_Number)view->history_dropped);
        lua_setfield(L, kept, DROPPED);
        lua_pushnumber(L, (lua_Number)view->history_resets);
        lua_setfield(L, kept, RESETS);
    }
    for (size_t i = (size_t)count; i < view->history_count; i++) {
        mllm_lua_pushinteger(L, view->history[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pushnumber(L, (lua_Number)view->history_count);
    lua_setfield(L, kept, TOKEN_COUNT);
}

/* Runs protected, for everything here may raise: (script_stage, mllm_sampler_view) -> what the function returns is dropped. */
static int call_stage(lua_State *L) {
    const script_stage *stage = lua_touserdata(L, 1);
    const mllm_sampler_view *view = lua_touserdata(L, 2);
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY);
    lua_pushlightuserdata(L, (void *)(uintptr_t)view->sampler);
    lua_rawget(L, -2);
    if (!lua_isuserdata(L, -1)) return luaL_error(L, "a sampler with functions was collected while it was in use");
    mllm_lua_pushkept(L, -1);
    int kept = lua_gettop(L);
    lua_rawgeti(L, kept, stage->place);
    lua_getfield(L, kept, VIEW);
    mllm_lua_logits *logits = mllm_lua_test(L, -1, &mllm_lua_logits_class);
    if (!logits) {
        lua_pop(L, 1);
        logits = mllm_lua_new(L, &mllm_lua_logits_class);
        lua_pushvalue(L, -1);
        lua_setfield(L, kept, VIEW);
    }
    push_history(L, kept, view);
    logits->data = view->logits;
    logits->ids = view->ids;
    logits->count = view->count;
    logits->size = view->size;
    logits->object.open = true;
    int status = lua_pcall(L, 2, 0, 0);
    logits->object.open = false; /* the array ends with the call */
    logits->data = NULL;
    return status == 0 ? 0 : lua_error(L);
}

static mllm_code run_stage(void *ctx, mllm_sampler_view *view, mllm_error *err) {
    script_stage *stage = ctx;
    lua_State *L = stage->bridge->L;
    if (!L) {
        if (err)
            err->code = MLLM_E_CANCELLED,
            strcpy(err->message, "a Lua function of a sampler runs only where Lua called in");
        return MLLM_E_CANCELLED;
    }
    if (!lua_checkstack(L, 8)) {
        if (err) err->code = MLLM_E_MEMORY, strcpy(err->message, "the Lua stack is full");
        return MLLM_E_MEMORY;
    }
    lua_pushcfunction(L, call_stage);
    lua_pushlightuserdata(L, stage);
    lua_pushlightuserdata(L, view);
    return mllm_lua_callback(stage->bridge, 2, 0, err) ? MLLM_OK : MLLM_E_CANCELLED;
}

/* --------------------------------------------------------------- parsing */

/* Raises "sampler stage 2: ..." */
static int wrong_stage(lua_State *L, int place, const char *format, const char *text) {
    lua_pushfstring(L, format, text);
    return luaL_error(L, "sampler stage %d: %s", place, lua_tostring(L, -1));
}

/* {[id] = value, ...} at `index` as two arrays; pushes the buffers that own them. */
static void read_values(lua_State *L, int index, int place, mllm_sampler_param *param) {
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
    mllm_token *ids = mllm_lua_buffer(L, count, sizeof *ids);
    float *values = mllm_lua_buffer(L, count, sizeof *values);
    size_t i = 0;
    for (lua_pushnil(L); i < count && lua_next(L, index); lua_pop(L, 1), i++) {
        int64_t id;
        if (!mllm_lua_tointeger(L, -2, &id) || id < 0 || id > INT32_MAX || lua_type(L, -1) != LUA_TNUMBER)
            wrong_stage(L, place, "%s must be a table of token id = number",
                        param->name ? param->name : "the first parameter");
        ids[i] = (mllm_token)id;
        values[i] = (float)lua_tonumber(L, -1);
    }
    param->kind = 'v';
    param->tokens = ids;
    param->values = values;
    param->count = count;
}

static void read_strings(lua_State *L, int index, int place, mllm_sampler_param *param) {
    size_t count = lua_rawlen(L, index);
    const char **strings = mllm_lua_buffer(L, count, sizeof *strings);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        size_t length = 0;
        const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
        if (!s || strlen(s) != length || length == 0)
            wrong_stage(L, place, "%s must be a list of strings that are not empty and have no zero byte",
                        param->name ? param->name : "the first parameter");
        strings[i] = s; /* the table holds it */
        lua_pop(L, 1);
    }
    param->kind = 's';
    param->strings = strings;
    param->count = count;
}

/* The value on top as a parameter; leaves buffers above it. */
static void read_param(lua_State *L, const char *stage, int place, mllm_sampler_param *param) {
    int index = lua_gettop(L);
    char kind = mllm_sampler_kind(stage, param->name);
    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        param->kind = 'n';
        param->number = lua_tonumber(L, index);
        break;
    case LUA_TTABLE:
        lua_rawgeti(L, index, 1);
        bool string = lua_type(L, -1) == LUA_TSTRING;
        lua_pop(L, 1);
        if (kind == 'v')
            read_values(L, index, place, param);
        else if (string)
            read_strings(L, index, place, param);
        else {
            param->kind = 't';
            param->tokens = mllm_lua_check_tokens(L, index, &param->count);
        }
        break;
    default:
        lua_pushfstring(L, "%s of '%s' must be a number or a table, got %s",
                        param->name ? param->name : "the first parameter", stage, luaL_typename(L, index));
        wrong_stage(L, place, "%s", lua_tostring(L, -1));
    }
}

enum { MOST_PARAMS = 16 };

/* The stage {name, first, key = value, ...} at `index`. */
static void add_stage(lua_State *L, mllm_sampler *sampler, int index, int place) {
    int top = lua_gettop(L);
    mllm_sampler_param params[MOST_PARAMS];
    size_t count = 0;
    memset(params, 0, sizeof params);
    luaL_checkstack(L, 8 + 4 * MOST_PARAMS, "sampler");
    lua_rawgeti(L, index, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        wrong_stage(L, place, "its name must stand first, got %s", luaL_typename(L, -1));
    const char *name = lua_tostring(L, -1);
    for (lua_pushnil(L); lua_next(L, index);) {
        /* key, value; what read_param pushes must stay until the stage is added, so the key is copied above it */
        int key = lua_gettop(L) - 1;
        int64_t position;
        if (mllm_lua_tointeger(L, key, &position) && position == 1) {
            lua_pop(L, 1);
            continue;
        }
        if (count == MOST_PARAMS) wrong_stage(L, place, "'%s' has too many parameters", name);
        if (lua_type(L, key) == LUA_TSTRING)
            params[count].name = lua_tostring(L, key);
        else if (!mllm_lua_tointeger(L, key, &position) || position != 2)
            wrong_stage(L, place, "'%s' has only one parameter without a name", name);
        read_param(L, name, place, &params[count++]);
        lua_pushvalue(L, key);
    }
    mllm_error err;
    if (mllm_sampler_add(sampler, name, params, count, &err) != MLLM_OK) luaL_error(L, "%s", err.message);
    lua_settop(L, top);
}

static void add_function(lua_State *L, mllm_sampler *sampler, int kept, int place) {
    mllm_lua_bridge *bridge = mllm_lua_bridge_get(L);
    script_stage *stage = mllm_alloc(sizeof *stage);
    if (!stage) {
        luaL_error(L, "not enough memory");
        return;
    }
    *stage = (script_stage){bridge, place};
    mllm_error err;
    if (mllm_sampler_add_function(sampler, run_stage, stage, mllm_free, &err) != MLLM_OK)
        luaL_error(L, "%s", err.message);
    lua_rawseti(L, kept, place);
}

/* Tells the chain the vocabulary of `model` (it may have none), once. */
static mllm_code learn_vocab(mllm_lua_sampler *object, mllm_model *model, mllm_error *err) {
    if (object->model == model) return MLLM_OK;
    const mllm_vocab *vocab = mllm_model_vocab(model);
    mllm_code code = vocab ? mllm_sampler_set_vocab(object->sampler, vocab, err) : MLLM_OK;
    if (code != MLLM_OK) return code;
    mllm_model_release(object->model);
    object->model = mllm_model_retain(model);
    return MLLM_OK;
}

/* A number that nobody chose: of the clock and of an address. */
static uint64_t any_seed(const void *object) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t x =
        (uint64_t)t.tv_sec * 1000000007u + (uint64_t)t.tv_nsec + (uint64_t)(uintptr_t)object * 0x9E3779B97F4A7C15u;
    return (x ^ x >> 29) & 0x1FFFFFFFFFFFFF; /* 53 bits: a number of every Lua */
}

static uint64_t check_seed(lua_State *L, int index, const void *object) {
    if (lua_isnoneornil(L, index)) return any_seed(object);
    int64_t seed = 0;
    if (!mllm_lua_tointeger(L, index, &seed) || seed < 0) {
        const char *got = lua_type(L, index) == LUA_TNUMBER ? lua_tostring(L, index) : luaL_typename(L, index);
        luaL_error(L, "sampler: seed must be an integer of at least 0, got %s", got);
    }
    return (uint64_t)seed;
}

mllm_sampler *mllm_lua_new_sampler(lua_State *L, int index) {
    if (!lua_istable(L, index)) luaL_error(L, "sampler: a table of stages expected, got %s", luaL_typename(L, index));
    index = lua_absindex(L, index);
    size_t stages = lua_rawlen(L, index);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        int64_t i;
        if (mllm_lua_tointeger(L, -2, &i) && i >= 1 && (uint64_t)i <= stages) continue;
        if (lua_type(L, -2) == LUA_TSTRING &&
            (strcmp(lua_tostring(L, -2), "seed") == 0 || strcmp(lua_tostring(L, -2), "model") == 0))
            continue;
        lua_pushvalue(L, -2);
        const char *text = lua_tostring(L, -1);
        luaL_error(L, "sampler: unknown option '%s'", text ? text : luaL_typename(L, -1));
    }
    mllm_lua_sampler *object = mllm_lua_new(L, &mllm_lua_sampler_class);
    int self = lua_gettop(L);
    mllm_error err;
    lua_getfield(L, index, "seed");
    object->sampler = mllm_sampler_new(check_seed(L, -1, object), &err);
    if (!object->sampler) luaL_error(L, "%s", err.message);
    object->object.open = true;
    mllm_lua_pushkept(L, self);
    int kept = lua_gettop(L);
    for (size_t i = 1; i <= stages; i++) {
        lua_rawgeti(L, index, (int)i);
        if (lua_isfunction(L, -1)) {
            add_function(L, object->sampler, kept, (int)i);
            continue;
        }
        if (!lua_istable(L, -1))
            wrong_stage(L, (int)i, "a table {name, ...} or a function expected, got %s", luaL_typename(L, -1));
        add_stage(L, object->sampler, lua_gettop(L), (int)i);
        lua_settop(L, kept);
    }
    lua_getfield(L, index, "model");
    if (!lua_isnil(L, -1) && learn_vocab(object, mllm_lua_check_model(L, lua_gettop(L)), &err) != MLLM_OK)
        luaL_error(L, "%s", err.message);
    lua_settop(L, self);
    enlist(L, self, object->sampler);
    return object->sampler;
}

/* --------------------------------------------------------------- methods */

/* core.sampler{stage, ..., seed = integer, model = model} -> sampler. A stage is {name, first parameter, name = value, ...} or function(logits, tokens). */
static int sampler_new(lua_State *L) {
    mllm_lua_new_sampler(L, 1);
    return 1;
}

/* sampler:sample(logits or session) -> id; nil, message, code. A function's error is raised as it is. */
static int sampler_sample(lua_State *L) {
    mllm_sampler *sampler = mllm_lua_check_sampler(L, 1);
    lua_settop(L, 2);
    mllm_error err = {MLLM_OK, ""};
    if (mllm_lua_test(L, 2, &mllm_lua_session_class)) {
        mllm_session *session = mllm_lua_check_session(L, 2);
        if (learn_vocab(lua_touserdata(L, 1), mllm_session_model(session), &err) != MLLM_OK)
            return mllm_lua_fail(L, &err);
        lua_getfield(L, 2, "logits");
        lua_pushvalue(L, 2);
        lua_call(L, 1, 3);
        if (lua_isnil(L, -3)) return 3;
        lua_pop(L, 2);
        lua_replace(L, 2);
    }
    if (!mllm_lua_test(L, 2, &mllm_lua_logits_class))
        luaL_argerror(L, 2, lua_pushfstring(L, "logits or session expected, got %s", luaL_typename(L, 2)));
    const mllm_lua_logits *view = mllm_lua_check_logits(L, 2);
    mllm_lua_bridge *bridge = mllm_lua_bridge_get(L);
    lua_State *before = mllm_lua_enter(bridge, L);
    mllm_sampler_retain(sampler); /* a function may close it */
    mllm_token token = view->ids ? mllm_sampler_sample_of(sampler, view->ids, view->data, view->count, &err)
                                 : mllm_sampler_sample(sampler, view->data, view->count, &err);
    mllm_sampler_release(sampler);
    mllm_lua_leave(bridge, before);
    if (token < 0) return mllm_lua_fail(L, &err);
    mllm_lua_pushinteger(L, token);
    return 1;
}

/* sampler:accept(id): it has become part of the output */
static int sampler_accept(lua_State *L) {
    mllm_sampler *sampler = mllm_lua_check_sampler(L, 1);
    mllm_sampler_accept(sampler, (mllm_token)mllm_lua_check_integer(L, 2, 0, INT32_MAX));
    return 0;
}

/* sampler:prompt(ids): they stood before the output */
static int sampler_prompt(lua_State *L) {
    mllm_sampler *sampler = mllm_lua_check_sampler(L, 1);
    size_t count;
    const mllm_token *ids = mllm_lua_check_tokens(L, 2, &count);
    mllm_sampler_prompt(sampler, ids, count);
    return 0;
}

/* sampler:reset([seed]): as it was when it was made; with another seed if one is given */
static int sampler_reset(lua_State *L) {
    mllm_sampler *sampler = mllm_lua_check_sampler(L, 1);
    mllm_sampler_reset(sampler, lua_isnoneornil(L, 2) ? mllm_sampler_seed(sampler) : check_seed(L, 2, NULL));
    return 0;
}

/* sampler:seed() -> integer */
static int sampler_seed(lua_State *L) {
    mllm_lua_pushinteger(L, (int64_t)mllm_sampler_seed(mllm_lua_check_sampler(L, 1)));
    return 1;
}

/* sampler:tokens() -> list of the history's tokens */
static int sampler_tokens(lua_State *L) {
    size_t count;
    const mllm_token *tokens = mllm_sampler_history(mllm_lua_check_sampler(L, 1), &count);
    mllm_lua_push_tokens(L, tokens, count);
    return 1;
}

/* sampler:fork() -> a sampler in the same state that goes its own way; it shares the functions */
static int sampler_fork(lua_State *L) {
    mllm_sampler *sampler = mllm_lua_check_sampler(L, 1);
    mllm_lua_sampler *copy = mllm_lua_new(L, &mllm_lua_sampler_class);
    int self = lua_gettop(L);
    mllm_error err;
    copy->sampler = mllm_sampler_fork(sampler, &err);
    if (!copy->sampler) return mllm_lua_fail(L, &err);
    mllm_model *model = ((mllm_lua_sampler *)lua_touserdata(L, 1))->model;
    if (model) copy->model = mllm_model_retain(model);
    copy->object.open = true;
    mllm_lua_pushkept(L, 1);
    mllm_lua_pushkept(L, self);
    for (lua_pushnil(L); lua_next(L, -3);) {
        if (lua_type(L, -2) != LUA_TNUMBER) { /* the view and the tokens are each one's own */
            lua_pop(L, 1);
            continue;
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2); /* key, key, value */
        lua_rawset(L, -4); /* into the copy's table, under the key that stays */
    }
    lua_settop(L, self);
    enlist(L, self, copy->sampler);
    return 1;
}

static const luaL_Reg methods[] = {
    {"sample", sampler_sample}, {"accept", sampler_accept}, {"prompt", sampler_prompt}, {"reset", sampler_reset},
    {"seed", sampler_seed},     {"tokens", sampler_tokens}, {"fork", sampler_fork},     {NULL, NULL}};

void mllm_lua_open_sampler(lua_State *L) {
    mllm_lua_class_open(L, &mllm_lua_sampler_class, methods, NULL);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, REGISTRY);
    lua_pushcfunction(L, sampler_new);
    lua_setfield(L, -2, "sampler");
}
