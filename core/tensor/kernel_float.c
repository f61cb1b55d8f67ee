/* kernel_float.c - products in float arithmetic on the expanded weights.
 *
 *   reference   y[r] = sum over c, eight partial sums in a fixed order. The truth that other kernels are tested against.
 *   blas        the same for single rows; for m >= BATCH rows of a prompt a panel of PANEL weight rows is expanded once and multiplied by
 *               sgemm. A panel always holds the same rows whatever the thread, so the sums are the same. */
#include <string.h>

#include "kernel.h"
#include "matmul.h"

enum { PANEL = 32 };

static bool always(void) {
    return true;
}

static size_t pack_nothing(const mllm_tensor *w) {
    (void)w;
    return 0;
}

static size_t prepared_bytes(size_t cols) {
    return (cols * sizeof(float) + 63) / 64 * 64;
}

static void prepare(const float *x, size_t cols, void *out) {
    memcpy(out, x, cols * sizeof(float));
}

static float dot(const float *restrict a, const float *restrict b, size_t n) {
    float part[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) part[j] += a[i + j] * b[i + j];
    for (; i < n; i++) part[i % 16] += a[i] * b[i];
    for (int width = 8; width; width /= 2)
        for (int j = 0; j < width; j++) part[j] += part[j + width];
    return part[0];
}

static const mllm_floats floats = {mllm_dequantize_row, dot};

static size_t reference_scratch(size_t cols) {
    return prepared_bytes(cols);
}

/* Row r of a matrix: where it lies if it is floats, else expanded to `to`. */
static const float *row_of(const mllm_floats *f, const mllm_tensor *t, size_t r, float *to) {
    const char *row = (const char *)t->data + r * t->row_bytes;
    if (t->type == MLLM_F32 && (uintptr_t)row % sizeof(float) == 0) return (const float *)(const void *)row;
    if (mllm_type_is_packed(t->type))
        mllm_tensor_row(t, r, to);
    else
        f->expand(t->type, row, to, t->cols);
    return to;
}

static void few_rows(const mllm_floats *f, const mllm_matrix *w, size_t from, size_t to, const void *x, size_t x_stride,
                     size_t m, float *y, size_t ldy, bool add, void *scratch) {
    for (size_t r = from; r < to; r++) {
        const float *row = row_of(f, &w->stored, r, scratch);
        for (size_t i = 0; i < m; i++) {
            float v = f->dot(row, (const float *)(const void *)((const char *)x + i * x_stride), w->stored.cols);
            y[i * ldy + r] = add ? y[i * ldy + r] + v : v;
        }
    }
}

static void reference_product(const mllm_matrix *w, size_t from, size_t to, const void *x, size_t x_stride, size_t m,
                              float *y, size_t ldy, bool add, void *scratch) {
    few_rows(&floats, w, from, to, x, x_stride, m, y, ldy, add, scratch);
}

void mllm_float_product_rows(const mllm_floats *f, const mllm_matrix *w, const mllm_token *ids, size_t count,
                             const void *x, float *y, void *scratch) {
    for (size_t k = 0; k < count; k++) y[k] = f->dot(row_of(f, &w->stored, (size_t)ids[k], scratch), x, w->stored.cols);
}

static void product_rows(const mllm_matrix *w, const mllm_token *ids, size_t count, const void *x, float *y,
                         void *scratch) {
    mllm_float_product_rows(&floats, w, ids, count, x, y, scratch);
}

const mllm_kernel mllm_kernel_reference = {
    .name = "reference",
    .grain = 1,
    .available = always,
    .pack_bytes = pack_nothing,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .product = reference_product,
    .scratch_bytes = reference_scratch,
    .product_rows = product_rows,
    .store = mllm_store,
    .attend = mllm_attend,
    .rms_norm = mllm_rms_norm,
    .swiglu = mllm_swiglu,
};

#if MLLM_BLAS
static bool blas_available(void) {
    return true;
}
#else
static bool blas_available(void) {
    return false;
}
#endif

size_t mllm_float_scratch(size_t cols) {
    return PANEL * prepared_bytes(cols);
}

/* sgemm chooses its inner kernel by m, so a result may depend on m in its last bits; few rows keep the order of `f`. */
void mllm_float_product(const mllm_floats *f, const mllm_matrix *w, size_t from, size_t to, const void *x,
                        size_t x_stride, size_t m, float *y, size_t ldy, bool add, void *scratch) {
    enum { BATCH = 17 };
    if (m < BATCH) {
        few_rows(f, w, from, to, x, x_stride, m, y, ldy, add, scratch);
        return;
    }
    size_t cols = w->stored.cols;
    for (size_t r = from; r < to; r += PANEL) {
        size_t n = to - r < PANEL ? to - r : PANEL;
        float *panel = scratch;
        for (size_t i = 0; i < n; i++) {
            float *to_row = panel + i * cols;
            const float *row = row_of(f, &w->stored, r + i, to_row);
            if (row != to_row) memcpy(to_row, row, cols * sizeof *row);
        }
        mllm_matmul_f32(false, true, m, n, cols, 1, x, x_stride / sizeof(float), panel, cols, add ? 1 : 0, y + r, ldy);
    }
}

static void blas_product(const mllm_matrix *w, size_t from, size_t to, const void *x, size_t x_stride, size_t m,
                         float *y, size_t ldy, bool add, void *scratch) {
    mllm_float_product(&floats, w, from, to, x, x_stride, m, y, ldy, add, scratch);
}

const mllm_kernel mllm_kernel_blas = {
    .name = "blas",
    .grain = PANEL,
    .available = blas_available,
    .pack_bytes = pack_nothing,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .product = blas_product,
    .scratch_bytes = mllm_float_scratch,
    .product_rows = product_rows,
    .store = mllm_store,
    .attend = mllm_attend,
    .rms_norm = mllm_rms_norm,
    .swiglu = mllm_swiglu,
};
