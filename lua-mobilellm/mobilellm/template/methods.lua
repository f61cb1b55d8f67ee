-- Methods of strings, lists and dicts that templates may call, by kind of value; in methods.mutating those that change their object.
local core = require "mobilellm.core"
local arguments = require "mobilellm.template.arguments"
local sequences = require "mobilellm.template.sequences"
local text = require "mobilellm.template.text"
local values = require "mobilellm.template.values"

local methods = {str = {}, list = {}, tuple = {}, dict = {}, mutating = {}}

local null = core.null
local kind, fail, list, truth, str = values.kind, values.fail, values.list, values.truth, values.text
local define, string_of, integer_of = arguments.define, arguments.string_of, arguments.integer_of
local optional, optional_integer = arguments.optional, arguments.optional_integer

-- -------------------------------------------------------------- strings

local function on_string(name, names, fn) methods.str[name] = define(names, fn) end

on_string("upper", "", function(_, v) return text.letters(v, "upper") end)
on_string("lower", "", function(_, v) return text.letters(v, "lower") end)
on_string("casefold", "", function(_, v) return text.letters(v, "lower") end)
on_string("title", "", function(_, v) return text.letters(v, "title") end)
on_string("capitalize", "", function(_, v) return text.capitalize(v) end)
local function stripping(name, left, right)
  on_string(name, "chars", function(_, v, chars)
    chars = optional(chars)
    return text.strip(v, chars and text.bytes(string_of(chars, name)), left, right)
  end)
end
stripping("strip", true, true)
stripping("lstrip", true, false)
stripping("rstrip", false, true)

local function splitting(name, right)
  on_string(name, "sep maxsplit", function(run, v, separator, most)
    separator = optional(separator)
    if separator and text.bytes(string_of(separator, name)) == "" then fail "empty separator" end
    local out = text.split(v, separator, most and integer_of(most, name), right)
    run:charge(#out)
    return list(out)
  end)
end
splitting("split", false)
splitting("rsplit", true)
on_string("splitlines", "keepends", function(run, v, keep)
  local out = text.lines(v, keep ~= nil and truth(keep))
  run:charge(#out)
  return list(out)
end)

local function beginning(name, matches)
  on_string(name, "prefix", function(_, v, what)
    local s = text.bytes(v)
    if kind(what) ~= "tuple" then what = {string_of(what, name)} end
    for _, one in ipairs(what) do
      if matches(s, text.bytes(string_of(one, name))) then return true end
    end
    return false
  end)
end
local function starts_with(s, prefix) return s:sub(1, #prefix) == prefix end
local function ends_with(s, suffix) return suffix == "" or #suffix <= #s and s:sub(-#suffix) == suffix end
beginning("startswith", starts_with)
beginning("endswith", ends_with)
on_string("removeprefix", "prefix", function(_, v, prefix)
  prefix = text.bytes(prefix)
  if starts_with(text.bytes(v), prefix) then return text.sub(v, #prefix + 1, -1) end
  return v
end)
on_string("removesuffix", "suffix", function(_, v, suffix)
  suffix = text.bytes(suffix)
  if ends_with(text.bytes(v), suffix) then return text.sub(v, 1, #text.bytes(v) - #suffix) end
  return v
end)
on_string("replace", "old new count", function(run, v, old, new, count)
  return text.replace(v, string_of(old, "replace"), string_of(new, "replace"), optional_integer(count, "replace"), run.max_output)
end)

local function last_find(s, what)
  for from = #s - #what + 1, 1, -1 do
    if s:sub(from, from + #what - 1) == what then return from end
  end
end
local function finding(name, find, missing)
  on_string(name, "sub start end", function(run, v, what, start, stop)
    what = text.bytes(string_of(what, name))
    local skipped = 0
    if start ~= nil or stop ~= nil then
      skipped = start and integer_of(start, name) or 0
      if skipped < 0 then skipped = math.max(0, skipped + text.length(v)) end
      v = sequences.slice(run, v, optional(start), optional(stop))
    end
    local s = text.bytes(v)
    run:charge(#s / 64)
    local at = find(s, what)
    if not at then
      if missing then fail "substring not found" end
      return -1
    end
    return text.position(s, at) + skipped
  end)
end
local function first_find(s, what) return (s:find(what, 1, true)) end
finding("find", first_find)
finding("rfind", last_find)
finding("index", first_find, true)
finding("rindex", last_find, true)
on_string("count", "sub", function(_, v, what)
  what = text.bytes(string_of(what, "count"))
  if what == "" then return text.length(v) + 1 end
  local n, at, s = 0, 1, text.bytes(v)
  while true do
    local from, to = s:find(what, at, true)
    if not from then return n end
    n, at = n + 1, to + 1
  end
end)
on_string("join", "iterable", function(run, v, items)
  local out = text.buffer(run.max_output, "output")
  for i, item in ipairs(values.items(items)) do
    if i > 1 then out:put(v) end
    out:put(string_of(item, "join"))
  end
  return out:finish()
end)
local function parted(name, find)
  on_string(name, "sep", function(_, v, separator)
    local s, what = text.bytes(v), text.bytes(string_of(separator, name))
    local at = find(s, what)
    if not at then return name == "partition" and list({v, "", ""}, "tuple") or list({"", "", v}, "tuple") end
    return list({text.sub(v, 1, at - 1), separator, text.sub(v, at + #what, -1)}, "tuple")
  end)
end
parted("partition", first_find)
parted("rpartition", last_find)

local function asking(name, pattern)
  on_string(name, "", function(_, v)
    local s = text.bytes(v)
    return s ~= "" and not s:find(pattern)
  end)
end
asking("isdigit", "%D")
asking("isnumeric", "%D")
asking("isdecimal", "%D")
asking("isalpha", "[^%a\128-\255]")
asking("isalnum", "[^%w\128-\255]")
on_string("isspace", "", function(_, v) return text.is_space(text.bytes(v)) end)
on_string("isupper", "", function(_, v) return text.is_upper(v) end)
on_string("islower", "", function(_, v) return text.is_lower(v) end)

local function padding(name, place)
  on_string(name, "width fillchar", function(_, v, width, fill)
    fill = fill ~= nil and text.bytes(fill) or name == "zfill" and "0" or " "
    local missing = math.min(integer_of(width, name), 65536) - text.length(v)
    if missing <= 0 then return v end
    return place(v, fill, missing)
  end)
end
padding("ljust", function(v, fill, n) return text.join{v, fill:rep(n)} end)
padding("rjust", function(v, fill, n) return text.join{fill:rep(n), v} end)
padding("center", function(v, fill, n)
  local left = math.floor(n / 2)
  return text.join{fill:rep(left), v, fill:rep(n - left)}
end)
padding("zfill", function(v, fill, n)
  local sign = text.bytes(v):match "^[-+]" or ""
  return text.join{sign, fill:rep(n), text.sub(v, #sign + 1, -1)}
end)
on_string("format", "...", function(run, v, args, named)
  local out, s, at, used = text.buffer(run.max_output, "output"), text.bytes(v), 1, 0
  while true do
    local from, to = s:find("[{}]", at)
    out:put(text.sub(v, at, (from or #s + 1) - 1))
    if not from then break end
    local c = s:sub(from, from)
    if s:sub(from + 1, from + 1) == c then
      out:add(c)
      at = to + 2
    else
      local name = c == "{" and s:match("^([%w_]*)}", from + 1)
      if not name then fail "unsupported format string" end
      local value
      if name == "" then
        used = used + 1
        value = args[used]
      elseif name:find "^%d+$" then
        value = args[tonumber(name) + 1]
      else
        value = named and named[name]
      end
      if value == nil then fail("no argument '%s' for the format string", name) end
      out:put(str(value))
      at = from + #name + 2
    end
  end
  return out:finish()
end)

-- -------------------------------------------------------- lists, tuples

local function on_list(name, names, fn)
  methods.list[name] = define(names, fn)
  methods.tuple[name] = methods.list[name]
end
on_list("index", "value", function(_, v, what)
  for i = 1, #v do
    if values.equal(v[i], what) then return i - 1 end
  end
  fail("%s is not in list", values.repr(what))
end)
on_list("count", "value", function(_, v, what)
  local n = 0
  for i = 1, #v do
    if values.equal(v[i], what) then n = n + 1 end
  end
  return n
end)
methods.list.copy = define("", function(_, v)
  local out = {}
  for i = 1, #v do out[i] = v[i] end
  return list(out)
end)

-- ---------------------------------------------------------------- dicts

local function on_dict(name, names, fn) methods.dict[name] = define(names, fn) end
local function view(name, items)
  items.name = name
  return list(items, "dict_view")
end
on_dict("items", "", function(_, v) return view("dict_items", values.pairs(v)) end)
on_dict("keys", "", function(_, v) return view("dict_keys", values.items(v)) end)
on_dict("values", "", function(_, v)
  local out = {}
  for i, h in ipairs(v.order) do out[i] = v.items[h] end
  return view("dict_values", out)
end)
on_dict("get", "key default", function(_, v, key, default)
  local found = values.get(v, key)
  if found ~= nil then return found end
  if default == nil then return null end
  return default
end)
on_dict("copy", "", function(_, v)
  local out = values.dict()
  for _, h in ipairs(v.order) do values.set(out, v.keys[h], v.items[h]) end
  return out
end)

-- ------------------------------------------------- changing their object

-- Refused unless the template may (the option mutable).
methods.mutating.list = {
  append = define("object", function(_, v, item)
    v[#v + 1] = item
    return null
  end),
  extend = define("iterable", function(run, v, items)
    items = values.items(items)
    run:charge(#items)
    for i = 1, #items do v[#v + 1] = items[i] end
    return null
  end),
  insert = define("index object", function(_, v, at, item)
    at = integer_of(at, "insert")
    if at < 0 then at = math.max(0, at + #v) end
    table.insert(v, math.min(at, #v) + 1, item)
    return null
  end),
  pop = define("index", function(_, v, at)
    at = at == nil and -1 or integer_of(at, "pop")
    if at < 0 then at = at + #v end
    if at < 0 or at >= #v then fail "pop index out of range" end
    return table.remove(v, at + 1)
  end),
  reverse = define("", function(_, v)
    for i = 1, math.floor(#v / 2) do v[i], v[#v + 1 - i] = v[#v + 1 - i], v[i] end
    return null
  end),
  clear = define("", function(_, v)
    for i = #v, 1, -1 do v[i] = nil end
    return null
  end),
  remove = define("value", function(_, v, what)
    for i = 1, #v do
      if values.equal(v[i], what) then
        table.remove(v, i)
        return null
      end
    end
    fail "list.remove(x): x not in list"
  end),
  sort = define("", function(run, v)
    for i, item in ipairs(sequences.sorted(run, v, function(item) return item end)) do v[i] = item end
    return null
  end),
}
methods.mutating.dict = {
  pop = define("key default", function(_, v, key, default)
    local value = values.remove(v, key)
    if value == nil then value = default end
    if value == nil then fail("KeyError: %s", values.repr(key)) end
    return value
  end),
  setdefault = define("key default", function(_, v, key, default)
    local found = values.get(v, key)
    if found == nil then
      found = default == nil and null or default
      values.set(v, key, found)
    end
    return found
  end),
  update = define("...", function(_, v, args, named)
    if args[1] then
      if kind(args[1]) ~= "dict" then fail "update: a mapping expected" end
      for _, pair in ipairs(values.pairs(args[1])) do values.set(v, pair[1], pair[2]) end
    end
    for key, value in pairs(named or {}) do values.set(v, key, value) end
    return null
  end),
  clear = define("", function(_, v)
    v.order, v.keys, v.items = {}, {}, {}
    return null
  end),
  popitem = define("", function(_, v)
    local h = v.order[#v.order]
    if h == nil then fail "popitem(): dictionary is empty" end
    local key = v.keys[h]
    return list({key, values.remove(v, key)}, "tuple")
  end),
}

return methods
