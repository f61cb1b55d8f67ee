/* shape_object.c - objects: their declared keys, what is said of other keys and of their names. */
#include <string.h>

#include "../base/alloc.h"
#include "shape_flat.h"

/* ----------------------------------------------------------------------- keys */

static mllm_object_shape *new_object(mllm_build *b) {
    mllm_shapes *t = b->t;
    if (!mllm_build_reserve(b, &t->objects, t->object_count + 1, &t->object_capacity, sizeof *t->objects)) return NULL;
    mllm_object_shape *o = &t->objects[t->object_count++];
    *o = (mllm_object_shape){
        .first_key = t->key_count, .lexer = NONE, .max = NONE, .name_max = NONE, .names_exact = true};
    return o;
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
        mllm_build_word(b, n[k->name].as.string, n[k->name].count, i);
        o->required += k->required;
    }
    mllm_build_sort_words(b, o->first_word, false);
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

void mllm_build_const_object(mllm_build *b, uint32_t flat, uint32_t node) {
    const mllm_json_node *n = b->s->doc.nodes;
    mllm_shapes *t = b->t;
    uint32_t at = t->object_count;
    if (!new_object(b)) return;
    for (uint32_t c = node + 1, i = 0; i < n[node].count && !b->failed; i++, c = n[c + 1].next) {
        bool again = false; /* of repeated keys the last one counts */
        for (uint32_t d = n[c + 1].next, j = i + 1; j < n[node].count; j++, d = n[d + 1].next)
            again = again || mllm_json_same_string(&n[d], &n[c]);
        if (!again) add_key(b, (mllm_key){.name = c, .shape = mllm_build_const(b, c + 1), .required = true});
    }
    if (b->failed) return;
    t->objects[at].first_extra = t->objects[at].first_extra_bytes = mllm_build_index(b, 0);
    t->flats[flat].types = TYPE_OBJECT;
    t->flats[flat].object = at;
    finish_keys(b, &t->objects[at]);
}

/* ---------------------------------------------------------------------- names */

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
        if (mllm_json_same_string(&n[l->list[i].key], &n[key])) return i;
    if (l->count >= 60000) b->too_large = true;
    if (b->too_large || !mllm_build_reserve(b, &l->list, l->count + 1, &l->capacity, sizeof *l->list)) return 0;
    l->list[l->count] = (name){.key = key, .next_hash = *bucket};
    *bucket = l->count;
    return l->count++;
}

/* ------------------------------------------------------------- values of keys */

typedef struct {
    uint32_t key; /* of patternProperties */
    uint32_t schema; /* index into src->items */
} pattern;

typedef struct {
    pattern list[MLLM_LEXER_PARTS];
    uint32_t count;
    bool covered; /* additionalProperties: no key is left to unevaluatedProperties */
} patterns;

/* Items for the value of a key. `key` 0: a key that is not declared and matches the patterns in `bits`. */
static uint32_t value_items(const mllm_source *src, const patterns *p, uint32_t key, uint32_t bits, mllm_item *list) {
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
        uint32_t v = k.at[KW_PROPERTIES];
        if (key && v && (v = mllm_json_member(&s->doc, v, &n[key]))) {
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
        if (ITEM_KIND(src->items[i]) == ITEM_MEMBER_FAILS && mllm_json_same_string(&n[other], &n[key]))
            list[count++] = ITEM(ITEM_FAILS, other + 1);
    }
    if (src->simple && !p->covered && !any) SCHEMAS(src, i, k)
    if (k.at[KW_UNEVALUATED_PROPERTIES]) list[count++] = ITEM(ITEM_HOLDS, k.at[KW_UNEVALUATED_PROPERTIES]);
    return count;
}

/* ------------------------------------------------------- which keys there are */

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
static void gather_names(const mllm_source *src, names *l, bool *listed) {
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
static void add_needs(const mllm_source *src, names *l, mllm_object_shape *o) {
    mllm_build *b = src->b;
    const mllm_json_node *n = b->s->doc.nodes;
    mllm_keywords k;
    uint32_t v, count = l->count, words = (count + 63) / 64;
    bool any = false;
    SCHEMAS(src, i, k) any = any || k.at[KW_DEPENDENCIES] || k.at[KW_DEPENDENT_REQUIRED];
    if (!any) return;
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

/* ----------------------------------------------------------------- other keys */

/* What a schema of propertyNames says of the length of names. */
static void limit_names(const mllm_schema *s, uint32_t node, bool keyed, mllm_object_shape *o) {
    mllm_keywords k;
    uint32_t v;
    if (s->doc.nodes[node].kind != MLLM_JSON_OBJECT) {
        o->names_exact = false;
        return;
    }
    mllm_schema_keywords(s, node, &k);
    if ((v = k.at[KW_MIN_LENGTH]) && mllm_build_count(s, v) > o->name_min) o->name_min = mllm_build_count(s, v);
    if ((v = k.at[KW_MAX_LENGTH]) && mllm_build_count(s, v) < o->name_max) o->name_max = mllm_build_count(s, v);
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

/* What is said of all keys: how many there are, patterns they match, schemas of their names. */
static void gather_limits(const mllm_source *src, patterns *p, mllm_object_shape *o) {
    mllm_build *b = src->b;
    const mllm_schema *s = b->s;
    const mllm_json_node *n = s->doc.nodes;
    mllm_keywords k;
    uint32_t v;
    o->first_name = b->t->index_count;
    SCHEMAS(src, i, k) {
        if ((v = k.at[KW_MIN_PROPERTIES]) && mllm_build_count(s, v) > o->min) o->min = mllm_build_count(s, v);
        if ((v = k.at[KW_MAX_PROPERTIES]) && mllm_build_count(s, v) < o->max) o->max = mllm_build_count(s, v);
        if ((v = k.at[KW_PATTERN_PROPERTIES]))
            for (uint32_t c = v + 1, j = 0; j < n[v].count; j++, c = n[c + 1].next) {
                if (s->link[c] == NONE) continue;
                if (p->count == MLLM_LEXER_PARTS) {
                    b->too_large = true;
                    break;
                }
                p->list[p->count++] = (pattern){c, i};
            }
        if ((v = k.at[KW_PROPERTY_NAMES]) && !mllm_schema_is_true(s, v)) {
            mllm_build_index(b, v);
            o->names++;
        }
        p->covered = p->covered || k.at[KW_ADDITIONAL_PROPERTIES];
    }
}

/* The shapes of keys that are not declared, by the patterns they match. `list` has room for the items of one. */
static void add_extra_shapes(const mllm_source *src, const patterns *p, mllm_item *list, mllm_object_shape *o) {
    mllm_build *b = src->b;
    o->patterns = p->count;
    o->extra_table = p->count <= 6;
    uint32_t combinations = o->extra_table ? 1u << p->count : p->count + 1, first = 0;
    for (uint32_t i = 0; i < combinations && !b->failed && !b->too_large; i++) {
        uint32_t bits = o->extra_table || i == 0 ? i : 1u << (i - 1);
        uint32_t shape = mllm_build_shape(b, list, value_items(src, p, 0, bits, list));
        uint32_t index = mllm_build_index(b, shape);
        if (i == 0) first = index;
    }
    o->first_extra = first;
    o->first_extra_bytes = b->t->index_count; /* mllm_build_name_bytes says */
    for (uint32_t i = 0; i < combinations && !b->failed; i++) mllm_build_index(b, 2);
}

/* The lexer of keys that are not declared: the patterns that lead to their shapes, or without any those that every name must match. */
static void add_name_lexer(const mllm_source *src, const patterns *p, mllm_object_shape *o) {
    mllm_build *b = src->b;
    mllm_shapes *t = b->t;
    const mllm_schema *s = b->s;
    const mllm_nfa *parts[MLLM_LEXER_PARTS];
    uint32_t v, count = 0;
    mllm_keywords k;
    for (uint32_t i = 0; i < p->count; i++) parts[count++] = &s->nfas[s->link[p->list[i].key]];
    for (uint32_t j = 0; j < o->names && !p->count && count < MLLM_LEXER_PARTS; j++) {
        uint32_t node = t->indices[o->first_name + j];
        if (s->doc.nodes[node].kind != MLLM_JSON_OBJECT) continue;
        mllm_schema_keywords(s, node, &k);
        if ((v = k.at[KW_PATTERN]) && s->link[v] != NONE) parts[count++] = &s->nfas[s->link[v]];
    }
    if (!count || !mllm_build_reserve(b, &t->lexers, t->lexer_count + 1, &t->lexer_capacity, sizeof *t->lexers)) return;
    o->all_names = p->count == 0;
    mllm_lexer_init(&t->lexers[t->lexer_count], parts, count, p->count > 0);
    o->lexer = t->lexer_count++;
}

/* ------------------------------------------------------------------------ all */

void mllm_build_object(const mllm_source *src, uint32_t flat) {
    mllm_build *b = src->b;
    mllm_shapes *t = b->t;
    const mllm_schema *s = b->s;
    mllm_instance self = {&s->doc, s->text};
    names l = {0};
    patterns p = {.count = 0};
    uint32_t at = t->object_count;
    bool listed = false;
    if (!new_object(b)) return;
    mllm_object_shape o = t->objects[at];
    gather_names(src, &l, &listed);
    gather_limits(src, &p, &o);
    mllm_item *list = mllm_alloc_array(src->count * 3 + p.count + 4, sizeof *list);
    if (!list) b->failed = true;
    for (uint32_t i = 0; i < l.count && !b->failed && !b->too_large; i++) {
        mllm_key key = {.name = l.list[i].key, .required = l.list[i].required, .forbidden = l.list[i].forbidden};
        for (uint32_t j = 0; j < o.names && !key.forbidden; j++)
            key.forbidden = !mllm_schema_check(s, t->indices[o.first_name + j], &self, key.name, NULL);
        key.shape = mllm_build_shape(b, list, value_items(src, &p, key.name, 0, list));
        add_key(b, key);
    }
    if (!b->failed && !b->too_large) add_needs(src, &l, &o);
    o.extra_anywhere = o.extra_some = !listed;
    add_extra_shapes(src, &p, list, &o);
    mllm_free(list);
    mllm_free(l.list);
    mllm_free(l.buckets);
    for (uint32_t j = 0; j < o.names && !b->failed; j++) limit_names(s, t->indices[o.first_name + j], p.count > 0, &o);
    if (o.name_min > o.name_max) o.extra_some = o.extra_anywhere = false;
    if (!o.extra_some) o.names_exact = true;
    if (!b->failed) add_name_lexer(src, &p, &o);
    if (o.min > o.max) t->flats[flat].types &= (uint8_t)~TYPE_OBJECT;
    if (b->failed || b->too_large) return;
    finish_keys(b, &o);
    t->objects[at] = o;
    t->flats[flat].object = at;
}

void mllm_build_name_bytes(mllm_build *b) {
    mllm_shapes *t = b->t;
    mllm_lexers table = {0};
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
}
