#include "value.h"
#include "number.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AT_VALUE,
    AT_KEY,
    IN_KEY, /* a key without quotes */
    AT_COLON,
    AT_NEXT, /* after a value, inside a container */
    QUOTE_ONE, /* Python: one quote seen, a second may follow */
    QUOTE_TWO, /* Python: two quotes seen: empty, or three of them open a long string */
    IN_STRING,
    IN_ESCAPE,
    IN_UNICODE,
    AFTER_QUOTE, /* repair: a quote that closes only if the next byte says so */
    IN_DELIMITER, /* escaped: the opening delimiter, partly matched */
    IN_NUMBER,
    IN_LITERAL,
    COMPLETE
};

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_word(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static void broken(mllm_value *v, const char *format, ...) MLLM_PRINTF(2, 3);

static void broken(mllm_value *v, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(v->reason, sizeof v->reason, format, args);
    va_end(args);
}

/* "expected ..., got 'x'": names a printable byte, counts on the message being UTF-8 otherwise. */
static void unexpected(mllm_value *v, const char *expected, char c) {
    if (c > ' ' && c < 0x7f)
        broken(v, "expected %s, got '%c'", expected, c);
    else
        broken(v, "expected %s, got byte 0x%02x", expected, (unsigned)(unsigned char)c);
}

static void put(mllm_value *v, const char *s, size_t n) {
    mllm_buffer_put(&v->json, s, n);
}

static void after_value(mllm_value *v);
static void begin_key(mllm_value *v);
static void end_key(mllm_value *v);
static void pop(mllm_value *v);

/* ------------------------------------------------------------------- strings */

/* Bytes that are known to be UTF-8: into the key, or escaped into the JSON. */
static void put_clean(mllm_value *v, const char *s, size_t n) {
    if (v->is_key) {
        mllm_buffer_put(&v->keys, s, n);
        return;
    }
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        char escape[8];
        size_t length = 2;
        escape[0] = '\\';
        switch (c) {
        case '"': escape[1] = '"'; break;
        case '\\': escape[1] = '\\'; break;
        case '\n': escape[1] = 'n'; break;
        case '\r': escape[1] = 'r'; break;
        case '\t': escape[1] = 't'; break;
        case '\b': escape[1] = 'b'; break;
        case '\f': escape[1] = 'f'; break;
        default: length = (size_t)snprintf(escape, sizeof escape, "\\u%04x", c); break;
        }
        put(v, s + done, i - done);
        put(v, escape, length);
        done = i + 1;
    }
    put(v, s + done, n - done);
}

static void replacement(mllm_value *v) {
    put_clean(v, "\xEF\xBF\xBD", 3);
}

static bool utf8_valid(const unsigned char *u, int n) {
    uint32_t cp;
    if (n == 2)
        return u[0] >= 0xC2;
    else if (n == 3) {
        cp = (uint32_t)(u[0] & 15) << 12 | (uint32_t)(u[1] & 63) << 6 | (u[2] & 63);
        return cp >= 0x800 && (cp < 0xD800 || cp > 0xDFFF);
    }
    cp = (uint32_t)(u[0] & 7) << 18 | (uint32_t)(u[1] & 63) << 12 | (uint32_t)(u[2] & 63) << 6 | (u[3] & 63);
    return cp >= 0x10000 && cp <= 0x10FFFF;
}

/* Any bytes; characters may be cut by the end of a piece. */
static void put_bytes(mllm_value *v, const char *s, size_t n) {
    size_t i = 0;
    if (v->high && n) {
        v->high = 0;
        replacement(v);
    }
    while (i < n) {
        if (!v->utf8_need) {
            size_t run = i;
            while (run < n && (unsigned char)s[run] < 0x80) run++;
            put_clean(v, s + i, run - i);
            if ((i = run) == n) return;
            unsigned char c = (unsigned char)s[i++];
            v->utf8_need = c >= 0xF0 && c < 0xF5 ? 4 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xC2 && c < 0xE0 ? 2 : 0;
            v->utf8[0] = c;
            v->utf8_have = 1;
            if (!v->utf8_need) replacement(v);
        } else if (((unsigned char)s[i] & 0xC0) == 0x80) {
            v->utf8[v->utf8_have++] = (unsigned char)s[i++];
            if (v->utf8_have == v->utf8_need) {
                if (utf8_valid(v->utf8, v->utf8_need))
                    put_clean(v, (const char *)v->utf8, (size_t)v->utf8_need);
                else
                    replacement(v);
                v->utf8_need = 0;
            }
        } else {
            v->utf8_need = 0;
            replacement(v);
        }
    }
}

/* A code point out of an escape. Writes its UTF-8 to out[4] and returns the length. */
static size_t utf8_encode(uint32_t cp, char *out) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 63));
        out[2] = (char)(0x80 | (cp & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 63));
    out[2] = (char)(0x80 | (cp >> 6 & 63));
    out[3] = (char)(0x80 | (cp & 63));
    return 4;
}

static void seal_text(mllm_value *v) {
    if (v->utf8_need || v->high) replacement(v);
    v->utf8_need = 0;
    v->high = 0;
}

static void leaf(mllm_value *v, unsigned phase, const char *raw, size_t raw_length, const char *text,
                 size_t text_length) {
    if (v->is_key || !v->leaf_seen) return;
    if (!(phase & (MLLM_LEAF_BEGIN | MLLM_LEAF_END)) && !raw_length && !text_length) return;
    v->leaf_seen(v->owner, phase, raw, raw_length, text, text_length);
}

void mllm_value_string_begin(mllm_value *v) {
    v->leaf = v->json.length;
    v->utf8_need = 0;
    v->high = 0;
    v->is_key = false;
    v->writing = true;
    put(v, "\"", 1);
}

void mllm_value_member(mllm_value *v, const char *key, size_t length) {
    begin_key(v);
    put_bytes(v, key, length);
    end_key(v);
    v->leaf = v->json.length;
}

void mllm_value_member_end(mllm_value *v) {
    after_value(v);
}

void mllm_value_end_inside(mllm_value *v) {
    pop(v);
}

void mllm_value_string_put(mllm_value *v, const char *bytes, size_t length) {
    put_bytes(v, bytes, length);
}

void mllm_value_string_end(mllm_value *v) {
    seal_text(v);
    v->writing = false;
    put(v, "\"", 1);
}

/* -------------------------------------------------------------------- structure */

static void after_value(mllm_value *v) {
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
    put(v, kind == '[' ? "[" : "{", 1);
    v->may_close = true;
    v->after_comma = false;
    v->state = kind == '[' ? AT_VALUE : AT_KEY;
    return true;
}

static void pop(mllm_value *v) {
    mllm_value_frame *f = &v->frames[v->depth - 1];
    bool empty = f->index == 0 && v->depth > 1;
    v->keys.length = f->key;
    put(v, f->kind == '[' ? "]" : "}", 1);
    v->depth--;
    v->is_key = false;
    if (empty) {
        v->leaf = v->json.length - 2;
        leaf(v, MLLM_LEAF_BEGIN | MLLM_LEAF_END, f->kind == '[' ? "[]" : "{}", 2, NULL, 0);
    }
    after_value(v);
}

/* Before a value: its comma, and the place where it begins. */
static void begin_leaf(mllm_value *v) {
    if (v->depth && v->frames[v->depth - 1].kind == '[' && v->frames[v->depth - 1].index) put(v, ",", 1);
    v->is_key = false;
    v->leaf = v->json.length;
}

static void begin_key(mllm_value *v) {
    mllm_value_frame *f = &v->frames[v->depth - 1];
    if (f->index) put(v, ",", 1);
    v->keys.length = f->key;
    v->is_key = true;
    v->utf8_need = 0;
    v->high = 0;
}

static void end_key(mllm_value *v) {
    mllm_value_frame *f = &v->frames[v->depth - 1];
    seal_text(v);
    f->length = (uint32_t)(v->keys.length - f->key);
    const char *text = v->keys.data ? v->keys.data + f->key : "";
    if (!v->keys.failed && !mllm_json_put_string(&v->json, text, f->length)) v->json.failed = true;
    put(v, ":", 1);
    v->is_key = false;
}

static void begin_string(mllm_value *v, char quote) {
    v->quote = quote;
    v->triple = false;
    v->quotes = 0;
    v->utf8_need = 0;
    v->high = 0;
    v->writing = !v->is_key;
    if (!v->is_key) put(v, "\"", 1);
    v->state = IN_STRING;
}

static void end_string(mllm_value *v, const char *raw, size_t raw_length) {
    if (v->is_key) {
        end_key(v);
        v->state = AT_COLON;
        return;
    }
    seal_text(v);
    v->writing = false;
    put(v, "\"", 1);
    leaf(v, MLLM_LEAF_END | MLLM_LEAF_STRING, raw, raw_length, NULL, 0);
    after_value(v);
}

/* The decoded bytes of an escape. */
static void put_escape(mllm_value *v, const char *raw, const char *text, size_t length) {
    put_bytes(v, text, length);
    leaf(v, MLLM_LEAF_STRING, raw, 1, text, length);
}

static void put_code_point(mllm_value *v, const char *raw, uint32_t cp) {
    char text[4];
    if (v->high && cp >= 0xDC00 && cp <= 0xDFFF) {
        cp = 0x10000 + ((v->high - 0xD800) << 10) + (cp - 0xDC00);
        v->high = 0;
    }
    if (cp >= 0xD800 && cp <= 0xDBFF) {
        if (v->high) replacement(v);
        v->high = cp;
        leaf(v, MLLM_LEAF_STRING, raw, 1, NULL, 0);
        return;
    }
    if (cp > 0x10FFFF || (cp >= 0xDC00 && cp <= 0xDFFF)) cp = 0xFFFD;
    put_escape(v, raw, text, utf8_encode(cp, text));
}

/* The byte after a backslash. */
static bool escape_byte(mllm_value *v, const char *at) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *at;
    const char *found = c ? strchr(from, c) : NULL;
    v->state = IN_STRING;
    if (found && !(v->dialect == MLLM_VALUE_PYTHON && c == '/')) {
        put_escape(v, at, to + (found - from), 1);
        return true;
    }
    bool python = v->dialect == MLLM_VALUE_PYTHON;
    if (c == 'u' || (python && (c == 'x' || c == 'U'))) {
        v->units = c == 'u' ? 4 : c == 'x' ? 2 : 8;
        v->unit = 0;
        v->state = IN_UNICODE;
        leaf(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
        return true;
    }
    if (c == '\'' && (python || v->repair)) {
        if (!python) v->repairs |= MLLM_REPAIR_ESCAPE;
        put_escape(v, at, "'", 1);
        return true;
    }
    if (python && (c == 'a' || c == 'v' || c == '0')) {
        put_escape(v, at, c == 'a' ? "\a" : c == 'v' ? "\v" : "\0", 1);
        return true;
    }
    if (python && c == '\n') { /* the line goes on */
        leaf(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
        return true;
    }
    if (python || v->repair) { /* as Python reads it: the backslash stays */
        char text[2] = {'\\', c};
        if (!python) v->repairs |= MLLM_REPAIR_ESCAPE;
        put_escape(v, at, text, 2);
        return true;
    }
    unexpected(v, "an escape", c);
    return false;
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
    put(v, text, strlen(text));
    leaf(v, MLLM_LEAF_END, NULL, 0, NULL, 0);
    after_value(v);
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
        put(v, words[i].json, strlen(words[i].json));
        leaf(v, MLLM_LEAF_END, NULL, 0, NULL, 0);
        after_value(v);
        return true;
    }
    if (v->repair && next != '(' && next != '.' && next != '"' && next != '\'') { /* a bare word is a string */
        v->repairs |= MLLM_REPAIR_LITERAL;
        put(v, "\"", 1);
        put_bytes(v, v->word, (size_t)v->word_length);
        seal_text(v);
        put(v, "\"", 1);
        leaf(v, MLLM_LEAF_END | MLLM_LEAF_STRING, NULL, 0, v->word, (size_t)v->word_length);
        after_value(v);
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
    leaf(v, phase, at, 1, NULL, 0);
    return true;
}

/* ----------------------------------------------------------------------- states */

/* Each returns false when the byte breaks the value. A byte that a state does not take is looked at again: *taken = false. */

static bool at_value(mllm_value *v, const char *at) {
    char c = *at;
    if (is_space(c)) return true;
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
        begin_string(v, c);
        if (python) v->state = QUOTE_ONE;
        leaf(v, MLLM_LEAF_BEGIN | MLLM_LEAF_STRING, at, 1, NULL, 0);
        return true;
    }
    if (v->dialect == MLLM_VALUE_ESCAPED && c == v->delimiter[0]) {
        begin_leaf(v);
        begin_string(v, 0);
        leaf(v, MLLM_LEAF_BEGIN | MLLM_LEAF_STRING, at, 1, NULL, 0);
        v->quotes = 1;
        v->state = v->delimiter_length == 1 ? IN_STRING : IN_DELIMITER;
        if (v->delimiter_length == 1) v->quotes = 0;
        return true;
    }
    if (is_digit(c) || c == '-' || ((c == '+' || c == '.') && (python || v->repair))) {
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
    unexpected(v, "a value", c);
    return false;
}

static bool at_key(mllm_value *v, const char *at) {
    char c = *at, kind = v->frames[v->depth - 1].kind;
    if (is_space(c)) return true;
    bool python = v->dialect == MLLM_VALUE_PYTHON;
    if (c == (kind == '(' ? ')' : '}')) {
        if (!v->may_close) {
            if (!v->repair) {
                unexpected(v, "a key", c);
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
        begin_string(v, c);
        return true;
    }
    if ((kind == '(' || v->dialect == MLLM_VALUE_ESCAPED || v->repair) && is_word(c) && !(kind == '(' && is_digit(c))) {
        if (kind == '{' && v->dialect != MLLM_VALUE_ESCAPED) v->repairs |= MLLM_REPAIR_KEY;
        begin_key(v);
        put_bytes(v, at, 1);
        v->state = IN_KEY;
        return true;
    }
    unexpected(v, kind == '(' ? "the name of an argument" : "a key", c);
    return false;
}

static bool in_key(mllm_value *v, const char *at, bool *taken) {
    char c = *at;
    if (is_word(c) || c == '-' || c == '.' || c == '$') {
        put_bytes(v, at, 1);
        return true;
    }
    end_key(v);
    v->state = AT_COLON;
    *taken = false;
    return true;
}

static bool at_colon(mllm_value *v, const char *at) {
    char c = *at, kind = v->frames[v->depth - 1].kind;
    if (is_space(c)) return true;
    if (c == (kind == '(' ? '=' : ':')) {
        v->may_close = v->after_comma = false;
        v->state = AT_VALUE;
        return true;
    }
    unexpected(v, kind == '(' ? "'=' after the name of an argument" : "':' after a key", c);
    return false;
}

static bool at_next(mllm_value *v, const char *at) {
    char c = *at, kind = v->frames[v->depth - 1].kind;
    if (is_space(c)) return true;
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
    unexpected(v, kind == '[' ? "',' or ']'" : kind == '(' ? "',' or ')'" : "',' or '}'", c);
    return false;
}

/* Whether a byte after a quote (and white space) shows that the quote was the last one. */
static bool closes(const mllm_value *v, char c) {
    if (v->is_key) return c == ':' || c == '=';
    return c == ',' || c == '}' || c == ']' || c == ')' || (v->depth == 0 && c != v->quote);
}

/* A run of plain bytes inside a string, or one that matters. Returns the bytes taken; *ok false when the value broke. */
static size_t in_string(mllm_value *v, const char *s, size_t n) {
    size_t i = 0;
    if (v->quote == 0) { /* up to the closing delimiter */
        while (i < n) {
            if (v->quotes) {
                if (s[i] == v->delimiter[v->quotes]) {
                    if ((size_t)++v->quotes == v->delimiter_length) {
                        end_string(v, v->delimiter, v->delimiter_length);
                        v->quotes = 0;
                        return i + 1;
                    }
                    i++;
                    continue;
                }
                /* What was matched is text; delimiters begin with a byte that stands in them once, so no match is lost. */
                put_bytes(v, v->delimiter, (size_t)v->quotes);
                leaf(v, MLLM_LEAF_STRING, v->delimiter, (size_t)v->quotes, v->delimiter, (size_t)v->quotes);
                v->quotes = 0;
            }
            const char *hit = memchr(s + i, v->delimiter[0], n - i);
            size_t run = hit ? (size_t)(hit - s) : n;
            if (run > i) {
                put_bytes(v, s + i, run - i);
                leaf(v, MLLM_LEAF_STRING, s + i, run - i, s + i, run - i);
            }
            if ((i = run) == n) break;
            v->quotes = 1;
            i++;
            if (v->delimiter_length == 1) {
                v->quotes = 0;
                end_string(v, v->delimiter, 1);
                return i;
            }
        }
        return i;
    }
    while (i < n && s[i] != v->quote && s[i] != '\\') i++;
    if (i) {
        if (v->quotes) { /* quotes of a long string that did not close it */
            char held[3] = {v->quote, v->quote, v->quote};
            put_bytes(v, held, (size_t)v->quotes);
            leaf(v, MLLM_LEAF_STRING, NULL, 0, held, (size_t)v->quotes);
            v->quotes = 0;
        }
        put_bytes(v, s, i);
        leaf(v, MLLM_LEAF_STRING, s, i, s, i);
        return i;
    }
    if (s[0] == '\\') {
        if (v->quotes) {
            char held[3] = {v->quote, v->quote, v->quote};
            put_bytes(v, held, (size_t)v->quotes);
            leaf(v, MLLM_LEAF_STRING, NULL, 0, held, (size_t)v->quotes);
            v->quotes = 0;
        }
        leaf(v, MLLM_LEAF_STRING, s, 1, NULL, 0);
        v->state = IN_ESCAPE;
        return 1;
    }
    if (v->triple) {
        if (++v->quotes == 3) {
            v->quotes = 0;
            end_string(v, s, 1);
        } else
            leaf(v, MLLM_LEAF_STRING, s, 1, NULL, 0);
        return 1;
    }
    if (v->repair) {
        v->word_length = 0;
        v->state = AFTER_QUOTE;
        return 1;
    }
    end_string(v, s, 1);
    return 1;
}

/* repair: the quote was held back; white space after it too, so that both can still be text. */
static bool after_quote(mllm_value *v, const char *at, bool *taken) {
    char c = *at;
    if (is_space(c) && v->word_length < 32) {
        v->word[v->word_length++] = c;
        return true;
    }
    *taken = false;
    if (closes(v, c)) {
        end_string(v, &v->quote, 1);
        return true;
    }
    char held[33];
    size_t length = 1 + (size_t)v->word_length;
    held[0] = v->quote;
    memcpy(held + 1, v->word, length - 1);
    v->repairs |= MLLM_REPAIR_QUOTE;
    put_bytes(v, held, length);
    leaf(v, MLLM_LEAF_STRING, held, length, held, length);
    v->state = IN_STRING;
    return true;
}

static bool in_unicode(mllm_value *v, const char *at, bool *taken) {
    char c = *at;
    int digit = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) {
        if (!v->repair) {
            unexpected(v, "a hexadecimal digit", c);
            return false;
        }
        v->repairs |= MLLM_REPAIR_ESCAPE;
        replacement(v);
        v->state = IN_STRING;
        *taken = false;
        return true;
    }
    v->unit = v->unit << 4 | (unsigned)digit;
    if (--v->units == 0) {
        v->state = IN_STRING;
        put_code_point(v, at, v->unit);
    } else
        leaf(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
    return true;
}

/* Python: how many quotes open the string? */
static bool quote_two(mllm_value *v, const char *at, bool *taken) {
    if (v->state == QUOTE_ONE) {
        if (*at == v->quote) {
            leaf(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
            v->state = QUOTE_TWO;
            return true;
        }
        v->state = IN_STRING;
        *taken = false;
        return true;
    }
    if (*at == v->quote) {
        leaf(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
        v->triple = true;
        v->state = IN_STRING;
        return true;
    }
    end_string(v, NULL, 0);
    *taken = false;
    return true;
}

static bool in_number(mllm_value *v, const char *at, bool *taken) {
    char c = *at;
    bool lenient = v->dialect == MLLM_VALUE_PYTHON || v->repair;
    if (is_digit(c) || c == '.' || c == '+' || c == '-' || c == 'e' || c == 'E' || (lenient && is_word(c)))
        return word_byte(v, at, 0);
    *taken = false;
    return end_number(v);
}

static bool in_literal(mllm_value *v, const char *at, bool *taken) {
    if (is_word(*at)) return word_byte(v, at, 0);
    *taken = false;
    return end_literal(v, *at);
}

static bool in_delimiter(mllm_value *v, const char *at) {
    if (*at != v->delimiter[v->quotes]) {
        unexpected(v, "the opening delimiter of a string", *at);
        return false;
    }
    leaf(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
    if ((size_t)++v->quotes == v->delimiter_length) {
        v->quotes = 0;
        v->state = IN_STRING;
    }
    return true;
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
    v->quotes = 0;
    v->high = 0;
    v->utf8_need = 0;
    v->word_length = 0;
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
        case QUOTE_TWO: ok = quote_two(v, at, &taken); break;
        case IN_STRING:
            i += in_string(v, at, length - i);
            taken = false;
            break;
        case IN_ESCAPE: ok = escape_byte(v, at); break;
        case IN_UNICODE: ok = in_unicode(v, at, &taken); break;
        case AFTER_QUOTE: ok = after_quote(v, at, &taken); break;
        case IN_DELIMITER: ok = in_delimiter(v, at); break;
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
            end_string(v, NULL, 0);
        else if (v->state == AFTER_QUOTE)
            end_string(v, &v->quote, 1);
    }
    if (v->json.failed || v->keys.failed) return MLLM_VALUE_FAILED;
    return !ok ? MLLM_VALUE_BROKEN : v->state == COMPLETE ? MLLM_VALUE_DONE : MLLM_VALUE_MORE;
}

bool mllm_value_close(mllm_value *v) {
    if (v->state == AFTER_QUOTE && !v->is_key) end_string(v, &v->quote, 1);
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
