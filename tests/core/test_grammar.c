/* Grammars and matchers: masks on a small vocabulary, forks and rollback, hostile input, the n-th allocation failing. */
#include "test.h"

#include <time.h>

#include "base/json.h"

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
        {"{\"not\":{\"const\":{\"a\":1}},\"type\":\"object\"}", "{\"a\":12}"},
        {"{\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"type\":\"object\"}", "{\"a\":1}"},
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
    CHECK(!accepts("{\"not\":{\"type\":\"integer\"}}", "1"), "no integer");
    CHECK(accepts("{\"not\":{\"type\":\"integer\"}}", "1.5"), "a fraction");
    CHECK(!accepts("{\"pattern\":\"^[a-z]+( [a-z]+)*$\",\"type\":\"string\"}", "\"a!\""), "the anchor holds");
    CHECK(!accepts("{\"type\":\"number\",\"minimum\":0,\"maximum\":9e18}", "-4"), "the sign");
    CHECK(accepts("{\"type\":\"number\",\"minimum\":0,\"maximum\":99.5}", "0.0012345678901234567890"), "many digits");
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

static int countdown;
static void *failing(void *ctx, void *ptr, size_t size) {
    (void)ctx;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (countdown-- == 0) return NULL;
    return realloc(ptr, size);
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
        countdown = n;
        ok = everything();
    }
    mllm_set_allocator(NULL, NULL);
    CHECK(ok && n > 100, "%d", n);
}

/* Random bytes at the schema and GBNF readers, random tokens at matchers. */
static void test_fuzz(void) {
    static const char *const seeds[] = {
        "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"},\"b\":{\"type\":[\"string\",\"null\"],"
        "\"minLength\":2}},\"required\":[\"a\"]}",
        "{\"anyOf\":[{\"type\":\"integer\",\"multipleOf\":3},{\"type\":\"array\",\"prefixItems\":[true,false],"
        "\"items\":{\"const\":1.50}}],\"not\":{\"const\":6}}",
        "{\"if\":{\"properties\":{\"k\":{\"const\":1}}},\"then\":{\"required\":[\"x\"]},\"else\":{\"maxProperties\":2},"
        "\"propertyNames\":{\"pattern\":\"^.{1,3}$\"}}",
        "{\"$defs\":{\"n\":{\"oneOf\":[{\"type\":\"number\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/"
        "n\"},\"contains\":{\"minimum\":1}}]}},\"$ref\":\"#/$defs/n\"}",
        "root ::= (a | b)* [^x-z\\n]{2,4} # c\na ::= \"q\" b?\nb ::= a \"w\" | \"\" | b b\n",
    };
    mllm_error err;
    mllm_token_trie *trie = make_trie(&err);
    uint64_t seed = 42, made = 0;
    int rounds = getenv("MLLM_FUZZ") ? atoi(getenv("MLLM_FUZZ")) : 1500;
    for (int round = 0; round < rounds; round++) {
        char text[400];
        const char *from = seeds[round % 5];
        size_t n = strlen(from);
        memcpy(text, from, n + 1);
        for (int k = 0; k < round / 5 % 4; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t at = (seed >> 33) % n, other = (seed >> 13) % n;
            if (seed >> 62 & 1)
                text[at] = text[other];
            else
                memmove(text + at, text + at + 1, n-- - at);
        }
        err = (mllm_error){MLLM_OK, ""};
        mllm_grammar *g =
            round % 5 == 4 ? mllm_grammar_gbnf(text, n, &err) : mllm_grammar_json_schema(text, n, NULL, &err);
        if (!g) {
            CHECK(err.message[0], "no message for %s", text);
            continue;
        }
        made++;
        mllm_matcher *m = mllm_matcher_new(g, trie, &err);
        CHECK(m || err.code == MLLM_E_LIMIT, "%s", err.message);
        for (int i = 0; m && i < 30; i++) {
            uint64_t mask[1];
            if (mllm_matcher_mask(m, mask, i % 3 ? 0 : 40, &err) != MLLM_OK || !mask[0]) break;
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            int pick = (int)((seed >> 33) % (unsigned)__builtin_popcountll(mask[0]));
            uint64_t bits = mask[0];
            while (pick--) bits &= bits - 1;
            CHECK(mllm_matcher_accept(m, __builtin_ctzll(bits), &err) == MLLM_OK, "%s: token %d: %s", text,
                  __builtin_ctzll(bits), err.message);
            if (seed >> 60 == 0) mllm_matcher_rollback(m, 1, NULL);
            if (mllm_matcher_is_complete(m) && round % 5 != 4) {
                size_t length;
                const char *out = mllm_matcher_text(m, &length);
                CHECK(mllm_json_validate(text, n, out, length, NULL, &err) == MLLM_OK, "%s takes %.*s: %s", text,
                      (int)length, out, err.message);
            }
        }
        mllm_matcher_release(m);
        mllm_grammar_release(g);
    }
    CHECK(made > 300, "%d", (int)made);
    mllm_token_trie_release(trie);
}

static const test_case tests[] = {{"masks", test_masks},   {"found", test_found},     {"forks", test_forks},
                                  {"forced", test_forced}, {"hostile", test_hostile}, {"allocations", test_allocations},
                                  {"fuzz", test_fuzz}};
TEST_MAIN(tests)
