/* Writing models: every form that a file can have comes back as the same blueprint with the same weights, and llama.cpp, where it
 * is at hand, computes the same. */
#include "failing.h"
#include "tiny_folder.h"

#include "format/checkpoint.h"
#include "format/gguf.h"

static mllm_checkpoint *opened(const char *path) {
    mllm_error err = {0};
    mllm_checkpoint *c = mllm_checkpoint_open(path, false, &err);
    CHECK(c, "%s", err.message);
    return c;
}

static void read_row(const mllm_checkpoint *c, mllm_role role, uint32_t index, size_t row, float *out) {
    mllm_tensor t = mllm_checkpoint_tensor(c, role, index);
    if (t.data) mllm_dequantize_row(t.type, (const char *)t.data + row * t.row_bytes, out, t.cols);
}

/* Row r of the interleaved order in the half-rotation order. */
static size_t half_row(const mllm_blueprint *b, size_t r) {
    size_t head = r / b->head_size * b->head_size, i = r - head;
    return i >= b->rope_size ? r : head + i / 2 + (i % 2 ? b->rope_size / 2 : 0);
}

/* All weights of `b` are those of `a`, q and k permuted where the two differ in their order; at most `bound` apart. */
static void same_weights(const mllm_checkpoint *a, const mllm_checkpoint *b, float bound) {
    const mllm_blueprint *x = mllm_checkpoint_blueprint(a), *y = mllm_checkpoint_blueprint(b);
    static float p[8192], q[8192], spare[8192];
    for (int k = 0; k < MLLM_W_ROLES; k++) {
        mllm_role role = (mllm_role)k;
        mllm_role_shape s = mllm_blueprint_shape(x, role), t = mllm_blueprint_shape(y, role);
        CHECK(s.rows == t.rows && s.cols == t.cols && s.count == t.count, "role %d", k);
        if (s.rows != t.rows || s.cols != t.cols || s.count != t.count) continue;
        bool rotated = role == MLLM_W_Q || role == MLLM_W_K,
             bias = role == MLLM_W_Q_BIAS || role == MLLM_W_K_BIAS || role == MLLM_W_Q_NORM || role == MLLM_W_K_NORM;
        bool permuted = !x->rope_interleaved && y->rope_interleaved;
        for (uint32_t i = 0; s.rows && i < s.count; i++)
            for (size_t r = 0; r < s.rows; r++) {
                read_row(a, role, i, permuted && rotated ? half_row(x, r) : r, p);
                read_row(b, role, i, r, q);
                if (permuted && bias) {
                    memcpy(spare, p, s.cols * sizeof *p);
                    for (size_t c = 0; c < s.cols; c++) p[c] = spare[half_row(x, c)];
                }
                float worst = 0;
                for (size_t c = 0; c < s.cols; c++) worst = fmaxf(worst, fabsf(p[c] - q[c]));
                CHECK(worst <= bound, "role %d index %u row %zu: %g", k, i, r, (double)worst);
            }
    }
}

static void same_blueprint(const mllm_blueprint *x, const mllm_blueprint *y) {
    CHECK(x->vocabulary == y->vocabulary && x->width == y->width && x->heads == y->heads && x->kv_heads == y->kv_heads);
    CHECK(x->head_size == y->head_size && x->ffn_width == y->ffn_width && x->context == y->context &&
          x->blocks == y->blocks);
    CHECK(x->ffns == y->ffns && x->kv_slots == y->kv_slots && x->step_count == y->step_count);
    CHECK(x->norm_epsilon == y->norm_epsilon && x->rope_base == y->rope_base && x->rope_size == y->rope_size);
    CHECK(x->rope_scaling == y->rope_scaling, "%d %d", x->rope_scaling, y->rope_scaling);
    if (x->rope_scaling != MLLM_ROPE_NONE) CHECK(fabsf(x->rope_factor - y->rope_factor) < 1e-4f * x->rope_factor);
    if (x->rope_scaling == MLLM_ROPE_LLAMA3)
        CHECK(x->rope_low == y->rope_low && x->rope_high == y->rope_high &&
              x->rope_original_context == y->rope_original_context);
    CHECK(x->tied_embedding == y->tied_embedding && x->qkv_bias == y->qkv_bias && x->output_bias == y->output_bias &&
          x->qk_norm == y->qk_norm);
    for (uint32_t i = 0; i < x->step_count && i < y->step_count; i++)
        CHECK(memcmp(&x->steps[i], &y->steps[i], sizeof x->steps[i]) == 0 ||
                  (x->steps[i].block == y->steps[i].block && x->steps[i].ffn == y->steps[i].ffn &&
                   x->steps[i].kv_slot == y->steps[i].kv_slot && x->steps[i].window == y->steps[i].window &&
                   x->steps[i].rope == y->steps[i].rope),
              "step %u", i);
}

static void every_form(void) {
    static const struct {
        const char *type, *extra;
        unsigned flags;
        const char *architecture; /* of the file */
        bool interleaved;
    } cases[] = {
        {"llama", "", 0, "llama", true},
        {"llama", "", TINY_HEAD, "llama", true},
        {"mobilellm", "\"share_embedding\": true", 0, "llama", true},
        {"llama", "\"partial_rotary_factor\": 0.5", 0, "mobilellm", false},
        {"llama", "", TINY_BIAS | TINY_OUTPUT_BIAS, "llama", true},
        {"llama", "", TINY_BIAS, "llama", true},
        {"llama", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}", 0, "llama", true},
        {"llama",
         "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 32.0, \"low_freq_factor\": 1.0, "
         "\"high_freq_factor\": 4.0, "
         "\"original_max_position_embeddings\": 64}",
         0, "llama", true},
        {"llama",
         "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 2.0, "
         "\"high_freq_factor\": 4.0, "
         "\"original_max_position_embeddings\": 64}",
         0, "mobilellm", false},
        {"qwen2", "", TINY_BIAS | TINY_WIDE, "qwen2", false},
        {"qwen2", "", TINY_BIAS, "llama", true},
        {"qwen3", "", TINY_QK_NORM | TINY_HEAD, "qwen3", false},
        {"qwen3", "", TINY_QK_NORM | TINY_BIAS, "mobilellm", false},
        {"mobilellm", "\"layer_sharing\": true", 0, "mobilellm", false},
        {"mobilellm", "\"layer_sharing\": true", TINY_FFN_FIRST, "mobilellm", false},
        {"llama", "", TINY_FFN_SAME | TINY_HEAD, "mobilellm", false},
        {"mistral", "\"sliding_window\": 64", 0, "mobilellm", false},
        {"smollm3", "\"no_rope_layers\": [1, 0, 1]", 0, "mobilellm", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_error err = {0};
        const char *to = tiny_path("form.gguf");
        const char *from = tiny_folder("form", cases[i].type, cases[i].extra, cases[i].flags);
        CHECK(mllm_convert(from, to, "F32", &err) == MLLM_OK, "%zu: %s", i, err.message);
        mllm_checkpoint *a = opened(from), *b = opened(to);
        if (a && b) {
            const mllm_blueprint *x = mllm_checkpoint_blueprint(a), *y = mllm_checkpoint_blueprint(b);
            int before = test_failed_checks;
            CHECK(strcmp(y->architecture, cases[i].architecture) == 0 && y->rope_interleaved == cases[i].interleaved,
                  "%s", y->architecture);
            same_blueprint(x, y);
            same_weights(a, b, 0);
            CHECK(before == test_failed_checks, "case %zu", i);
        }
        /* A file made from this file is the same file. */
        const char *again = tiny_path("again.gguf");
        CHECK(mllm_convert(to, again, "f32", &err) == MLLM_OK, "%s", err.message);
        size_t n = 0, m = 0;
        uint8_t *one = tiny_load(to, &n), *two = tiny_load(again, &m);
        CHECK(one && two && n == m && memcmp(one, two, n) == 0, "case %zu: %zu and %zu bytes", i, n, m);
        free(one);
        free(two);
        mllm_checkpoint_close(a);
        mllm_checkpoint_close(b);
        char command[256];
        snprintf(command, sizeof command, "rm -rf %s", from);
        CHECK(system(command) == 0);
    }
}

static void types(void) {
    static const struct {
        const char *name;
        mllm_type type;
        float bound; /* of an error; weights reach 0.98 */
    } cases[] = {{"f16", MLLM_F16, 0.0005f},
                 {"bf16", MLLM_BF16, 0.004f},
                 {"q8_0", MLLM_Q8_0, 0.004f},
                 {"Q4_0", MLLM_Q4_0, 0.17f}};
    mllm_error err = {0};
    const char *from = tiny_folder("typed", "llama", "", TINY_HEAD), *to = tiny_path("typed.gguf");
    mllm_checkpoint *a = opened(from);
    for (size_t i = 0; i < sizeof cases / sizeof *cases && a; i++) {
        CHECK(mllm_convert(from, to, cases[i].name, &err) == MLLM_OK, "%s", err.message);
        mllm_checkpoint *b = opened(to);
        if (!b) continue;
        CHECK(mllm_checkpoint_tensor(b, MLLM_W_Q, 1).type == cases[i].type);
        CHECK(mllm_checkpoint_tensor(b, MLLM_W_FFN_NORM, 1).type == MLLM_F32);
        bool blocks = cases[i].type == MLLM_Q8_0 || cases[i].type == MLLM_Q4_0;
        CHECK(mllm_checkpoint_tensor(b, MLLM_W_O, 1).type == (blocks ? MLLM_F16 : cases[i].type),
              "rows of 8 fill no block");
        same_weights(a, b, cases[i].bound);
        mllm_checkpoint_close(b);
    }
    mllm_checkpoint_close(a);
    CHECK(mllm_convert(from, to, "q6_k", &err) == MLLM_E_ARGUMENT && strstr(err.message, "q6_k"));
    CHECK(mllm_convert(from, to, "float", &err) == MLLM_E_ARGUMENT && strstr(err.message, "float"));
    CHECK(mllm_convert("/nowhere", to, "f16", &err) == MLLM_E_IO && strstr(err.message, "/nowhere"));
    CHECK(mllm_convert(from, "/nowhere/x.gguf", "f16", &err) == MLLM_E_IO && strstr(err.message, "/nowhere/x.gguf"));
}

/* ------------------------------------------------------------------- the writer */

static bool constant(void *ctx, mllm_role role, uint32_t index, size_t row, float *out) {
    const mllm_blueprint *b = ctx;
    size_t cols = mllm_blueprint_shape(b, role).cols;
    for (size_t i = 0; i < cols; i++) out[i] = (float)role + (float)index / 4 + (float)row / 64 + (float)i / 512;
    return true;
}

static mllm_blueprint made(uint32_t passes, bool shared) {
    mllm_blueprint b = {.vocabulary = 10,
                        .width = 32,
                        .heads = 2,
                        .kv_heads = 1,
                        .head_size = 16,
                        .ffn_width = 64,
                        .context = 64,
                        .blocks = 2,
                        .norm_epsilon = 1e-5f,
                        .rope_base = 10000,
                        .rope_size = 16,
                        .tied_embedding = true};
    CHECK(mllm_blueprint_make_steps(&b, passes, shared, NULL) == MLLM_OK);
    return b;
}

static void writer(void) {
    mllm_error err = {0};
    mllm_blueprint b = made(2, true);
    mllm_checkpoint_writing w = {.path = tiny_path("written.gguf"),
                                 .blueprint = &b,
                                 .chat_template = "{{ x }}",
                                 .metadata_json = "{\"licence\": \"none\"}",
                                 .type = MLLM_F32,
                                 .row = constant,
                                 .ctx = &b};
    CHECK(mllm_checkpoint_write(&w, &err) == MLLM_OK, "%s", err.message);
    mllm_gguf *g = mllm_gguf_open(w.path, &err);
    uint64_t n = 0;
    bool flag = false;
    const char *s = NULL;
    size_t length = 0;
    CHECK(g && mllm_gguf_tensor_count(g) == 2 + 2 * 6 + 3, "each weight once");
    CHECK(g && mllm_gguf_u64(g, "mobilellm.block_passes", &n) && n == 2 &&
          mllm_gguf_bool(g, "mobilellm.shared_ffn", &flag) && flag);
    CHECK(g && mllm_gguf_string(g, "mobilellm.card", &s, &length) && length == 19);
    CHECK(g && mllm_gguf_string(g, "tokenizer.ggml.model", &s, &length) && length == 4 && memcmp(s, "none", 4) == 0);
    mllm_gguf_close(g);
    mllm_checkpoint *c = opened(w.path);
    if (c) {
        same_blueprint(&b, mllm_checkpoint_blueprint(c));
        CHECK(strcmp(mllm_checkpoint_chat_template(c), "{{ x }}") == 0);
        float row[64];
        read_row(c, MLLM_W_K, 1, 3, row);
        CHECK(row[5] == MLLM_W_K + 0.25f + 3.0f / 64 + 5.0f / 512);
    }
    mllm_checkpoint_close(c);
    /* The card goes along when a file is converted. */
    CHECK(mllm_convert(w.path, tiny_path("card.gguf"), "f16", &err) == MLLM_OK, "%s", err.message);
    g = mllm_gguf_open(tiny_path("card.gguf"), &err);
    CHECK(g && mllm_gguf_string(g, "mobilellm.card", &s, &length) && length == 19 &&
          memcmp(s, w.metadata_json, 19) == 0);
    mllm_gguf_close(g);

    w.metadata_json = "[]";
    CHECK(mllm_checkpoint_write(&w, &err) == MLLM_E_ARGUMENT && strstr(err.message, "card"));
    w.metadata_json = "{";
    CHECK(mllm_checkpoint_write(&w, &err) == MLLM_E_FORMAT && strstr(err.message, "card"));
    w.metadata_json = NULL;
    b.steps[1].ffn = 0, b.steps[3].kv_slot = 2, b.steps[2].kv_slot = 3;
    CHECK(mllm_checkpoint_write(&w, &err) == MLLM_E_UNSUPPORTED && strstr(err.message, "steps"), "%s", err.message);
    b.steps[3].kv_slot = 3;
    CHECK(mllm_checkpoint_write(&w, &err) == MLLM_E_FORMAT && strstr(err.message, "KV slot 3"), "%s", err.message);
    mllm_blueprint_free(&b);
}

/* A tokenizer with fewer tokens than the embedding has rows (as Qwen's): the file gets a token for every row. */
static void padded(void) {
    char path[256];
    mllm_error err = {0};
    const char *from = tiny_folder("padded", "llama", "", 0), *to = tiny_path("padded.gguf");
    static const char tokenizer[] =
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a b\"]}, "
        "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"decoder\": {\"type\": "
        "\"ByteLevel\"}}";
    snprintf(path, sizeof path, "%s/tokenizer.json", from);
    tiny_save(path, tokenizer, sizeof tokenizer - 1);
    CHECK(mllm_convert(from, to, "f16", &err) == MLLM_OK, "%s", err.message);
    mllm_checkpoint *a = opened(from), *b = opened(to);
    if (a && b) {
        const mllm_vocab *v = mllm_checkpoint_vocab(b);
        CHECK(mllm_vocab_size(mllm_checkpoint_vocab(a)) == 3 && mllm_vocab_size(v) == 10);
        CHECK(mllm_vocab_kind(v, 9) == MLLM_TOKEN_UNUSED && mllm_vocab_find(v, "[PAD9]", 6) == 9 &&
              mllm_vocab_find(v, "ab", 2) == 2);
        mllm_token ids[16];
        CHECK(mllm_tokenize(v, "abba", 4, 0, ids, 16) == 3 && ids[0] == 2 && ids[1] == 1 && ids[2] == 0);
    }
    mllm_checkpoint_close(a);
    mllm_checkpoint_close(b);
}

static void out_of_memory(void) {
    char from[256], to[256];
    snprintf(from, sizeof from, "%s",
             tiny_folder("memory", "llama", "\"sliding_window\": 5, \"use_sliding_window\": true", 0));
    snprintf(to, sizeof to, "%s", tiny_path("memory.gguf"));
    int failures = 0;
    bool done = false;
    mllm_set_allocator(failing, NULL);
    for (int n = 0; n < 3000 && !done; n++) {
        mllm_error err = {0};
        fail_from(n);
        done = mllm_convert(from, to, "q8_0", &err) == MLLM_OK;
        if (done) break;
        failures++;
        CHECK(err.code == MLLM_E_MEMORY, "%d: %s: %s", n, mllm_code_name(err.code), err.message);
        CHECK(access(to, F_OK) != 0);
    }
    mllm_set_allocator(NULL, NULL);
    CHECK(done && failures > 60, "%d", failures);
}

/* -------------------------------------------------------------- random weights */

static void random_models(void) {
    mllm_error err = {0};
    const char *path = tiny_path("random.gguf");
    CHECK(mllm_make_random("2b", "q8_0", 1, NULL, path, &err) == MLLM_E_ARGUMENT && strstr(err.message, "2b"));
    CHECK(mllm_make_random("mobillama-0.5b-ls", "q8_0", 1, NULL, path, &err) == MLLM_E_ARGUMENT);
    CHECK(mllm_make_random("", "q8_0", 1, NULL, path, &err) == MLLM_E_ARGUMENT);
    CHECK(mllm_make_random("125m", "q5_0", 1, NULL, path, &err) == MLLM_E_ARGUMENT && strstr(err.message, "q5_0"));
    CHECK(mllm_make_random("125m", "q8_0", 1, "/nowhere", path, &err) == MLLM_E_IO && strstr(err.message, "/nowhere"));
    CHECK(mllm_make_random("125m-ls", "q8_0", 1, NULL, path, &err) == MLLM_OK, "%s", err.message);
    mllm_checkpoint *c = opened(path);
    if (c) {
        const mllm_blueprint *b = mllm_checkpoint_blueprint(c);
        CHECK(b->blocks == 30 && b->step_count == 60 && b->heads == 9 && b->kv_heads == 3 && b->width == 576 &&
              b->ffn_width == 1536);
        CHECK(b->tied_embedding && b->vocabulary == 32000 && mllm_blueprint_parameters(b) == 124635456);
        const mllm_vocab *v = mllm_checkpoint_vocab(c);
        CHECK(v && mllm_vocab_size(v) == 32000 && mllm_vocab_bos(v) == 1 && mllm_vocab_eos(v) == 2);
        static const char text[] = "bati kuzofa, \xe2\x82\xac 12";
        mllm_token ids[64];
        char back[64] = {0};
        size_t n = v ? mllm_tokenize(v, text, strlen(text), 0, ids, 64) : 0;
        CHECK(n > 0 && n < 20, "%zu", n);
        CHECK(n && mllm_detokenize(v, ids, n, 0, back, sizeof back) == strlen(text) && strcmp(back, text) == 0, "%s",
              back);
        float row[576];
        double sum = 0, square = 0;
        for (size_t r = 0; r < 100; r++) {
            read_row(c, MLLM_W_UP, 29, r, row);
            for (int i = 0; i < 576; i++) sum += (double)row[i], square += (double)row[i] * (double)row[i];
        }
        CHECK(fabs(sum / 57600) < 5e-4 && fabs(sqrt(square / 57600) - 0.02) < 5e-4, "%g %g", sum / 57600,
              sqrt(square / 57600));
        read_row(c, MLLM_W_FFN_NORM, 3, 0, row);
        CHECK(row[0] == 1 && row[575] == 1);
    }
    mllm_checkpoint_close(c);
    unlink(path);
}

/* ----------------------------------------------------------------------- golden */

/* Numbers of the array `key` in a file of reference logits. */
static size_t golden_numbers(const char *file, const char *key, double *out, size_t capacity) {
    size_t n = 0, count = 0;
    char *bytes = (char *)tiny_load(file, &n), *text = bytes ? strndup(bytes, n) : NULL, label[64];
    snprintf(label, sizeof label, "\"%s\": [", key);
    char *at = text ? strstr(text, label) : NULL;
    if (at)
        for (at += strlen(label) - 1; *at && *at != ']' && count < capacity;) out[count++] = strtod(at + 1, &at);
    free(bytes);
    free(text);
    return count;
}

/* A converted file computes what its origin did: through the engine, against the reference logits. */
static void computed(const char *file, const char *name) {
    char logits[512];
    double tokens[64], expected[512], error = 0, power = 0;
    mllm_token ids[64];
    snprintf(logits, sizeof logits, "%s/golden/%s.logits.json", test_shared(), name);
    size_t n = golden_numbers(logits, "tokens", tokens, 64);
    CHECK(n == 32 && golden_numbers(logits, "logits_last", expected, 512) == 512);
    for (size_t i = 0; i < n; i++) ids[i] = (mllm_token)tokens[i];
    mllm_error err = {0};
    mllm_model *model = mllm_model_load(file, &(mllm_load_options){.kernel = "reference", .threads = 1}, &err);
    mllm_session *session = model ? mllm_session_new(model, NULL, &err) : NULL;
    float *out =
        session && mllm_session_feed(session, ids, n, &err) == MLLM_OK ? mllm_session_logits(session, &err) : NULL;
    CHECK(out, "%s", err.message);
    for (size_t i = 0; out && i < 512; i++) {
        error += ((double)out[i] - expected[i]) * ((double)out[i] - expected[i]);
        power += expected[i] * expected[i];
    }
    CHECK(sqrt(error / power) < 5e-4, "%s: %g", name, sqrt(error / power));
    mllm_session_release(session);
    mllm_model_release(model);
}

/* With MLLM_TEST_PEER="llama_peer logits LIB" the files are given to llama.cpp, too. */
static void ask_peer(const char *peer, const char *model, const char *logits) {
    char command[4096];
    double tokens[64], argmax[64];
    size_t n = golden_numbers(logits, "tokens", tokens, 64), at = 0;
    CHECK(n == 32 && golden_numbers(logits, "argmax", argmax, 64) == n);
    at += (size_t)snprintf(command, sizeof command, "%s %s", peer, model);
    for (size_t i = 0; i < n; i++) at += (size_t)snprintf(command + at, sizeof command - at, " %d", (int)tokens[i]);
    snprintf(command + at, sizeof command - at, " 2>/dev/null");
    FILE *f = popen(command, "r");
    double best = -INFINITY, v;
    int top = -1, count = 0;
    for (; f && fscanf(f, "%lf", &v) == 1; count++)
        if (v > best) best = v, top = count;
    if (f) pclose(f);
    CHECK(count == 512 && top == (int)argmax[n - 1], "%s: %d logits, the best at %d", model, count, top);
}

static void golden(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("conversion of golden models: no shared data");
    static const struct {
        const char *name, *type, *architecture;
        float bound;
    } cases[] = {{"mobilellm-hf", "f32", "llama", 0},        {"mobilellm-hf", "f16", "llama", 5e-4f},
                 {"mobilellm-hf", "bf16", "llama", 4e-3f},   {"mobilellm-hf", "q8_0", "llama", 4e-3f},
                 {"mobilellm-hf", "q4_0", "llama", 0.1f},    {"mobilellm-ls-hf", "bf16", "mobilellm", 0},
                 {"mobillama-hf", "f16", "mobilellm", 0},    {"mobilellm-q5_k_m.gguf", "f32", "llama", 0},
                 {"mobilellm-q8_0.gguf", "q8_0", "llama", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mllm_error err = {0};
        char from[512], to[256];
        snprintf(from, sizeof from, "%s/golden/%s", shared, cases[i].name);
        snprintf(to, sizeof to, "%s", tiny_path("golden.gguf"));
        CHECK(mllm_convert(from, to, cases[i].type, &err) == MLLM_OK, "%s", err.message);
        mllm_checkpoint *a = opened(from), *b = opened(to);
        if (a && b) {
            CHECK(strcmp(mllm_checkpoint_blueprint(b)->architecture, cases[i].architecture) == 0);
            CHECK(mllm_checkpoint_blueprint(b)->blocks == 3);
            same_blueprint(mllm_checkpoint_blueprint(a), mllm_checkpoint_blueprint(b));
            same_weights(a, b, cases[i].bound);
            CHECK(!mllm_checkpoint_vocab(a) == !mllm_checkpoint_vocab(b));
        }
        mllm_checkpoint_close(a);
        mllm_checkpoint_close(b);
        if (cases[i].bound == 0) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)strcspn(cases[i].name, "."), cases[i].name);
            computed(to, name);
        }
    }
}

static void peer(void) {
    const char *shared = test_shared(), *command = getenv("MLLM_TEST_PEER");
    if (!shared || !command) SKIP("converted models in llama.cpp: no shared data, or MLLM_TEST_PEER is not set");
    static const char *const types[] = {"f32", "f16", "bf16"};
    for (size_t i = 0; i < 3; i++) {
        mllm_error err = {0};
        char from[512], to[256];
        snprintf(from, sizeof from, "%s/golden/mobilellm-hf", shared);
        snprintf(to, sizeof to, "%s", tiny_path("peer.gguf"));
        CHECK(mllm_convert(from, to, types[i], &err) == MLLM_OK, "%s", err.message);
        snprintf(from, sizeof from, "%s/golden/mobilellm-hf.logits.json", shared);
        ask_peer(command, to, from);
    }
}

/* What llama.cpp makes of every form it knows, against the engine on the folder: it keeps its keys and values in F16. */
static void peer_forms(void) {
    const char *command = getenv("MLLM_TEST_PEER");
    if (!command) SKIP("forms in llama.cpp: MLLM_TEST_PEER is not set");
    static const struct {
        const char *type, *extra;
        unsigned flags;
    } cases[] = {
        {"llama", "", 0},
        {"llama", "", TINY_BIAS | TINY_OUTPUT_BIAS | TINY_HEAD},
        {"qwen2", "", TINY_BIAS},
        {"qwen2", "", TINY_BIAS | TINY_WIDE},
        {"qwen3", "", TINY_QK_NORM | TINY_HEAD},
        {"llama", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}", 0},
        {"llama",
         "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 32.0, \"low_freq_factor\": 1.0, "
         "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64}",
         0},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        mllm_error err = {0};
        char to[256], from[256], line[1024];
        snprintf(to, sizeof to, "%s", tiny_path("form.gguf"));
        snprintf(from, sizeof from, "%s", tiny_folder("peer", cases[k].type, cases[k].extra, cases[k].flags));
        CHECK(mllm_convert(from, to, "f32", &err) == MLLM_OK, "%s", err.message);
        mllm_token ids[20];
        size_t at = (size_t)snprintf(line, sizeof line, "%s %s", command, to), count = 0;
        for (int i = 0; i < 20; i++) {
            ids[i] = (i * 7 + 3) % TINY_VOCABULARY;
            at += (size_t)snprintf(line + at, sizeof line - at, " %d", ids[i]);
        }
        snprintf(line + at, sizeof line - at, " 2>/dev/null");
        double theirs[TINY_VOCABULARY] = {0}, error = 0, power = 0;
        FILE *f = popen(line, "r");
        while (f && count < TINY_VOCABULARY && fscanf(f, "%lf", &theirs[count]) == 1) count++;
        if (f) pclose(f);
        mllm_model *model = mllm_model_load(from, &(mllm_load_options){.kernel = "reference", .threads = 1}, &err);
        mllm_session *session = model ? mllm_session_new(model, NULL, &err) : NULL;
        float *ours =
            session && mllm_session_feed(session, ids, 20, &err) == MLLM_OK ? mllm_session_logits(session, &err) : NULL;
        CHECK(count == TINY_VOCABULARY && ours, "case %zu: %zu logits, %s", k, count, err.message);
        for (size_t i = 0; ours && i < count; i++) {
            error += ((double)ours[i] - theirs[i]) * ((double)ours[i] - theirs[i]);
            power += theirs[i] * theirs[i];
        }
        CHECK(sqrt(error / power) < 5e-3, "case %zu: %g", k, sqrt(error / power));
        mllm_session_release(session);
        mllm_model_release(model);
    }
}

static const test_case tests[] = {{"every_form", every_form},
                                  {"types", types},
                                  {"writer", writer},
                                  {"padded", padded},
                                  {"out_of_memory", out_of_memory},
                                  {"random_models", random_models},
                                  {"golden", golden},
                                  {"peer", peer},
                                  {"peer_forms", peer_forms},
                                  {"cleanup", tiny_cleanup}};
TEST_MAIN(tests)
