#include "pass.h"

#include <math.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"

/* What the forward pass of one step leaves for its backward pass. T = tokens of the pack. */
typedef struct {
    real *x; /* [T, width] input of the step */
    real *inverse; /* [T] of the attention norm */
    real *raw; /* [T, qkv] before q/k norms and rotation; only with q/k norms */
    real *heads; /* [T, heads + kv_heads] inverses of the q/k norms */
    real *qkv; /* [T, qkv] as the attention reads it */
    real *mixed; /* [T, heads * head_size] output of the attention */
    real *lse; /* [heads, T] */
    real *x2; /* [T, width] after attention */
    real *inverse2;
    real *gu; /* [T, 2 ffn_width] gate and up */
} saved_step;

struct mllm_pass {
    const mllm_blueprint *b;
    const mllm_layout *l;
    const mllm_adapters *adapters;
    const mllm_kernels *kernels;
    mllm_products products;
    mllm_pass_keep keep;
    /* of the run that is on */
    mllm_weights weights;
    real *gradients;
    size_t tokens, longest, chunk; /* chunk: rows of logits held at once */
    size_t qkv_width, q_width;
    saved_step *steps;
    real *memory;
    size_t floats;
    real *x_out; /* [T, width] after the last step */
    real *cosine, *sine; /* [longest, rope_size / 2] */
    real *h, *dh, *dx; /* [T, width] */
    real *act, *dact; /* [T, ffn_width] */
    real *wide; /* [T, max(2 ffn_width, qkv)] */
    real *dmixed; /* [T, heads * head_size] */
    real *picked, *dpicked; /* [chunk, width] */
    real *normed; /* [chunk, width] */
    real *picked_inverse; /* [chunk] */
    real *logits; /* [chunk, vocabulary] */
    real *soft, *taught; /* [vocabulary] */
    real *low, *dlow; /* [T, rank] */
    real *ignored; /* gradients of what is not trained, of norms */
    real *scores; /* 2 * TILE * longest */
    uint32_t *rows_of_chunk; /* [chunk] */
};

/* ------------------------------------------------------------- products */

static const real *weight_of(const mllm_pass *p, mllm_role role, uint32_t index) {
    return p->weights.params + mllm_layout_at(p->l, role, index);
}

/* Where the gradient of a parameter is added up. Of a frozen one: nowhere that is looked at. */
static real *gradient_of(const mllm_pass *p, mllm_role role, uint32_t index) {
    return p->adapters ? p->ignored : p->gradients + mllm_layout_at(p->l, role, index);
}

/* A matrix that is multiplied as one: `role` and the roles that follow it without a gap. */
static int parts_of(mllm_role role) {
    return role == MLLM_W_Q ? 3 : role == MLLM_W_GATE ? 2 : 1;
}

/* One adapter's part of a product: columns [at, at + rows) of Y are those of its matrix. */
typedef struct {
    size_t at, rows, rank;
    real scale;
    const real *a, *b; /* [rank, k], [rows, rank] */
    real *da, *db;
} adapter_part;

/* The adapter of the part-th of the roles that begin with `role`; `at` goes on by its rows. False: it has none. */
static bool adapter_of(const mllm_pass *p, mllm_role role, int part, uint32_t index, size_t *at, adapter_part *out) {
    mllm_role own = (mllm_role)((int)role + part);
    size_t rows = mllm_blueprint_shape(p->b, own).rows;
    *at += rows;
    if (!p->adapters || !mllm_adapted(p->adapters, own)) return false;
    const mllm_adapters *a = p->adapters;
    size_t shift = index * a->stride[own];
    *out = (adapter_part){.at = *at - rows,
                          .rows = rows,
                          .rank = a->o.rank,
                          .scale = (real)(a->o.alpha / a->o.rank),
                          .a = p->weights.adapters + a->a[own] + shift,
                          .b = p->weights.adapters + a->b[own] + shift,
                          .da = p->gradients ? p->gradients + a->a[own] + shift : NULL,
                          .db = p->gradients ? p->gradients + a->b[own] + shift : NULL};
    return true;
}

/* Y[t, n] = X[t, k] @ W[n, k]^T, added with `add`. */
static void linear(const mllm_pass *p, real *y, bool add, const real *x, mllm_role role, uint32_t index, size_t t,
                   size_t n, size_t k) {
    mllm_train_product(&p->products, false, true, t, n, k, 1, x, k, weight_of(p, role, index), k, add, y, n);
    adapter_part d;
    size_t at = 0;
    for (int i = 0; i < parts_of(role); i++)
        if (adapter_of(p, role, i, index, &at, &d)) {
            mllm_train_product(&p->products, false, true, t, d.rank, k, 1, x, k, d.a, k, 0, p->low, d.rank);
            mllm_train_product(&p->products, false, true, t, d.rows, d.rank, d.scale, p->low, d.rank, d.b, d.rank, 1,
                               y + d.at, n);
        }
}

/* dX[t, k] = dY[t, n] @ W[n, k] */
static void linear_input(const mllm_pass *p, real *dx, const real *dy, mllm_role role, uint32_t index, size_t t,
                         size_t n, size_t k) {
    mllm_train_product(&p->products, false, false, t, k, n, 1, dy, n, weight_of(p, role, index), k, 0, dx, k);
    adapter_part d;
    size_t at = 0;
    for (int i = 0; i < parts_of(role); i++)
        if (adapter_of(p, role, i, index, &at, &d)) {
            mllm_train_product(&p->products, false, false, t, d.rank, d.rows, d.scale, dy + d.at, n, d.b, d.rank, 0,
                               p->dlow, d.rank);
            mllm_train_product(&p->products, false, false, t, k, d.rank, 1, p->dlow, d.rank, d.a, k, 1, dx, k);
        }
}

/* dW[n, k] += dY^T @ X; of an adapter, with s its scale: dB += s dY^T (X A^T), dA += s (dY B)^T X */
static void linear_weight(const mllm_pass *p, const real *dy, const real *x, mllm_role role, uint32_t index, size_t t,
                          size_t n, size_t k) {
    if (!p->adapters) {
        mllm_train_product(&p->products, true, false, n, k, t, 1, dy, n, x, k, 1, gradient_of(p, role, index), k);
        return;
    }
    adapter_part d;
    size_t at = 0;
    for (int i = 0; i < parts_of(role); i++)
        if (adapter_of(p, role, i, index, &at, &d)) {
            mllm_train_product(&p->products, false, true, t, d.rank, k, 1, x, k, d.a, k, 0, p->low, d.rank);
            mllm_train_product(&p->products, true, false, d.rows, d.rank, t, d.scale, dy + d.at, n, p->low, d.rank, 1,
                               d.db, d.rank);
            mllm_train_product(&p->products, false, false, t, d.rank, d.rows, d.scale, dy + d.at, n, d.b, d.rank, 0,
                               p->dlow, d.rank);
            mllm_train_product(&p->products, true, false, d.rank, k, t, 1, p->dlow, d.rank, x, k, 1, d.da, k);
        }
}

/* --------------------------------------------------------------- memory */

/* Called twice: without memory it counts, with memory it deals out. */
static real *take(mllm_pass *p, size_t rows, size_t cols) {
    size_t n = (rows * cols + 15) / 16 * 16;
    real *at = p->memory ? p->memory + p->floats : NULL;
    p->floats += n;
    return at;
}

static void deal(mllm_pass *p) {
    const mllm_blueprint *b = p->b;
    size_t t = p->tokens, width = b->width;
    p->floats = 0;
    for (uint32_t i = 0; i < b->step_count; i++) {
        saved_step *s = &p->steps[i];
        if (i > 0 && p->keep != MLLM_KEEP_ALL) { /* all steps work in the same place */
            real *x = p->keep == MLLM_KEEP_INPUTS || i == 1 ? take(p, t, width) : p->steps[i - 2].x;
            *s = p->steps[0];
            s->x = x;
            continue;
        }
        s->x = take(p, t, width);
        s->inverse = take(p, t, 1);
        s->raw = b->qk_norm ? take(p, t, p->qkv_width) : NULL;
        s->heads = b->qk_norm ? take(p, t, b->heads + b->kv_heads) : NULL;
        s->qkv = take(p, t, p->qkv_width);
        s->mixed = take(p, t, p->q_width);
        s->lse = take(p, t, b->heads);
        s->x2 = take(p, t, width);
        s->inverse2 = take(p, t, 1);
        s->gu = take(p, t, 2 * (size_t)b->ffn_width);
    }
    p->x_out = take(p, t, width);
    p->cosine = take(p, p->longest, b->rope_size / 2);
    p->sine = take(p, p->longest, b->rope_size / 2);
    p->h = take(p, t, width);
    p->dh = take(p, t, width);
    p->dx = take(p, t, width);
    p->act = take(p, t, b->ffn_width);
    p->dact = take(p, t, b->ffn_width);
    p->wide = take(p, t, 2 * (size_t)b->ffn_width > p->qkv_width ? 2 * (size_t)b->ffn_width : p->qkv_width);
    p->dmixed = take(p, t, p->q_width);
    p->picked = take(p, p->chunk, width);
    p->dpicked = take(p, p->chunk, width);
    p->normed = take(p, p->chunk, width);
    p->picked_inverse = take(p, p->chunk, 1);
    p->logits = take(p, p->chunk, b->vocabulary);
    p->soft = take(p, 1, b->vocabulary);
    p->taught = take(p, 1, b->vocabulary);
    size_t rank = p->adapters ? p->adapters->o.rank : 0;
    p->low = take(p, t, rank);
    p->dlow = take(p, t, rank);
    p->ignored = take(p, 1, width > b->head_size ? width : b->head_size);
    p->scores = take(p, 2 * MLLM_ATTENTION_TILE, p->longest);
}

/* Angles per position. Source of the Llama 3 rule: Meta's reference code of Llama 3.1 (rope scaling), as in Hugging Face's
 * "llama3" rope type. */
static void fill_angles(mllm_pass *p) {
    const mllm_blueprint *b = p->b;
    size_t half = b->rope_size / 2;
    for (size_t i = 0; i < half; i++) {
        double frequency = pow(b->rope_base, -2.0 * (double)i / b->rope_size);
        if (b->rope_scaling == MLLM_ROPE_LINEAR) frequency /= b->rope_factor;
        if (b->rope_scaling == MLLM_ROPE_LLAMA3) {
            double wave = 6.283185307179586 / frequency, original = b->rope_original_context;
            double smooth = (original / wave - b->rope_low) / (b->rope_high - b->rope_low);
            smooth = smooth < 0 ? 0 : smooth > 1 ? 1 : smooth;
            frequency = frequency * smooth + frequency / b->rope_factor * (1 - smooth);
        }
        for (size_t t = 0; t < p->longest; t++) {
            p->cosine[t * half + i] = (real)cos((double)t * frequency);
            p->sine[t * half + i] = (real)sin((double)t * frequency);
        }
    }
}

static void set_shape(mllm_pass *p, const mllm_pass_shape *shape) {
    const mllm_blueprint *b = shape->blueprint;
    p->b = b;
    p->l = shape->layout;
    p->adapters = shape->adapters;
    p->products.bf16 = shape->bf16;
    p->keep = shape->keep;
    p->tokens = shape->tokens;
    p->longest = shape->longest;
    p->q_width = (size_t)b->heads * b->head_size;
    p->qkv_width = p->q_width + 2 * (size_t)b->kv_heads * b->head_size;
    p->chunk = ((size_t)1 << 20) / b->vocabulary; /* 4 MB of logits, but not too few rows for a product */
    p->chunk = p->chunk < 16 ? 16 : p->chunk > 256 ? 256 : p->chunk;
    if (p->chunk > p->tokens) p->chunk = p->tokens;
}

mllm_pass *mllm_pass_new(const mllm_pass_shape *shape, mllm_error *err) {
    const mllm_blueprint *b = shape->blueprint;
    mllm_pass *p = mllm_calloc(1, sizeof *p);
    if (!p) {
        mllm_fail_memory(err, sizeof *p, "a training pass");
        return NULL;
    }
    p->kernels = MLLM_REAL(mllm_train_kernels)();
    set_shape(p, shape);
    /* A token's share of a step is below 2^20 numbers for every blueprint within its bounds times 2^13; refuse what
     * could not be counted in size_t before counting it. */
    if (p->tokens > ((size_t)1 << 24) || p->longest > p->tokens) {
        mllm_fail(err, MLLM_E_LIMIT, "a training pass of %zu tokens; at most %d", p->tokens, 1 << 24);
        goto failed;
    }
    p->steps = mllm_calloc(b->step_count, sizeof *p->steps);
    p->rows_of_chunk = mllm_calloc(p->chunk, sizeof *p->rows_of_chunk);
    if (!p->steps || !p->rows_of_chunk) {
        mllm_fail_memory(err, b->step_count * sizeof *p->steps, "a training pass");
        goto failed;
    }
    if (shape->bf16 && !(p->products.panels = mllm_alloc_aligned(mllm_product_words() * 4))) {
        mllm_fail_memory(err, mllm_product_words() * 4, "panels of products");
        goto failed;
    }
    deal(p);
    p->memory = p->floats <= SIZE_MAX / 2 / sizeof(real) ? mllm_alloc_aligned(p->floats * sizeof(real)) : NULL;
    if (!p->memory) {
        mllm_fail_memory(err, p->floats * sizeof(real), "the activations of a training pass");
        goto failed;
    }
    deal(p);
    fill_angles(p);
    return p;
failed:
    mllm_pass_free(p);
    return NULL;
}

void mllm_pass_free(mllm_pass *p) {
    if (!p) return;
    mllm_free_aligned(p->memory);
    mllm_free_aligned(p->products.panels);
    mllm_free(p->steps);
    mllm_free(p->rows_of_chunk);
    mllm_free(p);
}

size_t mllm_pass_bytes(const mllm_pass_shape *shape) {
    mllm_pass p = {0};
    set_shape(&p, shape);
    p.steps = mllm_calloc(p.b->step_count, sizeof *p.steps);
    if (!p.steps) return 0;
    deal(&p);
    mllm_free(p.steps);
    return p.floats * sizeof(real) + (shape->bf16 ? mllm_product_words() * 4 : 0);
}

/* -------------------------------------------------------------- forward */

static mllm_attention attention_of(const mllm_pass *p, const mllm_pack *pack, const mllm_step *step) {
    return (mllm_attention){p->kernels,      &p->products, pack,      p->b->heads, p->b->kv_heads,
                            p->b->head_size, step->window, p->scores, p->longest};
}

static void add_bias(const mllm_pass *p, real *y, const real *bias, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) p->kernels->add(y + r * n, bias, n);
}

static void add_columns(const mllm_pass *p, real *sum, const real *y, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++) p->kernels->add(sum, y + r * n, n);
}

/* Norms of the q and k heads, one head at a time: out and the inverses from raw. */
static void head_norms(const mllm_pass *p, uint32_t block, const saved_step *s, size_t t) {
    const mllm_blueprint *b = p->b;
    size_t size = b->head_size, all = b->heads + b->kv_heads;
    for (size_t h = 0; h < all; h++) {
        mllm_role role = h < b->heads ? MLLM_W_Q_NORM : MLLM_W_K_NORM;
        p->kernels->rms(s->qkv + h * size, p->qkv_width, s->heads + h, all, s->raw + h * size, p->qkv_width,
                        weight_of(p, role, block), t, size, (real)b->norm_epsilon);
    }
    for (size_t i = 0; i < t; i++)
        memcpy(s->qkv + i * p->qkv_width + all * size, s->raw + i * p->qkv_width + all * size,
               b->kv_heads * size * sizeof(real));
}

/* Without x_next only what the backward pass of the step needs. */
static void forward_step(mllm_pass *p, const mllm_pack *pack, uint32_t index, real *x_next) {
    const mllm_blueprint *b = p->b;
    const mllm_step *step = &b->steps[index];
    const saved_step *s = &p->steps[index];
    const mllm_kernels *k = p->kernels;
    size_t t = pack->tokens, width = b->width, ffn = b->ffn_width;
    k->rms(p->h, width, s->inverse, 1, s->x, width, weight_of(p, MLLM_W_ATTENTION_NORM, step->block), t, width,
           (real)b->norm_epsilon);
    real *qkv = b->qk_norm ? s->raw : s->qkv;
    linear(p, qkv, false, p->h, MLLM_W_Q, step->block, t, p->qkv_width, width);
    if (b->qkv_bias) add_bias(p, qkv, weight_of(p, MLLM_W_Q_BIAS, step->block), t, p->qkv_width);
    if (b->qk_norm) head_norms(p, step->block, s, t);
    if (step->rope)
        k->rope(s->qkv, p->qkv_width, t, b->heads + b->kv_heads, b->head_size, b->rope_size, b->rope_interleaved, false,
                p->cosine, p->sine, pack->position);
    mllm_attention a = attention_of(p, pack, step);
    mllm_attention_forward(&a, s->qkv, s->mixed, s->lse);
    memcpy(s->x2, s->x, t * width * sizeof(real));
    linear(p, s->x2, true, s->mixed, MLLM_W_O, step->block, t, width, p->q_width);
    if (b->output_bias) add_bias(p, s->x2, weight_of(p, MLLM_W_O_BIAS, step->block), t, width);

    k->rms(p->h, width, s->inverse2, 1, s->x2, width, weight_of(p, MLLM_W_FFN_NORM, step->block), t, width,
           (real)b->norm_epsilon);
    linear(p, s->gu, false, p->h, MLLM_W_GATE, step->ffn, t, 2 * ffn, width);
    if (!x_next) return;
    k->swiglu(p->act, s->gu, t, ffn);
    memcpy(x_next, s->x2, t * width * sizeof(real));
    linear(p, x_next, true, p->act, MLLM_W_DOWN, step->ffn, t, width, ffn);
}

static void forward(mllm_pass *p, const mllm_pack *pack) {
    const mllm_blueprint *b = p->b;
    size_t width = b->width;
    const real *embedding = weight_of(p, MLLM_W_EMBEDDING, 0);
    for (size_t t = 0; t < pack->tokens; t++)
        memcpy(p->steps[0].x + t * width, embedding + (size_t)pack->ids[t] * width, width * sizeof(real));
    for (uint32_t i = 0; i < b->step_count; i++)
        forward_step(p, pack, i, i + 1 < b->step_count ? p->steps[i + 1].x : p->x_out);
}

static mllm_role head_role(const mllm_blueprint *b) {
    return b->tied_embedding ? MLLM_W_EMBEDDING : MLLM_W_HEAD;
}

/* Norms `count` rows of x_out and multiplies them by the output embedding. */
static void head_forward(mllm_pass *p, size_t count) {
    const mllm_blueprint *b = p->b;
    size_t width = b->width;
    for (size_t i = 0; i < count; i++)
        memcpy(p->picked + i * width, p->x_out + p->rows_of_chunk[i] * width, width * sizeof(real));
    p->kernels->rms(p->normed, width, p->picked_inverse, 1, p->picked, width, weight_of(p, MLLM_W_OUTPUT_NORM, 0),
                    count, width, (real)b->norm_epsilon);
    linear(p, p->logits, false, p->normed, head_role(b), 0, count, b->vocabulary, width);
}

/* ------------------------------------------------------------- backward */

/* Row i of the logits becomes its share of the gradient; returns the loss of the position. With a teacher, whose logits the row of its
 * pass holds: d/dz of T^2 KL(q || p), p = softmax(z / T), q = softmax(y / T), is T (p - q). */
static double row_loss(mllm_pass *p, const mllm_teaching *teaching, size_t i, size_t target, real weight) {
    const mllm_kernels *k = p->kernels;
    size_t n = p->b->vocabulary;
    real *z = p->logits + i * n;
    if (!teaching) return (double)k->cross_entropy(z, n, target, weight);
    const real *y = teaching->pass->logits + i * n;
    real warm = teaching->temperature, mix = teaching->mix;
    for (size_t j = 0; j < n; j++) p->soft[j] = z[j] / warm, p->taught[j] = y[j] / warm;
    double lse = (double)k->softmax(p->soft, n), lse_taught = (double)k->softmax(p->taught, n), divergence = 0;
    for (size_t j = 0; j < n; j++)
        divergence += (double)p->taught[j] * ((double)(y[j] - z[j]) / (double)warm + lse - lse_taught);
    double hard = (double)k->cross_entropy(z, n, target, weight * (1 - mix));
    real share = weight * mix * warm;
    for (size_t j = 0; j < n; j++) z[j] += share * (p->soft[j] - p->taught[j]);
    return (1 - (double)mix) * hard + (double)mix * (double)warm * (double)warm * divergence;
}

/* Loss of the rows in rows_of_chunk; with gradients also those of the head, and dx of these rows. */
static void head_chunk(mllm_pass *p, const mllm_pack *pack, real scale, size_t count, const mllm_teaching *teaching,
                       mllm_pass_result *result) {
    const mllm_blueprint *b = p->b;
    size_t width = b->width, vocabulary = b->vocabulary;
    head_forward(p, count);
    if (teaching) {
        memcpy(teaching->pass->rows_of_chunk, p->rows_of_chunk, count * sizeof *p->rows_of_chunk);
        head_forward(teaching->pass, count);
    }
    for (size_t i = 0; i < count; i++) {
        size_t t = p->rows_of_chunk[i], target = (size_t)pack->targets[t];
        if (!p->gradients) result->right += p->kernels->argmax(p->logits + i * vocabulary, vocabulary) == target;
        result->loss += (double)pack->weight[t] * row_loss(p, teaching, i, target, pack->weight[t] * scale);
        result->weight += (double)pack->weight[t];
    }
    result->scored += count;
    if (!p->gradients) return;
    mllm_role role = head_role(b);
    linear_weight(p, p->logits, p->normed, role, 0, count, vocabulary, width);
    linear_input(p, p->dpicked, p->logits, role, 0, count, vocabulary, width);
    p->kernels->rms_back(p->dpicked, width, false, gradient_of(p, MLLM_W_OUTPUT_NORM, 0), p->dpicked, width,
                         p->picked_inverse, 1, p->picked, width, weight_of(p, MLLM_W_OUTPUT_NORM, 0), count, width);
    for (size_t i = 0; i < count; i++)
        memcpy(p->dx + p->rows_of_chunk[i] * width, p->dpicked + i * width, width * sizeof(real));
}

static void head(mllm_pass *p, const mllm_pack *pack, real scale, const mllm_teaching *teaching,
                 mllm_pass_result *result) {
    size_t count = 0;
    if (p->gradients) memset(p->dx, 0, pack->tokens * p->b->width * sizeof(real));
    for (uint32_t t = 0; t < pack->tokens; t++) {
        if (pack->weight[t] > 0) p->rows_of_chunk[count++] = t;
        if (count == p->chunk || (count && t + 1 == pack->tokens)) {
            head_chunk(p, pack, scale, count, teaching, result);
            count = 0;
        }
    }
}

static void head_norms_back(const mllm_pass *p, uint32_t block, const saved_step *s, size_t t, real *dqkv) {
    const mllm_blueprint *b = p->b;
    size_t size = b->head_size, all = b->heads + b->kv_heads;
    for (size_t h = 0; h < all; h++) {
        mllm_role role = h < b->heads ? MLLM_W_Q_NORM : MLLM_W_K_NORM;
        p->kernels->rms_back(dqkv + h * size, p->qkv_width, false, gradient_of(p, role, block), dqkv + h * size,
                             p->qkv_width, s->heads + h, all, s->raw + h * size, p->qkv_width,
                             weight_of(p, role, block), t, size);
    }
}

/* p->dx holds the gradient of the step's output and becomes that of its input. */
static void backward_step(mllm_pass *p, const mllm_pack *pack, uint32_t index) {
    const mllm_blueprint *b = p->b;
    const mllm_step *step = &b->steps[index];
    const saved_step *s = &p->steps[index];
    const mllm_kernels *k = p->kernels;
    size_t t = pack->tokens, width = b->width, ffn = b->ffn_width;
    real eps = (real)b->norm_epsilon;

    /* x_next = x2 + down(swiglu(gu)), gu = gate_up(norm(x2)) */
    linear_input(p, p->dact, p->dx, MLLM_W_DOWN, step->ffn, t, width, ffn);
    real *dgu = p->wide;
    k->swiglu_back(p->act, dgu, p->dact, s->gu, t, ffn);
    linear_weight(p, p->dx, p->act, MLLM_W_DOWN, step->ffn, t, width, ffn);
    const real *w = weight_of(p, MLLM_W_FFN_NORM, step->block);
    k->rms(p->h, width, s->inverse2, 1, s->x2, width, w, t, width, eps);
    linear_weight(p, dgu, p->h, MLLM_W_GATE, step->ffn, t, 2 * ffn, width);
    linear_input(p, p->dh, dgu, MLLM_W_GATE, step->ffn, t, 2 * ffn, width);
    k->rms_back(p->dx, width, true, gradient_of(p, MLLM_W_FFN_NORM, step->block), p->dh, width, s->inverse2, 1, s->x2,
                width, w, t, width);

    /* x2 = x + o(attention(qkv(norm(x)))) */
    if (b->output_bias && !p->adapters) add_columns(p, gradient_of(p, MLLM_W_O_BIAS, step->block), p->dx, t, width);
    linear_weight(p, p->dx, s->mixed, MLLM_W_O, step->block, t, width, p->q_width);
    linear_input(p, p->dmixed, p->dx, MLLM_W_O, step->block, t, width, p->q_width);
    real *dqkv = p->wide;
    mllm_attention a = attention_of(p, pack, step);
    mllm_attention_backward(&a, s->qkv, s->mixed, s->lse, p->dmixed, dqkv);
    if (step->rope)
        k->rope(dqkv, p->qkv_width, t, b->heads + b->kv_heads, b->head_size, b->rope_size, b->rope_interleaved, true,
                p->cosine, p->sine, pack->position);
    if (b->qk_norm) head_norms_back(p, step->block, s, t, dqkv);
    if (b->qkv_bias && !p->adapters) add_columns(p, gradient_of(p, MLLM_W_Q_BIAS, step->block), dqkv, t, p->qkv_width);
    w = weight_of(p, MLLM_W_ATTENTION_NORM, step->block);
    k->rms(p->h, width, s->inverse, 1, s->x, width, w, t, width, eps);
    linear_weight(p, dqkv, p->h, MLLM_W_Q, step->block, t, p->qkv_width, width);
    linear_input(p, p->dh, dqkv, MLLM_W_Q, step->block, t, p->qkv_width, width);
    k->rms_back(p->dx, width, true, gradient_of(p, MLLM_W_ATTENTION_NORM, step->block), p->dh, width, s->inverse, 1,
                s->x, width, w, t, width);
}

void mllm_pass_run(mllm_pass *p, const mllm_weights *weights, mllm_real *gradients, const mllm_pack *pack,
                   mllm_real scale, const mllm_teaching *teaching, mllm_pass_result *result) {
    p->weights = *weights;
    p->gradients = gradients;
    if (teaching) {
        teaching->pass->weights = teaching->weights;
        forward(teaching->pass, pack);
    }
    forward(p, pack);
    head(p, pack, scale, teaching, result);
    result->tokens += pack->tokens;
    if (!gradients) return;
    for (uint32_t i = p->b->step_count; i--;) {
        /* The last step's activations are still there. */
        if (p->keep == MLLM_KEEP_INPUTS && i + 1 < p->b->step_count) forward_step(p, pack, i, NULL);
        backward_step(p, pack, i);
    }
    if (p->adapters) return;
    real *embedding = gradient_of(p, MLLM_W_EMBEDDING, 0);
    size_t width = p->b->width;
    for (size_t t = 0; t < pack->tokens; t++)
        p->kernels->add(embedding + (size_t)pack->ids[t] * width, p->dx + t * width, width);
}

void mllm_pass_logits(mllm_pass *p, const mllm_weights *weights, const mllm_pack *pack, size_t at, mllm_real *logits) {
    bool bf16 = p->products.bf16;
    p->products.bf16 = false;
    p->weights = *weights;
    p->gradients = NULL;
    forward(p, pack);
    p->rows_of_chunk[0] = (uint32_t)at;
    head_forward(p, 1);
    memcpy(logits, p->logits, p->b->vocabulary * sizeof *logits);
    p->products.bf16 = bf16;
}
