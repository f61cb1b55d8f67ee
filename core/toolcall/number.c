#include "number.h"

#include <stdint.h>
#include <stdio.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool mllm_value_is_number(const char *s) {
    if (*s == '-') s++;
    if (*s == '0')
        s++;
    else if (*s >= '1' && *s <= '9')
        while (is_digit(*s)) s++;
    else
        return false;
    if (*s == '.') {
        if (!is_digit(*++s)) return false;
        while (is_digit(*s)) s++;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        if (*s == '+' || *s == '-') s++;
        if (!is_digit(*s)) return false;
        while (is_digit(*s)) s++;
    }
    return *s == 0;
}

bool mllm_value_mend_number(const char *word, char *out, size_t size) {
    const char *s = word;
    size_t n = 0;
    bool negative = *s == '-';
    if (*s == '-' || *s == '+') s++;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && s[2]) {
        uint64_t value = 0;
        for (s += 2; *s; s++) {
            if (*s == '_') continue;
            int digit = is_digit(*s)             ? *s - '0'
                        : *s >= 'a' && *s <= 'f' ? *s - 'a' + 10
                        : *s >= 'A' && *s <= 'F' ? *s - 'A' + 10
                                                 : -1;
            if (digit < 0 || value >> 59) return false;
            value = value << 4 | (unsigned)digit;
        }
        snprintf(out, size, "%s%llu", negative && value ? "-" : "", (unsigned long long)value);
        return true;
    }
    if (negative) out[n++] = '-';
    while (*s == '0' && (is_digit(s[1]) || s[1] == '_')) s++;
    if (*s == '.') out[n++] = '0';
    for (; *s && n + 3 < size; s++) {
        if (*s == '_' && is_digit(s[1])) continue;
        out[n++] = *s;
        if (*s == '.' && !is_digit(s[1])) out[n++] = '0';
    }
    out[n] = 0;
    return *s == 0 && mllm_value_is_number(out);
}
