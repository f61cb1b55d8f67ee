/* Vocabularies and their files: GGUF written and read, folders, what is refused, broken files, no memory. */
#include <sys/stat.h>

#include "failing.h"
#include "vocab_cases.h"

static char dir[200];

static const char *in_dir(const char *name) {
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put_file(const char *name, const void *data, size_t length) {
    FILE *f = fopen(in_dir(name), "wb");
    CHECK(f && fwrite(data, 1, length, f) == length, "%s", name);
    if (f) fclose(f);
}

static void put_text(const char *name, const char *text) {
    put_file(name, text, strlen(text));
}

static void new_dir(void) {
    strcpy(dir, "/tmp/mllm-vocab-XXXXXX");
    CHECK(mkdtemp(dir));
}

static void remove_dir(void) {
    static const char *const names[] = {
        "tokenizer.json",         "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
        "generation_config.json", "config.json",     "added_tokens.json",     "vocab.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(in_dir(names[i]));
    rmdir(dir);
}

static bool no_row(void *ctx, size_t tensor, size_t row, float *out) {
    (void)ctx, (void)tensor, (void)row, (void)out;
    return false;
}

static mllm_vocab *through_gguf(const mllm_vocab *v) {
    mllm_error err = {0};
    mllm_gguf_writer *w = mllm_gguf_create(in_dir("vocab.gguf"), &err);
    CHECK(w, "%s", err.message);
    if (!w) return NULL;
    mllm_gguf_put_string(w, "general.architecture", "llama", 5);
    mllm_vocab_put_gguf(v, 0, w);
    CHECK(mllm_gguf_finish(w, no_row, NULL, NULL, &err) == MLLM_OK, "%s", err.message);
    return vocab_of_gguf(in_dir("vocab.gguf"));
}

static void gguf_and_back(void) {
    static const char *const names[] = {"gpt2", "smollm", "llama3", "qwen2", "llama2"};
    static const char text[] =
        "<s>Don't <|im_start|>caf\xC3\xA9 e\xCC\x81 12345 [TOOL] 'LL\r\n\n  x <|im_end|> kitchen \xE2\x96\x81 lights";
    new_dir();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[200];
        snprintf(file, sizeof file, "tests/golden/tokenizer-%s.json", names[i]);
        mllm_error err = {0};
        mllm_vocab *v = mllm_vocab_open(file, &err), *w = v ? through_gguf(v) : NULL;
        CHECK(v && w, "%s", err.message);
        if (v && w) {
            mllm_token a[200], b[200];
            size_t n = mllm_tokenize(v, text, sizeof text - 1, MLLM_TOKENIZE_SPECIAL, a, 200);
            size_t m = mllm_tokenize(w, text, sizeof text - 1, MLLM_TOKENIZE_SPECIAL, b, 200);
            CHECK(n == m && memcmp(a, b, n * sizeof *a) == 0, "%s", names[i]);
            CHECK(mllm_vocab_size(v) == mllm_vocab_size(w) && mllm_vocab_bos(v) == mllm_vocab_bos(w) &&
                  mllm_vocab_eos(v) == mllm_vocab_eos(w));
            CHECK(mllm_vocab_adds_bos(v) == mllm_vocab_adds_bos(w), "%s", names[i]);
            for (int id = 0; id < mllm_vocab_size(v); id++)
                CHECK(mllm_vocab_is_end(v, id) == mllm_vocab_is_end(w, id) &&
                          mllm_vocab_kind(v, id) == mllm_vocab_kind(w, id),
                      "%s %d", names[i], id);
        }
        mllm_vocab_free(v);
        mllm_vocab_free(w);
    }
    remove_dir();
}

static void folders(void) {
    mllm_error err = {.code = MLLM_E_IO};
    new_dir();
    CHECK(!mllm_vocab_from_folder(dir, &err) && err.code == MLLM_OK, "an empty folder has no vocabulary");
    CHECK(!mllm_vocab_open(dir, &err) && err.code == MLLM_E_FORMAT && strstr(err.message, dir));
    size_t length;
    char *json = read_file("tests/golden/tokenizer-qwen2.json", &length);
    CHECK(json);
    put_file("tokenizer.json", json, length);
    free(json);
    mllm_vocab *v = mllm_vocab_from_folder(dir, &err);
    CHECK(v && mllm_vocab_eos(v) == 0 && mllm_vocab_bos(v) == -1 && !mllm_vocab_adds_bos(v), "%s", err.message);
    mllm_vocab_free(v);
    put_text("config.json", "{\"bos_token_id\": 1, \"eos_token_id\": 2}");
    put_text("generation_config.json", "{\"eos_token_id\": [2, 300]}");
    v = mllm_vocab_from_folder(dir, &err);
    CHECK(v && mllm_vocab_eos(v) == 2 && mllm_vocab_bos(v) == 1 && mllm_vocab_is_end(v, 300) &&
              !mllm_vocab_is_end(v, 301),
          "%s", err.message);
    mllm_vocab_free(v);
    put_text("tokenizer_config.json",
             "{\"bos_token\": null, \"eos_token\": {\"content\": \"<|im_end|>\"}, \"add_bos_token\": true}");
    put_text("special_tokens_map.json", "{\"bos_token\": \"<|im_start|>\", \"eos_token\": \"<|endoftext|>\"}");
    v = mllm_vocab_from_folder(dir, &err);
    CHECK(v && mllm_vocab_eos(v) == 2 && mllm_vocab_bos(v) == 1 && mllm_vocab_adds_bos(v), "%s", err.message);
    mllm_vocab_free(v);
    put_text("tokenizer_config.json", "{\"bos_token\": ");
    CHECK(!mllm_vocab_from_folder(dir, &err) && err.code == MLLM_E_FORMAT &&
              strstr(err.message, "tokenizer_config.json"),
          "%s", err.message);
    remove_dir();
}

static void folder_with_model(void) {
    if (!test_shared()) SKIP("no shared data");
    char path[400];
    size_t length;
    snprintf(path, sizeof path, "%s/tokenizers/llama2/tokenizer.model", test_shared());
    char *data = read_file(path, &length);
    CHECK(data);
    if (!data) return;
    new_dir();
    put_file("tokenizer.model", data, length);
    free(data);
    put_text("added_tokens.json", "{\"<pad>\": 32000, \"<|im_end|>\": 32003, \"tool call\": 32001}");
    put_text("tokenizer_config.json",
             "{\"add_bos_token\": false, \"eos_token\": \"<|im_end|>\", \"added_tokens_decoder\": {"
             "\"32003\": {\"content\": \"<|im_end|>\", \"special\": true}, \"1\": {\"content\": \"<s>\", \"special\": "
             "true}}}");
    mllm_error err = {0};
    mllm_vocab *v = mllm_vocab_from_folder(dir, &err);
    CHECK(v, "%s", err.message);
    if (v) {
        CHECK(mllm_vocab_size(v) == 32004 && mllm_vocab_eos(v) == 32003 && mllm_vocab_bos(v) == 1 &&
              !mllm_vocab_adds_bos(v));
        CHECK(mllm_vocab_kind(v, 32002) == MLLM_TOKEN_UNUSED && mllm_vocab_kind(v, 32000) == MLLM_TOKEN_CONTROL &&
              mllm_vocab_kind(v, 32001) == MLLM_TOKEN_USER);
        const mllm_token ids[] = {263, 29871, 32001, 289, 32003};
        CHECK(same_ids(v, "a tool call b<|im_end|>", 23, MLLM_TOKENIZE_SPECIAL, ids, 5));
    }
    mllm_vocab_free(v);
    remove_dir();
}

/* What is well formed but not known is named. */
static void refused(void) {
    static const struct {
        const char *json, *named;
    } cases[] = {{"{\"model\": {\"type\": \"Unigram\", \"vocab\": []}, \"pre_tokenizer\": {\"type\": \"ByteLevel\"}}",
                  "Unigram"},
                 {"{\"model\": {\"type\": \"WordPiece\"}, \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}}",
                  "BertPreTokenizer"},
                 {"{\"normalizer\": {\"type\": \"NFKC\"}}", "NFKC"},
                 {"{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": "
                  "\"Lowercase\"}]}}",
                  "Lowercase"},
                 {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a-z]+\"}, \"behavior\": "
                  "\"Isolated\", \"invert\": false}}",
                  "[a-z]+"},
                 {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{N}\"}, \"behavior\": "
                  "\"Contiguous\"}}",
                  "Contiguous"},
                 {"{\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", "
                  "\"end_of_word_suffix\": \"</w>\"}}",
                  "</w>"},
                 {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}", "byte-level"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_error err = {0};
        mllm_vocab *v = mllm_vocab_from_json(cases[i].json, strlen(cases[i].json), "some.json", &err);
        CHECK(!v && err.code == MLLM_E_UNSUPPORTED && strstr(err.message, cases[i].named) &&
                  strstr(err.message, "some.json"),
              "%zu: %s", i, err.message);
        mllm_vocab_free(v);
    }
}

static void malformed(void) {
#define BYTE_LEVEL "\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, "
    static const char *const cases[] = {
        "",
        "[]",
        "{",
        "{}",
        "{" BYTE_LEVEL "\"model\": {\"type\": \"BPE\"}}",
        "{" BYTE_LEVEL "\"model\": {\"vocab\": [], \"merges\": []}}",
        "{" BYTE_LEVEL "\"model\": {\"vocab\": {\"a\": -1}, \"merges\": []}}",
        "{" BYTE_LEVEL "\"model\": {\"vocab\": {\"a\": 1e9}, \"merges\": []}}",
        "{" BYTE_LEVEL "\"model\": {\"vocab\": {\"a\": 99999999999}, \"merges\": []}}",
        "{" BYTE_LEVEL "\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [\"a b\"]}}",
        "{" BYTE_LEVEL "\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [\"ab\"]}}",
        "{" BYTE_LEVEL "\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [[\"a\", 1]]}}",
        "{" BYTE_LEVEL "\"model\": {\"vocab\": {\"a\": 0}, \"merges\": {}}}",
        "{" BYTE_LEVEL "\"added_tokens\": {}, \"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}",
        "{" BYTE_LEVEL "\"added_tokens\": [{}], \"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}",
        "{" BYTE_LEVEL "\"added_tokens\": [3], \"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}",
        "{" BYTE_LEVEL
        "\"added_tokens\": [{\"content\": \"x\", \"id\": \"1\"}], \"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_error err = {0};
        mllm_vocab *v = mllm_vocab_from_json(cases[i], strlen(cases[i]), "some.json", &err);
        CHECK(!v && (err.code == MLLM_E_FORMAT || err.code == MLLM_E_UNSUPPORTED) && strstr(err.message, "some.json"),
              "%zu: %s", i, err.message);
        mllm_vocab_free(v);
    }
}

static uint64_t random_state = 11;

static uint32_t next_random(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static void use(const mllm_vocab *v) {
    static const char text[] = "<s>Don't <|im_start|> e\xCC\x81 123 [TOOL] \xFF<0x0A>";
    mllm_token ids[200];
    char out[2000];
    size_t n = mllm_tokenize(v, text, sizeof text - 1, MLLM_TOKENIZE_SPECIAL | MLLM_TOKENIZE_BOS | MLLM_TOKENIZE_EOS,
                             ids, 200);
    CHECK(n < 200);
    if (n < 200) mllm_detokenize(v, ids, n, MLLM_TOKENIZE_SPECIAL, out, sizeof out);
}

/* Flipped and cut files: an error or a vocabulary that can be used, nothing else. */
static void mutated_json(void) {
    static const char *const names[] = {"llama3", "qwen2", "llama2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[200];
        size_t length;
        snprintf(file, sizeof file, "tests/golden/tokenizer-%s.json", names[i]);
        char *json = read_file(file, &length), *copy = malloc(length);
        CHECK(json);
        for (int round = 0; json && round < 250; round++) {
            memcpy(copy, json, length);
            size_t n = round % 5 ? length : next_random() % length;
            for (int flips = 0; flips < 1 + round % 4; flips++) {
                static const char signs[] = "\"{}[]:,0129-\\ntf\xFF";
                copy[next_random() % length] = signs[next_random() % (sizeof signs - 1)];
            }
            char *exact = malloc(n ? n : 1);
            memcpy(exact, copy, n);
            mllm_error err = {0};
            mllm_vocab *v = mllm_vocab_from_json(exact, n, "mutated", &err);
            CHECK(v || (err.code != MLLM_OK && strstr(err.message, "mutated")), "%s", err.message);
            if (v) use(v);
            mllm_vocab_free(v);
            free(exact);
        }
        free(json);
        free(copy);
    }
}

static void mutated_gguf(void) {
    static const char *const names[] = {"smollm", "llama2"};
    new_dir();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[200];
        snprintf(file, sizeof file, "tests/golden/tokenizer-%s.json", names[i]);
        mllm_error err = {0};
        mllm_vocab *v = mllm_vocab_open(file, &err);
        mllm_vocab_free(through_gguf(v));
        mllm_vocab_free(v);
        size_t length;
        char *data = read_file(in_dir("vocab.gguf"), &length), *copy = malloc(length);
        CHECK(data);
        for (int round = 0; data && round < 200; round++) {
            memcpy(copy, data, length);
            for (int flips = 0; flips < 1 + round % 4; flips++)
                copy[next_random() % length] ^= (char)(1 << next_random() % 8);
            put_file("vocab.gguf", copy, round % 5 ? length : next_random() % length);
            v = mllm_vocab_open(in_dir("vocab.gguf"), &err);
            CHECK(v || (err.code != MLLM_OK && *err.message), "%s", err.message);
            if (v) use(v);
            mllm_vocab_free(v);
        }
        free(data);
        free(copy);
    }
    remove_dir();
}

/* Arrays of unequal lengths, unknown names. */
static void wrong_gguf(void) {
    static const char *const pieces[] = {"a", "b", "ab"}, *const merges[] = {"a b"}, *const halves[] = {"ab"};
    static const size_t lengths[] = {1, 1, 2}, three[] = {3}, two[] = {2};
    static const float scores[] = {0, 0, 0};
    static const int32_t types[] = {1, 1, 1};
    static const char *const named[] = {
        "tokenizer.ggml.scores", "tokenizer.ggml.token_type", "merge 0", "klingon", "tokenizer.ggml.pre", "rwkv",
        "tokenizer.ggml.scores", "tokenizer.ggml.merges"};
    new_dir();
    for (int k = 0; k < 8; k++) {
        mllm_error err = {0};
        mllm_gguf_writer *w = mllm_gguf_create(in_dir("vocab.gguf"), &err);
        const char *model = k <= 1 || k == 6 ? "llama" : k == 5 ? "rwkv" : "gpt2", *pre = k == 3 ? "klingon" : "qwen2";
        mllm_gguf_put_string(w, "tokenizer.ggml.model", model, strlen(model));
        if (k != 4) mllm_gguf_put_string(w, "tokenizer.ggml.pre", pre, strlen(pre));
        mllm_gguf_put_strings(w, "tokenizer.ggml.tokens", pieces, lengths, 3);
        if (k <= 1) mllm_gguf_put_numbers(w, "tokenizer.ggml.scores", MLLM_KV_F32, scores, k == 0 ? 2 : 3);
        mllm_gguf_put_numbers(w, "tokenizer.ggml.token_type", MLLM_KV_I32, types, k == 1 ? 1 : 3);
        if (k != 7)
            mllm_gguf_put_strings(w, "tokenizer.ggml.merges", k == 2 ? halves : merges, k == 2 ? two : three, 1);
        CHECK(mllm_gguf_finish(w, no_row, NULL, NULL, &err) == MLLM_OK, "%s", err.message);
        mllm_vocab *v = mllm_vocab_open(in_dir("vocab.gguf"), &err);
        CHECK(!v && (err.code == MLLM_E_FORMAT || err.code == MLLM_E_UNSUPPORTED) && strstr(err.message, named[k]),
              "%d: %s", k, err.message);
        mllm_vocab_free(v);
    }
    remove_dir();
}

static void no_memory(void) {
    static const char *const names[] = {"tests/golden/tokenizer-qwen2.json", "tests/golden/tokenizer-llama2.json",
                                        NULL};
    static const char text[] = "<s>Don't e\xCC\x81 <|im_end|> 123 kitchen lights kitchen lights";
    new_dir();
    put_text("tokenizer_config.json",
             "{\"eos_token\": \"<|im_end|>\", \"added_tokens_decoder\": {\"7\": {\"content\": \"x\"}}}");
    put_text("generation_config.json", "{\"eos_token_id\": [2, 300]}");
    size_t length;
    char *json = read_file(names[0], &length);
    put_file("tokenizer.json", json, length);
    free(json);
    for (size_t i = 0; i < 4; i++) {
        bool done = false;
        if (i == 3) {
            mllm_error err = {0};
            mllm_vocab *v = mllm_vocab_open(names[0], &err);
            mllm_vocab_free(through_gguf(v));
            mllm_vocab_free(v);
        }
        mllm_set_allocator(failing, NULL);
        for (long n = 0; !done && n < 3000; n++) {
            mllm_error err = {0};
            mllm_token ids[200];
            fail_once(n);
            mllm_vocab *v = mllm_vocab_open(i == 2 ? dir : i == 3 ? in_dir("vocab.gguf") : names[i], &err);
            size_t got = v ? mllm_tokenize(v, text, sizeof text - 1, MLLM_TOKENIZE_SPECIAL, ids, 200) : 0;
            done = !failing_state.failed;
            CHECK(v || err.code == MLLM_E_MEMORY, "%zu, allocation %ld: %s", i, n, err.message);
            CHECK(!v || got == SIZE_MAX || (got > 0 && got < 200));
            mllm_vocab_free(v);
            CHECK(failing_state.alive == 0, "allocation %ld: %ld left", n, failing_state.alive);
        }
        CHECK(done);
        mllm_set_allocator(NULL, NULL);
    }
    remove_dir();
}

static const test_case tests[] = {{"gguf_and_back", gguf_and_back},
                                  {"folders", folders},
                                  {"folder_with_model", folder_with_model},
                                  {"refused", refused},
                                  {"malformed", malformed},
                                  {"mutated_json", mutated_json},
                                  {"mutated_gguf", mutated_gguf},
                                  {"wrong_gguf", wrong_gguf},
                                  {"no_memory", no_memory}};
TEST_MAIN(tests)
