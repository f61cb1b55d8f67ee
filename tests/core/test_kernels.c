/* Every kernel against plain arithmetic in double precision on the dequantized weights: sizes that are no multiple of anything, zeros,
 * denormals, large values; equal bits however the work is cut. */
#include "tensor/kernel.h"

#include <math.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "test.h"

static uint64_t state = 1;

static float uniform(void) { /* in [-1, 1) */
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 33) / 1073741824.0 - 1.0);
}

enum { MOST = 7 };
static int kernels_here(const mllm_kernel **list) {
    static const char *const names[] = {"reference", "blas", "avx2", "avxvnni", "avx512", "amx", "neon", "i8mm"};
    int n = 0;
    for (int i = 0; i < MOST; i++) {
        const mllm_kernel *k = mllm_kernel_choose(names[i], NULL);
        if (k) list[n++] = k;
    }
    return n;
}

typedef struct {
    mllm_matrix w;
    unsigned char *stored;
    float *expanded; /* [rows, cols] */
} matrix;

static matrix make(const mllm_kernel *k, mllm_type type, size_t rows, size_t cols, float size) {
    matrix m = {.w = {.stored = {.type = type, .rows = rows, .cols = cols, .row_bytes = mllm_row_bytes(type, cols)}}};
    m.stored = malloc(rows * m.w.stored.row_bytes);
    m.expanded = malloc(rows * cols * sizeof(float));
    m.w.stored.data = m.stored;
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) m.expanded[r * cols + c] = uniform() * size;
        bool ok = mllm_quantize_row(type, m.expanded + r * cols, m.stored + r * m.w.stored.row_bytes, cols);
        if (!ok) { /* a type that is only read: any bytes are weights, but let the scales be of ordinary size */
            for (size_t b = 0; b < m.w.stored.row_bytes; b++)
                m.stored[r * m.w.stored.row_bytes + b] = (unsigned char)(uniform() * 60 + 60);
        }
        mllm_dequantize_row(type, m.stored + r * m.w.stored.row_bytes, m.expanded + r * cols, cols);
    }
    m.w.packed_bytes = k->pack_bytes(&m.w.stored);
    if (m.w.packed_bytes) {
        m.w.packed = mllm_alloc_aligned(m.w.packed_bytes);
        size_t half = (rows / 2 + k->grain - 1) / k->grain * k->grain;
        if (half > rows) half = rows;
        k->pack(&m.w.stored, m.w.packed, half, rows); /* in two parts, as threads do */
        k->pack(&m.w.stored, m.w.packed, 0, half);
    }
    return m;
}

static void drop(matrix *m) {
    free(m->stored);
    free(m->expanded);
    mllm_free_aligned(m->w.packed);
}

static void check_product(const mllm_kernel *k, mllm_type type, size_t rows, size_t cols, size_t tokens, float size) {
    matrix w = make(k, type, rows, cols, 0.1f);
    size_t stride = k->prepared_bytes(cols), ldy = rows + 3;
    float *x = malloc(tokens * cols * sizeof(float)), *y = malloc(tokens * ldy * sizeof(float)),
          *z = malloc(tokens * ldy * sizeof(float));
    char *prepared = mllm_alloc_aligned(tokens * stride);
    void *scratch = mllm_alloc_aligned(k->scratch_bytes(cols) + 64);
    for (size_t i = 0; i < tokens * cols; i++) x[i] = uniform() * size;
    for (size_t i = 0; i < tokens; i++) k->prepare(x + i * cols, cols, prepared + i * stride);
    for (size_t i = 0; i < tokens * ldy; i++) y[i] = z[i] = 1.0f;
    k->product(&w.w, 0, rows, prepared, stride, tokens, y, ldy, false, scratch);

    double error = 0, norm = 0;
    for (size_t i = 0; i < tokens; i++)
        for (size_t r = 0; r < rows; r++) {
            double exact = 0, ww = 0, xx = 0;
            for (size_t c = 0; c < cols; c++) {
                double a = (double)w.expanded[r * cols + c], b = (double)x[i * cols + c];
                exact += a * b;
                ww += a * a;
                xx += b * b;
            }
            error += (exact - (double)y[i * ldy + r]) * (exact - (double)y[i * ldy + r]);
            norm += ww * xx; /* not exact^2: a sum may cancel */
        }
    bool rounds = k != &mllm_kernel_reference && k != &mllm_kernel_blas && type != MLLM_F32 && type != MLLM_F16 &&
                  type != MLLM_BF16;
    double relative = norm > 0 ? sqrt(error / norm) : sqrt(error);
    CHECK(relative <= (rounds ? 0.005 : 1e-5), " %s %s [%zu x %zu] x %zu of size %g: relative error %g", k->name,
          mllm_type_facts(type)->name, rows, cols, tokens, (double)size, relative);
    for (size_t i = 0; i < tokens; i++) CHECK(y[i * ldy + rows] == 1.0f, " %s wrote past its rows", k->name);

    /* Cut by rows, with addition: the same bits. (sgemm may differ by the number of tokens, never by the cut.) */
    size_t cut = (rows / 3 + k->grain - 1) / k->grain * k->grain;
    if (cut > rows) cut = rows;
    for (size_t i = 0; i < tokens * ldy; i++) z[i] = 0;
    if (cut) k->product(&w.w, 0, cut, prepared, stride, tokens, z, ldy, true, scratch);
    if (cut < rows) k->product(&w.w, cut, rows, prepared, stride, tokens, z, ldy, true, scratch);
    int differ = 0;
    for (size_t i = 0; i < tokens; i++)
        for (size_t r = 0; r < rows; r++)
            differ += y[i * ldy + r] != z[i * ldy + r] && y[i * ldy + r] == y[i * ldy + r];
    CHECK(differ == 0, " %s %s [%zu x %zu] x %zu: %d results depend on the cut", k->name, mllm_type_facts(type)->name,
          rows, cols, tokens, differ);

    /* One token alone, and chosen rows of it. */
    if (w.w.packed || k == &mllm_kernel_reference) {
        size_t last = tokens - 1;
        k->product(&w.w, 0, rows, prepared + last * stride, stride, 1, z, ldy, false, scratch);
        differ = 0;
        for (size_t r = 0; r < rows; r++) differ += y[last * ldy + r] != z[r];
        CHECK(differ == 0, " %s %s [%zu x %zu] x %zu: %d results depend on the number of tokens", k->name,
              mllm_type_facts(type)->name, rows, cols, tokens, differ);
        mllm_token ids[3] = {(mllm_token)(rows - 1), 0, (mllm_token)(rows / 2)};
        float some[3];
        k->product_rows(&w.w, ids, 3, prepared + last * stride, some, scratch);
        for (int j = 0; j < 3; j++) CHECK(some[j] == z[ids[j]], " %s: chosen row %d", k->name, (int)ids[j]);
    }
    drop(&w);
    free(x);
    free(y);
    free(z);
    mllm_free_aligned(prepared);
    mllm_free_aligned(scratch);
}

static void products(void) {
    static const mllm_type types[] = {MLLM_F32, MLLM_F16, MLLM_BF16, MLLM_Q8_0, MLLM_Q4_0};
    static const size_t shapes[][3] = {{1, 32, 1},  {7, 64, 2},    {16, 96, 3},    {33, 160, 9}, {50, 288, 17},
                                       {64, 32, 8}, {100, 576, 5}, {129, 224, 31}, {17, 32, 64}};
    const mllm_kernel *list[MOST];
    int n = kernels_here(list);
    for (int k = 0; k < n; k++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
                check_product(list[k], types[t], shapes[s][0], shapes[s][1], shapes[s][2], 1.0f);
}

static void odd_columns(void) { /* only the float types have rows that no block divides */
    const mllm_kernel *list[MOST];
    int n = kernels_here(list);
    for (int k = 0; k < n; k++)
        for (size_t cols = 1; cols < 40; cols += 6) check_product(list[k], MLLM_F32, 19, cols, 10, 1.0f);
}

static void extreme_sizes(void) {
    const mllm_kernel *list[MOST];
    int n = kernels_here(list);
    for (int k = 0; k < n; k++) {
        check_product(list[k], MLLM_Q8_0, 40, 64, 9, 0.0f);
        check_product(list[k], MLLM_Q8_0, 40, 64, 9, 1e30f);
        check_product(list[k], MLLM_Q4_0, 40, 64, 9, 1e-30f);
        check_product(list[k], MLLM_F16, 40, 64, 9, 1e30f);
        /* Denormal activations may vanish, but nothing may become infinite or undefined. */
        matrix w = make(list[k], MLLM_Q8_0, 16, 32, 0.1f);
        float x[32], y[16];
        for (int i = 0; i < 32; i++) x[i] = 1e-40f;
        void *prepared = mllm_alloc_aligned(list[k]->prepared_bytes(32)),
             *scratch = mllm_alloc_aligned(list[k]->scratch_bytes(32) + 64);
        list[k]->prepare(x, 32, prepared);
        list[k]->product(&w.w, 0, 16, prepared, 64, 1, y, 16, false, scratch);
        for (int i = 0; i < 16; i++) CHECK(fabsf(y[i]) < 1e-30f, " %s on denormals: %g", list[k]->name, (double)y[i]);
        drop(&w);
        mllm_free_aligned(prepared);
        mllm_free_aligned(scratch);
    }
}

/* Types that are only read are rounded to eight bits when a kernel packs them: the error stays that of eight bits. */
static void converted_types(void) {
    static const mllm_type types[] = {MLLM_Q4_1, MLLM_Q5_0, MLLM_Q5_1, MLLM_IQ4_NL};
    const mllm_kernel *list[MOST];
    int n = kernels_here(list);
    for (int k = 0; k < n; k++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) check_product(list[k], types[t], 20, 256, 3, 1.0f);
}

static void elementwise(void) {
    const mllm_kernel *list[MOST];
    int n = kernels_here(list);
    for (int k = 0; k < n; k++)
        for (size_t size = 1; size < 70; size += 7) {
            float x[80], w[80], y[80], g[80];
            double sum = 0;
            for (size_t i = 0; i < size; i++) {
                x[i] = uniform() * 30;
                w[i] = uniform();
                g[i] = x[i];
                sum += (double)x[i] * (double)x[i];
            }
            list[k]->rms_norm(x, w, 1e-5f, size, y);
            for (size_t i = 0; i < size; i++) {
                double exact = (double)x[i] / sqrt(sum / (double)size + 1e-5) * (double)w[i];
                CHECK(fabs(exact - (double)y[i]) < 1e-5, " %s rms_norm %g for %g", list[k]->name, (double)y[i], exact);
            }
            if (size > 4) g[0] = 200, g[1] = -200, g[2] = -90, g[3] = 0;
            memcpy(y, g, sizeof g);
            list[k]->swiglu(g, w, size);
            for (size_t i = 0; i < size; i++) {
                double exact = (double)y[i] / (1 + exp(-(double)y[i])) * (double)w[i];
                CHECK(fabs(exact - (double)g[i]) <= 1e-6 + 1e-6 * fabs(exact), " %s swiglu(%g) = %g for %g",
                      list[k]->name, (double)y[i], (double)g[i], exact);
            }
        }
}

static void attention(void) {
    static const mllm_type types[] = {MLLM_F32, MLLM_F16, MLLM_Q8_0};
    static const uint32_t sizes[] = {32, 64, 96, 112, 128};
    const mllm_kernel *list[MOST];
    int n = kernels_here(list);
    enum { POSITIONS = 150, FIRST = 5 };
    for (int k = 0; k < n; k++)
        for (int t = 0; t < 3; t++)
            for (int z = 0; z < 5; z++)
                for (uint32_t heads = 1; heads < 8; heads += 2) {
                    uint32_t hs = sizes[z];
                    if (mllm_row_bytes(types[t], hs) == 0) continue; /* no multiple of a block */
                    size_t chunk_bytes = mllm_row_bytes(types[t], hs) * MLLM_KV_CHUNK, chunks = (POSITIONS + 63) / 64;
                    char *keys = mllm_alloc_aligned(chunk_bytes * chunks),
                         *values = mllm_alloc_aligned(chunk_bytes * chunks);
                    memset(keys, 0xFF,
                           chunk_bytes * chunks); /* what was not written is not a number: it must never count */
                    memset(values, 0xFF, chunk_bytes * chunks);
                    float *rows = malloc(2 * POSITIONS * hs * sizeof(float)), q[8 * 128], out[8 * 128] = {0}, max[8],
                          sum[8] = {0};
                    for (size_t p = 0; p < POSITIONS; p++)
                        for (int v = 0; v < 2; v++) {
                            float *row = rows + ((size_t)v * POSITIONS + p) * hs;
                            for (uint32_t d = 0; d < hs; d++) row[d] = uniform() * 2;
                            list[k]->store(types[t], row, hs, v == 1, (v ? values : keys) + p / 64 * chunk_bytes,
                                           p % 64);
                        }
                    for (uint32_t d = 0; d < heads * hs; d++) q[d] = uniform() * 2;
                    for (uint32_t h = 0; h < heads; h++) max[h] = -INFINITY;
                    mllm_attention a = {.q = q,
                                        .out = out,
                                        .max = max,
                                        .sum = sum,
                                        .rows = 1,
                                        .heads = heads,
                                        .head_size = hs,
                                        .scale = 0.125f};
                    void *scratch = mllm_alloc_aligned(mllm_attention_scratch(hs));
                    for (uint32_t c = 0; c < chunks; c++) {
                        uint32_t end = POSITIONS - c * 64 < 64 ? POSITIONS - c * 64 : 64;
                        list[k]->attend(types[t], &a, keys + c * chunk_bytes, values + c * chunk_bytes,
                                        c == 0 ? FIRST : 0, end, scratch);
                    }
                    double worst = 0;
                    for (uint32_t h = 0; h < heads; h++) {
                        double w[POSITIONS], total = 0, top = -1e300;
                        for (int p = FIRST; p < POSITIONS; p++) {
                            w[p] = 0;
                            for (uint32_t d = 0; d < hs; d++)
                                w[p] += (double)q[h * hs + d] * (double)rows[(size_t)p * hs + d] * 0.125;
                            top = w[p] > top ? w[p] : top;
                        }
                        for (int p = FIRST; p < POSITIONS; p++) total += w[p] = exp(w[p] - top);
                        for (uint32_t d = 0; d < hs; d++) {
                            double exact = 0;
                            for (int p = FIRST; p < POSITIONS; p++)
                                exact += w[p] / total * (double)rows[(POSITIONS + (size_t)p) * hs + d];
                            double e = fabs(exact - (double)(out[h * hs + d] / sum[h]));
                            worst = e > worst || e != e ? e : worst;
                        }
                    }
                    CHECK(worst < (types[t] == MLLM_F32   ? 1e-5
                                   : types[t] == MLLM_F16 ? 3e-3
                                                          : 5e-2),
                          " %s %s heads %u size %u: %g", list[k]->name, mllm_type_facts(types[t])->name, heads, hs,
                          worst);
                    mllm_free_aligned(keys);
                    mllm_free_aligned(values);
                    mllm_free_aligned(scratch);
                    free(rows);
                }
}

/* Rows that come together get the bits that each gets alone, whatever their number leaves over. */
static void attention_of_rows(void) {
    static const mllm_type types[] = {MLLM_F32, MLLM_F16, MLLM_Q8_0};
    const mllm_kernel *list[MOST];
    int n = kernels_here(list);
    enum { ROWS = 5, HEADS = 4, SIZE = 64, STRIDE = HEADS * SIZE + 9, CHUNKS = 2 };
    for (int k = 0; k < n; k++)
        for (int t = 0; t < 3; t++)
            for (uint32_t heads = 1; heads <= HEADS; heads++) {
                size_t chunk_bytes = mllm_row_bytes(types[t], SIZE) * MLLM_KV_CHUNK;
                char *keys = mllm_alloc_aligned(chunk_bytes * CHUNKS),
                     *values = mllm_alloc_aligned(chunk_bytes * CHUNKS);
                float row[SIZE], q[ROWS * STRIDE], out[2][ROWS * STRIDE], max[2][ROWS * HEADS], sum[2][ROWS * HEADS];
                for (uint32_t p = 0; p < CHUNKS * MLLM_KV_CHUNK; p++)
                    for (int v = 0; v < 2; v++) {
                        for (int d = 0; d < SIZE; d++) row[d] = uniform() * 2;
                        list[k]->store(types[t], row, SIZE, v, (v ? values : keys) + p / 64 * chunk_bytes, p % 64);
                    }
                for (int d = 0; d < ROWS * STRIDE; d++) q[d] = uniform() * 2, out[0][d] = out[1][d] = 0;
                for (uint32_t h = 0; h < ROWS * heads; h++)
                    max[0][h] = max[1][h] = -INFINITY, sum[0][h] = sum[1][h] = 0;
                void *scratch = mllm_alloc_aligned(mllm_attention_scratch(SIZE));
                for (uint32_t c = 0; c < CHUNKS; c++)
                    for (uint32_t r = 0; r <= ROWS; r++) { /* each alone, then all together */
                        bool all = r == ROWS;
                        mllm_attention a = {.q = all ? q : q + r * STRIDE,
                                            .out = all ? out[1] : out[0] + r * STRIDE,
                                            .max = all ? max[1] : max[0] + r * heads,
                                            .sum = all ? sum[1] : sum[0] + r * heads,
                                            .q_stride = STRIDE,
                                            .out_stride = STRIDE,
                                            .rows = all ? ROWS : 1,
                                            .heads = heads,
                                            .head_size = SIZE,
                                            .scale = 0.125f};
                        list[k]->attend(types[t], &a, keys + c * chunk_bytes, values + c * chunk_bytes, c ? 0 : 3,
                                        c ? 50 : 64, scratch);
                    }
                CHECK(out[0][0] != 0);
                CHECK(memcmp(out[0], out[1], sizeof out[0]) == 0 &&
                          memcmp(max[0], max[1], ROWS * heads * sizeof(float)) == 0 &&
                          memcmp(sum[0], sum[1], ROWS * heads * sizeof(float)) == 0,
                      " %s %s heads %u: rows together differ", list[k]->name, mllm_type_facts(types[t])->name, heads);
                mllm_free_aligned(keys);
                mllm_free_aligned(values);
                mllm_free_aligned(scratch);
            }
}

static void choice(void) {
    mllm_error err = {0};
    CHECK(mllm_kernel_choose(NULL, &err) && mllm_kernel_choose("auto", &err) == mllm_kernel_choose(NULL, &err));
    CHECK(mllm_kernel_choose("reference", &err) == &mllm_kernel_reference);
    CHECK(!mllm_kernel_choose("fast", &err) && err.code == MLLM_E_ARGUMENT && strstr(err.message, "fast"));
#if defined(__x86_64__)
    CHECK(!mllm_kernel_choose("neon", &err) && err.code == MLLM_E_UNSUPPORTED && strstr(err.message, "neon"));
    if (mllm_cpu_features()->avx512_vnni) CHECK(mllm_kernel_choose("avx512", &err));
#endif
}

static const test_case tests[] = {{"products", products},
                                  {"odd_columns", odd_columns},
                                  {"extreme_sizes", extreme_sizes},
                                  {"converted_types", converted_types},
                                  {"elementwise", elementwise},
                                  {"attention", attention},
                                  {"attention_of_rows", attention_of_rows},
                                  {"choice", choice}};
TEST_MAIN(tests)
