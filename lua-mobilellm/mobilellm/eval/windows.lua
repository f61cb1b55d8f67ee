-- Conversations in the form of the MobileLLM paper (arXiv 2402.14905, appendix H.5) as rows: one for each turn of the PARSER.
--
--   {"id", "conversation": [{"role": "USER" | "PARSER" | "AGENT", "message", "surface"}]}
--
-- A PARSER's message is a call, `name(key = "value")`; `surface`: the same with the values as spoken. The prompt of a row is what was
-- said before, earlier calls as spoken. The tools are those of all services that the conversation calls; the file apis.json beside the
-- rows has them: {service: [tool, ...]}.
local windows = {}

local services = {} -- by path of apis.json

local function read_services(path)
  local at = (path:match "^(.*/)[^/]*$" or "") .. "apis.json"
  if not services[at] then
    local file, message = io.open(at, "rb")
    if not file then return nil, "the tools of a conversation: " .. message, "io" end
    local list, wrong, code = require "mobilellm".json.decode(file:read "*a")
    file:close()
    if type(list) ~= "table" then return nil, at .. ": " .. (wrong or "an object expected"), code or "format" end
    services[at] = list
  end
  return services[at]
end

local function parse(text)
  local calls = require "mobilellm".toolcall.parse(text, {format = "mobilellm"}).calls
  return #calls == 1 and calls[1] or nil
end

-- The services that have a tool of that name which takes these arguments, sorted.
local function services_of(list, call)
  local found = {}
  for service, tools in pairs(list) do
    for _, tool in ipairs(tools) do
      local fits = tool.name == call.name
      for name in pairs(call.arguments) do fits = fits and tool.parameters.properties[name] ~= nil end
      if fits then found[#found + 1] = service end
    end
  end
  table.sort(found)
  return found
end

local roles = {USER = "user", AGENT = "assistant"}

-- Appends the rows; returns a message and a code when the conversation makes none.
function windows.rows(rows, window, path)
  local list, message, code = read_services(path)
  if not list then return message, code end
  local turns, used = {}, {}
  for i, turn in ipairs(window.conversation) do
    if turn.role == "PARSER" then
      local call, spoken = parse(turn.message), turn.surface and parse(turn.surface)
      if not call then return ("turn %d is no call: %s"):format(i, tostring(turn.message)), "format" end
      local found = services_of(list, call)
      if #found == 0 then return ("turn %d: no service has %s"):format(i, call.name), "format" end
      local chosen = found[1]
      for _, service in ipairs(found) do
        if used[service] then chosen = service end
      end
      used[chosen] = true
      turns[i] = {call = {name = call.name, arguments = call.arguments}, spoken = spoken and spoken.arguments, service = chosen}
    elseif not roles[turn.role] then
      return ("turn %d has the unknown role '%s'"):format(i, tostring(turn.role)), "format"
    end
  end
  local names, tools = {}, {}
  for service in pairs(used) do names[#names + 1] = service end
  table.sort(names)
  for _, service in ipairs(names) do
    for _, tool in ipairs(list[service]) do tools[#tools + 1] = tool end
  end
  local messages = {}
  for i, turn in ipairs(window.conversation) do
    local made = turns[i]
    if made then
      local before, next_turn = {}, window.conversation[i + 1]
      for k, said in ipairs(messages) do before[k] = said end
      rows[#rows + 1] = {
        id = ("%s-%d"):format(tostring(window.id), i), source = window.source, kind = "call", service = made.service, tools = tools,
        messages = before, calls = {made.call}, surface = made.spoken,
        response = next_turn and next_turn.role == "AGENT" and next_turn.message or nil,
      }
      messages[#messages + 1] = {role = "assistant", content = "",
        tool_calls = {{name = made.call.name, arguments = made.spoken or made.call.arguments}}}
    else
      messages[#messages + 1] = {role = roles[turn.role], content = turn.message}
    end
  end
end

return windows.rows
