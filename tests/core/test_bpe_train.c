/* The BPE trainer: merges worked out by hand, determinism, limits, saving and reading again. */
#include "failing.h"
#include "vocab_cases.h"

typedef struct {
    const char *const *texts;
    size_t count, at;
} list;

static bool next(void *ctx, const char **text, size_t *length) {
    list *l = ctx;
    if (l->at == l->count) return false;
    *text = l->texts[l->at++];
    *length = strlen(*text);
    return true;
}

static mllm_vocab *train(const char *const *texts, size_t count, const mllm_bpe_train_options *o, mllm_error *err) {
    list l = {texts, count, 0};
    return mllm_bpe_train(next, &l, o, err);
}

static const char *spelling(const mllm_vocab *v, int id) {
    static char text[64];
    size_t n;
    const char *s = mllm_vocab_bytes(v, id, &n);
    snprintf(text, sizeof text, "%.*s", (int)n, s);
    return text;
}

/* The order of the merges, worked out by hand. */
static void merges_in_order(void) {
    static const char *const texts[] = {"xy xy xy xy zw zw zw qr qr", "xyz xyz"};
    const char *special[] = {"<|a|>", "<|end|>"};
    mllm_bpe_train_options o = {.size = 1000, .special = special, .special_count = 2, .pre = "gpt-2"};
    mllm_error err = {0};
    mllm_vocab *v = train(texts, 2, &o, &err);
    CHECK(v, "%s", err.message);
    if (!v) return;
    /* xy 6 times; then a space and xy 4 times, which leaves xyz once with a space and once without. */
    CHECK(strcmp(spelling(v, 258), "xy") == 0, "%s", spelling(v, 258));
    CHECK(mllm_vocab_find(v, "\xC4\xA0xy", 4) > 0 && mllm_vocab_find(v, "xyz", 3) == -1 &&
          mllm_vocab_find(v, "\xC4\xA0zw", 4) > 0);
    CHECK(mllm_vocab_find(v, "\xC4\xA0qr", 4) > 0);
    CHECK(mllm_vocab_eos(v) == 1 && mllm_vocab_bos(v) == -1 && mllm_vocab_kind(v, 0) == MLLM_TOKEN_CONTROL);
    CHECK(mllm_vocab_size(v) < 280, "%d: only what occurs twice is merged", mllm_vocab_size(v));
    mllm_token ids[8];
    CHECK(mllm_tokenize(v, " xy", 3, 0, ids, 8) == 1 && mllm_tokenize(v, "xyz zw", 6, 0, ids, 8) == 3);
    CHECK(mllm_tokenize(v, "<|a|>", 5, MLLM_TOKENIZE_SPECIAL, ids, 8) == 1 && ids[0] == 0);
    CHECK(mllm_tokenize(v, "<|a|>", 5, 0, ids, 8) == 5);
    mllm_vocab_free(v);
}

/* The texts of the golden file, learned from as the `tokenizers` library did: the same vocabulary, id by id. */
static void same_as_tokenizers(void) {
    size_t length;
    char *text = read_file("tests/golden/tokenizer-smollm.rows.json", &length);
    CHECK(text);
    if (!text) return;
    mllm_json doc;
    mllm_error err = {0};
    CHECK(mllm_json_parse(&doc, text, length, 0, &err) == MLLM_OK, "%s", err.message);
    const char *texts[3 * 64];
    size_t count = 0;
    uint32_t row = 1;
    for (; doc.nodes[mllm_json_get(&doc, row, "text")].count; row = doc.nodes[row].next) /* up to the empty one */
        texts[count++] = doc.nodes[mllm_json_get(&doc, row, "text")].as.string;
    CHECK(count >= 20 && count < 64, "%zu", count);
    for (size_t i = 0; i < 2 * count; i++) texts[count + i] = texts[i];
    const char *special[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    mllm_bpe_train_options o = {.size = 620, .special = special, .special_count = 3};
    mllm_vocab *v = train(texts, 3 * count, &o, &err), *w = mllm_vocab_open("tests/golden/tokenizer-smollm.json", &err);
    CHECK(v && w, "%s", err.message);
    for (int id = 0; v && w && id < 620; id++) {
        size_t n, m;
        const char *a = mllm_vocab_bytes(v, id, &n), *b = mllm_vocab_bytes(w, id, &m);
        CHECK(a && b && n == m && memcmp(a, b, n) == 0, "token %d", id);
    }
    mllm_vocab_free(v);
    mllm_vocab_free(w);
    mllm_json_free(&doc);
    free(text);
}

static void saved_and_read(void) {
    static const char *const texts[] = {"the cat sat on the mat, the rat sat on the cat 12 12 12",
                                        "\"quoted\" \\ \xFF\xFE \xC3\xA9\xC3\xA9 \xC3\xA9"};
    const char *special[] = {"<|user|>", "<|end|>", "<|\xC3\xBC\"|>"};
    static const char *const pres[] = {"smollm", "gpt-2", "llama-bpe", "qwen2"};
    char path[] = "/tmp/mllm-vocab-XXXXXX";
    CHECK(mkstemp(path) >= 0);
    for (int p = 0; p < 4; p++) {
        mllm_bpe_train_options o = {
            .size = 300, .special = special, .special_count = 3, .pre = pres[p], .bos = "<|user|>"};
        mllm_error err = {0};
        mllm_vocab *v = train(texts, 2, &o, &err);
        CHECK(v && mllm_vocab_save(v, path, &err) == MLLM_OK, "%s", err.message);
        mllm_vocab *w = mllm_vocab_open(path, &err);
        CHECK(w, "%s", err.message);
        static const char text[] = "<|user|>the 12 rats' \"hats\"\r\n\n E\xCC\x81 <|\xC3\xBC\"|> \xFF<|end|>";
        mllm_token a[100], b[100];
        size_t n = v ? mllm_tokenize(v, text, sizeof text - 1, MLLM_TOKENIZE_SPECIAL, a, 100) : 0;
        size_t m = w ? mllm_tokenize(w, text, sizeof text - 1, MLLM_TOKENIZE_SPECIAL, b, 100) : 0;
        CHECK(n && n == m && memcmp(a, b, n * sizeof *a) == 0, "%s: %zu %zu", pres[p], n, m);
        if (v && w) {
            CHECK(mllm_vocab_size(v) == mllm_vocab_size(w) && mllm_vocab_eos(w) == 1 && mllm_vocab_bos(w) == 0);
            CHECK(mllm_vocab_is_end(w, 1) && !mllm_vocab_is_end(w, 0));
        }
        mllm_vocab_free(v);
        mllm_vocab_free(w);
    }
    mllm_error err = {0};
    mllm_bpe_train_options o = {.size = 256};
    mllm_vocab *v = train(texts, 2, &o, &err);
    CHECK(v && mllm_vocab_size(v) == 256);
    if (v)
        CHECK(mllm_vocab_save(v, "/nonexistent/x.json", &err) == MLLM_E_IO &&
              strstr(err.message, "/nonexistent/x.json"));
    mllm_vocab_free(v);
    unlink(path);
}

static void bad_options(void) {
    mllm_error err = {0};
    const char *twice[] = {"a", "a"}, *empty[] = {""}, *one[] = {"<s>"};
    mllm_bpe_train_options o[] = {{.size = 255},
                                  {.size = 257, .special = twice, .special_count = 2},
                                  {.size = 300, .special = twice, .special_count = 2},
                                  {.size = 300, .special = empty, .special_count = 1},
                                  {.size = 300, .pre = "klingon"},
                                  {.size = 300, .special = one, .special_count = 1, .eos = "</s>"},
                                  {.size = SIZE_MAX}};
    for (size_t i = 0; i < sizeof o / sizeof *o; i++) {
        err.code = MLLM_OK;
        CHECK(!train(NULL, 0, &o[i], &err) && err.code == MLLM_E_ARGUMENT && *err.message, "%zu", i);
    }
}

/* One word of a megabyte, and a text without any: done at once. */
static void odd_texts(void) {
    size_t length = 1u << 20;
    char *text = malloc(length + 1);
    uint64_t random = 3;
    for (size_t i = 0; i < length; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        text[i] = (char)('a' + (random >> 40) % 3);
    }
    text[length] = 0;
    const char *texts[] = {text, "", "\n"};
    mllm_error err = {0};
    mllm_bpe_train_options o = {.size = 600};
    mllm_vocab *v = train(texts, 3, &o, &err);
    CHECK(v && mllm_vocab_size(v) == 600, "%s", err.message);
    mllm_vocab_free(v);
    v = train(NULL, 0, &o, &err);
    CHECK(v && mllm_vocab_size(v) == 256, "%s", err.message);
    mllm_vocab_free(v);
    free(text);
}

/* Every allocation fails once: an error, no crash, nothing left behind. */
static void no_memory(void) {
    static const char *const texts[] = {"the cat sat on the mat <|end|> E\xCC\x81 the cat the cat"};
    const char *special[] = {"<|end|>"};
    mllm_bpe_train_options o = {.size = 280, .special = special, .special_count = 1, .pre = "qwen2"};
    bool done = false;
    mllm_set_allocator(failing, NULL);
    for (long n = 0; !done && n < 2000; n++) {
        mllm_error err = {0};
        fail_once(n);
        mllm_vocab *v = train(texts, 1, &o, &err);
        done = !failing_state.failed;
        CHECK(v || err.code == MLLM_E_MEMORY, "allocation %ld: %s", n, err.message);
        if (v) {
            mllm_token ids[64];
            size_t got = mllm_tokenize(v, texts[0], strlen(texts[0]), MLLM_TOKENIZE_SPECIAL, ids, 64);
            CHECK(got == SIZE_MAX || got < 64);
        }
        mllm_vocab_free(v);
        CHECK(failing_state.alive == 0, "allocation %ld: %ld left", n, failing_state.alive);
    }
    CHECK(done);
    mllm_set_allocator(NULL, NULL);
}

static const test_case tests[] = {{"merges_in_order", merges_in_order},
                                  {"same_as_tokenizers", same_as_tokenizers},
                                  {"saved_and_read", saved_and_read},
                                  {"bad_options", bad_options},
                                  {"odd_texts", odd_texts},
                                  {"no_memory", no_memory}};
TEST_MAIN(tests)
