/* gguf_write.c - GGUF v3. Metadata and the tensor list collect in memory; the data is asked for row by row and goes straight to
 * the file, so that memory does not grow with the model. */
#include "gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/json.h"
#include "../tensor/packed.h"

enum { ALIGNMENT = 32, CHUNK = 1 << 20 };
_Static_assert(MLLM_PACKED_ALIGNMENT % ALIGNMENT == 0, "a file is padded to one of the two");

typedef struct {
    char *name;
    mllm_type type;
    size_t rows, cols, row_bytes; /* row_bytes: of a packed type, a row's share */
} planned;

struct mllm_gguf_writer {
    char *path, *partial; /* the file is written as `partial` and renamed */
    int fd;
    mllm_buffer kvs, list; /* bytes of the metadata; of the tensor list */
    uint64_t kv_count;
    planned *tensors;
    size_t tensor_count, tensor_capacity, alignment;
    uint64_t data_bytes; /* of the tensors so far, each padded */
    uint8_t *chunk; /* [CHUNK] bytes on their way to the file */
    size_t chunk_used;
    mllm_error error; /* the first one */
};

static void fail(mllm_gguf_writer *w, mllm_code code, const char *what, const char *name) {
    if (w->error.code == MLLM_OK) mllm_fail(&w->error, code, "%s: %s %s", w->path, what, name);
}

mllm_gguf_writer *mllm_gguf_create(const char *path, mllm_error *err) {
    static atomic_uint number; /* two writers in one process never share a partial file */
    mllm_gguf_writer *w = mllm_calloc(1, sizeof *w);
    size_t length = strlen(path), room = length + 48;
    if (w) {
        w->fd = -1;
        w->alignment = ALIGNMENT;
        w->path = mllm_strndup(path, length);
        w->partial = mllm_alloc(room);
        w->chunk = mllm_alloc(CHUNK);
    }
    if (!w || !w->path || !w->partial || !w->chunk) {
        mllm_fail_memory(err, CHUNK, "writing a GGUF file");
        mllm_gguf_abandon(w);
        return NULL;
    }
    snprintf(w->partial, room, "%s.part-%ld-%u", path, (long)getpid(), atomic_fetch_add(&number, 1));
    w->fd = open(w->partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        mllm_fail(err, MLLM_E_IO, "%s: cannot be written: %s", path, strerror(errno));
        mllm_gguf_abandon(w);
        return NULL;
    }
    return w;
}

void mllm_gguf_abandon(mllm_gguf_writer *w) {
    if (!w) return;
    if (w->fd >= 0) {
        close(w->fd);
        unlink(w->partial);
    }
    for (size_t i = 0; i < w->tensor_count; i++) mllm_free(w->tensors[i].name);
    mllm_free(w->tensors);
    mllm_buffer_free(&w->kvs);
    mllm_buffer_free(&w->list);
    mllm_free(w->path);
    mllm_free(w->partial);
    mllm_free(w->chunk);
    mllm_free(w);
}

/* ----------------------------------------------------------------- metadata */

static void put(mllm_buffer *b, const void *bytes, size_t n) {
    mllm_buffer_put(b, bytes, n);
}

static void put_u32(mllm_buffer *b, uint32_t v) {
    put(b, &v, sizeof v);
}

static void put_u64(mllm_buffer *b, uint64_t v) {
    put(b, &v, sizeof v);
}

static void put_text(mllm_buffer *b, const char *s, size_t length) {
    put_u64(b, length);
    put(b, s, length);
}

static void put_value(mllm_gguf_writer *w, const char *key, mllm_kv_type type, const void *v, size_t bytes) {
    put_text(&w->kvs, key, strlen(key));
    put_u32(&w->kvs, type);
    put(&w->kvs, v, bytes);
    w->kv_count++;
}

void mllm_gguf_put_u32(mllm_gguf_writer *w, const char *key, uint32_t v) {
    put_value(w, key, MLLM_KV_U32, &v, sizeof v);
}

void mllm_gguf_put_f32(mllm_gguf_writer *w, const char *key, float v) {
    put_value(w, key, MLLM_KV_F32, &v, sizeof v);
}

void mllm_gguf_put_bool(mllm_gguf_writer *w, const char *key, bool v) {
    uint8_t byte = v;
    put_value(w, key, MLLM_KV_BOOL, &byte, 1);
}

void mllm_gguf_put_string(mllm_gguf_writer *w, const char *key, const char *s, size_t length) {
    uint64_t n = length;
    put_value(w, key, MLLM_KV_STRING, &n, sizeof n);
    put(&w->kvs, s, length);
}

static void put_array(mllm_gguf_writer *w, const char *key, mllm_kv_type type, size_t count) {
    uint32_t element = type;
    put_value(w, key, MLLM_KV_ARRAY, &element, sizeof element);
    put_u64(&w->kvs, count);
}

void mllm_gguf_put_strings(mllm_gguf_writer *w, const char *key, const char *const *s, const size_t *lengths,
                           size_t count) {
    put_array(w, key, MLLM_KV_STRING, count);
    for (size_t i = 0; i < count; i++) put_text(&w->kvs, s[i], lengths[i]);
}

void mllm_gguf_put_numbers(mllm_gguf_writer *w, const char *key, mllm_kv_type type, const void *v, size_t count) {
    static const uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    size_t size = (size_t)type < sizeof bytes ? bytes[type] : 0;
    if (size == 0) {
        fail(w, MLLM_E_ARGUMENT, "no array of numbers under the key", key);
        return;
    }
    put_array(w, key, type, count);
    put(&w->kvs, v, count * size);
}

void mllm_gguf_put_packed(mllm_gguf_writer *w) {
    if (w->tensor_count) fail(w, MLLM_E_ARGUMENT, "is declared packed after the tensor", w->tensors[0].name);
    w->alignment = MLLM_PACKED_ALIGNMENT;
    mllm_gguf_put_u32(w, "general.alignment", MLLM_PACKED_ALIGNMENT);
    mllm_gguf_put_string(w, MLLM_PACKED_KEY, MLLM_PACKED_LAYOUT, strlen(MLLM_PACKED_LAYOUT));
}

void mllm_gguf_put_tensor(mllm_gguf_writer *w, const char *name, mllm_type type, size_t rows, size_t cols,
                          bool vector) {
    size_t row_bytes = mllm_row_bytes(type, cols);
    if (row_bytes == 0 || rows == 0 || rows > SIZE_MAX / 2 / row_bytes || (vector && rows != 1)) {
        fail(w, MLLM_E_ARGUMENT, "impossible shape of the tensor", name);
        return;
    }
    if (mllm_type_is_packed(type) && w->alignment != MLLM_PACKED_ALIGNMENT) {
        fail(w, MLLM_E_ARGUMENT, "is not declared packed, as is the tensor", name);
        return;
    }
    if (w->tensor_count == w->tensor_capacity) {
        size_t capacity = w->tensor_capacity ? 2 * w->tensor_capacity : 64;
        planned *grown = mllm_realloc_array(w->tensors, capacity, sizeof *grown);
        if (!grown) {
            fail(w, MLLM_E_MEMORY, "out of memory for the tensor", name);
            return;
        }
        w->tensors = grown;
        w->tensor_capacity = capacity;
    }
    planned t = {mllm_strndup(name, strlen(name)), type, rows, cols, row_bytes};
    if (!t.name) {
        fail(w, MLLM_E_MEMORY, "out of memory for the tensor", name);
        return;
    }
    w->tensors[w->tensor_count++] = t;
    put_text(&w->list, name, strlen(name));
    put_u32(&w->list, vector ? 1 : 2);
    put_u64(&w->list, cols);
    if (!vector) put_u64(&w->list, rows);
    put_u32(&w->list, type);
    put_u64(&w->list, w->data_bytes);
    size_t bytes = mllm_tensor_bytes(&(mllm_tensor){.type = type, .rows = rows, .row_bytes = row_bytes});
    w->data_bytes += (bytes + w->alignment - 1) / w->alignment * w->alignment;
}

/* --------------------------------------------------------------------- data */

static bool flush(mllm_gguf_writer *w) {
    size_t done = 0;
    while (done < w->chunk_used) {
        ssize_t n = write(w->fd, w->chunk + done, w->chunk_used - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            fail(w, MLLM_E_IO, "cannot be written:", n < 0 ? strerror(errno) : "nothing was taken");
            return false;
        }
        done += (size_t)n;
    }
    w->chunk_used = 0;
    return true;
}

static bool put_bytes(mllm_gguf_writer *w, const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    while (n) {
        size_t part = CHUNK - w->chunk_used < n ? CHUNK - w->chunk_used : n;
        memcpy(w->chunk + w->chunk_used, p, part);
        w->chunk_used += part;
        p += part;
        n -= part;
        if (w->chunk_used == CHUNK && !flush(w)) return false;
    }
    return true;
}

static bool pad(mllm_gguf_writer *w, uint64_t written) {
    static const uint8_t zeros[MLLM_PACKED_ALIGNMENT];
    return put_bytes(w, zeros, (size_t)((w->alignment - written % w->alignment) % w->alignment));
}

/* Where rows come from, and room for one: floats, the row as it is stored (or packed), a panel of rows and its packed form. */
typedef struct {
    mllm_row_fn row;
    mllm_encode_fn encode;
    void *ctx;
    float *floats;
    uint8_t *bytes, *rows, *panel;
} source;

/* One row in the unpacked form of the tensor's type. */
static bool take_row(mllm_gguf_writer *w, size_t index, size_t r, const source *from, uint8_t *out) {
    const planned *t = &w->tensors[index];
    mllm_type type = mllm_type_unpacked(t->type);
    const char *problem = NULL;
    mllm_code code = MLLM_E_FORMAT;
    if (from->encode && from->encode(from->ctx, index, r, type, out)) return true;
    if (!from->row(from->ctx, index, r, from->floats)) {
        problem = "was not delivered";
        code = MLLM_E_CANCELLED;
    } else if (!mllm_quantize_row(type, from->floats, out, t->cols))
        problem = "cannot be rounded (a weight is not finite, or the type is only read)";
    if (problem && w->error.code == MLLM_OK)
        mllm_fail(&w->error, code, "%s: tensor %s: row %zu as %s %s", w->path, t->name, r,
                  mllm_type_facts(t->type)->name, problem);
    return !problem;
}

static bool put_tensor_data(mllm_gguf_writer *w, size_t index, const source *from) {
    const planned *t = &w->tensors[index];
    uint64_t written = 0;
    if (!mllm_type_is_packed(t->type)) {
        for (size_t r = 0; r < t->rows; r++, written += t->row_bytes)
            if (!take_row(w, index, r, from, from->bytes) || !put_bytes(w, from->bytes, t->row_bytes)) return false;
        return pad(w, written);
    }
    for (size_t r = 0; r < t->rows; r += MLLM_PANEL, written += MLLM_PANEL * t->row_bytes) {
        mllm_tensor some = {.type = mllm_type_unpacked(t->type), .cols = t->cols, .data = from->rows};
        some.row_bytes = t->row_bytes;
        some.rows = t->rows - r < MLLM_PANEL ? t->rows - r : MLLM_PANEL;
        for (size_t i = 0; i < some.rows; i++)
            if (!take_row(w, index, r + i, from, from->rows + i * t->row_bytes)) return false;
        mllm_packed_fill(&some, from->panel, 0, some.rows);
        if (!put_bytes(w, from->panel, MLLM_PANEL * t->row_bytes)) return false;
    }
    return pad(w, written);
}

static bool write_all(mllm_gguf_writer *w, source from) {
    if (w->kvs.failed || w->list.failed) fail(w, MLLM_E_MEMORY, "out of memory for the", "metadata");
    if (w->error.code) return false;
    uint32_t version = 3;
    uint64_t counts[2] = {w->tensor_count, w->kv_count};
    if (!put_bytes(w, "GGUF", 4) || !put_bytes(w, &version, 4) || !put_bytes(w, counts, sizeof counts) ||
        !put_bytes(w, w->kvs.data, w->kvs.length) || !put_bytes(w, w->list.data, w->list.length) ||
        !pad(w, 24 + w->kvs.length + w->list.length))
        return false;
    size_t cols = 1, bytes = 1, share = 1;
    for (size_t i = 0; i < w->tensor_count; i++) {
        const planned *t = &w->tensors[i];
        if (t->cols > cols) cols = t->cols;
        if (t->row_bytes > bytes) bytes = t->row_bytes;
        if (mllm_type_is_packed(t->type) && t->row_bytes > share) share = t->row_bytes;
    }
    from.floats = mllm_alloc_array(cols, sizeof *from.floats);
    from.bytes = mllm_alloc(bytes);
    from.rows = mllm_alloc_array(share, MLLM_PANEL);
    from.panel = mllm_alloc_array(share, MLLM_PANEL);
    bool ok = from.floats && from.bytes && from.rows && from.panel;
    if (!ok) fail(w, MLLM_E_MEMORY, "out of memory for a row of the", "weights");
    for (size_t i = 0; ok && i < w->tensor_count; i++) ok = put_tensor_data(w, i, &from);
    mllm_free(from.floats);
    mllm_free(from.bytes);
    mllm_free(from.rows);
    mllm_free(from.panel);
    return ok && flush(w);
}

mllm_code mllm_gguf_finish(mllm_gguf_writer *w, mllm_row_fn row, mllm_encode_fn encode, void *ctx, mllm_error *err) {
    bool ok = write_all(w, (source){.row = row, .encode = encode, .ctx = ctx});
    if (ok && close(w->fd) != 0) {
        ok = false;
        fail(w, MLLM_E_IO, "cannot be written:", strerror(errno));
        unlink(w->partial);
        w->fd = -1;
    } else if (ok) {
        w->fd = -1;
        if (rename(w->partial, w->path) != 0) {
            ok = false;
            fail(w, MLLM_E_IO, "cannot be put in place:", strerror(errno));
            unlink(w->partial);
        }
    }
    mllm_code code = ok ? MLLM_OK : mllm_fail(err, w->error.code, "%s", w->error.message);
    mllm_gguf_abandon(w);
    return code;
}
