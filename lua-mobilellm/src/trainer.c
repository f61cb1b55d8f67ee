/* trainer.c - the trainer. The loop around it (trainer:run) is Lua: mobilellm/train/init.lua.
 *
 *   local trainer = mobilellm.train.new{
 *     shape = {vocabulary=, width=, heads=, kv_heads=, head_size=64, ffn=, blocks=, passes=1|2, shared_ffn=false, tied=true,
 *              context=512, rope_base=10000, norm_epsilon=1e-5, qk_norm=false, qkv_bias=false, output_bias=false},
 *     base = path or model,              -- instead of shape: go on from its weights, of any type and blueprint that loads
 *     lora = rank | {rank=8, alpha=16, targets={"q", "k", "v", "o", "gate", "up", "down"}},
 *                                        -- with base: trains adapters of these matrices only; export merges them
 *     start = "random"|"copying",        -- new weights: "copying" begins with heads that can copy (core/train/prime.h)
 *     vocabulary = vocab, name = text,   -- for export; shape.vocabulary may be left out when a vocabulary is given
 *     seed=1, threads=0, shards=0, learning_rate=1e-3, schedule="cosine"|"wsd", floor=0.1, warmup=100, steps=1000, cooldown=200,
 *     decay=0.1, clip=1, beta1=0.9, beta2=0.95, epsilon=1e-8, batch_tokens=8192, pack_tokens=512,
 *     precision="auto"|"f32"|"bf16",     -- of matrix products; auto: bf16 where the processor has AVX512_BF16, f32 elsewhere
 *     recompute=false,                   -- compute activations a second time instead of keeping them: the same numbers
 *     rounding="f32"|"q4_0"|"q8_0"|...,  -- quantization-aware: learns with its matrices rounded as a file of the type has them
 *     teacher = path or model,           -- distillation: learns from its logits, too; the same vocabulary
 *     temperature=2, mix=0.5}            -- loss = (1 - mix) cross-entropy + mix T^2 KL(teacher || model) at temperature T
 *   mobilellm.train.memory{..., longest=tokens} -> bytes that such a trainer takes in the end; nothing is allocated
 *   trainer:step(rows) -> loss, stats      rows: list of {ids=, prompt= | weights=, weight=, prompt_weight=}
 *   trainer:next(data) -> loss, stats      one batch of about batch_tokens, shuffled anew each epoch
 *       stats: step loss tokens scored grad_norm learning_rate seconds epoch total_tokens skipped
 *   trainer:run{data=, steps=, ...}        see mobilellm/train/init.lua
 *   trainer:evaluate(data) -> loss, {loss=, tokens=, scored=, accuracy=}
 *   trainer:logits(ids) -> list of numbers, index id + 1: the logits after ids
 *   trainer:info() -> {parameters, bytes, step, total_tokens, vocabulary, width, ..., and every option}
 *   trainer:set{...}                       changes options (not seed, shards)
 *   trainer:save(path)                     checkpoint; mobilellm.train.resume(path, {vocabulary=, and options that change; base= of
 *                                          adapters, teacher= if there was one})
 *   trainer:export(path, {type="f32"|"f16"|"bf16"|"q8_0"|"q4_0", card={}, chat_template=, vocabulary=, name=})
 *   trainer:close()
 * Misuse raises; a full disk, a damaged file, a row longer than the context return nil, message, code. */
#include "train.h"

#include <ctype.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "train/prime.h"
#include "vocab.h"

typedef struct {
    mllm_lua_object object;
    mllm_trainer *trainer;
    mllm_checkpoint *base; /* open as long as the trainer, for its vocabulary; NULL without */
} trainer_object;

static void close_trainer(void *object) {
    trainer_object *t = object;
    mllm_trainer_free(t->trainer);
    mllm_checkpoint_close(t->base);
    t->trainer = NULL;
    t->base = NULL;
}

static const mllm_lua_class class_trainer = {"mobilellm.trainer", "trainer", sizeof(trainer_object), close_trainer};

static mllm_trainer *check_trainer(lua_State *L, int index) {
    return ((trainer_object *)mllm_lua_check(L, index, &class_trainer))->trainer;
}

/* -------------------------------------------------------------- options */

#define OPTION_NAMES                                                                                                   \
    "vocabulary", "name", "threads", "learning_rate", "schedule", "floor", "warmup", "steps", "cooldown", "decay",     \
        "clip", "beta1", "beta2", "epsilon", "batch_tokens", "pack_tokens", "precision", "recompute", "rounding",      \
        "temperature", "mix"
static const char *const new_names[] = {"shape", "base",    "start",      "seed", "shards",
                                        "lora",  "teacher", OPTION_NAMES, NULL};
static const char *const memory_names[] = {"shape", "base",    "start",   "seed",       "shards",
                                           "lora",  "teacher", "longest", OPTION_NAMES, NULL};
static const char *const resume_names[] = {"base", "teacher", OPTION_NAMES, NULL};
static const char *const change_names[] = {OPTION_NAMES, NULL};
static const char *const shape_names[] = {"vocabulary",  "width",     "heads",        "kv_heads",   "head_size",
                                          "ffn",         "blocks",    "passes",       "shared_ffn", "tied",
                                          "context",     "rope_base", "norm_epsilon", "qk_norm",    "qkv_bias",
                                          "output_bias", NULL};

static void read_options(lua_State *L, int index, mllm_train_options *o) {
    const int64_t large = (int64_t)1 << 50;
    o->seed = (uint64_t)mllm_lua_option_integer(L, index, "seed", (int64_t)o->seed, INT64_MIN, INT64_MAX);
    o->threads = (int)mllm_lua_option_integer(L, index, "threads", o->threads, 0, 1024);
    o->shards = (uint32_t)mllm_lua_option_integer(L, index, "shards", o->shards, 0, 256);
    o->learning_rate = mllm_lua_option_number(L, index, "learning_rate", o->learning_rate, 0, INFINITY);
    o->floor = mllm_lua_option_number(L, index, "floor", o->floor, 0, 1);
    o->warmup = (uint64_t)mllm_lua_option_integer(L, index, "warmup", (int64_t)o->warmup, 0, large);
    o->steps = (uint64_t)mllm_lua_option_integer(L, index, "steps", (int64_t)o->steps, 1, large);
    o->cooldown = (uint64_t)mllm_lua_option_integer(L, index, "cooldown", (int64_t)o->cooldown, 0, large);
    o->decay = mllm_lua_option_number(L, index, "decay", o->decay, 0, INFINITY);
    o->clip = mllm_lua_option_number(L, index, "clip", o->clip, 0, INFINITY);
    o->beta1 = mllm_lua_option_number(L, index, "beta1", o->beta1, 0, 1);
    o->beta2 = mllm_lua_option_number(L, index, "beta2", o->beta2, 0, 1);
    o->epsilon = mllm_lua_option_number(L, index, "epsilon", o->epsilon, 0, 1);
    o->batch_tokens = (uint64_t)mllm_lua_option_integer(L, index, "batch_tokens", (int64_t)o->batch_tokens, 1, large);
    o->pack_tokens = (uint32_t)mllm_lua_option_integer(L, index, "pack_tokens", o->pack_tokens, 1, 1 << 24);
    const char *precision = mllm_lua_option_string(L, index, "precision", NULL);
    if (precision) {
        static const char *const names[] = {"auto", "f32", "bf16"};
        int p = 0;
        while (p < 3 && strcmp(precision, names[p]) != 0) p++;
        if (p == 3) luaL_error(L, "option 'precision': 'auto', 'f32' or 'bf16' expected, got '%s'", precision);
        o->precision = (mllm_precision)p;
    }
    o->recompute = mllm_lua_option_boolean(L, index, "recompute", o->recompute);
    o->temperature = mllm_lua_option_number(L, index, "temperature", o->temperature, 0.01, 1000);
    o->mix = mllm_lua_option_number(L, index, "mix", o->mix, 0, 1);
    const char *rounding = mllm_lua_option_string(L, index, "rounding", NULL);
    if (rounding && !mllm_type_by_name(rounding, &o->rounding))
        luaL_error(L, "option 'rounding': '%s' is unknown", rounding);
    const char *schedule = mllm_lua_option_string(L, index, "schedule", NULL);
    if (!schedule) return;
    if (strcmp(schedule, "cosine") == 0)
        o->schedule = MLLM_SCHEDULE_COSINE;
    else if (strcmp(schedule, "wsd") == 0)
        o->schedule = MLLM_SCHEDULE_WSD;
    else
        luaL_error(L, "option 'schedule': 'cosine' or 'wsd' expected, got '%s'", schedule);
}

static const struct {
    const char *name;
    mllm_role role;
} lora_targets[] = {{"q", MLLM_W_Q},       {"k", MLLM_W_K},   {"v", MLLM_W_V},      {"o", MLLM_W_O},
                    {"gate", MLLM_W_GATE}, {"up", MLLM_W_UP}, {"down", MLLM_W_DOWN}};
enum { LORA_TARGETS = sizeof lora_targets / sizeof *lora_targets };

static uint32_t read_target(lua_State *L, int index) {
    const char *name = lua_tostring(L, index);
    for (int i = 0; name && i < LORA_TARGETS; i++)
        if (strcmp(lora_targets[i].name, name) == 0) return 1u << lora_targets[i].role;
    luaL_error(L, "option 'targets': q, k, v, o, gate, up or down expected, got '%s'",
               name ? name : luaL_typename(L, index));
    return 0;
}

/* Option `lora`: a rank, or a table. */
static void read_lora(lua_State *L, int options, mllm_lora *o) {
    static const char *const names[] = {"rank", "alpha", "targets", NULL};
    if (!mllm_lua_option(L, options, "lora")) {
        lua_pop(L, 1);
        return;
    }
    int lora = lua_gettop(L);
    if (!lua_istable(L, lora)) {
        o->rank = (uint32_t)mllm_lua_option_integer(L, options, "lora", 0, 1, MLLM_MAX_RANK);
        lua_pop(L, 1);
        return;
    }
    mllm_lua_options(L, lora, "lora", names);
    o->rank = (uint32_t)mllm_lua_option_integer(L, lora, "rank", 8, 1, MLLM_MAX_RANK);
    o->alpha = mllm_lua_option_number(L, lora, "alpha", o->alpha, 0, 1e6);
    if (mllm_lua_option(L, lora, "targets")) {
        if (!lua_istable(L, -1)) luaL_error(L, "option 'targets': table expected, got %s", luaL_typename(L, -1));
        o->targets = 0;
        for (size_t i = 1, n = lua_rawlen(L, -1); i <= n; i++) {
            lua_rawgeti(L, -1, (int)i);
            o->targets |= read_target(L, -1);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 2);
}

/* The value of option `vocabulary` is kept with the trainer at `object`. */
static void keep_vocab(lua_State *L, int object, int options) {
    if (mllm_lua_option(L, options, "vocabulary")) {
        mllm_lua_check_vocab(L, lua_gettop(L));
        mllm_lua_pushkept(L, object);
        lua_pushvalue(L, -2);
        lua_setfield(L, -2, "vocabulary");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void keep_name(lua_State *L, int object, int options) {
    const char *name = mllm_lua_option_string(L, options, "name", NULL);
    if (!name) return;
    mllm_lua_pushkept(L, object);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    lua_pop(L, 1);
}

/* Numbers and flags of `shape`; the steps are made by the caller. */
static void read_shape(lua_State *L, int shape, int options, mllm_blueprint *b) {
    int64_t vocabulary = 0;
    mllm_lua_options(L, shape, "shape", shape_names);
    if (mllm_lua_option(L, options, "vocabulary")) vocabulary = mllm_vocab_size(mllm_lua_check_vocab(L, lua_gettop(L)));
    lua_pop(L, 1);
    memset(b, 0, sizeof *b);
    snprintf(b->architecture, sizeof b->architecture, "mobilellm");
    snprintf(b->name, sizeof b->name, "%s", mllm_lua_option_string(L, options, "name", ""));
    b->vocabulary = (uint32_t)mllm_lua_option_integer(L, shape, "vocabulary", vocabulary, 1, MLLM_MAX_VOCABULARY);
    if (b->vocabulary == 0) luaL_error(L, "shape: 'vocabulary' is missing");
    if ((int64_t)b->vocabulary < vocabulary)
        luaL_error(L, "shape: 'vocabulary' is %d, but the vocabulary has %d tokens", (int)b->vocabulary,
                   (int)vocabulary);
    b->width = (uint32_t)mllm_lua_option_integer(L, shape, "width", 0, 1, MLLM_MAX_WIDTH);
    b->blocks = (uint32_t)mllm_lua_option_integer(L, shape, "blocks", 0, 1, MLLM_MAX_STEPS);
    b->heads = (uint32_t)mllm_lua_option_integer(L, shape, "heads", 0, 1, MLLM_MAX_WIDTH);
    b->ffn_width = (uint32_t)mllm_lua_option_integer(L, shape, "ffn", 0, 1, 16 * MLLM_MAX_WIDTH);
    if (!b->width || !b->blocks || !b->heads || !b->ffn_width)
        luaL_error(L, "shape: width, blocks, heads and ffn are needed");
    b->kv_heads = (uint32_t)mllm_lua_option_integer(L, shape, "kv_heads", b->heads, 1, b->heads);
    b->head_size = (uint32_t)mllm_lua_option_integer(L, shape, "head_size", 64, 1, 4096);
    b->rope_size = b->head_size;
    b->context = (uint32_t)mllm_lua_option_integer(L, shape, "context", 512, 1, MLLM_MAX_CONTEXT);
    b->rope_base = (float)mllm_lua_option_number(L, shape, "rope_base", 10000, 1, 1e12);
    b->rope_factor = 1;
    b->norm_epsilon = (float)mllm_lua_option_number(L, shape, "norm_epsilon", 1e-5, 1e-12, 1);
    b->tied_embedding = mllm_lua_option_boolean(L, shape, "tied", true);
    b->qk_norm = mllm_lua_option_boolean(L, shape, "qk_norm", false);
    b->qkv_bias = mllm_lua_option_boolean(L, shape, "qkv_bias", false);
    b->output_bias = mllm_lua_option_boolean(L, shape, "output_bias", false);
}

/* Pushes the path of the model of option `name`, which is a path or a model object (through its own info); nil and NULL where there is
 * none. Nothing is open yet that a wrong type could leak. */
static const char *option_path(lua_State *L, int options, const char *name) {
    if (mllm_lua_option(L, options, name) && lua_type(L, -1) != LUA_TSTRING) {
        lua_getfield(L, -1, "info");
        lua_insert(L, -2);
        lua_call(L, 1, 1);
        lua_getfield(L, -1, "path");
        lua_remove(L, -2);
        if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "option '%s': a path or a model is expected", name);
    }
    return lua_tostring(L, -1);
}

static mllm_code teach(mllm_trainer *t, const char *path, mllm_error *err) {
    if (!path) return MLLM_OK;
    mllm_checkpoint *c = mllm_checkpoint_open(path, false, err);
    if (!c) return err->code;
    mllm_code code = mllm_trainer_teach(t, c, err);
    mllm_checkpoint_close(c);
    return code;
}

/* A trainer that could not be finished. */
static int give_up(lua_State *L, trainer_object *t, const mllm_error *err) {
    close_trainer(t);
    return mllm_lua_fail(L, err);
}

/* Blueprint of `shape` at the index, with its steps; the caller frees it. */
static mllm_code make_blueprint(lua_State *L, int shape, int options, mllm_blueprint *b, mllm_error *err) {
    if (!lua_istable(L, shape)) luaL_error(L, "option 'shape': table expected, got %s", luaL_typename(L, shape));
    read_shape(L, shape, options, b);
    uint32_t passes = (uint32_t)mllm_lua_option_integer(L, shape, "passes", 1, 1, 2);
    bool shared = mllm_lua_option_boolean(L, shape, "shared_ffn", false);
    mllm_code code = mllm_blueprint_make_steps(b, passes, shared, err);
    if (code == MLLM_OK) code = mllm_blueprint_check(b, "shape", err);
    if (code == MLLM_E_FORMAT) code = err->code = MLLM_E_ARGUMENT; /* not a file's fault, the caller's */
    return code;
}

static int train_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    mllm_lua_options(L, 1, "train.new", new_names);
    mllm_train_options o = mllm_train_defaults();
    read_options(L, 1, &o);
    read_lora(L, 1, &o.lora);
    trainer_object *t = mllm_lua_new(L, &class_trainer); /* 2 */
    keep_vocab(L, 2, 1);
    keep_name(L, 2, 1);
    bool shaped = mllm_lua_option(L, 1, "shape"); /* 3 */
    const char *base = option_path(L, 1, "base"); /* 4 */
    const char *teacher = option_path(L, 1, "teacher"); /* 5 */
    if (shaped == (base != NULL)) return luaL_error(L, "train.new: either 'shape' or 'base' is needed");
    const char *start = mllm_lua_option_string(L, 1, "start", "random");
    bool copying = strcmp(start, "copying") == 0;
    if (!copying && strcmp(start, "random") != 0)
        return luaL_error(L, "option 'start': 'random' or 'copying' expected, got '%s'", start);
    if (copying && base) return luaL_error(L, "train.new: 'start' is for new weights, 'base' brings its own");
    mllm_error err;
    if (base) {
        t->base = mllm_checkpoint_open(base, false, &err);
        if (!t->base) return mllm_lua_fail(L, &err);
        t->trainer = mllm_trainer_from(t->base, &o, &err);
    } else {
        mllm_blueprint b;
        if (make_blueprint(L, 3, 1, &b, &err) == MLLM_OK) t->trainer = mllm_trainer_new(&b, &o, &err);
        mllm_blueprint_free(&b);
    }
    if (!t->trainer || (copying && mllm_trainer_prime_copying(t->trainer, o.seed, &err) != MLLM_OK) ||
        teach(t->trainer, teacher, &err) != MLLM_OK)
        return give_up(L, t, &err);
    t->object.open = true;
    lua_pushvalue(L, 2);
    return 1;
}

static int train_memory(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    mllm_lua_options(L, 1, "train.memory", memory_names);
    mllm_train_options o = mllm_train_defaults();
    read_options(L, 1, &o);
    read_lora(L, 1, &o.lora);
    size_t longest = (size_t)mllm_lua_option_integer(L, 1, "longest", 1, 1, MLLM_MAX_CONTEXT);
    bool shaped = mllm_lua_option(L, 1, "shape"); /* 2 */
    const char *base_path = option_path(L, 1, "base"); /* 3 */
    const char *teacher_path = option_path(L, 1, "teacher"); /* 4 */
    if (shaped == (base_path != NULL)) return luaL_error(L, "train.memory: either 'shape' or 'base' is needed");
    mllm_error err;
    mllm_blueprint b;
    memset(&b, 0, sizeof b);
    mllm_checkpoint *base = NULL, *teacher = NULL;
    if (base_path) {
        base = mllm_checkpoint_open(base_path, false, &err);
        if (!base) return mllm_lua_fail(L, &err);
    } else if (make_blueprint(L, 2, 1, &b, &err) != MLLM_OK) {
        mllm_blueprint_free(&b);
        return mllm_lua_fail(L, &err);
    }
    mllm_code code = MLLM_OK;
    if (teacher_path && !(teacher = mllm_checkpoint_open(teacher_path, false, &err))) code = err.code;
    uint64_t bytes = 0;
    if (code == MLLM_OK)
        code = mllm_train_memory(base ? mllm_checkpoint_blueprint(base) : &b, &o, longest,
                                 teacher ? mllm_checkpoint_blueprint(teacher) : NULL, &bytes, &err);
    mllm_checkpoint_close(teacher);
    mllm_checkpoint_close(base);
    mllm_blueprint_free(&b);
    if (code != MLLM_OK) return mllm_lua_fail(L, &err);
    mllm_lua_pushinteger(L, (int64_t)bytes);
    return 1;
}

static int train_resume(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    mllm_lua_options(L, 2, "train.resume", resume_names);
    lua_settop(L, 2);
    const char *base = option_path(L, 2, "base"), *teacher = option_path(L, 2, "teacher"); /* 3, 4 */
    trainer_object *t = mllm_lua_new(L, &class_trainer); /* 5 */
    keep_vocab(L, 5, 2);
    keep_name(L, 5, 2);
    mllm_train_options o = mllm_train_defaults();
    read_options(L, 2, &o); /* wrong ones raise before anything is opened */
    mllm_error err;
    if (base && !(t->base = mllm_checkpoint_open(base, false, &err))) return mllm_lua_fail(L, &err);
    t->trainer = mllm_trainer_resume(path, t->base, &err);
    if (!t->trainer) return give_up(L, t, &err);
    o = *mllm_trainer_options(t->trainer);
    read_options(L, 2, &o);
    if (mllm_trainer_set_options(t->trainer, &o, &err) != MLLM_OK || teach(t->trainer, teacher, &err) != MLLM_OK)
        return give_up(L, t, &err);
    t->object.open = true;
    lua_pushvalue(L, 5);
    return 1;
}

static int trainer_set(lua_State *L) {
    mllm_trainer *t = check_trainer(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    mllm_lua_options(L, 2, "trainer:set", change_names);
    mllm_train_options o = *mllm_trainer_options(t);
    read_options(L, 2, &o);
    keep_vocab(L, 1, 2);
    keep_name(L, 1, 2);
    mllm_error err;
    if (mllm_trainer_set_options(t, &o, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_settop(L, 1);
    return 1;
}

/* ---------------------------------------------------------------- steps */

static void set_number(lua_State *L, const char *name, double v) {
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, uint64_t v) {
    mllm_lua_pushinteger(L, (int64_t)v);
    lua_setfield(L, -2, name);
}

static void set_boolean(lua_State *L, const char *name, bool v) {
    lua_pushboolean(L, v);
    lua_setfield(L, -2, name);
}

static int push_stats(lua_State *L, const mllm_train_stats *s) {
    lua_pushnumber(L, s->loss);
    lua_createtable(L, 0, 10);
    set_integer(L, "step", s->step);
    set_number(L, "loss", s->loss);
    set_integer(L, "tokens", s->tokens);
    set_integer(L, "scored", s->scored);
    set_number(L, "grad_norm", s->gradient_norm);
    set_number(L, "learning_rate", s->learning_rate);
    set_number(L, "seconds", s->seconds);
    set_number(L, "epoch", s->epoch);
    set_integer(L, "total_tokens", s->total_tokens);
    set_boolean(L, "skipped", s->skipped);
    return 2;
}

static int trainer_step(lua_State *L) {
    mllm_trainer *t = check_trainer(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    mllm_train_data *data = mllm_lua_new_data(L);
    mllm_error err;
    size_t count = lua_rawlen(L, 2);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, (int)i);
        if (mllm_lua_add_row(L, data, -1, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
        lua_pop(L, 1);
    }
    mllm_train_row *rows = mllm_lua_buffer(L, count, sizeof *rows);
    for (size_t i = 0; i < count; i++) rows[i] = mllm_train_data_row(data, i);
    mllm_train_stats stats;
    if (mllm_trainer_step(t, rows, count, &stats, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    return push_stats(L, &stats);
}

static int trainer_next(lua_State *L) {
    mllm_trainer *t = check_trainer(L, 1);
    const mllm_train_data *data = mllm_lua_check_data(L, 2);
    mllm_train_stats stats;
    mllm_error err;
    if (mllm_trainer_next(t, data, &stats, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    return push_stats(L, &stats);
}

static int trainer_evaluate(lua_State *L) {
    mllm_trainer *t = check_trainer(L, 1);
    const mllm_train_data *data = mllm_lua_check_data(L, 2);
    mllm_train_score s;
    mllm_error err;
    if (mllm_trainer_evaluate(t, data, &s, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_pushnumber(L, s.loss);
    lua_createtable(L, 0, 4);
    set_number(L, "loss", s.loss);
    set_number(L, "accuracy", s.accuracy);
    set_integer(L, "tokens", s.tokens);
    set_integer(L, "scored", s.scored);
    return 2;
}

static int trainer_logits(lua_State *L) {
    mllm_trainer *t = check_trainer(L, 1);
    size_t count;
    luaL_checktype(L, 2, LUA_TTABLE);
    const mllm_token *ids = mllm_lua_check_tokens(L, 2, &count);
    uint32_t vocabulary = mllm_trainer_blueprint(t)->vocabulary;
    float *logits = mllm_lua_buffer(L, vocabulary, sizeof *logits);
    mllm_error err;
    if (mllm_trainer_logits(t, ids, count, logits, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_createtable(L, (int)vocabulary, 0);
    for (uint32_t i = 0; i < vocabulary; i++) {
        lua_pushnumber(L, (double)logits[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static void push_lora(lua_State *L, const mllm_lora *o) {
    lua_createtable(L, 0, 3);
    set_integer(L, "rank", o->rank);
    set_number(L, "alpha", o->alpha);
    lua_newtable(L);
    for (int i = 0, n = 0; i < LORA_TARGETS; i++)
        if (o->targets >> lora_targets[i].role & 1) {
            lua_pushstring(L, lora_targets[i].name);
            lua_rawseti(L, -2, ++n);
        }
    lua_setfield(L, -2, "targets");
    lua_setfield(L, -2, "lora");
}

static int trainer_info(lua_State *L) {
    const mllm_trainer *t = check_trainer(L, 1);
    const mllm_blueprint *b = mllm_trainer_blueprint(t);
    const mllm_train_options *o = mllm_trainer_options(t);
    lua_createtable(L, 0, 32);
    set_integer(L, "parameters", mllm_trainer_parameters(t));
    set_integer(L, "trained", mllm_trainer_trained(t));
    set_integer(L, "bytes", mllm_trainer_bytes(t));
    set_integer(L, "step", mllm_trainer_step_count(t));
    set_integer(L, "total_tokens", mllm_trainer_total_tokens(t));
    set_integer(L, "vocabulary", b->vocabulary);
    set_integer(L, "width", b->width);
    set_integer(L, "heads", b->heads);
    set_integer(L, "kv_heads", b->kv_heads);
    set_integer(L, "head_size", b->head_size);
    set_integer(L, "ffn", b->ffn_width);
    set_integer(L, "blocks", b->blocks);
    set_integer(L, "steps_of_model", b->step_count);
    set_integer(L, "ffns", b->ffns);
    set_integer(L, "context", b->context);
    set_boolean(L, "tied", b->tied_embedding);
    mllm_lua_pushinteger(L, (int64_t)o->seed);
    lua_setfield(L, -2, "seed");
    set_integer(L, "threads", (uint64_t)o->threads);
    set_integer(L, "shards", o->shards);
    set_number(L, "learning_rate", o->learning_rate);
    set_number(L, "floor", o->floor);
    set_integer(L, "warmup", o->warmup);
    set_integer(L, "steps", o->steps);
    set_integer(L, "cooldown", o->cooldown);
    set_number(L, "decay", o->decay);
    set_number(L, "clip", o->clip);
    set_number(L, "beta1", o->beta1);
    set_number(L, "beta2", o->beta2);
    set_number(L, "epsilon", o->epsilon);
    set_integer(L, "batch_tokens", o->batch_tokens);
    set_integer(L, "pack_tokens", o->pack_tokens);
    lua_pushstring(L, o->schedule == MLLM_SCHEDULE_WSD ? "wsd" : "cosine");
    lua_setfield(L, -2, "schedule");
    lua_pushstring(L, o->precision == MLLM_PRECISION_BF16 ? "bf16" : "f32");
    lua_setfield(L, -2, "precision");
    set_boolean(L, "recompute", o->recompute);
    char rounding[16] = {0};
    for (size_t i = 0; mllm_type_facts(o->rounding)->name[i]; i++) /* as the options spell it */
        rounding[i] = (char)tolower((unsigned char)mllm_type_facts(o->rounding)->name[i]);
    lua_pushstring(L, rounding);
    lua_setfield(L, -2, "rounding");
    set_number(L, "temperature", o->temperature);
    set_number(L, "mix", o->mix);
    if (o->lora.rank) push_lora(L, &o->lora);
    return 1;
}

/* ---------------------------------------------------------------- files */

static int trainer_save(lua_State *L) {
    mllm_trainer *t = check_trainer(L, 1);
    mllm_error err;
    if (mllm_trainer_save(t, luaL_checkstring(L, 2), &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_pushboolean(L, true);
    return 1;
}

static int trainer_export(lua_State *L) {
    static const char *const names[] = {"type", "card", "chat_template", "vocabulary", "name", NULL};
    trainer_object *object = mllm_lua_check(L, 1, &class_trainer);
    const char *path = luaL_checkstring(L, 2);
    mllm_lua_options(L, 3, "trainer:export", names);
    lua_settop(L, 3);
    keep_vocab(L, 1, 3);
    keep_name(L, 1, 3);
    mllm_type type;
    const char *type_name = mllm_lua_option_string(L, 3, "type", "f32");
    if (!mllm_type_by_name(type_name, &type)) return luaL_error(L, "option 'type': '%s' is unknown", type_name);
    const char *template = mllm_lua_option_string(L, 3, "chat_template", NULL), *card = NULL, *name;
    if (mllm_lua_option(L, 3, "card")) { /* 4 */
        if (!lua_istable(L, 4)) return luaL_error(L, "option 'card': table expected, got %s", luaL_typename(L, 4));
        mllm_lua_json_encode(L, 4); /* 5 */
        card = lua_tostring(L, -1);
    }
    mllm_lua_pushkept(L, 1);
    lua_getfield(L, -1, "name");
    name = lua_tostring(L, -1);
    lua_getfield(L, -2, "vocabulary");
    const mllm_vocab *vocab = NULL;
    if (!lua_isnil(L, -1)) vocab = mllm_lua_check_vocab(L, lua_gettop(L));
    if (!vocab && object->base) {
        vocab = mllm_checkpoint_vocab(object->base);
        if (!template) template = mllm_checkpoint_chat_template(object->base);
    }
    mllm_error err;
    if (mllm_trainer_export(object->trainer, path, type, name, vocab, template, card, &err) != MLLM_OK)
        return mllm_lua_fail(L, &err);
    lua_pushboolean(L, true);
    return 1;
}

/* ------------------------------------------------------------- signals */

static volatile sig_atomic_t told;

static void note_signal(int number) {
    told = number;
}

static int which_signal(lua_State *L) {
    if (!told) return 0;
    lua_pushstring(L, told == SIGINT ? "SIGINT" : "SIGTERM");
    return 1;
}

/* train.signals() -> a function that says "SIGINT" or "SIGTERM" once the process was told to end, nil before. The second time a signal
 * does what it always does. */
static int train_signals(lua_State *L) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = note_signal;
    a.sa_flags = (int)(SA_RESETHAND | SA_RESTART);
    sigemptyset(&a.sa_mask);
    told = 0;
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    lua_pushcfunction(L, which_signal);
    return 1;
}

void mllm_lua_open_trainer(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"step", trainer_step},     {"next", trainer_next},     {"evaluate", trainer_evaluate},
        {"logits", trainer_logits}, {"info", trainer_info},     {"set", trainer_set},
        {"save", trainer_save},     {"export", trainer_export}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", train_new},
                                         {"resume", train_resume},
                                         {"memory", train_memory},
                                         {"signals", train_signals},
                                         {NULL, NULL}};
    mllm_lua_class_open(L, &class_trainer, methods, NULL);
    mllm_lua_train_table(L);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
