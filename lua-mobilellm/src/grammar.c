/* grammar.c - grammars and matchers. mobilellm/grammar.lua adds the combinators and takes schemas that are tables. */
#include "grammar.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "logits.h"
#include "session.h"
#include "vocab.h"

/* --------------------------------------------------------------------- grammar */

typedef struct {
    mllm_lua_object object;
    mllm_grammar *grammar;
} lua_grammar;

static void close_grammar(void *object) {
    mllm_grammar_release(((lua_grammar *)object)->grammar);
}

static const mllm_lua_class grammar_class = {"mobilellm.grammar", "grammar", sizeof(lua_grammar), close_grammar};

mllm_grammar *mllm_lua_check_grammar(lua_State *L, int index) {
    return ((lua_grammar *)mllm_lua_check(L, index, &grammar_class))->grammar;
}

mllm_grammar *mllm_lua_test_grammar(lua_State *L, int index) {
    lua_grammar *g = mllm_lua_test(L, index, &grammar_class);
    return g && g->object.open ? g->grammar : NULL;
}

/* Pushes an object without a grammar yet: what may raise comes before what must be freed. */
static lua_grammar *new_grammar(lua_State *L) {
    return mllm_lua_new(L, &grammar_class);
}

static int give_grammar(lua_State *L, lua_grammar *o, mllm_grammar *g, const mllm_error *err) {
    if (!g) return mllm_lua_fail(L, err);
    o->grammar = g;
    o->object.open = true;
    return 1;
}

static int one_of(lua_State *L, int index, const char *name, const char *const *values, int fallback) {
    const char *v = mllm_lua_option_string(L, index, name, NULL);
    if (!v) return fallback;
    for (int i = 0; values[i]; i++)
        if (strcmp(values[i], v) == 0) return i;
    return luaL_error(L, "option '%s': unknown value '%s'", name, v);
}

static mllm_schema_options schema_options(lua_State *L, int index, const char *where) {
    static const char *const names[] = {"order", "space", "strict", "draft", "format", "max_depth", NULL};
    static const char *const orders[] = {"schema", "any", NULL}, *const spaces[] = {"one", "any", "none", NULL},
                             *const formats[] = {"assert", "annotation", NULL};
    mllm_lua_options(L, index, where, names);
    mllm_schema_options o = {
        .any_order = one_of(L, index, "order", orders, 0) == 1,
        .space = (mllm_space)one_of(L, index, "space", spaces, MLLM_SPACE_ONE),
        .lenient = !mllm_lua_option_boolean(L, index, "strict", true),
        .draft = (int)mllm_lua_option_integer(L, index, "draft", 0, 0, 2020),
        .format = (mllm_format_policy)one_of(L, index, "format", formats, MLLM_FORMAT_ASSERT),
        .max_depth = (unsigned)mllm_lua_option_integer(L, index, "max_depth", 0, 0, 400),
    };
    return o;
}

/* grammar.json_schema(text, {order, space, strict, draft, format, max_depth}) -> grammar | nil, message, code */
static int json_schema(lua_State *L) {
    size_t length;
    mllm_error err = {MLLM_OK, ""};
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *text = lua_tolstring(L, 1, &length);
    mllm_schema_options options = schema_options(L, 2, "json_schema");
    lua_grammar *o = new_grammar(L);
    return give_grammar(L, o, mllm_grammar_json_schema(text, length, &options, &err), &err);
}

/* grammar.json({space, max_depth}) -> grammar of any JSON value */
static int json(lua_State *L) {
    mllm_error err = {MLLM_OK, ""};
    mllm_schema_options options = schema_options(L, 1, "json");
    options.any_order = true;
    lua_grammar *o = new_grammar(L);
    return give_grammar(L, o, mllm_grammar_json_schema("true", 4, &options, &err), &err);
}

/* grammar.regex(pattern) -> grammar | nil, message, code */
static int regex(lua_State *L) {
    size_t length;
    mllm_error err = {MLLM_OK, ""};
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *text = lua_tolstring(L, 1, &length);
    lua_grammar *o = new_grammar(L);
    return give_grammar(L, o, mllm_grammar_regex(text, length, &err), &err);
}

/* grammar.choice{text, ...} -> grammar | nil, message, code */
static int choice(lua_State *L) {
    mllm_error err = {MLLM_OK, ""};
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t n = lua_rawlen(L, 1);
    if (n == 0) luaL_argerror(L, 1, "at least one text expected");
    const char **texts = mllm_lua_buffer(L, n, sizeof *texts);
    size_t *lengths = mllm_lua_buffer(L, n, sizeof *lengths);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (int)(i + 1));
        if (lua_type(L, -1) != LUA_TSTRING) {
            const char *got = luaL_typename(L, -1);
            luaL_argerror(L, 1, lua_pushfstring(L, "text expected at [%d], got %s", (int)(i + 1), got));
        }
        texts[i] = lua_tolstring(L, -1, &lengths[i]);
        lua_pop(L, 1); /* the table holds it */
    }
    lua_grammar *o = new_grammar(L);
    return give_grammar(L, o, mllm_grammar_choice(texts, lengths, n, &err), &err);
}

/* grammar.gbnf(text) -> grammar | nil, message, code */
static int gbnf(lua_State *L) {
    size_t length;
    mllm_error err = {MLLM_OK, ""};
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *text = lua_tolstring(L, 1, &length);
    lua_grammar *o = new_grammar(L);
    return give_grammar(L, o, mllm_grammar_gbnf(text, length, &err), &err);
}

/* grammar.compose(text, {grammar, ...}) -> grammar | nil, message, code: GBNF in which @1, @2 ... stand for the grammars; also
 * @until "x", @without "x", @token 5, @capture "name" ( ... ). */
static int compose(lua_State *L) {
    size_t length;
    mllm_error err = {MLLM_OK, ""};
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *text = lua_tolstring(L, 1, &length);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TTABLE);
    size_t n = lua_istable(L, 2) ? lua_rawlen(L, 2) : 0;
    mllm_grammar **imports = mllm_lua_buffer(L, n, sizeof *imports);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (int)(i + 1));
        imports[i] = mllm_lua_check_grammar(L, -1);
        lua_pop(L, 1);
    }
    lua_grammar *o = new_grammar(L);
    return give_grammar(L, o, mllm_grammar_compose(text, length, imports, n, &err), &err);
}

/* grammar:report() -> list of {pointer =, keyword =, tier =} */
static int grammar_report(lua_State *L) {
    const char *line = mllm_grammar_report(mllm_lua_check_grammar(L, 1));
    lua_newtable(L);
    for (int n = 1; *line; n++) {
        static const char *const fields[] = {"pointer", "keyword", "tier"};
        lua_createtable(L, 0, 3);
        for (int i = 0; i < 3; i++) {
            size_t length = strcspn(line, "\t\n");
            lua_pushlstring(L, line, length);
            lua_setfield(L, -2, fields[i]);
            line += length;
            if (*line == '\t' && i < 2) line++;
        }
        while (*line && *line != '\n') line++;
        if (*line) line++;
        lua_rawseti(L, -2, n);
    }
    return 1;
}

/* grammar:min_bytes() -> integer | nil: fewest bytes of a complete text, where that is known */
static int grammar_min_bytes(lua_State *L) {
    uint32_t n = mllm_grammar_min_bytes(mllm_lua_check_grammar(L, 1));
    if (n == UINT32_MAX)
        lua_pushnil(L);
    else
        mllm_lua_pushinteger(L, n);
    return 1;
}

static void set_size(lua_State *L, const char *name, size_t n) {
    mllm_lua_pushinteger(L, (int64_t)n);
    lua_setfield(L, -2, name);
}

/* grammar:info() -> {bytes =}: the memory it holds */
static int grammar_info(lua_State *L) {
    const mllm_grammar *g = mllm_lua_check_grammar(L, 1);
    lua_createtable(L, 0, 1);
    set_size(L, "bytes", mllm_grammar_bytes(g));
    return 1;
}

/* --------------------------------------------------------------------- matcher */

typedef struct {
    mllm_lua_object object;
    mllm_matcher *matcher;
    size_t vocabulary;
    uint64_t *mask; /* [words] */
    double removed; /* probability, summed over `weighed` masks */
    size_t weighed;
} lua_matcher;

typedef struct {
    mllm_lua_object object;
    mllm_token_trie *trie;
} lua_trie;

static void close_trie(void *object) {
    mllm_token_trie_release(((lua_trie *)object)->trie);
}

static const mllm_lua_class trie_class = {"mobilellm.token_trie", "token_trie", sizeof(lua_trie), close_trie};

static void close_matcher(void *object) {
    lua_matcher *m = object;
    mllm_matcher_release(m->matcher);
    m->mask = NULL; /* Lua's */
}

static const mllm_lua_class matcher_class = {"mobilellm.matcher", "matcher", sizeof(lua_matcher), close_matcher};

mllm_matcher *mllm_lua_check_matcher(lua_State *L, int index) {
    return ((lua_matcher *)mllm_lua_check(L, index, &matcher_class))->matcher;
}

mllm_matcher *mllm_lua_test_matcher(lua_State *L, int index) {
    lua_matcher *m = mllm_lua_test(L, index, &matcher_class);
    return m && m->object.open ? m->matcher : NULL;
}

mllm_token_trie *mllm_lua_token_trie(lua_State *L, int index, mllm_error *err) {
    index = lua_absindex(L, index);
    mllm_lua_model *model = mllm_lua_test(L, index, &mllm_lua_model_class);
    const mllm_vocab *vocab =
        model ? mllm_lua_model_vocab(L, mllm_lua_check_model(L, index)) : mllm_lua_check_vocab(L, index);
    mllm_lua_pushkept(L, index);
    lua_getfield(L, -1, "token_trie");
    lua_trie *kept = mllm_lua_test(L, -1, &trie_class);
    lua_pop(L, 1);
    if (!kept) {
        lua_trie *o = mllm_lua_new(L, &trie_class);
        o->trie = mllm_token_trie_new(vocab, err);
        if (!o->trie) {
            lua_pop(L, 2);
            return NULL;
        }
        o->object.open = true;
        lua_setfield(L, -2, "token_trie");
        kept = o;
    }
    lua_pop(L, 1);
    return kept->trie;
}

static lua_matcher *new_matcher(lua_State *L, size_t vocabulary) {
    size_t words = (vocabulary + 63) / 64;
    lua_matcher *m = mllm_lua_new(L, &matcher_class);
    mllm_lua_pushkept(L, -1);
    m->mask = mllm_lua_buffer(L, words ? words : 1, sizeof *m->mask);
    m->vocabulary = vocabulary;
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    return m;
}

/* grammar:matcher(model or vocabulary or nothing) -> matcher | nil, message, code. Without a vocabulary only text can be accepted. */
static int grammar_matcher(lua_State *L) {
    mllm_grammar *g = mllm_lua_check_grammar(L, 1);
    mllm_error err = {MLLM_OK, ""};
    mllm_token_trie *trie = NULL;
    if (!lua_isnoneornil(L, 2) && !(trie = mllm_lua_token_trie(L, 2, &err))) return mllm_lua_fail(L, &err);
    lua_matcher *m = new_matcher(L, trie ? mllm_token_trie_size(trie) : 0);
    m->matcher = mllm_matcher_new(g, trie, &err);
    if (!m->matcher) return mllm_lua_fail(L, &err);
    m->object.open = true;
    return 1;
}

static lua_matcher *self(lua_State *L) {
    return mllm_lua_check(L, 1, &matcher_class);
}

/* true, or false with the reason and its code: not to be allowed is an answer, not an error */
static int answer(lua_State *L, mllm_code code, const mllm_error *err) {
    if (code == MLLM_OK) {
        lua_pushboolean(L, true);
        return 1;
    }
    if (code != MLLM_E_GRAMMAR && code != MLLM_E_TOKEN) return mllm_lua_fail(L, err);
    lua_pushboolean(L, false);
    lua_pushstring(L, err->message);
    lua_pushstring(L, mllm_code_name(code));
    return 3;
}

/* matcher:accept(id, {budget}) -> true | false, message, code */
static int matcher_accept(lua_State *L) {
    static const char *const names[] = {"budget", NULL};
    lua_matcher *m = self(L);
    mllm_error err = {MLLM_OK, ""};
    mllm_token id = mllm_lua_check_token(L, 2);
    mllm_lua_options(L, 3, "accept", names);
    uint32_t budget = (uint32_t)mllm_lua_option_integer(L, 3, "budget", 0, 0, UINT32_MAX);
    return answer(L, mllm_matcher_accept_within(m->matcher, id, budget, &err), &err);
}

/* matcher:accept_text(s) -> true | false, message, code: all of it as one step, or nothing */
static int matcher_accept_text(lua_State *L) {
    lua_matcher *m = self(L);
    mllm_error err = {MLLM_OK, ""};
    size_t length;
    luaL_checktype(L, 2, LUA_TSTRING);
    const char *text = lua_tolstring(L, 2, &length);
    return answer(L, mllm_matcher_accept_bytes(m->matcher, text, length, &err), &err);
}

static mllm_code make_mask(lua_State *L, lua_matcher *m, int options, mllm_error *err) {
    static const char *const names[] = {"budget", "mass", NULL};
    mllm_lua_options(L, options, "mask", names);
    uint32_t budget = (uint32_t)mllm_lua_option_integer(L, options, "budget", 0, 0, UINT32_MAX);
    return mllm_matcher_mask(m->matcher, m->mask, budget, err);
}

/* matcher:mask(logits, {budget, mass}) -> logits, removed | nil, message, code: what may not come next becomes -inf. With `mass`: the
 * probability that this took away. Without logits: the mask as a
 * string whose bit id % 8 of byte id / 8 allows a token. */
static int matcher_mask(lua_State *L) {
    lua_matcher *m = self(L);
    mllm_error err = {MLLM_OK, ""};
    mllm_lua_logits *view = lua_isnoneornil(L, 2) ? NULL : mllm_lua_check_logits(L, 2);
    if (view && view->size != m->vocabulary)
        luaL_error(L, "mask: the logits are of %d tokens, the vocabulary has %d", (int)view->size, (int)m->vocabulary);
    if (make_mask(L, m, 3, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    if (!view) {
        size_t bytes = (m->vocabulary + 7) / 8;
        unsigned char *out = mllm_lua_buffer(L, bytes, 1);
        for (size_t i = 0; i < bytes; i++) out[i] = (unsigned char)(m->mask[i / 8] >> (i % 8 * 8));
        lua_pushlstring(L, (const char *)out, bytes);
        return 1;
    }
    double removed = 0;
    bool mass = mllm_lua_option_boolean(L, 3, "mass", false);
    if (mass) {
        removed = mllm_logits_removed(view->data, view->ids, view->count, m->mask);
        m->removed += removed;
        m->weighed++;
    }
    if (view->ids) {
        for (size_t i = 0; i < view->count; i++) {
            size_t id = (size_t)view->ids[i];
            if (!(m->mask[id / 64] >> (id % 64) & 1)) view->data[i] = -INFINITY;
        }
    } else
        for (size_t i = 0; i < view->count; i++)
            if (!(m->mask[i / 64] >> (i % 64) & 1)) view->data[i] = -INFINITY;
    lua_settop(L, 2);
    if (mass) lua_pushnumber(L, removed);
    return mass ? 2 : 1;
}

/* matcher:allowed({budget}) -> list of the ids that may come next | nil, message, code */
static int matcher_allowed(lua_State *L) {
    lua_matcher *m = self(L);
    mllm_error err = {MLLM_OK, ""};
    if (make_mask(L, m, 2, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_newtable(L);
    int n = 0;
    for (size_t w = 0; w < (m->vocabulary + 63) / 64; w++)
        for (uint64_t bits = m->mask[w]; bits; bits &= bits - 1) {
            mllm_lua_pushinteger(L, (int64_t)(w * 64) + __builtin_ctzll(bits));
            lua_rawseti(L, -2, ++n);
        }
    return 1;
}

/* matcher:forced() -> list of ids, text: what must come next. The ids are how the tokenizer writes it, without the last ones that what
 * follows may still change; the text is all of it. */
static int matcher_forced(lua_State *L) {
    enum { MOST = 512 };
    lua_matcher *m = self(L);
    mllm_token *ids = mllm_lua_buffer(L, MOST, sizeof *ids);
    char *text = mllm_lua_buffer(L, MOST, 1);
    mllm_lua_push_tokens(L, ids, mllm_matcher_forced_tokens(m->matcher, ids, MOST));
    lua_pushlstring(L, text, mllm_matcher_forced_bytes(m->matcher, text, MOST));
    return 2;
}

/* matcher:rollback(n) -> matcher: undoes the last n accepted tokens and texts */
static int matcher_rollback(lua_State *L) {
    lua_matcher *m = self(L);
    mllm_error err = {MLLM_OK, ""};
    int64_t n = mllm_lua_check_integer(L, 2, 0, INT32_MAX);
    if (mllm_matcher_rollback(m->matcher, (size_t)n, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_settop(L, 1);
    return 1;
}

static int matcher_reset(lua_State *L) {
    mllm_matcher_reset(self(L)->matcher);
    lua_settop(L, 1);
    return 1;
}

static int matcher_is_complete(lua_State *L) {
    lua_pushboolean(L, mllm_matcher_is_complete(self(L)->matcher));
    return 1;
}

static int matcher_is_finished(lua_State *L) {
    lua_pushboolean(L, mllm_matcher_is_finished(self(L)->matcher));
    return 1;
}

/* matcher:fork() -> matcher | nil, message, code */
static int matcher_fork(lua_State *L) {
    lua_matcher *from = self(L);
    mllm_error err = {MLLM_OK, ""};
    lua_matcher *m = new_matcher(L, from->vocabulary);
    m->matcher = mllm_matcher_fork(from->matcher, &err);
    if (!m->matcher) return mllm_lua_fail(L, &err);
    m->object.open = true;
    return 1;
}

/* matcher:text() -> all bytes accepted since the start */
static int matcher_text(lua_State *L) {
    size_t length;
    const char *text = mllm_matcher_text(self(L)->matcher, &length);
    lua_pushlstring(L, text, length);
    return 1;
}

/* matcher:min_left() -> integer | nil: fewest bytes, and at most that many tokens, that complete the text */
static int matcher_min_left(lua_State *L) {
    uint32_t n = mllm_matcher_min_left(self(L)->matcher);
    if (n == UINT32_MAX)
        lua_pushnil(L);
    else
        mllm_lua_pushinteger(L, n);
    return 1;
}

/* matcher:captures() -> table of name -> text, list of {name =, text =, from =, to =} in the order they closed */
static int matcher_captures(lua_State *L) {
    lua_matcher *m = self(L);
    size_t length, start, end;
    const char *name, *text = mllm_matcher_text(m->matcher, &length);
    lua_newtable(L);
    lua_newtable(L);
    for (size_t i = 0; mllm_matcher_capture(m->matcher, i, &name, &start, &end); i++) {
        lua_pushlstring(L, text + start, end - start);
        lua_setfield(L, -3, name);
        lua_createtable(L, 0, 4);
        lua_pushstring(L, name);
        lua_setfield(L, -2, "name");
        lua_pushlstring(L, text + start, end - start);
        lua_setfield(L, -2, "text");
        mllm_lua_pushinteger(L, (int64_t)start + 1);
        lua_setfield(L, -2, "from");
        mllm_lua_pushinteger(L, (int64_t)end);
        lua_setfield(L, -2, "to");
        lua_rawseti(L, -2, (int)(i + 1));
    }
    return 2;
}

/* matcher:completion() -> list of ids, text | nil: a short way to complete the text */
static int matcher_completion(lua_State *L) {
    lua_matcher *m = self(L);
    size_t count = mllm_matcher_completion(m->matcher, NULL, 0);
    if (count == SIZE_MAX) {
        lua_pushnil(L);
        return 1;
    }
    mllm_token *ids = mllm_lua_buffer(L, count ? count : 1, sizeof *ids);
    mllm_matcher_completion(m->matcher, ids, count);
    mllm_lua_push_tokens(L, ids, count);
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (size_t i = 0; i < count; i++) {
        size_t length;
        const char *bytes = mllm_token_trie_text(mllm_matcher_trie(m->matcher), ids[i], &length);
        luaL_addlstring(&text, bytes, length);
    }
    luaL_pushresult(&text);
    return 2;
}

/* matcher:info() -> {bytes =, trie_bytes =, tokens =, steps =, mask_mass =, mask_steps =} */
static int matcher_info(lua_State *L) {
    lua_matcher *m = self(L);
    lua_createtable(L, 0, 4);
    set_size(L, "bytes", mllm_matcher_bytes(m->matcher));
    const mllm_token_trie *trie = mllm_matcher_trie(m->matcher);
    if (trie) {
        set_size(L, "trie_bytes", mllm_token_trie_bytes(trie));
        set_size(L, "tokens", mllm_token_trie_size(trie));
    }
    set_size(L, "steps", mllm_matcher_steps(m->matcher));
    lua_pushnumber(L, m->removed);
    lua_setfield(L, -2, "mask_mass");
    set_size(L, "mask_steps", m->weighed);
    return 1;
}

static double processor_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* what else runs on the machine does not count */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* core.measure_masks(matcher, ids) -> list of microseconds, accepted: for benchmarks. Makes the mask for each id and takes the id; stops
 * at the first that is not allowed. nil, message, code when a limit is reached. */
static int measure_masks(lua_State *L) {
    lua_matcher *m = self(L);
    mllm_error err = {MLLM_OK, ""};
    size_t count, done = 0;
    const mllm_token *ids = mllm_lua_check_tokens(L, 2, &count);
    double *spent = mllm_lua_buffer(L, count ? count : 1, sizeof *spent);
    bool allowed = true;
    while (done < count && allowed) {
        double start = processor_time();
        mllm_code code = mllm_matcher_mask(m->matcher, m->mask, 0, &err);
        spent[done] = (processor_time() - start) * 1e6;
        if (code != MLLM_OK && code != MLLM_E_GRAMMAR) return mllm_lua_fail(L, &err);
        size_t id = (size_t)ids[done++];
        allowed = code == MLLM_OK && id < m->vocabulary && (m->mask[id / 64] >> (id % 64) & 1);
        if (allowed && mllm_matcher_accept(m->matcher, (mllm_token)id, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    }
    lua_createtable(L, (int)done, 0);
    for (size_t i = 0; i < done; i++) {
        lua_pushnumber(L, spent[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pushboolean(L, allowed);
    return 2;
}

/* core.processor_time() -> seconds that this thread has computed: for benchmarks. */
static int module_processor_time(lua_State *L) {
    lua_pushnumber(L, processor_time());
    return 1;
}

/* ------------------------------------------------------------------- validator */

/* json.validate(schema text, JSON text, {draft, format, strict}) -> true | nil, message, code. Code "grammar": the value does not satisfy
 * the schema. grammar.lua takes tables in both places. */
static int validate(lua_State *L) {
    size_t schema_length, length;
    mllm_error err = {MLLM_OK, ""};
    luaL_checktype(L, 1, LUA_TSTRING);
    luaL_checktype(L, 2, LUA_TSTRING);
    const char *schema = lua_tolstring(L, 1, &schema_length), *text = lua_tolstring(L, 2, &length);
    mllm_schema_options options = schema_options(L, 3, "validate");
    if (mllm_json_validate(schema, schema_length, text, length, &options, &err) != MLLM_OK)
        return mllm_lua_fail(L, &err);
    lua_pushboolean(L, true);
    return 1;
}

void mllm_lua_open_grammar(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"json_schema", json_schema}, {"json", json}, {"regex", regex}, {"choice", choice}, {"gbnf", gbnf},
        {"compose", compose},         {NULL, NULL}};
    static const luaL_Reg grammar_methods[] = {{"matcher", grammar_matcher},
                                               {"report", grammar_report},
                                               {"min_bytes", grammar_min_bytes},
                                               {"info", grammar_info},
                                               {NULL, NULL}};
    static const luaL_Reg matcher_methods[] = {{"accept", matcher_accept},
                                               {"accept_text", matcher_accept_text},
                                               {"mask", matcher_mask},
                                               {"allowed", matcher_allowed},
                                               {"forced", matcher_forced},
                                               {"rollback", matcher_rollback},
                                               {"reset", matcher_reset},
                                               {"is_complete", matcher_is_complete},
                                               {"is_finished", matcher_is_finished},
                                               {"fork", matcher_fork},
                                               {"text", matcher_text},
                                               {"min_left", matcher_min_left},
                                               {"captures", matcher_captures},
                                               {"completion", matcher_completion},
                                               {"info", matcher_info},
                                               {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};
    mllm_lua_class_open(L, &grammar_class, grammar_methods, NULL);
    mllm_lua_class_open(L, &matcher_class, matcher_methods, NULL);
    mllm_lua_class_open(L, &trie_class, none, NULL);
    lua_getfield(L, LUA_REGISTRYINDEX, "mobilellm.classes"); /* the trie is nobody's business */
    lua_pushnil(L);
    lua_setfield(L, -2, "token_trie");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_setfield(L, -2, "grammar");
    lua_pushcfunction(L, measure_masks);
    lua_setfield(L, -2, "measure_masks");
    lua_pushcfunction(L, module_processor_time);
    lua_setfield(L, -2, "processor_time");
    lua_getfield(L, -1, "json");
    lua_pushcfunction(L, validate);
    lua_setfield(L, -2, "validate");
    lua_pop(L, 1);
}
