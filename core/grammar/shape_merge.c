/* shape_merge.c - objects that are told apart by one word, as the calls of an anyOf over tools are by their name, are read as one until that
 * word has come: a thread for all of them instead of one for each. */
#include <stdlib.h>
#include <string.h>

#include "shape_flat.h"

enum { MOST_KEYS = MLLM_VARIANT_WORDS * 64 };

static const mllm_object_shape *object_of(const mllm_shapes *t, uint32_t flat) {
    return &t->objects[t->flats[flat].object];
}

/* An object and nothing else, all of it said by its shape. */
static bool is_plain_object(const mllm_shapes *t, uint32_t flat) {
    const mllm_flat *f = &t->flats[flat];
    if (f->types != TYPE_OBJECT || f->words || f->checks) return false;
    const mllm_object_shape *o = &t->objects[f->object];
    if (o->keys == 0 || o->keys > MOST_KEYS || o->lexer != NONE || o->names || o->all_names || o->patterns)
        return false;
    for (uint32_t i = 0; i < o->keys; i++)
        if (t->keys[o->first_key + i].needs) return false;
    return true;
}

/* Two such objects differ in nothing but the values of their keys. */
static bool alike(const mllm_shapes *t, const mllm_object_shape *a, const mllm_object_shape *b) {
    if (a->keys != b->keys || a->required != b->required || a->min != b->min || a->max != b->max ||
        a->extra_anywhere != b->extra_anywhere || a->extra_some != b->extra_some || a->extra_bytes != b->extra_bytes)
        return false;
    if (a->extra_some && t->indices[a->first_extra] != t->indices[b->first_extra]) return false;
    for (uint32_t i = 0; i < a->keys; i++) {
        const mllm_key *p = &t->keys[a->first_key + i], *q = &t->keys[b->first_key + i];
        const mllm_word *x = &t->words[a->first_word + i], *y = &t->words[b->first_word + i];
        if (p->required != q->required || p->forbidden != q->forbidden || x->tag != y->tag || x->length != y->length ||
            memcmp(x->text, y->text, x->length) != 0)
            return false;
    }
    return true;
}

static bool only_words(const mllm_shapes *t, uint32_t shape) {
    const mllm_shape *s = &t->shapes[shape];
    for (uint32_t i = 0; i < s->flats; i++) {
        const mllm_flat *f = &t->flats[s->first_flat + i];
        if (f->types || !f->words || f->checks) return false;
    }
    return s->flats > 0;
}

/* The first key that must come and has nothing but words as its value, in all of the flats; NONE: there is none. */
static uint32_t telling_key(const mllm_shapes *t, const uint32_t *flats, uint32_t count) {
    const mllm_object_shape *first = object_of(t, flats[0]);
    for (uint32_t k = 0; k < first->keys; k++) {
        bool tells = t->keys[first->first_key + k].required && !t->keys[first->first_key + k].forbidden;
        for (uint32_t i = 0; i < count && tells; i++)
            tells = only_words(t, t->keys[object_of(t, flats[i])->first_key + k].shape);
        if (tells) return k;
    }
    return NONE;
}

static int compare_words(const void *a, const void *b) {
    const mllm_word *x = a, *y = b;
    int r = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    if (r || x->length != y->length) return r ? r : x->length < y->length ? -1 : 1;
    return x->tag < y->tag ? -1 : x->tag > y->tag;
}

/* A shape of all the words of that key; their tags say whose they are. */
static uint32_t words_shape(mllm_build *b, const uint32_t *flats, uint32_t count, uint32_t key) {
    mllm_shapes *t = b->t;
    uint32_t first = t->word_count, least = NONE, n;
    for (uint32_t i = 0; i < count; i++) {
        const mllm_shape *s = &t->shapes[t->keys[object_of(t, flats[i])->first_key + key].shape];
        for (uint32_t j = 0; j < s->flats; j++) {
            const mllm_flat *f = &t->flats[s->first_flat + j];
            if (!mllm_build_reserve(b, &t->words, t->word_count + f->words, &t->word_capacity, sizeof *t->words))
                return 0;
            for (uint32_t w = 0; w < f->words; w++) {
                mllm_word word = t->words[f->first_word + w];
                word.tag = i;
                if (word.length < least) least = word.length;
                t->words[t->word_count++] = word;
            }
        }
    }
    qsort(t->words + first, t->word_count - first, sizeof *t->words, compare_words);
    n = first;
    for (uint32_t i = first; i < t->word_count; i++)
        if (n == first || compare_words(&t->words[n - 1], &t->words[i]) != 0) t->words[n++] = t->words[i];
    t->word_count = n;
    if (!mllm_build_reserve(b, &t->flats, t->flat_count + 1, &t->flat_capacity, sizeof *t->flats) ||
        !mllm_build_reserve(b, &t->shapes, t->shape_count + 1, &t->shape_capacity, sizeof *t->shapes))
        return 0;
    t->shapes[t->shape_count] =
        (mllm_shape){.first_flat = t->flat_count, .flats = 1, .min_bytes = least, .next_hash = NONE};
    t->flats[t->flat_count++] = (mllm_flat){.first_word = first,
                                            .words = n - first,
                                            .lexer = NONE,
                                            .max_length = NONE,
                                            .first_check = t->item_count,
                                            .min_bytes = least};
    return t->shape_count++;
}

/* One flat for all of flats[count], which are copied to the end of the list. */
static void merge(mllm_build *b, const uint32_t *flats, uint32_t count, uint32_t key, mllm_flat *out) {
    mllm_shapes *t = b->t;
    uint32_t words = words_shape(b, flats, count, key), least = NONE;
    mllm_object_shape o = *object_of(t, flats[0]);
    if (b->failed || !mllm_build_reserve(b, &t->flats, t->flat_count + count, &t->flat_capacity, sizeof *t->flats) ||
        !mllm_build_reserve(b, &t->keys, t->key_count + o.keys, &t->key_capacity, sizeof *t->keys) ||
        !mllm_build_reserve(b, &t->objects, t->object_count + 1, &t->object_capacity, sizeof *t->objects))
        return;
    memcpy(t->keys + t->key_count, t->keys + o.first_key, o.keys * sizeof *t->keys);
    o.first_key = t->key_count;
    t->key_count += o.keys;
    t->keys[o.first_key + key].shape = words;
    o.telling = key;
    o.variants = count;
    o.first_variant = t->index_count;
    for (uint32_t i = 0; i < count; i++) {
        mllm_flat f = t->flats[flats[i]];
        if (f.min_bytes < least) least = f.min_bytes;
        mllm_build_index(b, t->flat_count);
        t->flats[t->flat_count++] = f;
    }
    *out = t->flats[flats[0]];
    out->object = t->object_count;
    out->min_bytes = least;
    t->objects[t->object_count++] = o;
}

static void merge_shape(mllm_build *b, uint32_t shape) {
    mllm_shapes *t = b->t;
    uint32_t group[MLLM_MAX_FLATS], left = 0;
    bool taken[MLLM_MAX_FLATS] = {false};
    uint32_t first = t->shapes[shape].first_flat, n = t->shapes[shape].flats;
    if (n < 2 || n > MLLM_MAX_FLATS) return;
    for (uint32_t i = 0; i < n && !b->failed; i++) {
        uint32_t count = 0, key = NONE;
        if (taken[i]) continue;
        mllm_flat f = t->flats[first + i];
        if (is_plain_object(t, first + i))
            for (uint32_t j = i; j < n; j++)
                if (!taken[j] && is_plain_object(t, first + j) &&
                    alike(t, object_of(t, first + i), object_of(t, first + j)))
                    group[count++] = first + j;
        if (count > 1) key = telling_key(t, group, count);
        if (key != NONE) {
            merge(b, group, count, key, &f);
            for (uint32_t k = 0; k < count; k++) taken[group[k] - first] = true;
        }
        t->flats[first + left++] = f; /* left <= i: those that are still to come stay as they are */
    }
    t->shapes[shape].flats = left;
}

void mllm_build_merge(mllm_build *b) {
    uint32_t n = b->t->shape_count;
    for (uint32_t i = 0; i < n && !b->failed; i++) merge_shape(b, i);
}
