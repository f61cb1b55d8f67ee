/* enter.c - entering rules: what is reached without reading. Calls of one rule at one place of the text share a frame that lists its callers (a
 * graph-structured stack, as in Scott and Johnstone, GLL Parsing, 2010), so that ambiguity does not multiply threads. */
#include <string.h>

#include "../base/alloc.h"
#include "machine.h"

enum { MAX_VISITS = 4096 };

/* ---------------------------------------------------------------- what was seen */

void mllm_seen_clear(mllm_seen *s) {
    s->count = 0;
    if (++s->epoch == 0) {
        if (s->slots) memset(s->slots, 0, s->capacity * sizeof *s->slots);
        s->epoch = 1;
    }
}

uint32_t mllm_seen_next(const mllm_seen *s, uint32_t hash, uint32_t *at) {
    for (; s->capacity; ++*at) {
        const mllm_seen_slot *x = &s->slots[(hash + *at) & (s->capacity - 1)];
        if (x->epoch != s->epoch) break;
        if (x->hash != hash) continue;
        ++*at;
        return x->index;
    }
    return NONE;
}

static void put(mllm_seen *s, uint32_t hash, uint32_t index) {
    uint32_t at = hash & (s->capacity - 1);
    while (s->slots[at].epoch == s->epoch) at = (at + 1) & (s->capacity - 1);
    s->slots[at] = (mllm_seen_slot){s->epoch, hash, index};
    s->count++;
}

bool mllm_seen_put(mllm_seen *s, uint32_t hash, uint32_t index) {
    if (s->count * 2 >= s->capacity) {
        mllm_seen n = {.capacity = s->capacity ? s->capacity * 2 : 64, .epoch = 1};
        n.slots = mllm_calloc(n.capacity, sizeof *n.slots);
        if (!n.slots) return false;
        for (uint32_t i = 0; i < s->capacity; i++)
            if (s->slots[i].epoch == s->epoch) put(&n, s->slots[i].hash, s->slots[i].index);
        mllm_free(s->slots);
        *s = n;
    }
    put(s, hash, index);
    return true;
}

uint32_t mllm_seen_hash(const void *a, const void *b, uint32_t c) {
    uint64_t h = ((uint64_t)(uintptr_t)a * 0x9E3779B97F4A7C15u) ^ (uintptr_t)b ^ (uint64_t)c << 40;
    h = (h ^ h >> 29) * 0xBF58476D1CE4E5B9u;
    return (uint32_t)(h >> 32);
}

/* -------------------------------------------------------------------- entering */

void mllm_machine_begin(mllm_machine *m) {
    if (m->visit_count) mllm_seen_clear(&m->visits_seen);
    if (m->call_count) mllm_seen_clear(&m->calls_seen);
    m->visit_count = m->visited = m->call_count = 0;
}

void mllm_machine_end(mllm_machine *m) {
    mllm_free(m->visits);
    mllm_free(m->calls);
    mllm_free(m->threads_seen.slots);
    mllm_free(m->visits_seen.slots);
    mllm_free(m->calls_seen.slots);
}

static bool reserve(mllm_machine *m, void **list, uint32_t need, uint32_t *capacity, size_t size) {
    if (need <= *capacity) return true;
    uint32_t n = *capacity ? *capacity * 2 : 32;
    void *p = mllm_realloc_array(*list, n, size);
    if (!p) {
        m->failed = MLLM_E_MEMORY;
        return false;
    }
    *list = p;
    *capacity = n;
    return true;
}

static void push(mllm_machine *m, const mllm_grammar *g, uint32_t state, const mllm_frame *up,
                 const mllm_captured *captured) {
    uint32_t hash = mllm_seen_hash(up, g, state), at = 0;
    for (uint32_t i; (i = mllm_seen_next(&m->visits_seen, hash, &at)) != NONE;)
        if (m->visits[i].state == state && m->visits[i].up == up && m->visits[i].g == g) return;
    if (m->visit_count >= MAX_VISITS) {
        if (m->failed == MLLM_OK)
            m->failed = MLLM_E_LIMIT, m->limit = "more than 4096 rules entered at one place of the text";
        return;
    }
    void *list = m->visits;
    bool ok = reserve(m, &list, m->visit_count + 1, &m->visit_capacity, sizeof *m->visits);
    m->visits = list;
    if (!ok) return;
    if (!mllm_seen_put(&m->visits_seen, hash, m->visit_count)) {
        m->failed = MLLM_E_MEMORY;
        return;
    }
    m->visits[m->visit_count++] = (mllm_visit){g, state, up, captured};
}

static uint32_t plus(uint32_t a, uint32_t b) {
    return a == NONE || b == NONE || a > NONE - 1 - b ? NONE : a + b;
}

uint32_t mllm_machine_frames_left(const mllm_frame *f) {
    while (f && f->kind == FRAME_CAPTURE) f = f->up;
    return f ? f->left : 0;
}

static uint32_t caller_left(const mllm_frame *f) {
    return plus(f->g->min_bytes[f->id], mllm_machine_frames_left(f->up));
}

/* Frames that got another caller may need less than those above them were told. */
static void relax(mllm_machine *m) {
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < m->call_count; i++) {
            mllm_frame *head = m->calls[i].frame;
            for (const mllm_frame *f = head; f; f = f->also) {
                uint32_t v = caller_left(f);
                if (v < head->left) head->left = v, again = true;
            }
        }
    }
    m->relax = false;
}

/* The rule that starts at `entry` of `g` is called from `v`, to go on there in state `next`. */
static void call(mllm_machine *m, const mllm_visit *v, const mllm_edge *e, const mllm_grammar *g, uint32_t entry) {
    uint32_t hash = mllm_seen_hash(g, v->captured, entry), at = 0, i;
    while ((i = mllm_seen_next(&m->calls_seen, hash, &at)) != NONE)
        if (m->calls[i].entry == entry && m->calls[i].g == g && m->calls[i].captured == v->captured) break;
    mllm_frame *head = i == NONE ? NULL : m->calls[i].frame;
    for (const mllm_frame *f = head; f; f = f->also)
        if (f->id == e->next && f->up == v->up && f->g == v->g && f->nonempty == e->nonempty) return;
    mllm_frame *f = mllm_machine_frame(m, v->g, FRAME_RULE, e->next, v->up, 0);
    if (!f) return;
    f->nonempty = e->nonempty;
    f->start = m->length;
    f->left = caller_left(f);
    if (head) {
        f->also = head->also;
        head->also = f;
        if (f->left < head->left) head->left = f->left, m->relax = true;
        if (head->ended && !f->nonempty) push(m, v->g, e->next, v->up, head->after);
        return;
    }
    void *list = m->calls;
    bool ok = reserve(m, &list, m->call_count + 1, &m->call_capacity, sizeof *m->calls);
    m->calls = list;
    if (!ok) return;
    if (!mllm_seen_put(&m->calls_seen, hash, m->call_count)) {
        m->failed = MLLM_E_MEMORY;
        return;
    }
    m->calls[m->call_count++] = (mllm_call){g, v->captured, f, entry};
    if (g->kind == GRAMMAR_RULES)
        push(m, g, entry, f, v->captured);
    else
        mllm_machine_enter_grammar(m, g, f, v->captured);
}

/* A rule has ended: all its callers go on. */
static void returned(mllm_machine *m, const mllm_frame *head, const mllm_captured *captured) {
    if (head->start == m->length && !head->ended) { /* others that call it here will find it ended */
        mllm_frame *f = (mllm_frame *)(uintptr_t)head;
        f->ended = true;
        f->after = captured;
    }
    for (const mllm_frame *f = head; f; f = f->also)
        if (!f->nonempty || m->length > f->start) push(m, f->g, f->id, f->up, captured);
}

static void follow(mllm_machine *m, const mllm_visit *v, const mllm_edge *e) {
    const mllm_rule_state *next = &v->g->states[e->next];
    bool last = next->accept && next->count == 0 && !e->nonempty; /* nothing is left to do there */
    switch ((mllm_edge_kind)e->kind) {
    case EDGE_EMPTY: push(m, v->g, e->next, v->up, v->captured); return;
    case EDGE_CALL:
        if (last)
            push(m, v->g, e->arg, v->up, v->captured);
        else
            call(m, v, e, v->g, e->arg);
        return;
    case EDGE_IMPORT: {
        const mllm_grammar *other = v->g->imports[e->arg];
        if (!last)
            call(m, v, e, other, other->kind == GRAMMAR_RULES ? other->root : 0);
        else if (other->kind == GRAMMAR_RULES)
            push(m, other, other->root, v->up, v->captured);
        else
            mllm_machine_enter_grammar(m, other, v->up, v->captured);
        return;
    }
    case EDGE_CAPTURE: {
        mllm_frame *f = mllm_machine_frame(m, v->g, FRAME_RULE, e->next, v->up, 0);
        mllm_frame *inner = f ? mllm_machine_frame(m, v->g, FRAME_CAPTURE, e->name, f, 0) : NULL;
        if (!inner) return;
        f->nonempty = e->nonempty;
        f->start = inner->start = m->length;
        f->left = caller_left(f);
        push(m, v->g, e->arg, inner, v->captured);
        return;
    }
    case EDGE_TOKEN: {
        mllm_thread t = {
            .kind = THREAD_TOKEN, .up = v->up, .g = v->g, .captured = v->captured, .a = e->arg, .b = e->next};
        mllm_machine_add(m, &t, true);
        return;
    }
    case EDGE_LEX: {
        uint32_t start = mllm_lexer_start(m->lexers, &v->g->lexers[e->arg]);
        if (start == NONE) return;
        mllm_thread t = {.kind = THREAD_LEX, .up = v->up, .g = v->g, .captured = v->captured, .a = start, .b = e->next};
        mllm_machine_add(m, &t, true);
        if (!e->nonempty && (m->lexers->states[start].flags & LEXER_ACCEPT)) push(m, v->g, e->next, v->up, v->captured);
        return;
    }
    }
}

/* Goes on from all that was pushed. */
static void run(mllm_machine *m) {
    if (m->entering) return;
    m->entering = true;
    while (m->visited < m->visit_count && m->failed == MLLM_OK) {
        mllm_visit v = m->visits[m->visited++];
        const mllm_rule_state *s = &v.g->states[v.state];
        for (uint32_t j = 0; j < s->count && m->failed == MLLM_OK; j++) follow(m, &v, &v.g->edges[s->first + j]);
        if (s->accept) mllm_machine_complete(m, v.up, v.captured);
    }
    if (m->relax) relax(m);
    m->entering = false;
}

void mllm_machine_enter(mllm_machine *m, const mllm_grammar *g, uint32_t state, const mllm_frame *up,
                        const mllm_captured *captured) {
    if (!up && g->states[state].count == 0) { /* nothing waits for it and nothing follows */
        if (g->states[state].accept) mllm_machine_complete(m, NULL, captured);
        return;
    }
    push(m, g, state, up, captured);
    run(m);
}

void mllm_machine_return(mllm_machine *m, const mllm_frame *up, const mllm_captured *captured) {
    returned(m, up, captured);
    run(m);
}
