/* rules.h - grammars of rules, and what the makers of grammars share. */
#ifndef MLLM_GRAMMAR_RULES_H
#define MLLM_GRAMMAR_RULES_H

#include "machine.h"

/* A grammar with nothing in it, or NULL. */
mllm_grammar *mllm_grammar_blank(mllm_grammar_kind kind, mllm_error *err);

/* Frees what the last matcher left. */
void mllm_grammar_free_idle(mllm_grammar *g);

#endif
