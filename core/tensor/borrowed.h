/* borrowed.h - what a kernel has from another one: functions that call those of LENDER, and their fields of the table (the fields of a
 * table in another file are no constants that this table could name). Included once, after
 *
 *   #define LENDER mllm_kernel_...   a kernel that is available wherever this one is, with the same packed weights and prepared rows */
static void product_rows(const mllm_matrix *w, const mllm_token *ids, size_t count, const void *x, float *y,
                         void *scratch) {
    LENDER.product_rows(w, ids, count, x, y, scratch);
}

static void store(mllm_type type, const float *row, uint32_t head_size, bool value, void *chunk, uint32_t at) {
    LENDER.store(type, row, head_size, value, chunk, at);
}

static void attend(mllm_type type, const mllm_attention *a, const void *keys, const void *values, uint32_t first,
                   uint32_t end, void *scratch) {
    LENDER.attend(type, a, keys, values, first, end, scratch);
}

static void rms_norm(const float *x, const float *weight, float epsilon, size_t n, float *out) {
    LENDER.rms_norm(x, weight, epsilon, n, out);
}

static void swiglu(float *gate, const float *up, size_t n) {
    LENDER.swiglu(gate, up, n);
}

#define BORROWED .product_rows = product_rows, .store = store, .attend = attend, .rms_norm = rms_norm, .swiglu = swiglu
