/* vocab_source.h - where vocabularies come from: GGUF metadata, Hugging Face folders, a plain description; and where they
 * go. Inside core/ only; text and ids are the business of tokenizer.h. */
#ifndef MLLM_TOKENIZER_VOCAB_SOURCE_H
#define MLLM_TOKENIZER_VOCAB_SOURCE_H

#include "../mobilellm.h"
#include "../format/gguf.h"

typedef enum {
    MLLM_VOCAB_SPM, /* SentencePiece BPE: spaces are U+2581, characters without a piece become byte tokens */
    MLLM_VOCAB_BPE /* byte-level BPE: bytes are spelled by the 256 characters of GPT-2 */
} mllm_vocab_family;

/* How text is cut into words that no merge crosses. */
typedef enum {
    MLLM_PRE_NONE, /* not at all */
    MLLM_PRE_GPT2, /* contractions, letters, numbers, others, each with one leading space */
    MLLM_PRE_LLAMA3, /* numbers in threes, line ends kept with punctuation */
    MLLM_PRE_QWEN2, /* as Llama 3, each digit alone */
    MLLM_PRE_SMOLLM /* each digit alone, then GPT-2 */
} mllm_pretokenizer;

/* Flags of a token that is matched in the text before anything else (tokenizer.json's added_tokens). */
enum {
    MLLM_ADDED_LSTRIP = 1, /* swallows white space in front of it */
    MLLM_ADDED_RSTRIP = 2, /* ... and behind it */
    MLLM_ADDED_SINGLE_WORD = 4 /* only where no word character touches it */
};

typedef struct {
    const char *left, *right; /* spellings, not terminated */
    uint32_t left_length, right_length;
} mllm_merge_text;

/* A vocabulary in plain words. Everything is copied. */
typedef struct {
    const char *where; /* names the origin in error messages */
    mllm_vocab_family family;
    size_t count; /* tokens, at most MLLM_MAX_VOCABULARY */
    const char *const *pieces; /* [count] spellings, not terminated */
    const uint32_t *lengths; /* [count] bytes */
    const float *scores; /* [count] higher merges first; required for SPM without merges */
    const uint8_t *kinds; /* [count] mllm_token_kind; NULL: all normal */
    const uint8_t *added; /* [count] MLLM_ADDED_*; NULL: none */
    const mllm_merge_text *merges; /* [merge_count], the earlier the stronger */
    size_t merge_count;
    bool skip_unknown_merges; /* false: a merge of pieces that are not in the vocabulary is an error */
    mllm_pretokenizer pre;
    bool nfc; /* text is brought to normalization form C first */
    bool ignore_merges; /* a word that is a piece is that piece, whatever the merges say (Llama 3) */
    bool space_prefix; /* SPM: a dummy space at the beginning; byte-level: a space unless there is one */
    bool prefix_each; /* ... and also behind each control token that was found in the text */
    bool collapse_spaces; /* SPM: runs of spaces become one, outer ones vanish (remove_extra_whitespaces) */
    mllm_token bos, eos, unknown; /* -1: none */
    bool add_bos, add_eos;
    const mllm_token
        *ends; /* [end_count] further tokens that end a generation; well-known spellings are found without it */
    size_t end_count;
} mllm_vocab_source;

/* One reference to a new vocabulary; NULL with the reason. */
mllm_vocab *mllm_vocab_new(const mllm_vocab_source *source, mllm_error *err);

/* From the keys tokenizer.ggml.*; `path` names the file in messages. No tokenizer inside: NULL with err->code == MLLM_OK. */
mllm_vocab *mllm_vocab_from_gguf(const mllm_gguf *g, const char *path, mllm_error *err);

/* From a Hugging Face folder: tokenizer.json, else tokenizer.model; tokenizer_config.json, special_tokens_map.json and
 * generation_config.json fill in what those do not say. Neither there: NULL with err->code == MLLM_OK. */
mllm_vocab *mllm_vocab_from_folder(const char *dir, mllm_error *err);

/* From one file's bytes: a SentencePiece model (protobuf) or a tokenizer.json. */
mllm_vocab *mllm_vocab_from_spm(const char *data, size_t length, const char *path, mllm_error *err);
mllm_vocab *mllm_vocab_from_json(const char *text, size_t length, const char *path, mllm_error *err);

/* Writes the keys that llama.cpp reads: tokenizer.ggml.model, pre, tokens, scores, token_type, merges, special ids; and unused
 * tokens "[PADn]" up to `rows` (0: none), because llama.cpp wants a token for every row of the embedding. */
void mllm_vocab_put_gguf(const mllm_vocab *vocab, size_t rows, mllm_gguf_writer *w);

/* GGUF's and our own name of a pre-tokenizer ("gpt-2", "llama-bpe", "qwen2", "smollm"), and back; false for an unknown name. */
const char *mllm_pretokenizer_name(mllm_pretokenizer pre);
bool mllm_pretokenizer_by_name(const char *name, size_t length, mllm_pretokenizer *pre);

#endif
