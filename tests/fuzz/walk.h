/* walk.h - a matcher under random use: masks against the byte acceptor, forced text, rollback, forks, completion within a budget. */
#ifndef WALK_H
#define WALK_H

#include "fuzz.h"

/* Is this text in the language? 1, 0, or -1: cannot say. */
typedef int (*walk_judge)(void *ctx, const char *text, size_t length);

/* Every byte alone, pieces as vocabularies have them, one token that ends. */
enum { WALK_PIECES = 96, WALK_TOKENS = 256 + WALK_PIECES + 1, WALK_WORDS = (WALK_TOKENS + 63) / 64, WALK_END = 352 };
static char walk_bytes[256];
static const char *walk_token[WALK_TOKENS];
static uint32_t walk_length[WALK_TOKENS];
static bool walk_ends[WALK_TOKENS];
static mllm_token_trie *walk_trie;

static void walk_open(void) {
    static const char *const pieces[] = {
        "{\"",  "\":",   "\", \"",   "\",\"", "\": ",   "\": \"",   ": ",       ", ",   "}}",    "\"}",   "],",
        "]]",   "[[",    "{}",       "[]",    "[\"",    "\"]",      "true",     "tr",   "ue",    "false", "nul",
        "null", "null,", "10",       "12",    "-1",     "0.",       ".5",       "1.5",  "e+",    "1e",    "00",
        "25",   "aa",    "ab",       "abc",   "bc",     "ba",       "a\"",      "\"a",  "\"a\"", "\"b",   "b\":",
        "c\"",  "ac",    "\xC3\xA9", "a\xC3", "\xA9\"", "\xE2\x82", "\xF0\x9F", "\\u",  "\\\\",  "\\\"",  "\\n",
        "00\"", "1,",    "2]",       "1}",    "  ",     "\n ",      " a",       " b",   "a ",    "aaa",   "aaaa",
        "bbb",  "cc",    "--",       "a-",    "-a",     "2020",     "-01",      "-01-", ":00",   "@a",    "b.c",
        "(a",   "a)",    "((",       "))",    "()",     "+a",       "a+",       "*a",   "ab ",   "1 ",    "=1",
        "\"\"", "\"\",", "\": {",    "\": [", "}, {",   "}]",       "a\n",      "<a>"};
    mllm_error err;
    if (walk_trie) return;
    for (int i = 0; i < 256; i++) {
        walk_bytes[i] = (char)i;
        walk_token[i] = &walk_bytes[i];
        walk_length[i] = 1;
    }
    for (int i = 0; i < WALK_PIECES; i++) {
        walk_token[256 + i] = pieces[i];
        walk_length[256 + i] = (uint32_t)strlen(pieces[i]);
    }
    walk_ends[WALK_END] = true;
    walk_trie = mllm_token_trie_from(walk_token, walk_length, walk_ends, WALK_TOKENS, &err);
    if (!walk_trie) FUZZ_FAIL("no trie: %s", err.message);
}

typedef struct {
    const char *what; /* the grammar's source, for messages */
    walk_judge judge; /* may be NULL */
    bool exact; /* the judge's yes is to be a yes here too */
    bool may_die; /* a dead end is no fault */
    bool tokens; /* it names tokens, which are not their bytes */
    void *ctx;
} walk_language;

#define WALK_FAIL(m, l, ...)                                                                                           \
    do {                                                                                                               \
        size_t walk_n;                                                                                                 \
        const char *walk_text = mllm_matcher_text(m, &walk_n);                                                         \
        fprintf(stderr, "%s\n  after '%s': ", (l)->what, fuzz_show(walk_text, walk_n));                                \
        FUZZ_FAIL(__VA_ARGS__);                                                                                        \
    } while (0)

static bool walk_has(const uint64_t *mask, uint32_t id) {
    return mask[id / 64] >> (id % 64) & 1;
}

/* The mask as the byte acceptor sees it: token by token, each taken and undone. */
static void walk_compare(mllm_matcher *m, const uint64_t *mask, const walk_language *l, uint32_t from, uint32_t step) {
    mllm_error err;
    for (uint32_t id = from; id < WALK_END; id += step) {
        mllm_code code = mllm_matcher_accept_bytes(m, walk_token[id], walk_length[id], &err);
        if (code != MLLM_OK && code != MLLM_E_GRAMMAR) return; /* a limit */
        if (code == MLLM_OK && mllm_matcher_rollback(m, 1, &err) != MLLM_OK) WALK_FAIL(m, l, "%s", err.message);
        if (code == MLLM_OK ? !walk_has(mask, id) : walk_has(mask, id) && !l->tokens)
            WALK_FAIL(m, l, "'%s': mask %d, acceptor %d", fuzz_show(walk_token[id], walk_length[id]),
                      walk_has(mask, id), code == MLLM_OK);
    }
    if (walk_has(mask, WALK_END) != mllm_matcher_is_complete(m)) WALK_FAIL(m, l, "the end token and completeness");
}

static void walk_forced(mllm_matcher *m, const walk_language *l) {
    char forced[64];
    mllm_error err;
    size_t n = mllm_matcher_forced_bytes(m, forced, sizeof forced);
    if (!n) return;
    if (mllm_matcher_is_complete(m)) WALK_FAIL(m, l, "forced bytes where the text may end");
    for (size_t i = 0; i < n; i++) {
        for (int c = 0; c < 256; c++)
            if (c != (uint8_t)forced[i] && mllm_matcher_accept_bytes(m, &walk_bytes[c], 1, &err) == MLLM_OK)
                WALK_FAIL(m, l, "'%s' forced, but '%s' is taken", fuzz_show(forced, n), fuzz_show(&walk_bytes[c], 1));
        if (mllm_matcher_accept_bytes(m, &forced[i], 1, &err) != MLLM_OK)
            WALK_FAIL(m, l, "byte %zu of the forced '%s': %s", i, fuzz_show(forced, n), err.message);
        if (i + 1 < n && mllm_matcher_is_complete(m)) WALK_FAIL(m, l, "'%s' forced over an end", fuzz_show(forced, n));
    }
    if (mllm_matcher_rollback(m, n, &err) != MLLM_OK) WALK_FAIL(m, l, "%s", err.message);
}

static bool walk_pick(fuzz_source *s, const uint64_t *mask, mllm_token *out) {
    uint32_t count = 0, at;
    for (uint32_t id = 0; id < WALK_TOKENS; id++) count += walk_has(mask, id);
    if (!count) return false;
    at = fuzz_below(s, count);
    if (fuzz_one_in(s, 2) && count > 1) at = count - 1 - at % (count < 40 ? count : 40); /* the longer ones */
    for (uint32_t id = 0;; id++)
        if (walk_has(mask, id) && at-- == 0) {
            *out = (mllm_token)id;
            return true;
        }
}

static void walk_judged(mllm_matcher *m, const walk_language *l) {
    size_t n;
    const char *text = mllm_matcher_text(m, &n);
    int says = l->judge ? l->judge(l->ctx, text, n) : -1;
    bool complete = mllm_matcher_is_complete(m);
    if (says == 0 && complete) WALK_FAIL(m, l, "called complete, but it is not of the language");
    if (says == 1 && !complete && l->exact) WALK_FAIL(m, l, "of the language, but not called complete");
}

/* From here to the end within a budget that suffices. */
static void walk_finish(fuzz_source *s, mllm_matcher *m, const walk_language *l) {
    uint64_t mask[WALK_WORDS];
    mllm_error err;
    mllm_token id;
    uint32_t left = mllm_matcher_min_left(m);
    if (left > 200) return; /* also when unknown */
    if (!l->may_die && (left == 0) != mllm_matcher_is_complete(m))
        WALK_FAIL(m, l, "%u bytes left, complete %d", left, left != 0);
    for (uint32_t budget = left + 2 + fuzz_below(s, 8); budget > 0 && !mllm_matcher_is_finished(m); budget--) {
        mllm_code code = mllm_matcher_mask(m, mask, budget, &err);
        if (code == MLLM_E_GRAMMAR && l->may_die) return;
        if (code != MLLM_OK && code != MLLM_E_GRAMMAR) return;
        if (code != MLLM_OK || !walk_pick(s, mask, &id))
            WALK_FAIL(m, l, "%u tokens were to suffice: no way on", budget);
        if (mllm_matcher_accept(m, id, &err) != MLLM_OK) WALK_FAIL(m, l, "masked in, not taken: %s", err.message);
        walk_judged(m, l);
    }
    if (!mllm_matcher_is_complete(m) && !l->may_die) WALK_FAIL(m, l, "not complete within the budget");
}

static inline void walk(fuzz_source *s, mllm_grammar *g, const walk_language *l) {
    enum { STEPS = 40, ENOUGH = 100000000 }; /* blocks: very ambiguous grammars keep hundreds of threads */
    uint64_t masks[STEPS + 1][WALK_WORDS];
    uint64_t again[WALK_WORDS];
    mllm_error err = {.code = MLLM_OK};
    walk_open();
    mllm_matcher *m = mllm_matcher_new(g, walk_trie, &err);
    if (!m) {
        if (err.code != MLLM_E_LIMIT) FUZZ_FAIL("%s: no matcher: %s", l->what, err.message);
        return;
    }
    uint32_t most = 4 + fuzz_below(s, STEPS - 4);
    uint64_t start = fuzz_work;
    for (uint32_t guard = 0; guard < 3 * STEPS && mllm_matcher_steps(m) < most; guard++) {
        if (fuzz_work - start > ENOUGH) break;
        uint64_t *mask = masks[mllm_matcher_steps(m)];
        mllm_token id;
        walk_judged(m, l);
        mllm_code code = mllm_matcher_mask(m, mask, 0, &err);
        if (code != MLLM_OK) {
            if (code == MLLM_E_GRAMMAR && !l->may_die) WALK_FAIL(m, l, "a dead end: %s", err.message);
            break;
        }
        if (guard % 4 == 0)
            walk_compare(m, mask, l, 0, 1);
        else
            walk_compare(m, mask, l, guard % 7, 7);
        if (fuzz_one_in(s, 3)) walk_forced(m, l);
        if (mllm_matcher_mask(m, again, 0, &err) != MLLM_OK || memcmp(again, mask, sizeof again) != 0)
            WALK_FAIL(m, l, "the mask is another one the second time");
        uint32_t what = fuzz_below(s, 12);
        if (what == 0 && mllm_matcher_steps(m) > 0) {
            mllm_matcher_rollback(m, 1 + fuzz_below(s, (uint32_t)mllm_matcher_steps(m)), &err);
            if (mllm_matcher_mask(m, again, 0, &err) != MLLM_OK ||
                memcmp(again, masks[mllm_matcher_steps(m)], sizeof again) != 0)
                WALK_FAIL(m, l, "the mask is another one after a rollback");
            continue;
        }
        if (what == 1) {
            mllm_matcher *fork = mllm_matcher_fork(m, &err);
            if (!fork) FUZZ_FAIL("no fork: %s", err.message);
            if (walk_pick(s, mask, &id)) mllm_matcher_accept(fork, id, &err);
            walk_finish(s, fork, l);
            if (fuzz_one_in(s, 2)) { /* the fork lives on, the first one goes */
                mllm_matcher *first = m;
                m = fork;
                fork = first;
                mllm_matcher_rollback(m, mllm_matcher_steps(m) - mllm_matcher_steps(fork), &err);
            }
            mllm_matcher_release(fork);
            if (mllm_matcher_mask(m, again, 0, &err) != MLLM_OK || memcmp(again, mask, sizeof again) != 0)
                WALK_FAIL(m, l, "the mask is another one after a fork");
        }
        if (!walk_pick(s, mask, &id)) break;
        if (mllm_matcher_accept(m, id, &err) != MLLM_OK) WALK_FAIL(m, l, "masked in, not taken: %s", err.message);
        if (mllm_matcher_is_finished(m)) break;
    }
    if (!mllm_matcher_is_finished(m) && fuzz_work - start <= ENOUGH) walk_finish(s, m, l);
    mllm_matcher_release(m);
}

/* Taken as a whole, byte by byte, and in two pieces: the same answer. 1: complete, 0: not. */
static int walk_text(mllm_grammar *g, const char *text, size_t n, const char *what) {
    mllm_error err = {.code = MLLM_OK};
    mllm_matcher *m = mllm_matcher_new(g, NULL, &err);
    if (!m) return -1;
    mllm_code code = mllm_matcher_accept_bytes(m, text, n, &err);
    bool whole = code == MLLM_OK && mllm_matcher_is_complete(m);
    if (code != MLLM_OK && code != MLLM_E_GRAMMAR) {
        mllm_matcher_release(m);
        return -1;
    }
    mllm_matcher_reset(m);
    code = MLLM_OK;
    for (size_t i = 0; i < n && code == MLLM_OK; i++) code = mllm_matcher_accept_bytes(m, text + i, 1, &err);
    bool single = code == MLLM_OK && mllm_matcher_is_complete(m);
    mllm_matcher_release(m);
    if (whole != single) FUZZ_FAIL("%s: '%s': whole %d, byte by byte %d", what, fuzz_show(text, n), whole, single);
    return whole;
}

#endif
