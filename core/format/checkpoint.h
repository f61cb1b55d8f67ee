/* checkpoint.h - a model's files, opened: a GGUF file or a Hugging Face folder behind one face. */
#ifndef MLLM_FORMAT_CHECKPOINT_H
#define MLLM_FORMAT_CHECKPOINT_H

#include "../model/blueprint.h"
#include "../tensor/tensor.h"

typedef struct mllm_checkpoint mllm_checkpoint;

/* Opens and checks: the blueprint is complete and consistent, every tensor it needs is there once with the right shape and
 * lies inside its file. With `vocabulary_only` the weights are neither required nor looked at. */
mllm_checkpoint *mllm_checkpoint_open(const char *path, bool vocabulary_only, mllm_error *err);
void mllm_checkpoint_close(mllm_checkpoint *c);

const mllm_blueprint *mllm_checkpoint_blueprint(const mllm_checkpoint *c);
/* Points into the file map: valid until close. data = NULL for an absent optional tensor. */
mllm_tensor mllm_checkpoint_tensor(const mllm_checkpoint *c, mllm_role role, uint32_t index);
/* Not owned; NULL when there is none (a folder without tokenizer files). */
const mllm_vocab *mllm_checkpoint_vocab(const mllm_checkpoint *c);
const char *mllm_checkpoint_chat_template(const mllm_checkpoint *c); /* terminated, or NULL */

/* Writes a GGUF file. Matrices get `type`, vectors stay F32; where a row is no multiple of the type's block, F16. `row` delivers
 * rows of (role, index) in floats, q and k in the order that b->rope_interleaved says. Plain Llama shapes get architecture
 * "llama" and load in llama.cpp; shared blocks or FFNs are stored once, under the keys that MODEL.md names. */
typedef bool (*mllm_weight_row_fn)(void *ctx, mllm_role role, uint32_t index, size_t row, float *out);
typedef struct {
    const char *path;
    const mllm_blueprint *blueprint;
    const mllm_vocab *vocab; /* may be NULL */
    const char *chat_template; /* may be NULL */
    const char *metadata_json; /* may be NULL: an object of strings, stored under "mobilellm.card" */
    mllm_type type;
    mllm_weight_row_fn row;
    void *ctx;
    /* The rest may be left zero. */
    mllm_type (*type_of)(void *ctx, mllm_role role); /* of a role's matrices, instead of `type` */
    /* Puts a row into `out` as `type` has it, or says false: then it comes from `row` and is rounded. */
    bool (*encode)(void *ctx, mllm_role role, uint32_t index, size_t row, mllm_type type, void *out);
    bool packed; /* Q8_0 and Q4_0 as P8 and P4 */
} mllm_checkpoint_writing;
mllm_code mllm_checkpoint_write(const mllm_checkpoint_writing *w, mllm_error *err);

#endif
