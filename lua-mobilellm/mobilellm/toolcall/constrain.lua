-- The record of a format as a grammar: the calls of some tools, alone or with free text around them.
--
-- Rules are GBNF; what JSON Schema says about a value comes as an imported grammar (mobilellm.grammar.json_schema), so that the
-- words of a schema are enforced by one piece of code. Only what a format spells otherwise than JSON is built here.
local core = require "mobilellm.core"
require "mobilellm.grammar"
local tools_module = require "mobilellm.tools"
local writing = require "mobilellm.toolcall.write"
local spaced = require "mobilellm.toolcall.spaced"

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

-- A marker, where the vocabulary has control tokens for parts of it by these: no text spells them.
function Builder:mark(s)
  if s == "" then return "" end
  local known = self.marks[s]
  if known then return known end
  local out = quote(s)
  if self.vocabulary then
    local parts, text, whole = {}, "", ""
    local function flush()
      if text ~= "" then parts[#parts + 1], text = quote(text), "" end
    end
    for _, id in ipairs(self.vocabulary:tokenize(s, {special = true, continuation = true})) do
      local bytes, kind = self.vocabulary:token(id)
      whole = whole .. (bytes or "")
      if kind == "control" then
        flush()
        parts[#parts + 1] = "@token " .. id
      else
        text = text .. (bytes or "")
      end
    end
    flush()
    if whole == s then out = table.concat(parts, " ") end
  end
  self.marks[s] = out
  return out
end

-- Text that ends with a marker.
function Builder:up_to(s)
  local mark = self:mark(s)
  if mark:find("@token", 1, true) then return "@without " .. quote(s) .. " " .. mark end
  return "@until " .. quote(s)
end

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

-- A copy of a schema whose references from its own root lead into the resource `whole`.
local function absolute(schema, whole, depth)
  if type(schema) ~= "table" or depth > 4 * MAX_DEPTH then return schema end
  if depth > 0 and (type(schema["$id"]) == "string" or type(schema.id) == "string") then return schema end -- a root of its own
  local copy = setmetatable({}, getmetatable(schema))
  for key, value in pairs(schema) do
    local from_root = key == "$ref" and type(value) == "string" and value:find "^#"
    copy[key] = from_root and whole .. value or key ~= "enum" and key ~= "const" and absolute(value, whole, depth + 1) or value
  end
  return copy
end

-- Whether a schema refers to itself by more than its definitions.
local function whole_needed(schema, depth)
  if type(schema) ~= "table" or depth > 4 * MAX_DEPTH then return false end
  local reference = schema["$ref"]
  if type(reference) == "string" and reference:find "^#" and not reference:find "^#/%$defs/" and not reference:find "^#/definitions/" then
    return true
  end
  for _, value in pairs(schema) do
    if whole_needed(value, depth + 1) then return true end
  end
  return false
end

-- The schema of a part, with what it may refer to, and the draft that it is to be read as.
function Builder:schema(schema)
  if type(schema) ~= "table" then return schema end
  if self.whole == nil then self.whole = whole_needed(self.root, 0) end
  local copy = {}
  if self.whole then -- the parameters as a resource within it, by a name
    local named = {}
    for key, value in pairs(self.root) do named[key] = value end
    local id = type(named["$id"]) == "string" and named["$id"] or type(named.id) == "string" and named.id or "urn:mobilellm:parameters"
    id = id:gsub("#$", "")
    named["$id"], named.id = id, id
    copy = absolute(schema, id, 0)
    local older = type(self.root["$schema"]) == "string" and self.root["$schema"]:find("draft-0", 1, true)
    copy["$defs"], copy.definitions = nil, nil
    copy[older and "definitions" or "$defs"] = {parameters = named}
    copy["$schema"] = copy["$schema"] or self.root["$schema"]
    return copy
  end
  for key, value in pairs(schema) do copy[key] = value end
  for _, key in ipairs{"$defs", "definitions", "$schema"} do
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
local combining = {"anyOf", "oneOf", "allOf", "not", "if", "$ref", "$dynamicRef", "$recursiveRef"}
-- What an object may be asked for beyond its declared properties and the required ones.
local object_keywords = {"minProperties", "maxProperties", "patternProperties", "propertyNames", "dependencies", "dependentRequired",
  "dependentSchemas", "enum", "const", "unevaluatedProperties"}

-- Refuses, when strict, a schema with a keyword of these lists.
function Builder:lacks(schema, what, ...)
  for _, list in ipairs{...} do
    for _, keyword in ipairs(list) do
      if schema[keyword] ~= nil and self.strict then
        refuse("unsupported", "%s: %s of %s cannot be enforced in this format", self.where, keyword, what)
      end
    end
  end
end

-- A value as signature.lua writes it, strings behind a space, which its schema has already; true and false are JSON's.
function Builder:spaced(schema, depth)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return self:json(schema) end
  if listed(schema) then return self:values(schema, function(value) return quote(encode(value)) end) end
  local bounded = schema.pattern ~= "^ " -- by more than the space
  for _, list in ipairs{{"minLength", "maxLength"}, combining} do
    for _, keyword in ipairs(list) do bounded = bounded or schema[keyword] ~= nil end
  end
  if schema.type == "string" and not bounded then return [["\"" " " ([^"\\\x00-\x1F] | "\\" ["\\/bfnrt])* "\""]] end
  if schema.type == "array" and type(schema.items) == "table" and not schema.uniqueItems and not schema.prefixItems then
    return self:list(schema, self:rule(self:spaced(schema.items, depth + 1)), ", ")
  end
  return self:json(schema)
end

-- "[" items "]", as many as the schema says.
function Builder:list(schema, item, comma)
  local least, most = schema.minItems or 0, schema.maxItems
  local more = ("(%s %s){%d,%s}"):format(quote(comma), item, math.max(least - 1, 0), most and ("%d"):format(math.max(most - 1, 0)) or "")
  local list = most == 0 and '""' or item .. " " .. more
  return '"[" (' .. list .. ")" .. (least == 0 and "?" or "") .. ' "]"'
end

-- A string that is written as it is cannot hold to these.
function Builder:plain(schema, form)
  self:lacks(schema, "a string that is written " .. form, combining)
  for _, keyword in ipairs(text_keywords) do
    if schema[keyword] ~= nil and self.strict then
      refuse("unsupported", "%s: %s of a string that is written %s cannot be enforced", self.where, keyword, form)
    end
  end
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

-- The same, of those that can be spelled; a required one that cannot is refused. `trimmed`: spaces around a name are none of it.
function Builder:arguments(schema, spelling, trimmed)
  local names, required = members_of(schema)
  local out = {}
  for _, name in ipairs(names) do
    local spelled = name:find("^" .. spelling .. "$") and not (trimmed and (name:find "^%s" or name:find "%s$"))
    if spelled and (schema.properties or {})[name] ~= false then
      out[#out + 1] = name
    elseif required[name] then
      refuse("grammar", "%s: the argument '%s' cannot be spelled in this format", self.where, name)
    end
  end
  return out, required
end

-- What build(schema) gives for the value of an argument; nil where no value satisfies the schema and the argument may be left out.
function Builder:argument(required, build)
  local ok, result = pcall(build)
  if ok then return result end
  if not required and type(result) == "table" and result.code == "grammar" then return nil end
  error(result, 0)
end

-- FunctionGemma's values: keys without quotes, strings between a delimiter.
function Builder:delimited(schema, depth)
  if depth > MAX_DEPTH then refuse("limit", "%s: a schema nested deeper than %d", self.where, MAX_DEPTH) end
  if type(schema) ~= "table" then schema = {} end
  local delimiter = self.delimiter
  if listed(schema) then
    return self:values(schema, function(value) -- marks of the delimiter may be tokens, what stands between them is text
      if type(value) == "string" then return ("(%s %s %s)"):format(self:mark(delimiter), quote(value), self:mark(delimiter)) end
      return quote(dump(value, writing.delimited(delimiter), 0))
    end)
  end
  if schema.type == nil and schema.properties then schema = with_type(schema, "object") end
  if schema.type == nil then
    local choices = schema.anyOf or schema.oneOf
    self:lacks(schema, "a value between delimiters", {"oneOf", "allOf", "not", "if", "$ref"})
    local out = {}
    for i, sub in ipairs(choices or {}) do out[i] = self:delimited(sub, depth + 1) end
    if #out > 0 then return "(" .. table.concat(out, " | ") .. ")" end
    schema = with_type(schema, {"string", "number", "boolean"})
  end
  return self:each_type(schema, function(one, name)
    if name == "string" then
      self:plain(one, "between delimiters")
      return self:mark(delimiter) .. " " .. self:up_to(delimiter)
    elseif name == "array" then
      return self:list(one, self:rule(self:delimited(one.items or {}, depth + 1)), ",")
    elseif name == "object" then
      return self:delimited_object(one, depth + 1)
    elseif name == "boolean" then
      return '"true" | "false"'
    end
    return self:json(one)
  end)
end

function Builder:delimited_object(schema, depth)
  self:lacks(schema, "an object", combining, object_keywords)
  local names, required = self:arguments(schema, ".*")
  local key = writing.delimited(self.delimiter).key
  local list = {}
  for _, name in ipairs(names) do
    local value = self:argument(required[name], function() return self:delimited((schema.properties or {})[name] or {}, depth + 1) end)
    if value then list[#list + 1] = {text = self:rule(quote(key(name) .. ":") .. " (" .. value .. ")"), required = required[name]} end
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
      return ("(%s %s %s)"):format(self:mark((string and text or typed) .. edge),
        quote(string and value or dump(value, writing.spell.json, 0)), self:mark(edge .. closing))
    end)
  end
  local function one_type(one, name)
    if name ~= "string" then return self:mark(typed .. edge) .. " " .. self:json(one) .. " " .. self:mark(edge .. closing) end
    self:plain(one, "in tags")
    return self:mark(text .. edge) .. " " .. self:up_to(closing)
  end
  if schema.type == nil and (schema.anyOf or schema.oneOf) then
    self:lacks(schema, "a value in tags", {"oneOf", "allOf", "not", "if"})
    local out = {}
    for i, sub in ipairs(schema.anyOf or schema.oneOf) do out[i] = self:tagged(sub, record) end
    return "(" .. table.concat(out, " | ") .. ")"
  end
  if schema.type == nil and schema.properties then schema = with_type(schema, "object") end
  if schema.type == nil then
    self:lacks(schema, "a value in tags", combining, object_keywords)
    return one_type(schema, "string")
  end
  return self:each_type(schema, one_type)
end

-- -------------------------------------------------------------------- bodies

-- The schema with integers that Lua can hold exactly, where it bounds them less.
local WHOLE = 2 ^ 53 - 1
local nested = {properties = true, ["$defs"] = true, definitions = true, patternProperties = true}
local listing = {anyOf = true, oneOf = true, allOf = true, prefixItems = true}
local function whole_numbers(schema, depth)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return schema end
  local copy = setmetatable({}, getmetatable(schema))
  for key, value in pairs(schema) do
    if (nested[key] or listing[key]) and type(value) == "table" then
      local list = setmetatable({}, getmetatable(value))
      for name, sub in pairs(value) do list[name] = whole_numbers(sub, depth + 1) end
      value = list
    elseif (key == "items" or key == "additionalProperties") and type(value) == "table" then
      value = whole_numbers(value, depth + 1)
    end
    copy[key] = value
  end
  if copy.type == "integer" and not copy.enum and copy.const == nil then
    if copy.minimum == nil and copy.exclusiveMinimum == nil then copy.minimum = -WHOLE end
    if copy.maximum == nil and copy.exclusiveMaximum == nil then copy.maximum = WHOLE end
  end
  return copy
end

-- The schema of the arguments: keys that no property declares are none, as registry:check has it.
local function closed(schema)
  local copy = {}
  for key, value in pairs(schema) do copy[key] = value end
  if copy["$ref"] then -- older drafts read nothing beside it
    copy.allOf = {{["$ref"] = copy["$ref"]}}
    for i, sub in ipairs(schema.allOf or {}) do copy.allOf[i + 1] = sub end
    copy["$ref"] = nil
  end
  copy.type = "object"
  copy.properties = copy.properties or {}
  if tools_module.closed(schema) then copy.additionalProperties = false end
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
  if name_end ~= "" then head = head .. " " .. b:mark(name_end) end
  if record.delimiter then
    b.delimiter = first(record.delimiter)
    return head .. " " .. b:delimited_object(closed(tool.parameters), 0)
  end
  return head .. " " .. b:json(closed(tool.parameters))
end

function bodies.tagged(b, record, tool)
  b:lacks(tool.parameters, "the arguments", combining, object_keywords)
  local names, required = b:arguments(tool.parameters, '[^<>"%c]+', true)
  local key_begin, key_end = pair(record, "key")
  local opening = pair(record, "value")
  local gap = record.separator or ""
  local between = opening ~= "" and not record.value_text and gap or ""
  local own_line = first(record.name_end) == gap and gap ~= ""
  local parts = {quote(tool.name) .. " " .. b:mark(first(record.name_end) .. (own_line and "" or gap))}
  for _, name in ipairs(names) do
    local value = b:argument(required[name], function() return b:tagged((tool.parameters.properties or {})[name] or {}, record) end)
    if value then
      local key = ("%s %s %s"):format(b:mark(key_begin), quote(name), b:mark(key_end .. between))
      local rule = b:rule(key .. " (" .. value .. ")" .. (gap ~= "" and " " .. quote(gap) or ""))
      parts[#parts + 1] = rule .. (required[name] and "" or "?")
    end
  end
  return table.concat(parts, " ")
end

function bodies.python(b, record, tool)
  if record.spaced then
    b.root = spaced(tool.parameters)
    tool = {name = tool.name, parameters = b.root}
  end
  b:lacks(tool.parameters, "the arguments", combining, object_keywords)
  local names, required = b:arguments(tool.parameters, "[%a_$@\128-\255][%w_.$@\128-\255-]*") -- more than Python's, as the parser has it
  local list = {}
  for _, name in ipairs(names) do
    local schema = (tool.parameters.properties or {})[name] or {}
    local value = b:argument(required[name], function() return record.spaced and b:spaced(schema, 0) or b:python(schema, 0) end)
    local key = (record.spaced and " " or "") .. name .. (record.assign or "=")
    if value then list[#list + 1] = {text = b:rule(quote(key) .. " (" .. value .. ")"), required = required[name]} end
  end
  return quote(tool.name .. first(record.name_suffix) .. "(") .. " " .. b:members(list, record.spaced and "," or ", ") .. ' ")"'
end

function bodies.channels(b, record, tool)
  return ("%s %s %s %s %s"):format(b:mark(record.header[1]), quote(tool.name), b:mark(record.header[2]), b:json(closed(tool.parameters)),
    b:mark(first(record.channels_end)))
end

-- Numbers of repetition as GBNF says them.
local function times(least, most)
  return ("{%d,%s}"):format(math.max(least, 0), most and ("%d"):format(math.max(most, 0)) or "")
end

-- `least` to `most` calls with all that stands around them. `at`: the layout.
local function whole(b, calls, at, least, most)
  local one = calls .. " " .. b:mark(at.after)
  local more = ("(%s %s %s)%s"):format(b:mark(at.between), b:mark(at.before), one, times(least - 1, most and most - 1))
  return ("%s %s %s %s %s"):format(b:mark(at.open), b:mark(at.first), one, more, b:mark(at.close))
end

-- The spellings of a field that spell something.
local function spellings(value)
  local list = {}
  for _, s in ipairs(type(value) == "table" and value or {value}) do
    if s ~= "" then list[#list + 1] = s end
  end
  return list
end

-- What text must not have, for a format whose calls need no marker: the beginning of a call as the parser takes one.
local function lookalikes(record, tools, out)
  for _, tool in ipairs(tools) do
    local name = quote(tool.name)
    if record.body == "json" then
      out[#out + 1] = ([=[["'] %s ["']]=]):format(name)
    elseif record.body == "python" then
      out[#out + 1] = (record.list and [=["[" [ \t\r\n]* ]=] or "") .. name .. [=[ [ \t\r\n]* "("]=]
    end
  end
end

-- Free text and calls: `calls` are the rules of the calls in each of the records.
local function with_text(b, records, calls, tools, opts)
  local forbidden, alternatives, finals, starts, alone, free = {}, {}, {}, {}, false, {}
  local lead = ""
  for i, record in ipairs(records) do
    local at = writing.layout(record)
    local section, call = spellings((record.section or {})[1]), spellings((record.call or {})[1])
    local openings = #section > 0 and section or call
    local head = at.open ~= "" and "open" or "first"
    if record.header then
      refuse("unsupported", "format '%s': free text is a channel of its own; constrain the calls alone", record.name)
    end
    if not record.weak then
      for _, list in ipairs{section, call} do
        for _, s in ipairs(list) do forbidden[#forbidden + 1] = quote(s) end
      end
    end
    local marked = not record.weak and openings[1] and at[head]:sub(1, #openings[1]) == openings[1]
    for _, s in ipairs(marked and openings or {}) do -- any of the markers that a model may write
      local copy = {}
      for key, value in pairs(at) do copy[key] = value end
      copy[head] = s .. at[head]:sub(#openings[1] + 1)
      if at.after .. at.close == "" then -- nothing tells where such calls end: nothing follows
        finals[#finals + 1] = whole(b, calls[i], copy, 1, opts.most)
      else
        alternatives[#alternatives + 1] = whole(b, calls[i], copy, 1, #section == 0 and 1 or opts.most)
      end
    end
    if record.bare then
      local copy = {}
      for key, value in pairs(record) do copy[key] = value end
      if not record.weak then copy.section, copy.call = nil, nil end
      starts[#starts + 1] = whole(b, calls[i], writing.layout(copy), 1, opts.most)
      lookalikes(record, tools, forbidden)
    elseif record.start then -- the message begins with the name of a tool, or with that of text
      starts[#starts + 1] = whole(b, calls[i], at, 1, opts.most)
      lead = quote(first(record.text_name) .. first(record.name_end))
      finals[#finals + 1] = ("(%s %s %s)%s"):format(b:mark(at.before), calls[i], b:mark(at.after), times(1, opts.most))
    elseif not marked then
      refuse("unsupported", "format '%s': its calls have no marker that text could be told from", record.name)
    end
    alone = alone or record.alone
    for _, field in ipairs{record.reasoning or {"<think>", "</think>"}, record.reasoning_stray or {}, {record.drop or ""}} do
      for _, value in pairs(field) do
        for _, s in ipairs(spellings(value)) do
          local id = b:mark(s):match "^@token (%d+)$"
          if id and not b.vocabulary:is_end(tonumber(id)) then free[#free + 1] = b:mark(s) end
        end
      end
    end
  end
  local text = b:rule("@without (" .. table.concat(forbidden, " | ") .. ")")
  if #free > 0 then text = b:rule(("%s ((%s) %s)*"):format(text, table.concat(free, " | "), text)) end
  local any = #alternatives > 0 and b:rule(table.concat(alternatives, " | "))
  local last = #finals > 0 and b:rule(table.concat(finals, " | "))
  local roots = {}
  if alone then -- either text or calls
    roots = {text, any or last or nil}
  else
    local before = any and ("(%s %s)%s"):format(text, any, times(0, opts.most)) or ""
    roots[1] = ("%s %s %s %s"):format(lead, before, text, last and "(" .. last .. ")?" or "")
  end
  for _, start in ipairs(starts) do roots[#roots + 1] = "[ \\n]{0,2} " .. start end
  return table.concat(roots, " | ")
end

-- The rule of a tool's call. Where its schema cannot be held to: a note instead, and as much of it as can; nil when nothing satisfies it.
local function call_rule(b, record, tool, strict, notes)
  local function try(declared, as_strict)
    local rules, imports = #b.rules, #b.imports
    b.strict, b.root, b.whole = as_strict, declared.parameters, nil
    local ok, result = pcall(bodies[record.body], b, record, declared)
    if ok then return b:rule(result) end
    for i = #b.rules, rules + 1, -1 do b.rules[i] = nil end
    for i = #b.imports, imports + 1, -1 do b.imports[i] = nil end
    if type(result) ~= "table" then error(result, 0) end
    return nil, result
  end
  b.where = "tool '" .. tool.name .. "'"
  tool = {name = tool.name, parameters = whole_numbers(tool.parameters or {type = "object"}, 0)}
  local rule, problem = try(tool, true)
  if rule then return rule end
  if strict then error(problem, 0) end
  if problem.code == "grammar" then
    notes[#notes + 1] = problem.message .. ": it cannot be called"
    return nil
  end
  notes[#notes + 1] = problem.message
  return try(tool, false) or try({name = tool.name, parameters = {type = "object"}}, false)
end

-- constrain(list of tools, list of records, {least, most, text, strict, vocabulary, thoughts}) -> grammar, notes; nil, message, code
return function(list, records, opts)
  if #list == 0 then return nil, "toolcall.grammar: no tools", "grammar" end
  local b = setmetatable({imports = {}, rules = {}, marks = {}, count = 0, vocabulary = opts.vocabulary}, Builder)
  local notes = {}
  local ok, result = pcall(function()
    local calls = {}
    for i, record in ipairs(records) do
      local rules = {}
      for _, tool in ipairs(list) do rules[#rules + 1] = call_rule(b, record, tool, opts.strict ~= false, i == 1 and notes or {}) end
      if #rules == 0 then refuse("grammar", "no tool can be called: %s", notes[1]) end
      calls[i] = b:rule(table.concat(rules, " | "))
    end
    local root
    if opts.text then
      root = with_text(b, records, calls, list, opts)
    else
      root = whole(b, calls[1], writing.layout(records[1]), math.max(opts.least or 1, 1), opts.most)
      if opts.least == 0 then root = "(" .. root .. ")?" end
    end
    if opts.thoughts then
      local closing = (records[1].reasoning or {nil, "</think>"})[2]
      root = b:up_to(first(closing)) .. " [ \\n]{0,2} (" .. root .. ")"
    end
    return "root ::= " .. root .. "\n" .. table.concat(b.rules, "\n")
  end)
  if not ok then
    if type(result) ~= "table" then error(result, 0) end
    return nil, result.message, result.code
  end
  local made, message, code = grammar.compose(result, b.imports)
  if not made then return nil, message, code end
  return made, notes
end
