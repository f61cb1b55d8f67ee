-- Scores a model on rows of sentences and the calls they ask for.
--
--   local eval = require "mobilellm.eval"
--   local score = assert(eval.file(model, "rows.jsonl.gz"))    -- or eval.rows(model, rows)
--   print(score.em_intent, score.em_structure, score.refusal_recall)
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
local measure = require "mobilellm.eval.measure"
local overlap = require "mobilellm.eval.overlap"

local eval = {}

local function trimmed(text)
  return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

local function same(a, b)
  if type(a) ~= type(b) then return false end
  if type(a) == "string" then return trimmed(a) == trimmed(b) end
  if type(a) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end
eval.same = same

local among

-- An object whose members have lists of accepted values, as BFCL writes them.
local function same_by_lists(value, lists)
  if type(value) ~= "table" or type(lists) ~= "table" then return false end
  if #lists > 0 then
    if #value ~= #lists then return false end
    for i, item in ipairs(lists) do
      if not same(value[i], item) and not same_by_lists(value[i], item) then return false end
    end
    return true
  end
  if next(lists) == nil then return next(value) == nil end
  for key, list in pairs(lists) do
    if type(list) ~= "table" then return false end
    if value[key] == nil then
      if not among("", list) then return false end
    elseif not among(value[key], list) then
      return false
    end
  end
  for key in pairs(value) do
    if lists[key] == nil then return false end
  end
  return true
end

function among(value, list)
  for _, item in ipairs(list) do
    if same(value, item) or same_by_lists(value, item) then return true end
  end
  return false
end

-- For one call of a row: argument name -> list of accepted values; `optional` names those that may be left out.
local function accepted(row, index)
  local call = row.calls[index]
  local values, optional = {}, {}
  for name, value in pairs(call.arguments) do values[name] = {value} end
  local spoken = #row.calls == 1 and row.surface or nil
  if type(spoken) == "table" then
    if type(spoken.arguments) == "table" then spoken = spoken.arguments end
    for name, value in pairs(spoken) do -- a number or a boolean stays one, however it was said
      if values[name] and type(values[name][1]) == type(value) then table.insert(values[name], value) end
    end
  end
  local other = type(row.alternatives) == "table" and row.alternatives[index]
  other = type(other) == "table" and other[call.name]
  if type(other) == "table" then
    for name, list in pairs(other) do
      if type(list) == "table" then
        values[name] = values[name] or {}
        for _, value in ipairs(list) do
          if value == "" then optional[name] = true end
          table.insert(values[name], value)
        end
      end
    end
  end
  return values, optional
end

-- Right arguments of `said` against call `index` of the row; how many were said, how many wanted, and whether all is
-- right.
local function compare(row, index, said)
  local values, optional = accepted(row, index)
  local right, given, wanted, exact = 0, 0, 0, true
  for name, value in pairs(said.arguments) do
    given = given + 1
    if values[name] and among(value, values[name]) then right = right + 1 else exact = false end
  end
  for name in pairs(values) do
    if said.arguments[name] ~= nil or not optional[name] then wanted = wanted + 1 end
    if said.arguments[name] == nil and not optional[name] then exact = false end
  end
  return right, given, wanted, exact
end

local function count_arguments(arguments)
  local n = 0
  for _ in pairs(arguments) do n = n + 1 end
  return n
end

-- Judges the calls that were made for a row: {intent =, structure =, right =, given =, wanted =} (the last three count
-- arguments).
function eval.judge(row, said)
  local result = {intent = #said == #row.calls, structure = #said == #row.calls, right = 0, given = 0, wanted = 0}
  local free = {}
  for i = 1, #said do free[i] = true end
  for index, call in ipairs(row.calls) do
    -- the best of the calls to the same tool that are still free
    local best, at
    for i, made in ipairs(said) do
      if free[i] and made.name == call.name then
        local right, given, wanted, exact = compare(row, index, made)
        if not best or exact or right > best.right then
          best, at = {right = right, given = given, wanted = wanted, exact = exact}, i
          if exact then break end
        end
      end
    end
    if best then
      free[at] = nil
      result.right, result.given = result.right + best.right, result.given + best.given
      result.wanted = result.wanted + best.wanted
      if not best.exact then result.structure = false end
    else
      result.intent, result.structure = false, false
      result.wanted = result.wanted + count_arguments(call.arguments)
    end
  end
  for i, made in ipairs(said) do
    if free[i] then result.given = result.given + count_arguments(made.arguments) end
  end
  return result
end

-- Whether the wanted calls of a row name tools that the row has, with arguments that these declare.
local function allowed(row)
  for _, call in ipairs(row.calls) do
    local found = false
    for _, tool in ipairs(row.tools) do
      if tool.name == call.name then
        found = true
        local properties = (tool.parameters or {}).properties or {}
        for name in pairs(call.arguments) do found = found and properties[name] ~= nil end
      end
    end
    if not found then return false end
  end
  return true
end

-- A counter: add(row, calls, more) for each row, then score(). calls: what was called, nil when the row could not be asked at all.
-- more: {confidence, call} as eval.answer has them, {rouge_1, rouge_l}, shortened; all of them may be missing. add returns whether
-- the row is right.
function eval.counter()
  local rows, too_long, shortened, outside = {}, 0, 0, 0
  local counter = {}

  function counter.add(row, said, more)
    more = more or {}
    local item = {wants = #row.calls > 0, confidence = more.confidence, call = more.call, rouge_1 = more.rouge_1, rouge_l = more.rouge_l}
    if not said then too_long = too_long + 1 end
    if more.shortened then shortened = shortened + 1 end
    if not allowed(row) then outside = outside + 1 end
    item.silent, item.overlap = said ~= nil and #said == 0, overlap.of(row)
    if item.wants then
      local judged = eval.judge(row, said or {})
      item.intent, item.right = judged.intent, judged.structure
      item.hits, item.given, item.wanted = judged.right, judged.given, judged.wanted
    else
      item.right = item.silent
    end
    rows[#rows + 1] = item
    return item.right
  end

  -- Rows for which `which` says yes, and of these the ones for which `what` does: share and interval.
  local function share(which, what)
    local part, whole = 0, 0
    for _, item in ipairs(rows) do
      if which(item) then
        whole = whole + 1
        if what(item) then part = part + 1 end
      end
    end
    if whole == 0 then return nil end
    return part / whole, measure.wilson(part, whole)
  end

  local function mean_of(names, value)
    local columns = {}
    for c, name in ipairs(names) do
      columns[c] = {}
      for _, item in ipairs(rows) do
        if item[name] then table.insert(columns[c], item[name]) end
      end
    end
    local sums = {}
    for c, column in ipairs(columns) do
      sums[c] = 0
      for _, v in ipairs(column) do sums[c] = sums[c] + v end
    end
    if #columns[1] == 0 then return nil end
    sums[#sums + 1] = #columns[1]
    columns[#columns + 1] = {}
    for i = 1, #columns[1] do columns[#columns][i] = 1 end
    return value(sums), measure.bootstrap(columns, value)
  end

  -- What refusing below a probability of `call` would give; rows that were not asked are left out.
  local function by_call_probability()
    local list = {}
    for _, at in ipairs{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95} do
      local refused, rightly, wanted = 0, 0, 0
      for _, item in ipairs(rows) do
        if item.call then
          if not item.wants then wanted = wanted + 1 end
          if item.call < at then
            refused = refused + 1
            if not item.wants then rightly = rightly + 1 end
          end
        end
      end
      list[#list + 1] = {at = at, precision = refused > 0 and rightly / refused or nil, recall = wanted > 0 and rightly / wanted or nil}
    end
    return list
  end

  function counter.score()
    local function wants(item) return item.wants end
    local function no_call(item) return not item.wants end
    local function silent(item) return item.silent end
    local function right(item) return item.right end
    local function all() return true end
    local score = {rows = #rows, call_rows = 0, too_long = too_long, shortened = shortened, outside = outside, intervals = {}}
    local function put(name, value, interval) score[name], score.intervals[name] = value, interval end
    for _, item in ipairs(rows) do
      if item.wants then score.call_rows = score.call_rows + 1 end
    end
    score.no_call_rows = score.rows - score.call_rows
    if score.call_rows > 0 then
      put("em_intent", share(wants, function(item) return item.intent end))
      put("em_structure", share(wants, right))
    else
      put("em_intent", share(all, right))
      put("em_structure", share(all, right))
    end
    put("argument_f1", mean_of({"hits", "given", "wanted"}, function(s)
      return s[2] + s[3] > 0 and 2 * s[1] / (s[2] + s[3]) or nil
    end))
    put("accuracy", share(all, right))
    put("refusal_precision", share(silent, no_call))
    put("refusal_recall", share(no_call, silent))
    for _, name in ipairs{"overlap", "rouge_1", "rouge_l"} do put(name, mean_of({name}, function(s) return s[1] / s[2] end)) end
    score.em_intent, score.em_structure = score.em_intent or 0, score.em_structure or 0
    score.accuracy = score.accuracy or 0
    local certain = {}
    for _, item in ipairs(rows) do
      if item.confidence then certain[#certain + 1] = {item.confidence, item.right} end
    end
    if #certain > 0 then
      score.calibration = measure.calibration(certain)
      score.calibration.calls = by_call_probability()
    end
    return score
  end
  return counter
end

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
  local texts, asked = {}, {}
  for _, said in ipairs(row.messages) do
    local content = type(said.content) == "string" and said.content ~= "" and said.content or nil
    texts[#texts + 1] = content
    if said.role == "user" or said.role == "assistant" then asked[#asked + 1] = content end
  end
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
  local all, apart = eval.counter(), {}
  local answer = options.answer or eval.answer
  for i, row in ipairs(rows) do
    local made, message, code = answer(model, row, options)
    if not made and code ~= "context" then return nil, message, code end
    local calls = made and made.calls
    local right = all.add(row, calls, made)
    for p, part in ipairs(parts) do
      local name = part[2](row)
      if name then
        apart[p] = apart[p] or {names = {}, counters = {}}
        if not apart[p].counters[name] then
          apart[p].counters[name] = eval.counter()
          table.insert(apart[p].names, name)
        end
        apart[p].counters[name].add(row, calls, made)
      end
    end
    if options.on_row then options.on_row(i, row, calls or {}, made and made.text or message, right, made) end
  end
  local score = all.score()
  score.parts = {}
  for p, part in ipairs(parts) do
    if apart[p] and #apart[p].names > 1 then
      table.sort(apart[p].names)
      for _, name in ipairs(apart[p].names) do
        table.insert(score.parts, {name = part[1] .. "=" .. name, score = apart[p].counters[name].score()})
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
