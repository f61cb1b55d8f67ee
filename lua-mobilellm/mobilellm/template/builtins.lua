-- What templates may call: filters, tests and functions here, methods in methods.lua; after Jinja 3 in its immutable sandbox. Each is a
-- definition as arguments.lua has it.
local core = require "mobilellm.core"
local arguments = require "mobilellm.template.arguments"
local methods = require "mobilellm.template.methods"
local sequences = require "mobilellm.template.sequences"
local text = require "mobilellm.template.text"
local values = require "mobilellm.template.values"

local builtins = {filters = {}, tests = {}, functions = {}}
local filters, tests, functions = builtins.filters, builtins.tests, builtins.functions
local null = core.null
local kind, fail, list, number, truth = values.kind, values.fail, values.list, values.number, values.truth
local define, string_of, integer_of, optional = arguments.define, arguments.string_of, arguments.integer_of, arguments.optional
local sorted = sequences.sorted

-- -------------------------------------------------------------- attributes

-- The method of v with that name, nil when it has none.
local function method(run, v, name)
  local k = kind(v)
  local def = methods[k] and methods[k][name]
  if not def then
    local changing = methods.mutating[k]
    def = changing and changing[name]
    if not def then return nil end
    if not run.mutable then
      return {k = "undefined", code = "format", message = ("access to attribute '%s' of '%s' object is unsafe"):format(name, k)}
    end
  end
  return {k = "function", name = name, self = v, def = def}
end

local function index(v, key)
  local k = kind(v)
  if k == "dict" then
    local kk = kind(key)
    if kk == "list" or kk == "dict" then return nil end
    return values.get(v, key)
  end
  local i = kind(key) == "int" and key or kind(key) == "bool" and (key and 1 or 0) or nil
  if not i then return nil end
  if k == "list" or k == "tuple" or k == "range" then
    if i < 0 then i = i + #v end
    return v[i + 1]
  elseif k == "str" then
    local n = text.length(v)
    if i < 0 then i = i + n end
    if i < 0 or i >= n then return nil end
    return text.characters(v, i + 1, i + 1)
  end
end

-- v.name
function builtins.attribute(run, v, name)
  local k = kind(v)
  if k == "undefined" then values.defined(v) end
  if k == "namespace" then
    local found = v.items[name]
    if found == nil then return values.undefined(name, v) end
    return found
  elseif k == "loop" then
    return v.get(name) or values.undefined(name, v)
  end
  local found = method(run, v, name)
  if found == nil and k == "dict" then found = values.get(v, name) end
  if found == nil then return values.undefined(name, v) end
  return found
end

-- v[key]
function builtins.item(run, v, key)
  local k = kind(v)
  if k == "undefined" then values.defined(v) end
  local found
  if k == "namespace" then
    found = text.is(key) and v.items[text.bytes(key)]
  else
    found = index(v, key)
    if found == nil and text.is(key) then
      if k == "loop" then return builtins.attribute(run, v, text.bytes(key)) end
      found = method(run, v, text.bytes(key))
    end
  end
  if found == nil then return values.undefined(text.is(key) and text.bytes(key) or key, v) end
  return found
end

-- "a.b.0" as map, sort and the like take it -> function of an item
local function getter(run, attribute, default)
  local path = {}
  if kind(attribute) == "int" then
    path[1] = attribute
  else
    for part in text.bytes(string_of(attribute, "attribute")):gmatch "[^.]+" do
      path[#path + 1] = part:find "^%d+$" and tonumber(part) or part
    end
  end
  return function(v)
    for _, part in ipairs(path) do
      v = builtins.item(run, v, part)
      if default ~= nil and kind(v) == "undefined" then v = default end
    end
    return v
  end
end

-- ------------------------------------------------------------------ filters

local function filter(name, names, fn) filters[name] = define(names, fn) end
local function same(new, old) filters[new] = filters[old] end

local function str(v) return values.text(v) end

filter("string", "", function(_, v) return str(v) end)

-- A string marked as HTML that is safe already.
function builtins.safe(v) return {k = "str", s = text.bytes(v), m = text.marks(v), safe = true} end
filter("safe", "", function(_, v) return builtins.safe(str(v)) end)

function builtins.escaped(run, v)
  if type(v) == "table" and v.safe then return v end
  for _, pair in ipairs{{"&", "&amp;"}, {">", "&gt;"}, {"<", "&lt;"}, {"'", "&#39;"}, {'"', "&#34;"}} do
    v = text.replace(v, pair[1], pair[2], nil, run.max_output)
  end
  return builtins.safe(v)
end
filter("escape", "", function(run, v) return builtins.escaped(run, str(v)) end)
filters.e = filters.escape
filter("upper", "", function(_, v) return text.letters(str(v), "upper") end)
filter("lower", "", function(_, v) return text.letters(str(v), "lower") end)
filter("capitalize", "", function(_, v) return text.capitalize(str(v)) end)
filter("title", "", function(_, v)
  v = str(v)
  local out, s, at = {}, text.bytes(v), 1
  while at <= #s do
    local from, to = s:find("[-%s({%[<]+", at)
    local word = text.sub(v, at, (from or #s + 1) - 1)
    local n = text.length(word)
    if n > 0 then
      out[#out + 1] = text.letters(text.characters(word, 1, 1), "upper")
      out[#out + 1] = text.letters(text.characters(word, 2, n), "lower")
    end
    if not from then break end
    out[#out + 1] = text.sub(v, from, to)
    at = to + 1
  end
  return text.join(out)
end)
filter("trim", "chars", function(_, v, chars)
  chars = optional(chars)
  return text.strip(str(v), chars and text.bytes(chars), true, true)
end)
filter("replace", "old new count", function(run, v, old, new, count)
  return text.replace(str(v), str(old), str(new), arguments.optional_integer(count, "replace"), run.max_output)
end)
filter("indent", "width first blank", function(run, v, width, first, blank)
  v = str(v)
  local pad = text.is(width) and width or (" "):rep(math.min(width and integer_of(width, "indent") or 4, 65536))
  -- Jinja appends a newline before it splits, so that a last empty line counts
  local out = text.buffer(run.max_output, "output")
  local lines = text.split(v, "\n")
  for i, line in ipairs(lines) do
    if i > 1 then out:add "\n" end
    local wanted = i > 1 or first ~= nil and truth(first)
    if wanted and (i == 1 or blank ~= nil and truth(blank) or text.length(line) > 0) then out:put(pad) end
    out:put(line)
  end
  return out:finish()
end)
filter("truncate", "length killwords end leeway", function(_, v, length, kill, stop, leeway)
  v = str(v)
  length, leeway = arguments.optional_integer(length, "truncate") or 255, arguments.optional_integer(leeway, "truncate") or 5
  stop = stop == nil and "..." or stop
  local n = text.length(v)
  if n <= length + leeway then return v end
  local cut = text.characters(v, 1, length - text.length(stop))
  if not (kill and truth(kill)) then cut = text.split(cut, " ", 1, true)[1] end
  return text.join{cut, stop}
end)
filter("center", "width", function(_, v, width)
  v = str(v)
  width = math.min(arguments.optional_integer(width, "center") or 80, 65536)
  local missing = width - text.length(v)
  if missing <= 0 then return v end
  local left = math.floor(missing / 2) + (missing % 2 == 1 and width % 2 == 1 and 1 or 0)
  return text.join{(" "):rep(left), v, (" "):rep(missing - left)}
end)
filter("wordcount", "", function(_, v)
  local _, n = text.bytes(str(v)):gsub("[%w_\128-\255]+", "")
  return n
end)
filter("urlencode", "", function(_, v)
  return text.derived((text.bytes(str(v)):gsub("[^%w_.~/-]", function(c) return ("%%%02X"):format(c:byte()) end)), str(v))
end)

filter("default", "default_value boolean", function(_, v, default, boolean)
  if kind(v) == "undefined" or boolean ~= nil and truth(boolean) and not truth(v) then
    if default == nil then return "" end
    return default
  end
  return v
end)
same("d", "default")

filter("length", "", function(_, v) return values.length(v) end)
same("count", "length")

filter("abs", "", function(_, v)
  local x = number(v)
  if not x then fail("bad operand type for abs(): '%s'", values.type_name(v)) end
  if kind(v) == "float" then return values.float(math.abs(x)) end
  return math.abs(x)
end)

local function trunc(x) return x < 0 and math.ceil(x) or math.floor(x) end
local whole = rawget(math, "tointeger") or function(x) return x end

filter("int", "default base", function(_, v, default, base)
  default = default == nil and 0 or default
  local x = number(v)
  if x then
    if x ~= x or x - x ~= 0 then return default end
    return whole(values.int(trunc(x)))
  end
  if not text.is(v) then return default end
  base = arguments.optional_integer(base, "int") or 10
  if base < 2 or base > 36 then fail "int() base must be >= 2 and <= 36" end
  local s = text.bytes(text.strip(v, nil, true, true)):gsub("_", "")
  local sign, digits = s:match "^([-+]?)(%w+)$"
  if digits and base == 16 then digits = digits:gsub("^0[xX]", "") end
  if digits and base == 8 then digits = digits:gsub("^0[oO]", "") end
  if digits and base == 2 then digits = digits:gsub("^0[bB]", "") end
  local n = digits and tonumber(digits, base)
  if n and base == 10 and digits:find "%D" then n = nil end
  if n then return whole(values.int(sign == "-" and -n or n)) end
  n = s:find "^[-+]?%.?%d" and tonumber((s:gsub("^%+", "")))
  if n and n - n == 0 then return whole(values.int(trunc(n))) end
  return default
end)
filter("float", "default", function(_, v, default)
  local x = number(v)
  if x then return values.float(x + 0.0) end
  if text.is(v) then
    local s = text.bytes(text.strip(v, nil, true, true))
    local n = s:find "^[-+]?%.?%d" and not s:find "[xX]" and tonumber((s:gsub("^%+", "")))
    if n then return values.float(n + 0.0) end
  end
  return default == nil and values.float(0.0) or default
end)
filter("round", "precision method", function(_, v, precision, how)
  local x = number(v)
  if not x then fail("round: a number expected, got %s", values.type_name(v)) end
  local scale = 10 ^ math.max(-300, math.min(300, precision and integer_of(precision, "round") or 0))
  how = how and text.bytes(how) or "common"
  local y = x * scale
  if how == "ceil" then
    y = math.ceil(y)
  elseif how == "floor" then
    y = math.floor(y)
  elseif how == "common" then -- halves go to the even neighbour
    local low = math.floor(y)
    local rest = y - low
    y = (rest > 0.5 or rest == 0.5 and low % 2 == 1) and low + 1 or low
  else
    fail "method must be common, ceil or floor"
  end
  return values.float(y / scale + 0.0)
end)

filter("list", "", function(run, v)
  local out = {}
  for i, item in ipairs(values.items(v)) do out[i] = item end
  run:charge(#out)
  return list(out)
end)
filter("first", "", function(_, v)
  local item = values.items(v)[1]
  if item == nil then return {k = "undefined", message = "No first item, sequence was empty."} end
  return item
end)
filter("last", "", function(_, v)
  local items = values.items(v)
  local item = items[#items]
  if item == nil then return {k = "undefined", message = "No last item, sequence was empty."} end
  return item
end)
filter("reverse", "", function(_, v)
  if text.is(v) then
    local out, items = {}, text.split_characters(v)
    for i = #items, 1, -1 do out[#out + 1] = items[i] end
    return text.join(out)
  end
  local out, items = {}, values.items(v)
  for i = #items, 1, -1 do out[#out + 1] = items[i] end
  return list(out, "generator")
end)
filter("join", "d attribute", function(run, v, separator, attribute)
  local get = optional(attribute) and getter(run, attribute)
  local out = text.buffer(run.max_output, "output")
  separator = separator ~= nil and str(separator) or ""
  for i, item in ipairs(values.items(v)) do
    if i > 1 then out:put(separator) end
    out:put(str(get and get(item) or item))
  end
  return out:finish()
end)

local function folded(sensitive)
  return function(v)
    if not sensitive and text.is(v) then return text.letters(v, "lower") end
    return v
  end
end

filter("sort", "reverse case_sensitive attribute", function(run, v, reverse, sensitive, attribute)
  local fold = folded(sensitive ~= nil and truth(sensitive))
  local get
  if optional(attribute) then
    local gets = {}
    if kind(attribute) == "int" then
      gets[1] = getter(run, attribute)
    else
      for part in text.bytes(attribute):gmatch "[^,]+" do gets[#gets + 1] = getter(run, part) end
    end
    get = function(item)
      local key = {}
      for i, one in ipairs(gets) do key[i] = fold(one(item)) end
      return list(key)
    end
  end
  return list(sorted(run, values.items(v), get or fold, reverse ~= nil and truth(reverse)))
end)
filter("dictsort", "case_sensitive by reverse", function(run, v, sensitive, by, reverse)
  if kind(v) ~= "dict" then fail("dictsort: a mapping expected, got %s", values.type_name(v)) end
  local fold = folded(sensitive ~= nil and truth(sensitive))
  local place = by and text.bytes(by) == "value" and 2 or 1
  return list(sorted(run, values.pairs(v), function(pair) return fold(pair[place]) end, reverse ~= nil and truth(reverse)))
end)
filter("unique", "case_sensitive attribute", function(run, v, sensitive, attribute)
  local fold = folded(sensitive ~= nil and truth(sensitive))
  local get = optional(attribute) and getter(run, attribute) or function(item) return item end
  local seen, out = values.dict(), {}
  for _, item in ipairs(values.items(v)) do
    local key = fold(get(item))
    if values.get(seen, key) == nil then
      values.set(seen, key, true)
      out[#out + 1] = item
    end
  end
  return list(out, "generator")
end)

local function extreme(name, sign)
  filter(name, "case_sensitive attribute", function(run, v, sensitive, attribute)
    local fold = folded(sensitive ~= nil and truth(sensitive))
    local get = optional(attribute) and getter(run, attribute) or function(item) return item end
    local best, key
    for _, item in ipairs(values.items(v)) do
      local this = fold(get(item))
      if best == nil or values.compare(this, key) == sign then best, key = item, this end
    end
    if best == nil then return {k = "undefined", message = "No aggregated item, sequence was empty."} end
    return best
  end)
end
extreme("min", -1)
extreme("max", 1)

filter("sum", "attribute start", function(run, v, attribute, start)
  local get = optional(attribute) and getter(run, attribute) or function(item) return item end
  local total = start == nil and 0 or start
  for _, item in ipairs(values.items(v)) do total = run.add(run, total, get(item)) end
  return total
end)
filter("items", "", function(_, v)
  if kind(v) == "undefined" then return list({}, "generator") end
  if kind(v) ~= "dict" then fail "Can only get item pairs from a mapping." end
  return list(values.pairs(v), "generator")
end)
filter("batch", "linecount fill_with", function(run, v, count, fill)
  count = math.max(1, integer_of(count == nil and null or count, "batch"))
  local out, row = {}, nil
  for _, item in ipairs(values.items(v)) do
    if not row or #row == count then
      row = list({})
      out[#out + 1] = row
    end
    row[#row + 1] = item
  end
  if row and optional(fill) ~= nil then
    run:charge(count)
    while #row < count do row[#row + 1] = fill end
  end
  return list(out, "generator")
end)
filter("groupby", "attribute default case_sensitive", function(run, v, attribute, default, sensitive)
  local get, fold = getter(run, attribute, default), folded(sensitive ~= nil and truth(sensitive))
  local out = {}
  for _, item in ipairs(sorted(run, values.items(v), function(item) return fold(get(item)) end)) do
    local key = get(item)
    local last = out[#out]
    if not last or not values.equal(fold(last[1]), fold(key)) then
      last = {k = "tuple", key, list({})}
      out[#out + 1] = last
    end
    table.insert(last[2], item)
  end
  return list(out)
end)
filter("attr", "name", function(run, v, name)
  return method(run, v, text.bytes(name)) or values.undefined(text.bytes(name), v)
end)

local function rest_of(args, from)
  local out = {n = math.max(0, args.n - from + 1)}
  for i = from, args.n do out[i - from + 1] = args[i] end
  return out
end

filter("map", "...", function(run, v, args, named)
  local out = {}
  local items = truth(v) and values.items(v) or {}
  run:charge(#items)
  if args.n == 0 then
    if not named or named.attribute == nil then fail "map requires a filter argument" end
    for name in pairs(named) do
      if name ~= "attribute" and name ~= "default" then fail("map got an unexpected keyword argument '%s'", name) end
    end
    local get = getter(run, named.attribute, named.default)
    for i, item in ipairs(items) do out[i] = get(item) end
  else
    local name = text.bytes(string_of(args[1], "map"))
    local def = filters[name]
    if not def then fail("No filter named '%s' found.", name) end
    local rest = rest_of(args, 2)
    for i, item in ipairs(items) do out[i] = arguments.invoke(run, name .. "()", def, item, rest, named) end
  end
  return list(out, "generator")
end)

local function selection(name, wanted, by_attribute)
  filter(name, "...", function(run, v, args, named)
    local items = truth(v) and values.items(v) or {}
    run:charge(#items)
    local get, first = nil, 1
    if by_attribute then
      if args.n == 0 then fail("%s requires an attribute", name) end
      get, first = getter(run, args[1]), 2
    end
    local def, test
    if args.n >= first then
      test = text.bytes(string_of(args[first], name))
      def = tests[test]
      if not def then fail("No test named '%s' found.", test) end
    end
    local rest, out = rest_of(args, first + 1), {}
    for _, item in ipairs(items) do
      local value = item
      if get then value = get(item) end
      local holds
      if def then holds = arguments.invoke(run, test .. "()", def, value, rest, named) else holds = truth(value) end
      if holds == wanted then out[#out + 1] = item end
    end
    return list(out, "generator")
  end)
end
selection("select", true, false)
selection("reject", false, false)
selection("selectattr", true, true)
selection("rejectattr", false, true)

filter("tojson", "ensure_ascii indent separators sort_keys", function(run, v, ascii, indent, separators, sort)
  indent = optional(indent)
  if indent ~= nil then
    indent = text.is(indent) and text.bytes(indent) or (" "):rep(math.min(256, integer_of(indent, "indent")))
  end
  local item, key = indent and "," or ", ", ": "
  if optional(separators) then
    if kind(separators) ~= "tuple" and kind(separators) ~= "list" or #separators ~= 2 then fail "separators: two strings expected" end
    item, key = text.bytes(string_of(separators[1], "separators")), text.bytes(string_of(separators[2], "separators"))
  end
  run:charge(1)
  return values.json(v, {ascii = ascii ~= nil and truth(ascii), indent = indent, item = item, key = key,
    sort = sort ~= nil and truth(sort)}, run.max_output)
end)

-- "%s and %d" with Python's meaning, for what templates use of it.
local function percent(run, format, args)
  local out, s, at, used = text.buffer(run.max_output, "output"), text.bytes(format), 1, 0
  while true do
    local from, to, flags, conversion = s:find("%%([-+ #0]*%d*%.?%d*)(.)", at)
    out:put(text.sub(format, at, (from or #s + 1) - 1))
    if not from then break end
    if conversion == "%" then
      out:add "%"
    else
      used = used + 1
      local v = args[used]
      if v == nil then fail "not enough arguments for format string" end
      if conversion == "s" or conversion == "r" then
        v = conversion == "r" and values.repr(v) or str(v)
        if flags == "" then out:put(v) else out:put(text.derived(("%" .. flags .. "s"):format(text.bytes(v)), v)) end
      elseif conversion:find "[diuxXoeEfFgG]" then
        local x = number(v)
        if not x then fail("%%%s format: a number is required, not %s", conversion, values.type_name(v)) end
        if conversion:find "[diuxXo]" then x = whole(trunc(x)) end
        if conversion == "u" then conversion = "d" end
        if #flags > 8 then fail "a width too large" end
        out:add(("%" .. flags .. conversion):format(x))
      else
        fail("unsupported format character '%s'", conversion)
      end
    end
    at = to + 1
  end
  if used < #args then fail "not all arguments converted during string formatting" end
  return out:finish()
end
builtins.percent = percent
filter("format", "...", function(run, v, args) return percent(run, str(v), args) end)

-- -------------------------------------------------------------------- tests

local function test(name, names, fn) tests[name] = define(names, fn) end

test("defined", "", function(_, v) return kind(v) ~= "undefined" end)
test("undefined", "", function(_, v) return kind(v) == "undefined" end)
test("none", "", function(_, v) return v == null end)
test("boolean", "", function(_, v) return type(v) == "boolean" end)
test("true", "", function(_, v) return v == true end)
test("false", "", function(_, v) return v == false end)
test("integer", "", function(_, v) return type(v) == "number" end)
test("float", "", function(_, v) return kind(v) == "float" end)
test("number", "", function(_, v) return number(v) ~= nil end)
test("string", "", function(_, v) return text.is(v) end)
test("mapping", "", function(_, v) return kind(v) == "dict" end)
local is_sequence = {str = true, list = true, tuple = true, dict = true, range = true, undefined = true}
test("sequence", "", function(_, v) return is_sequence[kind(v)] == true end)
test("iterable", "", function(_, v)
  local k = kind(v)
  return is_sequence[k] == true or k == "generator" or k == "dict_view"
end)
test("callable", "", function(_, v) return kind(v) == "function" end)
test("escaped", "", function(_, v) return type(v) == "table" and v.safe == true end)
test("sameas", "other", function(_, v, other)
  return v == other or kind(v) == kind(other) and (number(v) ~= nil or text.is(v)) and values.equal(v, other)
end)
test("in", "seq", function(_, v, container) return values.contains(container, v) end)
test("odd", "", function(_, v) return integer_of(v, "odd") % 2 == 1 end)
test("even", "", function(_, v) return integer_of(v, "even") % 2 == 0 end)
test("divisibleby", "num", function(_, v, by)
  by = integer_of(by, "divisibleby")
  if by == 0 then fail "integer modulo by zero" end
  return integer_of(v, "divisibleby") % by == 0
end)
test("lower", "", function(_, v) return text.is_lower(str(v)) end)
test("upper", "", function(_, v) return text.is_upper(str(v)) end)
test("filter", "", function(_, v) return text.is(v) and filters[text.bytes(v)] ~= nil end)
test("test", "", function(_, v) return text.is(v) and tests[text.bytes(v)] ~= nil end)

local relations = {
  {"eq equalto ==", function(a, b) return values.equal(a, b) end},
  {"ne !=", function(a, b) return not values.equal(a, b) end},
  {"lt lessthan <", function(a, b) return values.compare(a, b, "<") < 0 end},
  {"le <=", function(a, b) return values.compare(a, b, "<=") <= 0 end},
  {"gt greaterthan >", function(a, b) return values.compare(a, b, ">") > 0 end},
  {"ge >=", function(a, b) return values.compare(a, b, ">=") >= 0 end},
}
for _, relation in ipairs(relations) do
  local def = define("other", function(_, v, other) return relation[2](v, other) end)
  for name in relation[1]:gmatch "%S+" do tests[name] = def end
end

-- ---------------------------------------------------------------- functions

local function provide(name, names, fn)
  functions[name] = {k = "function", name = name, def = define(names, fn)}
end

provide("raise_exception", "message", function(_, _, message)
  error({template = true, code = "raised", message = text.bytes(str(message == nil and "" or message))}, 0)
end)
provide("range", "start stop step", function(run, _, from, to, step)
  from = integer_of(from == nil and fail "range expected at least 1 argument" or from, "range")
  if to == nil then from, to = 0, from else to = integer_of(to, "range") end
  step = step and integer_of(step, "range") or 1
  if step == 0 then fail "range() arg 3 must not be zero" end
  local n = math.max(0, math.ceil((to - from) / step))
  if n > 100000 then
    error({template = true, code = "limit", message = "a range of more than 100000 items (limit range)"}, 0)
  end
  run:charge(n)
  local out = {k = "range", from = from, to = to, step = step}
  for i = 1, n do out[i] = from + (i - 1) * step end
  return out
end)
provide("dict", "...", function(_, _, args, named)
  local out = values.dict()
  if args[1] ~= nil then
    if kind(args[1]) == "dict" then
      for _, pair in ipairs(values.pairs(args[1])) do values.set(out, pair[1], pair[2]) end
    else
      for _, pair in ipairs(values.items(args[1])) do
        pair = values.items(pair)
        if #pair ~= 2 then fail "dict: pairs expected" end
        values.set(out, pair[1], pair[2])
      end
    end
  end
  for _, key in ipairs(args.order or {}) do values.set(out, key, named[key]) end
  return out
end)
provide("namespace", "...", function(_, _, args, named)
  local out = {k = "namespace", items = {}}
  if args[1] ~= nil then
    if kind(args[1]) ~= "dict" then fail "namespace: a mapping expected" end
    for _, pair in ipairs(values.pairs(args[1])) do out.items[text.bytes(pair[1])] = pair[2] end
  end
  for _, key in ipairs(args.order or {}) do out.items[key] = named[key] end
  return out
end)
provide("joiner", "sep", function(_, _, separator)
  local used = false
  return {k = "function", name = "joiner", def = define("", function()
    if used then return separator == nil and ", " or separator end
    used = true
    return ""
  end)}
end)
provide("cycler", "...", function(_, _, args)
  if args.n == 0 then fail "at least one item has to be provided" end
  local at = 0
  local out = {k = "namespace", items = {}}
  out.items.current = args[1]
  out.items.next = {k = "function", name = "next", def = define("", function()
    local item = args[at + 1]
    at = (at + 1) % args.n
    out.items.current = args[at + 1]
    return item
  end)}
  out.items.reset = {k = "function", name = "reset", def = define("", function()
    at = 0
    out.items.current = args[1]
    return null
  end)}
  return out
end)
local conversions = "[aAbBcdDeFgGhHIjmMnprRStTuUVwWxXyYzZ]"
provide("strftime_now", "format", function(run, _, format)
  local s = text.bytes(string_of(format, "strftime_now"))
  return (s:gsub("%%(-?)(.)", function(minus, c)
    if c == "%" then return "%" end
    if not c:find(conversions) then return nil end
    local out = os.date("%" .. c, run.now)
    if minus == "-" then out = out:gsub("^0+(.)", "%1") end
    return out
  end))
end)

return builtins
