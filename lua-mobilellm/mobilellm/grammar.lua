-- Grammars: core.grammar with schemas that may be Lua tables.
local core = require "mobilellm.core"
local encode = core.json.encode
local misuse = core.misuse
local json_schema, validate = core.grammar.json_schema, core.json.validate
local grammar = core.grammar

-- Keywords whose value is a list: an empty Lua table there is an empty list.
local LISTS = {
  required = true, enum = true, allOf = true, anyOf = true, oneOf = true, prefixItems = true, type = true, examples = true,
}

local text_of
local open -- tables that are being written

local function list_text(list)
  local items = {}
  for i = 1, #list do items[i] = text_of(list[i]) end
  return "[" .. table.concat(items, ",") .. "]"
end

-- The properties of an object: those that `required` lists first, in its order, then the others sorted by name.
local function properties_text(properties, required)
  local names, rank, fields = {}, {}, {}
  for i, name in ipairs(type(required) == "table" and required or {}) do rank[name] = rank[name] or i end
  for name in pairs(properties) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    local x, y = rank[a] or math.huge, rank[b] or math.huge
    if x ~= y then return x < y end
    return a < b
  end)
  for i, name in ipairs(names) do fields[i] = encode(name) .. ":" .. text_of(properties[name]) end
  return "{" .. table.concat(fields, ",") .. "}"
end

-- A schema as JSON. A Lua table has no order of keys, so properties get one here; a schema given as text keeps its own.
function text_of(value)
  if type(value) ~= "table" or open[value] then return encode(value) end -- a table within itself raises and says where
  open[value] = true
  if core.json.is_array(value) or #value > 0 then
    local text = list_text(value)
    open[value] = nil
    return text
  end
  local keys, parts = {}, {}
  for key in pairs(value) do
    if type(key) ~= "string" then return encode(value) end -- raises and says what is wrong
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    local child, text = value[key]
    if key == "properties" and type(child) == "table" then
      text = properties_text(child, value.required)
    elseif LISTS[key] and type(child) == "table" and next(child) == nil then
      text = "[]"
    else
      text = text_of(child)
    end
    parts[i] = encode(key) .. ":" .. text
  end
  open[value] = nil
  return "{" .. table.concat(parts, ",") .. "}"
end

local function schema_text(schema, where)
  if type(schema) == "string" then return schema end
  open = {}
  if type(schema) == "table" or type(schema) == "boolean" then return text_of(schema) end
  misuse(("%s: a schema is a table or JSON text, got %s"):format(where, type(schema)))
end

-- grammar.json_schema(table or text, {order = "schema"|"any", space = "one"|"any"|"none", strict = true, draft, format =
-- "assert"|"annotation", max_depth}) -> grammar | nil, message, code
function grammar.json_schema(schema, options)
  return json_schema(schema_text(schema, "json_schema"), options)
end

-- json.validate(schema, value, options) -> true | nil, message, code. A string is JSON text, in both places.
function core.json.validate(schema, value, options)
  if type(value) ~= "string" then value = encode(value) end
  return validate(schema_text(schema, "validate"), value, options)
end

-- ----------------------------------------------------------- combinators

local compose, choice = grammar.compose, grammar.choice

-- A text in GBNF's spelling.
local function quote(s)
  return '"' .. s:gsub('[%c"\\\127-\255]', function(c)
    local b = c:byte()
    if b >= 0x80 then return c end
    return ("\\x%02X"):format(b)
  end) .. '"'
end

local function check_text(s, where)
  if type(s) ~= "string" or s == "" then misuse(("%s: a text that is not empty expected"):format(where)) end
  return s
end

-- Parts may be grammars or texts. Returns the imports and the names under which they stand in the composed text.
local function parts_of(where, ...)
  local imports, names = {}, {}
  for i = 1, select("#", ...) do
    local part = select(i, ...)
    if type(part) == "string" then
      names[i] = quote(part)
    elseif type(part) == "userdata" then
      imports[#imports + 1] = part
      names[i] = "@" .. #imports
    else
      misuse(("%s: grammar or text expected as part %d, got %s"):format(where, i, type(part)))
    end
  end
  return imports, names
end

-- grammar.lit(text): exactly that text.
function grammar.lit(text)
  return choice{check_text(text, "lit")}
end

-- grammar.seq(part, ...): one after the other. A part is a grammar or a text, here and below.
function grammar.seq(...)
  local imports, names = parts_of("seq", ...)
  return compose("root ::= " .. table.concat(names, " "), imports)
end

-- grammar.alt(part, ...): one of them.
function grammar.alt(...)
  local imports, names = parts_of("alt", ...)
  if #names == 0 then misuse("alt: at least one part expected") end
  return compose("root ::= " .. table.concat(names, " | "), imports)
end

-- grammar.opt(part): it or nothing.
function grammar.opt(part)
  local imports, names = parts_of("opt", part)
  return compose("root ::= " .. names[1] .. "?", imports)
end

-- grammar.many(part, least, most, between): repeated; from 0 on and without end unless given; `between` stands between two.
function grammar.many(part, least, most, between)
  least = least or 0
  if type(least) ~= "number" or least < 0 or (most ~= nil and (type(most) ~= "number" or most < least)) then
    misuse("many: least and most: numbers with 0 <= least <= most expected")
  end
  local imports, names
  if between == nil then
    imports, names = parts_of("many", part)
    return compose(("root ::= %s{%d,%s}"):format(names[1], least, most and ("%d"):format(most) or ""), imports)
  end
  if most == 0 then return compose "root ::=" end
  imports, names = parts_of("many", part, between)
  local text = ("%s (%s %s){%d,%s}"):format(names[1], names[2], names[1], math.max(least - 1, 0),
    most and ("%d"):format(most - 1) or "")
  return compose("root ::= " .. (least == 0 and ("(" .. text .. ")?") or text), imports)
end

-- grammar.free(): any text. grammar.free_until(text): any text that ends with the first `text`.
function grammar.free()
  return compose "root ::= .*"
end

function grammar.free_until(text)
  return compose("root ::= @until " .. quote(check_text(text, "free_until")))
end

-- grammar.capture(name, part): matcher:captures() tells what the part read.
function grammar.capture(name, part)
  local imports, names = parts_of("capture", part)
  return compose(("root ::= @capture %s (%s)"):format(quote(check_text(name, "capture")), names[1]), imports)
end

-- grammar.token(id): the token itself, for control tokens.
function grammar.token(id)
  if type(id) ~= "number" or id < 0 or id % 1 ~= 0 then misuse("token: a token id expected") end
  return compose(("root ::= @token %d"):format(id))
end

-- grammar.lazy{trigger = text or token id, body = part, times = most}: free text in which every trigger starts a body, and free text
-- again after it.
function grammar.lazy(options)
  if type(options) ~= "table" then misuse("lazy: a table expected, got " .. type(options)) end
  for key in pairs(options) do
    if key ~= "trigger" and key ~= "body" and key ~= "times" then
      misuse(("lazy: unknown option '%s'"):format(tostring(key)))
    end
  end
  local imports, names = parts_of("lazy", options.body)
  local times = options.times and ("{0,%d}"):format(options.times) or "*"
  if type(options.trigger) == "number" then
    return compose(("root ::= (.* @token %d %s)%s .*"):format(options.trigger, names[1], times), imports)
  end
  local trigger = quote(check_text(options.trigger, "lazy"))
  return compose(("root ::= (@until %s %s)%s @without %s"):format(trigger, names[1], times, trigger), imports)
end

return grammar
