/* lookup.h - guessing the next tokens from what was said before: the last few tokens are looked up earlier in the prompt and the output, and
 * what followed them there is the draft (prompt lookup decoding, Saxena 2023; Yang et al., arXiv 2304.04487). A draft only says which
 * tokens are worth computing together; what is generated never depends on it. */
#ifndef MLLM_GENERATE_LOOKUP_H
#define MLLM_GENERATE_LOOKUP_H

#include "../mobilellm.h"

enum { MLLM_MAX_DRAFT = 15 }; /* tokens: with the one before, as many rows as kernels compute like single ones */

typedef struct {
    uint32_t most; /* tokens in a draft; 0: never */
    uint32_t length; /* of the next draft: grows with success */
    uint32_t pause; /* tokens until the next try */
    uint32_t misses; /* drafts in a row of which nothing was right, at most 6 */
} mllm_lookup;

void mllm_lookup_init(mllm_lookup *l, uint32_t most);
/* A draft of what follows said[count], at most `capacity` tokens; 0: none. Call once for each token that is about to be computed. */
size_t mllm_lookup_draft(mllm_lookup *l, const mllm_token *said, size_t count, mllm_token *out, size_t capacity);
/* Of the last draft's `drafted` tokens the first `right` were generated. */
void mllm_lookup_result(mllm_lookup *l, size_t drafted, size_t right);

#endif
