/* header.c - messages in channels (harmony): a header names channel and recipient, then the message begins.
 *   <|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{...}<|call|>
 * The prompt may end inside the header, so that a message can begin with any part of it. */
#include <string.h>

#include "parser.h"

void mllm_tc_header_begin(mllm_toolcall_parser *p) {
    p->f = p->formats[p->text_format];
    p->kind = MARK_CHANNEL;
    p->mark = p->pos;
    p->call_start = p->pos;
    p->announced = p->have_name = p->have_id = p->have_arguments = p->text_arguments = false;
    p->header_sure = false;
    p->phase = PHASE_HEADER;
}

/* The last place of a spelling of `field` in s[n]; *length its bytes. NULL: none. */
static const char *find_last(const mllm_toolcall_parser *p, mllm_toolcall_field field, const char *s, size_t n,
                             size_t *length) {
    const mllm_spellings *list = &p->f->fields[field];
    for (size_t i = n; i-- > 0;) {
        for (int k = 0; k < list->count; k++) {
            const mllm_spelling *x = &list->items[k];
            if (n - i < x->length || memcmp(s + i, x->text, x->length) != 0) continue;
            *length = x->length;
            return s + i;
        }
    }
    return NULL;
}

static size_t word_length(const char *s, const char *end) {
    const char *at = s;
    while (at < end && !mllm_tc_space(*at) && *at != '<') at++;
    return (size_t)(at - s);
}

/* The header is [start, pos), the message follows. */
static void read_header(mllm_toolcall_parser *p, size_t message) {
    const char *s = mllm_tc_at(p, p->start);
    size_t n = (size_t)(p->pos - p->start), length;
    const char *end = s + n, *to = find_last(p, F_RECIPIENT, s, n, &length);
    const char *recipient = to ? to + length : NULL;
    size_t recipient_length = to ? word_length(recipient, end) : 0;
    const char *channel = find_last(p, F_CHANNELS_BEGIN, s, n, &length);
    size_t channel_length = channel ? word_length(channel + length, end) : 0;
    if (channel) channel += length;
    bool thought = channel && mllm_toolcall_format_is(p->f, F_CHANNELS_REASONING, channel, channel_length);
    const mllm_spellings *prefixes = &p->f->fields[F_NAME_PREFIX];
    for (int i = 0; i < prefixes->count && recipient; i++) {
        const mllm_spelling *x = &prefixes->items[i];
        if (recipient_length <= x->length || memcmp(recipient, x->text, x->length) != 0) continue;
        p->name.length = 0;
        mllm_buffer_put(&p->name, recipient + x->length, recipient_length - x->length);
        p->have_name = true;
        p->pos += message;
        p->phase = PHASE_ARGUMENTS;
        mllm_tc_announce(p);
        return;
    }
    p->pos += message;
    if (recipient && !mllm_toolcall_format_is(p->f, F_TEXT_NAME, recipient, recipient_length)) {
        p->name.length = 0;
        mllm_buffer_put(&p->name, recipient, recipient_length);
        p->have_name = true;
        mllm_tc_broken(p, MLLM_TOOLCALL_BROKEN, "the recipient of the message is no declared function");
        return;
    }
    p->line = true;
    p->drop_space = p->hold_space = p->after_call = false;
    if (thought && p->options.keep_reasoning) {
        mllm_tc_text(p, MLLM_TOOLCALL_TEXT, p->start, p->pos);
        p->channel_text = true;
        thought = false;
    }
    p->start = p->pos;
    p->phase = thought ? PHASE_REASONING : PHASE_TEXT;
    p->drop_space = thought;
}

mllm_step mllm_tc_header(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field begins[] = {F_CHANNELS_BEGIN, F_RECIPIENT}, marks[] = {F_CHANNELS_MESSAGE};
    size_t length;
    if (!p->header_sure) { /* at the beginning of a message: a header or plain text */
        if (!mllm_tc_left(p)) return STEP_WAIT;
        int found = mllm_tc_match(p, begins, 2, &length);
        if (found == -2) return STEP_WAIT;
        if (found < 0) {
            p->phase = PHASE_TEXT;
            return STEP_ON;
        }
        p->header_sure = true;
    }
    while (mllm_tc_left(p)) {
        int found = mllm_tc_match(p, marks, 1, &length);
        if (found == -2) return STEP_WAIT;
        if (found == 0) {
            read_header(p, length);
            return STEP_ON;
        }
        p->pos++;
        if (p->pos - p->start < MLLM_TOOLCALL_MAX_HEADER) continue;
        mllm_tc_text(p, MLLM_TOOLCALL_TEXT, p->start, p->pos); /* no header is that long */
        p->start = p->pos;
        p->phase = PHASE_TEXT;
        return STEP_ON;
    }
    return STEP_WAIT;
}
