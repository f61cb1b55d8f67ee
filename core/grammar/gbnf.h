/* gbnf.h - GBNF as expressions. */
#ifndef MLLM_GRAMMAR_GBNF_H
#define MLLM_GRAMMAR_GBNF_H

#include "nfa.h"

typedef struct {
    uint32_t at, length; /* its name in the text */
    uint32_t hash, next_hash;
    uint32_t expr;
} mllm_gbnf_rule;

typedef struct {
    mllm_exprs x;
    mllm_gbnf_rule *rules;
    uint32_t rule_count, rule_capacity;
    uint32_t *buckets, bucket_count;
    uint32_t root;
} mllm_gbnf;

/* Message: "grammar, line 3, column 7: ...". `extended`: the words after '@' count. Every rule that is named exists afterwards. */
mllm_code mllm_gbnf_parse(mllm_gbnf *g, const char *text, size_t length, size_t imports, bool extended,
                          mllm_error *err);
void mllm_gbnf_free(mllm_gbnf *g);
void mllm_gbnf_place(const char *text, size_t at, unsigned *line, unsigned *column);

#endif
