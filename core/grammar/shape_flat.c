/* shape_flat.c - what one decided way says about each type of value. */
#include "shape_flat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/alloc.h"

typedef struct {
    mllm_build *b;
    const mllm_item *items;
    uint32_t count;
    bool simple;
} source;

#define SCHEMAS(src, i, k)                                                                                             \
    for (uint32_t i = 0; i < (src)->count; i++)                                                                        \
        if (ITEM_KIND((src)->items[i]) == ITEM_HOLDS &&                                                                \
            (mllm_schema_keywords((src)->b->s, ITEM_NODE((src)->items[i]), &(k)), true))

static uint32_t count_value(const mllm_schema *s, uint32_t node) {
    const mllm_json_node *n = &s->doc.nodes[node];
    mllm_decimal d;
    int64_t v;
    if (!mllm_decimal_read(&d, s->text + n->start, n->end - n->start) || !mllm_decimal_scaled(&d, 0, &v) || v >= NONE)
        return NONE;
    return (uint32_t)v;
}

static mllm_flat *new_flat(mllm_build *b, const mllm_item *checks, uint32_t count) {
    mllm_shapes *t = b->t;
    if (!mllm_build_reserve(b, &t->flats, t->flat_count + 1, &t->flat_capacity, sizeof *t->flats) ||
        !mllm_build_reserve(b, &t->items, t->item_count + count, &t->item_capacity, sizeof *t->items))
        return NULL;
    mllm_flat *f = &t->flats[t->flat_count++];
    *f = (mllm_flat){.lexer = NONE,
                     .max_length = NONE,
                     .first_check = t->item_count,
                     .checks = count,
                     .min_bytes = NONE,
                     .first_word = t->word_count};
    if (count) memcpy(t->items + t->item_count, checks, count * sizeof *checks);
    t->item_count += count;
    return f;
}

/* ------------------------------------------------------------------- literals */

static void add_word(mllm_build *b, const char *text, uint32_t length, uint32_t tag) {
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
    add_word(b, copy, (uint32_t)length, 0);
}

static int compare_words(const void *a, const void *b) {
    const mllm_word *x = a, *y = b;
    int r = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return r ? r : x->length < y->length ? -1 : x->length > y->length;
}

static void sort_words(mllm_build *b, uint32_t first, bool unique) {
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

static bool satisfies(const source *src, uint32_t node, const mllm_item *checks, uint32_t check_count) {
    const mllm_schema *s = src->b->s;
    mllm_instance self = {&s->doc, s->text};
    const mllm_json_node *n = s->doc.nodes;
    mllm_violation why;
    for (uint32_t i = 0; i < src->count + check_count; i++) {
        mllm_item item = i < src->count ? src->items[i] : checks[i - src->count];
        uint32_t at = ITEM_NODE(item), value = 0;
        bool object = n[node].kind == MLLM_JSON_OBJECT;
        if (object &&
            (ITEM_KIND(item) == ITEM_REQUIRE || ITEM_KIND(item) == ITEM_FORBID || ITEM_KIND(item) == ITEM_MEMBER_FAILS))
            for (uint32_t c = node + 1, j = 0; j < n[node].count && !value; j++, c = n[c + 1].next)
                if (n[c].count == n[at].count && memcmp(n[c].as.string, n[at].as.string, n[at].count) == 0)
                    value = c + 1;
        bool ok = true;
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

static uint32_t const_shape(mllm_build *b, uint32_t node) {
    mllm_item item = ITEM(ITEM_CONST, node);
    return mllm_build_shape(b, &item, 1);
}

static mllm_object_shape *new_object(mllm_build *b) {
    mllm_shapes *t = b->t;
    if (!mllm_build_reserve(b, &t->objects, t->object_count + 1, &t->object_capacity, sizeof *t->objects)) return NULL;
    mllm_object_shape *o = &t->objects[t->object_count++];
    *o = (mllm_object_shape){
        .first_key = t->key_count, .lexer = NONE, .max = NONE, .name_max = NONE, .names_exact = true};
    return o;
}

static mllm_array_shape *new_array(mllm_build *b) {
    mllm_shapes *t = b->t;
    if (!mllm_build_reserve(b, &t->arrays, t->array_count + 1, &t->array_capacity, sizeof *t->arrays)) return NULL;
    mllm_array_shape *a = &t->arrays[t->array_count++];
    *a = (mllm_array_shape){.first_prefix = t->index_count, .max = NONE};
    return a;
}

static void add_key(mllm_build *b, mllm_key key) {
    mllm_shapes *t = b->t;
    if (mllm_build_reserve(b, &t->keys, t->key_count + 1, &t->key_capacity, sizeof *t->keys))
        t->keys[t->key_count++] = key;
}

/* Keys of the last object, sorted, as words. */
static void finish_keys(mllm_build *b, mllm_object_shape *o) {
    mllm_shapes *t = b->t;
    const mllm_json_node *n = b->s->doc.nodes;
    o->keys = t->key_count - o->first_key;
    o->first_word = t->word_count;
    for (uint32_t i = 0; i < o->keys; i++) {
        const mllm_key *k = &t->keys[o->first_key + i];
        add_word(b, n[k->name].as.string, n[k->name].count, i);
        o->required += k->required;
    }
    sort_words(b, o->first_word, false);
    uint32_t words = (o->keys + 63) / 64;
    o->first_bit = t->bit_count;
    if (!mllm_build_reserve(b, &t->bits, t->bit_count + words, &t->bit_capacity, sizeof *t->bits)) return;
    for (uint32_t i = 0; i < words; i++) t->bits[t->bit_count++] = 0;
    for (uint32_t i = 0; i < o->keys; i++) {
        mllm_key *k = &t->keys[o->first_key + i];
        if (k->required) t->bits[o->first_bit + i / 64] |= (uint64_t)1 << (i % 64);
        k->bytes = 2;
        for (uint32_t j = 0; j < n[k->name].count; j++) k->bytes += mllm_json_width((uint8_t)n[k->name].as.string[j]);
    }
}

/* An array or object that must equal the one at `node`. */
static void const_flat(mllm_build *b, uint32_t node) {
    const mllm_json_node *n = b->s->doc.nodes;
    mllm_shapes *t = b->t;
    bool object = n[node].kind == MLLM_JSON_OBJECT;
    uint32_t flat = t->flat_count;
    if (!new_flat(b, NULL, 0)) return;
    t->flats[flat].types = object ? TYPE_OBJECT : TYPE_ARRAY;
    if (object) {
        uint32_t at = t->object_count;
        if (!new_object(b)) return;
        for (uint32_t c = node + 1, i = 0; i < n[node].count && !b->failed; i++, c = n[c + 1].next) {
            bool again = false; /* of repeated keys the last one counts */
            for (uint32_t d = n[c + 1].next, j = i + 1; j < n[node].count; j++, d = n[d + 1].next)
                again = again || (n[d].count == n[c].count && memcmp(n[d].as.string, n[c].as.string, n[c].count) == 0);
            if (!again) add_key(b, (mllm_key){.name = c, .shape = const_shape(b, c + 1), .required = true});
        }
        if (b->failed) return;
        t->objects[at].first_extra = t->objects[at].first_extra_bytes = mllm_build_index(b, 0);
        t->flats[flat].object = at;
        finish_keys(b, &t->objects[at]);
    } else {
        uint32_t at = t->array_count, count = n[node].count, c = node + 1;
        if (!new_array(b)) return;
        t->arrays[at].prefix = t->arrays[at].min = t->arrays[at].max = count;
        for (uint32_t i = 0; i < count && !b->failed; i++, c = n[c].next) mllm_build_index(b, const_shape(b, c));
        t->flats[flat].array = at;
    }
}

/* Values that a const or an enum lists. */
static void literal_flats(const source *src, uint32_t first, uint32_t count, const mllm_item *checks,
                          uint32_t check_count) {
    mllm_build *b = src->b;
    mllm_shapes *t = b->t;
    const mllm_json_node *n = b->s->doc.nodes;
    bool composite = false;
    uint32_t flat = t->flat_count, c = first;
    if (!new_flat(b, NULL, 0)) return;
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
            add_word(b,
                     n[c].kind == MLLM_JSON_NULL   ? "null"
                     : n[c].kind == MLLM_JSON_TRUE ? "true"
                                                   : "false",
                     n[c].kind == MLLM_JSON_FALSE ? 5 : 4, 0);
    }
    sort_words(b, t->flats[flat].first_word, true);
    t->flats[flat].words = t->word_count - t->flats[flat].first_word;
    c = first;
    for (uint32_t i = 0; composite && i < count && !b->failed; i++, c = n[c].next)
        if ((n[c].kind == MLLM_JSON_ARRAY || n[c].kind == MLLM_JSON_OBJECT) && satisfies(src, c, checks, check_count))
            const_flat(b, c);
}

/* -------------------------------------------------------------------- strings */

static void string_flat(const source *src, uint32_t flat) {
    mllm_build *b = src->b;
    mllm_shapes *t = b->t;
    const mllm_schema *s = b->s;
    const mllm_nfa *parts[MLLM_LEXER_PARTS];
    uint32_t count = 0, low = 0, high = NONE;
    mllm_keywords k;
    SCHEMAS(src, i, k) {
        uint32_t v;
        if ((v = k.at[KW_MIN_LENGTH]) && count_value(s, v) > low) low = count_value(s, v);
        if ((v = k.at[KW_MAX_LENGTH]) && count_value(s, v) < high) high = count_value(s, v);
        for (int w = 0; w < 2; w++) {
            v = k.at[w ? KW_FORMAT : KW_PATTERN];
            if (!v || s->link[v] == NONE) continue;
            const mllm_nfa *nfa = &s->nfas[s->link[v]];
            bool known = false;
            for (uint32_t j = 0; j < count; j++) known = known || parts[j] == nfa;
            if (known) continue;
            if (count == MLLM_LEXER_PARTS) {
                b->too_large = true;
                return;
            }
            parts[count++] = nfa;
            if (nfa->min_chars > low) low = nfa->min_chars;
            if (nfa->max_chars < high) high = nfa->max_chars;
        }
    }
    if (low > high) {
        t->flats[flat].types &= (uint8_t)~TYPE_STRING;
        return;
    }
    t->flats[flat].min_length = t->flats[flat].string_bytes = low;
    t->flats[flat].max_length = high;
    if (!count) return;
    for (uint32_t i = 0; i < t->lexer_count; i++) {
        const mllm_lexer *l = &t->lexers[i];
        if (!l->any && l->count == count && memcmp(l->parts, parts, count * sizeof *parts) == 0) {
            t->flats[flat].lexer = i;
            return;
        }
    }
    if (!mllm_build_reserve(b, &t->lexers, t->lexer_count + 1, &t->lexer_capacity, sizeof *t->lexers)) return;
    mllm_lexer_init(&t->lexers[t->lexer_count], parts, count, false);
    t->flats[flat].lexer = t->lexer_count++;
}

void mllm_build_lengths(mllm_build *b) {
    mllm_shapes *t = b->t;
    mllm_lexers table = {0};
    for (uint32_t i = 0; i < t->lexer_count; i++) {
        if (t->lexers[i].any) continue;
        uint32_t start = mllm_lexer_start(&table, &t->lexers[i]);
        uint32_t least = start == NONE ? NONE : mllm_lexer_distance(&table, start);
        uint32_t bytes = start == NONE ? NONE : mllm_lexer_bytes_left(&table, start, true);
        if (table.failed == MLLM_E_MEMORY) b->failed = true;
        if (table.failed != MLLM_OK)
            least = bytes = 0; /* too large to know now; the matcher will say so if it gets there */
        for (uint32_t j = 0; j < t->flat_count; j++) {
            mllm_flat *f = &t->flats[j];
            if (!(f->types & TYPE_STRING) || f->lexer != i) continue;
            if (least == NONE || least > f->max_length) {
                f->types &= (uint8_t)~TYPE_STRING;
                continue;
            }
            const mllm_nfa *only =
                t->lexers[i].count == 1 ? t->lexers[i].parts[0] : NULL; /* a class that repeats: any length */
            bool free = only && (only->min_chars || only->max_chars != NONE);
            t->uncertain = t->uncertain || (!free && (f->max_length != NONE || f->min_length > least));
            f->string_bytes = f->min_length > least ? bytes + f->min_length - least : bytes;
            if (least > f->min_length) f->min_length = least;
        }
        mllm_lexers_free(&table);
    }
    for (uint32_t i = 0; i < t->object_count; i++) {
        const mllm_object_shape *o = &t->objects[i];
        uint32_t *out = t->indices + o->first_extra_bytes, count = o->extra_table ? 1u << o->patterns : 1 + o->patterns;
        if (o->lexer == NONE) {
            if (o->first_extra_bytes != o->first_extra) out[0] = 2 + o->name_min;
            continue;
        }
        uint32_t start = mllm_lexer_start(&table, &t->lexers[o->lexer]);
        if (start == NONE)
            for (uint32_t j = 0; j < count; j++) out[j] = NONE;
        else if (o->all_names)
            out[0] = mllm_lexer_bytes_left(&table, start, true);
        else
            mllm_lexer_combinations(&table, start, out, count, !o->extra_table);
        if (table.failed == MLLM_E_MEMORY) b->failed = true;
        for (uint32_t j = 0; j < count; j++) /* with quotes */
            out[j] = 2 + (table.failed != MLLM_OK ? 0
                          : out[j] == NONE        ? NONE - 2
                          : out[j] > o->name_min  ? out[j]
                                                  : o->name_min);
        mllm_lexers_free(&table);
    }
    mllm_lexers_free(&table);
}

/* -------------------------------------------------------------------- numbers */

static void raise_low(mllm_number_shape *n, const mllm_decimal *d, bool open) {
    int c = n->has_low ? mllm_decimal_compare(d, &n->low) : 1;
    if (c > 0) n->low = *d, n->open_low = open;
    if (c == 0) n->open_low = n->open_low || open;
    n->has_low = true;
}

static void cut_high(mllm_number_shape *n, const mllm_decimal *d, bool open) {
    int c = n->has_high ? mllm_decimal_compare(d, &n->high) : -1;
    if (c < 0) n->high = *d, n->open_high = open;
    if (c == 0) n->open_high = n->open_high || open;
    n->has_high = true;
}

static bool read_at(const mllm_schema *s, uint32_t node, mllm_decimal *d) {
    const mllm_json_node *n = &s->doc.nodes[node];
    return (n->kind == MLLM_JSON_INTEGER || n->kind == MLLM_JSON_NUMBER) &&
           mllm_decimal_read(d, s->text + n->start, n->end - n->start);
}

/* Makes all bounds integers of one scale, for looking ahead in decimal digits. */
static void scale_number(const mllm_schema *s, mllm_number_shape *n, const uint32_t *multiples) {
    int64_t scale = 0;
    mllm_decimal d;
    n->scale = -1;
    if (n->has_low && mllm_decimal_places(&n->low) > scale) scale = mllm_decimal_places(&n->low);
    if (n->has_high && mllm_decimal_places(&n->high) > scale) scale = mllm_decimal_places(&n->high);
    if (n->multiples > 1) return;
    if (n->multiples && read_at(s, multiples[0], &d) && mllm_decimal_places(&d) > scale)
        scale = mllm_decimal_places(&d);
    if (scale > 9) return;
    const int64_t most = 1000000000000000; /* leaves room for ten times more digits */
    n->low_scaled = -most * 100;
    n->high_scaled = most * 100;
    if (n->has_low && (!mllm_decimal_scaled(&n->low, (int)scale, &n->low_scaled) || llabs(n->low_scaled) > most))
        return;
    if (n->has_high && (!mllm_decimal_scaled(&n->high, (int)scale, &n->high_scaled) || llabs(n->high_scaled) > most))
        return;
    n->step_scaled = 0;
    if (n->multiples && (!mllm_decimal_scaled(&d, (int)scale, &n->step_scaled) || n->step_scaled > most)) return;
    n->scale = (int)scale;
}

static void number_flat(const source *src, uint32_t flat) {
    mllm_build *b = src->b;
    mllm_shapes *t = b->t;
    const mllm_schema *s = b->s;
    mllm_number_shape n = {.first_multiple = t->index_count};
    mllm_keywords k;
    mllm_decimal d;
    n.integer = !(t->flats[flat].types & TYPE_FRACTION);
    n.fraction = !(t->flats[flat].types & TYPE_INTEGER);
    n.old_integer = n.integer && s->draft <= 4;
    SCHEMAS(src, i, k) {
        uint32_t v;
        if ((v = k.at[KW_MINIMUM]) && read_at(s, v, &d)) {
            uint32_t x = k.at[KW_EXCLUSIVE_MINIMUM];
            raise_low(&n, &d, x && s->doc.nodes[x].kind == MLLM_JSON_TRUE);
        }
        if ((v = k.at[KW_MAXIMUM]) && read_at(s, v, &d)) {
            uint32_t x = k.at[KW_EXCLUSIVE_MAXIMUM];
            cut_high(&n, &d, x && s->doc.nodes[x].kind == MLLM_JSON_TRUE);
        }
        if ((v = k.at[KW_EXCLUSIVE_MINIMUM]) && read_at(s, v, &d)) raise_low(&n, &d, true);
        if ((v = k.at[KW_EXCLUSIVE_MAXIMUM]) && read_at(s, v, &d)) cut_high(&n, &d, true);
        if ((v = k.at[KW_MULTIPLE_OF])) {
            mllm_build_index(b, v);
            n.multiples++;
        }
    }
    if (b->failed) return;
    n.plain = !n.has_low && !n.has_high && !n.multiples && !n.fraction;
    if (n.has_low && n.has_high) {
        int c = mllm_decimal_compare(&n.low, &n.high);
        if (c > 0 || (c == 0 && (n.open_low || n.open_high))) {
            t->flats[flat].types &= (uint8_t) ~(TYPE_INTEGER | TYPE_FRACTION);
            return;
        }
    }
    scale_number(s, &n, t->indices + n.first_multiple);
    n.min_bytes = n.plain ? 1 : mllm_number_shortest(s, t->indices, &n, "", 0);
    if (n.min_bytes == NONE) {
        t->flats[flat].types &= (uint8_t) ~(TYPE_INTEGER | TYPE_FRACTION);
        return;
    }
    if (!mllm_build_reserve(b, &t->numbers, t->number_count + 1, &t->number_capacity, sizeof *t->numbers)) return;
    t->numbers[t->number_count] = n;
    t->flats[flat].number = t->number_count++;
}

/* --------------------------------------------------------------------- arrays */

static void array_flat(const source *src, uint32_t flat) {
    mllm_build *b = src->b;
    mllm_shapes *t = b->t;
    const mllm_schema *s = b->s;
    const mllm_json_node *n = s->doc.nodes;
    mllm_item *list = mllm_alloc_array(src->count + 1, sizeof *list);
    mllm_array_shape a = {.max = NONE};
    mllm_keywords k;
    bool closed = false; /* every further item is evaluated by something */
    if (!list) {
        b->failed = true;
        return;
    }
    SCHEMAS(src, i, k) {
        uint32_t v, prefix = k.at[KW_PREFIX_ITEMS];
        if ((v = k.at[KW_MIN_ITEMS]) && count_value(s, v) > a.min) a.min = count_value(s, v);
        if ((v = k.at[KW_MAX_ITEMS]) && count_value(s, v) < a.max) a.max = count_value(s, v);
        if ((v = k.at[KW_UNIQUE_ITEMS]) && n[v].kind == MLLM_JSON_TRUE) a.unique = true;
        v = k.at[KW_ITEMS];
        if (v && n[v].kind == MLLM_JSON_ARRAY) prefix = v, v = k.at[KW_ADDITIONAL_ITEMS];
        if (prefix && n[prefix].count > a.prefix) a.prefix = n[prefix].count;
        closed = closed || v || k.at[KW_CONTAINS];
    }
    if (a.prefix > 10000) b->too_large = true;
    for (uint32_t at = 0; at <= a.prefix && !b->failed && !b->too_large; at++) {
        uint32_t count = 0;
        SCHEMAS(src, i, k) {
            uint32_t prefix = k.at[KW_PREFIX_ITEMS], rest = k.at[KW_ITEMS];
            if (rest && n[rest].kind == MLLM_JSON_ARRAY) prefix = rest, rest = k.at[KW_ADDITIONAL_ITEMS];
            if (prefix && at < n[prefix].count) {
                uint32_t c = prefix + 1;
                for (uint32_t j = 0; j < at; j++) c = n[c].next;
                list[count++] = ITEM(ITEM_HOLDS, c);
            } else if (rest)
                list[count++] = ITEM(ITEM_HOLDS, rest);
            else if (at == a.prefix && src->simple && !closed && k.at[KW_UNEVALUATED_ITEMS])
                list[count++] = ITEM(ITEM_HOLDS, k.at[KW_UNEVALUATED_ITEMS]);
        }
        uint32_t shape = mllm_build_shape(b, list, count);
        if (at < a.prefix) {
            uint32_t index = mllm_build_index(b, shape);
            if (at == 0) a.first_prefix = index;
        } else
            a.rest = shape;
    }
    mllm_free(list);
    if (a.min > a.max) {
        t->flats[flat].types &= (uint8_t)~TYPE_ARRAY;
        return;
    }
    if (b->failed || !mllm_build_reserve(b, &t->arrays, t->array_count + 1, &t->array_capacity, sizeof *t->arrays))
        return;
    t->arrays[t->array_count] = a;
    t->flats[flat].array = t->array_count++;
}

/* -------------------------------------------------------------------- objects */

typedef struct {
    uint32_t key; /* its node */
    uint32_t next_hash;
    bool required, forbidden;
} name;

typedef struct {
    name *list;
    uint32_t count, capacity;
    uint32_t *buckets, bucket_count;
} names;

static uint32_t hash_name(const mllm_json_node *n) {
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < n->count; i++) h = (h ^ (unsigned char)n->as.string[i]) * 16777619u;
    return h ^ h >> 15;
}

/* The place of a name in the list; added at the end when it is new. */
static uint32_t put_name(mllm_build *b, names *l, uint32_t key) {
    const mllm_json_node *n = b->s->doc.nodes;
    if (l->count * 2 >= l->bucket_count) {
        uint32_t c = l->bucket_count ? l->bucket_count * 2 : 32;
        uint32_t *p = mllm_realloc_array(l->buckets, c, sizeof *p);
        if (!p) {
            b->failed = true;
            return 0;
        }
        l->buckets = p;
        l->bucket_count = c;
        memset(p, 0xFF, c * sizeof *p);
        for (uint32_t i = 0; i < l->count; i++) {
            uint32_t at = hash_name(&n[l->list[i].key]) & (c - 1);
            l->list[i].next_hash = p[at];
            p[at] = i;
        }
    }
    uint32_t *bucket = &l->buckets[hash_name(&n[key]) & (l->bucket_count - 1)];
    for (uint32_t i = *bucket; i != NONE; i = l->list[i].next_hash)
        if (n[l->list[i].key].count == n[key].count &&
            memcmp(n[l->list[i].key].as.string, n[key].as.string, n[key].count) == 0)
            return i;
    if (l->count >= 60000) b->too_large = true;
    if (b->too_large || !mllm_build_reserve(b, &l->list, l->count + 1, &l->capacity, sizeof *l->list)) return 0;
    l->list[l->count] = (name){.key = key, .next_hash = *bucket};
    *bucket = l->count;
    return l->count++;
}

static uint32_t find_key(const mllm_schema *s, uint32_t object, uint32_t key) {
    const mllm_json_node *n = s->doc.nodes;
    for (uint32_t c = object + 1, i = 0; object && i < n[object].count; i++, c = n[c + 1].next)
        if (n[c].count == n[key].count && memcmp(n[c].as.string, n[key].as.string, n[key].count) == 0) return c + 1;
    return 0;
}

typedef struct {
    uint32_t key; /* of patternProperties */
    uint32_t schema; /* index into src->items */
} pattern;

typedef struct {
    pattern list[MLLM_LEXER_PARTS];
    uint32_t count;
} patterns;

/* Items for the value of a key. `key` 0: a key that is not declared and matches the patterns in `bits`. */
static uint32_t value_items(const source *src, const patterns *p, uint32_t key, uint32_t bits, bool covered,
                            mllm_item *list) {
    const mllm_schema *s = src->b->s;
    const mllm_json_node *n = s->doc.nodes;
    uint32_t count = 0, matched = bits;
    mllm_keywords k;
    if (key) {
        matched = 0;
        for (uint32_t j = 0; j < p->count; j++) {
            int m = mllm_nfa_match(&s->nfas[s->link[p->list[j].key]], n[key].as.string, n[key].count);
            if (m < 0) src->b->failed = true;
            if (m == 1) matched |= 1u << j;
        }
    }
    bool any = matched != 0;
    SCHEMAS(src, i, k) {
        bool here = false;
        uint32_t v;
        if (key && (v = find_key(s, k.at[KW_PROPERTIES], key))) {
            list[count++] = ITEM(ITEM_HOLDS, v);
            here = any = true;
        }
        for (uint32_t j = 0; j < p->count; j++)
            if (p->list[j].schema == i && (matched >> j & 1)) {
                list[count++] = ITEM(ITEM_HOLDS, p->list[j].key + 1);
                here = true;
            }
        if (!here && (v = k.at[KW_ADDITIONAL_PROPERTIES])) list[count++] = ITEM(ITEM_HOLDS, v);
    }
    for (uint32_t i = 0; i < src->count && key; i++) {
        uint32_t other = ITEM_NODE(src->items[i]);
        if (ITEM_KIND(src->items[i]) == ITEM_MEMBER_FAILS && n[other].count == n[key].count &&
            memcmp(n[other].as.string, n[key].as.string, n[key].count) == 0)
            list[count++] = ITEM(ITEM_FAILS, other + 1);
    }
    if (src->simple && !covered && !any) SCHEMAS(src, i, k)
    if (k.at[KW_UNEVALUATED_PROPERTIES]) list[count++] = ITEM(ITEM_HOLDS, k.at[KW_UNEVALUATED_PROPERTIES]);
    return count;
}

/* A list of strings that propertyNames limits names to; 0: none. */
static uint32_t enum_of(const mllm_schema *s, uint32_t node) {
    mllm_keywords k;
    for (int i = 0; i < 8 && s->doc.nodes[node].kind == MLLM_JSON_OBJECT; i++) {
        mllm_schema_keywords(s, node, &k);
        if (k.at[KW_ENUM]) return k.at[KW_ENUM];
        if (!k.at[KW_REF] || s->link[k.at[KW_REF]] == NONE) break;
        node = s->link[k.at[KW_REF]];
    }
    return 0;
}

/* Gathers names in order: declared ones first, then those that are only asked for or forbidden. */
static void gather_names(const source *src, names *l, bool *listed) {
    mllm_build *b = src->b;
    const mllm_schema *s = b->s;
    const mllm_json_node *n = s->doc.nodes;
    mllm_keywords k;
    uint32_t v;
    SCHEMAS(src, i, k)
    if ((v = k.at[KW_PROPERTIES]))
        for (uint32_t c = v + 1, j = 0; j < n[v].count && !b->failed; j++, c = n[c + 1].next) put_name(b, l, c);
    SCHEMAS(src, i, k) {
        if ((v = k.at[KW_REQUIRED]))
            for (uint32_t c = v + 1, j = 0; j < n[v].count; j++, c = n[c].next) {
                uint32_t at = put_name(b, l, c);
                if (b->failed || b->too_large) return;
                l->list[at].required = true;
            }
        for (int w = 0; w < 2; w++)
            if ((v = k.at[w ? KW_DEPENDENCIES : KW_DEPENDENT_REQUIRED]))
                for (uint32_t c = v + 1, j = 0; j < n[v].count; j++, c = n[c + 1].next)
                    if (n[c + 1].kind == MLLM_JSON_ARRAY) {
                        put_name(b, l, c);
                        for (uint32_t d = c + 2, m = 0; m < n[c + 1].count && !b->failed; m++, d = n[d].next)
                            if (n[d].kind == MLLM_JSON_STRING) put_name(b, l, d);
                    }
        if ((v = k.at[KW_PROPERTY_NAMES]) && (v = enum_of(s, v))) {
            *listed = true;
            for (uint32_t c = v + 1, j = 0; j < n[v].count && !b->failed; j++, c = n[c].next)
                if (n[c].kind == MLLM_JSON_STRING) put_name(b, l, c);
        }
    }
    for (uint32_t i = 0; i < src->count; i++) {
        mllm_item_kind kind = ITEM_KIND(src->items[i]);
        if (kind != ITEM_REQUIRE && kind != ITEM_FORBID && kind != ITEM_MEMBER_FAILS) continue;
        uint32_t at = put_name(b, l, ITEM_NODE(src->items[i]));
        if (b->failed || b->too_large) return;
        if (kind == ITEM_FORBID)
            l->list[at].forbidden = true;
        else
            l->list[at].required = true;
    }
}

/* "If this key is there, so are those": for every key of the object, with what those need in turn. */
static void add_needs(const source *src, names *l, mllm_object_shape *o) {
    mllm_build *b = src->b;
    const mllm_json_node *n = b->s->doc.nodes;
    mllm_keywords k;
    uint32_t v, count = l->count, words = (count + 63) / 64;
    if (count > 4096) {
        b->too_large = true;
        return;
    }
    uint64_t *needs = mllm_calloc((size_t)count * words, sizeof *needs);
    if (!needs) {
        b->failed = true;
        return;
    }
    SCHEMAS(src, i, k)
    for (int w = 0; w < 2; w++) {
        if (!(v = k.at[w ? KW_DEPENDENCIES : KW_DEPENDENT_REQUIRED])) continue;
        for (uint32_t c = v + 1, j = 0; j < n[v].count; j++, c = n[c + 1].next) {
            if (n[c + 1].kind != MLLM_JSON_ARRAY) continue;
            uint32_t from = put_name(b, l, c);
            for (uint32_t d = c + 2, m = 0; m < n[c + 1].count; m++, d = n[d].next) {
                uint32_t to = n[d].kind == MLLM_JSON_STRING ? put_name(b, l, d) : from;
                if (from < count && to < count) needs[from * words + to / 64] |= (uint64_t)1 << (to % 64);
            }
        }
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t j = 0; j < count; j++)
                for (uint32_t w = 0; w < words && (needs[i * words + j / 64] >> (j % 64) & 1); w++) {
                    uint64_t more = needs[j * words + w] & ~needs[i * words + w];
                    needs[i * words + w] |= more;
                    changed = changed || more;
                }
    }
    for (uint32_t i = 0; i < count && !b->failed; i++) {
        mllm_key *key = &b->t->keys[o->first_key + i];
        key->first_need = b->t->index_count;
        for (uint32_t j = 0; j < count && !b->failed; j++)
            if (j != i && (needs[i * words + j / 64] >> (j % 64) & 1)) {
                mllm_build_index(b, j);
                key->needs++;
                if (key->required) b->t->keys[o->first_key + j].required = true;
            }
    }
    mllm_free(needs);
}

/* What a schema of propertyNames says of the length of names. */
static void limit_names(const mllm_schema *s, uint32_t node, bool keyed, mllm_object_shape *o) {
    mllm_keywords k;
    uint32_t v;
    if (s->doc.nodes[node].kind != MLLM_JSON_OBJECT) {
        o->names_exact = false;
        return;
    }
    mllm_schema_keywords(s, node, &k);
    if ((v = k.at[KW_MIN_LENGTH]) && count_value(s, v) > o->name_min) o->name_min = count_value(s, v);
    if ((v = k.at[KW_MAX_LENGTH]) && count_value(s, v) < o->name_max) o->name_max = count_value(s, v);
    if ((v = k.at[KW_PATTERN]) && s->link[v] != NONE) {
        const mllm_nfa *nfa = &s->nfas[s->link[v]];
        if (nfa->min_chars > o->name_min) o->name_min = nfa->min_chars;
        if (nfa->max_chars < o->name_max) o->name_max = nfa->max_chars;
    }
    for (int i = 0; i < KW_COUNT; i++)
        if (k.at[i] && i != KW_MIN_LENGTH && i != KW_MAX_LENGTH && !(i == KW_PATTERN && !keyed) &&
            !(i == KW_TYPE && s->doc.nodes[k.at[i]].kind == MLLM_JSON_STRING && s->doc.nodes[k.at[i]].count == 6 &&
              memcmp(s->doc.nodes[k.at[i]].as.string, "string", 6) == 0))
            o->names_exact = false;
}

static void object_flat(const source *src, uint32_t flat) {
    mllm_build *b = src->b;
    mllm_shapes *t = b->t;
    const mllm_schema *s = b->s;
    const mllm_json_node *n = s->doc.nodes;
    mllm_instance self = {&s->doc, s->text};
    names l = {0};
    patterns p = {.count = 0};
    mllm_keywords k;
    uint32_t v, at = t->object_count, room = 0;
    bool listed = false, covered = false, needs = false;
    const mllm_nfa *name_patterns[MLLM_LEXER_PARTS];
    uint32_t name_pattern_count = 0;
    if (!new_object(b)) return;
    mllm_object_shape o = t->objects[at];
    gather_names(src, &l, &listed);
    o.first_name = t->index_count;
    SCHEMAS(src, i, k) {
        if ((v = k.at[KW_MIN_PROPERTIES]) && count_value(s, v) > o.min) o.min = count_value(s, v);
        if ((v = k.at[KW_MAX_PROPERTIES]) && count_value(s, v) < o.max) o.max = count_value(s, v);
        if ((v = k.at[KW_PATTERN_PROPERTIES]))
            for (uint32_t c = v + 1, j = 0; j < n[v].count; j++, c = n[c + 1].next) {
                if (s->link[c] == NONE) continue;
                if (p.count == MLLM_LEXER_PARTS) {
                    b->too_large = true;
                    break;
                }
                p.list[p.count++] = (pattern){c, i};
            }
        if ((v = k.at[KW_PROPERTY_NAMES]) && !mllm_schema_is_true(s, v)) {
            mllm_build_index(b, v);
            o.names++;
        }
        covered = covered || k.at[KW_ADDITIONAL_PROPERTIES];
        needs = needs || k.at[KW_DEPENDENCIES] || k.at[KW_DEPENDENT_REQUIRED];
    }
    room = src->count * 3 + p.count + 4;
    mllm_item *list = mllm_alloc_array(room, sizeof *list);
    if (!list) b->failed = true;
    for (uint32_t i = 0; i < l.count && !b->failed && !b->too_large; i++) {
        mllm_key key = {.name = l.list[i].key, .required = l.list[i].required, .forbidden = l.list[i].forbidden};
        for (uint32_t j = 0; j < o.names && !key.forbidden; j++)
            key.forbidden = !mllm_schema_check(s, t->indices[o.first_name + j], &self, key.name, NULL);
        key.shape = mllm_build_shape(b, list, value_items(src, &p, key.name, 0, covered, list));
        add_key(b, key);
    }
    if (!b->failed && !b->too_large && needs) add_needs(src, &l, &o);
    /* Keys that are not declared. */
    o.patterns = p.count;
    o.extra_table = p.count <= 6;
    o.extra_anywhere = o.extra_some = !listed;
    uint32_t combinations = o.extra_table ? 1u << p.count : p.count + 1, first = 0;
    for (uint32_t i = 0; i < combinations && !b->failed && !b->too_large; i++) {
        uint32_t bits = o.extra_table || i == 0 ? i : 1u << (i - 1);
        uint32_t shape = mllm_build_shape(b, list, value_items(src, &p, 0, bits, covered, list));
        uint32_t index = mllm_build_index(b, shape);
        if (i == 0) first = index;
    }
    o.first_extra = first;
    o.first_extra_bytes = t->index_count; /* mllm_build_lengths says */
    for (uint32_t i = 0; i < combinations && !b->failed; i++) mllm_build_index(b, 2);
    mllm_free(list);
    mllm_free(l.list);
    mllm_free(l.buckets);
    for (uint32_t j = 0; j < o.names && !b->failed; j++) limit_names(s, t->indices[o.first_name + j], p.count > 0, &o);
    if (o.name_min > o.name_max) o.extra_some = o.extra_anywhere = false;
    if (!o.extra_some) o.names_exact = true;
    if (!p.count)
        for (uint32_t j = 0; j < o.names && name_pattern_count < MLLM_LEXER_PARTS && !b->failed; j++) {
            uint32_t node = t->indices[o.first_name + j];
            if (n[node].kind != MLLM_JSON_OBJECT) continue;
            mllm_schema_keywords(s, node, &k);
            if ((v = k.at[KW_PATTERN]) && s->link[v] != NONE)
                name_patterns[name_pattern_count++] = &s->nfas[s->link[v]];
        }
    if ((p.count || name_pattern_count) && !b->failed &&
        mllm_build_reserve(b, &t->lexers, t->lexer_count + 1, &t->lexer_capacity, sizeof *t->lexers)) {
        const mllm_nfa *parts[MLLM_LEXER_PARTS];
        for (uint32_t i = 0; i < p.count; i++) parts[i] = &s->nfas[s->link[p.list[i].key]];
        o.all_names = p.count == 0;
        mllm_lexer_init(&t->lexers[t->lexer_count], p.count ? parts : name_patterns,
                        p.count ? p.count : name_pattern_count, p.count > 0);
        o.lexer = t->lexer_count++;
    }
    if (o.min > o.max) t->flats[flat].types &= (uint8_t)~TYPE_OBJECT;
    if (b->failed || b->too_large) return;
    finish_keys(b, &o);
    t->objects[at] = o;
    t->flats[flat].object = at;
}

/* ------------------------------------------------------------------------ all */

void mllm_build_flats(mllm_build *b, const mllm_item *items, uint32_t count, unsigned types, const mllm_item *checks,
                      uint32_t check_count, bool simple) {
    source src = {b, items, count, simple && !b->s->dynamic};
    mllm_shapes *t = b->t;
    const mllm_json_node *n = b->s->doc.nodes;
    mllm_keywords k;
    uint32_t asking = 0;
    SCHEMAS(&src, i, k) {
        asking += (k.at[KW_UNEVALUATED_PROPERTIES] || k.at[KW_UNEVALUATED_ITEMS]);
        if (k.at[KW_IF]) src.simple = false; /* its annotations count even alone */
    }
    if (asking > 1) src.simple = false;
    for (uint32_t i = 0; i < count; i++)
        if (ITEM_KIND(items[i]) == ITEM_CONST) {
            literal_flats(&src, ITEM_NODE(items[i]), 1, checks, check_count);
            return;
        }
    SCHEMAS(&src, i, k) {
        if (k.at[KW_CONST]) {
            literal_flats(&src, k.at[KW_CONST], 1, checks, check_count);
            return;
        }
        if (k.at[KW_ENUM]) {
            literal_flats(&src, k.at[KW_ENUM] + 1, n[k.at[KW_ENUM]].count, checks, check_count);
            return;
        }
    }
    uint32_t flat = t->flat_count;
    if (!new_flat(b, checks, check_count)) return;
    t->flats[flat].types = (uint8_t)(types & ~(unsigned)(TYPE_NULL | TYPE_BOOLEAN));
    if (types & TYPE_NULL) add_word(b, "null", 4, 0);
    if (types & TYPE_BOOLEAN) {
        add_word(b, "false", 5, 0);
        add_word(b, "true", 4, 0);
    }
    if (b->failed) return;
    sort_words(b, t->flats[flat].first_word, true);
    t->flats[flat].words = t->word_count - t->flats[flat].first_word;
    if (types & TYPE_STRING) string_flat(&src, flat);
    if (types & (TYPE_INTEGER | TYPE_FRACTION)) number_flat(&src, flat);
    if ((types & TYPE_ARRAY) && !b->failed) array_flat(&src, flat);
    if ((types & TYPE_OBJECT) && !b->failed) object_flat(&src, flat);
}
