-- How a conversation becomes the prompt of a model: its own chat template, completed where it loses something, or one of ours.
--
-- prompt.new(model, options) -> form with
--   form:segments(messages, tools)   list of {text =, user =} that ends where the model goes on; nil, message, code
--   form.kind     "template" (the model's or the caller's), "signature", "chatml" or "plain"
--   form.format   the format of tool calls, as the parser takes it
--   form.grammar_format   the same, as the grammar takes it (unless it is that)
--   form.notes    what had to be completed, as sentences
--   form.stop     stop strings that the form needs
--   form.silent   control tokens are not part of what the model says
--   form.repeats  {tools, system}: the template moves these to the last message of the user
local core = require "mobilellm.core"
local signature = require "mobilellm.signature"
local template = require "mobilellm.template"
local toolcall = require "mobilellm.toolcall"
local derive = require "mobilellm.toolcall.derive"

local prompt = {}
local json = core.json

-- ------------------------------------------------------------ our templates

local chatml = [[
{%- for m in messages %}
{{- '<|im_start|>' + m.role + '\n' + m.content | trim + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}]]

local plain = [[
{%- for m in messages %}
{%- if m.role == 'system' %}{{ m.content | trim + '\n\n' }}
{%- elif m.role == 'assistant' %}{{ 'Assistant: ' + m.content | trim + '\n' }}
{%- else %}{{ 'User: ' + m.content | trim + '\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}]]

-- --------------------------------------------------- tools in a known order

local orders = {
  tool = {"type", "function"},
  fn = {"name", "description", "parameters", "strict", "return"},
  schema = {"type", "description", "enum", "const", "format", "properties", "items", "required", "default", "additionalProperties"},
}

local function ordered_schema(schema, depth)
  if type(schema) ~= "table" or json.is_array(schema) or schema[1] ~= nil or depth > 32 then return schema end
  local out = {}
  local known = next(schema) ~= nil and json.keys(schema) or {}
  local as_given = getmetatable(schema) ~= nil -- an object that carries its order
  for key, value in pairs(schema) do
    if key == "properties" and type(value) == "table" then
      local copy = {}
      for name, property in pairs(value) do copy[name] = ordered_schema(property, depth + 1) end
      local names, seen = {}, {}
      if getmetatable(value) == nil then -- the required ones first, as they are listed
        for _, name in ipairs(type(schema.required) == "table" and schema.required or {}) do
          if value[name] ~= nil and not seen[name] then names[#names + 1], seen[name] = name, true end
        end
      end
      for _, name in ipairs(json.keys(value)) do
        if not seen[name] then names[#names + 1] = name end
      end
      out[key] = json.object(copy, names)
    elseif key == "items" then
      out[key] = ordered_schema(value, depth + 1)
    else
      out[key] = value
    end
  end
  return json.object(out, as_given and known or orders.schema)
end

-- The declarations as OpenAI's API spells them, in one order on every Lua.
local function openai(list)
  local out = json.array{}
  for i, tool in ipairs(list) do
    local parameters = tool.parameters or {type = "object", properties = {}}
    out[i] = json.object({
      type = "function",
      ["function"] = json.object({name = tool.name, description = tool.description or "",
        parameters = ordered_schema(parameters, 0)}, orders.fn),
    }, orders.tool)
  end
  return out
end

-- ------------------------------------------------------------ completions

local HERMES = "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function "
  .. "signatures within <tools></tools> XML tags:\n<tools>\n%s\n</tools>\n\nFor each function call, return a json object with function "
  .. "name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": "
  .. "<args-json-object>}\n</tool_call>"

local function tools_text(tools)
  local lines = {}
  for i, tool in ipairs(tools) do lines[i] = json.encode(tool) end
  return (HERMES:gsub("%%s", function() return table.concat(lines, "\n") end))
end

local function joined(a, b)
  if a == nil or a == "" then return b end
  return a .. "\n\n" .. b
end

local function with(message, fields)
  local copy = {}
  for key, value in pairs(message) do copy[key] = value end
  for key, value in pairs(fields) do copy[key] = value end
  return copy
end

-- The messages as the template can show them.
local function completed(form, messages, tools)
  local out = {}
  for i, message in ipairs(messages) do out[i] = message end
  if form.lost.tools and #tools > 0 then
    local text = tools_text(openai(tools))
    if out[1] and out[1].role == "system" then
      out[1] = with(out[1], {content = joined(out[1].content, text)})
    else
      table.insert(out, 1, {role = "system", content = text})
    end
  end
  if form.lost.calls or form.lost.results then
    for i, message in ipairs(out) do
      if form.lost.calls and message.role == "assistant" and message.tool_calls then
        local calls = {}
        for n, call in ipairs(message.tool_calls) do calls[n] = {name = call["function"].name, arguments = call["function"].arguments} end
        local text = toolcall.write(calls, {format = form.call_format})
        local content = message.content ~= "" and message.content .. "\n" .. text or text
        out[i] = with(message, {content = content})
        out[i].tool_calls = nil
      elseif form.lost.results and message.role == "tool" then
        out[i] = {role = "user", content = "<tool_response>\n" .. tostring(message.content) .. "\n</tool_response>"}
      end
    end
  end
  if form.lost.system and out[1] and out[1].role == "system" then
    local system = table.remove(out, 1)
    if out[1] and out[1].role == "user" then
      out[1] = with(out[1], {content = joined(system.content, out[1].content)})
    else
      table.insert(out, 1, {role = "user", content = system.content})
    end
  end
  if form.lost.results then -- neighbours of one role become one message: templates want turns
    local merged = {}
    for _, message in ipairs(out) do
      local last = merged[#merged]
      if last and last.role == "user" and message.role == "user" then
        merged[#merged] = with(last, {content = joined(last.content, message.content)})
      else
        merged[#merged + 1] = message
      end
    end
    out = merged
  end
  return out
end

-- What a template gets to see of the messages.
local function shown(form, messages)
  local out = json.array{}
  for i, message in ipairs(messages) do
    local copy = {role = template.own(message.role), content = message.content or ""}
    for _, key in ipairs{"name", "tool_call_id"} do copy[key] = message[key] end
    if message.reasoning_content and message.reasoning_content ~= "" then copy.reasoning_content = message.reasoning_content end
    if message.tool_calls then
      copy.tool_calls = json.array{}
      for n, call in ipairs(message.tool_calls) do
        local arguments = call["function"].arguments
        if form.arguments_text then arguments = json.encode(arguments) end
        copy.tool_calls[n] = json.object({
          id = call.id, type = "function",
          ["function"] = json.object({name = call["function"].name, arguments = arguments}, {"name", "arguments"}),
        }, {"id", "type", "function"})
      end
    end
    out[i] = copy
  end
  return out
end

local Form = {}
Form.__index = Form

-- One rendering by the template. `list`: declarations or nil; `generation`: with the beginning of an answer.
function Form:render(messages, list, generation)
  local context = {}
  for key, value in pairs(self.variables) do context[key] = value end
  context.messages = shown(self, messages)
  if list and #list > 0 then context.tools = openai(list) end
  context.add_generation_prompt = generation
  context.bos_token, context.eos_token = self.bos, self.eos
  return self.template:segments(context, {now = self.now})
end

function Form:segments(messages, tools)
  messages = completed(self, messages, tools)
  return self:render(messages, not self.lost.tools and tools or nil, true)
end

function prompt.text(segments)
  local list = {}
  for i, segment in ipairs(segments) do list[i] = segment.text end
  return table.concat(list)
end

-- ----------------------------------------------------------------- probes

local probe_tool = {
  name = "probe_tool", description = "A probe",
  parameters = {type = "object", properties = {probe_key = {type = "string", description = "A key"}}, required = {"probe_key"}},
}

local function call_message(arguments)
  return {role = "assistant", content = "",
    tool_calls = {{id = "probe0001", type = "function", ["function"] = {name = "probe_tool", arguments = arguments}}}}
end

-- Renders small conversations and finds out what the template loses.
local function probe(form)
  local function text_of(messages, tools)
    local segments = form:render(messages, tools, true)
    return segments and prompt.text(segments)
  end
  local user = {role = "user", content = "probe-user"}
  local text = text_of{{role = "system", content = "probe-system"}, user}
  if not (text and text:find("probe-system", 1, true)) and text_of{user} then
    form.lost.system = true
    form.notes[#form.notes + 1] = "the template shows no system message: its text goes in front of the first message"
  end
  text = text_of({user}, {probe_tool})
  if not (text and text:find("probe_tool", 1, true) and text:find("probe_key", 1, true)) then
    form.lost.tools = true
    form.notes[#form.notes + 1] = "the template does not show tools: they are appended to the system message in the form of Hermes"
  end
  local tools = not form.lost.tools and {probe_tool} or nil
  local result = {role = "tool", name = "probe_tool", tool_call_id = "probe0001", content = "probe-result"}
  local function history(arguments_text)
    form.arguments_text = arguments_text
    return text_of({user, call_message{probe_key = "probe-value"}, result}, tools)
      or text_of({user, call_message{probe_key = "probe-value"}}, tools)
  end
  text = history(false)
  if not (text and text:find("probe-value", 1, true)) then
    local other = history(true)
    if other and other:find("probe-value", 1, true) then text = other else form.arguments_text = false end
  end
  if not (text and text:find("probe-value", 1, true) and text:find("probe_tool", 1, true)) then
    form.lost.calls = true
    form.notes[#form.notes + 1] = "the template drops past tool calls: they are written into the content"
    text = text_of({user, {role = "assistant", content = "probe-call"}, result}, tools)
  end
  if not (text and text:find("probe-result", 1, true)) then
    form.lost.results = true
    form.notes[#form.notes + 1] = "the template drops the results of tools: they are shown as messages of the user"
  end
end

-- Finds out whether the template says the tools or the system message in the last turn instead of the first.
local function probe_repeats(form)
  local turns = {{role = "user", content = "probe-user"}, {role = "assistant", content = "probe-answer"},
    {role = "user", content = "probe-next"}}
  local function last(messages, tools)
    local segments = form:segments(messages, tools)
    return segments and prompt.text(segments):match "probe%-answer(.*)$" or ""
  end
  local system = {{role = "system", content = "probe-system"}, turns[1], turns[2], turns[3]}
  form.repeats = {
    system = last(system, {}):find("probe-system", 1, true) ~= nil,
    tools = last(turns, {probe_tool}):find("probe_tool", 1, true) ~= nil,
  }
end

-- The one format whose marker is a token of the vocabulary or stands in the template; for templates that show no calls.
local function marked_format(model, source)
  local found
  for _, name in ipairs(toolcall.formats()) do
    local record = toolcall.record(name)
    local marker = (record.section or record.call or {})[1]
    if type(marker) == "table" then marker = marker[1] end
    if not record.hidden and type(marker) == "string" and marker:find "^<|?[%w_]+|?>$"
      and (source:find(marker, 1, true) or model:find(marker)) then
      if found then return nil end
      found = name
    end
  end
  return found
end

-- ------------------------------------------------------------------ making

local Signature = {}
Signature.__index = Signature

-- How signature.lua writes calls, for the grammar; the parser does not get to see the control token.
prompt.signature_record = {
  name = "signature", body = "python", bare = true, line = true, alone = true, spaced = true, section = {"<|calls|>"}, separator = "\n",
  assign = " = ",
}

function Signature:segments(messages, tools)
  local list = {}
  for i, message in ipairs(messages) do
    local calls
    if message.tool_calls then
      calls = {}
      for n, call in ipairs(message.tool_calls) do calls[n] = call["function"] end
    end
    list[i] = {role = message.role, content = message.content, tool_calls = calls}
  end
  local segments = {}
  for i, part in ipairs(signature.parts(tools, list)) do segments[i] = {text = part.text, user = not part.control} end
  return segments
end

local function named(id, model)
  return id and (model:token(id)) or nil
end

-- options: template (Jinja source, or "signature", "chatml", "plain"), variables, now, format
function prompt.new(model, options)
  local info = model:info()
  local source, kind = options.template, "template"
  if source == "signature" or source == "chatml" or source == "plain" then
    source, kind = nil, source
  elseif source == nil then
    source = info.chat_template
    if source == nil or source == "" then
      source = nil
      kind = signature.fits(model) and "signature" or model:find "<|im_start|>" and model:find "<|im_end|>" and "chatml" or "plain"
    end
  end
  if kind == "signature" then
    return setmetatable({kind = kind, format = options.format or "mobilellm", grammar_format = prompt.signature_record, notes = {},
      silent = true}, Signature)
  end
  local compiled, message, code = template.compile(source or kind == "chatml" and chatml or plain,
    {name = kind == "template" and "chat template" or kind, mutable = true})
  if not compiled then return nil, message, code end
  local form = setmetatable({kind = kind, template = compiled, notes = {}, lost = {}, variables = options.variables or {},
    now = options.now, bos = named(info.bos, model) or "", eos = named(info.eos, model) or ""}, Form)
  if kind == "plain" then form.stop = {"\nUser:"} end
  if kind ~= "template" then
    form.lost = {tools = true, calls = true, results = true}
  else
    probe(form)
    probe_repeats(form)
  end
  form.format = options.format
  if not form.format then
    local derived = not form.lost.calls and derive.format(function(messages, tools, generation)
      local segments = form:render(messages, tools, generation)
      return segments and prompt.text(segments)
    end) or nil
    if form.lost.tools then
      form.format = derived and derived ~= "hermes" and {"hermes", derived} or "hermes"
    else
      form.format = derived or form.lost.calls and marked_format(model, source or "") or "auto"
    end
  end
  form.call_format = type(form.format) == "string" and form.format ~= "auto" and form.format or "hermes"
  if type(form.format) == "table" and form.format.name then form.call_format = form.format end
  return form
end

return prompt
