-- The record of a format as a grammar: the calls of some tools, nothing else.
--
-- Rules are GBNF; what JSON Schema says about a value comes as an imported grammar (mobilellm.grammar.json_schema), so that the
-- words of a schema are enforced by one piece of code. Only what a format spells otherwise than JSON is built here.
local core = require "mobilellm.core"
require "mobilellm.grammar"
local writing = require "mobilellm.toolcall.write"

local grammar, encode = core.grammar, core.json.encode
local first, pair, dump = writing.first, writing.pair, writing.dump

local MAX_DEPTH = 32 -- of a schema

local function quote(s)
  return '"' .. s:gsub('[%c"\\\127]', function(c) return ("\\x%02X"):format(c:byte()) end) .. '"'
end

-- Errors of a build leave by `error` with this table: {message, code}.
local function refuse(code, ...)
  error({message = string.format(...), code = code}, 0)
end

local Builder = {}
Builder.__index = Builder

function Builder:import(g, message, code)
  if not g then refuse(code or "grammar", "%s: %s", self.where, message) end
  self.imports[#self.imports + 1] = g
  return "@" .. #self.imports
end

-- A rule of its own, so that a long text is not repeated.
function Builder:rule(text)
  self.count = self.count + 1
  local name = "r" .. self.count
  self.rules[#self.rules + 1] = name .. " ::= " .. text
  return name
end

-- The schema of a part, with the definitions that it may refer to.
function Builder:schema(schema)
  if type(schema) ~= "table" then return schema end
  local copy = {}
  for key, value in pairs(schema) do copy[key] = value end
  for _, key in ipairs{"$defs", "definitions"} do
    if copy[key] == nil then copy[key] = self.root[key] end
  end
  return copy
end

function Builder:json(schema)
  return self:import(grammar.json_schema(self:schema(schema), {strict = self.strict}))
end

-- Members with `comma` between those that are there; the required ones come first. `list`: {text, required}.
function Builder:members(list, comma)
  local started, fresh = '""', '""' -- what may follow a member; what may stand where none was yet
  for i = #list, 1, -1 do
    local m, rest = list[i], started
    local more = ("%s %s %s"):format(quote(comma), m.text, rest)
    local begin = m.text .. " " .. rest
    started = self:rule(m.required and more or more .. " | " .. rest)
    fresh = self:rule(m.required and begin or begin .. " | " .. fresh)
  end
  return fresh
end

local function types_of(schema)
  return type(schema.type) == "table" and schema.type or {schema.type}
end

-- The schema with one type only.
local function with_type(schema, name)
  local copy = {}
  for key, value in pairs(schema) do copy[key] = value end
  copy.type = name
  return copy
end

-- The values that enum or const list, or nil.
local function listed(schema)
  if type(schema) ~= "table" then return nil end
  if schema.const ~= nil then return {schema.const} end
  return schema.enum
end

local function fits(schema, value)
  return core.json.validate(schema, core.json.encode(value))
end

-- Alternatives of the values that are listed and satisfy the schema.
function Builder:values(schema, spelled)
  local out = {}
  for _, value in ipairs(listed(schema)) do
    if fits(self:schema(schema), value) then out[#out + 1] = spelled(value) end
  end
  if #out == 0 then refuse("grammar", "%s: no listed value satisfies the schema", self.where) end
  return "(" .. table.concat(out, " | ") .. ")"
end

-- One alternative for each type that the schema names, nil when it names none.
function Builder:each_type(schema, build)
  local out = {}
  for i, name in ipairs(types_of(schema)) do out[i] = build(with_type(schema, name), name) end
  if #out == 0 then return nil end
  return "(" .. table.concat(out, " | ") .. ")"
end

-- -------------------------------------------------------------------- values

-- A Python literal: JSON's spelling but for True, False and None.
function Builder:python(schema, depth)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return self:json(schema) end
  if listed(schema) then
    return self:values(schema, function(value) return quote(dump(value, writing.spell.python, 0)) end)
  end
  if schema.type == nil and type(schema.anyOf) == "table" then
    local out = {}
    for i, sub in ipairs(schema.anyOf) do out[i] = self:python(sub, depth + 1) end
    return "(" .. table.concat(out, " | ") .. ")"
  end
  return self:each_type(schema, function(one, name)
    if name == "boolean" then return '"True" | "False"' end
    if name == "null" then return '"None"' end
    return self:json(one)
  end) or self:json(schema)
end

local text_keywords = {"pattern", "format", "minLength", "maxLength"}

-- A string that is written as it is cannot hold to these.
function Builder:plain(schema, form)
  for _, keyword in ipairs(text_keywords) do
    if schema[keyword] ~= nil and self.strict then
      refuse("unsupported", "%s: %s of a string that is written %s cannot be enforced", self.where, keyword, form)
    end
  end
end

-- FunctionGemma's values: keys without quotes, strings between a delimiter.
function Builder:delimited(schema, depth)
  if depth > MAX_DEPTH then refuse("limit", "%s: a schema nested deeper than %d", self.where, MAX_DEPTH) end
  if type(schema) ~= "table" then schema = {} end
  local delimiter = self.delimiter
  if listed(schema) then
    return self:values(schema, function(value) return quote(dump(value, writing.delimited(delimiter), 0)) end)
  end
  if schema.type == nil and schema.properties then schema = with_type(schema, "object") end
  if schema.type == nil then
    local choices = schema.anyOf or schema.oneOf
    local out = {}
    for i, sub in ipairs(choices or {}) do out[i] = self:delimited(sub, depth + 1) end
    if #out > 0 then return "(" .. table.concat(out, " | ") .. ")" end
    schema = with_type(schema, {"string", "number", "boolean"})
  end
  return self:each_type(schema, function(one, name)
    if name == "string" then
      self:plain(one, "between delimiters")
      return quote(delimiter) .. " @until " .. quote(delimiter)
    elseif name == "array" then
      local item = self:rule(self:delimited(one.items or {}, depth + 1))
      local least, most = one.minItems or 0, one.maxItems
      local more = ("(\",\" %s){%d,%s}"):format(item, math.max(least - 1, 0), most and ("%d"):format(math.max(most - 1, 0)) or "")
      local list = most == 0 and '""' or item .. " " .. more
      return '"[" (' .. list .. ")" .. (least == 0 and "?" or "") .. ' "]"'
    elseif name == "object" then
      return self:delimited_object(one, depth + 1)
    elseif name == "boolean" then
      return '"true" | "false"'
    end
    return self:json(one)
  end)
end

-- The names of an object's members in their order, and which are required.
local function members_of(schema)
  local names, required = {}, {}
  for _, name in ipairs(schema.required or {}) do
    if not required[name] then
      names[#names + 1], required[name] = name, true
    end
  end
  local rest = {}
  for name in pairs(schema.properties or {}) do
    if not required[name] then rest[#rest + 1] = name end
  end
  table.sort(rest)
  for _, name in ipairs(rest) do names[#names + 1] = name end
  return names, required
end

function Builder:delimited_object(schema, depth)
  local names, required = members_of(schema)
  local list = {}
  for i, name in ipairs(names) do
    local value = self:delimited((schema.properties or {})[name] or {}, depth + 1)
    list[i] = {text = self:rule(quote(name .. ":") .. " (" .. value .. ")"), required = required[name]}
  end
  return '"{" ' .. self:members(list, ",") .. ' "}"'
end

-- The value of an argument in tags, its opening and closing tags included.
function Builder:tagged(schema, record)
  if type(schema) ~= "table" then schema = {} end
  local opening, closing = pair(record, "value")
  local edge = record.trim and "\n" or ""
  local text = first(record.value_text or opening)
  local typed = first(record.value_json or opening)
  if listed(schema) then
    return self:values(schema, function(value)
      local string = type(value) == "string"
      return quote((string and text or typed) .. edge .. (string and value or dump(value, writing.spell.json, 0)) .. edge .. closing)
    end)
  end
  local function one_type(one, name)
    if name ~= "string" then return quote(typed .. edge) .. " " .. self:json(one) .. " " .. quote(edge .. closing) end
    self:plain(one, "in tags")
    return quote(text .. edge) .. " @until " .. quote(closing)
  end
  if schema.type == nil and (schema.anyOf or schema.oneOf) then
    local out = {}
    for i, sub in ipairs(schema.anyOf or schema.oneOf) do out[i] = self:tagged(sub, record) end
    return "(" .. table.concat(out, " | ") .. ")"
  end
  if schema.type == nil and schema.properties then schema = with_type(schema, "object") end
  if schema.type == nil then return one_type(schema, "string") end
  return self:each_type(schema, one_type)
end

-- -------------------------------------------------------------------- bodies

-- The schema of the arguments: keys that no property declares are none, as registry:check has it.
local function closed(schema)
  local copy = {}
  for key, value in pairs(schema) do copy[key] = value end
  copy.type = "object"
  copy.properties = copy.properties or {}
  if copy.additionalProperties == nil and not copy.patternProperties and not copy.allOf then copy.additionalProperties = false end
  return copy
end

local bodies = {}

function bodies.json(b, record, tool)
  local arguments = b:json(closed(tool.parameters))
  if record.name_is_key then return quote("{" .. encode(tool.name) .. ": ") .. " " .. arguments .. ' "}"' end
  local id = ""
  if record.id_length and record.id_key then
    id = (" %s [a-zA-Z0-9]{%d} %s"):format(quote(", " .. encode(first(record.id_key)) .. ': "'), record.id_length, quote '"')
  end
  if record.arguments_text then
    refuse("unsupported", "format '%s': arguments inside a JSON string cannot be constrained", record.name)
  end
  local head = "{" .. encode(first(record.name_key)) .. ": " .. encode(tool.name) .. ", " .. encode(first(record.arguments_key)) .. ": "
  return quote(head) .. " " .. arguments .. id .. ' "}"'
end

function bodies.named(b, record, tool)
  local suffix = record.name_suffix and " " .. quote(first(record.name_suffix)) .. " [0-9]+" or ""
  local head = quote(first(record.name_prefix) .. tool.name) .. suffix
  local name_end = first(record.name_end)
  if name_end ~= "" then head = head .. " " .. quote(name_end) end
  if record.delimiter then
    b.delimiter = first(record.delimiter)
    return head .. " " .. b:delimited_object(closed(tool.parameters), 0)
  end
  return head .. " " .. b:json(closed(tool.parameters))
end

function bodies.tagged(b, record, tool)
  local names, required = members_of(tool.parameters)
  local key_begin, key_end = pair(record, "key")
  local opening = pair(record, "value")
  local gap = record.separator or ""
  local between = opening ~= "" and not record.value_text and gap or ""
  local own_line = first(record.name_end) == gap and gap ~= ""
  local parts = {quote(tool.name .. first(record.name_end) .. (own_line and "" or gap))}
  for _, name in ipairs(names) do
    local value = b:tagged((tool.parameters.properties or {})[name] or {}, record)
    local rule = b:rule(quote(key_begin .. name .. key_end .. between) .. " (" .. value .. ")" .. (gap ~= "" and " " .. quote(gap) or ""))
    parts[#parts + 1] = rule .. (required[name] and "" or "?")
  end
  return table.concat(parts, " ")
end

function bodies.python(b, record, tool)
  local names, required = members_of(tool.parameters)
  local list = {}
  for i, name in ipairs(names) do
    local value = b:python((tool.parameters.properties or {})[name] or {}, 0)
    list[i] = {text = b:rule(quote(name .. (record.assign or "=")) .. " (" .. value .. ")"), required = required[name]}
  end
  return quote(tool.name .. first(record.name_suffix) .. "(") .. " " .. b:members(list, ", ") .. ' ")"'
end

function bodies.channels(b, record, tool)
  return quote(record.header[1] .. tool.name .. record.header[2]) .. " " .. b:json(closed(tool.parameters)) .. " " ..
    quote(first(record.channels_end))
end

local function literal(s)
  return s == "" and "" or quote(s) .. " "
end

-- The text of the whole: `open` and `close` once, `before` and `after` around each call.
local function compose(b, record, list, opts)
  local calls = b:rule(table.concat(list, " | "))
  local at = writing.layout(record)
  local least, most = opts.least or 1, opts.most
  local trigger = ""
  if opts.text then -- free text up to the marker, which is not part of what follows
    for _, field in ipairs{"section", "call"} do
      if trigger == "" then trigger = (pair(record, field)) end
    end
    if record.header then trigger = record.header[1]:match("^<[^>]*>") end
    local head = at.open .. at.first .. (record.header and record.header[1] or "")
    if trigger == "" or head:sub(1, #trigger) ~= trigger then
      refuse("unsupported", "format '%s': its calls have no marker that text could be told from", record.name)
    end
  end
  local one = calls .. " " .. literal(at.after)
  local more = ("(%s%s%s)"):format(literal(at.between), literal(at.before), one)
  local times = ("{%d,%s}"):format(math.max(least - 1, 0), most and ("%d"):format(math.max(most - 1, 0)) or "")
  local whole = literal(at.open) .. literal(at.first) .. one .. more .. times .. " " .. literal(at.close)
  if opts.text then
    -- The trigger stands at the beginning of the first literal; take it off there.
    local head = at.open ~= "" and at.open or at.first
    if record.header then
      refuse("unsupported", "format '%s': free text is a channel of its own; constrain the calls alone", record.name)
    end
    local rest = whole:sub(#literal(head) + 1)
    return ("root ::= (@until %s %s%s)* @without %s"):format(quote(trigger), literal(head:sub(#trigger + 1)), rest, quote(trigger))
  end
  return "root ::= " .. (least == 0 and "(" .. whole .. ")?" or whole)
end

-- constrain(list of tools, record, {least, most, text, strict}) -> grammar; nil, message, code
return function(list, record, opts)
  if #list == 0 then return nil, "toolcall.grammar: no tools", "grammar" end
  local b = setmetatable({imports = {}, rules = {}, count = 0, strict = opts.strict ~= false}, Builder)
  local ok, result = pcall(function()
    local calls = {}
    for i, tool in ipairs(list) do
      b.where, b.root = "tool '" .. tool.name .. "'", tool.parameters
      calls[i] = b:rule(bodies[record.body](b, record, tool))
    end
    return compose(b, record, calls, opts) .. "\n" .. table.concat(b.rules, "\n")
  end)
  if not ok then
    if type(result) ~= "table" then error(result, 0) end
    return nil, result.message, result.code
  end
  return grammar.compose(result, b.imports)
end
