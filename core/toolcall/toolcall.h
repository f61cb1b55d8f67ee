/* toolcall.h - tool calls in the text of a language model: wire formats as data, and an incremental parser that is total.
 *
 * A format is a record of markers, keys and a kind of body; no format has code of its own. The parser takes bytes in any chunks
 * and yields the same events for every chunking (up to the cutting of text and argument deltas): each event as soon as it is
 * certain. Text that may become a marker is held back, then released; marker-like text inside a string is text; white space between
 * a marker and what it marks belongs to the marker. A broken call is reported with what could be saved and does not take its
 * siblings down. Time is linear in the input, memory is bounded by the limits below, nothing recurses. */
#ifndef MLLM_TOOLCALL_H
#define MLLM_TOOLCALL_H

#include "../mobilellm.h"

/* -------------------------------------------------------------------- formats */

typedef struct mllm_toolcall_format mllm_toolcall_format; /* immutable once in use by a parser; reference-counted */

/* A record is filled field by field: `value` is one of the accepted spellings of the field, the first one being the one to write.
 *   body                 "json": {name, arguments} objects; "named": name, then an object; "tagged": name, then keys and values in
 *                        tags; "python": name(key = value, ...); "channels": messages with a header that names the recipient
 *   section.begin/.end   around all calls of a message        call.begin/.end   around each call
 *   name.end             between name and arguments           name.prefix       before the name, dropped
 *   name.suffix          from here to the end of the name it is the call's place (functions.f:0)
 *   id.begin             between name and id (named)
 *   name.key arguments.key id.key    keys of the object (json)     nest.key    keys whose value holds calls
 *   text.key             keys whose string is plain text      extra.key   keys that a call without any marker may have too
 *   key.begin/.end value.begin/.end  of an argument (tagged); value.text, value.json: instead of value.begin, when they say what the
 *                        value is
 *   delimiter            of strings (named; makes keys unquoted)
 *   reasoning.begin/.end around thoughts                      reasoning.stray   of these, removed from text
 *   drop                 removed from text
 *   channels.begin .message .end   where a message's header begins, where the message does, and its end (channels)
 *   channels.reasoning   names of the channels that hold thoughts
 *   recipient            what stands before the recipient in a header; name.prefix tells a function from others
 *   text.name            the name, or recipient, that stands for "this is text"
 * Flags (value "true"):
 *   list        the calls stand in [ ]        name.is_key   {name: arguments} (json)
 *   bare        calls may stand without any marker; a candidate that turns out to be none is text
 *   line        ... and only at the beginning of a line
 *   start       the message begins inside the header of the first call
 *   trim        one line end on each side of a tagged value is not part of it
 *   weak        section.begin alone proves nothing: a candidate that turns out to be none is text
 *   reasoning.calls    a call inside thoughts ends them */
MLLM_API mllm_toolcall_format *mllm_toolcall_format_new(const char *name, mllm_error *err);
MLLM_API mllm_code mllm_toolcall_format_add(mllm_toolcall_format *format, const char *field, const char *value,
                                            size_t length, mllm_error *err);
/* Says what is missing or contradicts itself. */
MLLM_API mllm_code mllm_toolcall_format_check(const mllm_toolcall_format *format, mllm_error *err);
MLLM_API mllm_toolcall_format *mllm_toolcall_format_retain(mllm_toolcall_format *format);
MLLM_API void mllm_toolcall_format_release(mllm_toolcall_format *format);

enum {
    MLLM_TOOLCALL_MAX_MARKER = 96, /* bytes of a marker */
    MLLM_TOOLCALL_MAX_SPELLINGS = 12, /* of one field */
    MLLM_TOOLCALL_MAX_NAME = 256, /* bytes of a tool's, an argument's name or an id */
    MLLM_TOOLCALL_MAX_HEADER = 1024, /* bytes of a channel header */
    MLLM_TOOLCALL_MAX_SO_FAR = 4096, /* bytes of a string that every event repeats */
    MLLM_TOOLCALL_MAX_FORMATS = 64 /* of one parser */
};

/* --------------------------------------------------------------------- parser */

typedef struct mllm_toolcall_parser mllm_toolcall_parser; /* used by one thread at a time */

/* Types of an argument, bits, out of its schema. */
enum {
    MLLM_TYPE_STRING = 1,
    MLLM_TYPE_INTEGER = 2,
    MLLM_TYPE_NUMBER = 4,
    MLLM_TYPE_BOOLEAN = 8,
    MLLM_TYPE_NULL = 16,
    MLLM_TYPE_ARRAY = 32,
    MLLM_TYPE_OBJECT = 64
};

typedef struct {
    size_t limit; /* most bytes of one call; 0: 1 MiB. What is longer is an error of the call, not of the text */
    bool repair; /* mend what is unambiguous */
    bool keep_reasoning; /* thoughts are text, their markers too */
    bool reasoning_open; /* the message begins inside thoughts */
} mllm_toolcall_options;

/* Several formats: candidates are tried in their order. Formats are retained. `options` may be NULL. */
MLLM_API mllm_toolcall_parser *mllm_toolcall_parser_new(mllm_toolcall_format *const *formats, size_t count,
                                                        const mllm_toolcall_options *options, mllm_error *err);
MLLM_API void mllm_toolcall_parser_free(mllm_toolcall_parser *parser);

/* Declares a tool and one argument of it (`argument` NULL: the tool alone, `types` are those of arguments that it does not declare).
 * Without any tool every name counts as one. `types` 0: not known. Before the first feed. */
MLLM_API mllm_code mllm_toolcall_parser_declare(mllm_toolcall_parser *parser, const char *tool, size_t tool_length,
                                                const char *argument, size_t argument_length, unsigned types,
                                                mllm_error *err);

typedef enum {
    MLLM_TOOLCALL_TEXT,
    MLLM_TOOLCALL_REASONING,
    MLLM_TOOLCALL_CALL_BEGIN, /* name; id when it is known by now */
    MLLM_TOOLCALL_ARGUMENT, /* a piece of one leaf of the arguments */
    MLLM_TOOLCALL_CALL_END, /* name, id, arguments */
    MLLM_TOOLCALL_ERROR
} mllm_toolcall_kind;

typedef enum {
    MLLM_TOOLCALL_BROKEN = 1, /* the call does not follow its format */
    MLLM_TOOLCALL_UNFINISHED, /* the input ended inside it */
    MLLM_TOOLCALL_SKIPPED, /* the rest of a broken call */
    MLLM_TOOLCALL_LIMIT /* longer or deeper than allowed */
} mllm_toolcall_fault;

typedef struct {
    const char *key; /* NULL: an array element */
    uint32_t length; /* of the key, bytes */
    uint32_t index; /* of the element, from 0 */
} mllm_toolcall_step;

/* Strings live until the next feed, finish or reset. */
typedef struct {
    mllm_toolcall_kind kind;
    uint32_t call; /* which call, from 0: call_begin, argument, call_end, and error when it had begun */
    uint64_t position; /* bytes of the input before the event's own; error: before the byte that broke it */
    const char *text; /* text, reasoning: the piece. argument: what the piece means, when the leaf is a string */
    size_t text_length;
    const char *raw; /* argument: the piece as it was written. call_end, error: the call's bytes so far */
    size_t raw_length;
    const char *name; /* of the tool; NULL when it is not known */
    size_t name_length;
    const char *id; /* NULL: none */
    size_t id_length;
    const char *json; /* argument, complete: the leaf. call_end: the arguments. error: those that could be saved */
    size_t json_length;
    const mllm_toolcall_step *path; /* argument */
    size_t path_length;
    const char
        *so_far; /* argument, a string: all of it up to here; NULL when that is more than MLLM_TOOLCALL_MAX_SO_FAR */
    size_t so_far_length;
    bool complete; /* argument: this was its last piece */
    bool string; /* argument: the leaf is a string */
    unsigned repairs; /* call_end: MLLM_REPAIR_... */
    mllm_toolcall_fault fault;
    const char *message; /* error: the reason */
    const char *format; /* call_begin, call_end, error: name of the format */
} mllm_toolcall_event;

/* Takes bytes; events wait to be read. MLLM_E_MEMORY leaves the parser unusable until reset. */
MLLM_API mllm_code mllm_toolcall_feed(mllm_toolcall_parser *parser, const char *bytes, size_t length, mllm_error *err);
/* The message is over: what was held back is released. Only reset may follow. */
MLLM_API mllm_code mllm_toolcall_finish(mllm_toolcall_parser *parser, mllm_error *err);
/* The next event of the last feed or finish; false: none is left. */
MLLM_API bool mllm_toolcall_next(mllm_toolcall_parser *parser, mllm_toolcall_event *event);
/* The call that is being written: name, id, and in `json` its arguments so far, the string that is being written included. False: none.
 * The strings live until the next call of any function with this parser. Does not take events. */
MLLM_API bool mllm_toolcall_partial(mllm_toolcall_parser *parser, mllm_toolcall_event *event);
/* Ready for another message; tools and formats stay. */
MLLM_API void mllm_toolcall_reset(mllm_toolcall_parser *parser);

#endif
