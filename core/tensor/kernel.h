/* kernel.h - what a set of kernels must offer, and the choice among them at run time.
 *
 * The forward pass knows only this table. An activation is a row of floats turned into the kernel's own form (floats for the
 * float kernels, 8-bit groups with scales for the integer ones) by `prepare`; `product` multiplies such rows with a matrix.
 *
 * Promise of every kernel: an element of the result does not depend on how many rows are computed together (m), nor on the part of the
 * matrix a thread was given, as long as `from` is a multiple of `grain`. So 1..N threads and any slicing of a prompt give equal bits. */
#ifndef MLLM_TENSOR_KERNEL_H
#define MLLM_TENSOR_KERNEL_H

#include "tensor.h"

/* Before a loop of a few rounds, known where it is inlined, whose arrays are meant to be registers: -O2 alone leaves them in memory. */
#if defined(__clang__)
#define MLLM_UNROLL /* unrolls such loops unasked */
#else
#define MLLM_UNROLL _Pragma("GCC unroll 16")
#endif

/* A matrix as the kernels see it: the stored tensor, and for kernels that want another layout the repacked copy. */
typedef struct {
    mllm_tensor stored;
    void *
        packed; /* NULL: used as stored. Owned by the model, 64-byte aligned; or stored.data itself, read-only, in packed files */
    size_t packed_bytes;
} mllm_matrix;

enum { MLLM_KV_CHUNK = 64 }; /* positions of the KV cache that lie together; the block of the online softmax */

/* Running state of attention over chunks, of some rows of a prompt and in each of them the query heads of one KV head. What is read of keys
 * and values serves all of them; a result does not depend on which rows come together. */
typedef struct {
    const float *q; /* [rows][heads, head_size], already rotated; rows q_stride floats apart */
    float *out; /* [rows][heads, head_size] sum of weight * value, not yet divided; rows out_stride floats apart */
    float *max, *sum; /* [rows, heads] highest score so far (-INFINITY at first), sum of weights */
    size_t q_stride, out_stride;
    uint32_t rows, heads, head_size;
    float scale; /* of the scores */
} mllm_attention;

typedef struct mllm_kernel {
    const char *name;
    size_t grain; /* rows: partitions start at multiples of it */
    bool (*available)(void);

    /* Bytes of the repacked form of a matrix; 0: used as stored. pack() fills rows [from, to), from a multiple of grain. */
    size_t (*pack_bytes)(const mllm_tensor *w);
    void (*pack)(const mllm_tensor *w, void *packed, size_t from, size_t to);

    /* Bytes of a prepared row of `cols` floats, a multiple of 64. */
    size_t (*prepared_bytes)(size_t cols);
    void (*prepare)(const float *x, size_t cols, void *out);

    /* Y[i, r] = sum_c W[r, c] X[i, c] for r in [from, to), i in [0, m): x holds m prepared rows, x_stride bytes apart; Y[i, r] is
     * y[i * ldy + r]. With `add`, adds to Y. scratch: scratch_bytes(cols) bytes, 64-byte aligned, one per thread. */
    void (*product)(const mllm_matrix *w, size_t from, size_t to, const void *x, size_t x_stride, size_t m, float *y,
                    size_t ldy, bool add, void *scratch);
    size_t (*scratch_bytes)(size_t cols);
    /* The same for chosen rows: y[k] = W[ids[k]] . x, one prepared row x. Bits as product. */
    void (*product_rows)(const mllm_matrix *w, const mllm_token *ids, size_t count, const void *x, float *y,
                         void *scratch);

    /* The KV cache holds, per head, MLLM_KV_CHUNK positions of keys and of values in `type`. How they lie in there is the kernel's:
     * store() writes position `at` of a chunk (key or value), attend() takes positions [first, end) of a chunk, seen by every row, into the
     * running state.
     * scratch: mllm_attention_scratch(head_size) bytes. */
    void (*store)(mllm_type type, const float *row, uint32_t head_size, bool value, void *chunk, uint32_t at);
    void (*attend)(mllm_type type, const mllm_attention *a, const void *keys, const void *values, uint32_t first,
                   uint32_t end, void *scratch);

    /* out = x / sqrt(mean(x^2) + epsilon) * weight */
    void (*rms_norm)(const float *x, const float *weight, float epsilon, size_t n, float *out);
    /* gate = silu(gate) * up, silu(x) = x / (1 + exp(-x)) */
    void (*swiglu)(float *gate, const float *up, size_t n);
} mllm_kernel;

enum { MLLM_TOGETHER = 6 }; /* most query heads that the vector kernels hold in registers beside what they share */
size_t mllm_attention_scratch(uint32_t head_size);

/* The best kernel of this CPU for NULL or "auto", else the named one; NULL with MLLM_E_UNSUPPORTED when the CPU or the build lacks
 * it, MLLM_E_ARGUMENT for a name that is none. */
const mllm_kernel *mllm_kernel_choose(const char *name, mllm_error *err);

extern const mllm_kernel mllm_kernel_reference, mllm_kernel_blas, mllm_kernel_avx2, mllm_kernel_avxvnni,
    mllm_kernel_avx512, mllm_kernel_amx, mllm_kernel_neon, mllm_kernel_i8mm;

/* Plain versions that several kernels share (ops.c). */
void mllm_rms_norm(const float *x, const float *weight, float epsilon, size_t n, float *out);
void mllm_swiglu(float *gate, const float *up, size_t n);
/* Rotates one head in place: pairs (2i, 2i+1) when interleaved, else (i, i + rope_size/2); cosine and sine [rope_size / 2]. */
void mllm_rope(float *head, const float *cosine, const float *sine, size_t rope_size, bool interleaved);
/* Rows of consecutive positions in the order of the cache's type. */
void mllm_store(mllm_type type, const float *row, uint32_t head_size, bool value, void *chunk, uint32_t at);
void mllm_attend(mllm_type type, const mllm_attention *a, const void *keys, const void *values, uint32_t first,
                 uint32_t end, void *scratch);

/* How floats are computed with: a stored row as floats, and the sum of products of two rows, in an order of its own. */
typedef struct {
    void (*expand)(mllm_type type, const void *row, float *out, size_t cols);
    float (*dot)(const float *a, const float *b, size_t n);
} mllm_floats;

/* Products in floats on expanded weights (kernel_float.c), for matrices that a kernel has no better way for: x holds rows of floats. */
void mllm_float_product(const mllm_floats *f, const mllm_matrix *w, size_t from, size_t to, const void *x,
                        size_t x_stride, size_t m, float *y, size_t ldy, bool add, void *scratch);
void mllm_float_product_rows(const mllm_floats *f, const mllm_matrix *w, const mllm_token *ids, size_t count,
                             const void *x, float *y, void *scratch);
size_t mllm_float_scratch(size_t cols);

#endif
