#include "select.h"

enum { BITS = 11, BUCKETS = 1 << BITS };

mllm_cut mllm_select(uint32_t *keys, float *weights, size_t n, double target) {
    double mass[BUCKETS], above = 0;
    uint32_t prefix = 0;
    const int shifts[] = {21, 10, 0}, widths[] = {11, 11, 10};
    for (int pass = 0; pass < 3; pass++) {
        int shift = shifts[pass];
        uint32_t mask = (1u << widths[pass]) - 1;
        uint32_t counts[BUCKETS] = {0}, lowest = 0;
        if (weights) {
            memset(mass, 0, sizeof mass);
            for (size_t i = 0; i < n; i++) {
                uint32_t bucket = keys[i] >> shift & mask;
                counts[bucket]++;
                mass[bucket] += (double)weights[i];
            }
        } else {
            for (size_t i = 0; i < n; i++) counts[keys[i] >> shift & mask]++;
            for (uint32_t b = 0; b <= mask; b++) mass[b] = counts[b];
        }
        while (counts[lowest] == 0) lowest++;
        /* Down to the bucket in which the target is met. An empty one is never it; rounding may leave the target unmet at the last. */
        uint32_t bucket = mask;
        while (bucket > lowest && (counts[bucket] == 0 || above + mass[bucket] < target)) above += mass[bucket--];
        prefix |= bucket << shift;
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            if ((keys[i] >> shift & mask) != bucket) continue;
            keys[kept] = keys[i];
            if (weights) weights[kept] = weights[i];
            kept++;
        }
        n = kept;
    }
    size_t ties = 0;
    do above += weights ? (double)weights[ties] : 1;
    while (++ties < n && above < target);
    return (mllm_cut){prefix, ties};
}
