/* matched.h - a grammar's matcher as the constraint of a generation. Part of the border: mobilellm.h includes it. */
#ifndef MLLM_GENERATE_MATCHED_H
#define MLLM_GENERATE_MATCHED_H

#ifndef MOBILELLM_H
#error "include mobilellm.h"
#endif

/* Takes over the matcher: the constraint's release releases it. */
MLLM_API mllm_constraint mllm_constraint_matcher(mllm_matcher *matcher);

#endif
