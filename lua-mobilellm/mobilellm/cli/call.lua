local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "a sentence to checked tool calls",
  usage = "MODEL TOOLS.json SENTENCE",
  words = 3,
  about = [[
Prints the calls that the model makes of the sentence: one JSON object for each, {"name", "arguments"}, checked against the
tools' schemas; nothing when no tool fits. TOOLS.json is a list of {"name", "description", "parameters"}, OpenAI's form included.
Exit code 1 when a call does not pass the check.]],
  options = cli.model_options{
    {"--system", "TEXT", "what the model should know: devices, a date, a place"},
    {"--max-tokens", "N", "of the answer", kind = "integer", least = 1, default = 256},
    {"--retrieve", "N", "show the model only the N tools that the sentence fits best", kind = "integer", least = 1},
    {"--json", nil, "one JSON object: calls, problems, text, confidence (the probability of the calls), tools (that were shown)"},
  },
}

local function read_tools(path)
  local mobilellm = require "mobilellm"
  local list, message = mobilellm.json.decode(cli.read_file(path))
  if type(list) ~= "table" then cli.fail("%s: %s", path, message or "a list of tools expected") end
  if list.name or list["function"] then list = {list} end
  local registry, problems = mobilellm.tools(list)
  for _, problem in ipairs(problems or {}) do
    io.stderr:write("mobilellm: ", path, ": ", problem.message or tostring(problem), "\n")
  end
  if #registry:names() == 0 then cli.fail("%s: no tool in it", path) end
  return registry
end

function command.run(values, others)
  if #others ~= 3 then options.usage "call: MODEL, TOOLS.json and SENTENCE are needed" end
  local mobilellm = require "mobilellm"
  local registry = read_tools(others[2])
  if values.retrieve and values.retrieve < #registry:names() then
    local names = {}
    for i, one in ipairs(registry:rank(others[3])) do
      if i <= values.retrieve then names[i] = one.tool.name end
    end
    registry = registry:only(names)
  end
  local model = cli.load(others[1], values)
  local chat = cli.check(model:chat{system = values.system, tools = registry})
  local calls, problems, text = mobilellm.json.array{}, mobilellm.json.array{}, {}
  for event in chat:send(others[3], {max_tokens = values.max_tokens}) do
    if event.kind == "tool_call" then
      local arguments, message = registry:check(event.call)
      if arguments then
        calls[#calls + 1] = {name = event.call.name, arguments = arguments}
      else
        problems[#problems + 1] = message
      end
    elseif event.kind == "text" then
      text[#text + 1] = event.text
    elseif event.kind == "error" then
      problems[#problems + 1] = event.message
    end
  end
  if values.json then
    print(mobilellm.json.encode{calls = calls, problems = problems, text = table.concat(text), confidence = (chat:confidence()),
      tools = mobilellm.json.array(registry:names())})
  else
    for _, call in ipairs(calls) do print(mobilellm.json.encode(call)) end
    if #text > 0 then io.stderr:write(table.concat(text), "\n") end
    for _, problem in ipairs(problems) do io.stderr:write("mobilellm: ", problem, "\n") end
  end
  return #problems > 0 and 1 or 0
end

return command
