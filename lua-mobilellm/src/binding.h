/* binding.h - what the files of this directory share: classes of userdata, options, errors, callbacks.
 *
 * A file per userdata. Each has `void mllm_lua_open_<name>(lua_State *L)`, which adds its functions to the module table on top of
 * the stack and leaves the stack as it was; module.c calls them all.
 *
 * Misuse raises. What the world does wrong returns nil, message, code: `return mllm_lua_fail(L, &err)`. */
#ifndef MLLM_LUA_BINDING_H
#define MLLM_LUA_BINDING_H

#include "compat.h"
#include "mobilellm.h"

/* ------------------------------------------------------------ userdata */

/* The first member of every userdata of ours. */
typedef struct {
    bool open; /* false: nothing acquired yet, or closed */
} mllm_lua_object;

typedef struct {
    const char *metatable; /* "mobilellm.session" */
    const char *noun; /* "session": for messages */
    size_t size; /* of the struct that begins with mllm_lua_object */
    /* Gives back what the object holds. Called once for an object that was open, by close(), __close or __gc. Raises nothing. */
    void (*close)(void *object);
} mllm_lua_class;

/* Registers the class: its methods, `close`, __gc, __close (the three are one function), __tostring, __name. `metamethods` may be
 * NULL. The table of methods becomes field `class->noun` of core.classes, so that Lua files can add methods. `class` must be static. */
void mllm_lua_class_open(lua_State *L, const mllm_lua_class *class, const luaL_Reg *methods,
                         const luaL_Reg *metamethods);

/* create -> mark closed -> set metatable -> acquire: pushes a zeroed, closed object. The caller acquires what it holds and then
 * sets `open`; an error in between leaks nothing. */
void *mllm_lua_new(lua_State *L, const mllm_lua_class *class);
/* The open object at `index`; raises a type error for anything else, "attempt to use a closed session" for a closed one. */
void *mllm_lua_check(lua_State *L, int index, const mllm_lua_class *class);
/* The object, open or not; NULL when the value is something else. */
void *mllm_lua_test(lua_State *L, int index, const mllm_lua_class *class);

/* -------------------------------------------------------------- errors */

/* core.misuse(message): raises it with the position of the caller outside of this module's files. core.files(prefix): how the names of
 * these begin, as debug.getinfo gives them. */
int mllm_lua_misuse(lua_State *L);
int mllm_lua_files(lua_State *L);
/* Pushes nil, message, code name and returns 3. Does not return when the error is misuse (MLLM_E_ARGUMENT: raised as a string with the
 * caller's position) or came out of a Lua callback (raised word for word: the very same error value). */
int mllm_lua_fail(lua_State *L, const mllm_error *err);

/* ----------------------------------------------------------- callbacks */

/* A callback runs only on the thread and the state that called in. One bridge per Lua universe remembers that state while core/
 * runs, and the error value that a callback ended with. */
typedef struct {
    lua_State *L; /* the state that called in; NULL outside */
    int error; /* registry reference of the error value on its way out; LUA_NOREF */
} mllm_lua_bridge;

mllm_lua_bridge *mllm_lua_bridge_get(lua_State *L);
/* Around a core function that may call back:
 *   lua_State *before = mllm_lua_enter(bridge, L);
 *   code = mllm_something(..., &err);
 *   mllm_lua_leave(bridge, before);
 *   if (code != MLLM_OK) return mllm_lua_fail(L, &err);          raises the callback's own error if there was one
 * Nothing between enter and leave may raise. */
lua_State *mllm_lua_enter(mllm_lua_bridge *bridge, lua_State *L);
void mllm_lua_leave(mllm_lua_bridge *bridge, lua_State *before);
/* Inside a callback, instead of lua_call, with function and arguments on bridge->L (lua_checkstack before pushing). On an error the
 * value is kept for mllm_lua_fail, `err` is filled (code "cancelled") and false comes back: return it through core/ as a failure. Other
 * failures of a callback (a result of the wrong kind) are kept the same way with mllm_lua_callback_error. */
bool mllm_lua_callback(mllm_lua_bridge *bridge, int arguments, int results, mllm_error *err);
bool mllm_lua_callback_error(mllm_lua_bridge *bridge, mllm_error *err, const char *format, ...) MLLM_PRINTF(3, 4);

/* ------------------------------------------------------------- options */

/* The trailing options table: nil or none are an empty one, anything but a table raises, a key that is not among `names`
 * (NULL-terminated) raises and is named: "generate: unknown option 'temprature'". */
void mllm_lua_options(lua_State *L, int index, const char *function, const char *const *names);
/* Pushes option `name` of the table at `index` (nil where there is no table) and says whether it is not nil. */
bool mllm_lua_option(lua_State *L, int index, const char *name);
/* These read one option, raise "option 'threads': integer from 0 to 1024 expected, got string" for a wrong value, push nothing. */
int64_t mllm_lua_option_integer(lua_State *L, int index, const char *name, int64_t fallback, int64_t low, int64_t high);
double mllm_lua_option_number(lua_State *L, int index, const char *name, double fallback, double low, double high);
bool mllm_lua_option_boolean(lua_State *L, int index, const char *name, bool fallback);
/* Valid as long as the options table holds it. */
const char *mllm_lua_option_string(lua_State *L, int index, const char *name, const char *fallback);

/* ----------------------------------------------------- tokens and bytes */

/* An argument that must be an integer in [low, high]; raises otherwise. */
int64_t mllm_lua_check_integer(lua_State *L, int index, int64_t low, int64_t high);
/* A token id (any int32: core/ says what is outside the vocabulary). */
mllm_token mllm_lua_check_token(lua_State *L, int index);
/* The list of ids at `index` as an array; pushes the buffer that owns it (a userdata), so that an error leaks nothing. */
mllm_token *mllm_lua_check_tokens(lua_State *L, int index, size_t *count);
void mllm_lua_push_tokens(lua_State *L, const mllm_token *tokens, size_t count);
/* Pushes a userdata of `count * size` bytes and returns it: memory that an error gives back. Raises "not enough memory". */
void *mllm_lua_buffer(lua_State *L, size_t count, size_t size);

/* ------------------------------------------------------------- openers */

void mllm_lua_open_model(lua_State *L);
void mllm_lua_open_session(lua_State *L);
void mllm_lua_open_generation(lua_State *L);
void mllm_lua_open_json(lua_State *L);
void mllm_lua_open_letters(lua_State *L);
void mllm_lua_open_limits(lua_State *L);
void mllm_lua_open_toolcall(lua_State *L);
void mllm_lua_open_convert(lua_State *L);
void mllm_lua_open_quantize(lua_State *L);
void mllm_lua_open_logits(lua_State *L);
void mllm_lua_open_sampler(lua_State *L);
void mllm_lua_open_roofline(lua_State *L);

#endif
