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

struct mllm_trainer {
    mllm_blueprint b;
    mllm_layout l;
    mllm_train_options o;
    mllm_team *team;
    float *params, *m, *v; /* [l.floats] */
    float **gradients; /* [shards][l.floats]; after the reduction shard 0 holds the sum */
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

/* Everything but the values of the weights. */
mllm_trainer *mllm_trainer_alloc(const mllm_blueprint *b, const mllm_train_options *o, mllm_error *err);

#endif
