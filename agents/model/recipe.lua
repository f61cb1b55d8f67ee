-- Makes the shipped model, from rows to file, in one command:
--
--   lua5.4 agents/model/recipe.lua --work DIR [--data ../shared/calls] [--minutes 55] [--out agents/model] [--seed 1]
--
-- 1. rows: reads the training files, makes changed copies of them and rows of our own (data.lua)
-- 2. vocabulary: byte-level BPE over their texts
-- 3. training, with a checkpoint in DIR every two minutes; called again after an interruption it goes on from there
-- 4. export as Q8_0, evaluation on the public rows, loss curve (CSV and SVG) and score table beside the card
-- Where the environment pins OPENBLAS_CORETYPE to an older processor, call it with `env -u OPENBLAS_CORETYPE lua5.4 ...`: on a
-- processor with AVX-512 training is then 1.7 times as fast.
-- --steps N trains N steps instead of --minutes; --smoke is a short run to see that all parts work; --only evaluate and --only
-- export do just that; --limit N evaluates on so many rows of each file.
local here = (arg and arg[0] or "agents/model/recipe.lua"):match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path

local mobilellm = require "mobilellm"
local signature = require "mobilellm.signature"
local eval = require "mobilellm.eval"
local data = require "data"
local unpack = unpack or table.unpack

local options = {data = here .. "/../../../shared/calls", out = here, minutes = "55", seed = "1", threads = "0"}
do
  local i = 1
  while arg[i] do
    local name = arg[i]:match "^%-%-(%w+)$"
    if name == "smoke" then options.smoke = true
    elseif name and arg[i + 1] then
      options[name] = arg[i + 1]
      i = i + 1
    else
      error(("recipe: '%s' is not an option"):format(arg[i]), 0)
    end
    i = i + 1
  end
end
if not options.work then error("recipe: --work DIR is needed (checkpoints go there)", 0) end
local seed = tonumber(options.seed)

-- Deep and thin: twelve blocks of width 256. The rotary base is high, so that most dimensions of a head hardly turn within a prompt
-- and tokens can be compared at any distance.
local shape = {
  width = 256, heads = 8, kv_heads = 4, head_size = 32, ffn = 384, blocks = 12, context = 1024, rope_base = 1e6, tied = true,
}
local vocabulary_size = 4096
local longest = 512 -- tokens of a row; longer ones lose their oldest turns, or are left out
local batch_tokens = 8192
local rate = 1.0e-3
local cooldown = 0.25 -- share of the steps in which the rate falls
local part_tokens = 4e6 -- rows are made in parts of so many tokens, each used once
-- Share of the tokens of a part, by source.
local mixture = {
  sgd = 0.18, sgdx = 0.15, star = 0.09, nlueval = 0.12, snips = 0.08, home = 0.06, home_rows = 0.05, seal = 0.07, api_rows = 0.09,
  tm4 = 0.02, clinc_neg = 0.05, copy = 0.04,
}
-- The first part: short rows, more copying, and the prompt is learned, too.
local early = {tokens = 3e6, copy = 0.2, prompt_weight = 0.1, longest = 224}

local function say(...)
  io.stdout:write(os.date "%H:%M:%S ", string.format(...), "\n")
  io.stdout:flush()
end

local function must(value, message, code)
  if value == nil then error(("recipe: %s (%s)"):format(tostring(message), tostring(code)), 0) end
  return value
end

------------------------------------------------------------------------------------------------------------------------ rows

local files = {
  home = "home", nlueval = "nlueval", snips = "snips", clinc_neg = "clinc_neg", sgd = "sgd", sgdx = "sgdx", star = "star",
  seal = "seal_dev", tm4 = "tm4",
}
local sources = {"home", "nlueval", "snips", "clinc_neg", "sgd", "sgdx", "star", "seal", "tm4"}
local public = {
  "home", "snips", "nlueval", "sgd_dev", "star", "seal_test_in", "apibank", "bfcl_v1", "bfcl_live", "toolalpaca", "tm4", "clinc_neg",
}

local function load_rows()
  -- Nothing that is asked in the evaluation is learned from: same sentence and same calls.
  local kept_out = {}
  for _, name in ipairs(public) do
    local rows = data.read(("%s/public-eval/%s.jsonl.gz"):format(options.data, name))
    for _, row in ipairs(rows or {}) do kept_out[data.key(row)] = true end
  end
  local rows, dropped = {}, 0
  for _, name in ipairs(sources) do
    rows[name] = {}
    for _, row in ipairs(must(data.read(("%s/train/%s.jsonl.gz"):format(options.data, files[name])))) do
      if kept_out[data.key(row)] then dropped = dropped + 1 else table.insert(rows[name], data.clean(row)) end
    end
    say("%s: %d rows", name, #rows[name])
  end
  say("%d rows left out because the evaluation asks the same", dropped)
  return rows, kept_out
end

-- The tools of the rows of all sources but one, each name once: distractors.
local function tools_but(rows, but)
  local seen, tools = {}, {}
  for _, source in ipairs(sources) do
    for _, row in ipairs(source ~= but and rows[source] or {}) do
      for _, tool in ipairs(row.tools) do
        if not seen[tool.name] then
          seen[tool.name] = true
          tools[#tools + 1] = tool
        end
      end
    end
  end
  return tools
end

local rows, kept_out = load_rows()
local pools, distractors = {}, {}
for _, source in ipairs(sources) do
  if source ~= "home" and source ~= "clinc_neg" then pools[source] = data.pool(rows[source]) end
  distractors[source] = tools_but(rows, source ~= "clinc_neg" and source or nil)
end
local words = data.words(rows.snips)
local wishes = data.wishes(rows.seal) -- single sentences of rows that ask for several things

local function make(random, source)
  if source == "copy" then return data.copy_row(random, words) end
  local row
  if source == "home_rows" then
    row = data.change(random, data.home_row(random), {tools = distractors.home})
  elseif source == "api_rows" then
    row = data.change(random, data.api_row(random), {tools = distractors.clinc_neg})
  elseif source == "seal" and random.chance(0.7) then
    row = data.change(random, data.join(random, wishes), {pool = pools.seal, exchange = 0.8, tools = distractors.seal})
  else
    row = data.change(random, random.pick(rows[source]), {
      pool = pools[source], tools = distractors[source], exchange = source ~= "nlueval" and source ~= "snips" and 0.5 or 0.3,
    })
  end
  if kept_out[data.key(row)] then return make(random, source) end
  return row
end

------------------------------------------------------------------------------------------------------------------ vocabulary

local function file_exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function make_vocabulary()
  local random = data.random(seed + 1000)
  local texts, seen = {}, {}
  -- Each line counts at most three times, so that tools which stand in every other row do not take all the merges.
  local function add(text)
    for line in text:gmatch "[^\n]+" do
      seen[line] = (seen[line] or 0) + 1
      if seen[line] <= 3 then texts[#texts + 1] = line end
    end
  end
  for _, source in ipairs(sources) do
    for i, row in ipairs(rows[source]) do
      if i > 12000 then break end
      for _, tool in ipairs(row.tools) do add(signature.tool(tool)) end
      for _, message in ipairs(row.messages) do add(" " .. message.content:gsub("\n", "\n ")) end
      add(signature.answer(row.calls))
    end
  end
  for _ = 1, 6000 do
    local row = make(random, "home_rows")
    for _, message in ipairs(row.messages) do add(" " .. message.content:gsub("\n", "\n ")) end
  end
  local vocabulary = must(mobilellm.train.bpe{
    texts = texts, size = vocabulary_size, special = signature.special, pre = signature.pre,
    bos = signature.begin, eos = signature.stop,
  })
  say("vocabulary: %d tokens from %d lines", vocabulary:size(), #texts)
  return vocabulary
end

local vocabulary = make_vocabulary()

local function encode(row)
  local ids = signature.encode(vocabulary, row.tools, row.messages)
  local prompt = #ids
  local answer = signature.encode_answer(vocabulary, row.calls, row.tools)
  for i = 1, #answer do ids[#ids + 1] = answer[i] end
  return ids, prompt
end

---------------------------------------------------------------------------------------------------------------- training data

-- The rows of a part; part 0 is the early one. The same part always has the same rows.
local function make_part(number)
  local set, random = mobilellm.train.data(), data.random(seed + 2000 + number)
  local first = number == 0
  local tokens, counts, names, total = 0, {}, {}, 0
  for source in pairs(mixture) do
    names[#names + 1] = source
    counts[source] = 0
  end
  table.sort(names)
  local function share(source)
    if not first then return mixture[source] end
    return source == "copy" and early.copy or mixture[source] * (1 - early.copy) / (1 - mixture.copy)
  end
  for _, source in ipairs(names) do total = total + share(source) end
  local most = (first and early.tokens or part_tokens) * (options.smoke and 0.06 or 1)
  while tokens < most do
    -- The source that lacks most of its share.
    local source, lack = nil, -math.huge
    for _, name in ipairs(names) do
      local missing = share(name) / total * (tokens + 1000) - counts[name]
      if missing > lack then source, lack = name, missing end
    end
    for _ = 1, 50 do
      local row = make(random, source)
      local ids, prompt = encode(row)
      if #ids > longest and data.shorten(row) then ids, prompt = encode(row) end
      if #ids <= (first and early.longest or longest) then
        set:add(ids, prompt, 1, first and early.prompt_weight or 0)
        counts[source] = counts[source] + #ids
        tokens = tokens + #ids
        break
      end
    end
  end
  local list = {}
  for i, source in ipairs(names) do list[i] = ("%s %d"):format(source, counts[source]) end
  say("part %d: %d rows, %d tokens (%s)", number, set:rows(), set:tokens(), table.concat(list, ", "))
  return set
end

-- Small sets that are looked at while training goes on.
local function watch_sets()
  local sets = {}
  local random = data.random(seed + 4000)
  local copies = mobilellm.train.data()
  for _ = 1, 100 do
    local ids, prompt = encode(data.copy_row(random, words))
    copies:add(ids, prompt)
  end
  sets[1] = {"copy", copies}
  for _, name in ipairs{"home", "snips", "nlueval", "sgd_dev", "star", "seal_test_in", "apibank"} do
    local set = mobilellm.train.data()
    local list = data.read(("%s/public-eval/%s.jsonl.gz"):format(options.data, name))
    for i = 1, list and 50 or 0 do
      local row = list[math.floor((i - 1) * #list / 50) + 1]
      local ids, prompt = encode(data.clean(row))
      if #ids <= shape.context then set:add(ids, prompt) end
    end
    if set:rows() > 0 then sets[#sets + 1] = {name, set} end
  end
  return sets
end

-------------------------------------------------------------------------------------------------------------------- training

local checkpoint = options.work .. "/calls.checkpoint"
local curve_file = options.work .. "/loss.csv"

-- Mean loss over the watched sets, and each of them said.
local function look(trainer, watched)
  local shown, sum, right, scored = {}, 0, 0, 0
  for _, set in ipairs(watched) do
    local loss, score, code = trainer:evaluate(set[2])
    must(loss, score, code)
    shown[#shown + 1] = ("%s %.3f (%.1f %%)"):format(set[1], loss, 100 * score.accuracy)
    if set[1] ~= "copy" then
      sum, right, scored = sum + loss * score.scored, right + score.accuracy * score.scored, scored + score.scored
    end
  end
  say("  %s", table.concat(shown, "  "))
  return scored > 0 and {loss = sum / scored, accuracy = right / scored} or nil
end

local function new_trainer()
  return must(mobilellm.train.new{
    shape = shape, vocabulary = vocabulary, name = "mobilellm-calls", seed = seed, threads = tonumber(options.threads),
    start = "copying", learning_rate = rate, warmup = 60, schedule = "wsd", floor = 0.02, decay = 0.05, clip = 1,
    beta1 = 0.9, beta2 = 0.98, batch_tokens = batch_tokens, steps = tonumber(options.steps) or 1000000,
  })
end

-- Steps until a part begins; the last number is that of the part after which the run is long over.
local function part_of(step)
  local first = math.floor(early.tokens / batch_tokens)
  if step < first then return 0 end
  return 1 + math.floor((step - first) / math.floor(part_tokens / batch_tokens))
end

local function train()
  local trainer, points
  if file_exists(checkpoint) then
    trainer = must(mobilellm.train.resume(checkpoint, {vocabulary = vocabulary, threads = tonumber(options.threads)}))
    points = mobilellm.train.curve.load(curve_file)
    say("going on at step %d", trainer:info().step)
  else
    trainer = new_trainer()
  end
  points = points or mobilellm.train.curve.new()
  local info = trainer:info()
  say("%d parameters, %.1f MB of memory", info.parameters, info.bytes / 1e6)
  local watched = watch_sets()
  look(trainer, watched)
  local begin, saved, mean, speed = os.time(), os.time(), nil, nil
  local part, set
  local planned = tonumber(options.steps) or (info.steps < 1000000 and info.steps) or nil
  local budget = options.smoke and 120 or tonumber(options.minutes) * 60
  local function save()
    must(trainer:save(checkpoint))
    must(points:save_csv(curve_file))
    saved = os.time()
  end
  while true do
    local step = trainer:info().step
    if planned and step >= planned then break end
    if part_of(step) ~= part then
      part = part_of(step)
      set = make_part(part)
    end
    local loss, stats, code = trainer:next(set)
    must(loss, stats, code)
    mean = mean and mean * 0.97 + loss * 0.03 or loss
    stats.loss = mean
    speed = speed and speed * 0.97 + stats.seconds * 0.03 or stats.seconds
    stats.tokens_per_second = stats.tokens / speed
    -- How many steps fit into the time follows from how fast they are; the rate's way down is planned anew, too.
    if not options.steps and stats.step - info.step >= 40 and stats.step % 20 == 0 then
      local fits = stats.step + math.max(1, math.floor((budget - (os.time() - begin)) / speed))
      if not planned or fits < planned * 0.98 or fits > planned * 1.02 and stats.step < fits * 0.7 then
        planned = fits
        trainer:set{steps = planned, cooldown = math.floor(cooldown * planned)}
        say("%.2f s a step: %d steps planned", speed, planned)
      end
    end
    if stats.step % (options.smoke and 25 or 250) == 0 then stats.evaluation = look(trainer, watched) end
    if stats.step % 25 == 0 then
      say("step %d  loss %.3f  gradient %.2f  rate %.2e  %.0f tokens/s  %.1f min", stats.step, mean, stats.grad_norm,
        stats.learning_rate, stats.tokens_per_second, (os.time() - begin) / 60)
    end
    if stats.step % 10 == 0 or stats.evaluation then points:add(stats) end
    if os.time() - saved >= 120 then save() end
  end
  save()
  say("trained: %d steps, %d tokens, %.1f minutes", trainer:info().step, trainer:info().total_tokens, (os.time() - begin) / 60)
  return trainer, points
end

-- A message of system and user as a template of the common kind cannot show the signatures: prompts are made by signature.lua.
local function export(trainer)
  local info = trainer:info()
  local path = options.out .. "/home.gguf"
  must(trainer:export(path, {
    type = "q8_0", vocabulary = vocabulary, name = "mobilellm-calls",
    card = {
      license = "MIT", author = "mobilellm contributors", prompt = "lua-mobilellm/mobilellm/signature.lua",
      description = "Turns a smart-home sentence and a list of tools into calls", steps = info.step, tokens = info.total_tokens,
      seed = seed,
    },
  }))
  local file = io.open(path, "rb")
  say("%s: %d bytes", path, file:seek "end")
  file:close()
  return path
end

local function evaluate(path)
  local model = must(mobilellm.load(path))
  local lines = {
    "| rows | calls / none | EM_intent | EM_structure | argument F1 | no call: precision | recall |",
    "|---|---|---|---|---|---|---|",
  }
  local function percent(x) return x and ("%.1f"):format(100 * x) or "-" end
  local function line(name, s)
    lines[#lines + 1] = ("| %s | %d / %d | %s | %s | %s | %s | %s |"):format(name, s.call_rows, s.no_call_rows,
      s.call_rows > 0 and percent(s.em_intent) or "-", s.call_rows > 0 and percent(s.em_structure) or "-", percent(s.argument_f1),
      percent(s.refusal_precision), percent(s.refusal_recall))
    say("%s", lines[#lines])
  end
  local all = eval.counter()
  for _, name in ipairs(public) do
    local list = must(eval.read(("%s/public-eval/%s.jsonl.gz"):format(options.data, name)))
    local most = tonumber(options.limit) or options.smoke and 50 or #list
    if most < #list then -- evenly from the whole file
      local some = {}
      for i = 1, most do some[i] = list[math.floor((i - 1) * #list / most) + 1] end
      list = some
    end
    line(name, must(eval.rows(model, list, {on_row = function(_, row, calls) all.add(row, calls) end})))
  end
  line("all of these", all.score())
  -- Copying alone: names and values that mean nothing.
  local random, copies = data.random(seed + 5000), {}
  for i = 1, 300 do copies[i] = data.copy_row(random, words) end
  line("copying (made)", must(eval.rows(model, copies)))
  local file = assert(io.open(options.out .. "/scores.md", "w"))
  file:write("<!-- written by recipe.lua -->\n", table.concat(lines, "\n"), "\n")
  file:close()
end

if options.only == "evaluate" then
  evaluate(options.out .. "/home.gguf")
else
  local trainer, points
  if options.only == "export" then
    trainer = must(mobilellm.train.resume(checkpoint, {vocabulary = vocabulary}))
    points = must(mobilellm.train.curve.load(curve_file))
  else
    trainer, points = train()
  end
  local path = export(trainer)
  must(points:save_csv(options.out .. "/loss.csv"))
  must(points:save_svg(options.out .. "/loss.svg", {title = "Cross-entropy of the answers, nats per token"}))
  evaluate(path)
end
