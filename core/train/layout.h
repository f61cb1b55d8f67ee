/* layout.h - all parameters of a model in one flat array of floats, and where each tensor stands in it.
 *
 * Tensors that are multiplied together stand side by side: q, k, v of a block are one matrix [(heads + 2 kv_heads) *
 * head_size, width], their biases one vector, gate and up of an FFN one matrix [2 ffn_width, width]. Gradients and the
 * optimizer's moments have the same layout. A weight that several steps use stands once, so its gradients add up there. */
#ifndef MLLM_TRAIN_LAYOUT_H
#define MLLM_TRAIN_LAYOUT_H

#include "../format/checkpoint.h"
#include "../model/blueprint.h"

typedef struct {
    mllm_role role;
    uint32_t index;
    size_t rows, cols, offset; /* floats [offset, offset + rows * cols), row-major */
} mllm_layout_entry;

typedef struct {
    size_t floats; /* length of the array; gaps that round up to 16 floats stay zero */
    size_t base[MLLM_W_ROLES]; /* offset of index 0 */
    size_t stride[MLLM_W_ROLES]; /* from one index to the next */
    bool present[MLLM_W_ROLES];
    mllm_layout_entry *entries; /* owned, in order of offset */
    size_t count;
} mllm_layout;

mllm_code mllm_layout_init(mllm_layout *l, const mllm_blueprint *b, mllm_error *err);
void mllm_layout_free(mllm_layout *l);

static inline size_t mllm_layout_at(const mllm_layout *l, mllm_role role, uint32_t index) {
    return l->base[role] + l->stride[role] * index;
}
/* True for matrices; norms and biases are not decayed. */
bool mllm_role_decays(mllm_role role);

/* Normal(0, 0.02); projections into the residual stream divided by sqrt(2 * steps) (GPT-2); norms 1; biases 0. The same
 * seed gives the same weights: each tensor draws from a stream of its own. */
void mllm_layout_randomize(const mllm_layout *l, const mllm_blueprint *b, uint64_t seed, float *params);
/* Every tensor of an opened checkpoint, expanded to floats. */
mllm_code mllm_layout_load(const mllm_layout *l, const mllm_checkpoint *c, float *params, mllm_error *err);

/* SplitMix64 (Steele, Lea, Flood 2014): the state is the counter, so it is saved as one number. */
static inline uint64_t mllm_splitmix(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* out[n] from Normal(0, deviation). */
void mllm_fill_normal(float *out, size_t n, double deviation, uint64_t *state);

#endif
