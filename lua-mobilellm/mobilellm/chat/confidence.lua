-- How sure a model was of the call that it made: its probability under the mask, that is among all the calls that the tools allow.
--
--   confidence(model, session, made, tools, form) -> number, detail | nil, message, code
--     session   with the prompt and nothing after it; it is fed the answer, one token a step
--     made      ids (of the answer), raw (their text)
--     form      of the prompt (chat/prompt.lua): its kind, and the formats that calls are read and constrained in
--     number    product over the tokens of the calls of their probability among those that the grammar of the tools allows there. What can
--               only go on in one way costs nothing, so a long name weighs no more than a short one, and the values weigh most. Where the
--               calls leave the grammar (an order of arguments that it does not have), the whole vocabulary is allowed from there
--     detail    call: the probability that there is a call at all, where it was decided; tokens: how many were counted; masked: whether
--               the grammar held to the end
-- An answer without a call: the probability that there is none (call = 1 - number), for models of our own form; for others the product over
-- all its tokens, unmasked.
local toolcall = require "mobilellm.toolcall"
local signature = require "mobilellm.signature"

-- Tokens by their bytes, by model.
local spellings = setmetatable({}, {__mode = "k"})
local LONGEST = 32 -- bytes of a token that is looked for

local function ids_by_bytes(model)
  local map = spellings[model]
  if not map then
    map = {}
    for id = 0, model:info().vocabulary - 1 do
      local bytes, kind = model:token(id)
      if bytes and bytes ~= "" and #bytes <= LONGEST and kind ~= "control" and kind ~= "unused" then
        map[bytes] = map[bytes] or {}
        table.insert(map[bytes], id)
      end
    end
    spellings[model] = map
  end
  return map
end

local FEW = 32 -- tokens that may follow, for a look at each
local LEAST = 1e-4 -- what weighs less is not looked at

-- Whether a tokenizer would ever write this token where the matcher stands: not a space before "kitchen" or "hall", which have it.
local function is_written(model, matcher, bytes, id)
  local list = matcher:allowed()
  if not list or #list > FEW then return true end
  for _, other in ipairs(list) do
    local after = model:token(other)
    if model:tokenize(bytes .. (after or ""), {continuation = true})[1] == id then return true end
  end
  return false
end

-- The probability of `id` among the tokens that the grammar allows (logits are masked). Shorter tokens that begin the same text: those
-- after which nothing else could follow count with it, those that nothing would be written with count for none.
local function share_of(model, logits, matcher, text, id)
  local map = ids_by_bytes(model)
  local share, none = math.exp(logits:logprob(id)), 0
  local length = #model:token(id)
  for short = 1, math.min(length, LONGEST) do
    local bytes = text:sub(1, short)
    for _, other in ipairs(map[bytes] or {}) do
      local p = other ~= id and math.exp(logits:logprob(other)) or 0
      if p > LEAST then
        local fork = matcher:fork()
        fork:accept(other)
        local _, forced = fork:forced()
        if short + #forced >= length then
          share = share + p
        elseif not is_written(model, fork, bytes, other) then
          none = none + p
        end
        fork:close()
      end
    end
  end
  return math.min(1, share / (1 - none))
end

-- Where the calls begin, in bytes of the text, and the format that the grammar takes; nil: there are none.
local function calls_of(made, tools, form)
  if form.kind == "signature" then return made.raw:find "%S" and 0, form.grammar_format end
  local read = toolcall.parse(made.raw, {format = form.format, tools = tools})
  local first = read and read.calls[1]
  local at = first and made.raw:find(first.raw, 1, true)
  return at and at - 1, read and read.format
end

return function(model, session, made, tools, form)
  local start, format = calls_of(made, tools, form)
  local own = form.kind == "signature"
  local calls_id, end_id
  if own then
    calls_id = model:tokenize("<|calls|>", {bos = false, special = true})[1]
    end_id = model:tokenize(signature.stop, {bos = false, special = true})[1]
  end
  local sum, counted, at, decided = 0, 0, 0, nil
  local logits, message, code = session:logits()
  if not logits then return nil, message, code end
  if own and (not start or made.ids[1] == calls_id) then
    local both = logits:softmax{calls_id, end_id}
    decided = both[1] / (both[1] + both[2])
    if not start then return 1 - decided, {call = decided, tokens = 1, masked = true} end
    sum, counted = math.log(decided), 1
  end
  local matcher, masked = nil, false
  if start and format and #tools > 0 then
    local grammar = toolcall.grammar(tools, {format = format, strict = false, vocabulary = own and model or nil})
    matcher = grammar and grammar:matcher(model)
    if matcher and own then matcher:accept(calls_id) end -- weighed above, against the end
    masked = matcher ~= nil
  end
  for i, id in ipairs(made.ids) do
    local bytes, kind = model:token(id)
    local silent = own and kind == "control"
    local length = silent and 0 or #bytes
    if not silent and (not start or at + length > start) then
      logits, message, code = session:logits()
      if not logits then return nil, message, code end
      if not decided then decided = math.exp(logits:logprob(id)) end
      local inside = start and at < start and bytes:sub(start - at + 1) -- the marker begins within the token
      local fits
      if matcher and not inside then
        local fork = matcher:fork()
        fits = fork:accept(id)
        fork:close()
        if fits then matcher:mask(logits) end
      end
      local share = fits and share_of(model, logits, matcher, made.raw:sub(at + 1, at + LONGEST), id) or math.exp(logits:logprob(id))
      sum, counted = sum + math.log(share), counted + 1
      if matcher then
        if inside then fits = matcher:accept_text(inside) else fits = fits and matcher:accept(id) end
        if not fits then -- what may follow the calls is not the calls: they are over, or left the grammar
          if matcher:is_complete() then break end
          matcher:close()
          matcher, masked = nil, false
        end
      end
    end
    at = at + length
    if i < #made.ids then
      local fed
      fed, message, code = session:feed{id}
      if not fed then return nil, message, code end
    end
  end
  if matcher then matcher:close() end
  return math.exp(sum), {call = decided, tokens = counted, masked = masked}
end
