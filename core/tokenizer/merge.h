/* merge.h - one text being tokenized: the merging of a word's symbols, and the memory for it. */
#ifndef MLLM_TOKENIZER_MERGE_H
#define MLLM_TOKENIZER_MERGE_H

#include "vocab.h"

/* A possible merge. Smaller keys first: strength in the upper half, place in the lower, so that the leftmost of equals wins. */
typedef struct {
    uint64_t key;
    uint32_t size; /* bytes of both symbols: a different number now means that this entry is stale */
    uint32_t id; /* what they become */
} mllm_merge_step;

typedef struct {
    uint64_t hash;
    uint32_t at, length; /* the word, in the text of this call */
    uint32_t first, count; /* its ids */
} mllm_word_slot;

typedef struct {
    const mllm_vocab *vocab;
    bool failed; /* out of memory */

    mllm_token *ids; /* the result */
    size_t count, capacity;

    /* Symbols of the current word, by the byte they begin at. */
    uint32_t *size, *before;
    mllm_token *id;
    size_t symbols;
    mllm_merge_step *heap;
    size_t heap_count, heap_capacity;

    mllm_word_slot *words; /* words of this call that were merged already */
    uint32_t word_mask;
} mllm_merging;

enum { MLLM_NO_SYMBOL = -2 }; /* id of a symbol that is no token */

/* `length`: bytes of the whole text, to choose the size of the word table. */
void mllm_merging_init(mllm_merging *m, const mllm_vocab *vocab, size_t length);
void mllm_merging_free(mllm_merging *m); /* the ids too */
void mllm_merging_push(mllm_merging *m, mllm_token id);
/* Appends the ids of base[at .. at + length), a word that no merge crosses. `base` is the same for all calls. */
void mllm_merging_word(mllm_merging *m, const char *base, size_t at, size_t length);

#endif
