/* parser.h - the parser's state, shared by the files that read its phases.
 *
 * The input is kept from `start` on: the first byte that no event has accounted for. `pos` is the next byte to look at. Both are
 * distances from the beginning of the message; a byte is input.data[pos - base]. A candidate that turns out to be no call costs
 * a step back to its origin, so what a candidate may hold is bounded. */
#ifndef MLLM_TOOLCALL_PARSER_H
#define MLLM_TOOLCALL_PARSER_H

#include "format.h"
#include "value.h"

typedef enum {
    PHASE_TEXT,
    PHASE_REASONING,
    PHASE_GAP, /* where a call may begin or end, between calls */
    PHASE_NAME,
    PHASE_ID,
    PHASE_ARGUMENTS,
    PHASE_OBJECT, /* the object that holds name and arguments (json) */
    PHASE_TAGS, /* between arguments (tagged) */
    PHASE_TAG_KEY,
    PHASE_TAG_OPEN, /* between key and value */
    PHASE_TAG_VALUE,
    PHASE_SKIP, /* the rest of a broken call */
    PHASE_HEADER /* of a message (channels) */
} mllm_toolcall_phase;

/* What a phase says: it got on, or it needs more input. */
typedef enum { STEP_ON, STEP_WAIT } mllm_step;

/* A marker that may stand in text. */
typedef enum {
    MARK_SECTION,
    MARK_CALL,
    MARK_REASONING,
    MARK_STRAY,
    MARK_DROP,
    MARK_CHANNEL,
    MARK_CHANNEL_END,
    MARK_BARE
} mllm_mark_kind;

typedef struct {
    const mllm_spelling *spelling;
    mllm_mark_kind kind;
    int format;
} mllm_mark;

/* One reading of a candidate. */
typedef struct {
    mllm_mark_kind kind;
    int format;
    uint32_t skip; /* bytes of the marker */
} mllm_reading;

typedef struct {
    char *name; /* owned */
    uint32_t length;
    uint32_t arguments; /* index of the first in `arguments` of the parser's list, + 1; 0: none */
    unsigned others; /* types of arguments that are not declared */
} mllm_declared_tool;

typedef struct {
    char *name; /* owned */
    uint32_t length;
    uint32_t next; /* index + 1 of the tool's next argument */
    unsigned types;
} mllm_declared_argument;

/* Offsets into the arenas instead of pointers, because these grow. */
typedef struct {
    mllm_toolcall_event e;
    size_t text, raw, name, id, json, path, message;
    uint64_t leaf; /* pieces of one leaf share a number */
    size_t before; /* bytes of the leaf in front of `text`, in the same arena; SIZE_MAX: left out */
} mllm_queued;

enum {
    OBJECT_DEPTH = 8,
    HELD_RESCAN =
        512, /* a candidate of fewer bytes is searched again from its second byte on, when it turns out to be none */
    HELD_MOST = 65536, /* bytes of a candidate, of one report of skipped bytes */
    HELD_SPACE = 1024 /* white space that may belong to a marker */
};

typedef struct {
    char kind; /* '{' '[' */
    bool call; /* the object that holds the name */
    bool used; /* it held a call, text, or a list of calls */
} mllm_object_level;

struct mllm_toolcall_parser {
    mllm_toolcall_format **formats;
    int format_count;
    mllm_toolcall_options options;
    mllm_mark *marks; /* sorted by first byte, then by format */
    uint16_t first_mark[257];
    bool hot[256]; /* bytes at which text needs a second look */
    bool any_line;
    mllm_declared_tool *tools;
    uint32_t tool_count;
    mllm_declared_argument *arguments;
    uint32_t argument_count;

    mllm_buffer input;
    uint64_t base, start, pos;
    uint64_t horizon; /* no byte from here on is looked at by the present phase */
    uint32_t spaces; /* thoughts: white space at their end so far */
    char before; /* the byte before input.data[0] */
    bool eof, failed;
    mllm_toolcall_phase phase;
    bool line; /* text: only blanks since the line began */
    bool hold_space; /* text: white space since `start` may belong to a marker */
    bool drop_space; /* text: it does */
    bool fresh; /* no text was told yet */
    bool after_call; /* the held white space follows a call */
    int text_format; /* format whose channel the text belongs to */

    /* the candidate */
    bool trial; /* not certain yet */
    bool forced; /* its faults are reported: an explicit marker and a beginning of a call were there */
    uint64_t origin;
    mllm_reading readings[2 * MLLM_TOOLCALL_MAX_FORMATS];
    int reading_count, reading;
    int furthest; /* reading that saw the beginning of a body after an explicit marker; -1 */
    bool body_seen;

    /* the section and the call in it */
    const mllm_toolcall_format *f;
    mllm_mark_kind kind;
    bool list_open, in_call, section_open;
    bool announced;
    uint64_t call_start; /* where the call's bytes begin */
    uint32_t calls; /* announced so far */
    mllm_buffer name, id;
    bool have_name, have_id, have_arguments;
    uint64_t mark; /* beginning of a name, a key, a value */
    uint64_t told; /* bytes of a tagged value that events have told of */
    uint64_t arguments_from, arguments_to;
    bool text_arguments; /* the object stands inside a JSON string */
    mllm_value_status text_status; /* of that object */
    mllm_value value; /* the arguments */
    mllm_value side; /* other values: names, ids, strings that hold arguments, tagged values */
    uint64_t leaf;
    bool leaf_open;
    int object_state, object_role;
    mllm_object_level objects[OBJECT_DEPTH];
    int object_depth;
    const mllm_declared_tool *tool;
    unsigned types; /* of the present tagged value */
    int value_kind; /* 0 by the schema, 1 text, 2 JSON */
    bool value_trimmed; /* its first line end is gone */
    int skip_depth;
    char skip_quote;
    bool skip_escape;
    bool header_sure;
    bool channel_text; /* thoughts of a channel that are told as text, markers and all */

    mllm_queued *queue;
    size_t queue_count, queue_capacity, queue_read;
    mllm_buffer texts, raws, others, snapshot;
    mllm_buffer leaf_text; /* the string that is being written, as long as it is short */
    bool leaf_long;
    mllm_toolcall_step *steps;
    size_t step_capacity;
    size_t limit;
};

/* Input. */
static inline const char *mllm_tc_at(const mllm_toolcall_parser *p, uint64_t pos) {
    return p->input.data + (size_t)(pos - p->base);
}
/* Bytes that may be looked at: what is there, up to the bound of what is being read. */
static inline size_t mllm_tc_left(const mllm_toolcall_parser *p) {
    uint64_t end = p->base + p->input.length;
    if (end > p->horizon) end = p->horizon;
    return end > p->pos ? (size_t)(end - p->pos) : 0;
}
static inline bool mllm_tc_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Looks for the longest spelling of any of the fields at `pos`. Returns the place in `fields` and sets *length; -1: none stands here;
 * -2: the next bytes decide. */
int mllm_tc_match(mllm_toolcall_parser *p, const mllm_toolcall_field *fields, int count, size_t *length);

/* Events (events.c). */
void mllm_tc_text(mllm_toolcall_parser *p, mllm_toolcall_kind kind, uint64_t from, uint64_t to);
/* Text that was written otherwise: `raw` stands in the input where it was, or in a buffer (then it was just before `pos`). */
void mllm_tc_text_bytes(mllm_toolcall_parser *p, mllm_toolcall_kind kind, const char *s, size_t n, const char *raw);
void mllm_tc_begin(mllm_toolcall_parser *p);
void mllm_tc_end(mllm_toolcall_parser *p, unsigned repairs);
void mllm_tc_error(mllm_toolcall_parser *p, mllm_toolcall_fault fault, const char *message);
void mllm_tc_skipped(mllm_toolcall_parser *p, uint64_t from, uint64_t to);
void mllm_tc_leaf(void *owner, unsigned phase, const char *raw, size_t raw_length, const char *text,
                  size_t text_length);
/* A tagged value: a piece, and its end. */
void mllm_tc_tag_piece(mllm_toolcall_parser *p, unsigned phase, const char *raw, size_t length, bool string);

/* Calls (call.c, object.c, tagged.c). */
const mllm_declared_tool *mllm_tc_tool(const mllm_toolcall_parser *p, const char *name, size_t length);
unsigned mllm_tc_types(const mllm_toolcall_parser *p, const mllm_declared_tool *tool, const char *name, size_t length);
/* The candidate is a call: text before it is told, call_begin follows. */
void mllm_tc_announce(mllm_toolcall_parser *p);
/* The section is certain, though maybe none of its calls. */
void mllm_tc_certain(mllm_toolcall_parser *p);
void mllm_tc_body(mllm_toolcall_parser *p);
void mllm_tc_call_done(mllm_toolcall_parser *p);
/* The bytes at `pos` break the call or the candidate. */
void mllm_tc_broken(mllm_toolcall_parser *p, mllm_toolcall_fault fault, const char *message);
int mllm_tc_mend(mllm_toolcall_parser *p);
mllm_step mllm_tc_gap(mllm_toolcall_parser *p);
mllm_step mllm_tc_name(mllm_toolcall_parser *p);
mllm_step mllm_tc_id(mllm_toolcall_parser *p);
mllm_step mllm_tc_arguments(mllm_toolcall_parser *p);
mllm_step mllm_tc_skip(mllm_toolcall_parser *p);
void mllm_tc_object_begin(mllm_toolcall_parser *p);
mllm_step mllm_tc_object(mllm_toolcall_parser *p);
void mllm_tc_object_resume(mllm_toolcall_parser *p);
/* How many brackets are open from the call's object on, and after the skip: back to the objects around it. */
int mllm_tc_object_open(const mllm_toolcall_parser *p);
/* Brackets open inside the value that is being read there, and the quote of the string in it. */
int mllm_tc_object_inside(const mllm_toolcall_parser *p, char *quote);
bool mllm_tc_object_close(mllm_toolcall_parser *p);
void mllm_tc_tags_begin(mllm_toolcall_parser *p);
mllm_step mllm_tc_tags(mllm_toolcall_parser *p);
mllm_step mllm_tc_header(mllm_toolcall_parser *p);
void mllm_tc_header_begin(mllm_toolcall_parser *p);

#endif
