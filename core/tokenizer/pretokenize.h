/* pretokenize.h - cutting text into words that no merge crosses, as the regular expressions of the known vocabularies do. */
#ifndef MLLM_TOKENIZER_PRETOKENIZE_H
#define MLLM_TOKENIZER_PRETOKENIZE_H

#include "vocab_source.h"

/* End of the word that begins at text[at], at < length; always further than `at`. Linear in the word's length (twice that in a run of
 * white space). Bytes that are not UTF-8 count as punctuation. Character classes are those of Unicode 15.0 (utf8proc 2.8). */
size_t mllm_pretoken_end(mllm_pretokenizer pre, const char *text, size_t length, size_t at);

/* White space as the regular expressions see it (Unicode's White_Space). */
bool mllm_is_white(uint32_t c);
/* \w of Unicode's regular expressions (UTS 18): letters, marks, digits, connectors, joiners, circled and squared letters. */
bool mllm_is_word(uint32_t c);

#endif
