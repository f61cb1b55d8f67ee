#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "error.h"

/* ------------------------------------------------------------------- buffer */

void mllm_buffer_put(mllm_buffer *b, const char *bytes, size_t length) {
    if (b->failed) return;
    if (length > SIZE_MAX - b->length - 1) {
        b->failed = true;
        return;
    }
    size_t need = b->length + length + 1; /* a terminator always fits, so that `data` can be used as a C string */
    if (need > b->capacity) {
        size_t capacity = b->capacity < 128 ? 256 : b->capacity > SIZE_MAX / 2 ? need : b->capacity * 2;
        if (capacity < need) capacity = need;
        char *data = mllm_realloc_array(b->data, capacity, 1);
        if (!data) {
            b->failed = true;
            return;
        }
        b->data = data;
        b->capacity = capacity;
    }
    if (length) memcpy(b->data + b->length, bytes, length);
    b->length += length;
    b->data[b->length] = 0;
}

void mllm_buffer_free(mllm_buffer *b) {
    mllm_free(b->data);
    *b = (mllm_buffer){0};
}

/* ------------------------------------------------------------------ reading */

typedef struct {
    const unsigned char *text;
    size_t length, at;
    mllm_json *doc;
    uint32_t capacity;
    size_t strings_used;
    mllm_error *err;
} parser;

/* Every error says where: lines count from 1, columns count characters from 1. */
static mllm_code fail_at(parser *p, size_t at, mllm_code code, const char *what) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < p->length; i++) {
        if (p->text[i] == '\n') {
            line++;
            column = 1;
        } else if ((p->text[i] & 0xC0) != 0x80)
            column++;
    }
    return mllm_fail(p->err, code, "JSON line %zu column %zu: %s", line, column, what);
}

static mllm_code fail(parser *p, const char *what) {
    return fail_at(p, p->at, MLLM_E_FORMAT, p->at < p->length ? what : "the text ends here, in the middle of a value");
}

static void skip_space(parser *p) {
    while (p->at < p->length) {
        unsigned char c = p->text[p->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') break;
        p->at++;
    }
}

/* Appends a node; its index goes to *index. */
static mllm_code add_node(parser *p, mllm_json_kind kind, size_t start, uint32_t *index) {
    mllm_json *doc = p->doc;
    if (doc->count == p->capacity) {
        uint32_t capacity = p->capacity ? p->capacity * 2 : 16;
        if (p->capacity > UINT32_MAX / 2) return fail_at(p, start, MLLM_E_LIMIT, "too many values");
        mllm_json_node *nodes = mllm_realloc_array(doc->nodes, capacity, sizeof *nodes);
        if (!nodes) return mllm_fail_memory(p->err, capacity * sizeof *nodes, "a JSON tree");
        doc->nodes = nodes;
        p->capacity = capacity;
    }
    *index = doc->count++;
    mllm_json_node *n = &doc->nodes[*index];
    memset(n, 0, sizeof *n);
    n->kind = kind;
    n->start = (uint32_t)start;
    n->next = doc->count;
    return MLLM_OK;
}

/* Bytes of the UTF-8 sequence at s[0..n), 0 when it is none (RFC 3629). */
static size_t utf8_sequence(const unsigned char *s, size_t n) {
    if (s[0] < 0x80) return 1;
    size_t need = s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : (s[0] & 0xF0) == 0xE0 ? 3 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 0;
    if (need == 0 || need > n) return 0;
    for (size_t i = 1; i < need; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return need;
}

/* Four hexadecimal digits at the cursor, -1 when there are none. */
static int hex4(const parser *p) {
    if (p->length - p->at < 4) return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int c = p->text[p->at + (size_t)i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_character(char *out, uint32_t c) {
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

/* The escape at the cursor, which stands behind its backslash. */
static mllm_code read_escape(parser *p, char **out) {
    size_t start = p->at - 1;
    if (p->at == p->length) return fail(p, "");
    int c = p->text[p->at++];
    switch (c) {
    case '"':
    case '\\':
    case '/': *(*out)++ = (char)c; return MLLM_OK;
    case 'b': *(*out)++ = '\b'; return MLLM_OK;
    case 'f': *(*out)++ = '\f'; return MLLM_OK;
    case 'n': *(*out)++ = '\n'; return MLLM_OK;
    case 'r': *(*out)++ = '\r'; return MLLM_OK;
    case 't': *(*out)++ = '\t'; return MLLM_OK;
    case 'u': break;
    default: return fail_at(p, start, MLLM_E_FORMAT, "unknown escape");
    }
    int high = hex4(p);
    if (high < 0) return fail_at(p, start, MLLM_E_FORMAT, "\\u needs four hexadecimal digits");
    p->at += 4;
    uint32_t character = (uint32_t)high;
    if (high >= 0xDC00 && high <= 0xDFFF) return fail_at(p, start, MLLM_E_FORMAT, "lone low surrogate");
    if (high >= 0xD800 && high <= 0xDBFF) {
        if (p->length - p->at < 6 || p->text[p->at] != '\\' || p->text[p->at + 1] != 'u')
            return fail_at(p, start, MLLM_E_FORMAT, "lone high surrogate");
        p->at += 2;
        int low = hex4(p);
        if (low < 0xDC00 || low > 0xDFFF) return fail_at(p, start, MLLM_E_FORMAT, "lone high surrogate");
        p->at += 4;
        character = 0x10000 + ((uint32_t)(high - 0xD800) << 10) + (uint32_t)(low - 0xDC00);
    }
    *out = put_character(*out, character);
    return MLLM_OK;
}

/* A string with the cursor at its opening quote. No escape is shorter than what it stands for, so the bytes of all strings
 * and their terminators fit into as many bytes as the text has. */
static mllm_code read_string(parser *p) {
    uint32_t index;
    mllm_code code = add_node(p, MLLM_JSON_STRING, p->at, &index);
    if (code) return code;
    char *begin = p->doc->strings + p->strings_used, *out = begin;
    size_t open = p->at++;
    for (;;) {
        if (p->at >= p->length) return fail_at(p, open, MLLM_E_FORMAT, "a string without an end begins here");
        unsigned char c = p->text[p->at];
        if (c == '"') break;
        if (c < 0x20) return fail(p, "control character in a string (it must be escaped)");
        if (c == '\\') {
            p->at++;
            if ((code = read_escape(p, &out)) != MLLM_OK) return code;
            continue;
        }
        size_t n = utf8_sequence(p->text + p->at, p->length - p->at);
        if (n == 0) return fail(p, "the string is not valid UTF-8");
        memcpy(out, p->text + p->at, n);
        out += n;
        p->at += n;
    }
    p->at++;
    *out = 0;
    mllm_json_node *node = &p->doc->nodes[index];
    node->as.string = begin;
    node->count = (uint32_t)(out - begin);
    node->end = (uint32_t)p->at;
    p->strings_used += (size_t)(out - begin) + 1;
    return MLLM_OK;
}

/* The value of the number text[start, end) whose grammar was checked. strtod reads it as digits and an exponent, without a
 * decimal point, so that the locale of the host program does not matter. */
static mllm_code convert_number(parser *p, size_t start, size_t end, double *out) {
    char stack[128], *copy = stack;
    if (end - start > sizeof stack - 32) {
        copy = mllm_alloc(end - start + 32);
        if (!copy) return mllm_fail_memory(p->err, end - start + 32, "a JSON number");
    }
    size_t n = 0, i = start;
    int64_t exponent = 0;
    bool fraction = false;
    for (; i < end && p->text[i] != 'e' && p->text[i] != 'E'; i++) {
        if (p->text[i] == '.') {
            fraction = true;
        } else {
            copy[n++] = (char)p->text[i];
            exponent -= fraction;
        }
    }
    if (i < end) {
        i++;
        bool minus = p->text[i] == '-';
        if (minus || p->text[i] == '+') i++;
        int64_t written = 0;
        for (; i < end; i++)
            if (written < INT64_C(100000000000)) written = written * 10 + (p->text[i] - '0');
        exponent += minus ? -written : written;
    }
    snprintf(copy + n, 32, "e%" PRId64, exponent);
    *out = strtod(copy, NULL);
    if (copy != stack) mllm_free(copy);
    return isinf(*out) ? fail_at(p, start, MLLM_E_LIMIT, "the number is too large for a double") : MLLM_OK;
}

static bool digit_at(const parser *p) {
    return p->at < p->length && p->text[p->at] >= '0' && p->text[p->at] <= '9';
}

static mllm_code read_number(parser *p) {
    uint32_t index;
    size_t start = p->at;
    mllm_code code = add_node(p, MLLM_JSON_INTEGER, start, &index);
    if (code) return code;
    bool minus = p->text[p->at] == '-', integer = true, fits = true;
    if (minus) p->at++;
    if (!digit_at(p)) return fail(p, "a digit is missing");
    uint64_t value = 0;
    if (p->text[p->at] == '0') {
        p->at++;
        if (digit_at(p)) return fail(p, "a number may not begin with a needless zero");
    } else {
        for (; digit_at(p); p->at++) {
            uint64_t d = (uint64_t)(p->text[p->at] - '0');
            if (value > (UINT64_MAX - d) / 10) fits = false;
            if (fits) value = value * 10 + d;
        }
    }
    if (p->at < p->length && p->text[p->at] == '.') {
        integer = false;
        p->at++;
        if (!digit_at(p)) return fail(p, "a digit is missing behind the decimal point");
        while (digit_at(p)) p->at++;
    }
    if (p->at < p->length && (p->text[p->at] == 'e' || p->text[p->at] == 'E')) {
        integer = false;
        p->at++;
        if (p->at < p->length && (p->text[p->at] == '+' || p->text[p->at] == '-')) p->at++;
        if (!digit_at(p)) return fail(p, "a digit is missing in the exponent");
        while (digit_at(p)) p->at++;
    }
    mllm_json_node *node = &p->doc->nodes[index];
    node->end = (uint32_t)p->at;
    /* "-0" has no integer that is it; it stays the double -0.0. */
    if (integer && fits && value <= (uint64_t)INT64_MAX + minus && !(minus && value == 0)) {
        node->as.integer = minus ? (int64_t)(0 - value) : (int64_t)value;
        return MLLM_OK;
    }
    node->kind = MLLM_JSON_NUMBER;
    return convert_number(p, start, p->at, &node->as.number);
}

static mllm_code read_word(parser *p, const char *word, mllm_json_kind kind) {
    size_t n = strlen(word);
    if (p->length - p->at < n || memcmp(p->text + p->at, word, n) != 0)
        return fail_at(p, p->at, MLLM_E_FORMAT, "unknown word");
    uint32_t index;
    mllm_code code = add_node(p, kind, p->at, &index);
    if (code) return code;
    p->at += n;
    p->doc->nodes[index].end = (uint32_t)p->at;
    return MLLM_OK;
}

/* A key and its colon. */
static mllm_code read_key(parser *p) {
    skip_space(p);
    if (p->at >= p->length || p->text[p->at] != '"') return fail(p, "expected a key in double quotes");
    mllm_code code = read_string(p);
    if (code) return code;
    skip_space(p);
    if (p->at >= p->length || p->text[p->at] != ':') return fail(p, "expected ':' behind a key");
    p->at++;
    return MLLM_OK;
}

/* The parser's whole stack is a chain through the open containers: while one is open its `next` holds the index of the one
 * around it, and `end` is 0. */
#define NO_PARENT UINT32_MAX

static mllm_code parse_all(parser *p, unsigned max_depth) {
    uint32_t parent = NO_PARENT;
    unsigned depth = 0;
    mllm_json *doc = p->doc;
    mllm_code code;
    for (;;) {
        /* A value stands here. */
        skip_space(p);
        if (p->at >= p->length) return fail(p, "");
        unsigned char c = p->text[p->at];
        bool opened = false;
        switch (c) {
        case '"': code = read_string(p); break;
        case 'n': code = read_word(p, "null", MLLM_JSON_NULL); break;
        case 't': code = read_word(p, "true", MLLM_JSON_TRUE); break;
        case 'f': code = read_word(p, "false", MLLM_JSON_FALSE); break;
        case '[':
        case '{': {
            if (depth == max_depth) {
                char what[64];
                snprintf(what, sizeof what, "nested deeper than %u levels", max_depth);
                return fail_at(p, p->at, MLLM_E_LIMIT, what);
            }
            uint32_t index;
            code = add_node(p, c == '[' ? MLLM_JSON_ARRAY : MLLM_JSON_OBJECT, p->at, &index);
            if (code) return code;
            p->at++;
            doc->nodes[index].next = parent;
            parent = index;
            depth++;
            opened = true;
            break;
        }
        default:
            if (c != '-' && (c < '0' || c > '9')) return fail(p, "expected a value");
            code = read_number(p);
        }
        if (code) return code;

        /* Behind a value, or inside a container just opened: close as many as end here, then go on to the next value. */
        for (;;) {
            skip_space(p);
            if (parent == NO_PARENT) return p->at == p->length ? MLLM_OK : fail(p, "something follows the value");
            if (p->at >= p->length) return fail(p, "");
            mllm_json_node *open = &doc->nodes[parent];
            bool object = open->kind == MLLM_JSON_OBJECT;
            if (!opened) open->count++;
            if (p->text[p->at] == (object ? '}' : ']')) {
                p->at++;
                uint32_t around = open->next;
                open->next = doc->count;
                open->end = (uint32_t)p->at;
                parent = around;
                depth--;
                opened = false;
                continue;
            }
            if (!opened) {
                if (p->text[p->at] != ',') return fail(p, object ? "expected ',' or '}'" : "expected ',' or ']'");
                p->at++;
            }
            if (object && (code = read_key(p)) != MLLM_OK) return code;
            break;
        }
    }
}

mllm_code mllm_json_parse(mllm_json *doc, const char *text, size_t length, unsigned max_depth, mllm_error *err) {
    *doc = (mllm_json){0};
    if (length > UINT32_MAX - 16)
        return mllm_fail(err, MLLM_E_LIMIT, "JSON: a text of %zu bytes is longer than 4 GiB", length);
    doc->strings = mllm_alloc(length + 1);
    if (!doc->strings) return mllm_fail_memory(err, length + 1, "the strings of a JSON text");
    parser p = {.text = (const unsigned char *)text, .length = length, .doc = doc, .err = err};
    mllm_code code = parse_all(&p, max_depth ? max_depth : MLLM_JSON_MAX_DEPTH);
    if (code) mllm_json_free(doc);
    return code;
}

void mllm_json_free(mllm_json *doc) {
    mllm_free(doc->nodes);
    mllm_free(doc->strings);
    *doc = (mllm_json){0};
}

uint32_t mllm_json_get(const mllm_json *doc, uint32_t node, const char *key) {
    if (node >= doc->count || doc->nodes[node].kind != MLLM_JSON_OBJECT) return 0;
    size_t length = strlen(key);
    uint32_t found = 0, i = node + 1;
    for (uint32_t n = doc->nodes[node].count; n--;) {
        const mllm_json_node *k = &doc->nodes[i];
        if (k->count == length && memcmp(k->as.string, key, length) == 0) found = i + 1;
        i = doc->nodes[i + 1].next;
    }
    return found;
}

bool mllm_json_same_string(const mllm_json_node *a, const mllm_json_node *b) {
    return a->count == b->count && memcmp(a->as.string, b->as.string, a->count) == 0;
}

uint32_t mllm_json_member(const mllm_json *doc, uint32_t node, const mllm_json_node *key) {
    const mllm_json_node *n = doc->nodes;
    for (uint32_t c = node + 1, i = 0; i < n[node].count; i++, c = n[c + 1].next)
        if (mllm_json_same_string(&n[c], key)) return c + 1;
    return 0;
}

/* ------------------------------------------------------------------ writing */

bool mllm_json_put_string(mllm_buffer *b, const char *s, size_t length) {
    const unsigned char *bytes = (const unsigned char *)s;
    for (size_t i = 0; i < length;) {
        size_t n = utf8_sequence(bytes + i, length - i);
        if (n == 0) return false;
        i += n;
    }
    mllm_buffer_put(b, "\"", 1);
    size_t done = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        char escape[8];
        size_t n = 2;
        escape[0] = '\\';
        switch (c) {
        case '\b': escape[1] = 'b'; break;
        case '\f': escape[1] = 'f'; break;
        case '\n': escape[1] = 'n'; break;
        case '\r': escape[1] = 'r'; break;
        case '\t': escape[1] = 't'; break;
        case '"':
        case '\\': escape[1] = (char)c; break;
        default: n = (size_t)snprintf(escape, sizeof escape, "\\u%04x", c);
        }
        mllm_buffer_put(b, s + done, i - done);
        mllm_buffer_put(b, escape, n);
        done = i + 1;
    }
    mllm_buffer_put(b, s + done, length - done);
    mllm_buffer_put(b, "\"", 1);
    return true;
}

/* The `count` significant digits of |v| and the decimal exponent of the first; true when they read back as |v|. The output of
 * %e is taken apart because its decimal point is the locale's. */
static bool digits_of(double v, int count, char digits[20], int *exponent) {
    char text[64], check[40];
    snprintf(text, sizeof text, "%.*e", count - 1, fabs(v));
    int n = 0;
    const char *at = text;
    for (; *at && *at != 'e'; at++)
        if (*at >= '0' && *at <= '9' && n < 18) digits[n++] = *at;
    digits[n] = 0;
    *exponent = *at ? (int)strtol(at + 1, NULL, 10) : 0;
    snprintf(check, sizeof check, "%se%d", digits, *exponent - (n - 1));
    return strtod(check, NULL) == fabs(v);
}

bool mllm_json_put_double(mllm_buffer *b, double v) {
    if (!isfinite(v)) return false;
    char digits[20];
    int exponent;
    /* Fifteen digits give back every number that had as many, and trailing zeros go; only subnormal numbers hold fewer. */
    int count = fabs(v) < 2.2250738585072014e-308 && v != 0 ? 1 : 15;
    while (!digits_of(v, count, digits, &exponent) && count < 17) count++;
    int n = (int)strlen(digits);
    while (n > 1 && digits[n - 1] == '0') n--;
    char out[48], *o = out;
    if (signbit(v)) *o++ = '-';
    if (exponent < -5 || exponent > 16) {
        *o++ = digits[0];
        if (n > 1) {
            *o++ = '.';
            memcpy(o, digits + 1, (size_t)n - 1);
            o += n - 1;
        }
        o += snprintf(o, 8, "e%d", exponent);
    } else if (exponent < 0) {
        memcpy(o, "0.0000", 6);
        o += 1 - exponent;
        memcpy(o, digits, (size_t)n);
        o += n;
    } else {
        for (int i = 0; i <= exponent; i++) *o++ = i < n ? digits[i] : '0';
        *o++ = '.';
        for (int i = exponent + 1; i < n; i++) *o++ = digits[i];
        if (exponent + 1 >= n) *o++ = '0';
    }
    mllm_buffer_put(b, out, (size_t)(o - out));
    return true;
}

void mllm_json_put_integer(mllm_buffer *b, int64_t v) {
    char text[32];
    mllm_buffer_put(b, text, (size_t)snprintf(text, sizeof text, "%" PRId64, v));
}
