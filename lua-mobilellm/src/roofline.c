/* roofline.c - core.measure_read and core.measure_product: the limits of this machine, for benchmarks. */
#include "binding.h"

#include "base/team.h"
#include "tensor/roofline.h"

static int push_rates(lua_State *L, mllm_code code, const double *rates, size_t count, const mllm_error *err) {
    if (code != MLLM_OK) return mllm_lua_fail(L, err);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushnumber(L, rates[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int threads_of(lua_State *L) {
    int threads = (int)mllm_lua_option_integer(L, 1, "threads", 0, 0, 1024);
    return threads ? threads : mllm_cpu_cores();
}

/* core.measure_read{bytes, threads, repeats} -> list of bytes per second | nil, message, code */
static int measure_read(lua_State *L) {
    static const char *const names[] = {"bytes", "threads", "repeats", NULL};
    mllm_lua_options(L, 1, "measure_read", names);
    size_t bytes = (size_t)mllm_lua_option_integer(L, 1, "bytes", 256 << 20, 1, (int64_t)1 << 40);
    size_t count = (size_t)mllm_lua_option_integer(L, 1, "repeats", 5, 1, 1000);
    int threads = threads_of(L);
    double *rates = mllm_lua_buffer(L, count, sizeof *rates);
    mllm_error err = {MLLM_OK, ""};
    return push_rates(L, mllm_roofline_read(threads, bytes, count, rates, &err), rates, count, &err);
}

/* core.measure_product{kernel, type, threads, rows, cols, tokens, repeats} -> list of operations per second | nil, message, code */
static int measure_product(lua_State *L) {
    static const char *const names[] = {"kernel", "type", "threads", "rows", "cols", "tokens", "repeats", NULL};
    mllm_lua_options(L, 1, "measure_product", names);
    mllm_roofline_work work = {
        .kernel = mllm_lua_option_string(L, 1, "kernel", NULL),
        .rows = (size_t)mllm_lua_option_integer(L, 1, "rows", 256, 1, 1 << 16),
        .cols = (size_t)mllm_lua_option_integer(L, 1, "cols", 576, 1, 1 << 16),
        .tokens = (size_t)mllm_lua_option_integer(L, 1, "tokens", 128, 1, 1 << 16),
        .threads = threads_of(L),
    };
    const char *type = mllm_lua_option_string(L, 1, "type", "q8_0");
    if (!mllm_type_by_name(type, &work.type)) return luaL_error(L, "option 'type': \"%s\" is no type of weights", type);
    size_t count = (size_t)mllm_lua_option_integer(L, 1, "repeats", 5, 1, 1000);
    double *rates = mllm_lua_buffer(L, count, sizeof *rates);
    mllm_error err = {MLLM_OK, ""};
    return push_rates(L, mllm_roofline_product(&work, count, rates, &err), rates, count, &err);
}

void mllm_lua_open_roofline(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"measure_read", measure_read}, {"measure_product", measure_product}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
