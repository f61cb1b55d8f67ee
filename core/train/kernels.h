/* kernels.h - the loops of training that are not matrix products. Each runs over rows that lie `stride` numbers apart.
 * One table per instruction set; mllm_train_kernels() gives the best of this CPU. */
#ifndef MLLM_TRAIN_KERNELS_H
#define MLLM_TRAIN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "real.h"

typedef mllm_real real;

typedef struct {
    const char *name;
    /* out = x / sqrt(mean(x^2) + eps) * w for `rows` rows of n; 1 / sqrt(...) of each row goes to inverse[rows * step]. */
    void (*rms)(real *out, size_t out_stride, real *inverse, size_t step, const real *x, size_t x_stride, const real *w,
                size_t rows, size_t n, real eps);
    /* Backward of rms: dw[n] += ...; dx = ... or, with `add`, dx += .... dx may be dy. */
    void (*rms_back)(real *dx, size_t dx_stride, bool add, real *dw, const real *dy, size_t dy_stride,
                     const real *inverse, size_t step, const real *x, size_t x_stride, const real *w, size_t rows,
                     size_t n);
    /* out[rows, n] = silu(gate) * up where a row of gu holds gate[n] up[n]. */
    void (*swiglu)(real *out, const real *gu, size_t rows, size_t n);
    /* out as above, and dgu from dout. */
    void (*swiglu_back)(real *out, real *dgu, const real *dout, const real *gu, size_t rows, size_t n);
    /* s[n] -> softmax(s); returns log(sum(exp(s))). n >= 1. */
    real (*softmax)(real *s, size_t n);
    void (*exp_minus)(real *s, size_t n, real shift); /* s = exp(s - shift) */
    void (*score_back)(real *dp, const real *p, size_t n, real mean, real scale); /* dp = p * (dp - mean) * scale */
    real (*dot)(const real *a, const real *b, size_t n);
    void (*add)(real *y, const real *x, size_t n); /* y += x */
    /* Cross-entropy of one row of logits[n] (in nats); logits become weight * (softmax - onehot(target)). */
    real (*cross_entropy)(real *logits, size_t n, size_t target, real weight);
    size_t (*argmax)(const real *x, size_t n);
    /* Rotates `heads` heads of each row by its position's angles; tables hold rope_size / 2 numbers per position. `back`
     * turns the other way, which is the backward pass. */
    void (*rope)(real *x, size_t stride, size_t rows, size_t heads, size_t head_size, size_t rope_size,
                 bool interleaved, bool back, const real *cosine, const real *sine, const uint32_t *position);
    double (*square_sum)(const real *x, size_t n);
    /* AdamW (Loshchilov and Hutter 2019). g is scaled by `scale` first; rate1 = rate / (1 - beta1^t), root2 =
     * 1 / sqrt(1 - beta2^t); p *= 1 - shrink. */
    void (*adamw)(real *p, real *m, real *v, const real *g, size_t n, real scale, real beta1, real beta2, real rate1,
                  real root2, real epsilon, real shrink);
} mllm_kernels;

const mllm_kernels *MLLM_REAL(mllm_train_kernels)(void);
/* All that this CPU can run, the best first; NULL behind the last. */
const mllm_kernels *MLLM_REAL(mllm_train_kernels_at)(size_t i);

#endif
