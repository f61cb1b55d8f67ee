#include "failing.h"
#include "test.h"

#include <poll.h>
#include <pthread.h>

#define TINY "tests/golden/tiny.gguf"

/* ------------------------------------------------------------------- helpers */

static mllm_model *load(void) {
    mllm_error err = {MLLM_OK, ""};
    mllm_model *model = mllm_model_load(TINY, &(mllm_load_options){.kernel = "reference", .threads = 1}, &err);
    CHECK(model, "%s", err.message);
    return model;
}

static const mllm_token prompt[] = {1, 300, 310, 320, 330};
enum { PROMPT = sizeof prompt / sizeof *prompt };

static mllm_generation_options options(size_t max_tokens) {
    return (mllm_generation_options){.prompt = prompt, .prompt_count = PROMPT, .max_tokens = max_tokens};
}

static size_t drain(mllm_generation *g, char *out, size_t used, size_t size, size_t chunk) {
    for (size_t n; (n = mllm_generation_read(g, out + used, used + chunk < size ? chunk : size - used)) > 0;) used += n;
    out[used] = 0;
    return used;
}

static void expected_text(mllm_model *model, size_t tokens, char *out, size_t size) {
    mllm_session *s = mllm_session_new(model, &(mllm_session_options){.context = 256}, NULL);
    mllm_generation_options o = options(tokens);
    mllm_generation *g = mllm_generation_new(s, &o, NULL);
    CHECK(mllm_generation_step(g, -1, NULL) == MLLM_OK);
    drain(g, out, 0, size - 1, size);
    mllm_generation_release(g);
    mllm_session_release(s);
}

/* --------------------------------------------------------------------- tests */

static void test_ways(void) {
    mllm_model *model = load();
    char expected[1000], text[1000];
    expected_text(model, 40, expected, sizeof expected);
    CHECK(strlen(expected) > 20);
    for (int way = 0; way < 4; way++) {
        mllm_error err = {MLLM_OK, ""};
        mllm_session *s = mllm_session_new(model, &(mllm_session_options){.context = 256}, &err);
        mllm_generation_options o = options(40);
        o.feed_last = way % 2;
        mllm_generation *g = mllm_generation_new(s, &o, &err);
        CHECK(g, "%s", err.message);
        size_t used = 0;
        if (way < 2) {
            while (mllm_generation_state(g) == MLLM_STOP_NONE) {
                CHECK((way ? mllm_generation_advance(g, &err) : mllm_generation_step(g, 0, &err)) == MLLM_OK);
                used = drain(g, text, used, sizeof text - 1, 4);
            }
        } else {
            CHECK(mllm_generation_start(g, &err) == MLLM_OK, "%s", err.message);
            CHECK(mllm_generation_step(g, -1, &err) == MLLM_E_ARGUMENT);
            struct pollfd p = {.fd = way == 3 ? mllm_generation_pollfd(g, &err) : -1, .events = POLLIN};
            do {
                if (way == 3)
                    CHECK(poll(&p, 1, 20000) == 1 && mllm_generation_wait(g, 0));
                else
                    CHECK(mllm_generation_wait(g, -1));
                used = drain(g, text, used, sizeof text - 1, 7);
            } while (mllm_generation_state(g) == MLLM_STOP_NONE);
            used = drain(g, text, used, sizeof text - 1, 7);
        }
        CHECK(strcmp(text, expected) == 0, "way %d: %s\ninstead of: %s", way, text, expected);
        mllm_generation_stats stats = mllm_generation_get_stats(g);
        CHECK(stats.tokens == 40 && stats.prompt_tokens == PROMPT && stats.stop == MLLM_STOP_LENGTH);
        mllm_token ids[64];
        CHECK(mllm_generation_read_tokens(g, ids, 30) == 30);
        CHECK(mllm_generation_read_tokens(g, ids + 30, 30) == 10);
        size_t count;
        const mllm_token *tokens = mllm_session_tokens(s, &count);
        CHECK(count == (size_t)(PROMPT + 39 + way % 2), "%zu", count);
        CHECK(memcmp(tokens + PROMPT, ids, (count - PROMPT) * sizeof *ids) == 0);
        mllm_generation_release(g);
        mllm_session_release(s);
    }
    mllm_model_release(model);
}

static void test_cancel(void) {
    mllm_model *model = load();
    for (int when = 0; when < 4; when++) {
        mllm_error err = {MLLM_OK, ""};
        mllm_session *s = mllm_session_new(model, &(mllm_session_options){.context = 512}, &err);
        mllm_generation_options o = options(SIZE_MAX);
        o.ignore_end = true;
        mllm_generation *g = mllm_generation_new(s, &o, &err);
        if (when == 1) CHECK(mllm_generation_step(g, 0, &err) == MLLM_OK);
        if (when >= 2) CHECK(mllm_generation_start(g, &err) == MLLM_OK);
        if (when == 3) CHECK(mllm_generation_wait(g, -1));
        CHECK(mllm_generation_settled(g) == false || when >= 2);
        mllm_generation_settle(g);
        CHECK(mllm_generation_settled(g));
        mllm_stop stop = mllm_generation_state(g);
        CHECK(stop == MLLM_STOP_CANCELLED || (when >= 2 && stop == MLLM_STOP_CONTEXT));
        CHECK(mllm_session_feed(s, prompt, 1, &err) == MLLM_OK || err.code == MLLM_E_CONTEXT);
        mllm_generation_cancel(g);
        mllm_generation_release(g);
        mllm_session_release(s);
    }
    mllm_model_release(model);
}

/* Unread text does not grow without bound: the thread waits for its reader, and a release frees it. */
static void test_unread(void) {
    mllm_model *model = load();
    mllm_session *s = mllm_session_new(model, &(mllm_session_options){.context = 512}, NULL);
    mllm_generation_options o = options(SIZE_MAX);
    mllm_generation *g = mllm_generation_new(s, &o, NULL);
    CHECK(mllm_generation_start(g, NULL) == MLLM_OK);
    mllm_generation_release(g);
    mllm_session_release(s);
    mllm_model_release(model);
}

/* ---------------------------------------------------------------- constraints */

/* A language of tokens: each place allows a list of ids; the output is complete behind the last. */
typedef struct {
    const mllm_token (*places)[4]; /* [count], ended by -1 */
    size_t count, at;
    bool forces;
    int released, masks;
    uint32_t budget;
} script;

static size_t choices(const script *s, size_t place) {
    size_t n = 0;
    while (n < 4 && s->places[place][n] >= 0) n++;
    return n;
}

static mllm_code script_mask(void *ctx, uint64_t *mask, uint32_t budget, mllm_error *err) {
    script *s = ctx;
    s->masks++;
    s->budget = budget;
    if (s->at == s->count) mask[0] |= 1 << 2; /* the end token */
    for (size_t i = 0; s->at < s->count && i < choices(s, s->at); i++)
        mask[s->places[s->at][i] / 64] |= (uint64_t)1 << (s->places[s->at][i] % 64);
    if (s->at < s->count && choices(s, s->at) == 0) {
        if (err) snprintf(err->message, sizeof err->message, "a dead end");
        if (err) err->code = MLLM_E_GRAMMAR;
        return MLLM_E_GRAMMAR;
    }
    return MLLM_OK;
}

static mllm_code script_accept(void *ctx, mllm_token token, uint32_t budget, mllm_error *err) {
    script *s = ctx;
    (void)err, (void)budget;
    bool allowed = false;
    for (size_t i = 0; s->at < s->count && i < choices(s, s->at); i++)
        allowed = allowed || s->places[s->at][i] == token;
    CHECK(allowed, "token %d at place %zu", (int)token, s->at);
    s->at++;
    return MLLM_OK;
}

static size_t script_forced(void *ctx, mllm_token *out, size_t capacity) {
    script *s = ctx;
    size_t n = 0;
    while (s->forces && s->at + n < s->count && n < capacity && choices(s, s->at + n) == 1) {
        out[n] = s->places[s->at + n][0];
        n++;
    }
    return n;
}

static bool script_complete(void *ctx) {
    script *s = ctx;
    return s->at == s->count;
}

static void script_release(void *ctx) {
    ((script *)ctx)->released++;
}

static const mllm_token places[][4] = {{300, 310, 320, -1}, {330, -1}, {331, -1},     {332, -1},
                                       {5, 7, 340, -1},     {341, -1}, {342, 343, -1}};
enum { PLACES = sizeof places / sizeof *places };

/* Forced tokens and short lists of logits change the work, not the output. */
static void test_constraint(void) {
    mllm_model *model = load();
    mllm_token first[PLACES + 2];
    for (int way = 0; way < 4; way++) {
        mllm_error err = {MLLM_OK, ""};
        script s = {.places = places, .count = PLACES, .forces = way & 1};
        mllm_constraint c = {&s, script_mask, script_accept, script_forced, script_complete, script_release};
        mllm_session *session = mllm_session_new(model, &(mllm_session_options){.context = 64}, &err);
        mllm_sampler *sampler = mllm_sampler_new(5, NULL);
        mllm_generation_options o = options(50);
        o.constraint = &c;
        if (way & 2) o.sampler = sampler;
        o.feed_last = true;
        mllm_generation *g = mllm_generation_new(session, &o, &err);
        CHECK(g, "%s", err.message);
        CHECK(mllm_generation_step(g, -1, &err) == MLLM_OK, "%s", err.message);
        mllm_generation_stats stats = mllm_generation_get_stats(g);
        CHECK(stats.stop == MLLM_STOP_END && stats.tokens == PLACES);
        CHECK(stats.forced == (way & 1 ? 4 : 0), "%zu", stats.forced);
        CHECK(s.budget == 50 - PLACES, "%u", s.budget);
        CHECK(s.at == PLACES);
        mllm_token ids[PLACES + 2];
        CHECK(mllm_generation_read_tokens(g, ids, PLACES + 2) == PLACES);
        if (way % 2 == 0)
            memcpy(first, ids, sizeof ids);
        else
            CHECK(memcmp(first, ids, PLACES * sizeof *ids) == 0, "way %d", way);
        size_t count;
        const mllm_token *tokens = mllm_session_tokens(session, &count);
        CHECK(count == PROMPT + PLACES);
        CHECK(memcmp(tokens + PROMPT, ids, PLACES * sizeof *ids) == 0);
        mllm_generation_release(g);
        CHECK(s.released == 1);
        mllm_sampler_release(sampler);
        mllm_session_release(session);
    }
    mllm_model_release(model);
}

/* Long runs without a choice, more tokens than wait for one pass. */
static void test_constraint_run(void) {
    enum { RUN = 300 };
    mllm_model *model = load();
    static mllm_token run[RUN][4];
    for (int i = 0; i < RUN; i++) run[i][0] = 300 + i % 40, run[i][1] = -1;
    for (int way = 0; way < 2; way++) {
        mllm_error err = {MLLM_OK, ""};
        script s = {.places = (const mllm_token(*)[4])run, .count = RUN, .forces = way};
        mllm_constraint c = {&s, script_mask, script_accept, script_forced, script_complete, script_release};
        mllm_session *session = mllm_session_new(model, &(mllm_session_options){.context = PROMPT + RUN}, &err);
        mllm_generation_options o = options(RUN + 1);
        o.constraint = &c;
        o.feed_last = true;
        mllm_generation *g = mllm_generation_new(session, &o, &err);
        CHECK(mllm_generation_step(g, -1, &err) == MLLM_OK, "way %d: %s", way, err.message);
        size_t count;
        const mllm_token *tokens = mllm_session_tokens(session, &count);
        CHECK(count == PROMPT + RUN, "way %d: %zu", way, count);
        size_t same = 0;
        while (same < RUN && PROMPT + same < count && tokens[PROMPT + same] == run[same][0]) same++;
        CHECK(same == RUN, "way %d: %zu", way, same);
        mllm_generation_release(g);
        mllm_session_release(session);
    }
    mllm_model_release(model);
}

static void test_constraint_limits(void) {
    mllm_model *model = load();
    for (size_t most = 1; most <= PLACES; most++) { /* a length limit also ends a run of forced tokens */
        script s = {.places = places, .count = PLACES, .forces = true};
        mllm_constraint c = {&s, script_mask, script_accept, script_forced, script_complete, script_release};
        mllm_session *session = mllm_session_new(model, &(mllm_session_options){.context = 64}, NULL);
        mllm_generation_options o = options(most);
        o.constraint = &c;
        mllm_generation *g = mllm_generation_new(session, &o, NULL);
        CHECK(mllm_generation_step(g, -1, NULL) == MLLM_OK);
        mllm_generation_stats stats = mllm_generation_get_stats(g);
        CHECK(stats.tokens == most && stats.stop == MLLM_STOP_LENGTH, "%zu: %zu", most, stats.tokens);
        mllm_generation_release(g);
        mllm_session_release(session);
    }
    for (int context = PROMPT; context <= PROMPT + PLACES; context++) { /* so does a full context */
        script s = {.places = places, .count = PLACES, .forces = true};
        mllm_constraint c = {&s, script_mask, script_accept, script_forced, script_complete, script_release};
        mllm_session *session = mllm_session_new(model, &(mllm_session_options){.context = context}, NULL);
        mllm_generation_options o = options(50);
        o.constraint = &c;
        o.feed_last = true;
        mllm_generation *g = mllm_generation_new(session, &o, NULL);
        mllm_error err = {MLLM_OK, ""};
        CHECK(mllm_generation_step(g, -1, &err) == MLLM_OK, "context %d: %s", context, err.message);
        mllm_generation_stats stats = mllm_generation_get_stats(g);
        size_t expected = (size_t)(context - PROMPT) + 1 < PLACES ? (size_t)(context - PROMPT) + 1 : PLACES;
        CHECK(stats.tokens == expected, "context %d: %zu tokens", context, stats.tokens);
        CHECK(stats.stop == (context < PROMPT + PLACES ? MLLM_STOP_CONTEXT : MLLM_STOP_END), "context %d", context);
        mllm_generation_release(g);
        mllm_session_release(session);
    }
    /* A dead end is an error that says so; the release still comes. */
    static const mllm_token dead[][4] = {{300, 310, -1}, {-1}};
    script s = {.places = dead, .count = 2};
    mllm_constraint c = {&s, script_mask, script_accept, script_forced, script_complete, script_release};
    mllm_session *session = mllm_session_new(model, &(mllm_session_options){.context = 8}, NULL);
    mllm_generation_options o = options(50);
    o.constraint = &c;
    mllm_error err = {MLLM_OK, ""};
    mllm_generation *g = mllm_generation_new(session, &o, &err);
    CHECK(mllm_generation_step(g, -1, &err) == MLLM_E_GRAMMAR && strcmp(err.message, "a dead end") == 0, "%s",
          err.message);
    CHECK(mllm_generation_state(g) == MLLM_STOP_ERROR && mllm_generation_error(g).code == MLLM_E_GRAMMAR);
    mllm_generation_release(g);
    CHECK(s.released == 1);
    o.prompt_count = 100;
    CHECK(!mllm_generation_new(session, &o, &err) && s.released == 2);
    mllm_session_release(session);
    mllm_model_release(model);
}

static void test_refusals(void) {
    mllm_model *model = load();
    mllm_error err = {MLLM_OK, ""};
    mllm_session *s = mllm_session_new(model, &(mllm_session_options){.context = 4}, &err);
    mllm_generation_options o = options(1);
    CHECK(!mllm_generation_new(s, &o, &err) && err.code == MLLM_E_CONTEXT, "%s", err.message);
    o.prompt_count = 0;
    CHECK(!mllm_generation_new(s, &o, &err) && err.code == MLLM_E_ARGUMENT, "%s", err.message);
    mllm_token wrong[] = {1, 384};
    o = (mllm_generation_options){.prompt = wrong, .prompt_count = 2, .max_tokens = 1};
    CHECK(!mllm_generation_new(s, &o, &err) && err.code == MLLM_E_TOKEN && strstr(err.message, "384"), "%s",
          err.message);
    size_t count;
    mllm_session_tokens(s, &count);
    CHECK(count == 0);
    mllm_session_release(s);
    mllm_model_release(model);
}

static void test_failing_memory(void) {
    mllm_model *model = load();
    mllm_sampler *sampler = NULL;
    long before = failing_state.alive;
    int failures = 0;
    for (long n = 0; n < 400; n++) {
        mllm_error err = {MLLM_OK, ""};
        sampler = mllm_sampler_new(1, NULL);
        mllm_session *s = mllm_session_new(model, &(mllm_session_options){.context = 64}, NULL);
        fail_from(n);
        mllm_generation_options o = options(20);
        o.stops = &(mllm_span){"never", 5};
        o.stop_count = 1;
        o.sampler = sampler;
        mllm_generation *g = mllm_generation_new(s, &o, &err);
        mllm_code code = g ? n % 2 ? mllm_generation_start(g, &err) : mllm_generation_step(g, -1, &err) : err.code;
        if (g && n % 2) {
            while (mllm_generation_state(g) == MLLM_STOP_NONE) mllm_generation_wait(g, -1);
            if (mllm_generation_state(g) == MLLM_STOP_ERROR) code = mllm_generation_error(g).code;
        }
        bool failed = code != MLLM_OK;
        CHECK(!failed || code == MLLM_E_MEMORY, "allocation %ld: %s", n, err.message);
        CHECK(!g || (mllm_generation_state(g) == MLLM_STOP_ERROR) == failed, "allocation %ld", n);
        fail_never();
        mllm_generation_release(g);
        mllm_session_release(s);
        mllm_sampler_release(sampler);
        CHECK(failing_state.alive == before, "allocation %ld: %ld left", n, failing_state.alive - before);
        failures += failed;
        if (!failed && n > 4) break;
    }
    CHECK(failures > 5, "%d", failures);
    mllm_model_release(model);
}

static const test_case tests[] = {
    {"ways", test_ways},
    {"cancel", test_cancel},
    {"unread", test_unread},
    {"constraint", test_constraint},
    {"constraint_run", test_constraint_run},
    {"constraint_limits", test_constraint_limits},
    {"refusals", test_refusals},
    {"failing_memory", test_failing_memory},
};

int main(int argc, char **argv) {
    mllm_set_allocator(failing, NULL);
    int status = test_main(tests, sizeof tests / sizeof *tests, argc, argv);
    if (failing_state.alive) printf("FAILED: %ld allocations left\n", failing_state.alive);
    return status || failing_state.alive != 0;
}
