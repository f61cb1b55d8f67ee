/* matcher.c - a position in a grammar: its history and forced text. */
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "matcher.h"
#include "rules.h"

static void free_family(mllm_family *f) {
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
    mllm_family *f = atomic_exchange(&g->idle, NULL);
    if (f) free_family(f);
}

static void release_family(mllm_family *f, mllm_grammar *g) {
    if (!f || --f->refs > 0) return;
    if (mllm_lexers_bytes(&f->lexers) <= KEPT_BYTES) f = atomic_exchange(&g->idle, f);
    if (f) free_family(f);
}

static mllm_family *take_family(mllm_grammar *g, mllm_token_trie *trie) {
    mllm_family *f = atomic_exchange(&g->idle, NULL);
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
    mllm_machine_end(&x->m);
    mllm_free(x->m.text);
    mllm_free(x->m.pool);
    mllm_free(x->steps);
    mllm_free(x->way.tokens);
    release_family(x->family, x->grammar);
    mllm_token_trie_release(x->trie);
    mllm_grammar_release(x->grammar);
    mllm_free(x);
}

mllm_code mllm_matcher_failure(mllm_matcher *x, mllm_error *err) {
    mllm_code code = x->m.failed;
    const char *limit = x->m.limit;
    x->m.failed = MLLM_OK;
    x->m.limit = NULL;
    x->family->lexers.failed = MLLM_OK;
    if (code == MLLM_E_MEMORY) return mllm_fail_memory(err, 0, "matcher");
    return mllm_fail(err, code, "matcher: %s", limit ? limit : "a limit was reached");
}

static bool push_step(mllm_matcher *x, mllm_step s) {
    if (x->count == x->capacity) {
        uint32_t c = x->capacity ? x->capacity * 2 : 64;
        mllm_step *p = mllm_realloc_array(x->steps, c, sizeof *p);
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

static bool is_uncertain(const mllm_grammar *g) {
    if (g->kind == GRAMMAR_SCHEMA) return g->shapes.uncertain;
    for (uint32_t i = 0; i < g->import_count; i++)
        if (is_uncertain(g->imports[i])) return true;
    return false;
}

mllm_matcher *mllm_matcher_new(mllm_grammar *grammar, mllm_token_trie *trie, mllm_error *err) {
    mllm_matcher *x = mllm_calloc(1, sizeof *x);
    mllm_family *f = x ? take_family(grammar, trie) : NULL;
    if (!x || !f) {
        mllm_free(x);
        mllm_fail_memory(err, sizeof *x + sizeof *f, "matcher");
        return NULL;
    }
    x->family = f;
    x->grammar = mllm_grammar_retain(grammar);
    x->trie = mllm_token_trie_retain(trie);
    x->uncertain = is_uncertain(grammar);
    x->m.lexers = &f->lexers;
    x->m.arena = &x->arena;
    x->m.serial = &f->serial;
    bool ok = mllm_machine_room(&x->m, 1);
    if (ok) mllm_machine_start(&x->m, grammar);
    ok = x->m.failed == MLLM_OK && push_step(x, (mllm_step){.count = x->m.count, .mark = mllm_arena_mark(&x->arena)});
    if (!ok) {
        mllm_matcher_failure(x, err);
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
    uint32_t threads = mllm_last_step(from)->first + mllm_last_step(from)->count;
    x->grammar = mllm_grammar_retain(from->grammar);
    x->trie = mllm_token_trie_retain(from->trie);
    x->family = from->family;
    x->family->refs++;
    x->uncertain = from->uncertain;
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

static void forget_way(mllm_matcher *x) {
    x->way.looked = x->way.known = false;
    x->way.at = x->way.count = 0;
}

void mllm_matcher_go_back(mllm_matcher *x, uint32_t count) {
    if (count < x->count) {
        forget_way(x);
        x->refused_count = 0;
    }
    x->count = count;
    x->m.count = mllm_last_step(x)->first + mllm_last_step(x)->count;
    x->m.length = mllm_last_step(x)->length;
    mllm_arena_reset(&x->arena, mllm_last_step(x)->mark);
}

void mllm_matcher_reset(mllm_matcher *x) {
    mllm_matcher_go_back(x, 1);
}

mllm_code mllm_matcher_rollback(mllm_matcher *x, size_t count, mllm_error *err) {
    if (count >= x->count)
        return mllm_fail(err, MLLM_E_ARGUMENT, "rollback of %zu steps: only %u were taken", count,
                         (unsigned)x->count - 1);
    mllm_matcher_go_back(x, x->count - (uint32_t)count);
    return MLLM_OK;
}

size_t mllm_matcher_steps(const mllm_matcher *x) {
    return x->count - 1;
}

bool mllm_matcher_is_complete(const mllm_matcher *x) {
    const mllm_step *s = mllm_last_step(x);
    if (s->finished) return true;
    for (uint32_t i = 0; i < s->count; i++)
        if (x->m.pool[s->first + i].kind == THREAD_DONE) return true;
    return false;
}

bool mllm_matcher_is_finished(const mllm_matcher *x) {
    return mllm_last_step(x)->finished;
}

const char *mllm_matcher_text(const mllm_matcher *x, size_t *length) {
    *length = x->m.length;
    return x->m.text;
}

size_t mllm_matcher_bytes(const mllm_matcher *x) {
    size_t words = x->trie ? x->trie->words * sizeof(uint64_t) : 0;
    size_t n = sizeof *x + sizeof *x->family + mllm_arena_bytes(&x->arena) + mllm_lexers_bytes(&x->family->lexers);
    n += x->m.text_capacity + x->m.capacity * sizeof *x->m.pool + x->capacity * sizeof *x->steps;
    n += x->m.visit_capacity * sizeof *x->m.visits + x->m.call_capacity * sizeof *x->m.calls;
    n += (x->m.visits_seen.capacity + x->m.calls_seen.capacity + x->m.threads_seen.capacity) * sizeof(mllm_seen_slot);
    for (int i = 0; i < CACHED_MASKS; i++) {
        const mllm_cached_mask *c = &x->family->cache[i];
        n += c->capacity * (sizeof *c->key + sizeof *c->serials) + (c->mask ? words : 0);
    }
    for (int i = 0; i < PLAIN_MASKS; i++) n += x->family->plain[i].mask ? words : 0;
    return n;
}

/* ------------------------------------------------------------------ accepting */

bool mllm_machine_advance(mllm_machine *m, uint32_t first, uint32_t count, uint8_t byte) {
    m->base = m->count;
    m->text[m->length++] = (char)byte;
    for (uint32_t i = 0; i < count && m->failed == MLLM_OK; i++) {
        const mllm_thread *t = &m->pool[first + i];
        if (t->kind == THREAD_WORD && t->c - t->b == 1) { /* one of many alternatives, most often another one */
            const mllm_word *w = &t->g->shapes.words[t->b];
            if (w->length <= t->d || (uint8_t)w->text[t->d] != byte) continue;
        }
        mllm_machine_step(m, *t, byte);
    }
    return m->count > m->base;
}

/* Steps over bytes; *taken: how many of them could follow. Leaves the new set at the end of the pool, or the matcher as it was. */
static bool run(mllm_matcher *x, const char *bytes, size_t length, size_t *taken) {
    mllm_machine *m = &x->m;
    const mllm_step *s = mllm_last_step(x);
    uint32_t first = s->first, count = s->count, end = first + count;
    *taken = 0;
    if (length > INT32_MAX || !mllm_machine_room(m, (uint32_t)length)) return false;
    for (size_t i = 0; i < length; i++) {
        if (!mllm_machine_advance(m, first, count, (uint8_t)bytes[i]) || m->failed != MLLM_OK) return false;
        count = m->count - m->base;
        memmove(m->pool + end, m->pool + m->base, count * sizeof *m->pool);
        first = end;
        m->count = end + count;
        *taken = i + 1;
    }
    return true;
}

static mllm_code commit(mllm_matcher *x, mllm_error *err) {
    const mllm_step *s = mllm_last_step(x);
    uint32_t end = s->first + s->count;
    mllm_step n = {.first = end, .count = x->m.count - end, .length = x->m.length, .mark = mllm_arena_mark(&x->arena)};
    if (!push_step(x, n)) {
        mllm_matcher_go_back(x, x->count);
        return mllm_matcher_failure(x, err);
    }
    return MLLM_OK;
}

static mllm_code refused(mllm_matcher *x, const char *bytes, size_t length, size_t taken, mllm_error *err) {
    bool failed = x->m.failed != MLLM_OK;
    uint32_t at = mllm_last_step(x)->length + (uint32_t)taken;
    mllm_matcher_go_back(x, x->count);
    if (failed) return mllm_matcher_failure(x, err);
    uint8_t c = taken < length ? (uint8_t)bytes[taken] : 0;
    if (mllm_last_step(x)->finished) return mllm_fail(err, MLLM_E_GRAMMAR, "the text has ended: nothing can follow");
    if (c > 0x20 && c < 0x7F) return mllm_fail(err, MLLM_E_GRAMMAR, "'%c' cannot follow at byte %u", c, (unsigned)at);
    return mllm_fail(err, MLLM_E_GRAMMAR, "byte 0x%02X cannot follow at byte %u", c, (unsigned)at);
}

mllm_code mllm_matcher_accept_bytes(mllm_matcher *x, const char *bytes, size_t length, mllm_error *err) {
    size_t taken = 0;
    if (length) forget_way(x);
    if (mllm_last_step(x)->finished && length) return refused(x, bytes, length, 0, err);
    if (!run(x, bytes, length, &taken)) return refused(x, bytes, length, taken, err);
    if (length == 0) { /* a step all the same */
        mllm_step n = *mllm_last_step(x);
        return push_step(x, n) ? MLLM_OK : mllm_matcher_failure(x, err);
    }
    return commit(x, err);
}

static bool is_end(const mllm_token_trie *t, mllm_token id) {
    for (uint32_t i = 0; i < t->end_count; i++)
        if (t->ends[i] == id) return true;
    return false;
}

static mllm_code take_token(mllm_matcher *x, mllm_token token, mllm_error *err) {
    const mllm_token_trie *t = x->trie;
    if (!t) return mllm_fail(err, MLLM_E_ARGUMENT, "this matcher has no vocabulary");
    if (token < 0 || (uint32_t)token >= t->size)
        return mllm_fail(err, MLLM_E_TOKEN, "token %d is outside the vocabulary of %u", (int)token, (unsigned)t->size);
    if (mllm_last_step(x)->finished) return mllm_fail(err, MLLM_E_GRAMMAR, "the text has ended: nothing can follow");
    /* A token that the grammar asks for by its id. */
    mllm_machine *m = &x->m;
    mllm_step s = *mllm_last_step(x);
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
        return push_step(x, s) ? MLLM_OK : mllm_matcher_failure(x, err);
    }
    if (!t->lengths[token]) return mllm_fail(err, MLLM_E_GRAMMAR, "token %d is no text", (int)token);
    size_t taken;
    if (!run(x, mllm_trie_text(t, token), t->lengths[token], &taken))
        return refused(x, mllm_trie_text(t, token), t->lengths[token], taken, err);
    return commit(x, err);
}

mllm_code mllm_matcher_accept(mllm_matcher *x, mllm_token token, mllm_error *err) {
    mllm_code code = take_token(x, token, err);
    if (code == MLLM_OK) mllm_matcher_follow(x, token);
    return code;
}

/* -------------------------------------------------------------------- forcing */

size_t mllm_matcher_forced_bytes(mllm_matcher *x, char *out, size_t capacity) {
    mllm_machine *m = &x->m;
    const mllm_step *s = mllm_last_step(x);
    uint32_t first = s->first, count = s->count, end = first + count, text = m->length;
    size_t n = 0;
    if (s->finished || !mllm_machine_room(m, MAX_FORCED + 1)) return 0;
    while (n < capacity && n < MAX_FORCED) {
        int forced = -1;
        bool single = count > 0, may[256] = {false};
        for (uint32_t i = 0; i < count && single; i++) {
            single = m->pool[first + i].kind != THREAD_DONE && m->pool[first + i].kind != THREAD_TOKEN;
            mllm_machine_first_bytes(m, &m->pool[first + i], may);
        }
        uint32_t bottom = m->count;
        for (int c = 0; c < 256 && single; c++) {
            if (!may[c]) continue;
            mllm_mark mark = mllm_arena_mark(m->arena);
            bool alive = mllm_machine_advance(m, first, count, (uint8_t)c);
            m->count = bottom;
            m->length--;
            mllm_arena_reset(m->arena, mark);
            if (!alive) continue;
            single = forced < 0;
            forced = c;
        }
        if (!single || forced < 0 || m->failed != MLLM_OK) break;
        if (!mllm_machine_advance(m, first, count, (uint8_t)forced)) break;
        count = m->count - m->base;
        memmove(m->pool + end, m->pool + m->base, count * sizeof *m->pool);
        first = end;
        m->count = end + count;
        out[n++] = (char)forced;
    }
    m->failed = MLLM_OK;
    m->lexers->failed = MLLM_OK;
    m->length = text;
    mllm_matcher_go_back(x, x->count);
    return n;
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
        back =
            mllm_last_step(x)->length - (x->count > 1 ? mllm_last_step(x)->length - x->steps[x->count - 2].length : 0);
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
        if (skip == count || !t->lengths[list[skip]]) return 0;
        seen += t->lengths[list[skip++]];
        if (seen > context) return 0;
    }
    const mllm_token *ids = list + skip;
    count -= skip;
    /* At the end of the forced text it is not known what follows: a token counts when no token of the vocabulary could begin in it and
     * go on past that end. */
    while (used < count && used < capacity) {
        mllm_token id = ids[used];
        size_t length = t->lengths[id];
        if (!length || at + length > n) break;
        bool open = false;
        for (size_t from = at; from < at + length && !open; from++)
            open = mllm_token_trie_extends(t, run_of + from, n - from);
        if (open) break;
        out[used++] = id;
        at += length;
    }
    return used;
}

uint32_t mllm_matcher_min_left(mllm_matcher *x) {
    const mllm_step *s = mllm_last_step(x);
    uint32_t best = NONE;
    if (s->finished) return 0;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t n = mllm_machine_min_left(&x->m, &x->m.pool[s->first + i], false);
        if (n < best) best = n;
    }
    return best;
}

bool mllm_matcher_capture(const mllm_matcher *x, size_t index, const char **name, size_t *start, size_t *end) {
    const mllm_step *s = mllm_last_step(x);
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
