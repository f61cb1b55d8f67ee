/* random_model.c - files of random weights in the shapes of published models: what they cost in time and memory can be measured
 * without their weights. */
#include "checkpoint_parts.h"

#include <stdio.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/random.h"
#include "../tokenizer/vocab_source.h"

/* Sources: arXiv 2402.14905, table 7 (MobileLLM); arXiv 2402.16840 and its config.json (MobiLlama). */
static const struct {
    const char *name;
    uint32_t blocks, heads, kv_heads, width, ffn_width;
} shapes[] = {
    {"125m", 30, 9, 3, 576, 1536}, {"350m", 32, 15, 5, 960, 2560},  {"600m", 40, 18, 6, 1152, 3072},
    {"1b", 54, 20, 5, 1280, 3584}, {"1.5b", 54, 25, 5, 1600, 4352}, {"mobillama-0.5b", 22, 32, 4, 2048, 5632},
};
enum { VOCABULARY = 32000 };

static mllm_code make_blueprint(const char *shape, mllm_blueprint *b, mllm_error *err) {
    size_t length = strlen(shape);
    bool twice = length > 3 && strcmp(shape + length - 3, "-ls") == 0;
    if (twice) length -= 3;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strncmp(shapes[i].name, shape, length) != 0 || shapes[i].name[length]) continue;
        bool mobillama = strncmp(shape, "mobillama", 9) == 0;
        if (mobillama && twice) break;
        *b = (mllm_blueprint){.vocabulary = VOCABULARY,
                              .width = shapes[i].width,
                              .heads = shapes[i].heads,
                              .kv_heads = shapes[i].kv_heads,
                              .head_size = 64,
                              .ffn_width = shapes[i].ffn_width,
                              .context = 2048,
                              .blocks = shapes[i].blocks,
                              .norm_epsilon = 1e-5f,
                              .rope_base = 10000,
                              .rope_interleaved = true,
                              .rope_size = 64,
                              .tied_embedding = !mobillama};
        snprintf(b->architecture, sizeof b->architecture, "mobilellm");
        snprintf(b->name, sizeof b->name, "random %s", shape);
        return mllm_blueprint_make_steps(b, twice ? 2 : 1, mobillama, err);
    }
    return mllm_fail(err, MLLM_E_ARGUMENT,
                     "\"%.40s\" is no shape: 125m, 350m, 600m, 1b, 1.5b (each also with -ls) and mobillama-0.5b are",
                     shape);
}

/* --------------------------------------------------------------- vocabulary */

/* One of 75 syllables, "ba" to "zu". */
static char *put_syllable(char *at, unsigned i) {
    *at++ = "bcdfghklmnprstz"[i / 5];
    *at++ = "aeiou"[i % 5];
    return at;
}

/* Piece i of a SentencePiece vocabulary: three control pieces, 256 bytes, letters, words of one, two and three syllables with and
 * without the mark of a space. Returns its length. */
static size_t make_piece(uint32_t i, char out[24], uint8_t *kind) {
    static const char *const control[] = {"<unk>", "<s>", "</s>"};
    static const char space[] = "\xe2\x96\x81";
    *kind = MLLM_TOKEN_NORMAL;
    if (i < 3) {
        *kind = i == 0 ? MLLM_TOKEN_UNKNOWN : MLLM_TOKEN_CONTROL;
        return (size_t)snprintf(out, 24, "%s", control[i]);
    }
    if (i < 259) {
        *kind = MLLM_TOKEN_BYTE;
        return (size_t)snprintf(out, 24, "<0x%02X>", i - 3);
    }
    i -= 259;
    if (i == 0) return (size_t)snprintf(out, 24, "%s", space);
    if (i <= 94) { /* '!' to '~' */
        out[0] = (char)(i + 32);
        out[1] = 0;
        return 1;
    }
    i -= 95;
    char *at = out;
    if (i % 2) at += snprintf(at, 8, "%s", space);
    i /= 2;
    if (i < 75) {
        at = put_syllable(at, i);
    } else if ((i -= 75) < 75 * 75) {
        at = put_syllable(put_syllable(at, i / 75), i % 75);
    } else {
        i -= 75 * 75;
        at = put_syllable(put_syllable(put_syllable(at, i / 75 / 75), i / 75 % 75), i % 75);
    }
    *at = 0;
    return (size_t)(at - out);
}

static mllm_vocab *make_vocabulary(mllm_error *err) {
    char(*texts)[24] = mllm_calloc(VOCABULARY, sizeof *texts);
    const char **pieces = mllm_calloc(VOCABULARY, sizeof *pieces);
    uint32_t *lengths = mllm_calloc(VOCABULARY, sizeof *lengths);
    float *scores = mllm_calloc(VOCABULARY, sizeof *scores);
    uint8_t *kinds = mllm_calloc(VOCABULARY, sizeof *kinds);
    mllm_vocab *vocab = NULL;
    if (texts && pieces && lengths && scores && kinds) {
        for (uint32_t i = 0; i < VOCABULARY; i++) {
            lengths[i] = (uint32_t)make_piece(i, texts[i], &kinds[i]);
            pieces[i] = texts[i];
            scores[i] = i < 259 ? 0 : -(float)(i - 259); /* the earlier piece merges first */
        }
        mllm_vocab_source source = {.where = "a made-up vocabulary",
                                    .family = MLLM_VOCAB_SPM,
                                    .count = VOCABULARY,
                                    .pieces = pieces,
                                    .lengths = lengths,
                                    .scores = scores,
                                    .kinds = kinds,
                                    .space_prefix = true,
                                    .bos = 1,
                                    .eos = 2,
                                    .unknown = 0,
                                    .add_bos = true};
        vocab = mllm_vocab_new(&source, err);
    } else
        mllm_fail_memory(err, (size_t)VOCABULARY * 48, "a made-up vocabulary");
    mllm_free(texts);
    mllm_free(pieces);
    mllm_free(lengths);
    mllm_free(scores);
    mllm_free(kinds);
    return vocab;
}

static mllm_vocab *load_vocabulary(const char *path, mllm_error *err) {
    mllm_vocab *vocab = mllm_vocab_open(path, err);
    if (!vocab || mllm_vocab_size(vocab) <= VOCABULARY) return vocab;
    mllm_fail(err, MLLM_E_ARGUMENT, "%s: %d tokens; the shapes have %d", path, mllm_vocab_size(vocab), VOCABULARY);
    mllm_vocab_free(vocab);
    return NULL;
}

/* ------------------------------------------------------------------ weights */

typedef struct {
    const mllm_blueprint *b;
    mllm_random random;
} filling;

/* The sum of four 16-bit numbers out of one random word is near enough to a normal distribution, and fast. Its deviation is
 * sqrt(4 / 12) of 65536. */
static bool random_row(void *ctx, mllm_role role, uint32_t index, size_t row, float *out) {
    filling *f = ctx;
    (void)index, (void)row;
    size_t cols = mllm_blueprint_shape(f->b, role).cols;
    bool norm = role == MLLM_W_OUTPUT_NORM || role == MLLM_W_ATTENTION_NORM || role == MLLM_W_FFN_NORM;
    for (size_t i = 0; i < cols; i++) {
        if (norm) {
            out[i] = 1;
            continue;
        }
        uint64_t r = mllm_random_next(&f->random);
        int sum = (int)(r & 0xFFFF) + (int)(r >> 16 & 0xFFFF) + (int)(r >> 32 & 0xFFFF) + (int)(r >> 48) - 2 * 65535;
        out[i] = (float)sum * (0.02f / 37837.0f);
    }
    return true;
}

mllm_code mllm_make_random(const char *shape, const char *type, uint64_t seed, const char *tokenizer, const char *path,
                           mllm_error *err) {
    mllm_checkpoint_writing w = {.path = path, .row = random_row};
    mllm_blueprint b = {0};
    mllm_code code = mllm_writable_type(type, &w.type, err);
    if (code == MLLM_OK) code = make_blueprint(shape, &b, err);
    if (code) return code;
    mllm_error own = {0};
    mllm_vocab *vocab = tokenizer ? load_vocabulary(tokenizer, &own) : make_vocabulary(&own);
    if (vocab) {
        filling f = {.b = &b};
        mllm_random_seed(&f.random, seed);
        w.blueprint = &b;
        w.vocab = vocab;
        w.ctx = &f;
        code = mllm_checkpoint_write(&w, err);
    } else
        code = mllm_fail(err, own.code, "%s", own.message);
    mllm_vocab_free(vocab);
    mllm_blueprint_free(&b);
    return code;
}
