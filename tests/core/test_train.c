/* The trainer: learning, determinism, schedules, checkpoints. */
#include <math.h>
#include <stdint.h>

#include "failing.h"
#include "test.h"
#include "train/kernels.h"
#include "train/train.h"

static char scratch_path[64];
static const char *scratch(void) {
    snprintf(scratch_path, sizeof scratch_path, "/tmp/mllm-test-train-%ld", (long)getpid());
    return scratch_path;
}

static mllm_blueprint small_shape(void) {
    mllm_blueprint b;
    mllm_error err;
    memset(&b, 0, sizeof b);
    snprintf(b.architecture, sizeof b.architecture, "mobilellm");
    b.vocabulary = 40;
    b.width = 32;
    b.heads = 4;
    b.kv_heads = 2;
    b.head_size = b.rope_size = 8;
    b.ffn_width = 48;
    b.context = 40;
    b.blocks = 2;
    b.norm_epsilon = 1e-5f;
    b.rope_base = 10000;
    b.rope_factor = 1;
    b.tied_embedding = true;
    CHECK(mllm_blueprint_make_steps(&b, 2, false, &err) == MLLM_OK);
    return b;
}

static mllm_train_options small_options(void) {
    mllm_train_options o = mllm_train_defaults();
    o.threads = 1;
    o.learning_rate = 5e-3;
    o.warmup = 5;
    o.steps = 120;
    o.batch_tokens = 200;
    o.pack_tokens = 64;
    return o;
}

/* Rows "a b c : a b c" that can only be known by copying, and a fixed ending. */
static mllm_train_data *copy_rows(size_t rows, uint64_t seed) {
    mllm_error err;
    mllm_train_data *d = mllm_train_data_new(&err);
    for (size_t r = 0; r < rows; r++) {
        mllm_token ids[20];
        uint32_t n = 3 + (uint32_t)(mllm_splitmix(&seed) % 5), at = 0;
        for (uint32_t i = 0; i < n; i++) ids[at++] = (mllm_token)(mllm_splitmix(&seed) % 36);
        ids[at++] = 37;
        for (uint32_t i = 0; i < n; i++) ids[at++] = ids[i];
        ids[at++] = 38;
        mllm_train_row row = {ids, NULL, at, n + 1, 1, r % 2 ? 0.1f : 0};
        CHECK(mllm_train_data_add(d, &row, &err) == MLLM_OK);
    }
    return d;
}

static void test_schedule(void) {
    mllm_train_options o = mllm_train_defaults();
    o.learning_rate = 2;
    o.floor = 0.1;
    o.warmup = 10;
    o.steps = 110;
    CHECK(fabs(mllm_schedule_rate(&o, 0) - 0.2) < 1e-12 && mllm_schedule_rate(&o, 9) == 2);
    CHECK(mllm_schedule_rate(&o, 10) == 2 && fabs(mllm_schedule_rate(&o, 60) - 1.1) < 1e-12);
    CHECK(mllm_schedule_rate(&o, 109) < 0.2006 && mllm_schedule_rate(&o, 110) == 0.2 &&
          mllm_schedule_rate(&o, 5000) == 0.2);
    for (uint64_t s = 10; s < 109; s++) CHECK(mllm_schedule_rate(&o, s + 1) < mllm_schedule_rate(&o, s));
    o.schedule = MLLM_SCHEDULE_WSD;
    o.floor = 0;
    o.cooldown = 20;
    CHECK(mllm_schedule_rate(&o, 10) == 2 && mllm_schedule_rate(&o, 89) == 2);
    CHECK(fabs(mllm_schedule_rate(&o, 100) - 2 * 10 / 21.0) < 1e-12 && mllm_schedule_rate(&o, 110) == 0);
}

/* Every instruction set against plain arithmetic in double, at lengths with and without a rest. */
static void test_kernels(void) {
    enum { N = 83 };
    float x[N], w[N], y[N], out[N], p[N], m[N], v[N];
    uint64_t state = 3;
    for (int i = 0; i < N; i++) {
        x[i] = 8 * ((float)(mllm_splitmix(&state) >> 40) / (float)(1 << 24) - 0.5f);
        w[i] = 1 + x[i] / 9;
        y[i] = (float)sin(i);
    }
    const mllm_kernels *k;
    for (size_t set = 0; (k = mllm_train_kernels_at(set)) != NULL; set++) {
        for (size_t n = 1; n <= N; n += 41) {
            double top = -1e9, sum = 0, square = 0;
            for (size_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
            for (size_t i = 0; i < n; i++) sum += exp(x[i] - top), square += (double)x[i] * x[i];
            memcpy(out, x, sizeof out);
            double lse = k->softmax(out, n);
            CHECK(fabs(lse - (top + log(sum))) < 2e-6 * (1 + fabs(lse)), "%s %zu", k->name, n);
            for (size_t i = 0; i < n; i++) CHECK(fabs(out[i] - exp(x[i] - top) / sum) < 1e-6, "%s %zu", k->name, n);
            memcpy(out, x, sizeof out);
            double loss = k->cross_entropy(out, n, n / 2, 0.5f);
            CHECK(fabs(loss - (top + log(sum) - x[n / 2])) < 1e-5, "%s %zu", k->name, n);
            for (size_t i = 0; i < n; i++)
                CHECK(fabs(out[i] - 0.5 * (exp(x[i] - top) / sum - (i == n / 2))) < 1e-6, "%s %zu", k->name, n);
            CHECK(fabs(k->square_sum(x, n) - square) < 1e-5 * square);
            float inverse;
            k->rms(out, n, &inverse, 1, x, n, w, 1, n, 1e-5f);
            for (size_t i = 0; i < n; i++)
                CHECK(fabs(out[i] - x[i] * w[i] / sqrt(square / (double)n + 1e-5)) < 1e-5, "%s %zu", k->name, n);
            for (int i = 0; i < N; i++) p[i] = w[i], m[i] = 0.1f * y[i], v[i] = 0.01f;
            k->adamw(p, m, v, y, n, 0.5f, 0.9f, 0.95f, 0.01f, 2, 1e-8f, 0.001f);
            for (size_t i = 0; i < n; i++) {
                double g = 0.5 * y[i], mm = 0.9 * 0.1 * y[i] + 0.1 * g, vv = 0.95 * 0.01 + 0.05 * g * g;
                CHECK(fabs(p[i] - (w[i] * 0.999 - 0.01 * mm / (2 * sqrt(vv) + 1e-8))) < 1e-6, "%s %zu", k->name, n);
            }
            CHECK(n == N || (p[n] == w[n] && m[n] == 0.1f * y[n]), "%s wrote behind the end", k->name);
        }
        float gu[2 * 19], act[19];
        for (int i = 0; i < 38; i++) gu[i] = 3 * x[i];
        k->swiglu(act, gu, 1, 19);
        for (int i = 0; i < 19; i++) {
            double g = gu[i], want = g / (1 + exp(-g)) * gu[19 + i];
            CHECK(fabs(act[i] - want) < 2e-6 * (1 + fabs(want)), "%s", k->name);
        }
    }
}

static void test_learns(void) {
    mllm_error err;
    mllm_blueprint b = small_shape();
    mllm_train_options o = small_options();
    o.steps = 700;
    o.batch_tokens = 500;
    mllm_trainer *t = mllm_trainer_new(&b, &o, &err);
    mllm_train_data *data = copy_rows(4000, 1), *fresh = copy_rows(100, 2);
    mllm_train_score before, after;
    CHECK(mllm_trainer_evaluate(t, fresh, &before, &err) == MLLM_OK);
    CHECK(fabs(before.loss - log(40)) < 0.1, "the first loss is %g", before.loss);
    mllm_train_stats stats = {0};
    while (mllm_trainer_step_count(t) < o.steps) CHECK(mllm_trainer_next(t, data, &stats, &err) == MLLM_OK);
    CHECK(mllm_trainer_evaluate(t, fresh, &after, &err) == MLLM_OK);
    printf("copying: loss %.3f -> %.3f, right %.0f %% -> %.0f %%\n", before.loss, after.loss, 100 * before.accuracy,
           100 * after.accuracy);
    CHECK(after.loss < 2 && after.accuracy > 0.3, "loss %g, accuracy %g", after.loss, after.accuracy);
    CHECK(stats.learning_rate < 0.11 * o.learning_rate && stats.tokens >= 500 && stats.epoch > 0);
    mllm_train_data_free(data);
    mllm_train_data_free(fresh);
    mllm_trainer_free(t);
    mllm_blueprint_free(&b);
}

static void test_threads(void) {
    mllm_error err;
    mllm_blueprint b = small_shape();
    mllm_train_data *data = copy_rows(50, 5);
    float *first = NULL;
    size_t bytes = 0;
    double loss = 0;
    for (int threads = 1; threads <= 4; threads++) {
        mllm_train_options o = small_options();
        o.threads = threads;
        mllm_trainer *t = mllm_trainer_new(&b, &o, &err);
        mllm_train_stats stats;
        for (int i = 0; i < 5; i++) CHECK(mllm_trainer_next(t, data, &stats, &err) == MLLM_OK);
        const mllm_layout *l;
        float *w = mllm_trainer_weights(t, &l);
        if (!first) {
            bytes = l->floats * sizeof *w;
            first = malloc(bytes);
            memcpy(first, w, bytes);
            loss = stats.loss;
        }
        CHECK(memcmp(first, w, bytes) == 0 && stats.loss == loss, "%d threads give other numbers", threads);
        mllm_trainer_free(t);
    }
    free(first);
    mllm_train_data_free(data);
    mllm_blueprint_free(&b);
}

/* How rows are put into packs is a matter of memory, not of results. */
static void test_packs(void) {
    mllm_error err;
    mllm_blueprint b = small_shape();
    mllm_train_data *data = copy_rows(30, 5);
    double losses[2], norms[2];
    for (int i = 0; i < 2; i++) {
        mllm_train_options o = small_options();
        o.pack_tokens = i ? 1 : 500;
        mllm_trainer *t = mllm_trainer_new(&b, &o, &err);
        mllm_train_stats stats;
        CHECK(mllm_trainer_next(t, data, &stats, &err) == MLLM_OK);
        losses[i] = stats.loss;
        norms[i] = stats.gradient_norm;
        mllm_trainer_free(t);
    }
    CHECK(fabs(losses[0] - losses[1]) < 1e-6 && fabs(norms[0] - norms[1]) < 1e-5 * norms[0]);
    mllm_train_data_free(data);
    mllm_blueprint_free(&b);
}

/* Decay only shrinks matrices; clipping bounds what enters the moments. */
static void test_decay_and_clip(void) {
    mllm_error err;
    mllm_blueprint b = small_shape();
    mllm_train_data *data = copy_rows(30, 5);
    mllm_train_options o = small_options();
    o.warmup = 0;
    o.clip = 1e-12; /* gradients so small that epsilon swallows them: decay alone is left */
    o.epsilon = 1;
    o.decay = 1;
    o.learning_rate = 0.5;
    mllm_trainer *t = mllm_trainer_new(&b, &o, &err);
    const mllm_layout *l;
    float *w = mllm_trainer_weights(t, &l), *before = malloc(l->floats * sizeof *w);
    memcpy(before, w, l->floats * sizeof *w);
    mllm_train_stats stats;
    CHECK(mllm_trainer_next(t, data, &stats, &err) == MLLM_OK);
    CHECK(stats.gradient_norm > 0.01);
    for (size_t e = 0; e < l->count; e++) {
        const mllm_layout_entry *x = &l->entries[e];
        float share = mllm_role_decays(x->role) ? 0.5f : 1.0f;
        for (size_t i = x->offset; i < x->offset + x->rows * x->cols; i++)
            CHECK(fabsf(w[i] - share * before[i]) < 1e-9f, "role %d", (int)x->role);
    }
    free(before);
    mllm_trainer_free(t);
    mllm_train_data_free(data);
    mllm_blueprint_free(&b);
}

static void test_rows_refused(void) {
    mllm_error err = {0};
    mllm_blueprint b = small_shape();
    mllm_train_options o = small_options();
    mllm_trainer *t = mllm_trainer_new(&b, &o, &err);
    mllm_token ids[60] = {1, 2, 3};
    mllm_train_stats stats;
    mllm_train_row row = {ids, NULL, 42, 0, 1, 0};
    CHECK(mllm_trainer_step(t, &row, 1, &stats, &err) == MLLM_E_CONTEXT && strstr(err.message, "row 1"), "%s",
          err.message);
    row.length = 41;
    CHECK(mllm_trainer_step(t, &row, 1, &stats, &err) == MLLM_OK);
    row.length = 3;
    ids[1] = 40;
    CHECK(mllm_trainer_step(t, &row, 1, &stats, &err) == MLLM_E_TOKEN);
    ids[1] = -1;
    CHECK(mllm_trainer_step(t, &row, 1, &stats, &err) == MLLM_E_TOKEN);
    ids[1] = 2;
    row.prompt = 3;
    CHECK(mllm_trainer_step(t, &row, 1, &stats, &err) == MLLM_E_ARGUMENT);
    row.prompt = 4;
    CHECK(mllm_trainer_step(t, &row, 1, &stats, &err) == MLLM_E_ARGUMENT);
    row.prompt = 0;
    row.weight = NAN;
    CHECK(mllm_trainer_step(t, &row, 1, &stats, &err) == MLLM_E_ARGUMENT);
    CHECK(mllm_trainer_step(t, NULL, 0, &stats, &err) == MLLM_E_ARGUMENT);
    CHECK(mllm_trainer_step_count(t) == 1);
    float logits[40];
    CHECK(mllm_trainer_logits(t, ids, 41, logits, &err) == MLLM_E_CONTEXT);
    CHECK(mllm_trainer_logits(t, ids, 0, logits, &err) == MLLM_E_ARGUMENT);
    o.learning_rate = -1;
    CHECK(mllm_trainer_set_options(t, &o, &err) == MLLM_E_ARGUMENT && strstr(err.message, "learning_rate"));
    mllm_train_data *d = mllm_train_data_new(&err);
    CHECK(mllm_trainer_next(t, d, &stats, &err) == MLLM_E_ARGUMENT);
    ids[0] = 45;
    row = (mllm_train_row){ids, NULL, 3, 0, 1, 0};
    CHECK(mllm_train_data_add(d, &row, &err) == MLLM_OK);
    CHECK(mllm_trainer_next(t, d, &stats, &err) == MLLM_E_TOKEN);
    mllm_train_data_free(d);
    mllm_trainer_free(t);
    mllm_blueprint_free(&b);
}

/* Eight steps in one go and with a checkpoint after each: the same weights, to the last bit, over the end of an epoch. */
static void test_resume(void) {
    mllm_error err = {0};
    mllm_blueprint b = small_shape();
    mllm_train_options o = small_options();
    mllm_train_data *data = copy_rows(40, 5);
    mllm_trainer *t = mllm_trainer_new(&b, &o, &err);
    mllm_train_stats straight = {0}, broken = {0};
    for (int i = 0; i < 8; i++) CHECK(mllm_trainer_next(t, data, &straight, &err) == MLLM_OK);
    CHECK(straight.epoch > 1.5);
    mllm_trainer *u = mllm_trainer_new(&b, &o, &err);
    for (int i = 0; i < 8; i++) {
        CHECK(mllm_trainer_save(u, scratch(), &err) == MLLM_OK, "%s", err.message);
        mllm_trainer_free(u);
        u = mllm_trainer_resume(scratch(), NULL, &err);
        CHECK(u, "%s", err.message);
        if (!u) return;
        CHECK(mllm_trainer_next(u, data, &broken, &err) == MLLM_OK);
    }
    straight.seconds = broken.seconds = 0;
    CHECK(straight.loss == broken.loss && straight.epoch == broken.epoch &&
          straight.total_tokens == broken.total_tokens);
    const mllm_layout *l;
    float *w = mllm_trainer_weights(t, &l);
    CHECK(memcmp(w, mllm_trainer_weights(u, NULL), l->floats * sizeof *w) == 0);
    mllm_trainer_free(t);
    mllm_trainer_free(u);
    mllm_train_data_free(data);
    mllm_blueprint_free(&b);
    unlink(scratch());
}

/* An evaluation of longer rows between the steps changes nothing in the steps. */
static void test_evaluation_changes_nothing(void) {
    mllm_error err = {0};
    mllm_blueprint b = small_shape();
    mllm_train_options o = small_options();
    o.pack_tokens = 16;
    mllm_train_data *data = copy_rows(40, 5), *longer = mllm_train_data_new(&err);
    mllm_token ids[41] = {1, 2, 3};
    mllm_train_row row = {ids, NULL, 41, 0, 1, 0};
    CHECK(mllm_train_data_add(longer, &row, &err) == MLLM_OK);
    mllm_trainer *t = mllm_trainer_new(&b, &o, &err), *u = mllm_trainer_new(&b, &o, &err);
    for (int i = 0; i < 4; i++) {
        mllm_train_stats a, c;
        mllm_train_score score;
        CHECK(mllm_trainer_next(t, data, &a, &err) == MLLM_OK);
        CHECK(mllm_trainer_evaluate(u, longer, &score, &err) == MLLM_OK);
        CHECK(mllm_trainer_next(u, data, &c, &err) == MLLM_OK);
        CHECK(a.loss == c.loss && a.gradient_norm == c.gradient_norm, "step %d", i + 1);
    }
    const mllm_layout *l;
    float *w = mllm_trainer_weights(t, &l);
    CHECK(memcmp(w, mllm_trainer_weights(u, NULL), l->floats * sizeof *w) == 0);
    mllm_trainer_free(t);
    mllm_trainer_free(u);
    mllm_train_data_free(data);
    mllm_train_data_free(longer);
    mllm_blueprint_free(&b);
}

static long file_size(const char *path) {
    FILE *f = fopen(path, "rb");
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    fclose(f);
    return n;
}

static void flip(const char *path, long at) {
    FILE *f = fopen(path, "r+b");
    fseek(f, at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 16, f);
    fclose(f);
}

static void test_damaged_files(void) {
    mllm_error err = {0};
    mllm_blueprint b = small_shape();
    mllm_train_options o = small_options();
    mllm_trainer *t = mllm_trainer_new(&b, &o, &err);
    CHECK(mllm_trainer_save(t, scratch(), &err) == MLLM_OK);
    long size = file_size(scratch());
    for (long at = 0; at < size; at += at < 600 ? 37 : 9973) {
        flip(scratch(), at);
        CHECK(!mllm_trainer_resume(scratch(), NULL, &err) && err.code == MLLM_E_FORMAT, "byte %ld", at);
        flip(scratch(), at);
    }
    mllm_trainer *u = mllm_trainer_resume(scratch(), NULL, &err);
    CHECK(u, "%s", err.message);
    mllm_trainer_free(u);
    for (long cut = size - 1; cut >= 0; cut = cut > 4 ? cut / 3 : cut - 1) {
        CHECK(truncate(scratch(), cut) == 0);
        CHECK(!mllm_trainer_resume(scratch(), NULL, &err) && err.code == MLLM_E_FORMAT &&
              strstr(err.message, scratch()));
    }
    unlink(scratch());
    CHECK(!mllm_trainer_resume(scratch(), NULL, &err) && err.code == MLLM_E_IO);
    CHECK(!mllm_trainer_resume("/tmp", NULL, &err) && err.code == MLLM_E_IO);
    CHECK(mllm_trainer_save(t, "/nowhere/at/all", &err) == MLLM_E_IO && strstr(err.message, "/nowhere/at/all"));
    if (access("/dev/full", W_OK) == 0) /* written beside: the directory refuses or the device does */
        CHECK(mllm_trainer_save(t, "/dev/full/x", &err) == MLLM_E_IO);
    mllm_trainer_free(t);
    mllm_blueprint_free(&b);

    mllm_train_data *d = copy_rows(20, 1);
    CHECK(mllm_train_data_save(d, scratch(), &err) == MLLM_OK);
    mllm_train_data *e = mllm_train_data_load(scratch(), &err);
    CHECK(e && mllm_train_data_rows(e) == 20 && mllm_train_data_fingerprint(e) == mllm_train_data_fingerprint(d) &&
          mllm_train_data_longest(e) == mllm_train_data_longest(d));
    mllm_train_row x = mllm_train_data_row(d, 7), y = mllm_train_data_row(e, 7);
    CHECK(x.length == y.length && x.prompt == y.prompt && x.prompt_weight == y.prompt_weight &&
          memcmp(x.ids, y.ids, x.length * sizeof *x.ids) == 0);
    mllm_train_data_free(e);
    flip(scratch(), 200);
    CHECK(!mllm_train_data_load(scratch(), &err) && err.code == MLLM_E_FORMAT);
    mllm_train_data_free(d);
    unlink(scratch());
}

static mllm_code whole_run(mllm_error *err) {
    mllm_blueprint b;
    memset(&b, 0, sizeof b);
    b = (mllm_blueprint){.vocabulary = 40,
                         .width = 16,
                         .heads = 2,
                         .kv_heads = 1,
                         .head_size = 8,
                         .rope_size = 8,
                         .ffn_width = 16,
                         .context = 40,
                         .blocks = 1,
                         .norm_epsilon = 1e-5f,
                         .rope_base = 100,
                         .rope_factor = 1,
                         .tied_embedding = true};
    mllm_train_options o = small_options();
    o.threads = 2;
    o.rounding = MLLM_Q8_0;
    mllm_train_stats stats;
    mllm_token ids[3] = {1, 2, 3};
    mllm_train_row row = {ids, NULL, 3, 0, 1, 0};
    mllm_trainer *t = NULL, *u = NULL;
    mllm_train_data *d = NULL;
    mllm_train_score score;
    mllm_code code = mllm_blueprint_make_steps(&b, 1, false, err);
    if (code == MLLM_OK && !(t = mllm_trainer_new(&b, &o, err))) code = err->code;
    if (code == MLLM_OK && !(d = mllm_train_data_new(err))) code = err->code;
    for (int i = 0; i < 3 && code == MLLM_OK; i++) code = mllm_train_data_add(d, &row, err);
    if (code == MLLM_OK) code = mllm_trainer_next(t, d, &stats, err);
    if (code == MLLM_OK) code = mllm_trainer_evaluate(t, d, &score, err);
    if (code == MLLM_OK) code = mllm_trainer_save(t, scratch(), err);
    if (code == MLLM_OK && !(u = mllm_trainer_resume(scratch(), NULL, err))) code = err->code;
    mllm_trainer_free(t);
    mllm_trainer_free(u);
    mllm_train_data_free(d);
    mllm_blueprint_free(&b);
    return code;
}

static void test_memory(void) {
    mllm_error err = {0};
    int failures = 0;
    for (long n = 0;; n++) {
        fail_from(n);
        mllm_set_allocator(failing, NULL);
        mllm_code code = whole_run(&err);
        mllm_set_allocator(NULL, NULL);
        if (code == MLLM_OK) break;
        failures++;
        CHECK(code == MLLM_E_MEMORY, "allocation %ld: %d %s", n, (int)code, err.message);
        if (code != MLLM_E_MEMORY || n > 500) break;
    }
    CHECK(failures > 40, "only %d allocations", failures);
    unlink(scratch());
}

static const test_case tests[] = {
    {"schedule", test_schedule},
    {"kernels", test_kernels},
    {"learns", test_learns},
    {"threads", test_threads},
    {"packs", test_packs},
    {"decay_and_clip", test_decay_and_clip},
    {"rows_refused", test_rows_refused},
    {"resume", test_resume},
    {"evaluation_changes_nothing", test_evaluation_changes_nothing},
    {"damaged_files", test_damaged_files},
    {"memory", test_memory},
};
TEST_MAIN(tests)
