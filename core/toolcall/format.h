/* format.h - a wire format as the parser reads it: lists of spellings, and flags. */
#ifndef MLLM_TOOLCALL_FORMAT_H
#define MLLM_TOOLCALL_FORMAT_H

#include "toolcall.h"

typedef enum { BODY_NONE, BODY_JSON, BODY_NAMED, BODY_TAGGED, BODY_PYTHON, BODY_CHANNELS } mllm_toolcall_body;

/* The fields of toolcall.h, in the order of the table in format.c. */
typedef enum {
    F_SECTION_BEGIN,
    F_SECTION_END,
    F_CALL_BEGIN,
    F_CALL_END,
    F_NAME_END,
    F_NAME_PREFIX,
    F_NAME_SUFFIX,
    F_ID_BEGIN,
    F_NAME_KEY,
    F_ARGUMENTS_KEY,
    F_ID_KEY,
    F_NEST_KEY,
    F_TEXT_KEY,
    F_EXTRA_KEY,
    F_KEY_BEGIN,
    F_KEY_END,
    F_VALUE_BEGIN,
    F_VALUE_TEXT,
    F_VALUE_JSON,
    F_VALUE_END,
    F_DELIMITER,
    F_REASONING_BEGIN,
    F_REASONING_END,
    F_REASONING_STRAY,
    F_DROP,
    F_CHANNELS_BEGIN,
    F_CHANNELS_MESSAGE,
    F_CHANNELS_END,
    F_CHANNELS_REASONING,
    F_RECIPIENT,
    F_TEXT_NAME,
    F_COUNT
} mllm_toolcall_field;

typedef struct {
    char *text;
    size_t length;
} mllm_spelling;

typedef struct {
    mllm_spelling *items;
    int count;
} mllm_spellings;

struct mllm_toolcall_format {
    _Atomic int references;
    char *name;
    mllm_toolcall_body body;
    mllm_spellings fields[F_COUNT];
    bool list, name_is_key, bare, line, start, trim, weak, reasoning_calls;
};

/* Whether s[length] is one of the spellings of `field`. */
bool mllm_toolcall_format_is(const mllm_toolcall_format *f, mllm_toolcall_field field, const char *s, size_t length);

#endif
