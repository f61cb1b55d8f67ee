/* The JSON reader and the spelling of strings and numbers. */
#include "failing.h"
#include "test.h"

#include <dirent.h>
#include <locale.h>
#include <math.h>
#include <sys/stat.h>

#include "base/json.h"

static mllm_code parse(mllm_json *doc, const char *text, mllm_error *err) {
    return mllm_json_parse(doc, text, strlen(text), 0, err);
}

static void tree(void) {
    mllm_json doc;
    mllm_error err;
    CHECK(parse(&doc, " {\"a\": [1, -2.5, \"x\\u0041\\n\", null], \"b\": {}, \"a\": true, \"c\":[]}\n", &err) ==
              MLLM_OK,
          "%s", err.message);
    CHECK(doc.count == 13, "%u", doc.count);
    CHECK(doc.nodes[0].kind == MLLM_JSON_OBJECT && doc.nodes[0].count == 4 && doc.nodes[0].next == 13);
    const mllm_json_node *n = doc.nodes;
    CHECK(n[1].kind == MLLM_JSON_STRING && strcmp(n[1].as.string, "a") == 0);
    CHECK(n[2].kind == MLLM_JSON_ARRAY && n[2].count == 4 && n[2].next == 7 && n[2].start == 7 && n[2].end == 35);
    CHECK(n[3].kind == MLLM_JSON_INTEGER && n[3].as.integer == 1 && n[3].start == 8 && n[3].end == 9);
    CHECK(n[4].kind == MLLM_JSON_NUMBER && n[4].as.number == -2.5);
    CHECK(n[5].kind == MLLM_JSON_STRING && n[5].count == 3 && strcmp(n[5].as.string, "xA\n") == 0);
    CHECK(n[6].kind == MLLM_JSON_NULL);
    CHECK(n[8].kind == MLLM_JSON_OBJECT && n[8].count == 0 && n[8].next == 9);
    CHECK(mllm_json_get(&doc, 0, "a") == 10 && n[10].kind == MLLM_JSON_TRUE, "the last of two equal keys");
    CHECK(mllm_json_get(&doc, 0, "c") == 12 && n[12].kind == MLLM_JSON_ARRAY && n[12].count == 0);
    CHECK(mllm_json_get(&doc, 0, "d") == 0 && mllm_json_get(&doc, 2, "a") == 0);
    mllm_json_free(&doc);
    mllm_json_free(&doc);
}

static void numbers(void) {
    static const struct {
        const char *text;
        bool integer;
        int64_t i;
        double d;
    } cases[] = {
        {"0", true, 0, 0},
        {"-1", true, -1, 0},
        {"9223372036854775807", true, INT64_MAX, 0},
        {"-9223372036854775808", true, INT64_MIN, 0},
        {"9223372036854775808", false, 0, 9223372036854775808.0},
        {"-9223372036854775809", false, 0, -9223372036854775809.0},
        {"123456789012345678901234567890", false, 0, 123456789012345678901234567890.0},
        {"1.0", false, 0, 1.0},
        {"1e3", false, 0, 1000.0},
        {"0.1", false, 0, 0.1},
        {"1.7976931348623157e308", false, 0, 1.7976931348623157e308},
        {"5e-324", false, 0, 5e-324},
        {"2.2250738585072011e-308", false, 0, 2.2250738585072011e-308},
        {"1e-400", false, 0, 0.0},
        {"0e999999999999999999999", false, 0, 0.0},
        {"0.000000000000000000000000000000000000001E+39", false, 0, 1.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_json doc;
        mllm_error err;
        CHECK(parse(&doc, cases[i].text, &err) == MLLM_OK, "%s", err.message);
        if (!doc.nodes) continue;
        CHECK(doc.nodes->kind == (cases[i].integer ? MLLM_JSON_INTEGER : MLLM_JSON_NUMBER), "%s", cases[i].text);
        if (cases[i].integer)
            CHECK(doc.nodes->as.integer == cases[i].i, "%s", cases[i].text);
        else
            CHECK(doc.nodes->as.number == cases[i].d, "%s: %.17g", cases[i].text, doc.nodes->as.number);
        mllm_json_free(&doc);
    }
    mllm_json doc;
    CHECK(parse(&doc, "-0", NULL) == MLLM_OK);
    CHECK(doc.nodes->kind == MLLM_JSON_NUMBER && signbit(doc.nodes->as.number));
    mllm_json_free(&doc);
    char *long_number = malloc(100002);
    memset(long_number, '7', 100001);
    long_number[1] = '.';
    long_number[100001] = 0;
    CHECK(parse(&doc, long_number, NULL) == MLLM_OK && fabs(doc.nodes->as.number - 7.7777777777777777) < 1e-15);
    mllm_json_free(&doc);
    free(long_number);
}

static void errors(void) {
    static const struct {
        const char *text;
        mllm_code code;
        const char *place, *what;
    } cases[] = {
        {"", MLLM_E_FORMAT, "line 1 column 1", "ends"},
        {"[1,\n 2,]", MLLM_E_FORMAT, "line 2 column 4", "expected a value"},
        {"{\"a\" 1}", MLLM_E_FORMAT, "line 1 column 6", "':'"},
        {"{\"\xc3\xa9\": x}", MLLM_E_FORMAT, "line 1 column 7", "expected a value"},
        {"[1] 2", MLLM_E_FORMAT, "line 1 column 5", "follows"},
        {"\"\\ud800\"", MLLM_E_FORMAT, "line 1 column 2", "surrogate"},
        {"\"\\udc00\"", MLLM_E_FORMAT, "line 1 column 2", "surrogate"},
        {"\"\\ud800\\u0041\"", MLLM_E_FORMAT, "line 1 column 2", "surrogate"},
        {"\"\\ud800\\ud800\"", MLLM_E_FORMAT, "line 1 column 2", "surrogate"},
        {"\"a\xff\"", MLLM_E_FORMAT, "line 1 column 3", "UTF-8"},
        {"\"\xed\xa0\x80\"", MLLM_E_FORMAT, "line 1 column 2", "UTF-8"},
        {"\"\xc0\x80\"", MLLM_E_FORMAT, "line 1 column 2", "UTF-8"},
        {"\"\xf4\x90\x80\x80\"", MLLM_E_FORMAT, "line 1 column 2", "UTF-8"},
        {"\"a\nb\"", MLLM_E_FORMAT, "line 1 column 3", "control"},
        {"\"abc", MLLM_E_FORMAT, "line 1 column 1", "without an end"},
        {"01", MLLM_E_FORMAT, "line 1 column 2", "zero"},
        {"[1.]", MLLM_E_FORMAT, "line 1 column 4", "digit"},
        {"1e400", MLLM_E_LIMIT, "line 1 column 1", "double"},
        {"nul", MLLM_E_FORMAT, "line 1 column 1", "word"},
        {"\xef\xbb\xbf{}", MLLM_E_FORMAT, "line 1 column 1", "expected a value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_json doc;
        mllm_error err = {0};
        CHECK(parse(&doc, cases[i].text, &err) == cases[i].code, "%s", cases[i].text);
        CHECK(strstr(err.message, cases[i].place) && strstr(err.message, cases[i].what), "%s: %s", cases[i].text,
              err.message);
        CHECK(!doc.nodes && !doc.strings);
        mllm_json_free(&doc);
    }
}

static void depth(void) {
    enum { N = 100000 };
    char *text = malloc(2 * N);
    memset(text, '[', N);
    memset(text + N, ']', N);
    mllm_json doc;
    mllm_error err;
    CHECK(mllm_json_parse(&doc, text, 2 * N, 0, &err) == MLLM_E_LIMIT);
    CHECK(strstr(err.message, "line 1 column 513") && strstr(err.message, "512"), "%s", err.message);
    CHECK(mllm_json_parse(&doc, text + N - 512, 1024, 0, &err) == MLLM_OK);
    CHECK(doc.count == 512 && doc.nodes[511].next == 512 && doc.nodes[510].count == 1);
    mllm_json_free(&doc);
    CHECK(mllm_json_parse(&doc, text, 2 * N, N, &err) == MLLM_OK, "deeper when asked for, and on no C stack");
    mllm_json_free(&doc);
    CHECK(mllm_json_parse(&doc, "[[1]]", 5, 1, &err) == MLLM_E_LIMIT);
    free(text);
}

static void suite(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("JSONTestSuite: no shared data");
    char dir[] = "/tmp/mllm-json-XXXXXX", command[4096];
    if (!mkdtemp(dir)) SKIP("JSONTestSuite: no temporary directory");
    snprintf(command, sizeof command, "tar -xzf '%s/json/JSONTestSuite.tar.gz' -C '%s' 2>/dev/null", shared, dir);
    int status = system(command), seen = 0;
    char path[512];
    snprintf(path, sizeof path, "%s/test_parsing", dir);
    DIR *d = status == 0 ? opendir(path) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!strstr(e->d_name, ".json")) continue;
        char file[1024];
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        FILE *f = fopen(file, "rb");
        if (!f) continue;
        static char text[1 << 20];
        size_t length = fread(text, 1, sizeof text, f);
        fclose(f);
        char *exact = malloc(length ? length : 1); /* so that a sanitizer sees a read past the end */
        memcpy(exact, text, length);
        mllm_json doc;
        mllm_error err = {0};
        mllm_code code = mllm_json_parse(&doc, exact, length, 0, &err);
        seen++;
        if (*e->d_name == 'y') CHECK(code == MLLM_OK, "%s: %s", e->d_name, err.message);
        if (*e->d_name == 'n') CHECK(code != MLLM_OK && strstr(err.message, "line "), "%s", e->d_name);
        mllm_json_free(&doc);
        free(exact);
    }
    if (d) closedir(d);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    CHECK(system(command) == 0);
    if (!d) SKIP("JSONTestSuite: could not be unpacked");
    CHECK(seen > 300, "%d files", seen);
}

static void strings(void) {
    mllm_buffer b = {0};
    static const char raw[] = "a\"\\/\b\f\n\r\t\x01\x7f\0\xc3\xa9";
    CHECK(mllm_json_put_string(&b, raw, sizeof raw - 1));
    CHECK(strcmp(b.data, "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\\u0000\xc3\xa9\"") == 0, "%s", b.data);
    mllm_json doc;
    mllm_error err;
    CHECK(mllm_json_parse(&doc, b.data, b.length, 0, &err) == MLLM_OK);
    CHECK(doc.nodes->count == sizeof raw - 1 && memcmp(doc.nodes->as.string, raw, sizeof raw) == 0);
    mllm_json_free(&doc);
    size_t before = b.length;
    CHECK(!mllm_json_put_string(&b, "x\x80", 2) && b.length == before);
    mllm_buffer_free(&b);
    CHECK(parse(&doc, "\"\\ud83d\\ude00\\u20ac\\u00e9\"", &err) == MLLM_OK);
    CHECK(strcmp(doc.nodes->as.string, "\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9") == 0);
    mllm_json_free(&doc);
}

static void spelling(void) {
    static const struct {
        double v;
        const char *text;
    } cases[] = {{0, "0.0"},
                 {-0.0, "-0.0"},
                 {1, "1.0"},
                 {-2.5, "-2.5"},
                 {0.1, "0.1"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1e16, "10000000000000000.0"},
                 {1e17, "1e17"},
                 {123456789012345680.0, "1.2345678901234568e17"},
                 {1e-5, "0.00001"},
                 {1.5e-6, "1.5e-6"},
                 {5e-324, "5e-324"},
                 {1.7976931348623157e308, "1.7976931348623157e308"},
                 {100, "100.0"},
                 {12345.678, "12345.678"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_buffer b = {0};
        CHECK(mllm_json_put_double(&b, cases[i].v));
        CHECK(strcmp(b.data, cases[i].text) == 0, "%s, not %s", b.data, cases[i].text);
        mllm_buffer_free(&b);
    }
    mllm_buffer b = {0};
    CHECK(!mllm_json_put_double(&b, NAN) && !mllm_json_put_double(&b, INFINITY) && b.length == 0);
    mllm_json_put_integer(&b, INT64_MIN);
    CHECK(strcmp(b.data, "-9223372036854775808") == 0);
    mllm_buffer_free(&b);
}

/* Any double comes back bit for bit, whatever the host program did with its locale. */
static void round_trip(void) {
    bool comma = setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL;
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        uint64_t bits = i % 4 == 0 ? state & 0x800FFFFFFFFFFFFFu : state; /* some of them subnormal */
        double v;
        memcpy(&v, &bits, 8);
        if (!isfinite(v)) continue;
        mllm_buffer b = {0};
        CHECK(mllm_json_put_double(&b, v) && !strchr(b.data, ','));
        mllm_json doc;
        CHECK(mllm_json_parse(&doc, b.data, b.length, 0, NULL) == MLLM_OK, "%s", b.data);
        if (doc.nodes)
            CHECK(doc.nodes->kind == MLLM_JSON_NUMBER && memcmp(&doc.nodes->as.number, &v, 8) == 0, "%s", b.data);
        mllm_json_free(&doc);
        mllm_buffer_free(&b);
    }
    if (comma) setlocale(LC_NUMERIC, "C");
}

static void out_of_memory(void) {
    char text[600] =
        "[0.1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
        "1234567890123456789";
    for (int i = 0; i < 40; i++) strcat(text, ",[\"x\"]");
    strcat(text, "]");
    mllm_set_allocator(failing, NULL);
    int failures = 0;
    for (int n = 0; n < 100; n++) {
        fail_from(n);
        mllm_json doc;
        mllm_error err;
        mllm_code code = parse(&doc, text, &err);
        mllm_buffer b = {0};
        mllm_json_put_string(&b, text, 300);
        if (code) {
            CHECK(code == MLLM_E_MEMORY && !doc.nodes, "%s", err.message);
            CHECK(b.failed || b.length > 300);
            failures++;
        }
        mllm_json_free(&doc);
        mllm_buffer_free(&b);
        if (!code) break;
    }
    mllm_set_allocator(NULL, NULL);
    CHECK(failures > 3, "%d", failures);
}

static const test_case tests[] = {
    {"tree", tree},         {"numbers", numbers},       {"errors", errors},
    {"depth", depth},       {"suite", suite},           {"strings", strings},
    {"spelling", spelling}, {"round_trip", round_trip}, {"out_of_memory", out_of_memory},
};
TEST_MAIN(tests)
