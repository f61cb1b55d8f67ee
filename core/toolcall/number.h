/* number.h - numbers as models spell them. */
#ifndef MLLM_TOOLCALL_NUMBER_H
#define MLLM_TOOLCALL_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the terminated text is a number of RFC 8259. */
bool mllm_value_is_number(const char *s);
/* What Python reads as a number and JSON does not (+1 .5 5. 07 1_000 0x1f), in JSON's spelling. False when it is none, or `out` too
 * small. */
bool mllm_value_mend_number(const char *word, char *out, size_t size);

#endif
