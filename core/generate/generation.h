/* generation.h - one running generation: a session driven by a sampler, maybe under a grammar. Part of the border: mobilellm.h
 * includes it.
 *
 * It advances in units of work (a slice of the prompt, or one token), either by mllm_generation_step on the caller's thread or by a
 * thread of its own. Text comes out as whole UTF-8 characters and never holds a piece of a stop string that may still complete. */
#ifndef MLLM_GENERATE_GENERATION_H
#define MLLM_GENERATE_GENERATION_H

#ifndef MOBILELLM_H
#error "include mobilellm.h"
#endif

typedef struct mllm_generation mllm_generation;

typedef struct {
    const char *bytes;
    size_t length;
} mllm_span;

/* What the output must satisfy, token by token; a grammar's matcher is one (mllm_constraint_matcher). */
typedef struct {
    void *ctx;
    /* Which tokens may come next: bit id of mask[(vocabulary + 63) / 64], zeroed before. End tokens where the output may end. With
     * `budget` > 0, if there is a way, only those after which it can still end within so many tokens. Nothing allowed:
     * MLLM_E_GRAMMAR. */
    mllm_code (*mask)(void *ctx, uint64_t *mask, uint32_t budget, mllm_error *err);
    /* The token, which the mask allows, is taken; `budget` is that of the mask. MLLM_E_GRAMMAR: nothing leads on behind it; the next mask
     * at this place is without it. */
    mllm_code (*accept)(void *ctx, mllm_token token, uint32_t budget, mllm_error *err);
    /* Tokens that must come next, at most `capacity`; how many. NULL: it does not know. */
    size_t (*forced)(void *ctx, mllm_token *out, size_t capacity);
    /* The output may end here. */
    bool (*complete)(void *ctx);
    /* May be NULL. Called once, also when mllm_generation_new fails. */
    void (*release)(void *ctx);
} mllm_constraint;

/* What a generation runs with. Everything is copied or retained except the session, which must outlive it and is its alone until it
 * has settled. */
typedef struct {
    const mllm_token *prompt; /* [prompt_count]: appended to what the session holds */
    size_t prompt_count;
    size_t max_tokens; /* most tokens to generate; SIZE_MAX: until the context is full */
    const mllm_span *stops; /* [stop_count]: text at which it ends; the text before it is the last that comes out */
    size_t stop_count;
    mllm_sampler *sampler; /* NULL: the best token each time. Retained; nobody else may use it meanwhile */
    const mllm_constraint *constraint; /* NULL: none. Copied; its mask comes before any stage of the sampler */
    uint32_t
        lookup; /* tokens drafted at most from earlier occurrences of the last ones; 0: none. The output is the same */
    /* The output begins with so many bytes that the prompt's text had: they are no part of the text that comes out. `healing`: the
     * constraint is for them only and ends with them. */
    size_t healed;
    bool healing;
    bool weigh; /* the probability that the constraint's masks take away is measured: all logits of every step */
    bool ignore_end; /* end tokens are ordinary ones */
    bool show_special; /* control tokens are spelled in the text, where stop strings find them */
    bool feed_last; /* the session holds the last token too when it is over (not an end token) */
} mllm_generation_options;

enum { MLLM_MAX_STOPS = 64, MLLM_MAX_STOP_BYTES = 4096 };

MLLM_API mllm_generation *mllm_generation_new(mllm_session *session, const mllm_generation_options *options,
                                              mllm_error *err);
/* Ends its thread first, if it has one. */
MLLM_API void mllm_generation_release(mllm_generation *g);

typedef enum {
    MLLM_STOP_NONE, /* still running */
    MLLM_STOP_END, /* "end": the model ended it, or its grammar is complete */
    MLLM_STOP_LENGTH, /* "length": max_tokens */
    MLLM_STOP_TEXT, /* "stop": a stop string */
    MLLM_STOP_CONTEXT, /* "context": the session is full */
    MLLM_STOP_CANCELLED, /* "cancelled" */
    MLLM_STOP_ERROR /* "error": see mllm_generation_error */
} mllm_stop;
/* The name in quotes above; "running" for MLLM_STOP_NONE. Static. */
MLLM_API const char *mllm_stop_name(mllm_stop stop);

/* Works on this thread: until the end when budget_ms is negative, one small unit when it is 0, otherwise small units until that time
 * has passed. Returns an error only for the step that ran into it. Not to be called once a thread was started (MLLM_E_ARGUMENT). */
MLLM_API mllm_code mllm_generation_step(mllm_generation *g, double budget_ms, mllm_error *err);

/* One unit, the largest there is: a token, or as much of the prompt as runs well at once. */
MLLM_API mllm_code mllm_generation_advance(mllm_generation *g, mllm_error *err);

/* The functions below may be called from any one other thread while the generation's own thread runs. */

/* Starts the thread that runs it to its end. Sampler stages of the host run on that thread: see mllm_sampler_needs_script. */
MLLM_API mllm_code mllm_generation_start(mllm_generation *g, mllm_error *err);
MLLM_API bool mllm_generation_started(const mllm_generation *g);
/* It ends after the unit it is at. */
MLLM_API void mllm_generation_cancel(mllm_generation *g);
/* MLLM_STOP_NONE while it runs. */
MLLM_API mllm_stop mllm_generation_state(mllm_generation *g);
/* The error of MLLM_STOP_ERROR. */
MLLM_API mllm_error mllm_generation_error(mllm_generation *g);
/* True when it will not touch its session again. */
MLLM_API bool mllm_generation_settled(mllm_generation *g);
/* Cancels and waits until it has settled. */
MLLM_API void mllm_generation_settle(mllm_generation *g);

/* Takes at most `capacity` bytes of the text that is ready; whole characters when capacity >= 4. Returns how many. */
MLLM_API size_t mllm_generation_read(mllm_generation *g, char *out, size_t capacity);
/* Bytes that are ready. */
MLLM_API size_t mllm_generation_ready(mllm_generation *g);
/* Takes at most `capacity` of the ids generated since the last call. */
MLLM_API size_t mllm_generation_read_tokens(mllm_generation *g, mllm_token *out, size_t capacity);
/* Waits until text is ready or it is over, at most `ms` milliseconds (negative: without limit). False: the time has passed. */
MLLM_API bool mllm_generation_wait(mllm_generation *g, double ms);
/* A file descriptor that polls readable while text is ready or it is over; -1 with an error. Owned by the generation. */
MLLM_API int mllm_generation_pollfd(mllm_generation *g, mllm_error *err);

typedef struct {
    size_t prompt_tokens, tokens; /* fed from the prompt; generated (the end token not counted) */
    size_t forced; /* of those, taken without a draw because the constraint left no choice */
    size_t drafted, accepted; /* tokens that lookup guessed; of those, generated */
    double removed; /* with `weigh`: probability that masks took away, summed over `weighed` steps (the end's too) */
    size_t weighed;
    double prefill_seconds, decode_seconds;
    mllm_stop stop;
} mllm_generation_stats;
MLLM_API mllm_generation_stats mllm_generation_get_stats(mllm_generation *g);
/* With `weigh`: what the mask of each generated token took away, from the first on; below 0 where no logits were needed. At most `capacity`;
 * returns how many there are. */
MLLM_API size_t mllm_generation_removed(mllm_generation *g, float *out, size_t capacity);

#endif
