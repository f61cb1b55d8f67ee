/* vocab.h - the vocabulary userdata (mobilellm.train.bpe). */
#ifndef MLLM_LUA_VOCAB_H
#define MLLM_LUA_VOCAB_H

#include <lua.h>

#include "mobilellm.h"

/* The vocabulary at `index`, borrowed: retain it to keep it. Raises when it is something else or closed. */
mllm_vocab *mllm_lua_check_vocab(lua_State *L, int index);
/* Adds train.bpe to the module table on top of the stack (makes the table `train` if it is not there). */
void mllm_lua_open_vocab(lua_State *L);

#endif
