/* ops.c - elementwise work between the products. */
#include <math.h>

#include "kernel.h"

void mllm_rms_norm(const float *restrict x, const float *restrict weight, float epsilon, size_t n, float *restrict out) {
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

void mllm_softmax(float *x, size_t n) {
    float max = x[0], sum = 0;
    for (size_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) sum += x[i] = expf(x[i] - max);
    float scale = 1.0f / sum;
    for (size_t i = 0; i < n; i++) x[i] *= scale;
}
