/* quantize.c - model files with fewer bits a weight.
 *
 * Q8_0 and Q4_0 as everybody has them, and Q4_0 whose scales were searched for (tensor/quant_search.c): the same container, the same
 * speed, a smaller error. With an importance matrix the error of a weight counts as much as the square of what it is multiplied with: for a
 * row w and inputs x whose columns are independent, E[(w.x - w'.x)^2] = sum_c E[x_c^2] (w_c - w'_c)^2. */
#include "importance.h"

#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/file_map.h"
#include "checkpoint_parts.h"

/* ------------------------------------------------------------- importance */

mllm_importance *mllm_importance_new(const mllm_blueprint *b) {
    static const mllm_role roles[] = {MLLM_W_Q, MLLM_W_O, MLLM_W_GATE, MLLM_W_DOWN, MLLM_W_HEAD};
    mllm_importance *m = mllm_calloc(1, sizeof *m);
    if (!m) return NULL;
    m->tied = b->tied_embedding;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        mllm_role role = roles[i];
        mllm_role_shape s = mllm_blueprint_shape(b, role == MLLM_W_HEAD ? MLLM_W_EMBEDDING : role);
        m->of[role].cols = s.cols;
        m->of[role].count = s.count;
        m->of[role].mean = mllm_calloc((size_t)s.count * s.cols, sizeof *m->of[role].mean);
        m->of[role].rows = mllm_calloc(s.count, sizeof *m->of[role].rows);
        if (!m->of[role].mean || !m->of[role].rows) {
            mllm_importance_free(m);
            return NULL;
        }
    }
    return m;
}

void mllm_importance_free(mllm_importance *m) {
    if (!m) return;
    for (int role = 0; role < MLLM_W_ROLES; role++) {
        mllm_free(m->of[role].mean);
        mllm_free(m->of[role].rows);
    }
    mllm_free(m);
}

void mllm_importance_add(mllm_importance *m, mllm_role role, uint32_t index, const float *x, size_t cols) {
    if (index >= m->of[role].count || cols != m->of[role].cols) return;
    float *mean = m->of[role].mean + index * cols;
    float share = 1.0f / (float)++m->of[role].rows[index];
    for (size_t c = 0; c < cols; c++) mean[c] += share * (x[c] * x[c] - mean[c]);
}

/* The role whose input a matrix reads; MLLM_W_ROLES: none that was looked at. */
static mllm_role reads(const mllm_importance *m, mllm_role role) {
    switch (role) {
    case MLLM_W_Q:
    case MLLM_W_K:
    case MLLM_W_V: return MLLM_W_Q;
    case MLLM_W_GATE:
    case MLLM_W_UP: return MLLM_W_GATE;
    case MLLM_W_O:
    case MLLM_W_DOWN:
    case MLLM_W_HEAD: return role;
    case MLLM_W_EMBEDDING: return m->tied ? MLLM_W_HEAD : MLLM_W_ROLES;
    default: return MLLM_W_ROLES;
    }
}

const float *mllm_importance_of(const mllm_importance *m, mllm_role role, uint32_t index, size_t *cols) {
    mllm_role by = reads(m, role);
    if (by == MLLM_W_ROLES || index >= m->of[by].count || m->of[by].rows[index] == 0) return NULL;
    *cols = m->of[by].cols;
    return m->of[by].mean + index * *cols;
}

/* ---------------------------------------------------------------- writing */

typedef struct {
    mllm_checkpoint *c;
    const mllm_importance *importance;
    mllm_type type, embedding;
    bool search;
    float *floats, *weights; /* a row; what its columns count */
} quantizing;

static bool is_embedding(mllm_role role) {
    return role == MLLM_W_EMBEDDING || role == MLLM_W_HEAD;
}

static mllm_type type_of(void *ctx, mllm_role role) {
    const quantizing *q = ctx;
    return is_embedding(role) ? q->embedding : q->type;
}

static bool row_of(void *ctx, mllm_role role, uint32_t index, size_t row, float *out) {
    return mllm_checkpoint_row(((quantizing *)ctx)->c, role, index, row, out);
}

/* A column that the text never used still counts a little: other texts may. */
static const float *column_weights(const quantizing *q, mllm_role role, uint32_t index) {
    size_t cols = 0;
    const float *mean = q->importance ? mllm_importance_of(q->importance, role, index, &cols) : NULL;
    if (!mean) return NULL;
    double sum = 0;
    for (size_t c = 0; c < cols; c++) sum += (double)mean[c];
    float least = (float)(sum / (double)cols * 1e-3);
    for (size_t c = 0; c < cols; c++) q->weights[c] = mean[c] + least;
    return sum > 0 ? q->weights : NULL;
}

static bool encode(void *ctx, mllm_role role, uint32_t index, size_t row, mllm_type type, void *out) {
    const quantizing *q = ctx;
    if (mllm_checkpoint_same_row(q->c, role, index, row, type, out)) return true;
    if (!q->search || type != MLLM_Q4_0 || !mllm_checkpoint_row(q->c, role, index, row, q->floats)) return false;
    size_t cols = mllm_checkpoint_tensor(q->c, role, index).cols;
    return mllm_quantize_row_search(q->floats, column_weights(q, role, index), out, cols);
}

static mllm_code check_importance(const mllm_blueprint *b, const mllm_importance *m, const char *path,
                                  mllm_error *err) {
    for (int role = 0; m && role < MLLM_W_ROLES; role++) {
        mllm_role_shape s = mllm_blueprint_shape(b, role == MLLM_W_HEAD ? MLLM_W_EMBEDDING : (mllm_role)role);
        if (m->of[role].mean && (s.cols != m->of[role].cols || s.count != m->of[role].count))
            return mllm_fail(err, MLLM_E_ARGUMENT, "%s: the importance comes from a model of another shape", path);
    }
    return MLLM_OK;
}

/* Rows of one matrix follow one another, and so does what they read: these are the longest of both. */
static mllm_code room(quantizing *q, const mllm_blueprint *b, mllm_error *err) {
    size_t longest = 1;
    for (int role = 0; role < MLLM_W_ROLES; role++) {
        mllm_role_shape s = mllm_blueprint_shape(b, (mllm_role)role);
        if (s.rows && s.cols > longest) longest = s.cols;
    }
    q->floats = mllm_alloc_array(longest, sizeof *q->floats);
    q->weights = mllm_alloc_array(longest, sizeof *q->weights);
    return q->floats && q->weights ? MLLM_OK : mllm_fail_memory(err, 2 * longest * sizeof(float), "a row of weights");
}

static mllm_code quantized_type(const char *name, bool floats, mllm_type *type, mllm_error *err) {
    mllm_code code = mllm_writable_type(name, type, err);
    if (code) return code;
    if (*type == MLLM_Q8_0 || *type == MLLM_Q4_0 || (floats && *type == MLLM_F16)) return MLLM_OK;
    return mllm_fail(err, MLLM_E_ARGUMENT, "quantize to %s%s, not %.40s", "q8_0 or q4_0",
                     floats ? " (embeddings also f16)" : "", name);
}

mllm_code mllm_quantize(const char *from, const char *to, const mllm_quantize_options *options, mllm_error *err) {
    mllm_quantize_options o = options ? *options : (mllm_quantize_options){0};
    if (!o.type) o.type = "q8_0";
    quantizing q = {.importance = o.importance, .search = o.search || o.importance};
    mllm_code code = quantized_type(o.type, false, &q.type, err);
    if (code == MLLM_OK)
        code = quantized_type(o.embedding ? o.embedding : o.type, o.embedding != NULL, &q.embedding, err);
    if (code) return code;
    if (q.search && q.type != MLLM_Q4_0 && q.embedding != MLLM_Q4_0)
        return mllm_fail(err, MLLM_E_ARGUMENT, "nothing to search: only the scales of q4_0 are searched for");
    if (mllm_file_is_same(from, to)) return mllm_fail(err, MLLM_E_ARGUMENT, "%s: the output is the input itself", to);
    mllm_error own = {0};
    q.c = mllm_checkpoint_open(from, false, &own);
    if (!q.c) return mllm_fail(err, own.code, "%s", own.message);
    code = check_importance(mllm_checkpoint_blueprint(q.c), q.importance, from, err);
    if (code == MLLM_OK) code = room(&q, mllm_checkpoint_blueprint(q.c), err);
    mllm_checkpoint_writing w = {
        .path = to, .type = q.type, .row = row_of, .ctx = &q, .type_of = type_of, .encode = encode, .packed = o.packed};
    if (code == MLLM_OK) code = mllm_checkpoint_rewrite(q.c, &w, err);
    mllm_free(q.floats);
    mllm_free(q.weights);
    mllm_checkpoint_close(q.c);
    return code;
}
