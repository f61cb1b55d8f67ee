/* tiny_folder.h - Hugging Face folders of a model small enough to be written in a blink: 3 blocks, 2 heads of 4, 1 KV head, width 32,
 * FFN 64, 10 tokens. A weight's value depends on its tensor's name, row and column, so that a test knows what must be where. */
#ifndef TINY_FOLDER_H
#define TINY_FOLDER_H

#include "test.h"

#include <math.h>
#include <sys/stat.h>

enum { TINY_BLOCKS = 3, TINY_HEADS = 2, TINY_HEAD_SIZE = 4, TINY_WIDTH = 32, TINY_FFN = 64, TINY_VOCABULARY = 10 };
enum {
    TINY_HEAD = 1, /* lm_head.weight */
    TINY_BIAS = 2, /* q, k, v */
    TINY_OUTPUT_BIAS = 4, /* o */
    TINY_QK_NORM = 8,
    TINY_FFN_FIRST = 16, /* only block 0 has an FFN */
    TINY_FFN_SAME = 32, /* every block has it, with equal content */
    TINY_FFN_OUTSIDE = 64, /* model.mlp.* */
    TINY_SHARDS = 128, /* two files and an index */
    TINY_NO_PREFIX = 256, /* names without "model." */
    TINY_FFN_GATES = 512, /* gates equal, ups not */
    TINY_WIDE = 1024 /* 8 heads, which fill the width */
};

static const char *tiny_extra; /* the name of one more tensor, a vector of four; NULL: none */
static char tiny_root[64];
static inline const char *tiny_path(const char *name) {
    static char paths[8][160];
    static int next;
    char *path = paths[next++ % 8];
    if (!*tiny_root) {
        snprintf(tiny_root, sizeof tiny_root, "/tmp/mllm-tiny-XXXXXX");
        if (!mkdtemp(tiny_root)) abort();
    }
    snprintf(path, sizeof paths[0], "%s/%s", tiny_root, name);
    return path;
}
static inline void tiny_cleanup(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", tiny_root);
    if (*tiny_root && system(command) != 0) abort();
}

static inline void tiny_save(const char *path, const void *bytes, size_t n) {
    unlink(path); /* some file systems flush a file that is cut and written again */
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n) abort();
    fclose(f);
}
static inline uint8_t *tiny_load(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(*n ? *n : 1);
    if (fread(bytes, 1, *n, f) != *n) abort();
    fclose(f);
    return bytes;
}

/* The weight at [row, col] of the tensor that a folder calls `name`. */
static inline float tiny_value(const char *name, size_t row, size_t col) {
    uint32_t h = 2166136261u;
    for (const char *s = name; *s; s++) h = (h ^ (unsigned char)*s) * 16777619u;
    h = (h ^ (uint32_t)row) * 16777619u;
    h = (h ^ (uint32_t)col) * 16777619u;
    h ^= h >> 15;
    return (float)(int)(h % 2001 - 1000) / 1024.0f;
}

/* A safetensors file in the making. */
typedef struct {
    char header[65536];
    size_t header_length;
    float *data;
    size_t numbers;
} tiny_file;

static inline void tiny_add(tiny_file *f, const char *name, const char *content, size_t rows, size_t cols,
                            bool vector) {
    f->data = realloc(f->data, (f->numbers + rows * cols) * sizeof *f->data);
    char shape[64];
    snprintf(shape, sizeof shape, vector ? "[%zu]" : "[%zu,%zu]", vector ? cols : rows, cols);
    f->header_length +=
        (size_t)snprintf(f->header + f->header_length, sizeof f->header - f->header_length,
                         "%s\"%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                         f->header_length ? "," : "{", name, shape, f->numbers * 4, (f->numbers + rows * cols) * 4);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) f->data[f->numbers++] = tiny_value(content, r, c);
}

static inline void tiny_finish(tiny_file *f, const char *path) {
    f->header[f->header_length++] = '}';
    FILE *out = fopen(path, "wb");
    uint64_t length = f->header_length;
    if (!out || fwrite(&length, 8, 1, out) != 1 || fwrite(f->header, 1, f->header_length, out) != f->header_length ||
        fwrite(f->data, 4, f->numbers, out) != f->numbers)
        abort();
    fclose(out);
    free(f->data);
    *f = (tiny_file){.header_length = 0};
}

/* Writes the folder `name`; `extra` is the end of the config.json object and wins over what stands before ("key\": null" takes a
 * key away). Returns its path. */
static inline const char *tiny_folder(const char *name, const char *model_type, const char *extra, unsigned flags) {
    const char *dir = tiny_path(name);
    size_t heads = flags & TINY_WIDE ? 8 : TINY_HEADS;
    char path[256], config[4096], block[64], full[96], content[96];
    mkdir(dir, 0700);
    snprintf(config, sizeof config,
             "{\"model_type\": \"%s\", \"vocab_size\": %d, \"hidden_size\": %d, \"intermediate_size\": %d, "
             "\"num_hidden_layers\": %d, "
             "\"num_attention_heads\": %zu, \"num_key_value_heads\": 1, \"head_dim\": %d, \"rms_norm_eps\": 1e-05, "
             "\"rope_theta\": 10000.0, \"max_position_embeddings\": 256, \"hidden_act\": \"silu\"%s%s}",
             model_type, TINY_VOCABULARY, TINY_WIDTH, TINY_FFN, TINY_BLOCKS, heads, TINY_HEAD_SIZE, *extra ? ", " : "",
             extra);
    snprintf(path, sizeof path, "%s/config.json", dir);
    tiny_save(path, config, strlen(config));
    static tiny_file file;
    char index[16384] = "{\"metadata\": {}, \"weight_map\": {";
    const char *shard = flags & TINY_SHARDS ? "model-00001-of-00002.safetensors" : "model.safetensors";
    const char *prefix = flags & TINY_NO_PREFIX ? "" : "model.";
#define TINY_ADD(tensor, text, rows, cols, vector)                                                                     \
    do {                                                                                                               \
        tiny_add(&file, tensor, text, rows, cols, vector);                                                             \
        snprintf(index + strlen(index), sizeof index - strlen(index), "\"%s\": \"%s\", ", tensor, shard);              \
    } while (0)
#define TINY_PART(part, rows, cols, vector)                                                                            \
    do {                                                                                                               \
        snprintf(full, sizeof full, "%s%s", block, part);                                                              \
        TINY_ADD(full, full, rows, cols, vector);                                                                      \
    } while (0)
    snprintf(block, sizeof block, "%s", prefix);
    TINY_PART("embed_tokens.weight", TINY_VOCABULARY, TINY_WIDTH, false);
    TINY_PART("norm.weight", 1, TINY_WIDTH, true);
    if (flags & TINY_HEAD) TINY_ADD("lm_head.weight", "lm_head.weight", TINY_VOCABULARY, TINY_WIDTH, false);
    for (int i = 0; i < TINY_BLOCKS; i++) {
        if (i == 1 && flags & TINY_SHARDS) {
            snprintf(path, sizeof path, "%s/%s", dir, shard);
            tiny_finish(&file, path);
            shard = "model-00002-of-00002.safetensors";
        }
        snprintf(block, sizeof block, "%slayers.%d.", prefix, i);
        TINY_PART("input_layernorm.weight", 1, TINY_WIDTH, true);
        TINY_PART("post_attention_layernorm.weight", 1, TINY_WIDTH, true);
        TINY_PART("self_attn.q_proj.weight", heads * TINY_HEAD_SIZE, TINY_WIDTH, false);
        TINY_PART("self_attn.k_proj.weight", TINY_HEAD_SIZE, TINY_WIDTH, false);
        TINY_PART("self_attn.v_proj.weight", TINY_HEAD_SIZE, TINY_WIDTH, false);
        TINY_PART("self_attn.o_proj.weight", TINY_WIDTH, heads * TINY_HEAD_SIZE, false);
        if (flags & TINY_BIAS) {
            TINY_PART("self_attn.q_proj.bias", 1, heads * TINY_HEAD_SIZE, true);
            TINY_PART("self_attn.k_proj.bias", 1, TINY_HEAD_SIZE, true);
            TINY_PART("self_attn.v_proj.bias", 1, TINY_HEAD_SIZE, true);
        }
        if (flags & TINY_OUTPUT_BIAS) TINY_PART("self_attn.o_proj.bias", 1, TINY_WIDTH, true);
        if (flags & TINY_QK_NORM) {
            TINY_PART("self_attn.q_norm.weight", 1, TINY_HEAD_SIZE, true);
            TINY_PART("self_attn.k_norm.weight", 1, TINY_HEAD_SIZE, true);
        }
        if (i > 0 && flags & (TINY_FFN_FIRST | TINY_FFN_OUTSIDE)) continue;
        if (flags & TINY_FFN_OUTSIDE) snprintf(block, sizeof block, "%s", prefix);
        static const struct {
            const char *name;
            size_t rows, cols;
        } ffn[] = {{"mlp.gate_proj.weight", TINY_FFN, TINY_WIDTH},
                   {"mlp.up_proj.weight", TINY_FFN, TINY_WIDTH},
                   {"mlp.down_proj.weight", TINY_WIDTH, TINY_FFN}};
        for (int k = 0; k < 3; k++) {
            snprintf(full, sizeof full, "%s%s", block, ffn[k].name);
            bool same = flags & TINY_FFN_SAME || (flags & TINY_FFN_GATES && k == 0);
            snprintf(content, sizeof content, "%s", same ? ffn[k].name : full);
            TINY_ADD(full, content, ffn[k].rows, ffn[k].cols, false);
        }
    }
    if (tiny_extra) TINY_ADD(tiny_extra, tiny_extra, 1, 4, true);
    snprintf(path, sizeof path, "%s/%s", dir, shard);
    tiny_finish(&file, path);
    if (flags & TINY_SHARDS) {
        snprintf(path, sizeof path, "%s/model.safetensors.index.json", dir);
        index[strlen(index) - 2] = 0;
        strcat(index, "}}");
        tiny_save(path, index, strlen(index));
    }
    return dir;
}

#endif
