#include "layout.h"

#include <math.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"

enum { ALIGN_FLOATS = 16 };

/* The order in the array. A role marked `joined` follows the one before without a gap. */
typedef struct {
    mllm_role role;
    bool joined;
} place;
static const place globals[] = {{MLLM_W_EMBEDDING, false}, {MLLM_W_OUTPUT_NORM, false}, {MLLM_W_HEAD, false}};
static const place block_roles[] = {{MLLM_W_ATTENTION_NORM, false},
                                    {MLLM_W_Q, false},
                                    {MLLM_W_K, true},
                                    {MLLM_W_V, true},
                                    {MLLM_W_O, false},
                                    {MLLM_W_Q_BIAS, false},
                                    {MLLM_W_K_BIAS, true},
                                    {MLLM_W_V_BIAS, true},
                                    {MLLM_W_O_BIAS, false},
                                    {MLLM_W_Q_NORM, false},
                                    {MLLM_W_K_NORM, false},
                                    {MLLM_W_FFN_NORM, false}};
static const place ffn_roles[] = {{MLLM_W_GATE, false}, {MLLM_W_UP, true}, {MLLM_W_DOWN, false}};

static size_t round_up(size_t n) {
    return (n + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
}

/* Lays `copies` groups of `n` roles from l->floats on. False when a size overflows. */
static bool lay_group(mllm_layout *l, const mllm_blueprint *b, const place *p, size_t n, uint32_t copies) {
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        mllm_role_shape s = mllm_blueprint_shape(b, p[i].role);
        if (!p[i].joined) at = round_up(at);
        l->base[p[i].role] = l->floats + at;
        l->present[p[i].role] = s.rows > 0;
        if (s.rows == 0) continue;
        if (s.cols > SIZE_MAX / 64 / s.rows || at > SIZE_MAX / 64 - s.rows * s.cols) return false;
        at += s.rows * s.cols;
    }
    at = round_up(at);
    for (size_t i = 0; i < n; i++) l->stride[p[i].role] = at;
    if (copies && at > (SIZE_MAX / 64 - l->floats) / copies) return false;
    l->floats += at * copies;
    return true;
}

static void list_group(mllm_layout *l, const mllm_blueprint *b, const place *p, size_t n, uint32_t copies) {
    for (uint32_t c = 0; c < copies; c++)
        for (size_t i = 0; i < n; i++) {
            mllm_role_shape s = mllm_blueprint_shape(b, p[i].role);
            if (!l->present[p[i].role]) continue;
            l->entries[l->count++] = (mllm_layout_entry){p[i].role, c, s.rows, s.cols, mllm_layout_at(l, p[i].role, c)};
        }
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

mllm_code mllm_layout_init(mllm_layout *l, const mllm_blueprint *b, mllm_error *err) {
    memset(l, 0, sizeof *l);
    if (!lay_group(l, b, globals, COUNT(globals), 1) || !lay_group(l, b, block_roles, COUNT(block_roles), b->blocks) ||
        !lay_group(l, b, ffn_roles, COUNT(ffn_roles), b->ffns))
        return mllm_fail(err, MLLM_E_LIMIT, "the model's parameters do not fit into this machine's addresses");
    size_t most = COUNT(globals) + COUNT(block_roles) * b->blocks + COUNT(ffn_roles) * b->ffns;
    l->entries = mllm_alloc_array(most, sizeof *l->entries);
    if (!l->entries) return mllm_fail_memory(err, most * sizeof *l->entries, "the list of parameters");
    list_group(l, b, globals, COUNT(globals), 1);
    list_group(l, b, block_roles, COUNT(block_roles), b->blocks);
    list_group(l, b, ffn_roles, COUNT(ffn_roles), b->ffns);
    return MLLM_OK;
}

void mllm_layout_free(mllm_layout *l) {
    mllm_free(l->entries);
    memset(l, 0, sizeof *l);
}

bool mllm_role_decays(mllm_role role) {
    switch (role) {
    case MLLM_W_EMBEDDING:
    case MLLM_W_HEAD:
    case MLLM_W_Q:
    case MLLM_W_K:
    case MLLM_W_V:
    case MLLM_W_O:
    case MLLM_W_GATE:
    case MLLM_W_UP:
    case MLLM_W_DOWN: return true;
    default: return false;
    }
}

static double uniform(uint64_t *state) { /* (0, 1] */
    return ((double)(mllm_splitmix(state) >> 11) + 1.0) * 0x1p-53;
}

void mllm_fill_normal(float *out, size_t n, double deviation, uint64_t *state) {
    for (size_t i = 0; i < n; i += 2) { /* Box-Muller: two at a time */
        double r = deviation * sqrt(-2 * log(uniform(state))), angle = 6.283185307179586 * uniform(state);
        out[i] = (float)(r * cos(angle));
        if (i + 1 < n) out[i + 1] = (float)(r * sin(angle));
    }
}

void mllm_layout_randomize(const mllm_layout *l, const mllm_blueprint *b, uint64_t seed, float *params) {
    memset(params, 0, l->floats * sizeof *params);
    for (size_t e = 0; e < l->count; e++) {
        const mllm_layout_entry *t = &l->entries[e];
        float *w = params + t->offset;
        size_t n = t->rows * t->cols;
        switch (t->role) {
        case MLLM_W_OUTPUT_NORM:
        case MLLM_W_ATTENTION_NORM:
        case MLLM_W_FFN_NORM:
        case MLLM_W_Q_NORM:
        case MLLM_W_K_NORM:
            for (size_t i = 0; i < n; i++) w[i] = 1;
            continue;
        case MLLM_W_Q_BIAS:
        case MLLM_W_K_BIAS:
        case MLLM_W_V_BIAS:
        case MLLM_W_O_BIAS: continue;
        default: break;
        }
        double deviation = 0.02;
        if (t->role == MLLM_W_O || t->role == MLLM_W_DOWN) deviation /= sqrt(2.0 * b->step_count);
        uint64_t state = seed ^ ((uint64_t)t->role << 32 | t->index);
        state = mllm_splitmix(&state);
        mllm_fill_normal(w, n, deviation, &state);
    }
}
