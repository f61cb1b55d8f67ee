/* matcher.c - a position in a grammar: history, masks, forced text. */
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "machine.h"
#include "rules.h"
#include "trie.h"

enum { CACHED_MASKS = 8, PLAIN_MASKS = 48, MAX_DEPTH = 256, MAX_FORCED = 512, KEPT_BYTES = 1 << 20 };

/* A mask that was made before, by the threads it was made for. */
typedef struct {
    mllm_thread *key;
    uint64_t *serials; /* of the threads' frames */
    uint32_t count, capacity;
    uint64_t used; /* clock of the last use; 0: empty */
    uint64_t *mask;
} cached_mask;

/* The plain tokens that lead a lexer from `state` to live states. */
typedef struct {
    uint32_t state;
    uint32_t need; /* most characters that a token of these has, with those that the lexer still asks for after it */
    uint64_t used; /* 0: empty */
    uint64_t *mask;
} plain_mask;

/* What a matcher and its forks share. The last matcher leaves it to its grammar for the next one. */
typedef struct {
    int refs;
    mllm_token_trie *trie; /* that the masks are for */
    plain_mask plain[PLAIN_MASKS];
    mllm_lexers lexers;
    uint64_t serial, clock;
    cached_mask cache[CACHED_MASKS];
} family;

typedef struct {
    uint32_t first, count; /* threads */
    uint32_t length; /* text */
    mllm_mark mark;
    bool finished;
} step;

struct mllm_matcher {
    mllm_grammar *grammar;
    mllm_token_trie *trie;
    family *family;
    mllm_arena arena;
    mllm_machine m;
    step *steps; /* [0] is the start */
    uint32_t count, capacity;
};

static step *last(const mllm_matcher *x) {
    return &x->steps[x->count - 1];
}

static void free_family(family *f) {
    mllm_lexers_free(&f->lexers);
    for (int i = 0; i < CACHED_MASKS; i++) {
        mllm_free(f->cache[i].key);
        mllm_free(f->cache[i].serials);
        mllm_free(f->cache[i].mask);
    }
    for (int i = 0; i < PLAIN_MASKS; i++) mllm_free(f->plain[i].mask);
    mllm_token_trie_release(f->trie);
    mllm_free(f);
}

void mllm_grammar_free_idle(mllm_grammar *g) {
    family *f = atomic_exchange(&g->idle, NULL);
    if (f) free_family(f);
}

static void release_family(family *f, mllm_grammar *g) {
    if (!f || --f->refs > 0) return;
    if (mllm_lexers_bytes(&f->lexers) <= KEPT_BYTES) f = atomic_exchange(&g->idle, f);
    if (f) free_family(f);
}

static family *take_family(mllm_grammar *g, mllm_token_trie *trie) {
    family *f = atomic_exchange(&g->idle, NULL);
    if (f && f->trie != trie) {
        free_family(f);
        f = NULL;
    }
    if (!f) {
        f = mllm_calloc(1, sizeof *f);
        if (f) f->trie = mllm_token_trie_retain(trie);
    }
    if (f) f->refs = 1;
    return f;
}

void mllm_matcher_release(mllm_matcher *x) {
    if (!x) return;
    mllm_arena_free(&x->arena);
    mllm_free(x->m.text);
    mllm_free(x->m.pool);
    mllm_free(x->steps);
    release_family(x->family, x->grammar);
    mllm_token_trie_release(x->trie);
    mllm_grammar_release(x->grammar);
    mllm_free(x);
}

static mllm_code failure(mllm_matcher *x, mllm_error *err) {
    mllm_code code = x->m.failed;
    const char *limit = x->m.limit;
    x->m.failed = MLLM_OK;
    x->m.limit = NULL;
    x->family->lexers.failed = MLLM_OK;
    if (code == MLLM_E_MEMORY) return mllm_fail_memory(err, 0, "matcher");
    return mllm_fail(err, code, "matcher: %s", limit ? limit : "a limit was reached");
}

static bool push_step(mllm_matcher *x, step s) {
    if (x->count == x->capacity) {
        uint32_t c = x->capacity ? x->capacity * 2 : 64;
        step *p = mllm_realloc_array(x->steps, c, sizeof *p);
        if (!p) {
            x->m.failed = MLLM_E_MEMORY;
            return false;
        }
        x->steps = p;
        x->capacity = c;
    }
    x->steps[x->count++] = s;
    return true;
}

mllm_matcher *mllm_matcher_new(mllm_grammar *grammar, mllm_token_trie *trie, mllm_error *err) {
    mllm_matcher *x = mllm_calloc(1, sizeof *x);
    family *f = x ? take_family(grammar, trie) : NULL;
    if (!x || !f) {
        mllm_free(x);
        mllm_fail_memory(err, sizeof *x + sizeof *f, "matcher");
        return NULL;
    }
    x->family = f;
    x->grammar = mllm_grammar_retain(grammar);
    x->trie = mllm_token_trie_retain(trie);
    x->m.lexers = &f->lexers;
    x->m.arena = &x->arena;
    x->m.serial = &f->serial;
    bool ok = mllm_machine_room(&x->m, 1);
    if (ok) mllm_machine_start(&x->m, grammar);
    ok = x->m.failed == MLLM_OK && push_step(x, (step){.count = x->m.count, .mark = mllm_arena_mark(&x->arena)});
    if (!ok) {
        failure(x, err);
        mllm_matcher_release(x);
        return NULL;
    }
    return x;
}

mllm_matcher *mllm_matcher_fork(mllm_matcher *from, mllm_error *err) {
    mllm_matcher *x = mllm_calloc(1, sizeof *x);
    if (!x) {
        mllm_fail_memory(err, sizeof *x, "matcher");
        return NULL;
    }
    const mllm_machine *m = &from->m;
    uint32_t threads = last(from)->first + last(from)->count;
    x->grammar = mllm_grammar_retain(from->grammar);
    x->trie = mllm_token_trie_retain(from->trie);
    x->family = from->family;
    x->family->refs++;
    x->m.lexers = m->lexers;
    x->m.serial = m->serial;
    x->m.arena = &x->arena;
    x->m.text = mllm_alloc(m->text_capacity);
    x->m.pool = mllm_alloc_array(threads ? threads : 1, sizeof *x->m.pool);
    x->steps = mllm_alloc_array(from->count, sizeof *x->steps);
    if (!x->m.text || !x->m.pool || !x->steps || !mllm_arena_share(&from->arena, &x->arena)) {
        mllm_matcher_release(x);
        mllm_fail_memory(err, m->text_capacity, "matcher");
        return NULL;
    }
    x->m.text_capacity = m->text_capacity;
    x->m.length = m->length;
    memcpy(x->m.text, m->text, m->length);
    memcpy(x->m.pool, m->pool, threads * sizeof *m->pool);
    x->m.count = threads;
    x->m.capacity = threads ? threads : 1;
    memcpy(x->steps, from->steps, from->count * sizeof *x->steps);
    x->count = x->capacity = from->count;
    return x;
}

const mllm_token_trie *mllm_matcher_trie(const mllm_matcher *x) {
    return x->trie;
}

static void go_back(mllm_matcher *x, uint32_t count) {
    x->count = count;
    x->m.count = last(x)->first + last(x)->count;
    x->m.length = last(x)->length;
    mllm_arena_reset(&x->arena, last(x)->mark);
}

void mllm_matcher_reset(mllm_matcher *x) {
    go_back(x, 1);
}

mllm_code mllm_matcher_rollback(mllm_matcher *x, size_t count, mllm_error *err) {
    if (count >= x->count)
        return mllm_fail(err, MLLM_E_ARGUMENT, "rollback of %zu steps: only %u were taken", count,
                         (unsigned)x->count - 1);
    go_back(x, x->count - (uint32_t)count);
    return MLLM_OK;
}

size_t mllm_matcher_steps(const mllm_matcher *x) {
    return x->count - 1;
}

bool mllm_matcher_is_complete(const mllm_matcher *x) {
    const step *s = last(x);
    if (s->finished) return true;
    for (uint32_t i = 0; i < s->count; i++)
        if (x->m.pool[s->first + i].kind == THREAD_DONE) return true;
    return false;
}

bool mllm_matcher_is_finished(const mllm_matcher *x) {
    return last(x)->finished;
}

const char *mllm_matcher_text(const mllm_matcher *x, size_t *length) {
    *length = x->m.length;
    return x->m.text;
}

size_t mllm_matcher_bytes(const mllm_matcher *x) {
    size_t words = x->trie ? x->trie->words * sizeof(uint64_t) : 0;
    size_t n = sizeof *x + sizeof *x->family + mllm_arena_bytes(&x->arena) + mllm_lexers_bytes(&x->family->lexers);
    n += x->m.text_capacity + x->m.capacity * sizeof *x->m.pool + x->capacity * sizeof *x->steps;
    for (int i = 0; i < CACHED_MASKS; i++) {
        const cached_mask *c = &x->family->cache[i];
        n += c->capacity * (sizeof *c->key + sizeof *c->serials) + (c->mask ? words : 0);
    }
    for (int i = 0; i < PLAIN_MASKS; i++) n += x->family->plain[i].mask ? words : 0;
    return n;
}

/* ------------------------------------------------------------------ accepting */

/* The set of threads [first, first + count) moved by `byte` to the end of the pool. False: nothing is left. */
static bool advance(mllm_machine *m, uint32_t first, uint32_t count, uint8_t byte) {
    m->base = m->count;
    m->text[m->length++] = (char)byte;
    for (uint32_t i = 0; i < count && m->failed == MLLM_OK; i++) mllm_machine_step(m, m->pool[first + i], byte);
    return m->count > m->base;
}

/* Steps over bytes; *taken: how many of them could follow. Leaves the new set at the end of the pool, or the matcher as it was. */
static bool run(mllm_matcher *x, const char *bytes, size_t length, size_t *taken) {
    mllm_machine *m = &x->m;
    const step *s = last(x);
    uint32_t first = s->first, count = s->count, end = first + count;
    *taken = 0;
    if (length > INT32_MAX || !mllm_machine_room(m, (uint32_t)length)) return false;
    for (size_t i = 0; i < length; i++) {
        if (!advance(m, first, count, (uint8_t)bytes[i]) || m->failed != MLLM_OK) return false;
        count = m->count - m->base;
        memmove(m->pool + end, m->pool + m->base, count * sizeof *m->pool);
        first = end;
        m->count = end + count;
        *taken = i + 1;
    }
    return true;
}

static mllm_code commit(mllm_matcher *x, mllm_error *err) {
    const step *s = last(x);
    uint32_t end = s->first + s->count;
    step n = {.first = end, .count = x->m.count - end, .length = x->m.length, .mark = mllm_arena_mark(&x->arena)};
    if (!push_step(x, n)) {
        go_back(x, x->count);
        return failure(x, err);
    }
    return MLLM_OK;
}

static mllm_code refused(mllm_matcher *x, const char *bytes, size_t length, size_t taken, mllm_error *err) {
    bool failed = x->m.failed != MLLM_OK;
    uint32_t at = last(x)->length + (uint32_t)taken;
    go_back(x, x->count);
    if (failed) return failure(x, err);
    uint8_t c = taken < length ? (uint8_t)bytes[taken] : 0;
    if (last(x)->finished) return mllm_fail(err, MLLM_E_GRAMMAR, "the text has ended: nothing can follow");
    if (c > 0x20 && c < 0x7F) return mllm_fail(err, MLLM_E_GRAMMAR, "'%c' cannot follow at byte %u", c, (unsigned)at);
    return mllm_fail(err, MLLM_E_GRAMMAR, "byte 0x%02X cannot follow at byte %u", c, (unsigned)at);
}

mllm_code mllm_matcher_accept_bytes(mllm_matcher *x, const char *bytes, size_t length, mllm_error *err) {
    size_t taken = 0;
    if (last(x)->finished && length) return refused(x, bytes, length, 0, err);
    if (!run(x, bytes, length, &taken)) return refused(x, bytes, length, taken, err);
    if (length == 0) { /* a step all the same */
        step n = *last(x);
        return push_step(x, n) ? MLLM_OK : failure(x, err);
    }
    return commit(x, err);
}

static bool is_end(const mllm_token_trie *t, mllm_token id) {
    for (uint32_t i = 0; i < t->end_count; i++)
        if (t->ends[i] == id) return true;
    return false;
}

mllm_code mllm_matcher_accept(mllm_matcher *x, mllm_token token, mllm_error *err) {
    const mllm_token_trie *t = x->trie;
    if (!t) return mllm_fail(err, MLLM_E_ARGUMENT, "this matcher has no vocabulary");
    if (token < 0 || (uint32_t)token >= t->size)
        return mllm_fail(err, MLLM_E_TOKEN, "token %d is outside the vocabulary of %u", (int)token, (unsigned)t->size);
    if (last(x)->finished) return mllm_fail(err, MLLM_E_GRAMMAR, "the text has ended: nothing can follow");
    /* A token that the grammar asks for by its id. */
    mllm_machine *m = &x->m;
    step s = *last(x);
    m->base = m->count;
    for (uint32_t i = 0; i < s.count && m->failed == MLLM_OK; i++)
        if (m->pool[s.first + i].kind == THREAD_TOKEN && m->pool[s.first + i].a == (uint32_t)token)
            mllm_machine_take_token(m, m->pool[s.first + i]);
    if (m->failed != MLLM_OK) return refused(x, "", 0, 0, err);
    if (m->count > m->base) return commit(x, err);
    if (is_end(t, token)) {
        if (!mllm_matcher_is_complete(x))
            return mllm_fail(err, MLLM_E_GRAMMAR, "token %d ends the text, which is not complete", (int)token);
        s.finished = true;
        return push_step(x, s) ? MLLM_OK : failure(x, err);
    }
    if (!t->bytes[token]) return mllm_fail(err, MLLM_E_GRAMMAR, "token %d is no text", (int)token);
    size_t taken;
    if (!run(x, t->bytes[token], t->lengths[token], &taken))
        return refused(x, t->bytes[token], t->lengths[token], taken, err);
    return commit(x, err);
}

/* --------------------------------------------------------------------- masks */

typedef struct {
    mllm_matcher *x;
    uint64_t *mask;
    uint32_t budget; /* 0: none */
} walk_state;

static bool within(mllm_machine *m, uint32_t first, uint32_t count, uint32_t budget) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t left = mllm_machine_min_left(m, &m->pool[first + i]);
        if (left < budget) return true;
    }
    return false;
}

/* Which bytes a thread may take next, roughly (never too few): so that most children of the root are not even tried. */
static void first_bytes(mllm_machine *m, const mllm_thread *t, bool *may) {
    switch ((mllm_thread_kind)t->kind) {
    case THREAD_DONE:
    case THREAD_TOKEN: return;
    case THREAD_WORD:
        for (uint32_t i = t->b; i < t->c; i++)
            if (t->g->shapes.words[i].length > t->d) may[(uint8_t)t->g->shapes.words[i].text[t->d]] = true;
        return;
    case THREAD_NUMBER:
        for (const char *p = "0123456789+-.eE"; *p; p++) may[(uint8_t)*p] = true;
        return;
    case THREAD_OBJECT:
    case THREAD_ARRAY:
        for (const char *p = " \t\r\n\",:}]"; *p; p++) may[(uint8_t)*p] = true;
        return;
    case THREAD_VALUE:
        for (const char *p = " \t\r\n\"{[-0123456789tfn"; *p; p++) may[(uint8_t)*p] = true;
        return;
    case THREAD_KEY: {
        uint32_t lexer;
        if (t->sub || t->a != NONE || mllm_machine_plain_room(m, t, &lexer)) break;
        for (uint32_t i = t->b; i < t->c; i++)
            if (t->g->shapes.words[i].length > t->d) {
                uint8_t c = (uint8_t)t->g->shapes.words[i].text[t->d];
                may[c < 0x20 || c == '"' || c == '\\' ? '\\' : c] = true;
            }
        may['"'] = true;
        return;
    }
    case THREAD_STRING:
        if (t->a == NONE || t->sub) break;
        may['"'] = may['\\'] = true;
        for (int c = 0x20; c < 256; c++)
            if (!may[c]) may[c] = mllm_lexer_next(m->lexers, t->a, (uint8_t)c) != NONE;
        return;
    case THREAD_LEX:
        for (int c = 0; c < 256; c++)
            if (!may[c]) may[c] = mllm_lexer_next(m->lexers, t->a, (uint8_t)c) != NONE;
        return;
    }
    memset(may, true, 256);
}

/* Sets the bits of all tokens of `t` that the threads [first, first + count) take. */
static void walk(walk_state *w, const mllm_trie *t, uint32_t first, uint32_t count) {
    mllm_machine *m = &w->x->m;
    uint32_t starts[MAX_DEPTH + 1], counts[MAX_DEPTH + 1], text = m->length, bottom = m->count;
    mllm_mark marks[MAX_DEPTH + 1];
    bool may[256] = {false};
    if (!count) return;
    for (uint32_t i = 0; i < count; i++) first_bytes(m, &m->pool[first + i], may);
    starts[0] = first;
    counts[0] = count;
    marks[0] = mllm_arena_mark(m->arena);
    for (int c = 0; c < 256 && m->failed == MLLM_OK; c++) {
        uint32_t i = may[c] ? t->child[c] : 0, end = i ? t->end[i] : 0;
        while (i < end) {
            uint32_t d = t->depth[i];
            m->count = d > 1 ? starts[d - 1] + counts[d - 1] : bottom;
            m->length = text + d - 1;
            mllm_arena_reset(m->arena, marks[d - 1]);
            if (!advance(m, starts[d - 1], counts[d - 1], t->byte[i])) {
                i = t->end[i];
                continue;
            }
            starts[d] = m->base;
            counts[d] = m->count - m->base;
            marks[d] = mllm_arena_mark(m->arena);
            int32_t id = t->id[i];
            if (id >= 0 && (!w->budget || within(m, starts[d], counts[d], w->budget)))
                w->mask[id / 64] |= (uint64_t)1 << (id % 64);
            i++;
            if (m->failed != MLLM_OK) break;
        }
    }
    m->count = bottom;
    m->length = text;
    mllm_arena_reset(m->arena, marks[0]);
}

static uint32_t room_class(const mllm_matcher *x, uint32_t room) {
    return room > x->trie->longest ? x->trie->longest + 1 : room;
}

/* The same threads make the same mask, except that a count far from its bound does not matter. */
static void make_key(const mllm_matcher *x, const mllm_thread *from, mllm_thread *to, uint64_t *serial) {
    *to = *from;
    *serial = from->up ? from->up->serial : 0;
    to->captured = NULL;
    if (to->kind == THREAD_STRING) {
        const mllm_flat *f = &to->g->shapes.flats[to->d];
        uint32_t low = f->min_length > to->b ? room_class(x, f->min_length - to->b) : 0;
        uint32_t high = f->max_length == NONE ? x->trie->longest + 1 : room_class(x, f->max_length - to->b);
        /* Patterns look farther than a token: only far from the bound is the same as anywhere else. */
        if (to->a == NONE || f->max_length == NONE || f->max_length - to->b > 4096) to->b = low << 16 | high, to->c = 1;
    }
}

static cached_mask *find_cached(mllm_matcher *x, const mllm_thread *key, const uint64_t *serials, uint32_t count) {
    for (int i = 0; i < CACHED_MASKS; i++) {
        cached_mask *c = &x->family->cache[i];
        if (!c->used || c->count != count || memcmp(c->serials, serials, count * sizeof *serials) != 0) continue;
        bool same = true;
        for (uint32_t k = 0; k < count && same; k++) {
            const mllm_thread *p = &c->key[k], *q = &key[k];
            same = p->kind == q->kind && p->sub == q->sub && p->a == q->a && p->b == q->b && p->c == q->c &&
                   p->d == q->d && p->e == q->e && p->g == q->g;
        }
        if (same) {
            c->used = ++x->family->clock;
            return c;
        }
    }
    return NULL;
}

static void remember(mllm_matcher *x, const mllm_thread *key, const uint64_t *serials, uint32_t count,
                     const uint64_t *mask) {
    cached_mask *c = &x->family->cache[0];
    for (int i = 1; i < CACHED_MASKS; i++)
        if (x->family->cache[i].used < c->used) c = &x->family->cache[i];
    c->used = 0;
    if (!c->mask && !(c->mask = mllm_alloc_array(x->trie->words, sizeof *c->mask))) return;
    if (count > c->capacity) {
        mllm_free(c->key);
        mllm_free(c->serials);
        c->key = mllm_alloc_array(count, sizeof *c->key);
        c->serials = mllm_alloc_array(count, sizeof *c->serials);
        c->capacity = c->key && c->serials ? count : 0;
        if (!c->capacity) return;
    }
    memcpy(c->key, key, count * sizeof *key);
    memcpy(c->serials, serials, count * sizeof *serials);
    memcpy(c->mask, mask, x->trie->words * sizeof *mask);
    c->count = count;
    c->used = ++x->family->clock;
}

static plain_mask *make_plain(mllm_matcher *x, uint32_t state) {
    const mllm_token_trie *t = x->trie;
    family *f = x->family;
    plain_mask *p = &f->plain[0];
    for (int i = 0; i < PLAIN_MASKS; i++) {
        if (f->plain[i].used && f->plain[i].state == state) {
            f->plain[i].used = ++f->clock;
            return &f->plain[i];
        }
        if (f->plain[i].used < p->used) p = &f->plain[i];
    }
    p->used = 0;
    if (!p->mask && !(p->mask = mllm_alloc_array(t->words, sizeof *p->mask))) return NULL;
    memset(p->mask, 0, t->words * sizeof *p->mask);
    p->state = state;
    p->need = 0;
    uint32_t states[MAX_DEPTH + 1], chars[MAX_DEPTH + 1];
    const uint64_t *plain = t->plain[MLLM_PLAIN_LENGTHS];
    bool always = f->lexers.states[state].lexer->count == 1 || f->lexers.states[state].lexer->any;
    states[0] = state;
    chars[0] = 0;
    for (uint32_t i = 1; i < t->all.count;) {
        uint32_t d = t->all.depth[i];
        uint8_t c = t->all.byte[i];
        bool dead = c < 0x20 || c == '"' || c == '\\' || c == 0x7F;
        if (!dead) dead = (states[d] = mllm_lexer_next(&f->lexers, states[d - 1], c)) == NONE;
        if (dead) {
            i = t->all.end[i];
            continue;
        }
        chars[d] = chars[d - 1] + ((c & 0xC0) != 0x80);
        int32_t id = t->all.id[i++];
        if (id < 0 || !(plain[id / 64] >> (id % 64) & 1)) continue;
        uint32_t more = mllm_lexer_distance(&f->lexers, states[d]);
        if (more == NONE && !always) continue;
        if (more != NONE && chars[d] + more > p->need) p->need = chars[d] + more;
        p->mask[id / 64] |= (uint64_t)1 << (id % 64);
    }
    if (f->lexers.failed != MLLM_OK) return NULL;
    p->used = ++f->clock;
    return p;
}

/* Adds the plain tokens that a thread takes, if they are known without trying; `add` false: only says so. */
static bool add_plain(mllm_matcher *x, const mllm_thread *thread, uint64_t *mask, bool add) {
    const mllm_token_trie *t = x->trie;
    uint32_t lexer, room = mllm_machine_plain_room(&x->m, thread, &lexer);
    const uint64_t *plain;
    if (room == 0) return false;
    if (lexer != NONE) {
        const plain_mask *p = make_plain(x, lexer);
        if (!p || room < p->need) return false;
        plain = p->mask;
    } else {
        if (room >= MLLM_PLAIN_LENGTHS && room < t->longest_plain) return false;
        plain = t->plain[room < MLLM_PLAIN_LENGTHS ? room : MLLM_PLAIN_LENGTHS];
    }
    for (uint32_t k = 0; add && k < t->words; k++) mask[k] |= plain[k];
    return true;
}

/* Whatever plain text follows in the leaf, the text can be completed in time: it is as if nothing had been read there but what a pattern
 * may still ask for. */
static bool stays_within(mllm_matcher *x, mllm_thread t, uint32_t budget) {
    if (t.kind == THREAD_KEY) t.b = t.c = 0;
    uint32_t left = mllm_machine_min_left(&x->m, &t), lexer, need = 0;
    if (mllm_machine_plain_room(&x->m, &t, &lexer) && lexer != NONE) {
        const plain_mask *p = make_plain(x, lexer);
        if (!p) return false;
        need = p->need;
    }
    return left != NONE && left + need < budget;
}

enum { KEY_THREADS = 16 };

mllm_code mllm_matcher_mask(mllm_matcher *x, uint64_t *mask, uint32_t budget, mllm_error *err) {
    const mllm_token_trie *t = x->trie;
    if (!t) return mllm_fail(err, MLLM_E_ARGUMENT, "this matcher has no vocabulary");
    mllm_machine *m = &x->m;
    step s = *last(x);
    if (s.finished) {
        memset(mask, 0, t->words * sizeof *mask);
        return MLLM_OK;
    }
    if (!mllm_machine_room(m, t->longest + 1)) return failure(x, err);
    mllm_thread key[KEY_THREADS];
    uint64_t serials[KEY_THREADS];
    bool complete = false;
    for (uint32_t i = 0; i < s.count; i++) {
        if (s.count <= KEY_THREADS) make_key(x, &m->pool[s.first + i], &key[i], &serials[i]);
        complete = complete || m->pool[s.first + i].kind == THREAD_DONE;
    }
    if (budget) { /* becomes: what must be left after the token is less than that many bytes */
        uint32_t left = mllm_matcher_min_left(x);
        if (left == NONE)
            budget = 0;
        else if (
            left >
            budget) /* no promise is possible; when it gets tight at two bytes a token, the shortest way is taken */
            budget = left / 2 >= budget ? left : 0;
        else if (budget - left > 4096) /* no token comes near */
            budget = 0;
    }
    bool cacheable = s.count <= KEY_THREADS && !budget;
    cached_mask *cached = cacheable ? find_cached(x, key, serials, s.count) : NULL;
    if (cached) {
        memcpy(mask, cached->mask, t->words * sizeof *mask);
        return MLLM_OK;
    }
    memset(mask, 0, t->words * sizeof *mask);
    m->by_text = false;
    walk_state w = {x, mask, budget};
    /* Threads of which it is known what plain tokens they take are tried on the other tokens only. */
    uint32_t end = s.first + s.count;
    for (int pass = 0; pass < 2 && m->failed == MLLM_OK; pass++) {
        m->count = m->base = end;
        for (uint32_t i = 0; i < s.count && m->failed == MLLM_OK; i++) {
            mllm_thread thread = m->pool[s.first + i];
            if (thread.kind == THREAD_TOKEN) {
                bool fits = !budget || mllm_machine_min_left(m, &thread) <= budget; /* the token itself included */
                if (fits && thread.a < t->size) mask[thread.a / 64] |= (uint64_t)1 << (thread.a % 64);
                continue;
            }
            bool known = (!budget || stays_within(x, thread, budget)) && add_plain(x, &thread, mask, pass == 0);
            uint32_t lexer = NONE;
            if (known && pass == 1 && thread.kind == THREAD_KEY && thread.b < thread.c)
                mllm_machine_plain_room(m, &thread, &lexer);
            if (lexer != NONE) {
                thread.a = NONE; /* the declared keys, which the lexer may not know */
                mllm_machine_add(m, &thread, false);
            } else if (known == (pass == 0))
                mllm_machine_add(m, &thread, false);
        }
        walk(&w, pass == 0 ? &t->rest : &t->all, end, m->count - end);
    }
    m->count = end;
    if (m->failed != MLLM_OK) {
        go_back(x, x->count);
        return failure(x, err);
    }
    for (uint32_t i = 0; complete && i < t->end_count; i++) mask[t->ends[i] / 64] |= (uint64_t)1 << (t->ends[i] % 64);
    bool any = false;
    for (uint32_t k = 0; k < t->words && !any; k++) any = mask[k] != 0;
    if (!any && !complete) {
        uint32_t at = last(x)->length;
        return mllm_fail(err, MLLM_E_GRAMMAR, "dead end at byte %u: no token can follow", (unsigned)at);
    }
    if (cacheable && !m->by_text) remember(x, key, serials, s.count, mask);
    return MLLM_OK;
}

/* -------------------------------------------------------------------- forcing */

size_t mllm_matcher_forced_bytes(mllm_matcher *x, char *out, size_t capacity) {
    mllm_machine *m = &x->m;
    const step *s = last(x);
    uint32_t first = s->first, count = s->count, end = first + count, text = m->length;
    size_t n = 0;
    if (s->finished || !mllm_machine_room(m, MAX_FORCED + 1)) return 0;
    while (n < capacity && n < MAX_FORCED) {
        int forced = -1;
        bool single = count > 0, may[256] = {false};
        for (uint32_t i = 0; i < count && single; i++) {
            single = m->pool[first + i].kind != THREAD_DONE && m->pool[first + i].kind != THREAD_TOKEN;
            first_bytes(m, &m->pool[first + i], may);
        }
        uint32_t bottom = m->count;
        for (int c = 0; c < 256 && single; c++) {
            if (!may[c]) continue;
            mllm_mark mark = mllm_arena_mark(m->arena);
            bool alive = advance(m, first, count, (uint8_t)c);
            m->count = bottom;
            m->length--;
            mllm_arena_reset(m->arena, mark);
            if (!alive) continue;
            single = forced < 0;
            forced = c;
        }
        if (!single || forced < 0 || m->failed != MLLM_OK) break;
        if (!advance(m, first, count, (uint8_t)forced)) break;
        count = m->count - m->base;
        memmove(m->pool + end, m->pool + m->base, count * sizeof *m->pool);
        first = end;
        m->count = end + count;
        out[n++] = (char)forced;
    }
    m->failed = MLLM_OK;
    m->lexers->failed = MLLM_OK;
    m->length = text;
    go_back(x, x->count);
    return n;
}

/* Some token has text[length] as a proper beginning. */
static bool goes_on(const mllm_trie *t, const char *text, size_t length) {
    uint32_t i = t->child[(uint8_t)text[0]];
    for (size_t depth = 1; i && depth < length; depth++) {
        uint32_t c = i + 1, found = 0;
        for (; c < t->end[i] && !found; c = t->end[c])
            if (t->byte[c] == (uint8_t)text[depth]) found = c;
        i = found;
    }
    return i && t->end[i] > i + 1;
}

size_t mllm_matcher_forced_tokens(mllm_matcher *x, mllm_token *out, size_t capacity) {
    enum { CONTEXT = 256, STEPS = 4 };
    const mllm_token_trie *t = x->trie;
    char text[CONTEXT + MAX_FORCED];
    mllm_token list[CONTEXT + MAX_FORCED];
    if (!t || !t->vocab) return 0;
    /* The tokenizer looks back: what it makes of the last few tokens and the forced text together must part where the text ends now. */
    uint32_t back = x->count > STEPS ? x->steps[x->count - 1 - STEPS].length : 0;
    if (x->m.length - back > CONTEXT)
        back = last(x)->length - (x->count > 1 ? last(x)->length - x->steps[x->count - 2].length : 0);
    size_t context = x->m.length - back;
    if (context > CONTEXT) return 0;
    memcpy(text, x->m.text + back, context);
    char *run_of = text + context;
    size_t n = mllm_matcher_forced_bytes(x, run_of, MAX_FORCED);
    if (n == 0) return 0;
    size_t count = mllm_tokenize(t->vocab, text, context + n, MLLM_TOKENIZE_NO_PREFIX, list, CONTEXT + MAX_FORCED),
           at = 0, used = 0, skip = 0;
    if (count > CONTEXT + MAX_FORCED) return 0;
    for (size_t seen = 0; seen < context;) {
        if (skip == count || !t->bytes[list[skip]]) return 0;
        seen += t->lengths[list[skip++]];
        if (seen > context) return 0;
    }
    const mllm_token *ids = list + skip;
    count -= skip;
    /* At the end of the forced text it is not known what follows: a token counts when no token of the vocabulary could begin in it and
     * go on past that end. */
    while (used < count && used < capacity) {
        mllm_token id = ids[used];
        size_t length = t->bytes[id] ? t->lengths[id] : 0;
        if (!length || at + length > n) break;
        bool open = false;
        for (size_t from = at; from < at + length && !open; from++) open = goes_on(&t->all, run_of + from, n - from);
        if (open) break;
        out[used++] = id;
        at += length;
    }
    return used;
}

uint32_t mllm_matcher_min_left(mllm_matcher *x) {
    const step *s = last(x);
    uint32_t best = NONE;
    if (s->finished) return 0;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t n = mllm_machine_min_left(&x->m, &x->m.pool[s->first + i]);
        if (n < best) best = n;
    }
    return best;
}

bool mllm_matcher_capture(const mllm_matcher *x, size_t index, const char **name, size_t *start, size_t *end) {
    const step *s = last(x);
    const mllm_captured *list = NULL;
    size_t n = 0;
    for (uint32_t i = 0; i < s->count; i++) /* a complete reading before the others */
        if (x->m.pool[s->first + i].kind == THREAD_DONE || !list) list = x->m.pool[s->first + i].captured;
    for (const mllm_captured *c = list; c; c = c->before) n++;
    if (index >= n) return false;
    for (size_t skip = n - 1 - index; skip; skip--) list = list->before;
    *name = list->name;
    *start = list->start;
    *end = list->end;
    return true;
}
