/* json_least.c - the least that completes a JSON value from a place inside it. What is said here is never less than what is needed, except
 * where values are checked as a whole when they close, must differ, or have a pattern and a length. */
#include <string.h>

#include "machine.h"

static uint32_t plus(uint32_t a, uint32_t b) {
    return a == NONE || b == NONE || a > NONE - 1 - b ? NONE : a + b;
}

/* `,"name":value` */
static uint32_t member_bytes(const mllm_frame *f, uint32_t key) {
    const mllm_key *k = &f->g->shapes.keys[mllm_object_of(f)->first_key + key];
    return plus(f->g->shapes.shapes[k->shape].min_bytes, k->bytes + 2);
}

static bool is_due(const mllm_frame *f, uint32_t key) {
    return f->seen[mllm_key_words(mllm_object_of(f)) + key / 64] >> (key % 64) & 1;
}

/* `more` further members that nobody asks for by name, without `key`. */
static uint32_t optional_bytes(const mllm_frame *f, uint32_t key, uint32_t more) {
    const mllm_object_shape *o = mllm_object_of(f);
    uint32_t best[8] = {0}, found = 0;
    for (uint32_t i = f->g->any_order ? 0 : key == NONE ? f->index : key + 1; i < o->keys; i++) {
        const mllm_key *k = &f->g->shapes.keys[o->first_key + i];
        if (i == key || k->forbidden || k->needs || mllm_has_seen(f, i) || is_due(f, i)) continue;
        uint32_t v = member_bytes(f, i), at = found;
        if (v == NONE) continue;
        if (found < 8)
            found++;
        else if (v >= best[7])
            continue;
        else
            at = 7;
        for (; at > 0 && best[at - 1] > v; at--) best[at] = best[at - 1];
        best[at] = v;
    }
    /* Names of other keys: each a little longer than the one before, so that they differ. */
    uint32_t extra = o->extra_some ? plus(o->extra_bytes, 4) : NONE, n = 0;
    for (uint32_t i = 0; i < more && n != NONE; i++) {
        uint32_t one = i < found && i < 8 ? best[i] : found == 8 ? best[7] * 4 : NONE;
        if (i >= 64) return plus(n, one < extra || extra == NONE ? NONE / 2 : extra * (more - i));
        n = plus(n, one < extra ? one : extra);
    }
    return n;
}

/* What closes the object after a value; `key` counts as read too (NONE: no further one; `extra`: one that is not declared). */
static uint32_t object_left(const mllm_frame *f, uint32_t key, bool extra) {
    const mllm_object_shape *o = mllm_object_of(f);
    const mllm_key *k = key == NONE ? NULL : &f->g->shapes.keys[o->first_key + key];
    uint32_t words = mllm_key_words(o), n = 1, members = f->count + (k || extra);
    for (uint32_t w = 0; w < words && n != NONE; w++)
        for (uint64_t open = f->seen[words + w] & ~f->seen[w]; open; open &= open - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(open);
            if (i == key) continue;
            n = plus(n, member_bytes(f, i));
            members++;
        }
    for (uint32_t j = 0; k && j < k->needs; j++) {
        uint32_t i = f->g->shapes.indices[k->first_need + j];
        if (i == key || mllm_has_seen(f, i) || is_due(f, i)) continue;
        n = plus(n, member_bytes(f, i));
        members++;
    }
    return members < o->min ? plus(n, optional_bytes(f, key, o->min - members)) : n;
}

/* Several objects that are read as one: one of them. */
typedef union {
    mllm_frame f;
    char room[sizeof(mllm_frame) + 2 * MLLM_VARIANT_WORDS * sizeof(uint64_t)];
} variant;

static const mllm_frame *variant_of(const mllm_frame *f, uint32_t i, variant *v) {
    const mllm_object_shape *o = mllm_object_of(f);
    if (!o->variants) return f;
    memcpy(v->room, f, sizeof *f + 2 * mllm_key_words(o) * sizeof f->seen[0]);
    v->f.id = f->g->shapes.indices[o->first_variant + i];
    return &v->f;
}

static uint32_t variants(const mllm_frame *f) {
    const mllm_object_shape *o = mllm_object_of(f);
    return o->variants ? o->variants : 1;
}

/* What the words in the span of the value that tells which object it is leave to read, and what closes that object. */
static uint32_t telling_left(const mllm_frame *f, uint32_t from, uint32_t to, uint32_t depth) {
    const mllm_word *words = f->g->shapes.words;
    uint32_t best = NONE;
    variant v;
    for (uint32_t i = from; i < to; i++) {
        uint32_t n = plus(words[i].length - depth, object_left(variant_of(f, words[i].tag, &v), NONE, false));
        if (n < best) best = n;
    }
    return best;
}

uint32_t mllm_json_frame_left(const mllm_frame *f) {
    variant copy;
    if (f->kind == FRAME_OBJECT) {
        uint32_t best = NONE;
        for (uint32_t i = 0; i < variants(f); i++) {
            uint32_t v = object_left(variant_of(f, i, &copy), NONE, false);
            if (v < best) best = v;
        }
        return best;
    }
    const mllm_shapes *s = &f->g->shapes;
    const mllm_array_shape *a = &s->arrays[s->flats[f->id].array];
    uint32_t n = 1;
    for (uint32_t i = f->index; i < a->min && n != NONE; i++) {
        uint32_t one = s->shapes[i < a->prefix ? s->indices[a->first_prefix + i] : a->rest].min_bytes;
        if (i >= a->prefix && one != NONE) {
            uint64_t all = (uint64_t)(one + 1) * (a->min - i);
            return all > NONE / 2 ? NONE : plus(n, (uint32_t)all);
        }
        n = plus(n, plus(one, 1));
    }
    return n;
}

/* The object from where a key must begin: `"name":value` and what then closes it. */
static uint32_t next_member(const mllm_frame *f) {
    const mllm_object_shape *o = mllm_object_of(f);
    uint32_t best = NONE, from = f->g->any_order ? 0 : f->index;
    for (uint32_t i = from; i < o->keys; i++) {
        if (!f->g->any_order && i > f->limit) break;
        if (!mllm_json_key_allowed(f, i)) continue;
        uint32_t v = plus(member_bytes(f, i), object_left(f, i, false));
        if (v < best) best = v;
        if (is_due(f, i)) break; /* it must come some time: another first is no shorter */
    }
    if (mllm_json_extra_allowed(f)) {
        uint32_t v = plus(plus(o->extra_bytes, 4), object_left(f, NONE, true));
        if (v < best) best = v;
    }
    return best == NONE ? NONE : best - 1; /* there is no comma before it */
}

/* The most that the value of an extra key needs, whichever patterns the key will match. */
static uint32_t extra_value(const mllm_frame *f) {
    const mllm_shapes *s = &f->g->shapes;
    const mllm_object_shape *o = mllm_object_of(f);
    uint32_t count = o->all_names ? 1 : o->extra_table ? 1u << o->patterns : 1 + o->patterns, most = 0;
    for (uint32_t i = o->extra_anywhere || o->all_names ? 0 : 1; i < count; i++) {
        uint32_t v = s->shapes[s->indices[o->first_extra + i]].min_bytes;
        if (v != NONE && v > most) most = v;
    }
    return most;
}

/* Fewest bytes that bring the lexer from inside a character to an accepted text, with what ends the character. It has read the bytes of the
 * character so far, but nothing of an escape. */
static uint32_t lexer_left(mllm_machine *m, const mllm_thread *t) {
    uint32_t best = NONE, inside = mllm_json_sub_left(t->sub);
    if (t->a == NONE) return inside;
    if (t->sub < SUB_ESCAPE) return mllm_lexer_bytes_left(m->lexers, t->a, true);
    for (uint32_t i = 0; i < 0x22; i++) {
        uint8_t c = i < 0x20 ? (uint8_t)i : i == 0x20 ? '"' : '\\';
        if (!mllm_json_escapes(t->sub, c)) continue;
        uint32_t next = mllm_lexer_next(m->lexers, t->a, c);
        if (next == NONE) continue;
        uint32_t v = mllm_lexer_bytes_left(m->lexers, next, true); /* \u00XX is longer than \n */
        v = plus(v, t->sub == SUB_ESCAPE ? mllm_json_width(c) - 1 : inside);
        if (v < best) best = v;
    }
    return best;
}

static uint32_t key_left(mllm_machine *m, const mllm_thread *t, bool whatever) {
    const mllm_shapes *s = &t->g->shapes;
    const mllm_frame *f = t->up;
    const mllm_object_shape *o = mllm_object_of(f);
    uint32_t best = NONE, inside = mllm_json_sub_left(t->sub);
    bool escaping = t->sub >= SUB_ESCAPE;
    for (uint32_t i = t->b; i < t->c && !whatever; i++) {
        const mllm_word *w = &s->words[i];
        if (escaping && (w->length <= t->d || !mllm_json_escapes(t->sub, (uint8_t)w->text[t->d]))) continue;
        if (!mllm_json_key_allowed(f, w->tag)) continue;
        uint32_t rest = 2 + (escaping ? inside : 0);
        for (uint32_t j = t->d + escaping; j < w->length; j++) rest += mllm_json_width((uint8_t)w->text[j]);
        uint32_t v = plus(s->shapes[s->keys[o->first_key + w->tag].shape].min_bytes, object_left(f, w->tag, false));
        v = plus(v, rest);
        if (v < best) best = v;
    }
    if (!mllm_json_extra_allowed(f)) return best;
    const mllm_lexer *l = o->lexer == NONE ? NULL : &s->lexers[o->lexer];
    bool any = !l || (l->any && o->extra_anywhere); /* names that no pattern matches are possible */
    uint32_t v = NONE, name = any && (t->a == NONE || !l || mllm_lexer_is_free(l, false)) ? inside : lexer_left(m, t);
    if (name == NONE && any) name = inside;
    if (o->name_min > t->chars && name < o->name_min - t->chars) name = o->name_min - t->chars;
    uint32_t shape = whatever || inside ? NONE : mllm_json_extra_shape(m, t, m->length);
    if (shape != NONE)
        v = s->shapes[shape].min_bytes;
    else
        v = plus(name, plus(extra_value(f), 2)); /* and some room, as this very name may be there already */
    v = plus(plus(v, 2), object_left(f, NONE, true));
    return v < best ? v : best;
}

uint32_t mllm_json_leaf_left(mllm_machine *m, const mllm_thread *t, bool whatever, const mllm_frame **up) {
    const mllm_shapes *s = &t->g->shapes;
    uint32_t v = NONE;
    *up = t->up;
    uint32_t shape = t->kind == THREAD_VALUE ? t->a : t->kind == THREAD_OBJECT && t->a == PHASE_COLON ? t->c : NONE;
    if (t->kind == THREAD_WORD ? t->sub : shape != NONE && mllm_json_is_telling(t->g, t->up, shape)) {
        const mllm_flat *f = shape == NONE ? NULL : &s->flats[s->shapes[shape].first_flat];
        *up = t->up->up;
        v = f ? telling_left(t->up, f->first_word, f->first_word + f->words, 0) : telling_left(t->up, t->b, t->c, t->d);
        return plus(v, t->kind == THREAD_OBJECT);
    }
    variant one;
    switch ((mllm_thread_kind)t->kind) {
    case THREAD_VALUE: return s->shapes[t->a].min_bytes;
    case THREAD_WORD:
        for (uint32_t i = t->b; i < t->c; i++)
            if (s->words[i].length - t->d < v) v = s->words[i].length - t->d;
        return v;
    case THREAD_STRING: {
        const mllm_flat *f = &s->flats[t->d];
        uint32_t more = f->min_length > t->b ? f->min_length - t->b : 0, need = lexer_left(m, t), characters = 0;
        if (t->sub != SUB_NONE && more > 0) more--; /* the one that has begun */
        if (t->a != NONE && more) characters = mllm_lexer_distance(m->lexers, t->a);
        if (characters < more) need = plus(need, more - characters);
        return plus(need, 1);
    }
    case THREAD_NUMBER:
        return mllm_number_shortest(&t->g->schema, s->indices, &s->numbers[s->flats[t->d].number], m->text + t->e,
                                    m->length - t->e);
    case THREAD_KEY:
        *up = t->up->up;
        for (uint32_t i = 0; i < variants(t->up); i++) {
            mllm_thread n = *t;
            n.up = variant_of(t->up, i, &one);
            uint32_t left = key_left(m, &n, whatever);
            if (left < v) v = left;
        }
        return v;
    case THREAD_OBJECT:
        if (t->a == PHASE_COLON) return plus(1, s->shapes[t->c].min_bytes);
        if (t->a == PHASE_AFTER) return 0;
        *up = t->up->up;
        if (t->a == PHASE_OPEN && mllm_json_closable(t->up)) return 1;
        for (uint32_t i = 0; i < variants(t->up); i++) {
            uint32_t left = next_member(variant_of(t->up, i, &one));
            if (left < v) v = left;
        }
        return v;
    default: return 0;
    }
}
