/* select.h - how far down the order of best tokens a truncation reaches, without sorting them. */
#ifndef MLLM_SAMPLE_SELECT_H
#define MLLM_SAMPLE_SELECT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Unsigned numbers in the order of floats (no NaN; -0 counts as 0). */
static inline uint32_t mllm_key(float x) {
    uint32_t bits;
    x += 0.0f; /* -0 + 0 = 0 */
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* A number that the k-th greatest of x[n] reaches, and few others: of the greatest in each of at most 4 k blocks the k-th. No number above it is
 * lost. NaN counts as -INFINITY. `keys` is scratch of 4 k; 0 < k < n. */
float mllm_floor_of_best(const float *x, size_t n, size_t k, uint32_t *keys);

/* The order is: greater key first, of equals the lower index. A prefix of it is every key above `key`, and the first `ties` that are equal. */
typedef struct {
    uint32_t key;
    size_t ties;
} mllm_cut;

/* The shortest prefix of keys[n] whose weights add up to at least `target`, everything when they do not; at least one element (n > 0). `weights` NULL: each
 * is 1, so that target is a count. May destroy both arrays. A heap for few elements, else three passes of a radix selection: work is
 * linear in n for any input. */
mllm_cut mllm_select(uint32_t *keys, float *weights, size_t n, double target);

#endif
