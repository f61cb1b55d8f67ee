/* tagged.c - calls whose arguments stand in tags: <parameter=key>value</parameter>. Values carry no syntax of their own; the schema
 * says what they are. */
#include <string.h>

#include "../grammar/decimal.h"
#include "parser.h"

static bool has(const mllm_toolcall_parser *p, mllm_toolcall_field field) {
    return p->f->fields[field].count > 0;
}

void mllm_tc_tags_begin(mllm_toolcall_parser *p) {
    p->value.dialect = MLLM_VALUE_JSON;
    mllm_value_start_inside(&p->value, '{');
    p->have_arguments = true;
}

static mllm_step tags(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field marks[] = {F_KEY_BEGIN, F_CALL_END, F_SECTION_END, F_CALL_BEGIN};
    for (;;) {
        if (!mllm_tc_left(p)) return STEP_WAIT;
        size_t length;
        int found = mllm_tc_match(p, marks, 4, &length);
        if (found == -2) return STEP_WAIT;
        if (found < 0 && mllm_tc_space(*mllm_tc_at(p, p->pos))) {
            p->pos++;
            continue;
        }
        if (found < 0) {
            mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, "an argument or the end of the call was expected");
            return STEP_ON;
        }
        if (!p->announced) mllm_tc_announce(p);
        if (found == 0) {
            p->pos += length;
            p->mark = p->pos;
            p->phase = PHASE_TAG_KEY;
            return STEP_ON;
        }
        mllm_value_end_inside(&p->value);
        mllm_tc_call_done(p);
        return STEP_ON;
    }
}

static mllm_step tag_key(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field ends[] = {F_KEY_END};
    for (;;) {
        if (!mllm_tc_left(p)) return STEP_WAIT;
        size_t length;
        int found = mllm_tc_match(p, ends, 1, &length);
        if (found == -2) return STEP_WAIT;
        if (found < 0) {
            if (p->pos - p->mark >= MLLM_TOOLCALL_MAX_NAME) {
                mllm_tc_broken(p, MLLM_TOOLCALL_LIMIT, "the name of an argument is too long");
                return STEP_ON;
            }
            p->pos++;
            continue;
        }
        const char *s = mllm_tc_at(p, p->mark);
        size_t n = (size_t)(p->pos - p->mark);
        while (n && mllm_tc_space(s[n - 1])) n--;
        while (n && mllm_tc_space(*s)) s++, n--;
        if (!n) {
            mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, "an argument without a name");
            return STEP_ON;
        }
        p->types = mllm_tc_types(p, p->tool, s, n);
        mllm_value_member(&p->value, s, n);
        p->pos += length;
        p->phase = PHASE_TAG_OPEN;
        return STEP_ON;
    }
}

static mllm_step tag_open(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field begins[] = {F_VALUE_BEGIN, F_VALUE_TEXT, F_VALUE_JSON};
    p->value_kind = 0;
    while (has(p, F_VALUE_BEGIN) || has(p, F_VALUE_TEXT) || has(p, F_VALUE_JSON)) {
        if (!mllm_tc_left(p)) return STEP_WAIT;
        size_t length;
        int found = mllm_tc_match(p, begins, 3, &length);
        if (found == -2) return STEP_WAIT;
        if (found >= 0) {
            p->pos += length;
            p->value_kind = found;
            break;
        }
        if (!mllm_tc_space(*mllm_tc_at(p, p->pos))) {
            mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, "the value of an argument was expected");
            return STEP_ON;
        }
        p->pos++;
    }
    p->mark = p->told = p->pos;
    p->leaf_open = p->value_trimmed = false;
    p->phase = PHASE_TAG_VALUE;
    return STEP_ON;
}

/* Whether the value can be nothing but a string, so that its pieces can be told as text. */
static bool is_text(const mllm_toolcall_parser *p) {
    return p->value_kind == 1 || (p->value_kind == 0 && p->types == MLLM_TYPE_STRING);
}

/* Tells of the value up to `to`. */
static void tell(mllm_toolcall_parser *p, uint64_t to, bool end) {
    if (to < p->told) to = p->told;
    if (to == p->told && !end) return;
    bool text = is_text(p);
    unsigned phase = (p->leaf_open ? 0 : MLLM_LEAF_BEGIN) | (end ? MLLM_LEAF_END : 0);
    const char *s = mllm_tc_at(p, p->told);
    size_t n = (size_t)(to - p->told);
    if (text) {
        if (!p->leaf_open) mllm_value_string_begin(&p->value);
        mllm_value_string_put(&p->value, s, n);
        if (end) mllm_value_string_end(&p->value);
    }
    mllm_tc_tag_piece(p, phase, s, n, text);
    p->leaf_open = true;
    p->told = to;
}

/* The bits of types that the JSON text of a value fits. */
static unsigned types_of(const char *json, size_t n) {
    switch (*json) {
    case '"': return MLLM_TYPE_STRING;
    case '{': return MLLM_TYPE_OBJECT;
    case '[': return MLLM_TYPE_ARRAY;
    case 'n': return MLLM_TYPE_NULL;
    case 't':
    case 'f': return MLLM_TYPE_BOOLEAN;
    default: break;
    }
    mllm_decimal d; /* 4.0 and 4e2 are integers, 4.5 and 1e-3 are none */
    bool whole = mllm_decimal_read(&d, json, n) && mllm_decimal_is_integer(&d);
    return whole ? MLLM_TYPE_INTEGER | MLLM_TYPE_NUMBER : MLLM_TYPE_NUMBER;
}

/* The raw value [from, to) as the schema wants it; a string when nothing else fits. */
static void typed(mllm_toolcall_parser *p, uint64_t from, uint64_t to) {
    const char *s = mllm_tc_at(p, from);
    size_t n = (size_t)(to - from), blanks = 0;
    unsigned wanted = p->value_kind == 2 || !p->types ? ~0u : p->types;
    if (p->value_kind != 2) wanted &= ~(unsigned)MLLM_TYPE_STRING; /* quotes of a string are part of it */
    mllm_value_status status = MLLM_VALUE_MORE;
    mllm_value *side = &p->side;
    side->dialect = p->value_kind == 2 ? MLLM_VALUE_JSON : MLLM_VALUE_PYTHON;
    side->leaf_seen = NULL;
    mllm_value_start(side);
    size_t taken = mllm_value_feed(side, s, n, &status);
    while (taken + blanks < n && mllm_tc_space(s[taken + blanks])) blanks++;
    if (status == MLLM_VALUE_MORE) status = mllm_value_finish(side);
    p->value.leaf = p->value.json.length;
    if (status == MLLM_VALUE_DONE && taken + blanks == n &&
        (wanted & types_of(side->json.data, side->json.length)) != 0) {
        mllm_buffer_put(&p->value.json, side->json.data, side->json.length);
        return;
    }
    mllm_value_string_begin(&p->value);
    mllm_value_string_put(&p->value, s, n);
    mllm_value_string_end(&p->value);
}

/* What may be told of the value when `pos` is as far as it goes: all but a line end, which may be the last one. */
static void tell_so_far(mllm_toolcall_parser *p) {
    uint64_t to = p->pos;
    if (p->f->trim && to > p->mark && *mllm_tc_at(p, to - 1) == '\n') to--;
    if (to > p->mark) tell(p, to, false);
}

static mllm_step too_long(mllm_toolcall_parser *p) {
    tell_so_far(p);
    mllm_tc_broken(p, MLLM_TOOLCALL_LIMIT, "the value of an argument is longer than the limit");
    return STEP_ON;
}

static mllm_step tag_value(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field ends[] = {F_VALUE_END};
    const char first = p->f->fields[F_VALUE_END].items[0].text[0];
    bool one = p->f->fields[F_VALUE_END].count == 1;
    for (;;) {
        size_t left = mllm_tc_left(p);
        if (!left) break;
        const char *s = mllm_tc_at(p, p->pos);
        if (p->f->trim && !p->value_trimmed && p->pos == p->mark && *s == '\n') { /* one line end only */
            p->mark = p->told = ++p->pos;
            p->value_trimmed = true;
            continue;
        }
        size_t room = (size_t)(p->limit - (p->pos - p->mark));
        size_t run = left < room ? left : room;
        if (one) { /* the fast way to the next byte that may begin the end */
            const char *hit = memchr(s, first, run);
            if (hit != s) {
                p->pos += hit ? (size_t)(hit - s) : run;
                if (!hit && run == room && run < left) return too_long(p);
                continue;
            }
        }
        size_t length;
        int found = mllm_tc_match(p, ends, 1, &length);
        if (found == -2) break;
        if (found < 0) {
            if (!room) return too_long(p);
            p->pos++;
            continue;
        }
        uint64_t to = p->pos;
        if (p->f->trim && to > p->mark && *mllm_tc_at(p, to - 1) == '\n') to--;
        if (!is_text(p)) typed(p, p->mark, to);
        tell(p, to, true);
        mllm_value_member_end(&p->value);
        p->pos += length;
        p->phase = PHASE_TAGS;
        return STEP_ON;
    }
    tell_so_far(p);
    return STEP_WAIT;
}

mllm_step mllm_tc_tags(mllm_toolcall_parser *p) {
    switch (p->phase) {
    case PHASE_TAG_KEY: return tag_key(p);
    case PHASE_TAG_OPEN: return tag_open(p);
    case PHASE_TAG_VALUE: return tag_value(p);
    default: return tags(p);
    }
}
