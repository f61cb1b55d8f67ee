/* roofline.h - the two limits under which every product runs (Williams, Waterman and Patterson, "Roofline", CACM 2009), measured here and
 * now: how fast memory can be read, and how fast a kernel multiplies when everything it needs lies in the cache. */
#ifndef MLLM_TENSOR_ROOFLINE_H
#define MLLM_TENSOR_ROOFLINE_H

#include "tensor.h"

/* rates[count] in bytes per second: `threads` threads read their parts of a buffer of `bytes` bytes, once to warm up and then `count`
 * times. Buffers far larger than the caches measure memory. Fails for want of memory only. */
mllm_code mllm_roofline_read(int threads, size_t bytes, size_t count, double *rates, mllm_error *err);

typedef struct {
    const char *kernel; /* as mllm_kernel_choose */
    mllm_type type; /* of the weights: one that mllm_quantize_row writes */
    int threads;
    size_t rows, cols, tokens; /* each thread multiplies `rows` rows of `cols` weights with `tokens` activations */
} mllm_roofline_work;

/* rates[count] in operations per second (a multiplication and an addition are two), in the kernel's own form of the weights, the
 * activations prepared beforehand. Weights and activations should fit a core's own cache: a row of Q8_0 takes cols * 34 / 32
 * bytes, an activation about 5 * cols. MLLM_E_UNSUPPORTED or MLLM_E_ARGUMENT for kernels, types and sizes that cannot be. */
mllm_code mllm_roofline_product(const mllm_roofline_work *work, size_t count, double *rates, mllm_error *err);

#endif
