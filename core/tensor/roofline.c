#include "roofline.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../base/alloc.h"
#include "../base/cpu.h"
#include "../base/error.h"
#include "../base/random.h"
#include "../base/team.h"
#include "kernel.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ------------------------------------------------------------------ memory */

typedef struct {
    char *data;
    size_t bytes, rounds;
    bool fill;
    volatile uint64_t sink; /* so that what was read counts */
} reading;

typedef uint64_t lanes __attribute__((vector_size(32)));

/* Four sums at once, so that loads do not wait for additions. */
#define SUM                                                                                                            \
    const lanes *p = (const lanes *)(const void *)from;                                                                \
    lanes a = {0}, b = {0}, c = {0}, d = {0};                                                                          \
    for (size_t i = 0; i < bytes / sizeof(lanes); i += 4) a += p[i], b += p[i + 1], c += p[i + 2], d += p[i + 3];      \
    a += b + c + d;                                                                                                    \
    return a[0] + a[1] + a[2] + a[3];

static uint64_t sum_plain(const char *from, size_t bytes) {
    SUM
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t sum_wide(const char *from, size_t bytes) {
    SUM
}
#endif

static void read_part(void *ctx, int rank, int size) {
    reading *r = ctx;
    size_t from, to;
    mllm_team_part(r->bytes, 4 * sizeof(lanes), rank, size, &from, &to);
    if (r->fill) {
        memset(r->data + from, rank + 1, to - from);
        return;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < r->rounds; i++)
#if defined(__x86_64__)
        if (mllm_cpu_features()->avx2)
            sum += sum_wide(r->data + from, to - from);
        else
#endif
            sum += sum_plain(r->data + from, to - from);
    if (sum == 1) r->sink = sum; /* never, and nobody knows */
}

mllm_code mllm_roofline_read(int threads, size_t bytes, size_t count, double *rates, mllm_error *err) {
    enum { HUGE_PAGE = 2 << 20, LEAST = 16 << 20 };
    const size_t unit = 4 * sizeof(lanes);
    reading r = {.bytes = (bytes < unit ? 1 : bytes / unit) * unit};
    mllm_team *team = mllm_team_new(threads, err);
    if (!team) return MLLM_E_MEMORY;
    char *buffer = r.bytes < SIZE_MAX - HUGE_PAGE ? mllm_alloc_aligned(r.bytes + HUGE_PAGE) : NULL;
    if (!buffer) {
        mllm_team_free(team);
        return mllm_fail_memory(err, r.bytes, "a buffer to read");
    }
    /* Large pages as a model's matrices have them: otherwise it is the page tables that are measured. */
    r.data = buffer + (HUGE_PAGE - (uintptr_t)buffer % HUGE_PAGE) % HUGE_PAGE;
    if (r.bytes >= HUGE_PAGE) madvise(r.data, r.bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* advice */
    /* A small buffer is over before the clock has ticked often. */
    r.rounds = r.bytes < LEAST ? LEAST / r.bytes : 1;
    r.fill = true;
    mllm_team_run(team, read_part, &r);
    r.fill = false;
    mllm_team_run(team, read_part, &r);
    for (size_t i = 0; i < count; i++) {
        double start = now();
        mllm_team_run(team, read_part, &r);
        rates[i] = (double)r.bytes * (double)r.rounds / (now() - start);
    }
    mllm_free_aligned(buffer);
    mllm_team_free(team);
    return MLLM_OK;
}

/* ---------------------------------------------------------------- products */

typedef struct {
    const mllm_kernel *kernel;
    mllm_matrix w;
    size_t rows, tokens, stride, scratch_bytes, rounds;
    char *x, *scratch;
    float *y;
    int threads;
} multiplying;

/* Every part of the rows, again and again, as if each belonged to a thread of its own: a thread's part stays in its cache. */
static void multiply(void *ctx, int rank, int size) {
    multiplying *m = ctx;
    for (int part = rank; part < m->threads; part += size)
        for (size_t k = 0; k < m->rounds; k++)
            m->kernel->product(&m->w, (size_t)part * m->rows, (size_t)(part + 1) * m->rows, m->x, m->stride, m->tokens,
                               m->y, m->w.stored.rows, false, m->scratch + (size_t)rank * m->scratch_bytes);
}

static bool fill_weights(char *data, const mllm_tensor *t, float *row) {
    mllm_random random;
    mllm_random_seed(&random, 1);
    for (size_t r = 0; r < t->rows; r++) {
        for (size_t c = 0; c < t->cols; c++) row[c] = (float)(mllm_random_uniform(&random) - 0.5) * 0.1f;
        if (!mllm_quantize_row(t->type, row, data + r * t->row_bytes, t->cols)) return false;
    }
    return true;
}

/* Allocates and fills everything; what was allocated is freed by the caller in any case. */
static mllm_code prepare(multiplying *m, const mllm_roofline_work *work, char **data, float **row, mllm_error *err) {
    const mllm_kernel *k = m->kernel;
    mllm_tensor *t = &m->w.stored;
    m->stride = k->prepared_bytes(t->cols);
    m->scratch_bytes = (k->scratch_bytes(t->cols) + 63) / 64 * 64;
    *data = mllm_alloc_aligned(t->rows * t->row_bytes);
    *row = mllm_alloc_array(t->cols, sizeof **row);
    m->x = mllm_alloc_aligned(m->tokens * m->stride);
    m->y = mllm_alloc_aligned(m->tokens * t->rows * sizeof *m->y);
    m->scratch = mllm_alloc_aligned((size_t)m->threads * m->scratch_bytes);
    if (!*data || !*row || !m->x || !m->y || !m->scratch)
        return mllm_fail_memory(err, t->rows * t->row_bytes, "weights to multiply");
    t->data = *data;
    if (!fill_weights(*data, t, *row))
        return mllm_fail(err, MLLM_E_ARGUMENT, "rows of %zu weights cannot be rounded to type %d", t->cols,
                         (int)t->type);
    m->w.packed_bytes = k->pack_bytes(t);
    if (m->w.packed_bytes) {
        m->w.packed = mllm_alloc_aligned(m->w.packed_bytes);
        if (!m->w.packed) return mllm_fail_memory(err, m->w.packed_bytes, "weights to multiply");
        k->pack(t, m->w.packed, 0, t->rows);
    }
    for (size_t i = 0; i < work->tokens; i++) {
        for (size_t c = 0; c < t->cols; c++) (*row)[c] = (float)((i * 31 + c * 7) % 101) / 50.0f - 1;
        k->prepare(*row, t->cols, m->x + i * m->stride);
    }
    return MLLM_OK;
}

mllm_code mllm_roofline_product(const mllm_roofline_work *work, size_t count, double *rates, mllm_error *err) {
    enum { MOST = 1 << 16 };
    const double enough = 0.01; /* seconds of a measurement */
    multiplying m = {.kernel = mllm_kernel_choose(work->kernel, err), .threads = work->threads, .tokens = work->tokens};
    if (!m.kernel) return err ? err->code : MLLM_E_ARGUMENT;
    size_t row_bytes = mllm_row_bytes(work->type, work->cols);
    if (!row_bytes || !work->rows || !work->tokens || work->rows > MOST || work->cols > MOST || work->tokens > MOST ||
        work->threads < 1 || work->threads > 1024)
        return mllm_fail(err, MLLM_E_ARGUMENT, "%zu rows of %zu weights times %zu tokens: not a product to measure",
                         work->rows, work->cols, work->tokens);
    m.rows = (work->rows + m.kernel->grain - 1) / m.kernel->grain * m.kernel->grain;
    m.w.stored = (mllm_tensor){work->type, m.rows * (size_t)work->threads, work->cols, row_bytes, NULL};
    char *data = NULL;
    float *row = NULL;
    mllm_team *team = mllm_team_new(work->threads, err);
    mllm_code code = team ? prepare(&m, work, &data, &row, err) : MLLM_E_MEMORY;
    if (code == MLLM_OK) {
        double start, seconds;
        m.rounds = 1;
        mllm_team_run(team, multiply, &m);
        do {
            start = now();
            mllm_team_run(team, multiply, &m);
            seconds = now() - start;
            if (seconds < enough) m.rounds *= 2;
        } while (seconds < enough);
        for (size_t i = 0; i < count; i++) {
            start = now();
            mllm_team_run(team, multiply, &m);
            rates[i] = 2.0 * (double)m.w.stored.rows * (double)work->cols * (double)work->tokens * (double)m.rounds /
                       (now() - start);
        }
    }
    mllm_free_aligned(data);
    mllm_free(row);
    mllm_free_aligned(m.w.packed);
    mllm_free_aligned(m.x);
    mllm_free_aligned(m.y);
    mllm_free_aligned(m.scratch);
    mllm_team_free(team);
    return code;
}
