/* Byte-level vocabularies: GPT-2's cases from GGUF; the pre-tokenizers against rows of the `tokenizers` library. */
#include "vocab_cases.h"

static mllm_vocab *golden(const char *name, unsigned flags) {
    char file[200];
    mllm_error err = {0};
    snprintf(file, sizeof file, "tests/golden/tokenizer-%s.json", name);
    mllm_vocab *v = mllm_vocab_open(file, &err);
    CHECK(v, "%s", err.message);
    snprintf(file, sizeof file, "tests/golden/tokenizer-%s.rows.json", name);
    if (v) CHECK(check_rows(v, file, MLLM_TOKENIZE_SPECIAL | flags) > 150);
    return v;
}

static void pre_gpt2(void) {
    mllm_vocab_free(golden("gpt2", 0));
}

static void pre_smollm(void) {
    mllm_vocab_free(golden("smollm", 0));
}

static void pre_llama3(void) {
    mllm_vocab *v = golden("llama3", MLLM_TOKENIZE_BOS);
    if (v) CHECK(mllm_vocab_adds_bos(v) && mllm_vocab_bos(v) == 0);
    mllm_vocab_free(v);
}

static void pre_qwen2(void) {
    mllm_vocab *v = golden("qwen2", 0);
    if (v)
        CHECK(!mllm_vocab_adds_bos(v) && mllm_vocab_is_end(v, 2) && mllm_vocab_is_end(v, 0) &&
              !mllm_vocab_is_end(v, 1));
    mllm_vocab_free(v);
}

/* A space in front of each fragment that has none; the words of a long text are remembered across fragments. */
static void space_prefix(void) {
    size_t length;
    char *json = read_file("tests/golden/tokenizer-gpt2.json", &length);
    CHECK(json);
    char *flag = json ? strstr(json, "\"add_prefix_space\":false") : NULL;
    CHECK(flag);
    if (!flag) return;
    memcpy(flag, "\"add_prefix_space\":true ", 24);
    mllm_error err = {0};
    mllm_vocab *v = mllm_vocab_from_json(json, length, "prefixed", &err),
               *plain = mllm_vocab_open("tests/golden/tokenizer-gpt2.json", &err);
    CHECK(v && plain, "%s", err.message);
    static const char *const parts[] = {"kitchen lights", " kitchen lights", "turn the kitchen", " off", "lights"};
    char text[2000] = "";
    mllm_token ids[1000];
    size_t count = 0;
    for (int i = 0; v && plain && i < 60; i++) {
        char fragment[100];
        const char *part = parts[i % 5];
        snprintf(fragment, sizeof fragment, "%s%s", *part == ' ' ? "" : " ", part);
        count += mllm_tokenize(plain, fragment, strlen(fragment), 0, ids + count, 1000 - count);
        ids[count++] = 2; /* <|im_end|> */
        strcat(strcat(text, part), "<|im_end|>");
    }
    if (v && plain) CHECK(same_ids(v, text, strlen(text), MLLM_TOKENIZE_SPECIAL, ids, count));
    mllm_vocab_free(v);
    mllm_vocab_free(plain);
    free(json);
}

static void llama2_json(void) {
    mllm_vocab *v = golden("llama2", 0);
    if (v) CHECK(mllm_vocab_kind(v, 5) == MLLM_TOKEN_BYTE && mllm_vocab_kind(v, 0) == MLLM_TOKEN_UNKNOWN);
    mllm_vocab_free(v);
}

static char path[1200];

static const char *gpt2(void) {
    snprintf(path, sizeof path, "%s/tokenizers/gpt2/ggml-vocab-gpt-2.gguf", test_shared());
    return path;
}

static void gpt2_cases(void) {
    if (!test_shared()) SKIP("no shared data");
    mllm_vocab *v = vocab_of_gguf(gpt2());
    if (!v) return;
    CHECK(check_inp_out(v, gpt2()) > 40);
    CHECK(mllm_vocab_size(v) == 50257 && mllm_vocab_eos(v) == 50256 && mllm_vocab_is_end(v, 50256) &&
          !mllm_vocab_adds_bos(v));
    CHECK(mllm_vocab_find(v, "\xC4\xA0Hello", 7) == 18435);
    size_t n;
    CHECK(memcmp(mllm_vocab_bytes(v, 18435, &n), " Hello", 6) == 0 && n == 6);
    const mllm_token special[] = {15496, 50256, 15496};
    CHECK(same_ids(v, "Hello<|endoftext|>Hello", 23, MLLM_TOKENIZE_SPECIAL, special, 3));
    mllm_token ids[40];
    CHECK(mllm_tokenize(v, "Hello<|endoftext|>Hello", 23, 0, ids, 40) > 5);
    mllm_vocab_free(v);
}

/* Every byte comes back, whatever stands beside it. */
static void any_bytes(void) {
    if (!test_shared()) SKIP("no shared data");
    mllm_vocab *v = vocab_of_gguf(gpt2());
    if (!v) return;
    uint64_t random = 1;
    char text[300];
    mllm_token ids[300];
    for (int round = 0; round < 400; round++) {
        size_t length = 1 + (size_t)round % 300;
        for (size_t i = 0; i < length; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            text[i] = (char)(round < 4 ? i : random >> 56);
        }
        size_t n = mllm_tokenize(v, text, length, 0, ids, 300), at = 0;
        CHECK(n <= 300);
        bool same = true;
        for (size_t i = 0; i < n && n <= 300; i++) {
            size_t k;
            const char *s = mllm_vocab_bytes(v, ids[i], &k);
            same &= at + k <= length && memcmp(text + at, s, k) == 0;
            at += k;
        }
        CHECK(same && at == length, "round %d", round);
    }
    mllm_vocab_free(v);
}

/* Bytes that are no text: one U+FFFD for each cut character, as the decoder of the `tokenizers` library does. */
static void streaming(void) {
    if (!test_shared()) SKIP("no shared data");
    mllm_vocab *v = vocab_of_gguf(gpt2());
    if (!v) return;
    const char text[] = "a\xF0\x9F\xA6\x99\xE2\x96z\xFF\xC3";
    mllm_token ids[40];
    size_t count = mllm_tokenize(v, text, sizeof text - 1, 0, ids, 40), n;
    char *back = text_of(v, ids, count, 0, &n);
    CHECK(back && strcmp(back, "a\xF0\x9F\xA6\x99\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD") == 0, "%s",
          back ? back : "two texts");
    free(back);
    mllm_vocab_free(v);
}

static const test_case tests[] = {
    {"pre_gpt2", pre_gpt2},     {"pre_smollm", pre_smollm},   {"pre_llama3", pre_llama3},
    {"pre_qwen2", pre_qwen2},   {"llama2_json", llama2_json}, {"space_prefix", space_prefix},
    {"gpt2_cases", gpt2_cases}, {"any_bytes", any_bytes},     {"streaming", streaming}};
TEST_MAIN(tests)
