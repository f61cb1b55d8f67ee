-- A smart-home agent: sentences become calls, checked before they change a small simulated home.
--
--   lua5.4 agents/home.lua                              its own three sentences, then what is typed (on a terminal)
--   lua5.4 agents/home.lua "turn on the kitchen light"  these sentences only
--
-- As a module: local agent = assert(require "home".new{model = path}); agent:say "lock the front door" (parts/loop.lua). What a call
-- changed is its value: a list of {entity, key, before, after}.
local directory = ((debug.getinfo(1, "S").source:match "^@(.*)$") or "agents/home.lua"):match "^(.*)/[^/]*$" or "."
local loop = dofile(directory .. "/parts/loop.lua")

local home = {}

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

local function sorted(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- Whether the sentence has a word of the device's name that no other device of its kind has: "garage light" does not name the
-- "Bedroom Light" of a home whose other light is the "Kitchen Light".
local function names(agent, id)
  local said, domain, common = {}, id:match "^[^.]+", {}
  for word in agent.sentence:lower():gmatch "%w+" do said[word] = true end
  for other, device in pairs(agent.devices) do
    if other ~= id and other:match "^[^.]+" == domain then
      for word in device.name:lower():gmatch "%w+" do common[word] = true end
    end
  end
  for word in agent.devices[id].name:lower():gmatch "%w+" do
    if said[word] and not common[word] then return true end
  end
  return false
end

-- The device that a call is for, when there is one, the tool can be used on it and the sentence names it; raises otherwise.
local function device_of(agent, tool, id)
  local device = agent.devices[id]
  if not device then error(("there is no device '%s' in this home"):format(id), 0) end
  if id:match "^[^.]+" ~= tool:match "^[^.]+" then error(("%s cannot be used on %s"):format(tool, id), 0) end
  if not names(agent, id) then
    error(("no such device: the sentence does not name the %s (%s)"):format(device.name, id), 0)
  end
  return device
end

-- Who asks wants nothing changed: "is the front door locked".
local questions = {"^is", "^are", "^was", "^were", "^do", "^does", "^did", "^has", "^have", "^what", "^which", "^who", "^where", "^when",
  "^why"}

-- Each tool is `act(arguments, set, state)` on the state of the device that it is called for; `set` writes and remembers the change.
local function declare(agent)
  local function tool(name, description, parameters, act)
    return {name = name, description = description, parameters = parameters, unless = questions, call = function(arguments)
      local id, changes = arguments.entity_id, {}
      local state = device_of(agent, name, id).state
      act(arguments, function(key, value)
        changes[#changes + 1] = {entity = id, key = key, before = state[key], after = value}
        state[key] = value
      end, state)
      return changes
    end}
  end
  local function switch(name, description, key, value)
    return tool(name, description, schema(), function(_, set) set(key, value) end)
  end
  return {
    tool("light.turn_on", "Turn a device on", schema{
      brightness = {type = "integer", minimum = 0, maximum = 100, description = "Brightness in percent"}, color = text,
    }, function(arguments, set)
      set("power", "on")
      if arguments.brightness then set("brightness", arguments.brightness) end
      if arguments.color then set("color", arguments.color) end
    end),
    switch("light.turn_off", "Turn a device off", "power", "off"),
    switch("fan.turn_on", "Turn a device on", "power", "on"),
    switch("fan.turn_off", "Turn a device off", "power", "off"),
    switch("lock.lock", "Lock a door", "lock", "locked"),
    switch("lock.unlock", "Unlock a door", "lock", "unlocked"),
    switch("blinds.open_cover", "Open or raise a cover", "cover", "open"),
    switch("blinds.close_cover", "Close or lower a cover", "cover", "closed"),
    tool("climate.set_temperature", "Set the target temperature",
      schema{temperature = {type = "integer", minimum = 5, maximum = 35, description = "Degrees Celsius"}},
      function(arguments, set)
        if not arguments.temperature then error("a temperature is needed", 0) end
        set("temperature", arguments.temperature)
      end),
    switch("media_player.media_play", "Media play", "playback", "playing"),
    switch("media_player.media_pause", "Media pause", "playback", "paused"),
    tool("todo.add_item", "Add an item to a list", schema{item = text}, function(arguments, set, state)
      if not arguments.item then error("an item is needed", 0) end
      set("items", state.items == "" and arguments.item or state.items .. ", " .. arguments.item)
    end),
  }
end

-- The devices, as the model is told of them.
local function system(agent)
  local lines = {"Devices:"}
  for _, id in ipairs(sorted(agent.devices)) do lines[#lines + 1] = id .. " '" .. agent.devices[id].name .. "'" end
  return table.concat(lines, "\n")
end

-- What a call that ran did, as lines of {head, text}.
local function tell(call)
  local checked, lines = {}, {}
  for i, name in ipairs(sorted(call.arguments)) do checked[i] = ("%s = %s"):format(name, tostring(call.arguments[name])) end
  lines[1] = {"checked", table.concat(checked, ", ")}
  for _, change in ipairs(call.value) do
    local key, before, after = change.entity .. "." .. change.key, tostring(change.before), tostring(change.after)
    lines[#lines + 1] = before == after and {"as before", key .. ": " .. after} or {"changed", key .. ": " .. before .. " -> " .. after}
  end
  return lines
end

-- options: devices (as home.devices() returns), model, chat (parts/loop.lua)
function home.new(options)
  local agent = {devices = options and options.devices or home.devices(), system = system, tell = tell,
    nothing = "no device or tool here fits that"}
  agent.tools = declare(agent)
  return loop.new(agent, options or {})
end

function home.main(arguments)
  return loop.main({name = "home", usage = "home.lua [SENTENCE ...] [--model FILE]", options = {model = true}, sentences = home.sentences,
    open = function(_, options)
      local agent, message = home.new{model = options.model}
      if not agent then return nil, message end
      local info = agent.model:info()
      print(("%s: %.1f million parameters, %s"):format(info.name or "model", info.parameters / 1e6, info.quantization))
      print(agent:system() .. "\n")
      return agent
    end,
    close = function(agent)
      print "\nThe home now:"
      for _, id in ipairs(sorted(agent.devices)) do
        local state = {}
        for i, key in ipairs(sorted(agent.devices[id].state)) do
          state[i] = ("%s %s"):format(key, tostring(agent.devices[id].state[key]))
        end
        print(("  %-27s %s"):format(id, table.concat(state, ", ")))
      end
    end}, arguments)
end

if arg and arg[0] and arg[0]:match "home%.lua$" and (...) ~= "home" then os.exit(home.main(arg)) end

return home
