-- A smart-home agent: sentences become calls, checked before they change a small simulated home.
--
--   lua5.4 agents/home.lua                              its own three sentences, then what is typed (on a terminal)
--   lua5.4 agents/home.lua "turn on the kitchen light"  these sentences only
--
-- As a module:
--   local agent = assert(require "home".new{model = path})          -- nil, message, code when the model does not load
--   local result = agent:say "lock the front door"                  -- {calls = {...}, text =, seconds =}
--   each of result.calls: {name, arguments, text}, then either `changes` (list of {entity, key, before, after}) or `problem`
local home = {}

local directory = ((debug.getinfo(1, "S").source:match "^@(.*)$") or "agents/home.lua"):match "^(.*)/[^/]*$" or "."
home.model_path = directory .. "/model/home.gguf"

-- The home: what a device is called and what state it is in. A plain table; nothing outside it is touched.
function home.devices()
  return {
    ["light.kitchen"] = {name = "Kitchen Light", state = {power = "off", brightness = 100, color = "warm white"}},
    ["light.living_room"] = {name = "Living Room Lamp", state = {power = "off", brightness = 100, color = "warm white"}},
    ["light.bedroom"] = {name = "Bedroom Light", state = {power = "on", brightness = 60, color = "warm white"}},
    ["fan.bedroom"] = {name = "Bedroom Fan", state = {power = "off"}},
    ["lock.front_door"] = {name = "Front Door Lock", state = {lock = "unlocked"}},
    ["blinds.living_room"] = {name = "Living Room Blinds", state = {cover = "open"}},
    ["climate.hallway"] = {name = "Hallway Thermostat", state = {temperature = 20}},
    ["media_player.kitchen_radio"] = {name = "Kitchen Radio", state = {playback = "paused"}},
    ["todo.shopping_list"] = {name = "Shopping List", state = {items = "bread"}},
  }
end

home.sentences = {
  "Turn on the kitchen light",
  "set the bedroom light to 30 percent and close the living room blinds",
  "add olive oil to the shopping list",
}

local text = {type = "string"}

local function schema(extra)
  local properties = {entity_id = {type = "string", description = "Entity id of the device"}}
  for name, value in pairs(extra or {}) do properties[name] = value end
  return {type = "object", properties = properties, required = {"entity_id"}, additionalProperties = false}
end

-- Each tool changes the state of the device it is called for; `set` writes and remembers the change.
local function declare()
  local function switch(key, value)
    return function(_, set) set(key, value) end
  end
  return {
    {name = "light.turn_on", description = "Turn a device on",
      parameters = schema{
        brightness = {type = "integer", minimum = 0, maximum = 100, description = "Brightness in percent"}, color = text,
      },
      call = function(arguments, set)
        set("power", "on")
        if arguments.brightness then set("brightness", arguments.brightness) end
        if arguments.color then set("color", arguments.color) end
      end},
    {name = "light.turn_off", description = "Turn a device off", parameters = schema(), call = switch("power", "off")},
    {name = "fan.turn_on", description = "Turn a device on", parameters = schema(), call = switch("power", "on")},
    {name = "fan.turn_off", description = "Turn a device off", parameters = schema(), call = switch("power", "off")},
    {name = "lock.lock", description = "Lock a door", parameters = schema(), call = switch("lock", "locked")},
    {name = "lock.unlock", description = "Unlock a door", parameters = schema(), call = switch("lock", "unlocked")},
    {name = "blinds.open_cover", description = "Open or raise a cover", parameters = schema(), call = switch("cover", "open")},
    {name = "blinds.close_cover", description = "Close or lower a cover", parameters = schema(),
      call = switch("cover", "closed")},
    {name = "climate.set_temperature", description = "Set the target temperature",
      parameters = schema{temperature = {type = "integer", minimum = 5, maximum = 35, description = "Degrees Celsius"}},
      call = function(arguments, set)
        if not arguments.temperature then error("a temperature is needed", 0) end
        set("temperature", arguments.temperature)
      end},
    {name = "media_player.media_play", description = "Media play", parameters = schema(), call = switch("playback", "playing")},
    {name = "media_player.media_pause", description = "Media pause", parameters = schema(),
      call = switch("playback", "paused")},
    {name = "todo.add_item", description = "Add an item to a list", parameters = schema{item = text},
      call = function(arguments, set, state)
        if not arguments.item then error("an item is needed", 0) end
        set("items", state.items == "" and arguments.item or state.items .. ", " .. arguments.item)
      end},
  }
end

local function sorted(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local Agent = {}
Agent.__index = Agent

-- options: model (path, or a loaded model), devices (as home.devices() returns)
function home.new(options)
  options = options or {}
  local mobilellm = require "mobilellm"
  local model, message, code = options.model or home.model_path
  if type(model) == "string" then
    model, message, code = mobilellm.load(model)
    if not model then return nil, message, code end
  end
  local self = setmetatable({
    model = model, devices = options.devices or home.devices(), tools = mobilellm.tools(declare()),
  }, Agent)
  local lines = {"Devices:"}
  for _, id in ipairs(sorted(self.devices)) do lines[#lines + 1] = id .. " '" .. self.devices[id].name .. "'" end
  self.system = table.concat(lines, "\n")
  return self
end

-- What the model answers to the sentence.
function Agent:answer(sentence)
  local signature = require "mobilellm.signature"
  local ids = signature.encode(self.model, self.tools.list,
    {{role = "system", content = self.system}, {role = "user", content = sentence}})
  return self.model:generate(ids, {max_tokens = 120, temperature = 0})
end

-- Whether the sentence has a word of the device's name that no other device of its kind has: "garage light" does not name the
-- "Bedroom Light" of a home whose other light is the "Kitchen Light".
function Agent:names(sentence, id)
  local said, domain, common = {}, id:match "^[^.]+", {}
  for word in sentence:lower():gmatch "%w+" do said[word] = true end
  for other, device in pairs(self.devices) do
    if other ~= id and other:match "^[^.]+" == domain then
      for word in device.name:lower():gmatch "%w+" do common[word] = true end
    end
  end
  for word in self.devices[id].name:lower():gmatch "%w+" do
    if said[word] and not common[word] then return true end
  end
  return false
end

-- Checks the call against its schema, the home and the sentence, then runs it.
function Agent:run(call, sentence)
  local arguments, message = self.tools:check(call)
  if not arguments then return nil, message end
  local id = arguments.entity_id
  local device = self.devices[id]
  if not device then return nil, ("there is no device '%s' in this home"):format(id) end
  local domain = call.name:match "^[^.]+"
  if id:match "^[^.]+" ~= domain then return nil, ("%s cannot be used on %s"):format(call.name, id) end
  if not self:names(sentence, id) then
    return nil, ("no such device: the sentence does not name the %s (%s)"):format(device.name, id)
  end
  local changes = {}
  local function set(key, value)
    changes[#changes + 1] = {entity = id, key = key, before = device.state[key], after = value}
    device.state[key] = value
  end
  local _, problem, code = self.tools:call(call, set, device.state)
  if code == "tool_error" then return nil, problem end
  call.arguments = arguments
  return changes
end

-- Whatever is said, the state only changes through calls that passed both checks.
function Agent:say(sentence)
  local signature = require "mobilellm.signature"
  local clock = require "mobilellm.core".clock
  local begin = clock()
  local result = {sentence = sentence, calls = {}}
  if not sentence:find "%S" then
    result.problem = "nothing was said"
    return result
  end
  local answer, message, code = self:answer(sentence)
  if not answer then
    result.problem = code == "context" and "that sentence is too long" or message
    return result
  end
  result.text = answer
  for _, call in ipairs(signature.read(answer, self.tools.list)) do
    local made = {name = call.name, arguments = call.arguments, text = signature.call(call, self.tools.list)}
    made.changes, made.problem = self:run(made, sentence)
    result.calls[#result.calls + 1] = made
  end
  if #result.calls == 0 then
    local shown = #answer > 60 and answer:sub(1, 60):gsub("[\128-\255]*$", "") .. "..." or answer
    result.problem = answer:find "%S" and "not understood: the answer is not a call: " .. shown
      or "not understood: no device or tool here fits that"
  end
  result.seconds = clock() - begin
  return result
end

------------------------------------------------------------------------------------------------------------------------ to read

-- The lines that tell a person what happened.
function home.lines(result)
  local lines = {"> " .. result.sentence}
  local function add(format, ...) lines[#lines + 1] = format:format(...) end
  for _, call in ipairs(result.calls) do
    add("  call       %s", (call.text:gsub("%( ", "("):gsub('" ', '"')))
    if call.problem then
      add("  not done   %s", call.problem)
    else
      local checked = {}
      for _, name in ipairs(sorted(call.arguments)) do
        checked[#checked + 1] = ("%s = %s"):format(name, tostring(call.arguments[name]))
      end
      add("  checked    %s", table.concat(checked, ", "))
      for _, change in ipairs(call.changes) do
        if change.before == change.after then
          add("  as before  %s.%s: %s", change.entity, change.key, tostring(change.after))
        else
          add("  changed    %s.%s: %s -> %s", change.entity, change.key, tostring(change.before), tostring(change.after))
        end
      end
    end
  end
  if result.problem then add("  %s", result.problem) end
  if result.seconds then add("  %.0f ms", result.seconds * 1000) end
  return lines
end

local function is_terminal()
  local ok, _, code = os.execute "test -t 0"
  return ok == true and (code == nil or code == 0) or ok == 0
end

function home.main(arguments)
  local agent, message = home.new()
  if not agent then
    io.stderr:write("home: ", message, "\n")
    return 1
  end
  local info = agent.model:info()
  print(("%s: %.1f million parameters, %s"):format(info.name or "model", info.parameters / 1e6, info.quantization))
  print(agent.system)
  local function hear(sentence)
    print ""
    print(table.concat(home.lines(agent:say(sentence)), "\n"))
  end
  for _, sentence in ipairs(#arguments > 0 and arguments or home.sentences) do hear(sentence) end
  if #arguments == 0 and is_terminal() then
    io.write "\nSay something (an empty line ends): "
    for line in io.lines() do
      if not line:find "%S" then break end
      hear(line)
      io.write "\n> "
    end
  end
  print "\nThe home now:"
  for _, id in ipairs(sorted(agent.devices)) do
    local state = {}
    for _, key in ipairs(sorted(agent.devices[id].state)) do
      state[#state + 1] = ("%s %s"):format(key, tostring(agent.devices[id].state[key]))
    end
    print(("  %-27s %s"):format(id, table.concat(state, ", ")))
  end
  return 0
end

if arg and arg[0] and arg[0]:match "home%.lua$" and (...) ~= "home" then os.exit(home.main(arg)) end

return home
