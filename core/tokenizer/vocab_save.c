/* vocab_save.c - a byte-level vocabulary as tokenizer.json, in the form of the `tokenizers` library. What that file has no place
 * for, which added tokens begin and end a text, stands under their key "role", which the library passes over. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/json.h"
#include "vocab.h"
#include "vocab_json.h"

static void put(mllm_buffer *b, const char *s) {
    mllm_buffer_put(b, s, strlen(s));
}

static void put_bool(mllm_buffer *b, const char *before, bool v) {
    put(b, before);
    put(b, v ? "true" : "false");
}

static void put_byte_level(mllm_buffer *b, bool prefix, bool regex) {
    put_bool(b, "{\"type\":\"ByteLevel\",\"add_prefix_space\":", prefix);
    put_bool(b, ",\"trim_offsets\":true,\"use_regex\":", regex);
    put(b, "}");
}

static void put_pre_tokenizer(const mllm_vocab *v, mllm_buffer *b) {
    const char *pattern = v->pre == MLLM_PRE_LLAMA3  ? MLLM_PATTERN_LLAMA3
                          : v->pre == MLLM_PRE_QWEN2 ? MLLM_PATTERN_QWEN2
                                                     : NULL;
    put(b, ",\n\"pre_tokenizer\":");
    if (v->pre == MLLM_PRE_SMOLLM)
        put(b, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true},");
    if (pattern) {
        put(b, "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":");
        mllm_json_put_string(b, pattern, strlen(pattern));
        put(b, "},\"behavior\":\"Isolated\",\"invert\":false},");
    }
    put_byte_level(b, v->space_prefix, v->pre == MLLM_PRE_GPT2 || v->pre == MLLM_PRE_SMOLLM);
    if (pattern || v->pre == MLLM_PRE_SMOLLM) put(b, "]}");
}

static bool put_added(const mllm_vocab *v, mllm_buffer *b) {
    bool first = true;
    put(b, "\"added_tokens\":[");
    for (uint32_t i = 0; i < v->count; i++) {
        mllm_token_kind k = mllm_vocab_kind_of(v, i);
        if (k != MLLM_TOKEN_CONTROL && k != MLLM_TOKEN_USER) continue;
        uint32_t n;
        const char *s = mllm_vocab_spelling(v, i, &n);
        unsigned added = v->added ? v->added[i] : 0;
        put(b, first ? "\n{\"id\":" : ",\n{\"id\":");
        first = false;
        mllm_json_put_integer(b, i);
        put(b, ",\"content\":");
        if (!mllm_json_put_string(b, s, n)) return false;
        put_bool(b, ",\"single_word\":", added & MLLM_ADDED_SINGLE_WORD);
        put_bool(b, ",\"lstrip\":", added & MLLM_ADDED_LSTRIP);
        put_bool(b, ",\"rstrip\":", added & MLLM_ADDED_RSTRIP);
        put_bool(b, ",\"normalized\":false,\"special\":", k == MLLM_TOKEN_CONTROL);
        bool bos = (mllm_token)i == v->bos, eos = (mllm_token)i == v->eos, end = v->kind[i] & MLLM_KIND_END;
        if (bos || end) {
            put(b, bos ? ",\"role\":\"bos" : ",\"role\":\"");
            if (bos && end) put(b, " ");
            if (end) put(b, eos ? "eos" : "end");
            put(b, "\"");
        }
        put(b, "}");
    }
    put(b, "],\n");
    return true;
}

/* The template that puts begin and end tokens around a text. */
static void put_template(const mllm_vocab *v, mllm_buffer *b) {
    const mllm_token ids[2] = {v->add_bos ? v->bos : -1, v->add_eos ? v->eos : -1};
    put(b, ",\n\"post_processor\":");
    if (ids[0] < 0 && ids[1] < 0) {
        put(b, "null");
        return;
    }
    for (int pair = 0; pair < 2; pair++) {
        put(b, pair ? "],\"pair\":[" : "{\"type\":\"TemplateProcessing\",\"single\":[");
        for (int i = 0, items = 0; i < 2 + pair; i++) {
            static const int order[2][3] = {{0, 1, 0}, {0, 0, 1}};
            uint32_t n;
            if (i == 1 || (pair && i == 2)) {
                put(b, items++ ? ",{\"Sequence\":{\"id\":\"" : "{\"Sequence\":{\"id\":\"");
                put(b, i == 1 ? "A\",\"type_id\":0}}" : "B\",\"type_id\":0}}");
            }
            mllm_token id = ids[order[pair][i]];
            if ((i == 0 || i == 1 + pair) && id >= 0) {
                const char *s = mllm_vocab_spelling(v, (uint32_t)id, &n);
                put(b, items++ ? ",{\"SpecialToken\":{\"id\":" : "{\"SpecialToken\":{\"id\":");
                mllm_json_put_string(b, s, n);
                put(b, ",\"type_id\":0}}");
            }
        }
    }
    put(b, "],\"special_tokens\":{");
    for (int i = 0, items = 0; i < 2; i++) {
        if (ids[i] < 0 || (i && ids[1] == ids[0])) continue;
        uint32_t n;
        const char *s = mllm_vocab_spelling(v, (uint32_t)ids[i], &n);
        if (items++) put(b, ",");
        mllm_json_put_string(b, s, n);
        put(b, ":{\"id\":");
        mllm_json_put_string(b, s, n);
        put(b, ",\"ids\":[");
        mllm_json_put_integer(b, ids[i]);
        put(b, "],\"tokens\":[");
        mllm_json_put_string(b, s, n);
        put(b, "]}");
    }
    put(b, "}}");
}

static bool put_model(const mllm_vocab *v, mllm_buffer *b) {
    uint32_t n, m;
    put(b, ",\n\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
           "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false");
    put_bool(b, ",\"ignore_merges\":", v->ignore_merges);
    put(b, ",\n\"vocab\":{");
    for (uint32_t i = 0; i < v->count; i++) {
        const char *s = mllm_vocab_spelling(v, i, &n);
        if (mllm_vocab_kind_of(v, i) == MLLM_TOKEN_UNUSED && n == 0) continue; /* a gap between the ids */
        put(b, i ? ",\n" : "\n");
        if (!mllm_json_put_string(b, s, n)) return false;
        put(b, ":");
        mllm_json_put_integer(b, i);
    }
    put(b, "},\n\"merges\":[");
    for (uint32_t i = 0; i < v->merge_count; i++) {
        const char *left = mllm_vocab_spelling(v, v->merges[i].left, &n),
                   *right = mllm_vocab_spelling(v, v->merges[i].right, &m);
        char *joined = mllm_alloc((size_t)n + m + 1);
        if (!joined) {
            b->failed = true;
            return true;
        }
        memcpy(joined, left, n);
        joined[n] = ' ';
        memcpy(joined + n + 1, right, m);
        put(b, i ? ",\n" : "\n");
        bool ok = mllm_json_put_string(b, joined, (size_t)n + m + 1);
        mllm_free(joined);
        if (!ok) return false;
    }
    put(b, "]}");
    return true;
}

static mllm_code write_file(const char *path, const mllm_buffer *b, mllm_error *err) {
    static atomic_uint number;
    size_t room = strlen(path) + 48;
    char *partial = mllm_alloc(room);
    if (!partial) return mllm_fail_memory(err, room, "a file's name");
    snprintf(partial, room, "%s.part-%ld-%u", path, (long)getpid(), atomic_fetch_add(&number, 1));
    int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), error = errno;
    bool ok = fd >= 0;
    for (size_t at = 0; ok && at < b->length;) {
        ssize_t n = write(fd, b->data + at, b->length - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) error = errno, ok = false;
        if (n > 0) at += (size_t)n;
    }
    if (fd >= 0 && close(fd) != 0 && ok) error = errno, ok = false;
    if (ok && rename(partial, path) != 0) error = errno, ok = false;
    if (!ok && fd >= 0) unlink(partial);
    mllm_free(partial);
    return ok ? MLLM_OK : mllm_fail(err, MLLM_E_IO, "%s: cannot be written: %s", path, strerror(error));
}

mllm_code mllm_vocab_save(const mllm_vocab *v, const char *path, mllm_error *err) {
    if (v->family != MLLM_VOCAB_BPE)
        return mllm_fail(err, MLLM_E_UNSUPPORTED, "%s: only byte-level vocabularies are saved as tokenizer.json", path);
    mllm_buffer b = {0};
    put(&b, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
    bool text = put_added(v, &b);
    put(&b, v->nfc ? "\"normalizer\":{\"type\":\"NFC\"}" : "\"normalizer\":null");
    put_pre_tokenizer(v, &b);
    put_template(v, &b);
    put(&b, ",\n\"decoder\":");
    put_byte_level(&b, v->space_prefix, true);
    text = text && put_model(v, &b);
    put(&b, "}\n");
    mllm_code code = !text      ? mllm_fail(err, MLLM_E_UNSUPPORTED,
                                            "%s: a token's spelling is not UTF-8: JSON has no place for it", path)
                     : b.failed ? mllm_fail_memory(err, b.length, "tokenizer.json")
                                : write_file(path, &b, err);
    mllm_buffer_free(&b);
    return code;
}
