/* call.c - from the beginning of a call to its end: gaps between calls, names, arguments, the rest of broken calls. */
#include <string.h>

#include "../base/alloc.h"
#include "parser.h"

const mllm_declared_tool *mllm_tc_tool(const mllm_toolcall_parser *p, const char *name, size_t length) {
    for (uint32_t i = 0; i < p->tool_count; i++)
        if (p->tools[i].length == length && memcmp(p->tools[i].name, name, length) == 0) return &p->tools[i];
    return NULL;
}

unsigned mllm_tc_types(const mllm_toolcall_parser *p, const mllm_declared_tool *tool, const char *name, size_t length) {
    for (uint32_t i = tool ? tool->arguments : 0; i; i = p->arguments[i - 1].next) {
        const mllm_declared_argument *a = &p->arguments[i - 1];
        if (a->length == length && memcmp(a->name, name, length) == 0) return a->types;
    }
    return tool ? tool->others : 0;
}

static bool letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool has(const mllm_toolcall_parser *p, mllm_toolcall_field field) {
    return p->f->fields[field].count > 0;
}

/* ----------------------------------------------------------------------------- gaps */

/* A call begins at `pos`. */
void mllm_tc_body(mllm_toolcall_parser *p) {
    p->announced = p->have_name = p->have_id = p->have_arguments = p->text_arguments = false;
    p->name.length = p->id.length = 0;
    p->tool = NULL;
    p->mark = p->pos;
    if (p->f->body == BODY_JSON) { /* white space may come first */
        p->in_call = true;
        p->phase = PHASE_GAP;
    } else
        p->phase = PHASE_NAME;
}

static void section_over(mllm_toolcall_parser *p) {
    mllm_tc_certain(p);
    p->start = p->pos;
    p->list_open = p->section_open = false;
    p->phase = PHASE_TEXT;
    p->line = false;
    p->hold_space = p->after_call = true;
}

/* The name stood for text. */
static void text_follows(mllm_toolcall_parser *p) {
    section_over(p);
    p->in_call = false;
    p->hold_space = p->after_call = false;
    p->line = true;
}

/* What the bytes at `pos` are between calls. */
typedef enum {
    GAP_GOES_ON, /* part of the gap, and taken */
    GAP_ENDS, /* taken, and another phase follows */
    GAP_BROKEN, /* no call follows */
    GAP_OTHER /* none of what was asked about */
} gap;

static gap gap_marker(mllm_toolcall_parser *p, mllm_toolcall_field mark, size_t length) {
    switch (mark) {
    case F_CALL_BEGIN:
        if (!p->trial) p->start = p->call_start = p->pos;
        p->pos += length;
        p->body_seen |= p->section_open;
        mllm_tc_body(p);
        return GAP_ENDS;
    case F_CALL_END:
        if (p->trial) return GAP_OTHER;
        p->pos += length;
        p->start = p->pos;
        p->in_call = false;
        return GAP_GOES_ON;
    case F_SECTION_END:
        if (p->trial && !p->list_open && p->reading_count != 1) return GAP_OTHER;
        p->pos += length;
        section_over(p);
        return GAP_ENDS;
    default: /* another section */
        if (p->trial) return GAP_OTHER;
        p->start = p->call_start = p->pos;
        p->pos += length;
        p->section_open = true;
        p->in_call = p->list_open = false;
        return GAP_GOES_ON;
    }
}

/* Brackets of a list of calls, and what separates them. */
static gap gap_bracket(mllm_toolcall_parser *p, char c) {
    const mllm_toolcall_format *f = p->f;
    if (c == '[' && !p->list_open && (f->list || f->body == BODY_JSON) && (p->trial || p->section_open)) {
        p->list_open = true;
        p->pos++;
        return GAP_GOES_ON;
    }
    if (c == ']' && p->list_open) {
        p->pos++;
        p->list_open = false;
        if (!p->trial) p->start = p->pos;
        if (has(p, F_SECTION_END) || has(p, F_CALL_END)) return GAP_GOES_ON;
        if (p->trial) return GAP_BROKEN; /* a list of nothing */
        section_over(p);
        return GAP_ENDS;
    }
    if (!p->trial && (c == ',' || c == ';' || c == '}' || c == ']')) { /* separators, and brackets too many */
        p->pos++;
        return GAP_GOES_ON;
    }
    return GAP_OTHER;
}

/* A call without any marker is a candidate: it may be text. */
static void try_bare(mllm_toolcall_parser *p) {
    p->origin = p->start;
    p->readings[0] = (mllm_reading){MARK_BARE, p->text_format, (uint32_t)(p->pos - p->start)};
    for (int i = 0; i < p->format_count; i++)
        if (p->formats[i] == p->f) p->readings[0].format = i;
    p->reading_count = 1;
    p->reading = 0;
    p->furthest = -1;
    p->trial = true;
    p->forced = false;
    p->hold_space = p->after_call = true;
    p->call_start = p->pos;
}

/* A call that begins with its object or its name. */
static gap gap_call(mllm_toolcall_parser *p, char c) {
    const mllm_toolcall_format *f = p->f;
    bool direct = !has(p, F_CALL_BEGIN) || p->in_call || p->list_open;
    if (!direct || !(f->body == BODY_JSON ? c == '{' : letter(c))) return GAP_OTHER;
    if (!p->trial && (p->section_open || p->list_open || p->in_call))
        p->start = p->call_start = p->pos;
    else if (!p->trial) {
        if (!f->bare) return GAP_BROKEN;
        try_bare(p);
    }
    if (p->trial) p->kind = p->readings[p->reading].kind;
    mllm_tc_body(p);
    p->in_call = true;
    p->body_seen |= f->body == BODY_JSON;
    if (f->body == BODY_JSON) mllm_tc_object_begin(p);
    return GAP_ENDS;
}

mllm_step mllm_tc_gap(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field marks[] = {F_CALL_BEGIN, F_CALL_END, F_SECTION_END, F_SECTION_BEGIN};
    gap g = GAP_GOES_ON;
    while (g == GAP_GOES_ON) {
        if (!mllm_tc_left(p)) return STEP_WAIT;
        char c = *mllm_tc_at(p, p->pos);
        size_t length;
        int found = mllm_tc_match(p, marks, 4, &length);
        if (found == -2) return STEP_WAIT;
        if (found < 0 && mllm_tc_space(c)) {
            p->pos++;
            continue;
        }
        g = found >= 0 ? gap_marker(p, marks[found], length) : GAP_OTHER;
        if (g == GAP_OTHER) g = gap_bracket(p, c);
        if (g == GAP_OTHER) g = gap_call(p, c);
    }
    if (g == GAP_ENDS) return STEP_ON;
    if (p->trial) {
        mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, "no call follows the marker");
        return STEP_ON;
    }
    p->pos = p->start;
    p->phase = PHASE_TEXT;
    p->line = false;
    p->hold_space = p->after_call = true;
    return STEP_ON;
}

/* ---------------------------------------------------------------------------- names */

/* Takes the name out of [mark, pos): prefix off, "functions.f:0" split into name and id. */
static bool take_name(mllm_toolcall_parser *p) {
    const char *s = mllm_tc_at(p, p->mark);
    size_t n = (size_t)(p->pos - p->mark);
    while (n && mllm_tc_space(s[n - 1])) n--;
    const mllm_spellings *prefixes = &p->f->fields[F_NAME_PREFIX], *suffixes = &p->f->fields[F_NAME_SUFFIX];
    size_t whole = n;
    const char *all = s;
    for (int i = 0; i < prefixes->count; i++) {
        const mllm_spelling *x = &prefixes->items[i];
        if (n <= x->length || memcmp(s, x->text, x->length) != 0) continue;
        s += x->length;
        n -= x->length;
        break;
    }
    for (int i = 0; i < suffixes->count && !p->have_id; i++) {
        const mllm_spelling *x = &suffixes->items[i];
        if (p->f->body == BODY_PYTHON) { /* f.call(...) */
            if (n > x->length && memcmp(s + n - x->length, x->text, x->length) == 0) n -= x->length;
            continue;
        }
        char c = x->text[0];
        size_t at = n;
        while (at && s[at - 1] >= '0' && s[at - 1] <= '9') at--;
        if (at < 2 || at == n || s[at - 1] != c) continue;
        n = at - 1;
        p->id.length = 0;
        mllm_buffer_put(&p->id, all, whole);
        p->have_id = true;
    }
    if (!n) return false;
    p->name.length = 0;
    mllm_buffer_put(&p->name, s, n);
    p->have_name = true;
    return true;
}

static bool name_byte(const mllm_toolcall_parser *p, char c) {
    if (letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-') return true;
    return p->f->body != BODY_PYTHON && (c == ':' || c == '/' || c == '$' || c == '@' || c == '+');
}

mllm_step mllm_tc_name(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field ends[] = {F_NAME_END, F_ID_BEGIN, F_KEY_BEGIN, F_CALL_END, F_SECTION_END};
    bool python = p->f->body == BODY_PYTHON;
    int fields = python ? 0 : p->f->body == BODY_TAGGED ? 5 : 2;
    for (;;) {
        if (!mllm_tc_left(p)) return STEP_WAIT;
        char c = *mllm_tc_at(p, p->pos);
        if (p->mark == p->pos && mllm_tc_space(c)) {
            p->mark = ++p->pos;
            continue;
        }
        size_t length;
        int found = fields ? mllm_tc_match(p, ends, fields, &length) : -1;
        if (found == -2) return STEP_WAIT;
        bool open = python ? c == '(' : p->f->body == BODY_NAMED && !has(p, F_NAME_END) && c == '{';
        if (found < 0 && !open) {
            if (name_byte(p, c) && p->pos - p->mark < MLLM_TOOLCALL_MAX_NAME) {
                p->pos++;
                continue;
            }
            bool long_name = p->pos - p->mark >= MLLM_TOOLCALL_MAX_NAME;
            mllm_tc_broken(p, long_name ? MLLM_TOOLCALL_LIMIT : MLLM_TOOLCALL_BROKEN,
                           long_name ? "the name of the tool is too long" : "no name of a tool");
            return STEP_ON;
        }
        if (!take_name(p)) {
            mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, "the name of the tool is missing");
            return STEP_ON;
        }
        if (found == 1) { /* an id follows */
            p->pos += length;
            p->mark = p->pos;
            p->phase = PHASE_ID;
            return STEP_ON;
        }
        if (found == 0) p->pos += length;
        if (mllm_toolcall_format_is(p->f, F_TEXT_NAME, p->name.data, p->name.length)) {
            if (p->kind == MARK_BARE && p->format_count > 1)
                mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, "no call");
            else
                text_follows(p);
            return STEP_ON;
        }
        if (p->f->body == BODY_TAGGED) {
            p->phase = PHASE_TAGS;
            mllm_tc_tags_begin(p);
            return STEP_ON;
        }
        bool known = mllm_tc_tool(p, p->name.data, p->name.length) != NULL;
        if (p->kind == MARK_BARE && p->trial && p->tool_count && !known) {
            mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, "no such tool");
            return STEP_ON;
        }
        p->phase = PHASE_ARGUMENTS;
        p->mark = p->pos;
        if (python) {
            p->pos++;
            p->value.dialect = MLLM_VALUE_PYTHON;
            mllm_value_start_inside(&p->value, '(');
            p->have_arguments = true;
            if (p->kind != MARK_BARE || known || !p->trial) mllm_tc_announce(p);
        }
        return STEP_ON;
    }
}

mllm_step mllm_tc_id(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field ends[] = {F_NAME_END};
    for (;;) {
        if (!mllm_tc_left(p)) return STEP_WAIT;
        size_t length;
        int found = mllm_tc_match(p, ends, 1, &length);
        if (found == -2) return STEP_WAIT;
        if (found == 0) {
            p->id.length = 0;
            mllm_buffer_put(&p->id, mllm_tc_at(p, p->mark), (size_t)(p->pos - p->mark));
            p->have_id = true;
            p->pos += length;
            p->phase = PHASE_ARGUMENTS;
            p->mark = p->pos;
            return STEP_ON;
        }
        char c = *mllm_tc_at(p, p->pos);
        if ((unsigned char)c < ' ' || p->pos - p->mark >= MLLM_TOOLCALL_MAX_NAME) {
            mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, "the id of the call does not end");
            return STEP_ON;
        }
        p->pos++;
    }
}

/* ------------------------------------------------------------------------ arguments */

/* All up to `pos` is accounted for. Objects around the call may go on, and break: that is not this call's fault. */
static void call_over(mllm_toolcall_parser *p) {
    p->start = p->call_start = p->pos;
    p->in_call = p->announced = false;
    p->have_name = p->have_id = p->have_arguments = false;
}

void mllm_tc_call_done(mllm_toolcall_parser *p) {
    if (!p->announced) mllm_tc_announce(p);
    mllm_tc_end(p, p->have_arguments ? p->value.repairs : 0);
    call_over(p);
    p->phase = PHASE_GAP;
    if (p->f->body == BODY_CHANNELS) section_over(p);
}

/* repair: the end of the call stands where brackets are missing. 1: the arguments are closed, 0: more input decides, -1: no. */
int mllm_tc_mend(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field ends[] = {F_CALL_END, F_SECTION_END};
    size_t length;
    if (!p->options.repair || p->value.over_limit) return -1;
    int found = mllm_tc_match(p, ends, 2, &length);
    if (found == -2) return 0;
    return found >= 0 && mllm_value_close(&p->value) ? 1 : -1;
}

/* A Python literal can begin so; a variable of a program hardly. */
static bool begins_value(char c) {
    return c && (strchr("\"'[{(-+.TFN", c) != NULL || (c >= '0' && c <= '9') || c == 't' || c == 'f' || c == 'n');
}

/* 1: complete, 0: more, -1: broken (told). */
static int feed_arguments(mllm_toolcall_parser *p) {
    mllm_value_status status = MLLM_VALUE_MORE;
    while (mllm_tc_left(p) && status == MLLM_VALUE_MORE) {
        /* Not announced: only as far as the first argument has a name and the beginning of a value, which makes a call of it. */
        char c = *mllm_tc_at(p, p->pos);
        if (!p->announced && mllm_value_expects_value(&p->value) && begins_value(c)) mllm_tc_announce(p);
        size_t n = p->announced ? mllm_tc_left(p) : 1;
        p->pos += mllm_value_feed(&p->value, mllm_tc_at(p, p->pos), n, &status);
    }
    if (status == MLLM_VALUE_DONE) return 1;
    if (status == MLLM_VALUE_BROKEN) {
        int mended = p->announced ? mllm_tc_mend(p) : -1;
        if (mended >= 0) return mended;
        mllm_tc_broken(p, p->value.over_limit ? MLLM_TOOLCALL_LIMIT : MLLM_TOOLCALL_BROKEN, p->value.reason);
        return -1;
    }
    return 0;
}

mllm_step mllm_tc_arguments(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field ends[] = {F_CALL_END, F_SECTION_END, F_CALL_BEGIN};
    while (!p->have_arguments) { /* named: an object, or nothing */
        if (!mllm_tc_left(p)) return STEP_WAIT;
        char c = *mllm_tc_at(p, p->pos);
        size_t length;
        int found = mllm_tc_match(p, ends, 3, &length);
        if (found == -2) return STEP_WAIT;
        if (found >= 0) {
            mllm_tc_call_done(p);
            return STEP_ON;
        }
        if (mllm_tc_space(c)) {
            p->pos++;
            continue;
        }
        if (c != '{') {
            mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, "the arguments are no object");
            return STEP_ON;
        }
        const mllm_spellings *d = &p->f->fields[F_DELIMITER];
        p->value.dialect = d->count ? MLLM_VALUE_ESCAPED : MLLM_VALUE_JSON;
        p->value.delimiter = d->count ? d->items[0].text : NULL;
        p->value.delimiter_length = d->count ? d->items[0].length : 0;
        mllm_value_start(&p->value);
        p->have_arguments = true;
        if (!p->announced) mllm_tc_announce(p);
    }
    int done = feed_arguments(p);
    if (done == 0) return STEP_WAIT;
    if (done == 1) mllm_tc_call_done(p);
    return STEP_ON;
}

/* ----------------------------------------------------------------------------- skips */

/* The rest of a broken call: up to a marker, or to the bracket that closes the call. */
mllm_step mllm_tc_skip(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field marks[] = {F_CALL_END, F_SECTION_END, F_CALL_BEGIN},
                                     channels[] = {F_CHANNELS_END, F_CHANNELS_BEGIN};
    const bool in_channel = p->f->body == BODY_CHANNELS;
    const mllm_toolcall_field *ends = in_channel ? channels : marks;
    const int fields = in_channel ? 2 : 3;
    bool brackets = p->skip_depth > 0;
    for (;;) {
        if (!mllm_tc_left(p)) return STEP_WAIT;
        char c = *mllm_tc_at(p, p->pos);
        size_t length;
        int found = mllm_tc_match(p, ends, fields, &length);
        if (found == -2) return STEP_WAIT;
        bool over = found >= 0 || (p->f->line && c == '\n');
        if (!over && brackets) {
            if (p->skip_quote) {
                if (p->skip_escape)
                    p->skip_escape = false;
                else if (c == '\\')
                    p->skip_escape = true;
                else if (c == p->skip_quote)
                    p->skip_quote = 0;
            } else if (c == '"' || (c == '\'' && p->f->body == BODY_PYTHON))
                p->skip_quote = c;
            else if (c == '{' || c == '[' || c == '(')
                p->skip_depth++;
            else if (c == '}' || c == ']' || c == ')') {
                if (--p->skip_depth == 0) {
                    p->pos++;
                    over = true;
                }
            }
        }
        if (!over) {
            p->pos++;
            continue;
        }
        mllm_tc_skipped(p, p->start, p->pos);
        call_over(p);
        p->phase = PHASE_GAP;
        if (in_channel) section_over(p);
        if (p->f->body == BODY_JSON && found < 0) mllm_tc_object_resume(p);
        return STEP_ON;
    }
}
