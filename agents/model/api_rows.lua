-- Makes rows for the services of services/*.txt (catalogue.lua has their form): one wish or several, of one tool or more, conversations in
-- which values are asked for, results of earlier calls. They widen what the rows read from files have: kinds of tools, types of values,
-- ways to ask, and what is said around it. wishes.lua makes the sayings, talks.lua the conversations.
--
--   require "api_rows".row(random, from) -> {tools, messages, calls, kind, source}; from: a list of services of catalogue.lua, else all
--   require "api_rows".names, .services   -> the names of all their tools, the services
local catalogue = require "catalogue"
local talks = require "talks"
local wishes = require "wishes"
local words = require "mobilellm.train.words"

local list = words.list

local services = {}
local api_rows = {names = {}, services = services}

-- The catalogues, in the order that rows have been drawn in: `pairs` and folders have another one on each machine.
local files = {
  "various1", "various2", "travel1", "travel2", "personal1", "personal2", "food1", "food2", "health1", "health2", "science1", "science2",
  "business1", "business2", "culture1", "culture2", "tech1", "tech2", "voice", "office", "devices", "webapis", "apps", "desk", "functions",
  "records", "webapis2", "trades", "voice2", "desk2",
}

local function contents(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

do
  local here = debug.getinfo(1, "S").source:match "^@(.*)api_rows%.lua$" or ""
  local seen = {}
  for _, name in ipairs(files) do
    local path = here .. "services/" .. name .. ".txt"
    local some, problems = catalogue.read(contents(path), path)
    if problems[1] then error(problems[1], 0) end
    local beside = here .. "services/around/" .. name .. ".txt"
    problems = catalogue.around(contents(beside), beside, some)
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

local openings = {"", "", "", "", "", "", "", "", "", "hey, ", "ok, ", "hi! ", "Hello. ", "so, ", "Good morning. ", "hey there, "}
local endings = {"", "", "", "?", ".", "?", ".", " please", ", thanks", "!", " for me"}
local joints = {
  " and ", ". Then ", ". Also, ", ", and ", "; ", ". ", ". After that, ", ", then ", ". ", ". Additionally, ", ". Next, ", ", and also ",
  ". Oh, and ", ". Besides, ", ". Finally, ",
}

-- Words in front of several wishes that are counted: what opens, and the mark of the first and every further one.
local counted = {
  {"I need your help with several things. ", {"First, ", "Then, ", "After that, ", "Finally, "}},
  {"", {"First, ", "Second, ", "Third, ", "Lastly, "}}, {"", {"First, ", "Next, ", "Additionally, ", "Finally, "}},
  {"Please help me with the following tasks: ", {"1. ", "2. ", "3. ", "4. "}}, {"To do: ", {"1) ", "2) ", "3) ", "4) "}},
  {"I have a few requests. ", {"", "Also, ", "Furthermore, ", "And finally, "}},
  {"", {"To begin with, ", "After that, ", "Then, ", "At the end, "}}, {"Please do this for me: ", {"", "", "", ""}},
}

-- What is said around a wish and asks for nothing; services have sentences of their own besides.
local before = list([[
  I have been thinking about this all day.; I'm a teacher and I'm preparing a lesson.; I am writing a blog post about {topic}.
  We are moving to {city} in {month}.; My friend {first_name} told me about this.; I'm working on a presentation for {company}.
  I just talked to {person} about it.; It's my birthday on {weekday}.; I'm planning a trip to {country} next year.; I lost my notes.
  I have 20 minutes before my next meeting.; My boss wants this by {weekday}.; I'm curious.; This is for my thesis about {topic}.
  I promised {first_name} to look into it.; We had a long discussion at home yesterday.; I read something about {topic} this morning.
  I'm new here, so be patient with me.; I am still at the office.; There are five of us.
  I've tried it twice on the website and it did not work.
  My doctor said I should take it easy.
  I can't find my glasses.; I'm putting together a newsletter.; We are a small team of four people.
  I'm on the train to {city}.; Sorry to bother you so late.; I'm doing research for a novel set in {city}.; It has been a rough week.
  My kids keep asking me about {topic}.; Last year we did this with {company}.; I'm a big fan of your service.; I am 34 years old.
  I have a bet with {first_name}.; The weather is awful today.; I'm building a small website.; I saw {movie} last night.
  I'm a bit confused by all the options.; We are expecting guests.; I'm a software developer.; My budget is tight this month.]], ";")
local behind = list([[
  Can you do that for me?; Would you be able to do that?; Could you please do that?; Thanks in advance!; I'd really appreciate it.
  That would help me a lot.; Is that possible?; I hope you can help me.; Let me know.; It would be great to have this soon.
  I want to use it in my presentation.; I'd like to share it with my friends.; Could you help me with that?; {first_name} will be happy.
  It's quite urgent.; I need it for work.; You would save my day.; Take your time.; That's all for now.; I'm counting on you.
  Can you help?; I will tell {first_name} about it.; Then I can finally go home.; That would be awesome.; Please and thank you.]], ";")

-- The text with `opening` and a sentence or two of what is said around it.
local function surrounded(random, opening, text, calls, service)
  if random.chance(0.6) then text = wishes.capital(text, calls) end
  if opening ~= "" then
    text = opening .. (opening:find "[!.] $" and random.chance(0.6) and wishes.capital(text, calls) or text)
  elseif random.chance(#calls > 1 and 0.2 or 0.42) then
    local own = #service.before > 0 and random.chance(0.75)
    local first = talks.around(random, own and service.before or before)
    if random.chance(0.2) then first = first .. " " .. talks.around(random, before) end
    text = first .. " " .. random.pick{"", "", "", "", "", "So "} .. text
    text = first .. " " .. wishes.capital(text:sub(#first + 2), calls)
  end
  if random.chance(#calls > 1 and 0.1 or 0.22) then
    local own = #service.behind > 0 and random.chance(0.5)
    text = wishes.stop(random, text)
    text = (text:find "[%?%.!]$" and text or text .. ".") .. " " .. talks.around(random, own and service.behind or behind)
  end
  return text
end

-- Two to four wishes, of one service or of others, a sentence each.
local function counted_wishes(random, row, service)
  local way, texts, calls = random.pick(counted), {}, {}
  local wanted, apart = random.pick{2, 2, 3, 3, 3, 4}, random.chance(0.6)
  for _ = 1, 12 do
    if #calls == wanted then break end
    local entry = random.pick((apart and #calls > 0 and random.pick(services) or service).entries)
    local text, call = wishes.one(random, entry)
    if text then
      if random.chance(0.2) then text = wishes.details(random, entry, text, call) end
      local mark = way[2][#calls + 1]
      text = mark .. (mark:find ", $" and text or wishes.capital(text, {call}))
      texts[#texts + 1], calls[#calls + 1] = text:find "[%?%.!]$" and text or text .. ".", call
      talks.offer(row, entry.tool)
    end
  end
  if #calls < 2 then return false end
  row.calls = calls
  local text = way[1] .. table.concat(texts, " ")
  if random.chance(0.15) then text = talks.around(random, before) .. " " .. text end
  row.messages[1] = {role = "user", content = text}
  return true
end

-- One wish or several in one saying.
local function saying(random, row, service)
  local entry, first = random.pick(service.entries), service
  local text, calls
  local roll = random.number()
  if roll < 0.28 then text, calls = wishes.several(random, entry) end
  if not text then
    local call
    text, call = wishes.one(random, entry)
    if not text then return false end
    if roll < 0.75 and random.chance(0.2) then text = wishes.details(random, entry, text, call) end
    calls = {call}
  end
  talks.offer(row, entry.tool)
  if roll > 0.75 then
    for _ = 1, random.pick{1, 1, 1, 2, 2, 3} do
      if random.chance(0.6) then
        if random.chance(0.5) then service = random.pick(services) end
        entry = random.pick(service.entries)
      end
      local next_text, next_call = wishes.one(random, entry)
      if next_text then
        local joint = random.pick(joints)
        if text:find "%?$" and not joint:find "^%." then joint = " " .. random.pick{"And ", "Also, ", "Then ", ""} end
        if text:find "[%?!.]$" and joint:find "^%." then joint = joint:sub(2) end
        text = text .. joint .. (joint:find "[%.%?] $" and wishes.capital(next_text, {next_call}) or next_text)
        calls[#calls + 1] = next_call
        talks.offer(row, entry.tool)
      end
    end
  end
  row.calls = calls
  text = text .. ((text:find "[%?!.]$" or text:find "please$") and "" or random.pick(endings))
  text = surrounded(random, random.pick(openings), text, calls, first)
  if random.chance(0.12) then talks.greet(random, row) end
  row.messages[#row.messages + 1] = {role = "user", content = text}
  if random.chance(0.1) then talks.close(random, row) end
  return true
end

-- A wish for which there is no tool: those of other services, or of its own.
local function unanswerable(random, row, service)
  local entry = random.pick(service.entries)
  local text, call = wishes.one(random, entry)
  if not text then return false end
  row.messages[1] = {role = "user", content = surrounded(random, random.pick(openings), text, {call}, service)}
  row.kind = "irrelevant"
  local one = random.pick(services)
  for _ = 1, random.pick{1, 1, 2, 3, 4} do
    if random.chance(0.5) then one = random.pick(services) end
    local other = random.pick(one.entries)
    if other ~= entry then talks.offer(row, other.tool) end
  end
  return #row.tools > 0 and one ~= service
end

-- A row, with tools beside those of its calls that nobody asked for.
function api_rows.row(random, from)
  local row
  repeat
    row = {tools = {}, messages = {}, calls = {}, source = "api_rows", kind = "call"}
    local service = random.pick(from or services)
    row.service = service
    local roll = random.number()
    local make = roll < 0.44 and saying or roll < 0.56 and counted_wishes or roll < 0.79 and talks.conversation
      or roll < 0.83 and talks.chain or roll < 0.96 and talks.login or roll < 0.985 and unanswerable or talks.opener
  until make(random, row, service)
  local service = row.service
  row.service = nil
  if #row.calls > 1 then row.kind = "parallel" end
  if row.kind == "irrelevant" then return row end
  local wanted = math.max(#row.tools, random.pick{1, 2, 2, 3, 3, 4, 5, 6})
  for _ = 1, 12 do
    if #row.tools >= wanted then break end
    local other = random.chance(0.6) and service or random.pick(services)
    talks.offer(row, random.pick(other.entries).tool)
  end
  return row
end

return api_rows
