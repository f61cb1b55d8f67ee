/* GBNF: random grammars, left recursion included, against a second opinion on what they match, and texts that may be none. */
#include "opinion.h"

static void compile_anything(fuzz_source *s) {
    static const char *const pieces[] = {"root ::= ", "\n",        "a ::= ",   "a",
                                         "root",      "b",         "::=",      "|",
                                         "(",         ")",         "\"x\"",    "\"",
                                         "\\x4",      "\\n",       "[a-z]",    "[^",
                                         "]",         "*",         "+",        "?",
                                         "{2}",       "{0,3}",     "{,",       "{99999}",
                                         "{1000}",    "}",         "# c\n",    ".",
                                         "<[5]>",     "<a>",       "@1",       "@2",
                                         "@until ",   "@without ", "@token 7", "@capture \"n\" (",
                                         " ",         "\xC3\xA9",  "\xFF",     "root ::= root \"a\" | \"a\"\n"};
    fuzz_text t = {.length = 0};
    mllm_error err = {.code = MLLM_OK};
    if (!fuzz_one_in(s, 4)) fuzz_put(&t, "root ::= ", 9);
    pieces_put(s, &t, pieces, sizeof pieces / sizeof *pieces, 30, 9, true);
    mllm_grammar *import = fuzz_one_in(s, 2) ? mllm_grammar_regex("a[bc]*", 6, &err) : NULL;
    uint64_t before = fuzz_work;
    mllm_grammar *g =
        import ? mllm_grammar_compose(t.data, t.length, &import, 1, &err) : mllm_grammar_gbnf(t.data, t.length, &err);
    mllm_grammar_release(import);
    anything_check(s, &t, g, &err, fuzz_work - before, "grammar", true);
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
    l.rules = 1 + (int)fuzz_below(s, LANG_RULES);
    l.gbnf = true;
    fuzz_printf(&t, "root ::= root0\n");
    for (int r = 0; r < l.rules; r++) {
        l.rule[r] = l_make(&l, s, 1 + (int)fuzz_below(s, 3));
        fuzz_printf(&t, r ? "r%d ::= " : "root%d ::= ", r);
        l_write(&l, l.rule[r], &t);
        fuzz_put(&t, "\n", 1);
    }
    const char *what = fuzz_show(t.data, t.length);
    mllm_grammar *g = mllm_grammar_compose(t.data, t.length, NULL, 0, &err);
    if (!g && err.code == MLLM_E_UNSUPPORTED && strstr(err.message, "left recursion through a capture")) return;
    opinion_check(s, &l, g, &err, what, true);
}

FUZZ_MAIN(5000)
