#include "test.h"

#include "generate/stop.h"

/* Pushes `text` in pieces of `step` bytes; what comes out goes to out. True: a stop string completed. */
static bool run(const char *const *stops, size_t count, const char *text, size_t step, char *out, size_t size) {
    mllm_span spans[8];
    mllm_stop_filter f;
    mllm_error err;
    for (size_t i = 0; i < count; i++) spans[i] = (mllm_span){stops[i], strlen(stops[i])};
    CHECK(mllm_stop_filter_init(&f, spans, count, &err) == MLLM_OK);
    size_t length = strlen(text), used = 0;
    bool found = false;
    for (size_t at = 0; at < length && !found; at += step) {
        size_t n = length - at < step ? length - at : step, ready;
        CHECK(mllm_stop_filter_push(&f, text + at, n, &ready, &found, &err) == MLLM_OK);
        CHECK(used + ready < size);
        memcpy(out + used, f.held, ready);
        used += ready;
        mllm_stop_filter_take(&f, ready);
    }
    if (!found) { /* the end: what is held goes out */
        memcpy(out + used, f.held, f.length);
        used += f.length;
    }
    out[used] = 0;
    mllm_stop_filter_free(&f);
    return found;
}

static void test_cuts(void) {
    static const struct {
        const char *stops[3];
        const char *text, *expected;
        bool found;
    } cases[] = {
        {{NULL}, "all of it", "all of it", false},
        {{"END"}, "the END is near", "the ", true},
        {{"END"}, "the EN", "the EN", false},
        {{"aab"}, "aaab", "a", true},
        {{"abab"}, "abaabab!", "aba", true},
        {{"bc", "abcd"}, "abcd", "a", true}, /* the one that ends first, in whatever pieces it came */
        {{"c", "abc"}, "xabc", "x", true}, /* both end at once: the longer one */
        {{"\n\n", "\nUser:"}, "hi\nUse\nUser: x", "hi\nUse", true},
        {{"x"}, "x", "", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t count = 0;
        while (count < 3 && cases[i].stops[count]) count++;
        for (size_t step = 1; step <= 20; step++) {
            char out[100];
            bool found = run(cases[i].stops, count, cases[i].text, step, out, sizeof out);
            CHECK(found == cases[i].found, "case %zu, step %zu", i, step);
            CHECK(strcmp(out, cases[i].expected) == 0, "case %zu, step %zu: \"%s\"", i, step, out);
        }
    }
}

/* A stop string of foreign bytes must not cut a character in two. */
static void test_characters(void) {
    char out[100];
    const char *stops[] = {"\xa9x"};
    CHECK(run(stops, 1, "a\xc3\xa9x", 4, out, sizeof out));
    CHECK(strcmp(out, "a") == 0, "\"%s\"", out);
    CHECK(!run(stops, 1, "a\xc3\xa9y", 3, out, sizeof out));
    CHECK(strcmp(out, "a\xc3\xa9y") == 0, "\"%s\"", out);
}

static void test_limits(void) {
    mllm_stop_filter f;
    mllm_error err;
    mllm_span many[MLLM_MAX_STOPS + 1];
    for (int i = 0; i <= MLLM_MAX_STOPS; i++) many[i] = (mllm_span){"x", 1};
    CHECK(mllm_stop_filter_init(&f, many, MLLM_MAX_STOPS + 1, &err) == MLLM_E_ARGUMENT);
    CHECK(mllm_stop_filter_init(&f, &(mllm_span){"", 0}, 1, &err) == MLLM_E_ARGUMENT);
    static char big[MLLM_MAX_STOP_BYTES + 1];
    memset(big, 'a', sizeof big);
    CHECK(mllm_stop_filter_init(&f, &(mllm_span){big, sizeof big}, 1, &err) == MLLM_E_ARGUMENT);
    CHECK(strstr(err.message, "4096") != NULL, "%s", err.message);
    CHECK(mllm_stop_filter_init(&f, many, MLLM_MAX_STOPS, &err) == MLLM_OK);
    mllm_stop_filter_free(&f);
}

static const test_case tests[] = {
    {"cuts", test_cuts},
    {"characters", test_characters},
    {"limits", test_limits},
};
TEST_MAIN(tests)
