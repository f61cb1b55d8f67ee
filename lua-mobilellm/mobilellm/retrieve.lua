-- Which of many tools a sentence may be about: the words of the sentence against those of each declaration, weighted by where they stand
-- and by how few tools have them (BM25F: Robertson, Zaragoza and Taylor, "Simple BM25 extension to multiple weighted fields", 2004).
--
--   local index = retrieve.index(list of tools)
--   index:rank "wake me at seven"  ->  list of {tool, score}, best first; tools with the same score in the order of declaration
local core = require "mobilellm.core"

local retrieve = {}

-- Where a word stands: weight. Names say most; values of an enumeration are what people say.
local WEIGHT = {name = 3, description = 2, parameter = 1, value = 1, detail = 0.5}
local NEAR = 0.5 -- a word that a declaration's word begins or ends with
local EARLIER = 0.8 -- what was said one turn before
local K, B = 1.2, 0.6 -- saturation of a word that is repeated, how much long declarations are held back

local stop = {}
for word in ([[
    a an the and or of to in on at by for from with as is are be am was were been it its this that these those i me my we our us you your
    he she him her they them his their do does did can could would should will shall may might must please want need like some any there
    here what which who how when where so if then than just also into about up out get got let hi hello hey thanks thank ok okay yes no
    not
  ]]):gmatch "%a+" do
  stop[word] = true
end

-- ------------------------------------------------------------------ words

-- Endings that two forms of one word differ by: ending, what takes its place, fewest letters that must be left.
local endings = {
  {"ization", "iz", 3}, {"isation", "iz", 3}, {"ational", "", 3}, {"ations", "", 3}, {"ation", "", 3}, {"ating", "", 3},
  {"ators", "", 3}, {"ator", "", 3}, {"ates", "", 3}, {"ated", "", 3}, {"ate", "", 3}, {"ions", "", 4}, {"ion", "", 4},
  {"ising", "iz", 3}, {"ies", "y", 2}, {"ied", "y", 2}, {"ments", "", 4}, {"ment", "", 4}, {"ness", "", 4}, {"ings", "", 3}, {"ing", "", 3},
  {"sses", "ss", 1}, {"ches", "ch", 2}, {"shes", "sh", 2}, {"xes", "x", 2}, {"ers", "", 3}, {"er", "", 4}, {"ors", "", 4}, {"or", "", 4},
  {"ed", "", 3}, {"ly", "", 4}, {"es", "", 3},
}

-- A word without its ending: "reservations", "reserved" and "reserve" are one. Not what a linguist would do, but the same on both sides.
local function stem(word)
  if #word < 4 or word:find "[\128-\255%d]" then return word end
  local found = false
  for _, e in ipairs(endings) do
    local ending, instead, least = e[1], e[2], e[3]
    if #word - #ending >= least and word:sub(-#ending) == ending then
      word, found = word:sub(1, -#ending - 1) .. instead, true
      break
    end
  end
  if not found and word:find "[^su]s$" then word = word:sub(1, -2) end
  if found and word:find "([bdfgmnprt])%1$" then word = word:sub(1, -2) end -- stopping
  if #word > 3 then word = word:gsub("e$", ""):gsub("y$", "i") end
  return word
end

-- The stems of a text in their order: words apart from digits, camelCase and snake_case taken apart.
function retrieve.words(text)
  text = text:gsub("(%l)(%u)", "%1 %2"):gsub("(%u)(%u%l)", "%1 %2")
  local out = {}
  for word in core.letters(text, "lower"):gmatch "[%a\128-\255]+'?%a*" do
    word = word:gsub("'%a*$", "")
    if #word > 1 and not stop[word] then out[#out + 1] = stem(word) end
  end
  return out
end

-- ------------------------------------------------------------------ index

local Index = {}
Index.__index = Index

local function add(counts, text, weight)
  if type(text) ~= "string" then return 0 end
  local words = retrieve.words(text)
  for _, word in ipairs(words) do counts[word] = (counts[word] or 0) + weight end
  return #words * weight
end

-- Stems of a declaration with their weights, and the sum of these.
local function measure(tool)
  local counts = {}
  local length = add(counts, tool.name, WEIGHT.name) + add(counts, tool.description, WEIGHT.description)
  length = length + add(counts, tool.keywords, WEIGHT.name)
  local properties = type(tool.parameters) == "table" and tool.parameters.properties
  for name, schema in pairs(type(properties) == "table" and properties or {}) do
    length = length + add(counts, name, WEIGHT.parameter)
    if type(schema) == "table" then
      length = length + add(counts, schema.description, WEIGHT.detail)
      local values = type(schema.enum) == "table" and schema.enum or {}
      for i = 1, math.min(#values, 64) do length = length + add(counts, values[i], WEIGHT.value) end
    end
  end
  return counts, length
end

-- retrieve.index(list of declarations) -> index
function retrieve.index(list)
  local self = setmetatable({list = {}, holders = {}, nears = {}}, Index)
  local total = 0
  for i, tool in ipairs(list) do
    local counts, length = measure(tool)
    self.list[i] = {tool = tool, counts = counts, length = length}
    total = total + length
    for word in pairs(counts) do
      local holders = self.holders[word]
      if not holders then
        holders = {}
        self.holders[word] = holders
      end
      holders[#holders + 1] = i
    end
  end
  self.mean = #list > 0 and total / #list or 1
  return self
end

-- Words of the declarations that begin or end with a stem ("light" and "lightoff", "date" and "datetime"): stem -> list of tools.
function Index:near(word)
  local found = self.nears[word]
  if found then return found end
  found = {}
  local seen = {}
  for other, holders in pairs(self.holders) do
    if #other > #word and (other:sub(1, #word) == word or other:sub(-#word) == word) then
      for _, i in ipairs(holders) do
        if not seen[i] then found[#found + 1], seen[i] = i, true end
      end
    end
  end
  self.nears[word] = found
  return found
end

-- index:rank(texts) -> list of {tool, score}, best first. Of several texts the last counts most.
function Index:rank(texts)
  if type(texts) ~= "table" then texts = {texts} end
  local scores, count = {}, #self.list
  local weights = {}
  for i = 1, count do scores[i] = 0 end
  local words = {} -- in their order: sums are the same on every run
  for at = #texts, 1, -1 do
    for _, word in ipairs(retrieve.words(texts[at])) do
      if not weights[word] then words[#words + 1], weights[word] = word, EARLIER ^ (#texts - at) end
    end
  end
  local function give(holders, weight, frequency_of)
    local rarity = math.log(1 + (count - #holders + 0.5) / (#holders + 0.5))
    for _, i in ipairs(holders) do
      local one = self.list[i]
      local frequency = frequency_of(one) / (1 - B + B * one.length / self.mean)
      scores[i] = scores[i] + weight * rarity * frequency * (K + 1) / (frequency + K)
    end
  end
  for _, word in ipairs(words) do
    if self.holders[word] then give(self.holders[word], weights[word], function(one) return one.counts[word] end) end
    if #word >= 4 then give(self:near(word), NEAR * weights[word], function() return 1 end) end
  end
  local order, out = {}, {}
  for i = 1, count do order[i] = i end
  table.sort(order, function(a, b)
    if scores[a] ~= scores[b] then return scores[a] > scores[b] end
    return a < b
  end)
  for i, at in ipairs(order) do out[i] = {tool = self.list[at].tool, score = scores[at]} end
  return out
end

return retrieve
