-- How people may ask for a tool whose author gave no phrases, from its name, its description and its parameters.
--
--   local phrasing = require "mobilellm.train.phrasing"
--   phrasing.phrases(tool, alone)            sentences with parameters in braces; alone: no other tool needs a string, so that to name
--                                            one is to ask for it
--   phrasing.is_order(phrase, tool)          whether it begins with a verb
--   phrasing.connectors(tool, name)          how a value may be joined to a sentence: texts with {v}, the value, and maybe {n}, the name
--
-- A sentence is a way to say the tool's verb (words.verbs) around what it acts on: a parameter ("reserve {title}"), or the noun of the
-- name or the description ("rent a bike"). What is missing is joined by words that the parameter's name suggests (words.roles: "at" a
-- station, "by" an author, "for" so many hours).
local words = require "mobilellm.train.words"

local phrasing = {}

-- "lamp.turnOn" -> "lamp turn on"
function phrasing.spoken(name) return (name:gsub("(%l)(%u)", "%1 %2"):gsub("[_.%-]+", " "):lower()) end

function phrasing.is_open(schema) return (schema.type == nil or schema.type == "string") and not schema.enum and schema.const == nil end

local function described(tool)
  local text = (tool.description or ""):gsub("%s+", " "):gsub("[.!]%s.*$", ""):gsub("[.!]$", "")
  return text:sub(1, 1):lower() .. text:sub(2)
end

local prepositions = {}
for word in ("at in on for of to by from with every and or when that so as about into until"):gmatch "%a+" do prepositions[word] = true end

-- The words after the verb of a description up to the first preposition: "rent a bike at a station" -> "a bike".
local function object_of(text)
  local object = {}
  for word in text:gmatch "%S+" do
    if prepositions[word] then break end
    object[#object + 1] = word
  end
  return table.concat(object, " ", 2)
end

-- Whether a sentence begins as an order does, so that "can you" may stand before it.
function phrasing.is_order(phrase, tool)
  local verb = phrase:match "^%a+" or ""
  return words.verbs[verb] ~= nil or described(tool):match "^%a+" == verb
end

-- The text with a parameter's name, and the article before it, replaced by the parameter; nil where it is not named. Also whether
-- the name stands right after the first word.
local function with_parameter(text, name)
  local word = phrasing.spoken(name):gsub("%p", "%%%0")
  for _, article in ipairs{"an? ", "the ", ""} do
    local from, to = (" " .. text .. " "):find("%f[%w]" .. article .. word .. "%f[%W]")
    if from then
      local wide = " " .. text .. " "
      local before = wide:sub(1, from - 1)
      return (before .. "{" .. name .. "}" .. wide:sub(to + 1)):match "^%s*(.-)%s*$", before:find "^%s*%S+%s*$" ~= nil
    end
  end
end

local general = {", {n} {v}", " with {n} {v}", " and {n} {v}", " {n} {v}", ", {v} {n}"}

-- What a parameter's name (before its description) says about its place in a sentence; nil when nothing.
local function role_of(name, schema)
  for _, text in ipairs{phrasing.spoken(name), (schema.description or ""):lower()} do
    for word in text:gmatch "%a+" do
      for _, role in ipairs(words.roles) do
        if role.words[word] and (role.numbers == nil or role.numbers == (schema.type == "integer" or schema.type == "number")) then
          return role, word
        end
      end
    end
  end
end

function phrasing.connectors(tool, name)
  local schema = tool.parameters.properties[name]
  local role, word = role_of(name, schema)
  local out = {}
  for _, text in ipairs(role and role.connectors or {}) do
    for _ = 1, 2 do out[#out + 1] = (text:gsub("{unit}", word)) end
  end
  if not role and schema.enum then out = {", {v}", " {v}", ", the {v} one", " with {v}", " in {v}", ", {n} {v}"} end
  for i = 1, role and 2 or #general do out[#out + 1] = general[i] end
  return out
end

function phrasing.phrases(tool, alone)
  local out, seen = {}, {}
  local function add(phrase)
    phrase = phrase:gsub("%s+", " "):match "^%s*(.-)%s*$"
    if phrase ~= "" and not seen[phrase] then
      seen[phrase] = true
      out[#out + 1] = phrase
    end
  end
  local names, required = require "mobilellm.signature".parameters(tool)
  local properties = tool.parameters.properties or {}
  local main
  for _, name in ipairs(names) do
    if phrasing.is_open(properties[name]) and (not main or required[name] and not required[main]) then main = name end
  end
  local about, spoken = described(tool), phrasing.spoken(tool.name)
  local direct = false -- whether the main parameter is what the verb acts on
  for _, text in ipairs{about, spoken} do
    local needed, all, more = text, text, false -- with the required parameters in their places, with all
    for _, name in ipairs(names) do
      local phrase, at_once = with_parameter(all, name)
      if phrase then all, more = phrase, true end
      needed = required[name] and with_parameter(needed, name) or needed
      if name == main then direct = direct or at_once or false end
    end
    add(needed)
    if more then add(all) end
  end
  local last = phrasing.spoken(tool.name:match "[^.:/]+$" or tool.name)
  local role = main and role_of(main, properties[main])
  direct = direct or main and required[main] and (not role or role.things)

  -- what the verb acts on
  local objects = {}
  if main and direct then objects[1] = "{" .. main .. "}" end
  if not direct or role and role.things then
    local noun = object_of(about)
    if noun == "" then noun = last:match "%s(.+)$" or "" end
    if noun ~= "" then
      objects[#objects + 1] = noun
      objects[#objects + 1] = (noun:gsub("^an? ", "the "))
      if main and noun:find "ing$" then objects[#objects + 1] = noun .. " {" .. main .. "}" end -- stop watering {zone}
    end
  end
  for _, name in ipairs(names) do
    if properties[name].enum and words.kinds[phrasing.spoken(name):match "%a+$"] then
      objects[#objects + 1] = "{" .. name .. "}"
      objects[#objects + 1] = "one {" .. name .. "}"
    end
  end
  for _, text in ipairs{about, last} do
    local verb = text:match "^%a+" or ""
    for _, way in ipairs(words.verbs[verb] or {verb .. " %s"}) do
      for _, object in ipairs(objects) do add((way:gsub("%%s", (object:gsub("%%", "%%%%"))))) end
      if #objects == 0 and not way:find "%a %%s %a" then add((way:gsub("%%s", "it"))) end
    end
  end

  if alone and main and required[main] then
    for _, wish in ipairs{"i want %s", "i would like %s", "could i have %s", "can i get %s", "%s for me", "i'll take %s", "%s"} do
      add(wish:format("{" .. main .. "}"))
      add(wish:format("a {" .. main .. "}"))
      for i, name in ipairs(names) do
        if name ~= main and (properties[name].type == nil or properties[name].type == "string") then
          add(wish:format(("%s{%s} {%s}"):format(i % 2 == 0 and "a " or "one ", name, main)))
        end
      end
    end
  end
  return out
end

return phrasing
