-- Calls as text: the record of a format, read the other way round. What it writes, the parser reads back.
local core = require "mobilellm.core"

local null, is_array, encode = core.null, core.json.is_array, core.json.encode

-- The first spelling of a field: the one to write.
local function first(value)
  if type(value) == "table" then value = value[1] end
  return value or ""
end

local function pair(record, field)
  local value = record[field] or {}
  return first(value[1]), first(value[2])
end

local function keys_of(object, order)
  local keys, known = {}, {}
  for _, key in ipairs(order or {}) do
    if object[key] ~= nil and not known[key] then
      keys[#keys + 1], known[key] = key, true
    end
  end
  local rest = {}
  for key in pairs(object) do
    if not known[key] then rest[#rest + 1] = key end
  end
  table.sort(rest)
  for _, key in ipairs(rest) do keys[#keys + 1] = key end
  return keys
end

-- How values are spelled: JSON, Python's literals, and strings between a delimiter.
local spell = {
  json = {string = encode, key = encode, colon = ": ", comma = ", ", yes = "true", no = "false", none = "null"},
  python = {string = encode, key = encode, colon = ": ", comma = ", ", yes = "True", no = "False", none = "None"},
}

local function delimited(delimiter)
  return {
    string = function(s) return delimiter .. s .. delimiter end, colon = ":", comma = ",",
    key = function(s) -- quoted where it could not be told from what stands around it
      local odd = s == "" or s:find "^ " or s:find " $" or s:find "[%c:,{}%[%]\"']" or s:find(delimiter:sub(1, 1), 1, true)
      return odd and encode(s) or s
    end,
    yes = "true", no = "false", none = "null",
  }
end

local function dump(v, how, depth, order)
  if depth > 100 then error("toolcall.write: arguments nested deeper than 100", 0) end
  if v == null then return how.none end
  if v == true then return how.yes end
  if v == false then return how.no end
  if type(v) == "string" then return how.string(v) end
  if type(v) ~= "table" then return encode(v) end
  local parts = {}
  if is_array(v) or #v > 0 then
    for i = 1, #v do parts[i] = dump(v[i], how, depth + 1) end
    return "[" .. table.concat(parts, how.comma) .. "]"
  end
  for i, key in ipairs(keys_of(v, order)) do parts[i] = how.key(key) .. how.colon .. dump(v[key], how, depth + 1) end
  return "{" .. table.concat(parts, how.comma) .. "}"
end

local function json_object(members)
  return "{" .. table.concat(members, ", ") .. "}"
end

local bodies = {}

function bodies.json(record, call)
  local arguments = dump(call.arguments or {}, spell.json, 0, call.order)
  if record.name_is_key then return json_object{encode(call.name) .. ": " .. arguments} end
  if record.arguments_text then arguments = encode(arguments) end
  local members = {
    encode(first(record.name_key)) .. ": " .. encode(call.name), encode(first(record.arguments_key)) .. ": " .. arguments,
  }
  local id = call.id and record.id_key and encode(first(record.id_key)) .. ": " .. encode(call.id)
  if record.arguments_text then -- OpenAI's object: the function inside
    return json_object{id or '"id": ""', '"type": "function"', '"function": ' .. json_object(members)}
  end
  if id then members[3] = id end
  return json_object(members)
end

function bodies.named(record, call, index)
  local how = record.delimiter and delimited(first(record.delimiter)) or spell.json
  local suffix = record.name_suffix and first(record.name_suffix) .. (index - 1) or ""
  local id = call.id and record.id_begin and first(record.id_begin) .. call.id or ""
  return first(record.name_prefix) .. call.name .. suffix .. id .. first(record.name_end) ..
    dump(call.arguments or {}, how, 0, call.order)
end

function bodies.tagged(record, call)
  local key_begin, key_end = pair(record, "key")
  local value_begin, value_end = pair(record, "value")
  local gap = record.separator or ""
  local edge = record.trim and "\n" or ""
  local parts = {call.name .. first(record.name_end)}
  for _, key in ipairs(keys_of(call.arguments or {}, call.order)) do
    local value = call.arguments[key]
    local string = type(value) == "string"
    local opening = value_begin
    if record.value_text then opening = first(string and record.value_text or record.value_json) end
    -- Where keys and values have tags of their own, each stands on its line.
    local between = value_begin ~= "" and not record.value_text and gap or ""
    parts[#parts + 1] = key_begin .. key .. key_end .. between .. opening .. edge ..
      (string and value or dump(value, spell.json, 0)) .. edge .. value_end
  end
  local own_line = first(record.name_end) == gap and gap ~= "" -- the end of the name is a line end already
  local head = table.remove(parts, 1)
  return head .. (own_line and "" or gap) .. table.concat(parts, gap) .. (#parts > 0 and gap or "")
end

function bodies.python(record, call)
  local parts = {}
  for i, key in ipairs(keys_of(call.arguments or {}, call.order)) do
    parts[i] = key .. (record.assign or "=") .. dump(call.arguments[key], spell.python, 0)
  end
  return call.name .. first(record.name_suffix) .. "(" .. table.concat(parts, ", ") .. ")"
end

function bodies.channels(record, call)
  return record.header[1] .. call.name .. record.header[2] .. dump(call.arguments or {}, spell.json, 0, call.order) ..
    first(record.channels_end)
end

-- What stands around the calls of a message and around each of them: open first body after between before body after ... close.
local function layout(record)
  local section_begin, section_end = pair(record, "section")
  local call_begin, call_end = pair(record, "call")
  local pad = record.padding or ""
  local inner = record.body == "tagged" and "" or pad
  local at = {open = section_begin, close = section_end, between = record.separator or (record.list and ", " or "")}
  at.before = call_begin .. (call_begin ~= "" and inner or "")
  at.after = (call_end ~= "" and inner or "") .. call_end
  if record.list then
    at.open, at.close = section_begin .. (record.list_open or "["), (record.list_close or "]") .. section_end
  elseif section_begin ~= "" then
    at.open, at.close = section_begin .. pad, pad .. section_end
  end
  if record.one_per_section then -- each call has a section of its own: Qwen's tags
    at.before, at.after, at.open, at.close = at.open .. at.before, at.after .. at.close, "", ""
  end
  at.first = record.bare_start and "" or at.before -- the prompt may end in it
  return at
end

local function write(calls, record)
  if #calls == 0 then return "" end
  local body, at = bodies[record.body], layout(record)
  local list = {}
  for i, call in ipairs(calls) do list[i] = (i == 1 and at.first or at.before) .. body(record, call, i) .. at.after end
  return at.open .. table.concat(list, at.between) .. at.close
end

return {write = write, layout = layout, dump = dump, spell = spell, delimited = delimited, first = first, pair = pair}
