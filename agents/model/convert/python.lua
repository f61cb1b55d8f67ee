-- Values as Python writes them: {'a': [1, -2.5, True, None, "it's", 'x\n']}.
local json = require "mobilellm".json

local escapes = {n = "\n", t = "\t", r = "\r", ["\n"] = "", a = "\a", b = "\b", f = "\f", v = "\v", ["0"] = "\0"}
local constants = {True = true, False = false, None = json.null}

local function utf8_of(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  end
  return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64, 0x80 + math.floor(code / 64) % 64,
    0x80 + code % 64)
end

local value

local function skip(text, at) return text:find("%S", at) or #text + 1 end

local function fail(text, at, wanted)
  error(("a Python value: byte %d: %s expected, got '%s'"):format(at, wanted, text:sub(at, at + 10)), 0)
end

local function string_at(text, at)
  local quote, parts, from = text:sub(at, at), {}, at + 1
  while true do
    local stop = text:find("[\\" .. quote .. "]", from)
    if not stop then fail(text, at, "an end of the string") end
    parts[#parts + 1] = text:sub(from, stop - 1)
    if text:sub(stop, stop) == quote then return table.concat(parts), stop + 1 end
    local kind = text:sub(stop + 1, stop + 1)
    local digits = kind == "x" and 2 or kind == "u" and 4 or kind == "U" and 8 or 0
    if digits > 0 then
      local hex = text:sub(stop + 2, stop + 1 + digits)
      if not hex:find("^" .. ("%x"):rep(digits) .. "$") then fail(text, stop, "hexadecimal digits") end
      parts[#parts + 1] = utf8_of(tonumber(hex, 16))
    else
      parts[#parts + 1] = escapes[kind] or kind:find "[\\'\"]" and kind or "\\" .. kind
    end
    from = stop + 2 + digits
  end
end

local function items(text, at, close, item)
  at = skip(text, at)
  while text:sub(at, at) ~= close do
    at = skip(text, item(at))
    if text:sub(at, at) == "," then at = skip(text, at + 1)
    elseif text:sub(at, at) ~= close then fail(text, at, "',' or '" .. close .. "'") end
  end
  return at + 1
end

function value(text, at)
  at = skip(text, at)
  local first = text:sub(at, at)
  if first == "'" or first == '"' then return string_at(text, at) end
  if first == "{" then
    local map = {}
    return map, items(text, at + 1, "}", function(from)
      local key, colon = value(text, from)
      colon = skip(text, colon)
      if text:sub(colon, colon) ~= ":" then fail(text, colon, "':'") end
      map[key], from = value(text, colon + 1)
      return from
    end)
  end
  if first == "[" or first == "(" then
    local list = json.array{}
    return list, items(text, at + 1, first == "[" and "]" or ")", function(from)
      list[#list + 1], from = value(text, from)
      return from
    end)
  end
  local word = text:match("^[%w_%.+-]+", at)
  if not word then fail(text, at, "a value") end
  if constants[word] ~= nil then return constants[word], at + #word end
  local number = tonumber(word)
  if not number then fail(text, at, "a value") end
  return number, at + #word
end

-- The value that a text begins with, and where the rest begins; raises with the place of what is wrong.
return function(text) return value(text, 1) end
