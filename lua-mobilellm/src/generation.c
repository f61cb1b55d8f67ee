/* generation.c - the job userdata: a generation that runs on a session, on a thread of its own or step by step on the caller's.
 *
 * Who drives it is decided by the first call: step() and advance() work on the caller's thread; read(), wait() and pollfd() start the
 * job's own thread. A job with Lua functions in its sampler never has a thread: read() and wait() then work on the caller's. */
#include "session.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "grammar.h"
#include "sampler.h"

typedef struct {
    mllm_lua_object object;
    mllm_generation *generation;
    mllm_lua_timeline *timeline; /* NULL once it is over */
    bool script; /* Lua functions are involved: no thread */
    bool stepped; /* the caller drives it */
    bool inside; /* the caller is inside a step: a callback may call any method here */
    bool close_later;
    bool displaced; /* it was a loop's, and gave way to another use of its session */
} lua_job;

/* Gives the session free as soon as the generation does not touch it any more. */
static void settle(lua_job *j) {
    if (!j->timeline || !mllm_generation_settled(j->generation)) return;
    if (j->timeline->holder == j) j->timeline->give_way = NULL, j->timeline->holder = NULL;
    if (j->timeline->job == j->generation) j->timeline->job = NULL;
    mllm_lua_timeline_release(j->timeline);
    j->timeline = NULL;
}

static void give_way(void *holder) {
    lua_job *j = holder;
    if (j->inside || mllm_generation_started(j->generation)) return;
    mllm_generation_cancel(j->generation);
    j->displaced = true;
    settle(j);
}

static void close_job(void *object) {
    lua_job *j = object;
    if (j->inside) { /* closed by a callback of its own step */
        j->close_later = true;
        mllm_generation_cancel(j->generation);
        return;
    }
    mllm_generation_settle(j->generation);
    settle(j);
    mllm_generation_release(j->generation);
    j->generation = NULL;
}

static const mllm_lua_class job_class = {"mobilellm.job", "job", sizeof(lua_job), close_job};

static lua_job *check_job(lua_State *L) {
    lua_job *j = mllm_lua_check(L, 1, &job_class);
    settle(j);
    return j;
}

static mllm_span check_stop(lua_State *L, int index) {
    mllm_span s;
    if (lua_type(L, index) != LUA_TSTRING)
        luaL_error(L, "option 'stop': a string or a list of strings expected, got %s in it", luaL_typename(L, index));
    s.bytes = lua_tolstring(L, index, &s.length);
    return s;
}

/* Pushes a buffer with the stop strings of option `stop` (a string or a list), which the options table keeps alive. */
static mllm_span *check_stops(lua_State *L, int options, size_t *count) {
    *count = 0;
    if (!mllm_lua_option(L, options, "stop")) return NULL;
    int list = lua_gettop(L);
    bool single = lua_type(L, list) == LUA_TSTRING;
    if (!single && !lua_istable(L, list))
        luaL_error(L, "option 'stop': a string or a list of strings expected, got %s", luaL_typename(L, list));
    size_t n = single ? 1 : lua_rawlen(L, list);
    if (n > MLLM_MAX_STOPS) luaL_error(L, "option 'stop': at most %d strings are possible", (int)MLLM_MAX_STOPS);
    mllm_span *stops = mllm_lua_buffer(L, n, sizeof *stops);
    for (size_t i = 0; i < n; i++) {
        if (single)
            lua_pushvalue(L, list);
        else
            lua_rawgeti(L, list, (int)(i + 1));
        stops[i] = check_stop(L, -1);
        lua_pop(L, 1);
    }
    *count = n;
    return stops;
}

/* core.start(session, prompt, {max_tokens, stop, sampler, special, show_special, ignore_end, feed_last, lookup, matcher, shared, loop, healed, healing, mask_mass}) -> job
 * | nil, message, code. The sampler is the job's alone until it is over. The matcher is forked; `shared` says that its family is used elsewhere, so that
 * no thread may. */
static int start(lua_State *L) {
    static const char *const names[] = {"max_tokens",   "stop",   "sampler", "special",   "ignore_end",
                                        "feed_last",    "lookup", "matcher", "shared",    "loop",
                                        "show_special", "healed", "healing", "mask_mass", NULL};
    mllm_lua_timeline *timeline = mllm_lua_check_timeline(L, 1);
    mllm_lua_options(L, 3, "start", names);
    lua_settop(L, 3);
    mllm_generation_options options = {
        .max_tokens = (size_t)mllm_lua_option_integer(L, 3, "max_tokens", INT64_MAX, 0, INT64_MAX),
        .lookup = (uint32_t)mllm_lua_option_integer(L, 3, "lookup", 0, 0, 1024),
        .ignore_end = mllm_lua_option_boolean(L, 3, "ignore_end", false),
        .show_special = mllm_lua_option_boolean(L, 3, "show_special", false),
        .feed_last = mllm_lua_option_boolean(L, 3, "feed_last", true),
        .healed = (size_t)mllm_lua_option_integer(L, 3, "healed", 0, 0, INT32_MAX),
        .healing = mllm_lua_option_boolean(L, 3, "healing", false),
        .weigh = mllm_lua_option_boolean(L, 3, "mask_mass", false),
    };
    bool special = mllm_lua_option_boolean(L, 3, "special", false);
    options.stops = check_stops(L, 3, &options.stop_count);
    mllm_sampler *sampler = NULL;
    if (mllm_lua_option(L, 3, "sampler")) sampler = mllm_lua_check_sampler(L, lua_gettop(L));
    int sampler_index = lua_gettop(L);
    mllm_matcher *matcher = NULL;
    if (mllm_lua_option(L, 3, "matcher")) matcher = mllm_lua_check_matcher(L, lua_gettop(L));
    bool shared = mllm_lua_option_boolean(L, 3, "shared", false);
    options.prompt = mllm_lua_check_prompt(L, 2, timeline->session, special, &options.prompt_count);

    lua_job *j = mllm_lua_new(L, &job_class);
    if (sampler) { /* its Lua functions live as long as it does */
        mllm_lua_pushkept(L, -1);
        lua_pushvalue(L, sampler_index);
        lua_rawseti(L, -2, 1);
        lua_pop(L, 1);
    }
    mllm_error err = {MLLM_OK, ""};
    options.sampler = sampler;
    j->script = shared || (sampler && mllm_sampler_needs_script(sampler));
    mllm_constraint constraint;
    if (matcher) {
        matcher = mllm_matcher_fork(matcher, &err);
        if (!matcher) return mllm_lua_fail(L, &err);
        constraint = mllm_constraint_matcher(matcher);
        options.constraint = &constraint;
    }
    j->generation = mllm_generation_new(timeline->session, &options, &err);
    if (!j->generation) return mllm_lua_fail(L, &err);
    j->timeline = timeline;
    timeline->references++;
    timeline->job = j->generation;
    if (mllm_lua_option_boolean(L, 3, "loop", false)) {
        timeline->give_way = give_way;
        timeline->holder = j;
    }
    j->object.open = true;
    return 1;
}

static int fail_state(lua_State *L, lua_job *j) {
    mllm_error err = mllm_generation_error(j->generation);
    return mllm_lua_fail(L, &err);
}

/* true: it is over. false: there is more to do. */
static int push_over(lua_State *L, lua_job *j) {
    settle(j);
    mllm_stop state = mllm_generation_state(j->generation);
    if (state == MLLM_STOP_ERROR) return fail_state(L, j);
    lua_pushboolean(L, state != MLLM_STOP_NONE);
    return 1;
}

/* Works on this thread; `advance`: one large unit. Closes the job at the end if a callback wanted that. Raises what a callback
 * raised. */
static void work(lua_State *L, lua_job *j, bool advance, double budget_ms) {
    if (j->inside) luaL_error(L, "attempt to step a job from inside its own step");
    if (j->displaced) luaL_error(L, "the session was used otherwise while this generation ran on it");
    mllm_lua_bridge *bridge = mllm_lua_bridge_get(L);
    mllm_error err = {MLLM_OK, ""};
    j->stepped = j->inside = true;
    lua_State *before = mllm_lua_enter(bridge, L);
    mllm_code code =
        advance ? mllm_generation_advance(j->generation, &err) : mllm_generation_step(j->generation, budget_ms, &err);
    mllm_lua_leave(bridge, before);
    j->inside = false;
    if (j->close_later) {
        j->close_later = false;
        close_job(j);
        if (code == MLLM_OK) luaL_error(L, "the job was closed by one of its callbacks");
    }
    if (code != MLLM_OK && bridge->error != LUA_NOREF) mllm_lua_fail(L, &err);
}

/* job:step{budget_ms} -> over? | nil, message, code. Works on this thread for about that long (without a budget: to the end) and says
 * whether the job is over. Beside a running thread it waits instead. */
static int job_step(lua_State *L) {
    static const char *const names[] = {"budget_ms", NULL};
    lua_job *j = check_job(L);
    mllm_lua_options(L, 2, "step", names);
    double budget = mllm_lua_option_number(L, 2, "budget_ms", -1, 0, INFINITY);
    if (mllm_generation_started(j->generation))
        mllm_generation_wait(j->generation, budget);
    else
        work(L, j, false, budget);
    return push_over(L, j);
}

/* job:advance() -> over? | nil, message, code. One token, or as much of the prompt as runs well at once. */
static int job_advance(lua_State *L) {
    lua_job *j = check_job(L);
    if (mllm_generation_started(j->generation))
        mllm_generation_wait(j->generation, -1);
    else
        work(L, j, true, 0);
    return push_over(L, j);
}

/* Starts the thread, unless the caller drives. True: a thread runs or ran. */
static bool start_thread(lua_State *L, lua_job *j) {
    if (mllm_generation_started(j->generation)) return true;
    if (j->script || j->stepped || mllm_generation_settled(j->generation)) return false;
    mllm_error err = {MLLM_OK, ""};
    if (mllm_generation_start(j->generation, &err) != MLLM_OK) luaL_error(L, "%s", err.message);
    return true;
}

static int push_ready(lua_State *L, lua_job *j, size_t ready) {
    char *text = mllm_lua_buffer(L, ready, 1);
    size_t length = mllm_generation_read(j->generation, text, ready);
    lua_pushlstring(L, text, length);
    return 1;
}

/* job:read() -> text | nil (over) | nil, message, code. What has become certain since the last call, "" when nothing has. */
static int job_read(lua_State *L) {
    lua_job *j = check_job(L);
    size_t ready = mllm_generation_ready(j->generation);
    if (ready == 0 && !start_thread(L, j) && j->script && !j->stepped && !mllm_generation_settled(j->generation)) {
        work(L, j, false, 0);
        j->stepped = false; /* read() goes on driving */
    }
    mllm_stop state = mllm_generation_state(j->generation); /* before looking: nothing comes after the end */
    ready = mllm_generation_ready(j->generation);
    settle(j);
    if (ready > 0) return push_ready(L, j, ready);
    if (state == MLLM_STOP_ERROR) return fail_state(L, j);
    if (state == MLLM_STOP_NONE)
        lua_pushliteral(L, "");
    else
        lua_pushnil(L);
    return 1;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* job:wait(ms) -> true when there is something to read or the job is over, false when the time has passed. */
static int job_wait(lua_State *L) {
    lua_job *j = check_job(L);
    double ms = luaL_optnumber(L, 2, -1);
    if (isnan(ms)) ms = 0;
    if (start_thread(L, j)) {
        lua_pushboolean(L, mllm_generation_wait(j->generation, ms));
        settle(j);
        return 1;
    }
    if (!j->script || j->stepped) { /* nobody but the caller drives it: nothing comes by waiting */
        lua_pushboolean(L, mllm_generation_wait(j->generation, 0));
        return 1;
    }
    double end = now_ms() + ms;
    while (!mllm_generation_wait(j->generation, 0)) {
        work(L, j, false, 0);
        j->stepped = false;
        if (ms >= 0 && now_ms() >= end) break;
    }
    lua_pushboolean(L, mllm_generation_wait(j->generation, 0));
    settle(j);
    return 1;
}

/* job:cancel(): it ends after the token or the slice of the prompt that it is at. */
static int job_cancel(lua_State *L) {
    lua_job *j = check_job(L);
    mllm_generation_cancel(j->generation);
    settle(j);
    return 0;
}

/* job:pollfd() -> file descriptor that polls readable while there is something to read or the job is over; nil where no thread can work
 * (Lua functions in the sampler, or a caller that steps): then timeout() is 0. */
static int job_pollfd(lua_State *L) {
    lua_job *j = check_job(L);
    if (!start_thread(L, j) && !mllm_generation_settled(j->generation)) {
        lua_pushnil(L);
        return 1;
    }
    mllm_error err = {MLLM_OK, ""};
    int fd = mllm_generation_pollfd(j->generation, &err);
    if (fd < 0) return mllm_lua_fail(L, &err);
    mllm_lua_pushinteger(L, fd);
    return 1;
}

/* job:events() -> "r": what to poll the descriptor for. */
static int job_events(lua_State *L) {
    check_job(L);
    lua_pushliteral(L, "r");
    return 1;
}

/* job:timeout() -> 0 when read() has something to say at once, else nil: wait for the descriptor. */
static int job_timeout(lua_State *L) {
    lua_job *j = check_job(L);
    if (mllm_generation_wait(j->generation, 0) || j->script || j->stepped)
        lua_pushnumber(L, 0);
    else
        lua_pushnil(L);
    return 1;
}

/* job:state() -> "running", "end", "length", "stop", "context", "cancelled" or "error". */
static int job_state(lua_State *L) {
    lua_pushstring(L, mllm_stop_name(mllm_generation_state(check_job(L)->generation)));
    return 1;
}

/* job:tokens() -> list of the ids generated since the last call. */
static int job_tokens(lua_State *L) {
    lua_job *j = check_job(L);
    mllm_token part[64];
    size_t count;
    int at = 0;
    lua_newtable(L);
    while ((count = mllm_generation_read_tokens(j->generation, part, 64)) > 0)
        for (size_t i = 0; i < count; i++) {
            mllm_lua_pushinteger(L, part[i]);
            lua_rawseti(L, -2, ++at);
        }
    return 1;
}

static void set_number(lua_State *L, const char *name, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

/* job:stats() -> table: prompt_tokens, tokens, forced, drafted, accepted, prefill_seconds, decode_seconds, prefill_per_second, tokens_per_second, stop. */
static int job_stats(lua_State *L) {
    mllm_generation_stats s = mllm_generation_get_stats(check_job(L)->generation);
    lua_createtable(L, 0, 8);
    mllm_lua_pushinteger(L, (int64_t)s.prompt_tokens);
    lua_setfield(L, -2, "prompt_tokens");
    mllm_lua_pushinteger(L, (int64_t)s.tokens);
    lua_setfield(L, -2, "tokens");
    mllm_lua_pushinteger(L, (int64_t)s.forced);
    lua_setfield(L, -2, "forced");
    mllm_lua_pushinteger(L, (int64_t)s.drafted);
    lua_setfield(L, -2, "drafted");
    mllm_lua_pushinteger(L, (int64_t)s.accepted);
    lua_setfield(L, -2, "accepted");
    set_number(L, "prefill_seconds", s.prefill_seconds);
    set_number(L, "decode_seconds", s.decode_seconds);
    set_number(L, "prefill_per_second", s.prefill_seconds > 0 ? (double)s.prompt_tokens / s.prefill_seconds : 0);
    set_number(L, "tokens_per_second", s.decode_seconds > 0 ? (double)s.tokens / s.decode_seconds : 0);
    lua_pushstring(L, mllm_stop_name(s.stop));
    lua_setfield(L, -2, "stop");
    mllm_generation *g = check_job(L)->generation;
    size_t count = mllm_generation_removed(g, NULL, 0);
    if (count == 0 && s.weighed == 0) return 1;
    float *removed = mllm_lua_buffer(L, count ? count : 1, sizeof *removed);
    size_t now = mllm_generation_removed(g, removed, count);
    if (now < count) count = now;
    lua_createtable(L, (int)count, 2);
    for (size_t i = 0; i < count; i++) {
        if (removed[i] < 0)
            lua_pushboolean(L, false);
        else
            lua_pushnumber(L, (lua_Number)removed[i]);
        lua_rawseti(L, -2, (int)(i + 1));
    }
    set_number(L, "sum", s.removed);
    mllm_lua_pushinteger(L, (int64_t)s.weighed);
    lua_setfield(L, -2, "steps");
    lua_setfield(L, 2, "mask_mass");
    lua_settop(L, 2);
    return 1;
}

/* core.heal(session, model, prompt, special) -> ids, bytes | ids: the prompt's tokens; if some token could go on where the last one ends, without
 * that one, and its bytes. */
static int heal(lua_State *L) {
    mllm_lua_timeline *timeline = mllm_lua_check_timeline(L, 1);
    mllm_error err = {MLLM_OK, ""};
    size_t count, before, length = 0;
    const mllm_token *prompt = mllm_lua_check_prompt(L, 3, timeline->session, lua_toboolean(L, 4), &count);
    mllm_session_tokens(timeline->session, &before);
    mllm_token_trie *trie = mllm_lua_token_trie(L, 2, &err);
    if (!trie) return mllm_lua_fail(L, &err);
    const mllm_vocab *vocab = mllm_model_vocab(mllm_session_model(timeline->session));
    const char *bytes = NULL;
    if (count > 0 && before + count > 1 && mllm_vocab_kind(vocab, prompt[count - 1]) == MLLM_TOKEN_NORMAL)
        bytes = mllm_vocab_bytes(vocab, prompt[count - 1], &length);
    bool open = bytes && mllm_token_trie_extends(trie, bytes, length);
    mllm_lua_push_tokens(L, prompt, open ? count - 1 : count);
    if (open) lua_pushlstring(L, bytes, length);
    return open ? 2 : 1;
}

void mllm_lua_open_generation(lua_State *L) {
    static const luaL_Reg methods[] = {{"step", job_step},     {"advance", job_advance}, {"read", job_read},
                                       {"wait", job_wait},     {"cancel", job_cancel},   {"pollfd", job_pollfd},
                                       {"events", job_events}, {"timeout", job_timeout}, {"state", job_state},
                                       {"tokens", job_tokens}, {"stats", job_stats},     {NULL, NULL}};
    mllm_lua_class_open(L, &job_class, methods, NULL);
    lua_pushcfunction(L, heal);
    lua_setfield(L, -2, "heal");
    lua_pushcfunction(L, start);
    lua_setfield(L, -2, "start");
}
