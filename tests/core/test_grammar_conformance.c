/* The grammars on real schemas with instances: coverage, and what masks and compilation cost. A sample of the rows, unless the environment says:
 *   MLLM_CONFORMANCE=all           every row
 *   MLLM_CONFORMANCE_VERBOSE=1     names the rows that fail
 *   MLLM_CONFORMANCE_SLOW=500      shows masks above 500 microseconds
 *   MLLM_CONFORMANCE_FILE=path     schema_order, any_order, suite: another file of rows (plain or .gz)
 *   MLLM_CONFORMANCE_IDS='a b'     random: only these rows, 6 times each
 *   MLLM_CONFORMANCE_PART=0/4      random: of the rows those whose number leaves 0 when divided by 4
 *   MLLM_CONFORMANCE_OUTPUTS=20    random: so many times each row
 *   MLLM_CONFORMANCE_SEED=7        random: other outputs
 *   MLLM_CONFORMANCE_DUMP=path     random: appends the outputs that are complete, each behind its row's id */
#include "test.h"

#include <time.h>

#include "base/json.h"
#include "tokenizer/vocab_source.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other programs do not count */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static mllm_vocab *load_vocab(void) {
    char path[512];
    if (!test_shared()) return NULL;
    snprintf(path, sizeof path, "%s/tokenizers/llama2/tokenizer.model", test_shared());
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *data = malloc(1 << 20);
    size_t n = fread(data, 1, 1 << 20, f);
    fclose(f);
    mllm_error err;
    mllm_vocab *v = mllm_vocab_from_spm(data, n, path, &err);
    free(data);
    return v;
}

static bool everything(void) {
    const char *v = getenv("MLLM_CONFORMANCE");
    return v && strcmp(v, "all") == 0;
}

static bool is_verbose(void) {
    return getenv("MLLM_CONFORMANCE_VERBOSE") != NULL;
}

/* ------------------------------------------------------------------------ rows */

/* The rows of a file, each an object with an id, a schema and lists of valid and invalid instances, beside the tokens to read them with. */
typedef struct {
    mllm_vocab *vocab;
    mllm_token_trie *trie;
    /* The present row, until the next one is read. */
    size_t number; /* in the file, from 1 */
    const char *line; /* its text */
    mllm_json d; /* which is this document */
    const char *id, *schema; /* schema: schema_length bytes of `line` */
    size_t schema_length;

    FILE *f;
    size_t every;
    char *room; /* of `line` */
    size_t capacity;
} row_reader;

/* Every so manyth row of the file at `path`, plain or .gz, the first one included. Where the file or the vocabulary is missing there are none. */
static void rows_open(row_reader *r, const char *path, size_t every) {
    char command[700];
    mllm_error err;
    *r = (row_reader){.every = every, .vocab = load_vocab()};
    snprintf(command, sizeof command, "gzip -dcf '%s' 2>/dev/null", path);
    r->f = popen(command, "r");
    r->trie = r->vocab ? mllm_token_trie_new(r->vocab, &err) : NULL;
}

/* The next row that is asked for; false: there is none. Lines that are no JSON are passed over. */
static bool rows_next(row_reader *r) {
    ssize_t n;
    mllm_error err;
    mllm_json_free(&r->d);
    while (r->f && r->trie && (n = getline(&r->room, &r->capacity, r->f)) > 0) {
        if (r->number++ % r->every || mllm_json_parse(&r->d, r->room, (size_t)n, 0, &err) != MLLM_OK) continue;
        const mllm_json_node *schema = &r->d.nodes[mllm_json_get(&r->d, 0, "schema")];
        r->line = r->room;
        r->id = r->d.nodes[mllm_json_get(&r->d, 0, "id")].as.string;
        r->schema = r->line + schema->start;
        r->schema_length = schema->end - schema->start;
        return true;
    }
    return false;
}

static void rows_close(row_reader *r) {
    mllm_json_free(&r->d);
    free(r->room);
    if (r->f) pclose(r->f);
    mllm_token_trie_release(r->trie);
    mllm_vocab_free(r->vocab);
}

static mllm_grammar *row_grammar(const row_reader *r, const mllm_schema_options *o, mllm_error *err) {
    return mllm_grammar_json_schema(r->schema, r->schema_length, o, err);
}

/* Where a file of schemas is in the shared data. */
static const char *schemas_path(const char *file) {
    static char path[512];
    snprintf(path, sizeof path, "%s/schemas/%s", test_shared(), file);
    return path;
}

/* --------------------------------------------------------------------- figures */

typedef struct {
    double *list;
    size_t count, capacity;
} series;

static void add(series *s, double v) {
    if (s->count == s->capacity)
        s->list = realloc(s->list, (s->capacity = s->capacity ? s->capacity * 2 : 1024) * sizeof *s->list);
    s->list[s->count++] = v;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double quantile(series *s, double q) {
    if (!s->count) return 0;
    qsort(s->list, s->count, sizeof *s->list, compare);
    size_t i = (size_t)(q * (double)s->count);
    return s->list[i < s->count ? i : s->count - 1];
}

/* -------------------------------------------------------------------- coverage */

/* As json.dumps of Python writes it, with its separators or compact ones. */
static void write_value(mllm_buffer *b, const mllm_json *d, const char *text, uint32_t x, bool compact) {
    const mllm_json_node *n = &d->nodes[x];
    if (n->kind == MLLM_JSON_STRING)
        mllm_json_put_string(b, n->as.string, n->count);
    else if (n->kind == MLLM_JSON_ARRAY || n->kind == MLLM_JSON_OBJECT) {
        bool object = n->kind == MLLM_JSON_OBJECT;
        mllm_buffer_put(b, object ? "{" : "[", 1);
        for (uint32_t c = x + 1, i = 0; i < n->count; i++) {
            if (i) mllm_buffer_put(b, ", ", compact ? 1 : 2);
            if (object) {
                write_value(b, d, text, c++, compact);
                mllm_buffer_put(b, ": ", compact ? 1 : 2);
            }
            write_value(b, d, text, c, compact);
            c = d->nodes[c].next;
        }
        mllm_buffer_put(b, object ? "}" : "]", 1);
    } else
        mllm_buffer_put(b, text + n->start, n->end - n->start);
}

typedef struct {
    size_t rows, passed, refused, valid_rejected, invalid_accepted, row_rejected;
    series masks, compiles, memory;
    size_t tokens, forced;
} totals;

static uint64_t words[1024];
static double slow; /* masks above so many microseconds are shown */

/* 1: accepted to the end; 0: refused; -1: an error. */
static int run_instance(mllm_grammar *g, const row_reader *r, const char *text, size_t n, totals *t, mllm_error *err) {
    static mllm_token ids[200000];
    size_t count = mllm_tokenize(r->vocab, text, n, MLLM_TOKENIZE_NO_PREFIX, ids, 200000);
    if (count > 200000) return -1;
    mllm_matcher *m = mllm_matcher_new(g, r->trie, err);
    if (!m) return -1;
    int result = 1;
    for (size_t i = 0; i <= count && result == 1; i++) {
        mllm_token id = i < count ? ids[i] : mllm_vocab_eos(r->vocab);
        err->code = MLLM_OK;
        double start = now();
        mllm_code code = mllm_matcher_mask(m, words, 0, err);
        double spent = now() - start;
        bool allowed = code == MLLM_OK && (words[id / 64] >> (id % 64) & 1);
        mllm_error other;
        mllm_code taken = mllm_matcher_accept(m, id, &other);
        if (code != MLLM_OK && code != MLLM_E_GRAMMAR)
            result = -1;
        else if ((taken == MLLM_OK) != allowed) {
            snprintf(err->message, sizeof err->message, "mask %d, accept %d: %.200s", allowed, taken == MLLM_OK,
                     other.message);
            result = -2;
        } else if (!allowed) {
            result = 0;
            if (taken != MLLM_OK) *err = other;
        }
        if (t && code == MLLM_OK) add(&t->masks, spent * 1e6);
        if (slow > 0 && spent * 1e6 > slow) {
            size_t length;
            const char *before = mllm_matcher_text(m, &length);
            printf("slow %.0f us %s after %.*s\n", spent * 1e6, r->id, length > 60 ? 60 : (int)length,
                   before + (length > 60 ? length - 60 : 0));
        }
    }
    mllm_matcher_release(m);
    return result;
}

/* Whether the row's valid instances are taken, or its invalid ones refused; what is not so is counted. Sets *rejected where a valid one was
 * refused, or an error came of any. */
static bool run_instances(mllm_grammar *g, const row_reader *r, bool valid, totals *t, bool *rejected) {
    const mllm_json *d = &r->d;
    uint32_t list = mllm_json_get(d, 0, valid ? "valid" : "invalid");
    bool ok = true;
    mllm_error err = {.code = MLLM_OK};
    for (uint32_t c = list + 1, i = 0; i < d->nodes[list].count; i++, c = d->nodes[c].next)
        for (int compact = 0; compact < 2; compact++) {
            mllm_buffer b = {0};
            write_value(&b, d, r->line, c, compact);
            int result = run_instance(g, r, b.data, b.length, t, &err);
            if (result != valid) {
                bool accepted = result == 1;
                ok = false;
                if (result < 0 || valid) *rejected = true;
                t->invalid_accepted += accepted;
                t->valid_rejected += valid;
                if (is_verbose())
                    printf("%s %s #%u: %.100s %s\n",
                           result < 0 ? "ERROR"
                           : accepted ? "INVALID-ACCEPTED"
                                      : "valid-rejected",
                           r->id, i, accepted ? "" : err.message, accepted ? "" : b.data);
                compact = 2;
            }
            mllm_buffer_free(&b);
        }
    return ok;
}

static void run_row(const row_reader *r, const mllm_schema_options *o, totals *t) {
    mllm_error err = {.code = MLLM_OK};
    t->rows++;
    double start = now();
    mllm_grammar *g = row_grammar(r, o, &err);
    add(&t->compiles, (now() - start) * 1e3);
    if (!g) {
        bool no_valid = r->d.nodes[mllm_json_get(&r->d, 0, "valid")].count == 0;
        if (err.code == MLLM_E_GRAMMAR && no_valid) {
            t->passed++;
            return;
        }
        t->refused++;
        if (is_verbose()) printf("refused %s: %s\n", r->id, err.message);
        return;
    }
    add(&t->memory, (double)mllm_grammar_bytes(g));
    bool rejected = false;
    bool takes = run_instances(g, r, true, t, &rejected);
    bool refuses = run_instances(g, r, false, t, &rejected);
    t->row_rejected += rejected;
    t->passed += takes && refuses;
    mllm_grammar_release(g);
}

static void print_totals(const char *name, totals *t) {
    printf("%s: %zu rows, %zu pass (%.2f %%), %zu refused, %zu valid rejected in %zu rows, %zu invalid accepted\n",
           name, t->rows, t->passed, 100.0 * (double)t->passed / (double)t->rows, t->refused, t->valid_rejected,
           t->row_rejected, t->invalid_accepted);
    printf("  mask us p50 %.2f p99 %.1f p99.9 %.1f max %.1f (%zu) | compile ms p50 %.3f p99 %.2f max %.2f | grammar "
           "KiB p50 %.0f max %.0f\n",
           quantile(&t->masks, .5), quantile(&t->masks, .99), quantile(&t->masks, .999), quantile(&t->masks, 1),
           t->masks.count, quantile(&t->compiles, .5), quantile(&t->compiles, .99), quantile(&t->compiles, 1),
           quantile(&t->memory, .5) / 1024, quantile(&t->memory, 1) / 1024);
    free(t->masks.list);
    free(t->compiles.list);
    free(t->memory.list);
}

static void conformance(const char *file, bool any_order, bool suite, size_t every, double least) {
    if (!test_shared()) SKIP("no shared data");
    const char *other = getenv("MLLM_CONFORMANCE_FILE"), *path = other ? other : schemas_path(file);
    row_reader r;
    totals t = {0};
    slow = getenv("MLLM_CONFORMANCE_SLOW") ? atof(getenv("MLLM_CONFORMANCE_SLOW")) : 0;
    rows_open(&r, path, everything() ? 1 : every);
    while (rows_next(&r)) {
        mllm_schema_options o = {.any_order = any_order, .format = suite ? MLLM_FORMAT_ANNOTATE : MLLM_FORMAT_ASSERT};
        if (suite) o.draft = strstr(r.id, "draft7") ? 7 : 2020;
        run_row(&r, &o, &t);
    }
    rows_close(&r);
    if (!t.rows) SKIP("%s is not here", path);
    CHECK(t.invalid_accepted == 0, "%zu", t.invalid_accepted);
    CHECK((double)t.passed >= least * (double)t.rows, "%zu of %zu", t.passed, t.rows);
    print_totals(any_order ? suite ? "suite, any order" : "schemas, any order" : "schemas, schema order", &t);
}

static void test_schema_order(void) {
    conformance("schemas_public.jsonl.gz", false, false, 25, .94);
}

static void test_any_order(void) {
    conformance("schemas_public.jsonl.gz", true, false, 25, .96);
}

static void test_suite(void) {
    conformance("suite_public.jsonl.gz", true, true, 3, .85);
}

/* ------------------------------------------------------------- random output */

static uint64_t draw(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

typedef struct {
    size_t outputs, valid, incomplete, dead, disagree, skipped, unpromised, refused;
} random_totals;

/* One of the tokens of words[]: evenly, or (`bytes`) first evenly a byte that some of them begin with. SIZE_MAX: there is none. */
static size_t draw_token(mllm_token_trie *trie, bool bytes, uint64_t *seed) {
    size_t words_count = (mllm_token_trie_size(trie) + 63) / 64, count = 0, length;
    bool begins[257] = {false};
    int first = -1;
    for (size_t w = 0; bytes && w < words_count; w++)
        for (uint64_t bits = words[w]; bits; bits &= bits - 1) {
            const char *text = mllm_token_trie_text(trie, (mllm_token)(w * 64) + __builtin_ctzll(bits), &length);
            begins[text && length ? (unsigned char)*text : 256] = true;
        }
    if (bytes) {
        size_t kinds = 0;
        for (int c = 0; c < 257; c++) kinds += begins[c];
        if (!kinds) return SIZE_MAX;
        for (kinds = draw(seed) % kinds + 1; kinds; kinds -= begins[first]) first++;
    }
    for (int pass = 0; pass < 2; pass++) {
        size_t pick = pass && count ? draw(seed) % count : 0;
        if (pass && !count) return SIZE_MAX;
        for (size_t w = 0; w < words_count; w++)
            for (uint64_t bits = words[w]; bits; bits &= bits - 1) {
                size_t id = w * 64 + (size_t)__builtin_ctzll(bits);
                if (bytes) {
                    const char *text = mllm_token_trie_text(trie, (mllm_token)id, &length);
                    if ((text && length ? (unsigned char)*text : 256) != first) continue;
                }
                if (!pass)
                    count++;
                else if (pick-- == 0)
                    return id;
            }
    }
    return SIZE_MAX;
}

/* Tokens drawn from the masks until the end; the budget is large enough, so that it must come to an end. */
static void random_output(mllm_grammar *g, const row_reader *r, uint64_t *seed, random_totals *t, bool bytes) {
    mllm_error err = {.code = MLLM_OK};
    const char *id = r->id;
    bool verbose = is_verbose();
    mllm_matcher *m = mllm_matcher_new(g, r->trie, &err);
    if (!m) return;
    uint32_t left = mllm_matcher_min_left(m), budget = left + 20 + (uint32_t)(draw(seed) % 150);
    size_t way = mllm_matcher_completion(m, NULL, 0), n;
    if (left > 3000) {
        t->skipped++;
        mllm_matcher_release(m);
        return;
    }
    if (way == SIZE_MAX || way > budget) {
        t->unpromised++;
        if (verbose) printf("UNPROMISED %s: %zu tokens, %u bytes\n", id, way, left);
    }
    t->outputs++;
    for (; budget > 0 && !mllm_matcher_is_finished(m); budget--) {
        size_t token = SIZE_MAX;
        mllm_code code = MLLM_E_GRAMMAR;
        if (mllm_matcher_is_complete(m) && draw(seed) % 4 == 0) break;
        for (int tries = 0; tries < 64 && code == MLLM_E_GRAMMAR; tries++) {
            if (mllm_matcher_mask(m, words, budget, &err) != MLLM_OK) {
                const char *text = mllm_matcher_text(m, &n);
                if (verbose) printf("DEAD %s: %s: %.*s\n", id, err.message, (int)n, text);
                t->dead++;
                mllm_matcher_release(m);
                return;
            }
            token = draw_token(r->trie, bytes, seed);
            if (token == SIZE_MAX) break;
            code = mllm_matcher_accept_within(m, (mllm_token)token, budget, &err);
            t->refused += code == MLLM_E_GRAMMAR;
        }
        if (token == SIZE_MAX) break;
        if (code != MLLM_OK) {
            if (verbose) printf("DISAGREE %s: token %zu: %s\n", id, token, err.message);
            t->disagree++;
            break;
        }
    }
    const char *text = mllm_matcher_text(m, &n);
    if (!mllm_matcher_is_complete(m)) {
        t->incomplete++;
        if (verbose) printf("INCOMPLETE %s: %.*s\n", id, (int)n, text);
    } else if (mllm_json_validate(r->schema, r->schema_length, text, n, NULL, &err) == MLLM_OK)
        t->valid++;
    else if (verbose)
        printf("INVALID %s: %s: %.*s\n", id, err.message, (int)n, text);
    const char *dump = getenv("MLLM_CONFORMANCE_DUMP");
    if (dump && mllm_matcher_is_complete(m)) {
        FILE *f = fopen(dump, "a");
        if (f) {
            fprintf(f, "%s\t%.*s\n", id, (int)n, text);
            fclose(f);
        }
    }
    mllm_matcher_release(m);
}

static void test_random(void) {
    if (!test_shared()) SKIP("no shared data");
    const char *ids = getenv("MLLM_CONFORMANCE_IDS"), *part = getenv("MLLM_CONFORMANCE_PART"),
               *other = getenv("MLLM_CONFORMANCE_SEED"), *outputs = getenv("MLLM_CONFORMANCE_OUTPUTS");
    size_t part_at = 0, parts = 1, each = outputs ? strtoull(outputs, NULL, 10) : ids ? 6 : 4;
    if (part) sscanf(part, "%zu/%zu", &part_at, &parts);
    uint64_t base = other ? strtoull(other, NULL, 10) : 1;
    random_totals t = {0};
    row_reader r;
    mllm_error err;
    rows_open(&r, schemas_path("schemas_public.jsonl.gz"), everything() ? 1 : 40);
    while (rows_next(&r)) {
        if (r.number % parts != part_at || (ids && !strstr(ids, r.id))) continue;
        mllm_schema_options o = {.any_order = r.number % 2 == 0};
        mllm_grammar *g = row_grammar(&r, &o, &err);
        uint64_t seed = (base * 1000003 + r.number) * 0x9E3779B97F4A7C15u; /* the same for a row whatever else is run */
        double start = now();
        for (size_t k = 0; g && k < each; k++) random_output(g, &r, &seed, &t, k % 2 == 1);
        if (now() - start > 2 && is_verbose()) printf("SLOW %s: %.1f s\n", r.id, now() - start);
        mllm_grammar_release(g);
    }
    rows_close(&r);
    if (!t.outputs) SKIP("no schemas here");
    printf("random: %zu outputs, %zu valid, %zu incomplete, %zu dead ends, %zu masks that accept contradicts, %zu "
           "skipped, %zu without a known way at the start, %zu tokens drawn again\n",
           t.outputs, t.valid, t.incomplete, t.dead, t.disagree, t.skipped, t.unpromised, t.refused);
    CHECK(t.valid + t.incomplete + t.dead + t.disagree == t.outputs, "an output does not validate");
    CHECK(t.disagree == 0, "%zu", t.disagree);
    CHECK(t.incomplete + t.dead <= t.unpromised, "%zu", t.incomplete + t.dead);
}

/* -------------------------------------------------------- random tokenisations */

/* `text` cut at random and each piece tokenized: the mask, the matcher of tokens and one of bytes agree at every place, also about tokens that
 * do not belong there. Returns the number of disagreements. */
static size_t retokenise(mllm_grammar *g, const row_reader *r, const char *text, size_t n, uint64_t *seed,
                         size_t *places) {
    mllm_error err;
    const mllm_vocab *vocab = r->vocab;
    mllm_matcher *m = mllm_matcher_new(g, r->trie, &err), *plain = mllm_matcher_new(g, NULL, &err);
    size_t wrong = 0;
    static mllm_token ids[1 << 16];
    for (size_t at = 0; m && plain && at < n && !wrong;) {
        size_t piece = 1 + draw(seed) % 12;
        if (piece > n - at) piece = n - at;
        size_t count = mllm_tokenize(vocab, text + at, piece, MLLM_TOKENIZE_NO_PREFIX, ids, sizeof ids / sizeof *ids);
        for (size_t i = 0; i < count && !wrong; i++) {
            bool masked = mllm_matcher_mask(m, words, 0, &err) != MLLM_OK;
            mllm_token other = (mllm_token)(draw(seed) % mllm_token_trie_size(r->trie));
            size_t length = 0;
            const char *bytes = mllm_vocab_bytes(vocab, other, &length);
            if (mllm_vocab_kind(vocab, other) == MLLM_TOKEN_NORMAL && length > 1) {
                bool taken = mllm_matcher_accept(m, other, &err) == MLLM_OK;
                bool same = mllm_matcher_accept_bytes(plain, bytes, length, &err) == MLLM_OK;
                wrong += taken != same || taken != (!masked && (words[other / 64] >> (other % 64) & 1));
                if (taken) mllm_matcher_rollback(m, 1, NULL);
                if (same) mllm_matcher_rollback(plain, 1, NULL);
            }
            wrong += masked || !(words[ids[i] / 64] >> (ids[i] % 64) & 1);
            wrong += mllm_matcher_accept(m, ids[i], &err) != MLLM_OK;
            bytes = mllm_vocab_bytes(vocab, ids[i], &length);
            wrong += mllm_matcher_accept_bytes(plain, bytes, length, &err) != MLLM_OK;
            ++*places;
        }
        at += piece;
    }
    wrong += !wrong && (!m || !plain || !mllm_matcher_is_complete(m) || !mllm_matcher_is_complete(plain));
    mllm_matcher_release(m);
    mllm_matcher_release(plain);
    return wrong;
}

/* The matcher of bytes takes all of it. */
static bool takes_text(mllm_grammar *g, const mllm_buffer *b) {
    mllm_error err;
    mllm_matcher *m = mllm_matcher_new(g, NULL, &err);
    bool takes = m && mllm_matcher_accept_bytes(m, b->data, b->length, &err) == MLLM_OK && mllm_matcher_is_complete(m);
    mllm_matcher_release(m);
    return takes;
}

static void test_retokenised(void) {
    if (!test_shared()) SKIP("no shared data");
    size_t texts = 0, places = 0, wrong = 0;
    uint64_t seed = 1234567890123456789u;
    row_reader r;
    mllm_error err;
    rows_open(&r, schemas_path("schemas_public.jsonl.gz"), everything() ? 1 : 40);
    while (rows_next(&r)) {
        mllm_schema_options o = {.any_order = true};
        mllm_grammar *g = row_grammar(&r, &o, &err);
        uint32_t list = mllm_json_get(&r.d, 0, "valid");
        for (uint32_t c = list + 1, i = 0; g && i < r.d.nodes[list].count; i++, c = r.d.nodes[c].next) {
            mllm_buffer b = {0};
            write_value(&b, &r.d, r.line, c, i % 2 == 0);
            bool takes = takes_text(g, &b); /* rows that fail are another test's */
            for (int k = 0; takes && k < 3; k++) {
                size_t bad = retokenise(g, &r, b.data, b.length, &seed, &places);
                if (bad && is_verbose()) printf("DISAGREE %s #%u\n", r.id, i);
                wrong += bad > 0;
                texts++;
            }
            mllm_buffer_free(&b);
        }
        mllm_grammar_release(g);
    }
    rows_close(&r);
    if (!texts) SKIP("no schemas here");
    printf("retokenised: %zu texts, %zu tokens, %zu texts on which the walks disagree\n", texts, places, wrong);
    CHECK(wrong == 0, "%zu", wrong);
}

static const test_case tests[] = {{"retokenised", test_retokenised},
                                  {"random", test_random},
                                  {"schema_order", test_schema_order},
                                  {"any_order", test_any_order},
                                  {"suite", test_suite}};
TEST_MAIN(tests)
