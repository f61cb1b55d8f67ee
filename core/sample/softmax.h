/* softmax.h - the arithmetic of sampling: exponentials and logarithms of our own, so that a seed gives the same tokens with every C library,
 * compiler and vector width. Only +, -, *, /, comparisons and bit patterns; the build forbids fused operations. */
#ifndef MLLM_SAMPLE_SOFTMAX_H
#define MLLM_SAMPLE_SOFTMAX_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

/* Relative error under 1e-15 where the result is a normal number; 0 below, INFINITY above. */
double mllm_exp(double x);
/* Relative error under 1e-14; x > 0 (-INFINITY otherwise). */
double mllm_log(double x);
/* base^x for base >= 0. */
double mllm_pow(double base, double x);

/* True when every x[n] is a finite number. */
bool mllm_all_finite(const float *x, size_t n);
/* NaN is passed over. -INFINITY (INFINITY) when there is nothing else. */
float mllm_max(const float *x, size_t n);
float mllm_min(const float *x, size_t n);
void mllm_scale(float *x, size_t n, float factor);
/* out[n] = exp(x - shift) with shift >= max(x), relative error under 3e-7 after the rounding of the difference, 0 under exp(-87).
 * Returns the sum. out may be x. */
double mllm_exp_array(const float *x, size_t n, float shift, float *out);
/* The same sum, nothing stored; *mean is the sum of exp(x - shift) * (x - shift). -INFINITY among x counts 0. */
double mllm_exp_sums(const float *x, size_t n, float shift, double *mean);

#endif
