/* nfa.c - from a syntax tree to a byte automaton (Thompson's construction; code points become UTF-8 sequences). */
#include "nfa.h"

#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"

void mllm_nfa_free(mllm_nfa *nfa) {
    mllm_free(nfa->states);
    nfa->states = NULL;
    nfa->count = nfa->capacity = 0;
}

static uint32_t state(mllm_nfa *n, mllm_nfa_kind kind, uint8_t lo, uint8_t hi, uint32_t out, uint32_t out1) {
    if (n->failed || n->too_large) return 0;
    if (n->count == n->capacity) {
        if (n->count >= MLLM_NFA_MAX_STATES) {
            n->too_large = true;
            return 0;
        }
        uint32_t c = n->capacity ? n->capacity * 2 : 32;
        mllm_nfa_state *s = mllm_realloc_array(n->states, c, sizeof *s);
        if (!s) {
            n->failed = true;
            return 0;
        }
        n->states = s;
        n->capacity = c;
    }
    n->states[n->count] = (mllm_nfa_state){(uint8_t)kind, lo, hi, out, out1};
    return n->count++;
}

/* ------------------------------------------------------------------- sets */

/* A character of `length` bytes whose bytes lie between lo[] and hi[]: the automaton is built from its end, so `out` exists. */
static uint32_t sequence(mllm_nfa *n, const uint8_t *lo, const uint8_t *hi, int length, uint32_t out) {
    for (int i = length - 1; i >= 0; i--) out = state(n, NFA_RANGE, lo[i], hi[i], out, NONE);
    return out;
}

static int encode(uint32_t c, uint8_t *b) {
    if (c < 0x80) return b[0] = (uint8_t)c, 1;
    if (c < 0x800) return b[0] = (uint8_t)(0xC0 | c >> 6), b[1] = (uint8_t)(0x80 | (c & 63)), 2;
    if (c < 0x10000)
        return b[0] = (uint8_t)(0xE0 | c >> 12), b[1] = (uint8_t)(0x80 | (c >> 6 & 63)),
               b[2] = (uint8_t)(0x80 | (c & 63)), 3;
    return b[0] = (uint8_t)(0xF0 | c >> 18), b[1] = (uint8_t)(0x80 | (c >> 12 & 63)),
           b[2] = (uint8_t)(0x80 | (c >> 6 & 63)), b[3] = (uint8_t)(0x80 | (c & 63)), 4;
}

static uint32_t either(mllm_nfa *n, uint32_t a, uint32_t b) {
    if (a == NONE) return b;
    return state(n, NFA_SPLIT, 0, 0, a, b);
}

/* [lo, hi], all of one encoded length: split where leading bytes differ while trailing ones are not the full range. */
static uint32_t utf8_span(mllm_nfa *n, uint32_t lo, uint32_t hi, uint32_t out) {
    uint32_t head = NONE;
    uint32_t stack[32][2];
    int top = 0;
    stack[top][0] = lo;
    stack[top++][1] = hi;
    while (top) {
        top--;
        uint32_t a = stack[top][0], z = stack[top][1];
        bool split = false;
        for (int i = 1; i < 4 && !split; i++) {
            uint32_t m = (1u << (6 * i)) - 1;
            if (a <= 0x7F && z <= 0x7F) break;
            if ((a & ~m) != (z & ~m)) {
                if (a & m) {
                    stack[top][0] = (a | m) + 1, stack[top++][1] = z;
                    stack[top][0] = a, stack[top++][1] = a | m;
                    split = true;
                } else if ((z & m) != m) {
                    stack[top][0] = z & ~m, stack[top++][1] = z;
                    stack[top][0] = a, stack[top++][1] = (z & ~m) - 1;
                    split = true;
                }
            }
        }
        if (split) continue;
        uint8_t l[4], h[4];
        int length = encode(a, l);
        encode(z, h);
        head = either(n, head, sequence(n, l, h, length, out));
    }
    return head;
}

static uint32_t emit_set(mllm_nfa *n, const mllm_range *r, uint32_t count, uint32_t out) {
    static const uint32_t limits[][2] = {
        {0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, 0x10FFFF}};
    uint32_t head = NONE;
    for (uint32_t i = 0; i < count && !n->too_large && !n->failed; i++)
        for (int k = 0; k < 5; k++) { /* surrogates are no characters */
            uint32_t lo = r[i].lo > limits[k][0] ? r[i].lo : limits[k][0];
            uint32_t hi = r[i].hi < limits[k][1] ? r[i].hi : limits[k][1];
            if (lo <= hi) head = either(n, head, utf8_span(n, lo, hi, out));
        }
    return head == NONE ? state(n, NFA_DEAD, 0, 0, NONE, NONE) : head;
}

static uint32_t emit_any(mllm_nfa *n, uint32_t out) {
    static const mllm_range all = {0, 0x10FFFF};
    return emit_set(n, &all, 1, out);
}

/* any* in front of `out`; returns its head. */
static uint32_t emit_any_loop(mllm_nfa *n, uint32_t out) {
    uint32_t loop = state(n, NFA_SPLIT, 0, 0, NONE, out);
    uint32_t body = emit_any(n, loop);
    if (n->failed || n->too_large) return 0;
    n->states[loop].out = body;
    return loop;
}

/* ---------------------------------------------------------------- building */

typedef struct {
    mllm_nfa *n;
    const mllm_exprs *x;
    mllm_nfa_rule_fn rule;
    void *ctx;
    int depth;
    uint32_t bad; /* an expression that is not regular */
} builder;

/* Builds `e` in front of `out` and returns its first state. Recursion is bounded by the parsers' nesting limit. */
static uint32_t emit(builder *b, uint32_t e, uint32_t out) {
    mllm_nfa *n = b->n;
    if (n->failed || n->too_large) return 0;
    if (b->depth > 2000) {
        n->too_large = true;
        return 0;
    }
    const mllm_expr *x = &b->x->nodes[e];
    b->depth++;
    switch (x->kind) {
    case EXPR_EMPTY: break;
    case EXPR_SET: out = emit_set(n, b->x->ranges + x->lo, x->hi, out); break;
    case EXPR_BYTES:
        for (uint32_t i = x->hi; i-- > 0;) {
            uint8_t c = (uint8_t)b->x->bytes[x->lo + i];
            out = state(n, NFA_RANGE, c, c, out, NONE);
        }
        break;
    case EXPR_CAT: {
        /* From the end: the children are a singly linked list, so their order is turned around on a small stack of its own. */
        uint32_t count = 0, i = 0;
        for (uint32_t c = x->first; c != NONE; c = b->x->nodes[c].next) count++;
        uint32_t *list = mllm_alloc_array(count, sizeof *list);
        if (!list) {
            n->failed = true;
            break;
        }
        for (uint32_t c = x->first; c != NONE; c = b->x->nodes[c].next) list[i++] = c;
        while (i-- > 0) out = emit(b, list[i], out);
        mllm_free(list);
        break;
    }
    case EXPR_ALT: {
        uint32_t head = NONE;
        for (uint32_t c = x->first; c != NONE; c = b->x->nodes[c].next) head = either(n, head, emit(b, c, out));
        out = head;
        break;
    }
    case EXPR_REPEAT: {
        if (x->hi == NONE) {
            uint32_t loop = state(n, NFA_SPLIT, 0, 0, NONE, out), body = emit(b, x->first, loop);
            if (n->failed || n->too_large) break;
            n->states[loop].out = body;
            out = loop;
        } else {
            uint32_t end = out;
            for (uint32_t i = x->lo; i < x->hi && !n->failed && !n->too_large; i++)
                out = state(n, NFA_SPLIT, 0, 0, emit(b, x->first, out), end);
        }
        for (uint32_t i = 0; i < x->lo && !n->failed && !n->too_large; i++) out = emit(b, x->first, out);
        break;
    }
    case EXPR_BEGIN: out = state(n, NFA_BEGIN, 0, 0, out, NONE); break;
    case EXPR_END: out = state(n, NFA_END, 0, 0, out, NONE); break;
    case EXPR_RULE:
        if (b->rule)
            out = emit(b, b->rule(b->ctx, x->lo), out);
        else
            b->bad = e;
        break;
    default: b->bad = e; break;
    }
    b->depth--;
    return out;
}

/* Marks the states that reach ACCEPT once the begin mark has been read; `ended`: once the end mark has, too. */
static void find_good(const mllm_nfa *n, bool *good, const bool *ended) {
    /* Most edges go from later to earlier states (built from the end); loops need another round. */
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < n->count; i++) {
            if (good[i]) continue;
            const mllm_nfa_state *s = &n->states[i];
            bool g = s->kind == NFA_ACCEPT;
            if (s->kind == NFA_SPLIT) g = (s->out != NONE && good[s->out]) || (s->out1 != NONE && good[s->out1]);
            if (s->kind == NFA_RANGE) g = ended && good[s->out];
            if (s->kind == NFA_END) g = ended ? ended[s->out] : good[s->out];
            if (g) good[i] = changed = true;
        }
    }
}

/* Removes what cannot reach ACCEPT: such states become DEAD, so that a set of states is alive exactly when it is not empty. There is
 * one begin mark and one end mark: nothing is read after the end, and no begin comes after anything. */
static bool trim(mllm_nfa *n) {
    bool *good = mllm_calloc(n->count, sizeof *good), *ended = mllm_calloc(n->count, sizeof *ended);
    if (good && ended) {
        find_good(n, ended, NULL);
        find_good(n, good, ended);
        for (uint32_t i = 0; i < n->count; i++) {
            mllm_nfa_state *s = &n->states[i];
            bool keep = good[i] || ended[i] || s->kind == NFA_BEGIN ||
                        s->kind == NFA_SPLIT; /* these read nothing: they only lead on */
            if (!keep) s->kind = NFA_DEAD;
        }
        if (n->any_before != NONE && !good[n->any_before]) n->any_before = NONE;
    }
    bool ok = good && ended;
    mllm_free(good);
    mllm_free(ended);
    return ok;
}

/* `^[class]{m,n}$` and the like: the repeat becomes a loop, its bounds become lengths. */
static bool fold(const mllm_exprs *x, uint32_t root, uint32_t *repeat) {
    const mllm_expr *e = &x->nodes[root];
    bool begin = false, end = false;
    *repeat = NONE;
    while (e->kind == EXPR_CAT && e->first != NONE && x->nodes[e->first].next == NONE) e = &x->nodes[e->first];
    if (e->kind != EXPR_CAT) return false;
    for (uint32_t c = e->first; c != NONE; c = x->nodes[c].next) {
        const mllm_expr *k = &x->nodes[c];
        uint32_t at = c;
        while (k->kind == EXPR_CAT && k->first != NONE && x->nodes[k->first].next == NONE)
            at = k->first, k = &x->nodes[at];
        if (k->kind == EXPR_BEGIN && *repeat == NONE)
            begin = true;
        else if (k->kind == EXPR_END && *repeat != NONE)
            end = true;
        else if (k->kind == EXPR_REPEAT && *repeat == NONE) {
            uint32_t inner = k->first;
            while (x->nodes[inner].kind == EXPR_CAT && x->nodes[inner].first != NONE &&
                   x->nodes[x->nodes[inner].first].next == NONE)
                inner = x->nodes[inner].first;
            if (x->nodes[inner].kind != EXPR_SET) return false;
            *repeat = at;
        } else
            return false;
    }
    return begin && end && *repeat != NONE;
}

mllm_code mllm_nfa_build(mllm_nfa *n, const mllm_exprs *x, uint32_t root, mllm_nfa_mode mode, mllm_nfa_rule_fn rule,
                         void *ctx, mllm_error *err) {
    memset(n, 0, sizeof *n);
    n->any_before = n->any_after = NONE;
    n->max_chars = NONE;
    builder b = {.n = n, .x = x, .rule = rule, .ctx = ctx, .bad = NONE};
    uint32_t accept = state(n, NFA_ACCEPT, 0, 0, NONE, NONE), start, repeat;
    const mllm_expr *e = &x->nodes[root];
    if (e->kind == EXPR_UNTIL || e->kind == EXPR_WITHOUT) {
        n->shortest = e->kind == EXPR_UNTIL;
        n->inverted = e->kind == EXPR_WITHOUT;
        start = n->inverted ? emit_any_loop(n, accept) : accept;
        if (n->inverted) n->any_after = start; /* from here on nothing is accepted: the lexer ends */
        if (e->first != NONE) start = emit(&b, e->first, start);
        for (uint32_t i = e->hi; i-- > 0;) {
            uint8_t c = (uint8_t)x->bytes[e->lo + i];
            start = state(n, NFA_RANGE, c, c, start, NONE);
        }
        start = emit_any_loop(n, start);
        if (n->inverted) n->any_before = start; /* tells where a character ends: only there may the text */
    } else if (mode == NFA_PLAIN)
        start = emit(&b, root, accept);
    else {
        n->markers = true;
        uint32_t end = accept;
        bool folded = (mode == NFA_SEARCH || mode == NFA_KEYS) && fold(x, root, &repeat) && x->nodes[repeat].hi != 1;
        if (folded && mode == NFA_KEYS) {
            const mllm_expr *r = &x->nodes[repeat];
            folded = r->lo > 256 || (r->hi != NONE && r->hi > 256);
        }
        if (mode != NFA_WHOLE) {
            end = emit_any_loop(n, accept);
            n->any_after = end;
        }
        end = state(n, NFA_SPLIT, 0, 0, state(n, NFA_END, 0, 0, accept, NONE), end);
        if (folded) {
            n->min_chars = x->nodes[repeat].lo;
            n->max_chars = x->nodes[repeat].hi;
            uint32_t loop = state(n, NFA_SPLIT, 0, 0, NONE, state(n, NFA_END, 0, 0, accept, NONE));
            uint32_t body = emit(&b, x->nodes[repeat].first, loop);
            if (!n->failed && !n->too_large) n->states[loop].out = body;
            start = state(n, NFA_BEGIN, 0, 0, loop, NONE);
        } else {
            start = emit(&b, root, end);
            uint32_t before = start;
            if (mode != NFA_WHOLE) {
                before = emit_any_loop(n, start);
                n->any_before = before;
            }
            start = state(n, NFA_SPLIT, 0, 0, state(n, NFA_BEGIN, 0, 0, before, NONE), start);
        }
    }
    n->start = start;
    if (!n->failed && !n->too_large && b.bad == NONE && !n->inverted && !trim(n)) n->failed = true;
    mllm_code code = MLLM_OK;
    if (n->failed)
        code = mllm_fail_memory(err, n->count * sizeof *n->states, "automaton");
    else if (n->too_large)
        code = mllm_fail(err, MLLM_E_LIMIT, "regular expression, position %u: its automaton has more than %d states",
                         (unsigned)e->at + 1, MLLM_NFA_MAX_STATES);
    else if (b.bad != NONE)
        code = mllm_fail(err, MLLM_E_UNSUPPORTED, "position %u: not regular", (unsigned)x->nodes[b.bad].at + 1);
    if (code == MLLM_OK) {
        int m = mllm_nfa_match(n, "", 0);
        if (m < 0) code = mllm_fail_memory(err, n->count * sizeof *n->states, "automaton");
        n->nullable = m == 1;
    }
    if (code != MLLM_OK) mllm_nfa_free(n);
    return code;
}

mllm_code mllm_nfa_regex(mllm_nfa *nfa, const char *pattern, size_t length, mllm_nfa_mode mode, mllm_error *err) {
    mllm_exprs x = {0};
    uint32_t root;
    memset(nfa, 0, sizeof *nfa);
    mllm_code code = mllm_regex_parse(&x, pattern, length, &root, err);
    if (code == MLLM_OK) code = mllm_nfa_build(nfa, &x, root, mode, NULL, NULL, err);
    mllm_exprs_free(&x);
    return code;
}

/* ---------------------------------------------------------------- simulation */

bool mllm_nfa_set_init(mllm_nfa_set *set, uint32_t states) {
    set->items = mllm_alloc_array(states, sizeof *set->items);
    set->stamp = mllm_calloc(states, sizeof *set->stamp);
    set->count = 0;
    set->mark = 1;
    set->size = states;
    return set->items && set->stamp;
}

void mllm_nfa_set_free(mllm_nfa_set *set) {
    mllm_free(set->items);
    mllm_free(set->stamp);
    memset(set, 0, sizeof *set);
}

void mllm_nfa_set_clear(mllm_nfa_set *set) {
    set->count = 0;
    if (++set->mark == 0) {
        memset(set->stamp, 0, set->size * sizeof *set->stamp);
        set->mark = 1;
    }
}

/* `stack` has room for twice as many entries as there are states. */
static void add_closure(const mllm_nfa *nfa, mllm_nfa_set *set, uint32_t *stack, uint32_t from, bool before) {
    uint32_t top = 0;
    stack[top++] = from;
    while (top) {
        uint32_t s = stack[--top];
        if (s == NONE || set->stamp[s] == set->mark) continue;
        set->stamp[s] = set->mark;
        const mllm_nfa_state *n = &nfa->states[s];
        if (n->kind == NFA_SPLIT) {
            stack[top++] = n->out1;
            stack[top++] = n->out;
            /* The heads of the two any-loops stay in the set: they tell that everything that follows is alive, or accepted. */
            if (s == nfa->any_after || s == nfa->any_before) set->items[set->count++] = s;
        } else if (n->kind != NFA_DEAD && (n->kind != NFA_BEGIN || before))
            set->items[set->count++] = s;
    }
}

void mllm_nfa_add(const mllm_nfa *nfa, mllm_nfa_set *set, uint32_t *stack, uint32_t from) {
    add_closure(nfa, set, stack, from, false);
}

void mllm_nfa_begin(const mllm_nfa *nfa, mllm_nfa_set *set, mllm_nfa_set *scratch, uint32_t *stack) {
    mllm_nfa_set_clear(set);
    if (!nfa->markers) {
        mllm_nfa_add(nfa, set, stack, nfa->start);
        return;
    }
    /* Here, and only here, a begin mark is passed, however often it is asked for ("^(^a)"). */
    mllm_nfa_set_clear(scratch);
    add_closure(nfa, scratch, stack, nfa->start, true);
    for (uint32_t i = 0; i < scratch->count; i++) {
        const mllm_nfa_state *s = &nfa->states[scratch->items[i]];
        if (s->kind == NFA_BEGIN) {
            mllm_nfa_add(nfa, set, stack, s->out);
            add_closure(nfa, scratch, stack, s->out, true);
        }
    }
}

bool mllm_nfa_accepts(const mllm_nfa *nfa, const uint32_t *items, uint32_t count, mllm_nfa_set *scratch,
                      uint32_t *stack) {
    bool yes = false;
    mllm_nfa_set_clear(scratch);
    for (uint32_t i = 0; i < count && !yes; i++) {
        const mllm_nfa_state *s = &nfa->states[items[i]];
        yes = s->kind == NFA_ACCEPT;
        if (s->kind == NFA_END) mllm_nfa_add(nfa, scratch, stack, s->out);
    }
    /* Marks may be asked for twice ("a$" in front of the end mark), never more often than there are states. */
    for (uint32_t i = 0; i < scratch->count && !yes; i++) {
        const mllm_nfa_state *s = &nfa->states[scratch->items[i]];
        yes = s->kind == NFA_ACCEPT;
        if (s->kind == NFA_END) mllm_nfa_add(nfa, scratch, stack, s->out);
    }
    if (!nfa->inverted) return yes;
    bool between = false;
    for (uint32_t i = 0; i < count && !between; i++) between = items[i] == nfa->any_before;
    return between && !yes;
}

int mllm_nfa_match(const mllm_nfa *nfa, const char *text, size_t length) {
    mllm_nfa_set a = {0}, b = {0}, scratch = {0};
    uint32_t *stack = mllm_alloc_array(nfa->count * 2 + 2, sizeof *stack);
    int result = -1;
    bool ready = mllm_nfa_set_init(&a, nfa->count);
    ready = mllm_nfa_set_init(&b, nfa->count) && ready;
    ready = mllm_nfa_set_init(&scratch, nfa->count) && ready;
    if (ready && stack) {
        uint32_t chars = 0;
        mllm_nfa_begin(nfa, &a, &scratch, stack);
        for (size_t i = 0; i < length; i++) {
            uint8_t c = (uint8_t)text[i];
            chars += (c & 0xC0) != 0x80;
            mllm_nfa_set_clear(&b);
            for (uint32_t k = 0; k < a.count; k++) {
                const mllm_nfa_state *s = &nfa->states[a.items[k]];
                if (s->kind == NFA_RANGE && c >= s->lo && c <= s->hi) mllm_nfa_add(nfa, &b, stack, s->out);
            }
            mllm_nfa_set t = a;
            a = b;
            b = t;
            if (a.count == 0) break;
        }
        result = mllm_nfa_accepts(nfa, a.items, a.count, &scratch, stack) && chars >= nfa->min_chars &&
                 (nfa->max_chars == NONE || chars <= nfa->max_chars);
    }
    mllm_nfa_set_free(&a);
    mllm_nfa_set_free(&b);
    mllm_nfa_set_free(&scratch);
    mllm_free(stack);
    return result;
}
