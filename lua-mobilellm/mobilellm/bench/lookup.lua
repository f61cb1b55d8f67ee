-- Prompt lookup against plain decode, with the very same tokens.
--
-- Random weights say nothing that could be looked up. So that speed can be measured with them, a stage of the sampler says the wanted token
-- at each step; everything else is what it always is: the model computes, drafts are made and verified. A real model with our
-- control tokens gets real requests instead and says what it will.
local core = require "mobilellm.core"
local figures = require "mobilellm.bench.figures"

local lookup = {}

-- A document of records, and an answer that copies some of them with a few words of its own between: as in calls whose arguments stand
-- in the request. `copied` of 16 answer tokens are from the document.
local function extraction(vocabulary, records, wanted)
  local function record(n, i) return 5 + (n * 4099 + i * 271 + i * i * 17) % (vocabulary - 5) end
  local prompt, answer = {1}, {}
  for n = 1, records do
    for i = 1, 12 do prompt[#prompt + 1] = record(n, i) end
  end
  local n = 0
  while #answer < wanted do
    n = n + 1
    local chosen = (n * 7) % records + 1
    for i = 1, 4 do answer[#answer + 1] = 5 + (n * 1009 + i * 3001) % (vocabulary - 5) end
    for i = 1, 12 do answer[#answer + 1] = record(chosen, i) end
  end
  for i = #answer, wanted + 1, -1 do answer[i] = nil end
  return prompt, answer
end

-- The same document, and an answer in which no pair of tokens comes twice.
local function fresh(vocabulary, records, wanted)
  local prompt, answer = (extraction(vocabulary, records, 1)), {}
  for i = 1, wanted do answer[i] = 5 + (i * i * 7 + i * 131) % (vocabulary - 5) end
  return prompt, answer
end

-- Runs one generation; tokens per second of its decoding, its tokens, its stats.
local function generate(model, prompt, options, answer)
  local session = figures.check(model:session{context = #prompt + options.max_tokens + 1, kv_type = options.kv_type})
  local sampler
  if answer then
    local said = 0
    sampler = core.sampler{
      function(logits)
        said = said + 1
        logits:set(answer[said], 1e9)
      end,
      {"greedy"},
    }
  end
  local job = figures.check(session:start(prompt, {
    max_tokens = options.max_tokens, lookup = options.lookup, sampler = sampler, ignore_end = answer ~= nil}))
  local done, message
  repeat done, message = job:step() until done or done == nil
  figures.check(done, message)
  local stats, ids = job:stats(), job:tokens()
  job:close()
  session:close()
  return stats.decode_seconds, ids, stats
end

local function compare(model, cases, options)
  local plain, with, ratios, drafted, accepted, tokens = {}, {}, {}, 0, 0, 0
  local same = true
  for i = 0, options.repeats do
    local seconds, other = 0, 0
    drafted, accepted, tokens = 0, 0, 0
    for _, case in ipairs(cases) do
      local most = case.answer and #case.answer or options.max_tokens
      local a, ids = generate(model, case.prompt, {max_tokens = most, kv_type = options.kv_type}, case.answer)
      local b, again, stats = generate(model, case.prompt, {max_tokens = most, kv_type = options.kv_type, lookup = options.draft},
        case.answer)
      same = same and #ids == #again
      for k = 1, #ids do same = same and ids[k] == again[k] end
      seconds, other = seconds + a, other + b
      drafted, accepted, tokens = drafted + stats.drafted, accepted + stats.accepted, tokens + #ids
    end
    if i > 0 then plain[i], with[i], ratios[i] = tokens / seconds, tokens / other, seconds / other end
  end
  return {plain = figures.spread(plain), lookup = figures.spread(with), speedup = figures.spread(ratios),
    drafted = drafted, accepted = accepted, tokens = tokens, identical = same}
end

-- Requests to a home whose words come back in the call.
local function requests(model)
  local signature = require "mobilellm.signature"
  local text = {type = "string"}
  local tools = {
    {name = "todo.add_item", description = "Add an item to a list",
      parameters = {type = "object", properties = {entity_id = text, item = text}, required = {"entity_id", "item"}}},
    {name = "light.turn_on", description = "Turn a device on", parameters = {type = "object",
      properties = {entity_id = text, brightness = {type = "integer"}, color = text}, required = {"entity_id"}}},
  }
  local cases = {}
  for i, said in ipairs{
    "add two bottles of cold pressed olive oil to the shopping list",
    "turn on the living room lamp", "put a large bag of dried red lentils on the shopping list",
  } do
    cases[i] = {prompt = signature.encode(model, tools, {
      {role = "system", content = "Devices:\ntodo.shopping_list 'Shopping List'\nlight.living_room 'Living Room Lamp'"},
      {role = "user", content = said}})}
  end
  return cases
end

-- {copied, fresh, real}: comparisons; options: max_tokens, repeats, draft, context, kv_type
function lookup.measure(model, options)
  local info = model:info()
  local records = math.max(2, math.floor(math.min(24, (options.context - options.max_tokens - 2) / 12)))
  local report = {draft = options.draft, forced = true}
  local prompt, answer = extraction(info.vocabulary, records, options.max_tokens)
  report.prompt_tokens = #prompt
  report.copied = compare(model, {{prompt = prompt, answer = answer}}, options)
  prompt, answer = fresh(info.vocabulary, records, options.max_tokens)
  report.fresh = compare(model, {{prompt = prompt, answer = answer}}, options)
  local ok, fits = pcall(function() return options.real and require "mobilellm.signature".fits(model) end)
  if ok and fits then report.real = compare(model, requests(model), options) end
  return report
end

return lookup
