/* schema.c - reading a JSON Schema (draft 4 to 2020-12): keywords, $id, $anchor and references (RFC 3986, RFC 6901), patterns. */
#include "schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "decimal.h"

const char *const mllm_keyword_names[KW_COUNT] = {
#define X(name, text) text,
    SCHEMA_KEYWORDS(X)
#undef X
};

void mllm_schema_free(mllm_schema *s) {
    for (uint32_t i = 0; i < s->resource_count; i++) mllm_free(s->resources[i].uri);
    for (uint32_t i = 0; i < s->nfa_count; i++) mllm_nfa_free(&s->nfas[i]);
    mllm_free(s->resources);
    mllm_free(s->anchors);
    mllm_free(s->keywords);
    mllm_free(s->resource_of);
    mllm_free(s->link);
    mllm_free(s->nfas);
    mllm_buffer_free(&s->report);
    mllm_json_free(&s->doc);
    mllm_free(s->text);
    memset(s, 0, sizeof *s);
}

/* ------------------------------------------------------------------- places */

static void put(char *out, size_t size, size_t *n, const char *s, size_t length, bool escape) {
    for (size_t i = 0; i < length; i++) {
        const char *t = escape && s[i] == '~' ? "~0" : escape && s[i] == '/' ? "~1" : NULL;
        if (t) {
            put(out, size, n, t, 2, false);
            continue;
        }
        if (*n + 1 < size) out[(*n)++] = (unsigned char)s[i] < 0x20 ? '?' : s[i];
    }
    out[*n < size ? *n : size - 1] = 0;
}

char *mllm_schema_pointer(const mllm_schema *s, uint32_t node, char *out, size_t size) {
    const mllm_json_node *nodes = s->doc.nodes;
    size_t n = 0;
    uint32_t at = 0;
    put(out, size, &n, "#", 1, false);
    while (at != node && node < s->doc.count) {
        bool object = nodes[at].kind == MLLM_JSON_OBJECT;
        uint32_t count = nodes[at].count, child = at + 1, i = 0;
        for (; i < count; i++) {
            uint32_t value = object ? child + 1 : child;
            if (node < nodes[value].next) {
                char index[16];
                int digits = snprintf(index, sizeof index, "%u", (unsigned)i);
                put(out, size, &n, "/", 1, false);
                if (object)
                    put(out, size, &n, nodes[child].as.string, nodes[child].count, true);
                else
                    put(out, size, &n, index, (size_t)digits, false);
                at = node < value ? node : value;
                break;
            }
            child = nodes[value].next;
        }
        if (i == count) break;
    }
    return out;
}

void mllm_schema_note(mllm_schema *s, uint32_t node, const char *keyword, const char *tier) {
    char place[200], line[300];
    int n =
        snprintf(line, sizeof line, "%s\t%s\t%s\n", mllm_schema_pointer(s, node, place, sizeof place), keyword, tier);
    if (n > 0 && s->report.length < 1 << 16) mllm_buffer_put(&s->report, line, (size_t)n);
}

static mllm_code refuse(const mllm_schema *s, uint32_t node, mllm_keyword k, mllm_code code, const char *what,
                        mllm_error *err) {
    char place[200];
    return mllm_fail(err, code, "schema %s: keyword '%s': %s", mllm_schema_pointer(s, node, place, sizeof place),
                     mllm_keyword_names[k], what);
}

/* ----------------------------------------------------------------- keywords */

static uint8_t keyword_id(const char *s, size_t length) {
    for (int k = 0; k < KW_COUNT; k++)
        if (strlen(mllm_keyword_names[k]) == length && memcmp(mllm_keyword_names[k], s, length) == 0) return (uint8_t)k;
    return 0xFF;
}

void mllm_schema_keywords(const mllm_schema *s, uint32_t node, mllm_keywords *k) {
    memset(k, 0, sizeof *k);
    const mllm_json_node *nodes = s->doc.nodes;
    if (nodes[node].kind != MLLM_JSON_OBJECT) return;
    uint32_t key = node + 1;
    for (uint32_t i = 0; i < nodes[node].count; i++, key = nodes[key + 1].next)
        if (s->keywords[key] < KW_COUNT) k->at[s->keywords[key]] = key + 1;
    if (s->named_draft) { /* what a draft does not know is no keyword of it */
        static const uint8_t since6[] = {KW_CONST, KW_CONTAINS, KW_PROPERTY_NAMES, KW_ID},
                             since7[] = {KW_IF, KW_THEN, KW_ELSE}, since2019[] = {KW_ANCHOR,
                                                                                  KW_DEPENDENT_REQUIRED,
                                                                                  KW_DEPENDENT_SCHEMAS,
                                                                                  KW_UNEVALUATED_ITEMS,
                                                                                  KW_UNEVALUATED_PROPERTIES,
                                                                                  KW_MIN_CONTAINS,
                                                                                  KW_MAX_CONTAINS,
                                                                                  KW_RECURSIVE_REF},
                             since2020[] = {KW_PREFIX_ITEMS, KW_DYNAMIC_REF, KW_DYNAMIC_ANCHOR};
        for (size_t i = 0; i < sizeof since6 && s->draft < 6; i++) k->at[since6[i]] = 0;
        for (size_t i = 0; i < sizeof since7 && s->draft < 7; i++) k->at[since7[i]] = 0;
        for (size_t i = 0; i < sizeof since2019 && s->draft < 2019; i++) k->at[since2019[i]] = 0;
        for (size_t i = 0; i < sizeof since2020 && s->draft < 2020; i++) k->at[since2020[i]] = 0;
        if (s->draft >= 2019) k->at[KW_DEPENDENCIES] = 0;
        if (s->draft >= 2020) k->at[KW_ADDITIONAL_ITEMS] = k->at[KW_RECURSIVE_REF] = 0;
    }
    if (s->draft <= 7 && k->at[KW_REF]) { /* a reference hides its siblings */
        uint32_t ref = k->at[KW_REF], defs = k->at[KW_DEFINITIONS], more = k->at[KW_DEFS];
        memset(k, 0, sizeof *k);
        k->at[KW_REF] = ref;
        k->at[KW_DEFINITIONS] = defs;
        k->at[KW_DEFS] = more;
    }
}

unsigned mllm_schema_types(const mllm_schema *s, uint32_t value) {
    static const struct {
        const char *name;
        unsigned bits;
    } names[] = {{"null", TYPE_NULL},       {"boolean", TYPE_BOOLEAN},
                 {"integer", TYPE_INTEGER}, {"number", TYPE_INTEGER | TYPE_FRACTION},
                 {"string", TYPE_STRING},   {"array", TYPE_ARRAY},
                 {"object", TYPE_OBJECT},   {"any", TYPE_ANY}};
    const mllm_json_node *n = &s->doc.nodes[value];
    unsigned bits = 0;
    if (n->kind == MLLM_JSON_STRING) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strcmp(names[i].name, n->as.string) == 0) return names[i].bits;
    } else if (n->kind == MLLM_JSON_ARRAY)
        for (uint32_t c = value + 1, i = 0; i < n->count; i++, c = s->doc.nodes[c].next) {
            unsigned one = s->doc.nodes[c].kind == MLLM_JSON_STRING ? mllm_schema_types(s, c) : 0;
            if (!one) return 0;
            bits |= one;
        }
    return bits;
}

/* --------------------------------------------------------------------- URIs */

/* Length of "scheme:" or 0. */
static size_t scheme_length(const char *u) {
    size_t i = 0;
    while ((u[i] >= 'a' && u[i] <= 'z') || (u[i] >= 'A' && u[i] <= 'Z') ||
           (i > 0 && ((u[i] >= '0' && u[i] <= '9') || u[i] == '+' || u[i] == '-' || u[i] == '.')))
        i++;
    return i > 0 && u[i] == ':' ? i + 1 : 0;
}

/* RFC 3986, 5.2: `ref` (without fragment, `length` bytes) against `base`. Owned by the caller; NULL: no memory. */
static char *resolve_uri(const char *base, const char *ref, size_t length) {
    char *r = mllm_strndup(ref, length);
    if (!r) return NULL;
    if (length == 0) {
        mllm_free(r);
        return mllm_strndup(base, strlen(base));
    }
    size_t scheme = scheme_length(base);
    if (scheme_length(r) || base[0] == 0) return r;
    size_t authority = scheme; /* end of "scheme://host" */
    if (base[scheme] == '/' && base[scheme + 1] == '/') {
        authority = scheme + 2;
        while (base[authority] && base[authority] != '/' && base[authority] != '?') authority++;
    }
    size_t keep = authority;
    if (r[0] == '/' && r[1] == '/')
        keep = scheme;
    else if (r[0] != '/') {
        size_t path = strcspn(base, "?");
        keep = path;
        if (r[0] != '?')
            while (keep > authority && base[keep - 1] != '/') keep--;
    }
    char *out = mllm_alloc(keep + length + 2);
    if (out) {
        memcpy(out, base, keep);
        size_t n = keep;
        if (keep == authority && authority > scheme && r[0] != '/') out[n++] = '/';
        memcpy(out + n, r, length + 1);
        /* dot segments */
        char *start = out + (authority < n ? authority : n), *w = start;
        for (char *p = start; *p;) {
            if (p[0] == '/' && p[1] == '.' && (p[2] == '/' || p[2] == 0)) {
                p += 2;
                if (*p == 0) *w++ = '/';
            } else if (p[0] == '/' && p[1] == '.' && p[2] == '.' && (p[3] == '/' || p[3] == 0)) {
                p += 3;
                while (w > start && *--w != '/') {
                }
                if (*p == 0) *w++ = '/';
            } else
                *w++ = *p++;
        }
        *w = 0;
    }
    mllm_free(r);
    return out;
}

/* -------------------------------------------------------------------- walking */

typedef struct {
    mllm_schema *s;
    uint32_t (*stack)[2]; /* schema node, resource */
    uint32_t count, capacity;
    mllm_error *err;
} walker;

static mllm_code push(walker *w, uint32_t node, uint32_t resource) {
    if (w->count == w->capacity) {
        uint32_t c = w->capacity ? w->capacity * 2 : 64;
        void *p = mllm_realloc_array(w->stack, c, sizeof *w->stack);
        if (!p) return mllm_fail_memory(w->err, c * sizeof *w->stack, "schema");
        w->stack = p;
        w->capacity = c;
    }
    w->stack[w->count][0] = node;
    w->stack[w->count++][1] = resource;
    return MLLM_OK;
}

enum { FORM_NONE, FORM_SCHEMA, FORM_LIST, FORM_MAP, FORM_EITHER };

static int keyword_form(int k, bool *reaches) {
    *reaches = true;
    switch (k) {
    case KW_DEFS:
    case KW_DEFINITIONS: *reaches = false; return FORM_MAP;
    case KW_PROPERTIES:
    case KW_PATTERN_PROPERTIES:
    case KW_DEPENDENT_SCHEMAS:
    case KW_DEPENDENCIES: return FORM_MAP;
    case KW_ALL_OF:
    case KW_ANY_OF:
    case KW_ONE_OF:
    case KW_PREFIX_ITEMS: return FORM_LIST;
    case KW_ITEMS: return FORM_EITHER;
    case KW_NOT:
    case KW_IF:
    case KW_THEN:
    case KW_ELSE:
    case KW_CONTAINS:
    case KW_ADDITIONAL_ITEMS:
    case KW_ADDITIONAL_PROPERTIES:
    case KW_PROPERTY_NAMES:
    case KW_UNEVALUATED_PROPERTIES:
    case KW_UNEVALUATED_ITEMS: return FORM_SCHEMA;
    default: return FORM_NONE;
    }
}

static bool is_schema_kind(mllm_json_kind k) {
    return k == MLLM_JSON_OBJECT || k == MLLM_JSON_TRUE || k == MLLM_JSON_FALSE;
}

/* Pushes the subschemas of `node`. */
static mllm_code push_children(walker *w, uint32_t node, uint32_t resource, bool reachable_only) {
    mllm_schema *s = w->s;
    const mllm_json_node *nodes = s->doc.nodes;
    mllm_keywords kw;
    mllm_code code = MLLM_OK;
    mllm_schema_keywords(s, node, &kw);
    for (int k = 0; k < KW_COUNT && code == MLLM_OK; k++) {
        uint32_t v = kw.at[k];
        bool reaches;
        int form = v ? keyword_form(k, &reaches) : FORM_NONE;
        if (form == FORM_NONE || (reachable_only && !reaches)) continue;
        if (form == FORM_EITHER) form = nodes[v].kind == MLLM_JSON_ARRAY ? FORM_LIST : FORM_SCHEMA;
        if (form == FORM_SCHEMA) {
            if (is_schema_kind(nodes[v].kind)) code = push(w, v, resource);
        } else if (form == FORM_LIST && nodes[v].kind == MLLM_JSON_ARRAY) {
            for (uint32_t c = v + 1, i = 0; i < nodes[v].count && code == MLLM_OK; i++, c = nodes[c].next)
                if (is_schema_kind(nodes[c].kind)) code = push(w, c, resource);
        } else if (form == FORM_MAP && nodes[v].kind == MLLM_JSON_OBJECT) {
            for (uint32_t c = v + 1, i = 0; i < nodes[v].count && code == MLLM_OK; i++, c = nodes[c + 1].next)
                if (is_schema_kind(nodes[c + 1].kind)) code = push(w, c + 1, resource);
        }
    }
    return code;
}

static mllm_code add_anchor(walker *w, uint32_t resource, uint32_t node, uint32_t value, bool dynamic) {
    mllm_schema *s = w->s;
    if (s->doc.nodes[value].kind != MLLM_JSON_STRING) return MLLM_OK;
    if (s->anchor_count == s->anchor_capacity) {
        uint32_t c = s->anchor_capacity ? s->anchor_capacity * 2 : 16;
        void *p = mllm_realloc_array(s->anchors, c, sizeof *s->anchors);
        if (!p) return mllm_fail_memory(w->err, c * sizeof *s->anchors, "schema");
        s->anchors = p;
        s->anchor_capacity = c;
    }
    s->anchors[s->anchor_count++] = (mllm_anchor){resource, node, s->doc.nodes[value].as.string, dynamic};
    return MLLM_OK;
}

static mllm_code add_resource(walker *w, uint32_t node, const char *base, const char *id, size_t length,
                              uint32_t *out) {
    mllm_schema *s = w->s;
    if (s->resource_count == s->resource_capacity) {
        uint32_t c = s->resource_capacity ? s->resource_capacity * 2 : 8;
        void *p = mllm_realloc_array(s->resources, c, sizeof *s->resources);
        if (!p) return mllm_fail_memory(w->err, c * sizeof *s->resources, "schema");
        s->resources = p;
        s->resource_capacity = c;
    }
    char *uri = resolve_uri(base, id, length);
    if (!uri) return mllm_fail_memory(w->err, length, "schema");
    s->resources[s->resource_count] = (mllm_resource){node, uri};
    *out = s->resource_count++;
    return MLLM_OK;
}

/* Marks the schemas below `root`, with their keywords, resources and anchors. */
static mllm_code collect(walker *w, uint32_t root, uint32_t resource) {
    mllm_schema *s = w->s;
    const mllm_json_node *nodes = s->doc.nodes;
    uint32_t bottom = w->count;
    mllm_code code = push(w, root, resource);
    while (code == MLLM_OK && w->count > bottom) {
        uint32_t node = w->stack[--w->count][0], r = w->stack[w->count][1];
        if (s->resource_of[node]) continue;
        uint32_t key = node + 1;
        bool object = nodes[node].kind == MLLM_JSON_OBJECT;
        for (uint32_t i = 0; object && i < nodes[node].count; i++, key = nodes[key + 1].next)
            s->keywords[key] = keyword_id(nodes[key].as.string, nodes[key].count);
        mllm_keywords kw;
        mllm_schema_keywords(s, node, &kw);
        uint32_t id = kw.at[KW_ID];
        if (!id && s->draft <= 4) id = kw.at[KW_OLD_ID];
        if (id && nodes[id].kind == MLLM_JSON_STRING) {
            size_t length = strcspn(nodes[id].as.string, "#");
            const char *fragment = nodes[id].as.string + length;
            if (length > 0) code = add_resource(w, node, s->resources[r].uri, nodes[id].as.string, length, &r);
            if (code == MLLM_OK && fragment[0] == '#' && fragment[1] && fragment[1] != '/')
                code = add_anchor(w, r, node, id, false);
        }
        s->resource_of[node] = r + 1;
        if (code == MLLM_OK && kw.at[KW_ANCHOR]) code = add_anchor(w, r, node, kw.at[KW_ANCHOR], false);
        if (code == MLLM_OK && kw.at[KW_DYNAMIC_ANCHOR]) code = add_anchor(w, r, node, kw.at[KW_DYNAMIC_ANCHOR], true);
        if (code == MLLM_OK) code = push_children(w, node, r, false);
    }
    return code;
}

/* ---------------------------------------------------------------- references */

static int hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* One reference token of a JSON pointer in a URI fragment: percent and tilde undone, in place. Returns its length. */
static size_t unescape(char *t) {
    char *w = t;
    for (char *p = t; *p; p++)
        if (*p == '%' && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
            *w++ = (char)(hex(p[1]) * 16 + hex(p[2]));
            p += 2;
        } else
            *w++ = *p;
    *w = 0;
    size_t n = (size_t)(w - t);
    w = t;
    for (size_t i = 0; i < n; i++)
        if (t[i] == '~' && i + 1 < n && (t[i + 1] == '0' || t[i + 1] == '1'))
            *w++ = t[++i] == '0' ? '~' : '/';
        else
            *w++ = t[i];
    *w = 0;
    return (size_t)(w - t);
}

static uint32_t child_of(const mllm_schema *s, uint32_t node, const char *key, size_t length) {
    const mllm_json_node *nodes = s->doc.nodes;
    if (nodes[node].kind == MLLM_JSON_OBJECT) {
        for (uint32_t c = node + 1, i = 0; i < nodes[node].count; i++, c = nodes[c + 1].next)
            if (nodes[c].count == length && memcmp(nodes[c].as.string, key, length) == 0) return c + 1;
    } else if (nodes[node].kind == MLLM_JSON_ARRAY && length > 0 && length < 9) {
        uint32_t index = 0, c = node + 1;
        for (size_t i = 0; i < length; i++) {
            if (key[i] < '0' || key[i] > '9') return 0;
            index = index * 10 + (uint32_t)(key[i] - '0');
        }
        if (index >= nodes[node].count) return 0;
        while (index--) c = nodes[c].next;
        return c;
    }
    return 0;
}

/* Finds the node that a reference names; NONE when it is not in this document. */
static mllm_code find_target(walker *w, uint32_t resource, const char *ref, uint32_t *target, uint32_t *target_resource,
                             bool *dynamic) {
    mllm_schema *s = w->s;
    size_t length = strcspn(ref, "#");
    const char *fragment = ref[length] ? ref + length + 1 : "";
    *target = NONE;
    *dynamic = false;
    *target_resource = resource;
    if (length > 0) {
        char *uri = resolve_uri(s->resources[resource].uri, ref, length);
        if (!uri) return mllm_fail_memory(w->err, length, "schema");
        uint32_t found = NONE;
        for (uint32_t i = 0; i < s->resource_count && found == NONE; i++)
            if (strcmp(s->resources[i].uri, uri) == 0) found = i;
        mllm_free(uri);
        if (found == NONE) return MLLM_OK;
        *target_resource = found;
    }
    resource = *target_resource;
    if (fragment[0] && fragment[0] != '/') {
        char *name = mllm_strndup(fragment, strlen(fragment));
        if (!name) return mllm_fail_memory(w->err, strlen(fragment), "schema");
        unescape(name);
        for (uint32_t i = 0; i < s->anchor_count; i++) {
            const char *a = s->anchors[i].name, *hash = strchr(a, '#');
            if (s->anchors[i].resource == resource && strcmp(hash ? hash + 1 : a, name) == 0) {
                *target = s->anchors[i].node;
                *dynamic = s->anchors[i].dynamic;
                *target_resource = s->resource_of[*target] - 1;
                break;
            }
        }
        mllm_free(name);
        return MLLM_OK;
    }
    uint32_t at = s->resources[resource].node;
    char *copy = mllm_strndup(fragment, strlen(fragment));
    if (!copy) return mllm_fail_memory(w->err, strlen(fragment), "schema");
    char *p = copy;
    bool missing = false;
    while (*p == '/' && !missing) {
        char *end = strchr(p + 1, '/'), keep = end ? *end : 0;
        if (end) *end = 0;
        size_t raw = strlen(p + 1), n = unescape(p + 1);
        uint32_t next = child_of(s, at, p + 1, n);
        missing = next == 0;
        at = next;
        p += 1 + raw;
        if (keep) *p = keep;
        if (!missing && s->resource_of[at]) *target_resource = s->resource_of[at] - 1;
    }
    mllm_free(copy);
    if (!missing) *target = at;
    return MLLM_OK;
}

/* ------------------------------------------------------------------- checks */

static mllm_code add_nfa(walker *w, uint32_t node, const char *pattern, size_t length, mllm_nfa_mode mode,
                         uint32_t slot, mllm_keyword k) {
    mllm_schema *s = w->s;
    if (s->nfa_count == s->nfa_capacity) {
        uint32_t c = s->nfa_capacity ? s->nfa_capacity * 2 : 8;
        void *p = mllm_realloc_array(s->nfas, c, sizeof *s->nfas);
        if (!p) return mllm_fail_memory(w->err, c * sizeof *s->nfas, "schema");
        s->nfas = p;
        s->nfa_capacity = c;
    }
    mllm_error inner = {.code = MLLM_OK};
    mllm_code code = mllm_nfa_regex(&s->nfas[s->nfa_count], pattern, length, mode, &inner);
    if (code == MLLM_E_MEMORY) return mllm_fail(w->err, code, "%s", inner.message);
    if (code != MLLM_OK && !(s->lenient && code != MLLM_E_FORMAT))
        return refuse(s, node, k, code, inner.message, w->err);
    if (code != MLLM_OK) {
        mllm_schema_note(s, node, mllm_keyword_names[k], "ignored");
        return MLLM_OK;
    }
    s->link[slot] = s->nfa_count++;
    return MLLM_OK;
}

/* The automaton of an earlier equal pattern, so that a schema that repeats one pays once. */
static bool reuse_nfa(mllm_schema *s, uint32_t slot, uint32_t *seen, uint32_t *seen_count, uint32_t most) {
    const mllm_json_node *n = &s->doc.nodes[slot];
    for (uint32_t i = 0; i < *seen_count; i++) {
        if (mllm_json_same_string(&s->doc.nodes[seen[i]], n)) {
            s->link[slot] = s->link[seen[i]];
            return true;
        }
    }
    if (*seen_count < most) seen[(*seen_count)++] = slot;
    return false;
}

static mllm_code check_count(walker *w, uint32_t node, const mllm_keywords *kw, mllm_keyword k) {
    uint32_t v = kw->at[k];
    if (!v) return MLLM_OK;
    const mllm_json_node *n = &w->s->doc.nodes[v];
    mllm_decimal d;
    bool ok = (n->kind == MLLM_JSON_INTEGER || n->kind == MLLM_JSON_NUMBER) &&
              mllm_decimal_read(&d, w->s->text + n->start, n->end - n->start) && !d.negative &&
              mllm_decimal_is_integer(&d);
    return ok ? MLLM_OK : refuse(w->s, node, k, MLLM_E_FORMAT, "a whole number of at least 0 expected", w->err);
}

static mllm_code check_kind(walker *w, uint32_t node, const mllm_keywords *kw, mllm_keyword k, unsigned kinds,
                            const char *expected) {
    uint32_t v = kw->at[k];
    if (!v || (kinds >> w->s->doc.nodes[v].kind & 1)) return MLLM_OK;
    return refuse(w->s, node, k, MLLM_E_FORMAT, expected, w->err);
}

enum {
    K_NUMBER = 1 << MLLM_JSON_INTEGER | 1 << MLLM_JSON_NUMBER,
    K_BOOLEAN = 1 << MLLM_JSON_TRUE | 1 << MLLM_JSON_FALSE,
    K_STRING = 1 << MLLM_JSON_STRING,
    K_ARRAY = 1 << MLLM_JSON_ARRAY,
    K_OBJECT = 1 << MLLM_JSON_OBJECT,
    K_SCHEMA = 1 << MLLM_JSON_OBJECT | 1 << MLLM_JSON_TRUE | 1 << MLLM_JSON_FALSE
};

static bool all_children(const mllm_schema *s, uint32_t v, unsigned kinds) {
    const mllm_json_node *nodes = s->doc.nodes;
    bool object = nodes[v].kind == MLLM_JSON_OBJECT;
    for (uint32_t c = v + 1, i = 0; i < nodes[v].count; i++) {
        uint32_t value = object ? c + 1 : c;
        if (!(kinds >> nodes[value].kind & 1)) return false;
        c = nodes[value].next;
    }
    return true;
}

/* The values of the keywords of one schema have the kinds that the specification asks for. */
static mllm_code check_keywords(walker *w, uint32_t node, const mllm_keywords *kw) {
    static const struct {
        mllm_keyword k;
        unsigned kinds, children;
        const char *expected;
    } rules[] = {{KW_REF, K_STRING, 0, "a string expected"},
                 {KW_DYNAMIC_REF, K_STRING, 0, "a string expected"},
                 {KW_ENUM, K_ARRAY, 0, "an array expected"},
                 {KW_ALL_OF, K_ARRAY, K_SCHEMA, "an array of schemas expected"},
                 {KW_ANY_OF, K_ARRAY, K_SCHEMA, "an array of schemas expected"},
                 {KW_ONE_OF, K_ARRAY, K_SCHEMA, "an array of schemas expected"},
                 {KW_PREFIX_ITEMS, K_ARRAY, K_SCHEMA, "an array of schemas expected"},
                 {KW_NOT, K_SCHEMA, 0, "a schema expected"},
                 {KW_IF, K_SCHEMA, 0, "a schema expected"},
                 {KW_THEN, K_SCHEMA, 0, "a schema expected"},
                 {KW_ELSE, K_SCHEMA, 0, "a schema expected"},
                 {KW_CONTAINS, K_SCHEMA, 0, "a schema expected"},
                 {KW_PROPERTY_NAMES, K_SCHEMA, 0, "a schema expected"},
                 {KW_ADDITIONAL_PROPERTIES, K_SCHEMA, 0, "a schema expected"},
                 {KW_ADDITIONAL_ITEMS, K_SCHEMA, 0, "a schema expected"},
                 {KW_UNEVALUATED_ITEMS, K_SCHEMA, 0, "a schema expected"},
                 {KW_UNEVALUATED_PROPERTIES, K_SCHEMA, 0, "a schema expected"},
                 {KW_ITEMS, K_SCHEMA | K_ARRAY, 0, "a schema or an array of schemas expected"},
                 {KW_PROPERTIES, K_OBJECT, K_SCHEMA, "an object of schemas expected"},
                 {KW_PATTERN_PROPERTIES, K_OBJECT, K_SCHEMA, "an object of schemas expected"},
                 {KW_DEPENDENT_SCHEMAS, K_OBJECT, K_SCHEMA, "an object of schemas expected"},
                 {KW_DEPENDENCIES, K_OBJECT, K_SCHEMA | K_ARRAY, "an object of schemas and lists expected"},
                 {KW_DEPENDENT_REQUIRED, K_OBJECT, K_ARRAY, "an object of lists expected"},
                 {KW_REQUIRED, K_ARRAY, K_STRING, "a list of strings expected"},
                 {KW_MINIMUM, K_NUMBER, 0, "a number expected"},
                 {KW_MAXIMUM, K_NUMBER, 0, "a number expected"},
                 {KW_EXCLUSIVE_MINIMUM, K_NUMBER | K_BOOLEAN, 0, "a number expected"},
                 {KW_EXCLUSIVE_MAXIMUM, K_NUMBER | K_BOOLEAN, 0, "a number expected"},
                 {KW_MULTIPLE_OF, K_NUMBER, 0, "a number expected"},
                 {KW_UNIQUE_ITEMS, K_BOOLEAN, 0, "true or false expected"},
                 {KW_PATTERN, K_STRING, 0, "a string expected"},
                 {KW_FORMAT, K_STRING, 0, "a string expected"}};
    static const mllm_keyword counts[] = {KW_MIN_LENGTH,     KW_MAX_LENGTH,     KW_MIN_ITEMS,    KW_MAX_ITEMS,
                                          KW_MIN_PROPERTIES, KW_MAX_PROPERTIES, KW_MIN_CONTAINS, KW_MAX_CONTAINS};
    mllm_schema *s = w->s;
    mllm_code code = MLLM_OK;
    for (size_t i = 0; i < sizeof rules / sizeof *rules && code == MLLM_OK; i++) {
        code = check_kind(w, node, kw, rules[i].k, rules[i].kinds, rules[i].expected);
        if (code == MLLM_OK && rules[i].children && kw->at[rules[i].k] &&
            !all_children(s, kw->at[rules[i].k], rules[i].children))
            code = refuse(s, node, rules[i].k, MLLM_E_FORMAT, rules[i].expected, w->err);
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts && code == MLLM_OK; i++)
        code = check_count(w, node, kw, counts[i]);
    if (code == MLLM_OK && kw->at[KW_TYPE] && !mllm_schema_types(s, kw->at[KW_TYPE]))
        code = refuse(s, node, KW_TYPE, MLLM_E_FORMAT, "the name of a type or a list of them expected", w->err);
    if (code == MLLM_OK && kw->at[KW_MULTIPLE_OF]) {
        const mllm_json_node *n = &s->doc.nodes[kw->at[KW_MULTIPLE_OF]];
        mllm_decimal d;
        if (!mllm_decimal_read(&d, s->text + n->start, n->end - n->start) || d.negative || d.count == 0)
            code = refuse(s, node, KW_MULTIPLE_OF, MLLM_E_FORMAT, "a number above 0 expected", w->err);
    }
    return code;
}

/* Keywords, references and patterns of every schema that the root reaches. */
static mllm_code link_reachable(walker *w, bool *done) {
    enum { SEEN = 64 };
    mllm_schema *s = w->s;
    const mllm_json_node *nodes = s->doc.nodes;
    uint32_t patterns[SEEN], pattern_count = 0, names[SEEN], name_count = 0, formats[SEEN], format_count = 0;
    mllm_code code = push(w, 0, s->resource_of[0] - 1);
    while (code == MLLM_OK && w->count > 0) {
        uint32_t node = w->stack[--w->count][0], v;
        if (done[node]) continue;
        done[node] = true;
        mllm_keywords kw;
        mllm_schema_keywords(s, node, &kw);
        uint32_t resource = s->resource_of[node] - 1;
        code = check_keywords(w, node, &kw);
        for (int k = KW_REF; k <= KW_DYNAMIC_REF && code == MLLM_OK; k++) {
            if (!(v = kw.at[k])) continue;
            uint32_t target, target_resource;
            bool dynamic;
            code = find_target(w, resource, nodes[v].as.string, &target, &target_resource, &dynamic);
            if (code != MLLM_OK) break;
            if (target == NONE || !is_schema_kind(nodes[target].kind)) {
                char what[300];
                snprintf(what, sizeof what, "'%.200s' is not in this document", nodes[v].as.string);
                if (s->lenient)
                    mllm_schema_note(s, node, mllm_keyword_names[k], "ignored");
                else
                    code = refuse(s, node, (mllm_keyword)k, MLLM_E_UNSUPPORTED, what, w->err);
                continue;
            }
            if (!s->resource_of[target]) {
                uint32_t keep = w->count;
                code = collect(w, target, target_resource);
                w->count = keep;
            }
            s->link[v] = target;
            if (k == KW_DYNAMIC_REF && dynamic) s->dynamic = true;
            if (code == MLLM_OK) code = push(w, target, s->resource_of[target] - 1);
        }
        if (code == MLLM_OK && kw.at[KW_RECURSIVE_REF]) {
            if (s->lenient)
                mllm_schema_note(s, node, "$recursiveRef", "ignored");
            else
                code = refuse(s, node, KW_RECURSIVE_REF, MLLM_E_UNSUPPORTED, "not supported", w->err);
        }
        if (code == MLLM_OK && (v = kw.at[KW_PATTERN]) && !reuse_nfa(s, v, patterns, &pattern_count, SEEN))
            code = add_nfa(w, node, nodes[v].as.string, nodes[v].count, NFA_SEARCH, v, KW_PATTERN);
        if (code == MLLM_OK && (v = kw.at[KW_FORMAT])) {
            const char *pattern = mllm_format_pattern(nodes[v].as.string);
            if (!s->assert_format || !pattern)
                mllm_schema_note(s, node, "format", "annotation");
            else if (!reuse_nfa(s, v, formats, &format_count, SEEN))
                code = add_nfa(w, node, pattern, strlen(pattern), NFA_WHOLE, v, KW_FORMAT);
        }
        if ((v = kw.at[KW_PATTERN_PROPERTIES]))
            for (uint32_t c = v + 1, i = 0; code == MLLM_OK && i < nodes[v].count; i++, c = nodes[c + 1].next)
                if (!reuse_nfa(s, c, names, &name_count, SEEN))
                    code = add_nfa(w, node, nodes[c].as.string, nodes[c].count, NFA_KEYS, c, KW_PATTERN_PROPERTIES);
        if (code == MLLM_OK) code = push_children(w, node, resource, true);
    }
    return code;
}

static int draft_of(const char *uri) {
    static const struct {
        const char *part;
        int draft;
    } names[] = {{"draft-03", 4}, {"draft-04", 4},   {"draft-05", 4},  {"draft-06", 6},
                 {"draft-07", 7}, {"2019-09", 2019}, {"2020-12", 2020}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strstr(uri, names[i].part)) return names[i].draft;
    return 0;
}

mllm_code mllm_schema_read(mllm_schema *s, const char *text, size_t length, const mllm_schema_options *options,
                           mllm_error *err) {
    static const mllm_schema_options defaults;
    if (!options) options = &defaults;
    memset(s, 0, sizeof *s);
    s->text = mllm_strndup(text, length);
    s->length = length;
    if (!s->text) return mllm_fail_memory(err, length, "schema");
    mllm_error inner;
    mllm_code code = mllm_json_parse(&s->doc, s->text, length, 0, &inner);
    if (code != MLLM_OK) {
        mllm_free(s->text);
        memset(s, 0, sizeof *s);
        return mllm_fail(err, code, "schema: %s", inner.message);
    }
    if (!is_schema_kind(s->doc.nodes[0].kind)) {
        mllm_schema_free(s);
        return mllm_fail(err, MLLM_E_FORMAT, "schema #: an object, true or false expected");
    }
    uint32_t dialect = mllm_json_get(&s->doc, 0, "$schema");
    int named =
        dialect && s->doc.nodes[dialect].kind == MLLM_JSON_STRING ? draft_of(s->doc.nodes[dialect].as.string) : 0;
    s->draft = options->draft ? options->draft : named ? named : 2020;
    s->named_draft = options->draft || named;
    s->lenient = options->lenient;
    s->assert_format = options->format == MLLM_FORMAT_ASSERT;
    size_t n = s->doc.count;
    s->keywords = mllm_alloc(n);
    s->resource_of = mllm_calloc(n, sizeof *s->resource_of);
    s->link = mllm_alloc_array(n, sizeof *s->link);
    bool *done = mllm_calloc(n, sizeof *done);
    walker w = {.s = s, .err = err};
    uint32_t root;
    if (!s->keywords || !s->resource_of || !s->link || !done)
        code = mllm_fail_memory(err, n * 10, "schema");
    else {
        memset(s->keywords, 0xFF, n);
        memset(s->link, 0xFF, n * sizeof *s->link);
        code = add_resource(&w, 0, "", "", 0, &root);
        if (code == MLLM_OK) code = collect(&w, 0, root);
        if (code == MLLM_OK) code = link_reachable(&w, done);
        if (code == MLLM_OK) mllm_buffer_put(&s->report, "", 1);
        if (code == MLLM_OK && s->report.failed) code = mllm_fail_memory(err, 0, "schema");
        if (code == MLLM_OK) s->report.length--; /* the terminator is not part of it */
    }
    mllm_free(done);
    mllm_free(w.stack);
    if (code != MLLM_OK) mllm_schema_free(s);
    return code;
}
