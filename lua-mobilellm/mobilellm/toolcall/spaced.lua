-- The schema of values as signature.lua writes them, each string behind a space that reading drops: a value satisfies the schema when,
-- written so, it satisfies this one. Keys have no such space.
local MAX_DEPTH = 64

-- The pattern of the same texts behind a space; nil where it cannot be said.
local function behind(pattern)
  local parts, depth, class, from, i = {}, 0, false, 1, 1
  while i <= #pattern do
    local c = pattern:sub(i, i)
    if c == "\\" then
      i = i + 1
      if pattern:sub(i, i):find "[bB]" and not class then return nil end -- the space would be a neighbour
    elseif class then
      class = c ~= "]"
    elseif c == "[" then
      class = true
    elseif c == "(" then
      depth = depth + 1
    elseif c == ")" then
      depth = depth - 1
    elseif c == "|" and depth == 0 then
      parts[#parts + 1] = pattern:sub(from, i - 1)
      from = i + 1
    elseif c == "^" and i ~= from then
      return nil
    end
    i = i + 1
  end
  parts[#parts + 1] = pattern:sub(from)
  for k, part in ipairs(parts) do
    parts[k] = part:sub(1, 1) == "^" and "^ (?:" .. part:sub(2) .. ")" or "^ [\\s\\S]*(?:" .. part .. ")"
  end
  return table.concat(parts, "|")
end

local function value_behind(value)
  if type(value) == "string" then return " " .. value end
  if type(value) ~= "table" then return value end
  local copy = setmetatable({}, getmetatable(value))
  for key, item in pairs(value) do copy[key] = value_behind(item) end
  return copy
end

local of_schemas = {}
for _, key in ipairs{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies", "anyOf", "oneOf",
  "allOf", "prefixItems"} do
  of_schemas[key] = true
end
local one_schema = {}
for _, key in ipairs{"items", "additionalItems", "unevaluatedItems", "contains", "additionalProperties", "unevaluatedProperties", "not",
  "if", "then", "else"} do
  one_schema[key] = true
end

local function names_string(kind)
  if type(kind) ~= "table" then return kind == "string" end
  for _, name in ipairs(kind) do
    if name == "string" then return true end
  end
  return false
end

-- Names have no space, so what they are held to stays as it was: a copy of the whole under a key that is no keyword, for their references.
local PLAIN = "x-without-space"

local function has_reference(schema, depth)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return false end
  if type(schema["$ref"]) == "string" then return true end
  for _, value in pairs(schema) do
    if has_reference(value, depth + 1) then return true end
  end
  return false
end

-- Some names are held to a schema that lies elsewhere.
local function names_refer(schema, depth)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return false end
  if has_reference(schema.propertyNames, depth) then return true end
  for _, value in pairs(schema) do
    if names_refer(value, depth + 1) then return true end
  end
  return false
end

-- A copy whose references lead into the copy of the whole.
local function plain(schema, depth)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return schema end
  local copy = setmetatable({}, getmetatable(schema))
  for key, value in pairs(schema) do
    local fixed = key == "enum" or key == "const"
    copy[key] = fixed and value or plain(value, depth + 1)
  end
  local reference = schema["$ref"]
  if type(reference) == "string" and (reference == "#" or reference:find "^#/") then copy["$ref"] = "#/" .. PLAIN .. reference:sub(2) end
  return copy
end

local function spaced(schema, depth)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return schema end
  local copy = setmetatable({}, getmetatable(schema))
  for key, value in pairs(schema) do
    if of_schemas[key] or key == "items" and type(value) == "table" and value[1] ~= nil then -- a list of them, or by names
      local list = value
      if type(value) == "table" then
        list = setmetatable({}, getmetatable(value))
        for name, sub in pairs(value) do list[name] = spaced(sub, depth + 1) end
      end
      copy[key] = list
    elseif one_schema[key] then
      copy[key] = spaced(value, depth + 1)
    elseif key == "enum" or key == "const" then
      copy[key] = value_behind(value)
    elseif key == "propertyNames" then
      copy[key] = plain(value, depth)
    else
      copy[key] = value
    end
  end
  local bounded = schema.pattern ~= nil or schema.minLength ~= nil or schema.maxLength ~= nil
  if bounded or names_string(schema.type) then
    local pattern = "^ "
    if schema.pattern ~= nil then pattern = type(schema.pattern) == "string" and behind(schema.pattern) end
    if pattern and schema.format == nil then
      copy.pattern = pattern
      for _, key in ipairs{"minLength", "maxLength"} do
        if type(schema[key]) == "number" then copy[key] = schema[key] + 1 end
      end
    else -- without the space then, and with none that reading would drop
      copy.allOf = setmetatable({}, getmetatable(copy.allOf))
      for i, sub in ipairs(schema.allOf and spaced({allOf = schema.allOf}, depth).allOf or {}) do copy.allOf[i] = sub end
      copy.allOf[#copy.allOf + 1] = {pattern = "^([^ ]|$)"}
    end
  end
  return copy
end

return function(schema)
  local copy = spaced(schema, 0)
  if names_refer(schema, 0) then copy[PLAIN] = plain(schema, 0) end
  return copy
end
