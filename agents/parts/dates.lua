-- Dates and times as people say them in English, turned into numbers: the model copies what was said, this file knows the calendar.
--
--   dates.day("next friday", now)   -> year, month, day        | nil, message
--   dates.time "half past 3 pm"     -> hour, minute            | nil, message
-- `now`: seconds since the epoch. What could mean two things is refused, not guessed.
local dates = {}

local weekdays = {sunday = 1, monday = 2, tuesday = 3, wednesday = 4, thursday = 5, friday = 6, saturday = 7}
local months = {
  january = 1, february = 2, march = 3, april = 4, may = 5, june = 6, july = 7, august = 8, september = 9, october = 10, november = 11,
  december = 12,
}
local short = {} -- "mon", "tues", "sept": at least three letters
for _, names in ipairs{weekdays, months} do
  local more = {}
  for name, n in pairs(names) do
    for length = 3, #name - 1 do more[name:sub(1, length)] = n end
  end
  short[names] = more
end

local function named(names, word) return names[word] or short[names][word] end

local numbers = {}
do
  local ones = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"}
  local ordinals = {"first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth",
    "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"}
  for i = 1, 19 do numbers[ones[i]], numbers[ordinals[i]] = i, i end
  for word, n in pairs{twenty = 20, twentieth = 20, thirty = 30, thirtieth = 30, forty = 40, fifty = 50} do numbers[word] = n end
  for word, n in pairs{twenty = 20, thirty = 30, forty = 40, fifty = 50} do
    for i = 1, 9 do numbers[word .. " " .. ones[i]], numbers[word .. " " .. ordinals[i]] = n + i, n + i end
  end
end

-- Words of a text, with numbers that were said as words made digits ("twenty third" is "23").
local function words_of(text)
  local list, out = {}, {}
  for word in text:lower():gsub("(%d)(%a)", "%1 %2"):gsub("(%a)%.(%a)%.", "%1%2"):gmatch "[%w:/%-]+" do
    if word:find "^%a+%-%a+$" then
      for part in word:gmatch "%a+" do list[#list + 1] = part end
    else
      list[#list + 1] = word
    end
  end
  local i = 1
  while list[i] do
    local pair = list[i + 1] and numbers[list[i] .. " " .. list[i + 1]]
    local n = pair or numbers[list[i]]
    out[#out + 1] = n and tostring(n) or list[i]
    i = i + (pair and 2 or 1)
  end
  return out
end

local fillers = {on = true, the = true, of = true, this = true, coming = true, at = true, ["for"] = true, st = true, nd = true, rd = true,
  th = true, by = true}

local function valid(year, month, day)
  local at = os.time{year = year, month = month, day = day, hour = 12}
  local back = at and os.date("*t", at)
  return back and back.year == year and back.month == month and back.day == day
end

function dates.day(text, now)
  local today = os.date("*t", now)
  local function ahead(days)
    local t = os.date("*t", os.time{year = today.year, month = today.month, day = today.day + days, hour = 12})
    return t.year, t.month, t.day
  end
  local year, month, day = text:match "^%s*(%d%d%d%d)%-(%d%d?)%-(%d%d?)%s*$"
  if year then
    year, month, day = tonumber(year), tonumber(month), tonumber(day)
    if valid(year, month, day) then return year, month, day end
    return nil, ("there is no day '%s'"):format(text)
  end
  local words = {}
  for _, word in ipairs(words_of(text)) do
    if not fillers[word] then words[#words + 1] = word end
  end
  local said = table.concat(words, " ")
  local plain = {today = 0, tonight = 0, tomorrow = 1, yesterday = -1, ["day after tomorrow"] = 2}
  if plain[said] then return ahead(plain[said]) end
  local count, unit = said:match "^in (%d+) (%a+)$"
  if not count then
    count, unit = said:match "^in an? (%a+)$" and "1", said:match "^in an? (%a+)$"
  end
  if count and unit:find "^days?$" then return ahead(tonumber(count)) end
  if count and unit:find "^weeks?$" then return ahead(7 * tonumber(count)) end
  local next_week, weekday = said:match "^(next) (%a+)$"
  weekday = weekday or said:match "^(%a+)$"
  local wanted = weekday and named(weekdays, weekday)
  if wanted then -- the first such day after today; "next" is that of the next week, from Monday on
    local distance = (wanted - today.wday - 1) % 7 + 1
    if next_week then distance = 7 - (today.wday - 2) % 7 + (wanted - 2) % 7 end
    return ahead(distance)
  end
  for i, word in ipairs(words) do -- "march 9", "9 march", with a year or a weekday
    if named(months, word) then month = named(months, word)
    elseif word:find "^%d%d%d%d$" and not year then year = tonumber(word)
    elseif word:find "^%d%d?$" and not day then day = tonumber(word)
    elseif not named(weekdays, word) then
      return nil, ("'%s' is no day that can be told"):format(words[i] and text or word)
    end
  end
  if not day or not (month or #words == 1) then return nil, ("'%s' is no day that can be told"):format(text) end
  local given_month, given_year = month, year
  month, year = month or today.month, year or today.year
  if not given_year and month * 32 + day < today.month * 32 + today.day then -- what is past means the next one
    if given_month then
      year = year + 1
    else
      month = month % 12 + 1
      if month == 1 then year = year + 1 end
    end
  end
  if not valid(year, month, day) then return nil, ("there is no day '%s'"):format(text) end
  return year, month, day
end

function dates.time(text)
  local list = words_of(text)
  local words, half = {}, nil
  for i, word in ipairs(list) do
    if word == "am" or word == "pm" then half = word
    elseif word == "morning" then half = "am"
    elseif word == "afternoon" or word == "evening" or word == "night" or word == "tonight" then half = "pm"
    elseif word ~= "at" and word ~= "o" and word ~= "clock" and word ~= "in" and word ~= "the" and list[i] then
      words[#words + 1] = word
    end
  end
  local said = table.concat(words, " ")
  if said == "noon" or said == "midday" then return 12, 0 end
  if said == "midnight" then return 0, 0 end
  local hour, minute = said:match "^(%d%d?):(%d%d)$"
  if not hour then hour, minute = said:match "^(%d%d?) (%d%d)$" end
  if not hour then hour, minute = said:match "^(%d%d?)$", "0" end
  if not hour then hour, minute = said:match "^half past (%d%d?)$", "30" end
  if not hour then hour, minute = said:match "^quarter past (%d%d?)$", "15" end
  if not hour then
    hour, minute = said:match "^quarter to (%d%d?)$", "45"
    hour = hour and tostring((tonumber(hour) - 1) % (half and 12 or 24))
  end
  hour, minute = tonumber(hour), tonumber(minute)
  if not hour or minute > 59 or hour > 23 or (half and hour > 12) then return nil, ("'%s' is no time that can be told"):format(text) end
  if half then hour = hour % 12 + (half == "pm" and 12 or 0) end
  return hour, minute
end

return dates
