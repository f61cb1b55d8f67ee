/* kernels_body.h - included by kernels.c once per instruction set, with
 *   WIDTH    numbers in a vector
 *   NAME(x)  x with the set's suffix
 * Vectors are those of GCC and Clang; sums run in WIDTH lanes that are added up at the end. */

typedef real NAME(vec) __attribute__((vector_size(WIDTH * sizeof(real)), aligned(sizeof(real)), may_alias));
#define VEC NAME(vec)
#define LOAD(p) (*(const VEC *)(p))
#define STORE(p, v) (*(VEC *)(p) = (v))

static inline __attribute__((always_inline)) real NAME(lanes)(VEC v) {
    real sum = 0;
    for (int i = 0; i < WIDTH; i++) sum += v[i];
    return sum;
}

#ifdef MLLM_TRAIN_DOUBLE
static inline __attribute__((always_inline)) VEC NAME(vexp)(VEC x) {
    for (int i = 0; i < WIDTH; i++) x[i] = exp(x[i]);
    return x;
}
static inline real NAME(exp1)(real x) {
    return exp(x);
}
#else
typedef int32_t NAME(ivec) __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));
#define IVEC NAME(ivec)

/* e^x: 2^n * e^r with |r| <= ln(2)/2 and the polynomial of Cephes' expf; relative error below 2e-7. x is clamped to the
 * range of normal floats. */
static inline __attribute__((always_inline)) VEC NAME(vexp)(VEC x) {
    const VEC zero = {0};
    const VEC low = zero - 87.0f, high = zero + 88.0f, magic = zero + 12582912.0f;
    IVEC m = x < low;
    x = (VEC)(((IVEC)low & m) | ((IVEC)x & ~m));
    m = x > high;
    x = (VEC)(((IVEC)high & m) | ((IVEC)x & ~m));
    VEC shifted = x * 1.44269504f + magic; /* the integer stands in the low bits */
    VEC n = shifted - magic;
    VEC r = x - n * 0.693359375f + n * 2.12194440e-4f;
    VEC p = zero + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    IVEC exponent = ((IVEC)shifted - (IVEC)magic + 127) << 23;
    return p * (VEC)exponent;
}
static inline real NAME(exp1)(real x) {
    VEC v = {x};
    v = NAME(vexp)(v);
    return v[0];
}
#undef IVEC
#endif

static real NAME(dot)(const real *a, const real *b, size_t n) {
    VEC sum = {0};
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) sum += LOAD(a + i) * LOAD(b + i);
    real s = NAME(lanes)(sum);
    for (; i < n; i++) s += a[i] * b[i];
    return s;
}

static void NAME(add)(real *y, const real *x, size_t n) {
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) STORE(y + i, LOAD(y + i) + LOAD(x + i));
    for (; i < n; i++) y[i] += x[i];
}

static void NAME(rms)(real *out, size_t out_stride, real *inverse, size_t step, const real *x, size_t x_stride,
                      const real *w, size_t rows, size_t n, real eps) {
    for (size_t r = 0; r < rows; r++, out += out_stride, x += x_stride) {
        real scale = 1 / SQRT(NAME(dot)(x, x, n) / (real)n + eps);
        inverse[r * step] = scale;
        size_t i = 0;
        for (; i + WIDTH <= n; i += WIDTH) STORE(out + i, LOAD(x + i) * scale * LOAD(w + i));
        for (; i < n; i++) out[i] = x[i] * scale * w[i];
    }
}

/* y_i = x_i s w_i, s = (mean(x^2) + eps)^-1/2, ds/dx_j = -s^3 x_j / n:
 * dx_j = s w_j dy_j - s^3 x_j / n * sum_i(dy_i w_i x_i). */
static void NAME(rms_back)(real *dx, size_t dx_stride, bool add, real *dw, const real *dy, size_t dy_stride,
                           const real *inverse, size_t step, const real *x, size_t x_stride, const real *w, size_t rows,
                           size_t n) {
    for (size_t r = 0; r < rows; r++, dx += dx_stride, dy += dy_stride, x += x_stride) {
        real s = inverse[r * step];
        VEC sum = {0};
        size_t i = 0;
        for (; i + WIDTH <= n; i += WIDTH) {
            VEC t = LOAD(dy + i) * LOAD(x + i);
            sum += t * LOAD(w + i);
            STORE(dw + i, LOAD(dw + i) + t * s);
        }
        real total = NAME(lanes)(sum);
        for (; i < n; i++) {
            real t = dy[i] * x[i];
            total += t * w[i];
            dw[i] += t * s;
        }
        real c = s * s * s * total / (real)n;
        i = 0;
        if (add) {
            for (; i + WIDTH <= n; i += WIDTH)
                STORE(dx + i, LOAD(dx + i) + (LOAD(dy + i) * LOAD(w + i) * s - LOAD(x + i) * c));
            for (; i < n; i++) dx[i] += dy[i] * w[i] * s - x[i] * c;
        } else {
            for (; i + WIDTH <= n; i += WIDTH) STORE(dx + i, LOAD(dy + i) * LOAD(w + i) * s - LOAD(x + i) * c);
            for (; i < n; i++) dx[i] = dy[i] * w[i] * s - x[i] * c;
        }
    }
}

static void NAME(swiglu)(real *out, const real *gu, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, out += n, gu += 2 * n) {
        size_t i = 0;
        for (; i + WIDTH <= n; i += WIDTH) {
            VEC g = LOAD(gu + i);
            STORE(out + i, g / (1 + NAME(vexp)(-g)) * LOAD(gu + n + i));
        }
        for (; i < n; i++) out[i] = gu[i] / (1 + NAME(exp1)(-gu[i])) * gu[n + i];
    }
}

static void NAME(swiglu_back)(real *out, real *dgu, const real *dout, const real *gu, size_t rows, size_t n) {
    for (size_t r = 0; r < rows; r++, out += n, dout += n, gu += 2 * n, dgu += 2 * n) {
        size_t i = 0;
        for (; i + WIDTH <= n; i += WIDTH) {
            VEC g = LOAD(gu + i), u = LOAD(gu + n + i), d = LOAD(dout + i);
            VEC sigmoid = 1 / (1 + NAME(vexp)(-g)), silu = g * sigmoid;
            STORE(out + i, silu * u);
            STORE(dgu + n + i, d * silu);
            STORE(dgu + i, d * u * (sigmoid + silu * (1 - sigmoid)));
        }
        for (; i < n; i++) {
            real g = gu[i], u = gu[n + i], d = dout[i];
            real sigmoid = 1 / (1 + NAME(exp1)(-g)), silu = g * sigmoid;
            out[i] = silu * u;
            dgu[n + i] = d * silu;
            dgu[i] = d * u * (sigmoid + silu * (1 - sigmoid));
        }
    }
}

static real NAME(largest)(const real *x, size_t n) {
    real best[WIDTH], top = x[0];
    for (int l = 0; l < WIDTH; l++) best[l] = x[0];
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH)
        for (int l = 0; l < WIDTH; l++) best[l] = x[i + (size_t)l] > best[l] ? x[i + (size_t)l] : best[l];
    for (int l = 0; l < WIDTH; l++) top = best[l] > top ? best[l] : top;
    for (; i < n; i++) top = x[i] > top ? x[i] : top;
    return top;
}

/* s = exp(s - shift); returns the sum. */
static real NAME(exp_sum)(real *s, size_t n, real shift) {
    VEC sum = {0};
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        VEC e = NAME(vexp)(LOAD(s + i) - shift);
        STORE(s + i, e);
        sum += e;
    }
    real total = NAME(lanes)(sum);
    for (; i < n; i++) total += s[i] = NAME(exp1)(s[i] - shift);
    return total;
}

static void NAME(exp_minus)(real *s, size_t n, real shift) {
    NAME(exp_sum)(s, n, shift);
}

static void NAME(times)(real *s, size_t n, real x) {
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) STORE(s + i, LOAD(s + i) * x);
    for (; i < n; i++) s[i] *= x;
}

static real NAME(softmax)(real *s, size_t n) {
    real top = NAME(largest)(s, n), total = NAME(exp_sum)(s, n, top);
    NAME(times)(s, n, 1 / total);
    return top + LOG(total);
}

static void NAME(score_back)(real *dp, const real *p, size_t n, real mean, real scale) {
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) STORE(dp + i, LOAD(p + i) * (LOAD(dp + i) - mean) * scale);
    for (; i < n; i++) dp[i] = p[i] * (dp[i] - mean) * scale;
}

static real NAME(cross_entropy)(real *logits, size_t n, size_t target, real weight) {
    real top = NAME(largest)(logits, n), wanted = logits[target];
    real total = NAME(exp_sum)(logits, n, top);
    NAME(times)(logits, n, weight / total);
    logits[target] -= weight;
    return LOG(total) - (wanted - top);
}

static size_t NAME(argmax)(const real *x, size_t n) {
    real top = NAME(largest)(x, n);
    for (size_t i = 0; i < n; i++)
        if (x[i] == top) return i;
    return 0;
}

static void NAME(rope)(real *x, size_t stride, size_t rows, size_t heads, size_t head_size, size_t rope_size,
                       bool interleaved, bool back, const real *cosine, const real *sine, const uint32_t *position) {
    size_t half = rope_size / 2;
    real sign = back ? -1 : 1;
    for (size_t r = 0; r < rows; r++, x += stride) {
        const real *c = cosine + position[r] * half, *s = sine + position[r] * half;
        for (size_t h = 0; h < heads; h++) {
            real *a = x + h * head_size;
            size_t i = 0;
            if (interleaved) {
                for (; i < half; i++) {
                    real p = a[2 * i], q = a[2 * i + 1], t = sign * s[i];
                    a[2 * i] = p * c[i] - q * t;
                    a[2 * i + 1] = p * t + q * c[i];
                }
                continue;
            }
            real *b = a + half;
            for (; i + WIDTH <= half; i += WIDTH) {
                VEC p = LOAD(a + i), q = LOAD(b + i), k = LOAD(c + i), t = LOAD(s + i) * sign;
                STORE(a + i, p * k - q * t);
                STORE(b + i, p * t + q * k);
            }
            for (; i < half; i++) {
                real p = a[i], q = b[i], t = sign * s[i];
                a[i] = p * c[i] - q * t;
                b[i] = p * t + q * c[i];
            }
        }
    }
}

static double NAME(square_sum)(const real *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i += 1024) sum += (double)NAME(dot)(x + i, x + i, n - i < 1024 ? n - i : 1024);
    return sum;
}

static void NAME(adamw)(real *restrict p, real *restrict m, real *restrict v, const real *restrict g, size_t n,
                        real scale, real beta1, real beta2, real rate1, real root2, real epsilon, real shrink) {
    const real keep1 = 1 - beta1, keep2 = 1 - beta2, keep = 1 - shrink;
    size_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH, p += WIDTH, m += WIDTH, v += WIDTH, g += WIDTH)
        for (int l = 0; l < WIDTH; l++) { /* a fixed count, so that compilers make one vector of it */
            real d = g[l] * scale;
            m[l] = beta1 * m[l] + keep1 * d;
            v[l] = beta2 * v[l] + keep2 * d * d;
            p[l] = p[l] * keep - rate1 * m[l] / (SQRT(v[l]) * root2 + epsilon);
        }
    for (; i < n; i++, p++, m++, v++, g++) {
        real d = *g * scale;
        *m = beta1 * *m + keep1 * d;
        *v = beta2 * *v + keep2 * d * d;
        *p = *p * keep - rate1 * *m / (SQRT(*v) * root2 + epsilon);
    }
}

static const mllm_kernels NAME(kernels) = {
    LABEL,           NAME(rms),        NAME(rms_back), NAME(swiglu), NAME(swiglu_back),   NAME(softmax),
    NAME(exp_minus), NAME(score_back), NAME(dot),      NAME(add),    NAME(cross_entropy), NAME(argmax),
    NAME(rope),      NAME(square_sum), NAME(adamw)};

#undef VEC
#undef LOAD
#undef STORE
