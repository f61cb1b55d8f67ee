#include "softmax.h"

#include <stdint.h>
#include <string.h>

/* ln 2 in two parts; n * HIGH is exact for |n| < 2^11 (fdlibm's constants). */
static const double LN2_HIGH = 6.93147180369123816490e-01, LN2_LOW = 1.90821492927058770002e-10;

static double power_of_two(int n) { /* -1022 .. 1023 */
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) by its series to r^13 / 13!, whose next term is under 1e-17. */
double mllm_exp(double x) {
    static const double c[] = {
        1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
        1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1,           1};
    if (x != x) return x;
    if (x > 709.7) return INFINITY;
    if (x < -708.3) return 0;
    int n = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double r = (x - n * LN2_HIGH) - n * LN2_LOW, sum = c[0];
    for (int k = 1; k < 14; k++) sum = sum * r + c[k];
    return sum * power_of_two(n);
}

/* x = 2^n m with m in [sqrt 1/2, sqrt 2); log m = 2 artanh(s), s = (m - 1) / (m + 1), by its series. */
double mllm_log(double x) {
    if (!(x > 0)) return x != x ? x : -INFINITY;
    if (x > 1.7976931348623157e308) return INFINITY;
    int n = 0;
    if (x < 0x1p-1000) x *= 0x1p100, n = -100;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    n += (int)(bits >> 52) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFFu) | (uint64_t)1023 << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) m *= 0.5, n++;
    static const double c[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11,
                               1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3,  1};
    double s = (m - 1) / (m + 1), z = s * s, sum = c[0];
    for (int k = 1; k < 11; k++) sum = sum * z + c[k];
    return n * LN2_HIGH + (2 * s * sum + n * LN2_LOW);
}

double mllm_pow(double base, double x) {
    if (x == 0 || base == 1) return 1;
    if (!(base > 0)) return x > 0 ? 0 : INFINITY;
    return mllm_exp(x * mllm_log(base));
}

/* Four lanes, whatever the processor has: elementwise operations round alike everywhere, and sums have a fixed order. */
typedef float f4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));

static inline f4 load(const float *p) {
    f4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline f4 splat(float x) {
    return (f4){x, x, x, x};
}

static inline f4 choose(i4 mask, f4 a, f4 b) {
    return (f4)((mask & (i4)a) | (~mask & (i4)b));
}

bool mllm_all_finite(const float *x, size_t n) {
    const i4 exponent = {0x7F800000, 0x7F800000, 0x7F800000, 0x7F800000};
    i4 bad = {0, 0, 0, 0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) bad |= ((i4)load(x + i) & exponent) == exponent;
    bool ok = !(bad[0] | bad[1] | bad[2] | bad[3]);
    for (; i < n; i++) ok &= x[i] - x[i] == 0;
    return ok;
}

float mllm_max(const float *x, size_t n) {
    float best = -INFINITY;
    size_t i = 0;
    if (n >= 16) {
        f4 a = splat(-INFINITY), b = a, c = a, d = a;
        for (; i + 16 <= n; i += 16) {
            f4 e = load(x + i), f = load(x + i + 4), g = load(x + i + 8), h = load(x + i + 12);
            a = choose(e > a, e, a), b = choose(f > b, f, b), c = choose(g > c, g, c), d = choose(h > d, h, d);
        }
        a = choose(b > a, b, a), c = choose(d > c, d, c), a = choose(c > a, c, a);
        for (int k = 0; k < 4; k++)
            if (a[k] > best) best = a[k];
    }
    for (; i < n; i++)
        if (x[i] > best) best = x[i];
    return best;
}

float mllm_min(const float *x, size_t n) {
    float least = INFINITY;
    size_t i = 0;
    if (n >= 8) {
        f4 a = splat(INFINITY), b = a;
        for (; i + 8 <= n; i += 8) {
            f4 c = load(x + i), d = load(x + i + 4);
            a = choose(c < a, c, a), b = choose(d < b, d, b);
        }
        a = choose(b < a, b, a);
        for (int k = 0; k < 4; k++)
            if (a[k] < least) least = a[k];
    }
    for (; i < n; i++)
        if (x[i] < least) least = x[i];
    return least;
}

void mllm_scale(float *x, size_t n, float factor) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        f4 a = load(x + i) * splat(factor), b = load(x + i + 4) * splat(factor);
        memcpy(x + i, &a, sizeof a);
        memcpy(x + i + 4, &b, sizeof b);
    }
    for (; i < n; i++) x[i] *= factor;
}

/* The two sums over exponentials cost the most, so they are compiled twice: for any processor, and for eight lanes at once. Both take the
 * same steps in the same lanes and give the same bits. */
typedef float f8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));

#define EIGHT(x)                                                                                                       \
    { x, x, x, x, x, x, x, x }
#define BODY static inline __attribute__((always_inline))

/* *e = exp(*x), *x at most 0 and cut to -88, where the result is 0. As mllm_exp in float: series to r^7 / 7!, whose next term is under
 * 6e-9. Pointers, because eight lanes as arguments have no common calling convention. */
BODY void exp8(f8 *x, f8 *e) {
    const f8 low = EIGHT(-88.0f), zero_under = EIGHT(-87.0f),
             magic = EIGHT(12582912.0f); /* 1.5 * 2^23: adding it rounds */
    const f8 c7 = EIGHT(1.0f / 5040), c6 = EIGHT(1.0f / 720), c5 = EIGHT(1.0f / 120), c4 = EIGHT(1.0f / 24),
             c3 = EIGHT(1.0f / 6), c2 = EIGHT(0.5f), c1 = EIGHT(1.0f), log2e = EIGHT(1.44269504f),
             high = EIGHT(0.693359375f), rest = EIGHT(-2.12194440e-4f);
    i8 under = *x < low, zero = *x < zero_under;
    f8 d = (f8)((under & (i8)low) | (~under & (i8)*x));
    f8 shifted = d * log2e + magic, n = shifted - magic;
    f8 r = (d - n * high) - n * rest;
    f8 p = ((((((c7 * r + c6) * r + c5) * r + c4) * r + c3) * r + c2) * r + c1) * r + c1;
    i8 power = ((i8)shifted - (i8)magic + 127) << 23;
    *x = d;
    *e = (f8)((i8)(p * (f8)power) & ~zero);
}

BODY double add8(const f8 *v) {
    f8 a = *v;
    return (((double)a[0] + (double)a[1]) + ((double)a[2] + (double)a[3])) +
           (((double)a[4] + (double)a[5]) + ((double)a[6] + (double)a[7]));
}

/* x[m], m at most 8, minus the shift; what is missing is -INFINITY. */
BODY void take8(const float *x, size_t m, float shift, f8 *v) {
    const f8 s = EIGHT(shift);
    float last[8];
    for (size_t k = 0; m < 8 && k < 8; k++) last[k] = k < m ? x[k] : -INFINITY;
    memcpy(v, m < 8 ? last : x, sizeof *v);
    *v -= s;
}

/* Blocks of 64 are summed in float, their sums in double. */
BODY double exp_array_body(const float *x, size_t n, float shift, float *out) {
    double total = 0;
    for (size_t i = 0; i < n;) {
        size_t end = n - i >= 64 ? i + 64 : n;
        f8 sum = EIGHT(0);
        for (; i < end; i += 8) {
            f8 d, e;
            size_t m = end - i < 8 ? end - i : 8;
            take8(x + i, m, shift, &d);
            exp8(&d, &e);
            if (m == 8)
                memcpy(out + i, &e, sizeof e);
            else
                for (size_t k = 0; k < m; k++) out[i + k] = e[k];
            sum += e;
        }
        i = end;
        total += add8(&sum);
    }
    return total;
}

BODY double exp_sums_body(const float *x, size_t n, float shift, double *mean) {
    double total = 0, moment = 0;
    for (size_t i = 0; i < n;) {
        size_t end = n - i >= 64 ? i + 64 : n;
        f8 sum = EIGHT(0), product = EIGHT(0);
        for (; i < end; i += 8) {
            f8 d, e;
            take8(x + i, end - i < 8 ? end - i : 8, shift, &d);
            exp8(&d, &e);
            sum += e;
            product += e * d; /* d is finite: nothing of a masked one */
        }
        i = end;
        total += add8(&sum);
        moment += add8(&product);
    }
    *mean = moment;
    return total;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static double exp_array_avx2(const float *x, size_t n, float shift, float *out) {
    return exp_array_body(x, n, shift, out);
}
__attribute__((target("avx2"))) static double exp_sums_avx2(const float *x, size_t n, float shift, double *mean) {
    return exp_sums_body(x, n, shift, mean);
}
#define HAS_AVX2 __builtin_cpu_supports("avx2")
#else
#define HAS_AVX2 0
#define exp_array_avx2 exp_array_body
#define exp_sums_avx2 exp_sums_body
#endif

double mllm_exp_array(const float *x, size_t n, float shift, float *out) {
    return HAS_AVX2 ? exp_array_avx2(x, n, shift, out) : exp_array_body(x, n, shift, out);
}

double mllm_exp_sums(const float *x, size_t n, float shift, double *mean) {
    return HAS_AVX2 ? exp_sums_avx2(x, n, shift, mean) : exp_sums_body(x, n, shift, mean);
}
