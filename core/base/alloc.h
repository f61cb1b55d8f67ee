/* alloc.h - the engine's memory. Everything goes through the hook of mllm_set_allocator. */
#ifndef MLLM_BASE_ALLOC_H
#define MLLM_BASE_ALLOC_H

#include <stddef.h>

void *mllm_alloc(size_t size); /* NULL on failure; size 0 gives a valid pointer */
void *mllm_calloc(size_t count, size_t size); /* zeroed; NULL also when count * size overflows */
void *mllm_alloc_array(size_t count, size_t size); /* not zeroed; NULL also when count * size overflows */
void *mllm_realloc_array(void *ptr, size_t count, size_t size); /* NULL on failure, `ptr` then still valid */
void mllm_free(void *ptr);
char *mllm_strndup(const char *s, size_t length); /* terminated copy */

/* 64-byte aligned, for tensors and panels. Only mllm_free_aligned frees it. */
void *mllm_alloc_aligned(size_t size);
void mllm_free_aligned(void *ptr);

#endif
