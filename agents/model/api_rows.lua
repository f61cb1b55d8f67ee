-- Makes rows for the services of services/*.txt (catalogue.lua has their form): one wish or several, of one tool or more, conversations in
-- which values are asked for, results of earlier calls. They widen what the rows read from files have: kinds of tools, types of values,
-- ways to ask.
--
--   require "api_rows".row(random, from) -> {tools, messages, calls, kind, source}; from: a list of services of catalogue.lua, else all
--   require "api_rows".names       -> the names of all their tools
local json = require "mobilellm".json
local catalogue = require "catalogue"
local kinds = require "kinds"
local wording = require "wording"
local words = require "mobilellm.train.words"

local list = words.list

local api_rows = {names = {}}

-- The catalogues, in the order that rows have been drawn in: `pairs` and folders have another one on each machine.
local files = {
  "various", "travel1", "travel2", "personal1", "personal2", "food1", "food2", "health1", "health2", "science1", "science2", "business1",
  "business2", "culture1", "culture2", "tech1", "tech2", "voice", "office", "devices", "webapis", "apps", "desk", "functions", "records",
}

local services = {}
do
  local here = debug.getinfo(1, "S").source:match "^@(.*)api_rows%.lua$" or ""
  local seen = {}
  for _, name in ipairs(files) do
    local path = here .. "services/" .. name .. ".txt"
    local file = assert(io.open(path, "rb"))
    local some, problems = catalogue.read(file:read "*a", path)
    file:close()
    if problems[1] then error(problems[1], 0) end
    for _, service in ipairs(some) do
      services[#services + 1] = service
      for _, entry in ipairs(service.entries) do
        local tool = entry.tool.name
        if seen[tool] then error(("%s:%d: the tool '%s' is in %s, too"):format(path, entry.line, tool, seen[tool]), 0) end
        seen[tool] = path
        api_rows.names[#api_rows.names + 1] = tool
      end
    end
  end
end

------------------------------------------------------------------------------------------------------------------------ wishes

-- A phrase of `<..|..>` and `[..]` made definite; booleans and listed values that its words set go into `arguments`.
local function choose(random, entry, phrase, arguments)
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
local function put(pattern, text)
  local first, last = pattern:find("%s", 1, true)
  return pattern:sub(1, first - 1) .. text .. pattern:sub(last + 1)
end

-- A capital in front, but not where a value stands there: it is copied as it is written.
local function capital(text, calls)
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

local function holes(phrase)
  local names, seen = {}, {}
  for name in phrase:gmatch "{([%w_]+)}" do
    if seen[name] then seen[name] = 2 else names[#names + 1], seen[name] = name, 1 end
  end
  return names, seen
end

-- Not "on tomorrow", not "at in the evening", not "a apple".
local function fill(phrase, texts)
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
local function complete(entry, arguments)
  for _, p in ipairs(entry.parameters) do
    if not p.optional and arguments[p.name] == nil then
      if not p.boolean then return false end
      arguments[p.name] = false
    end
  end
  return true
end

-- One wish: a sentence, its call, the phrase it was made of and the texts of its values. nil when a value comes from another call.
local function wish(random, entry)
  for _ = 1, 8 do
    local arguments, texts = {}, {}
    local phrase = choose(random, entry, random.pick(entry.phrases), arguments)
    local distinct, seen = true, {}
    for _, name in ipairs((holes(phrase))) do
      if arguments[name] ~= nil then distinct = false end
      arguments[name], texts[name] = catalogue.draw(random, entry.by_name[name])
      -- Origin and destination are not the same.
      if seen[texts[name]] then distinct = false end
      seen[texts[name]] = true
    end
    if distinct and complete(entry, arguments) then
      return fill(phrase, texts), {name = entry.tool.name, arguments = arguments}, phrase, texts
    end
  end
  return nil
end

local function copy(arguments)
  local new = {}
  for name, value in pairs(arguments) do new[name] = value end
  return new
end

-- Other values than those that `seen` has, by their texts; nil when there is none.
local function another(random, p, seen)
  for _ = 1, 20 do
    local value, text = catalogue.draw(random, p)
    if not seen[text:lower()] and not seen[value] then
      seen[text:lower()], seen[value] = true, true
      return value, text
    end
  end
  return nil
end

-- Parameters of a phrase that can be said for several calls at once. What stands in quotes is said whole.
local function countable(entry, phrase)
  local names, times = holes(phrase)
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

local same_again = list [[
  and the same for %s | and also for %s | and then for %s | . Do the same for %s | . And for %s | , and %s as well
  . Also for %s please | , then the same with %s | . Now the same with %s | . Repeat that for %s | , and once more for %s
  . What about %s | . And what about %s?]]

-- A wish said once and meant for several values: "the weather in Oslo, Rome and Bath", ".. and the same for Bath".
local function listed_wish(random, entry)
  local _, call, phrase, texts = wish(random, entry)
  if not call then return nil end
  local able = countable(entry, phrase)
  if #able == 0 then return nil end
  local name = random.pick(able)
  local second = #able > 1 and random.chance(0.25) and random.pick(able) or nil
  if second == name then second = nil end
  local count, calls, said, said2 = random.pick{2, 2, 2, 3, 3, 4}, {call}, {texts[name]}, {second and texts[second]}
  local seen, seen2 = {}, {}
  for one, text in pairs(texts) do
    if one ~= second then seen[text:lower()], seen[call.arguments[one]] = true, true end
    if one ~= name then seen2[text:lower()], seen2[call.arguments[one]] = true, true end
  end
  for i = 2, count do
    local arguments = copy(call.arguments)
    local text
    arguments[name], text = another(random, entry.by_name[name], seen)
    if not text then return nil end
    said[i] = text
    if second then
      arguments[second], text = another(random, entry.by_name[second], seen2)
      if not text then return nil end
      said2[i] = text
    end
    calls[i] = {name = call.name, arguments = arguments}
  end
  -- A value with a comma or an "and" inside is not listed: nobody could tell where it ends. And where two values are of a kind, nobody
  -- could tell which of them "the same for .." means.
  local plain, alone = true, true
  for i, text in ipairs(said) do
    for _, one in ipairs{text, said2[i]} do plain = plain and not one:find "," and not one:find " and " end
  end
  for _, other in ipairs((holes(phrase))) do alone = alone and (other == name or not alike(entry.by_name[other], entry.by_name[name])) end
  if not plain and (second or not alone) then return nil end
  if second then
    texts[name], texts[second] = catalogue.enumerate(random, said), catalogue.enumerate(random, said2)
    return fill(phrase, texts) .. random.pick{" respectively", ", respectively", ""}, calls
  end
  if plain and (not alone or random.chance(0.65)) then
    texts[name] = catalogue.enumerate(random, said)
    return fill(phrase, texts), calls
  end
  local sentence = fill(phrase, texts)
  for i = 2, count do
    local way = random.pick(same_again)
    if not way:find "^[.,]" then way = " " .. way end
    sentence = sentence:gsub("%?$", "") .. put(way, said[i])
  end
  return sentence, calls
end

------------------------------------------------------------------------------------------------------------------------- rows

local openings = {"", "", "", "", "", "", "", "", "", "hey, ", "ok, ", "hi! ", "Hello. ", "so, ", "Good morning. ", "hey there, "}
local endings = {"", "", "", "?", ".", "?", ".", " please", ", thanks", "!", " for me"}
local joints = {
  " and ", ". Then ", ". Also, ", ", and ", "; ", ". ", ". After that, ", ", then ", ". ", ". Additionally, ", ". Next, ", ", and also ",
  ". Oh, and ", ". Besides, ",
}
local greetings = list "hello|Hi, can you help me?|I need some help|are you there|Good morning|Hi|I have a request"
local offers = list [[
  Sure, what can I do for you? | Of course. | Yes, what do you need? | How can I help? | Hello, what can I do for you today?]]
local closings = list [[
  Sure, let me handle that for you. | Okay. | Of course, one moment. | Alright, I will do that. | Let me check. | Thank you.
  Great, I will do it now. | Got it, give me a second.]]
local acknowledgements = list "Sure. | Okay. | Of course. | Happy to help. | Alright! | Sure, I can do that. | Got it."
local answers = list [[
  %s | %s | %s | %s | %s | %s. | It's %s | %s please | %s, thanks | That would be %s | I think %s | Let's say %s | Make it %s
  %s I guess | Hmm, %s | Oh, %s. | Let me see... %s | %s, if possible]]
local no_matter = list [[
  I don't mind | Doesn't matter | no preference | Anything is fine | Skip that | I don't care | No, leave that out | whatever you have]]
local corrections = list [[
  Sorry, I meant %s | Actually, make it %s | No wait, %s | Actually %s is better | Hold on, %s instead
  Oh no, I got that wrong, it's %s]]
local confirmations = list [[
  Shall I go ahead? | Is that right? | Can I do that? | Please confirm. | Should I go on with that? | Is everything correct?
  Do you want me to do it?]]
local agreements = list [[
  Yes, please | yes | That's right. | Sure | Go ahead. | Yes. | yep | Correct | Please do | ok | That works for me. | Yes, thank you.]]
local done = list [[
  Done. | That is done. Anything else? | It worked. | Okay, that's settled. What else can I do? | All set! | Your request went through.]]
local chatter = list [[
  I'm in a hurry. | My phone is almost dead. | Sorry for the late answer. | It's for a friend. | I hope that's okay.
  That's all I know. | I never did this before. | The last time it didn't work.]]

local function offer(row, tool)
  for _, other in ipairs(row.tools) do
    if other.name == tool.name then return end
  end
  row.tools[#row.tools + 1] = tool
end

local function user(row, text) row.messages[#row.messages + 1] = {role = "user", content = text} end
local function assistant(row, text) row.messages[#row.messages + 1] = {role = "assistant", content = text} end

local function stop(random, text)
  return text:find "[%?%.!]$" and text or text .. random.pick{".", ".", "", "!"}
end

-- One wish or several in one saying.
local function saying(random, row, service)
  local entry = random.pick(service.entries)
  local text, calls
  local roll = random.number()
  if roll < 0.28 then text, calls = listed_wish(random, entry) end
  if not text then
    local call
    text, call = wish(random, entry)
    if not text then return false end
    calls = {call}
  end
  offer(row, entry.tool)
  local opening = random.pick(openings)
  if opening:find "[!.:] $" and random.chance(0.6) then text = capital(text, calls) end
  if roll > 0.75 then
    for _ = 1, random.pick{1, 1, 1, 2, 2, 3} do
      if random.chance(0.6) then
        if random.chance(0.5) then service = random.pick(services) end
        entry = random.pick(service.entries)
      end
      local next_text, next_call = wish(random, entry)
      if next_text then
        local joint = random.pick(joints)
        if text:find "%?$" and not joint:find "^%." then joint = " " .. random.pick{"And ", "Also, ", "Then ", ""} end
        if text:find "[%?!.]$" and joint:find "^%." then joint = joint:sub(2) end
        text = text .. joint .. (joint:find "[%.%?] $" and capital(next_text, {next_call}) or next_text)
        calls[#calls + 1] = next_call
        offer(row, entry.tool)
      end
    end
  end
  row.calls = calls
  text = opening .. text .. ((text:find "[%?!.]$" or text:find "please$") and "" or random.pick(endings))
  if random.chance(0.6) then text = capital(text, calls) end
  if random.chance(0.12) then
    user(row, random.pick(greetings))
    assistant(row, random.pick(offers))
  end
  user(row, text)
  if random.chance(0.1) then assistant(row, random.pick(closings)) end
  return true
end

-- The assistant asks for a parameter and is told.
local function ask(random, row, p, arguments)
  local question = random.pick(p.asked)
  assistant(row, random.chance(0.6) and random.pick(acknowledgements) .. " " .. question or question)
  if p.optional and random.chance(0.4) then
    user(row, random.pick(no_matter))
    return
  end
  local value, text = catalogue.draw(random, p)
  arguments[p.name] = value
  user(row, put(random.pick(answers), text) .. (random.chance(0.1) and ". " .. random.pick(chatter) or ""))
end

-- How a conversation begins; the values that are said then go into `arguments`.
local function opening_of(random, entry, arguments)
  local phrase = choose(random, entry, random.pick(entry.openers), arguments)
  local texts = {}
  for _, name in ipairs((holes(phrase))) do arguments[name], texts[name] = catalogue.draw(random, entry.by_name[name]) end
  return fill(phrase, texts)
end

-- Asks for what is missing; false when that cannot be.
local function ask_for_rest(random, row, entry, arguments)
  local asked = {}
  for _, p in ipairs(entry.parameters) do
    if arguments[p.name] == nil and not p.from and not p.boolean and (not p.optional or random.chance(0.3)) then
      if #p.asked > 0 then asked[#asked + 1] = p
      elseif not p.optional then return false end
    end
  end
  if random.chance(0.2) then random.shuffle(asked) end
  for _, p in ipairs(asked) do ask(random, row, p, arguments) end
  local last = asked[#asked]
  if last and arguments[last.name] ~= nil and not last.many and random.chance(0.15) then
    assistant(row, random.pick(confirmations))
    local seen = {[arguments[last.name]] = true}
    local value, text = another(random, last, seen)
    if value ~= nil then
      arguments[last.name] = value
      user(row, put(random.pick(corrections), text))
    else
      user(row, random.pick(agreements))
    end
  elseif random.chance(0.2) then
    assistant(row, random.pick(confirmations))
    user(row, random.pick(agreements))
  end
  return true
end

local function called(row, call, result)
  row.messages[#row.messages + 1] = {role = "assistant", content = "", tool_calls = {call}}
  row.messages[#row.messages + 1] = {role = "tool", content = result}
end

local function result_of(random, name)
  local value = kinds.value(random, "id") or ""
  if name:lower():find "token" or random.chance(0.2) then
    for _ = 1, 2 do value = value .. kinds.value(random, "id"):lower() end
  end
  return value
end

-- Something else was asked for and done before.
local function earlier(random, row, service)
  local entry = random.pick(service.entries)
  local text, call = wish(random, entry)
  if not text then return end
  user(row, stop(random, capital(text, {call})))
  if random.chance(0.6) then
    called(row, call, random.pick{'{"status": "ok"}', '"success"', '{"result": "done"}', '{"id": "' .. kinds.value(random, "id") .. '"}'})
  end
  assistant(row, random.pick(done))
  offer(row, entry.tool)
end

-- A wish whose values come one after the other.
local function conversation(random, row, service)
  local able = {}
  for _, entry in ipairs(service.entries) do
    local fits = #entry.openers > 0
    for _, p in ipairs(entry.parameters) do fits = fits and not p.from end
    if fits then able[#able + 1] = entry end
  end
  if #able == 0 then return false end
  local entry, arguments = random.pick(able), {}
  if random.chance(0.15) then earlier(random, row, service) end
  local text = opening_of(random, entry, arguments)
  if random.chance(0.2) then
    user(row, random.pick(greetings))
    assistant(row, random.pick(offers))
  end
  user(row, stop(random, capital(random.pick{"", "", "hi, ", "hello, ", ""} .. text, {{arguments = arguments}})))
  if not ask_for_rest(random, row, entry, arguments) or not complete(entry, arguments) then return false end
  if random.chance(0.3) then assistant(row, random.pick(closings)) end
  row.calls[1] = {name = entry.tool.name, arguments = arguments}
  offer(row, entry.tool)
  return true
end

local first_needed = list [[
  To do that, I need you to sign in first. | Before that I have to look that up. | First I need something from you.
  I can do that. Just a moment. | Sure, but one thing comes first. | Okay.]]

-- A wish that needs the result of another call: that call, or the wish's own when the result is there.
local function chain(random, row, service)
  local able = {}
  for _, entry in ipairs(service.entries) do
    for _, p in ipairs(entry.parameters) do
      if p.from then
        able[#able + 1] = {entry = entry, from = p.from, result = p.name}
        break
      end
    end
  end
  if #able == 0 then return false end
  local one, source = random.pick(able), nil
  for _, entry in ipairs(service.entries) do source = entry.tool.name == one.from and entry or source end
  for _, p in ipairs(source.parameters) do
    if p.from then return false end -- longer ways are left out
  end
  local arguments, results = {}, {}
  for _, p in ipairs(one.entry.parameters) do
    if p.from then
      if p.from ~= one.from then return false end
      arguments[p.name] = result_of(random, p.name)
      results[p.name] = arguments[p.name]
    end
  end
  local phrase = choose(random, one.entry, random.pick(one.entry.phrases), arguments)
  local texts = {}
  for _, name in ipairs((holes(phrase))) do arguments[name], texts[name] = catalogue.draw(random, one.entry.by_name[name]) end
  if not complete(one.entry, arguments) then return false end
  user(row, stop(random, capital(fill(phrase, texts), {{arguments = arguments}})))
  assistant(row, (random.pick(first_needed)))
  local before = #row.messages
  local asked = {}
  for _, p in ipairs(source.parameters) do
    if not p.optional and not p.boolean then
      if #p.asked == 0 then return false end
      if before then -- the first question goes on in the same message
        local opening = table.remove(row.messages)
        ask(random, row, p, asked)
        row.messages[before].content = opening.content .. " " .. row.messages[before].content
        before = nil
      else
        ask(random, row, p, asked)
      end
    end
  end
  if before or not complete(source, asked) then return false end
  offer(row, one.entry.tool)
  offer(row, source.tool)
  local call = {name = source.tool.name, arguments = asked}
  if random.chance(0.45) then
    if random.chance(0.4) then assistant(row, random.pick(closings)) end
    row.calls[1] = call
    return true
  end
  called(row, call, json.encode(results))
  if random.chance(0.4) then assistant(row, random.pick(closings)) end
  row.calls[1] = {name = one.entry.tool.name, arguments = arguments}
  return true
end

-- A row, with tools beside those of its calls that nobody asked for.
function api_rows.row(random, from)
  local row
  repeat
    row = {tools = {}, messages = {}, calls = {}, source = "api_rows", kind = "call"}
    local service = random.pick(from or services)
    row.service = service
    local roll = random.number()
    local make = roll < 0.62 and saying or roll < 0.92 and conversation or chain
  until make(random, row, service)
  local service = row.service
  row.service = nil
  if #row.calls > 1 then row.kind = "parallel" end
  local wanted = math.max(#row.tools, random.pick{1, 2, 2, 3, 3, 4, 5, 6})
  for _ = 1, 12 do
    if #row.tools >= wanted then break end
    local other = random.chance(0.6) and service or random.pick(services)
    offer(row, random.pick(other.entries).tool)
  end
  return row
end

return api_rows
