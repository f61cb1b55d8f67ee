/* shape.h - what a grammar knows of a JSON Schema: for every set of schemas that one value has to satisfy, the ways to write such a value.
 *
 * A shape is the meaning of a set of items (schemas that must hold, that must fail, ...), so that recursion and intersections stay
 * finite. Its flats are the alternatives that are left when every anyOf, oneOf, if and dependent schema has been decided. A flat
 * allows at least what the schemas allow; what it cannot say is in its checks, which the validator makes when the value closes. */
#ifndef MLLM_GRAMMAR_SHAPE_H
#define MLLM_GRAMMAR_SHAPE_H

#include "decimal.h"
#include "lexer.h"
#include "schema.h"

/* One thing a value must satisfy: kind in the upper half, a node of the schema document (or type bits) in the lower. */
typedef uint64_t mllm_item;
typedef enum {
    ITEM_HOLDS, /* the schema at node holds */
    ITEM_FAILS, /* the schema at node does not hold */
    ITEM_CONST, /* equals the value at node */
    ITEM_REQUIRE, /* an object that has the key (a string node) */
    ITEM_FORBID, /* no object, or one without the key */
    ITEM_MEMBER_FAILS, /* an object that has the key whose value does not satisfy the schema after it (node: the key) */
    ITEM_TYPES /* of these types */
} mllm_item_kind;
#define ITEM(kind, node) ((mllm_item)(kind) << 32 | (node))
#define ITEM_KIND(item) ((mllm_item_kind)((item) >> 32))
#define ITEM_NODE(item) ((uint32_t)(item))

/* A text of a sorted list: keys and literals are matched by narrowing a span of such a list. */
typedef struct {
    const char *text;
    uint32_t length;
    uint32_t tag; /* key: its index */
} mllm_word;

typedef struct {
    uint32_t name; /* the key's node in the schema */
    uint32_t shape;
    uint32_t first_need, needs; /* indices of keys that must be there too, with those that they need in turn */
    uint32_t bytes; /* of the name as JSON, with its quotes */
    bool required, forbidden;
} mllm_key;

typedef struct {
    uint32_t first_key, keys; /* in declared order */
    uint32_t first_word; /* the same keys, sorted by name; tags are indices relative to first_key */
    uint32_t lexer; /* of the patterns for other keys, NONE: none. Bit i of `accepting` is pattern i */
    uint32_t patterns;
    uint32_t
        first_extra; /* shape of another key's value by the patterns it matches: 2^patterns of them, or 1 + patterns */
    bool extra_table; /* 2^patterns */
    bool extra_anywhere; /* keys that match no pattern are possible */
    bool extra_some; /* keys beside the declared ones are possible */
    bool all_names; /* the lexer's patterns are conditions on every other key, not keys to shapes */
    uint32_t first_name, names; /* schemas (propertyNames) that other keys must satisfy */
    uint32_t name_min, name_max; /* characters of other keys, as far as propertyNames says it plainly */
    bool names_exact; /* propertyNames says nothing else: what is left to its check is sure to hold */
    uint32_t required; /* number of required keys */
    uint32_t first_bit; /* in `bits`: the required keys */
    uint32_t
        first_extra_bytes; /* least bytes of another key, by the patterns it matches, as first_extra; NONE: there is none */
    uint32_t extra_bytes; /* least of a further member with such a key: `,"key":value`; NONE: there is none */
    uint32_t min, max;
    /* Several objects that differ in their values only, as long as the value of the key `telling` has not come: indices of their flats.
     * The tags of that value's words are their numbers. */
    uint32_t telling, first_variant, variants;
} mllm_object_shape;

typedef struct {
    uint32_t first_prefix, prefix; /* shapes of the first items */
    uint32_t rest; /* shape of the others */
    uint32_t min, max;
    bool unique;
} mllm_array_shape;

typedef struct {
    mllm_decimal low, high;
    bool has_low, has_high, open_low, open_high, integer, fraction; /* fraction: no integer */
    bool plain; /* nothing asked but a number, or an integer */
    bool old_integer; /* draft 4: 1.0 is no integer */
    uint32_t first_multiple, multiples; /* nodes of multipleOf */
    int scale; /* all of the above are integers at 10^scale that fit int64 (low_scaled ...), -1: not so */
    int64_t low_scaled, high_scaled, step_scaled;
    uint32_t min_bytes; /* NONE: there is none */
} mllm_number_shape;

typedef struct {
    uint8_t types; /* string, array, object, and numbers; literals stand for all else */
    uint32_t first_word, words; /* literals as JSON text, sorted; true, false and null are among them */
    uint32_t min_length, max_length, lexer; /* string, in characters; lexer NONE: any */
    uint32_t string_bytes; /* fewest of a string, without its quotes */
    uint32_t number, array, object;
    uint32_t first_check, checks; /* items for the validator */
    uint32_t first_hint, hints; /* words that these name */
    uint32_t min_bytes; /* UINT32_MAX: nothing satisfies it */
} mllm_flat;

typedef struct {
    uint32_t first_item, items;
    uint32_t first_flat, flats;
    uint32_t min_bytes;
    uint32_t next_hash;
} mllm_shape;

typedef struct {
    mllm_shape *shapes;
    mllm_flat *flats;
    mllm_item *items;
    mllm_word *words;
    mllm_key *keys;
    mllm_object_shape *objects;
    mllm_array_shape *arrays;
    mllm_number_shape *numbers;
    mllm_lexer *lexers;
    uint32_t *indices; /* prefix shapes, extra shapes, their keys' bytes, needs, name schemas, multiples */
    uint64_t *bits;
    uint32_t bit_count, bit_capacity;
    uint32_t shape_count, shape_capacity, flat_count, flat_capacity, item_count, item_capacity, word_count,
        word_capacity;
    uint32_t key_count, key_capacity, object_count, object_capacity, array_count, array_capacity, number_count,
        number_capacity, lexer_count, lexer_capacity, index_count, index_capacity;
    char **texts; /* owned spellings of literals */
    uint32_t text_count, text_capacity;
    uint32_t root;
    bool
        uncertain; /* what completes a value is not certain before it is tried: checks, items that must differ, lengths of patterns */
} mllm_shapes;

enum {
    MLLM_MAX_SHAPES = 40000,
    MLLM_MAX_FLATS = 256,
    MLLM_VARIANT_WORDS = 1 /* 64 keys each, of objects that are read as one */
};

/* Numbers: may text[length] become a number of this kind, and is it one? `indices` are those of the shapes. */
bool mllm_number_viable(const mllm_schema *s, const uint32_t *indices, const mllm_number_shape *n, const char *text,
                        uint32_t length);
bool mllm_number_complete(const mllm_schema *s, const uint32_t *indices, const mllm_number_shape *n, const char *text,
                          uint32_t length);
/* Fewest bytes that complete text[length]; NONE: no number begins so; an estimate from above where looking for it takes too long. */
uint32_t mllm_number_shortest(const mllm_schema *s, const uint32_t *indices, const mllm_number_shape *n,
                              const char *text, uint32_t length);

/* Other keys may have to differ from those that are there: their patterns leave only so many. */
static inline bool mllm_keys_may_repeat(const mllm_shapes *t, const mllm_object_shape *o) {
    return o->extra_some && ((o->lexer != NONE && !mllm_lexer_is_free(&t->lexers[o->lexer], false)) || o->name_max < 8);
}

/* Makes the shapes of the whole schema; notes what is left to checks in its report. */
mllm_code mllm_shapes_build(mllm_shapes *t, mllm_schema *s, mllm_error *err);
void mllm_shapes_free(mllm_shapes *t);
size_t mllm_shapes_bytes(const mllm_shapes *t);
/* Narrows the span [*lo, *hi) of sorted words to those with `byte` at `depth`; false: none. */
bool mllm_words_step(const mllm_word *words, uint32_t *lo, uint32_t *hi, uint32_t depth, uint8_t byte);

#endif
