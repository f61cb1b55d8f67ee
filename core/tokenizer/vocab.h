/* vocab.h - what a vocabulary is inside: flat arrays and open-addressed tables, immutable after mllm_vocab_new. */
#ifndef MLLM_TOKENIZER_VOCAB_H
#define MLLM_TOKENIZER_VOCAB_H

#include <stdatomic.h>
#include <string.h>

#include "vocab_source.h"

/* Bits of mllm_vocab.kind beside the mllm_token_kind. */
enum { MLLM_KIND_MASK = 7, MLLM_KIND_END = 8 };

/* A slot of the spelling table: id + 1 (0: empty) and the upper half of the hash, so that most misses touch nothing else. */
typedef struct {
    uint32_t id1, tag;
} mllm_vocab_slot;

typedef struct {
    uint32_t left, right, result;
} mllm_merge;

struct mllm_vocab {
    atomic_uint references;
    mllm_vocab_family family;
    mllm_pretokenizer pre;
    bool nfc, ignore_merges, space_prefix, prefix_each, collapse_spaces, add_bos, add_eos;
    bool by_score; /* merges are found by the score of the joined spelling, not by a list */
    bool
        words_separate; /* SPM: no piece goes on behind a word into the next space, so that words can be taken one by one */
    bool has_bytes; /* SPM: all 256 byte tokens are there */
    mllm_token bos, eos, unknown;
    uint32_t count;
    uint32_t longest_spelling, longest_text; /* bytes */

    char *spellings; /* as in the file, one behind the other */
    uint32_t *spelling_at; /* [count + 1] */
    char *texts; /* what a token stands for in running text */
    uint32_t *text_at; /* [count + 1] */
    uint8_t *kind; /* [count] mllm_token_kind and bits */
    uint8_t *added; /* [count] MLLM_ADDED_*, or NULL */
    float *scores; /* [count], or NULL */
    mllm_token byte_token[256]; /* -1: none */

    mllm_vocab_slot *table; /* spelling -> id */
    uint32_t table_mask;

    mllm_merge *merges; /* [merge_count], the earlier the stronger */
    uint32_t merge_count;
    uint32_t *merge_table; /* (left, right) -> index + 1 */
    uint32_t merge_mask;

    /* Tokens that are looked for in the text itself, sorted by what they match. `match_parent` is the longest other entry that
     * is a proper prefix (itself + 1; 0: none): the entries that begin the text are the chain from its predecessor. */
    uint32_t match_count;
    uint32_t *match_id;
    uint32_t *match_parent;
    char *match_bytes;
    uint32_t *match_at; /* [match_count + 1] */
    uint8_t match_first[256]; /* 1: a user token begins so, 2: a control or the unknown token */
};

static inline const char *mllm_vocab_spelling(const mllm_vocab *v, uint32_t id, uint32_t *length) {
    *length = v->spelling_at[id + 1] - v->spelling_at[id];
    return v->spellings + v->spelling_at[id];
}

static inline mllm_token_kind mllm_vocab_kind_of(const mllm_vocab *v, uint32_t id) {
    return (mllm_token_kind)(v->kind[id] & MLLM_KIND_MASK);
}

/* Spreads eight bytes at a time; the tail is read without touching what lies behind it. */
static inline uint64_t mllm_hash_bytes(const char *s, size_t n) {
    uint64_t h = 0x9E3779B97F4A7C15u ^ n, w;
    while (n >= 8) {
        memcpy(&w, s, 8);
        h = (h ^ w) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
        s += 8, n -= 8;
    }
    if (n) {
        w = 0;
        memcpy(&w, s, n);
        h = (h ^ w) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    h *= 0xD6E8FEB86659FD93u;
    return h ^ h >> 29;
}

static inline uint64_t mllm_hash_pair(uint32_t a, uint32_t b) {
    uint64_t h = ((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

/* Index of the merge of two adjacent tokens, -1 when there is none. */
static inline int64_t mllm_vocab_merge(const mllm_vocab *v, uint32_t left, uint32_t right) {
    for (uint64_t at = mllm_hash_pair(left, right);; at++) {
        uint32_t m = v->merge_table[at & v->merge_mask];
        if (m == 0) return -1;
        if (v->merges[m - 1].left == left && v->merges[m - 1].right == right) return m - 1;
    }
}

/* The longest token that begins text[length] and may be matched there (bits: 1 user tokens, 2 control tokens); -1: none. */
mllm_token mllm_vocab_match(const mllm_vocab *v, const char *text, size_t length, unsigned bits, size_t *matched);

/* The 256 characters that spell bytes in byte-level vocabularies: the byte of code point c (-1: none). */
int mllm_char_byte(uint32_t c);
/* Writes the UTF-8 of a byte's character to out[2]; returns 1 or 2. */
unsigned mllm_byte_spelling(unsigned byte, char *out);

/* Length of the UTF-8 character at s[0..n), 0 when there is none (RFC 3629). `c` may be NULL. */
unsigned mllm_utf8_char(const char *s, size_t n, uint32_t *c);

/* True for the spelling of a token that well-known chat formats end a turn or a text with. */
bool mllm_is_end_spelling(const char *s, size_t length);

#endif
