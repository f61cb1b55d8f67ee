/* tokenizer.h - text to token ids and back. Part of the border: mobilellm.h includes it.
 *
 * Two families: SentencePiece BPE with byte fallback (Llama 2, MobileLLM) and byte-level BPE (GPT-2, Llama 3, Qwen 2,
 * SmolLM2). Both give exactly the ids of the library that trained the vocabulary. */
#ifndef MLLM_TOKENIZER_TOKENIZER_H
#define MLLM_TOKENIZER_TOKENIZER_H

#ifndef MOBILELLM_H
#error "include mobilellm.h"
#endif

/* Vocabularies are immutable and reference-counted; any number of threads may share one. A model holds its own; one that was trained
 * or opened alone is the caller's. */
MLLM_API mllm_vocab *mllm_vocab_retain(mllm_vocab *vocab);
MLLM_API void mllm_vocab_free(mllm_vocab *vocab); /* drops one reference; NULL is harmless */
/* A vocabulary alone: a GGUF file, a tokenizer.json, a tokenizer.model, or a folder that holds one of the latter two. */
MLLM_API mllm_vocab *mllm_vocab_open(const char *path, mllm_error *err);

enum {
    MLLM_TOKENIZE_BOS = 1, /* put the begin token first, if the vocabulary has one */
    MLLM_TOKENIZE_SPECIAL =
        2, /* spellings of control tokens in the text become those tokens; otherwise they are text */
    MLLM_TOKENIZE_EOS = 4,
    MLLM_TOKENIZE_NO_PREFIX = 8 /* SentencePiece: no dummy space in front (a continuation, not a beginning) */
};

/* Ids of text[length] (any bytes; what is not UTF-8 goes through byte tokens). Writes at most `capacity` ids and returns how many the
 * text has: call again with more room when that is larger. SIZE_MAX: out of memory, or a text of more than 1 GiB. */
MLLM_API size_t mllm_tokenize(const mllm_vocab *vocab, const char *text, size_t length, unsigned flags, mllm_token *out,
                              size_t capacity);

/* The same for a text of which somebody typed a part: typed[length] is 1 for each byte of that part and 0 elsewhere (NULL: nothing was
 * typed). A spelling of a control token with a typed byte in it stays text, also with MLLM_TOKENIZE_SPECIAL. */
MLLM_API size_t mllm_tokenize_typed(const mllm_vocab *vocab, const char *text, size_t length, const char *typed,
                                    unsigned flags, mllm_token *out, size_t capacity);

/* Text of ids[count], NUL-terminated at out[result] if there is room. Like SentencePiece, the first piece loses its dummy space unless
 * MLLM_TOKENIZE_NO_PREFIX is set. Control tokens give nothing unless MLLM_TOKENIZE_SPECIAL is set. Same size protocol as above; an id
 * outside the vocabulary gives nothing. */
MLLM_API size_t mllm_detokenize(const mllm_vocab *vocab, const mllm_token *ids, size_t count, unsigned flags, char *out,
                                size_t capacity);

typedef enum {
    MLLM_TOKEN_NORMAL,
    MLLM_TOKEN_UNKNOWN,
    MLLM_TOKEN_CONTROL,
    MLLM_TOKEN_USER,
    MLLM_TOKEN_UNUSED,
    MLLM_TOKEN_BYTE
} mllm_token_kind;

MLLM_API int mllm_vocab_size(const mllm_vocab *vocab);
/* The bytes a token stands for in running text (space instead of U+2581, a byte token's byte, byte-level decoded); of a control token its
 * spelling. Not terminated; valid as long as the vocabulary. NULL for an id outside. */
MLLM_API const char *mllm_vocab_bytes(const mllm_vocab *vocab, mllm_token id, size_t *length);
MLLM_API mllm_token_kind mllm_vocab_kind(const mllm_vocab *vocab, mllm_token id);
/* Id of a piece by its spelling in the vocabulary file, -1 when there is none. */
MLLM_API mllm_token mllm_vocab_find(const mllm_vocab *vocab, const char *piece, size_t length);
MLLM_API mllm_token mllm_vocab_bos(const mllm_vocab *vocab); /* -1: none */
MLLM_API mllm_token mllm_vocab_eos(const mllm_vocab *vocab);
/* True for every token that ends a generation (end of text, end of turn). */
MLLM_API bool mllm_vocab_is_end(const mllm_vocab *vocab, mllm_token id);
MLLM_API bool mllm_vocab_adds_bos(const mllm_vocab *vocab); /* the vocabulary's own wish */

/* Bytes that one mllm_detokenizer_push can give at most. */
MLLM_API size_t mllm_vocab_longest(const mllm_vocab *vocab);
/* Writes a byte-level vocabulary as a tokenizer.json that the `tokenizers` library loads with the same ids. SentencePiece ones:
 * MLLM_E_UNSUPPORTED. */
MLLM_API mllm_code mllm_vocab_save(const mllm_vocab *vocab, const char *path, mllm_error *err);

/* Streaming: pieces come out as whole UTF-8 characters. A small value, no cleanup. */
typedef struct {
    const mllm_vocab *vocab;
    unsigned flags;
    bool started;
    unsigned char held[4]; /* an unfinished character */
    unsigned held_count;
} mllm_detokenizer;
MLLM_API void mllm_detokenizer_init(mllm_detokenizer *d, const mllm_vocab *vocab, unsigned flags);
/* Text that became certain with `id`, into out[capacity]; returns its length. When that is larger than `capacity` nothing was written and
 * nothing changed: call again with more room (mllm_vocab_longest is always enough). Bytes that can never become UTF-8 come out as U+FFFD.
 * id = -1 flushes what is held. */
MLLM_API size_t mllm_detokenizer_push(mllm_detokenizer *d, mllm_token id, char *out, size_t capacity);

#endif
