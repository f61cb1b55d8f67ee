/* gbnf.c - the text of GBNF grammars (llama.cpp's dialect) into expressions, one per rule.
 *
 *   root ::= "text" [a-z^"\n] rule (group | other)* item{2,3} .     # comment
 *   <[5]> is the token of that id. With imports also: @1, @until "x", @without "x", @token 5, @capture "name" ( ... ).
 * Escapes in texts and classes: \n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH. A rule goes on over line ends inside parentheses and after
 * '|' or '::='. */
#include "gbnf.h"

#include <string.h>
#include <utf8proc.h>

#include "../base/alloc.h"
#include "../base/error.h"

enum { MAX_NESTING = 200, MAX_REPEAT = 100000, MAX_RULES = 20000 };

typedef struct {
    mllm_gbnf *g;
    const unsigned char *s;
    size_t n, i;
    size_t imports;
    bool extended;
    int depth;
    mllm_code code;
    mllm_error *err;
} parser;

void mllm_gbnf_free(mllm_gbnf *g) {
    mllm_exprs_free(&g->x);
    mllm_free(g->rules);
    mllm_free(g->buckets);
    memset(g, 0, sizeof *g);
}

void mllm_gbnf_place(const char *text, size_t at, unsigned *line, unsigned *column) {
    *line = *column = 1;
    for (size_t i = 0; i < at; i++) {
        ++*column;
        if (text[i] == '\n') ++*line, *column = 1;
    }
}

static uint32_t fail(parser *p, size_t at, mllm_code code, const char *what) {
    unsigned line, column;
    if (p->code != MLLM_OK) return 0;
    mllm_gbnf_place((const char *)p->s, at < p->n ? at : p->n, &line, &column);
    p->code = mllm_fail(p->err, code, "grammar, line %u, column %u: %s", line, column, what);
    return 0;
}

static bool is_name(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Skips blanks and comments; line ends too where a rule cannot end. */
static void skip(parser *p, bool lines) {
    while (p->i < p->n) {
        unsigned char c = p->s[p->i];
        if (c == '#')
            while (p->i < p->n && p->s[p->i] != '\n' && p->s[p->i] != '\r') p->i++;
        else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r')))
            p->i++;
        else
            break;
    }
}

/* The number of a rule; unknown names become rules without an expression. */
static uint32_t rule_of(parser *p, size_t at, size_t length) {
    mllm_gbnf *g = p->g;
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < length; i++) h = (h ^ p->s[at + i]) * 16777619u;
    if (g->rule_count * 2 >= g->bucket_count) {
        uint32_t c = g->bucket_count ? g->bucket_count * 2 : 64;
        uint32_t *b = mllm_realloc_array(g->buckets, c, sizeof *b);
        if (!b) {
            g->x.failed = true;
            return 0;
        }
        g->buckets = b;
        g->bucket_count = c;
        memset(b, 0xFF, c * sizeof *b);
        for (uint32_t i = 0; i < g->rule_count; i++) {
            g->rules[i].next_hash = b[g->rules[i].hash & (c - 1)];
            b[g->rules[i].hash & (c - 1)] = i;
        }
    }
    for (uint32_t i = g->buckets[h & (g->bucket_count - 1)]; i != NONE; i = g->rules[i].next_hash)
        if (g->rules[i].length == length && memcmp(p->s + g->rules[i].at, p->s + at, length) == 0) return i;
    if (g->rule_count == g->rule_capacity) {
        if (g->rule_count >= MAX_RULES) return fail(p, at, MLLM_E_LIMIT, "more than 20000 rules");
        uint32_t c = g->rule_capacity ? g->rule_capacity * 2 : 32;
        mllm_gbnf_rule *r = mllm_realloc_array(g->rules, c, sizeof *r);
        if (!r) {
            g->x.failed = true;
            return 0;
        }
        g->rules = r;
        g->rule_capacity = c;
    }
    uint32_t *bucket = &g->buckets[h & (g->bucket_count - 1)];
    g->rules[g->rule_count] =
        (mllm_gbnf_rule){.at = (uint32_t)at, .length = (uint32_t)length, .hash = h, .next_hash = *bucket, .expr = NONE};
    *bucket = g->rule_count;
    return g->rule_count++;
}

static int hex(unsigned char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* One character of a text or class, escapes undone. */
static uint32_t character(parser *p) {
    size_t at = p->i;
    if (p->s[p->i] != '\\') {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(p->s + p->i, (utf8proc_ssize_t)(p->n - p->i), &c);
        if (n <= 0) return fail(p, at, MLLM_E_FORMAT, "not UTF-8");
        p->i += (size_t)n;
        return (uint32_t)c;
    }
    p->i++;
    if (p->i >= p->n) return fail(p, at, MLLM_E_FORMAT, "a backslash at the end");
    unsigned char c = p->s[p->i++];
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits) {
        uint32_t v = 0;
        for (int k = 0; k < digits; k++) {
            int d = p->i < p->n ? hex(p->s[p->i]) : -1;
            if (d < 0) return fail(p, at, MLLM_E_FORMAT, "hexadecimal digits expected");
            v = v * 16 + (uint32_t)d;
            p->i++;
        }
        if (v > 0x10FFFF || (v >= 0xD800 && v < 0xE000))
            return fail(p, at, MLLM_E_FORMAT, "no character has this number");
        return v;
    }
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^':
    case '/':
    case '\'':
    case '.': return c;
    default: return fail(p, at, MLLM_E_FORMAT, "unknown escape");
    }
}

static uint32_t parse_text(parser *p, mllm_expr_kind kind) {
    mllm_exprs *x = &p->g->x;
    size_t at = p->i++;
    uint32_t e = mllm_expr_bytes(x, kind, "", 0, (uint32_t)at);
    while (p->i < p->n && p->s[p->i] != '"' && p->code == MLLM_OK && !x->failed) {
        if (p->s[p->i] == '\n') return fail(p, at, MLLM_E_FORMAT, "the text is not closed on its line");
        uint8_t out[4];
        uint32_t c = character(p);
        utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)c, out);
        /* The node's bytes are the last of the pool, so that they can grow. */
        uint32_t more = mllm_expr_bytes(x, EXPR_BYTES, (const char *)out, n > 0 ? (size_t)n : 0, (uint32_t)at);
        if (x->failed) return 0;
        x->count = more; /* only its bytes were wanted */
        x->nodes[e].hi += (uint32_t)n;
    }
    if (p->code != MLLM_OK) return 0;
    if (p->i >= p->n) return fail(p, at, MLLM_E_FORMAT, "the text is not closed");
    p->i++;
    return e;
}

static uint32_t parse_class(parser *p) {
    mllm_exprs *x = &p->g->x;
    size_t at = p->i++;
    uint32_t set = mllm_expr_new(x, EXPR_SET, (uint32_t)at), first = x->range_count;
    bool negate = p->i < p->n && p->s[p->i] == '^';
    if (negate) p->i++;
    while (p->i < p->n && p->s[p->i] != ']' && p->code == MLLM_OK && !x->failed) {
        size_t here = p->i;
        uint32_t lo = character(p), hi = lo;
        if (p->code == MLLM_OK && p->n - p->i >= 2 && p->s[p->i] == '-' && p->s[p->i + 1] != ']') {
            p->i++;
            hi = character(p);
            if (p->code == MLLM_OK && hi < lo)
                return fail(p, here, MLLM_E_FORMAT, "a range whose end comes before its start");
        }
        mllm_expr_add_range(x, lo, hi);
    }
    if (p->code != MLLM_OK) return 0;
    if (p->i >= p->n) return fail(p, at, MLLM_E_FORMAT, "'[' is not closed");
    p->i++;
    mllm_expr_close_set(x, set, first, negate);
    return set;
}

static bool number(parser *p, uint32_t *out) {
    size_t start = p->i;
    uint32_t v = 0;
    while (p->i < p->n && p->s[p->i] >= '0' && p->s[p->i] <= '9') {
        if (v < 100000000) v = v * 10 + (uint32_t)(p->s[p->i] - '0');
        p->i++;
    }
    *out = v;
    return p->i > start;
}

static uint32_t parse_alternatives(parser *p, bool nested);

static bool word(parser *p, const char *w) {
    size_t n = strlen(w);
    if (p->n - p->i < n || memcmp(p->s + p->i, w, n) != 0 || (p->i + n < p->n && is_name(p->s[p->i + n]))) return false;
    p->i += n;
    return true;
}

static uint32_t parse_group(parser *p) {
    size_t at = p->i++;
    if (++p->depth > MAX_NESTING) return fail(p, at, MLLM_E_LIMIT, "groups are nested deeper than 200");
    uint32_t e = parse_alternatives(p, true);
    p->depth--;
    if (p->code != MLLM_OK) return 0;
    if (p->i >= p->n || p->s[p->i] != ')') return fail(p, at, MLLM_E_FORMAT, "'(' is not closed");
    p->i++;
    return e;
}

/* @1, @until "x", @without "x" (both also with a group), @token 5, @capture "name" ( ... ) */
static uint32_t parse_extension(parser *p) {
    mllm_exprs *x = &p->g->x;
    size_t at = p->i++;
    uint32_t v, e;
    if (number(p, &v)) {
        if (v == 0 || v > p->imports) return fail(p, at, MLLM_E_FORMAT, "no grammar of this number");
        e = mllm_expr_new(x, EXPR_IMPORT, (uint32_t)at);
        if (!x->failed) x->nodes[e].lo = v - 1;
        return e;
    }
    if (word(p, "token")) {
        skip(p, false);
        if (!number(p, &v)) return fail(p, p->i, MLLM_E_FORMAT, "a token id expected");
        e = mllm_expr_new(x, EXPR_TOKEN, (uint32_t)at);
        if (!x->failed) x->nodes[e].lo = v;
        return e;
    }
    int kind = word(p, "until")     ? EXPR_UNTIL
               : word(p, "without") ? EXPR_WITHOUT
               : word(p, "capture") ? EXPR_CAPTURE
                                    : -1;
    if (kind < 0) return fail(p, at, MLLM_E_FORMAT, "unknown word after '@'");
    skip(p, false);
    if (kind != EXPR_CAPTURE && p->i < p->n && p->s[p->i] == '(') {
        uint32_t last = NONE;
        e = mllm_expr_new(x, (mllm_expr_kind)kind, (uint32_t)at);
        if (!x->failed) mllm_expr_append(x, e, &last, parse_group(p));
        return e;
    }
    if (p->i >= p->n || p->s[p->i] != '"') return fail(p, p->i, MLLM_E_FORMAT, "a text expected");
    e = parse_text(p, (mllm_expr_kind)kind);
    if (p->code != MLLM_OK || x->failed) return 0;
    if (x->nodes[e].hi == 0) return fail(p, at, MLLM_E_FORMAT, "the text is empty");
    if (kind == EXPR_CAPTURE) {
        skip(p, false);
        if (p->i >= p->n || p->s[p->i] != '(') return fail(p, p->i, MLLM_E_FORMAT, "'(' expected");
        uint32_t last = NONE;
        mllm_expr_append(x, e, &last, parse_group(p));
    }
    return e;
}

static uint32_t parse_atom(parser *p) {
    mllm_exprs *x = &p->g->x;
    size_t at = p->i;
    unsigned char c = p->s[p->i];
    uint32_t v, e;
    if (c == '"') return parse_text(p, EXPR_BYTES);
    if (c == '[') return parse_class(p);
    if (c == '(') return parse_group(p);
    if (c == '.') {
        p->i++;
        uint32_t set = mllm_expr_new(x, EXPR_SET, (uint32_t)at), first = x->range_count;
        mllm_expr_close_set(x, set, first, true);
        return set;
    }
    if (c == '@' && p->extended) return parse_extension(p);
    if (c == '<') {
        p->i++;
        if (p->i < p->n && p->s[p->i] == '[' && (p->i++, number(p, &v)) && p->n - p->i >= 2 && p->s[p->i] == ']' &&
            p->s[p->i + 1] == '>') {
            p->i += 2;
            e = mllm_expr_new(x, EXPR_TOKEN, (uint32_t)at);
            if (!x->failed) x->nodes[e].lo = v;
            return e;
        }
        return fail(p, at, MLLM_E_UNSUPPORTED, "tokens are named by their id: <[5]>");
    }
    if (is_name(c)) {
        while (p->i < p->n && is_name(p->s[p->i])) p->i++;
        v = rule_of(p, at, p->i - at);
        e = mllm_expr_new(x, EXPR_RULE, (uint32_t)at);
        if (!x->failed) x->nodes[e].lo = v;
        return e;
    }
    return fail(p, at, MLLM_E_FORMAT, "a text, a class, a rule or '(' expected");
}

static uint32_t parse_item(parser *p) {
    mllm_exprs *x = &p->g->x;
    uint32_t e = parse_atom(p);
    for (int n = 0; p->code == MLLM_OK && p->i < p->n && !x->failed; n++) {
        size_t at = p->i;
        uint32_t lo, hi;
        unsigned char c = p->s[p->i];
        if (c == '*' || c == '+' || c == '?') {
            lo = c == '+';
            hi = c == '?' ? 1 : NONE;
            p->i++;
        } else if (c == '{') {
            p->i++;
            skip(p, false);
            if (!number(p, &lo)) return fail(p, at, MLLM_E_FORMAT, "a number expected after '{'");
            hi = lo;
            skip(p, false);
            if (p->i < p->n && p->s[p->i] == ',') {
                p->i++;
                skip(p, false);
                if (!number(p, &hi)) hi = NONE;
                skip(p, false);
            }
            if (p->i >= p->n || p->s[p->i] != '}') return fail(p, at, MLLM_E_FORMAT, "'{' is not closed");
            p->i++;
            if (hi != NONE && hi < lo) return fail(p, at, MLLM_E_FORMAT, "a repeat whose end comes before its start");
            if (lo > MAX_REPEAT || (hi != NONE && hi > MAX_REPEAT))
                return fail(p, at, MLLM_E_LIMIT, "more than 100000 repeats");
        } else
            break;
        if (n >= 20) return fail(p, at, MLLM_E_LIMIT, "more than 20 repeats of one item");
        uint32_t r = mllm_expr_new(x, EXPR_REPEAT, (uint32_t)at), last = NONE;
        mllm_expr_append(x, r, &last, e);
        if (x->failed) return 0;
        x->nodes[r].lo = lo;
        x->nodes[r].hi = hi;
        e = r;
        skip(p, p->depth > 0);
    }
    return e;
}

/* A sequence ends at '|', ')' or the end of the rule. An empty one is the empty text. */
static uint32_t parse_sequence(parser *p, bool nested) {
    uint32_t cat = mllm_expr_new(&p->g->x, EXPR_CAT, (uint32_t)p->i), last = NONE;
    while (p->code == MLLM_OK && !p->g->x.failed) {
        skip(p, nested);
        if (p->i >= p->n) break;
        unsigned char c = p->s[p->i];
        if (c == '|' || c == ')' || c == '\n' || c == '\r') break;
        uint32_t e = parse_item(p);
        if (p->code == MLLM_OK) mllm_expr_append(&p->g->x, cat, &last, e);
    }
    return cat;
}

static uint32_t parse_alternatives(parser *p, bool nested) {
    uint32_t alt = mllm_expr_new(&p->g->x, EXPR_ALT, (uint32_t)p->i), last = NONE;
    skip(p, true);
    for (;;) {
        mllm_expr_append(&p->g->x, alt, &last, parse_sequence(p, nested));
        size_t end = p->i;
        if (!nested) skip(p, true); /* a line may begin with '|' */
        if (p->code != MLLM_OK || p->g->x.failed || p->i >= p->n || p->s[p->i] != '|') {
            p->i = end;
            break;
        }
        p->i++;
        skip(p, true);
    }
    if (!p->g->x.failed && p->code == MLLM_OK) { /* one alternative alone is itself */
        uint32_t first = p->g->x.nodes[alt].first;
        if (p->g->x.nodes[first].next == NONE) return first;
    }
    return alt;
}

mllm_code mllm_gbnf_parse(mllm_gbnf *g, const char *text, size_t length, size_t imports, bool extended,
                          mllm_error *err) {
    parser p = {
        .g = g, .s = (const unsigned char *)text, .n = length, .imports = imports, .extended = extended, .err = err};
    memset(g, 0, sizeof *g);
    if (length > 16 << 20) return mllm_fail(err, MLLM_E_LIMIT, "grammar: longer than 16 MiB");
    for (;;) {
        skip(&p, true);
        if (p.i >= p.n || p.code != MLLM_OK || g->x.failed) break;
        size_t at = p.i;
        while (p.i < p.n && is_name(p.s[p.i])) p.i++;
        if (p.i == at) {
            fail(&p, at, MLLM_E_FORMAT, "the name of a rule expected");
            break;
        }
        uint32_t rule = rule_of(&p, at, p.i - at);
        if (g->x.failed || p.code != MLLM_OK) break;
        skip(&p, true);
        if (p.n - p.i < 3 || memcmp(p.s + p.i, "::=", 3) != 0) {
            fail(&p, p.i, MLLM_E_FORMAT, "'::=' expected");
            break;
        }
        p.i += 3;
        uint32_t e = parse_alternatives(&p, false);
        if (p.code != MLLM_OK || g->x.failed) break;
        if (p.i < p.n && p.s[p.i] != '\n' && p.s[p.i] != '\r') {
            fail(&p, p.i, MLLM_E_FORMAT, p.s[p.i] == ')' ? "')' without '('" : "the end of the line expected");
            break;
        }
        g->rules[rule].expr = e; /* of two rules of one name the last counts, as there */
    }
    if (p.code == MLLM_OK && g->x.failed) p.code = mllm_fail_memory(err, length, "grammar");
    g->root = NONE;
    for (uint32_t i = 0; i < g->rule_count && p.code == MLLM_OK; i++) {
        if (g->rules[i].expr == NONE) {
            char what[100];
            int n = g->rules[i].length < 60 ? (int)g->rules[i].length : 60;
            memcpy(what, "no rule '", 9);
            memcpy(what + 9, text + g->rules[i].at, (size_t)n);
            memcpy(what + 9 + n, "'", 2);
            fail(&p, g->rules[i].at, MLLM_E_FORMAT, what);
        }
        if (g->rules[i].length == 4 && memcmp(text + g->rules[i].at, "root", 4) == 0) g->root = i;
    }
    if (p.code == MLLM_OK && g->root == NONE) p.code = mllm_fail(err, MLLM_E_FORMAT, "grammar: no rule 'root'");
    if (p.code != MLLM_OK) mllm_gbnf_free(g);
    return p.code;
}
