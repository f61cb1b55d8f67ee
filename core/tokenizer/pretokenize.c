/* pretokenize.c - scanners for the pre-tokenizing patterns, written out by hand. In the notation of regular expressions:
 *
 *   gpt-2      's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   llama-bpe  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   qwen2      the same with \p{N} for \p{N}{1,3}
 *   smollm     \p{N} alone, then gpt-2 on what is between */
#include "pretokenize.h"

#include <utf8proc.h>

#include "vocab.h"

typedef enum { LETTER, NUMBER, WHITE, OTHER } class;

bool mllm_is_white(uint32_t c) {
    return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static class class_of(uint32_t c) {
    if (c < 0x80) {
        if ((c | 32) >= 'a' && (c | 32) <= 'z') return LETTER;
        if (c >= '0' && c <= '9') return NUMBER;
        return mllm_is_white(c) ? WHITE : OTHER;
    }
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return NUMBER;
    default: return mllm_is_white(c) ? WHITE : OTHER;
    }
}

bool mllm_is_word(uint32_t c) {
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    case UTF8PROC_CATEGORY_NO: return false;
    default: break;
    }
    return class_of(c) == LETTER || c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
           (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

typedef struct {
    const char *s;
    size_t n;
    bool digits_end; /* a number ends the text */
} scan;

/* Class of the character at `at` and its end; false at the end of the text. */
static bool look(const scan *t, size_t at, class *k, size_t *end) {
    if (at >= t->n) return false;
    uint32_t c = (unsigned char)t->s[at];
    unsigned size = 1;
    if (c < 0x80) {
        *k = class_of(c);
    } else {
        size = mllm_utf8_char(t->s + at, t->n - at, &c);
        *k = size ? class_of(c) : OTHER;
        if (!size) size = 1;
    }
    *end = at + size;
    return !(t->digits_end && *k == NUMBER);
}

static size_t run(const scan *t, size_t at, class want) {
    class k;
    size_t end;
    while (look(t, at, &k, &end) && k == want) at = end;
    return at;
}

/* Length of the contraction behind the apostrophe at `at` (s t m d re ve ll), 0 for none. U+017F folds to s. */
static size_t contraction(const scan *t, size_t at, bool any_case) {
    size_t left = t->n - at - 1;
    const char *s = t->s + at + 1;
    if (left == 0) return 0;
    char a = s[0], b = left > 1 ? s[1] : 0;
    if (any_case) {
        if (left > 1 && a == '\xC5' && b == '\xBF') return 3;
        if (a >= 'A' && a <= 'Z') a = (char)(a | 32);
        if (b >= 'A' && b <= 'Z') b = (char)(b | 32);
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return 0;
}

/* White space from `at` on that nothing else wanted: \s+(?!\S)|\s+ */
static size_t white(const scan *t, size_t at) {
    class k = WHITE;
    size_t last = at, from = at, end = at;
    while (look(t, from, &k, &end) && k == WHITE) last = from, from = end;
    if (from >= t->n || (t->digits_end && k == NUMBER)) return from;
    return last > at ? last : from; /* the last one belongs to what follows */
}

static size_t gpt2(const scan *t, size_t at) {
    class k, next;
    size_t end, after;
    if (t->s[at] == '\'') {
        size_t n = contraction(t, at, false);
        if (n) return at + n;
    }
    look(t, at, &k, &end);
    if (k != WHITE) return run(t, end, k);
    if (t->s[at] == ' ' && look(t, end, &next, &after) && next != WHITE) return run(t, after, next);
    return white(t, at);
}

static size_t line_ends(const scan *t, size_t at) {
    while (at < t->n && (t->s[at] == '\n' || t->s[at] == '\r')) at++;
    return at;
}

static size_t llama3(const scan *t, size_t at, unsigned digits) {
    class k, next;
    size_t end, after;
    char c = t->s[at];
    if (c == '\'') {
        size_t n = contraction(t, at, true);
        if (n) return at + n;
    }
    look(t, at, &k, &end);
    if (k == LETTER) return run(t, end, LETTER);
    if (k == NUMBER) {
        while (--digits && look(t, end, &next, &after) && next == NUMBER) end = after;
        return end;
    }
    bool more = look(t, end, &next, &after);
    if (c != '\n' && c != '\r' && more && next == LETTER) return run(t, after, LETTER);
    if (k == OTHER) return line_ends(t, run(t, end, OTHER));
    if (c == ' ' && more && next == OTHER) return line_ends(t, run(t, after, OTHER));
    size_t lines = 0, from = at;
    while (look(t, from, &next, &after) && next == WHITE) {
        if (t->s[from] == '\n' || t->s[from] == '\r') lines = after;
        from = after;
    }
    return lines ? lines : white(t, at);
}

size_t mllm_pretoken_end(mllm_pretokenizer pre, const char *text, size_t length, size_t at) {
    scan t = {text, length, false};
    class k;
    size_t end;
    switch (pre) {
    case MLLM_PRE_NONE: return length;
    case MLLM_PRE_GPT2: return gpt2(&t, at);
    case MLLM_PRE_LLAMA3: return llama3(&t, at, 3);
    case MLLM_PRE_QWEN2: return llama3(&t, at, 1);
    case MLLM_PRE_SMOLLM:
        look(&t, at, &k, &end);
        if (k == NUMBER) return end;
        t.digits_end = true;
        return gpt2(&t, at);
    }
    return length;
}

const char *mllm_pretokenizer_name(mllm_pretokenizer pre) {
    switch (pre) {
    case MLLM_PRE_NONE: return "none";
    case MLLM_PRE_GPT2: return "gpt-2";
    case MLLM_PRE_LLAMA3: return "llama-bpe";
    case MLLM_PRE_QWEN2: return "qwen2";
    case MLLM_PRE_SMOLLM: return "smollm";
    }
    return "none";
}

bool mllm_pretokenizer_by_name(const char *name, size_t length, mllm_pretokenizer *pre) {
    /* llama.cpp's names for vocabularies that share a pattern. */
    static const struct {
        const char *name;
        mllm_pretokenizer pre;
    } names[] = {
        {"gpt-2", MLLM_PRE_GPT2},       {"gpt2", MLLM_PRE_GPT2},        {"phi-2", MLLM_PRE_GPT2},
        {"mpt", MLLM_PRE_GPT2},         {"olmo", MLLM_PRE_GPT2},        {"jais", MLLM_PRE_GPT2},
        {"roberta-bpe", MLLM_PRE_GPT2}, {"trillion", MLLM_PRE_GPT2},    {"granite-docling", MLLM_PRE_GPT2},
        {"llama-bpe", MLLM_PRE_LLAMA3}, {"llama3", MLLM_PRE_LLAMA3},    {"llama-v3", MLLM_PRE_LLAMA3},
        {"falcon3", MLLM_PRE_LLAMA3},   {"dbrx", MLLM_PRE_LLAMA3},      {"smaug-bpe", MLLM_PRE_LLAMA3},
        {"qwen2", MLLM_PRE_QWEN2},      {"stablelm2", MLLM_PRE_QWEN2},  {"deepseek-r1-qwen", MLLM_PRE_QWEN2},
        {"smollm", MLLM_PRE_SMOLLM},    {"starcoder", MLLM_PRE_SMOLLM}, {"refact", MLLM_PRE_SMOLLM},
        {"codeshell", MLLM_PRE_SMOLLM}, {"command-r", MLLM_PRE_SMOLLM}, {"minerva-7b", MLLM_PRE_SMOLLM},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == length && memcmp(names[i].name, name, length) == 0) {
            *pre = names[i].pre;
            return true;
        }
    return false;
}
