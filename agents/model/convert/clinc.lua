-- CLINC150 (Larson et al. 2019), github.com/clinc/oos-eval, CC-BY-3.0; changed: tools were added. A checkout; data/data_full.json (else
-- data_small.json) has lists of [sentence, intent]: train, val, test, oos_train, oos_val, oos_test. Only what asks for no tool is taken:
-- out-of-scope sentences and small talk. The tools come from rows that other converters wrote (options.tools).
local json = require "mobilellm".json
local common = require "common"
local new_random = require "mobilellm.random"

local small_talk = {}
for name in ([[meaning_of_life fun_fact maybe who_made_you thank_you do_you_have_pets who_do_you_work_for goodbye greeting
  what_are_your_hobbies how_old_are_you where_are_you_from what_is_your_name are_you_a_bot tell_joke]]):gmatch "%S+" do
  small_talk[name] = true
end

return function(folder, options, emit)
  local path = common.find(folder, "*/data_full.json")[1] or common.find(folder, "*/data_small.json")[1]
  if not path then error(folder .. ": no data_full.json in it", 0) end
  if not options.tools then error("clinc: --tools ROWS.jsonl is needed: rows whose tools are offered", 0) end
  local rows, message = require "mobilellm.eval".read(options.tools)
  if not rows then error(message, 0) end
  local tools, random, data = {}, new_random(options.seed), common.json(path)
  for _, row in ipairs(rows) do
    for _, tool in ipairs(row.tools) do tools[tool.name] = tool end
  end
  for _, list in ipairs(options.part == "eval" and {"test", "oos_test"} or {"train", "val", "oos_train", "oos_val"}) do
    for i, item in ipairs(data[list] or {}) do
      local text, intent = item[1], item[2]
      if intent == "oos" or small_talk[intent] then
        emit{id = ("clinc-%s-%d"):format(list, i - 1), source = "CLINC150", license = "CC-BY-3.0", service = intent,
          kind = intent == "oos" and "irrelevant" or "chat", calls = json.array{}, tools = common.offer(random, tools, nil, 4),
          messages = {{role = "user", content = text}}}
      end
    end
  end
end
