/* What each stage leaves and what it makes of the logits, against its definition computed plainly in double precision. */
#include "sampling.h"

static captured left;
static float logits[MOST_TOKENS];
static double prob[MOST_TOKENS];
static int order[MOST_TOKENS];
static mllm_random rng;

/* Logits of the probabilities 0.5 0.25 0.15 0.1, at places 2 0 3 1. */
static void four(float *out) {
    out[2] = (float)log(0.5), out[0] = (float)log(0.25), out[3] = (float)log(0.15), out[1] = (float)log(0.1);
}

/* One stage on `n` logits; the result is in `left`. */
static void run_stage(const char *stage, const param *list, const float *x, size_t n, uint64_t seed) {
    mllm_error err;
    mllm_sampler *s = new_sampler(seed);
    CHECK(add_list(s, stage, list, &err) == MLLM_OK, "%s", err.message);
    add_capture(s, &left);
    draw(s, x, n);
    mllm_sampler_release(s);
}
#define RUN(stage, x, n, ...) run_stage(stage, (const param[]){__VA_ARGS__, END}, x, n, 1)

#define LEFT(...)                                                                                                      \
    do {                                                                                                               \
        const mllm_token expected[] = {__VA_ARGS__};                                                                   \
        size_t expected_count = sizeof expected / sizeof *expected;                                                    \
        CHECK(left.count == expected_count, "%zu left", left.count);                                                   \
        for (size_t left_i = 0; left_i < expected_count && left_i < left.count; left_i++)                              \
            CHECK(left.ids[left_i] == expected[left_i], "token %d at %zu", (int)left.ids[left_i], left_i);             \
    } while (0)

/* For a number of rounds of random sizes, spreads and ties. */
#define ROUNDS(rounds)                                                                                                 \
    mllm_random_seed(&rng, 77);                                                                                        \
    for (int round = 0; round < (rounds); round++)

static size_t random_logits(int round) {
    size_t n = round < 5 ? (size_t)round + 1 : 1 + mllm_random_below(&rng, round % 8 ? 60 : MOST_TOKENS);
    fill_logits(&rng, logits, n, (double[]){0.1, 1, 4, 15}[round % 4], (int[]){0, 0, 1, 7}[round / 4 % 4]);
    reference_softmax(logits, n, prob);
    reference_order(logits, n, order);
    return n;
}

/* What is left is ascending, keeps its logits, and consists of the first `left.count` of order[]. */
static void check_prefix(size_t n) {
    CHECK(left.count >= 1 && left.count <= n, "%zu of %zu", left.count, n);
    for (size_t i = 0; i < left.count; i++) {
        CHECK(i == 0 || left.ids[i - 1] < left.ids[i], "order of ids");
        CHECK(left.logits[i] == logits[left.ids[i]], "a logit was changed");
    }
    for (size_t i = 0; i < left.count; i++) CHECK(captured_at(&left, order[i]) >= 0, "place %zu is missing", i);
}

/* The shortest prefix of order[] whose mass is p, up to rounding. */
static void check_mass(size_t n, double p) {
    double mass = 0, last = 0;
    check_prefix(n);
    for (size_t i = 0; i < left.count; i++) mass += last = prob[order[i]];
    CHECK(left.count == n || mass >= p - 1e-6, "mass %g for %g", mass, p);
    if (left.count > 1) CHECK(mass - last <= p + 1e-6, "mass %g without the last for %g", mass - last, p);
}

/* ------------------------------------------------------------ temperature */

static void temperature(void) {
    const float x[] = {1, -2, 0.5f, 3};
    RUN("temperature", x, 4, {NULL, 0.5});
    LEFT(0, 1, 2, 3);
    for (int i = 0; i < 4; i++) CHECK(left.logits[i] == x[i] * 2);
    RUN("temperature", x, 4, {"t", 1});
    for (int i = 0; i < 4; i++) CHECK(left.logits[i] == x[i]);
    RUN("temperature", x, 4, {"t", 0});
    LEFT(3);
    RUN("greedy", x, 4, END);
    LEFT(3);
    const float equal[] = {1, 2, 2, -0.0f};
    RUN("greedy", equal, 4, END);
    LEFT(1);
    const float zeros[] = {-1, -0.0f, 0.0f};
    RUN("greedy", zeros, 3, END);
    LEFT(1);
}

/* However extreme: finite logits, and the best stays the best. */
static void temperature_extremes(void) {
    const float x[] = {FLT_MAX, -FLT_MAX, 3e38f, 0};
    const double t[] = {1e-300, 1e-39, 1e-30, 0.001, 0.5, 1e10, 1e300};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        RUN("temperature", x, 4, {"t", t[i]});
        CHECK(captured_at(&left, 0) == 0, "t = %g", t[i]);
        for (size_t k = 0; k < left.count; k++)
            CHECK(isfinite(left.logits[k]) && left.logits[k] <= left.logits[0], "t = %g", t[i]);
    }
    const float close[] = {2e30f, 2.000001e30f, 1.9e30f};
    RUN("temperature", close, 3, {"t", 1e-20});
    CHECK(left.count == 1 || (left.logits[1] > left.logits[0] && left.logits[0] >= left.logits[2]));
}

static void dynamic_temperature(void) {
    ROUNDS(100) {
        size_t n = random_logits(round);
        double t = 0.2 + mllm_random_uniform(&rng) * 2, range = mllm_random_uniform(&rng) * 2,
               exponent = 0.3 + mllm_random_uniform(&rng) * 2, h = 0;
        for (size_t i = 0; i < n; i++)
            if (prob[i] > 0) h -= prob[i] * log(prob[i]);
        RUN("temperature", logits, n, {"t", t}, {"range", range}, {"exponent", exponent});
        if (n == 1) continue;
        double low = t > range ? t - range : 0,
               now = low + (t + range - low) * pow(fmin(1, h / log((double)n)), exponent);
        if (now < 0.01) continue; /* so cold that a rounding of the entropy shows */
        for (size_t i = 0; i < n; i++)
            CHECK(fabs((double)left.logits[i] - (double)logits[i] / now) <= 1e-4 * fabs((double)logits[i] / now) + 1e-6,
                  "n = %zu: %g becomes %g at %g", n, (double)logits[i], (double)left.logits[i], now);
    }
    /* Hand-computed: uniform logits have all the entropy there is, so t + range. */
    const float flat[] = {2, 2, 2, 2};
    RUN("temperature", flat, 4, {"t", 1}, {"range", 0.6});
    for (int i = 0; i < 4; i++) CHECK(fabsf(left.logits[i] - 1.25f) < 1e-6f, "%g", (double)left.logits[i]);
}

/* ------------------------------------------------------------ truncations */

static void top_k(void) {
    float x[4];
    four(x);
    RUN("top_k", x, 4, {NULL, 1});
    LEFT(2);
    RUN("top_k", x, 4, {"k", 3});
    LEFT(0, 2, 3);
    RUN("top_k", x, 4, {"k", 0});
    LEFT(0, 1, 2, 3);
    RUN("top_k", x, 4, {"k", 99});
    LEFT(0, 1, 2, 3);
    const float equal[] = {1, 5, 1, 1, 5, 1};
    RUN("top_k", equal, 6, {"k", 4});
    LEFT(0, 1, 2, 4);
    ROUNDS(400) {
        size_t n = random_logits(round), k = 1 + mllm_random_below(&rng, round % 3 ? n + 2 : n / 20 + 2);
        RUN("top_k", logits, n, {"k", (double)k});
        CHECK(left.count == (k < n ? k : n), "%zu of %zu for %zu", left.count, n, k);
        check_prefix(n);
    }
}

static void top_p(void) {
    float x[4];
    four(x);
    RUN("top_p", x, 4, {NULL, 0.4});
    LEFT(2);
    RUN("top_p", x, 4, {"p", 0.6});
    LEFT(0, 2);
    RUN("top_p", x, 4, {"p", 0.8});
    LEFT(0, 2, 3);
    RUN("top_p", x, 4, {"p", 0.95});
    LEFT(0, 1, 2, 3);
    RUN("top_p", x, 4, {"p", 0});
    LEFT(2);
    RUN("top_p", x, 4, {"p", 1});
    LEFT(0, 1, 2, 3);
    RUN("top_p", x, 4, {"p", 0.1}, {"min_keep", 3});
    LEFT(0, 2, 3);
    RUN("top_p", x, 4, {"p", 0.8}, {"min_keep", 2});
    LEFT(0, 2, 3);
    ROUNDS(400) {
        size_t n = random_logits(round);
        double p = round % 5 == 0 ? 0.999 : mllm_random_uniform(&rng);
        RUN("top_p", logits, n, {"p", p});
        check_mass(n, p);
        size_t by_mass = left.count, keep = 1 + mllm_random_below(&rng, 10);
        RUN("top_p", logits, n, {"p", p}, {"min_keep", (double)keep});
        check_prefix(n);
        size_t least = keep < n ? keep : n;
        /* min_keep takes another way through the code, and rounds once more */
        if (keep > by_mass + 1) CHECK(left.count == least, "%zu, not %zu", left.count, least);
        if (keep < by_mass) check_mass(n, p);
    }
}

static void min_p(void) {
    float x[4];
    four(x);
    RUN("min_p", x, 4, {NULL, 0.4});
    LEFT(0, 2);
    RUN("min_p", x, 4, {"p", 0.1});
    LEFT(0, 1, 2, 3);
    RUN("min_p", x, 4, {"p", 1});
    LEFT(2);
    RUN("min_p", x, 4, {"p", 0});
    LEFT(0, 1, 2, 3);
    RUN("min_p", x, 4, {"p", 1}, {"min_keep", 3});
    LEFT(0, 2, 3);
    ROUNDS(400) {
        size_t n = random_logits(round);
        double p = pow(mllm_random_uniform(&rng), 3);
        RUN("min_p", logits, n, {"p", p});
        check_prefix(n);
        double best = prob[order[0]];
        for (size_t i = 0; i < n; i++) {
            bool in = captured_at(&left, (mllm_token)i) >= 0;
            if (prob[i] > p * best * (1 + 1e-5)) CHECK(in, "%g of %g for %g is gone", prob[i], best, p);
            if (prob[i] < p * best * (1 - 1e-5)) CHECK(!in, "%g of %g for %g is there", prob[i], best, p);
        }
    }
}

static double deviation[MOST_TOKENS];
static int nearest_first(const void *a, const void *b) {
    double x = deviation[*(const int *)a], y = deviation[*(const int *)b];
    return (x > y) - (x < y);
}

static void typical(void) {
    /* p = 0.5 0.25 0.15 0.1: H = 1.208 nats, surprises 0.693 1.386 1.897 2.303, so 0.25 is nearest, then 0.5, 0.15, 0.1. */
    float x[4];
    four(x);
    RUN("typical", x, 4, {NULL, 0.2});
    LEFT(0);
    RUN("typical", x, 4, {"p", 0.7});
    LEFT(0, 2);
    RUN("typical", x, 4, {"p", 0.8});
    LEFT(0, 2, 3);
    RUN("typical", x, 4, {"p", 0.1}, {"min_keep", 2});
    LEFT(0, 2);
    RUN("typical", x, 4, {"p", 1});
    LEFT(0, 1, 2, 3);
    ROUNDS(300) {
        size_t n = random_logits(round);
        double p = mllm_random_uniform(&rng), h = 0, mass = 0, furthest = 0;
        for (size_t i = 0; i < n; i++)
            if (prob[i] > 0) h -= prob[i] * log(prob[i]);
        for (size_t i = 0; i < n; i++) deviation[i] = fabs(-log(prob[i]) - h), order[i] = (int)i;
        qsort(order, n, sizeof *order, nearest_first);
        RUN("typical", logits, n, {"p", p});
        CHECK(left.count >= 1);
        for (size_t i = 0; i < left.count; i++) {
            mass += prob[left.ids[i]];
            if (deviation[left.ids[i]] > furthest) furthest = deviation[left.ids[i]];
        }
        CHECK(left.count == n || mass >= p - 1e-6, "mass %g for %g", mass, p);
        double nearer = 0; /* mass that is nearer than the furthest of the set, with room for rounding: under p */
        for (size_t i = 0; i < n; i++) {
            if (deviation[i] < furthest - 1e-5) {
                nearer += prob[i];
                CHECK(captured_at(&left, (mllm_token)i) >= 0, "a nearer one is gone");
            }
        }
        CHECK(nearer <= p + 1e-6, "%g nearer for %g", nearer, p);
    }
}

static void top_n_sigma(void) {
    /* mean 1, deviations 3 -1 -1 -1: variance (9 + 3) / 4 = 3, sigma 1.732; max - 2 sigma = 0.536, - 2.4 sigma = -0.157 */
    const float x[] = {4, 0, 0, 0};
    RUN("top_n_sigma", x, 4, {NULL, 2});
    LEFT(0);
    RUN("top_n_sigma", x, 4, {"n", 2.4});
    LEFT(0, 1, 2, 3);
    RUN("top_n_sigma", x, 4, {"n", 0});
    LEFT(0);
    RUN("top_n_sigma", x, 4, {"n", -1});
    LEFT(0, 1, 2, 3);
    ROUNDS(200) {
        size_t n = random_logits(round);
        double scale = mllm_random_uniform(&rng) * 3, mean = 0, variance = 0;
        for (size_t i = 0; i < n; i++) mean += (double)logits[i] / (double)n;
        for (size_t i = 0; i < n; i++) variance += pow((double)logits[i] - mean, 2) / (double)n;
        double least = (double)logits[order[0]] - scale * sqrt(variance);
        RUN("top_n_sigma", logits, n, {"n", scale});
        check_prefix(n);
        for (size_t i = 0; i < n; i++) {
            bool in = captured_at(&left, (mllm_token)i) >= 0;
            if ((double)logits[i] > least + 1e-5) CHECK(in);
            if ((double)logits[i] < least - 1e-5) CHECK(!in);
        }
    }
}

static void xtc(void) {
    float x[4];
    four(x);
    RUN("xtc", x, 4, {NULL, 1}, {"threshold", 0.12});
    LEFT(1, 3); /* of 0.5 0.25 0.15 only the last stays */
    RUN("xtc", x, 4, {"probability", 1}, {"threshold", 0.3});
    LEFT(0, 1, 2, 3); /* only one reaches it */
    RUN("xtc", x, 4, {"probability", 0}, {"threshold", 0.01});
    LEFT(0, 1, 2, 3);
    RUN("xtc", x, 4, {"probability", 1}, {"threshold", 0.01});
    LEFT(1);
    RUN("xtc", x, 4, {"probability", 1}, {"threshold", 0.01}, {"min_keep", 2});
    LEFT(0, 1, 2, 3);
    const float equal[] = {1, 1, 1, 0};
    RUN("xtc", equal, 4, {"probability", 1}, {"threshold", 0.2});
    LEFT(2, 3);
    ROUNDS(200) {
        size_t n = random_logits(round);
        double threshold = mllm_random_uniform(&rng) * 0.3;
        RUN("xtc", logits, n, {"probability", 1}, {"threshold", threshold});
        size_t reach = 0;
        bool near = false;
        for (size_t i = 0; i < n; i++) near |= fabs(prob[order[i]] - threshold) < 1e-6;
        while (reach < n && prob[order[reach]] >= threshold) reach++;
        if (near) continue;
        CHECK(left.count == (reach < 2 ? n : n - reach + 1), "%zu of %zu, %zu reach %g", left.count, n, reach,
              threshold);
        for (size_t i = 0; reach > 1 && i < n; i++)
            CHECK((captured_at(&left, order[i]) >= 0) == (i + 1 >= reach), "place %zu", i);
    }
}

/* --------------------------------------------------------------- mirostat */

/* Tokens that may be drawn first, found by drawing with many seeds; returns how many, and checks that they are the best. */
static size_t drawn_first(size_t n, int seeds, const param *list) {
    static bool seen[MOST_TOKENS];
    memset(seen, 0, sizeof seen);
    mllm_error err;
    mllm_sampler *s = new_sampler(0);
    CHECK(add_list(s, "mirostat", list, &err) == MLLM_OK, "%s", err.message);
    for (int i = 0; i < seeds; i++) {
        mllm_sampler_reset(s, (uint64_t)i);
        seen[draw(s, logits, n)] = true;
    }
    mllm_sampler_release(s);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += seen[i];
    for (size_t i = 0; i < count; i++) CHECK(seen[order[i]], "place %zu of %zu is not drawn", i, count);
    return count;
}

static void mirostat(void) {
    /* 2 tau = 2.2 bits: of the surprises 1 2 2.74 3.32 bits, two. */
    four(logits);
    reference_order(logits, 4, order);
    CHECK(drawn_first(4, 500, (const param[]){{NULL, 1.1}, END}) == 2);
    CHECK(drawn_first(4, 500, (const param[]){{"tau", 1.4}, END}) == 3);
    CHECK(drawn_first(4, 500, (const param[]){{"tau", 0}, END}) == 1);
    CHECK(drawn_first(4, 500, (const param[]){{"tau", 5}, END}) == 4);
    /* Version 1: k from the estimate of the paper, computed here with the C library. */
    mllm_random_seed(&rng, 4);
    for (int round = 0; round < 12; round++) {
        size_t n = 40, m = round % 2 ? 30 : 100;
        fill_logits(&rng, logits, n, 0.4, 0);
        reference_softmax(logits, n, prob);
        reference_order(logits, n, order);
        double above = 0, below = 0, tau = 1 + mllm_random_uniform(&rng);
        for (size_t i = 1; i < (m < n ? m : n); i++) {
            double t = log((double)(i + 1) / (double)i);
            above += t * log(prob[order[i - 1]] / prob[order[i]]);
            below += t * t;
        }
        double s = above / below, e = s - 1, k = pow(e * pow(2, 2 * tau) / (1 - pow((double)n, -e)), 1 / s);
        if (fabs(k + 0.5 - floor(k + 0.5)) < 1e-3 || k > 38 || k < 1) continue;
        size_t got = drawn_first(n, 6000, (const param[]){{"tau", tau}, {"version", 1}, {"m", (double)m}, END});
        CHECK(got == (size_t)(k + 0.5), "%zu drawn, k = %g (s = %g)", got, k, s);
    }
}

/* The surprise of what is drawn settles at tau; without feedback it does not. */
static void mirostat_settles(void) {
    size_t n = 2000;
    mllm_random_seed(&rng, 12);
    fill_logits(&rng, logits, n, 3, 0);
    reference_softmax(logits, n, prob);
    for (int version = 1; version <= 2; version++) {
        for (int accept = 0; accept <= 1; accept++) {
            double tau = 5, sum = 0;
            mllm_sampler *s = new_sampler(7);
            ADD(s, "mirostat", {"tau", tau}, {"eta", 0.1}, {"version", version});
            for (int i = 0; i < 3000; i++) {
                mllm_token t = draw(s, logits, n);
                if (accept) mllm_sampler_accept(s, t);
                if (i >= 200) sum -= log2(prob[t]);
            }
            double mean = sum / 2800;
            if (accept)
                CHECK(fabs(mean - tau) < 0.05, "version %d: %g bits", version, mean);
            else
                CHECK(fabs(mean - tau) > 0.15, "version %d without feedback: %g bits", version, mean);
            mllm_sampler_release(s);
        }
    }
}

/* ------------------------------------------------------------ the history */

/* `stage` with its numbers on a history; the result is in `left`. */
static void run_after(const char *stage, const param *list, const mllm_token *history, size_t count, const float *x,
                      size_t n) {
    mllm_error err;
    mllm_sampler *s = new_sampler(1);
    CHECK(add_list(s, stage, list, &err) == MLLM_OK, "%s", err.message);
    add_capture(s, &left);
    mllm_sampler_prompt(s, history, count / 2);
    for (size_t i = count / 2; i < count; i++) mllm_sampler_accept(s, history[i]);
    draw(s, x, n);
    mllm_sampler_release(s);
}
#define AFTER(stage, history, x, n, ...)                                                                               \
    run_after(stage, (const param[]){__VA_ARGS__, END}, history, sizeof history / sizeof *history, x, n)

static void penalties(void) {
    const float x[] = {2, -2, 3, 0};
    const mllm_token history[] = {3, 0, 1, 0, 900, -1};
    AFTER("penalties", history, x, 4, {NULL, 2});
    CHECK(left.logits[0] == 1 && left.logits[1] == -4 && left.logits[2] == 3 && left.logits[3] == 0);
    AFTER("penalties", history, x, 4, {"frequency_penalty", 0.5}, {"presence_penalty", 0.25});
    CHECK(left.logits[0] == 0.75f && left.logits[1] == -2.75f && left.logits[2] == 3 && left.logits[3] == -0.75f);
    AFTER("penalties", history, x, 4, {"repeat_penalty", 2}, {"frequency_penalty", 1}, {"last_n", 4});
    CHECK(left.logits[0] == 0 && left.logits[1] == -5 && left.logits[2] == 3 && left.logits[3] == 0);
    AFTER("penalties", history, x, 4, {"presence_penalty", -1}, {"last_n", -1});
    CHECK(left.logits[0] == 3 && left.logits[1] == -1 && left.logits[2] == 3 && left.logits[3] == 1);
    AFTER("penalties", history, x, 4, {"repeat_penalty", 2}, {"last_n", 0});
    for (int i = 0; i < 4; i++) CHECK(left.logits[i] == x[i]);
}

static void penalties_behind_a_truncation(void) {
    const float x[] = {5, 1, 4, 3, 2};
    const mllm_token history[] = {0, 1, 3};
    mllm_sampler *s = new_sampler(1);
    ADD(s, "top_k", {"k", 3});
    ADD(s, "penalties", {"presence_penalty", 2});
    add_capture(s, &left);
    mllm_sampler_prompt(s, history, 3);
    draw(s, x, 5);
    LEFT(0, 2, 3);
    CHECK(left.logits[0] == 3 && left.logits[1] == 4 && left.logits[2] == 1);
    mllm_sampler_release(s);
}

static void dry(void) {
    float x[8] = {0};
    const mllm_token history[] = {1, 2, 3, 4, 7, 1, 2, 3};
    AFTER("dry", history, x, 8, {NULL, 0.5}, {"base", 2}, {"allowed_length", 2});
    for (int i = 0; i < 8; i++) CHECK(left.logits[i] == (i == 4 ? -1.0f : 0), "%d: %g", i, (double)left.logits[i]);
    AFTER("dry", history, x, 8, {"multiplier", 0.5}, {"base", 2}, {"allowed_length", 4});
    for (int i = 0; i < 8; i++) CHECK(left.logits[i] == 0);
    AFTER("dry", history, x, 8, {"multiplier", 0.5}, {"base", 2}, {"last_n", 6}); /* the window begins at 3 4 7 ... */
    for (int i = 0; i < 8; i++) CHECK(left.logits[i] == 0);
    /* Of two repetitions of different length that go on with the same token the longer counts. */
    const mllm_token twice[] = {5, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3};
    AFTER("dry", twice, x, 8, {"multiplier", 1}, {"base", 3}, {"allowed_length", 2});
    for (int i = 0; i < 8; i++) CHECK(left.logits[i] == (i == 4 ? -81.0f : 0), "%d: %g", i, (double)left.logits[i]);
}

/* Against the plain definition: for every earlier place, how long is the match that it would go on. */
static void dry_by_definition(void) {
    ROUNDS(300) {
        enum { N = 5, LENGTH = 60 };
        mllm_token history[LENGTH], breaker = round % 3 ? (mllm_token)mllm_random_below(&rng, N) : 77;
        size_t length = mllm_random_below(&rng, LENGTH);
        int allowed = 1 + (int)mllm_random_below(&rng, 4), best[N] = {0};
        for (size_t i = 0; i < length; i++) history[i] = (mllm_token)mllm_random_below(&rng, round % 2 ? 2 : N);
        for (size_t i = 1; i < length; i++) { /* what stands at i came after a match of m tokens */
            int m = 0;
            while ((size_t)m < i && history[i - 1 - (size_t)m] == history[length - 1 - (size_t)m] &&
                   history[length - 1 - (size_t)m] != breaker)
                m++;
            if (history[i] != breaker && m > best[history[i]]) best[history[i]] = m;
        }
        fill_logits(&rng, logits, N, 2, 0);
        mllm_error err;
        mllm_sampler *s = new_sampler(1);
        mllm_sampler_param params[] = {{.name = "multiplier", .kind = 'n', .number = 0.7},
                                       {.name = "breakers", .kind = 't', .tokens = &breaker, .count = 1},
                                       {.name = "allowed_length", .kind = 'n', .number = allowed}};
        CHECK(mllm_sampler_add(s, "dry", params, 3, &err) == MLLM_OK, "%s", err.message);
        add_capture(s, &left);
        mllm_sampler_prompt(s, history, length);
        draw(s, logits, N);
        for (int i = 0; i < N; i++) {
            double loss = best[i] >= allowed ? 0.7 * pow(1.75, best[i] - allowed) : 0;
            double expected = fmax((double)logits[i] - loss, -(double)FLT_MAX);
            CHECK(fabs((double)left.logits[i] - expected) <= 1e-5 * fabs(expected) + 1e-6,
                  "token %d, match %d: %g, not %g", i, best[i], (double)left.logits[i], expected);
        }
        mllm_sampler_release(s);
    }
}

static void no_repeat_ngram(void) {
    float x[6] = {0};
    const mllm_token history[] = {1, 2, 3, 5, 1, 2, 4, 1, 2};
    AFTER("no_repeat_ngram", history, x, 6, {NULL, 3});
    LEFT(0, 1, 2, 5);
    AFTER("no_repeat_ngram", history, x, 6, {"n", 4});
    LEFT(0, 1, 2, 3, 4, 5);
    AFTER("no_repeat_ngram", history, x, 6, {"n", 3}, {"last_n", 6});
    LEFT(0, 1, 2, 3, 5);
    AFTER("no_repeat_ngram", history, x, 6, {"n", 1});
    LEFT(0);
    AFTER("no_repeat_ngram", history, x, 6, {"n", 0});
    LEFT(0, 1, 2, 3, 4, 5);
    const mllm_token all[] = {0, 1, 2, 3, 4, 5};
    AFTER("no_repeat_ngram", all, x, 6, {"n", 1}); /* would leave nothing: does nothing */
    LEFT(0, 1, 2, 3, 4, 5);
    ROUNDS(300) {
        enum { N = 6, LENGTH = 50 };
        mllm_token tokens[LENGTH];
        size_t length = mllm_random_below(&rng, LENGTH), n = 1 + mllm_random_below(&rng, 5), banned = 0;
        bool ban[N] = {false};
        for (size_t i = 0; i < length; i++) tokens[i] = (mllm_token)mllm_random_below(&rng, round % 2 ? 2 : N);
        for (size_t i = 0; i + n <= length; i++) {
            bool same = true;
            for (size_t k = 0; k + 1 < n; k++) same &= tokens[i + k] == tokens[length - n + 1 + k];
            if (same) ban[tokens[i + n - 1]] = true;
        }
        for (int i = 0; i < N; i++) banned += ban[i];
        run_after("no_repeat_ngram", (const param[]){{"n", (double)n}, END}, tokens, length, x, N);
        for (int i = 0; i < N; i++)
            CHECK((captured_at(&left, i) < 0) == (ban[i] && banned < N), "token %d, n = %zu, length %zu", i, n, length);
    }
}

/* ------------------------------------------------------------------- bans */

static void logit_bias(void) {
    const float x[] = {1, 2, 3, 4};
    const mllm_token ids[] = {3, 0, 2, 700};
    const float values[] = {-INFINITY, 2.5f, -1, 9};
    mllm_error err;
    mllm_sampler *s = new_sampler(1);
    CHECK(add_tokens(s, "logit_bias", NULL, ids, values, 4, &err) == MLLM_OK, "%s", err.message);
    add_capture(s, &left);
    draw(s, x, 4);
    LEFT(0, 1, 2);
    CHECK(left.logits[0] == 3.5f && left.logits[1] == 2 && left.logits[2] == 2);
    mllm_sampler_release(s);

    s = new_sampler(1);
    const float large[] = {FLT_MAX, -FLT_MAX};
    CHECK(add_tokens(s, "logit_bias", "biases", ids, large, 2, &err) == MLLM_OK, "%s", err.message);
    CHECK(add_tokens(s, "logit_bias", "biases", ids, large, 2, &err) == MLLM_OK, "%s", err.message);
    add_capture(s, &left);
    draw(s, x, 4);
    CHECK(left.logits[3] == FLT_MAX && left.logits[0] == -FLT_MAX, "sums stay finite");
    mllm_sampler_release(s);
}

static void ban(void) {
    const float x[] = {1, 2, 3, 4};
    const mllm_token ids[] = {3, 1, 3, 1000000};
    mllm_error err;
    mllm_sampler *s = new_sampler(1);
    CHECK(add_tokens(s, "ban", NULL, ids, NULL, 4, &err) == MLLM_OK, "%s", err.message);
    add_capture(s, &left);
    draw(s, x, 4);
    LEFT(0, 2);
    mllm_sampler_release(s);
}

static void min_length(void) {
    const float x[] = {1, 9, 1, 8};
    const mllm_token ends[] = {1, 3};
    mllm_error err;
    mllm_sampler *s = new_sampler(1);
    mllm_sampler_param params[] = {{.kind = 'n', .number = 2},
                                   {.name = "ends", .kind = 't', .tokens = ends, .count = 2}};
    CHECK(mllm_sampler_add(s, "min_length", params, 2, &err) == MLLM_OK, "%s", err.message);
    add_capture(s, &left);
    mllm_sampler_prompt(s, (mllm_token[]){0, 0, 0}, 3); /* does not count */
    for (int i = 0; i < 2; i++) {
        draw(s, x, 4);
        LEFT(0, 2);
        mllm_sampler_accept(s, 0);
    }
    draw(s, x, 4);
    LEFT(0, 1, 2, 3);
    mllm_sampler_reset(s, 1);
    const float only[] = {-INFINITY, 9, -INFINITY, -INFINITY};
    draw(s, only, 4); /* where the text is complete nothing else is left */
    LEFT(1);
    mllm_sampler_release(s);

    s = new_sampler(1);
    ADD(s, "min_length", {"n", 2});
    CHECK(mllm_sampler_sample(s, x, 4, &err) == -1 && err.code == MLLM_E_ARGUMENT && strstr(err.message, "end tokens"),
          "%s", err.message);
    mllm_sampler_release(s);
}

/* ------------------------------------------------------------------ order */

/* A truncation before or behind a temperature sees other probabilities. */
static void order_matters(void) {
    float x[4];
    four(x);
    mllm_sampler *a = new_sampler(1), *b = new_sampler(1);
    ADD(a, "temperature", {"t", 0.5});
    ADD(a, "top_p", {"p", 0.7});
    add_capture(a, &left);
    draw(a, x, 4); /* 0.25 0.0625 0.0225 0.01 of 0.345: the first has 0.725 */
    LEFT(2);
    ADD(b, "top_p", {"p", 0.7});
    ADD(b, "temperature", {"t", 0.5});
    add_capture(b, &left);
    draw(b, x, 4);
    LEFT(0, 2);
    mllm_sampler_release(a);
    mllm_sampler_release(b);
}

/* Any chain of truncations, in any order, on logits with masks: something is left, nothing masked comes back. */
static void never_empty(void) {
    static const char *const stages[] = {"top_k",       "top_p", "min_p",       "typical",
                                         "top_n_sigma", "xtc",   "temperature", "mirostat"};
    ROUNDS(2000) {
        size_t n = random_logits(round);
        bool masked[MOST_TOKENS];
        for (size_t i = 0; i < n; i++) {
            masked[i] = mllm_random_below(&rng, 4) < (uint64_t)(round % 4);
            if (masked[i]) logits[i] = -INFINITY;
        }
        size_t one = mllm_random_below(&rng, n);
        if (masked[one]) masked[one] = false, logits[one] = 0.5f;
        mllm_sampler *s = new_sampler((uint64_t)round);
        for (int k = 0; k < 4; k++) {
            const char *stage = stages[mllm_random_below(&rng, 8)];
            double top = strcmp(stage, "top_k") == 0 ? 20 : 1, value = mllm_random_uniform(&rng) * top;
            ADD(s, stage, {NULL, top > 1 ? floor(value) : value});
        }
        mllm_token t = draw(s, logits, n);
        if (t >= 0) CHECK(!masked[t], "a masked token was drawn");
        mllm_sampler_release(s);
    }
}

static const test_case tests[] = {{"temperature", temperature},
                                  {"temperature_extremes", temperature_extremes},
                                  {"dynamic_temperature", dynamic_temperature},
                                  {"top_k", top_k},
                                  {"top_p", top_p},
                                  {"min_p", min_p},
                                  {"typical", typical},
                                  {"top_n_sigma", top_n_sigma},
                                  {"xtc", xtc},
                                  {"mirostat", mirostat},
                                  {"mirostat_settles", mirostat_settles},
                                  {"penalties", penalties},
                                  {"penalties_behind_a_truncation", penalties_behind_a_truncation},
                                  {"dry", dry},
                                  {"dry_by_definition", dry_by_definition},
                                  {"no_repeat_ngram", no_repeat_ngram},
                                  {"logit_bias", logit_bias},
                                  {"ban", ban},
                                  {"min_length", min_length},
                                  {"order_matters", order_matters},
                                  {"never_empty", never_empty}};
TEST_MAIN(tests)
