/* bpe_train.h - a byte-level BPE vocabulary from texts. Part of the border: mobilellm.h includes it.
 *
 * Source: Sennrich, Haddow, Birch, "Neural Machine Translation of Rare Words with Subword Units" (2016), over bytes as in GPT-2. */
#ifndef MLLM_TOKENIZER_BPE_TRAIN_H
#define MLLM_TOKENIZER_BPE_TRAIN_H

#ifndef MOBILELLM_H
#error "include mobilellm.h"
#endif

/* Delivers the next text (any bytes, valid until the next call); false at the end. */
typedef bool (*mllm_text_fn)(void *ctx, const char **text, size_t *length);

typedef struct {
    size_t size; /* tokens of the vocabulary: special ones, 256 bytes, merges. At least 256 + special_count */
    const char *const
        *special; /* [special_count] spellings, terminated; they get the ids 0, 1, ... and are control tokens */
    size_t special_count;
    const char *pre; /* "smollm" (NULL means it), "gpt-2", "llama-bpe", "qwen2" */
    const char *bos, *eos; /* one of the special ones; NULL: none, or the first with a well-known spelling of an end */
    size_t min_count; /* pairs seen less often are not merged; 0: 2 */
} mllm_bpe_train_options;

/* Reads all texts once and merges the most frequent pair until the size is reached or no pair is left (the vocabulary is then
 * smaller). Ties go to the pair with the lower ids, so that equal texts give equal vocabularies. A special spelling inside a text
 * separates and is not learned from. The ids of bytes and merges follow the order of GPT-2. */
MLLM_API mllm_vocab *mllm_bpe_train(mllm_text_fn next, void *ctx, const mllm_bpe_train_options *options,
                                    mllm_error *err);

#endif
