/* random.h - the engine's random numbers: the same sequence from a seed on every compiler, processor and Lua. */
#ifndef MLLM_BASE_RANDOM_H
#define MLLM_BASE_RANDOM_H

#include <stdint.h>

/* xoshiro256** 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), its state filled by
 * splitmix64 from the seed. A plain value: copy it to fork the sequence. */
typedef struct {
    uint64_t s[4];
} mllm_random;

void mllm_random_seed(mllm_random *r, uint64_t seed);
uint64_t mllm_random_next(mllm_random *r); /* 64 random bits */
double mllm_random_uniform(mllm_random *r); /* [0, 1), a multiple of 2^-53 */
uint64_t mllm_random_below(mllm_random *r, uint64_t bound); /* [0, bound), unbiased; 0 for bound 0 */

#endif
