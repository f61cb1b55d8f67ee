-- An extraction agent: free text becomes JSON under a schema, and nothing in it is made up.
--
--   lua5.4 agents/extract.lua SCHEMA.json "TEXT" ...       a line of JSON for each text; SCHEMA may be JSON itself, TEXT - reads lines
--
-- The model is asked for one call whose arguments are the schema's properties; the constraint lets it write only values of their types, and
-- only such strings as stand in the text. What comes out is checked again: a string must stand in the text, a number as digits or as a
-- word; what does not is left out, or, when the schema requires it, makes an error. Dates and amounts stay as they were written. Which
-- property a text belongs to is the model's judgement, and the shipped model is weak at it: look at
-- what comes out, or train one on rows of your own (README).
--
-- As a module: local agent = assert(require "extract".new{schema = table, model = path})
--   agent:read(text) -> object, left_out (list of {name, value, problem}) | nil, message
local directory = ((debug.getinfo(1, "S").source:match "^@(.*)$") or "agents/extract.lua"):match "^(.*)/[^/]*$" or "."
local loop = dofile(directory .. "/parts/loop.lua")

local extract = {}
local Agent = {}
Agent.__index = Agent

local UNLIKELY = 0.1 -- the model would not have called at all

local words = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}

-- Text as it is compared: one space for any, lower case.
local function plain(text)
  return (text:lower():gsub("%s+", " "))
end

-- Whether `part` stands in the text, from a beginning of a word to an end of one.
local function stands(text, part)
  local from = 1
  while part:find "%S" do
    local first, last = text:find(part, from, true)
    if not first then return false end
    local before, after = text:sub(first - 1, first - 1), text:sub(last + 1, last + 1)
    local inside = before:find "[%w\128-\255]" and part:find "^[%w\128-\255]"
      or after:find "[%w\128-\255]" and part:find "[%w\128-\255]$"
    if not inside then return true end
    from = first + 1
  end
  return false
end

-- The numbers of a text: as digits, with separators of thousands, or as words up to twelve.
local function numbers_of(text)
  local out, seen = {}, {}
  local function add(n, whole)
    if n and not seen[n] then
      seen[n] = true
      out[#out + 1] = {n, whole}
    end
  end
  for digits in text:gsub("(%d)[,'](%d%d%d)", "%1%2"):gmatch "%d+%.?%d*" do
    local n = tonumber(digits)
    if n and n < 2 ^ 53 then add(n % 1 == 0 and math.floor(n) or n, n % 1 == 0) end
  end
  for i, word in ipairs(words) do
    if stands(plain(text), word) then add(i, true) end
  end
  return out
end

-- What is wrong with a value that the text does not have; nil: nothing. Booleans and values of an enumeration are judgements: the schema
-- is all that holds them.
local function unfounded(schema, value, text)
  if type(schema) == "table" and (schema.enum or schema.const ~= nil) then return nil end
  if type(value) == "string" then
    if not stands(text, plain(value)) then return ("'%s' does not stand in the text"):format(value) end
  elseif type(value) == "number" then
    for _, one in ipairs(numbers_of(text)) do
      if one[1] == value then return nil end
    end
    return ("%.14g does not stand in the text"):format(value)
  elseif type(value) == "table" then
    for key, item in pairs(value) do
      local sub = type(schema) == "table" and (type(key) == "number" and schema.items or (schema.properties or {})[key])
      local problem = unfounded(sub, item, text)
      if problem then return problem end
    end
  end
end

-- The schema for one text: numbers are those that stand in it. nil: no value of it can.
local function narrowed(schema, numbers)
  if type(schema) ~= "table" or schema.enum or schema.const ~= nil then return schema end
  local copy = {}
  for key, value in pairs(schema) do copy[key] = value end
  if schema.type == "integer" or schema.type == "number" then
    copy.enum = {}
    for _, one in ipairs(numbers) do
      if one[2] or schema.type == "number" then copy.enum[#copy.enum + 1] = one[1] end
    end
    return #copy.enum > 0 and copy or nil
  elseif type(schema.properties) == "table" then
    copy.properties = {}
    for name, sub in pairs(schema.properties) do copy.properties[name] = narrowed(sub, numbers) end
    for _, name in ipairs(schema.required or {}) do
      if copy.properties[name] == nil then return nil end
    end
  elseif schema.items then
    copy.items = narrowed(schema.items, numbers)
    if copy.items == nil then return nil end
  end
  return copy
end

-- The model's one call: its arguments | nil, message
function Agent:ask(text)
  local signature = require "mobilellm.signature"
  local list = self.tools.list
  local here = {name = list[1].name, description = list[1].description, parameters = narrowed(self.schema, numbers_of(text))}
  if not here.parameters then return nil, "a number is needed, and the text has none" end
  if signature.fits(self.model) then
    local ids = signature.encode(self.model, list, {{role = "user", content = text}})
    local session, message, code = self.model:session{context = math.min(#ids + 200, self.model:info().context)}
    if not session then return nil, message, code end
    local fed
    fed, message, code = session:feed(ids)
    if not fed then
      session:close()
      return nil, code == "context" and "the text is too long" or message, code
    end
    local made
    made, message, code = require "mobilellm.signature.decode"(session, {here},
      {threshold = 0, most = 1, strings = "spoken", texts = {text}})
    session:close()
    if not made then return nil, message, code end
    if #made.calls == 0 or made.call < UNLIKELY then return nil, "nothing was found" end
    return made.calls[1].arguments
  end
  local chat, message, code = self.model:chat{tools = {here}, max_tokens = 400}
  if not chat then return nil, message, code end
  local done, calls, why = chat:ask(text, {tool_choice = "required"})
  chat:close()
  if not done then return nil, calls, why end
  if #calls == 0 then return nil, "nothing was found" end
  return calls[1].arguments
end

function Agent:read(text)
  if not text:find "%S" then return nil, "there is no text" end
  local arguments, message = self:ask(text)
  if not arguments then return nil, message end
  local schema, found, left_out, here = self.schema, {}, {}, plain(text)
  for name, value in pairs(arguments) do
    local problem = unfounded((schema.properties or {})[name], value, here)
    if problem then left_out[#left_out + 1] = {name = name, value = value, problem = problem} else found[name] = value end
  end
  table.sort(left_out, function(a, b) return a.name < b.name end)
  local checked
  checked, message = self.tools:check{name = self.tools.list[1].name, arguments = found}
  if not checked then
    local whys = {message}
    for _, one in ipairs(left_out) do whys[#whys + 1] = one.name .. ": " .. one.problem end
    return nil, table.concat(whys, "; ")
  end
  return require "mobilellm".json.object(checked, require "mobilellm.signature".parameters(self.tools.list[1])), left_out
end

-- options: schema (of an object: table), model (path, or a loaded model)
function extract.new(options)
  local mobilellm = require "mobilellm"
  local schema = options.schema
  if type(schema) ~= "table" or type(schema.properties) ~= "table" then
    return nil, "a schema of an object with properties is needed", "format"
  end
  local name = type(schema.title) == "string" and schema.title:lower():gsub("%W+", "_"):gsub("^_+", ""):gsub("_+$", "") or ""
  local tools, problems = mobilellm.tools{{name = name ~= "" and name or "extract",
    description = type(schema.description) == "string" and schema.description or nil, parameters = schema}}
  if problems then return nil, problems[1], "format" end
  local model, message, code = options.model or loop.calls_path
  if type(model) == "string" then
    model, message, code = mobilellm.load(model)
    if not model then return nil, message, code end
  end
  return setmetatable({schema = schema, tools = tools, model = model}, Agent)
end

function extract.main(arguments)
  local function fail(message)
    io.stderr:write("extract: ", message, "\n")
    return 1
  end
  local list, options = loop.arguments(arguments, {model = true})
  local usage = "\nusage: extract.lua SCHEMA.json TEXT ... [--model FILE]"
  if not list then return fail(options .. usage) end
  if #list < 2 then return fail("a schema and a text are needed" .. usage) end
  local json, source = require "mobilellm".json, list[1]
  if not source:find "^%s*{" then
    local file, message = io.open(source, "rb")
    if not file then return fail(message) end
    source = file:read "*a"
    file:close()
  end
  local schema, message = json.decode(source, {ordered = true})
  if schema == nil then return fail(list[1] .. ": " .. message) end
  local agent
  agent, message = extract.new{schema = schema, model = options.model}
  if not agent then return fail(message) end
  local code = 0
  local function read(text)
    local object, more = agent:read(text)
    if object then print(json.encode(object)) else code = fail(more) end
    for _, one in ipairs(object and more or {}) do fail(("%s is left out: %s"):format(one.name, one.problem)) end
  end
  for i = 2, #list do
    if list[i] == "-" then
      for line in io.lines() do read(line) end
    else
      read(list[i])
    end
  end
  return code
end

if arg and arg[0] and arg[0]:match "extract%.lua$" and (...) ~= "extract" then os.exit(extract.main(arg)) end

return extract
