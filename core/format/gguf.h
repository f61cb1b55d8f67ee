/* gguf.h - GGUF v2 and v3: reading through a memory map, writing. Source: ggml's docs/gguf.md. */
#ifndef MLLM_FORMAT_GGUF_H
#define MLLM_FORMAT_GGUF_H

#include "../tensor/tensor.h"

typedef enum {
    MLLM_KV_U8,
    MLLM_KV_I8,
    MLLM_KV_U16,
    MLLM_KV_I16,
    MLLM_KV_U32,
    MLLM_KV_I32,
    MLLM_KV_F32,
    MLLM_KV_BOOL,
    MLLM_KV_STRING,
    MLLM_KV_ARRAY,
    MLLM_KV_U64,
    MLLM_KV_I64,
    MLLM_KV_F64
} mllm_kv_type;

/* Files with tensors of the packed types (tensor/packed.h) carry this key, and their data begins at multiples of this in the file. */
#define MLLM_PACKED_KEY "mobilellm.packed"
#define MLLM_PACKED_LAYOUT "p16x32"
enum { MLLM_PACKED_ALIGNMENT = 64 };

typedef struct mllm_gguf mllm_gguf;

/* Maps the file and checks all of it that is not tensor data: every count, length and offset against the file's size.
 * The message names file, key or tensor, and the byte offset. */
mllm_gguf *mllm_gguf_open(const char *path, mllm_error *err);
void mllm_gguf_close(mllm_gguf *g);

/* One metadata value. For strings and arrays `data` points into the map (unaligned, little endian). */
typedef struct {
    const char *key;
    mllm_kv_type type; /* of the value; of the elements when is_array */
    bool is_array;
    uint64_t count; /* elements of an array; 1 otherwise */
    const void *data; /* numbers: packed values; strings: see mllm_gguf_strings */
    size_t length; /* bytes of a single string */
} mllm_kv;
const mllm_kv *mllm_gguf_find(const mllm_gguf *g, const char *key); /* NULL when absent */
size_t mllm_gguf_kv_count(const mllm_gguf *g);
const mllm_kv *mllm_gguf_kv(const mllm_gguf *g, size_t i);

/* Typed reads with conversion between the number types; false when absent or of another kind. */
bool mllm_gguf_u64(const mllm_gguf *g, const char *key, uint64_t *out);
bool mllm_gguf_f64(const mllm_gguf *g, const char *key, double *out);
bool mllm_gguf_bool(const mllm_gguf *g, const char *key, bool *out);
bool mllm_gguf_string(const mllm_gguf *g, const char *key, const char **s, size_t *length); /* not terminated */
/* Walks the strings of an array: *cursor starts as NULL; *index becomes the number of the string handed out. False at the end. */
bool mllm_kv_next_string(const mllm_kv *kv, const void **cursor, uint64_t *index, const char **s, size_t *length);
double mllm_kv_number(const mllm_kv *kv, uint64_t i); /* element i of a number array (or 0 of a number) */

size_t mllm_gguf_tensor_count(const mllm_gguf *g);
const mllm_tensor *mllm_gguf_tensor(const mllm_gguf *g, size_t i, const char **name);
const mllm_tensor *mllm_gguf_tensor_by_name(const mllm_gguf *g, const char *name); /* NULL when absent */

/* Writer: metadata first, then tensors, then finish. Written beside `path` and renamed when complete, so that a reader never
 * sees half a file. Each call after a failure repeats the first error. */
typedef struct mllm_gguf_writer mllm_gguf_writer;
mllm_gguf_writer *mllm_gguf_create(const char *path, mllm_error *err);
void mllm_gguf_put_u32(mllm_gguf_writer *w, const char *key, uint32_t v);
void mllm_gguf_put_f32(mllm_gguf_writer *w, const char *key, float v);
void mllm_gguf_put_bool(mllm_gguf_writer *w, const char *key, bool v);
void mllm_gguf_put_string(mllm_gguf_writer *w, const char *key, const char *s, size_t length);
void mllm_gguf_put_strings(mllm_gguf_writer *w, const char *key, const char *const *s, const size_t *lengths,
                           size_t count);
void mllm_gguf_put_numbers(mllm_gguf_writer *w, const char *key, mllm_kv_type type, const void *v, size_t count);
/* Before the first tensor: there will be packed ones. Their rows are delivered like those of Q8_0 (for P8) and Q4_0 (for P4). */
void mllm_gguf_put_packed(mllm_gguf_writer *w);
/* Declares a tensor; its data is asked for in order of declaration by mllm_gguf_finish. */
void mllm_gguf_put_tensor(mllm_gguf_writer *w, const char *name, mllm_type type, size_t rows, size_t cols, bool vector);
/* `row(ctx, tensor_index, row, floats_out)` delivers each row in floats; the writer rounds it to the tensor's type. */
typedef bool (*mllm_row_fn)(void *ctx, size_t tensor, size_t row, float *out);
/* Where it is not NULL it is asked first: true where it has put the row into `out` itself, as `type` (never a packed one) has it. */
typedef bool (*mllm_encode_fn)(void *ctx, size_t tensor, size_t row, mllm_type type, void *out);
mllm_code mllm_gguf_finish(mllm_gguf_writer *w, mllm_row_fn row, mllm_encode_fn encode, void *ctx,
                           mllm_error *err); /* frees w */
void mllm_gguf_abandon(mllm_gguf_writer *w); /* frees w and its unfinished file */

#endif
