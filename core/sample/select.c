#include "select.h"

#include "softmax.h"

enum { BITS = 11, BUCKETS = 1 << BITS, SMALL = 512 };

static void sink(uint64_t *heap, size_t at, size_t n) {
    uint64_t moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] > heap[child]) child++;
        if (moved >= heap[child]) break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

/* For few elements: a heap with the first of the order on top, taken off until the target is met. */
static mllm_cut select_few(const uint32_t *keys, const float *weights, size_t n, double target) {
    uint64_t heap[SMALL];
    double mass = 0;
    mllm_cut cut = {0, 0};
    for (size_t i = 0; i < n; i++) heap[i] = (uint64_t)keys[i] << 32 | (uint32_t)~i;
    for (size_t i = n / 2; i-- > 0;) sink(heap, i, n);
    do {
        uint32_t key = (uint32_t)(heap[0] >> 32), index = ~(uint32_t)heap[0];
        cut = (mllm_cut){key, key == cut.key ? cut.ties + 1 : 1};
        mass += weights ? (double)weights[index] : 1;
        heap[0] = heap[--n];
        sink(heap, 0, n);
    } while (n > 0 && mass < target);
    return cut;
}

mllm_cut mllm_select(uint32_t *keys, float *weights, size_t n, double target) {
    if (n <= SMALL) return select_few(keys, weights, n, target);
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

float mllm_floor_of_best(const float *x, size_t n, size_t k, uint32_t *keys) {
    /* Rounding the length up leaves at least half of the blocks: never fewer than k. */
    size_t blocks = 4 * k < n ? 4 * k : n, length = (n + blocks - 1) / blocks, count = 0;
    for (size_t i = 0; i < n; i += length) keys[count++] = mllm_key(mllm_max(x + i, n - i < length ? n - i : length));
    uint32_t key = mllm_select(keys, NULL, count, (double)k).key, bits = key & 0x80000000u ? key & 0x7FFFFFFFu : ~key;
    float least;
    memcpy(&least, &bits, sizeof least);
    return least;
}
