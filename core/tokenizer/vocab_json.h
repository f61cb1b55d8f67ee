/* vocab_json.h - what the readers and writers of Hugging Face files share. */
#ifndef MLLM_TOKENIZER_VOCAB_JSON_H
#define MLLM_TOKENIZER_VOCAB_JSON_H

#include "vocab_source.h"

/* The patterns as they stand in tokenizer.json. */
#define MLLM_PATTERN_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define MLLM_PATTERN_LLAMA3                                                                                            \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "                                         \
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define MLLM_PATTERN_QWEN2                                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "                                              \
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef struct {
    const char *content; /* not terminated; belongs to the file's text */
    uint32_t length;
    mllm_token id;
    bool special;
    uint8_t flags; /* MLLM_ADDED_* */
} mllm_added_token;

/* What the files beside the vocabulary say about it. */
typedef struct {
    mllm_added_token *added;
    size_t added_count;
    const char *bos, *eos; /* spellings; NULL: not said */
    uint32_t bos_length, eos_length;
    mllm_token bos_id, eos_id; /* -1: not said; spellings go first */
    int add_bos, add_eos; /* 0, 1; -1: not said */
    const mllm_token *ends;
    size_t end_count;
} mllm_vocab_extras;
#define MLLM_NO_EXTRAS                                                                                                 \
    { .bos_id = -1, .eos_id = -1, .add_bos = -1, .add_eos = -1 }

/* Id of the piece with this spelling, by looking at all of them; -1: none, or no spelling. */
mllm_token mllm_vocab_source_find(const mllm_vocab_source *s, const char *spelling, uint32_t length);

mllm_vocab *mllm_vocab_from_spm_with(const char *data, size_t length, const char *path, const mllm_vocab_extras *extras,
                                     mllm_error *err);
mllm_vocab *mllm_vocab_from_json_with(const char *text, size_t length, const char *path,
                                      const mllm_vocab_extras *extras, mllm_error *err);

#endif
