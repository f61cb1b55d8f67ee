/* error.h - filling an mllm_error. */
#ifndef MLLM_BASE_ERROR_H
#define MLLM_BASE_ERROR_H

#include "../mobilellm.h"

/* Writes code and message to `err` (unless NULL) and returns `code`, so that `return mllm_fail(...)` reads well. Bytes
 * of a cut or foreign string that are not UTF-8 are replaced by '?'. */
mllm_code mllm_fail(mllm_error *err, mllm_code code, const char *format, ...) MLLM_PRINTF(3, 4);
/* The common one. */
mllm_code mllm_fail_memory(mllm_error *err, size_t bytes, const char *what);

#endif
