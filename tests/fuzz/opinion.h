/* opinion.h - what the fuzzers of regular expressions and of GBNF share: text out of pieces, and a grammar against the second opinion of
 * language.h. */
#ifndef MLLM_FUZZ_OPINION_H
#define MLLM_FUZZ_OPINION_H

#include "language.h"
#include "walk.h"

enum { OPINION_WORK = 400000000 }; /* blocks that compiling a text may take */

/* Up to `most` pieces, one in `odd` of them any byte instead; sometimes the first comes again and again. `space`: now and then one behind. */
static void pieces_put(fuzz_source *s, fuzz_text *t, const char *const *pieces, uint32_t count, uint32_t most,
                       uint32_t odd, bool space) {
    uint32_t repeat = fuzz_one_in(s, 16) ? 1 + fuzz_below(s, 2000) : 1;
    for (uint32_t k = 1 + fuzz_below(s, most); k--;) {
        if (fuzz_one_in(s, odd)) {
            char c = (char)fuzz_below(s, 256);
            fuzz_put(t, &c, 1);
            continue;
        }
        const char *p = pieces[fuzz_below(s, count)];
        for (uint32_t i = 0; i < repeat; i++) fuzz_put(t, p, strlen(p));
        if (space && fuzz_one_in(s, 2)) fuzz_put(t, " ", 1);
        repeat = 1;
    }
}

/* What came of compiling `t`: within bounds, and either a grammar that can be walked or an error that names its place. Releases g. */
static void anything_check(fuzz_source *s, const fuzz_text *t, mllm_grammar *g, const mllm_error *err, uint64_t work,
                           const char *names, bool tokens) {
    if (work > OPINION_WORK)
        FUZZ_FAIL("%s: %llu blocks to compile", fuzz_show(t->data, t->length), (unsigned long long)work);
    if (!g) {
        if (err->code == MLLM_OK || strncmp(err->message, names, strlen(names)) != 0)
            FUZZ_FAIL("%s: message without its place: %s", fuzz_show(t->data, t->length), err->message);
        return;
    }
    walk_language w = {.what = fuzz_show(t->data, t->length), .may_die = true, .tokens = tokens};
    if (mllm_grammar_bytes(g) < 1 << 20) walk(s, g, &w);
    mllm_grammar_release(g);
}

/* A grammar of the language l (NULL: err says why there is none) takes what l says. Releases g. */
static void opinion_check(fuzz_source *s, language *l, mllm_grammar *g, const mllm_error *err, const char *what,
                          bool may_die) {
    if (!g && err->code != MLLM_E_GRAMMAR && err->code != MLLM_E_LIMIT) FUZZ_FAIL("%s is one: %s", what, err->message);
    for (int k = 0; k < 12; k++) {
        fuzz_text text;
        l_random_text(s, &text);
        int is = l_judge(l, text.data, text.length), taken = g ? walk_text(g, text.data, text.length, what) : 0;
        if (!g && err->code == MLLM_E_LIMIT) return;
        if (is >= 0 && taken >= 0 && is != taken)
            FUZZ_FAIL("%s: '%s' matches: %d, taken: %d", what, fuzz_show(text.data, text.length), is, taken);
    }
    walk_language w = {.what = what, .judge = l_judge, .exact = true, .may_die = may_die, .ctx = l};
    if (g) walk(s, g, &w);
    mllm_grammar_release(g);
}

#endif
