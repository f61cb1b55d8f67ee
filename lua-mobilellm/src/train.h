/* train.h - the userdata of training rows, for the trainer. */
#ifndef MLLM_LUA_TRAIN_H
#define MLLM_LUA_TRAIN_H

#include "binding.h"

#include "train/train.h"

/* Leaves core.train on top of the stack above the module table; makes it when it is not there. */
void mllm_lua_train_table(lua_State *L);
/* The open rows at `index`; raises otherwise. */
mllm_train_data *mllm_lua_check_data(lua_State *L, int index);
/* Pushes new, empty rows as a userdata; raises when memory is short. */
mllm_train_data *mllm_lua_new_data(lua_State *L);
/* Adds the row {ids = {...}, prompt = n | weights = {...}, weight = 1, prompt_weight = 0} at `index`. Wrong types raise. */
mllm_code mllm_lua_add_row(lua_State *L, mllm_train_data *data, int index, mllm_error *err);

void mllm_lua_open_train_data(lua_State *L);
void mllm_lua_open_trainer(lua_State *L);

#endif
