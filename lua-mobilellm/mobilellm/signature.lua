-- The prompt form of our own tool-calling models, as data: how tools, messages and calls are written. Training, evaluation and
-- agents all write and read through this file, so they cannot disagree.
--
--   <|begin|><|user|> set the kitchen light to 40<|tools|> Turn a device on
--   light.turn_on( entity_id, brightness?: integer, color?)
--    Lock a door
--   lock.lock( entity_id)
--   <|system|> Devices:
--    light.kitchen 'Kitchen Light'
--   <|user|> set the kitchen light to 40<|assistant|>
-- and the model goes on with one line for each call, or with nothing at all when no tool fits, and then the end:
--   <|calls|>light.turn_on( entity_id = " light.kitchen", brightness = 40)<|end|>
--   <|end|>
--
-- The conversation up to the last thing said also stands in front of the tools: the model reads from left to right, and can then tell
-- already while it reads a tool or a device whether it was meant (Arora et al., "Just read twice", 2024). Behind the tools stand the
-- system messages, the last exchange before the last thing said, that again, and what followed it. The price: a new sentence changes
-- the prompt from its third token on, so nothing of the tools or the system message stays in a session's cache from one sentence to the
-- next (models with a template of their own keep both). Within one sentence results of calls and what follows only add to the prompt.
-- A small model finds it hard to copy, so a name or a value is cut into the same tokens wherever it stands: names and values
-- follow a space (a string value begins with one, which reading drops again), tool names follow a control token or a new line. A
-- type is written when it is not "string", `?` marks what may be left out. The description stands before the name, because what a tool
-- has in common with the sentence must have been read where its name begins: there the model will point at when it calls. A tool without
-- a description has its name in plain words instead ("getCityMayor": get city mayor), which are the sentence's tokens.
local signature = {}

-- Control tokens, in the order of their ids.
signature.special = {
  "<|end|>", "<|begin|>", "<|tools|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|calls|>",
}
signature.begin, signature.stop = "<|begin|>", "<|end|>"
-- The pre-tokenizer: digits apart, punctuation apart from words.
signature.pre = "smollm"

-- Whether the vocabulary of a model has all the control tokens.
function signature.fits(vocabulary)
  for _, spelling in ipairs(signature.special) do
    if #vocabulary:tokenize(spelling, {bos = false, special = true}) ~= 1 then return false end
  end
  return true
end

local known = {}
for _, spelling in ipairs(signature.special) do known[spelling] = true end

-- The names of a tool's parameters: the required ones as listed, then the others by name.
function signature.parameters(tool)
  local schema = tool.parameters or {}
  local names, required, others = {}, {}, {}
  for _, name in ipairs(schema.required or {}) do
    if not required[name] and schema.properties and schema.properties[name] then
      required[name] = true
      names[#names + 1] = name
    end
  end
  for name in pairs(schema.properties or {}) do
    if not required[name] then others[#others + 1] = name end
  end
  table.sort(others)
  for _, name in ipairs(others) do names[#names + 1] = name end
  return names, required
end

local shown = 8 -- longer enumerations are cut: the prompt stays short, and the grammar knows them all

local function type_name(schema)
  if type(schema.enum) == "table" and #schema.enum > 0 then
    local values = {}
    for i, value in ipairs(schema.enum) do
      if #schema.enum > shown and i > 4 then
        values[i] = "..."
        break
      end
      values[i] = tostring(value)
    end
    return table.concat(values, " | ")
  end
  local kind = schema.type
  if kind == "array" then
    local item = type(schema.items) == "table" and schema.items.type or "string"
    return (type(item) == "string" and item or "string") .. "[]"
  end
  return type(kind) == "string" and kind or "string"
end

local function words(text)
  return (text:lower():gsub("[^%w]+", ""))
end

-- "getCityMayor", "light.turn_on" -> "get city mayor", "light turn on"
function signature.plain_words(name)
  return (name:gsub("(%l)(%u)", "%1 %2"):gsub("(%u)(%u%l)", "%1 %2"):gsub("[_.%-]+", " "):lower())
end

-- One tool as two lines: what it does, and how it is called.
function signature.tool(tool)
  local names, required = signature.parameters(tool)
  local written = {}
  for i, name in ipairs(names) do
    local kind = type_name(tool.parameters.properties[name])
    written[i] = " " .. name .. (required[name] and "" or "?") .. (kind == "string" and "" or ": " .. kind)
  end
  local description = tool.description or ""
  if description == "" or words(description) == words(tool.name) then description = signature.plain_words(tool.name) end
  return " " .. description:gsub("%s+", " ") .. "\n" .. tool.name .. "(" .. table.concat(written, ",") .. ")"
end

-- The prompt as a list of parts; control tokens are the parts whose `control` is true.
local function parts(tools, messages)
  local list = {}
  local function control(spelling) list[#list + 1] = {text = spelling, control = true} end
  local function plain(text) list[#list + 1] = {text = text} end
  local function said(text)
    if text ~= "" then plain(" " .. text:gsub("^%s+", ""):gsub("\n", "\n ")) end
  end
  local function turn(message)
    control("<|" .. message.role .. "|>")
    said(message.content or "")
    if message.role == "assistant" then
      if message.tool_calls and #message.tool_calls > 0 then
        control "<|calls|>"
        plain(signature.answer(message.tool_calls, tools))
      end
      control "<|end|>"
    end
  end
  local others, last = {}, 0
  for _, message in ipairs(messages) do
    if not known["<|" .. message.role .. "|>"] then
      error(("signature: a message has the unknown role '%s'"):format(tostring(message.role)), 3)
    end
    if message.role ~= "system" then
      others[#others + 1] = message
      if message.role == "user" then last = #others end
    end
  end
  control "<|begin|>"
  local from = 1
  if tools and #tools > 0 then
    for i = 1, last do turn(others[i]) end
    control "<|tools|>"
    local lines = {}
    for i, tool in ipairs(tools) do lines[i] = signature.tool(tool) end
    plain(table.concat(lines, "\n"))
    from = math.max(1, last - 2)
  end
  for _, message in ipairs(messages) do
    if message.role == "system" then turn(message) end
  end
  for i = from, #others do turn(others[i]) end
  control "<|assistant|>"
  return list
end

signature.parts = parts

-- The prompt as text, to read; `encode` gives the tokens.
function signature.render(tools, messages)
  local list = parts(tools, messages)
  for i, part in ipairs(list) do list[i] = part.text end
  return table.concat(list)
end

local write

-- An object as {"key": value, ...}, keys in byte order.
local function write_object(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  for i, key in ipairs(keys) do keys[i] = require "mobilellm".json.encode(key) .. ": " .. write(value[key]) end
  return "{" .. table.concat(keys, ", ") .. "}"
end

-- A value as it stands in a call.
function write(value)
  local kind = type(value)
  if kind == "string" then
    return '" ' .. value:gsub('[\\"]', "\\%0"):gsub("\n", "\\n") .. '"'
  elseif kind == "table" then
    if #value == 0 and next(value) ~= nil then return write_object(value) end
    local list = {}
    for i, item in ipairs(value) do list[i] = write(item) end
    return "[" .. table.concat(list, ", ") .. "]"
  end
  if kind == "number" and value == math.floor(value) and math.abs(value) < 2 ^ 53 then return ("%d"):format(value) end
  return require "mobilellm".json.encode(value) -- numbers with all their digits
end

signature.value = write

local function by_name(tools, name)
  for _, tool in ipairs(tools or {}) do
    if tool.name == name then return tool end
  end
end

-- One call as text. The arguments come in the order of call.order (a list of names), else in the signature's.
function signature.call(call, tools)
  local order = call.order
  if not order then
    order = {}
    local taken = {}
    local tool = by_name(tools, call.name)
    for _, name in ipairs(tool and signature.parameters(tool) or {}) do
      if call.arguments[name] ~= nil then
        order[#order + 1], taken[name] = name, true
      end
    end
    local others = {}
    for name in pairs(call.arguments) do
      if not taken[name] then others[#others + 1] = name end
    end
    table.sort(others)
    for _, name in ipairs(others) do order[#order + 1] = name end
  end
  local written = {}
  for i, name in ipairs(order) do written[i] = " " .. name .. " = " .. write(call.arguments[name]) end
  return call.name .. "(" .. table.concat(written, ",") .. ")"
end

-- What the model must say: a line for each call, "" for none.
function signature.answer(calls, tools)
  local lines = {}
  for i, call in ipairs(calls) do lines[i] = signature.call(call, tools) end
  return table.concat(lines, "\n")
end

local function append(ids, vocabulary, text, special)
  local more = vocabulary:tokenize(text, {bos = false, special = special})
  for i = 1, #more do ids[#ids + 1] = more[i] end
end

-- The prompt as token ids of `vocabulary` (a model or a trained vocabulary). A control token's spelling in what a person typed
-- stays text.
function signature.encode(vocabulary, tools, messages)
  local ids = {}
  for _, part in ipairs(parts(tools, messages)) do append(ids, vocabulary, part.text, part.control or false) end
  return ids
end

-- The answer as token ids, with the end.
function signature.encode_answer(vocabulary, calls, tools)
  local ids = {}
  if #calls > 0 then
    append(ids, vocabulary, "<|calls|>", true)
    append(ids, vocabulary, signature.answer(calls, tools), false)
  end
  append(ids, vocabulary, "<|end|>", true)
  return ids
end

-- A value of a call without the space that each string begins with.
local function trim(value)
  if type(value) == "string" then return (value:gsub("^ ", "")) end
  if type(value) == "table" then
    local copy = setmetatable({}, getmetatable(value))
    for k, v in pairs(value) do copy[k] = trim(v) end
    return copy
  end
  return value
end

signature.trim = trim

-- The calls in the text of an answer, and what else stood there.
function signature.read(text, tools)
  local result = require "mobilellm".toolcall.parse(text, {format = "mobilellm", tools = tools})
  local calls = {}
  for i, call in ipairs(result.calls) do calls[i] = {name = call.name, arguments = trim(call.arguments)} end
  return calls, result.text or ""
end

return signature
