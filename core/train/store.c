/* Checkpoints of the trainer, and its way from and to model files. */
#include <stdio.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "record.h"
#include "trainer.h"

/* "MLLMTRN1" knew neither adapters nor teachers nor rounding; it is still read. */
#define TRAINER_MAGIC "MLLMTRN2"
#define OLD_MAGIC "MLLMTRN1"

/* ---------------------------------------------------------- checkpoints */

static void put_blueprint(mllm_record *r, const mllm_blueprint *b) {
    const uint32_t numbers[] = {b->vocabulary,     b->width,        b->heads,
                                b->kv_heads,       b->head_size,    b->ffn_width,
                                b->context,        b->blocks,       b->ffns,
                                b->kv_slots,       b->step_count,   b->rope_interleaved,
                                b->rope_size,      b->rope_scaling, b->rope_original_context,
                                b->tied_embedding, b->qkv_bias,     b->output_bias,
                                b->qk_norm};
    const float floats[] = {b->norm_epsilon, b->rope_base, b->rope_factor, b->rope_low, b->rope_high};
    mllm_record_put(r, b->architecture, sizeof b->architecture);
    mllm_record_put(r, b->name, sizeof b->name);
    mllm_record_put(r, numbers, sizeof numbers);
    mllm_record_put(r, floats, sizeof floats);
    for (uint32_t i = 0; i < b->step_count; i++) {
        const mllm_step *s = &b->steps[i];
        const uint32_t step[] = {s->block, s->ffn, s->kv_slot, s->window, s->rope};
        mllm_record_put(r, step, sizeof step);
    }
}

static mllm_code get_blueprint(mllm_record *r, mllm_blueprint *b, const char *path, mllm_error *err) {
    uint32_t n[19] = {0};
    float f[5] = {0};
    memset(b, 0, sizeof *b);
    mllm_record_get(r, b->architecture, sizeof b->architecture);
    mllm_record_get(r, b->name, sizeof b->name);
    b->architecture[sizeof b->architecture - 1] = b->name[sizeof b->name - 1] = 0;
    mllm_record_get(r, n, sizeof n);
    if (!mllm_record_get(r, f, sizeof f)) return mllm_fail(err, MLLM_E_FORMAT, "%s: ends too early", path);
    b->vocabulary = n[0], b->width = n[1], b->heads = n[2], b->kv_heads = n[3], b->head_size = n[4];
    b->ffn_width = n[5], b->context = n[6], b->blocks = n[7], b->ffns = n[8], b->kv_slots = n[9], b->step_count = n[10];
    b->rope_interleaved = n[11] != 0, b->rope_size = n[12], b->rope_original_context = n[14];
    if (n[13] > MLLM_ROPE_LLAMA3) return mllm_fail(err, MLLM_E_FORMAT, "%s: rope scaling %u is unknown", path, n[13]);
    b->rope_scaling = (mllm_rope_scaling)n[13];
    b->tied_embedding = n[15] != 0, b->qkv_bias = n[16] != 0, b->output_bias = n[17] != 0, b->qk_norm = n[18] != 0;
    b->norm_epsilon = f[0], b->rope_base = f[1], b->rope_factor = f[2], b->rope_low = f[3], b->rope_high = f[4];
    if (b->step_count == 0 || b->step_count > MLLM_MAX_STEPS)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: %u steps", path, b->step_count);
    b->steps = mllm_calloc(b->step_count, sizeof *b->steps);
    if (!b->steps) return mllm_fail_memory(err, b->step_count * sizeof *b->steps, path);
    for (uint32_t i = 0; i < b->step_count; i++) {
        uint32_t s[5] = {0};
        mllm_record_get(r, s, sizeof s);
        b->steps[i] = (mllm_step){s[0], s[1], s[2], s[3], s[4] != 0};
    }
    return mllm_blueprint_check(b, path, err);
}

static void put_options(mllm_record *r, const mllm_train_options *o) {
    const uint64_t numbers[] = {o->seed,       (uint64_t)o->threads,
                                o->shards,     (uint64_t)o->schedule | (uint64_t)o->precision << 8,
                                o->warmup,     o->steps,
                                o->cooldown,   o->batch_tokens,
                                o->pack_tokens};
    const double floats[] = {o->learning_rate, o->floor, o->decay, o->clip, o->beta1, o->beta2, o->epsilon};
    mllm_record_put(r, numbers, sizeof numbers);
    mllm_record_put(r, floats, sizeof floats);
}

static mllm_code get_options(mllm_record *r, mllm_train_options *o, const char *path, mllm_error *err) {
    uint64_t n[9] = {0};
    double f[7] = {0};
    mllm_record_get(r, n, sizeof n);
    mllm_record_get(r, f, sizeof f);
    if (n[1] > 1024 || n[2] > 1024 || (n[3] & 0xFF) > MLLM_SCHEDULE_WSD || n[3] >> 8 > MLLM_PRECISION_BF16 ||
        n[8] > UINT32_MAX)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: its options make no sense", path);
    *o = (mllm_train_options){.seed = n[0],
                              .threads = (int)n[1],
                              .shards = (uint32_t)n[2],
                              .schedule = (mllm_schedule)(n[3] & 0xFF),
                              .learning_rate = f[0],
                              .floor = f[1],
                              .warmup = n[4],
                              .steps = n[5],
                              .cooldown = n[6],
                              .decay = f[2],
                              .clip = f[3],
                              .beta1 = f[4],
                              .beta2 = f[5],
                              .epsilon = f[6],
                              .batch_tokens = n[7],
                              .pack_tokens = (uint32_t)n[8],
                              .precision = (mllm_precision)(n[3] >> 8)};
    return MLLM_OK;
}

/* What version 2 adds. */
typedef struct {
    uint64_t recompute, rounding, rank, targets, base, teacher;
    double alpha, temperature, mix;
} added;

static mllm_code take_added(const added *x, mllm_train_options *o, const char *path, mllm_error *err) {
    if (x->recompute > 1 || x->rounding > MLLM_BF16 || x->rank > MLLM_MAX_RANK || x->targets > MLLM_LORA_POSSIBLE)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: its options make no sense", path);
    o->recompute = x->recompute != 0;
    o->rounding = (mllm_type)x->rounding;
    o->lora = (mllm_lora){(uint32_t)x->rank, x->alpha, (uint32_t)x->targets};
    o->temperature = x->temperature;
    o->mix = x->mix;
    mllm_error why = {0};
    if (mllm_train_options_check(o, &why) != MLLM_OK) return mllm_fail(err, MLLM_E_FORMAT, "%s: %s", path, why.message);
    return MLLM_OK;
}

mllm_code mllm_trainer_save(mllm_trainer *t, const char *path, mllm_error *err) {
    mllm_error why = {0};
    mllm_record *r = mllm_record_create(path, TRAINER_MAGIC, &why);
    if (!r) {
        if (err) *err = why;
        return why.code;
    }
    put_blueprint(r, &t->b);
    put_options(r, &t->o);
    const mllm_train_options *o = &t->o;
    const added x = {o->recompute,
                     o->rounding,
                     o->lora.rank,
                     o->lora.targets,
                     mllm_trainer_adapts(t) ? mllm_weights_fingerprint(t->params, t->l.floats) : 0,
                     t->teacher_fingerprint,
                     o->lora.alpha,
                     o->temperature,
                     o->mix};
    mllm_record_put(r, &x, sizeof x);
    size_t floats = t->trained_floats;
    const uint64_t state[] = {t->step, t->total_tokens, t->data_fingerprint, t->data_epoch, t->data_place, floats};
    mllm_record_put(r, state, sizeof state);
    mllm_record_put(r, t->trained, floats * sizeof(float));
    mllm_record_put(r, t->m, floats * sizeof(float));
    mllm_record_put(r, t->v, floats * sizeof(float));
    return mllm_record_finish(r, err);
}

/* How many floats are trained; MLLM_E_FORMAT where the file says otherwise. */
static mllm_code check_floats(const mllm_blueprint *b, const mllm_train_options *o, uint64_t said, const char *path,
                              mllm_error *err) {
    mllm_layout l;
    mllm_adapters a = {0};
    mllm_code code = mllm_layout_init(&l, b, err);
    if (code == MLLM_OK && o->lora.rank) code = mllm_adapters_init(&a, b, &o->lora, err);
    size_t floats = o->lora.rank ? a.floats : l.floats;
    if (code == MLLM_OK && floats != said)
        code = mllm_fail(err, MLLM_E_FORMAT, "%s: %llu parameters; its shapes have %zu", path, (unsigned long long)said,
                         floats);
    mllm_layout_free(&l);
    return code;
}

/* The weights that the adapters of a checkpoint stand beside. */
static mllm_code load_base(mllm_trainer *t, const mllm_checkpoint *base, uint64_t fingerprint, const char *path,
                           mllm_error *err) {
    if (!base)
        return mllm_fail(err, MLLM_E_ARGUMENT, "%s holds adapters of rank %u only: 'base', their model, is needed",
                         path, t->o.lora.rank);
    mllm_layout other;
    mllm_code code = mllm_layout_init(&other, mllm_checkpoint_blueprint(base), err);
    size_t floats = other.floats;
    mllm_layout_free(&other);
    if (code != MLLM_OK) return code;
    if (floats == t->l.floats) code = mllm_layout_load(&t->l, base, t->params, err);
    if (code != MLLM_OK || floats != t->l.floats || mllm_weights_fingerprint(t->params, t->l.floats) != fingerprint)
        return mllm_fail(err, MLLM_E_ARGUMENT, "base: not the model whose adapters %s holds", path);
    return MLLM_OK;
}

mllm_trainer *mllm_trainer_resume(const char *path, const mllm_checkpoint *base, mllm_error *err) {
    mllm_error why = {0};
    bool old = false;
    mllm_record *r = mllm_record_open(path, TRAINER_MAGIC, &why);
    if (!r && why.code == MLLM_E_FORMAT) {
        mllm_error ignored;
        r = mllm_record_open(path, OLD_MAGIC, &ignored);
        old = r != NULL;
    }
    if (!r) {
        if (err) *err = why;
        return NULL;
    }
    mllm_blueprint b;
    mllm_train_options o;
    mllm_trainer *t = NULL;
    mllm_train_options fresh = mllm_train_defaults();
    added x = {
        .targets = fresh.lora.targets, .alpha = fresh.lora.alpha, .temperature = fresh.temperature, .mix = fresh.mix};
    mllm_code code = get_blueprint(r, &b, path, err);
    if (code == MLLM_OK) code = get_options(r, &o, path, err);
    if (!old) mllm_record_get(r, &x, sizeof x);
    if (code == MLLM_OK) code = take_added(&x, &o, path, err);
    uint64_t s[6] = {0};
    mllm_record_get(r, s, sizeof s);
    if (code == MLLM_OK) {
        /* What is announced must be there before memory is asked for. */
        uint64_t left = mllm_record_left(r), each = s[5] * sizeof(float);
        if (s[5] > left || left != 3 * each)
            code = mllm_fail(err, MLLM_E_FORMAT, "%s: %llu parameters do not fill its %llu bytes", path,
                             (unsigned long long)s[5], (unsigned long long)left);
    }
    if (code == MLLM_OK) code = check_floats(&b, &o, s[5], path, err);
    if (code == MLLM_OK) t = mllm_trainer_alloc(&b, &o, err);
    mllm_blueprint_free(&b);
    if (t) {
        t->step = s[0], t->total_tokens = s[1];
        t->data_fingerprint = s[2], t->data_epoch = s[3], t->data_place = s[4];
        t->teacher_fingerprint = x.teacher;
        mllm_record_get(r, t->trained, t->trained_floats * sizeof(float));
        mllm_record_get(r, t->m, t->trained_floats * sizeof(float));
        mllm_record_get(r, t->v, t->trained_floats * sizeof(float));
    }
    code = mllm_record_close(r, &why);
    if (t && code == MLLM_OK && mllm_trainer_adapts(t)) code = load_base(t, base, x.base, path, &why);
    if (t && code != MLLM_OK) {
        if (err) *err = why;
        mllm_trainer_free(t);
        t = NULL;
    }
    return t;
}

/* ---------------------------------------------------------- model files */

mllm_code mllm_layout_load(const mllm_layout *l, const mllm_checkpoint *c, float *params, mllm_error *err) {
    memset(params, 0, l->floats * sizeof *params);
    for (size_t e = 0; e < l->count; e++) {
        const mllm_layout_entry *t = &l->entries[e];
        mllm_tensor w = mllm_checkpoint_tensor(c, t->role, t->index);
        if (!w.data || w.rows != t->rows || w.cols != t->cols)
            return mllm_fail(err, MLLM_E_FORMAT, "weight %d of index %u is %zu x %zu, expected %zu x %zu", (int)t->role,
                             (unsigned)t->index, w.data ? w.rows : 0, w.data ? w.cols : 0, t->rows, t->cols);
        for (size_t r = 0; r < t->rows; r++) mllm_tensor_row(&w, r, params + t->offset + r * t->cols);
    }
    return MLLM_OK;
}

mllm_trainer *mllm_trainer_from(const mllm_checkpoint *c, const mllm_train_options *o, mllm_error *err) {
    mllm_trainer *t = mllm_trainer_alloc(mllm_checkpoint_blueprint(c), o, err);
    if (t && mllm_layout_load(&t->l, c, t->params, err) != MLLM_OK) {
        mllm_trainer_free(t);
        t = NULL;
    }
    if (t && mllm_trainer_adapts(t)) mllm_adapters_randomize(&t->adapters, &t->b, o->seed, t->trained);
    return t;
}

static bool export_row(void *ctx, mllm_role role, uint32_t index, size_t row, float *out) {
    const mllm_trainer *t = ctx;
    mllm_role_shape s = mllm_blueprint_shape(&t->b, role);
    if (row >= s.rows || index >= s.count) return false;
    memcpy(out, t->params + mllm_layout_at(&t->l, role, index) + row * s.cols, s.cols * sizeof *out);
    if (mllm_trainer_adapts(t)) mllm_adapters_merge_row(&t->adapters, &t->b, t->trained, role, index, row, out);
    return true;
}

mllm_code mllm_trainer_export(mllm_trainer *t, const char *path, mllm_type type, const char *name,
                              const mllm_vocab *vocab, const char *chat_template, const char *card_json,
                              mllm_error *err) {
    if (name) snprintf(t->b.name, sizeof t->b.name, "%s", name);
    mllm_checkpoint_writing w = {.path = path,
                                 .blueprint = &t->b,
                                 .vocab = vocab,
                                 .chat_template = chat_template,
                                 .metadata_json = card_json,
                                 .type = type,
                                 .row = export_row,
                                 .ctx = t};
    return mllm_checkpoint_write(&w, err);
}
