/* product_bf16.c - products of bfloat16 by AVX512_BF16 (vdpbf16ps), or by AMX tiles (tdpbf16ps) where the processor has them.
 *
 * Blocks: op(B)'s block of NC columns stays in the second cache while blocks of MC rows of op(A) pass by; two panels of B (32 KB) stay
 * in the first. A panel of B is made as a B tile wants it, and A's rows in pairs are A tiles, so both ways share the packing; tiles want
 * zeros up to the next 16 pairs. The two differ in the order of sums, so in the last digits. */
#include "product.h"

#include "../base/cpu.h"
#include "../tensor/kernel.h"

enum { LANES = 16, MR = 8, MC = 512, NC = 1024, KC = 512, PAIRS = KC / 2 };

size_t mllm_product_words(void) {
    return (size_t)(MC + NC) * PAIRS;
}

#if defined(__x86_64__)

#include <immintrin.h>

/* Arrays of vectors only live in registers when their loops are unrolled. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

#ifndef MLLM_AMX_EMULATED /* a test replaces the tile instructions */
#define AMX __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

static bool use_tiles(void) {
    return mllm_kernel_amx.available(); /* asked, granted and found to work */
}
#endif

bool mllm_product_has_bf16(void) {
    return mllm_cpu_features()->avx512_bf16;
}

/* A panel holds LANES rows of a matrix X[rows, k]: word p * LANES + r is the pair (X[r, 2p], X[r, 2p + 1]) in bfloat16. Rows
 * and numbers beyond the matrix are zero. */

BF16 static inline __m512i pairs_of(__m512 low, __m512 high) { /* 32 numbers in order */
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* 16 x 16 words, rows to columns. */
BF16 static inline void transpose(__m512i r[LANES]) {
    __m512i t[LANES];
    UNROLL
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    /* Now r[4 g + c] holds, in 128-bit lane l, column 4 l + c of rows 4 g .. 4 g + 3. */
    UNROLL
    for (int c = 0; c < 4; c++) {
        __m512i a = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88), b = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88);
        __m512i d = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xDD), e = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xDD);
        t[c] = _mm512_shuffle_i32x4(a, b, 0x88);
        t[8 + c] = _mm512_shuffle_i32x4(a, b, 0xDD);
        t[4 + c] = _mm512_shuffle_i32x4(d, e, 0x88);
        t[12 + c] = _mm512_shuffle_i32x4(d, e, 0xDD);
    }
    UNROLL
    for (int i = 0; i < 16; i++) r[i] = t[i];
}

/* Panels of X whose rows are contiguous along k. */
BF16 static void pack_rows(uint32_t *to, const float *x, size_t ld, size_t rows, size_t k, size_t pairs) {
    for (size_t r0 = 0; r0 < rows; r0 += LANES, to += pairs * LANES) {
        size_t count = rows - r0 < LANES ? rows - r0 : LANES;
        for (size_t p = 0; p < pairs; p += LANES) {
            size_t left = k - 2 * p;
            __mmask16 low = left >= 16 ? 0xFFFF : (__mmask16)((1u << left) - 1);
            __mmask16 high = left >= 32 ? 0xFFFF : left <= 16 ? 0 : (__mmask16)((1u << (left - 16)) - 1);
            __m512i w[LANES];
            UNROLL
            for (size_t r = 0; r < LANES; r++) {
                const float *row = x + (r0 + (r < count ? r : 0)) * ld + 2 * p;
                w[r] = r < count ? pairs_of(_mm512_maskz_loadu_ps(low, row), _mm512_maskz_loadu_ps(high, row + 16))
                                 : _mm512_setzero_si512();
            }
            transpose(w);
            size_t n = pairs - p < LANES ? pairs - p : LANES;
            for (size_t i = 0; i < n; i++) _mm512_store_si512(to + (p + i) * LANES, w[i]);
        }
    }
}

/* Words of a row in pack_plain: whole vectors. */
static size_t plain_stride(size_t k) {
    return ((k + 1) / 2 + LANES - 1) / LANES * LANES;
}

/* X[rows, k], contiguous along k, rounded and otherwise as it is; rows up to a multiple of LANES are zero. What is only read one number
 * at a time needs no panels. */
BF16 static void pack_plain(uint32_t *to, const float *x, size_t ld, size_t rows, size_t k) {
    size_t stride = plain_stride(k);
    for (size_t r = 0; r < (rows + LANES - 1) / LANES * LANES; r++, to += stride) {
        const float *row = x + r * ld;
        size_t i = 0;
        if (r < rows)
            for (; i + 32 <= k; i += 32)
                _mm512_store_si512(to + i / 2, pairs_of(_mm512_loadu_ps(row + i), _mm512_loadu_ps(row + i + 16)));
        for (; i < 2 * stride; i += 32) {
            size_t left = r < rows ? k - i : 0;
            __mmask16 low = left >= 16 ? 0xFFFF : (__mmask16)((1u << left) - 1);
            __mmask16 high = left <= 16 ? 0 : (__mmask16)((1u << (left - 16)) - 1);
            __m512 a = low ? _mm512_maskz_loadu_ps(low, row + i) : _mm512_setzero_ps();
            __m512 b = high ? _mm512_maskz_loadu_ps(high, row + i + 16) : _mm512_setzero_ps();
            _mm512_store_si512(to + i / 2, pairs_of(a, b));
        }
    }
}

/* a0 .. a15 b0 .. b15 -> a0 b0 a1 b1 ... */
BF16 static inline __m512i zip_order(void) {
    return _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                            19, 3, 18, 2, 17, 1, 16, 0);
}

/* Pair p of LANES rows of X that is stored as [k, rows]; x points to the first of these rows. */
BF16 static inline __m512i column_pair(const float *x, size_t ld, size_t p, size_t k, __mmask16 mask, __m512i zip) {
    const float *row = x + 2 * p * ld;
    __m512 a = 2 * p < k ? _mm512_maskz_loadu_ps(mask, row) : _mm512_setzero_ps();
    __m512 b = 2 * p + 1 < k ? _mm512_maskz_loadu_ps(mask, row + ld) : _mm512_setzero_ps();
    return _mm512_permutexvar_epi16(zip, pairs_of(a, b));
}

static __mmask16 mask_of(size_t from, size_t n) {
    return n >= from + LANES ? 0xFFFF : n <= from ? 0 : (__mmask16)((1u << (n - from)) - 1);
}

/* Panels of X that is stored as [k, rows]. */
BF16 static void pack_columns(uint32_t *to, const float *x, size_t ld, size_t rows, size_t k, size_t pairs) {
    const __m512i zip = zip_order();
    for (size_t r0 = 0; r0 < rows; r0 += LANES, to += pairs * LANES) {
        __mmask16 mask = mask_of(r0, rows);
        for (size_t p = 0; p < pairs; p++) _mm512_store_si512(to + p * LANES, column_pair(x + r0, ld, p, k, mask, zip));
    }
}

/* As pack_plain, of X that is stored as [k, rows]. */
BF16 static void pack_plain_columns(uint32_t *to, const float *x, size_t ld, size_t rows, size_t k) {
    const __m512i zip = zip_order();
    size_t stride = plain_stride(k);
    for (size_t r0 = 0; r0 < rows; r0 += LANES, to += LANES * stride) {
        __mmask16 mask = mask_of(r0, rows);
        for (size_t p = 0; p < stride; p += LANES) {
            __m512i w[LANES];
            UNROLL
            for (size_t i = 0; i < LANES; i++) w[i] = column_pair(x + r0, ld, p + i, k, mask, zip);
            transpose(w);
            UNROLL
            for (size_t r = 0; r < LANES; r++) _mm512_store_si512(to + r * stride + p, w[r]);
        }
    }
}

/* C[rows <= MR, columns <= 2 LANES] from MR rows of A and two panels of B. Pair p of row i of A is a[i * row_step + p * pair_step]. */
BF16 static inline __attribute__((always_inline)) void tile(const uint32_t *a, size_t row_step, size_t pair_step,
                                                            const uint32_t *b0, const uint32_t *b1, size_t pairs,
                                                            float alpha, float beta, float *c, size_t ldc, size_t rows,
                                                            __mmask16 mask0, __mmask16 mask1) {
    __m512 s0[MR], s1[MR];
    UNROLL
    for (int i = 0; i < MR; i++) s0[i] = s1[i] = _mm512_setzero_ps();
    for (size_t p = 0; p < pairs; p++, a += pair_step, b0 += LANES, b1 += LANES) {
        __m512bh x0 = (__m512bh)_mm512_load_si512(b0), x1 = (__m512bh)_mm512_load_si512(b1);
        UNROLL
        for (int i = 0; i < MR; i++) {
            __m512bh y = (__m512bh)_mm512_set1_epi32((int)a[(size_t)i * row_step]);
            s0[i] = _mm512_dpbf16_ps(s0[i], y, x0);
            s1[i] = _mm512_dpbf16_ps(s1[i], y, x1);
        }
    }
    const __m512 scale = _mm512_set1_ps(alpha), keep = _mm512_set1_ps(beta);
    UNROLL
    for (int i = 0; i < MR; i++) {
        if ((size_t)i >= rows) break;
        float *row = c + (size_t)i * ldc;
        __m512 x0 = _mm512_mul_ps(s0[i], scale), x1 = _mm512_mul_ps(s1[i], scale);
        if (beta != 0) {
            x0 = _mm512_fmadd_ps(keep, _mm512_maskz_loadu_ps(mask0, row), x0);
            x1 = _mm512_fmadd_ps(keep, _mm512_maskz_loadu_ps(mask1, row + LANES), x1);
        }
        _mm512_mask_storeu_ps(row, mask0, x0);
        _mm512_mask_storeu_ps(row + LANES, mask1, x1);
    }
}

/* All of C[mc, nc] from packed A (in panels, or plain) and packed B. */
BF16 static void block(const uint32_t *pa, bool plain, const uint32_t *pb, size_t mc, size_t nc, size_t kc, float alpha,
                       float beta, float *c, size_t ldc) {
    size_t pairs = (kc + 1) / 2, stride = plain_stride(kc);
    for (size_t j = 0; j < nc; j += 2 * LANES) {
        const uint32_t *b0 = pb + j * pairs, *b1 = j + LANES < nc ? b0 + pairs * LANES : b0;
        __mmask16 mask0 = mask_of(j, nc), mask1 = mask_of(j + LANES, nc);
        for (size_t i = 0; i < mc; i += MR) {
            float *to = c + i * ldc + j;
            if (plain)
                tile(pa + i * stride, stride, 1, b0, b1, pairs, alpha, beta, to, ldc, mc - i, mask0, mask1);
            else
                tile(pa + i / LANES * LANES * pairs + i % LANES, 1, LANES, b0, b1, pairs, alpha, beta, to, ldc, mc - i,
                     mask0, mask1);
        }
    }
}

/* The operand of ldtilecfg: palette 1, eight tiles of 16 rows of 64 bytes. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

AMX static void configure_tiles(void) {
    tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) c.row_bytes[i] = 64, c.rows[i] = 16;
    _tile_loadconfig(&c);
}

/* C[rows, columns of mask] = alpha * tile + beta * C */
AMX static void put_tile(const float *tile, float alpha, float beta, float *c, size_t ldc, size_t rows,
                         __mmask16 mask) {
    const __m512 scale = _mm512_set1_ps(alpha), keep = _mm512_set1_ps(beta);
    for (size_t r = 0; r < rows && r < LANES; r++, c += ldc, tile += LANES) {
        __m512 x = _mm512_mul_ps(_mm512_load_ps(tile), scale);
        if (beta != 0) x = _mm512_fmadd_ps(keep, _mm512_maskz_loadu_ps(mask, c), x);
        _mm512_mask_storeu_ps(c, mask, x);
    }
}

/* As block(), by tiles: 0 .. 3 are two by two of C, 4 and 5 of A, 6 and 7 of B. Whole tiles of C are summed where they stand. */
AMX static void block_tiles(const uint32_t *pa, const uint32_t *pb, size_t mc, size_t nc, size_t kc, float alpha,
                            float beta, float *c, size_t ldc) {
    _Alignas(64) float sums[4][LANES * LANES];
    size_t pairs = plain_stride(kc), row = pairs * sizeof *pa, c_row = ldc * sizeof *c;
    for (size_t j = 0; j < nc; j += 2 * LANES) {
        const uint32_t *b0 = pb + j * pairs, *b1 = j + LANES < nc ? b0 + pairs * LANES : b0;
        for (size_t i = 0; i < mc; i += 2 * LANES) {
            const uint32_t *a0 = pa + i * pairs, *a1 = i + LANES < mc ? a0 + LANES * pairs : a0;
            float *to = c + i * ldc + j;
            bool whole = mc - i >= 2 * LANES && nc - j >= 2 * LANES && alpha == 1 && (beta == 0 || beta == 1);
            if (whole && beta == 1) {
                _tile_loadd(0, to, c_row);
                _tile_loadd(1, to + LANES, c_row);
                _tile_loadd(2, to + LANES * ldc, c_row);
                _tile_loadd(3, to + LANES * ldc + LANES, c_row);
            } else {
                _tile_zero(0);
                _tile_zero(1);
                _tile_zero(2);
                _tile_zero(3);
            }
            for (size_t p = 0; p < pairs; p += LANES) {
                _tile_loadd(4, a0 + p, row);
                _tile_loadd(6, b0 + p * LANES, 64);
                _tile_loadd(7, b1 + p * LANES, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                _tile_loadd(5, a1 + p, row);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            if (whole) {
                _tile_stored(0, to, c_row);
                _tile_stored(1, to + LANES, c_row);
                _tile_stored(2, to + LANES * ldc, c_row);
                _tile_stored(3, to + LANES * ldc + LANES, c_row);
                continue;
            }
            _tile_stored(0, sums[0], 64);
            _tile_stored(1, sums[1], 64);
            _tile_stored(2, sums[2], 64);
            _tile_stored(3, sums[3], 64);
            for (size_t s = 0; s < 4; s++) {
                size_t down = s / 2 * LANES, right = s % 2 * LANES;
                if (i + down < mc && j + right < nc)
                    put_tile(sums[s], alpha, beta, to + down * ldc + right, ldc, mc - i - down, mask_of(j + right, nc));
            }
        }
    }
}

AMX static void release_tiles(void) {
    _tile_release();
}

void mllm_product_bf16(uint32_t *panels, bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a,
                       size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc) {
    uint32_t *pa = panels, *pb = panels + (size_t)MC * PAIRS;
    bool tiles = use_tiles();
    if (tiles) configure_tiles();
    for (size_t k0 = 0; k0 < k; k0 += KC) {
        size_t kc = k - k0 < KC ? k - k0 : KC, pairs = tiles ? plain_stride(kc) : (kc + 1) / 2;
        float keep = k0 == 0 ? beta : 1;
        for (size_t n0 = 0; n0 < n; n0 += NC) {
            size_t nc = n - n0 < NC ? n - n0 : NC;
            if (tb)
                pack_rows(pb, b + n0 * ldb + k0, ldb, nc, kc, pairs);
            else
                pack_columns(pb, b + k0 * ldb + n0, ldb, nc, kc, pairs);
            for (size_t m0 = 0; m0 < m; m0 += MC) {
                size_t mc = m - m0 < MC ? m - m0 : MC;
                float *to = c + m0 * ldc + n0;
                if (!ta)
                    pack_plain(pa, a + m0 * lda + k0, lda, mc, kc);
                else if (tiles)
                    pack_plain_columns(pa, a + k0 * lda + m0, lda, mc, kc);
                else
                    pack_columns(pa, a + k0 * lda + m0, lda, mc, kc, pairs);
                if (tiles)
                    block_tiles(pa, pb, mc, nc, kc, alpha, keep, to, ldc);
                else
                    block(pa, !ta, pb, mc, nc, kc, alpha, keep, to, ldc);
            }
        }
    }
    if (tiles) release_tiles();
}

#else

bool mllm_product_has_bf16(void) {
    return false;
}

void mllm_product_bf16(uint32_t *panels, bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a,
                       size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc) {
    (void)panels, (void)ta, (void)tb, (void)m, (void)n, (void)k, (void)alpha, (void)a, (void)lda, (void)b, (void)ldb,
        (void)beta, (void)c, (void)ldc;
}

#endif
