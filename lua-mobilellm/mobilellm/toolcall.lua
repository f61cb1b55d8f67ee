-- Tool calls in the text of a model: formats as data, parsing whole or as it comes.
local core = require "mobilellm.core"
local tools = require "mobilellm.tools"
local records = require "mobilellm.toolcall.formats"
local write = require "mobilellm.toolcall.write".write
local constrain = require "mobilellm.toolcall.constrain"
local misuse = core.misuse

local toolcall = {}

-- ---------------------------------------------------------------- formats

local by_name, in_order = {}, {}

-- fields of a record that are pairs of markers: record field -> begin, end
local pairs_of = {"section", "call", "key", "value", "reasoning"}
-- fields that are spelled as they are handed over; record field -> field of the core
local plain = {
  body = "body", name_end = "name.end", name_prefix = "name.prefix", name_suffix = "name.suffix", id_begin = "id.begin",
  name_key = "name.key", arguments_key = "arguments.key", id_key = "id.key", nest_key = "nest.key", text_key = "text.key",
  extra_key = "extra.key", name_is_key = "name.is_key", value_text = "value.text", value_json = "value.json",
  delimiter = "delimiter", reasoning_stray = "reasoning.stray", drop = "drop", list = "list", bare = "bare", line = "line",
  start = "start", trim = "trim", weak = "weak", reasoning_calls = "reasoning.calls", channels_begin = "channels.begin",
  channels_message = "channels.message", channels_end = "channels.end", channels_reasoning = "channels.reasoning",
  recipient = "recipient", text_name = "text.name",
}
-- fields that only the prompt, the grammar or a reader needs
local other = {
  name = true, aliases = true, models = true, separator = true, assign = true, padding = true, hidden = true, note = true,
  id_length = true, arguments_text = true, header = true, bare_start = true, one_per_section = true,
  list_open = true, list_close = true, spaced = true, alone = true,
}

-- "" stands for "write nothing here": no spelling to look for.
local function spellings(value)
  local list = {}
  for _, text in ipairs(type(value) == "table" and value or {value}) do
    if text ~= "" then list[#list + 1] = text end
  end
  return list
end

-- The record as the core takes it.
local function fields_of(record)
  local fields = {}
  for key, value in pairs(record) do
    if plain[key] then
      fields[plain[key]] = value
    elseif not other[key] then
      local known = false
      for _, pair in ipairs(pairs_of) do known = known or key == pair end
      if not known then misuse(("format '%s': unknown field '%s'"):format(tostring(record.name), tostring(key))) end
    end
  end
  for _, pair in ipairs(pairs_of) do
    local value = record[pair]
    if value ~= nil then
      if type(value) ~= "table" then
        misuse(("format '%s': %s must be a table {begin, end}"):format(tostring(record.name), pair))
      end
      fields[pair .. ".begin"], fields[pair .. ".end"] = spellings(value[1]), spellings(value[2])
    end
  end
  if record.reasoning == nil and not record.channels_begin then
    fields["reasoning.begin"], fields["reasoning.end"] = {"<think>"}, {"</think>"}
  end
  return fields
end

local function make_entry(record)
  local fields = fields_of(record)
  return {record = record, fields = fields, compiled = assert(core.toolcall_format(record.name, fields))}
end

-- toolcall.format(record) -> the format's name. Adds a format (or puts it in the place of the one with the same name), so that
-- it is found by name and by "auto". Raises for a record that makes no format.
function toolcall.format(record)
  if type(record) ~= "table" or type(record.name) ~= "string" then
    misuse("toolcall.format: a table with a name expected")
  end
  local entry = make_entry(record)
  local old = by_name[record.name]
  if old and old.record.name == record.name then
    for i = 1, #in_order do
      if in_order[i] == old then in_order[i] = entry end
    end
  else
    in_order[#in_order + 1] = entry
  end
  by_name[record.name] = entry
  for _, alias in ipairs(record.aliases or {}) do
    if not by_name[alias] or by_name[alias] == old then by_name[alias] = entry end
  end
  return record.name
end

for _, record in ipairs(records) do toolcall.format(record) end

-- toolcall.formats() -> names in the order in which "auto" tries them.
function toolcall.formats()
  local names = {}
  for i, entry in ipairs(in_order) do names[i] = entry.record.name end
  return names
end

-- toolcall.record(name) -> the record of a format (do not change it), or nil.
function toolcall.record(name)
  local entry = name ~= nil and by_name[name]
  return entry and entry.record
end

local function formats_for(format, level)
  if format == nil or format == "auto" then
    local list = {}
    for _, entry in ipairs(in_order) do
      if not entry.record.hidden then list[#list + 1] = entry end
    end
    return list
  elseif type(format) == "string" then
    local entry = by_name[format]
    if not entry then misuse(("unknown tool call format '%s'"):format(format)) end
    return {entry}
  elseif type(format) == "table" and format.name then
    return {make_entry(format)}
  elseif type(format) == "table" then
    local list = {}
    for i, one in ipairs(format) do list[i] = formats_for(one, level + 1)[1] end
    return list
  end
  misuse(("format: name, record or list of them expected, got %s"):format(type(format)))
end

-- ---------------------------------------------------------------- writing

-- toolcall.write(calls, {format = name or record}) -> the calls as a model of that format writes them. `calls` is a list of {name =,
-- arguments =, id =, order = names of the arguments in the order to write them (sorted unless given)}.
function toolcall.write(calls, opts)
  local format = opts and opts.format
  local record = type(format) == "table" and format or toolcall.record(format)
  if not record then misuse(("toolcall.write: unknown tool call format '%s'"):format(tostring(format))) end
  return write(calls, record)
end

-- toolcall.known(format, where): raises for what `format` options do not take; nil is fine.
function toolcall.known(format, where)
  if format == nil or format == "auto" or type(format) == "string" and by_name[format] then return end
  if type(format) == "string" then misuse(("%s: unknown tool call format '%s'"):format(where, format)) end
  if type(format) ~= "table" then
    misuse(("%s: option 'format': name, record or list of them expected, got %s"):format(where, type(format)))
  end
  for _, one in ipairs(format.name and {} or format) do toolcall.known(one, where) end
end

local grammar_options = {
  format = true, least = true, most = true, text = true, strict = true, vocabulary = true, thoughts = true,
}

-- toolcall.grammar(tools, {format =, least = 1, most =, text = false, strict = true, vocabulary =, thoughts = false}) -> grammar, notes;
-- nil, message, code.
-- The language of `least` to `most` calls of these tools, with arguments that satisfy their schemas: what the parser reads and
-- registry:check accepts. Object keys come in one order: those that are required as listed, then the others by name.
--   format      name or record; with text, a list of them as well
--   text        true: free text too, in which what begins a call is one; formats whose calls need no marker begin the answer with them
--   strict      false: what of a schema the format cannot enforce (a pattern of an untyped value in tags) is not enforced, and `notes`, a
--               list of sentences, names it; else such schemas are refused, code "unsupported"
--   vocabulary  a model: markers that are its control tokens are these
--   thoughts    true: the answer begins inside thoughts, and the language behind their end
function toolcall.grammar(any, opts)
  opts = opts or {}
  for key in pairs(opts) do
    if not grammar_options[key] then misuse(("toolcall.grammar: unknown option '%s'"):format(tostring(key))) end
  end
  for _, name in ipairs{"least", "most"} do
    if opts[name] ~= nil and (type(opts[name]) ~= "number" or opts[name] < 0 or opts[name] % 1 ~= 0) then
      misuse(("toolcall.grammar: option '%s': integer of at least 0 expected, got %s"):format(name, tostring(opts[name])))
    end
  end
  local format = opts.format
  local formats = type(format) == "table" and not format.name and format or {format}
  if #formats > 1 and not opts.text then misuse("toolcall.grammar: several formats only with 'text'") end
  local chosen = {}
  for i = 1, math.max(#formats, 1) do
    chosen[i] = type(formats[i]) == "table" and formats[i] or toolcall.record(formats[i])
    if not chosen[i] then misuse(("toolcall.grammar: unknown tool call format '%s'"):format(tostring(formats[i]))) end
  end
  local list, problems = tools.list(any)
  if #list == 0 and problems[1] then return nil, "toolcall.grammar: no tool can be called: " .. problems[1], "grammar" end
  local made, notes, code = constrain(list, chosen, opts)
  for i, problem in ipairs(made and problems or {}) do table.insert(notes, i, problem .. ": it cannot be called") end
  return made, notes, code
end

-- ----------------------------------------------------------------- parser

local option_names = {format = true, tools = true, repair = true, limit = true, reasoning = true}

-- The formats that the options ask for, as entries.
local function check_options(name, opts, level)
  opts = opts or {}
  if type(opts) ~= "table" then
    misuse(("%s: table of options expected, got %s"):format(name, type(opts)))
  end
  for key in pairs(opts) do
    if not option_names[key] then misuse(("%s: unknown option '%s'"):format(name, tostring(key))) end
  end
  local reasoning = opts.reasoning
  if reasoning ~= nil and type(reasoning) ~= "boolean" and reasoning ~= "open" then
    misuse(("%s: option 'reasoning': true, false or \"open\" expected"):format(name))
  end
  return formats_for(opts.format, level + 1)
end

local function new_parser(list, opts, open)
  opts = opts or {}
  local compiled = {}
  for i, entry in ipairs(list) do compiled[i] = entry.compiled end
  return core.toolcall_parser(compiled, tools.declared(opts.tools), {
    limit = opts.limit, repair = opts.repair, keep_reasoning = opts.reasoning == false,
    reasoning_open = open or opts.reasoning == "open",
  })
end

-- toolcall.parser{format =, tools =, repair =, limit =, reasoning =} -> parser with feed(chunk) and finish(), both giving a
-- list of events; reset() for the next message.
--   format     "auto" (default), a name, a record, or a list of these tried in order
--   tools      a registry, or a list of {name, description, parameters}, also in OpenAI's form: values without a type of their
--              own get that of the schema; where calls need no marker, what names no tool stays text
--   repair     mend what is unambiguous; call_end then has `repairs`
--   limit      most bytes of one call (default 1 MiB)
--   reasoning  true (default): thoughts are events of their own; false: they are text; "open": the prompt has opened them
-- Events (kind):
--   text {text}  reasoning {text}  call_begin {name, id, call, format}
--   argument {path, delta, text, value, complete, call}: a piece of one leaf; delta is the bytes as written, text what they mean
--     when the leaf is a string; value is the leaf when complete, and a string so far (while it has no more than 4096 bytes)
--   call_end {name, arguments, id, call, raw, format, repairs}
--   error {code = "broken" | "unfinished" | "limit" | "skipped", message, position, name, arguments (what could be saved), raw};
--     "skipped" holds the bytes of a broken call that come after the fault
-- Text and argument pieces are cut where chunks are; joined, events are the same for every chunking.
function toolcall.parser(opts)
  return new_parser(check_options("toolcall.parser", opts, 2), opts)
end

local function read(parser, text)
  local out = {calls = {}, errors = {}}
  local pieces, thoughts = {}, {}
  for step = 1, 2 do
    local events, why, kind
    if step == 1 then events, why, kind = parser:feed(text) else events, why, kind = parser:finish() end
    if not events then return nil, why, kind end
    for _, event in ipairs(events) do
      if event.kind == "text" then
        pieces[#pieces + 1] = event.text
      elseif event.kind == "reasoning" then
        thoughts[#thoughts + 1] = event.text
      elseif event.kind == "call_end" then
        out.calls[#out.calls + 1] = {
          name = event.name, arguments = event.arguments, id = event.id, raw = event.raw, repairs = event.repairs,
        }
        out.format = out.format or event.format
      elseif event.kind == "error" then
        out.errors[#out.errors + 1] = event
      end
    end
  end
  parser:close()
  out.text = table.concat(pieces)
  out.reasoning = table.concat(thoughts)
  return out
end

-- The end of thoughts that stands first in a text without their beginning, as the place of its format in the list; nil: none does.
local function opened_by_prompt(list, text)
  local found, at = nil, math.huge
  for i, entry in ipairs(list) do
    for _, spelling in ipairs(entry.fields["reasoning.end"] or {}) do
      local from = text:find(spelling, 1, true)
      if from and from < at then found, at = i, from end
    end
  end
  return found
end

-- toolcall.parse(text, {...the options of parser}) -> {calls = {{name, arguments, id}}, text =, reasoning =, errors = {}, format =}
-- Unless `reasoning` is given, an end of thoughts without a beginning means that the prompt had opened them.
function toolcall.parse(text, opts)
  if type(text) ~= "string" then misuse(("toolcall.parse: string expected, got %s"):format(type(text))) end
  local list = check_options("toolcall.parse", opts, 2)
  local parser, message, code = new_parser(list, opts)
  if not parser then return nil, message, code end
  local out
  out, message, code = read(parser, text)
  if not out then return nil, message, code end
  local first = (not opts or opts.reasoning == nil) and out.reasoning == "" and opened_by_prompt(list, out.text)
  if not first then return out end
  table.insert(list, 1, table.remove(list, first))
  parser, message, code = new_parser(list, opts, true)
  if not parser then return nil, message, code end
  return read(parser, text)
end

return toolcall
