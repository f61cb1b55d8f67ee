/* model.c - loading a model: the checkpoint's tensors become what the forward pass reads. */
#include "model.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/file_map.h"
#include "../tensor/packed.h"

/* --------------------------------------------------------------- weights */

static mllm_code own(mllm_model *m, void *ptr, mllm_error *err) {
    if (m->owned_count == m->owned_capacity) {
        size_t capacity = m->owned_capacity ? m->owned_capacity * 2 : 256;
        void **more = mllm_realloc_array(m->owned, capacity, sizeof *more);
        if (!more) {
            mllm_free_aligned(ptr);
            return mllm_fail_memory(err, capacity * sizeof *more, "a model");
        }
        m->owned = more;
        m->owned_capacity = capacity;
    }
    m->owned[m->owned_count++] = ptr;
    return MLLM_OK;
}

static void mix(uint64_t *hash, const void *data, size_t size) { /* FNV-1a */
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++) *hash = (*hash ^ p[i]) * 0x100000001B3u;
}

/* A saved session belongs to weights, not to a path nor to their order in a file: beginnings of the first and the last row of every tensor,
 * packed ones as they were before, tell models apart without reading all of them. */
static void mix_row(mllm_model *m, const mllm_tensor *t, size_t row) {
    enum { MOST = 256 };
    mllm_tensor part = *t;
    part.cols = t->cols < MOST ? t->cols : MOST;
    if (!mllm_type_is_packed(t->type)) {
        mix(&m->fingerprint, (const char *)t->data + row * t->row_bytes, mllm_row_bytes(t->type, part.cols));
        return;
    }
    unsigned char blocks[MOST / MLLM_GROUP * 34];
    part.data = (const char *)t->data + row / MLLM_PANEL * mllm_packed_panel_bytes(t);
    mllm_tensor_unpack_row(&part, row % MLLM_PANEL, blocks);
    mix(&m->fingerprint, blocks, mllm_row_bytes(mllm_type_unpacked(t->type), part.cols));
}

static void mix_tensor(mllm_model *m, const mllm_tensor *t) {
    uint64_t shape[3] = {mllm_type_unpacked(t->type), t->rows, t->cols};
    mix(&m->fingerprint, shape, sizeof shape);
    mix_row(m, t, 0);
    mix_row(m, t, t->rows - 1);
}

/* A line of mllm_model_info.types for each pair of types; should there ever be more pairs than room, the last line takes them. */
static void count_tensor(mllm_model *m, const mllm_tensor *t, mllm_type kept, size_t kept_bytes) {
    const char *stored = mllm_type_facts(t->type)->name, *as = mllm_type_facts(kept)->name;
    size_t i = 0;
    while (i < m->type_count && (m->types[i].stored != stored || m->types[i].kept_as != as)) i++;
    if (i == sizeof m->types / sizeof *m->types) i--;
    if (i == m->type_count) m->types[m->type_count++] = (mllm_model_type){.stored = stored, .kept_as = as};
    m->types[i].tensors++;
    m->types[i].parameters += (uint64_t)t->rows * t->cols;
    m->types[i].stored_bytes += mllm_tensor_bytes(t);
    m->types[i].kept_bytes += kept_bytes;
    m->weight_bytes += mllm_tensor_bytes(t);
}

static mllm_code take_vector(mllm_model *m, mllm_role role, uint32_t index, const float **out, mllm_error *err) {
    mllm_tensor t = mllm_checkpoint_tensor(m->checkpoint, role, index);
    *out = NULL;
    if (!t.data) return MLLM_OK;
    float *v = mllm_alloc_aligned(t.cols * sizeof *v);
    if (!v) return mllm_fail_memory(err, t.cols * sizeof *v, "a vector of weights");
    mllm_tensor_row(&t, 0, v);
    mix_tensor(m, &t);
    count_tensor(m, &t, MLLM_F32, t.cols * sizeof *v);
    *out = v;
    return own(m, v, err);
}

typedef struct {
    const mllm_kernel *kernel;
    mllm_matrix *matrix;
} packing;

static void pack_part(void *ctx, int rank, int size) {
    const packing *p = ctx;
    size_t from, to;
    mllm_team_part(p->matrix->stored.rows, p->kernel->grain, rank, size, &from, &to);
    if (to > from) p->kernel->pack(&p->matrix->stored, p->matrix->packed, from, to);
}

/* Of an embedding that is not the head, too, only rows are read. */
static bool is_multiplied(const mllm_model *m, mllm_role role) {
    return role != MLLM_W_EMBEDDING || m->blueprint->tied_embedding;
}

static void take_matrix(mllm_model *m, mllm_role role, uint32_t index, mllm_matrix *out) {
    *out = (mllm_matrix){.stored = mllm_checkpoint_tensor(m->checkpoint, role, index)};
    if (!out->stored.data) return;
    mix_tensor(m, &out->stored);
    size_t bytes = is_multiplied(m, role) ? m->kernel->pack_bytes(&out->stored) : 0;
    count_tensor(m, &out->stored, bytes ? mllm_packed_type(&out->stored) : out->stored.type,
                 bytes ? bytes : mllm_tensor_bytes(&out->stored));
    if (bytes && mllm_type_is_packed(out->stored.type)) { /* used straight from the map */
        out->packed = (void *)(uintptr_t)out->stored.data;
        return;
    }
    if (bytes == 0) return;
    out->packed = m->arena + m->arena_used;
    out->packed_bytes = bytes;
    m->arena_used += (bytes + 63) / 64 * 64;
    m->packed_bytes += bytes;
    packing p = {m->kernel, out};
    mllm_team_run(m->team, pack_part, &p);
    mllm_file_map_forget(out->stored.data, out->stored.rows * out->stored.row_bytes);
}

/* Packed matrices share one allocation, in pages as large as the system gives: thousands of small ones would take longer to arrive than to fill. */
static mllm_code make_arena(mllm_model *m, mllm_error *err) {
    static const mllm_role roles[] = {MLLM_W_EMBEDDING, MLLM_W_HEAD, MLLM_W_Q,  MLLM_W_K,   MLLM_W_V,
                                      MLLM_W_O,         MLLM_W_GATE, MLLM_W_UP, MLLM_W_DOWN};
    enum { HUGE_PAGE = 2 << 20 };
    size_t size = 0;
    for (size_t r = 0; r < sizeof roles / sizeof *roles; r++) {
        mllm_role_shape shape = mllm_blueprint_shape(m->blueprint, roles[r]);
        for (uint32_t i = 0; shape.rows > 0 && i < shape.count; i++) {
            mllm_tensor t = mllm_checkpoint_tensor(m->checkpoint, roles[r], i);
            if (t.data && !mllm_type_is_packed(t.type) && is_multiplied(m, roles[r]))
                size += (m->kernel->pack_bytes(&t) + 63) / 64 * 64; /* about the file's own size */
        }
    }
    if (size == 0) return MLLM_OK;
    m->arena = mllm_alloc_aligned(size);
    if (!m->arena) return mllm_fail_memory(err, size, "packed weights");
    uintptr_t from = ((uintptr_t)m->arena + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE, to = (uintptr_t)m->arena + size;
    if (to > from + HUGE_PAGE)
        madvise(m->arena + (from - (uintptr_t)m->arena), (to - from) / HUGE_PAGE * HUGE_PAGE,
                MADV_HUGEPAGE); /* advice */
    return MLLM_OK;
}

static mllm_code take_weights(mllm_model *m, mllm_error *err) {
    const mllm_blueprint *b = m->blueprint;
    m->blocks = mllm_calloc(b->blocks, sizeof *m->blocks);
    m->ffns = mllm_calloc(b->ffns, sizeof *m->ffns);
    if (!m->blocks || !m->ffns) return mllm_fail_memory(err, b->blocks * sizeof *m->blocks, "a model");
    m->fingerprint = 0xCBF29CE484222325u;
    mllm_code code = make_arena(m, err);
    if (code != MLLM_OK) return code;
    mllm_matrix embedding;
    take_matrix(m, MLLM_W_EMBEDDING, 0, &embedding);
    m->embedding = embedding.stored;
    if (b->tied_embedding)
        m->head = embedding;
    else
        take_matrix(m, MLLM_W_HEAD, 0, &m->head);
    /* The file's pages need not come back for it. */
    if (embedding.packed && (m->embedding.type == MLLM_Q8_0 || m->embedding.type == MLLM_Q4_0)) {
        m->embedding.type = mllm_packed_type(&embedding.stored);
        m->embedding.data = embedding.packed;
    }
    code = take_vector(m, MLLM_W_OUTPUT_NORM, 0, &m->output_norm, err);
    for (uint32_t i = 0; code == MLLM_OK && i < b->blocks; i++) {
        mllm_block *k = &m->blocks[i];
        const struct {
            mllm_role role;
            mllm_matrix *matrix;
        } matrices[] = {{MLLM_W_Q, &k->q}, {MLLM_W_K, &k->k}, {MLLM_W_V, &k->v}, {MLLM_W_O, &k->o}};
        const struct {
            mllm_role role;
            const float **vector;
        } vectors[] = {{MLLM_W_ATTENTION_NORM, &k->attention_norm},
                       {MLLM_W_FFN_NORM, &k->ffn_norm},
                       {MLLM_W_Q_BIAS, &k->q_bias},
                       {MLLM_W_K_BIAS, &k->k_bias},
                       {MLLM_W_V_BIAS, &k->v_bias},
                       {MLLM_W_O_BIAS, &k->o_bias},
                       {MLLM_W_Q_NORM, &k->q_norm},
                       {MLLM_W_K_NORM, &k->k_norm}};
        for (size_t j = 0; j < sizeof matrices / sizeof *matrices; j++)
            take_matrix(m, matrices[j].role, i, matrices[j].matrix);
        for (size_t j = 0; code == MLLM_OK && j < sizeof vectors / sizeof *vectors; j++)
            code = take_vector(m, vectors[j].role, i, vectors[j].vector, err);
    }
    for (uint32_t i = 0; code == MLLM_OK && i < b->ffns; i++) {
        take_matrix(m, MLLM_W_GATE, i, &m->ffns[i].gate);
        take_matrix(m, MLLM_W_UP, i, &m->ffns[i].up);
        take_matrix(m, MLLM_W_DOWN, i, &m->ffns[i].down);
    }
    m->main_type = b->ffns ? m->ffns[0].down.stored.type : m->embedding.type;
    return code;
}

/* Radians per position of each rotated pair: base^(-2i/rope_size), stretched for long contexts. The formula of Llama 3.1: long waves are
 * divided by the factor, short ones kept, those between blended (transformers, modeling_rope_utils.py). */
static mllm_code make_frequencies(mllm_model *m, mllm_error *err) {
    const mllm_blueprint *b = m->blueprint;
    size_t half = b->rope_size / 2;
    m->frequencies = mllm_alloc_array(half + 1, sizeof *m->frequencies);
    if (!m->frequencies) return mllm_fail_memory(err, half * sizeof *m->frequencies, "rotary frequencies");
    const double turn = 6.283185307179586;
    for (size_t i = 0; i < half; i++) {
        double f = pow((double)b->rope_base, -2.0 * (double)i / (double)b->rope_size);
        if (b->rope_scaling == MLLM_ROPE_LINEAR)
            f /= (double)b->rope_factor;
        else if (b->rope_scaling == MLLM_ROPE_LLAMA3) {
            double turns = (double)b->rope_original_context * f / turn; /* within the original context */
            if (turns < (double)b->rope_low)
                f /= (double)b->rope_factor;
            else if (turns <= (double)b->rope_high) {
                double share = (turns - (double)b->rope_low) / ((double)b->rope_high - (double)b->rope_low);
                f = (1 - share) * f / (double)b->rope_factor + share * f;
            }
        }
        m->frequencies[i] = (float)f;
    }
    return MLLM_OK;
}

/* ------------------------------------------------------------------ life */

static void destroy(mllm_model *m) {
    mllm_team_free(m->team);
    for (size_t i = 0; i < m->owned_count; i++) mllm_free_aligned(m->owned[i]);
    mllm_free(m->owned);
    mllm_free_aligned(m->arena);
    mllm_free(m->frequencies);
    mllm_free(m->blocks);
    mllm_free(m->ffns);
    mllm_checkpoint_close(m->checkpoint);
    mllm_free(m->path);
    mllm_free(m);
}

mllm_model *mllm_model_load(const char *path, const mllm_load_options *options, mllm_error *err) {
    mllm_load_options o = options ? *options : (mllm_load_options){0};
    if (o.threads < 0 || o.threads > 256) {
        mllm_fail(err, MLLM_E_ARGUMENT, "threads = %d: 1 to 256, or 0 for one per core", o.threads);
        return NULL;
    }
    const mllm_kernel *kernel = mllm_kernel_choose(o.kernel, err);
    if (!kernel) return NULL;
    mllm_model *m = mllm_calloc(1, sizeof *m);
    if (!m) {
        mllm_fail_memory(err, sizeof *m, "a model");
        return NULL;
    }
    atomic_init(&m->references, 1);
    m->kernel = kernel;
    mllm_code code = MLLM_OK;
    if (!(m->path = mllm_strndup(path, strlen(path)))) code = mllm_fail_memory(err, strlen(path), "a path");
    if (code == MLLM_OK && !(m->checkpoint = mllm_checkpoint_open(path, o.vocabulary_only, err))) code = MLLM_E_IO;
    if (code == MLLM_OK && !(m->team = mllm_team_new(o.threads ? o.threads : mllm_cpu_cores(), err)))
        code = MLLM_E_MEMORY;
    if (code == MLLM_OK) {
        m->blueprint = mllm_checkpoint_blueprint(m->checkpoint);
        m->has_weights = !o.vocabulary_only;
        if (m->has_weights) code = take_weights(m, err);
        if (code == MLLM_OK && m->has_weights) code = make_frequencies(m, err);
    }
    if (code != MLLM_OK) {
        destroy(m);
        return NULL;
    }
    return m;
}

mllm_model *mllm_model_retain(mllm_model *m) {
    atomic_fetch_add(&m->references, 1);
    return m;
}

void mllm_model_release(mllm_model *m) {
    if (m && atomic_fetch_sub(&m->references, 1) == 1) destroy(m);
}

const mllm_vocab *mllm_model_vocab(const mllm_model *m) {
    return mllm_checkpoint_vocab(m->checkpoint);
}

mllm_model_info mllm_model_get_info(const mllm_model *m) {
    const mllm_blueprint *b = m->blueprint;
    uint64_t most = 0;
    mllm_model_info i = {.path = m->path, .name = b->name, .architecture = b->architecture, .kernel = m->kernel->name};
    i.quantization = m->has_weights ? mllm_type_facts(m->main_type)->name : "none";
    i.chat_template = mllm_checkpoint_chat_template(m->checkpoint);
    i.blocks = (int)b->blocks;
    i.steps = (int)b->step_count;
    i.ffns = (int)b->ffns;
    i.kv_slots = (int)b->kv_slots;
    i.width = (int)b->width;
    i.heads = (int)b->heads;
    i.kv_heads = (int)b->kv_heads;
    i.head_size = (int)b->head_size;
    i.ffn_width = (int)b->ffn_width;
    i.vocabulary = (int)b->vocabulary;
    i.context = (int)b->context;
    i.tied_embedding = b->tied_embedding;
    i.parameters = mllm_blueprint_parameters(b);
    i.weight_bytes = m->weight_bytes;
    i.packed_bytes = m->packed_bytes;
    i.types = m->types;
    i.type_count = m->type_count;
    i.kept_as = "none";
    for (size_t k = 0; k < m->type_count; k++) /* the line of most weights is the matrices' */
        if (strcmp(m->types[k].stored, i.quantization) == 0 && most < m->types[k].parameters) {
            most = m->types[k].parameters;
            i.kept_as = m->types[k].kept_as;
        }
    i.threads = mllm_team_size(m->team);
    return i;
}
