/* train_data.c - rows to learn from, packed in C.
 *
 *   local data = mobilellm.train.data()           -- or .data(path): what data:save wrote
 *   data:add(ids [, prompt [, weight [, prompt_weight]]])   the first `prompt` ids are context: they count prompt_weight (0)
 *   data:add{ids = {...}, prompt = n, weights = {...}, weight = 1, prompt_weight = 0}       weights: one number per id
 *   data:append(other)                            all rows of other data
 *   data:rows() data:tokens() data:longest() #data
 *   data:row(i) -> {ids, prompt, weight, prompt_weight[, weights]}       i from 1
 *   data:save(path) -> true | nil, message, code   data:close() */
#include "train.h"

#include <math.h>

typedef struct {
    mllm_lua_object object;
    mllm_train_data *data;
} data_object;

static void close_data(void *object) {
    data_object *d = object;
    mllm_train_data_free(d->data);
    d->data = NULL;
}

static const mllm_lua_class class_data = {"mobilellm.train_data", "train_data", sizeof(data_object), close_data};

mllm_train_data *mllm_lua_check_data(lua_State *L, int index) {
    return ((data_object *)mllm_lua_check(L, index, &class_data))->data;
}

mllm_train_data *mllm_lua_new_data(lua_State *L) {
    data_object *d = mllm_lua_new(L, &class_data);
    mllm_error err;
    d->data = mllm_train_data_new(&err);
    if (!d->data) luaL_error(L, "%s", err.message);
    d->object.open = true;
    return d->data;
}

void mllm_lua_train_table(lua_State *L) {
    lua_getfield(L, -1, "train");
    if (lua_istable(L, -1)) return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "train");
}

static float check_weight(lua_State *L, int index, double fallback) {
    double w = lua_isnoneornil(L, index) ? fallback : luaL_checknumber(L, index);
    if (!(w >= 0 && w <= 1e30)) luaL_error(L, "a weight must be a number from 0 on, got %f", w);
    return (float)w;
}

static const char *const row_names[] = {"ids", "prompt", "weights", "weight", "prompt_weight", NULL};

mllm_code mllm_lua_add_row(lua_State *L, mllm_train_data *data, int index, mllm_error *err) {
    int top = lua_gettop(L);
    index = lua_absindex(L, index);
    if (!lua_istable(L, index)) luaL_error(L, "a row is a table with ids, got %s", luaL_typename(L, index));
    mllm_lua_options(L, index, "row", row_names);
    lua_getfield(L, index, "ids");
    if (!lua_istable(L, -1)) luaL_error(L, "row: ids must be a list, got %s", luaL_typename(L, -1));
    size_t count, weights = 0;
    mllm_train_row row = {0};
    row.ids = mllm_lua_check_tokens(L, -1, &count);
    if (count > UINT32_MAX) luaL_error(L, "row: too many ids");
    row.length = (uint32_t)count;
    row.prompt = (uint32_t)mllm_lua_option_integer(L, index, "prompt", 0, 0, UINT32_MAX);
    row.weight = (float)mllm_lua_option_number(L, index, "weight", 1, 0, 1e30);
    row.prompt_weight = (float)mllm_lua_option_number(L, index, "prompt_weight", 0, 0, 1e30);
    if (mllm_lua_option(L, index, "weights")) {
        int list = lua_gettop(L);
        if (!lua_istable(L, list)) luaL_error(L, "row: weights must be a list, got %s", luaL_typename(L, list));
        weights = lua_rawlen(L, list);
        if (weights != count) luaL_error(L, "row: %d weights for %d ids", (int)weights, (int)count);
        float *w = mllm_lua_buffer(L, count, sizeof *w);
        for (size_t i = 0; i < count; i++) {
            lua_rawgeti(L, list, (int)i + 1);
            if (lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "row: weight %d is no number", (int)i + 1);
            w[i] = check_weight(L, -1, 0);
            lua_pop(L, 1);
        }
        row.weights = w;
    }
    mllm_code code = mllm_train_data_add(data, &row, err);
    lua_settop(L, top);
    return code;
}

static int new_data(lua_State *L) {
    const char *path = luaL_optstring(L, 1, NULL);
    if (!path) {
        mllm_lua_new_data(L);
        return 1;
    }
    data_object *d = mllm_lua_new(L, &class_data);
    mllm_error err;
    d->data = mllm_train_data_load(path, &err);
    if (!d->data) return mllm_lua_fail(L, &err);
    d->object.open = true;
    return 1;
}

static int data_add(lua_State *L) {
    mllm_train_data *data = mllm_lua_check_data(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    mllm_error err;
    mllm_code code;
    lua_getfield(L, 2, "ids");
    bool is_row = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (is_row)
        code = mllm_lua_add_row(L, data, 2, &err);
    else {
        mllm_train_row row = {0};
        row.prompt = lua_isnoneornil(L, 3) ? 0 : (uint32_t)mllm_lua_check_integer(L, 3, 0, UINT32_MAX);
        row.weight = check_weight(L, 4, 1);
        row.prompt_weight = check_weight(L, 5, 0);
        size_t count;
        row.ids = mllm_lua_check_tokens(L, 2, &count);
        if (count > UINT32_MAX) luaL_error(L, "too many ids");
        row.length = (uint32_t)count;
        code = mllm_train_data_add(data, &row, &err);
    }
    if (code != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_pushboolean(L, true);
    return 1;
}

static int data_append(lua_State *L) {
    mllm_train_data *to = mllm_lua_check_data(L, 1);
    const mllm_train_data *from = mllm_lua_check_data(L, 2);
    if (to == from) return luaL_error(L, "data cannot be appended to itself");
    mllm_error err;
    for (size_t i = 0; i < mllm_train_data_rows(from); i++) {
        mllm_train_row row = mllm_train_data_row(from, i);
        if (mllm_train_data_add(to, &row, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    }
    lua_pushboolean(L, true);
    return 1;
}

static int data_rows(lua_State *L) {
    mllm_lua_pushinteger(L, (int64_t)mllm_train_data_rows(mllm_lua_check_data(L, 1)));
    return 1;
}

static int data_tokens(lua_State *L) {
    mllm_lua_pushinteger(L, (int64_t)mllm_train_data_tokens(mllm_lua_check_data(L, 1)));
    return 1;
}

static int data_longest(lua_State *L) {
    mllm_lua_pushinteger(L, (int64_t)mllm_train_data_longest(mllm_lua_check_data(L, 1)));
    return 1;
}

static int data_row(lua_State *L) {
    const mllm_train_data *data = mllm_lua_check_data(L, 1);
    int64_t i = mllm_lua_check_integer(L, 2, 1, (int64_t)mllm_train_data_rows(data));
    mllm_train_row row = mllm_train_data_row(data, (size_t)i - 1);
    lua_createtable(L, 0, 5);
    mllm_lua_push_tokens(L, row.ids, row.length);
    lua_setfield(L, -2, "ids");
    mllm_lua_pushinteger(L, row.prompt);
    lua_setfield(L, -2, "prompt");
    lua_pushnumber(L, (double)row.weight);
    lua_setfield(L, -2, "weight");
    lua_pushnumber(L, (double)row.prompt_weight);
    lua_setfield(L, -2, "prompt_weight");
    if (row.weights) {
        lua_createtable(L, (int)row.length, 0);
        for (uint32_t k = 0; k < row.length; k++) {
            lua_pushnumber(L, (double)row.weights[k]);
            lua_rawseti(L, -2, (int)k + 1);
        }
        lua_setfield(L, -2, "weights");
    }
    return 1;
}

static int data_save(lua_State *L) {
    const mllm_train_data *data = mllm_lua_check_data(L, 1);
    mllm_error err;
    if (mllm_train_data_save(data, luaL_checkstring(L, 2), &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_pushboolean(L, true);
    return 1;
}

void mllm_lua_open_train_data(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"add", data_add},         {"append", data_append}, {"rows", data_rows}, {"tokens", data_tokens},
        {"longest", data_longest}, {"row", data_row},       {"save", data_save}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__len", data_rows}, {NULL, NULL}};
    mllm_lua_class_open(L, &class_data, methods, metamethods);
    mllm_lua_train_table(L);
    lua_pushcfunction(L, new_data);
    lua_setfield(L, -2, "data");
    lua_pop(L, 1);
}
