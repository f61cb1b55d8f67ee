-- What the converters share: files, the shape of rows.
local json = require "mobilellm".json
local wording = require "wording"

local common = {}

-- All of a file; raises with its name.
function common.slurp(path)
  local file, message = io.open(path, "rb")
  if not file then error(message, 0) end
  local text = file:read "*a"
  file:close()
  return text
end

-- A file of JSON; one that is not UTF-8 is taken for ISO 8859-1 (some of SNIPS are).
function common.json(path)
  local text = common.slurp(path)
  local value, message = json.decode(text)
  if value == nil and tostring(message):find "UTF%-8" then
    value, message = json.decode((text:gsub("[\128-\255]", function(c)
      local code = c:byte()
      return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64)
    end)))
  end
  if value == nil then error(path .. ": " .. tostring(message), 0) end
  return value
end

-- Fields of a line, separated by a character and maybe in double quotes, "" standing for one.
function common.fields(line, separator)
  local list, at = {}, 1
  while at <= #line + 1 do
    if line:sub(at, at) == '"' then
      local parts, from = {}, at + 1
      while true do
        local close = line:find('"', from, true)
        if not close then return nil end
        parts[#parts + 1] = line:sub(from, close - 1)
        at, from = close + 1, close + 2
        if line:sub(at, at) ~= '"' then break end
        parts[#parts + 1] = '"'
      end
      list[#list + 1] = table.concat(parts)
      at = at + 1
    else
      local stop = line:find(separator, at, true) or #line + 1
      list[#list + 1] = line:sub(at, stop - 1)
      at = stop + 1
    end
  end
  return list
end

-- Without white space at the ends, and single spaces between words.
function common.trim(text) return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")) end

-- The paths under a folder that match a pattern of the shell (through the program find), sorted.
function common.find(folder, pattern)
  local quoted = {}
  for i, word in ipairs{folder, pattern} do quoted[i] = "'" .. word:gsub("'", "'\\''") .. "'" end
  local pipe = io.popen(("find %s -path %s -type f 2>/dev/null"):format(quoted[1], quoted[2]))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  table.sort(list)
  return list
end

-- "party_size_number" -> "Party size number"
function common.title(name)
  local words = name:gsub("[_.]", " "):lower()
  return (words:gsub("^%l", string.upper))
end

-- Intents with slots as tools: slots = {intent = {slot = how often in one sentence, at most}}. What comes more than once is a list.
function common.tools(slots, descriptions)
  local tools = {}
  for _, intent in ipairs(wording.names(slots)) do
    local properties = {}
    for slot, most in pairs(slots[intent]) do
      properties[slot] = most > 1 and {type = "array", items = {type = "string"}, description = common.title(slot)}
        or {type = "string", description = common.title(slot)}
    end
    tools[intent] = {name = intent, description = descriptions and descriptions[intent] or common.title(intent),
      parameters = {type = "object", properties = properties, required = json.array{}}}
  end
  return tools
end

-- The slots of a sentence, {{name, text}, ...}, as arguments of the tool.
function common.arguments(tool, list)
  local arguments = {}
  for _, slot in ipairs(list) do
    local name, text = slot[1], slot[2]
    if tool.parameters.properties[name].type == "array" then
      arguments[name] = arguments[name] or json.array{}
      table.insert(arguments[name], text)
    else
      arguments[name] = text
    end
  end
  return arguments
end

-- The tool and up to `most` others, shuffled; without: a name that stays away.
function common.offer(random, tools, own, most, without)
  local names = {}
  for _, name in ipairs(wording.names(tools)) do
    if name ~= own and name ~= without then names[#names + 1] = name end
  end
  random.shuffle(names)
  local list = {}
  if own then list[1] = tools[own] end
  for i = 1, math.min(#names, random.integer(own and 0 or 1, most)) do list[#list + 1] = tools[names[i]] end
  return random.shuffle(list)
end

-- Sentences {id, intent, text, slots = {{name, text}}} as rows, about one of twelve without its tool.
function common.rows(sentences, tools, random, about, emit)
  for _, sentence in ipairs(sentences) do
    local own = tools[sentence.intent]
    local away = random.chance(1 / 12) and next(tools, next(tools)) ~= nil
    emit{
      id = sentence.id, source = about.source, license = about.license, service = sentence.intent, kind = away and "irrelevant" or "call",
      tools = common.offer(random, tools, not away and sentence.intent or nil, 4, away and sentence.intent or nil),
      messages = {{role = "user", content = sentence.text}},
      calls = json.array(away and {} or {{name = sentence.intent, arguments = common.arguments(own, sentence.slots)}}),
    }
  end
end

return common
