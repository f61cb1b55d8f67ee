/* Tool calls: random formats, random text, random chunks. No byte of the text is lost or told twice, the events do not depend on the chunks, and the
 * work grows with the text and not faster. */
#include "fuzz.h"

#include "toolcall/toolcall.h"

/* ------------------------------------------------------------------ random formats */

/* A format, and all its markers, for the text that is made and the bytes that may belong to no event. */
typedef struct {
    fuzz_text markers; /* each ends with a NUL */
    fuzz_text fields; /* for messages */
    mllm_toolcall_format *format;
    bool channels, start, text_key;
} record;

static void add(record *r, const char *field, const char *text) {
    mllm_error err;
    mllm_code code = mllm_toolcall_format_add(r->format, field, text, strlen(text), &err);
    if (code != MLLM_OK && code != MLLM_E_ARGUMENT && code != MLLM_E_LIMIT)
        FUZZ_FAIL("%s = %s: %s", field, text, err.message);
    if (code != MLLM_OK) return;
    fuzz_printf(&r->fields, " %s=%s", field, text);
    if (strcmp(text, "true") != 0 && !strstr(field, ".key")) fuzz_put(&r->markers, text, strlen(text) + 1);
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

static bool make_format(fuzz_source *s, record *r) {
    static const char *const bodies[] = {"json", "named", "tagged", "python", "channels"};
    mllm_error err;
    const char *body = bodies[fuzz_below(s, 5)];
    r->markers.length = 0;
    r->channels = *body == 'c';
    r->start = r->text_key = false;
    r->format = mllm_toolcall_format_new("random", &err);
    if (!r->format) FUZZ_FAIL("no format: %s", err.message);
    r->fields.length = 0;
    add(r, "body", body);
    r->markers.length = 0; /* no marker */
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
    if (fuzz_one_in(s, 8)) {
        add(r, "start", "true");
        r->start = true;
    }
    if (*body == 'j') {
        add(r, "name.key", "name");
        add(r, "arguments.key", "arguments");
        if (fuzz_one_in(s, 3)) add(r, "id.key", "id");
        if (fuzz_one_in(s, 3)) add(r, "nest.key", "function");
        if (fuzz_one_in(s, 3)) add(r, "text.key", "text"), r->text_key = true;
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
    if (mllm_toolcall_format_check(r->format, &err) == MLLM_OK) return true;
    mllm_toolcall_format_release(r->format);
    return false;
}

static void make_text(fuzz_source *s, const record *r, fuzz_text *t) {
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
                                         "0x1F",
                                         "functions.f:0",
                                         "<tool_call>"};
    t->length = 0;
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
            const char *p = pieces[fuzz_below(s, sizeof pieces / sizeof *pieces)];
            fuzz_put(t, p, strlen(p));
        }
    }
}

/* -------------------------------------------------------------------------- events */

/* What the events say, the pieces of text and of arguments joined, and which bytes of the input they account for. */
typedef struct {
    char *text;
    size_t length, capacity;
    char kind;
    uint8_t covered[1 << 15];
    bool twice;
} transcript;

static void put(transcript *t, const char *s, size_t n) {
    if (t->length + n + 1 > t->capacity) {
        t->capacity = (t->length + n + 1) * 2;
        t->text = realloc(t->text, t->capacity);
        if (!t->text) FUZZ_FAIL("no memory");
    }
    if (n) memcpy(t->text + t->length, s, n);
    t->length += n;
    t->text[t->length] = 0;
}

MLLM_PRINTF(2, 3) static void say(transcript *t, const char *format, ...) {
    char line[200];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    put(t, line, n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void cover(transcript *t, uint64_t from, size_t n) {
    for (size_t i = 0; i < n && from + i < sizeof t->covered; i++) {
        t->twice = t->twice || t->covered[from + i];
        t->covered[from + i] = 1;
    }
}

static void tell(transcript *t, const mllm_toolcall_event *e) {
    if (e->kind == MLLM_TOOLCALL_TEXT || e->kind == MLLM_TOOLCALL_REASONING) {
        char kind = e->kind == MLLM_TOOLCALL_TEXT ? 'T' : 'R';
        if (t->kind != kind) say(t, "\n%c ", kind);
        put(t, e->text, e->text_length);
        t->kind = kind;
        cover(t, e->position, e->text_length);
        return;
    }
    if (e->kind == MLLM_TOOLCALL_ARGUMENT) {
        if (t->kind != 'A') {
            say(t, "\nA%u ", e->call);
            for (size_t i = 0; i < e->path_length; i++) {
                if (e->path[i].key)
                    put(t, e->path[i].key, e->path[i].length);
                else
                    say(t, "%u", e->path[i].index);
                put(t, ".", 1);
            }
        }
        put(t, e->raw, e->raw_length);
        t->kind = e->complete ? 0 : 'A';
        if (e->complete) put(t, " = ", 3), put(t, e->json, e->json_length);
        return;
    }
    t->kind = 0;
    say(t, "\n%c%u ",
        e->kind == MLLM_TOOLCALL_CALL_BEGIN ? 'B'
        : e->kind == MLLM_TOOLCALL_CALL_END ? 'E'
                                            : 'X',
        e->call);
    put(t, e->name, e->name_length);
    put(t, " ", 1);
    put(t, e->id, e->id_length);
    put(t, " ", 1);
    put(t, e->json, e->json_length);
    if (e->kind == MLLM_TOOLCALL_ERROR) {
        say(t, " %d@%llu [", (int)e->fault, (unsigned long long)e->position);
        put(t, e->raw, e->raw_length);
        say(t, "] %s", e->message);
        cover(t, e->fault == MLLM_TOOLCALL_SKIPPED ? e->position : e->position - e->raw_length, e->raw_length);
    }
    if (e->kind == MLLM_TOOLCALL_CALL_END) cover(t, e->position, e->raw_length);
}

static void drain(mllm_toolcall_parser *p, transcript *t, mllm_code code, const mllm_error *err) {
    mllm_toolcall_event e;
    if (code != MLLM_OK) FUZZ_FAIL("%s", err->message);
    while (mllm_toolcall_next(p, &e)) tell(t, &e);
}

/* `most` 0: whole; else chunks of 1 .. most bytes. */
static void run(fuzz_source *s, mllm_toolcall_parser *p, transcript *t, const char *text, size_t n, uint32_t most) {
    mllm_error err = {.code = MLLM_OK};
    t->length = 0;
    t->kind = 0;
    t->twice = false;
    memset(t->covered, 0, n < sizeof t->covered ? n : sizeof t->covered);
    put(t, "", 0);
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

/* What no event tells must be syntax: markers, white space around them, separators, headers of channels, and of objects that hold text all but
 * the text. */
static bool is_syntax(const record *r, const char *s, size_t n, bool in_header) {
    static bool ends[sizeof(fuzz_text) + 1]; /* a piece of syntax ends here */
    memset(ends, 0, n + 1);
    ends[0] = true;
    for (size_t i = 0; i < n; i++) {
        if (!ends[i]) continue;
        if (s[i] && strchr(" \t\r\n,;[]}", s[i])) ends[i + 1] = true;
        if (r->text_key) {
            if (s[i] && strchr("{:\"", s[i])) ends[i + 1] = true; /* the quote before or after what was told */
            ends[i + json_word(s + i, n - i)] = true;
        }
        for (size_t at = 0; at < r->markers.length; at += strlen(r->markers.data + at) + 1) {
            size_t m = strlen(r->markers.data + at);
            if (m <= n - i && memcmp(s + i, r->markers.data + at, m) == 0) ends[i + m] = true;
        }
        if ((in_header && i == 0) || (r->channels && n - i >= 11 && memcmp(s + i, "<|channel|>", 11) == 0)) {
            const char *end = memmem(s + i, n - i, "<|message|>", 11); /* a header is read, not told */
            ends[end ? (size_t)(end - s) + 11 : n] = true;
        }
    }
    return ends[n];
}

static void FUZZ(fuzz_source *s) {
    static transcript one, two;
    record r;
    fuzz_text t;
    mllm_error err;
    if (!make_format(s, &r)) return;
    mllm_toolcall_options o = {.repair = fuzz_one_in(s, 3),
                               .limit = fuzz_one_in(s, 5) ? 40 : 0,
                               .keep_reasoning = fuzz_one_in(s, 8),
                               .reasoning_open = fuzz_one_in(s, 8)};
    mllm_toolcall_parser *p = mllm_toolcall_parser_new(&r.format, 1, &o, &err);
    if (!p) FUZZ_FAIL("no parser: %s", err.message);
    if (fuzz_one_in(s, 2)) {
        mllm_toolcall_parser_declare(p, "f", 1, NULL, 0, 0, &err);
        mllm_toolcall_parser_declare(p, "f", 1, "s", 1, MLLM_TYPE_STRING, &err);
        mllm_toolcall_parser_declare(p, "f", 1, "n", 1, MLLM_TYPE_INTEGER, &err);
    }
    for (int k = 0; k < 4; k++) {
        make_text(s, &r, &t);
        run(s, p, &one, t.data, t.length, 0);
        run(s, p, &two, t.data, t.length, k == 0 ? 1 : 1 + fuzz_below(s, 12));
        if (one.length != two.length || memcmp(one.text, two.text, one.length) != 0)
            FUZZ_FAIL("chunks matter: %s\n--- whole%s\n--- chunks%s", fuzz_show(t.data, t.length), one.text, two.text);
        /* The string of a text.key is text at once; if its object breaks later, the error has it too. */
        if (one.twice && !strstr(r.fields.data, "text.key"))
            FUZZ_FAIL("bytes told twice: %s%s\nformat %s", fuzz_show(t.data, t.length), one.text,
                      fuzz_show(r.fields.data, r.fields.length));
        /* An escape has fewer bytes as text. */
        bool escaped = r.text_key && memchr(t.data, '\\', t.length);
        for (size_t at = 0; at < t.length && !escaped; at++) {
            size_t from = at;
            while (at < t.length && !one.covered[at]) at++;
            if (at > from && !is_syntax(&r, t.data + from, at - from, r.start && from == 0))
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
    mllm_toolcall_format_release(r.format);
}

FUZZ_MAIN(60000)
