/* trie.h - the vocabulary as a tree of bytes, in depth-first order. */
#ifndef MLLM_GRAMMAR_TRIE_H
#define MLLM_GRAMMAR_TRIE_H

#include <stdatomic.h>

#include "../mobilellm.h"

/* Node 0 is the root. A node's subtree is [i, end[i]). */
typedef struct {
    uint8_t *byte, *depth;
    uint32_t *end;
    int32_t *id; /* canonical token that ends here, -1: none */
    uint32_t count;
    uint32_t child[256]; /* of the root, 0: none */
} mllm_trie;

enum { MLLM_PLAIN_LENGTHS = 20 };

/* A token as a JSON string reads it that has just begun a character. */
typedef struct {
    mllm_token id;
    uint16_t chars; /* that it adds to the string, one that it only begins included */
    bool last; /* of those that end the string and go on alike */
} mllm_string_token;

struct mllm_token_trie {
    atomic_int refs;
    const mllm_vocab *vocab; /* NULL: made from byte strings */
    uint32_t size, words; /* tokens; 64-bit words of a mask */
    const char **bytes; /* [size], without a vocabulary */
    uint8_t *lengths; /* [size] 0: no text */
    mllm_token *ends;
    uint32_t end_count;
    mllm_trie all;
    mllm_trie rest; /* without the plain tokens */
    /* Plain tokens consist of whole characters that a JSON string holds without escapes (and not 0x7F): a bit set per length. */
    uint64_t *plain[MLLM_PLAIN_LENGTHS + 1]; /* of at most that many characters; the last: all */
    uint32_t longest_plain;
    /* The others that may stand inside a string: with escapes, or parts of characters. `content`: these and the plain ones. */
    mllm_string_token *inner;
    uint32_t inner_count, longest_inner;
    uint64_t *content;
    /* Those that end a string. */
    mllm_trie closing;
    mllm_trie
        tails; /* what they are from the quote on; its ids are places in `closers`, where those with the same tail follow */
    mllm_string_token *closers;
    uint32_t longest; /* bytes */
    size_t memory;
};

/* The bytes of a token that is text: lengths[id] of them. */
static inline const char *mllm_trie_text(const mllm_token_trie *t, mllm_token id) {
    size_t length;
    return t->bytes ? t->bytes[id] : mllm_vocab_bytes(t->vocab, id, &length);
}

#endif
