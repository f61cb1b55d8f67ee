/* bpe_train.c - learning merges: words are counted once, pairs are counted over distinct words, and each merge changes only the
 * counts beside it. A heap holds the pairs with the counts they had when they were put in; an entry that is out of date goes back with
 * its present count when it comes up. */
#include "vocab_source.h"

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/json.h"
#include "../model/blueprint.h"
#include "normalize.h"
#include "pretokenize.h"
#include "vocab.h"

/* Longer words are learned from in pieces, so that text without spaces costs no more than other text. */
enum { LONGEST_WORD = 1024, NONE = UINT32_MAX };

typedef struct {
    uint64_t count;
    uint32_t at, length; /* bytes in `bytes`, later symbols in `symbols` */
} word;

typedef struct {
    uint32_t a, b;
    uint32_t places; /* first node of the list of words it occurs in */
    int64_t count;
} pair;

typedef struct {
    uint32_t word, next;
} place;

typedef struct {
    int64_t count;
    uint64_t ids; /* a << 32 | b: the smaller wins among equal counts */
    uint32_t pair;
} entry;

typedef struct {
    uint32_t at, length; /* in `texts` */
} token;

/* A growing array: room for one more item of `size` bytes at *items. */
static bool grow(void *items, size_t size, uint32_t count, uint32_t *capacity) {
    if (count < *capacity) return true;
    if (*capacity > UINT32_MAX / 2 - 1) return false;
    uint32_t more = *capacity ? *capacity * 2 : 1024;
    void *old;
    memcpy(&old, items, sizeof old);
    void *p = mllm_realloc_array(old, more, size);
    if (!p) return false;
    memcpy(items, &p, sizeof p);
    *capacity = more;
    return true;
}

typedef struct {
    const mllm_bpe_train_options *o;
    mllm_pretokenizer pre;
    bool nfc;
    mllm_error *err;

    mllm_buffer bytes; /* distinct words, one behind the other */
    word *words;
    uint32_t word_count, word_capacity;
    uint32_t *word_table, word_mask;

    uint32_t *symbols;

    pair *pairs;
    uint32_t pair_count, pair_capacity;
    uint32_t *pair_table, pair_mask;
    place *places;
    uint32_t place_count, place_capacity;
    entry *heap;
    uint32_t heap_count, heap_capacity;

    mllm_buffer texts; /* of the tokens that are not special */
    token *tokens;
    uint32_t token_count, token_capacity;
    uint32_t *token_table, token_mask; /* over `texts` */
    mllm_merge *merges;
    uint32_t merge_count, merge_capacity;
} training;

static mllm_code no_memory(training *t) {
    return mllm_fail(t->err, MLLM_E_MEMORY, "out of memory: learning a vocabulary from %u distinct words",
                     t->word_count);
}

/* Makes an open-addressed table twice as large; `hash_of` gives the hash of item i. */
static bool rehash(training *t, uint32_t **table, uint32_t *mask, uint32_t count,
                   uint64_t (*hash_of)(const training *, uint32_t)) {
    if (*table && (uint64_t)count * 2 <= *mask) return true;
    uint32_t size = *table ? (*mask + 1) * 2 : 4096;
    uint32_t *fresh = size ? mllm_calloc(size, sizeof *fresh) : NULL;
    if (!fresh) return false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = hash_of(t, i);
        while (fresh[at & (size - 1)]) at++;
        fresh[at & (size - 1)] = i + 1;
    }
    mllm_free(*table);
    *table = fresh;
    *mask = size - 1;
    return true;
}

/* ------------------------------------------------------------ counting words */

static uint64_t word_hash(const training *t, uint32_t i) {
    return mllm_hash_bytes(t->bytes.data + t->words[i].at, t->words[i].length);
}

static bool count_word(training *t, const char *s, size_t n) {
    if (!rehash(t, &t->word_table, &t->word_mask, t->word_count, word_hash)) return false;
    uint64_t at = mllm_hash_bytes(s, n);
    uint32_t *slot;
    for (; *(slot = &t->word_table[at & t->word_mask]); at++) {
        word *w = &t->words[*slot - 1];
        if (w->length == n && memcmp(t->bytes.data + w->at, s, n) == 0) {
            w->count++;
            return true;
        }
    }
    if (t->bytes.length + n > UINT32_MAX / 2 || !grow(&t->words, sizeof *t->words, t->word_count, &t->word_capacity))
        return false;
    word w = {1, (uint32_t)t->bytes.length, (uint32_t)n};
    mllm_buffer_put(&t->bytes, s, n);
    if (t->bytes.failed) return false;
    t->words[t->word_count] = w;
    *slot = ++t->word_count;
    return true;
}

static bool count_fragment(training *t, const char *s, size_t n) {
    for (size_t at = 0; at < n;) {
        size_t end = mllm_pretoken_end(t->pre, s, n, at);
        for (; end - at > LONGEST_WORD; at += LONGEST_WORD)
            if (!count_word(t, s + at, LONGEST_WORD)) return false;
        if (!count_word(t, s + at, end - at)) return false;
        at = end;
    }
    return true;
}

/* Bytes of the longest special token that begins s[n]; 0: none. */
static size_t special_at(const training *t, const char *s, size_t n) {
    size_t best = 0;
    for (size_t i = 0; i < t->o->special_count; i++) {
        size_t k = strlen(t->o->special[i]);
        if (k > best && k <= n && memcmp(t->o->special[i], s, k) == 0) best = k;
    }
    return best;
}

static bool count_text(training *t, const char *s, size_t n) {
    bool first[256] = {false};
    for (size_t i = 0; i < t->o->special_count; i++) first[(unsigned char)t->o->special[i][0]] = true;
    mllm_buffer normal = {0};
    bool ok = true;
    for (size_t from = 0, at = 0; ok && from < n;) {
        size_t k = 0;
        while (at < n && !(first[(unsigned char)s[at]] && (k = special_at(t, s + at, n - at)))) at++;
        if (t->nfc) {
            normal.length = 0;
            mllm_normalize_nfc(&normal, s + from, at - from);
            ok = !normal.failed && count_fragment(t, normal.data, normal.length);
        } else
            ok = count_fragment(t, s + from, at - from);
        from = at += k;
    }
    mllm_buffer_free(&normal);
    return ok;
}

/* ------------------------------------------------------------ counting pairs */

static uint64_t pair_hash(const training *t, uint32_t i) {
    return mllm_hash_pair(t->pairs[i].a, t->pairs[i].b);
}

/* The pair (a, b), made when it is new; NULL: out of memory. */
static pair *pair_of(training *t, uint32_t a, uint32_t b) {
    if (!rehash(t, &t->pair_table, &t->pair_mask, t->pair_count, pair_hash)) return NULL;
    uint64_t at = mllm_hash_pair(a, b);
    uint32_t *slot;
    for (; *(slot = &t->pair_table[at & t->pair_mask]); at++) {
        pair *p = &t->pairs[*slot - 1];
        if (p->a == a && p->b == b) return p;
    }
    if (!grow(&t->pairs, sizeof *t->pairs, t->pair_count, &t->pair_capacity)) return NULL;
    t->pairs[t->pair_count] = (pair){a, b, NONE, 0};
    *slot = ++t->pair_count;
    return &t->pairs[t->pair_count - 1];
}

/* Changes a pair's count by that of word w; a pair that became more frequent remembers the word. */
static bool add_pair(training *t, uint32_t a, uint32_t b, uint32_t w, int sign) {
    pair *p = pair_of(t, a, b);
    if (!p) return false;
    p->count += sign * (int64_t)t->words[w].count;
    if (sign < 0 || (p->places != NONE && t->places[p->places].word == w)) return true;
    if (!grow(&t->places, sizeof *t->places, t->place_count, &t->place_capacity)) return false;
    t->places[t->place_count] = (place){w, p->places};
    p->places = t->place_count++;
    return true;
}

/* -------------------------------------------------------------------- heap */

static bool stronger(const entry *x, const entry *y) {
    return x->count != y->count ? x->count > y->count : x->ids < y->ids;
}

static bool heap_push(training *t, uint32_t index) {
    if (!grow(&t->heap, sizeof *t->heap, t->heap_count, &t->heap_capacity)) return false;
    const pair *p = &t->pairs[index];
    entry e = {p->count, (uint64_t)p->a << 32 | p->b, index};
    uint32_t at = t->heap_count++;
    while (at && stronger(&e, &t->heap[(at - 1) / 2])) {
        t->heap[at] = t->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    t->heap[at] = e;
    return true;
}

static entry heap_pop(training *t) {
    entry top = t->heap[0], last = t->heap[--t->heap_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= t->heap_count) break;
        if (child + 1 < t->heap_count && stronger(&t->heap[child + 1], &t->heap[child])) child++;
        if (!stronger(&t->heap[child], &last)) break;
        t->heap[at] = t->heap[child];
        at = child;
    }
    t->heap[at] = last;
    return top;
}

/* ------------------------------------------------------------------ tokens */

static uint64_t token_hash(const training *t, uint32_t i) {
    return mllm_hash_bytes(t->texts.data + t->tokens[i].at, t->tokens[i].length);
}

/* The token (counted without the special ones) with these bytes, which lie behind `texts`' end; made when it is new. NONE: out of memory. */
static uint32_t token_of(training *t, const char *s, size_t n) {
    if (!rehash(t, &t->token_table, &t->token_mask, t->token_count, token_hash)) return NONE;
    uint64_t at = mllm_hash_bytes(s, n);
    uint32_t *slot;
    for (; *(slot = &t->token_table[at & t->token_mask]); at++) {
        const token *k = &t->tokens[*slot - 1];
        if (k->length == n && memcmp(t->texts.data + k->at, s, n) == 0) return *slot - 1;
    }
    if (!grow(&t->tokens, sizeof *t->tokens, t->token_count, &t->token_capacity)) return NONE;
    token k = {(uint32_t)t->texts.length, (uint32_t)n};
    mllm_buffer_put(&t->texts, s, n);
    if (t->texts.failed || t->texts.length > UINT32_MAX / 2) return NONE;
    t->tokens[t->token_count] = k;
    *slot = ++t->token_count;
    return t->token_count - 1;
}

/* ------------------------------------------------------------------ learning */

static bool count_pairs(training *t) {
    uint32_t id_of[256];
    for (uint32_t c = 0; c < 324; c++) { /* the order of GPT-2: by the character that spells the byte */
        int b = mllm_char_byte(c);
        if (b < 0) continue;
        char byte = (char)b;
        id_of[b] = token_of(t, &byte, 1);
        if (id_of[b] == NONE) return false;
    }
    t->symbols = mllm_alloc_array(t->bytes.length, sizeof *t->symbols);
    if (!t->symbols) return false;
    for (size_t i = 0; i < t->bytes.length; i++) t->symbols[i] = id_of[(unsigned char)t->bytes.data[i]];
    for (uint32_t w = 0; w < t->word_count; w++) {
        const uint32_t *s = t->symbols + t->words[w].at;
        for (uint32_t i = 0; i + 1 < t->words[w].length; i++)
            if (!add_pair(t, s[i], s[i + 1], w, 1)) return false;
    }
    for (uint32_t p = 0; p < t->pair_count; p++)
        if (!heap_push(t, p)) return false;
    return true;
}

/* Replaces a b by c in word w. */
static bool merge_in(training *t, uint32_t w, uint32_t a, uint32_t b, uint32_t c) {
    uint32_t *s = t->symbols + t->words[w].at, n = t->words[w].length, to = 0;
    for (uint32_t i = 0; i < n;) {
        if (i + 1 >= n || s[i] != a || s[i + 1] != b) {
            s[to++] = s[i++];
            continue;
        }
        if (to && !(add_pair(t, s[to - 1], a, w, -1) && add_pair(t, s[to - 1], c, w, 1))) return false;
        if (i + 2 < n && !(add_pair(t, b, s[i + 2], w, -1) && add_pair(t, c, s[i + 2], w, 1))) return false;
        s[to++] = c;
        i += 2;
    }
    t->words[w].length = to;
    return true;
}

static bool apply(training *t, uint32_t index, uint32_t c) {
    uint32_t a = t->pairs[index].a, b = t->pairs[index].b, known = t->pair_count;
    for (uint32_t at = t->pairs[index].places; at != NONE; at = t->places[at].next)
        if (!merge_in(t, t->places[at].word, a, b, c)) return false;
    t->pairs[index].count = 0;
    t->pairs[index].places = NONE;
    for (uint32_t p = known; p < t->pair_count; p++)
        if (t->pairs[p].count > 0 && !heap_push(t, p)) return false;
    return true;
}

static bool learn(training *t) {
    int64_t least = t->o->min_count ? (int64_t)t->o->min_count : 2;
    uint32_t wanted = (uint32_t)(t->o->size - t->o->special_count);
    while (t->token_count < wanted && t->heap_count) {
        entry top = heap_pop(t);
        pair *p = &t->pairs[top.pair];
        if (p->count != top.count) {
            if (p->count >= least && !heap_push(t, top.pair)) return false;
            continue;
        }
        if (top.count < least) break;
        token a = t->tokens[p->a], b = t->tokens[p->b];
        char *joined = mllm_alloc((size_t)a.length + b.length);
        if (!joined) return false;
        memcpy(joined, t->texts.data + a.at, a.length);
        memcpy(joined + a.length, t->texts.data + b.at, b.length);
        uint32_t known = t->token_count, c = token_of(t, joined, (size_t)a.length + b.length);
        mllm_free(joined);
        if (c == NONE || !grow(&t->merges, sizeof *t->merges, t->merge_count, &t->merge_capacity)) return false;
        t->merges[t->merge_count++] = (mllm_merge){p->a, p->b, c};
        if (c <
            known) { /* reached by another way before: pairs with it are not new, and so must be put into the heap by hand */
            uint32_t a_id = p->a, b_id = p->b;
            for (uint32_t at = p->places; at != NONE; at = t->places[at].next)
                if (!merge_in(t, t->places[at].word, a_id, b_id, c)) return false;
            t->pairs[top.pair].count = 0;
            t->pairs[top.pair].places = NONE;
            for (uint32_t i = 0; i < t->pair_count; i++)
                if ((t->pairs[i].a == c || t->pairs[i].b == c) && t->pairs[i].count > 0 && !heap_push(t, i))
                    return false;
        } else if (!apply(t, top.pair, c))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ the result */

static mllm_token special_id(const training *t, const char *name) {
    for (size_t i = 0; name && i < t->o->special_count; i++)
        if (strcmp(t->o->special[i], name) == 0) return (mllm_token)i;
    return -1;
}

static mllm_vocab *finish(training *t) {
    size_t special = t->o->special_count, n = special + t->token_count, room = 2 * t->texts.length;
    const char **pieces = mllm_alloc_array(n, sizeof *pieces);
    uint32_t *lengths = mllm_alloc_array(n, sizeof *lengths);
    uint8_t *kinds = mllm_calloc(n, 1);
    char *pool = mllm_alloc(room), *to = pool;
    mllm_merge_text *merges = mllm_alloc_array(t->merge_count, sizeof *merges);
    mllm_vocab *v = NULL;
    if (!pieces || !lengths || !kinds || !pool || !merges) {
        no_memory(t);
        goto done;
    }
    mllm_vocab_source s = {.where = "trained vocabulary",
                           .family = MLLM_VOCAB_BPE,
                           .bos = special_id(t, t->o->bos),
                           .eos = special_id(t, t->o->eos),
                           .unknown = -1,
                           .pre = t->pre,
                           .nfc = t->nfc};
    for (size_t i = 0; i < special; i++) {
        pieces[i] = t->o->special[i];
        lengths[i] = (uint32_t)strlen(pieces[i]);
        kinds[i] = MLLM_TOKEN_CONTROL;
        if (!t->o->eos && s.eos < 0 && mllm_is_end_spelling(pieces[i], lengths[i])) s.eos = (mllm_token)i;
    }
    for (uint32_t i = 0; i < t->token_count; i++) {
        pieces[special + i] = to;
        const char *text = t->texts.data + t->tokens[i].at;
        for (uint32_t k = 0; k < t->tokens[i].length; k++) to += mllm_byte_spelling((unsigned char)text[k], to);
        lengths[special + i] = (uint32_t)(to - pieces[special + i]);
    }
    for (uint32_t i = 0; i < t->merge_count; i++) {
        size_t a = special + t->merges[i].left, b = special + t->merges[i].right;
        merges[i] = (mllm_merge_text){pieces[a], pieces[b], lengths[a], lengths[b]};
    }
    s.count = n;
    s.pieces = pieces;
    s.lengths = lengths;
    s.kinds = kinds;
    s.merges = merges;
    s.merge_count = t->merge_count;
    s.ignore_merges = t->pre == MLLM_PRE_LLAMA3;
    v = mllm_vocab_new(&s, t->err);
done:
    mllm_free(pieces);
    mllm_free(lengths);
    mllm_free(kinds);
    mllm_free(pool);
    mllm_free(merges);
    return v;
}

static mllm_code check_options(training *t) {
    const mllm_bpe_train_options *o = t->o;
    const char *pre = o->pre ? o->pre : "smollm";
    if (!mllm_pretokenizer_by_name(pre, strlen(pre), &t->pre))
        return mllm_fail(t->err, MLLM_E_ARGUMENT, "unknown pre-tokenizer \"%s\" (smollm, gpt-2, llama-bpe, qwen2)",
                         pre);
    t->nfc = t->pre == MLLM_PRE_QWEN2;
    if (o->special_count > MLLM_MAX_VOCABULARY || o->size < 256 + o->special_count || o->size > MLLM_MAX_VOCABULARY)
        return mllm_fail(t->err, MLLM_E_ARGUMENT,
                         "a vocabulary of %zu tokens: it needs 256 and the %zu special ones, and at most %d", o->size,
                         o->special_count, MLLM_MAX_VOCABULARY);
    for (size_t i = 0; i < o->special_count; i++) {
        if (!*o->special[i]) return mllm_fail(t->err, MLLM_E_ARGUMENT, "special token %zu is empty", i);
        for (size_t k = 0; k < i; k++)
            if (strcmp(o->special[i], o->special[k]) == 0)
                return mllm_fail(t->err, MLLM_E_ARGUMENT, "special token \"%s\" is there twice", o->special[i]);
    }
    const char *const ids[] = {o->bos, o->eos};
    for (size_t i = 0; i < 2; i++)
        if (ids[i] && special_id(t, ids[i]) < 0)
            return mllm_fail(t->err, MLLM_E_ARGUMENT, "\"%s\" is not among the special tokens", ids[i]);
    return MLLM_OK;
}

mllm_vocab *mllm_bpe_train(mllm_text_fn next, void *ctx, const mllm_bpe_train_options *options, mllm_error *err) {
    training t = {.o = options, .err = err};
    mllm_vocab *v = NULL;
    if (check_options(&t) != MLLM_OK) return NULL;
    const char *text;
    size_t length;
    bool ok = true;
    while (ok && next(ctx, &text, &length)) ok = count_text(&t, text, length);
    ok = ok && count_pairs(&t) && learn(&t);
    if (ok)
        v = finish(&t);
    else
        no_memory(&t);
    mllm_buffer_free(&t.bytes);
    mllm_buffer_free(&t.texts);
    mllm_free(t.words);
    mllm_free(t.word_table);
    mllm_free(t.symbols);
    mllm_free(t.pairs);
    mllm_free(t.pair_table);
    mllm_free(t.places);
    mllm_free(t.heap);
    mllm_free(t.tokens);
    mllm_free(t.token_table);
    mllm_free(t.merges);
    return v;
}
