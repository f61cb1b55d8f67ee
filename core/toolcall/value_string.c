/* value_string.c - the states inside a string or a key between quotes: escapes, long strings of Python, delimiters, and quotes that may not
 * be the last. */
#include <string.h>

#include "value_machine.h"

void mllm_value_open_string(mllm_value *v, char quote) {
    v->quote = quote;
    v->triple = false;
    v->quotes = 0;
    mllm_value_text_begin(v);
    v->writing = !v->is_key;
    if (!v->is_key) mllm_buffer_put(&v->json, "\"", 1);
    v->state = IN_STRING;
}

void mllm_value_close_string(mllm_value *v, const char *raw, size_t raw_length) {
    if (v->is_key) {
        mllm_value_end_key(v);
        v->state = AT_COLON;
        return;
    }
    mllm_value_text_end(v);
    v->writing = false;
    mllm_buffer_put(&v->json, "\"", 1);
    mllm_value_tell(v, MLLM_LEAF_END | MLLM_LEAF_STRING, raw, raw_length, NULL, 0);
    mllm_value_after(v);
}

/* Bytes that mean themselves. */
static void put_plain(mllm_value *v, const char *s, size_t n) {
    mllm_value_text_put(v, s, n);
    mllm_value_tell(v, MLLM_LEAF_STRING, s, n, s, n);
}

/* The decoded bytes of an escape. */
static void put_escape(mllm_value *v, const char *raw, const char *text, size_t length) {
    mllm_value_text_put(v, text, length);
    mllm_value_tell(v, MLLM_LEAF_STRING, raw, 1, text, length);
}

static void put_code_point(mllm_value *v, const char *raw, uint32_t cp) {
    char text[4];
    size_t length;
    if (mllm_value_text_code_point(v, cp, text, &length))
        put_escape(v, raw, text, length);
    else
        mllm_value_tell(v, MLLM_LEAF_STRING, raw, 1, NULL, 0);
}

/* The byte after a backslash. */
static bool in_escape(mllm_value *v, const char *at) {
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
        mllm_value_tell(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
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
        mllm_value_tell(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
        return true;
    }
    if (python || v->repair) { /* as Python reads it: the backslash stays */
        char text[2] = {'\\', c};
        if (!python) v->repairs |= MLLM_REPAIR_ESCAPE;
        put_escape(v, at, text, 2);
        return true;
    }
    mllm_value_unexpected(v, "an escape", c);
    return false;
}

/* Whether a byte after a quote (and white space) shows that the quote was the last one. */
static bool closes(const mllm_value *v, char c) {
    if (v->is_key) return c == ':' || c == '=';
    return c == ',' || c == '}' || c == ']' || c == ')' || (v->depth == 0 && c != v->quote);
}

/* Text up to the closing delimiter, or with it. Returns the bytes taken. */
static size_t in_delimited(mllm_value *v, const char *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        if (v->quotes) {
            if (s[i] == v->delimiter[v->quotes]) {
                i++;
                if ((size_t)++v->quotes < v->delimiter_length) continue;
                mllm_value_close_string(v, v->delimiter, v->delimiter_length);
                v->quotes = 0;
                return i;
            }
            /* What was matched is text; delimiters begin with a byte that stands in them once, so no match is lost. */
            put_plain(v, v->delimiter, (size_t)v->quotes);
            v->quotes = 0;
        }
        const char *hit = memchr(s + i, v->delimiter[0], n - i);
        size_t run = hit ? (size_t)(hit - s) : n;
        if (run > i) put_plain(v, s + i, run - i);
        if ((i = run) == n) break;
        v->quotes = 1;
        i++;
        if (v->delimiter_length == 1) {
            v->quotes = 0;
            mllm_value_close_string(v, v->delimiter, 1);
            return i;
        }
    }
    return i;
}

/* Quotes of a long string that did not close it. */
static void put_held(mllm_value *v) {
    char held[3] = {v->quote, v->quote, v->quote};
    if (!v->quotes) return;
    mllm_value_text_put(v, held, (size_t)v->quotes);
    mllm_value_tell(v, MLLM_LEAF_STRING, NULL, 0, held, (size_t)v->quotes);
    v->quotes = 0;
}

/* A run of plain bytes, or one that matters. Returns the bytes taken. */
static size_t in_string(mllm_value *v, const char *s, size_t n) {
    if (v->quote == 0) return in_delimited(v, s, n);
    size_t run = 0;
    while (run < n && s[run] != v->quote && s[run] != '\\') run++;
    if (run) {
        put_held(v);
        put_plain(v, s, run);
        return run;
    }
    if (s[0] == '\\') {
        put_held(v);
        mllm_value_tell(v, MLLM_LEAF_STRING, s, 1, NULL, 0);
        v->state = IN_ESCAPE;
    } else if (v->triple && ++v->quotes < 3)
        mllm_value_tell(v, MLLM_LEAF_STRING, s, 1, NULL, 0);
    else if (v->triple) {
        v->quotes = 0;
        mllm_value_close_string(v, s, 1);
    } else if (v->repair) {
        v->word_length = 0;
        v->state = AFTER_QUOTE;
    } else
        mllm_value_close_string(v, s, 1);
    return 1;
}

/* repair: the quote was held back; white space after it too, so that both can still be text. Whether the byte is taken. */
static bool after_quote(mllm_value *v, const char *at) {
    char c = *at;
    if (mllm_value_is_space(c) && v->word_length < 32) {
        v->word[v->word_length++] = c;
        return true;
    }
    if (closes(v, c)) {
        mllm_value_close_string(v, &v->quote, 1);
        return false;
    }
    char held[33];
    size_t length = 1 + (size_t)v->word_length;
    held[0] = v->quote;
    memcpy(held + 1, v->word, length - 1);
    v->repairs |= MLLM_REPAIR_QUOTE;
    put_plain(v, held, length);
    v->state = IN_STRING;
    return false;
}

static bool in_unicode(mllm_value *v, const char *at, bool *taken) {
    char c = *at;
    int digit = mllm_value_is_digit(c) ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) {
        if (!v->repair) {
            mllm_value_unexpected(v, "a hexadecimal digit", c);
            return false;
        }
        v->repairs |= MLLM_REPAIR_ESCAPE;
        mllm_value_text_replace(v);
        v->state = IN_STRING;
        *taken = false;
        return true;
    }
    v->unit = v->unit << 4 | (unsigned)digit;
    if (--v->units == 0) {
        v->state = IN_STRING;
        put_code_point(v, at, v->unit);
    } else
        mllm_value_tell(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
    return true;
}

/* Python: how many quotes open the string? Whether this is one more. */
static bool count_quotes(mllm_value *v, const char *at) {
    bool again = *at == v->quote;
    if (again) mllm_value_tell(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
    if (v->state == QUOTE_ONE)
        v->state = again ? QUOTE_TWO : IN_STRING;
    else if (again) {
        v->triple = true;
        v->state = IN_STRING;
    } else
        mllm_value_close_string(v, NULL, 0);
    return again;
}

static bool in_delimiter(mllm_value *v, const char *at) {
    if (*at != v->delimiter[v->quotes]) {
        mllm_value_unexpected(v, "the opening delimiter of a string", *at);
        return false;
    }
    mllm_value_tell(v, MLLM_LEAF_STRING, at, 1, NULL, 0);
    if ((size_t)++v->quotes == v->delimiter_length) {
        v->quotes = 0;
        v->state = IN_STRING;
    }
    return true;
}

size_t mllm_value_string_feed(mllm_value *v, const char *bytes, size_t length, bool *ok) {
    bool taken = true;
    *ok = true;
    switch (v->state) {
    case IN_STRING: return in_string(v, bytes, length);
    case QUOTE_ONE:
    case QUOTE_TWO: taken = count_quotes(v, bytes); break;
    case IN_ESCAPE: *ok = in_escape(v, bytes); break;
    case IN_UNICODE: *ok = in_unicode(v, bytes, &taken); break;
    case AFTER_QUOTE: taken = after_quote(v, bytes); break;
    default: *ok = in_delimiter(v, bytes); break;
    }
    return *ok && taken;
}
