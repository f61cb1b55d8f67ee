/* Regular expressions: what they match, what is refused and where; the lazy automaton against the plain simulation. */
#include "test.h"

#include "grammar/lexer.h"

static int match(const char *pattern, const char *text, mllm_nfa_mode mode) {
    mllm_nfa nfa;
    mllm_error err;
    if (mllm_nfa_regex(&nfa, pattern, strlen(pattern), mode, &err) != MLLM_OK) return -2;
    int m = mllm_nfa_match(&nfa, text, strlen(text));
    mllm_nfa_free(&nfa);
    return m;
}

static void test_search(void) {
    static const struct {
        const char *pattern, *text;
        int match;
    } cases[] = {{"b", "abc", 1},
                 {"^b", "abc", 0},
                 {"c$", "abc", 1},
                 {"b$", "abc", 0},
                 {"^$", "", 1},
                 {"^$", "a", 0},
                 {"", "x", 1},
                 {"^a|b$", "ax", 1},
                 {"^a|b$", "xb", 1},
                 {"^a|b$", "xbx", 0},
                 {"(^a)b", "ab", 1},
                 {"a^b", "ab", 0},
                 {"^(^a)b", "ab", 1},
                 {"(?:^){3}a", "a", 1},
                 {"^x^", "x", 0},
                 {"a$b", "ab", 0},
                 {"a{2,3}", "caa", 1},
                 {"^a{2,3}$", "aaaa", 0},
                 {"^a{2,3}$", "aaa", 1},
                 {"^a{2}$", "a", 0},
                 {"^(ab){2,}$", "ababab", 1},
                 {"a{,3}", "a{,3}", 1},
                 {"^[^a-c]$", "d", 1},
                 {"^[^a-c]$", "b", 0},
                 {"^\\d+\\w\\s$", "12x\t", 1},
                 {"^\\D$", "\xC3\xA9", 1},
                 {"^.$", "\xE2\x82\xAC", 1},
                 {"^.$", "\n", 0},
                 {"^[\\s\\S]$", "\n", 1},
                 {"^\\u00e9$", "\xC3\xA9", 1},
                 {"^\\x41$", "A", 1},
                 {"^\\u{1F600}$", "\xF0\x9F\x98\x80", 1},
                 {"^\\uD83D\\uDE00$", "\xF0\x9F\x98\x80", 1},
                 {"^[\xC3\xA9-\xC3\xAF]$", "\xC3\xAA", 1},
                 {"^[\xC3\xA9-\xC3\xAF]$", "e", 0},
                 {"^a*?b+?$", "aab", 1},
                 {"^(?:a|b)(?<n>c)$", "bc", 1},
                 {"^[]$", "", 0},
                 {"^[^]$", "x", 1},
                 {"^\\.\\/\\-$", "./-", 1},
                 {"^\\p{L}+$", "a\xC3\x9F\xD0\xB6", 1},
                 {"^\\p{Lu}$", "a", 0},
                 {"^\\P{N}$", "7", 0},
                 {"^[a\\]b]+$", "]a", 1},
                 {"^(a*)*$", "aaa", 1},
                 {"^(a|)*b$", "aab", 1},
                 {"^((a*)*)*c$", "b", 0},
                 {"^.{3}$", "\xE2\x82\xACxy", 1},
                 {"^a.{2,4}$", "ab", 0},
                 {"[0-9]{3}-[0-9]{4}", "tel 555-1234 x", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int m = match(cases[i].pattern, cases[i].text, NFA_SEARCH);
        CHECK(m == cases[i].match, "/%s/ on '%s' gave %d", cases[i].pattern, cases[i].text, m);
    }
    CHECK(match("b", "abc", NFA_WHOLE) == 0, "whole");
    CHECK(match("a|abc", "abc", NFA_WHOLE) == 1, "whole alternative");
    CHECK(match("^abc$", "abc", NFA_WHOLE) == 1, "anchors of a whole match");
}

static void test_refusals(void) {
    static const struct {
        const char *pattern;
        mllm_code code;
        const char *message;
    } cases[] = {
        {"a(b", MLLM_E_FORMAT, "position 2: '(' is not closed"},
        {"a)b", MLLM_E_FORMAT, "position 2: ')' without '('"},
        {"[a-", MLLM_E_FORMAT, "position 1: '[' is not closed"},
        {"[b-a]", MLLM_E_FORMAT, "position 3: a range whose end comes before its start"},
        {"a{3,2}", MLLM_E_FORMAT, "position 2: a repeat whose end comes before its start"},
        {"*a", MLLM_E_FORMAT, "position 1: nothing to repeat"},
        {"a\\", MLLM_E_FORMAT, "position 2: a backslash at the end"},
        {"x(?=y)", MLLM_E_UNSUPPORTED, "position 2: look-ahead is not supported"},
        {"(?<!y)x", MLLM_E_UNSUPPORTED, "position 1: look-behind is not supported"},
        {"(a)\\1", MLLM_E_UNSUPPORTED, "position 4: back-references are not supported"},
        {"a\\bc", MLLM_E_UNSUPPORTED, "position 2: word boundaries are not supported"},
        {"(a{1000}){1000}", MLLM_E_LIMIT, "states"},
        {"a{200000}", MLLM_E_LIMIT, "position 2: more than 100000 repeats"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_nfa nfa;
        mllm_error err = {MLLM_OK, ""};
        mllm_code code = mllm_nfa_regex(&nfa, cases[i].pattern, strlen(cases[i].pattern), NFA_SEARCH, &err);
        CHECK(code == cases[i].code && strstr(err.message, cases[i].message), "/%s/: %d %s", cases[i].pattern,
              (int)code, err.message);
        if (code == MLLM_OK) mllm_nfa_free(&nfa);
    }
    /* Nesting and length are bounded: no stack is used up. */
    char *deep = malloc(120001);
    mllm_nfa nfa;
    mllm_error err;
    memset(deep, '(', 60000);
    memset(deep + 60000, ')', 60000);
    CHECK(mllm_nfa_regex(&nfa, deep, 120000, NFA_SEARCH, &err) == MLLM_E_LIMIT && strstr(err.message, "position 201"),
          "%s", err.message);
    for (int i = 0; i < 60000; i++) deep[i] = i % 2 ? '*' : 'a';
    CHECK(mllm_nfa_regex(&nfa, deep, 60000, NFA_SEARCH, &err) == MLLM_OK || err.code == MLLM_E_LIMIT, "many repeats");
    mllm_nfa_free(&nfa);
    free(deep);
}

static uint64_t seed;
static uint32_t draw(uint32_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* A random pattern of the supported syntax. */
static size_t random_pattern(char *out, size_t room, int depth) {
    static const char *const atoms[] = {"a",   "b", ".", "[ab]",     "[^a]",         "\\d",
                                        "\\w", "^", "$", "\xC3\xA9", "[b-\xC3\xA9]", "c"};
    static const char *const repeats[] = {"", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,2}?", "{2,}"};
    size_t n = 0;
    for (uint32_t i = 0, parts = 1 + draw(4); i < parts && n + 40 < room; i++) {
        bool group = depth > 0 && draw(4) == 0;
        const char *repeat = repeats[draw(10)];
        if (i && draw(6) == 0) out[n++] = '|';
        if (group) {
            out[n++] = '(';
            n += random_pattern(out + n, (room - n) / 2, depth - 1);
            out[n++] = ')';
        } else
            n += (size_t)sprintf(out + n, "%s", atoms[draw(12)]);
        n += (size_t)sprintf(out + n, "%s", repeat);
    }
    out[n] = 0;
    return n;
}

/* The lazy automaton says the same as the simulation, at every prefix; and what it calls dead never matches. */
static void test_lexer_agrees(void) {
    static const char *const pieces[] = {"a", "b", "c", "1", "_", "\n", "\xC3\xA9", "\xE2\x82\xAC"};
    seed = 7;
    int rounds = getenv("MLLM_FUZZ") ? atoi(getenv("MLLM_FUZZ")) : 400, checked = 0;
    for (int round = 0; round < rounds; round++) {
        char pattern[400], text[80];
        size_t n = random_pattern(pattern, sizeof pattern, 3);
        mllm_nfa nfa;
        mllm_error err;
        if (mllm_nfa_regex(&nfa, pattern, n, draw(2) ? NFA_UNFOLDED : NFA_WHOLE, &err) != MLLM_OK) {
            CHECK(err.code == MLLM_E_LIMIT || err.code == MLLM_E_FORMAT, "/%s/: %s", pattern, err.message);
            continue;
        }
        mllm_lexer lexer;
        mllm_lexers table = {0};
        const mllm_nfa *part = &nfa;
        mllm_lexer_init(&lexer, &part, 1, false);
        for (int k = 0; k < 20; k++) {
            uint32_t state = mllm_lexer_start(&table, &lexer);
            size_t length = 0;
            for (uint32_t i = 0, parts = draw(8); i < parts; i++)
                length += (size_t)sprintf(text + length, "%s", pieces[draw(8)]);
            text[length] = 0;
            for (size_t i = 0; i <= length; i++) {
                int m = mllm_nfa_match(&nfa, text, i);
                bool accepts = state != NONE && (table.states[state].flags & LEXER_ACCEPT);
                CHECK(accepts == (m == 1), "/%s/ on the first %zu bytes of '%s'", pattern, i, text);
                if (state != NONE && mllm_lexer_distance(&table, state) == NONE)
                    CHECK(0, "/%s/: '%.*s' is alive and dead", pattern, (int)i, text);
                if (state != NONE && i < length) state = mllm_lexer_next(&table, state, (uint8_t)text[i]);
                checked++;
            }
        }
        CHECK(table.failed == MLLM_OK, "limit");
        mllm_lexers_free(&table);
        mllm_nfa_free(&nfa);
    }
    CHECK(checked > 1000, "%d", checked);
}

/* Any bytes: an answer or an error, nothing else. */
static void test_garbage(void) {
    static const char bytes[] = "()[]{}*+?|^$.\\-,:=!<>0123abdwsupxk\xC3\xA9\xFF\n";
    seed = 11;
    for (int round = 0; round < 5000; round++) {
        char pattern[24];
        size_t n = draw(sizeof pattern);
        for (size_t i = 0; i < n; i++) pattern[i] = bytes[draw(sizeof bytes - 1)];
        mllm_nfa nfa;
        mllm_error err = {MLLM_OK, ""};
        if (mllm_nfa_regex(&nfa, pattern, n, NFA_SEARCH, &err) == MLLM_OK) {
            CHECK(mllm_nfa_match(&nfa, "ab1", 3) >= 0, "match");
            mllm_nfa_free(&nfa);
        } else
            CHECK(strstr(err.message, "position"), "%s", err.message);
    }
}

static const test_case tests[] = {{"search", test_search},
                                  {"refusals", test_refusals},
                                  {"lexer_agrees", test_lexer_agrees},
                                  {"garbage", test_garbage}};
TEST_MAIN(tests)
