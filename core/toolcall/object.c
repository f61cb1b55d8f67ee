/* object.c - calls as JSON objects: {"name": ..., "arguments": {...}}, keys in any order, maybe inside other objects. */
#include <string.h>

#include "parser.h"

enum {
    AT_KEY,
    IN_KEY,
    AT_COLON,
    AT_VALUE,
    IN_SIDE, /* a value that is not the arguments */
    IN_ARGUMENTS,
    IN_TEXT, /* arguments that are written as a JSON string */
    AT_NEXT,
    AT_ITEM /* of an array of calls */
};

enum { ROLE_NAME, ROLE_ID, ROLE_ARGUMENTS, ROLE_NEST, ROLE_TEXT, ROLE_EXTRA, ROLE_OTHER };

/* Without a marker that says so, only what has exactly the form of a call is one. */
static bool strict(const mllm_toolcall_parser *p) {
    return p->trial && (p->kind == MARK_BARE || p->f->weak);
}

static mllm_object_level *top(mllm_toolcall_parser *p) {
    return &p->objects[p->object_depth - 1];
}

static void broken(mllm_toolcall_parser *p, const char *message) {
    mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, message);
}

/* ------------------------------------------------------------------ side values */

/* Decoded pieces of names, ids, text, and of arguments inside a string. */
static void side_leaf(void *owner, unsigned phase, const char *raw, size_t raw_length, const char *text,
                      size_t text_length) {
    mllm_toolcall_parser *p = owner;
    bool string = (phase & MLLM_LEAF_STRING) != 0;
    mllm_value_status status;
    switch (p->object_role) {
    case ROLE_NAME: mllm_buffer_put(&p->name, text, text_length); break;
    case ROLE_ID: mllm_buffer_put(&p->id, string ? text : raw, string ? text_length : raw_length); break;
    case ROLE_TEXT:
        if (string) mllm_tc_text_bytes(p, MLLM_TOOLCALL_TEXT, text, text_length, raw);
        break;
    case ROLE_ARGUMENTS: {
        for (size_t i = 0; i < text_length && !p->value.json.length; i++) { /* nothing but an object */
            if (mllm_tc_space(text[i])) continue;
            if (text[i] != '{') p->text_status = MLLM_VALUE_BROKEN;
            break;
        }
        size_t taken = p->text_status == MLLM_VALUE_MORE ? mllm_value_feed(&p->value, text, text_length, &status) : 0;
        if (p->text_status == MLLM_VALUE_MORE && text_length) p->text_status = status;
        for (; taken < text_length && p->text_status == MLLM_VALUE_DONE; taken++)
            if (!mllm_tc_space(text[taken])) p->text_status = MLLM_VALUE_BROKEN;
        break;
    }
    default: break;
    }
}

static void start_side(mllm_toolcall_parser *p) {
    p->side.dialect = MLLM_VALUE_JSON;
    p->side.leaf_seen = side_leaf;
    mllm_value_start(&p->side);
    p->object_state = IN_SIDE;
}

/* --------------------------------------------------------------------- arguments */

static void start_arguments(mllm_toolcall_parser *p) {
    p->value.dialect = MLLM_VALUE_JSON;
    mllm_value_start(&p->value);
    p->have_arguments = true;
    p->arguments_from = p->pos;
    p->text_status = MLLM_VALUE_MORE;
}

/* The name came after the arguments: read them once more, this time for their events. */
static void replay(mllm_toolcall_parser *p) {
    mllm_value_status status;
    size_t n = (size_t)(p->arguments_to - p->arguments_from);
    const char *s = mllm_tc_at(p, p->arguments_from);
    unsigned repairs = p->value.repairs;
    mllm_value_start(&p->value);
    if (!p->text_arguments) {
        mllm_value_feed(&p->value, s, n, &status);
        return;
    }
    int role = p->object_role;
    p->object_role = ROLE_ARGUMENTS;
    p->text_status = MLLM_VALUE_MORE;
    mllm_value_start(&p->side);
    mllm_value_feed(&p->side, s, n, &status);
    p->object_role = role;
    p->value.repairs |= repairs;
}

/* The call is certain. False: it is none (and has been refused). */
static bool announce(mllm_toolcall_parser *p) {
    if (p->announced) return true;
    if (strict(p) && p->tool_count && !mllm_tc_tool(p, p->name.data, p->name.length)) {
        broken(p, "no such tool");
        return false;
    }
    bool again = p->have_arguments && p->arguments_to > p->arguments_from;
    mllm_tc_announce(p);
    if (again) replay(p);
    return true;
}

/* ----------------------------------------------------------------------- levels */

static bool push(mllm_toolcall_parser *p, char kind) {
    if (p->object_depth == OBJECT_DEPTH) {
        broken(p, "calls nested too deeply");
        return false;
    }
    if (kind == '{' && p->object_depth && top(p)->kind == '[') { /* a call of its own */
        uint64_t at = p->pos;
        mllm_tc_body(p);
        p->phase = PHASE_OBJECT;
        if (!p->trial) p->start = p->call_start = at;
    }
    p->objects[p->object_depth++] = (mllm_object_level){.kind = kind};
    p->object_state = kind == '{' ? AT_KEY : AT_ITEM;
    p->pos++;
    return true;
}

/* The bracket at `pos` closes a level. */
static void pop(mllm_toolcall_parser *p) {
    bool call = top(p)->call;
    if (call && !p->have_name) {
        broken(p, "the call has no name");
        return;
    }
    if (call && strict(p) && !p->have_arguments && !p->tool_count) {
        broken(p, "the call has no arguments");
        return;
    }
    bool whole = top(p)->kind == '{' && (p->object_depth == 1 || p->objects[p->object_depth - 2].kind == '[');
    if (!call && whole && !top(p)->used) {
        broken(p, "no call");
        return;
    }
    if (call && !announce(p)) return;
    if (call)
        for (int i = 0; i < p->object_depth; i++) p->objects[i].used = true;
    p->pos++;
    p->object_depth--;
    if (call) mllm_tc_call_done(p);
    if (p->object_depth) {
        p->phase = PHASE_OBJECT;
        p->object_state = AT_NEXT;
        return;
    }
    p->start = p->pos;
    p->in_call = false;
    p->phase = PHASE_GAP;
}

void mllm_tc_object_begin(mllm_toolcall_parser *p) {
    p->object_depth = 0;
    p->arguments_from = p->arguments_to = 0;
    p->phase = PHASE_OBJECT;
    push(p, '{');
}

/* The outermost level that belongs to the call. */
static int call_level(const mllm_toolcall_parser *p) {
    for (int i = p->object_depth; i-- > 1;)
        if (p->objects[i].kind == '{' && p->objects[i - 1].kind == '[') return i;
    return 0;
}

int mllm_tc_object_open(const mllm_toolcall_parser *p) {
    return p->object_depth - call_level(p);
}

int mllm_tc_object_inside(const mllm_toolcall_parser *p, char *quote) {
    const mllm_value *v = p->object_state == IN_ARGUMENTS                            ? &p->value
                          : p->object_state == IN_SIDE || p->object_state == IN_TEXT ? &p->side
                                                                                     : NULL;
    *quote = p->object_state == IN_KEY || (v && mllm_value_in_string(v)) ? '"' : 0;
    return v ? v->depth : 0;
}

void mllm_tc_object_resume(mllm_toolcall_parser *p) {
    p->object_depth = call_level(p);
    p->object_state = AT_NEXT;
    if (p->object_depth) p->phase = PHASE_OBJECT;
}

bool mllm_tc_object_close(mllm_toolcall_parser *p) {
    if (p->object_state == IN_ARGUMENTS ? !mllm_value_close(&p->value) : p->object_state != AT_NEXT) return false;
    p->value.repairs |= MLLM_REPAIR_CLOSE;
    p->object_depth = 0;
    mllm_tc_call_done(p);
    return true;
}

/* ------------------------------------------------------------------------- keys */

static int role_of(const mllm_toolcall_parser *p, const char *s, size_t n) {
    const mllm_toolcall_format *f = p->f;
    if (mllm_toolcall_format_is(f, F_NAME_KEY, s, n)) return ROLE_NAME;
    if (mllm_toolcall_format_is(f, F_ARGUMENTS_KEY, s, n)) return ROLE_ARGUMENTS;
    if (mllm_toolcall_format_is(f, F_ID_KEY, s, n)) return ROLE_ID;
    if (mllm_toolcall_format_is(f, F_NEST_KEY, s, n)) return ROLE_NEST;
    if (mllm_toolcall_format_is(f, F_TEXT_KEY, s, n)) return ROLE_TEXT;
    if (mllm_toolcall_format_is(f, F_EXTRA_KEY, s, n)) return ROLE_EXTRA;
    return ROLE_OTHER;
}

/* The key is [mark, pos). */
static bool end_key(mllm_toolcall_parser *p) {
    const char *s = mllm_tc_at(p, p->mark);
    size_t n = (size_t)(p->pos - p->mark);
    if (p->f->name_is_key && !p->have_name) {
        p->name.length = 0;
        mllm_buffer_put(&p->name, s, n);
        p->have_name = n > 0;
        p->object_role = ROLE_ARGUMENTS;
        top(p)->call = true;
    } else {
        p->object_role = role_of(p, s, n);
        if (p->object_role == ROLE_OTHER && strict(p)) {
            broken(p, "a key that no call has");
            return false;
        }
        if (p->object_role == ROLE_NAME || p->object_role == ROLE_ARGUMENTS) top(p)->call = true;
    }
    p->pos++;
    p->object_state = AT_COLON;
    return true;
}

/* The byte that begins a value says which way to read it. */
static void begin_value(mllm_toolcall_parser *p, char c) {
    switch (p->object_role) {
    case ROLE_NEST:
        if (c == '{' || c == '[') {
            top(p)->used |= c == '[';
            push(p, c);
            return;
        }
        if (c != '"' || p->have_name) break;
        p->object_role = ROLE_NAME; /* "function": "f" */
        top(p)->call = true;
        /* fallthrough */
    case ROLE_NAME:
        if (c != '"') {
            broken(p, "the name is no string");
            return;
        }
        p->name.length = 0;
        break;
    case ROLE_ID: p->id.length = 0; break;
    case ROLE_TEXT:
        if (c == '"') {
            mllm_tc_certain(p);
            top(p)->used = true;
            break;
        }
        if (strict(p) && c != 'n') {
            broken(p, "no call");
            return;
        }
        break;
    case ROLE_ARGUMENTS:
        if (c == 'n') break;
        if (c != '{' && c != '"') {
            broken(p, "the arguments are no object");
            return;
        }
        if (p->have_name && !(c == '"' && strict(p)) && !announce(p)) return;
        start_arguments(p);
        p->text_arguments = c == '"';
        if (c == '"') start_side(p);
        p->object_state = c == '"' ? IN_TEXT : IN_ARGUMENTS;
        return;
    default: break;
    }
    start_side(p);
}

/* A side value is complete. */
static void end_side(mllm_toolcall_parser *p) {
    p->object_state = AT_NEXT;
    if (p->object_role == ROLE_ID) p->have_id = p->id.length > 0;
    if (p->object_role != ROLE_NAME) return;
    if (!p->name.length || p->name.length > MLLM_TOOLCALL_MAX_NAME) {
        broken(p, p->name.length ? "the name of the tool is too long" : "the name of the tool is empty");
        return;
    }
    p->have_name = true;
    if (!strict(p) || p->have_arguments) announce(p);
}

/* ------------------------------------------------------------------------ phases */

/* Runs the value that is open. 1: complete, 0: more input, -1: broken (told). */
static int run_value(mllm_toolcall_parser *p) {
    mllm_value *v = p->object_state == IN_ARGUMENTS ? &p->value : &p->side;
    mllm_value_status status;
    bool text = p->object_state == IN_TEXT;
    do { /* arguments inside a string: byte by byte, so that a fault is found where it is */
        p->pos += mllm_value_feed(v, mllm_tc_at(p, p->pos), text ? 1 : mllm_tc_left(p), &status);
        if (text && !p->announced && p->have_name && p->value.depth && !announce(p)) return -1;
    } while (text && status == MLLM_VALUE_MORE && p->text_status != MLLM_VALUE_BROKEN && mllm_tc_left(p));
    if (status == MLLM_VALUE_BROKEN || (text && p->text_status == MLLM_VALUE_BROKEN)) {
        bool inner = status != MLLM_VALUE_BROKEN;
        int mended = p->object_state == IN_ARGUMENTS && p->announced ? mllm_tc_mend(p) : -1;
        if (mended >= 0) return mended;
        const char *reason = inner && !p->value.reason[0] ? "the arguments are no object"
                             : inner                      ? p->value.reason
                                                          : v->reason;
        bool limit = (inner ? &p->value : v)->over_limit;
        mllm_tc_broken(p, limit ? MLLM_TOOLCALL_LIMIT : MLLM_TOOLCALL_BROKEN, reason);
        return -1;
    }
    if (status != MLLM_VALUE_DONE) return 0;
    if (text && !p->value.json.length && !strict(p)) /* "": none */
        p->have_arguments = false;
    else if (text && p->text_status != MLLM_VALUE_DONE) {
        broken(p, "the arguments end early");
        return -1;
    }
    return 1;
}

mllm_step mllm_tc_object(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field ends[] = {F_CALL_END, F_SECTION_END};
    while (mllm_tc_left(p)) {
        char c = *mllm_tc_at(p, p->pos);
        bool closes = c == '}' || c == ']';
        if (p->object_state == IN_KEY) {
            if (p->pos - p->mark > MLLM_TOOLCALL_MAX_NAME) {
                broken(p, "a key that is too long");
                return STEP_ON;
            }
            if (c == '"' && !p->skip_escape) {
                if (!end_key(p)) return STEP_ON;
                continue;
            }
            p->skip_escape = c == '\\' && !p->skip_escape;
            p->pos++;
            continue;
        }
        if (p->object_state == IN_SIDE || p->object_state == IN_ARGUMENTS || p->object_state == IN_TEXT) {
            int done = run_value(p);
            if (done < 0) return STEP_ON;
            if (done == 0) return STEP_WAIT;
            if (p->object_state == IN_SIDE)
                end_side(p);
            else {
                p->arguments_to = p->pos;
                p->object_state = AT_NEXT;
            }
            if (p->phase != PHASE_OBJECT) return STEP_ON;
            continue;
        }
        if (mllm_tc_space(c)) {
            p->pos++;
            continue;
        }
        switch (p->object_state) {
        case AT_KEY:
            if (c == '"') {
                p->mark = ++p->pos;
                p->skip_escape = false;
                p->object_state = IN_KEY;
            } else if (c == '}')
                pop(p);
            else
                broken(p, "a key was expected");
            break;
        case AT_COLON:
            if (c == ':') {
                p->pos++;
                p->object_state = AT_VALUE;
            } else
                broken(p, "':' was expected");
            break;
        case AT_VALUE: begin_value(p, c); break;
        case AT_ITEM:
            if (c == '{')
                push(p, c);
            else if (c == ']')
                pop(p);
            else
                broken(p, "a call was expected");
            break;
        default: /* AT_NEXT */
            if (c == ',') {
                p->pos++;
                p->object_state = top(p)->kind == '{' ? AT_KEY : AT_ITEM;
            } else if (closes && c == (top(p)->kind == '{' ? '}' : ']'))
                pop(p);
            else {
                size_t length;
                int found = p->options.repair && p->announced ? mllm_tc_match(p, ends, 2, &length) : -1;
                if (found == -2) return STEP_WAIT;
                if (found < 0 || !mllm_tc_object_close(p)) broken(p, "',' or a closing bracket was expected");
            }
            break;
        }
        if (p->phase != PHASE_OBJECT) return STEP_ON;
    }
    return STEP_WAIT;
}
