/* json_machine.c - threads and frames of JSON values: RFC 8259 spelled with the fewest escapes, under the white space policy. */
#include <string.h>

#include "../base/alloc.h"
#include "machine.h"

uint32_t mllm_json_sub_left(uint8_t sub) {
    static const uint8_t left[] = {0, 1, 2, 3, 2, 2, 3, 3, 1, 4, 3, 2, 1, 1};
    return left[sub];
}

static bool is_space(const mllm_grammar *g, uint8_t byte) {
    return byte == ' ' || (g->space == MLLM_SPACE_ANY && (byte == '\n' || byte == '\t' || byte == '\r'));
}

static uint32_t spaces(const mllm_grammar *g, bool after_separator) {
    return g->space == MLLM_SPACE_ANY ? 64 : g->space == MLLM_SPACE_ONE && after_separator ? 1 : 0;
}

static const mllm_flat *flat_of(const mllm_grammar *g, uint32_t id) {
    return &g->shapes.flats[id];
}

/* ------------------------------------------------------------ closing values */

/* What the shapes could not say is looked at by the validator, on the text of the value. */
static bool checks_hold(mllm_machine *m, const mllm_grammar *g, const mllm_flat *f, uint32_t start) {
    if (!f->checks) return true;
    mllm_json doc;
    m->by_text = true;
    m->work += 1 + (m->length - start) / 16;
    mllm_code code = mllm_json_parse(&doc, m->text + start, m->length - start, 0, NULL);
    if (code != MLLM_OK) {
        if (code == MLLM_E_MEMORY) m->failed = code;
        return false;
    }
    mllm_instance in = {&doc, m->text + start};
    bool ok = true;
    for (uint32_t i = 0; i < f->checks && ok; i++) {
        mllm_item item = g->shapes.items[f->first_check + i];
        mllm_violation why;
        bool holds = mllm_schema_check(&g->schema, ITEM_NODE(item), &in, 0, &why);
        if (why.memory) m->failed = MLLM_E_MEMORY;
        m->work += why.work;
        ok = ITEM_KIND(item) == ITEM_FAILS ? !holds && !why.limit && !why.memory : holds;
    }
    mllm_json_free(&doc);
    return ok;
}

static void finish_value(mllm_machine *m, const mllm_thread *t, uint32_t flat, uint32_t start, const mllm_frame *up) {
    if (checks_hold(m, t->g, flat_of(t->g, flat), start)) mllm_machine_complete(m, up, t->captured);
}

/* The items so far are all different. */
static bool items_unique(mllm_machine *m, const mllm_frame *f) {
    mllm_json doc;
    m->by_text = true;
    if (f->index < 2) return true;
    if (!mllm_machine_room(m, 1)) return false;
    m->text[m->length] = ']'; /* past the end: nobody else reads there */
    m->work += 1 + (m->length - f->start) / 8; /* read, and hashed */
    mllm_code code = mllm_json_parse(&doc, m->text + f->start, m->length + 1 - f->start, 0, NULL);
    if (code != MLLM_OK) {
        if (code == MLLM_E_MEMORY) m->failed = code;
        return false;
    }
    mllm_instance in = {&doc, m->text + f->start};
    uint32_t last = 1, n = doc.nodes[0].count;
    for (uint32_t i = 1; i < n; i++) last = doc.nodes[last].next;
    uint64_t hash = mllm_json_hash(&in, last);
    bool ok = true;
    for (uint32_t i = 0, x = 1; i + 1 < n && ok; i++, x = doc.nodes[x].next)
        ok = mllm_json_hash(&in, x) != hash || !mllm_json_equal(&in, x, &in, last);
    mllm_json_free(&doc);
    return ok;
}

void mllm_json_value_ended(mllm_machine *m, const mllm_frame *up, const mllm_captured *captured) {
    bool array = up->kind == FRAME_ARRAY;
    if (array && up->g->shapes.arrays[flat_of(up->g, up->id)->array].unique && !items_unique(m, up)) return;
    mllm_thread t = {.kind = array ? THREAD_ARRAY : THREAD_OBJECT,
                     .up = up,
                     .g = up->g,
                     .captured = captured,
                     .a = PHASE_AFTER,
                     .b = spaces(up->g, false)};
    mllm_machine_add(m, &t, true);
}

/* -------------------------------------------------------------------- objects */

/* Keys that must still come when `key` (NONE: another one) comes now, without that key. */
static uint32_t missing(const mllm_frame *f, uint32_t key) {
    const mllm_object_shape *o = mllm_object_of(f);
    const mllm_key *k = key == NONE ? NULL : &f->g->shapes.keys[o->first_key + key];
    uint32_t words = mllm_key_words(o), n = 0;
    const uint64_t *due = f->seen + words;
    for (uint32_t i = 0; i < words; i++) n += (uint32_t)__builtin_popcountll(due[i] & ~f->seen[i]);
    if (!k) return n;
    n -= (due[key / 64] & ~f->seen[key / 64]) >> (key % 64) & 1;
    for (uint32_t j = 0; j < k->needs; j++) {
        uint32_t other = f->g->shapes.indices[k->first_need + j];
        n += other != key && !((due[other / 64] | f->seen[other / 64]) >> (other % 64) & 1);
    }
    return n;
}

/* With `key` (NONE: another one) there are neither too many members nor, later, too few. */
static bool fits(const mllm_frame *f, uint32_t key) {
    const mllm_object_shape *o = mllm_object_of(f);
    uint32_t count = f->count + 1;
    if (o->max == NONE && o->min <= count) return true;
    if (count > o->max) return false;
    count += missing(f, key);
    if (count > o->max) return false;
    if (count >= o->min || o->extra_some) return true;
    uint32_t from = f->g->any_order ? 0 : key == NONE ? f->index : key + 1, words = mllm_key_words(o);
    for (uint32_t i = from; i < o->keys && count < o->min; i++) {
        const mllm_key *k = &f->g->shapes.keys[o->first_key + i];
        bool due = f->seen[words + i / 64] >> (i % 64) & 1;
        count += i != key && !k->forbidden && !due && !mllm_has_seen(f, i) && !k->needs;
    }
    return count >= o->min;
}

bool mllm_json_key_allowed(const mllm_frame *f, uint32_t i) {
    const mllm_object_shape *o = mllm_object_of(f);
    const mllm_key *k = &f->g->shapes.keys[o->first_key + i];
    if (k->forbidden || mllm_has_seen(f, i)) return false;
    if (!f->g->any_order && (i < f->index || i > f->limit)) return false;
    for (uint32_t j = 0; j < k->needs; j++) {
        uint32_t other = f->g->shapes.indices[k->first_need + j];
        if (other == i || mllm_has_seen(f, other)) continue;
        if (f->g->shapes.keys[o->first_key + other].forbidden || (!f->g->any_order && other < i)) return false;
    }
    return fits(f, i);
}

/* Keys beside the declared ones come when no required one is missing, unless the order is free. */
bool mllm_json_extra_allowed(const mllm_frame *f) {
    return mllm_object_of(f)->extra_some && (f->g->any_order || f->limit == NONE) && fits(f, NONE);
}

static bool some_key(const mllm_frame *f) {
    if (mllm_json_extra_allowed(f)) return true;
    const mllm_object_shape *o = mllm_object_of(f);
    uint32_t from = f->g->any_order ? 0 : f->index,
             to = f->g->any_order || f->limit >= o->keys ? o->keys : f->limit + 1;
    for (uint32_t i = from; i < to; i++)
        if (mllm_json_key_allowed(f, i)) return true;
    return false;
}

bool mllm_json_closable(const mllm_frame *f) {
    const mllm_object_shape *o = mllm_object_of(f);
    uint32_t words = mllm_key_words(o);
    if (f->count < o->min) return false;
    for (uint32_t i = 0; i < words; i++)
        if (f->seen[words + i] & ~f->seen[i]) return false;
    return true;
}

/* In schema order the first key that must come is the last one that may come next. */
static void set_limit(mllm_frame *f) {
    const mllm_object_shape *o = mllm_object_of(f);
    uint32_t words = mllm_key_words(o);
    f->limit = NONE;
    for (uint32_t i = 0; i < words && f->limit == NONE; i++) {
        uint64_t open = f->seen[words + i] & ~f->seen[i];
        if (open) f->limit = i * 64 + (uint32_t)__builtin_ctzll(open);
    }
}

static mllm_frame *copy_object(mllm_machine *m, const mllm_frame *f) {
    uint32_t words = 2 * mllm_key_words(mllm_object_of(f));
    mllm_frame *n = mllm_machine_frame(m, f->g, FRAME_OBJECT, f->id, f->up, words);
    if (!n) return NULL;
    uint64_t serial = n->serial;
    memcpy(n, f, sizeof *n + words * sizeof f->seen[0]);
    n->serial = serial;
    return n;
}

static bool too_deep(const mllm_grammar *g, const mllm_frame *up) {
    uint32_t depth = 0;
    for (; up && depth <= g->max_depth; up = up->up) depth += up->kind == FRAME_OBJECT || up->kind == FRAME_ARRAY;
    return depth >= g->max_depth;
}

static void open_object(mllm_machine *m, const mllm_thread *t, uint32_t flat) {
    const mllm_object_shape *o = &t->g->shapes.objects[flat_of(t->g, flat)->object];
    if (too_deep(t->g, t->up)) return;
    mllm_frame *f = mllm_machine_frame(m, t->g, FRAME_OBJECT, flat, t->up, 2 * mllm_key_words(o));
    if (!f) return;
    f->start = m->length - 1;
    if (o->keys)
        memcpy(f->seen + mllm_key_words(o), t->g->shapes.bits + o->first_bit, mllm_key_words(o) * sizeof f->seen[0]);
    set_limit(f);
    mllm_thread n = {
        .kind = THREAD_OBJECT, .up = f, .g = t->g, .captured = t->captured, .a = PHASE_OPEN, .b = spaces(t->g, false)};
    mllm_machine_add(m, &n, false);
}

static void open_key(mllm_machine *m, const mllm_thread *t) {
    const mllm_object_shape *o = mllm_object_of(t->up);
    if (!some_key(t->up)) return;
    mllm_thread n = {.kind = THREAD_KEY,
                     .up = t->up,
                     .g = t->g,
                     .captured = t->captured,
                     .a = NONE,
                     .b = o->first_word,
                     .c = o->first_word + o->keys,
                     .e = m->length};
    if (o->lexer != NONE && mllm_json_extra_allowed(t->up))
        n.a = mllm_lexer_start(m->lexers, &t->g->shapes.lexers[o->lexer]);
    mllm_machine_add(m, &n, false);
}

static uint64_t hash_key(const char *s, uint32_t n) {
    uint64_t h = 0x9E3779B97F4A7C15u;
    for (uint32_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 0x100000001B3u;
    return h ^ h >> 32;
}

/* propertyNames, on the text of the key. */
static bool name_holds(mllm_machine *m, const mllm_thread *t) {
    const mllm_object_shape *o = mllm_object_of(t->up);
    mllm_json doc;
    if (!o->names) return true;
    m->by_text = true;
    uint32_t start = t->e - 1, length = m->length - start; /* with its quotes */
    m->work += o->names + length / 16;
    mllm_code code = mllm_json_parse(&doc, m->text + start, length, 0, NULL);
    if (code != MLLM_OK) {
        if (code == MLLM_E_MEMORY) m->failed = code;
        return false;
    }
    mllm_instance in = {&doc, m->text + start};
    bool ok = true;
    for (uint32_t i = 0; i < o->names && ok; i++)
        ok = mllm_schema_check(&t->g->schema, t->g->shapes.indices[o->first_name + i], &in, 0, NULL);
    mllm_json_free(&doc);
    return ok;
}

/* Takes away the patterns whose lengths, which are not in their states, the key in front of `end` does not have. */
static uint32_t check_lengths(const mllm_machine *m, const mllm_thread *t, uint32_t end, uint32_t bits) {
    const mllm_lexer *lexer = m->lexers->states[t->a].lexer;
    uint32_t chars = 0;
    for (uint32_t i = t->e; i < end; i++) {
        uint8_t c = (uint8_t)m->text[i];
        if (c == '\\') i += m->text[i + 1] == 'u' ? 5 : 1;
        chars += (c & 0xC0) != 0x80;
    }
    for (int i = 0; i < lexer->count; i++)
        if (chars < lexer->parts[i]->min_chars || chars > lexer->parts[i]->max_chars) bits &= ~(1u << i);
    return bits;
}

uint32_t mllm_json_extra_shape(const mllm_machine *m, const mllm_thread *t, uint32_t end) {
    const mllm_shapes *s = &t->g->shapes;
    const mllm_object_shape *o = mllm_object_of(t->up);
    if (t->chars < o->name_min || t->chars > o->name_max) return NONE;
    uint32_t bits = t->a == NONE ? 0 : check_lengths(m, t, end, m->lexers->states[t->a].accepting), shape;
    if (o->all_names ? t->a == NONE || !(m->lexers->states[t->a].flags & LEXER_ACCEPT)
                     : bits == 0 && !o->extra_anywhere)
        return NONE;
    if (o->all_names) bits = 0;
    if (o->extra_table)
        shape = s->indices[o->first_extra + bits];
    else if (bits & (bits - 1))
        return NONE; /* several patterns at once: too many combinations were possible to prepare them all */
    else
        shape = s->indices[o->first_extra + (bits ? 1 + (uint32_t)__builtin_ctz(bits) : 0)];
    return s->shapes[shape].min_bytes == NONE ? NONE : shape;
}

static void key_ended(mllm_machine *m, const mllm_thread *t, mllm_frame *f, uint32_t shape) {
    f->count++;
    mllm_thread n = {.kind = THREAD_OBJECT,
                     .up = f,
                     .g = t->g,
                     .captured = t->captured,
                     .a = PHASE_COLON,
                     .b = spaces(t->g, false),
                     .c = shape};
    mllm_machine_add(m, &n, false);
}

/* The object, which is of this flat, has the key. */
static void declared_key(mllm_machine *m, const mllm_thread *t, uint32_t key, uint32_t flat) {
    const mllm_shapes *s = &t->g->shapes;
    const mllm_object_shape *o = &s->objects[s->flats[flat].object];
    const mllm_key *k = &s->keys[o->first_key + key];
    mllm_frame *f = copy_object(m, t->up);
    if (!f) return;
    uint64_t *due = f->seen + mllm_key_words(o);
    f->id = flat;
    f->seen[key / 64] |= (uint64_t)1 << (key % 64);
    for (uint32_t i = 0; i < k->needs; i++) {
        uint32_t other = s->indices[k->first_need + i];
        due[other / 64] |= (uint64_t)1 << (other % 64);
    }
    f->index = key + 1;
    set_limit(f);
    key_ended(m, t, f, k->shape);
}

static void close_key(mllm_machine *m, const mllm_thread *t) {
    const mllm_shapes *s = &t->g->shapes;
    const mllm_object_shape *o = mllm_object_of(t->up);
    uint32_t shape;
    mllm_frame *f;
    if (t->b < t->c && s->words[t->b].length == t->d) {
        uint32_t key = s->words[t->b].tag;
        if (!mllm_json_key_allowed(t->up, key)) return;
        bool open = o->variants && key != o->telling;
        for (uint32_t i = 0; i < (open ? o->variants : 1); i++)
            declared_key(m, t, key, open ? s->indices[o->first_variant + i] : t->up->id);
        return;
    }
    if (!mllm_json_extra_allowed(t->up) || (shape = mllm_json_extra_shape(m, t, m->length - 1)) == NONE) return;
    if (!name_holds(m, t)) return;
    uint64_t hash = hash_key(m->text + t->e, m->length - 1 - t->e);
    m->by_text = true;
    for (const mllm_extra *x = t->up->extra; x; x = x->up)
        if (x->hash == hash) return; /* the same key again */
    mllm_extra *x = mllm_machine_alloc(m, sizeof *x);
    if (!x || !(f = copy_object(m, t->up))) return;
    *x = (mllm_extra){f->extra, hash};
    f->extra = x;
    key_ended(m, t, f, shape);
}

static void step_object(mllm_machine *m, mllm_thread *t, uint8_t byte) {
    const mllm_grammar *g = t->g;
    if (is_space(g, byte)) {
        if (t->b == 0) return;
        t->b--;
        mllm_machine_add(m, t, false);
        return;
    }
    switch (t->a) {
    case PHASE_OPEN:
    case PHASE_NEXT:
        if (byte == '"') open_key(m, t);
        if (byte == '}' && t->a == PHASE_OPEN && mllm_json_closable(t->up))
            finish_value(m, t, t->up->id, t->up->start, t->up->up);
        return;
    case PHASE_COLON:
        if (byte == ':') {
            mllm_thread n = {
                .kind = THREAD_VALUE, .up = t->up, .g = g, .captured = t->captured, .a = t->c, .b = spaces(g, true)};
            mllm_machine_add(m, &n, false);
        }
        return;
    case PHASE_AFTER:
        if (byte == ',' && some_key(t->up)) {
            t->a = PHASE_NEXT;
            t->b = spaces(g, true);
            mllm_machine_add(m, t, false);
        } else if (byte == '}' && mllm_json_closable(t->up))
            finish_value(m, t, t->up->id, t->up->start, t->up->up);
        return;
    default: return;
    }
}

/* --------------------------------------------------------------------- arrays */

static void next_item(mllm_machine *m, const mllm_thread *t, bool first) {
    const mllm_frame *up = t->up;
    const mllm_array_shape *a = &t->g->shapes.arrays[flat_of(t->g, up->id)->array];
    if (up->index >= a->max) return;
    mllm_frame *f = mllm_machine_frame(m, t->g, FRAME_ARRAY, up->id, up->up, 0);
    if (!f) return;
    f->start = up->start;
    f->index = up->index + 1;
    mllm_thread n = {.kind = THREAD_VALUE,
                     .up = f,
                     .g = t->g,
                     .captured = t->captured,
                     .b = spaces(t->g, !first),
                     .a = up->index < a->prefix ? t->g->shapes.indices[a->first_prefix + up->index] : a->rest};
    mllm_machine_add(m, &n, false);
}

static void open_array(mllm_machine *m, const mllm_thread *t, uint32_t flat) {
    if (too_deep(t->g, t->up)) return;
    mllm_frame *f = mllm_machine_frame(m, t->g, FRAME_ARRAY, flat, t->up, 0);
    if (!f) return;
    f->start = m->length - 1;
    mllm_thread n = {
        .kind = THREAD_ARRAY, .up = f, .g = t->g, .captured = t->captured, .a = PHASE_OPEN, .b = spaces(t->g, false)};
    if (t->g->shapes.arrays[flat_of(t->g, flat)->array].min == 0) mllm_machine_add(m, &n, false);
    next_item(m, &n, true);
}

static void step_array(mllm_machine *m, mllm_thread *t, uint8_t byte) {
    const mllm_array_shape *a = &t->g->shapes.arrays[flat_of(t->g, t->up->id)->array];
    if (is_space(t->g, byte)) {
        if (t->b == 0) return;
        t->b--;
        mllm_machine_add(m, t, false);
    } else if (byte == ']' && t->up->index >= a->min)
        finish_value(m, t, t->up->id, t->up->start, t->up->up);
    else if (byte == ',' && t->a == PHASE_AFTER)
        next_item(m, t, false);
}

/* -------------------------------------------------------------------- strings */

/* Moves inside a character or an escape. Returns false when `byte` cannot come; *whole becomes true when a character has ended, and
 * *decoded is the byte that it adds to the text (of an escape: what it stands for; -1: nothing yet). */
static bool character(mllm_thread *t, uint8_t byte, bool *whole, int *decoded) {
    *whole = false;
    *decoded = byte;
    switch (t->sub) {
    case SUB_NONE:
        if (byte == '\\') {
            t->sub = SUB_ESCAPE;
            *decoded = -1;
        } else if (byte < 0x20 || byte == '"')
            return false;
        else if (byte < 0x80)
            *whole = true;
        else if (byte < 0xC2 || byte > 0xF4)
            return false;
        else if (byte < 0xE0)
            t->sub = SUB_1;
        else if (byte < 0xF0)
            t->sub = byte == 0xE0 ? SUB_E0 : byte == 0xED ? SUB_ED : SUB_2;
        else
            t->sub = byte == 0xF0 ? SUB_F0 : byte == 0xF4 ? SUB_F4 : SUB_3;
        return true;
    case SUB_1:
    case SUB_2:
    case SUB_3:
    case SUB_E0:
    case SUB_ED:
    case SUB_F0:
    case SUB_F4: {
        uint8_t low = t->sub == SUB_E0 ? 0xA0 : t->sub == SUB_F0 ? 0x90 : 0x80;
        uint8_t high = t->sub == SUB_ED ? 0x9F : t->sub == SUB_F4 ? 0x8F : 0xBF;
        if (byte < low || byte > high) return false;
        *whole = t->sub == SUB_1;
        t->sub = t->sub == SUB_1 ? SUB_NONE : t->sub == SUB_2 || t->sub == SUB_E0 || t->sub == SUB_ED ? SUB_1 : SUB_2;
        return true;
    }
    case SUB_ESCAPE: {
        static const char from[] = "\"\\bfnrt", to[] = "\"\\\b\f\n\r\t";
        const char *p = byte ? strchr(from, byte) : NULL;
        *decoded = -1;
        if (byte == 'u') {
            t->sub = SUB_U;
            return true;
        }
        if (!p) return false;
        *decoded = to[p - from];
        *whole = true;
        t->sub = SUB_NONE;
        return true;
    }
    case SUB_U:
    case SUB_U0:
        *decoded = -1;
        t->sub++;
        return byte == '0';
    case SUB_U00:
        *decoded = -1;
        t->sub = byte == '0' ? SUB_U000 : SUB_U001;
        return byte == '0' || byte == '1';
    default: {
        int digit = byte >= '0' && byte <= '9'                 ? byte - '0'
                    : (byte | 32) >= 'a' && (byte | 32) <= 'f' ? (byte | 32) - 'a' + 10
                                                               : -1;
        int c = (t->sub == SUB_U001 ? 16 : 0) + digit;
        if (digit < 0 || c == '\b' || c == '\t' || c == '\n' || c == '\f' || c == '\r')
            return false; /* they have short escapes */
        *decoded = c;
        *whole = true;
        t->sub = SUB_NONE;
        return true;
    }
    }
}

uint32_t mllm_json_inside(const char *text, uint32_t length, uint32_t *chars) {
    mllm_thread t = {.kind = THREAD_STRING};
    bool whole;
    int decoded;
    *chars = 0;
    for (uint32_t i = 0; i < length; i++) {
        if (text[i] == '"' && t.sub == SUB_NONE) return i;
        if (!character(&t, (uint8_t)text[i], &whole, &decoded)) return NONE;
        *chars += whole;
    }
    *chars += t.sub != SUB_NONE;
    return length;
}

bool mllm_json_escapes(uint8_t sub, uint8_t c) {
    bool brief = c == '"' || c == '\\' || c == '\b' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
    if (sub == SUB_ESCAPE) return brief || c < 0x20;
    if (brief || c >= 0x20) return false;
    return sub == SUB_U000 ? c < 0x10 : sub == SUB_U001 ? c >= 0x10 : true;
}

/* Some character that the escape may stand for leads the lexer on, to where it asks for no more than `room` further characters. */
static bool escape_leads(mllm_machine *m, uint32_t state, uint8_t sub, uint32_t room) {
    for (uint32_t i = 0; i < 0x22; i++) {
        uint8_t c = i < 0x20 ? (uint8_t)i : i == 0x20 ? '"' : '\\';
        if (!mllm_json_escapes(sub, c)) continue;
        uint32_t next = mllm_lexer_next(m->lexers, state, c);
        if (next == NONE) continue;
        if (room == NONE && m->lexers->states[next].lexer->count == 1) return true;
        uint32_t need = mllm_lexer_distance(m->lexers, next);
        if (need != NONE && need <= room) return true;
    }
    return false;
}

/* The characters so far leave room for what the patterns still ask for. */
static bool string_alive(mllm_machine *m, const mllm_flat *f, const mllm_thread *t) {
    uint32_t chars = t->b + (t->sub != SUB_NONE); /* one that has begun counts */
    if (chars > f->max_length) return false;
    if (t->a == NONE) return true;
    uint32_t room = f->max_length == NONE ? NONE : f->max_length - chars;
    const mllm_lexer_state *s = &m->lexers->states[t->a];
    if (t->sub >= SUB_ESCAPE) return escape_leads(m, t->a, t->sub, room);
    if ((s->flags & LEXER_UNIVERSAL) || (room == NONE && s->lexer->count == 1)) return true;
    uint32_t need = mllm_lexer_distance(m->lexers, t->a);
    return need != NONE && need <= room;
}

static void step_string(mllm_machine *m, mllm_thread *t, uint8_t byte) {
    const mllm_flat *f = flat_of(t->g, t->d);
    if (byte == '"' && t->sub == SUB_NONE) {
        if (t->b >= f->min_length && (t->a == NONE || (m->lexers->states[t->a].flags & LEXER_ACCEPT)))
            finish_value(m, t, t->d, t->e, t->up);
        return;
    }
    bool whole;
    int decoded;
    if (!character(t, byte, &whole, &decoded)) return;
    if (whole) t->b++;
    if (decoded >= 0 && t->a != NONE && (t->a = mllm_lexer_next(m->lexers, t->a, (uint8_t)decoded)) == NONE) return;
    if (string_alive(m, f, t)) mllm_machine_add(m, t, false);
}

/* Some key beside the declared ones starts like this one: short enough, and matched by patterns that leave it a value. */
static bool extra_alive(mllm_machine *m, const mllm_thread *t) {
    const mllm_object_shape *o = mllm_object_of(t->up);
    uint32_t chars = t->chars + (t->sub != SUB_NONE);
    if (!mllm_json_extra_allowed(t->up) || chars > o->name_max) return false;
    uint32_t room = o->name_max == NONE ? NONE : o->name_max - chars;
    if (o->lexer == NONE) return true;
    const mllm_lexer *l = &t->g->shapes.lexers[o->lexer];
    if (t->a == NONE || mllm_lexer_is_free(l, false)) return l->any && o->extra_anywhere;
    if (t->sub >= SUB_ESCAPE) return (l->any && o->extra_anywhere) || escape_leads(m, t->a, t->sub, room);
    if (room == NONE && (l->any ? !o->extra_anywhere && mllm_lexer_is_free(l, true) : l->count == 1)) return true;
    uint32_t need = mllm_lexer_distance(m->lexers, t->a);
    return need != NONE && need <= room;
}

/* Some key that starts like this one may come. */
static bool key_alive(mllm_machine *m, const mllm_thread *t) {
    if (extra_alive(m, t)) return true;
    for (uint32_t i = t->b; i < t->c; i++) {
        const mllm_word *w = &t->g->shapes.words[i];
        if (t->sub >= SUB_ESCAPE && (w->length <= t->d || !mllm_json_escapes(t->sub, (uint8_t)w->text[t->d]))) continue;
        if (mllm_json_key_allowed(t->up, w->tag)) return true;
    }
    return false;
}

static void step_key(mllm_machine *m, mllm_thread *t, uint8_t byte) {
    if (byte == '"' && t->sub == SUB_NONE) {
        close_key(m, t);
        return;
    }
    bool whole;
    int decoded;
    if (!character(t, byte, &whole, &decoded)) return;
    if (decoded >= 0) {
        if (t->b < t->c) mllm_words_step(t->g->shapes.words, &t->b, &t->c, t->d, (uint8_t)decoded);
        t->d++;
        if (t->a != NONE) t->a = mllm_lexer_next(m->lexers, t->a, (uint8_t)decoded);
    }
    if (whole && t->chars < UINT16_MAX) t->chars++;
    if (key_alive(m, t)) mllm_machine_add(m, t, false);
}

bool mllm_json_is_telling(const mllm_grammar *g, const mllm_frame *up, uint32_t shape) {
    if (!up || up->kind != FRAME_OBJECT) return false;
    const mllm_object_shape *o = mllm_object_of(up);
    return o->variants && g == up->g && g->shapes.keys[o->first_key + o->telling].shape == shape;
}

static void step_word(mllm_machine *m, mllm_thread *t, uint8_t byte) {
    const mllm_word *words = t->g->shapes.words;
    if (!mllm_words_step(words, &t->b, &t->c, t->d, byte)) return;
    t->d++;
    if (!t->sub) {
        bool ends = words[t->b].length == t->d;
        if (!ends || t->c - t->b > 1) mllm_machine_add(m, t, false);
        if (ends) finish_value(m, t, t->a, t->e, t->up);
        return;
    }
    /* It is known now which objects it can be. */
    uint32_t i = t->b;
    const mllm_object_shape *o = mllm_object_of(t->up);
    for (; i < t->c && words[i].length == t->d; i++) {
        mllm_frame *f = copy_object(m, t->up);
        if (!f) return;
        f->id = t->g->shapes.indices[o->first_variant + words[i].tag];
        mllm_json_value_ended(m, f, t->captured);
    }
    t->b = i;
    if (t->b < t->c) mllm_machine_add(m, t, false);
}

static void step_number(mllm_machine *m, mllm_thread *t) {
    const mllm_number_shape *n = &t->g->shapes.numbers[flat_of(t->g, t->d)->number];
    const char *text = m->text + t->e;
    uint32_t length = m->length - t->e;
    m->by_text = true;
    if (!mllm_number_viable(&t->g->schema, t->g->shapes.indices, n, text, length)) return;
    mllm_machine_add(m, t, false);
    if (mllm_number_complete(&t->g->schema, t->g->shapes.indices, n, text, length))
        finish_value(m, t, t->d, t->e, t->up);
}

/* --------------------------------------------------------------------- values */

static void step_value(mllm_machine *m, mllm_thread *t, uint8_t byte) {
    const mllm_grammar *g = t->g;
    const mllm_shape *s = &g->shapes.shapes[t->a];
    if (is_space(g, byte)) {
        if (t->b == 0) return;
        t->b--;
        mllm_machine_add(m, t, false);
        return;
    }
    for (uint32_t i = 0; i < s->flats; i++) {
        uint32_t flat = s->first_flat + i;
        const mllm_flat *f = flat_of(g, flat);
        mllm_thread n = {.up = t->up, .g = g, .captured = t->captured, .e = m->length - 1};
        if (f->words) {
            n.kind = THREAD_WORD;
            n.a = flat;
            n.b = f->first_word;
            n.c = f->first_word + f->words;
            n.sub = mllm_json_is_telling(g, t->up, t->a);
            step_word(m, &n, byte);
            n.b = n.c = n.sub = 0;
        }
        if (byte == '"' && (f->types & TYPE_STRING)) {
            n.kind = THREAD_STRING;
            n.a = NONE;
            n.d = flat;
            if (f->lexer == NONE || (n.a = mllm_lexer_start(m->lexers, &g->shapes.lexers[f->lexer])) != NONE)
                mllm_machine_add(m, &n, false);
        } else if (byte == '{' && (f->types & TYPE_OBJECT))
            open_object(m, t, flat);
        else if (byte == '[' && (f->types & TYPE_ARRAY))
            open_array(m, t, flat);
        else if ((byte == '-' || (byte >= '0' && byte <= '9')) && (f->types & (TYPE_INTEGER | TYPE_FRACTION))) {
            n.kind = THREAD_NUMBER;
            n.a = 0;
            n.d = flat;
            step_number(m, &n);
        }
    }
}

void mllm_json_step(mllm_machine *m, mllm_thread *t, uint8_t byte) {
    switch ((mllm_thread_kind)t->kind) {
    case THREAD_VALUE: step_value(m, t, byte); return;
    case THREAD_WORD: step_word(m, t, byte); return;
    case THREAD_STRING: step_string(m, t, byte); return;
    case THREAD_NUMBER: step_number(m, t); return;
    case THREAD_KEY: step_key(m, t, byte); return;
    case THREAD_OBJECT: step_object(m, t, byte); return;
    case THREAD_ARRAY: step_array(m, t, byte); return;
    default: return;
    }
}

/* --------------------------------------------------------------- looking ahead */

uint32_t mllm_machine_plain_room(mllm_machine *m, const mllm_thread *t, uint32_t *lexer) {
    *lexer = NONE;
    if (t->sub != SUB_NONE) return 0;
    switch ((mllm_thread_kind)t->kind) {
    case THREAD_STRING: {
        const mllm_flat *f = flat_of(t->g, t->d);
        uint32_t room = f->max_length == NONE ? NONE : f->max_length - t->b;
        if (t->a == NONE) return room;
        const mllm_lexer_state *s = &m->lexers->states[t->a];
        if (s->flags & LEXER_UNIVERSAL) return room;
        if (s->lexer->count == 1 && room == NONE && (s->flags & LEXER_TOTAL)) return room;
        *lexer = t->a;
        return room;
    }
    case THREAD_KEY: {
        const mllm_object_shape *o = mllm_object_of(t->up);
        if (!mllm_json_extra_allowed(t->up)) return 0;
        uint32_t room = o->name_max == NONE ? NONE : t->chars < o->name_max ? o->name_max - t->chars : 0;
        if (o->lexer == NONE) return room;
        const mllm_lexer *l = &t->g->shapes.lexers[o->lexer];
        if (mllm_lexer_is_free(l, false)) return room;
        if (t->a == NONE) return l->any && o->extra_anywhere ? room : 0;
        /* The declared names are tried without the lexer (mask.c), which would let in whatever it rules out. */
        if (l->any && o->extra_anywhere && (t->b < t->c || !mllm_lexer_goes_beyond(l))) return 0;
        if (l->any && mllm_lexer_is_free(l, true) && (m->lexers->states[t->a].flags & LEXER_TOTAL)) return room;
        *lexer = t->a;
        return room;
    }
    case THREAD_LEX:
        return (m->lexers->states[t->a].flags & (LEXER_TOTAL | LEXER_UNIVERSAL)) || mllm_lexer_is_loop(m->lexers, t->a)
                   ? NONE
                   : 0;
    default: return 0;
    }
}
