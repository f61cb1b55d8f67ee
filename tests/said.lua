-- For specs of agents: a chat whose model says what the test wants, in the form of our own models, through the real parser.
--   said({answer, ...}) -> function(agent) that makes such a chat, one answer for each sentence
local mobilellm = require "mobilellm"
local json = mobilellm.json

return function(answers)
  local at = 0
  return function(agent)
    at = at + 1
    local read = assert(mobilellm.toolcall.parse(answers[at] or "", {format = "mobilellm", tools = agent.tools}))
    local events = json.array{}
    for i, call in ipairs(read.calls) do
      local arguments = require "mobilellm.signature".trim(call.arguments)
      events[#events + 1] = {kind = "tool_call", call = {name = call.name, arguments = arguments, id = "c" .. i}}
    end
    for _, one in ipairs(read.errors) do
      events[#events + 1] = {kind = "error", message = one.message, code = one.code, raw = one.raw, position = one.position}
    end
    events[#events + 1] = {kind = "done", stop = "end", text = read.text}
    return assert(mobilellm.agent.replay(json.encode{kind = "turn", say = agent.sentence, tokens = 1, events = events}))
  end
end
