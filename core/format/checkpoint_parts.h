/* checkpoint_parts.h - what the files behind checkpoint.h share; nobody else includes it. */
#ifndef MLLM_FORMAT_CHECKPOINT_PARTS_H
#define MLLM_FORMAT_CHECKPOINT_PARTS_H

#include "checkpoint.h"
#include "gguf.h"
#include "safetensors.h"

struct mllm_checkpoint {
    char *path;
    mllm_blueprint blueprint;
    mllm_gguf *gguf; /* one of these two ... */
    mllm_safetensors **shards; /* ... [shard_count] */
    char **shard_paths; /* [shard_count] */
    size_t shard_count;
    mllm_tensor *tensors; /* of every role and index */
    size_t first[MLLM_W_ROLES]; /* where a role's tensors begin */
    uint32_t count[MLLM_W_ROLES]; /* how many it has; 0: absent */
    mllm_vocab *vocab;
    char *chat_template;
};

/* What a source says about the tensors before it is known which are there. */
typedef struct {
    int tied; /* 1, 0, -1: as the tensors say */
    int shared_ffn; /* the same */
    bool needs_qkv_bias, needs_qk_norm;
} mllm_tensor_facts;

enum { MLLM_FFN_OUTSIDE = -1 }; /* an "index" of the FFN roles: a name without a block's number */

/* How a source is asked for a tensor. `name` gets the name in the file, for messages. Absent: MLLM_OK with data = NULL. A folder
 * fails where it is there in a number type that cannot be read, or twice. */
typedef mllm_code (*mllm_tensor_find)(const mllm_checkpoint *c, mllm_role role, int64_t index, char name[128],
                                      mllm_tensor *out, mllm_error *err);

/* Each opens its files into `c` and fills the blueprint (steps as if nothing were shared unless the file says so), the
 * vocabulary and the chat template. */
mllm_code mllm_checkpoint_read_gguf(mllm_checkpoint *c, bool vocabulary_only, mllm_tensor_facts *facts,
                                    mllm_error *err);
mllm_code mllm_checkpoint_read_folder(mllm_checkpoint *c, bool vocabulary_only, mllm_tensor_facts *facts,
                                      mllm_error *err);
mllm_code mllm_checkpoint_find_gguf(const mllm_checkpoint *c, mllm_role role, int64_t index, char name[128],
                                    mllm_tensor *out, mllm_error *err);
mllm_code mllm_checkpoint_find_folder(const mllm_checkpoint *c, mllm_role role, int64_t index, char name[128],
                                      mllm_tensor *out, mllm_error *err);
/* Nothing of a block is stored that the blueprint does not use. */
mllm_code mllm_checkpoint_check_folder(const mllm_checkpoint *c, mllm_error *err);
/* The name of a tensor in a GGUF file. */
void mllm_gguf_tensor_name(mllm_role role, uint32_t index, char name[128]);
/* The divisors of Llama 3's rotary frequencies, [rope_size / 2], as rope_freqs.weight holds them. */
void mllm_llama3_rope_factors(const mllm_blueprint *b, float *out);

/* Callbacks of mllm_checkpoint_writing on a checkpoint as ctx: any row in floats; a row whose type is the same, bit by bit. */
bool mllm_checkpoint_row(void *ctx, mllm_role role, uint32_t index, size_t row, float *out);
bool mllm_checkpoint_same_row(void *ctx, mllm_role role, uint32_t index, size_t row, mllm_type type, void *out);
/* Fills in what goes along with the weights (blueprint, vocabulary, chat template, card) and writes. */
mllm_code mllm_checkpoint_rewrite(mllm_checkpoint *c, mllm_checkpoint_writing *w, mllm_error *err);

/* A type that weights can be rounded to, by its name. */
mllm_code mllm_writable_type(const char *name, mllm_type *type, mllm_error *err);

#endif
