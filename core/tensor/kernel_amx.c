/* kernel_amx.c - prompts on AMX tiles in bfloat16; everything else as on AVX-512.
 *
 * For FEW tokens and more, 32 rows of packed weights at a time are expanded to bfloat16 (scales multiplied in) and stay in the L2
 * cache while all tokens pass over them:
 *
 *   C[16 tokens, 16 rows] += A[16 tokens, 32 columns] B[32 columns, 16 rows]      tdpbf16ps, sums in float
 *
 *   A tile   16 prepared rows, 64 bytes of each: columns 32g .. 32g+31 in bfloat16
 *   B tile   16 tile rows of 64 bytes, tile row j: for each of 16 weight rows the columns 32g + 2j, 32g + 2j + 1
 *
 * Two by two C tiles share their A and B. Activations keep 8 bits of fraction here and 8-bit integers per group of 32 on the other path, so
 * a result depends in its last digits on whether its token came with FEW others; never on the cut of the rows or on the threads.
 *
 * Tile registers must be asked for (cpu.c) and are configured and released by each call, so that the host sees none of it. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <pthread.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/cpu.h"
#include "packed.h"

#define LENDER mllm_kernel_avx512
#include "borrowed.h"

#ifndef MLLM_AMX_EMULATED /* a test replaces the tile instructions, to check all the rest on processors without them */
#define TARGET __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16")))
static bool tiles_work(void);
static bool works;

static void try_tiles(void) {
    works = tiles_work();
}

static bool available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!mllm_cpu_features()->amx_bf16 || !mllm_cpu_features()->avx512_bf16 || !mllm_kernel_avx512.available())
        return false;
    pthread_once(&once, try_tiles);
    return works;
}
#endif

enum { FEW = 32, PAIR = 2 * MLLM_PANEL, TILE_BYTES = 16 * 64 };

/* The operand of ldtilecfg: palette 1, eight tiles of 16 rows of 64 bytes. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

TARGET static void configure(void) {
    tile_config c;
    memset(&c, 0, sizeof c);
    c.palette = 1;
    for (int i = 0; i < 8; i++) c.row_bytes[i] = 64, c.rows[i] = 16;
    _tile_loadconfig(&c);
}

/* One group of one panel -> one B tile. Four columns lie in each lane's bytes: each becomes a vector of floats, scaled, and two neighbours
 * are rounded and interleaved. */
TARGET static void expand_group(const unsigned char *group, bool four, uint16_t *tile) {
    const __m512i byte = _mm512_set1_epi32(255), nibbles = _mm512_set1_epi8(15);
    const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                                6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const unsigned char *halves = group + (four ? MLLM_P4_SCALES : MLLM_P8_SCALES);
    __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)halves));
    __m512 offset = _mm512_mul_ps(scale, _mm512_set1_ps(four ? -8.0f : -128.0f));
    for (int s = 0; s < 8; s++) {
        __m512i v = _mm512_loadu_si512(group + 64 * (four ? s % 4 : s));
        if (four) v = _mm512_and_si512(s < 4 ? v : _mm512_srli_epi16(v, 4), nibbles);
        __m512 w[4];
        for (int j = 0; j < 4; j++) {
            __m512i whole = _mm512_and_si512(_mm512_srli_epi32(v, 8u * (unsigned)j), byte);
            w[j] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale, offset);
        }
        for (int j = 0; j < 2; j++) {
            __m512bh two = _mm512_cvtne2ps_pbh(w[2 * j + 1], w[2 * j]); /* low half: the first column */
            __m512i bits;
            memcpy(&bits, &two, sizeof bits);
            _mm512_storeu_si512(tile + (2 * s + j) * 32, _mm512_permutexvar_epi16(interleave, bits));
        }
    }
}

/* Adds or copies a C tile: token t's 16 sums to y[t * ldy], `rows` of them, `tokens` of 16. */
TARGET static void put_tile(const float *c, float *y, size_t ldy, size_t tokens, size_t rows, bool add) {
    __mmask16 mask = rows >= MLLM_PANEL ? (__mmask16)0xFFFF : (__mmask16)((1u << rows) - 1);
    for (size_t t = 0; t < tokens; t++) {
        __m512 v = _mm512_loadu_ps(c + 16 * t);
        if (add) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, y + t * ldy));
        _mm512_mask_storeu_ps(y + t * ldy, mask, v);
    }
}

static size_t bf16_offset(size_t cols) {
    return mllm_prepared_layout(cols).total;
}

static size_t prepared_bytes(size_t cols) {
    return bf16_offset(cols) + (2 * cols + 63) / 64 * 64;
}

TARGET static void prepare(const float *x, size_t cols, void *out) {
    mllm_kernel_avx512.prepare(x, cols, out);
    char *to = (char *)out + bf16_offset(cols);
    for (size_t c = 0; c + 32 <= cols; c += 32) {
        __m512bh two = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + c + 16), _mm512_loadu_ps(x + c));
        memcpy(to + 2 * c, &two, 64);
    }
}

/* Scratch: B tiles of two panels, two blocks of 16 tokens where fewer are left, four C tiles. */
static size_t scratch_bytes(size_t cols) {
    size_t tiles = (cols / MLLM_GROUP + 1) * TILE_BYTES, need = 4 * tiles + 4 * TILE_BYTES,
           floats = mllm_float_scratch(cols);
    return need > floats ? need : floats;
}

TARGET static void product(const mllm_matrix *w, size_t from, size_t to, const void *x, size_t x_stride, size_t m,
                           float *y, size_t ldy, bool add, void *scratch) {
    if (m < FEW || !w->packed) {
        mllm_kernel_avx512.product(w, from, to, x, x_stride, m, y, ldy, add, scratch);
        return;
    }
    size_t cols = w->stored.cols, groups = cols / MLLM_GROUP, panel_bytes = mllm_packed_panel_bytes(&w->stored);
    bool four = mllm_packed_is_p4(&w->stored);
    size_t group_bytes = four ? MLLM_P4_BYTES : MLLM_P8_BYTES;
    char *b[2] = {scratch, (char *)scratch + groups * TILE_BYTES}, *rest[2];
    rest[0] = b[1] + groups * TILE_BYTES;
    rest[1] = rest[0] + groups * TILE_BYTES;
    float *c = (float *)(void *)(rest[1] + groups * TILE_BYTES);
    size_t row_bytes = 2 * groups * MLLM_GROUP;
    configure();
    for (size_t r = from; r < to; r += PAIR) {
        int panels = to - r > MLLM_PANEL ? 2 : 1;
        for (int k = 0; k < panels; k++) {
            const unsigned char *panel = (const unsigned char *)w->packed + (r / MLLM_PANEL + (size_t)k) * panel_bytes;
            for (size_t g = 0; g < groups; g++)
                expand_group(panel + g * group_bytes, four, (uint16_t *)(void *)(b[k] + g * TILE_BYTES));
        }
        /* With one panel the second pair of tiles repeats the first, and nothing of it is stored. */
        const char *b0 = b[0], *b1 = b[panels - 1];
        for (size_t i = 0; i < m; i += 32) {
            const char *a[2];
            size_t stride[2], left[2];
            for (int k = 0; k < 2; k++) {
                size_t first = i + 16 * (size_t)k;
                left[k] = first >= m ? 0 : m - first < 16 ? m - first : 16;
                a[k] = (const char *)x + first * x_stride + bf16_offset(cols);
                stride[k] = x_stride;
                if (left[k] == 16) continue;
                memset(rest[k], 0, 16 * row_bytes);
                for (size_t t = 0; t < left[k]; t++) memcpy(rest[k] + t * row_bytes, a[k] + t * x_stride, row_bytes);
                a[k] = rest[k];
                stride[k] = row_bytes;
            }
            _tile_zero(0);
            _tile_zero(1);
            _tile_zero(2);
            _tile_zero(3);
            for (size_t g = 0; g < groups; g++) {
                _tile_loadd(4, a[0] + 64 * g, stride[0]);
                _tile_loadd(6, b0 + TILE_BYTES * g, 64);
                _tile_loadd(7, b1 + TILE_BYTES * g, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                _tile_loadd(5, a[1] + 64 * g, stride[1]);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_stored(0, c, 64);
            _tile_stored(1, c + 256, 64);
            _tile_stored(2, c + 512, 64);
            _tile_stored(3, c + 768, 64);
            for (size_t k = 0; k < 2; k++)
                for (size_t p = 0; p < (size_t)panels; p++) {
                    size_t row = r + MLLM_PANEL * p;
                    if (left[k])
                        put_tile(c + 512 * k + 256 * p, y + (i + 16 * k) * ldy + row, ldy, left[k], to - row, add);
                }
        }
    }
    _tile_release();
}

/* A virtual machine may report tiles that its host does not run as it should. One small product, computed both ways, tells: 40 tokens,
 * 32 rows of 64 columns whose values are exact in bfloat16 and in eight bits. */
static bool tiles_work(void) {
    enum { TOKENS = 40, COLUMNS = 64, BLOCKS = COLUMNS / MLLM_GROUP };
    _Alignas(64) unsigned char packed[2 * BLOCKS * MLLM_P8_BYTES], rows[PAIR][BLOCKS * 34];
    mllm_matrix w = {
        .stored = {.type = MLLM_Q8_0, .rows = PAIR, .cols = COLUMNS, .row_bytes = BLOCKS * 34, .data = rows},
        .packed = packed};
    size_t stride = prepared_bytes(COLUMNS), bytes = TOKENS * stride + scratch_bytes(COLUMNS);
    char *memory = mllm_alloc_aligned(bytes);
    if (!memory) return false;
    for (size_t r = 0; r < PAIR; r++)
        for (size_t b = 0; b < BLOCKS; b++) {
            unsigned char *block = rows[r] + 34 * b;
            block[0] = 0, block[1] = 0x3C; /* scale 1.0 */
            for (size_t c = 0; c < 32; c++) block[2 + c] = (unsigned char)((r * 7 + c * 5 + b) % 31);
        }
    mllm_packed_fill(&w.stored, packed, 0, PAIR);
    for (size_t t = 0; t < TOKENS; t++) {
        float x[COLUMNS];
        for (size_t c = 0; c < COLUMNS; c++) x[c] = c % MLLM_GROUP == 0 ? 127.0f : (float)((t * 3 + t / 16 + c) % 16);
        prepare(x, COLUMNS, memory + t * stride);
    }
    float y[TOKENS * PAIR], z[TOKENS * PAIR];
    product(&w, 0, PAIR, memory, stride, TOKENS, y, PAIR, false, memory + TOKENS * stride);
    mllm_kernel_avx512.product(&w, 0, PAIR, memory, stride, TOKENS, z, PAIR, false, memory + TOKENS * stride);
    mllm_free_aligned(memory);
    for (size_t i = 0; i < TOKENS * PAIR; i++)
        if (!(y[i] - z[i] < 1e-3f * (1 + z[i]) && z[i] - y[i] < 1e-3f * (1 + z[i]))) return false;
    return true;
}

static void pack(const mllm_tensor *w, void *packed, size_t from, size_t to) {
    mllm_kernel_avx512.pack(w, packed, from, to);
}

const mllm_kernel mllm_kernel_amx = {
    .name = "amx",
    .grain = PAIR,
    .available = available,
    .pack_bytes = mllm_packed_bytes,
    .pack = pack,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .product = product,
    .scratch_bytes = scratch_bytes,
    BORROWED,
};
#endif
