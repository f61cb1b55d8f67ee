/* regex.c - the syntax of ECMA-262 regular expressions (the `u` dialect, leniently), without look-around and back-references. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "nfa.h"

/* ---------------------------------------------------------------- syntax tree */

void mllm_exprs_free(mllm_exprs *x) {
    mllm_free(x->nodes);
    mllm_free(x->ranges);
    mllm_free(x->bytes);
    memset(x, 0, sizeof *x);
}

static bool grow(mllm_exprs *x, void **array, uint32_t need, uint32_t *capacity, size_t size) {
    if (need <= *capacity) return true;
    uint32_t c = *capacity ? *capacity : 16;
    while (c < need) c = c < UINT32_MAX / 2 ? c * 2 : UINT32_MAX;
    void *p = mllm_realloc_array(*array, c, size);
    if (!p) {
        x->failed = true;
        return false;
    }
    *array = p;
    *capacity = c;
    return true;
}

/* After a failure node 0 stands in for every new one, so that callers look at `failed` once, at the end. */
uint32_t mllm_expr_new(mllm_exprs *x, mllm_expr_kind kind, uint32_t at) {
    void *p = x->nodes;
    if (!grow(x, &p, x->count + 1, &x->capacity, sizeof *x->nodes)) return x->count ? 0 : NONE;
    x->nodes = p;
    x->nodes[x->count] = (mllm_expr){.kind = (uint8_t)kind, .first = NONE, .next = NONE, .at = at};
    return x->count++;
}

uint32_t mllm_expr_bytes(mllm_exprs *x, mllm_expr_kind kind, const char *bytes, size_t length, uint32_t at) {
    void *p = x->bytes;
    if (length > INT32_MAX || !grow(x, &p, x->byte_count + (uint32_t)length, &x->byte_capacity, 1)) {
        x->failed = true;
        return x->count ? 0 : NONE;
    }
    x->bytes = p;
    uint32_t e = mllm_expr_new(x, kind, at);
    if (x->failed) return e;
    x->nodes[e].lo = x->byte_count;
    x->nodes[e].hi = (uint32_t)length;
    if (length) memcpy(x->bytes + x->byte_count, bytes, length);
    x->byte_count += (uint32_t)length;
    return e;
}

void mllm_expr_append(mllm_exprs *x, uint32_t parent, uint32_t *last, uint32_t child) {
    if (x->failed) return;
    if (*last == NONE)
        x->nodes[parent].first = child;
    else
        x->nodes[*last].next = child;
    *last = child;
}

void mllm_expr_add_range(mllm_exprs *x, uint32_t lo, uint32_t hi) {
    void *p = x->ranges;
    if (!grow(x, &p, x->range_count + 1, &x->range_capacity, sizeof *x->ranges)) return;
    x->ranges = p;
    x->ranges[x->range_count++] = (mllm_range){lo, hi};
}

static int compare_ranges(const void *a, const void *b) {
    const mllm_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

void mllm_expr_close_set(mllm_exprs *x, uint32_t set, uint32_t first, bool negate) {
    if (x->failed) return;
    mllm_range *r = x->ranges + first;
    uint32_t n = x->range_count - first, out = 0;
    if (n) qsort(r, n, sizeof *r, compare_ranges);
    for (uint32_t i = 0; i < n; i++) {
        if (out && r[i].lo <= r[out - 1].hi + 1) {
            if (r[i].hi > r[out - 1].hi) r[out - 1].hi = r[i].hi;
        } else
            r[out++] = r[i];
    }
    x->range_count = first + out;
    if (negate) {
        uint32_t next = 0, start = x->range_count;
        for (uint32_t i = 0; i < out && !x->failed; i++) {
            mllm_range v = x->ranges[first + i];
            if (v.lo > next) mllm_expr_add_range(x, next, v.lo - 1);
            next = v.hi + 1;
        }
        if (next <= 0x10FFFF) mllm_expr_add_range(x, next, 0x10FFFF);
        if (x->failed) return;
        uint32_t count = x->range_count - start;
        if (count) memmove(x->ranges + first, x->ranges + start, count * sizeof *x->ranges);
        x->range_count = first + count;
    }
    x->nodes[set].lo = first;
    x->nodes[set].hi = x->range_count - first;
}

/* -------------------------------------------------------------------- parser */

enum { MAX_NESTING = 200, MAX_REPEAT = 100000 };

typedef struct {
    mllm_exprs *x;
    const unsigned char *s;
    size_t n, i;
    int depth;
    mllm_error *err;
    mllm_code code;
} parser;

static uint32_t fail(parser *p, size_t at, mllm_code code, const char *what) {
    if (p->code == MLLM_OK) p->code = mllm_fail(p->err, code, "regular expression, position %zu: %s", at + 1, what);
    return NONE;
}

/* One UTF-8 character at p->i; bytes that are none count as Latin-1. */
static uint32_t character(parser *p) {
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate(p->s + p->i, (utf8proc_ssize_t)(p->n - p->i), &c);
    if (n <= 0) return p->s[p->i++];
    p->i += (size_t)n;
    return (uint32_t)c;
}

static void add_digit(mllm_exprs *x) {
    mllm_expr_add_range(x, '0', '9');
}

static void add_word(mllm_exprs *x) {
    add_digit(x);
    mllm_expr_add_range(x, 'A', 'Z');
    mllm_expr_add_range(x, '_', '_');
    mllm_expr_add_range(x, 'a', 'z');
}

static void add_space(mllm_exprs *x) {
    static const mllm_range spaces[] = {{9, 13},          {0x20, 0x20},     {0xa0, 0xa0},     {0x1680, 0x1680},
                                        {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                                        {0x3000, 0x3000}, {0xfeff, 0xfeff}};
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) mllm_expr_add_range(x, spaces[i].lo, spaces[i].hi);
}

/* Adds the ranges of \d \w \s or their complements. */
static void add_class(mllm_exprs *x, char c) {
    void (*add)(mllm_exprs *) = (c | 32) == 'd' ? add_digit : (c | 32) == 'w' ? add_word : add_space;
    if (c & 32) {
        add(x);
        return;
    }
    uint32_t first = x->range_count, next = 0;
    add(x);
    if (x->failed) return;
    uint32_t end = x->range_count;
    for (uint32_t i = first; i < end && !x->failed; i++) {
        mllm_range v = x->ranges[i];
        if (v.lo > next) mllm_expr_add_range(x, next, v.lo - 1);
        next = v.hi + 1;
    }
    mllm_expr_add_range(x, next, 0x10FFFF);
    if (x->failed) return;
    memmove(x->ranges + first, x->ranges + end, (x->range_count - end) * sizeof *x->ranges);
    x->range_count -= end - first;
}

/* Which characters follow one another in one category: Unicode 15 has 4,000 such runs. */
static struct {
    uint32_t from[8192];
    uint32_t count; /* 0: there are too many */
} runs;
static pthread_once_t runs_once = PTHREAD_ONCE_INIT;

static void find_runs(void) {
    enum { MOST = sizeof runs.from / sizeof *runs.from };
    uint32_t n = 0;
    int before = -1;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        int category = (int)utf8proc_category((utf8proc_int32_t)c);
        if (category == before) continue;
        if (n == MOST) return;
        runs.from[n++] = c;
        before = category;
    }
    runs.count = n;
}

/* \p{...}: general categories by their short and long names, and a few scripts' worth is left out (an error). */
static bool add_property(parser *p, const char *name, size_t length, bool negate) {
    static const struct {
        const char *name, *category;
    } longer[] = {{"Letter", "L"}, {"Lowercase_Letter", "Ll"}, {"Uppercase_Letter", "Lu"},
                  {"Number", "N"}, {"Decimal_Number", "Nd"},   {"Punctuation", "P"},
                  {"Symbol", "S"}, {"Separator", "Z"},         {"Mark", "M"},
                  {"Other", "C"},  {"Alphabetic", "L"},        {"alpha", "L"},
                  {"digit", "Nd"}, {"IsLetter", "L"},          {"IsDigit", "Nd"}};
    char key[40];
    if (length > 17 && memcmp(name, "General_Category=", 17) == 0) name += 17, length -= 17;
    if (length > 3 && memcmp(name, "gc=", 3) == 0) name += 3, length -= 3;
    if (length == 0 || length >= sizeof key) return false;
    memcpy(key, name, length);
    key[length] = 0;
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        if (strcmp(key, longer[i].name) == 0) strcpy(key, longer[i].category);
    size_t n = strlen(key);
    if (n > 2 || !strchr("LNPSZMC", key[0])) return false;
    bool known = false;
    uint32_t from = NONE; /* of the range that is open */
    pthread_once(&runs_once, find_runs);
    for (uint32_t i = 0; i < runs.count; i++) {
        const char *category = utf8proc_category_string((utf8proc_int32_t)runs.from[i]);
        bool has = category[0] == key[0] && (n == 1 || category[1] == key[1]);
        known = known || has;
        if (has != negate && from == NONE) from = runs.from[i];
        if (has == negate && from != NONE) {
            mllm_expr_add_range(p->x, from, runs.from[i] - 1);
            from = NONE;
        }
    }
    if (from != NONE) mllm_expr_add_range(p->x, from, 0x10FFFF);
    return known;
}

static int hex(unsigned char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* `count` hexadecimal digits at p->i; false leaves p->i and *out alone. */
static bool hex_digits(parser *p, size_t count, uint32_t *out) {
    if (p->n - p->i < count) return false;
    uint32_t v = 0;
    for (size_t k = 0; k < count; k++) {
        int d = hex(p->s[p->i + k]);
        if (d < 0) return false;
        v = v * 16 + (uint32_t)d;
    }
    p->i += count;
    *out = v;
    return true;
}

/* \p and \P: adds the ranges of {property} (true); false leaves p->i alone: the letter stands for itself. */
static bool escape_property(parser *p, size_t at, bool negate) {
    if (p->i >= p->n || p->s[p->i] != '{') return false;
    size_t start = p->i + 1, end = start;
    while (end < p->n && p->s[end] != '}') end++;
    if (end >= p->n || !add_property(p, (const char *)p->s + start, end - start, negate))
        fail(p, at, MLLM_E_UNSUPPORTED, "this Unicode property is not supported");
    p->i = end < p->n ? end + 1 : end;
    return true;
}

/* \u: {digits}, four digits, or two such escapes that are a surrogate pair. *c is left alone where none of them follows. */
static void escape_code_point(parser *p, uint32_t *c) {
    uint32_t v = 0, low;
    if (p->i < p->n && p->s[p->i] == '{') {
        size_t k = p->i + 1;
        while (k < p->n && hex(p->s[k]) >= 0 && v <= 0x10FFFF) v = v * 16 + (uint32_t)hex(p->s[k++]);
        if (k < p->n && p->s[k] == '}' && v <= 0x10FFFF && k > p->i + 1) {
            p->i = k + 1;
            *c = v;
        }
        return;
    }
    if (!hex_digits(p, 4, &v)) return;
    *c = v;
    if (v < 0xD800 || v >= 0xDC00 || p->n - p->i < 6 || p->s[p->i] != '\\' || p->s[p->i + 1] != 'u') return;
    size_t back = p->i;
    p->i += 2;
    if (hex_digits(p, 4, &low) && low >= 0xDC00 && low < 0xE000)
        *c = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
    else
        p->i = back;
}

/* Why the escape `e` is refused outside of a set, where it means more than a character; NULL: it is not. */
static const char *escape_refusal(const parser *p, unsigned char e) {
    switch (e) {
    case 'b':
    case 'B': return "word boundaries are not supported";
    case 'A':
    case 'Z':
    case 'z': return "\\A, \\Z and \\z are not of this dialect";
    case 'k': return p->i < p->n && p->s[p->i] == '<' ? "back-references are not supported" : NULL;
    default: return e >= '1' && e <= '9' ? "back-references are not supported" : NULL;
    }
}

/* After a backslash: a single character into *c (true), or a class whose ranges were added (false). */
static bool escape(parser *p, bool in_set, uint32_t *c) {
    size_t at = p->i - 1;
    if (p->i >= p->n) {
        fail(p, at, MLLM_E_FORMAT, "a backslash at the end");
        return false;
    }
    if (p->s[p->i] >= 0x80) {
        *c = character(p);
        return true;
    }
    unsigned char e = p->s[p->i++];
    const char *why = in_set ? NULL : escape_refusal(p, e);
    if (why) fail(p, at, MLLM_E_UNSUPPORTED, why);
    *c = e; /* what means nothing else stands for itself */
    switch (e) {
    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 's':
    case 'S': add_class(p->x, (char)e); return false;
    case 'p':
    case 'P': return !escape_property(p, at, e == 'P');
    case 't': *c = '\t'; break;
    case 'n': *c = '\n'; break;
    case 'r': *c = '\r'; break;
    case 'f': *c = '\f'; break;
    case 'v': *c = '\v'; break;
    case 'b': *c = '\b'; break;
    case '0': *c = 0; break;
    case 'c':
        if (p->i < p->n && ((p->s[p->i] | 32) >= 'a' && (p->s[p->i] | 32) <= 'z')) *c = p->s[p->i++] & 31;
        break;
    case 'x': hex_digits(p, 2, c); break;
    case 'u': escape_code_point(p, c); break;
    default: break;
    }
    return true;
}

static uint32_t parse_set(parser *p) {
    mllm_exprs *x = p->x;
    size_t at = p->i - 1;
    uint32_t set = mllm_expr_new(x, EXPR_SET, (uint32_t)at), first = x->range_count;
    bool negate = p->i < p->n && p->s[p->i] == '^';
    if (negate) p->i++;
    while (p->i < p->n && p->s[p->i] != ']' && p->code == MLLM_OK && !x->failed) {
        uint32_t lo, hi;
        bool single = true;
        if (p->s[p->i] == '[' && p->i + 1 < p->n && p->s[p->i + 1] == ':')
            return fail(p, p->i, MLLM_E_UNSUPPORTED, "POSIX classes are not of this dialect");
        if (p->s[p->i] == '\\') {
            p->i++;
            single = escape(p, true, &lo);
        } else
            lo = character(p);
        if (p->code != MLLM_OK) return NONE;
        if (!single) continue;
        hi = lo;
        if (p->n - p->i >= 2 && p->s[p->i] == '-' && p->s[p->i + 1] != ']') {
            size_t dash = p->i++;
            if (p->s[p->i] == '\\') {
                p->i++;
                single = escape(p, true, &hi);
            } else
                hi = character(p);
            if (p->code != MLLM_OK) return NONE;
            if (!single) { /* [a-\d]: the three stand for themselves */
                mllm_expr_add_range(x, '-', '-');
                hi = lo;
            } else if (hi < lo)
                return fail(p, dash, MLLM_E_FORMAT, "a range whose end comes before its start");
        }
        mllm_expr_add_range(x, lo, hi);
    }
    if (p->i >= p->n) return fail(p, at, MLLM_E_FORMAT, "'[' is not closed");
    p->i++;
    mllm_expr_close_set(x, set, first, negate);
    return set;
}

static uint32_t parse_alternatives(parser *p);

static uint32_t parse_atom(parser *p) {
    mllm_exprs *x = p->x;
    size_t at = p->i;
    unsigned char c = p->s[p->i];
    switch (c) {
    case '(': {
        p->i++;
        if (p->i < p->n && p->s[p->i] == '?') {
            const char *rest = (const char *)p->s + p->i + 1;
            size_t left = p->n - p->i - 1;
            if (left >= 1 && rest[0] == ':')
                p->i += 2;
            else if (left >= 1 && (rest[0] == '=' || rest[0] == '!'))
                return fail(p, at, MLLM_E_UNSUPPORTED, "look-ahead is not supported");
            else if (left >= 2 && rest[0] == '<' && (rest[1] == '=' || rest[1] == '!'))
                return fail(p, at, MLLM_E_UNSUPPORTED, "look-behind is not supported");
            else if (left >= 1 && rest[0] == '<') {
                while (p->i < p->n && p->s[p->i] != '>') p->i++;
                if (p->i < p->n) p->i++;
            } else
                return fail(p, at, MLLM_E_UNSUPPORTED, "this kind of group is not supported");
        }
        if (++p->depth > MAX_NESTING) return fail(p, at, MLLM_E_LIMIT, "groups are nested deeper than 200");
        uint32_t e = parse_alternatives(p);
        p->depth--;
        if (p->code != MLLM_OK) return NONE;
        if (p->i >= p->n) return fail(p, at, MLLM_E_FORMAT, "'(' is not closed");
        p->i++;
        return e;
    }
    case '[': p->i++; return parse_set(p);
    case '.': {
        p->i++;
        uint32_t set = mllm_expr_new(x, EXPR_SET, (uint32_t)at), first = x->range_count;
        mllm_expr_add_range(x, '\n', '\n');
        mllm_expr_add_range(x, '\r', '\r');
        mllm_expr_add_range(x, 0x2028, 0x2029);
        mllm_expr_close_set(x, set, first, true);
        return set;
    }
    case '^': p->i++; return mllm_expr_new(x, EXPR_BEGIN, (uint32_t)at);
    case '$': p->i++; return mllm_expr_new(x, EXPR_END, (uint32_t)at);
    case '*':
    case '+':
    case '?': return fail(p, at, MLLM_E_FORMAT, "nothing to repeat");
    case '\\': {
        p->i++;
        uint32_t first = x->range_count, v = 0;
        uint32_t set = mllm_expr_new(x, EXPR_SET, (uint32_t)at);
        if (escape(p, false, &v)) mllm_expr_add_range(x, v, v);
        if (p->code != MLLM_OK) return NONE;
        mllm_expr_close_set(x, set, first, false);
        return set;
    }
    default: {
        uint32_t v = character(p), set = mllm_expr_new(x, EXPR_SET, (uint32_t)at), first = x->range_count;
        mllm_expr_add_range(x, v, v);
        mllm_expr_close_set(x, set, first, false);
        return set;
    }
    }
}

static bool number(parser *p, size_t *i, uint32_t *out) {
    size_t k = *i;
    uint32_t v = 0;
    while (k < p->n && p->s[k] >= '0' && p->s[k] <= '9') {
        if (v < 100000000) v = v * 10 + (uint32_t)(p->s[k] - '0');
        k++;
    }
    if (k == *i) return false;
    *i = k;
    *out = v;
    return true;
}

/* {m} {m,} {m,n}; anything else is text. */
static bool braces(parser *p, uint32_t *lo, uint32_t *hi) {
    size_t k = p->i + 1;
    if (!number(p, &k, lo)) return false;
    *hi = *lo;
    if (k < p->n && p->s[k] == ',') {
        k++;
        if (!number(p, &k, hi)) *hi = NONE;
    }
    if (k >= p->n || p->s[k] != '}') return false;
    p->i = k + 1;
    return true;
}

static uint32_t parse_repeat(parser *p) {
    uint32_t e = parse_atom(p);
    while (p->code == MLLM_OK && p->i < p->n) {
        size_t at = p->i;
        uint32_t lo, hi;
        if (p->s[p->i] == '*')
            lo = 0, hi = NONE, p->i++;
        else if (p->s[p->i] == '+')
            lo = 1, hi = NONE, p->i++;
        else if (p->s[p->i] == '?')
            lo = 0, hi = 1, p->i++;
        else if (p->s[p->i] != '{' || !braces(p, &lo, &hi))
            break;
        if (hi != NONE && hi < lo) return fail(p, at, MLLM_E_FORMAT, "a repeat whose end comes before its start");
        if (lo > MAX_REPEAT || (hi != NONE && hi > MAX_REPEAT))
            return fail(p, at, MLLM_E_LIMIT, "more than 100000 repeats");
        if (p->i < p->n && p->s[p->i] == '?') p->i++; /* lazy: the same language */
        if (p->i < p->n && (p->s[p->i] == '+' || p->s[p->i] == '*'))
            return fail(p, p->i, MLLM_E_FORMAT, "a repeat of a repeat");
        uint32_t r = mllm_expr_new(p->x, EXPR_REPEAT, (uint32_t)at), last = NONE;
        mllm_expr_append(p->x, r, &last, e);
        if (p->x->failed) return 0;
        p->x->nodes[r].lo = lo;
        p->x->nodes[r].hi = hi;
        e = r;
        if (++p->depth > MAX_NESTING) return fail(p, at, MLLM_E_LIMIT, "repeats are nested deeper than 200");
        p->depth--;
    }
    return e;
}

static uint32_t parse_sequence(parser *p) {
    uint32_t cat = mllm_expr_new(p->x, EXPR_CAT, (uint32_t)p->i), last = NONE;
    while (p->i < p->n && p->s[p->i] != '|' && p->s[p->i] != ')' && p->code == MLLM_OK && !p->x->failed) {
        uint32_t e = parse_repeat(p);
        if (p->code == MLLM_OK) mllm_expr_append(p->x, cat, &last, e);
    }
    return cat;
}

static uint32_t parse_alternatives(parser *p) {
    uint32_t one = parse_sequence(p);
    if (p->i >= p->n || p->s[p->i] != '|' || p->code != MLLM_OK) return one;
    uint32_t alt = mllm_expr_new(p->x, EXPR_ALT, (uint32_t)p->i), last = NONE;
    mllm_expr_append(p->x, alt, &last, one);
    while (p->i < p->n && p->s[p->i] == '|' && p->code == MLLM_OK && !p->x->failed) {
        p->i++;
        mllm_expr_append(p->x, alt, &last, parse_sequence(p));
    }
    return alt;
}

mllm_code mllm_regex_parse(mllm_exprs *x, const char *pattern, size_t length, uint32_t *root, mllm_error *err) {
    parser p = {.x = x, .s = (const unsigned char *)pattern, .n = length, .err = err};
    if (length > 1 << 20) return mllm_fail(err, MLLM_E_LIMIT, "regular expression: longer than 1 MiB");
    *root = parse_alternatives(&p);
    if (p.code == MLLM_OK && p.i < p.n && !x->failed) fail(&p, p.i, MLLM_E_FORMAT, "')' without '('");
    if (x->failed) p.code = mllm_fail_memory(err, 0, "regular expression");
    return p.code;
}
