/* convert.c - mobilellm.convert and core.make_random: model files from other files, or from nothing; core.machine. */
#include "binding.h"

#include "base/cpu.h"
#include "base/team.h"

#include <string.h>

static const char *check_path(lua_State *L, int index) {
    const char *path = luaL_checkstring(L, index);
    luaL_argcheck(L, strlen(path) == lua_rawlen(L, index), index, "a path without zero bytes expected");
    return path;
}

static int done(lua_State *L, mllm_code code, const mllm_error *err) {
    if (code != MLLM_OK) return mllm_lua_fail(L, err);
    lua_pushboolean(L, true);
    return 1;
}

/* mobilellm.convert(from, to, {type = "q8_0", packed = false}) -> true | nil, message, code. `from` is a GGUF file or a Hugging Face
 * folder, `to` becomes a GGUF file; types: f32, f16, bf16, q8_0, q4_0. With `packed`, q8_0 and q4_0 in the panels of the integer kernels. */
static int convert(lua_State *L) {
    static const char *const names[] = {"type", "packed", NULL};
    mllm_lua_options(L, 3, "convert", names);
    mllm_error err = {MLLM_OK, ""};
    const char *type = mllm_lua_option_string(L, 3, "type", "q8_0");
    const char *from = check_path(L, 1), *to = check_path(L, 2);
    bool packed = mllm_lua_option_boolean(L, 3, "packed", false);
    return done(L, packed ? mllm_convert_packed(from, to, type, &err) : mllm_convert(from, to, type, &err), &err);
}

/* core.make_random(path, {shape, type, seed, tokenizer}) -> true | nil, message, code. Random weights in the shape of a published model. */
static int make_random(lua_State *L) {
    static const char *const names[] = {"shape", "type", "seed", "tokenizer", NULL};
    mllm_lua_options(L, 2, "make_random", names);
    mllm_error err = {MLLM_OK, ""};
    const char *shape = mllm_lua_option_string(L, 2, "shape", "125m");
    const char *type = mllm_lua_option_string(L, 2, "type", "q8_0");
    const char *tokenizer = mllm_lua_option_string(L, 2, "tokenizer", NULL);
    uint64_t seed = (uint64_t)mllm_lua_option_integer(L, 2, "seed", 1, 0, INT64_MAX);
    return done(L, mllm_make_random(shape, type, seed, tokenizer, check_path(L, 1), &err), &err);
}

/* core.machine() -> {cores = real cores, features = "avx2 avx512 ..."} */
static int machine(lua_State *L) {
    const mllm_cpu *cpu = mllm_cpu_features();
    const struct {
        const char *name;
        bool there;
    } features[] = {{"avx2", cpu->avx2},
                    {"avx_vnni", cpu->avx_vnni},
                    {"avx512", cpu->avx512},
                    {"avx512_vnni", cpu->avx512_vnni},
                    {"avx512_bf16", cpu->avx512_bf16},
                    {"amx_int8", cpu->amx_int8},
                    {"amx_bf16", cpu->amx_bf16},
                    {"neon_dot", cpu->neon_dot},
                    {"neon_i8mm", cpu->neon_i8mm}};
    lua_createtable(L, 0, 2);
    mllm_lua_pushinteger(L, mllm_cpu_cores());
    lua_setfield(L, -2, "cores");
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    bool first = true;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (features[i].there) {
            if (!first) luaL_addchar(&b, ' ');
            luaL_addstring(&b, features[i].name);
            first = false;
        }
    luaL_pushresult(&b);
    lua_setfield(L, -2, "features");
    return 1;
}

void mllm_lua_open_convert(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"convert", convert}, {"make_random", make_random}, {"machine", machine}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
