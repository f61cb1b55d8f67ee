/* value.h - one value as a language model writes it (JSON, a Python literal, a FunctionGemma value), read as it arrives and
 * written down as JSON.
 *
 * The machine takes bytes in any chunks, keeps an explicit stack (no recursion, depth bounded) and reports each leaf of the value
 * (string, number, literal, empty container) while it is being written. What it has written so far is always the beginning of a
 * JSON text; what was complete before an error can be saved. */
#ifndef MLLM_TOOLCALL_VALUE_H
#define MLLM_TOOLCALL_VALUE_H

#include "../base/json.h"

typedef enum {
    MLLM_VALUE_JSON, /* RFC 8259; raw control bytes in strings are tolerated */
    MLLM_VALUE_PYTHON, /* literals: True None 'x' """x""" (1, 2) 0x1f 1_000; also JSON's true false null */
    MLLM_VALUE_ESCAPED /* unquoted keys, strings between a delimiter such as <escape>, no escapes inside */
} mllm_value_dialect;

typedef enum {
    MLLM_VALUE_MORE, /* all bytes taken, not complete */
    MLLM_VALUE_DONE, /* complete */
    MLLM_VALUE_BROKEN, /* `reason` says why; the byte at the returned count was not taken */
    MLLM_VALUE_FAILED /* an allocation failed */
} mllm_value_status;

enum {
    MLLM_VALUE_MAX_DEPTH = 100, /* open containers */
    MLLM_VALUE_MAX_NUMBER = 400, /* bytes of a number or a literal */
    MLLM_VALUE_MAX_DELIMITER = 32 /* bytes of the string delimiter of the escaped dialect */
};

/* Mends that were made (bits of `repairs`). Only with `repair`. */
enum {
    MLLM_REPAIR_QUOTE = 1, /* a string between ' or with a quote of its own inside */
    MLLM_REPAIR_LITERAL = 2, /* True, None, a bare word */
    MLLM_REPAIR_COMMA = 4, /* a comma too many */
    MLLM_REPAIR_ESCAPE = 8, /* an escape that does not exist */
    MLLM_REPAIR_KEY = 16, /* a key without quotes */
    MLLM_REPAIR_NUMBER = 32, /* a number that JSON does not know: +1 .5 07 0x1f */
    MLLM_REPAIR_CLOSE = 64 /* brackets that were missing at the end */
};

typedef struct {
    char kind; /* '{' '[' or '(' (the arguments of a call: name = value) */
    uint32_t key; /* where the present key stands in `keys` */
    uint32_t length; /* of the key, bytes */
    uint32_t index; /* complete elements or members */
} mllm_value_frame;

/* Phases of a leaf, bits. */
enum { MLLM_LEAF_BEGIN = 1, MLLM_LEAF_END = 2, MLLM_LEAF_STRING = 4 };

typedef struct mllm_value {
    mllm_value_dialect dialect;
    bool repair;
    const char *delimiter; /* of the escaped dialect; not owned */
    size_t delimiter_length;
    size_t limit; /* most bytes to take; 0: no limit */
    /* raw[raw_length]: bytes of the input that belong to the leaf; text[text_length]: what they mean, when it is a string. On
     * MLLM_LEAF_END json.data[leaf ...] is the leaf's JSON. May be NULL. Must not feed the machine. */
    void (*leaf_seen)(void *owner, unsigned phase, const char *raw, size_t raw_length, const char *text,
                      size_t text_length);
    void *owner;

    mllm_buffer json; /* the value so far */
    mllm_buffer keys; /* the keys of the open containers, one after the other */
    mllm_value_frame frames[MLLM_VALUE_MAX_DEPTH];
    int depth;
    size_t leaf; /* where the present leaf begins in `json` */
    size_t safe; /* bytes of `json` up to the last complete leaf or container */
    int safe_depth; /* containers open there */
    unsigned repairs;
    char reason[96]; /* of MLLM_VALUE_BROKEN */
    bool over_limit; /* the reason was a bound */

    /* What follows is the machine's own. */
    size_t taken; /* bytes, for the limit */
    int state;
    bool writing; /* a string of the JSON is open */
    bool may_close, after_comma, is_key, triple;
    char quote;
    int quotes; /* closing quotes seen of a triple-quoted string; bytes matched of a delimiter */
    unsigned unit, units; /* \u: hex digits to come, value so far */
    uint32_t high; /* a high surrogate that waits for its low one */
    unsigned char utf8[4]; /* an incomplete character */
    int utf8_have, utf8_need;
    char word[MLLM_VALUE_MAX_NUMBER]; /* number or literal so far; white space after a quote that may not be the last */
    int word_length;
} mllm_value;

/* Readies the machine for one value; buffers keep their capacity. A zeroed struct is a valid origin. The settings (dialect,
 * repair, delimiter, limit, leaf_seen) are set by the caller and stay. */
void mllm_value_start(mllm_value *v);
/* The same, with a container already open: '{' (members follow), '(' (named arguments follow, up to the closing parenthesis). */
void mllm_value_start_inside(mllm_value *v, char container);
/* Takes bytes up to the end of the value and returns how many. */
size_t mllm_value_feed(mllm_value *v, const char *bytes, size_t length, mllm_value_status *status);
/* The input is over: a number or a literal that stands alone is complete now. */
mllm_value_status mllm_value_finish(mllm_value *v);
/* Closes what is open when the value so far is complete but for its brackets; false when it is not. */
bool mllm_value_close(mllm_value *v);
/* The value up to its last complete part, brackets closed, appended to `out` ("{}" when nothing was complete). */
void mllm_value_salvage(const mllm_value *v, mllm_buffer *out);
/* The same, with the string that is being written as it stands. */
void mllm_value_snapshot(const mllm_value *v, mllm_buffer *out);
/* Whether the value of a member is what comes next. */
bool mllm_value_expects_value(const mllm_value *v);
/* Whether the next byte stands inside a string that `quote` closes. */
bool mllm_value_in_string(const mllm_value *v);
void mllm_value_free(mllm_value *v);

/* For an object whose members are written from outside (mllm_value_start_inside(v, '{')): the key of the next member; its value is written to
 * `json` by the caller, from `leaf` on; then its end; the end of the object. */
void mllm_value_member(mllm_value *v, const char *key, size_t length);
void mllm_value_member_end(mllm_value *v);
void mllm_value_end_inside(mllm_value *v);

/* Writes a JSON string in pieces: begin, any pieces of bytes (not UTF-8: replaced by U+FFFD), end. For values without syntax of
 * their own. The leaf is not reported. */
void mllm_value_string_begin(mllm_value *v);
void mllm_value_string_put(mllm_value *v, const char *bytes, size_t length);
void mllm_value_string_end(mllm_value *v);

#endif
