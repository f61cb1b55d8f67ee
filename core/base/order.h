/* order.h - sorting indices: in place, no recursion, n log n whatever the input holds. */
#ifndef MLLM_BASE_ORDER_H
#define MLLM_BASE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sorts order[n] so that before(ctx, order[i], order[j]) is never true for i > j. */
void mllm_order(uint32_t *order, size_t n, bool (*before)(const void *ctx, uint32_t a, uint32_t b), const void *ctx);

#endif
