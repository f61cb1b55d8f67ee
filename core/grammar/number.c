/* number.c - JSON numbers under bounds and divisors: which beginnings can still become one. */
#include <stdlib.h>
#include <string.h>

#include "shape.h"

typedef struct {
    uint32_t whole, fraction, exponent; /* digits of each part */
    bool minus, point, e, exponent_sign;
    bool leading_zero;
    uint32_t exponent_at; /* offset of the first byte after e */
} parts;

enum { MAX_WHOLE = 308, MAX_FRACTION = 40, MAX_EXPONENT = 3 };

/* The syntax of RFC 8259, up to where the text ends. */
static bool split(const char *s, uint32_t n, parts *p) {
    uint32_t i = 0;
    memset(p, 0, sizeof *p);
    if (i < n && s[i] == '-') p->minus = true, i++;
    for (; i < n && s[i] >= '0' && s[i] <= '9'; i++) {
        if (p->leading_zero) return false;
        if (p->whole == 0 && s[i] == '0') p->leading_zero = true;
        p->whole++;
    }
    if (i < n && s[i] == '.') {
        if (!p->whole) return false;
        p->point = true;
        for (i++; i < n && s[i] >= '0' && s[i] <= '9'; i++) p->fraction++;
    }
    if (i < n && (s[i] | 32) == 'e') {
        if (!p->whole || (p->point && !p->fraction)) return false;
        p->e = true;
        i++;
        p->exponent_at = i;
        if (i < n && (s[i] == '+' || s[i] == '-')) p->exponent_sign = true, i++;
        for (; i < n && s[i] >= '0' && s[i] <= '9'; i++) p->exponent++;
    }
    if (i != n || p->whole > MAX_WHOLE || p->fraction > MAX_FRACTION || p->exponent > MAX_EXPONENT) return false;
    if (p->exponent && s[p->exponent_at] != '-') { /* the reader of the other side may know doubles only */
        uint32_t v = 0;
        for (uint32_t k = n - p->exponent; k < n; k++) v = v * 10 + (uint32_t)(s[k] - '0');
        if (v + p->whole > 308) return false;
    }
    return true;
}

static bool in_bounds(const mllm_number_shape *n, const mllm_decimal *d) {
    if (n->has_low) {
        int c = mllm_decimal_compare(d, &n->low);
        if (c < 0 || (c == 0 && n->open_low)) return false;
    }
    if (n->has_high) {
        int c = mllm_decimal_compare(d, &n->high);
        if (c > 0 || (c == 0 && n->open_high)) return false;
    }
    return true;
}

static bool holds(const mllm_schema *s, const uint32_t *indices, const mllm_number_shape *n, const mllm_decimal *d) {
    if ((n->integer && !mllm_decimal_is_integer(d)) || (n->fraction && mllm_decimal_is_integer(d))) return false;
    if (!in_bounds(n, d)) return false;
    for (uint32_t i = 0; i < n->multiples; i++) {
        const mllm_json_node *v = &s->doc.nodes[indices[n->first_multiple + i]];
        mllm_decimal m;
        if (!mllm_decimal_read(&m, s->text + v->start, v->end - v->start) || !mllm_decimal_is_multiple(d, &m))
            return false;
    }
    return true;
}

bool mllm_number_complete(const mllm_schema *s, const uint32_t *indices, const mllm_number_shape *n, const char *text,
                          uint32_t length) {
    parts p;
    mllm_decimal d;
    if (!split(text, length, &p) || !p.whole || (p.point && !p.fraction) || (p.e && !p.exponent)) return false;
    if (n->old_integer && (p.point || p.e)) return false;
    if (n->plain && (!n->integer || (!p.e && !p.point))) return true;
    return mllm_decimal_read(&d, text, length) && holds(s, indices, n, &d);
}

/* With an exponent begun: some exponent of at most three digits fits. */
static bool exponent_viable(const mllm_schema *s, const uint32_t *indices, const mllm_number_shape *n, const char *text,
                            uint32_t length, const parts *p) {
    char buffer[MAX_WHOLE + MAX_FRACTION + 16];
    /* Exponents far beyond those of the bounds are all alike. */
    int64_t far = (int64_t)length + 60;
    if (n->has_low) far += n->low.point < 0 ? -n->low.point : n->low.point;
    if (n->has_high) far += n->high.point < 0 ? -n->high.point : n->high.point;
    uint32_t begun = 0;
    for (uint32_t i = length - p->exponent; i < length; i++) begun = begun * 10 + (uint32_t)(text[i] - '0');
    memcpy(buffer, text, length);
    for (int sign = 0; sign < 2; sign++) {
        uint32_t k = length;
        if (!p->exponent_sign) {
            if (p->exponent && sign) break;
            if (!p->exponent) buffer[k++] = sign ? '-' : '+';
        } else if (sign)
            break;
        uint32_t digits = p->exponent;
        for (uint32_t more = digits ? 0 : 1; digits + more <= MAX_EXPONENT; more++) {
            uint32_t span = more == 0 ? 1 : more == 1 ? 10 : more == 2 ? 100 : 1000;
            for (uint32_t v = 0; v < span; v++) {
                uint32_t x = v;
                if (v > 0 && (int64_t)begun * span + v > far) break;
                for (uint32_t j = more; j-- > 0; x /= 10) buffer[k + j] = (char)('0' + x % 10);
                mllm_decimal d;
                if (mllm_decimal_read(&d, buffer, k + more) && holds(s, indices, n, &d)) return true;
            }
        }
    }
    return false;
}

static int64_t floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

/* Is there an allowed value in [low, high], all scaled? */
static bool some_between(const mllm_number_shape *n, int64_t low, int64_t high) {
    int64_t a = n->low_scaled + (n->has_low && n->open_low), z = n->high_scaled - (n->has_high && n->open_high);
    if (low > a) a = low;
    if (high < z) z = high;
    if (a > z) return false;
    int64_t step = n->step_scaled, one = 1;
    for (int i = 0; i < n->scale; i++) one *= 10;
    if (n->integer) { /* the least common multiple with 1 */
        if (!step)
            step = one;
        else {
            int64_t x = step, y = one;
            while (y) {
                int64_t t = x % y;
                x = y;
                y = t;
            }
            if (step / x > INT64_MAX / one) return true; /* too large to say */
            step = step / x * one;
        }
    }
    return !step || floor_div(z, step) * step >= a;
}

/* Digits after the text only add to its magnitude, after a point by less than a unit of the last place, and there by nothing for an integer. */
static bool bounds_viable(const mllm_number_shape *n, const char *text, uint32_t length, const parts *p) {
    char buffer[MAX_WHOLE + 2 * MAX_FRACTION + 16];
    mllm_decimal near, far;
    if (!p->whole) return !n->has_low || n->low.negative || (n->low.count == 0 && !n->open_low); /* "-" */
    memcpy(buffer, text, length);
    uint32_t full = length;
    if (p->point)
        for (uint32_t k = p->fraction; k < MAX_FRACTION; k++) buffer[full++] = n->integer ? '0' : '9';
    if (!mllm_decimal_read(&near, text, length - (text[length - 1] == '.')) || !mllm_decimal_read(&far, buffer, full))
        return false;
    const mllm_decimal *small = p->minus ? &far : &near, *large = p->minus ? &near : &far;
    bool grows = !p->point && !p->leading_zero; /* to any size */
    bool zero = p->leading_zero && !p->point && !n->integer; /* "0" and "-0" may get a point */
    mllm_decimal one;
    if (n->has_high && !(p->minus && grows)) {
        int c = mllm_decimal_compare(small, &n->high);
        if (c > 0 || (c == 0 && n->open_high)) {
            if (!zero || !p->minus) return false;
            mllm_decimal_read(&one, "-1", 2);
            return mllm_decimal_compare(&n->high, &one) > 0;
        }
    }
    if (n->has_low && !(!p->minus && grows)) {
        int c = mllm_decimal_compare(large, &n->low);
        if (c < 0 || (c == 0 && n->open_low)) {
            if (!zero || p->minus) return zero && c == 0 && n->low.negative;
            mllm_decimal_read(&one, "1", 1);
            return mllm_decimal_compare(&n->low, &one) < 0;
        }
    }
    return true;
}

/* Without an exponent, whole numbers or multiples: looks at the intervals that further digits can reach. */
static bool steps_viable(const mllm_number_shape *n, const char *text, uint32_t length, const parts *p) {
    int64_t v = 0, one = 1;
    const int64_t most = 100000000000000000; /* 10^17 */
    for (uint32_t i = p->minus; i < length; i++) {
        if (text[i] == '.') continue;
        if (v > most / 10) return true;
        v = v * 10 + (text[i] - '0');
    }
    if (!p->whole) return some_between(n, -most, 0); /* "-": anything up to zero */
    int shift = n->scale - (int)p->fraction; /* v * 10^shift is the value, scaled */
    if (abs(shift) > 17) return true;
    for (int i = 0; i < abs(shift); i++) one *= 10;
    if (shift < 0) { /* more digits than bounds and steps have: only zeros can follow */
        if (v % one) return false;
        v /= one;
        return p->minus ? some_between(n, -v, -v) : some_between(n, v, v);
    }
    if (v > most / one) return true;
    int64_t low = v * one, high = low + one - 1;
    if (p->minus ? some_between(n, -high, -low) : some_between(n, low, high)) return true;
    if (p->point || p->leading_zero) return false;
    for (int64_t l = low, width = one;;) { /* more digits before the point */
        if (l == 0 || l > most / 10 || width > most / 10) return false;
        l *= 10;
        width *= 10;
        if (p->minus ? some_between(n, -(l + width - 1), -l) : some_between(n, l, l + width - 1)) return true;
    }
}

bool mllm_number_viable(const mllm_schema *s, const uint32_t *indices, const mllm_number_shape *n, const char *text,
                        uint32_t length) {
    parts p;
    if (!split(text, length, &p)) return false;
    if (n->old_integer && (p.point || p.e)) return false;
    if (n->integer && p.point && !p.e)
        for (uint32_t i = length; i-- > 0 && text[i] != '.';)
            if (text[i] != '0') return false;
    if (n->plain && !n->integer) return true;
    if (p.e) {
        if (p.fraction > 20 || p.whole > 20) return false;
        return exponent_viable(s, indices, n, text, length, &p);
    }
    if (n->plain) return true;
    if (!bounds_viable(n, text, length, &p)) return false;
    return n->scale < 0 || (!n->integer && !n->step_scaled) || steps_viable(n, text, length, &p);
}

/* Depth first, by length: the automaton of viable beginnings is narrow, so few are tried. */
uint32_t mllm_number_shortest(const mllm_schema *s, const uint32_t *indices, const mllm_number_shape *n,
                              const char *text, uint32_t length) {
    enum { MOST = 24, TRIES = 3000 };
    static const char next[] = "0123456789-.";
    char buffer[MAX_WHOLE + MAX_FRACTION + 64];
    uint8_t choice[MOST + 1];
    int tries = 0;
    if (length > MAX_WHOLE + MAX_FRACTION + 16) return NONE;
    memcpy(buffer, text, length);
    if (length && mllm_number_complete(s, indices, n, buffer, length)) return 0;
    for (uint32_t most = 1; most <= MOST; most++) {
        uint32_t depth = 0;
        bool any = false; /* some beginning of this length is viable: longer ones may be numbers */
        choice[0] = 0;
        for (;;) {
            if (choice[depth] == sizeof next - 1) {
                if (depth == 0) break;
                choice[--depth]++;
                continue;
            }
            buffer[length + depth] = next[choice[depth]];
            if (++tries > TRIES) return MOST;
            if (!mllm_number_viable(s, indices, n, buffer, length + depth + 1))
                choice[depth]++;
            else if (depth + 1 == most) {
                if (mllm_number_complete(s, indices, n, buffer, length + most)) return most;
                any = true;
                choice[depth]++;
            } else
                choice[++depth] = 0;
        }
        if (!any) return NONE;
    }
    return MOST;
}
