/* machine.h - the run time of a grammar: a small set of threads, each in one leaf (a string, a number, a key, a lexer) above a stack of
 * immutable frames. Stepping a thread by a byte gives the threads after it; an empty set is a dead end. */
#ifndef MLLM_GRAMMAR_MACHINE_H
#define MLLM_GRAMMAR_MACHINE_H

#include <stdatomic.h>

#include "shape.h"

/* ------------------------------------------------------------------- grammar */

typedef enum { EDGE_EMPTY, EDGE_LEX, EDGE_CALL, EDGE_IMPORT, EDGE_TOKEN, EDGE_CAPTURE } mllm_edge_kind;

typedef struct {
    uint8_t kind;
    bool nonempty; /* LEX, CALL: does not count when it read nothing */
    uint32_t
        arg; /* LEX: lexer; CALL: state that the rule starts in; IMPORT: index; TOKEN: id; CAPTURE: state it starts in */
    uint32_t name; /* CAPTURE: index */
    uint32_t next;
} mllm_edge;

typedef struct {
    uint32_t first, count; /* edges */
    bool accept; /* the rule may end here */
} mllm_rule_state;

typedef enum { GRAMMAR_SCHEMA, GRAMMAR_RULES } mllm_grammar_kind;

struct mllm_grammar {
    atomic_int refs;
    uint8_t kind;
    /* schema */
    mllm_schema schema;
    mllm_shapes shapes;
    bool any_order;
    uint8_t space;
    uint32_t max_depth;
    /* rules */
    mllm_rule_state *states;
    mllm_edge *edges;
    mllm_lexer *lexers;
    mllm_nfa *nfas;
    mllm_grammar **imports;
    char **names; /* of captures */
    uint32_t state_count, edge_count, lexer_count, nfa_count, import_count, name_count, root;
    _Atomic(void *) idle; /* tables that the last matcher left for the next one */
    uint32_t *min_bytes; /* [state_count] to the end of its rule; NONE: none or unknown */
    size_t bytes;
};

/* ------------------------------------------------------------------- threads */

typedef enum { FRAME_OBJECT, FRAME_ARRAY, FRAME_RULE, FRAME_CAPTURE } mllm_frame_kind;

typedef struct mllm_extra {
    const struct mllm_extra *up;
    uint64_t hash;
} mllm_extra; /* keys beside the declared ones that an object has so far */

typedef struct mllm_frame {
    const struct mllm_frame *up;
    const mllm_grammar *g;
    uint64_t serial; /* never the same twice in a family */
    uint32_t depth;
    uint32_t id; /* OBJECT, ARRAY: flat; RULE: state to go on in; CAPTURE: name */
    uint32_t start; /* where its text begins */
    uint32_t index; /* OBJECT: first declared key that may still come; ARRAY: items begun */
    uint32_t
        limit; /* OBJECT: the last declared key that may come next in schema order: the first required one that is missing */
    uint32_t count; /* OBJECT: members */
    uint8_t kind;
    bool nonempty;
    bool ended; /* RULE: ended where it began */
    uint32_t left; /* RULE: fewest bytes that complete the text from where it returns to; NONE: unknown */
    const struct mllm_frame *also; /* RULE: another caller, which only the first of the list is pointed to for */
    const struct mllm_captured *after; /* RULE that ended where it began: with this */
    const mllm_extra *extra;
    uint64_t seen
        []; /* OBJECT: declared keys, and after those bits as many of the keys that must come: required, or needed by one seen */
} mllm_frame;

typedef struct mllm_captured {
    const struct mllm_captured *before;
    const char *name;
    uint32_t start, end;
} mllm_captured;

typedef enum {
    THREAD_DONE, /* the whole text is complete */
    THREAD_VALUE, /* a: shape, b: spaces that may still come */
    THREAD_WORD, /* a: flat, b..c: span of words, d: depth, e: start */
    THREAD_STRING, /* a: lexer state or NONE, b: characters, d: flat, e: start */
    THREAD_NUMBER, /* d: flat, e: start */
    THREAD_KEY, /* a: lexer state or NONE, b..c: span of words, d: bytes so far, e: start */
    THREAD_OBJECT, /* a: phase, b: spaces, c: shape of the value */
    THREAD_ARRAY, /* a: phase, b: spaces */
    THREAD_LEX, /* a: lexer state, b: rule state after it */
    THREAD_TOKEN /* a: id, b: rule state after it */
} mllm_thread_kind;

typedef struct {
    const mllm_frame *up;
    const mllm_grammar *g;
    const mllm_captured *captured;
    uint32_t a, b, c, d, e;
    uint8_t kind;
    uint8_t
        sub; /* STRING, KEY: inside a character or an escape; WORD: 1, its end tells which of several objects is above it */
    uint16_t chars; /* KEY: characters so far, at most 65535 */
} mllm_thread;

enum { PHASE_OPEN, PHASE_NEXT, PHASE_COLON, PHASE_AFTER };

/* Inside a character: which bytes may come. */
enum {
    SUB_NONE,
    SUB_1, /* one more continuation byte */
    SUB_2,
    SUB_3,
    SUB_E0, /* A0..BF, then one */
    SUB_ED, /* 80..9F, then one */
    SUB_F0, /* 90..BF, then two */
    SUB_F4, /* 80..8F, then two */
    SUB_ESCAPE, /* after \ */
    SUB_U, /* \u */
    SUB_U0,
    SUB_U00,
    SUB_U000, /* \u000 */
    SUB_U001 /* \u001 */
};

/* ------------------------------------------------------------------ allocation */

typedef struct {
    int refs;
    size_t used, capacity;
    char data[];
} mllm_chunk;

/* Frames are only ever freed by going back to a mark. A sealed chunk is shared with a fork and never written again. */
typedef struct {
    mllm_chunk **chunks;
    uint32_t count, capacity, sealed;
} mllm_arena;

typedef struct {
    uint32_t chunk;
    size_t used;
} mllm_mark;

mllm_mark mllm_arena_mark(const mllm_arena *a);
void mllm_arena_reset(mllm_arena *a, mllm_mark mark);
void mllm_arena_free(mllm_arena *a);
bool mllm_arena_share(mllm_arena *from, mllm_arena *to);
size_t mllm_arena_bytes(const mllm_arena *a);

/* -------------------------------------------------------------------- machine */

/* A set of what was seen, by hash; clearing it costs nothing. */
typedef struct {
    uint32_t epoch, hash, index;
} mllm_seen_slot;
typedef struct {
    mllm_seen_slot *slots;
    uint32_t capacity, count, epoch;
} mllm_seen;

uint32_t mllm_seen_hash(const void *a, const void *b, uint32_t c);
void mllm_seen_clear(mllm_seen *s);
/* The indices with that hash one after another, *at being 0 at first; NONE: there are no more. */
uint32_t mllm_seen_next(const mllm_seen *s, uint32_t hash, uint32_t *at);
bool mllm_seen_put(mllm_seen *s, uint32_t hash, uint32_t index); /* false: no memory */

/* A state of a rule that is reached, with what waits for its end. */
typedef struct {
    const mllm_grammar *g;
    uint32_t state;
    const mllm_frame *up;
    const mllm_captured *captured;
} mllm_visit;

/* A rule that was called at this place of the text, with the frame that lists its callers. */
typedef struct {
    const mllm_grammar *g;
    const mllm_captured *captured;
    mllm_frame *frame;
    uint32_t entry;
} mllm_call;

enum { MLLM_MAX_THREADS = 1024 };

typedef struct {
    mllm_lexers *lexers;
    mllm_arena *arena;
    uint64_t *serial;
    /* The text: what was accepted and, while looking ahead, what is tried. */
    char *text;
    uint32_t length, text_capacity;
    /* Sets of threads one after another; `base` is where the set being made begins. */
    mllm_thread *pool;
    uint32_t count, capacity, base;
    mllm_seen threads_seen; /* those of that set, when there are many */
    uint32_t threads_indexed;
    /* What that set has entered so far. */
    mllm_visit *visits;
    mllm_call *calls;
    uint32_t visit_count, visit_capacity, visited, call_count, call_capacity;
    mllm_seen visits_seen, calls_seen;
    bool entering, relax;
    bool by_text; /* some decision since this was cleared looked at the text, not only at the threads */
    uint64_t work; /* of all checks so far: bytes that they read / 16, and what evaluating schemas took */
    mllm_code failed; /* MEMORY or LIMIT; sticks until cleared */
    const char *limit; /* which one */
} mllm_machine;

/* Room for `more` bytes of text and one that the checks use. */
bool mllm_machine_room(mllm_machine *m, uint32_t more);
/* Adds the threads that a grammar starts with. */
void mllm_machine_start(mllm_machine *m, const mllm_grammar *g);
/* Adds the threads that `t` becomes by `byte`, which is already at text[length - 1]. `t` is copied: it may lie in the pool. */
void mllm_machine_step(mllm_machine *m, mllm_thread t, uint8_t byte);
/* Adds the threads that `t` (THREAD_TOKEN) becomes by its token. */
void mllm_machine_take_token(mllm_machine *m, mllm_thread t);
/* How many plain characters the leaf takes. *lexer NONE: that many, whatever they are (0: nothing is known). Otherwise those that lead the
 * lexer from that state to a live one, as far as there is room for them and for what the lexer still needs; keys that are declared come
 * on top. */
uint32_t mllm_machine_plain_room(mllm_machine *m, const mllm_thread *t, uint32_t *lexer);
/* Fewest bytes that complete the text from thread `t`, or a little more; NONE: there is no way, or it is unknown. `whatever`: after any
 * plain text that its leaf takes still. */
uint32_t mllm_machine_min_left(mllm_machine *m, const mllm_thread *t, bool whatever);

/* For the two halves of the machine. */
void mllm_machine_add(mllm_machine *m, const mllm_thread *t, bool unique);
void mllm_machine_complete(mllm_machine *m, const mllm_frame *up, const mllm_captured *captured);
mllm_frame *mllm_machine_frame(mllm_machine *m, const mllm_grammar *g, mllm_frame_kind kind, uint32_t id,
                               const mllm_frame *up, uint32_t words);
void *mllm_machine_alloc(mllm_machine *m, size_t size);
void mllm_machine_enter(mllm_machine *m, const mllm_grammar *g, uint32_t state, const mllm_frame *up,
                        const mllm_captured *captured);
void mllm_machine_enter_grammar(mllm_machine *m, const mllm_grammar *g, const mllm_frame *up,
                                const mllm_captured *captured);
/* A rule whose callers are listed at `up` has ended. */
void mllm_machine_return(mllm_machine *m, const mllm_frame *up, const mllm_captured *captured);
/* A new set of threads begins. */
void mllm_machine_begin(mllm_machine *m);
/* Frees what the machine itself holds. */
void mllm_machine_end(mllm_machine *m);
/* Fewest bytes that complete the text from a RULE or CAPTURE frame (NULL: 0) on; NONE: unknown. */
uint32_t mllm_machine_frames_left(const mllm_frame *f);
void mllm_json_step(mllm_machine *m, mllm_thread *t, uint8_t byte);
void mllm_json_value_ended(mllm_machine *m, const mllm_frame *up, const mllm_captured *captured);
/* What ends the leaf, and the frame above it: the stack goes on at *up. */
uint32_t mllm_json_leaf_left(mllm_machine *m, const mllm_thread *t, bool whatever, const mllm_frame **up);
/* What closes an object or array after the value that is being read. */
uint32_t mllm_json_frame_left(const mllm_frame *f);

/* Of json_machine.c, for looking ahead. */
/* The value of this shape tells which of several objects `up` is. */
bool mllm_json_is_telling(const mllm_grammar *g, const mllm_frame *up, uint32_t shape);
bool mllm_json_key_allowed(const mllm_frame *f, uint32_t key);
bool mllm_json_extra_allowed(const mllm_frame *f); /* keys beside the declared ones */
bool mllm_json_closable(const mllm_frame *f); /* the object may end here */
uint32_t mllm_json_sub_left(uint8_t sub); /* fewest bytes that end a character or an escape */
/* How much of text[length] a string takes, up to the quote that ends it, and the characters that this adds, one that is only begun included;
 * NONE: a string cannot begin so. */
uint32_t mllm_json_inside(const char *text, uint32_t length, uint32_t *chars);
/* May the escape that was begun stand for this character? */
bool mllm_json_escapes(uint8_t sub, uint8_t c);
/* The shape of the value of an extra key that ends here; NONE: it cannot. */
uint32_t mllm_json_extra_shape(const mllm_machine *m, const mllm_thread *t, uint32_t end);

static inline const mllm_object_shape *mllm_object_of(const mllm_frame *f) {
    return &f->g->shapes.objects[f->g->shapes.flats[f->id].object];
}
static inline bool mllm_has_seen(const mllm_frame *f, uint32_t key) {
    return f->seen[key / 64] >> (key % 64) & 1;
}
static inline uint32_t mllm_key_words(const mllm_object_shape *o) {
    return (o->keys + 63) / 64;
}

#endif
