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
mllm_pass *mllm_pass_new(const mllm_blueprint *b, const mllm_layout *l, size_t tokens, size_t longest, bool bf16,
                         mllm_error *err);
void mllm_pass_free(mllm_pass *p);
void mllm_pass_run(mllm_pass *p, const float *params, float *gradients, const float_pack *pack, float scale,
                   mllm_pass_result *result);

enum { MAX_TOKENS = 200 };

typedef struct {
    mllm_blueprint b;
    mllm_layout l;
    float *params32;
    double *params, *gradients;
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

static void bench_close(bench *t) {
    free(t->params32);
    free(t->params);
    free(t->gradients);
    mllm_layout_free(&t->l);
    mllm_blueprint_free(&t->b);
}

static double loss_of(mllm_pass *p, bench *t) {
    mllm_pass_result r = {0};
    mllm_pass_run_f64(p, t->params, NULL, &t->pack, 1, &r);
    return r.loss;
}

/* The library's float pass, with products in float or bfloat16, against the double one: every tensor's gradient. */
static void compare_float(const char *what, const bench *t, double loss, bool bf16, double tolerance) {
    mllm_error err = {0};
    float *gradients = calloc(t->l.floats, sizeof(float)), weight[MAX_TOKENS];
    int32_t ids[MAX_TOKENS], targets[MAX_TOKENS];
    uint32_t position[MAX_TOKENS], starts[8];
    memcpy(ids, t->ids, sizeof ids);
    memcpy(targets, t->targets, sizeof targets);
    memcpy(position, t->position, sizeof position);
    memcpy(starts, t->starts, sizeof starts);
    for (uint32_t i = 0; i < t->pack.tokens; i++) weight[i] = (float)t->weight[i];
    float_pack pack = {ids, targets, weight, position, starts, t->pack.rows, t->pack.tokens};
    mllm_pass *p = mllm_pass_new(&t->b, &t->l, pack.tokens, pack.tokens, bf16, &err);
    CHECK(p, "%s", err.message);
    mllm_pass_result r = {0};
    mllm_pass_run(p, t->params32, gradients, &pack, 1, &r);
    CHECK(fabs(r.loss - loss) < tolerance * loss, "%s: loss %.9g in float, %.9g in double", what, r.loss, loss);
    double worst = 0;
    for (size_t e = 0; e < t->l.count; e++) {
        const mllm_layout_entry *w = &t->l.entries[e];
        double difference = 0, norm = 0;
        for (size_t i = w->offset; i < w->offset + w->rows * w->cols; i++) {
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
    mllm_error err = {0};
    mllm_pass *p = mllm_pass_new_f64(&t->b, &t->l, t->pack.tokens, t->pack.tokens, false, &err);
    CHECK(p, "%s", err.message);
    if (!p) return;
    mllm_pass_result r = {0};
    mllm_pass_run_f64(p, t->params, t->gradients, &t->pack, 1, &r);
    double largest = 0;
    uint64_t state = 5;
    for (size_t e = 0; e < t->l.count; e++) {
        const mllm_layout_entry *w = &t->l.entries[e];
        size_t n = w->rows * w->cols;
        double norm = 0;
        for (size_t i = 0; i < n; i++) norm += t->gradients[w->offset + i] * t->gradients[w->offset + i];
        norm = sqrt(norm / (double)n);
        CHECK(norm > 1e-6, "%s: tensor %d of %u has no gradient", what, (int)w->role, (unsigned)w->index);
        for (size_t i = 0; i < n && i < per_tensor; i++) {
            size_t at = w->offset + (n <= per_tensor ? i : mllm_splitmix(&state) % n);
            double kept = t->params[at], step = 1e-4;
            t->params[at] = kept + step;
            double up = loss_of(p, t);
            t->params[at] = kept - step;
            double down = loss_of(p, t);
            t->params[at] = kept + 2 * step;
            double up2 = loss_of(p, t);
            t->params[at] = kept - 2 * step;
            double down2 = loss_of(p, t);
            t->params[at] = kept;
            double slope = (8 * (up - down) - (up2 - down2)) / (12 * step); /* fourth order */
            double error = fabs(slope - t->gradients[at]) / (fabs(slope) + norm);
            CHECK(error < 1e-6, "%s: role %d index %u place %zu: %.12g, differences say %.12g", what, (int)w->role,
                  (unsigned)w->index, at - w->offset, t->gradients[at], slope);
            if (error > largest) largest = error;
        }
    }
    mllm_pass_free_f64(p);
    compare_float(what, t, r.loss, false, 2e-5);
    if (mllm_product_has_bf16()) compare_float(what, t, r.loss, true, 4e-2);
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
    mllm_error err;
    mllm_pass *p = mllm_pass_new_f64(&t.b, &t.l, t.pack.tokens, t.pack.tokens, false, &err);
    double before[14][37], after[37];
    for (size_t i = 0; i < 14; i++) mllm_pass_logits_f64(p, t.params, &t.pack, i, before[i]);
    t.ids[4] = (t.ids[4] + 1) % 37;
    for (size_t i = 0; i < 14; i++) {
        mllm_pass_logits_f64(p, t.params, &t.pack, i, after);
        bool same = memcmp(after, before[i], sizeof after) == 0;
        CHECK(same == (i < 4 || i >= 9), "position %zu %s", i, same ? "stayed" : "changed");
    }
    /* The second row alone gives what it gives in the pack. */
    double packed[37];
    mllm_pass_logits_f64(p, t.params, &t.pack, 13, packed);
    uint32_t starts[] = {0, 5};
    mllm_pack alone = {t.ids + 9, t.targets + 9, t.weight + 9, t.position + 9, starts, 1, 5};
    mllm_pass_logits_f64(p, t.params, &alone, 4, after);
    for (size_t i = 0; i < 37; i++) CHECK(fabs(after[i] - packed[i]) < 1e-12);
    mllm_pass_free_f64(p);
    bench_close(&t);
}

/* What has weight 0 does not count: its target may be anything. Twice the weight is twice the loss. */
static void test_mask(void) {
    bench t;
    bench_open(&t, small_shape(), 1, false, two_rows, 2);
    mllm_error err;
    mllm_pass *p = mllm_pass_new_f64(&t.b, &t.l, t.pack.tokens, t.pack.tokens, false, &err);
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
    {"exp", test_exp},
    {"bf16_product", test_bf16_product},
};
TEST_MAIN(tests)
