-- Makes rows whose only difficulty is one skill, of words that mean nothing together: to copy what was said, or to choose the tool that
-- is meant. (bind_rows.lua has those that bind values to parameters.)
--
--   skill_rows.copy(random, words), skill_rows.select(random, words) -> {tools, messages, calls, kind, source}
-- words: a list; random: mobilellm.random.
local wording = require "wording"

local skill_rows = {}

local invented = wording.invented

local function new_tool(name, description, properties)
  return {name = name, description = description, parameters = {type = "object", properties = properties, required = {}}}
end

---------------------------------------------------------------------------------------------------------------------------- copying

-- One to five words, some of them invented, some numbers.
local function phrase(random, words)
  local parts = {}
  for i = 1, random.integer(1, 5) do
    parts[i] = random.chance(0.8) and random.pick(words) or random.chance(0.5) and invented(random) or tostring(random.integer(0, 999))
  end
  return table.concat(parts, " ")
end

local function nameless_tool(random, words)
  local properties = {}
  for _ = 1, random.integer(1, 3) do
    local name = invented(random)
    if random.chance(0.5) then name = random.pick(words):lower():gsub("[^%l]", "") .. "_" .. wording.syllable(random) end
    properties[name] = {type = "string"}
  end
  return new_tool(invented(random) .. random.pick{"", "_", "."} .. invented(random), "", properties)
end

-- Names and values are said as they are called.
function skill_rows.copy(random, words)
  local tools = {}
  for i = 1, random.integer(1, 2) do tools[i] = nameless_tool(random, words) end
  if tools[2] and tools[1].name == tools[2].name then tools[2] = nil end
  local tool = random.pick(tools)
  local names = random.shuffle(wording.names(tool.parameters.properties))
  local arguments, spoken = {}, {random.pick{"", "please", "run", "now"}, tool.name}
  for i = 1, random.integer(1, #names) do
    arguments[names[i]] = phrase(random, words)
    spoken[#spoken + 1] = random.pick{"with", "and", "", "for", "as"} .. " " .. names[i] .. " " .. arguments[names[i]]
  end
  local sentence = table.concat(spoken, " "):gsub("%s+", " "):gsub("^ ", "")
  for name, value in pairs(arguments) do arguments[name] = value:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "") end
  return {tools = tools, messages = {{role = "user", content = sentence}}, source = "copy", kind = "copy",
    calls = {{name = tool.name, arguments = arguments}}}
end

--------------------------------------------------------------------------------------------------------------------------- choosing

local function name_of(random, words)
  local name, roll = table.concat(words, "_"), random.number()
  if roll < 0.5 then return invented(random) .. (random.chance(0.4) and "_" .. invented(random) or "")
  elseif roll < 0.7 then return wording.camel(name)
  elseif roll < 0.75 then return wording.camel("_" .. name)
  elseif roll < 0.8 then return (name:gsub("_", ".", 1))
  end
  return name
end

-- A tool whose description is words of its own, and the list of these; nil when its name is `taken`. `family`: a word that it may have
-- in common with others, as tools of a family are alike.
local function told_tool(random, fresh_word, family, taken)
  local own, all = {}, {}
  for k = 1, random.integer(1, 3) do
    own[k] = fresh_word()
    all[k] = own[k]
  end
  if family and random.chance(0.4) then table.insert(all, random.integer(1, #all + 1), family) end
  local name, properties = name_of(random, all), {}
  if random.chance(0.35) then properties[random.chance(0.5) and invented(random) or fresh_word()] = {type = "string"} end
  if taken[name] then return nil end
  taken[name] = true
  local description = table.concat(all, " ")
  if random.chance(0.5) then description = wording.capital(description) end
  return new_tool(name, description, properties), own
end

-- What is said of these words, as a list.
local function say(random, list)
  local spoken = {random.pick{"", "", "please", "can you", "i want", "the", "do"}}
  for _, word in ipairs(list) do
    spoken[#spoken + 1] = word
    if random.chance(0.15) then spoken[#spoken + 1] = random.pick{"the", "a", "for me", "some", "my"} end
  end
  return spoken
end

local function joined(spoken) return (table.concat(spoken, " "):gsub("%s+", " "):gsub("^ ", "")) end

-- A sentence with words of the tool's `own`, and its call.
local function ask(random, words, tool, own)
  local list, arguments = {}, {}
  for _, word in ipairs(own) do
    if #list == 0 or random.chance(0.7) then list[#list + 1] = word end
  end
  if random.chance(0.4) then random.shuffle(list) end
  local spoken = say(random, list)
  local name = next(tool.parameters.properties)
  if name then
    arguments[name] = random.pick(words) .. (random.chance(0.5) and " " .. random.pick(words) or "")
    spoken[#spoken + 1] = random.pick{"with ", "", "for "} .. name .. " " .. arguments[name]
  end
  return joined(spoken), {name = tool.name, arguments = arguments}
end

-- A wish for one of the tools, wishes for several one after the other, or one that fits none of them.
function skill_rows.select(random, words)
  local fresh_word = wording.drawer(random, words, 3, function() return invented(random) end)
  local family = fresh_word()
  local tools, telling, taken, order = {}, {}, {}, {}
  for i = 1, random.pick{2, 2, 3, 3, 4, 5, 6} do
    local tool, own = told_tool(random, fresh_word, i > 1 and family, taken)
    if tool then
      tools[#tools + 1], telling[tool] = tool, own
      order[#tools] = tool
    end
  end
  random.shuffle(order)
  local sentences, calls = {}, {}
  local meant = random.chance(0.1) and 0 or math.min(#tools, random.pick{1, 1, 1, 2, 2, 3, 3, 4})
  for i = 1, meant do sentences[i], calls[i] = ask(random, words, order[i], telling[order[i]]) end
  if meant == 0 then
    local list = {}
    for i = 1, random.integer(1, 3) do list[i] = fresh_word() end
    sentences[1] = joined(say(random, list))
  end
  local text = table.concat(sentences, random.pick{" and ", ", then ", ". ", ", ", " and also "})
  if random.chance(0.5) then text = wording.capital(text) end
  return {tools = tools, messages = {{role = "user", content = text}}, source = "select",
    kind = #calls == 0 and "irrelevant" or #calls > 1 and "parallel" or "call", calls = calls}
end

return skill_rows
