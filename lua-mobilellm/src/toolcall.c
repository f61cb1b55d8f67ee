/* toolcall.c - core.toolcall_format(name, fields) and core.toolcall_parser(formats, declared, options): what mobilellm/toolcall.lua
 * is made of. */
#include "binding.h"

#include <string.h>

#include "json.h"
#include "toolcall/toolcall.h"
#include "toolcall/value.h"

/* --------------------------------------------------------------------- formats */

typedef struct {
    mllm_lua_object object;
    mllm_toolcall_format *format;
} format_object;

static void format_close(void *object) {
    mllm_toolcall_format_release(((format_object *)object)->format);
}

static const mllm_lua_class format_class = {"mobilellm.toolcall_format", "toolcall_format", sizeof(format_object),
                                            format_close};

/* toolcall_format(name, {field = spelling | {spellings} | true, ...}) -> format; nil, message, code. */
static int format_new(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    mllm_error err;
    luaL_checktype(L, 2, LUA_TTABLE);
    format_object *o = mllm_lua_new(L, &format_class);
    int self = lua_gettop(L);
    o->format = mllm_toolcall_format_new(name, &err);
    if (!o->format) return mllm_lua_fail(L, &err);
    o->object.open = true;
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        if (lua_type(L, -2) != LUA_TSTRING) return luaL_error(L, "format '%s': a field's name must be a string", name);
        const char *field = lua_tostring(L, -2);
        int values = lua_istable(L, -1) ? (int)lua_rawlen(L, -1) : 1;
        for (int i = 1; i <= values; i++) {
            if (lua_istable(L, -1))
                lua_rawgeti(L, -1, i);
            else if (lua_isboolean(L, -1))
                lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
            else
                lua_pushvalue(L, -1);
            size_t length;
            const char *value = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
            if (!value) return luaL_error(L, "format '%s': %s must be a string or a list of strings", name, field);
            if (mllm_toolcall_format_add(o->format, field, value, length, &err) != MLLM_OK)
                return mllm_lua_fail(L, &err);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    if (mllm_toolcall_format_check(o->format, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_pushvalue(L, self);
    return 1;
}

/* ---------------------------------------------------------------------- parser */

typedef struct {
    mllm_lua_object object;
    mllm_toolcall_parser *parser;
    bool finished;
} parser_object;

static void parser_close(void *object) {
    mllm_toolcall_parser_free(((parser_object *)object)->parser);
}

static const mllm_lua_class parser_class = {"mobilellm.toolcall_parser", "toolcall_parser", sizeof(parser_object),
                                            parser_close};

/* declared: {"tool", "argument" or "", types, "tool", ...} */
static mllm_code declare_all(lua_State *L, int index, mllm_toolcall_parser *p, mllm_error *err) {
    int n = (int)lua_rawlen(L, index);
    for (int i = 1; i + 2 <= n; i += 3) {
        size_t tool_length, argument_length;
        lua_rawgeti(L, index, i);
        lua_rawgeti(L, index, i + 1);
        lua_rawgeti(L, index, i + 2);
        const char *tool = luaL_checklstring(L, -3, &tool_length);
        const char *argument = luaL_checklstring(L, -2, &argument_length);
        unsigned types = (unsigned)luaL_checkinteger(L, -1);
        mllm_code code = mllm_toolcall_parser_declare(p, tool, tool_length, argument_length ? argument : NULL,
                                                      argument_length, types, err);
        lua_pop(L, 3);
        if (code != MLLM_OK) return code;
    }
    return MLLM_OK;
}

/* toolcall_parser({formats}, {declared}, {limit, repair, keep_reasoning, reasoning_open}) -> parser; nil, message, code. */
static int parser_new(lua_State *L) {
    static const char *const names[] = {"limit", "repair", "keep_reasoning", "reasoning_open", NULL};
    mllm_toolcall_format *formats[MLLM_TOOLCALL_MAX_FORMATS];
    mllm_error err;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    mllm_lua_options(L, 3, "toolcall.parser", names);
    mllm_toolcall_options options = {
        .limit = (size_t)mllm_lua_option_integer(L, 3, "limit", 0, 0, 1 << 30),
        .repair = mllm_lua_option_boolean(L, 3, "repair", false),
        .keep_reasoning = mllm_lua_option_boolean(L, 3, "keep_reasoning", false),
        .reasoning_open = mllm_lua_option_boolean(L, 3, "reasoning_open", false),
    };
    size_t count = lua_rawlen(L, 1);
    if (count > MLLM_TOOLCALL_MAX_FORMATS)
        return luaL_error(L, "toolcall.parser: more than %d formats", MLLM_TOOLCALL_MAX_FORMATS);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        formats[i] = ((format_object *)mllm_lua_check(L, -1, &format_class))->format;
        lua_pop(L, 1);
    }
    parser_object *o = mllm_lua_new(L, &parser_class);
    int self = lua_gettop(L);
    o->parser = mllm_toolcall_parser_new(formats, count, &options, &err);
    if (!o->parser) return mllm_lua_fail(L, &err);
    o->object.open = true;
    if (declare_all(L, 2, o->parser, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    lua_pushvalue(L, self);
    return 1;
}

static void set_string(lua_State *L, const char *field, const char *s, size_t length) {
    if (!s && !length) return;
    lua_pushlstring(L, s ? s : "", length);
    lua_setfield(L, -2, field);
}

static void set_integer(lua_State *L, const char *field, uint64_t value) {
    mllm_lua_pushinteger(L, (int64_t)value);
    lua_setfield(L, -2, field);
}

/* Sets field of the table on top to the value of a JSON text. The document is a userdata, so an error leaks nothing. */
static mllm_code set_json(lua_State *L, const char *field, const char *json, size_t length, mllm_error *err) {
    mllm_json *doc = mllm_lua_json_document(L);
    mllm_code code = mllm_json_parse(doc, json, length, 0, err);
    if (code != MLLM_OK) return code;
    mllm_lua_json_push(L, doc, 0);
    lua_setfield(L, -3, field);
    mllm_json_free(doc);
    memset(doc, 0, sizeof *doc);
    lua_pop(L, 1);
    return MLLM_OK;
}

static void set_repairs(lua_State *L, unsigned repairs) {
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{MLLM_REPAIR_QUOTE, "quote"},   {MLLM_REPAIR_LITERAL, "literal"}, {MLLM_REPAIR_COMMA, "comma"},
                 {MLLM_REPAIR_ESCAPE, "escape"}, {MLLM_REPAIR_KEY, "key"},         {MLLM_REPAIR_NUMBER, "number"},
                 {MLLM_REPAIR_CLOSE, "close"}};
    int n = 0;
    if (!repairs) return;
    lua_newtable(L);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(repairs & names[i].bit)) continue;
        lua_pushstring(L, names[i].name);
        lua_rawseti(L, -2, ++n);
    }
    lua_setfield(L, -2, "repairs");
}

static mllm_code push_event(lua_State *L, const mllm_toolcall_event *e, mllm_error *err) {
    static const char *const kinds[] = {"text", "reasoning", "call_begin", "argument", "call_end", "error"};
    static const char *const faults[] = {"", "broken", "unfinished", "skipped", "limit"};
    mllm_code code = MLLM_OK;
    lua_createtable(L, 0, 6);
    lua_pushstring(L, kinds[e->kind]);
    lua_setfield(L, -2, "kind");
    switch (e->kind) {
    case MLLM_TOOLCALL_TEXT:
    case MLLM_TOOLCALL_REASONING: set_string(L, "text", e->text, e->text_length); break;
    case MLLM_TOOLCALL_CALL_BEGIN:
        set_integer(L, "call", e->call + 1);
        set_string(L, "name", e->name, e->name_length);
        set_string(L, "id", e->id, e->id_length);
        set_string(L, "format", e->format, strlen(e->format));
        break;
    case MLLM_TOOLCALL_ARGUMENT:
        set_integer(L, "call", e->call + 1);
        lua_createtable(L, (int)e->path_length, 0);
        for (size_t i = 0; i < e->path_length; i++) {
            if (e->path[i].key)
                lua_pushlstring(L, e->path[i].key, e->path[i].length);
            else
                mllm_lua_pushinteger(L, (int64_t)e->path[i].index + 1);
            lua_rawseti(L, -2, (int)i + 1);
        }
        lua_setfield(L, -2, "path");
        lua_pushlstring(L, e->raw ? e->raw : "", e->raw_length);
        lua_setfield(L, -2, "delta");
        if (e->string) {
            lua_pushlstring(L, e->text ? e->text : "", e->text_length);
            lua_setfield(L, -2, "text");
        }
        if (!e->complete && e->so_far) set_string(L, "value", e->so_far, e->so_far_length);
        if (e->complete) {
            lua_pushboolean(L, true);
            lua_setfield(L, -2, "complete");
            code = set_json(L, "value", e->json, e->json_length, err);
        }
        break;
    case MLLM_TOOLCALL_CALL_END:
        set_integer(L, "call", e->call + 1);
        set_string(L, "name", e->name, e->name_length);
        set_string(L, "id", e->id, e->id_length);
        set_string(L, "format", e->format, strlen(e->format));
        set_string(L, "raw", e->raw, e->raw_length);
        set_repairs(L, e->repairs);
        code = set_json(L, "arguments", e->json, e->json_length, err);
        break;
    case MLLM_TOOLCALL_ERROR:
        set_integer(L, "call", e->call + 1);
        set_integer(L, "position", e->position + 1);
        set_string(L, "code", faults[e->fault], strlen(faults[e->fault]));
        set_string(L, "message", e->message, strlen(e->message));
        set_string(L, "name", e->name, e->name_length);
        set_string(L, "id", e->id, e->id_length);
        set_string(L, "format", e->format, e->format ? strlen(e->format) : 0);
        lua_pushlstring(L, e->raw ? e->raw : "", e->raw_length);
        lua_setfield(L, -2, "raw");
        if (e->json_length) code = set_json(L, "arguments", e->json, e->json_length, err);
        break;
    }
    return code;
}

static int push_events(lua_State *L, parser_object *o) {
    mllm_toolcall_event e;
    mllm_error err;
    int n = 0;
    lua_newtable(L);
    int list = lua_gettop(L);
    while (mllm_toolcall_next(o->parser, &e)) {
        if (push_event(L, &e, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
        lua_rawseti(L, list, ++n);
    }
    return 1;
}

/* parser:feed(chunk) -> list of events; nil, message, code. */
static int parser_feed(lua_State *L) {
    parser_object *o = mllm_lua_check(L, 1, &parser_class);
    size_t length;
    const char *bytes = luaL_checklstring(L, 2, &length);
    mllm_error err;
    if (mllm_toolcall_feed(o->parser, bytes, length, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    return push_events(L, o);
}

/* parser:finish() -> list of events; nil, message, code. A second time: no events. */
static int parser_finish(lua_State *L) {
    parser_object *o = mllm_lua_check(L, 1, &parser_class);
    mllm_error err;
    if (o->finished) {
        lua_newtable(L);
        return 1;
    }
    if (mllm_toolcall_finish(o->parser, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    o->finished = true;
    return push_events(L, o);
}

/* parser:partial() -> {name, id, call, arguments so far} of the call that is being written; nil: none is. */
static int parser_partial(lua_State *L) {
    parser_object *o = mllm_lua_check(L, 1, &parser_class);
    mllm_toolcall_event e;
    mllm_error err;
    if (!mllm_toolcall_partial(o->parser, &e)) return 0;
    lua_createtable(L, 0, 4);
    set_integer(L, "call", e.call + 1);
    set_string(L, "name", e.name, e.name_length);
    set_string(L, "id", e.id, e.id_length);
    if (set_json(L, "arguments", e.json, e.json_length, &err) != MLLM_OK) return mllm_lua_fail(L, &err);
    return 1;
}

/* parser:reset(): ready for another message. */
static int parser_reset(lua_State *L) {
    parser_object *o = mllm_lua_check(L, 1, &parser_class);
    mllm_toolcall_reset(o->parser);
    o->finished = false;
    lua_settop(L, 1);
    return 1;
}

static const luaL_Reg parser_methods[] = {{"feed", parser_feed},
                                          {"finish", parser_finish},
                                          {"partial", parser_partial},
                                          {"reset", parser_reset},
                                          {NULL, NULL}};
static const luaL_Reg format_methods[] = {{NULL, NULL}};
static const luaL_Reg functions[] = {{"toolcall_format", format_new}, {"toolcall_parser", parser_new}, {NULL, NULL}};

void mllm_lua_open_toolcall(lua_State *L) {
    mllm_lua_class_open(L, &format_class, format_methods, NULL);
    mllm_lua_class_open(L, &parser_class, parser_methods, NULL);
    luaL_setfuncs(L, functions, 0);
}
