-- Template text -> tokens, as Jinja 3 cuts it with trim_blocks and lstrip_blocks (the settings of Hugging Face transformers):
-- the first newline behind a block or comment goes, and so does the blank space in front of one that begins its line.
--
-- A token is {kind, value, line}. Kinds: "text", "print" and "end_print", "block" and "end_block", "name", "string", "integer",
-- "float", "op", "end".
local lexer = {}

-- syntax(line, format, ...) raises what is wrong with the template.
function lexer.syntax(line, ...)
  error({template = true, message = select("#", ...) > 1 and string.format(...) or (...), line = line, code = "format"}, 0)
end
local syntax = lexer.syntax

local operators = {
  ["+"] = true, ["-"] = true, ["/"] = true, ["//"] = true, ["*"] = true, ["%"] = true, ["**"] = true, ["~"] = true, ["["] = true,
  ["]"] = true, ["("] = true, [")"] = true, ["{"] = true, ["}"] = true, ["=="] = true, ["!="] = true, [">"] = true, [">="] = true,
  ["<"] = true, ["<="] = true, ["="] = true, ["."] = true, [":"] = true, ["|"] = true, [","] = true, [";"] = true,
}
local opening = {["("] = ")", ["["] = "]", ["{"] = "}"}
local closing = {[")"] = true, ["]"] = true, ["}"] = true}

local function utf8_char(c)
  if c < 0x80 then return string.char(c) end
  if c < 0x800 then return string.char(0xC0 + math.floor(c / 64), 0x80 + c % 64) end
  if c < 0x10000 then return string.char(0xE0 + math.floor(c / 4096), 0x80 + math.floor(c / 64) % 64, 0x80 + c % 64) end
  return string.char(0xF0 + math.floor(c / 262144), 0x80 + math.floor(c / 4096) % 64, 0x80 + math.floor(c / 64) % 64, 0x80 + c % 64)
end

local simple = {n = "\n", t = "\t", r = "\r", a = "\a", b = "\b", f = "\f", v = "\v", ["\\"] = "\\", ["'"] = "'", ['"'] = '"',
  ["\n"] = ""}
local digits = {x = 2, u = 4, U = 8}

-- Python's escapes; an unknown one stays as it is written.
local function unescape(s, line)
  if not s:find("\\", 1, true) then return s end
  local out, at = {}, 1
  while true do
    local back = s:find("\\", at, true)
    if not back then break end
    out[#out + 1] = s:sub(at, back - 1)
    local c = s:sub(back + 1, back + 1)
    if simple[c] then
      out[#out + 1], at = simple[c], back + 2
    elseif digits[c] then
      local hex = s:sub(back + 2, back + 1 + digits[c])
      local code = #hex == digits[c] and not hex:find "%X" and tonumber(hex, 16)
      if not code or code > 0x10FFFF then syntax(line, "broken escape '\\%s' in a string", c) end
      out[#out + 1], at = utf8_char(code), back + 2 + digits[c]
    elseif c:find "[0-7]" then
      local octal = s:match("^[0-7][0-7]?[0-7]?", back + 1)
      out[#out + 1], at = utf8_char(tonumber(octal, 8)), back + 1 + #octal
    else
      out[#out + 1], at = "\\" .. c, back + 2
    end
  end
  out[#out + 1] = s:sub(at)
  return table.concat(out)
end

-- The number that begins at `at` -> kind, value, next position.
local function number(source, at, line)
  local prefix = source:match("^0[xXoObB]", at)
  if prefix then
    local base = ({x = 16, o = 8, b = 2})[prefix:sub(2):lower()]
    local text = source:match("^[%x_]+", at + 2)
    local value = text and tonumber((text:gsub("_", "")), base)
    if not value then syntax(line, "broken number") end
    return "integer", value, at + 2 + #text
  end
  local whole = source:match("^%d[%d_]*", at)
  local next_at = at + #whole
  local fraction = source:match("^%.%d[%d_]*", next_at) or ""
  local exponent = source:match("^[eE][+-]?%d[%d_]*", next_at + #fraction) or ""
  local text = (whole .. fraction .. exponent):gsub("_", "")
  local value = tonumber(text)
  if fraction == "" and exponent == "" then
    if value > 9007199254740992 then syntax(line, "integer too large") end
    return "integer", value, next_at
  end
  return "float", value + 0.0, next_at + #fraction + #exponent
end

------------------------------------------------------------------------------------------------------------------------ tokens

-- Where the lexer is: source, at (the first byte that is in no token yet), line, list, line_starting (whether the text at `at` begins
-- a line).
local Lexer = {}
Lexer.__index = Lexer

function Lexer:add(kind, value) self.list[#self.list + 1] = {kind = kind, value = value, line = self.line} end

function Lexer:count(from, to)
  for _ in self.source:sub(from, to):gmatch "\n" do self.line = self.line + 1 end
end

-- Text from `at` to just before `from`, a tag whose sign ("-", "+" or "") stands behind its beginning.
function Lexer:text_before(from, sign, is_print)
  local text = self.source:sub(self.at, from - 1)
  local kept = text
  if sign == "-" then
    kept = text:gsub("%s+$", "")
  elseif sign ~= "+" and not is_print then
    local newline = text:match ".*()\n"
    local rest = (newline or 0) + 1
    if (newline or self.line_starting) and text:find("^%s+$", rest) then kept = text:sub(1, rest - 1) end
  end
  if kept ~= "" then self:add("text", kept) end
  self:count(self.at, from - 1)
end

-- Goes on behind the end of a tag at `position`: what trim_blocks or a minus takes away is gone.
function Lexer:behind(position, sign, is_print)
  local to = position
  if sign == "-" then
    to = self.source:match("^%s*()", position)
  elseif sign ~= "+" and not is_print and self.source:sub(position, position) == "\n" then
    to = position + 1
  end
  self:count(position, to - 1)
  self.line_starting = self.source:sub(to - 1, to - 1) == "\n"
  self.at = to
end

-- Where the next of {{ {% {# is, and which; nil: there is none.
function Lexer:next_opening()
  local from = self.at
  while true do
    from = self.source:find("{", from, true)
    if not from then return nil end
    local open = self.source:match("^{[{%%#]", from)
    if open then return from, open end
    from = from + 1
  end
end

function Lexer:comment(from)
  local sign = self.source:match("^[-+]", from + 2) or ""
  self:text_before(from, sign, false)
  local to = self.source:find("#}", from + 2, true)
  if not to then syntax(self.line, "a comment without an end") end
  self:count(from, to - 1)
  self:behind(to + 2, to > from + 2 and self.source:match("^[-+]", to - 1) or "", false)
end

-- {% raw %} at `from`, whose end is at `inside`, and all up to {% endraw %}.
function Lexer:raw(from, sign, inside)
  self:count(from, inside - 1)
  self:behind(inside, sign, false)
  local stop, left, right, after = self.source:match("()" .. "{%%([-+]?)%s*endraw%s*([-+]?)%%}()", self.at)
  if not stop then syntax(self.line, "raw without endraw") end
  self:text_before(stop, left, false)
  self:count(stop, after - 1)
  self:behind(after, right, false)
end

-- The number at `position` -> the position behind it.
function Lexer:number(position)
  local kind, value, after = number(self.source, position, self.line)
  -- a[0].b and 1.real: a point with a digit is a fraction, except behind a point (x.0.1)
  local before = self.list[#self.list]
  if kind == "float" and before and before.kind == "op" and before.value == "." then
    local whole = self.source:match("^%d+", position)
    kind, value, after = "integer", tonumber(whole), position + #whole
  end
  self:add(kind, value)
  return after
end

-- The string at `position`, in quotes `mark` -> the position behind it.
function Lexer:string(position, mark)
  local stop = position + 1
  while true do
    stop = self.source:find("[\\" .. mark .. "]", stop)
    if not stop then syntax(self.line, "a string without an end") end
    if self.source:sub(stop, stop) == mark then break end
    stop = stop + 2
  end
  self:add("string", unescape(self.source:sub(position + 1, stop - 1), self.line))
  self:count(position, stop)
  return stop + 1
end

-- The operator at `position` -> the position behind it. `brackets`: what must close those that are open.
function Lexer:operator(position, brackets)
  local op = self.source:sub(position, position + 1)
  if not operators[op] or #op < 2 then op = op:sub(1, 1) end
  if not operators[op] then syntax(self.line, "unexpected character '%s'", op) end
  if opening[op] then
    brackets[#brackets + 1] = opening[op]
  elseif closing[op] then
    local expected = table.remove(brackets)
    if expected ~= op then syntax(self.line, expected and "unexpected '%s', expected '%s'" or "unexpected '%s'", op, expected) end
  end
  self:add("op", op)
  return position + #op
end

-- What stands between {{ and }} or {% and %}, and the end.
function Lexer:inside(position, is_print)
  local source, brackets = self.source, {}
  self:add(is_print and "print" or "block")
  while true do
    local start = source:match("^%s*()", position)
    self:count(position, start - 1)
    position = start
    if #brackets == 0 then
      local minus = source:match(is_print and "^([-+]?)}}" or "^([-+]?)%%}", position)
      if minus and not (is_print and minus == "+") then
        self:add(is_print and "end_print" or "end_block")
        return self:behind(position + #minus + 2, minus, is_print)
      end
    end
    local c = source:sub(position, position)
    if c == "" then
      syntax(self.line, "the template ends inside a %s", is_print and "'{{'" or "'{%'")
    elseif c:find "[%a_\128-\255]" then
      local name = source:match("^[%w_\128-\255]+", position)
      self:add("name", name)
      position = position + #name
    elseif c:find "%d" then
      position = self:number(position)
    elseif c == '"' or c == "'" then
      position = self:string(position, c)
    else
      position = self:operator(position, brackets)
    end
  end
end

-- source -> list of tokens. Raises what is wrong, with its line.
function lexer.tokens(source)
  source = source:gsub("\r\n?", "\n")
  if source:sub(-1) == "\n" then source = source:sub(1, -2) end
  local self = setmetatable({source = source, list = {}, at = 1, line = 1, line_starting = true}, Lexer)
  while true do
    local from, open = self:next_opening()
    if not from then break end
    if open == "{#" then
      self:comment(from)
    else
      local is_print = open == "{{"
      local sign = source:match("^[-+]", from + 2) or ""
      if is_print and sign == "+" then sign = "" end
      self:text_before(from, sign, is_print)
      local raw_sign, inside = source:match("^%s*raw%s*([-+]?)%%}()", from + 2 + #sign)
      if not is_print and raw_sign then self:raw(from, raw_sign, inside) else self:inside(from + 2 + #sign, is_print) end
    end
  end
  local rest = source:sub(self.at)
  if rest ~= "" then self:add("text", rest) end
  self:count(self.at, #source)
  self:add "end"
  return self.list
end

return lexer
