/* tiny_model.h - a small GGUF model with random weights, written by a test for itself. */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include "format/gguf.h"
#include "test.h"

enum {
    TINY_WIDTH = 96,
    TINY_HEADS = 3,
    TINY_KV = 1,
    TINY_HEAD = 32,
    TINY_FFN = 160,
    TINY_VOCABULARY = 300,
    TINY_BLOCKS = 3
};

static uint64_t tiny_state;

static bool tiny_row(void *ctx, size_t tensor, size_t row, float *out) {
    const size_t *cols = ctx;
    (void)row;
    for (size_t i = 0; i < cols[tensor]; i++) {
        tiny_state = tiny_state * 6364136223846793005u + 1442695040888963407u;
        float v = (float)((double)(tiny_state >> 33) / 1073741824.0 - 1.0);
        out[i] = cols[tensor] == TINY_WIDTH && row == 0 && tensor % 9 == 1 ? 1 + 0.1f * v : v * 0.3f;
    }
    return true;
}

/* Writes a Llama of the shape above; `seed` makes the weights. */
static inline bool tiny_write(const char *path, mllm_type type, uint32_t context, uint64_t seed, mllm_error *err) {
    mllm_gguf_writer *w = mllm_gguf_create(path, err);
    if (!w) return false;
    mllm_gguf_put_string(w, "general.architecture", "llama", 5);
    mllm_gguf_put_u32(w, "llama.context_length", context);
    mllm_gguf_put_u32(w, "llama.embedding_length", TINY_WIDTH);
    mllm_gguf_put_u32(w, "llama.block_count", TINY_BLOCKS);
    mllm_gguf_put_u32(w, "llama.feed_forward_length", TINY_FFN);
    mllm_gguf_put_u32(w, "llama.attention.head_count", TINY_HEADS);
    mllm_gguf_put_u32(w, "llama.attention.head_count_kv", TINY_KV);
    mllm_gguf_put_u32(w, "llama.rope.dimension_count", TINY_HEAD);
    mllm_gguf_put_u32(w, "llama.vocab_size", TINY_VOCABULARY);
    mllm_gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    mllm_gguf_put_f32(w, "llama.rope.freq_base", 10000.0f);
    size_t cols[2 + 9 * TINY_BLOCKS + 1], n = 0;
    const struct {
        const char *name;
        size_t rows, cols;
    } parts[] = {{"attn_q", TINY_HEADS * TINY_HEAD, TINY_WIDTH},
                 {"attn_norm", 0, TINY_WIDTH},
                 {"attn_k", TINY_KV * TINY_HEAD, TINY_WIDTH},
                 {"attn_v", TINY_KV * TINY_HEAD, TINY_WIDTH},
                 {"attn_output", TINY_WIDTH, TINY_HEADS * TINY_HEAD},
                 {"ffn_norm", 0, TINY_WIDTH},
                 {"ffn_gate", TINY_FFN, TINY_WIDTH},
                 {"ffn_up", TINY_FFN, TINY_WIDTH},
                 {"ffn_down", TINY_WIDTH, TINY_FFN}};
    for (int b = 0; b < TINY_BLOCKS; b++)
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s.weight", b, parts[p].name);
            bool vector = parts[p].rows == 0;
            mllm_gguf_put_tensor(w, name, vector ? MLLM_F32 : type, vector ? 1 : parts[p].rows, parts[p].cols, vector);
            cols[n++] = parts[p].cols;
        }
    mllm_gguf_put_tensor(w, "token_embd.weight", type, TINY_VOCABULARY, TINY_WIDTH, false);
    cols[n++] = TINY_WIDTH;
    mllm_gguf_put_tensor(w, "output_norm.weight", MLLM_F32, 1, TINY_WIDTH, true);
    cols[n++] = TINY_WIDTH;
    tiny_state = seed;
    return mllm_gguf_finish(w, tiny_row, NULL, cols, err) == MLLM_OK;
}

#endif
