-- Schema-Guided Dialogue (Rastogi et al. 2020), github.com/google-research-datasets/dstc8-schema-guided-dialogue, CC-BY-SA-4.0; changed:
-- intents became tools, turns became rows. A checkout; read are train/ or dev/: schema.json, a list of services {service_name, slots
-- {name, description, is_categorical, possible_values}, intents {name, description, required_slots, optional_slots {name: default}}},
-- and dialogues_*.json, whose system turns have frames with service_call {method, parameters}.
--
-- A system turn with a service call makes a row that asks for it; of the turns without any one of a dialogue makes a row without call.
-- `surface` has the values as they were said (the state of the user's turn). Relative dates count from 2019-03-01.
--
-- SGD-X (Lee et al. 2022; sgd_x/ of the same repository, the same licence) has five more wordings of each schema, sgd_x/data/v1 to v5,
-- whose services, slots and intents stand in the order of the original's. The source "sgdx" puts each dialogue into one of them, drawn by
-- the seed, or all of them into the one of --variant.
local json = require "mobilellm".json
local common = require "common"
local new_random = require "mobilellm.random"

local function schema_of(slot, name, default)
  local schema = {type = "string", description = slot.description}
  local values = slot.possible_values or {}
  if slot.is_categorical and #values > 0 then
    local booleans, numbers = 0, 0
    for _, value in ipairs(values) do
      if value == "True" or value == "False" then booleans = booleans + 1 end
      if value:find "^%-?%d+$" then numbers = numbers + 1 end
    end
    if booleans == #values then schema.type = "boolean"
    else
      schema.type = numbers == #values and "integer" or "string"
      schema.enum = {}
      for i, value in ipairs(values) do schema.enum[i] = numbers == #values and tonumber(value) or value end
    end
  elseif name:find "date$" or name:find "^date" then schema.format = "date"
  elseif name:find "time$" or name:find "^time" then schema.format = "time"
  end
  if default ~= nil and default ~= "dontcare" and default ~= "" then
    if schema.type == "integer" then default = tonumber(default) elseif schema.type == "boolean" then default = default == "True" end
    schema.default = default
  end
  return schema
end

-- The services of a schema: {[original name] = {tools =, slots = {original name = name}, intents = {original name = name}}}. path: of the
-- schema; original: of the one whose names the dialogues have.
local function services_of(path, original)
  local services, originals = {}, common.json(original)
  for s, service in ipairs(common.json(path)) do
    local slots, plain, list, names = {}, {}, {}, {slots = {}, intents = {}}
    for i, slot in ipairs(service.slots) do
      slots[slot.name], plain[slot.name] = slot, originals[s].slots[i].name
      names.slots[plain[slot.name]] = slot.name
    end
    for k, intent in ipairs(service.intents) do
      names.intents[originals[s].intents[k].name] = intent.name
      local properties, required = {}, json.array{}
      for i, name in ipairs(intent.required_slots) do
        properties[name], required[i] = schema_of(slots[name], plain[name]), name
      end
      for name, default in pairs(intent.optional_slots or {}) do
        if slots[name] then properties[name] = schema_of(slots[name], plain[name], default) end
      end
      list[#list + 1] = {name = intent.name, description = intent.description,
        parameters = {type = "object", properties = properties, required = required}}
    end
    names.tools = list
    services[originals[s].service_name] = names
  end
  return services
end

-- Slots and values under the names of the service's schema.
local function renamed(service, values)
  local new = {}
  for slot, value in pairs(values) do new[service and service.slots[slot] or slot] = value end
  return new
end

local function typed(tool, parameters)
  local arguments = {}
  for name, value in pairs(parameters) do
    local schema = tool.parameters.properties[name]
    if not schema then return nil end
    if value ~= "dontcare" then
      if schema.type == "integer" then value = tonumber(value) elseif schema.type == "boolean" then value = value == "True" end
      if value == nil then return nil end
      arguments[name] = value
    end
  end
  return arguments
end

-- Of several spellings of a value the one that was said last in the conversation, of these the longest.
local function as_said(values, messages)
  for i = #messages, 1, -1 do
    local found
    for _, value in ipairs(values) do
      if messages[i].content:find(value, 1, true) and (not found or #value > #found) then found = value end
    end
    if found then return found end
  end
  return values[1]
end

local function call_of(turn, services)
  for _, frame in ipairs(turn.frames) do
    local service = frame.service_call and services[frame.service]
    for _, tool in ipairs(service and service.tools or {}) do
      if tool.name == service.intents[frame.service_call.method] then
        return frame.service, tool, renamed(service, frame.service_call.parameters)
      end
    end
  end
end

-- about: what begins the rows' ids, and their source
local function dialogue(item, services, about, random, emit)
  local messages = {{role = "system", content = "Today is Friday, 2019-03-01."}}
  local offered, without = {}, {}
  for _, service in ipairs(item.services) do
    for _, tool in ipairs((services[service] or {tools = {}}).tools) do offered[#offered + 1] = tool end
  end
  local function row(index, kind, calls, more)
    local copy, list = {}, {}
    for i, message in ipairs(messages) do copy[i] = message end
    for i, tool in ipairs(offered) do list[i] = tool end
    local made = {id = ("%s-%s-%d"):format(about.id, item.dialogue_id, index), source = about.source, license = "CC-BY-SA-4.0", kind = kind,
      tools = random.shuffle(list), messages = copy, calls = json.array(calls), response = item.turns[index + 1].utterance}
    for key, value in pairs(more or {}) do made[key] = value end
    return made
  end
  local state = {}
  for i, turn in ipairs(item.turns) do
    if turn.speaker == "USER" then
      for _, frame in ipairs(turn.frames) do
        state[frame.service] = renamed(services[frame.service], frame.state and frame.state.slot_values or {})
      end
    else
      local service, tool, parameters = call_of(turn, services)
      local arguments = tool and typed(tool, parameters)
      if arguments then
        local surface, differs = {}, false
        for name in pairs(arguments) do
          local said = state[service] and state[service][name]
          surface[name] = said and as_said(said, messages) or tostring(parameters[name])
          differs = differs or surface[name] ~= parameters[name]
        end
        emit(row(i - 1, "call", {{name = tool.name, arguments = arguments}}, {service = service, surface = differs and surface or nil}))
      elseif not tool then
        without[#without + 1] = row(i - 1, "no_call", {}, {service = turn.frames[1] and turn.frames[1].service})
      end
    end
    messages[#messages + 1] = {role = turn.speaker == "USER" and "user" or "assistant", content = turn.utterance}
  end
  if #without > 0 then emit(without[random.integer(1, #without)]) end
end

return function(folder, options, emit)
  local part = options.part == "eval" and "dev" or "train"
  local paths = common.find(folder, "*/" .. part .. "/dialogues_*.json")
  if #paths == 0 then error(folder .. ": no " .. part .. "/dialogues_*.json in it", 0) end
  local home, random = paths[1]:match "^(.*/)", new_random(options.seed)
  local original = home .. "schema.json"
  local variants, wordings = options.source == "sgdx" and 5 or 0, {}
  for v = 1, variants do
    local path = ("%s../sgd_x/data/v%d/%s/schema.json"):format(home, v, part)
    wordings[v] = {services = services_of(path, original), about = {id = ("sgdxv%d-%s"):format(v, part), source = "SGD-X/v" .. v}}
  end
  local plain = {services = variants == 0 and services_of(original, original), about = {id = "sgd-" .. part, source = "SGD"}}
  for _, path in ipairs(paths) do
    for _, item in ipairs(common.json(path)) do
      local wording = variants == 0 and plain or wordings[options.variant or random.integer(1, variants)]
      dialogue(item, wording.services, wording.about, random, emit)
    end
  end
end
