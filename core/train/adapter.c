#include "adapter.h"

#include <math.h>
#include <string.h>

#include "../base/error.h"
#include "layout.h"

enum { ALIGN_FLOATS = 16 };

static size_t round_up(size_t n) {
    return (n + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
}

mllm_code mllm_adapters_init(mllm_adapters *a, const mllm_blueprint *b, const mllm_lora *o, mllm_error *err) {
    memset(a, 0, sizeof *a);
    a->o = *o;
    if (o->rank > MLLM_MAX_RANK)
        return mllm_fail(err, MLLM_E_ARGUMENT, "lora: rank %u; at most %d", o->rank, MLLM_MAX_RANK);
    if (!(o->alpha > 0 && o->alpha <= 1e6))
        return mllm_fail(err, MLLM_E_ARGUMENT, "lora: alpha = %g: a number above 0 is expected", o->alpha);
    if (!o->targets || o->targets & ~(uint32_t)MLLM_LORA_POSSIBLE)
        return mllm_fail(err, MLLM_E_ARGUMENT, "lora: targets are among q k v o gate up down, one at least");
    /* Two groups, as in the layout: what exists once per block, and once per FFN. */
    for (int ffn = 0; ffn < 2; ffn++) {
        size_t at = 0;
        uint32_t copies = ffn ? b->ffns : b->blocks;
        for (int pass = 0; pass < 2; pass++)
            for (int r = 0; r < MLLM_W_ROLES; r++) {
                mllm_role role = (mllm_role)r;
                if (!mllm_adapted(a, role) || (role >= MLLM_W_GATE) != ffn) continue;
                mllm_role_shape s = mllm_blueprint_shape(b, role);
                if (pass) {
                    a->stride[r] = at;
                    continue;
                }
                if (o->rank > s.rows || o->rank > s.cols)
                    return mllm_fail(err, MLLM_E_ARGUMENT, "lora: rank %u of a matrix of %zu x %zu", o->rank, s.rows,
                                     s.cols);
                a->a[r] = a->floats + at;
                at += round_up(s.cols * o->rank);
                a->b[r] = a->floats + at;
                at += round_up(s.rows * o->rank);
            }
        a->floats += at * copies; /* within the bounds of a blueprint: below 2^45 */
    }
    return MLLM_OK;
}

void mllm_adapters_randomize(const mllm_adapters *a, const mllm_blueprint *b, uint64_t seed, float *values) {
    memset(values, 0, a->floats * sizeof *values);
    for (int r = 0; r < MLLM_W_ROLES; r++) {
        if (!mllm_adapted(a, (mllm_role)r)) continue;
        mllm_role_shape s = mllm_blueprint_shape(b, (mllm_role)r);
        for (uint32_t i = 0; i < s.count; i++) {
            uint64_t state = seed ^ ((uint64_t)r << 32 | i) ^ 0x6C6F7261u;
            state = mllm_splitmix(&state);
            mllm_fill_normal(values + a->a[r] + i * a->stride[r], s.cols * a->o.rank, 1 / sqrt((double)s.cols), &state);
        }
    }
}

void mllm_adapters_merge_row(const mllm_adapters *a, const mllm_blueprint *b, const float *values, mllm_role role,
                             uint32_t index, size_t row, float *out) {
    if (!mllm_adapted(a, role)) return;
    size_t cols = mllm_blueprint_shape(b, role).cols, rank = a->o.rank;
    const float *A = values + a->a[role] + index * a->stride[role];
    const float *B = values + a->b[role] + index * a->stride[role] + row * rank;
    float scale = (float)(a->o.alpha / rank);
    for (size_t i = 0; i < rank; i++)
        for (size_t c = 0; c < cols; c++) out[c] += scale * B[i] * A[i * cols + c];
}

uint64_t mllm_adapters_parameters(const mllm_adapters *a, const mllm_blueprint *b) {
    uint64_t n = 0;
    for (int r = 0; r < MLLM_W_ROLES; r++) {
        mllm_role_shape s = mllm_blueprint_shape(b, (mllm_role)r);
        if (mllm_adapted(a, (mllm_role)r)) n += (uint64_t)s.count * (s.rows + s.cols) * a->o.rank;
    }
    return n;
}
