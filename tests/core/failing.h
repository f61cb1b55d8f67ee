/* failing.h - an allocator that runs out of memory when a test says so: mllm_set_allocator(failing, NULL). It serves several threads. */
#ifndef TEST_FAILING_H
#define TEST_FAILING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"

static struct {
    pthread_mutex_t lock;
    long left; /* allocations that will succeed; below 0: all */
    bool once; /* after one that failed all succeed; else none does */
    bool failed; /* one did, since fail_once or fail_from */
    long alive; /* blocks that it gave and that are not yet freed */
} failing_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .left = -1};

static inline void *failing(void *ctx, void *ptr, size_t size) {
    (void)ctx;
    void *result = NULL;
    pthread_mutex_lock(&failing_state.lock);
    if (!size) {
        failing_state.alive -= ptr != NULL;
        free(ptr);
    } else if (failing_state.left == 0) {
        failing_state.failed = true;
        if (failing_state.once) failing_state.left = -1;
    } else {
        if (failing_state.left > 0) failing_state.left--;
        result = realloc(ptr, size);
        failing_state.alive += result && !ptr;
    }
    pthread_mutex_unlock(&failing_state.lock);
    return result;
}

/* After n more allocations one fails. */
static inline void fail_once(long n) {
    failing_state.left = n;
    failing_state.once = true;
    failing_state.failed = false;
}

/* After n more allocations every one fails. */
static inline void fail_from(long n) {
    fail_once(n);
    failing_state.once = false;
}

static inline void fail_never(void) {
    failing_state.left = -1;
}

#endif
