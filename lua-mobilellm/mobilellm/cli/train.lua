local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "fine-tune a tool-calling model on your own rows",
  usage = "--base MODEL --data ROWS.jsonl --out FILE",
  about = [[
Goes on from the weights of MODEL with the rows of a file (gzipped or not), one JSON object a line:
{"tools": [...], "messages": [...], "calls": [{"name", "arguments"}]}; no calls where none fits. Only the answers are learned.
MODEL's vocabulary must have the control tokens of the project's prompt form, as agents/model/home.gguf has. All weights are
trained. With --checkpoint an interrupted run goes on where it was.]],
  words = 0,
  options = {
    {"--base", "MODEL", "the model file to go on from"},
    {"--data", "ROWS", "what to learn"},
    {"--out", "FILE", "the trained model, GGUF"},
    {"--evaluate", "ROWS", "rows to score before and after; they are not learned"},
    {"--type", "TYPE", "of the weights in FILE: f32, f16, bf16, q8_0, q4_0", default = "q8_0"},
    {"--steps", "N", "steps of the optimizer; 0: four times through the rows", kind = "integer", least = 0, default = 0},
    {"--minutes", "N", "ends after so long, too", kind = "number", least = 0},
    {"--rate", "X", "highest learning rate", kind = "number", least = 0, default = 0.0003},
    {"--batch", "N", "tokens of a step", kind = "integer", least = 1, default = 4096},
    {"--checkpoint", "FILE", "saved every five minutes and at the end; gone on from when it is there"},
    {"--seed", "N", "of the order of the rows", kind = "integer", default = 1},
    {"--threads", "N", "threads; 0: one per core", kind = "integer", least = 0, default = 0},
    {"--quiet", nil, "no progress"},
  },
}

-- The rows as tokens; what is too long for the context is counted and left out.
local function tokens_of(rows, vocabulary, longest)
  local signature = require "mobilellm.signature"
  local set, left_out = require "mobilellm".train.data(), 0
  for _, row in ipairs(rows) do
    local ids = signature.encode(vocabulary, row.tools, row.messages)
    local prompt = #ids
    for _, id in ipairs(signature.encode_answer(vocabulary, row.calls, row.tools)) do ids[#ids + 1] = id end
    if #ids <= longest then set:add(ids, prompt) else left_out = left_out + 1 end
  end
  return set, left_out
end

local function score(path, rows, say, when)
  local model = cli.check(require "mobilellm".load(path))
  local result = cli.check(require "mobilellm.eval".rows(model, rows))
  model:close()
  say("%s: EM_intent %.1f %%, EM_structure %.1f %% of %d rows", when, 100 * result.em_intent, 100 * result.em_structure, result.rows)
end

function command.run(values)
  for _, name in ipairs{"base", "data", "out"} do
    if not values[name] then options.usage("train: --%s is missing", name) end
  end
  local mobilellm, signature, eval = require "mobilellm", require "mobilellm.signature", require "mobilellm.eval"
  local function say(...)
    if not values.quiet then io.stderr:write(string.format(...), "\n") end
  end
  local model = cli.check(mobilellm.load(values.base, {vocabulary_only = true}))
  if not signature.fits(model) then
    cli.fail("%s: its vocabulary lacks the control tokens of the prompt form (%s ...)", values.base, signature.special[3])
  end
  local set, left_out = tokens_of(cli.check(eval.read(values.data)), model, model:info().context)
  if set:rows() == 0 then cli.fail("%s: no row that fits into the context of %d tokens", values.data, model:info().context) end
  local judged = values.evaluate and cli.check(eval.read(values.evaluate))
  local steps = values.steps
  if steps == 0 then steps = math.max(1, math.ceil(4 * set:tokens() / values.batch)) end

  local settings = {learning_rate = values.rate, steps = steps, warmup = math.ceil(steps / 20), batch_tokens = values.batch,
    threads = values.threads}
  local file = values.checkpoint and io.open(values.checkpoint, "rb")
  local trainer
  if file then
    file:close()
    settings.vocabulary = cli.check(mobilellm.train.vocabulary(values.base))
    trainer = cli.check(mobilellm.train.resume(values.checkpoint, settings))
  else
    settings.base, settings.seed = values.base, values.seed
    trainer = cli.check(mobilellm.train.new(settings))
  end
  local info = trainer:info()
  say("%d rows, %d tokens%s; %d parameters, %.0f MB of memory, step %d of %d", set:rows(), set:tokens(),
    left_out > 0 and (", %d rows too long"):format(left_out) or "", info.parameters, info.bytes / 1e6, info.step, steps)
  if judged then score(values.base, judged, say, "before") end
  if info.step < steps then
    cli.check(trainer:run{data = set, seconds = values.minutes and values.minutes * 60, checkpoint = values.checkpoint,
      on_step = function(stats)
        if stats.step == 1 or stats.step % 10 == 0 then say("%s", mobilellm.train.progress(stats)) end
      end})
  end
  cli.check(trainer:export(values.out, {type = values.type, name = model:info().name,
    card = {base = values.base, data = values.data, steps = tostring(trainer:info().step), seed = tostring(values.seed)}}))
  trainer:close()
  say("%s: written", values.out)
  if judged then score(values.out, judged, say, "after") end
end

return command
