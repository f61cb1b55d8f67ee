-- The answer of a model in the form of mobilellm/signature.lua, one token after the other, with how sure the model was of it.
--
--   local made = assert(decode(session, tools, options))     -- session: has read the prompt (signature.encode)
--   made.calls        list of {name, arguments}; none: no tool is to be called
--   made.text         as the model wrote it
--   made.confidence   the probability of the answer: the product over its tokens, each among those that were allowed there. What the
--                     model would have given to tools that are not there counts as "no call"
--   made.call         the probability that one of the tools is to be called
--   made.tokens       how many tokens the answer has
--   made.cut          the answer was not over after max_tokens; a call that was not over is left out
--
-- options:
--   constraint   true (unless given): nothing can be said but calls of these tools: their names, each argument once and in any
--                order, the required ones always, values of the schema's types and enumerations. A model that would rather name a
--                tool that is not there gets no call at all. false: whatever the model says
--   threshold    calls only when made.call is at least this; unless given, when it is the likelier thing at each step
--   strings      "free" (unless given), or "spoken": a string must be a run of words in `texts`, where one can be
--   texts        what has been said (list of strings), for "spoken"
--   asked        what user and assistant have said (list of strings), the last counting most: where tools are chosen, words in common with
--                it count beside the model (mobilellm/signature/prior.lua), for the first call; unless given, the model chooses alone
--   lexical      how much they count: nats for a point of BM25, 1 unless given
--   max_tokens   200 unless given; the session's room is a limit, too
--   most         calls, at most: 16 unless given
--
-- A call that is word for word one of those before it is left out. Without `asked`, an answer that was allowed anyway is the same with
-- the constraint as without: the likeliest token is taken each time.
local signature = require "mobilellm.signature"
local values = require "mobilellm.signature.grammar"
local Prior = require "mobilellm.signature.prior"

-- Errors of the world leave by `error` with this table: {message, code}.
local function check(value, message, code)
  if value == nil then error({message = message, code = code}, 0) end
  return value
end

local Decoder = {}

Decoder.__index = Decoder

function Decoder:flush()
  if #self.pending > 0 then
    check(self.session:feed(self.pending))
    self.pending = {}
  end
end

function Decoder:take(id, logprob)
  self.logprob = self.logprob + logprob
  self.pending[#self.pending + 1] = id
  self.ids[#self.ids + 1] = id
end

-- The best of some tokens; also its probability among them.
function Decoder:pick(ids)
  self:flush()
  local logits = check(self.session:logits())
  logits:mask(ids)
  local id = logits:argmax()
  return id, logits:logprob(id)
end

-- Writes a text of the grammar and returns it; nil when the tokens are used up. With `weigh` also the probability that the model
-- gave to what is allowed, and whether the likeliest token always was; `prior` then counts among what is allowed.
function Decoder:write(grammar, weigh, prior)
  local matcher, allowed, natural = check(grammar:matcher(self.model)), 1, true
  local written = {}
  while not matcher:is_complete() do
    if #self.ids >= self.max_tokens then
      matcher:close()
      return nil
    end
    local forced = weigh and {} or matcher:forced()
    if #forced > 0 then
      for i = 1, math.min(#forced, self.max_tokens - #self.ids) do
        check(matcher:accept(forced[i]))
        self:take(forced[i], 0)
      end
    else
      self:flush()
      local logits = check(self.session:logits())
      if weigh then
        local sum, best = 0, logits:argmax()
        for _, p in ipairs(logits:softmax(check(matcher:allowed()))) do sum = sum + p end
        allowed = allowed * math.min(1, sum)
        check(matcher:mask(logits))
        natural = natural and logits:argmax() == best
        if prior then prior:add(logits, written) end
      else
        check(matcher:mask(logits))
      end
      local id = logits:argmax()
      self:take(id, logits:logprob(id))
      check(matcher:accept(id))
      written[#written + 1] = id
    end
  end
  local text = matcher:text()
  matcher:close()
  return text, allowed, natural
end

-- Where to come back to.
function Decoder:mark()
  self:flush()
  return {session = #self.session, ids = #self.ids, logprob = self.logprob}
end

function Decoder:back(mark)
  self.pending = {}
  self.session:rewind(mark.session)
  for i = #self.ids, mark.ids + 1, -1 do self.ids[i] = nil end
  self.logprob = mark.logprob
end

-- Whether all strings of a written value stand in the texts.
local function spoken(value, texts)
  local plain = value:gsub("\\\\", "\1"):gsub('\\"', "\2")
  for content in plain:gmatch '" ([^"]*)"' do
    local text = content:gsub("\\n", "\n"):gsub("\2", '"'):gsub("\1", "\\")
    local found = false
    for _, said in ipairs(texts) do
      local from = 1
      while not found do
        local first, last = said:find(text, from, true)
        if not first then break end
        local before, after = said:sub(first - 1, first - 1), said:sub(last + 1, last + 1)
        found = not (before:find "[%w\128-\255]" and text:find "^[%w\128-\255]")
          and not (after:find "[%w\128-\255]" and text:find "[%w\128-\255]$")
        from = first + 1
      end
    end
    if not found then return false end
  end
  return true
end

-- ' VALUE' and the sign behind it.
function Decoder:argument(schema, closing)
  local grammar = check(values.argument(schema, closing))
  if self.strings ~= "spoken" then return self:write(grammar) end
  local mark = self:mark()
  local text = self:write(grammar)
  if text and spoken(text, self.texts) then return text end
  if self.spans == nil then self.spans = values.spans(self.texts) or false end
  if not self.spans then return text end
  -- How sure the model is stays what it was without the texts: what it would rather have said counts against it.
  self:back(mark)
  return self:write(check(values.argument(schema, closing, self.spans)))
end

-- One call as text; nil when the tokens are used up, false when it would rather be a call of another tool.
function Decoder:call()
  local starts, by_start, weighed = {}, {}, {}
  for _, tool in ipairs(self.tools) do
    local names, required = signature.parameters(tool)
    for _, text in ipairs(Prior.starts(tool)) do
      if not by_start[text] then
        starts[#starts + 1] = text
        weighed[#weighed + 1] = {text = text, tool = tool}
        by_start[text] = {tool = tool, names = names, required = required}
      end
    end
  end
  local prior = not self.weighed and self.asked and Prior.new(self.model, weighed, self.asked, self.lexical) or nil
  local start, allowed, natural = self:write(values.choice(starts), true, prior)
  if not start then return nil end
  self.logprob = self.logprob + math.log(allowed)
  if not self.weighed then
    self.weighed, self.call_probability = true, self.call_probability * allowed
    if self.threshold then natural = self.call_probability >= self.threshold end
  end
  if not natural then return false end
  if start:sub(-1) == ")" then return start end
  local parts, at = {start}, by_start[start]
  local left, missing = at.names, 0
  for _ in pairs(at.required) do missing = missing + 1 end
  while true do
    local texts, key_of = {}, {}
    for i, name in ipairs(left) do
      texts[i] = " " .. name .. " ="
      key_of[texts[i]] = i
    end
    if #parts == 1 and missing == 0 then texts[#texts + 1] = ")" end
    local text = self:write(values.choice(texts))
    if not text then return nil end
    parts[#parts + 1] = text
    if text == ")" then break end
    local name = table.remove(left, key_of[text])
    if at.required[name] then missing = missing - 1 end
    local closing = (#left > 0 and "," or "") .. (missing == 0 and ")" or "")
    local value = self:argument(at.tool.parameters.properties[name], closing)
    if not value then return nil end
    parts[#parts + 1] = value
    if value:sub(-1) == ")" then break end
  end
  return table.concat(parts)
end

function Decoder:constrained()
  local line = self.model:tokenize("\n", {bos = false, continuation = true})
  local most = #line == 1 and self.most or 1
  self:flush()
  local both = check(self.session:logits()):softmax{self.calls_id, self.end_id}
  self.call_probability = #self.tools > 0 and both[1] / (both[1] + both[2]) or 0
  local lines = {}
  local function none()
    self.logprob = math.log(1 - math.min(self.call_probability, 1 - 1e-9))
    return {}, false
  end
  if self.call_probability < (self.threshold or 0.5) then
    self:take(self.end_id, 0)
    return none()
  end
  self:take(self.calls_id, math.log(self.call_probability))
  local id
  local calls, made = 0, {}
  repeat
    local call = self:call()
    if call == false then
      if #lines == 0 then return none() end
      return lines, false
    end
    if not call then return lines, true end
    if not made[call] then made[call], lines[#lines + 1] = true, call end
    calls = calls + 1
    if #self.ids >= self.max_tokens then return lines, true end
    local logprob
    id, logprob = self:pick(calls < most and {line[1], self.end_id} or {self.end_id})
    self:take(id, logprob)
  until id == self.end_id
  return lines, false
end

function Decoder:free()
  self.call_probability = check(self.session:logits()):softmax{self.calls_id}[1]
  local plain = {}
  while #self.ids < self.max_tokens do
    self:flush()
    local logits = check(self.session:logits())
    local id = logits:argmax()
    self:take(id, logits:logprob(id))
    if id == self.end_id then return {self.model:detokenize(plain)}, false end
    if id ~= self.calls_id then plain[#plain + 1] = id end
  end
  return {self.model:detokenize(plain)}, true
end

local known = {
  constraint = "boolean", strings = "string", texts = "table", asked = "table", lexical = "number", max_tokens = "number", most = "number",
  threshold = "number",
}

return function(session, tools, options)
  options = options or {}
  for name, value in pairs(options) do
    if not known[name] then error(("decode: unknown option '%s'"):format(tostring(name)), 2) end
    if type(value) ~= known[name] then
      error(("decode: option '%s': a %s expected, got a %s"):format(name, known[name], type(value)), 2)
    end
  end
  if options.lexical and not Prior.is_weight(options.lexical) then
    error(("decode: option 'lexical': a number from 0 on expected, got %s"):format(options.lexical), 2)
  end
  if options.strings and options.strings ~= "free" and options.strings ~= "spoken" then
    error(("decode: option 'strings': \"free\" or \"spoken\" expected, got \"%s\""):format(options.strings), 2)
  end
  local model = session:model()
  local self = setmetatable({
    session = session, model = model, tools = tools or {}, ids = {}, pending = {}, logprob = 0,
    max_tokens = math.min(options.max_tokens or 200, session:context() - #session),
    most = options.most or 16, strings = options.strings or "free",
    threshold = options.threshold, texts = options.texts or {}, asked = options.asked, lexical = options.lexical,
    calls_id = model:tokenize("<|calls|>", {bos = false, special = true})[1],
    end_id = model:tokenize(signature.stop, {bos = false, special = true})[1],
  }, Decoder)
  local ok, result, cut = pcall(function()
    local lines, cut = (options.constraint == false and Decoder.free or Decoder.constrained)(self)
    return table.concat(lines, "\n"), cut
  end)
  if not ok then
    if type(result) ~= "table" then error(result, 0) end
    return nil, result.message, result.code
  end
  return {
    text = result, calls = signature.read(result, tools), tokens = #self.ids, cut = cut, confidence = math.exp(self.logprob),
    call = self.call_probability,
  }
end
