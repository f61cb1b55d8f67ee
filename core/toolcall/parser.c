#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "parser.h"

/* ------------------------------------------------------------------ construction */

/* Whether a marker of this kind is looked for at all. */
static bool wanted(const mllm_toolcall_parser *p, mllm_mark_kind kind, const mllm_spelling *s) {
    if (p->options.keep_reasoning && (kind == MARK_REASONING || kind == MARK_STRAY)) return false;
    /* Among several formats only what no text has is dropped from it: </s> is a tag of HTML too. */
    return kind != MARK_DROP || p->format_count == 1 || strspn(s->text, "</>abcdefghijklmnopqrstuvwxyz") < s->length;
}

/* The markers of all formats, grouped by first byte, in each group the formats in their order. */
static mllm_code collect_marks(mllm_toolcall_parser *p, mllm_error *err) {
    static const struct {
        mllm_toolcall_field field;
        mllm_mark_kind kind;
    } sources[] = {{F_SECTION_BEGIN, MARK_SECTION},   {F_CALL_BEGIN, MARK_CALL}, {F_REASONING_BEGIN, MARK_REASONING},
                   {F_REASONING_STRAY, MARK_STRAY},   {F_DROP, MARK_DROP},       {F_CHANNELS_BEGIN, MARK_CHANNEL},
                   {F_CHANNELS_END, MARK_CHANNEL_END}};
    enum { SOURCES = sizeof sources / sizeof *sources };
    uint16_t next[256];
    for (int placing = 0; placing < 2; placing++) { /* first they are counted, then put where they belong */
        for (int f = 0; f < p->format_count; f++) {
            for (int s = 0; s < SOURCES; s++) {
                const mllm_spellings *list = &p->formats[f]->fields[sources[s].field];
                for (int i = 0; i < list->count; i++) {
                    unsigned char first = (unsigned char)list->items[i].text[0];
                    if (!wanted(p, sources[s].kind, &list->items[i])) continue;
                    if (placing)
                        p->marks[next[first]++] = (mllm_mark){&list->items[i], sources[s].kind, f};
                    else
                        p->first_mark[first + 1]++;
                }
            }
        }
        if (placing) break;
        for (int c = 0; c < 256; c++) {
            p->hot[c] = p->first_mark[c + 1] > 0;
            p->first_mark[c + 1] = (uint16_t)(p->first_mark[c + 1] + p->first_mark[c]);
            next[c] = p->first_mark[c];
        }
        size_t total = p->first_mark[256];
        p->marks = mllm_alloc_array(total, sizeof *p->marks);
        if (!p->marks) return mllm_fail_memory(err, total * sizeof *p->marks, "markers");
    }
    for (int f = 0; f < p->format_count; f++) {
        const mllm_toolcall_format *format = p->formats[f];
        if (!format->bare) continue;
        if (format->body == BODY_JSON) p->hot['{'] = true;
        if (format->body == BODY_JSON || format->list) p->hot['['] = true;
        if (format->line) p->hot['\n'] = p->any_line = true;
    }
    for (int f = 0; f < p->format_count; f++) {
        if (p->formats[f]->start && p->formats[f]->body == BODY_NAMED) p->any_line = true;
    }
    return MLLM_OK;
}

mllm_toolcall_parser *mllm_toolcall_parser_new(mllm_toolcall_format *const *formats, size_t count,
                                               const mllm_toolcall_options *options, mllm_error *err) {
    if (count < 1 || count > MLLM_TOOLCALL_MAX_FORMATS) {
        mllm_fail(err, MLLM_E_ARGUMENT, "a tool call parser takes 1 to %d formats, got %zu", MLLM_TOOLCALL_MAX_FORMATS,
                  count);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (mllm_toolcall_format_check(formats[i], err) != MLLM_OK) return NULL;
    mllm_toolcall_parser *p = mllm_calloc(1, sizeof *p);
    if (p) p->formats = mllm_alloc_array(count, sizeof *p->formats);
    if (!p || !p->formats) {
        mllm_free(p);
        mllm_fail_memory(err, sizeof *p, "a tool call parser");
        return NULL;
    }
    for (size_t i = 0; i < count; i++) p->formats[i] = mllm_toolcall_format_retain(formats[i]);
    p->format_count = (int)count;
    if (options) p->options = *options;
    p->limit = p->options.limit ? p->options.limit : (size_t)1 << 20;
    if (collect_marks(p, err) != MLLM_OK) {
        mllm_toolcall_parser_free(p);
        return NULL;
    }
    p->value.owner = p->side.owner = p;
    p->value.leaf_seen = mllm_tc_leaf;
    p->value.repair = p->side.repair = p->options.repair;
    p->value.limit = p->side.limit = p->limit;
    mllm_toolcall_reset(p);
    return p;
}

void mllm_toolcall_parser_free(mllm_toolcall_parser *p) {
    if (!p) return;
    for (int i = 0; i < p->format_count; i++) mllm_toolcall_format_release(p->formats[i]);
    for (uint32_t i = 0; i < p->tool_count; i++) mllm_free(p->tools[i].name);
    for (uint32_t i = 0; i < p->argument_count; i++) mllm_free(p->arguments[i].name);
    mllm_free(p->formats);
    mllm_free(p->marks);
    mllm_free(p->tools);
    mllm_free(p->arguments);
    mllm_buffer *buffers[] = {&p->input, &p->name,   &p->id,       &p->texts,
                              &p->raws,  &p->others, &p->snapshot, &p->leaf_text};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) mllm_buffer_free(buffers[i]);
    mllm_value_free(&p->value);
    mllm_value_free(&p->side);
    mllm_free(p->queue);
    mllm_free(p->steps);
    mllm_free(p);
}

static void clear_queue(mllm_toolcall_parser *p) {
    p->queue_count = p->queue_read = 0;
    p->texts.length = p->raws.length = p->others.length = 0;
}

static void begin_candidate(mllm_toolcall_parser *p, int count);

void mllm_toolcall_reset(mllm_toolcall_parser *p) {
    mllm_buffer *buffers[] = {&p->input, &p->name, &p->id, &p->texts, &p->raws, &p->others, &p->leaf_text};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        buffers[i]->length = 0;
        buffers[i]->failed = false;
    }
    clear_queue(p);
    mllm_value_start(&p->value);
    mllm_value_start(&p->side);
    p->base = p->start = p->pos = 0;
    p->before = '\n';
    p->horizon = UINT64_MAX;
    p->spaces = 0;
    p->eof = p->failed = false;
    p->phase = p->options.reasoning_open ? PHASE_REASONING : PHASE_TEXT;
    p->line = p->hold_space = p->fresh = true;
    p->drop_space = p->options.reasoning_open;
    p->after_call = p->trial = p->forced = p->list_open = p->in_call = p->section_open = p->announced = false;
    p->have_name = p->have_id = p->have_arguments = p->text_arguments = false;
    p->calls = 0;
    p->leaf = 0;
    p->f = p->formats[0];
    p->text_format = 0;
    p->skip_escape = false;
    p->channel_text = false;
    for (int i = 0; i < p->format_count && !p->options.reasoning_open; i++) {
        if (!p->formats[i]->start) continue;
        if (p->formats[i]->body == BODY_CHANNELS) {
            p->text_format = i;
            mllm_tc_header_begin(p);
            break;
        }
        if (i == 0) { /* the name of a call, or text */
            p->readings[0] = (mllm_reading){MARK_BARE, 0, 0};
            begin_candidate(p, 1);
            break;
        }
    }
}

static bool copy_name(mllm_error *err, char **out, const char *s, size_t n) {
    *out = mllm_strndup(s, n);
    if (!*out) mllm_fail_memory(err, n, "the name of a tool");
    return *out != NULL;
}

mllm_code mllm_toolcall_parser_declare(mllm_toolcall_parser *p, const char *tool, size_t tool_length,
                                       const char *argument, size_t argument_length, unsigned types, mllm_error *err) {
    if (tool_length > MLLM_TOOLCALL_MAX_NAME || (argument && argument_length > MLLM_TOOLCALL_MAX_NAME))
        return mllm_fail(err, MLLM_E_LIMIT, "the name of a tool or an argument has more than %d bytes",
                         MLLM_TOOLCALL_MAX_NAME);
    uint32_t at = p->tool_count;
    if (at && p->tools[at - 1].length == tool_length && memcmp(p->tools[at - 1].name, tool, tool_length) == 0)
        at--; /* one more argument of the last one */
    else
        for (at = 0; at < p->tool_count; at++)
            if (p->tools[at].length == tool_length && memcmp(p->tools[at].name, tool, tool_length) == 0) break;
    if (at == p->tool_count) {
        mllm_declared_tool *t = mllm_realloc_array(p->tools, (size_t)at + 1, sizeof *t);
        if (!t) return mllm_fail_memory(err, sizeof *t, "a tool");
        p->tools = t;
        t[at] = (mllm_declared_tool){.length = (uint32_t)tool_length};
        if (!copy_name(err, &t[at].name, tool, tool_length)) return MLLM_E_MEMORY;
        p->tool_count++;
    }
    if (!argument) {
        p->tools[at].others = types;
        return MLLM_OK;
    }
    mllm_declared_argument *a = mllm_realloc_array(p->arguments, (size_t)p->argument_count + 1, sizeof *a);
    if (!a) return mllm_fail_memory(err, sizeof *a, "an argument");
    p->arguments = a;
    a += p->argument_count;
    *a = (mllm_declared_argument){.length = (uint32_t)argument_length, .next = p->tools[at].arguments, .types = types};
    if (!copy_name(err, &a->name, argument, argument_length)) return MLLM_E_MEMORY;
    p->tools[at].arguments = ++p->argument_count;
    return MLLM_OK;
}

/* ----------------------------------------------------------------------- matching */

int mllm_tc_match(mllm_toolcall_parser *p, const mllm_toolcall_field *fields, int count, size_t *length) {
    size_t left = mllm_tc_left(p), best = 0;
    const char *at = mllm_tc_at(p, p->pos);
    int found = -1;
    bool wait = false;
    if (!left) return p->eof ? -1 : -2;
    for (int k = 0; k < count; k++) {
        const mllm_spellings *list = &p->f->fields[fields[k]];
        for (int i = 0; i < list->count; i++) {
            const mllm_spelling *s = &list->items[i];
            if (s->text[0] != *at || s->length <= best) continue;
            size_t n = s->length < left ? s->length : left;
            if (memcmp(s->text, at, n) != 0) continue;
            if (n < s->length) {
                wait = true;
                continue;
            }
            best = s->length;
            found = k;
        }
    }
    if (wait && !p->eof) return -2;
    *length = best;
    return found;
}

/* The readings of what stands at `pos` in text: literal markers (the longest), then formats whose calls need none. Their number; -2:
 * the next bytes decide. */
static int find_readings(mllm_toolcall_parser *p) {
    const char *at = mllm_tc_at(p, p->pos);
    size_t left = mllm_tc_left(p), best = 0;
    unsigned char first = (unsigned char)*at;
    bool wait = false;
    int count = 0;
    for (int i = p->first_mark[first]; i < p->first_mark[first + 1]; i++) {
        const mllm_spelling *s = p->marks[i].spelling;
        size_t n = s->length < left ? s->length : left;
        if (s->length < best || memcmp(s->text, at, n) != 0) continue;
        if (n < s->length) {
            wait = true;
            continue;
        }
        if (s->length > best) count = 0;
        best = s->length;
        if (count < MLLM_TOOLCALL_MAX_FORMATS)
            p->readings[count++] = (mllm_reading){p->marks[i].kind, p->marks[i].format, (uint32_t)s->length};
    }
    if (wait && !p->eof) return -2;
    bool word = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '_';
    for (int i = 0; i < p->format_count && (first == '{' || first == '[' || word); i++) {
        const mllm_toolcall_format *f = p->formats[i];
        bool start = f->start && f->body == BODY_NAMED && p->pos == 0 && p->tool_count && word;
        if (!start && (!f->bare || (f->line && !p->line))) continue;
        /* Programs are full of what looks like Python's calls: among several formats, tools must be declared, or the message begin so. */
        if (f->body == BODY_PYTHON && p->format_count > 1 && !p->tool_count && !p->fresh) continue;
        bool here = start ? true : f->body == BODY_JSON ? first == '{' || first == '[' : f->list ? first == '[' : word;
        if (here && count < 2 * MLLM_TOOLCALL_MAX_FORMATS) p->readings[count++] = (mllm_reading){MARK_BARE, i, 0};
    }
    return count;
}

/* --------------------------------------------------------------------- candidates */

/* White space only, up to `to`. */
static bool blank(const mllm_toolcall_parser *p, uint64_t from, uint64_t to) {
    for (; from < to; from++)
        if (!mllm_tc_space(*mllm_tc_at(p, from))) return false;
    return true;
}

static void start_reading(mllm_toolcall_parser *p) {
    const mllm_reading *r = &p->readings[p->reading];
    p->f = p->formats[r->format];
    p->kind = r->kind;
    p->pos = p->origin + r->skip;
    p->call_start = p->origin;
    p->list_open = p->announced = p->have_name = p->have_id = p->have_arguments = p->body_seen = false;
    p->section_open = r->kind == MARK_SECTION;
    p->in_call = r->kind != MARK_SECTION;
    p->phase = PHASE_GAP;
    if (r->kind == MARK_CALL) mllm_tc_body(p);
}

static void begin_candidate(mllm_toolcall_parser *p, int count) {
    p->origin = p->pos;
    p->reading_count = count;
    p->reading = 0;
    p->furthest = -1;
    p->trial = true;
    p->forced = false;
    start_reading(p);
}

/* What was held is text after all. */
static void release_candidate(mllm_toolcall_parser *p) {
    uint64_t to = p->pos - p->origin > HELD_RESCAN ? p->pos : p->origin + 1, end = p->base + p->input.length;
    if (to > end) to = end;
    mllm_tc_text(p, MLLM_TOOLCALL_TEXT, p->start, to);
    p->line = p->hold_space = p->after_call = p->fresh = false;
    for (uint64_t i = to; i > p->start; i--) {
        char c = *mllm_tc_at(p, i - 1);
        if (c == '\n') p->line = true;
        if (c != ' ' && c != '\t') break;
    }
    p->start = p->pos = to;
    p->trial = false;
    p->phase = PHASE_TEXT;
}

/* This reading is out; the next one, or text. */
static void refuse_reading(mllm_toolcall_parser *p) {
    const mllm_reading *r = &p->readings[p->reading];
    bool explicit = r->kind != MARK_BARE && !(p->f->weak && r->kind == MARK_SECTION);
    if (p->body_seen && explicit && p->furthest < 0) p->furthest = p->reading;
    if (++p->reading < p->reading_count) {
        start_reading(p);
        return;
    }
    if (p->furthest >= 0) { /* a marker and the beginning of a call: the fault is worth telling */
        p->reading = p->furthest;
        p->forced = true;
        start_reading(p);
        return;
    }
    release_candidate(p);
}

void mllm_tc_certain(mllm_toolcall_parser *p) {
    if (!p->trial) return;
    if (!(p->hold_space && blank(p, p->start, p->origin))) mllm_tc_text(p, MLLM_TOOLCALL_TEXT, p->start, p->origin);
    p->start = p->origin;
    p->trial = p->forced = false;
    p->hold_space = p->after_call = false;
}

void mllm_tc_announce(mllm_toolcall_parser *p) {
    mllm_tc_certain(p);
    mllm_tc_begin(p);
    p->tool = mllm_tc_tool(p, p->name.data, p->name.length);
}

void mllm_tc_broken(mllm_toolcall_parser *p, mllm_toolcall_fault fault, const char *message) {
    if (p->trial && !p->forced) {
        refuse_reading(p);
        return;
    }
    mllm_tc_certain(p);
    mllm_tc_error(p, fault, message);
    p->start = p->pos;
    p->skip_quote = 0;
    p->skip_escape = false;
    p->skip_depth = 0;
    if (p->phase == PHASE_OBJECT)
        p->skip_depth = mllm_tc_object_open(p) + mllm_tc_object_inside(p, &p->skip_quote);
    else if (p->phase == PHASE_ARGUMENTS && p->have_arguments) {
        p->skip_depth = p->value.depth;
        if (mllm_value_in_string(&p->value)) p->skip_quote = p->value.quote;
    }
    p->phase = PHASE_SKIP;
}

/* --------------------------------------------------------------------------- text */

/* Tells of the text up to `pos`, unless it is white space that a marker may claim. */
static void tell_text(mllm_toolcall_parser *p) {
    if (p->hold_space) {
        if (p->pos - p->start < HELD_SPACE && blank(p, p->start, p->pos)) return;
        p->hold_space = p->after_call = false;
    }
    if (p->pos > p->start) p->fresh = false;
    mllm_tc_text(p, MLLM_TOOLCALL_TEXT, p->start, p->pos);
    p->start = p->pos;
}

static bool act_on_mark(mllm_toolcall_parser *p, int count) {
    mllm_reading r = p->readings[0];
    if (r.kind == MARK_SECTION || r.kind == MARK_CALL || r.kind == MARK_BARE) {
        begin_candidate(p, count);
        return true;
    }
    if (!p->hold_space) tell_text(p);
    p->f = p->formats[r.format];
    p->pos += r.skip;
    p->start = p->pos;
    p->line = false;
    if (r.kind == MARK_REASONING) {
        p->text_format = r.format;
        p->phase = PHASE_REASONING;
        p->drop_space = true;
    } else if (r.kind == MARK_CHANNEL) {
        p->text_format = r.format;
        p->pos -= r.skip;
        p->start = p->pos;
        mllm_tc_header_begin(p);
    } else if (r.kind == MARK_CHANNEL_END && p->channel_text) {
        mllm_tc_text(p, MLLM_TOOLCALL_TEXT, p->pos - r.skip, p->pos);
        p->channel_text = false;
    }
    return true;
}

static mllm_step text(mllm_toolcall_parser *p) {
    for (;;) {
        size_t left = mllm_tc_left(p);
        const char *s = mllm_tc_at(p, p->pos);
        size_t i = 0;
        if (p->drop_space) {
            while (i < left && mllm_tc_space(s[i])) p->line |= s[i++] == '\n';
            p->pos += i;
            p->start = p->pos;
            if (i == left) return STEP_WAIT;
            p->drop_space = false;
            continue;
        }
        bool word = false;
        while (i < left) {
            unsigned char c = (unsigned char)s[i];
            if (p->line) {
                if (c == ' ' || c == '\t' || c == '\n') {
                    if (p->hot[c] && p->first_mark[c] < p->first_mark[c + 1]) break;
                    i++;
                    continue;
                }
                word = p->any_line && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_');
                if (word || p->hot[c]) break;
                p->line = false;
            }
            if (p->hot[c]) break;
            i++;
        }
        p->pos += i;
        if (i == left) {
            tell_text(p);
            return STEP_WAIT;
        }
        tell_text(p);
        int count = find_readings(p);
        if (count == -2) return STEP_WAIT;
        if (count > 0) {
            act_on_mark(p, count);
            return STEP_ON;
        }
        p->line = *mllm_tc_at(p, p->pos) == '\n';
        p->pos++;
    }
}

/* ----------------------------------------------------------------------- thoughts */

static mllm_step reasoning(mllm_toolcall_parser *p) {
    static const mllm_toolcall_field plain[] = {F_REASONING_END, F_SECTION_BEGIN, F_CALL_BEGIN},
                                     channels[] = {F_CHANNELS_END, F_CHANNELS_BEGIN};
    p->f = p->formats[p->text_format];
    const mllm_toolcall_field *ends = p->f->body == BODY_CHANNELS ? channels : plain;
    int fields = p->f->body == BODY_CHANNELS ? 2 : p->f->reasoning_calls ? 3 : 1;
    while (mllm_tc_left(p)) {
        char c = *mllm_tc_at(p, p->pos);
        if (mllm_tc_space(c)) {
            p->pos++;
            if (p->drop_space)
                p->start = p->pos;
            else
                p->spaces++;
            continue;
        }
        size_t length;
        int found = mllm_tc_match(p, ends, fields, &length);
        /* Formats whose calls may stand in thoughts, whoever began these. */
        for (int i = 0; i < p->format_count && found == -1 && p->hot[(unsigned char)c]; i++) {
            if (!p->formats[i]->reasoning_calls || i == p->text_format) continue;
            p->f = p->formats[i];
            found = mllm_tc_match(p, plain + 1, 2, &length);
            if (found >= 0) found++;
            p->f = p->formats[p->text_format];
        }
        if (found == -2) break;
        if (found >= 0) { /* white space before the marker is its own */
            mllm_tc_text(p, MLLM_TOOLCALL_REASONING, p->start, p->pos - (p->spaces < HELD_SPACE ? p->spaces : 0));
            if (found == 0) p->pos += length;
            p->start = p->pos;
            p->phase = PHASE_TEXT;
            p->drop_space = found == 0;
            p->hold_space = p->after_call = false;
            p->line = true;
            p->spaces = 0;
            return STEP_ON;
        }
        p->drop_space = false;
        p->spaces = 0;
        p->pos++;
    }
    uint64_t to = p->pos - (p->spaces < HELD_SPACE && !p->eof ? p->spaces : 0);
    if (to > p->start) {
        mllm_tc_text(p, MLLM_TOOLCALL_REASONING, p->start, to);
        p->start = to;
    }
    return STEP_WAIT;
}

/* ------------------------------------------------------------------------- driving */

static mllm_step step(mllm_toolcall_parser *p) {
    switch (p->phase) {
    case PHASE_TEXT: return text(p);
    case PHASE_REASONING: return reasoning(p);
    case PHASE_GAP: return mllm_tc_gap(p);
    case PHASE_NAME: return mllm_tc_name(p);
    case PHASE_ID: return mllm_tc_id(p);
    case PHASE_ARGUMENTS: return mllm_tc_arguments(p);
    case PHASE_OBJECT: return mllm_tc_object(p);
    case PHASE_SKIP: return mllm_tc_skip(p);
    case PHASE_HEADER: return mllm_tc_header(p);
    default: return mllm_tc_tags(p);
    }
}

static bool out_of_memory(const mllm_toolcall_parser *p) {
    return p->failed || p->input.failed || p->name.failed || p->id.failed || p->texts.failed || p->raws.failed ||
           p->others.failed || p->value.json.failed || p->value.keys.failed || p->side.json.failed ||
           p->side.keys.failed;
}

static mllm_code memory_failed(mllm_toolcall_parser *p, mllm_error *err) {
    p->failed = true;
    clear_queue(p);
    return mllm_fail(err, MLLM_E_MEMORY, "not enough memory for a tool call at byte %llu", (unsigned long long)p->pos);
}

static mllm_code run(mllm_toolcall_parser *p, mllm_error *err) {
    for (;;) {
        if (out_of_memory(p)) return memory_failed(p, err);
        p->horizon = UINT64_MAX;
        bool in_call = p->phase != PHASE_TEXT && p->phase != PHASE_REASONING && p->phase != PHASE_GAP;
        if (p->trial)
            p->horizon = p->origin + HELD_MOST;
        else if (p->phase == PHASE_SKIP)
            p->horizon = p->start + HELD_MOST;
        else if (in_call)
            p->horizon = p->call_start + 2 * p->limit + HELD_MOST;
        if (step(p) == STEP_ON) continue;
        if (p->base + p->input.length <= p->horizon) return MLLM_OK;
        /* The bound was reached, and there is more. */
        if (p->trial) {
            p->pos = p->horizon;
            release_candidate(p);
        } else if (p->phase == PHASE_SKIP) {
            mllm_tc_skipped(p, p->start, p->pos);
            p->start = p->pos;
        } else {
            p->pos = p->horizon;
            mllm_tc_broken(p, MLLM_TOOLCALL_LIMIT, "the call is longer than its limit");
        }
    }
}

/* Forgets the bytes that are accounted for. Keeps the move cheap: only when it frees half of the buffer. */
static void compact(mllm_toolcall_parser *p) {
    size_t gone = (size_t)(p->start - p->base);
    if (!gone || gone < p->input.length / 2) return;
    p->before = p->input.data[gone - 1];
    memmove(p->input.data, p->input.data + gone, p->input.length - gone);
    p->input.length -= gone;
    p->base = p->start;
}

mllm_code mllm_toolcall_feed(mllm_toolcall_parser *p, const char *bytes, size_t length, mllm_error *err) {
    if (p->eof)
        return mllm_fail(err, MLLM_E_ARGUMENT, "the tool call parser is finished: reset it before feeding more");
    clear_queue(p);
    mllm_code code = MLLM_OK;
    /* In slices, so that a long text needs no second copy. */
    while (length && !code) {
        size_t n = length < 65536 ? length : 65536;
        compact(p);
        mllm_buffer_put(&p->input, bytes, n);
        code = run(p, err);
        bytes += n;
        length -= n;
    }
    return code || !out_of_memory(p) ? code : memory_failed(p, err);
}

bool mllm_toolcall_partial(mllm_toolcall_parser *p, mllm_toolcall_event *event) {
    bool in_call =
        p->phase != PHASE_TEXT && p->phase != PHASE_REASONING && p->phase != PHASE_GAP && p->phase != PHASE_SKIP;
    if (!in_call || !p->announced || p->eof) return false;
    memset(event, 0, sizeof *event);
    p->snapshot.length = 0;
    p->snapshot.failed = false;
    if (p->have_arguments)
        mllm_value_snapshot(&p->value, &p->snapshot);
    else
        mllm_buffer_put(&p->snapshot, "{}", 2);
    if (p->snapshot.failed) return false;
    event->kind = MLLM_TOOLCALL_CALL_END;
    event->call = p->calls - 1;
    event->position = p->call_start;
    event->name = p->name.data;
    event->name_length = p->name.length;
    event->id = p->have_id ? p->id.data : NULL;
    event->id_length = p->have_id ? p->id.length : 0;
    event->json = p->snapshot.data;
    event->json_length = p->snapshot.length;
    event->format = p->f->name;
    return true;
}

/* What stands open at the end of the input. True: there is more to read. */
static bool wind_up(mllm_toolcall_parser *p) {
    switch (p->phase) {
    case PHASE_TEXT:
        p->pos = p->base + p->input.length;
        if (p->hold_space && p->after_call && blank(p, p->start, p->pos)) p->start = p->pos;
        mllm_tc_text(p, MLLM_TOOLCALL_TEXT, p->start, p->pos);
        p->start = p->pos;
        return false;
    case PHASE_REASONING: return false;
    case PHASE_SKIP:
        p->pos = p->base + p->input.length;
        mllm_tc_skipped(p, p->start, p->pos);
        p->start = p->pos;
        return false;
    case PHASE_GAP:
        if (!p->trial && !p->in_call) { /* between calls */
            p->pos = p->start;
            p->phase = PHASE_TEXT;
            p->hold_space = p->after_call = true;
            return true;
        }
        break;
    case PHASE_HEADER:
        if (p->start == p->base + p->input.length) return false;
        break;
    default: break;
    }
    const mllm_reading *r = &p->readings[p->reading];
    uint64_t end = p->base + p->input.length;
    if (p->trial && !p->forced && (r->kind == MARK_BARE || p->f->weak || blank(p, p->origin + r->skip, end))) {
        refuse_reading(p);
        return true;
    }
    if (p->announced && p->options.repair && p->phase == PHASE_ARGUMENTS && mllm_value_close(&p->value)) {
        mllm_tc_call_done(p);
        return true;
    }
    if (p->announced && p->options.repair && p->phase == PHASE_OBJECT && mllm_tc_object_close(p)) return true;
    mllm_tc_certain(p);
    p->pos = end;
    mllm_tc_error(p, MLLM_TOOLCALL_UNFINISHED, "the message ends inside a call");
    p->start = p->pos;
    p->phase = PHASE_TEXT;
    p->hold_space = p->after_call = true;
    return false;
}

mllm_code mllm_toolcall_finish(mllm_toolcall_parser *p, mllm_error *err) {
    if (p->eof) return mllm_fail(err, MLLM_E_ARGUMENT, "the tool call parser is finished already");
    clear_queue(p);
    p->eof = true;
    mllm_code code;
    do code = run(p, err);
    while (!code && wind_up(p));
    return code || !out_of_memory(p) ? code : memory_failed(p, err);
}
