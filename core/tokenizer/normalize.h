/* normalize.h - Unicode normalization form C of text that may hold anything. */
#ifndef MLLM_TOKENIZER_NORMALIZE_H
#define MLLM_TOKENIZER_NORMALIZE_H

#include "../base/json.h"

/* Appends the NFC of text[length] to `out`; bytes that are not UTF-8 stay as they are. n log n. out->failed: out of memory. */
void mllm_normalize_nfc(mllm_buffer *out, const char *text, size_t length);

#endif
