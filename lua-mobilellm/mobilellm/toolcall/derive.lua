-- The format of tool calls that a chat template implies: it is made to show calls, and what it writes is compared with the records
-- of the known formats, else read as JSON between markers that become a record of their own.
local core = require "mobilellm.core"
local toolcall = require "mobilellm.toolcall"

local derive = {}
local json = core.json

local function tool(name)
  return {
    name = name, description = "Probe of the format",
    parameters = {type = "object", required = {"probe_key"},
      properties = {probe_key = {type = "string", description = "A key"}, probe_number = {type = "integer", description = "A number"}}},
  }
end

local tools = {tool "probe_first", tool "probe_second"}
local calls = {
  {name = "probe_first", arguments = {probe_key = "probe value", probe_number = 7}},
  {name = "probe_second", arguments = {probe_key = "other"}},
}
local user = {role = "user", content = "probe of the format"}

local function answer(n)
  local list = {}
  for i = 1, n do
    list[i] = {id = "probe000" .. i, type = "function", ["function"] = {name = calls[i].name, arguments = calls[i].arguments}}
  end
  return {role = "assistant", content = "", tool_calls = list}
end

local function common(a, b)
  local n = math.min(#a, #b)
  for i = 1, n do
    if a:byte(i) ~= b:byte(i) then return i - 1 end
  end
  return n
end

-- What the template writes for a turn of n calls, from where the model would begin to write; nil when it fails.
local function turn(render, n)
  local whole = render({user, answer(n)}, tools, false)
  if not whole then return nil end
  local prompt = render({user}, tools, true)
  if prompt and whole:sub(1, #prompt) == prompt then return whole:sub(#prompt + 1) end
  local before = render({user}, tools, false)
  if not before then return nil end
  return whole:sub(common(before, whole) + 1)
end

-- Whether a format reads the first n calls out of a text, and how many bytes of other text it leaves.
local function reads(format, text, n)
  local ok, result = pcall(toolcall.parse, text, {format = format, tools = tools})
  if not ok or not result or #result.calls ~= n or #result.errors > 0 then return nil end
  for i = 1, n do
    local got, wanted = result.calls[i], calls[i]
    if got.name ~= wanted.name or type(got.arguments) ~= "table" then return nil end
    for key, value in pairs(wanted.arguments) do
      if got.arguments[key] ~= value then return nil end
    end
    for key in pairs(got.arguments) do
      if wanted.arguments[key] == nil then return nil end
    end
  end
  return #result.text
end

-- Where the bracket at `from` closes, strings left out.
local function closing(s, from)
  local depth, at = 0, from
  while at <= #s do
    local c = s:sub(at, at)
    if c == '"' then
      repeat at = s:find('["\\]', at + 1) if at and s:sub(at, at) == "\\" then at = at + 1 end until not at or s:sub(at, at) == '"'
      if not at then return nil end
    elseif c == "{" or c == "[" then
      depth = depth + 1
    elseif c == "}" or c == "]" then
      depth = depth - 1
      if depth == 0 then return at end
    end
    at = at + 1
  end
end

-- A record for JSON objects between markers, from a turn of one call.
local function record_of(text)
  local at = 1
  while true do
    local from = text:find("{", at, true)
    if not from then return nil end
    local to = closing(text, from)
    local object = to and json.decode(text:sub(from, to))
    if type(object) == "table" then
      local name_key, arguments_key
      for key, value in pairs(object) do
        if value == "probe_first" then name_key = key end
        if type(value) == "table" and value.probe_key == "probe value" then arguments_key = key end
      end
      if name_key and arguments_key then
        local begin, stop = text:sub(1, from - 1), text:match("^%s*(<[^<>]+>)", to + 1) or text:match("^%s*(%[[^%[%]]+%])", to + 1)
        begin = begin:match "(<[^<>]+>)%s*$" or begin:match "(%[[%u_]+%])%s*$" or begin:match "([^\n]+)%s*$"
        return {name = "derived", body = "json", call = {begin, stop}, bare = begin == nil or nil, name_key = name_key,
          arguments_key = arguments_key}
      end
    end
    at = from + 1
  end
end

-- derive.format(render) -> name of a known format, or a record, or nil. render(messages, tools, generation) -> text or nil is the
-- template; generation asks for the beginning of an answer.
function derive.format(render)
  local one, two = turn(render, 1), turn(render, 2)
  if not one then return nil end
  local best, least
  local names = toolcall.formats()
  for _, name in ipairs(names) do
    local left = reads(name, one, 1)
    if left and two then
      local more = reads(name, two, 2)
      left = more and left + more
    end
    if left and (not least or left < least) then best, least = name, left end
  end
  if best then return best end
  for _, name in ipairs(names) do -- a template that shows one call only
    local left = reads(name, one, 1)
    if left and (not least or left < least) then best, least = name, left end
  end
  if best then return best end
  local record = record_of(one)
  if record and reads(record, one, 1) then return record end
  return nil
end

return derive
