local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "fine-tune a model on your own tools or rows",
  usage = "--base MODEL (--tools API.json | --data ROWS.jsonl) --out FILE",
  about = [[
Goes on from the weights of MODEL with the rows of a file (gzipped or not), one JSON object a line:
  {"tools": [...], "messages": [...], "calls": [{"name", "arguments"}]}   no calls where none fits; MODEL's vocabulary must have
                                       the control tokens of the project's prompt form, as agents/model/home.gguf has
  {"prompt": text, "completion": text} for any model that loads; only the completion is learned
  {"text": text}                       all of it is learned
With --tools rows are made from declarations, [{"name", "description", "parameters": JSON Schema, "phrases": [...]}]: phrases are
sentences with parameters in braces ("make me a {size} {drink}") and may be missing; the "examples" of a string, and rows of --data,
give more. Then a report says what the trained model knows and confuses, on made rows whose sentences and names it did not learn.
All weights are trained, or with --lora adapters that are merged into them in FILE. What the run takes in memory and time is said
first. Ctrl-C or SIGTERM saves a checkpoint and ends; the same command goes on from there.]],
  words = 0,
  options = {
    {"--base", "MODEL", "the model to go on from: a GGUF file or a folder"},
    {"--data", "ROWS", "what to learn"},
    {"--tools", "API.json", "make rows from these declarations, with --data or without"},
    {"--rows", "N", "with --tools: how many", kind = "integer", least = 1, default = 2400},
    {"--made", "FILE", "with --tools: write the rows that were made, to look at"},
    {"--out", "FILE", "the trained model, GGUF"},
    {"--evaluate", "ROWS", "rows to score before and after; they are not learned"},
    {"--type", "TYPE", "of the weights in FILE: f32, f16, bf16, q8_0, q4_0", default = "q8_0",
      choices = {"f32", "f16", "bf16", "q8_0", "q4_0"}},
    {"--lora", "RANK", "train adapters of this rank only", kind = "integer", least = 1},
    {"--alpha", "X", "with --lora: adapters count alpha / rank", kind = "number", least = 0, default = 16},
    {"--targets", "LIST", "with --lora: of q,k,v,o,gate,up,down", default = "q,k,v,o,gate,up,down"},
    {"--quantization-aware", nil, "learn with the weights rounded as --type has them"},
    {"--teacher", "MODEL", "learn from the answers of this model, too; the same vocabulary"},
    {"--temperature", "X", "with --teacher: of both models", kind = "number", least = 0, default = 2},
    {"--mix", "X", "with --teacher: its share of the loss, 0 to 1", kind = "number", least = 0, default = 0.5},
    {"--steps", "N", "steps of the optimizer; 0: once through made rows, four times through those of --data, 30 at least",
      kind = "integer", least = 0, default = 0},
    {"--minutes", "N", "ends after so long, too", kind = "number", least = 0},
    {"--rate", "X", "highest learning rate (0.2 / the model's width; with --lora 1 / width)", kind = "number", least = 0},
    {"--batch", "N", "tokens of a step", kind = "integer", least = 1, default = 2048},
    {"--recompute", nil, "less memory, a third more time; on by itself where memory is short"},
    {"--checkpoint", "FILE", "saved every five minutes and at the end; gone on from when it is there (FILE.checkpoint beside"
      .. " --out, removed when done)"},
    {"--curve", "FILE", "the loss of each step as FILE.csv and FILE.svg"},
    {"--seed", "N", "of the order of the rows", kind = "integer", default = 1},
    {"--threads", "N", "threads; 0: one per core", kind = "integer", least = 0, default = 0},
    {"--quiet", nil, "no progress"},
  },
}

-- Unless --steps says otherwise: times through the rows of --data, and the fewest steps.
local PASSES, STEPS = 4, 30

-- Bytes that can be had without pressing others into swap; nil where the system does not say.
local function free_memory()
  local file = io.open("/proc/meminfo", "rb")
  if not file then return nil end
  local kilobytes = file:read "*a":match "MemAvailable:%s*(%d+)"
  file:close()
  return kilobytes and tonumber(kilobytes) * 1024
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function duration(seconds)
  if seconds < 90 then return ("%d seconds"):format(math.ceil(seconds)) end
  if seconds < 5400 then return ("%d minutes"):format(math.ceil(seconds / 60)) end
  return ("%.1f hours"):format(seconds / 3600)
end

-- What one step takes, from a short forward pass over some of the rows: learning is about three of them.
local function seconds_per_token(trainer, data)
  local clock = require "mobilellm.core".clock
  local sample, info = require "mobilellm".train.data(), trainer:info()
  for i = 1, data:rows() do
    local row = data:row(i)
    sample:add(row.ids, row.prompt)
    if sample:tokens() >= 2 * info.pack_tokens * info.threads then break end
  end
  cli.check(trainer:evaluate(sample)) -- buffers are made
  local start = clock()
  cli.check(trainer:evaluate(sample))
  return (clock() - start) / sample:tokens() * (info.recompute and 4 or 3)
end

-- What goes to train.new or train.resume, and what only a new run is told.
local function settings_of(values, width, steps)
  -- What a weight may move falls with the width (Yang et al. 2022, "Tensor Programs V"); adapters start at nothing and take more.
  local settings = {learning_rate = values.rate or (values.lora and 1 or 0.2) / width, steps = steps, warmup = math.ceil(steps / 20),
    batch_tokens = values.batch, threads = values.threads, recompute = values.recompute,
    rounding = values.quantization_aware and values.type or nil, teacher = values.teacher, base = values.base}
  if values.teacher then settings.temperature, settings.mix = values.temperature, values.mix end
  local new = {seed = values.seed}
  if values.lora then
    new.lora = {rank = values.lora, alpha = values.alpha, targets = {}}
    for name in values.targets:gmatch "[^,%s]+" do table.insert(new.lora.targets, name) end
  end
  return settings, new
end

-- Says what the run needs, turns recomputation on where that helps, refuses what cannot fit.
local function plan_memory(settings, new, longest, say)
  local train = require "mobilellm".train
  local function needed()
    local asked = {longest = longest}
    for _, part in ipairs{settings, new} do
      for key, value in pairs(part) do asked[key] = value end
    end
    return cli.check(train.memory(asked))
  end
  local bytes, free = needed(), free_memory()
  if free and bytes > 0.9 * free and not settings.recompute then
    settings.recompute = true
    bytes = needed()
    say("memory is short: activations are computed a second time instead of kept")
  end
  if free and bytes > 0.95 * free then
    cli.fail("training needs %.1f GB of memory, %.1f GB are free%s", bytes / 1e9, free / 1e9,
      new.lora and "" or ": --lora needs less")
  end
  return bytes
end

local function open_trainer(values, settings, new, checkpoint)
  local train = require "mobilellm".train
  if exists(checkpoint) then
    local trainer = cli.check(train.resume(checkpoint, settings))
    local rank = trainer:info().lora and trainer:info().lora.rank
    if rank ~= values.lora then
      cli.fail("%s is of a run %s: give the same options, or remove it to begin anew", checkpoint,
        rank and "with --lora " .. rank or "without --lora")
    end
    return trainer
  end
  for key, value in pairs(new) do settings[key] = value end
  return cli.check(train.new(settings))
end

-- -> a function that scores a model file (rows of tools) or the trainer (others).
local function judge(values, model, longest, say)
  local train_rows, eval = require "mobilellm.train.rows", require "mobilellm.eval"
  local rows = cli.check(train_rows.read(values.evaluate, model))
  local data = not rows.tools and train_rows.data(rows, model, longest)
  return function(path, trainer, when)
    if data then
      local loss, score = cli.check(trainer:evaluate(data))
      say("%s: loss %.4f, %.1f %% of %d tokens right", when, loss, 100 * score.accuracy, score.scored)
      return
    end
    local judged = cli.check(require "mobilellm".load(path))
    local result = cli.check(eval.rows(judged, rows))
    judged:close()
    say("%s: EM_intent %.1f %%, EM_structure %.1f %% of %d rows", when, 100 * result.em_intent, 100 * result.em_structure, result.rows)
  end
end

local function run_steps(trainer, values, data, checkpoint, say)
  local mobilellm = require "mobilellm"
  local curve = values.curve and (exists(values.curve .. ".csv") and trainer:info().step > 0
    and cli.check(mobilellm.train.curve.load(values.curve .. ".csv")) or mobilellm.train.curve.new())
  local told, signal = mobilellm.train.signals(), nil
  cli.check(trainer:run{data = data, seconds = values.minutes and values.minutes * 60, checkpoint = checkpoint,
    on_step = function(stats)
      if curve then curve:add(stats) end
      if stats.step == 1 or stats.step % 10 == 0 then say("%s", mobilellm.train.progress(stats)) end
      signal = told()
      return signal == nil
    end})
  if curve then
    cli.check(curve:save_csv(values.curve .. ".csv"))
    cli.check(curve:save_svg(values.curve .. ".svg"))
  end
  return signal
end

local function read_tools(path)
  local mobilellm = require "mobilellm"
  local list, message = mobilellm.json.decode(cli.read_file(path))
  if type(list) ~= "table" then cli.fail("%s: %s", path, message or "a list of tools expected") end
  list = list.tools or list
  if list.name or list["function"] then list = {list} end
  local registry, problems = mobilellm.tools(list)
  for _, problem in ipairs(problems or {}) do
    io.stderr:write("mobilellm: ", path, ": ", problem.message or tostring(problem), "\n")
  end
  local tools = {}
  for i, tool in ipairs(mobilellm.tools.list(registry)) do
    tools[i] = {name = tool.name, description = tool.description, parameters = tool.parameters}
    for _, declared in ipairs(list) do
      local inner = declared["function"] or declared
      if inner.name == tool.name then tools[i].phrases = declared.phrases or inner.phrases end
    end
  end
  if #tools == 0 then cli.fail("%s: no tool in it", path) end
  return tools
end

-- Rows made from declarations, and of the user's rows: to learn, and to judge by.
local function make(values, data, model, say)
  local signature = require "mobilellm.signature"
  if not signature.fits(model) then
    cli.fail("%s: its vocabulary lacks the control tokens of the prompt form (%s ...)", values.base, signature.special[3])
  end
  if #data > 0 and not data.tools then cli.fail("%s: --tools goes with rows of tools only", values.data) end
  local maker, json = require "mobilellm.train.made", require "mobilellm".json
  local tools = read_tools(values.tools)
  local made, message = maker.make(tools, {rows = values.rows, test = 150, seed = values.seed, data = data})
  if not made then cli.fail("%s: %s", values.tools, message) end
  for _, note in ipairs(made.notes) do io.stderr:write("mobilellm: ", values.tools, ": ", note, "\n") end
  local both = maker.overlap(made.train, made.test)
  say("made %d rows to learn and %d to judge by; of the latter %d have a learned sentence, %d learned names only (%d of all %d names are)",
    #made.train - #data, #made.test, both.sentences, both.rows, both.values, both.of_values)
  if values.made then
    local file, why = io.open(values.made, "wb")
    if not file then cli.fail("%s", why) end
    for _, side in ipairs{"train", "test"} do
      for i = side == "train" and #data + 1 or 1, #made[side] do
        made[side][i].set = side
        file:write(json.encode(made[side][i]), "\n")
      end
    end
    file:close()
  end
  for _ = 2, values.steps == 0 and PASSES or 1 do -- made rows are seen once, each a new one; the author's as often as without them
    for _, row in ipairs(data) do table.insert(made.train, row) end
  end
  made.train.kind, made.train.tools = "tools", true
  local told = #data > 0
  for _, tool in ipairs(tools) do told = told or type(tool.phrases) == "table" and #tool.phrases > 0 end
  return made.train, made.test, told
end

-- told: whether the author gave phrases or rows.
local function report(values, rows, told, say)
  local model = cli.check(require "mobilellm".load(values.out))
  local text, result = require "mobilellm.train.report".text(model, rows)
  cli.check(text, result)
  model:close()
  say("after, rows made to judge by: EM_intent %.1f %%, EM_structure %.1f %% of %d rows", 100 * result.em_intent,
    100 * result.em_structure, result.rows)
  io.stdout:write(text)
  if not told then
    io.stdout:write("These sentences were made from the declarations alone, as those that were learned; people say it in other ways.\n",
      "What helps most is sentences of your own: \"phrases\" in the declarations, or rows with --data; judge with --evaluate.\n")
  end
end

function command.run(values)
  for _, name in ipairs{"base", "out"} do
    if not values[name] then options.usage("train: --%s is missing", name) end
  end
  if not values.data and not values.tools then options.usage "train: --data is missing, or --tools" end
  if values.quantization_aware and values.lora then options.usage "train: --quantization-aware and --lora exclude each other" end
  local mobilellm, train_rows = require "mobilellm", require "mobilellm.train.rows"
  local function say(...)
    if not values.quiet then io.stderr:write(string.format(...), "\n") end
  end
  local model = cli.check(mobilellm.load(values.base, {vocabulary_only = true}))
  local context = model:info().context
  local rows, made, told = values.data and cli.check(train_rows.read(values.data, model)) or {}, nil, nil
  if values.tools then rows, made, told = make(values, rows, model, say) end
  local data, left_out = train_rows.data(rows, model, context)
  if data:rows() == 0 then cli.fail("%s: no row that fits into the context of %d tokens", values.data or values.tools, context) end
  local score = values.evaluate and judge(values, model, context, say)
  local steps = values.steps
  if steps == 0 then steps = math.max(STEPS, math.ceil((made and 1 or PASSES) * data:tokens() / values.batch)) end

  local settings, new = settings_of(values, model:info().width, steps)
  local bytes = plan_memory(settings, new, data:longest() - 1, say)
  local checkpoint = values.checkpoint or values.out .. ".checkpoint"
  local trainer = open_trainer(values, settings, new, checkpoint)
  local info = trainer:info()
  say("%d rows, %d tokens%s; %d parameters%s, step %d of %d", data:rows(), data:tokens(),
    left_out > 0 and (", %d rows too long"):format(left_out) or "", info.parameters,
    info.lora and (", %d trained"):format(info.trained) or "", info.step, steps)
  if info.step < steps then
    local tokens = (steps - info.step) * math.min(values.batch + data:longest() / 2, data:tokens())
    local time = seconds_per_token(trainer, data) * tokens
    say("takes %.2f GB of memory and about %s", bytes / 1e9, duration(values.minutes and math.min(time, 60 * values.minutes) or time))
  end
  if score then score(values.base, trainer, "before") end
  if made then
    local before = cli.check(mobilellm.load(values.base))
    local result = cli.check(require "mobilellm.eval".rows(before, made))
    before:close()
    say("before, rows made to judge by: EM_intent %.1f %%, EM_structure %.1f %% of %d rows", 100 * result.em_intent,
      100 * result.em_structure, result.rows)
  end
  if info.step < steps then
    local signal = run_steps(trainer, values, data, checkpoint, say)
    if signal then
      say("%s at step %d: %s is saved; the same command goes on from there", signal, trainer:info().step, checkpoint)
      trainer:close()
      return signal == "SIGINT" and 130 or 143
    end
  end
  cli.check(trainer:export(values.out, {type = values.type, name = model:info().name,
    card = {base = values.base, data = values.data, tools = values.tools, steps = tostring(trainer:info().step),
      seed = tostring(values.seed)}}))
  say("%s: written", values.out)
  if score then score(values.out, trainer, "after") end
  if made then report(values, made, told, say) end
  trainer:close()
  if not values.checkpoint then os.remove(checkpoint) end
end

return command
