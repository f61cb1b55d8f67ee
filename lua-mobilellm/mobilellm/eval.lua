-- Scores a model on rows of sentences and the calls they ask for.
--
--   local eval = require "mobilellm.eval"
--   local score = assert(eval.file(model, "rows.jsonl.gz"))    -- or eval.rows(model, rows)
--   print(score.em_intent, score.em_structure, score.refusal_recall)
--
-- A row: {tools = {{name, description, parameters}}, messages = {{role, content}}, calls = {{name, arguments}}}, and where known
-- `surface` (the arguments as spoken) and `alternatives` (for each call {name = {argument = {accepted values; "" = may be left
-- out}}}). No calls: no tool may be called.
--
-- em_intent       of the rows with calls: the right tools, no more and no fewer (in any order)
-- em_structure    ... and every argument right (in any order; types count: 5 is not "5", but 5 is 5.0)
-- argument_f1     of all arguments (name and value) of those rows
-- accuracy        of all rows: em_structure, or rightly no call
-- refusal_precision, refusal_recall   of the answer "no call"; absent where it is undefined
-- Where no row has a call, em_intent and em_structure are the share of rows rightly left without one.
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

local function among(value, list)
  for _, item in ipairs(list) do
    if same(value, item) then return true end
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
    for name, value in pairs(spoken) do
      if values[name] then table.insert(values[name], value) end
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

-- A counter: add(row, calls) for each row, then score().
function eval.counter()
  local n = {
    rows = 0, call_rows = 0, intent = 0, structure = 0, right = 0, given = 0, wanted = 0, refused = 0, silent = 0, both = 0,
  }
  local counter = {}
  function counter.add(row, said)
    n.rows = n.rows + 1
    if #said == 0 then n.silent = n.silent + 1 end
    if #row.calls == 0 then
      n.refused = n.refused + 1
      if #said == 0 then n.both = n.both + 1 end
      return #said == 0
    end
    local judged = eval.judge(row, said)
    n.call_rows = n.call_rows + 1
    if judged.intent then n.intent = n.intent + 1 end
    if judged.structure then n.structure = n.structure + 1 end
    n.right, n.given, n.wanted = n.right + judged.right, n.given + judged.given, n.wanted + judged.wanted
    return judged.structure
  end
  function counter.score()
    local function share(part, whole) return whole > 0 and part / whole or nil end
    local rightly_silent = share(n.both, n.refused)
    return {
      rows = n.rows, call_rows = n.call_rows, no_call_rows = n.refused,
      em_intent = share(n.intent, n.call_rows) or rightly_silent or 0,
      em_structure = share(n.structure, n.call_rows) or rightly_silent or 0,
      argument_f1 = share(2 * n.right, n.given + n.wanted),
      accuracy = share(n.structure + n.both, n.rows) or 0,
      refusal_precision = share(n.both, n.silent), refusal_recall = rightly_silent,
    }
  end
  return counter
end

-- The calls that the model makes for tools and messages, greedily, and the text of its answer. nil, message, code when the prompt
-- does not fit. kv_type: of the session's cache.
function eval.answer(model, tools, messages, max_tokens, kv_type)
  local signature = require "mobilellm.signature"
  local ids = signature.encode(model, tools, messages)
  max_tokens = max_tokens or 200
  local context = math.max(1, math.min(model:info().context, #ids + max_tokens))
  local session, message, code = model:session{kv_type = kv_type, context = context}
  if not session then return nil, message, code end
  local text
  text, message, code = session:generate(ids, {max_tokens = max_tokens, temperature = 0})
  session:close()
  if not text then return nil, message, code end
  return signature.read(text, tools), text
end

-- Scores the model on a list of rows. options: on_row(index, row, calls, text, right), max_tokens, kv_type, answer (another function in
-- the place of eval.answer). A row whose prompt does not fit the context counts as answered with no call, and in `too_long`.
function eval.rows(model, rows, options)
  options = options or {}
  local counter, too_long = eval.counter(), 0
  local answer = options.answer or eval.answer
  for i, row in ipairs(rows) do
    local calls, text, code = answer(model, row.tools, row.messages, options.max_tokens, options.kv_type)
    if not calls then
      if code ~= "context" then return nil, text, code end
      calls, too_long = {}, too_long + 1
    end
    local right = counter.add(row, calls)
    if options.on_row then options.on_row(i, row, calls, text, right) end
  end
  local score = counter.score()
  score.too_long = too_long
  return score
end

-- A shell word.
local function quote(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

-- The rows of a .jsonl or gzipped .jsonl file (through the program gzip), at most `most`. nil, message, code when it cannot
-- be read.
function eval.read(path, most)
  local json = require "mobilellm".json
  local file, message = io.open(path, "rb")
  if not file then return nil, message, "io" end
  if file:read(2) == "\31\139" then
    file:close()
    file = io.popen("gzip -dc " .. quote(path), "r")
  else
    file:seek "set"
  end
  local rows, number = {}, 0
  for line in file:lines() do
    number = number + 1
    if line:find "%S" then
      local row, wrong, code = json.decode(line)
      if row and type(row) ~= "table" then row, wrong, code = nil, "an object expected", "format" end
      if row then
        for _, key in ipairs{"tools", "messages", "calls"} do
          if type(row[key]) ~= "table" then wrong, code, row = ("no list '%s'"):format(key), "format", nil break end
        end
      end
      if not row then
        file:close()
        return nil, ("%s: line %d: %s"):format(path, number, wrong), code
      end
      rows[#rows + 1] = row
      if most and #rows >= most then break end
    end
  end
  file:close()
  return rows
end

-- Rows of a file, scored. options as for eval.rows, and `limit`: at most so many rows.
function eval.file(model, path, options)
  local rows, message, code = eval.read(path, options and options.limit)
  if not rows then return nil, message, code end
  return eval.rows(model, rows, options)
end

return eval
