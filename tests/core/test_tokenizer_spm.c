/* SentencePiece vocabularies: Llama 2's own cases, from both files; bad files; streaming. */
#include "vocab_cases.h"

static char path[1200];

static const char *llama2(const char *name) {
    snprintf(path, sizeof path, "%s/tokenizers/llama2/%s", test_shared(), name);
    return path;
}

static mllm_vocab *llama2_model(void) {
    size_t length;
    char *data = read_file(llama2("tokenizer.model"), &length);
    mllm_error err = {0};
    mllm_vocab *v = data ? mllm_vocab_from_spm(data, length, "tokenizer.model", &err) : NULL;
    CHECK(v, "%s", err.message);
    free(data);
    return v;
}

static void check_llama2(mllm_vocab *v) {
    if (!v) return;
    CHECK(check_rows(v, llama2("sentencepiece-0.1.97.json"), 0) == 141);
    CHECK(check_inp_out(v, llama2("ggml-vocab-llama-spm.gguf")) > 40);
    CHECK(mllm_vocab_size(v) == 32000 && mllm_vocab_bos(v) == 1 && mllm_vocab_eos(v) == 2 && mllm_vocab_adds_bos(v));
    CHECK(mllm_vocab_is_end(v, 2) && !mllm_vocab_is_end(v, 1) && !mllm_vocab_is_end(v, 15043));
    CHECK(mllm_vocab_find(v, "\xE2\x96\x81Hello", 8) == 15043 && mllm_vocab_find(v, "Hell\xFF", 5) == -1);
    size_t n;
    CHECK(memcmp(mllm_vocab_bytes(v, 15043, &n), " Hello", 6) == 0 && n == 6);
    CHECK(*mllm_vocab_bytes(v, 13, &n) == '\n' && n == 1);
    CHECK(mllm_vocab_bytes(v, 32000, &n) == NULL && mllm_vocab_bytes(v, -1, &n) == NULL && n == 0);
    CHECK(mllm_vocab_kind(v, 0) == MLLM_TOKEN_UNKNOWN && mllm_vocab_kind(v, 1) == MLLM_TOKEN_CONTROL &&
          mllm_vocab_kind(v, 13) == MLLM_TOKEN_BYTE && mllm_vocab_kind(v, 15043) == MLLM_TOKEN_NORMAL);
}

static void llama2_from_model(void) {
    if (!test_shared()) SKIP("no shared data");
    mllm_vocab *v = llama2_model();
    check_llama2(v);
    mllm_vocab_free(v);
}

static void llama2_from_gguf(void) {
    if (!test_shared()) SKIP("no shared data");
    mllm_vocab *v = vocab_of_gguf(llama2("ggml-vocab-llama-spm.gguf"));
    check_llama2(v);
    mllm_vocab_free(v);
}

static void flags(void) {
    if (!test_shared()) SKIP("no shared data");
    mllm_vocab *v = llama2_model();
    if (!v) return;
    const mllm_token plain[] = {529, 29879, 29958, 10994}, special[] = {1, 15043, 2, 15043}, bos[] = {1, 15043},
                     bare[] = {10994, 3186};
    CHECK(same_ids(v, "<s>Hello", 8, 0, plain, 4));
    CHECK(same_ids(v, "<s>Hello</s>Hello", 17, MLLM_TOKENIZE_SPECIAL, special, 4));
    CHECK(same_ids(v, "Hello", 5, MLLM_TOKENIZE_BOS, bos, 2));
    CHECK(same_ids(v, "Hello world", 11, MLLM_TOKENIZE_NO_PREFIX, bare, 2));
    const mllm_token both[] = {1, 15043, 2};
    CHECK(same_ids(v, "Hello", 5, MLLM_TOKENIZE_BOS | MLLM_TOKENIZE_EOS, both, 3));
    size_t n;
    char *text = text_of(v, special, 4, MLLM_TOKENIZE_SPECIAL, &n);
    CHECK(text && strcmp(text, "<s>Hello</s>Hello") == 0, "%s", text ? text : "two texts");
    free(text);
    text = text_of(v, special, 4, 0, &n);
    CHECK(text && strcmp(text, "Hello Hello") == 0, "%s", text ? text : "two texts");
    free(text);
    text = text_of(v, special, 4, MLLM_TOKENIZE_NO_PREFIX, &n);
    CHECK(text && strcmp(text, " Hello Hello") == 0, "%s", text ? text : "two texts");
    free(text);
    /* Ids outside the vocabulary give nothing; too small a room still says how much is needed. */
    const mllm_token wild[] = {-5, 15043, 99999};
    char small[4] = "xyz";
    CHECK(mllm_detokenize(v, wild, 3, 0, small, 2) == 5 && small[2] == 'z');
    mllm_token two[2] = {-7, -7};
    CHECK(mllm_tokenize(v, "a b c", 5, 0, two, 1) == 3 && two[0] == 263 && two[1] == -7);
    mllm_vocab_free(v);
}

static void streaming(void) {
    if (!test_shared()) SKIP("no shared data");
    mllm_vocab *v = llama2_model();
    if (!v) return;
    /* F0 9F A6 99 by byte tokens (id = byte + 3): nothing until the last. */
    const mllm_token llama[] = {0xF0 + 3, 0x9F + 3, 0xA6 + 3, 0x99 + 3};
    char out[256];
    mllm_detokenizer d;
    mllm_detokenizer_init(&d, v, 0);
    for (int i = 0; i < 3; i++) CHECK(mllm_detokenizer_push(&d, llama[i], out, sizeof out) == 0);
    CHECK(mllm_detokenizer_push(&d, llama[3], out, 3) == 4, "says how much it needs");
    CHECK(mllm_detokenizer_push(&d, llama[3], out, sizeof out) == 4 && memcmp(out, "\xF0\x9F\xA6\x99", 4) == 0);
    /* Cut characters and lone bytes: one U+FFFD each. */
    const mllm_token cut[] = {0xE2 + 3, 0x96 + 3, 15043, 0x80 + 3, 0xFF + 3, 0xED + 3, 0xA0 + 3, 0x80 + 3, 0xC3 + 3};
    size_t n;
    char *text = text_of(v, cut, 9, MLLM_TOKENIZE_NO_PREFIX, &n);
    CHECK(text && strcmp(text, "\xEF\xBF\xBD\xEF\xBF\xBD "
                               "Hello\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD") == 0,
          "%s", text ? text : "two texts");
    free(text);
    mllm_vocab_free(v);
}

/* Any bytes: every one of them comes back as a byte, and valid text as itself. */
static void any_bytes(void) {
    if (!test_shared()) SKIP("no shared data");
    mllm_vocab *v = llama2_model();
    if (!v) return;
    uint64_t random = 1;
    char text[300];
    mllm_token ids[1000];
    for (int round = 0; round < 400; round++) {
        size_t length = 1 + (size_t)round % 300;
        for (size_t i = 0; i < length; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            text[i] = (char)(round < 4 ? i : random >> 56);
        }
        size_t n = mllm_tokenize(v, text, length, 0, ids, 1000), at = 0;
        CHECK(n <= 1000);
        bool same = true;
        for (size_t i = 0; i < n && n <= 1000; i++) {
            size_t k, skip = 0;
            const char *s = mllm_vocab_bytes(v, ids[i], &k);
            if (i == 0) skip = 1; /* the dummy space */
            same &= at + k - skip <= length && memcmp(text + at, s + skip, k - skip) == 0;
            at += k - skip;
        }
        CHECK(same && at == length, "round %d", round);
    }
    mllm_vocab_free(v);
}

static void long_words(void) {
    if (!test_shared()) SKIP("no shared data");
    mllm_vocab *v = llama2_model();
    if (!v) return;
    size_t length = 2u << 20;
    char *text = malloc(length);
    mllm_token *ids = malloc((length + 8) * sizeof *ids);
    memset(text, 'a', length);
    size_t n = mllm_tokenize(v, text, length, 0, ids, length + 8);
    CHECK(n > 0 && n < length);
    memset(text, ' ', length);
    n = mllm_tokenize(v, text, length, 0, ids, length + 8);
    size_t size = mllm_detokenize(v, ids, n, 0, NULL, 0);
    CHECK(size == length, "%zu", size);
    memset(text, 0, length);
    n = mllm_tokenize(v, text, length, 0, ids, length + 8);
    CHECK(n == length + 1, "%zu", n);
    free(text);
    free(ids);
    mllm_vocab_free(v);
}

/* A small model: <unk> <s> </s> user "[x]" and some pieces. */
static size_t put_piece(char *to, const char *piece, float score, int type) {
    size_t n = strlen(piece), at = 0;
    to[at++] = 0x0A;
    to[at++] = (char)(n + 9);
    to[at++] = 0x0A;
    to[at++] = (char)n;
    memcpy(to + at, piece, n);
    at += n;
    to[at++] = 0x15;
    memcpy(to + at, &score, 4);
    at += 4;
    to[at++] = 0x18;
    to[at++] = (char)type;
    return at;
}

static size_t small_model(char *to) {
    static const struct {
        const char *piece;
        float score;
        int type;
    } pieces[] = {{"<unk>", 0, 2},
                  {"<s>", 0, 3},
                  {"</s>", 0, 3},
                  {"[x]", 0, 4},
                  {"\xE2\x96\x81", -9, 1},
                  {"a", -9, 1},
                  {"b", -9, 1},
                  {"ab", -1, 1},
                  {"\xE2\x96\x81"
                   "ab",
                   -2, 1},
                  {"bb", -3, 1},
                  {"x", -9, 1},
                  {"[x", -0.5f, 1},
                  {"[", -9, 1}};
    size_t at = 0;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        at += put_piece(to + at, pieces[i].piece, pieces[i].score, pieces[i].type);
    memcpy(to + at, "\x12\x02\x18\x02", 4); /* trainer_spec { model_type: BPE } */
    memcpy(to + at + 4, "\x1A\x02\x20\x00", 4); /* normalizer_spec { remove_extra_whitespaces: false } */
    return at + 8;
}

static void user_defined_and_unknown(void) {
    char data[1000];
    size_t n = small_model(data);
    mllm_error err = {0};
    mllm_vocab *v = mllm_vocab_from_spm(data, n, "small", &err);
    CHECK(v, "%s", err.message);
    if (!v) return;
    const mllm_token one[] = {8, 6, 3, 7}, unknown[] = {8, 0, 5, 0, 4, 0};
    CHECK(same_ids(v, "abb[x]ab", 8, 0, one, 4)); /* the user's piece before any merge */
    CHECK(same_ids(v, "abqqa\xC3\xA9 z", 9, 0, unknown, 6)); /* a run of unknown characters is one token */
    size_t k;
    char *text = text_of(v, unknown, 6, 0, &k);
    CHECK(text && strcmp(text, "ab \xE2\x81\x87 a \xE2\x81\x87   \xE2\x81\x87 ") == 0, "%s", text ? text : "two texts");
    free(text);
    mllm_vocab_free(v);
}

/* A spelling of a control token becomes it only where nobody typed a byte of it. */
static void typed(void) {
    char data[1000];
    size_t n = small_model(data);
    mllm_error err = {0};
    mllm_vocab *v = mllm_vocab_from_spm(data, n, "small", &err);
    CHECK(v, "%s", err.message);
    if (!v) return;
    const char *text = "<s>ab<s>";
    char marks[8] = {0};
    mllm_token ids[16], id = mllm_vocab_find(v, "<s>", 3);
    for (int first = 0; first <= 8; first++) { /* from `first` on, all was typed */
        memset(marks, 0, sizeof marks);
        memset(marks + first, 1, (size_t)(8 - first));
        size_t k = mllm_tokenize_typed(v, text, 8, marks, MLLM_TOKENIZE_SPECIAL, ids, 16), found = 0;
        CHECK(k <= 16);
        for (size_t i = 0; i < k && k <= 16; i++) found += ids[i] == id;
        CHECK(found == (first >= 3 ? 1u : 0u) + (first >= 8 ? 1u : 0u), "%d: %zu", first, found);
    }
    mllm_vocab_free(v);
}

static void bad_models(void) {
    char data[1000], copy[1000];
    size_t n = small_model(data);
    mllm_error err = {0};
    for (size_t cut = 0; cut < n; cut++) {
        char *exact = malloc(cut + 1); /* so that a read behind the end is seen */
        memcpy(exact, data, cut);
        mllm_vocab *v = mllm_vocab_from_spm(exact, cut, "cut", &err);
        if (v)
            CHECK(cut > 4 && mllm_vocab_size(v) > 0);
        else
            CHECK(err.code != MLLM_OK && strstr(err.message, "cut"));
        mllm_vocab_free(v);
        free(exact);
    }
    uint64_t random = 7;
    for (int round = 0; round < 3000; round++) {
        memcpy(copy, data, n);
        for (int flips = 0; flips < 1 + round % 3; flips++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            copy[(random >> 33) % n] = (char)(random >> 20);
        }
        mllm_vocab *v = mllm_vocab_from_spm(copy, n, "flipped", &err);
        mllm_token ids[64];
        if (v) CHECK(mllm_tokenize(v, "ab [x] <s>zz", 12, MLLM_TOKENIZE_SPECIAL, ids, 64) < SIZE_MAX);
        mllm_vocab_free(v);
    }
    memcpy(data + n - 8, "\x12\x02\x18\x01", 4);
    CHECK(!mllm_vocab_from_spm(data, n, "uni", &err) && err.code == MLLM_E_UNSUPPORTED &&
              strstr(err.message, "unigram"),
          "%s", err.message);
    memcpy(data + n - 8, "\x12\x02\x18\x02\x1A\x05\x0A\x00\x12\x01x", 11);
    CHECK(!mllm_vocab_from_spm(data, n + 3, "map", &err) && err.code == MLLM_E_UNSUPPORTED &&
              strstr(err.message, "normalizer"),
          "%s", err.message);
}

static const test_case tests[] = {{"llama2_from_model", llama2_from_model},
                                  {"llama2_from_gguf", llama2_from_gguf},
                                  {"flags", flags},
                                  {"streaming", streaming},
                                  {"any_bytes", any_bytes},
                                  {"long_words", long_words},
                                  {"user_defined_and_unknown", user_defined_and_unknown},
                                  {"typed", typed},
                                  {"bad_models", bad_models}};
TEST_MAIN(tests)
