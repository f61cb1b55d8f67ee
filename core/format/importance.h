/* importance.h - inside of mllm_importance: gathered by core/model/perplexity.c, used by quantize.c. */
#ifndef MLLM_FORMAT_IMPORTANCE_H
#define MLLM_FORMAT_IMPORTANCE_H

#include "../model/blueprint.h"

/* Matrices that read the same input share their numbers: those of Q (also K and V), O, GATE (also UP), DOWN, HEAD (also a tied embedding).
 * A table is NULL for the roles in between. */
struct mllm_importance {
    struct {
        float *mean; /* [count, cols] mean square of each column's input */
        uint64_t *rows; /* [count] inputs seen */
        size_t cols;
        uint32_t count;
    } of[MLLM_W_ROLES];
    bool tied;
};

/* Zeroed tables for a model's shape; NULL without memory. */
mllm_importance *mllm_importance_new(const mllm_blueprint *b);
/* The columns' numbers of a matrix [cols]; NULL where none were gathered (an embedding of its own; nothing seen). */
const float *mllm_importance_of(const mllm_importance *m, mllm_role role, uint32_t index, size_t *cols);
/* One more input of (role, index), role one of the five. */
void mllm_importance_add(mllm_importance *m, mllm_role role, uint32_t index, const float *x, size_t cols);

#endif
