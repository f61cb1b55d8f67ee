#include "stop.h"

#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"

mllm_code mllm_stop_filter_init(mllm_stop_filter *f, const mllm_span *stops, size_t count, mllm_error *err) {
    *f = (mllm_stop_filter){0};
    if (count > MLLM_MAX_STOPS)
        return mllm_fail(err, MLLM_E_ARGUMENT, "%zu stop strings: at most %d are possible", count, (int)MLLM_MAX_STOPS);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (stops[i].length == 0) return mllm_fail(err, MLLM_E_ARGUMENT, "stop string %zu is empty", i + 1);
        if (stops[i].length > MLLM_MAX_STOP_BYTES)
            return mllm_fail(err, MLLM_E_ARGUMENT, "stop string %zu has %zu bytes: at most %d are possible", i + 1,
                             stops[i].length, (int)MLLM_MAX_STOP_BYTES);
        bytes += stops[i].length;
        if (stops[i].length > f->longest) f->longest = stops[i].length;
    }
    if (count == 0) return MLLM_OK;
    f->stops = mllm_alloc(count * sizeof *f->stops + bytes);
    if (!f->stops) return mllm_fail_memory(err, count * sizeof *f->stops + bytes, "stop strings");
    char *at = (char *)(f->stops + count);
    for (size_t i = 0; i < count; i++) {
        memcpy(at, stops[i].bytes, stops[i].length);
        f->stops[i] = (mllm_span){at, stops[i].length};
        at += stops[i].length;
    }
    f->count = count;
    return MLLM_OK;
}

void mllm_stop_filter_free(mllm_stop_filter *f) {
    mllm_free(f->stops);
    mllm_free(f->held);
    *f = (mllm_stop_filter){0};
}

/* The longest stop string that ends at held[end]; 0: none does. */
static size_t stop_ending(const mllm_stop_filter *f, size_t end) {
    size_t longest = 0;
    for (size_t i = 0; i < f->count; i++) {
        size_t n = f->stops[i].length;
        if (n > longest && n <= end && memcmp(f->held + end - n, f->stops[i].bytes, n) == 0) longest = n;
    }
    return longest;
}

/* Bytes at the end that are the beginning of a stop string. */
static size_t beginning(const mllm_stop_filter *f) {
    size_t most = f->longest > 0 ? f->longest - 1 : 0;
    for (size_t k = most < f->length ? most : f->length; k > 0; k--)
        for (size_t i = 0; i < f->count; i++)
            if (f->stops[i].length > k && memcmp(f->stops[i].bytes, f->held + f->length - k, k) == 0) return k;
    return 0;
}

mllm_code mllm_stop_filter_push(mllm_stop_filter *f, const char *bytes, size_t length, size_t *ready, bool *found,
                                mllm_error *err) {
    if (f->capacity - f->length < length) {
        size_t capacity = 2 * (f->length + length) + 64;
        char *grown = mllm_realloc_array(f->held, capacity, 1);
        if (!grown) return mllm_fail_memory(err, capacity, "generated text");
        f->held = grown;
        f->capacity = capacity;
    }
    size_t before = f->length;
    if (length > 0) memcpy(f->held + before, bytes, length);
    f->length += length;
    *found = false;
    *ready = f->length;
    for (size_t end = before + 1; end <= f->length && f->count > 0; end++) {
        size_t n = stop_ending(f, end);
        if (n > 0) {
            *found = true;
            *ready = end - n;
            break;
        }
    }
    if (!*found) *ready -= beginning(f);
    /* A stop string may begin inside a character; the text must not end there. */
    while (*ready > 0 && *ready < f->length && ((unsigned char)f->held[*ready] & 0xC0) == 0x80) --*ready;
    return MLLM_OK;
}

void mllm_stop_filter_take(mllm_stop_filter *f, size_t count) {
    f->length -= count;
    if (f->length > 0) memmove(f->held, f->held + count, f->length);
}
