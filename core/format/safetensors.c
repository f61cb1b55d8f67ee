#include "safetensors.h"

#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/file_map.h"
#include "../base/json.h"
#include "../base/order.h"

/* The reference implementation's own bound of the header, and ours of the tensors. */
enum { MAX_HEADER = 100000000, MAX_TENSORS = 1 << 16 };

typedef struct {
    const char *name, *dtype; /* point into the JSON tree */
    mllm_tensor tensor;
    uint64_t from, to; /* bytes of the data */
} entry;

struct mllm_safetensors {
    mllm_file_map map;
    mllm_json header;
    entry *entries;
    uint32_t *by_name;
    size_t count;
};

static bool name_before(const void *ctx, uint32_t a, uint32_t b) {
    const entry *e = ctx;
    return strcmp(e[a].name, e[b].name) < 0;
}

static bool offset_before(const void *ctx, uint32_t a, uint32_t b) {
    const entry *e = ctx;
    return e[a].from < e[b].from || (e[a].from == e[b].from && e[a].to < e[b].to);
}

/* Bytes of a number of this type, 0 when it is not known. */
static unsigned dtype_bytes(const char *dtype, bool *readable, mllm_type *type) {
    static const struct {
        const char *name;
        unsigned bytes;
        bool readable;
        mllm_type type;
    } known[] = {{"F32", 4, true, MLLM_F32}, {"F16", 2, true, MLLM_F16}, {"BF16", 2, true, MLLM_BF16},
                 {"F64", 8, false, 0},       {"I64", 8, false, 0},       {"U64", 8, false, 0},
                 {"I32", 4, false, 0},       {"U32", 4, false, 0},       {"I16", 2, false, 0},
                 {"U16", 2, false, 0},       {"I8", 1, false, 0},        {"U8", 1, false, 0},
                 {"BOOL", 1, false, 0},      {"F8_E4M3", 1, false, 0},   {"F8_E5M2", 1, false, 0}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, dtype) != 0) continue;
        *readable = known[i].readable;
        *type = known[i].type;
        return known[i].bytes;
    }
    *readable = false;
    return 0;
}

/* The tensor described by the object at `node`. */
static mllm_code read_entry(mllm_safetensors *s, entry *e, uint32_t node, uint64_t data_size, const char *path,
                            mllm_error *err) {
    const mllm_json *h = &s->header;
    const mllm_json_node *n = h->nodes;
    uint32_t dtype = mllm_json_get(h, node, "dtype"), shape = mllm_json_get(h, node, "shape"),
             offsets = mllm_json_get(h, node, "data_offsets");
    if (!dtype || n[dtype].kind != MLLM_JSON_STRING || !shape || n[shape].kind != MLLM_JSON_ARRAY || !offsets ||
        n[offsets].kind != MLLM_JSON_ARRAY || n[offsets].count != 2)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: tensor %.120s has no dtype, shape and data_offsets", path, e->name);
    e->dtype = n[dtype].as.string;
    const mllm_json_node *from = &n[offsets + 1], *to = &n[n[offsets + 1].next];
    if (from->kind != MLLM_JSON_INTEGER || to->kind != MLLM_JSON_INTEGER || from->as.integer < 0 ||
        to->as.integer < from->as.integer)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: tensor %.120s: data_offsets are no range of bytes", path, e->name);
    e->from = (uint64_t)from->as.integer;
    e->to = (uint64_t)to->as.integer;
    if (e->to > data_size)
        return mllm_fail(err, MLLM_E_FORMAT,
                         "%s: tensor %.120s: data up to offset %llu, but the file holds %llu bytes of data", path,
                         e->name, (unsigned long long)e->to, (unsigned long long)data_size);
    uint64_t rows = 1, cols = 1, total = 1;
    uint32_t at = shape + 1;
    for (uint32_t i = 0; i < n[shape].count; i++, at = n[at].next) {
        uint64_t size =
            n[at].kind == MLLM_JSON_INTEGER && n[at].as.integer >= 0 ? (uint64_t)n[at].as.integer : UINT64_MAX;
        if (size == UINT64_MAX || (size && total > UINT64_C(0x7FFFFFFFFFFFFFF) / size))
            return mllm_fail(err, MLLM_E_FORMAT, "%s: tensor %.120s has an impossible shape", path, e->name);
        total *= size;
        rows *= i ? cols : 1;
        cols = size;
    }
    bool readable;
    mllm_type type = MLLM_F32;
    unsigned bytes = dtype_bytes(e->dtype, &readable, &type);
    if (bytes && total * bytes != e->to - e->from)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: tensor %.120s: %llu numbers of type %s do not fill %llu bytes", path,
                         e->name, (unsigned long long)total, e->dtype, (unsigned long long)(e->to - e->from));
    e->tensor = (mllm_tensor){.type = type, .rows = (size_t)rows, .cols = (size_t)cols};
    e->tensor.row_bytes = readable && total ? (size_t)cols * bytes : 0;
    return MLLM_OK;
}

static mllm_code check_order(mllm_safetensors *s, const char *path, mllm_error *err) {
    mllm_order(s->by_name, s->count, offset_before, s->entries);
    const entry *last = NULL; /* the one that reaches farthest so far */
    for (size_t i = 0; i < s->count; i++) {
        const entry *e = &s->entries[s->by_name[i]];
        if (e->to == e->from) continue;
        if (last && last->to > e->from)
            return mllm_fail(err, MLLM_E_FORMAT, "%s: tensors %.120s and %.120s overlap at offset %llu", path,
                             last->name, e->name, (unsigned long long)e->from);
        last = e;
    }
    mllm_order(s->by_name, s->count, name_before, s->entries);
    for (size_t i = 1; i < s->count; i++) {
        const char *name = s->entries[s->by_name[i]].name;
        if (strcmp(s->entries[s->by_name[i - 1]].name, name) == 0)
            return mllm_fail(err, MLLM_E_FORMAT, "%s: tensor %.120s stands twice", path, name);
    }
    return MLLM_OK;
}

static mllm_code read_header(mllm_safetensors *s, const char *path, mllm_error *err) {
    uint64_t length = 0;
    if (s->map.size < 8)
        return mllm_fail(err, MLLM_E_FORMAT, "%s: truncated: %zu bytes are no safetensors file", path, s->map.size);
    memcpy(&length, s->map.data, sizeof length);
    if (length > MAX_HEADER || length > s->map.size - 8)
        return mllm_fail(err, MLLM_E_FORMAT,
                         "%s: truncated or no safetensors file: a header of %llu bytes in a file of %zu", path,
                         (unsigned long long)length, s->map.size);
    mllm_error inner = {0};
    mllm_code code = mllm_json_parse(&s->header, (const char *)s->map.data + 8, (size_t)length, 0, &inner);
    if (code) return mllm_fail(err, code, "%s: header: %.300s", path, inner.message);
    const mllm_json_node *n = s->header.nodes;
    if (n->kind != MLLM_JSON_OBJECT) return mllm_fail(err, MLLM_E_FORMAT, "%s: the header is no JSON object", path);
    if (n->count > MAX_TENSORS)
        return mllm_fail(err, MLLM_E_LIMIT, "%s: %u tensors, more than %d", path, n->count, MAX_TENSORS);
    s->entries = mllm_calloc(n->count, sizeof *s->entries);
    s->by_name = mllm_alloc_array(n->count, sizeof *s->by_name);
    if (!s->entries || !s->by_name)
        return mllm_fail_memory(err, n->count * (sizeof *s->entries + sizeof *s->by_name),
                                "the tensors of a safetensors file");
    uint32_t key = 1;
    for (uint32_t i = 0; i < n->count; i++, key = n[key + 1].next) {
        const char *name = n[key].as.string;
        if (strcmp(name, "__metadata__") == 0) continue;
        if (strlen(name) != n[key].count || n[key].count == 0)
            return mllm_fail(err, MLLM_E_FORMAT, "%s: a tensor's name is empty or holds a NUL", path);
        entry *e = &s->entries[s->count];
        e->name = name;
        if ((code = read_entry(s, e, key + 1, s->map.size - 8 - length, path, err)) != MLLM_OK) return code;
        if (e->tensor.row_bytes) e->tensor.data = s->map.data + 8 + length + e->from;
        s->by_name[s->count] = (uint32_t)s->count;
        s->count++;
    }
    return check_order(s, path, err);
}

mllm_safetensors *mllm_safetensors_open(const char *path, mllm_error *err) {
    mllm_safetensors *s = mllm_calloc(1, sizeof *s);
    if (!s) {
        mllm_fail_memory(err, sizeof *s, "a safetensors file");
        return NULL;
    }
    if (mllm_file_map_open(&s->map, path, err) != MLLM_OK || read_header(s, path, err) != MLLM_OK) {
        mllm_safetensors_close(s);
        return NULL;
    }
    return s;
}

void mllm_safetensors_close(mllm_safetensors *s) {
    if (!s) return;
    mllm_json_free(&s->header);
    mllm_free(s->entries);
    mllm_free(s->by_name);
    mllm_file_map_close(&s->map);
    mllm_free(s);
}

size_t mllm_safetensors_count(const mllm_safetensors *s) {
    return s->count;
}

const char *mllm_safetensors_name(const mllm_safetensors *s, size_t i) {
    return i < s->count ? s->entries[i].name : NULL;
}

const mllm_tensor *mllm_safetensors_find(const mllm_safetensors *s, const char *name, const char **dtype) {
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const entry *e = &s->entries[s->by_name[middle]];
        int order = strcmp(name, e->name);
        if (order == 0) {
            if (dtype) *dtype = e->dtype;
            return &e->tensor;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
