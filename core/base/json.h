/* json.h - JSON (RFC 8259): a strict reader into a compact tree, and the spelling of strings and numbers.
 *
 * The tree keeps key order, duplicate keys, and each value's place in the text; integers that fit int64 stay integers; other
 * numbers are doubles and keep their spelling through `start`. Nesting and size are bounded and the parser uses no C stack. */
#ifndef MLLM_BASE_JSON_H
#define MLLM_BASE_JSON_H

#include "../mobilellm.h"

typedef enum {
    MLLM_JSON_NULL,
    MLLM_JSON_FALSE,
    MLLM_JSON_TRUE,
    MLLM_JSON_INTEGER,
    MLLM_JSON_NUMBER,
    MLLM_JSON_STRING,
    MLLM_JSON_ARRAY,
    MLLM_JSON_OBJECT
} mllm_json_kind;

/* Nodes stand in document order in one array. A container's children follow it; `next` skips a whole subtree, so that
 *   for (i = node + 1, n = count; n--; i = doc->nodes[i].next)   walks an array (in an object: key, value, key, value). */
typedef struct {
    mllm_json_kind kind;
    uint32_t next; /* index of the first node after this subtree */
    uint32_t count; /* children: array elements, object members; string: bytes of `string` */
    uint32_t start, end; /* byte span in the text */
    union {
        int64_t integer;
        double number;
        const char *string; /* unescaped, terminated (may hold NUL inside), UTF-8 */
    } as;
} mllm_json_node;

typedef struct {
    mllm_json_node *nodes; /* nodes[0] is the root */
    uint32_t count;
    char *strings; /* owned: the unescaped bytes */
} mllm_json;

enum { MLLM_JSON_MAX_DEPTH = 512 };

/* Parses all of text[length]; anything after the value but white space is an error. `max_depth` 0: the default above. The message
 * holds line and column. "-0" is the double -0.0; a number beyond the doubles is MLLM_E_LIMIT, as it could not be written again. Lone surrogate escapes are an error (MLLM_E_FORMAT), depth is MLLM_E_LIMIT. */
mllm_code mllm_json_parse(mllm_json *doc, const char *text, size_t length, unsigned max_depth, mllm_error *err);
void mllm_json_free(mllm_json *doc);
/* Index of the value of `key` (the last one, if repeated) in the object at `node`; 0 when absent or no object. */
uint32_t mllm_json_get(const mllm_json *doc, uint32_t node, const char *key);
/* Whether two strings (keys included), of one document or of two, are the same. */
bool mllm_json_same_string(const mllm_json_node *a, const mllm_json_node *b);
/* Index of the value of the first member of the object at `node` whose key is that string; 0: none. */
uint32_t mllm_json_member(const mllm_json *doc, uint32_t node, const mllm_json_node *key);

/* A growing byte buffer for writers; `failed` sticks. */
typedef struct {
    char *data;
    size_t length, capacity;
    bool failed;
} mllm_buffer;
void mllm_buffer_put(mllm_buffer *b, const char *bytes, size_t length);
void mllm_buffer_free(mllm_buffer *b);
/* "..." with the escapes that RFC 8259 requires and no others; false when the bytes are not UTF-8 (nothing is written). */
bool mllm_json_put_string(mllm_buffer *b, const char *s, size_t length);
/* The shortest spelling that reads back as the same double, always with '.' or 'e' so that it stays a float; false for NaN and infinities. */
bool mllm_json_put_double(mllm_buffer *b, double v);
void mllm_json_put_integer(mllm_buffer *b, int64_t v);

#endif
