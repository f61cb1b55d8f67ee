#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *mllm_code_name(mllm_code code) {
    switch (code) {
    case MLLM_OK: return "ok";
    case MLLM_E_ARGUMENT: return "argument";
    case MLLM_E_IO: return "io";
    case MLLM_E_FORMAT: return "format";
    case MLLM_E_UNSUPPORTED: return "unsupported";
    case MLLM_E_MEMORY: return "memory";
    case MLLM_E_LIMIT: return "limit";
    case MLLM_E_CONTEXT: return "context";
    case MLLM_E_TOKEN: return "token";
    case MLLM_E_GRAMMAR: return "grammar";
    case MLLM_E_CANCELLED: return "cancelled";
    }
    return "unknown";
}

/* Length in bytes of the UTF-8 sequence at s (1..4), 0 when it is not one. RFC 3629: no overlong form, no surrogate. */
static int sequence(const unsigned char *s) {
    if (s[0] < 0x80) return 1;
    int n = s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : s[0] >= 0xE0 && s[0] < 0xF0 ? 3 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

mllm_code mllm_fail(mllm_error *err, mllm_code code, const char *format, ...) {
    if (!err) return code;
    err->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    for (unsigned char *s = (unsigned char *)err->message; *s;) {
        int n = sequence(s);
        if (n == 0 || *s < 0x20 || *s == 0x7F) *s = '?', n = 1;
        s += n;
    }
    return code;
}

mllm_code mllm_fail_memory(mllm_error *err, size_t bytes, const char *what) {
    return mllm_fail(err, MLLM_E_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
}
