/* value_text.c - what any bytes become as text: valid UTF-8, escaped where JSON asks for it. */
#include <stdio.h>
#include <utf8proc.h>

#include "value_machine.h"

/* Bytes that are known to be UTF-8: into the key, or escaped into the JSON. */
static void put_clean(mllm_value *v, const char *s, size_t n) {
    if (v->is_key) {
        mllm_buffer_put(&v->keys, s, n);
        return;
    }
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        char escape[8];
        size_t length = 2;
        escape[0] = '\\';
        switch (c) {
        case '"': escape[1] = '"'; break;
        case '\\': escape[1] = '\\'; break;
        case '\n': escape[1] = 'n'; break;
        case '\r': escape[1] = 'r'; break;
        case '\t': escape[1] = 't'; break;
        case '\b': escape[1] = 'b'; break;
        case '\f': escape[1] = 'f'; break;
        default: length = (size_t)snprintf(escape, sizeof escape, "\\u%04x", c); break;
        }
        mllm_buffer_put(&v->json, s + done, i - done);
        mllm_buffer_put(&v->json, escape, length);
        done = i + 1;
    }
    mllm_buffer_put(&v->json, s + done, n - done);
}

void mllm_value_text_replace(mllm_value *v) {
    put_clean(v, "\xEF\xBF\xBD", 3);
}

void mllm_value_text_begin(mllm_value *v) {
    v->utf8_need = 0;
    v->high = 0;
}

void mllm_value_text_put(mllm_value *v, const char *s, size_t n) {
    size_t i = 0;
    utf8proc_int32_t c;
    if (v->high && n) {
        v->high = 0;
        mllm_value_text_replace(v);
    }
    while (i < n) {
        if (!v->utf8_need) {
            size_t run = i;
            while (run < n && (unsigned char)s[run] < 0x80) run++;
            put_clean(v, s + i, run - i);
            if ((i = run) == n) return;
            unsigned char first = (unsigned char)s[i++];
            v->utf8_need = first >= 0xF5 || first < 0xC2 ? 0 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
            v->utf8[0] = first;
            v->utf8_have = 1;
            if (!v->utf8_need) mllm_value_text_replace(v);
        } else if (((unsigned char)s[i] & 0xC0) == 0x80) {
            v->utf8[v->utf8_have++] = (unsigned char)s[i++];
            if (v->utf8_have == v->utf8_need) {
                if (utf8proc_iterate(v->utf8, v->utf8_need, &c) == v->utf8_need)
                    put_clean(v, (const char *)v->utf8, (size_t)v->utf8_need);
                else
                    mllm_value_text_replace(v);
                v->utf8_need = 0;
            }
        } else {
            v->utf8_need = 0;
            mllm_value_text_replace(v);
        }
    }
}

bool mllm_value_text_code_point(mllm_value *v, uint32_t cp, char text[4], size_t *length) {
    if (v->high && cp >= 0xDC00 && cp <= 0xDFFF) {
        cp = 0x10000 + ((v->high - 0xD800) << 10) + (cp - 0xDC00);
        v->high = 0;
    }
    if (cp >= 0xD800 && cp <= 0xDBFF) {
        if (v->high) mllm_value_text_replace(v);
        v->high = cp;
        return false;
    }
    if (cp > 0x10FFFF || (cp >= 0xDC00 && cp <= 0xDFFF)) cp = 0xFFFD;
    *length = (size_t)utf8proc_encode_char((utf8proc_int32_t)cp, (utf8proc_uint8_t *)text);
    return true;
}

void mllm_value_text_end(mllm_value *v) {
    if (v->utf8_need || v->high) mllm_value_text_replace(v);
    mllm_value_text_begin(v);
}

void mllm_value_string_begin(mllm_value *v) {
    v->leaf = v->json.length;
    v->is_key = false;
    mllm_value_text_begin(v);
    v->writing = true;
    mllm_buffer_put(&v->json, "\"", 1);
}

void mllm_value_string_put(mllm_value *v, const char *bytes, size_t length) {
    mllm_value_text_put(v, bytes, length);
}

void mllm_value_string_end(mllm_value *v) {
    mllm_value_text_end(v);
    v->writing = false;
    mllm_buffer_put(&v->json, "\"", 1);
}
