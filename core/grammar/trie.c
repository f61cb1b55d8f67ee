#include "trie.h"

#include <stdlib.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "machine.h"

typedef struct {
    const char *bytes;
    uint32_t length;
    int32_t id;
    uint8_t rank; /* of tokens with the same bytes the lowest rank is canonical */
    uint16_t chars; /* in front of it in a string */
} entry;

static int compare_entries(const void *a, const void *b) {
    const entry *x = a, *y = b;
    int r = memcmp(x->bytes, y->bytes, x->length < y->length ? x->length : y->length);
    if (r) return r;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Characters of a plain token; 0: it is not plain. */
static uint32_t plain_characters(const char *s, uint32_t n) {
    uint32_t chars = 0;
    for (uint32_t i = 0; i < n; chars++) {
        uint8_t c = (uint8_t)s[i];
        if (c < 0x20 || c == '"' || c == '\\' || c == 0x7F || (c >= 0x80 && (c < 0xC2 || c > 0xF4))) return 0;
        uint32_t more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
        if (i + more >= n) return 0;
        for (uint32_t k = 1; k <= more; k++) {
            uint8_t low = k > 1 ? 0x80 : c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
            uint8_t high = k > 1 ? 0xBF : c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
            uint8_t x = (uint8_t)s[i + k];
            if (x < low || x > high) return 0;
        }
        i += more + 1;
    }
    return chars;
}

static void free_trie(mllm_trie *t) {
    mllm_free(t->byte);
    mllm_free(t->depth);
    mllm_free(t->end);
    mllm_free(t->id);
}

/* From sorted entries without duplicates. */
static bool build(mllm_trie *t, const entry *list, uint32_t n, size_t *memory) {
    uint32_t nodes = 1, open[256];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t common = 0;
        if (i)
            while (common < list[i].length && common < list[i - 1].length &&
                   list[i].bytes[common] == list[i - 1].bytes[common])
                common++;
        nodes += list[i].length - common;
    }
    t->byte = mllm_alloc(nodes);
    t->depth = mllm_alloc(nodes);
    t->end = mllm_alloc_array(nodes, sizeof *t->end);
    t->id = mllm_alloc_array(nodes, sizeof *t->id);
    if (!t->byte || !t->depth || !t->end || !t->id) return false;
    *memory += (size_t)nodes * 10;
    memset(t->child, 0, sizeof t->child);
    t->byte[0] = t->depth[0] = 0;
    t->id[0] = -1;
    uint32_t at = 1, depth = 0;
    open[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t common = 0;
        if (i)
            while (common < list[i].length && common < list[i - 1].length &&
                   list[i].bytes[common] == list[i - 1].bytes[common])
                common++;
        for (; depth > common; depth--) t->end[open[depth]] = at;
        while (depth < list[i].length) {
            t->byte[at] = (uint8_t)list[i].bytes[depth++];
            t->depth[at] = (uint8_t)depth;
            t->id[at] = -1;
            if (depth == 1) t->child[t->byte[at]] = at;
            open[depth] = at++;
        }
        t->id[at - 1] = list[i].id;
    }
    for (;; depth--) {
        t->end[open[depth]] = at;
        if (depth == 0) break;
    }
    t->count = at;
    return true;
}

/* What the tokens list[n], which are not plain, are to a string. Uses up the list. */
static bool build_strings(mllm_token_trie *t, entry *list, uint32_t n) {
    entry *ends = mllm_alloc_array(n, sizeof *ends);
    uint32_t count = 0, kept = 0;
    bool ok = false;
    t->inner = mllm_alloc_array(n, sizeof *t->inner);
    t->closers = mllm_alloc_array(n, sizeof *t->closers);
    t->content = mllm_alloc_array(t->words, sizeof *t->content);
    if (!ends || !t->inner || !t->closers || !t->content) goto done;
    memcpy(t->content, t->plain[MLLM_PLAIN_LENGTHS], t->words * sizeof *t->content);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t chars, length = mllm_json_inside(list[i].bytes, list[i].length, &chars);
        if (length == list[i].length) {
            t->inner[t->inner_count++] = (mllm_string_token){.id = list[i].id, .chars = (uint16_t)chars};
            t->content[list[i].id / 64] |= (uint64_t)1 << (list[i].id % 64);
            if (chars > t->longest_inner) t->longest_inner = chars;
        } else if (length != NONE) {
            ends[count] = (entry){list[i].bytes + length, list[i].length - length, list[i].id, 0, (uint16_t)chars};
            list[count++] = list[i];
        }
    }
    if (!build(&t->closing, list, count, &t->memory)) goto done;
    if (count) qsort(ends, count, sizeof *ends, compare_entries);
    for (uint32_t i = 0; i < count; i++) {
        const entry *e = &ends[i], *next = i + 1 < count ? e + 1 : NULL;
        bool last = !next || next->length != e->length || memcmp(next->bytes, e->bytes, e->length) != 0;
        t->closers[i] = (mllm_string_token){.id = e->id, .chars = e->chars, .last = last};
        if (i == 0 || t->closers[i - 1].last) list[kept] = *e, list[kept++].id = (int32_t)i;
    }
    ok = build(&t->tails, list, kept, &t->memory);
    t->memory += (size_t)n * 2 * sizeof *t->inner + (size_t)t->words * sizeof *t->content;
done:
    mllm_free(ends);
    return ok;
}

/* `vocab` NULL: bytes[count] are kept. */
static mllm_token_trie *make(const mllm_vocab *vocab, const char *const *bytes, const uint32_t *lengths,
                             const bool *ends, const uint8_t *ranks, size_t count, mllm_error *err) {
    mllm_token_trie *t = mllm_calloc(1, sizeof *t);
    entry *list = mllm_alloc_array(count, sizeof *list);
    uint32_t n = 0, rest = 0;
    if (!t || !list || count > INT32_MAX) goto memory;
    atomic_init(&t->refs, 1);
    t->size = (uint32_t)count;
    t->words = (t->size + 63) / 64;
    if (!vocab) t->bytes = mllm_calloc(count, sizeof *t->bytes);
    t->lengths = mllm_calloc(count, sizeof *t->lengths);
    uint32_t end_count = 0;
    for (size_t i = 0; i < count; i++) end_count += ends && ends[i];
    t->ends = mllm_alloc_array(end_count, sizeof *t->ends);
    uint64_t *sets = mllm_calloc((size_t)t->words * (MLLM_PLAIN_LENGTHS + 1), sizeof *sets);
    t->plain[0] = sets;
    if ((!vocab && !t->bytes) || !t->lengths || !t->ends || !sets) goto memory;
    for (int k = 1; k <= MLLM_PLAIN_LENGTHS; k++) t->plain[k] = sets + (size_t)t->words * (size_t)k;
    t->memory = sizeof *t + count * ((vocab ? 0 : sizeof *t->bytes) + sizeof *t->lengths) +
                (size_t)t->words * 8 * (MLLM_PLAIN_LENGTHS + 1);
    for (size_t i = 0; i < count; i++) {
        if (ends && ends[i]) t->ends[t->end_count++] = (mllm_token)i;
        if (!bytes[i] || lengths[i] == 0 || (ends && ends[i])) continue;
        if (lengths[i] > 255) continue; /* no real vocabulary has them; they are never allowed */
        if (!vocab) t->bytes[i] = bytes[i];
        t->lengths[i] = (uint8_t)lengths[i];
        if (lengths[i] > t->longest) t->longest = lengths[i];
        list[n++] = (entry){bytes[i], lengths[i], (int32_t)i, ranks ? ranks[i] : 0, 0};
    }
    if (n) qsort(list, n, sizeof *list, compare_entries);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!kept || list[kept - 1].length != list[i].length ||
            memcmp(list[kept - 1].bytes, list[i].bytes, list[i].length) != 0)
            list[kept++] = list[i];
    if (!build(&t->all, list, kept, &t->memory)) goto memory;
    for (uint32_t i = 0; i < kept; i++) {
        uint32_t chars = plain_characters(list[i].bytes, list[i].length);
        if (!chars) {
            list[rest++] = list[i];
            continue;
        }
        if (chars > t->longest_plain) t->longest_plain = chars;
        for (uint32_t k = chars < MLLM_PLAIN_LENGTHS ? chars : MLLM_PLAIN_LENGTHS; k <= MLLM_PLAIN_LENGTHS; k++)
            t->plain[k][list[i].id / 64] |= (uint64_t)1 << (list[i].id % 64);
    }
    if (!build(&t->rest, list, rest, &t->memory) || !build_strings(t, list, rest)) goto memory;
    mllm_free(list);
    return t;
memory:
    mllm_free(list);
    mllm_token_trie_release(t);
    mllm_fail_memory(err, count * 32, "token trie");
    return NULL;
}

mllm_token_trie *mllm_token_trie_from(const char *const *bytes, const uint32_t *lengths, const bool *ends, size_t count,
                                      mllm_error *err) {
    return make(NULL, bytes, lengths, ends, NULL, count, err);
}

mllm_token_trie *mllm_token_trie_new(const mllm_vocab *vocab, mllm_error *err) {
    size_t n = (size_t)mllm_vocab_size(vocab);
    const char **bytes = mllm_calloc(n, sizeof *bytes);
    uint32_t *lengths = mllm_calloc(n, sizeof *lengths);
    bool *ends = mllm_calloc(n, sizeof *ends);
    uint8_t *ranks = mllm_calloc(n, sizeof *ranks);
    mllm_token_trie *t = NULL;
    if (bytes && lengths && ends && ranks) {
        for (size_t i = 0; i < n; i++) {
            mllm_token_kind kind = mllm_vocab_kind(vocab, (mllm_token)i);
            size_t length = 0;
            ends[i] = mllm_vocab_is_end(vocab, (mllm_token)i);
            ranks[i] = kind == MLLM_TOKEN_BYTE;
            if (kind != MLLM_TOKEN_NORMAL && kind != MLLM_TOKEN_USER && kind != MLLM_TOKEN_BYTE) continue;
            bytes[i] = mllm_vocab_bytes(vocab, (mllm_token)i, &length);
            lengths[i] = length > 255 ? 0 : (uint32_t)length;
        }
        t = make(vocab, bytes, lengths, ends, ranks, n, err);
        if (t) t->vocab = vocab, mllm_vocab_retain((mllm_vocab *)(uintptr_t)vocab);
    } else
        mllm_fail_memory(err, n * 14, "token trie");
    mllm_free(bytes);
    mllm_free(lengths);
    mllm_free(ends);
    mllm_free(ranks);
    return t;
}

mllm_token_trie *mllm_token_trie_retain(mllm_token_trie *t) {
    if (t) atomic_fetch_add(&t->refs, 1);
    return t;
}

void mllm_token_trie_release(mllm_token_trie *t) {
    if (!t || atomic_fetch_sub(&t->refs, 1) > 1) return;
    free_trie(&t->all);
    free_trie(&t->rest);
    free_trie(&t->closing);
    free_trie(&t->tails);
    mllm_free(t->inner);
    mllm_free(t->closers);
    mllm_free(t->content);
    mllm_free(t->bytes);
    mllm_free(t->lengths);
    mllm_free(t->ends);
    mllm_free(t->plain[0]);
    mllm_vocab_free((mllm_vocab *)(uintptr_t)t->vocab);
    mllm_free(t);
}

const char *mllm_token_trie_text(const mllm_token_trie *t, mllm_token id, size_t *length) {
    *length = id >= 0 && (uint32_t)id < t->size ? t->lengths[id] : 0;
    return *length ? mllm_trie_text(t, id) : NULL;
}

bool mllm_token_trie_extends(const mllm_token_trie *trie, const char *bytes, size_t length) {
    const mllm_trie *t = &trie->all;
    uint32_t i = length ? t->child[(uint8_t)bytes[0]] : 0;
    for (size_t depth = 1; i && depth < length; depth++) {
        uint32_t c = i + 1, found = 0;
        for (; c < t->end[i] && !found; c = t->end[c])
            if (t->byte[c] == (uint8_t)bytes[depth]) found = c;
        i = found;
    }
    return i && t->end[i] > i + 1;
}

size_t mllm_token_trie_size(const mllm_token_trie *t) {
    return t->size;
}

size_t mllm_token_trie_bytes(const mllm_token_trie *t) {
    return t->memory;
}
