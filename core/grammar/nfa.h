/* nfa.h - regular expressions over UTF-8 as byte automata, for `pattern`, `format`, regex grammars and the regular parts of GBNF. */
#ifndef MLLM_GRAMMAR_NFA_H
#define MLLM_GRAMMAR_NFA_H

#include "../mobilellm.h"

#define NONE UINT32_MAX

/* ---------------------------------------------------------------- syntax tree */

typedef enum {
    EXPR_EMPTY,
    EXPR_SET, /* lo: first of `hi` ranges of code points */
    EXPR_BYTES, /* lo: offset, hi: length in the byte pool */
    EXPR_CAT, /* children */
    EXPR_ALT, /* children */
    EXPR_REPEAT, /* one child, lo..hi times; hi NONE: unbounded */
    EXPR_BEGIN, /* ^ */
    EXPR_END, /* $ */
    EXPR_RULE, /* lo: rule (GBNF) */
    EXPR_IMPORT, /* lo: number of the imported grammar */
    EXPR_UNTIL, /* lo, hi: bytes; text that ends with their first occurrence */
    EXPR_WITHOUT, /* lo, hi: bytes; text without them */
    EXPR_TOKEN, /* lo: token id */
    EXPR_CAPTURE /* one child; lo: name's offset, hi: name's length in the byte pool */
} mllm_expr_kind;

typedef struct {
    uint8_t kind;
    uint32_t first, next; /* first child, next sibling; NONE */
    uint32_t lo, hi;
    uint32_t at; /* offset in the source, for messages */
} mllm_expr;

typedef struct {
    uint32_t lo, hi;
} mllm_range; /* code points, inclusive */

typedef struct {
    mllm_expr *nodes;
    uint32_t count, capacity;
    mllm_range *ranges;
    uint32_t range_count, range_capacity;
    char *bytes;
    uint32_t byte_count, byte_capacity;
    bool failed; /* out of memory; sticks */
} mllm_exprs;

void mllm_exprs_free(mllm_exprs *x);
uint32_t mllm_expr_new(mllm_exprs *x, mllm_expr_kind kind, uint32_t at);
uint32_t mllm_expr_bytes(mllm_exprs *x, mllm_expr_kind kind, const char *bytes, size_t length, uint32_t at);
/* A list that grows at its end: EXPR_CAT or EXPR_ALT. */
void mllm_expr_append(mllm_exprs *x, uint32_t parent, uint32_t *last, uint32_t child);
void mllm_expr_add_range(mllm_exprs *x, uint32_t lo, uint32_t hi);
/* Makes the ranges from `first` on sorted and disjoint, complemented if asked for, and gives them to `set`. */
void mllm_expr_close_set(mllm_exprs *x, uint32_t set, uint32_t first, bool negate);

/* Parses an ECMA regular expression. Message: "regular expression, position 5: ...". */
mllm_code mllm_regex_parse(mllm_exprs *x, const char *pattern, size_t length, uint32_t *root, mllm_error *err);

/* ------------------------------------------------------------------ automaton */

typedef enum { NFA_SPLIT, NFA_RANGE, NFA_BEGIN, NFA_END, NFA_ACCEPT, NFA_DEAD } mllm_nfa_kind;

typedef struct {
    uint8_t kind, lo, hi;
    uint32_t out, out1; /* RANGE, BEGIN, END: out. SPLIT: both, NONE for none */
} mllm_nfa_state;

typedef struct {
    mllm_nfa_state *states;
    uint32_t count, capacity;
    uint32_t start;
    uint32_t any_before, any_after; /* heads of the loops around a search; NONE when anchored */
    bool markers; /* the text is read between a BEGIN and an END mark */
    bool shortest; /* nothing follows an accepted text */
    bool inverted; /* accepts the UTF-8 that the states reject (only through mllm_nfa_match and lexers) */
    bool nullable; /* accepts the empty text */
    uint32_t min_chars, max_chars; /* from a whole-pattern repeat of one class, folded out; 0 and NONE otherwise */
    bool failed, too_large;
} mllm_nfa;

enum { MLLM_NFA_MAX_STATES = 60000 };

void mllm_nfa_free(mllm_nfa *nfa);
/* Resolves EXPR_RULE while building; NULL where there are none. Returns the rule's expression. */
typedef uint32_t (*mllm_nfa_rule_fn)(void *ctx, uint32_t rule);
typedef enum {
    NFA_WHOLE, /* the whole text */
    NFA_SEARCH, /* somewhere in the text; a repeat of one class that is the whole pattern is folded into min_chars and max_chars */
    NFA_KEYS, /* the same, but only bounds above 256 are folded */
    NFA_UNFOLDED, /* somewhere in the text, all of it in the states */
    NFA_PLAIN /* the whole text; no ^ and $ */
} mllm_nfa_mode;
mllm_code mllm_nfa_build(mllm_nfa *nfa, const mllm_exprs *x, uint32_t root, mllm_nfa_mode mode, mllm_nfa_rule_fn rule,
                         void *ctx, mllm_error *err);
/* parse + build */
mllm_code mllm_nfa_regex(mllm_nfa *nfa, const char *pattern, size_t length, mllm_nfa_mode mode, mllm_error *err);
/* Does text[length] (UTF-8) match? -1: out of memory. */
int mllm_nfa_match(const mllm_nfa *nfa, const char *text, size_t length);

/* Sets of NFA states, for those who determinise. */
typedef struct {
    uint32_t *items, *stamp;
    uint32_t count, mark, size;
} mllm_nfa_set;
bool mllm_nfa_set_init(mllm_nfa_set *set, uint32_t states);
void mllm_nfa_set_free(mllm_nfa_set *set);
void mllm_nfa_set_clear(mllm_nfa_set *set);
/* Adds `state` and all it reaches without reading; only states that read or accept are kept. */
void mllm_nfa_add(const mllm_nfa *nfa, mllm_nfa_set *set, uint32_t *stack, uint32_t state);
void mllm_nfa_begin(const mllm_nfa *nfa, mllm_nfa_set *set, mllm_nfa_set *scratch, uint32_t *stack);
bool mllm_nfa_accepts(const mllm_nfa *nfa, const uint32_t *items, uint32_t count, mllm_nfa_set *scratch,
                      uint32_t *stack);

#endif
