/* vocab_cases.h - what the tokenizer's tests share: reading files, rows of text and ids, comparing. */
#ifndef VOCAB_CASES_H
#define VOCAB_CASES_H

#include "base/json.h"
#include "test.h"
#include "tokenizer/vocab_source.h"

/* A whole file, terminated; free() it. NULL when it is not there. */
static inline char *read_file(const char *path, size_t *length) {
    *length = 0;
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *s = malloc((size_t)n + 1);
    *length = fread(s, 1, (size_t)n, f);
    s[*length] = 0;
    fclose(f);
    return s;
}

static inline mllm_vocab *vocab_of_gguf(const char *path) {
    mllm_error err = {0};
    mllm_gguf *g = mllm_gguf_open(path, &err);
    CHECK(g, "%s", err.message);
    mllm_vocab *v = g ? mllm_vocab_from_gguf(g, path, &err) : NULL;
    CHECK(v, "%s", err.message);
    mllm_gguf_close(g);
    return v;
}

static inline void print_ids(const mllm_token *ids, size_t n) {
    for (size_t i = 0; i < n && i < 60; i++) fprintf(stderr, " %d", ids[i]);
    fputc('\n', stderr);
}

/* Tokenizes text[length] and compares with ids[count]; returns whether they are equal. */
static inline bool same_ids(const mllm_vocab *v, const char *text, size_t length, unsigned flags, const mllm_token *ids,
                            size_t count) {
    size_t room = 3 * length + 64; /* normalization may make a text longer */
    mllm_token *got = malloc(room * sizeof *got);
    size_t n = mllm_tokenize(v, text, length, flags, got, room);
    bool same = n == count && memcmp(got, ids, n * sizeof *ids) == 0;
    if (!same) {
        fprintf(stderr, "\"%.*s\": expected", (int)(length < 300 ? length : 300), text);
        print_ids(ids, count);
        fprintf(stderr, "  got");
        print_ids(got, n < room ? n : room);
    }
    free(got);
    return same;
}

/* The text of ids, at once and token by token; NULL when the two differ. free() it. */
static inline char *text_of(const mllm_vocab *v, const mllm_token *ids, size_t count, unsigned flags, size_t *length) {
    *length = mllm_detokenize(v, ids, count, flags, NULL, 0);
    char *text = malloc(*length + 1);
    mllm_detokenize(v, ids, count, flags, text, *length + 1);
    char *piece = malloc(mllm_vocab_longest(v)), *again = malloc(*length + mllm_vocab_longest(v));
    size_t n = 0;
    bool room = true;
    mllm_detokenizer d;
    mllm_detokenizer_init(&d, v, flags);
    for (size_t i = 0; i <= count && room; i++) {
        size_t k = mllm_detokenizer_push(&d, i < count ? ids[i] : -1, piece, mllm_vocab_longest(v));
        room = k <= mllm_vocab_longest(v) && n + k <= *length;
        if (room) memcpy(again + n, piece, k);
        n += k;
    }
    bool same = room && n == *length && memcmp(text, again, n) == 0;
    free(piece);
    free(again);
    if (same) return text;
    free(text);
    return NULL;
}

/* Reads the array of integers at `node`; free() it. */
static inline mllm_token *json_ids(const mllm_json *doc, uint32_t node, size_t *count) {
    *count = doc->nodes[node].count;
    mllm_token *ids = malloc((*count + 1) * sizeof *ids);
    uint32_t at = node + 1;
    for (size_t i = 0; i < *count; i++, at = doc->nodes[at].next) ids[i] = (mllm_token)doc->nodes[at].as.integer;
    return ids;
}

/* Every row {text, ids, decoded, flags} of a JSON array: the same ids, and the same text back. Returns the number of rows. */
static inline size_t check_rows(const mllm_vocab *v, const char *path, unsigned flags) {
    size_t length, n = 0;
    char *text = read_file(path, &length);
    CHECK(text, "%s", path);
    if (!text) return 0;
    mllm_json doc;
    mllm_error err = {0};
    if (mllm_json_parse(&doc, text, length, 0, &err) != MLLM_OK) {
        CHECK(0, "%s: %s", path, err.message);
        free(text);
        return 0;
    }
    uint32_t row = 1;
    for (n = 0; n < doc.nodes[0].count; n++, row = doc.nodes[row].next) {
        const mllm_json_node *t = &doc.nodes[mllm_json_get(&doc, row, "text")];
        const mllm_json_node *d = &doc.nodes[mllm_json_get(&doc, row, "decoded")];
        uint32_t special = mllm_json_get(&doc, row, "special");
        unsigned f = flags | (special && doc.nodes[special].kind == MLLM_JSON_TRUE ? MLLM_TOKENIZE_SPECIAL : 0);
        size_t count, size;
        mllm_token *ids = json_ids(&doc, mllm_json_get(&doc, row, "ids"), &count);
        CHECK(same_ids(v, t->as.string, t->count, f, ids, count), "%s: row %zu", path, n);
        char *back = text_of(v, ids, count, f, &size);
        CHECK(back &&
                  (!mllm_json_get(&doc, row, "decoded") || (size == d->count && memcmp(back, d->as.string, size) == 0)),
              "%s: row %zu: \"%.*s\" became \"%s\"", path, n, (int)d->count, d->as.string, back ? back : "two texts");
        free(back);
        free(ids);
    }
    mllm_json_free(&doc);
    free(text);
    return n;
}

/* llama.cpp's cases: texts between lines "__ggml_vocab_test__", a line of ids per text. */
static inline size_t check_inp_out(const mllm_vocab *v, const char *path) {
    char name[1200];
    size_t inp_length, out_length, n = 0;
    snprintf(name, sizeof name, "%s.inp", path);
    char *inp = read_file(name, &inp_length);
    snprintf(name, sizeof name, "%s.out", path);
    char *out = read_file(name, &out_length);
    CHECK(inp && out, "%s", path);
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char *text = inp, *line = out;
    while (inp && out && *line) {
        char *end = strstr(text, mark);
        if (!end) break;
        mllm_token ids[2000];
        size_t count = 0;
        char *eol = strchr(line, '\n');
        if (!eol) eol = line + strlen(line);
        for (char *p = line; p < eol && count < 2000;) {
            char *stop;
            long id = strtol(p, &stop, 10);
            if (stop == p || stop > eol) break;
            ids[count++] = (mllm_token)id;
            p = stop;
        }
        CHECK(same_ids(v, text, (size_t)(end - text), 0, ids, count), "%s: case %zu", path, n);
        n++;
        text = end + sizeof mark - 1;
        line = *eol ? eol + 1 : eol;
    }
    free(inp);
    free(out);
    return n;
}

#endif
