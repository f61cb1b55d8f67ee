/* stop.h - text on its way out, held back while it may still become a stop string. */
#ifndef MLLM_GENERATE_STOP_H
#define MLLM_GENERATE_STOP_H

#include "../mobilellm.h"

typedef struct {
    mllm_span *stops; /* [count], owned as one block with their bytes */
    size_t count, longest;
    char *held; /* text that is not out yet */
    size_t length, capacity;
} mllm_stop_filter;

/* Copies the strings; an empty one, too many or too long ones are MLLM_E_ARGUMENT. */
mllm_code mllm_stop_filter_init(mllm_stop_filter *f, const mllm_span *stops, size_t count, mllm_error *err);
void mllm_stop_filter_free(mllm_stop_filter *f);
/* Appends whole UTF-8 characters. Then held[0, *ready) may go out (drop it with _take); *found: a stop string has completed, and what
 * stands behind the ready text is it and its rest. Which string ends first does not depend on how the text was cut into pieces. */
mllm_code mllm_stop_filter_push(mllm_stop_filter *f, const char *bytes, size_t length, size_t *ready, bool *found,
                                mllm_error *err);
void mllm_stop_filter_take(mllm_stop_filter *f, size_t count);

#endif
