/* shape_flat.c - what one decided way says about each type of value: strings, numbers and arrays here. */
#include <stdlib.h>
#include <string.h>

#include "../base/alloc.h"
#include "shape_flat.h"

uint32_t mllm_build_count(const mllm_schema *s, uint32_t node) {
    const mllm_json_node *n = &s->doc.nodes[node];
    mllm_decimal d;
    int64_t v;
    if (!mllm_decimal_read(&d, s->text + n->start, n->end - n->start) || !mllm_decimal_scaled(&d, 0, &v) || v >= NONE)
        return NONE;
    return (uint32_t)v;
}

mllm_flat *mllm_build_new_flat(mllm_build *b, const mllm_item *checks, uint32_t count) {
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

/* -------------------------------------------------------------------- strings */

static void string_flat(const mllm_source *src, uint32_t flat) {
    mllm_build *b = src->b;
    mllm_shapes *t = b->t;
    const mllm_schema *s = b->s;
    const mllm_nfa *parts[MLLM_LEXER_PARTS];
    uint32_t count = 0, low = 0, high = NONE;
    mllm_keywords k;
    SCHEMAS(src, i, k) {
        uint32_t v;
        if ((v = k.at[KW_MIN_LENGTH]) && mllm_build_count(s, v) > low) low = mllm_build_count(s, v);
        if ((v = k.at[KW_MAX_LENGTH]) && mllm_build_count(s, v) < high) high = mllm_build_count(s, v);
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
    mllm_build_name_bytes(b);
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

static void number_flat(const mllm_source *src, uint32_t flat) {
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

static void array_flat(const mllm_source *src, uint32_t flat) {
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
        if ((v = k.at[KW_MIN_ITEMS]) && mllm_build_count(s, v) > a.min) a.min = mllm_build_count(s, v);
        if ((v = k.at[KW_MAX_ITEMS]) && mllm_build_count(s, v) < a.max) a.max = mllm_build_count(s, v);
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

/* ------------------------------------------------------------------------ all */

void mllm_build_flats(mllm_build *b, const mllm_item *items, uint32_t count, unsigned types, const mllm_item *checks,
                      uint32_t check_count, bool simple) {
    mllm_source src = {b, items, count, simple && !b->s->dynamic};
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
            mllm_build_literals(&src, ITEM_NODE(items[i]), 1, checks, check_count);
            return;
        }
    SCHEMAS(&src, i, k) {
        if (k.at[KW_CONST]) {
            mllm_build_literals(&src, k.at[KW_CONST], 1, checks, check_count);
            return;
        }
        if (k.at[KW_ENUM]) {
            mllm_build_literals(&src, k.at[KW_ENUM] + 1, n[k.at[KW_ENUM]].count, checks, check_count);
            return;
        }
    }
    uint32_t flat = t->flat_count;
    if (!mllm_build_new_flat(b, checks, check_count)) return;
    t->flats[flat].types = (uint8_t)(types & ~(unsigned)(TYPE_NULL | TYPE_BOOLEAN));
    if (types & TYPE_NULL) mllm_build_word(b, "null", 4, 0);
    if (types & TYPE_BOOLEAN) {
        mllm_build_word(b, "false", 5, 0);
        mllm_build_word(b, "true", 4, 0);
    }
    if (b->failed) return;
    mllm_build_sort_words(b, t->flats[flat].first_word, true);
    t->flats[flat].words = t->word_count - t->flats[flat].first_word;
    if (types & TYPE_STRING) string_flat(&src, flat);
    if (types & (TYPE_INTEGER | TYPE_FRACTION)) number_flat(&src, flat);
    if ((types & TYPE_ARRAY) && !b->failed) array_flat(&src, flat);
    if ((types & TYPE_OBJECT) && !b->failed) mllm_build_object(&src, flat);
}
