-- Makes rows whose only difficulty is to bind: which value belongs to which parameter, of which call. Tools and parameters are told by
-- words that mean nothing together, so nothing can be remembered; what leads from a value to its parameter is the words beside it, the
-- question that it answers, or the result of an earlier call.
--
--   require "bind_rows".row(random, words) -> {tools, messages, calls, kind, source}
-- words: a list; random: mobilellm.random.
local json = require "mobilellm".json
local signature = require "mobilellm.signature"
local wording = require "wording"

local bind_rows = {}

local function list(text)
  local items = {}
  for item in text:gmatch "[^|]+" do items[#items + 1] = item end
  return items
end

-- %p: the parameter in plain words; %v: the value.
local clauses = list("%p %v|the %p is %v|%p: %v|with %p %v|with a %p of %v|a %p of %v|%v as the %p|%v as %p|%p = %v|for %p %v|" ..
  "whose %p is %v|" ..
  "my %p is %v|the %p should be %v|where %p is %v|using %v for the %p|%p being %v|that has %p %v|the %p %v|its %p is %v|having %v as %p")
local answers = list("%v|%v|%v|%v.|It is %v|It's %v.|my %p is %v|The %p is %v.|%v please|%p: %v|that would be %v|" ..
  "Let's take %v|%v, thanks|I think %v")
local questions = list("What is the %p?|Could I get the %p, please?|Which %p?|Please tell me the %p.|And the %p?|May I have your %p?|" ..
  "Sure. What %p should it be?|I need the %p.|What %p do you have in mind?|Can you give me the %p?|Okay, the %p?")
local asks_for_all = list("Please provide me with the %p.|I need the %p.|Could you tell me the %p?|Sure, what are the %p?|" ..
  "To do that I need your %p.")
local corrections = list("Sorry, the %p is %v.|Actually, make the %p %v.|I mean %v as the %p.|No, %p %v.|" ..
  "Wait, the %p should be %v instead.")
local refusals = list("Unfortunately %v is not available.|%v does not work, what else?|I am sorry, there is nothing for %v. Another %p?|" ..
  "There is no %v. Which other %p?")
local second_tries = list "%v|What about %v?|then %v|Okay, %v.|Try %v|%v then, please|Would %v work?|Let's say %v"
local closings = list "Thank you.|Alright.|Okay, one moment please.|Let me check that.|Sure, I can do that.|Great! I will do it.|Got it."
local confirmations = list "Shall I go on?|Is that right?|Can I do that?|Please confirm."
local agreements = list "Yes, please|yes|That is right.|Sure|Go ahead.|Yes."
local chatter = list(" It is quite urgent.| I am not sure why.| Nothing else matters.| I was told so.| That is all I know.|" ..
  " Hope that helps!")
local leads = list "please |can you |I want to |I need to |could you |I would like to |help me |||||"
local first_leads = list "First, |First, please |To begin, |I need your help. First, |"
local next_leads = list "Then |After that, |Also, |Next, |Additionally, |Then please |And |Secondly, |I also need to |"
local last_leads = list "Finally, |Lastly, |Finally, please |And at last, |"
local families = list "name|id|number|type|date|time|code|level|location|value|unit|city|title|amount|status|description"
local months = list "January|February|March|April|May|June|July|August|September|October|November|December"

-- Words that could as well belong to what is said around a value.
local joining = {}
for word in ("a an and as at be for has i in is it its my of on or please set should the that then this to use using was" ..
  " with"):gmatch "%a+" do
  joining[word] = true
end

local function fill(pattern, parameter, value)
  return (pattern:gsub("%%(.)", function(c) return c == "p" and parameter or value end))
end

local capital, camel = wording.capital, wording.camel

local letters = {}
for c in ("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"):gmatch "." do letters[#letters + 1] = c end

local function identifier(random)
  local parts, digits = {}, random.chance(0.6)
  for i = 1, random.integer(3, 9) do
    parts[i] = digits and random.chance(0.4) and tostring(random.integer(0, 9)) or random.pick(letters)
  end
  local text = table.concat(parts)
  return random.pick{text, text:upper(), text:lower(), text:upper():sub(1, 3) .. random.integer(1, 9999),
    text:lower():sub(1, 4) .. "_" .. random.integer(1, 99), text:upper():sub(1, 2) .. "-" .. random.integer(10, 9999)}
end

local function string_value(random, words)
  local roll = random.number()
  if roll < 0.12 then return identifier(random) end
  if roll < 0.18 then
    return random.pick(months) .. " " .. random.integer(1, 28) .. random.pick{"", "th", ", " .. random.integer(1990, 2030)}
  elseif roll < 0.22 then
    return random.integer(1990, 2030) .. "-" .. ("%02d-%02d"):format(random.integer(1, 12), random.integer(1, 28))
  elseif roll < 0.27 then
    return random.integer(1, 12) .. random.pick{":00", ":30", "", ":15"} .. random.pick{" pm", " am", "pm", "am"}
  elseif roll < 0.30 then
    return identifier(random):lower() .. random.pick{"@", "."} .. random.pick{"example.com", "mail.org", "post.net"}
  elseif roll < 0.33 then
    return "(" .. random.integer(1, 99) .. random.pick{"+", "-", "*", "/"} .. random.integer(1, 99) .. ")" .. random.pick{"*", "+"} ..
      random.integer(2, 9)
  elseif roll < 0.36 then
    return tostring(random.integer(1, 99999))
  end
  local parts, upper = {}, random.chance(0.55)
  for i = 1, random.pick{1, 1, 1, 2, 2, 2, 3, 4} do
    local word = random.pick(words):gsub("^%p+", ""):gsub("[%p]+$", "")
    if word == "" or joining[word:lower()] then word = identifier(random):lower() end
    parts[i] = upper and capital(word) or word:lower()
  end
  return (random.chance(0.05) and random.pick{"Dr. ", "Mr. ", "St. "} or "") .. table.concat(parts, " ")
end

-- The value, and how it is said.
local function make_value(random, words, kind)
  if kind == "integer" then
    local n = random.pick{random.integer(1, 12), random.integer(1, 99), random.integer(100, 9999), random.integer(1900, 2030)}
    if n <= 12 and random.chance(0.3) then return n, wording.number_words[n] end
    return n, tostring(n)
  elseif kind == "number" then
    local n = random.integer(1, 9999) / random.pick{10, 100}
    return n, ("%.14g"):format(n)
  elseif kind == "array" then
    local items, seen = {}, {}
    for _ = 1, random.integer(1, 4) do
      local item = string_value(random, words)
      if not seen[item] and not item:find "," then
        seen[item] = true
        items[#items + 1] = item
      end
    end
    if #items == 0 then items[1] = identifier(random) end
    return items, wording.spoken(items)
  end
  local text = string_value(random, words)
  local mark = random.chance(0.12) and random.pick{"'", '"'} or ""
  return text, mark .. text .. mark
end

-- Tools, each {tool = the declaration, cue = words that tell it, parameters = {{name, said, kind, required}}}.
local function make_tools(random, words, count)
  local tools = {}
  local fresh = wording.drawer(random, words, 4, function() return (identifier(random):lower():gsub("%A", "x")) end)
  local family = random.pick(families)
  for t = 1, count do
    local cue = {}
    for i = 1, random.integer(1, 2) do cue[i] = fresh() end
    local joined, roll = table.concat(cue, "_"), random.number()
    local name = roll < 0.4 and joined or roll < 0.7 and camel(joined) or roll < 0.8 and capital(camel(joined)) or fresh() .. "_" .. fresh()
    local parameters, properties, required = {}, {}, {}
    for i = 1, random.pick{1, 2, 2, 3, 3, 4} do
      local telling = fresh()
      local said = random.chance(0.5) and telling or telling .. " " .. (random.chance(0.6) and family or fresh())
      local style = random.number()
      local key = style < 0.6 and said:gsub(" ", "_") or style < 0.9 and camel(said) or capital(camel(said))
      local kind = random.pick{"string", "string", "string", "string", "string", "integer", "integer", "number", "array"}
      parameters[i] = {name = key, said = said, telling = telling, kind = kind, required = random.chance(0.6)}
      properties[key] = kind == "array" and {type = "array", items = {type = "string"}} or {type = kind}
      if parameters[i].required then required[#required + 1] = key end
    end
    local description = table.concat(cue, random.chance(0.2) and " the " or " ")
    if random.chance(0.5) then description = capital(description) end
    if name:find "_" and roll < 0.4 and random.chance(0.3) then description = "" end
    tools[t] = {cue = cue, parameters = parameters, tool = {name = name, description = description,
      parameters = {type = "object", properties = properties, required = required}}}
  end
  return tools
end

-- The arguments of a wish: {parameter, value, text} in any order; no text twice in `taken`.
local function make_arguments(random, words, tool, taken)
  local arguments = {}
  for _, parameter in ipairs(tool.parameters) do
    if parameter.required or random.chance(0.5) then
      for _ = 1, 10 do
        local value, text = make_value(random, words, parameter.kind)
        if not taken[text] then
          taken[text] = true
          arguments[#arguments + 1] = {parameter = parameter, value = value, text = text}
          break
        end
      end
    end
  end
  random.shuffle(arguments)
  return arguments
end

local function call_of(tool, arguments)
  local values = {}
  for _, argument in ipairs(arguments) do values[argument.parameter.name] = argument.value end
  return {name = tool.tool.name, arguments = values}
end

-- The parameter as people say it: all its words, or the one that tells it.
local function said(random, argument)
  return random.chance(0.25) and argument.parameter.telling or argument.parameter.said
end

local function clause(random, argument)
  if type(argument.value) == "number" and random.chance(0.3) then
    return random.pick{"", "of ", "for "} .. argument.text .. " " .. said(random, argument)
  end
  return fill(random.pick(clauses), said(random, argument), argument.text)
end

local function clauses_of(random, arguments)
  local parts = {}
  for i, argument in ipairs(arguments) do parts[i] = clause(random, argument) end
  if #parts > 1 and random.chance(0.6) then
    return table.concat(parts, ", ", 1, #parts - 1) .. random.pick{" and ", ", and "} .. parts[#parts]
  end
  return table.concat(parts, random.pick{", ", ", ", " and "})
end

local function cue_of(random, tool)
  local cue = {}
  for i, word in ipairs(tool.cue) do cue[i] = word end
  if #cue > 1 and random.chance(0.25) then cue[random.integer(1, 2)] = "the" end
  return table.concat(cue, random.pick{" ", " ", " the ", " a "})
end

local function wish(random, tool, arguments)
  local cue, text = cue_of(random, tool), clauses_of(random, arguments)
  if text == "" then return cue end
  if random.chance(0.12) then return random.pick{"with ", "given ", "for "} .. text .. ", " .. cue end
  return cue .. random.pick{" ", " ", ", "} .. text
end

local function user(row, text) row.messages[#row.messages + 1] = {role = "user", content = text} end
local function assistant(row, text) row.messages[#row.messages + 1] = {role = "assistant", content = text} end

-- One tool, `count` sets of values. False: it has nothing to say.
local function sets_of_one(random, words, row, tool, count)
  local taken, sets = {}, {}
  for i = 1, count do
    local arguments = make_arguments(random, words, tool, taken)
    if #arguments == 0 then return false end
    row.calls[i] = call_of(tool, arguments)
    sets[i] = clauses_of(random, arguments)
  end
  local way = random.integer(1, 3)
  if way == 1 then
    local ordinals = {"The first has ", "The second has ", "The third has ", "The fourth has "}
    for i, set in ipairs(sets) do sets[i] = ordinals[i] .. set .. "." end
    user(row, capital(random.pick(leads) .. cue_of(random, tool)) .. ". " .. table.concat(sets, " "))
  elseif way == 2 then
    user(row, capital(random.pick(leads) .. cue_of(random, tool)) .. " once " .. table.concat(sets, ", and once ") .. ".")
  else
    for i, set in ipairs(sets) do
      local lead = i == 1 and random.pick(leads) or random.pick(next_leads)
      sets[i] = capital(lead .. (random.chance(0.8) and cue_of(random, tool) or "the same") .. " " .. set) .. "."
    end
    user(row, table.concat(sets, " "))
  end
  return true
end

-- Several wishes in one message; each its own tool, or one tool again with other values.
local function several(random, words, row, tools)
  local count = random.pick{1, 1, 1, 2, 2, 2, 3, 3, 4}
  if count > 1 and random.chance(0.3) then return sets_of_one(random, words, row, tools[1], count) end
  local taken, sentences = {}, {}
  for i = 1, math.min(count, #tools) do
    local arguments = make_arguments(random, words, tools[i], taken)
    sentences[i] = wish(random, tools[i], arguments)
    row.calls[i] = call_of(tools[i], arguments)
  end
  if #sentences == 1 then
    local text = random.pick(leads) .. sentences[1]
    if random.chance(0.5) then text = capital(text) end
    user(row, text .. random.pick{"", "", ".", "?"})
  elseif random.chance(0.35) then
    user(row, random.pick(leads) .. table.concat(sentences, random.pick{" and ", ", then ", "; ", " and also ", ", and "}))
  else
    for i, sentence in ipairs(sentences) do
      local lead = i == 1 and (random.chance(0.5) and random.pick(first_leads) or random.pick(leads))
        or i == #sentences and random.chance(0.6) and random.pick(last_leads) or random.pick(next_leads)
      sentences[i] = capital(lead .. sentence) .. "."
    end
    user(row, table.concat(sentences, " ") .. (random.chance(0.1) and random.pick(chatter) or ""))
  end
  return true
end

-- Another tool is called and its result has the value of `argument`.
local function brought(random, words, row, tool, argument, taken)
  local asked = make_arguments(random, words, tool, taken)
  for _, one in ipairs(asked) do
    assistant(row, fill(random.pick(questions), one.parameter.said, ""))
    user(row, fill(random.pick(answers), one.parameter.said, one.text))
  end
  row.messages[#row.messages + 1] = {role = "assistant", content = "", tool_calls = {call_of(tool, asked)}}
  row.messages[#row.messages + 1] = {role = "tool", content = json.encode{[argument.parameter.name] = argument.value}}
  assistant(row, random.pick{"I have got the ", "Okay, there is the "} .. argument.parameter.said .. ".")
end

-- Values are asked for all at once, or one by one.
local function asked_for(random, row, arguments)
  if #arguments > 1 and random.chance(0.3) then
    local names, texts, bare = {}, {}, random.chance(0.3)
    for i, argument in ipairs(arguments) do
      names[i] = said(random, argument)
      texts[i] = bare and argument.text or clause(random, argument)
    end
    assistant(row, fill(random.pick(asks_for_all), table.concat(names, ", ", 1, #names - 1) .. " and " .. names[#names], ""))
    local text = table.concat(texts, ", ", 1, #texts - 1) .. random.pick{" and ", ", ", ", and "} .. texts[#texts]
    user(row, capital(text) .. random.pick{"", "."})
    return
  end
  for _, argument in ipairs(arguments) do
    local name = said(random, argument)
    assistant(row, fill(random.pick(questions), name, ""))
    user(row, fill(random.pick(answers), name, argument.text) .. (random.chance(0.15) and random.pick(chatter) or ""))
  end
end

-- Another value after all: the user or the assistant brings it about.
local function corrected(random, words, row, argument, taken)
  local value, text = make_value(random, words, argument.parameter.kind)
  if taken[text] then return end
  local name = said(random, argument)
  if random.chance(0.5) then
    assistant(row, random.pick(confirmations))
    user(row, fill(random.pick(corrections), name, text))
  else
    assistant(row, fill(random.pick(refusals), name, argument.text))
    user(row, fill(random.pick(second_tries), name, text))
  end
  argument.value, argument.text = value, text
end

-- A wish whose values come one after the other, with corrections; sometimes from the result of an earlier call.
local function conversation(random, words, row, tools)
  local taken, tool = {}, tools[1]
  local arguments = make_arguments(random, words, tool, taken)
  if #arguments == 0 then return false end
  local now, later = {}, {}
  for _, argument in ipairs(arguments) do
    local part = random.chance(0.35) and now or later
    part[#part + 1] = argument
  end
  user(row, capital(random.pick{"", "Hi, ", "Hello. ", ""} .. random.pick(leads) .. wish(random, tool, now)) .. random.pick{"", ".", "?"})
  local before = tools[2] and random.chance(0.2) and later[1]
  if before and type(before.value) == "string" then
    table.remove(later, 1)
    brought(random, words, row, tools[2], before, taken)
    if #later == 0 then user(row, random.pick(agreements)) end
  end
  asked_for(random, row, later)
  if random.chance(0.3) then corrected(random, words, row, random.pick(arguments), taken) end
  if random.chance(0.2) then
    assistant(row, random.pick(confirmations))
    user(row, random.pick(agreements))
  end
  if random.chance(0.3) then assistant(row, random.pick(closings)) end
  row.calls[1] = call_of(tool, arguments)
  return true
end

function bind_rows.row(random, words)
  local tools = make_tools(random, words, random.pick{1, 1, 2, 2, 2, 3, 3, 4})
  local row = {tools = {}, messages = {}, calls = {}, source = "bind", kind = "call"}
  local make = random.chance(0.4) and conversation or several
  if not make(random, words, row, tools) then return bind_rows.row(random, words) end
  if #row.calls > 1 then row.kind = "parallel" end
  local seen = {}
  for i, tool in ipairs(tools) do
    if seen[signature.plain_words(tool.tool.name)] then return bind_rows.row(random, words) end
    seen[signature.plain_words(tool.tool.name)] = true
    row.tools[i] = tool.tool
  end
  random.shuffle(row.tools)
  return row
end

return bind_rows
