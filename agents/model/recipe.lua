-- Makes a shipped model, from rows to file, in one command:
--
--   lua5.4 agents/model/recipe.lua --model calls --work DIR [--data ../shared/calls] [--minutes 55] [--out agents/model] [--seed 1]
--
-- --model home makes the small one for homes.
--
-- 1. rows: reads the training files, makes changed copies of them and rows of our own (sources.lua, data.lua)
-- 2. vocabulary: byte-level BPE over their texts
-- 3. training, with a checkpoint in DIR every two minutes; called again after an interruption it goes on from there
-- 4. export as Q8_0, evaluation on the public rows, loss curve (CSV and SVG) and score table beside the card
-- Where the environment pins OPENBLAS_CORETYPE to an older processor, call it with `env -u OPENBLAS_CORETYPE lua5.4 ...`: on a
-- processor with AVX-512 training is then 1.7 times as fast.
-- --steps N trains N steps instead of --minutes. --more N goes on for N steps behind a run that has ended (the checkpoint in DIR) or, with
-- --base FILE, from a model's weights and vocabulary; the rate falls from --rate R in a straight line. --smoke is a short run to see
-- that all parts work; --only evaluate and --only export do just that; --limit N evaluates on so many rows of each file.
-- --only rows writes what is learned from, to be looked at or evaluated: N rows (--limit, else 100) of each source, or of --source NAME,
-- into DIR/NAME.jsonl, other ones for another --seed.
local here = (arg and arg[0] or "agents/model/recipe.lua"):match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path

local mobilellm = require "mobilellm"
local eval = require "mobilellm.eval"
local data = require "data"
local sources = require "sources"
local wording = require "wording"

local options = {model = "calls", data = here .. "/../../../shared/calls", out = here, minutes = "55", seed = "1", threads = "0"}
-- Names of options: what is smallest for those that are numbers, else true.
local known = {
  model = true, work = true, data = true, out = true, base = true, only = true, minutes = 0, seed = 0, threads = 0, steps = 1, more = 1,
  limit = 1, rate = 0, source = true,
}
do
  local i = 1
  while arg[i] do
    local name = arg[i]:match "^%-%-(%w+)$"
    if name == "smoke" then options.smoke = true
    elseif name and known[name] then
      local value, least = arg[i + 1], known[name]
      if not value then error(("recipe: --%s: a value is missing"):format(name), 0) end
      if least ~= true then
        local number = tonumber(value)
        local whole = name == "rate" or name == "minutes" or number and number % 1 == 0
        if not number or number ~= number or number < least or number > 1e9 or not whole then
          error(("recipe: --%s: a %snumber of at least %d expected, got '%s'"):format(name,
            (name == "rate" or name == "minutes") and "" or "whole ", least, value), 0)
        end
      end
      options[name] = value
      i = i + 1
    else
      error(("recipe: '%s' is not an option"):format(arg[i]), 0)
    end
    i = i + 1
  end
end
if options.only and options.only ~= "evaluate" and options.only ~= "export" and options.only ~= "rows" then
  error(("recipe: --only '%s': evaluate, export or rows expected"):format(options.only), 0)
end
if not options.work then error("recipe: --work DIR is needed (checkpoints go there)", 0) end
local seed = tonumber(options.seed)

-- Deep and thin. The rotary base is high, so that most dimensions of a head hardly turn within a prompt and tokens can be compared at any
-- distance.
local shapes = {
  calls = {width = 256, heads = 8, kv_heads = 4, head_size = 32, ffn = 384, blocks = 12, rope_base = 1e6, tied = true},
  home = {width = 192, heads = 6, kv_heads = 3, head_size = 32, ffn = 288, blocks = 10, rope_base = 1e6, tied = true},
}
local shape = shapes[options.model]
if not shape then error(("recipe: --model '%s': calls or home expected"):format(options.model), 0) end
shape.context = sources.models[options.model].context
local batch_tokens = 8192
local rate = 1.0e-3
local cooldown = 0.25 -- share of the steps in which the rate falls

local function say(...)
  io.stdout:write(os.date "%H:%M:%S ", string.format(...), "\n")
  io.stdout:flush()
end

local function must(value, message, code)
  if value == nil then error(("recipe: %s (%s)"):format(tostring(message), tostring(code)), 0) end
  return value
end

local function file_exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

for _, directory in ipairs{options.work, options.out} do -- found out now, not after minutes
  local probe = io.open(directory .. "/.probe", "wb")
  if not probe then error(("recipe: '%s': no directory that can be written to"):format(directory), 0) end
  probe:close()
  os.remove(directory .. "/.probe")
end
if options.base and not file_exists(options.work .. "/vocabulary.gguf") then
  local from, to = must(io.open(options.base, "rb")), must(io.open(options.work .. "/vocabulary.gguf", "wb"))
  to:write(from:read "*a") -- the model's file: its vocabulary is all that is read of it
  from:close()
  to:close()
end
local set = sources.open{
  model = options.model, data = options.data, seed = seed, say = say, share = options.smoke and 0.06 or nil,
  vocabulary = options.only ~= "rows" and options.work .. "/vocabulary.gguf",
}
local vocabulary = set.vocabulary

-------------------------------------------------------------------------------------------------------------------- training

local checkpoint = options.work .. "/" .. options.model .. ".checkpoint"
local curve_file = options.work .. "/loss.csv"

-- Mean loss over the watched sets, and each of them said.
local function look(trainer, watched)
  local shown, sum, right, scored = {}, 0, 0, 0
  for _, one in ipairs(watched) do
    local loss, score, code = trainer:evaluate(one[2])
    must(loss, score, code)
    shown[#shown + 1] = ("%s %.3f (%.1f %%)"):format(one[1], loss, 100 * score.accuracy)
    if one[1] ~= "copy" then
      sum, right, scored = sum + loss * score.scored, right + score.accuracy * score.scored, scored + score.scored
    end
  end
  say("  %s", table.concat(shown, "  "))
  return scored > 0 and {loss = sum / scored, accuracy = right / scored} or nil
end

-- From nothing in `shape`, or from the weights of `base`, with `steps` of which the rate falls in the last `cooldown`.
local function new_trainer(steps, cooldown_steps)
  return must(mobilellm.train.new{
    shape = not options.base and shape or nil, start = not options.base and "copying" or nil, base = options.base,
    vocabulary = vocabulary, name = "mobilellm-" .. options.model, seed = seed, threads = tonumber(options.threads),
    learning_rate = tonumber(options.rate) or rate, warmup = 60, schedule = "wsd", floor = 0.02, decay = 0.05, clip = 1,
    beta1 = 0.9, beta2 = 0.98, batch_tokens = batch_tokens, steps = steps, cooldown = cooldown_steps,
  })
end

-- Steps until a part begins; the last number is that of the part after which the run is long over.
local function part_of(step)
  local first = math.floor(sources.early_tokens / batch_tokens)
  if step < first then return 0 end
  return 1 + math.floor((step - first) / math.floor(sources.part_tokens / batch_tokens))
end

-- Whether the rate has fallen far enough for the mixture of the end.
local function is_settled(info)
  return info.steps < 1000000 and info.steps - info.step < 0.45 * info.cooldown
end

local function train()
  local trainer, points
  local more = tonumber(options.more)
  if file_exists(checkpoint) then
    trainer = must(mobilellm.train.resume(checkpoint, {vocabulary = vocabulary, threads = tonumber(options.threads)}))
    points = mobilellm.train.curve.load(curve_file)
    local info = trainer:info()
    if more and info.step >= info.steps then
      trainer:set{steps = info.step + more, cooldown = more, learning_rate = tonumber(options.rate) or rate}
    end
    say("going on at step %d of %d", info.step, trainer:info().steps)
  else
    trainer = new_trainer(more or tonumber(options.steps) or 1000000, more)
  end
  points = points or mobilellm.train.curve.new()
  local info = trainer:info()
  say("%d parameters, %.1f MB of memory", info.parameters, info.bytes / 1e6)
  local watched = set:watched()
  look(trainer, watched)
  local begin, saved, mean, speed = os.time(), os.time(), nil, nil
  local number, part, settled
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
    if part_of(step) ~= number or is_settled(trainer:info()) ~= settled then
      number, settled = part_of(step), is_settled(trainer:info())
      part = set:part(number, settled)
    end
    local loss, stats, code = trainer:next(part)
    must(loss, stats, code)
    mean = mean and mean * 0.97 + loss * 0.03 or loss
    stats.loss = mean
    speed = speed and speed * 0.97 + stats.seconds * 0.03 or stats.seconds
    stats.tokens_per_second = stats.tokens / speed
    -- How many steps fit into the time follows from how fast they are; the rate's way down is planned anew, too.
    if not options.steps and not more and stats.step - info.step >= 40 and stats.step % 20 == 0 then
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
  local path = ("%s/%s.gguf"):format(options.out, options.model)
  must(trainer:export(path, {
    type = "q8_0", vocabulary = vocabulary, name = "mobilellm-" .. options.model,
    card = {
      license = "MIT", author = "mobilellm contributors", prompt = "lua-mobilellm/mobilellm/signature.lua",
      description = "Turns what was said and a list of tools into calls", steps = info.step, tokens = info.total_tokens,
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
  for _, name in ipairs(sources.public) do
    local list = must(eval.read(("%s/public-eval/%s.jsonl.gz"):format(options.data, name)))
    local most = tonumber(options.limit) or options.smoke and 50 or #list
    if most < #list then -- evenly from the whole file
      local some = {}
      for i = 1, most do some[i] = list[math.floor((i - 1) * #list / most) + 1] end
      list = some
    end
    line(name, must(eval.rows(model, list, {on_row = function(_, row, calls) all:add(row, calls) end})))
  end
  line("all of these", all:score())
  -- Copying alone: names and values that mean nothing.
  line("copying (made)", must(eval.rows(model, set:copies(seed + 5000, 300))))
  local file = assert(io.open(("%s/%s-scores.md"):format(options.out, options.model), "w"))
  file:write("<!-- written by recipe.lua -->\n", table.concat(lines, "\n"), "\n")
  file:close()
end

-- Rows of the sources as they are learned from, a file each.
local function write_rows()
  local names = options.source and {options.source} or wording.names(sources.models[options.model].mixture)
  for _, name in ipairs(names) do
    if not sources.models[options.model].mixture[name] then
      error(("recipe: --source '%s': %s has no such source"):format(name, options.model), 0)
    end
    local random = data.random(seed + 6000)
    local path = ("%s/%s.jsonl"):format(options.work, name)
    local file = must(io.open(path, "wb"))
    for _ = 1, tonumber(options.limit) or 100 do file:write(mobilellm.json.encode(set:row(random, name)), "\n") end
    file:close()
    say("%s", path)
  end
end

if options.only == "rows" then
  write_rows()
elseif options.only == "evaluate" then
  evaluate(("%s/%s.gguf"):format(options.out, options.model))
else
  local trainer, points
  if options.only == "export" then
    trainer = must(mobilellm.train.resume(checkpoint, {vocabulary = vocabulary}))
    points = must(mobilellm.train.curve.load(curve_file))
  else
    trainer, points = train()
  end
  local path = export(trainer)
  must(points:save_csv(("%s/%s-loss.csv"):format(options.out, options.model)))
  must(points:save_svg(("%s/%s-loss.svg"):format(options.out, options.model), {title = "Cross-entropy of the answers, nats per token"}))
  evaluate(path)
end
