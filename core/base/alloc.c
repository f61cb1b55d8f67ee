#include "alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../mobilellm.h"

static void *plain(void *ctx, void *ptr, size_t size) {
    (void)ctx;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

static mllm_alloc_fn hook = plain;
static void *hook_ctx;

void mllm_set_allocator(mllm_alloc_fn fn, void *ctx) {
    hook = fn ? fn : plain;
    hook_ctx = fn ? ctx : NULL;
}

void *mllm_alloc(size_t size) {
    return hook(hook_ctx, NULL, size ? size : 1);
}

void *mllm_alloc_array(size_t count, size_t size) {
    if (size && count > SIZE_MAX / size) return NULL;
    return mllm_alloc(count * size);
}

void *mllm_calloc(size_t count, size_t size) {
    void *p = mllm_alloc_array(count, size);
    if (p) memset(p, 0, count * size);
    return p;
}

void *mllm_realloc_array(void *ptr, size_t count, size_t size) {
    if (size && count > SIZE_MAX / size) return NULL;
    size_t bytes = count * size;
    return hook(hook_ctx, ptr, bytes ? bytes : 1);
}

void mllm_free(void *ptr) {
    if (ptr) hook(hook_ctx, ptr, 0);
}

char *mllm_strndup(const char *s, size_t length) {
    char *copy = length < SIZE_MAX ? mllm_alloc(length + 1) : NULL;
    if (!copy) return NULL;
    memcpy(copy, s, length);
    copy[length] = 0;
    return copy;
}

enum { ALIGNMENT = 64 };

/* The byte before the returned pointer is not enough for a distance of 64, so a whole pointer stands there. */
void *mllm_alloc_aligned(size_t size) {
    if (size > SIZE_MAX - ALIGNMENT - sizeof(void *)) return NULL;
    char *base = mllm_alloc(size + ALIGNMENT + sizeof(void *));
    if (!base) return NULL;
    uintptr_t at = ((uintptr_t)base + sizeof(void *) + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    char *ptr = base + (at - (uintptr_t)base);
    memcpy(ptr - sizeof(void *), &base, sizeof base);
    return ptr;
}

void mllm_free_aligned(void *ptr) {
    if (!ptr) return;
    void *base;
    memcpy(&base, (char *)ptr - sizeof(void *), sizeof(void *));
    mllm_free(base);
}
