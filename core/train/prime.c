#include "prime.h"

#include <math.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"

/* Measured on small models over a vocabulary of 2,000 to 4,000: with these a fresh model of width 192 predicts half of the
 * tokens of a text that repeats what stood before. */
static const double embedding_deviation = 0.05;
static const double constant = 0.2; /* dimension 0 of every embedding */
static const double still = 0.006; /* radians per token: slower is "hardly turns" */
static const double position_gain = 10; /* of query and key that find the token before */
static const double match_gain = 2.5; /* of query and key that compare tokens */
static const double previous_gain = 0.15; /* how loud the token before is written */
static const double say_gain = 0.2; /* how loud the found token is written */
enum { MATCHING_BLOCKS = 4, LEAST_STILL = 8, LEAST_POSITION = 2 };

static double normal(uint64_t *state) {
    double u = ((double)(mllm_splitmix(state) >> 11) + 1.0) * 0x1p-53;
    double v = ((double)(mllm_splitmix(state) >> 11) + 1.0) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* count orthonormal vectors [count, width] whose dimension 0 is zero (Gram-Schmidt, twice for accuracy). */
static void orthonormal(double *basis, size_t count, size_t width, uint64_t seed) {
    for (size_t i = 0; i < count; i++) {
        double *v = basis + i * width;
        v[0] = 0;
        for (size_t j = 1; j < width; j++) v[j] = normal(&seed);
        for (int pass = 0; pass < 2; pass++) {
            for (size_t k = 0; k < i; k++) {
                const double *u = basis + k * width;
                double dot = 0;
                for (size_t j = 1; j < width; j++) dot += u[j] * v[j];
                for (size_t j = 1; j < width; j++) v[j] -= dot * u[j];
            }
            double norm = 0;
            for (size_t j = 1; j < width; j++) norm += v[j] * v[j];
            norm = 1 / sqrt(norm);
            for (size_t j = 1; j < width; j++) v[j] *= norm;
        }
    }
}

/* The dimensions of a head: pairs that turn fast enough to tell neighbours apart, and dimensions that hardly turn. */
typedef struct {
    size_t size;
    size_t *first, *second; /* [pairs] of one pair */
    double *angle; /* [pairs] per token */
    size_t pairs;
    size_t *quiet; /* [quiet_count] */
    size_t quiet_count;
} head_dims;

static void sort_dims(head_dims *h, const mllm_blueprint *b) {
    size_t half = b->rope_size / 2;
    h->size = b->head_size;
    h->pairs = h->quiet_count = 0;
    for (size_t i = 0; i < half; i++) {
        double angle = pow(b->rope_base, -(double)i / (double)half);
        size_t one = b->rope_interleaved ? 2 * i : i, two = b->rope_interleaved ? 2 * i + 1 : i + half;
        if (angle < still) {
            h->quiet[h->quiet_count++] = one;
            h->quiet[h->quiet_count++] = two;
        } else {
            h->first[h->pairs] = one, h->second[h->pairs] = two;
            h->angle[h->pairs++] = angle;
        }
    }
    for (size_t i = b->rope_size; i < b->head_size; i++) h->quiet[h->quiet_count++] = i;
}

static void set_row(float *row, const double *vector, double scale, size_t width) {
    for (size_t j = 0; j < width; j++) row[j] = (float)(vector[j] * scale);
}

/* Column `column` of the first head in o[width, heads * head_size]. */
static void set_column(float *o, size_t cols, size_t column, const double *vector, double scale, size_t width) {
    for (size_t j = 0; j < width; j++) o[j * cols + column] = (float)(vector[j] * scale);
}

/* Block `block`: the first head attends to the token before and writes its part `read` as `write`. */
static void previous_token(float *w, const mllm_layout *l, const mllm_blueprint *b, uint32_t block, const head_dims *h,
                           const double *read, const double *write) {
    size_t width = b->width, cols = (size_t)b->heads * b->head_size;
    float *q = w + mllm_layout_at(l, MLLM_W_Q, block), *k = w + mllm_layout_at(l, MLLM_W_K, block);
    float *v = w + mllm_layout_at(l, MLLM_W_V, block), *o = w + mllm_layout_at(l, MLLM_W_O, block);
    /* what dimension 0 is after the norm */
    double rest = embedding_deviation * embedding_deviation * (double)(width - 1);
    double one = constant / sqrt((rest + constant * constant) / (double)width);
    for (size_t i = 0; i < h->size * width; i++) q[i] *= 0.05f, k[i] *= 0.05f;
    for (size_t i = 0; i < h->pairs; i++) { /* the score of a distance d is a sum of cos((d - 1) * angle) */
        q[h->first[i] * width] = (float)(position_gain / one);
        q[h->second[i] * width] = 0;
        k[h->first[i] * width] = (float)(cos(h->angle[i]) * position_gain / one);
        k[h->second[i] * width] = (float)(sin(h->angle[i]) * position_gain / one);
    }
    for (size_t i = 0; i < h->quiet_count; i++) {
        set_row(v + h->quiet[i] * width, read + i * width, 1, width);
        set_column(o, cols, h->quiet[i], write + i * width, previous_gain, width);
    }
}

/* Block `block`: the first head looks for a place before which the current token stands (its part `read`, written there as `written`) and
 * says what stands at the place, as far as `say` [count] shows it. */
static void match(float *w, const mllm_layout *l, const mllm_blueprint *b, uint32_t block, const head_dims *h,
                  const double *read, const double *written, const double *say, size_t count) {
    size_t width = b->width, cols = (size_t)b->heads * b->head_size;
    float *q = w + mllm_layout_at(l, MLLM_W_Q, block), *k = w + mllm_layout_at(l, MLLM_W_K, block);
    float *v = w + mllm_layout_at(l, MLLM_W_V, block), *o = w + mllm_layout_at(l, MLLM_W_O, block);
    memset(q, 0, h->size * width * sizeof *q);
    memset(k, 0, h->size * width * sizeof *k);
    for (size_t i = 0; i < h->quiet_count; i++) {
        set_row(q + h->quiet[i] * width, read + i * width, match_gain, width);
        set_row(k + h->quiet[i] * width, written + i * width, match_gain, width);
    }
    for (size_t i = 0; i < count; i++) {
        set_row(v + i * width, say + i * width, 1, width);
        set_column(o, cols, i, say + i * width, say_gain, width);
    }
}

mllm_code mllm_trainer_prime_copying(mllm_trainer *t, uint64_t seed, mllm_error *err) {
    const mllm_blueprint *b = mllm_trainer_blueprint(t);
    const mllm_layout *l;
    float *w = mllm_trainer_weights(t, &l);
    size_t size = b->head_size, width = b->width;
    if (b->blocks < 2 || !b->steps[0].rope)
        return mllm_fail(err, MLLM_E_UNSUPPORTED, "copying needs two blocks at least, and positions in the first");
    size_t *dims = mllm_alloc_array(4 * size, sizeof *dims);
    double *angles = mllm_alloc_array(size, sizeof *angles);
    size_t vectors = width - 1 < (2 + MATCHING_BLOCKS) * size ? width - 1 : (2 + MATCHING_BLOCKS) * size;
    double *basis = mllm_alloc_array(vectors * width, sizeof *basis);
    mllm_code code = MLLM_OK;
    if (!dims || !angles || !basis) {
        code = mllm_fail_memory(err, vectors * width * sizeof *basis, "directions to copy in");
        goto done;
    }
    head_dims h = {.first = dims, .second = dims + size, .quiet = dims + 2 * size, .angle = angles};
    sort_dims(&h, b);
    if (h.quiet_count < LEAST_STILL || h.pairs < LEAST_POSITION || vectors < 2 * h.quiet_count + size) {
        code = mllm_fail(
            err, MLLM_E_UNSUPPORTED,
            "copying needs %d slow and %d fast rotary dimensions and a width of three heads; here %zu, %zu and %zu",
            LEAST_STILL, 2 * LEAST_POSITION, h.quiet_count, 2 * h.pairs, width);
        goto done;
    }
    orthonormal(basis, vectors, width, seed ^ 0x70726d65u);
    float *embedding = w + mllm_layout_at(l, MLLM_W_EMBEDDING, 0);
    double squares = 0;
    size_t cells = (size_t)b->vocabulary * width;
    for (size_t i = 0; i < cells; i++) squares += (double)embedding[i] * embedding[i];
    float scale = squares > 0 ? (float)(embedding_deviation / sqrt(squares / (double)cells)) : 1;
    for (size_t i = 0; i < cells; i++) embedding[i] *= scale;
    for (size_t i = 0; i < b->vocabulary; i++) embedding[i * width] = (float)constant;
    /* what the heads write is a direction of the embedding: a head of its own has to read it as such */
    if (!b->tied_embedding) memcpy(w + mllm_layout_at(l, MLLM_W_HEAD, 0), embedding, cells * sizeof *embedding);

    const double *read = basis, *written = basis + h.quiet_count * width;
    size_t used = 2 * h.quiet_count;
    previous_token(w, l, b, b->steps[0].block, &h, read, written);
    uint32_t last = b->steps[0].block;
    for (uint32_t s = 1, done = 0; s < b->step_count && done < MATCHING_BLOCKS && used < vectors; s++) {
        if (b->steps[s].block == last) continue;
        last = b->steps[s].block;
        size_t count = vectors - used < size ? vectors - used : size;
        match(w, l, b, last, &h, read, written, basis + used * width, count);
        used += count;
        done++;
    }
done:
    mllm_free(basis);
    mllm_free(angles);
    mllm_free(dims);
    return code;
}
