-- Tools as declarations: one record per tool, from which the prompt, the grammar, the parser, the check and the call come.
--
--   local registry = mobilellm.tools{
--     {name = "light", description = "Switch a light", parameters = {type = "object", properties = {...}, required = {...}},
--      call = function(args) ... end},
--   }
local core = require "mobilellm.core"
require "mobilellm.grammar" -- json.validate takes tables

local tools = {}

local null = core.null
local misuse = core.misuse
local to_integer = rawget(math, "tointeger") -- 5.4 only
local MAX_DEPTH = 64 -- of a value that defaults are filled into
local MAX_NAME = 256
local LIMITS = {instructions = "integer", memory = "integer", timeout = "number"} -- of a tool's function

-- ------------------------------------------------------------------- values

local is_array, array, validate, json_encode = core.json.is_array, core.json.array, core.json.validate, core.json.encode

local function is_object(v)
  return type(v) == "table" and not is_array(v) and (next(v) == nil or type(next(v)) == "string")
end

local function is_integer(v)
  return type(v) == "number" and v == math.floor(v) and v - v == 0
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
  if type(v) == "table" then return is_object(v) and "an object" or "an array" end
  return tostring(v)
end

local function list_of(v)
  return type(v) == "table" and v or {v}
end

-- ------------------------------------------------------------------- schemas

local type_bits = {string = 1, integer = 2, number = 4, boolean = 8, null = 16, array = 32, object = 64}

-- What declarations written by hand also say, as the parser may know it (a registry holds to JSON Schema).
local type_aliases = {
  str = "string", int = "integer", float = "number", double = "number", bool = "boolean", none = "null", list = "array", tuple = "array",
  dict = "object",
}

local function type_of(v)
  if v == null then return "null" end
  if is_integer(v) then return "integer" end
  if type(v) ~= "table" then return type(v) end
  return is_object(v) and "object" or "array"
end

-- Sets of types; "number" in them stands for those that are no integers.
local ANY = {}
for name in pairs(type_bits) do ANY[name] = true end

local function either(a, b)
  if not a or not b then return a or b end
  local out = {}
  for name in pairs(type_bits) do out[name] = a[name] or b[name] end
  return out
end

-- The types in both; in `a` alone where the two contradict each other.
local function both(a, b)
  if not a or not b then return a or b end
  local out = {}
  for name in pairs(type_bits) do out[name] = a[name] and b[name] end
  return next(out) and out or a
end

-- The part of a schema that a reference names; nil: not by a pointer in it.
local function referred(root, reference)
  if type(reference) ~= "string" or not reference:find "^#" then return nil end
  local at = root
  for step in reference:sub(2):gmatch "/([^/]*)" do
    if type(at) ~= "table" then return nil end
    step = step:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end):gsub("~1", "/"):gsub("~0", "~")
    local index = tonumber(step)
    if at[step] == nil and index and not is_object(at) then step = index + 1 end
    at = at[step]
  end
  if reference ~= "#" and at == root then return nil end -- an anchor
  return at
end

-- The types that a schema allows. `known`: those of references, which may lead back to where they stand.
local function types_in(schema, root, known)
  if type(schema) ~= "table" then return ANY end
  if known[schema] then return known[schema] end
  known[schema] = ANY
  local said
  if schema.type ~= nil then
    for _, name in ipairs(list_of(schema.type)) do
      name = type_aliases[name] or name
      said = either(said, type_bits[name] and {[name] = true, integer = name == "number" or name == "integer" or nil} or ANY)
    end
  elseif schema.enum or schema.const ~= nil then
    for _, v in ipairs(list_of(schema.enum or {schema.const})) do said = either(said, {[type_of(v)] = true}) end
  end
  local target = referred(root, schema["$ref"])
  if target ~= nil then said = both(said, types_in(target, root, known)) end
  for _, key in ipairs{"anyOf", "oneOf"} do
    local any
    for _, sub in ipairs(type(schema[key]) == "table" and schema[key] or {}) do any = either(any, types_in(sub, root, known)) end
    said = both(said, any)
  end
  for _, sub in ipairs(type(schema.allOf) == "table" and schema.allOf or {}) do said = both(said, types_in(sub, root, known)) end
  known[schema] = said or ANY
  return known[schema]
end

local OTHERS = {} -- stands for the arguments that no property declares

-- The types of the arguments that a schema declares, itself or in what it is made of: into `out`, by name.
local function argument_types(schema, root, known, seen, out)
  if type(schema) ~= "table" or seen[schema] then return end
  seen[schema] = true
  for key, sub in pairs(type(schema.properties) == "table" and schema.properties or {}) do
    out[key] = both(out[key], types_in(sub, root, known))
  end
  local others
  for _, sub in pairs(type(schema.patternProperties) == "table" and schema.patternProperties or {}) do
    others = either(others, types_in(sub, root, known))
  end
  if others and schema.additionalProperties ~= false or type(schema.additionalProperties) == "table" then
    others = either(others, types_in(schema.additionalProperties, root, known))
  end
  out[OTHERS] = both(out[OTHERS], others)
  argument_types(referred(root, schema["$ref"]), root, known, seen, out)
  for _, sub in ipairs(type(schema.allOf) == "table" and schema.allOf or {}) do argument_types(sub, root, known, seen, out) end
  local branches = {}
  local function branch(sub)
    local one = {}
    argument_types(sub, root, known, seen, one)
    for key, types in pairs(one) do branches[key] = either(branches[key], types) end
  end
  for _, key in ipairs{"anyOf", "oneOf"} do
    for _, sub in ipairs(type(schema[key]) == "table" and schema[key] or {}) do branch(sub) end
  end
  branch(schema["then"])
  branch(schema["else"])
  for key, types in pairs(branches) do out[key] = both(out[key], types) end
end

-- As bits of the core; 0: anything.
local function mask_of(types)
  local mask, all = 0, true
  for name, bit in pairs(type_bits) do
    if types and types[name] then mask = mask + bit else all = false end
  end
  return all and 0 or mask
end

-- nil when the schema can be used, else what is wrong with it and where.
local function schema_problem(schema)
  local readable, ok, message, code = pcall(validate, schema, {})
  if not readable then return tostring(ok) end
  if not ok and code ~= "grammar" then return message end
  local open = schema.additionalProperties or schema.patternProperties or schema.allOf or schema["$ref"]
  for _, key in ipairs(schema.required or {}) do
    if not open and not (schema.properties or {})[key] then return ("'%s' is required but no property"):format(key) end
  end
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
  local problem = schema_problem(parameters)
  if problem then return nil, where .. ": parameters: " .. problem end
  local call = entry.call or d.call
  if call ~= nil and type(call) ~= "function" and not (type(call) == "table" and (getmetatable(call) or {}).__call) then
    return nil, where .. ": call must be a function, got " .. type(call)
  end
  for key, kind in pairs(LIMITS) do
    local value = entry[key] or d[key]
    if value ~= nil and not (type(value) == "number" and value > 0 and (kind == "number" or value % 1 == 0)) then
      return nil, ("%s: %s must be a positive %s, got %s"):format(where, key, kind, show(value))
    end
  end
  for _, key in ipairs{"threshold", "refuse"} do
    local value = entry[key] or d[key]
    if value ~= nil and not (type(value) == "number" and value >= 0 and value <= 1) then
      return nil, ("%s: %s must be a number from 0 to 1, got %s"):format(where, key, show(value))
    end
  end
  for _, key in ipairs{"description", "keywords"} do
    if d[key] ~= nil and d[key] ~= null and type(d[key]) ~= "string" then
      return nil, ("%s: %s must be a string, got %s"):format(where, key, type(d[key]))
    end
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
  if type(list) ~= "table" then misuse("tools: a list of declarations expected, got " .. type(list)) end
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

-- The declarations of anything that `tools =` takes: nil, a registry, a list in any form; and what is wrong with those left out.
function tools.list(any)
  if any == nil then return {}, {} end
  local registry = new(any)
  return registry.list, registry.problems
end

-- Whether a subschema beside the properties could declare some of its own.
local function declares(schema, depth)
  if type(schema) ~= "table" then return false end
  if depth > 8 then return true end
  for _, key in ipairs{"properties", "patternProperties", "additionalProperties", "$ref", "$dynamicRef", "$recursiveRef", "allOf",
    "dependentSchemas"} do
    if schema[key] ~= nil and (depth > 0 or key ~= "properties") then return true end
  end
  for _, key in ipairs{"anyOf", "oneOf"} do
    for _, sub in ipairs(type(schema[key]) == "table" and schema[key] or {}) do
      if declares(sub, depth + 1) then return true end
    end
  end
  for _, key in ipairs{"if", "then", "else"} do
    if declares(schema[key], depth + 1) then return true end
  end
  return false
end

-- Whether arguments that no property of the schema declares are none, though it does not say so: calls with made-up names are what small
-- models write. Not where anything else than `properties` could allow them.
function tools.closed(schema)
  if schema.properties == nil and (schema.minProperties or schema.propertyNames) then return false end -- it wants some
  return schema.additionalProperties == nil and not declares(schema, 0)
end

-- For the parser: tool, argument, type bits, tool, ... ("" stands for the tool itself, and its types for the arguments that it does not
-- declare). A tool whose schema cannot be used is still one by its name.
function tools.declared(any)
  local out = {}
  if any == nil then return out end
  if type(any) ~= "table" then misuse("tools: a list of declarations expected, got " .. type(any)) end
  local function add(name, key, mask)
    out[#out + 1], out[#out + 2], out[#out + 3] = name, key, mask
  end
  for _, entry in ipairs(getmetatable(any) == Registry and any.list or any) do
    local d = type(entry) == "table" and type(entry["function"]) == "table" and entry["function"] or entry
    if type(d) == "table" and type(d.name) == "string" and #d.name <= MAX_NAME then
      local declared = {}
      argument_types(d.parameters, d.parameters, {}, {}, declared)
      add(d.name, "", mask_of(declared[OTHERS]))
      for key, types in pairs(declared) do
        if type(key) == "string" and key ~= "" and #key <= MAX_NAME then add(d.name, key, mask_of(types)) end
      end
    end
  end
  return out
end

-- -------------------------------------------------------------------- checking

local function fail(code, ...)
  return nil, select("#", ...) > 1 and string.format(...) or (...), code
end

-- Whether the default of a schema satisfies it, as far as can be told: one that does not would make good calls bad ones. `root` has the
-- definitions that it may refer to.
local fitting = setmetatable({}, {__mode = "k"})
local function default_fits(schema, root)
  if fitting[schema] == nil then
    local whole = {}
    for key, value in pairs(schema) do whole[key] = value end
    for _, key in ipairs{"$defs", "definitions", "$schema"} do
      if whole[key] == nil then whole[key] = root[key] end
    end
    fitting[schema] = validate(whole, json_encode(schema.default)) == true
  end
  return fitting[schema]
end

-- The value as its schema means it: defaults filled in, 4.0 an integer, an empty table an array where one is asked for.
local function settle(schema, v, depth, root)
  if type(schema) ~= "table" or depth > MAX_DEPTH then return v end
  if type(v) == "number" then
    if to_integer and schema.type == "integer" then return to_integer(v) or v end
    return v
  elseif type(v) ~= "table" or v == null then
    return v
  end
  local out = setmetatable({}, getmetatable(v))
  if next(v) == nil and schema.type == "array" then out = array{} end
  local properties = is_object(v) and type(schema.properties) == "table" and schema.properties or {}
  for key, item in pairs(v) do
    local sub = properties[key]
    if sub == nil and type(key) == "number" then sub = schema.items end
    out[key] = settle(sub, item, depth + 1, root)
  end
  for key, sub in pairs(properties) do
    if out[key] == nil and type(sub) == "table" and sub.default ~= nil and default_fits(sub, root) then out[key] = copy(sub.default, 0) end
  end
  return out
end

-- What a JSON pointer leads to.
local function follow(root, pointer)
  local at = root
  for step in pointer:gmatch("/([^/]*)") do
    step = step:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end):gsub("~1", "/"):gsub("~0", "~")
    if type(at) ~= "table" then return nil end
    local key = at[step]
    if key == nil and tonumber(step) then key = at[tonumber(step) + 1] end
    at = key
  end
  return at
end

-- How a value fails a keyword, in words for a person or a model.
local words = {
  type = "%s expected", enum = "one of %s expected", const = "%s expected",
  minimum = "at least %s expected", maximum = "at most %s expected", multipleOf = "a multiple of %s expected",
  exclusiveMinimum = "more than %s expected", exclusiveMaximum = "less than %s expected",
  minLength = "%s characters or more expected", maxLength = "%s characters or fewer expected",
  minItems = "%s items or more expected", maxItems = "%s items or fewer expected",
  pattern = "text that matches /%s/ expected", format = "a text of format %s expected",
}

local function spelled(keyword, wanted)
  if keyword ~= "enum" and keyword ~= "type" then return keyword == "const" and show(wanted) or tostring(wanted) end
  local names = {}
  for i, item in ipairs(list_of(wanted)) do names[i] = keyword == "enum" and show(item) or item end
  return table.concat(names, keyword == "enum" and ", " or " or ")
end

-- The validator's message ("instance #/a does not satisfy schema #/properties/a/type") as one about the arguments.
local function explain(schema, value, message)
  local at, place = message:match("^instance #(%S*) does not satisfy schema #(%S*)$")
  local keyword = place and place:match("/([^/]+)$")
  if not keyword then return "invalid_argument", message end
  local name = at:gsub("^/", ""):gsub("/(%d+)", function(n) return ("[%d]"):format(n + 1) end):gsub("/", ".")
  local instance, wanted = follow(value, at), follow(schema, place)
  if keyword == "required" and type(wanted) == "table" then
    local missing = {}
    for _, key in ipairs(wanted) do
      if type(instance) == "table" and instance[key] == nil then missing[#missing + 1] = key end
    end
    return "missing_argument", ("missing argument%s '%s'%s"):format(#missing > 1 and "s" or "", table.concat(missing, "', '"),
      name == "" and "" or " in '" .. name .. "'")
  elseif keyword == "additionalProperties" or keyword == "unevaluatedProperties" then
    local outer, key = name:match("^(.*)%.([^.]+)$")
    return "unknown_argument", ("unknown argument '%s'%s"):format(key or name, outer and " in '" .. outer .. "'" or "")
  end
  local text = words[keyword] and words[keyword]:format(spelled(keyword, wanted)) or ("it does not satisfy " .. keyword)
  return "invalid_argument", ("'%s': %s, got %s"):format(name, text, show(instance))
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

-- registry:rank(texts) -> list of {tool, score}, best first: which tools a text may be about, by their words. Of a list of texts (what the
-- user said, in order) the last counts most. A declaration may have `keywords`, a text of words that people say for it.
function Registry:rank(texts)
  self.index = self.index or require "mobilellm.retrieve".index(self.list)
  return self.index:rank(texts)
end

-- registry:only(names) -> a registry of these tools, in their order of declaration; raises for a name that it has not
function Registry:only(names)
  local wanted, list = {}, {}
  for _, name in ipairs(names) do
    if not self.by_name[name] then misuse(("only: no tool '%s'"):format(tostring(name))) end
    wanted[name] = true
  end
  for _, tool in ipairs(self.list) do
    if wanted[tool.name] then list[#list + 1] = tool end
  end
  return (new(list))
end

-- registry:check(call) -> typed arguments with defaults filled in; nil, message, code. `call` is {name =, arguments =}; the
-- arguments may be JSON text. Codes: unknown_tool, unknown_argument, missing_argument, invalid_argument.
function Registry:check(call)
  if type(call) ~= "table" then misuse("check: a call expected, got " .. type(call)) end
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
  local schema = tool.parameters
  if schema.properties and tools.closed(schema) then
    local unknown = {}
    for key in pairs(arguments) do
      if schema.properties[key] == nil then unknown[#unknown + 1] = key end
    end
    if #unknown > 0 then
      table.sort(unknown)
      return fail("unknown_argument", "%s: unknown argument%s '%s'", tool.name, #unknown > 1 and "s" or "",
        table.concat(unknown, "', '"))
    end
  end
  local value = settle(schema, arguments, 0, schema)
  local ok, message, code = validate(schema, value)
  if ok then return value end
  if code == "grammar" then code, message = explain(schema, value, message) end
  return nil, tool.name .. ": " .. message, code
end

-- tools.thread(tool, defaults) -> resume: the tool's function as a coroutine, under its own limits or those of `defaults`
-- ({instructions, memory, timeout}). resume(...) gives "done", values ... when the function has returned, "yield", values ... when it
-- waits, "error", error value.
function tools.thread(tool, defaults)
  local call = tool.call
  local thread = coroutine.create(type(call) == "function" and call or function(...) return call(...) end)
  local function limit(key)
    return tool[key] or defaults and defaults[key] or nil
  end
  local instructions, memory, seconds = limit "instructions", limit "memory", limit "timeout"
  local limits = (instructions or memory or seconds) and core.limits{instructions = instructions, memory = memory, seconds = seconds}
  local function outcome(ok, ...)
    if not ok then return "error", ... end
    return coroutine.status(thread) == "dead" and "done" or "yield", ...
  end
  return function(...)
    if limits then return outcome(limits:resume(thread, ...)) end
    return outcome(coroutine.resume(thread, ...))
  end
end

-- registry:call(call[, ...]) checks and runs the tool's function with the arguments (and whatever else is given), under the limits
-- that the tool declares. What the function returns is returned; its error comes back as nil, message, "tool_error", error value. A
-- function that yields makes this function yield.
function Registry:call(call, ...)
  local arguments, message, code = self:check(call)
  if not arguments then return nil, message, code end
  local tool = self.by_name[call.name]
  if not tool.call then return fail("no_function", "%s: the tool has no function to call", tool.name) end
  local resume = tools.thread(tool)
  local function finish(how, ...)
    if how == "done" then return ... end
    if how == "yield" then return finish(resume(coroutine.yield(...))) end
    return nil, tostring((...)), "tool_error", (...)
  end
  return finish(resume(arguments, ...))
end

-- registry:openai() -> the declarations as {type = "function", function = {...}}, for chat templates
function Registry:openai()
  local out = array{}
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
