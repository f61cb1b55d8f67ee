/* blueprint.h - an architecture as data: shapes, and the list of steps to execute. A loader fills it, the forward pass,
 * the trainer and the writers read it. Nothing outside the loaders knows an architecture's name. */
#ifndef MLLM_MODEL_BLUEPRINT_H
#define MLLM_MODEL_BLUEPRINT_H

#include "../mobilellm.h"

/* One step is x += attention(norm(x)); x += ffn(norm(x)).
 *   MobileLLM     step i: block i, FFN i, KV slot i
 *   MobileLLM-LS  steps 2i, 2i+1: block i, FFN i, KV slots 2i and 2i+1 (each pass attends to its own pass's keys)
 *   MobiLlama     step i: block i, FFN 0, KV slot i */
typedef struct {
    uint32_t block; /* attention weights, and both norms */
    uint32_t ffn; /* gate, up, down */
    uint32_t kv_slot;
    uint32_t window; /* attends to the last `window` positions; 0: all */
    bool rope; /* false: no position encoding in this step */
} mllm_step;

typedef enum { MLLM_ROPE_NONE, MLLM_ROPE_LINEAR, MLLM_ROPE_LLAMA3 } mllm_rope_scaling;

/* Bounds that a file's numbers are checked against before anything is allocated. */
enum { MLLM_MAX_STEPS = 1024, MLLM_MAX_WIDTH = 1 << 16, MLLM_MAX_VOCABULARY = 1 << 20, MLLM_MAX_CONTEXT = 1 << 24 };

typedef struct {
    char architecture[32];
    char name[96];
    uint32_t vocabulary, width, heads, kv_heads, head_size, ffn_width, context;
    uint32_t blocks, ffns, kv_slots, step_count;
    mllm_step *steps; /* [step_count], owned */
    float norm_epsilon;
    float rope_base;
    bool
        rope_interleaved; /* true: pairs (2i, 2i+1), rows of q and k permuted as GGUF's "llama" does; false: (i, i + rope_size/2) */
    uint32_t rope_size; /* rotated dimensions of a head, <= head_size, even */
    mllm_rope_scaling rope_scaling;
    float rope_factor, rope_low, rope_high; /* LLAMA3: low_freq_factor, high_freq_factor */
    uint32_t rope_original_context;
    bool tied_embedding, qkv_bias, output_bias, qk_norm;
} mllm_blueprint;

/* Checks every relation between the numbers; the message names the first that fails and `where` (a file). */
mllm_code mllm_blueprint_check(const mllm_blueprint *b, const char *where, mllm_error *err);
void mllm_blueprint_free(mllm_blueprint *b); /* frees steps, zeroes */
mllm_code mllm_blueprint_copy(mllm_blueprint *to, const mllm_blueprint *from, mllm_error *err);
/* Fills steps for one of the systems: passes = 2 for LS (immediate block-wise sharing), shared_ffn for MobiLlama. Sets
 * step_count, kv_slots, ffns from blocks. */
mllm_code mllm_blueprint_make_steps(mllm_blueprint *b, uint32_t passes, bool shared_ffn, mllm_error *err);

/* The tensors of a model, by role. `index` is a block or an FFN; 0 for the others. */
typedef enum {
    MLLM_W_EMBEDDING, /* [vocabulary, width] */
    MLLM_W_OUTPUT_NORM, /* [width] */
    MLLM_W_HEAD, /* [vocabulary, width]; absent when tied */
    MLLM_W_ATTENTION_NORM, /* block: [width] */
    MLLM_W_Q, /* block: [heads * head_size, width] */
    MLLM_W_K, /* block: [kv_heads * head_size, width] */
    MLLM_W_V,
    MLLM_W_O, /* block: [width, heads * head_size] */
    MLLM_W_Q_BIAS, /* block: [heads * head_size]; optional, as the next five */
    MLLM_W_K_BIAS,
    MLLM_W_V_BIAS,
    MLLM_W_O_BIAS,
    MLLM_W_Q_NORM, /* block: [head_size] */
    MLLM_W_K_NORM,
    MLLM_W_FFN_NORM, /* block: [width] */
    MLLM_W_GATE, /* ffn: [ffn_width, width] */
    MLLM_W_UP,
    MLLM_W_DOWN, /* ffn: [width, ffn_width] */
    MLLM_W_ROLES
} mllm_role;

/* What a role's tensor must look like under `b`; rows = 0 when the blueprint says it is absent. `count` is how many indices
 * the role has (1, blocks or ffns). A vector has rows = 1. */
typedef struct {
    size_t rows, cols;
    uint32_t count;
} mllm_role_shape;
mllm_role_shape mllm_blueprint_shape(const mllm_blueprint *b, mllm_role role);
uint64_t mllm_blueprint_parameters(const mllm_blueprint *b); /* stored weights, each once */

#endif
