-- Rows to learn an interface from, made from its declarations alone, or with some phrases and rows of its author.
--
--   local maker = require "mobilellm.train.made"
--   local made = assert(maker.make(tools, {rows = 600, test = 150, seed = 1, data = rows_of_the_author}))
--   made.train, made.test         lists of {tools, messages, calls, kind}; made.notes: what could not be made
--   maker.overlap(made.train, made.test)   -> {sentences =, rows =, values =, of_values =}: sentences of the test that are learned, rows
--                                            of it whose open values are all learned, and how many values of how many are
--
-- tools: a list of {name, description, parameters (JSON Schema), phrases}. `phrases` are sentences of the author with parameters in
-- braces: "make me a {size} {drink}". Without any they are made of the description and the names (phrasing.lua). Values come from enum,
-- const, the bounds of numbers and a string's `examples`; beside these a string gets words that its name suggests ("date", "city") and
-- names that nobody has heard of, because a model learns to copy only from values that it cannot know. From rows of the author phrases
-- and examples are taken. A string of which there are few values should say so (enum): any other may come up as anything.
--
-- A fifth of all strings can come up in the test only, the others in training only; each row of the test has at least one string that was
-- not learned, where it has open ones. Of four or more phrases of a tool the last one of the author's, or every fifth of ours, is left
-- for the test (kind "new phrase"; "new values" are those with known phrases).
local new_random = require "mobilellm.random"
local phrasing = require "mobilellm.train.phrasing"
local words = require "mobilellm.train.words"

local maker = {}

local Maker = {}
Maker.__index = Maker

-- ---------------------------------------------------------------- values

-- Whether a string belongs to the test: one of five does, by its letters. What the author's rows have belongs to training.
function Maker:is_test(value)
  local key = value:lower()
  if self.taken[key] then return false end
  local sum = 7
  for i = 1, #key do sum = (sum * 31 + key:byte(i)) % 1000003 end
  return sum % 5 == 0
end

local consonants, vowels = "bdfgklmnprstvz", "aeiou"

function Maker:invented()
  local parts = {}
  for i = 1, self.random.integer(2, 3) do
    local c, v = self.random.integer(1, #consonants), self.random.integer(1, #vowels)
    parts[i] = consonants:sub(c, c) .. vowels:sub(v, v)
  end
  return table.concat(parts)
end

-- As it is, or as the name of something is written: "Silver Fox".
function Maker:written(value)
  if not self.random.chance(0.35) then return value end
  return (value:gsub("%f[%w\128-\255]%l", string.upper))
end

function Maker:name_of_nothing(short)
  if short then return self:written(self.random.chance(0.6) and self.random.pick(words.second) or self:invented()) end
  local roll = self.random.number()
  if roll < 0.25 then return self:invented() end
  if roll < 0.4 then return self:written(self.random.pick(words.second)) end
  if roll < 0.75 then return self:written(self.random.pick(words.first) .. " " .. self.random.pick(words.second)) end
  if roll < 0.9 then return self:written(self.random.pick(words.first) .. " " .. self:invented()) end
  return self:written(self:invented() .. " " .. self.random.pick(words.second)) .. " " .. self.random.integer(1, 99)
end

-- A string of the side that is being made. One parameter of a sentence is free; the others take examples, or single words: of two long
-- unheard-of names side by side nobody could tell where one ends.
function Maker:string(tool, name, schema, free)
  local hints
  for _, about in ipairs{name, type(schema.format) == "string" and schema.format or "", schema.description or ""} do
    for _, hint in ipairs(words.hints) do
      hints = hints or about:lower():find(hint[1], 1, true) and hint[2] or nil
    end
  end
  hints = hints or {}
  local examples = self.examples[tool.name] and self.examples[tool.name][name] or {}
  if not free and #examples > 0 then return self.random.pick(examples) end
  for _ = 1, 400 do
    local roll = self.random.number()
    local value = #examples > 0 and roll < 0.4 and not self.for_test and self.random.pick(examples)
      or #hints > 0 and roll < (#examples > 0 and 0.6 or 0.5) and self.random.pick(hints)
      or self:name_of_nothing(not free)
    if self:is_test(value) == self.for_test then return value end
  end
  return nil
end

local function number_text(value)
  return value % 1 == 0 and ("%d"):format(value) or (("%.1f"):format(value))
end

-- What is said, and the value; nil when the schema's values cannot be made.
function Maker:value(tool, name, schema, free)
  local listed = schema.const ~= nil and {schema.const} or schema.enum
  if type(listed) == "table" and #listed > 0 then
    local value = self.random.pick(listed)
    if type(value) == "table" then return nil end
    if type(value) == "number" then return number_text(value), value end
    return (tostring(value):gsub("_", " ")), value
  end
  local kind = type(schema.type) == "table" and schema.type[1] or schema.type
  if kind == nil or kind == "string" then
    local value = self:string(tool, name, schema, free)
    return value, value
  elseif kind == "integer" or kind == "number" then
    local low, high = schema.minimum or 1, schema.maximum or math.max((schema.minimum or 1) + 99, 100)
    if kind == "number" and self.random.chance(0.3) and high - low > 1 then
      local value = math.floor(self.random.integer(low * 10, high * 10)) / 10
      return number_text(value), value
    end
    local value = self.random.integer(math.ceil(low), math.floor(high))
    return number_text(value), value
  elseif kind == "boolean" then
    local value = self.random.chance(0.6)
    return value and "on" or "off", value
  elseif kind == "array" then
    local said, items = {}, require "mobilellm".json.array{}
    for i = 1, self.random.integer(1, 3) do
      said[i], items[i] = self:value(tool, name, type(schema.items) == "table" and schema.items or {}, free)
      if said[i] == nil then return nil end
    end
    return (table.concat(said, ", "):gsub(", ([^,]*)$", " and %1")), items
  end
  return nil
end

-- ---------------------------------------------------------------- sentences

-- Few values that come again and again in the author's rows are all there are.
function Maker:is_closed(tool, name)
  local seen = self.uses[tool.name] and self.uses[tool.name][name] or 0
  local examples = self.examples[tool.name] and self.examples[tool.name][name] or {}
  return #examples <= 4 and seen >= 4 * #examples and seen > 0
end

-- A sentence for the tool and the call; nil when a value cannot be made. author: the phrase is the author's.
function Maker:sentence(tool, phrase, author)
  local properties, arguments = tool.parameters.properties or {}, {}
  local failed, in_phrase = false, {}
  for name in phrase:gmatch "{([^{}]+)}" do
    local schema = properties[name]
    if schema and (schema.type == nil or schema.type == "string" or schema.type == "array") and not schema.enum
      and not self:is_closed(tool, name) then
      in_phrase[#in_phrase + 1] = name
    end
  end
  local free = #in_phrase > 0 and self.random.pick(in_phrase) or nil
  local said = phrase:gsub("{([^{}]+)}", function(name)
    local schema = properties[name]
    if not schema then
      failed = ("phrase '%s' of %s: there is no parameter '%s'"):format(phrase, tool.name, name)
      return ""
    end
    local text, value = self:value(tool, name, schema, name == free)
    if text == nil then
      failed = ("%s.%s: values of its type cannot be made; give rows with --data"):format(tool.name, name)
      return ""
    end
    arguments[name] = value
    return text
  end)
  if failed then return nil, failed end
  local frame = self.random.pick((author or not phrasing.is_order(phrase, tool)) and words.gentle or words.frames)
  if self.random.chance(0.6) then said = frame:gsub("%%s", (said:gsub("%%", "%%%%"))) end
  local names, required = require "mobilellm.signature".parameters(tool)
  for _, name in ipairs(names) do
    if arguments[name] == nil and (required[name] or self.random.chance(author and 0.1 or 0.35)) then
      local schema = properties[name]
      local text, value = self:value(tool, name, schema, free == nil and not self:is_closed(tool, name))
      if text == nil then
        if required[name] then return nil, ("%s.%s: values of its type cannot be made; give rows with --data"):format(tool.name, name) end
      else
        arguments[name], free = value, free or name
        local connector = self.random.pick(phrasing.connectors(tool, name))
        if type(value) == "boolean" then
          connector = value and self.random.pick{" with {n}", ", {n} on"} or self.random.pick{" without {n}", ", {n} off"}
        end
        said = said .. connector:gsub("{(.)}", {n = (phrasing.spoken(name)), v = text})
        if value == 1 then said = said:gsub("%f[%w]1 (%a+[^s])s$", "1 %1") end -- 1 hours
      end
    end
  end
  if self.random.chance(0.3) and not phrase:find "^{" then said = said:gsub("^%l", string.upper) end
  if self.random.chance(0.15) then said = said .. self.random.pick{".", "!"} end
  return said, {name = tool.name, arguments = arguments}
end

-- The tools shown in a row: those called, most of the others, and some that do other things. without: a name that stays away.
function Maker:shown(called, without)
  local list, names = {}, {}
  local function show(tool)
    if not names[tool.name] and tool.name ~= without then
      names[tool.name] = true
      list[#list + 1] = {name = tool.name, description = tool.description, parameters = tool.parameters}
    end
  end
  for _, tool in ipairs(called) do show(tool) end
  local others = {}
  for i, tool in ipairs(self.tools) do others[i] = tool end
  self.random.shuffle(others)
  local share = self.random.chance(0.7) and 1 or 0.5
  for _, tool in ipairs(others) do
    if #list < 6 and self.random.chance(share) then show(tool) end
  end
  if self.random.chance(0.35) then
    for _ = 1, self.random.integer(1, 2) do show(self.random.pick(words.tools)) end
  end
  return self.random.shuffle(list)
end

-- A sentence for one of our tools or of the interface: said, call, tool, kind.
function Maker:ask(tool)
  local phrases, author = self.phrases[tool.name], self.authored[tool.name]
  local at, kind = self.random.integer(1, #phrases), "new values"
  if #phrases >= (author and 4 or 5) then -- the last of the author's, every fifth of ours are the test's
    local every = author and #phrases or 5
    local kept = self.random.integer(1, math.floor(#phrases / every)) * every
    if self.for_test and self.random.chance(0.4) then at, kind = kept, "new phrase"
    else
      while at % every == 0 do at = self.random.integer(1, #phrases) end
    end
  end
  local said, call = self:sentence(tool, phrases[at], author)
  return said, call, kind
end

function Maker:row()
  local roll = self.random.number()
  local function row(said, calls, tools, kind)
    return {messages = {{role = "user", content = said}}, calls = require "mobilellm".json.array(calls), tools = tools, kind = kind}
  end
  if roll < 0.1 then -- small talk
    return row(self.random.pick(self.small_talk) .. self.random.pick{"", "", "?", "."}, {}, self:shown{}, "no call")
  end
  local tool = self.random.pick(self.tools)
  if roll > 0.88 and not self.for_test then tool = self.random.pick(words.tools) end -- so that it does not forget that there are others
  local said, call, kind = self:ask(tool)
  if not said then return nil, call end
  if roll < 0.2 then -- its tool is not there
    local tools = self:shown({}, tool.name)
    if #tools == 0 then return nil end
    return row(said, {}, tools, "no call")
  end
  if roll < 0.26 and #self.tools > 1 then -- two calls
    local other = self.random.pick(self.tools)
    if other ~= tool then
      local more, second, other_kind = self:ask(other)
      if not more then return nil, second end
      return row(said:gsub("[.!?]$", "") .. " and " .. more:gsub("^%u%l", string.lower), {call, second}, self:shown{tool, other},
        kind == other_kind and kind or "new phrase")
    end
  end
  return row(said, {call}, self:shown{tool}, kind)
end

-- ---------------------------------------------------------------- the author's rows

local function find_word(text, value)
  local from = 1
  while true do
    local first, last = text:find(value, from, true)
    if not first then return nil end
    if not (text:sub(first - 1, first - 1):find "%w" and value:find "^%w")
      and not (text:sub(last + 1, last + 1):find "%w" and value:find "%w$") then return first, last end
    from = first + 1
  end
end

-- The sentence of a row with its arguments in braces; nil when they do not all stand in it, once.
local function phrase_of(row)
  local said = row.messages[#row.messages].content
  if #row.messages ~= 1 or #row.calls ~= 1 or said:find "[{}]" then return nil end
  for name, value in pairs(row.calls[1].arguments) do
    local text = type(value) == "number" and number_text(value) or value
    if type(text) ~= "string" then return nil end
    local first, last = find_word(said, text)
    if not first or find_word(said:sub(last + 1), text) then return nil end
    said = said:sub(1, first - 1) .. "{" .. name .. "}" .. said:sub(last + 1)
  end
  return said, row.calls[1]
end

local function add_once(list, value)
  for _, known in ipairs(list) do
    if known == value then return end
  end
  list[#list + 1] = value
end

function Maker:learn(data)
  for _, row in ipairs(data) do
    for _, call in ipairs(row.calls) do
      for name, value in pairs(call.arguments) do
        if type(value) == "string" then
          self.taken[value:lower()] = true
          local of = self.examples[call.name]
          if of then
            of[name] = of[name] or {}
            local uses = self.uses[call.name] or {}
            self.uses[call.name], uses[name] = uses, (uses[name] or 0) + 1
            add_once(of[name], value)
          end
        end
      end
    end
    local phrase, call = phrase_of(row)
    if phrase and self.phrases[call.name] then
      if not self.authored[call.name] then self.phrases[call.name], self.authored[call.name] = {}, true end
      add_once(self.phrases[call.name], phrase)
    end
  end
end

-- ---------------------------------------------------------------- sets

local function sentence_of(row)
  local last = row.messages[#row.messages].content
  return (last:lower():gsub("%s+", " "):gsub("[.!?]+$", ""))
end

-- The strings of a row's calls that no enumeration lists.
local function open_values(row, add)
  for _, call in ipairs(row.calls) do
    for _, tool in ipairs(row.tools) do
      if tool.name == call.name then
        for name, value in pairs(call.arguments) do
          local schema = (tool.parameters.properties or {})[name] or {}
          for _, item in ipairs(type(value) == "table" and value or {value}) do
            if type(item) == "string" and not schema.enum and schema.const == nil and not (schema.items or {}).enum then
              add(item:lower())
            end
          end
        end
      end
    end
  end
end

function maker.overlap(train, test)
  local sentences, values = {}, {}
  for _, row in ipairs(train) do
    sentences[sentence_of(row)] = true
    open_values(row, function(value) values[value] = true end)
  end
  local found = {sentences = 0, rows = 0, values = 0, of_values = 0}
  for _, row in ipairs(test) do
    if sentences[sentence_of(row)] then found.sentences = found.sentences + 1 end
    local known, unknown = 0, 0
    open_values(row, function(value)
      if values[value] then known = known + 1 else unknown = unknown + 1 end
    end)
    found.values, found.of_values = found.values + known, found.of_values + known + unknown
    if known > 0 and unknown == 0 then found.rows = found.rows + 1 end
  end
  return found
end

-- options: rows (to learn: 600), test (150), seed (1), data (rows of the author: they are learned, too).
function maker.make(tools, options)
  options = options or {}
  if #tools == 0 then return nil, "no tools", "format" end
  local data = options.data or {}
  local self = setmetatable({
    random = new_random(options.seed or 1), tools = tools, phrases = {}, authored = {}, examples = {}, taken = {}, uses = {},
    small_talk = {},
  }, Maker)
  local names, needy = {}, 0
  for _, tool in ipairs(tools) do
    local order, required = require "mobilellm.signature".parameters(tool)
    if order[1] and required[order[1]] and phrasing.is_open(tool.parameters.properties[order[1]]) then needy = needy + 1 end
  end
  for _, tool in ipairs(tools) do
    names[tool.name] = true
    self.examples[tool.name] = {}
    for name, schema in pairs(tool.parameters.properties or {}) do
      local list = {}
      for _, value in ipairs(type(schema.examples) == "table" and schema.examples or {}) do
        if type(value) == "string" then list[#list + 1] = value end
      end
      self.examples[tool.name][name] = list
    end
    local own = type(tool.phrases) == "table" and #tool.phrases > 0
    self.phrases[tool.name], self.authored[tool.name] = own and {} or phrasing.phrases(tool, needy == 1), own
    for i, phrase in ipairs(own and tool.phrases or {}) do
      if type(phrase) ~= "string" then return nil, ("tool '%s': a phrase is not a text"):format(tool.name), "format" end
      self.phrases[tool.name][i] = phrase
    end
  end
  for _, tool in ipairs(words.tools) do
    if not names[tool.name] then self.phrases[tool.name], self.authored[tool.name] = tool.phrases, true end
    self.phrases[tool.name] = self.phrases[tool.name] or tool.phrases
  end
  self:learn(data)
  local notes, noted, made = {}, {}, {train = {}, test = {}, notes = nil}
  local sentences = {}
  for i, row in ipairs(data) do
    made.train[i] = row
    sentences[sentence_of(row)] = true
  end
  for _, side in ipairs{"train", "test"} do
    self.for_test = side == "test"
    self.small_talk = {}
    for i, text in ipairs(words.small_talk) do
      if (i % 5 == 0) == self.for_test then self.small_talk[#self.small_talk + 1] = text end
    end
    local wanted, count, tries, own = side == "train" and (options.rows or 600) or (options.test or 150), 0, 0, {}
    while count < wanted and tries < wanted * 20 do
      tries = tries + 1
      local row, note = self:row()
      if row then
        local key = sentence_of(row)
        -- training may ask the same a few times, with other tools around; the test asks nothing that was learned
        if side == "train" and (own[key] or 0) < 3 or side == "test" and not sentences[key] and not own[key] then
          own[key], count = (own[key] or 0) + 1, count + 1
          table.insert(made[side], row)
        end
      elseif note and not noted[note] then
        noted[note] = true
        notes[#notes + 1] = note
      end
    end
    for key in pairs(own) do sentences[key] = true end
  end
  made.notes = notes
  if #made.train == #data then return nil, notes[1] or "no row can be made from these tools", "format" end
  return made
end

return maker
