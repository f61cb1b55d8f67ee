-- Makes smart-home rows from lists and phrases of our own: a home with some devices, a few tools, and a sentence that asks for
-- something. It widens the rows read from files: more names, more wordings, more sentences about a device that is not there.
local words = require "mobilellm.train.words"
local wording = require "wording"

local home_rows = {}

local function list(text) return words.list(text, ",") end

local areas = list [[
  kitchen, living room, bedroom, guest room, bathroom, hallway, office, study, garage, basement, attic, dining room,
  nursery, porch, patio, garden, laundry room, pantry, cellar, stairs, balcony, terrace, den, library, gym, sauna,
  workshop, studio, closet, mudroom, foyer, entrance, front door, back door, back yard, front yard, driveway, pool,
  shed, greenhouse, loft, playroom, kids room, master bedroom, master bathroom, upstairs hall, downstairs hall, media
  room, game room, sunroom, conservatory, utility room, music room, reading corner, dressing room, boiler room, wine
  cellar, roof deck, corridor, lobby, breakfast nook, family room, music studio, ski room, tool shed, east wing, west
  wing, north gate, side door, cinema room, craft room, spare room, guest bathroom, stable, barn, dock]]

local qualities = list [[
  main, small, large, left, right, front, back, upper, lower, corner, ceiling, wall, floor, warm, cool, smart, old, new,
  round, tall, reading, night, accent, window, center, east, west, north, south, first, second, third]]

local makers = list [[
  hue, lifx, zigbee, zwave, homekit, osram, ikea, sonos, bose, nest, ecobee, roku, samsung, dyson, shelly, tapo, wemo,
  yale, august, aqara, eve, lg, sony, denon, marantz, roborock, eufy, neato, shark, schlage, kasa, govee, wiz, tuya,
  philips, hunter, vornado]]

local owners = list [[my, the, our, the, the, the]]
local colours = list [[
  red, blue, green, yellow, purple, orange, pink, white, violet, cyan, turquoise, magenta, teal, gold, crimson, lime,
  indigo, amber, lavender, coral, beige, silver, warm white, cool white, daylight, sky blue, dark red, light green]]
local todo_items = list [[
  milk, eggs, bread, butter, olive oil, two onions, call the dentist, water the plants, pay the rent, buy new shoes,
  oranges and lemons, clean the gutters, book the flights, feed the cat, wash the car, mow the lawn, return the library
  books, renew the passport, order printer paper, dishwasher tablets, toothpaste, coffee beans, a birthday card,
  batteries, fix the bicycle, send the parcel, charge the camera, sort the photos, light bulbs, dog food, sharpen the
  knives, visit grandma, sweep the chimney, print the tickets, paint the fence]]
local todo_names = list [[
  shopping list, to do list, chores, groceries, packing list, errands, weekend plans, garden tasks, gift ideas, work
  tasks, holiday list, repairs, party planning, homework, reading list, meal planner, cleaning schedule, bucket list,
  wish list, errand tracker, pet care list, home projects, daily tasks, morning routine, budget notes]]
local timer_names = list [[
  timer, kitchen timer, egg timer, laundry timer, workout timer, tea timer, nap timer, oven timer, homework timer, pasta
  timer, meditation timer, break timer, bread timer, sprinkler timer]]
local durations = list [[
  5 minutes, 10 minutes, 15 minutes, 20 minutes, 30 minutes, 45 minutes, 1 hour, 2 hours, 90 seconds, 30 seconds, 3
  minutes, 25 minutes, 12 minutes, 8 minutes, half an hour, an hour, two hours, one minute, ten minutes, five minutes,
  40 seconds, 1 minute]]
local fan_modes = list [[auto, low, medium, high, on, off, top, middle, focus, diffuse]]
local hvac_modes = list [[heat, cool, auto, off, heat_cool, dry, fan_only]]
local speakers = list [[
  speaker, tv, television, soundbar, radio, stereo, receiver, projector, record player, music player, jukebox, streamer,
  sound system, hi-fi, turntable, boombox]]
local cleaners = list [[
  vacuum, robot vacuum, vacuum cleaner, cleaning robot, robot, sweeper, dust bot, mopping robot, floor cleaner, hoover]]
local gadgets = list [[
  coffee machine, heater, kettle, fountain, christmas tree, aquarium pump, toaster, humidifier, dehumidifier, air
  purifier, water pump, router, printer, sprinkler, towel warmer, bug zapper, string lights, outlet, plug, power strip,
  charger, doorbell, camera, siren, dryer, washing machine, dishwasher, oven, ventilation, boiler, gate light, spa
  heater, floor heating, bread maker, slow cooker]]

-- domain -> how its devices are named, its tools and their phrases. In a phrase, D is the device, V the value.
local function entity(extra, required)
  local properties = {entity_id = {type = "string", description = "Entity id of the device"}}
  for name, schema in pairs(extra or {}) do properties[name] = schema end
  return {type = "object", properties = properties, required = required or {"entity_id"}}
end
local text, whole = {type = "string"}, {type = "integer"}

local domains = {
  light = {names = list [[
    light, lights, lamp, light, light, lamp, led strip, chandelier, spotlight, lantern, night light, bulb, sconce]]},
  fan = {names = list "fan, fan, ceiling fan, ventilator, exhaust fan, air circulator"},
  switch = {gadgets = gadgets, names = list "switch, outlet, plug"},
  lock = {names = list "lock, door lock, door, gate lock, door lock, deadbolt"},
  blinds = {names = list "blinds, shades, curtains, shutters, roller blind, blind, drapes, curtain, shade"},
  garage_door = {names = list "garage door, garage, garage door, gate, carport door, overhead door"},
  media_player = {names = speakers},
  vacuum = {names = cleaners},
  climate = {names = list "thermostat, heating, air conditioner, climate control, ac, hvac, radiator, heat pump"},
  todo = {fixed = todo_names},
  timer = {fixed = timer_names},
}

local function phrases(text_of_them)
  local items = {}
  for line in text_of_them:gmatch "[^\n]+" do
    line = line:match "^%s*(.-)%s*$"
    if line ~= "" then items[#items + 1] = line end
  end
  return items
end

local on = phrases [[
  turn on D
  turn D on
  switch on D
  switch D on
  please turn on D
  can you turn on D
  could you switch D on
  power on D
  activate D
  I need D on
  make sure D is on
  put D on
  start D
  get D going]]
local off = phrases [[
  turn off D
  turn D off
  switch off D
  switch D off
  please turn off D
  can you turn D off
  shut off D
  shut D off
  power down D
  deactivate D
  kill D
  I don't need D anymore
  D should be off
  make sure D is off]]
local toggle = phrases [[
  toggle D
  flip D
  please toggle D
  switch the state of D
  change the state of D
  can you toggle D]]
local open = phrases [[
  open D
  raise D
  please open D
  can you open D
  pull up D
  lift D
  D should be open
  open up D]]
local close = phrases [[
  close D
  lower D
  please close D
  can you close D
  shut D
  pull down D
  D should be closed
  bring D down]]
local stop_cover = phrases [[
  stop D
  halt D
  stop moving D
  freeze D
  please stop D right there
  hold D where it is]]

local function tool(domain, name, descriptions, phrase_list, extra, values)
  domains[domain].tools = domains[domain].tools or {}
  table.insert(domains[domain].tools,
    {name = domain .. "." .. name, descriptions = descriptions, phrases = phrase_list, extra = extra, values = values})
end

tool("light", "turn_on", {"Turn a device on"}, on, {brightness = whole, color = text}, {
  {share = 0.3, phrases = phrases [[
    set D to V percent
    dim D to V percent
    set D to V
    set the brightness of D to V
    set D brightness to V percent
    turn on D at V percent
    turn D up to V percent
    brighten D to V percent
    make D V percent bright
    lower the brightness of D to V
    put D at V %
    turn D on with V percent brightness
    D at V percent please
    adjust D's brightness to V]], key = "brightness", low = 1, high = 100},
  {share = 0.3, phrases = phrases [[
    make D V
    turn D V
    set D to V
    change D to V
    please change the color of D to V
    set the color of D to V
    set D color to V
    I want D to be V
    color D V
    let D shine V
    switch D to V]], key = "color", values = colours},
  {share = 0.05, phrases = phrases [[
    set D to W at V percent
    make D W and set it to V percent
    turn on D in W at V percent
    change D to W with V percent brightness]], key = "brightness", low = 1, high = 100,
    second = "color", second_values = colours},
})
tool("light", "turn_off", {"Turn a device off", "Turn off"}, off)
tool("light", "toggle", {"Toggle a device", "Toggle"}, toggle)
tool("fan", "turn_on", {"Turn a device on", "Turn on"}, on)
tool("fan", "turn_off", {"Turn a device off", "Turn off"}, off)
tool("fan", "toggle", {"Toggle a device"}, toggle)
tool("fan", "increase_speed", {"Increase fan speed", "Increase speed"}, phrases [[
  speed up D
  make D faster
  increase the speed of D
  turn up D
  increase D speed
  I need more air from D
  run D faster]])
tool("fan", "decrease_speed", {"Decrease fan speed", "Decrease speed"}, phrases [[
  slow down D
  make D slower
  decrease the speed of D
  turn down D
  reduce D speed
  lower the speed of D
  run D slower]])
tool("switch", "turn_on", {"Turn a device on"}, on)
tool("switch", "turn_off", {"Turn a device off"}, off)
tool("switch", "toggle", {"Toggle a device"}, toggle)
tool("lock", "lock", {"Lock a door", "Lock"}, phrases [[
  lock D
  please lock D
  can you lock D
  lock up D
  secure D
  make sure D is locked
  D should be locked
  bolt D]])
tool("lock", "unlock", {"Unlock a door"}, phrases [[
  unlock D
  please unlock D
  can you unlock D
  open up D
  make sure D is unlocked
  D should be unlocked
  release D]])
for _, domain in ipairs{"blinds", "garage_door"} do
  tool(domain, "open_cover", {"Open or raise a cover", "Open cover"}, open)
  tool(domain, "close_cover", {"Close or lower a cover", "Close cover"}, close)
  tool(domain, "stop_cover", {"Stop a cover"}, stop_cover)
  tool(domain, "toggle", {"Toggle a device"}, toggle)
end
tool("media_player", "turn_on", {"Turn a device on"}, on)
tool("media_player", "turn_off", {"Turn a device off"}, off)
tool("media_player", "volume_up", {"Raise volume"}, phrases [[
  turn up D
  make D louder
  raise the volume of D
  turn D up
  increase the volume on D
  louder on D please
  volume up on D]])
tool("media_player", "volume_down", {"Lower volume"}, phrases [[
  turn down D
  make D quieter
  lower the volume of D
  turn D down
  decrease the volume on D
  quieter on D please
  volume down on D]])
tool("media_player", "volume_mute", {"Mute or unmute"}, phrases [[
  mute D
  silence D
  please mute D
  unmute D
  no sound on D]])
tool("media_player", "media_play", {"Media play"}, phrases [[
  play D
  start playing on D
  resume D
  continue playback on D
  play music on D]])
tool("media_player", "media_pause", {"Media pause"}, phrases [[
  pause D
  pause the music on D
  hold playback on D
  please pause D]])
tool("media_player", "media_stop", {"Stop media"}, phrases [[
  stop D
  stop playback on D
  stop the music on D
  end playback on D]])
tool("media_player", "media_next_track", {"Next track"}, phrases [[
  next song on D
  skip this song on D
  next track on D
  skip to the next track on D]])
tool("media_player", "media_previous_track", {"Previous track"}, phrases [[
  previous song on D
  go back a track on D
  play the last song again on D
  previous track on D]])
tool("vacuum", "start", {"Start the vacuum or timer", "Start the vacuum"}, phrases [[
  start D
  start cleaning with D
  run D
  let D clean
  send D out to clean
  turn on D
  vacuum with D]])
tool("vacuum", "stop", {"Stop the vacuum"}, phrases [[
  stop D
  stop D from cleaning
  turn off D
  end the cleaning of D]])
tool("vacuum", "pause", {"Pause"}, phrases [[
  pause D
  put D on hold
  take a break with D
  pause the cleaning of D]])
tool("vacuum", "return_to_base", {"Send the vacuum back to its dock"}, phrases [[
  send D home
  send D back to its dock
  dock D
  return D to its base
  D should go back to its charger
  send D back to base]])
tool("climate", "set_temperature", {"Set the target temperature"}, {}, {temperature = whole}, {
  {share = 1, phrases = phrases [[
    set D to V degrees
    set D to V
    change the temperature of D to V
    put D at V degrees
    make it V degrees with D
    turn D to V
    heat D to V degrees
    I want V degrees on D
    set the temperature of D to V degrees]], key = "temperature", low = 14, high = 80}})
tool("climate", "set_humidity", {"Set the target humidity"}, {}, {humidity = whole}, {
  {share = 1, phrases = phrases [[
    set the humidity of D to V
    set D humidity to V percent
    change the humidity on D to V percent
    bring the humidity of D to V]], key = "humidity", low = 20, high = 80}})
tool("climate", "set_fan_mode", {"Set the fan mode"}, {}, {fan_mode = text}, {
  {share = 1, phrases = phrases [[
    set the fan mode of D to V
    change D fan mode to V
    put the fan of D on V
    set D fan to V]], key = "fan_mode", values = fan_modes}})
tool("climate", "set_hvac_mode", {"Set the HVAC mode"}, {}, {hvac_mode = text}, {
  {share = 1, phrases = phrases [[
    set D to V mode
    switch D to V
    change the mode of D to V
    set the hvac mode of D to V]], key = "hvac_mode", values = hvac_modes}})
tool("todo", "add_item", {"Add an item to a list"}, {}, {item = text}, {
  {share = 1, phrases = phrases [[
    add V to D
    put V on D
    please add V to D
    can you put V on D
    add V on D
    note V on D
    write V on D
    remember V on D]], key = "item", values = todo_items}})
tool("timer", "start", {"Start the vacuum or timer", "Start a timer"}, phrases [[
  start D
  please start D
  run D]], {duration = text}, {
  {share = 0.8, phrases = phrases [[
    set D for V
    start D for V
    set D to V
    run D for V
    V on D please]], key = "duration", values = durations}})
tool("timer", "cancel", {"Cancel the timer"}, phrases [[
  cancel D
  stop D
  please cancel D
  end D
  clear D]])

local domain_names = {}
for name in pairs(domains) do domain_names[#domain_names + 1] = name end
table.sort(domain_names)

-- Sentences that no device answers.
local chat = phrases [[
  hello
  good morning
  how are you today
  thank you
  what is your name
  tell me a joke
  who are you
  what can you do
  I am bored
  good night
  what is the capital of France
  how tall is Mount Everest
  do you like music
  sing me a song
  what is seven times eight
  I had a long day
  where is my phone
  write a poem about autumn
  what's the weather like tomorrow
  book a table for two
  order a pizza
  how far is the moon
  call my mother
  translate this into Spanish
  when does the train leave
  I love this house
  that was great
  never mind
  you are funny
  what day is it]]

-- A device of the domain: {id = "light.kitchen", name = "Kitchen Light", said = "the kitchen light"}.
function home_rows.device(random, domain)
  local d = domains[domain]
  local name, place, kind
  if d.fixed then
    name = random.pick(d.fixed)
    if random.chance(0.25) then name = random.pick(areas) .. " " .. name end
  elseif d.gadgets and random.chance(0.7) then
    name = random.pick(d.gadgets)
    if random.chance(0.6) then
      place, kind = random.pick(areas), name
      name = place .. " " .. name
    end
    if random.chance(0.2) then name, place = name .. " switch", nil end
  else
    name = random.pick(d.names)
    if random.chance(0.9) then
      place, kind = random.pick(areas), name
      if random.chance(0.3) then kind = random.pick(qualities) .. " " .. kind end
      name = place .. " " .. kind
      if random.chance(0.1) then
        place = random.pick(qualities) .. " " .. place
        name = place .. " " .. kind
      end
    else
      name = random.pick(qualities) .. " " .. name
    end
  end
  local object = name
  if random.chance(0.5) and not d.fixed then -- the id often leaves the kind of device out
    for _, word in ipairs(d.names) do
      if #object > #word + 1 and object:sub(-#word - 1) == " " .. word then
        object = object:sub(1, -#word - 2)
        break
      end
    end
  end
  local short = name
  if random.chance(0.15) then name = random.pick(makers) .. " " .. name end
  if random.chance(0.2) then object = object .. " " .. random.pick(makers) end
  if random.chance(0.1) then object = object .. " " .. random.integer(1, 9) end
  object = object:gsub("[^%w]+", "_")
  local shown = random.chance(0.6) and name:gsub("(%a)(%w*)", function(a, b) return a:upper() .. b end)
    or wording.capital(name)
  return {id = domain .. "." .. object, name = shown, plain = name, short = short, place = place, kind = kind, domain = domain}
end

local function find_tool(domain, short)
  for _, t in ipairs(domains[domain].tools) do
    if t.name == domain .. "." .. short then return t end
  end
end

local function declare(random, t)
  return {name = t.name, description = random.pick(t.descriptions), parameters = entity(t.extra)}
end

-- Adds the tool's declaration where it is not there already.
local function add(random, tools, t)
  for _, other in ipairs(tools) do
    if other.name == t.name then return end
  end
  tools[#tools + 1] = declare(random, t)
end

-- One wish: sentence, call.
local function wish(random, device, t)
  local phrase, arguments = nil, {entity_id = device.id}
  local roll = random.number()
  for _, v in ipairs(t.values or {}) do
    if roll < v.share then
      phrase = random.pick(v.phrases)
      local value = v.values and random.pick(v.values) or random.integer(v.low, v.high)
      arguments[v.key] = value
      local second
      if v.second then
        second = random.pick(v.second_values)
        arguments[v.second] = second
      end
      phrase = phrase:gsub("%f[%w][VW]%f[%W]", function(letter) return letter == "V" and "\1" or "\2" end)
      phrase = phrase:gsub("\1", (tostring(value):gsub("_", " ")))
      if v.key == "hvac_mode" then arguments[v.key] = value end
      if second then phrase = phrase:gsub("\2", second) end
      break
    end
    roll = roll - v.share
  end
  phrase = phrase or (#t.phrases > 0 and random.pick(t.phrases)) or nil
  if not phrase then return nil end
  local said = random.chance(0.75) and device.plain or device.name
  local manner = random.number()
  if manner < 0.1 and device.place then
    said = "the " .. device.kind .. random.pick{" in the ", " in my ", " of the ", " at the "} .. device.place
  else
    if manner < 0.2 then said = device.short end
    if random.chance(0.8) then said = random.pick(owners) .. " " .. said end
  end
  phrase = phrase:gsub("%f[%w]D%f[%W]", function() return said end, 1)
  return phrase, {name = t.name, arguments = arguments}
end

local endings = {"", "", "", "", "", "", ".", ".", "?", " please", " now", " for me", ", please", "!", " thanks"}

local function finish(random, sentence)
  if random.chance(0.5) then sentence = wording.capital(sentence) end
  if random.chance(0.04) then sentence = "hey, " .. sentence end
  return sentence .. random.pick(endings)
end

local function pick_kind(random)
  local roll = random.number()
  if roll < 0.14 then return "missing_device" elseif roll < 0.19 then return "chat" elseif roll < 0.23 then return "irrelevant"
  elseif roll < 0.32 then return "parallel" end
  return "call"
end

-- So many devices, each told by its name.
local function new_devices(random, count)
  local devices, known = {}, {}
  while #devices < count do
    local domain = random.pick(domain_names)
    if random.chance(0.3) then domain = "light" end
    local d = home_rows.device(random, domain)
    if not known[d.id] and not known[d.plain] then
      known[d.id], known[d.plain] = true, true
      devices[#devices + 1] = d
    end
  end
  return devices
end

local function pick_tool(random, domain) return random.pick(domains[domain].tools) end

local function pick_other_domain(random, domain)
  local other
  repeat other = random.pick(domain_names) until other ~= domain
  return other
end

-- Adds tools beside those that are called: in a `big` home those of its devices, else some of the same domain as `device` or of any.
-- Not the one whose name is `unwanted`.
local function add_others(random, tools, devices, device, big, unwanted)
  if big then
    for _, d in ipairs(devices) do
      for _, t in ipairs(domains[d.domain].tools) do
        if #tools < 15 and t.name ~= unwanted and random.chance(d == device and 0.9 or 0.55) then add(random, tools, t) end
      end
    end
  else
    for _ = 1, random.integer(0, 4) do
      local t = pick_tool(random, random.chance(0.4) and device.domain or random.pick(domain_names))
      if t.name ~= unwanted then add(random, tools, t) end
    end
  end
  if #tools == 0 then add(random, tools, pick_tool(random, pick_other_domain(random, device.domain))) end
end

-- "turn off the lamp" has no answer when only tools of other domains are left ("toggle the lamp" would be too near).
local function of_other_domains(random, tools, domain)
  local kept = {}
  for _, declared in ipairs(tools) do
    if declared.name:match "^[^.]+" ~= domain then kept[#kept + 1] = declared end
  end
  if #kept == 0 then kept[1] = declare(random, pick_tool(random, pick_other_domain(random, domain))) end
  return kept
end

local function list_of(devices)
  local lines = {"Devices:"}
  for i, d in ipairs(devices) do lines[i + 1] = d.id .. " '" .. d.name .. "'" end
  return table.concat(lines, "\n")
end

-- A row {tools, messages, calls, kind}.
function home_rows.row(random)
  local kind = pick_kind(random)
  local big = random.chance(0.4) -- a whole home as an agent shows it: many devices, and tools for all of them
  local count = big and random.integer(6, 11) or random.integer(1, 8)
  if kind == "missing_device" or kind == "parallel" then count = count + 1 end -- so that the number of devices tells nothing
  local devices = new_devices(random, count)
  local device, tools, calls = random.pick(devices), {}, {}
  local t = pick_tool(random, device.domain)
  if device.domain == "light" and random.chance(0.5) then t = find_tool("light", "turn_on") end
  local sentence, call = wish(random, device, t)
  if kind == "chat" then
    sentence = random.pick(chat)
  elseif kind ~= "irrelevant" then
    calls[1] = call
  end
  if kind ~= "irrelevant" then add(random, tools, t) end
  if kind == "parallel" then
    local other = random.pick(devices)
    if other ~= device then
      local second = pick_tool(random, other.domain)
      local more
      more, calls[2] = wish(random, other, second)
      add(random, tools, second)
      sentence = sentence .. random.pick{" and ", ", and ", " and then ", ". Also ", " and also "} .. more
    end
  elseif kind == "missing_device" then -- the device goes away; what stays may look like it
    for i, d in ipairs(devices) do
      if d == device then table.remove(devices, i) break end
    end
    calls = {}
  end
  add_others(random, tools, devices, device, big, kind == "irrelevant" and t.name or nil)
  if kind == "irrelevant" then tools = of_other_domains(random, tools, device.domain) end
  random.shuffle(tools)
  random.shuffle(devices)
  return {
    tools = tools, calls = calls, kind = kind, source = "home_rows",
    messages = {{role = "system", content = list_of(devices)}, {role = "user", content = finish(random, sentence)}},
  }
end

return home_rows
