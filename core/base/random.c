#include "random.h"

static uint64_t rotate(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

void mllm_random_seed(mllm_random *r, uint64_t seed) {
    for (int i = 0; i < 4; i++) { /* splitmix64; four of its numbers are never all zero */
        uint64_t z = seed += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        r->s[i] = z ^ (z >> 31);
    }
}

uint64_t mllm_random_next(mllm_random *r) {
    uint64_t *s = r->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

double mllm_random_uniform(mllm_random *r) {
    return (double)(mllm_random_next(r) >> 11) * 0x1p-53;
}

uint64_t mllm_random_below(mllm_random *r, uint64_t bound) {
    if (bound < 2) return 0;
    uint64_t rest = (0 - bound) % bound; /* 2^64 mod bound: numbers under it would favour the small results */
    for (;;) {
        uint64_t x = mllm_random_next(r);
        if (x >= rest) return x % bound;
    }
}
