/* value_machine.h - the inside of the machine of value.h: its states, and what its files say to one another. value.c has containers, keys,
 * numbers and literals, value_string.c the states inside a string, value_text.c what any bytes become as text. */
#ifndef MLLM_TOOLCALL_VALUE_MACHINE_H
#define MLLM_TOOLCALL_VALUE_MACHINE_H

#include "value.h"

/* `state` of an mllm_value. */
enum {
    AT_VALUE,
    AT_KEY,
    IN_KEY, /* a key without quotes */
    AT_COLON,
    AT_NEXT, /* after a value, inside a container */
    QUOTE_ONE, /* Python: one quote seen, a second may follow */
    QUOTE_TWO, /* Python: two quotes seen: empty, or three of them open a long string */
    IN_STRING,
    IN_ESCAPE,
    IN_UNICODE,
    AFTER_QUOTE, /* repair: a quote that closes only if the next byte says so */
    IN_DELIMITER, /* escaped: the opening delimiter, partly matched */
    IN_NUMBER,
    IN_LITERAL,
    COMPLETE
};

static inline bool mllm_value_is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static inline bool mllm_value_is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Text (value_text.c): where v->is_key is set it goes to the key that is read, otherwise into the JSON string that is open. */

/* A string or a key begins. */
void mllm_value_text_begin(mllm_value *v);
/* Any bytes; a character may be cut by the end of a piece. What is not UTF-8 becomes U+FFFD. */
void mllm_value_text_put(mllm_value *v, const char *bytes, size_t length);
/* The character out of an escape. Halves of a pair of surrogates are put together: false where `cp` is the first one, which waits for the
 * other; true with its bytes in text[*length] otherwise. */
bool mllm_value_text_code_point(mllm_value *v, uint32_t cp, char text[4], size_t *length);
/* U+FFFD in the place of something that is no character. */
void mllm_value_text_replace(mllm_value *v);
/* Nothing more comes: what is incomplete becomes U+FFFD. */
void mllm_value_text_end(mllm_value *v);

/* Strings and keys between quotes (value_string.c). */

/* The quote stood just before; 0: the delimiter of the escaped dialect. */
void mllm_value_open_string(mllm_value *v, char quote);
/* raw[raw_length]: the quote or delimiter that closes it. */
void mllm_value_close_string(mllm_value *v, const char *raw, size_t raw_length);
/* Bytes in one of the states of a string: returns how many are taken; 0 where the first one is to be looked at again in another state, or
 * (*ok false) where it breaks the value. */
size_t mllm_value_string_feed(mllm_value *v, const char *bytes, size_t length, bool *ok);

/* Structure (value.c). */

/* "expected ..., got 'x'" becomes the reason. */
void mllm_value_unexpected(mllm_value *v, const char *expected, char c);
/* A piece of the present leaf, for leaf_seen; keys are no leaves. */
void mllm_value_tell(mllm_value *v, unsigned phase, const char *raw, size_t raw_length, const char *text,
                     size_t text_length);
/* The key is complete: into the JSON, with its colon. */
void mllm_value_end_key(mllm_value *v);
/* A value is complete. */
void mllm_value_after(mllm_value *v);

#endif
