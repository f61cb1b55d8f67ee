/* validate.c - evaluates a JSON Schema against a JSON value, with the annotations that unevaluatedProperties and unevaluatedItems need. */
#include <stdlib.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "decimal.h"
#include "schema.h"

enum { MAX_DEPTH = 500 };

/* ------------------------------------------------------------------- values */

static bool is_number(const mllm_json_node *n) {
    return n->kind == MLLM_JSON_INTEGER || n->kind == MLLM_JSON_NUMBER;
}

static bool read_number(const mllm_instance *in, uint32_t node, mllm_decimal *d) {
    const mllm_json_node *n = &in->doc->nodes[node];
    return is_number(n) && mllm_decimal_read(d, in->text + n->start, n->end - n->start);
}

unsigned mllm_json_type(const mllm_instance *in, uint32_t node) {
    mllm_decimal d;
    switch (in->doc->nodes[node].kind) {
    case MLLM_JSON_NULL: return TYPE_NULL;
    case MLLM_JSON_FALSE:
    case MLLM_JSON_TRUE: return TYPE_BOOLEAN;
    case MLLM_JSON_STRING: return TYPE_STRING;
    case MLLM_JSON_ARRAY: return TYPE_ARRAY;
    case MLLM_JSON_OBJECT: return TYPE_OBJECT;
    default: return read_number(in, node, &d) && mllm_decimal_is_integer(&d) ? TYPE_INTEGER : TYPE_FRACTION;
    }
}

static uint64_t hash_bytes(const char *s, size_t n) {
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    return h;
}

static uint64_t mix(uint64_t h) {
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCDu;
    return h ^ h >> 33;
}

/* Recursion is bounded by the parser's depth limit. */
uint64_t mllm_json_hash(const mllm_instance *a, uint32_t x) {
    const mllm_json_node *nodes = a->doc->nodes, *n = &nodes[x];
    uint64_t h = mix((uint64_t)n->kind + 11);
    mllm_decimal d;
    switch (n->kind) {
    case MLLM_JSON_INTEGER:
    case MLLM_JSON_NUMBER: return read_number(a, x, &d) ? mllm_decimal_hash(&d) : 0;
    case MLLM_JSON_STRING: return h ^ hash_bytes(n->as.string, n->count);
    case MLLM_JSON_ARRAY:
        for (uint32_t c = x + 1, i = 0; i < n->count; i++, c = nodes[c].next) h = mix(h + mllm_json_hash(a, c));
        return h;
    case MLLM_JSON_OBJECT:
        for (uint32_t c = x + 1, i = 0; i < n->count; i++, c = nodes[c + 1].next)
            h += mix(hash_bytes(nodes[c].as.string, nodes[c].count) ^ mix(mllm_json_hash(a, c + 1)));
        return h;
    default: return h;
    }
}

bool mllm_json_equal(const mllm_instance *a, uint32_t x, const mllm_instance *b, uint32_t y) {
    const mllm_json_node *an = a->doc->nodes, *bn = b->doc->nodes, *m = &an[x], *n = &bn[y];
    mllm_decimal d, e;
    if (is_number(m) && is_number(n))
        return read_number(a, x, &d) && read_number(b, y, &e) && mllm_decimal_compare(&d, &e) == 0;
    if (m->kind != n->kind) return false;
    switch (m->kind) {
    case MLLM_JSON_STRING: return mllm_json_same_string(m, n);
    case MLLM_JSON_ARRAY:
        if (m->count != n->count) return false;
        for (uint32_t c = x + 1, k = y + 1, i = 0; i < m->count; i++, c = an[c].next, k = bn[k].next)
            if (!mllm_json_equal(a, c, b, k)) return false;
        return true;
    case MLLM_JSON_OBJECT:
        if (m->count != n->count) return false;
        for (uint32_t c = x + 1, i = 0; i < m->count; i++, c = an[c + 1].next) {
            uint32_t other = mllm_json_member(b->doc, y, &an[c]);
            if (!other || !mllm_json_equal(a, c + 1, b, other)) return false;
        }
        return true;
    default: return true;
    }
}

/* --------------------------------------------------------------- evaluation */

typedef struct scope {
    const struct scope *up;
    uint32_t resource;
} scope;

typedef struct {
    const mllm_schema *s;
    const mllm_instance *in;
    mllm_violation *why;
    int depth;
} check;

/* Where a subschema's annotations go: a mark per child of the instance; NULL when nobody asks. */
typedef uint8_t *marks;

static bool evaluate(check *c, uint32_t node, uint32_t instance, marks out, const scope *up);

static bool no(check *c, uint32_t schema, uint32_t instance) {
    c->why->schema = schema;
    c->why->instance = instance;
    return false;
}

/* An in-place subschema: its annotations count only when it succeeds. */
static bool apply(check *c, uint32_t node, uint32_t instance, marks out, const scope *up) {
    uint32_t n = c->in->doc->nodes[instance].count;
    mllm_json_kind kind = c->in->doc->nodes[instance].kind;
    if (!out || (kind != MLLM_JSON_ARRAY && kind != MLLM_JSON_OBJECT)) return evaluate(c, node, instance, NULL, up);
    marks own = mllm_calloc(n + 1, 1);
    if (!own) {
        c->why->memory = true;
        return no(c, node, instance);
    }
    bool ok = evaluate(c, node, instance, own, up);
    for (uint32_t i = 0; ok && i < n; i++) out[i] |= own[i];
    mllm_free(own);
    return ok;
}

/* n compared with the number at `value` of the schema: -1, 0, 1. */
static int compare_count(const mllm_schema *s, uint32_t value, uint32_t n) {
    char digits[12];
    size_t at = sizeof digits;
    mllm_decimal limit, d;
    const mllm_json_node *v = &s->doc.nodes[value];
    do digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    mllm_decimal_read(&limit, s->text + v->start, v->end - v->start);
    mllm_decimal_read(&d, digits + at, sizeof digits - at);
    return mllm_decimal_compare(&d, &limit);
}

static bool at_least(const mllm_schema *s, uint32_t value, uint32_t n) {
    return compare_count(s, value, n) >= 0;
}

static bool at_most(const mllm_schema *s, uint32_t value, uint32_t n) {
    return compare_count(s, value, n) <= 0;
}

static bool check_number(check *c, const mllm_keywords *k, uint32_t instance) {
    const mllm_schema *s = c->s;
    mllm_decimal d, limit;
    if (!read_number(c->in, instance, &d)) return no(c, instance, instance);
    mllm_instance self = {&s->doc, s->text};
    uint32_t v, x;
    if ((v = k->at[KW_MINIMUM]) && read_number(&self, v, &limit)) {
        int r = mllm_decimal_compare(&d, &limit);
        x = k->at[KW_EXCLUSIVE_MINIMUM];
        if (r < 0 || (r == 0 && x && s->doc.nodes[x].kind == MLLM_JSON_TRUE)) return no(c, v, instance);
    }
    if ((v = k->at[KW_MAXIMUM]) && read_number(&self, v, &limit)) {
        int r = mllm_decimal_compare(&d, &limit);
        x = k->at[KW_EXCLUSIVE_MAXIMUM];
        if (r > 0 || (r == 0 && x && s->doc.nodes[x].kind == MLLM_JSON_TRUE)) return no(c, v, instance);
    }
    if ((v = k->at[KW_EXCLUSIVE_MINIMUM]) && read_number(&self, v, &limit) && mllm_decimal_compare(&d, &limit) <= 0)
        return no(c, v, instance);
    if ((v = k->at[KW_EXCLUSIVE_MAXIMUM]) && read_number(&self, v, &limit) && mllm_decimal_compare(&d, &limit) >= 0)
        return no(c, v, instance);
    if ((v = k->at[KW_MULTIPLE_OF]) && read_number(&self, v, &limit) && !mllm_decimal_is_multiple(&d, &limit))
        return no(c, v, instance);
    return true;
}

static bool check_string(check *c, const mllm_keywords *k, uint32_t instance) {
    const mllm_schema *s = c->s;
    const mllm_json_node *n = &c->in->doc->nodes[instance];
    uint32_t v, chars = 0;
    for (uint32_t i = 0; i < n->count; i++) chars += (n->as.string[i] & 0xC0) != 0x80;
    if ((v = k->at[KW_MIN_LENGTH]) && !at_least(s, v, chars)) return no(c, v, instance);
    if ((v = k->at[KW_MAX_LENGTH]) && !at_most(s, v, chars)) return no(c, v, instance);
    for (int i = 0; i < 2; i++) {
        v = k->at[i ? KW_FORMAT : KW_PATTERN];
        if (!v || s->link[v] == NONE) continue;
        c->why->work += 1 + n->count / 16;
        int m = mllm_nfa_match(&s->nfas[s->link[v]], n->as.string, n->count);
        if (m < 0) c->why->memory = true;
        if (m != 1) return no(c, v, instance);
    }
    return true;
}

typedef struct {
    uint64_t hash;
    uint32_t node;
} hashed;

static int compare_hashed(const void *a, const void *b) {
    const hashed *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static bool unique(check *c, uint32_t instance) {
    const mllm_json_node *nodes = c->in->doc->nodes;
    uint32_t n = nodes[instance].count;
    if (n < 2) return true;
    hashed *list = mllm_alloc_array(n, sizeof *list);
    if (!list) {
        c->why->memory = true;
        return false;
    }
    for (uint32_t x = instance + 1, i = 0; i < n; i++, x = nodes[x].next)
        list[i] = (hashed){mllm_json_hash(c->in, x), x};
    qsort(list, n, sizeof *list, compare_hashed);
    bool ok = true;
    for (uint32_t i = 0; i < n && ok; i++)
        for (uint32_t j = i + 1; j < n && ok && list[j].hash == list[i].hash; j++)
            ok = !mllm_json_equal(c->in, list[i].node, c->in, list[j].node);
    mllm_free(list);
    return ok;
}

static bool check_array(check *c, const mllm_keywords *k, uint32_t instance, marks out, const scope *up) {
    const mllm_schema *s = c->s;
    const mllm_json_node *nodes = c->in->doc->nodes, *sn = s->doc.nodes;
    uint32_t n = nodes[instance].count, v, prefix = k->at[KW_PREFIX_ITEMS], rest = k->at[KW_ITEMS];
    if ((v = k->at[KW_MIN_ITEMS]) && !at_least(s, v, n)) return no(c, v, instance);
    if ((v = k->at[KW_MAX_ITEMS]) && !at_most(s, v, n)) return no(c, v, instance);
    if (rest && sn[rest].kind == MLLM_JSON_ARRAY) {
        prefix = rest;
        rest = k->at[KW_ADDITIONAL_ITEMS];
    }
    uint32_t p = prefix ? prefix + 1 : 0, left = prefix ? sn[prefix].count : 0;
    for (uint32_t x = instance + 1, i = 0; i < n && (left || rest); i++, x = nodes[x].next) {
        uint32_t schema = left ? p : rest;
        if (left) {
            p = sn[p].next;
            left--;
        }
        if (!evaluate(c, schema, x, NULL, up)) return false;
        if (out) out[i] = 1;
    }
    if ((v = k->at[KW_CONTAINS])) {
        uint32_t found = 0, least = k->at[KW_MIN_CONTAINS], most = k->at[KW_MAX_CONTAINS];
        for (uint32_t x = instance + 1, i = 0; i < n; i++, x = nodes[x].next)
            if (evaluate(c, v, x, NULL, up)) {
                found++;
                if (out && s->draft >= 2020) out[i] = 1;
            } else if (c->why->memory || c->why->limit)
                return false;
        if (least ? !at_least(s, least, found) : found == 0) return no(c, least ? least : v, instance);
        if (most && !at_most(s, most, found)) return no(c, most, instance);
    }
    v = k->at[KW_UNIQUE_ITEMS];
    if (v && sn[v].kind == MLLM_JSON_TRUE && !unique(c, instance)) return no(c, v, instance);
    return true;
}

static bool has_all(check *c, uint32_t list, uint32_t instance) {
    const mllm_json_node *sn = c->s->doc.nodes;
    for (uint32_t x = list + 1, i = 0; i < sn[list].count; i++, x = sn[x].next)
        if (sn[x].kind == MLLM_JSON_STRING && !mllm_json_member(c->in->doc, instance, &sn[x])) return false;
    return true;
}

static bool check_object(check *c, const mllm_keywords *k, uint32_t instance, marks out, const scope *up) {
    const mllm_schema *s = c->s;
    const mllm_json_node *nodes = c->in->doc->nodes, *sn = s->doc.nodes;
    uint32_t n = nodes[instance].count, v;
    if ((v = k->at[KW_MIN_PROPERTIES]) && !at_least(s, v, n)) return no(c, v, instance);
    if ((v = k->at[KW_MAX_PROPERTIES]) && !at_most(s, v, n)) return no(c, v, instance);
    if ((v = k->at[KW_REQUIRED]) && !has_all(c, v, instance)) return no(c, v, instance);
    uint32_t properties = k->at[KW_PROPERTIES], patterns = k->at[KW_PATTERN_PROPERTIES],
             additional = k->at[KW_ADDITIONAL_PROPERTIES], names = k->at[KW_PROPERTY_NAMES];
    for (uint32_t x = instance + 1, i = 0; i < n; i++, x = nodes[x + 1].next) {
        bool covered = false;
        if (names && !evaluate(c, names, x, NULL, up)) return false;
        if (properties && (v = mllm_json_member(&s->doc, properties, &nodes[x]))) {
            covered = true;
            if (!evaluate(c, v, x + 1, NULL, up)) return false;
        }
        for (uint32_t y = patterns + 1, j = 0; patterns && j < sn[patterns].count; j++, y = sn[y + 1].next) {
            if (s->link[y] == NONE) continue;
            c->why->work += 1 + nodes[x].count / 16;
            int m = mllm_nfa_match(&s->nfas[s->link[y]], nodes[x].as.string, nodes[x].count);
            if (m < 0) {
                c->why->memory = true;
                return no(c, y, instance);
            }
            if (m == 0) continue;
            covered = true;
            if (!evaluate(c, y + 1, x + 1, NULL, up)) return false;
        }
        if (!covered && additional) {
            covered = true;
            if (!evaluate(c, additional, x + 1, NULL, up)) return false;
        }
        if (covered && out) out[i] = 1;
    }
    for (int w = 0; w < 3; w++) {
        static const uint8_t which[] = {KW_DEPENDENCIES, KW_DEPENDENT_REQUIRED, KW_DEPENDENT_SCHEMAS};
        if (!(v = k->at[which[w]])) continue;
        for (uint32_t y = v + 1, j = 0; j < sn[v].count; j++, y = sn[y + 1].next) {
            if (!mllm_json_member(c->in->doc, instance, &sn[y])) continue;
            if (sn[y + 1].kind == MLLM_JSON_ARRAY) {
                if (!has_all(c, y + 1, instance)) return no(c, y + 1, instance);
            } else if (!apply(c, y + 1, instance, out, up))
                return false;
        }
    }
    return true;
}

/* Which schema a $dynamicRef means: the outermost resource on the path that has the dynamic anchor. */
static uint32_t dynamic_target(check *c, uint32_t value, const scope *up) {
    const mllm_schema *s = c->s;
    uint32_t target = s->link[value];
    const char *name = NULL;
    const char *hash = strchr(s->doc.nodes[value].as.string, '#');
    for (uint32_t i = 0; hash && i < s->anchor_count; i++)
        if (s->anchors[i].node == target && s->anchors[i].dynamic && strcmp(s->anchors[i].name, hash + 1) == 0)
            name = s->anchors[i].name;
    for (; name && up; up = up->up)
        for (uint32_t i = 0; i < s->anchor_count; i++)
            if (s->anchors[i].dynamic && s->anchors[i].resource == up->resource &&
                strcmp(s->anchors[i].name, name) == 0)
                target = s->anchors[i].node;
    return target;
}

static bool evaluate(check *c, uint32_t node, uint32_t instance, marks out, const scope *up) {
    const mllm_schema *s = c->s;
    const mllm_json_node *sn = s->doc.nodes;
    if (sn[node].kind == MLLM_JSON_TRUE) return true;
    if (sn[node].kind != MLLM_JSON_OBJECT) return no(c, node, instance);
    if (++c->depth > MAX_DEPTH) {
        c->depth--;
        c->why->limit = true;
        return no(c, node, instance);
    }
    c->why->work++;
    mllm_keywords k;
    mllm_schema_keywords(s, node, &k);
    scope here = {up, s->resource_of[node] - 1};
    const scope *path = up && up->resource == here.resource ? up : &here;
    unsigned type = mllm_json_type(c->in, instance);
    const mllm_json_node *in = &c->in->doc->nodes[instance];
    mllm_instance self = {&s->doc, s->text};
    uint32_t v, u = type == TYPE_OBJECT  ? k.at[KW_UNEVALUATED_PROPERTIES]
                    : type == TYPE_ARRAY ? k.at[KW_UNEVALUATED_ITEMS]
                                         : 0;
    marks own = NULL;
    bool ok = true;
    if (s->draft <= 4 && type == TYPE_INTEGER)
        for (uint32_t i = in->start; i < in->end; i++)
            if (strchr(".eE", c->in->text[i])) type = TYPE_FRACTION; /* 1.0 is no integer there */
    if ((v = k.at[KW_TYPE]) && !(mllm_schema_types(s, v) & type)) ok = no(c, v, instance);
    if (ok && (v = k.at[KW_CONST]) && !mllm_json_equal(&self, v, c->in, instance)) ok = no(c, v, instance);
    if (ok && (v = k.at[KW_ENUM])) {
        bool found = false;
        for (uint32_t x = v + 1, i = 0; i < sn[v].count && !found; i++, x = sn[x].next)
            found = mllm_json_equal(&self, x, c->in, instance);
        if (!found) ok = no(c, v, instance);
    }
    if (ok && u && !out) { /* someone below asks for annotations */
        own = out = mllm_calloc(in->count + 1, 1);
        if (!own) {
            c->why->memory = true;
            ok = no(c, u, instance);
        }
    }
    if (ok && (type & (TYPE_INTEGER | TYPE_FRACTION))) ok = check_number(c, &k, instance);
    if (ok && type == TYPE_STRING) ok = check_string(c, &k, instance);
    if (ok && type == TYPE_ARRAY) ok = check_array(c, &k, instance, out, path);
    if (ok && type == TYPE_OBJECT) ok = check_object(c, &k, instance, out, path);
    if (ok && (v = k.at[KW_REF]) && s->link[v] != NONE) ok = apply(c, s->link[v], instance, out, path);
    if (ok && (v = k.at[KW_DYNAMIC_REF]) && s->link[v] != NONE)
        ok = apply(c, dynamic_target(c, v, path), instance, out, path);
    if (ok && (v = k.at[KW_ALL_OF]))
        for (uint32_t x = v + 1, i = 0; i < sn[v].count && ok; i++, x = sn[x].next)
            ok = apply(c, x, instance, out, path);
    for (int w = 0; w < 2 && ok; w++) {
        if (!(v = k.at[w ? KW_ONE_OF : KW_ANY_OF])) continue;
        uint32_t matches = 0;
        for (uint32_t x = v + 1, i = 0; i < sn[v].count && (matches < 1 || w || out); i++, x = sn[x].next)
            matches += apply(c, x, instance, out, path);
        if (c->why->limit || c->why->memory || matches == 0 || (w && matches != 1)) ok = no(c, v, instance);
    }
    if (ok && (v = k.at[KW_NOT]) && (evaluate(c, v, instance, NULL, path) || c->why->limit || c->why->memory))
        ok = no(c, v, instance);
    if (ok && (v = k.at[KW_IF])) {
        bool yes = apply(c, v, instance, out, path);
        uint32_t then = k.at[yes ? KW_THEN : KW_ELSE];
        if (c->why->limit || c->why->memory)
            ok = no(c, v, instance);
        else if (then)
            ok = apply(c, then, instance, out, path);
    }
    if (ok && u) {
        uint32_t x = instance + 1;
        for (uint32_t i = 0; i < in->count && ok; i++) {
            uint32_t value = type == TYPE_OBJECT ? x + 1 : x;
            if (!out[i]) ok = evaluate(c, u, value, NULL, path);
            out[i] = 1;
            x = c->in->doc->nodes[value].next;
        }
    }
    mllm_free(own);
    c->depth--;
    return ok;
}

bool mllm_schema_check(const mllm_schema *s, uint32_t node, const mllm_instance *in, uint32_t instance,
                       mllm_violation *why) {
    mllm_violation unused = {0};
    check c = {.s = s, .in = in, .why = why ? why : &unused};
    memset(c.why, 0, sizeof *c.why);
    return evaluate(&c, node, instance, NULL, NULL) && !c.why->limit && !c.why->memory;
}

mllm_code mllm_json_validate(const char *schema, size_t schema_length, const char *json, size_t json_length,
                             const mllm_schema_options *options, mllm_error *err) {
    mllm_schema s;
    mllm_json doc;
    mllm_error inner;
    mllm_violation why;
    mllm_code code = mllm_schema_read(&s, schema, schema_length, options, err);
    if (code != MLLM_OK) return code;
    code = mllm_json_parse(&doc, json, json_length, 0, &inner);
    if (code != MLLM_OK) {
        mllm_schema_free(&s);
        return mllm_fail(err, code, "instance: %s", inner.message);
    }
    mllm_instance in = {&doc, json};
    if (!mllm_schema_check(&s, 0, &in, 0, &why)) {
        char place[200], where[200];
        mllm_schema view = {.doc = doc};
        mllm_schema_pointer(&s, why.schema, place, sizeof place);
        mllm_schema_pointer(&view, why.instance, where, sizeof where);
        if (why.memory)
            code = mllm_fail_memory(err, 0, "validation");
        else if (why.limit)
            code = mllm_fail(err, MLLM_E_LIMIT, "instance %s: nested too deep for schema %s", where, place);
        else
            code = mllm_fail(err, MLLM_E_GRAMMAR, "instance %s does not satisfy schema %s", where, place);
    }
    mllm_json_free(&doc);
    mllm_schema_free(&s);
    return code;
}
