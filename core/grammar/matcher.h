/* matcher.h - what a matcher consists of: matcher.c keeps its history, mask.c looks ahead. */
#ifndef MLLM_GRAMMAR_MATCHER_H
#define MLLM_GRAMMAR_MATCHER_H

#include "machine.h"
#include "trie.h"

enum { CACHED_MASKS = 8, PLAIN_MASKS = 48, MAX_DEPTH = 256, MAX_FORCED = 512, KEPT_BYTES = 1 << 20 };

/* A mask that was made before, by the threads it was made for. */
typedef struct {
    mllm_thread *key;
    uint64_t *serials; /* of the threads' frames */
    uint32_t count, capacity;
    uint64_t used; /* clock of the last use; 0: empty */
    uint64_t *mask;
} mllm_cached_mask;

/* The plain tokens, or `whole` all tokens, that lead a lexer from `state` to live states. */
typedef struct {
    uint32_t state;
    bool whole;
    uint32_t need; /* most characters that a token of these has, with those that the lexer still asks for after it */
    uint32_t more; /* those that it asks for after each of them; NONE: not the same after all */
    uint32_t bytes; /* most bytes that the lexer asks for after one of them; LEXER_UNKNOWN */
    uint64_t used; /* 0: empty */
    uint64_t *mask;
} mllm_plain_mask;

/* What a matcher and its forks share. The last matcher leaves it to its grammar for the next one. */
typedef struct {
    int refs;
    mllm_token_trie *trie; /* that the masks are for */
    mllm_plain_mask plain[PLAIN_MASKS];
    mllm_lexers lexers;
    uint64_t serial, clock;
    mllm_cached_mask cache[CACHED_MASKS];
} mllm_family;

typedef struct {
    uint32_t first, count; /* threads */
    uint32_t length; /* text */
    mllm_mark mark;
    bool finished;
} mllm_step;

struct mllm_matcher {
    mllm_grammar *grammar;
    mllm_token_trie *trie;
    mllm_family *family;
    mllm_arena arena;
    mllm_machine m;
    mllm_step *steps; /* [0] is the start */
    uint32_t count, capacity;
    bool uncertain; /* the grammar's shapes are, or those of one that it imports */
    /* Tokens that complete the text, as long as these are the ones that are taken: plan[plan_at, plan_count). */
    mllm_token *plan;
    uint32_t plan_at, plan_count, plan_capacity, plan_bytes;
    bool planned, plan_known; /* looked for since the last step; and found */
};

static inline mllm_step *mllm_last_step(const mllm_matcher *x) {
    return &x->steps[x->count - 1];
}
/* Takes the machine back to the end of step `count`. */
void mllm_matcher_go_back(mllm_matcher *x, uint32_t count);
/* The error that the machine ran into. */
mllm_code mllm_matcher_failure(mllm_matcher *x, mllm_error *err);
/* The set of threads [first, first + count) moved by `byte` to the end of the pool. False: nothing is left. */
bool mllm_machine_advance(mllm_machine *m, uint32_t first, uint32_t count, uint8_t byte);
/* Which bytes a thread may take next, roughly (never too few): so that most children of the root are not even tried. */
void mllm_machine_first_bytes(mllm_machine *m, const mllm_thread *t, bool *may);

#endif
