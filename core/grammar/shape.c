/* shape.c - from sets of schemas to shapes: in-place applicators are decided here, one flat per way. */
#include "shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "shape_flat.h"

void mllm_shapes_free(mllm_shapes *t) {
    for (uint32_t i = 0; i < t->text_count; i++) mllm_free(t->texts[i]);
    mllm_free(t->texts);
    mllm_free(t->shapes);
    mllm_free(t->flats);
    mllm_free(t->items);
    mllm_free(t->words);
    mllm_free(t->keys);
    mllm_free(t->objects);
    mllm_free(t->arrays);
    mllm_free(t->numbers);
    mllm_free(t->lexers);
    mllm_free(t->indices);
    mllm_free(t->bits);
    memset(t, 0, sizeof *t);
}

size_t mllm_shapes_bytes(const mllm_shapes *t) {
    return t->shape_capacity * sizeof *t->shapes + t->flat_capacity * sizeof *t->flats +
           t->item_capacity * sizeof *t->items + t->word_capacity * sizeof *t->words +
           t->key_capacity * sizeof *t->keys + t->object_capacity * sizeof *t->objects +
           t->array_capacity * sizeof *t->arrays + t->number_capacity * sizeof *t->numbers +
           t->lexer_capacity * sizeof *t->lexers + t->index_capacity * sizeof *t->indices +
           t->text_capacity * sizeof *t->texts + t->bit_capacity * sizeof *t->bits;
}

bool mllm_words_step(const mllm_word *words, uint32_t *lo, uint32_t *hi, uint32_t depth, uint8_t byte) {
    uint32_t a = *lo, z = *hi;
    /* Words that end at `depth` come first. */
    if (z - a > 8) {
        uint32_t x = a, y = z;
        while (x < y) {
            uint32_t m = x + (y - x) / 2;
            if (words[m].length > depth && (uint8_t)words[m].text[depth] >= byte)
                y = m;
            else
                x = m + 1;
        }
        a = x;
        y = z;
        while (x < y) {
            uint32_t m = x + (y - x) / 2;
            if ((uint8_t)words[m].text[depth] > byte)
                y = m;
            else
                x = m + 1;
        }
        z = x;
    } else {
        while (a < z && (words[a].length <= depth || (uint8_t)words[a].text[depth] < byte)) a++;
        uint32_t x = a;
        while (x < z && (uint8_t)words[x].text[depth] == byte) x++;
        z = x;
    }
    *lo = a;
    *hi = z;
    return a < z;
}

/* ------------------------------------------------------------------ building */

bool mllm_build_reserve(mllm_build *b, void *array, uint32_t need, uint32_t *capacity, size_t size) {
    if (need <= *capacity) return true;
    uint32_t c = *capacity ? *capacity : 16;
    while (c < need) c = c < UINT32_MAX / 2 ? c * 2 : UINT32_MAX;
    void **place = array, *p = mllm_realloc_array(*place, c, size);
    if (!p) {
        b->failed = true;
        return false;
    }
    *place = p;
    *capacity = c;
    return true;
}

static int compare_items(const void *a, const void *b) {
    mllm_item x = *(const mllm_item *)a, y = *(const mllm_item *)b;
    return x < y ? -1 : x > y;
}

uint32_t mllm_build_shape(mllm_build *b, mllm_item *items, uint32_t count) {
    mllm_shapes *t = b->t;
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) /* what is always true adds nothing */
        if (ITEM_KIND(items[i]) != ITEM_HOLDS || !mllm_schema_is_true(b->s, ITEM_NODE(items[i]))) items[n++] = items[i];
    if (n > 1) qsort(items, n, sizeof *items, compare_items);
    count = n;
    n = 0;
    for (uint32_t i = 0; i < count; i++)
        if (n == 0 || items[n - 1] != items[i]) items[n++] = items[i];
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++) h = (h ^ items[i]) * 0x9E3779B97F4A7C15u, h ^= h >> 29;
    if (t->shape_count * 2 >= b->bucket_count) {
        uint32_t c = b->bucket_count ? b->bucket_count * 2 : 64;
        uint32_t *buckets = mllm_realloc_array(b->buckets, c, sizeof *buckets);
        if (!buckets) {
            b->failed = true;
            return 0;
        }
        b->buckets = buckets;
        b->bucket_count = c;
        memset(buckets, 0xFF, c * sizeof *buckets);
        for (uint32_t i = 0; i < t->shape_count; i++) {
            const mllm_shape *s = &t->shapes[i];
            uint64_t g = s->items;
            for (uint32_t k = 0; k < s->items; k++)
                g = (g ^ t->items[s->first_item + k]) * 0x9E3779B97F4A7C15u, g ^= g >> 29;
            t->shapes[i].next_hash = buckets[g & (c - 1)];
            buckets[g & (c - 1)] = i;
        }
    }
    uint32_t *bucket = &b->buckets[h & (b->bucket_count - 1)];
    for (uint32_t i = *bucket; i != NONE; i = t->shapes[i].next_hash)
        if (t->shapes[i].items == n &&
            (n == 0 || memcmp(t->items + t->shapes[i].first_item, items, n * sizeof *items) == 0))
            return i;
    if (t->shape_count >= MLLM_MAX_SHAPES) {
        b->too_large = true;
        return 0;
    }
    if (!mllm_build_reserve(b, &t->shapes, t->shape_count + 1, &t->shape_capacity, sizeof *t->shapes) ||
        !mllm_build_reserve(b, &t->items, t->item_count + n, &t->item_capacity, sizeof *t->items))
        return 0;
    t->shapes[t->shape_count] =
        (mllm_shape){.first_item = t->item_count, .items = n, .min_bytes = NONE, .next_hash = *bucket};
    if (n) memcpy(t->items + t->item_count, items, n * sizeof *items);
    t->item_count += n;
    *bucket = t->shape_count;
    return t->shape_count++;
}

uint32_t mllm_build_index(mllm_build *b, uint32_t value) {
    mllm_shapes *t = b->t;
    if (!mllm_build_reserve(b, &t->indices, t->index_count + 1, &t->index_capacity, sizeof *t->indices)) return 0;
    t->indices[t->index_count] = value;
    return t->index_count++;
}

/* --------------------------------------------------------------------- ways */

enum { MAX_ITEMS = 4000, MAX_CHOICES = 64, MAX_WAYS = 2000 };

typedef enum { CHOOSE_ANY_OF, CHOOSE_ONE_OF, CHOOSE_IF, CHOOSE_DEPENDENT, CHOOSE_FAIL } choice_kind;

typedef struct {
    uint8_t kind;
    uint32_t node; /* the schema that has the keyword; for DEPENDENT: the key */
} choice;

/* One way that is still being decided. */
typedef struct {
    mllm_item *items;
    uint32_t count, capacity, next;
    choice choices[MAX_CHOICES];
    uint32_t choice_count, choice_next;
    uint32_t ways; /* how many flats the choices so far may make */
    unsigned types;
    bool dead;
    mllm_item checks[32];
    uint32_t check_count;
} way;

static void add_item(mllm_build *b, way *w, mllm_item item) {
    for (uint32_t i = 0; i < w->count; i++)
        if (w->items[i] == item) return;
    if (w->count >= MAX_ITEMS) {
        b->too_large = true;
        return;
    }
    if (mllm_build_reserve(b, &w->items, w->count + 1, &w->capacity, sizeof *w->items)) w->items[w->count++] = item;
}

static void add_check(mllm_build *b, way *w, mllm_item item, uint32_t node, const char *keyword) {
    for (uint32_t i = 0; i < w->check_count; i++)
        if (w->checks[i] == item) return;
    if (w->check_count == sizeof w->checks / sizeof *w->checks) {
        b->too_large = true;
        return;
    }
    w->checks[w->check_count++] = item;
    if (!b->noted[node]) {
        b->noted[node] = true;
        mllm_schema_note(b->s, node, keyword, "closing");
    }
}

static void add_choice(mllm_build *b, way *w, choice_kind kind, uint32_t node, mllm_item fallback, uint32_t noted,
                       const char *keyword) {
    if (w->choice_count == MAX_CHOICES)
        add_check(b, w, fallback, noted, keyword);
    else
        w->choices[w->choice_count++] = (choice){(uint8_t)kind, node};
}

/* Keywords that say something about values (and not only where other schemas are). */
static bool asserts(int k) {
    return k != KW_ID && k != KW_OLD_ID && k != KW_ANCHOR && k != KW_DYNAMIC_ANCHOR && k != KW_DEFS &&
           k != KW_DEFINITIONS;
}

/* How a schema can fail, as alternatives of items; -1: not said in items. Appends the alternatives, each ended by 0. */
static int fail_options(mllm_build *b, uint32_t node, mllm_item *out, uint32_t room, uint32_t *used) {
    const mllm_json_node *sn = b->s->doc.nodes;
    int options = 0;
    mllm_keywords k;
    *used = 0;
    if (sn[node].kind == MLLM_JSON_FALSE) { /* fails always: no condition */
        out[(*used)++] = 0;
        return 1;
    }
    if (mllm_schema_is_true(b->s, node)) return 0;
    mllm_schema_keywords(b->s, node, &k);
    for (int i = 0; i < KW_COUNT; i++) {
        uint32_t v = k.at[i];
        if (!v || !asserts(i)) continue;
        switch (i) {
        case KW_TYPE:
            if (b->s->draft <= 4) return -1;
            if (*used + 2 > room) return -1;
            out[(*used)++] = ITEM(ITEM_TYPES, TYPE_ANY & ~mllm_schema_types(b->s, v));
            out[(*used)++] = 0;
            options++;
            break;
        case KW_REQUIRED:
            for (uint32_t x = v + 1, j = 0; j < sn[v].count; j++, x = sn[x].next) {
                if (*used + 3 > room) return -1;
                out[(*used)++] = ITEM(ITEM_TYPES, TYPE_OBJECT);
                out[(*used)++] = ITEM(ITEM_FORBID, x);
                out[(*used)++] = 0;
                options++;
            }
            break;
        case KW_PROPERTIES:
            for (uint32_t x = v + 1, j = 0; j < sn[v].count; j++, x = sn[x + 1].next) {
                if (mllm_schema_is_true(b->s, x + 1)) continue;
                if (*used + 2 > room) return -1;
                out[(*used)++] = ITEM(ITEM_MEMBER_FAILS, x);
                out[(*used)++] = 0;
                options++;
            }
            break;
        case KW_ALL_OF:
            for (uint32_t x = v + 1, j = 0; j < sn[v].count; j++, x = sn[x].next) {
                if (*used + 2 > room) return -1;
                out[(*used)++] = ITEM(ITEM_FAILS, x);
                out[(*used)++] = 0;
                options++;
            }
            break;
        case KW_ANY_OF:
            if (*used + sn[v].count + 1 > room) return -1;
            for (uint32_t x = v + 1, j = 0; j < sn[v].count; j++, x = sn[x].next) out[(*used)++] = ITEM(ITEM_FAILS, x);
            out[(*used)++] = 0;
            options++;
            break;
        case KW_NOT:
        case KW_REF:
            if (*used + 2 > room || (i == KW_REF && b->s->link[v] == NONE)) return -1;
            out[(*used)++] = i == KW_NOT ? ITEM(ITEM_HOLDS, v) : ITEM(ITEM_FAILS, b->s->link[v]);
            out[(*used)++] = 0;
            options++;
            break;
        default: return -1;
        }
    }
    return options;
}

/* Takes one item apart: what it implies becomes items, choices and checks of the way. */
static void expand(mllm_build *b, way *w, mllm_item item) {
    const mllm_schema *s = b->s;
    const mllm_json_node *sn = s->doc.nodes;
    uint32_t node = ITEM_NODE(item), v;
    mllm_keywords k;
    switch (ITEM_KIND(item)) {
    case ITEM_TYPES: w->types &= node; return;
    case ITEM_REQUIRE:
    case ITEM_MEMBER_FAILS: w->types &= TYPE_OBJECT; return;
    case ITEM_CONST:
    case ITEM_FORBID: return;
    case ITEM_FAILS: {
        mllm_item out[64];
        uint32_t used;
        int options = fail_options(b, node, out, 64, &used);
        if (options == 0)
            w->dead = true;
        else if (options == 1)
            for (uint32_t i = 0; out[i]; i++) add_item(b, w, out[i]);
        else if (options < 0 || options > 6)
            add_check(b, w, item, node, "not");
        else
            add_choice(b, w, CHOOSE_FAIL, node, item, node, "not");
        return;
    }
    case ITEM_HOLDS: break;
    }
    if (sn[node].kind == MLLM_JSON_FALSE) {
        w->dead = true;
        return;
    }
    if (sn[node].kind != MLLM_JSON_OBJECT) return;
    mllm_schema_keywords(s, node, &k);
    if ((v = k.at[KW_TYPE])) w->types &= mllm_schema_types(s, v);
    if ((v = k.at[KW_REF]) && s->link[v] != NONE) add_item(b, w, ITEM(ITEM_HOLDS, s->link[v]));
    if ((v = k.at[KW_DYNAMIC_REF]) && s->link[v] != NONE && !s->dynamic) add_item(b, w, ITEM(ITEM_HOLDS, s->link[v]));
    if ((v = k.at[KW_ALL_OF]))
        for (uint32_t x = v + 1, i = 0; i < sn[v].count; i++, x = sn[x].next) add_item(b, w, ITEM(ITEM_HOLDS, x));
    if ((v = k.at[KW_NOT])) add_item(b, w, ITEM(ITEM_FAILS, v));
    if (k.at[KW_ANY_OF]) add_choice(b, w, CHOOSE_ANY_OF, node, item, node, "anyOf");
    if (k.at[KW_ONE_OF]) add_choice(b, w, CHOOSE_ONE_OF, node, item, node, "oneOf");
    if (k.at[KW_IF] && (k.at[KW_THEN] || k.at[KW_ELSE])) add_choice(b, w, CHOOSE_IF, node, item, node, "if");
    for (int i = 0; i < 2; i++)
        if ((v = k.at[i ? KW_DEPENDENCIES : KW_DEPENDENT_SCHEMAS]))
            for (uint32_t x = v + 1, j = 0; j < sn[v].count; j++, x = sn[x + 1].next)
                if (sn[x + 1].kind != MLLM_JSON_ARRAY && !mllm_schema_is_true(s, x + 1))
                    add_choice(b, w, CHOOSE_DEPENDENT, x, item, node, i ? "dependencies" : "dependentSchemas");
    if (k.at[KW_CONTAINS]) add_check(b, w, item, node, "contains");
    if (k.at[KW_UNEVALUATED_ITEMS] && !mllm_schema_is_true(s, k.at[KW_UNEVALUATED_ITEMS]))
        add_check(b, w, item, node, "unevaluatedItems");
    if (k.at[KW_UNEVALUATED_PROPERTIES] && !mllm_schema_is_true(s, k.at[KW_UNEVALUATED_PROPERTIES]))
        add_check(b, w, item, node, "unevaluatedProperties");
}

/* --------------------------------------------------------------- disjointness */

/* Types that a schema leaves, looking through references and allOf. */
static unsigned outer_types(const mllm_schema *s, uint32_t node, int depth) {
    const mllm_json_node *sn = s->doc.nodes;
    mllm_keywords k;
    uint32_t v;
    if (sn[node].kind == MLLM_JSON_FALSE) return 0;
    if (sn[node].kind != MLLM_JSON_OBJECT || depth > 8) return TYPE_ANY;
    mllm_schema_keywords(s, node, &k);
    unsigned types = k.at[KW_TYPE] ? mllm_schema_types(s, k.at[KW_TYPE]) : TYPE_ANY;
    mllm_instance self = {&s->doc, s->text};
    if ((v = k.at[KW_CONST])) types &= mllm_json_type(&self, v);
    if ((v = k.at[KW_ENUM])) {
        unsigned any = 0;
        for (uint32_t x = v + 1, i = 0; i < sn[v].count; i++, x = sn[x].next) any |= mllm_json_type(&self, x);
        types &= any;
    }
    if ((v = k.at[KW_REF]) && s->link[v] != NONE) types &= outer_types(s, s->link[v], depth + 1);
    if ((v = k.at[KW_ALL_OF]))
        for (uint32_t x = v + 1, i = 0; i < sn[v].count; i++, x = sn[x].next) types &= outer_types(s, x, depth + 1);
    if ((v = k.at[KW_ANY_OF]) || (v = k.at[KW_ONE_OF])) {
        unsigned any = 0;
        for (uint32_t x = v + 1, i = 0; i < sn[v].count; i++, x = sn[x].next) any |= outer_types(s, x, depth + 1);
        types &= any;
    }
    return types;
}

/* The schema behind plain references. */
static uint32_t behind(const mllm_schema *s, uint32_t node) {
    mllm_keywords k;
    for (int i = 0; i < 8; i++) {
        if (s->doc.nodes[node].kind != MLLM_JSON_OBJECT) return node;
        mllm_schema_keywords(s, node, &k);
        for (int j = 0; j < KW_COUNT; j++)
            if (k.at[j] && asserts(j) && j != KW_REF) return node;
        if (!k.at[KW_REF] || s->link[k.at[KW_REF]] == NONE) return node;
        node = s->link[k.at[KW_REF]];
    }
    return node;
}

/* The values that a schema admits at most: a const or the elements of an enum. false: not limited that way. */
static bool value_list(const mllm_schema *s, uint32_t node, uint32_t *first, uint32_t *count) {
    mllm_keywords k;
    node = behind(s, node);
    mllm_schema_keywords(s, node, &k);
    if (k.at[KW_CONST])
        *first = k.at[KW_CONST], *count = 1;
    else if (k.at[KW_ENUM])
        *first = k.at[KW_ENUM] + 1, *count = s->doc.nodes[k.at[KW_ENUM]].count;
    else
        return false;
    return true;
}

static bool lists_disjoint(const mllm_schema *s, uint32_t a, uint32_t b) {
    uint32_t x, n, y0, m;
    if (!value_list(s, a, &x, &n) || !value_list(s, b, &y0, &m) || (uint64_t)n * m > 4096) return false;
    mllm_instance self = {&s->doc, s->text};
    for (; n--; x = s->doc.nodes[x].next)
        for (uint32_t y = y0, j = 0; j < m; j++, y = s->doc.nodes[y].next)
            if (mllm_json_equal(&self, x, &self, y)) return false;
    return true;
}

static uint32_t member(const mllm_schema *s, uint32_t object, uint32_t key) {
    return object ? mllm_json_member(&s->doc, object, &s->doc.nodes[key]) : 0;
}

/* No value satisfies both, and that is easy to see. */
static bool disjoint(const mllm_schema *s, uint32_t a, uint32_t b) {
    a = behind(s, a);
    b = behind(s, b);
    unsigned common = outer_types(s, a, 0) & outer_types(s, b, 0);
    if (common == 0 || lists_disjoint(s, a, b)) return true;
    if (common != TYPE_OBJECT) return false;
    const mllm_json_node *sn = s->doc.nodes;
    mllm_keywords k[2];
    mllm_schema_keywords(s, a, &k[0]);
    mllm_schema_keywords(s, b, &k[1]);
    for (int side = 0; side < 2; side++) {
        const mllm_keywords *x = &k[side], *y = &k[!side];
        uint32_t required = x->at[KW_REQUIRED];
        if (!required) continue;
        for (uint32_t c = required + 1, i = 0; i < sn[required].count; i++, c = sn[c].next) {
            uint32_t p = member(s, x->at[KW_PROPERTIES], c), q = member(s, y->at[KW_PROPERTIES], c);
            if (p && q && (lists_disjoint(s, p, q) || (outer_types(s, p, 0) & outer_types(s, q, 0)) == 0)) return true;
            uint32_t additional = y->at[KW_ADDITIONAL_PROPERTIES];
            if (!q && additional && mllm_schema_is_false(s, additional) && !y->at[KW_PATTERN_PROPERTIES]) return true;
            if (q && mllm_schema_is_false(s, q)) return true;
        }
    }
    return false;
}

/* ----------------------------------------------------------------- deciding */

static uint32_t option_count(mllm_build *b, const choice *c) {
    mllm_keywords k;
    mllm_item out[64];
    uint32_t used;
    if (c->kind == CHOOSE_IF || c->kind == CHOOSE_DEPENDENT) return 2;
    if (c->kind == CHOOSE_FAIL) return (uint32_t)fail_options(b, c->node, out, 64, &used);
    mllm_schema_keywords(b->s, c->node, &k);
    return b->s->doc.nodes[k.at[c->kind == CHOOSE_ANY_OF ? KW_ANY_OF : KW_ONE_OF]].count;
}

static const char *const choice_names[] = {"anyOf", "oneOf", "if", "dependentSchemas", "not"};

/* Adds the items of option `index`. */
static void take_option(mllm_build *b, way *w, const choice *c, uint32_t index) {
    const mllm_json_node *sn = b->s->doc.nodes;
    mllm_keywords k;
    if (c->kind == CHOOSE_DEPENDENT) {
        add_item(b, w, ITEM(index ? ITEM_REQUIRE : ITEM_FORBID, c->node));
        if (index) add_item(b, w, ITEM(ITEM_HOLDS, c->node + 1));
        return;
    }
    if (c->kind == CHOOSE_FAIL) {
        mllm_item out[64];
        uint32_t used, i = 0;
        fail_options(b, c->node, out, 64, &used);
        while (index) index -= out[i++] == 0;
        for (; out[i]; i++) add_item(b, w, out[i]);
        return;
    }
    mllm_schema_keywords(b->s, c->node, &k);
    if (c->kind == CHOOSE_IF) {
        uint32_t branch = k.at[index ? KW_ELSE : KW_THEN];
        add_item(b, w, ITEM(index ? ITEM_FAILS : ITEM_HOLDS, k.at[KW_IF]));
        if (branch) add_item(b, w, ITEM(ITEM_HOLDS, branch));
        return;
    }
    uint32_t v = k.at[c->kind == CHOOSE_ANY_OF ? KW_ANY_OF : KW_ONE_OF], x = v + 1, mine;
    for (uint32_t i = 0; i < index; i++) x = sn[x].next;
    mine = x;
    add_item(b, w, ITEM(ITEM_HOLDS, mine));
    if (c->kind == CHOOSE_ANY_OF) return;
    x = v + 1;
    for (uint32_t i = 0; i < sn[v].count; i++, x = sn[x].next) {
        mllm_item out[64];
        uint32_t used;
        if (i == index || (sn[v].count <= 300 && disjoint(b->s, mine, x))) continue;
        if (sn[v].count <= 8 && fail_options(b, x, out, 64, &used) == 1)
            add_item(b, w, ITEM(ITEM_FAILS, x));
        else
            add_check(b, w, ITEM(ITEM_HOLDS, c->node), c->node, "oneOf");
    }
}

static bool copy_way(mllm_build *b, const way *from, way *to) {
    *to = *from;
    to->items = NULL;
    to->capacity = 0;
    if (!mllm_build_reserve(b, &to->items, from->count + 4, &to->capacity, sizeof *to->items)) return false;
    memcpy(to->items, from->items, from->count * sizeof *to->items);
    return true;
}

typedef struct {
    uint64_t *list;
    uint32_t count, capacity;
} hashes;

/* Different choices often come to the same items: such a way is made once. */
static bool is_new_way(mllm_build *b, hashes *done, const way *w) {
    uint64_t sum = 0, mixed = 0;
    for (uint32_t i = 0; i < w->count + w->check_count; i++) {
        uint64_t h = (i < w->count ? w->items[i] : ~w->checks[i - w->count]) * 0x9E3779B97F4A7C15u;
        h = (h ^ h >> 31) * 0xBF58476D1CE4E5B9u;
        sum += h;
        mixed ^= h >> 7 | h << 57;
    }
    sum ^= mixed * 31 + w->types;
    for (uint32_t i = 0; i < done->count; i++)
        if (done->list[i] == sum) return false;
    if (mllm_build_reserve(b, &done->list, done->count + 1, &done->capacity, sizeof *done->list))
        done->list[done->count++] = sum;
    return true;
}

/* Decides everything about one shape and makes its flats. */
static void decide(mllm_build *b, uint32_t shape) {
    mllm_shapes *t = b->t;
    way **stack = NULL;
    uint32_t count = 0, capacity = 0, made = 0;
    hashes done = {0};
    way *first = mllm_calloc(1, sizeof *first);
    if (!first) {
        b->failed = true;
        return;
    }
    first->types = TYPE_ANY;
    first->ways = 1;
    for (uint32_t i = 0; i < t->shapes[shape].items; i++) add_item(b, first, t->items[t->shapes[shape].first_item + i]);
    if (shape == t->root && b->s->dynamic) add_check(b, first, ITEM(ITEM_HOLDS, 0), 0, "$dynamicRef");
    if (mllm_build_reserve(b, &stack, 1, &capacity, sizeof *stack))
        stack[count++] = first;
    else {
        mllm_free(first->items);
        mllm_free(first);
    }
    t->shapes[shape].first_flat = t->flat_count;
    while (count && !b->failed && !b->too_large) {
        way *w = stack[--count];
        while (w->next < w->count && !w->dead && !b->failed && !b->too_large) expand(b, w, w->items[w->next++]);
        if (w->types == 0) w->dead = true;
        if (!w->dead && w->choice_next < w->choice_count && !b->failed && !b->too_large) {
            choice c = w->choices[w->choice_next++];
            uint32_t options = option_count(b, &c);
            if ((uint64_t)w->ways * options > MLLM_MAX_FLATS || made > MAX_WAYS) {
                /* Too many ways to write down: the validator decides. DEPENDENT's schema is two nodes up from its key; any schema
                 * that holds the keyword is among the items. */
                mllm_item item = c.kind == CHOOSE_FAIL ? ITEM(ITEM_FAILS, c.node) : ITEM(ITEM_HOLDS, c.node);
                if (c.kind == CHOOSE_DEPENDENT) item = ITEM(ITEM_HOLDS, b->owner[c.node]);
                add_check(b, w, item, ITEM_NODE(item), choice_names[c.kind]);
                stack[count++] = w;
                continue;
            }
            if (mllm_build_reserve(b, &stack, count + options, &capacity, sizeof *stack))
                for (uint32_t i = options; i-- > 0;) { /* the first option comes off the stack first */
                    way *n = mllm_alloc(sizeof *n);
                    if (!n || !copy_way(b, w, n)) {
                        mllm_free(n);
                        b->failed = true;
                        break;
                    }
                    n->ways = w->ways * options;
                    take_option(b, n, &c, i);
                    stack[count++] = n;
                    made++;
                }
        } else if (!w->dead && !b->failed && !b->too_large && is_new_way(b, &done, w))
            mllm_build_flats(b, w->items, w->count, w->types, w->checks, w->check_count, w->choice_count == 0);
        mllm_free(w->items);
        mllm_free(w);
    }
    while (count) {
        mllm_free(stack[--count]->items);
        mllm_free(stack[count]);
    }
    mllm_free(stack);
    mllm_free(done.list);
    t->shapes[shape].flats = t->flat_count - t->shapes[shape].first_flat;
}

/* ------------------------------------------------------------ least lengths */

static uint32_t plus(uint32_t a, uint32_t b) {
    return a == NONE || b == NONE || a > NONE - 1 - b ? NONE : a + b;
}

static uint32_t combinations(const mllm_object_shape *o) {
    return o->extra_table ? 1u << o->patterns : 1 + o->patterns;
}

/* The least of `,"key":value` with a key that is not declared. */
static uint32_t extra_least(const mllm_shapes *t, const mllm_object_shape *o) {
    uint32_t best = NONE, count = o->all_names ? 1 : combinations(o);
    for (uint32_t j = o->extra_anywhere || o->all_names ? 0 : 1; o->extra_some && j < count; j++) {
        uint32_t v = plus(t->shapes[t->indices[o->first_extra + j]].min_bytes, t->indices[o->first_extra_bytes + j]);
        if (v != NONE && v + 4 < best) best = v + 4;
    }
    return best;
}

/* At least so many members that nobody requires; NONE: there cannot be so many. */
static uint32_t members_least(const mllm_shapes *t, const mllm_object_shape *o, uint32_t count) {
    uint32_t most = 0, possible = 0, extra = extra_least(t, o);
    for (uint32_t i = 0; i < o->keys && possible < count; i++) {
        const mllm_key *k = &t->keys[o->first_key + i];
        if (k->required || k->forbidden || k->needs || t->shapes[k->shape].min_bytes == NONE) continue;
        uint32_t v = plus(t->shapes[k->shape].min_bytes, k->bytes + 2);
        possible++;
        if (v > most) most = v;
    }
    if (extra != NONE && (possible < count || extra + 4 < most)) possible = NONE, most = extra + 4;
    if (possible < count) return NONE;
    return (uint64_t)most * count > NONE / 2 ? NONE / 2 : most * count;
}

static uint32_t flat_least(mllm_shapes *t, const mllm_flat *f) {
    uint32_t best = NONE, v;
    for (uint32_t i = 0; i < f->words; i++)
        if (t->words[f->first_word + i].length < best) best = t->words[f->first_word + i].length;
    if ((f->types & TYPE_STRING) && plus(f->string_bytes, 2) < best) best = f->string_bytes + 2;
    if ((f->types & (TYPE_INTEGER | TYPE_FRACTION)) && best > t->numbers[f->number].min_bytes)
        best = t->numbers[f->number].min_bytes;
    if (f->types & TYPE_ARRAY) {
        const mllm_array_shape *a = &t->arrays[f->array];
        v = 2;
        for (uint32_t i = 0; i < a->min && i <= a->prefix && v != NONE; i++) {
            uint32_t one = t->shapes[i < a->prefix ? t->indices[a->first_prefix + i] : a->rest].min_bytes;
            if (i == a->prefix && one != NONE && a->min - i > 1) /* the others are alike */
                one = (uint64_t)(one + 1) * (a->min - i) > NONE / 2 ? NONE / 2 : (one + 1) * (a->min - i) - 1;
            v = plus(v, plus(one, i > 0));
        }
        if (v < best) best = v;
    }
    if (f->types & TYPE_OBJECT) {
        const mllm_object_shape *o = &t->objects[f->object];
        uint32_t n = 0;
        v = 2;
        for (uint32_t i = 0; i < o->keys && v != NONE; i++) {
            const mllm_key *k = &t->keys[o->first_key + i];
            if (k->required)
                v = plus(v, k->forbidden ? NONE : plus(t->shapes[k->shape].min_bytes, k->bytes + 1 + (n++ > 0)));
        }
        if (n > o->max) v = NONE;
        if (n < o->min && v != NONE) v = plus(v, members_least(t, o, o->min - n));
        if (v < best) best = v;
    }
    return best;
}

static bool same_words(const mllm_shapes *t, const mllm_flat *a, const mllm_flat *b) {
    if (a->words != b->words) return false;
    for (uint32_t i = 0; i < a->words; i++) {
        const mllm_word *x = &t->words[a->first_word + i], *y = &t->words[b->first_word + i];
        if (x->length != y->length || memcmp(x->text, y->text, x->length) != 0) return false;
    }
    return true;
}

/* Takes from the flat `b` what the flat `a` of the same shape allows too: every way to write a value costs a thread. */
static void take_away(const mllm_shapes *t, const mllm_flat *a, mllm_flat *b) {
    enum { NUMBERS = TYPE_INTEGER | TYPE_FRACTION };
    if (a->checks) return;
    bool free_string = (a->types & TYPE_STRING) && a->lexer == NONE && a->min_length == 0 && a->max_length == NONE;
    if ((a->types & b->types & TYPE_STRING) &&
        (free_string || (a->lexer == b->lexer && a->min_length <= b->min_length && a->max_length >= b->max_length)))
        b->types &= (uint8_t)~TYPE_STRING;
    if ((a->types & NUMBERS) && (b->types & NUMBERS)) {
        const mllm_number_shape *x = &t->numbers[a->number], *y = &t->numbers[b->number];
        if (x->plain && (!x->integer || (y->integer && x->old_integer == y->old_integer)))
            b->types &= (uint8_t)~NUMBERS;
    }
    if (b->words && same_words(t, a, b)) b->words = 0;
}

/* Least bytes of every shape, up from the leaves until nothing changes; what stays at NONE cannot be satisfied. */
static void least_bytes(mllm_build *b) {
    mllm_shapes *t = b->t;
    for (uint32_t round = 0, changed = 1; changed && round < 10000; round++) {
        changed = 0;
        for (uint32_t i = t->shape_count; i-- > 0;) {
            mllm_shape *s = &t->shapes[i];
            uint32_t best = NONE;
            for (uint32_t j = 0; j < s->flats; j++) {
                mllm_flat *f = &t->flats[s->first_flat + j];
                uint32_t v = flat_least(t, f);
                if (v < f->min_bytes) f->min_bytes = v;
                if (f->min_bytes < best) best = f->min_bytes;
            }
            if (best < s->min_bytes) s->min_bytes = best, changed = 1;
        }
    }
    for (uint32_t i = 0; i < t->key_count; i++)
        if (t->shapes[t->keys[i].shape].min_bytes == NONE) t->keys[i].forbidden = true;
    for (uint32_t i = 0; i < t->object_count; i++) {
        mllm_object_shape *o = &t->objects[i];
        uint32_t n = combinations(o);
        o->extra_anywhere = o->extra_anywhere && t->shapes[t->indices[o->first_extra]].min_bytes != NONE;
        bool some = o->extra_anywhere;
        for (uint32_t j = 1; j < n && !o->all_names; j++)
            some = some || t->shapes[t->indices[o->first_extra + j]].min_bytes != NONE;
        o->extra_some = o->extra_some && (some || o->all_names);
        if (o->lexer != NONE && !o->all_names) {
            uint64_t allowed = o->extra_anywhere;
            for (uint32_t j = 1; j < n; j++)
                if (t->shapes[t->indices[o->first_extra + j]].min_bytes != NONE) allowed |= (uint64_t)1 << j;
            t->lexers[o->lexer].allowed = allowed;
        }
        o->extra_bytes = extra_least(t, o);
    }
    for (uint32_t i = 0; i < t->array_count; i++) {
        mllm_array_shape *a = &t->arrays[i];
        for (uint32_t j = 0; j < a->prefix; j++)
            if (t->shapes[t->indices[a->first_prefix + j]].min_bytes == NONE && j < a->max) a->max = j;
        if (t->shapes[a->rest].min_bytes == NONE && a->max > a->prefix) a->max = a->prefix;
    }
    /* Flats that cannot be satisfied are not tried. */
    for (uint32_t i = 0; i < t->shape_count; i++) {
        mllm_shape *s = &t->shapes[i];
        uint32_t n = 0;
        for (uint32_t j = 0; j < s->flats; j++) {
            mllm_flat f = t->flats[s->first_flat + j];
            if (f.min_bytes == NONE) continue;
            for (uint32_t k = 0; k < n; k++) take_away(t, &t->flats[s->first_flat + k], &f);
            if (!f.types && !f.words) continue;
            for (uint32_t k = 0; k < n; k++) take_away(t, &f, &t->flats[s->first_flat + k]);
            t->flats[s->first_flat + n++] = f;
        }
        uint32_t left = 0;
        for (uint32_t k = 0; k < n; k++) {
            mllm_flat f = t->flats[s->first_flat + k];
            if (f.types || f.words) t->flats[s->first_flat + left++] = f;
        }
        s->flats = left;
    }
}

static bool is_uncertain(const mllm_shapes *t) {
    for (uint32_t i = 0; i < t->flat_count; i++)
        if (t->flats[i].checks) return true;
    for (uint32_t i = 0; i < t->array_count; i++)
        if (t->arrays[i].unique) return true;
    for (uint32_t i = 0; i < t->object_count; i++)
        if (!t->objects[i].names_exact || t->objects[i].min > 1 || mllm_keys_may_repeat(t, &t->objects[i])) return true;
    for (uint32_t i = 0; i < t->number_count; i++)
        if (t->numbers[i].multiples) return true;
    return false;
}

/* The schema object that holds each key of "dependencies" and "dependentSchemas". */
static void find_owners(mllm_build *b) {
    const mllm_json_node *sn = b->s->doc.nodes;
    for (uint32_t node = 0; node < b->s->doc.count; node++) {
        if (!b->s->resource_of[node] || sn[node].kind != MLLM_JSON_OBJECT) continue;
        mllm_keywords k;
        mllm_schema_keywords(b->s, node, &k);
        for (int i = 0; i < 2; i++) {
            uint32_t v = k.at[i ? KW_DEPENDENCIES : KW_DEPENDENT_SCHEMAS];
            if (v)
                for (uint32_t x = v + 1, j = 0; j < sn[v].count; j++, x = sn[x + 1].next) b->owner[x] = node;
        }
    }
}

mllm_code mllm_shapes_build(mllm_shapes *t, mllm_schema *s, mllm_error *err) {
    mllm_build b = {.t = t, .s = s};
    memset(t, 0, sizeof *t);
    b.noted = mllm_calloc(s->doc.count, sizeof *b.noted);
    b.owner = mllm_calloc(s->doc.count, sizeof *b.owner);
    mllm_code code = MLLM_OK;
    uint32_t at = 0;
    if (!b.noted || !b.owner)
        b.failed = true;
    else {
        find_owners(&b);
        mllm_item root = ITEM(ITEM_HOLDS, 0);
        t->root = mllm_build_shape(&b, &root, 1);
        for (; at < t->shape_count && !b.failed && !b.too_large; at++) decide(&b, at);
    }
    if (b.failed)
        code = mllm_fail_memory(err, 0, "grammar");
    else if (b.too_large) {
        char place[200];
        uint32_t i = at ? at - 1 : 0;
        uint32_t node = t->shape_count && t->shapes[i].items ? ITEM_NODE(t->items[t->shapes[i].first_item]) : 0;
        code = mllm_fail(err, MLLM_E_LIMIT, "schema %s: too many combinations of schemas",
                         mllm_schema_pointer(s, node < s->doc.count ? node : 0, place, sizeof place));
    } else {
        mllm_build_lengths(&b);
        if (b.failed)
            code = mllm_fail_memory(err, 0, "grammar");
        else {
            least_bytes(&b);
            mllm_build_hints(&b);
            if (b.failed)
                code = mllm_fail_memory(err, 0, "grammar");
            else if (t->shapes[t->root].min_bytes == NONE)
                code = mllm_fail(err, MLLM_E_GRAMMAR, "schema #: no value can satisfy it");
            t->uncertain = t->uncertain || is_uncertain(t);
            if (code == MLLM_OK) mllm_build_merge(&b);
            if (b.failed) code = mllm_fail_memory(err, 0, "grammar");
        }
    }
    mllm_free(b.noted);
    mllm_free(b.owner);
    mllm_free(b.buckets);
    if (code != MLLM_OK) mllm_shapes_free(t);
    return code;
}
