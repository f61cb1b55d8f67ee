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

/* As mllm_exp in float: series to r^7 / 7!, whose next term is under 6e-9. Arguments are at most 0. */
static inline f4 exp4(f4 x) {
    const f4 low = splat(-87.0f), magic = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    i4 zero = x < low;
    x = choose(zero, low, x);
    f4 shifted = x * splat(1.44269504f) + magic, n = shifted - magic;
    f4 r = (x - n * splat(0.693359375f)) - n * splat(-2.12194440e-4f);
    f4 p = splat(1.0f / 5040);
    p = p * r + splat(1.0f / 720);
    p = p * r + splat(1.0f / 120);
    p = p * r + splat(1.0f / 24);
    p = p * r + splat(1.0f / 6);
    p = p * r + splat(0.5f);
    p = p * r + splat(1.0f);
    p = p * r + splat(1.0f);
    i4 power = ((i4)shifted - (i4)magic + 127) << 23;
    return (f4)((i4)(p * (f4)power) & ~zero);
}

double mllm_exp_array(const float *x, size_t n, float shift, float *out) {
    double total = 0;
    const f4 s = splat(shift);
    size_t i = 0;
    while (n - i >= 8) { /* blocks of at most 64 in float, their sums in double */
        size_t end = n - i >= 64 ? i + 64 : i + ((n - i) & ~(size_t)7);
        f4 a = splat(0), b = splat(0);
        for (; i < end; i += 8) {
            f4 e = exp4(load(x + i) - s), f = exp4(load(x + i + 4) - s);
            memcpy(out + i, &e, sizeof e);
            memcpy(out + i + 4, &f, sizeof f);
            a += e, b += f;
        }
        a += b;
        total += ((double)a[0] + (double)a[1]) + ((double)a[2] + (double)a[3]);
    }
    if (i < n) {
        float rest[8];
        for (size_t k = 0; k < 8; k++) rest[k] = i + k < n ? x[i + k] : -INFINITY;
        f4 e = exp4(load(rest) - s), f = exp4(load(rest + 4) - s);
        memcpy(rest, &e, sizeof e);
        memcpy(rest + 4, &f, sizeof f);
        for (size_t k = 0; i < n; i++, k++) total += (double)(out[i] = rest[k]);
    }
    return total;
}

double mllm_exp_sums(const float *x, size_t n, float shift, double *mean) {
    double total = 0, moment = 0;
    const f4 s = splat(shift), low = splat(-88.0f);
    for (size_t i = 0; i < n;) {
        size_t end = n - i >= 64 ? i + 64 : n;
        f4 sum = splat(0), product = splat(0);
        for (; i + 4 <= end; i += 4) {
            f4 d = load(x + i) - s;
            d = choose(d < low, low, d); /* its exponential is 0: -INFINITY must not make a NaN */
            f4 e = exp4(d);
            sum += e, product += e * d;
        }
        if (i < end) {
            float rest[4];
            for (size_t k = 0; k < 4; k++) rest[k] = i + k < end ? x[i + k] : -INFINITY;
            f4 d = load(rest) - s;
            d = choose(d < low, low, d);
            f4 e = exp4(d);
            sum += e, product += e * d;
            i = end;
        }
        total += ((double)sum[0] + (double)sum[1]) + ((double)sum[2] + (double)sum[3]);
        moment += ((double)product[0] + (double)product[1]) + ((double)product[2] + (double)product[3]);
    }
    *mean = moment;
    return total;
}
