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
