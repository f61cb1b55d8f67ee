-- Grammars: core.grammar with schemas that may be Lua tables.
local core = require "mobilellm.core"
local encode = core.json.encode
local json_schema, validate = core.grammar.json_schema, core.json.validate
local grammar = core.grammar

-- Keywords whose value is a list: an empty Lua table there is an empty list.
local LISTS = {
  required = true, enum = true, allOf = true, anyOf = true, oneOf = true, prefixItems = true, type = true, examples = true,
}

local text_of

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
  if type(value) ~= "table" then return encode(value) end
  if core.json.is_array(value) or #value > 0 then return list_text(value) end
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
  return "{" .. table.concat(parts, ",") .. "}"
end

local function schema_text(schema, where)
  if type(schema) == "string" then return schema end
  if type(schema) == "table" or type(schema) == "boolean" then return text_of(schema) end
  error(("%s: a schema is a table or JSON text, got %s"):format(where, type(schema)), 3)
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

return grammar
