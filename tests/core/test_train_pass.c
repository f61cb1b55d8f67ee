/* Gradients of training. The pass is compiled here a second time in double precision, where central differences are good to
 * ten digits; the float pass of the library is then compared with the double one. */
#define MLLM_TRAIN_DOUBLE 1
#include "../../core/train/kernels.c"
#include "../../core/train/attention.c"
#include "../../core/train/pass.c"
#include "../../core/train/product.c"

#include "bf16_product.h"
#include "test.h"

/* The float twins. */
#undef mllm_pass_new
#undef mllm_pass_free
#undef mllm_pass_run
typedef struct {
    int32_t *ids, *targets;
    float *weight;
    uint32_t *position, *starts;
    uint32_t rows, tokens;
} float_pack;
typedef struct {
    const float *params, *adapters;
} float_weights;
mllm_pass *mllm_pass_new(const mllm_pass_shape *shape, mllm_error *err);
void mllm_pass_free(mllm_pass *p);
void mllm_pass_run(mllm_pass *p, const float_weights *weights, float *gradients, const float_pack *pack, float scale,
                   const void *teaching, mllm_pass_result *result);

enum { MAX_TOKENS = 200 };

typedef struct {
    mllm_blueprint b;
    mllm_layout l;
    float *params32, *adapters32;
    double *params, *adapters, *gradients;
    mllm_adapters lora; /* floats 0: none */
    mllm_teaching *teaching;
    mllm_pass_keep keep;
    mllm_pack pack;
    int32_t ids[MAX_TOKENS], targets[MAX_TOKENS];
    double weight[MAX_TOKENS];
    uint32_t position[MAX_TOKENS], starts[8];
} bench;

static mllm_blueprint small_shape(void) {
    mllm_blueprint b;
    memset(&b, 0, sizeof b);
    b.vocabulary = 37;
    b.width = 20;
    b.heads = 4;
    b.kv_heads = 2;
    b.head_size = 6;
    b.ffn_width = 26;
    b.context = 256;
    b.blocks = 2;
    b.norm_epsilon = 1e-5f;
    b.rope_base = 100;
    b.rope_size = 6;
    b.rope_factor = 1;
    b.tied_embedding = true;
    return b;
}

static void bench_open(bench *t, mllm_blueprint b, uint32_t passes, bool shared_ffn, const uint32_t *lengths,
                       uint32_t rows) {
    memset(t, 0, sizeof *t);
    mllm_error err;
    t->b = b;
    CHECK(mllm_blueprint_make_steps(&t->b, passes, shared_ffn, &err) == MLLM_OK);
    CHECK(mllm_layout_init(&t->l, &t->b, &err) == MLLM_OK);
    t->params32 = calloc(t->l.floats, sizeof(float));
    t->params = calloc(t->l.floats, sizeof(double));
    t->gradients = calloc(t->l.floats, sizeof(double));
    mllm_layout_randomize(&t->l, &t->b, 7, t->params32);
    uint64_t state = 99;
    for (size_t e = 0; e < t->l.count; e++) { /* larger than at the start of training, so that nothing is near zero */
        const mllm_layout_entry *w = &t->l.entries[e];
        for (size_t i = 0; i < w->rows * w->cols; i++)
            t->params32[w->offset + i] = t->params32[w->offset + i] * (mllm_role_decays(w->role) ? 6 : 1) +
                                         0.3f * ((float)(mllm_splitmix(&state) >> 40) / (float)(1 << 24) - 0.5f);
    }
    for (size_t i = 0; i < t->l.floats; i++) t->params[i] = (double)t->params32[i];
    uint32_t at = 0;
    for (uint32_t r = 0; r < rows; r++) {
        t->starts[r] = at;
        for (uint32_t i = 0; i < lengths[r]; i++, at++) {
            t->ids[at] = (int32_t)(mllm_splitmix(&state) % b.vocabulary);
            t->targets[at] = (int32_t)(mllm_splitmix(&state) % b.vocabulary);
            t->weight[at] = i % 3 == 0 ? 0 : i % 3 == 1 ? 1 : 0.25;
            t->position[at] = i;
        }
    }
    t->starts[rows] = at;
    t->pack = (mllm_pack){t->ids, t->targets, t->weight, t->position, t->starts, rows, at};
}

static mllm_pass_shape shape_of(const bench *t, bool bf16) {
    return (mllm_pass_shape){&t->b,   &t->l, t->lora.floats ? &t->lora : NULL, t->pack.tokens, t->pack.tokens,
                             t->keep, bf16};
}

static mllm_weights weights_of(const bench *t) {
    return (mllm_weights){t->params, t->adapters};
}

static mllm_pass *open_pass(const bench *t) {
    mllm_error err;
    mllm_pass_shape shape = shape_of(t, false);
    mllm_pass *p = mllm_pass_new_f64(&shape, &err);
    CHECK(p, "%s", err.message);
    return p;
}

/* Adapters of this rank with values in A and in B. */
static void adapt(bench *t, uint32_t rank, uint32_t targets) {
    mllm_error err;
    mllm_lora o = {rank, 5, targets};
    CHECK(mllm_adapters_init(&t->lora, &t->b, &o, &err) == MLLM_OK, "%s", err.message);
    t->adapters32 = calloc(t->lora.floats, sizeof(float));
    t->adapters = calloc(t->lora.floats, sizeof(double));
    free(t->gradients);
    t->gradients = calloc(t->lora.floats, sizeof(double));
    mllm_adapters_randomize(&t->lora, &t->b, 3, t->adapters32);
    uint64_t state = 17;
    for (int r = 0; r < MLLM_W_ROLES; r++) {
        if (!mllm_adapted(&t->lora, (mllm_role)r)) continue;
        mllm_role_shape s = mllm_blueprint_shape(&t->b, (mllm_role)r);
        for (uint32_t i = 0; i < s.count; i++) {
            float *b = t->adapters32 + t->lora.b[r] + i * t->lora.stride[r];
            for (size_t j = 0; j < s.rows * rank; j++) CHECK(b[j] == 0, "B must start at zero");
            mllm_fill_normal(b, s.rows * rank, 0.1, &state);
        }
    }
    for (size_t i = 0; i < t->lora.floats; i++) t->adapters[i] = (double)t->adapters32[i];
}

static void bench_close(bench *t) {
    free(t->adapters32);
    free(t->adapters);
    free(t->params32);
    free(t->params);
    free(t->gradients);
    mllm_layout_free(&t->l);
    mllm_blueprint_free(&t->b);
}

static double loss_of(mllm_pass *p, bench *t) {
    mllm_pass_result r = {0};
    mllm_weights w = weights_of(t);
    mllm_pass_run_f64(p, &w, NULL, &t->pack, 1, t->teaching, &r);
    return r.loss;
}

/* What is trained, as a list of tensors: those of the layout, or A and B of each adapter. */
typedef struct {
    int role;
    unsigned index;
    size_t offset, count;
} trained_tensor;

static size_t list_trained(const bench *t, trained_tensor *out) {
    size_t n = 0;
    if (!t->lora.floats) {
        for (; n < t->l.count; n++) {
            const mllm_layout_entry *w = &t->l.entries[n];
            out[n] = (trained_tensor){(int)w->role, w->index, w->offset, w->rows * w->cols};
        }
        return n;
    }
    for (int r = 0; r < MLLM_W_ROLES; r++) {
        mllm_role_shape s = mllm_blueprint_shape(&t->b, (mllm_role)r);
        for (uint32_t i = 0; mllm_adapted(&t->lora, (mllm_role)r) && i < s.count; i++) {
            size_t shift = i * t->lora.stride[r];
            out[n++] = (trained_tensor){r, i, t->lora.a[r] + shift, s.cols * t->lora.o.rank};
            out[n++] = (trained_tensor){r, i, t->lora.b[r] + shift, s.rows * t->lora.o.rank};
        }
    }
    return n;
}

/* The library's float pass, with products in float or bfloat16, against the double one: every tensor's gradient. */
static void compare_float(const char *what, const bench *t, double loss, bool bf16, double tolerance) {
    mllm_error err = {0};
    float *gradients = calloc(t->l.floats + t->lora.floats, sizeof(float)), weight[MAX_TOKENS];
    int32_t ids[MAX_TOKENS], targets[MAX_TOKENS];
    uint32_t position[MAX_TOKENS], starts[8];
    memcpy(ids, t->ids, sizeof ids);
    memcpy(targets, t->targets, sizeof targets);
    memcpy(position, t->position, sizeof position);
    memcpy(starts, t->starts, sizeof starts);
    for (uint32_t i = 0; i < t->pack.tokens; i++) weight[i] = (float)t->weight[i];
    float_pack pack = {ids, targets, weight, position, starts, t->pack.rows, t->pack.tokens};
    mllm_pass_shape shape = shape_of(t, bf16);
    mllm_pass *p = mllm_pass_new(&shape, &err);
    CHECK(p, "%s", err.message);
    mllm_pass_result r = {0};
    float_weights weights = {t->params32, t->adapters32};
    mllm_pass_run(p, &weights, gradients, &pack, 1, NULL, &r);
    CHECK(fabs(r.loss - loss) < tolerance * loss, "%s: loss %.9g in float, %.9g in double", what, r.loss, loss);
    double worst = 0;
    trained_tensor list[256];
    size_t tensors = list_trained(t, list);
    for (size_t e = 0; e < tensors; e++) {
        const trained_tensor *w = &list[e];
        double difference = 0, norm = 0;
        for (size_t i = w->offset; i < w->offset + w->count; i++) {
            double d = (double)gradients[i] - t->gradients[i];
            difference += d * d;
            norm += t->gradients[i] * t->gradients[i];
        }
        double error = sqrt(difference / norm);
        CHECK(error < tolerance, "%s: role %d index %u: %s is off by %.3g", what, (int)w->role, (unsigned)w->index,
              bf16 ? "bfloat16" : "float", error);
        if (error > worst) worst = error;
    }
    printf("%s: worst tensor %.2g in %s\n", what, worst, bf16 ? "bfloat16" : "float");
    free(gradients);
    mllm_pass_free(p);
}

/* Central differences at up to `per_tensor` places of every tensor; then the float pass against the double one. */
static void check_gradients(const char *what, bench *t, size_t per_tensor) {
    mllm_pass *p = open_pass(t);
    if (!p) return;
    mllm_pass_result r = {0};
    mllm_weights weights = weights_of(t);
    mllm_pass_run_f64(p, &weights, t->gradients, &t->pack, 1, t->teaching, &r);
    double largest = 0, *values = t->lora.floats ? t->adapters : t->params;
    uint64_t state = 5;
    trained_tensor list[256];
    size_t tensors = list_trained(t, list);
    for (size_t e = 0; e < tensors; e++) {
        const trained_tensor *w = &list[e];
        size_t n = w->count;
        double norm = 0;
        for (size_t i = 0; i < n; i++) norm += t->gradients[w->offset + i] * t->gradients[w->offset + i];
        norm = sqrt(norm / (double)n);
        CHECK(norm > 1e-6, "%s: tensor %d of %u has no gradient", what, (int)w->role, (unsigned)w->index);
        for (size_t i = 0; i < n && i < per_tensor; i++) {
            size_t at = w->offset + (n <= per_tensor ? i : mllm_splitmix(&state) % n);
            double kept = values[at], step = 1e-4;
            values[at] = kept + step;
            double up = loss_of(p, t);
            values[at] = kept - step;
            double down = loss_of(p, t);
            values[at] = kept + 2 * step;
            double up2 = loss_of(p, t);
            values[at] = kept - 2 * step;
            double down2 = loss_of(p, t);
            values[at] = kept;
            double slope = (8 * (up - down) - (up2 - down2)) / (12 * step); /* fourth order */
            double error = fabs(slope - t->gradients[at]) / (fabs(slope) + norm);
            CHECK(error < 1e-6, "%s: role %d index %u place %zu: %.12g, differences say %.12g", what, (int)w->role,
                  (unsigned)w->index, at - w->offset, t->gradients[at], slope);
            if (error > largest) largest = error;
        }
    }
    mllm_pass_free_f64(p);
    if (!t->teaching) compare_float(what, t, r.loss, false, 2e-5);
    if (!t->teaching && mllm_product_has_bf16()) compare_float(what, t, r.loss, true, t->lora.floats ? 8e-2 : 4e-2);
    printf("%s: worst place %.2g against differences\n", what, largest);
}
static const uint32_t two_rows[] = {9, 5};

static void test_tied(void) {
    bench t;
    bench_open(&t, small_shape(), 1, false, two_rows, 2);
    check_gradients("tied, GQA, two rows", &t, 25);
    bench_close(&t);
}

static void test_untied(void) {
    bench t;
    mllm_blueprint b = small_shape();
    b.tied_embedding = false;
    bench_open(&t, b, 1, false, two_rows, 2);
    check_gradients("untied", &t, 25);
    bench_close(&t);
}

static void test_ls(void) {
    bench t;
    bench_open(&t, small_shape(), 2, false, two_rows, 2);
    CHECK(t.b.step_count == 4 && t.b.blocks == 2);
    check_gradients("blocks executed twice", &t, 25);
    bench_close(&t);
}

static void test_shared_ffn(void) {
    bench t;
    mllm_blueprint b = small_shape();
    b.blocks = 3;
    b.tied_embedding = false;
    bench_open(&t, b, 1, true, two_rows, 2);
    CHECK(t.b.ffns == 1);
    check_gradients("one FFN", &t, 25);
    bench_close(&t);
}

static void test_bias_and_norms(void) {
    bench t;
    mllm_blueprint b = small_shape();
    b.qkv_bias = b.output_bias = true;
    bench_open(&t, b, 1, false, two_rows, 2);
    check_gradients("biases", &t, 25);
    bench_close(&t);
    b.qkv_bias = b.output_bias = false;
    b.qk_norm = true;
    bench_open(&t, b, 1, false, two_rows, 2);
    check_gradients("q/k norms", &t, 25);
    bench_close(&t);
}

static void test_rope(void) {
    bench t;
    mllm_blueprint b = small_shape();
    b.rope_interleaved = true;
    b.rope_size = 4; /* two of six dimensions stay */
    bench_open(&t, b, 1, false, two_rows, 2);
    check_gradients("interleaved, partial rotation", &t, 25);
    bench_close(&t);
    b = small_shape();
    b.rope_scaling = MLLM_ROPE_LINEAR;
    b.rope_factor = 2;
    bench_open(&t, b, 1, false, two_rows, 2);
    check_gradients("linear scaling", &t, 12);
    bench_close(&t);
    b.rope_scaling = MLLM_ROPE_LLAMA3;
    b.rope_low = 1;
    b.rope_high = 4;
    b.rope_original_context = 32;
    bench_open(&t, b, 1, false, two_rows, 2);
    check_gradients("llama 3 scaling", &t, 12);
    bench_close(&t);
}

static void test_window_and_no_rope(void) {
    bench t;
    bench_open(&t, small_shape(), 1, false, two_rows, 2);
    t.b.steps[0].window = 3;
    t.b.steps[1].rope = false;
    check_gradients("window of 3, a step without positions", &t, 25);
    bench_close(&t);
}

/* Rows longer than a tile of queries, with and without a window. */
static void test_tiles(void) {
    const uint32_t lengths[] = {70, 3, 66};
    bench t;
    mllm_blueprint b = small_shape();
    b.vocabulary = 11;
    b.blocks = 1;
    bench_open(&t, b, 2, false, lengths, 3);
    t.b.steps[1].window = 10;
    check_gradients("several tiles", &t, 6);
    bench_close(&t);
}

/* A token of one row changes nothing in another row, to the last bit; and in its own row only what comes after it. */
static void test_packing(void) {
    const uint32_t lengths[] = {9, 5};
    bench t;
    bench_open(&t, small_shape(), 2, false, lengths, 2);
    mllm_pass *p = open_pass(&t);
    mllm_weights w = weights_of(&t);
    double before[14][37], after[37];
    for (size_t i = 0; i < 14; i++) mllm_pass_logits_f64(p, &w, &t.pack, i, before[i]);
    t.ids[4] = (t.ids[4] + 1) % 37;
    for (size_t i = 0; i < 14; i++) {
        mllm_pass_logits_f64(p, &w, &t.pack, i, after);
        bool same = memcmp(after, before[i], sizeof after) == 0;
        CHECK(same == (i < 4 || i >= 9), "position %zu %s", i, same ? "stayed" : "changed");
    }
    /* The second row alone gives what it gives in the pack. */
    double packed[37];
    mllm_pass_logits_f64(p, &w, &t.pack, 13, packed);
    uint32_t starts[] = {0, 5};
    mllm_pack alone = {t.ids + 9, t.targets + 9, t.weight + 9, t.position + 9, starts, 1, 5};
    mllm_pass_logits_f64(p, &w, &alone, 4, after);
    for (size_t i = 0; i < 37; i++) CHECK(fabs(after[i] - packed[i]) < 1e-12);
    mllm_pass_free_f64(p);
    bench_close(&t);
}

/* What has weight 0 does not count: its target may be anything. Twice the weight is twice the loss. */
static void test_mask(void) {
    bench t;
    bench_open(&t, small_shape(), 1, false, two_rows, 2);
    mllm_pass *p = open_pass(&t);
    double loss = loss_of(p, &t);
    for (uint32_t i = 0; i < t.pack.tokens; i++)
        if (t.weight[i] == 0) t.targets[i] = (t.targets[i] + 1) % 37;
    CHECK(loss_of(p, &t) == loss);
    for (uint32_t i = 0; i < t.pack.tokens; i++)
        if (t.weight[i] == 0.25) t.targets[i] = (t.targets[i] + 1) % 37;
    CHECK(loss_of(p, &t) != loss);
    loss = loss_of(p, &t);
    for (uint32_t i = 0; i < t.pack.tokens; i++) t.weight[i] *= 2;
    CHECK(fabs(loss_of(p, &t) - 2 * loss) < 1e-12 * loss);
    for (uint32_t i = 0; i < t.pack.tokens; i++) t.weight[i] = 0;
    CHECK(loss_of(p, &t) == 0);
    mllm_pass_free_f64(p);
    bench_close(&t);
}

/* Adapters: their gradients, and that merged into the weights they give the same loss. */
static void check_adapters(const char *what, bench *t, uint32_t rank, uint32_t targets) {
    adapt(t, rank, targets);
    check_gradients(what, t, 12);
    mllm_pass *p = open_pass(t);
    double loss = loss_of(p, t);
    mllm_pass_free_f64(p);
    for (size_t e = 0; e < t->l.count; e++) {
        const mllm_layout_entry *w = &t->l.entries[e];
        for (size_t row = 0; row < w->rows; row++) {
            float *at = t->params32 + w->offset + row * w->cols;
            mllm_adapters_merge_row(&t->lora, &t->b, t->adapters32, w->role, w->index, row, at);
        }
    }
    for (size_t i = 0; i < t->l.floats; i++) t->params[i] = (double)t->params32[i];
    size_t floats = t->lora.floats;
    t->lora.floats = 0;
    p = open_pass(t);
    double merged = loss_of(p, t);
    CHECK(fabs(merged - loss) < 1e-6 * loss, "%s: loss %.9g, merged %.9g", what, loss, merged);
    t->lora.floats = floats;
    mllm_pass_free_f64(p);
    bench_close(t);
}

static void test_adapters(void) {
    bench t;
    bench_open(&t, small_shape(), 1, false, two_rows, 2);
    check_adapters("adapters everywhere", &t, 3, MLLM_LORA_POSSIBLE);
    mllm_blueprint b = small_shape();
    b.qkv_bias = b.output_bias = true;
    b.tied_embedding = false;
    bench_open(&t, b, 1, false, two_rows, 2);
    check_adapters("adapters of q and v, biases", &t, 2, 1 << MLLM_W_Q | 1 << MLLM_W_V);
    b = small_shape();
    b.qk_norm = true;
    bench_open(&t, b, 2, false, two_rows, 2);
    check_adapters("adapters of blocks executed twice, q/k norms", &t, 3, MLLM_LORA_POSSIBLE);
    b = small_shape();
    b.blocks = 3;
    bench_open(&t, b, 1, true, two_rows, 2);
    check_adapters("adapters of one FFN", &t, 4, 1 << MLLM_W_K | 1 << MLLM_W_UP | 1 << MLLM_W_DOWN);

    bench_open(&t, small_shape(), 1, false, two_rows, 2);
    mllm_error err;
    mllm_adapters a;
    mllm_lora o = {21, 16, MLLM_LORA_POSSIBLE};
    CHECK(mllm_adapters_init(&a, &t.b, &o, &err) == MLLM_E_ARGUMENT && strstr(err.message, "rank 21"));
    o = (mllm_lora){2, 16, 1 << MLLM_W_EMBEDDING};
    CHECK(mllm_adapters_init(&a, &t.b, &o, &err) == MLLM_E_ARGUMENT && strstr(err.message, "targets"));
    o = (mllm_lora){2, 0, MLLM_LORA_POSSIBLE};
    CHECK(mllm_adapters_init(&a, &t.b, &o, &err) == MLLM_E_ARGUMENT && strstr(err.message, "alpha"));
    bench_close(&t);
}

/* Activations computed anew give the same gradients, to the last bit, and take less memory. */
static void test_recomputation(void) {
    const uint32_t lengths[] = {70, 3, 66};
    for (int adapted = 0; adapted < 2; adapted++) {
        bench t;
        mllm_blueprint b = small_shape();
        b.qk_norm = true;
        bench_open(&t, b, 2, false, lengths, 3);
        if (adapted) adapt(&t, 3, MLLM_LORA_POSSIBLE);
        size_t floats = adapted ? t.lora.floats : t.l.floats, bytes[2];
        double *gradients[2], loss[2];
        for (int i = 0; i < 2; i++) {
            t.keep = i ? MLLM_KEEP_INPUTS : MLLM_KEEP_ALL;
            mllm_pass_shape shape = shape_of(&t, false);
            bytes[i] = mllm_pass_bytes_f64(&shape);
            gradients[i] = calloc(floats, sizeof(double));
            mllm_pass *p = open_pass(&t);
            mllm_pass_result r = {0};
            mllm_weights w = weights_of(&t);
            mllm_pass_run_f64(p, &w, gradients[i], &t.pack, 1, NULL, &r);
            loss[i] = r.loss;
            mllm_pass_free_f64(p);
        }
        CHECK(loss[0] == loss[1] && memcmp(gradients[0], gradients[1], floats * sizeof(double)) == 0);
        CHECK(bytes[1] < bytes[0], "%zu and %zu bytes", bytes[1], bytes[0]);
        /* forward only, in two alternating places */
        t.keep = MLLM_KEEP_NOTHING;
        mllm_pass *p = open_pass(&t);
        CHECK(loss_of(p, &t) == loss[0]);
        mllm_pass_free_f64(p);
        free(gradients[0]);
        free(gradients[1]);
        bench_close(&t);
    }
}

/* Distillation: the loss computed by hand from the logits of both, and its gradients. The teacher has another shape. */
static void test_distillation(void) {
    bench t, teacher;
    mllm_blueprint b = small_shape();
    b.width = 24;
    b.blocks = 3;
    b.tied_embedding = false;
    bench_open(&teacher, b, 1, true, two_rows, 2);
    bench_open(&t, small_shape(), 1, false, two_rows, 2);
    teacher.keep = MLLM_KEEP_NOTHING;
    mllm_teaching teaching = {open_pass(&teacher), weights_of(&teacher), 1.7, 0.6};
    t.teaching = &teaching;
    mllm_pass *p = open_pass(&t);
    mllm_weights w = weights_of(&t), w2 = weights_of(&teacher);
    double wanted = 0;
    for (size_t i = 0; i < t.pack.tokens; i++) {
        double z[37], y[37], sum = 0, warm_z = 0, warm_y = 0, divergence = 0;
        mllm_pass_logits_f64(p, &w, &t.pack, i, z);
        mllm_pass_logits_f64(teaching.pass, &w2, &t.pack, i, y);
        for (int j = 0; j < 37; j++) sum += exp(z[j]), warm_z += exp(z[j] / 1.7), warm_y += exp(y[j] / 1.7);
        for (int j = 0; j < 37; j++) {
            double q = exp(y[j] / 1.7) / warm_y, s = exp(z[j] / 1.7) / warm_z;
            divergence += q * log(q / s);
        }
        wanted += t.weight[i] * (0.4 * (log(sum) - z[t.targets[i]]) + 0.6 * 1.7 * 1.7 * divergence);
    }
    double loss = loss_of(p, &t);
    CHECK(fabs(loss - wanted) < 1e-10 * wanted, "%.12g, by hand %.12g", loss, wanted);
    mllm_pass_free_f64(p);
    check_gradients("distillation", &t, 12);
    /* A teacher that says what the model says, and nothing else counts: nothing is to be learned. */
    teaching.mix = 1;
    mllm_pass_free_f64(teaching.pass);
    teaching.pass = open_pass(&t);
    teaching.weights = w;
    p = open_pass(&t);
    CHECK(fabs(loss_of(p, &t)) < 1e-12);
    mllm_pass_free_f64(p);
    mllm_pass_free_f64(teaching.pass);
    bench_close(&t);
    bench_close(&teacher);
}

/* The float kernels of every width against plain arithmetic. */
static void test_exp(void) {
    for (int i = -200; i < 200; i++) {
        double s[3] = {0.37 * i, 0.37 * i + 0.1, 0}, top = s[0] > s[2] ? s[1] > s[0] ? s[1] : s[0] : 0;
        top = s[1] > top ? s[1] : top;
        double lse = mllm_train_kernels_f64()->softmax(s, 3), sum = 0;
        for (int j = 0; j < 3; j++) sum += s[j];
        CHECK(fabs(sum - 1) < 1e-14 && lse >= top);
    }
}

static const test_case tests[] = {
    {"tied", test_tied},
    {"untied", test_untied},
    {"ls", test_ls},
    {"shared_ffn", test_shared_ffn},
    {"bias_and_norms", test_bias_and_norms},
    {"rope", test_rope},
    {"window_and_no_rope", test_window_and_no_rope},
    {"tiles", test_tiles},
    {"packing", test_packing},
    {"mask", test_mask},
    {"adapters", test_adapters},
    {"recomputation", test_recomputation},
    {"distillation", test_distillation},
    {"exp", test_exp},
    {"bf16_product", test_bf16_product},
};
TEST_MAIN(tests)
