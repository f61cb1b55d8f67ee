/* sampler.h - the sampler userdata. */
#ifndef MLLM_LUA_SAMPLER_H
#define MLLM_LUA_SAMPLER_H

#include "binding.h"

extern const mllm_lua_class mllm_lua_sampler_class;

typedef struct {
    mllm_lua_object object;
    mllm_sampler *sampler;
    mllm_model *model; /* whose vocabulary the chain knows; retained. NULL: none */
} mllm_lua_sampler;

/* The sampler at `index`, borrowed; raises for anything else. Who retains it for later must keep the userdata alive as well: it holds the Lua
 * functions of the chain. Calls that may sample go between mllm_lua_enter and mllm_lua_leave; a function's error then
 * arrives through mllm_lua_fail. */
mllm_sampler *mllm_lua_check_sampler(lua_State *L, int index);
/* Pushes a new sampler from the table at `index`, as mobilellm.sampler{...} does; raises. */
mllm_sampler *mllm_lua_new_sampler(lua_State *L, int index);

#endif
