/* JSON: the reader against a second one, written down here from RFC 8259; what it reads, written again; and the grammar of any JSON. */
#include "walk.h"

#include "base/json.h"

typedef struct {
    const uint8_t *p, *end;
    bool limited; /* something that only a limit of the reader may refuse */
} rfc;

static void space(rfc *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) r->p++;
}

static int hex4(rfc *r) {
    int v = 0;
    for (int i = 0; i < 4; i++, r->p++) {
        if (r->p >= r->end) return -1;
        int c = *r->p, d = c >= '0' && c <= '9'                 ? c - '0'
                           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                : -1;
        if (d < 0) return -1;
        v = v * 16 + d;
    }
    return v;
}

static bool string(rfc *r) {
    if (r->p >= r->end || *r->p++ != '"') return false;
    while (r->p < r->end && *r->p != '"') {
        uint8_t c = *r->p++;
        if (c < 0x20) return false;
        if (c == '\\') {
            if (r->p >= r->end) return false;
            c = *r->p++;
            if (c == 'u') {
                int v = hex4(r);
                if (v < 0 || (v >= 0xDC00 && v < 0xE000)) return false; /* a lone surrogate is no text */
                if (v >= 0xD800 && v < 0xDC00) {
                    if (r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u') return false;
                    r->p += 2;
                    v = hex4(r);
                    if (v < 0xDC00 || v >= 0xE000) return false;
                }
            } else if (!c || !strchr("\"\\/bfnrt", c))
                return false;
        } else if (c >= 0x80) {
            int more = c >= 0xC2 && c < 0xE0 ? 1 : c >= 0xE0 && c < 0xF0 ? 2 : c >= 0xF0 && c < 0xF5 ? 3 : 0;
            uint32_t v = more == 1 ? c & 31u : more == 2 ? c & 15u : c & 7u;
            if (!more || r->end - r->p < more) return false;
            for (int i = 0; i < more; i++, r->p++) {
                if ((*r->p & 0xC0) != 0x80) return false;
                v = v << 6 | (*r->p & 63u);
            }
            if ((more == 2 && (v < 0x800 || (v >= 0xD800 && v < 0xE000))) ||
                (more == 3 && (v < 0x10000 || v > 0x10FFFF)))
                return false;
        }
    }
    return r->p < r->end && *r->p++ == '"';
}

static bool digits(rfc *r) {
    const uint8_t *from = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') r->p++;
    return r->p > from;
}

static bool number(rfc *r) {
    if (r->p < r->end && *r->p == '-') r->p++;
    if (r->p < r->end && *r->p == '0')
        r->p++;
    else if (!digits(r))
        return false;
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (!digits(r)) return false;
    }
    if (r->p < r->end && (*r->p | 32) == 'e') {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-')) r->p++;
        const uint8_t *from = r->p;
        if (!digits(r)) return false;
        r->limited = r->limited || r->p - from >= 2;
    }
    return true;
}

static bool value(rfc *r, int depth) {
    if (depth > 400) r->limited = true;
    if (depth > 4000 || r->p >= r->end) return false;
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(r->end - r->p) >= n && memcmp(r->p, words[i], n) == 0) {
            r->p += n;
            return true;
        }
    }
    if (*r->p == '"') return string(r);
    if (*r->p != '{' && *r->p != '[') return number(r);
    bool object = *r->p++ == '{';
    uint8_t close = object ? '}' : ']';
    space(r);
    if (r->p < r->end && *r->p == close) {
        r->p++;
        return true;
    }
    for (;;) {
        space(r);
        if (object) {
            if (!string(r)) return false;
            space(r);
            if (r->p >= r->end || *r->p++ != ':') return false;
            space(r);
        }
        if (!value(r, depth + 1)) return false;
        space(r);
        if (r->p >= r->end) return false;
        uint8_t c = *r->p++;
        if (c == close) return true;
        if (c != ',') return false;
    }
}

/* ------------------------------------------------------------------------- texts */

static void make(fuzz_source *s, fuzz_text *t, int depth) {
    static const char *const leaves[] = {"null",
                                         "true",
                                         "false",
                                         "0",
                                         "-0",
                                         "-1",
                                         "12",
                                         "1.5",
                                         "1e5",
                                         "-2.25E-3",
                                         "123456789012345678901234567890",
                                         "9223372036854775807",
                                         "9223372036854775808",
                                         "1e308",
                                         "1e309",
                                         "0.1",
                                         "\"\"",
                                         "\"a\"",
                                         "\"\\u00e9\"",
                                         "\"\\ud83d\\ude00\"",
                                         "\"\\n\\\"\"",
                                         "\"\xC3\xA9\"",
                                         "\"\\/\"",
                                         "\"\x7F\"",
                                         "5e-324",
                                         "1e-400"};
    static const char *const spaces[] = {"", "", "", "", " ", "\n", "\t", "\r\n"};
    uint32_t n;
    if (depth <= 0 || fuzz_one_in(s, 3)) {
        fuzz_printf(t, "%s", leaves[fuzz_below(s, sizeof leaves / sizeof *leaves)]);
        return;
    }
    bool object = fuzz_one_in(s, 2);
    fuzz_put(t, object ? "{" : "[", 1);
    n = fuzz_below(s, 4);
    for (uint32_t i = 0; i < n; i++) {
        fuzz_printf(t, "%s%s", i ? "," : "", spaces[fuzz_below(s, 8)]);
        if (object) fuzz_printf(t, "\"%s\"%s:", i % 2 ? "a" : "\\u0061b", spaces[fuzz_below(s, 8)]);
        make(s, t, depth - 1);
    }
    fuzz_printf(t, "%s%s", spaces[fuzz_below(s, 8)], object ? "}" : "]");
}

static void change(fuzz_source *s, fuzz_text *t) {
    static const char bytes[] = "{}[]\",:\\u019eE+-. tfn\x80\xC3\xED\xF4\x1F\x7F";
    for (uint32_t k = fuzz_below(s, 4); k-- && t->length;) {
        size_t at = fuzz_below(s, (uint32_t)t->length);
        char c = fuzz_one_in(s, 3) ? (char)fuzz_below(s, 256) : bytes[fuzz_below(s, sizeof bytes - 1)];
        switch (fuzz_below(s, 3)) {
        case 0: t->data[at] = c; break;
        case 1: memmove(t->data + at, t->data + at + 1, t->length - at), t->length--; break;
        default:
            if (t->length + 2 > sizeof t->data) break;
            memmove(t->data + at + 1, t->data + at, t->length - at + 1);
            t->data[at] = c;
            t->length++;
        }
    }
}

/* ------------------------------------------------------------------------ checks */

static void write_again(mllm_buffer *b, const mllm_json *d, uint32_t x) {
    const mllm_json_node *n = &d->nodes[x];
    switch (n->kind) {
    case MLLM_JSON_NULL: mllm_buffer_put(b, "null", 4); return;
    case MLLM_JSON_TRUE: mllm_buffer_put(b, "true", 4); return;
    case MLLM_JSON_FALSE: mllm_buffer_put(b, "false", 5); return;
    case MLLM_JSON_INTEGER: mllm_json_put_integer(b, n->as.integer); return;
    case MLLM_JSON_NUMBER:
        if (!mllm_json_put_double(b, n->as.number)) FUZZ_FAIL("a number that cannot be written");
        return;
    case MLLM_JSON_STRING:
        if (!mllm_json_put_string(b, n->as.string, n->count)) FUZZ_FAIL("a string that cannot be written");
        return;
    default: break;
    }
    bool object = n->kind == MLLM_JSON_OBJECT;
    mllm_buffer_put(b, object ? "{" : "[", 1);
    uint32_t c = x + 1;
    for (uint32_t i = 0; i < n->count; i++) {
        if (i) mllm_buffer_put(b, ",", 1);
        if (object) {
            write_again(b, d, c);
            mllm_buffer_put(b, ":", 1);
            c = d->nodes[c].next;
        }
        write_again(b, d, c);
        c = d->nodes[c].next;
    }
    if (c != n->next) FUZZ_FAIL("node %u: its children end at %u, next is %u", x, c, n->next);
    mllm_buffer_put(b, object ? "}" : "]", 1);
}

static bool same(const mllm_json *a, const mllm_json *b) {
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const mllm_json_node *x = &a->nodes[i], *y = &b->nodes[i];
        if (x->kind != y->kind || x->count != y->count || x->next != y->next) return false;
        if (x->kind == MLLM_JSON_STRING && memcmp(x->as.string, y->as.string, x->count) != 0) return false;
        if (x->kind == MLLM_JSON_INTEGER && x->as.integer != y->as.integer) return false;
        if (x->kind == MLLM_JSON_NUMBER && memcmp(&x->as.number, &y->as.number, sizeof(double)) != 0) return false;
    }
    return true;
}

static void FUZZ(fuzz_source *s) {
    static mllm_grammar *any[3];
    fuzz_text t = {.length = 0};
    mllm_json d, again;
    mllm_error err = {.code = MLLM_OK};
    for (int i = 0; i < 3 && !any[i]; i++) {
        mllm_schema_options o = {.any_order = true, .space = (mllm_space)i};
        any[i] = mllm_grammar_json_schema("true", 4, &o, &err);
    }
    if (fuzz_one_in(s, 40)) { /* deep */
        for (uint32_t n = fuzz_below(s, 700), i = 0; i < n; i++) fuzz_put(&t, i % 3 ? "[" : "{\"a\":", i % 3 ? 1 : 5);
    } else if (fuzz_one_in(s, 8))
        for (uint32_t n = fuzz_below(s, 30); n--;) {
            char c = (char)fuzz_below(s, 256);
            fuzz_put(&t, &c, 1);
        }
    else {
        make(s, &t, (int)fuzz_below(s, 5));
        change(s, &t);
    }
    const char *what = fuzz_show(t.data, t.length);
    rfc r = {.p = (const uint8_t *)t.data, .end = (const uint8_t *)t.data + t.length};
    space(&r);
    bool is = value(&r, 0);
    space(&r);
    is = is && r.p == r.end;
    mllm_code code = mllm_json_parse(&d, t.data, t.length, 0, &err);
    if (code == MLLM_OK ? !is : is && !(r.limited && code == MLLM_E_LIMIT))
        FUZZ_FAIL("%s: JSON %d, the reader says %s", what, is, code == MLLM_OK ? "yes" : err.message);
    for (int i = 0; i < 3; i++)
        if (any[i] && walk_text(any[i], t.data, t.length, what) == 1 && code != MLLM_OK)
            FUZZ_FAIL("%s: taken by the grammar of any JSON, refused by the reader: %s", what, err.message);
    if (code != MLLM_OK) {
        if (code == MLLM_E_FORMAT && !strstr(err.message, "line"))
            FUZZ_FAIL("%s: message without its place: %s", what, err.message);
        return;
    }
    for (uint32_t i = 0; i < d.count; i++)
        if (d.nodes[i].start >= d.nodes[i].end || d.nodes[i].end > t.length || d.nodes[i].next <= i ||
            d.nodes[i].next > d.count)
            FUZZ_FAIL("%s: node %u lies at %u to %u, next %u", what, i, d.nodes[i].start, d.nodes[i].end,
                      d.nodes[i].next);
    mllm_buffer b = {0};
    write_again(&b, &d, 0);
    if (mllm_json_parse(&again, b.data, b.length, 0, &err) != MLLM_OK)
        FUZZ_FAIL("%s: written again as %s: %s", what, fuzz_show(b.data, b.length), err.message);
    if (!same(&d, &again)) FUZZ_FAIL("%s: written again as %s: another value", what, fuzz_show(b.data, b.length));
    /* It keeps numbers and nesting within bounds that a reader elsewhere may have, and no key comes twice. */
    if (walk_text(any[1], b.data, b.length, what) == 0 && d.count < 60 && !memchr(b.data, '{', b.length) &&
        !memchr(b.data, 'e', b.length))
        FUZZ_FAIL("%s: written as %s, which the grammar of any JSON refuses", what, fuzz_show(b.data, b.length));
    mllm_buffer_free(&b);
    mllm_json_free(&again);
    mllm_json_free(&d);
}

FUZZ_MAIN(150000)
