/* way.c - the way to the end that a matcher knows, and tokens that are taken only if one stays known. */
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "matcher.h"
#include "plan.h"

/* Units of work, 0.15 to 0.25 us each; FIRST_EFFORT once a text: everything rests on it. */
enum { EFFORT = 20000, FIRST_EFFORT = 200000 };

/* Some tokens that are text[length]: the longest each time. Returns their number; 0: it cannot be done. */
static uint32_t longest_tokens(const mllm_token_trie *t, const char *text, uint32_t length, mllm_token *out) {
    uint32_t n = 0;
    for (uint32_t at = 0; at < length;) {
        uint32_t i = t->all.child[(uint8_t)text[at]], best = 0;
        for (uint32_t depth = 1; i; depth++) {
            if (t->all.id[i] >= 0) best = depth, out[n] = t->all.id[i];
            uint32_t c = i + 1, found = 0;
            for (; at + depth < length && c < t->all.end[i] && !found; c = t->all.end[c])
                if (t->all.byte[c] == (uint8_t)text[at + depth]) found = c;
            i = found;
        }
        if (!best) return 0;
        at += best;
        n++;
    }
    return n;
}

uint32_t mllm_matcher_tokens_left(mllm_matcher *x) {
    const mllm_token_trie *t = x->trie;
    if (x->way.looked) return x->way.known ? x->way.count - x->way.at : NONE;
    mllm_machine *m = &x->m;
    const mllm_step *s = mllm_last_step(x);
    uint32_t effort = x->count == 1 ? FIRST_EFFORT : EFFORT;
    uint32_t length = mllm_plan(m, s->first, s->count, MLLM_WAY_BYTES, &effort);
    x->way.looked = true;
    x->way.at = x->way.count = 0;
    if (length == NONE || m->failed != MLLM_OK) return NONE;
    if (length > x->way.capacity) {
        mllm_free(x->way.tokens);
        x->way.capacity = 0;
        if (!(x->way.tokens = mllm_alloc_array(length, sizeof *x->way.tokens))) return NONE;
        x->way.capacity = length;
    }
    const char *text = m->text + m->length;
    uint32_t longest = longest_tokens(t, text, length, x->way.tokens);
    if (t->vocab && length) { /* as the tokenizer writes it, unless that is longer or spells it otherwise */
        mllm_token *list = mllm_alloc_array(length, sizeof *list);
        size_t n = list ? mllm_tokenize(t->vocab, text, length, MLLM_TOKENIZE_NO_PREFIX, list, length) : 0, bytes = 0;
        for (size_t i = 0; i < n && n <= length; i++) bytes += t->lengths[list[i]] ? t->lengths[list[i]] : length;
        if (n && n <= length && bytes == length && (n <= longest || !longest)) {
            memcpy(x->way.tokens, list, n * sizeof *list);
            longest = (uint32_t)n;
        }
        mllm_free(list);
    }
    if (length && !longest) return NONE;
    x->way.count = longest;
    x->way.bytes = length;
    x->way.known = true;
    return longest;
}

size_t mllm_matcher_completion(mllm_matcher *x, mllm_token *out, size_t capacity) {
    if (!x->trie) return SIZE_MAX;
    if (mllm_last_step(x)->finished) return 0;
    uint32_t n = mllm_matcher_tokens_left(x);
    if (n == NONE) return SIZE_MAX;
    for (size_t i = 0; i < n && i < capacity; i++) out[i] = x->way.tokens[x->way.at + i];
    return n;
}

/* The way after `token`, if that goes along it: other tokens may spell the same bytes. */
static bool follow(mllm_way *way, const mllm_token_trie *t, mllm_token token) {
    uint32_t length = t->lengths[token], n = 0;
    if (!way->known || way->at == way->count) return false;
    if (way->tokens[way->at] == token) {
        way->at++;
        way->bytes -= length;
        return true;
    }
    if (!length || length >= way->bytes || t->lengths[way->tokens[way->at]] == 0) return false;
    uint32_t shared = t->lengths[way->tokens[way->at]] < length ? t->lengths[way->tokens[way->at]] : length;
    if (memcmp(mllm_trie_text(t, token), mllm_trie_text(t, way->tokens[way->at]), shared) != 0) return false;
    char *text = mllm_alloc(way->bytes);
    for (uint32_t i = way->at; text && i < way->count; n += t->lengths[way->tokens[i++]])
        memcpy(text + n, mllm_trie_text(t, way->tokens[i]), t->lengths[way->tokens[i]]);
    bool along = text && memcmp(mllm_trie_text(t, token), text, length) == 0;
    if (along) {
        way->at = 0;
        way->count = longest_tokens(t, text + length, way->bytes - length, way->tokens);
        way->bytes -= length;
        along = way->count > 0;
    }
    mllm_free(text);
    return along;
}

void mllm_matcher_follow(mllm_matcher *x, mllm_token token) {
    if (!x->way.looked || follow(&x->way, x->trie, token)) return;
    x->way.looked = x->way.known = false;
    x->way.at = x->way.count = 0;
}

/* ------------------------------------------------------------ within a budget */

/* Behind the last step the text can be completed in `budget` further tokens, as far as that is known: by the least that the threads need
 * where nothing is checked as a whole, otherwise by a way that was found. */
static bool leads_on(mllm_matcher *x, uint32_t budget) {
    if (mllm_matcher_is_complete(x)) return true;
    const mllm_step *s = mllm_last_step(x);
    bool certain = !x->uncertain;
    for (uint32_t i = 0; i < s->count && !certain; i++) certain = mllm_thread_is_certain(&x->m.pool[s->first + i]);
    uint32_t left = mllm_matcher_min_left(x);
    if (certain && left <= budget && (!x->uncertain || budget - left > MLLM_WAY_NEAR)) return true;
    return mllm_matcher_tokens_left(x) <= budget;
}

/* What is known of the way stays safe in `before` until the token has proved itself. */
mllm_code mllm_matcher_accept_within(mllm_matcher *x, mllm_token token, uint32_t budget, mllm_error *err) {
    uint32_t place = x->count;
    mllm_way before = x->way;
    if (!budget || !x->trie || (before.known && before.at < before.count && before.tokens[before.at] == token))
        return mllm_matcher_accept(x, token, err);
    x->way = (mllm_way){0};
    if (before.known && before.count > before.at) {
        uint32_t left = before.count - before.at;
        if ((x->way.tokens = mllm_alloc_array(before.bytes, sizeof *x->way.tokens))) {
            memcpy(x->way.tokens, before.tokens + before.at, left * sizeof *x->way.tokens);
            x->way.count = left;
            x->way.capacity = x->way.bytes = before.bytes;
            x->way.looked = x->way.known = true;
        }
    }
    mllm_code code = mllm_matcher_accept(x, token, err);
    if (code == MLLM_OK && leads_on(x, budget - 1)) {
        mllm_free(before.tokens);
        return code;
    }
    if (x->m.failed != MLLM_OK) code = mllm_matcher_failure(x, err);
    uint32_t count = x->refused_at == place ? x->refused_count : 0;
    if (x->count > place) mllm_matcher_go_back(x, place);
    mllm_free(x->way.tokens);
    x->way = before;
    if (code != MLLM_OK) return code;
    if (!leads_on(x, budget)) return mllm_matcher_accept(x, token, err); /* nothing to lose: on as far as it comes */
    x->refused_at = place;
    x->refused_count = count;
    if (count < MLLM_MOST_REFUSED) x->refused[x->refused_count++] = token;
    return mllm_fail(err, MLLM_E_GRAMMAR, "no way to the end was found behind token %d", (int)token);
}
