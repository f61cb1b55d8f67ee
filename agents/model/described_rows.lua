-- Makes rows from declarations alone: what a tool does is said in its description, so a wish can be made of it ("Retrieve the battery
-- level of a robot" and robot_id: "what is the battery level of robot 512"). The tools are those that training files offer, a few
-- thousand, and as many as one likes that are put together from the words below. Their names differ, what is asked for stands in the
-- sentence and in the declaration in nearly the same words, and tools that share words stand beside the right one: what is left to
-- learn is to compare, which serves for tools never seen.
--
--   local maker = require "described_rows".new(tools, {value = function(random, kind) -> value or nil})
--   maker.row(random) -> {tools, messages, calls, kind, source}
--   maker.tool(random) -> a tool put together
-- tools: a list of {name, description, parameters}; only those that can be asked for in a sentence are used (maker.count of them).
local signature = require "mobilellm.signature"
local words = require "mobilellm.train.words"

local described_rows = {}

local function list(text) return words.list(text, ",") end

-- Other ways to ask, by the first word of a description. `%` stands for the rest of it.
local information = list [[get %, show me %, tell me %, give me %, find %, look up %, I need %, I want to know %, what is %, what's %,
  retrieve %, provide %, provide me with %, fetch %, find out %, I'd like to see %, check %, do you know %, I'm looking for %, list %,
  please obtain %, get me %, display %, can I have %]]
local reckoning = list [[calculate %, compute %, work out %, what is %, what's %, find %, determine %, figure out %, I need %, estimate %,
  tell me %, get %, could you calculate %, help me find %]]
local verbs = {
  retrieve = information, get = information, fetch = information, find = information, provide = information, show = information,
  list = information, ["return"] = information, query = information, obtain = information, lookup = information, view = information,
  calculate = reckoning, compute = reckoning, determine = reckoning, estimate = reckoning, predict = list [[predict %, forecast %,
    estimate %, what will be %, what is %, I want a prediction of %]], evaluate = reckoning,
  search = list "search %, look for %, look up %, find %, I'm searching %, search for %", 
  create = list "create %, make %, set up %, add %, generate %, I want %, I need %, build %, start %",
  generate = list "generate %, create %, make %, produce %, give me %, write %, I need %",
  add = list "add %, put in %, insert %, create %, save %, I want to add %, include %, note %",
  update = list "update %, change %, modify %, edit %, adjust %, I want to change %, correct %",
  change = list "change %, update %, modify %, switch %, I want to change %", modify = list "modify %, change %, update %, edit %, alter %",
  delete = list "delete %, remove %, erase %, get rid of %, drop %, take away %, I don't need % anymore",
  remove = list "remove %, delete %, take out %, drop %, erase %",
  cancel = list "cancel %, call off %, I want to cancel %, drop %, revoke %",
  check = list "check %, verify %, see %, tell me %, find out %, look at %, I want to check %, what is %",
  verify = list "verify %, check %, confirm %, make sure of %",
  analyze = list "analyze %, examine %, study %, look into %, do an analysis of %",
  send = list "send %, deliver %, transmit %, I want to send %", book = list "book %, reserve %, I want to book %, get me %, arrange %",
  reserve = list "reserve %, book %, hold %, I'd like to reserve %", buy = list "buy %, purchase %, order %, get me %, I want to buy %",
  order = list "order %, buy %, I want %, I'd like to order %", play = list "play %, put on %, start %, I want to hear %",
  start = list "start %, begin %, launch %, run %, turn on %", stop = list "stop %, end %, halt %, turn off %, finish %",
  set = list "set %, change %, adjust %, put %", schedule = list "schedule %, plan %, arrange %, set up %, book %",
  register = list "register %, sign up %, enroll %, record %, I want to register %", submit = list "submit %, file %, hand in %, send %",
  track = list "track %, follow %, where is %, monitor %", monitor = list "monitor %, watch %, keep an eye on %, observe %",
  compare = list "compare %, what is the difference between %, contrast %", convert = list "convert %, change %, turn %, transform %",
  translate = list "translate %, how do you say %, give me the translation of %",
  record = list "record %, note %, log %, save %, write down %",
  open = list "open %, show %, bring up %", close = list "close %, shut %, end %", share = list "share %, send %, pass on %",
  rate = list "rate %, give a rating to %, review %", rent = list "rent %, hire %, I want to rent %, get me %",
  pay = list "pay %, settle %, I want to pay %", invite = list "invite %, ask %, send an invitation to %",
  download = list "download %, get %, fetch %, save %",
  upload = list "upload %, put up %, send %",
  sort = list "sort %, order %, arrange %",
  count = list "count %, how many are %, what is the number of %", measure = list "measure %, take %, what is %", 
  recommend = list "recommend %, suggest %, propose %, what would be %, I need advice on %", 
}
verbs.lock, verbs.print = list "lock %, secure %", list "print %, put on paper %"

-- Things that tools are about: name | verbs | parameters as name:kind. Kinds are those of api_rows, and the ones below.
local things = [[
library book | find, reserve, renew, return | title:book, author:person, isbn:id, branch:city, copies:small
bicycle rental | book, cancel, check | station:landmark, hours:small, bike_type:word, start_time:time
parking spot | find, reserve, release | location:street, plate:id, duration:small, covered:flag
swimming lesson | schedule, cancel, find | pool:landmark, level:word, date:date, child_name:person
garden irrigation | start, stop, schedule | zone:room, minutes:small, crop:crop
electricity meter | retrieve, record, check | meter_id:id, reading:amount, date:date
museum ticket | buy, cancel, check | museum:landmark, visitors:small, date:date, audio_guide:flag
insurance policy | retrieve, renew, cancel, compare | policy_number:id, holder:person, coverage:amount
dental appointment | book, cancel, change | patient:person, date:date, time:time, reason:symptom
blood pressure | record, retrieve, analyze | patient_id:id, systolic:large, diastolic:large, date:date
wine cellar | search, update, count | grape:crop, year:year, bottles:small
exchange student | register, find, remove | name:person, country:country, language:language, semester:month
satellite orbit | calculate, predict, retrieve | satellite:team_name, altitude:amount, inclination:decimal
bridge load | calculate, check, estimate | bridge:street, weight:amount, material:element
protein sequence | analyze, search, compare | sequence:id, organism:animal, threshold:decimal
coffee machine | start, clean, check | room:room, cups:small, strength:word
lost luggage | report, track, search | flight:flight, tag:id, colour:word, owner:person
concert hall | book, find, rate | city:city, seats:large, date:date, genre:genre
pet grooming | book, cancel, find | pet:animal, owner:person, date:date, city:city
tax return | submit, check, calculate | year:year, income:amount, country:country
chemical reaction | predict, simulate, analyze | reactants:chemical[], temperature:amount, catalyst:element
moon phase | retrieve, predict, calculate | date:date, location:city
earthquake | search, retrieve, report | region:country, magnitude:decimal, year:year
translation job | create, cancel, check | text:message, source_language:language, target_language:language, deadline:date
invoice | create, send, pay, retrieve | customer:company, amount:amount, due_date:date, invoice_id:id
warehouse stock | check, update, count | product:product, warehouse:city, quantity:large
delivery route | plan, optimize, retrieve | start:street, stops:street[], vehicle:word
video call | schedule, start, cancel | participants:person[], time:time, topic:topic
podcast episode | find, play, download | show:book, topic:topic, minutes:small
song lyrics | search, retrieve, translate | song:song, artist:artist, language:language
chess puzzle | generate, rate, find | rating:amount, theme:topic, moves:small
crossword | create, check, find | language:language, words:small, theme:topic
recipe nutrition | calculate, retrieve, compare | dish:dish, servings:small, diet:word
shopping basket | add, remove, check | product:product, quantity:small, store:company
loyalty points | check, convert, record | customer_id:id, points:amount, partner:airline
gym membership | create, cancel, update | member:person, plan:word, start_date:date
yoga session | book, find, rate | teacher:person, day:weekday, style:exercise
ski pass | buy, check, cancel | resort:city, days:small, age:small
ferry crossing | book, find, check | from_port:city, to_port:city, date:date, cars:small
road toll | calculate, pay, retrieve | start_point:city, end_point:city, vehicle_class:word
fuel price | compare, find, track | city:city, fuel_type:word, radius:small
charging station | find, reserve, start | address:street, plug:word, power:large
battery capacity | calculate, check, estimate | device:product, voltage:decimal, cycles:amount
solar panel output | estimate, calculate, monitor | city:city, panels:small, month:month
wind turbine | monitor, stop, start | turbine_id:id, speed:decimal
water quality | check, analyze, report | river:landmark, sample_id:id, date:date
forest fire risk | estimate, retrieve, report | region:country, month:month
bird migration | track, retrieve, predict | species:animal, year:year, region:country
dinosaur fossil | search, retrieve, compare | species:animal, country:country, period:word
ancient coin | search, estimate, register | ruler:person, material:element, year:year
family tree | create, search, update | surname:person, generations:small, country:country
birth certificate | request, verify, retrieve | name:person, birth_date:isodate, city:city
passport renewal | start, track, cancel | passport_number:id, holder:person, country:country
voting station | find, check | address:street, election:event
legal contract | analyze, create, compare | parties:company[], topic:topic, contract_id:id
patent | search, submit, retrieve | inventor:person, keyword:topic, year:year
court hearing | schedule, retrieve, cancel | case_number:id, judge:person, date:date
crime statistics | retrieve, compare, analyze | city:city, year:year, crime_type:word
fire alarm | start, stop, test | building:landmark, floor:small
security camera | check, start, stop | location:room, camera_id:id, minutes:small
door access | request, lock, open | door:room, person:person, until:time
elevator | stop, start, check | building:landmark, floor:small
meeting room | reserve, find, release | capacity:large, date:date, time:time, floor:small
sick leave | request, record, cancel | employee:person, start_date:date, days:small
salary increase | request, record | employee_id:id, percentage:percent
business trip | plan, request, cancel | destination:city, traveller:person, start_date:date, budget:amount
expense report | create, submit, check | employee:person, amount:amount, category:word, currency:currency
sales forecast | generate, compare, retrieve | product:product, month:month, region:country
advertising campaign | create, analyze, stop | campaign_name:team_name, budget:amount, platform:company
customer complaint | record, retrieve, answer | customer:person, product:product, message:message
newsletter | send, create, cancel | subject:topic, recipients:email[], date:date
domain name | register, check, renew | domain:url, years:small, owner:company
server backup | start, check, restore | server:team_name, date:date, target:file
database index | create, delete, analyze | table:department, column:word, index_name:file
source code file | compare, analyze, share | path:file, language:word, line:large
neural network | train, deploy | model:model, dataset:file, layers:small, rate:decimal
image filter | apply, remove, recommend | file:file, strength:percent, style:word
sound volume | set, check, change | room:room, level:percent, device:product
light scene | start, create, delete | scene:word, room:room, brightness:percent
window blinds | open, close, set | room:room, position:percent
washing machine | start, stop, check | programme:word, temperature:small, delay:small
school timetable | retrieve, update, compare | class:id, day:weekday, teacher:person
exam result | retrieve, record, compare | student:person, subject:subject, score:percent
homework task | add, delete, list | subject:subject, due_date:date, task:task
university ranking | retrieve, compare | university:city, subject:subject, year:year
scholarship | search, request | country:country, subject:subject, amount:amount
vocabulary list | create, translate, check | word:word, language:language
poem | generate, search, translate | topic:topic, author:person, lines:small
painting | search, estimate, compare | artist:artist, title:book, year:year
film festival | find, rate, retrieve | city:city, year:year, genre:genre
theatre seat | reserve, cancel, find | play:book, row:small, date:date
football transfer | search, record, predict | player:person, team:team, fee:amount
tennis court | reserve, cancel, check | club:team_name, date:date, hours:small
marathon time | predict, record, calculate | runner:person, distance:large, pace:decimal
heart rate zone | calculate, monitor, check | age:large, resting_rate:large, activity:exercise
sleep quality | record, analyze, retrieve | date:date, hours:decimal, person:person
allergy test | book, retrieve, record | patient:person, allergen:food, clinic:city
vaccination record | retrieve, update, verify | patient_id:id, vaccine:disease, date:isodate
drug interaction | check, search | first_drug:medicine, second_drug:medicine, age:large
surgery | schedule, change | patient_id:id, surgeon:person, date:date, operation:symptom
ambulance | request, track, cancel | address:street, symptom:symptom, patients:small
star position | calculate, retrieve, track | star:planet, date:date, latitude:decimal, longitude:decimal
rocket launch | schedule, track, cancel | rocket:team_name, site:city, date:isodate
lens magnification | calculate, compare | focal_length:decimal, distance:decimal
pendulum period | calculate, measure | length:decimal, gravity:decimal
gas pressure | calculate, measure, monitor | volume:amount, temperature:amount, moles:decimal
matrix determinant | calculate, check | rows:small, values:integers
standard deviation | calculate, compare | values:integers, sample:flag
hypotenuse | calculate, estimate | side_a:small, side_b:small, unit:word
cylinder volume | calculate, compare | radius:small, height:small, unit:word
mortgage | calculate, compare, request | price:amount, interest:decimal, years:small, bank:company
bond yield | calculate, compare, retrieve | issuer:company, price:decimal, maturity:year
crypto wallet | create, check, delete | coin:stock, owner:person, password:password
stock dividend | retrieve, calculate, predict | symbol:stock, shares:large, year:year
charity donation | send, record, cancel | organisation:company, amount:amount, currency:currency
gift card | buy, check, send | store:company, value:amount, recipient:person
birthday party | plan, cancel, invite | guest_names:person[], date:date, theme:topic
wedding cake | order, change, cancel | flavour:food, guests:large, delivery_date:date
hiking trail | find, rate, recommend | region:country, length:large, difficulty:word
camping site | reserve, find, cancel | lake:landmark, tents:small, arrival:date, nights:small
fishing licence | request, check, renew | angler:person, state:country, days:small
horse race | predict, retrieve, record | horse:team_name, track:city, date:date
car repair | book, estimate, track | plate:id, problem:word, garage:company, date:date
tyre pressure | check, record, set | vehicle_id:id, wheel:word, pressure:decimal
train delay | check, report, predict | train:flight, station:city, date:date
bus stop | find, report, check | street:street, line:small
package label | create, print, cancel | recipient:person, address:street, weight:decimal
phone contract | compare, cancel, change | provider:company, gigabytes:small, price:decimal
speech transcript | create, search, translate | audio_file:file, language:language, speaker:person
username | change, check, register | username:email, password:password
access token | request, check, revoke | username:person, password:password
alarm clock | set, delete, change | time:time, day:weekday, label:task
sticky note | add, delete, change | task:task, date:date, time:time
playlist | create, share, delete | name:genre, songs:song[], public:flag
shopping list | create, share, update | items:food[], list_name:word
house plant | add, monitor, remove | plant:plant, room:room, litres:decimal
bee hive | monitor, register, open | hive_id:id, location:crop, frames:small
fish tank | monitor, clean, set | litres:large, temperature:small, fish:animal
language course | find, start, rate | language:language, level:word, city:city
]]

local adjectives = list [[red, weekly, advanced, cheap, diesel, vegan, family, small, large, express, organic, standard, premium, digital,
  simple, urgent, quiet, manual, electric, heavy, early, fresh, short, public, private, basic, local, modern, soft, strong, Python, metric,
  medium, beginner, economy, monthly, left, right, leather, robbery, squared, crystal]]

-- Kinds by what a parameter's name ends in, or holds.
local by_name = {
  city = "city", town = "city", destination = "city", origin = "city", location = "city", place = "city", departure = "city",
  country = "country", nationality = "country", region = "country", state = "country", area = "city", address = "street",
  street = "street", person = "person", name = "person", user = "person", customer = "person", author = "person", patient = "person",
  recipient = "person", sender = "person", student = "person", employee = "person", player = "person", owner = "person",
  manager = "person", contact = "person", participant = "person", username = "email", email = "email", url = "url", website = "url",
  link = "url", id = "id", code = "id", number = "id", identifier = "id", token = "id", key = "id", date = "date", day = "date",
  deadline = "date", time = "time", year = "year", month = "month", language = "language", currency = "currency", company = "company",
  organization = "company", brand = "company", manufacturer = "company", provider = "company", platform = "company", product = "product",
  item = "product", device = "product", food = "food", ingredient = "food", ingredients = "food", dish = "dish", cuisine = "cuisine",
  animal = "animal", species = "animal", pet = "animal", breed = "animal", song = "song", artist = "artist", film = "movie",
  movie = "movie", title = "book", book = "book", topic = "topic", subject = "subject", keyword = "topic", keywords = "topic",
  query = "topic", theme = "topic", category = "topic", sport = "sport", team = "team", symptom = "symptom", symptoms = "symptom",
  disease = "disease", condition = "disease", drug = "medicine", medicine = "medicine", medication = "medicine", chemical = "chemical",
  substance = "chemical", element = "element", material = "element", planet = "planet", stock = "stock", symbol = "stock",
  event = "event", task = "task", activity = "exercise", exercise = "exercise", message = "message", text = "message",
  content = "message", description = "message", sentence = "message", reason = "message", hotel = "hotel", airline = "airline",
  landmark = "landmark", building = "landmark", museum = "landmark", job = "job", occupation = "job", position = "job",
  department = "department", industry = "department", genre = "genre", style = "genre", room = "room", file = "file", path = "file",
  document = "file", image = "file", dataset = "file", data = "file", crop = "crop", plant = "plant", word = "word",
  password = "password", model = "model", algorithm = "model", phone = "phone", flight = "flight", zip = "zip",
}
local numbers = {
  year = {1850, 2030}, age = {1, 99}, percent = {1, 100}, percentage = {1, 100}, price = {1, 5000}, amount = {1, 9999},
  budget = {100, 50000}, weight = {1, 300}, height = {1, 220}, temperature = {-10, 120}, quantity = {1, 50}, count = {1, 50},
  limit = {1, 100}, days = {1, 60}, hours = {1, 48}, minutes = {1, 240}, speed = {1, 400}, distance = {1, 2000},
}

-- How a value is said behind a wish, by kind; otherwise by the parameter's name.
local said_by_kind = {
  city = {"in %", "for %", "near %", "in the city of %", "in the location %"}, country = {"in %", "for %", "within %"},
  date = {"on %", "for %", "%", "dated %"}, isodate = {"on %", "for %"}, time = {"at %", "for %"},
  year = {"in %", "for the year %", "of %"},
  month = {"in %", "for %"}, weekday = {"on %", "for %"}, language = {"in %", "for the % language"}, street = {"at %", "for %", "near %"},
  person = {"for %", "of %", "by %"}, company = {"of %", "for %", "at %"}, topic = {"about %", "on %", "related to %"},
  file = {"from the file %", "in %", "using %", "of %"}, id = {"with the ID %", "with ID %"},
}

local spaced = signature.plain_words

local function starts_with_vowel(text) return text:find "^[aeiouAEIOU]" ~= nil end

local stop = {}
for word in ("a an the of for in on to and or by with from at is are be this that it its as using given specific specified based" ..
  " information data details get retrieve find check show provide current new available certain particular about within"):gmatch "%a+" do
  stop[word] = true
end

-- The words that tell a tool from others.
local function content_words(tool)
  local set = {}
  for word in (spaced(tool.name) .. " " .. (tool.description or "")):lower():gmatch "%a+" do
    if #word > 2 and not stop[word] then set[(word:gsub("s$", ""))] = true end
  end
  return set
end

local function schema_type(schema)
  if type(schema.enum) == "table" and #schema.enum > 0 then return "enum" end
  return type(schema.type) == "string" and schema.type or "string"
end

-- The examples that a description gives: "(e.g., Paris, London)".
local function examples(description)
  local inside = description and (description:match "%(e%.g%.,?%s*([^()]+)%)" or description:match "[Ee]xamples?: ([^()]+)")
  if not inside or inside:find "YYYY" then return nil end
  local items = {}
  for item in inside:gmatch "[^,]+" do
    item = item:gsub("^%s*or%s+", ""):gsub("^%s*['\"]?", ""):gsub("['\".]*%s*$", "")
    if item ~= "" and item ~= "etc" and #item < 30 then items[#items + 1] = item end
  end
  return #items > 0 and items or nil
end

-- What may stand before a noun that is a parameter, as patterns.
local articles = {
  " an? specific ", " an? given ", " the given ", " the specified ", " an? specified ", " an? particular ", " an? certain ", " an? ",
  " the ",
}

local connectors = {
  first = list "First@ , Please help me to , Please , I need your help. Please , Please assist me. First@ , I need you to , Can you ",
  next = list [[Then@ , After that@ , Next@ , Also@ , Additionally@ , Then@ please , I also need you to , After that@ please , And ,
    Also@ please ]],
  last = list "Finally@ , Lastly@ , Finally@ please , At last@ , And finally@ ",
}
for _, some in pairs(connectors) do
  for i, text in ipairs(some) do some[i] = text:gsub("@", ",") .. (text:find " $" and "" or " ") end
end

-- New rows from tools: see above.
function described_rows.new(tools, options)
  local value_of_kind = options.value
  local maker = {}
  local kinds, thing_of = setmetatable({}, {__mode = "k"}), setmetatable({}, {__mode = "k"}) -- of schemas and tools that are put together

  local function any_word(random)
    if random.chance(0.6) then return random.pick(adjectives) end
    return value_of_kind(random, random.pick{"topic", "food", "animal", "genre", "word", "plant", "product"})
  end

  local function number(random, name, integer)
    local range = {1, random.pick{10, 60, 1000}}
    for part in spaced(name):gmatch "%a+" do range = numbers[part] or range end
    local n = random.integer(range[1], range[2])
    if not integer and random.chance(0.5) then n = (100 * n + random.integer(1, 99)) / 100 end
    return n
  end

  local function kind_of(name)
    local kind
    for part in spaced(name):gmatch "%a+" do kind = by_name[part] or by_name[(part:gsub("s$", ""))] or kind end
    return kind
  end

  -- A value for a parameter, and its kind; nil when none can be said.
  local function value(random, name, schema)
    local kind = schema_type(schema)
    if kind == "enum" then
      local v = random.pick(schema.enum)
      if type(v) == "string" and v ~= "" and #v < 40 then return v, "enum" end
      if type(v) == "number" then return v, "number" end
      return nil
    elseif kind == "integer" or kind == "number" then
      return number(random, name, kind == "integer"), "number"
    elseif kind == "array" then
      local item = type(schema.items) == "table" and schema.items or {type = "string"}
      local values = {}
      for _ = 1, random.integer(1, 4) do
        local v = value(random, name, item)
        if type(v) == "table" or v == nil then return nil end
        local fresh = true
        for _, other in ipairs(values) do fresh = fresh and other ~= v end
        if fresh then values[#values + 1] = v end
      end
      return values, "list"
    elseif kind ~= "string" then
      return nil
    end
    local named = kind_of(name)
    local some = examples(schema.description)
    if some and random.chance(0.45) then return random.pick(some), named end
    if kinds[schema] then return value_of_kind(random, kinds[schema]) or any_word(random), kinds[schema] end
    local v = named and random.chance(0.85) and value_of_kind(random, named)
    if v then return tostring(v), named end
    return random.chance(0.15) and tostring(value_of_kind(random, "id")) or any_word(random), nil
  end

  local function spoken(v)
    if type(v) == "table" then
      local texts = {}
      for i, item in ipairs(v) do texts[i] = spoken(item) end
      if #texts == 1 then return texts[1] end
      return table.concat(texts, ", ", 1, #texts - 1) .. " and " .. texts[#texts]
    end
    return type(v) == "number" and ("%.14g"):format(v) or v
  end

  -- How an argument is said behind the wish.
  local function clause(random, name, v, kind)
    local text, plain = spoken(v), spaced(name)
    if type(v) == "string" and random.chance(0.15) then text = random.pick{"'", '"'} text = text .. spoken(v) .. text end
    local ways = kind and said_by_kind[kind]
    if ways and random.chance(0.6) then return (random.pick(ways):gsub("%%", function() return text end)) end
    local direction = plain:match "^(from)%f[%A]" or plain:match "^(to)%f[%A]"
    if direction and random.chance(0.6) then return direction .. " " .. text end
    if plain:find "id$" and random.chance(0.7) then
      local what = plain:gsub(" ?id$", "")
      return random.pick{"with ID ", "with the ID ", "for ID "} .. text .. (what ~= "" and random.chance(0.2) and " of the " .. what or "")
    end
    if plain:find "name$" and random.chance(0.5) then return random.pick{"named ", "called ", "with the name "} .. text end
    if type(v) == "number" and random.chance(0.35) then
      return random.pick{"of ", "for "} .. text .. " " .. plain
    end
    return random.pick{
      "with %n %v", "with a %n of %v", "with the %n %v", "where the %n is %v", "using %v as the %n", "%n %v", "%n: %v", "for the %n %v",
      "and %n %v", "with %v as %n", "for %v", "the %n should be %v", "given a %n of %v", "of %n %v", "with %n = %v", "for %v",
    }:gsub("%%(.)", function(c) return c == "n" and plain or text end)
  end

  -- The wish of a tool without its arguments, as a sentence with holes {name}; the names in it.
  local function wish(random, tool)
    local description = (tool.description or ""):gsub("%s+", " "):gsub("%b()", ""):gsub("%s*%.%s*$", ""):gsub("%. .*$", "")
    description = description:gsub("^This API %a+ users to ", ""):gsub("^%u", string.lower)
    if description == "" or random.chance(0.22) then description = spaced(tool.name) end
    local verb, rest = description:match "^(%a+)%s+(.+)$"
    if not verb then verb, rest = "", description end
    local known = verbs[verb] or verbs[(verb:gsub("s$", ""))]
    -- Places where the text speaks of a parameter: "for a specific city", "of the robot".
    local holes = {}
    for name in pairs(tool.parameters.properties) do holes[#holes + 1] = name end
    table.sort(holes)
    local used = {}
    for _, name in ipairs(holes) do
      local plain = spaced(name)
      for _, noun in ipairs{plain, (plain:gsub(" ?id$", "")), (plain:gsub(" ?name$", ""))} do
        if noun ~= "" and not used[name] and random.chance(0.8) then
          local safe = noun:gsub("%p", "%%%0")
          for _, article in ipairs(articles) do
            local padded = " " .. rest .. " "
            local first, last = padded:find(article .. safe .. "%f[%A]")
            if first and not used[name] and not padded:sub(1, first):find "{[^}]*$" then
              local hole = random.pick{"{%s}", "{%s}", noun .. " {%s}", "the " .. noun .. " {%s}"}
              if noun ~= plain and plain:find "id$" then
                hole = random.pick{noun .. " {%s}", "the " .. noun .. " with ID {%s}"}
              end
              rest = padded:sub(1, first - 1) .. " " .. hole:format(name) .. " " .. padded:sub(last + 1)
              rest = rest:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")
              used[name] = true
            end
          end
        end
      end
    end
    rest = rest:gsub(" specific ", " "):gsub(" given ", " "):gsub(" specified ", " ")
    if random.chance(0.5) then rest = rest:gsub(" information$", ""):gsub("^information about ", ""):gsub(" details$", "") end
    if random.chance(0.6) then rest = rest:gsub(" based on [^{]*$", ""):gsub(" by [^{]*$", ""):gsub(" using [^{]*$", "") end
    for name in pairs(used) do
      if not rest:find("{" .. name .. "}", 1, true) then used[name] = nil end
    end
    if known and random.chance(0.8) then
      local way = random.pick(known)
      if not (way:find "^what" and rest:find "^[{a]") then
        if way:find "^what" and not rest:find "^the " and not rest:find "^{" then rest = "the " .. rest end
        return (way:gsub("%%", function() return rest end)), used
      end
    end
    return (verb == "" and "" or verb .. " ") .. rest, used
  end

  -- A sentence and its call: nil when the tool wants something that cannot be said.
  local function ask(random, tool, given)
    local text, holes = wish(random, tool)
    local properties, required, names = tool.parameters.properties, {}, {}
    for _, name in ipairs(tool.parameters.required or {}) do required[name] = true end
    for name in pairs(properties) do names[#names + 1] = name end
    table.sort(names)
    random.shuffle(names)
    local arguments, clauses, extra, seen = {}, {}, 0, {}
    for _, name in ipairs(names) do
      local schema = properties[name]
      local wanted = required[name] or holes[name] or extra < 3 and random.chance(0.3)
      if schema.type == "boolean" then
        local plain = spaced(name)
        if wanted and (required[name] or random.chance(0.6)) then
          arguments[name] = random.chance(0.6)
          clauses[#clauses + 1] = (arguments[name] and random.pick{"with ", "including ", "and I want "}
            or random.pick{"without ", "excluding ", "but no "}) .. plain:gsub("^is ", ""):gsub("^include ", "")
        end
      elseif wanted then
        local v, kind = value(random, name, schema)
        if given and given[name] ~= nil then v, kind = given[name].value, given[name].kind end
        local key = v ~= nil and spoken(v)
        if v == nil or seen[key] then
          if required[name] or holes[name] then return nil end
        else
          seen[key] = true
          arguments[name] = v
          if not required[name] and not holes[name] then extra = extra + 1 end
          if holes[name] then
            text = text:gsub("{" .. name .. "}", function() return key end, 1)
            holes[name] = nil
          else
            clauses[#clauses + 1] = clause(random, name, v, kind)
          end
        end
      end
    end
    if text:find "[{}]" then return nil end
    if #clauses > 0 then
      if #clauses > 1 and random.chance(0.5) then
        text = text .. " " .. table.concat(clauses, random.pick{", ", " ", ", "}, 1, #clauses - 1) .. " and " .. clauses[#clauses]
      else
        text = text .. " " .. table.concat(clauses, random.pick{" ", ", "})
      end
    end
    return text:gsub("and and ", "and "):gsub("  +", " "), {name = tool.name, arguments = arguments}
  end

  -- Several calls of one tool in a sentence: "the time in Oslo, Rome and Lima" -> three calls that differ in one argument.
  local function ask_for_each(random, tool)
    local names = {}
    for _, name in ipairs(tool.parameters.required or {}) do
      local kind = schema_type(tool.parameters.properties[name] or {type = "object"})
      if kind == "string" or kind == "integer" or kind == "number" then names[#names + 1] = name end
    end
    if #names == 0 then return nil end
    local name = random.pick(names)
    local values, seen = {}, {}
    for _ = 1, random.integer(2, 3) do
      local v = value(random, name, tool.parameters.properties[name])
      if v ~= nil and not seen[v] and not tostring(v):find "[,%d] ?%a* and " then
        seen[v] = true
        values[#values + 1] = v
      end
    end
    if #values < 2 then return nil end
    local text, call = ask(random, tool, {[name] = {value = values}})
    if not text then return nil end
    local calls = {}
    for i, v in ipairs(values) do
      local arguments = {}
      for key, argument in pairs(call.arguments) do arguments[key] = argument end
      arguments[name] = v
      calls[i] = {name = call.name, arguments = arguments}
    end
    return text, calls
  end

  ------------------------------------------------------------------------------------------------------------------- put together

  local catalogue = {}
  for line in things:gmatch "[^\n]+" do
    local name, doing, parameters = line:match "^(.-) | (.-) | (.+)$"
    local thing = {name = name, verbs = list(doing), parameters = {}}
    for _, text in ipairs(list(parameters)) do
      local key, kind = text:match "^([%w_]+):(.+)$"
      thing.parameters[#thing.parameters + 1] = {name = key, kind = kind}
    end
    catalogue[#catalogue + 1] = thing
  end

  local function camel(text) return (text:gsub("[ _](%w)", string.upper)) end
  local function capital(text) return (text:gsub("^%l", string.upper)) end

  local function put_together(random, thing, verb)
    thing = thing or random.pick(catalogue)
    verb = verb or random.pick(thing.verbs)
    local noun = thing.name
    local snake = noun:gsub(" ", "_")
    local name = random.pick{
      camel(verb .. " " .. noun), camel(verb .. " " .. noun), verb .. "_" .. snake, verb .. "_" .. snake, snake .. "." .. verb,
      snake .. "_" .. verb, capital(camel(verb .. " " .. noun)), capital(camel(noun .. " " .. verb)), camel(noun) .. "." .. verb,
    }
    local properties, required, described = {}, {}, {}
    local order = {}
    for i, p in ipairs(thing.parameters) do order[i] = p end
    random.shuffle(order)
    for i = 1, math.min(#order, random.integer(1, 4)) do
      local p, schema = order[i], {type = "string"}
      if p.kind == "small" or p.kind == "large" or p.kind == "amount" or p.kind == "percent" or p.kind == "year" then
        schema.type = "integer"
      elseif p.kind == "decimal" then schema.type = "number"
      elseif p.kind == "flag" then schema.type = "boolean"
      elseif p.kind == "integers" then schema.type, schema.items = "array", {type = "integer"}
      elseif p.kind:find "%[%]$" then schema.type, schema.items = "array", {type = "string"}
        kinds[schema.items] = p.kind:match "^%a+"
      elseif p.kind == "word" and random.chance(0.4) then
        local some = {}
        for _ = 1, random.integer(2, 5) do some[#some + 1] = random.pick(adjectives) end
        schema.enum = some
        for a = #some, 2, -1 do
          for b = 1, a - 1 do
            if some[a] == some[b] then table.remove(some, a) break end
          end
        end
      elseif p.kind ~= "word" then kinds[schema] = p.kind end
      properties[p.name] = schema
      described[#described + 1] = spaced(p.name)
      if random.chance(0.7) then required[#required + 1] = p.name end
    end
    local article = starts_with_vowel(noun) and "an " or "a "
    local verb_said = capital(random.chance(0.25) and verb .. (verb:find "[sh]$" and "es" or "s") or verb)
    local description = random.pick{
      verb_said .. " " .. article .. noun, verb_said .. " the " .. noun, verb_said .. " " .. noun,
      verb_said .. " " .. noun .. " information",
      verb_said .. " " .. article .. noun .. " for a given " .. described[1], verb_said .. " the " .. noun .. " by " .. described[1],
      verb_said .. " the " .. noun .. " based on " .. table.concat(described, " and "), "",
    }
    local tool = {name = name, description = description, parameters = {type = "object", properties = properties, required = required}}
    thing_of[tool] = thing
    return tool
  end
  maker.tool = put_together

  ------------------------------------------------------------------------------------------------------------------------- rows

  local usable, by_word = {}, {}
  for _, tool in ipairs(tools) do
    if (tool.description or "") ~= "" and #tool.description < 140 and tool.parameters.properties then
      usable[#usable + 1] = tool
      for word in pairs(content_words(tool)) do
        by_word[word] = by_word[word] or {}
        table.insert(by_word[word], tool)
      end
    end
  end
  maker.count = #usable

  -- A tool that has words in common with this one, but lacks one of those that tell it.
  local function look_alike(random, tool)
    local thing = thing_of[tool]
    if thing then
      local made = put_together(random, random.chance(0.5) and thing or nil)
      local verb = spaced(tool.name):match "^%a+"
      if thing_of[made] == thing and (" " .. spaced(made.name) .. " "):find(" " .. verb .. " ", 1, true) then return nil end
      return made
    end
    local own, shared = content_words(tool), {}
    for word in pairs(own) do shared[#shared + 1] = word end
    table.sort(shared)
    if #shared == 0 then return nil end
    local other = random.pick(by_word[random.pick(shared)])
    local theirs, lacking = content_words(other), 0
    for word in pairs(own) do
      if not theirs[word] then lacking = lacking + 1 end
    end
    return lacking > 0 and other or nil
  end

  local function pick_tool(random) return random.chance(0.45) and put_together(random) or random.pick(usable) end

  -- Whether "please" may stand before it.
  local function is_order(sentence) return not sentence:find "^[Ww]h" and not sentence:find "^I" and not sentence:find "^%a+ you " end

  local function finish(random, text)
    local roll = random.number()
    if roll < 0.55 then text = capital(text) end
    if roll < 0.4 then text = text .. (text:find "^[Ww]h" and "?" or ".") end
    return text
  end

  -- A wish whose values come one after the other, as they are asked for.
  local function conversation(random, row, tool)
    local text, call = ask(random, tool)
    if not text then return false end
    local opening = wish(random, {name = tool.name, description = tool.description, parameters = {properties = {}}})
    row.messages[1] = {role = "user", content = finish(random, random.pick{"", "Hi, ", "I'd like some help: ", "Hello, "} .. opening)}
    local names = {}
    for name in pairs(call.arguments) do names[#names + 1] = name end
    table.sort(names)
    random.shuffle(names)
    if #names == 0 then
      row.calls[1] = call
      return true
    end
    local at = 1
    while at <= #names do
      local asked, answered = {}, {}
      for _ = 1, random.pick{1, 1, 2} do
        local name = names[at]
        if not name then break end
        at = at + 1
        local v, plain = call.arguments[name], spaced(name)
        if type(v) == "boolean" then
          asked[#asked + 1] = "you want " .. plain
          answered[#answered + 1] = v and "yes" or "no"
        else
          asked[#asked + 1] = plain
          answered[#answered + 1] = random.pick{"%v", "%v", "The %n is %v", "my %n is %v", "%n: %v", "it is %v", "%v, please"}
            :gsub("%%(.)", function(c) return c == "n" and plain or spoken(v) end)
        end
      end
      local question = random.pick{"What is the %s?", "Please tell me the %s.", "Could you give me the %s?", "Sure. What is your %s?",
        "I need the %s for that.", "And the %s?", "May I have the %s?"}
      row.messages[#row.messages + 1] = {role = "assistant", content = question:format(table.concat(asked, " and the "))}
      row.messages[#row.messages + 1] = {role = "user", content = capital(table.concat(answered, random.pick{" and ", ", "}))}
    end
    if random.chance(0.15) then
      row.messages[#row.messages + 1] = {role = "assistant", content = random.pick{"Shall I go on?", "Is that right?", "Please confirm."}}
      row.messages[#row.messages + 1] = {role = "user", content = random.pick{"Yes, please", "yes", "That is right.", "Go ahead", "Sure"}}
    end
    row.calls[1] = call
    return true
  end

  function maker.row(random)
    local row = {tools = {}, calls = {}, messages = {}, source = "described", kind = "call"}
    local function offer(tool)
      for _, other in ipairs(row.tools) do
        if other.name == tool.name or spaced(other.name) == spaced(tool.name) then return false end
      end
      row.tools[#row.tools + 1] = tool
      return true
    end
    local roll = random.number()
    if roll < 0.14 then
      local tool = pick_tool(random)
      if not conversation(random, row, tool) then return maker.row(random) end
      offer(tool)
    else
      local wishes = roll < 0.55 and 1 or random.pick{2, 2, 2, 3, 3, 4}
      local sentences = {}
      for _ = 1, wishes do
        local tool = pick_tool(random)
        local text, calls
        if random.chance(0.14) then text, calls = ask_for_each(random, tool) end
        if not text then
          local call
          text, call = ask(random, tool)
          calls = {call}
        end
        if text and offer(tool) then
          sentences[#sentences + 1] = text
          for _, call in ipairs(calls) do row.calls[#row.calls + 1] = call end
          -- Once more the same with other values.
          if wishes == 1 and random.chance(0.15) then
            local again, call = ask(random, tool)
            if again then
              sentences[#sentences + 1] = again
              row.calls[#row.calls + 1] = call
            end
          end
        end
      end
      if #sentences == 0 then return maker.row(random) end
      local text
      if #sentences == 1 then
        local opening = random.pick{"", "", "", "", "please ", "can you ", "I want to ", "could you "}
        text = finish(random, (is_order(sentences[1]) and opening or "") .. sentences[1])
      elseif random.chance(0.25) then
        text = finish(random, table.concat(sentences, random.pick{" and ", ", and ", "; ", " and then ", ", then "}))
      else
        local parts = {}
        for i, sentence in ipairs(sentences) do
          local which = i == 1 and connectors.first or i == #sentences and connectors.last or connectors.next
          parts[i] = capital(is_order(sentence) and random.chance(0.8) and random.pick(which) .. sentence or sentence) .. "."
        end
        text = table.concat(parts, " ")
      end
      if random.chance(0.08) then text = text .. random.pick{" Thank you.", " Thanks!", " That would help me a lot."} end
      row.messages[1] = {role = "user", content = text}
      if #row.calls > 1 then row.kind = "parallel" end
    end
    -- Beside the right ones: tools that sound like them, and others.
    local called = {}
    for i, tool in ipairs(row.tools) do called[i] = tool end
    local count = math.max(#called, random.pick{1, 2, 2, 3, 4, 5, 5, 5, 6})
    for _ = 1, 20 do
      if #row.tools >= count then break end
      local other = random.chance(0.7) and look_alike(random, random.pick(called)) or pick_tool(random)
      offer(other)
    end
    -- Nothing fits: other tools, which share no telling word with the one that was meant.
    if #row.calls == 1 and random.chance(0.1) then
      local meant, others = content_words(called[1]), {}
      for _ = 1, 12 do
        local other, apart = pick_tool(random), true
        for word in pairs(content_words(other)) do apart = apart and not meant[word] end
        for _, one in ipairs(others) do apart = apart and one.name ~= other.name end
        if apart and #others < count then others[#others + 1] = other end
      end
      if #others > 0 then row.tools, row.calls, row.kind = others, {}, "irrelevant" end
    end
    return row
  end

  return maker
end

return described_rows
