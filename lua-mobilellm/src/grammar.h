/* grammar.h - the userdata of grammar and matcher, for the files that generate under one. */
#ifndef MLLM_LUA_GRAMMAR_H
#define MLLM_LUA_GRAMMAR_H

#include "binding.h"

/* The open grammar or matcher at `index`, borrowed: retain or fork to keep it. Raise otherwise. */
mllm_grammar *mllm_lua_check_grammar(lua_State *L, int index);
mllm_matcher *mllm_lua_check_matcher(lua_State *L, int index);
/* The same, NULL for anything else. */
mllm_grammar *mllm_lua_test_grammar(lua_State *L, int index);
mllm_matcher *mllm_lua_test_matcher(lua_State *L, int index);
/* The token trie of the model at `index`, made once and kept with the model; NULL with `err` when that fails. */
mllm_token_trie *mllm_lua_token_trie(lua_State *L, int index, mllm_error *err);
/* Adds grammar{json_schema, gbnf, ...} and json.validate to the module table on top of the stack. */
void mllm_lua_open_grammar(lua_State *L);

#endif
