/* rules.c - from rules to states and edges. What is regular becomes lexers; left recursion is taken out (A = A x | y becomes y x*). */
#include "rules.h"

#include <stdio.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "gbnf.h"

enum { MAX_CYCLIC = 100, MAX_STATES = 200000, MAX_INLINE = 3000, MAX_LEXER = 40000 };

typedef struct {
    mllm_edge e;
    uint32_t from, next_of; /* next edge of the same state */
} link;

typedef struct {
    uint32_t start, end; /* states */
    uint32_t first, last; /* its states are [first, last) */
    bool nullable, cyclic; /* cyclic: part of a left recursion */
    bool anonymous; /* the inside of a capture */
} rule;

typedef struct {
    mllm_gbnf *g;
    const char *text;
    mllm_grammar *const *imports;
    link *edges;
    uint32_t edge_count, edge_capacity;
    uint32_t *head; /* [states] first edge, NONE */
    uint32_t state_count, state_capacity;
    rule *rules;
    uint32_t rule_count, rule_capacity;
    mllm_nfa *nfas;
    uint32_t nfa_count, nfa_capacity;
    uint32_t *least; /* [nfas] */
    uint32_t least_capacity;
    bool *regular; /* [rules of the text] */
    uint32_t *size; /* [rules of the text] states of its automaton, roughly */
    uint32_t *lexer_of; /* [rules of the text] that of the whole rule, NONE */
    char **names;
    uint32_t name_count, name_capacity;
    mllm_code code;
    mllm_error *err;
} builder;

static void fail(builder *b, mllm_code code, uint32_t at, const char *what) {
    unsigned line, column;
    if (b->code != MLLM_OK) return;
    mllm_gbnf_place(b->text, at, &line, &column);
    b->code = code == MLLM_E_MEMORY ? mllm_fail_memory(b->err, 0, "grammar")
                                    : mllm_fail(b->err, code, "grammar, line %u, column %u: %s", line, column, what);
}

static bool reserve(builder *b, void *array, uint32_t need, uint32_t *capacity, size_t size) {
    if (need <= *capacity) return true;
    uint32_t c = *capacity ? *capacity : 32;
    while (c < need) c *= 2;
    void **place = array, *p = mllm_realloc_array(*place, c, size);
    if (!p) {
        fail(b, MLLM_E_MEMORY, 0, "");
        return false;
    }
    *place = p;
    *capacity = c;
    return true;
}

static uint32_t new_state(builder *b, uint32_t at) {
    if (b->code != MLLM_OK) return 0;
    if (b->state_count >= MAX_STATES) {
        fail(b, MLLM_E_LIMIT, at, "the grammar has more than 200000 states");
        return 0;
    }
    if (!reserve(b, &b->head, b->state_count + 1, &b->state_capacity, sizeof *b->head)) return 0;
    b->head[b->state_count] = NONE;
    return b->state_count++;
}

static void new_edge(builder *b, uint32_t from, mllm_edge e) {
    if (b->code != MLLM_OK || !reserve(b, &b->edges, b->edge_count + 1, &b->edge_capacity, sizeof *b->edges)) return;
    b->edges[b->edge_count] = (link){e, from, b->head[from]};
    b->head[from] = b->edge_count++;
}

static void empty_edge(builder *b, uint32_t from, uint32_t to) {
    new_edge(b, from, (mllm_edge){.kind = EDGE_EMPTY, .next = to});
}

static uint32_t new_rule(builder *b) {
    if (!reserve(b, &b->rules, b->rule_count + 1, &b->rule_capacity, sizeof *b->rules)) return 0;
    b->rules[b->rule_count] = (rule){.start = NONE, .end = NONE};
    return b->rule_count++;
}

/* ------------------------------------------------------------------ regularity */

static uint32_t add(uint32_t a, uint32_t b) {
    return a == NONE || b == NONE || a > 1000000 || b > 1000000 ? NONE : a + b;
}

/* States of the automaton of `e`; NONE: not regular, or far too many. Depth is bounded by the parser. */
static uint32_t regular_size(const builder *b, uint32_t e) {
    const mllm_expr *x = &b->g->x.nodes[e];
    uint32_t n = 1;
    switch (x->kind) {
    case EXPR_EMPTY: return 0;
    case EXPR_SET: return 4 + x->hi * 4 > 4000 ? 4000 : 4 + x->hi * 4;
    case EXPR_BYTES: return x->hi;
    case EXPR_CAT:
    case EXPR_ALT:
        for (uint32_t c = x->first; c != NONE && n != NONE; c = b->g->x.nodes[c].next) n = add(n, regular_size(b, c));
        return n;
    case EXPR_REPEAT: {
        uint64_t times = x->hi == NONE ? x->lo + 1 : x->hi ? x->hi : 1;
        n = regular_size(b, x->first);
        return n == NONE || times * (n + 1) > MAX_LEXER ? NONE : (uint32_t)times * (n + 1);
    }
    case EXPR_RULE: return b->regular[x->lo] && b->size[x->lo] <= MAX_INLINE ? b->size[x->lo] : NONE;
    default: return NONE;
    }
}

typedef struct {
    uint32_t user, next;
} use;

/* Adds one use for every rule that `e` names; returns their number. */
static uint32_t count_uses(builder *b, uint32_t e, uint32_t user, use **uses, uint32_t *count, uint32_t *capacity,
                           uint32_t *first) {
    const mllm_expr *x = &b->g->x.nodes[e];
    uint32_t n = 0;
    if (x->kind == EXPR_RULE) {
        if (!reserve(b, uses, *count + 1, capacity, sizeof **uses)) return 0;
        (*uses)[*count] = (use){user, first[x->lo]};
        first[x->lo] = (*count)++;
        return 1;
    }
    for (uint32_t c = x->first; c != NONE && b->code == MLLM_OK; c = b->g->x.nodes[c].next)
        n += count_uses(b, c, user, uses, count, capacity, first);
    return n;
}

/* Rules that are not recursive and small enough, from the leaves up: when the last rule that a rule names has turned out regular, the
 * rule itself is looked at. */
static void find_regular(builder *b) {
    uint32_t n = b->g->rule_count, count = 0, capacity = 0, top = 0;
    use *uses = NULL;
    uint32_t *open = mllm_calloc(n, sizeof *open), *first = mllm_alloc_array(n, sizeof *first),
             *stack = mllm_alloc_array(n, sizeof *stack);
    if (!open || !first || !stack)
        fail(b, MLLM_E_MEMORY, 0, "");
    else {
        memset(first, 0xFF, n * sizeof *first);
        for (uint32_t r = 0; r < n && b->code == MLLM_OK; r++) {
            open[r] = count_uses(b, b->g->rules[r].expr, r, &uses, &count, &capacity, first);
            if (open[r] == 0) stack[top++] = r;
        }
        while (top && b->code == MLLM_OK) {
            uint32_t r = stack[--top];
            b->size[r] = regular_size(b, b->g->rules[r].expr);
            b->regular[r] = b->size[r] != NONE;
            if (!b->regular[r] || b->size[r] > MAX_INLINE) continue;
            for (uint32_t u = first[r]; u != NONE; u = uses[u].next)
                if (--open[uses[u].user] == 0) stack[top++] = uses[u].user;
        }
    }
    mllm_free(uses);
    mllm_free(open);
    mllm_free(first);
    mllm_free(stack);
}

/* -------------------------------------------------------------------- building */

static uint32_t expr_of_rule(void *ctx, uint32_t r) {
    return ((builder *)ctx)->g->rules[r].expr;
}

/* A lexer for a regular expression; NONE: nothing matches it (or a failure). */
static uint32_t new_lexer(builder *b, uint32_t e) {
    mllm_exprs *x = &b->g->x;
    uint32_t alone = e;
    while ((x->nodes[alone].kind == EXPR_CAT || x->nodes[alone].kind == EXPR_ALT) && x->nodes[alone].first != NONE &&
           x->nodes[x->nodes[alone].first].next == NONE)
        alone = x->nodes[alone].first;
    bool whole = x->nodes[alone].kind == EXPR_RULE;
    if (whole && b->lexer_of[x->nodes[alone].lo] != NONE) return b->lexer_of[x->nodes[alone].lo];
    if (!reserve(b, &b->nfas, b->nfa_count + 1, &b->nfa_capacity, sizeof *b->nfas)) return NONE;
    if (!reserve(b, &b->least, b->nfa_count + 1, &b->least_capacity, sizeof *b->least)) return NONE;
    mllm_nfa *n = &b->nfas[b->nfa_count];
    mllm_error inner;
    mllm_code code = mllm_nfa_build(n, x, alone, NFA_PLAIN, expr_of_rule, b, &inner);
    if (code != MLLM_OK) {
        fail(b, code, x->nodes[e].at, code == MLLM_E_LIMIT ? "this part has too many states" : inner.message);
        return NONE;
    }
    mllm_lexer lexer;
    mllm_lexers table = {0};
    const mllm_nfa *part = n;
    mllm_lexer_init(&lexer, &part, 1, false);
    uint32_t start = mllm_lexer_start(&table, &lexer),
             shortest = start == NONE ? NONE : mllm_lexer_bytes_left(&table, start, false);
    code = table.failed;
    mllm_lexers_free(&table);
    if (code == MLLM_E_MEMORY) fail(b, code, 0, "");
    b->least[b->nfa_count] = code == MLLM_OK ? shortest : 0;
    if (whole) b->lexer_of[x->nodes[alone].lo] = b->nfa_count;
    return b->nfa_count++;
}

static void join(builder *b, uint32_t lexer, uint32_t from, uint32_t to) {
    if (b->code != MLLM_OK || lexer == NONE || b->least[lexer] == NONE) return;
    new_edge(b, from, (mllm_edge){.kind = EDGE_LEX, .nonempty = true, .arg = lexer, .next = to});
    if (b->nfas[lexer].nullable) empty_edge(b, from, to);
}

static void lex_edge(builder *b, uint32_t e, uint32_t from, uint32_t to) {
    join(b, new_lexer(b, e), from, to);
}

static bool is_regular(const builder *b, uint32_t e) {
    return regular_size(b, e) <= MAX_LEXER;
}

/* A node of kind CAT or ALT over copies of the children from `from` on, up to but without `end`; only the regular ones for ALT. */
static uint32_t gather(builder *b, mllm_expr_kind kind, uint32_t from, uint32_t end) {
    mllm_exprs *x = &b->g->x;
    uint32_t node = mllm_expr_new(x, kind, x->nodes[from].at), last = NONE;
    for (uint32_t c = from; c != end && !x->failed; c = x->nodes[c].next) {
        if (kind == EXPR_ALT && !is_regular(b, c)) continue;
        uint32_t copy = mllm_expr_new(x, EXPR_EMPTY, 0);
        if (x->failed) break;
        x->nodes[copy] = x->nodes[c];
        x->nodes[copy].next = NONE;
        mllm_expr_append(x, node, &last, copy);
    }
    if (x->failed) fail(b, MLLM_E_MEMORY, 0, "");
    return node;
}

static uint32_t add_name(builder *b, const mllm_expr *x) {
    if (!reserve(b, &b->names, b->name_count + 1, &b->name_capacity, sizeof *b->names)) return 0;
    char *s = mllm_strndup(b->g->x.bytes + x->lo, x->hi);
    if (!s) fail(b, MLLM_E_MEMORY, 0, "");
    if (!s) return 0;
    b->names[b->name_count] = s;
    return b->name_count++;
}

static void build(builder *b, uint32_t e, uint32_t from, uint32_t to);

/* Regular parts in a row, the children of `run` (`at`: the place that errors name): one lexer for all of them, or one each where that is too large. */
static void build_run(builder *b, uint32_t run, uint32_t at, uint32_t from, uint32_t to) {
    const mllm_exprs *x = &b->g->x;
    if (is_regular(b, run)) {
        lex_edge(b, run, from, to);
        return;
    }
    for (uint32_t c = x->nodes[run].first; c != NONE && b->code == MLLM_OK; c = x->nodes[c].next) {
        uint32_t next = x->nodes[c].next == NONE ? to : new_state(b, at);
        lex_edge(b, c, from, next);
        from = next;
    }
}

static void build_sequence(builder *b, const mllm_expr *n, uint32_t from, uint32_t to) {
    const mllm_exprs *x = &b->g->x;
    for (uint32_t c = n->first; c != NONE && b->code == MLLM_OK;) {
        uint32_t end = c;
        while (end != NONE && is_regular(b, end)) end = x->nodes[end].next;
        bool run = end != c;
        uint32_t after = run ? end : x->nodes[c].next, state = after == NONE ? to : new_state(b, n->at);
        if (run) {
            uint32_t part = gather(b, EXPR_CAT, c, end);
            if (b->code != MLLM_OK) return;
            build_run(b, part, n->at, from, state);
        } else
            build(b, c, from, state);
        from = state;
        c = after;
    }
}

/* One lexer for the regular alternatives, where it is not too large; edges of its own for every other one. */
static void build_alternatives(builder *b, const mllm_expr *n, uint32_t from, uint32_t to) {
    const mllm_exprs *x = &b->g->x;
    uint32_t part = gather(b, EXPR_ALT, n->first, NONE);
    if (b->code != MLLM_OK) return;
    bool together = x->nodes[part].first != NONE && is_regular(b, part);
    if (together) lex_edge(b, part, from, to);
    for (uint32_t c = n->first; c != NONE && b->code == MLLM_OK; c = x->nodes[c].next)
        if (!together || !is_regular(b, c)) build(b, c, from, to);
}

/* A state between each time and the next, from n->lo on with a way past those that may be left out; a loop where there is no last time. */
static void build_repeat(builder *b, const mllm_expr *n, uint32_t from, uint32_t to) {
    bool endless = n->hi == NONE, regular = is_regular(b, n->first);
    uint32_t lexer = regular ? new_lexer(b, n->first) : NONE, most = endless ? n->lo : n->hi;
    for (uint32_t i = 0; i < most && b->code == MLLM_OK; i++) {
        uint32_t next = i + 1 == most && !endless ? to : new_state(b, n->at);
        if (i >= n->lo) empty_edge(b, from, to);
        if (regular) /* the same lexer many times */
            join(b, lexer, from, next);
        else
            build(b, n->first, from, next);
        from = next;
    }
    if (!endless || b->code != MLLM_OK) return;
    uint32_t loop = new_state(b, n->at);
    empty_edge(b, from, loop);
    if (regular)
        join(b, lexer, loop, loop);
    else
        build(b, n->first, loop, loop);
    empty_edge(b, loop, to);
}

/* What is captured becomes a rule of its own. */
static void build_capture(builder *b, const mllm_expr *n, uint32_t from, uint32_t to) {
    uint32_t inside = new_rule(b), name = add_name(b, n);
    if (b->code != MLLM_OK) return;
    new_edge(b, from, (mllm_edge){.kind = EDGE_CAPTURE, .arg = inside, .name = name, .next = to});
    uint32_t start = new_state(b, n->at), end = new_state(b, n->at);
    if (b->code != MLLM_OK) return;
    b->rules[inside].start = start;
    b->rules[inside].end = end;
    b->rules[inside].anonymous = true;
    build(b, n->first, start, end);
}

/* Edges that read `e` on the way from one state to another. */
static void build(builder *b, uint32_t e, uint32_t from, uint32_t to) {
    if (b->code != MLLM_OK) return;
    const mllm_expr n = b->g->x.nodes[e]; /* a copy: the nodes move when parts are gathered */
    if (n.kind == EXPR_EMPTY || ((n.kind == EXPR_CAT || n.kind == EXPR_ALT) && n.first == NONE) ||
        (n.kind == EXPR_BYTES && n.hi == 0) || (n.kind == EXPR_REPEAT && n.hi == 0)) {
        empty_edge(b, from, to);
        return;
    }
    if (is_regular(b, e)) {
        lex_edge(b, e, from, to);
        return;
    }
    switch (n.kind) {
    case EXPR_CAT: build_sequence(b, &n, from, to); return;
    case EXPR_ALT: build_alternatives(b, &n, from, to); return;
    case EXPR_REPEAT: build_repeat(b, &n, from, to); return;
    case EXPR_RULE: new_edge(b, from, (mllm_edge){.kind = EDGE_CALL, .arg = n.lo, .next = to}); return;
    case EXPR_IMPORT: new_edge(b, from, (mllm_edge){.kind = EDGE_IMPORT, .arg = n.lo, .next = to}); return;
    case EXPR_TOKEN: new_edge(b, from, (mllm_edge){.kind = EDGE_TOKEN, .arg = n.lo, .next = to}); return;
    case EXPR_UNTIL:
    case EXPR_WITHOUT: lex_edge(b, e, from, to); return;
    case EXPR_CAPTURE: build_capture(b, &n, from, to); return;
    default: fail(b, MLLM_E_UNSUPPORTED, n.at, "not supported here"); return;
    }
}

/* --------------------------------------------------------------- left recursion */

/* States that are reached from `from` without reading: a list in `out`, marked in `mark`. */
static uint32_t closure(const builder *b, uint32_t from, uint32_t *out, uint32_t *mark, uint32_t stamp) {
    uint32_t count = 0;
    out[count++] = from;
    mark[from] = stamp;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = b->head[out[i]]; j != NONE; j = b->edges[j].next_of) {
            const mllm_edge *e = &b->edges[j].e;
            bool empty = e->kind == EDGE_EMPTY;
            if ((e->kind == EDGE_CALL || e->kind == EDGE_CAPTURE) && !e->nonempty) empty = b->rules[e->arg].nullable;
            if (e->kind == EDGE_IMPORT && !e->nonempty) empty = mllm_grammar_min_bytes(b->imports[e->arg]) == 0;
            if (!empty || mark[e->next] == stamp) continue;
            mark[e->next] = stamp;
            out[count++] = e->next;
        }
    return count;
}

/* Sweeps in both directions: rules usually name each other in one order or the other. */
static bool find_nullable(builder *b, uint32_t *list, uint32_t *mark, uint32_t *stamp) {
    for (uint32_t round = 0, changed = 1; changed; round++) {
        changed = 0;
        if (round > 64) return false;
        for (uint32_t k = 0; k < b->rule_count; k++) {
            rule *r = &b->rules[round % 2 ? k : b->rule_count - 1 - k];
            if (r->nullable) continue;
            closure(b, r->start, list, mark, ++*stamp);
            if (mark[r->end] == *stamp) r->nullable = true, changed = 1;
        }
    }
    return true;
}

/* Takes rules without a call to a rule that is left (`forward`: without a caller that is left) away, until none is. */
static void peel(builder *b, const use *pairs, uint32_t count, bool forward) {
    uint32_t n = b->rule_count, top = 0;
    uint32_t *degree = mllm_calloc(n, sizeof *degree), *stack = mllm_alloc_array(n, sizeof *stack);
    uint32_t *first = mllm_alloc_array(n, sizeof *first), *next = mllm_alloc_array(count, sizeof *next);
    if (!degree || !stack || !first || !next)
        fail(b, MLLM_E_MEMORY, 0, "");
    else {
        memset(first, 0xFF, n * sizeof *first);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t from = forward ? pairs[i].next : pairs[i].user, to = forward ? pairs[i].user : pairs[i].next;
            if (!b->rules[from].cyclic || !b->rules[to].cyclic) continue;
            degree[from]++;
            next[i] = first[to];
            first[to] = i;
        }
        for (uint32_t r = 0; r < n; r++)
            if (b->rules[r].cyclic && degree[r] == 0) stack[top++] = r;
        while (top) {
            uint32_t r = stack[--top];
            b->rules[r].cyclic = false;
            for (uint32_t i = first[r]; i != NONE; i = next[i]) {
                uint32_t from = forward ? pairs[i].next : pairs[i].user;
                if (--degree[from] == 0) stack[top++] = from;
            }
        }
    }
    mllm_free(degree);
    mllm_free(stack);
    mllm_free(first);
    mllm_free(next);
}

/* The rules on cycles of "begins with", and between such cycles. Returns their number. */
static uint32_t find_cyclic(builder *b, uint32_t *list, uint32_t *mark, uint32_t *stamp) {
    use *pairs = NULL; /* user begins with next */
    uint32_t count = 0, capacity = 0, left = 0;
    for (uint32_t r = 0; r < b->rule_count && b->code == MLLM_OK; r++) {
        b->rules[r].cyclic = true;
        uint32_t n = closure(b, b->rules[r].start, list, mark, ++*stamp);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = b->head[list[i]]; j != NONE && b->code == MLLM_OK; j = b->edges[j].next_of) {
                const mllm_edge *e = &b->edges[j].e;
                if ((e->kind == EDGE_CALL || e->kind == EDGE_CAPTURE) &&
                    reserve(b, &pairs, count + 1, &capacity, sizeof *pairs))
                    pairs[count++] = (use){r, e->arg};
            }
    }
    if (b->code == MLLM_OK) peel(b, pairs, count, false);
    if (b->code == MLLM_OK) peel(b, pairs, count, true);
    mllm_free(pairs);
    for (uint32_t r = 0; r < b->rule_count; r++) {
        left += b->rules[r].cyclic;
        if (left > MAX_CYCLIC && b->rules[r].cyclic)
            fail(b, MLLM_E_LIMIT, r < b->g->rule_count ? b->g->rules[r].at : 0,
                 "left recursion through more than 100 rules");
    }
    return left;
}

/* Copies the states of a rule; what ended there goes on at `next`. Returns the offset from old to new states. */
static uint32_t copy_states(builder *b, const rule *r, uint32_t next, uint32_t at) {
    uint32_t first = b->state_count;
    for (uint32_t s = r->first; s < r->last && b->code == MLLM_OK; s++) new_state(b, at);
    for (uint32_t s = r->first; s < r->last && b->code == MLLM_OK; s++)
        for (uint32_t j = b->head[s]; j != NONE && b->code == MLLM_OK; j = b->edges[j].next_of) {
            mllm_edge e = b->edges[j].e;
            if (e.next < r->first || e.next >= r->last) continue; /* nothing leaves a rule but its returns */
            e.next = e.next - r->first + first;
            new_edge(b, s - r->first + first, e);
        }
    if (b->code == MLLM_OK) empty_edge(b, r->end - r->first + first, next);
    return first - r->first;
}

typedef struct {
    uint32_t called, next;
} left_call;

/* Gives rule `i` a new start that begins with no rule up to itself (of the cyclic ones). */
static void unroll(builder *b, uint32_t i, uint32_t *list, uint32_t *mark, uint32_t *stamp) {
    uint32_t at = i < b->g->rule_count ? b->g->rules[i].at : 0;
    uint32_t n = closure(b, b->rules[i].start, list, mark, ++*stamp);
    uint32_t fresh = new_state(b, at), calls_count = 0, calls_capacity = 0;
    left_call *calls = NULL;
    for (uint32_t k = 0; k < n && b->code == MLLM_OK; k++)
        for (uint32_t j = b->head[list[k]]; j != NONE && b->code == MLLM_OK; j = b->edges[j].next_of) {
            mllm_edge e = b->edges[j].e;
            if (e.kind == EDGE_EMPTY) continue;
            if (e.kind == EDGE_CAPTURE && b->rules[e.arg].cyclic) {
                fail(b, MLLM_E_UNSUPPORTED, at, "left recursion through a capture");
                break;
            }
            if (e.kind == EDGE_CALL && b->rules[e.arg].cyclic && e.arg <= i) {
                if (reserve(b, &calls, calls_count + 1, &calls_capacity, sizeof *calls))
                    calls[calls_count++] = (left_call){e.arg, e.next};
                continue;
            }
            e.nonempty = true;
            new_edge(b, fresh, e);
        }
    for (uint32_t k = 0; k < calls_count && b->code == MLLM_OK; k++) {
        left_call c = calls[k];
        if (c.called == i) {
            empty_edge(b, b->rules[i].end, c.next);
            continue;
        }
        /* Rule c.called was unrolled before: put its beginnings here, followed by a copy of the rest of it. */
        rule r = b->rules[c.called];
        uint32_t shift = copy_states(b, &r, c.next, at), start = NONE;
        for (uint32_t j = b->head[r.start]; j != NONE;
             j = b->edges[j].next_of) /* its new start is behind an empty edge */
            if (b->edges[j].e.kind == EDGE_EMPTY && b->edges[j].e.next != r.end) start = b->edges[j].e.next;
        for (uint32_t j = start == NONE ? NONE : b->head[start]; j != NONE && b->code == MLLM_OK;
             j = b->edges[j].next_of) {
            mllm_edge e = b->edges[j].e;
            e.next += shift;
            if (e.kind == EDGE_CALL && b->rules[e.arg].cyclic && e.arg <= i) {
                if (reserve(b, &calls, calls_count + 1, &calls_capacity, sizeof *calls))
                    calls[calls_count++] = (left_call){e.arg, e.next};
                if (calls_count > 10000) fail(b, MLLM_E_LIMIT, at, "the left recursion of this rule is too tangled");
            } else
                new_edge(b, fresh, e);
        }
    }
    mllm_free(calls);
    uint32_t start = new_state(b, at);
    if (b->code != MLLM_OK) return;
    empty_edge(b, start, fresh);
    if (b->rules[i].nullable) empty_edge(b, start, b->rules[i].end);
    b->rules[i].start = start;
}

static void remove_left_recursion(builder *b) {
    uint32_t stamp = 0;
    uint32_t *list = mllm_alloc_array(MAX_STATES, sizeof *list), *mark = mllm_calloc(MAX_STATES, sizeof *mark);
    if (!list || !mark)
        fail(b, MLLM_E_MEMORY, 0, "");
    else if (!find_nullable(b, list, mark, &stamp))
        fail(b, MLLM_E_LIMIT, 0, "rules that may be empty are chained too deeply");
    else if (find_cyclic(b, list, mark, &stamp))
        for (uint32_t i = 0; i < b->rule_count && b->code == MLLM_OK; i++)
            if (b->rules[i].cyclic) unroll(b, i, list, mark, &stamp);
    mllm_free(list);
    mllm_free(mark);
}

/* --------------------------------------------------------------------- finishing */

static void least_bytes(mllm_grammar *g, const uint32_t *least) {
    for (uint32_t s = 0; s < g->state_count; s++) g->min_bytes[s] = g->states[s].accept ? 0 : NONE;
    for (uint32_t round = 0, changed = 1; changed && round < 1000; round++) {
        changed = 0;
        for (uint32_t k = 0; k < g->state_count; k++) {
            uint32_t s = round % 2 ? k : g->state_count - 1 - k;
            for (uint32_t j = 0; j < g->states[s].count; j++) {
                const mllm_edge *e = &g->edges[g->states[s].first + j];
                uint32_t own = 0, rest = g->min_bytes[e->next];
                switch ((mllm_edge_kind)e->kind) {
                case EDGE_EMPTY: break;
                case EDGE_LEX: own = least[e->arg] ? least[e->arg] : e->nonempty; break;
                case EDGE_CALL:
                case EDGE_CAPTURE: own = g->min_bytes[e->arg]; break;
                case EDGE_IMPORT: own = mllm_grammar_min_bytes(g->imports[e->arg]); break;
                case EDGE_TOKEN: own = 1; break;
                }
                if (own == NONE || rest == NONE || own > NONE - 1 - rest || own + rest >= g->min_bytes[s]) continue;
                g->min_bytes[s] = own + rest;
                changed = 1;
            }
        }
    }
}

static mllm_grammar *finish(builder *b) {
    mllm_grammar *g = mllm_grammar_blank(GRAMMAR_RULES, b->err);
    if (!g) return NULL;
    g->states = mllm_calloc(b->state_count, sizeof *g->states);
    g->edges = mllm_calloc(b->edge_count, sizeof *g->edges);
    g->lexers = mllm_alloc_array(b->nfa_count, sizeof *g->lexers);
    g->min_bytes = mllm_alloc_array(b->state_count, sizeof *g->min_bytes);
    if (!g->states || !g->edges || !g->lexers || !g->min_bytes) {
        mllm_grammar_release(g);
        mllm_fail_memory(b->err, b->state_count * sizeof *g->states, "grammar");
        return NULL;
    }
    g->nfas = b->nfas;
    g->nfa_count = g->lexer_count = b->nfa_count;
    b->nfas = NULL;
    b->nfa_count = 0;
    g->names = b->names;
    g->name_count = b->name_count;
    b->names = NULL;
    b->name_count = 0;
    for (uint32_t i = 0; i < g->nfa_count; i++) {
        const mllm_nfa *part = &g->nfas[i];
        mllm_lexer_init(&g->lexers[i], &part, 1, false);
    }
    g->state_count = b->state_count;
    g->edge_count = b->edge_count;
    for (uint32_t i = 0, n = 0; i < b->state_count; i++) {
        g->states[i].first = n;
        for (uint32_t j = b->head[i]; j != NONE; j = b->edges[j].next_of) {
            mllm_edge e = b->edges[j].e;
            if (e.kind == EDGE_CALL || e.kind == EDGE_CAPTURE) e.arg = b->rules[e.arg].start;
            g->edges[n++] = e;
        }
        g->states[i].count = n - g->states[i].first;
    }
    for (uint32_t r = 0; r < b->rule_count; r++)
        if (b->rules[r].end != NONE) g->states[b->rules[r].end].accept = true;
    g->root = b->rules[b->g->root].start;
    return g;
}

static mllm_grammar *compile(const char *text, size_t length, mllm_grammar *const *imports, size_t count, bool extended,
                             mllm_error *err) {
    mllm_gbnf parsed;
    builder b = {.g = &parsed, .text = text, .imports = imports, .err = err};
    mllm_grammar *g = NULL;
    if (mllm_gbnf_parse(&parsed, text, length, count, extended, err) != MLLM_OK) return NULL;
    uint32_t n = parsed.rule_count;
    b.regular = mllm_calloc(n, sizeof *b.regular);
    b.size = mllm_alloc_array(n, sizeof *b.size);
    b.lexer_of = mllm_alloc_array(n, sizeof *b.lexer_of);
    if (!b.regular || !b.size || !b.lexer_of)
        fail(&b, MLLM_E_MEMORY, 0, "");
    else {
        memset(b.size, 0xFF, n * sizeof *b.size);
        memset(b.lexer_of, 0xFF, n * sizeof *b.lexer_of);
        find_regular(&b);
        for (uint32_t r = 0; r < n && b.code == MLLM_OK; r++) new_rule(&b);
        for (uint32_t r = 0; r < n && b.code == MLLM_OK; r++) {
            uint32_t first = b.state_count, start = new_state(&b, parsed.rules[r].at),
                     end = new_state(&b, parsed.rules[r].at);
            if (b.code != MLLM_OK) break;
            b.rules[r].first = first;
            b.rules[r].start = start;
            b.rules[r].end = end;
            /* A rule that is inlined wherever it is named needs no states of its own. */
            if (!b.regular[r] || b.size[r] > MAX_INLINE || r == parsed.root)
                build(&b, parsed.rules[r].expr, start, end);
            b.rules[r].last = b.state_count;
        }
        if (b.code == MLLM_OK) remove_left_recursion(&b);
        if (b.code == MLLM_OK && (g = finish(&b))) {
            g->imports = mllm_alloc_array(count, sizeof *g->imports);
            if (!g->imports) {
                fail(&b, MLLM_E_MEMORY, 0, "");
                mllm_grammar_release(g);
                g = NULL;
            } else {
                for (size_t i = 0; i < count; i++) g->imports[i] = mllm_grammar_retain(imports[i]);
                g->import_count = (uint32_t)count;
                least_bytes(g, b.least);
                if (g->min_bytes[g->root] == NONE) {
                    fail(&b, MLLM_E_GRAMMAR, parsed.rules[parsed.root].at, "no text can satisfy the rule 'root'");
                    mllm_grammar_release(g);
                    g = NULL;
                }
            }
        }
    }
    for (uint32_t i = 0; i < b.nfa_count; i++) mllm_nfa_free(&b.nfas[i]);
    for (uint32_t i = 0; i < b.name_count; i++) mllm_free(b.names[i]);
    mllm_free(b.nfas);
    mllm_free(b.names);
    mllm_free(b.least);
    mllm_free(b.edges);
    mllm_free(b.head);
    mllm_free(b.rules);
    mllm_free(b.regular);
    mllm_free(b.size);
    mllm_free(b.lexer_of);
    mllm_gbnf_free(&parsed);
    return g;
}

mllm_grammar *mllm_grammar_gbnf(const char *text, size_t length, mllm_error *err) {
    return compile(text, length, NULL, 0, false, err);
}

mllm_grammar *mllm_grammar_compose(const char *text, size_t length, mllm_grammar *const *imports, size_t count,
                                   mllm_error *err) {
    return compile(text, length, imports, count, true, err);
}
