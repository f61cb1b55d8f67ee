/* json.h - Lua values as JSON and back, for the other files too. */
#ifndef MLLM_LUA_JSON_H
#define MLLM_LUA_JSON_H

#include "binding.h"

#include "base/json.h"

/* Pushes the JSON text of the value at `index`; raises where it has none, naming the place ("$.a[3]"). */
void mllm_lua_json_encode(lua_State *L, int index);
/* Pushes the value of `node`: arrays carry the array mark, null is mobilellm.null. The caller owns `doc` (see mllm_lua_json_document:
 * pushing may raise). */
void mllm_lua_json_push(lua_State *L, const mllm_json *doc, uint32_t node);
/* Pushes a userdata that frees its document when it is collected; the document is empty at first. */
mllm_json *mllm_lua_json_document(lua_State *L);
/* The same for a buffer. */
mllm_buffer *mllm_lua_json_buffer(lua_State *L);

#endif
