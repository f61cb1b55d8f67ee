/* vocab_json.c - tokenizer.json of the `tokenizers` library: model BPE, byte-level or in the manner of SentencePiece. What is not known
 * exactly (a pattern, a normalizer, a kind of model) is named and refused. */
#include "vocab_json.h"

#include "../base/alloc.h"
#include "../base/error.h"
#include "../base/json.h"
#include "../model/blueprint.h"
#include "vocab.h"

typedef struct {
    const mllm_json *d;
    const char *path;
    const mllm_vocab_extras *x;
    mllm_error *err;
    mllm_vocab_source s;
    const char **pieces;
    uint32_t *lengths;
    uint8_t *kinds, *added;
    mllm_merge_text *merges;
    mllm_token *ends;
    bool spm, byte_level, byte_regex, digits; /* what stands in the chain of pre-tokenizers */
    mllm_pretokenizer split; /* the pattern of a Split; NONE: there is none */
} reading;

/* ----------------------------------------------------------- small helpers */

static const mllm_json_node *node_at(const reading *r, uint32_t node) {
    return &r->d->nodes[node];
}

/* The member's node, 0 when it is absent or null. */
static uint32_t member(const reading *r, uint32_t node, const char *key) {
    uint32_t m = mllm_json_get(r->d, node, key);
    return m && node_at(r, m)->kind != MLLM_JSON_NULL ? m : 0;
}

static bool is_string(const reading *r, uint32_t node, const char *value) {
    const mllm_json_node *n = node_at(r, node);
    return node && n->kind == MLLM_JSON_STRING && n->count == strlen(value) &&
           memcmp(n->as.string, value, n->count) == 0;
}

static bool flag(const reading *r, uint32_t node, const char *key, bool fallback) {
    uint32_t m = member(r, node, key);
    return m ? node_at(r, m)->kind == MLLM_JSON_TRUE : fallback;
}

static mllm_code unsupported(const reading *r, const char *what, uint32_t name) {
    const mllm_json_node *n = node_at(r, name);
    bool text = name && n->kind == MLLM_JSON_STRING;
    return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: %s \"%.*s\" is not known", r->path, what,
                     text ? n->count > 200 ? 200 : (int)n->count : 1, text ? n->as.string : "?");
}

mllm_token mllm_vocab_source_find(const mllm_vocab_source *s, const char *spelling, uint32_t length) {
    for (size_t i = 0; spelling && i < s->count; i++)
        if (s->lengths[i] == length && memcmp(s->pieces[i], spelling, length) == 0) return (mllm_token)i;
    return -1;
}

/* ------------------------------------------------------------------ the chain */

/* The members of a "Sequence" (key `list`), or the one thing itself: calls `each` on them. Sequences inside are refused. */
static mllm_code chain(reading *r, uint32_t node, const char *list, mllm_code (*each)(reading *, uint32_t)) {
    if (!node) return MLLM_OK;
    if (!is_string(r, member(r, node, "type"), "Sequence")) return each(r, node);
    uint32_t items = member(r, node, list);
    if (!items || node_at(r, items)->kind != MLLM_JSON_ARRAY)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: a Sequence without \"%s\"", r->path, list);
    uint32_t at = items + 1;
    for (uint32_t n = node_at(r, items)->count; n--; at = node_at(r, at)->next) {
        mllm_code code = each(r, at);
        if (code != MLLM_OK) return code;
    }
    return MLLM_OK;
}

static mllm_code normalizer(reading *r, uint32_t node) {
    uint32_t type = member(r, node, "type");
    if (is_string(r, type, "NFC")) {
        r->s.nfc = true;
        return MLLM_OK;
    }
    if (is_string(r, type, "Prepend") && is_string(r, member(r, node, "prepend"), "\xE2\x96\x81")) {
        r->s.space_prefix = r->s.prefix_each = true;
        return MLLM_OK;
    }
    if (is_string(r, type, "Replace") && is_string(r, member(r, member(r, node, "pattern"), "String"), " ") &&
        is_string(r, member(r, node, "content"), "\xE2\x96\x81")) {
        r->spm = true;
        return MLLM_OK;
    }
    return unsupported(r, "normalizer", type);
}

static mllm_code split_pattern(reading *r, uint32_t node) {
    static const struct {
        const char *pattern;
        mllm_pretokenizer pre;
    } known[] = {{MLLM_PATTERN_LLAMA3, MLLM_PRE_LLAMA3},
                 {MLLM_PATTERN_QWEN2, MLLM_PRE_QWEN2},
                 {MLLM_PATTERN_GPT2, MLLM_PRE_GPT2}};
    uint32_t pattern = member(r, member(r, node, "pattern"), "Regex"), behavior = member(r, node, "behavior");
    bool invert = flag(r, node, "invert", false);
    /* The patterns match all of a text, so that both ways of writing it cut alike. */
    if (!(is_string(r, behavior, "Isolated") && !invert) && !(is_string(r, behavior, "Removed") && invert))
        return unsupported(r, "Split with behavior", behavior);
    if (is_string(r, pattern, "\\p{N}") && r->split == MLLM_PRE_NONE && !r->digits) {
        r->digits = true;
        return MLLM_OK;
    }
    for (size_t i = 0; r->split == MLLM_PRE_NONE && i < sizeof known / sizeof *known; i++)
        if (is_string(r, pattern, known[i].pattern)) {
            r->split = known[i].pre;
            return MLLM_OK;
        }
    return unsupported(r, "Split with pattern", pattern);
}

static mllm_code pre_tokenizer(reading *r, uint32_t node) {
    uint32_t type = member(r, node, "type");
    if (r->byte_level) return unsupported(r, "behind ByteLevel, pre-tokenizer", type); /* nothing may come after it */
    if (is_string(r, type, "ByteLevel")) {
        r->byte_level = true;
        r->byte_regex = flag(r, node, "use_regex", true);
        r->s.space_prefix = flag(r, node, "add_prefix_space", true);
        return MLLM_OK;
    }
    if (is_string(r, type, "Digits") && flag(r, node, "individual_digits", false) && r->split == MLLM_PRE_NONE &&
        !r->digits) {
        r->digits = true;
        return MLLM_OK;
    }
    if (is_string(r, type, "Split")) return split_pattern(r, node);
    if (is_string(r, type, "Metaspace") && is_string(r, member(r, node, "replacement"), "\xE2\x96\x81")) {
        uint32_t scheme = member(r, node, "prepend_scheme");
        if (flag(r, node, "split", true)) return unsupported(r, "pre-tokenizer with split:", type);
        r->spm = true;
        r->s.prefix_each = scheme ? is_string(r, scheme, "always") : true;
        r->s.space_prefix = scheme ? !is_string(r, scheme, "never") : flag(r, node, "add_prefix_space", true);
        return MLLM_OK;
    }
    return unsupported(r, "pre-tokenizer", type);
}

static mllm_code post_processor(reading *r, uint32_t node) {
    uint32_t type = member(r, node, "type");
    if (is_string(r, type, "RobertaProcessing") || is_string(r, type, "BertProcessing"))
        return unsupported(r, "post-processor", type);
    if (!is_string(r, type, "TemplateProcessing")) return MLLM_OK; /* ByteLevel only moves offsets */
    uint32_t items = member(r, node, "single");
    if (!items || node_at(r, items)->kind != MLLM_JSON_ARRAY) return MLLM_OK;
    uint32_t at = items + 1;
    bool after = false;
    for (uint32_t n = node_at(r, items)->count; n--; at = node_at(r, at)->next) {
        uint32_t special = member(r, at, "SpecialToken"), id = member(r, special, "id");
        if (!special) {
            after = true;
            continue;
        }
        const mllm_json_node *s = node_at(r, id);
        mllm_token token =
            id && s->kind == MLLM_JSON_STRING ? mllm_vocab_source_find(&r->s, s->as.string, s->count) : -1;
        if (token < 0)
            return mllm_fail(r->err, MLLM_E_FORMAT, "%s: the template names a token that is not there", r->path);
        if (after)
            r->s.eos = token, r->s.add_eos = true;
        else
            r->s.bos = token, r->s.add_bos = true;
    }
    return MLLM_OK;
}

/* Puts the links of the chain together. */
static mllm_code choose_family(reading *r) {
    if (r->spm && !r->byte_level && !r->digits && r->split == MLLM_PRE_NONE) {
        r->s.family = MLLM_VOCAB_SPM;
        return MLLM_OK;
    }
    if (r->spm || !r->byte_level)
        return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: neither byte-level nor in the manner of SentencePiece",
                         r->path);
    r->s.family = MLLM_VOCAB_BPE;
    mllm_pretokenizer pre = r->byte_regex ? MLLM_PRE_GPT2 : r->split;
    if ((r->byte_regex && r->split != MLLM_PRE_NONE) || (r->digits && pre != MLLM_PRE_GPT2))
        return mllm_fail(r->err, MLLM_E_UNSUPPORTED, "%s: this chain of pre-tokenizers is not known", r->path);
    r->s.pre = r->digits ? MLLM_PRE_SMOLLM : pre;
    return MLLM_OK;
}

/* ------------------------------------------------------------------ the model */

static bool integer_in(const mllm_json_node *n, int64_t high, size_t *out) {
    if (n->kind != MLLM_JSON_INTEGER || n->as.integer < 0 || n->as.integer > high) return false;
    *out = (size_t)n->as.integer;
    return true;
}

/* Sets a piece; the later of two with one id counts (added tokens repeat those of the model). */
static void set_piece(reading *r, size_t id, const mllm_json_node *content, mllm_token_kind kind) {
    r->pieces[id] = content->as.string;
    r->lengths[id] = content->count;
    r->kinds[id] = (uint8_t)kind;
}

static mllm_code bad_id(const reading *r, const mllm_json_node *name) {
    return mllm_fail(r->err, MLLM_E_FORMAT, "%s: the id of token \"%.*s\" is no number from 0 to %d", r->path,
                     name->kind == MLLM_JSON_STRING ? name->count > 60 ? 60 : (int)name->count : 1,
                     name->kind == MLLM_JSON_STRING ? name->as.string : "?", MLLM_MAX_VOCABULARY - 1);
}

static bool is_byte_piece(const mllm_json_node *n) {
    return n->count == 6 && memcmp(n->as.string, "<0x", 3) == 0 && n->as.string[5] == '>';
}

static mllm_code read_pieces(reading *r, uint32_t model, uint32_t added) {
    uint32_t vocab = member(r, model, "vocab");
    if (!vocab || node_at(r, vocab)->kind != MLLM_JSON_OBJECT)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: model.vocab is no object", r->path);
    size_t highest = 0, id;
    uint32_t at = vocab + 1;
    for (uint32_t n = node_at(r, vocab)->count; n--; at = node_at(r, at + 1)->next) {
        if (!integer_in(node_at(r, at + 1), MLLM_MAX_VOCABULARY - 1, &id)) return bad_id(r, node_at(r, at));
        if (id > highest) highest = id;
    }
    if (added && node_at(r, added)->kind != MLLM_JSON_ARRAY)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: added_tokens is no array", r->path);
    at = added + 1;
    for (uint32_t n = added ? node_at(r, added)->count : 0; n--; at = node_at(r, at)->next) {
        uint32_t content = member(r, at, "content"), number = member(r, at, "id");
        if (!content || node_at(r, content)->kind != MLLM_JSON_STRING)
            return mllm_fail(r->err, MLLM_E_FORMAT, "%s: an added token without content", r->path);
        if (!number || !integer_in(node_at(r, number), MLLM_MAX_VOCABULARY - 1, &id))
            return bad_id(r, node_at(r, content));
        if (id > highest) highest = id;
    }
    size_t count = r->s.count = highest + 1;
    r->pieces = mllm_alloc_array(count, sizeof *r->pieces);
    r->lengths = mllm_calloc(count, sizeof *r->lengths);
    r->kinds = mllm_alloc(count);
    r->added = mllm_calloc(count, 1);
    if (!r->pieces || !r->lengths || !r->kinds || !r->added) return mllm_fail_memory(r->err, count * 14, "the tokens");
    for (size_t i = 0; i < count; i++) r->pieces[i] = "";
    memset(r->kinds, MLLM_TOKEN_UNUSED, count);
    bool bytes = flag(r, model, "byte_fallback", false);
    at = vocab + 1;
    for (uint32_t n = node_at(r, vocab)->count; n--; at = node_at(r, at + 1)->next) {
        const mllm_json_node *s = node_at(r, at);
        set_piece(r, (size_t)node_at(r, at + 1)->as.integer, s,
                  bytes && is_byte_piece(s) ? MLLM_TOKEN_BYTE : MLLM_TOKEN_NORMAL);
    }
    at = added + 1;
    for (uint32_t n = added ? node_at(r, added)->count : 0; n--; at = node_at(r, at)->next) {
        id = (size_t)node_at(r, member(r, at, "id"))->as.integer;
        set_piece(r, id, node_at(r, member(r, at, "content")),
                  flag(r, at, "special", false) ? MLLM_TOKEN_CONTROL : MLLM_TOKEN_USER);
        r->added[id] = (uint8_t)((flag(r, at, "lstrip", false) ? MLLM_ADDED_LSTRIP : 0) |
                                 (flag(r, at, "rstrip", false) ? MLLM_ADDED_RSTRIP : 0) |
                                 (flag(r, at, "single_word", false) ? MLLM_ADDED_SINGLE_WORD : 0));
    }
    r->s.pieces = r->pieces;
    r->s.lengths = r->lengths;
    r->s.kinds = r->kinds;
    r->s.added = r->added;
    return MLLM_OK;
}

/* Merges as "a b" or ["a", "b"]. */
static mllm_code read_merges(reading *r, uint32_t model) {
    uint32_t merges = member(r, model, "merges");
    if (!merges || node_at(r, merges)->kind != MLLM_JSON_ARRAY)
        return mllm_fail(r->err, MLLM_E_FORMAT, "%s: model.merges is no array", r->path);
    size_t count = node_at(r, merges)->count;
    r->merges = mllm_alloc_array(count, sizeof *r->merges);
    if (!r->merges) return mllm_fail_memory(r->err, count * sizeof *r->merges, "the merges");
    uint32_t at = merges + 1;
    for (size_t i = 0; i < count; i++, at = node_at(r, at)->next) {
        const mllm_json_node *n = node_at(r, at), *left = n + 1, *right = n + 2;
        const char *space =
            n->kind == MLLM_JSON_STRING && n->count > 2 ? memchr(n->as.string + 1, ' ', n->count - 2) : NULL;
        if (space) {
            uint32_t k = (uint32_t)(space - n->as.string);
            r->merges[i] = (mllm_merge_text){n->as.string, space + 1, k, n->count - k - 1};
        } else if (n->kind == MLLM_JSON_ARRAY && n->count == 2 && left->kind == MLLM_JSON_STRING &&
                   right->kind == MLLM_JSON_STRING)
            r->merges[i] = (mllm_merge_text){left->as.string, right->as.string, left->count, right->count};
        else
            return mllm_fail(r->err, MLLM_E_FORMAT, "%s: merge %zu is not two pieces", r->path, i);
    }
    r->s.merges = r->merges;
    r->s.merge_count = count;
    return MLLM_OK;
}

static mllm_code read_model(reading *r) {
    uint32_t model = member(r, 0, "model"), type = member(r, model, "type"), unknown;
    if (!model) return mllm_fail(r->err, MLLM_E_FORMAT, "%s: no \"model\"", r->path);
    if (type ? !is_string(r, type, "BPE") : !member(r, model, "merges")) return unsupported(r, "model type", type);
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 2; i++) {
        uint32_t m = member(r, model, affixes[i]);
        if (m && !is_string(r, m, "")) return unsupported(r, affixes[i], m);
    }
    mllm_code code = read_pieces(r, model, member(r, 0, "added_tokens"));
    if (code == MLLM_OK) code = read_merges(r, model);
    if (code != MLLM_OK) return code;
    r->s.ignore_merges = flag(r, model, "ignore_merges", false);
    if ((unknown = member(r, model, "unk_token")) && node_at(r, unknown)->kind == MLLM_JSON_STRING) {
        r->s.unknown = mllm_vocab_source_find(&r->s, node_at(r, unknown)->as.string, node_at(r, unknown)->count);
        if (r->s.unknown >= 0 && r->s.family == MLLM_VOCAB_SPM) r->kinds[r->s.unknown] = MLLM_TOKEN_UNKNOWN;
    }
    return MLLM_OK;
}

/* ------------------------------------------------------------ begin and end */

static mllm_token checked(const reading *r, int64_t id) {
    return id >= 0 && id < (int64_t)r->s.count ? (mllm_token)id : -1;
}

/* The roles that mllm_vocab_save writes: "bos", "eos", "end", "bos eos", "bos end". The ending ones are collected in r->ends. */
static mllm_code read_roles(reading *r) {
    uint32_t added = member(r, 0, "added_tokens"), at = added + 1;
    size_t count = added ? node_at(r, added)->count : 0;
    r->s.ends = r->ends = mllm_alloc_array(count, sizeof *r->ends);
    if (!r->ends) return mllm_fail_memory(r->err, count * sizeof *r->ends, "the added tokens");
    for (; count--; at = node_at(r, at)->next) {
        uint32_t role = member(r, at, "role");
        mllm_token id = (mllm_token)node_at(r, member(r, at, "id"))->as.integer;
        if (!role) continue;
        bool both = is_string(r, role, "bos eos"), eos = both || is_string(r, role, "eos");
        if (both || is_string(r, role, "bos") || is_string(r, role, "bos end")) r->s.bos = id;
        if (eos) r->s.eos = id;
        if (eos || is_string(r, role, "end") || is_string(r, role, "bos end")) r->ends[r->s.end_count++] = id;
    }
    return MLLM_OK;
}

static void apply_extras(reading *r) {
    const mllm_vocab_extras *x = r->x;
    mllm_token id;
    if ((id = mllm_vocab_source_find(&r->s, x->bos, x->bos_length)) >= 0 ||
        (r->s.bos < 0 && (id = checked(r, x->bos_id)) >= 0))
        r->s.bos = id;
    if ((id = mllm_vocab_source_find(&r->s, x->eos, x->eos_length)) >= 0 ||
        (r->s.eos < 0 && (id = checked(r, x->eos_id)) >= 0))
        r->s.eos = id;
    if (x->add_bos >= 0) r->s.add_bos = x->add_bos;
    if (x->add_eos >= 0) r->s.add_eos = x->add_eos;
    for (size_t i = 0; r->s.eos < 0 && i < r->s.count; i++)
        if (r->kinds[i] == MLLM_TOKEN_CONTROL && mllm_is_end_spelling(r->pieces[i], r->lengths[i]))
            r->s.eos = (mllm_token)i;
    if (x->end_count) {
        r->s.ends = x->ends;
        r->s.end_count = x->end_count;
    }
}

mllm_vocab *mllm_vocab_from_json_with(const char *text, size_t length, const char *path, const mllm_vocab_extras *x,
                                      mllm_error *err) {
    mllm_json doc = {0};
    mllm_error inner = {0};
    mllm_code code = mllm_json_parse(&doc, text, length, 0, &inner);
    if (code != MLLM_OK) {
        mllm_fail(err, code, "%s: %s", path, inner.message);
        return NULL;
    }
    reading r = {.d = &doc, .path = path, .x = x, .err = err};
    r.s = (mllm_vocab_source){.where = path, .bos = -1, .eos = -1, .unknown = -1};
    mllm_vocab *v = NULL;
    if (doc.nodes[0].kind != MLLM_JSON_OBJECT) code = mllm_fail(err, MLLM_E_FORMAT, "%s: no object", path);
    if (code == MLLM_OK) code = chain(&r, member(&r, 0, "normalizer"), "normalizers", normalizer);
    if (code == MLLM_OK) code = chain(&r, member(&r, 0, "pre_tokenizer"), "pretokenizers", pre_tokenizer);
    if (code == MLLM_OK) code = choose_family(&r);
    if (code == MLLM_OK) code = read_model(&r);
    if (code == MLLM_OK) code = chain(&r, member(&r, 0, "post_processor"), "processors", post_processor);
    if (code == MLLM_OK) code = read_roles(&r);
    if (code == MLLM_OK) {
        apply_extras(&r);
        v = mllm_vocab_new(&r.s, err);
    }
    mllm_free(r.ends);
    mllm_free(r.pieces);
    mllm_free(r.lengths);
    mllm_free(r.kinds);
    mllm_free(r.added);
    mllm_free(r.merges);
    mllm_json_free(&doc);
    return v;
}

mllm_vocab *mllm_vocab_from_json(const char *text, size_t length, const char *path, mllm_error *err) {
    const mllm_vocab_extras none = MLLM_NO_EXTRAS;
    return mllm_vocab_from_json_with(text, length, path, &none, err);
}
