#include "format.h"

#include <stdatomic.h>
#include <string.h>

#include "../base/alloc.h"
#include "../base/error.h"
#include "value.h"

static const char *const field_names[F_COUNT] = {
    "section.begin",  "section.end",      "call.begin",    "call.end",           "name.end",
    "name.prefix",    "name.suffix",      "id.begin",      "name.key",           "arguments.key",
    "id.key",         "nest.key",         "text.key",      "extra.key",          "key.begin",
    "key.end",        "value.begin",      "value.text",    "value.json",         "value.end",
    "delimiter",      "reasoning.begin",  "reasoning.end", "reasoning.stray",    "drop",
    "channels.begin", "channels.message", "channels.end",  "channels.reasoning", "recipient",
    "text.name",
};

static const char *const body_names[] = {"", "json", "named", "tagged", "python", "channels"};

mllm_toolcall_format *mllm_toolcall_format_new(const char *name, mllm_error *err) {
    mllm_toolcall_format *f = mllm_calloc(1, sizeof *f);
    if (f) f->name = mllm_strndup(name, strlen(name));
    if (!f || !f->name) {
        mllm_free(f);
        mllm_fail_memory(err, sizeof *f, "a tool call format");
        return NULL;
    }
    atomic_init(&f->references, 1);
    return f;
}

mllm_toolcall_format *mllm_toolcall_format_retain(mllm_toolcall_format *f) {
    atomic_fetch_add_explicit(&f->references, 1, memory_order_relaxed);
    return f;
}

void mllm_toolcall_format_release(mllm_toolcall_format *f) {
    if (!f || atomic_fetch_sub_explicit(&f->references, 1, memory_order_acq_rel) != 1) return;
    for (int i = 0; i < F_COUNT; i++) {
        for (int k = 0; k < f->fields[i].count; k++) mllm_free(f->fields[i].items[k].text);
        mllm_free(f->fields[i].items);
    }
    mllm_free(f->name);
    mllm_free(f);
}

static bool *flag_of(mllm_toolcall_format *f, const char *field) {
    struct {
        const char *name;
        bool *flag;
    } flags[] = {{"list", &f->list},   {"name.is_key", &f->name_is_key},
                 {"bare", &f->bare},   {"line", &f->line},
                 {"start", &f->start}, {"trim", &f->trim},
                 {"weak", &f->weak},   {"reasoning.calls", &f->reasoning_calls}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(field, flags[i].name) == 0) return flags[i].flag;
    return NULL;
}

mllm_code mllm_toolcall_format_add(mllm_toolcall_format *f, const char *field, const char *value, size_t length,
                                   mllm_error *err) {
    if (strcmp(field, "body") == 0) {
        for (int i = BODY_JSON; i <= BODY_CHANNELS; i++) {
            if (length != strlen(body_names[i]) || memcmp(value, body_names[i], length) != 0) continue;
            f->body = (mllm_toolcall_body)i;
            return MLLM_OK;
        }
        return mllm_fail(err, MLLM_E_ARGUMENT, "format '%s': unknown body '%.*s'", f->name, (int)length, value);
    }
    bool *flag = flag_of(f, field);
    if (flag) {
        *flag = length == 4 && memcmp(value, "true", 4) == 0;
        return MLLM_OK;
    }
    for (int i = 0; i < F_COUNT; i++) {
        if (strcmp(field, field_names[i]) != 0) continue;
        mllm_spellings *list = &f->fields[i];
        if (length > MLLM_TOOLCALL_MAX_MARKER)
            return mllm_fail(err, MLLM_E_LIMIT, "format '%s': %s has more than %d bytes", f->name, field,
                             MLLM_TOOLCALL_MAX_MARKER);
        if (length == 0) return mllm_fail(err, MLLM_E_ARGUMENT, "format '%s': %s is empty", f->name, field);
        if (list->count == MLLM_TOOLCALL_MAX_SPELLINGS)
            return mllm_fail(err, MLLM_E_LIMIT, "format '%s': %s has more than %d spellings", f->name, field,
                             MLLM_TOOLCALL_MAX_SPELLINGS);
        char *text = mllm_strndup(value, length);
        mllm_spelling *items = text ? mllm_realloc_array(list->items, (size_t)list->count + 1, sizeof *items) : NULL;
        if (!items) {
            mllm_free(text);
            return mllm_fail_memory(err, length, field);
        }
        list->items = items;
        items[list->count++] = (mllm_spelling){text, length};
        return MLLM_OK;
    }
    return mllm_fail(err, MLLM_E_ARGUMENT, "format '%s': unknown field '%s'", f->name, field);
}

static mllm_code need(const mllm_toolcall_format *f, mllm_toolcall_field field, mllm_error *err) {
    if (f->fields[field].count) return MLLM_OK;
    return mllm_fail(err, MLLM_E_ARGUMENT, "format '%s': body %s needs %s", f->name, body_names[f->body],
                     field_names[field]);
}

mllm_code mllm_toolcall_format_check(const mllm_toolcall_format *f, mllm_error *err) {
    static const mllm_toolcall_field tagged[] = {F_KEY_BEGIN, F_KEY_END, F_VALUE_END};
    mllm_code code = MLLM_OK;
    if (f->body == BODY_NONE) return mllm_fail(err, MLLM_E_ARGUMENT, "format '%s' has no body", f->name);
    if (f->body == BODY_JSON && !f->name_is_key) code = need(f, F_NAME_KEY, err);
    if (!code && f->body == BODY_JSON && !f->name_is_key) code = need(f, F_ARGUMENTS_KEY, err);
    for (size_t i = 0; !code && f->body == BODY_TAGGED && i < sizeof tagged / sizeof *tagged; i++)
        code = need(f, tagged[i], err);
    if (!code && f->body == BODY_CHANNELS) code = need(f, F_CHANNELS_BEGIN, err);
    if (!code && f->body == BODY_CHANNELS) code = need(f, F_CHANNELS_MESSAGE, err);
    if (code) return code;
    if (f->fields[F_REASONING_BEGIN].count && !f->fields[F_REASONING_END].count)
        return mllm_fail(err, MLLM_E_ARGUMENT, "format '%s': reasoning.begin without reasoning.end", f->name);
    if (f->body != BODY_CHANNELS && !f->bare && !f->start && !f->fields[F_SECTION_BEGIN].count &&
        !f->fields[F_CALL_BEGIN].count)
        return mllm_fail(err, MLLM_E_ARGUMENT,
                         "format '%s' has neither section.begin nor call.begin, nor is it bare: no call can be found",
                         f->name);
    const mllm_spellings *d = &f->fields[F_DELIMITER];
    for (int i = 0; i < d->count; i++) {
        if (d->items[i].length > MLLM_VALUE_MAX_DELIMITER)
            return mllm_fail(err, MLLM_E_LIMIT, "format '%s': a delimiter of more than %d bytes", f->name,
                             MLLM_VALUE_MAX_DELIMITER);
        if (memchr(d->items[i].text + 1, d->items[i].text[0], d->items[i].length - 1))
            return mllm_fail(err, MLLM_E_UNSUPPORTED,
                             "format '%s': the first byte of delimiter '%s' stands in it twice", f->name,
                             d->items[i].text);
    }
    return MLLM_OK;
}

bool mllm_toolcall_format_is(const mllm_toolcall_format *f, mllm_toolcall_field field, const char *s, size_t length) {
    const mllm_spellings *list = &f->fields[field];
    for (int i = 0; i < list->count; i++)
        if (list->items[i].length == length && memcmp(list->items[i].text, s, length) == 0) return true;
    return false;
}
