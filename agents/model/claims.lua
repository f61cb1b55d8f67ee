-- The claims of the MobileLLM paper (Liu et al. 2024) and of MobiLlama (Thawakar et al. 2024), tried at about five million parameters:
-- the same rows, tokens, batches, start and trainer, other shapes.
--
--   lua5.4 agents/model/claims.lua --work DIR [--data ../shared/calls] [--tokens N] [--seeds N] [--rows N] [--only NAME] [--threads N]
--     [--start random|copying]
--
-- Called again it goes on: a finished run is a line of DIR/claims.csv and is not made again, one that was interrupted continues from its
-- checkpoint. All shapes of a seed come before the next seed. DIR/claims.md has the table.
--
-- Rows: short ones (at most 192 tokens) of home, snips and nlueval, changed by data.lua, and rows that only ask to copy; the rows that
-- are evaluated (--rows of each of the three sources, picked with seed 1) are left out. Another seed has other rows and other weights. The
-- vocabulary is that of home.gguf.
--
-- loss: of the answers of the evaluated rows, nats per token; EM: right tool, and right tool and arguments, percent of those with calls,
-- under the constraint. ± is half the range over the seeds; in brackets is the 95 % interval of Wilson over rows and seeds. decode:
-- milliseconds a token on one thread after a prompt of 150 tokens, Q8_0, median of nine rounds over all shapes.
local here = (arg and arg[0] or "agents/model/claims.lua"):match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path

local mobilellm = require "mobilellm"
local clock = require "mobilellm.core".clock
local data = require "data"
local skill_rows = require "skill_rows"
local eval = require "mobilellm.eval"
local measure = require "mobilellm.eval.measure"

local options = {data = here .. "/../../../shared/calls", tokens = "200000", seeds = "2", rows = "100", threads = "1", start = "copying"}
for i = 1, #arg, 2 do
  local name = arg[i]:match "^%-%-(%w+)$"
  if not (options[name] or name == "work" or name == "only") or not arg[i + 1] then
    error(("claims: '%s' is no option, or its value is missing"):format(arg[i]), 0)
  end
  options[name] = arg[i + 1]
end
if not options.work then error("claims: --work DIR is needed (results go there)", 0) end
for _, name in ipairs{"tokens", "seeds", "rows", "threads"} do
  options[name] = tonumber(options[name]) or error(("claims: --%s: a number expected, got '%s'"):format(name, options[name]), 0)
end

-- What differs from the base, all near its five million parameters, but for `twice`.
local base = {
  width = 192, heads = 6, kv_heads = 3, head_size = 32, ffn = 288, blocks = 16, tied = true, context = 512, rope_base = 1e6,
}
local runs = {
  {"base", "deep and thin: 16 blocks of width 192", {}},
  {"wide", "wide and shallow: 3 blocks of width 384", {width = 384, heads = 12, kv_heads = 6, ffn = 736, blocks = 3}},
  {"middle", "between: 7 blocks of width 288", {width = 288, heads = 9, kv_heads = 3, ffn = 416, blocks = 7}},
  {"separate", "embedding and head apart, 14 blocks", {tied = false, blocks = 14}},
  {"full", "full attention instead of grouped queries, 14 blocks", {kv_heads = 6, blocks = 14}},
  {"ls", "LS: each block twice in a row", {passes = 2}},
  {"oneffn", "MobiLlama: one FFN for all of 38 blocks", {shared_ffn = true, blocks = 38}},
  {"twice", "twice the blocks (and parameters)", {blocks = 32}},
}
local mixture = {{"home", 0.25}, {"home_rows", 0.1}, {"snips", 0.2}, {"nlueval", 0.3}, {"copy", 0.15}} -- shares of the tokens
local longest = 192 -- tokens of a row
local batch = 1024 -- tokens of a step: small, for the runs are short
local prompt_weight = 0.1 -- of the prompt's tokens in the loss

local function say(...)
  io.stdout:write(os.date "%H:%M:%S ", string.format(...), "\n")
  io.stdout:flush()
end

local function must(value, message, code)
  if value == nil then error(("claims: %s (%s)"):format(tostring(message), tostring(code)), 0) end
  return value
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local vocabulary = must(mobilellm.train.vocabulary(here .. "/home.gguf"))

local function encode(row)
  local signature = require "mobilellm.signature"
  local ids = signature.encode(vocabulary, row.tools, row.messages)
  local prompt = #ids
  for _, id in ipairs(signature.encode_answer(vocabulary, row.calls, row.tools)) do ids[#ids + 1] = id end
  return ids, prompt
end

local function shape_of(changes)
  local shape = {}
  for key, value in pairs(base) do shape[key] = value end
  for key, value in pairs(changes) do shape[key] = value end
  return shape
end

--------------------------------------------------------------------------------------------------------------------------- rows

-- The rows that are evaluated, short ones only, evenly from the files; and the keys of all rows of these files.
local function evaluated_rows()
  local chosen, keys = {}, {}
  for _, source in ipairs{"home", "snips", "nlueval"} do
    local path = ("%s/public-eval/%s.jsonl.gz"):format(options.data, source)
    local list, short = must(data.read(path)), {}
    for _, row in ipairs(list) do
      keys[data.key(row)] = true
      if #encode(data.clean(row)) <= longest then short[#short + 1] = row end
    end
    local most = math.min(#short, options.rows)
    for i = 1, most do chosen[#chosen + 1] = short[math.floor((i - 1) * #short / most) + 1] end
  end
  return chosen, keys
end

-- What a seed learns from.
local function training_rows(seed, kept_out, sources)
  local random, part, counts, total = data.random(seed + 7000), mobilellm.train.data(), {}, 0
  while total < options.tokens do
    local source, lack
    for _, one in ipairs(mixture) do -- the source that lacks most of its share
      local missing = one[2] * (total + 1000) - (counts[one[1]] or 0)
      if not lack or missing > lack then source, lack = one[1], missing end
    end
    local row
    if source == "copy" then row = skill_rows.copy(random, sources.words)
    elseif source == "home_rows" then row = data.change(random, data.home_row(random))
    else row = data.change(random, random.pick(sources[source].rows), {pool = sources[source].pool}) end
    local ids, prompt = encode(row)
    if #ids <= longest and not kept_out[data.key(row)] then
      part:add(ids, prompt, 1, prompt_weight)
      counts[source] = (counts[source] or 0) + #ids
      total = total + #ids
    end
  end
  return part
end

local material -- read when a run needs it
local function open()
  if material then return material end
  local chosen, keys = evaluated_rows()
  local sources = {}
  for _, source in ipairs{"home", "snips", "nlueval"} do
    local rows = {}
    for _, row in ipairs(must(data.read(("%s/train/%s.jsonl.gz"):format(options.data, source)))) do
      if not keys[data.key(row)] then rows[#rows + 1] = data.clean(row) end
    end
    sources[source] = {rows = rows, pool = source ~= "home" and data.pool(rows) or nil}
  end
  sources.words = data.words(sources.snips.rows)
  local watched = mobilellm.train.data()
  for _, row in ipairs(chosen) do watched:add(encode(data.clean(row))) end
  material = {chosen = chosen, watched = watched, parts = {}}
  function material.part(seed)
    material.parts[seed] = material.parts[seed] or training_rows(seed, keys, sources)
    return material.parts[seed]
  end
  return material
end

--------------------------------------------------------------------------------------------------------------------------- runs

local function new_trainer(changes, seed)
  local steps = math.max(1, math.floor(options.tokens / batch))
  return must(mobilellm.train.new{
    shape = shape_of(changes), vocabulary = vocabulary, seed = seed, threads = options.threads, start = options.start, batch_tokens = batch,
    learning_rate = 1e-3, warmup = math.ceil(steps / 10), schedule = "cosine", floor = 0.03, decay = 0.05, beta2 = 0.98, steps = steps,
  })
end

-- Lines of results: shape, seed, tokens, and these.
local columns = {"parameters", "loss", "accuracy", "calls", "intent", "structure", "seconds"}
local file = options.work .. "/claims.csv"

local function read_results()
  local results = {}
  for line in (exists(file) and io.lines(file) or function() end) do
    local values = {}
    for value in line:gmatch "[^,]+" do values[#values + 1] = tonumber(value) or value end
    if values[3] == options.tokens and #values == #columns + 3 then
      local result = {}
      for i, column in ipairs(columns) do result[column] = values[i + 3] end
      results[values[1] .. " " .. values[2]] = result
    end
  end
  return results
end

local function run(name, changes, seed)
  local checkpoint = ("%s/%s-%d-%d.checkpoint"):format(options.work, name, seed, options.tokens)
  local rows = open()
  local part = rows.part(seed)
  local trainer
  if exists(checkpoint) then
    trainer = must(mobilellm.train.resume(checkpoint, {vocabulary = vocabulary, threads = options.threads}))
  else
    trainer = new_trainer(changes, seed)
  end
  local info = trainer:info()
  local seconds, saved = 0, os.time()
  for step = info.step + 1, info.steps do
    local loss, stats, code = trainer:next(part)
    must(loss, stats, code)
    seconds = seconds + stats.seconds
    if step % 50 == 0 then
      say("%s, seed %d: step %d of %d, loss %.3f, %.0f tokens/s", name, seed, step, info.steps, loss, stats.tokens / stats.seconds)
    end
    if os.time() - saved >= 60 then
      must(trainer:save(checkpoint))
      saved = os.time()
    end
  end
  seconds = seconds / math.max(1, info.steps - info.step) * info.steps -- an interrupted run: as if it had been made in one go
  local loss, watched, code = trainer:evaluate(rows.watched)
  must(loss, watched, code)
  local path = options.work .. "/claims.gguf"
  must(trainer:export(path, {type = "f16", vocabulary = vocabulary}))
  trainer:close()
  local model = must(mobilellm.load(path, {threads = options.threads}))
  local score = must(eval.rows(model, rows.chosen, {max_tokens = 60}))
  model:close()
  os.remove(path)
  local n = score.call_rows
  local out = assert(io.open(file, "a"))
  out:write(("%s,%d,%d,%d,%.4f,%.4f,"):format(name, seed, options.tokens, info.parameters, loss, watched.accuracy),
    ("%d,%d,%d,%.0f\n"):format(n, math.floor(score.em_intent * n + 0.5), math.floor(score.em_structure * n + 0.5), seconds))
  out:close()
  os.remove(checkpoint)
  say("%s, seed %d: loss %.3f, EM %.1f / %.1f %%", name, seed, loss, 100 * score.em_intent, 100 * score.em_structure)
end

-- Milliseconds a token for each shape: {name = ms}. The weights do not matter.
local function decode_times(entries)
  local sessions, times, path = {}, {}, options.work .. "/decode.gguf"
  for i, entry in ipairs(entries) do
    local trainer = new_trainer(entry[3], 1)
    must(trainer:export(path, {type = "q8_0", vocabulary = vocabulary}))
    trainer:close()
    local model = must(mobilellm.load(path, {threads = 1}))
    sessions[i], times[i] = model:session{context = 512}, {}
    local ids = {}
    for k = 1, 150 do ids[k] = 20 + k end
    sessions[i]:feed(ids)
    os.remove(path) -- the file stays mapped
  end
  for round = 1, 9 do
    for i in ipairs(entries) do
      local begin = clock()
      for token = 1, 20 do sessions[i]:feed{100 + token} end
      times[i][round] = (clock() - begin) / 20 * 1000
    end
  end
  local medians = {}
  for i, entry in ipairs(entries) do
    table.sort(times[i])
    medians[entry[1]] = times[i][5]
  end
  return medians
end

local function table_of(results)
  local entries = {}
  for _, entry in ipairs(runs) do
    if results[entry[1] .. " 1"] then entries[#entries + 1] = entry end
  end
  local ms = decode_times(entries)
  local lines = {
    "| shape | parameters, million | loss | tokens right, % | EM_intent, % | EM_structure, % | decode, ms | training, s |",
    "|---|---|---|---|---|---|---|---|",
  }
  for _, entry in ipairs(entries) do
    local sums, low, high, n = {}, {}, {}, 0
    for seed = 1, options.seeds do
      local result = results[entry[1] .. " " .. seed]
      n = n + (result and 1 or 0)
      for key, value in pairs(result or {}) do
        sums[key] = (sums[key] or 0) + value
        low[key], high[key] = math.min(low[key] or value, value), math.max(high[key] or value, value)
      end
    end
    local function mean(key, format, scale)
      return (format .. " ± " .. format):format(sums[key] / n * scale, (high[key] - low[key]) / 2 * scale)
    end
    local function share(key)
      local interval = measure.wilson(sums[key], sums.calls)
      return ("%.1f [%.0f-%.0f]"):format(100 * sums[key] / sums.calls, 100 * interval[1], 100 * interval[2])
    end
    lines[#lines + 1] = "| " .. table.concat({
      entry[2] .. (n < options.seeds and (" (%d seed%s)"):format(n, n == 1 and "" or "s") or ""),
      ("%.2f"):format(sums.parameters / n / 1e6),
      mean("loss", "%.3f", 1), mean("accuracy", "%.1f", 100), share "intent", share "structure",
      ("%.2f"):format(ms[entry[1]]), ("%.0f"):format(sums.seconds / n),
    }, " | ") .. " |"
  end
  return table.concat(lines, "\n") .. "\n"
end

for seed = 1, options.seeds do
  for _, entry in ipairs(runs) do
    local wanted = not options.only or options.only == entry[1]
    if wanted and not read_results()[entry[1] .. " " .. seed] then run(entry[1], entry[3], seed) end
  end
end
local text = table_of(read_results())
local out = assert(io.open(options.work .. "/claims.md", "w"))
out:write(text)
out:close()
io.stdout:write(text)
