-- Scores a model on rows of sentences and the calls they ask for.
--
--   local eval = require "mobilellm.eval"
--   local score = assert(eval.file(model, "rows.jsonl.gz"))    -- or eval.rows(model, rows)
--   print(score.em_intent, score.em_structure, score.refusal_recall)
--   eval.judge, eval.same (mobilellm/eval/judge.lua), eval.counter (mobilellm/eval/counter.lua): for rows that are asked otherwise
--
-- A row: {tools = {{name, description, parameters}}, messages = {{role, content}}, calls = {{name, arguments}}}, and where known
-- `surface` (the arguments as spoken), `alternatives` (for each call {name = {argument = {accepted values; "" = may be left
-- out}}}), `response` (what the assistant says then), `source`, `kind` and `seen`. No calls: no tool may be called. A file may also have
-- conversations in the form of the MobileLLM paper (appendix H.5; mobilellm/eval/windows.lua).
--
-- A score, in shares of 1:
-- em_intent       of the rows with calls: the right tools, no more and no fewer (in any order)
-- em_structure    ... and every argument right (in any order; types count: 5 is not "5", but 5 is 5.0)
-- overlap         of those rows, where the words of the conversation alone lead to the right tools (mobilellm/eval/overlap.lua): what
--                 EM_intent has to be compared with; absent without calls
-- argument_f1     of all arguments (name and value) of those rows
-- accuracy        of all rows: em_structure, or rightly no call
-- refusal_precision, refusal_recall   of the answer "no call"; absent where it is undefined
-- rouge_1, rouge_l                    of `response`, where asked for
-- intervals       of each of these {low, high}, 95 %: Wilson's for shares of rows, bootstrap over rows for the others
-- calibration     of the answer's confidence (mobilellm/eval/measure.lua), and `calls`: what refusing below a probability would give
-- rows, call_rows, no_call_rows; too_long (rows that do not fit the context even without the older turns: counted as wrong);
-- shortened (older turns were left out); outside (rows whose wanted call their own tools do not allow)
-- Where no row has a call, em_intent and em_structure are the share of rows rightly left without one.
local judge = require "mobilellm.eval.judge"
local measure = require "mobilellm.eval.measure"
local new_counter = require "mobilellm.eval.counter"

local eval = {}

eval.same, eval.judge, eval.counter = judge.same, judge.calls, new_counter

-- The prompt of a row as tokens, with room for `reserve` more: where it does not fit, the oldest turns go, but never a system
-- message nor what the user said last. nil, message, "context" when that does not fit either. Also whether turns went.
function eval.prompt(model, tools, messages, reserve)
  local signature = require "mobilellm.signature"
  local limit, kept, shortened = model:info().context - reserve, messages, false
  while true do
    local ids = signature.encode(model, tools, kept)
    if #ids <= limit then return ids, shortened end
    local first, last = 1, #kept
    while kept[first] and kept[first].role == "system" do first = first + 1 end
    while last > 0 and kept[last].role ~= "user" do last = last - 1 end
    if first >= last then return nil, ("a prompt of %d tokens does not fit into %d"):format(#ids, limit), "context" end
    local shorter, drop = {}, first
    while drop + 1 < last and kept[drop + 1].role == "tool" do drop = drop + 1 end -- no result without its call
    for i, message in ipairs(kept) do
      if i < first or i > drop then shorter[#shorter + 1] = message end
    end
    kept, shortened = shorter, true
  end
end

local function rouge(session, row, options)
  local model, messages = session:model(), {}
  for i, message in ipairs(row.messages) do messages[i] = message end
  if #row.calls > 0 then messages[#messages + 1] = {role = "assistant", content = "", tool_calls = row.calls} end
  local ids = eval.prompt(model, row.tools, messages, 80)
  if not ids then return 0, 0 end
  session:rewind(0)
  local text, message, code = session:generate(ids, {max_tokens = math.min(80, options.max_tokens or 80), temperature = 0})
  if not text then return nil, message, code end
  return measure.rouge(text, row.response)
end

local ROOM = 64 -- tokens of an answer for which there must be room

-- What the model answers to a row, the likeliest token each time: what mobilellm.signature.decode returns, with `shortened` and,
-- where asked for, rouge_1 and rouge_l. nil, message, code; the code is "context" when the row does not fit. options: constraint (true or
-- false), threshold, strings ("spoken" unless given), lexical, max_tokens, kv_type, responses.
function eval.answer(model, row, options)
  local decode = require "mobilellm.signature.decode"
  local most = options.max_tokens or 200
  local ids, shortened, code = eval.prompt(model, row.tools, row.messages, math.min(most, ROOM))
  if not ids then return nil, shortened, code end
  local room = options.responses and most + 160 or most
  local session, message
  session, message, code = model:session{kv_type = options.kv_type, context = math.min(model:info().context, #ids + room)}
  if not session then return nil, message, code end
  local texts, asked = {}, require "mobilellm.signature.prior".said(row.messages)
  for _, said in ipairs(row.messages) do texts[#texts + 1] = type(said.content) == "string" and said.content or nil end
  local made
  made, message, code = session:feed(ids)
  if made then
    made, message, code = decode(session, row.tools, {
      constraint = options.constraint, strings = options.strings or "spoken", texts = texts, asked = asked, lexical = options.lexical,
      threshold = options.threshold, max_tokens = most,
    })
  end
  if made then
    made.shortened = shortened
    if options.responses and type(row.response) == "string" then
      made.rouge_1, made.rouge_l, code = rouge(session, row, options)
      if not made.rouge_1 then made, message = nil, made.rouge_l end
    end
  end
  session:close()
  return made, message, code
end

local function text_of(value) return value ~= nil and tostring(value) or nil end

-- The parts of a set that are counted apart: name -> function of a row.
local parts = {
  {"source", function(row) return text_of(row.source) end},
  {"kind", function(row) return text_of(row.kind) end},
  {"seen", function(row) return text_of(row.seen) end},
}

-- Scores the model on a list of rows. options: those of eval.answer, on_row(index, row, calls, text, right, made), and answer (another
-- function in the place of eval.answer). score.parts has the scores of sources, kinds and seen or unseen services, where there are
-- several: {{name = "kind=call", score =}}.
function eval.rows(model, rows, options)
  options = options or {}
  local all, apart = new_counter(), {}
  local answer = options.answer or eval.answer
  for i, row in ipairs(rows) do
    local made, message, code = answer(model, row, options)
    if not made and code ~= "context" then return nil, message, code end
    local calls = made and made.calls
    local right = all:add(row, calls, made)
    for p, part in ipairs(parts) do
      local name = part[2](row)
      if name then
        apart[p] = apart[p] or {names = {}, counters = {}}
        if not apart[p].counters[name] then
          apart[p].counters[name] = new_counter()
          table.insert(apart[p].names, name)
        end
        apart[p].counters[name]:add(row, calls, made)
      end
    end
    if options.on_row then options.on_row(i, row, calls or {}, made and made.text or message, right, made) end
  end
  local score = all:score()
  score.parts = {}
  for p, part in ipairs(parts) do
    if apart[p] and #apart[p].names > 1 then
      table.sort(apart[p].names)
      for _, name in ipairs(apart[p].names) do
        table.insert(score.parts, {name = part[1] .. "=" .. name, score = apart[p].counters[name]:score()})
      end
    end
  end
  return score
end

-- The rows of a .jsonl or gzipped .jsonl file (through the program gzip). options (or just the number `most`): most (the first so
-- many), sample (so many lines picked at random), seed. Also "calls", or "choice" for a file of multiple-choice questions
-- (mobilellm/eval/choice.lua), which is told by its first row. nil, message, code when it cannot be read.
function eval.read(path, options)
  if type(options) == "number" then options = {most = options} end
  options = options or {}
  local lines, message, code = require "mobilellm.eval.lines"(path, options.most)
  if not lines then return nil, message, code end
  local random = require "mobilellm.random"(options.seed or 1)
  while options.sample and #lines > options.sample do table.remove(lines, random.integer(1, #lines)) end
  local rows, kind = {}, nil
  for _, line in ipairs(lines) do
    local wrong, why
    kind, wrong, why = eval.decode(rows, line[2], path, kind)
    if not kind then return nil, ("%s: line %d: %s"):format(path, line[1], wrong), why end
  end
  return rows, kind or "calls"
end

-- Appends the row, or the rows of a conversation, that a line has. Returns the kind of row, which must be `kind` where that is
-- given; nil, message, code when the line has none.
function eval.decode(rows, line, path, kind)
  local row, wrong, code = require "mobilellm".json.decode(line)
  if not row then return nil, wrong, code end
  if type(row) ~= "table" then return nil, "an object expected", "format" end
  if kind ~= "calls" and row.tools == nil and row.conversation == nil then
    local choice = require "mobilellm.eval.choice"
    local case, message = choice.case(row)
    if case then
      rows[#rows + 1] = row
      return "choice"
    elseif kind == "choice" or not message:find "^the fields" then
      return nil, message, "format"
    end
  elseif kind == "choice" then
    return nil, "no multiple-choice question as the ones before", "format"
  end
  if type(row.conversation) == "table" then
    wrong, code = require "mobilellm.eval.windows"(rows, row, path)
    if wrong then return nil, wrong, code end
    return "calls"
  end
  for _, key in ipairs{"tools", "messages", "calls"} do
    if type(row[key]) ~= "table" then return nil, ("no list '%s'"):format(key), "format" end
  end
  for _, call in ipairs(row.calls) do
    if type(call) ~= "table" or type(call.name) ~= "string" or type(call.arguments) ~= "table" then
      return nil, "a call without name or arguments", "format"
    end
  end
  rows[#rows + 1] = row
  return "calls"
end

-- Rows of a file, scored. options as for eval.rows, and those of eval.read.
function eval.file(model, path, options)
  local rows, kind, code = eval.read(path, options)
  if not rows then return nil, kind, code end
  if kind == "choice" then return require "mobilellm.eval.choice".rows(model, rows, options) end
  return eval.rows(model, rows, options)
end

return eval
