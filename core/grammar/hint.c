/* hint.c - the texts that a schema names in what is left to checks: where nothing else says what a check wants, looking for a way to the end
 * tries these. */
#include "shape_flat.h"

#include <string.h>

enum { MOST = 24, DEEP = 12, LONG = 64 };

static void add(mllm_build *b, uint32_t first, uint32_t node) {
    mllm_shapes *t = b->t;
    const mllm_json_node *n = &b->s->doc.nodes[node];
    if (n->kind != MLLM_JSON_STRING || n->count > LONG || t->word_count - first == MOST) return;
    for (uint32_t i = first; i < t->word_count; i++)
        if (t->words[i].length == n->count && memcmp(t->words[i].text, n->as.string, n->count) == 0) return;
    if (mllm_build_reserve(b, &t->words, t->word_count + 1, &t->word_capacity, sizeof *t->words))
        t->words[t->word_count++] = (mllm_word){n->as.string, n->count, 0};
}

/* Values that are compared, and names, of the schema at `node` or of those that it holds. */
static void gather(mllm_build *b, uint32_t first, uint32_t node, unsigned deep) {
    const mllm_schema *s = b->s;
    const mllm_json_node *n = s->doc.nodes;
    if (deep == DEEP || b->t->word_count - first == MOST || b->failed) return;
    if (n[node].kind == MLLM_JSON_ARRAY)
        for (uint32_t c = node + 1, i = 0; i < n[node].count; i++, c = n[c].next) gather(b, first, c, deep + 1);
    if (n[node].kind != MLLM_JSON_OBJECT) return;
    for (uint32_t c = node + 1, i = 0; i < n[node].count; i++, c = n[c + 1].next) {
        uint32_t v = c + 1;
        switch (s->keywords[c]) {
        case KW_CONST: add(b, first, v); break;
        case KW_ENUM:
        case KW_REQUIRED:
            for (uint32_t d = v + 1, j = 0; n[v].kind == MLLM_JSON_ARRAY && j < n[v].count; j++, d = n[d].next)
                add(b, first, d);
            break;
        case KW_PROPERTIES:
            for (uint32_t d = v + 1, j = 0; j < n[v].count; j++, d = n[d + 1].next) add(b, first, d);
            gather(b, first, v, deep + 1);
            break;
        case KW_REF:
            if (s->link[v] != NONE) gather(b, first, s->link[v], deep + 1);
            break;
        default: gather(b, first, v, deep + 1);
        }
    }
}

void mllm_build_hints(mllm_build *b) {
    mllm_shapes *t = b->t;
    for (uint32_t i = 0; i < t->flat_count && !b->failed; i++) {
        mllm_flat *f = &t->flats[i];
        f->first_hint = t->word_count;
        for (uint32_t j = 0; j < f->checks && !b->failed; j++) {
            mllm_item_kind kind = ITEM_KIND(t->items[f->first_check + j]);
            if (kind == ITEM_HOLDS || kind == ITEM_FAILS)
                gather(b, f->first_hint, ITEM_NODE(t->items[f->first_check + j]), 0);
        }
        f->hints = t->word_count - f->first_hint;
    }
}
