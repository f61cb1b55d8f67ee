/* schema.h - a JSON Schema made ready: references resolved, patterns compiled, keywords known. The validator evaluates it; the shapes of
 * a grammar are made from it. */
#ifndef MLLM_GRAMMAR_SCHEMA_H
#define MLLM_GRAMMAR_SCHEMA_H

#include "../base/json.h"
#include "nfa.h"

/* clang-format off */
#define SCHEMA_KEYWORDS(X)                                                                                            \
    X(REF, "$ref") X(DYNAMIC_REF, "$dynamicRef") X(RECURSIVE_REF, "$recursiveRef") X(ID, "$id") X(OLD_ID, "id")       \
    X(ANCHOR, "$anchor") X(DYNAMIC_ANCHOR, "$dynamicAnchor") X(DEFS, "$defs") X(DEFINITIONS, "definitions")           \
    X(TYPE, "type") X(ENUM, "enum") X(CONST, "const") X(ALL_OF, "allOf") X(ANY_OF, "anyOf") X(ONE_OF, "oneOf")        \
    X(NOT, "not") X(IF, "if") X(THEN, "then") X(ELSE, "else") X(MINIMUM, "minimum") X(MAXIMUM, "maximum")             \
    X(EXCLUSIVE_MINIMUM, "exclusiveMinimum") X(EXCLUSIVE_MAXIMUM, "exclusiveMaximum")                                 \
    X(MULTIPLE_OF, "multipleOf") X(MIN_LENGTH, "minLength") X(MAX_LENGTH, "maxLength") X(PATTERN, "pattern")          \
    X(FORMAT, "format") X(ITEMS, "items") X(PREFIX_ITEMS, "prefixItems") X(ADDITIONAL_ITEMS, "additionalItems")       \
    X(MIN_ITEMS, "minItems") X(MAX_ITEMS, "maxItems") X(UNIQUE_ITEMS, "uniqueItems") X(CONTAINS, "contains")          \
    X(MIN_CONTAINS, "minContains") X(MAX_CONTAINS, "maxContains") X(PROPERTIES, "properties")                         \
    X(PATTERN_PROPERTIES, "patternProperties") X(ADDITIONAL_PROPERTIES, "additionalProperties")                       \
    X(REQUIRED, "required") X(MIN_PROPERTIES, "minProperties") X(MAX_PROPERTIES, "maxProperties")                     \
    X(PROPERTY_NAMES, "propertyNames") X(DEPENDENCIES, "dependencies")                                                \
    X(DEPENDENT_REQUIRED, "dependentRequired") X(DEPENDENT_SCHEMAS, "dependentSchemas")                               \
    X(UNEVALUATED_PROPERTIES, "unevaluatedProperties") X(UNEVALUATED_ITEMS, "unevaluatedItems")
/* clang-format on */

typedef enum {
#define X(name, text) KW_##name,
    SCHEMA_KEYWORDS(X)
#undef X
        KW_COUNT
} mllm_keyword;

extern const char *const mllm_keyword_names[KW_COUNT];

enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4, /* numbers without a fraction */
    TYPE_FRACTION = 8, /* the other numbers */
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ANY = 127
};

typedef struct {
    uint32_t node;
    char *uri; /* absolute or "", without fragment */
} mllm_resource;

typedef struct {
    uint32_t resource, node;
    const char *name;
    bool dynamic;
} mllm_anchor;

typedef struct {
    char *text; /* owned copy: the tree points into it */
    size_t length;
    mllm_json doc;
    int draft;
    bool named_draft; /* by $schema or the caller */
    bool assert_format, lenient;
    mllm_resource *resources;
    uint32_t resource_count, resource_capacity;
    mllm_anchor *anchors;
    uint32_t anchor_count, anchor_capacity;
    uint8_t *keywords; /* [doc.count] of a key node inside a schema object: its mllm_keyword, else 0xFF */
    uint32_t *resource_of; /* [doc.count] of a schema node: its resource + 1, 0: no schema */
    uint32_t *
        link; /* [doc.count] of the value of $ref and $dynamicRef: the target; of the value of pattern and format and of a key of
                       patternProperties: its automaton. NONE otherwise */
    mllm_nfa *nfas;
    uint32_t nfa_count, nfa_capacity;
    bool dynamic; /* some $dynamicRef really depends on the path */
    mllm_buffer report;
} mllm_schema;

/* Values of the keywords that a schema object has; 0 (the root is never a value) where it has none. */
typedef struct {
    uint32_t at[KW_COUNT];
} mllm_keywords;

mllm_code mllm_schema_read(mllm_schema *s, const char *text, size_t length, const mllm_schema_options *options,
                           mllm_error *err);
void mllm_schema_free(mllm_schema *s);
void mllm_schema_keywords(const mllm_schema *s, uint32_t node, mllm_keywords *k);
/* "#/properties/a" of a node, for messages: at most `size` bytes with the terminator; long ones lose their middle. Returns out. */
char *mllm_schema_pointer(const mllm_schema *s, uint32_t node, char *out, size_t size);
/* Adds a line to the report. */
void mllm_schema_note(mllm_schema *s, uint32_t node, const char *keyword, const char *tier);

static inline bool mllm_schema_is_true(const mllm_schema *s, uint32_t node) {
    const mllm_json_node *n = &s->doc.nodes[node];
    return n->kind == MLLM_JSON_TRUE || (n->kind == MLLM_JSON_OBJECT && n->count == 0);
}
static inline bool mllm_schema_is_false(const mllm_schema *s, uint32_t node) {
    return s->doc.nodes[node].kind == MLLM_JSON_FALSE;
}
/* Bit mask of a value of "type". */
unsigned mllm_schema_types(const mllm_schema *s, uint32_t value);
/* The regular expression that a known format stands for; NULL for others. */
const char *mllm_format_pattern(const char *name);

/* ---------------------------------------------------------------- validator */

typedef struct {
    const mllm_json *doc;
    const char *text;
} mllm_instance;

typedef struct {
    uint32_t schema; /* the value of the keyword that failed, or the schema `false` */
    uint32_t instance;
    bool limit; /* nested too deep to decide */
    bool memory;
    uint32_t work; /* schemas that were evaluated and patterns that were run: a measure of the time it took */
} mllm_violation;

/* Does the value at `instance` of `in` satisfy the schema at `node`? */
bool mllm_schema_check(const mllm_schema *s, uint32_t node, const mllm_instance *in, uint32_t instance,
                       mllm_violation *why);
bool mllm_json_equal(const mllm_instance *a, uint32_t x, const mllm_instance *b, uint32_t y);
uint64_t mllm_json_hash(const mllm_instance *a, uint32_t x);
unsigned mllm_json_type(const mllm_instance *in, uint32_t node); /* one TYPE_ bit */

#endif
