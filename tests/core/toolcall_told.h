/* toolcall_told.h - tool calls in tests: formats with every kind of body, texts in them, and what the events of a parser say, written down. */
#ifndef TOOLCALL_TOLD_H
#define TOOLCALL_TOLD_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toolcall/toolcall.h"

/* --------------------------------------------------------------------- formats */

/* field, value, field, value, ..., NULL */
static const char *const hermes[] = {
    "body",          "json",          "call.begin", "<tool_call>", "call.end", "</tool_call>",    "name.key",
    "name",          "arguments.key", "arguments",  "id.key",      "id",       "reasoning.begin", "<think>",
    "reasoning.end", "</think>",      NULL};
static const char *const array[] = {"body",         "json",     "list", "true",          "section.begin",
                                    "[TOOL_CALLS]", "name.key", "name", "arguments.key", "arguments",
                                    "id.key",       "id",       NULL};
static const char *const bare[] = {"body",     "json",          "bare",       "true",          "name.key",
                                   "name",     "arguments.key", "parameters", "arguments.key", "arguments",
                                   "nest.key", "function",      "extra.key",  "type",          NULL};
static const char *const tagged[] = {
    "body",       "tagged",   "section.begin", "<tool_call>",  "section.end", "</tool_call>", "call.begin",
    "<function=", "call.end", "</function>",   "name.end",     ">",           "key.begin",    "<parameter=",
    "key.end",    ">",        "value.end",     "</parameter>", "trim",        "true",         NULL};
static const char *const named[] = {"body",     "named",     "call.begin", "[TOOL_CALLS]", "name.end", "[ARGS]",
                                    "id.begin", "[CALL_ID]", NULL};
static const char *const delimited[] = {
    "body", "named", "call.begin", "<|tool_call>call:", "call.end", "<tool_call|>", "delimiter", "<|\"|>", NULL};
static const char *const lines[] = {"body", "python", "bare", "true", "line", "true", NULL};
static const char *const pythonic[] = {
    "body", "python", "list", "true", "section.begin", "<|tool_call_start|>", "section.end", "<|tool_call_end|>",
    "bare", "true",   NULL};
static const char *const channels[] = {"body",
                                       "channels",
                                       "channels.begin",
                                       "<|channel|>",
                                       "channels.begin",
                                       "<|start|>",
                                       "channels.message",
                                       "<|message|>",
                                       "channels.end",
                                       "<|end|>",
                                       "channels.end",
                                       "<|call|>",
                                       "channels.reasoning",
                                       "analysis",
                                       "recipient",
                                       " to=",
                                       "name.prefix",
                                       "functions.",
                                       "text.name",
                                       "assistant",
                                       "start",
                                       "true",
                                       NULL};

static const struct {
    const char *name;
    const char *const *fields;
} records[] = {{"hermes", hermes}, {"array", array},       {"bare", bare},     {"tagged", tagged},    {"named", named},
               {"lines", lines},   {"escaped", delimited}, {"list", pythonic}, {"channels", channels}};
enum { RECORDS = sizeof records / sizeof *records };

/* One or more for each format. */
static const char *const samples[] = {
    "a <tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"x\", \"n\": [1, {}]}}\n</tool_call> b",
    "[TOOL_CALLS][{\"arguments\": \"{\\\"s\\\": 1}\", \"name\": \"f\"}, {\"name\": \"g\", \"arguments\": {\"x\": "
    "tru,}}]",
    "{\"name\": \"f\", \"parameters\": {\"s\": \"\\ud83d\\ude00\"}}; [{\"name\": \"g\", \"parameters\": {}}]",
    "<tool_call>\n<function=f>\n<parameter=s>\n1\n</parameter>\n<parameter=n>[1]</parameter>\n</function>\n</"
    "tool_call>",
    "[TOOL_CALLS]f[CALL_ID]9[ARGS]{\"n\": -1.5e3}[TOOL_CALLS]g[ARGS]{} tail",
    "text\nf(s = 'a', n = {\"k\": (1, None)})\ng()\nf(1)\nbye",
    "<|tool_call>call:f{s:<|\"|>a<|\"|>,n:{k:[true]}}<tool_call|>",
    "<|tool_call_start|>[f(s=\"\"\"a\"\"\", n=0x1f), f(2), g()]<|tool_call_end|>",
    "<think> why </think> [f(n=1)]",
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant to=functions.f<|message|>{\"n\": 1}<|call|>",
};
enum { SAMPLES = sizeof samples / sizeof *samples };

/* -------------------------------------------------------------------------- events */

/* What the events say, the pieces of text and of arguments joined, and which bytes of the input they account for. */
typedef struct {
    char *text;
    size_t length, capacity;
    char kind;
    uint8_t covered[1 << 15];
    bool twice;
} transcript;

static inline void put(transcript *t, const char *s, size_t n) {
    if (t->length + n + 1 > t->capacity) {
        t->capacity = (t->length + n + 1) * 2;
        t->text = realloc(t->text, t->capacity);
        if (!t->text) abort();
    }
    if (n) memcpy(t->text + t->length, s, n);
    t->length += n;
    t->text[t->length] = 0;
}

MLLM_PRINTF(2, 3) static inline void say(transcript *t, const char *format, ...) {
    char line[200];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    put(t, line, n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static inline void cover(transcript *t, uint64_t from, size_t n) {
    for (size_t i = 0; i < n && from + i < sizeof t->covered; i++) {
        t->twice = t->twice || t->covered[from + i];
        t->covered[from + i] = 1;
    }
}

static inline void tell(transcript *t, const mllm_toolcall_event *e) {
    if (e->kind == MLLM_TOOLCALL_TEXT || e->kind == MLLM_TOOLCALL_REASONING) {
        char kind = e->kind == MLLM_TOOLCALL_TEXT ? 'T' : 'R';
        if (t->kind != kind) say(t, "\n%c ", kind);
        put(t, e->text, e->text_length);
        t->kind = kind;
        cover(t, e->position, e->text_length);
        return;
    }
    if (e->kind == MLLM_TOOLCALL_ARGUMENT) {
        if (t->kind != 'A') {
            say(t, "\nA%u ", e->call);
            for (size_t i = 0; i < e->path_length; i++) {
                if (e->path[i].key)
                    put(t, e->path[i].key, e->path[i].length);
                else
                    say(t, "%u", e->path[i].index);
                put(t, ".", 1);
            }
        }
        put(t, e->raw, e->raw_length);
        t->kind = e->complete ? 0 : 'A';
        if (e->complete) put(t, " = ", 3), put(t, e->json, e->json_length);
        return;
    }
    t->kind = 0;
    say(t, "\n%c%u ",
        e->kind == MLLM_TOOLCALL_CALL_BEGIN ? 'B'
        : e->kind == MLLM_TOOLCALL_CALL_END ? 'E'
                                            : 'X',
        e->call);
    put(t, e->name, e->name_length);
    put(t, " ", 1);
    put(t, e->id, e->id_length);
    put(t, " ", 1);
    put(t, e->json, e->json_length);
    if (e->kind == MLLM_TOOLCALL_ERROR) {
        say(t, " %d@%llu [", (int)e->fault, (unsigned long long)e->position);
        put(t, e->raw, e->raw_length);
        say(t, "] %s", e->message);
        cover(t, e->fault == MLLM_TOOLCALL_SKIPPED ? e->position : e->position - e->raw_length, e->raw_length);
    }
    if (e->kind == MLLM_TOOLCALL_CALL_END) cover(t, e->position, e->raw_length);
}

/* Before a text of n bytes. */
static inline void told_clear(transcript *t, size_t n) {
    t->length = 0;
    t->kind = 0;
    t->twice = false;
    memset(t->covered, 0, n < sizeof t->covered ? n : sizeof t->covered);
    put(t, "", 0);
}

#endif
