/* adapter.h - low-rank adapters (LoRA: Hu et al. 2021, arXiv 2106.09685).
 *
 * Beside a frozen matrix W[rows, cols] stand A[rank, cols] and B[rows, rank]; the product is x W^T + (alpha / rank) (x A^T) B^T. A starts
 * random and B zero, so that training starts at W. A weight that several steps of a blueprint use has one adapter, as it has one W: the
 * product can always be merged into the stored matrix. All adapters of a model stand in one flat array of floats, as the parameters do. */
#ifndef MLLM_TRAIN_ADAPTER_H
#define MLLM_TRAIN_ADAPTER_H

#include "../model/blueprint.h"

typedef struct {
    uint32_t rank; /* 0: no adapters, all weights are trained */
    double alpha;
    uint32_t targets; /* a bit for each role: 1 << MLLM_W_Q ... */
} mllm_lora;

enum {
    MLLM_LORA_POSSIBLE = 1 << MLLM_W_Q | 1 << MLLM_W_K | 1 << MLLM_W_V | 1 << MLLM_W_O | 1 << MLLM_W_GATE |
                         1 << MLLM_W_UP | 1 << MLLM_W_DOWN,
    MLLM_MAX_RANK = 1024
};

typedef struct {
    mllm_lora o;
    size_t floats; /* length of the array; gaps that round up to 16 floats stay zero */
    size_t a[MLLM_W_ROLES], b[MLLM_W_ROLES]; /* offsets of index 0 */
    size_t stride[MLLM_W_ROLES]; /* from one index to the next */
} mllm_adapters;

/* MLLM_E_ARGUMENT: a rank, an alpha or targets that make no sense; a rank above the smaller side of a target. */
mllm_code mllm_adapters_init(mllm_adapters *a, const mllm_blueprint *b, const mllm_lora *o, mllm_error *err);
static inline bool mllm_adapted(const mllm_adapters *a, mllm_role role) {
    return a->o.targets >> role & 1;
}
/* A: Normal(0, 1 / sqrt(cols)); B: 0. */
void mllm_adapters_randomize(const mllm_adapters *a, const mllm_blueprint *b, uint64_t seed, float *values);
/* row += alpha / rank * (B A)[row]: what (role, index) becomes when its adapter is merged. */
void mllm_adapters_merge_row(const mllm_adapters *a, const mllm_blueprint *b, const float *values, mllm_role role,
                             uint32_t index, size_t row, float *out);
uint64_t mllm_adapters_parameters(const mllm_adapters *a, const mllm_blueprint *b);

#endif
