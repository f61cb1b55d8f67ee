/* A session: however tokens came in, the same logits; forks, files and failures. */
#include <math.h>
#include <pthread.h>

#include "model/model.h"
#include "failing.h"
#include "tiny_model.h"

enum { CONTEXT = 600, LENGTH = 150 };
static char path[64], saved[64];
static mllm_token tokens[LENGTH];
static uint32_t window; /* of the attention of every second step; 0: all positions */
static const char *const kernels[] = {"reference", "avx2", "avxvnni", "avx512", "amx", "neon", "i8mm"};

static void make_file(mllm_type type, uint64_t seed) {
    mllm_error err = {0};
    snprintf(path, sizeof path, "/tmp/mllm_session_%d.gguf", (int)getpid());
    snprintf(saved, sizeof saved, "/tmp/mllm_session_%d.sess", (int)getpid());
    CHECK(tiny_write(path, type, CONTEXT, seed, &err), " %s", err.message);
    for (int i = 0; i < LENGTH; i++) tokens[i] = (mllm_token)((i * 37 + i * i) % TINY_VOCABULARY);
}

static mllm_model *load(const char *kernel, int threads) {
    mllm_error err = {0};
    mllm_load_options o = {.kernel = kernel, .threads = threads};
    mllm_model *m = mllm_model_load(path, &o, &err);
    if (!m && err.code != MLLM_E_UNSUPPORTED) CHECK(m, " %s", err.message);
    for (uint32_t i = 0; m && i < m->blueprint->step_count; i += 2) m->blueprint->steps[i].window = window;
    return m;
}

static mllm_session *open_session(mllm_model *m, int context, const char *kv) {
    mllm_error err = {0};
    mllm_session_options o = {.context = context, .kv_type = kv};
    mllm_session *s = mllm_session_new(m, &o, &err);
    CHECK(s, " %s", err.message);
    return s;
}

static void feed(mllm_session *s, size_t from, size_t to) {
    mllm_error err = {0};
    CHECK(mllm_session_feed(s, tokens + from, to - from, &err) == MLLM_OK, " %s", err.message);
}

static bool same(mllm_session *a, mllm_session *b) {
    const float *x = mllm_session_logits(a, NULL), *y = mllm_session_logits(b, NULL);
    return x && y && memcmp(x, y, TINY_VOCABULARY * sizeof(float)) == 0;
}

/* One by one, in pieces, all at once; one thread or several; rewound and fed again: equal bits, for each kernel and each cache. */
static void every_way_the_same(void) {
    static const char *const caches[] = {"f32", "f16", "q8_0"};
    static const mllm_type types[] = {MLLM_Q8_0, MLLM_Q4_0, MLLM_F32, MLLM_Q8_0};
    for (int t = 0; t < 4; t++) {
        make_file(types[t], 11);
        window = t == 3 ? 37 : 0;
        for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
            mllm_model *one = load(kernels[k], 1), *three = load(kernels[k], 3);
            if (!one) continue;
            /* sgemm and tiles round by their number of rows; there only small pieces are equal to the bit. */
            bool any = types[t] != MLLM_F32 && strcmp(kernels[k], "amx") != 0;
            size_t most = any || k == 0 ? LENGTH : 7;
            for (int c = t ? 1 : 0; c < (t ? 2 : 3); c++) {
                mllm_session *whole = open_session(one, CONTEXT, caches[c]),
                             *single = open_session(three, CONTEXT, caches[c]);
                mllm_session *pieces = open_session(one, CONTEXT, caches[c]);
                feed(whole, 0, most);
                for (size_t i = 0; i < most; i++) feed(single, i, i + 1);
                CHECK(same(whole, single), " %s %s %s: one by one", kernels[k], caches[c],
                      most == LENGTH ? "all" : "few");
                for (size_t i = 0, n = 1; i < most; i += n, n = n * 2 % 61 + 1)
                    feed(pieces, i, i + n < most ? i + n : most);
                CHECK(same(whole, pieces), " %s %s: in pieces", kernels[k], caches[c]);

                size_t middle = most / 2;
                mllm_session *half = open_session(three, CONTEXT, caches[c]);
                feed(half, 0, middle);
                CHECK(mllm_session_rewind(whole, middle, NULL) == MLLM_OK);
                CHECK(same(whole, half), " %s %s: logits after a rewind", kernels[k], caches[c]);
                feed(whole, middle, most);
                CHECK(same(whole, single), " %s %s: fed again after a rewind", kernels[k], caches[c]);
                mllm_session_release(whole);
                mllm_session_release(single);
                mllm_session_release(pieces);
                mllm_session_release(half);
            }
            mllm_model_release(one);
            mllm_model_release(three);
        }
    }
    window = 0;
    unlink(path);
}

static void forks(void) {
    make_file(MLLM_Q8_0, 5);
    mllm_model *m = load(NULL, 2);
    mllm_session *a = open_session(m, CONTEXT, NULL), *alone = open_session(m, CONTEXT, NULL);
    feed(a, 0, 100);
    mllm_session *b = mllm_session_fork(a, NULL);
    CHECK(b && same(a, b));
    mllm_model_release(m); /* sessions hold it */
    /* Both go their own ways through the chunk that they shared. */
    feed(a, 100, 120);
    feed(b, 120, 140);
    feed(alone, 0, 120);
    CHECK(same(a, alone), " the origin of a fork was changed by it");
    mllm_session_rewind(alone, 100, NULL);
    feed(alone, 120, 140);
    CHECK(same(b, alone), " a fork differs from a fresh run");
    mllm_session *c = mllm_session_fork(b, NULL);
    mllm_session_rewind(c, 10, NULL);
    feed(c, 10, 30);
    mllm_session_release(b);
    mllm_session_rewind(alone, 0, NULL);
    feed(alone, 0, 30);
    CHECK(same(c, alone), " a rewound fork of a fork");
    mllm_session_release(a);
    mllm_session_release(c);
    mllm_session_release(alone);
    unlink(path);
}

static void scores(void) {
    make_file(MLLM_Q8_0, 3);
    mllm_model *m = load(NULL, 2);
    mllm_session *a = open_session(m, CONTEXT, NULL), *b = open_session(m, CONTEXT, NULL);
    double out[LENGTH];
    mllm_error err = {0};
    CHECK(mllm_session_score(a, tokens, 3, out, &err) == MLLM_E_ARGUMENT);
    feed(a, 0, 4);
    feed(b, 0, 4);
    CHECK(mllm_session_score(a, tokens + 4, LENGTH - 4, out, &err) == MLLM_OK, " %s", err.message);
    for (size_t i = 4; i < LENGTH; i++) {
        const float *l = mllm_session_logits(b, &err);
        double sum = 0;
        for (int j = 0; j < TINY_VOCABULARY; j++) sum += exp((double)l[j]);
        double expected = (double)l[tokens[i]] - log(sum);
        CHECK(fabs(expected - out[i - 4]) < 1e-4, " token %zu: %g instead of %g", i, out[i - 4], expected);
        feed(b, i, i + 1);
    }
    CHECK(same(a, b), " a score leaves the session as a feed does");
    mllm_token ids[] = {0, TINY_VOCABULARY - 1, 17, 17, 18};
    float some[5];
    CHECK(mllm_session_logits_of(a, ids, 5, some, &err) == MLLM_OK);
    const float *l = mllm_session_logits(a, &err);
    for (int i = 0; i < 5; i++) CHECK(some[i] == l[ids[i]], " chosen logit %d", (int)ids[i]);
    ids[2] = TINY_VOCABULARY;
    CHECK(mllm_session_logits_of(a, ids, 5, some, &err) == MLLM_E_TOKEN && strstr(err.message, "300"));
    mllm_session_release(a);
    mllm_session_release(b);
    mllm_model_release(m);
    unlink(path);
}

static void files(void) {
    make_file(MLLM_Q8_0, 9);
    mllm_error err = {0};
    mllm_model *m = load(NULL, 2);
    mllm_session *a = open_session(m, CONTEXT, NULL), *b = open_session(m, CONTEXT, NULL),
                 *small = open_session(m, 50, NULL);
    CHECK(mllm_session_save(a, saved, &err) == MLLM_OK && mllm_session_restore(b, saved, &err) == MLLM_OK, " empty: %s",
          err.message);
    feed(a, 0, 130);
    CHECK(mllm_session_save(a, saved, &err) == MLLM_OK, " %s", err.message);
    feed(b, 0, 10);
    uint64_t epoch = mllm_session_epoch(b);
    CHECK(mllm_session_restore(b, saved, &err) == MLLM_OK, " %s", err.message);
    CHECK(mllm_session_epoch(b) != epoch);
    CHECK(same(a, b), " logits of a restored session");
    feed(a, 130, 140);
    feed(b, 130, 140);
    CHECK(same(a, b), " going on after a restore");
    CHECK(mllm_session_restore(small, saved, &err) == MLLM_E_CONTEXT && strstr(err.message, "130"));
    CHECK(mllm_session_restore(a, "/nowhere/x", &err) == MLLM_E_IO && strstr(err.message, "/nowhere/x"));
    CHECK(mllm_session_save(a, "/nowhere/x", &err) == MLLM_E_IO);
    mllm_session *other_cache = open_session(m, CONTEXT, "f32");
    CHECK(mllm_session_restore(other_cache, saved, &err) == MLLM_E_UNSUPPORTED && strstr(err.message, "F32"), " %s",
          err.message);
    mllm_session_release(other_cache);

    /* Damage anywhere is found and leaves the session as it was. */
    FILE *f = fopen(saved, "rb");
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f);
    unsigned char *bytes = malloc(size);
    rewind(f);
    CHECK(fread(bytes, 1, size, f) == size);
    fclose(f);
    for (int i = 0; i < 60; i++) {
        size_t at = i < 48 ? (size_t)i : size / 60 * (size_t)i, length = i % 3 == 2 ? at : size;
        unsigned char old = bytes[at];
        bytes[at] ^= (unsigned char)(1 << i % 8);
        f = fopen(saved, "wb");
        fwrite(bytes, 1, length, f);
        fclose(f);
        bytes[at] = old;
        CHECK(mllm_session_restore(b, saved, &err) != MLLM_OK, " damage at %zu of %zu", at, length);
        CHECK(same(a, b));
    }
    free(bytes);
    mllm_session_release(a);
    mllm_session_release(b);
    mllm_session_release(small);

    mllm_session *first = open_session(m, CONTEXT, NULL);
    feed(first, 0, 5);
    mllm_session_save(first, saved, &err);
    mllm_session_release(first);
    mllm_model_release(m);
    make_file(MLLM_Q8_0, 10); /* the same shape, other weights */
    m = load(NULL, 1);
    mllm_session *c = open_session(m, CONTEXT, NULL);
    CHECK(mllm_session_restore(c, saved, &err) == MLLM_E_UNSUPPORTED && strstr(err.message, "another model"), " %s",
          err.message);
    mllm_session_release(c);
    mllm_model_release(m);
    unlink(path);
    unlink(saved);
}

static void limits(void) {
    make_file(MLLM_Q8_0, 2);
    mllm_error err = {0};
    mllm_model *m = load(NULL, 2);
    mllm_session *s = open_session(m, 20, NULL);
    CHECK(!mllm_session_logits(s, &err) && err.code == MLLM_E_ARGUMENT);
    feed(s, 0, 15);
    float before = mllm_session_logits(s, NULL)[3];
    CHECK(mllm_session_feed(s, tokens, 6, &err) == MLLM_E_CONTEXT && strstr(err.message, "20"), " %s", err.message);
    mllm_token bad[] = {1, 2, TINY_VOCABULARY};
    CHECK(mllm_session_feed(s, bad, 3, &err) == MLLM_E_TOKEN && strstr(err.message, "place 3"), " %s", err.message);
    bad[2] = -1;
    CHECK(mllm_session_feed(s, bad, 3, &err) == MLLM_E_TOKEN);
    size_t n;
    mllm_session_tokens(s, &n);
    CHECK(n == 15 && mllm_session_logits(s, NULL)[3] == before);
    feed(s, 15, 20);
    CHECK(mllm_session_rewind(s, 21, &err) == MLLM_E_ARGUMENT && strstr(err.message, "21"));
    CHECK(mllm_session_feed(s, tokens, 0, &err) == MLLM_OK);
    mllm_session_release(s);
    CHECK(!mllm_session_new(m, &(mllm_session_options){.context = -1}, &err) && err.code == MLLM_E_ARGUMENT);
    mllm_session *longer = mllm_session_new(m, &(mllm_session_options){.context = CONTEXT + 1}, &err);
    CHECK(longer && mllm_session_context(longer) == CONTEXT, " the model's own context is the last word");
    mllm_session_release(longer);
    CHECK(!mllm_session_new(m, &(mllm_session_options){.kv_type = "q5"}, &err) && strstr(err.message, "q5"));
    mllm_session *fresh = mllm_session_new(m, NULL, &err);
    CHECK(mllm_session_context(fresh) == CONTEXT && mllm_session_kv_bytes(fresh) == 0);
    feed(fresh, 0, 1);
    size_t little = mllm_session_kv_bytes(fresh);
    feed(fresh, 1, 150);
    CHECK(little > 0 && mllm_session_kv_bytes(fresh) == 3 * little, " the cache does not grow on demand");
    mllm_session_release(fresh);
    mllm_model_release(m);
    mllm_load_options o = {.threads = -1};
    CHECK(!mllm_model_load(path, &o, &err) && err.code == MLLM_E_ARGUMENT);
    CHECK(!mllm_model_load("/nowhere/model.gguf", NULL, &err) && err.code == MLLM_E_IO &&
              strstr(err.message, "/nowhere"),
          " %s", err.message);
    mllm_model_release(NULL);
    mllm_session_release(NULL);
    unlink(path);
}

/* The n-th allocation fails, for every n: an error each time, nothing lost, and the session usable afterwards. */
static void memory(void) {
    make_file(MLLM_Q8_0, 4);
    mllm_set_allocator(failing, NULL);
    bool done = false;
    for (int n = 0; n < 2000 && !done; n++) {
        mllm_error err = {0};
        fail_once(n);
        mllm_model *m = mllm_model_load(path, &(mllm_load_options){.threads = 1}, &err);
        mllm_session *s = m ? mllm_session_new(m, NULL, &err) : NULL, *f = NULL;
        bool ok = s && mllm_session_feed(s, tokens, 70, &err) == MLLM_OK && mllm_session_logits(s, &err) &&
                  (f = mllm_session_fork(s, &err)) && mllm_session_feed(f, tokens, 10, &err) == MLLM_OK &&
                  mllm_session_save(f, saved, &err) == MLLM_OK && mllm_session_restore(s, saved, &err) == MLLM_OK;
        done = !failing_state.failed;
        CHECK(ok == done && (ok || err.code == MLLM_E_MEMORY), " allocation %d: %s", n, err.message);
        fail_never();
        if (s && !ok) {
            mllm_session_rewind(s, 0, NULL);
            CHECK(mllm_session_feed(s, tokens, 5, &err) == MLLM_OK, " allocation %d left the session unusable: %s", n,
                  err.message);
        }
        mllm_session_release(f);
        mllm_session_release(s);
        mllm_model_release(m);
    }
    CHECK(done);
    mllm_set_allocator(NULL, NULL);
    unlink(path);
    unlink(saved);
}

static void *run_alone(void *arg) {
    mllm_session *s = arg;
    for (int round = 0; round < 3; round++) {
        mllm_session_rewind(s, 0, NULL);
        for (size_t i = 0; i < 40; i += 5) mllm_session_feed(s, tokens + i, 5, NULL);
    }
    return NULL;
}

static void hosts_share_a_model(void) {
    make_file(MLLM_Q8_0, 6);
    for (int threads = 1; threads <= 2; threads++) {
        mllm_model *m = load(NULL, threads);
        mllm_session *a = open_session(m, 100, NULL), *b = open_session(m, 100, NULL), *c = open_session(m, 100, NULL);
        pthread_t x, y;
        pthread_create(&x, NULL, run_alone, a);
        pthread_create(&y, NULL, run_alone, b);
        pthread_join(x, NULL);
        pthread_join(y, NULL);
        feed(c, 0, 40);
        CHECK(same(a, c) && same(b, c), " sessions on two threads of the host");
        mllm_session_release(a);
        mllm_session_release(b);
        mllm_session_release(c);
        mllm_model_release(m);
    }
    unlink(path);
}

static const test_case tests[] = {{"every_way_the_same", every_way_the_same},
                                  {"forks", forks},
                                  {"scores", scores},
                                  {"files", files},
                                  {"limits", limits},
                                  {"memory", memory},
                                  {"hosts_share_a_model", hosts_share_a_model}};
TEST_MAIN(tests)
