-- Conversations made of catalogues (catalogue.lua): values that are asked for, earlier wishes, calls that need the result of another.
--
--   talks.conversation(random, row, service)   a wish whose values come one after the other
--   talks.chain(random, row, service)          a wish that needs the result of another call of its service
--   talks.login(random, row, service)          a wish of any service that asks who one is first
--   talks.opener(random, row, service)         a wish of which too little was said: nothing to call yet
-- Each adds messages, tools and calls to the row; false when the service has nothing for it, and then the row may not be used.
local json = require "mobilellm".json
local catalogue = require "catalogue"
local kinds = require "kinds"
local wishes = require "wishes"
local wording = require "wording"
local signature = require "mobilellm.signature"
local words = require "mobilellm.train.words"

local list = words.list
local put, capital, stop, fill, copy = wishes.put, wishes.capital, wishes.stop, wishes.fill, wishes.copy

local talks = {}

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
local instead = list [[
  %w... no, %v | %w, sorry, I mean %v | not %w, %v | %w. No, wait! %v | I said %w before, but it's %v | %v, %w was wrong]]
local not_possible = list [[
  Unfortunately %v is not available. | I'm sorry, %v does not work. | %v is not possible, I'm afraid. | There is nothing for %v.
  Sorry, I can't do %v. | It seems that %v is taken.]]
local other_tries = list "%s | What about %s? | then %s | Okay, %s. | Try %s | %s then, please | Would %s work? | Let's say %s | hm, %s"
local beside = list ", and the %p is %v | . The %p is %v | , %p %v | . By the way, %v is the %p | . And %v as %p | , %v for the %p"
local confirmations = list [[
  Shall I go ahead? | Is that right? | Can I do that? | Please confirm. | Should I go on with that? | Is everything correct?
  Do you want me to do it?]]
local agreements = list [[
  Yes, please | yes | That's right. | Sure | Go ahead. | Yes. | yep | Correct | Please do | ok | That works for me. | Yes, thank you.]]
local done = list [[
  Done. | That is done. Anything else? | It worked. | Okay, that's settled. What else can I do? | All set! | Your request went through.
  It has been taken care of. | Here is what I found. | I have done that for you.]]
local chatter = list [[
  I'm in a hurry. | My phone is almost dead. | Sorry for the late answer. | It's for a friend. | I hope that's okay.
  That's all I know. | I never did this before. | The last time it didn't work.]]
local next_openings = list "Thanks. | Great, thank you. | Thank you for your help. | And one more thing. | Okay. | Perfect! | Cool. | Now"

function talks.offer(row, tool)
  for _, other in ipairs(row.tools) do
    if other.name == tool.name then return end
  end
  row.tools[#row.tools + 1] = tool
end

local offer = talks.offer
local function user(row, text) row.messages[#row.messages + 1] = {role = "user", content = text} end
local function assistant(row, text) row.messages[#row.messages + 1] = {role = "assistant", content = text} end

local function called(row, call, result)
  row.messages[#row.messages + 1] = {role = "assistant", content = "", tool_calls = {call}}
  row.messages[#row.messages + 1] = {role = "tool", content = result}
end

function talks.greet(random, row)
  user(row, random.pick(greetings))
  assistant(row, random.pick(offers))
end

function talks.close(random, row) assistant(row, random.pick(closings)) end

local function spelled(pattern, with) return (pattern:gsub("%%(%l)", with)) end

-- The assistant asks for a parameter and is told; perhaps `also` another one in the same breath, which is then returned.
local function ask(random, row, p, arguments, also, said_around)
  local question = random.pick(p.asked)
  assistant(row, random.chance(0.6) and random.pick(acknowledgements) .. " " .. question or question)
  if p.optional and random.chance(0.4) then
    user(row, random.pick(no_matter))
    return nil
  end
  local value, text = catalogue.draw(random, p)
  arguments[p.name] = value
  local answer = put(random.pick(answers), text)
  if random.chance(0.06) and not p.many then
    local _, other = wishes.another(random, p, {[value] = true, [text:lower()] = true})
    if other then answer = spelled(random.pick(instead), {w = other, v = text}) end
  end
  if also and random.chance(0.2) then
    local more
    arguments[also.name], more = catalogue.draw(random, also)
    answer = answer:gsub("[.?!]$", "") .. spelled(random.pick(beside), {p = signature.plain_words(also.name), v = more})
  else
    also = nil
    if random.chance(0.08) then answer = answer .. ". " .. random.pick(chatter)
    elseif #said_around > 0 and random.chance(0.08) then answer = answer .. ". " .. talks.around(random, said_around) end
  end
  user(row, answer)
  return also
end

-- What was asked for last is not to be had: another value. The first one is in `arguments`.
local function try_again(random, row, p, arguments, text)
  local value, other = wishes.another(random, p, {[arguments[p.name]] = true, [text:lower()] = true})
  if value == nil then return end
  assistant(row, spelled(random.pick(not_possible), {v = text}) .. " " .. random.pick(p.asked))
  arguments[p.name] = value
  user(row, put(random.pick(other_tries), other))
end

-- How a conversation begins; the values that are said then go into `arguments`.
local function opening_of(random, entry, arguments)
  local phrase = wishes.choose(random, entry, random.pick(entry.openers), arguments)
  local texts = {}
  for _, name in ipairs((wishes.holes(phrase))) do arguments[name], texts[name] = catalogue.draw(random, entry.by_name[name]) end
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
  local i = 1
  while asked[i] do
    local next_one = asked[i + 1]
    local also = ask(random, row, asked[i], arguments, next_one and not next_one.many and next_one or nil, entry.service.before)
    i = i + (also and 2 or 1)
  end
  local last = asked[#asked]
  local simple = last and type(arguments[last.name]) == "string" and not last.listed
  if simple and random.chance(0.15) then
    for _ = 1, random.pick{1, 1, 2} do try_again(random, row, last, arguments, arguments[last.name]) end
  end
  if last and arguments[last.name] ~= nil and not last.many and random.chance(0.15) then
    assistant(row, random.pick(confirmations))
    local value, text = wishes.another(random, last, {[arguments[last.name]] = true})
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

local function token_of(random, name)
  local value = kinds.value(random, "id") or ""
  if name:lower():find "token" or random.chance(0.2) then
    for _ = 1, 2 do value = value .. kinds.value(random, "id"):lower() end
  end
  return value
end

-- What a call may have returned: a word, an id, records with sentences in them.
local function result_of(random, service)
  local roll = random.number()
  if roll < 0.35 then return random.pick{'{"status": "ok"}', '"success"', '{"result": "done"}', "true"} end
  if roll < 0.55 then return json.encode{[random.pick{"id", "reference", "ticket", "number"}] = kinds.value(random, "id")} end
  if roll < 0.75 then return json.encode{[random.pick{"count", "total", "value", "score"}] = random.integer(1, 5000)} end
  local records, kind = {}, random.pick{"person", "topic", "product", "landmark", "company", "book"}
  for i = 1, random.integer(1, 3) do
    records[i] = {name = kinds.value(random, kind), [random.pick{"date", "since", "due"}] = kinds.value(random, "isodate")}
    if #service.before > 0 and random.chance(0.5) then records[i].note = talks.around(random, service.before) end
  end
  return json.encode(records)
end

-- A sentence that asks for nothing, its {kind}s drawn.
function talks.around(random, sentences)
  return (random.pick(sentences):gsub("{([%w_]+)}", function(kind) return kinds.value(random, kind) end))
end

-- The entries of a service that begin with an opener and need no other call.
local function openable(service)
  local able = {}
  for _, entry in ipairs(service.entries) do
    local fits = #entry.openers > 0
    for _, p in ipairs(entry.parameters) do fits = fits and not p.from end
    if fits then able[#able + 1] = entry end
  end
  return able
end

-- Something else was asked for and done before: at once, or value by value.
local function earlier(random, row, service)
  local able, call = openable(service), nil
  if #able > 0 and random.chance(0.5) then
    local entry, arguments = random.pick(able), {}
    local at = #row.messages
    user(row, stop(random, capital(opening_of(random, entry, arguments), {{arguments = arguments}})))
    if ask_for_rest(random, row, entry, arguments) and wishes.complete(entry, arguments) then
      call = {name = entry.tool.name, arguments = arguments}
      offer(row, entry.tool)
    else
      for i = #row.messages, at + 1, -1 do row.messages[i] = nil end
    end
  end
  if not call then
    local entry = random.pick(service.entries)
    local text
    text, call = wishes.one(random, entry)
    if not text then return false end
    user(row, stop(random, capital(text, {call})))
    offer(row, entry.tool)
  end
  if random.chance(0.7) then called(row, call, result_of(random, service)) end
  local text = random.pick(done)
  if #service.before > 0 and random.chance(0.15) then text = text .. " " .. talks.around(random, service.before) end
  assistant(row, text)
  return true
end

-- One or two earlier wishes; what stands in front of the next.
local function history(random, row, service)
  if not random.chance(0.35) then return "" end
  if not earlier(random, row, service) then return "" end
  if random.chance(0.25) then earlier(random, row, service) end
  return random.chance(0.4) and "" or random.pick(next_openings) .. " "
end

function talks.conversation(random, row, service)
  local able = openable(service)
  if #able == 0 then return false end
  local entry, arguments = random.pick(able), {}
  local opening = history(random, row, service)
  local text = opening_of(random, entry, arguments)
  if opening == "" then
    if random.chance(0.2) then talks.greet(random, row) end
    opening = random.pick{"", "", "hi, ", "hello, ", ""}
  end
  text = opening:find "[.!] $" and capital(text, {{arguments = arguments}}) or text
  user(row, stop(random, capital(opening .. text, {{arguments = arguments}})))
  if not ask_for_rest(random, row, entry, arguments) or not wishes.complete(entry, arguments) then return false end
  if random.chance(0.3) then talks.close(random, row) end
  row.calls[1] = {name = entry.tool.name, arguments = arguments}
  offer(row, entry.tool)
  return true
end

-- An opener of which all that the tool requires, or two values, are still to be asked for.
function talks.opener(random, row, service)
  local able = openable(service)
  if #able == 0 then return false end
  local entry, arguments = random.pick(able), {}
  local text, missing, required = opening_of(random, entry, arguments), 0, 0
  for _, p in ipairs(entry.parameters) do
    if not p.optional and not p.boolean then
      required = required + 1
      if arguments[p.name] == nil then missing = missing + 1 end
    end
  end
  if missing == 0 or missing < math.min(2, required) then return false end
  user(row, stop(random, capital(text, {{arguments = arguments}})))
  row.kind = "missing"
  offer(row, entry.tool)
  return true
end

------------------------------------------------------------------------------------------------------------------------ chains

local first_needed = list [[
  To do that, I need you to sign in first. | Before that I have to look that up. | First I need something from you.
  I can do that. Just a moment. | Sure, but one thing comes first. | Okay.]]

-- Asks for the required parameters of a call that comes first, the first question behind `text` in one message; false when that
-- cannot be.
local function ask_first(random, row, source, text, arguments)
  for _, p in ipairs(source.parameters) do
    if not p.optional and not p.boolean then
      if #p.asked == 0 then return false end
      local at = #row.messages + 1
      ask(random, row, p, arguments, nil, source.service.before)
      if text then row.messages[at].content, text = text .. " " .. row.messages[at].content, nil end
    end
  end
  return not text and wishes.complete(source, arguments)
end

-- That call, or the wish's own when the result is there.
function talks.chain(random, row, service)
  local able = {}
  for _, entry in ipairs(service.entries) do
    for _, p in ipairs(entry.parameters) do
      if p.from then
        able[#able + 1] = {entry = entry, from = p.from}
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
  local results = {}
  for _, p in ipairs(one.entry.parameters) do
    if p.from then
      if p.from ~= one.from then return false end
      results[p.name] = token_of(random, p.name)
    end
  end
  local text, call = wishes.one(random, one.entry, results)
  if not text then return false end
  user(row, stop(random, capital(text, {call})))
  local asked = {}
  if not ask_first(random, row, source, random.pick(first_needed), asked) then return false end
  offer(row, one.entry.tool)
  offer(row, source.tool)
  local first = {name = source.tool.name, arguments = asked}
  local now = random.chance(0.45)
  if not now then called(row, first, json.encode(results)) end
  if random.chance(0.4) then talks.close(random, row) end
  row.calls[1] = now and first or call
  return true
end

------------------------------------------------------------------------------------------------------------------------- login

local verbs = list [[
  sign in | log in | login | authenticate | verify identity | open session | request access | fetch session key | create session
  check credentials | issue token | start session | identify customer | unlock account | obtain access token | account login | member login
  verify account | new session | auth request | sign on | grant access | validate login]]
local descriptions = list([[
  Log a person in; Signs the customer in and returns a session; Authenticate with name and password; Start a session
  This API checks credentials and issues a token; Verifies who is speaking before anything can be changed; Identify the caller
  Retrieve an access token for the account; Exchange login details for a key that the other functions need; Sign-in with an account
  Checks the identity of a member; Use this first: it opens the account; Get authorization for further requests
  Validates login data]], ";")
local tokens = list [[
  token | access_token | session_id | session | session_key | auth | auth_token | api_token | login_token | credential | sid | accessToken
  sessionToken | authKey | user_key | key | customer_key | authorization | pass_token]]
local handles = list [[
  happyfox | jsmith | lena_92 | mr.bean | night.owl | paula | teamlead7 | qwerty_ann | hiker2000 | bobthebuilder | d.nguyen | sunny_day
  maria-g | the_real_tom | admin2 | kim.lee | ollie | redpanda | guest17 | ch.weber | AliceJ | BigBen | JaneDoe | RobertK | TomBaker]]
local secrets = list [[
  swordfish | tr0ub4dor | letmein! | banana42 | correct horse | openSesame | p4ssw0rd | x9Kd2 | sunshine | blue-whale | monkey99
  Winter2023! |   qazwsx | secret1 | iloveyou2 | dragon | my_pass | hello123 | M@rch15 | topsecret]]

local function digits(random, count)
  local text = tostring(random.integer(1, 9))
  for _ = 2, count do text = text .. random.integer(0, 9) end
  return text
end

-- By what one is known, and by what one proves it: names of the parameter, how it is said, its value.
local known_by = {
  {list "username|user|user_name|userName|login|account|name|userId", list "username|user name|login|account name", function(random)
    return random.chance(0.7) and random.pick(handles) or random.pick(handles) .. random.integer(1, 99)
  end},
  {list "email|mail|email_address|login|user|emailAddress", list "email|email address|mail", function(random)
    return kinds.value(random, "email")
  end},
  {list "account_number|customer_number|member_id|client_id|accountNo|card_number", list "account number|customer number|number|ID",
    function(random) return digits(random, random.integer(5, 9)) end},
}
local proven_by = {
  {list "password|pass|passwd|secret|pwd", list "password|password|pass", function(random) return random.pick(secrets) end},
  {list "pin|passcode|code|access_code|security_code", list "PIN|code|passcode|security code", function(random)
    return digits(random, random.pick{4, 4, 6})
  end},
}
local both_said = list([[
  My %a is %x and my %b is %y; %a %x, %b %y; %x %y; it's %x and the %b is %y; The %a is %x, the %b %y; %a: %x, %b: %y
  Yes, my %a is %x and the %b is %y; %x, and %y is the %b; Sure. %a - %x, %b - %y; %x / %y; Use %x with the %b %y; I am %x, %b %y
  %a(%x) and %b(%y)]], ";")
local asked_both = list([[
  What are your %a and %b?; Can you give me your %a and %b?; I have to sign you in first. Your %a and %b, please.
  Before I can do that, I need to authenticate you. Please tell me your %a and %b.
  For that you have to be logged in. May I have your %a and %b?; First I need your credentials.
  Could you confirm your account details, such as %a and %b?; You are not signed in. Please provide %a and %b.]], ";")
local signing_in = list [[
  Thank you, let me sign you in. | Thanks, one moment while I check that. | Let me authenticate you first.
  Okay, I will get access to your account.
  Thank you. | Thank you for confirming. | Alright, logging you in. | Great, I'll verify that now.]]
local signed_in = list [[
  You are signed in. | Thank you, you are verified. | Great, that worked. | Now let me do that for you. | I have access now.
  Okay, authenticated.
  I have received the key. | Thanks, now I can go on.]]
local just_in = list([[
  log me in, %s; I'd like to sign in. %s; sign in with this: %s; can you log into my account? %s; Please open my account. %s
  I want to authenticate. %s]], ";")

local styles = {
  wording.camel, function(text) return wording.capital(wording.camel(text)) end, function(text) return (text:gsub(" ", "_")) end,
  function(text) return (text:gsub(" ", "_")) end, function(text) return (text:gsub(" ", ".", 1):gsub(" ", "_")) end,
}

-- A tool that lets one in, as an entry, and what there is to say about it.
local function make_login(random)
  local who, proof = random.pick(known_by), random.pick(proven_by)
  local login = {who = who, proof = proof, a = random.pick(who[1]), b = random.pick(proof[1]), token = random.pick(tokens)}
  login.said_a, login.said_b = random.pick(who[2]), random.pick(proof[2])
  local required = {login.a, login.b}
  if random.chance(0.3) then required = {login.b, login.a} end
  login.tool = {
    name = random.pick(styles)(random.pick(verbs)), description = random.pick(descriptions),
    parameters = {type = "object", properties = {[login.a] = {type = "string"}, [login.b] = {type = "string"}}, required = required},
  }
  return login
end

-- An entry whose tool wants the login's token besides.
local function secured(random, entry, login)
  local new = {
    tool = {name = entry.tool.name, description = entry.tool.description}, parameters = {}, by_name = {}, phrases = entry.phrases,
    openers = entry.openers, service = entry.service,
  }
  local schema = {type = "object", properties = {[login.token] = {type = "string"}}, required = {}}
  for name, one in pairs(entry.tool.parameters.properties) do schema.properties[name] = one end
  for i, name in ipairs(entry.tool.parameters.required) do schema.required[i] = name end
  local at = random.pick{1, #schema.required + 1}
  table.insert(schema.required, at, login.token)
  new.tool.parameters = schema
  for _, p in ipairs(entry.parameters) do
    new.parameters[#new.parameters + 1], new.by_name[p.name] = p, p
  end
  local p = {name = login.token, from = login.tool.name, asked = {}, schema = {type = "string"}}
  table.insert(new.parameters, p)
  new.by_name[p.name] = p
  return new
end

local function spell(pattern, login, x, y) return spelled(pattern, {a = login.said_a, b = login.said_b, x = x, y = y}) end

-- Who one is, said in one message or when asked for one after the other.
local function identify(random, row, login, x, y)
  local lead = random.chance(0.6) and random.pick(acknowledgements) .. " " or ""
  if random.chance(0.75) then
    assistant(row, lead .. spell(random.pick(asked_both), login))
    user(row, stop(random, spell(random.pick(both_said), login, x, y)))
    return
  end
  assistant(row, lead .. spell(random.pick{"What is your %a?", "I need your %a for that.", "For which %a should I do that?"}, login))
  user(row, random.pick{"It is ", "", "", "my " .. login.said_a .. " is "} .. x)
  assistant(row, spell(random.pick{"And your %b?", "Thank you. And the %b, please.", "I also need your %b."}, login))
  user(row, random.pick{"It is ", "", "", "the " .. login.said_b .. " is "} .. y)
end

local function sign_in(random, row, login, call, result)
  called(row, call, random.chance(0.75) and json.encode{[login.token] = result} or json.encode(result))
end

-- A wish and its call, or the beginning of one, whose values are still to come.
local function first_wish(random, entry, arguments, open)
  if not open then return wishes.one(random, entry, arguments) end
  return opening_of(random, entry, arguments), {name = entry.tool.name, arguments = arguments}
end

local function behind(first, second) return first .. (first:find "[.?!]$" and " " or ". ") .. second end

function talks.login(random, row, service)
  local login, plain = make_login(random), {}
  for _, entry in ipairs(service.entries) do
    local fits = true
    for _, p in ipairs(entry.parameters) do fits = fits and not p.from and p.name ~= login.token end
    if fits then plain[#plain + 1] = entry end
  end
  if #plain == 0 then return false end
  random.shuffle(plain)
  local entries = {}
  for i = 1, math.min(#plain, random.integer(1, 4)) do entries[i] = secured(random, plain[i], login) end
  row.tools[1] = login.tool
  for _, entry in ipairs(entries) do offer(row, entry.tool) end
  local x, y = login.who[3](random), login.proof[3](random)
  local call = {name = login.tool.name, arguments = {[login.a] = x, [login.b] = y}}
  local roll = random.number()
  if roll < 0.08 then -- nothing but that
    user(row, stop(random, put(random.pick(just_in), spell(random.pick(both_said), login, x, y))))
    row.calls[1] = call
    return true
  end
  local entry, result = entries[1], token_of(random, login.token)
  local open = #entry.openers > 0 and random.chance(0.4)
  local text, wish = first_wish(random, entry, {[login.token] = result}, open)
  if not text then return false end
  text = stop(random, capital(text, {wish}))
  if roll < 0.2 then -- all at once
    local who = stop(random, spell(random.pick(both_said), login, x, y))
    user(row, random.chance(0.5) and behind(text, who) or behind(who, text))
  else
    user(row, text)
    -- All of the wish is asked for before anybody asks who it is.
    if open and random.chance(0.5) then
      if not ask_for_rest(random, row, entry, wish.arguments) then return false end
      open = false
      if not wishes.complete(entry, wish.arguments) then return false end
    end
    identify(random, row, login, x, y)
  end
  if roll < 0.58 then
    if random.chance(0.4) then assistant(row, (random.pick(signing_in))) end
    row.calls[1] = call
    return true
  end
  sign_in(random, row, login, call, result)
  if open or random.chance(0.5) then assistant(row, (random.pick(signed_in))) end
  if open then
    local at = #row.messages
    if not ask_for_rest(random, row, entry, wish.arguments) or not wishes.complete(entry, wish.arguments) then return false end
    if row.messages[at + 1] then -- the first question goes on in the same message
      row.messages[at].content = row.messages[at].content .. " " .. row.messages[at + 1].content
      table.remove(row.messages, at + 1)
    end
  end
  if roll > 0.85 and #entries > 1 then -- the next wish: still signed in
    called(row, wish, result_of(random, service))
    assistant(row, random.pick(done))
    text, wish = wishes.one(random, random.pick(entries), {[login.token] = result})
    if not text then return false end
    user(row, stop(random, capital(text, {wish})))
  end
  if random.chance(0.2) then talks.close(random, row) end
  row.calls[1] = {name = wish.name, arguments = copy(wish.arguments)}
  return true
end

return talks
