#include "order.h"

/* Heap sort. */
static void sift(uint32_t *order, size_t root, size_t n, bool (*before)(const void *, uint32_t, uint32_t),
                 const void *ctx) {
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && before(ctx, order[child], order[child + 1])) child++;
        if (!before(ctx, order[root], order[child])) return;
        uint32_t swap = order[root];
        order[root] = order[child];
        order[child] = swap;
    }
}

void mllm_order(uint32_t *order, size_t n, bool (*before)(const void *ctx, uint32_t a, uint32_t b), const void *ctx) {
    for (size_t i = n / 2; i-- > 0;) sift(order, i, n, before, ctx);
    for (size_t i = n; i-- > 1;) {
        uint32_t swap = order[0];
        order[0] = order[i];
        order[i] = swap;
        sift(order, 0, i, before, ctx);
    }
}
