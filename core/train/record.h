/* record.h - the trainer's own files: a magic, then values in order, then a checksum over all of it. Little endian. A file appears
 * under its name only when it is complete: it is written beside, synced, renamed. */
#ifndef MLLM_TRAIN_RECORD_H
#define MLLM_TRAIN_RECORD_H

#include "../mobilellm.h"

typedef struct mllm_record mllm_record;

/* `magic` has 8 bytes. */
mllm_record *mllm_record_create(const char *path, const char *magic, mllm_error *err);
void mllm_record_put(mllm_record *r, const void *bytes, size_t count); /* a failure is reported by finish */
static inline void mllm_record_put_u64(mllm_record *r, uint64_t v) {
    mllm_record_put(r, &v, sizeof v);
}
static inline void mllm_record_put_f64(mllm_record *r, double v) {
    mllm_record_put(r, &v, sizeof v);
}
/* Frees r. */
mllm_code mllm_record_finish(mllm_record *r, mllm_error *err);

/* Reads the whole file once to verify magic and checksum, then stands behind the magic. */
mllm_record *mllm_record_open(const char *path, const char *magic, mllm_error *err);
uint64_t mllm_record_left(const mllm_record *r); /* bytes not read yet */
/* False at the end; mllm_record_close then says so. */
bool mllm_record_get(mllm_record *r, void *bytes, size_t count);
static inline uint64_t mllm_record_get_u64(mllm_record *r) {
    uint64_t v = 0;
    mllm_record_get(r, &v, sizeof v);
    return v;
}
static inline double mllm_record_get_f64(mllm_record *r) {
    double v = 0;
    mllm_record_get(r, &v, sizeof v);
    return v;
}
/* Frees r, written or read. For a file that was read: an error if a read failed or something is left over. For one that is being written:
 * gives it up. */
mllm_code mllm_record_close(mllm_record *r, mllm_error *err);

#endif
