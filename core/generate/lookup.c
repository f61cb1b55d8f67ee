#include "lookup.h"

#include <string.h>

enum { LONGEST = 4, SHORTEST = 2, FIRST_DRAFT = 4, MOST_MISSES = 6 };

void mllm_lookup_init(mllm_lookup *l, uint32_t most) {
    *l = (mllm_lookup){.most = most < MLLM_MAX_DRAFT ? most : MLLM_MAX_DRAFT};
    l->length = l->most < FIRST_DRAFT ? l->most : FIRST_DRAFT;
}

size_t mllm_lookup_draft(mllm_lookup *l, const mllm_token *said, size_t count, mllm_token *out, size_t capacity) {
    if (l->most == 0) return 0;
    if (l->pause > 0) {
        l->pause--;
        return 0;
    }
    if (capacity > l->length) capacity = l->length;
    if (capacity == 0) return 0;
    /* After failures only a longer match is worth a try. The latest place wins: it is the likeliest to go on in the same way. */
    size_t shortest = l->misses >= 2 ? 3 : SHORTEST;
    for (size_t n = LONGEST; n >= shortest; n--) {
        if (count < n + 1) continue;
        const mllm_token *last = said + count - n;
        for (size_t at = count - n; at-- > 0;) {
            if (said[at] != last[0] || memcmp(said + at, last, n * sizeof *last) != 0) continue;
            /* Where the earlier place runs into the end, what was drafted goes on: text of a short period repeats itself. */
            size_t from = at + n;
            for (size_t i = 0; i < capacity; i++) out[i] = from + i < count ? said[from + i] : out[from + i - count];
            return capacity;
        }
    }
    return 0;
}

/* A miss costs a few tenths of a token. Each further one doubles the pause, so that text which never repeats pays for about one miss in
 * seventy tokens. */
void mllm_lookup_result(mllm_lookup *l, size_t drafted, size_t right) {
    if (drafted == 0) return;
    if (right == 0) {
        if (l->misses < MOST_MISSES) l->misses++;
        l->pause = 1u << l->misses;
        l->length = l->length > 3 ? l->length / 2 : l->length;
        if (l->length == 0) l->length = 1;
        return;
    }
    l->misses = l->misses > 2 ? l->misses - 2 : 0;
    if (right == drafted)
        l->length = l->length * 2 < l->most ? l->length * 2 : l->most;
    else if (right + 1 < l->length)
        l->length = (uint32_t)right + 1;
}
