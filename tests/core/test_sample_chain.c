/* The chain: parameters and their errors, history, forks, short lists, functions, broken logits, memory that fails. */
#include "failing.h"
#include "sampling.h"

#include "tokenizer/vocab_source.h"

static mllm_error err;

static bool said(mllm_code code, mllm_code expected, const char *part) {
    bool ok = code == expected && err.code == expected && strstr(err.message, part);
    if (!ok) fprintf(stderr, "%s instead of %s: %s\n", mllm_code_name(code), mllm_code_name(expected), err.message);
    return ok;
}

static void parameters(void) {
    mllm_sampler *s = new_sampler(1);
#define WRONG(stage, part, ...)                                                                                        \
    CHECK(said(add_list(s, stage, (const param[]){__VA_ARGS__, END}, &err), MLLM_E_ARGUMENT, part))
    WRONG("topk", "unknown sampler stage 'topk'", END);
    WRONG("", "unknown sampler stage ''", END);
    WRONG("function", "unknown sampler stage 'function'", END);
    WRONG("top_p", "'top_p' has no parameter 'q' (it has: p, min_keep)", {"q", 1});
    WRONG("greedy", "'greedy' takes no parameter", {NULL, 1});
    WRONG("top_p", "p = 1.5 is outside 0..1", {NULL, 1.5});
    WRONG("top_p", "p = -0.1 is outside", {"p", -0.1});
    WRONG("top_p", "p = nan is outside", {"p", (double)NAN});
    WRONG("temperature", "is outside", {NULL, (double)INFINITY});
    WRONG("top_k", "k = 2.5 must be an integer", {NULL, 2.5});
    WRONG("top_k", "k = -1 is outside", {NULL, -1});
    WRONG("top_k", "k is given twice", {NULL, 2}, {"k", 3});
    WRONG("mirostat", "version = 3 is outside 1..2", {"version", 3});
    WRONG("ban", "'ban' needs tokens", END);
    WRONG("min_length", "'min_length' needs n", END);
    WRONG("ban", "tokens must be a list of tokens", {NULL, 3});
    WRONG("logit_bias", "biases must be a list of tokens with a number each", {NULL, 3});
    WRONG("dry", "breakers must be a list of tokens or of strings", {"breakers", 3});
    const mllm_token ids[] = {3, -1}, same[] = {5, 5};
    const float values[] = {1, 2}, broken[] = {1, NAN}, infinite[] = {INFINITY, 0};
    CHECK(said(add_tokens(s, "ban", NULL, ids, NULL, 2, &err), MLLM_E_ARGUMENT, "holds -1"));
    CHECK(said(add_tokens(s, "ban", NULL, ids, values, 1, &err), MLLM_E_ARGUMENT, "must be a list of tokens"));
    CHECK(said(add_tokens(s, "logit_bias", NULL, ids, NULL, 1, &err), MLLM_E_ARGUMENT, "with a number each"));
    CHECK(said(add_tokens(s, "logit_bias", NULL, ids, infinite, 1, &err), MLLM_E_ARGUMENT, "token 3"));
    CHECK(said(add_tokens(s, "logit_bias", NULL, same, broken, 2, &err), MLLM_E_ARGUMENT, "token 5"));
    CHECK(said(add_tokens(s, "logit_bias", NULL, same, values, 2, &err), MLLM_E_ARGUMENT, "token 5 has two values"));
    CHECK(said(add_tokens(s, "top_k", NULL, ids, NULL, 1, &err), MLLM_E_ARGUMENT, "k must be a number"));
    CHECK(add_list(s, "nothing", (const param[]){END}, NULL) == MLLM_E_ARGUMENT, "no error wanted");
    /* What failed is not in the chain. */
    const float x[] = {0, 1};
    draw(s, x, 2);
    for (int i = 0; i < 256; i++) ADD(s, "top_k", {NULL, 1});
    CHECK(said(add_list(s, "top_k", (const param[]){END}, &err), MLLM_E_LIMIT, "at most 256 stages"));
    mllm_sampler_release(s);
    CHECK(mllm_sampler_kind("top_k", NULL) == 'i' && mllm_sampler_kind("top_p", "p") == 'n' &&
          mllm_sampler_kind("ban", "tokens") == 't' && mllm_sampler_kind("logit_bias", NULL) == 'v' &&
          mllm_sampler_kind("dry", "breakers") == 's' && mllm_sampler_kind("dry", "x") == 0 &&
          mllm_sampler_kind("x", NULL) == 0 && mllm_sampler_kind("greedy", NULL) == 0);
}

static void broken_logits(void) {
    mllm_sampler *s = new_sampler(1);
    ADD(s, "top_k", {NULL, 5});
    float x[20] = {0};
    CHECK(mllm_sampler_sample(s, x, 0, &err) == -1 && said(err.code, MLLM_E_GRAMMAR, "all are masked"));
    x[17] = NAN;
    CHECK(mllm_sampler_sample(s, x, 20, &err) == -1 && said(err.code, MLLM_E_FORMAT, "token 17 is not a number"));
    x[17] = -NAN;
    CHECK(mllm_sampler_sample(s, x, 20, &err) == -1 && said(err.code, MLLM_E_FORMAT, "token 17 is not a number"));
    CHECK(mllm_sampler_sample(s, x, 20, NULL) == -1);
    x[17] = INFINITY;
    CHECK(mllm_sampler_sample(s, x, 20, &err) == -1 && said(err.code, MLLM_E_FORMAT, "token 17 is infinite"));
    const mllm_token ids[] = {4, 90};
    CHECK(mllm_sampler_sample_of(s, ids, x + 16, 2, &err) == -1 &&
          said(err.code, MLLM_E_FORMAT, "token 90 is infinite"));
    for (int i = 0; i < 20; i++) x[i] = -INFINITY;
    CHECK(mllm_sampler_sample(s, x, 20, &err) == -1 && said(err.code, MLLM_E_GRAMMAR, "all are masked"));
    CHECK(mllm_sampler_sample_of(s, ids, x, 2, &err) == -1 && said(err.code, MLLM_E_GRAMMAR, "all are masked"));
    x[3] = -FLT_MAX;
    CHECK(draw(s, x, 20) == 3);
    for (int i = 0; i < 20; i++) x[i] = i % 2 ? FLT_MAX : -FLT_MAX;
    for (int i = 0; i < 50; i++) CHECK(draw(s, x, 20) % 2 == 1);
    const mllm_token banned[] = {0, 1, 2};
    CHECK(add_tokens(s, "ban", NULL, banned, NULL, 3, &err) == MLLM_OK);
    CHECK(mllm_sampler_sample(s, x, 3, &err) == -1 && said(err.code, MLLM_E_GRAMMAR, "stage 2 (ban) left no token"));
    mllm_sampler_release(s);
}

static void logits_stay(void) {
    const float x[] = {1, -INFINITY, 3, 2};
    float copy[4];
    memcpy(copy, x, sizeof x);
    mllm_sampler *s = new_sampler(1);
    ADD(s, "penalties", {NULL, 2});
    ADD(s, "temperature", {NULL, 0.5});
    ADD(s, "top_k", {NULL, 2});
    for (int i = 0; i < 10; i++) mllm_sampler_accept(s, draw(s, copy, 4));
    CHECK(memcmp(copy, x, sizeof x) == 0);
    mllm_sampler_release(s);
}

/* Everything that has a state or a parameter. */
static mllm_sampler *full_chain(uint64_t seed) {
    mllm_sampler *s = new_sampler(seed);
    const mllm_token ids[] = {7, 2}, breakers[] = {5};
    const float values[] = {-1, 1.5f};
    mllm_sampler_param dry[] = {{.name = "breakers", .kind = 't', .tokens = breakers, .count = 1}};
    mllm_sampler_param length[] = {{.kind = 'n', .number = 5},
                                   {.name = "ends", .kind = 't', .tokens = ids, .count = 1}};
    CHECK(mllm_sampler_add(s, "min_length", length, 2, &err) == MLLM_OK);
    CHECK(add_tokens(s, "logit_bias", NULL, ids, values, 2, &err) == MLLM_OK);
    CHECK(add_tokens(s, "ban", NULL, ids, NULL, 1, &err) == MLLM_OK);
    ADD(s, "penalties", {NULL, 1.1}, {"frequency_penalty", 0.1});
    CHECK(mllm_sampler_add(s, "dry", dry, 1, &err) == MLLM_OK);
    ADD(s, "no_repeat_ngram", {NULL, 4});
    ADD(s, "top_n_sigma", {NULL, 3});
    ADD(s, "temperature", {NULL, 0.9}, {"range", 0.3});
    ADD(s, "top_k", {NULL, 200});
    ADD(s, "typical", {NULL, 0.99});
    ADD(s, "top_p", {NULL, 0.97});
    ADD(s, "min_p", {NULL, 0.01});
    ADD(s, "xtc", {NULL, 0.3});
    ADD(s, "mirostat", {NULL, 5.5});
    return s;
}

/* Step `step` of a model that does not exist. */
static void step_logits(int step, float *x, size_t n) {
    mllm_random r;
    mllm_random_seed(&r, (uint64_t)step % 7);
    fill_logits(&r, x, n, 2, 0);
}

enum { VOCABULARY = 1000 };

static void forks(void) {
    static float x[VOCABULARY];
    mllm_sampler *a = full_chain(3), *c = full_chain(3), *d = full_chain(4);
    int different = 0;
    for (int i = 0; i < 300; i++) {
        step_logits(i, x, VOCABULARY);
        mllm_token t = draw(a, x, VOCABULARY);
        CHECK(draw(c, x, VOCABULARY) == t, "same seed, step %d", i);
        different += draw(d, x, VOCABULARY) != t;
        mllm_sampler_accept(a, t);
        mllm_sampler_accept(c, t);
        mllm_sampler_accept(d, t);
    }
    CHECK(different > 100, "another seed gives %d other tokens", different);
    mllm_sampler *b = mllm_sampler_fork(a, &err);
    CHECK(b != NULL);
    if (!b) return;
    mllm_sampler_release(c);
    c = mllm_sampler_fork(a, &err);
    for (int i = 300; i < 350; i++) {
        step_logits(i, x, VOCABULARY);
        mllm_token t = draw(a, x, VOCABULARY);
        CHECK(draw(b, x, VOCABULARY) == t && draw(c, x, VOCABULARY) == t, "fork and origin, step %d", i);
        mllm_sampler_accept(a, t);
        mllm_sampler_accept(b, t);
        mllm_sampler_accept(c, t);
    }
    mllm_sampler_release(a); /* the forks need nothing of it */
    for (int i = 350; i < 400; i++) {
        step_logits(i, x, VOCABULARY);
        mllm_token t = draw(b, x, VOCABULARY);
        CHECK(draw(c, x, VOCABULARY) == t, "fork, step %d", i);
        mllm_sampler_accept(b, t);
        mllm_sampler_accept(c, t);
    }
    size_t count;
    const mllm_token *h = mllm_sampler_history(b, &count);
    CHECK(count == 400 && h != NULL);
    mllm_sampler_reset(b, 3);
    mllm_sampler_history(b, &count);
    CHECK(count == 0 && mllm_sampler_seed(b) == 3);
    a = full_chain(3);
    for (int i = 0; i < 100; i++) {
        step_logits(i, x, VOCABULARY);
        mllm_token t = draw(a, x, VOCABULARY);
        CHECK(draw(b, x, VOCABULARY) == t, "after a reset, step %d", i);
        mllm_sampler_accept(a, t);
        mllm_sampler_accept(b, t);
    }
    mllm_sampler_release(a);
    mllm_sampler_release(b);
    mllm_sampler_release(c);
    mllm_sampler_release(d);
    CHECK(mllm_sampler_retain(NULL) == NULL);
    mllm_sampler_release(NULL);
}

/* The first tokens of a seed, as every compiler and processor must give them. */
static void same_everywhere(void) {
    static float x[VOCABULARY];
    mllm_token got[12];
    const mllm_token expected[12] = {762, 300, 121, 247, 111, 914, 378, 168, 765, 283, 292, 386};
    mllm_sampler *s = full_chain(2024);
    for (int i = 0; i < 12; i++) {
        step_logits(i, x, VOCABULARY);
        got[i] = draw(s, x, VOCABULARY);
        mllm_sampler_accept(s, got[i]);
    }
    for (int i = 0; i < 12; i++) CHECK(got[i] == expected[i], "step %d gives %d", i, (int)got[i]);
    mllm_sampler_release(s);
}

/* A short list draws what the dense array with the others masked draws, whatever the list's order. */
static void short_lists(void) {
    static float x[VOCABULARY], y[VOCABULARY];
    static mllm_token ids[VOCABULARY], back[VOCABULARY];
    mllm_random r;
    mllm_random_seed(&r, 8);
    mllm_sampler *a = full_chain(5), *b = full_chain(5), *c = full_chain(5);
    for (int i = 0; i < 200; i++) {
        size_t n = 0, one = mllm_random_below(&r, VOCABULARY);
        step_logits(i, x, VOCABULARY);
        for (size_t k = 0; k < VOCABULARY; k++) {
            if (k != one && mllm_random_below(&r, 100) < (uint64_t)(i % 101)) {
                x[k] = -INFINITY;
                continue;
            }
            ids[n] = (mllm_token)k;
            y[n++] = x[k];
        }
        if (n == 1 && ids[0] == 7) continue; /* banned */
        mllm_token t = draw(a, x, VOCABULARY), u = mllm_sampler_sample_of(b, ids, y, n, &err);
        for (size_t k = 0; k < n; k++) back[k] = ids[n - 1 - k];
        for (size_t k = 0; k < n / 2; k++) {
            float swap = y[k];
            y[k] = y[n - 1 - k];
            y[n - 1 - k] = swap;
        }
        mllm_token v = mllm_sampler_sample_of(c, back, y, n, &err);
        CHECK(t == u && t == v, "step %d of %zu tokens: %d %d %d", i, n, (int)t, (int)u, (int)v);
        mllm_sampler_accept(a, t);
        mllm_sampler_accept(b, u);
        mllm_sampler_accept(c, v);
    }
    const mllm_token twice[] = {4, 3, 4}, negative[] = {-1, 3};
    const float z[] = {0, 0, 0};
    CHECK(mllm_sampler_sample_of(a, twice, z, 3, &err) == -1 && said(err.code, MLLM_E_ARGUMENT, "twice"));
    CHECK(mllm_sampler_sample_of(a, negative, z, 2, &err) == -1 && said(err.code, MLLM_E_TOKEN, "-1"));
    CHECK(mllm_sampler_sample_of(a, NULL, NULL, 0, &err) == -1 && said(err.code, MLLM_E_GRAMMAR, "all are masked"));
    mllm_sampler_release(a);
    mllm_sampler_release(b);
    mllm_sampler_release(c);
}

/* A host's functions. */
typedef struct {
    int calls, released;
    mllm_code code;
    float write;
    size_t history_count, count, size;
    bool ids;
    mllm_sampler *again;
} host;

static mllm_code host_call(void *ctx, mllm_sampler_view *view, mllm_error *e) {
    host *h = ctx;
    h->calls++;
    h->history_count = view->history_count;
    h->count = view->count;
    h->size = view->size;
    h->ids = view->ids != NULL;
    if (h->write != 0) view->logits[0] = h->write;
    if (h->again) {
        const float x[] = {0};
        CHECK(mllm_sampler_sample(h->again, x, 1, e) == -1);
        return MLLM_E_ARGUMENT;
    }
    if (h->code != MLLM_OK && e) e->code = h->code, strcpy(e->message, "as the host likes");
    return h->code;
}

static void host_release(void *ctx) {
    ((host *)ctx)->released++;
}

static void functions(void) {
    host h = {0};
    mllm_sampler *s = new_sampler(1);
    CHECK(!mllm_sampler_needs_script(s));
    ADD(s, "top_k", {NULL, 2});
    CHECK(mllm_sampler_add_function(s, host_call, &h, host_release, &err) == MLLM_OK);
    CHECK(mllm_sampler_needs_script(s));
    const float x[] = {1, 2, 3};
    mllm_sampler_prompt(s, (mllm_token[]){1, 2}, 2);
    mllm_sampler_accept(s, 0);
    draw(s, x, 3);
    CHECK(h.calls == 1 && h.history_count == 3 && h.count == 2 && h.size == 3 && h.ids);
    h.code = MLLM_E_CANCELLED;
    CHECK(mllm_sampler_sample(s, x, 3, &err) == -1 && said(err.code, MLLM_E_CANCELLED, "as the host likes"));
    h.code = MLLM_OK;
    h.write = NAN;
    CHECK(mllm_sampler_sample(s, x, 3, &err) == -1 &&
          said(err.code, MLLM_E_FORMAT, "stage 2 (function): the logit of token 1 became not a number"));
    h.write = INFINITY;
    CHECK(mllm_sampler_sample(s, x, 3, &err) == -1 && said(err.code, MLLM_E_FORMAT, "became infinite"));
    h.write = -INFINITY;
    for (int i = 0; i < 20; i++) CHECK(draw(s, x, 3) == 2);
    CHECK(mllm_sampler_sample(s, x, 1, &err) == -1 &&
          said(err.code, MLLM_E_GRAMMAR, "stage 2 (function) left no token"));
    h.write = 0;
    h.again = s;
    CHECK(mllm_sampler_sample(s, x, 3, &err) == -1 && said(err.code, MLLM_E_ARGUMENT, "same sampler"));
    h.again = NULL;
    mllm_sampler *fork = mllm_sampler_fork(s, &err);
    mllm_sampler_release(s);
    CHECK(h.released == 0);
    draw(fork, x, 3);
    mllm_sampler_release(fork);
    CHECK(h.released == 1, "%d", h.released);
}

/* The history is bounded, keeps the newest, and says what it forgot. */
static void long_history(void) {
    captured c;
    mllm_sampler *s = new_sampler(1);
    size_t count;
    for (int i = 0; i < (1 << 20) + 10; i++) mllm_sampler_accept(s, i);
    const mllm_token *h = mllm_sampler_history(s, &count);
    CHECK(count == (1 << 19) + 10 && h[count - 1] == (1 << 20) + 9 && h[0] == 1 << 19, "%zu", count);
    add_capture(s, &c);
    const float x[] = {1, 2};
    draw(s, x, 2);
    mllm_sampler_release(s);
}

/* ------------------------------------------------- memory that runs out */

/* All that allocates; true when it went through. Counts the releases of the function's context. */
static bool everything(int *released) {
    static float x[VOCABULARY];
    static const mllm_token ids[] = {5, 3, 4};
    static const float values[] = {1, -1, 0.5f};
    static const char *const strings[] = {"a", "bc"};
    host h = {0};
    bool ok = false, added = false;
    mllm_sampler *fork = NULL, *s = mllm_sampler_new(1, &err);
    if (!s) goto out;
    mllm_sampler_param breakers[] = {{.name = "breakers", .kind = 's', .strings = strings, .count = 2}};
    mllm_sampler_param dry[] = {{.name = "breakers", .kind = 't', .tokens = ids, .count = 3}};
    added = true; /* the context is released whether or not it is taken */
    if (mllm_sampler_add_function(s, host_call, &h, host_release, &err) != MLLM_OK ||
        mllm_sampler_add(s, "dry", dry, 1, &err) != MLLM_OK ||
        mllm_sampler_add(s, "no_repeat_ngram", NULL, 0, &err) != MLLM_OK ||
        mllm_sampler_add(s, "dry", NULL, 0, &err) != MLLM_OK ||
        mllm_sampler_add(s, "mirostat", &(mllm_sampler_param){.name = "version", .kind = 'n', .number = 1}, 1, &err) !=
            MLLM_OK ||
        add_tokens(s, "logit_bias", NULL, ids, values, 3, &err) != MLLM_OK)
        goto out;
    for (int i = 0; i < 400; i++) mllm_sampler_accept(s, i % 100);
    step_logits(1, x, VOCABULARY);
    if (mllm_sampler_sample(s, x, VOCABULARY, &err) < 0) goto out;
    if (mllm_sampler_sample_of(s, ids, values, 3, &err) < 0) goto out;
    if (mllm_sampler_add(s, "dry", breakers, 1, &err) != MLLM_OK) goto out;
    fork = mllm_sampler_fork(s, &err);
    if (!fork) goto out;
    mllm_candidate best[20];
    if (mllm_logits_topk(x, VOCABULARY, 20, best) != 20) {
        err.code = MLLM_E_MEMORY;
        goto out;
    }
    ok = true;
out:
    mllm_sampler_release(fork);
    mllm_sampler_release(s);
    *released = added ? h.released : 1;
    return ok;
}

static void memory_runs_out(void) {
    int n = 0;
    for (;; n++) {
        fail_from(n);
        int released = 0;
        err.code = MLLM_OK;
        mllm_set_allocator(failing, NULL);
        bool ok = everything(&released);
        mllm_set_allocator(NULL, NULL);
        CHECK(failing_state.alive == 0, "%ld blocks are left after %d", failing_state.alive, n);
        CHECK(released == 1, "released %d times after %d", released, n);
        if (ok) break;
        CHECK(err.code == MLLM_E_MEMORY, "%s after %d: %s", mllm_code_name(err.code), n, err.message);
    }
    CHECK(n > 20, "%d allocations", n);
}

static void strings_need_a_vocabulary(void) {
    const char *const strings[] = {"a"};
    mllm_sampler_param p = {.name = "breakers", .kind = 's', .strings = strings, .count = 1};
    const float x[] = {0, 1};
    mllm_sampler *s = new_sampler(1);
    ADD(s, "dry", END); /* those of the stage itself just do not count without one */
    draw(s, x, 2);
    CHECK(mllm_sampler_add(s, "dry", &p, 1, &err) == MLLM_OK);
    CHECK(mllm_sampler_sample(s, x, 2, &err) == -1 && said(err.code, MLLM_E_ARGUMENT, "stage 2 (dry)"));
    mllm_sampler_release(s);
}

/* Breakers are the tokens that hold one of the strings; end tokens are the vocabulary's. */
static void vocabulary(void) {
    static const char *const pieces[] = {"<unk>", "</s>", "a", "b,", "\xE2\x96\x81", ",", "c", "<|im_end|>"};
    static const uint8_t kinds[] = {MLLM_TOKEN_UNKNOWN, MLLM_TOKEN_CONTROL, 0, 0, 0, 0, 0, MLLM_TOKEN_CONTROL};
    uint32_t lengths[8];
    float scores[8];
    for (int i = 0; i < 8; i++) lengths[i] = (uint32_t)strlen(pieces[i]), scores[i] = (float)-i;
    mllm_vocab_source source = {.where = "here",
                                .family = MLLM_VOCAB_SPM,
                                .count = 8,
                                .pieces = pieces,
                                .lengths = lengths,
                                .scores = scores,
                                .kinds = kinds,
                                .bos = -1,
                                .eos = 1,
                                .unknown = 0};
    mllm_vocab *vocab = mllm_vocab_new(&source, &err);
    CHECK(vocab != NULL, "%s", err.message);
    if (!vocab) return;
    CHECK(mllm_vocab_is_end(vocab, 1) && mllm_vocab_is_end(vocab, 7));
    const float x[8] = {0};
    captured c;

    mllm_sampler *s = new_sampler(1);
    ADD(s, "min_length", {NULL, 2});
    add_capture(s, &c);
    CHECK(mllm_sampler_set_vocab(s, vocab, &err) == MLLM_OK, "%s", err.message);
    draw(s, x, 8);
    CHECK(c.count == 6 && captured_at(&c, 1) < 0 && captured_at(&c, 7) < 0);
    CHECK(mllm_sampler_set_vocab(s, vocab, &err) == MLLM_OK, "twice");
    mllm_sampler_release(s);

    const char *const strings[] = {","};
    const mllm_token none[] = {6};
    mllm_sampler_param by_string = {.name = "breakers", .kind = 's', .strings = strings, .count = 1};
    mllm_sampler_param by_token = {.name = "breakers", .kind = 't', .tokens = none, .count = 1};
    for (int way = 0; way < 2; way++) {
        s = new_sampler(1);
        CHECK(mllm_sampler_add(s, "dry", way ? &by_token : &by_string, 1, &err) == MLLM_OK);
        add_capture(s, &c);
        CHECK(mllm_sampler_set_vocab(s, vocab, &err) == MLLM_OK, "%s", err.message);
        /* a a a "b," a a a: the match that would go on with "b," has three tokens, but "b," itself is a breaker */
        mllm_sampler_prompt(s, (mllm_token[]){2, 2, 2, 3, 2, 2, 2}, 7);
        draw(s, x, 8);
        CHECK((c.logits[3] < 0) == (way == 1), "%g", (double)c.logits[3]);
        CHECK(c.logits[2] < 0);
        mllm_sampler *fork = mllm_sampler_fork(s, &err);
        mllm_sampler_release(s);
        if (fork) draw(fork, x, 8);
        CHECK((c.logits[3] < 0) == (way == 1), "%g", (double)c.logits[3]);
        mllm_sampler_release(fork);
    }
    mllm_vocab_free(vocab);
}

static const test_case tests[] = {{"parameters", parameters},
                                  {"broken_logits", broken_logits},
                                  {"logits_stay", logits_stay},
                                  {"forks", forks},
                                  {"same_everywhere", same_everywhere},
                                  {"short_lists", short_lists},
                                  {"functions", functions},
                                  {"long_history", long_history},
                                  {"memory_runs_out", memory_runs_out},
                                  {"strings_need_a_vocabulary", strings_need_a_vocabulary},
                                  {"vocabulary", vocabulary}};
TEST_MAIN(tests)
