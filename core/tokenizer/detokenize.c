/* detokenize.c - ids to text, at once or as a stream. Both go the same way, byte by byte through a filter that only lets whole
 * UTF-8 characters out. */
#include "vocab.h"

typedef struct {
    char *out;
    size_t capacity, length; /* length goes on counting behind the capacity */
} sink;

static void put(sink *s, const void *bytes, size_t n) {
    if (s->length < s->capacity) {
        size_t room = s->capacity - s->length;
        memcpy(s->out + s->length, bytes, n < room ? n : room);
    }
    s->length += n;
}

/* What is held can never become a character. SentencePiece writes a U+FFFD per byte, byte-level decoders one for all. */
static void give_up(mllm_detokenizer *d, sink *s) {
    unsigned n = d->vocab->family == MLLM_VOCAB_SPM ? d->held_count : d->held_count > 0;
    while (n--) put(s, "\xEF\xBF\xBD", 3);
    d->held_count = 0;
}

/* Bytes of the character that `lead` begins, 0 when it begins none. */
static unsigned expected(unsigned lead) {
    return lead < 0x80                   ? 1
           : lead >= 0xC2 && lead < 0xE0 ? 2
           : lead >= 0xE0 && lead < 0xF0 ? 3
           : lead >= 0xF0 && lead < 0xF5 ? 4
                                         : 0;
}

/* True when `b` may stand behind the held bytes (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF). */
static bool continues(const mllm_detokenizer *d, unsigned b) {
    if ((b & 0xC0) != 0x80) return false;
    if (d->held_count > 1) return true;
    switch (d->held[0]) {
    case 0xE0: return b >= 0xA0;
    case 0xED: return b < 0xA0;
    case 0xF0: return b >= 0x90;
    case 0xF4: return b < 0x90;
    default: return true;
    }
}

static void put_byte(mllm_detokenizer *d, unsigned char b, sink *s) {
    if (d->held_count && !continues(d, b)) give_up(d, s);
    d->held[d->held_count++] = b;
    unsigned want = expected(d->held[0]);
    if (want == 0)
        give_up(d, s);
    else if (d->held_count == want) {
        put(s, d->held, want);
        d->held_count = 0;
    }
}

static void put_token(mllm_detokenizer *d, mllm_token id, sink *s) {
    const mllm_vocab *v = d->vocab;
    size_t n;
    const char *text = mllm_vocab_bytes(v, id, &n);
    if (!text) return;
    mllm_token_kind k = mllm_vocab_kind_of(v, (uint32_t)id);
    if (k == MLLM_TOKEN_CONTROL || k == MLLM_TOKEN_UNUSED) {
        if (!(d->flags & MLLM_TOKENIZE_SPECIAL)) return;
        for (size_t i = 0; i < n; i++) put_byte(d, (unsigned char)text[i], s);
        if (v->prefix_each) d->started = false;
        return;
    }
    bool strip = !d->started && v->space_prefix && v->family == MLLM_VOCAB_SPM && !(d->flags & MLLM_TOKENIZE_NO_PREFIX);
    d->started = true;
    for (size_t i = strip && k != MLLM_TOKEN_UNKNOWN && n && *text == ' '; i < n; i++)
        put_byte(d, (unsigned char)text[i], s);
}

void mllm_detokenizer_init(mllm_detokenizer *d, const mllm_vocab *vocab, unsigned flags) {
    *d = (mllm_detokenizer){.vocab = vocab, .flags = flags};
}

size_t mllm_detokenizer_push(mllm_detokenizer *d, mllm_token id, char *out, size_t capacity) {
    mllm_detokenizer after = *d;
    sink s = {out, capacity, 0};
    if (id == -1)
        give_up(&after, &s);
    else
        put_token(&after, id, &s);
    if (s.length <= capacity) *d = after;
    return s.length;
}

size_t mllm_detokenize(const mllm_vocab *vocab, const mllm_token *ids, size_t count, unsigned flags, char *out,
                       size_t capacity) {
    mllm_detokenizer d;
    sink s = {out, capacity, 0};
    mllm_detokenizer_init(&d, vocab, flags);
    for (size_t i = 0; i < count; i++) put_token(&d, ids[i], &s);
    give_up(&d, &s);
    if (s.length < capacity) out[s.length] = 0;
    return s.length;
}
