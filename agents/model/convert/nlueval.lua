-- NLU-Evaluation-Data (Liu et al. 2019), github.com/xliuhw/NLU-Evaluation-Data, CC-BY-4.0; changed: slots became arguments. A checkout;
-- read are the files KFold_1/trainset/*.csv and KFold_1/testset/csv/*.csv of its CrossValidation:
-- answerid;scenario;intent;answer_annotation;answer_from_anno;answer_from_user, texts in double quotes, slots as [name : value].
local json = require "mobilellm".json
local common = require "common"
local new_random = require "mobilellm.random"

-- "alarm at [time : nine]" -> "alarm at nine", {{"time", "nine"}}
local function annotated(text)
  local slots = {}
  local plain = text:gsub("%[%s*([%w_]+)%s*:%s*(.-)%s*%]", function(name, value)
    slots[#slots + 1] = {name, value}
    return value
  end)
  return (plain:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")), slots
end

-- options: part, seed, without (intents or scenarios that are left out)
return function(folder, options, emit)
  local sentences, slots, chat, count = {}, {}, {}, {}
  for _, part in ipairs{"train", "test"} do
    for _, path in ipairs(common.find(folder, "*/KFold_1/" .. (part == "train" and "trainset" or "testset/csv") .. "/*.csv")) do
      for line in (common.slurp(path):gsub("\r", "") .. "\n"):gmatch "(.-)\n" do
        local row = common.fields(line, ";")
        if row and #row >= 6 and tonumber(row[1]) and not options.without[row[2]] and not options.without[row[2] .. "_" .. row[3]] then
          local intent, text, named = row[2] .. "_" .. row[3], annotated(row[4])
          local of = (part == "test") == (options.part == "eval")
          count[intent] = (count[intent] or -1) + (of and 1 or 0)
          local id = ("nlueval-%s-%s-%d"):format(options.part == "eval" and "v" or "t", intent, count[intent])
          if row[2] == "general" then
            if of then chat[#chat + 1] = {id = id, intent = intent, text = text} end
          else
            slots[intent] = slots[intent] or {}
            local said = {}
            for _, slot in ipairs(named) do said[slot[1]] = (said[slot[1]] or 0) + 1 end
            for name, n in pairs(said) do slots[intent][name] = math.max(n, slots[intent][name] or 1) end
            if of then sentences[#sentences + 1] = {id = id, intent = intent, text = text, slots = named} end
          end
        end
      end
    end
  end
  if #sentences + #chat == 0 then error(folder .. ": no files KFold_1/trainset/*.csv in it", 0) end
  local tools, random = common.tools(slots), new_random(options.seed)
  local about = {source = "NLU-Evaluation-Data (Heriot-Watt)", license = "CC-BY-4.0"}
  common.rows(sentences, tools, random, about, emit)
  for _, item in ipairs(chat) do
    emit{id = item.id, source = about.source, license = about.license, service = item.intent, kind = "chat", calls = json.array{},
      tools = common.offer(random, tools, nil, 4), messages = {{role = "user", content = item.text}}}
  end
end
