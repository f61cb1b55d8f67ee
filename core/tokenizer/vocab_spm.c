/* vocab_spm.c - SentencePiece's model file: a protobuf message, read with a bounded reader of the wire format.
 *
 * Source: sentencepiece_model.proto. ModelProto: 1 pieces (repeated), 2 trainer_spec, 3 normalizer_spec. SentencePiece: 1 piece,
 * 2 score (fixed32), 3 type. TrainerSpec: 3 model_type, 24 treat_whitespace_as_suffix, 35 byte_fallback, 40 unk_id, 41 bos_id, 42 eos_id.
 * NormalizerSpec: 1 name, 2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces. */
#include "../base/alloc.h"
#include "../base/error.h"
#include "../model/blueprint.h"
#include "vocab.h"
#include "vocab_json.h"

typedef struct {
    const uint8_t *at, *end;
} wire;

typedef struct {
    uint64_t number, value; /* varints and fixed32 */
    wire bytes; /* length-delimited */
    unsigned type;
} field;

static bool varint(wire *w, uint64_t *out) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && w->at < w->end; shift += 7) {
        uint8_t b = *w->at++;
        v |= (uint64_t)(b & 0x7F) << shift;
        if (b < 0x80) {
            *out = v;
            return true;
        }
    }
    return false;
}

/* The next field; false when the bytes are not one. */
static bool next_field(wire *w, field *f) {
    uint64_t key, n;
    if (!varint(w, &key)) return false;
    f->number = key >> 3;
    f->type = key & 7;
    f->value = 0;
    f->bytes = (wire){w->at, w->at};
    switch (f->type) {
    case 0: return varint(w, &f->value);
    case 1:
        if (w->end - w->at < 8) return false;
        w->at += 8;
        return true;
    case 2:
        if (!varint(w, &n) || n > (uint64_t)(w->end - w->at)) return false;
        f->bytes = (wire){w->at, w->at + n};
        w->at += n;
        return true;
    case 5: {
        uint32_t v;
        if (w->end - w->at < 4) return false;
        memcpy(&v, w->at, 4);
        f->value = v;
        w->at += 4;
        return true;
    }
    default: return false; /* groups are not in this format */
    }
}

typedef struct {
    const char *path;
    mllm_error *err;
    mllm_vocab_source s;
    const char **pieces;
    uint32_t *lengths;
    float *scores;
    uint8_t *kinds;
    uint64_t model_type;
    bool escape;
} reading;

static mllm_code broken(reading *r, const char *what) {
    return mllm_fail(r->err, MLLM_E_FORMAT, "%s: no SentencePiece model, or cut off: %s", r->path, what);
}

static mllm_code read_piece(reading *r, wire w, size_t i) {
    field f;
    float score = 0;
    uint64_t type = 1;
    r->pieces[i] = "";
    r->lengths[i] = 0;
    while (w.at < w.end) {
        if (!next_field(&w, &f)) return broken(r, "a piece");
        if (f.number == 1 && f.type == 2) {
            if (f.bytes.end - f.bytes.at > 1 << 20) return broken(r, "a piece of more than 1 MiB");
            r->pieces[i] = (const char *)f.bytes.at;
            r->lengths[i] = (uint32_t)(f.bytes.end - f.bytes.at);
        } else if (f.number == 2 && f.type == 5) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&score, &bits, 4);
        } else if (f.number == 3 && f.type == 0)
            type = f.value;
    }
    r->scores[i] = score;
    /* Type: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte: our kinds, counted from 1. */
    if (type < 1 || type > 6)
        return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: piece %zu has type %llu", r->path, i,
                         (unsigned long long)type);
    r->kinds[i] = (uint8_t)(type - 1);
    return MLLM_OK;
}

static mllm_code read_trainer(reading *r, wire w) {
    field f;
    while (w.at < w.end) {
        if (!next_field(&w, &f)) return broken(r, "trainer_spec");
        if (f.type != 0) continue;
        if (f.number == 3) r->model_type = f.value;
        if (f.number == 24 && f.value)
            return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: treat_whitespace_as_suffix", r->path);
        /* Negative numbers are written as 64 bits. */
        if (f.number == 40) r->s.unknown = (mllm_token)(int64_t)f.value;
        if (f.number == 41) r->s.bos = (mllm_token)(int64_t)f.value;
        if (f.number == 42) r->s.eos = (mllm_token)(int64_t)f.value;
    }
    return MLLM_OK;
}

static mllm_code read_normalizer(reading *r, wire w) {
    field f;
    const char *name = "";
    int name_length = 0;
    bool map = false;
    while (w.at < w.end) {
        if (!next_field(&w, &f)) return broken(r, "normalizer_spec");
        if (f.type == 2 && f.number == 1) {
            ptrdiff_t n = f.bytes.end - f.bytes.at;
            name = (const char *)f.bytes.at;
            name_length = n > 64 ? 64 : (int)n;
        }
        if (f.type == 2 && f.number == 2) map = f.bytes.end > f.bytes.at;
        if (f.type == 0 && f.number == 3) r->s.space_prefix = f.value != 0;
        if (f.type == 0 && f.number == 4) r->s.collapse_spaces = f.value != 0;
        if (f.type == 0 && f.number == 5) r->escape = f.value != 0;
    }
    if (map && !(name_length == 8 && memcmp(name, "identity", 8) == 0))
        return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: normalizer \"%.*s\"", r->path, name_length, name);
    return MLLM_OK;
}

static mllm_code read_model(reading *r, wire all) {
    field f;
    size_t n = 0;
    for (wire w = all; w.at < w.end;) {
        if (!next_field(&w, &f)) return broken(r, "the list of pieces");
        n += f.number == 1 && f.type == 2;
    }
    if (n == 0) return broken(r, "no pieces");
    if (n > MLLM_MAX_VOCABULARY) return mllm_fail(r->err, MLLM_E_LIMIT, "%s: %zu pieces", r->path, n);
    r->pieces = mllm_alloc_array(n, sizeof *r->pieces);
    r->lengths = mllm_alloc_array(n, sizeof *r->lengths);
    r->scores = mllm_alloc_array(n, sizeof *r->scores);
    r->kinds = mllm_alloc_array(n, 1);
    if (!r->pieces || !r->lengths || !r->scores || !r->kinds) return mllm_fail_memory(r->err, n * 24, "the pieces");
    size_t i = 0;
    mllm_code code = MLLM_OK;
    for (wire w = all; w.at < w.end && code == MLLM_OK;) {
        next_field(&w, &f);
        if (f.type != 2) continue;
        if (f.number == 1) code = read_piece(r, f.bytes, i++);
        if (f.number == 2) code = read_trainer(r, f.bytes);
        if (f.number == 3) code = read_normalizer(r, f.bytes);
    }
    if (code != MLLM_OK) return code;
    static const char *const types[] = {"?", "unigram", "bpe", "word", "char"};
    if (r->model_type != 2)
        return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: model type \"%s\" (only bpe is known)", r->path,
                         types[r->model_type < 5 ? r->model_type : 0]);
    if (!r->escape) return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: escape_whitespaces is off", r->path);
    r->s.count = n;
    r->s.pieces = r->pieces;
    r->s.lengths = r->lengths;
    r->s.scores = r->scores;
    r->s.kinds = r->kinds;
    return MLLM_OK;
}

/* Tokens that other files add behind the model's own, as Hugging Face folders do. The gaps between are unused tokens. */
static mllm_code add_tokens(reading *r, const mllm_vocab_extras *x) {
    size_t n = r->s.count;
    for (size_t i = 0; i < x->added_count; i++)
        if (x->added[i].id >= 0 && (size_t)x->added[i].id >= n) n = (size_t)x->added[i].id + 1;
    if (n > MLLM_MAX_VOCABULARY) return mllm_fail(r->err, MLLM_E_LIMIT, "%s: a vocabulary of %zu tokens", r->path, n);
    if (n == r->s.count) return MLLM_OK;
    void *p;
    bool ok = (p = mllm_realloc_array(r->pieces, n, sizeof *r->pieces)) != NULL;
    if (ok) r->s.pieces = r->pieces = p;
    ok = ok && (p = mllm_realloc_array(r->lengths, n, sizeof *r->lengths));
    if (ok) r->s.lengths = r->lengths = p;
    ok = ok && (p = mllm_realloc_array(r->scores, n, sizeof *r->scores));
    if (ok) r->s.scores = r->scores = p;
    ok = ok && (p = mllm_realloc_array(r->kinds, n, 1));
    if (ok) r->s.kinds = r->kinds = p;
    if (!ok) return mllm_fail_memory(r->err, n * 24, "the added tokens");
    for (size_t i = r->s.count; i < n; i++) {
        r->pieces[i] = "";
        r->lengths[i] = 0;
        r->scores[i] = 0;
        r->kinds[i] = MLLM_TOKEN_UNUSED;
    }
    for (size_t i = 0; i < x->added_count; i++) {
        const mllm_added_token *a = &x->added[i];
        if (a->id < 0 || (size_t)a->id < r->s.count) continue;
        r->pieces[a->id] = a->content;
        r->lengths[a->id] = a->length;
        r->kinds[a->id] = a->special ? MLLM_TOKEN_CONTROL : MLLM_TOKEN_USER;
    }
    r->s.count = n;
    return MLLM_OK;
}

mllm_vocab *mllm_vocab_from_spm_with(const char *data, size_t length, const char *path, const mllm_vocab_extras *x,
                                     mllm_error *err) {
    /* What is not in the message has the defaults of the .proto file: a unigram model with nmt_nfkc, ids 0, 1, 2. */
    reading r = {.path = path, .err = err, .model_type = 1, .escape = true};
    r.s = (mllm_vocab_source){.where = path,
                              .family = MLLM_VOCAB_SPM,
                              .space_prefix = true,
                              .prefix_each = true,
                              .collapse_spaces = true,
                              .unknown = 0,
                              .bos = 1,
                              .eos = 2,
                              .add_bos = true};
    const uint8_t *bytes = (const uint8_t *)data;
    mllm_vocab *v = NULL;
    mllm_code code = read_model(&r, (wire){bytes, bytes + length});
    if (code == MLLM_OK) code = add_tokens(&r, x);
    if (code == MLLM_OK) {
        mllm_token id;
        if ((id = mllm_vocab_source_find(&r.s, x->bos, x->bos_length)) >= 0) r.s.bos = id;
        if ((id = mllm_vocab_source_find(&r.s, x->eos, x->eos_length)) >= 0) r.s.eos = id;
        if (x->add_bos >= 0) r.s.add_bos = x->add_bos;
        if (x->add_eos >= 0) r.s.add_eos = x->add_eos;
        r.s.ends = x->ends;
        r.s.end_count = x->end_count;
        v = mllm_vocab_new(&r.s, err);
    }
    mllm_free(r.pieces);
    mllm_free(r.lengths);
    mllm_free(r.scores);
    mllm_free(r.kinds);
    return v;
}

mllm_vocab *mllm_vocab_from_spm(const char *data, size_t length, const char *path, mllm_error *err) {
    const mllm_vocab_extras none = MLLM_NO_EXTRAS;
    return mllm_vocab_from_spm_with(data, length, path, &none, err);
}
