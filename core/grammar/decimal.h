/* decimal.h - numbers as JSON spells them, compared and divided exactly: no doubles, so that 0.1 is a tenth. */
#ifndef MLLM_GRAMMAR_DECIMAL_H
#define MLLM_GRAMMAR_DECIMAL_H

#include "../mobilellm.h"

/* sign * 0.d1 d2 d3 ... * 10^point, d1 != 0; zero has no digits. The digits lie in the spelling (with a '.' somewhere in between). */
typedef struct {
    const char *digits; /* first digit that counts */
    uint32_t count; /* digits that count, zeros at the end dropped, '.' left out */
    int64_t point;
    bool negative;
} mllm_decimal;

/* false: no JSON number. Exponents beyond +-10^9 are clamped. */
bool mllm_decimal_read(mllm_decimal *d, const char *text, size_t length);
int mllm_decimal_compare(const mllm_decimal *a, const mllm_decimal *b);
bool mllm_decimal_is_integer(const mllm_decimal *d);
/* Is a / b an integer? b > 0. Says no where b has more than 18 digits at the scale of both (nothing of practical size does). */
bool mllm_decimal_is_multiple(const mllm_decimal *a, const mllm_decimal *b);
/* Same value, same hash. */
uint64_t mllm_decimal_hash(const mllm_decimal *d);
/* The value * 10^scale as an integer, when it is one that fits; false otherwise. */
bool mllm_decimal_scaled(const mllm_decimal *d, int scale, int64_t *out);
/* Digits after the decimal point. */
int64_t mllm_decimal_places(const mllm_decimal *d);

#endif
