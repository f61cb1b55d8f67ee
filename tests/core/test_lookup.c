/* Drafts from earlier text: what is generated is exactly what plain decoding gives, and text that repeats needs fewer passes. */
#include "generate/lookup.h"

#include "tiny_model.h"

static char path[64];
static const char *const kernels[] = {"reference", "avx2", "avxvnni", "avx512", "amx", "neon", "i8mm"};

static mllm_model *load(mllm_type type, const char *kernel) {
    mllm_error err = {0};
    snprintf(path, sizeof path, "/tmp/mllm_lookup_%d.gguf", (int)getpid());
    CHECK(tiny_write(path, type, 1000, 21, &err), " %s", err.message);
    mllm_model *m = mllm_model_load(path, &(mllm_load_options){.kernel = kernel, .threads = 1}, &err);
    CHECK(m || err.code == MLLM_E_UNSUPPORTED, " %s", err.message);
    unlink(path);
    return m;
}

typedef struct {
    mllm_token tokens[400];
    size_t count, held; /* generated; what the session holds afterwards */
    mllm_generation_stats stats;
} outcome;

typedef struct {
    int sampled; /* 0: greedy; 1: drawn; 2: drawn with penalties */
    bool masked; /* a constraint: ids that are multiples of three, 40 of them */
    bool
        named; /* of two ids that a constraint allows, the sampler bans one: the text is known, yet nothing is forced */
    bool keep; /* feed_last */
    size_t context, max_tokens;
} way;

static mllm_code every_third(void *ctx, uint64_t *mask, uint32_t budget, mllm_error *err) {
    (void)budget;
    (void)err;
    size_t *step = ctx;
    for (size_t i = *step % 3; i < 120 + *step % 2 * 150; i += 3) mask[i / 64] |= 1ull << (i % 64);
    return MLLM_OK;
}

/* The text of `copies`: a period of seven tokens. */
static mllm_token word(size_t at) {
    return (mllm_token)(at % 7 * 11 + 5);
}

enum { PROMPT = 60, BANNED = 299 };

static mllm_code one_of_two(void *ctx, uint64_t *mask, uint32_t budget, mllm_error *err) {
    (void)budget;
    (void)err;
    size_t id = (size_t)word(PROMPT + *(size_t *)ctx);
    mask[id / 64] |= 1ull << (id % 64);
    mask[BANNED / 64] |= 1ull << (BANNED % 64);
    return MLLM_OK;
}

static mllm_code count_up(void *ctx, mllm_token token, uint32_t budget, mllm_error *err) {
    (void)token;
    (void)budget;
    (void)err;
    ++*(size_t *)ctx;
    return MLLM_OK;
}

static bool never(void *ctx) {
    (void)ctx;
    return false;
}

static outcome generate(mllm_model *m, const mllm_token *prompt, size_t count, way w, uint32_t lookup) {
    static outcome o;
    mllm_error err = {0};
    o = (outcome){.count = 0};
    mllm_session *s = mllm_session_new(m, &(mllm_session_options){.context = (int)w.context}, &err);
    mllm_sampler *sampler = NULL;
    if (w.sampled) {
        sampler = mllm_sampler_new(99, &err);
        mllm_sampler_param last = {.name = "last_n", .kind = 'n', .number = 16};
        mllm_sampler_param repeat = {.name = "repeat_penalty", .kind = 'n', .number = 1.2};
        mllm_sampler_param both[] = {last, repeat};
        if (w.sampled == 2) CHECK(mllm_sampler_add(sampler, "penalties", both, 2, &err) == MLLM_OK, " %s", err.message);
        mllm_sampler_param value = {.name = "t", .kind = 'n', .number = 0.2};
        CHECK(mllm_sampler_add(sampler, "temperature", &value, 1, &err) == MLLM_OK, " %s", err.message);
    }
    if (w.named) {
        const mllm_token banned = BANNED;
        mllm_sampler_param ids = {.kind = 't', .tokens = &banned, .count = 1};
        sampler = mllm_sampler_new(99, &err);
        CHECK(mllm_sampler_add(sampler, "ban", &ids, 1, &err) == MLLM_OK, " %s", err.message);
    }
    size_t steps = 0;
    mllm_constraint c = {.ctx = &steps, .mask = every_third, .accept = count_up, .complete = never};
    mllm_generation_options go = {
        .prompt = prompt, .prompt_count = count, .max_tokens = w.max_tokens, .sampler = sampler};
    if (w.named) c.mask = one_of_two;
    go.constraint = w.masked || w.named ? &c : NULL;
    go.feed_last = w.keep;
    go.lookup = lookup;
    mllm_generation *g = mllm_generation_new(s, &go, &err);
    CHECK(g, " %s", err.message);
    CHECK(mllm_generation_step(g, -1, &err) == MLLM_OK, " %s", err.message);
    o.count = mllm_generation_read_tokens(g, o.tokens, 400);
    o.stats = mllm_generation_get_stats(g);
    mllm_session_tokens(s, &o.held);
    mllm_generation_release(g);
    mllm_session_release(s);
    mllm_sampler_release(sampler);
    return o;
}

/* Prompts that repeat in several ways, so that drafts are right, half right and wrong. */
static void same_output(void) {
    static const mllm_type types[] = {MLLM_Q8_0, MLLM_F32};
    size_t drafted = 0, accepted = 0;
    for (int t = 0; t < 2; t++)
        for (size_t k = 0; k < (t == 0 ? sizeof kernels / sizeof *kernels : 1); k++) { /* floats are the same for all */
            mllm_model *m = load(types[t], kernels[k]);
            if (!m) continue;
            for (int p = 0; p < (k == 0 ? 1 : 3); p++) {
                mllm_token prompt[60];
                for (int i = 0; i < 60; i++)
                    prompt[i] = (mllm_token)(p == 0 ? i % 5 * 7 : p == 1 ? i % 20 * 3 : (i * i + 3 * i) % 40);
                for (int v = 0; v < 12; v += k == 0 ? 5 : 1) {
                    way w = {.sampled = v % 3,
                             .masked = v / 3 % 2,
                             .keep = v / 6,
                             .context = 200,
                             .max_tokens = 30 + (size_t)v};
                    if (v == 7) w.context = 90, w.max_tokens = SIZE_MAX; /* until it is full */
                    outcome plain = generate(m, prompt, 60, w, 0);
                    for (uint32_t lookup = 1; lookup < 20; lookup += 9) {
                        outcome o = generate(m, prompt, 60, w, lookup);
                        CHECK(o.count == plain.count && memcmp(o.tokens, plain.tokens, o.count * sizeof *o.tokens) == 0,
                              " %s, prompt %d, way %d, lookup %u: other tokens", kernels[k], p, v, lookup);
                        CHECK(o.held == plain.held && o.stats.stop == plain.stats.stop,
                              " %s way %d: the session holds %zu instead of %zu", kernels[k], v, o.held, plain.held);
                        CHECK(o.stats.accepted <= o.stats.drafted);
                        drafted += o.stats.drafted;
                        accepted += o.stats.accepted;
                    }
                }
            }
            mllm_model_release(m);
        }
    CHECK(accepted > 0 && drafted > accepted, " drafts are all right or all wrong: %zu of %zu", accepted, drafted);
}

/* Where the text is known, so is what is drafted of it, under every kernel: all of it is right. */
static void copies(void) {
    enum { TOKENS = 150 };
    mllm_token said[PROMPT + TOKENS], out[MLLM_MAX_DRAFT];
    for (size_t i = 0; i < PROMPT + TOKENS; i++) said[i] = word(i);
    for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
        mllm_model *m = load(MLLM_Q8_0, kernels[k]);
        if (!m) continue;
        for (uint32_t most = 1; most <= MLLM_MAX_DRAFT; most += 7) {
            way w = {.named = true, .context = PROMPT + TOKENS, .max_tokens = TOKENS};
            outcome o = generate(m, said, PROMPT, w, most);
            size_t drafted = 0;
            mllm_lookup l;
            mllm_lookup_init(&l, most);
            for (size_t made = 1, d; made < TOKENS;
                 made += d + 1) { /* the prompt gives one token, a pass its draft and one */
                size_t room = TOKENS - made - 1;
                d = mllm_lookup_draft(&l, said, PROMPT + made, out, room < MLLM_MAX_DRAFT ? room : MLLM_MAX_DRAFT);
                mllm_lookup_result(&l, d, d);
                drafted += d;
            }
            CHECK(o.count == TOKENS && memcmp(o.tokens, said + PROMPT, sizeof(mllm_token) * TOKENS) == 0);
            CHECK(drafted >= TOKENS / 2 - 1 && o.stats.drafted == drafted && o.stats.accepted == drafted,
                  " %s, at most %u: %zu of %zu accepted, %zu expected", kernels[k], most, o.stats.accepted,
                  o.stats.drafted, drafted);
        }
        mllm_model_release(m);
    }
}

static void drafts(void) {
    mllm_lookup l;
    mllm_token out[MLLM_MAX_DRAFT];
    const mllm_token said[] = {1, 2, 3, 4, 5, 6, 9, 2, 3, 7, 8, 2, 3};
    mllm_lookup_init(&l, 8);
    /* The latest occurrence of (2, 3) before the end is at 7: what followed was 7, 8, 2, 3. */
    CHECK(mllm_lookup_draft(&l, said, 13, out, 15) == 4 && out[0] == 7 && out[1] == 8 && out[2] == 2 && out[3] == 3);
    CHECK(mllm_lookup_draft(&l, said, 13, out, 2) == 2);
    CHECK(mllm_lookup_draft(&l, said, 7, out, 15) == 0 && mllm_lookup_draft(&l, said, 0, out, 15) == 0);
    /* A match that reaches the end goes on with itself. */
    const mllm_token period[] = {4, 1, 2, 1, 2};
    CHECK(mllm_lookup_draft(&l, period, 5, out, 4) == 4 && out[0] == 1 && out[1] == 2 && out[2] == 1 && out[3] == 2);
    /* A longer match is better than a later one. */
    const mllm_token longer[] = {5, 6, 7, 8, 9, 1, 7, 8, 2, 5, 6, 7, 8};
    CHECK(mllm_lookup_draft(&l, longer, 13, out, 15) > 0 && out[0] == 9);
    mllm_lookup_init(&l, 0);
    CHECK(mllm_lookup_draft(&l, said, 13, out, 15) == 0);
}

/* Text whose repetitions mislead: tries become rare. */
static void gives_up(void) {
    mllm_lookup l;
    mllm_token out[MLLM_MAX_DRAFT], said[2000];
    mllm_lookup_init(&l, 8);
    size_t tries = 0;
    for (size_t n = 0; n < 2000; n++) {
        said[n] = (mllm_token)(n % 4 == 3 ? n : n % 4); /* 0 1 2 x 0 1 2 y: three tokens repeat, the fourth never */
        size_t d = mllm_lookup_draft(&l, said, n + 1, out, 15);
        if (d > 0) {
            tries++;
            mllm_lookup_result(&l, d, 0);
        }
    }
    CHECK(tries > 5 && tries < 60, " %zu tries", tries);
    /* And come back when drafts are right. */
    mllm_lookup_init(&l, 8);
    for (int i = 0; i < 5; i++) mllm_lookup_result(&l, 4, 0);
    size_t passes = 0, n = 0;
    for (; n < 60; n++) said[n] = (mllm_token)(n % 6);
    while (n < 1000) {
        size_t d = mllm_lookup_draft(&l, said, n, out, 15), right = 0;
        while (right < d && out[right] == (mllm_token)((n + right) % 6)) right++;
        mllm_lookup_result(&l, d, right);
        passes++;
        for (size_t i = 0; i <= right; i++, n++) said[n] = (mllm_token)(n % 6);
    }
    CHECK(passes < 260, " %zu passes for 940 tokens", passes);
}

static const test_case tests[] = {
    {"same_output", same_output}, {"copies", copies}, {"drafts", drafts}, {"gives_up", gives_up}};
TEST_MAIN(tests)
