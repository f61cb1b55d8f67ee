#include "kernels.h"

#include <math.h>

#include "../base/cpu.h"

/* A vector wider than the default instruction set only lives inside static functions. */
#pragma GCC diagnostic ignored "-Wpsabi"
#ifndef __clang__
#pragma GCC optimize("fp-contract=fast")
#endif

#ifdef MLLM_TRAIN_DOUBLE
#define SQRT sqrt
#define LOG log
#else
#define SQRT sqrtf
#define LOG logf
#endif

#define WIDTH 4
#define NAME(x) x##_plain
#define LABEL "plain"
#include "kernels_body.h"
#undef WIDTH
#undef NAME
#undef LABEL

#if defined(__x86_64__) && !defined(MLLM_TRAIN_DOUBLE)
#define X86 1

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define WIDTH 8
#define NAME(x) x##_avx2
#define LABEL "avx2"
#include "kernels_body.h"
#undef WIDTH
#undef NAME
#undef LABEL
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq")
#endif
#define WIDTH 16
#define NAME(x) x##_avx512
#define LABEL "avx512"
#include "kernels_body.h"
#undef WIDTH
#undef NAME
#undef LABEL
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else
#define X86 0
#endif

const mllm_kernels *MLLM_REAL(mllm_train_kernels_at)(size_t i) {
    const mllm_kernels *list[4] = {NULL};
    size_t n = 0;
#if X86
    if (mllm_cpu_features()->avx512) list[n++] = &kernels_avx512;
    if (mllm_cpu_features()->avx2) list[n++] = &kernels_avx2;
#endif
    list[n] = &kernels_plain;
    return i <= n ? list[i] : NULL;
}

const mllm_kernels *MLLM_REAL(mllm_train_kernels)(void) {
    return MLLM_REAL(mllm_train_kernels_at)(0);
}
