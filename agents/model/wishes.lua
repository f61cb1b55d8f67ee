-- Sayings made of the phrases of a catalogue (catalogue.lua has their form): one wish, or one meant for several values.
--
--   wishes.one(random, entry, given) -> text, call, phrase, texts of its values; nil when a value comes from another call
--   wishes.several(random, entry)  -> text, calls; nil when the phrase that was drawn does not lend itself to it
--   wishes.details(random, entry, text, call) -> text with sentences that say values which were left out so far; they go into the call
local catalogue = require "catalogue"
local wording = require "wording"
local signature = require "mobilellm.signature"
local words = require "mobilellm.train.words"

local list = words.list

local wishes = {}

-- A phrase of `<..|..>` and `[..]` made definite; booleans and listed values that its words set go into `arguments`.
function wishes.choose(random, entry, phrase, arguments)
  phrase = phrase:gsub("%b<>", function(group)
    local ways = {}
    for way in (group:sub(2, -2) .. "|"):gmatch "(.-)|" do ways[#ways + 1] = way end
    return random.pick(ways)
  end)
  return (phrase:gsub("%b[]", function(group)
    local inside = group:sub(2, -2)
    local name, value, text = inside:match "^([%w_]+)=([^:%]]+):(.*)$"
    local p = name and entry.by_name[name]
    -- What is required and only said by words of its own is said.
    local needed = p and not p.optional and not p.boolean and not phrase:find("{" .. name .. "}", 1, true)
    if not random.chance(needed and 0.8 or 0.42) then return "" end
    if not name then return inside end
    if arguments[name] ~= nil then return "" end
    if p.boolean then arguments[name] = value == "true" else arguments[name] = value end
    return text
  end))
end

-- `text` in the place of %s.
function wishes.put(pattern, text)
  local first, last = pattern:find("%s", 1, true)
  return pattern:sub(1, first - 1) .. text .. pattern:sub(last + 1)
end

-- A capital in front, but not where a value stands there: it is copied as it is written.
function wishes.capital(text, calls)
  for _, call in ipairs(calls) do
    for _, value in pairs(call.arguments) do
      local items = type(value) == "table" and value or {value}
      for _, item in ipairs(items) do
        if type(item) == "string" and text:sub(1, #item) == item then return text end
      end
    end
  end
  return wording.capital(text)
end

-- A full stop at the end, mostly.
function wishes.stop(random, text)
  return text:find "[%?%.!]$" and text or text .. random.pick{".", ".", "", "!"}
end

-- The names of a phrase's values in their order, and how often each stands there.
function wishes.holes(phrase)
  local names, times = {}, {}
  for name in phrase:gmatch "{([%w_]+)}" do
    if times[name] then times[name] = 2 else names[#names + 1], times[name] = name, 1 end
  end
  return names, times
end

-- Not "on tomorrow", not "at in the evening", not "a apple".
function wishes.fill(phrase, texts)
  return (phrase:gsub("(%a*)( ?){([%w_]+)}", function(before, space, name)
    local text = texts[name]
    local word = text:match "^%a+"
    local goes = before == "on" and (word == "tomorrow" or word == "today" or word == "tonight" or word == "next" or word == "this")
      or before == "at" and word == "in"
    local vowel = (before == "a" or before == "A") and text:find "^[aeioAEIO]" and not text:find "^[Oo]ne"
    return goes and text or before .. (vowel and "n" or "") .. space .. text
  end))
end

-- Required parameters that nobody has spoken of: booleans are false. False: another one is missing.
function wishes.complete(entry, arguments)
  for _, p in ipairs(entry.parameters) do
    if not p.optional and arguments[p.name] == nil then
      if not p.boolean then return false end
      arguments[p.name] = false
    end
  end
  return true
end

-- The values of a phrase, drawn into `arguments`, and their texts; nil when two are the same: origin and destination are not.
local function draw_all(random, entry, phrase, arguments)
  local texts, seen = {}, {}
  for _, name in ipairs((wishes.holes(phrase))) do
    if arguments[name] ~= nil then return nil end
    arguments[name], texts[name] = catalogue.draw(random, entry.by_name[name])
    if seen[texts[name]] then return nil end
    seen[texts[name]] = true
  end
  return texts
end

-- `given`: arguments that the call has besides, from elsewhere.
function wishes.one(random, entry, given)
  for _ = 1, 8 do
    local arguments = wishes.copy(given or {})
    local phrase = wishes.choose(random, entry, random.pick(entry.phrases), arguments)
    local texts = draw_all(random, entry, phrase, arguments)
    if texts and wishes.complete(entry, arguments) then
      return wishes.fill(phrase, texts), {name = entry.tool.name, arguments = arguments}, phrase, texts
    end
  end
  return nil
end

function wishes.copy(arguments)
  local new = {}
  for name, value in pairs(arguments) do new[name] = value end
  return new
end

-- Another value than those that `seen` has, and its text; nil when there is none.
function wishes.another(random, p, seen)
  for _ = 1, 20 do
    local value, text = catalogue.draw(random, p)
    if not seen[text:lower()] and not seen[value] then
      seen[text:lower()], seen[value] = true, true
      return value, text
    end
  end
  return nil
end

local function seen_of(call, texts, but)
  local seen = {}
  for name, text in pairs(texts) do
    if name ~= but then seen[text:lower()], seen[call.arguments[name]] = true, true end
  end
  return seen
end

-- Nobody could tell where a value with a comma or an "and" inside ends, in a list.
local function is_plain(text) return not text:find "," and not text:find " and " and not text:find " or " end

local function all_plain(texts)
  for _, text in ipairs(texts) do
    if not is_plain(text) then return false end
  end
  return true
end

-- Parameters of a phrase that can be said for several calls at once. What stands in quotes is said whole.
local function countable(entry, phrase)
  local names, times = wishes.holes(phrase)
  local some = {}
  for _, name in ipairs(names) do
    local quoted = phrase:find('"{' .. name .. '}', 1, true)
    if times[name] == 1 and not quoted and not entry.by_name[name].many then some[#some + 1] = name end
  end
  return some
end

local function alike(a, b)
  return a.draws == b.draws and a.list == b.list and a.kind == b.kind and (a.draws ~= "listed" or a == b)
end

-- Two different names of `able`, in their order there.
local function two_of(random, able)
  local i, j = random.integer(1, #able), random.integer(1, #able - 1)
  if j >= i then j = j + 1 end
  return able[math.min(i, j)], able[math.max(i, j)]
end

-- `count` values of a parameter, the one that the call has first: list of values, list of texts; nil when there are not so many.
local function draw_more(random, entry, name, count, call, texts, but)
  local values, said = {call.arguments[name]}, {texts[name]}
  local seen = seen_of(call, texts, but)
  for i = 2, count do
    values[i], said[i] = wishes.another(random, entry.by_name[name], seen)
    if values[i] == nil then return nil end
  end
  return values, said
end

local same_again = list [[
  and the same for %s | and also for %s | and then for %s | . Do the same for %s | . And for %s | , and %s as well
  . Also for %s please | , then the same with %s | . Now the same with %s | . Repeat that for %s | , and once more for %s
  . What about %s | . And what about %s?]]

-- "the weather in Oslo, Rome and Bath", ".. in Oslo and the same for Bath"
local function listed(random, entry, call, phrase, texts)
  local able = countable(entry, phrase)
  if #able == 0 then return nil end
  local name, calls = random.pick(able), {call}
  local values, said = draw_more(random, entry, name, random.pick{2, 2, 2, 3, 3, 4}, call, texts)
  if not values then return nil end
  for i = 2, #values do
    calls[i] = {name = call.name, arguments = wishes.copy(call.arguments)}
    calls[i].arguments[name] = values[i]
  end
  -- Where two values are of a kind, nobody could tell which of them "the same for .." means.
  local alone = true
  for _, other in ipairs((wishes.holes(phrase))) do
    alone = alone and (other == name or not alike(entry.by_name[other], entry.by_name[name]))
  end
  local plain = all_plain(said)
  if not plain and not alone then return nil end
  if plain and (not alone or random.chance(0.65)) then
    texts[name] = catalogue.enumerate(random, said)
    return wishes.fill(phrase, texts), calls
  end
  local sentence = wishes.fill(phrase, texts)
  for i = 2, #said do
    local way = random.pick(same_again)
    if not way:find "^[.,]" then way = " " .. way end
    sentence = sentence:gsub("%?$", "") .. wishes.put(way, said[i])
  end
  return sentence, calls
end

local in_order = list "respectively|, respectively|, in that order|respectively"

-- "from Rome and Bath to Oslo and Nice, respectively": first with first, second with second.
local function in_pairs(random, entry, call, phrase, texts)
  local able = countable(entry, phrase)
  if #able < 2 then return nil end
  local a, b = two_of(random, able)
  local count = random.pick{2, 2, 3, 4}
  local values_a, said_a = draw_more(random, entry, a, count, call, texts, b)
  local values_b, said_b = draw_more(random, entry, b, count, call, texts, a)
  if not values_a or not values_b or not all_plain(said_a) or not all_plain(said_b) then return nil end
  local calls = {call}
  for i = 2, count do
    calls[i] = {name = call.name, arguments = wishes.copy(call.arguments)}
    calls[i].arguments[a], calls[i].arguments[b] = values_a[i], values_b[i]
  end
  texts[a], texts[b] = catalogue.enumerate(random, said_a), catalogue.enumerate(random, said_b)
  local way = random.pick(in_order)
  return (wishes.fill(phrase, texts):gsub("%?$", "")) .. (way:find "^," and "" or " ") .. way, calls
end

-- "rock and jazz in Rome and Oslo": each with each.
local function crossed(random, entry, call, phrase, texts)
  local able = countable(entry, phrase)
  if #able < 2 then return nil end
  local a, b = two_of(random, able)
  if alike(entry.by_name[a], entry.by_name[b]) then return nil end
  local counts = random.pick{{2, 2}, {2, 2}, {2, 2}, {2, 3}, {3, 2}}
  local values_a, said_a = draw_more(random, entry, a, counts[1], call, texts)
  local values_b, said_b = draw_more(random, entry, b, counts[2], call, texts)
  if not values_a or not values_b or not all_plain(said_a) or not all_plain(said_b) then return nil end
  local calls = {}
  for _, first in ipairs(values_a) do
    for _, second in ipairs(values_b) do
      local arguments = wishes.copy(call.arguments)
      arguments[a], arguments[b] = first, second
      calls[#calls + 1] = {name = call.name, arguments = arguments}
    end
  end
  texts[a], texts[b] = catalogue.enumerate(random, said_a), catalogue.enumerate(random, said_b)
  return random.pick{"", "", "", "for each of them, ", "in all combinations: "} .. wishes.fill(phrase, texts), calls
end

local before_values = {}
for word in ("for from in at to of with on by between about into as using under over"):gmatch "%a+" do before_values[word] = true end

-- "convert 5 USD to EUR and 7 GBP to JPY": what has the values is said again, with others.
local function said_again(random, entry, call, phrase, texts)
  local able, names = countable(entry, phrase), wishes.holes(phrase)
  if #able < 2 or #able ~= #names then return nil end
  local first, last = phrase:find "{[%w_]+}.*{[%w_]+}"
  local before = phrase:sub(1, first - 1):match "(%a+) $"
  if before and before_values[before] then first = first - #before - 1 end
  local span, behind = phrase:sub(first, last), phrase:sub(last + 1)
  if #span:gsub("{[%w_]+}", "") > 40 or span:find "[.?!;:]" then return nil end
  local calls, pieces = {call}, {wishes.fill(phrase:sub(1, last), texts)}
  for _, text in pairs(texts) do
    if not is_plain(text) then return nil end
  end
  local seen = seen_of(call, texts)
  for i = 2, random.pick{2, 2, 3} do
    local arguments, new = wishes.copy(call.arguments), {}
    for _, name in ipairs(names) do
      arguments[name], new[name] = wishes.another(random, entry.by_name[name], seen)
      if not new[name] or not is_plain(new[name]) then return nil end
    end
    calls[i], pieces[i] = {name = call.name, arguments = arguments}, wishes.fill(span, new)
  end
  return catalogue.enumerate(random, pieces) .. behind, calls
end

local ways = {listed, listed, listed, listed, said_again, said_again, said_again, crossed, crossed, in_pairs}

function wishes.several(random, entry)
  local _, call, phrase, texts = wishes.one(random, entry)
  if not call then return nil end
  local way = random.pick(ways)
  -- What a way changes before it gives up must not be left in the call.
  local text, calls = way(random, entry, {name = call.name, arguments = wishes.copy(call.arguments)}, phrase, wishes.copy(texts))
  if text then return text, calls end
  return listed(random, entry, call, phrase, texts)
end

local ways_to_set = list([[
  The %p should be %v; Set the %p to %v; For the %p, use %v; Use %v as the %p; The %p is %v; Please make the %p %v; As %p I would take %v
  In the %p field, put %v; I want %v for the %p; Make sure that the %p is %v; And %v as the %p, please; The %p must be %v; Let the %p be %v
  In the %p section, add %v; %v is the %p; I'd set %v as %p]], ";")

local function in_quotes(random, p, text)
  if p.many or not text:find " .* " or text:find '["\']' or not random.chance(0.4) then return text end
  local mark = random.pick{'"', '"', "'"}
  return mark .. text .. mark
end

function wishes.details(random, entry, text, call)
  local left = {}
  for _, p in ipairs(entry.parameters) do
    local name = signature.plain_words(p.name)
    if p.optional and p.draws and call.arguments[p.name] == nil and #name > 2 then left[#left + 1] = {p = p, name = name} end
  end
  if #left == 0 then return text end
  random.shuffle(left)
  for i = 1, math.min(#left, random.pick{1, 1, 2}) do
    local p, value, said = left[i].p, catalogue.draw(random, left[i].p)
    call.arguments[p.name] = value
    said = in_quotes(random, p, said)
    local sentence = random.pick(ways_to_set):gsub("%%(.)", function(c) return c == "p" and left[i].name or said end)
    text = (text:find "[%?%.!]$" and text or text .. ".") .. " " .. wishes.capital(sentence, {call}) .. "."
  end
  return text
end

return wishes
