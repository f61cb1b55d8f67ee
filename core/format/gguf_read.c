/* gguf_read.c - GGUF v2 and v3 through a memory map.
 *
 *   "GGUF", u32 version, u64 tensors, u64 keys
 *   keys     {string key, u32 type, value}      string: u64 length, bytes; array: u32 type, u64 count, values
 *   tensors  {string name, u32 dimensions, u64 size[dimensions] (innermost first), u32 type, u64 offset}
 *   padding to general.alignment (32), then the data; each offset counts from here and is a multiple of the alignment
 *
 * All numbers are little endian and unaligned. Nothing here is trusted: every count is compared with the bytes that are left
 * before it is used, so that memory stays proportional to the file. */
#include "gguf.h"

#include <stdio.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/file_map.h"
#include "../base/order.h"
#include "../tensor/packed.h"

enum { MAX_KEYS = 4096, MAX_TENSORS = 1 << 16, MAX_KEY_LENGTH = 65535, MAX_NAME_LENGTH = 1024, MAX_DIMENSIONS = 4 };
enum { MAX_ALIGNMENT = 1 << 20 };

typedef struct {
    const char *name; /* owned */
    mllm_tensor tensor;
    uint64_t offset, bytes;
} entry;

struct mllm_gguf {
    mllm_file_map map;
    char *path;
    mllm_kv *kvs; /* the keys are owned copies */
    size_t kv_count;
    entry *tensors;
    uint32_t *by_name; /* [tensor_count], sorted */
    size_t tensor_count;
};

/* The reading position. `what` is the thing being read, for messages. */
typedef struct {
    mllm_gguf *g;
    size_t at;
    const char *what;
    mllm_error *err;
} reader;

static mllm_code truncated(reader *r, uint64_t need) {
    return mllm_fail(r->err, MLLM_E_FORMAT, "%s: truncated: %.120s at byte %zu needs %llu bytes, the file ends at %zu",
                     r->g->path, r->what, r->at, (unsigned long long)need, r->g->map.size);
}

static mllm_code take(reader *r, uint64_t bytes, const uint8_t **out) {
    if (bytes > r->g->map.size - r->at) return truncated(r, bytes);
    *out = r->g->map.data + r->at;
    r->at += (size_t)bytes;
    return MLLM_OK;
}

static mllm_code take_u32(reader *r, uint32_t *out) {
    const uint8_t *p = NULL;
    mllm_code code = take(r, 4, &p);
    if (code == MLLM_OK) memcpy(out, p, 4);
    return code;
}

static mllm_code take_u64(reader *r, uint64_t *out) {
    const uint8_t *p = NULL;
    mllm_code code = take(r, 8, &p);
    if (code == MLLM_OK) memcpy(out, p, 8);
    return code;
}

/* A string that becomes a name: copied and terminated; a NUL inside would make two names look alike. */
static mllm_code take_name(reader *r, uint64_t limit, char **out) {
    uint64_t length;
    const uint8_t *p = NULL;
    size_t start = r->at;
    mllm_code code = take_u64(r, &length);
    if (code) return code;
    if (length > limit || length == 0)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: %s at byte %zu has %llu bytes (1 to %llu are possible)",
                         r->g->path, r->what, start, (unsigned long long)length, (unsigned long long)limit);
    if ((code = take(r, length, &p)) != MLLM_OK) return code;
    if (memchr(p, 0, (size_t)length))
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: %s at byte %zu holds a NUL", r->g->path, r->what, start);
    *out = mllm_strndup((const char *)p, (size_t)length);
    return *out ? MLLM_OK : mllm_fail_memory(r->err, (size_t)length + 1, r->what);
}

/* Bytes of a number type; 0 for strings, arrays and unknown ones. */
static size_t number_bytes(uint32_t type) {
    switch (type) {
    case MLLM_KV_U8:
    case MLLM_KV_I8:
    case MLLM_KV_BOOL: return 1;
    case MLLM_KV_U16:
    case MLLM_KV_I16: return 2;
    case MLLM_KV_U32:
    case MLLM_KV_I32:
    case MLLM_KV_F32: return 4;
    case MLLM_KV_U64:
    case MLLM_KV_I64:
    case MLLM_KV_F64: return 8;
    default: return 0;
    }
}

static mllm_code take_value(reader *r, mllm_kv *kv) {
    uint32_t type;
    const uint8_t *p = NULL;
    size_t start = r->at;
    mllm_code code = take_u32(r, &type);
    if (code) return code;
    kv->count = 1;
    if (type == MLLM_KV_ARRAY) {
        kv->is_array = true;
        if ((code = take_u32(r, &type)) != MLLM_OK || (code = take_u64(r, &kv->count)) != MLLM_OK) return code;
        if (type == MLLM_KV_ARRAY)
            return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: key %.120s at byte %zu is an array of arrays", r->g->path,
                             r->what, start);
    }
    kv->type = (mllm_kv_type)type;
    size_t bytes = number_bytes(type);
    if (bytes) {
        if (kv->count > (r->g->map.size - r->at) / bytes)
            return truncated(r, kv->count > UINT64_MAX / bytes ? UINT64_MAX : kv->count * bytes);
        if ((code = take(r, kv->count * bytes, &p)) != MLLM_OK) return code;
        kv->data = p;
        return MLLM_OK;
    }
    if (type != MLLM_KV_STRING)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: key %.120s at byte %zu has the unknown type %u", r->g->path,
                         r->what, start, type);
    if (kv->is_array) kv->data = r->g->map.data + r->at;
    for (uint64_t i = 0; i < kv->count; i++) {
        uint64_t length;
        if ((code = take_u64(r, &length)) != MLLM_OK || (code = take(r, length, &p)) != MLLM_OK) return code;
        if (kv->is_array) continue;
        kv->data = p;
        kv->length = (size_t)length;
    }
    return MLLM_OK;
}

static mllm_code read_keys(reader *r, uint64_t count) {
    mllm_gguf *g = r->g;
    r->what = "the keys";
    if (count > MAX_KEYS)
        return mllm_fail(r->err, MLLM_E_LIMIT, "%s: %llu keys, more than %d", g->path, (unsigned long long)count,
                         MAX_KEYS);
    if (count > (g->map.size - r->at) / 14) return truncated(r, count * 14);
    g->kvs = mllm_calloc((size_t)count, sizeof *g->kvs);
    if (!g->kvs) return mllm_fail_memory(r->err, (size_t)count * sizeof *g->kvs, "the keys of a GGUF file");
    while (g->kv_count < count) {
        mllm_kv *kv = &g->kvs[g->kv_count];
        char *key;
        r->what = "a key";
        size_t start = r->at;
        mllm_code code = take_name(r, MAX_KEY_LENGTH, &key);
        if (code) return code;
        kv->key = key;
        g->kv_count++; /* from here on close frees the key */
        r->what = key;
        if ((code = take_value(r, kv)) != MLLM_OK) return code;
        for (size_t i = 0; i + 1 < g->kv_count; i++)
            if (strcmp(g->kvs[i].key, key) == 0)
                return mllm_fail(r->err, MLLM_E_FORMAT, "%s: key %.120s stands twice, again at byte %zu", g->path, key,
                                 start);
    }
    return MLLM_OK;
}

/* Panels are read in place: the file must say that they are of the one layout that is known. */
static mllm_code check_layout(reader *r, const char *name) {
    const char *s;
    size_t length;
    if (!mllm_gguf_string(r->g, MLLM_PACKED_KEY, &s, &length))
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tensor %.120s is packed, but there is no string " MLLM_PACKED_KEY,
                         r->g->path, name);
    if (length != strlen(MLLM_PACKED_LAYOUT) || memcmp(s, MLLM_PACKED_LAYOUT, length) != 0)
        return mllm_fail(r->err, MLLM_E_UNSUPPORTED,
                         "%s: tensor %.120s is packed as \"%.*s\"; only \"" MLLM_PACKED_LAYOUT "\" can be read",
                         r->g->path, name, length < 40 ? (int)length : 40, s);
    return MLLM_OK;
}

static mllm_code read_tensor(reader *r, entry *t) {
    const char *path = r->g->path;
    uint32_t dimensions, type;
    size_t start = r->at;
    mllm_code code = take_u32(r, &dimensions);
    if (code) return code;
    if (dimensions == 0 || dimensions > MAX_DIMENSIONS)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tensor %.120s has %u dimensions (at byte %zu)", path, t->name,
                         dimensions, start);
    uint64_t size[MAX_DIMENSIONS] = {1, 1, 1, 1}, rows = 1;
    for (uint32_t i = 0; i < dimensions; i++) {
        if ((code = take_u64(r, &size[i])) != MLLM_OK) return code;
        bool fits = size[i] > 0 && size[i] <= SIZE_MAX / 64 && (i == 0 || rows <= SIZE_MAX / 64 / size[i]);
        if (i) rows *= fits ? size[i] : 1;
        if (!fits || rows > SIZE_MAX / 64 / size[0])
            return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tensor %.120s has the impossible size %llu in dimension %u",
                             path, t->name, (unsigned long long)size[i], i);
    }
    start = r->at;
    if ((code = take_u32(r, &type)) != MLLM_OK || (code = take_u64(r, &t->offset)) != MLLM_OK) return code;
    const mllm_type_info *facts = mllm_type_facts(type);
    if (!facts)
        return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: tensor %.120s has the unknown type %u (at byte %zu)", path,
                         t->name, type, start);
    t->tensor.type = (mllm_type)type;
    if (mllm_type_is_packed(t->tensor.type) && (code = check_layout(r, t->name)) != MLLM_OK) return code;
    t->tensor.cols = (size_t)size[0];
    t->tensor.rows = (size_t)rows;
    t->tensor.row_bytes = mllm_row_bytes(t->tensor.type, t->tensor.cols);
    if (t->tensor.row_bytes == 0)
        return mllm_fail(r->err, MLLM_E_FORMAT,
                         "%s: tensor %.120s: rows of %zu are no multiple of the %u of a block of %s", path, t->name,
                         t->tensor.cols, facts->block, facts->name);
    if (t->tensor.row_bytes > SIZE_MAX / (rows + MLLM_PANEL))
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tensor %.120s is larger than the address space", path, t->name);
    t->bytes = mllm_tensor_bytes(&t->tensor);
    return MLLM_OK;
}

static bool offset_before(const void *ctx, uint32_t a, uint32_t b) {
    const entry *t = ctx;
    return t[a].offset < t[b].offset;
}

static bool name_before(const void *ctx, uint32_t a, uint32_t b) {
    const entry *t = ctx;
    return strcmp(t[a].name, t[b].name) < 0;
}

static mllm_code read_tensors(reader *r, uint64_t count) {
    mllm_gguf *g = r->g;
    r->what = "the tensor list";
    if (count > MAX_TENSORS)
        return mllm_fail(r->err, MLLM_E_LIMIT, "%s: %llu tensors, more than %d", g->path, (unsigned long long)count,
                         MAX_TENSORS);
    if (count > (g->map.size - r->at) / 33) return truncated(r, count * 33);
    g->tensors = mllm_calloc((size_t)count, sizeof *g->tensors);
    g->by_name = mllm_alloc_array((size_t)count, sizeof *g->by_name);
    if (!g->tensors || !g->by_name)
        return mllm_fail_memory(r->err, (size_t)count * (sizeof *g->tensors + sizeof *g->by_name),
                                "the tensors of a GGUF file");
    while (g->tensor_count < count) {
        entry *t = &g->tensors[g->tensor_count];
        char *name;
        r->what = "a tensor's name";
        mllm_code code = take_name(r, MAX_NAME_LENGTH, &name);
        if (code) return code;
        t->name = name;
        g->by_name[g->tensor_count] = (uint32_t)g->tensor_count;
        g->tensor_count++;
        r->what = name;
        if ((code = read_tensor(r, t)) != MLLM_OK) return code;
    }
    return MLLM_OK;
}

/* Gives every tensor its bytes: aligned, inside the file, none shared with another. Leaves by_name sorted by name. */
static mllm_code place_tensors(reader *r, uint64_t alignment) {
    mllm_gguf *g = r->g;
    size_t n = g->tensor_count, size = g->map.size;
    if (n == 0) return MLLM_OK;
    size_t start = (r->at + (size_t)alignment - 1) / (size_t)alignment * (size_t)alignment;
    if (start > size) {
        r->what = "the padding before the data";
        return truncated(r, start - r->at);
    }
    mllm_order(g->by_name, n, offset_before, g->tensors);
    for (size_t i = 0; i < n; i++) {
        entry *t = &g->tensors[g->by_name[i]];
        if (t->offset % alignment)
            return mllm_fail(r->err, MLLM_E_FORMAT,
                             "%s: tensor %.120s begins at offset %llu, no multiple of the alignment %llu", g->path,
                             t->name, (unsigned long long)t->offset, (unsigned long long)alignment);
        if (mllm_type_is_packed(t->tensor.type) && (start + t->offset) % MLLM_PACKED_ALIGNMENT)
            return mllm_fail(r->err, MLLM_E_FORMAT, "%s: packed tensor %.120s begins at byte %llu, no multiple of %d",
                             g->path, t->name, (unsigned long long)(start + t->offset), MLLM_PACKED_ALIGNMENT);
        if (t->offset > size - start || t->bytes > size - start - t->offset)
            return mllm_fail(r->err, MLLM_E_FORMAT,
                             "%s: tensor %.120s: %llu bytes at offset %llu of the data (byte %zu) reach past the end "
                             "of the file, %zu",
                             g->path, t->name, (unsigned long long)t->bytes, (unsigned long long)t->offset, start,
                             size);
        const entry *last = i ? &g->tensors[g->by_name[i - 1]] : NULL;
        if (last && last->offset + last->bytes > t->offset)
            return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tensors %.120s and %.120s overlap at offset %llu", g->path,
                             last->name, t->name, (unsigned long long)t->offset);
        t->tensor.data = g->map.data + start + t->offset;
    }
    mllm_order(g->by_name, n, name_before, g->tensors);
    for (size_t i = 1; i < n; i++) {
        const char *name = g->tensors[g->by_name[i]].name;
        if (strcmp(g->tensors[g->by_name[i - 1]].name, name) == 0)
            return mllm_fail(r->err, MLLM_E_FORMAT, "%s: tensor %.120s stands twice", g->path, name);
    }
    return MLLM_OK;
}

static mllm_code read_all(reader *r) {
    mllm_gguf *g = r->g;
    const uint8_t *magic = NULL;
    uint32_t version;
    uint64_t tensors, keys, alignment = 32;
    r->what = "the header";
    mllm_code code = take(r, 4, &magic);
    if (code) return code;
    if (memcmp(magic, "GGUF", 4) != 0)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: not a GGUF file (it does not begin with \"GGUF\")", g->path);
    if ((code = take_u32(r, &version)) != MLLM_OK) return code;
    if (version != 2 && version != 3)
        return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: GGUF version %u%s; versions 2 and 3 can be read", g->path,
                         version, version > 0xFFFF ? " (a big-endian file)" : "");
    if ((code = take_u64(r, &tensors)) != MLLM_OK || (code = take_u64(r, &keys)) != MLLM_OK) return code;
    if ((code = read_keys(r, keys)) != MLLM_OK) return code;
    if (mllm_gguf_find(g, "general.alignment") &&
        (!mllm_gguf_u64(g, "general.alignment", &alignment) || alignment == 0 || alignment > MAX_ALIGNMENT ||
         (alignment & (alignment - 1))))
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: key general.alignment is no power of two up to %d", g->path,
                         MAX_ALIGNMENT);
    if ((code = read_tensors(r, tensors)) != MLLM_OK) return code;
    return place_tensors(r, alignment);
}

mllm_gguf *mllm_gguf_open(const char *path, mllm_error *err) {
    mllm_gguf *g = mllm_calloc(1, sizeof *g);
    if (!g || !(g->path = mllm_strndup(path, strlen(path)))) {
        mllm_fail_memory(err, sizeof *g + strlen(path), "a GGUF file");
        mllm_gguf_close(g);
        return NULL;
    }
    reader r = {.g = g, .err = err};
    if (mllm_file_map_open(&g->map, path, err) != MLLM_OK || read_all(&r) != MLLM_OK) {
        mllm_gguf_close(g);
        return NULL;
    }
    return g;
}

/* Names are owned but handed out as const. */
static void free_name(const char *name) {
    union {
        const char *name;
        void *p;
    } u = {.name = name};
    mllm_free(u.p);
}

void mllm_gguf_close(mllm_gguf *g) {
    if (!g) return;
    for (size_t i = 0; i < g->kv_count; i++) free_name(g->kvs[i].key);
    for (size_t i = 0; i < g->tensor_count; i++) free_name(g->tensors[i].name);
    mllm_free(g->kvs);
    mllm_free(g->tensors);
    mllm_free(g->by_name);
    mllm_free(g->path);
    mllm_file_map_close(&g->map);
    mllm_free(g);
}

/* ----------------------------------------------------------------- metadata */

const mllm_kv *mllm_gguf_find(const mllm_gguf *g, const char *key) {
    for (size_t i = 0; i < g->kv_count; i++)
        if (strcmp(g->kvs[i].key, key) == 0) return &g->kvs[i];
    return NULL;
}

size_t mllm_gguf_kv_count(const mllm_gguf *g) {
    return g->kv_count;
}

const mllm_kv *mllm_gguf_kv(const mllm_gguf *g, size_t i) {
    return i < g->kv_count ? &g->kvs[i] : NULL;
}

#define LOAD(type)                                                                                                     \
    {                                                                                                                  \
        type v;                                                                                                        \
        memcpy(&v, (const char *)kv->data + i * sizeof v, sizeof v);                                                   \
        return (double)v;                                                                                              \
    }

double mllm_kv_number(const mllm_kv *kv, uint64_t i) {
    if (i >= kv->count) return 0;
    switch (kv->type) {
    case MLLM_KV_U8: LOAD(uint8_t)
    case MLLM_KV_I8: LOAD(int8_t)
    case MLLM_KV_U16: LOAD(uint16_t)
    case MLLM_KV_I16: LOAD(int16_t)
    case MLLM_KV_U32: LOAD(uint32_t)
    case MLLM_KV_I32: LOAD(int32_t)
    case MLLM_KV_U64: LOAD(uint64_t)
    case MLLM_KV_I64: LOAD(int64_t)
    case MLLM_KV_F32: LOAD(float)
    case MLLM_KV_F64: LOAD(double)
    case MLLM_KV_BOOL: return ((const uint8_t *)kv->data)[i] != 0;
    case MLLM_KV_STRING:
    case MLLM_KV_ARRAY: break;
    }
    return 0;
}

static const mllm_kv *single_number(const mllm_gguf *g, const char *key) {
    const mllm_kv *kv = mllm_gguf_find(g, key);
    return kv && !kv->is_array && kv->type != MLLM_KV_STRING && kv->type != MLLM_KV_BOOL ? kv : NULL;
}

bool mllm_gguf_f64(const mllm_gguf *g, const char *key, double *out) {
    const mllm_kv *kv = single_number(g, key);
    if (kv) *out = mllm_kv_number(kv, 0);
    return kv != NULL;
}

bool mllm_gguf_u64(const mllm_gguf *g, const char *key, uint64_t *out) {
    const mllm_kv *kv = single_number(g, key);
    if (!kv) return false;
    if (kv->type == MLLM_KV_U64) { /* a double would lose bits */
        memcpy(out, kv->data, sizeof *out);
        return true;
    }
    double v = mllm_kv_number(kv, 0);
    if (!(v >= 0 && v < 0x1p63) || v != (double)(uint64_t)v) return false;
    *out = (uint64_t)v;
    if (kv->type == MLLM_KV_I64) memcpy(out, kv->data, sizeof *out);
    return true;
}

bool mllm_gguf_bool(const mllm_gguf *g, const char *key, bool *out) {
    const mllm_kv *kv = mllm_gguf_find(g, key);
    if (!kv || kv->is_array || kv->type != MLLM_KV_BOOL) return false;
    *out = mllm_kv_number(kv, 0) != 0;
    return true;
}

bool mllm_gguf_string(const mllm_gguf *g, const char *key, const char **s, size_t *length) {
    const mllm_kv *kv = mllm_gguf_find(g, key);
    if (!kv || kv->is_array || kv->type != MLLM_KV_STRING) return false;
    *s = kv->data;
    *length = kv->length;
    return true;
}

bool mllm_kv_next_string(const mllm_kv *kv, const void **cursor, uint64_t *index, const char **s, size_t *length) {
    if (!kv->is_array || kv->type != MLLM_KV_STRING) return false;
    *index = *cursor ? *index + 1 : 0;
    const char *p = *cursor ? *cursor : kv->data;
    if (*index >= kv->count) return false;
    uint64_t n;
    memcpy(&n, p, sizeof n);
    *s = p + sizeof n;
    *length = (size_t)n; /* checked when the file was opened */
    *cursor = *s + n;
    return true;
}

/* ------------------------------------------------------------------ tensors */

size_t mllm_gguf_tensor_count(const mllm_gguf *g) {
    return g->tensor_count;
}

const mllm_tensor *mllm_gguf_tensor(const mllm_gguf *g, size_t i, const char **name) {
    if (i >= g->tensor_count) return NULL;
    if (name) *name = g->tensors[i].name;
    return &g->tensors[i].tensor;
}

const mllm_tensor *mllm_gguf_tensor_by_name(const mllm_gguf *g, const char *name) {
    size_t low = 0, high = g->tensor_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const entry *t = &g->tensors[g->by_name[middle]];
        int order = strcmp(name, t->name);
        if (order == 0) return &t->tensor;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
