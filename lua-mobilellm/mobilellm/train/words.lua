-- Words of our own for rows that are made from schemas: values, frames around sentences, tools that do other things, and small talk.
local words = {}

-- The items of a text, without the space around them; each of `separators` (characters; default "|") and every line's end parts two.
function words.list(text, separators)
  local items = {}
  for item in text:gmatch("[^\n" .. (separators or "|") .. "]+") do
    item = item:match "^%s*(.-)%s*$"
    if item ~= "" then items[#items + 1] = item end
  end
  return items
end
local list = words.list

-- What a parameter's name or description may say about its values: pattern (of lower-case words) -> examples.
words.hints = {
  {"date", list [[tomorrow | today | next friday | the 3rd of may | monday | this weekend | june 12th | in two days | next week |
    the day after tomorrow | sunday | march 9th | on tuesday | the 21st | december 24th | next month]]},
  {"day", list [[monday | tuesday | wednesday | thursday | friday | saturday | sunday | tomorrow | today]]},
  {"time", list [[7 am | half past six | noon | 10:30 | 5 pm | midnight | quarter to nine | 6:45 pm | eight o'clock | in an hour |
    3:15 | 11 pm | this evening | in 20 minutes | at dawn | 9:05]]},
  {"duration", list [[5 minutes | an hour | 90 seconds | two hours | 20 minutes | half an hour | 45 seconds | a minute | 3 hours]]},
  {"room", list [[kitchen | bedroom | living room | hallway | bathroom | office | garage | attic | cellar | guest room | porch | studio]]},
  {"city", list [[Oslo | Lisbon | Kyoto | Denver | Nairobi | Lima | Utrecht | Cracow | Perth | Quito | Turin | Leeds | Busan | Porto]]},
  {"locat", list [[Oslo | the old harbour | Denver | Baker Street | the station | Nairobi | gate four | the east wing | Turin |
    Main Square]]},
  {"place", list [[the old harbour | Baker Street | the station | gate four | the east wing | Main Square | the library |
    the corner shop]]},
  {"person", list [[Ann | Dr. Weber | my sister | Tom | Yuki | Mr. Okafor | Lena | Carlos | the landlord | Priya | Noah | Aunt May]]},
  {"recipient", list [[Ann | Dr. Weber | my sister | Tom | Yuki | Mr. Okafor | Lena | Carlos | the landlord | Priya | Noah | Aunt May]]},
  {"contact", list [[Ann | Dr. Weber | my sister | Tom | Yuki | Mr. Okafor | Lena | Carlos | the landlord | Priya | Noah | Aunt May]]},
  {"color", list [[red | dark blue | warm white | teal | orange | lime green | violet | pink | turquoise | gold]]},
  {"colour", list [[red | dark blue | warm white | teal | orange | lime green | violet | pink | turquoise | gold]]},
  {"title", list [[The Glass Orchard | Letters from the Attic | Winter at Sea | A Short History of Rain | Nine Doors | The Clockmaker |
    Salt and Snow | The House on Ferry Lane | Night Trains | My Year of Birds | The Last Cartographer | Under the Lime Tree | Paper Moons |
    Songs of a Small Town | The Weight of Water | All the Quiet Roads]]},
  {"author", list [[Mara Lindt | J. T. Abara | Ines Moreau | Peter Holm | Aiko Sato | Leo Brandt | Nora Keane | Tomas Vrba | Rosa Alvarez |
    Samuel Okoro | Edith Marsh | Paul Winter]]},
  {"station", list [[North Gate | the harbour | Market Street | City Hall | the museum | Lake Road | East Terminal | the stadium |
    Bridge Street | Old Mill | the hospital | Rose Square | Platform Nine]]},
  {"email", list [[ann@example.org | t.weber@mail.test | office@lab.test | yuki@post.example | help@shop.example]]},
  {"phone", list [[555 0142 | 030 1234 | 555 0199 | 0171 55 20 | 555 0110]]},
  {"message", list [[i am late | see you at noon | the parcel is here | call me back | dinner is ready | bring the keys | happy birthday]]},
  {"text", list [[buy milk | i am late | call the bank | water the plants | the parcel is here | bring the keys | pay the rent]]},
  {"item", list [[milk | two onions | paper towels | a birthday card | olive oil | batteries | coffee beans | light bulbs | apples]]},
}

-- Parts of names that nobody has heard of: a value must be read, it cannot be known.
words.first = list [[silver | golden | double | iced | wild | lazy | northern | crispy | velvet | hidden | salted | royal | blue |
    little | old |
  rapid | gentle | amber | stormy | plain | tiny | grand | hollow | bright | frozen | smoky | quiet | crimson | rustic | lunar]]
words.second = list [[fox | harbour | cloud | maple | lantern | river | biscuit | garden | pepper | anchor | meadow | falcon | cherry |
    canyon |
  thunder | button | willow | rocket | honey | marble | island | velvet | walnut | compass | comet | saddle | tulip | cedar | ginger |
    pebble]]

-- Verbs of interfaces and how people say them, each group on a line: verbs, then ways.
words.verbs = {}
for group in ([[
  find search look query browse discover: find %s | search for %s | look for %s | look up %s | i am looking for %s | is there %s
  get show list read fetch check view display retrieve tell: get %s | show me %s | tell me %s | what about %s | let me see %s | check %s
  book reserve hold: book %s | reserve %s | i would like to book %s | hold %s for me | keep %s for me | secure %s
  rent hire borrow lease: rent %s | hire %s | i need %s | i would like %s | let me have %s | borrow %s | i want to rent %s
  return: return %s | give %s back | take %s back | hand in %s | here is %s back | i am done with %s
  renew extend prolong: renew %s | extend %s | prolong %s | i need %s for longer | more time for %s
  stop end halt abort quit: stop %s | end %s | halt %s | no more %s | finish %s | that is enough of %s
  cancel revoke: cancel %s | call off %s | i do not want %s any more | forget about %s | drop %s
  start begin launch run activate: start %s | begin %s | run %s | launch %s | let us have %s | get %s going
  create make add new register insert: create %s | make %s | add %s | i need %s | set up %s | new %s | put in %s
  delete remove clear erase: delete %s | remove %s | get rid of %s | clear %s | erase %s | take %s away
  set change update edit modify adjust: set %s | change %s | adjust %s | update %s | make it %s
  send mail forward share: send %s | send off %s | share %s | pass on %s
  order buy purchase: order %s | buy %s | i want %s | i would like %s | get me %s | i'll take %s
  open: open %s | open up %s | i want %s open
  close shut: close %s | shut %s | i want %s closed
  lock: lock %s | lock up %s
  unlock: unlock %s
  schedule plan arrange: schedule %s | plan %s | arrange %s | set up %s
  call phone ring dial: call %s | ring %s | phone %s | i want to talk to %s
  play: play %s | put on %s | i want to hear %s | let me hear %s
  save store keep: save %s | store %s | keep %s | write down %s
  move: move %s | bring %s | shift %s
  track follow: track %s | follow %s | where is %s
  pay: pay %s | settle %s | pay for %s
  report: report %s | there is %s | i want to report %s
  rate review: rate %s | review %s | i want to rate %s
  calculate compute: calculate %s | work out %s | what is %s
  convert: convert %s | turn %s
]]):gmatch "[^\n]+" do
  local names, ways = group:match "^%s*(.-):(.*)$"
  for verb in (names or ""):gmatch "%a+" do words.verbs[verb] = list(ways) end
end

-- What parameters tell about their place in a sentence, by a word of their name or description; the first that fits counts. numbers: true
-- for numbers only, false for none; things: these can be what a verb acts on ("find {title}"); {unit} is the word itself.
words.roles = {}
for line in ([[
  numbers | hours minutes seconds days weeks months years nights | for {v} {unit} |, {v} {unit} | {v} {unit}
  numbers | people guests persons passengers adults children | for {v} {unit} | for {v} |, {v} {unit}
  numbers | degrees percent | to {v} {unit} | at {v} {unit} |, {v} {unit}
  numbers | temperature brightness level volume speed percentage power | to {v} | at {v} |, {n} {v} | {v}
  numbers | quantity count amount number copies tickets seats pieces times pages | , {v} of them | , {v} times | , {n} {v} | {v}
  texts | author artist composer director writer singer painter | by {v} | from {v}
  texts | destination to target arrival dropoff | to {v} | going to {v}
  texts | origin departure source pickup | from {v} | starting at {v}
  texts | station stop place branch location address venue airport shop store store hotel gate | at {v} | from {v} | at {v}
  texts | city town room country area region zone floor street district | in {v} | in {v} | at {v}
  texts | time clock | at {v} |, {v} | for {v}
  texts | date day weekday | on {v} | {v} | for {v}
  texts | duration | for {v} |, {v}
  texts | person recipient contact friend customer guest patient owner user | for {v} | to {v} |, for {v}
  things | message text note content comment body | saying {v} | : {v} |, {v} | that says {v}
  things | name title label | called {v} | named {v} | {v}
  texts | reason | because of {v} | , reason {v}
  texts | language | in {v} | into {v}
  texts | colour color size kind type mode style flavour flavor category model | {v} | in {v} |, {v} | , the {v} one
]]):gmatch "[^\n]+" do
  local items, role = list(line), {words = {}, connectors = {}}
  if #items > 2 then
    role.numbers, role.things = items[1] == "numbers", items[1] == "things"
    for word in items[2]:gmatch "%a+" do role.words[word] = true end
    for i = 3, #items do role.connectors[i - 2] = (items[i]:find "^[,:]" and "" or " ") .. items[i]:gsub("^,%s*", ", ") end
    words.roles[#words.roles + 1] = role
  end
end

-- Parameters that name what is wanted: "an {kind}" is a thing that people ask for.
words.kinds = {kind = true, type = true, model = true, category = true, variant = true, class = true, size = true, style = true}

words.frames = list [[please %s | can you %s | could you %s? | i want you to %s | %s now | would you %s please | i need you to %s |
  hey, %s | go ahead and %s | %s please]]
words.gentle = list [[%s please | hey, %s | ok, %s | %s, thanks | %s | %s | %s | so, %s | %s now]]

words.small_talk = list [[how are you | what is the meaning of life | tell me a joke | good morning | thank you very much | who made you |
  what is the capital of France | i am tired | do you like music | that was funny | how old are you | never mind | what can you do |
  the weather was awful yesterday | my dog is asleep | why is the sky blue | see you later | how tall is mount everest |
  i had a long day | you are great | is there life on mars | what a nice day | who won the match | i don't know | that is all for now |
  can fish sleep | how many legs has a spider | my feet hurt | what does love mean | i forgot what i wanted to say | hello there |
  are you a robot | my brother is visiting | that makes no sense | what is seven times eight | i like trains | read my mind]]

local function tool(name, description, parameters, required, phrases)
  local properties = {}
  for _, key in ipairs(parameters) do properties[key] = {type = "string"} end
  return {name = name, description = description, phrases = phrases,
    parameters = {type = "object", properties = properties, required = required}}
end

-- Tools of other kinds, so that the choice is not always the same.
words.tools = {
  tool("send_message", "Send a message to a person", {"recipient", "text"}, {"recipient"},
    {"text {recipient} that {text}", "tell {recipient} {text}", "send {recipient} a message saying {text}"}),
  tool("set_alarm", "Set an alarm", {"time", "day"}, {"time"}, {"wake me at {time}", "set an alarm for {time}", "alarm {day} at {time}"}),
  tool("get_weather", "Get the weather forecast", {"city", "date"}, {}, {"what is the weather in {city}", "will it rain {date} in {city}",
    "forecast for {city}"}),
  tool("play_music", "Play music", {"artist", "album"}, {}, {"play something by {artist}", "put on {album} by {artist}",
    "i want to hear {artist}"}),
  tool("add_to_list", "Add an item to a list", {"item", "list"}, {"item"}, {"put {item} on the list", "add {item} to my {list} list",
    "i need {item}, write it down"}),
  tool("find_restaurant", "Search for a restaurant", {"city", "cuisine"}, {}, {"find a {cuisine} place in {city}",
    "where can i eat in {city}",
    "{cuisine} restaurants please"}),
  tool("book_ticket", "Book a ticket", {"destination", "date"}, {"destination"}, {"a ticket to {destination} for {date}",
    "book me a trip to {destination}", "i have to go to {destination} {date}"}),
  tool("lock_door", "Lock a door", {"door"}, {"door"}, {"lock the {door} door", "close and lock {door}"}),
  tool("start_timer", "Start a timer", {"duration", "name"}, {"duration"}, {"timer for {duration}", "count down {duration}",
    "start a {duration} timer called {name}"}),
  tool("translate", "Translate a text", {"text", "language"}, {"text"}, {"how do you say {text} in {language}", "translate {text}"}),
}

return words
