-- SNIPS 2017-06 custom intents (Coucke et al. 2018), github.com/sonos/nlu-benchmark, CC0-1.0: a checkout, or its folder
-- 2017-06-custom-intent-engines. Files INTENT/train_INTENT_full.json, else train_INTENT.json, and validate_INTENT.json:
-- {INTENT: [{"data": [{"text", "entity"}, ...]}]}; the pieces in a row are the sentence.
local common = require "common"
local wording = require "wording"
local new_random = require "mobilellm.random"

local descriptions = {
  AddToPlaylist = "Add a song, album or artist to a playlist", BookRestaurant = "Book a table at a restaurant",
  GetWeather = "Get the weather forecast", PlayMusic = "Play music", RateBook = "Rate a book",
  SearchCreativeWork = "Find a book, film, game, song or other creative work",
  SearchScreeningEvent = "Find film screenings and cinema schedules",
}

-- options: part = "train" | "eval", seed, without (intents that are left out: {RateBook = true})
return function(folder, options, emit)
  local found, sentences, slots = {}, {}, {}
  for _, path in ipairs(common.find(folder, "*.json")) do
    local kind, intent = path:match "/(%a+)_(%a+)_full%.json$"
    if not kind then kind, intent = path:match "/(%a+)_(%a+)%.json$" end
    if (kind == "train" or kind == "validate") and descriptions[intent] then
      local key = kind .. intent
      if not found[key] or path:find "_full" then found[key] = path end
    end
  end
  local letter = options.part == "eval" and "v" or "t"
  for _, intent in ipairs(wording.names(descriptions)) do
    for _, kind in ipairs{"train", "validate"} do
      local path = found[kind .. intent]
      local list = path and not options.without[intent] and common.json(path)[intent] or {}
      for i, item in ipairs(list) do
        local text, named, count = {}, {}, {}
        for k, piece in ipairs(item.data) do
          text[k] = piece.text
          if piece.entity then
            named[#named + 1] = {piece.entity, common.trim(piece.text)}
            count[piece.entity] = (count[piece.entity] or 0) + 1
          end
        end
        slots[intent] = slots[intent] or {}
        local once = true
        for slot, n in pairs(count) do
          slots[intent][slot] = 1
          once = once and n == 1
        end
        -- a slot said twice has no single value: such sentences (few) are left out
        if once and (kind == "validate") == (options.part == "eval") then
          sentences[#sentences + 1] = {id = ("snips-%s-%s-%d"):format(letter, intent, i - 1), intent = intent, slots = named,
            text = common.trim(table.concat(text))}
        end
      end
    end
  end
  if #sentences == 0 then error(folder .. ": no SNIPS files in it", 0) end
  common.rows(sentences, common.tools(slots, descriptions), new_random(options.seed),
    {source = "SNIPS 2017-06", license = "CC0-1.0"}, emit)
end
