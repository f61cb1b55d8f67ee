-- Reads catalogues of services: tools, what their parameters may hold, and how people ask for them.
--
--   local services, problems = require "catalogue".read(text, name)
--     services: a list of {title, entries, before, behind (sentences)}; an entry is
--     {tool, parameters (in order), by_name, phrases, openers, service};
--     problems: a list of messages "name:line: what"; what they are about is left out.
--   require "catalogue".draw(random, parameter) -> value, as it is said
--   local problems = require "catalogue".around(text, name, services)
--     adds what people say around a wish and asks for nothing to the services' `before` and `behind`
--
-- The form, a thing a line:
--   # a comment
--   list drink: flat white; oat milk latte           values of our own, for all tools of the text
--   service coffee shop                              the tools behind it are alike, so that they tempt
--   tool order_drink: Orders a drink for pickup
--   drink: drink | What would you like? | Which one? a parameter, its kind, and how an assistant asks for it
--   size?: small (tiny, little) / large (big)        `?`: may be left out. Listed values, with other ways to say them
--   to_go?: boolean
--   > a[ {size}] {drink}[to_go=true: to go], please  a wish: every required parameter as {name}; [..] is said or left out,
--   > <I'd like|get me> {drink}[, {size}]              [name=value: ..] sets what its words say, <a|b> is one of these
--   ? can I have something to drink                  how somebody begins who does not say everything
-- Kinds: those of kinds.lua, lists, integer 1-20, number 0.5-99, money 5-900 ("$500"), percent 1-90 ("7%"), rate 1-20 ("7%", but the
-- argument is 0.07), boolean, listed values, KIND[] for several, KIND[2] for two (neither of booleans), and `from TOOL`: comes from the
-- result of a call of that tool of the same service.
-- The form of what is said around a wish:
--   service coffee shop
--   ~ I'm meeting {first_name} here in a minute.     in front of a wish; {..} is a kind of kinds.lua
--   ~~ My boss is paying.                            behind it
local kinds = require "kinds"
local signature = require "mobilellm.signature"
local wording = require "wording"
local words = require "mobilellm.train.words"

local catalogue = {}

local function trim(text) return text:match "^%s*(.-)%s*$" end

-- 15000 -> "15,000"
local function with_commas(n)
  local text = ("%d"):format(n)
  while text:find "^%-?%d%d%d%d" do text = text:gsub("^(%-?%d+)(%d%d%d)", "%1,%2") end
  return text
end

local function plain(value) return ("%.14g"):format(value) end

-- A whole number between two, sometimes round.
local function whole(random, low, high)
  local value = random.integer(low, high)
  local unit = low < 1000 and (high >= 2000 and 100 or high >= 200 and 10) or nil
  if unit and random.chance(0.5) then
    local rounded = math.floor(value / unit) * unit
    if rounded >= low then value = rounded end
  end
  return value
end

-- A number from 1000 on is a year or a code.
local function say_whole(random, value, p)
  if value >= 1 and value <= 12 and random.chance(0.25) then return wording.number_words[value] end
  if value >= 1000 and value % 10 == 0 and p.low < 1000 and random.chance(0.6) then return with_commas(value) end
  return plain(value)
end

local drawers = {}

function drawers.integer(random, p)
  local value = whole(random, p.low, p.high)
  return value, say_whole(random, value, p)
end

function drawers.number(random, p)
  local scale = 10 ^ p.decimals
  local value = math.floor((p.low + random.number() * (p.high - p.low)) * scale + 0.5) / scale
  if p.high - p.low >= 4 and random.chance(0.25) then value = math.floor(value + 0.5) end
  if value % 1 == 0 then value = math.floor(value) end
  return value, plain(value)
end

function drawers.money(random, p)
  local value = whole(random, p.low, p.high)
  local text = value >= 1000 and random.chance(0.5) and with_commas(value) or plain(value)
  local before = random.pick{"$", "$", "$", "€", "", "", "", ""}
  return value, before .. text .. (before == "" and random.pick{" dollars", " euros", " pounds", " bucks"} or "")
end

function drawers.percent(random, p)
  local value = random.integer(p.low, p.high)
  return value, plain(value) .. random.pick{"%", "%", " percent"}
end

function drawers.rate(random, p)
  local value = random.integer(p.low * 2, p.high * 2) / 2
  if random.chance(0.6) then value = math.max(p.low, math.floor(value)) end
  return tonumber(("%.6f"):format(value / 100)), plain(value) .. random.pick{"%", "%", " percent"}
end

function drawers.listed(random, p)
  local one = random.pick(p.listed)
  return one.value, random.pick(one.said)
end

function drawers.list(random, p)
  local value = random.pick(p.list)
  return value, value
end

function drawers.kind(random, p)
  local value = kinds.value(random, p.kind)
  return value, type(value) == "number" and plain(value) or value
end

-- Several values, none twice unless their count is given.
local function draw_many(random, p)
  local values, texts, seen = {}, {}, {}
  for _ = 1, p.count or random.integer(1, 4) do
    local value, text = drawers[p.draws](random, p)
    if p.count or not seen[value] then
      seen[value] = true
      values[#values + 1], texts[#texts + 1] = value, text
    end
  end
  if type(values[1]) == "number" and random.chance(p.count and 0.8 or 0.4) then
    for i, value in ipairs(values) do texts[i] = plain(value) end
    local open, close = "[", "]"
    if p.count and random.chance(0.6) then open, close = "(", ")" end
    return values, open .. table.concat(texts, ", ") .. close
  end
  return values, catalogue.enumerate(random, texts)
end

-- "a", "a and b", "a, b and c"
function catalogue.enumerate(random, texts)
  if #texts == 1 then return texts[1] end
  local last = random.pick{" and ", " and ", ", and ", #texts > 2 and ", " or " and "}
  return table.concat(texts, ", ", 1, #texts - 1) .. last .. texts[#texts]
end

function catalogue.draw(random, p)
  if p.many then return draw_many(random, p) end
  return drawers[p.draws](random, p)
end

---------------------------------------------------------------------------------------------------------------------- reading

local function read_listed(text)
  local listed, enum = {}, {}
  -- The bars between values stand outside of brackets.
  local hidden = text:gsub("%b()", function(inside) return (inside:gsub("/", "\1")) end)
  for item in hidden:gmatch "[^/]+" do
    item = trim((item:gsub("\1", "/")))
    local value, others = item:match "^(.-)%s*%((.*)%)$"
    value = value or item
    if value == "" then return nil end
    local coded = value:find "^%S+$" and (value:find "_" or value:find "%l%u" or value:find "^%u%u%u%u+$")
    local said = {coded and signature.plain_words(value) or value}
    for other in (others or ""):gmatch "[^,]+" do said[#said + 1] = trim(other) end
    listed[#listed + 1] = {value = value, said = said}
    enum[#enum + 1] = value
  end
  return #listed > 1 and listed or nil, enum
end

local function decimals(text) return #(text:match "%.(%d+)$" or "") end

-- The kind of a parameter as the table that `draw` takes, or nil, message.
local function read_kind(text, lists)
  local base, many = text, false
  local count = text:match "%[(%d*)%]"
  if count then base, many = trim((text:gsub("%[%d*%]", ""))), true end
  local p = {many = many, count = tonumber(count)}
  if p.count == 0 then return nil, "'" .. text .. "' has no values" end
  local source = base:match "^from%s+(%S+)$"
  local word, low, high = base:match "^(%a+)%s+(%-?[%d.,]+)%s*%-%s*(%-?[%d.,]+)$"
  if source then
    p.from, p.schema = source, {type = "string"}
  elseif base == "boolean" then
    p.boolean, p.schema = true, {type = "boolean"}
  elseif word then
    if not ({integer = 1, number = 1, money = 1, percent = 1, rate = 1})[word] then return nil, "there is no kind '" .. word .. "'" end
    low, high = low:gsub(",", ""), high:gsub(",", "")
    p.draws, p.low, p.high = word, tonumber(low), tonumber(high)
    if not p.low or not p.high or p.low >= p.high then return nil, "'" .. text .. "' is no range" end
    p.decimals = math.max(1, decimals(low), decimals(high))
    local fraction = word == "number" or word == "rate"
    if not fraction and (p.low % 1 ~= 0 or p.high % 1 ~= 0) then return nil, "'" .. text .. "' has no whole ends" end
    p.schema = {type = fraction and "number" or "integer"}
  elseif lists[base] then
    p.draws, p.list, p.schema = "list", lists[base], {type = "string"}
  elseif kinds.has(base) then
    p.draws, p.kind, p.schema = "kind", base, {type = kinds.type(base)}
  elseif base:find "/" then
    local listed, enum = read_listed(base)
    if not listed then return nil, "'" .. text .. "' lists no two values" end
    p.draws, p.listed, p.schema = "listed", listed, {type = "string", enum = enum}
  else
    return nil, "there is no kind '" .. base .. "'"
  end
  if many and not p.draws then return nil, "'" .. text .. "': only what is said can be several" end
  if many then p.schema = {type = "array", items = p.schema} end
  return p
end

-- Whether a wish can be made of a phrase: nil, or what is wrong with it.
local function wrong_phrase(entry, phrase, whole_wish)
  local outside = phrase:gsub("%b[]", "")
  for group in phrase:gmatch "%b[]" do
    if group:sub(2, -2):find "%[" then return "[..] within [..]" end
    local name, value = group:match "^%[([%w_]+)=([^:%]]+):"
    local p = name and entry.by_name[name]
    if name and not p then return "there is no parameter '" .. name .. "'" end
    if p and not p.boolean then
      local found = false
      for _, one in ipairs(p.listed or {}) do found = found or one.value == value end
      if not found then return ("'%s' is no value of %s"):format(value, name) end
    elseif p and value ~= "true" and value ~= "false" then
      return ("'%s' is neither true nor false"):format(value)
    end
  end
  if outside:find "[%[%]]" then return "a bracket without its other one" end
  for name in phrase:gmatch "{(.-)}" do
    local p = entry.by_name[name]
    if not p then return "there is no parameter '" .. name .. "'" end
    if p.from or p.boolean then return "{" .. name .. "} is not said" end
  end
  if phrase:gsub("{[%w_]+}", ""):find "[{}]" then return "a brace without its other one" end
  for _, p in ipairs(entry.parameters) do
    -- In words of its own, in every one of <a|b>, or as itself.
    if whole_wish and not p.optional and not p.from and not p.boolean and not outside:find("{" .. p.name .. "}", 1, true)
      and not phrase:find("[" .. p.name .. "=", 1, true) then
      return "{" .. p.name .. "} is required and not said"
    end
  end
  return nil
end

local function add_parameter(entry, lists, line)
  local name, optional, rest = line:match "^([%w_]+)(%??):%s*(.+)$"
  if not name then return "this is no parameter, phrase or opener" end
  local parts = {}
  for part in (rest .. "|"):gmatch "(.-)|" do parts[#parts + 1] = trim(part) end
  local p, message = read_kind(parts[1], lists)
  if not p then return message end
  if entry.by_name[name] then return "the parameter '" .. name .. "' is there already" end
  p.name, p.optional, p.asked = name, optional == "?", {}
  for i = 2, #parts do
    if parts[i] ~= "" then p.asked[#p.asked + 1] = parts[i] end
  end
  entry.parameters[#entry.parameters + 1] = p
  entry.by_name[name] = p
  local schema = entry.tool.parameters
  schema.properties[name] = p.schema
  if not p.optional then table.insert(schema.required, name) end
  return nil
end

-- Takes out what cannot be used, with a message: tools without a phrase, values from tools that are not there (any more).
local function check_service(service, problem)
  local removed
  repeat
    local kept, by_name = {}, {}
    removed = false
    for _, entry in ipairs(service.entries) do by_name[entry.tool.name] = entry end
    for _, entry in ipairs(service.entries) do
      local fault = #entry.phrases == 0 and "has no phrase" or nil
      for _, p in ipairs(entry.parameters) do
        local source = p.from and by_name[p.from]
        if p.from and (not source or source == entry) then
          fault = ("has '%s' from '%s', no other tool of its service"):format(p.name, p.from)
        end
      end
      if fault then
        removed = true
        problem(entry.line, entry.tool.name .. " " .. fault)
      else
        kept[#kept + 1] = entry
      end
    end
    service.entries = kept
  until not removed
end

-- Whether a sentence around a wish can be said: nil, or what is wrong with it.
local function wrong_sentence(sentence)
  for kind in sentence:gmatch "{(.-)}" do
    if not kinds.has(kind) then return "there is no kind '" .. kind .. "'" end
  end
  if sentence:gsub("{[%w_]+}", ""):find "[{}]" then return "a brace without its other one" end
  return nil
end

function catalogue.read(text, file)
  local services, problems, lists, names = {}, {}, {}, {}
  local function problem(line, message) problems[#problems + 1] = ("%s:%d: %s"):format(file, line, message) end
  local service, entry
  local number = 0
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    number = number + 1
    line = trim(line)
    local list, items = line:match "^list%s+([%w_]+):%s*(.*)$"
    local name, description = line:match "^tool%s+([%w_.%-]+):%s*(.+)$"
    local mark, phrase = line:match "^([>?])%s*(.+)$"
    local empty = line == "" or line:find "^#"
    if list then
      lists[list] = words.list(items, ";")
      if #lists[list] < 2 then problem(number, "the list '" .. list .. "' has no two values") end
    elseif line:find "^service%s" then
      service, entry = {title = trim(line:sub(9)), entries = {}, before = {}, behind = {}}, nil
      services[#services + 1] = service
    elseif name then
      entry = {
        tool = {name = name, description = description, parameters = {type = "object", properties = {}, required = {}}},
        parameters = {}, by_name = {}, phrases = {}, openers = {}, service = service, line = number,
      }
      if not service then problem(number, "a tool before any service")
      elseif names[name] then problem(number, "the tool '" .. name .. "' is there already")
      else table.insert(service.entries, entry) end
      names[name] = true
    elseif not entry and not empty then
      problem(number, "'" .. line .. "' belongs to no tool")
    elseif mark then
      local message = wrong_phrase(entry, phrase, mark == ">")
      if message then problem(number, message) else table.insert(mark == ">" and entry.phrases or entry.openers, phrase) end
    elseif not empty then
      local message = add_parameter(entry, lists, line)
      if message then problem(number, message) end
    end
  end
  for _, one in ipairs(services) do check_service(one, problem) end
  for i = #services, 1, -1 do
    if #services[i].entries == 0 then table.remove(services, i) end
  end
  return services, problems
end

function catalogue.around(text, file, services)
  local problems, by_title, service = {}, {}, nil
  for _, one in ipairs(services) do by_title[one.title] = one end
  local number = 0
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    number = number + 1
    line = trim(line)
    local title, mark, sentence = line:match "^service%s+(.+)$", line:match "^(~~?)%s*(.+)$"
    local message
    if title then
      service = by_title[title]
      message = not service and "there is no service '" .. title .. "'" or nil
    elseif mark then
      message = wrong_sentence(sentence)
      if service and not message then table.insert(mark == "~" and service.before or service.behind, sentence) end
    elseif line ~= "" and not line:find "^#" then
      message = "this is neither a service nor a sentence"
    end
    if message then problems[#problems + 1] = ("%s:%d: %s"):format(file, number, message) end
  end
  return problems
end

return catalogue
