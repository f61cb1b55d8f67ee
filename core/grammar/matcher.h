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

/* A way to the end of the text, as long as its tokens are the ones that are taken. */
typedef struct {
    mllm_token *tokens; /* [at, count): those that are left */
    uint32_t at, count, capacity, bytes;
    bool looked, known; /* it was looked for at this place; and found */
} mllm_way;

enum {
    MLLM_MOST_REFUSED = 8, /* then only the known way is allowed */
    MLLM_WAY_BYTES = 4096, /* longest that is looked for */
    MLLM_WAY_NEAR = 1024 /* bytes of budget beyond the least: no token and no closing check needs so much */
};

struct mllm_matcher {
    mllm_grammar *grammar;
    mllm_token_trie *trie;
    mllm_family *family;
    mllm_arena arena;
    mllm_machine m;
    mllm_step *steps; /* [0] is the start */
    uint32_t count, capacity;
    bool uncertain; /* the grammar's shapes are, or those of one that it imports */
    mllm_way way;
    /* Tokens that mllm_matcher_accept_within did not take behind step `refused_at`, 0: none. */
    mllm_token refused[MLLM_MOST_REFUSED];
    uint32_t refused_count, refused_at;
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
/* The tokens of a way to the end, x->way: their number; NONE: none was found. */
uint32_t mllm_matcher_tokens_left(mllm_matcher *x);
/* `token` was taken: the way is shorter, or none is known any more. */
void mllm_matcher_follow(mllm_matcher *x, mllm_token token);
/* Nothing that is open will be checked as a whole, and the leaf can be ended. */
bool mllm_thread_is_certain(const mllm_thread *t);
/* Which bytes a thread may take next, roughly (never too few): so that most children of the root are not even tried. */
void mllm_machine_first_bytes(mllm_machine *m, const mllm_thread *t, bool *may);

#endif
