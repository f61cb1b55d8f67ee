/* Grammars and matchers: masks on a small vocabulary, forks and rollback, hostile input, the n-th allocation failing. */
#include "failing.h"
#include "test.h"

#include <time.h>

#include "base/json.h"
#include "grammar/matcher.h"

static const char *const vocabulary[] = {"<s>",  "</s>", "{",  "}", "\"", ":",    ",", " ", "a",   "b",      "ab",
                                         "\"a",  "a\":", "1",  "2", "12", "true", "[", "]", "\":", "\", \"", "\xC3\xA9",
                                         "\xC3", "\xA9", "\\", "n", "-",  ".",    "a", "x", "}}",  "null"};
enum { TOKENS = sizeof vocabulary / sizeof *vocabulary, END = 1 };

static mllm_token_trie *make_trie(mllm_error *err) {
    static uint32_t lengths[TOKENS];
    static bool ends[TOKENS];
    for (int i = 0; i < TOKENS; i++) lengths[i] = i < 2 ? 0 : (uint32_t)strlen(vocabulary[i]);
    ends[END] = true;
    return mllm_token_trie_from(vocabulary, lengths, ends, TOKENS, err);
}

static mllm_grammar *schema(const char *text, mllm_error *err) {
    return mllm_grammar_json_schema(text, strlen(text), NULL, err);
}

/* The mask by its definition: every canonical token tried alone. */
static void check_mask(mllm_matcher *m, const char *where) {
    uint64_t mask[1] = {0};
    mllm_error err = {MLLM_OK, ""};
    mllm_code code = mllm_matcher_mask(m, mask, 0, &err);
    bool any = false;
    for (int i = 0; i < TOKENS; i++) {
        bool twin = i == 28; /* a second "a": the first is canonical */
        mllm_code taken = mllm_matcher_accept(m, i, &err);
        if (taken == MLLM_OK) mllm_matcher_rollback(m, 1, NULL);
        any = any || taken == MLLM_OK;
        if (!twin) CHECK((mask[0] >> i & 1) == (taken == MLLM_OK), "%s: token %d '%s'", where, i, vocabulary[i]);
        if (twin) CHECK(!(mask[0] >> i & 1), "%s: the twin is masked", where);
    }
    CHECK((code == MLLM_OK) == any || mllm_matcher_is_finished(m) || mllm_matcher_is_complete(m), "%s: %s", where,
          err.message);
}

static void test_masks(void) {
    static const char *const cases[][2] = {
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"maximum\":12},\"ab\":{\"type\":\"string\","
         "\"maxLength\":2}},"
         "\"required\":[\"a\"],\"additionalProperties\":false}",
         "{\"a\":12,\"ab\":\"b\xC3\xA9\"}"},
        {"{\"type\":\"array\",\"items\":{\"enum\":[\"a\",12,null,true]},\"uniqueItems\":true,\"maxItems\":3}",
         "[\"a\",12,null]"},
        {"{\"patternProperties\":{\"^a+$\":{\"type\":\"boolean\"}},\"additionalProperties\":false,\"type\":\"object\"}",
         "{\"aa\":true,\"a\":true}"},
        {"{\"type\":\"string\",\"pattern\":\"^(ab|ba)*$\"}", "\"abba\""},
        {"true", "{\"\\n\":[1.2,-1]}"},
        {"{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"const\":\"a\"},\"b\":{\"type\":\"integer\"}},"
         "\"required\":[\"a\","
         "\"b\"]},{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"ab\",1,12]},\"b\":{\"const\":null}},"
         "\"required\":[\"a\",\"b\"]},"
         "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"a\",12]},\"b\":{\"type\":\"array\"}},\"required\":["
         "\"a\",\"b\"]}]}",
         "{\"a\":12,\"b\":[1],\"x\":\"a\"}"},
        {"{\"not\":{\"const\":{\"a\":1}},\"type\":\"object\"}", "{\"a\":12}"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}}", "[\"ab\",\"\\n\xC3\xA9"
                                                                                                 "a\"]"},
        {"{\"additionalProperties\":{\"type\":\"string\",\"minLength\":1}}", "{\"aa\":\"\\\"x\", \"\xC3\xA9\":\"a:\"}"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":\"^[ab1]+-$\",\"maxLength\":5}}",
         "[\"abab-\",\"1-\"]"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"uniqueItems\":true}", "[\"a\",\"aa\",\"\\\\\"]"},
        {"{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"type\":\"object\"}", "{\"a\":1}"},
        /* names that two patterns rule out together, beside others that none knows: anchored or not, near their bound, declared */
        {"{\"type\":\"object\",\"patternProperties\":{\"a\":{\"type\":\"null\"},\"b\":{\"type\":\"boolean\"}}}",
         "{\"x1a\":null,\"b1\":true,\"1\":1}"},
        {"{\"type\":\"object\",\"patternProperties\":{\"^a\":{\"type\":\"null\"},\"b$\":{\"type\":\"boolean\"}},"
         "\"propertyNames\":{\"maxLength\":3}}",
         "{\"abx\":null,\"1xb\":true,\"1\":1}"},
        {"{\"type\":\"object\",\"patternProperties\":{\"^ab?$\":{\"type\":\"null\"},\"^a1?$\":{\"type\":\"boolean\"}},"
         "\"propertyNames\":{\"maxLength\":4}}",
         "{\"ab\":null,\"a1\":true,\"a12\":1,\"xa12\":1}"},
        {"{\"type\":\"object\",\"properties\":{\"ab\":{\"type\":\"null\"}},\"patternProperties\":{\"^a1\":{\"type\":"
         "\"null\"},\"^a12\":{\"type\":\"boolean\"}}}",
         "{\"ab\":null,\"a1\":null,\"xa12\":1}"},
    };
    mllm_error err;
    mllm_token_trie *trie = make_trie(&err);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        mllm_grammar *g = schema(cases[c][0], &err);
        CHECK(g, "%s: %s", cases[c][0], err.message);
        if (!g) continue;
        mllm_matcher *m = mllm_matcher_new(g, trie, &err);
        const char *text = cases[c][1];
        for (size_t i = 0; text[i]; i++) {
            char where[100];
            snprintf(where, sizeof where, "case %zu byte %zu", c, i);
            check_mask(m, where);
            CHECK(mllm_matcher_accept_bytes(m, text + i, 1, &err) == MLLM_OK, "%s: %s", where, err.message);
        }
        CHECK(mllm_matcher_is_complete(m), "%s", text);
        check_mask(m, "end");
        CHECK(mllm_matcher_accept(m, END, &err) == MLLM_OK && mllm_matcher_is_finished(m), "end");
        CHECK(mllm_matcher_accept(m, 8, &err) == MLLM_E_GRAMMAR, "after the end");
        CHECK(mllm_matcher_rollback(m, 1, &err) == MLLM_OK && !mllm_matcher_is_finished(m), "back");
        CHECK(mllm_matcher_accept(m, TOKENS, &err) == MLLM_E_TOKEN, "outside");
        mllm_matcher_release(m);
        mllm_grammar_release(g);
    }
    mllm_token_trie_release(trie);
}

/* Objects that one word tells apart are read as one until it has come; in any order and to the same end as one by one. */
static void test_variants(void) {
    enum { TOOLS = 100 };
    static char text[TOOLS * 160 + 40];
    mllm_error err;
    size_t n = (size_t)snprintf(text, sizeof text, "{\"anyOf\":[");
    for (int i = 0; i < TOOLS; i++)
        n += (size_t)snprintf(
            text + n, sizeof text - n,
            "%s{\"type\":\"object\",\"properties\":{\"name\":{\"const\":\"t%d\"},\"x\":{\"const\":%d}},"
            "\"required\":[\"name\",\"x\"],\"additionalProperties\":false}",
            i ? "," : "", i, i * 1000);
    snprintf(text + n, sizeof text - n, "]}");
    for (int any = 0; any < 2; any++) {
        mllm_schema_options options = {.any_order = any};
        mllm_grammar *g = mllm_grammar_json_schema(text, strlen(text), &options, &err);
        CHECK(g, "%s", err.message);
        mllm_matcher *m = mllm_matcher_new(g, NULL, &err);
        static const char call[] = "{\"name\":\"t3\",\"x\":3000}", wrong[] = "{\"name\":\"t9\",\"x\":3000}",
                          other[] = "{\"x\":7000,\"name\":\"t7\"}";
        for (size_t i = 0; call[i]; i++) {
            uint32_t left = mllm_matcher_min_left(m);
            CHECK(left <= sizeof call - 1 - i, "%u bytes left at %zu", (unsigned)left, i);
            CHECK(mllm_matcher_accept_bytes(m, call + i, 1, &err) == MLLM_OK, "byte %zu: %s", i, err.message);
            CHECK(mllm_last_step(m)->count <= 2, "%u threads after byte %zu", (unsigned)mllm_last_step(m)->count, i);
        }
        CHECK(mllm_matcher_is_complete(m), "%s", call);
        mllm_matcher_reset(m);
        CHECK(mllm_matcher_accept_bytes(m, wrong, strlen(wrong), &err) == MLLM_E_GRAMMAR, "of another");
        CHECK((mllm_matcher_accept_bytes(m, other, strlen(other), &err) == MLLM_OK) == any, "the name after the value");
        if (any) {
            mllm_matcher_reset(m);
            CHECK(mllm_matcher_accept_bytes(m, other, 16, &err) == MLLM_OK, "%s", err.message);
            CHECK(mllm_matcher_accept_bytes(m, ":\"t3", 4, &err) == MLLM_E_GRAMMAR, "of another");
            CHECK(mllm_matcher_accept_bytes(m, ":\"t7", 4, &err) == MLLM_OK, "%s", err.message);
        }
        mllm_matcher_release(m);
        mllm_grammar_release(g);
    }
}

static mllm_matcher *composed(const char *text) {
    mllm_error err;
    mllm_grammar *g = mllm_grammar_compose(text, strlen(text), NULL, 0, &err);
    mllm_matcher *m = g ? mllm_matcher_new(g, NULL, &err) : NULL;
    CHECK(m, "%s: %s", text, err.message);
    mllm_grammar_release(g);
    return m;
}

/* Masks of lexers: alone, with something behind them, several at once. */
static void test_rule_masks(void) {
    static const char *const cases[][2] = {
        {"root ::= [a-z]+ (\", \" [ab\xC3\xA9]+){0,3}", "axb, a\xC3\xA9, b"},
        {"root ::= w (\":\" w)* | \"[\" root \"]\"\nw ::= [ab]+ | \"\\\"\" [^\\\"]* \"\\\"\"", "[ab:\"a}, \":b]"},
        {"root ::= ([ab] | \"ab\")* \"a:\"", "abbaba:"},
        {"root ::= @until \"true\"", "a truetrtrue"},
    };
    mllm_error err;
    mllm_token_trie *trie = make_trie(&err);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        mllm_grammar *g = mllm_grammar_compose(cases[c][0], strlen(cases[c][0]), NULL, 0, &err);
        CHECK(g, "%s: %s", cases[c][0], err.message);
        for (int again = 0; g && again < 2; again++) { /* the second time with the masks that the first one left */
            mllm_matcher *m = mllm_matcher_new(g, trie, &err);
            for (size_t i = 0; cases[c][1][i] && !mllm_matcher_is_finished(m); i++) {
                char where[100];
                snprintf(where, sizeof where, "grammar %zu byte %zu", c, i);
                check_mask(m, where);
                mllm_code code = mllm_matcher_accept_bytes(m, cases[c][1] + i, 1, &err);
                if (c < 3) CHECK(code == MLLM_OK, "%s: %s", where, err.message);
            }
            mllm_matcher_release(m);
        }
        mllm_grammar_release(g);
    }
    mllm_token_trie_release(trie);
}

/* However many ways there are to read a text, calls of one rule at one place are one: threads grow with its length at most. */
static void test_ambiguous(void) {
    static const struct {
        const char *grammar, *text, *refused;
        uint32_t threads; /* that each byte adds, at most, to 12 */
    } cases[] = {
        {"root ::= s\ns ::= \"b\" | s s | s s s", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "a",
         0},
        {"root ::= e\ne ::= \"a\" | e e | \"(\" e \")\"", "((aa(a)a)a)aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ")", 0},
        {"root ::= a\na ::= \"x\" a \"x\" | \"x\" a | a \"x\" | \"x\"", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "y", 4},
        {"root ::= x*\nx ::= \"a\" | \"aa\" | x? \"b\" x?", "aabaabbbaaaabaaabbbbbababaaaabbaabbaababbabaaab", "c", 1},
        {"root ::= n n \".\"\nn ::= m? n? \"a\" | m\nm ::= n? n? \"b\"?", "aabbabbaabababaabbabba.", "a", 8},
    };
    mllm_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_matcher *m = composed(cases[i].grammar);
        for (const char *p = cases[i].text; m && *p; p++) {
            CHECK(mllm_matcher_accept_bytes(m, p, 1, &err) == MLLM_OK, "case %zu, byte %d: %s", i,
                  (int)(p - cases[i].text), err.message);
            CHECK(mllm_last_step(m)->count <= 12 + cases[i].threads * (p - cases[i].text),
                  "case %zu, byte %d: %u threads", i, (int)(p - cases[i].text), (unsigned)mllm_last_step(m)->count);
        }
        CHECK(mllm_matcher_is_complete(m) && mllm_matcher_min_left(m) == 0, "case %zu", i);
        CHECK(mllm_matcher_accept_bytes(m, cases[i].refused, 1, &err) == MLLM_E_GRAMMAR, "case %zu", i);
        mllm_matcher_release(m);
    }
    /* Two captures call one rule at one place: each keeps its name. */
    mllm_matcher *m =
        composed("root ::= (@capture \"p\" (\"a\") | @capture \"q\" ([ab])) x (\"1\" | \"2\")\nx ::= \"(\" x? \")\"");
    const char *name = "";
    size_t start, end;
    CHECK(mllm_matcher_accept_bytes(m, "b(())2", 6, &err) == MLLM_OK, "%s", err.message);
    CHECK(mllm_matcher_capture(m, 0, &name, &start, &end) && strcmp(name, "q") == 0 && end == 1, "'%s'", name);
    mllm_matcher_release(m);
}

static bool accepts(const char *schema_text, const char *text) {
    mllm_error err;
    mllm_grammar *g = schema(schema_text, &err);
    CHECK(g, "%s", err.message);
    mllm_matcher *m = mllm_matcher_new(g, NULL, &err);
    bool yes = mllm_matcher_accept_bytes(m, text, strlen(text), &err) == MLLM_OK && mllm_matcher_is_complete(m);
    mllm_matcher_release(m);
    mllm_grammar_release(g);
    return yes;
}

/* What once was wrong. */
static void test_found(void) {
    static const char keys[] = "{\"patternProperties\":{\"^[^z]{1,3}$\":true},\"additionalProperties\":false}";
    CHECK(!accepts(keys, "{\"\":1}"), "an empty key has no character");
    CHECK(accepts(keys, "{\"\\n\xC3\xA9x\":1}"), "three characters");
    CHECK(!accepts(keys, "{\"abcd\":1}"), "four characters");
    mllm_error err;
    static const char both[] = "{\"patternProperties\":{\"^a\":{\"type\":\"null\"},\"^ab\":{\"type\":\"boolean\"}}}";
    mllm_grammar *g = schema(both, &err);
    mllm_matcher *m = mllm_matcher_new(g, NULL, &err);
    CHECK(mllm_matcher_accept_bytes(m, "{\"a", 3, &err) == MLLM_OK, "%s", err.message);
    CHECK(mllm_matcher_accept_bytes(m, "b", 1, &err) == MLLM_E_GRAMMAR, "no name that begins with it has a value");
    mllm_matcher_release(m);
    mllm_grammar_release(g);
    CHECK(!accepts("{\"not\":{\"type\":\"integer\"}}", "1"), "no integer");
    CHECK(accepts("{\"not\":{\"type\":\"integer\"}}", "1.5"), "a fraction");
    CHECK(!accepts("{\"pattern\":\"^[a-z]+( [a-z]+)*$\",\"type\":\"string\"}", "\"a!\""), "the anchor holds");
    CHECK(!accepts("{\"type\":\"number\",\"minimum\":0,\"maximum\":9e18}", "-4"), "the sign");
    CHECK(accepts("{\"type\":\"number\",\"minimum\":0,\"maximum\":99.5}", "0.0012345678901234567890"), "many digits");
}

/* Free text: without the word, and UTF-8 to its end. */
static void test_without(void) {
    static const struct {
        const char *grammar, *text;
        bool complete;
    } cases[] = {{"root ::= @without \"c\"", "ab", true},
                 {"root ::= @without \"c\"", "\xC3\xA9", true},
                 {"root ::= @without \"c\"", "\xC3", false},
                 {"root ::= @without \"ababc\"", "abababa", true},
                 {"root ::= (@without \"c\"){2,}",
                  "\xF0\x9F\x98\x80"
                  "b",
                  true},
                 {"root ::= @without \"\xC3\xA9\" \"x\"", "\xC3\xA8x", true}};
    static const char *const refused[][2] = {{"root ::= @without \"c\"", "c"},
                                             {"root ::= @without \"ababc\"", "abababc"},
                                             {"root ::= @without \"c\"", "\xFF"},
                                             {"root ::= (@without \"c\"){2,}", "\xF0\x9F\x98\x80"
                                                                               "bc"},
                                             {"root ::= @without \"\xC3\xA9\"", "a\xC3\xA9"}};
    mllm_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_matcher *m = composed(cases[i].grammar);
        CHECK(mllm_matcher_accept_bytes(m, cases[i].text, strlen(cases[i].text), &err) == MLLM_OK, "case %zu: %s", i,
              err.message);
        CHECK(mllm_matcher_is_complete(m) == cases[i].complete, "case %zu", i);
        mllm_matcher_release(m);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        mllm_matcher *m = composed(refused[i][0]);
        CHECK(mllm_matcher_accept_bytes(m, refused[i][1], strlen(refused[i][1]), &err) == MLLM_E_GRAMMAR,
              "refused case %zu is taken", i);
        mllm_matcher_release(m);
    }
}

/* Bytes, not characters, and with the escapes that they need. */
static void test_min_left(void) {
    static const struct {
        const char *source, *text;
        unsigned left;
    } cases[] = {{"\xF0\x9F\x98\x80", "", 4},
                 {"\xF0\x9F\x98\x80", "\xF0", 3},
                 {"[^\"]", "\xEF", 2},
                 {"{\"type\":\"string\",\"pattern\":\"^\xC3\xA9$\"}", "", 4},
                 {"{\"type\":\"string\",\"pattern\":\"^\xC3\xA9$\"}", "\"\xC3", 2},
                 {"{\"type\":\"string\",\"pattern\":\"^\\\\n$\"}", "\"", 3},
                 {"{\"type\":\"string\",\"pattern\":\"^\\\\n$\"}", "\"\\", 2}};
    mllm_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *s = cases[i].source;
        mllm_grammar *g = *s == '{' ? schema(s, &err) : mllm_grammar_regex(s, strlen(s), &err);
        CHECK(g, "%s: %s", s, err.message);
        mllm_matcher *m = mllm_matcher_new(g, NULL, &err);
        CHECK(mllm_matcher_accept_bytes(m, cases[i].text, strlen(cases[i].text), &err) == MLLM_OK, "case %zu: %s", i,
              err.message);
        unsigned left = mllm_matcher_min_left(m);
        CHECK(left == cases[i].left, "case %zu: %u", i, left);
        mllm_matcher_release(m);
        mllm_grammar_release(g);
    }
}

/* A fork and its origin go their own ways, also back over the place where they parted. */
static void test_forks(void) {
    mllm_error err;
    mllm_grammar *g =
        schema("{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}}", &err);
    mllm_matcher *a = mllm_matcher_new(g, NULL, &err);
    for (int i = 0; i < 200; i++)
        CHECK(mllm_matcher_accept_bytes(a,
                                        i % 2 ? "[1],"
                                        : i   ? "[2],"
                                              : "[",
                                        i ? 4 : 1, &err) == MLLM_OK,
              "%d %s", i, err.message);
    mllm_matcher *b = mllm_matcher_fork(a, &err);
    CHECK(mllm_matcher_rollback(a, 150, &err) == MLLM_OK, "rollback");
    for (int i = 0; i < 300; i++) CHECK(mllm_matcher_accept_bytes(a, "[33],", 5, &err) == MLLM_OK, "%d", i);
    CHECK(mllm_matcher_rollback(b, 20, &err) == MLLM_OK, "rollback");
    CHECK(mllm_matcher_accept_bytes(b, "[4]]", 4, &err) == MLLM_OK && mllm_matcher_is_complete(b), "b");
    CHECK(mllm_matcher_accept_bytes(a, "[]]", 3, &err) == MLLM_OK && mllm_matcher_is_complete(a), "a");
    mllm_matcher_release(a);
    mllm_matcher_reset(b);
    CHECK(mllm_matcher_steps(b) == 0 && mllm_matcher_accept_bytes(b, "[]", 2, &err) == MLLM_OK, "reset");
    mllm_matcher_release(b);
    mllm_grammar_release(g);
}

static void test_forced(void) {
    mllm_error err;
    char out[64];
    mllm_grammar *g = schema("{\"type\":\"object\",\"required\":[\"name\",\"id\"],\"additionalProperties\":false,"
                             "\"properties\":{\"name\":{\"const\":\"x\"},\"id\":{\"type\":\"integer\"}}}",
                             &err);
    mllm_matcher *m = mllm_matcher_new(g, NULL, &err);
    size_t n = mllm_matcher_forced_bytes(m, out, sizeof out);
    CHECK(n == 8 && memcmp(out, "{\"name\":", 8) == 0, "%.*s", (int)n, out);
    CHECK(mllm_matcher_accept_bytes(m, "{\"name\":\"", 9, &err) == MLLM_OK, "%s", err.message);
    n = mllm_matcher_forced_bytes(m, out, sizeof out);
    CHECK(n == 3 && memcmp(out, "x\",", 3) == 0, "%.*s", (int)n, out);
    mllm_matcher_release(m);
    mllm_grammar_release(g);
}

/* Schemas and grammars made to hurt: an error that names a place, or a grammar, and soon. */
static void test_hostile(void) {
    mllm_error err = {MLLM_OK, ""};
    size_t size = 1 << 20, n = 0;
    char *text = malloc(size);
    mllm_grammar *g;
    n = 0;
    for (int i = 0; i < 10000; i++) n += (size_t)snprintf(text + n, size - n, "{\"not\":");
    g = mllm_grammar_json_schema(text, n, NULL, &err);
    CHECK(!g && strstr(err.message, "line 1"), "%s", err.message);
    n = (size_t)snprintf(
        text, size,
        "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}}}");
    g = mllm_grammar_json_schema(text, n, NULL, &err); /* says nothing: any value */
    CHECK(g, "%s", err.message);
    mllm_grammar_release(g);
    n = (size_t)snprintf(text, size,
                         "{\"$ref\":\"#/$defs/"
                         "a\",\"$defs\":{\"a\":{\"type\":\"object\",\"required\":[\"x\"],\"properties\":{\"x\":{\"$"
                         "ref\":\"#/$defs/a\"}}}}}");
    g = mllm_grammar_json_schema(text, n, NULL, &err);
    CHECK(!g && err.code == MLLM_E_GRAMMAR, "%s", err.message);
    /* 2^30 ways: one of two, thirty times. */
    n = (size_t)snprintf(text, size, "{\"allOf\":[");
    for (int i = 0; i < 30; i++)
        n += (size_t)snprintf(text + n, size - n,
                              "%s{\"anyOf\":[{\"properties\":{\"a%d\":{\"type\":\"string\"}}},{\"properties\":{\"b%d\":"
                              "{\"type\":\"null\"}}}]}",
                              i ? "," : "", i, i);
    n += (size_t)snprintf(text + n, size - n, "]}");
    g = mllm_grammar_json_schema(text, n, NULL, &err);
    CHECK(g || err.code == MLLM_E_LIMIT, "%s", err.message);
    if (g) {
        mllm_matcher *m = mllm_matcher_new(g, NULL, &err);
        CHECK(mllm_matcher_accept_bytes(m, "{\"a0\":1,\"b0\":null}", 18, &err) == MLLM_OK, "%s", err.message);
        CHECK(mllm_matcher_is_complete(m), "complete");
        mllm_matcher_release(m);
        mllm_grammar_release(g);
    }
    /* The same doubled at each of many levels. */
    n = 0;
    for (int i = 0; i < 100; i++) n += (size_t)snprintf(text + n, size - n, "{\"anyOf\":[{\"type\":\"string\"},");
    n += (size_t)snprintf(text + n, size - n, "true");
    for (int i = 0; i < 100; i++) n += (size_t)snprintf(text + n, size - n, "]}");
    g = mllm_grammar_json_schema(text, n, NULL, &err);
    CHECK(g || err.code == MLLM_E_LIMIT, "%s", err.message);
    mllm_grammar_release(g);
    /* GBNF: deep groups, a tower of repeats, rules that double, no end. */
    n = (size_t)snprintf(text, size, "root ::= ");
    memset(text + n, '(', 60000);
    g = mllm_grammar_gbnf(text, n + 60000, &err);
    CHECK(!g && strstr(err.message, "line 1, column 210"), "%s", err.message);
    n = (size_t)snprintf(text, size, "root ::= \"a\"**************************************************");
    g = mllm_grammar_gbnf(text, n, &err);
    CHECK(!g && err.code == MLLM_E_LIMIT, "%s", err.message);
    n = 0;
    for (int i = 0; i < 40; i++) n += (size_t)snprintf(text + n, size - n, "%s%d ::= r%d r%d\n", "r", i, i + 1, i + 1);
    n += (size_t)snprintf(text + n, size - n, "r40 ::= \"a\"\nroot ::= r0 r20 | r38\n");
    g = mllm_grammar_gbnf(text, n, &err);
    CHECK(g, "%s", err.message);
    if (g) {
        mllm_matcher *m = mllm_matcher_new(g, NULL, &err);
        CHECK(m && mllm_matcher_accept_bytes(m, "aaaa", 4, &err) == MLLM_OK && mllm_matcher_is_complete(m), "%s",
              err.message);
        mllm_matcher_release(m);
        mllm_grammar_release(g);
    }
    n = 0;
    for (int i = 0; i < 5000; i++) n += (size_t)snprintf(text + n, size - n, "r%d ::= r%d \"x\" | \"y\" \n", i, i + 1);
    n += (size_t)snprintf(text + n, size - n, "r5000 ::= r0 | \"z\"\nroot ::= r0\n");
    g = mllm_grammar_gbnf(text, n, &err);
    CHECK(g || (err.code == MLLM_E_LIMIT && strstr(err.message, "line")), "%s", err.message);
    mllm_grammar_release(g);
    /* Without end to the right: every step pushes, and the stack has a limit with a name. */
    g = mllm_grammar_gbnf("root ::= \"a\" root \"b\" | \"\"", 26, &err);
    mllm_matcher *m = mllm_matcher_new(g, NULL, &err);
    memset(text, 'a', 50000);
    CHECK(mllm_matcher_accept_bytes(m, text, 50000, &err) == MLLM_E_LIMIT && strstr(err.message, "nested"), "%s",
          err.message);
    CHECK(mllm_matcher_accept_bytes(m, "aabb", 4, &err) == MLLM_OK && mllm_matcher_is_complete(m), "%s", err.message);
    mllm_matcher_release(m);
    mllm_grammar_release(g);
    free(text);
}

/* Everything once, with the n-th allocation failing: an error, no leak (the sanitizers look), no crash. Returns whether all went well. */
static bool everything(void) {
    static const char text[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,\"x\",{\"b\":[2]}]},\"s\":{\"type\":\"string\","
        "\"pattern\":\"^a+b\","
        "\"format\":\"date\"}},\"patternProperties\":{\"^p\":{\"anyOf\":[{\"type\":\"array\",\"uniqueItems\":true},{"
        "\"type\":\"number\","
        "\"minimum\":0.5}]}},\"required\":[\"a\"],\"not\":{\"required\":[\"z\"],\"minProperties\":9}}";
    static const char rules[] =
        "root ::= e \";\" @capture \"n\" (@1)\ne ::= e \"+\" t | t\nt ::= [0-9]{1,3} | \"(\" e \")\"\n";
    mllm_error err = {MLLM_OK, ""};
    uint64_t mask[1];
    char out[16];
    bool ok = false;
    mllm_token_trie *trie = make_trie(&err);
    mllm_grammar *g = trie ? schema(text, &err) : NULL,
                 *r = g ? mllm_grammar_compose(rules, sizeof rules - 1, &g, 1, &err) : NULL;
    mllm_matcher *m = r ? mllm_matcher_new(r, trie, &err) : NULL;
    if (m) {
        ok = mllm_matcher_accept_bytes(m, "12+(3);{\"a\":{\"b\":[2]},\"p1\":[1,[2],\"", 35, &err) == MLLM_OK;
        ok = ok && mllm_matcher_mask(m, mask, 0, &err) == MLLM_OK;
        mllm_matcher *f = ok ? mllm_matcher_fork(m, &err) : NULL;
        ok = ok && f && mllm_matcher_accept_bytes(f, "\"],\"p\":0.75}", 12, &err) == MLLM_OK &&
             mllm_matcher_is_complete(f);
        if (f) mllm_matcher_forced_bytes(f, out, sizeof out);
        mllm_matcher_release(f);
        ok = ok && mllm_matcher_mask(m, mask, 60, &err) == MLLM_OK;
    }
    ok = ok && mllm_json_validate(text, sizeof text - 1, "{\"a\":1}", 7, NULL, &err) == MLLM_OK;
    if (!ok) CHECK(err.code == MLLM_E_MEMORY, "%d %s", (int)err.code, err.message);
    mllm_matcher_release(m);
    mllm_grammar_release(r);
    mllm_grammar_release(g);
    mllm_token_trie_release(trie);
    return ok;
}

static void test_allocations(void) {
    mllm_set_allocator(failing, NULL);
    bool ok = false;
    int n = 0;
    for (; !ok && n < 4000; n++) {
        fail_once(n);
        ok = everything();
    }
    mllm_set_allocator(NULL, NULL);
    CHECK(ok && n > 100, "%d", n);
}

/* ------------------------------------------------------ tokens of a text of ours */

static uint64_t draw(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

enum { BYTES = 256, PIECES = 200, MANY = 1 + BYTES + PIECES };

typedef struct {
    char pieces[MANY][9];
    const char *bytes[MANY];
    uint32_t lengths[MANY];
    bool ends[MANY], twin[MANY]; /* twin: the same bytes as an earlier one */
} pieces;

/* An end token, all bytes, and pieces of `text`. */
static mllm_token_trie *trie_of(pieces *p, const char *text, uint64_t *seed, mllm_error *err) {
    size_t n = strlen(text);
    memset(p, 0, sizeof *p);
    p->ends[0] = true;
    for (uint32_t i = 1; i < MANY; i++) {
        p->bytes[i] = p->pieces[i];
        p->lengths[i] = 1;
        p->pieces[i][0] = (char)(i - 1);
        if (i <= BYTES) continue;
        p->lengths[i] = 2 + (uint32_t)(draw(seed) % 7);
        if (p->lengths[i] > n) p->lengths[i] = (uint32_t)n;
        memcpy(p->pieces[i], text + draw(seed) % (n - p->lengths[i] + 1), p->lengths[i]);
        for (uint32_t j = 1; j < i; j++)
            p->twin[i] = p->twin[i] ||
                         (p->lengths[j] == p->lengths[i] && memcmp(p->pieces[j], p->pieces[i], p->lengths[i]) == 0);
    }
    return mllm_token_trie_from(p->bytes, p->lengths, p->ends, MANY, err);
}

static bool bit(const uint64_t *mask, uint32_t id) {
    return mask[id / 64] >> (id % 64) & 1;
}

/* Valid texts cut into tokens at random: masks, the walk over tokens and the walk over bytes say the same at every place. */
static void test_retokenised(void) {
    static const char *const rows[][2] = {
        {"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":9},\"n\":{\"type\":"
         "\"number\",\"multipleOf\":0.5}},\"required\":[\"n\"]}",
         "{\"name\": \"caf\xC3\xA9 \xF0\x9F\x98\x80\", \"n\":-12.5,\"more\":[true, null]}"},
        {"{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"enum\":[\"one\",\"on\",1,\"two\",null]}}",
         "[\"on\", \"one\",1, null]"},
        {"{\"patternProperties\":{\"^x_\":{\"type\":\"integer\"}},\"additionalProperties\":{\"format\":\"date\","
         "\"type\":\"string\"}}",
         "{\"x_\\n\":7, \"x\": \"2024-02-29\",\"y\":\"1999-12-31\"}"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}}", "[\"ab\",\"\\n\xC3\xA9"
                                                                                                 "a\"]"},
        {"{\"additionalProperties\":{\"type\":\"string\",\"minLength\":1}}", "{\"aa\":\"\\\"x\", \"\xC3\xA9\":\"a:\"}"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":\"^[ab1]+-$\",\"maxLength\":5}}",
         "[\"abab-\",\"1-\"]"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"uniqueItems\":true}", "[\"a\",\"aa\",\"\\\\\"]"},
        {"{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"not\":{\"properties\":{\"c\":{\"const\":1}},"
         "\"required\":[\"c\"]}}",
         "{\"b\":\"\\u0001\\\\\", \"c\":12}"},
        {"{\"$defs\":{\"t\":{\"properties\":{\"l\":{\"$ref\":\"#/$defs/"
         "t\"},\"v\":{\"pattern\":\"[0-9]{2}$\",\"type\":\"string\"}}}},\"$ref\":\"#/$defs/t\"}",
         "{\"l\":{\"l\":{\"v\":\"a42\"},\"v\":\"00\"}}"},
    };
    uint64_t seed = 88172645463325252u, mask[(MANY + 63) / 64];
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        static pieces p;
        mllm_error err = {MLLM_OK, ""};
        const char *text = rows[row][1];
        mllm_token_trie *trie = trie_of(&p, text, &seed, &err);
        mllm_grammar *g = schema(rows[row][0], &err);
        if (!trie || !g) {
            CHECK(false, "%s", err.message);
            continue;
        }
        for (int round = 0; round < 3; round++) {
            mllm_matcher *m = mllm_matcher_new(g, trie, &err), *plain = mllm_matcher_new(g, NULL, &err);
            for (size_t at = 0, n = strlen(text); at < n;) {
                CHECK(mllm_matcher_mask(m, mask, 0, &err) == MLLM_OK, "%s: %s", text, err.message);
                uint32_t fitting[MANY], count = 0;
                for (uint32_t i = 1; i < MANY; i++)
                    if (!p.twin[i] && strncmp(text + at, p.pieces[i], p.lengths[i]) == 0) fitting[count++] = i;
                for (int k = 0; k < 30; k++) {
                    uint32_t i = 1 + (uint32_t)(draw(&seed) % (MANY - 1));
                    bool taken = mllm_matcher_accept(m, (mllm_token)i, &err) == MLLM_OK;
                    bool same = mllm_matcher_accept_bytes(plain, p.bytes[i], p.lengths[i], &err) == MLLM_OK;
                    CHECK(taken == same, "%s at %zu: token %u", text, at, (unsigned)i);
                    if (!p.twin[i]) CHECK(bit(mask, i) == taken, "%s at %zu: token %u", text, at, (unsigned)i);
                    if (taken) mllm_matcher_rollback(m, 1, NULL);
                    if (same) mllm_matcher_rollback(plain, 1, NULL);
                }
                uint32_t id = fitting[draw(&seed) % count];
                CHECK(bit(mask, id), "%s at %zu: '%s' is masked", text, at, p.pieces[id]);
                CHECK(mllm_matcher_accept(m, (mllm_token)id, &err) == MLLM_OK, "%s at %zu: %s", text, at, err.message);
                CHECK(mllm_matcher_accept_bytes(plain, p.bytes[id], p.lengths[id], &err) == MLLM_OK, "%s", err.message);
                at += p.lengths[id];
            }
            CHECK(mllm_matcher_is_complete(m) && mllm_matcher_is_complete(plain), "%s", text);
            mllm_matcher_release(m);
            mllm_matcher_release(plain);
        }
        mllm_grammar_release(g);
        mllm_token_trie_release(trie);
    }
}

/* A matcher of a schema; NULL after a failed check. */
static mllm_matcher *matcher_of(const char *text, bool any_order, mllm_token_trie *trie) {
    mllm_error err = {MLLM_OK, ""};
    mllm_schema_options options = {.any_order = any_order};
    mllm_grammar *g = mllm_grammar_json_schema(text, strlen(text), &options, &err);
    mllm_matcher *m = g && trie ? mllm_matcher_new(g, trie, &err) : NULL;
    CHECK(m, "%s: %s", text, err.message);
    mllm_grammar_release(g);
    return m;
}

/* Tokens drawn evenly from the masks under a budget that a completion fits into end in valid texts, whatever is checked at closing. */
static void test_budget(void) {
    static const char *const schemas[] = {
        "{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"const\":\"a\"},\"b\":{\"type\":\"array\","
        "\"minItems\":9,\"items\":{"
        "\"const\":true}}},\"required\":[\"a\",\"b\"]},{\"type\":\"object\",\"properties\":{\"a\":{\"const\":\"ab\"},"
        "\"b\":{\"const\":1}},"
        "\"required\":[\"a\",\"b\"]}]}",
        "{\"type\":\"string\",\"pattern\":\"[ab]{3}-[01]{4}\"}",
        "{\"type\":\"object\",\"patternProperties\":{\".*\":{\"type\":\"boolean\"}},\"minProperties\":2}",
        "{\"type\":\"object\",\"patternProperties\":{\"^B[0-9]+$\":{\"type\":\"null\"}},\"additionalProperties\":false,"
        "\"minProperties\":1}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"const\":12345},\"c\":{\"type\":"
        "\"null\"}},"
        "\"dependencies\":{\"a\":[\"c\"],\"c\":[\"b\"]},\"additionalProperties\":false}",
        "{\"type\":\"object\",\"properties\":{\"j\":{\"type\":\"null\"},\"s\":{\"type\":\"null\"},\"t\":{\"type\":"
        "\"null\"}},"
        "\"required\":[\"t\"],\"minProperties\":2,\"maxProperties\":2,\"additionalProperties\":false}",
        "{\"type\":\"object\",\"properties\":{\"h\":{\"type\":\"integer\"},\"l\":{\"type\":\"integer\"},\"r\":{"
        "\"type\":\"integer\"}},"
        "\"oneOf\":[{\"required\":[\"l\"]},{\"required\":[\"r\"]},{\"required\":[\"r\",\"h\"]}],"
        "\"additionalProperties\":false}",
        "{\"type\":\"array\",\"uniqueItems\":true,\"minItems\":3,\"items\":{\"enum\":[1,2,\"three\"]}}",
        "{\"type\":\"object\",\"properties\":{\"k\":{\"enum\":[\"a\",\"b\"]},\"v\":{\"type\":[\"string\",\"integer\"]}}"
        ","
        "\"required\":[\"k\",\"v\"],\"not\":{\"properties\":{\"k\":{\"const\":\"a\"},\"v\":{\"type\":\"string\"}}}}",
    };
    uint64_t seed = 521288629u, mask[(MANY + 63) / 64];
    for (size_t row = 0; row < sizeof schemas / sizeof *schemas; row++) {
        static pieces p;
        mllm_error err = {MLLM_OK, ""};
        mllm_token_trie *trie = trie_of(&p, schemas[row], &seed, &err);
        for (int round = 0; round < 40; round++) {
            mllm_matcher *m = matcher_of(schemas[row], round % 2, trie);
            if (!m) break;
            size_t tokens = mllm_matcher_completion(m, NULL, 0);
            CHECK(tokens != SIZE_MAX, "%s: no completion is found", schemas[row]);
            uint32_t budget = round % 4 < 2 ? mllm_matcher_min_left(m) + (uint32_t)(draw(&seed) % 60)
                                            : (uint32_t)tokens + (uint32_t)(draw(&seed) % 12);
            if (budget < tokens) budget = (uint32_t)tokens;
            for (; budget > 0 && !mllm_matcher_is_finished(m); budget--) {
                uint32_t list[MANY], count = 0;
                if (mllm_matcher_is_complete(m) && draw(&seed) % 3 == 0) break;
                if (mllm_matcher_mask(m, mask, budget, &err) != MLLM_OK) break;
                for (uint32_t i = 0; i < MANY; i++)
                    if (bit(mask, i)) list[count++] = i;
                if (count == 0) break;
                uint32_t id = list[draw(&seed) % count];
                CHECK(mllm_matcher_accept(m, (mllm_token)id, &err) == MLLM_OK, "%s: %s", schemas[row], err.message);
            }
            size_t n;
            const char *text = mllm_matcher_text(m, &n);
            CHECK(mllm_matcher_is_complete(m), "%s, round %d: %.*s: %s", schemas[row], round, (int)n, text,
                  err.message);
            CHECK(mllm_json_validate(schemas[row], strlen(schemas[row]), text, n, NULL, &err) == MLLM_OK, "%.*s: %s",
                  (int)n, text, err.message);
            mllm_matcher_release(m);
        }
        mllm_token_trie_release(trie);
    }
}

/* One of the allowed tokens: evenly, or (`last`) among the last few, which are pieces of the schema, so that structure comes up often. */
static uint32_t pick(const uint64_t *mask, bool last, uint64_t *seed) {
    uint32_t list[MANY], count = 0, few;
    for (uint32_t i = 0; i < MANY; i++)
        if (bit(mask, i)) list[count++] = i;
    if (!count) return MANY;
    few = last && count > 3 ? 3 : count;
    return list[count - 1 - draw(seed) % few];
}

/* Draws under a budget, again when a token is not taken within it: the text always comes to a valid end. */
static void test_ends(void) {
    static const char *const schemas[] = {
        /* names of a bounded length, names that no value is possible for, few names */
        "{\"type\":\"object\",\"patternProperties\":{\"^[ab]{1,6}$\":{\"type\":\"null\"}},\"additionalProperties\":"
        "false,"
        "\"minProperties\":1}",
        "{\"type\":\"object\",\"patternProperties\":{\"x\":false,\"^[^x]{3}\":{\"type\":\"null\"}},\"minProperties\":"
        "1}",
        "{\"type\":\"object\",\"propertyNames\":{\"minLength\":2,\"maxLength\":4},\"additionalProperties\":{\"type\":"
        "\"null\"}}",
        "{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^[xy]{2,3}$\"},\"additionalProperties\":{\"type\":"
        "\"null\"},\"maxProperties\":4}",
        "{\"type\":\"object\",\"patternProperties\":{\"^[01]$\":{\"type\":\"null\"}},\"additionalProperties\":false}",
        "{\"type\":\"object\",\"propertyNames\":{\"not\":{\"pattern\":\"^a\"},\"maxLength\":5},"
        "\"additionalProperties\":{"
        "\"type\":\"null\"}}",
        /* checks when a value closes */
        "{\"type\":\"object\",\"oneOf\":[{\"patternProperties\":{\"a\":{\"type\":\"object\"}},\"not\":{"
        "\"patternProperties\":{\"a\":{\"not\":{\"type\":\"object\"}}}}},{\"patternProperties\":{\"b\":{\"type\":"
        "\"object\"}},\"not\":{\"patternProperties\":{\"b\":{\"not\":{\"type\":\"object\"}}}}}]}",
        "{\"type\":\"object\",\"patternProperties\":{\"^[0-9]$\":{\"type\":\"array\",\"minItems\":2}},"
        "\"additionalProperties\":false,\"not\":{\"anyOf\":[{\"propertyNames\":{\"enum\":[\"1\",\"3\"]}},{"
        "\"propertyNames\":{\"not\":{\"enum\":[\"4\",\"7\"]}}}]},\"maxProperties\":2}",
        "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"enum\":[1,12,\"a\"]}}",
        "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"contains\":{\"minimum\":10},\"maxContains\":1,"
        "\"uniqueItems\":true,\"maxItems\":4}",
        "{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"},\"v\":{\"type\":[\"string\",\"null\"]}},"
        "\"required\":[\"k\"],\"if\":{\"properties\":{\"k\":{\"pattern\":\"^a\"}}},\"then\":{\"properties\":{\"v\":{"
        "\"type\":\"null\"}},\"required\":[\"v\"]},\"additionalProperties\":false}",
        "{\"type\":\"string\",\"maxLength\":5,\"oneOf\":[{\"pattern\":\"a$\"},{\"pattern\":\"^b\"}]}",
        /* only a pattern inside two negations says which string is wanted, and where */
        "{\"type\":\"object\",\"additionalProperties\":{\"type\":[\"string\",\"null\"]},\"not\":{\"patternProperties\":"
        "{"
        "\"^k\":{\"not\":{\"type\":\"string\",\"pattern\":\"99|[0-8]{4}\"}}}}}",
    };
    uint64_t seed = 88172645463325252u, mask[(MANY + 63) / 64];
    for (size_t row = 0; row < sizeof schemas / sizeof *schemas; row++) {
        static pieces p;
        mllm_error err = {MLLM_OK, ""};
        mllm_token_trie *trie = trie_of(&p, schemas[row], &seed, &err);
        for (int round = 0; round < 24; round++) {
            mllm_matcher *m = matcher_of(schemas[row], round % 2, trie);
            if (!m) break;
            size_t tokens = mllm_matcher_completion(m, NULL, 0), n;
            CHECK(tokens != SIZE_MAX, "%s: no completion is found", schemas[row]);
            uint32_t budget = (uint32_t)tokens + (uint32_t)(draw(&seed) % 60), again = 0;
            while (budget > 0 && !mllm_matcher_is_finished(m)) {
                if (mllm_matcher_is_complete(m) && draw(&seed) % 8 == 0) break;
                mllm_code code = mllm_matcher_mask(m, mask, budget, &err);
                uint32_t id = code == MLLM_OK ? pick(mask, round & 4, &seed) : MANY;
                if (id == MANY) break;
                code = mllm_matcher_accept_within(m, (mllm_token)id, budget, &err);
                again = code == MLLM_OK ? 0 : again + 1;
                budget -= code == MLLM_OK;
                CHECK(again <= 8, "%s: token %u: %s", schemas[row], (unsigned)id, err.message);
                if (again > 8) break;
            }
            const char *text = mllm_matcher_text(m, &n);
            CHECK(mllm_matcher_is_complete(m), "%s, round %d: %.*s: %s", schemas[row], round, (int)n, text,
                  err.message);
            CHECK(mllm_json_validate(schemas[row], strlen(schemas[row]), text, n, NULL, &err) == MLLM_OK, "%.*s: %s",
                  (int)n, text, err.message);
            mllm_matcher_release(m);
        }
        mllm_token_trie_release(trie);
    }
}

static const test_case tests[] = {{"retokenised", test_retokenised},
                                  {"budget", test_budget},
                                  {"ends", test_ends},
                                  {"masks", test_masks},
                                  {"found", test_found},
                                  {"without", test_without},
                                  {"min left", test_min_left},
                                  {"forks", test_forks},
                                  {"forced", test_forced},
                                  {"variants", test_variants},
                                  {"ambiguous", test_ambiguous},
                                  {"rule masks", test_rule_masks},
                                  {"hostile", test_hostile},
                                  {"allocations", test_allocations}};
TEST_MAIN(tests)
