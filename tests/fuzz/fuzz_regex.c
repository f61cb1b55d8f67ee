/* Regular expressions: random ones against a second opinion on what they match, and texts that may be none. */
#include "language.h"
#include "walk.h"

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
    uint32_t repeat = fuzz_one_in(s, 16) ? 1 + fuzz_below(s, 2000) : 1;
    for (uint32_t k = 1 + fuzz_below(s, 24); k--;) {
        if (fuzz_one_in(s, 5)) {
            char c = (char)fuzz_below(s, 256);
            fuzz_put(&t, &c, 1);
            continue;
        }
        const char *p = pieces[fuzz_below(s, sizeof pieces / sizeof *pieces)];
        for (uint32_t i = 0; i < repeat; i++) fuzz_put(&t, p, strlen(p));
        repeat = 1;
    }
    uint64_t before = fuzz_work;
    mllm_grammar *g = mllm_grammar_regex(t.data, t.length, &err);
    if (fuzz_work - before > 400000000)
        FUZZ_FAIL("%s: %llu blocks to compile", fuzz_show(t.data, t.length), (unsigned long long)(fuzz_work - before));
    if (!g) {
        if (err.code == MLLM_OK || strncmp(err.message, "regular expression", 18) != 0)
            FUZZ_FAIL("%s: message without its place: %s", fuzz_show(t.data, t.length), err.message);
        return;
    }
    walk_language l = {.what = fuzz_show(t.data, t.length), .may_die = true};
    if (mllm_grammar_bytes(g) < 1 << 20) walk(s, g, &l);
    mllm_grammar_release(g);
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
    if (!g && err.code != MLLM_E_GRAMMAR && err.code != MLLM_E_LIMIT) FUZZ_FAIL("%s is one: %s", what, err.message);
    for (int k = 0; k < 12; k++) {
        fuzz_text text;
        l_random_text(s, &text);
        int is = l_judge(&l, text.data, text.length), taken = g ? walk_text(g, text.data, text.length, what) : 0;
        if (!g && err.code == MLLM_E_LIMIT) return;
        if (is >= 0 && taken >= 0 && is != taken)
            FUZZ_FAIL("%s: '%s' matches: %d, taken: %d", what, fuzz_show(text.data, text.length), is, taken);
    }
    walk_language w = {.what = what, .judge = l_judge, .exact = true, .ctx = &l};
    if (g) walk(s, g, &w);
    mllm_grammar_release(g);
}

FUZZ_MAIN(5000)
