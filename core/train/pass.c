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
    const mllm_kernels *kernels;
    mllm_products products;
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
    real *scores; /* 2 * TILE * longest */
    uint32_t *rows_of_chunk; /* [chunk] */
};

/* Y[t, n] = X[t, k] @ W[n, k]^T */
static void forward_product(const mllm_pass *p, real *y, const real *x, const real *w, size_t t, size_t n, size_t k) {
    mllm_train_product(&p->products, false, true, t, n, k, 1, x, k, w, k, 0, y, n);
}

/* dX[t, k] = dY[t, n] @ W[n, k] (added with `add`);  dW[n, k] += dY^T @ X */
static void backward_product(const mllm_pass *p, real *dx, bool add, real *dw, const real *dy, const real *x,
                             const real *w, size_t t, size_t n, size_t k) {
    mllm_train_product(&p->products, true, false, n, k, t, 1, dy, n, x, k, 1, dw, k);
    mllm_train_product(&p->products, false, false, t, k, n, 1, dy, n, w, k, add, dx, k);
}

static const real *weight_of(const mllm_pass *p, const real *params, mllm_role role, uint32_t index) {
    return params + mllm_layout_at(p->l, role, index);
}

static real *gradient_of(const mllm_pass *p, real *gradients, mllm_role role, uint32_t index) {
    return gradients + mllm_layout_at(p->l, role, index);
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

mllm_pass *mllm_pass_new(const mllm_blueprint *b, const mllm_layout *l, size_t tokens, size_t longest, bool bf16,
                         mllm_error *err) {
    mllm_pass *p = mllm_calloc(1, sizeof *p);
    if (!p) {
        mllm_fail_memory(err, sizeof *p, "a training pass");
        return NULL;
    }
    p->b = b;
    p->l = l;
    p->kernels = MLLM_REAL(mllm_train_kernels)();
    p->products.bf16 = bf16;
    p->tokens = tokens;
    p->longest = longest;
    p->q_width = (size_t)b->heads * b->head_size;
    p->qkv_width = p->q_width + 2 * (size_t)b->kv_heads * b->head_size;
    p->chunk = ((size_t)1 << 20) / b->vocabulary; /* 4 MB of logits, but not too few rows for a product */
    p->chunk = p->chunk < 16 ? 16 : p->chunk > 256 ? 256 : p->chunk;
    if (p->chunk > tokens) p->chunk = tokens;
    /* A token's share of a step is below 2^20 numbers for every blueprint within its bounds times 2^13; refuse what
     * could not be counted in size_t before counting it. */
    if (tokens > ((size_t)1 << 24) || longest > tokens) {
        mllm_fail(err, MLLM_E_LIMIT, "a training pass of %zu tokens; at most %d", tokens, 1 << 24);
        goto failed;
    }
    p->steps = mllm_calloc(b->step_count, sizeof *p->steps);
    p->rows_of_chunk = mllm_calloc(p->chunk, sizeof *p->rows_of_chunk);
    if (!p->steps || !p->rows_of_chunk) {
        mllm_fail_memory(err, b->step_count * sizeof *p->steps, "a training pass");
        goto failed;
    }
    if (bf16 && !(p->products.panels = mllm_alloc_aligned(mllm_product_words() * 4))) {
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

size_t mllm_pass_bytes(const mllm_pass *p) {
    return p->floats * sizeof(real);
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
static void head_norms(const mllm_pass *p, const real *params, uint32_t block, const saved_step *s, size_t t) {
    const mllm_blueprint *b = p->b;
    size_t size = b->head_size, all = b->heads + b->kv_heads;
    for (size_t h = 0; h < all; h++) {
        mllm_role role = h < b->heads ? MLLM_W_Q_NORM : MLLM_W_K_NORM;
        p->kernels->rms(s->qkv + h * size, p->qkv_width, s->heads + h, all, s->raw + h * size, p->qkv_width,
                        weight_of(p, params, role, block), t, size, (real)b->norm_epsilon);
    }
    for (size_t i = 0; i < t; i++)
        memcpy(s->qkv + i * p->qkv_width + all * size, s->raw + i * p->qkv_width + all * size,
               b->kv_heads * size * sizeof(real));
}

static void forward_step(mllm_pass *p, const real *params, const mllm_pack *pack, uint32_t index, real *x_next) {
    const mllm_blueprint *b = p->b;
    const mllm_step *step = &b->steps[index];
    const saved_step *s = &p->steps[index];
    const mllm_kernels *k = p->kernels;
    size_t t = pack->tokens, width = b->width, ffn = b->ffn_width;
    k->rms(p->h, width, s->inverse, 1, s->x, width, weight_of(p, params, MLLM_W_ATTENTION_NORM, step->block), t, width,
           (real)b->norm_epsilon);
    real *qkv = b->qk_norm ? s->raw : s->qkv;
    forward_product(p, qkv, p->h, weight_of(p, params, MLLM_W_Q, step->block), t, p->qkv_width, width);
    if (b->qkv_bias) add_bias(p, qkv, weight_of(p, params, MLLM_W_Q_BIAS, step->block), t, p->qkv_width);
    if (b->qk_norm) head_norms(p, params, step->block, s, t);
    if (step->rope)
        k->rope(s->qkv, p->qkv_width, t, b->heads + b->kv_heads, b->head_size, b->rope_size, b->rope_interleaved, false,
                p->cosine, p->sine, pack->position);
    mllm_attention a = attention_of(p, pack, step);
    mllm_attention_forward(&a, s->qkv, s->mixed, s->lse);
    memcpy(s->x2, s->x, t * width * sizeof(real));
    mllm_train_product(&p->products, false, true, t, width, p->q_width, 1, s->mixed, p->q_width,
                       weight_of(p, params, MLLM_W_O, step->block), p->q_width, 1, s->x2, width);
    if (b->output_bias) add_bias(p, s->x2, weight_of(p, params, MLLM_W_O_BIAS, step->block), t, width);

    k->rms(p->h, width, s->inverse2, 1, s->x2, width, weight_of(p, params, MLLM_W_FFN_NORM, step->block), t, width,
           (real)b->norm_epsilon);
    forward_product(p, s->gu, p->h, weight_of(p, params, MLLM_W_GATE, step->ffn), t, 2 * ffn, width);
    k->swiglu(p->act, s->gu, t, ffn);
    memcpy(x_next, s->x2, t * width * sizeof(real));
    mllm_train_product(&p->products, false, true, t, width, ffn, 1, p->act, ffn,
                       weight_of(p, params, MLLM_W_DOWN, step->ffn), ffn, 1, x_next, width);
}

static void forward(mllm_pass *p, const real *params, const mllm_pack *pack) {
    const mllm_blueprint *b = p->b;
    size_t width = b->width;
    const real *embedding = weight_of(p, params, MLLM_W_EMBEDDING, 0);
    for (size_t t = 0; t < pack->tokens; t++)
        memcpy(p->steps[0].x + t * width, embedding + (size_t)pack->ids[t] * width, width * sizeof(real));
    for (uint32_t i = 0; i < b->step_count; i++)
        forward_step(p, params, pack, i, i + 1 < b->step_count ? p->steps[i + 1].x : p->x_out);
}

static mllm_role head_role(const mllm_blueprint *b) {
    return b->tied_embedding ? MLLM_W_EMBEDDING : MLLM_W_HEAD;
}

/* Norms `count` rows of x_out and multiplies them by the output embedding. */
static void head_forward(mllm_pass *p, const real *params, size_t count) {
    const mllm_blueprint *b = p->b;
    size_t width = b->width;
    for (size_t i = 0; i < count; i++)
        memcpy(p->picked + i * width, p->x_out + p->rows_of_chunk[i] * width, width * sizeof(real));
    p->kernels->rms(p->normed, width, p->picked_inverse, 1, p->picked, width,
                    weight_of(p, params, MLLM_W_OUTPUT_NORM, 0), count, width, (real)b->norm_epsilon);
    forward_product(p, p->logits, p->normed, weight_of(p, params, head_role(b), 0), count, b->vocabulary, width);
}

/* ------------------------------------------------------------- backward */

/* Loss of the rows in rows_of_chunk; with gradients also those of the head, and dx of these rows. */
static void head_chunk(mllm_pass *p, const real *params, real *gradients, const mllm_pack *pack, real scale,
                       size_t count, mllm_pass_result *result) {
    const mllm_blueprint *b = p->b;
    size_t width = b->width, vocabulary = b->vocabulary;
    head_forward(p, params, count);
    for (size_t i = 0; i < count; i++) {
        size_t t = p->rows_of_chunk[i], target = (size_t)pack->targets[t];
        real *row = p->logits + i * vocabulary;
        if (!gradients) result->right += p->kernels->argmax(row, vocabulary) == target;
        double loss = (double)p->kernels->cross_entropy(row, vocabulary, target, pack->weight[t] * scale);
        result->loss += (double)pack->weight[t] * loss;
        result->weight += (double)pack->weight[t];
    }
    result->scored += count;
    if (!gradients) return;
    mllm_role role = head_role(b);
    backward_product(p, p->dpicked, false, gradient_of(p, gradients, role, 0), p->logits, p->normed,
                     weight_of(p, params, role, 0), count, vocabulary, width);
    p->kernels->rms_back(p->dpicked, width, false, gradient_of(p, gradients, MLLM_W_OUTPUT_NORM, 0), p->dpicked, width,
                         p->picked_inverse, 1, p->picked, width, weight_of(p, params, MLLM_W_OUTPUT_NORM, 0), count,
                         width);
    for (size_t i = 0; i < count; i++)
        memcpy(p->dx + p->rows_of_chunk[i] * width, p->dpicked + i * width, width * sizeof(real));
}

static void head(mllm_pass *p, const real *params, real *gradients, const mllm_pack *pack, real scale,
                 mllm_pass_result *result) {
    size_t count = 0;
    if (gradients) memset(p->dx, 0, pack->tokens * p->b->width * sizeof(real));
    for (uint32_t t = 0; t < pack->tokens; t++) {
        if (pack->weight[t] > 0) p->rows_of_chunk[count++] = t;
        if (count == p->chunk || (count && t + 1 == pack->tokens)) {
            head_chunk(p, params, gradients, pack, scale, count, result);
            count = 0;
        }
    }
}

static void head_norms_back(const mllm_pass *p, const real *params, real *gradients, uint32_t block,
                            const saved_step *s, size_t t, real *dqkv) {
    const mllm_blueprint *b = p->b;
    size_t size = b->head_size, all = b->heads + b->kv_heads;
    for (size_t h = 0; h < all; h++) {
        mllm_role role = h < b->heads ? MLLM_W_Q_NORM : MLLM_W_K_NORM;
        p->kernels->rms_back(dqkv + h * size, p->qkv_width, false, gradient_of(p, gradients, role, block),
                             dqkv + h * size, p->qkv_width, s->heads + h, all, s->raw + h * size, p->qkv_width,
                             weight_of(p, params, role, block), t, size);
    }
}

/* p->dx holds the gradient of the step's output and becomes that of its input. */
static void backward_step(mllm_pass *p, const real *params, real *gradients, const mllm_pack *pack, uint32_t index) {
    const mllm_blueprint *b = p->b;
    const mllm_step *step = &b->steps[index];
    const saved_step *s = &p->steps[index];
    const mllm_kernels *k = p->kernels;
    size_t t = pack->tokens, width = b->width, ffn = b->ffn_width;
    real eps = (real)b->norm_epsilon;

    /* x_next = x2 + down(swiglu(gu)), gu = gate_up(norm(x2)) */
    const real *w = weight_of(p, params, MLLM_W_DOWN, step->ffn);
    mllm_train_product(&p->products, false, false, t, ffn, width, 1, p->dx, width, w, ffn, 0, p->dact, ffn);
    real *dgu = p->wide;
    k->swiglu_back(p->act, dgu, p->dact, s->gu, t, ffn);
    mllm_train_product(&p->products, true, false, width, ffn, t, 1, p->dx, width, p->act, ffn, 1,
                       gradient_of(p, gradients, MLLM_W_DOWN, step->ffn), ffn);
    w = weight_of(p, params, MLLM_W_FFN_NORM, step->block);
    k->rms(p->h, width, s->inverse2, 1, s->x2, width, w, t, width, eps);
    backward_product(p, p->dh, false, gradient_of(p, gradients, MLLM_W_GATE, step->ffn), dgu, p->h,
                     weight_of(p, params, MLLM_W_GATE, step->ffn), t, 2 * ffn, width);
    k->rms_back(p->dx, width, true, gradient_of(p, gradients, MLLM_W_FFN_NORM, step->block), p->dh, width, s->inverse2,
                1, s->x2, width, w, t, width);

    /* x2 = x + o(attention(qkv(norm(x)))) */
    if (b->output_bias) add_columns(p, gradient_of(p, gradients, MLLM_W_O_BIAS, step->block), p->dx, t, width);
    backward_product(p, p->dmixed, false, gradient_of(p, gradients, MLLM_W_O, step->block), p->dx, s->mixed,
                     weight_of(p, params, MLLM_W_O, step->block), t, width, p->q_width);
    real *dqkv = p->wide;
    mllm_attention a = attention_of(p, pack, step);
    mllm_attention_backward(&a, s->qkv, s->mixed, s->lse, p->dmixed, dqkv);
    if (step->rope)
        k->rope(dqkv, p->qkv_width, t, b->heads + b->kv_heads, b->head_size, b->rope_size, b->rope_interleaved, true,
                p->cosine, p->sine, pack->position);
    if (b->qk_norm) head_norms_back(p, params, gradients, step->block, s, t, dqkv);
    if (b->qkv_bias) add_columns(p, gradient_of(p, gradients, MLLM_W_Q_BIAS, step->block), dqkv, t, p->qkv_width);
    w = weight_of(p, params, MLLM_W_ATTENTION_NORM, step->block);
    k->rms(p->h, width, s->inverse, 1, s->x, width, w, t, width, eps);
    backward_product(p, p->dh, false, gradient_of(p, gradients, MLLM_W_Q, step->block), dqkv, p->h,
                     weight_of(p, params, MLLM_W_Q, step->block), t, p->qkv_width, width);
    k->rms_back(p->dx, width, true, gradient_of(p, gradients, MLLM_W_ATTENTION_NORM, step->block), p->dh, width,
                s->inverse, 1, s->x, width, w, t, width);
}

void mllm_pass_run(mllm_pass *p, const mllm_real *params, mllm_real *gradients, const mllm_pack *pack, mllm_real scale,
                   mllm_pass_result *result) {
    forward(p, params, pack);
    head(p, params, gradients, pack, scale, result);
    result->tokens += pack->tokens;
    if (!gradients) return;
    for (uint32_t i = p->b->step_count; i--;) backward_step(p, params, gradients, pack, i);
    real *embedding = gradient_of(p, gradients, MLLM_W_EMBEDDING, 0);
    size_t width = p->b->width;
    for (size_t t = 0; t < pack->tokens; t++)
        p->kernels->add(embedding + (size_t)pack->ids[t] * width, p->dx + t * width, width);
}

void mllm_pass_logits(mllm_pass *p, const mllm_real *params, const mllm_pack *pack, size_t at, mllm_real *logits) {
    bool bf16 = p->products.bf16;
    p->products.bf16 = false;
    forward(p, params, pack);
    p->rows_of_chunk[0] = (uint32_t)at;
    head_forward(p, params, 1);
    memcpy(logits, p->logits, p->b->vocabulary * sizeof *logits);
    p->products.bf16 = bf16;
}
