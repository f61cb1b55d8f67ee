/* forward.c - the blocks of a model over a slice of tokens, as the blueprint lists them:
 *
 *   x = embedding[token]
 *   for each step:  x += O attention(rope(norm(x) Q), rope(norm(x) K), norm(x) V)
 *                   x += Down (silu(Gate norm(x)) * (Up norm(x)))
 *   logits = Head norm(x)
 *
 * One function runs on every thread of the team. Products are split by rows of the weights, attention by heads or by positions;
 * barriers stand where a thread reads what another wrote. With one token each thread prepares activations for itself: that is
 * cheaper than meeting. */
#include <math.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "session.h"

typedef struct {
    mllm_session *s;
    const mllm_token *tokens;
    size_t count; /* rows */
    size_t position; /* of the first row */
} slice;

static size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

/* ------------------------------------------------------------- workspace */

/* The same bytes of eight rows are read together. A first cache of 64 sets of 64 bytes, as nearly all are, has room for them and for the weights that
 * pass when rows begin at different eighths of it: at odd multiples of 512. At 4096 bytes and one line, they would all lie in the same sets. */
static size_t spread(size_t row_bytes) {
    enum { EIGHTH = 512 };
    return ((row_bytes + EIGHTH - 1) / EIGHTH | 1) * EIGHTH;
}

void mllm_workspace_free(mllm_workspace *w) {
    void *parts[] = {w->x, w->qkv, w->attended, w->hidden, w->cosine, w->sine, w->prepared, w->scratch};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) mllm_free_aligned(parts[i]);
    *w = (mllm_workspace){0};
}

static mllm_code workspace_fit(mllm_session *s, size_t rows, mllm_error *err) {
    mllm_workspace *w = &s->work;
    if (rows <= w->rows) return MLLM_OK;
    const mllm_blueprint *b = s->model->blueprint;
    const mllm_kernel *k = s->model->kernel;
    size_t threads = (size_t)mllm_team_size(s->model->team), inner = (size_t)b->heads * b->head_size;
    size_t widest = max_size(max_size(b->width, inner), b->ffn_width);
    mllm_workspace n = {.rows = rows};
    n.prepared_stride = spread(k->prepared_bytes(widest));
    size_t attention = mllm_attention_scratch(b->head_size);
    n.scratch_stride = (max_size(k->scratch_bytes(widest), max_size(attention, widest * sizeof(float))) + 63) / 64 * 64;
    n.x = mllm_alloc_aligned(rows * b->width * sizeof(float));
    n.qkv = mllm_alloc_aligned(rows * (b->heads + 2 * (size_t)b->kv_heads) * b->head_size * sizeof(float));
    n.attended = mllm_alloc_aligned(rows * inner * sizeof(float));
    n.hidden = mllm_alloc_aligned(rows * 2 * b->ffn_width * sizeof(float));
    n.cosine = mllm_alloc_aligned((rows * b->rope_size / 2 + 1) * sizeof(float));
    n.sine = mllm_alloc_aligned((rows * b->rope_size / 2 + 1) * sizeof(float));
    n.prepared = mllm_alloc_aligned(max_size(rows, threads) * n.prepared_stride);
    n.scratch = mllm_alloc_aligned(threads * n.scratch_stride);
    if (!n.x || !n.qkv || !n.attended || !n.hidden || !n.cosine || !n.sine || !n.prepared || !n.scratch) {
        mllm_workspace_free(&n);
        return mllm_fail_memory(err, rows * (widest * 6) * sizeof(float), "the forward pass");
    }
    mllm_workspace_free(w);
    *w = n;
    return MLLM_OK;
}

/* ------------------------------------------------------------ one thread */

typedef struct {
    const slice *job;
    mllm_session *s;
    const mllm_model *model;
    const mllm_blueprint *b;
    mllm_workspace *w;
    int rank, size;
    size_t from, to; /* this thread's rows where work is split by rows */
    void *scratch;
} thread;

static void meet(const thread *t) {
    mllm_team_barrier(t->model->team, t->size);
}

/* Shows rows to whoever watches, as prepare sees them. Nobody writes to x until all threads have prepared it. */
static void show(const thread *t, mllm_role role, uint32_t index, const float *x, size_t ldx, size_t cols,
                 const float *norm) {
    float *normed = t->scratch;
    if (t->rank != 0) return;
    for (size_t i = 0; i < t->job->count; i++) {
        if (norm) mllm_rms_norm(x + i * ldx, norm, t->b->norm_epsilon, cols, normed);
        t->s->watch.see(t->s->watch.ctx, role, index, norm ? normed : x + i * ldx, cols);
    }
}

/* Turns rows of floats (row i at x + i * ldx) into the kernel's form, with a norm first when `norm` is given; returns the prepared rows. Meets
 * when rows are shared. */
static const void *prepare(const thread *t, const float *x, size_t ldx, size_t cols, const float *norm) {
    const mllm_kernel *k = t->model->kernel;
    mllm_workspace *w = t->w;
    float *normed = t->scratch;
    if (t->job->count == 1) {
        char *mine = w->prepared + (size_t)t->rank * w->prepared_stride;
        if (norm) k->rms_norm(x, norm, t->b->norm_epsilon, cols, normed);
        k->prepare(norm ? normed : x, cols, mine);
        return mine;
    }
    for (size_t i = t->from; i < t->to; i++) {
        if (norm) k->rms_norm(x + i * ldx, norm, t->b->norm_epsilon, cols, normed);
        k->prepare(norm ? normed : x + i * ldx, cols, w->prepared + i * w->prepared_stride);
    }
    meet(t);
    return w->prepared;
}

/* y[i, r] (+)= W x + bias for this thread's rows of W; returns them in *from, *to. */
static void product(const thread *t, const mllm_matrix *m, const float *bias, const void *x, float *y, size_t ldy,
                    bool add, size_t *from, size_t *to) {
    const mllm_kernel *k = t->model->kernel;
    size_t a, z, count = t->job->count;
    mllm_team_part(m->stored.rows, k->grain, t->rank, t->size, &a, &z);
    if (z > a) k->product(m, a, z, x, t->w->prepared_stride, count, y, ldy, add, t->scratch);
    if (bias)
        for (size_t i = 0; i < count; i++)
            for (size_t r = a; r < z; r++) y[i * ldy + r] += bias[r];
    if (from) *from = a, *to = z;
}

/* Norms and rotates the heads of row i and stores its keys and values. Heads are split when there is one row, rows otherwise. */
static void place(const thread *t, const mllm_block *block, const mllm_step *step, size_t i, uint32_t from,
                  uint32_t to) {
    const mllm_blueprint *b = t->b;
    size_t hs = b->head_size, kv = b->kv_heads, ld = (b->heads + 2 * kv) * hs;
    float *row = t->w->qkv + i * ld;
    const float *cosine = t->w->cosine + i * b->rope_size / 2, *sine = t->w->sine + i * b->rope_size / 2;
    mllm_kv_cache *c = &t->s->cache;
    for (uint32_t h = from; h < to; h++) { /* q heads, then k heads, then v heads */
        float *head = row + h * hs;
        bool q = h < b->heads, k = !q && h < b->heads + kv;
        const float *norm = q ? block->q_norm : k ? block->k_norm : NULL;
        if (norm) {
            mllm_rms_norm(head, norm, b->norm_epsilon, hs, t->scratch);
            memcpy(head, t->scratch, hs * sizeof(float));
        }
        if ((q || k) && step->rope) mllm_rope(head, cosine, sine, b->rope_size, b->rope_interleaved);
        if (q) continue;
        uint32_t g = h - b->heads - (k ? 0 : b->kv_heads);
        size_t at = t->job->position + i;
        t->model->kernel->store(c->type, head, b->head_size, !k, mllm_kv_head(c, step->kv_slot, !k, g, at),
                                at % MLLM_KV_CHUNK);
    }
}

/* Attention of query heads [from, to), all of KV head g, in rows [i, end): softmax(q K^T / sqrt(head_size)) V over the positions each row
 * sees. Chunks that all rows see whole are taken together, the others row by row. */
enum { ROWS = 16, GROUP = 16 };
static void attend(const thread *t, const mllm_step *step, size_t i, size_t end, uint32_t g, uint32_t from,
                   uint32_t to) {
    const mllm_blueprint *b = t->b;
    const mllm_kv_cache *c = &t->s->cache;
    size_t hs = b->head_size, ld = (b->heads + 2 * (size_t)b->kv_heads) * hs, inner = b->heads * hs, rows = end - i;
    size_t first[ROWS] = {0}, seen[ROWS] = {0}; /* row k sees positions [first, seen) */
    for (size_t k = 0; k < rows; k++) {
        seen[k] = t->job->position + i + k + 1;
        first[k] = step->window && seen[k] > step->window ? seen[k] - step->window : 0;
    }
    for (uint32_t h = from; h < to; h += GROUP) {
        float max[ROWS * GROUP], sum[ROWS * GROUP];
        uint32_t heads = to - h < GROUP ? to - h : GROUP;
        mllm_attention all = {.q = t->w->qkv + i * ld + h * hs, .out = t->w->attended + i * inner + h * hs};
        all.max = max;
        all.sum = sum;
        all.q_stride = ld;
        all.out_stride = inner;
        all.rows = (uint32_t)rows;
        all.heads = heads;
        all.head_size = b->head_size;
        all.scale = 1.0f / sqrtf((float)hs);
        for (size_t k = 0; k < rows * heads; k++) max[k] = -INFINITY, sum[k] = 0;
        for (size_t k = 0; k < rows; k++) memset(all.out + k * inner, 0, heads * hs * sizeof(float));
        for (size_t chunk = first[0] - first[0] % MLLM_KV_CHUNK; chunk < seen[rows - 1]; chunk += MLLM_KV_CHUNK) {
            const void *keys = mllm_kv_head(c, step->kv_slot, false, g, chunk),
                       *values = mllm_kv_head(c, step->kv_slot, true, g, chunk);
            bool together = first[rows - 1] <= chunk && seen[0] >= chunk + MLLM_KV_CHUNK;
            for (size_t k = 0; k < (together ? 1 : rows); k++) {
                size_t low = first[k] > chunk ? first[k] - chunk : 0;
                size_t high = seen[k] < chunk + MLLM_KV_CHUNK ? seen[k] : chunk + MLLM_KV_CHUNK;
                if (high <= chunk + low) continue;
                mllm_attention a = all;
                if (!together) {
                    a.rows = 1;
                    a.q += k * ld;
                    a.out += k * inner;
                    a.max += k * heads;
                    a.sum += k * heads;
                }
                t->model->kernel->attend(c->type, &a, keys, values, (uint32_t)low, (uint32_t)(high - chunk),
                                         t->scratch);
            }
        }
        for (size_t k = 0; k < rows * heads; k++) {
            float inverse = 1.0f / sum[k], *out = all.out + k / heads * inner + k % heads * hs;
            for (size_t d = 0; d < hs; d++) out[d] *= inverse;
        }
    }
}

/* Many rows: some of them with one KV head are a piece of work, small enough that there are several for each thread. Later rows see more, so
 * the pieces are dealt out to and fro. */
static void attend_all(const thread *t, const mllm_step *step) {
    size_t count = t->job->count, kv = t->b->kv_heads, size = (size_t)t->size, rows = ROWS;
    if (size > 1 && count * kv < rows * 4 * size) rows = count * kv / (4 * size) > 1 ? count * kv / (4 * size) : 1;
    size_t tiles = (count + rows - 1) / rows;
    uint32_t group = t->b->heads / t->b->kv_heads;
    for (size_t turn = 0;; turn++) {
        size_t piece = turn * size + (turn % 2 ? size - 1 - (size_t)t->rank : (size_t)t->rank);
        if (turn * size >= tiles * kv) break;
        if (piece >= tiles * kv) continue;
        size_t i = piece / kv * rows, end = i + rows < count ? i + rows : count;
        uint32_t g = (uint32_t)(piece % kv);
        attend(t, step, i, end, g, g * group, (g + 1) * group);
    }
}

static void run_step(const thread *t, const mllm_step *step) {
    const mllm_blueprint *b = t->b;
    const mllm_block *block = &t->model->blocks[step->block];
    const mllm_ffn *ffn = &t->model->ffns[step->ffn];
    mllm_workspace *w = t->w;
    size_t count = t->job->count, hs = b->head_size, inner = b->heads * hs, kv = b->kv_heads * hs, ld = inner + 2 * kv;
    uint32_t heads = b->heads + 2 * b->kv_heads;

    if (t->s->watch.see) show(t, MLLM_W_Q, step->block, w->x, b->width, b->width, block->attention_norm);
    const void *x = prepare(t, w->x, b->width, b->width, block->attention_norm);
    product(t, &block->q, block->q_bias, x, w->qkv, ld, false, NULL, NULL);
    product(t, &block->k, block->k_bias, x, w->qkv + inner, ld, false, NULL, NULL);
    product(t, &block->v, block->v_bias, x, w->qkv + inner + kv, ld, false, NULL, NULL);
    meet(t);

    if (count == 1) {
        size_t from, to;
        mllm_team_part(heads, 1, t->rank, t->size, &from, &to);
        place(t, block, step, 0, (uint32_t)from, (uint32_t)to);
        meet(t);
        mllm_team_part(b->heads, 1, t->rank, t->size, &from, &to);
        uint32_t group = b->heads / b->kv_heads;
        for (uint32_t h = (uint32_t)from, end; h < to; h = end) {
            end = (h / group + 1) * group < to ? (h / group + 1) * group : (uint32_t)to;
            attend(t, step, 0, 1, h / group, h, end);
        }
    } else {
        for (size_t i = t->from; i < t->to; i++) place(t, block, step, i, 0, heads);
        meet(t);
        attend_all(t, step);
    }
    meet(t);

    if (t->s->watch.see) show(t, MLLM_W_O, step->block, w->attended, inner, inner, NULL);
    x = prepare(t, w->attended, inner, inner, NULL);
    product(t, &block->o, block->o_bias, x, w->x, b->width, true, NULL, NULL);
    meet(t);

    if (t->s->watch.see) show(t, MLLM_W_GATE, step->ffn, w->x, b->width, b->width, block->ffn_norm);
    x = prepare(t, w->x, b->width, b->width, block->ffn_norm);
    size_t from, to, two = 2 * (size_t)b->ffn_width;
    product(t, &ffn->gate, NULL, x, w->hidden, two, false, &from, &to);
    product(t, &ffn->up, NULL, x, w->hidden + b->ffn_width, two, false, NULL, NULL);
    for (size_t i = 0; i < count && to > from; i++)
        t->model->kernel->swiglu(w->hidden + i * two + from, w->hidden + i * two + b->ffn_width + from, to - from);
    meet(t);

    if (t->s->watch.see) show(t, MLLM_W_DOWN, step->ffn, w->hidden, two, b->ffn_width, NULL);
    x = prepare(t, w->hidden, two, b->ffn_width, NULL);
    product(t, &ffn->down, NULL, x, w->x, b->width, true, NULL, NULL);
    meet(t);
}

static thread thread_of(const slice *job, int rank, int size) {
    mllm_session *s = job->s;
    thread t = {
        .job = job, .s = s, .model = s->model, .b = s->model->blueprint, .w = &s->work, .rank = rank, .size = size};
    t.scratch = s->work.scratch + (size_t)rank * s->work.scratch_stride;
    mllm_team_part(job->count, 1, rank, size, &t.from, &t.to);
    return t;
}

static void run_slice(void *ctx, int rank, int size) {
    const slice *job = ctx;
    thread t = thread_of(job, rank, size);
    const mllm_blueprint *b = t.b;
    const mllm_tensor *e = &t.model->embedding;
    size_t half = b->rope_size / 2;
    for (size_t i = t.from; i < t.to; i++) {
        mllm_tensor_row(e, (size_t)job->tokens[i], t.w->x + i * b->width);
        for (size_t d = 0; d < half; d++) {
            double angle = (double)(job->position + i) * (double)t.model->frequencies[d];
            t.w->cosine[i * half + d] = (float)cos(angle);
            t.w->sine[i * half + d] = (float)sin(angle);
        }
    }
    meet(&t);
    for (uint32_t i = 0; i < b->step_count; i++) run_step(&t, &b->steps[i]);
}

mllm_code mllm_forward(mllm_session *s, const mllm_token *tokens, size_t count, mllm_error *err) {
    /* The next size that divides well, so that a growing prompt does not reallocate at every call. */
    size_t rows = count == 1 ? 1 : count <= 16 ? 16 : count <= 64 ? 64 : MLLM_SLICE;
    mllm_code code = workspace_fit(s, rows, err);
    if (code != MLLM_OK) return code;
    slice job = {.s = s, .tokens = tokens, .count = count, .position = s->count};
    mllm_team_run(s->model->team, run_slice, &job);
    return MLLM_OK;
}

/* -------------------------------------------------------------- the head */

void mllm_forward_norm(mllm_session *s, size_t row, float *out) {
    const mllm_blueprint *b = s->model->blueprint;
    mllm_rms_norm(s->work.x + row * b->width, s->model->output_norm, b->norm_epsilon, b->width, out);
}

typedef struct {
    slice rows;
    const float *normed;
    const mllm_token *ids; /* NULL: the whole vocabulary */
    size_t id_count;
    float *y;
} head_job;

static void run_head(void *ctx, int rank, int size) {
    const head_job *job = ctx;
    thread t = thread_of(&job->rows, rank, size);
    if (t.s->watch.see) show(&t, MLLM_W_HEAD, 0, job->normed, t.b->width, t.b->width, NULL);
    const void *x = prepare(&t, job->normed, t.b->width, t.b->width, NULL);
    if (!job->ids) {
        product(&t, &t.model->head, NULL, x, job->y, t.b->vocabulary, false, NULL, NULL);
        return;
    }
    size_t from, to;
    mllm_team_part(job->id_count, 16, rank, size, &from, &to);
    if (to > from)
        t.model->kernel->product_rows(&t.model->head, job->ids + from, to - from, x, job->y + from, t.scratch);
}

mllm_code mllm_forward_head(mllm_session *s, const float *normed, size_t count, float *y, mllm_error *err) {
    head_job job = {.rows = {.s = s, .count = count}, .normed = normed, .y = y};
    mllm_code code = workspace_fit(s, count, err);
    if (code == MLLM_OK) mllm_team_run(s->model->team, run_head, &job);
    return code;
}

mllm_code mllm_forward_head_rows(mllm_session *s, const float *normed, const mllm_token *ids, size_t count, float *y,
                                 mllm_error *err) {
    head_job job = {.rows = {.s = s, .count = 1}, .normed = normed, .ids = ids, .id_count = count, .y = y};
    mllm_code code = workspace_fit(s, 1, err);
    if (code == MLLM_OK) mllm_team_run(s->model->team, run_head, &job);
    return code;
}
