-- What a conversation is in tokens: turn by turn the prompt that was fed and the answer that came. What was once fed or said stays as it
-- is; a new turn adds only the text that the template writes behind the last answer. So nothing is computed twice, also with templates
-- that would write the past anew (thoughts left out, the tools moved to the last message, another date).
--
-- The text behind an answer is found by rendering the conversation with a word in the place of that answer, and reading on from there.
local prompt = require "mobilellm.chat.prompt"

local transcript = {}

-- ------------------------------------------------------------ texts in parts

-- The parts of segments between byte positions from and to.
function transcript.between(segments, from, to)
  local out, at = {}, 0
  for _, segment in ipairs(segments) do
    local first, last = math.max(from, at + 1), math.min(to, at + #segment.text)
    if first <= last then out[#out + 1] = {text = segment.text:sub(first - at, last - at), user = segment.user} end
    at = at + #segment.text
  end
  return out
end

-- Bytes that two texts have in common at their beginning.
function transcript.common(a, b)
  local low, high = 0, math.min(#a, #b)
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if a:sub(low + 1, middle) == b:sub(low + 1, middle) then low = middle else high = middle - 1 end
  end
  return low
end

-- Spellings of the tokens that end a turn, by model.
local ends_of = setmetatable({}, {__mode = "k"})

function transcript.end_spellings(model)
  local list = ends_of[model]
  if not list then
    list = {}
    for id = 0, model:info().vocabulary - 1 do
      if model:is_end(id) then list[#list + 1] = (model:token(id)) end
    end
    ends_of[model] = list
  end
  return list
end

-- --------------------------------------------------------- behind an answer

-- Short for a template, long for chance; letters alone, so that no template changes it.
local WORD = "zqanswerqz"

-- An answer in the manner of `answer` whose last words are WORD.
local function stand_in(answer)
  local calls = answer.tool_calls
  if not calls or #calls == 0 then return {role = "assistant", content = WORD} end
  local copy = {role = "assistant", content = "", tool_calls = {}}
  for i, call in ipairs(calls) do
    local fn = call["function"]
    copy.tool_calls[i] = {id = call.id, type = "function",
      ["function"] = {name = fn.name, arguments = i == #calls and {[WORD:sub(1, 2)] = WORD} or fn.arguments}}
  end
  return copy
end

-- Where WORD ends in a text, when it stands there once; else nil.
local function place(text)
  local from, to = text:find(WORD, 1, true)
  if not from or text:find(WORD, to + 1, true) then return nil end
  return to
end

local function squeezed(s) return (s:gsub("%s+", "")) end

-- Bytes of `tail`, the text behind the last word of a call, that `raw` has said already: where its end stands in it; the longest match
-- counts, of these the last.
local function said_of(tail, raw)
  raw = squeezed(raw:sub(-2 * #tail - 64))
  local best, length = nil, 0
  for i = 1, #tail do
    local piece, n = squeezed(tail:sub(1, i)), 0
    if tail:find("^%S", i) then
      while n < #piece and piece:byte(#piece - n) == raw:byte(#raw - n) do n = n + 1 end
      if n > 0 and n >= length then best, length = i, n end
    end
  end
  if length < 2 and not raw:find "[%)}%]>]$" then return nil end
  return best
end

-- Bytes that two texts have in common at their end.
local function common_end(a, b)
  return transcript.common(a:reverse(), b:reverse())
end

-- The segments that come behind the answer messages[at], which was said as `raw`; nil when the template does not show where that is.
local function behind(form, model, messages, tools, at, raw)
  local list = {}
  for i, message in ipairs(messages) do list[i] = message end
  list[at] = stand_in(messages[at])
  local first = 1
  if form.repeats then -- what the template would say again and again
    if form.repeats.tools then tools = {} end
    if form.repeats.system and list[1].role == "system" then first = 2 end
  end
  local function render()
    local part = {}
    for i = first, #list do part[#part + 1] = list[i] end
    local segments = form:segments(part, tools)
    if segments then return segments, prompt.text(segments) end
  end
  local segments, text = render()
  local from = text and place(text)
  if not from then return nil end
  local answer = messages[at]
  if answer.tool_calls and #answer.tool_calls > 0 then
    -- The call ends before the end of the turn, and before what would stand behind another answer as well.
    local tail = text:sub(from + 1)
    local finish
    for _, spelling in ipairs(transcript.end_spellings(model)) do
      local found = spelling ~= "" and tail:find(spelling, 1, true)
      if found and (not finish or found < finish) then finish = found end
    end
    local call = list[at]
    list[at] = {role = "assistant", content = WORD}
    local _, plain = render()
    list[at] = call
    local stop = plain and place(plain)
    local bound = #tail - (stop and common_end(tail, plain:sub(stop + 1)) or 0)
    if finish and finish - 1 < bound then bound = finish - 1 end
    if bound == #tail then return nil end
    from = from + (said_of(tail:sub(1, bound), raw) or bound)
  end
  return transcript.between(segments, from + 1, #text)
end

-- -------------------------------------------------------------------- turns

-- turns: list of {messages = those that were fed, ids, text = what was fed, answer = the message that came}
-- transcript.past(turns, messages) -> number of turns that these messages begin with, number of messages in them
function transcript.past(turns, messages)
  local count, at = 0, 0
  for i, turn in ipairs(turns) do
    local n = #turn.messages
    for j = 1, n do
      if messages[at + j] ~= turn.messages[j] then return count, at end
    end
    if not turn.answer or messages[at + n + 1] ~= turn.answer then return count, at end
    count, at = i, at + n + 1
  end
  return count, at
end

-- transcript.continue(form, model, turns, made, messages, tools) -> ids of the whole prompt, the new turn {messages, ids, text}, number
-- of turns before it, number of ids before it; nil where the conversation does not go on behind an answer.
function transcript.continue(form, model, turns, made, messages, tools)
  local count, at = transcript.past(turns, messages)
  if count == 0 then return nil end
  local answer = made[messages[at]]
  if not answer then return nil end
  local segments = behind(form, model, messages, tools, at, answer.raw)
  if not segments or #segments == 0 then return nil end
  local ids = {}
  for i = 1, count do
    for _, id in ipairs(turns[i].ids) do ids[#ids + 1] = id end
    for _, id in ipairs(made[turns[i].answer].ids) do ids[#ids + 1] = id end
  end
  local before = #ids
  local new = model:tokenize(segments, {special = true, continuation = true})
  for i = 1, #new do ids[before + i] = new[i] end
  local turn = {messages = {}, ids = new, text = prompt.text(segments)}
  for i = at + 1, #messages do turn.messages[i - at] = messages[i] end
  return ids, turn, count, before
end

return transcript
