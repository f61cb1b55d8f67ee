/* What is drawn, counted: Pearson's chi-square of each stage's draws against probabilities computed here in double precision from the
 * stage's definition. Seeds are fixed, so a run gives the same numbers on every machine. */
#include "sampling.h"

enum { N = 24, DRAWS = 100000 };

static float logits[N];
static double prob[N];

/* A long tail with a few near each other at the head, out of order. */
static void fill(void) {
    for (int i = 0; i < N; i++) {
        int rank = i * 7 % N; /* 7 and 24 share no factor */
        logits[i] = 3.0f - 0.25f * (float)rank - (rank > 4 ? 0.75f : 0.0f) + (float)(rank % 3) * 0.125f;
    }
}

/* Chi-square of counts against p; tokens that are expected less than 5 times are counted together. *degrees may come out 0. */
static double chi_square(const int *count, const double *p, int draws, int *degrees) {
    double chi = 0, rest = 0, rest_count = 0;
    int bins = 0;
    for (int i = 0; i < N; i++) {
        double expected = p[i] * draws;
        if (p[i] == 0) {
            CHECK(count[i] == 0, "token %d of probability 0 was drawn %d times", i, count[i]);
        } else if (expected < 5) {
            rest += expected, rest_count += count[i];
        } else {
            chi += (count[i] - expected) * (count[i] - expected) / expected;
            bins++;
        }
    }
    if (rest >= 5) {
        chi += (rest_count - rest) * (rest_count - rest) / rest;
        bins++;
    }
    *degrees = bins > 1 ? bins - 1 : 0;
    return chi;
}

/* The chi-square that is exceeded with a probability of about 1e-5 (Wilson and Hilferty's cube). */
static double limit(int degrees) {
    double d = degrees, c = 1 - 2 / (9 * d) + 4.265 * sqrt(2 / (9 * d));
    return degrees ? d * c * c * c : 1e-6;
}

/* `p` is what the sampler should draw from. Another distribution a little off must be told apart from it by the same draws. */
static void expect(mllm_sampler *s, const double *p) {
    int degrees, count[N] = {0};
    for (int i = 0; i < DRAWS; i++) count[draw(s, logits, N)]++;
    double chi = chi_square(count, p, DRAWS, &degrees), off[N], sum = 0;
    CHECK(chi < limit(degrees), "chi-square %g, %d degrees, at most %g", chi, degrees, limit(degrees));
    int best = 0, kept = 0;
    for (int i = 0; i < N; i++) {
        best = p[i] > p[best] ? i : best;
        kept += p[i] > 0;
    }
    if (kept > 1) {
        for (int i = 0; i < N; i++) sum += off[i] = p[i] * (i == best ? 1.1 : 1);
        for (int i = 0; i < N; i++) off[i] /= sum;
        chi = chi_square(count, off, DRAWS, &degrees);
        CHECK(chi > limit(degrees), "10 %% more of the best is not seen: chi-square %g", chi);
    }
    mllm_sampler_release(s);
}

static void normalize(double *p) {
    double sum = 0;
    for (int i = 0; i < N; i++) sum += p[i];
    for (int i = 0; i < N; i++) p[i] /= sum;
}

/* prob[] = softmax(logits / t) */
static void softmax_at(double t) {
    double sum = 0;
    for (int i = 0; i < N; i++) sum += prob[i] = exp((double)logits[i] / t);
    for (int i = 0; i < N; i++) prob[i] /= sum;
}

/* Drops all but the first `keep` of the order in which `key` falls. */
static void keep_first(const double *key, int keep) {
    for (int i = 0; i < N; i++) {
        int before = 0;
        for (int k = 0; k < N; k++) before += key[k] > key[i] || (key[k] == key[i] && k < i);
        if (before >= keep) prob[i] = -1;
    }
    for (int i = 0; i < N; i++)
        if (prob[i] < 0) prob[i] = 0;
    normalize(prob);
}

/* How many of the order it takes to a mass of p. */
static int reach(const double *key, double p) {
    double mass = 0;
    for (int keep = 1; keep < N; keep++) {
        int next = -1;
        for (int i = 0; i < N; i++) {
            int before = 0;
            for (int k = 0; k < N; k++) before += key[k] > key[i] || (key[k] == key[i] && k < i);
            if (before == keep - 1) next = i;
        }
        mass += prob[next];
        if (mass >= p) return keep;
    }
    return N;
}

static void plain(void) {
    fill();
    softmax_at(1);
    expect(new_sampler(1), prob);
}

static void temperature(void) {
    const double t[] = {0.4, 0.8, 1.7};
    for (int i = 0; i < 3; i++) {
        fill();
        softmax_at(t[i]);
        mllm_sampler *s = new_sampler(2);
        ADD(s, "temperature", {NULL, t[i]});
        expect(s, prob);
    }
}

static void dynamic_temperature(void) {
    fill();
    softmax_at(1);
    double h = 0;
    for (int i = 0; i < N; i++) h -= prob[i] * log(prob[i]);
    softmax_at(0.4 + 1.2 * pow(h / log(N), 1.5));
    mllm_sampler *s = new_sampler(3);
    ADD(s, "temperature", {NULL, 1}, {"range", 0.6}, {"exponent", 1.5});
    expect(s, prob);
}

static void greedy(void) {
    for (int way = 0; way < 3; way++) {
        fill();
        softmax_at(1);
        keep_first(prob, 1);
        mllm_sampler *s = new_sampler(4);
        if (way == 0) ADD(s, "greedy", END);
        if (way == 1) ADD(s, "temperature", {NULL, 0});
        if (way == 2) ADD(s, "top_k", {NULL, 1});
        expect(s, prob);
    }
}

static void top_k(void) {
    fill();
    softmax_at(1);
    keep_first(prob, 6);
    mllm_sampler *s = new_sampler(5);
    ADD(s, "top_k", {NULL, 6});
    expect(s, prob);
}

static void top_p(void) {
    fill();
    softmax_at(1);
    keep_first(prob, reach(prob, 0.8));
    mllm_sampler *s = new_sampler(6);
    ADD(s, "top_p", {NULL, 0.8});
    expect(s, prob);
}

static void min_p(void) {
    fill();
    softmax_at(1);
    double best = 0;
    for (int i = 0; i < N; i++) best = fmax(best, prob[i]);
    for (int i = 0; i < N; i++)
        if (prob[i] < 0.17 * best) prob[i] = 0;
    normalize(prob);
    mllm_sampler *s = new_sampler(7);
    ADD(s, "min_p", {NULL, 0.17});
    expect(s, prob);
}

static void typical(void) {
    fill();
    softmax_at(1);
    double h = 0, key[N];
    for (int i = 0; i < N; i++) h -= prob[i] * log(prob[i]);
    for (int i = 0; i < N; i++) key[i] = -fabs(-log(prob[i]) - h);
    keep_first(key, reach(key, 0.6));
    mllm_sampler *s = new_sampler(8);
    ADD(s, "typical", {NULL, 0.6});
    expect(s, prob);
}

static void top_n_sigma(void) {
    fill();
    softmax_at(1);
    double mean = 0, variance = 0, max = -INFINITY;
    for (int i = 0; i < N; i++) mean += (double)logits[i] / N, max = fmax(max, (double)logits[i]);
    for (int i = 0; i < N; i++) variance += pow((double)logits[i] - mean, 2) / N;
    for (int i = 0; i < N; i++)
        if ((double)logits[i] < max - 0.9 * sqrt(variance)) prob[i] = 0;
    normalize(prob);
    mllm_sampler *s = new_sampler(9);
    ADD(s, "top_n_sigma", {NULL, 0.9});
    expect(s, prob);
}

/* A mixture: with 0.3 the tokens of at least 0.08 but the least likely of them are gone. */
static void xtc(void) {
    fill();
    softmax_at(1);
    double with[N], least = 2;
    for (int i = 0; i < N; i++)
        if (prob[i] >= 0.08) least = fmin(least, prob[i]);
    for (int i = 0; i < N; i++) with[i] = prob[i] > least ? 0 : prob[i];
    normalize(with);
    for (int i = 0; i < N; i++) prob[i] = 0.7 * prob[i] + 0.3 * with[i];
    mllm_sampler *s = new_sampler(10);
    ADD(s, "xtc", {NULL, 0.3}, {"threshold", 0.08});
    expect(s, prob);
}

/* Without feedback every draw is a first one. */
static void mirostat(void) {
    fill();
    softmax_at(1);
    for (int i = 0; i < N; i++)
        if (-log2(prob[i]) > 2 * 1.6) prob[i] = 0;
    normalize(prob);
    mllm_sampler *s = new_sampler(11);
    ADD(s, "mirostat", {"tau", 1.6});
    expect(s, prob);

    softmax_at(1);
    double sorted[N], above = 0, below = 0;
    for (int i = 0; i < N; i++) {
        int before = 0;
        for (int k = 0; k < N; k++) before += prob[k] > prob[i] || (prob[k] == prob[i] && k < i);
        sorted[before] = prob[i];
    }
    for (int i = 1; i < N; i++) {
        double t = log((i + 1.0) / i);
        above += t * log(sorted[i - 1] / sorted[i]);
        below += t * t;
    }
    double z = above / below, e = z - 1, k = pow(e * pow(2, 2 * 1.6) / (1 - pow(N, -e)), 1 / z);
    keep_first(prob, (int)(k + 0.5));
    s = new_sampler(12);
    ADD(s, "mirostat", {"tau", 1.6}, {"version", 1});
    expect(s, prob);
}

static void penalties(void) {
    fill();
    const mllm_token history[] = {9, 0, 7, 0, 14, 14, 14, 21};
    double x[N], sum = 0;
    for (int i = 0; i < N; i++) x[i] = (double)logits[i];
    for (int i = 0; i < N; i++) {
        int count = 0;
        for (int k = 1; k < 8; k++) count += history[k] == i;
        if (count) x[i] = (x[i] > 0 ? x[i] / 1.3 : x[i] * 1.3) - count * 0.2 - 0.4;
    }
    for (int i = 0; i < N; i++) sum += prob[i] = exp(x[i]);
    for (int i = 0; i < N; i++) prob[i] /= sum;
    mllm_sampler *s = new_sampler(13);
    ADD(s, "penalties", {NULL, 1.3}, {"frequency_penalty", 0.2}, {"presence_penalty", 0.4}, {"last_n", 7});
    mllm_sampler_prompt(s, history, 8);
    expect(s, prob);
}

static void dry(void) {
    fill();
    const mllm_token history[] = {1, 2, 0, 5, 1, 2, 7, 1, 2};
    softmax_at(1);
    prob[0] *= exp(-0.5), prob[7] *= exp(-0.5);
    normalize(prob);
    mllm_sampler *s = new_sampler(14);
    ADD(s, "dry", {NULL, 0.5}, {"base", 3});
    mllm_sampler_prompt(s, history, 9);
    expect(s, prob);
}

static void bans(void) {
    fill();
    softmax_at(1);
    const mllm_token ids[] = {0, 7, 14};
    const float values[] = {-1, 0.5f, -INFINITY};
    const mllm_token history[] = {3, 4, 21, 3, 4};
    prob[0] *= exp(-1), prob[7] *= exp(0.5), prob[14] = 0;
    prob[10] = prob[17] = prob[21] = 0;
    normalize(prob);
    mllm_sampler *s = new_sampler(15);
    mllm_error err;
    const mllm_token ends[] = {17}, banned[] = {10};
    mllm_sampler_param length[] = {{.kind = 'n', .number = 3},
                                   {.name = "ends", .kind = 't', .tokens = ends, .count = 1}};
    CHECK(mllm_sampler_add(s, "min_length", length, 2, &err) == MLLM_OK, "%s", err.message);
    CHECK(add_tokens(s, "logit_bias", NULL, ids, values, 3, &err) == MLLM_OK, "%s", err.message);
    CHECK(add_tokens(s, "ban", NULL, banned, NULL, 1, &err) == MLLM_OK, "%s", err.message);
    ADD(s, "no_repeat_ngram", {NULL, 3});
    mllm_sampler_prompt(s, history, 5);
    expect(s, prob);
}

/* The usual chain, on a grammar's mask. */
static void chain(void) {
    fill();
    for (int i = 0; i < N; i += 2) logits[i] = -INFINITY;
    softmax_at(0.8);
    keep_first(prob, 5);
    keep_first(prob, reach(prob, 0.9));
    mllm_sampler *s = new_sampler(16);
    ADD(s, "temperature", {NULL, 0.8});
    ADD(s, "top_k", {NULL, 5});
    ADD(s, "top_p", {NULL, 0.9});
    expect(s, prob);
}

/* A function of the host as a stage. */
static mllm_code halve(void *ctx, mllm_sampler_view *view, mllm_error *err) {
    (void)ctx, (void)err;
    for (size_t i = 0; i < view->count; i++) view->logits[i] *= 0.5f;
    return MLLM_OK;
}

static void function(void) {
    fill();
    softmax_at(2);
    keep_first(prob, 9);
    mllm_sampler *s = new_sampler(17);
    CHECK(mllm_sampler_add_function(s, halve, NULL, NULL, NULL) == MLLM_OK);
    ADD(s, "top_k", {NULL, 9});
    expect(s, prob);
}

/* 32000 tokens, as many as a vocabulary: counted by 64 classes of equal logits. */
static void many_tokens(void) {
    enum { ALL = 32000, CLASSES = 64 };
    static float x[ALL];
    static int count[CLASSES];
    double p[CLASSES], sum = 0, chi = 0;
    for (int i = 0; i < ALL; i++) x[i] = (float)(i % CLASSES) * 0.05f - 3;
    for (int i = 0; i < CLASSES; i++) sum += p[i] = exp(i * 0.05);
    mllm_sampler *s = new_sampler(18);
    for (int i = 0; i < 5000; i++) {
        mllm_token t = draw(s, x, ALL);
        count[t % CLASSES]++;
    }
    for (int i = 0; i < CLASSES; i++) {
        double expected = p[i] / sum * 5000;
        chi += (count[i] - expected) * (count[i] - expected) / expected;
    }
    CHECK(chi < limit(CLASSES - 1), "chi-square %g", chi);
    mllm_sampler_release(s);
}

static const test_case tests[] = {{"plain", plain},
                                  {"temperature", temperature},
                                  {"dynamic_temperature", dynamic_temperature},
                                  {"greedy", greedy},
                                  {"top_k", top_k},
                                  {"top_p", top_p},
                                  {"min_p", min_p},
                                  {"typical", typical},
                                  {"top_n_sigma", top_n_sigma},
                                  {"xtc", xtc},
                                  {"mirostat", mirostat},
                                  {"penalties", penalties},
                                  {"dry", dry},
                                  {"bans", bans},
                                  {"chain", chain},
                                  {"function", function},
                                  {"many_tokens", many_tokens}};
TEST_MAIN(tests)
