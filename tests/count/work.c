/* work.c - one part of a kernel, run once on a given amount of work, for `tests/aarch64 count`.
 * usage: work KERNEL q8_0|q4_0 TOKENS ROWS COLS; prints the number of multiply-adds */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tensor/kernel.h"

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    const mllm_kernel *k = mllm_kernel_choose(argv[1], NULL);
    if (!k) return 3;
    mllm_type type = strcmp(argv[2], "q4_0") == 0 ? MLLM_Q4_0 : MLLM_Q8_0;
    size_t m = (size_t)atoi(argv[3]), rows = (size_t)atoi(argv[4]), cols = (size_t)atoi(argv[5]);
    size_t row_bytes = mllm_row_bytes(type, cols), stride = k->prepared_bytes(cols);
    mllm_matrix w = {.stored = {.type = type, .rows = rows, .cols = cols, .row_bytes = row_bytes}};
    unsigned char *stored = calloc(rows, row_bytes);
    w.stored.data = stored;
    w.packed = mllm_alloc_aligned(k->pack_bytes(&w.stored));
    char *x = mllm_alloc_aligned(m * stride), *scratch = mllm_alloc_aligned(k->scratch_bytes(cols) + 64);
    float *y = malloc(m * rows * sizeof(float)), *row = calloc(cols, sizeof(float));
    if (!stored || !w.packed || !x || !scratch || !y || !row) return 1;
    k->pack(&w.stored, w.packed, 0, rows);
    for (size_t i = 0; i < m; i++) k->prepare(row, cols, x + i * stride);
    k->product(&w, 0, rows, x, stride, m, y, rows, false, scratch);
    printf("%zu\n", m * rows * cols);
    free(stored);
    free(row);
    free(y);
    mllm_free_aligned(w.packed);
    mllm_free_aligned(x);
    mllm_free_aligned(scratch);
    return 0;
}
