/* limits.c - core.limits: Lua functions of somebody else's under a limit of instructions, memory and time.
 *
 * Instructions and time are looked at by a hook in C, which coroutines made under it inherit; memory by an allocator that stands in
 * front of the state's own while the coroutine runs. Runs may nest: each counts for all that are around it. LuaJIT's compiled code calls no
 * hooks, so there the compiler is off, and what it has compiled is dropped, while a coroutine runs under limits. */
#include "binding.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define EVERY 1000 /* instructions between two looks */

typedef struct limits limits;
struct limits {
    mllm_lua_object object;
    limits *outer; /* the run around this one */
    bool running;
    bool late, counted_out, full; /* which limit is over */
    int64_t instructions, counted; /* limit (0: none), so far */
    size_t memory, used; /* bytes */
    size_t soft; /* of `used`: here the hook is asked to collect, where the machine has no emergency collection */
    bool asked;
    lua_State *thread;
    size_t refused; /* size of the block that was refused last */
    double seconds, started; /* started: 0 before the first resume */
    lua_Alloc alloc; /* the allocator behind this one */
    void *alloc_data;
};

/* One per Lua universe: the innermost run. */
typedef struct {
    limits *active;
} universe;

static const char key; /* its address */

static universe *universe_of(lua_State *L) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    universe *u = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return u;
}

static void close_limits(void *object) {
    (void)object;
}

static const mllm_lua_class limits_class = {"mobilellm.limits", "limits", sizeof(limits), close_limits};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool exceeded(const limits *l) {
    return l->counted_out || l->full || l->late;
}

/* Pushes which limit it was. */
static void push_reason(lua_State *L, const limits *l) {
    char text[64];
    if (l->counted_out)
        snprintf(text, sizeof text, "more than %" PRId64 " instructions", l->instructions);
    else if (l->full)
        snprintf(text, sizeof text, "more than %zu bytes of memory", l->memory);
    else
        snprintf(text, sizeof text, "more than %g seconds", l->seconds);
    lua_pushstring(L, text);
}

/* -------------------------------------------------------- instructions */

static void count(limits *l, int instructions) {
    l->counted += instructions;
    if (l->instructions && l->counted > l->instructions) l->counted_out = true;
}

static void look(lua_State *L, lua_Debug *ar) {
    universe *u = universe_of(L);
    if (!u || !u->active) { /* a coroutine that outlived its run */
        lua_sethook(L, NULL, 0, 0);
        return;
    }
    int step = lua_gethookcount(L);
    const limits *over = NULL;
    for (limits *l = u->active; l; l = l->outer) {
        count(l, step);
        if (l->seconds > 0 && now() - l->started > l->seconds) l->late = true;
        if (l->asked) {
            lua_gc(L, LUA_GCCOLLECT, 0);
            size_t gap = (l->memory - l->used) / 2;
            l->soft = l->used + (gap > l->memory / 16 ? gap : l->memory / 16);
            l->asked = false;
            count(l, EVERY); /* it counts for what the hook forgot when it was asked */
        }
        if (!over && exceeded(l)) over = l;
    }
    if (!over) {
        if (step == 1) lua_sethook(L, look, LUA_MASKCOUNT, EVERY);
        return;
    }
    lua_sethook(L, look, LUA_MASKCOUNT, 1); /* whoever catches the error gets no further */
    push_reason(L, over);
    lua_getinfo(L, "Sl", ar);
    if (ar->currentline > 0) {
        lua_pushfstring(L, "%s:%d: ", ar->short_src, ar->currentline);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    lua_error(L);
}

/* -------------------------------------------------------------- memory */

static void *counting(void *data, void *block, size_t old_size, size_t new_size) {
    limits *l = data;
    size_t old = block ? old_size : 0; /* without a block it is a type */
    if (new_size > old && new_size - old > l->memory - l->used) {
        l->full = true;
        l->refused = new_size;
        return NULL;
    }
    void *moved = l->alloc(l->alloc_data, block, old_size, new_size);
    if (!moved && new_size > 0) return NULL;
    if (new_size > old) {
        l->used += new_size - old;
        /* Lua 5.1 never collects when memory is refused, and 5.4 not for the buffers of its string functions: so it is asked before. */
        if (l->used > l->soft && !l->asked) {
            l->asked = true;
            lua_sethook(l->thread, look, LUA_MASKCOUNT, 1);
        }
        if (new_size == l->refused) l->full = false; /* Lua 5.4 collected and tried again */
    } else {
        l->used -= old - new_size < l->used ? old - new_size : l->used; /* older blocks may go, too */
    }
    return moved;
}

/* ----------------------------------------------------------------- run */

/* Calls field `name` of the jit library (upvalue 2); what it returns first as a boolean. */
static bool call_jit(lua_State *L, const char *name) {
    lua_getfield(L, lua_upvalueindex(2), name);
    lua_call(L, 0, 1);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* limits:resume(thread, ...) -> as coroutine.resume. Past a limit it is false and which limit, whatever the coroutine did about it. */
static int limits_resume(lua_State *L) {
    limits *l = mllm_lua_check(L, 1, &limits_class);
    luaL_checktype(L, 2, LUA_TTHREAD);
    if (l->running) return luaL_error(L, "resume: these limits are in use");
    lua_State *thread = lua_tothread(L, 2);
    if (l->started == 0) l->started = now();
    if (l->seconds > 0 && now() - l->started > l->seconds) l->late = true;
    if (exceeded(l)) {
        lua_pushboolean(L, false);
        push_reason(L, l);
        return 2;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 2); /* limits, coroutine.resume, thread, ... */
    bool compiled = lua_istable(L, lua_upvalueindex(2)) && call_jit(L, "status");
    if (compiled) {
        call_jit(L, "off");
        call_jit(L, "flush");
    }
    universe *u = universe_of(L);
    lua_Hook hook = lua_gethook(thread);
    int mask = lua_gethookmask(thread), every = lua_gethookcount(thread);
    l->outer = u->active;
    for (limits *o = l->outer; o; o = o->outer) count(o, EVERY); /* setting the hook begins the count anew on LuaJIT */
    l->running = true;
    l->thread = thread;
    u->active = l;
    lua_sethook(thread, look, LUA_MASKCOUNT, EVERY);
    if (l->memory) {
        l->alloc = lua_getallocf(L, &l->alloc_data);
        lua_setallocf(L, counting, l);
    }
    /* From here to the restoring nothing raises: what goes wrong, memory included, comes out of lua_pcall. */
    int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    if (l->memory) lua_setallocf(L, l->alloc, l->alloc_data);
    lua_sethook(thread, hook, mask, every);
    u->active = l->outer;
    l->running = false;
    for (const limits *o = l->outer; o; o = o->outer)
        if (exceeded(o)) lua_sethook(L, look, LUA_MASKCOUNT, 1); /* the run around this one ends at once */
    if (compiled) call_jit(L, "on");
    if (status != 0) { /* of lua_pcall itself: make it look like coroutine.resume's */
        lua_pushboolean(L, false);
        lua_insert(L, 2);
    }
    bool told = !lua_toboolean(L, 2) && !l->full; /* the hook's error says where it was */
    if (exceeded(l) && !told) {
        lua_settop(L, 1);
        lua_pushboolean(L, false);
        push_reason(L, l);
    }
    return lua_gettop(L) - 1;
}

/* limits:used() -> {instructions, memory, seconds}: so far. Instructions in steps of a thousand. */
static int limits_used(lua_State *L) {
    const limits *l = mllm_lua_check(L, 1, &limits_class);
    lua_createtable(L, 0, 3);
    mllm_lua_pushinteger(L, l->counted);
    lua_setfield(L, -2, "instructions");
    mllm_lua_pushinteger(L, (int64_t)l->used);
    lua_setfield(L, -2, "memory");
    lua_pushnumber(L, l->started == 0 ? 0 : now() - l->started);
    lua_setfield(L, -2, "seconds");
    return 1;
}

/* core.limits{instructions, memory, seconds} -> limits */
static int new_limits(lua_State *L) {
    static const char *const names[] = {"instructions", "memory", "seconds", NULL};
    mllm_lua_options(L, 1, "limits", names);
    limits *l = mllm_lua_new(L, &limits_class);
    l->instructions = mllm_lua_option_integer(L, 1, "instructions", 0, 1, (int64_t)1 << 52);
    l->memory = (size_t)mllm_lua_option_integer(L, 1, "memory", 0, 1, (int64_t)1 << 46);
    l->seconds = mllm_lua_option_number(L, 1, "seconds", 0, 0, 1e9);
    l->soft = l->memory / 2;
    l->object.open = true;
    return 1;
}

void mllm_lua_open_limits(lua_State *L) {
    static const luaL_Reg functions[] = {{"limits", new_limits}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"used", limits_used}, {NULL, NULL}};
    mllm_lua_class_open(L, &limits_class, methods, NULL);
    luaL_setfuncs(L, functions, 0);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&key);
    universe *u = lua_newuserdata(L, sizeof *u);
    u->active = NULL;
    lua_rawset(L, LUA_REGISTRYINDEX);
    /* resume has coroutine.resume and jit beside it */
    lua_getfield(L, LUA_REGISTRYINDEX, "mobilellm.classes");
    lua_getfield(L, -1, limits_class.noun);
    lua_getglobal(L, "coroutine");
    lua_getfield(L, -1, "resume");
    lua_remove(L, -2);
    lua_getglobal(L, "jit");
    lua_pushcclosure(L, limits_resume, 2);
    lua_setfield(L, -2, "resume");
    lua_pop(L, 2);
}
