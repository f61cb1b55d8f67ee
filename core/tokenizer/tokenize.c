/* tokenize.c - text to ids: added tokens first, then normalization, words, merges. */
#include "merge.h"
#include "normalize.h"
#include "pretokenize.h"

enum { MAX_TEXT = 1 << 30 }; /* places in the normalized text, at most three times as long, fit 32 bits */

typedef struct {
    const mllm_vocab *v;
    mllm_merging m;
    mllm_buffer text; /* normalized text of all fragments so far */
} tokenizing;

/* ------------------------------------------------------- SentencePiece */

static const char SPACE[] = "\xE2\x96\x81"; /* U+2581 */

/* Appends the fragment with its spaces escaped. */
static void escape_spaces(tokenizing *t, const char *s, size_t n, bool prefix) {
    bool collapse = t->v->collapse_spaces;
    if (collapse) {
        while (n && *s == ' ') s++, n--;
        while (n && s[n - 1] == ' ') n--;
    }
    if (n == 0) return;
    if (prefix) mllm_buffer_put(&t->text, SPACE, 3);
    for (size_t i = 0; i < n;) {
        if (s[i] == ' ') {
            mllm_buffer_put(&t->text, SPACE, 3);
            do i++;
            while (collapse && s[i] == ' ');
            continue;
        }
        size_t from = i;
        while (i < n && s[i] != ' ') i++;
        mllm_buffer_put(&t->text, s + from, i - from);
    }
}

/* Words of text[from, to) of the normalized text. */
static void spm_words(tokenizing *t, size_t from, size_t to) {
    const char *s = t->text.data;
    if (!t->v->words_separate) {
        mllm_merging_word(&t->m, s, from, to - from);
        return;
    }
    while (from < to) {
        size_t at = from;
        while (to - at >= 3 && memcmp(s + at, SPACE, 3) == 0) at += 3;
        while (at < to && !(s[at] == SPACE[0] && to - at >= 3 && memcmp(s + at, SPACE, 3) == 0)) at++;
        mllm_merging_word(&t->m, s, from, at - from);
        from = at;
    }
}

static void spm_fragment(tokenizing *t, const char *s, size_t n, bool prefix) {
    size_t from = t->text.length, at = from;
    escape_spaces(t, s, n, prefix && t->v->space_prefix);
    if (t->text.failed) return;
    size_t end = t->text.length;
    while (t->v->match_count && at < end) { /* user tokens stand alone, whatever merges there might be */
        size_t matched = 0;
        mllm_token id = mllm_vocab_match(t->v, t->text.data + at, end - at, 1, &matched);
        if (id < 0) {
            at++;
            continue;
        }
        spm_words(t, from, at);
        mllm_merging_push(&t->m, id);
        from = at += matched;
    }
    spm_words(t, from, end);
}

/* ----------------------------------------------------------- byte level */

static void bpe_fragment(tokenizing *t, const char *base, size_t at, size_t n) {
    const mllm_vocab *v = t->v;
    const char *s = base + at;
    size_t from = t->text.length, end;
    if (v->space_prefix || v->nfc) { /* all fragments from one buffer: the words that are remembered stand in it */
        if (v->space_prefix && n && *s != ' ') mllm_buffer_put(&t->text, " ", 1);
        if (v->nfc)
            mllm_normalize_nfc(&t->text, s, n);
        else
            mllm_buffer_put(&t->text, s, n);
        if (t->text.failed) return;
        base = t->text.data;
        at = from;
        n = t->text.length - from;
    }
    for (end = at + n; at < end && !t->m.failed;) {
        size_t next = at + mllm_pretoken_end(v->pre, base + at, end - at, 0);
        mllm_merging_word(&t->m, base, at, next - at);
        at = next;
    }
}

/* -------------------------------------------------------- added tokens */

static bool white_before(const char *text, size_t *at, size_t floor) {
    size_t back = *at;
    if (back == floor) return false;
    do back--;
    while (back > floor && ((unsigned char)text[back] & 0xC0) == 0x80);
    uint32_t c = 0;
    if (mllm_utf8_char(text + back, *at - back, &c) != *at - back || !mllm_is_white(c)) return false;
    *at = back;
    return true;
}

static bool touches_word(const char *text, size_t length, size_t from, size_t to) {
    uint32_t c = 0;
    size_t back = from;
    if (back) {
        do back--;
        while (back && ((unsigned char)text[back] & 0xC0) == 0x80);
        if (mllm_utf8_char(text + back, from - back, &c) && mllm_is_word(c)) return true;
    }
    return mllm_utf8_char(text + to, length - to, &c) && mllm_is_word(c);
}

static void fragment(tokenizing *t, const char *text, size_t from, size_t to, bool prefix) {
    if (from >= to) return;
    if (t->v->family == MLLM_VOCAB_SPM)
        spm_fragment(t, text + from, to - from, prefix);
    else
        bpe_fragment(t, text, from, to - from);
}

/* A control token may not be made of bytes that somebody typed. */
static bool is_typed(const mllm_vocab *v, mllm_token id, const char *typed, size_t length) {
    mllm_token_kind kind = mllm_vocab_kind_of(v, (uint32_t)id);
    return typed && (kind == MLLM_TOKEN_CONTROL || kind == MLLM_TOKEN_UNKNOWN) && memchr(typed, 1, length);
}

static void whole_text(tokenizing *t, const char *text, size_t length, const char *typed, unsigned flags) {
    const mllm_vocab *v = t->v;
    unsigned bits = (flags & MLLM_TOKENIZE_SPECIAL ? 2u : 0u) | (v->family == MLLM_VOCAB_BPE ? 1u : 0u);
    bool prefix = !(flags & MLLM_TOKENIZE_NO_PREFIX);
    size_t from = 0, at = 0, matched;
    while (at < length && !t->m.failed && !t->text.failed) {
        mllm_token id = v->match_count ? mllm_vocab_match(v, text + at, length - at, bits, &matched) : -1;
        unsigned added = id >= 0 && v->added ? v->added[id] : 0;
        if (id < 0 || (added & MLLM_ADDED_SINGLE_WORD && touches_word(text, length, at, at + matched)) ||
            is_typed(v, id, typed ? typed + at : NULL, matched)) {
            if (!v->match_count)
                at = length;
            else
                at++;
            continue;
        }
        size_t to = at;
        at += matched;
        if (added & MLLM_ADDED_LSTRIP)
            while (white_before(text, &to, from)) {
            }
        if (added & MLLM_ADDED_RSTRIP)
            for (uint32_t c = 0; at < length;) {
                unsigned n = mllm_utf8_char(text + at, length - at, &c);
                if (!n || !mllm_is_white(c)) break;
                at += n;
            }
        fragment(t, text, from, to, prefix);
        mllm_merging_push(&t->m, id);
        from = at;
        prefix = v->prefix_each;
    }
    fragment(t, text, from, length, prefix);
}

size_t mllm_tokenize(const mllm_vocab *vocab, const char *text, size_t length, unsigned flags, mllm_token *out,
                     size_t capacity) {
    return mllm_tokenize_typed(vocab, text, length, NULL, flags, out, capacity);
}

size_t mllm_tokenize_typed(const mllm_vocab *vocab, const char *text, size_t length, const char *typed, unsigned flags,
                           mllm_token *out, size_t capacity) {
    if (length > MAX_TEXT) return SIZE_MAX;
    tokenizing t = {.v = vocab};
    mllm_merging_init(&t.m, vocab, length);
    if (flags & MLLM_TOKENIZE_BOS && vocab->bos >= 0) mllm_merging_push(&t.m, vocab->bos);
    whole_text(&t, text, length, typed, flags);
    if (flags & MLLM_TOKENIZE_EOS && vocab->eos >= 0) mllm_merging_push(&t.m, vocab->eos);
    size_t count = t.m.failed || t.text.failed ? SIZE_MAX : t.m.count;
    if (count != SIZE_MAX && count && capacity)
        memcpy(out, t.m.ids, (count < capacity ? count : capacity) * sizeof *out);
    mllm_merging_free(&t.m);
    mllm_buffer_free(&t.text);
    return count;
}
