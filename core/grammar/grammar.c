/* grammar.c - making grammars that need no rules of their own: JSON Schema, regular expressions, choices. */
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "machine.h"
#include "rules.h"

mllm_grammar *mllm_grammar_blank(mllm_grammar_kind kind, mllm_error *err) {
    mllm_grammar *g = mllm_calloc(1, sizeof *g);
    if (!g) {
        mllm_fail_memory(err, sizeof *g, "grammar");
        return NULL;
    }
    atomic_init(&g->refs, 1);
    atomic_init(&g->idle, NULL);
    g->kind = (uint8_t)kind;
    return g;
}

mllm_grammar *mllm_grammar_retain(mllm_grammar *g) {
    if (g) atomic_fetch_add(&g->refs, 1);
    return g;
}

void mllm_grammar_release(mllm_grammar *g) {
    if (!g || atomic_fetch_sub(&g->refs, 1) > 1) return;
    mllm_grammar_free_idle(g);
    mllm_schema_free(&g->schema);
    mllm_shapes_free(&g->shapes);
    for (uint32_t i = 0; i < g->import_count; i++) mllm_grammar_release(g->imports[i]);
    for (uint32_t i = 0; i < g->name_count; i++) mllm_free(g->names[i]);
    for (uint32_t i = 0; i < g->nfa_count; i++) mllm_nfa_free(&g->nfas[i]);
    mllm_free(g->imports);
    mllm_free(g->names);
    mllm_free(g->nfas);
    mllm_free(g->lexers);
    mllm_free(g->states);
    mllm_free(g->edges);
    mllm_free(g->min_bytes);
    mllm_free(g);
}

const char *mllm_grammar_report(const mllm_grammar *g) {
    return g->kind == GRAMMAR_SCHEMA && g->schema.report.data ? g->schema.report.data : "";
}

size_t mllm_grammar_bytes(const mllm_grammar *g) {
    size_t n = sizeof *g + g->bytes;
    if (g->kind == GRAMMAR_SCHEMA) {
        n += g->schema.length * 2 + g->schema.doc.count * (sizeof(mllm_json_node) + 9) + mllm_shapes_bytes(&g->shapes);
        for (uint32_t i = 0; i < g->schema.nfa_count; i++) n += g->schema.nfas[i].capacity * sizeof(mllm_nfa_state);
    }
    n += g->state_count * (sizeof *g->states + 4) + g->edge_count * sizeof *g->edges +
         g->lexer_count * sizeof *g->lexers;
    for (uint32_t i = 0; i < g->nfa_count; i++) n += g->nfas[i].capacity * sizeof(mllm_nfa_state);
    return n;
}

uint32_t mllm_grammar_min_bytes(const mllm_grammar *g) {
    return g->kind == GRAMMAR_SCHEMA ? g->shapes.shapes[g->shapes.root].min_bytes : g->min_bytes[g->root];
}

mllm_grammar *mllm_grammar_json_schema(const char *text, size_t length, const mllm_schema_options *options,
                                       mllm_error *err) {
    mllm_grammar *g = mllm_grammar_blank(GRAMMAR_SCHEMA, err);
    if (!g) return NULL;
    if (options) {
        g->any_order = options->any_order;
        g->space = (uint8_t)options->space;
    }
    g->max_depth = options && options->max_depth ? options->max_depth : 64;
    mllm_code code = mllm_schema_read(&g->schema, text, length, options, err);
    if (code == MLLM_OK) code = mllm_shapes_build(&g->shapes, &g->schema, err);
    if (code == MLLM_OK) {
        mllm_buffer_put(&g->schema.report, "", 1); /* notes came after the first terminator */
        if (g->schema.report.failed) code = mllm_fail_memory(err, 0, "report");
    }
    if (code == MLLM_OK) return g;
    mllm_grammar_release(g);
    return NULL;
}

/* A grammar of one lexer. */
static mllm_grammar *one_lexer(mllm_nfa *nfa, mllm_error *err) {
    mllm_grammar *g = mllm_grammar_blank(GRAMMAR_RULES, err);
    const mllm_nfa *part;
    if (!g) {
        mllm_nfa_free(nfa);
        return NULL;
    }
    g->nfas = mllm_alloc_array(1, sizeof *g->nfas);
    g->lexers = mllm_alloc_array(1, sizeof *g->lexers);
    g->states = mllm_calloc(2, sizeof *g->states);
    g->edges = mllm_calloc(1, sizeof *g->edges);
    g->min_bytes = mllm_calloc(2, sizeof *g->min_bytes);
    if (!g->nfas || !g->lexers || !g->states || !g->edges || !g->min_bytes) {
        mllm_nfa_free(nfa);
        mllm_grammar_release(g);
        mllm_fail_memory(err, 1024, "grammar");
        return NULL;
    }
    g->nfas[0] = *nfa;
    g->nfa_count = g->lexer_count = g->edge_count = 1;
    g->state_count = 2;
    part = &g->nfas[0];
    mllm_lexer_init(&g->lexers[0], &part, 1, false);
    g->edges[0] = (mllm_edge){.kind = EDGE_LEX, .arg = 0, .next = 1};
    g->states[0] = (mllm_rule_state){.first = 0, .count = 1};
    g->states[1] = (mllm_rule_state){.first = 1, .accept = true};
    /* Is there anything to match, and how short? */
    mllm_lexers table = {0};
    uint32_t start = mllm_lexer_start(&table, &g->lexers[0]);
    g->min_bytes[0] = start == NONE ? NONE : mllm_lexer_bytes_left(&table, start, false);
    mllm_code failed = table.failed;
    mllm_lexers_free(&table);
    if (failed == MLLM_E_MEMORY)
        mllm_fail_memory(err, 0, "grammar");
    else if (g->min_bytes[0] == NONE && failed == MLLM_OK)
        failed = mllm_fail(err, MLLM_E_GRAMMAR, "regular expression: nothing matches it");
    else
        return g;
    mllm_grammar_release(g);
    return NULL;
}

mllm_grammar *mllm_grammar_regex(const char *pattern, size_t length, mllm_error *err) {
    mllm_nfa nfa;
    return mllm_nfa_regex(&nfa, pattern, length, NFA_WHOLE, err) == MLLM_OK ? one_lexer(&nfa, err) : NULL;
}

mllm_grammar *mllm_grammar_choice(const char *const *texts, const size_t *lengths, size_t count, mllm_error *err) {
    mllm_exprs x = {0};
    mllm_nfa nfa;
    if (count == 0) {
        mllm_fail(err, MLLM_E_GRAMMAR, "choice: nothing to choose from");
        return NULL;
    }
    uint32_t root = mllm_expr_new(&x, EXPR_ALT, 0), last = NONE;
    for (size_t i = 0; i < count; i++)
        mllm_expr_append(&x, root, &last, mllm_expr_bytes(&x, EXPR_BYTES, texts[i], lengths[i], 0));
    mllm_code code =
        x.failed ? mllm_fail_memory(err, 0, "choice") : mllm_nfa_build(&nfa, &x, root, NFA_PLAIN, NULL, NULL, err);
    mllm_exprs_free(&x);
    return code == MLLM_OK ? one_lexer(&nfa, err) : NULL;
}
