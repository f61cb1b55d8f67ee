/* data.h - rows of tokens to learn from, packed in memory. */
#ifndef MLLM_TRAIN_DATA_H
#define MLLM_TRAIN_DATA_H

#include "../mobilellm.h"

/* One row. The model learns to predict ids[i] from ids[0 .. i - 1], for i = 1 .. length - 1; that prediction counts weights[i] times. Without
 * `weights` the first `prompt` tokens count prompt_weight times, the others once. All of it is multiplied by `weight`. */
typedef struct {
    const mllm_token *ids;
    const float *weights; /* [length] or NULL */
    uint32_t length; /* at least 2 */
    uint32_t prompt;
    float weight, prompt_weight;
} mllm_train_row;

/* Checks ids against `vocabulary` (0: not), lengths, and that weights are finite and not negative. `at` names the row (1-based). */
mllm_code mllm_train_row_check(const mllm_train_row *row, uint32_t vocabulary, size_t at, mllm_error *err);
static inline float mllm_train_row_weight(const mllm_train_row *r, uint32_t i) {
    return r->weight * (r->weights ? r->weights[i] : i < r->prompt ? r->prompt_weight : 1.0f);
}

typedef struct mllm_train_data mllm_train_data;
mllm_train_data *mllm_train_data_new(mllm_error *err);
void mllm_train_data_free(mllm_train_data *d);
/* Copies the row. */
mllm_code mllm_train_data_add(mllm_train_data *d, const mllm_train_row *row, mllm_error *err);
size_t mllm_train_data_rows(const mllm_train_data *d);
uint64_t mllm_train_data_tokens(const mllm_train_data *d);
uint32_t mllm_train_data_longest(const mllm_train_data *d);
mllm_token mllm_train_data_largest_id(const mllm_train_data *d); /* -1 without rows */
/* Row i; its pointers are valid until the next add. */
mllm_train_row mllm_train_data_row(const mllm_train_data *d, size_t i);
/* A number that changes with any change of the rows. */
uint64_t mllm_train_data_fingerprint(const mllm_train_data *d);

/* One file, written beside and renamed, with a checksum that load verifies. */
mllm_code mllm_train_data_save(const mllm_train_data *d, const char *path, mllm_error *err);
mllm_train_data *mllm_train_data_load(const char *path, mllm_error *err);

#endif
