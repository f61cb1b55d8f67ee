#include <math.h>
#include <string.h>

#include "pass.h"

/* The keys that the queries [q0, q0 + n) of a row starting at `start` may see: [*k0, *k0 + *nk). */
static void key_range(size_t start, size_t q0, size_t n, size_t window, size_t *k0, size_t *nk) {
    size_t from = start;
    if (window && q0 - start >= window) from = q0 - window + 1;
    *k0 = from;
    *nk = q0 + n - from;
}

/* First and one past the last column of query i's visible keys in a tile. */
static void visible(size_t start, size_t q, size_t window, size_t k0, size_t *from, size_t *to) {
    size_t first = window && q - start >= window ? q - window + 1 : start;
    *from = first - k0;
    *to = q + 1 - k0;
}

void mllm_attention_forward(const mllm_attention *a, const mllm_real *qkv, mllm_real *out, mllm_real *lse) {
    const size_t size = a->head_size, ld = (a->heads + 2 * a->kv_heads) * size, out_ld = a->heads * size;
    const size_t group = a->heads / a->kv_heads;
    const real scale = (real)(1 / sqrt((double)size));
    for (uint32_t r = 0; r < a->pack->rows; r++) {
        size_t start = a->pack->starts[r], end = a->pack->starts[r + 1];
        for (size_t h = 0; h < a->heads; h++) {
            const real *q = qkv + h * size, *k = qkv + (a->heads + h / group) * size, *v = k + a->kv_heads * size;
            for (size_t q0 = start; q0 < end; q0 += MLLM_ATTENTION_TILE) {
                size_t n = end - q0 < MLLM_ATTENTION_TILE ? end - q0 : MLLM_ATTENTION_TILE, k0, nk;
                key_range(start, q0, n, a->window, &k0, &nk);
                real *s = a->scratch;
                mllm_train_product(a->products, false, true, n, nk, size, scale, q + q0 * ld, ld, k + k0 * ld, ld, 0, s,
                                   nk);
                for (size_t i = 0; i < n; i++) {
                    size_t from, to;
                    real *row = s + i * nk;
                    visible(start, q0 + i, a->window, k0, &from, &to);
                    lse[h * a->pack->tokens + q0 + i] = a->kernels->softmax(row + from, to - from);
                    memset(row, 0, from * sizeof *row);
                    memset(row + to, 0, (nk - to) * sizeof *row);
                }
                mllm_train_product(a->products, false, false, n, size, nk, 1, s, nk, v + k0 * ld, ld, 0,
                                   out + q0 * out_ld + h * size, out_ld);
            }
        }
    }
}

/* With P the probabilities, O = P V and D_i = dO_i . O_i:
 * dV += P^T dO;  dP = dO V^T;  dS = P * (dP - D);  dQ = scale dS K;  dK += scale dS^T Q. */
void mllm_attention_backward(const mllm_attention *a, const mllm_real *qkv, const mllm_real *out, const mllm_real *lse,
                             const mllm_real *dout, mllm_real *dqkv) {
    const size_t size = a->head_size, ld = (a->heads + 2 * a->kv_heads) * size, out_ld = a->heads * size;
    const size_t group = a->heads / a->kv_heads;
    const real scale = (real)(1 / sqrt((double)size));
    memset(dqkv, 0, a->pack->tokens * ld * sizeof *dqkv);
    for (uint32_t r = 0; r < a->pack->rows; r++) {
        size_t start = a->pack->starts[r], end = a->pack->starts[r + 1];
        for (size_t h = 0; h < a->heads; h++) {
            const size_t k_at = (a->heads + h / group) * size, v_at = k_at + a->kv_heads * size;
            for (size_t q0 = start; q0 < end; q0 += MLLM_ATTENTION_TILE) {
                size_t n = end - q0 < MLLM_ATTENTION_TILE ? end - q0 : MLLM_ATTENTION_TILE, k0, nk;
                key_range(start, q0, n, a->window, &k0, &nk);
                const real *q = qkv + q0 * ld + h * size, *k = qkv + k0 * ld + k_at, *v = qkv + k0 * ld + v_at;
                const real *o = out + q0 * out_ld + h * size, *d = dout + q0 * out_ld + h * size;
                real *p = a->scratch, *dp = a->scratch + MLLM_ATTENTION_TILE * a->longest;
                mllm_train_product(a->products, false, true, n, nk, size, scale, q, ld, k, ld, 0, p, nk);
                mllm_train_product(a->products, false, true, n, nk, size, 1, d, out_ld, v, ld, 0, dp, nk);
                for (size_t i = 0; i < n; i++) {
                    size_t from, to;
                    real *row = p + i * nk, *drow = dp + i * nk;
                    visible(start, q0 + i, a->window, k0, &from, &to);
                    a->kernels->exp_minus(row + from, to - from, lse[h * a->pack->tokens + q0 + i]);
                    real mean = a->kernels->dot(d + i * out_ld, o + i * out_ld, size);
                    a->kernels->score_back(drow + from, row + from, to - from, mean, scale);
                    memset(row, 0, from * sizeof *row);
                    memset(row + to, 0, (nk - to) * sizeof *row);
                    memset(drow, 0, from * sizeof *row);
                    memset(drow + to, 0, (nk - to) * sizeof *row);
                }
                mllm_train_product(a->products, true, false, nk, size, n, 1, p, nk, d, out_ld, 1, dqkv + k0 * ld + v_at,
                                   ld);
                mllm_train_product(a->products, false, false, n, size, nk, 1, dp, nk, k, ld, 0,
                                   dqkv + q0 * ld + h * size, ld);
                mllm_train_product(a->products, true, false, nk, size, n, 1, dp, nk, q, ld, 1, dqkv + k0 * ld + k_at,
                                   ld);
            }
        }
    }
}
