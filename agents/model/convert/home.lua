-- home-llm (acon96), github.com/acon96/home-llm, MIT: its English piles of texts; changed: put together to rows anew. A checkout; read are
-- data/piles/english/pile_of_*.csv and .txt: device_names (device_name, description), templated_actions (device_type, service, phrase,
-- multiplier), where the types and services of several wishes are parted by | and phrases have <device_name>, <brightness> and so on;
-- specific_actions (service_name, device_name, phrase), durations (duration, name), todo_items.
--
-- A row has a few devices as a system message, a wish, and some tools. One device of eight, told by its id, is kept for evaluation. In one
-- row of twelve the device that is meant is not there, and nothing is called. Durations are 00:25:00 in the call, as spoken in `surface`.
local json = require "mobilellm".json
local new_random = require "mobilellm.random"
local common = require "common"
local wording = require "wording"

local ROWS = {train = 6000, eval = 800}

local descriptions = {
  blinds = {close_cover = "Close or lower a cover", open_cover = "Open or raise a cover", stop_cover = "Stop a cover",
    toggle = "Toggle a device"},
  climate = {set_fan_mode = "Set the fan mode", set_humidity = "Set the target humidity", set_hvac_mode = "Set the HVAC mode",
    set_temperature = "Set the target temperature"},
  fan = {decrease_speed = "Decrease speed", increase_speed = "Increase fan speed", toggle = "Toggle a device", turn_off = "Turn off",
    turn_on = "Turn a device on"},
  garage_door = {close_cover = "Close or lower a cover", open_cover = "Open cover", stop_cover = "Stop a cover",
    toggle = "Toggle a device"},
  light = {toggle = "Toggle", turn_off = "Turn off", turn_on = "Turn a device on"}, lock = {lock = "Lock", unlock = "Unlock a door"},
  media_player = {media_next_track = "Next track", media_pause = "Media pause", media_play = "Media play",
    media_previous_track = "Previous track", media_stop = "Stop media", turn_off = "Turn a device off", turn_on = "Turn a device on",
    volume_down = "Lower volume", volume_mute = "Mute or unmute", volume_up = "Raise volume"},
  switch = {toggle = "Toggle a device", turn_off = "Turn a device off", turn_on = "Turn a device on"},
  timer = {cancel = "Cancel the timer", start = "Start the vacuum or timer"}, todo = {add_item = "Add an item to a list"},
  vacuum = {pause = "Pause", return_to_base = "Send the vacuum back to its dock", start = "Start the vacuum or timer",
    stop = "Stop the vacuum"},
}
-- What a placeholder of a phrase stands for: the argument, its type and description, and its values.
local function numbers(low, high)
  return function(random)
    local value = random.integer(low, high)
    return tostring(value), value
  end
end
local function texts(list)
  return function(random)
    local value = random.pick(list)
    return value, value
  end
end
local slots = {
  brightness = {"brightness", "integer", "Brightness in percent", numbers(0, 100)},
  color = {"color", "string", "Colour name",
    texts{"red", "green", "blue", "yellow", "orange", "purple", "pink", "white", "cyan", "magenta"}},
  temp_f = {"temperature", "integer", "Target temperature", numbers(60, 80)},
  temp_c = {"temperature", "integer", "Target temperature", numbers(15, 25)},
  humidity = {"humidity", "integer", "Percent", numbers(10, 90)},
  hvac_mode = {"hvac_mode", "string", "HVAC mode", texts{"heat", "cool", "auto", "dry", "off"}},
  fan_mode = {"fan_mode", "string", "Fan mode", texts{"low", "medium", "high", "auto"}},
  duration = {"duration", "string", "duration"}, todo = {"item", "string", "Item to add"},
}
local takes = {
  ["light.turn_on"] = {"brightness", "color"}, ["climate.set_temperature"] = {"temp_f"}, ["climate.set_humidity"] = {"humidity"},
  ["climate.set_hvac_mode"] = {"hvac_mode"}, ["climate.set_fan_mode"] = {"fan_mode"}, ["timer.start"] = {"duration"},
  ["todo.add_item"] = {"todo"},
}

local function make_tools()
  local tools = {}
  for kind, services in pairs(descriptions) do
    for service, description in pairs(services) do
      local name = kind .. "." .. service
      local properties = {entity_id = {type = "string", description = "Entity id of the device"}}
      for _, slot in ipairs(takes[name] or {}) do
        properties[slots[slot][1]] = {type = slots[slot][2], description = slots[slot][3]}
      end
      tools[name] = {name = name, description = description,
        parameters = {type = "object", properties = properties, required = json.array{"entity_id"}}}
    end
  end
  return tools
end

-- The lines of a pile as lists of fields, without the first where it names the columns.
local function pile(folder, name, header)
  local path = common.find(folder, "*/piles/english/pile_of_" .. name)[1]
  if not path then error(folder .. ": no data/piles/english/pile_of_" .. name .. " in it", 0) end
  local list = {}
  for line in common.slurp(path):gsub("\r", ""):gmatch "[^\n]+" do list[#list + 1] = header and common.fields(line, ",") or {line} end
  if header then table.remove(list, 1) end
  return list
end

-- The devices of the part, by kind: lists of {id, name}.
local function read_devices(folder, part)
  local devices = {}
  for _, fields in ipairs(pile(folder, "device_names.csv", true)) do
    local kind, sum = fields[1]:match "^[%w_]+", 0
    for i = 1, #fields[1] do sum = (sum * 31 + fields[1]:byte(i)) % 1000003 end
    if (sum % 8 == 0) == (part == "eval") then
      devices[kind] = devices[kind] or {}
      table.insert(devices[kind], {id = fields[1], name = fields[2]})
    end
  end
  return devices
end

-- A wish: what is said, its calls, and the devices that they are for; nil when the part has no such devices.
local function templated(template, devices, random)
  local kinds, services, calls, meant = {}, {}, {}, {}
  for kind in template[1]:gmatch "[^|]+" do kinds[#kinds + 1] = kind end
  for service in template[2]:gmatch "[^|]+" do services[#services + 1] = service end
  local said = template[3]
  for i, kind in ipairs(kinds) do
    local list = devices[kind]
    if not list or not (descriptions[kind] or {})[services[i]] then return nil end
    local device = random.pick(list)
    for _, other in ipairs(meant) do
      if other == device then return nil end
    end
    meant[i], calls[i] = device, {name = kind .. "." .. services[i], arguments = {entity_id = device.id}}
    local name = random.chance(0.5) and device.name or device.name:lower()
    said = said:gsub("<device_name" .. (#kinds > 1 and i or "") .. ">", (name:gsub("%%", "%%%%")))
  end
  said = said:gsub("<([%a_]+)>", function(slot)
    if not slots[slot] then return nil end
    local text, value = slots[slot][4](random)
    calls[1].arguments[slots[slot][1]] = value
    if text ~= tostring(value) then calls[1].surface = {entity_id = meant[1].id, [slots[slot][1]] = text} end
    return text
  end)
  if said:find "[<>]" then return nil end
  return said, calls, meant
end

local function joined(one, two)
  return (one:gsub("[.!?]$", "")) .. " and " .. two:gsub("^%u", string.lower)
end

return function(folder, options, emit)
  local devices, random, tools = read_devices(folder, options.part), new_random(options.seed), make_tools()
  local durations, items = pile(folder, "durations.csv", true), {}
  for _, fields in ipairs(pile(folder, "todo_items.txt", false)) do items[#items + 1] = fields[1] end
  slots.todo[4] = texts(items)
  slots.duration[4] = function()
    local fields = random.pick(durations)
    return fields[2], fields[1]
  end
  local templates = pile(folder, "templated_actions.csv", true)
  -- specific wishes name a device by the part of its id after the point
  local specific, by_id = {}, {}
  for _, list in pairs(devices) do
    for _, device in ipairs(list) do by_id[device.id] = device end
  end
  for _, fields in ipairs(pile(folder, "specific_actions.csv", true)) do
    local kind, service = fields[1]:match "^([%w_]+)%.([%w_]+)$"
    local device = kind and by_id[kind .. "." .. fields[2]]
    if device and (descriptions[kind] or {})[service] then
      specific[#specific + 1] = {fields[3], {{name = fields[1], arguments = {entity_id = device.id}}}, {device}}
    end
  end
  local everything, names = {}, wording.names(tools)
  for _, kind in ipairs(wording.names(devices)) do
    for _, device in ipairs(devices[kind]) do everything[#everything + 1] = device end
  end

  local function wish()
    if #specific > 0 and random.chance(0.1) then
      local one = random.pick(specific)
      return one[1], one[2], one[3]
    end
    return templated(random.pick(templates), devices, random)
  end

  local count = 0
  while count < ROWS[options.part] do
    local said, calls, meant = wish()
    if said and #calls == 1 and random.chance(0.1) then
      local more, second, other = wish()
      if more and #second == 1 and other[1] ~= meant[1] then
        said, calls, meant = joined(said, more), {calls[1], second[1]}, {meant[1], other[1]}
      end
    end
    if said then
      local missing = random.chance(1 / 12)
      local shown, lines, offered, seen = {}, {}, {}, {}
      for _, device in ipairs(meant) do
        seen[device] = true
        if not missing then shown[#shown + 1] = device end
      end
      for _ = 1, random.integer(1, 7) do
        local device = random.pick(everything)
        if not seen[device] then shown[#shown + 1], seen[device] = device, true end
      end
      random.shuffle(shown)
      for i, device in ipairs(shown) do lines[i] = ("%s '%s'"):format(device.id, device.name) end
      for _, call in ipairs(calls) do
        if not seen[call.name] then offered[#offered + 1], seen[call.name] = tools[call.name], true end
      end
      for _ = 1, random.integer(0, 4) do
        local name = random.pick(names)
        if not seen[name] then offered[#offered + 1], seen[name] = tools[name], true end
      end
      local surface = #calls == 1 and not missing and calls[1].surface or nil
      for i, call in ipairs(calls) do calls[i] = {name = call.name, arguments = call.arguments} end
      emit{id = ("home-%s-%d"):format(options.part, count), source = "generated from home-llm English piles", license = "MIT",
        service = calls[1].name:match "^[^.]+", kind = missing and "missing_device" or #calls > 1 and "parallel" or "call",
        tools = random.shuffle(offered), calls = json.array(missing and {} or calls), surface = surface,
        messages = {{role = "system", content = "Devices:\n" .. table.concat(lines, "\n")}, {role = "user", content = said}}}
      count = count + 1
    end
  end
end
