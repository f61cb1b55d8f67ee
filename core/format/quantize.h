/* quantize.h - fewer bits with less loss, and what the loss is. Part of the border: mobilellm.h includes it. */
#ifndef MLLM_FORMAT_QUANTIZE_H
#define MLLM_FORMAT_QUANTIZE_H

#ifndef MOBILELLM_H
#error "include mobilellm.h"
#endif

/* ------------------------------------------------------------- perplexity */

typedef struct {
    double logprob; /* sum of the natural log-probabilities of the tokens that were predicted */
    double perplexity; /* exp(-logprob / tokens) */
    size_t tokens, windows;
} mllm_perplexity_result;

/* How well a model predicts a text, with the context and the cache of `session`, whose tokens are forgotten.
 *
 * The text goes through in windows. A window is `bos` (none where it is -1) and then n tokens of the text, which together fill the session's
 * context; the next one begins n / 2 further, the last one is moved back so that it is full. A token is counted in the first
 * window that has it, so that all but those of the first window have at least n / 2 tokens of text before them. Without bos the
 * text's first token is not predicted. Fails with MLLM_E_ARGUMENT when there is no token to predict, or when n < 2. */
MLLM_API mllm_code mllm_perplexity(mllm_session *session, const mllm_token *tokens, size_t count, mllm_token bos,
                                   mllm_perplexity_result *out, mllm_error *err);

/* --------------------------------------------------------------- quantize */

/* How strongly each column of each matrix is used: the mean square of the activations that it is multiplied with. Immutable. */
typedef struct mllm_importance mllm_importance;

/* Runs a text through the model, in the windows of mllm_perplexity, and looks at the inputs of its products. */
MLLM_API mllm_importance *mllm_importance_gather(mllm_session *session, const mllm_token *tokens, size_t count,
                                                 mllm_token bos, mllm_error *err);
MLLM_API void mllm_importance_free(mllm_importance *importance); /* NULL is harmless */

typedef struct {
    const char *type; /* of the matrices: "q8_0", "q4_0". NULL: "q8_0" */
    const char *embedding; /* of the input and output embedding: "q8_0", "q4_0", "f16". NULL: as type */
    bool search; /* q4_0: each block's scale is the one with the least squared error (mllm_quantize_row_search) */
    const mllm_importance
        *importance; /* q4_0: and errors count as much as their column is used; implies search. May be NULL */
    bool packed; /* as mllm_convert_packed */
} mllm_quantize_options;

/* Writes the model at `from` as the GGUF file `to` with fewer bits; otherwise as mllm_convert. What has the type already is copied to the bit:
 * a search begins with weights that are not of 4 bits yet. `importance` must come from a model of the same shape (MLLM_E_ARGUMENT). */
MLLM_API mllm_code mllm_quantize(const char *from, const char *to, const mllm_quantize_options *options,
                                 mllm_error *err);

#endif
