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

-- source -> list of tokens. Raises what is wrong, with its line.
function lexer.tokens(source)
  source = source:gsub("\r\n?", "\n")
  if source:sub(-1) == "\n" then source = source:sub(1, -2) end
  local list, at, line = {}, 1, 1
  local line_starting = true
  local function add(kind, value) list[#list + 1] = {kind = kind, value = value, line = line} end
  local function count(from, to)
    for _ in source:sub(from, to):gmatch "\n" do line = line + 1 end
  end

  -- Text from `at` to just before `from`, a tag whose sign ("-", "+" or "") stands behind its beginning.
  local function text_before(from, sign, is_print)
    local text = source:sub(at, from - 1)
    local kept = text
    if sign == "-" then
      kept = text:gsub("%s+$", "")
    elseif sign ~= "+" and not is_print then
      local newline = text:match ".*()\n"
      local rest = (newline or 0) + 1
      if (newline or line_starting) and text:find("^%s+$", rest) then kept = text:sub(1, rest - 1) end
    end
    if kept ~= "" then add("text", kept) end
    count(at, from - 1)
  end

  -- Behind the end of a tag at `position`: what trim_blocks or a minus takes away.
  local function behind(position, sign, is_print)
    local to = position
    if sign == "-" then
      to = source:match("^%s*()", position)
    elseif sign ~= "+" and not is_print and source:sub(position, position) == "\n" then
      to = position + 1
    end
    count(position, to - 1)
    line_starting = source:sub(to - 1, to - 1) == "\n"
    return to
  end

  while true do
    local from = at
    local open
    repeat -- the next of {{ {% {#
      from = source:find("{", from, true)
      if not from then break end
      open = source:match("^{[{%%#]", from)
      if not open then from = from + 1 end
    until open
    if not from then break end
    local sign = source:match("^[-+]", from + 2) or ""
    if open == "{#" then
      text_before(from, sign, false)
      local to = source:find("#}", from + 2, true)
      if not to then syntax(line, "a comment without an end") end
      count(from, to - 1)
      sign = to > from + 2 and source:match("^[-+]", to - 1) or ""
      at = behind(to + 2, sign, false)
    else
      local is_print = open == "{{"
      if is_print and sign == "+" then sign = "" end
      text_before(from, sign, is_print)
      local position = from + 2 + #sign
      local raw_sign, raw_at = source:match("^%s*raw%s*([-+]?)%%}()", position)
      if not is_print and raw_sign then
        count(from, raw_at - 1)
        at = behind(raw_at, raw_sign, false)
        local stop, left, right, after = source:match("()" .. "{%%([-+]?)%s*endraw%s*([-+]?)%%}()", at)
        if not stop then syntax(line, "raw without endraw") end
        text_before(stop, left, false)
        count(stop, after - 1)
        at = behind(after, right, false)
      else
        add(is_print and "print" or "block")
        local brackets = {}
        while true do
          local start = source:match("^%s*()", position)
          count(position, start - 1)
          position = start
          if #brackets == 0 then
            local minus = source:match(is_print and "^([-+]?)}}" or "^([-+]?)%%}", position)
            if minus and not (is_print and minus == "+") then
              add(is_print and "end_print" or "end_block")
              at = behind(position + #minus + 2, minus, is_print)
              break
            end
          end
          local c = source:sub(position, position)
          if c == "" then
            syntax(line, "the template ends inside a %s", is_print and "'{{'" or "'{%'")
          elseif c:find "[%a_\128-\255]" then
            local name = source:match("^[%w_\128-\255]+", position)
            add("name", name)
            position = position + #name
          elseif c:find "%d" then
            local kind, value
            local begin = position
            kind, value, position = number(source, position, line)
            -- a[0].b and 1.real: a point with a digit is a fraction, except behind a point (x.0.1)
            local before = list[#list]
            if kind == "float" and before and before.kind == "op" and before.value == "." then
              local whole = source:match("^%d+", begin)
              kind, value, position = "integer", tonumber(whole), begin + #whole
            end
            add(kind, value)
          elseif c == '"' or c == "'" then
            local stop = position + 1
            while true do
              stop = source:find("[\\" .. c .. "]", stop)
              if not stop then syntax(line, "a string without an end") end
              if source:sub(stop, stop) == c then break end
              stop = stop + 2
            end
            add("string", unescape(source:sub(position + 1, stop - 1), line))
            count(position, stop)
            position = stop + 1
          else
            local op = source:sub(position, position + 1)
            if not operators[op] or #op < 2 then op = c end
            if not operators[op] then syntax(line, "unexpected character '%s'", c) end
            if opening[op] then
              brackets[#brackets + 1] = opening[op]
            elseif closing[op] then
              local expected = table.remove(brackets)
              if expected ~= op then
                syntax(line, expected and "unexpected '%s', expected '%s'" or "unexpected '%s'", op, expected)
              end
            end
            add("op", op)
            position = position + #op
          end
        end
      end
    end
  end
  local rest = source:sub(at)
  if rest ~= "" then add("text", rest) end
  count(at, #source)
  add "end"
  return list
end

return lexer
