-- The values of templates, with Python's meaning.
--
--   string      a Lua string, or {k = "str"} where the user wrote some of it (text.lua)
--   int         a Lua number without a fraction; results that are 2^53 or more away from zero raise
--   float       {k = "float", x}: told apart from an int on every Lua. Input numbers are floats when math.type says so (5.4) or
--               when they have a fraction (LuaJIT and 5.1, which know one kind of number: there 1.0 is the int 1)
--   bool, none  a Lua boolean, mobilellm.null
--   list, tuple, generator (read once), range, dict (keeps its order), namespace, undefined, function: tables with that k
local core = require "mobilellm.core"
local text = require "mobilellm.template.text"

local values = {}
local null = core.null
local json = core.json
local MAX_DEPTH = 100
local LARGEST = 9007199254740992 -- 2^53

function values.fail(...)
  error({template = true, code = "format", message = select("#", ...) > 1 and string.format(...) or (...)}, 0)
end
local fail = values.fail

-- ------------------------------------------------------------------ kinds

local function kind(v)
  local t = type(v)
  if t == "string" then return "str" end
  if t == "number" then return "int" end
  if t == "boolean" then return "bool" end
  if t == "table" then return v.k end
  return "none"
end
values.kind = kind

local python_names = {none = "NoneType", undefined = "Undefined", namespace = "Namespace", ["function"] = "function",
  dict_view = "dict_items"}
function values.type_name(v)
  local k = kind(v)
  return python_names[k] or k
end

function values.float(x) return {k = "float", x = x} end

function values.int(x)
  if x ~= x or x >= LARGEST or x <= -LARGEST then fail "an integer beyond 2^53" end
  return x
end

function values.list(items, k)
  items.k = k or "list"
  return items
end

local function hash(key)
  local k = kind(key)
  if k == "str" then return "s" .. text.bytes(key) end
  if k == "int" then return key end
  if k == "bool" then return key and 1 or 0 end
  if k == "float" then
    if key.x == math.floor(key.x) and math.abs(key.x) <= LARGEST then return math.floor(key.x) end
    return "f" .. ("%.17g"):format(key.x)
  end
  if k == "none" then return "n" end
  if k == "tuple" then
    local parts = {}
    for i = 1, #key do parts[i] = tostring(hash(key[i])) end
    return "t" .. #key .. "(" .. table.concat(parts, "\0") .. ")"
  end
  if k == "list" or k == "dict" then fail("unhashable type: '%s'", k) end
  return key
end

-- dict: order[i] is the hash of the i-th key, keys and items are found by hash.
function values.dict() return {k = "dict", order = {}, keys = {}, items = {}} end

local function set(dict, key, value)
  local h = hash(key)
  if dict.items[h] == nil then
    dict.order[#dict.order + 1] = h
    dict.keys[h] = key
  end
  dict.items[h] = value
end
values.set = set

local function get(dict, key) return dict.items[hash(key)] end
values.get = get

function values.remove(dict, key)
  local h = hash(key)
  local value = dict.items[h]
  if value == nil then return nil end
  dict.items[h], dict.keys[h] = nil, nil
  for i, other in ipairs(dict.order) do
    if other == h then table.remove(dict.order, i) break end
  end
  return value
end

function values.undefined(name, owner) return {k = "undefined", name = name, owner = owner} end

function values.undefined_message(v)
  local name = v.name
  if v.message then return v.message end
  if v.owner == nil then return name and ("'%s' is undefined"):format(name) or "an undefined value" end
  local owner = kind(v.owner)
  if owner == "undefined" then return values.undefined_message(v.owner) end
  owner = (owner == "dict" or owner == "list" or owner == "str" or owner == "int") and owner .. " object" or owner
  if type(name) == "string" then return ("'%s' has no attribute '%s'"):format(owner, name) end
  return ("%s has no element %s"):format(owner, values.repr(name))
end

function values.defined(v)
  if kind(v) == "undefined" then
    error({template = true, code = v.code or "format", message = values.undefined_message(v)}, 0)
  end
  return v
end

-- ------------------------------------------------------------------- truth

function values.truth(v)
  if v == true then return true end
  if v == false or v == null then return false end
  local t = type(v)
  if t == "string" then return v ~= "" end
  if t == "number" then return v ~= 0 end
  local k = v.k
  if k == "undefined" then return false end
  if k == "str" then return v.s ~= "" end
  if k == "float" then return v.x ~= 0 end
  if k == "list" or k == "tuple" or k == "range" then return #v > 0 end
  if k == "dict" then return #v.order > 0 end
  if k == "dict_view" then return #v > 0 end
  return true
end

-- The number behind an int, bool or float, nil for others.
local function number(v)
  local t = type(v)
  if t == "number" then return v end
  if t == "boolean" then return v and 1 or 0 end
  if t == "table" and v.k == "float" then return v.x end
end
values.number = number

local function equal(a, b, depth)
  if a == b then return true end
  local x, y = number(a), number(b)
  if x or y then return x == y end
  if text.is(a) then return text.is(b) and text.bytes(a) == text.bytes(b) end
  local k = kind(a)
  if k ~= kind(b) then return false end
  if depth > MAX_DEPTH then fail("values nested deeper than %d", MAX_DEPTH) end
  if k == "undefined" then return true end
  if k == "list" or k == "tuple" or k == "range" then
    if #a ~= #b then return false end
    for i = 1, #a do
      if not equal(a[i], b[i], depth + 1) then return false end
    end
    return true
  end
  if k == "dict" then
    if #a.order ~= #b.order then return false end
    for h, item in pairs(a.items) do
      if b.items[h] == nil or not equal(item, b.items[h], depth + 1) then return false end
    end
    return true
  end
  return false
end
function values.equal(a, b) return equal(a, b, 0) end

-- -1, 0 or 1; raises what Python raises for values without an order.
local function compare(a, b, op, depth)
  local x, y = number(a), number(b)
  if x and y then return x < y and -1 or x > y and 1 or 0 end
  if text.is(a) and text.is(b) then return text.compare(a, b) end
  local k = kind(a)
  if (k == "list" or k == "tuple") and k == kind(b) then
    if depth > MAX_DEPTH then fail("values nested deeper than %d", MAX_DEPTH) end
    for i = 1, math.min(#a, #b) do
      if not equal(a[i], b[i], depth) then return compare(a[i], b[i], op, depth + 1) end
    end
    return #a < #b and -1 or #a > #b and 1 or 0
  end
  values.defined(a)
  values.defined(b)
  fail("'%s' not supported between instances of '%s' and '%s'", op, values.type_name(a), values.type_name(b))
end
function values.compare(a, b, op) return compare(a, b, op or "<", 0) end

-- --------------------------------------------------------------- iteration

-- A table with the items at 1..n (do not change it); raises when v has none.
function values.items(v)
  local k = kind(v)
  if k == "list" or k == "tuple" or k == "range" or k == "dict_view" then return v end
  if k == "generator" then
    if v.read then return {} end
    v.read = true
    return v
  end
  if k == "str" then return text.split_characters(v) end
  if k == "dict" then
    local out = {}
    for i, h in ipairs(v.order) do out[i] = v.keys[h] end
    return out
  end
  if k == "undefined" then
    if v.code then values.defined(v) end
    return {}
  end
  fail("'%s' object is not iterable", values.type_name(v))
end

function values.pairs(dict)
  local out = {}
  for i, h in ipairs(dict.order) do out[i] = {k = "tuple", dict.keys[h], dict.items[h]} end
  return out
end

function values.length(v)
  local k = kind(v)
  if k == "str" then return text.length(v) end
  if k == "list" or k == "tuple" or k == "range" or k == "dict_view" then return #v end
  if k == "dict" then return #v.order end
  if k == "undefined" and not v.code then return 0 end
  values.defined(v)
  fail("object of type '%s' has no len()", values.type_name(v))
end

function values.contains(container, v)
  local k = kind(container)
  if k == "str" then
    if not text.is(v) then
      values.defined(v)
      fail("'in <string>' requires string as left operand, not %s", values.type_name(v))
    end
    return text.bytes(container):find(text.bytes(v), 1, true) ~= nil
  end
  if k == "dict" then return get(container, v) ~= nil end
  if k == "none" or k == "int" or k == "bool" or k == "float" then
    fail("argument of type '%s' is not iterable", values.type_name(container))
  end
  for _, item in ipairs(values.items(container)) do
    if equal(item, v, 0) then return true end
  end
  return false
end

-- ----------------------------------------------------------------- spelling

-- The shortest spelling that reads back as the same double, as Python writes it.
function values.float_text(x)
  if x ~= x then return "nan" end
  if x == math.huge then return "inf" elseif x == -math.huge then return "-inf" end
  local s
  for precision = 0, 16 do
    s = ("%." .. precision .. "e"):format(x)
    if tonumber(s) == x then break end
  end
  local sign, whole, fraction, exponent = s:match "^(-?)(%d)%.?(%d*)e([-+]%d+)$"
  exponent = tonumber(exponent)
  local digits = (whole .. fraction):gsub("0+$", "")
  if digits == "" then return sign .. "0.0" end
  if exponent >= 16 or exponent < -4 then
    local rest = digits:sub(2)
    return ("%s%s%se%s%02d"):format(sign, digits:sub(1, 1), rest ~= "" and "." .. rest or "", exponent < 0 and "-" or "+",
      math.abs(exponent))
  end
  if exponent < 0 then return sign .. "0." .. ("0"):rep(-exponent - 1) .. digits end
  if #digits <= exponent + 1 then return sign .. digits .. ("0"):rep(exponent + 1 - #digits) .. ".0" end
  return sign .. digits:sub(1, exponent + 1) .. "." .. digits:sub(exponent + 2)
end

function values.int_text(x) return ("%d"):format(x) end

local python_escapes = {["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t"}

-- Adds v's bytes, each character through `escape` (nil: as it is), with v's marks.
local function put_escaped(out, v, pattern, escape)
  local s, m, at = text.bytes(v), text.marks(v), 1
  local function piece(from, to)
    if from > to then return end
    if type(m) == "string" then out:put(text.make(s:sub(from, to), m:sub(from, to))) else out:add(s:sub(from, to), m) end
  end
  while true do
    local from, to = s:find(pattern, at)
    if not from then break end
    piece(at, from - 1)
    local mark = m
    if type(m) == "string" then mark = m:sub(from, from) == "u" end
    out:add(escape(s:sub(from, to)), mark or nil)
    at = to + 1
  end
  piece(at, #s)
end

local function put_repr(out, v, depth)
  local k = kind(v)
  if depth > MAX_DEPTH then fail("values nested deeper than %d", MAX_DEPTH) end
  if k == "str" then
    local s = text.bytes(v)
    local quote = s:find("'", 1, true) and not s:find('"', 1, true) and '"' or "'"
    out:add(quote)
    put_escaped(out, v, "[%c\\'\127]", function(c)
      if c == "'" then return quote == "'" and "\\'" or c end
      return python_escapes[c] or ("\\x%02x"):format(c:byte())
    end)
    out:add(quote)
  elseif k == "list" or k == "tuple" or k == "dict_view" then
    out:add(k == "list" and "[" or k == "tuple" and "(" or v.name .. "([")
    for i = 1, #v do
      if i > 1 then out:add ", " end
      put_repr(out, v[i], depth + 1)
    end
    if k == "tuple" and #v == 1 then out:add "," end
    out:add(k == "list" and "]" or k == "tuple" and ")" or "])")
  elseif k == "dict" then
    out:add "{"
    for i, h in ipairs(v.order) do
      if i > 1 then out:add ", " end
      put_repr(out, v.keys[h], depth + 1)
      out:add ": "
      put_repr(out, v.items[h], depth + 1)
    end
    out:add "}"
  elseif k == "undefined" then
    out:add "Undefined"
  else
    out:add(values.plain(v))
  end
end

-- str() of what is neither a string nor a container.
function values.plain(v)
  local k = kind(v)
  if k == "int" then return values.int_text(v) end
  if k == "bool" then return v and "True" or "False" end
  if k == "none" then return "None" end
  if k == "float" then return values.float_text(v.x) end
  if k == "undefined" then
    if v.code then values.defined(v) end
    return ""
  end
  if k == "range" then
    return v.step == 1 and ("range(%d, %d)"):format(v.from, v.to) or ("range(%d, %d, %d)"):format(v.from, v.to, v.step)
  end
  if k == "namespace" then return "<Namespace>" end
  return "<" .. values.type_name(v) .. " object>"
end

local limit = 16777216 -- of a repr on its own; the caller's output has its own

-- str(v) as a string of templates
function values.text(v)
  if type(v) == "string" then return v end
  local k = kind(v)
  if k == "str" then return v end
  if k == "list" or k == "tuple" or k == "dict" or k == "dict_view" then
    local out = text.buffer(limit, "output")
    put_repr(out, v, 0)
    return out:finish()
  end
  return values.plain(v)
end

-- repr(v) as a Lua string, for messages
function values.repr(v)
  local out = text.buffer(limit, "output")
  put_repr(out, v, 0)
  return text.bytes(out:finish())
end

-- -------------------------------------------------------------------- JSON

local json_escapes = {['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b", ["\f"] = "\\f"}

local function json_escape(c)
  if json_escapes[c] then return json_escapes[c] end
  if #c == 1 and c:byte() < 128 then return ("\\u%04x"):format(c:byte()) end
  local a, b, d, e = c:byte(1, 4)
  local code
  if e then
    code = (a - 240) * 262144 + (b - 128) * 4096 + (d - 128) * 64 + e - 128
  elseif d then
    code = (a - 224) * 4096 + (b - 128) * 64 + d - 128
  elseif b then
    code = (a - 192) * 64 + b - 128
  else
    code = a
  end
  if code < 0x10000 then return ("\\u%04x"):format(code) end
  code = code - 0x10000
  return ("\\u%04x\\u%04x"):format(0xD800 + math.floor(code / 1024), 0xDC00 + code % 1024)
end

local function json_key(key)
  local k = kind(key)
  if k == "str" then return key end
  if k == "int" then return values.int_text(key) end
  if k == "float" then return values.float_text(key.x) end
  if k == "bool" then return key and "true" or "false" end
  if k == "none" then return "null" end
  fail("keys must be str, int, float, bool or None, not %s", values.type_name(key))
end

-- json.dumps(v, ensure_ascii, indent, separators, sort_keys). options: ascii, indent (string or nil), item, key, sort; `most` bytes.
function values.json(v, options, most)
  local out = text.buffer(most, "output")
  local pattern = options.ascii and '[%c"\\\194-\244][\128-\191]*' or '["\\%c]'
  local function put_string(s)
    out:add '"'
    put_escaped(out, s, pattern, function(c)
      if c == "\127" then return c end
      return json_escape(c)
    end)
    out:add '"'
  end
  local function put(value, depth)
    if depth > MAX_DEPTH then fail("values nested deeper than %d", MAX_DEPTH) end
    local k = kind(value)
    local newline = options.indent and "\n" .. options.indent:rep(depth + 1)
    if k == "str" then
      put_string(value)
    elseif k == "int" then
      out:add(values.int_text(value))
    elseif k == "float" then
      local s = values.float_text(value.x)
      out:add(s == "nan" and "NaN" or s == "inf" and "Infinity" or s == "-inf" and "-Infinity" or s)
    elseif k == "bool" then
      out:add(value and "true" or "false")
    elseif k == "none" then
      out:add "null"
    elseif k == "list" or k == "tuple" then
      out:add "["
      for i = 1, #value do
        if i > 1 then out:add(options.item) end
        if newline then out:add(newline) end
        put(value[i], depth + 1)
      end
      if newline and #value > 0 then out:add("\n" .. options.indent:rep(depth)) end
      out:add "]"
    elseif k == "dict" then
      local order = value.order
      if options.sort then
        local keys = values.items(value)
        table.sort(keys, function(a, b) return values.compare(a, b) < 0 end)
        order = {}
        for i, key in ipairs(keys) do order[i] = hash(key) end
      end
      out:add "{"
      for i, h in ipairs(order) do
        if i > 1 then out:add(options.item) end
        if newline then out:add(newline) end
        put_string(json_key(value.keys[h]))
        out:add(options.key)
        put(value.items[h], depth + 1)
      end
      if newline and #order > 0 then out:add("\n" .. options.indent:rep(depth)) end
      out:add "}"
    else
      fail("Object of type %s is not JSON serializable", values.type_name(value))
    end
  end
  put(v, 0)
  return out:finish()
end

-- ------------------------------------------------------------------- input

local math_type = math.type

-- A Lua value as a template's. `user`: its strings are the user's. Objects keep the order that json.keys tells.
local function input(v, user, depth)
  local t = type(v)
  if t == "string" then
    if user then return text.make(v, true) end
    return v
  end
  if t == "boolean" then return v end
  if t == "number" then
    if math_type then
      if math_type(v) == "float" then return {k = "float", x = v} end
      return v
    end
    if v == math.floor(v) and v <= LARGEST and v >= -LARGEST then return v end
    return {k = "float", x = v}
  end
  if v == null then return null end
  if t ~= "table" then error({misuse = ("a %s in what is to be rendered"):format(t)}, 0) end
  if depth > MAX_DEPTH then fail("values nested deeper than %d", MAX_DEPTH) end
  if values.is_own(v) then return v.s end
  if json.is_array(v) or v[1] ~= nil then
    local out = {k = "list"}
    for i = 1, #v do out[i] = input(v[i], user, depth + 1) end
    return out
  end
  local out = values.dict()
  for key in pairs(v) do
    if type(key) ~= "string" then error({misuse = ("a table with a %s as key in what is to be rendered"):format(type(key))}, 0) end
  end
  for _, key in ipairs(json.keys(v)) do set(out, user and text.make(key, true) or key, input(v[key], user, depth + 1)) end
  return out
end

function values.input(v, user) return input(v, user, 0) end

-- A string that the template's author vouches for: not the user's wherever it stands in what is rendered.
local Own = {}
function values.own(s) return setmetatable({s = s}, Own) end
function values.is_own(v) return getmetatable(v) == Own end

return values
