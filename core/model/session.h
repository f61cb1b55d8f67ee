/* session.h - inside of a session, shared by session.c (life and tokens), forward.c (arithmetic) and session_file.c. */
#ifndef MLLM_MODEL_SESSION_H
#define MLLM_MODEL_SESSION_H

#include "kv_cache.h"
#include "model.h"

enum { MLLM_SLICE = 256 }; /* most rows that run through the blocks together; bounds the scratch memory */

typedef struct {
    size_t rows; /* capacity of everything below, in rows */
    float *x; /* [rows, width] the residual stream */
    float *qkv; /* [rows, (heads + 2 kv_heads) * head_size]: q, then k, then v */
    float *attended; /* [rows, heads * head_size] */
    float *hidden; /* [rows, 2 * ffn_width]: gate, then up */
    float *cosine, *sine; /* [rows, rope_size / 2] */
    char *prepared; /* [max(rows, threads), prepared_stride] activations in the kernel's form */
    char *scratch; /* [threads, scratch_stride] */
    size_t prepared_stride, scratch_stride;
} mllm_workspace;

/* Sees the inputs of products as floats, on one thread, while a slice runs: rows x[i * ldx .. + cols) of the matrices that read them,
 * named by the first (Q for q, k and v; O; GATE for gate and up; DOWN; HEAD). Rows are those before rounding to the kernel's form. */
typedef struct {
    void (*see)(void *ctx, mllm_role role, uint32_t index, const float *x, size_t cols);
    void *ctx;
} mllm_watch;

struct mllm_session {
    mllm_model *model;
    int context;
    mllm_token *tokens; /* [capacity] */
    size_t count, capacity;
    mllm_kv_cache cache;
    mllm_workspace work;
    float *last; /* [width] output-normed row of the last position */
    bool has_last; /* false after a rewind */
    float *logits; /* [vocabulary], allocated on first use */
    bool has_logits;
    uint64_t epoch;
    mllm_watch watch; /* see = NULL: nobody looks */
};

/* Runs tokens[count] (count <= MLLM_SLICE) at positions session->count ..., whose cache rows are reserved, and leaves the residual
 * rows in work.x. Fails only for want of memory. Does not touch session->count. */
mllm_code mllm_forward(mllm_session *s, const mllm_token *tokens, size_t count, mllm_error *err);
/* out[width] = output norm of residual row `row`. */
void mllm_forward_norm(mllm_session *s, size_t row, float *out);
/* y[count, vocabulary] = head . normed[count, width]; y[k] = head[ids[k]] . normed[width]. Fail only for want of memory. */
mllm_code mllm_forward_head(mllm_session *s, const float *normed, size_t count, float *y, mllm_error *err);
mllm_code mllm_forward_head_rows(mllm_session *s, const float *normed, const mllm_token *ids, size_t count, float *y,
                                 mllm_error *err);
void mllm_workspace_free(mllm_workspace *w);

#endif
