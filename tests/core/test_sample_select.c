/* Selection without sorting, and the exponentials, against plain code. */
#include "test.h"

#include "base/random.h"
#include "sample/select.h"
#include "sample/softmax.h"

#include <float.h>
#include <math.h>

enum { MOST = 4000 };

static mllm_random rng;

static float number(int levels) { /* few levels make many ties */
    double x = 0;
    for (int i = 0; i < 12; i++) x += mllm_random_uniform(&rng);
    x = (x - 6) * 3;
    return levels ? (float)floor(x * levels) / (float)levels : (float)x;
}

/* Order: greater key first, of equals the lower index. */
static const uint32_t *sorted_keys;
static int order(const void *a, const void *b) {
    int i = *(const int *)a, j = *(const int *)b;
    if (sorted_keys[i] != sorted_keys[j]) return sorted_keys[i] > sorted_keys[j] ? -1 : 1;
    return i - j;
}

/* How many of the order are in the cut, checking that they are a prefix. */
static size_t prefix_of(const uint32_t *keys, const int *sorted, size_t n, mllm_cut cut) {
    static bool in[MOST];
    size_t ties = cut.ties, count = 0;
    for (size_t i = 0; i < n; i++) {
        in[i] = keys[i] > cut.key || (keys[i] == cut.key && ties > 0);
        if (keys[i] == cut.key && ties > 0) ties--;
        count += in[i];
    }
    CHECK(ties == 0, "%zu ties too many", ties);
    for (size_t i = 0; i < count; i++) CHECK(in[sorted[i]], "place %zu of %zu is missing", i, count);
    return count;
}

static void keys_are_ordered(void) {
    const float x[] = {-FLT_MAX, -3, -1.5f, -FLT_MIN, -1e-45f, 0, 1e-45f, FLT_MIN, 1, 1.0000001f, 7, FLT_MAX};
    for (size_t i = 1; i < sizeof x / sizeof *x; i++)
        CHECK(mllm_key(x[i - 1]) < mllm_key(x[i]), "%g %g", x[i - 1], x[i]);
    CHECK(mllm_key(-0.0f) == mllm_key(0.0f));
    CHECK(mllm_key(-INFINITY) < mllm_key(-FLT_MAX));
}

static void select_by_count(void) {
    static uint32_t keys[MOST], scratch[MOST];
    static int sorted[MOST];
    mllm_random_seed(&rng, 1);
    for (int round = 0; round < 300; round++) {
        size_t n = 1 + mllm_random_below(&rng, round % 10 ? 50 : MOST);
        int levels = (int[]){0, 1, 20}[round % 3];
        for (size_t i = 0; i < n; i++) keys[i] = mllm_key(number(levels)), sorted[i] = (int)i;
        sorted_keys = keys;
        qsort(sorted, n, sizeof *sorted, order);
        size_t k = mllm_random_below(&rng, n + 3);
        memcpy(scratch, keys, n * sizeof *keys);
        size_t count = prefix_of(keys, sorted, n, mllm_select(scratch, NULL, n, (double)k));
        CHECK(count == (k < 1 ? 1 : k < n ? k : n), "%zu of %zu for k = %zu", count, n, k);
    }
}

static void select_by_mass(void) {
    static uint32_t keys[MOST], scratch[MOST];
    static float weights[MOST], scratch_weights[MOST];
    static int sorted[MOST];
    mllm_random_seed(&rng, 2);
    for (int round = 0; round < 300; round++) {
        size_t n = 1 + mllm_random_below(&rng, round % 10 ? 50 : MOST);
        int levels = (int[]){0, 1, 20}[round % 3];
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            keys[i] = mllm_key(number(levels));
            weights[i] = round % 5 == 4 && i % 2 ? 0 : (float)mllm_random_uniform(&rng);
            sum += (double)weights[i];
            sorted[i] = (int)i;
        }
        sorted_keys = keys;
        qsort(sorted, n, sizeof *sorted, order);
        double target = round % 7 == 0 ? 0 : round % 7 == 1 ? sum * 1.1 : sum * mllm_random_uniform(&rng);
        memcpy(scratch, keys, n * sizeof *keys);
        memcpy(scratch_weights, weights, n * sizeof *weights);
        size_t count = prefix_of(keys, sorted, n, mllm_select(scratch, scratch_weights, n, target));
        double mass = 0;
        for (size_t i = 0; i < count; i++) mass += (double)weights[sorted[i]];
        CHECK(count >= 1);
        CHECK(count == n || mass >= target - 1e-9, "mass %g, target %g", mass, target);
        if (count > 1)
            CHECK(mass - (double)weights[sorted[count - 1]] < target + 1e-9, "one too many: %g for %g", mass, target);
        if (target > sum) CHECK(count == n, "%zu of %zu", count, n);
    }
}

/* No number above the floor is lost: at least k reach it. */
static void floors(void) {
    static float x[MOST];
    static uint32_t scratch[4 * MOST];
    mllm_random_seed(&rng, 4);
    for (int round = 0; round < 300; round++) {
        size_t n = 2 + mllm_random_below(&rng, round % 10 ? 60 : MOST - 2), k = 1 + mllm_random_below(&rng, n - 1),
               reached = 0;
        for (size_t i = 0; i < n; i++)
            x[i] = round % 5 == 4 && i % 3 ? -INFINITY : number((int[]){0, 1, 20}[round % 3]);
        float least = mllm_floor_of_best(x, n, k, scratch);
        for (size_t i = 0; i < n; i++) reached += x[i] >= least;
        CHECK(reached >= k, "%zu of %zu reach %g, k = %zu", reached, n, (double)least, k);
        if (k * 32 < n && round % 3 == 0) CHECK(reached < 8 * k + 32, "%zu for k = %zu of %zu", reached, k, n);
    }
}

static void exponential(void) {
    double worst = 0;
    for (double x = -700; x < 700; x += 0.0137) {
        double e = fabs(mllm_exp(x) / exp(x) - 1);
        if (e > worst) worst = e;
    }
    CHECK(worst < 2e-15, "%g", worst);
    CHECK(mllm_exp(0) == 1 && mllm_exp(-1000) == 0 && isinf(mllm_exp(1000)) && isnan(mllm_exp(NAN)));
    CHECK(mllm_exp(-INFINITY) == 0 && isinf(mllm_exp(INFINITY)));
}

static void logarithm(void) {
    double worst = 0;
    for (double x = 1e-300; x < 1e300; x *= 1.0371) {
        double e = fabs(mllm_log(x) - log(x)) / fabs(log(x));
        if (fabs(log(x)) > 0.01 && e > worst) worst = e;
    }
    for (double x = 0.9; x < 1.1; x += 0.000137) {
        double e = fabs(mllm_log(x) - log(x));
        if (e > worst) worst = e;
    }
    CHECK(worst < 1e-14, "%g", worst);
    CHECK(mllm_log(1) == 0 && isinf(mllm_log(0)) && mllm_log(0) < 0 && isinf(mllm_log(INFINITY)));
    CHECK(fabs(mllm_log(5e-324) / log(5e-324) - 1) < 1e-14);
}

static void power(void) {
    const double cases[][2] = {{2, 10}, {1.75, 40}, {0.3, 2.5}, {10, -3}, {5, 0}, {1, 99}, {0, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double x = mllm_pow(cases[i][0], cases[i][1]), y = pow(cases[i][0], cases[i][1]);
        CHECK(fabs(x - y) <= 1e-12 * y, "%g^%g = %g", cases[i][0], cases[i][1], x);
    }
}

static void exponential_of_arrays(void) {
    static float x[1000], y[1001];
    mllm_random_seed(&rng, 3);
    for (size_t n = 0; n <= 1000; n = n < 80 ? n + 1 : n * 2 - 3) {
        float max = -INFINITY;
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] = number(0) * (n % 2 ? 1 : 6);
            if (x[i] > max) max = x[i];
        }
        y[n] = 42;
        CHECK(mllm_max(x, n) == max, "n = %zu", n);
        float least = INFINITY;
        for (size_t i = 0; i < n; i++) least = x[i] < least ? x[i] : least;
        CHECK(mllm_min(x, n) == least, "n = %zu", n);
        double got = mllm_exp_array(x, n, max, y);
        CHECK(y[n] == 42, "wrote behind the end, n = %zu", n);
        for (size_t i = 0; i < n; i++) {
            double e = exp((double)(x[i] - max));
            sum += e;
            if (x[i] - max < -87)
                CHECK(y[i] == 0);
            else
                CHECK(fabs((double)y[i] / e - 1) < 3e-7, "exp(%g) = %g", (double)(x[i] - max), (double)y[i]);
        }
        if (n) CHECK(fabs(got / sum - 1) < 1e-6, "sum of %zu: %.9g, not %.9g", n, got, sum);
        double twice = mllm_exp_array(x, n, max, x);
        CHECK(twice == got && memcmp(x, y, n * sizeof *x) == 0, "in place, n = %zu", n);
    }
}

static void scaling(void) {
    float x[40], y[40];
    for (size_t n = 0; n < 40; n++) {
        for (size_t i = 0; i < 40; i++) x[i] = y[i] = (float)i - 7.25f;
        mllm_scale(x, n, 1.7f);
        for (size_t i = 0; i < 40; i++) CHECK(x[i] == (i < n ? y[i] * 1.7f : y[i]), "n = %zu, %zu", n, i);
    }
}

static void finiteness(void) {
    float x[40] = {0};
    for (size_t n = 0; n <= 40; n++) {
        for (size_t i = 0; i < n; i++) x[i] = i % 2 ? FLT_MAX : -FLT_MAX;
        CHECK(mllm_all_finite(x, n), "n = %zu", n);
        for (size_t i = 0; i < n; i++) {
            const float bad[] = {NAN, INFINITY, -INFINITY};
            float old = x[i];
            for (int k = 0; k < 3; k++) {
                x[i] = bad[k];
                CHECK(!mllm_all_finite(x, n), "n = %zu, %zu", n, i);
            }
            x[i] = old;
        }
    }
}

static const test_case tests[] = {{"keys_are_ordered", keys_are_ordered},
                                  {"select_by_count", select_by_count},
                                  {"select_by_mass", select_by_mass},
                                  {"floors", floors},
                                  {"exponential", exponential},
                                  {"logarithm", logarithm},
                                  {"power", power},
                                  {"exponential_of_arrays", exponential_of_arrays},
                                  {"scaling", scaling},
                                  {"finiteness", finiteness}};
TEST_MAIN(tests)
