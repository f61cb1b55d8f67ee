/* The random numbers: the published sequences, and no bias. */
#include "test.h"

#include "base/random.h"

static void sequence(void) {
    /* xoshiro256** from the state 1, 2, 3, 4: the numbers that its authors' C code prints. */
    mllm_random r = {{1, 2, 3, 4}};
    const uint64_t expected[] = {11520u, 0u, 1509978240u, 1215971899390074240u};
    for (int i = 0; i < 4; i++) {
        uint64_t x = mllm_random_next(&r);
        CHECK(x == expected[i], "number %d is %llu", i, (unsigned long long)x);
    }
    /* splitmix64 from 1234567: as listed by its author's code. */
    mllm_random_seed(&r, 1234567);
    const uint64_t state[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u};
    for (int i = 0; i < 4; i++) CHECK(r.s[i] == state[i], "state %d is %llu", i, (unsigned long long)r.s[i]);
}

static void copies(void) {
    mllm_random a, b;
    mllm_random_seed(&a, 9);
    for (int i = 0; i < 10; i++) mllm_random_next(&a);
    b = a;
    for (int i = 0; i < 100; i++) CHECK(mllm_random_next(&a) == mllm_random_next(&b));
    mllm_random_seed(&b, 10);
    int same = 0;
    for (int i = 0; i < 100; i++) same += mllm_random_next(&a) == mllm_random_next(&b);
    CHECK(same == 0, "%d of two seeds' numbers are equal", same);
}

static void uniform(void) {
    mllm_random r;
    mllm_random_seed(&r, 5);
    enum { BINS = 64, N = 640000 };
    int count[BINS] = {0};
    double sum = 0, chi = 0;
    for (int i = 0; i < N; i++) {
        double u = mllm_random_uniform(&r);
        CHECK(u >= 0 && u < 1, "%g", u);
        sum += u;
        count[(int)(u * BINS)]++;
    }
    for (int i = 0; i < BINS; i++) chi += (count[i] - N / BINS) * (double)(count[i] - N / BINS) / (N / BINS);
    CHECK(chi > 20 && chi < 130, "chi-square %g of 63 degrees", chi); /* beyond 1e-6 on either side */
    CHECK(sum / N > 0.498 && sum / N < 0.502, "mean %g", sum / N);
}

static void below(void) {
    mllm_random r;
    mllm_random_seed(&r, 6);
    CHECK(mllm_random_below(&r, 0) == 0 && mllm_random_below(&r, 1) == 0);
    int count[3] = {0};
    for (int i = 0; i < 300000; i++) {
        uint64_t x = mllm_random_below(&r, 3);
        CHECK(x < 3);
        count[x < 3 ? x : 0]++;
    }
    for (int i = 0; i < 3; i++) CHECK(count[i] > 98500 && count[i] < 101500, "%d of %d", count[i], i);
    /* With a plain remainder of this bound, 3/4 of the numbers would lie in the lower half's lower part. */
    uint64_t bound = (uint64_t)3 << 62, low = 0;
    for (int i = 0; i < 100000; i++) low += mllm_random_below(&r, bound) < bound / 3;
    CHECK(low > 32500 && low < 34200, "%llu", (unsigned long long)low);
}

static const test_case tests[] = {{"sequence", sequence}, {"copies", copies}, {"uniform", uniform}, {"below", below}};
TEST_MAIN(tests)
