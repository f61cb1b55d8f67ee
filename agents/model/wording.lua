-- How the makers of rows write names and say values.
local wording = {}

wording.number_words = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}

function wording.capital(text) return (text:gsub("^%l", string.upper)) end

-- "play the song", "play_the_song" and "play.the.song" -> "playTheSong"
function wording.camel(text) return (text:gsub("[_.%s-]+(%w)", string.upper)) end

-- "playSong", "play.song" -> "play_song"
function wording.snake(name) return (name:gsub("%.", "_"):gsub("(%l)(%u)", "%1_%2"):lower()) end

-- A value as people say it: "1.5", "Oslo", "eggs, flour and milk".
function wording.spoken(value)
  if type(value) == "table" then
    local texts = {}
    for i, item in ipairs(value) do texts[i] = wording.spoken(item) end
    if #texts == 1 then return texts[1] end
    return table.concat(texts, ", ", 1, #texts - 1) .. " and " .. texts[#texts]
  end
  return type(value) == "number" and ("%.14g"):format(value) or value
end

-- The keys of a table, names of parameters or such, sorted: `pairs` has another order on each Lua, and rows must be the same on all.
function wording.names(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local syllables = {}
for c in ("b d f g k l m n p r s t v z"):gmatch "%a" do
  for v in ("a e i o u"):gmatch "%a" do syllables[#syllables + 1] = c .. v end
end

function wording.syllable(random) return random.pick(syllables) end

-- A word that means nothing, of two or three syllables.
function wording.invented(random)
  local parts = {}
  for i = 1, random.integer(2, 3) do parts[i] = random.pick(syllables) end
  return table.concat(parts)
end

-- A function that returns another of the `words` each time, of `least` letters or more; `otherwise()` when none is found.
function wording.drawer(random, words, least, otherwise)
  local used, pattern = {}, "^" .. ("%l"):rep(least) .. "+$"
  return function()
    for _ = 1, 100 do
      local word = random.pick(words):lower()
      if word:find(pattern) and not used[word] then
        used[word] = true
        return word
      end
    end
    return otherwise()
  end
end

return wording
