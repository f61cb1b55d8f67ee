/* stages.h - what a chain is made of, for the files of this directory. */
#ifndef MLLM_SAMPLE_STAGES_H
#define MLLM_SAMPLE_STAGES_H

#include "../base/random.h"
#include "../mobilellm.h"

#include <string.h>

enum { MLLM_STAGE_PARAMS = 5 };

typedef struct mllm_stage mllm_stage;

/* The tokens still in the running, ascending by id; stages change logits and drop entries, and never reorder. */
typedef struct {
    float *logits; /* [count] */
    mllm_token *ids; /* [count]; not filled while `dense` */
    size_t count;
    bool dense; /* ids[i] is i */
    uint32_t *keys; /* [count] scratch of a stage, as the next */
    float *weights;
} mllm_running;

typedef struct {
    const char *name;
    char kind; /* as in mllm_sampler_param; 'i': an integral number */
    double standard, low, high;
} mllm_stage_param;

typedef struct {
    const char *name;
    mllm_stage_param params[MLLM_STAGE_PARAMS]; /* the first is the positional one; a NULL name ends them */
    mllm_code (*apply)(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err);
    const char *const *strings; /* what its 's' parameter is unless given, NULL-terminated */
    bool ends; /* its tokens are the vocabulary's end tokens unless given */
    bool required; /* its first parameter has no default */
} mllm_stage_type;

extern const mllm_stage_type mllm_stage_types[]; /* ended by a NULL name */
extern const mllm_stage_type mllm_stage_function;

/* A host's function, shared by forks. */
typedef struct {
    int references;
    mllm_sampler_fn fn;
    void *ctx;
    void (*release)(void *ctx);
} mllm_stage_host;

struct mllm_stage {
    const mllm_stage_type *type;
    int place; /* 1-based, for messages */
    double p[MLLM_STAGE_PARAMS]; /* numbers, by the parameter's index */
    mllm_token *tokens; /* [token_count] ascending, owned */
    float *values; /* [token_count] or NULL, owned */
    size_t token_count;
    bool tokens_given; /* by the caller, not by a vocabulary */
    bool vocab_missing; /* named strings wait for mllm_sampler_set_vocab */
    char **strings; /* [string_count], owned */
    size_t string_count;
    mllm_stage_host *host;
    double mu, next_mu; /* mirostat: the surprise that is allowed now, and once the drawn token is accepted; bits */
};

struct mllm_sampler {
    int references; /* atomic */
    bool busy; /* inside a host's function */
    uint64_t seed;
    mllm_random random;
    mllm_stage *stages; /* [stage_count] */
    size_t stage_count;

    mllm_token *history; /* [history_count], oldest first */
    size_t history_count, history_capacity;
    uint64_t history_dropped, history_resets;
    size_t output_count; /* accepted tokens since the start */
    bool starved; /* the history lost a token to a failed allocation */

    mllm_running set; /* buffers of `capacity` */
    size_t size; /* of the array that is being sampled */
    size_t capacity;
    uint32_t *scratch; /* [scratch_capacity], of the stages that compare the history with itself */
    size_t scratch_capacity;
    mllm_token drawn; /* last; -1 when it was accepted or there is none */
};

static inline mllm_token mllm_running_id(const mllm_running *set, size_t i) {
    return set->dense ? (mllm_token)i : set->ids[i];
}

/* Drops the entries whose logit is -INFINITY. */
void mllm_running_compact(mllm_running *set);
/* Index of a token drawn from softmax(logits); fills weights. */
size_t mllm_running_draw(mllm_running *set, mllm_random *random);
/* Where a stage with state begins. */
void mllm_stage_reset(mllm_stage *stage);

#endif
