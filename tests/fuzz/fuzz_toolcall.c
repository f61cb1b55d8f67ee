/* Tool calls: random formats, random text, random chunks. No byte of the text is lost or told twice, the events do not depend on the chunks, and the
 * work grows with the text and not faster. */
#include "fuzz.h"

#include "../core/toolcall_told.h"
#include "toolcall/toolcall.h"

/* ------------------------------------------------------------------------- formats */

enum { FORMATS = RECORDS };

typedef struct {
    bool channels, start, text_key;
} features;

/* Formats of one parser, and all their markers, for the text that is made and the bytes that may belong to no event. */
typedef struct {
    fuzz_text markers; /* each ends with a NUL */
    fuzz_text fields; /* for messages */
    mllm_toolcall_format *formats[FORMATS];
    size_t count;
    features has;
} record;

/* To the last format. */
static void add(record *r, const char *field, const char *text) {
    mllm_error err;
    mllm_code code = mllm_toolcall_format_add(r->formats[r->count - 1], field, text, strlen(text), &err);
    if (code != MLLM_OK && code != MLLM_E_ARGUMENT && code != MLLM_E_LIMIT)
        FUZZ_FAIL("%s = %s: %s", field, text, err.message);
    if (code != MLLM_OK) return;
    fuzz_printf(&r->fields, " %s=%s", field, text);
    if (strcmp(text, "true") != 0 && strcmp(field, "body") != 0 && !strstr(field, ".key"))
        fuzz_put(&r->markers, text, strlen(text) + 1);
    r->has.channels = r->has.channels || strcmp(field, "recipient") == 0;
    r->has.start = r->has.start || strcmp(field, "start") == 0;
    r->has.text_key = r->has.text_key || strcmp(field, "text.key") == 0;
}

/* A format as models have it; -1: all of them but channels, which begin inside a header. */
static void add_records(record *r, int which) {
    mllm_error err;
    for (int k = 0; k < RECORDS; k++) {
        if (which >= 0 ? k != which : records[k].fields == channels) continue;
        r->formats[r->count++] = mllm_toolcall_format_new(records[k].name, &err);
        for (const char *const *f = records[k].fields; *f; f += 2) add(r, f[0], f[1]);
    }
}

static const char *marker(fuzz_source *s) {
    static const char *const some[] = {"<tool_call>",
                                       "</tool_call>",
                                       "[TOOL_CALLS]",
                                       "[ARGS]",
                                       "[CALL_ID]",
                                       "<function=",
                                       "</function>",
                                       "<parameter=",
                                       "</parameter>",
                                       ">",
                                       "<|call|>",
                                       "<|/call|>",
                                       "<a>",
                                       "<a",
                                       "<aa>",
                                       "</a>",
                                       "```json\n",
                                       "\n```",
                                       "```",
                                       "call:",
                                       "\n",
                                       "<|\"|>",
                                       ";",
                                       "::",
                                       "<<",
                                       ">>",
                                       "<<<",
                                       "\xEF\xBD\x9C"
                                       "x",
                                       "aab",
                                       "abab"};
    return some[fuzz_below(s, sizeof some / sizeof *some)];
}

/* One more format; without it when its fields do not go together. */
static void add_format(fuzz_source *s, record *r) {
    static const char *const bodies[] = {"json", "named", "tagged", "python", "channels"};
    mllm_error err;
    const char *body = bodies[fuzz_below(s, 5)];
    size_t markers = r->markers.length, fields = r->fields.length;
    features has = r->has;
    mllm_toolcall_format *f = r->formats[r->count++] = mllm_toolcall_format_new("random", &err);
    if (!f) FUZZ_FAIL("no format: %s", err.message);
    add(r, "body", body);
    if (fuzz_one_in(s, 2)) add(r, "section.begin", marker(s));
    if (fuzz_one_in(s, 3)) add(r, "section.end", marker(s));
    if (fuzz_one_in(s, 2)) add(r, "call.begin", marker(s));
    if (fuzz_one_in(s, 4)) add(r, "call.begin", marker(s));
    if (fuzz_one_in(s, 2)) add(r, "call.end", marker(s));
    if (fuzz_one_in(s, 3)) add(r, "reasoning.begin", "<think>"), add(r, "reasoning.end", "</think>");
    if (fuzz_one_in(s, 4)) add(r, "drop", marker(s));
    if (fuzz_one_in(s, 3)) add(r, "list", "true");
    if (fuzz_one_in(s, 4)) add(r, "bare", "true");
    if (fuzz_one_in(s, 6)) add(r, "line", "true");
    if (fuzz_one_in(s, 6)) add(r, "weak", "true");
    if (fuzz_one_in(s, 6)) add(r, "trim", "true");
    if (fuzz_one_in(s, 6)) add(r, "reasoning.calls", "true");
    if (fuzz_one_in(s, 8)) add(r, "start", "true");
    if (*body == 'j') {
        add(r, "name.key", "name");
        add(r, "arguments.key", "arguments");
        if (fuzz_one_in(s, 3)) add(r, "id.key", "id");
        if (fuzz_one_in(s, 3)) add(r, "nest.key", "function");
        if (fuzz_one_in(s, 3)) add(r, "text.key", "text");
        if (fuzz_one_in(s, 5)) add(r, "name.is_key", "true");
    } else if (*body == 'n') {
        if (!fuzz_one_in(s, 3)) add(r, "name.end", marker(s));
        if (fuzz_one_in(s, 3)) add(r, "id.begin", marker(s));
        if (fuzz_one_in(s, 3)) add(r, "delimiter", marker(s));
        if (fuzz_one_in(s, 4)) add(r, "name.prefix", "functions.");
        if (fuzz_one_in(s, 4)) add(r, "name.suffix", ":");
    } else if (*body == 't') {
        add(r, "name.end", marker(s));
        add(r, "key.begin", marker(s));
        add(r, "key.end", marker(s));
        if (!fuzz_one_in(s, 3)) add(r, "value.begin", marker(s));
        add(r, "value.end", marker(s));
    } else if (*body == 'c') {
        add(r, "channels.begin", "<|channel|>");
        add(r, "channels.message", "<|message|>");
        add(r, "channels.end", "<|end|>");
        add(r, "channels.reasoning", "analysis");
        add(r, "recipient", " to=");
        add(r, "name.prefix", "functions.");
    }
    if (mllm_toolcall_format_check(f, &err) == MLLM_OK) return;
    mllm_toolcall_format_release(f);
    r->count--;
    r->markers.length = markers;
    r->fields.length = fields;
    r->has = has;
}

static const char *const pieces[] = {"{\"name\": \"f\", \"arguments\": ",
                                     "{\"name\": \"",
                                     "\"arguments\": {",
                                     "{\"s\": \"x\"}",
                                     "{\"n\": 1}}",
                                     "\"",
                                     "'",
                                     "\\",
                                     "\\u00",
                                     "\\ud83d",
                                     "{",
                                     "}",
                                     "[",
                                     "]",
                                     "(",
                                     ")",
                                     ",",
                                     ":",
                                     "=",
                                     "\n",
                                     " ",
                                     "f(",
                                     "g()",
                                     "f",
                                     "s=",
                                     "n = ",
                                     "1",
                                     "-2.5",
                                     "true",
                                     "None",
                                     "\"x\"",
                                     "\xC3\xA9",
                                     "\xE2\x82",
                                     "\xFF",
                                     "hello",
                                     "f(s = \"a\")",
                                     "f\n{",
                                     ";",
                                     "{\"f\": {\"n\": 2}}",
                                     "<think>",
                                     "</think>",
                                     "analysis",
                                     " to=functions.f",
                                     "\"\"\"",
                                     "id",
                                     "\"function\": ",
                                     "\"text\": \"",
                                     "\\'",
                                     ",}",
                                     ",]",
                                     "0x1F",
                                     "functions.f:0",
                                     "<tool_call>"};
enum { PIECES = sizeof pieces / sizeof *pieces };

/* A text of a format as models have it, changed in a few places. */
static void change_sample(fuzz_source *s, fuzz_text *t) {
    const char *sample = samples[fuzz_below(s, SAMPLES)];
    fuzz_put(t, sample, strlen(sample));
    for (uint32_t k = fuzz_below(s, 5); k-- && t->length > 1;) {
        size_t at = fuzz_below(s, (uint32_t)t->length);
        fuzz_text tail;
        tail.length = 0;
        switch (fuzz_below(s, 3)) {
        case 0: t->data[at] = (char)fuzz_below(s, 256); break;
        case 1: memmove(t->data + at, t->data + at + 1, --t->length - at); break;
        default: {
            const char *piece = pieces[fuzz_below(s, PIECES)];
            fuzz_put(&tail, t->data + at, t->length - at);
            t->length = at;
            fuzz_put(t, piece, strlen(piece));
            fuzz_put(t, tail.data, tail.length);
        }
        }
    }
}

static void make_text(fuzz_source *s, const record *r, fuzz_text *t) {
    t->length = 0;
    if (fuzz_one_in(s, 3)) {
        change_sample(s, t);
        return;
    }
    for (uint32_t k = 1 + fuzz_below(s, 40); k--;) {
        if (fuzz_one_in(s, 12)) {
            char c = (char)fuzz_below(s, 256);
            fuzz_put(t, &c, 1);
        } else if (fuzz_one_in(s, 2) && r->markers.length) { /* a marker, often only its beginning */
            size_t at = fuzz_below(s, (uint32_t)r->markers.length);
            while (at > 0 && r->markers.data[at - 1]) at--;
            size_t n = strlen(r->markers.data + at);
            fuzz_put(t, r->markers.data + at, fuzz_one_in(s, 6) ? fuzz_below(s, (uint32_t)n + 1) : n);
        } else {
            const char *p = pieces[fuzz_below(s, PIECES)];
            fuzz_put(t, p, strlen(p));
        }
    }
}

/* ------------------------------------------------------------------------------ runs */

static void drain(mllm_toolcall_parser *p, transcript *t, mllm_code code, const mllm_error *err) {
    mllm_toolcall_event e;
    if (code != MLLM_OK) FUZZ_FAIL("%s", err->message);
    while (mllm_toolcall_next(p, &e)) tell(t, &e);
}

/* `most` 0: whole; else chunks of 1 .. most bytes. */
static void run(fuzz_source *s, mllm_toolcall_parser *p, transcript *t, const char *text, size_t n, uint32_t most) {
    mllm_error err = {.code = MLLM_OK};
    told_clear(t, n);
    mllm_toolcall_reset(p);
    for (size_t at = 0; at < n;) {
        size_t chunk = most ? 1 + fuzz_below(s, most) : n;
        if (chunk > n - at) chunk = n - at;
        drain(p, t, mllm_toolcall_feed(p, text + at, chunk, &err), &err);
        if (most && fuzz_one_in(s, 20)) {
            mllm_toolcall_event e;
            mllm_toolcall_partial(p, &e);
        }
        at += chunk;
    }
    drain(p, t, mllm_toolcall_finish(p, &err), &err);
}

/* Bytes of a JSON string, a number or a word that stands at the beginning; 0: none. */
static size_t json_word(const char *s, size_t n) {
    size_t i = 0;
    if (*s != '"') {
        while (i < n && s[i] && strchr("abcdefghijklmnopqrstuvwxyz0123456789+-.", s[i])) i++;
        return i;
    }
    for (i = 1; i < n && s[i] != '"'; i++) i += s[i] == '\\';
    return i < n ? i + 1 : 0;
}

/* A header of channels begins here. */
static bool is_header(const char *s, size_t n) {
    return (n >= 11 && memcmp(s, "<|channel|>", 11) == 0) || (n >= 9 && memcmp(s, "<|start|>", 9) == 0);
}

/* What no event tells must be syntax: markers, white space around them, separators, headers of channels, and of objects that hold text all but
 * the text. */
static bool is_syntax(const record *r, const char *s, size_t n, bool in_header) {
    static bool ends[sizeof(fuzz_text) + 1]; /* a piece of syntax ends here */
    memset(ends, 0, n + 1);
    ends[0] = true;
    for (size_t i = 0; i < n; i++) {
        if (!ends[i]) continue;
        if (s[i] && strchr(" \t\r\n,;[]}", s[i])) ends[i + 1] = true;
        if (r->has.text_key) {
            if (s[i] && strchr("{:\"", s[i])) ends[i + 1] = true; /* the quote before or after what was told */
            ends[i + json_word(s + i, n - i)] = true;
        }
        for (size_t at = 0; at < r->markers.length; at += strlen(r->markers.data + at) + 1) {
            size_t m = strlen(r->markers.data + at);
            if (m <= n - i && memcmp(s + i, r->markers.data + at, m) == 0) ends[i + m] = true;
        }
        if ((in_header && i == 0) || (r->has.channels && is_header(s + i, n - i))) {
            const char *end = memmem(s + i, n - i, "<|message|>", 11); /* a header is read, not told */
            ends[end ? (size_t)(end - s) + 11 : n] = true;
        }
    }
    return ends[n];
}

static void FUZZ(fuzz_source *s) {
    static transcript one, two;
    static record r;
    fuzz_text t;
    mllm_error err;
    memset(&r, 0, sizeof r);
    if (fuzz_one_in(s, 3))
        add_records(&r, (int)fuzz_below(s, RECORDS + 1) - 1);
    else
        for (uint32_t left = fuzz_one_in(s, 3) ? 1 + fuzz_below(s, 3) : 1; left--;) add_format(s, &r);
    if (r.count == 0) return;
    mllm_toolcall_options o = {.repair = fuzz_one_in(s, 3),
                               .limit = fuzz_one_in(s, 5) ? 40 : 0,
                               .keep_reasoning = fuzz_one_in(s, 8),
                               .reasoning_open = fuzz_one_in(s, 8)};
    mllm_toolcall_parser *p = mllm_toolcall_parser_new(r.formats, r.count, &o, &err);
    if (!p) FUZZ_FAIL("no parser: %s", err.message);
    if (fuzz_one_in(s, 2)) {
        mllm_toolcall_parser_declare(p, "g", 1, NULL, 0, 0, &err);
        mllm_toolcall_parser_declare(p, "f", 1, NULL, 0, 0, &err);
        mllm_toolcall_parser_declare(p, "f", 1, "s", 1, MLLM_TYPE_STRING, &err);
        mllm_toolcall_parser_declare(p, "f", 1, "n", 1, MLLM_TYPE_INTEGER, &err);
    }
    for (int k = 0; k < 4; k++) {
        make_text(s, &r, &t);
        run(s, p, &one, t.data, t.length, 0);
        run(s, p, &two, t.data, t.length, k == 0 ? 1 : 1 + fuzz_below(s, 12));
        if (one.length != two.length || memcmp(one.text, two.text, one.length) != 0)
            FUZZ_FAIL("chunks matter: %s\n--- whole%s\n--- chunks%s\nrepair %d, limit %zu, format %s",
                      fuzz_show(t.data, t.length), one.text, two.text, o.repair, o.limit,
                      fuzz_show(r.fields.data, r.fields.length));
        /* The string of a text.key is text at once; if its object breaks later, the error has it too. */
        if (one.twice && !r.has.text_key)
            FUZZ_FAIL("bytes told twice: %s%s\nformat %s", fuzz_show(t.data, t.length), one.text,
                      fuzz_show(r.fields.data, r.fields.length));
        /* An escape has fewer bytes as text. */
        bool escaped = r.has.text_key && memchr(t.data, '\\', t.length);
        for (size_t at = 0; at < t.length && !escaped; at++) {
            size_t from = at;
            while (at < t.length && !one.covered[at]) at++;
            if (at > from && !is_syntax(&r, t.data + from, at - from, r.has.start && from == 0))
                FUZZ_FAIL("bytes lost: '%s' of %s%s\nformat %s", fuzz_show(t.data + from, at - from),
                          fuzz_show(t.data, t.length), one.text, fuzz_show(r.fields.data, r.fields.length));
        }
    }
    if (t.length > 0 && fuzz_one_in(s, 8)) { /* the same again and again: work for a byte must not grow */
        static char long_text[1 << 15];
        size_t n = 0, few = sizeof long_text / 8 / t.length * t.length;
        while (n + t.length <= sizeof long_text) memcpy(long_text + n, t.data, t.length), n += t.length;
        uint64_t start = fuzz_work;
        run(s, p, &one, long_text, few, 0);
        uint64_t some = fuzz_work - start;
        run(s, p, &one, long_text, n, 0);
        uint64_t most = fuzz_work - start - some;
        if (few && (double)most / (double)n > 3 * (double)some / (double)few + 50)
            FUZZ_FAIL("%zu bytes: %llu blocks; %zu bytes: %llu blocks: %s", few, (unsigned long long)some, n,
                      (unsigned long long)most, fuzz_show(t.data, t.length));
    }
    mllm_toolcall_parser_free(p);
    for (size_t k = 0; k < r.count; k++) mllm_toolcall_format_release(r.formats[k]);
}

FUZZ_MAIN(60000)
