/* ops.c - elementwise work between the products. */
#include <math.h>

#include "kernel.h"

void mllm_rms_norm(const float *restrict x, const float *restrict weight, float epsilon, size_t n,
                   float *restrict out) {
    /* Eight partial sums: the order is fixed, and a compiler may keep them in one register. */
    float part[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++) part[j] += x[i + j] * x[i + j];
    for (; i < n; i++) part[i % 8] += x[i] * x[i];
    float sum = ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
    float scale = 1.0f / sqrtf(sum / (float)n + epsilon);
    for (i = 0; i < n; i++) out[i] = x[i] * scale * weight[i];
}

void mllm_swiglu(float *restrict gate, const float *restrict up, size_t n) {
    for (size_t i = 0; i < n; i++) gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

void mllm_rope(float *head, const float *cosine, const float *sine, size_t rope_size, bool interleaved) {
    size_t half = rope_size / 2, step = interleaved ? 2 : 1, distance = interleaved ? 1 : half;
    for (size_t i = 0; i < half; i++) {
        float *a = head + i * step, *b = a + distance;
        float x = *a, y = *b;
        *a = x * cosine[i] - y * sine[i];
        *b = x * sine[i] + y * cosine[i];
    }
}

size_t mllm_attention_scratch(uint32_t head_size) {
    size_t scales = 2 * ((size_t)head_size / 32) * MLLM_KV_CHUNK; /* of keys and of values */
    return (head_size + scales + MLLM_TOGETHER * MLLM_KV_CHUNK) * sizeof(float) + 64;
}

void mllm_store(mllm_type type, const float *row, uint32_t head_size, bool value, void *chunk, uint32_t at) {
    (void)value;
    mllm_quantize_row(type, row, (char *)chunk + at * mllm_row_bytes(type, head_size), head_size);
}

/* One pass with a running maximum (Milakov & Gimelshein 2018, arXiv 1805.02867), a chunk of the cache at a time. */
void mllm_attend(mllm_type type, const mllm_attention *a, const void *keys, const void *values, uint32_t first,
                 uint32_t end, void *scratch) {
    size_t hs = a->head_size, row_bytes = mllm_row_bytes(type, hs);
    float *row = scratch, *score = row + hs;
    for (uint32_t h = 0; h < a->rows * a->heads; h++) {
        const float *q = a->q + h / a->heads * a->q_stride + h % a->heads * hs;
        float *out = a->out + h / a->heads * a->out_stride + h % a->heads * hs, highest = a->max[h];
        for (uint32_t j = first; j < end; j++) {
            mllm_dequantize_row(type, (const char *)keys + j * row_bytes, row, hs);
            float part[8] = {0};
            size_t d = 0;
            for (; d + 8 <= hs; d += 8)
                for (int e = 0; e < 8; e++) part[e] += q[d + e] * row[d + e];
            for (; d < hs; d++) part[d % 8] += q[d] * row[d];
            float dot = ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
            score[j] = dot * a->scale;
            if (score[j] > highest) highest = score[j];
        }
        float keep = a->max[h] == -INFINITY ? 0 : expf(a->max[h] - highest);
        a->sum[h] *= keep;
        for (size_t d = 0; d < hs; d++) out[d] *= keep;
        a->max[h] = highest;
        for (uint32_t j = first; j < end; j++) {
            float weight = expf(score[j] - highest);
            a->sum[h] += weight;
            mllm_dequantize_row(type, (const char *)values + j * row_bytes, row, hs);
            for (size_t d = 0; d < hs; d++) out[d] += weight * row[d];
        }
    }
}
