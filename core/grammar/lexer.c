#include "lexer.h"

#include <stdlib.h>
#include <string.h>

#include "../base/alloc.h"

void mllm_lexer_init(mllm_lexer *lexer, const mllm_nfa *const *parts, size_t count, bool any) {
    bool starts[257] = {false};
    memset(lexer, 0, sizeof *lexer);
    lexer->any = any;
    lexer->allowed = ~(uint64_t)1;
    starts[0] = true;
    for (size_t i = 0; i < count && i < MLLM_LEXER_PARTS; i++) {
        lexer->parts[lexer->count++] = parts[i];
        for (uint32_t k = 0; k < parts[i]->count; k++) {
            const mllm_nfa_state *s = &parts[i]->states[k];
            if (s->kind == NFA_RANGE) starts[s->lo] = starts[s->hi + 1] = true;
        }
    }
    size_t class = 0;
    for (int b = 0; b < 256; b++) {
        if (b > 0 && starts[b]) class ++;
        if (starts[b] || mllm_json_width((uint8_t)b) < mllm_json_width(lexer->byte_of[class]))
            lexer->byte_of[class] = (uint8_t)b;
        lexer->classes[b] = (uint8_t) class;
    }
    lexer->class_count = (uint16_t)(class + 1);
}

void mllm_lexers_free(mllm_lexers *t) {
    mllm_free(t->states);
    mllm_free(t->pool);
    mllm_free(t->rows);
    mllm_free(t->buckets);
    mllm_free(t->stack);
    mllm_free(t->tuple);
    mllm_nfa_set_free(&t->set);
    mllm_nfa_set_free(&t->scratch);
    memset(t, 0, sizeof *t);
}

size_t mllm_lexers_bytes(const mllm_lexers *t) {
    return t->capacity * sizeof *t->states + (size_t)t->pool_capacity * 4 + (size_t)t->row_capacity * 4 +
           (size_t)t->bucket_count * 4 + (size_t)t->largest * 4 * (6 + MLLM_LEXER_PARTS);
}

static uint32_t fail(mllm_lexers *t, mllm_code code) {
    if (t->failed == MLLM_OK) t->failed = code;
    return NONE;
}

/* Scratch memory for the largest part of `lexer`. */
static bool prepare(mllm_lexers *t, const mllm_lexer *lexer) {
    uint32_t n = 1;
    for (int i = 0; i < lexer->count; i++)
        if (lexer->parts[i]->count > n) n = lexer->parts[i]->count;
    if (n <= t->largest) return true;
    mllm_nfa_set_free(&t->set);
    mllm_nfa_set_free(&t->scratch);
    mllm_free(t->stack);
    mllm_free(t->tuple);
    t->largest = 0;
    t->stack = mllm_alloc_array((size_t)n * 2 + 2, sizeof *t->stack);
    t->tuple = mllm_alloc_array(((size_t)n + 1) * MLLM_LEXER_PARTS, sizeof *t->tuple);
    bool ok = mllm_nfa_set_init(&t->set, n);
    ok = mllm_nfa_set_init(&t->scratch, n) && ok && t->stack && t->tuple;
    if (ok) t->largest = n;
    return ok;
}

static bool reserve(void **array, uint32_t need, uint32_t *capacity, size_t size) {
    if (need <= *capacity) return true;
    uint32_t c = *capacity ? *capacity : 64;
    while (c < need) c *= 2;
    void *p = mllm_realloc_array(*array, c, size);
    if (!p) return false;
    *array = p;
    *capacity = c;
    return true;
}

static bool grow(mllm_lexers *t, uint32_t states, uint32_t pool, uint32_t rows) {
    void *s = t->states, *p = t->pool, *r = t->rows;
    bool ok = reserve(&s, states, &t->capacity, sizeof *t->states);
    ok = ok && reserve(&p, pool, &t->pool_capacity, sizeof *t->pool);
    ok = ok && reserve(&r, rows, &t->row_capacity, sizeof *t->rows);
    t->states = s;
    t->pool = p;
    t->rows = r;
    return ok;
}

static uint32_t hash_tuple(const mllm_lexer *lexer, const uint32_t *tuple, uint32_t length) {
    uint64_t h = 1469598103934665603u ^ (uint64_t)(uintptr_t)lexer;
    for (uint32_t i = 0; i < length; i++) h = (h ^ tuple[i]) * 1099511628211u;
    return (uint32_t)(h ^ h >> 32);
}

static bool rehash(mllm_lexers *t) {
    uint32_t n = t->bucket_count ? t->bucket_count * 2 : 64;
    uint32_t *b = mllm_realloc_array(t->buckets, n, sizeof *b);
    if (!b) return false;
    t->buckets = b;
    t->bucket_count = n;
    memset(b, 0xFF, n * sizeof *b);
    for (uint32_t i = 0; i < t->count; i++) {
        mllm_lexer_state *s = &t->states[i];
        uint32_t at = hash_tuple(s->lexer, t->pool + s->set, s->set_length) & (n - 1);
        s->next_hash = b[at];
        b[at] = i;
    }
    return true;
}

static int compare_states(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* A text that the parts in `bits` accept is accepted by the lexer (`any`). */
static bool allows(const mllm_lexer *lexer, uint32_t bits) {
    if (lexer->count > 6) {
        if (bits & (bits - 1)) return false;
        bits = bits ? 1 + (uint32_t)__builtin_ctz(bits) : 0;
    }
    return lexer->allowed >> bits & 1;
}

/* Adds the set in t->set to the tuple; false when this part ends the whole. */
static bool close_part(mllm_lexers *t, const mllm_lexer *lexer, int part, uint32_t *length) {
    enum { FEW = 48 };
    const mllm_nfa *nfa = lexer->parts[part];
    bool after = false;
    if (nfa->any_after != NONE)
        for (uint32_t i = 0; i < t->set.count && !after; i++) after = t->set.items[i] == nfa->any_after;
    if (after) { /* accepted whatever comes: nothing else counts */
        mllm_nfa_set_clear(&t->set);
        mllm_nfa_add(nfa, &t->set, t->stack, nfa->any_after);
    }
    if (!lexer->any && (t->set.count == 0 || (nfa->inverted && after))) return false;
    /* The order in which states were reached does not matter. */
    uint32_t *items = t->set.items, n = t->set.count;
    if (n > FEW) qsort(items, n, sizeof *items, compare_states);
    for (uint32_t i = 1; i < n && n <= FEW; i++) {
        uint32_t x = items[i], k = i;
        for (; k > 0 && items[k - 1] > x; k--) items[k] = items[k - 1];
        items[k] = x;
    }
    t->tuple[(*length)++] = n;
    memcpy(t->tuple + *length, items, n * sizeof *items);
    *length += n;
    return true;
}

static uint32_t intern(mllm_lexers *t, const mllm_lexer *lexer, uint32_t length) {
    if (t->count * 2 >= t->bucket_count && !rehash(t)) return fail(t, MLLM_E_MEMORY);
    uint32_t at = hash_tuple(lexer, t->tuple, length) & (t->bucket_count - 1);
    for (uint32_t i = t->buckets[at]; i != NONE; i = t->states[i].next_hash) {
        const mllm_lexer_state *s = &t->states[i];
        if (s->lexer == lexer && s->set_length == length &&
            memcmp(t->pool + s->set, t->tuple, length * sizeof *t->tuple) == 0)
            return i;
    }
    if (t->count >= MLLM_LEXER_MAX_STATES || t->pool_count + length > MLLM_LEXER_MAX_POOL) return fail(t, MLLM_E_LIMIT);
    if (!grow(t, t->count + 1, t->pool_count + length, t->row_count + lexer->class_count))
        return fail(t, MLLM_E_MEMORY);
    mllm_lexer_state s = {.lexer = lexer,
                          .set = t->pool_count,
                          .set_length = length,
                          .row = t->row_count,
                          .distance = LEXER_UNKNOWN,
                          .bytes_left = LEXER_UNKNOWN,
                          .next_hash = t->buckets[at]};
    memcpy(t->pool + s.set, t->tuple, length * sizeof *t->tuple);
    t->pool_count += length;
    bool all = true, total = true, universal = true, ended = false, some = false;
    uint32_t k = 0;
    for (int i = 0; i < lexer->count; i++) {
        const mllm_nfa *nfa = lexer->parts[i];
        uint32_t n = t->tuple[k++];
        const uint32_t *items = t->pool + s.set + k;
        k += n;
        bool accepts = mllm_nfa_accepts(nfa, items, n, &t->scratch, t->stack), before = false, after = false;
        for (uint32_t j = 0; j < n; j++) {
            before = before || (nfa->any_before != NONE && items[j] == nfa->any_before);
            after = after || (nfa->any_after != NONE && items[j] == nfa->any_after);
        }
        if (nfa->inverted) before = after = false;
        if (accepts) s.accepting |= 1u << i;
        all = all && accepts;
        total = total && (before || after);
        some = some || before || after;
        universal = universal && after;
        ended = ended || (nfa->shortest && accepts);
    }
    if (lexer->any ? allows(lexer, s.accepting) : all) s.flags |= LEXER_ACCEPT;
    if (lexer->any ? some : total) s.flags |= LEXER_TOTAL;
    if (universal && !lexer->any) s.flags |= LEXER_UNIVERSAL;
    for (uint32_t i = 0; i < lexer->class_count; i++) t->rows[t->row_count + i] = ended ? NONE : LEXER_UNKNOWN;
    t->row_count += lexer->class_count;
    t->buckets[at] = t->count;
    t->states[t->count] = s;
    return t->count++;
}

uint32_t mllm_lexer_start(mllm_lexers *t, const mllm_lexer *lexer) {
    uint32_t length = 0, slot = (uint32_t)((uintptr_t)lexer / sizeof *lexer) % 64;
    if (t->starts[slot].lexer == lexer) return t->starts[slot].state;
    if (!prepare(t, lexer)) return fail(t, MLLM_E_MEMORY);
    for (int i = 0; i < lexer->count; i++) {
        mllm_nfa_begin(lexer->parts[i], &t->set, &t->scratch, t->stack);
        if (!close_part(t, lexer, i, &length)) return NONE;
    }
    uint32_t state = intern(t, lexer, length);
    if (state != NONE) {
        t->starts[slot].lexer = lexer;
        t->starts[slot].state = state;
    }
    return state;
}

/* The states of the parts that `byte` leads to, not closed, with the part in the upper half. Returns their number; more than
 * LEXER_KNOWN_STATES: these are not all. */
static uint32_t targets(const mllm_lexers *t, uint32_t state, uint8_t byte, uint32_t *out) {
    const mllm_lexer *lexer = t->states[state].lexer;
    uint32_t n = 0, k = t->states[state].set;
    for (uint32_t i = 0; i < lexer->count; i++) {
        uint32_t count = t->pool[k++];
        for (const uint32_t *p = t->pool + k, *end = p + count; p < end; p++) {
            const mllm_nfa_state *s = &lexer->parts[i]->states[*p];
            if (s->kind != NFA_RANGE || byte < s->lo || byte > s->hi) continue;
            uint32_t to = i << 16 | s->out; /* MLLM_NFA_MAX_STATES fit into 16 bits */
            if (n && out[n - 1] == to) continue;
            if (n == LEXER_KNOWN_STATES) return n + 1;
            out[n++] = to;
        }
        k += count;
    }
    return n;
}

uint32_t mllm_lexer_step(mllm_lexers *t, uint32_t state, uint8_t byte) {
    const mllm_lexer *lexer = t->states[state].lexer;
    uint32_t length = 0, k = t->states[state].set, next = 0;
    uint32_t from[LEXER_KNOWN_STATES], count = targets(t, state, byte, from), slot = 0;
    uint32_t *row = &t->rows[t->states[state].row + lexer->classes[byte]];
    if (count == 0) return *row = NONE;
    bool brief = count <= LEXER_KNOWN_STATES;
    if (brief) {
        slot = hash_tuple(lexer, from, count) % LEXER_KNOWN_SETS;
        if (t->known[slot].lexer == lexer && t->known[slot].count == count &&
            memcmp(t->known[slot].from, from, count * sizeof *from) == 0)
            return *row = t->known[slot].state;
    }
    bool alive = !lexer->any;
    if (!prepare(t, lexer)) return fail(t, MLLM_E_MEMORY);
    for (int i = 0; i < lexer->count && next != NONE; i++) {
        const mllm_nfa *nfa = lexer->parts[i];
        uint32_t n = t->pool[k++];
        mllm_nfa_set_clear(&t->set);
        for (uint32_t j = 0; j < n; j++) {
            const mllm_nfa_state *s = &nfa->states[t->pool[k + j]];
            if (s->kind == NFA_RANGE && byte >= s->lo && byte <= s->hi) mllm_nfa_add(nfa, &t->set, t->stack, s->out);
        }
        k += n;
        if (!close_part(t, lexer, i, &length)) next = NONE;
        alive = alive || t->set.count > 0;
    }
    if (!alive) next = NONE;
    if (next != NONE) {
        next = intern(t, lexer, length);
        if (next == NONE) return NONE; /* a failure is not remembered as a dead end */
    }
    if (brief) {
        t->known[slot].lexer = lexer;
        t->known[slot].count = count;
        t->known[slot].state = next;
        memcpy(t->known[slot].from, from, count * sizeof *from);
    }
    t->rows[t->states[state].row + lexer->classes[byte]] = next;
    return next;
}

/* What was read so far ends in the middle of a character: no text, and so none that "no part accepts". */
static bool inside_character(mllm_lexers *t, uint32_t state) {
    const mllm_lexer *lexer = t->states[state].lexer;
    for (uint32_t c = 0; c < lexer->class_count; c++)
        if ((lexer->byte_of[c] & 0xC0) == 0x80 && mllm_lexer_next(t, state, lexer->byte_of[c]) != NONE) return true;
    return false;
}

/* Least cost from `state` to an accepted text, where class c of bytes costs cost[c], at most 6: breadth first with a queue for each cost
 * to come. Where texts that no part accepts are allowed, a character that all parts die of leads there too. On large automata it gives up
 * and says how far it has come: it is at least that. */
static uint32_t cheapest(mllm_lexers *t, uint32_t state, const uint8_t *cost) {
    enum { MOST = 1500, QUEUES = 8 };
    uint32_t queue[QUEUES][MOST], count[QUEUES] = {1}, waiting = 1, epoch = ++t->epoch, best = NONE;
    queue[0][0] = state;
    for (uint32_t d = 0; waiting > 0 && d < best; d++)
        while (count[d % QUEUES] > 0) {
            uint32_t s = queue[d % QUEUES][--count[d % QUEUES]];
            waiting--;
            if (t->states[s].epoch == epoch) continue;
            t->states[s].epoch = epoch;
            const mllm_lexer *lexer = t->states[s].lexer;
            bool beyond = mllm_lexer_goes_beyond(lexer), inside = beyond && inside_character(t, s);
            if ((t->states[s].flags & LEXER_ACCEPT) && !inside) return d;
            uint32_t leave = NONE; /* the cheapest class that no part goes on with */
            for (uint32_t c = 0; c < lexer->class_count; c++) {
                uint32_t n = mllm_lexer_next(t, s, lexer->byte_of[c]), q = (d + cost[c]) % QUEUES;
                if (t->failed != MLLM_OK) return 0;
                if (n == NONE && lexer->byte_of[c] < 0x80 && cost[c] < leave) leave = cost[c];
                if (n == NONE || t->states[n].epoch == epoch) continue;
                if (count[q] == MOST) return d;
                queue[q][count[q]++] = n;
                waiting++;
            }
            if (beyond && !inside && leave != NONE && d + leave < best) best = d + leave;
        }
    return best;
}

/* Continuation bytes cost nothing. */
uint32_t mllm_lexer_distance(mllm_lexers *t, uint32_t state) {
    if (t->states[state].distance != LEXER_UNKNOWN) return t->states[state].distance;
    const mllm_lexer *lexer = t->states[state].lexer;
    uint8_t cost[256];
    for (uint32_t c = 0; c < lexer->class_count; c++) cost[c] = (lexer->byte_of[c] & 0xC0) != 0x80;
    uint32_t d = cheapest(t, state, cost);
    if (t->failed == MLLM_OK) t->states[state].distance = d; /* a failure is not remembered */
    return d;
}

uint32_t mllm_lexer_bytes_left(mllm_lexers *t, uint32_t state, bool json) {
    if (t->states[state].bytes_left != LEXER_UNKNOWN) return t->states[state].bytes_left;
    const mllm_lexer *lexer = t->states[state].lexer;
    uint8_t cost[256];
    for (uint32_t c = 0; c < lexer->class_count; c++) cost[c] = json ? (uint8_t)mllm_json_width(lexer->byte_of[c]) : 1;
    uint32_t d = cheapest(t, state, cost);
    if (d == 0 && !(t->states[state].flags & LEXER_ACCEPT)) d = 1;
    if (t->failed == MLLM_OK) t->states[state].bytes_left = d;
    return d;
}

/* States in the order of the fewest bytes of a JSON string that lead to them. */
enum { SPREAD_MOST = 1500 };
typedef struct {
    uint32_t state[SPREAD_MOST], cost[SPREAD_MOST], next[SPREAD_MOST];
    uint32_t head[8]; /* by cost modulo 8: no step costs more than 6 */
    uint32_t count, waiting, at;
    uint32_t epoch;
} spread;

static void spread_start(spread *s, mllm_lexers *t, uint32_t state) {
    memset(s->head, 0xFF, sizeof s->head);
    s->state[0] = state;
    s->cost[0] = s->at = 0;
    s->next[0] = NONE;
    s->head[0] = 0;
    s->count = s->waiting = 1;
    s->epoch = ++t->epoch;
}

/* The next state and its cost. False: there are no more, or (s->count at its most) too many. */
static bool spread_next(spread *s, mllm_lexers *t, uint32_t *state, uint32_t *cost) {
    while (s->waiting) {
        uint32_t *slot = &s->head[s->at % 8];
        if (*slot == NONE) {
            s->at++;
            continue;
        }
        uint32_t i = *slot;
        *slot = s->next[i];
        s->waiting--;
        *state = s->state[i];
        *cost = s->cost[i];
        if (t->states[*state].epoch == s->epoch) continue;
        t->states[*state].epoch = s->epoch;
        const mllm_lexer *lexer = t->states[*state].lexer;
        for (uint32_t c = 0; c < lexer->class_count; c++) {
            uint8_t b = lexer->byte_of[c];
            uint32_t n = mllm_lexer_next(t, *state, b);
            if (t->failed != MLLM_OK) return false;
            if (n == NONE || t->states[n].epoch == s->epoch) continue;
            if (s->count == SPREAD_MOST) continue;
            uint32_t k = s->count++, to = *cost + mllm_json_width(b);
            s->state[k] = n;
            s->cost[k] = to;
            s->next[k] = s->head[to % 8];
            s->head[to % 8] = k;
            s->waiting++;
        }
        return true;
    }
    return false;
}

void mllm_lexer_combinations(mllm_lexers *t, uint32_t state, uint32_t *out, uint32_t count, bool single) {
    spread s;
    uint32_t at, cost;
    for (uint32_t i = 0; i < count; i++) out[i] = NONE;
    spread_start(&s, t, state);
    while (spread_next(&s, t, &at, &cost)) {
        uint32_t bits = t->states[at].accepting, which = bits, more = 0;
        const mllm_lexer *lexer = t->states[at].lexer;
        for (uint32_t i = 0; i < lexer->count; i++) /* lengths that are not in the states */
            if ((bits >> i & 1) && lexer->parts[i]->min_chars > more) more = lexer->parts[i]->min_chars;
        if ((single && (bits & (bits - 1))) || (!bits && inside_character(t, at))) continue;
        if (single && bits) which = 1 + (uint32_t)__builtin_ctz(bits);
        if (cost < more) cost = more;
        if (which < count && cost < out[which]) out[which] = cost;
    }
}

/* All ways of `more` continuation bytes lead from `state` to `target`. */
static bool continues(mllm_lexers *t, uint32_t state, int more, uint32_t target) {
    if (state == NONE || more == 0) return state == target && state != NONE;
    uint32_t last = NONE;
    for (int b = 0x80; b <= 0xBF; b++) {
        uint32_t n = mllm_lexer_next(t, state, (uint8_t)b);
        if (n == NONE || (n != last && !continues(t, n, more - 1, target))) return false;
        last = n;
    }
    return true;
}

bool mllm_lexer_is_loop(mllm_lexers *t, uint32_t state) {
    if (t->states[state].flags & LEXER_LOOP_KNOWN) return (t->states[state].flags & LEXER_LOOP) != 0;
    static const uint8_t heads[][4] = {/* first byte from, to; second from, to */
                                       {0xC2, 0xDF, 0x80, 0xBF}, {0xE0, 0xE0, 0xA0, 0xBF}, {0xE1, 0xEC, 0x80, 0xBF},
                                       {0xED, 0xED, 0x80, 0x9F}, {0xEE, 0xEF, 0x80, 0xBF}, {0xF0, 0xF0, 0x90, 0xBF},
                                       {0xF1, 0xF3, 0x80, 0xBF}, {0xF4, 0xF4, 0x80, 0x8F}};
    bool loop = true;
    for (int b = 0x20; b < 0x7F && loop; b++)
        if (b != '"' && b != '\\') loop = mllm_lexer_next(t, state, (uint8_t)b) == state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads && loop; i++)
        for (int b = heads[i][0]; b <= heads[i][1] && loop; b++) {
            uint32_t second = mllm_lexer_next(t, state, (uint8_t)b), last = NONE;
            loop = second != NONE;
            for (int c = heads[i][2]; c <= heads[i][3] && loop; c++) {
                uint32_t n = mllm_lexer_next(t, second, (uint8_t)c);
                loop = n != NONE && (n == last || continues(t, n, b >= 0xF0 ? 2 : b >= 0xE0, state));
                last = n;
            }
        }
    t->states[state].flags |= (uint8_t)(LEXER_LOOP_KNOWN | (loop && t->failed == MLLM_OK ? LEXER_LOOP : 0));
    return loop;
}
