#include "decimal.h"

#include <string.h>

bool mllm_decimal_read(mllm_decimal *d, const char *text, size_t length) {
    size_t i = 0;
    int64_t before = 0, exponent = 0;
    const char *first = NULL, *last = NULL;
    bool point = false, any = false;
    memset(d, 0, sizeof *d);
    if (i < length && text[i] == '-') d->negative = true, i++;
    for (; i < length && ((text[i] >= '0' && text[i] <= '9') || (text[i] == '.' && !point)); i++) {
        if (text[i] == '.') {
            point = true;
            continue;
        }
        any = true;
        if (text[i] != '0') {
            if (!first) first = text + i;
            last = text + i;
        }
        if (!point && first) before++;
        if (point && !first) before--;
    }
    if (!any) return false;
    if (i < length && (text[i] == 'e' || text[i] == 'E')) {
        bool minus = false, digits = false;
        i++;
        if (i < length && (text[i] == '-' || text[i] == '+')) minus = text[i++] == '-';
        for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
            digits = true;
            if (exponent < 1000000000) exponent = exponent * 10 + (text[i] - '0');
        }
        if (!digits) return false;
        if (minus) exponent = -exponent;
    }
    if (i != length) return false;
    if (!first) {
        d->negative = false;
        return true;
    }
    d->digits = first;
    for (const char *p = first; p <= last; p++) d->count += *p != '.';
    d->point = before + exponent;
    return true;
}

/* The next digit that counts. */
static int digit(const char **p) {
    if (**p == '.') ++*p;
    return *(*p)++ - '0';
}

int mllm_decimal_compare(const mllm_decimal *a, const mllm_decimal *b) {
    if (a->count == 0 || b->count == 0 || a->negative != b->negative) {
        int x = a->count == 0 ? 0 : a->negative ? -1 : 1, y = b->count == 0 ? 0 : b->negative ? -1 : 1;
        return (x > y) - (x < y);
    }
    int sign = a->negative ? -1 : 1;
    if (a->point != b->point) return a->point > b->point ? sign : -sign;
    const char *p = a->digits, *q = b->digits;
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        int x = digit(&p), y = digit(&q);
        if (x != y) return x > y ? sign : -sign;
    }
    return a->count == b->count ? 0 : a->count > b->count ? sign : -sign;
}

int64_t mllm_decimal_places(const mllm_decimal *d) {
    int64_t p = (int64_t)d->count - d->point;
    return d->count && p > 0 ? p : 0;
}

bool mllm_decimal_is_integer(const mllm_decimal *d) {
    return mllm_decimal_places(d) == 0;
}

static bool magnitude(const mllm_decimal *d, int64_t scale, uint64_t limit, uint64_t *out) {
    const char *p = d->digits;
    uint64_t v = 0;
    int64_t length = d->point + scale; /* digits of the integer */
    if (d->count == 0) return *out = 0, true;
    if (length < (int64_t)d->count || length > 19) return false;
    for (int64_t i = 0; i < length; i++) {
        uint64_t x = i < (int64_t)d->count ? (uint64_t)digit(&p) : 0;
        if (v > (limit - x) / 10) return false;
        v = v * 10 + x;
    }
    *out = v;
    return true;
}

bool mllm_decimal_scaled(const mllm_decimal *d, int scale, int64_t *out) {
    uint64_t v;
    if (!magnitude(d, scale, INT64_MAX, &v)) return false;
    *out = d->negative ? -(int64_t)v : (int64_t)v;
    return true;
}

bool mllm_decimal_is_multiple(const mllm_decimal *a, const mllm_decimal *b) {
    if (a->count == 0) return true;
    int64_t scale = mllm_decimal_places(a), places = mllm_decimal_places(b);
    if (places > scale) scale = places;
    uint64_t m;
    /* Zeros at the end of both change nothing: with 10^k | b the scale may be negative, but bounds stay simple without that. */
    if (!magnitude(b, scale, 1000000000000000000u, &m) || m == 0) return false;
    int64_t length = a->point + scale;
    if (length > 100000) return false;
    uint64_t r = 0;
    const char *p = a->digits;
    for (int64_t i = 0; i < length; i++) r = (r * 10 + (i < (int64_t)a->count ? (uint64_t)digit(&p) : 0)) % m;
    return r == 0;
}

uint64_t mllm_decimal_hash(const mllm_decimal *d) {
    if (d->count == 0) return 0x9E3779B97F4A7C15u;
    uint64_t h = 1469598103934665603u ^ (uint64_t)d->point ^ (d->negative ? 0x8000000000000000u : 0);
    const char *p = d->digits;
    for (uint32_t i = 0; i < d->count; i++) h = (h ^ (uint64_t)digit(&p)) * 1099511628211u;
    return h;
}
