/* shape_flat.h - shared by the parts of the builder of shapes: shape.c decides what is to be chosen, shape_flat.c, shape_literal.c and
 * shape_object.c say what is left about each type of value, shape_merge.c and hint.c come when all is there. */
#ifndef MLLM_GRAMMAR_SHAPE_FLAT_H
#define MLLM_GRAMMAR_SHAPE_FLAT_H

#include "shape.h"

typedef struct {
    mllm_shapes *t;
    mllm_schema *s;
    uint32_t *buckets, bucket_count; /* of shapes, by their items */
    bool *noted; /* [nodes] already in the report */
    uint32_t *owner; /* [nodes] of a key of dependentSchemas: the schema around it */
    bool failed, too_large;
} mllm_build;

/* One decided way: the items that a value has to satisfy. */
typedef struct {
    mllm_build *b;
    const mllm_item *items;
    uint32_t count;
    bool simple; /* nothing had to be chosen: what is not evaluated is known */
} mllm_source;

/* A loop over the schemas that must hold: items[i], its keywords in `k`. */
#define SCHEMAS(src, i, k)                                                                                             \
    for (uint32_t i = 0; i < (src)->count; i++)                                                                        \
        if (ITEM_KIND((src)->items[i]) == ITEM_HOLDS &&                                                                \
            (mllm_schema_keywords((src)->b->s, ITEM_NODE((src)->items[i]), &(k)), true))

bool mllm_build_reserve(mllm_build *b, void *array, uint32_t need, uint32_t *capacity, size_t size);
/* The shape that means all of items[count] (which are reordered); made later if it is new. */
uint32_t mllm_build_shape(mllm_build *b, mllm_item *items, uint32_t count);
uint32_t mllm_build_index(mllm_build *b, uint32_t value);
/* Adds the flats of one decided way. `simple`: nothing had to be chosen on the way. */
void mllm_build_flats(mllm_build *b, const mllm_item *items, uint32_t count, unsigned types, const mllm_item *checks,
                      uint32_t check_count, bool simple);
/* A flat without types; its place is the flat_count before. NULL: no memory. */
mllm_flat *mllm_build_new_flat(mllm_build *b, const mllm_item *checks, uint32_t count);
/* The number at `node` of the schema as a count; NONE: it is none, or as large. */
uint32_t mllm_build_count(const mllm_schema *s, uint32_t node);

/* Literals (shape_literal.c). */

/* Flats of the `count` values from node `first` on that satisfy all items and checks. */
void mllm_build_literals(const mllm_source *src, uint32_t first, uint32_t count, const mllm_item *checks,
                         uint32_t check_count);
/* The shape of what equals the value at `node`. */
uint32_t mllm_build_const(mllm_build *b, uint32_t node);
/* Adds a word; the text is not owned. */
void mllm_build_word(mllm_build *b, const char *text, uint32_t length, uint32_t tag);
/* Sorts the words from `first` on; `unique`: keeps one of those that are the same. */
void mllm_build_sort_words(mllm_build *b, uint32_t first, bool unique);

/* Objects (shape_object.c). */

/* What the items say of objects, into t->flats[flat]. */
void mllm_build_object(const mllm_source *src, uint32_t flat);
/* t->flats[flat] becomes an object that must equal the one at `node`. */
void mllm_build_const_object(mllm_build *b, uint32_t flat, uint32_t node);
/* Least bytes of keys that are not declared, once all patterns are there. */
void mllm_build_name_bytes(mllm_build *b);

/* Makes one flat of those that are told apart by a word (shape_merge.c). */
void mllm_build_merge(mllm_build *b);
/* Least lengths of strings and names that patterns ask for; a pattern that nothing matches takes strings away from its flat. */
void mllm_build_lengths(mllm_build *b);

/* The words that checks name, once all flats are there. */
void mllm_build_hints(mllm_build *b);

#endif
