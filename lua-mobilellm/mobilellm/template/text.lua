-- Strings of templates, which remember what the user wrote.
--
-- A string is a Lua string (the template's own) or a table {k = "str", s = bytes, m = marks}: m is true when all of it comes from
-- the user, else a string as long as s with "u" for the user's bytes and "t" for the template's. Positions are code points.
local core = require "mobilellm.core"

local text = {}

local function make(s, m)
  if not m or s == "" then return s end
  if m ~= true then
    if not m:find("u", 1, true) then return s end
    if not m:find("t", 1, true) then m = true end
  end
  return {k = "str", s = s, m = m}
end
text.make = make

function text.is(v) return type(v) == "string" or type(v) == "table" and v.k == "str" end

local function bytes(v)
  if type(v) == "string" then return v end
  if type(v) == "table" and v.k == "str" then return v.s end
  error({template = true, code = "format", message = "TypeError: str expected"}, 0)
end
text.bytes = bytes

function text.marks(v)
  if type(v) == "string" then return nil end
  return v.m
end

-- The bytes from i to j.
local function sub(v, i, j)
  if type(v) == "string" then return v:sub(i, j) end
  local m = v.m
  if type(m) == "string" then m = m:sub(i, j) end
  return make(v.s:sub(i, j), m)
end
text.sub = sub

-- A string made of v whose bytes are s: where they do not lie one upon the other, all of it counts as the user's.
function text.derived(s, v)
  if type(v) == "string" then return s end
  local m = v.m
  if type(m) == "string" and #m ~= #s then m = true end
  return make(s, m)
end

-- ----------------------------------------------------------------- buffer

local Buffer = {}
Buffer.__index = Buffer

-- Collects pieces; `limit` is the most bytes, `what` names it.
function text.buffer(limit, what)
  return setmetatable({count = 0, size = 0, limit = limit, what = what, pieces = {}, marks = {}, marked = false}, Buffer)
end

function Buffer:add(s, m)
  if s == "" then return end
  local n = self.count + 1
  self.count = n
  self.size = self.size + #s
  if self.size > self.limit then
    error({template = true, code = "limit", message = ("a text longer than %d bytes (limit %s)"):format(self.limit, self.what)}, 0)
  end
  self.pieces[n] = s
  if m then
    self.marks[n], self.marked = m, true
  end
end

function Buffer:put(v)
  if type(v) == "string" then self:add(v) else self:add(v.s, v.m) end
end

function Buffer:finish()
  local s = table.concat(self.pieces)
  if not self.marked then return s end
  local m = {}
  for i = 1, self.count do
    local mark = self.marks[i]
    m[i] = not mark and ("t"):rep(#self.pieces[i]) or mark == true and ("u"):rep(#self.pieces[i]) or mark
  end
  return make(s, table.concat(m))
end

-- The pieces as a list of {text, user}, neighbours of one kind joined.
function Buffer:segments()
  local list = {}
  local function add(s, user)
    local last = list[#list]
    if last and last.user == user then
      last[#last + 1] = s
    elseif s ~= "" then
      list[#list + 1] = {s, user = user}
    end
  end
  for i = 1, self.count do
    local s, m = self.pieces[i], self.marks[i]
    if type(m) ~= "string" then
      add(s, m == true)
    else
      local at = 1
      while at <= #m do
        local mark = m:sub(at, at)
        local to = m:find(mark == "u" and "t" or "u", at, true) or #m + 1
        add(s:sub(at, to - 1), mark == "u")
        at = to
      end
    end
  end
  for _, segment in ipairs(list) do
    segment.text = table.concat(segment)
    for i = #segment, 1, -1 do segment[i] = nil end
  end
  return list
end

-- ------------------------------------------------------------ code points

-- Where each code point begins, nil for ASCII.
local function starts(s)
  if not s:find "[\128-\255]" then return nil end
  local list = {}
  for at in s:gmatch "()[^\128-\191]" do list[#list + 1] = at end
  if list[1] ~= 1 then table.insert(list, 1, 1) end -- stray bytes belong to the character before them
  list[#list + 1] = #s + 1
  return list
end

function text.length(v)
  local s = bytes(v)
  local list = starts(s)
  return list and #list - 1 or #s
end

-- The characters from position i to j, both from 1 and inside.
function text.characters(v, i, j)
  if i > j then return "" end
  local list = starts(bytes(v))
  if not list then return sub(v, i, j) end
  return sub(v, list[i], list[j + 1] - 1)
end

-- All characters as a list.
function text.split_characters(v)
  local s, out = bytes(v), {}
  local list = starts(s)
  if list then
    for i = 1, #list - 1 do out[i] = sub(v, list[i], list[i + 1] - 1) end
  else
    for i = 1, #s do out[i] = sub(v, i, i) end
  end
  return out
end

-- Code points in front of byte position `at`.
function text.position(s, at)
  local _, continued = s:sub(1, at - 1):gsub("[\128-\191]", "")
  return at - 1 - continued
end

function text.compare(a, b)
  a, b = bytes(a), bytes(b)
  if a == b then return 0 end
  local n = math.min(#a, #b)
  for i = 1, n do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y and -1 or 1 end
  end
  return #a < #b and -1 or 1
end

-- ------------------------------------------------------------------ spaces

-- Python's white space: ASCII and these.
local wide = {["\194\133"] = true, ["\194\160"] = true, ["\225\154\128"] = true, ["\226\128\168"] = true, ["\226\128\169"] = true,
  ["\226\128\175"] = true, ["\226\129\159"] = true, ["\227\128\128"] = true}
for i = 128, 138 do wide["\226\128" .. string.char(i)] = true end
local narrow = "[\9-\13\28-\32]"

-- The first and the last byte that strip keeps; `set`: the characters to strip, nil for white space.
local function bounds(s, set, left, right)
  local first, last = 1, #s
  local inside = set and {}
  if set then
    for c in set:gmatch "[^\128-\191][\128-\191]*" do inside[c] = true end
  end
  local function blank(c)
    if set then return inside[c] end
    return #c == 1 and c:find(narrow) or wide[c]
  end
  while left and first <= last do
    local c = s:match("^[^\128-\191][\128-\191]*", first) or s:sub(first, first)
    if not blank(c) then break end
    first = first + #c
  end
  while right and last >= first do
    local from = last
    while from > first and s:byte(from) >= 128 and s:byte(from) < 192 do from = from - 1 end
    if not blank(s:sub(from, last)) then break end
    last = from - 1
  end
  return first, last
end

function text.strip(v, set, left, right)
  local s = bytes(v)
  local first, last = bounds(s, set, left, right)
  if first == 1 and last == #s then return v end
  return sub(v, first, last)
end

function text.is_space(s)
  local first, last = bounds(s, nil, true, false)
  return s ~= "" and first > last
end

-- Whether there are letters of that case, and none of the other.
function text.is_lower(v)
  local s = text.bytes(v)
  return s == core.letters(s, "lower") and s ~= core.letters(s, "upper")
end

function text.is_upper(v)
  local s = text.bytes(v)
  return s == core.letters(s, "upper") and s ~= core.letters(s, "lower")
end

-- ----------------------------------------------------------------- changes

-- how: "upper", "lower" or "title"
function text.letters(v, how)
  local s = bytes(v)
  if s:find "[\128-\255]" or how == "title" then
    s = core.letters(s, how)
  else
    s = s[how](s)
  end
  return text.derived(s, v)
end

function text.capitalize(v)
  local n = text.length(v)
  if n == 0 then return v end
  return text.join({text.letters(text.characters(v, 1, 1), "title"), text.letters(text.characters(v, 2, n), "lower")})
end

function text.join(list, separator, limit)
  local out = text.buffer(limit or math.huge, "output")
  for i = 1, #list do
    if i > 1 and separator then out:put(separator) end
    out:put(list[i])
  end
  return out:finish()
end

-- Parts between occurrences of `separator`; without it between white space. `most` splits at most, from the right when `right`.
function text.split(v, separator, most, right)
  local s, out = bytes(v), {}
  most = most and most >= 0 and most or math.huge
  local places = {} -- from, to of each separator
  if separator then
    separator = bytes(separator)
    local at = 1
    while true do
      local from, to = s:find(separator, at, true)
      if not from then break end
      places[#places + 1] = {from, to}
      at = to + 1
    end
    if right then -- found again from the end, for separators that overlap themselves
      local found, stop = {}, #s
      while stop >= #separator do
        local from
        for begin = stop - #separator + 1, 1, -1 do
          if s:sub(begin, begin + #separator - 1) == separator then
            from = begin
            break
          end
        end
        if not from or #found >= most then break end
        table.insert(found, 1, {from, from + #separator - 1})
        stop = from - 1
      end
      places = found
    end
    local begin = 1
    for i, place in ipairs(places) do
      if i > most then break end
      out[#out + 1] = sub(v, begin, place[1] - 1)
      begin = place[2] + 1
    end
    out[#out + 1] = sub(v, begin, #s)
    return out
  end
  local words, at = {}, 1
  while true do
    local first = bounds(s:sub(at), nil, true, false) + at - 1
    if first > #s then break end
    local last = first
    while last < #s do
      local c = s:match("^[^\128-\191][\128-\191]*", last + 1) or s:sub(last + 1, last + 1)
      if text.is_space(c) then break end
      last = last + #c
    end
    words[#words + 1] = {first, last}
    at = last + 1
  end
  if right and #words > most + 1 then
    local kept = {{1, words[#words - most][2]}}
    for i = #words - most + 1, #words do kept[#kept + 1] = words[i] end
    words = kept
  elseif #words > most + 1 then
    local _, last = bounds(s, nil, false, false)
    for i = #words, most + 2, -1 do words[i] = nil end
    words[#words][2] = last
  end
  for i, word in ipairs(words) do out[i] = sub(v, word[1], word[2]) end
  return out
end

function text.replace(v, old, new, most, limit)
  local s, what = bytes(v), bytes(old)
  local out = text.buffer(limit, "output")
  most = most and most >= 0 and most or math.huge
  local at, done = 1, 0
  if what == "" then
    local list = text.split_characters(v)
    for i = 0, #list do
      if i > 0 then out:put(list[i]) end
      if done < most then
        out:put(new)
        done = done + 1
      end
    end
    return out:finish()
  end
  while done < most do
    local from, to = s:find(what, at, true)
    if not from then break end
    out:put(sub(v, at, from - 1))
    out:put(new)
    at, done = to + 1, done + 1
  end
  out:put(sub(v, at, #s))
  return out:finish()
end

-- Lines without their ends (Python's splitlines).
function text.lines(v, keep)
  local s, out, at = bytes(v), {}, 1
  while at <= #s do
    local from, to = s:find("[\n\r\11\12\28-\30]", at)
    if not from then
      out[#out + 1] = sub(v, at, #s)
      break
    end
    if s:sub(from, from + 1) == "\r\n" then to = from + 1 end
    out[#out + 1] = sub(v, at, keep and to or from - 1)
    at = to + 1
  end
  return out
end

return text
