/* make_tiny.c - writes tests/golden/tiny.gguf: two blocks of width 32, random weights, 384 tokens (bytes, printable characters,
 * syllables). Its embedding is large and that of the byte tokens small, so that greedy decoding gives changing, readable text.
 *
 *   make build/tests/make_tiny && build/tests/make_tiny tests/golden/tiny.gguf */
#include <stdio.h>
#include <string.h>

#include "format/checkpoint.h"
#include "tokenizer/vocab_source.h"

enum { TOKENS = 384, FIRST_TEXT = 259, WIDTH = 32 };

/* A number in [-1, 1) that depends on nothing but its arguments. */
static float noise(uint64_t role, uint64_t index, uint64_t row, uint64_t col) {
    uint64_t h = (((role * 64 + index) * 4096 + row) * 4096 + col) * 0x9E3779B97F4A7C15u + 0x1234567;
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    h ^= h >> 31;
    return (float)(h >> 40) / (float)(1 << 23) - 1;
}

static bool make_row(void *ctx, mllm_role role, uint32_t index, size_t row, float *out) {
    mllm_role_shape shape = mllm_blueprint_shape(ctx, role);
    bool norm = shape.rows == 1;
    float scale = role == MLLM_W_EMBEDDING || role == MLLM_W_HEAD ? (row < FIRST_TEXT && row != 2 ? 0.05f : 1) : 0.6f;
    for (size_t c = 0; c < shape.cols; c++) out[c] = norm ? 1 : scale * noise(role, index, row, c);
    return true;
}

static mllm_vocab *make_vocab(mllm_error *err) {
    static const char *const syllables[] = {"an", "be", "da", "el", "in", "ko", "lo",
                                            "ma", "ne", "or", "ra", "su", "ti", "un"};
    static char texts[TOKENS][16];
    static const char *pieces[TOKENS];
    static uint32_t lengths[TOKENS];
    static float scores[TOKENS];
    static uint8_t kinds[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
        int word = i - FIRST_TEXT - 95;
        kinds[i] = i == 0           ? MLLM_TOKEN_UNKNOWN
                   : i < 3          ? MLLM_TOKEN_CONTROL
                   : i < FIRST_TEXT ? MLLM_TOKEN_BYTE
                                    : MLLM_TOKEN_NORMAL;
        if (i < 3)
            strcpy(texts[i], i == 0 ? "<unk>" : i == 1 ? "<s>" : "</s>");
        else if (i < FIRST_TEXT)
            snprintf(texts[i], sizeof texts[i], "<0x%02X>", (unsigned)i - 3);
        else if (i == FIRST_TEXT)
            strcpy(texts[i], "\xe2\x96\x81");
        else if (word < 0)
            snprintf(texts[i], sizeof texts[i], "%c", i - FIRST_TEXT + 32);
        else if (word < 28)
            snprintf(texts[i], sizeof texts[i], "%s%s", word % 2 ? "\xe2\x96\x81" : "", syllables[word / 2]);
        else /* two-byte characters: U+00E0 and on */
            snprintf(texts[i], sizeof texts[i], "\xc3%c", (char)(0xA0 + word - 28));
        pieces[i] = texts[i];
        lengths[i] = (uint32_t)strlen(texts[i]);
        scores[i] = i < FIRST_TEXT ? 0 : (float)(FIRST_TEXT - i);
    }
    return mllm_vocab_new(&(mllm_vocab_source){.where = "make_tiny",
                                               .family = MLLM_VOCAB_SPM,
                                               .count = TOKENS,
                                               .pieces = pieces,
                                               .lengths = lengths,
                                               .scores = scores,
                                               .kinds = kinds,
                                               .space_prefix = true,
                                               .bos = 1,
                                               .eos = 2,
                                               .unknown = 0,
                                               .add_bos = true},
                          err);
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: make_tiny FILE\n"), 2;
    mllm_error err = {MLLM_OK, ""};
    mllm_blueprint b = {.architecture = "mobilellm",
                        .name = "tiny",
                        .vocabulary = TOKENS,
                        .width = WIDTH,
                        .heads = 4,
                        .kv_heads = 2,
                        .head_size = 8,
                        .ffn_width = 64,
                        .context = 512,
                        .blocks = 2,
                        .norm_epsilon = 1e-5f,
                        .rope_base = 10000,
                        .rope_interleaved = true,
                        .rope_size = 8,
                        .tied_embedding = false};
    mllm_vocab *vocab = make_vocab(&err);
    mllm_code code = err.code;
    if (vocab) code = mllm_blueprint_make_steps(&b, 1, false, &err);
    if (code == MLLM_OK)
        code = mllm_checkpoint_write(
            &(mllm_checkpoint_writing){
                .path = argv[1], .blueprint = &b, .vocab = vocab, .type = MLLM_F16, .row = make_row, .ctx = &b},
            &err);
    if (code != MLLM_OK) fprintf(stderr, "make_tiny: %s\n", err.message);
    mllm_vocab_free(vocab);
    mllm_blueprint_free(&b);
    return code != MLLM_OK;
}
