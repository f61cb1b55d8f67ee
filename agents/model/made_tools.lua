-- Tools that are put together from the words below, as many as one likes: a name, a description and parameters.
--
--   made_tools.new(random, thing) -> tool     about a thing, or any
--   made_tools.thing(tool) -> what it is about; nil for a tool that was not put together
--   made_tools.kind(schema) -> what a parameter of such a tool holds, where its schema does not say it
--   made_tools.adjectives: words that any parameter may hold
local signature = require "mobilellm.signature"
local words = require "mobilellm.train.words"
local wording = require "wording"

local made_tools = {}

local camel, capital, spaced = wording.camel, wording.capital, signature.plain_words

local function list(text) return words.list(text, ",") end

-- Things that tools are about: name | verbs | parameters as name:kind. Kinds are those of kinds.lua,
-- `[]` behind one for a list of it, and small, large (whole numbers), flag, integers, word (one of several, or any).
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

made_tools.adjectives = list [[red, weekly, advanced, cheap, diesel, vegan, family, small, large, express, organic, standard, premium,
  digital, simple, urgent, quiet, manual, electric, heavy, early, fresh, short, public, private, basic, local, modern, soft, strong, Python,
  metric, medium, beginner, economy, monthly, left, right, leather, robbery, squared, crystal]]

local catalogue = {}
for line in things:gmatch "[^\n]+" do
  local name, verbs, parameters = line:match "^(.-) | (.-) | (.+)$"
  local thing = {name = name, verbs = list(verbs), parameters = {}}
  for i, text in ipairs(list(parameters)) do
    local key, kind = text:match "^([%w_]+):(.+)$"
    thing.parameters[i] = {name = key, kind = kind}
  end
  catalogue[#catalogue + 1] = thing
end

local kinds, thing_of = setmetatable({}, {__mode = "k"}), setmetatable({}, {__mode = "k"}) -- by schema and by tool

function made_tools.thing(tool) return thing_of[tool] end
function made_tools.kind(schema) return kinds[schema] end

local function name_of(random, verb, noun)
  local snake = noun:gsub(" ", "_")
  return random.pick{
    camel(verb .. " " .. noun), camel(verb .. " " .. noun), verb .. "_" .. snake, verb .. "_" .. snake, snake .. "." .. verb,
    snake .. "_" .. verb, capital(camel(verb .. " " .. noun)), capital(camel(noun .. " " .. verb)), camel(noun) .. "." .. verb,
  }
end

-- `parameters`: those of them that the tool has, in plain words.
local function description_of(random, verb, noun, parameters)
  local article = noun:find "^[aeiouAEIOU]" and "an " or "a "
  verb = capital(random.chance(0.25) and verb .. (verb:find "[sh]$" and "es" or "s") or verb)
  return random.pick{
    verb .. " " .. article .. noun, verb .. " the " .. noun, verb .. " " .. noun, verb .. " " .. noun .. " information",
    verb .. " " .. article .. noun .. " for a given " .. parameters[1], verb .. " the " .. noun .. " by " .. parameters[1],
    verb .. " the " .. noun .. " based on " .. table.concat(parameters, " and "), "",
  }
end

local function some_adjectives(random)
  local some, seen = {}, {}
  for _ = 1, random.integer(2, 5) do
    local word = random.pick(made_tools.adjectives)
    if not seen[word] then
      seen[word] = true
      some[#some + 1] = word
    end
  end
  return some
end

local whole_numbers = {small = true, large = true, amount = true, percent = true, year = true}

local function schema_of(random, kind)
  if whole_numbers[kind] then return {type = "integer"}
  elseif kind == "decimal" then return {type = "number"}
  elseif kind == "flag" then return {type = "boolean"}
  elseif kind == "integers" then return {type = "array", items = {type = "integer"}}
  end
  local text = {type = "string"}
  if kind:find "%[%]$" then
    kinds[text] = kind:match "^%a+"
    return {type = "array", items = text}
  end
  if kind ~= "word" then kinds[text] = kind
  elseif random.chance(0.4) then text.enum = some_adjectives(random) end
  return text
end

function made_tools.new(random, thing)
  thing = thing or random.pick(catalogue)
  local verb = random.pick(thing.verbs)
  local name = name_of(random, verb, thing.name)
  local properties, required, described, order = {}, {}, {}, {}
  for i, parameter in ipairs(thing.parameters) do order[i] = parameter end
  random.shuffle(order)
  for i = 1, math.min(#order, random.integer(1, 4)) do
    local parameter = order[i]
    properties[parameter.name] = schema_of(random, parameter.kind)
    described[i] = spaced(parameter.name)
    if random.chance(0.7) then required[#required + 1] = parameter.name end
  end
  local tool = {name = name, description = description_of(random, verb, thing.name, described),
    parameters = {type = "object", properties = properties, required = required}}
  thing_of[tool] = thing
  return tool
end

return made_tools
