/* real.h - the number type of the training pass. The engine trains in float; the same source, compiled with
 * MLLM_TRAIN_DOUBLE, is the double-precision pass that gradients are checked with against finite differences. */
#ifndef MLLM_TRAIN_REAL_H
#define MLLM_TRAIN_REAL_H

#ifdef MLLM_TRAIN_DOUBLE
typedef double mllm_real;
#define MLLM_REAL(name) name##_f64
#else
typedef float mllm_real;
#define MLLM_REAL(name) name
#endif

#endif
