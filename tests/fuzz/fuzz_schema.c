/* JSON Schema: random schemas, whose grammar and validator must agree on random values; matchers on their grammars; and texts that may
 * be no schema. */
#include "walk.h"

/* ------------------------------------------------------------------ random JSON */

static const char *const keys[] = {"a", "b", "c", "ab", "\xC3\xA9", "", "x-1", "a b"};
enum { KEYS = sizeof keys / sizeof *keys };
static const char *const numbers[] = {"0",
                                      "1",
                                      "-1",
                                      "2",
                                      "3",
                                      "5",
                                      "7",
                                      "10",
                                      "12",
                                      "100",
                                      "-7",
                                      "0.5",
                                      "1.5",
                                      "-2.5",
                                      "2.0",
                                      "0.1",
                                      "0.30",
                                      "12.25",
                                      "9007199254740993",
                                      "-0"};
enum { NUMBERS = sizeof numbers / sizeof *numbers };
static const char *const strings[] = {
    "",    "a",     "b",      "ab",  "abc",        "aab",       "1",       "12",     "\xC3\xA9", "\xF0\x9F\x98\x80",
    "a-b", "a\\\\", "a\\\"b", "\\n", "2020-01-02", "10:20:30Z", "1.2.3.4", "a@b.co", "x-1",      "a b",
    "B"};
enum { STRINGS = sizeof strings / sizeof *strings };

#define PICK(s, list) list[fuzz_below(s, sizeof list / sizeof *list)]

static void value(fuzz_source *s, fuzz_text *t, int depth) {
    uint32_t what = fuzz_below(s, depth > 0 ? 14 : 8), n;
    switch (what) {
    case 0: fuzz_put(t, "null", 4); return;
    case 1: fuzz_put(t, "true", 4); return;
    case 2: fuzz_put(t, "false", 5); return;
    case 3:
    case 4:
    case 5: fuzz_printf(t, "%s", PICK(s, numbers)); return;
    case 6:
    case 7: fuzz_printf(t, "\"%s\"", PICK(s, strings)); return;
    case 8:
    case 9:
    case 10:
        fuzz_put(t, "[", 1);
        n = fuzz_below(s, 4);
        for (uint32_t i = 0; i < n; i++) {
            if (i) fuzz_put(t, ",", 1);
            value(s, t, depth - 1);
        }
        fuzz_put(t, "]", 1);
        return;
    default: {
        uint32_t used = 0;
        n = fuzz_below(s, 4);
        fuzz_put(t, "{", 1);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t k = fuzz_below(s, fuzz_one_in(s, 3) ? KEYS : 3);
            if (used >> k & 1) continue;
            fuzz_printf(t, "%s\"%s\":", used ? "," : "", keys[k]);
            used |= 1u << k;
            value(s, t, depth - 1);
        }
        fuzz_put(t, "}", 1);
    }
    }
}

/* ---------------------------------------------------------------- random schemas */

static void schema(fuzz_source *s, fuzz_text *t, int depth);

static void schemas(fuzz_source *s, fuzz_text *t, const char *keyword, int depth) {
    fuzz_printf(t, "\"%s\":[", keyword);
    for (uint32_t i = 0, n = 1 + fuzz_below(s, 3); i < n; i++) {
        if (i) fuzz_put(t, ",", 1);
        schema(s, t, depth);
    }
    fuzz_put(t, "]", 1);
}

static void key_list(fuzz_source *s, fuzz_text *t) {
    uint32_t used = 0;
    fuzz_put(t, "[", 1);
    for (uint32_t n = fuzz_below(s, 4); n--;) {
        uint32_t k = fuzz_below(s, KEYS);
        if (used >> k & 1) continue;
        fuzz_printf(t, "%s\"%s\"", used ? "," : "", keys[k]);
        used |= 1u << k;
    }
    fuzz_put(t, "]", 1);
}

/* {"key": ..., ...} with `member` for each value; `names` of the keys. */
static void map(fuzz_source *s, fuzz_text *t, const char *keyword, const char *const *names, uint32_t count, int depth,
                bool lists) {
    uint32_t used = 0;
    fuzz_printf(t, "\"%s\":{", keyword);
    for (uint32_t n = 1 + fuzz_below(s, 3); n--;) {
        uint32_t k = fuzz_below(s, count);
        if (used >> k & 1) continue;
        fuzz_printf(t, "%s\"%s\":", used ? "," : "", names[k]);
        used |= 1u << k;
        if (lists)
            key_list(s, t);
        else
            schema(s, t, depth);
    }
    fuzz_put(t, "}", 1);
}

static void keyword(fuzz_source *s, fuzz_text *t, int which, int depth) {
    static const char *const types[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    static const char *const patterns[] = {"^a",       "b$",  "^[a-c]*$", "a",      "^.{2}$", "[^a]",
                                           "^(a|b)+$", "^x-", "1",        "\\\\d+", "^$",     ""};
    static const char *const formats[] = {"date",     "time", "date-time", "ipv4", "email",   "uuid",
                                          "nonsense", "ipv6", "hostname",  "uri",  "duration"};
    static const char *const multiples[] = {"1", "2", "3", "0.5", "0.1", "0.01", "7", "10", "2.5", "1.0", "1e2"};
    switch (which) {
    case 0: fuzz_printf(t, "\"type\":\"%s\"", PICK(s, types)); return;
    case 1: fuzz_printf(t, "\"type\":[\"%s\",\"%s\"]", types[fuzz_below(s, 3)], types[3 + fuzz_below(s, 4)]); return;
    case 2:
        fuzz_put(t, "\"enum\":[", 8);
        for (uint32_t i = 0, n = 1 + fuzz_below(s, 4); i < n; i++) {
            if (i) fuzz_put(t, ",", 1);
            value(s, t, 2);
        }
        fuzz_put(t, "]", 1);
        return;
    case 3:
        fuzz_put(t, "\"const\":", 8);
        value(s, t, 2);
        return;
    case 4: map(s, t, "properties", keys, KEYS, depth, false); return;
    case 5: fuzz_put(t, "\"required\":", 11), key_list(s, t); return;
    case 6: fuzz_put(t, "\"additionalProperties\":", 23), schema(s, t, depth); return;
    case 7: map(s, t, "patternProperties", patterns, 12, depth, false); return;
    case 8: fuzz_printf(t, "\"minProperties\":%u", fuzz_below(s, 3)); return;
    case 9: fuzz_printf(t, "\"maxProperties\":%u", fuzz_below(s, 4)); return;
    case 10: fuzz_put(t, "\"propertyNames\":", 16), schema(s, t, depth); return;
    case 11: map(s, t, "dependentRequired", keys, KEYS, depth, true); return;
    case 12: map(s, t, "dependentSchemas", keys, KEYS, depth, false); return;
    case 13: fuzz_put(t, "\"items\":", 8), schema(s, t, depth); return;
    case 14: schemas(s, t, "prefixItems", depth); return;
    case 15: fuzz_printf(t, "\"minItems\":%u", fuzz_below(s, 4)); return;
    case 16: fuzz_printf(t, "\"maxItems\":%u", fuzz_below(s, 4)); return;
    case 17: fuzz_printf(t, "\"uniqueItems\":%s", fuzz_one_in(s, 6) ? "false" : "true"); return;
    case 18: fuzz_put(t, "\"contains\":", 11), schema(s, t, depth); return;
    case 19: fuzz_printf(t, "\"minContains\":%u", fuzz_below(s, 3)); return;
    case 20: fuzz_printf(t, "\"maxContains\":%u", fuzz_below(s, 3)); return;
    case 21: fuzz_printf(t, "\"minLength\":%u", fuzz_below(s, 4)); return;
    case 22: fuzz_printf(t, "\"maxLength\":%u", fuzz_below(s, 5)); return;
    case 23: fuzz_printf(t, "\"pattern\":\"%s\"", PICK(s, patterns)); return;
    case 24: fuzz_printf(t, "\"format\":\"%s\"", PICK(s, formats)); return;
    case 25: fuzz_printf(t, "\"minimum\":%s", PICK(s, numbers)); return;
    case 26: fuzz_printf(t, "\"maximum\":%s", PICK(s, numbers)); return;
    case 27: fuzz_printf(t, "\"exclusiveMinimum\":%s", PICK(s, numbers)); return;
    case 28: fuzz_printf(t, "\"exclusiveMaximum\":%s", PICK(s, numbers)); return;
    case 29: fuzz_printf(t, "\"multipleOf\":%s", PICK(s, multiples)); return;
    case 30: schemas(s, t, "allOf", depth); return;
    case 31: schemas(s, t, "anyOf", depth); return;
    case 32: schemas(s, t, "oneOf", depth); return;
    case 33: fuzz_put(t, "\"not\":", 6), schema(s, t, depth); return;
    case 34: fuzz_put(t, "\"if\":", 5), schema(s, t, depth); return;
    case 35: fuzz_put(t, "\"then\":", 7), schema(s, t, depth); return;
    case 36: fuzz_put(t, "\"else\":", 7), schema(s, t, depth); return;
    case 37:
        fuzz_printf(t, "\"$ref\":\"#%s\"", fuzz_one_in(s, 4) ? "" : fuzz_one_in(s, 2) ? "/$defs/d0" : "/$defs/d1");
        return;
    case 38: fuzz_put(t, "\"unevaluatedProperties\":", 24), schema(s, t, depth); return;
    default: fuzz_put(t, "\"unevaluatedItems\":", 19), schema(s, t, depth); return;
    }
}

static void schema(fuzz_source *s, fuzz_text *t, int depth) {
    /* keywords that go together */
    static const int groups[][8] = {{0, 1, 2, 3, 0, 2, 3, 1},        {21, 22, 23, 24, 0, 21, 22, 23},
                                    {25, 26, 27, 28, 29, 0, 25, 26}, {4, 5, 6, 7, 8, 9, 10, 4},
                                    {4, 5, 6, 11, 12, 10, 38, 5},    {13, 14, 15, 16, 17, 18, 19, 20},
                                    {30, 31, 32, 33, 0, 4, 13, 39},  {34, 35, 36, 37, 4, 5, 0, 2}};
    if (depth <= 0 || fuzz_one_in(s, 12)) {
        static const char *const small[] = {"true",
                                            "{}",
                                            "{\"type\":\"string\"}",
                                            "{\"type\":\"integer\"}",
                                            "{\"type\":\"boolean\"}",
                                            "false",
                                            "{\"const\":1}",
                                            "{\"enum\":[\"a\",2,null]}",
                                            "{\"type\":\"number\"}",
                                            "{\"minLength\":2}",
                                            "{\"$ref\":\"#/$defs/d0\"}"};
        fuzz_printf(t, "%s", PICK(s, small));
        return;
    }
    uint64_t used = 0;
    const int *group = groups[fuzz_below(s, 8)];
    fuzz_put(t, "{", 1);
    for (uint32_t n = 1 + fuzz_below(s, 5); n--;) {
        if (fuzz_one_in(s, 6)) group = groups[fuzz_below(s, 8)];
        int k = fuzz_one_in(s, 8) ? (int)fuzz_below(s, 40) : group[fuzz_below(s, 8)];
        if (used >> k & 1 || (k < 2 && used & 3)) continue;
        if (used) fuzz_put(t, ",", 1);
        used |= 1ull << k;
        keyword(s, t, k, depth - 1);
    }
    fuzz_put(t, "}", 1);
}

/* A schema object as the root, with two definitions. */
static void root(fuzz_source *s, fuzz_text *t) {
    t->length = 0;
    schema(s, t, 1 + (int)fuzz_below(s, 4));
    if (t->data[0] != '{') return;
    fuzz_text inner = *t;
    t->length = 0;
    fuzz_put(t, "{\"$defs\":{\"d0\":", 15);
    schema(s, t, 2);
    fuzz_put(t, ",\"d1\":", 6);
    schema(s, t, 2);
    fuzz_put(t, inner.length > 2 ? "}," : "}", inner.length > 2 ? 2 : 1);
    fuzz_put(t, inner.data + 1, inner.length - 1);
}

/* ------------------------------------------------------------------------ checks */

typedef struct {
    fuzz_text schema;
    mllm_schema_options options;
} subject;

static int judge(void *ctx, const char *text, size_t n) {
    subject *x = ctx;
    mllm_error err = {.code = MLLM_OK};
    mllm_code code = mllm_json_validate(x->schema.data, x->schema.length, text, n, &x->options, &err);
    /* What is no JSON, because it has not come so far, is reported as a format error of the value. */
    return code == MLLM_OK ? 1 : code == MLLM_E_GRAMMAR || code == MLLM_E_FORMAT ? 0 : -1;
}

static void agree(subject *x, fuzz_source *s) {
    mllm_error err = {.code = MLLM_OK};
    const char *what = fuzz_show(x->schema.data, x->schema.length);
    uint64_t before = fuzz_work;
    mllm_grammar *g = mllm_grammar_json_schema(x->schema.data, x->schema.length, &x->options, &err);
    if (fuzz_work - before > 1000000000)
        FUZZ_FAIL("%s: %llu blocks to compile", what, (unsigned long long)(fuzz_work - before));
    if (!g && strncmp(err.message, "schema", 6) != 0) FUZZ_FAIL("%s: message without its place: %s", what, err.message);
    if (!g && err.code != MLLM_E_GRAMMAR) return;
    for (int k = 0; k < 16; k++) {
        fuzz_text v = {.length = 0};
        value(s, &v, (int)fuzz_below(s, 4));
        int valid = judge(x, v.data, v.length), taken = g ? walk_text(g, v.data, v.length, what) : 0;
        if (valid >= 0 && taken >= 0 && valid != taken && (x->options.any_order || (taken && !valid)))
            FUZZ_FAIL("%s\n  %s: valid %d, taken by the grammar %d %s", what, fuzz_show(v.data, v.length), valid, taken,
                      g ? "" : err.message);
    }
    walk_language l = {.what = what, .judge = judge, .may_die = true, .ctx = x};
    if (g) walk(s, g, &l);
    mllm_grammar_release(g);
}

/* A schema with a few bytes changed, or pieces in a row: an error with its place, or a schema. */
static void anything(fuzz_source *s, fuzz_text *t) {
    static const char *const pieces[] = {"{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         ":",
                                         "\"",
                                         "\"type\":",
                                         "\"$ref\":\"#\"",
                                         "\"enum\":[]",
                                         "1",
                                         "-1",
                                         "1e400",
                                         "null",
                                         "true",
                                         "\\u0000",
                                         "\"$id\":\"x:/y\"",
                                         "\"$anchor\":\"a\"",
                                         "\"$ref\":\"#a\"",
                                         "\"pattern\":\"(\"",
                                         "\"$defs\":{\"a\":{\"$ref\":\"#/$defs/a\"}}",
                                         "\"multipleOf\":0",
                                         "\"minLength\":1e9",
                                         "\"maxItems\":4294967296",
                                         "\"required\":[1]",
                                         "\"properties\":[]",
                                         "\"$dynamicRef\":\"#a\"",
                                         "\"$schema\":\"http://json-schema.org/draft-07/schema#\"",
                                         "\"items\":[{}]",
                                         "\"dependencies\":{\"a\":[\"b\"]}"};
    if (fuzz_one_in(s, 4)) t->length = 0;
    for (uint32_t k = 1 + fuzz_below(s, 6); k--;) {
        size_t at = t->length ? fuzz_below(s, (uint32_t)t->length) : 0;
        if (fuzz_one_in(s, 3) && t->length) {
            t->data[at] = (char)fuzz_below(s, 256);
            continue;
        }
        const char *p = PICK(s, pieces);
        size_t n = strlen(p);
        if (t->length + n >= sizeof t->data) return;
        memmove(t->data + at + n, t->data + at, t->length - at);
        memcpy(t->data + at, p, n);
        t->length += n;
        t->data[t->length] = 0;
    }
}

static void FUZZ(fuzz_source *s) {
    static const int drafts[] = {0, 2020, 2020, 2019, 7, 6, 4};
    subject x = {.schema = {.length = 0}};
    x.options.any_order = !fuzz_one_in(s, 3);
    x.options.space = (mllm_space)fuzz_below(s, 3);
    x.options.draft = drafts[fuzz_below(s, 7)];
    x.options.format = fuzz_one_in(s, 4) ? MLLM_FORMAT_ANNOTATE : MLLM_FORMAT_ASSERT;
    root(s, &x.schema);
    if (fuzz_one_in(s, 5)) {
        anything(s, &x.schema);
        if (fuzz_one_in(s, 3)) { /* lenient: it may promise less, but it must not fall over */
            mllm_error err = {.code = MLLM_OK};
            x.options.lenient = true;
            mllm_grammar *g = mllm_grammar_json_schema(x.schema.data, x.schema.length, &x.options, &err);
            walk_language l = {.what = fuzz_show(x.schema.data, x.schema.length), .may_die = true};
            if (g) walk(s, g, &l);
            mllm_grammar_release(g);
            return;
        }
    }
    agree(&x, s);
}

FUZZ_MAIN(1500)
