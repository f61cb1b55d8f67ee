---@meta mobilellm
-- The whole public module for LuaCATS (lua-language-server), in one file because editors are pointed at one. Token ids are the model's own, 0-based.
-- Misuse raises. What the world does wrong returns nil, message, code; codes: "io", "format", "unsupported", "memory", "limit", "context",
-- "token", "grammar", "cancelled", "raised" (by a chat template). Everything with close() is also closed by the garbage collector and, on Lua 5.4, by <close>.

---@class mobilellm
---@field version string
---@field null lightuserdata JSON's null
local mobilellm = {}

---@alias mobilellm.code "io"|"format"|"unsupported"|"memory"|"limit"|"context"|"token"|"grammar"|"cancelled"|"raised"

---@class mobilellm.LoadOptions
---@field threads? integer 0 (default): one per real core
---@field kernel? string "auto" (default), "reference" (plain float arithmetic), or one that this processor has
---@field vocabulary_only? boolean tokens, no weights

---Opens a GGUF file or a Hugging Face folder.
---@param path string
---@param options? mobilellm.LoadOptions
---@return mobilellm.Model? model
---@return string? message
---@return mobilellm.code? code
function mobilellm.load(path, options) end

---Writes a model as a GGUF file.
---@param from string GGUF file or Hugging Face folder
---@param to string
---@param options? {type?: "f32"|"f16"|"bf16"|"q8_0"|"q4_0", packed?: boolean} q8_0 unless given; packed: as the integer kernels want it, for this engine alone
---@return true? done
---@return string? message
---@return mobilellm.code? code
function mobilellm.convert(from, to, options) end

---@class mobilellm.QuantizeOptions
---@field type? "q8_0"|"q4_0" of the matrices; q8_0 unless given
---@field embedding? "q8_0"|"q4_0"|"f16" of the embeddings; as type unless given
---@field search? boolean q4_0: the scale of each block with the least squared error
---@field calibrate? string|integer[] text or ids; q4_0: errors count as much as this text uses their column
---@field packed? boolean as in convert
---@field threads? integer of the calibration
---@field kernel? string of the calibration
---@field special? boolean control tokens may be spelled in the calibration text
---@field context? integer tokens of a window of the calibration; the smaller of the model's and 512 unless given

---Writes a model with fewer bits a weight. What has the type already is copied as it is.
---@param from string GGUF file or Hugging Face folder
---@param to string
---@param options? mobilellm.QuantizeOptions
---@return true? done
---@return string? message
---@return mobilellm.code? code
function mobilellm.quantize(from, to, options) end

-- ---------------------------------------------------------------- model

---@class mobilellm.Model
local Model = {}

---@class mobilellm.ModelInfo
---@field path string
---@field name string
---@field architecture string
---@field kernel string the one in use
---@field quantization string type of most weights in the file; "P8" and "P4" are packed Q8_0 and Q4_0
---@field kept_as string what they are in memory
---@field types {stored: string, kept_as: string, tensors: integer, parameters: integer, stored_bytes: integer, kept_bytes: integer}[] every tensor counted by both types
---@field chat_template? string
---@field blocks integer stored attention blocks
---@field steps integer executed steps
---@field ffns integer stored FFNs
---@field kv_slots integer
---@field width integer
---@field heads integer
---@field kv_heads integer
---@field head_size integer
---@field ffn_width integer
---@field vocabulary integer
---@field context integer most tokens that the file allows
---@field tied_embedding boolean
---@field parameters integer stored weights, each counted once
---@field bytes integer weight_bytes + packed_bytes
---@field weight_bytes integer as used from the file
---@field packed_bytes integer repacked for speed
---@field threads integer
---@field bos? integer
---@field eos? integer
---@field adds_bos? boolean the vocabulary wishes the begin token in front of a prompt

---@return mobilellm.ModelInfo
function Model:info() end

---Ids of the text alone: all options are false unless given. Where a segment's user is true, no spelling becomes a control token.
---@param text string|{text: string, user: boolean?}[]
---@param options? {bos?: boolean, eos?: boolean, special?: boolean, continuation?: boolean} special: spellings of control tokens become those tokens; continuation: no dummy space in front
---@return integer[]
function Model:tokenize(text, options) end

---@param ids integer[]
---@param options? {special?: boolean, continuation?: boolean}
---@return string? text
---@return string? message
---@return mobilellm.code? code
function Model:detokenize(ids, options) end

---What a token stands for; nil for an id outside.
---@param id integer
---@return string? bytes
---@return "normal"|"control"|"byte"|"unknown"|"user"|"unused"? kind
function Model:token(id) end

---@param piece string by its spelling in the vocabulary
---@return integer? id
function Model:find(piece) end

---@param id integer
---@return boolean # it ends a generation
function Model:is_end(id) end

---@alias mobilellm.Prompt string|integer[] a text is tokenized with the begin token if the vocabulary wishes it

---@class mobilellm.GenerateOptions
---@field max_tokens? integer 256 unless given
---@field temperature? number 0 (default): the likeliest token each time, no draw
---@field top_k? integer
---@field top_p? number
---@field min_p? number
---@field typical? number
---@field seed? integer
---@field logit_bias? table<integer, number>
---@field repeat_penalty? number
---@field frequency_penalty? number
---@field presence_penalty? number
---@field penalty_last_n? integer
---@field sampler? mobilellm.Sampler|table instead of the options above; a sampler is forked, its own state stays
---@field stop? string|string[] it ends before such a text; no piece holds a part of it
---@field grammar? mobilellm.Grammar|mobilellm.Matcher the output is in this language
---@field tools? mobilellm.Tools|mobilellm.Tool[] the output is one call of these tools as JSON: {"name": ..., "arguments": {...}}
---@field on_token? fun(id: integer, text: string): boolean? called with each token; false ends it
---@field special? boolean spellings of control tokens in the prompt become those tokens
---@field ignore_end? boolean end tokens are ordinary ones
---@field show_special? boolean control tokens are spelled in the text, and stop strings find them
---@field lookup? integer most tokens guessed at once from earlier occurrences of the last ones (8 is a good one for extraction); the output is the same
---@field logits? fun(logits: mobilellm.Logits, tokens: integer[]) may change the logits before all other options do; tokens: prompt and output so far
---@field heal? boolean the prompt's last token may become a longer one: it is taken back, and what follows begins with its text, which does not
---come out again. For prompts that end in the middle of a word or with a space (default false); not with a matcher
---@field mask_mass? boolean stats.mask_mass says what probability the grammar's masks took away; every step then computes all logits
---@field context? integer of the session that is made for it

---@class mobilellm.Stats
---@field prompt_tokens integer
---@field tokens integer generated, the end token not counted
---@field forced integer of those, taken because a grammar left no choice
---@field drafted integer tokens that option lookup guessed
---@field accepted integer of those, generated
---@field prefill_seconds number
---@field decode_seconds number
---@field prefill_per_second number
---@field tokens_per_second number
---@field mask_mass? {sum: number, steps: integer, [integer]: number|false} with option mask_mass: the probability (before any sampler stage) that
---the mask of each token took away, false where no logits were needed; the sum over all measured steps, the end's too
---@field stop "end"|"length"|"stop"|"context"|"cancelled"|"running"|"error"

---@param prompt mobilellm.Prompt
---@param options? mobilellm.GenerateOptions
---@return string? text
---@return mobilellm.Stats|string stats or message
---@return mobilellm.code? code
function Model:generate(prompt, options) end

---for piece in model:stream(...): pieces are whole characters.
---@param prompt mobilellm.Prompt
---@param options? mobilellm.GenerateOptions
---@return (fun(): string?, string?, mobilellm.code?)? pieces
---@return mobilellm.Job|string job or message
---@return mobilellm.code? code
function Model:stream(prompt, options) end

---The likeliest of several continuations.
---@param prompt mobilellm.Prompt
---@param choices mobilellm.Prompt[]
---@param options? {special?: boolean}
---@return string? best
---@return number[]|string logprobs or message
---@return mobilellm.code? code
function Model:choose(prompt, choices, options) end

---Sum of the natural log-probabilities of a continuation's tokens.
---@param prompt mobilellm.Prompt
---@param continuation mobilellm.Prompt
---@param options? {special?: boolean}
---@return number? sum
---@return integer|string count or message
---@return mobilellm.code? code
function Model:score(prompt, continuation, options) end

---How well the model predicts a text: exp of the mean negative log-probability of its tokens. The text goes through in windows of `context`
---tokens (the smaller of the model's and 512 unless given) that overlap by half; each token is counted once.
---@param text mobilellm.Prompt
---@param options? {context?: integer, kv_type?: "auto"|"f32"|"f16"|"q8_0", bos?: boolean, special?: boolean} bos: windows begin with the begin token; as the vocabulary wishes unless given
---@return {perplexity: number, logprob: number, tokens: integer, windows: integer}? result
---@return string? message
---@return mobilellm.code? code
function Model:perplexity(text, options) end

---@param options? {context?: integer, kv_type?: "auto"|"f32"|"f16"|"q8_0"} context: most tokens, 4096 unless given, and never more than the model's own; session:context() tells
---@return mobilellm.Session? session
---@return string? message
---@return mobilellm.code? code
function Model:session(options) end

---@class mobilellm.ChatOptions: mobilellm.GenerateOptions
---@field system? string what the model is told first
---@field tools? mobilellm.Tools|mobilellm.Tool[]
---@field template? string Jinja source, or one of ours: "chatml", "plain", "signature"; unless given the model's
---@field variables? table more names for the template
---@field now? integer seconds since the epoch, for a template's date
---@field messages? table[] how the conversation began
---@field format? string|table of tool calls; unless given derived from the template
---@field kv_type? string
---@field trim? "oldest"|"error" what happens when the prompt leaves no room for the answer
---@field history? "append"|"template"|"last" the past as the model saw it (default), as the template writes it now, or not at all
---@field reserve? integer tokens to keep for an answer
---@field constrain? boolean calls satisfy the tools' schemas while they are written (default true)
---@field lexical? number how much words in common with a tool count where one is chosen, in nats for a point of BM25 (default 1; 0: not), for the project's own models
---@field repair? boolean

---A conversation whose cache follows the messages. The options of generation hold for every turn.
---@param options? mobilellm.ChatOptions
---@return mobilellm.Chat? chat
---@return string? message
---@return mobilellm.code? code
function Model:chat(options) end

function Model:close() end

-- -------------------------------------------------------------- session

---One timeline of tokens with its cache. Used by one thread, and by one job, at a time.
---@class mobilellm.Session
---@operator len: integer
local Session = {}

---@param input mobilellm.Prompt text at the beginning gets the begin token, later text continues
---@param options? {special?: boolean}
---@return integer? count tokens fed
---@return string? message
---@return mobilellm.code? code
function Session:feed(input, options) end

---Live view of the logits for the next token; stale after the next feed or rewind.
---@return mobilellm.Logits? logits
---@return string? message
---@return mobilellm.code? code
function Session:logits() end

---@return integer[]
function Session:tokens() end

---Keeps the first n tokens.
---@param n integer
---@return mobilellm.Session
function Session:rewind(n) end

---An independent copy.
---@return mobilellm.Session? session
---@return string? message
---@return mobilellm.code? code
function Session:fork() end

---@param path string
---@return mobilellm.Session? session
---@return string? message
---@return mobilellm.code? code
function Session:save(path) end

---@param path string
---@return mobilellm.Session? session
---@return string? message
---@return mobilellm.code? code
function Session:restore(path) end

---Feeds tokens; the natural log-probability of each.
---@param input mobilellm.Prompt
---@param options? {special?: boolean}
---@return number[]? logprobs
---@return string? message
---@return mobilellm.code? code
function Session:score(input, options) end

---A job that continues the session; options as for generate, without on_token and context.
---@param prompt mobilellm.Prompt
---@param options? mobilellm.GenerateOptions
---@return mobilellm.Job? job
---@return string? message
---@return mobilellm.code? code
function Session:start(prompt, options) end

---@param prompt mobilellm.Prompt
---@param options? mobilellm.GenerateOptions
---@return string? text
---@return mobilellm.Stats|string stats or message
---@return mobilellm.code? code
function Session:generate(prompt, options) end

---Whoever leaves the loop early on Lua 5.1 or LuaJIT closes the job; on 5.4 the loop does.
---@param prompt mobilellm.Prompt
---@param options? mobilellm.GenerateOptions
---@return (fun(): string?, string?, mobilellm.code?)? pieces
---@return mobilellm.Job|string job or message
---@return mobilellm.code? code
function Session:stream(prompt, options) end

---@return integer # most tokens it may hold
function Session:context() end

---@return integer # bytes of its cache
function Session:bytes() end

---@return mobilellm.Model # another handle of its model
function Session:model() end

function Session:close() end

-- ------------------------------------------------------------------ job

---A running generation. The first call decides who drives it: step() and advance() work on the caller's thread; read(), wait() and pollfd()
---start a thread. With a Lua function in the sampler there is no thread, and read() and wait() work on the caller's.
---@class mobilellm.Job
local Job = {}

---What has become certain since the last call, "" when nothing has, nil when it is over.
---@return string? text
---@return string? message
---@return mobilellm.code? code
function Job:read() end

---@param ms? number milliseconds; without limit unless given
---@return boolean # there is something to read, or it is over
function Job:wait(ms) end

---Works for about that long (to the end without a budget).
---@param options? {budget_ms?: number}
---@return boolean? over
---@return string? message
---@return mobilellm.code? code
function Job:step(options) end

---One token, or as much of the prompt as runs well at once.
---@return boolean? over
---@return string? message
---@return mobilellm.code? code
function Job:advance() end

---It ends after the token, or the slice of the prompt, that it is at.
function Job:cancel() end

---Polls readable while there is something to read or it is over; nil where no thread can work: then timeout() is 0.
---@return integer? fd
---@return string? message
---@return mobilellm.code? code
function Job:pollfd() end

---@return "r"
function Job:events() end

---@return 0? # seconds: 0 when read() has something to say at once
function Job:timeout() end

---@return "running"|"end"|"length"|"stop"|"context"|"cancelled"|"error"
function Job:state() end

---@return integer[] # generated since the last call
function Job:tokens() end

---@return mobilellm.Stats
function Job:stats() end

function Job:close() end

-- --------------------------------------------------------------- logits

---@class mobilellm.Logits
---@operator len: integer
local Logits = {}

---A view of numbers of one's own.
---@param numbers number[] the one of token id at [id + 1]
---@return mobilellm.Logits
function mobilellm.logits(numbers) end

---@param id integer
---@return number # -math.huge: masked
function Logits:get(id) end

---@param id integer
---@param x number
---@return mobilellm.Logits
function Logits:set(id, x) end

---@param ids integer|integer[]
---@param x number
---@return mobilellm.Logits
function Logits:add(ids, x) end

---@param allowed integer[]|string ids, or a string whose bit id % 8 of byte id / 8 allows a token
---@return mobilellm.Logits
function Logits:mask(allowed) end

---@param k integer
---@return {id: integer, logit: number, logprob: number}[] # best first
function Logits:topk(k) end

---@return integer? id
---@return number? logit
function Logits:argmax() end

---@param id integer
---@return number # natural logarithm of its probability
function Logits:logprob(id) end

---@return number # nats
function Logits:entropy() end

---@param ids? integer[]
---@return number[] # probabilities of ids; of all tokens without ids
function Logits:softmax(ids) end

---@return string # 4 bytes a token, IEEE 754, the lowest byte first
function Logits:string() end

---@return mobilellm.Logits # belongs to nobody and never gets stale
function Logits:copy() end

---Classifier-free guidance.
---@param other mobilellm.Logits
---@param scale number
---@return mobilellm.Logits
function Logits:guide(other, scale) end

---Contrastive decoding.
---@param other mobilellm.Logits
---@param options? {alpha?: number, beta?: number}
---@return mobilellm.Logits
function Logits:contrast(other, options) end

function Logits:close() end

-- -------------------------------------------------------------- sampler

---@class mobilellm.Sampler
local Sampler = {}

---A chain of stages: {"name", parameter, key = parameter, ...} or a function(logits, tokens). See core/sample/sample.h for the stages.
---@param stages table with seed = integer (of the clock unless given) and model = mobilellm.Model (for stages that know the vocabulary)
---@return mobilellm.Sampler
function mobilellm.sampler(stages) end

---@param from mobilellm.Logits|mobilellm.Session
---@return integer? id
---@return string? message
---@return mobilellm.code? code
function Sampler:sample(from) end

---@param id integer it has become part of the output
function Sampler:accept(id) end

---@param ids integer[] they stood before the output
function Sampler:prompt(ids) end

---@param seed? integer
function Sampler:reset(seed) end

---@return integer
function Sampler:seed() end

---@return integer[] # the history
function Sampler:tokens() end

---@return mobilellm.Sampler # in the same state; it shares the functions
function Sampler:fork() end

function Sampler:close() end

---@class mobilellm.BeamResult
---@field tokens integer[]
---@field text string
---@field logprob number
---@field score number
---@field finished boolean

---The continuations with the highest log-probability that a bounded search finds.
---@param from mobilellm.Model|mobilellm.Session
---@param prompt? mobilellm.Prompt
---@param options? {beams?: integer, max_tokens?: integer, results?: integer, length_penalty?: number, logits?: fun(logits: mobilellm.Logits, tokens: integer[]), special?: boolean, context?: integer}
---@return mobilellm.BeamResult? best
---@return mobilellm.BeamResult[]|string all or message
---@return mobilellm.code? code
function mobilellm.beam(from, prompt, options) end

-- -------------------------------------------------------------- grammar

mobilellm.grammar = {}

---@class mobilellm.SchemaOptions
---@field order? "schema"|"any" of declared keys; "schema" unless given
---@field space? "one"|"any"|"none" "one": at most one space after ',' and ':'
---@field strict? boolean true unless given: what cannot be guaranteed is refused; false: it is listed in the report
---@field draft? integer 4, 6, 7, 2019 or 2020; otherwise what $schema says
---@field format? "assert"|"annotation" whether known formats are enforced; "assert" unless given
---@field max_depth? integer nesting of the output; 64 unless given

---JSON Schema, drafts 4 to 2020-12. Of a table the properties come in the order of `required`, the others sorted by name.
---@param schema table|string|boolean JSON text keeps its own order of properties
---@param options? mobilellm.SchemaOptions
---@return mobilellm.Grammar? grammar
---@return string? message names the JSON pointer and the keyword
---@return mobilellm.code? code
function mobilellm.grammar.json_schema(schema, options) end

---Any JSON value.
---@param options? mobilellm.SchemaOptions
---@return mobilellm.Grammar? grammar
---@return string? message
---@return mobilellm.code? code
function mobilellm.grammar.json(options) end

---A regular expression (ECMA syntax without look-around and back-references) that the whole text must match.
---@param pattern string
---@return mobilellm.Grammar? grammar
---@return string? message names the position
---@return mobilellm.code? code
function mobilellm.grammar.regex(pattern) end

---One of the given texts.
---@param texts string[]
---@return mobilellm.Grammar? grammar
---@return string? message
---@return mobilellm.code? code
function mobilellm.grammar.choice(texts) end

---llama.cpp's GBNF; the rule "root" is the start. Left recursion is fine.
---@param text string
---@return mobilellm.Grammar? grammar
---@return string? message names line and column
---@return mobilellm.code? code
function mobilellm.grammar.gbnf(text) end

---GBNF in which @1, @2 ... stand for other grammars; also @until "x", @without "x", @token 5, @capture "name" ( ... ).
---@param text string
---@param grammars? mobilellm.Grammar[]
---@return mobilellm.Grammar? grammar
---@return string? message
---@return mobilellm.code? code
function mobilellm.grammar.compose(text, grammars) end

---A grammar, or exactly that text.
---@alias mobilellm.Part mobilellm.Grammar|string

---Exactly that text.
---@param text string
---@return mobilellm.Grammar
function mobilellm.grammar.lit(text) end

---One after the other.
---@param ... mobilellm.Part
---@return mobilellm.Grammar? grammar
---@return string? message
---@return mobilellm.code? code
function mobilellm.grammar.seq(...) end

---One of them.
---@param ... mobilellm.Part
---@return mobilellm.Grammar? grammar
---@return string? message
---@return mobilellm.code? code
function mobilellm.grammar.alt(...) end

---It or nothing.
---@param part mobilellm.Part
---@return mobilellm.Grammar? grammar
---@return string? message
---@return mobilellm.code? code
function mobilellm.grammar.opt(part) end

---Repeated, from `least` (0) to `most` (without end) times, with `between` between two.
---@param part mobilellm.Part
---@param least? integer
---@param most? integer
---@param between? mobilellm.Part
---@return mobilellm.Grammar? grammar
---@return string? message
---@return mobilellm.code? code
function mobilellm.grammar.many(part, least, most, between) end

---Any text.
---@return mobilellm.Grammar
function mobilellm.grammar.free() end

---Any text that ends with the first `text`.
---@param text string
---@return mobilellm.Grammar
function mobilellm.grammar.free_until(text) end

---matcher:captures() tells what the part read.
---@param name string
---@param part mobilellm.Part
---@return mobilellm.Grammar? grammar
---@return string? message
---@return mobilellm.code? code
function mobilellm.grammar.capture(name, part) end

---The token itself, for control tokens.
---@param id integer
---@return mobilellm.Grammar
function mobilellm.grammar.token(id) end

---Free text in which every trigger starts a body, and free text again after it.
---@param options {trigger: string|integer, body: mobilellm.Part, times?: integer}
---@return mobilellm.Grammar? grammar
---@return string? message
---@return mobilellm.code? code
function mobilellm.grammar.lazy(options) end

---@class mobilellm.Grammar
local Grammar = {}

---A matcher at the start. Without a vocabulary it takes text, not tokens.
---@param model? mobilellm.Model|mobilellm.Vocab
---@return mobilellm.Matcher? matcher
---@return string? message
---@return mobilellm.code? code
function Grammar:matcher(model) end

---Keywords that are checked only when a value closes ("closing"), formats that are only notes ("annotation"), and, with strict = false,
---what is not enforced ("ignored").
---@return {pointer: string, keyword: string, tier: string}[]
function Grammar:report() end

---Fewest bytes of a complete text; nil where that is not known.
---@return integer?
function Grammar:min_bytes() end

---bytes: memory it holds, without what matchers keep.
---@return {bytes: integer}
function Grammar:info() end

function Grammar:close() end

---One position in a grammar. A matcher and its forks are used by one thread at a time.
---@class mobilellm.Matcher
local Matcher = {}

---Takes one token. An end token is taken where the text is complete.
---@param id integer
---@param options? {budget?: integer} budget: that of the mask which allowed the token. Then it is taken only if a way to the end within so
---many tokens is known behind it; when it is not, the next mask here is without it: draw again
---@return boolean accepted when false, nothing has changed
---@return string? message
---@return mobilellm.code? code
function Matcher:accept(id, options) end

---Takes text as one step, all of it or nothing.
---@param text string
---@return boolean accepted
---@return string? message
---@return mobilellm.code? code
function Matcher:accept_text(text) end

---Tokens that may not come next become -inf. Without logits: a string whose bit id % 8 of byte id / 8 allows a token.
---@param logits? mobilellm.Logits
---@param options? {budget?: integer, mass?: boolean} budget: only tokens after which the text can be completed within so many tokens, as far
---as the mask can tell: accept(id, {budget = ...}) makes sure. mass:
---the second result is the share of the logits' probability that was taken away
---@return mobilellm.Logits|string|nil mask
---@return string|number|nil message
---@return mobilellm.code? code
function Matcher:mask(logits, options) end

---@param options? {budget?: integer}
---@return integer[]? ids that may come next
---@return string? message
---@return mobilellm.code? code
function Matcher:allowed(options) end

---What must come next, as the tokenizer writes it, without last tokens that what follows may still change; and all of it as text.
---@return integer[] ids
---@return string text
function Matcher:forced() end

---Undoes the last accepted tokens and texts.
---@param n integer
---@return mobilellm.Matcher
function Matcher:rollback(n) end

---@return mobilellm.Matcher
function Matcher:reset() end

---The text so far is in the language.
---@return boolean
function Matcher:is_complete() end

---An end token was taken.
---@return boolean
function Matcher:is_finished() end

---@return mobilellm.Matcher? fork
---@return string? message
---@return mobilellm.code? code
function Matcher:fork() end

---All bytes taken since the start.
---@return string
function Matcher:text() end

---Fewest bytes that complete the text, at most that many tokens; nil where that is not known.
---@return integer?
function Matcher:min_left() end

---@return table<string, string> texts the last one of each name
---@return {name: string, text: string, from: integer, to: integer}[] list in the order they closed
function Matcher:captures() end

---A short way to complete the text, found by a search; nil when none was found. #ids tokens are enough to finish from here.
---@return integer[]? ids
---@return string? text
function Matcher:completion() end

---mask_mass: probability that mask(logits, {mass = true}) took away, summed over mask_steps calls.
---bytes: memory of this matcher and what it shares with its forks. trie_bytes: memory of the vocabulary made ready for masks, once for
---a model; tokens: its size (both nil without a vocabulary). steps: tokens and texts accepted so far.
---@return {bytes: integer, trie_bytes: integer?, tokens: integer?, steps: integer, mask_mass: number, mask_steps: integer}
function Matcher:info() end

function Matcher:close() end

-- ----------------------------------------------------------------- json

mobilellm.json = {}

---Keys in the order that their object carries, else in byte order. Raises, naming the place, for what JSON cannot say.
---@param value any
---@return string
function mobilellm.json.encode(value) end

---Arrays carry a mark, so that an empty one stays one; null is mobilellm.null.
---@param text string
---@param options? {ordered?: boolean} ordered: objects carry the order of their keys
---@return any value
---@return string? message
---@return mobilellm.code? code
function mobilellm.json.decode(text, options) end

---Marks a table as an array.
---@param t? table
---@return table
function mobilellm.json.array(t) end

---@param value any
---@return boolean
function mobilellm.json.is_array(value) end

---Does a value satisfy a JSON Schema? Strings are JSON text, in both places.
---@param schema table|string|boolean
---@param value any
---@param options? mobilellm.SchemaOptions draft, format and strict count
---@return true? yes
---@return string? message names both places
---@return mobilellm.code? code "grammar": it does not
function mobilellm.json.validate(schema, value, options) end

---Gives a table an order of its keys, for encode and for templates.
---@param t table
---@param keys string[]
---@return table t
function mobilellm.json.object(t, keys) end

---An object's keys in the order in which encode writes them.
---@param t table
---@return string[]
function mobilellm.json.keys(t) end

-- ------------------------------------------------------------- templates

mobilellm.template = {}

---A Jinja template with the settings of Hugging Face transformers.
---@param source string
---@param options? {name?: string, steps?: integer, output?: integer, depth?: integer, mutable?: boolean} limits: statements and calls, bytes, calls inside calls
---@return mobilellm.Template? template
---@return string? message
---@return mobilellm.code? code
function mobilellm.template.compile(source, options) end

---A string that counts as the template's own inside a context.
---@param s string
---@return table
function mobilellm.template.own(s) end

---@class mobilellm.Template
local Template = {}

---@class mobilellm.RenderOptions
---@field now? integer seconds since the epoch, for strftime_now
---@field own? table<string, boolean> names whose strings count as the template's own
---@field steps? integer
---@field output? integer
---@field depth? integer

---@param context table
---@param options? mobilellm.RenderOptions
---@return string? text
---@return string? message
---@return mobilellm.code? code
function Template:render(context, options) end

---The text in parts that tell what came from strings of the context.
---@param context table
---@param options? mobilellm.RenderOptions
---@return {text: string, user: boolean}[]? segments
---@return string? message
---@return mobilellm.code? code
function Template:segments(context, options) end

-- ---------------------------------------------------------------- tools

---@class mobilellm.Tool
---@field name string
---@field description? string
---@field parameters? table JSON Schema
---@field call? fun(arguments: table, ...): any
---@field keywords? string words that people say for it, where tools are retrieved
---@field instructions? integer most instructions of the Lua machine that the function may take
---@field memory? integer most bytes that it may add to what the Lua state holds
---@field timeout? number seconds that it may take, from its beginning
---@field confirm? boolean|fun(arguments: table): boolean? for mobilellm.agent: ask before it runs
---@field threshold? number for mobilellm.agent: ask below this confidence
---@field refuse? number for mobilellm.agent: do nothing below this confidence

---@class mobilellm.Tools
---@operator len: integer
---@field problems string[]
local Tools = {}

---mobilellm.tools{...} makes a registry; what is wrong with a declaration is listed, the others stay.
---@overload fun(list: mobilellm.Tool[]): mobilellm.Tools, string[]?
mobilellm.tools = {}

---@param any mobilellm.Tools|mobilellm.Tool[]|nil
---@return mobilellm.Tool[]
---@return string[] problems what is wrong with declarations that were left out
function mobilellm.tools.list(any) end

---@param any mobilellm.Tools|mobilellm.Tool[]|nil
---@return table
function mobilellm.tools.declared(any) end

---Whether arguments that no property of the schema declares are none, though it does not say so.
---@param schema table of a tool's parameters
---@return boolean
function mobilellm.tools.closed(schema) end

---A tool's function as a coroutine under its limits, for loops of one's own: resume(arguments) gives "done", "yield" or "error", and values.
---@param tool mobilellm.Tool
---@param defaults? {instructions?: integer, memory?: integer, timeout?: number} where the tool declares none
---@return fun(...): "done"|"yield"|"error", any resume
function mobilellm.tools.thread(tool, defaults) end

---@param name string
---@return mobilellm.Tool?
function Tools:get(name) end

---@return string[]
function Tools:names() end

---Which tools a text may be about, by their words, best first. Of several texts the last counts most.
---@param texts string|string[] what the user said
---@return {tool: mobilellm.Tool, score: number}[]
function Tools:rank(texts) end

---A registry of these tools.
---@param names string[]
---@return mobilellm.Tools
function Tools:only(names) end

---Typed arguments with defaults filled in.
---@param call {name: string, arguments: table|string}
---@return table? arguments
---@return string? message
---@return "unknown_tool"|"unknown_argument"|"missing_argument"|"invalid_argument"? code
function Tools:check(call) end

---Checks and runs the tool's function, under the limits that the tool declares.
---@param call {name: string, arguments: table|string}
---@return any result
---@return string? message
---@return string? code
function Tools:call(call, ...) end

---@return table[] # the declarations as chat templates take them
function Tools:openai() end

-- --------------------------------------------------------------- limits

---@class mobilellm.Limits
local Limits = {}

---Limits for a coroutine: of mistakes, not a wall against malice. A call of C that blocks (a socket, os.execute, a pattern that backtracks for long) is
---not interrupted. On LuaJIT the compiler is off meanwhile and drops what it has compiled. On Lua 5.1 and LuaJIT garbage that is not collected counts.
---@param options? {instructions?: integer, memory?: integer, seconds?: number} memory: bytes more than before
---@return mobilellm.Limits
function mobilellm.limits(options) end

---As coroutine.resume. Past a limit it is false and a message that names it, whatever the coroutine did with the error.
---@param thread thread
---@return boolean ok
---@return any ...
function Limits:resume(thread, ...) end

---@return {instructions: integer, memory: integer, seconds: number} # so far; instructions in steps of a thousand
function Limits:used() end

function Limits:close() end

-- ------------------------------------------------------------ tool calls

mobilellm.toolcall = {}

---@param record table
---@return string name
function mobilellm.toolcall.format(record) end

---@return string[]
function mobilellm.toolcall.formats() end

---@param name string
---@return table?
function mobilellm.toolcall.record(name) end

---Raises for what an option `format` does not take; nil is fine.
---@param format string|table|nil
---@param where string for the message
function mobilellm.toolcall.known(format, where) end

---@param text string
---@param options? {format?: string|table, tools?: mobilellm.Tools|mobilellm.Tool[], repair?: boolean, limit?: integer, reasoning?: boolean|"open"}
---@return {calls: {name: string, arguments: table, id: string?}[], text: string, reasoning: string?, errors: table[]}
function mobilellm.toolcall.parse(text, options) end

---@param options? {format?: string|table, tools?: mobilellm.Tools|mobilellm.Tool[], repair?: boolean, limit?: integer, reasoning?: boolean|"open"}
---@return mobilellm.ToolcallParser
function mobilellm.toolcall.parser(options) end

---Calls as a model of that format writes them.
---@param calls {name: string, arguments: table, id: string?, order: string[]?}[] order: names of the arguments; sorted unless given
---@param options {format: string|table}
---@return string
function mobilellm.toolcall.write(calls, options) end

---The calls of some tools, as a model of that format writes them.
---@param tools mobilellm.Tools|mobilellm.Tool[]
---@param options? {format: string|table, least?: integer, most?: integer, text?: boolean, strict?: boolean, vocabulary?: mobilellm.Model, thoughts?: boolean} (lua-mobilellm/mobilellm/toolcall.lua)
---@return mobilellm.Grammar? grammar
---@return string? message
---@return mobilellm.code? code
function mobilellm.toolcall.grammar(tools, options) end

---@class mobilellm.ToolcallParser
local ToolcallParser = {}

---@param chunk string
---@return table[] events kind: text reasoning call_begin argument call_end error
function ToolcallParser:feed(chunk) end

---@return table[] events
function ToolcallParser:finish() end

---The call that is being written, as far as it stands; nil: none is.
---@return {name: string, id: string?, call: integer, arguments: table}?
function ToolcallParser:partial() end

function ToolcallParser:reset() end

function ToolcallParser:close() end

---A compiled format; toolcall keeps them.
---@class mobilellm.ToolcallFormat
local ToolcallFormat = {}

function ToolcallFormat:close() end

-- ----------------------------------------------------------------- chat

---@class mobilellm.ChatEvent
---@field kind "text"|"reasoning"|"call_begin"|"argument"|"tool_call"|"error"|"done"
---@field text? string
---@field call? {name: string, arguments: table, id: string} of tool_call
---@field message? table|string of done: the answer; of error: what is wrong
---@field calls? table[] of done
---@field stop? string of done
---@field reused? integer of done: tokens found in the cache
---@field fed? integer of done: tokens of the prompt that were computed

---@class mobilellm.Chat
local Chat = {}

---What the user says, or nothing when the model goes on with the results of its calls. The last event is "done".
---@param text? string|table
---@param options? mobilellm.GenerateOptions|{tool_choice?: "auto"|"required"|"none", constrain?: boolean}
---@return fun(): mobilellm.ChatEvent?
function Chat:send(text, options) end

---The whole answer.
---@param text? string|table
---@param options? table
---@return string? text
---@return table[]|string calls or message
---@return mobilellm.code? code
function Chat:ask(text, options) end

---@return table[] # a copy
function Chat:messages() end

---@param message table
---@return mobilellm.Chat
function Chat:add(message) end

---@param call table that of a tool_call event
---@param value any a string, or what JSON can say
---@return mobilellm.Chat
function Chat:result(call, value) end

---From now on these are the tools.
---@param tools mobilellm.Tools|mobilellm.Tool[]
---@return mobilellm.Chat
function Chat:use(tools) end

---Takes the last message back.
---@return mobilellm.Chat
function Chat:undo() end

---@return string[] # what the template loses and how it was completed; what of the tools' schemas is not enforced
function Chat:notes() end

---@return string|table # of tool calls
function Chat:format() end

---@return string? text
---@return string? message
---@return mobilellm.code? code
function Chat:prompt() end

---How sure the model was of the calls that it made last: their probability among all that the tools allow. An answer without a call: the probability
---of none (in our own form; else of its text). A step of the model for each token.
---@return number? confidence
---@return {call: number, tokens: integer, masked: boolean}|string detail or message; call: the probability that there is a call at all
---@return mobilellm.code? code
function Chat:confidence() end

---@return {turns: integer, prompt_tokens: integer, reused: integer, recomputed: integer, tokens: integer, dropped: integer, context: integer, held: integer?}
function Chat:stats() end

---The messages as JSON, the cache beside it in path .. ".session".
---@param path string
---@return mobilellm.Chat? chat
---@return string? message
---@return mobilellm.code? code
function Chat:save(path) end

---@param path string
---@return mobilellm.Chat? chat
---@return string? message
---@return mobilellm.code? code
function Chat:restore(path) end

---@return mobilellm.Chat? chat
---@return string? message
---@return mobilellm.code? code
function Chat:fork() end

function Chat:close() end

-- ---------------------------------------------------------------- agent

mobilellm.agent = {}

---@class mobilellm.AgentOptions
---@field chat mobilellm.Chat made with the same tools
---@field tools? mobilellm.Tools|mobilellm.Tool[] a tool's function may yield
---@field steps? integer most answers of the model in a run: 8
---@field tokens? integer most tokens generated
---@field seconds? number
---@field retries? integer times that a bad call is made again: 2
---@field retrieve? integer show the model only so many tools, those that what was said may be about
---@field threshold? number of chat:confidence(), below which it asks; a tool may have its own
---@field refuse? number of chat:confidence(), below which it does nothing; a tool may have its own
---@field timeout? number of tools without their own
---@field instructions? integer of tools without their own
---@field memory? integer of tools without their own
---@field clock? fun(): number
---@field trace? fun(line: string) called with each event as JSON
---@field send? table options for every chat:send

---A loop over a chat: calls are checked and run, their results go back, until the model answers.
---@param options mobilellm.AgentOptions
---@return mobilellm.Agent
function mobilellm.agent.new(options) end

---A chat that says what a record has, for agent.new.
---@param record string
---@return table? chat
---@return string? message
---@return mobilellm.code? code
function mobilellm.agent.replay(record) end

---@class mobilellm.AgentEvent
---@field kind "retrieve"|"text"|"reasoning"|"call_begin"|"argument"|"approve"|"ask"|"refuse"|"call"|"wait"|"result"|"retry"|"unread"|"limit"|"error"|"done"
---@field answer? any what the script says to it
---@field call? {name: string, arguments: table, id: string}
---@field value? any
---@field problem? string
---@field text? string
---@field tools? {name: string, score: number}[] of retrieve, best first
---@field confidence? number of ask and refuse
---@field reason? "answer"|"limit"|"refused"|"error" of done

---@class mobilellm.Agent
local Agent = {}

---@param text string
---@return fun(): mobilellm.AgentEvent?
function Agent:run(text) end

---@param event table
---@return any answer
function Agent:emit(event) end

---@return string # the runs so far as JSON Lines, for agent.replay
function Agent:record() end

-- ---------------------------------------------------------------- train

mobilellm.train = {}

---@param path? string what data:save wrote
---@return mobilellm.TrainData? data
---@return string? message
---@return mobilellm.code? code
function mobilellm.train.data(path) end

---@param options table shape or base, lora, teacher, vocabulary, seed, threads, learning_rate, schedule, steps, batch_tokens, recompute, rounding ... (lua-mobilellm/src/trainer.c)
---@return mobilellm.Trainer? trainer
---@return string? message
---@return mobilellm.code? code
function mobilellm.train.new(options) end

---@param options table as of train.new, and longest: tokens of the longest row
---@return integer? bytes # that such a trainer takes in the end; nothing is allocated
---@return string? message
---@return mobilellm.code? code
function mobilellm.train.memory(options) end

---Catches SIGINT and SIGTERM from now on, each once: for a loop that saves before it ends.
---@return fun(): string? # "SIGINT", "SIGTERM", or nil as long as none came
function mobilellm.train.signals() end

---@param path string a checkpoint
---@param options? table what changes; base: the model of adapters; teacher: if there was one
---@return mobilellm.Trainer? trainer
---@return string? message
---@return mobilellm.code? code
function mobilellm.train.resume(path, options) end

---@param options {texts: string[]|fun(): string?, size?: integer, special?: string[], pre?: string, bos?: string, eos?: string, min_count?: integer}
---@return mobilellm.Vocabulary? vocabulary
---@return string? message
---@return mobilellm.code? code
function mobilellm.train.bpe(options) end

---@param path string tokenizer.json, tokenizer.model, a GGUF file or a folder
---@return mobilellm.Vocabulary? vocabulary
---@return string? message
---@return mobilellm.code? code
function mobilellm.train.vocabulary(path) end

---@param stats table
---@return string # a line for a terminal
function mobilellm.train.progress(stats) end

mobilellm.train.curve = {}

---@return table curve with add, csv, save_csv, svg, save_svg
function mobilellm.train.curve.new() end

---@param path string
---@return table? curve
---@return string? message
---@return mobilellm.code? code
function mobilellm.train.curve.load(path) end

---@class mobilellm.TrainData
---@operator len: integer
local TrainData = {}

---@param ids integer[]|table
---@param prompt? integer so many ids are context
---@param weight? number
---@param prompt_weight? number
---@return true? done
---@return string? message
---@return mobilellm.code? code
function TrainData:add(ids, prompt, weight, prompt_weight) end

---@param other mobilellm.TrainData
---@return true? done
---@return string? message
---@return mobilellm.code? code
function TrainData:append(other) end

---@return integer
function TrainData:rows() end

---@return integer
function TrainData:tokens() end

---@return integer
function TrainData:longest() end

---@param i integer from 1
---@return table
function TrainData:row(i) end

---@param path string
---@return true? done
---@return string? message
---@return mobilellm.code? code
function TrainData:save(path) end

function TrainData:close() end

---@class mobilellm.Trainer
local Trainer = {}

---@param rows table[]
---@return number? loss
---@return table|string stats or message
---@return mobilellm.code? code
function Trainer:step(rows) end

---@param data mobilellm.TrainData
---@return number? loss
---@return table|string stats or message
---@return mobilellm.code? code
function Trainer:next(data) end

---@param options {data: mobilellm.TrainData, steps?: integer, seconds?: number, evaluate?: mobilellm.TrainData, evaluate_every?: integer, checkpoint?: string, every?: number, best?: string, on_step?: fun(stats: table): boolean?}
---@return table? stats
---@return string? message
---@return mobilellm.code? code
function Trainer:run(options) end

---@param data mobilellm.TrainData
---@return number? loss
---@return table|string figures or message
---@return mobilellm.code? code
function Trainer:evaluate(data) end

---@param ids integer[]
---@return number[]? # index id + 1
---@return string? message
---@return mobilellm.code? code
function Trainer:logits(ids) end

---@return table
function Trainer:info() end

---@param options table
function Trainer:set(options) end

---@param path string
---@return true? done
---@return string? message
---@return mobilellm.code? code
function Trainer:save(path) end

---@param path string
---@param options? {type?: string, card?: table, chat_template?: string, vocabulary?: mobilellm.Vocabulary, name?: string}
---@return true? done
---@return string? message
---@return mobilellm.code? code
function Trainer:export(path, options) end

function Trainer:close() end

---A vocabulary without a model.
---@class mobilellm.Vocabulary
local Vocabulary = {}

---@param text string
---@param options? {bos?: boolean, eos?: boolean, special?: boolean, prefix?: boolean}
---@return integer[]
function Vocabulary:tokenize(text, options) end

---@param ids integer[]
---@param options? {special?: boolean, prefix?: boolean}
---@return string
function Vocabulary:detokenize(ids, options) end

---@return integer
function Vocabulary:size() end

---@return integer?
function Vocabulary:bos() end

---@return integer?
function Vocabulary:eos() end

---@param id integer
---@return boolean
function Vocabulary:is_end(id) end

---@param spelling string
---@return integer?
function Vocabulary:find(spelling) end

---@param id integer
---@return string?
function Vocabulary:bytes(id) end

---@param path string
---@return true? done
---@return string? message
---@return mobilellm.code? code
function Vocabulary:save(path) end

function Vocabulary:close() end

return mobilellm
