/* merge.c - byte-pair merging of one word: symbols in a list over the bytes, candidates in a heap, so that a word of n bytes takes
 * n log n steps however long it is. */
#include "merge.h"

#include "../base/alloc.h"

enum { NO_PLACE = UINT32_MAX, LONGEST_CACHED = 48 };

void mllm_merging_init(mllm_merging *m, const mllm_vocab *vocab, size_t length) {
    *m = (mllm_merging){.vocab = vocab};
    if (length < 256) return;
    uint32_t slots = length < 8192 ? 512 : length < 131072 ? 4096 : 32768;
    m->words = mllm_calloc(slots, sizeof *m->words); /* without it everything is merged anew: slower, not wrong */
    m->word_mask = slots - 1;
}

void mllm_merging_free(mllm_merging *m) {
    mllm_free(m->ids);
    mllm_free(m->size);
    mllm_free(m->before);
    mllm_free(m->id);
    mllm_free(m->heap);
    mllm_free(m->words);
}

static bool reserve_ids(mllm_merging *m, size_t more) {
    if (m->capacity - m->count >= more) return true;
    size_t capacity = m->capacity ? m->capacity : 64;
    while (capacity - m->count < more) capacity *= 2;
    mllm_token *ids = mllm_realloc_array(m->ids, capacity, sizeof *ids);
    if (!ids) {
        m->failed = true;
        return false;
    }
    m->ids = ids;
    m->capacity = capacity;
    return true;
}

void mllm_merging_push(mllm_merging *m, mllm_token id) {
    if (reserve_ids(m, 1)) m->ids[m->count++] = id;
}

/* -------------------------------------------------------------------- heap */

static void sift_down(mllm_merge_step *heap, size_t count, size_t at) {
    mllm_merge_step moved = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) break;
        if (child + 1 < count && heap[child + 1].key < heap[child].key) child++;
        if (heap[child].key >= moved.key) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void heap_push(mllm_merging *m, mllm_merge_step c) {
    size_t at = m->heap_count++;
    while (at) {
        size_t parent = (at - 1) / 2;
        if (m->heap[parent].key <= c.key) break;
        m->heap[at] = m->heap[parent];
        at = parent;
    }
    m->heap[at] = c;
}

static mllm_merge_step heap_pop(mllm_merging *m) {
    mllm_merge_step top = m->heap[0];
    m->heap[0] = m->heap[--m->heap_count];
    if (m->heap_count) sift_down(m->heap, m->heap_count, 0);
    return top;
}

/* ------------------------------------------------------------------ merging */

/* Order of scores as unsigned numbers, the highest score first. */
static uint32_t strength(float score) {
    uint32_t bits;
    memcpy(&bits, &score, 4);
    return bits & 0x80000000u ? bits : 0x7FFFFFFFu - bits;
}

/* What the symbols at `left` and `right` (its neighbour) become; false when they stay apart. */
static bool candidate(const mllm_merging *m, const char *word, uint32_t left, uint32_t right, mllm_merge_step *out) {
    const mllm_vocab *v = m->vocab;
    uint32_t size = m->size[left] + m->size[right];
    if (v->by_score) {
        mllm_token id = mllm_vocab_find(v, word + left, size);
        if (id < 0 || mllm_vocab_kind_of(v, (uint32_t)id) != MLLM_TOKEN_NORMAL) return false;
        *out = (mllm_merge_step){(uint64_t)strength(v->scores[id]) << 32 | left, size, (uint32_t)id};
        return true;
    }
    if (m->id[left] < 0 || m->id[right] < 0) return false;
    int64_t merge = mllm_vocab_merge(v, (uint32_t)m->id[left], (uint32_t)m->id[right]);
    if (merge < 0) return false;
    *out = (mllm_merge_step){(uint64_t)merge << 32 | left, size, v->merges[merge].result};
    return true;
}

static bool reserve_symbols(mllm_merging *m, size_t n) {
    if (n <= m->symbols) return true;
    size_t want = n < 64 ? 64 : n + n / 2;
    void *p;
    if ((p = mllm_realloc_array(m->size, want, sizeof *m->size))) m->size = p;
    bool ok = p != NULL;
    if (ok && (p = mllm_realloc_array(m->before, want, sizeof *m->before))) m->before = p;
    ok = ok && p;
    if (ok && (p = mllm_realloc_array(m->id, want, sizeof *m->id))) m->id = p;
    ok = ok && p;
    /* Each merge takes one candidate out and puts in two at most. */
    if (ok && (p = mllm_realloc_array(m->heap, 2 * want, sizeof *m->heap))) m->heap = p;
    ok = ok && p;
    if (ok)
        m->symbols = want;
    else
        m->failed = true;
    return ok;
}

/* Makes the first symbols: bytes, or characters. */
static void split(mllm_merging *m, const char *word, uint32_t n) {
    const mllm_vocab *v = m->vocab;
    uint32_t before = NO_PLACE;
    for (uint32_t at = 0; at < n;) {
        uint32_t size = 1;
        mllm_token id;
        if (v->family == MLLM_VOCAB_BPE) {
            id = v->byte_token[(unsigned char)word[at]];
        } else {
            size = mllm_utf8_char(word + at, n - at, NULL);
            if (size == 0) size = 1;
            id = mllm_vocab_find(v, word + at, size);
            if (id >= 0) {
                mllm_token_kind k = mllm_vocab_kind_of(v, (uint32_t)id);
                if (k != MLLM_TOKEN_NORMAL && k != MLLM_TOKEN_USER) id = -1;
            }
        }
        m->size[at] = size;
        m->before[at] = before;
        m->id[at] = id < 0 ? MLLM_NO_SYMBOL : id;
        before = at;
        at += size;
    }
}

/* Ids of a symbol that no piece spells: its bytes, or one unknown token for a run of such symbols. */
static bool push_unknown(mllm_merging *m, const char *s, uint32_t n, bool after_unknown) {
    const mllm_vocab *v = m->vocab;
    if (v->family == MLLM_VOCAB_SPM && v->has_bytes) {
        for (uint32_t i = 0; i < n; i++) mllm_merging_push(m, v->byte_token[(unsigned char)s[i]]);
        return false;
    }
    if (v->unknown >= 0 && !after_unknown) mllm_merging_push(m, v->unknown);
    return true;
}

static void merge_word(mllm_merging *m, const char *word, uint32_t n) {
    if (!reserve_symbols(m, n)) return;
    split(m, word, n);
    m->heap_count = 0;
    mllm_merge_step c;
    for (uint32_t at = 0, next; (next = at + m->size[at]) < n; at = next)
        if (candidate(m, word, at, next, &c)) m->heap[m->heap_count++] = c;
    for (size_t i = m->heap_count / 2; i-- > 0;) sift_down(m->heap, m->heap_count, i);
    while (m->heap_count) {
        c = heap_pop(m);
        uint32_t left = (uint32_t)c.key, right = left + m->size[left];
        /* A symbol that was swallowed has size 0; one that has grown, or whose neighbour has, gives another sum. */
        if (m->size[left] == 0 || right >= n || m->size[left] + m->size[right] != c.size) continue;
        m->size[right] = 0;
        m->size[left] = c.size;
        m->id[left] = (mllm_token)c.id;
        uint32_t next = left + c.size;
        if (next < n) {
            m->before[next] = left;
            if (candidate(m, word, left, next, &c)) heap_push(m, c);
        }
        if (m->before[left] != NO_PLACE && candidate(m, word, m->before[left], left, &c)) heap_push(m, c);
    }
    bool unknown = false;
    for (uint32_t at = 0; at < n && !m->failed; at += m->size[at]) {
        if (m->id[at] >= 0) {
            mllm_merging_push(m, m->id[at]);
            unknown = false;
        } else
            unknown = push_unknown(m, word + at, m->size[at], unknown);
    }
}

/* Llama 3: a word that is a piece is taken whole. The piece is spelled in the alphabet of bytes. */
static mllm_token whole_word(const mllm_vocab *v, const char *word, size_t n) {
    char spelling[256];
    size_t k = 0;
    if (n > sizeof spelling / 2) return -1;
    for (size_t i = 0; i < n; i++) k += mllm_byte_spelling((unsigned char)word[i], spelling + k);
    mllm_token id = mllm_vocab_find(v, spelling, k);
    return id >= 0 && mllm_vocab_kind_of(v, (uint32_t)id) == MLLM_TOKEN_NORMAL ? id : -1;
}

void mllm_merging_word(mllm_merging *m, const char *base, size_t at, size_t length) {
    const char *word = base + at;
    if (m->failed || length == 0) return;
    mllm_word_slot *slot = NULL;
    uint64_t hash = 0;
    if (m->words && length <= LONGEST_CACHED) {
        hash = mllm_hash_bytes(word, length);
        slot = &m->words[hash & m->word_mask];
        if (slot->length == length && slot->hash == hash && memcmp(base + slot->at, word, length) == 0) {
            if (!reserve_ids(m, slot->count)) return;
            memcpy(m->ids + m->count, m->ids + slot->first, slot->count * sizeof *m->ids);
            m->count += slot->count;
            return;
        }
    }
    size_t first = m->count;
    mllm_token whole =
        m->vocab->ignore_merges && m->vocab->family == MLLM_VOCAB_BPE ? whole_word(m->vocab, word, length) : -1;
    if (whole >= 0)
        mllm_merging_push(m, whole);
    else
        merge_word(m, word, (uint32_t)length);
    if (slot && !m->failed)
        *slot = (mllm_word_slot){hash, (uint32_t)at, (uint32_t)length, (uint32_t)first, (uint32_t)(m->count - first)};
}
