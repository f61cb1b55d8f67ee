/* model.h - a loaded model as sessions and the trainer's tools see it. */
#ifndef MLLM_MODEL_MODEL_H
#define MLLM_MODEL_MODEL_H

#include <stdatomic.h>

#include "../base/team.h"
#include "../format/checkpoint.h"
#include "../tensor/kernel.h"
#include "blueprint.h"

/* Vectors are kept expanded; matrices as stored or packed. An absent vector is NULL, an absent matrix has stored.data NULL. */
typedef struct {
    const float *attention_norm; /* [width] */
    mllm_matrix q, k, v, o;
    const float *q_bias, *k_bias, *v_bias, *o_bias;
    const float *q_norm, *k_norm; /* [head_size] */
    const float *ffn_norm; /* [width] */
} mllm_block;

typedef struct {
    mllm_matrix gate, up, down;
} mllm_ffn;

struct mllm_model {
    atomic_int references;
    char *path;
    mllm_checkpoint *checkpoint; /* the file map lives here; vocabulary too */
    const mllm_blueprint *blueprint;
    const mllm_kernel *kernel;
    mllm_team *team;
    bool has_weights;
    mllm_matrix head;
    mllm_tensor
        embedding; /* whose rows tokens become: the tied head's packed copy where that lost nothing, else as stored */
    const float *output_norm;
    mllm_block *blocks;
    mllm_ffn *ffns;
    float *frequencies; /* [rope_size / 2] radians per position */
    char *arena; /* all packed matrices, one after the other */
    size_t arena_used;
    void **owned; /* aligned allocations behind vectors */
    size_t owned_count, owned_capacity;
    uint64_t weight_bytes, packed_bytes, fingerprint;
    mllm_type main_type;
    mllm_model_type types[24];
    size_t type_count;
};

#endif
