-- mobilellm.train.rows: files of rows for the command line, as tokens.
--
--   local rows = rows.read(path, model)            a list with .tools (all rows ask for calls); nil, message, code
--   local data, too_long = rows.data(rows, model, longest)
--
-- A line is a JSON object, of one kind in the whole file:
--   {"tools": [...], "messages": [...], "calls": [...]}   as mobilellm.eval reads it; the prompt form of mobilellm.signature; only the
--                                                         answer is learned
--   {"prompt": text, "completion": text}                  only the completion, and the end after it, is learned
--   {"text": text}                                        all of it is learned
local eval = require "mobilellm.eval"
local lines = require "mobilellm.eval.lines"
local signature = require "mobilellm.signature"

local rows = {}

-- "tools", "completion" or "text" of a decoded line; nil for none of them.
local function kind_of(row)
  if type(row) ~= "table" then return nil end
  if row.tools ~= nil or row.conversation ~= nil then return "tools" end
  if type(row.prompt) == "string" and type(row.completion) == "string" and row.completion ~= "" then return "completion" end
  if type(row.text) == "string" and row.text ~= "" then return "text" end
  return nil
end

function rows.read(path, model)
  local json = require "mobilellm".json
  local found, message, code = lines(path)
  if not found then return nil, message, code end
  local out = {}
  for _, line in ipairs(found) do
    local function wrong(why) return nil, ("%s: line %d: %s"):format(path, line[1], why), "format" end
    local row, problem = json.decode(line[2])
    if row == nil then return wrong(problem) end
    local kind = kind_of(row)
    if not kind then return wrong "an object with tools, messages and calls, with prompt and completion, or with text is expected" end
    if out.kind and out.kind ~= kind then return wrong(("a row of %s among rows of %s"):format(kind, out.kind)) end
    out.kind = kind
    if kind == "tools" then
      row, problem = eval.decode(out, line[2], path, "calls")
      if not row then return wrong(problem) end
    else
      out[#out + 1] = row
    end
  end
  if #out == 0 then return nil, path .. ": no rows", "format" end
  out.tools = out.kind == "tools"
  if out.tools and not signature.fits(model) then
    return nil, ("rows of tools need the control tokens of the project's prompt form (%s ...), which the model's vocabulary lacks: write "
      .. "them as {\"prompt\", \"completion\"}, as the model's own chat template has them"):format(signature.special[3]), "unsupported"
  end
  return out
end

local function append(ids, more)
  for _, id in ipairs(more) do ids[#ids + 1] = id end
end

-- The ids of a row, and how many of them are the prompt.
local function tokens(row, kind, model)
  if kind == "text" then return model:tokenize(row.text, {eos = true}), 0 end
  if kind == "completion" then
    -- Control tokens count as such in a prompt, which a chat template has written.
    local ids = model:tokenize(row.prompt, {special = true})
    local prompt = #ids
    append(ids, model:tokenize(row.completion, {bos = false, eos = true, continuation = true}))
    return ids, prompt
  end
  local ids = signature.encode(model, row.tools, row.messages)
  local prompt = #ids
  append(ids, signature.encode_answer(model, row.calls, row.tools))
  return ids, prompt
end

-- Rows longer than `longest` are left out and counted.
function rows.data(list, model, longest)
  local data, too_long = require "mobilellm".train.data(), 0
  for _, row in ipairs(list) do
    local ids, prompt = tokens(row, list.kind, model)
    if #ids > longest then
      too_long = too_long + 1
    elseif #ids >= 2 then
      data:add(ids, prompt)
    end
  end
  return data, too_long
end

return rows
