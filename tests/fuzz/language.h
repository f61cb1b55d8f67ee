/* language.h - random expressions, written as a regular expression or as GBNF, and a second opinion on what they match: sets of positions, without any
 * automaton. */
#ifndef LANGUAGE_H
#define LANGUAGE_H

#include "fuzz.h"

typedef enum {
    LANG_EMPTY,
    LANG_SET,
    LANG_TEXT,
    LANG_CAT,
    LANG_ALT,
    LANG_REPEAT,
    LANG_BEGIN,
    LANG_END,
    LANG_RULE,
    LANG_UNTIL,
    LANG_WITHOUT,
    LANG_CAPTURE
} l_kind;

enum { LANG_NODES = 400, LANG_RULES = 4, LANG_LONGEST = 40 };

typedef struct {
    uint8_t kind;
    bool negate;
    uint16_t first, next; /* children; 0: none (node 0 is never a child) */
    int lo, hi; /* REPEAT; hi -1: no end. RULE: lo */
    struct {
        char class; /* d D w W s S . or 0 */
        uint32_t lo, hi;
    } item[3]; /* SET; TEXT, UNTIL, WITHOUT: lo of each is a character */
    int items;
} l_node;

typedef struct {
    l_node node[LANG_NODES];
    int count, rules;
    bool gbnf;
    uint16_t rule[LANG_RULES];
    /* the text that is looked at */
    uint32_t text[LANG_LONGEST];
    int length;
    uint64_t ends[LANG_RULES][LANG_LONGEST + 1];
} language;

static const uint32_t l_alphabet[] = {'a', 'b',  'c', '1', ' ',  'A',    '_',     '-', '\n',
                                      '"', '\\', ']', '^', 0xE9, 0x20AC, 0x1F600, 'a', 'b'};
enum { LANG_ALPHABET = sizeof l_alphabet / sizeof *l_alphabet };

/* ------------------------------------------------------------------- making one */

static uint16_t l_new(language *l, l_kind kind) {
    if (l->count >= LANG_NODES) return 0;
    memset(&l->node[l->count], 0, sizeof l->node[0]);
    l->node[l->count].kind = (uint8_t)kind;
    return (uint16_t)l->count++;
}

static uint32_t l_letter(fuzz_source *s) {
    return l_alphabet[fuzz_below(s, LANG_ALPHABET)];
}

static uint16_t l_make(language *l, fuzz_source *s, int depth) {
    static const char classes[] = "dwsDWS.";
    uint32_t what = fuzz_below(s, 20);
    if (depth <= 0 && what >= 8) what %= 8;
    if (l->count > LANG_NODES - 20) what = 0;
    uint16_t n = l_new(l, what < 4 ? LANG_TEXT : what < 7 ? LANG_SET : what == 7 ? LANG_EMPTY : LANG_CAT);
    if (!n) return n;
    l_node *x = &l->node[n];
    if (what < 4) {
        x->items = 1 + (int)fuzz_below(s, 3);
        for (int i = 0; i < x->items; i++) x->item[i].lo = l_letter(s);
    } else if (what < 7) {
        x->negate = fuzz_one_in(s, 4);
        x->items = 1 + (int)fuzz_below(s, 3);
        for (int i = 0; i < x->items; i++) {
            uint32_t lo = l_letter(s), hi = fuzz_one_in(s, 3) ? l_letter(s) : lo;
            x->item[i].lo = lo < hi ? lo : hi;
            x->item[i].hi = lo < hi ? hi : lo;
            if (!l->gbnf && fuzz_one_in(s, 5)) x->item[i].class = classes[fuzz_below(s, 6)];
        }
        if (fuzz_one_in(s, 6)) { /* any character */
            x->negate = false;
            x->items = 1;
            x->item[0].class = '.';
        }
    } else if (what == 7) {
        if (!l->gbnf) {
            uint32_t k = fuzz_below(s, 8);
            x->kind = k == 1 ? LANG_BEGIN : k == 2 ? LANG_END : LANG_EMPTY;
        } else if (fuzz_one_in(s, 3)) {
            x->kind = fuzz_one_in(s, 2) ? LANG_UNTIL : LANG_WITHOUT;
            x->items = 1 + (int)fuzz_below(s, 3);
            for (int i = 0; i < x->items; i++) x->item[i].lo = l_alphabet[fuzz_below(s, 3)];
        }
    } else if (what < 13) {
        uint16_t last = 0;
        for (uint32_t k = 1 + fuzz_below(s, 3); k--;) {
            uint16_t c = l_make(l, s, depth - 1);
            if (!c) break;
            if (last)
                l->node[last].next = c;
            else
                l->node[n].first = c;
            last = c;
        }
        l->node[n].kind = what < 10 ? LANG_CAT : LANG_ALT;
    } else if (what < 17 || !l->gbnf) {
        static const int bounds[][2] = {{0, -1}, {1, -1}, {0, 1}, {2, 2}, {0, 3}, {2, -1}, {1, 2}, {0, 0}, {3, 7}};
        uint32_t k = fuzz_below(s, 9);
        uint16_t c = l_make(l, s, depth - 1);
        l->node[n].kind = c ? LANG_REPEAT : LANG_EMPTY;
        l->node[n].first = c;
        l->node[n].lo = bounds[k][0];
        l->node[n].hi = bounds[k][1];
    } else if (what < 19) {
        x->kind = LANG_RULE;
        x->lo = (int)fuzz_below(s, (uint32_t)l->rules);
    } else {
        uint16_t c = l_make(l, s, depth - 1);
        l->node[n].kind = c ? LANG_CAPTURE : LANG_EMPTY;
        l->node[n].first = c;
    }
    return n;
}

/* ------------------------------------------------------------------- writing it */

static void l_put_character(fuzz_text *t, uint32_t c) {
    char u[4];
    size_t n = 1;
    if (c < 0x80)
        u[0] = (char)c;
    else if (c < 0x800)
        u[0] = (char)(0xC0 | c >> 6), u[1] = (char)(0x80 | (c & 63)), n = 2;
    else if (c < 0x10000)
        u[0] = (char)(0xE0 | c >> 12), u[1] = (char)(0x80 | (c >> 6 & 63)), u[2] = (char)(0x80 | (c & 63)), n = 3;
    else
        u[0] = (char)(0xF0 | c >> 18), u[1] = (char)(0x80 | (c >> 12 & 63)), u[2] = (char)(0x80 | (c >> 6 & 63)),
        u[3] = (char)(0x80 | (c & 63)), n = 4;
    fuzz_put(t, u, n);
}

static void l_write_text(const language *l, const l_node *x, fuzz_text *t) {
    if (l->gbnf) fuzz_put(t, "\"", 1);
    for (int i = 0; i < x->items; i++) {
        uint32_t c = x->item[i].lo;
        if (c == '\n')
            fuzz_put(t, "\\n", 2);
        else {
            if (l->gbnf ? c == '"' || c == '\\' : c < 0x80 && strchr("\\]^", (int)c) != NULL) fuzz_put(t, "\\", 1);
            l_put_character(t, c);
        }
    }
    if (l->gbnf) fuzz_put(t, "\"", 1);
}

static void l_write_set(const language *l, const l_node *x, fuzz_text *t) {
    if (x->item[0].class == '.') {
        fuzz_put(t, ".", 1);
        return;
    }
    fuzz_printf(t, "[%s", x->negate ? "^" : "");
    for (int i = 0; i < x->items; i++) {
        if (x->item[i].class) {
            fuzz_printf(t, "\\%c", x->item[i].class);
            continue;
        }
        for (int k = 0; k < (x->item[i].lo == x->item[i].hi ? 1 : 2); k++) {
            uint32_t c = k ? x->item[i].hi : x->item[i].lo;
            if (k) fuzz_put(t, "-", 1);
            if (c == '\n')
                fuzz_put(t, "\\n", 2);
            else {
                if (c < 0x80 && strchr("\\]^-", (int)c)) fuzz_put(t, "\\", 1);
                l_put_character(t, c);
            }
        }
    }
    (void)l;
    fuzz_put(t, "]", 1);
}

static void l_write(const language *l, uint16_t n, fuzz_text *t) {
    const l_node *x = &l->node[n];
    const char *open = l->gbnf ? "(" : "(?:";
    switch ((l_kind)x->kind) {
    case LANG_EMPTY: fuzz_printf(t, "%s)", open); break;
    case LANG_TEXT: l_write_text(l, x, t); break;
    case LANG_SET: l_write_set(l, x, t); break;
    case LANG_BEGIN: fuzz_put(t, "^", 1); break;
    case LANG_END: fuzz_put(t, "$", 1); break;
    case LANG_RULE: fuzz_printf(t, "%s%d", x->lo ? "r" : "root", x->lo); break;
    case LANG_UNTIL:
    case LANG_WITHOUT:
        fuzz_put(t, x->kind == LANG_UNTIL ? "@until " : "@without ", x->kind == LANG_UNTIL ? 7 : 9);
        l_write_text(l, x, t);
        break;
    case LANG_CAPTURE:
    case LANG_CAT:
    case LANG_ALT:
        fuzz_put(t, x->kind == LANG_CAPTURE ? "@capture \"n\" (" : open, x->kind == LANG_CAPTURE ? 14 : strlen(open));
        for (uint16_t c = x->first; c; c = l->node[c].next) {
            l_write(l, c, t);
            if (!l->node[c].next) break;
            if (x->kind == LANG_ALT)
                fuzz_put(t, "|", 1);
            else if (l->gbnf)
                fuzz_put(t, " ", 1);
        }
        fuzz_put(t, ")", 1);
        break;
    case LANG_REPEAT:
        fuzz_put(t, open, strlen(open));
        l_write(l, x->first, t);
        fuzz_put(t, ")", 1);
        if (x->lo == 0 && x->hi == -1)
            fuzz_put(t, "*", 1);
        else if (x->lo == 1 && x->hi == -1)
            fuzz_put(t, "+", 1);
        else if (x->lo == 0 && x->hi == 1)
            fuzz_put(t, "?", 1);
        else if (x->hi == -1)
            fuzz_printf(t, "{%d,}", x->lo);
        else if (x->lo == x->hi)
            fuzz_printf(t, "{%d}", x->lo);
        else
            fuzz_printf(t, "{%d,%d}", x->lo, x->hi);
    }
}

/* ------------------------------------------------------------------ what it matches */

static bool l_in_class(char class, uint32_t c) {
    bool digit = c >= '0' && c <= '9', word = digit || (c >= 'A' && c <= 'Z') || c == '_' || (c >= 'a' && c <= 'z');
    bool space = (c >= 9 && c <= 13) || c == ' ' || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
                 c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000 || c == 0xFEFF;
    switch (class) {
    case 'd': return digit;
    case 'D': return !digit;
    case 'w': return word;
    case 'W': return !word;
    case 's': return space;
    default: return !space;
    }
}

static bool l_in_set(const language *l, const l_node *x, uint32_t c) {
    if (x->item[0].class == '.') return l->gbnf || !(c == '\n' || c == '\r' || c == 0x2028 || c == 0x2029);
    bool in = false;
    for (int i = 0; i < x->items; i++)
        in = in || (x->item[i].class ? l_in_class(x->item[i].class, c) : c >= x->item[i].lo && c <= x->item[i].hi);
    return in != x->negate;
}

static bool l_is_at(const language *l, const l_node *x, int i) {
    for (int k = 0; k < x->items; k++)
        if (i + k >= l->length || l->text[i + k] != x->item[k].lo) return false;
    return true;
}

/* The set of positions where node n may end when it begins at i. */
static uint64_t l_ends(const language *l, uint16_t n, int i);

static uint64_t l_from(const language *l, uint16_t n, uint64_t from) {
    uint64_t out = 0;
    for (int i = 0; i <= l->length; i++)
        if (from >> i & 1) out |= l_ends(l, n, i);
    return out;
}

static uint64_t l_ends(const language *l, uint16_t n, int i) {
    const l_node *x = &l->node[n];
    uint64_t set = 1ull << i, out = 0;
    switch ((l_kind)x->kind) {
    case LANG_EMPTY: return set;
    case LANG_TEXT: return l_is_at(l, x, i) ? set << x->items : 0;
    case LANG_SET: return i < l->length && l_in_set(l, x, l->text[i]) ? set << 1 : 0;
    case LANG_BEGIN: return i == 0 ? set : 0;
    case LANG_END: return i == l->length ? set : 0;
    case LANG_RULE: return l->ends[x->lo][i];
    case LANG_UNTIL:
        for (; i < l->length; i++)
            if (l_is_at(l, x, i)) return 1ull << (i + x->items);
        return 0;
    case LANG_WITHOUT:
        for (int end = i; end <= l->length; end++) {
            if (end - x->items >= i && l_is_at(l, x, end - x->items)) break;
            out |= 1ull << end;
        }
        return out;
    case LANG_CAPTURE:
    case LANG_CAT:
        for (uint16_t c = x->first; c && set; c = l->node[c].next) set = l_from(l, c, set);
        return set;
    case LANG_ALT:
        for (uint16_t c = x->first; c; c = l->node[c].next) out |= l_ends(l, c, i);
        return out;
    case LANG_REPEAT:
        for (int k = 0; k < x->lo && set; k++) set = l_from(l, x->first, set);
        out = set;
        for (int k = x->lo; (x->hi == -1 || k < x->hi) && set; k++) {
            set = l_from(l, x->first, set) & ~(x->hi == -1 ? out : 0);
            out |= set;
        }
        return out;
    }
    return 0;
}

/* 1, 0; -1: too long for this. */
static int l_judge(void *ctx, const char *text, size_t n) {
    language *l = ctx;
    l->length = 0;
    for (size_t i = 0; i < n;) {
        uint8_t c = (uint8_t)text[i];
        int more = c < 0x80                ? 0
                   : c >= 0xC2 && c < 0xE0 ? 1
                   : c >= 0xE0 && c < 0xF0 ? 2
                   : c >= 0xF0 && c < 0xF5 ? 3
                                           : -1;
        uint32_t v = more <= 0 ? c : more == 1 ? c & 31u : more == 2 ? c & 15u : c & 7u;
        if (more < 0 || i + (size_t)more >= n) return 0; /* not UTF-8, or not yet */
        for (int k = 1; k <= more; k++) {
            if (((uint8_t)text[i + (size_t)k] & 0xC0) != 0x80) return 0;
            v = v << 6 | ((uint8_t)text[i + (size_t)k] & 63u);
        }
        if ((more == 2 && (v < 0x800 || (v >= 0xD800 && v < 0xE000))) || (more == 3 && (v < 0x10000 || v > 0x10FFFF)))
            return 0;
        if (l->length == LANG_LONGEST) return -1;
        l->text[l->length++] = v;
        i += 1 + (size_t)more;
    }
    memset(l->ends, 0, sizeof l->ends);
    for (bool more = l->rules > 0; more;) { /* the least fixed point: left recursion is nothing special here */
        more = false;
        for (int r = 0; r < l->rules; r++)
            for (int i = 0; i <= l->length; i++) {
                uint64_t e = l_ends(l, l->rule[r], i) | l->ends[r][i];
                more = more || e != l->ends[r][i];
                l->ends[r][i] = e;
            }
    }
    uint64_t e = l->rules ? l->ends[0][0] : l_ends(l, l->rule[0], 0);
    return e >> l->length & 1;
}

/* A text of the alphabet. */
static void l_random_text(fuzz_source *s, fuzz_text *t) {
    t->length = 0;
    for (uint32_t k = fuzz_below(s, 9); k--;) l_put_character(t, l_letter(s));
}

#endif
