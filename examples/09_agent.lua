-- Tools and a loop that calls them. usage: lua5.4 examples/09_agent.lua MODEL (agents/model/home.gguf is made for it)
local mobilellm = require "mobilellm"

local model = assert(mobilellm.load(arg[1] or error "usage: 09_agent.lua MODEL"))

local lights = {["light.kitchen"] = "off", ["light.bedroom"] = "on"}
local entity = {type = "object", properties = {entity_id = {type = "string"}}, required = {"entity_id"}}
local function switch(to)
  return function(arguments)
    if not lights[arguments.entity_id] then error("no such light: " .. arguments.entity_id, 0) end
    lights[arguments.entity_id] = to
    return "ok"
  end
end
local tools = mobilellm.tools{
  {name = "light.turn_on", description = "Turn a device on", parameters = entity, call = switch "on"},
  {name = "light.turn_off", description = "Turn a device off", parameters = entity, call = switch "off", confirm = true},
}

local chat = assert(model:chat{
  system = "Devices:\nlight.kitchen 'Kitchen Light'\nlight.bedroom 'Bedroom Light'", tools = tools, max_tokens = 40,
})
local agent = mobilellm.agent.new{chat = chat, tools = tools, steps = 1, retries = 1}

for _, wish in ipairs{"Turn on the kitchen light", "turn off the bedroom light"} do
  print("> " .. wish)
  for event in agent:run(wish) do -- what needs an answer gets it in event.answer
    if event.kind == "approve" then event.answer = true end
    if event.kind == "result" then print("", event.call.name, event.problem or event.value) end
    if event.kind == "retry" then print("", "again: " .. event.problem) end
    if event.kind == "done" then print("", event.reason, event.text) end
  end
end
print("kitchen " .. lights["light.kitchen"], "bedroom " .. lights["light.bedroom"])
