-- Rows to learn from: reads the files of a directory of calls (see README.md beside this file), and makes each row different
-- every time it is used: tools shuffled, renamed, added and taken away, parameters left out, values and devices exchanged,
-- letters in lower case. The model then has to read and copy instead of to remember.
--
-- A row is {tools = , messages = , calls = {{name = , arguments = }}, kind = , source = }.
local json = require "mobilellm".json
local retrieve = require "mobilellm.retrieve"
local api_rows = require "api_rows"
local home_rows = require "home_rows"
local wording = require "wording"

local data = {}

local camel, snake, invented = wording.camel, wording.snake, wording.invented

data.random = require "mobilellm.random"

-- The rows of a .jsonl or .jsonl.gz file, at most `most`. nil, message when it cannot be read.
data.read = require "mobilellm.eval".read

function data.last_user(messages)
  for i = #messages, 1, -1 do
    if messages[i].role == "user" then return messages[i].content, i end
  end
  return ""
end

-- Plain search with word ends on both sides where the value has letters or digits there.
local function find_value(text, value, from)
  from = from or 1
  while true do
    local first, last = text:find(value, from, true)
    if not first then return nil end
    local before, after = text:sub(first - 1, first - 1), text:sub(last + 1, last + 1)
    if not (before:find "%w" and value:find "^%w") and not (after:find "%w" and value:find "%w$") then return first, last end
    from = first + 1
  end
end
data.find_value = find_value

local function copy(value)
  if type(value) ~= "table" then return value end
  local new = setmetatable({}, getmetatable(value))
  for k, v in pairs(value) do new[k] = copy(v) end
  return new
end

local function tool_of(tools, name)
  for i, tool in ipairs(tools) do
    if tool.name == name then return tool, i end
  end
end

-- A file's row in the form above: values as spoken where the file has them, of a type that the schema allows.
function data.clean(row)
  local calls = {}
  for i, call in ipairs(row.calls) do
    local spoken = call.surface or (row.surface and #row.calls == 1 and row.surface) or nil
    if type(spoken) == "table" and spoken.arguments then spoken = spoken.arguments end
    local tool = tool_of(row.tools, call.name)
    local arguments = {}
    for name, value in pairs(call.arguments) do
      arguments[name] = copy(value)
      local as_spoken = type(spoken) == "table" and spoken[name]
      local schema = tool and tool.parameters.properties[name]
      if type(as_spoken) == "string" and type(value) == "string" and not (schema and schema.enum) then
        arguments[name] = as_spoken
      end
    end
    calls[i] = {name = call.name, arguments = arguments}
  end
  local messages = {}
  for i, message in ipairs(row.messages) do
    messages[i] = {role = message.role, content = message.content or "", tool_calls = message.tool_calls}
  end
  return {tools = row.tools, messages = messages, calls = calls, kind = row.kind, source = row.source, id = row.id}
end

------------------------------------------------------------------------------------------------------------------ changing rows

local verbs = {"get", "do", "run", "call", "exec", "api", "my", "new", "handle", "process", "request", "tool", "fn", "use"}
local synonyms = {
  entity_id = {"entity", "device", "device_id", "target", "id", "target_device", "entity_ids", "which", "object_id"},
  brightness = {"level", "brightness_pct", "percent", "intensity"}, color = {"colour", "color_name", "rgb", "hue"},
  temperature = {"degrees", "target_temperature", "temp"}, humidity = {"percent", "target_humidity"},
  duration = {"length", "how_long", "time_span"}, item = {"entry", "text", "task", "what"},
  fan_mode = {"mode", "fan"}, hvac_mode = {"mode", "operation_mode"},
  city = {"town", "city_name", "location_city"}, state = {"region", "us_state", "province"}, country = {"nation", "country_name"},
  artist = {"musician", "artist_name", "performer", "by_artist"}, artist_name = {"artist", "musician", "performer"},
  album = {"record", "album_title"}, track = {"song", "song_title", "track_name"}, song_name = {"song", "track", "title"},
  playlist = {"playlist_name", "list"}, playlist_name = {"playlist", "list"}, playlist_owner = {"owner", "whose_playlist"},
  service = {"provider", "streaming_service", "app"}, genre = {"music_genre", "style"}, music_genre = {"genre", "style"},
  year = {"release_year", "decade"}, music_item = {"item_type", "kind_of_music"}, sort = {"order_by", "ranking"},
  object_name = {"title", "work_title", "name_of_work"}, object_type = {"kind", "type_of_work", "category"},
  movie_name = {"film", "movie", "movie_title"}, movie_type = {"kind_of_film", "movie_genre"},
  location_name = {"cinema", "theatre", "venue"}, timeRange = {"time", "when", "time_range", "period"},
  restaurant_name = {"name_of_restaurant", "place"}, restaurant_type = {"kind_of_place", "venue_type"},
  party_size_number = {"people", "guests", "seats", "party_size"}, served_dish = {"dish", "meal"},
  cuisine = {"food_style", "kitchen"},
  date = {"day", "on_date", "when_day"}, time = {"at_time", "clock", "hour"}, person = {"name", "who", "contact"},
  event_name = {"event", "occasion", "appointment"}, place_name = {"place", "location", "where"},
  house_place = {"room", "area", "location_in_house"}, device_type = {"device", "appliance", "gadget"},
  color_type = {"color", "colour", "light_color"}, change_amount = {"amount", "by_how_much", "level"},
  list_name = {"list", "which_list"}, relation = {"relationship", "related_person"}, news_topic = {"topic", "subject"},
  media_type = {"media", "medium"}, business_name = {"company", "business"}, weather_descriptor = {"weather", "condition"},
  condition_description = {"condition", "weather"}, condition_temperature = {"warmth", "temperature_words"},
  definition_word = {"word", "term"}, food_type = {"food", "dish"}, currency_name = {"currency", "money"},
}

local function new_parameter(random, name)
  local roll = random.number()
  if roll < 0.45 and synonyms[name] then return random.pick(synonyms[name])
  elseif roll < 0.6 then return camel(name)
  elseif roll < 0.75 then return snake(name) .. random.pick{"_value", "_1", "_text", "_param", "_arg", "_field"}
  elseif roll < 0.9 then return random.pick{"the_", "in_", "my_", "req_", "arg_"} .. snake(name)
  end
  return snake(name):sub(1, random.integer(3, 6))
end

local function new_tool(random, tool)
  local roll = random.number()
  local name = tool.name
  local described = (tool.description or "") ~= ""
  if described and roll < 0.35 then return invented(random) .. (random.chance(0.5) and "_" .. invented(random) or "")
  elseif roll < 0.5 then return camel(name)
  elseif roll < 0.65 then return snake(name)
  elseif roll < 0.8 then return random.pick(verbs) .. "_" .. snake(name)
  elseif roll < 0.9 then return snake(name) .. random.pick{"_v2", "_call", "_action", "_now", "_tool"}
  end
  return wording.capital(name)
end

local function rename_parameters(random, tool, calls)
  local properties, renamed, used = {}, {}, {}
  for _, name in ipairs(wording.names(tool.parameters.properties)) do
    local new = name
    if random.chance(0.6) then new = new_parameter(random, name) end
    if used[new] or tool.parameters.properties[new] then new = name end
    if used[new] then return end -- an unlucky pair of names: leave the tool alone
    used[new], renamed[name] = true, new
    properties[new] = tool.parameters.properties[name]
  end
  tool.parameters.properties = properties
  local required = {}
  for i, name in ipairs(tool.parameters.required or {}) do required[i] = renamed[name] end
  tool.parameters.required = required
  for _, call in ipairs(calls) do
    if call.name == tool.name then
      local arguments = {}
      for name, value in pairs(call.arguments) do arguments[renamed[name] or name] = value end
      call.arguments = arguments
    end
  end
end

-- What values the rows have, by tool and parameter: material to exchange.
function data.pool(rows)
  local pool, seen = {}, {}
  for _, row in ipairs(rows) do
    for _, call in ipairs(row.calls) do
      for name, value in pairs(call.arguments) do
        if type(value) == "table" and #value == 1 then value = value[1] end
        if type(value) == "string" and #value < 40 then
          local key = call.name .. "\0" .. name
          if not seen[key .. "\0" .. value] then
            seen[key .. "\0" .. value] = true
            pool[key] = pool[key] or {}
            table.insert(pool[key], value)
          end
        end
      end
    end
  end
  for _, values in pairs(pool) do table.sort(values) end
  return pool
end

-- `text` with every `value` in it, as a whole word, replaced by `new`.
local function replace_value(text, value, new)
  local from = 1
  while true do
    local first, last = find_value(text, value, from)
    if not first then return text end
    text = text:sub(1, first - 1) .. new .. text:sub(last + 1)
    from = first + #new
  end
end

-- Whether a value stands in one of the messages.
local function said(messages, value)
  for _, message in ipairs(messages) do
    if message.role ~= "system" and find_value(message.content, value) then return true end
  end
  return false
end

-- Puts other values of the same kind into the conversation and the calls.
local function exchange_values(random, row, pool)
  for _, call in ipairs(row.calls) do
    local tool = tool_of(row.tools, call.name)
    for _, name in ipairs(wording.names(call.arguments)) do
      local value = call.arguments[name]
      local inner = type(value) == "table" and #value == 1 and value[1] or value
      local values = pool[call.name .. "\0" .. name]
      local schema = tool and tool.parameters.properties[name]
      if type(inner) == "string" and #inner > 1 and values and #values > 3 and not (schema and schema.enum) and random.chance(0.6)
        and said(row.messages, inner) then
        local new, alone = random.pick(values), true
        -- Values that hold one another, or a word of the sentence that is there already, would blur what was said.
        for _, other in ipairs(row.calls) do
          for key, text in pairs(other.arguments) do
            if not (other == call and key == name) and type(text) == "string" and find_value(text, inner) then alone = false end
          end
        end
        if alone and not said(row.messages, new) then
          for _, message in ipairs(row.messages) do
            if message.role ~= "system" then message.content = replace_value(message.content, inner, new) end
          end
          if type(value) == "table" then value[1] = new else call.arguments[name] = new end
        end
      end
    end
  end
end

-- The lines of "Devices:", each {id, rest}; nil when the message is not such a list.
local function devices(message)
  if not message or message.role ~= "system" or not message.content:find "^Devices:\n" then return nil end
  local lines = {}
  for line in message.content:gmatch "[^\n]+" do
    local id, rest = line:match "^(%S+%.%S+)(.*)$"
    if id then lines[#lines + 1] = {id = id, rest = rest} end
  end
  return lines
end

local function change_devices(random, row)
  local lines = devices(row.messages[1])
  if not lines or #lines == 0 then return end
  random.shuffle(lines)
  if random.chance(0.25) then -- ids that tell nothing: the name leads to the device, the id is copied
    local line = random.pick(lines)
    local new = line.id:match "^[^.]+%." .. invented(random) .. (random.chance(0.5) and "_" .. random.integer(1, 99) or "")
    for _, call in ipairs(row.calls) do
      if call.arguments.entity_id == line.id then call.arguments.entity_id = new end
    end
    line.id = new
  end
  for i, line in ipairs(lines) do lines[i] = line.id .. line.rest end
  row.messages[1].content = "Devices:\n" .. table.concat(lines, "\n")
end

-- Lower case, as quickly typed sentences have it, with the values that stand in the sentence.
local function lower_case(row)
  local sentence, at = data.last_user(row.messages)
  local function lower(value)
    if type(value) == "table" then
      for i, v in ipairs(value) do value[i] = lower(v) end
      return value
    end
    if type(value) == "string" and find_value(sentence, value) then return value:lower() end
    return value
  end
  for _, call in ipairs(row.calls) do
    local tool = tool_of(row.tools, call.name)
    for name, value in pairs(call.arguments) do
      local schema = tool and tool.parameters.properties[name]
      if not (schema and schema.enum) then call.arguments[name] = lower(value) end
    end
  end
  row.messages[at].content = sentence:lower()
end

-- Leaves out optional parameters that no call uses.
local function drop_parameters(random, tool, calls)
  local used, names = {}, wording.names(tool.parameters.properties)
  for _, call in ipairs(calls) do
    if call.name == tool.name then
      for name in pairs(call.arguments) do used[name] = true end
    end
  end
  for _, name in ipairs(tool.parameters.required or {}) do used[name] = true end
  if #names > 3 and random.chance(0.5) then
    for _, name in ipairs(names) do
      if not used[name] and random.chance(0.5) then tool.parameters.properties[name] = nil end
    end
  end
end

local function rename_tools(random, tools, calls)
  for _, tool in ipairs(tools) do
    if random.chance(0.7) then
      local old, name = tool.name, new_tool(random, tool)
      if not tool_of(tools, name) then
        tool.name = name
        for _, call in ipairs(calls) do
          if call.name == old then call.name = name end
        end
      end
    end
  end
end

-- Fewer tools, but all that are `called`, or one of `others`.
local function vary_tools(random, row, called, others)
  while #row.tools > #row.calls + 1 and #row.tools > 2 and random.chance(0.25) do
    local at = random.integer(1, #row.tools)
    if called[row.tools[at].name] then break end
    table.remove(row.tools, at)
  end
  if others and #row.tools < 5 and random.chance(0.12) then
    local other = random.pick(others)
    if not tool_of(row.tools, other.name) then row.tools[#row.tools + 1] = copy(other) end
  end
end

-- A changed copy of a clean row. options: pool (data.pool), tools (a list of tools of other kinds, to add as distractors),
-- exchange, refuse, rename: how often values are exchanged, the right tool is taken away, tools are renamed.
function data.change(random, row, options)
  options = options or {}
  local new = {messages = copy(row.messages), calls = copy(row.calls), kind = row.kind, source = row.source, tools = copy(row.tools)}
  -- Tools of the conversation so far are renamed along and never taken away.
  local called, past = {}, {}
  for _, message in ipairs(new.messages) do
    for _, call in ipairs(message.tool_calls or {}) do past[#past + 1] = call end
  end
  -- The right tool goes away: nothing can be called.
  if #new.calls == 1 and #new.tools > 1 and #past == 0 and random.chance(options.refuse or 0.07) then
    local _, at = tool_of(new.tools, new.calls[1].name)
    table.remove(new.tools, at)
    new.calls, new.kind = {}, "irrelevant"
  end
  local calls = {}
  for _, list in ipairs{new.calls, past} do
    for _, call in ipairs(list) do
      calls[#calls + 1] = call
      called[call.name] = true
    end
  end
  vary_tools(random, new, called, options.tools)
  if options.pool and #past == 0 and random.chance(options.exchange or 0.3) then exchange_values(random, new, options.pool) end
  change_devices(random, new)
  for _, tool in ipairs(new.tools) do drop_parameters(random, tool, new.calls) end
  for _, tool in ipairs(new.tools) do
    if random.chance(0.2) then rename_parameters(random, tool, calls) end
  end
  if random.chance(options.rename or 0.3) then
    rename_tools(random, new.tools, calls)
  elseif random.chance(0.15) then
    for _, tool in ipairs(new.tools) do
      if (tool.description or "") ~= "" then tool.description = "" end
    end
  end
  if #new.messages == 1 and random.chance(0.12) then lower_case(new) end
  random.shuffle(new.tools)
  return new
end

-- Takes the oldest turns out of a long conversation, as far as no value of the calls is lost with them. false: nothing can go.
function data.shorten(row)
  local messages = row.messages
  local from = messages[1] and messages[1].role == "system" and 2 or 1
  local kept = {}
  for i = math.max(from, #messages - 6), #messages do
    if #kept > 0 or messages[i].role == "user" then kept[#kept + 1] = messages[i] end
  end
  if #kept == 0 or #kept == #messages - from + 1 then return false end
  for _, call in ipairs(row.calls) do
    for _, value in pairs(call.arguments) do
      if type(value) == "string" and said(messages, value) and not said(kept, value) then return false end
    end
  end
  if from == 2 then table.insert(kept, 1, messages[1]) end
  row.messages = kept
  return true
end

-- Single wishes out of rows that ask for several things in several sentences: each sentence that holds all texts of just one call.
function data.wishes(rows)
  local wishes = {}
  for _, row in ipairs(rows) do
    local text = #row.messages == 1 and row.messages[1].content or ""
    local sentences = {}
    for sentence in (text .. " "):gmatch "(.-[%.%?!])%s+" do sentences[#sentences + 1] = sentence end
    local taken = {}
    for _, call in ipairs(row.calls) do
      local found, texts, several = nil, 0, false
      for _, value in pairs(call.arguments) do
        value = type(value) == "number" and ("%.14g"):format(value) or value
        if type(value) == "string" and value ~= "" then
          texts = texts + 1
          local place
          for i, sentence in ipairs(sentences) do
            if find_value(sentence, value) then place = place or i end
          end
          if not place or found and found ~= place then several = true end
          found = found or place
        end
      end
      if found and not several and texts > 0 then
        taken[found] = taken[found] and "two" or call
      end
    end
    for i, call in pairs(taken) do
      if call ~= "two" then
        local tool = tool_of(row.tools, call.name)
        if tool then wishes[#wishes + 1] = {sentence = sentences[i], call = call, tool = tool, tools = row.tools} end
      end
    end
  end
  table.sort(wishes, function(a, b) return a.sentence < b.sentence end)
  return wishes
end

-- A row of one to three wishes, one sentence after another.
function data.join(random, wishes)
  local row = {tools = {}, calls = {}, messages = {}, source = "joined", kind = "call"}
  local sentences = {}
  local function offer(tool)
    if not tool_of(row.tools, tool.name) then row.tools[#row.tools + 1] = tool end
  end
  for _ = 1, random.chance(0.4) and 1 or random.integer(2, 3) do
    local wish = random.pick(wishes)
    if not tool_of(row.tools, wish.tool.name) then
      sentences[#sentences + 1] = wish.sentence
      row.calls[#row.calls + 1] = wish.call
      offer(wish.tool)
    end
  end
  if #row.calls > 1 then row.kind = "parallel" end
  local others = random.pick(wishes).tools
  while #row.tools < 5 and random.chance(0.8) do offer(random.pick(random.chance(0.5) and others or {random.pick(wishes).tool})) end
  row.messages[1] = {role = "user", content = table.concat(sentences, " ")}
  return row
end

-- The words of the sentences, sorted, each once.
function data.words(rows)
  local seen, words = {}, {}
  for _, row in ipairs(rows) do
    for word in data.last_user(row.messages):gmatch "%S+" do
      if not seen[word] and #word < 16 then
        seen[word] = true
        words[#words + 1] = word
      end
    end
  end
  table.sort(words)
  return words
end

-- What tells two rows with the same conversation and calls: used to keep evaluation rows out of training.
function data.key(row)
  local parts = {}
  for _, message in ipairs(row.messages) do
    if message.role ~= "system" then parts[#parts + 1] = (message.content or ""):lower():gsub("%s+", " ") end
  end
  for _, call in ipairs(row.calls) do parts[#parts + 1] = "\0" .. json.encode{call.name, call.arguments} end
  return table.concat(parts, "\n")
end

local function stems(tool)
  local set = {}
  for _, word in ipairs(retrieve.words(tool.name .. " " .. (tool.description or ""))) do set[word] = true end
  return set
end

-- Tools of `others` (at most `most`, drawn) in the place of the row's that are not called: so the names of a source's tools do not tell
-- that one of them is wanted. What has a word in common with a called tool stays away, for it could be right as well.
function data.mix(random, row, others, most)
  local called, kept = {}, {}
  for _, list in ipairs{{{tool_calls = row.calls}}, row.messages} do
    for _, one in ipairs(list) do
      for _, call in ipairs(one.tool_calls or {}) do called[call.name] = true end
    end
  end
  local words = {}
  for _, tool in ipairs(row.tools) do
    if called[tool.name] then
      kept[#kept + 1] = tool
      for word in pairs(stems(tool)) do words[word] = true end
    end
  end
  if #kept == 0 then return end
  row.tools = kept
  for _ = 1, most do
    local tool, common = random.pick(others), false
    for word in pairs(stems(tool)) do common = common or words[word] end
    if not common and not tool_of(row.tools, tool.name) then table.insert(row.tools, random.integer(1, #row.tools + 1), copy(tool)) end
  end
end

data.home_row = home_rows.row
data.api_row = api_rows.row

return data
