/* Regular expressions: random ones against a second opinion on what they match, and texts that may be none. */
#include "opinion.h"

static void compile_anything(fuzz_source *s) {
    static const char *const pieces[] = {"(",         ")",
                                         "(?:",       "(?=",
                                         "(?<n>",     "[",
                                         "]",         "[^",
                                         "-",         "a-z",
                                         "\\",        "\\d",
                                         "\\W",       "\\u",
                                         "\\u{",      "\\x4",
                                         "\\p{",      "L}",
                                         "\\P{N}",    "{",
                                         "}",         "{2,",
                                         "{3}",       "{0,70}",
                                         "*",         "+",
                                         "?",         "*?",
                                         "|",         "^",
                                         "$",         ".",
                                         "a",         "ab",
                                         "\xC3\xA9",  "\xFF",
                                         "\\b",       "\\1",
                                         "\\k<n>",    "\\c",
                                         "[:alpha:]", "(?i)",
                                         "\\0",       "{99999}",
                                         "{2}{2}",    "\\uD83D\\uDE00",
                                         "(a*)*",     "(a|a)*",
                                         "{1000}",    "\n"};
    fuzz_text t = {.length = 0};
    mllm_error err = {.code = MLLM_OK};
    pieces_put(s, &t, pieces, sizeof pieces / sizeof *pieces, 24, 5, false);
    uint64_t before = fuzz_work;
    mllm_grammar *g = mllm_grammar_regex(t.data, t.length, &err);
    anything_check(s, &t, g, &err, fuzz_work - before, "regular expression", false);
}

static void FUZZ(fuzz_source *s) {
    static language l;
    fuzz_text t = {.length = 0};
    mllm_error err = {.code = MLLM_OK};
    if (fuzz_one_in(s, 3)) {
        compile_anything(s);
        return;
    }
    l.count = 1;
    l.rules = 0;
    l.gbnf = false;
    l.rule[0] = l_make(&l, s, 1 + (int)fuzz_below(s, 4));
    l_write(&l, l.rule[0], &t);
    const char *what = fuzz_show(t.data, t.length);
    mllm_grammar *g = mllm_grammar_regex(t.data, t.length, &err);
    opinion_check(s, &l, g, &err, what, false);
}

FUZZ_MAIN(5000)
