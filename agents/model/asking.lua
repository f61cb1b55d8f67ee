-- Sentences that ask for a tool, made from its declaration: the verb of its description, said in another way, and what follows it; values
-- stand where the text speaks of a parameter, or behind.
--
--   asking.once(random, tool, given) -> sentence, call     nil when the tool wants something that cannot be said
--   asking.for_each(random, tool) -> sentence, calls       that differ in one argument; nil as above
--   asking.wish(random, tool) -> sentence with holes {name}, set of these names
-- tool: {name, description, parameters}; given: {name, value}, what is said as the value of that parameter.
local kinds = require "kinds"
local made_tools = require "made_tools"
local signature = require "mobilellm.signature"
local words = require "mobilellm.train.words"
local wording = require "wording"

local asking = {}

local spaced, spoken = signature.plain_words, wording.spoken

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

----------------------------------------------------------------------------------------------------------------------------- values

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

local function any_word(random)
  if random.chance(0.6) then return random.pick(made_tools.adjectives) end
  return kinds.value(random, random.pick{"topic", "food", "animal", "genre", "word", "plant", "product"})
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

-- A text for a parameter, and its kind.
local function text_value(random, name, schema)
  local named, made = kind_of(name), made_tools.kind(schema)
  local some = examples(schema.description)
  if some and random.chance(0.45) then return random.pick(some), named end
  if made then return kinds.value(random, made) or any_word(random), made end
  local v = named and random.chance(0.85) and kinds.value(random, named)
  if v then return tostring(v), named end
  return random.chance(0.15) and tostring(kinds.value(random, "id")) or any_word(random), nil
end

-- A value for a parameter, and its kind; nil when none can be said.
local function value(random, name, schema)
  local kind = schema_type(schema)
  if kind == "string" then return text_value(random, name, schema)
  elseif kind == "enum" then
    local v = random.pick(schema.enum)
    if type(v) == "string" and v ~= "" and #v < 40 then return v, "enum" end
    if type(v) == "number" then return v, "number" end
  elseif kind == "integer" or kind == "number" then
    return number(random, name, kind == "integer"), "number"
  elseif kind == "array" then
    local item = type(schema.items) == "table" and schema.items or {type = "string"}
    local values, seen = {}, {}
    for _ = 1, random.integer(1, 4) do
      local v = value(random, name, item)
      if type(v) == "table" or v == nil then return nil end
      if not seen[v] then
        seen[v] = true
        values[#values + 1] = v
      end
    end
    return values, "list"
  end
  return nil
end

-------------------------------------------------------------------------------------------------------------------------- sentences

-- How an argument is said behind the wish.
local function clause(random, name, v, kind)
  local text, plain = spoken(v), spaced(name)
  if type(v) == "string" and random.chance(0.15) then
    local mark = random.pick{"'", '"'}
    text = mark .. text .. mark
  end
  local ways = kind and said_by_kind[kind]
  if ways and random.chance(0.6) then return (random.pick(ways):gsub("%%", function() return text end)) end
  local direction = plain:match "^(from)%f[%A]" or plain:match "^(to)%f[%A]"
  if direction and random.chance(0.6) then return direction .. " " .. text end
  if plain:find "id$" and random.chance(0.7) then
    local what = plain:gsub(" ?id$", "")
    return random.pick{"with ID ", "with the ID ", "for ID "} .. text .. (what ~= "" and random.chance(0.2) and " of the " .. what or "")
  end
  if plain:find "name$" and random.chance(0.5) then return random.pick{"named ", "called ", "with the name "} .. text end
  if type(v) == "number" and random.chance(0.35) then return random.pick{"of ", "for "} .. text .. " " .. plain end
  return (random.pick{
    "with %n %v", "with a %n of %v", "with the %n %v", "where the %n is %v", "using %v as the %n", "%n %v", "%n: %v", "for the %n %v",
    "and %n %v", "with %v as %n", "for %v", "the %n should be %v", "given a %n of %v", "of %n %v", "with %n = %v", "for %v",
  }:gsub("%%(.)", function(c) return c == "n" and plain or text end))
end

-- How a flag is said behind the wish.
local function flag_clause(random, name, on)
  return random.pick(on and {"with ", "including ", "and I want "} or {"without ", "excluding ", "but no "}) ..
    spaced(name):gsub("^is ", ""):gsub("^include ", "")
end

local function add_clauses(random, text, clauses)
  if #clauses == 0 then return text end
  if #clauses > 1 and random.chance(0.5) then
    return text .. " " .. table.concat(clauses, random.pick{", ", " ", ", "}, 1, #clauses - 1) .. " and " .. clauses[#clauses]
  end
  return text .. " " .. table.concat(clauses, random.pick{" ", ", "})
end

-- What may stand before a noun that is a parameter, as patterns.
local articles = {
  " an? specific ", " an? given ", " the given ", " the specified ", " an? specified ", " an? particular ", " an? certain ", " an? ",
  " the ",
}

-- The text with a hole {name} where it has `noun` with an article; nil where it has not.
local function make_hole(random, text, name, noun)
  local plain, safe, padded = spaced(name), noun:gsub("%p", "%%%0"), " " .. text .. " "
  for _, article in ipairs(articles) do
    local first, last = padded:find(article .. safe .. "%f[%A]")
    if first and not padded:sub(1, first):find "{[^}]*$" then -- and that is not inside another
      local hole = random.pick{"{%s}", "{%s}", noun .. " {%s}", "the " .. noun .. " {%s}"}
      if noun ~= plain and plain:find "id$" then hole = random.pick{noun .. " {%s}", "the " .. noun .. " with ID {%s}"} end
      text = padded:sub(1, first - 1) .. " " .. hole:format(name) .. " " .. padded:sub(last + 1)
      return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
    end
  end
  return nil
end

-- The text with holes where it speaks of parameters: "for a specific city", "of the robot". And the set of their names.
local function make_holes(random, text, properties)
  local used = {}
  for _, name in ipairs(wording.names(properties)) do
    local plain = spaced(name)
    for _, noun in ipairs{plain, (plain:gsub(" ?id$", "")), (plain:gsub(" ?name$", ""))} do
      if noun ~= "" and not used[name] and random.chance(0.8) then
        local with_hole = make_hole(random, text, name, noun)
        if with_hole then text, used[name] = with_hole, true end
      end
    end
  end
  return text, used
end

-- The wish of a tool without its arguments, as a sentence with holes {name}; the names in it.
function asking.wish(random, tool)
  local description = (tool.description or ""):gsub("%s+", " "):gsub("%b()", ""):gsub("%s*%.%s*$", ""):gsub("%. .*$", "")
  description = description:gsub("^This API %a+ users to ", ""):gsub("^%u", string.lower)
  if description == "" or random.chance(0.22) then description = spaced(tool.name) end
  local verb, rest = description:match "^(%a+)%s+(.+)$"
  if not verb then verb, rest = "", description end
  local used
  rest, used = make_holes(random, rest, tool.parameters.properties)
  rest = rest:gsub(" specific ", " "):gsub(" given ", " "):gsub(" specified ", " ")
  if random.chance(0.5) then rest = rest:gsub(" information$", ""):gsub("^information about ", ""):gsub(" details$", "") end
  if random.chance(0.6) then rest = rest:gsub(" based on [^{]*$", ""):gsub(" by [^{]*$", ""):gsub(" using [^{]*$", "") end
  for name in pairs(used) do
    if not rest:find("{" .. name .. "}", 1, true) then used[name] = nil end
  end
  local known = verbs[verb] or verbs[(verb:gsub("s$", ""))]
  if known and random.chance(0.8) then
    local way = random.pick(known)
    if not (way:find "^what" and rest:find "^[{a]") then
      if way:find "^what" and not rest:find "^the " and not rest:find "^{" then rest = "the " .. rest end
      return (way:gsub("%%", function() return rest end)), used
    end
  end
  return (verb == "" and "" or verb .. " ") .. rest, used
end

-- The wish with its arguments, in the holes or behind.
function asking.once(random, tool, given)
  local text, holes = asking.wish(random, tool)
  local properties, required = tool.parameters.properties, {}
  for _, name in ipairs(tool.parameters.required or {}) do required[name] = true end
  local arguments, clauses, extra, seen = {}, {}, 0, {}
  for _, name in ipairs(random.shuffle(wording.names(properties))) do
    local schema, needed = properties[name], required[name] or holes[name]
    local wanted = needed or extra < 3 and random.chance(0.3)
    if wanted and schema.type == "boolean" then
      if required[name] or random.chance(0.6) then
        arguments[name] = random.chance(0.6)
        clauses[#clauses + 1] = flag_clause(random, name, arguments[name])
      end
    elseif wanted then
      local v, kind = value(random, name, schema)
      if given and given.name == name then v, kind = given.value, nil end
      local said = v ~= nil and spoken(v)
      if v == nil or seen[said] then
        if needed then return nil end
      else
        seen[said], arguments[name] = true, v
        if not needed then extra = extra + 1 end
        if holes[name] then
          text = text:gsub("{" .. name .. "}", function() return said end, 1)
        else
          clauses[#clauses + 1] = clause(random, name, v, kind)
        end
      end
    end
  end
  if text:find "[{}]" then return nil end
  text = add_clauses(random, text, clauses):gsub("and and ", "and "):gsub("  +", " ")
  return text, {name = tool.name, arguments = arguments}
end

-- "the time in Oslo, Rome and Lima"
function asking.for_each(random, tool)
  local names, properties = {}, tool.parameters.properties
  for _, name in ipairs(tool.parameters.required or {}) do
    local kind = schema_type(properties[name] or {type = "object"})
    if kind == "string" or kind == "integer" or kind == "number" then names[#names + 1] = name end
  end
  if #names == 0 then return nil end
  local name = random.pick(names)
  local values, seen = {}, {}
  for _ = 1, random.integer(2, 3) do
    local v = value(random, name, properties[name])
    if v ~= nil and not seen[v] and not tostring(v):find "[,%d] ?%a* and " then
      seen[v] = true
      values[#values + 1] = v
    end
  end
  if #values < 2 then return nil end
  local text, call = asking.once(random, tool, {name = name, value = values})
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

return asking
