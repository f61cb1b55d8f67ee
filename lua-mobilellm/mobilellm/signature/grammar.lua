-- The values of a call in the form of mobilellm/signature.lua as grammars.
--
--   values.argument(schema, closing, spans)   -> grammar of ' VALUE' and what stands after it; nil, message, code
--     schema    of the value (JSON Schema). Types, enum, const, anyOf, oneOf, items, properties, and the bounds of numbers count; a string
--               may be any: the prompt has times and dates as they are spoken, so `format` and `pattern` say nothing about them
--     closing   the characters that may follow: "," more arguments, ")" the end of the call, ",)" either
--     spans     a grammar of texts (mobilellm.grammar.compose): strings are of those; nil: any
--   values.spans(texts)                       -> grammar of the runs of words in the texts, as a string writes them; nil: no words
--
-- Grammars without spans are kept and shared, for the same few types come in every call.
local core = require "mobilellm.core"
require "mobilellm.grammar"
local signature = require "mobilellm.signature"

local compose, choice, json_schema = core.grammar.compose, core.grammar.choice, core.grammar.json_schema

local values = {}

local MAX_DEPTH = 8

local function quote(text)
  return '"' .. text:gsub('[%c"\\\127]', function(c) return ("\\x%02X"):format(c:byte()) end) .. '"'
end

local ANY_STRING = [["\" " ([^"\\\n] | "\\" ["\\n])* "\""]]

local Builder = {}
Builder.__index = Builder

function Builder:import(grammar)
  self.imports[#self.imports + 1] = grammar
  return "@" .. #self.imports
end

function Builder:rule(name, text)
  if not self.known[name] then
    self.known[name] = true -- before the text is made: rules may refer to themselves
    if type(text) == "function" then text = text() end
    self.rules[#self.rules + 1] = name .. " ::= " .. text
  end
  return name
end

function Builder:string()
  if not self.spans then return self:rule("string", ANY_STRING) end
  return self:rule("string", function() return '"\\" " ' .. self:import(self.spans) .. ' "\\""' end)
end

local number_words = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}

function Builder:number(schema, kind)
  local only = {type = kind}
  for _, word in ipairs(number_words) do
    if type(schema[word]) == "number" then only[word] = schema[word] end
  end
  local grammar = json_schema(only) or json_schema{type = kind} -- bounds that leave nothing are not ours to judge
  return self:import(grammar)
end

function Builder:list(item)
  return ('"[" (%s (", " %s)*)? "]"'):format(item, item)
end

-- The values that JSON can say, strings as they are written in calls.
function Builder:any()
  return self:rule("any", function()
    self:rule("key", [["\"" [^"\\]* "\""]])
    return table.concat({
      self:string(), self:number({}, "number"), '"true"', '"false"', '"null"', self:list "any",
      [["{" (key ": " any (", " key ": " any)*)? "}"]],
    }, " | ")
  end)
end

-- The members that an object declares, in the order of their names, which is how they are written.
function Builder:object(schema, depth)
  local names, required = {}, {}
  for name in pairs(type(schema.properties) == "table" and schema.properties or {}) do names[#names + 1] = name end
  if #names == 0 then
    self:any()
    return [["{" (key ": " any (", " key ": " any)*)? "}"]]
  end
  for _, name in ipairs(type(schema.required) == "table" and schema.required or {}) do required[name] = true end
  table.sort(names)
  local started, fresh = '""', '""' -- what may follow a member; what may stand where none was yet
  for i = #names, 1, -1 do
    local name, rest = names[i], started
    local member = quote(core.json.encode(name) .. ": ") .. " (" .. self:value(schema.properties[name], depth + 1) .. ")"
    self.count = self.count + 1
    local more, first = '", " ' .. member .. " " .. rest, member .. " " .. rest
    started = self:rule("m" .. self.count, required[name] and more or more .. " | " .. rest)
    fresh = self:rule("f" .. self.count, required[name] and first or first .. " | " .. fresh)
  end
  return '"{" ' .. fresh .. ' "}"'
end

function Builder:value(schema, depth)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return self:any() end
  local listed = schema.enum
  if schema.const ~= nil then listed = {schema.const} end
  if type(listed) == "table" and #listed > 0 then
    local out = {}
    for i, value in ipairs(listed) do out[i] = quote(signature.value(value)) end
    return table.concat(out, " | ")
  end
  local sum = schema.anyOf or schema.oneOf
  if type(sum) == "table" and #sum > 0 then
    local out = {}
    for i, sub in ipairs(sum) do out[i] = self:value(sub, depth + 1) end
    return table.concat(out, " | ")
  end
  local kinds = type(schema.type) == "table" and schema.type or {schema.type}
  local out = {}
  for i, kind in ipairs(kinds) do
    if kind == "string" then out[i] = self:string()
    elseif kind == "integer" or kind == "number" then out[i] = self:number(schema, kind)
    elseif kind == "boolean" then out[i] = '"true" | "false"'
    elseif kind == "null" then out[i] = '"null"'
    elseif kind == "array" then out[i] = self:list("(" .. self:value(schema.items, depth + 1) .. ")")
    elseif kind == "object" then out[i] = self:object(schema, depth)
    else out[i] = self:any()
    end
  end
  if #out == 0 then return self:any() end
  return table.concat(out, " | ")
end

local kept, kept_count = {}, 0

function values.argument(schema, closing, spans)
  local key
  if not spans then
    key = closing .. core.json.encode(schema)
    if kept[key] then return kept[key] end
  end
  local builder = setmetatable({imports = {}, rules = {}, known = {}, count = 0, spans = spans}, Builder)
  local value = builder:value(schema, 0)
  local text = ('root ::= " " (%s) [%s]\n%s'):format(value, closing, table.concat(builder.rules, "\n"))
  local grammar, message, code = compose(text, builder.imports)
  if grammar and key then
    if kept_count >= 1000 then kept, kept_count = {}, 0 end
    kept[key], kept_count = grammar, kept_count + 1
  end
  return grammar, message, code
end

-- A run begins and ends where a word or a sign does.
function values.spans(texts)
  local rules, starts = {}, {}
  for _, text in ipairs(texts) do
    local pieces = {}
    for space, word, sign in text:gmatch "(%s*)([%w\128-\255]*)([^%w%s\128-\255]?)" do
      if space ~= "" then pieces[#pieces + 1] = space end
      if word ~= "" then pieces[#pieces + 1] = word end
      if sign ~= "" then pieces[#pieces + 1] = sign end
    end
    local after -- the rule of the piece behind
    for i = #pieces, 1, -1 do
      local piece = pieces[i]
      local name, written = "p" .. #rules, quote((piece:gsub('[\\"]', "\\%0"):gsub("\n", "\\n")))
      if piece:find "%S" then
        rules[#rules + 1] = name .. " ::= " .. written .. (after and " " .. after .. "?" or "")
        starts[#starts + 1], after = name, name
      elseif after then
        rules[#rules + 1] = name .. " ::= " .. written .. " " .. after
        after = name
      end
    end
  end
  if #starts == 0 then return nil end
  return compose("root ::= " .. table.concat(starts, " | ") .. "\n" .. table.concat(rules, "\n"))
end

values.choice = choice

return values
