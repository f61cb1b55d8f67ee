/* plan.h - looking for a text that completes what was begun. */
#ifndef MLLM_GRAMMAR_PLAN_H
#define MLLM_GRAMMAR_PLAN_H

#include "machine.h"

/* Looks for at most `most` bytes that complete the text from the threads pool[first, first + count), the last of the pool, in at most
 * `effort` units of work, which are threads stepped and what checks took; *effort becomes what is left of them. UINT32_MAX: not found. Otherwise their number; they lie behind the text, at
 * m->text + m->length, until that is written again. The machine is as before. */
uint32_t mllm_plan(mllm_machine *m, uint32_t first, uint32_t count, uint32_t most, uint32_t *effort);

#endif
