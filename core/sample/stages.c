/* stages.c - what each stage does to the tokens that are left. The meaning of the parameters stands in sample.h. */
#include "stages.h"

#include "../base/alloc.h"
#include "../base/error.h"
#include "select.h"
#include "softmax.h"

#include <float.h>
#include <math.h>

/* ------------------------------------------------------- the running set */

/* Index of a token, SIZE_MAX when it is not in the set. */
static size_t find(const mllm_running *set, mllm_token id) {
    if (set->dense) return id >= 0 && (size_t)id < set->count ? (size_t)id : SIZE_MAX;
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && set->ids[low] == id ? low : SIZE_MAX;
}

/* Before entries are dropped the ids must stand there. */
static void name_ids(mllm_running *set) {
    if (!set->dense) return;
    for (size_t i = 0; i < set->count; i++) set->ids[i] = (mllm_token)i;
    set->dense = false;
}

/* Keeps entries with a logit of at least `least`; `weights` go along. */
static void keep_from(mllm_running *set, float least, bool weights) {
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->logits[i] < least) continue;
        mllm_token id = mllm_running_id(set, i);
        set->logits[kept] = set->logits[i];
        set->ids[kept] = id;
        if (weights) set->weights[kept] = set->weights[i];
        kept++;
    }
    if (kept < set->count) set->dense = false;
    set->count = kept;
}

void mllm_running_compact(mllm_running *set) {
    keep_from(set, -FLT_MAX, false);
}

/* Keeps the prefix of the order of keys[] that `cut` describes. */
static void keep_cut(mllm_running *set, mllm_cut cut) {
    name_ids(set);
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->keys[i] < cut.key) continue;
        if (set->keys[i] == cut.key) {
            if (cut.ties == 0) continue;
            cut.ties--;
        }
        set->logits[kept] = set->logits[i];
        set->ids[kept] = set->ids[i];
        kept++;
    }
    set->count = kept;
}

static void keep_one(mllm_running *set, size_t index) {
    set->ids[0] = mllm_running_id(set, index);
    set->logits[0] = set->logits[index];
    set->count = 1;
    set->dense = false;
}

static void fill_keys(mllm_running *set) {
    for (size_t i = 0; i < set->count; i++) set->keys[i] = mllm_key(set->logits[i]);
}

/* The one of two prefixes that holds more. */
static mllm_cut wider(mllm_cut a, mllm_cut b) {
    if (a.key != b.key) return a.key < b.key ? a : b;
    return a.ties > b.ties ? a : b;
}

/* weights = exp(logit - max); returns their sum, at least 1. */
static double weigh(mllm_running *set, float *max) {
    *max = mllm_max(set->logits, set->count);
    return mllm_exp_array(set->logits, set->count, *max, set->weights);
}

/* Nats. *sum is that of exp(logit - max), *max the best logit. */
static double entropy(const mllm_running *set, double *sum, float *max) {
    double mean;
    *max = mllm_max(set->logits, set->count);
    *sum = mllm_exp_sums(set->logits, set->count, *max, &mean);
    double h = mllm_log(*sum) - mean / *sum;
    return h > 0 ? h : 0;
}

static float bounded(double x) {
    return x > (double)FLT_MAX ? FLT_MAX : x < -(double)FLT_MAX ? -FLT_MAX : (float)x;
}

size_t mllm_running_draw(mllm_running *set, mllm_random *random) {
    float max;
    double sum = weigh(set, &max), u = mllm_random_uniform(random) * sum, reached = 0;
    const float *w = set->weights;
    size_t i = 0, last = 0;
    for (; i + 16 <= set->count; i += 16) { /* whole blocks in front of the one that holds it */
        double part[4];
        for (size_t k = 0; k < 4; k++)
            part[k] = ((double)w[i + k] + (double)w[i + k + 4]) + ((double)w[i + k + 8] + (double)w[i + k + 12]);
        double block = (part[0] + part[1]) + (part[2] + part[3]);
        if (reached + block > u) break;
        reached += block;
        if (block > 0) last = i;
    }
    for (; i < set->count; i++) {
        if (!(w[i] > 0)) continue;
        reached += (double)w[i];
        last = i;
        if (reached > u) return i;
    }
    /* Rounding: the sum was taken in another order. The last that has a weight it is. */
    for (i = last; i < set->count && i < last + 16; i++)
        if (w[i] > 0) last = i;
    return last;
}

/* ----------------------------------------------------------- temperature */

static void keep_best(mllm_running *set) {
    float max = mllm_max(set->logits, set->count);
    size_t i = 0;
    while (set->logits[i] < max) i++;
    keep_one(set, i);
}

static mllm_code apply_greedy(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    (void)sampler, (void)stage, (void)err;
    keep_best(set);
    return MLLM_OK;
}

static mllm_code apply_temperature(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    (void)sampler, (void)err;
    double t = stage->p[0], range = stage->p[1];
    float max;
    if (range > 0 && set->count > 1) {
        double sum, low = t > range ? t - range : 0;
        double share = entropy(set, &sum, &max) / mllm_log((double)set->count);
        t = low + (t + range - low) * mllm_pow(share < 1 ? share : 1, stage->p[2]);
    }
    float scale = (float)(1 / t);
    if (!(t > 0) || !(scale <= FLT_MAX)) {
        keep_best(set);
        return MLLM_OK;
    }
    if (scale == 1) return MLLM_OK;
    max = mllm_max(set->logits, set->count);
    /* What would overflow is first moved so that the best is 0. */
    bool large =
        scale > 1 && (fabsf(max) > FLT_MAX / scale || fabsf(mllm_min(set->logits, set->count)) > FLT_MAX / scale);
    if (large) {
        for (size_t i = 0; i < set->count; i++)
            set->logits[i] = bounded(((double)set->logits[i] - (double)max) * (double)scale);
    } else
        mllm_scale(set->logits, set->count, scale);
    return MLLM_OK;
}

/* ----------------------------------------------------------- truncations */

static void keep_top(mllm_running *set, size_t k) {
    if (k == 0 || k >= set->count) return;
    if (k < set->count / 32) keep_from(set, mllm_floor_of_best(set->logits, set->count, k, set->keys), false);
    fill_keys(set);
    mllm_cut cut = mllm_select(set->keys, NULL, set->count, (double)k);
    fill_keys(set);
    keep_cut(set, cut);
}

static mllm_code apply_top_k(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    (void)sampler, (void)err;
    keep_top(set, (size_t)stage->p[0]);
    return MLLM_OK;
}

static mllm_code apply_top_p(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    (void)sampler, (void)err;
    double p = stage->p[0], keep = stage->p[1];
    if (p >= 1 || set->count < 2) return MLLM_OK;
    float max;
    double sum = weigh(set, &max);
    /* All tokens under (1 - p) / n together weigh less than 1 - p: none of them is among the best whose mass is p. */
    double tail = (1 - p) / (double)set->count * sum * 0.5; /* half: rounding */
    if (keep < 2 && tail > 0) keep_from(set, bounded((double)max + mllm_log(tail)), true);
    fill_keys(set);
    mllm_cut cut = mllm_select(set->keys, set->weights, set->count, p * sum);
    fill_keys(set);
    if (keep > 1) {
        cut = wider(cut, mllm_select(set->keys, NULL, set->count, keep));
        fill_keys(set);
    }
    keep_cut(set, cut);
    return MLLM_OK;
}

static mllm_code apply_min_p(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    (void)sampler, (void)err;
    double p = stage->p[0], keep = stage->p[1];
    if (p <= 0) return MLLM_OK;
    float least = bounded((double)mllm_max(set->logits, set->count) + mllm_log(p));
    size_t reached = 0;
    for (size_t i = 0; i < set->count; i++) reached += set->logits[i] >= least;
    if ((double)reached < keep)
        keep_top(set, (size_t)keep);
    else
        keep_from(set, least, false);
    return MLLM_OK;
}

static mllm_code apply_top_n_sigma(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    (void)sampler, (void)err;
    if (stage->p[0] < 0) return MLLM_OK;
    double n = (double)set->count, mean = 0, square = 0, max = (double)mllm_max(set->logits, set->count);
    for (size_t i = 0; i < set->count; i++) mean += (double)set->logits[i];
    mean /= n;
    for (size_t i = 0; i < set->count; i++) {
        double d = (double)set->logits[i] - mean;
        square += d * d;
    }
    keep_from(set, bounded(max - stage->p[0] * sqrt(square / n)), false);
    return MLLM_OK;
}

/* Nearest to the entropy first. */
static void fill_typical(mllm_running *set, double surprise, float max) {
    for (size_t i = 0; i < set->count; i++)
        set->keys[i] = ~mllm_key((float)fabs((double)max - (double)set->logits[i] - surprise));
}

static mllm_code apply_typical(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    (void)sampler, (void)err;
    double p = stage->p[0], keep = stage->p[1];
    if (p >= 1 || set->count < 2) return MLLM_OK;
    float max;
    double sum, h = entropy(set, &sum, &max), surprise = h - mllm_log(sum); /* of a weight: both lose ln(sum) */
    weigh(set, &max);
    fill_typical(set, surprise, max);
    mllm_cut cut = mllm_select(set->keys, set->weights, set->count, p * sum);
    fill_typical(set, surprise, max);
    if (keep > 1) {
        cut = wider(cut, mllm_select(set->keys, NULL, set->count, keep));
        fill_typical(set, surprise, max);
    }
    keep_cut(set, cut);
    return MLLM_OK;
}

static mllm_code apply_xtc(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    (void)err;
    double chance = stage->p[0], threshold = stage->p[1], keep = stage->p[2];
    if (!(mllm_random_uniform(&sampler->random) < chance))
        return MLLM_OK; /* always one number: the rest of the sequence stays */
    float max;
    double least = threshold * weigh(set, &max);
    size_t reached = 0, last = 0;
    for (size_t i = 0; i < set->count; i++) {
        if ((double)set->weights[i] < least) continue;
        if (reached++ == 0 || set->logits[i] <= set->logits[last]) last = i;
    }
    if (reached < 2 || (double)(set->count - (reached - 1)) < keep) return MLLM_OK;
    for (size_t i = 0; i < set->count; i++)
        if (i != last && (double)set->weights[i] >= least) set->logits[i] = -INFINITY;
    mllm_running_compact(set);
    return MLLM_OK;
}

/* -------------------------------------------------------------- mirostat */

void mllm_stage_reset(mllm_stage *stage) {
    stage->mu = stage->next_mu = 2 * stage->p[0];
}

/* Tokens that a Zipf distribution of the estimated exponent allows for a surprise of mu bits (equations 6 and 7 of the paper). */
static double zipf_k(const mllm_running *set, double mu, size_t m) {
    if (m > set->count) m = set->count;
    mllm_candidate best[1000];
    m = mllm_logits_topk(set->logits, set->count, m, best);
    if (m == SIZE_MAX) return -1;
    double above = 0, below = 0;
    for (size_t i = 1; i < m; i++) {
        double t = mllm_log((double)(i + 1) / (double)i);
        above += t * ((double)best[i - 1].logit - (double)best[i].logit);
        below += t * t;
    }
    double s = below > 0 ? above / below : 1, epsilon = s - 1, n = (double)set->count;
    if (!(s > 1e-3)) return n; /* flat */
    double share = fabs(epsilon) < 1e-6 ? 1 / mllm_log(n > 1 ? n : 2) : epsilon / (1 - mllm_pow(n, -epsilon));
    double k = mllm_pow(share * mllm_pow(2, mu), 1 / s);
    return k < 1 ? 1 : k < n ? k : n;
}

static mllm_code apply_mirostat(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    const double ln2 = 0.6931471805599453;
    double tau = stage->p[0], eta = stage->p[1];
    float max;
    double offset =
        mllm_log(weigh(set, &max)); /* surprise = (offset + max - logit) / ln 2, before anything is cut off */
    if (stage->p[2] < 2) {
        double k = zipf_k(set, stage->mu, (size_t)stage->p[3]);
        if (k < 0) return mllm_fail_memory(err, set->count * 8, "mirostat");
        keep_top(set, (size_t)(k + 0.5));
    } else {
        float least = bounded(offset + (double)max - stage->mu * ln2);
        keep_from(set, least < max ? least : max, false); /* the best one always stays */
    }
    keep_one(set, mllm_running_draw(set, &sampler->random));
    double surprise = (offset + (double)max - (double)set->logits[0]) / ln2;
    stage->next_mu = stage->mu - eta * (surprise - tau);
    return MLLM_OK;
}

/* ------------------------------------------------- what was said already */

/* The last `last_n` tokens of the history (negative: all). */
static const mllm_token *window(const mllm_sampler *sampler, double last_n, size_t *count) {
    size_t n = sampler->history_count;
    if (last_n >= 0 && last_n < (double)n) n = (size_t)last_n;
    *count = n;
    return n ? sampler->history + sampler->history_count - n : NULL;
}

static mllm_code apply_penalties(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    (void)err;
    double repeat = stage->p[0], frequency = stage->p[1], presence = stage->p[2];
    size_t n;
    const mllm_token *tokens = window(sampler, stage->p[3], &n);
    if (repeat == 1 && frequency == 0 && presence == 0) return MLLM_OK;
    for (size_t i = 0; i < n; i++) {
        size_t at = find(set, tokens[i]);
        if (at != SIZE_MAX) set->keys[at] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        size_t at = find(set, tokens[i]);
        if (at != SIZE_MAX) set->keys[at]++;
    }
    for (size_t i = 0; i < n; i++) {
        size_t at = find(set, tokens[i]);
        if (at == SIZE_MAX || set->keys[at] == 0) continue;
        double x = (double)set->logits[at];
        x = x > 0 ? x / repeat : x * repeat;
        set->logits[at] = bounded(x - set->keys[at] * frequency - presence);
        set->keys[at] = 0;
    }
    return MLLM_OK;
}

static bool contains(const mllm_token *sorted, size_t count, mllm_token id) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && sorted[low] == id;
}

/* z[i], i in 1..n-1: how many tokens in front of place n - i (0-based) are the same as those at the end of tokens[n], read backwards. The Z function of the
 * reversed window (Gusfield 1997, "Algorithms on Strings, Trees and Sequences"), linear in n. */
static void suffix_matches(const mllm_token *tokens, size_t n, uint32_t *z) {
    const mllm_token *end = tokens + n - 1; /* end[-i] is the i-th of the reversed window */
    size_t left = 0, right = 0;
    for (size_t i = 1; i < n; i++) {
        size_t k = 0;
        if (i < right) {
            k = z[i - left];
            if (k > right - i) k = right - i;
        }
        while (i + k < n && *(end - k) == *(end - i - k)) k++;
        if (i + k > right) left = i, right = i + k;
        z[i] = (uint32_t)k;
    }
}

static mllm_code matches_of(mllm_sampler *sampler, const mllm_token *tokens, size_t n, mllm_error *err) {
    if (n > sampler->scratch_capacity) {
        uint32_t *scratch = mllm_realloc_array(sampler->scratch, n + n / 2, sizeof *scratch);
        if (!scratch) return mllm_fail_memory(err, n * sizeof *scratch, "repeated tokens");
        sampler->scratch = scratch;
        sampler->scratch_capacity = n + n / 2;
    }
    suffix_matches(tokens, n, sampler->scratch);
    return MLLM_OK;
}

static mllm_code apply_dry(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    double multiplier = stage->p[0], base = stage->p[1];
    uint32_t allowed = (uint32_t)stage->p[2];
    size_t n, limit = 0;
    const mllm_token *tokens = window(sampler, stage->p[3], &n);
    if (multiplier == 0) return MLLM_OK;
    while (limit < n && !contains(stage->tokens, stage->token_count, tokens[n - 1 - limit])) limit++;
    if (n < 2 || limit < allowed) return MLLM_OK;
    mllm_code code = matches_of(sampler, tokens, n, err);
    if (code != MLLM_OK) return code;
    const uint32_t *z = sampler->scratch;
    for (size_t i = 1; i < n; i++) { /* tokens[n - i] is what came after that repetition */
        size_t at = z[i] >= allowed ? find(set, tokens[n - i]) : SIZE_MAX;
        if (at != SIZE_MAX) set->keys[at] = 0;
    }
    for (size_t i = 1; i < n; i++) {
        if (z[i] < allowed || contains(stage->tokens, stage->token_count, tokens[n - i])) continue;
        size_t at = find(set, tokens[n - i]);
        uint32_t length = z[i] < limit ? z[i] : (uint32_t)limit;
        if (at != SIZE_MAX && length > set->keys[at]) set->keys[at] = length;
    }
    for (size_t i = 1; i < n; i++) {
        size_t at = z[i] >= allowed ? find(set, tokens[n - i]) : SIZE_MAX;
        if (at == SIZE_MAX || set->keys[at] == 0) continue;
        set->logits[at] =
            bounded((double)set->logits[at] - multiplier * mllm_pow(base, (double)(set->keys[at] - allowed)));
        set->keys[at] = 0;
    }
    return MLLM_OK;
}

/* --------------------------------------------------------------- bans */

static mllm_code apply_logit_bias(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    (void)sampler, (void)err;
    bool banned = false;
    for (size_t i = 0; i < stage->token_count; i++) {
        size_t at = find(set, stage->tokens[i]);
        if (at == SIZE_MAX) continue;
        float bias = stage->values ? stage->values[i] : -INFINITY;
        if (bias < -FLT_MAX) {
            banned = true;
            set->logits[at] = -INFINITY;
        } else
            set->logits[at] = bounded((double)set->logits[at] + (double)bias);
    }
    if (banned) mllm_running_compact(set);
    return MLLM_OK;
}

/* Bans unless nothing would be left: keys[] is 1 for what is to go. */
static void ban_marked(mllm_running *set, size_t marked) {
    if (marked == 0 || marked == set->count) return;
    for (size_t i = 0; i < set->count; i++)
        if (set->keys[i]) set->logits[i] = -INFINITY;
    mllm_running_compact(set);
}

static void mark(mllm_running *set, mllm_token id, size_t *marked) {
    size_t at = find(set, id);
    if (at == SIZE_MAX || set->keys[at]) return;
    set->keys[at] = 1;
    ++*marked;
}

static mllm_code apply_no_repeat_ngram(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    size_t n, marked = 0, size = (size_t)stage->p[0];
    const mllm_token *tokens = window(sampler, stage->p[1], &n);
    if (size == 0 || n < size) return MLLM_OK;
    mllm_code code = matches_of(sampler, tokens, n, err);
    if (code != MLLM_OK) return code;
    memset(set->keys, 0, set->count * sizeof *set->keys);
    for (size_t i = 1; i < n; i++)
        if (sampler->scratch[i] + 1 >= size) mark(set, tokens[n - i], &marked);
    if (size == 1) mark(set, tokens[0], &marked);
    ban_marked(set, marked);
    return MLLM_OK;
}

static mllm_code apply_min_length(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    if ((double)sampler->output_count >= stage->p[0]) return MLLM_OK;
    if (stage->token_count == 0)
        return mllm_fail(err, MLLM_E_ARGUMENT,
                         "sampler stage %d (min_length): no end tokens given, and none known from a vocabulary",
                         stage->place);
    size_t marked = 0;
    memset(set->keys, 0, set->count * sizeof *set->keys);
    for (size_t i = 0; i < stage->token_count; i++) mark(set, stage->tokens[i], &marked);
    ban_marked(set, marked);
    return MLLM_OK;
}

/* ------------------------------------------------------------ functions */

static mllm_code apply_function(mllm_sampler *sampler, mllm_stage *stage, mllm_running *set, mllm_error *err) {
    mllm_sampler_view view = {.sampler = sampler,
                              .ids = set->dense ? NULL : set->ids,
                              .logits = set->logits,
                              .count = set->count,
                              .size = sampler->size,
                              .history = sampler->history,
                              .history_count = sampler->history_count,
                              .history_dropped = sampler->history_dropped,
                              .history_resets = sampler->history_resets};
    sampler->busy = true;
    mllm_code code = stage->host->fn(stage->host->ctx, &view, err);
    sampler->busy = false;
    if (code != MLLM_OK || mllm_all_finite(set->logits, set->count)) return code;
    for (size_t i = 0; i < set->count; i++) {
        float x = set->logits[i];
        if (x != x || x > FLT_MAX)
            return mllm_fail(err, MLLM_E_FORMAT, "sampler stage %d (function): the logit of token %d became %s",
                             stage->place, (int)mllm_running_id(set, i), x != x ? "not a number" : "infinite");
    }
    mllm_running_compact(set);
    return MLLM_OK;
}

/* ---------------------------------------------------------------- table */

#define WHOLE 9007199254740992.0 /* 2^53 */

static const char *const dry_breakers[] = {"\n", ":", "\"", "*", NULL};

const mllm_stage_type mllm_stage_function = {.name = "function", .apply = apply_function};

const mllm_stage_type mllm_stage_types[] = {
    {.name = "temperature",
     .params = {{"t", 'n', 1, 0, DBL_MAX}, {"range", 'n', 0, 0, DBL_MAX}, {"exponent", 'n', 1, 0, DBL_MAX}},
     .apply = apply_temperature},
    {.name = "greedy", .apply = apply_greedy},
    {.name = "top_k", .params = {{"k", 'i', 40, 0, WHOLE}}, .apply = apply_top_k},
    {.name = "top_p", .params = {{"p", 'n', 0.95, 0, 1}, {"min_keep", 'i', 1, 1, WHOLE}}, .apply = apply_top_p},
    {.name = "min_p", .params = {{"p", 'n', 0.05, 0, 1}, {"min_keep", 'i', 1, 1, WHOLE}}, .apply = apply_min_p},
    {.name = "typical", .params = {{"p", 'n', 0.95, 0, 1}, {"min_keep", 'i', 1, 1, WHOLE}}, .apply = apply_typical},
    {.name = "top_n_sigma", .params = {{"n", 'n', 1, -DBL_MAX, DBL_MAX}}, .apply = apply_top_n_sigma},
    {.name = "xtc",
     .params = {{"probability", 'n', 0.5, 0, 1}, {"threshold", 'n', 0.1, 0, 1}, {"min_keep", 'i', 1, 1, WHOLE}},
     .apply = apply_xtc},
    {.name = "mirostat",
     .params =
         {{"tau", 'n', 5, 0, 1e6}, {"eta", 'n', 0.1, 0, 1e6}, {"version", 'i', 2, 1, 2}, {"m", 'i', 100, 2, 1000}},
     .apply = apply_mirostat},
    {.name = "penalties",
     .params = {{"repeat_penalty", 'n', 1, 1e-6, 1e6},
                {"frequency_penalty", 'n', 0, -1e6, 1e6},
                {"presence_penalty", 'n', 0, -1e6, 1e6},
                {"last_n", 'i', 64, -1, WHOLE}},
     .apply = apply_penalties},
    {.name = "dry",
     .params = {{"multiplier", 'n', 0.8, 0, 1e6},
                {"base", 'n', 1.75, 1, 1e6},
                {"allowed_length", 'i', 2, 1, 1e6},
                {"last_n", 'i', -1, -1, WHOLE},
                {"breakers", 's', 0, 0, 0}},
     .apply = apply_dry,
     .strings = dry_breakers},
    {.name = "logit_bias", .params = {{"biases", 'v', 0, 0, 0}}, .apply = apply_logit_bias, .required = true},
    {.name = "ban", .params = {{"tokens", 't', 0, 0, 0}}, .apply = apply_logit_bias, .required = true},
    {.name = "no_repeat_ngram",
     .params = {{"n", 'i', 3, 0, 1e6}, {"last_n", 'i', -1, -1, WHOLE}},
     .apply = apply_no_repeat_ngram},
    {.name = "min_length",
     .params = {{"n", 'i', 0, 0, WHOLE}, {"ends", 't', 0, 0, 0}},
     .apply = apply_min_length,
     .ends = true,
     .required = true},
    {.name = NULL}};
