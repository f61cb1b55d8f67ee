#include "../mobilellm.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/eventfd.h>
#endif

#include "../base/alloc.h"
#include "../base/error.h"
#include "lookup.h"
#include "stop.h"

enum {
    SLICE = 512, /* prompt tokens fed at a time: as many as a matrix product needs to run well */
    UNFED = 64, /* most tokens taken at once because nothing else was possible */
    FEW = 8, /* fewer than one of so many tokens allowed: only their logits are computed */
    BUDGET_SLICE = 32, /* the same when somebody waits for the step to come back */
    TRIES = 64, /* tokens drawn for one place at most: a constraint that takes none of those is at fault */
    QUEUE = 1 << 16 /* bytes of unread text at which the thread waits for its reader */
};

struct mllm_generation {
    /* Touched by whoever does the work. */
    mllm_session *session;
    const mllm_vocab *vocab; /* may be NULL: ids without text */
    mllm_sampler *sampler;
    mllm_token *prompt;
    size_t prompt_count, prompt_at, max_tokens;
    mllm_token unfed[UNFED]; /* [unfed_count]: generated but not fed yet */
    size_t unfed_count;
    mllm_lookup lookup;
    mllm_token draft[MLLM_MAX_DRAFT]; /* [draft_count]: fed on trial; the first draft_right were generated since */
    size_t draft_count, draft_right;
    mllm_token *said; /* [said_capacity]: where a draft is looked up */
    size_t said_capacity;
    float *rows; /* [draft_count + 1, vocabulary] logits before each of them and after the last */
    bool trial; /* the session ends with the draft, and rows hold */
    bool last_is_fed; /* the token generated last came from a draft */
    mllm_constraint constraint; /* mask NULL: none */
    size_t vocabulary;
    uint64_t *mask; /* [(vocabulary + 63) / 64]; with a constraint, as the next two */
    mllm_token *allowed; /* [vocabulary] */
    float *scores; /* [vocabulary] */
    bool ignore_end, feed_last, stepping, weigh, healing;
    size_t skip; /* bytes of text that still do not come out */
    float weight; /* what the mask of the token being chosen took away; below 0: not measured */
    mllm_stop_filter filter;
    mllm_detokenizer detokenizer;
    char *piece; /* [piece_capacity] */
    size_t piece_capacity;

    atomic_bool cancel;

    /* Under the lock from here on. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *text; /* ready: text[text_from, text_to) */
    size_t text_from, text_to, text_capacity;
    mllm_token *tokens; /* unread: tokens[tokens_from, tokens_to) */
    size_t tokens_from, tokens_to, tokens_capacity;
    float *removed; /* [stats.tokens]: with `weigh` */
    size_t removed_capacity;
    mllm_generation_stats stats; /* stats.stop is the state */
    mllm_error error;
    int fd, fd_write; /* -1: not made; the same for an eventfd */
    bool signalled, started;
    pthread_t thread;
};

const char *mllm_stop_name(mllm_stop stop) {
    static const char *const names[] = {"running", "end", "length", "stop", "context", "cancelled", "error"};
    return (unsigned)stop < sizeof names / sizeof *names ? names[stop] : "unknown";
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* --------------------------------------------------------------- signals */

/* With the lock held: makes the descriptor say what is true, and wakes who waits. */
static void announce(mllm_generation *g) {
    bool wanted = g->text_to > g->text_from || g->stats.stop != MLLM_STOP_NONE;
    pthread_cond_broadcast(&g->changed);
    if (g->fd < 0 || wanted == g->signalled) return;
    uint64_t one = 1;
    ssize_t done;
    size_t size = g->fd == g->fd_write ? sizeof one : 1;
    do done = wanted ? write(g->fd_write, &one, size) : read(g->fd, &one, size);
    while (done < 0 && errno == EINTR);
    g->signalled = wanted;
}

int mllm_generation_pollfd(mllm_generation *g, mllm_error *err) {
    pthread_mutex_lock(&g->lock);
    if (g->fd < 0) {
        int fds[2] = {-1, -1};
#if defined(__linux__)
        fds[0] = fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
#else
        if (pipe(fds) == 0)
            for (int i = 0; i < 2; i++) {
                fcntl(fds[i], F_SETFD, FD_CLOEXEC);
                fcntl(fds[i], F_SETFL, O_NONBLOCK);
            }
#endif
        if (fds[0] < 0) {
            mllm_fail(err, MLLM_E_IO, "no file descriptor for a generation: %s", strerror(errno));
        } else {
            g->fd = fds[0];
            g->fd_write = fds[1];
            announce(g);
        }
    }
    int fd = g->fd;
    pthread_mutex_unlock(&g->lock);
    return fd;
}

/* ---------------------------------------------------------------- output */

static mllm_code reserve(void **array, size_t *from, size_t *to, size_t *capacity, size_t more, size_t size,
                         mllm_error *err) {
    if (*from > 0 && *capacity - *to < more) { /* the read part gives room */
        memmove(*array, (char *)*array + *from * size, (*to - *from) * size);
        *to -= *from;
        *from = 0;
    }
    if (*capacity - *to < more) {
        size_t wanted = 2 * (*to + more) + 64;
        void *grown = mllm_realloc_array(*array, wanted, size);
        if (!grown) return mllm_fail_memory(err, wanted * size, "generated tokens");
        *array = grown;
        *capacity = wanted;
    }
    return MLLM_OK;
}

static mllm_code publish_text(mllm_generation *g, size_t ready, mllm_error *err) {
    if (ready == 0) return MLLM_OK;
    pthread_mutex_lock(&g->lock);
    void *text = g->text;
    mllm_code code = reserve(&text, &g->text_from, &g->text_to, &g->text_capacity, ready, 1, err);
    g->text = text;
    if (code == MLLM_OK) {
        memcpy(g->text + g->text_to, g->filter.held, ready);
        g->text_to += ready;
        announce(g);
    }
    pthread_mutex_unlock(&g->lock);
    if (code == MLLM_OK) mllm_stop_filter_take(&g->filter, ready);
    return code;
}

static mllm_code publish_token(mllm_generation *g, mllm_token id, mllm_error *err) {
    pthread_mutex_lock(&g->lock);
    void *tokens = g->tokens;
    mllm_code code = reserve(&tokens, &g->tokens_from, &g->tokens_to, &g->tokens_capacity, 1, sizeof id, err);
    g->tokens = tokens;
    if (code == MLLM_OK && g->weigh && g->stats.tokens == g->removed_capacity) {
        size_t wanted = 2 * g->removed_capacity + 64;
        float *grown = mllm_realloc_array(g->removed, wanted, sizeof *grown);
        if (grown) {
            g->removed = grown;
            g->removed_capacity = wanted;
        } else
            code = mllm_fail_memory(err, wanted * sizeof *grown, "weights of masks");
    }
    if (code == MLLM_OK) {
        if (g->weigh) g->removed[g->stats.tokens] = g->weight;
        g->weight = -1;
        g->tokens[g->tokens_to++] = id;
        g->stats.tokens++;
    }
    pthread_mutex_unlock(&g->lock);
    return code;
}

/* Text of `id` (-1: what the detokenizer still holds) on its way out. */
static mllm_code push_text(mllm_generation *g, mllm_token id, bool *found, mllm_error *err) {
    *found = false;
    if (!g->vocab) return MLLM_OK;
    size_t ready;
    size_t length = mllm_detokenizer_push(&g->detokenizer, id, g->piece, g->piece_capacity);
    if (g->skip && length) {
        size_t drop = length < g->skip ? length : g->skip;
        g->skip -= drop;
        length -= drop;
        memmove(g->piece, g->piece + drop, length);
    }
    mllm_code code = mllm_stop_filter_push(&g->filter, g->piece, length, &ready, found, err);
    return code == MLLM_OK ? publish_text(g, ready, err) : code;
}

/* ------------------------------------------------------------------ work */

static bool running(mllm_generation *g) {
    pthread_mutex_lock(&g->lock);
    bool yes = g->stats.stop == MLLM_STOP_NONE;
    pthread_mutex_unlock(&g->lock);
    return yes;
}

static mllm_code feed_pending(mllm_generation *g, mllm_error *err) {
    size_t count = g->unfed_count;
    g->unfed_count = 0;
    return count > 0 ? mllm_session_feed(g->session, g->unfed, count, err) : MLLM_OK;
}

/* Takes back what was fed on trial and not generated. */
static mllm_code end_trial(mllm_generation *g, mllm_error *err) {
    if (!g->trial) return MLLM_OK;
    g->trial = false;
    mllm_lookup_result(&g->lookup, g->draft_count, g->draft_right);
    pthread_mutex_lock(&g->lock);
    g->stats.drafted += g->draft_count;
    g->stats.accepted += g->draft_right;
    pthread_mutex_unlock(&g->lock);
    size_t count;
    mllm_session_tokens(g->session, &count);
    return mllm_session_rewind(g->session, count - (g->draft_count - g->draft_right), err);
}

/* What follows the session's tokens and those not fed yet, guessed. */
static size_t make_draft(mllm_generation *g) {
    size_t said, context = (size_t)mllm_session_context(g->session), left = g->max_tokens - g->stats.tokens;
    const mllm_token *tokens = mllm_session_tokens(g->session, &said);
    size_t room = context - said - g->unfed_count, whole = said + g->unfed_count;
    if (room > MLLM_MAX_DRAFT) room = MLLM_MAX_DRAFT;
    if (left > 0 && room > left - 1) room = left - 1; /* the last token needs no logits behind it */
    mllm_token *together = g->said;
    if (whole > g->said_capacity) {
        together = mllm_realloc_array(g->said, 2 * whole, sizeof *together);
        if (!together) return 0; /* no draft is no loss */
        g->said = together;
        g->said_capacity = 2 * whole;
    }
    memcpy(together, tokens, said * sizeof *together);
    memcpy(together + said, g->unfed, g->unfed_count * sizeof *together);
    return mllm_lookup_draft(&g->lookup, together, whole, g->draft, room);
}

/* Feeds what is due, with a draft behind it when there is one, so that logits for the next token are there. */
static mllm_code feed_due(mllm_generation *g, mllm_error *err) {
    if (g->trial) return MLLM_OK;
    size_t drafted = g->lookup.most > 0 && g->unfed_count > 0 ? make_draft(g) : 0;
    if (drafted > 0 && !g->rows) g->rows = mllm_alloc_array((g->lookup.most + 1) * g->vocabulary, sizeof *g->rows);
    if (drafted == 0 || !g->rows) return feed_pending(g, err);
    mllm_token tokens[UNFED + MLLM_MAX_DRAFT];
    size_t count = g->unfed_count;
    memcpy(tokens, g->unfed, count * sizeof *tokens);
    memcpy(tokens + count, g->draft, drafted * sizeof *tokens);
    g->unfed_count = 0;
    mllm_code code = mllm_session_feed_rows(g->session, tokens, count + drafted, drafted + 1, g->rows, err);
    g->trial = code == MLLM_OK;
    g->draft_count = drafted;
    g->draft_right = 0;
    return code;
}

/* The logits of the next token, after feed_due; NULL with the error. */
static float *next_logits(mllm_generation *g, mllm_error *err) {
    return g->trial ? g->rows + g->draft_right * g->vocabulary : mllm_session_logits(g->session, err);
}

/* The end: held text goes out, unless a stop string has cut it off. The session is not touched after this. */
static mllm_code finish(mllm_generation *g, mllm_stop stop, mllm_error *err) {
    mllm_code code = MLLM_OK;
    bool found = false;
    if (stop != MLLM_STOP_TEXT) {
        code = push_text(g, -1, &found, err);
        if (code == MLLM_OK && found && stop != MLLM_STOP_CANCELLED) stop = MLLM_STOP_TEXT;
        if (code == MLLM_OK && !found) code = publish_text(g, g->filter.length, err);
    }
    if (code == MLLM_OK) code = end_trial(g, err);
    if (code == MLLM_OK && g->feed_last) code = feed_pending(g, err);
    if (code == MLLM_OK && !g->feed_last && g->last_is_fed && stop != MLLM_STOP_END) {
        size_t count;
        mllm_session_tokens(g->session, &count);
        code = mllm_session_rewind(g->session, count - 1, err);
    }
    pthread_mutex_lock(&g->lock);
    g->stats.stop = code == MLLM_OK ? stop : MLLM_STOP_ERROR;
    if (code != MLLM_OK && err) g->error = *err;
    announce(g);
    pthread_mutex_unlock(&g->lock);
    return code;
}

static mllm_code prompt_unit(mllm_generation *g, size_t slice, mllm_error *err) {
    size_t count = g->prompt_count - g->prompt_at;
    if (count > slice) count = slice;
    double before = now();
    mllm_code code = mllm_session_feed(g->session, g->prompt + g->prompt_at, count, err);
    if (code != MLLM_OK) return code;
    g->prompt_at += count;
    pthread_mutex_lock(&g->lock);
    g->stats.prompt_tokens += count;
    g->stats.prefill_seconds += now() - before;
    pthread_mutex_unlock(&g->lock);
    return g->prompt_at == g->prompt_count && g->max_tokens == 0 ? finish(g, MLLM_STOP_LENGTH, err) : MLLM_OK;
}

/* The best of scores[count], of equals the first; SIZE_MAX when none is a number above -INFINITY. */
static size_t best_of(const float *scores, size_t count) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < count; i++)
        if (scores[i] > -INFINITY && (best == SIZE_MAX || scores[i] > scores[best])) best = i;
    return best;
}

/* Fills mask[] and allowed[*count]; *budget: what the constraint was told. */
static mllm_code allowed_tokens(mllm_generation *g, size_t *count, uint32_t *budget, mllm_error *err) {
    size_t words = (g->vocabulary + 63) / 64;
    size_t left = g->max_tokens - g->stats.tokens, said;
    mllm_session_tokens(g->session, &said);
    if (g->trial) said -= g->draft_count - g->draft_right;
    size_t room = (size_t)mllm_session_context(g->session) - said - g->unfed_count + 1; /* the last one is not fed */
    if (left > room) left = room;
    memset(g->mask, 0, words * sizeof *g->mask);
    *budget = left < UINT32_MAX ? (uint32_t)left : 0;
    mllm_code code = g->constraint.mask(g->constraint.ctx, g->mask, *budget, err);
    if (code == MLLM_E_GRAMMAR && *budget) { /* no way to end in time: it goes on as far as it comes */
        memset(g->mask, 0, words * sizeof *g->mask);
        *budget = 0;
        code = g->constraint.mask(g->constraint.ctx, g->mask, 0, err);
    }
    *count = 0;
    for (size_t w = 0; w < words && code == MLLM_OK; w++)
        for (size_t bit = 0; bit < 64 && w * 64 + bit < g->vocabulary; bit++)
            if (g->mask[w] >> bit & 1) g->allowed[(*count)++] = (mllm_token)(w * 64 + bit);
    return code;
}

static mllm_code no_choice(const mllm_generation *g, mllm_error *err) {
    if (g->sampler) return err->code;
    return mllm_fail(err, MLLM_E_FORMAT, "no logit is a number: are these weights intact?");
}

/* Under a constraint. *id = -1: the output is complete and the vocabulary has no end token to say so. */
static mllm_code choose_constrained(mllm_generation *g, mllm_token *id, uint32_t *budget, mllm_error *err) {
    size_t count;
    mllm_code code = allowed_tokens(g, &count, budget, err);
    *id = -1;
    if (code == MLLM_E_GRAMMAR && g->constraint.complete(g->constraint.ctx)) return MLLM_OK;
    if (code == MLLM_OK && count == 0) code = mllm_fail(err, MLLM_E_GRAMMAR, "the constraint allows no token");
    if (code != MLLM_OK) return code;
    if (count == 1) {
        *id = g->allowed[0];
        return MLLM_OK;
    }
    code = feed_due(g, err);
    if (code != MLLM_OK) return code;
    if (g->weigh && g->weight < 0) {
        const float *logits = next_logits(g, err);
        if (!logits) return err->code;
        double removed = mllm_logits_removed(logits, NULL, g->vocabulary, g->mask);
        g->weight = (float)removed;
        pthread_mutex_lock(&g->lock);
        g->stats.removed += removed;
        g->stats.weighed++;
        pthread_mutex_unlock(&g->lock);
    }
    if (count <= g->vocabulary / FEW && !(g->sampler && mllm_sampler_needs_script(g->sampler))) {
        if (g->trial)
            for (size_t i = 0; i < count; i++) g->scores[i] = next_logits(g, err)[g->allowed[i]];
        else
            code = mllm_session_logits_of(g->session, g->allowed, count, g->scores, err);
        if (code != MLLM_OK) return code;
        if (g->sampler) {
            *id = mllm_sampler_sample_of(g->sampler, g->allowed, g->scores, count, err);
        } else {
            size_t best = best_of(g->scores, count);
            *id = best == SIZE_MAX ? -1 : g->allowed[best];
        }
    } else {
        float *logits = next_logits(g, err);
        if (!logits) return err->code;
        for (size_t i = 0; i < g->vocabulary; i++)
            if (!(g->mask[i / 64] >> (i % 64) & 1)) logits[i] = -INFINITY;
        *id = g->sampler ? mllm_sampler_sample(g->sampler, logits, g->vocabulary, err)
                         : mllm_logits_argmax(logits, g->vocabulary);
    }
    return *id < 0 ? no_choice(g, err) : MLLM_OK;
}

static mllm_code choose(mllm_generation *g, mllm_token *id, mllm_error *err) {
    mllm_code code = feed_due(g, err);
    if (code != MLLM_OK) return code;
    float *logits = next_logits(g, err);
    if (!logits) return err->code;
    *id = g->sampler ? mllm_sampler_sample(g->sampler, logits, g->vocabulary, err)
                     : mllm_logits_argmax(logits, g->vocabulary);
    return *id < 0 ? no_choice(g, err) : MLLM_OK;
}

/* Takes one token into the output; *stop says whether it was the last. MLLM_E_GRAMMAR: the constraint does not want it after all, and
 * nothing has changed. */
static mllm_code take(mllm_generation *g, mllm_token id, uint32_t budget, mllm_stop *stop, mllm_error *err) {
    *stop = MLLM_STOP_NONE;
    if (g->constraint.mask) {
        mllm_code code = g->constraint.accept(g->constraint.ctx, id, budget, err);
        if (code != MLLM_OK) return code;
    }
    if (g->sampler) mllm_sampler_accept(g->sampler, id);
    bool found = false;
    mllm_code code = publish_token(g, id, err);
    if (code == MLLM_OK) code = push_text(g, id, &found, err);
    if (code != MLLM_OK) return code;
    bool fits = true;
    g->last_is_fed = g->trial && g->draft_right < g->draft_count && id == g->draft[g->draft_right];
    if (g->last_is_fed) {
        g->draft_right++;
    } else {
        code = end_trial(g, err);
        if (code == MLLM_OK && g->unfed_count == UNFED) code = feed_pending(g, err);
        if (code != MLLM_OK) return code;
        size_t count;
        mllm_session_tokens(g->session, &count);
        fits = count + g->unfed_count < (size_t)mllm_session_context(g->session);
        if (fits) g->unfed[g->unfed_count++] = id;
    }
    if (found)
        *stop = MLLM_STOP_TEXT;
    else if (g->stats.tokens >= g->max_tokens)
        *stop = MLLM_STOP_LENGTH;
    else if (!fits)
        *stop = MLLM_STOP_CONTEXT;
    if (g->healing && !g->skip) {
        if (g->constraint.release) g->constraint.release(g->constraint.ctx);
        memset(&g->constraint, 0, sizeof g->constraint);
        g->healing = false;
    }
    return MLLM_OK;
}

/* Tokens that the constraint leaves no choice about: they wait for one pass of the model together. */
static mllm_code take_forced(mllm_generation *g, size_t *taken, mllm_stop *stop, mllm_error *err) {
    mllm_token ids[UNFED];
    size_t count = g->constraint.forced ? g->constraint.forced(g->constraint.ctx, ids, UNFED - g->unfed_count) : 0;
    *stop = MLLM_STOP_NONE;
    for (*taken = 0; *taken < count && *stop == MLLM_STOP_NONE; ++*taken) {
        if (mllm_vocab_is_end(g->vocab, ids[*taken])) break;
        mllm_code code = take(g, ids[*taken], 0, stop, err);
        if (code != MLLM_OK) return code;
        pthread_mutex_lock(&g->lock);
        g->stats.forced++;
        pthread_mutex_unlock(&g->lock);
    }
    return MLLM_OK;
}

static mllm_code token_unit(mllm_generation *g, mllm_error *err) {
    mllm_token id = -1;
    mllm_stop stop = MLLM_STOP_NONE;
    mllm_code code = MLLM_OK;
    if (g->constraint.mask && g->vocab && g->unfed_count < UNFED) {
        size_t taken;
        code = take_forced(g, &taken, &stop, err);
        if (code != MLLM_OK) return code;
        if (stop != MLLM_STOP_NONE) return finish(g, stop, err);
        if (taken > 0) return MLLM_OK;
    }
    for (int tries = 0; tries < TRIES; tries++) {
        uint32_t budget = 0;
        double before = now();
        code = g->constraint.mask ? choose_constrained(g, &id, &budget, err) : choose(g, &id, err);
        pthread_mutex_lock(&g->lock);
        g->stats.decode_seconds += now() - before;
        pthread_mutex_unlock(&g->lock);
        if (code != MLLM_OK) return code;
        if (atomic_load(&g->cancel)) return finish(g, MLLM_STOP_CANCELLED, err);
        if (id < 0 || (!g->ignore_end && g->vocab && mllm_vocab_is_end(g->vocab, id)))
            return finish(g, MLLM_STOP_END, err);
        code = take(g, id, budget, &stop, err);
        if (code != MLLM_E_GRAMMAR) break;
    }
    return code == MLLM_OK && stop != MLLM_STOP_NONE ? finish(g, stop, err) : code;
}

static mllm_code unit(mllm_generation *g, size_t slice, mllm_error *err) {
    mllm_code code;
    if (atomic_load(&g->cancel))
        code = finish(g, MLLM_STOP_CANCELLED, err);
    else if (g->prompt_at < g->prompt_count)
        code = prompt_unit(g, slice, err);
    else
        code = token_unit(g, err);
    if (code != MLLM_OK && running(g)) {
        pthread_mutex_lock(&g->lock);
        g->stats.stop = MLLM_STOP_ERROR;
        g->error = *err;
        announce(g);
        pthread_mutex_unlock(&g->lock);
    }
    return code;
}

static mllm_code step(mllm_generation *g, double budget_ms, size_t slice, mllm_error *err) {
    mllm_error local;
    if (!err) err = &local;
    if (g->started) return mllm_fail(err, MLLM_E_ARGUMENT, "a generation with a thread of its own cannot be stepped");
    if (g->stepping) return mllm_fail(err, MLLM_E_ARGUMENT, "a generation was stepped from inside its own step");
    g->stepping = true;
    double end = now() + budget_ms * 1e-3;
    mllm_code code = MLLM_OK;
    while (code == MLLM_OK && running(g)) {
        code = unit(g, slice, err);
        if (budget_ms >= 0 && now() >= end) break;
    }
    g->stepping = false;
    return code;
}

mllm_code mllm_generation_step(mllm_generation *g, double budget_ms, mllm_error *err) {
    return step(g, budget_ms, budget_ms < 0 ? SLICE : BUDGET_SLICE, err);
}

mllm_code mllm_generation_advance(mllm_generation *g, mllm_error *err) {
    return step(g, 0, SLICE, err);
}

static void *thread_main(void *arg) {
    mllm_generation *g = arg;
    mllm_error err;
    while (running(g)) {
        pthread_mutex_lock(&g->lock);
        while (g->text_to - g->text_from >= QUEUE && !atomic_load(&g->cancel)) pthread_cond_wait(&g->changed, &g->lock);
        pthread_mutex_unlock(&g->lock);
        unit(g, SLICE, &err);
    }
    return NULL;
}

/* --------------------------------------------------------------- outside */

static void release_constraint(const mllm_constraint *c) {
    if (c && c->release) c->release(c->ctx);
}

/* Everything that can be refused before anything is made. */
static mllm_code check_options(mllm_session *session, const mllm_generation_options *options, mllm_error *err) {
    size_t before;
    mllm_session_tokens(session, &before);
    int context = mllm_session_context(session);
    if (before + options->prompt_count == 0) {
        return mllm_fail(err, MLLM_E_ARGUMENT, "nothing to continue: the session and the prompt are empty");
    }
    if (before > (size_t)context || options->prompt_count > (size_t)context - before) {
        return mllm_fail(err, MLLM_E_CONTEXT, "a prompt of %zu tokens does not fit: the session holds %zu of %d",
                         options->prompt_count, before, context);
    }
    int vocabulary = mllm_model_get_info(mllm_session_model(session)).vocabulary;
    for (size_t i = 0; i < options->prompt_count; i++)
        if (options->prompt[i] < 0 || options->prompt[i] >= vocabulary) {
            return mllm_fail(err, MLLM_E_TOKEN,
                             "token id %d at place %zu of the prompt is outside the vocabulary of %d",
                             (int)options->prompt[i], i + 1, vocabulary);
        }
    return MLLM_OK;
}

mllm_generation *mllm_generation_new(mllm_session *session, const mllm_generation_options *options, mllm_error *err) {
    mllm_generation *g = NULL;
    if (check_options(session, options, err) == MLLM_OK) {
        g = mllm_calloc(1, sizeof *g);
        if (!g) mllm_fail_memory(err, sizeof *g, "a generation");
    }
    if (!g) {
        release_constraint(options->constraint);
        return NULL;
    }
    if (options->constraint) g->constraint = *options->constraint;
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&g->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    atomic_init(&g->cancel, false);
    g->fd = g->fd_write = -1;
    g->session = session;
    g->vocab = mllm_model_vocab(mllm_session_model(session));
    g->max_tokens = options->max_tokens;
    g->ignore_end = options->ignore_end;
    g->feed_last = options->feed_last;
    g->skip = options->healed;
    g->healing = options->healing;
    g->weigh = options->weigh;
    g->weight = -1;
    mllm_lookup_init(&g->lookup, options->lookup);
    if (mllm_stop_filter_init(&g->filter, options->stops, options->stop_count, err) != MLLM_OK) goto failed;
    g->prompt = mllm_alloc_array(options->prompt_count, sizeof *g->prompt);
    g->piece_capacity = g->vocab ? mllm_vocab_longest(g->vocab) : 0;
    g->piece = mllm_alloc(g->piece_capacity);
    if (!g->prompt || !g->piece) {
        mllm_fail_memory(err, options->prompt_count * sizeof *g->prompt + g->piece_capacity, "a prompt");
        goto failed;
    }
    g->prompt_count = options->prompt_count;
    if (g->prompt_count > 0) memcpy(g->prompt, options->prompt, g->prompt_count * sizeof *g->prompt);

    g->vocabulary = (size_t)mllm_model_get_info(mllm_session_model(session)).vocabulary;
    if (options->constraint) {
        g->mask = mllm_alloc_array((g->vocabulary + 63) / 64, sizeof *g->mask);
        g->allowed = mllm_alloc_array(g->vocabulary, sizeof *g->allowed);
        g->scores = mllm_alloc_array(g->vocabulary, sizeof *g->scores);
        if (!g->mask || !g->allowed || !g->scores) {
            mllm_fail_memory(err, g->vocabulary * (sizeof *g->allowed + sizeof *g->scores), "a mask");
            goto failed;
        }
    }

    /* At the very beginning of a text SentencePiece's first piece loses its dummy space; behind any text it keeps it. */
    size_t before;
    mllm_session_tokens(session, &before);
    bool behind_text = before > 0 || options->healed > 0;
    for (size_t i = 0; i < g->prompt_count && g->vocab && !behind_text; i++)
        behind_text = mllm_vocab_kind(g->vocab, g->prompt[i]) != MLLM_TOKEN_CONTROL;
    unsigned flags =
        (behind_text ? MLLM_TOKENIZE_NO_PREFIX : 0u) | (options->show_special ? MLLM_TOKENIZE_SPECIAL : 0u);
    if (g->vocab) mllm_detokenizer_init(&g->detokenizer, g->vocab, flags);

    if (options->sampler) {
        if (g->vocab && mllm_sampler_set_vocab(options->sampler, g->vocab, err) != MLLM_OK) goto failed;
        mllm_sampler_prompt(options->sampler, g->prompt, g->prompt_count);
        g->sampler = mllm_sampler_retain(options->sampler);
    }
    return g;
failed:
    mllm_generation_release(g);
    return NULL;
}

void mllm_generation_release(mllm_generation *g) {
    if (!g) return;
    if (g->started) {
        mllm_generation_settle(g);
        pthread_join(g->thread, NULL);
    }
    if (g->fd >= 0) close(g->fd);
    if (g->fd_write >= 0 && g->fd_write != g->fd) close(g->fd_write);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    mllm_sampler_release(g->sampler);
    mllm_stop_filter_free(&g->filter);
    mllm_free(g->prompt);
    mllm_free(g->mask);
    mllm_free(g->allowed);
    mllm_free(g->scores);
    mllm_free(g->rows);
    mllm_free(g->removed);
    mllm_free(g->said);
    release_constraint(&g->constraint);
    mllm_free(g->piece);
    mllm_free(g->text);
    mllm_free(g->tokens);
    mllm_free(g);
}

mllm_code mllm_generation_start(mllm_generation *g, mllm_error *err) {
    if (g->started || !running(g)) return MLLM_OK;
    if (g->stepping) return mllm_fail(err, MLLM_E_ARGUMENT, "a generation was started from inside its own step");
    /* The host's signals are the host's: its own threads handle them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failure = pthread_create(&g->thread, NULL, thread_main, g);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) return mllm_fail(err, MLLM_E_IO, "no thread for a generation: %s", strerror(failure));
    g->started = true;
    return MLLM_OK;
}

bool mllm_generation_started(const mllm_generation *g) {
    return g->started;
}

void mllm_generation_cancel(mllm_generation *g) {
    mllm_error ignored;
    pthread_mutex_lock(&g->lock);
    atomic_store(&g->cancel, true);
    bool over = g->stats.stop != MLLM_STOP_NONE;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    if (!over && !g->started && !g->stepping) finish(g, MLLM_STOP_CANCELLED, &ignored);
}

mllm_stop mllm_generation_state(mllm_generation *g) {
    pthread_mutex_lock(&g->lock);
    mllm_stop stop = g->stats.stop;
    pthread_mutex_unlock(&g->lock);
    return stop;
}

mllm_error mllm_generation_error(mllm_generation *g) {
    pthread_mutex_lock(&g->lock);
    mllm_error error = g->error;
    pthread_mutex_unlock(&g->lock);
    return error;
}

bool mllm_generation_settled(mllm_generation *g) {
    return mllm_generation_state(g) != MLLM_STOP_NONE;
}

void mllm_generation_settle(mllm_generation *g) {
    mllm_generation_cancel(g);
    pthread_mutex_lock(&g->lock);
    while (g->started && g->stats.stop == MLLM_STOP_NONE) pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

size_t mllm_generation_read(mllm_generation *g, char *out, size_t capacity) {
    pthread_mutex_lock(&g->lock);
    size_t count = g->text_to - g->text_from;
    if (count > capacity) {
        count = capacity;
        while (capacity >= 4 && count > 0 && ((unsigned char)g->text[g->text_from + count] & 0xC0) == 0x80) count--;
    }
    if (count > 0) memcpy(out, g->text + g->text_from, count);
    g->text_from += count;
    if (count > 0) announce(g);
    pthread_mutex_unlock(&g->lock);
    return count;
}

size_t mllm_generation_ready(mllm_generation *g) {
    pthread_mutex_lock(&g->lock);
    size_t count = g->text_to - g->text_from;
    pthread_mutex_unlock(&g->lock);
    return count;
}

size_t mllm_generation_read_tokens(mllm_generation *g, mllm_token *out, size_t capacity) {
    pthread_mutex_lock(&g->lock);
    size_t count = g->tokens_to - g->tokens_from;
    if (count > capacity) count = capacity;
    if (count > 0) memcpy(out, g->tokens + g->tokens_from, count * sizeof *out);
    g->tokens_from += count;
    pthread_mutex_unlock(&g->lock);
    return count;
}

bool mllm_generation_wait(mllm_generation *g, double ms) {
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (ms >= 0) {
        double limited = ms < 1e12 ? ms : 1e12;
        double whole = (double)(long long)(limited / 1000);
        end.tv_sec += (time_t)whole;
        end.tv_nsec += (long)((limited - whole * 1000) * 1e6);
        if (end.tv_nsec >= 1000000000) end.tv_sec++, end.tv_nsec -= 1000000000;
    }
    int status = 0;
    pthread_mutex_lock(&g->lock);
    while (status == 0 && g->started && g->text_to == g->text_from && g->stats.stop == MLLM_STOP_NONE)
        status =
            ms < 0 ? pthread_cond_wait(&g->changed, &g->lock) : pthread_cond_timedwait(&g->changed, &g->lock, &end);
    bool there = g->text_to > g->text_from || g->stats.stop != MLLM_STOP_NONE;
    pthread_mutex_unlock(&g->lock);
    return there;
}

mllm_generation_stats mllm_generation_get_stats(mllm_generation *g) {
    pthread_mutex_lock(&g->lock);
    mllm_generation_stats stats = g->stats;
    pthread_mutex_unlock(&g->lock);
    return stats;
}

size_t mllm_generation_removed(mllm_generation *g, float *out, size_t capacity) {
    pthread_mutex_lock(&g->lock);
    size_t count = g->weigh ? g->stats.tokens : 0;
    for (size_t i = 0; i < count && i < capacity; i++) out[i] = g->removed[i];
    pthread_mutex_unlock(&g->lock);
    return count;
}
