#include "checkpoint_parts.h"

#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"

/* The types that rounding knows. */
mllm_code mllm_writable_type(const char *name, mllm_type *type, mllm_error *err) {
    if (mllm_type_by_name(name, type) &&
        (*type == MLLM_F32 || *type == MLLM_F16 || *type == MLLM_BF16 || *type == MLLM_Q8_0 || *type == MLLM_Q4_0))
        return MLLM_OK;
    return mllm_fail(err, MLLM_E_ARGUMENT, "\"%.40s\" is no type to write: f32, f16, bf16, q8_0 and q4_0 are", name);
}

static bool checkpoint_row(void *ctx, mllm_role role, uint32_t index, size_t row, float *out) {
    mllm_tensor t = mllm_checkpoint_tensor(ctx, role, index);
    if (!t.data || row >= t.rows) return false;
    mllm_dequantize_row(t.type, (const char *)t.data + row * t.row_bytes, out, t.cols);
    return true;
}

mllm_code mllm_convert(const char *from, const char *to, const char *type, mllm_error *err) {
    mllm_checkpoint_writing w = {.path = to, .row = checkpoint_row};
    mllm_code code = mllm_writable_type(type, &w.type, err);
    if (code) return code;
    mllm_error own = {0};
    mllm_checkpoint *c = mllm_checkpoint_open(from, false, &own);
    if (!c) return mllm_fail(err, own.code, "%s", own.message);
    w.blueprint = mllm_checkpoint_blueprint(c);
    w.vocab = mllm_checkpoint_vocab(c);
    w.chat_template = mllm_checkpoint_chat_template(c);
    w.ctx = c;
    const char *s;
    size_t length;
    char *card = NULL;
    if (c->gguf && mllm_gguf_string(c->gguf, "mobilellm.card", &s, &length)) {
        card = mllm_strndup(s, length);
        if (!card) code = mllm_fail_memory(err, length, "a model card");
    }
    w.metadata_json = card;
    if (code == MLLM_OK) code = mllm_checkpoint_write(&w, err);
    mllm_free(card);
    mllm_checkpoint_close(c);
    return code;
}
