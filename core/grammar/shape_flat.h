/* shape_flat.h - shared by the two halves of the builder of shapes. */
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

bool mllm_build_reserve(mllm_build *b, void *array, uint32_t need, uint32_t *capacity, size_t size);
/* The shape that means all of items[count] (which are reordered); made later if it is new. */
uint32_t mllm_build_shape(mllm_build *b, mllm_item *items, uint32_t count);
uint32_t mllm_build_index(mllm_build *b, uint32_t value);
/* Adds the flats of one decided way. `simple`: nothing had to be chosen on the way. */
void mllm_build_flats(mllm_build *b, const mllm_item *items, uint32_t count, unsigned types, const mllm_item *checks,
                      uint32_t check_count, bool simple);
/* Makes one flat of those that are told apart by a word (shape_merge.c). */
void mllm_build_merge(mllm_build *b);
/* Least lengths that patterns ask for; a pattern that nothing matches takes strings away from its flat. */
void mllm_build_lengths(mllm_build *b);

/* The words that checks name, once all flats are there. */
void mllm_build_hints(mllm_build *b);

#endif
