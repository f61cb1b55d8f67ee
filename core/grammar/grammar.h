/* grammar.h - languages that a generation must stay in. Part of the border: mobilellm.h includes it.
 *
 * A grammar is compiled once, immutable and shared by any number of threads. A token trie is a vocabulary prepared for masks, shared the
 * same way. A matcher is one position in a grammar; it and its forks form a family that one thread at a time may use.
 *
 * The claim of every source below: text that a matcher calls complete is in the language. What cannot be guaranteed is refused when
 * the grammar is made (MLLM_E_UNSUPPORTED with the place), or, where asked for, listed in the report. */
#ifndef MLLM_GRAMMAR_GRAMMAR_H
#define MLLM_GRAMMAR_GRAMMAR_H

#ifndef MOBILELLM_H
#error "include mobilellm.h"
#endif

typedef struct mllm_grammar mllm_grammar;
typedef struct mllm_token_trie mllm_token_trie;
typedef struct mllm_matcher mllm_matcher;

typedef enum { MLLM_SPACE_ONE, MLLM_SPACE_ANY, MLLM_SPACE_NONE } mllm_space;
typedef enum { MLLM_FORMAT_ASSERT, MLLM_FORMAT_ANNOTATE } mllm_format_policy;

typedef struct {
    bool any_order; /* object keys in any order; otherwise declared keys keep the schema's order */
    mllm_space space; /* ONE: at most one space after ',' and ':'; ANY: JSON's white space; NONE */
    bool lenient; /* keywords that cannot be enforced are listed in the report instead of refused */
    int draft; /* 4, 6, 7, 2019, 2020; 0: what $schema says, else 2020 with the older keywords understood too */
    mllm_format_policy format; /* known formats are enforced (unknown ones never are), or none is */
    unsigned max_depth; /* nesting of the output; 0: 64 */
} mllm_schema_options;

/* JSON Schema as JSON text (drafts 4 to 2020-12); `options` may be NULL. Errors name the JSON pointer and the keyword:
 * MLLM_E_FORMAT no JSON or a keyword with a wrong value, MLLM_E_UNSUPPORTED, MLLM_E_GRAMMAR no value can satisfy it, MLLM_E_LIMIT. */
MLLM_API mllm_grammar *mllm_grammar_json_schema(const char *text, size_t length, const mllm_schema_options *options,
                                                mllm_error *err);
/* llama.cpp's GBNF; the rule "root" is the start. Errors name line and column. */
MLLM_API mllm_grammar *mllm_grammar_gbnf(const char *text, size_t length, mllm_error *err);
/* The same with what combinators need: @1 .. @count stand for imports[0 ..]; @until "x" is text that ends with the first x;
 * @without "x" is text that has no x (both also with a regular expression in parentheses); @token 5 is the token of that id; @capture "name" ( ... ). The imports are retained. */
MLLM_API mllm_grammar *mllm_grammar_compose(const char *text, size_t length, mllm_grammar *const *imports, size_t count,
                                            mllm_error *err);
/* A regular expression (ECMA syntax without look-around and back-references) that the whole text must match. */
MLLM_API mllm_grammar *mllm_grammar_regex(const char *pattern, size_t length, mllm_error *err);
/* One of the given texts. */
MLLM_API mllm_grammar *mllm_grammar_choice(const char *const *texts, const size_t *lengths, size_t count,
                                           mllm_error *err);
MLLM_API mllm_grammar *mllm_grammar_retain(mllm_grammar *grammar);
MLLM_API void mllm_grammar_release(mllm_grammar *grammar);
/* What is not enforced (lenient) or is checked only when a value closes: lines "pointer TAB keyword TAB tier", owned by the grammar. Tiers:
 * "closing" (checked when the value closes), "annotation" (unknown format), "ignored" (lenient only). "" when there is nothing. */
MLLM_API const char *mllm_grammar_report(const mllm_grammar *grammar);
MLLM_API size_t mllm_grammar_bytes(const mllm_grammar *grammar); /* memory it holds */
/* Fewest bytes that any complete text has. */
MLLM_API uint32_t mllm_grammar_min_bytes(const mllm_grammar *grammar);

/* The validator that the grammar shares its code with: MLLM_OK, MLLM_E_GRAMMAR when `json` does not satisfy `schema` (the message names
 * both places), other codes as mllm_grammar_json_schema. */
MLLM_API mllm_code mllm_json_validate(const char *schema, size_t schema_length, const char *json, size_t json_length,
                                      const mllm_schema_options *options, mllm_error *err);

/* ------------------------------------------------------------------ tokens */

/* Retains the vocabulary. Tokens that stand for the same bytes share one canonical id: masks never allow a byte token
 * beside an ordinary piece. */
MLLM_API mllm_token_trie *mllm_token_trie_new(const mllm_vocab *vocab, mllm_error *err);
/* From byte strings; bytes[i] NULL or empty for tokens that are no text, ends[i] true for tokens that end a generation (ends may be NULL). The
 * strings must outlive the trie. */
MLLM_API mllm_token_trie *mllm_token_trie_from(const char *const *bytes, const uint32_t *lengths, const bool *ends,
                                               size_t count, mllm_error *err);
MLLM_API mllm_token_trie *mllm_token_trie_retain(mllm_token_trie *trie);
MLLM_API void mllm_token_trie_release(mllm_token_trie *trie);
MLLM_API size_t mllm_token_trie_size(const mllm_token_trie *trie); /* tokens */
/* The bytes of a token; NULL: it is no text. Owned by the vocabulary. */
MLLM_API const char *mllm_token_trie_text(const mllm_token_trie *trie, mllm_token id, size_t *length);
/* Some token is more than bytes[length] and begins with it. */
MLLM_API bool mllm_token_trie_extends(const mllm_token_trie *trie, const char *bytes, size_t length);
MLLM_API size_t mllm_token_trie_bytes(const mllm_token_trie *trie); /* memory */

/* ----------------------------------------------------------------- matcher */

/* `trie` may be NULL: then only bytes can be accepted. Both are retained. */
MLLM_API mllm_matcher *mllm_matcher_new(mllm_grammar *grammar, mllm_token_trie *trie, mllm_error *err);
MLLM_API const mllm_token_trie *mllm_matcher_trie(const mllm_matcher *matcher); /* NULL: none */
MLLM_API mllm_matcher *mllm_matcher_fork(mllm_matcher *matcher, mllm_error *err);
MLLM_API void mllm_matcher_release(mllm_matcher *matcher);

/* Takes one token. MLLM_E_GRAMMAR: not allowed here, the matcher is as before; MLLM_E_TOKEN: no such id. An end token is allowed where the
 * text is complete; after it only a rollback is. Any spelling of allowed bytes is taken, canonical or not. */
MLLM_API mllm_code mllm_matcher_accept(mllm_matcher *matcher, mllm_token token, mllm_error *err);
/* The same with the budget of the mask that allowed the token: it is taken only if a way to complete the text within budget - 1 further tokens
 * is known behind it. Otherwise MLLM_E_GRAMMAR, the matcher is as before, and the next mask at this place is without the token (after 8
 * of them it is a known way's token alone): draw again. */
MLLM_API mllm_code mllm_matcher_accept_within(mllm_matcher *matcher, mllm_token token, uint32_t budget,
                                              mllm_error *err);
/* Takes bytes[length] as one step; all or nothing. The message names the first byte that cannot follow. */
MLLM_API mllm_code mllm_matcher_accept_bytes(mllm_matcher *matcher, const char *bytes, size_t length, mllm_error *err);
/* Undoes the last `count` steps (tokens or texts). MLLM_E_ARGUMENT when there are not that many. */
MLLM_API mllm_code mllm_matcher_rollback(mllm_matcher *matcher, size_t count, mllm_error *err);
MLLM_API size_t mllm_matcher_steps(const mllm_matcher *matcher);
MLLM_API void mllm_matcher_reset(mllm_matcher *matcher);

MLLM_API bool mllm_matcher_is_complete(const mllm_matcher *matcher); /* the text so far is in the language */
MLLM_API bool mllm_matcher_is_finished(const mllm_matcher *matcher); /* an end token was taken */

/* Which tokens may come next: bit `id` of mask[(tokens + 63) / 64] words. End tokens are set where the text is complete. An empty mask is
 * MLLM_E_GRAMMAR (a dead end: roll back) unless the text is complete.
 *
 * With `budget` > 0 those are left out after which the text cannot be completed within budget - 1 further tokens. Where a way within the
 * budget is known (mllm_matcher_completion; where nothing is checked as a whole mllm_matcher_min_left, one byte a token), the mask is not
 * empty, and mask, draw, mllm_matcher_accept_within (on MLLM_E_GRAMMAR the mask again) come to a complete text within the budget, always.
 * Masks alone do not promise that: where values are checked when they close, must differ, or have names that must, a token is tried
 * ahead as far as a bounded search goes; beyond it tokens pass unproved. Without a budget nothing is tried ahead, and only what the
 * report does not call "closing" is sure to lead on, nesting deeper than max_depth, items and names that must differ excepted. */
MLLM_API mllm_code mllm_matcher_mask(mllm_matcher *matcher, uint64_t *mask, uint32_t budget, mllm_error *err);
/* The bytes that must come next, whatever the tokens: at most `capacity` of them into out; returns their number. */
MLLM_API size_t mllm_matcher_forced_bytes(mllm_matcher *matcher, char *out, size_t capacity);
/* The tokens that the tokenizer would write for the forced bytes, without those that what follows might still change. Needs a trie made from
 * a vocabulary; otherwise 0. At most `capacity` ids into out. */
MLLM_API size_t mllm_matcher_forced_tokens(mllm_matcher *matcher, mllm_token *out, size_t capacity);
/* Fewest bytes that complete the text from here (an upper bound of the fewest tokens); UINT32_MAX when unknown. */
MLLM_API uint32_t mllm_matcher_min_left(mllm_matcher *matcher);
/* Tokens of a short way to complete the text, found by a search: at most `capacity` of them into out; returns their number (0: the text is
 * complete), SIZE_MAX when none was found or there is no trie. */
MLLM_API size_t mllm_matcher_completion(mllm_matcher *matcher, mllm_token *out, size_t capacity);
/* Memory of this matcher beside its grammar and its trie, with what it shares with its forks: automata seen so far and cached masks. */
MLLM_API size_t mllm_matcher_bytes(const mllm_matcher *matcher);
/* All bytes taken since the start or the last reset. Valid until the next accept. */
MLLM_API const char *mllm_matcher_text(const mllm_matcher *matcher, size_t *length);
/* Captures that closed on the present path, in order: name, byte span of the text. false: no such index. */
MLLM_API bool mllm_matcher_capture(const mllm_matcher *matcher, size_t index, const char **name, size_t *start,
                                   size_t *end);

#endif
