/* trainer.h - what the files of the trainer share. */
#ifndef MLLM_TRAIN_TRAINER_H
#define MLLM_TRAIN_TRAINER_H

#include "../base/team.h"
#include "pass.h"
#include "train.h"

/* A part of the parameters that one thread reduces and updates. */
typedef struct {
    size_t offset, count;
    bool decays;
} mllm_param_chunk;

/* A model whose logits are learned from. */
typedef struct {
    mllm_blueprint b;
    mllm_layout l;
    float *params;
    uint64_t fingerprint;
    mllm_pass **passes; /* one per thread, as the trainer's own */
} mllm_teacher;

struct mllm_trainer {
    mllm_blueprint b;
    mllm_layout l;
    mllm_train_options o;
    mllm_team *team;
    float *params; /* [l.floats] */
    mllm_adapters adapters; /* o.lora.rank above 0 */
    float *trained; /* [trained_floats]: params, or the values of the adapters */
    size_t trained_floats;
    float *m, *v; /* [trained_floats] */
    float **gradients; /* [shards][trained_floats]; after the reduction shard 0 holds the sum */
    float *rounded; /* [l.floats] params as passes see them, with o.rounding; made when it is first needed */
    mllm_teacher teacher; /* params NULL without */
    uint64_t teacher_fingerprint; /* of the one that the run began with; 0: none */
    mllm_param_chunk *chunks;
    double *squares; /* [chunk_count] of the gradient */
    size_t chunk_count;
    /* per thread, made when they are first needed */
    mllm_pass **passes;
    mllm_pack *packs;
    int pass_count;
    size_t pass_tokens, pass_longest;
    /* state that a checkpoint holds beside weights and moments */
    uint64_t step, total_tokens;
    uint64_t data_fingerprint, data_epoch, data_place;
    /* the order of the epoch, made from seed and epoch */
    uint32_t *order;
    size_t order_count;
    uint64_t order_epoch, order_fingerprint;
};

static inline bool mllm_trainer_adapts(const mllm_trainer *t) {
    return t->o.lora.rank > 0;
}
/* A number that changes with any change of the array. */
uint64_t mllm_weights_fingerprint(const float *params, size_t floats);

/* Everything but the values of the weights. */
mllm_trainer *mllm_trainer_alloc(const mllm_blueprint *b, const mllm_train_options *o, mllm_error *err);

#endif
