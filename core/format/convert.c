#include "checkpoint_parts.h"

#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/file_map.h"
#include "../base/half.h"

/* The types that rounding knows. */
mllm_code mllm_writable_type(const char *name, mllm_type *type, mllm_error *err) {
    if (mllm_type_by_name(name, type) &&
        (*type == MLLM_F32 || *type == MLLM_F16 || *type == MLLM_BF16 || *type == MLLM_Q8_0 || *type == MLLM_Q4_0))
        return MLLM_OK;
    return mllm_fail(err, MLLM_E_ARGUMENT, "\"%.40s\" is no type to write: f32, f16, bf16, q8_0 and q4_0 are", name);
}

bool mllm_checkpoint_row(void *ctx, mllm_role role, uint32_t index, size_t row, float *out) {
    mllm_tensor t = mllm_checkpoint_tensor(ctx, role, index);
    if (!t.data || row >= t.rows) return false;
    mllm_tensor_row(&t, row, out);
    return true;
}

/* Blocks of Q8_0 and Q4_0 whose scales are finite: what rounding would have to be able to write. */
static bool finite_blocks(mllm_type type, const void *row, size_t cols) {
    size_t bytes = mllm_type_facts(type)->block_bytes;
    const uint8_t *block = row;
    for (size_t c = 0; c < cols; c += mllm_type_facts(type)->block, block += bytes)
        if ((mllm_load_u16(block) & 0x7C00) == 0x7C00) return false;
    return true;
}

bool mllm_checkpoint_same_row(void *ctx, mllm_role role, uint32_t index, size_t row, mllm_type type, void *out) {
    mllm_tensor t = mllm_checkpoint_tensor(ctx, role, index);
    if (!t.data || row >= t.rows || mllm_type_unpacked(t.type) != type) return false;
    if (mllm_type_is_packed(t.type))
        mllm_tensor_unpack_row(&t, row, out);
    else if (type == MLLM_Q8_0 || type == MLLM_Q4_0)
        memcpy(out, (const char *)t.data + row * t.row_bytes, t.row_bytes);
    else
        return false;
    return finite_blocks(type, out, t.cols);
}

mllm_code mllm_checkpoint_rewrite(mllm_checkpoint *c, mllm_checkpoint_writing *w, mllm_error *err) {
    w->blueprint = mllm_checkpoint_blueprint(c);
    w->vocab = mllm_checkpoint_vocab(c);
    w->chat_template = mllm_checkpoint_chat_template(c);
    const char *s;
    size_t length;
    char *card = NULL;
    if (c->gguf && mllm_gguf_string(c->gguf, "mobilellm.card", &s, &length)) {
        card = mllm_strndup(s, length);
        if (!card) return mllm_fail_memory(err, length, "a model card");
    }
    w->metadata_json = card;
    mllm_code code = mllm_checkpoint_write(w, err);
    w->metadata_json = NULL;
    mllm_free(card);
    return code;
}

static mllm_code convert(const char *from, const char *to, const char *type, bool packed, mllm_error *err) {
    mllm_checkpoint_writing w = {
        .path = to, .row = mllm_checkpoint_row, .encode = mllm_checkpoint_same_row, .packed = packed};
    mllm_code code = mllm_writable_type(type, &w.type, err);
    if (code) return code;
    if (packed && w.type != MLLM_Q8_0 && w.type != MLLM_Q4_0)
        return mllm_fail(err, MLLM_E_ARGUMENT, "only q8_0 and q4_0 have a packed form, %.40s has none", type);
    if (mllm_file_is_same(from, to)) return mllm_fail(err, MLLM_E_ARGUMENT, "%s: the output is the input itself", to);
    mllm_error own = {0};
    mllm_checkpoint *c = mllm_checkpoint_open(from, false, &own);
    if (!c) return mllm_fail(err, own.code, "%s", own.message);
    w.ctx = c;
    code = mllm_checkpoint_rewrite(c, &w, err);
    mllm_checkpoint_close(c);
    return code;
}

mllm_code mllm_convert(const char *from, const char *to, const char *type, mllm_error *err) {
    return convert(from, to, type, false, err);
}

mllm_code mllm_convert_packed(const char *from, const char *to, const char *type, mllm_error *err) {
    return convert(from, to, type, true, err);
}
