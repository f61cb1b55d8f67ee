#include "train.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "trainer.h"

enum { CHUNK_FLOATS = 16384, MAX_SHARDS = 256, ROW_PART = 1024 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -------------------------------------------------------------- options */

mllm_train_options mllm_train_defaults(void) {
    return (mllm_train_options){.seed = 1,
                                .schedule = MLLM_SCHEDULE_COSINE,
                                .learning_rate = 1e-3,
                                .floor = 0.1,
                                .warmup = 100,
                                .steps = 1000,
                                .cooldown = 200,
                                .decay = 0.1,
                                .clip = 1,
                                .beta1 = 0.9,
                                .beta2 = 0.95,
                                .epsilon = 1e-8,
                                .batch_tokens = 8192,
                                .pack_tokens = 512,
                                .lora = {.alpha = 16, .targets = MLLM_LORA_POSSIBLE},
                                .temperature = 2,
                                .mix = 0.5};
}

mllm_code mllm_train_options_check(const mllm_train_options *o, mllm_error *err) {
    const struct {
        const char *name;
        double value, low, high;
    } ranges[] = {
        {"threads", o->threads, 0, 1024},
        {"shards", o->shards, 0, MAX_SHARDS},
        {"learning_rate", o->learning_rate, 0, 1e6},
        {"floor", o->floor, 0, 1},
        {"decay", o->decay, 0, 1e6},
        {"clip", o->clip, 0, 1e30},
        {"beta1", o->beta1, 0, 1 - 1e-9},
        {"beta2", o->beta2, 0, 1 - 1e-9},
        {"epsilon", o->epsilon, 1e-30, 1},
        {"steps", (double)o->steps, 1, 1e15},
        {"warmup", (double)o->warmup, 0, 1e15},
        {"cooldown", (double)o->cooldown, 0, 1e15},
        {"batch_tokens", (double)o->batch_tokens, 1, 1e12},
        {"pack_tokens", o->pack_tokens, 1, 1 << 24},
        {"temperature", o->temperature, 0.01, 1000},
        {"mix", o->mix, 0, 1},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!(ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high))
            return mllm_fail(err, MLLM_E_ARGUMENT, "%s = %g: a number from %g to %g is expected", ranges[i].name,
                             ranges[i].value, ranges[i].low, ranges[i].high);
    if (o->precision == MLLM_PRECISION_BF16 && !mllm_product_has_bf16())
        return mllm_fail(err, MLLM_E_ARGUMENT, "precision = bf16: this processor cannot multiply bfloat16");
    const mllm_type types[] = {MLLM_F32, MLLM_F16, MLLM_BF16, MLLM_Q8_0, MLLM_Q4_0};
    size_t i = 0;
    while (i < sizeof types / sizeof *types && types[i] != o->rounding) i++;
    if (i == sizeof types / sizeof *types)
        return mllm_fail(err, MLLM_E_ARGUMENT, "rounding: weights can be rounded to F16, BF16, Q8_0 and Q4_0");
    if (o->lora.rank && o->rounding != MLLM_F32)
        return mllm_fail(err, MLLM_E_ARGUMENT,
                         "lora and rounding: adapters are not rounded before they are merged; use one of the two");
    return MLLM_OK;
}

/* What a checkpoint keeps: a run that goes on elsewhere says so instead of changing its numbers. */
static void settle(mllm_train_options *o, size_t trained_floats) {
    if (o->threads == 0) o->threads = mllm_cpu_cores();
    if (o->shards == 0) o->shards = trained_floats <= (16u << 20) ? 8 : trained_floats <= (64u << 20) ? 4 : 2;
    if (o->precision == MLLM_PRECISION_AUTO)
        o->precision = mllm_product_has_bf16() ? MLLM_PRECISION_BF16 : MLLM_PRECISION_F32;
}

double mllm_schedule_rate(const mllm_train_options *o, uint64_t step) {
    double peak = o->learning_rate, low = peak * o->floor;
    if (step < o->warmup) return peak * ((double)step + 1) / (double)o->warmup;
    if (step >= o->steps) return low;
    if (o->schedule == MLLM_SCHEDULE_COSINE) {
        double done = (double)(step - o->warmup) / (double)(o->steps > o->warmup ? o->steps - o->warmup : 1);
        return low + (peak - low) * 0.5 * (1 + cos(3.141592653589793 * done));
    }
    uint64_t left = o->steps - step; /* 1 at the last step */
    return left > o->cooldown ? peak : low + (peak - low) * (double)left / (double)(o->cooldown + 1);
}

/* ----------------------------------------------------------- life cycle */

static void free_passes(mllm_trainer *t) {
    for (int i = 0; i < t->pass_count; i++) {
        if (t->passes) mllm_pass_free(t->passes[i]);
        if (t->teacher.passes) mllm_pass_free(t->teacher.passes[i]);
        if (t->packs) {
            mllm_free(t->packs[i].ids);
            mllm_free(t->packs[i].targets);
            mllm_free(t->packs[i].weight);
            mllm_free(t->packs[i].position);
            mllm_free(t->packs[i].starts);
        }
    }
    mllm_free(t->passes);
    mllm_free(t->teacher.passes);
    mllm_free(t->packs);
    t->passes = t->teacher.passes = NULL;
    t->packs = NULL;
    t->pass_count = 0;
}

static void free_teacher(mllm_teacher *t) {
    mllm_free_aligned(t->params);
    mllm_layout_free(&t->l);
    mllm_blueprint_free(&t->b);
    memset(t, 0, sizeof *t);
}

void mllm_trainer_free(mllm_trainer *t) {
    if (!t) return;
    free_passes(t);
    free_teacher(&t->teacher);
    mllm_team_free(t->team);
    if (t->gradients)
        for (uint32_t s = 0; s < t->o.shards; s++) mllm_free_aligned(t->gradients[s]);
    mllm_free(t->gradients);
    if (t->trained != t->params) mllm_free_aligned(t->trained);
    mllm_free_aligned(t->params);
    mllm_free_aligned(t->rounded);
    mllm_free_aligned(t->m);
    mllm_free_aligned(t->v);
    mllm_free(t->chunks);
    mllm_free(t->squares);
    mllm_free(t->order);
    mllm_layout_free(&t->l);
    mllm_blueprint_free(&t->b);
    mllm_free(t);
}

static size_t cut(size_t offset, size_t n, bool decays, mllm_param_chunk *chunks) {
    size_t count = 0;
    for (size_t at = 0; at < n; at += CHUNK_FLOATS, count++)
        if (chunks)
            chunks[count] = (mllm_param_chunk){offset + at, n - at < CHUNK_FLOATS ? n - at : CHUNK_FLOATS, decays};
    return count;
}

/* Cuts every tensor, or the adapters, into chunks. With `chunks` NULL only counts. */
static size_t make_chunks(const mllm_trainer *t, mllm_param_chunk *chunks) {
    if (mllm_trainer_adapts(t)) return cut(0, t->trained_floats, true, chunks);
    size_t count = 0;
    for (size_t e = 0; e < t->l.count; e++) {
        const mllm_layout_entry *w = &t->l.entries[e];
        count += cut(w->offset, w->rows * w->cols, mllm_role_decays(w->role), chunks ? chunks + count : NULL);
    }
    return count;
}

static float *zeroed(size_t floats) {
    float *p = mllm_alloc_aligned(floats * sizeof *p);
    if (p) memset(p, 0, floats * sizeof *p);
    return p;
}

mllm_trainer *mllm_trainer_alloc(const mllm_blueprint *b, const mllm_train_options *o, mllm_error *err) {
    if (mllm_train_options_check(o, err) != MLLM_OK) return NULL;
    mllm_trainer *t = mllm_calloc(1, sizeof *t);
    if (!t) {
        mllm_fail_memory(err, sizeof *t, "a trainer");
        return NULL;
    }
    t->o = *o;
    if (mllm_blueprint_copy(&t->b, b, err) != MLLM_OK || mllm_layout_init(&t->l, &t->b, err) != MLLM_OK) goto failed;
    if (mllm_trainer_adapts(t) && mllm_adapters_init(&t->adapters, b, &o->lora, err) != MLLM_OK) goto failed;
    t->trained_floats = mllm_trainer_adapts(t) ? t->adapters.floats : t->l.floats;
    size_t floats = t->trained_floats;
    settle(&t->o, floats);
    t->team = mllm_team_new(t->o.threads, err);
    if (!t->team) goto failed;
    t->chunk_count = make_chunks(t, NULL);
    t->chunks = mllm_alloc_array(t->chunk_count, sizeof *t->chunks);
    t->squares = mllm_alloc_array(t->chunk_count, sizeof *t->squares);
    t->gradients = mllm_calloc(t->o.shards, sizeof *t->gradients);
    t->params = zeroed(t->l.floats);
    t->trained = mllm_trainer_adapts(t) ? zeroed(floats) : t->params;
    t->m = zeroed(floats);
    t->v = zeroed(floats);
    bool complete = t->chunks && t->squares && t->gradients && t->params && t->trained && t->m && t->v;
    for (uint32_t s = 0; complete && s < t->o.shards; s++) {
        t->gradients[s] = zeroed(floats);
        complete = t->gradients[s] != NULL;
    }
    if (!complete) {
        mllm_fail_memory(err, (floats * (2 + (size_t)t->o.shards) + t->l.floats) * sizeof(float),
                         "weights, moments and gradients");
        goto failed;
    }
    make_chunks(t, t->chunks);
    return t;
failed:
    mllm_trainer_free(t);
    return NULL;
}

mllm_trainer *mllm_trainer_new(const mllm_blueprint *b, const mllm_train_options *o, mllm_error *err) {
    if (o->lora.rank) {
        mllm_fail(err, MLLM_E_ARGUMENT, "lora: adapters stand beside the weights of a model: 'base' is needed");
        return NULL;
    }
    mllm_trainer *t = mllm_trainer_alloc(b, o, err);
    if (t) mllm_layout_randomize(&t->l, &t->b, o->seed, t->params);
    return t;
}

const mllm_blueprint *mllm_trainer_blueprint(const mllm_trainer *t) {
    return &t->b;
}

const mllm_train_options *mllm_trainer_options(const mllm_trainer *t) {
    return &t->o;
}

mllm_code mllm_trainer_set_options(mllm_trainer *t, const mllm_train_options *o, mllm_error *err) {
    mllm_code code = mllm_train_options_check(o, err);
    if (code != MLLM_OK) return code;
    mllm_train_options n = *o;
    n.seed = t->o.seed;
    n.shards = t->o.shards;
    n.lora = t->o.lora;
    if (n.lora.rank && n.rounding != MLLM_F32) return mllm_fail(err, MLLM_E_ARGUMENT, "rounding: not with adapters");
    settle(&n, t->trained_floats);
    if (n.precision != t->o.precision || n.recompute != t->o.recompute) free_passes(t);
    if (n.threads != t->o.threads) {
        mllm_team *team = mllm_team_new(n.threads, err);
        if (!team) return MLLM_E_MEMORY;
        free_passes(t);
        mllm_team_free(t->team);
        t->team = team;
    }
    t->o = n;
    return MLLM_OK;
}

uint64_t mllm_trainer_step_count(const mllm_trainer *t) {
    return t->step;
}

uint64_t mllm_trainer_total_tokens(const mllm_trainer *t) {
    return t->total_tokens;
}

uint64_t mllm_trainer_parameters(const mllm_trainer *t) {
    return mllm_blueprint_parameters(&t->b);
}

uint64_t mllm_trainer_trained(const mllm_trainer *t) {
    return mllm_trainer_adapts(t) ? mllm_adapters_parameters(&t->adapters, &t->b) : mllm_trainer_parameters(t);
}

static mllm_pass_shape pass_shape(const mllm_trainer *t, size_t tokens, size_t longest) {
    return (mllm_pass_shape){.blueprint = &t->b,
                             .layout = &t->l,
                             .adapters = mllm_trainer_adapts(t) ? &t->adapters : NULL,
                             .tokens = tokens,
                             .longest = longest,
                             .keep = t->o.recompute ? MLLM_KEEP_INPUTS : MLLM_KEEP_ALL,
                             .bf16 = t->o.precision == MLLM_PRECISION_BF16};
}

static mllm_pass_shape teacher_shape(const mllm_trainer *t, size_t tokens, size_t longest) {
    return (mllm_pass_shape){.blueprint = &t->teacher.b,
                             .layout = &t->teacher.l,
                             .tokens = tokens,
                             .longest = longest,
                             .keep = MLLM_KEEP_NOTHING,
                             .bf16 = t->o.precision == MLLM_PRECISION_BF16};
}

/* Tokens of a pass for rows of up to `longest`. */
static size_t pass_tokens(const mllm_train_options *o, size_t longest) {
    return o->pack_tokens > longest ? o->pack_tokens : longest;
}

/* ... and how long a row may be: there is room for one that is a little longer. */
static size_t pass_longest(size_t tokens, size_t longest) {
    return longest > tokens / 2 ? longest : tokens / 2;
}

static uint64_t bytes_of(const mllm_trainer *t, int passes, size_t tokens, size_t longest) {
    mllm_pass_shape own = pass_shape(t, tokens, longest), other = teacher_shape(t, tokens, longest);
    uint64_t floats = (2 + (uint64_t)t->o.shards) * t->trained_floats + t->l.floats;
    if (mllm_trainer_adapts(t)) floats += t->trained_floats;
    if (t->o.rounding != MLLM_F32) floats += t->l.floats;
    uint64_t bytes = floats * sizeof(float);
    bytes += t->teacher.l.floats * sizeof(float);
    if (passes) bytes += (uint64_t)passes * mllm_pass_bytes(&own);
    if (passes && t->teacher.l.floats) bytes += (uint64_t)passes * mllm_pass_bytes(&other);
    return bytes;
}

uint64_t mllm_trainer_bytes(const mllm_trainer *t) {
    return bytes_of(t, t->pass_count, t->pass_tokens, t->pass_longest);
}

mllm_code mllm_train_memory(const mllm_blueprint *b, const mllm_train_options *o, size_t longest,
                            const mllm_blueprint *teacher, uint64_t *bytes, mllm_error *err) {
    mllm_code code = mllm_train_options_check(o, err);
    if (code != MLLM_OK) return code;
    mllm_trainer t = {.o = *o}; /* sizes only: nothing in it is allocated but the blueprint and the layouts */
    code = mllm_blueprint_copy(&t.b, b, err);
    if (code == MLLM_OK) code = mllm_layout_init(&t.l, &t.b, err);
    if (code == MLLM_OK && o->lora.rank) code = mllm_adapters_init(&t.adapters, b, &o->lora, err);
    if (code == MLLM_OK && teacher) {
        code = mllm_blueprint_copy(&t.teacher.b, teacher, err);
        if (code == MLLM_OK) code = mllm_layout_init(&t.teacher.l, teacher, err);
    }
    if (code == MLLM_OK) {
        t.trained_floats = o->lora.rank ? t.adapters.floats : t.l.floats;
        settle(&t.o, t.trained_floats);
        size_t tokens = pass_tokens(o, longest);
        *bytes = bytes_of(&t, t.o.threads, tokens, pass_longest(tokens, longest));
    }
    mllm_layout_free(&t.l);
    mllm_blueprint_free(&t.b);
    free_teacher(&t.teacher);
    return code;
}

uint64_t mllm_weights_fingerprint(const float *params, size_t floats) {
    uint64_t h = floats;
    for (size_t i = 0; i < floats; i++) {
        uint32_t bits;
        memcpy(&bits, &params[i], sizeof bits);
        h = (h ^ bits) * 0x9E3779B97F4A7C15u;
        h ^= h >> 31;
    }
    return h | 1; /* 0 says "none" */
}

mllm_code mllm_trainer_teach(mllm_trainer *t, const mllm_checkpoint *c, mllm_error *err) {
    const mllm_blueprint *b = mllm_checkpoint_blueprint(c);
    if (b->vocabulary != t->b.vocabulary)
        return mllm_fail(err, MLLM_E_ARGUMENT, "teacher: its vocabulary has %u tokens, the trained model's %u",
                         b->vocabulary, t->b.vocabulary);
    if (b->context < t->b.context)
        return mllm_fail(err, MLLM_E_ARGUMENT, "teacher: its context is %u, the trained model's %u", b->context,
                         t->b.context);
    mllm_teacher n;
    memset(&n, 0, sizeof n);
    mllm_code code = mllm_blueprint_copy(&n.b, b, err);
    if (code == MLLM_OK) code = mllm_layout_init(&n.l, b, err);
    if (code == MLLM_OK && !(n.params = zeroed(n.l.floats)))
        code = mllm_fail_memory(err, n.l.floats * sizeof(float), "the weights of a teacher");
    if (code == MLLM_OK) code = mllm_layout_load(&n.l, c, n.params, err);
    if (code == MLLM_OK) n.fingerprint = mllm_weights_fingerprint(n.params, n.l.floats);
    if (code == MLLM_OK && t->teacher_fingerprint && t->teacher_fingerprint != n.fingerprint)
        code = mllm_fail(err, MLLM_E_ARGUMENT, "teacher: this is not the one that the run began with");
    if (code != MLLM_OK) {
        free_teacher(&n);
        return code;
    }
    free_passes(t);
    free_teacher(&t->teacher);
    t->teacher = n;
    t->teacher_fingerprint = n.fingerprint;
    return MLLM_OK;
}

float *mllm_trainer_weights(mllm_trainer *t, const mllm_layout **layout) {
    if (layout) *layout = &t->l;
    return t->params;
}

/* ---------------------------------------------------------------- packs */

static bool make_pack(mllm_pack *p, size_t tokens) {
    p->ids = mllm_alloc_array(tokens, sizeof *p->ids);
    p->targets = mllm_alloc_array(tokens, sizeof *p->targets);
    p->weight = mllm_alloc_array(tokens, sizeof *p->weight);
    p->position = mllm_alloc_array(tokens, sizeof *p->position);
    p->starts = mllm_alloc_array(tokens + 1, sizeof *p->starts);
    return p->ids && p->targets && p->weight && p->position && p->starts;
}

/* A pass and a pack for each thread, for rows of up to `longest` tokens. */
static mllm_code prepare_passes(mllm_trainer *t, size_t longest, mllm_error *err) {
    size_t tokens = pass_tokens(&t->o, longest);
    if (t->pass_count && t->pass_longest >= longest && t->pass_tokens >= tokens) return MLLM_OK;
    free_passes(t);
    int size = mllm_team_size(t->team);
    t->passes = mllm_calloc((size_t)size, sizeof(mllm_pass *));
    t->teacher.passes = mllm_calloc((size_t)size, sizeof(mllm_pass *));
    t->packs = mllm_calloc((size_t)size, sizeof *t->packs);
    if (!t->passes || !t->teacher.passes || !t->packs) {
        free_passes(t);
        return mllm_fail_memory(err, (size_t)size * sizeof *t->packs, "packs of rows");
    }
    t->pass_count = size;
    t->pass_tokens = tokens;
    t->pass_longest = pass_longest(tokens, longest);
    mllm_pass_shape own = pass_shape(t, tokens, t->pass_longest), other = teacher_shape(t, tokens, t->pass_longest);
    for (int i = 0; i < size; i++) {
        t->passes[i] = mllm_pass_new(&own, err);
        bool complete = t->passes[i] != NULL;
        if (complete && t->teacher.params) complete = (t->teacher.passes[i] = mllm_pass_new(&other, err)) != NULL;
        if (complete && !make_pack(&t->packs[i], tokens)) {
            complete = false;
            mllm_fail_memory(err, tokens * 16, "a pack of rows");
        }
        if (!complete) {
            free_passes(t);
            return MLLM_E_MEMORY;
        }
    }
    return MLLM_OK;
}

static void pack_clear(mllm_pack *p) {
    p->rows = p->tokens = 0;
    p->starts[0] = 0;
}

/* The last token of a row predicts nothing, so a row of n tokens takes n - 1 places. */
static void pack_add(mllm_pack *p, const mllm_train_row *row) {
    for (uint32_t i = 0; i + 1 < row->length; i++, p->tokens++) {
        p->ids[p->tokens] = row->ids[i];
        p->targets[p->tokens] = row->ids[i + 1];
        p->weight[p->tokens] = mllm_train_row_weight(row, i + 1);
        p->position[p->tokens] = i;
    }
    p->starts[++p->rows] = p->tokens;
}

/* --------------------------------------------------------------- shards */

/* Rows dealt to shards: those of shard s are rows[order[i]] for i in [first[s], first[s + 1]). */
typedef struct {
    mllm_trainer *t;
    const mllm_train_row *rows;
    size_t *order;
    size_t first[MAX_SHARDS + 1];
    mllm_pass_result results[MAX_SHARDS];
    atomic_uint next;
    bool learn;
    float scale; /* 1 / sum of weights */
} dealing;

typedef struct {
    uint32_t length;
    uint32_t shard;
    size_t row;
} card;

static int longer_first(const void *a, const void *b) {
    const card *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? 1 : -1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int by_shard(const void *a, const void *b) {
    const card *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Longest row first, always to the shard with the fewest tokens: all end at about the same time. */
static mllm_code deal(dealing *d, mllm_trainer *t, const mllm_train_row *rows, size_t count, mllm_error *err) {
    card *cards = mllm_alloc_array(count, sizeof *cards);
    d->order = mllm_alloc_array(count, sizeof *d->order);
    if (!cards || !d->order) {
        mllm_free(cards);
        mllm_free(d->order);
        return mllm_fail_memory(err, count * (sizeof *cards + sizeof *d->order), "a batch");
    }
    uint64_t load[MAX_SHARDS] = {0};
    for (size_t i = 0; i < count; i++) cards[i] = (card){rows[i].length, 0, i};
    qsort(cards, count, sizeof *cards, longer_first);
    for (size_t i = 0; i < count; i++) {
        uint32_t best = 0;
        for (uint32_t s = 1; s < t->o.shards; s++)
            if (load[s] < load[best]) best = s;
        cards[i].shard = best;
        load[best] += rows[cards[i].row].length;
    }
    qsort(cards, count, sizeof *cards, by_shard);
    size_t at = 0;
    for (uint32_t s = 0; s < t->o.shards; s++) {
        d->first[s] = at;
        for (; at < count && cards[at].shard == s; at++) d->order[at] = cards[at].row;
    }
    d->first[t->o.shards] = count;
    d->t = t;
    d->rows = rows;
    memset(d->results, 0, sizeof d->results);
    atomic_init(&d->next, 0);
    mllm_free(cards);
    return MLLM_OK;
}

/* What passes see. */
static mllm_weights weights_of(const mllm_trainer *t) {
    return (mllm_weights){t->o.rounding != MLLM_F32 ? t->rounded : t->params,
                          mllm_trainer_adapts(t) ? t->trained : NULL};
}

/* Rounds every matrix as a file of the type has it: one whose rows are no multiple of the type's block becomes F16 there. */
static void round_weights(void *ctx, int rank, int size) {
    const mllm_trainer *t = ctx;
    for (size_t e = 0; e < t->l.count; e++) {
        const mllm_layout_entry *w = &t->l.entries[e];
        size_t from, to;
        mllm_team_part(w->rows, 1, rank, size, &from, &to);
        mllm_type type = mllm_row_bytes(t->o.rounding, w->cols) ? t->o.rounding : MLLM_F16;
        size_t step = mllm_type_facts(type)->block;
        for (size_t r = from; r < to; r++) {
            const float *in = t->params + w->offset + r * w->cols;
            float *out = t->rounded + w->offset + r * w->cols;
            unsigned char stored[ROW_PART * 2];
            for (size_t c = 0; c < w->cols;) {
                size_t n = w->cols - c < ROW_PART ? w->cols - c : ROW_PART;
                if (mllm_role_decays(w->role) && n % step == 0 && mllm_quantize_row(type, in + c, stored, n))
                    mllm_dequantize_row(type, stored, out + c, n);
                else
                    memcpy(out + c, in + c, n * sizeof *out);
                c += n;
            }
        }
    }
}

static mllm_code prepare_rounding(mllm_trainer *t, mllm_error *err) {
    if (t->o.rounding == MLLM_F32) return MLLM_OK;
    if (!t->rounded && !(t->rounded = zeroed(t->l.floats)))
        return mllm_fail_memory(err, t->l.floats * sizeof(float), "rounded weights");
    mllm_team_run(t->team, round_weights, t);
    return MLLM_OK;
}

static void run_pack(dealing *d, int rank, uint32_t shard) {
    mllm_trainer *t = d->t;
    if (t->packs[rank].rows == 0) return;
    mllm_weights own = weights_of(t);
    mllm_teaching teaching = {
        t->teacher.passes[rank], {t->teacher.params, NULL}, (float)t->o.temperature, (float)t->o.mix};
    mllm_pass_run(t->passes[rank], &own, d->learn ? t->gradients[shard] : NULL, &t->packs[rank], d->scale,
                  d->learn && t->teacher.params ? &teaching : NULL, &d->results[shard]);
    pack_clear(&t->packs[rank]);
}

static void run_shards(void *ctx, int rank, int size) {
    dealing *d = ctx;
    mllm_trainer *t = d->t;
    (void)size;
    for (uint32_t s; (s = atomic_fetch_add(&d->next, 1)) < t->o.shards;) {
        if (d->first[s] == d->first[s + 1]) continue;
        if (d->learn) memset(t->gradients[s], 0, t->trained_floats * sizeof(float));
        pack_clear(&t->packs[rank]);
        for (size_t i = d->first[s]; i < d->first[s + 1]; i++) {
            const mllm_train_row *row = &d->rows[d->order[i]];
            if (t->packs[rank].tokens + row->length - 1 > t->o.pack_tokens)
                run_pack(d, rank, s); /* a longer row alone */
            pack_add(&t->packs[rank], row);
        }
        run_pack(d, rank, s);
    }
}

/* Runs all rows; d->results are summed into *sum in the order of the shards. */
static mllm_code run_rows(mllm_trainer *t, dealing *d, const mllm_train_row *rows, size_t count, mllm_pass_result *sum,
                          mllm_error *err) {
    size_t longest = 1;
    for (size_t i = 0; i < count; i++) {
        mllm_code code = mllm_train_row_check(&rows[i], t->b.vocabulary, i + 1, err);
        if (code != MLLM_OK) return code;
        if (rows[i].length - 1 > t->b.context)
            return mllm_fail(err, MLLM_E_CONTEXT, "row %zu has %u tokens; the context of %u takes %u", i + 1,
                             rows[i].length, t->b.context, t->b.context + 1);
        if (rows[i].length - 1 > longest) longest = rows[i].length - 1;
    }
    mllm_code code = prepare_passes(t, longest, err);
    if (code == MLLM_OK) code = prepare_rounding(t, err);
    if (code == MLLM_OK) code = deal(d, t, rows, count, err);
    if (code != MLLM_OK) return code;
    mllm_team_run(t->team, run_shards, d);
    mllm_free(d->order);
    memset(sum, 0, sizeof *sum);
    for (uint32_t s = 0; s < t->o.shards; s++) {
        sum->loss += d->results[s].loss;
        sum->weight += d->results[s].weight;
        sum->tokens += d->results[s].tokens;
        sum->scored += d->results[s].scored;
        sum->right += d->results[s].right;
    }
    return MLLM_OK;
}

/* --------------------------------------------------------------- update */

static void reduce(void *ctx, int rank, int size) {
    dealing *d = ctx;
    mllm_trainer *t = d->t;
    const mllm_kernels *k = mllm_train_kernels();
    size_t from, to;
    mllm_team_part(t->chunk_count, 1, rank, size, &from, &to);
    for (size_t c = from; c < to; c++) {
        size_t at = t->chunks[c].offset, n = t->chunks[c].count;
        for (uint32_t s = 1; s < t->o.shards; s++)
            if (d->first[s] < d->first[s + 1]) k->add(t->gradients[0] + at, t->gradients[s] + at, n);
        t->squares[c] = k->square_sum(t->gradients[0] + at, n);
    }
}

typedef struct {
    mllm_trainer *t;
    double scale, rate;
} updating;

static void update(void *ctx, int rank, int size) {
    const updating *u = ctx;
    mllm_trainer *t = u->t;
    const mllm_kernels *k = mllm_train_kernels();
    const mllm_train_options *o = &t->o;
    double steps = (double)t->step + 1;
    float rate1 = (float)(u->rate / (1 - pow(o->beta1, steps)));
    float root2 = (float)(1 / sqrt(1 - pow(o->beta2, steps)));
    size_t from, to;
    mllm_team_part(t->chunk_count, 1, rank, size, &from, &to);
    for (size_t c = from; c < to; c++) {
        size_t at = t->chunks[c].offset;
        k->adamw(t->trained + at, t->m + at, t->v + at, t->gradients[0] + at, t->chunks[c].count, (float)u->scale,
                 (float)o->beta1, (float)o->beta2, rate1, root2, (float)o->epsilon,
                 t->chunks[c].decays ? (float)(u->rate * o->decay) : 0);
    }
}

mllm_code mllm_trainer_step(mllm_trainer *t, const mllm_train_row *rows, size_t count, mllm_train_stats *stats,
                            mllm_error *err) {
    double start = now(), weight = 0;
    if (t->teacher_fingerprint && !t->teacher.params)
        return mllm_fail(err, MLLM_E_ARGUMENT, "this run learns from a teacher: 'teacher' is needed to go on");
    for (size_t r = 0; r < count; r++)
        for (uint32_t i = 1; i < rows[r].length; i++) weight += (double)mllm_train_row_weight(&rows[r], i);
    if (!(weight > 0 && isfinite(weight)))
        return mllm_fail(err, MLLM_E_ARGUMENT, "no token of these %zu rows has a weight to learn from", count);
    dealing d;
    d.learn = true;
    d.scale = (float)(1 / weight);
    mllm_pass_result sum;
    mllm_code code = run_rows(t, &d, rows, count, &sum, err);
    if (code != MLLM_OK) return code;
    mllm_team_run(t->team, reduce, &d);
    double square = 0;
    for (size_t c = 0; c < t->chunk_count; c++) square += t->squares[c];
    double norm = sqrt(square);
    updating u = {t, t->o.clip > 0 && norm > t->o.clip ? t->o.clip / norm : 1, mllm_schedule_rate(&t->o, t->step)};
    bool finite = isfinite(norm) && isfinite(sum.loss);
    if (finite) mllm_team_run(t->team, update, &u);
    t->step++;
    t->total_tokens += sum.tokens;
    if (stats)
        *stats = (mllm_train_stats){.step = t->step,
                                    .loss = sum.loss / weight,
                                    .tokens = sum.tokens,
                                    .scored = sum.scored,
                                    .gradient_norm = norm,
                                    .learning_rate = u.rate,
                                    .seconds = now() - start,
                                    .total_tokens = t->total_tokens,
                                    .skipped = !finite};
    return MLLM_OK;
}

/* ----------------------------------------------------------------- data */

/* The order of the current epoch: Fisher-Yates from seed and epoch. */
static mllm_code prepare_order(mllm_trainer *t, size_t rows, mllm_error *err) {
    if (t->order && t->order_count == rows && t->order_epoch == t->data_epoch &&
        t->order_fingerprint == t->data_fingerprint)
        return MLLM_OK;
    uint32_t *order = mllm_realloc_array(t->order, rows, sizeof *order);
    if (!order) return mllm_fail_memory(err, rows * sizeof *order, "the order of an epoch");
    t->order = order;
    t->order_count = rows;
    t->order_epoch = t->data_epoch;
    t->order_fingerprint = t->data_fingerprint;
    uint64_t state = t->o.seed;
    state = mllm_splitmix(&state) ^ t->data_epoch * 0x9E3779B97F4A7C15u;
    for (size_t i = 0; i < rows; i++) order[i] = (uint32_t)i;
    for (size_t i = rows; i > 1; i--) {
        size_t j = (size_t)(mllm_splitmix(&state) % i);
        uint32_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
    return MLLM_OK;
}

static mllm_code check_data(const mllm_trainer *t, const mllm_train_data *data, mllm_error *err) {
    if (mllm_train_data_rows(data) == 0) return mllm_fail(err, MLLM_E_ARGUMENT, "the data has no rows");
    if (mllm_train_data_rows(data) > UINT32_MAX)
        return mllm_fail(err, MLLM_E_LIMIT, "the data has more than 2^32 rows");
    if (mllm_train_data_largest_id(data) >= (int64_t)t->b.vocabulary)
        return mllm_fail(err, MLLM_E_TOKEN, "the data has token %d; the vocabulary has %u",
                         mllm_train_data_largest_id(data), t->b.vocabulary);
    if (mllm_train_data_longest(data) - 1 > t->b.context)
        return mllm_fail(err, MLLM_E_CONTEXT, "the data has a row of %u tokens; the context of %u takes %u",
                         mllm_train_data_longest(data), t->b.context, t->b.context + 1);
    return MLLM_OK;
}

mllm_code mllm_trainer_next(mllm_trainer *t, const mllm_train_data *data, mllm_train_stats *stats, mllm_error *err) {
    mllm_code code = check_data(t, data, err);
    if (code != MLLM_OK) return code;
    size_t rows = mllm_train_data_rows(data);
    if (t->data_fingerprint != mllm_train_data_fingerprint(data) || t->data_place > rows) {
        t->data_fingerprint = mllm_train_data_fingerprint(data);
        t->data_epoch = t->data_place = 0;
    }
    uint64_t epoch = t->data_epoch, place = t->data_place;
    mllm_train_row *batch = NULL;
    size_t count = 0, room = 0;
    for (uint64_t tokens = 0; tokens < t->o.batch_tokens && code == MLLM_OK;) {
        if (t->data_place >= rows) {
            t->data_epoch++;
            t->data_place = 0;
        }
        code = prepare_order(t, rows, err);
        if (code != MLLM_OK) break;
        if (count == room) {
            room = room ? 2 * room : 64;
            mllm_train_row *more = mllm_realloc_array(batch, room, sizeof *batch);
            if (!more) {
                code = mllm_fail_memory(err, room * sizeof *batch, "a batch");
                break;
            }
            batch = more;
        }
        batch[count] = mllm_train_data_row(data, t->order[t->data_place++]);
        tokens += batch[count++].length - 1;
    }
    if (code == MLLM_OK) code = mllm_trainer_step(t, batch, count, stats, err);
    if (code != MLLM_OK) { /* as before */
        t->data_epoch = epoch;
        t->data_place = place;
    } else if (stats)
        stats->epoch = (double)t->data_epoch + (double)t->data_place / (double)rows;
    mllm_free(batch);
    return code;
}

mllm_code mllm_trainer_evaluate(mllm_trainer *t, const mllm_train_data *data, mllm_train_score *score,
                                mllm_error *err) {
    mllm_code code = check_data(t, data, err);
    if (code != MLLM_OK) return code;
    size_t count = mllm_train_data_rows(data);
    mllm_train_row *rows = mllm_alloc_array(count, sizeof *rows);
    if (!rows) return mllm_fail_memory(err, count * sizeof *rows, "the rows of an evaluation");
    for (size_t i = 0; i < count; i++) rows[i] = mllm_train_data_row(data, i);
    dealing d;
    d.learn = false;
    d.scale = 0;
    mllm_pass_result sum;
    code = run_rows(t, &d, rows, count, &sum, err);
    mllm_free(rows);
    if (code != MLLM_OK) return code;
    if (sum.scored == 0) return mllm_fail(err, MLLM_E_ARGUMENT, "no token of the data has a weight");
    *score = (mllm_train_score){sum.loss / sum.weight, (double)sum.right / (double)sum.scored, sum.tokens, sum.scored};
    return MLLM_OK;
}

mllm_code mllm_trainer_logits(mllm_trainer *t, const mllm_token *ids, size_t count, float *logits, mllm_error *err) {
    if (count == 0) return mllm_fail(err, MLLM_E_ARGUMENT, "logits of no tokens");
    if (count > t->b.context)
        return mllm_fail(err, MLLM_E_CONTEXT, "%zu tokens; the context is %u", count, t->b.context);
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= t->b.vocabulary)
            return mllm_fail(err, MLLM_E_TOKEN, "token %zu: id %d is outside the vocabulary of %u", i + 1, (int)ids[i],
                             t->b.vocabulary);
    mllm_code code = prepare_passes(t, count, err);
    if (code == MLLM_OK) code = prepare_rounding(t, err);
    if (code != MLLM_OK) return code;
    mllm_pack *p = &t->packs[0];
    pack_clear(p);
    for (size_t i = 0; i < count; i++) {
        p->ids[i] = ids[i];
        p->position[i] = (uint32_t)i;
    }
    p->rows = 1;
    p->starts[1] = p->tokens = (uint32_t)count;
    mllm_weights weights = weights_of(t);
    mllm_pass_logits(t->passes[0], &weights, p, count - 1, logits);
    return MLLM_OK;
}
