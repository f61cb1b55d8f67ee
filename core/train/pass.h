/* pass.h - one forward and one backward pass over a pack of rows, by one thread.
 *
 * A pack is several rows of tokens put end to end. No token attends across rows: attention is block-diagonal by row and
 * positions restart at 0. A pass owns the activations of one pack; parameters and gradients are the caller's, so that
 * several passes can share the parameters. */
#ifndef MLLM_TRAIN_PASS_H
#define MLLM_TRAIN_PASS_H

#include "adapter.h"
#include "kernels.h"
#include "layout.h"
#include "product.h"

/* Input of a pass. Position t of the pack reads ids[t] and predicts targets[t]; that prediction counts weight[t] times (0:
 * no logits are computed for it). starts[rows + 1]: row r is [starts[r], starts[r + 1]). Row t's place in its row is position[t]. */
typedef struct {
    int32_t *ids, *targets;
    mllm_real *weight;
    uint32_t *position;
    uint32_t *starts;
    uint32_t rows, tokens;
} mllm_pack;

typedef struct {
    double loss; /* sum of weight * loss (nats) */
    double weight; /* sum of weights */
    uint64_t tokens; /* positions computed */
    uint64_t scored; /* positions with a weight above 0 */
    uint64_t right; /* of those, where the target has the largest logit (only asked for without gradients) */
} mllm_pass_result;

typedef struct mllm_pass mllm_pass;

#define mllm_pass_new MLLM_REAL(mllm_pass_new)
#define mllm_pass_free MLLM_REAL(mllm_pass_free)
#define mllm_pass_run MLLM_REAL(mllm_pass_run)
#define mllm_pass_logits MLLM_REAL(mllm_pass_logits)
#define mllm_pass_bytes MLLM_REAL(mllm_pass_bytes)

/* Which activations stay from the forward to the backward pass. Results do not depend on it. */
typedef enum {
    MLLM_KEEP_ALL,
    MLLM_KEEP_INPUTS, /* the input of each step; the backward pass computes a step anew (Chen et al. 2016): a third more work */
    MLLM_KEEP_NOTHING /* forward only */
} mllm_pass_keep;

typedef struct {
    const mllm_blueprint *blueprint;
    const mllm_layout *layout;
    const mllm_adapters *adapters; /* NULL: all parameters are trained; else only the adapters */
    size_t tokens, longest; /* packs of up to `tokens` tokens, rows of up to `longest` */
    mllm_pass_keep keep;
    bool bf16; /* products in bfloat16 */
} mllm_pass_shape;

/* What is pointed to must outlive the pass. */
mllm_pass *mllm_pass_new(const mllm_pass_shape *shape, mllm_error *err);
void mllm_pass_free(mllm_pass *p);
/* What a pass of this shape takes. */
size_t mllm_pass_bytes(const mllm_pass_shape *shape);

typedef struct {
    const mllm_real *params; /* as `layout` says */
    const mllm_real *adapters; /* as `adapters` says; NULL without */
} mllm_weights;

/* A teacher (distillation: Hinton, Vinyals, Dean 2015, arXiv 1503.02531). With z the logits of the model, y the teacher's and T the
 * temperature, the loss of a position becomes
 *   (1 - mix) cross-entropy(softmax(z), target) + mix T^2 KL(softmax(y / T) || softmax(z / T)). */
typedef struct {
    mllm_pass *pass; /* of the teacher's shape: the same vocabulary, as many tokens; MLLM_KEEP_NOTHING is enough */
    mllm_weights weights;
    mllm_real temperature, mix;
} mllm_teaching;

/* Runs the pack and adds to *result. With `gradients` (NULL: none) also adds scale * d(sum of weighted losses)/d(what is trained), in the
 * layout of the parameters or, with adapters, of these. `teaching` may be NULL. */
void mllm_pass_run(mllm_pass *p, const mllm_weights *weights, mllm_real *gradients, const mllm_pack *pack,
                   mllm_real scale, const mllm_teaching *teaching, mllm_pass_result *result);
/* Logits [vocabulary] at position `at` of a pack, forward only, always with products in float. */
void mllm_pass_logits(mllm_pass *p, const mllm_weights *weights, const mllm_pack *pack, size_t at, mllm_real *logits);

/* --- between pass.c and attention.c --- */

enum { MLLM_ATTENTION_TILE = 64 };

/* Causal attention within each row of the pack, head by head, in tiles of queries (the probabilities are recomputed in the
 * backward pass, so that memory stays linear: Dao et al. 2022). qkv[tokens, (heads + 2 kv_heads) * head_size], rotated.
 * out[tokens, heads * head_size]; lse[heads, tokens] = log of each softmax's denominator. scratch: 2 * TILE * longest. */
typedef struct {
    const mllm_kernels *kernels;
    const mllm_products *products;
    const mllm_pack *pack;
    size_t heads, kv_heads, head_size, window;
    mllm_real *scratch;
    size_t longest;
} mllm_attention;
#define mllm_attention_forward MLLM_REAL(mllm_attention_forward)
#define mllm_attention_backward MLLM_REAL(mllm_attention_backward)
void mllm_attention_forward(const mllm_attention *a, const mllm_real *qkv, mllm_real *out, mllm_real *lse);
/* dqkv is overwritten. */
void mllm_attention_backward(const mllm_attention *a, const mllm_real *qkv, const mllm_real *out, const mllm_real *lse,
                             const mllm_real *dout, mllm_real *dqkv);

#endif
