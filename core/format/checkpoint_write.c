/* checkpoint_write.c - a model as a GGUF file, row by row.
 *
 * Plain shapes become files of an architecture that llama.cpp knows: "llama" (q and k with permuted rows), "qwen2" or "qwen3"
 * (not permuted). Everything else is the architecture "mobilellm", whose keys and tensors are those of "llama" and these:
 *
 *   mobilellm.block_passes            u32   each block is executed so many times in a row, each pass with a KV cache of its own
 *                                           (MobileLLM-LS: 2). Step s of the model is pass s % block_passes of block
 *                                           s / block_passes. Absent: 1
 *   mobilellm.shared_ffn              bool  all blocks use one FFN, stored as blk.0.ffn_{gate,up,down}.weight (MobiLlama). The
 *                                           norms (blk.N.ffn_norm.weight) are every block's own. Absent: false
 *   mobilellm.rope.interleaved        bool  rotary pairs are (2i, 2i+1), as in "llama"; false: (i, i + dimension_count/2).
 *                                           Absent: true
 *   mobilellm.attention.step_windows  u32[] how many positions each step attends to; 0: all. Absent: all
 *   mobilellm.rope.steps              u8[]  1 where a step has rotary positions, 0 where it has none. Absent: all have
 *   mobilellm.rope.scaling.type       "llama3", with .factor, .low_freq_factor, .high_freq_factor, .original_context_length
 *   mobilellm.packed                  "p16x32" (in any architecture): matrices of the types P4 (number 1004) and P8 (1008) are there, the
 *                                     panels of tensor/packed.h; their data begins at multiples of 64 in the file
 *   mobilellm.card                    string (in any architecture): a JSON object of strings about data, licence and recipe
 *
 * Each weight is stored once, however many steps use it. Matrices have the file's type (F16 where a row is no multiple of its
 * block), vectors are F32. */
#include "checkpoint_parts.h"

#include <stdio.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/json.h"
#include "../tokenizer/vocab_source.h"

typedef struct {
    mllm_role role; /* MLLM_W_ROLES: rope_freqs.weight */
    uint32_t index;
    bool per_head; /* rows (of a matrix) or columns (of a vector) are dimensions of heads that are rotated */
    bool vector;
    size_t cols;
} planned;

typedef struct {
    const mllm_checkpoint_writing *w;
    const mllm_blueprint *b;
    const char *architecture;
    bool interleaved; /* the order of the file */
    uint32_t passes;
    bool shared_ffn, windows, nope;
    planned *tensors;
    size_t count;
    float *spare; /* a vector before it is permuted */
} writing;

/* Which of the systems the steps are; MLLM_E_UNSUPPORTED for one that the keys above cannot tell. */
static mllm_code describe_steps(writing *x, mllm_error *err) {
    const mllm_blueprint *b = x->b;
    x->passes = b->step_count / b->blocks;
    x->shared_ffn = b->ffns == 1 && b->blocks > 1;
    bool regular = b->step_count == x->passes * b->blocks && b->kv_slots == b->step_count &&
                   (x->shared_ffn || b->ffns == b->blocks);
    for (uint32_t i = 0; i < b->step_count && regular; i++) {
        const mllm_step *s = &b->steps[i];
        regular = s->block == i / x->passes && s->kv_slot == i && s->ffn == (x->shared_ffn ? 0 : s->block);
        x->windows |= s->window != 0;
        x->nope |= !s->rope;
    }
    return regular ? MLLM_OK
                   : mllm_fail(err, MLLM_E_UNSUPPORTED, "%s: the order of the model's steps has no form in a file",
                               x->w->path);
}

/* The most widely understood architecture that can say all of the blueprint. The conditions are llama.cpp's: it rotates whole
 * heads, and Qwen 2's heads fill the width. */
static void choose_architecture(writing *x) {
    const mllm_blueprint *b = x->b;
    bool llama3 = b->rope_scaling == MLLM_ROPE_LLAMA3;
    bool plain = x->passes == 1 && !x->shared_ffn && !x->windows && !x->nope && b->rope_size == b->head_size;
    bool only_qkv = b->qkv_bias && !b->output_bias && b->heads * b->head_size == b->width;
    x->architecture = "mobilellm";
    x->interleaved = b->rope_interleaved;
    if (plain && b->qk_norm && !b->qkv_bias && !b->output_bias && !llama3) {
        x->architecture = "qwen3";
        x->interleaved = false;
    } else if (plain && !b->qk_norm && strcmp(b->architecture, "qwen2") == 0 && only_qkv && !llama3) {
        x->architecture = "qwen2";
        x->interleaved = false;
    } else if (plain && !b->qk_norm && (!llama3 || (b->rope_low == 1 && b->rope_high == 4))) {
        x->architecture = "llama";
        x->interleaved = true;
    }
}

/* ----------------------------------------------------------------- metadata */

static uint32_t file_type(mllm_type type) {
    switch (type) { /* llama.cpp's llama_ftype */
    case MLLM_F16: return 1;
    case MLLM_Q4_0: return 2;
    case MLLM_Q8_0: return 7;
    case MLLM_BF16: return 32;
    default: return 0;
    }
}

static mllm_code put_steps(const writing *x, mllm_gguf_writer *g, mllm_error *err) {
    const mllm_blueprint *b = x->b;
    mllm_gguf_put_bool(g, "mobilellm.rope.interleaved", x->interleaved);
    if (x->passes != 1) mllm_gguf_put_u32(g, "mobilellm.block_passes", x->passes);
    if (x->shared_ffn) mllm_gguf_put_bool(g, "mobilellm.shared_ffn", true);
    uint32_t *windows = mllm_calloc(b->step_count, sizeof *windows);
    uint8_t *ropes = mllm_calloc(b->step_count, sizeof *ropes);
    mllm_code code = windows && ropes ? MLLM_OK : mllm_fail_memory(err, b->step_count * 5, "the steps of a file");
    for (uint32_t i = 0; code == MLLM_OK && i < b->step_count; i++) {
        windows[i] = b->steps[i].window;
        ropes[i] = b->steps[i].rope;
    }
    if (code == MLLM_OK && x->windows)
        mllm_gguf_put_numbers(g, "mobilellm.attention.step_windows", MLLM_KV_U32, windows, b->step_count);
    if (code == MLLM_OK && x->nope) mllm_gguf_put_numbers(g, "mobilellm.rope.steps", MLLM_KV_U8, ropes, b->step_count);
    mllm_free(windows);
    mllm_free(ropes);
    return code;
}

static void put_rope_scaling(const writing *x, mllm_gguf_writer *g) {
    const mllm_blueprint *b = x->b;
    char key[96];
#define KEY(suffix) (snprintf(key, sizeof key, "%s.rope.scaling." suffix, x->architecture), key)
    if (b->rope_scaling == MLLM_ROPE_LINEAR) {
        mllm_gguf_put_string(g, KEY("type"), "linear", 6);
        mllm_gguf_put_f32(g, KEY("factor"), b->rope_factor);
    }
    if (b->rope_scaling != MLLM_ROPE_LLAMA3) return;
    mllm_gguf_put_u32(g, KEY("original_context_length"), b->rope_original_context);
    if (strcmp(x->architecture, "mobilellm") != 0) return; /* there a tensor tells the rest */
    mllm_gguf_put_string(g, KEY("type"), "llama3", 6);
    mllm_gguf_put_f32(g, KEY("factor"), b->rope_factor);
    mllm_gguf_put_f32(g, KEY("low_freq_factor"), b->rope_low);
    mllm_gguf_put_f32(g, KEY("high_freq_factor"), b->rope_high);
#undef KEY
}

static mllm_code put_metadata(const writing *x, mllm_gguf_writer *g, mllm_error *err) {
    const mllm_blueprint *b = x->b;
    char key[96];
#define KEY(suffix) (snprintf(key, sizeof key, "%s." suffix, x->architecture), key)
    mllm_gguf_put_string(g, "general.architecture", x->architecture, strlen(x->architecture));
    if (*b->name) mllm_gguf_put_string(g, "general.name", b->name, strlen(b->name));
    mllm_gguf_put_u32(g, "general.file_type", file_type(x->w->type));
    mllm_gguf_put_u32(g, "general.quantization_version", 2);
    if (x->w->packed) mllm_gguf_put_packed(g);
    mllm_gguf_put_u32(g, KEY("vocab_size"), b->vocabulary);
    mllm_gguf_put_u32(g, KEY("context_length"), b->context);
    mllm_gguf_put_u32(g, KEY("embedding_length"), b->width);
    mllm_gguf_put_u32(g, KEY("block_count"), b->blocks);
    mllm_gguf_put_u32(g, KEY("feed_forward_length"), b->ffn_width);
    mllm_gguf_put_u32(g, KEY("attention.head_count"), b->heads);
    mllm_gguf_put_u32(g, KEY("attention.head_count_kv"), b->kv_heads);
    mllm_gguf_put_u32(g, KEY("attention.key_length"), b->head_size);
    mllm_gguf_put_u32(g, KEY("attention.value_length"), b->head_size);
    mllm_gguf_put_f32(g, KEY("attention.layer_norm_rms_epsilon"), b->norm_epsilon);
    mllm_gguf_put_f32(g, KEY("rope.freq_base"), b->rope_base);
    mllm_gguf_put_u32(g, KEY("rope.dimension_count"), b->rope_size);
#undef KEY
    put_rope_scaling(x, g);
    mllm_code code = strcmp(x->architecture, "mobilellm") == 0 ? put_steps(x, g, err) : MLLM_OK;
    if (code) return code;
    if (x->w->vocab)
        mllm_vocab_put_gguf(x->w->vocab, b->vocabulary, g);
    else
        mllm_gguf_put_string(g, "tokenizer.ggml.model", "none", 4); /* llama.cpp loads a file without tokens by this */
    if (x->w->chat_template)
        mllm_gguf_put_string(g, "tokenizer.chat_template", x->w->chat_template, strlen(x->w->chat_template));
    if (x->w->metadata_json)
        mllm_gguf_put_string(g, "mobilellm.card", x->w->metadata_json, strlen(x->w->metadata_json));
    return MLLM_OK;
}

static mllm_code check_card(const mllm_checkpoint_writing *w, mllm_error *err) {
    if (!w->metadata_json) return MLLM_OK;
    mllm_json doc;
    mllm_error inner = {0};
    mllm_code code = mllm_json_parse(&doc, w->metadata_json, strlen(w->metadata_json), 0, &inner);
    if (code) return mllm_fail(err, code, "%s: the card: %.300s", w->path, inner.message);
    bool object = doc.nodes->kind == MLLM_JSON_OBJECT;
    mllm_json_free(&doc);
    return object ? MLLM_OK : mllm_fail(err, MLLM_E_ARGUMENT, "%s: the card is no JSON object", w->path);
}

/* --------------------------------------------------------------------- rows */

static bool is_vector(mllm_role role) {
    switch (role) {
    case MLLM_W_OUTPUT_NORM:
    case MLLM_W_ATTENTION_NORM:
    case MLLM_W_FFN_NORM:
    case MLLM_W_Q_BIAS:
    case MLLM_W_K_BIAS:
    case MLLM_W_V_BIAS:
    case MLLM_W_O_BIAS:
    case MLLM_W_Q_NORM:
    case MLLM_W_K_NORM: return true;
    default: return false;
    }
}

static bool is_rotated(mllm_role role) {
    return role == MLLM_W_Q || role == MLLM_W_K || role == MLLM_W_Q_BIAS || role == MLLM_W_K_BIAS ||
           role == MLLM_W_Q_NORM || role == MLLM_W_K_NORM;
}

/* Where in the source the file's row `r` of q or k stands. A head's rotated part is i0 i1 ... j0 j1 ... in half order and
 * i0 j0 i1 j1 ... when interleaved. */
static size_t source_row(const writing *x, size_t r) {
    if (x->interleaved == x->b->rope_interleaved) return r;
    size_t head = r / x->b->head_size * x->b->head_size, i = r - head, half = x->b->rope_size / 2;
    if (i >= 2 * half) return r;
    return head + (x->interleaved ? i / 2 + (i % 2 ? half : 0) : i < half ? 2 * i : 2 * (i - half) + 1);
}

static bool deliver(void *ctx, size_t tensor, size_t row, float *out) {
    const writing *x = ctx;
    const planned *t = &x->tensors[tensor];
    if (t->role == MLLM_W_ROLES) {
        mllm_llama3_rope_factors(x->b, out);
        return true;
    }
    if (!t->per_head) return x->w->row(x->w->ctx, t->role, t->index, row, out);
    if (!t->vector) return x->w->row(x->w->ctx, t->role, t->index, source_row(x, row), out);
    if (!x->w->row(x->w->ctx, t->role, t->index, 0, x->spare)) return false;
    for (size_t i = 0; i < t->cols; i++) out[i] = x->spare[source_row(x, i)];
    return true;
}

/* Only rows of matrices: those are not mixed when they are permuted. */
static bool encode(void *ctx, size_t tensor, size_t row, mllm_type type, void *out) {
    const writing *x = ctx;
    const planned *t = &x->tensors[tensor];
    if (t->role == MLLM_W_ROLES || t->vector) return false;
    return x->w->encode(x->w->ctx, t->role, t->index, t->per_head ? source_row(x, row) : row, type, out);
}

/* What a matrix is stored as: F16 where its rows are no multiple of the type's block. */
static mllm_type matrix_type(const writing *x, mllm_role role, size_t cols) {
    mllm_type type = x->w->type_of ? x->w->type_of(x->w->ctx, role) : x->w->type;
    if (!mllm_row_bytes(type, cols)) return MLLM_F16;
    if (x->w->packed && type == MLLM_Q8_0) return MLLM_P8;
    if (x->w->packed && type == MLLM_Q4_0) return MLLM_P4;
    return type;
}

static mllm_code plan(writing *x, mllm_gguf_writer *g, mllm_error *err) {
    size_t count = 1, longest = 1;
    for (int role = 0; role < MLLM_W_ROLES; role++) {
        mllm_role_shape s = mllm_blueprint_shape(x->b, (mllm_role)role);
        count += s.rows ? s.count : 0;
        if (is_vector((mllm_role)role) && s.cols > longest) longest = s.cols;
    }
    x->tensors = mllm_calloc(count, sizeof *x->tensors);
    x->spare = mllm_calloc(longest, sizeof *x->spare);
    if (!x->tensors || !x->spare)
        return mllm_fail_memory(err, count * sizeof *x->tensors, "the list of tensors to write");
    if (x->b->rope_scaling == MLLM_ROPE_LLAMA3 && strcmp(x->architecture, "llama") == 0) {
        mllm_gguf_put_tensor(g, "rope_freqs.weight", MLLM_F32, 1, x->b->rope_size / 2, true);
        x->tensors[x->count++] = (planned){.role = MLLM_W_ROLES, .cols = x->b->rope_size / 2};
    }
    /* Block by block, so that a forward pass reads the file from front to back. */
    for (uint32_t block = 0; block < x->b->blocks + 1; block++)
        for (int role = 0; role < MLLM_W_ROLES; role++) {
            mllm_role_shape s = mllm_blueprint_shape(x->b, (mllm_role)role);
            bool outer = role <= MLLM_W_HEAD;
            uint32_t index = outer ? 0 : block - 1;
            if (!s.rows || outer != (block == 0) || index >= s.count) continue;
            bool vector = is_vector((mllm_role)role);
            mllm_type type = vector ? MLLM_F32 : matrix_type(x, (mllm_role)role, s.cols);
            char name[128];
            mllm_gguf_tensor_name((mllm_role)role, index, name);
            mllm_gguf_put_tensor(g, name, type, s.rows, s.cols, vector);
            x->tensors[x->count++] = (planned){(mllm_role)role, index, is_rotated((mllm_role)role), vector, s.cols};
        }
    return MLLM_OK;
}

mllm_code mllm_checkpoint_write(const mllm_checkpoint_writing *w, mllm_error *err) {
    writing x = {.w = w, .b = w->blueprint};
    mllm_code code = mllm_blueprint_check(x.b, w->path, err);
    if (code == MLLM_OK) code = check_card(w, err);
    if (code == MLLM_OK) code = describe_steps(&x, err);
    if (code) return code;
    choose_architecture(&x);
    mllm_error own = {0};
    mllm_gguf_writer *g = mllm_gguf_create(w->path, &own);
    if (!g) return mllm_fail(err, own.code, "%s", own.message);
    code = put_metadata(&x, g, err);
    if (code == MLLM_OK) code = plan(&x, g, err);
    if (code)
        mllm_gguf_abandon(g);
    else
        code = mllm_gguf_finish(g, deliver, w->encode ? encode : NULL, &x, err);
    mllm_free(x.tensors);
    mllm_free(x.spare);
    return code;
}
