/* shape_literal.c - values that a const or an enum lists: words of JSON text, arrays and objects that must equal one. */
#include <stdlib.h>
#include <string.h>

#include "../base/alloc.h"
#include "shape_flat.h"

void mllm_build_word(mllm_build *b, const char *text, uint32_t length, uint32_t tag) {
    mllm_shapes *t = b->t;
    if (mllm_build_reserve(b, &t->words, t->word_count + 1, &t->word_capacity, sizeof *t->words))
        t->words[t->word_count++] = (mllm_word){text, length, tag};
}

static void add_text(mllm_build *b, const char *text, size_t length) {
    mllm_shapes *t = b->t;
    if (!mllm_build_reserve(b, &t->texts, t->text_count + 1, &t->text_capacity, sizeof *t->texts)) return;
    char *copy = mllm_strndup(text, length);
    if (!copy) {
        b->failed = true;
        return;
    }
    t->texts[t->text_count++] = copy;
    mllm_build_word(b, copy, (uint32_t)length, 0);
}

static int compare_words(const void *a, const void *b) {
    const mllm_word *x = a, *y = b;
    int r = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return r ? r : x->length < y->length ? -1 : x->length > y->length;
}

void mllm_build_sort_words(mllm_build *b, uint32_t first, bool unique) {
    mllm_shapes *t = b->t;
    uint32_t n = t->word_count - first, out = first;
    if (b->failed || n < 2) return;
    qsort(t->words + first, n, sizeof *t->words, compare_words);
    for (uint32_t i = first; unique && i < first + n; i++)
        if (out == first || compare_words(&t->words[out - 1], &t->words[i]) != 0) t->words[out++] = t->words[i];
    if (unique) t->word_count = out;
}

/* The usual spellings of a number: as the schema has it, without exponent, with .0 where that is a whole number too. */
static void add_number(mllm_build *b, uint32_t node) {
    const mllm_json_node *n = &b->s->doc.nodes[node];
    mllm_decimal d;
    char out[80];
    add_text(b, b->s->text + n->start, n->end - n->start);
    if (!mllm_decimal_read(&d, b->s->text + n->start, n->end - n->start)) return;
    if (d.point > 40 || d.point < -20 || d.count > 40) return;
    size_t k = 0;
    const char *p = d.digits;
    if (d.negative) out[k++] = '-';
    if (d.point <= 0) out[k++] = '0';
    for (int64_t i = 0; i < d.point; i++) {
        if (i < d.count && *p == '.') p++;
        out[k++] = (char)(i < d.count ? *p++ : '0');
    }
    if (d.count > d.point && d.count > 0) {
        out[k++] = '.';
        for (int64_t i = d.point; i < 0; i++) out[k++] = '0';
        for (int64_t i = d.point > 0 ? d.point : 0; i < d.count; i++) {
            if (*p == '.') p++;
            out[k++] = *p++;
        }
        add_text(b, out, k);
        return;
    }
    add_text(b, out, k);
    if (b->s->draft > 4) {
        memcpy(out + k, ".0", 2);
        add_text(b, out, k + 2);
    }
}

/* The value at `node` of the schema is one that all items and checks are true of. */
static bool satisfies(const mllm_source *src, uint32_t node, const mllm_item *checks, uint32_t check_count) {
    const mllm_schema *s = src->b->s;
    mllm_instance self = {&s->doc, s->text};
    const mllm_json_node *n = s->doc.nodes;
    mllm_violation why;
    for (uint32_t i = 0; i < src->count + check_count; i++) {
        mllm_item item = i < src->count ? src->items[i] : checks[i - src->count];
        uint32_t at = ITEM_NODE(item), value = 0;
        bool ok = true, names_key = ITEM_KIND(item) == ITEM_REQUIRE || ITEM_KIND(item) == ITEM_FORBID ||
                                    ITEM_KIND(item) == ITEM_MEMBER_FAILS;
        if (names_key && n[node].kind == MLLM_JSON_OBJECT) value = mllm_json_member(&s->doc, node, &n[at]);
        switch (ITEM_KIND(item)) {
        case ITEM_HOLDS: ok = mllm_schema_check(s, at, &self, node, &why); break;
        case ITEM_FAILS: ok = !mllm_schema_check(s, at, &self, node, &why) && !why.limit && !why.memory; break;
        case ITEM_CONST: ok = mllm_json_equal(&self, at, &self, node); break;
        case ITEM_REQUIRE: ok = value != 0; break;
        case ITEM_FORBID: ok = value == 0; break;
        case ITEM_MEMBER_FAILS: ok = value && !mllm_schema_check(s, at + 1, &self, value, &why) && !why.limit; break;
        case ITEM_TYPES: ok = (at & mllm_json_type(&self, node)) != 0; break;
        }
        if (!ok) return false;
    }
    return true;
}

uint32_t mllm_build_const(mllm_build *b, uint32_t node) {
    mllm_item item = ITEM(ITEM_CONST, node);
    return mllm_build_shape(b, &item, 1);
}

/* An array that must equal the one at `node`. */
static void const_array(mllm_build *b, uint32_t flat, uint32_t node) {
    const mllm_json_node *n = b->s->doc.nodes;
    mllm_shapes *t = b->t;
    uint32_t at = t->array_count, count = n[node].count, c = node + 1;
    if (!mllm_build_reserve(b, &t->arrays, t->array_count + 1, &t->array_capacity, sizeof *t->arrays)) return;
    t->arrays[t->array_count++] =
        (mllm_array_shape){.first_prefix = t->index_count, .prefix = count, .min = count, .max = count};
    t->flats[flat].types = TYPE_ARRAY;
    t->flats[flat].array = at;
    for (uint32_t i = 0; i < count && !b->failed; i++, c = n[c].next) mllm_build_index(b, mllm_build_const(b, c));
}

void mllm_build_literals(const mllm_source *src, uint32_t first, uint32_t count, const mllm_item *checks,
                         uint32_t check_count) {
    mllm_build *b = src->b;
    mllm_shapes *t = b->t;
    const mllm_json_node *n = b->s->doc.nodes;
    bool composite = false;
    uint32_t flat = t->flat_count, c = first;
    if (!mllm_build_new_flat(b, NULL, 0)) return;
    for (uint32_t i = 0; i < count && !b->failed; i++, c = n[c].next) {
        if (!satisfies(src, c, checks, check_count)) continue;
        if (n[c].kind == MLLM_JSON_ARRAY || n[c].kind == MLLM_JSON_OBJECT) {
            composite = true;
        } else if (n[c].kind == MLLM_JSON_STRING) {
            mllm_buffer text = {0};
            mllm_json_put_string(&text, n[c].as.string, n[c].count);
            if (text.failed)
                b->failed = true;
            else if (text.length)
                add_text(b, text.data, text.length);
            mllm_buffer_free(&text);
        } else if (n[c].kind == MLLM_JSON_INTEGER || n[c].kind == MLLM_JSON_NUMBER)
            add_number(b, c);
        else
            mllm_build_word(b,
                            n[c].kind == MLLM_JSON_NULL   ? "null"
                            : n[c].kind == MLLM_JSON_TRUE ? "true"
                                                          : "false",
                            n[c].kind == MLLM_JSON_FALSE ? 5 : 4, 0);
    }
    mllm_build_sort_words(b, t->flats[flat].first_word, true);
    t->flats[flat].words = t->word_count - t->flats[flat].first_word;
    c = first;
    for (uint32_t i = 0; composite && i < count && !b->failed; i++, c = n[c].next)
        if ((n[c].kind == MLLM_JSON_ARRAY || n[c].kind == MLLM_JSON_OBJECT) && satisfies(src, c, checks, check_count)) {
            flat = t->flat_count;
            if (!mllm_build_new_flat(b, NULL, 0)) return;
            if (n[c].kind == MLLM_JSON_OBJECT)
                mllm_build_const_object(b, flat, c);
            else
                const_array(b, flat, c);
        }
}
