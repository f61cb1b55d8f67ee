/* mask.c - which tokens may come next: the trie walked by the machine's threads, with what is known without trying. */
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "matcher.h"
#include "plan.h"

enum { TRY_EFFORT = 300, TRIES_EFFORT = 2000, PLAN_SLACK = 8, WAY_BYTES = 32 };

typedef struct {
    mllm_matcher *x;
    uint64_t *mask;
    uint32_t budget; /* 0: none */
    uint32_t most; /* bytes of that way */
    bool verify; /* a token counts only if a way to the end is found behind it */
    uint32_t effort; /* left for that */
    uint32_t from, count; /* the threads before the token */
    /* The way that was found last: from way_at in the text on, for the nodes of a subtree. */
    char way[WAY_BYTES];
    uint32_t way_at, way_length, way_end;
    /* The trie is that of tails: a tail stands for the tokens that have this many characters in front of it. */
    bool tails;
    uint32_t least, room;
} walk_state;

static void set_bit(uint64_t *mask, mllm_token id) {
    mask[id / 64] |= (uint64_t)1 << (id % 64);
}

static bool is_universal(const mllm_matcher *x, uint32_t state) {
    return (x->family->lexers.states[state].flags & LEXER_UNIVERSAL) != 0;
}

static bool within(mllm_machine *m, uint32_t first, uint32_t count, uint32_t budget) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t left = mllm_machine_min_left(m, &m->pool[first + i], false);
        if (left < budget) return true;
    }
    return false;
}

/* What is read in the leaf may end it in a way that nothing can follow. */
static bool uncertain_leaf(const mllm_thread *t) {
    const mllm_flat *f;
    switch ((mllm_thread_kind)t->kind) {
    case THREAD_STRING:
        f = &t->g->shapes.flats[t->d];
        return f->checks || (t->a != NONE && t->g->shapes.uncertain && (f->max_length != NONE || f->min_length));
    case THREAD_KEY: {
        const mllm_object_shape *o = mllm_object_of(t->up);
        if (!o->names_exact || (t->up->extra && mllm_keys_may_repeat(&t->g->shapes, o))) return true;
        return t->g->shapes.flats[t->up->id].checks && !(o->extra_anywhere && o->lexer == NONE);
    }
    case THREAD_NUMBER: return true;
    default: return false;
    }
}

bool mllm_thread_is_certain(const mllm_thread *t) {
    for (const mllm_frame *f = t->up; f; f = f->up) {
        if (f->kind == FRAME_RULE || f->kind == FRAME_CAPTURE) continue;
        const mllm_shapes *s = &f->g->shapes;
        const mllm_flat *flat = &s->flats[f->id];
        if (flat->checks) return false;
        if (f->kind == FRAME_ARRAY ? s->arrays[flat->array].unique : !s->objects[flat->object].names_exact)
            return false;
    }
    return t->kind == THREAD_STRING || t->kind == THREAD_KEY || t->kind == THREAD_NUMBER ? !uncertain_leaf(t) : true;
}

/* A token that ended in threads [first, first + count) leaves a way to the end. */
static bool leads_on(walk_state *w, const mllm_trie *trie, uint32_t node, uint32_t first, uint32_t count) {
    mllm_machine *m = &w->x->m;
    if (!w->verify || !w->effort) return true;
    if (node < w->way_end) {
        uint32_t n = m->length - w->way_at;
        if (n <= w->way_length && memcmp(m->text + w->way_at, w->way, n) == 0) return true;
    }
    for (uint32_t i = 0; i < count; i++)
        if (mllm_thread_is_certain(&m->pool[first + i])) return true;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < w->count; j++) {
            const mllm_thread *t = &m->pool[first + i], *o = &m->pool[w->from + j];
            bool leaf = t->kind == THREAD_STRING || t->kind == THREAD_KEY || t->kind == THREAD_LEX;
            if (leaf && t->kind == o->kind && t->up == o->up && t->e == o->e && !uncertain_leaf(t)) return true;
        }
    uint32_t effort = w->effort < TRY_EFFORT ? w->effort : TRY_EFFORT, before = effort;
    uint32_t length = mllm_plan(m, first, count, w->most, &effort);
    w->effort -= before - effort;
    if (length == NONE) return false;
    w->way_at = m->length;
    w->way_end = trie->end[node];
    w->way_length = length < WAY_BYTES ? length : WAY_BYTES;
    memcpy(w->way, m->text + m->length, w->way_length);
    return true;
}

void mllm_machine_first_bytes(mllm_machine *m, const mllm_thread *t, bool *may) {
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

static void add_closers(const walk_state *w, int32_t at) {
    for (const mllm_string_token *c = w->x->trie->closers + at;; c++) {
        if (c->chars >= w->least && c->chars <= w->room) w->mask[c->id / 64] |= (uint64_t)1 << (c->id % 64);
        if (c->last) return;
    }
}

/* Sets the bits of all tokens of `t` that the threads [first, first + count) take. */
static void walk(walk_state *w, const mllm_trie *t, uint32_t first, uint32_t count) {
    mllm_machine *m = &w->x->m;
    uint32_t starts[MAX_DEPTH + 1], counts[MAX_DEPTH + 1], text = m->length, bottom = m->count;
    mllm_mark marks[MAX_DEPTH + 1];
    bool may[256] = {false};
    if (!count) return;
    for (uint32_t i = 0; i < count; i++) mllm_machine_first_bytes(m, &m->pool[first + i], may);
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
            if (!mllm_machine_advance(m, starts[d - 1], counts[d - 1], t->byte[i])) {
                i = t->end[i];
                continue;
            }
            starts[d] = m->base;
            counts[d] = m->count - m->base;
            marks[d] = mllm_arena_mark(m->arena);
            int32_t id = t->id[i];
            if (id >= 0 && (!w->budget || within(m, starts[d], counts[d], w->budget))) {
                if (!leads_on(w, t, i, starts[d], counts[d])) { /* nor does anything that begins like it */
                    i = t->end[i];
                    continue;
                }
                if (w->tails)
                    add_closers(w, id);
                else
                    w->mask[id / 64] |= (uint64_t)1 << (id % 64);
            }
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

static mllm_cached_mask *find_cached(mllm_matcher *x, const mllm_thread *key, const uint64_t *serials, uint32_t count) {
    for (int i = 0; i < CACHED_MASKS; i++) {
        mllm_cached_mask *c = &x->family->cache[i];
        if (!c->used || c->count != count || memcmp(c->serials, serials, count * sizeof *serials) != 0) continue;
        bool same = true;
        for (uint32_t k = 0; k < count && same; k++) {
            const mllm_thread *p = &c->key[k], *q = &key[k];
            same = p->kind == q->kind && p->sub == q->sub && p->a == q->a && p->b == q->b && p->c == q->c &&
                   p->d == q->d && p->e == q->e && p->chars == q->chars && p->g == q->g;
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
    mllm_cached_mask *c = &x->family->cache[0];
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

/* NONE stays NONE. */
static uint32_t read_on(mllm_lexers *l, uint32_t state, uint8_t byte) {
    return state == NONE ? NONE : mllm_lexer_next(l, state, byte);
}

/* Sets the bits of the plain tokens that lead the lexer on from `state`, if `room` characters are enough for them and for what it asks for
 * after them. *need, *more: as in mllm_plain_mask. False: a failure. */
static bool plain_tokens(mllm_matcher *x, uint32_t state, uint32_t room, uint64_t *mask, uint32_t *need,
                         uint32_t *more) {
    const mllm_token_trie *t = x->trie;
    mllm_lexers *l = &x->family->lexers;
    uint32_t states[MAX_DEPTH + 1], chars[MAX_DEPTH + 1], first = LEXER_UNKNOWN;
    const uint64_t *plain = t->plain[MLLM_PLAIN_LENGTHS];
    const mllm_lexer *lexer = l->states[state].lexer;
    bool always = room == NONE && (lexer->count == 1 || mllm_lexer_is_free(lexer, true));
    bool beyond = mllm_lexer_goes_beyond(lexer);
    states[0] = state;
    *need = chars[0] = 0;
    for (uint32_t i = 1; i < t->all.count;) {
        uint32_t d = t->all.depth[i];
        uint8_t c = t->all.byte[i];
        bool dead = c < 0x20 || c == '"' || c == '\\' || c == 0x7F;
        if (!dead) dead = (states[d] = read_on(l, states[d - 1], c)) == NONE && !beyond;
        if (!dead) dead = (chars[d] = chars[d - 1] + ((c & 0xC0) != 0x80)) > room;
        if (dead) {
            i = t->all.end[i];
            continue;
        }
        int32_t id = t->all.id[i++];
        if (id < 0 || !(plain[id / 64] >> (id % 64) & 1)) continue;
        uint32_t after = states[d] == NONE ? 0 : mllm_lexer_distance(l, states[d]);
        if (after == NONE ? !always : after > room - chars[d]) continue;
        if (after != NONE && chars[d] + after > *need) *need = chars[d] + after;
        first = first == LEXER_UNKNOWN || first == after ? after : NONE;
        mask[id / 64] |= (uint64_t)1 << (id % 64);
    }
    *more = first;
    return l->failed == MLLM_OK;
}

/* The same for all tokens and any number of characters. */
static bool whole_tokens(mllm_matcher *x, uint32_t state, uint64_t *mask) {
    const mllm_trie *t = &x->trie->all;
    mllm_lexers *l = &x->family->lexers;
    uint32_t states[MAX_DEPTH + 1];
    states[0] = state;
    for (uint32_t i = 1; i < t->count && l->failed == MLLM_OK;) {
        uint32_t d = t->depth[i];
        if ((states[d] = mllm_lexer_next(l, states[d - 1], t->byte[i])) == NONE) {
            i = t->end[i];
            continue;
        }
        int32_t id = t->id[i++];
        if (id >= 0) set_bit(mask, id);
    }
    return l->failed == MLLM_OK;
}

static mllm_plain_mask *make_plain(mllm_matcher *x, uint32_t state, bool whole) {
    const mllm_token_trie *t = x->trie;
    mllm_family *f = x->family;
    mllm_plain_mask *p = &f->plain[0];
    for (int i = 0; i < PLAIN_MASKS; i++) {
        if (f->plain[i].used && f->plain[i].state == state && f->plain[i].whole == whole) {
            f->plain[i].used = ++f->clock;
            return &f->plain[i];
        }
        if (f->plain[i].used < p->used) p = &f->plain[i];
    }
    p->used = 0;
    if (!p->mask && !(p->mask = mllm_alloc_array(t->words, sizeof *p->mask))) return NULL;
    memset(p->mask, 0, t->words * sizeof *p->mask);
    p->state = state;
    p->whole = whole;
    p->bytes = LEXER_UNKNOWN;
    if (whole ? !whole_tokens(x, state, p->mask) : !plain_tokens(x, state, NONE, p->mask, &p->need, &p->more))
        return NULL;
    p->used = ++f->clock;
    return p;
}

/* What is known of the tokens that a thread takes without trying, and what is left to try. */
typedef enum {
    KNOWN_INSIDE, /* all that a string goes on with: those that end it are left */
    KNOWN_CLOSED, /* the same, and those that end it go on alike, whatever is in front of their quote */
    KNOWN_PLAIN, /* the plain ones */
    KNOWN_NOTHING,
    KNOWN_ALL
} known;

/* Adds the plain tokens of a lexer, as far as there is room. */
static known add_lexer_plain(mllm_matcher *x, uint32_t lexer, uint32_t room, uint64_t *mask) {
    const mllm_token_trie *t = x->trie;
    const mllm_plain_mask *p = make_plain(x, lexer, false);
    uint32_t need, more;
    if (!p) return KNOWN_NOTHING;
    if (room < p->need && (p->more == NONE || (room - p->more >= MLLM_PLAIN_LENGTHS && room > p->more))) {
        if (mask) plain_tokens(x, lexer, room, mask, &need, &more); /* near the bound each end of a token counts */
        return KNOWN_PLAIN;
    }
    const uint64_t *few = NULL;
    if (room < p->need) {
        if (room <= p->more) return KNOWN_PLAIN;
        few = t->plain[room - p->more];
    }
    for (uint32_t k = 0; mask && k < t->words; k++) mask[k] |= few ? p->mask[k] & few[k] : p->mask[k];
    return KNOWN_PLAIN;
}

/* Nothing follows what the lexer reads. */
static bool ends_text(const mllm_thread *t) {
    const mllm_rule_state *s = &t->g->states[t->b];
    return !t->up && s->accept && s->count == 0;
}

/* Adds the tokens of which it is known that a thread takes them; `mask` NULL: only says so. `plain`: no others than plain ones. */
static known add_known(mllm_matcher *x, const mllm_thread *thread, uint64_t *mask, bool plain) {
    const mllm_token_trie *t = x->trie;
    uint32_t lexer, room = mllm_machine_plain_room(&x->m, thread, &lexer);
    if (room == 0 && !plain && thread->kind == THREAD_LEX && ends_text(thread)) {
        const mllm_plain_mask *p = make_plain(x, thread->a, true);
        for (uint32_t i = 0; p && mask && i < t->words; i++) mask[i] |= p->mask[i];
        return p ? KNOWN_ALL : KNOWN_NOTHING;
    }
    if (room == 0) return KNOWN_NOTHING;
    if (lexer != NONE) return add_lexer_plain(x, lexer, room, mask);
    bool string = thread->kind == THREAD_STRING, near = room < t->longest_plain || room < t->longest_inner;
    if (near && room >= MLLM_PLAIN_LENGTHS) return KNOWN_NOTHING;
    known k = plain || (!string && thread->kind != THREAD_KEY) ? KNOWN_PLAIN
              : string && mllm_thread_is_certain(thread) && (thread->a == NONE || is_universal(x, thread->a))
                  ? KNOWN_CLOSED
                  : KNOWN_INSIDE;
    if (!mask) return k;
    const uint64_t *add = t->plain[near ? room : MLLM_PLAIN_LENGTHS];
    if (k != KNOWN_PLAIN && !near) add = t->content;
    for (uint32_t i = 0; i < t->words; i++) mask[i] |= add[i];
    for (uint32_t i = 0; i < t->inner_count && near && k != KNOWN_PLAIN; i++)
        if (t->inner[i].chars <= room) set_bit(mask, t->inner[i].id);
    return k;
}

/* The most bytes that a lexer asks for after any of the plain tokens that `state` takes; NONE: not known. */
static uint32_t most_bytes(mllm_matcher *x, uint32_t state, bool json) {
    mllm_plain_mask *p = make_plain(x, state, false);
    mllm_lexers *l = &x->family->lexers;
    const mllm_trie *all = &x->trie->all;
    uint32_t states[MAX_DEPTH + 1], most = 0;
    bool beyond = mllm_lexer_goes_beyond(l->states[state].lexer);
    if (!p) return NONE;
    if (p->bytes != LEXER_UNKNOWN) return p->bytes;
    states[0] = state;
    for (uint32_t i = 1; i < all->count && l->failed == MLLM_OK;) {
        uint32_t d = all->depth[i];
        uint8_t c = all->byte[i];
        bool dead = c < 0x20 || c == '"' || c == '\\' || c == 0x7F;
        if (!dead) dead = (states[d] = read_on(l, states[d - 1], c)) == NONE && !beyond;
        if (dead) {
            i = all->end[i];
            continue;
        }
        int32_t id = all->id[i++];
        if (id < 0 || !(p->mask[id / 64] >> (id % 64) & 1)) continue;
        uint32_t bytes = states[d] == NONE ? 0 : mllm_lexer_bytes_left(l, states[d], json);
        if (bytes > most) most = bytes;
    }
    return p->bytes = l->failed == MLLM_OK ? most : NONE;
}

/* Whatever plain text follows in the leaf, the text can be completed in time. */
static bool stays_within(mllm_matcher *x, const mllm_thread *t, uint32_t budget) {
    uint32_t left = mllm_machine_min_left(&x->m, t, true), lexer, need = 0;
    if (left == NONE || left >= budget) return false;
    if (!mllm_machine_plain_room(&x->m, t, &lexer)) return true;
    bool string = t->kind == THREAD_STRING || t->kind == THREAD_KEY;
    if (t->a != NONE && (string || t->kind == THREAD_LEX) &&
        !(x->family->lexers.states[t->a].flags & LEXER_UNIVERSAL) && (lexer != NONE || t->kind != THREAD_KEY))
        need = most_bytes(x, t->a, string);
    return need < budget - left;
}

enum { KEY_THREADS = 16 };

typedef struct {
    uint32_t bytes; /* so many and one may be left after the next token, by mllm_matcher_min_left; 0: any number */
    uint32_t hidden; /* what a way that was found needs beyond that */
    bool only; /* the next token must be that of the plan */
} allowance;

/* What of a thread is known under a budget; adds it to `mask`, which may be NULL. */
static known known_of(mllm_matcher *x, const mllm_thread *t, uint64_t *mask, uint32_t budget, bool verify) {
    if (budget && !stays_within(x, t, budget)) return KNOWN_NOTHING;
    if (verify && uncertain_leaf(t)) return KNOWN_NOTHING;
    return add_known(x, t, mask, budget > 0);
}

/* Sets the bits of what may follow. `verify`: only if a way to the end is found where that is not certain. */
static void fill(mllm_matcher *x, uint64_t *mask, const allowance *allowed, bool verify) {
    const mllm_token_trie *t = x->trie;
    mllm_machine *m = &x->m;
    mllm_step s = *mllm_last_step(x);
    uint32_t end = s.first + s.count;
    uint32_t budget = allowed->bytes;
    walk_state w = {.x = x,
                    .mask = mask,
                    .budget = budget,
                    .most = budget ? budget + allowed->hidden - 1 : MLLM_WAY_BYTES,
                    .verify = verify,
                    .effort = TRIES_EFFORT,
                    .from = s.first,
                    .count = s.count};
    m->by_text = false;
    memset(mask, 0, t->words * sizeof *mask);
    m->count = m->base = end;
    /* Threads of which something is known are tried on the other tokens only. */
    known each[KEY_THREADS];
    for (uint32_t i = 0; i < s.count && m->failed == MLLM_OK; i++) {
        mllm_thread thread = m->pool[s.first + i];
        if (thread.kind == THREAD_TOKEN) {
            bool fits = !budget || mllm_machine_min_left(m, &thread, false) <= budget; /* the token itself included */
            if (fits && thread.a < t->size) set_bit(mask, (mllm_token)thread.a);
            continue;
        }
        known k = known_of(x, &thread, mask, budget, verify);
        if (i < KEY_THREADS) each[i] = k;
        if (k != KNOWN_CLOSED) continue;
        const mllm_flat *f = &thread.g->shapes.flats[thread.d];
        w.tails = true;
        w.least = f->min_length > thread.b ? f->min_length - thread.b : 0;
        w.room = f->max_length == NONE ? NONE : f->max_length - thread.b;
        if (w.least) thread.b = f->min_length;
        w.way_end = 0;
        mllm_machine_add(m, &thread, false);
        walk(&w, &t->tails, end, m->count - end);
        m->count = m->base = end;
        w.tails = false;
    }
    for (known pass = KNOWN_INSIDE; pass <= KNOWN_NOTHING && m->failed == MLLM_OK; pass++) {
        if (pass == KNOWN_CLOSED) continue;
        m->count = m->base = end;
        for (uint32_t i = 0; i < s.count && m->failed == MLLM_OK; i++) {
            mllm_thread thread = m->pool[s.first + i];
            if (thread.kind == THREAD_TOKEN) continue;
            known k = i < KEY_THREADS ? each[i] : known_of(x, &thread, NULL, budget, verify);
            uint32_t lexer = NONE;
            if (k == KNOWN_PLAIN && pass == KNOWN_NOTHING && thread.kind == THREAD_KEY && thread.b < thread.c)
                mllm_machine_plain_room(m, &thread, &lexer);
            if (lexer != NONE) {
                thread.a = NONE; /* the declared keys, which the lexer may not know */
                mllm_machine_add(m, &thread, false);
            } else if (k == pass)
                mllm_machine_add(m, &thread, false);
        }
        w.way_end = 0;
        walk(&w, pass == KNOWN_INSIDE ? &t->closing : pass == KNOWN_PLAIN ? &t->rest : &t->all, end, m->count - end);
    }
    m->count = end;
}

static bool is_empty(const mllm_matcher *x, const uint64_t *mask) {
    for (uint32_t k = 0; k < x->trie->words; k++)
        if (mask[k]) return false;
    return true;
}

/* What a budget of tokens means in bytes. */
static allowance bytes_allowed(mllm_matcher *x, uint32_t budget) {
    allowance a = {0};
    uint32_t left = mllm_matcher_min_left(x);
    if (left <= budget && budget - left > MLLM_WAY_NEAR * (x->uncertain ? 1u : 4u)) return a;
    a.bytes = left <= budget ? budget : 0;
    if (left <= budget && !x->uncertain) return a;
    uint32_t tokens = mllm_matcher_tokens_left(x);
    if (tokens <= budget) {
        uint32_t need = left != NONE && left > x->way.bytes ? left : x->way.bytes, slack = budget - tokens;
        a.hidden = left != NONE ? need - left : 0;
        a.only = tokens && (left == NONE || slack < PLAN_SLACK);
        a.bytes = left == NONE ? 0 : budget > need + PLAN_SLACK ? budget - a.hidden : left + 1 + slack / 2;
        if (a.bytes && budget > need + PLAN_SLACK) a.only = false;
    } else if (
        left != NONE &&
        left > budget) /* no promise is possible; when it gets tight at two bytes a token, the shortest way is taken */
        a.bytes = left / 2 >= budget ? left : 0;
    return a;
}

static mllm_code make_mask(mllm_matcher *x, uint64_t *mask, uint32_t budget, mllm_error *err) {
    const mllm_token_trie *t = x->trie;
    mllm_machine *m = &x->m;
    mllm_step s = *mllm_last_step(x);
    memset(mask, 0, t->words * sizeof *mask);
    if (s.finished) return MLLM_OK;
    if (!mllm_machine_room(m, t->longest + 1)) return mllm_matcher_failure(x, err);
    mllm_thread key[KEY_THREADS];
    uint64_t serials[KEY_THREADS];
    bool complete = mllm_matcher_is_complete(x), verify = budget && x->uncertain;
    allowance allowed = {0};
    for (uint32_t i = 0; i < s.count && s.count <= KEY_THREADS; i++)
        make_key(x, &m->pool[s.first + i], &key[i], &serials[i]);
    if (budget) allowed = bytes_allowed(x, budget);
    if (allowed.only) {
        set_bit(mask, x->way.tokens[x->way.at]);
        return MLLM_OK;
    }
    bool cacheable = s.count <= KEY_THREADS && !allowed.bytes && !verify;
    mllm_cached_mask *cached = cacheable ? find_cached(x, key, serials, s.count) : NULL;
    if (cached) {
        memcpy(mask, cached->mask, t->words * sizeof *mask);
        return MLLM_OK;
    }
    fill(x, mask, &allowed, verify);
    bool any = !is_empty(x, mask);
    if (!any && !complete && budget && m->failed == MLLM_OK) { /* the search looks farther than one token */
        uint32_t tokens = mllm_matcher_tokens_left(x);
        if (tokens != NONE)
            set_bit(mask, x->way.tokens[x->way.at]);
        else if (verify)
            fill(x, mask, &allowed, false);
        any = !is_empty(x, mask);
    }
    if (m->failed != MLLM_OK) {
        mllm_matcher_go_back(x, x->count);
        return mllm_matcher_failure(x, err);
    }
    for (uint32_t i = 0; complete && i < t->end_count; i++) set_bit(mask, t->ends[i]);
    if (!any && !complete) {
        uint32_t at = mllm_last_step(x)->length;
        return mllm_fail(err, MLLM_E_GRAMMAR, "dead end at byte %u: no token can follow", (unsigned)at);
    }
    if (cacheable && !m->by_text) remember(x, key, serials, s.count, mask);
    return MLLM_OK;
}

mllm_code mllm_matcher_mask(mllm_matcher *x, uint64_t *mask, uint32_t budget, mllm_error *err) {
    const mllm_token_trie *t = x->trie;
    if (!t) return mllm_fail(err, MLLM_E_ARGUMENT, "this matcher has no vocabulary");
    uint32_t refused = budget && x->refused_at == x->count ? x->refused_count : 0;
    bool only = refused == MLLM_MOST_REFUSED && mllm_matcher_tokens_left(x) != NONE && x->way.at < x->way.count;
    mllm_code code = MLLM_OK;
    if (only)
        memset(mask, 0, t->words * sizeof *mask);
    else
        code = make_mask(x, mask, budget, err);
    for (uint32_t i = 0; i < refused; i++) mask[x->refused[i] / 64] &= ~((uint64_t)1 << (x->refused[i] % 64));
    if (refused && code == MLLM_OK && is_empty(x, mask) && mllm_matcher_tokens_left(x) != NONE &&
        x->way.at < x->way.count)
        set_bit(mask, x->way.tokens[x->way.at]);
    return code;
}
