/* lexer.h - automata made deterministic while they are used. A lexicon is the immutable list of a grammar's lexers; the tables of the states
 * seen so far belong to whoever runs it (one thread at a time). */
#ifndef MLLM_GRAMMAR_LEXER_H
#define MLLM_GRAMMAR_LEXER_H

#include "nfa.h"

enum { MLLM_LEXER_PARTS = 32 };

/* Several automata that read the same bytes. */
typedef struct {
    const mllm_nfa *parts[MLLM_LEXER_PARTS];
    uint8_t count;
    bool any; /* alive while one part is (accepting says which); otherwise all parts must be, and accept together */
    /* `any`: bit c: texts are accepted that combination c of the parts accepts: bit i of c is part i, when there are at most 6. Otherwise bit
     * 1 + i: part i alone. Bit 0: none of them, in both cases. */
    uint64_t allowed;
    uint8_t classes[256]; /* bytes that no part tells apart */
    uint16_t class_count;
    uint8_t byte_of[256]; /* one byte of each class, the one that JSON writes shortest */
} mllm_lexer;

/* Every combination of the parts of an `any` lexer is allowed: that of none of them too, or (`some`) maybe except that. */
static inline bool mllm_lexer_is_free(const mllm_lexer *l, bool some) {
    if (!l->any || l->count > 6) return false;
    uint64_t all = ~(uint64_t)0 >> (64 - (1u << l->count));
    return ((l->allowed | some) & all) == all;
}
/* Texts that all parts have given up on are allowed. */
static inline bool mllm_lexer_goes_beyond(const mllm_lexer *l) {
    return l->any && (l->allowed & 1) != 0;
}
void mllm_lexer_init(mllm_lexer *lexer, const mllm_nfa *const *parts, size_t count, bool any);

enum {
    LEXER_ACCEPT = 1, /* the bytes so far are accepted (`any`: by an allowed combination of parts) */
    LEXER_TOTAL = 2, /* whatever UTF-8 follows, it stays alive */
    LEXER_UNIVERSAL = 4, /* whatever UTF-8 follows is accepted */
    LEXER_LOOP_KNOWN = 8,
    LEXER_LOOP = 16 /* every character that JSON writes plainly leads back to this very state */
};

enum { LEXER_UNKNOWN = 0xFFFFFFFE, LEXER_KNOWN_SETS = 256, LEXER_KNOWN_STATES = 6 };

typedef struct {
    const mllm_lexer *lexer;
    uint32_t set, set_length; /* in the pool: for each part a count and that many states */
    uint32_t row;
    uint32_t accepting; /* bit per part */
    uint32_t distance; /* fewest characters to an accepting state; LEXER_UNKNOWN, NONE: there is none */
    uint32_t bytes_left; /* the same in bytes */
    uint32_t next_hash, epoch;
    uint8_t flags;
} mllm_lexer_state;

typedef struct {
    mllm_lexer_state *states;
    uint32_t count, capacity;
    uint32_t *pool, pool_count, pool_capacity;
    uint32_t *rows, row_count, row_capacity;
    uint32_t *buckets, bucket_count;
    mllm_nfa_set set, scratch;
    uint32_t *stack, *tuple;
    uint32_t epoch;
    uint32_t largest; /* states of the largest automaton that the scratch memory is made for */
    struct {
        const mllm_lexer *lexer;
        uint32_t state;
    } starts[64]; /* of lexers, by their address */
    /* Which state it is that begins with these states of the parts: many bytes lead to the same ones, and closing a set is dear. */
    struct {
        const mllm_lexer *lexer;
        uint32_t from[LEXER_KNOWN_STATES], count, state;
    } known[LEXER_KNOWN_SETS];
    mllm_code failed; /* MLLM_OK, MLLM_E_MEMORY, MLLM_E_LIMIT; sticks until cleared */
} mllm_lexers;

enum { MLLM_LEXER_MAX_STATES = 30000, MLLM_LEXER_MAX_POOL = 4 << 20 };

void mllm_lexers_free(mllm_lexers *t);
/* State before the first byte; NONE when nothing can be accepted or on a failure (t->failed). */
uint32_t mllm_lexer_start(mllm_lexers *t, const mllm_lexer *lexer);
uint32_t mllm_lexer_step(mllm_lexers *t, uint32_t state, uint8_t byte);
/* Fewest characters from `state` to an accepted text; NONE: there is no way. On large automata only a lower bound. */
uint32_t mllm_lexer_distance(mllm_lexers *t, uint32_t state);
/* The same in bytes; `json`: as a JSON string has them, with its escapes (the same for all states of one lexer). */
uint32_t mllm_lexer_bytes_left(mllm_lexers *t, uint32_t state, bool json);
/* The fewest bytes of JSON strings for every combination of parts that accept: out[bits], or with `single` out[1 + part] for texts of that
 * part alone and out[0] for none; NONE where there is no such text, or it was not found in time. */
void mllm_lexer_combinations(mllm_lexers *t, uint32_t state, uint32_t *out, uint32_t count, bool single);
bool mllm_lexer_is_loop(mllm_lexers *t, uint32_t state);
size_t mllm_lexers_bytes(const mllm_lexers *t);
/* Bytes that a character takes in a JSON string, told from the first of its own. */
static inline uint32_t mllm_json_width(uint8_t byte) {
    return byte == '"' || byte == '\\' || byte == '\b' || byte == '\t' || byte == '\n' || byte == '\f' || byte == '\r'
               ? 2
           : byte < 0x20 ? 6
                         : 1;
}

/* The state after `byte`; NONE: dead. */
static inline uint32_t mllm_lexer_next(mllm_lexers *t, uint32_t state, uint8_t byte) {
    const mllm_lexer_state *s = &t->states[state];
    uint32_t next = t->rows[s->row + s->lexer->classes[byte]];
    return next != LEXER_UNKNOWN ? next : mllm_lexer_step(t, state, byte);
}

#endif
