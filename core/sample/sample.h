/* sample.h - from logits to a token. Part of the border: mobilellm.h includes it.
 *
 * A sampler is a chain of stages in the order in which they were added, a history of tokens, and a random number generator. It is used
 * by one thread at a time. Everything it computes is the same on every compiler and processor: its exponentials are its own.
 *
 * Masked tokens are those whose logit is -INFINITY. No stage brings one back, and none is ever drawn. */
#ifndef MLLM_SAMPLE_SAMPLE_H
#define MLLM_SAMPLE_SAMPLE_H

#ifndef MOBILELLM_H
#error "include mobilellm.h"
#endif

typedef struct mllm_sampler mllm_sampler;

/* A stage's parameter. `name` NULL stands for the stage's first. Which of the other fields counts is the parameter's own
 * affair (see mllm_sampler_add). Everything is copied. */
typedef struct {
    const char *name;
    double number;
    const mllm_token *tokens; /* [count], a list of tokens */
    const float *values; /* [count], beside `tokens` (logit_bias) */
    const char *const *strings; /* [count], terminated */
    size_t count;
    char kind; /* 'n': number, 't': tokens, 'v': tokens with values, 's': strings */
} mllm_sampler_param;

/* One reference. A sampler without stages draws from softmax(logits). */
MLLM_API mllm_sampler *mllm_sampler_new(uint64_t seed, mllm_error *err);
MLLM_API mllm_sampler *mllm_sampler_retain(mllm_sampler *sampler);
MLLM_API void mllm_sampler_release(mllm_sampler *sampler);
/* A copy in the same state: history, random numbers, mirostat. Functions are shared. */
MLLM_API mllm_sampler *mllm_sampler_fork(const mllm_sampler *sampler, mllm_error *err);
/* Forgets the history and starts the random numbers again from `seed`; mllm_sampler_seed tells the one in use. */
MLLM_API void mllm_sampler_reset(mllm_sampler *sampler, uint64_t seed);
MLLM_API uint64_t mllm_sampler_seed(const mllm_sampler *sampler);

/* Appends a stage. MLLM_E_ARGUMENT names an unknown stage or parameter, or a value outside its range. p is softmax over the tokens that
 * are left when the stage's turn comes. The first parameter of each is the positional one.
 *
 *   temperature        t = 1, range = 0, exponent = 1. logits / t; 0 keeps the best token only. With a range, dynamic temperature
 *                      (kalomaze's "entropy sampling"): t - range + 2 range (H(p) / ln n)^exponent, for n tokens left
 *   greedy             keeps the best token only (of equals the smallest id)
 *   top_k              k = 40; 0: off (Fan et al. 2018, "Hierarchical Neural Story Generation")
 *   top_p              p = 0.95, min_keep = 1: the smallest set of best tokens whose mass is at least p; 1: off (Holtzman et al. 2019, "The Curious
 *                      Case of Neural Text Degeneration")
 *   min_p              p = 0.05, min_keep = 1: tokens with at least p times the best one's probability (Nguyen et al. 2024, "Turning Up the Heat")
 *   typical            p = 0.95, min_keep = 1: the smallest set of mass p of tokens whose surprise is nearest to the entropy
 *                      (Meister et al. 2022, "Locally Typical Sampling")
 *   top_n_sigma        n = 1: logits of at least max - n * their standard deviation; below 0: off (Tang et al. 2024, "Top-nσ: Not All Logits Are You Need")
 *   xtc                probability = 0.5, threshold = 0.1, min_keep = 1: with that probability, of the tokens that reach the threshold only the
 *                      least likely stays (p-e-w 2024, "Exclude Top Choices")
 *   mirostat           tau = 5, eta = 0.1, version = 2, m = 100: keeps the surprise of what is drawn near tau bits (Basu et al. 2020,
 *                      "Mirostat"; version 1: top-k by a Zipf exponent estimated from the m best; version 2: by surprise alone).
 *                      It draws: stages behind it see one token
 *   penalties          repeat_penalty = 1, frequency_penalty = 0, presence_penalty = 0, last_n = 64 (-1: all, 0: none). repeat: a positive logit
 *                      is divided, others multiplied (Keskar et al. 2019, "CTRL"); frequency, presence: count * f and p are taken off (OpenAI's API)
 *   dry                multiplier = 0.8, base = 1.75, allowed_length = 2, last_n = -1, breakers (strings or tokens): what would go on a repetition of n >=
 *                      allowed_length tokens loses multiplier * base^(n - allowed_length) (p-e-w 2024, "DRY: Don't Repeat Yourself").
 *                      Breakers end a repetition: "\n" ":" "\"" "*" unless given; strings need mllm_sampler_set_vocab
 *   logit_bias         tokens with values: added to the logit; -INFINITY bans
 *   ban                tokens that are never drawn
 *   no_repeat_ngram    n = 3, last_n = -1: no n tokens in a row occur twice (Paulus et al. 2017, "A Deep Reinforced Model for Abstractive
 *                      Summarization"). Does nothing when it would leave no token
 *   min_length         n, ends (tokens; unless given, those of mllm_sampler_set_vocab): no end token among the first n accepted tokens. Does
 *                      nothing when only end tokens are left */
MLLM_API mllm_code mllm_sampler_add(mllm_sampler *sampler, const char *stage, const mllm_sampler_param *params,
                                    size_t count, mllm_error *err);

/* The kind of a stage's parameter (NULL: the first): as in mllm_sampler_param, or 'i' for an integral number. An 's' takes
 * tokens, too. 0: there is none. */
MLLM_API char mllm_sampler_kind(const char *stage, const char *param);

/* What a script's stage works on. It may change logits (-INFINITY masks), not count or ids. Valid during the call. */
typedef struct {
    const mllm_sampler *sampler;
    const mllm_token *ids; /* [count], ascending: the token of each logit; NULL: logits[i] is that of token i */
    float *logits; /* [count] */
    size_t count;
    size_t size; /* of the vocabulary, as far as is known: above every id */
    const mllm_token *history; /* [history_count], the oldest first */
    size_t history_count;
    uint64_t history_dropped; /* tokens forgotten in front of history[0] */
    uint64_t
        history_resets; /* how often the history began anew; while it and `dropped` stay, tokens are only appended */
} mllm_sampler_view;

/* Any code but MLLM_OK ends the sampling with that code. It must not use the sampler that called it. */
typedef mllm_code (*mllm_sampler_fn)(void *ctx, mllm_sampler_view *view, mllm_error *err);
/* Appends a function of the host. `release(ctx)` (may be NULL) runs once when the last sampler that holds it goes; also when this
 * call fails. */
MLLM_API mllm_code mllm_sampler_add_function(mllm_sampler *sampler, mllm_sampler_fn fn, void *ctx,
                                             void (*release)(void *ctx), mllm_error *err);
/* True when it has such a function: it then runs only where the host says so, and sees dense logits only if it is given them. */
MLLM_API bool mllm_sampler_needs_script(const mllm_sampler *sampler);

/* Tells the chain its vocabulary: end tokens for min_length, tokens that hold a breaker's bytes for dry. Again for another model. */
MLLM_API mllm_code mllm_sampler_set_vocab(mllm_sampler *sampler, const mllm_vocab *vocab, mllm_error *err);

/* Draws a token: a number under n, or -1 with MLLM_E_FORMAT (a logit is NaN or +INFINITY), MLLM_E_GRAMMAR (no token is left),
 * MLLM_E_MEMORY or a function's own code. logits[n] is not changed. Accepts nothing: the same call again draws again. */
MLLM_API mllm_token mllm_sampler_sample(mllm_sampler *sampler, const float *logits, size_t n, mllm_error *err);
/* The same for a short list: logits[count] of ids[count], all other tokens masked; draws the same token as the dense array would.
 * MLLM_E_ARGUMENT when an id stands twice. */
MLLM_API mllm_token mllm_sampler_sample_of(mllm_sampler *sampler, const mllm_token *ids, const float *logits,
                                           size_t count, mllm_error *err);

/* Appends to the history that the penalties look at. `accept` is for a token of the output (min_length counts it, mirostat learns when it is the
 * one drawn last), `prompt` for tokens that stood before. A failed allocation is reported by the next sample. The
 * history is bounded (2^20 tokens; the older half goes). */
MLLM_API void mllm_sampler_accept(mllm_sampler *sampler, mllm_token token);
MLLM_API void mllm_sampler_prompt(mllm_sampler *sampler, const mllm_token *tokens, size_t count);
/* [*count], the oldest first; valid until the next accept, prompt or reset. */
MLLM_API const mllm_token *mllm_sampler_history(const mllm_sampler *sampler, size_t *count);

/* ------------------------------------------------------------------ logits */

/* One of the best tokens. */
typedef struct {
    mllm_token id;
    float logit;
    double logprob; /* natural, over the whole array */
} mllm_candidate;

/* These take logits[n] as they are: masked ones count as probability 0, NaN as masked. Sums are good to six digits. */
MLLM_API mllm_token mllm_logits_argmax(const float *logits, size_t n); /* -1: all masked. Of equals the smallest id */
MLLM_API double mllm_logits_logsumexp(const float *logits, size_t n); /* -INFINITY: all masked */
MLLM_API double mllm_logits_entropy(const float *logits, size_t n); /* nats; 0 when all are masked */
/* The min(k, tokens not masked) best into out, best first, of equals the smaller id; returns how many. SIZE_MAX: out of memory. */
MLLM_API size_t mllm_logits_topk(const float *logits, size_t n, size_t k, mllm_candidate *out);
/* The share of the probability that tokens outside the mask (bit id of its words) have; ids[n] NULL: logits[i] is of token i. */
MLLM_API double mllm_logits_removed(const float *logits, const mllm_token *ids, size_t n, const uint64_t *mask);
/* Probabilities [n] into out, which may be `logits`. False when all are masked. */
MLLM_API bool mllm_logits_softmax(const float *logits, size_t n, float *out);

/* Classifier-free guidance (Sanchez et al. 2023, "Stay on topic with Classifier-Free Guidance"): logits = other + scale * (logits - other), both as
 * log-probabilities. `other[n]` comes from a session without the part of the prompt to be stressed. 1 changes nothing but the offset.
 * What is masked in `logits` stays masked; a token masked only in `other` keeps its own log-probability. */
MLLM_API void mllm_logits_guide(float *logits, const float *other, size_t n, double scale);
/* Contrastive decoding (Li et al. 2022; in the form of O'Brien and Lewis 2023, "Contrastive Decoding Improves Reasoning in Large
 * Language Models"): logits = (1 + beta) logits - beta * other where p(logits) is at least alpha times its best one; others are masked. `other[n]` comes
 * from a weaker model with the same vocabulary. */
MLLM_API void mllm_logits_contrast(float *logits, const float *other, size_t n, double alpha, double beta);

#endif
