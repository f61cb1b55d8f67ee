/* compat.h - one C source for Lua 5.4, 5.1 and LuaJIT (which is built against the headers of 5.1). */
#ifndef MLLM_LUA_COMPAT_H
#define MLLM_LUA_COMPAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include <lauxlib.h>
#include <lualib.h>

#if LUA_VERSION_NUM < 502

#define lua_rawlen(L, i) lua_objlen(L, i)
#define luaL_setfuncs mllm_lua_setfuncs
#define luaL_testudata mllm_lua_testudata
#define luaL_setmetatable(L, name) (luaL_getmetatable(L, name), lua_setmetatable(L, -2))
#define lua_absindex(L, i) ((i) > 0 || (i) <= LUA_REGISTRYINDEX ? (i) : lua_gettop(L) + (i) + 1)
#define lua_pushglobaltable(L) lua_pushvalue(L, LUA_GLOBALSINDEX)

void mllm_lua_setfuncs(lua_State *L, const luaL_Reg *functions, int upvalues);
void *mllm_lua_testudata(lua_State *L, int index, const char *metatable);

#endif

/* Errors of misuse: as in lauxlib.h, but the position is that of the nearest Lua function that is not one of this module's own files. */
int mllm_lua_error(lua_State *L, const char *format, ...);
int mllm_lua_argerror(lua_State *L, int index, const char *message);
const char *mllm_lua_checklstring(lua_State *L, int index, size_t *length);
lua_Number mllm_lua_checknumber(lua_State *L, int index);
void mllm_lua_checktype(lua_State *L, int index, int type);
void mllm_lua_where(lua_State *L, int level);
#define luaL_where mllm_lua_where
#define luaL_error mllm_lua_error
#define luaL_argerror mllm_lua_argerror
#define luaL_checklstring mllm_lua_checklstring
#define luaL_checknumber mllm_lua_checknumber
#define luaL_checktype mllm_lua_checktype

/* The table that belongs to a userdata and lives as long as it (Lua functions that it calls, for one): a user value on 5.4, the
 * environment on 5.1. Pushes that table; makes it when there is none. */
void mllm_lua_pushkept(lua_State *L, int index);

/* True when the value is a number (no string) with an integral value that fits int64; then *out is set. */
bool mllm_lua_tointeger(lua_State *L, int index, int64_t *out);
/* An integer on 5.4, a number elsewhere (exact up to 2^53). */
void mllm_lua_pushinteger(lua_State *L, int64_t value);

#endif
