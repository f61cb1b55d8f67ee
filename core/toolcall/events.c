#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "parser.h"

static mllm_queued *queue(mllm_toolcall_parser *p, mllm_toolcall_kind kind, uint64_t position) {
    if (p->queue_count == p->queue_capacity) {
        size_t capacity = p->queue_capacity ? 2 * p->queue_capacity : 16;
        mllm_queued *q = mllm_realloc_array(p->queue, capacity, sizeof *q);
        if (!q) {
            p->failed = true;
            return NULL;
        }
        p->queue = q;
        p->queue_capacity = capacity;
    }
    mllm_queued *q = &p->queue[p->queue_count++];
    memset(q, 0, sizeof *q);
    q->e.kind = kind;
    q->e.position = position;
    return q;
}

static size_t keep(mllm_buffer *b, const char *s, size_t n) {
    size_t at = b->length;
    mllm_buffer_put(b, s, n);
    return at;
}

static mllm_queued *last(mllm_toolcall_parser *p, mllm_toolcall_kind kind) {
    mllm_queued *q = p->queue_count ? &p->queue[p->queue_count - 1] : NULL;
    return q && q->e.kind == kind ? q : NULL;
}

/* `verbatim`: the bytes stand so in the input, at `position`; pieces of one event are neighbours there. */
static void text_event(mllm_toolcall_parser *p, mllm_toolcall_kind kind, const char *s, size_t n, uint64_t position,
                       bool verbatim) {
    if (!n) return;
    mllm_queued *q = last(p, kind);
    if (!q || (verbatim && q->e.position + q->e.text_length != position)) {
        if (!(q = queue(p, kind, position))) return;
        q->text = p->texts.length;
    }
    mllm_buffer_put(&p->texts, s, n);
    q->e.text_length += n;
}

void mllm_tc_text(mllm_toolcall_parser *p, mllm_toolcall_kind kind, uint64_t from, uint64_t to) {
    if (to > from) text_event(p, kind, mllm_tc_at(p, from), (size_t)(to - from), from, true);
}

void mllm_tc_text_bytes(mllm_toolcall_parser *p, mllm_toolcall_kind kind, const char *s, size_t n, const char *raw) {
    uintptr_t first = (uintptr_t)p->input.data, at = (uintptr_t)raw;
    bool inside = at >= first && at < first + p->input.length;
    text_event(p, kind, s, n, inside ? p->base + (at - first) : p->pos, false);
}

static void name_call(mllm_toolcall_parser *p, mllm_queued *q) {
    if (p->have_name) {
        q->name = keep(&p->others, p->name.data, p->name.length);
        q->e.name_length = p->name.length;
        q->e.name = "";
    }
    if (p->have_id) {
        q->id = keep(&p->others, p->id.data, p->id.length);
        q->e.id_length = p->id.length;
        q->e.id = "";
    }
    q->e.format = p->f ? p->f->name : NULL;
}

void mllm_tc_begin(mllm_toolcall_parser *p) {
    mllm_queued *q = queue(p, MLLM_TOOLCALL_CALL_BEGIN, p->call_start);
    p->announced = true;
    if (!q) return;
    q->e.call = p->calls++;
    name_call(p, q);
}

void mllm_tc_end(mllm_toolcall_parser *p, unsigned repairs) {
    mllm_queued *q = queue(p, MLLM_TOOLCALL_CALL_END, p->call_start);
    if (!q) return;
    q->e.call = p->calls - 1;
    name_call(p, q);
    q->raw = keep(&p->raws, mllm_tc_at(p, p->call_start), (size_t)(p->pos - p->call_start));
    q->e.raw_length = (size_t)(p->pos - p->call_start);
    bool any = p->have_arguments && p->value.json.length;
    q->json = keep(&p->others, any ? p->value.json.data : "{}", any ? p->value.json.length : 2);
    q->e.json_length = any ? p->value.json.length : 2;
    q->e.repairs = repairs;
}

void mllm_tc_error(mllm_toolcall_parser *p, mllm_toolcall_fault fault, const char *message) {
    mllm_queued *q = queue(p, MLLM_TOOLCALL_ERROR, p->pos);
    if (!q) return;
    q->e.call = p->announced ? p->calls - 1 : p->calls;
    name_call(p, q);
    q->e.fault = fault;
    q->raw = keep(&p->raws, mllm_tc_at(p, p->call_start), (size_t)(p->pos - p->call_start));
    q->e.raw_length = (size_t)(p->pos - p->call_start);
    q->message = keep(&p->others, message, strlen(message) + 1);
    q->json = p->others.length;
    if (p->have_arguments)
        mllm_value_salvage(&p->value, &p->others);
    else
        mllm_buffer_put(&p->others, "{}", 2);
    q->e.json_length = p->others.length - q->json;
}

void mllm_tc_skipped(mllm_toolcall_parser *p, uint64_t from, uint64_t to) {
    if (to == from) return;
    mllm_queued *q = queue(p, MLLM_TOOLCALL_ERROR, from);
    if (!q) return;
    q->e.call = p->announced ? p->calls - 1 : p->calls;
    name_call(p, q);
    q->e.fault = MLLM_TOOLCALL_SKIPPED;
    q->raw = keep(&p->raws, mllm_tc_at(p, from), (size_t)(to - from));
    q->e.raw_length = (size_t)(to - from);
    q->message = keep(&p->others, "the rest of a broken call", sizeof "the rest of a broken call");
}

/* The path of the present leaf, packed into `others`: per step a key's length (or all ones), then the key or the index. */
static void put_path(mllm_toolcall_parser *p, mllm_queued *q) {
    q->path = p->others.length;
    for (int d = 0; d < p->value.depth; d++) {
        const mllm_value_frame *fr = &p->value.frames[d];
        uint32_t length = fr->kind == '[' ? UINT32_MAX : fr->length;
        mllm_buffer_put(&p->others, (const char *)&length, sizeof length);
        if (fr->kind == '[')
            mllm_buffer_put(&p->others, (const char *)&fr->index, sizeof fr->index);
        else
            mllm_buffer_put(&p->others, p->value.keys.data ? p->value.keys.data + fr->key : "", fr->length);
        q->e.path_length++;
    }
    if (q->e.path_length <= p->step_capacity) return;
    mllm_toolcall_step *s = mllm_realloc_array(p->steps, MLLM_VALUE_MAX_DEPTH, sizeof *s);
    if (!s) {
        p->failed = true;
        return;
    }
    p->steps = s;
    p->step_capacity = MLLM_VALUE_MAX_DEPTH;
}

static void leaf_event(mllm_toolcall_parser *p, unsigned phase, const char *raw, size_t raw_length, const char *text,
                       size_t text_length, bool string) {
    if (!p->announced) return;
    if (phase & MLLM_LEAF_BEGIN) {
        p->leaf++;
        p->leaf_text.length = 0;
        p->leaf_long = false;
    }
    mllm_queued *q = last(p, MLLM_TOOLCALL_ARGUMENT);
    if (!q || q->leaf != p->leaf || q->e.complete) {
        if (!(q = queue(p, MLLM_TOOLCALL_ARGUMENT, p->pos))) return;
        q->leaf = p->leaf;
        q->e.call = p->calls - 1;
        q->before = p->leaf_long ? SIZE_MAX : p->leaf_text.length;
        if (!p->leaf_long) mllm_buffer_put(&p->texts, p->leaf_text.data, p->leaf_text.length);
        q->text = p->texts.length;
        q->raw = p->raws.length;
        q->e.string = string;
        put_path(p, q);
    }
    mllm_buffer_put(&p->raws, raw, raw_length);
    q->e.raw_length += raw_length;
    mllm_buffer_put(&p->texts, text, text_length);
    q->e.text_length += text_length;
    p->leaf_long = p->leaf_long || p->leaf_text.length + text_length > MLLM_TOOLCALL_MAX_SO_FAR;
    if (p->leaf_long)
        q->before = SIZE_MAX;
    else
        mllm_buffer_put(&p->leaf_text, text, text_length);
    if (string) q->e.string = true;
    if (phase & MLLM_LEAF_END) {
        q->e.complete = true;
        q->e.json_length = p->value.json.length - p->value.leaf;
        q->json = keep(&p->others, p->value.json.data + p->value.leaf, q->e.json_length);
    }
}

void mllm_tc_leaf(void *owner, unsigned phase, const char *raw, size_t raw_length, const char *text,
                  size_t text_length) {
    mllm_toolcall_parser *p = owner;
    leaf_event(p, phase, raw, raw_length, text, text_length, (phase & MLLM_LEAF_STRING) != 0);
}

void mllm_tc_tag_piece(mllm_toolcall_parser *p, unsigned phase, const char *raw, size_t length, bool string) {
    leaf_event(p, phase, raw, length, raw, string ? length : 0, string);
}

/* ----------------------------------------------------------------- reading them */

bool mllm_toolcall_next(mllm_toolcall_parser *p, mllm_toolcall_event *event) {
    if (p->queue_read == p->queue_count) return false;
    mllm_queued *q = &p->queue[p->queue_read];
    *event = q->e;
    const char *others = p->others.data;
    if (q->e.text_length) event->text = p->texts.data + q->text;
    if (q->e.kind == MLLM_TOOLCALL_ARGUMENT && q->e.string && q->before != SIZE_MAX && p->texts.data) {
        event->so_far = p->texts.data + q->text - q->before;
        event->so_far_length = q->before + q->e.text_length;
    }
    if (q->e.raw_length) event->raw = p->raws.data + q->raw;
    if (q->e.name) event->name = others + q->name;
    if (q->e.id) event->id = others + q->id;
    if (q->e.json_length) event->json = others + q->json;
    if (q->e.fault) event->message = others + q->message;
    const char *at = others ? others + q->path : NULL;
    for (size_t i = 0; i < q->e.path_length; i++) {
        mllm_toolcall_step *s = &p->steps[i];
        memcpy(&s->length, at, sizeof s->length);
        at += sizeof s->length;
        if (s->length == UINT32_MAX) {
            s->key = NULL;
            s->length = 0;
            memcpy(&s->index, at, sizeof s->index);
            at += sizeof s->index;
        } else {
            s->key = at;
            s->index = 0;
            at += s->length;
        }
    }
    event->path = p->steps;
    p->queue_read++;
    return true;
}
