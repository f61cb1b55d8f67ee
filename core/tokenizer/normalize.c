/* normalize.c - NFC in stretches: decompose character by character, order the marks, compose. utf8proc's own utf8proc_decompose sorts marks
 * in quadratic time and utf8proc_map allocates by itself, so only its per-character and composing functions are used. */
#include "normalize.h"

#include <utf8proc.h>

#include "../base/alloc.h"
#include "vocab.h"

static const utf8proc_option_t NFC = (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

typedef struct {
    utf8proc_int32_t *chars, *spare;
    size_t count, capacity;
} stretch;

static bool add_char(stretch *t, uint32_t c) {
    if (t->capacity - t->count < 32) {
        size_t capacity = t->capacity ? 2 * t->capacity : 256;
        utf8proc_int32_t *p = mllm_realloc_array(t->chars, capacity, sizeof *p);
        if (!p) return false;
        t->chars = p;
        p = mllm_realloc_array(t->spare, capacity, sizeof *p);
        if (!p) return false;
        t->spare = p;
        t->capacity = capacity;
    }
    int last = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, t->chars + t->count, 32, NFC, &last);
    if (n < 0 || n > 32) t->chars[t->count] = (utf8proc_int32_t)c, n = 1;
    t->count += (size_t)n;
    return true;
}

static unsigned combining_class(utf8proc_int32_t c) {
    return (unsigned)utf8proc_get_property(c)->combining_class;
}

/* Stable counting sort of the marks in [from, to) by combining class (Unicode's canonical ordering). */
static void order_marks(stretch *t, size_t from, size_t to) {
    size_t start[257] = {0};
    for (size_t i = from; i < to; i++) start[combining_class(t->chars[i]) + 1]++;
    for (unsigned k = 0; k < 256; k++) start[k + 1] += start[k];
    for (size_t i = from; i < to; i++) t->spare[start[combining_class(t->chars[i])]++] = t->chars[i];
    memcpy(t->chars + from, t->spare, (to - from) * sizeof *t->chars);
}

static void flush(stretch *t, mllm_buffer *out) {
    for (size_t i = 0; i < t->count;) {
        size_t end = i;
        bool sorted = true;
        unsigned last = 0, k;
        while (end < t->count && (k = combining_class(t->chars[end])) != 0) {
            sorted &= k >= last;
            last = k;
            end++;
        }
        if (!sorted) order_marks(t, i, end);
        i = end + 1;
    }
    utf8proc_ssize_t n = t->count ? utf8proc_normalize_utf32(t->chars, (utf8proc_ssize_t)t->count, NFC) : 0;
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t size = utf8proc_encode_char(t->chars[i], bytes);
        mllm_buffer_put(out, (const char *)bytes, (size_t)size);
    }
    t->count = 0;
}

void mllm_normalize_nfc(mllm_buffer *out, const char *text, size_t length) {
    stretch t = {0};
    size_t plain = 0; /* text[plain..at) is copied as it is */
    for (size_t at = 0; at < length && !out->failed;) {
        uint32_t c = (unsigned char)text[at];
        unsigned size = c < 0x80 ? 1 : mllm_utf8_char(text + at, length - at, &c);
        if (size == 0) { /* not UTF-8: a border that nothing composes across */
            at++;
            continue;
        }
        if (c < 0x300) { /* never changes by itself, and begins a stretch if a mark follows */
            at += size;
            continue;
        }
        /* A stretch: the character in front, and all up to the next one below U+0300. */
        size_t from = at;
        if (from > plain) {
            size_t back = from - 1;
            while (back > plain && ((unsigned char)text[back] & 0xC0) == 0x80) back--;
            if (mllm_utf8_char(text + back, from - back, NULL) == from - back) from = back;
        }
        mllm_buffer_put(out, text + plain, from - plain);
        for (at = from; at < length; at += size) {
            c = (unsigned char)text[at];
            size = c < 0x80 ? 1 : mllm_utf8_char(text + at, length - at, &c);
            if (size == 0 || (c < 0x300 && at > from)) break;
            if (!add_char(&t, c)) {
                out->failed = true;
                break;
            }
        }
        flush(&t, out);
        plain = at;
    }
    mllm_buffer_put(out, text + plain, length - plain);
    mllm_free(t.chars);
    mllm_free(t.spare);
}
