/* hint.c - the texts that a schema names in what is left to checks: where nothing else says what a check wants, looking for a way to the end
 * tries these. */
#include "../base/alloc.h"
#include "shape_flat.h"

#include <string.h>

/* Limits on one list; on nesting, and on the length of a text; on the schemas looked at for one list; on the patterns looked at for all lists,
 * and on their automata. */
enum { MOST = 24, DEEP = 12, LONG = 64, VISITS = 400, MATCHES = 200, STATES = 100 };

typedef struct {
    mllm_build *b;
    uint32_t first; /* word of the list */
    uint32_t visits, matches; /* left */
} list;

/* `key`: a name, otherwise a string. */
static bool is_new(const list *l, const char *text, uint32_t length, uint32_t key) {
    const mllm_shapes *t = l->b->t;
    if (length > LONG || t->word_count - l->first == MOST) return false;
    for (uint32_t i = l->first; i < t->word_count; i++)
        if (t->words[i].tag == key && t->words[i].length == length && memcmp(t->words[i].text, text, length) == 0)
            return false;
    return true;
}

static void add(list *l, uint32_t node, uint32_t key) {
    mllm_build *b = l->b;
    mllm_shapes *t = b->t;
    const mllm_json_node *n = &b->s->doc.nodes[node];
    if (n->kind != MLLM_JSON_STRING || !is_new(l, n->as.string, n->count, key)) return;
    if (mllm_build_reserve(b, &t->words, t->word_count + 1, &t->word_capacity, sizeof *t->words))
        t->words[t->word_count++] = (mllm_word){n->as.string, n->count, key};
}

/* A shortest text that the pattern at `node` matches. */
static void add_match(list *l, uint32_t node, uint32_t key) {
    mllm_build *b = l->b;
    mllm_shapes *t = b->t;
    if (b->s->link[node] == NONE || t->word_count - l->first == MOST || !l->matches) return;
    const mllm_nfa *nfa = &b->s->nfas[b->s->link[node]];
    if (nfa->count > STATES) return;
    l->matches--;
    mllm_lexers table = {0};
    mllm_lexer lexer;
    char text[LONG];
    uint32_t length = 0;
    mllm_lexer_init(&lexer, &nfa, 1, false);
    uint32_t state = mllm_lexer_start(&table, &lexer);
    bool found = false;
    while (state != NONE && table.failed == MLLM_OK && length <= LONG && !found) {
        found = table.states[state].flags & LEXER_ACCEPT;
        if (found || length == LONG) break;
        uint32_t best = NONE, least = NONE;
        uint8_t byte = 0;
        for (uint32_t c = 0; c < lexer.class_count && table.failed == MLLM_OK; c++) {
            uint32_t next = mllm_lexer_next(&table, state, lexer.byte_of[c]);
            uint32_t left = next == NONE ? NONE : mllm_lexer_bytes_left(&table, next, true);
            if (left >= least) continue;
            least = left;
            best = next;
            byte = lexer.byte_of[c];
        }
        if (byte < 0x20) break; /* also if there is no way */
        state = best;
        text[length++] = (char)byte;
    }
    if (table.failed == MLLM_E_MEMORY) b->failed = true;
    found = found && table.failed == MLLM_OK && nfa->min_chars == 0 && length > 0;
    mllm_lexers_free(&table);
    if (!found || !is_new(l, text, length, key)) return;
    if (!mllm_build_reserve(b, &t->texts, t->text_count + 1, &t->text_capacity, sizeof *t->texts) ||
        !mllm_build_reserve(b, &t->words, t->word_count + 1, &t->word_capacity, sizeof *t->words))
        return;
    char *copy = mllm_strndup(text, length);
    if (!copy) {
        b->failed = true;
        return;
    }
    t->texts[t->text_count++] = copy;
    t->words[t->word_count++] = (mllm_word){copy, length, key};
}

/* Values that are compared, matches of patterns, and names, of the schema at `node` or of those that it holds. */
static void gather(list *l, uint32_t node, unsigned deep) {
    const mllm_schema *s = l->b->s;
    const mllm_json_node *n = s->doc.nodes;
    if (deep == DEEP || l->b->t->word_count - l->first == MOST || !l->visits || l->b->failed) return;
    l->visits--;
    if (n[node].kind == MLLM_JSON_ARRAY)
        for (uint32_t c = node + 1, i = 0; i < n[node].count; i++, c = n[c].next) gather(l, c, deep + 1);
    if (n[node].kind != MLLM_JSON_OBJECT) return;
    for (uint32_t c = node + 1, i = 0; i < n[node].count; i++, c = n[c + 1].next) {
        uint32_t v = c + 1;
        switch (s->keywords[c]) {
        case KW_CONST:
            add(l, v, 0);
            add(l, v, 1); /* in propertyNames */
            break;
        case KW_PATTERN:
            add_match(l, v, 0);
            add_match(l, v, 1);
            break;
        case KW_ENUM:
        case KW_REQUIRED:
            for (uint32_t d = v + 1, j = 0; n[v].kind == MLLM_JSON_ARRAY && j < n[v].count; j++, d = n[d].next) {
                if (s->keywords[c] == KW_ENUM) add(l, d, 0);
                add(l, d, 1);
            }
            break;
        case KW_PROPERTIES:
            for (uint32_t d = v + 1, j = 0; j < n[v].count; j++, d = n[d + 1].next) {
                add(l, d, 1);
                gather(l, d + 1, deep + 1);
            }
            break;
        case KW_PATTERN_PROPERTIES:
            for (uint32_t d = v + 1, j = 0; j < n[v].count; j++, d = n[d + 1].next) {
                add_match(l, d, 1);
                gather(l, d + 1, deep + 1);
            }
            break;
        case KW_REF:
            if (s->link[v] != NONE) gather(l, s->link[v], deep + 1);
            break;
        default: gather(l, v, deep + 1);
        }
    }
}

void mllm_build_hints(mllm_build *b) {
    mllm_shapes *t = b->t;
    list l = {.b = b, .matches = MATCHES};
    for (uint32_t i = 0; i < t->flat_count && !b->failed; i++) {
        mllm_flat *f = &t->flats[i];
        f->first_hint = l.first = t->word_count;
        l.visits = VISITS;
        for (uint32_t j = 0; j < f->checks && !b->failed; j++) {
            mllm_item_kind kind = ITEM_KIND(t->items[f->first_check + j]);
            if (kind == ITEM_HOLDS || kind == ITEM_FAILS) gather(&l, ITEM_NODE(t->items[f->first_check + j]), 0);
        }
        f->hints = t->word_count - f->first_hint;
    }
}
