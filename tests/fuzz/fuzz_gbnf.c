/* GBNF: random grammars, left recursion included, against a second opinion on what they match, and texts that may be none. */
#include "language.h"
#include "walk.h"

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
    uint32_t repeat = fuzz_one_in(s, 16) ? 1 + fuzz_below(s, 2000) : 1;
    if (!fuzz_one_in(s, 4)) fuzz_put(&t, "root ::= ", 9);
    for (uint32_t k = 1 + fuzz_below(s, 30); k--;) {
        if (fuzz_one_in(s, 9)) {
            char c = (char)fuzz_below(s, 256);
            fuzz_put(&t, &c, 1);
            continue;
        }
        const char *p = pieces[fuzz_below(s, sizeof pieces / sizeof *pieces)];
        for (uint32_t i = 0; i < repeat; i++) fuzz_put(&t, p, strlen(p));
        if (fuzz_one_in(s, 2)) fuzz_put(&t, " ", 1);
        repeat = 1;
    }
    mllm_grammar *import = fuzz_one_in(s, 2) ? mllm_grammar_regex("a[bc]*", 6, &err) : NULL;
    uint64_t before = fuzz_work;
    mllm_grammar *g =
        import ? mllm_grammar_compose(t.data, t.length, &import, 1, &err) : mllm_grammar_gbnf(t.data, t.length, &err);
    if (fuzz_work - before > 400000000)
        FUZZ_FAIL("%s: %llu blocks to compile", fuzz_show(t.data, t.length), (unsigned long long)(fuzz_work - before));
    mllm_grammar_release(import);
    if (!g) {
        if (err.code == MLLM_OK || strncmp(err.message, "grammar", 7) != 0)
            FUZZ_FAIL("%s: message without its place: %s", fuzz_show(t.data, t.length), err.message);
        return;
    }
    walk_language l = {.what = fuzz_show(t.data, t.length), .may_die = true, .tokens = true};
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
    if (!g && err.code != MLLM_E_GRAMMAR && err.code != MLLM_E_LIMIT) FUZZ_FAIL("%s is one: %s", what, err.message);
    for (int k = 0; k < 12; k++) {
        fuzz_text text;
        l_random_text(s, &text);
        int is = l_judge(&l, text.data, text.length), taken = g ? walk_text(g, text.data, text.length, what) : 0;
        if (!g && err.code == MLLM_E_LIMIT) return;
        if (is >= 0 && taken >= 0 && is != taken)
            FUZZ_FAIL("%s: '%s' matches: %d, taken: %d", what, fuzz_show(text.data, text.length), is, taken);
    }
    walk_language w = {.what = what, .judge = l_judge, .exact = true, .may_die = true, .ctx = &l};
    if (g) walk(s, g, &w);
    mllm_grammar_release(g);
}

FUZZ_MAIN(5000)
