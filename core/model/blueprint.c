#include "blueprint.h"

#include <math.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"

void mllm_blueprint_free(mllm_blueprint *b) {
    mllm_free(b->steps);
    memset(b, 0, sizeof *b);
}

mllm_code mllm_blueprint_copy(mllm_blueprint *to, const mllm_blueprint *from, mllm_error *err) {
    size_t bytes = from->step_count * sizeof *from->steps;
    mllm_step *steps = mllm_alloc(bytes);
    if (!steps) return mllm_fail_memory(err, bytes, "the steps of a blueprint");
    if (bytes) memcpy(steps, from->steps, bytes);
    *to = *from;
    to->steps = steps;
    return MLLM_OK;
}

mllm_code mllm_blueprint_make_steps(mllm_blueprint *b, uint32_t passes, bool shared_ffn, mllm_error *err) {
    if (passes == 0 || b->blocks == 0 || b->blocks > MLLM_MAX_STEPS / passes)
        return mllm_fail(err, MLLM_E_FORMAT, "%u blocks, each executed %u times: 1 to %d steps are possible", b->blocks,
                         passes, MLLM_MAX_STEPS);
    uint32_t count = b->blocks * passes;
    mllm_step *steps = mllm_calloc(count, sizeof *steps);
    if (!steps) return mllm_fail_memory(err, count * sizeof *steps, "the steps of a blueprint");
    for (uint32_t i = 0; i < count; i++) {
        steps[i].block = i / passes;
        steps[i].ffn = shared_ffn ? 0 : i / passes;
        steps[i].kv_slot = i;
        steps[i].rope = true;
    }
    mllm_free(b->steps);
    b->steps = steps;
    b->step_count = b->kv_slots = count;
    b->ffns = shared_ffn ? 1 : b->blocks;
    return MLLM_OK;
}

static mllm_code check_range(const char *where, const char *what, uint64_t value, uint64_t low, uint64_t high,
                             mllm_error *err) {
    if (value >= low && value <= high) return MLLM_OK;
    return mllm_fail(err, MLLM_E_FORMAT, "%s: %s is %llu, not between %llu and %llu", where, what,
                     (unsigned long long)value, (unsigned long long)low, (unsigned long long)high);
}

static mllm_code check_steps(const mllm_blueprint *b, const char *where, mllm_error *err) {
    unsigned char used[MLLM_MAX_STEPS / 8] = {0};
    for (uint32_t i = 0; i < b->step_count; i++) {
        const mllm_step *s = &b->steps[i];
        if (s->block >= b->blocks || s->ffn >= b->ffns || s->kv_slot >= b->kv_slots)
            return mllm_fail(err, MLLM_E_FORMAT, "%s: step %u names block %u of %u, FFN %u of %u, KV slot %u of %u",
                             where, i, s->block, b->blocks, s->ffn, b->ffns, s->kv_slot, b->kv_slots);
        /* Two passes that write to one slot would mix their keys. */
        if (used[s->kv_slot / 8] & 1 << s->kv_slot % 8)
            return mllm_fail(err, MLLM_E_FORMAT, "%s: KV slot %u belongs to two steps", where, s->kv_slot);
        used[s->kv_slot / 8] |= (unsigned char)(1 << s->kv_slot % 8);
        if (s->rope && b->rope_size == 0)
            return mllm_fail(err, MLLM_E_FORMAT, "%s: step %u has rotary positions, but no dimension is rotated", where,
                             i);
    }
    return MLLM_OK;
}

mllm_code mllm_blueprint_check(const mllm_blueprint *b, const char *where, mllm_error *err) {
    const struct {
        const char *what;
        uint64_t value, low, high;
    } ranges[] = {
        {"the vocabulary size", b->vocabulary, 1, MLLM_MAX_VOCABULARY},
        {"the width", b->width, 1, MLLM_MAX_WIDTH},
        {"the number of heads", b->heads, 1, MLLM_MAX_WIDTH},
        {"the number of KV heads", b->kv_heads, 1, MLLM_MAX_WIDTH},
        {"the head size", b->head_size, 1, 4096},
        {"the FFN width", b->ffn_width, 1, 16 * MLLM_MAX_WIDTH},
        {"the context length", b->context, 1, MLLM_MAX_CONTEXT},
        {"the number of blocks", b->blocks, 1, MLLM_MAX_STEPS},
        {"the number of FFNs", b->ffns, 1, MLLM_MAX_STEPS},
        {"the number of steps", b->step_count, 1, MLLM_MAX_STEPS},
        {"the number of KV slots", b->kv_slots, 1, MLLM_MAX_STEPS},
        {"the rotated part of a head", b->rope_size, 0, b->head_size},
        {"heads x head size", (uint64_t)b->heads * b->head_size, 1, MLLM_MAX_WIDTH},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        mllm_code code = check_range(where, ranges[i].what, ranges[i].value, ranges[i].low, ranges[i].high, err);
        if (code) return code;
    }
    if (b->heads % b->kv_heads)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: %u heads cannot share %u KV heads evenly", where, b->heads,
                         b->kv_heads);
    if (b->rope_size % 2)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: the rotated part of a head is %u, which is odd", where, b->rope_size);
    if (!(b->norm_epsilon >= 0 && b->norm_epsilon < 1))
        return mllm_fail(err, MLLM_E_FORMAT, "%s: the norm epsilon is %g", where, (double)b->norm_epsilon);
    if (!(b->rope_base >= 1 && isfinite(b->rope_base)))
        return mllm_fail(err, MLLM_E_FORMAT, "%s: the RoPE base is %g", where, (double)b->rope_base);
    if (b->rope_scaling != MLLM_ROPE_NONE && !(b->rope_factor > 0 && isfinite(b->rope_factor)))
        return mllm_fail(err, MLLM_E_FORMAT, "%s: the RoPE scaling factor is %g", where, (double)b->rope_factor);
    if (b->rope_scaling == MLLM_ROPE_LLAMA3 &&
        !(b->rope_low > 0 && b->rope_high > b->rope_low && isfinite(b->rope_high) && b->rope_original_context > 0))
        return mllm_fail(err, MLLM_E_FORMAT,
                         "%s: the RoPE scaling has low_freq_factor %g, high_freq_factor %g, original context %u", where,
                         (double)b->rope_low, (double)b->rope_high, b->rope_original_context);
    return check_steps(b, where, err);
}

mllm_role_shape mllm_blueprint_shape(const mllm_blueprint *b, mllm_role role) {
    size_t width = b->width, q = (size_t)b->heads * b->head_size, kv = (size_t)b->kv_heads * b->head_size;
    switch (role) {
    case MLLM_W_EMBEDDING: return (mllm_role_shape){b->vocabulary, width, 1};
    case MLLM_W_OUTPUT_NORM: return (mllm_role_shape){1, width, 1};
    case MLLM_W_HEAD: return (mllm_role_shape){b->tied_embedding ? 0 : b->vocabulary, width, 1};
    case MLLM_W_ATTENTION_NORM:
    case MLLM_W_FFN_NORM: return (mllm_role_shape){1, width, b->blocks};
    case MLLM_W_Q: return (mllm_role_shape){q, width, b->blocks};
    case MLLM_W_K:
    case MLLM_W_V: return (mllm_role_shape){kv, width, b->blocks};
    case MLLM_W_O: return (mllm_role_shape){width, q, b->blocks};
    case MLLM_W_Q_BIAS: return (mllm_role_shape){b->qkv_bias, q, b->blocks};
    case MLLM_W_K_BIAS:
    case MLLM_W_V_BIAS: return (mllm_role_shape){b->qkv_bias, kv, b->blocks};
    case MLLM_W_O_BIAS: return (mllm_role_shape){b->output_bias, width, b->blocks};
    case MLLM_W_Q_NORM:
    case MLLM_W_K_NORM: return (mllm_role_shape){b->qk_norm, b->head_size, b->blocks};
    case MLLM_W_GATE:
    case MLLM_W_UP: return (mllm_role_shape){b->ffn_width, width, b->ffns};
    case MLLM_W_DOWN: return (mllm_role_shape){width, b->ffn_width, b->ffns};
    case MLLM_W_ROLES: break;
    }
    return (mllm_role_shape){0, 0, 0};
}

uint64_t mllm_blueprint_parameters(const mllm_blueprint *b) {
    uint64_t sum = 0;
    for (int role = 0; role < MLLM_W_ROLES; role++) {
        mllm_role_shape s = mllm_blueprint_shape(b, (mllm_role)role);
        sum += (uint64_t)s.rows * s.cols * s.count;
    }
    return sum;
}
