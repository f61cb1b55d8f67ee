/* mobilellm.h - the only border of core/. A C program includes this file and nothing else.
 *
 * Ownership, in five lines:
 *   model       weights, vocabulary, blueprint. Immutable once loaded, reference-counted, shared by any number of threads.
 *   session     one timeline of tokens with its KV cache and logits. Used by one thread at a time. Holds its model.
 *   grammar     compiled and immutable, shared. matcher: one position in it, cheap to fork and to roll back.
 *   generation  a session being driven by a sampler and maybe a matcher; steps on the caller's thread or on its own.
 *   Liveness is a reference count; every _new/_load gives one reference, every _release drops one (NULL is harmless).
 *
 * Errors: a function that can fail takes `mllm_error *err` last (NULL when nobody wants the text) and returns NULL or a
 * code other than MLLM_OK. The message names the thing (file, tensor, key, token) and the place. Nothing here prints,
 * exits or aborts. Strings are UTF-8 with explicit byte lengths; sizes are bytes unless a name says otherwise. */
#ifndef MOBILELLM_H
#define MOBILELLM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MLLM_API __attribute__((visibility("default")))
#define MLLM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define MLLM_API
#define MLLM_PRINTF(f, a)
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define MLLM_VERSION "0.1.0"

/* Comments in columns. */
/* clang-format off */

/* ------------------------------------------------------------------ errors */

typedef enum {
    MLLM_OK = 0,
    MLLM_E_ARGUMENT,    /* "argument": the caller broke a rule of the interface */
    MLLM_E_IO,          /* "io": the operating system refused a file or a thread */
    MLLM_E_FORMAT,      /* "format": a file or a text is not what it says it is (corrupt, truncated, syntax) */
    MLLM_E_UNSUPPORTED, /* "unsupported": well formed, but not something this build can do */
    MLLM_E_MEMORY,      /* "memory": an allocation failed */
    MLLM_E_LIMIT,       /* "limit": a named bound was reached (depth, states, bytes) */
    MLLM_E_CONTEXT,     /* "context": the session is full */
    MLLM_E_TOKEN,       /* "token": a token id is outside the vocabulary */
    MLLM_E_GRAMMAR,     /* "grammar": the constraint cannot be satisfied */
    MLLM_E_CANCELLED    /* "cancelled" */
} mllm_code;

typedef struct {
    mllm_code code;
    char message[500]; /* always terminated, valid UTF-8 */
} mllm_error;

/* The code's name as Lua sees it ("io", "format", ...). Static. */
MLLM_API const char *mllm_code_name(mllm_code code);

/* ------------------------------------------------------------------ memory */

/* One hook for all memory of the engine: behaves like realloc(ptr, size), frees when size is 0. `ctx` is passed through.
 * Set it before anything else is called, never while objects are alive. NULL restores the C library's. */
typedef void *(*mllm_alloc_fn)(void *ctx, void *ptr, size_t size);
MLLM_API void mllm_set_allocator(mllm_alloc_fn fn, void *ctx);

/* ------------------------------------------------------------------- model */

typedef struct mllm_model mllm_model;

typedef struct {
    const char *kernel;   /* NULL or "auto": the best of this CPU; "reference": plain float arithmetic, the tests' truth;
                             "blas", "avx2", "avxvnni", "avx512", "amx", "neon", "i8mm" force one (an error elsewhere) */
    int threads;          /* 0: one per real core */
    bool vocabulary_only; /* tokens, no weights */
} mllm_load_options;

/* Opens a GGUF file or a Hugging Face folder. `options` may be NULL. Safe to call from several threads. */
MLLM_API mllm_model *mllm_model_load(const char *path, const mllm_load_options *options, mllm_error *err);
MLLM_API mllm_model *mllm_model_retain(mllm_model *model);
MLLM_API void mllm_model_release(mllm_model *model);

/* The tensors of one type in the file, and what they became at load. */
typedef struct {
    const char *stored;       /* as in the file: "Q4_K" */
    const char *kept_as;      /* as used: "P8" and "P4" are panels of 8 and 4 bits (core/tensor/packed.h); vectors are "F32" */
    uint64_t tensors, parameters, stored_bytes, kept_bytes;
} mllm_model_type;

typedef struct {
    const char *path;         /* owned by the model, as all strings here */
    const char *name;         /* general.name, or "" */
    const char *architecture; /* "mobilellm", "llama", "qwen2", ... */
    const char *kernel;       /* the one in use */
    const char *quantization; /* type of most weights in the file: "F32", "Q8_0", ...; "P8", "P4" in packed files */
    const char *kept_as;      /* what they are in memory: "P8" for "Q4_K" with the integer kernels */
    const char *chat_template;    /* NULL when the file has none */
    int blocks;               /* stored attention blocks */
    int steps;                /* executed steps (2 x blocks for LS) */
    int ffns;                 /* stored FFNs (1 for MobiLlama) */
    int kv_slots;
    int width, heads, kv_heads, head_size, ffn_width, vocabulary, context; /* context: longest the file allows, tokens */
    bool tied_embedding;
    uint64_t parameters;      /* stored weights, counted once */
    uint64_t weight_bytes;    /* as used from the file map */
    uint64_t packed_bytes;    /* what was repacked into private memory */
    const mllm_model_type *types; /* [type_count], owned by the model: every tensor is counted in one of them */
    size_t type_count;
    int threads;
} mllm_model_info;
MLLM_API mllm_model_info mllm_model_get_info(const mllm_model *model);

/* ------------------------------------------------------------------ tokens */

/* Token ids are the model's own, 0-based. -1 stands for "none". */
typedef int32_t mllm_token;
typedef struct mllm_vocab mllm_vocab; /* immutable, reference-counted */

/* NULL when the files brought no tokenizer. */
MLLM_API const mllm_vocab *mllm_model_vocab(const mllm_model *model);

/* The rest of this section is declared by the tokenizer: see core/tokenizer/tokenizer.h, included below. */

/* ----------------------------------------------------------------- session */

typedef struct mllm_session mllm_session;

typedef struct {
    int context;         /* most tokens it may hold, never more than the model's own context; 0: 4096 */
    const char *kv_type; /* NULL or "auto"; "f32", "f16", "q8_0". "reference" kernels default to f32, others to f16 */
} mllm_session_options;

MLLM_API mllm_session *mllm_session_new(mllm_model *model, const mllm_session_options *options, mllm_error *err);
/* A copy that shares nothing mutable with its origin: same tokens, same cache, same logits. */
MLLM_API mllm_session *mllm_session_fork(mllm_session *session, mllm_error *err);
MLLM_API void mllm_session_release(mllm_session *session);
MLLM_API mllm_model *mllm_session_model(const mllm_session *session);

/* Runs `count` tokens through the model and appends them. All or nothing: on MLLM_E_CONTEXT or MLLM_E_TOKEN the session
 * is as before. */
MLLM_API mllm_code mllm_session_feed(mllm_session *session, const mllm_token *tokens, size_t count, mllm_error *err);

/* Logits [vocabulary] that predict the next token; NULL with MLLM_E_ARGUMENT when nothing was fed. Recomputes the last position when a
 * rewind made it necessary. The array is the caller's to change; it is valid until the next feed, rewind or release. */
MLLM_API float *mllm_session_logits(mllm_session *session, mllm_error *err);
/* As mllm_session_feed, and writes the logits of the last `rows` positions to out[rows, vocabulary]; 1 <= rows <= count, rows <= 32. With up to
 * 16 tokens each row has the bits that feeding one by one gives. */
MLLM_API mllm_code mllm_session_feed_rows(mllm_session *session, const mllm_token *tokens, size_t count, size_t rows, float *out,
                                          mllm_error *err);
/* Only the logits of ids[count] -> out[count]: those rows of the output embedding, nothing else. */
MLLM_API mllm_code mllm_session_logits_of(mllm_session *session, const mllm_token *ids, size_t count, float *out,
                                          mllm_error *err);
/* Counts up whenever the logits array becomes invalid; a view that remembers the number can tell that it is stale. */
MLLM_API uint64_t mllm_session_epoch(const mllm_session *session);

/* Feeds `count` tokens and writes the natural log-probability of each given those before it to out[count]. At least one
 * token must have been fed before. */
MLLM_API mllm_code mllm_session_score(mllm_session *session, const mllm_token *tokens, size_t count, double *out,
                                      mllm_error *err);

MLLM_API const mllm_token *mllm_session_tokens(const mllm_session *session, size_t *count);
MLLM_API int mllm_session_context(const mllm_session *session);
MLLM_API size_t mllm_session_kv_bytes(const mllm_session *session); /* allocated now */
/* Keeps the first `count` tokens and forgets the others. More than it has is MLLM_E_ARGUMENT. */
MLLM_API mllm_code mllm_session_rewind(mllm_session *session, size_t count, mllm_error *err);
/* A file with tokens, cache and logits; restore checks that it belongs to a model of the same shape and weights. */
MLLM_API mllm_code mllm_session_save(mllm_session *session, const char *path, mllm_error *err);
MLLM_API mllm_code mllm_session_restore(mllm_session *session, const char *path, mllm_error *err);

/* Each room declares its own part of the border. */
#include "tokenizer/tokenizer.h"
#include "format/convert.h"
#include "format/quantize.h"
#include "grammar/grammar.h"
#include "tokenizer/bpe_train.h"
#include "sample/sample.h"
#include "generate/generation.h"
#include "toolcall/toolcall.h"
#include "generate/matched.h"

/* clang-format on */

#ifdef __cplusplus
}
#endif
#endif
