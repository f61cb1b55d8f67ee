/* letters.c - core.letters: upper, lower and title case of UTF-8 text, for the template engine. */
#include "binding.h"

#include <string.h>
#include <utf8proc.h>

enum { UPPER, LOWER, TITLE };

static bool is_cased(utf8proc_int32_t c) {
    utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

/* core.letters(text, "upper" | "lower" | "title") -> text. Each code point by itself, after Unicode's simple mappings, with the one
 * exception that the upper case of U+00DF is SS. title: a letter behind a letter is made lower, any other one title case. Bytes
 * that are not UTF-8 stay. */
static int letters(lua_State *L) {
    static const char *const ways[] = {"upper", "lower", "title", NULL};
    size_t length;
    luaL_checktype(L, 1, LUA_TSTRING);
    const char *s = lua_tolstring(L, 1, &length);
    int way = luaL_checkoption(L, 2, NULL, ways);
    luaL_argcheck(L, length < (size_t)1 << 30, 1, "a text of less than 1 GiB expected");
    char *out = mllm_lua_buffer(L, 2 * length + 4, 1); /* a mapping is at most one byte longer than its two or three */
    size_t done = 0;
    bool inside = false;
    for (size_t at = 0; at < length;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s + at, (utf8proc_ssize_t)(length - at), &c);
        if (n <= 0) {
            out[done++] = s[at++];
            inside = false;
            continue;
        }
        at += (size_t)n;
        bool first = way == UPPER || (way == TITLE && !inside);
        inside = is_cased(c);
        if (first && c == 0xDF) {
            memcpy(out + done, way == TITLE ? "Ss" : "SS", 2);
            done += 2;
            continue;
        }
        c = way == UPPER ? utf8proc_toupper(c) : first ? utf8proc_totitle(c) : utf8proc_tolower(c);
        done += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out + done);
    }
    lua_pushlstring(L, out, done);
    return 1;
}

void mllm_lua_open_letters(lua_State *L) {
    lua_pushcfunction(L, letters);
    lua_setfield(L, -2, "letters");
}
