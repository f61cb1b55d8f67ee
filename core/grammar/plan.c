/* plan.c - a search with limited discrepancy: at every place the thread that needs least says which bytes lead on, the best first; texts that
 * take the best everywhere come before those that do not once, and those before the ones that do not twice. Closing checks, repeated keys and
 * equal items are found out by stepping the machine. */
#include "plan.h"

#include <string.h>

#include "../base/alloc.h"

enum { OPTIONS = 6, MOST_BYTES = 4096, DISCREPANCIES = 3, RANKED = 16 };

typedef struct {
    uint8_t bytes[OPTIONS];
    uint32_t count;
    bool eager, hinted; /* what is named comes first; something was */
} options;

static void offer(options *o, uint8_t byte) {
    if (o->count < OPTIONS && !memchr(o->bytes, byte, o->count)) o->bytes[o->count++] = byte;
}

/* How `c` begins in a JSON string, or goes on with the escape that was begun. */
static uint8_t spelled(uint8_t sub, uint8_t c) {
    static const char plain[] = "\"\\\b\f\n\r\t", brief[] = "\"\\bfnrt", digits[] = "0123456789abcdef";
    const char *p = c ? strchr(plain, c) : NULL;
    switch (sub) {
    case SUB_ESCAPE: return p ? (uint8_t)brief[p - plain] : 'u';
    case SUB_U:
    case SUB_U0: return '0';
    case SUB_U00: return c < 0x10 ? '0' : '1';
    case SUB_U000:
    case SUB_U001: return (uint8_t)digits[c & 15];
    default: return c < 0x20 || p ? '\\' : c;
    }
}

/* Bytes that lead the lexer on, the nearest to its end first. */
static void lexer_bytes(mllm_machine *m, const mllm_thread *t, options *o, bool json) {
    uint32_t cost[OPTIONS], found = 0;
    uint8_t best[OPTIONS];
    const mllm_lexer *lexer = m->lexers->states[t->a].lexer;
    for (uint32_t c = 0; c < lexer->class_count; c++) {
        uint8_t b = lexer->byte_of[c];
        if (json && t->sub >= SUB_ESCAPE && !mllm_json_escapes(t->sub, b)) continue;
        uint32_t next = mllm_lexer_next(m->lexers, t->a, b);
        uint32_t v = next == NONE ? NONE : mllm_lexer_bytes_left(m->lexers, next, json);
        if (v == NONE) continue;
        if (json) v += mllm_json_width(b);
        const mllm_lexer_state *now = &m->lexers->states[t->a]; /* of an `any` lexer rather what another part accepts */
        v = 2 * v + !(m->lexers->states[next].accepting & ~now->accepting);
        uint32_t at = found < 4 ? found++ : 4;
        for (; at > 0 && cost[at - 1] > v; at--)
            if (at < 4) cost[at] = cost[at - 1], best[at] = best[at - 1];
        if (at < 4) cost[at] = v, best[at] = b;
    }
    for (uint32_t i = 0; i < found; i++) offer(o, json ? spelled(t->sub, best[i]) : best[i]);
}

/* Inside a character of more bytes: the least that may follow. */
static uint8_t continuation(uint8_t sub) {
    return sub == SUB_E0 ? 0xA0 : sub == SUB_F0 ? 0x90 : 0x80;
}

/* Puts `byte` at place `at` of the options, if there is room or something behind it. */
static void insert(options *o, uint32_t at, uint8_t byte) {
    const uint8_t *p = memchr(o->bytes, byte, o->count);
    if (p && (uint32_t)(p - o->bytes) <= at) return;
    uint32_t last = p ? (uint32_t)(p - o->bytes) : o->count < OPTIONS ? o->count++ : OPTIONS - 1;
    for (; last > at; last--) o->bytes[last] = o->bytes[last - 1];
    o->bytes[at] = byte;
}

/* What the checks of the leaf and of all that is open name: a name that was begun is finished first; a beginning is the second thing to try. */
static void hint_bytes(const mllm_machine *m, const mllm_thread *t, options *o) {
    const mllm_shapes *s = &t->g->shapes;
    const mllm_frame *f = t->up;
    const mllm_flat *flat = t->kind == THREAD_STRING ? &s->flats[t->d] : NULL;
    uint32_t start = t->kind == THREAD_STRING ? t->e + 1 : t->e, length = m->length - start;
    uint32_t at = length == 0 && o->count > 0 && !o->eager, key = t->kind == THREAD_KEY;
    if (t->sub != SUB_NONE) return;
    while (flat || f) {
        for (uint32_t i = 0; flat && i < flat->hints; i++) {
            const mllm_word *w = &s->words[flat->first_hint + i];
            if (w->tag != key || w->length <= length || memcmp(w->text, m->text + start, length) != 0) continue;
            uint8_t c = (uint8_t)w->text[length];
            if (c < 0x20 || c == '"' || c == '\\' || at == OPTIONS) continue;
            insert(o, at++, c);
            o->hinted = true;
        }
        flat = NULL;
        if (f && (f->g != t->g)) break; /* another schema around this one */
        if (f && (f->kind == FRAME_OBJECT || f->kind == FRAME_ARRAY)) flat = &s->flats[f->id];
        if (f) f = f->up;
    }
}

static void string_bytes(mllm_machine *m, const mllm_thread *t, options *o) {
    const mllm_flat *f = &t->g->shapes.flats[t->d];
    if (t->sub != SUB_NONE && t->sub < SUB_ESCAPE && t->a == NONE) {
        offer(o, continuation(t->sub));
        return;
    }
    if (t->sub >= SUB_ESCAPE && t->a == NONE) {
        offer(o, spelled(t->sub, t->sub == SUB_U001 ? 0x1F : t->sub > SUB_ESCAPE ? 1 : '\\'));
        return;
    }
    bool accepts = t->a == NONE || (m->lexers->states[t->a].flags & LEXER_ACCEPT);
    if (t->sub == SUB_NONE && accepts && t->b >= f->min_length) offer(o, '"');
    if (t->a != NONE)
        lexer_bytes(m, t, o, true);
    else { /* different ones for the items of a list */
        offer(o, (uint8_t)('a' + (t->up ? t->up->index : 0) % 26));
        offer(o, '0');
    }
    hint_bytes(m, t, o);
}

static void key_bytes(mllm_machine *m, const mllm_thread *t, options *o) {
    const mllm_frame *f = t->up;
    const mllm_shapes *s = &t->g->shapes;
    const mllm_object_shape *shape = mllm_object_of(f);
    const uint64_t *due = f->seen + mllm_key_words(shape);
    for (int pass = 0; pass < 2; pass++) { /* keys that must come, then the others, both in declared order */
        uint32_t after = 0;
        for (int n = 0; n < 3; n++) {
            const mllm_word *best = NULL;
            for (uint32_t i = t->b; i < t->c; i++) {
                const mllm_word *w = &s->words[i];
                bool must = due[w->tag / 64] >> (w->tag % 64) & 1;
                if (must != (pass == 0) || w->tag < after || (best && w->tag > best->tag)) continue;
                if (t->sub >= SUB_ESCAPE && (w->length <= t->d || !mllm_json_escapes(t->sub, (uint8_t)w->text[t->d])))
                    continue;
                if (mllm_json_key_allowed(f, w->tag)) best = w;
            }
            if (!best) break;
            after = best->tag + 1;
            offer(o, best->length == t->d ? '"' : spelled(t->sub, (uint8_t)best->text[t->d]));
        }
        if (pass == 0 && o->count) return;
    }
    if (!mllm_json_extra_allowed(f)) return;
    if (t->sub != SUB_NONE && t->a == NONE) {
        offer(o, t->sub < SUB_ESCAPE ? continuation(t->sub) : spelled(t->sub, t->sub > SUB_ESCAPE ? 1 : '\\'));
        return;
    }
    if (t->sub == SUB_NONE && mllm_json_extra_shape(m, t, m->length) != NONE) offer(o, '"');
    if (shape->extra_anywhere && !shape->all_names) offer(o, (uint8_t)('a' + f->count % 26));
    if (t->a != NONE) lexer_bytes(m, t, o, true);
    hint_bytes(m, t, o);
}

/* The kinds of values that a shape allows, the shortest first. */
static void value_bytes(const mllm_thread *t, options *o) {
    enum { NUMBERS = TYPE_INTEGER | TYPE_FRACTION };
    const mllm_shapes *s = &t->g->shapes;
    const mllm_shape *shape = &s->shapes[t->a];
    const mllm_frame *up = t->up;
    bool differ = up && up->kind == FRAME_ARRAY && up->g->shapes.arrays[up->g->shapes.flats[up->id].array].unique;
    uint64_t last = 0;
    for (int n = 0; n < 4; n++) { /* flats in the order of what they need */
        uint64_t best = UINT64_MAX;
        uint32_t at = NONE;
        for (uint32_t i = 0; i < shape->flats; i++) {
            uint64_t rank = (uint64_t)s->flats[shape->first_flat + i].min_bytes << 32 | i;
            if (rank >= last && rank < best) best = rank, at = i;
        }
        if (at == NONE) return;
        last = best + 1;
        const mllm_flat *f = &s->flats[shape->first_flat + at];
        uint32_t shortest = f->first_word;
        for (uint32_t i = f->first_word; i < f->first_word + f->words; i++)
            if (s->words[i].length < s->words[shortest].length) shortest = i;
        if (f->words && !differ) offer(o, (uint8_t)s->words[shortest].text[0]);
        for (uint32_t i = 0; i < f->words && i < 64 && (differ || f->min_bytes == s->words[shortest].length); i++)
            offer(o, (uint8_t)s->words[f->first_word + (differ ? i + up->index : i) % f->words].text[0]);
        if ((f->types & TYPE_STRING) && f->string_bytes + 2 == f->min_bytes) offer(o, '"');
        if ((f->types & TYPE_ARRAY) && f->min_bytes == 2) offer(o, '[');
        if ((f->types & TYPE_OBJECT) && f->min_bytes == 2) offer(o, '{');
        if (f->types & NUMBERS) {
            uint32_t digits = 0, turn = differ ? up->index % 10 : 0;
            for (uint32_t i = 0; i < 11 && digits < (differ ? 3 : 1); i++) {
                const char *c = &"0123456789-"[i < 10 ? (i + turn) % 10 : 10];
                if (!mllm_number_viable(&t->g->schema, s->indices, &s->numbers[f->number], c, 1)) continue;
                uint32_t more = mllm_number_shortest(&t->g->schema, s->indices, &s->numbers[f->number], c, 1);
                if (more == NONE || more >= s->numbers[f->number].min_bytes) continue;
                offer(o, (uint8_t)*c);
                digits++;
            }
        }
        if (f->types & TYPE_STRING) offer(o, '"');
        if (f->types & TYPE_ARRAY) offer(o, '[');
        if (f->types & TYPE_OBJECT) offer(o, '{');
    }
}

static void number_bytes(mllm_machine *m, const mllm_thread *t, options *o) {
    const mllm_shapes *s = &t->g->shapes;
    const mllm_number_shape *n = &s->numbers[s->flats[t->d].number];
    const mllm_schema *schema = &t->g->schema;
    uint32_t length = m->length - t->e, best = NONE;
    const char *text = m->text + t->e;
    bool complete = mllm_number_complete(schema, s->indices, n, text, length);
    for (const char *c = "1203456789-."; *c; c++) {
        m->text[m->length] = *c; /* past the end: nobody else reads there */
        if (!mllm_number_viable(schema, s->indices, n, text, length + 1)) continue;
        if (complete) {
            offer(o, (uint8_t)*c);
            continue;
        }
        uint32_t v = mllm_number_shortest(schema, s->indices, n, text, length + 1);
        if (v >= best) continue;
        best = v;
        for (uint32_t i = o->count < OPTIONS ? o->count++ : OPTIONS - 1; i > 0; i--) o->bytes[i] = o->bytes[i - 1];
        o->bytes[0] = (uint8_t)*c;
    }
}

static void thread_bytes(mllm_machine *m, const mllm_thread *t, options *o) {
    o->count = 0;
    switch ((mllm_thread_kind)t->kind) {
    case THREAD_DONE:
    case THREAD_TOKEN: return;
    case THREAD_VALUE: value_bytes(t, o); return;
    case THREAD_WORD: {
        const mllm_word *words = t->g->shapes.words;
        uint32_t shortest = t->b;
        for (uint32_t i = t->b; i < t->c; i++)
            if (words[i].length < words[shortest].length) shortest = i;
        offer(o, (uint8_t)words[shortest].text[t->d]);
        for (uint32_t i = t->b; i < t->c && o->count < 4; i++)
            if (words[i].length > t->d) offer(o, (uint8_t)words[i].text[t->d]);
        return;
    }
    case THREAD_STRING: string_bytes(m, t, o); return;
    case THREAD_NUMBER: number_bytes(m, t, o); return;
    case THREAD_KEY: key_bytes(m, t, o); return;
    case THREAD_OBJECT:
        if (t->a == PHASE_COLON) {
            offer(o, ':');
            return;
        }
        if (t->a != PHASE_NEXT && mllm_json_closable(t->up)) offer(o, '}');
        offer(o, t->a == PHASE_AFTER ? ',' : '"');
        return;
    case THREAD_ARRAY:
        if (t->a == PHASE_OPEN || t->up->index >= t->g->shapes.arrays[t->g->shapes.flats[t->up->id].array].min)
            offer(o, ']');
        if (t->a == PHASE_AFTER) offer(o, ',');
        return;
    case THREAD_LEX: lexer_bytes(m, t, o, false); return;
    }
}

/* What may come next, the most promising first. */
static void choose(mllm_machine *m, uint32_t first, uint32_t count, options *out) {
    uint32_t order[RANKED], left[RANKED], n = 0;
    options each[RANKED];
    out->count = 0;
    out->hinted = false;
    if (count == 1) {
        thread_bytes(m, &m->pool[first], out);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t v = mllm_machine_min_left(m, &m->pool[first + i], false), at = n;
        if (n < RANKED)
            n++;
        else if (v >= left[RANKED - 1])
            continue;
        else
            at = RANKED - 1;
        for (; at > 0 && left[at - 1] > v; at--) left[at] = left[at - 1], order[at] = order[at - 1];
        left[at] = v;
        order[at] = first + i;
    }
    for (uint32_t i = 0; i < n; i++) {
        each[i].eager = out->eager;
        each[i].hinted = false;
        thread_bytes(m, &m->pool[order[i]], &each[i]);
        out->hinted = out->hinted || each[i].hinted;
    }
    for (int numbers = 0; numbers < 2; numbers++) /* what could end goes on last */
        for (uint32_t k = 0; k < OPTIONS; k++)
            for (uint32_t i = 0; i < n; i++)
                if (k < each[i].count && (m->pool[order[i]].kind == THREAD_NUMBER) == (numbers == 1))
                    offer(out, each[i].bytes[k]);
}

typedef struct {
    uint32_t first, count;
    mllm_mark mark;
    options from;
    uint8_t next, used; /* option to be tried next; discrepancies up to here */
    bool alive; /* some option led on: to take a later one is a discrepancy */
} place;

/* Room for one more place. */
static bool reserve(mllm_machine *m, place **at, uint32_t *capacity, uint32_t need) {
    if (need < *capacity) return true;
    place *p = mllm_realloc_array(*at, *capacity * 2 + 64, sizeof *p);
    if (!p) {
        m->failed = MLLM_E_MEMORY;
        return false;
    }
    *at = p;
    *capacity = *capacity * 2 + 64;
    return true;
}

static bool is_done(const mllm_machine *m, uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (m->pool[first + i].kind == THREAD_DONE) return true;
    return false;
}

uint32_t mllm_plan(mllm_machine *m, uint32_t first, uint32_t count, uint32_t most, uint32_t *effort) {
    uint32_t text = m->length, bottom = m->count, result = NONE, capacity = 0;
    mllm_mark mark = mllm_arena_mark(m->arena);
    place *at = NULL;
    if (is_done(m, first, count)) return 0;
    uint32_t least = NONE; /* a way that is much longer than the least leads nowhere */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t v = mllm_machine_min_left(m, &m->pool[first + i], false);
        if (v < least) least = v;
    }
    if (least < MOST_BYTES && most > 2 * least + 80) most = 2 * least + 80;
    if (most > MOST_BYTES) most = MOST_BYTES;
    if (!mllm_machine_room(m, most + 2) || !reserve(m, &at, &capacity, 0)) return NONE;
    at[0].used = 0;
    bool hinted = false;
    uint32_t near = least < MOST_BYTES ? least + least / 4 + 24 : most;
    enum { EAGER = 1, FAR = 2, PASSES = 4 }; /* for each number short texts first, and again with what is named first */
    for (uint8_t pass = 0; pass < PASSES * (DISCREPANCIES + 1) && result == NONE && *effort && m->failed == MLLM_OK;
         pass++) {
        uint8_t allowed = pass / PASSES;
        uint32_t reach = pass & FAR ? most : near;
        if ((pass & EAGER && !hinted) || (!(pass & FAR) && near >= most)) continue;
        uint32_t depth = 0;
        bool cut = false; /* some text was left out for its discrepancies */
        for (bool enter = true; m->failed == MLLM_OK;) {
            if (enter) {
                place *here = &at[depth];
                here->first = depth ? m->base : first;
                here->count = depth ? m->count - m->base : count;
                here->mark = mllm_arena_mark(m->arena);
                here->next = 0;
                here->alive = false;
                if (is_done(m, here->first, here->count)) {
                    result = depth;
                    break;
                }
                here->from.count = 0;
                here->from.eager = pass & EAGER;
                here->from.hinted = false;
                if (depth < reach) choose(m, here->first, here->count, &here->from);
                hinted = hinted || here->from.hinted;
            }
            place *here = &at[depth];
            if (here->next == here->from.count || !*effort) {
                if (depth-- == 0) break;
                enter = false;
                continue;
            }
            uint32_t option = here->next++;
            uint8_t used = here->used + here->alive;
            if (used > allowed) {
                cut = true;
                here->next = (uint8_t)here->from.count;
                enter = false;
                continue;
            }
            uint8_t byte = here->from.bytes[option];
            uint64_t work = m->work;
            m->count = m->base = here->first + here->count;
            m->length = text + depth;
            mllm_arena_reset(m->arena, here->mark);
            m->text[m->length++] = (char)byte;
            for (uint32_t i = 0; i < here->count && m->failed == MLLM_OK; i++)
                mllm_machine_step(m, m->pool[here->first + i], byte);
            work = m->work - work + here->count;
            *effort -= work < *effort ? (uint32_t)work : *effort;
            enter = m->count > m->base;
            if (enter) {
                here->alive = true;
                if (!reserve(m, &at, &capacity, ++depth)) break;
                at[depth].used = used;
            }
        }
        m->count = bottom;
        m->length = text;
        mllm_arena_reset(m->arena, mark);
        if (!cut && reach == most) break;
    }
    mllm_free(at);
    if (m->failed != MLLM_OK) result = NONE;
    if (m->failed == MLLM_E_LIMIT) { /* too many readings on some way: it is not gone */
        m->failed = m->lexers->failed = MLLM_OK;
        m->limit = NULL;
    }
    return result;
}
