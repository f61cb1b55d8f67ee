#include "data.h"

#include <math.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "record.h"

#define DATA_MAGIC "MLLMDAT1"
enum { ROW_BYTES = 40 };

/* Fixed widths, no padding: this is also how a row stands in the file. */
typedef struct {
    uint64_t at; /* of the first id */
    uint64_t weights_at; /* of the first weight; NONE without */
    uint32_t length, prompt;
    float weight, prompt_weight;
    uint64_t reserved;
} stored_row;
#define NONE UINT64_MAX
_Static_assert(sizeof(stored_row) == ROW_BYTES, "the file's rows have 40 bytes");

struct mllm_train_data {
    stored_row *rows;
    mllm_token *ids;
    float *weights;
    size_t row_count, row_room, id_count, id_room, weight_count, weight_room;
    uint64_t fingerprint;
    uint32_t longest;
    mllm_token largest;
};

mllm_code mllm_train_row_check(const mllm_train_row *row, uint32_t vocabulary, size_t at, mllm_error *err) {
    if (row->length < 2)
        return mllm_fail(err, MLLM_E_ARGUMENT, "row %zu has %u tokens; at least 2 are needed", at, row->length);
    if (row->prompt > row->length)
        return mllm_fail(err, MLLM_E_ARGUMENT, "row %zu: a prompt of %u tokens in a row of %u", at, row->prompt,
                         row->length);
    if (!(row->weight >= 0 && row->prompt_weight >= 0 && isfinite(row->weight) && isfinite(row->prompt_weight)))
        return mllm_fail(err, MLLM_E_ARGUMENT, "row %zu: a weight must be a number from 0 on", at);
    for (uint32_t i = 0; i < row->length; i++) {
        if (row->ids[i] < 0 || (vocabulary && (uint32_t)row->ids[i] >= vocabulary))
            return mllm_fail(err, MLLM_E_TOKEN, "row %zu, token %u: id %d is outside the vocabulary of %u", at, i + 1,
                             (int)row->ids[i], vocabulary);
        if (row->weights && !(row->weights[i] >= 0 && isfinite(row->weights[i])))
            return mllm_fail(err, MLLM_E_ARGUMENT, "row %zu, token %u: a weight must be a number from 0 on", at, i + 1);
    }
    return MLLM_OK;
}

mllm_train_data *mllm_train_data_new(mllm_error *err) {
    mllm_train_data *d = mllm_calloc(1, sizeof *d);
    if (!d) {
        mllm_fail_memory(err, sizeof *d, "training rows");
        return NULL;
    }
    d->largest = -1;
    return d;
}

void mllm_train_data_free(mllm_train_data *d) {
    if (!d) return;
    mllm_free(d->rows);
    mllm_free(d->ids);
    mllm_free(d->weights);
    mllm_free(d);
}

/* Room for `more` behind `count`, doubling. */
static bool reserve(void **array, size_t *room, size_t count, size_t more, size_t size) {
    if (more <= *room - count) return true;
    size_t want = *room < 1024 ? 1024 : *room;
    while (want < count + more) {
        if (want > SIZE_MAX / 2) return false;
        want *= 2;
    }
    void *p = mllm_realloc_array(*array, want, size);
    if (!p) return false;
    *array = p;
    *room = want;
    return true;
}

static void note_row(mllm_train_data *d, const stored_row *s) {
    uint64_t h = d->fingerprint;
    const mllm_token *ids = d->ids + s->at;
    for (uint32_t i = 0; i < s->length; i++) {
        h = (h ^ (uint32_t)ids[i]) * 0x9E3779B97F4A7C15u;
        h ^= h >> 31;
        if (ids[i] > d->largest) d->largest = ids[i];
    }
    d->fingerprint = (h ^ s->length ^ (uint64_t)s->prompt << 32) * 0x9E3779B97F4A7C15u;
    if (s->length > d->longest) d->longest = s->length;
}

mllm_code mllm_train_data_add(mllm_train_data *d, const mllm_train_row *row, mllm_error *err) {
    mllm_code code = mllm_train_row_check(row, 0, d->row_count + 1, err);
    if (code != MLLM_OK) return code;
    void *rows = d->rows, *ids = d->ids, *weights = d->weights;
    bool fits = reserve(&rows, &d->row_room, d->row_count, 1, sizeof *d->rows);
    d->rows = rows;
    fits = fits && reserve(&ids, &d->id_room, d->id_count, row->length, sizeof *d->ids);
    d->ids = ids;
    if (row->weights)
        fits = fits && reserve(&weights, &d->weight_room, d->weight_count, row->length, sizeof *d->weights);
    d->weights = weights;
    if (!fits) return mllm_fail_memory(err, row->length * sizeof *d->ids, "training rows");
    stored_row *s = &d->rows[d->row_count++];
    *s = (stored_row){d->id_count, NONE, row->length, row->prompt, row->weight, row->prompt_weight, 0};
    memcpy(d->ids + d->id_count, row->ids, row->length * sizeof *row->ids);
    d->id_count += row->length;
    if (row->weights) {
        s->weights_at = d->weight_count;
        memcpy(d->weights + d->weight_count, row->weights, row->length * sizeof *row->weights);
        d->weight_count += row->length;
    }
    note_row(d, s);
    return MLLM_OK;
}

size_t mllm_train_data_rows(const mllm_train_data *d) {
    return d->row_count;
}

uint64_t mllm_train_data_tokens(const mllm_train_data *d) {
    return d->id_count;
}

uint32_t mllm_train_data_longest(const mllm_train_data *d) {
    return d->longest;
}

mllm_token mllm_train_data_largest_id(const mllm_train_data *d) {
    return d->largest;
}

uint64_t mllm_train_data_fingerprint(const mllm_train_data *d) {
    return d->fingerprint;
}

mllm_train_row mllm_train_data_row(const mllm_train_data *d, size_t i) {
    const stored_row *s = &d->rows[i];
    return (mllm_train_row){d->ids + s->at, s->weights_at == NONE ? NULL : d->weights + s->weights_at,
                            s->length,      s->prompt,
                            s->weight,      s->prompt_weight};
}

mllm_code mllm_train_data_save(const mllm_train_data *d, const char *path, mllm_error *err) {
    mllm_record *r = mllm_record_create(path, DATA_MAGIC, err);
    if (!r) return MLLM_E_IO;
    mllm_record_put_u64(r, d->row_count);
    mllm_record_put_u64(r, d->id_count);
    mllm_record_put_u64(r, d->weight_count);
    mllm_record_put(r, d->rows, d->row_count * sizeof *d->rows);
    mllm_record_put(r, d->ids, d->id_count * sizeof *d->ids);
    mllm_record_put(r, d->weights, d->weight_count * sizeof *d->weights);
    return mllm_record_finish(r, err);
}

/* The checksum only says that the file is as it was written; what it says is checked all the same. */
static mllm_code check_loaded(mllm_train_data *d, const char *path, mllm_error *err) {
    for (size_t i = 0; i < d->row_count; i++) {
        const stored_row *s = &d->rows[i];
        if (s->at > d->id_count || s->length > d->id_count - s->at ||
            (s->weights_at != NONE && (s->weights_at > d->weight_count || s->length > d->weight_count - s->weights_at)))
            return mllm_fail(err, MLLM_E_FORMAT, "%s: row %zu lies outside the file", path, i + 1);
        mllm_train_row row = mllm_train_data_row(d, i);
        mllm_error why = {0};
        if (mllm_train_row_check(&row, 0, i + 1, &why) != MLLM_OK)
            return mllm_fail(err, MLLM_E_FORMAT, "%s: %s", path, why.message);
        note_row(d, s);
    }
    return MLLM_OK;
}

mllm_train_data *mllm_train_data_load(const char *path, mllm_error *err) {
    mllm_record *r = mllm_record_open(path, DATA_MAGIC, err);
    mllm_train_data *d = r ? mllm_train_data_new(err) : NULL;
    if (!d) {
        mllm_record_close(r, NULL);
        return NULL;
    }
    uint64_t rows = mllm_record_get_u64(r), ids = mllm_record_get_u64(r), weights = mllm_record_get_u64(r);
    uint64_t left = mllm_record_left(r);
    if (rows > left / ROW_BYTES || ids > left / 4 || weights > left / 4 ||
        rows * ROW_BYTES + ids * 4 + weights * 4 != left) {
        mllm_fail(err, MLLM_E_FORMAT, "%s: %llu rows, %llu ids and %llu weights do not fill its %llu bytes", path,
                  (unsigned long long)rows, (unsigned long long)ids, (unsigned long long)weights,
                  (unsigned long long)left);
        goto failed;
    }
    d->rows = mllm_alloc_array(rows, sizeof *d->rows);
    d->ids = mllm_alloc_array(ids, sizeof *d->ids);
    d->weights = mllm_alloc_array(weights, sizeof *d->weights);
    if (!d->rows || !d->ids || !d->weights) {
        mllm_fail_memory(err, left, path);
        goto failed;
    }
    d->row_count = d->row_room = rows;
    d->id_count = d->id_room = ids;
    d->weight_count = d->weight_room = weights;
    mllm_record_get(r, d->rows, rows * sizeof *d->rows);
    mllm_record_get(r, d->ids, ids * sizeof *d->ids);
    mllm_record_get(r, d->weights, weights * sizeof *d->weights);
    mllm_code code = mllm_record_close(r, err);
    r = NULL;
    if (code != MLLM_OK || check_loaded(d, path, err) != MLLM_OK) goto failed;
    return d;
failed:
    mllm_record_close(r, NULL);
    mllm_train_data_free(d);
    return NULL;
}
