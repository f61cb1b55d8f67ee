/* vocab.c - building a vocabulary from its description, and asking it. */
#include "vocab.h"

#include <math.h>
#include <stdlib.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../model/blueprint.h"

/* More probes than this never happen by chance in a table that is at most half full: a file that was made to collide. */
enum { MAX_PROBES = 2048 };

/* ------------------------------------------------------------- characters */

unsigned mllm_utf8_char(const char *text, size_t n, uint32_t *c) {
    const unsigned char *s = (const unsigned char *)text;
    if (n == 0) return 0;
    uint32_t x = s[0];
    unsigned size = x < 0x80                ? 1
                    : x >= 0xC2 && x < 0xE0 ? 2
                    : x >= 0xE0 && x < 0xF0 ? 3
                    : x >= 0xF0 && x < 0xF5 ? 4
                                            : 0;
    if (size == 0 || size > n) return 0;
    if (size > 1) {
        static const uint8_t lead[5] = {0, 0, 0x1F, 0x0F, 0x07};
        static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
        x &= lead[size];
        for (unsigned i = 1; i < size; i++) {
            if ((s[i] & 0xC0) != 0x80) return 0;
            x = x << 6 | (s[i] & 0x3F);
        }
        if (x < least[size] || x > 0x10FFFF || (x >= 0xD800 && x < 0xE000)) return 0;
    }
    if (c) *c = x;
    return size;
}

/* GPT-2's table: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up, in order. */
static bool byte_is_printable(unsigned b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

static uint32_t byte_char(unsigned byte) {
    if (byte_is_printable(byte)) return byte;
    if (byte <= 32) return 256 + byte;
    if (byte <= 160) return 256 + 33 + (byte - 127);
    return 256 + 67; /* 173 */
}

int mllm_char_byte(uint32_t c) {
    if (c < 256) return byte_is_printable(c) ? (int)c : -1;
    c -= 256;
    if (c <= 32) return (int)c;
    if (c <= 66) return (int)c - 33 + 127;
    return c == 67 ? 173 : -1;
}

unsigned mllm_byte_spelling(unsigned byte, char *out) {
    uint32_t c = byte_char(byte);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3F));
    return 2;
}

bool mllm_is_end_spelling(const char *s, size_t length) {
    static const char *const names[] = {"<|im_end|>",    "<|eot_id|>",
                                        "<|eom_id|>",    "<|end_of_text|>",
                                        "<|endoftext|>", "<|end|>",
                                        "<|eot|>",       "<|end_turn|>",
                                        "<end_of_turn>", "</s>",
                                        "<eos>",         "<EOT>",
                                        "<|eos|>",       "<|end_of_turn|>",
                                        "<turn|>",       "<|END_OF_TURN_TOKEN|>"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && memcmp(names[i], s, length) == 0) return true;
    return false;
}

/* ---------------------------------------------------------------- asking */

mllm_vocab *mllm_vocab_retain(mllm_vocab *v) {
    if (v) atomic_fetch_add_explicit(&v->references, 1, memory_order_relaxed);
    return v;
}

void mllm_vocab_free(mllm_vocab *v) {
    if (!v || atomic_fetch_sub_explicit(&v->references, 1, memory_order_acq_rel) != 1) return;
    mllm_free(v->spellings);
    mllm_free(v->spelling_at);
    mllm_free(v->texts);
    mllm_free(v->text_at);
    mllm_free(v->kind);
    mllm_free(v->added);
    mllm_free(v->scores);
    mllm_free(v->table);
    mllm_free(v->merges);
    mllm_free(v->merge_table);
    mllm_free(v->match_id);
    mllm_free(v->match_parent);
    mllm_free(v->match_bytes);
    mllm_free(v->match_at);
    mllm_free(v);
}

static bool outside(const mllm_vocab *v, mllm_token id) {
    return id < 0 || (uint32_t)id >= v->count;
}

int mllm_vocab_size(const mllm_vocab *v) {
    return (int)v->count;
}

const char *mllm_vocab_bytes(const mllm_vocab *v, mllm_token id, size_t *length) {
    if (outside(v, id)) {
        if (length) *length = 0;
        return NULL;
    }
    if (length) *length = v->text_at[id + 1] - v->text_at[id];
    return v->texts + v->text_at[id];
}

mllm_token_kind mllm_vocab_kind(const mllm_vocab *v, mllm_token id) {
    return outside(v, id) ? MLLM_TOKEN_UNUSED : mllm_vocab_kind_of(v, (uint32_t)id);
}

mllm_token mllm_vocab_find(const mllm_vocab *v, const char *piece, size_t length) {
    if (length > v->longest_spelling) return -1;
    uint64_t h = mllm_hash_bytes(piece, length);
    uint32_t tag = (uint32_t)(h >> 32);
    for (uint32_t at = (uint32_t)h;; at++) {
        mllm_vocab_slot s = v->table[at & v->table_mask];
        if (s.id1 == 0) return -1;
        if (s.tag != tag) continue;
        uint32_t n;
        const char *other = mllm_vocab_spelling(v, s.id1 - 1, &n);
        if (n == length && memcmp(other, piece, n) == 0) return (mllm_token)(s.id1 - 1);
    }
}

mllm_token mllm_vocab_bos(const mllm_vocab *v) {
    return v->bos;
}

mllm_token mllm_vocab_eos(const mllm_vocab *v) {
    return v->eos;
}

bool mllm_vocab_is_end(const mllm_vocab *v, mllm_token id) {
    return !outside(v, id) && (v->kind[id] & MLLM_KIND_END);
}

bool mllm_vocab_adds_bos(const mllm_vocab *v) {
    return v->add_bos && v->bos >= 0;
}

size_t mllm_vocab_longest(const mllm_vocab *v) {
    return 16 +
           3 * (size_t)v->longest_text; /* every byte of a piece may become a U+FFFD, as may three that were held */
}

/* ----------------------------------------------------------- added tokens */

static int compare_match(const char *a, size_t n, const char *b, size_t m) {
    int c = memcmp(a, b, n < m ? n : m);
    return c ? c : n < m ? -1 : n > m;
}

mllm_token mllm_vocab_match(const mllm_vocab *v, const char *text, size_t length, unsigned bits, size_t *matched) {
    if (!(v->match_first[(unsigned char)text[0]] & bits)) return -1;
    uint32_t low = 0, high = v->match_count; /* entries before `low` are <= text, from `high` on they are greater */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *s = v->match_bytes + v->match_at[middle];
        if (compare_match(s, v->match_at[middle + 1] - v->match_at[middle], text, length) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (uint32_t e = low; e; e = v->match_parent[e - 1]) {
        size_t n = v->match_at[e] - v->match_at[e - 1];
        if (n > length || memcmp(v->match_bytes + v->match_at[e - 1], text, n) != 0) continue;
        uint32_t id = v->match_id[e - 1];
        if (!(bits & (mllm_vocab_kind_of(v, id) == MLLM_TOKEN_USER ? 1u : 2u))) continue;
        *matched = n;
        return (mllm_token)id;
    }
    return -1;
}

typedef struct {
    const char *s;
    uint32_t length, id;
} match_entry;

static int compare_entries(const void *a, const void *b) {
    const match_entry *x = a, *y = b;
    int c = compare_match(x->s, x->length, y->s, y->length);
    return c ? c : x->id < y->id ? -1 : x->id > y->id;
}

static bool is_matched(const mllm_vocab *v, uint32_t id) {
    mllm_token_kind k = mllm_vocab_kind_of(v, id);
    return (k == MLLM_TOKEN_USER || k == MLLM_TOKEN_CONTROL || k == MLLM_TOKEN_UNKNOWN) &&
           v->spelling_at[id + 1] > v->spelling_at[id];
}

static mllm_code build_matches(mllm_vocab *v, mllm_error *err) {
    size_t bytes = 0, n = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        if (!is_matched(v, i)) continue;
        uint32_t length;
        const char *s = mllm_vocab_spelling(v, i, &length);
        bytes += length, n++;
        if (v->family == MLLM_VOCAB_SPM && mllm_vocab_kind_of(v, i) == MLLM_TOKEN_USER)
            for (uint32_t k = 0; k < length; k++) bytes += s[k] == ' ' ? 2 : 0;
    }
    if (bytes > INT32_MAX) return mllm_fail(err, MLLM_E_LIMIT, "added tokens of more than 2 GiB");
    match_entry *entries = mllm_alloc_array(n, sizeof *entries);
    char *pool = mllm_alloc(bytes);
    v->match_bytes = mllm_alloc(bytes);
    v->match_id = mllm_alloc_array(n, sizeof *v->match_id);
    v->match_parent = mllm_alloc_array(n, sizeof *v->match_parent);
    v->match_at = mllm_alloc_array(n + 1, sizeof *v->match_at);
    mllm_code code = MLLM_OK;
    if (!entries || !pool || !v->match_bytes || !v->match_id || !v->match_parent || !v->match_at) {
        code = mllm_fail_memory(err, bytes, "the added tokens");
        goto done;
    }
    char *to = pool;
    size_t m = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        if (!is_matched(v, i)) continue;
        uint32_t length;
        const char *s = mllm_vocab_spelling(v, i, &length), *from = to;
        bool user = mllm_vocab_kind_of(v, i) == MLLM_TOKEN_USER;
        for (uint32_t k = 0; k < length; k++) { /* user tokens of SentencePiece meet text whose spaces are escaped */
            if (user && v->family == MLLM_VOCAB_SPM && s[k] == ' ') {
                memcpy(to, "\xE2\x96\x81", 3);
                to += 3;
            } else
                *to++ = s[k];
        }
        entries[m++] = (match_entry){from, (uint32_t)(to - from), i};
        v->match_first[(unsigned char)*from] |= user ? 1 : 2;
    }
    qsort(entries, n, sizeof *entries, compare_entries);
    uint32_t at = 0, chain = 0; /* chain: index + 1 of the entry whose chain holds all prefixes of the last one */
    for (size_t i = 0; i < n; i++) {
        const match_entry *e = &entries[i];
        while (chain) {
            const match_entry *p = &entries[chain - 1];
            if (p->length <= e->length && memcmp(p->s, e->s, p->length) == 0) break;
            chain = v->match_parent[chain - 1];
        }
        v->match_id[i] = e->id;
        v->match_parent[i] = chain;
        v->match_at[i] = at;
        memcpy(v->match_bytes + at, e->s, e->length);
        at += e->length;
        chain = (uint32_t)i + 1;
    }
    v->match_at[n] = at;
    v->match_count = (uint32_t)n;
done:
    mllm_free(entries);
    mllm_free(pool);
    return code;
}

/* ---------------------------------------------------------------- building */

static uint32_t table_size(size_t entries) {
    uint32_t size = 16;
    while (size < entries * 2) size *= 2;
    return size;
}

static mllm_code copy_spellings(mllm_vocab *v, const mllm_vocab_source *s, mllm_error *err) {
    size_t total = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->lengths[i] > (1u << 20))
            return mllm_fail(err, MLLM_E_FORMAT, "%s: token %zu is %u bytes long, more than 1 MiB", s->where, i,
                             s->lengths[i]);
        total += s->lengths[i];
    }
    if (total > INT32_MAX / 2) return mllm_fail(err, MLLM_E_LIMIT, "%s: a vocabulary of %zu bytes", s->where, total);
    v->spellings = mllm_alloc(total);
    v->spelling_at = mllm_alloc_array(s->count + 1, sizeof *v->spelling_at);
    v->kind = mllm_calloc(s->count, 1);
    v->added = s->added ? mllm_alloc(s->count) : NULL;
    v->scores = s->scores ? mllm_alloc_array(s->count, sizeof *v->scores) : NULL;
    if (!v->spellings || !v->spelling_at || !v->kind || (s->added && !v->added) || (s->scores && !v->scores))
        return mllm_fail_memory(err, total, "the vocabulary");
    uint32_t at = 0;
    for (size_t i = 0; i < s->count; i++) {
        v->spelling_at[i] = at;
        memcpy(v->spellings + at, s->pieces[i], s->lengths[i]);
        at += s->lengths[i];
        if (s->lengths[i] > v->longest_spelling) v->longest_spelling = s->lengths[i];
        if (s->kinds) v->kind[i] = s->kinds[i] & MLLM_KIND_MASK;
    }
    v->spelling_at[s->count] = at;
    if (s->added) memcpy(v->added, s->added, s->count);
    for (size_t i = 0; s->scores && i < s->count; i++) {
        if (!isfinite(s->scores[i]))
            return mllm_fail(err, MLLM_E_FORMAT, "%s: the score of token %zu is no number", s->where, i);
        v->scores[i] = s->scores[i] + 0.0f; /* no negative zero: merges compare the bits */
    }
    return MLLM_OK;
}

/* Normal pieces and what else merges may end in. */
static bool mergeable(mllm_token_kind k) {
    return k == MLLM_TOKEN_NORMAL || k == MLLM_TOKEN_USER;
}

static mllm_code build_table(mllm_vocab *v, const char *where, mllm_error *err) {
    uint32_t size = table_size(v->count);
    v->table = mllm_calloc(size, sizeof *v->table);
    if (!v->table) return mllm_fail_memory(err, size * sizeof *v->table, "the vocabulary's table");
    v->table_mask = size - 1;
    for (uint32_t i = 0; i < v->count; i++) {
        uint32_t n, m;
        const char *s = mllm_vocab_spelling(v, i, &n);
        uint64_t h = mllm_hash_bytes(s, n);
        uint32_t tag = (uint32_t)(h >> 32), at = (uint32_t)h;
        for (unsigned probes = 0;; at++, probes++) {
            mllm_vocab_slot *slot = &v->table[at & v->table_mask];
            if (slot->id1 == 0) {
                *slot = (mllm_vocab_slot){i + 1, tag};
                break;
            }
            if (slot->tag == tag) {
                const char *other = mllm_vocab_spelling(v, slot->id1 - 1, &m);
                if (m == n && memcmp(other, s, n) ==
                                  0) { /* repeated: the later one counts, unless only the earlier can be merged */
                    if (mergeable(mllm_vocab_kind_of(v, i)) || !mergeable(mllm_vocab_kind_of(v, slot->id1 - 1)))
                        slot->id1 = i + 1;
                    break;
                }
            }
            if (probes > MAX_PROBES)
                return mllm_fail(err, MLLM_E_FORMAT, "%s: the spellings of the tokens collide", where);
        }
    }
    return MLLM_OK;
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* The byte that "<0xHH>" stands for, -1 when it is not of that form. */
static int byte_piece(const char *s, uint32_t n) {
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>' || hex(s[3]) < 0 || hex(s[4]) < 0) return -1;
    return hex(s[3]) * 16 + hex(s[4]);
}

/* The running text of a token, written to `out`; never more than the longer of its spelling and 5 bytes. */
static uint32_t write_text(const mllm_vocab *v, uint32_t id, char *out) {
    uint32_t n;
    const char *s = mllm_vocab_spelling(v, id, &n);
    mllm_token_kind k = mllm_vocab_kind_of(v, id);
    char *to = out;
    if (v->family == MLLM_VOCAB_SPM) {
        int byte = k == MLLM_TOKEN_BYTE ? byte_piece(s, n) : -1;
        if (byte >= 0) {
            *to++ = (char)byte;
        } else if (k == MLLM_TOKEN_UNKNOWN) {
            memcpy(to, " \xE2\x81\x87 ", 5); /* SentencePiece's unk_surface */
            to += 5;
        } else if (k == MLLM_TOKEN_CONTROL) {
            memcpy(to, s, n);
            to += n;
        } else
            for (uint32_t i = 0; i < n;) {
                if (n - i >= 3 && memcmp(s + i, "\xE2\x96\x81", 3) == 0)
                    *to++ = ' ', i += 3;
                else
                    *to++ = s[i++];
            }
        return (uint32_t)(to - out);
    }
    if (k == MLLM_TOKEN_NORMAL || k == MLLM_TOKEN_BYTE)
        for (uint32_t i = 0; i < n;) {
            uint32_t c = 0;
            unsigned size = mllm_utf8_char(s + i, n - i, &c);
            int byte = size ? mllm_char_byte(c) : -1;
            if (byte < 0) { /* not in the alphabet of bytes: it stands for itself */
                to = out;
                break;
            }
            *to++ = (char)byte;
            i += size;
        }
    if (to == out) {
        memcpy(to, s, n);
        to += n;
    }
    return (uint32_t)(to - out);
}

static mllm_code build_texts(mllm_vocab *v, mllm_error *err) {
    size_t room = v->spelling_at[v->count] + 8;
    for (uint32_t i = 0; i < v->count; i++)
        if (mllm_vocab_kind_of(v, i) == MLLM_TOKEN_UNKNOWN) room += 5;
    v->texts = mllm_alloc(room);
    v->text_at = mllm_alloc_array((size_t)v->count + 1, sizeof *v->text_at);
    if (!v->texts || !v->text_at) return mllm_fail_memory(err, room, "the vocabulary's texts");
    uint32_t at = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        v->text_at[i] = at;
        uint32_t n = write_text(v, i, v->texts + at);
        if (n > v->longest_text) v->longest_text = n;
        at += n;
    }
    v->text_at[v->count] = at;
    return MLLM_OK;
}

static void build_bytes(mllm_vocab *v) {
    for (unsigned b = 0; b < 256; b++) v->byte_token[b] = -1;
    if (v->family == MLLM_VOCAB_BPE) {
        for (unsigned b = 0; b < 256; b++) {
            char spelling[2];
            v->byte_token[b] = mllm_vocab_find(v, spelling, mllm_byte_spelling(b, spelling));
        }
        return;
    }
    for (uint32_t i = v->count; i-- > 0;) {
        uint32_t n;
        const char *s = mllm_vocab_spelling(v, i, &n);
        int byte = mllm_vocab_kind_of(v, i) == MLLM_TOKEN_BYTE ? byte_piece(s, n) : -1;
        if (byte >= 0) v->byte_token[byte] = (mllm_token)i;
    }
    v->has_bytes = true;
    for (unsigned b = 0; b < 256; b++) v->has_bytes &= v->byte_token[b] >= 0;
}

static mllm_code build_merges(mllm_vocab *v, const mllm_vocab_source *s, mllm_error *err) {
    if (s->merge_count > (1u << 24)) return mllm_fail(err, MLLM_E_LIMIT, "%s: %zu merges", s->where, s->merge_count);
    uint32_t size = table_size(s->merge_count);
    v->merges = mllm_alloc_array(s->merge_count, sizeof *v->merges);
    v->merge_table = mllm_calloc(size, sizeof *v->merge_table);
    char *joined = mllm_alloc(2 * (size_t)v->longest_spelling);
    mllm_code code = MLLM_OK;
    if (!v->merges || !v->merge_table || !joined) {
        code = mllm_fail_memory(err, size * sizeof *v->merge_table, "the merges");
        goto done;
    }
    v->merge_mask = size - 1;
    uint32_t last = 0;
    for (size_t i = 0; i < s->merge_count; i++) {
        const mllm_merge_text *m = &s->merges[i];
        mllm_token left = mllm_vocab_find(v, m->left, m->left_length),
                   right = mllm_vocab_find(v, m->right, m->right_length);
        mllm_token result = -1;
        if (left >= 0 && right >= 0) {
            uint32_t n = m->left_length + m->right_length, k;
            memcpy(joined, m->left, m->left_length);
            memcpy(joined + m->left_length, m->right, m->right_length);
            /* Trainers number tokens in the order of their merges: most often it is the one behind the last. */
            const char *guess = last + 1 < v->count ? mllm_vocab_spelling(v, last + 1, &k) : NULL;
            if (guess && k == n && memcmp(guess, joined, n) == 0)
                result = (mllm_token)(last + 1);
            else
                result = mllm_vocab_find(v, joined, n);
        }
        if (result < 0) {
            if (s->skip_unknown_merges) continue;
            code = mllm_fail(err, MLLM_E_FORMAT, "%s: merge %zu (\"%.*s\" and \"%.*s\") is not in the vocabulary",
                             s->where, i, m->left_length > 40 ? 40 : (int)m->left_length, m->left,
                             m->right_length > 40 ? 40 : (int)m->right_length, m->right);
            goto done;
        }
        last = (uint32_t)result;
        uint64_t at = mllm_hash_pair((uint32_t)left, (uint32_t)right);
        unsigned probes = 0;
        for (; v->merge_table[at & v->merge_mask]; at++) {
            const mllm_merge *other = &v->merges[v->merge_table[at & v->merge_mask] - 1];
            if (other->left == (uint32_t)left && other->right == (uint32_t)right) break;
            if (++probes > MAX_PROBES) {
                code = mllm_fail(err, MLLM_E_FORMAT, "%s: the merges collide", s->where);
                goto done;
            }
        }
        if (v->merge_table[at & v->merge_mask]) continue; /* repeated: the first one has the stronger place */
        v->merges[v->merge_count] = (mllm_merge){(uint32_t)left, (uint32_t)right, last};
        v->merge_table[at & v->merge_mask] = ++v->merge_count;
    }
done:
    mllm_free(joined);
    return code;
}

/* True when U+2581 stands in pieces only at the front, alone or in a run. */
static bool words_are_separate(const mllm_vocab *v) {
    for (uint32_t i = 0; i < v->count; i++) {
        if (mllm_vocab_kind_of(v, i) != MLLM_TOKEN_NORMAL) continue;
        uint32_t n, k = 0;
        const char *s = mllm_vocab_spelling(v, i, &n);
        while (n - k >= 3 && memcmp(s + k, "\xE2\x96\x81", 3) == 0) k += 3;
        for (; n - k >= 3; k++)
            if (memcmp(s + k, "\xE2\x96\x81", 3) == 0) return false;
    }
    return true;
}

static mllm_token checked_id(const mllm_vocab *v, mllm_token id) {
    return outside(v, id) ? -1 : id;
}

static mllm_code build(mllm_vocab *v, const mllm_vocab_source *s, mllm_error *err) {
    mllm_code code = copy_spellings(v, s, err);
    if (code == MLLM_OK) code = build_table(v, s->where, err);
    if (code == MLLM_OK) code = build_texts(v, err);
    if (code != MLLM_OK) return code;
    build_bytes(v);
    v->by_score = v->family == MLLM_VOCAB_SPM && s->merge_count == 0 && s->scores;
    if (!v->by_score) code = build_merges(v, s, err);
    if (code == MLLM_OK) code = build_matches(v, err);
    if (code != MLLM_OK) return code;
    v->words_separate = v->family == MLLM_VOCAB_SPM && words_are_separate(v);
    if (v->eos >= 0) v->kind[v->eos] |= MLLM_KIND_END;
    for (size_t i = 0; i < s->end_count; i++)
        if (!outside(v, s->ends[i])) v->kind[s->ends[i]] |= MLLM_KIND_END;
    for (uint32_t i = 0; i < v->match_count; i++) {
        uint32_t n, id = v->match_id[i];
        const char *spelling = mllm_vocab_spelling(v, id, &n);
        if (mllm_is_end_spelling(spelling, n)) v->kind[id] |= MLLM_KIND_END;
    }
    return MLLM_OK;
}

mllm_vocab *mllm_vocab_new(const mllm_vocab_source *s, mllm_error *err) {
    if (s->count == 0 || s->count > MLLM_MAX_VOCABULARY) {
        mllm_fail(err, MLLM_E_FORMAT, "%s: a vocabulary of %zu tokens (1 to %d are possible)", s->where, s->count,
                  MLLM_MAX_VOCABULARY);
        return NULL;
    }
    mllm_vocab *v = mllm_calloc(1, sizeof *v);
    if (!v) {
        mllm_fail_memory(err, sizeof *v, "a vocabulary");
        return NULL;
    }
    atomic_init(&v->references, 1);
    v->family = s->family;
    v->pre = s->pre;
    v->nfc = s->nfc;
    v->ignore_merges = s->ignore_merges;
    v->space_prefix = s->space_prefix;
    v->prefix_each = s->prefix_each;
    v->collapse_spaces = s->collapse_spaces;
    v->count = (uint32_t)s->count;
    v->bos = checked_id(v, s->bos);
    v->eos = checked_id(v, s->eos);
    v->unknown = checked_id(v, s->unknown);
    v->add_bos = s->add_bos;
    v->add_eos = s->add_eos;
    if (build(v, s, err) != MLLM_OK) {
        mllm_vocab_free(v);
        return NULL;
    }
    return v;
}
