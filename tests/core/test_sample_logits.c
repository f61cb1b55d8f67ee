/* Questions to logits and the joining of two arrays, against plain code in double precision. */
#include "sampling.h"

static float logits[MOST_TOKENS], other[MOST_TOKENS], out[MOST_TOKENS];
static double prob[MOST_TOKENS];
static int order[MOST_TOKENS];
static mllm_random rng;

static size_t random_logits(int round) {
    size_t n = round < 4 ? (size_t)round + 1 : 1 + mllm_random_below(&rng, round % 8 ? 40 : MOST_TOKENS);
    fill_logits(&rng, logits, n, (double[]){0.1, 3, 20}[round % 3], round % 4 == 0 ? 1 : 0);
    fill_logits(&rng, other, n, 2, 0);
    for (size_t i = 0; i < n; i++)
        if (round % 5 == 1 && i != n / 2 && mllm_random_below(&rng, 3) == 0) logits[i] = -INFINITY;
    return n;
}

static void questions(void) {
    static mllm_candidate best[MOST_TOKENS];
    mllm_random_seed(&rng, 31);
    for (int round = 0; round < 300; round++) {
        size_t n = random_logits(round), finite = 0;
        double norm = reference_softmax(logits, n, prob), h = 0;
        reference_order(logits, n, order);
        for (size_t i = 0; i < n; i++) {
            finite += logits[i] > -INFINITY;
            if (prob[i] > 0) h -= prob[i] * log(prob[i]);
        }
        CHECK(mllm_logits_argmax(logits, n) == order[0]);
        CHECK(fabs(mllm_logits_logsumexp(logits, n) - norm) < 1e-6);
        CHECK(fabs(mllm_logits_entropy(logits, n) - h) < 3e-6 * fmax(1, h), "%g, not %g",
              mllm_logits_entropy(logits, n), h);
        CHECK(mllm_logits_softmax(logits, n, out));
        for (size_t i = 0; i < n; i++) CHECK(fabs((double)out[i] - prob[i]) <= 5e-6 * prob[i] + 1e-37);
        size_t k = mllm_random_below(&rng, n + 5), got = mllm_logits_topk(logits, n, k, best);
        CHECK(got == (k < finite ? k : finite), "%zu of %zu", got, finite);
        for (size_t i = 0; i < got; i++) {
            CHECK(best[i].id == order[i] && best[i].logit == logits[order[i]], "place %zu", i);
            CHECK(fabs(best[i].logprob - ((double)logits[order[i]] - norm)) < 1e-6, "%g", best[i].logprob);
        }
    }
}

static void nothing_there(void) {
    const float masked[] = {-INFINITY, NAN, -INFINITY};
    mllm_candidate best[3];
    for (size_t n = 0; n <= 3; n++) {
        CHECK(mllm_logits_argmax(masked, n) == -1);
        CHECK(mllm_logits_logsumexp(masked, n) == -INFINITY);
        CHECK(mllm_logits_entropy(masked, n) == 0);
        CHECK(mllm_logits_topk(masked, n, 3, best) == 0);
        CHECK(!mllm_logits_softmax(masked, n, out));
        for (size_t i = 0; i < n; i++) CHECK(out[i] == 0);
    }
    const float broken[] = {NAN, 1, -INFINITY, 0.5f};
    CHECK(mllm_logits_argmax(broken, 4) == 1);
    CHECK(mllm_logits_topk(broken, 4, 4, best) == 2 && best[0].id == 1 && best[1].id == 3);
    const float infinite[] = {1, INFINITY, 0};
    CHECK(mllm_logits_argmax(infinite, 3) == 1 && mllm_logits_entropy(infinite, 3) == 0);
    CHECK(mllm_logits_softmax(infinite, 3, out) && out[0] == 0 && out[1] == 1);
    CHECK(mllm_logits_topk(infinite, 3, 3, best) == 3 && best[0].logprob == 0 && best[1].logprob == -INFINITY);
}

static void in_place(void) {
    mllm_random_seed(&rng, 32);
    size_t n = random_logits(8);
    mllm_logits_softmax(logits, n, out);
    mllm_logits_softmax(logits, n, logits);
    CHECK(memcmp(logits, out, n * sizeof *out) == 0);
}

static void guidance(void) {
    mllm_random_seed(&rng, 33);
    for (int round = 0; round < 100; round++) {
        size_t n = random_logits(round);
        double scale = mllm_random_uniform(&rng) * 4 - 1;
        if (n > 5) other[3] = -INFINITY;
        double own_norm = reference_softmax(logits, n, prob), other_norm = reference_softmax(other, n, prob);
        memcpy(out, logits, n * sizeof *out);
        mllm_logits_guide(out, other, n, scale);
        for (size_t i = 0; i < n; i++) {
            double x = (double)logits[i] - own_norm, y = (double)other[i] - other_norm;
            double expected = logits[i] == -INFINITY ? -INFINITY : other[i] == -INFINITY ? x : y + scale * (x - y);
            CHECK(out[i] == (float)expected || fabs((double)out[i] - expected) < 1e-4, "%g, not %g", (double)out[i],
                  expected);
        }
    }
}

static void contrast(void) {
    mllm_random_seed(&rng, 34);
    for (int round = 0; round < 100; round++) {
        size_t n = random_logits(round);
        double alpha = mllm_random_uniform(&rng), beta = mllm_random_uniform(&rng) * 2, best = 0;
        reference_softmax(logits, n, prob);
        for (size_t i = 0; i < n; i++) best = fmax(best, prob[i]);
        memcpy(out, logits, n * sizeof *out);
        mllm_logits_contrast(out, other, n, alpha, beta);
        size_t left = 0;
        for (size_t i = 0; i < n; i++) {
            left += out[i] > -INFINITY;
            if (prob[i] < alpha * best * (1 - 1e-5)) CHECK(out[i] == -INFINITY);
            if (prob[i] > alpha * best * (1 + 1e-5)) {
                double expected = (1 + beta) * (double)logits[i] - beta * (double)other[i];
                CHECK(fabs((double)out[i] - expected) < 1e-4, "%g, not %g", (double)out[i], expected);
            }
        }
        CHECK(left > 0);
    }
    const float extreme[] = {FLT_MAX, 1}, low[] = {-FLT_MAX, -FLT_MAX};
    memcpy(out, extreme, sizeof extreme);
    mllm_logits_contrast(out, low, 2, 0, 5);
    CHECK(out[0] == FLT_MAX && out[1] > -INFINITY && out[1] <= FLT_MAX);
}

static const test_case tests[] = {{"questions", questions},
                                  {"nothing_there", nothing_there},
                                  {"in_place", in_place},
                                  {"guidance", guidance},
                                  {"contrast", contrast}};
TEST_MAIN(tests)
