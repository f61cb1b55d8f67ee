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
-- export do just that.
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

-- Deep and thin: ten blocks of width 192. The rotary base is high, so that most dimensions of a head hardly turn within a prompt
-- and tokens can be compared at any distance.
local shape = {
  width = 192, heads = 6, kv_heads = 3, head_size = 32, ffn = 288, blocks = 10, context = 512, rope_base = 1e6, tied = true,
}
local vocabulary_size = 3072
local longest = 448 -- tokens of a row; longer ones are left out
local batch_tokens = 8192
local rate = 1.0e-3
-- What a run of the full length draws from: source -> rows of the main part, for a full run.
local mixture = {
  {"home", 4}, {"home_rows", 52000}, {"nlueval", 9}, {"snips", 6}, {"clinc_neg", 5}, {"copy", 12000},
}
local early = {rows = 18000, copy = 5000, prompt_weight = 0.1} -- the first part: shorter rows, and the prompt is learned too

local function say(...)
  io.stdout:write(os.date "%H:%M:%S ", string.format(...), "\n")
  io.stdout:flush()
end

local function must(value, message, code)
  if value == nil then error(("recipe: %s (%s)"):format(tostring(message), tostring(code)), 0) end
  return value
end

------------------------------------------------------------------------------------------------------------------------ rows

local sources = {"home", "nlueval", "snips", "clinc_neg"}
local public = {"home", "snips", "nlueval", "clinc_neg"}

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
    for _, row in ipairs(must(data.read(("%s/train/%s.jsonl.gz"):format(options.data, name)))) do
      if kept_out[data.key(row)] then dropped = dropped + 1 else table.insert(rows[name], data.clean(row)) end
    end
    say("%s: %d rows", name, #rows[name])
  end
  say("%d rows left out because the evaluation asks the same", dropped)
  return rows, kept_out
end

-- The tools of some rows, each name once: distractors.
local function tools_of(...)
  local seen, tools = {}, {}
  for _, list in ipairs{...} do
    for _, row in ipairs(list) do
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
local pools = {home = nil, nlueval = data.pool(rows.nlueval), snips = data.pool(rows.snips)}
local distractors = {
  home = tools_of(rows.nlueval, rows.snips), nlueval = tools_of(rows.home, rows.snips), snips = tools_of(rows.home, rows.nlueval),
  clinc_neg = tools_of(rows.home, rows.snips),
}
local words = data.words(rows.snips)

local function make(random, source)
  if source == "copy" then return data.copy_row(random, words) end
  if source == "home_rows" then
    local row
    repeat row = data.home_row(random) until not kept_out[data.key(row)]
    return data.change(random, row, {tools = distractors.home})
  end
  local row = data.change(random, random.pick(rows[source]), {pool = pools[source], tools = distractors[source]})
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
    for _, row in ipairs(rows[source]) do
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

local function make_data(which)
  local set, random = mobilellm.train.data(), data.random(seed + (which == "early" and 2000 or 3000))
  local share = options.smoke and 0.06 or 1
  local counts = {}
  local function add(source, prompt_weight, most)
    for _ = 1, 20 do
      local ids, prompt = encode(make(random, source))
      if #ids <= most then
        set:add(ids, prompt, 1, prompt_weight)
        counts[source] = (counts[source] or 0) + #ids
        return
      end
    end
  end
  if which == "early" then
    local from = {"home_rows", "home_rows", "home", "nlueval", "snips", "snips", "clinc_neg"}
    for _ = 1, early.rows * share do add(random.pick(from), early.prompt_weight, 192) end
    for _ = 1, early.copy * share do add("copy", early.prompt_weight, 128) end
  else
    for _, part in ipairs(mixture) do
      local source, amount = unpack(part)
      if rows[source] then amount = amount * #rows[source] end
      for _ = 1, amount * share do add(source, 0, longest) end
    end
  end
  local list = {}
  for source, tokens in pairs(counts) do list[#list + 1] = ("%s %d"):format(source, tokens) end
  table.sort(list)
  say("%s part: %d rows, %d tokens (%s)", which, set:rows(), set:tokens(), table.concat(list, ", "))
  return set
end

-- Small sets that are looked at while training goes on.
local function watch_sets()
  local sets = {}
  local random = data.random(seed + 4000)
  local copies = mobilellm.train.data()
  for _ = 1, 150 do
    local ids, prompt = encode(data.copy_row(random, words))
    copies:add(ids, prompt)
  end
  sets[1] = {"copy", copies}
  for _, name in ipairs{"home", "snips", "nlueval"} do
    local set = mobilellm.train.data()
    local list = data.read(("%s/public-eval/%s.jsonl.gz"):format(options.data, name), 150)
    for _, row in ipairs(list or {}) do
      row = data.clean(row)
      local sentence = data.last_user(row.messages)
      for _, call in ipairs(row.calls) do
        for _, tool in ipairs(row.tools) do
          if tool.name == call.name then call.order = data.order(call.arguments, sentence, tool.parameters.required) end
        end
      end
      local ids, prompt = encode(row)
      if #ids <= longest then set:add(ids, prompt) end
    end
    if set:rows() > 0 then sets[#sets + 1] = {name, set} end
  end
  return sets
end

-------------------------------------------------------------------------------------------------------------------- training

local checkpoint = options.work .. "/home.checkpoint"
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
    shape = shape, vocabulary = vocabulary, name = "mobilellm-home", seed = seed, threads = tonumber(options.threads),
    start = "copying", learning_rate = rate, warmup = 60, schedule = "cosine", floor = 0.03, decay = 0.05, clip = 1,
    beta1 = 0.9, beta2 = 0.98, batch_tokens = batch_tokens, steps = tonumber(options.steps) or 1000000,
  })
end

local function train()
  local parts = {make_data "early", make_data "main"}
  local early_steps = math.floor(parts[1]:tokens() / batch_tokens)
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
  say("%d parameters, %.1f MB of memory, %d early steps", info.parameters, info.bytes / 1e6, early_steps)
  local watched = watch_sets()
  look(trainer, watched)
  local begin, saved, mean, speed = os.time(), os.time(), nil, nil
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
    local loss, stats, code = trainer:next(step < early_steps and parts[1] or parts[2])
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
        trainer:set{steps = planned}
        say("%.2f s a step: %d steps planned", speed, planned)
      end
    end
    if stats.step % (options.smoke and 25 or 100) == 0 then stats.evaluation = look(trainer, watched) end
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
    type = "q8_0", vocabulary = vocabulary, name = "mobilellm-home",
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
    local list = must(eval.read(("%s/public-eval/%s.jsonl.gz"):format(options.data, name), options.smoke and 100 or nil))
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
