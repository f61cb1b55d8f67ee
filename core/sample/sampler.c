/* sampler.c - the chain: its parameters, its history, and the way of a token through it. */
#include "stages.h"

#include "../base/alloc.h"
#include "../base/error.h"
#include "softmax.h"

#include <float.h>
#include <math.h>

enum { FIRST_HISTORY = 256, MAX_HISTORY = 1 << 20, MAX_STAGES = 256, MAX_LOGITS = 1 << 24 };

/* ------------------------------------------------------------- lifetime */

static void host_release(mllm_stage_host *host) {
    if (!host || __atomic_sub_fetch(&host->references, 1, __ATOMIC_ACQ_REL) > 0) return;
    if (host->release) host->release(host->ctx);
    mllm_free(host);
}

static void stage_free(mllm_stage *stage) {
    mllm_free(stage->tokens);
    mllm_free(stage->values);
    for (size_t i = 0; i < stage->string_count; i++) mllm_free(stage->strings[i]);
    mllm_free(stage->strings);
    host_release(stage->host);
}

mllm_sampler *mllm_sampler_new(uint64_t seed, mllm_error *err) {
    mllm_sampler *sampler = mllm_calloc(1, sizeof *sampler);
    mllm_token *history = mllm_alloc_array(FIRST_HISTORY, sizeof *history);
    if (!sampler || !history) {
        mllm_free(sampler);
        mllm_free(history);
        mllm_fail_memory(err, sizeof *sampler + FIRST_HISTORY * sizeof *history, "a sampler");
        return NULL;
    }
    sampler->references = 1;
    sampler->history = history;
    sampler->history_capacity = FIRST_HISTORY;
    mllm_sampler_reset(sampler, seed);
    return sampler;
}

mllm_sampler *mllm_sampler_retain(mllm_sampler *sampler) {
    if (sampler) __atomic_add_fetch(&sampler->references, 1, __ATOMIC_RELAXED);
    return sampler;
}

void mllm_sampler_release(mllm_sampler *sampler) {
    if (!sampler || __atomic_sub_fetch(&sampler->references, 1, __ATOMIC_ACQ_REL) > 0) return;
    for (size_t i = 0; i < sampler->stage_count; i++) stage_free(&sampler->stages[i]);
    mllm_free(sampler->stages);
    mllm_free(sampler->history);
    mllm_free(sampler->set.logits);
    mllm_free(sampler->set.ids);
    mllm_free(sampler->set.keys);
    mllm_free(sampler->set.weights);
    mllm_free(sampler->scratch);
    mllm_free(sampler);
}

static void *copy_array(const void *from, size_t count, size_t size) {
    void *to = mllm_alloc_array(count, size);
    if (to && count) memcpy(to, from, count * size);
    return to;
}

/* Everything but the host, which is shared. `to` is zeroed; what was copied before a failure is the caller's to free. */
static bool stage_copy(mllm_stage *to, const mllm_stage *from) {
    *to = *from;
    to->tokens = NULL;
    to->values = NULL;
    to->strings = NULL;
    to->string_count = 0;
    if (to->host) __atomic_add_fetch(&to->host->references, 1, __ATOMIC_RELAXED);
    if (from->tokens && !(to->tokens = copy_array(from->tokens, from->token_count, sizeof *to->tokens))) return false;
    if (from->values && !(to->values = copy_array(from->values, from->token_count, sizeof *to->values))) return false;
    if (from->strings && !(to->strings = mllm_calloc(from->string_count, sizeof *to->strings))) return false;
    for (size_t i = 0; i < from->string_count; i++, to->string_count++)
        if (!(to->strings[i] = mllm_strndup(from->strings[i], strlen(from->strings[i])))) return false;
    return true;
}

mllm_sampler *mllm_sampler_fork(const mllm_sampler *sampler, mllm_error *err) {
    mllm_sampler *copy = mllm_calloc(1, sizeof *copy);
    if (!copy) goto failed;
    copy->references = 1;
    copy->seed = sampler->seed;
    copy->random = sampler->random;
    copy->history_count = sampler->history_count;
    copy->history_dropped = sampler->history_dropped;
    copy->history_resets = sampler->history_resets;
    copy->output_count = sampler->output_count;
    copy->starved = sampler->starved;
    copy->drawn = sampler->drawn;
    copy->history_capacity = sampler->history_capacity;
    copy->history = mllm_alloc_array(copy->history_capacity, sizeof *copy->history);
    if (!copy->history) goto failed;
    memcpy(copy->history, sampler->history, copy->history_count * sizeof *copy->history);
    copy->stages = mllm_calloc(sampler->stage_count, sizeof *copy->stages);
    if (!copy->stages) goto failed;
    for (size_t i = 0; i < sampler->stage_count; i++) {
        copy->stage_count++;
        if (!stage_copy(&copy->stages[i], &sampler->stages[i])) goto failed;
    }
    return copy;
failed:
    mllm_sampler_release(copy);
    mllm_fail_memory(err, sizeof *copy, "a sampler's fork");
    return NULL;
}

void mllm_sampler_reset(mllm_sampler *sampler, uint64_t seed) {
    sampler->seed = seed;
    mllm_random_seed(&sampler->random, seed);
    sampler->history_count = 0;
    sampler->history_dropped = 0;
    sampler->history_resets++;
    sampler->output_count = 0;
    sampler->starved = false;
    sampler->drawn = -1;
    for (size_t i = 0; i < sampler->stage_count; i++) mllm_stage_reset(&sampler->stages[i]);
}

uint64_t mllm_sampler_seed(const mllm_sampler *sampler) {
    return sampler->seed;
}

/* --------------------------------------------------------------- stages */

/* Room for one more; zeroed, not counted yet. */
static mllm_stage *next_stage(mllm_sampler *sampler, mllm_error *err) {
    if (sampler->stage_count == MAX_STAGES) {
        mllm_fail(err, MLLM_E_LIMIT, "a sampler has at most %d stages", MAX_STAGES);
        return NULL;
    }
    mllm_stage *stages = mllm_realloc_array(sampler->stages, sampler->stage_count + 1, sizeof *stages);
    if (!stages) {
        mllm_fail_memory(err, (sampler->stage_count + 1) * sizeof *stages, "a sampler's stage");
        return NULL;
    }
    sampler->stages = stages;
    mllm_stage *stage = &stages[sampler->stage_count];
    memset(stage, 0, sizeof *stage);
    stage->place = (int)sampler->stage_count + 1;
    return stage;
}

static const mllm_stage_type *find_type(const char *name) {
    const mllm_stage_type *type = mllm_stage_types;
    while (type->name && strcmp(type->name, name) != 0) type++;
    return type->name ? type : NULL;
}

static int parameter_index(const mllm_stage_type *type, const char *name) {
    for (int i = 0; i < MLLM_STAGE_PARAMS && type->params[i].name; i++)
        if (!name || strcmp(type->params[i].name, name) == 0) return i;
    return -1;
}

char mllm_sampler_kind(const char *stage, const char *param) {
    const mllm_stage_type *type = find_type(stage);
    int i = type ? parameter_index(type, param) : -1;
    return i < 0 ? 0 : type->params[i].kind;
}

static mllm_code unknown_parameter(const mllm_stage_type *type, const char *name, mllm_error *err) {
    char known[200] = "";
    for (int i = 0; i < MLLM_STAGE_PARAMS && type->params[i].name; i++) {
        if (i) strcat(known, ", "); /* at most five short names of our own */
        strcat(known, type->params[i].name);
    }
    if (!known[0]) return mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage '%s' takes no parameter", type->name);
    return mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage '%s' has no parameter '%s' (it has: %s)", type->name, name,
                     known);
}

typedef struct {
    mllm_token id;
    float value;
} biased;

static void sink(biased *a, size_t at, size_t n) {
    biased moved = a[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && a[child].id < a[child + 1].id) child++;
        if (moved.id >= a[child].id) break;
        a[at] = a[child];
    }
    a[at] = moved;
}

/* Ascending ids. A heap sort: the C library's qsort takes memory that no hook sees. */
static void sort(biased *a, size_t n) {
    for (size_t i = n / 2; i-- > 0;) sink(a, i, n);
    for (size_t i = n; i-- > 1;) {
        biased greatest = a[0];
        a[0] = a[i];
        a[i] = greatest;
        sink(a, 0, i);
    }
}

/* Ascending copies of a list of tokens and its values. Of one token only one value may stand. */
static mllm_code set_tokens(mllm_stage *stage, const mllm_sampler_param *param, const char *name, mllm_error *err) {
    size_t n = param->count;
    bool valued = param->kind == 'v';
    biased *pairs = mllm_alloc_array(n, sizeof *pairs);
    mllm_token *tokens = mllm_alloc_array(n, sizeof *tokens);
    float *values = valued ? mllm_alloc_array(n, sizeof *values) : NULL;
    mllm_code code = MLLM_OK;
    if (!pairs || !tokens || (valued && !values)) code = mllm_fail_memory(err, n * sizeof *pairs, "a sampler's tokens");
    for (size_t i = 0; code == MLLM_OK && i < n; i++) {
        pairs[i] = (biased){param->tokens[i], valued ? param->values[i] : 0};
        if (pairs[i].id < 0)
            code = mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage '%s': %s holds %d, which is no token",
                             stage->type->name, name, (int)pairs[i].id);
        else if (!(pairs[i].value <= FLT_MAX))
            code = mllm_fail(err, MLLM_E_ARGUMENT,
                             "sampler stage '%s': the value of token %d must be a number under infinity",
                             stage->type->name, (int)pairs[i].id);
    }
    if (code != MLLM_OK) {
        mllm_free(pairs);
        mllm_free(tokens);
        mllm_free(values);
        return code;
    }
    sort(pairs, n);
    size_t kept = 0;
    for (size_t i = 0; i < n && code == MLLM_OK; i++) {
        if (kept && tokens[kept - 1] == pairs[i].id) {
            if (valued && values[kept - 1] != pairs[i].value)
                code = mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage '%s': token %d has two values", stage->type->name,
                                 (int)pairs[i].id);
            continue;
        }
        tokens[kept] = pairs[i].id;
        if (valued) values[kept] = pairs[i].value;
        kept++;
    }
    mllm_free(pairs);
    mllm_free(stage->tokens);
    mllm_free(stage->values);
    stage->tokens = tokens;
    stage->values = values;
    stage->token_count = kept;
    stage->tokens_given = true;
    stage->vocab_missing = false;
    return code;
}

static mllm_code set_strings(mllm_stage *stage, const char *const *strings, size_t count, mllm_error *err) {
    stage->strings = mllm_calloc(count, sizeof *stage->strings);
    if (!stage->strings) return mllm_fail_memory(err, count * sizeof *stage->strings, "a sampler's strings");
    for (size_t i = 0; i < count; i++, stage->string_count++)
        if (!(stage->strings[i] = mllm_strndup(strings[i], strlen(strings[i]))))
            return mllm_fail_memory(err, strlen(strings[i]), "a sampler's strings");
    return MLLM_OK;
}

static mllm_code set_parameter(mllm_stage *stage, const mllm_sampler_param *param, unsigned *seen, mllm_error *err) {
    const mllm_stage_type *type = stage->type;
    int i = parameter_index(type, param->name);
    if (i < 0) return unknown_parameter(type, param->name ? param->name : "(first)", err);
    const mllm_stage_param *known = &type->params[i];
    if (*seen & 1u << i)
        return mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage '%s': %s is given twice", type->name, known->name);
    *seen |= 1u << i;
    if (known->kind == 'n' || known->kind == 'i') {
        double x = param->number;
        if (param->kind != 'n')
            return mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage '%s': %s must be a number", type->name, known->name);
        if (!(x >= known->low && x <= known->high))
            return mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage '%s': %s = %g is outside %g..%g", type->name,
                             known->name, x, known->low, known->high);
        if (known->kind == 'i' && x != floor(x))
            return mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage '%s': %s = %g must be an integer", type->name,
                             known->name, x);
        stage->p[i] = x;
        return MLLM_OK;
    }
    if (known->kind == 's' && param->kind == 's') return set_strings(stage, param->strings, param->count, err);
    if ((known->kind == 'v') != (param->kind == 'v') || param->kind == 's' || param->kind == 'n')
        return mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage '%s': %s must be a list of tokens%s", type->name,
                         known->name,
                         known->kind == 'v'   ? " with a number each"
                         : known->kind == 's' ? " or of strings"
                                              : "");
    return set_tokens(stage, param, known->name, err);
}

mllm_code mllm_sampler_add(mllm_sampler *sampler, const char *name, const mllm_sampler_param *params, size_t count,
                           mllm_error *err) {
    const mllm_stage_type *type = find_type(name);
    if (!type) return mllm_fail(err, MLLM_E_ARGUMENT, "unknown sampler stage '%s'", name);
    mllm_stage *stage = next_stage(sampler, err);
    if (!stage) return err ? err->code : MLLM_E_MEMORY;
    stage->type = type;
    for (int i = 0; i < MLLM_STAGE_PARAMS; i++) stage->p[i] = type->params[i].standard;
    unsigned seen = 0;
    mllm_code code = MLLM_OK;
    for (size_t i = 0; i < count && code == MLLM_OK; i++) code = set_parameter(stage, &params[i], &seen, err);
    if (code == MLLM_OK && type->required && !(seen & 1))
        code = mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage '%s' needs %s", type->name, type->params[0].name);
    if (code == MLLM_OK && type->strings && !stage->strings && !stage->tokens_given) {
        size_t n = 0;
        while (type->strings[n]) n++;
        code = set_strings(stage, type->strings, n, err);
    } else if (stage->strings)
        stage->vocab_missing = true; /* strings that the caller named must not be lost silently */
    if (code != MLLM_OK) {
        stage_free(stage);
        return code;
    }
    mllm_stage_reset(stage);
    sampler->stage_count++;
    return MLLM_OK;
}

mllm_code mllm_sampler_add_function(mllm_sampler *sampler, mllm_sampler_fn fn, void *ctx, void (*release)(void *ctx),
                                    mllm_error *err) {
    mllm_stage_host *host = mllm_alloc(sizeof *host);
    mllm_error ours = {MLLM_OK, ""};
    mllm_stage *stage = host ? next_stage(sampler, &ours) : NULL;
    if (!stage) {
        if (!host) mllm_fail_memory(&ours, sizeof *host, "a sampler's function");
        mllm_free(host);
        if (release) release(ctx);
        return mllm_fail(err, ours.code, "%s", ours.message);
    }
    *host = (mllm_stage_host){.references = 1, .fn = fn, .ctx = ctx, .release = release};
    stage->type = &mllm_stage_function;
    stage->host = host;
    sampler->stage_count++;
    return MLLM_OK;
}

bool mllm_sampler_needs_script(const mllm_sampler *sampler) {
    for (size_t i = 0; i < sampler->stage_count; i++)
        if (sampler->stages[i].host) return true;
    return false;
}

/* -------------------------------------------------------------- history */

static void remember(mllm_sampler *sampler, mllm_token token) {
    if (sampler->history_count == sampler->history_capacity) {
        if (sampler->history_capacity == MAX_HISTORY) {
            size_t half = MAX_HISTORY / 2;
            memmove(sampler->history, sampler->history + half, (MAX_HISTORY - half) * sizeof *sampler->history);
            sampler->history_count -= half;
            sampler->history_dropped += half;
        } else {
            mllm_token *history = mllm_realloc_array(sampler->history, sampler->history_capacity * 2, sizeof *history);
            if (!history) {
                sampler->starved = true;
                return;
            }
            sampler->history = history;
            sampler->history_capacity *= 2;
        }
    }
    sampler->history[sampler->history_count++] = token;
}

void mllm_sampler_accept(mllm_sampler *sampler, mllm_token token) {
    if (token >= 0 && token == sampler->drawn)
        for (size_t i = 0; i < sampler->stage_count; i++) sampler->stages[i].mu = sampler->stages[i].next_mu;
    sampler->drawn = -1;
    sampler->output_count++;
    remember(sampler, token);
}

void mllm_sampler_prompt(mllm_sampler *sampler, const mllm_token *tokens, size_t count) {
    for (size_t i = 0; i < count; i++) remember(sampler, tokens[i]);
}

const mllm_token *mllm_sampler_history(const mllm_sampler *sampler, size_t *count) {
    *count = sampler->history_count;
    return sampler->history;
}

/* ------------------------------------------------------------- sampling */

/* Buffers for n tokens; a size of their own each, so that a failure leaves them as they were. */
static mllm_code reserve(mllm_sampler *sampler, size_t n, mllm_error *err) {
    if (n > MAX_LOGITS) return mllm_fail(err, MLLM_E_LIMIT, "%zu logits: a sampler takes at most %d", n, MAX_LOGITS);
    if (n <= sampler->capacity) return MLLM_OK;
    mllm_running *set = &sampler->set;
    void **buffers[] = {(void **)&set->logits, (void **)&set->ids, (void **)&set->keys, (void **)&set->weights};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        void *grown = mllm_realloc_array(*buffers[i], n, 4);
        if (!grown) return mllm_fail_memory(err, n * 4, "a sampler's logits");
        *buffers[i] = grown;
    }
    sampler->capacity = n;
    return MLLM_OK;
}

static mllm_token run(mllm_sampler *sampler, mllm_error *err) {
    mllm_running *set = &sampler->set;
    sampler->drawn = -1;
    if (sampler->starved) {
        mllm_fail_memory(err, sampler->history_capacity * 2 * sizeof *sampler->history, "a sampler's history");
        return -1;
    }
    if (!mllm_all_finite(set->logits, set->count)) {
        for (size_t i = 0; i < set->count; i++) {
            float x = set->logits[i];
            if (x <= FLT_MAX) continue;
            mllm_fail(err, MLLM_E_FORMAT, "the logit of token %d is %s", (int)mllm_running_id(set, i),
                      x != x ? "not a number" : "infinite");
            return -1;
        }
        mllm_running_compact(set);
    }
    if (set->count == 0) {
        mllm_fail(err, MLLM_E_GRAMMAR, "no token to sample: all are masked");
        return -1;
    }
    for (size_t i = 0; i < sampler->stage_count; i++) {
        mllm_stage *stage = &sampler->stages[i];
        if (stage->vocab_missing) {
            mllm_fail(err, MLLM_E_ARGUMENT, "sampler stage %d (%s): its strings need a vocabulary", stage->place,
                      stage->type->name);
            return -1;
        }
        if (stage->type->apply(sampler, stage, set, err) != MLLM_OK) return -1;
        if (set->count == 0) {
            mllm_fail(err, MLLM_E_GRAMMAR, "sampler stage %d (%s) left no token", stage->place, stage->type->name);
            return -1;
        }
    }
    size_t at = set->count == 1 ? 0 : mllm_running_draw(set, &sampler->random);
    return sampler->drawn = mllm_running_id(set, at);
}

static bool in_use(const mllm_sampler *sampler, mllm_error *err) {
    if (sampler->busy) mllm_fail(err, MLLM_E_ARGUMENT, "a sampler's function must not sample with the same sampler");
    return sampler->busy;
}

mllm_token mllm_sampler_sample(mllm_sampler *sampler, const float *logits, size_t n, mllm_error *err) {
    if (in_use(sampler, err) || reserve(sampler, n, err) != MLLM_OK) return -1;
    if (n) memcpy(sampler->set.logits, logits, n * sizeof *logits);
    sampler->set.count = sampler->size = n;
    sampler->set.dense = true;
    return run(sampler, err);
}

mllm_token mllm_sampler_sample_of(mllm_sampler *sampler, const mllm_token *ids, const float *logits, size_t count,
                                  mllm_error *err) {
    if (in_use(sampler, err) || reserve(sampler, count, err) != MLLM_OK) return -1;
    mllm_running *set = &sampler->set;
    bool ascending = true;
    for (size_t i = 0; i < count; i++) {
        set->ids[i] = ids[i];
        set->logits[i] = logits[i];
        ascending &= i == 0 || ids[i - 1] < ids[i];
    }
    if (!ascending) {
        biased *pairs = mllm_alloc_array(count, sizeof *pairs);
        if (!pairs) {
            mllm_fail_memory(err, count * sizeof *pairs, "a sampler's logits");
            return -1;
        }
        for (size_t i = 0; i < count; i++) pairs[i] = (biased){ids[i], logits[i]};
        sort(pairs, count);
        bool twice = false;
        for (size_t i = 0; i < count; i++) {
            set->ids[i] = pairs[i].id;
            set->logits[i] = pairs[i].value;
            twice |= i > 0 && pairs[i - 1].id == pairs[i].id;
        }
        mllm_free(pairs);
        if (twice) {
            mllm_fail(err, MLLM_E_ARGUMENT, "a token stands twice in the list to sample from");
            return -1;
        }
    }
    if (count && set->ids[0] < 0) {
        mllm_fail(err, MLLM_E_TOKEN, "token id %d in the list to sample from", (int)set->ids[0]);
        return -1;
    }
    set->count = count;
    set->dense = false;
    sampler->size = count ? (size_t)set->ids[count - 1] + 1 : 0;
    return run(sampler, err);
}
