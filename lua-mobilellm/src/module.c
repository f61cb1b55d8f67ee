/* module.c - mobilellm.core: one table that every file of this directory adds its functions to. */
#include "binding.h"
#include "grammar.h"
#include "train.h"
#include "vocab.h"

#include <time.h>

/* core.clock() -> seconds of a monotonic clock. */
static int module_clock(lua_State *L) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec * 1e-9);
    return 1;
}

static const luaL_Reg functions[] = {
    {"clock", module_clock}, {"misuse", mllm_lua_misuse}, {"files", mllm_lua_files}, {NULL, NULL}};

/* In the order of their floors. Each leaves the stack as it found it: the module table on top. */
static void (*const openers[])(lua_State *L) = {
    /* clang-format off */
    mllm_lua_open_json,
    mllm_lua_open_letters,
    mllm_lua_open_limits,
    mllm_lua_open_model,
    mllm_lua_open_session,
    mllm_lua_open_toolcall,
    mllm_lua_open_logits,
    mllm_lua_open_sampler,
    mllm_lua_open_grammar,
    mllm_lua_open_generation,
    mllm_lua_open_vocab,
    mllm_lua_open_convert,
    mllm_lua_open_quantize,
    mllm_lua_open_roofline,
    mllm_lua_open_train_data,
    mllm_lua_open_trainer,
    NULL,
    /* clang-format on */
};

MLLM_API int luaopen_mobilellm_core(lua_State *L);

MLLM_API int luaopen_mobilellm_core(lua_State *L) {
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_pushliteral(L, MLLM_VERSION);
    lua_setfield(L, -2, "version");
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, "mobilellm.classes");
    lua_setfield(L, -2, "classes");
    for (size_t i = 0; openers[i]; i++) openers[i](L);
    return 1;
}
