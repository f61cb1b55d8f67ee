/* train.h - the trainer: parameters, AdamW, schedule, parallel steps over batches, checkpoints.
 *
 * A batch is dealt to a fixed number of shards, each with its own gradients; threads take shards, one at a time, and the
 * shards are summed in a fixed order. So results depend on the seed, the options and the rows, and not on the number of threads. Each
 * shard puts its rows into packs of about pack_tokens, so that memory does not grow with the batch (this is gradient accumulation). */
#ifndef MLLM_TRAIN_TRAIN_H
#define MLLM_TRAIN_TRAIN_H

#include "../format/checkpoint.h"
#include "adapter.h"
#include "data.h"
#include "layout.h"

typedef enum { MLLM_SCHEDULE_COSINE, MLLM_SCHEDULE_WSD } mllm_schedule;
/* Of matrix products: bfloat16 inputs with float sums, or floats. AUTO is bfloat16 where the processor has it (AVX512_BF16). Weights,
 * moments, gradients and everything else are floats. */
typedef enum { MLLM_PRECISION_AUTO, MLLM_PRECISION_F32, MLLM_PRECISION_BF16 } mllm_precision;

typedef struct {
    uint64_t seed;
    int threads; /* 0: one per real core */
    uint32_t shards; /* 0: 8, fewer for large models (each holds gradients of the model's size) */
    mllm_schedule schedule;
    double learning_rate; /* the peak */
    double floor; /* the last step's rate, as a share of the peak */
    uint64_t warmup, steps; /* in steps; warmup is linear */
    uint64_t cooldown; /* WSD: the last steps, in which the rate falls linearly to the floor */
    double decay; /* decoupled weight decay of matrices, per unit of learning rate */
    double clip; /* largest norm of the gradient; 0: no clipping */
    double beta1, beta2, epsilon;
    uint64_t batch_tokens; /* of a batch drawn from data: rows are added until it has as many tokens */
    uint32_t pack_tokens; /* a longer row makes its pack longer */
    mllm_precision precision;
    bool recompute; /* activations: less memory, a third more work, the same numbers */
    /* Quantization-aware training: passes run with the matrices rounded to this type as export rounds them, and the gradients go to the
     * float weights as if nothing had been rounded (straight-through: Bengio et al. 2013, arXiv 1308.3432). F32: off. */
    mllm_type rounding;
    mllm_lora lora; /* rank above 0: only adapters are trained, beside the weights of an opened model */
    double temperature, mix; /* with a teacher: see mllm_teaching in pass.h */
} mllm_train_options;
/* seed 1, cosine, rate 1e-3, floor 0.1, warmup 100, steps 1000, cooldown 200, decay 0.1, clip 1, betas 0.9 0.95, epsilon 1e-8,
 * batch 8192, pack 512, alpha 16, all seven targets, temperature 2, mix 0.5. */
mllm_train_options mllm_train_defaults(void);
/* MLLM_E_ARGUMENT names the first option that makes no sense. */
mllm_code mllm_train_options_check(const mllm_train_options *o, mllm_error *err);
/* Learning rate of step `step` (0-based): linear warmup, then cosine to the floor, or constant and then linear to the floor (warmup,
 * stable, decay: Hu et al. 2024). */
double mllm_schedule_rate(const mllm_train_options *o, uint64_t step);

typedef struct {
    uint64_t step; /* steps done, this one included */
    double loss; /* mean cross-entropy (nats) over the weights; with a teacher mixed with the divergence from it */
    uint64_t tokens; /* positions computed in this step */
    uint64_t scored; /* ... that had a weight above 0 */
    double gradient_norm; /* before clipping */
    double learning_rate;
    double seconds;
    double epoch; /* passes over the data so far, with a fraction; 0 without data */
    uint64_t total_tokens;
    bool skipped; /* the gradient was not finite: nothing was changed */
} mllm_train_stats;

typedef struct mllm_trainer mllm_trainer;

/* New weights from the seed. `b` is copied; its numbers must have passed mllm_blueprint_check. */
mllm_trainer *mllm_trainer_new(const mllm_blueprint *b, const mllm_train_options *o, mllm_error *err);
/* The weights of an opened model, of any type and blueprint that loads. */
mllm_trainer *mllm_trainer_from(const mllm_checkpoint *c, const mllm_train_options *o, mllm_error *err);
void mllm_trainer_free(mllm_trainer *t);

/* Bytes that training such a model takes in the end, with rows of up to `longest` tokens; nothing is allocated. `teacher`: NULL or its
 * blueprint. Zero options (threads, shards, precision) count as what they become. */
mllm_code mllm_train_memory(const mllm_blueprint *b, const mllm_train_options *o, size_t longest,
                            const mllm_blueprint *teacher, uint64_t *bytes, mllm_error *err);
/* From now on steps learn from the logits of this model, too (distillation); its weights are copied. MLLM_E_ARGUMENT: another size of
 * vocabulary, or a context that is too short for the trainer's. A run that goes on from a checkpoint needs the same teacher. */
mllm_code mllm_trainer_teach(mllm_trainer *t, const mllm_checkpoint *teacher, mllm_error *err);

const mllm_blueprint *mllm_trainer_blueprint(const mllm_trainer *t);
const mllm_train_options *mllm_trainer_options(const mllm_trainer *t);
/* Takes over what may change between steps: all but seed, shards and lora. Threads take effect at once. */
mllm_code mllm_trainer_set_options(mllm_trainer *t, const mllm_train_options *o, mllm_error *err);
uint64_t mllm_trainer_step_count(const mllm_trainer *t);
uint64_t mllm_trainer_total_tokens(const mllm_trainer *t); /* positions computed in all steps so far */
uint64_t mllm_trainer_parameters(const mllm_trainer *t); /* of the model */
uint64_t mllm_trainer_trained(const mllm_trainer *t); /* of these, or of adapters beside them, are trained */
uint64_t mllm_trainer_bytes(const mllm_trainer *t); /* allocated now */
/* The flat array (see layout.h), for those who look inside. */
float *mllm_trainer_weights(mllm_trainer *t, const mllm_layout **layout);

/* One step on these rows. MLLM_E_CONTEXT: a row is longer than the context; MLLM_E_ARGUMENT: a row makes no sense, or no token has a weight.
 * Nothing is changed then. */
mllm_code mllm_trainer_step(mllm_trainer *t, const mllm_train_row *rows, size_t count, mllm_train_stats *stats,
                            mllm_error *err);
/* One step on the next batch of `data`: rows in an order shuffled anew for each epoch, from seed and epoch. The place is part of the
 * trainer's state; other data (by fingerprint) starts at its beginning. */
mllm_code mllm_trainer_next(mllm_trainer *t, const mllm_train_data *data, mllm_train_stats *stats, mllm_error *err);

typedef struct {
    double loss; /* mean over the weights */
    double accuracy; /* share of the scored tokens that have the largest logit */
    uint64_t tokens, scored;
} mllm_train_score;
mllm_code mllm_trainer_evaluate(mllm_trainer *t, const mllm_train_data *data, mllm_train_score *score, mllm_error *err);
/* Logits [vocabulary] after ids[count], always with products in float. */
mllm_code mllm_trainer_logits(mllm_trainer *t, const mllm_token *ids, size_t count, float *logits, mllm_error *err);

/* Everything a run needs to go on to the same numbers: blueprint, options, weights, moments, place in the data. Atomic. With adapters these
 * stand in it instead of the weights, and how the weights are recognised. */
mllm_code mllm_trainer_save(mllm_trainer *t, const char *path, mllm_error *err);
/* `base`: the model that adapters were trained on; NULL otherwise. MLLM_E_ARGUMENT: it is missing, or not the one. */
mllm_trainer *mllm_trainer_resume(const char *path, const mllm_checkpoint *base, mllm_error *err);
/* A GGUF file; adapters are merged into its weights. Name, vocabulary, template and card (the text of a JSON object) may be NULL. */
mllm_code mllm_trainer_export(mllm_trainer *t, const char *path, mllm_type type, const char *name,
                              const mllm_vocab *vocab, const char *chat_template, const char *card_json,
                              mllm_error *err);

#endif
