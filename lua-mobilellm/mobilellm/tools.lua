-- Tools as declarations: one record per tool, from which the prompt, the grammar, the parser, the check and the call come.
--
--   local registry = mobilellm.tools{
--     {name = "light", description = "Switch a light", parameters = {type = "object", properties = {...}, required = {...}},
--      call = function(args) ... end},
--   }
local core = require "mobilellm.core"

local tools = {}

local null = core.null
local to_integer = rawget(math, "tointeger") -- 5.4 only
local MAX_DEPTH = 64 -- of a schema or a value under check
local MAX_NAME = 256

-- ------------------------------------------------------------------- values

local is_array = core.json.is_array

local function is_object(v)
  return type(v) == "table" and not is_array(v) and (next(v) == nil or type(next(v)) == "string")
end

local function is_list(v)
  if type(v) ~= "table" then return false end
  return is_array(v) or v[1] ~= nil
end

local function is_integer(v)
  return type(v) == "number" and v == math.floor(v) and v - v == 0
end

local function same(a, b, depth)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" or depth > MAX_DEPTH then return false end
  for k, v in pairs(a) do
    if not same(v, b[k], depth + 1) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function copy(v, depth)
  if type(v) ~= "table" or depth > MAX_DEPTH then return v end
  local out = {}
  for k, item in pairs(v) do out[k] = copy(item, depth + 1) end
  return setmetatable(out, getmetatable(v))
end

local function show(v)
  if v == null then return "null" end
  if type(v) == "string" then return ("%q"):format(v) end
  if type(v) == "table" then return is_list(v) and "an array" or "an object" end
  return tostring(v)
end

-- ------------------------------------------------------------------- schemas

local type_tests = {
  string = function(v) return type(v) == "string" end,
  integer = is_integer,
  number = function(v) return type(v) == "number" end,
  boolean = function(v) return type(v) == "boolean" end,
  null = function(v) return v == null end,
  array = function(v) return type(v) == "table" and (is_array(v) or is_list(v) or next(v) == nil) end,
  object = is_object,
}
local type_bits = {string = 1, integer = 2, number = 4, boolean = 8, null = 16, array = 32, object = 64}

local function type_of(v)
  if v == null then return "null" end
  if is_integer(v) then return "integer" end
  if type(v) ~= "table" then return type(v) end
  return is_list(v) and "array" or "object"
end

local function list_of(v)
  return type(v) == "table" and v or {v}
end

-- The types that a schema allows, as bits of the core; 0: it does not say.
local function type_mask(schema, depth)
  if type(schema) ~= "table" or depth > 8 then return 0 end
  local present = {}
  if schema.type ~= nil then
    for _, name in ipairs(list_of(schema.type)) do present[name] = true end
  elseif schema.enum or schema.const ~= nil then
    for _, v in ipairs(schema.enum or {schema.const}) do present[type_of(v)] = true end
  end
  local mask = 0
  for name in pairs(present) do mask = mask + (type_bits[name] or 0) end
  for _, key in ipairs{"anyOf", "oneOf", "allOf"} do
    if type(schema[key]) == "table" and mask == 0 then
      local seen = {}
      for _, sub in ipairs(schema[key]) do
        local bits = type_mask(sub, depth + 1)
        for name, bit in pairs(type_bits) do
          if math.floor(bits / bit) % 2 == 1 then seen[name] = true end
        end
      end
      for name in pairs(seen) do mask = mask + type_bits[name] end
    end
  end
  if mask == 0 and schema.properties then mask = type_bits.object end
  return mask
end

-- nil when the schema can be used, else what is wrong with it and where.
local function schema_problem(schema, where, depth)
  if schema == true or schema == false then return nil end
  if type(schema) ~= "table" then return where .. ": a schema must be a table, got " .. type(schema) end
  if depth > MAX_DEPTH then return where .. ": nested deeper than " .. MAX_DEPTH end
  if schema.type ~= nil then
    if type(schema.type) ~= "string" and type(schema.type) ~= "table" then
      return where .. ".type: a name or a list of names expected"
    end
    for _, name in ipairs(list_of(schema.type)) do
      if not type_tests[name] then return ("%s.type: unknown type %s"):format(where, show(name)) end
    end
  end
  if schema.enum ~= nil and (type(schema.enum) ~= "table" or #schema.enum == 0) then
    return where .. ".enum: a list with at least one value expected"
  end
  if schema.properties ~= nil then
    if type(schema.properties) ~= "table" then return where .. ".properties: a table expected" end
    for key, sub in pairs(schema.properties) do
      if type(key) ~= "string" then return where .. ".properties: names must be strings, got " .. show(key) end
      local problem = schema_problem(sub, where .. "." .. key, depth + 1)
      if problem then return problem end
    end
  end
  if schema.required ~= nil then
    if type(schema.required) ~= "table" then return where .. ".required: a list of names expected" end
    for _, key in ipairs(schema.required) do
      if type(key) ~= "string" then return where .. ".required: names must be strings, got " .. show(key) end
      if schema.properties and schema.properties[key] == nil then
        return ("%s.required: no property '%s'"):format(where, key)
      end
    end
  end
  if type(schema.items) == "table" then return schema_problem(schema.items, where .. "[]", depth + 1) end
  return nil
end

-- ----------------------------------------------------------------- declarations

local Registry = {}
Registry.__index = Registry

-- A declaration in any of the accepted forms -> {name, description, parameters, call, ...}, or nil and what is wrong.
local function declaration(entry, index)
  if type(entry) ~= "table" then return nil, ("tool %d: a table expected, got %s"):format(index, type(entry)) end
  local d = entry
  if type(entry["function"]) == "table" then d = entry["function"] end
  if type(d.name) ~= "string" or d.name == "" then return nil, ("tool %d has no name"):format(index) end
  if #d.name > MAX_NAME then return nil, ("tool %d: its name has more than %d bytes"):format(index, MAX_NAME) end
  local where = "tool '" .. d.name .. "'"
  if d.name:find("[%c\"'<>{}%[%]()=,]") then
    return nil, where .. ": a name cannot hold any of \"'<>{}[]()=, or a control byte"
  end
  local parameters = d.parameters
  if parameters == nil or parameters == null then parameters = {type = "object", properties = {}} end
  if type(parameters) ~= "table" then
    return nil, where .. ": parameters must be a JSON Schema, got " .. type(parameters)
  end
  if parameters.type ~= nil and parameters.type ~= "object" then
    return nil, where .. ": parameters must be of type object, got " .. show(parameters.type)
  end
  local problem = schema_problem(parameters, "parameters", 0)
  if problem then return nil, where .. ": " .. problem end
  local call = entry.call or d.call
  if call ~= nil and type(call) ~= "function" and not (type(call) == "table" and (getmetatable(call) or {}).__call) then
    return nil, where .. ": call must be a function, got " .. type(call)
  end
  if d.description ~= nil and d.description ~= null and type(d.description) ~= "string" then
    return nil, where .. ": description must be a string, got " .. type(d.description)
  end
  local tool = {}
  for k, v in pairs(d) do tool[k] = v end
  for k, v in pairs(entry) do
    if k ~= "function" and k ~= "type" then tool[k] = v end
  end
  tool.parameters, tool.call = parameters, call
  if tool.description == null then tool.description = nil end
  return tool
end

-- tools{...} -> registry[, problems]. A bad declaration does not take the others down: registry.problems lists what is wrong,
-- each message naming its tool; it is the second result when there is any.
local function new(list)
  if type(list) ~= "table" then error("tools: a list of declarations expected, got " .. type(list), 3) end
  if getmetatable(list) == Registry then return list end
  local self = setmetatable({list = {}, by_name = {}, problems = {}}, Registry)
  for i = 1, #list do
    local tool, problem = declaration(list[i], i)
    if tool and self.by_name[tool.name] then
      tool, problem = nil, ("tool %d: there is a tool '%s' already"):format(i, tool.name)
    end
    if tool then
      self.list[#self.list + 1] = tool
      self.by_name[tool.name] = tool
    else
      self.problems[#self.problems + 1] = problem
    end
  end
  if #self.problems > 0 then return self, self.problems end
  return self
end

-- The declarations of anything that `tools =` takes: nil, a registry, a list in any form.
function tools.list(any)
  if any == nil then return {} end
  return new(any).list
end

-- For the parser: tool, argument, type bits, tool, ... ("" stands for the tool itself).
function tools.declared(any)
  local out = {}
  for _, tool in ipairs(tools.list(any)) do
    out[#out + 1], out[#out + 2], out[#out + 3] = tool.name, "", 0
    for key, schema in pairs(tool.parameters.properties or {}) do
      out[#out + 1], out[#out + 2], out[#out + 3] = tool.name, key, type_mask(schema, 0)
    end
  end
  return out
end

-- -------------------------------------------------------------------- checking

local check_value

local function fail(code, ...)
  return nil, select("#", ...) > 1 and string.format(...) or (...), code
end

-- `where`: the place in the arguments, for messages ("" at the top). Returns the value to use, or nil, message, code.
local function check_object(schema, v, where, depth)
  local properties = schema.properties or {}
  local out = {}
  local extra = schema.additionalProperties
  local open = extra == true or type(extra) == "table" or (extra == nil and (depth > 0 or schema.properties == nil))
  local unknown = {}
  for key, item in pairs(v) do
    local sub = properties[key]
    if sub == nil and not open then
      unknown[#unknown + 1] = tostring(key)
    else
      if sub == nil then sub = extra end
      local place = where == "" and tostring(key) or where .. "." .. tostring(key)
      local value, message, code = check_value(sub, item, place, depth + 1)
      if message then return nil, message, code end
      out[key] = value
    end
  end
  if #unknown > 0 then
    table.sort(unknown)
    return fail("unknown_argument", "unknown argument%s '%s'%s", #unknown > 1 and "s" or "", table.concat(unknown, "', '"),
      where == "" and "" or " in '" .. where .. "'")
  end
  for key, sub in pairs(properties) do
    if out[key] == nil and type(sub) == "table" and sub.default ~= nil then out[key] = copy(sub.default, 0) end
  end
  local missing = {}
  for _, key in ipairs(schema.required or {}) do
    if out[key] == nil then missing[#missing + 1] = key end
  end
  if #missing > 0 then
    table.sort(missing)
    return fail("missing_argument", "missing argument%s '%s'%s", #missing > 1 and "s" or "", table.concat(missing, "', '"),
      where == "" and "" or " in '" .. where .. "'")
  end
  return out
end

local function check_array(schema, v, where, depth)
  local out = core.json.array and core.json.array{} or {}
  local n = #v
  if schema.minItems and n < schema.minItems then
    return fail("invalid_argument", "'%s': %d items or more expected, got %d", where, schema.minItems, n)
  end
  if schema.maxItems and n > schema.maxItems then
    return fail("invalid_argument", "'%s': %d items or fewer expected, got %d", where, schema.maxItems, n)
  end
  for i = 1, n do
    local value, message, code = check_value(schema.items, v[i], ("%s[%d]"):format(where, i), depth + 1)
    if message then return nil, message, code end
    out[i] = value
  end
  return out
end

local function characters(s)
  local n = 0
  for i = 1, #s do
    local b = s:byte(i)
    if b < 128 or b >= 192 then n = n + 1 end
  end
  return n
end

local function off_bound(where, what, bound, v)
  return fail("invalid_argument", "'%s': %s %s expected, got %s", where, what, tostring(bound), tostring(v))
end

local function check_bounds(schema, v, where)
  if type(v) == "number" then
    if schema.minimum and v < schema.minimum then
      return off_bound(where, "at least", schema.minimum, v)
    end
    if schema.maximum and v > schema.maximum then
      return off_bound(where, "at most", schema.maximum, v)
    end
    if type(schema.exclusiveMinimum) == "number" and v <= schema.exclusiveMinimum then
      return off_bound(where, "more than", schema.exclusiveMinimum, v)
    end
    if type(schema.exclusiveMaximum) == "number" and v >= schema.exclusiveMaximum then
      return off_bound(where, "less than", schema.exclusiveMaximum, v)
    end
  elseif type(v) == "string" and (schema.minLength or schema.maxLength) then
    local n = characters(v)
    if schema.minLength and n < schema.minLength then
      return fail("invalid_argument", "'%s': %d characters or more expected, got %d", where, schema.minLength, n)
    end
    if schema.maxLength and n > schema.maxLength then
      return fail("invalid_argument", "'%s': %d characters or fewer expected, got %d", where, schema.maxLength, n)
    end
  end
  return true
end

function check_value(schema, v, where, depth)
  if depth > MAX_DEPTH then return fail("invalid_argument", "'%s': nested deeper than %d", where, MAX_DEPTH) end
  if schema == nil or schema == true then return v end
  if schema == false then return fail("unknown_argument", "unknown argument '%s'", where) end
  local shown = where == "" and "the arguments" or "'" .. where .. "'"
  if schema.type ~= nil then
    local ok = false
    local names = list_of(schema.type)
    for _, name in ipairs(names) do ok = ok or type_tests[name](v) end
    if not ok then
      return fail("invalid_argument", "%s: %s expected, got %s", shown, table.concat(names, " or "), show(v))
    end
  end
  if schema.enum then
    local ok = false
    for _, item in ipairs(schema.enum) do ok = ok or same(item, v, 0) end
    if not ok then
      local names = {}
      for i, item in ipairs(schema.enum) do names[i] = show(item) end
      return fail("invalid_argument", "%s: one of %s expected, got %s", shown, table.concat(names, ", "), show(v))
    end
  end
  if schema.const ~= nil and not same(schema.const, v, 0) then
    return fail("invalid_argument", "%s: %s expected, got %s", shown, show(schema.const), show(v))
  end
  local _, message, code = check_bounds(schema, v, where)
  if message then return nil, message, code end
  for _, key in ipairs{"anyOf", "oneOf"} do
    if schema[key] then
      local first
      for _, sub in ipairs(schema[key]) do
        local value, why, kind = check_value(sub, v, where, depth + 1)
        if not why then
          first = nil
          v = value
          break
        end
        first = first or {why, kind}
      end
      if first then return nil, first[1], first[2] end
    end
  end
  if type(v) == "table" and v ~= null then
    -- An empty table from a script is what the schema says it is.
    local wants = schema.type
    if is_object(v) and wants ~= "array" then return check_object(schema, v, where, depth) end
    return check_array(schema, v, where, depth)
  end
  if to_integer and type(v) == "number" and schema.type == "integer" then return to_integer(v) or v end
  return v
end

-- ------------------------------------------------------------------- registry

-- registry:get(name) -> the declaration, or nil
function Registry:get(name)
  return self.by_name[name]
end

-- registry:names() -> names in the order of declaration
function Registry:names()
  local names = {}
  for i, tool in ipairs(self.list) do names[i] = tool.name end
  return names
end

-- registry:check(call) -> typed arguments with defaults filled in; nil, message, code. `call` is {name =, arguments =}; the
-- arguments may be JSON text. Codes: unknown_tool, unknown_argument, missing_argument, invalid_argument.
function Registry:check(call)
  if type(call) ~= "table" then error("check: a call expected, got " .. type(call), 2) end
  local tool = self.by_name[call.name]
  if not tool then
    return fail("unknown_tool", "no tool '%s'; there are: %s", tostring(call.name), table.concat(self:names(), ", "))
  end
  local arguments = call.arguments
  if arguments == nil or arguments == null then arguments = {} end
  if type(arguments) == "string" then
    local decoded, message = core.json.decode(arguments)
    if decoded == nil then return fail("invalid_argument", "%s: the arguments are no JSON: %s", tool.name, message) end
    arguments = decoded
  end
  if not is_object(arguments) then
    return fail("invalid_argument", "%s: the arguments must be an object, got %s", tool.name, show(arguments))
  end
  local value, message, code = check_value(tool.parameters, arguments, "", 0)
  if message then return nil, tool.name .. ": " .. message, code end
  return value
end

-- registry:call(call[, ...]) checks and runs the tool's function with the arguments (and whatever else is given). What the
-- function returns is returned; its error comes back as nil, message, "tool_error", error value.
function Registry:call(call, ...)
  local arguments, message, code = self:check(call)
  if not arguments then return nil, message, code end
  local tool = self.by_name[call.name]
  if not tool.call then return fail("no_function", "%s: the tool has no function to call", tool.name) end
  local function finish(ok, ...)
    if ok then return ... end
    return nil, tostring((...)), "tool_error", (...)
  end
  return finish(pcall(tool.call, arguments, ...))
end

-- registry:openai() -> the declarations as {type = "function", function = {...}}, for chat templates
function Registry:openai()
  local out = core.json.array and core.json.array{} or {}
  for i, tool in ipairs(self.list) do
    out[i] = {type = "function", ["function"] = {
      name = tool.name, description = tool.description or "", parameters = tool.parameters,
    }}
  end
  return out
end

function Registry:__len()
  return #self.list
end

return setmetatable(tools, {__call = function(_, list) return new(list) end})
