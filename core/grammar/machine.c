#include "machine.h"

#include <string.h>

#include "../base/alloc.h"

/* -------------------------------------------------------------------- arena */

enum { CHUNK = 16384 };

mllm_mark mllm_arena_mark(const mllm_arena *a) {
    return (mllm_mark){a->count, a->count ? a->chunks[a->count - 1]->used : 0};
}

static void drop_chunk(mllm_chunk *c) {
    if (--c->refs == 0) mllm_free(c);
}

void mllm_arena_reset(mllm_arena *a, mllm_mark mark) {
    while (a->count > mark.chunk && a->count > 0) {
        mllm_chunk *last = a->chunks[a->count - 1];
        /* One spare chunk stays, so that looking ahead over a border does not allocate again and again. */
        if (a->count == mark.chunk + 1 && a->count > a->sealed && last->refs == 1 && last->capacity == CHUNK &&
            mark.chunk > 0)
            break;
        drop_chunk(last);
        a->count--;
        if (a->sealed > a->count) a->sealed = a->count;
    }
    if (a->count > mark.chunk) a->chunks[a->count - 1]->used = 0;
    if (mark.chunk && mark.chunk > a->sealed && mark.chunk <= a->count) a->chunks[mark.chunk - 1]->used = mark.used;
}

void mllm_arena_free(mllm_arena *a) {
    while (a->count) drop_chunk(a->chunks[--a->count]);
    mllm_free(a->chunks);
    memset(a, 0, sizeof *a);
}

bool mllm_arena_share(mllm_arena *from, mllm_arena *to) {
    memset(to, 0, sizeof *to);
    from->sealed = from->count;
    if (!from->count) return true;
    to->chunks = mllm_alloc_array(from->count, sizeof *to->chunks);
    if (!to->chunks) return false;
    for (uint32_t i = 0; i < from->count; i++) {
        to->chunks[i] = from->chunks[i];
        to->chunks[i]->refs++;
    }
    to->count = to->capacity = to->sealed = from->count;
    return true;
}

size_t mllm_arena_bytes(const mllm_arena *a) {
    size_t n = 0;
    for (uint32_t i = 0; i < a->count; i++) n += a->chunks[i]->capacity;
    return n;
}

void *mllm_machine_alloc(mllm_machine *m, size_t size) {
    mllm_arena *a = m->arena;
    size = (size + 7) & ~(size_t)7;
    mllm_chunk *c = a->count > a->sealed ? a->chunks[a->count - 1] : NULL;
    if (!c || c->capacity - c->used < size) {
        if (a->count == a->capacity) {
            uint32_t n = a->capacity ? a->capacity * 2 : 8;
            void *p = mllm_realloc_array(a->chunks, n, sizeof *a->chunks);
            if (!p) {
                m->failed = MLLM_E_MEMORY;
                return NULL;
            }
            a->chunks = p;
            a->capacity = n;
        }
        size_t capacity = size > CHUNK ? size : CHUNK;
        c = mllm_alloc(sizeof *c + capacity);
        if (!c) {
            m->failed = MLLM_E_MEMORY;
            return NULL;
        }
        *c = (mllm_chunk){.refs = 1, .capacity = capacity};
        a->chunks[a->count++] = c;
    }
    void *p = c->data + c->used;
    c->used += size;
    return p;
}

mllm_frame *mllm_machine_frame(mllm_machine *m, const mllm_grammar *g, mllm_frame_kind kind, uint32_t id,
                               const mllm_frame *up, uint32_t words) {
    /* Captures that end together are closed by recursion. */
    if (up && up->depth >= (kind == FRAME_CAPTURE ? 500 : 20000)) {
        if (m->failed == MLLM_OK)
            m->failed = MLLM_E_LIMIT,
            m->limit = kind == FRAME_CAPTURE ? "captures nested deeper than 500" : "rules nested deeper than 20000";
        return NULL;
    }
    mllm_frame *f = mllm_machine_alloc(m, sizeof *f + words * sizeof f->seen[0]);
    if (!f) return NULL;
    memset(f, 0, sizeof *f + words * sizeof f->seen[0]);
    f->up = up;
    f->g = g;
    f->serial = ++*m->serial;
    f->depth = up ? up->depth + 1 : 0;
    f->id = id;
    f->kind = (uint8_t)kind;
    return f;
}

bool mllm_machine_room(mllm_machine *m, uint32_t more) {
    if (m->length + more + 2 <= m->text_capacity) return true;
    if (m->length + more > INT32_MAX) {
        m->failed = MLLM_E_LIMIT, m->limit = "2 GiB of text";
        return false;
    }
    uint32_t c = m->text_capacity ? m->text_capacity : 256;
    while (c < m->length + more + 2) c *= 2;
    char *p = mllm_realloc_array(m->text, c, 1);
    if (!p) {
        m->failed = MLLM_E_MEMORY;
        return false;
    }
    m->text = p;
    m->text_capacity = c;
    return true;
}

/* ------------------------------------------------------------------- threads */

static bool same_thread(const mllm_thread *o, const mllm_thread *t) {
    return o->kind == t->kind && o->a == t->a && o->b == t->b && o->c == t->c && o->d == t->d && o->e == t->e &&
           o->sub == t->sub && o->g == t->g && o->up == t->up;
}

static uint32_t hash_thread(const mllm_thread *t) {
    return mllm_seen_hash(t->up, t->g, t->a ^ t->b << 8 ^ t->d << 16 ^ t->kind);
}

/* The set being made has such a thread. */
static bool has_thread(mllm_machine *m, const mllm_thread *t) {
    enum { FEW = 16 };
    if (m->count - m->base <= FEW) {
        for (uint32_t i = m->base; i < m->count; i++)
            if (same_thread(&m->pool[i], t)) return true;
        return false;
    }
    if (m->threads_indexed <= m->base) {
        mllm_seen_clear(&m->threads_seen);
        m->threads_indexed = m->base;
    }
    for (; m->threads_indexed < m->count; m->threads_indexed++)
        if (!mllm_seen_put(&m->threads_seen, hash_thread(&m->pool[m->threads_indexed]), m->threads_indexed)) {
            m->failed = MLLM_E_MEMORY;
            return true;
        }
    uint32_t hash = hash_thread(t), at = 0;
    for (uint32_t i; (i = mllm_seen_next(&m->threads_seen, hash, &at)) != NONE;)
        if (same_thread(&m->pool[i], t)) return true;
    return false;
}

void mllm_machine_add(mllm_machine *m, const mllm_thread *t, bool unique) {
    if (m->count == m->base) m->threads_indexed = 0;
    if (unique && has_thread(m, t)) return;
    if (m->count - m->base >= MLLM_MAX_THREADS) {
        if (m->failed == MLLM_OK) m->failed = MLLM_E_LIMIT, m->limit = "more than 1024 readings of the text at once";
        return;
    }
    if (m->count == m->capacity) {
        uint32_t c = m->capacity ? m->capacity * 2 : 64;
        mllm_thread copy = *t; /* it may lie in the pool */
        void *p = mllm_realloc_array(m->pool, c, sizeof *m->pool);
        if (!p) {
            m->failed = MLLM_E_MEMORY;
            return;
        }
        m->pool = p;
        m->capacity = c;
        m->pool[m->count++] = copy;
        return;
    }
    m->pool[m->count++] = *t;
}

/* Everything that `up` waited for has been read. */
void mllm_machine_complete(mllm_machine *m, const mllm_frame *up, const mllm_captured *captured) {
    if (!up) {
        mllm_thread done = {.kind = THREAD_DONE, .captured = captured};
        mllm_machine_add(m, &done, true);
        return;
    }
    switch ((mllm_frame_kind)up->kind) {
    case FRAME_RULE: mllm_machine_return(m, up, captured); return;
    case FRAME_CAPTURE: {
        mllm_captured *c = mllm_machine_alloc(m, sizeof *c);
        if (!c) return;
        *c = (mllm_captured){captured, up->g->names[up->id], up->start, m->length};
        mllm_machine_complete(m, up->up, c); /* what is above a capture is a rule's frame */
        return;
    }
    case FRAME_OBJECT:
    case FRAME_ARRAY: mllm_json_value_ended(m, up, captured); return;
    }
}

void mllm_machine_enter_grammar(mllm_machine *m, const mllm_grammar *g, const mllm_frame *up,
                                const mllm_captured *captured) {
    if (g->kind == GRAMMAR_RULES) {
        mllm_machine_enter(m, g, g->root, up, captured);
        return;
    }
    mllm_thread t = {.kind = THREAD_VALUE,
                     .up = up,
                     .g = g,
                     .captured = captured,
                     .a = g->shapes.root,
                     .b = g->space == MLLM_SPACE_ANY ? 64 : 0};
    mllm_machine_add(m, &t, true);
}

void mllm_machine_start(mllm_machine *m, const mllm_grammar *g) {
    mllm_machine_begin(m);
    mllm_machine_enter_grammar(m, g, NULL, NULL);
    if (m->lexers->failed != MLLM_OK && m->failed == MLLM_OK)
        m->failed = m->lexers->failed, m->limit = "30000 states of automata";
}

void mllm_machine_take_token(mllm_machine *m, mllm_thread t) {
    if (m->count == m->base) mllm_machine_begin(m);
    mllm_machine_enter(m, t.g, t.b, t.up, t.captured);
}

void mllm_machine_step(mllm_machine *m, mllm_thread t, uint8_t byte) {
    if (m->count == m->base) mllm_machine_begin(m);
    if (t.kind == THREAD_LEX) {
        uint32_t next = mllm_lexer_next(m->lexers, t.a, byte);
        if (next != NONE) {
            bool accepts = (m->lexers->states[next].flags & LEXER_ACCEPT) != 0;
            t.a = next;
            mllm_machine_add(m, &t, true);
            if (accepts) mllm_machine_enter(m, t.g, t.b, t.up, t.captured);
        }
    } else if (t.kind != THREAD_DONE && t.kind != THREAD_TOKEN)
        mllm_json_step(m, &t, byte);
    if (m->lexers->failed != MLLM_OK && m->failed == MLLM_OK)
        m->failed = m->lexers->failed, m->limit = "30000 states of automata";
}

uint32_t mllm_machine_min_left(mllm_machine *m, const mllm_thread *t, bool whatever) {
    const mllm_frame *f = t->up;
    uint64_t n = NONE;
    switch ((mllm_thread_kind)t->kind) {
    case THREAD_DONE: return 0;
    case THREAD_LEX: {
        uint32_t rest = t->g->min_bytes[t->b], distance = mllm_lexer_bytes_left(m->lexers, t->a, false);
        if (rest != NONE && distance != NONE) n = (uint64_t)rest + distance;
        break;
    }
    case THREAD_TOKEN: n = t->g->min_bytes[t->b] == NONE ? NONE : (uint64_t)t->g->min_bytes[t->b] + 1; break;
    default: n = mllm_json_leaf_left(m, t, whatever, &f);
    }
    for (; f && n < NONE; f = f->up) {
        bool rule = f->kind == FRAME_RULE || f->kind == FRAME_CAPTURE;
        uint32_t more = rule ? mllm_machine_frames_left(f) : mllm_json_frame_left(f);
        n = more == NONE ? NONE : n + more;
        if (rule) break; /* that was all that is above it */
    }
    return n < NONE ? (uint32_t)n : NONE;
}
