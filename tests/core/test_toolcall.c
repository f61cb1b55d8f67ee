/* The tool call parser on its own: every kind of body, chunks, faults, limits, failing allocations. Random formats and texts are in
 * tests/fuzz/fuzz_toolcall.c. */
#include "failing.h"
#include "test.h"

#include "toolcall/toolcall.h"
#include "toolcall/value.h"
#include "toolcall_told.h"

static mllm_toolcall_format *make_format(int i) {
    mllm_error err;
    mllm_toolcall_format *f = mllm_toolcall_format_new(records[i].name, &err);
    for (const char *const *field = records[i].fields; f && *field; field += 2)
        if (mllm_toolcall_format_add(f, field[0], field[1], strlen(field[1]), &err) != MLLM_OK) {
            mllm_toolcall_format_release(f);
            return NULL;
        }
    return f;
}

/* A parser of format i; -1: all of them. */
static mllm_toolcall_parser *make_parser(int i, const mllm_toolcall_options *options) {
    mllm_toolcall_format *formats[RECORDS];
    mllm_error err;
    size_t n = 0;
    bool whole = true;
    for (int k = 0; k < RECORDS; k++) {
        if (i >= 0 && k != i) continue;
        if (i < 0 && records[k].fields == channels) continue; /* it begins inside a header */
        formats[n] = make_format(k);
        whole = whole && formats[n];
        n++;
    }
    mllm_toolcall_parser *p = whole ? mllm_toolcall_parser_new(formats, n, options, &err) : NULL;
    for (size_t k = 0; k < n; k++) mllm_toolcall_format_release(formats[k]);
    if (p && (mllm_toolcall_parser_declare(p, "f", 1, NULL, 0, 0, &err) != MLLM_OK ||
              mllm_toolcall_parser_declare(p, "f", 1, "s", 1, MLLM_TYPE_STRING, &err) != MLLM_OK ||
              mllm_toolcall_parser_declare(p, "f", 1, "n", 1, MLLM_TYPE_INTEGER, &err) != MLLM_OK ||
              mllm_toolcall_parser_declare(p, "g", 1, NULL, 0, 0, &err) != MLLM_OK)) {
        mllm_toolcall_parser_free(p);
        return NULL;
    }
    return p;
}

static mllm_code drain(mllm_toolcall_parser *p, transcript *t, mllm_code code) {
    mllm_toolcall_event e;
    while (!code && mllm_toolcall_next(p, &e)) tell(t, &e);
    return code;
}

static uint32_t seed = 20260902;
static uint32_t random_below(uint32_t n) {
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

/* `most` 0: whole; else random chunks of 1..most bytes. */
static mllm_code run(mllm_toolcall_parser *p, transcript *t, const char *s, size_t n, uint32_t most) {
    mllm_code code = MLLM_OK;
    told_clear(t, n);
    mllm_toolcall_reset(p);
    for (size_t at = 0; at < n && !code;) {
        size_t chunk = most ? 1 + random_below(most) : n;
        if (chunk > n - at) chunk = n - at;
        code = drain(p, t, mllm_toolcall_feed(p, s + at, chunk, NULL));
        at += chunk;
    }
    return code ? code : drain(p, t, mllm_toolcall_finish(p, NULL));
}

static transcript one, two;

/* Checks the events of `input` for whole, single bytes and random chunks. */
static void expect(int format, const mllm_toolcall_options *options, const char *input, const char *events) {
    mllm_toolcall_parser *p = make_parser(format, options);
    CHECK(p, "no parser");
    if (!p) return;
    run(p, &one, input, strlen(input), 0);
    CHECK(strcmp(one.text, events) == 0, "for %s\n--- expected%s\n--- got%s", input, events, one.text);
    for (uint32_t most = 1; most < 12; most++) {
        run(p, &two, input, strlen(input), most);
        CHECK(strcmp(one.text, two.text) == 0, "chunks of %u: %s\n--- whole%s\n--- chunks%s", most, input, one.text,
              two.text);
    }
    mllm_toolcall_parser_free(p);
}

enum { HERMES, ARRAY, BARE, TAGGED, NAMED, LINES, ESCAPED, LIST, CHANNELS, ALL = -1 };

static const mllm_toolcall_options mending = {.repair = true};

/* ----------------------------------------------------------------------- tests */

static void test_bodies(void) {
    expect(HERMES, NULL,
           "a <tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"x<tool_call>\", \"n\": [1, {}]}}\n</tool_call> b",
           "\nT a \nB0 f  \nA0 s.\"x<tool_call>\" = \"x<tool_call>\"\nA0 n.0.1 = 1\nA0 n.1.{} = {}\nE0 f  "
           "{\"s\":\"x<tool_call>\",\"n\":[1,{}]}\nT  b");
    expect(HERMES, NULL, "<think>\n hm <tool_call> \n</think>\n\nyes <tool_ca", "\nR hm <tool_call>\nT yes <tool_ca");
    expect(ARRAY, NULL,
           "[TOOL_CALLS][{\"arguments\": {\"s\": \"\\u00e9\"}, \"name\": \"f\", \"id\": \"9\"}, {\"name\": \"g\"}]",
           "\nB0 f  \nA0 s.\"\\u00e9\" = \"\xC3\xA9\"\nE0 f 9 {\"s\":\"\xC3\xA9\"}\nB1 g  \nE1 g  {}");
    expect(BARE, NULL,
           "x {\"name\": \"f\", \"parameters\": {\"n\": 1}}; {\"name\": \"g\", \"parameters\": {}} {\"name\": \"no\"}",
           "\nT x \nB0 f  \nA0 n.1 = 1\nE0 f  {\"n\":1}\nB1 g  \nE1 g  {}\nT  {\"name\": \"no\"}");
    expect(BARE, NULL, "{\"type\": \"function\", \"function\": {\"name\": \"f\", \"arguments\": \"{\\\"n\\\": 2}\"}}",
           "\nB0 f  \nA0 n.2 = 2\nE0 f  {\"n\":2}");
    expect(TAGGED, NULL,
           "<tool_call>\n<function=f>\n<parameter=s>\n12\n</parameter>\n<parameter=n>12</parameter>\n<parameter=o>"
           "\n\nx</param\n\n</parameter>\n</function>\n</tool_call>\nend",
           "\nB0 f  \nA0 s.12 = \"12\"\nA0 n.12 = 12\nA0 o.\nx</param\n = \"\\nx</param\\n\"\nE0 f  "
           "{\"s\":\"12\",\"n\":12,\"o\":\"\\nx</param\\n\"}\nT \nend");
    expect(NAMED, NULL, "[TOOL_CALLS]f[CALL_ID]77[ARGS]{\"n\": 1}[TOOL_CALLS]g[ARGS]{} ok",
           "\nB0 f 77 \nA0 n.1 = 1\nE0 f 77 {\"n\":1}\nB1 g  \nE1 g  {}\nT  ok");
    expect(LINES, NULL, "f(s = 'a\\'b', n = 0x1F)\ng() tail(\n f(n=1)",
           "\nB0 f  \nA0 s.'a\\'b' = \"a'b\"\nA0 n.0x1F = 31\nE0 f  {\"s\":\"a'b\",\"n\":31}\nB1 g  \nE1 g  {}\nT  "
           "tail(\n "
           "\nB2 f  \nA2 n.1 = 1\nE2 f  {\"n\":1}");
    expect(LIST, NULL, "[f(s=\"\"\"a\"b\"\"\", n=(1, 2,)), g()] [f] [h()]",
           "\nB0 f  \nA0 s.\"\"\"a\"b\"\"\" = \"a\\\"b\"\nA0 n.0.1 = 1\nA0 n.1.2 = 2\nE0 f  "
           "{\"s\":\"a\\\"b\",\"n\":[1,2]}\nB1 g  "
           "\nE1 g  {}\nT  [f] [h()]");
    expect(ESCAPED, NULL, "<|tool_call>call:f{s:<|\"|>a<|\"x{<|\"|>,n:{k:[true,1.5]}}<tool_call|>",
           "\nB0 f  \nA0 s.<|\"|>a<|\"x{<|\"|> = \"a<|\\\"x{\"\nA0 n.k.0.true = true\nA0 n.k.1.1.5 = 1.5\nE0 f  "
           "{\"s\":\"a<|\\\"x{\",\"n\":{\"k\":[true,1.5]}}");
    expect(CHANNELS, NULL,
           "<|channel|>analysis<|message|> hm <|end|><|start|>assistant<|channel|>commentary to=functions.f "
           "<|constrain|>json<|message|>{\"n\": 1}<|call|><|start|>assistant<|channel|>final<|message|>bye<|end|>",
           "\nR hm\nB0 f  \nA0 n.1 = 1\nE0 f  {\"n\":1}\nT bye");
}

static void test_faults(void) {
    expect(
        ARRAY, NULL,
        "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"n\": 1, \"s\": tru}}, {\"name\": \"g\", \"arguments\": {}}]",
        "\nB0 f  \nA0 n.1 = 1\nA0 s.tru\nX0 f  {\"n\":1} 1@57 [[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"n\": "
        "1, \"s\": tru] "
        "'tru' is not a value\nX0 f   3@57 [}}] the rest of a broken call\nB1 g  \nE1 g  {}");
    expect(LIST, NULL, "<|tool_call_start|>[f(1, \")\"), g(n=2)]<|tool_call_end|>",
           "\nB0 f  \nX0 f  {} 1@22 [<|tool_call_start|>[f(] expected the name of an argument, got '1'\nX0 f   3@22 "
           "[1, \")\")] the rest "
           "of a broken call\nB1 g  \nA1 n.2 = 2\nE1 g  {\"n\":2}");
    /* What stands around a call breaks when the call has been told already. */
    expect(BARE, NULL, "{\"function\": {\"name\": \"f\", \"arguments\": {\"n\": 1}} \\ {\"function\": \"f\"}} b",
           "\nB0 f  \nA0 n.1 = 1\nE0 f  {\"n\":1}\nX1   {} 1@50 [ ] ',' or a closing bracket was expected\n"
           "X1    3@50 [\\ {\"function\": \"f\"}}] the rest of a broken call\nT  b");
    expect(
        BARE, NULL,
        "{\"function\": [{\"name\": \"f\", \"arguments\": {\"n\": 1 2}}, {\"name\": \"g\", \"arguments\": {}} : ]} b",
        "\nB0 f  \nA0 n.1 = 1\nX0 f  {\"n\":1} 1@49 [{\"function\": [{\"name\": \"f\", \"arguments\": {\"n\": 1 ] "
        "expected ',' or '}', got '2'\nX0 f   3@49 [2}}] the rest of a broken call\nB1 g  \nE1 g  {}\n"
        "X2   {} 1@85 [ ] ',' or a closing bracket was expected\nX2    3@85 [: ]}] the rest of a broken call\nT  b");
    expect(HERMES, NULL, "<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"abc",
           "\nB0 f  \nA0 s.\"abc\nX0 f  {} 2@48 [<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"abc] the "
           "message ends inside a call");
    expect(HERMES, NULL, "<tool_call>{\"name\": \"f\", \"arguments\": {}}}}\n</tool_call> a",
           "\nB0 f  \nE0 f  {}\nT  a");
    expect(HERMES, NULL, "<tool_call>{\"name\": \"f\"}} a", "\nB0 f  \nE0 f  {}\nT } a");
    expect(HERMES, NULL, "use <tool_call> tags", "\nT use <tool_call> tags");
    expect(HERMES, NULL, "<tool_call>{\"nome\": \"f\"}</tool_call> ok",
           "\nX0   {} 1@23 [<tool_call>{\"nome\": \"f\"] no call\nX0    3@23 [}] the rest of a broken call\nT  ok");
}

static void test_repair(void) {
    expect(HERMES, &mending, "<tool_call>{\"name\": \"f\", \"arguments\": {\"n\": 1</tool_call> a",
           "\nB0 f  \nA0 n.1 = 1\nE0 f  {\"n\":1}\nT  a");
    expect(HERMES, &mending,
           "<tool_call>{\"name\": \"f\", \"arguments\": {'n': True, s: 'x', \"o\": [1, 2,], \"p\": \"a \"b\" \\d\",}}",
           "\nB0 f  \nA0 n.True = true\nA0 s.'x' = \"x\"\nA0 o.0.1 = 1\nA0 o.1.2 = 2\nA0 p.\"a \"b\" \\d\" = \"a "
           "\\\"b\\\" \\\\d\"\n"
           "E0 f  {\"n\":true,\"s\":\"x\",\"o\":[1,2],\"p\":\"a \\\"b\\\" \\\\d\"}");
    expect(LINES, &mending, "f(s = \"say \"hi\" now\", n = [{\"a\": \"b\"}",
           "\nB0 f  \nA0 s.\"say \"hi\" now\" = \"say \\\"hi\\\" now\"\nA0 n.0.a.\"b\" = \"b\"\n"
           "E0 f  {\"s\":\"say \\\"hi\\\" now\",\"n\":[{\"a\":\"b\"}]}");
    /* A number or a string that is cut may have meant anything. */
    expect(LINES, &mending, "f(n = 1", "\nB0 f  \nA0 n.1\nX0 f  {} 2@7 [f(n = 1] the message ends inside a call");
    expect(LINES, &mending, "f(n = \"1", "\nB0 f  \nA0 n.\"1\nX0 f  {} 2@8 [f(n = \"1] the message ends inside a call");
}

static void test_thoughts(void) {
    static const mllm_toolcall_options open = {.reasoning_open = true}, kept = {.keep_reasoning = true};
    expect(HERMES, &open, "a <tool_call>{\"name\"\n</think>\n\nb", "\nR a <tool_call>{\"name\"\nT b");
    expect(HERMES, &kept, "<think>a</think> b", "\nT <think>a</think> b");
    expect(HERMES, NULL, "<think>a  ", "\nR a  ");
    expect(CHANNELS, &kept, "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
           "\nT <|channel|>analysis<|message|>a<|end|>b");
    expect(CHANNELS, NULL, "plain <|end|>", "\nT plain ");
    expect(
        CHANNELS, NULL, " to=python<|channel|>commentary<|message|>1+1<|call|>x",
        "\nX0 python  {} 1@42 [ to=python<|channel|>commentary<|message|>] the recipient of the message is no declared "
        "function\nX0 python   3@42 [1+1] the rest of a broken call\nT x");
}

/* What one call may take is bounded, and the bound is met at the same byte for every chunking. */
static void test_limits(void) {
    static const mllm_toolcall_options small = {.limit = 8};
    expect(LINES, &small, "f(s = \"0123456789\")\ng()",
           "\nB0 f  \nA0 s.\"012\nX0 f  {} 4@10 [f(s = \"012] more than 8 bytes in a value\nX0 f   3@10 [3456789\")] "
           "the rest of a "
           "broken call\nB1 g  \nE1 g  {}");
    expect(TAGGED, &small, "<tool_call><function=f><parameter=s>0123456789</parameter></function></tool_call>x",
           "\nB0 f  \nA0 s.01234567\nX0 f  {} 4@44 [<tool_call><function=f><parameter=s>01234567] the value of an "
           "argument is longer "
           "than the limit\nX0 f   3@44 [89</parameter>] the rest of a broken call\nT x");
    char deep[600] = "f(s = ";
    for (int i = 0; i < 120; i++) strcat(deep, "[");
    mllm_toolcall_parser *p = make_parser(LINES, NULL);
    run(p, &one, deep, strlen(deep), 0);
    CHECK(strstr(one.text, "nested deeper than 100"), "%s", one.text);
    mllm_toolcall_event e;
    mllm_error err;
    CHECK(mllm_toolcall_feed(p, "x", 1, &err) == MLLM_E_ARGUMENT && strstr(err.message, "reset"), "fed after the end");
    CHECK(mllm_toolcall_finish(p, &err) == MLLM_E_ARGUMENT, "finished twice");
    mllm_toolcall_reset(p);
    CHECK(mllm_toolcall_feed(p, ".", 1, &err) == MLLM_OK && mllm_toolcall_next(p, &e), "no text after a reset");
    mllm_toolcall_parser_free(p);
}

/* Text takes no memory that grows with it. */
static size_t memory, memory_most;
static void *counting(void *ctx, void *ptr, size_t size) {
    (void)ctx;
    size_t *block = ptr ? (size_t *)ptr - 2 : NULL;
    if (block) memory -= *block;
    if (!size) {
        free(block);
        return NULL;
    }
    block = realloc(block, size + 2 * sizeof *block);
    if (!block) return NULL;
    *block = size;
    memory += size;
    if (memory > memory_most) memory_most = memory;
    return block + 2;
}

static void test_memory_is_bounded(void) {
    static const char *const fillers[] = {"word ", "<tool_call", "{\"name\": ", "[", "f(", "\n", "<think> ", " "};
    mllm_set_allocator(counting, NULL);
    for (size_t k = 0; k < sizeof fillers / sizeof *fillers; k++) {
        mllm_toolcall_parser *p = make_parser(ALL, NULL);
        memory_most = memory;
        size_t before = memory, n = strlen(fillers[k]);
        for (int i = 0; i < 200000; i++) {
            mllm_toolcall_event e;
            mllm_toolcall_feed(p, fillers[k], n, NULL);
            while (mllm_toolcall_next(p, &e)) {
            }
        }
        CHECK(memory_most - before < 300000, "%s: %zu bytes", fillers[k], memory_most - before);
        mllm_toolcall_parser_free(p);
    }
    CHECK(memory == 0, "%zu bytes leaked", memory);
    mllm_set_allocator(NULL, NULL);
}

static void test_failing_allocations(void) {
    mllm_set_allocator(failing, NULL);
    for (int s = 0; s < SAMPLES; s++) {
        bool done = false;
        for (long n = 0; !done && n < 3000; n++) {
            fail_once(n);
            mllm_toolcall_parser *p = make_parser(s == SAMPLES - 1 ? CHANNELS : ALL, s % 2 ? &mending : NULL);
            if (p) {
                mllm_code code = run(p, &one, samples[s], strlen(samples[s]), 7);
                CHECK(code == MLLM_OK || code == MLLM_E_MEMORY, "code %d", (int)code);
                done = code == MLLM_OK && !failing_state.failed;
            }
            mllm_toolcall_parser_free(p);
        }
        CHECK(done, "sample %d never came through", s);
    }
    mllm_set_allocator(NULL, NULL);
}

/* A marker alone proves nothing here, but a marker and the beginning of a call are worth telling: told once, at the end too. */
static void test_weak_at_the_end(void) {
    static const char *const fields[] = {"body", "json",     "call.begin", "<|x|>",         "list",      "true", "weak",
                                         "true", "name.key", "name",       "arguments.key", "arguments", NULL};
    static const char input[] = "<|x|>{\"name\": \"";
    mllm_error err;
    mllm_toolcall_format *f = mllm_toolcall_format_new("weak", &err);
    for (const char *const *k = fields; *k; k += 2)
        CHECK(mllm_toolcall_format_add(f, k[0], k[1], strlen(k[1]), &err) == MLLM_OK, "%s", err.message);
    mllm_toolcall_parser *p = mllm_toolcall_parser_new(&f, 1, NULL, &err);
    run(p, &one, input, strlen(input), 0);
    CHECK(strstr(one.text, "the message ends inside a call"), "%s", one.text);
    mllm_toolcall_parser_free(p);
    mllm_toolcall_format_release(f);
}

static void test_formats(void) {
    mllm_error err;
    mllm_toolcall_format *f = mllm_toolcall_format_new("x", &err);
    CHECK(mllm_toolcall_format_check(f, &err) == MLLM_E_ARGUMENT && strstr(err.message, "has no body"), "%s",
          err.message);
    CHECK(mllm_toolcall_format_add(f, "body", "jsom", 4, &err) == MLLM_E_ARGUMENT, "a body of no kind");
    CHECK(mllm_toolcall_format_add(f, "call.bgin", "<", 1, &err) == MLLM_E_ARGUMENT, "a field of no name");
    CHECK(strstr(err.message, "unknown field 'call.bgin'"), "%s", err.message);
    mllm_toolcall_format_add(f, "body", "tagged", 6, &err);
    CHECK(mllm_toolcall_format_check(f, &err) == MLLM_E_ARGUMENT && strstr(err.message, "needs key.begin"), "%s",
          err.message);
    char longest[200];
    memset(longest, 'x', sizeof longest);
    CHECK(mllm_toolcall_format_add(f, "key.begin", longest, sizeof longest, &err) == MLLM_E_LIMIT, "a long marker");
    mllm_toolcall_format_release(f);
}

static const test_case tests[] = {{"bodies", test_bodies},
                                  {"faults", test_faults},
                                  {"repair", test_repair},
                                  {"thoughts", test_thoughts},
                                  {"limits", test_limits},
                                  {"formats", test_formats},
                                  {"weak at the end", test_weak_at_the_end},
                                  {"memory is bounded", test_memory_is_bounded},
                                  {"failing allocations", test_failing_allocations}};
TEST_MAIN(tests)
