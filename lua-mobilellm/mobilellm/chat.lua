-- model:chat{...}: a conversation with a model. The messages are the truth; the session's cache follows them, so that only what is new is
-- computed. Returns a function that adds the method to the class of models.
--
--   local chat = assert(model:chat{system = "Be brief.", tools = registry})
--   for event in chat:send "What is the weather in Oslo?" do
--     if event.kind == "text" then io.write(event.text) end
--     if event.kind == "tool_call" then chat:result(event.call, registry:call(event.call)) end
--   end
--   for event in chat:send() do ... end     -- the model goes on with the results
local prompt = require "mobilellm.chat.prompt"
local transcript = require "mobilellm.chat.transcript"
local tools_module = require "mobilellm.tools"
local toolcall = require "mobilellm.toolcall"
local signature = require "mobilellm.signature"
local Prior = require "mobilellm.signature.prior"
local texts = require "mobilellm.template.text"
local core = require "mobilellm.core"

local json = core.json
local misuse = core.misuse

local Chat = {}
Chat.__index = Chat
Chat.__name = "mobilellm.chat"

local OPTIONS = {
  system = "string", tools = "table", template = "string", messages = "table", variables = "table", now = "number",
  format = true, context = "number", kv_type = "string", trim = "string", history = "string", reserve = "number", repair = "boolean",
  constrain = "boolean", lexical = "number",
}
-- Options of send that the generation takes, beside those of its own.
local SENDING = {tool_choice = true, constrain = true}
local GENERATING = {
  max_tokens = true, stop = true, sampler = true, grammar = true, seed = true, temperature = true, top_k = true, top_p = true,
  min_p = true, typical = true, logit_bias = true, repeat_penalty = true, frequency_penalty = true, presence_penalty = true,
  penalty_last_n = true, lookup = true, ignore_end = true, logits = true,
}

local function check(options, where)
  if type(options) ~= "table" then misuse(("%s: options must be a table, got %s"):format(where, type(options))) end
  local own, sampling = {}, {}
  for key, value in pairs(options) do
    if GENERATING[key] then
      sampling[key] = value
    elseif OPTIONS[key] then
      if OPTIONS[key] ~= true and type(value) ~= OPTIONS[key] then
        misuse(("%s: option '%s': %s expected, got %s"):format(where, key, OPTIONS[key], type(value)))
      end
      own[key] = value
    else
      misuse(("%s: unknown option '%s'"):format(where, tostring(key)))
    end
  end
  if own.trim ~= nil and own.trim ~= "oldest" and own.trim ~= "error" then
    misuse(where .. ": option 'trim': \"oldest\" or \"error\" expected")
  end
  if own.history ~= nil and not ({append = true, template = true, last = true})[own.history] then
    misuse(where .. ": option 'history': \"append\", \"template\" or \"last\" expected")
  end
  return own, sampling
end

-- ---------------------------------------------------------------- messages

local roles = {system = true, user = true, assistant = true, tool = true}

-- A copy of a message in the one form that is kept; raises for what is none.
local function message_of(message, where)
  if type(message) ~= "table" or not roles[message.role] then
    misuse(where .. ": a message with the role system, user, assistant or tool expected")
  end
  local content = message.content
  if content == nil or content == core.null then content = "" end
  if type(content) ~= "string" then misuse(where .. ": a message's content is a string") end
  local out = {role = message.role, content = content, name = message.name, tool_call_id = message.tool_call_id,
    reasoning_content = message.reasoning_content}
  if message.tool_calls and #message.tool_calls > 0 then
    out.tool_calls = json.array{}
    for i, call in ipairs(message.tool_calls) do
      local fn = call["function"] or call
      local arguments = fn.arguments
      if type(arguments) == "string" then arguments = json.decode(arguments, {ordered = true}) end
      if type(fn.name) ~= "string" or type(arguments) ~= "table" then
        misuse(where .. ": a tool call has a name and arguments")
      end
      out.tool_calls[i] = {id = call.id, type = "function", ["function"] = {name = fn.name, arguments = arguments}}
    end
  end
  return out
end

-- The end of the turn that begins at `at`: the turn of a user's message with all that answers it.
local function turn_end(messages, at)
  local stop = at
  while messages[stop + 1] and messages[stop + 1].role ~= "user" do stop = stop + 1 end
  return stop
end

-- ------------------------------------------------------------------ tokens

local function trimmed(s) return texts.strip(s, nil, true, true) end -- as templates trim

-- UTF-8 with U+FFFD in the place of what is none: a model may well write half a character.
local function valid(s)
  if not s:find "[\128-\255]" then return s end
  local out, at = {}, 1
  while at <= #s do
    local run = s:match("^[%z\1-\127]+", at)
      or s:match("^[\194-\223][\128-\191]", at)
      or s:match("^\224[\160-\191][\128-\191]", at) or s:match("^\237[\128-\159][\128-\191]", at)
      or s:match("^[\225-\236\238\239][\128-\191][\128-\191]", at)
      or s:match("^\240[\144-\191][\128-\191][\128-\191]", at) or s:match("^\244[\128-\143][\128-\191][\128-\191]", at)
      or s:match("^[\241-\243][\128-\191][\128-\191][\128-\191]", at)
    out[#out + 1] = run or "\239\191\189"
    at = at + (run and #run or 1)
  end
  return table.concat(out)
end

-- Where the text of a made answer ends in a prompt, when the template shows it as it was made; else nil.
local function made_end(self, made, message, segments, text)
  local said = trimmed(valid(made.raw)) -- white space around it may have been trimmed
  local first = text:find("%S", made.at + 1)
  if said ~= "" and first and text:sub(first, first + #said - 1) == said then return first + #said - 1 end
  local at, stop = 0, nil
  for _, segment in ipairs(segments) do -- the first end of a turn that the template itself wrote
    if not segment.user and at + #segment.text > made.at then
      for _, spelling in ipairs(transcript.end_spellings(self.model)) do
        local found = spelling ~= "" and segment.text:find(spelling, math.max(1, made.at - at + 1), true)
        if found and (not stop or at + found <= stop) then stop = at + found - 1 end
      end
      if stop then break end
    end
    at = at + #segment.text
  end
  if not stop then return nil end
  local region = text:sub(made.at + 1, stop)
  local function has(s) return s == nil or s == "" or region:find(trimmed(s), 1, true) ~= nil end
  if not has(message.content) or not has(message.reasoning_content) then return nil end
  for _, call in ipairs(message.tool_calls or {}) do
    if not has(call["function"].name) then return nil end
  end
  return stop
end

-- The prompt as the template writes it now: ids, turn; nil, message, code. Answers that the model gave are the tokens it gave, where the
-- template shows them so.
local function anew(self, messages)
  local segments, message, code = self.form:segments(messages, self.tools)
  if not segments then return nil, message, code end
  local text = prompt.text(segments)
  local same = transcript.common(text, self.text or "")
  local ids, at = {}, 0
  local function run(to)
    if to <= at then return end
    local first = at == 0
    local list = self.model:tokenize(transcript.between(segments, at + 1, to), {special = true, continuation = not first})
    if first and self.adds_bos and list[1] ~= self.bos and self.form.kind ~= "signature" then ids[1] = self.bos end
    for i = 1, #list do ids[#ids + 1] = list[i] end
    at = to
  end
  for _, one in ipairs(messages) do
    local made = self.made[one]
    if made and made.at and made.at <= same and made.at >= at then
      local stop = made_end(self, made, one, segments, text)
      if stop then
        run(made.at)
        for i = 1, #made.ids do ids[#ids + 1] = made.ids[i] end
        at = stop
      end
    end
  end
  run(#text)
  local turn = {messages = {}, ids = ids, text = text, rendered = text}
  for i, one in ipairs(messages) do turn.messages[i] = one end
  return ids, turn, 0
end

-- The prompt: ids, the turn that it adds, turns that stay before it, ids of these (nil: all is written anew); nil, message, code.
local function encode(self, messages)
  if self.history ~= "template" then
    local ids, turn, count, before = transcript.continue(self.form, self.model, self.turns, self.made, messages, self.tools)
    if ids then return ids, turn, count, before end
  end
  return anew(self, messages)
end

-- -------------------------------------------------------------------- send

local Turn = {}
Turn.__index = Turn

-- The messages that the prompt shows: the system message, then all from `first` on, or from the last that the user said.
local function visible(self)
  local out, first = {}, self.first
  if self.history == "last" then
    for i = #self.list, first, -1 do
      if self.list[i].role == "user" then
        first = i
        break
      end
    end
  end
  for i, message in ipairs(self.list) do
    if i >= first or i == 1 and message.role == "system" then out[#out + 1] = message end
  end
  return out
end

-- Drops the oldest turn; false when only the last one is left.
local function drop_turn(self)
  local at = self.first
  if self.list[at] and self.list[at].role == "system" then at = at + 1 end
  local stop = turn_end(self.list, at)
  if stop >= #self.list then return false end
  self.first = stop + 1
  self.counts.dropped = self.counts.dropped + 1
  return true
end

-- The prompt as encode gives it, in a session that keeps room for an answer.
local function fitted(self, max_tokens)
  local context = self.session:context()
  local room = context - math.min(self.options.reserve or max_tokens, math.floor(context / 2))
  local ids, turn, count, before = encode(self, visible(self))
  if not ids then return nil, turn, count end
  if #ids <= room then return ids, turn, count, before end
  if self.options.trim == "error" then
    return nil, ("the prompt does not fit: it has %d tokens, the context has room for %d"):format(#ids, room), "context"
  end
  local wanted = math.floor(room * 3 / 4) -- a little more than needed, so that not every turn has to drop one
  local first, dropped = self.first, self.counts.dropped
  while #ids > wanted do
    if not drop_turn(self) then
      if #ids <= room then break end
      self.first, self.counts.dropped = first, dropped
      return nil, ("the last turn alone does not fit: it has %d tokens, the context has room for %d"):format(#ids, room), "context"
    end
    ids, turn, count, before = encode(self, visible(self))
    if not ids then return nil, turn, count end
  end
  return ids, turn, count, before
end

-- Whether functions of the caller's choose the tokens: a grammar would not ask them where there is no choice.
local function scripted(sampler)
  for _, stage in ipairs(type(sampler) == "table" and sampler or {}) do
    if type(stage) == "function" or type(stage) == "table" and type(stage[1]) == "function" then return true end
  end
  return false
end

-- The grammar of the answers: with `must` calls alone, else free text that calls may stand in. false: none, and the notes say why.
local function grammar_of(self, must, thoughts)
  local key = (must and "must" or "may") .. (thoughts and " think" or "")
  local made = self.grammars[key]
  if made == nil then
    local format, message = self.form.grammar_format or self.form.format, "the format of calls is not known"
    if must and type(format) == "table" and not format.name then format = format[1] end
    if must and format == "auto" then format = "hermes" end
    if format ~= "auto" then
      made, message = toolcall.grammar(self.tools, {format = format, text = not must, strict = false, vocabulary = self.model,
        thoughts = thoughts and must})
    end
    for _, note in ipairs(type(message) == "table" and message or {}) do self.unforced[#self.unforced + 1] = note end
    if not made then self.unforced[#self.unforced + 1] = "calls are not constrained: " .. message end
    self.grammars[key] = made or false
    if must and not made then return nil, message, "unsupported" end
  end
  return self.grammars[key]
end

-- What user and assistant have said, as far as the prompt shows it.
local function said(self)
  local from = 1
  if self.history == "last" then
    for i, message in ipairs(self.list) do from = message.role == "user" and i or from end
  end
  return Prior.said(self.list, from)
end

local function opens_reasoning(text)
  return text:sub(-64):match "<think>%s*$" ~= nil
end

-- A format of calls that no text has: for chats without tools.
local no_calls = {name = "none", body = "json", call = {"\1\2\3call", "\3\2\1"}, name_key = "name", arguments_key = "arguments"}

local function start(self, options)
  local sampling = {}
  for key, value in pairs(self.sampling) do sampling[key] = value end
  for key, value in pairs(options) do
    if GENERATING[key] then sampling[key] = value end
  end
  sampling.max_tokens = sampling.max_tokens or 512
  if type(sampling.max_tokens) ~= "number" then
    misuse("send: option 'max_tokens': integer of at least 0 expected, got " .. type(sampling.max_tokens))
  end
  local ids, turn, past, before = fitted(self, sampling.max_tokens)
  if not ids then return nil, turn, past end

  local choice, constrain = options.tool_choice or "auto", options.constrain
  if choice ~= "auto" and choice ~= "required" and choice ~= "none" then
    misuse("send: option 'tool_choice': \"auto\", \"required\" or \"none\" expected")
  end
  if constrain == nil then constrain = self.options.constrain end
  if constrain == nil then constrain = not scripted(sampling.sampler) end
  if #self.tools > 0 and sampling.grammar == nil and (choice == "required" or choice == "auto" and constrain) then
    local grammar, message, why = grammar_of(self, choice == "required", opens_reasoning(turn.text))
    if grammar == nil then return nil, message, why end
    sampling.grammar = grammar or nil
    if grammar and self.form.kind == "signature" and sampling.sampler == nil and sampling.logits == nil then
      sampling.logits = Prior.stage(self.model, self.tools, said(self), self.options.lexical)
    end
  end

  local stops = {}
  for _, list in ipairs{self.form.stop or {}, sampling.stop or {}} do
    if type(list) == "string" then list = {list} end
    for _, s in ipairs(list) do stops[#stops + 1] = s end
  end
  sampling.stop = #stops > 0 and stops or nil
  sampling.show_special = not self.form.silent -- where the text is read and not the tokens: markers are control tokens

  local old = self.session:tokens()
  local same = 0
  while same < #old and same < #ids and old[same + 1] == ids[same + 1] do same = same + 1 end
  if same == #ids and same > 0 then same = same - 1 end -- the last token gives the logits
  self.session:rewind(same)
  local rest = {}
  for i = same + 1, #ids do rest[#rest + 1] = ids[i] end
  local job, message, why = self.session:start(rest, sampling)
  if not job then return nil, message, why end
  local counts = self.counts
  counts.turns = counts.turns + 1
  counts.reused = counts.reused + same
  counts.prompt_tokens = counts.prompt_tokens + #rest
  counts.recomputed = counts.recomputed + (before and math.max(0, before - same) or math.min(#old, #ids) - same)
  for i = #self.turns, past + 1, -1 do self.turns[i] = nil end
  self.text = turn.rendered
  local parser = toolcall.parser{
    format = (#self.tools > 0 and choice ~= "none") and self.form.format or no_calls, tools = self.tools, repair = self.options.repair,
    reasoning = opens_reasoning(turn.text) and "open" or true,
  }
  return setmetatable({
    chat = self, job = job, parser = parser, turn = turn, start = #ids, from_text = #stops > 0, ids = {}, raw = {}, held = "",
    queue = {}, first = 1, last = 0, text = {}, thoughts = {}, calls = {}, results = {}, reused = same, fed = #rest,
  }, Turn)
end

function Turn:push(event)
  self.last = self.last + 1
  self.queue[self.last] = event
end

function Turn:take(events)
  local chat = self.chat
  for _, event in ipairs(events or {}) do
    if event.kind == "text" then
      if chat.form.silent and #self.text == 0 then event.text = event.text:gsub("^ ", "") end
      if event.text ~= "" then
        self.text[#self.text + 1] = event.text
        self:push(event)
      end
    elseif event.kind == "reasoning" then
      self.thoughts[#self.thoughts + 1] = event.text
      self:push(event)
    elseif event.kind == "call_end" then
      local arguments = event.arguments
      if chat.form.kind == "signature" then arguments = signature.trim(arguments) end
      chat.call_count = chat.call_count + 1
      local call = {name = event.name, arguments = arguments, id = event.id or ("call%05d"):format(chat.call_count)}
      self.calls[#self.calls + 1] = call
      self:push{kind = "tool_call", call = call, name = call.name, arguments = call.arguments, id = call.id, raw = event.raw,
        repairs = event.repairs}
    else
      self:push(event)
    end
  end
end

-- Bytes of the answer, up to a whole character, for the parser.
function Turn:say(s)
  if s == "" then return end
  self.raw[#self.raw + 1] = s
  s = self.held .. s
  local cut = #s
  local lead = s:find "[\192-\255][\128-\191]*$"
  if lead then
    local b = s:byte(lead)
    local length = b >= 240 and 4 or b >= 224 and 3 or 2
    if #s - lead + 1 < length then cut = lead - 1 end
  end
  self.held = s:sub(cut + 1)
  if cut > 0 then self:take(self.parser:feed(valid(s:sub(1, cut)))) end
end

-- What the job made since the last call.
function Turn:collect()
  local model, silent = self.chat.model, self.chat.form.silent
  local ids = self.job:tokens()
  local piece = self.job:read()
  for _, id in ipairs(ids) do
    self.ids[#self.ids + 1] = id
    if not self.from_text then
      local bytes, kind = model:token(id)
      if not (silent and kind == "control") then self:say(bytes or "") end
    end
  end
  if self.from_text and piece then self:say(piece) end
end

-- The answer becomes a message. Called once, when the job is over or given up.
function Turn:finish(stop, message, code)
  if self.over then return end
  self.over = true
  local chat = self.chat
  if self.held ~= "" then
    local rest = self.held
    self.held = ""
    self:take(self.parser:feed(valid(rest)))
  end
  self:take(self.parser:finish())
  self.parser:close()
  local stats = self.job:stats()
  self.job:close()
  chat.turn = nil
  local raw = table.concat(self.raw)
  local answer = {role = "assistant", content = trimmed(table.concat(self.text))}
  local thoughts = trimmed(table.concat(self.thoughts))
  if thoughts ~= "" then answer.reasoning_content = thoughts end
  if #self.calls > 0 then
    answer.tool_calls = json.array{}
    for i, call in ipairs(self.calls) do
      answer.tool_calls[i] = {id = call.id, type = "function", ["function"] = {name = call.name, arguments = call.arguments}}
    end
  end
  local ids, at = {}, 0
  for i, id in ipairs(self.ids) do -- a stop string cuts the text: the tokens behind it do not count
    at = at + #(chat.model:token(id) or "")
    if self.from_text and at > #raw then break end
    ids[i] = id
  end
  chat.list[#chat.list + 1] = answer
  chat.made[answer] = {at = self.turn.rendered and #self.turn.rendered, start = self.start, ids = ids, raw = raw}
  self.turn.answer, self.turn.rendered = answer, nil
  chat.turns[#chat.turns + 1] = self.turn
  for _, result in ipairs(self.results) do chat.list[#chat.list + 1] = result end
  chat.counts.tokens = chat.counts.tokens + #self.ids
  if message then self:push{kind = "error", message = message, code = code} end
  self:push{kind = "done", stop = stop, message = answer, text = answer.content, calls = self.calls, stats = stats,
    reused = self.reused, fed = self.fed}
end

-- The next event, nil behind the last.
function Turn:next()
  while true do
    local event = self.queue[self.first]
    if event then
      self.queue[self.first] = nil
      self.first = self.first + 1
      return event
    end
    if self.over then return nil end
    local over, message, code = self.job:advance()
    if over == nil then
      self:collect()
      self:finish("error", message, code)
    else
      self:collect()
      if over then self:finish(self.job:state()) end
    end
  end
end

-- A turn that was left early ends here; what was said until then stays.
local function settle(self, where)
  if self.closed then misuse(where .. ": attempt to use a closed chat") end
  local turn = self.turn
  if turn then
    turn.job:cancel()
    turn:collect()
    turn:finish "cancelled"
  end
end

-- chat:send(text, options) -> iterator of events. text: what the user says, a message, or nil when the model goes on (with the
-- results of its calls). Options are those of the generation (max_tokens, temperature ...), tool_choice ("auto", "required",
-- "none") and constrain; those of model:chat hold unless given. Events (kind): text {text}, reasoning {text}, call_begin, argument
-- (the parser's), tool_call {call = {name, arguments, id}}, error {message, code}, done {stop, message, text, calls, stats, reused,
-- fed}, the last one. A prompt that cannot be made gives error and done, and leaves the messages as they were.
function Chat:send(text, options)
  settle(self, "send")
  options = options or {}
  for key in pairs(options) do
    if not GENERATING[key] and not SENDING[key] then misuse(("send: unknown option '%s'"):format(tostring(key))) end
  end
  local before, first = #self.list, self.first
  if text ~= nil then
    self.list[before + 1] = type(text) == "string" and {role = "user", content = text} or message_of(text, "send")
  elseif before == 0 then
    misuse("send: nothing to answer")
  end
  local turn, message, code = start(self, options)
  if not turn then
    self.list[before + 1] = nil
    self.first = first
    local queue = {{kind = "error", message = message, code = code}, {kind = "done", stop = "error", calls = {}, text = ""}}
    return function() return table.remove(queue, 1) end
  end
  self.turn = turn
  return function() return turn:next() end
end

-- chat:ask(text, options) -> text, calls | nil, message, code: the whole answer at once.
function Chat:ask(text, options)
  local message, code, done
  for event in self:send(text, options) do
    if event.kind == "error" and not event.call then message, code = event.message, event.code end
    if event.kind == "done" then done = event end
  end
  if done.stop == "error" then return nil, message, code end
  return done.text, done.calls
end

-- ---------------------------------------------------------------- the rest

-- chat:messages() -> list of messages {role, content, tool_calls, reasoning_content, ...}, a copy
function Chat:messages()
  settle(self, "messages")
  local out = {}
  for i, message in ipairs(self.list) do out[i] = message_of(message, "messages") end
  return out
end

-- chat:add(message) -> chat: appends {role, content, tool_calls, name, tool_call_id} without asking the model.
function Chat:add(message)
  settle(self, "add")
  self.list[#self.list + 1] = message_of(message, "add")
  return self
end

-- chat:result(call, value) -> chat: the result of a tool call, a string or what JSON can say. `call` is that of the event.
function Chat:result(call, value)
  if type(call) ~= "table" or type(call.name) ~= "string" then misuse("result: the call of an event expected") end
  if type(value) ~= "string" then value = json.encode(value == nil and core.null or value) end
  local message = {role = "tool", content = value, name = call.name, tool_call_id = call.id}
  if self.closed then misuse("result: attempt to use a closed chat") end
  local turn = self.turn
  if turn then -- the answer is still being written: it comes behind it
    turn.results[#turn.results + 1] = message
  else
    self.list[#self.list + 1] = message
  end
  return self
end

-- chat:use(tools) -> chat: from now on these are the tools (a registry or a list of declarations).
function Chat:use(tools)
  settle(self, "use")
  self.tools, self.grammars, self.unforced = tools_module.list(tools), {}, {} -- grammars are those of the tools
  return self
end

-- chat:undo() -> chat: takes the last message back (an answer of the model, a result, what the user said).
function Chat:undo()
  settle(self, "undo")
  local last = table.remove(self.list)
  if last then self.made[last] = nil end
  return self
end

-- chat:confidence() -> number between 0 and 1, {call, tokens, masked} | nil, message, code: how sure the model was of the calls that it
-- made last, their probability among all that the tools allow (mobilellm/chat/confidence.lua). A step of the model for each token.
function Chat:confidence()
  settle(self, "confidence")
  local made = self.made[self.list[#self.list]]
  if not made or not made.start then return nil, "the last message is no answer of the model", "unsupported" end
  local session, message, code = self.session:fork()
  if not session then return nil, message, code end
  session:rewind(made.start)
  local sure, detail
  sure, detail, code = require "mobilellm.chat.confidence"(self.model, session, made, self.tools, self.form)
  session:close()
  return sure, detail, code
end

-- chat:notes() -> list of sentences: what the template loses and how it was completed; what of the tools' schemas is not enforced while
-- calls are written
function Chat:notes()
  local out = {}
  if #self.tools > 0 and self.options.constrain ~= false then grammar_of(self) end
  for _, list in ipairs{self.form.notes, self.unforced} do
    for _, note in ipairs(list) do out[#out + 1] = note end
  end
  return out
end

-- chat:format() -> the format of tool calls that the answers are read with
function Chat:format() return self.form.format end

-- chat:prompt() -> the text that the model would be given now | nil, message, code
function Chat:prompt()
  settle(self, "prompt")
  local ids, turn, past = encode(self, visible(self))
  if not ids then return nil, turn, past end
  local out = {}
  for i = 1, past do
    local one = self.turns[i]
    out[#out + 1] = one.text
    out[#out + 1] = self.model:detokenize(self.made[one.answer].ids, {special = true, continuation = true})
  end
  out[#out + 1] = turn.text
  return table.concat(out)
end

-- chat:stats() -> turns, prompt_tokens (fed), reused (found in the cache), recomputed (fed again), tokens (generated), dropped (turns that
-- left the prompt), context, held (tokens in the cache)
function Chat:stats()
  local out = {context = self.session:context()}
  for key, value in pairs(self.counts) do out[key] = value end
  if not self.turn then out.held = #self.session end
  return out
end

local function state_of(self)
  local list, made, place = json.array{}, json.array{}, {}
  for i, message in ipairs(self.list) do
    list[i], place[message] = message, i
    local one = self.made[message]
    if one then made[#made + 1] = {message = i, at = one.at, start = one.start, ids = json.array(one.ids)} end
  end
  local turns = json.array{}
  for i, turn in ipairs(self.turns) do
    local of = json.array{}
    for n, message in ipairs(turn.messages) do of[n] = place[message] end
    if not place[turn.answer] or #of < #turn.messages then break end -- taken back since
    turns[i] = {messages = of, answer = place[turn.answer], ids = json.array(turn.ids), text = turn.text}
  end
  return {version = 1, messages = list, made = made, turns = turns, first = self.first, text = self.text or "", calls = self.call_count}
end

-- chat:save(path) -> chat | nil, message, code: the messages as JSON in `path`, the cache beside it in path .. ".session".
function Chat:save(path)
  settle(self, "save")
  local text = json.encode(state_of(self))
  local file, message = io.open(path, "wb")
  if not file then return nil, message, "io" end
  local ok, why = file:write(text)
  file:close()
  if not ok then return nil, why, "io" end
  local saved, error_message, code = self.session:save(path .. ".session")
  if not saved then return nil, error_message, code end
  return self
end

-- A list of ids of this model's vocabulary; false for anything else.
local function ids_of(model, list)
  if type(list) ~= "table" then return false end
  local size = model:info().vocabulary
  for _, id in ipairs(list) do
    if type(id) ~= "number" or id % 1 ~= 0 or id < 0 or id >= size then return false end
  end
  return list
end

-- chat:restore(path) -> chat | nil, message, code: the messages of a saved chat take the place of this one's. A cache that is gone or
-- does not fit this model is computed anew.
function Chat:restore(path)
  settle(self, "restore")
  local file, message = io.open(path, "rb")
  if not file then return nil, message, "io" end
  local text = file:read "*a"
  file:close()
  local state = json.decode(text)
  if type(state) ~= "table" or state.version ~= 1 or type(state.messages) ~= "table" or type(state.made) ~= "table" then
    return nil, path .. ": not a saved chat", "format"
  end
  local list = {}
  for i, one in ipairs(state.messages) do
    local ok, copy = pcall(message_of, one, path)
    if not ok then return nil, path .. ": not a saved chat", "format" end
    list[i] = copy
  end
  local made = setmetatable({}, {__mode = "k"})
  for _, one in ipairs(state.made) do
    local target = type(one) == "table" and list[one.message]
    if target and ids_of(self.model, one.ids) then
      local raw = {}
      for _, id in ipairs(one.ids) do
        local bytes, kind = self.model:token(id)
        if not (self.form.silent and kind == "control") then raw[#raw + 1] = bytes or "" end
      end
      made[target] = {at = tonumber(one.at), start = tonumber(one.start), ids = one.ids, raw = table.concat(raw)}
    end
  end
  local turns = {}
  for i, one in ipairs(type(state.turns) == "table" and state.turns or {}) do
    local answer = type(one) == "table" and list[one.answer]
    if not made[answer or false] or type(one.text) ~= "string" or type(one.messages) ~= "table" or not ids_of(self.model, one.ids) then
      break
    end
    turns[i] = {messages = {}, answer = answer, ids = one.ids, text = one.text}
    for n, at in ipairs(one.messages) do turns[i].messages[n] = list[at] end
  end
  self.list, self.made, self.turns = list, made, turns
  self.text = type(state.text) == "string" and state.text or ""
  self.first, self.call_count = tonumber(state.first) or 1, tonumber(state.calls) or 0
  if not self.session:restore(path .. ".session") then self.session:rewind(0) end
  return self
end

-- chat:fork() -> another chat that goes on from here | nil, message, code. It shares nothing that changes.
function Chat:fork()
  settle(self, "fork")
  local session, message, code = self.session:fork()
  if not session then return nil, message, code end
  local copy = setmetatable({}, Chat)
  for key, value in pairs(self) do copy[key] = value end
  copy.session, copy.list, copy.made, copy.counts = session, {}, setmetatable({}, {__mode = "k"}), {}
  local place = {}
  for key, value in pairs(self.counts) do copy.counts[key] = value end
  for i, one in ipairs(self.list) do
    copy.list[i] = message_of(one, "fork")
    copy.made[copy.list[i]] = self.made[one]
    place[one] = copy.list[i]
  end
  copy.turns = {}
  for i, turn in ipairs(self.turns) do
    local of = {}
    for n, one in ipairs(turn.messages) do of[n] = place[one] or one end
    copy.turns[i] = {messages = of, ids = turn.ids, text = turn.text, answer = place[turn.answer]}
  end
  return copy
end

-- chat:close(): gives the session back. Twice is harmless.
function Chat:close()
  if self.closed then return end
  settle(self, "close")
  self.closed = true
  self.session:close()
end
Chat.__close = Chat.close

-- ------------------------------------------------------------------ making

local chat = {class = Chat}

-- model:chat{system, tools, template, variables, now, messages, format, context, kv_type, trim, history, constrain, reserve,
-- repair, ...} -> chat
-- | nil, message, code
--   system     what the model is told first
--   tools      a registry or a list of declarations
--   template   Jinja source in the place of the model's, or "chatml", "plain", "signature" (ours)
--   variables  more names for the template (enable_thinking = false ...); now: seconds since the epoch, for its date
--   messages   how the conversation began
--   format     of tool calls (name or record); unless given it is derived from the template
--   context, kv_type   of the session
--   trim       when the prompt no longer leaves room for the answer: "oldest" (default) drops whole turns behind the system message,
--              the oldest first, until a quarter of the room is free; "error" gives an error with code "context"
--   history    what the prompt shows of the past. "append" (default): what the model saw and said stays as it is, also where the template
--              would write it otherwise now (thoughts left out, tools or system message moved to the last turn, another date), so that
--              a turn computes only what is new; after trimming, and where a template does not show where an answer ends, it is
--              written anew once. "template": all of it as the template writes it now. "last": nothing before the last message of the
--              user, the default of the form "signature", whose models were trained on single requests
--   reserve    tokens to keep for an answer (default: max_tokens, at most half of the context)
--   constrain  calls satisfy the schemas of the tools while they are written, free text stands around them as before (default true).
--              chat:notes() tells where that is not possible. A `grammar` of the caller's takes the place of this one, and where a
--              sampler has functions of the caller's, they alone choose unless this is true
--   lexical    how much words in common with a tool count beside the model where it chooses one (mobilellm/signature/prior.lua), for models
--              of the form "signature" whose calls are constrained: nats for a point of BM25 (default 1); 0: the model chooses alone
--   repair     mend calls where that is unambiguous
-- and the options of send for every turn.
function chat.new(model, options)
  local own, sampling = check(options or {}, "chat")
  toolcall.known(own.format, "chat")
  if own.lexical and not Prior.is_weight(own.lexical) then
    misuse(("chat: option 'lexical': number from 0 on expected, got %s"):format(own.lexical))
  end
  local form, message, code = prompt.new(model, own)
  if not form then return nil, message, code end
  local session
  session, message, code = model:session{context = own.context, kv_type = own.kv_type}
  if not session then return nil, message, code end
  local info = model:info()
  local self = setmetatable({
    model = model, form = form, session = session, options = own, sampling = sampling, tools = tools_module.list(own.tools),
    list = {}, made = setmetatable({}, {__mode = "k"}), turns = {}, grammars = {}, unforced = {}, first = 1,
    history = own.history or form.kind == "signature" and "last" or "append", call_count = 0, bos = info.bos,
    adds_bos = info.adds_bos and info.bos ~= nil,
    counts = {turns = 0, prompt_tokens = 0, reused = 0, recomputed = 0, tokens = 0, dropped = 0},
  }, Chat)
  if own.system and own.system ~= "" then self.list[1] = {role = "system", content = own.system} end
  for _, one in ipairs(own.messages or {}) do self.list[#self.list + 1] = message_of(one, "chat") end
  return self
end

return chat
