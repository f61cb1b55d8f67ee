/* value.c - the machine of value.h: containers, keys, numbers and literals. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "number.h"
#include "value_machine.h"

static bool is_word(char c) {
    return mllm_value_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static void broken(mllm_value *v, const char *format, ...) MLLM_PRINTF(2, 3);

static void broken(mllm_value *v, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(v->reason, sizeof v->reason, format, args);
    va_end(args);
}

/* "expected ..., got 'x'": names a printable byte, counts on the message being UTF-8 otherwise. */
void mllm_value_unexpected(mllm_value *v, const char *expected, char c) {
    if (c > ' ' && c < 0x7f)
        broken(v, "expected %s, got '%c'", expected, c);
    else
        broken(v, "expected %s, got byte 0x%02x", expected, (unsigned)(unsigned char)c);
}

void mllm_value_tell(mllm_value *v, unsigned phase, const char *raw, size_t raw_length, const char *text,
                     size_t text_length) {
    if (v->is_key || !v->leaf_seen) return;
    if (!(phase & (MLLM_LEAF_BEGIN | MLLM_LEAF_END)) && !raw_length && !text_length) return;
    v->leaf_seen(v->owner, phase, raw, raw_length, text, text_length);
}

/* -------------------------------------------------------------------- structure */

void mllm_value_after(mllm_value *v) {
    v->safe = v->json.length;
    v->safe_depth = v->depth;
    if (v->depth == 0) {
        v->state = COMPLETE;
        return;
    }
    v->frames[v->depth - 1].index++;
    v->state = AT_NEXT;
}

static bool push(mllm_value *v, char kind) {
    if (v->depth == MLLM_VALUE_MAX_DEPTH) {
        broken(v, "nested deeper than %d", MLLM_VALUE_MAX_DEPTH);
        v->over_limit = true;
        return false;
    }
    v->frames[v->depth++] = (mllm_value_frame){.kind = kind, .key = (uint32_t)v->keys.length};
    mllm_buffer_put(&v->json, kind == '[' ? "[" : "{", 1);
    v->may_close = true;
    v->after_comma = false;
    v->state = kind == '[' ? AT_VALUE : AT_KEY;
    return true;
}

static void pop(mllm_value *v) {
    mllm_value_frame *f = &v->frames[v->depth - 1];
    bool empty = f->index == 0 && v->depth > 1;
    v->keys.length = f->key;
    mllm_buffer_put(&v->json, f->kind == '[' ? "]" : "}", 1);
    v->depth--;
    v->is_key = false;
    if (empty) {
        v->leaf = v->json.length - 2;
        mllm_value_tell(v, MLLM_LEAF_BEGIN | MLLM_LEAF_END, f->kind == '[' ? "[]" : "{}", 2, NULL, 0);
    }
    mllm_value_after(v);
}

/* Before a value: its comma, and the place where it begins. */
static void begin_leaf(mllm_value *v) {
    if (v->depth && v->frames[v->depth - 1].kind == '[' && v->frames[v->depth - 1].index)
        mllm_buffer_put(&v->json, ",", 1);
    v->is_key = false;
    v->leaf = v->json.length;
}

static void begin_key(mllm_value *v) {
    mllm_value_frame *f = &v->frames[v->depth - 1];
    if (f->index) mllm_buffer_put(&v->json, ",", 1);
    v->keys.length = f->key;
    v->is_key = true;
    mllm_value_text_begin(v);
}

void mllm_value_end_key(mllm_value *v) {
    mllm_value_frame *f = &v->frames[v->depth - 1];
    mllm_value_text_end(v);
    f->length = (uint32_t)(v->keys.length - f->key);
    const char *text = v->keys.data ? v->keys.data + f->key : "";
    if (!v->keys.failed && !mllm_json_put_string(&v->json, text, f->length)) v->json.failed = true;
    mllm_buffer_put(&v->json, ":", 1);
    v->is_key = false;
}

void mllm_value_member(mllm_value *v, const char *key, size_t length) {
    begin_key(v);
    mllm_value_text_put(v, key, length);
    mllm_value_end_key(v);
    v->leaf = v->json.length;
}

void mllm_value_member_end(mllm_value *v) {
    mllm_value_after(v);
}

void mllm_value_end_inside(mllm_value *v) {
    pop(v);
}

/* ---------------------------------------------------------- numbers and literals */

static bool end_number(mllm_value *v) {
    char mended[MLLM_VALUE_MAX_NUMBER + 8];
    const char *text = v->word;
    v->word[v->word_length] = 0;
    if (!mllm_value_is_number(text)) {
        bool python = v->dialect == MLLM_VALUE_PYTHON;
        if (!(python || v->repair) || !mllm_value_mend_number(text, mended, sizeof mended)) {
            broken(v, "'%.40s' is not a number", text);
            return false;
        }
        if (!python) v->repairs |= MLLM_REPAIR_NUMBER;
        text = mended;
    }
    if (strcmp(text, "-0") == 0) text = "0"; /* an integer has one zero; as a float it would be no integer in draft 4 */
    mllm_buffer_put(&v->json, text, strlen(text));
    mllm_value_tell(v, MLLM_LEAF_END, NULL, 0, NULL, 0);
    mllm_value_after(v);
    return true;
}

/* `next`: the byte that follows, 0 at the end. */
static bool end_literal(mllm_value *v, char next) {
    static const struct {
        const char *word, *json;
        bool python;
    } words[] = {{"true", "true", false}, {"false", "false", false}, {"null", "null", false},
                 {"True", "true", true},  {"False", "false", true},  {"None", "null", true}};
    v->word[v->word_length] = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(v->word, words[i].word) != 0) continue;
        if (words[i].python && v->dialect != MLLM_VALUE_PYTHON) {
            if (!v->repair) break;
            v->repairs |= MLLM_REPAIR_LITERAL;
        }
        mllm_buffer_put(&v->json, words[i].json, strlen(words[i].json));
        mllm_value_tell(v, MLLM_LEAF_END, NULL, 0, NULL, 0);
        mllm_value_after(v);
        return true;
    }
    if (v->repair && next != '(' && next != '.' && next != '"' && next != '\'') { /* a bare word is a string */
        v->repairs |= MLLM_REPAIR_LITERAL;
        mllm_buffer_put(&v->json, "\"", 1);
        mllm_value_text_put(v, v->word, (size_t)v->word_length);
        mllm_value_text_end(v);
        mllm_buffer_put(&v->json, "\"", 1);
        mllm_value_tell(v, MLLM_LEAF_END | MLLM_LEAF_STRING, NULL, 0, v->word, (size_t)v->word_length);
        mllm_value_after(v);
        return true;
    }
    size_t shown = (size_t)v->word_length; /* cut before a character, not inside one */
    if (shown > 40)
        for (shown = 40; shown && ((unsigned char)v->word[shown] & 0xC0) == 0x80; shown--) {
        }
    broken(v, "'%.*s' is not a value", (int)shown, v->word);
    return false;
}

static bool word_byte(mllm_value *v, const char *at, unsigned phase) {
    if (v->word_length + 1 >= MLLM_VALUE_MAX_NUMBER) {
        broken(v, "a number or literal of more than %d bytes", MLLM_VALUE_MAX_NUMBER);
        v->over_limit = true;
        return false;
    }
    v->word[v->word_length++] = *at;
    mllm_value_tell(v, phase, at, 1, NULL, 0);
    return true;
}

/* ----------------------------------------------------------------------- states */

/* Each returns false when the byte breaks the value. A byte that a state does not take is looked at again: *taken = false. */

static bool at_value(mllm_value *v, const char *at) {
    char c = *at;
    if (mllm_value_is_space(c)) return true;
    bool python = v->dialect == MLLM_VALUE_PYTHON;
    if (c == ']' && v->depth && v->frames[v->depth - 1].kind == '[' &&
        (v->may_close || (v->after_comma && v->repair))) {
        if (v->after_comma && !python) v->repairs |= MLLM_REPAIR_COMMA;
        pop(v);
        return true;
    }
    if (c == ')' && python && v->depth && v->frames[v->depth - 1].kind == '[' && v->may_close) { /* a tuple */
        pop(v);
        return true;
    }
    if (c == '{' || c == '[' || (c == '(' && python)) {
        begin_leaf(v);
        return push(v, c == '{' ? '{' : '[');
    }
    if ((c == '"' && (v->dialect != MLLM_VALUE_ESCAPED || v->repair)) || (c == '\'' && (python || v->repair))) {
        if (v->dialect == MLLM_VALUE_ESCAPED || (c == '\'' && !python)) v->repairs |= MLLM_REPAIR_QUOTE;
        begin_leaf(v);
        mllm_value_open_string(v, c);
        if (python) v->state = QUOTE_ONE;
        mllm_value_tell(v, MLLM_LEAF_BEGIN | MLLM_LEAF_STRING, at, 1, NULL, 0);
        return true;
    }
    if (v->dialect == MLLM_VALUE_ESCAPED && c == v->delimiter[0]) {
        begin_leaf(v);
        mllm_value_open_string(v, 0);
        mllm_value_tell(v, MLLM_LEAF_BEGIN | MLLM_LEAF_STRING, at, 1, NULL, 0);
        v->quotes = 1;
        v->state = v->delimiter_length == 1 ? IN_STRING : IN_DELIMITER;
        if (v->delimiter_length == 1) v->quotes = 0;
        return true;
    }
    if (mllm_value_is_digit(c) || c == '-' || ((c == '+' || c == '.') && (python || v->repair))) {
        begin_leaf(v);
        v->word_length = 0;
        v->state = IN_NUMBER;
        return word_byte(v, at, MLLM_LEAF_BEGIN);
    }
    if (is_word(c)) {
        begin_leaf(v);
        v->word_length = 0;
        v->state = IN_LITERAL;
        return word_byte(v, at, MLLM_LEAF_BEGIN);
    }
    mllm_value_unexpected(v, "a value", c);
    return false;
}

/* A key without quotes goes up to the colon there, as templates write whatever the key is. */
static bool in_escaped_key(const mllm_value *v, char c) {
    return (unsigned char)c >= ' ' && !strchr(":,{}[]\"'", c) && c != v->delimiter[0];
}

static bool at_key(mllm_value *v, const char *at) {
    char c = *at, kind = v->frames[v->depth - 1].kind;
    if (mllm_value_is_space(c)) return true;
    bool python = v->dialect == MLLM_VALUE_PYTHON;
    if (c == (kind == '(' ? ')' : '}')) {
        if (!v->may_close) {
            if (!v->repair) {
                mllm_value_unexpected(v, "a key", c);
                return false;
            }
            v->repairs |= MLLM_REPAIR_COMMA;
        }
        pop(v);
        return true;
    }
    if (kind == '{' && (c == '"' || (c == '\'' && (python || v->repair)))) {
        if (c == '\'' && !python) v->repairs |= MLLM_REPAIR_QUOTE;
        begin_key(v);
        mllm_value_open_string(v, c);
        return true;
    }
    bool bare = v->repair && is_word(c);
    if (kind == '(')
        bare = (is_word(c) && !mllm_value_is_digit(c)) || c == '$' || c == '@';
    else if (v->dialect == MLLM_VALUE_ESCAPED)
        bare = in_escaped_key(v, c);
    if (bare) {
        if (kind == '{' && v->dialect != MLLM_VALUE_ESCAPED) v->repairs |= MLLM_REPAIR_KEY;
        begin_key(v);
        mllm_value_text_put(v, at, 1);
        v->state = IN_KEY;
        return true;
    }
    mllm_value_unexpected(v, kind == '(' ? "the name of an argument" : "a key", c);
    return false;
}

static bool in_key(mllm_value *v, const char *at, bool *taken) {
    char c = *at;
    bool escaped = v->dialect == MLLM_VALUE_ESCAPED;
    if (escaped ? in_escaped_key(v, c) : is_word(c) || (c && strchr("-.$@", c))) {
        mllm_value_text_put(v, at, 1);
        return true;
    }
    if (escaped) /* white space before the colon */
        while (v->keys.length && v->keys.data[v->keys.length - 1] == ' ') v->keys.length--;
    mllm_value_end_key(v);
    v->state = AT_COLON;
    *taken = false;
    return true;
}

static bool at_colon(mllm_value *v, const char *at) {
    char c = *at, kind = v->frames[v->depth - 1].kind;
    if (mllm_value_is_space(c)) return true;
    if (c == (kind == '(' ? '=' : ':')) {
        v->may_close = v->after_comma = false;
        v->state = AT_VALUE;
        return true;
    }
    mllm_value_unexpected(v, kind == '(' ? "'=' after the name of an argument" : "':' after a key", c);
    return false;
}

static bool at_next(mllm_value *v, const char *at) {
    char c = *at, kind = v->frames[v->depth - 1].kind;
    if (mllm_value_is_space(c)) return true;
    bool python = v->dialect == MLLM_VALUE_PYTHON;
    if (c == ',') {
        v->may_close = python;
        v->after_comma = true;
        v->state = kind == '[' ? AT_VALUE : AT_KEY;
        return true;
    }
    if (c == (kind == '[' ? ']' : kind == '(' ? ')' : '}') || (python && kind == '[' && c == ')')) {
        pop(v);
        return true;
    }
    mllm_value_unexpected(v, kind == '[' ? "',' or ']'" : kind == '(' ? "',' or ')'" : "',' or '}'", c);
    return false;
}

static bool in_number(mllm_value *v, const char *at, bool *taken) {
    char c = *at;
    bool lenient = v->dialect == MLLM_VALUE_PYTHON || v->repair;
    if (mllm_value_is_digit(c) || c == '.' || c == '+' || c == '-' || c == 'e' || c == 'E' || (lenient && is_word(c)))
        return word_byte(v, at, 0);
    *taken = false;
    return end_number(v);
}

static bool in_literal(mllm_value *v, const char *at, bool *taken) {
    if (is_word(*at)) return word_byte(v, at, 0);
    *taken = false;
    return end_literal(v, *at);
}

/* ----------------------------------------------------------------------- interface */

void mllm_value_start(mllm_value *v) {
    v->json.length = v->keys.length = 0;
    v->taken = 0;
    v->json.failed = v->keys.failed = false;
    v->depth = v->safe_depth = 0;
    v->leaf = v->safe = 0;
    v->repairs = 0;
    v->reason[0] = 0;
    v->over_limit = false;
    v->state = AT_VALUE;
    v->may_close = v->after_comma = v->is_key = v->triple = v->writing = false;
    v->quotes = v->word_length = 0;
    mllm_value_text_begin(v);
}

void mllm_value_start_inside(mllm_value *v, char container) {
    mllm_value_start(v);
    push(v, container);
}

size_t mllm_value_feed(mllm_value *v, const char *bytes, size_t length, mllm_value_status *status) {
    size_t i = 0, room = v->limit ? v->limit - v->taken : length;
    bool over = length > room;
    if (over) length = room;
    while (i < length && v->state != COMPLETE) {
        bool ok = true, taken = true;
        const char *at = bytes + i;
        switch (v->state) {
        case AT_VALUE: ok = at_value(v, at); break;
        case AT_KEY: ok = at_key(v, at); break;
        case IN_KEY: ok = in_key(v, at, &taken); break;
        case AT_COLON: ok = at_colon(v, at); break;
        case AT_NEXT: ok = at_next(v, at); break;
        case QUOTE_ONE:
        case QUOTE_TWO:
        case IN_STRING:
        case IN_ESCAPE:
        case IN_UNICODE:
        case AFTER_QUOTE:
        case IN_DELIMITER:
            i += mllm_value_string_feed(v, at, length - i, &ok);
            taken = false;
            break;
        case IN_NUMBER: ok = in_number(v, at, &taken); break;
        default: ok = in_literal(v, at, &taken); break;
        }
        if (!ok) {
            *status = MLLM_VALUE_BROKEN;
            return i;
        }
        if (taken) i++;
    }
    v->taken += i;
    if (over && v->state != COMPLETE) {
        broken(v, "more than %zu bytes in a value", v->limit);
        v->over_limit = true;
        *status = MLLM_VALUE_BROKEN;
        return i;
    }
    *status = v->json.failed || v->keys.failed ? MLLM_VALUE_FAILED
              : v->state == COMPLETE           ? MLLM_VALUE_DONE
                                               : MLLM_VALUE_MORE;
    return i;
}

mllm_value_status mllm_value_finish(mllm_value *v) {
    bool ok = true;
    if (v->depth == 0) {
        if (v->state == IN_NUMBER)
            ok = end_number(v);
        else if (v->state == IN_LITERAL)
            ok = end_literal(v, 0);
        else if (v->state == QUOTE_TWO)
            mllm_value_close_string(v, NULL, 0);
        else if (v->state == AFTER_QUOTE)
            mllm_value_close_string(v, &v->quote, 1);
    }
    if (v->json.failed || v->keys.failed) return MLLM_VALUE_FAILED;
    return !ok ? MLLM_VALUE_BROKEN : v->state == COMPLETE ? MLLM_VALUE_DONE : MLLM_VALUE_MORE;
}

bool mllm_value_close(mllm_value *v) {
    if (v->state == AFTER_QUOTE && !v->is_key) mllm_value_close_string(v, &v->quote, 1);
    if (v->state == IN_LITERAL && !end_literal(v, 0)) return false;
    while (v->depth && (v->state == AT_NEXT || (v->state == AT_KEY && v->after_comma) ||
                        (v->state == AT_VALUE && v->after_comma && v->frames[v->depth - 1].kind == '[') ||
                        ((v->state == AT_KEY || v->state == AT_VALUE) && v->may_close)))
        pop(v);
    if (v->state != COMPLETE || v->json.failed || v->keys.failed) return false;
    v->repairs |= MLLM_REPAIR_CLOSE;
    return true;
}

void mllm_value_salvage(const mllm_value *v, mllm_buffer *out) {
    if (!v->safe) {
        mllm_buffer_put(out, "{}", 2);
        return;
    }
    mllm_buffer_put(out, v->json.data, v->safe);
    for (int d = v->safe_depth; d-- > 0;) mllm_buffer_put(out, v->frames[d].kind == '[' ? "]" : "}", 1);
}

bool mllm_value_expects_value(const mllm_value *v) {
    return v->state == AT_VALUE && v->depth && !v->may_close && !v->after_comma;
}

bool mllm_value_in_string(const mllm_value *v) {
    return v->quote && (v->state == IN_STRING || v->state == IN_ESCAPE || v->state == IN_UNICODE);
}

void mllm_value_snapshot(const mllm_value *v, mllm_buffer *out) {
    if (!v->writing) {
        mllm_value_salvage(v, out);
        return;
    }
    mllm_buffer_put(out, v->json.data, v->json.length);
    mllm_buffer_put(out, "\"", 1);
    for (int d = v->depth; d-- > 0;) mllm_buffer_put(out, v->frames[d].kind == '[' ? "]" : "}", 1);
}

void mllm_value_free(mllm_value *v) {
    mllm_buffer_free(&v->json);
    mllm_buffer_free(&v->keys);
}
