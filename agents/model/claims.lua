-- The claims of the MobileLLM paper (Liu et al. 2024) and of MobiLlama (Thawakar et al. 2024), tried at about five million parameters:
-- the same rows, tokens, batches and trainer, other shapes.
--
--   lua5.4 agents/model/claims.lua --work DIR [--data ../shared/calls] [--tokens N] [--seeds N] [--rows N] [--only NAME] [--threads N]
--
-- Every finished run is a line of DIR/claims.csv, and is not made again; DIR/claims.md has the table: mean over the seeds and their half
-- range. loss: of the answers of public evaluation rows, nats per token; EM: right tool and arguments, percent, free decoding;
-- decode: milliseconds a token on one thread, F16 file, after a prompt of 150 tokens (median of five).
local here = (arg and arg[0] or "agents/model/claims.lua"):match "^(.*)/[^/]*$" or "."
package.path = here .. "/?.lua;" .. package.path

local mobilellm = require "mobilellm"
local clock = require "mobilellm.core".clock
local eval = require "mobilellm.eval"
local sources = require "sources"

local options = {data = here .. "/../../../shared/calls", tokens = "2000000", seeds = "2", rows = "100", threads = "0"}
for i = 1, #arg, 2 do
  local name = arg[i]:match "^%-%-(%w+)$"
  if not name or not arg[i + 1] then error(("claims: '%s' is not an option with a value"):format(arg[i]), 0) end
  options[name] = arg[i + 1]
end
if not options.work then error("claims: --work DIR is needed (results go there)", 0) end

-- What differs from the base. `about` says what a row is for.
local base = {width = 192, heads = 6, kv_heads = 3, head_size = 32, ffn = 288, blocks = 16, tied = true}
local runs = {
  {"base", "deep and thin: 16 blocks of width 192", {}},
  {"wide", "wide and shallow: 3 blocks of width 384", {width = 384, heads = 12, kv_heads = 6, ffn = 640, blocks = 3}},
  {"middle", "between: 7 blocks of width 288", {width = 288, heads = 9, kv_heads = 3, ffn = 416, blocks = 7}},
  {"separate", "embedding and head apart, 13 blocks", {tied = false, blocks = 13}},
  {"full", "full attention instead of grouped queries, 15 blocks", {kv_heads = 6, blocks = 15}},
  {"ls", "LS: each block twice in a row", {passes = 2}},
  {"twice", "twice the blocks (and parameters)", {blocks = 32}},
  {"oneffn", "MobiLlama: one FFN for all of 36 blocks", {shared_ffn = true, blocks = 36}},
}

local function say(...)
  io.stdout:write(os.date "%H:%M:%S ", string.format(...), "\n")
  io.stdout:flush()
end

local function must(value, message, code)
  if value == nil then error(("claims: %s (%s)"):format(tostring(message), tostring(code)), 0) end
  return value
end

local function shape_of(changes)
  local shape = {context = sources.context, rope_base = 1e6}
  for key, value in pairs(base) do shape[key] = value end
  for key, value in pairs(changes) do shape[key] = value end
  return shape
end

local function decode_time(path)
  local model = must(mobilellm.load(path, {threads = 1}))
  local session = model:session()
  local ids, times = {}, {}
  for i = 1, 150 do ids[i] = 20 + i end
  session:feed(ids)
  for i = 1, 5 do
    local begin = clock()
    for token = 1, 30 do session:feed{100 + token} end
    times[i] = (clock() - begin) / 30 * 1000
  end
  table.sort(times)
  session:close()
  model:close()
  return times[3]
end

local function score(path, rows)
  local model = must(mobilellm.load(path))
  local all = eval.counter()
  for _, list in ipairs(rows) do
    must(eval.rows(model, list, {constraint = "off", on_row = function(_, row, calls) all.add(row, calls) end}))
  end
  model:close()
  return all.score()
end

-- Results so far, by name and seed.
local function read_results(path)
  local results = {}
  for line in (io.open(path) and io.lines(path) or function() end) do
    local name, seed, rest = line:match "^(%w+),(%d+),(.*)$"
    if name then
      local numbers = {}
      for number in rest:gmatch "[^,]+" do numbers[#numbers + 1] = tonumber(number) end
      results[name .. seed] = numbers
    end
  end
  return results
end

local file = options.work .. "/claims.csv"
local results, set, watched, parts, rows = read_results(file), nil, nil, {}, {}

local function run(name, changes, seed)
  if not set then
    set = sources.open{data = options.data, say = say, vocabulary = options.work .. "/vocabulary.gguf"}
    watched = set:watched()
    for _, source in ipairs{"home", "snips", "nlueval", "sgd_dev"} do
      local path = ("%s/public-eval/%s.jsonl.gz"):format(options.data, source)
      rows[#rows + 1] = must(eval.read(path, {sample = tonumber(options.rows), seed = 1}))
    end
  end
  local batch = 8192
  local steps = math.floor(tonumber(options.tokens) / batch)
  local trainer = must(mobilellm.train.new{
    shape = shape_of(changes), vocabulary = set.vocabulary, seed = seed, threads = tonumber(options.threads), start = "copying",
    learning_rate = 1e-3, warmup = 40, schedule = "cosine", floor = 0.03, decay = 0.05, beta2 = 0.98, batch_tokens = batch, steps = steps,
  })
  local begin = clock()
  for step = 1, steps do
    local number = 1 + math.floor((step - 1) * batch / sources.part_tokens)
    parts[number] = parts[number] or set:part(number)
    local loss, stats, code = trainer:next(parts[number])
    must(loss, stats, code)
    if step % 50 == 0 then say("%s seed %d: step %d of %d, loss %.3f", name, seed, step, steps, loss) end
  end
  local seconds = clock() - begin
  local sum, right, scored = 0, 0, 0
  for _, one in ipairs(watched) do
    if one[1] ~= "copy" then
      local loss, s, code = trainer:evaluate(one[2])
      must(loss, s, code)
      sum, right, scored = sum + loss * s.scored, right + s.accuracy * s.scored, scored + s.scored
    end
  end
  local path = options.work .. "/claims.gguf"
  must(trainer:export(path, {type = "f16", vocabulary = set.vocabulary}))
  local parameters = trainer:info().parameters
  trainer:close()
  local s = score(path, rows)
  local out = assert(io.open(file, "a"))
  out:write(("%s,%d,%d,%.4f,%.4f,"):format(name, seed, parameters, sum / scored, right / scored),
    ("%.4f,%.4f,%.3f,%.0f\n"):format(s.em_intent, s.em_structure, decode_time(path), seconds))
  out:close()
  results = read_results(file)
end

for seed = 1, tonumber(options.seeds) do
  for _, entry in ipairs(runs) do
    if not results[entry[1] .. seed] and (not options.only or options.only == entry[1]) then run(entry[1], entry[3], seed) end
  end
end

local lines = {"| shape | parameters, million | loss | tokens right, % | EM_intent, % | EM_structure, % | decode, ms | training, s |",
  "|---|---|---|---|---|---|---|---|"}
for _, entry in ipairs(runs) do
  local columns = {}
  for column = 1, 7 do
    local low, high, sum, n = math.huge, -math.huge, 0, 0
    for seed = 1, tonumber(options.seeds) do
      local value = results[entry[1] .. seed] and results[entry[1] .. seed][column]
      if value then low, high, sum, n = math.min(low, value), math.max(high, value), sum + value, n + 1 end
    end
    if n == 0 then break end
    local scale = column == 1 and 1e-6 or (column >= 3 and column <= 5) and 100 or 1
    local shown = column == 1 and "%.2f" or column == 2 and "%.3f" or column == 7 and "%.0f" or column == 6 and "%.2f" or "%.1f"
    columns[column] = shown:format(sum / n * scale) .. (n > 1 and column > 1 and " ± " .. shown:format((high - low) / 2 * scale) or "")
  end
  if #columns == 7 then lines[#lines + 1] = "| " .. entry[2] .. " | " .. table.concat(columns, " | ") .. " |" end
end
local out = assert(io.open(options.work .. "/claims.md", "w"))
out:write(table.concat(lines, "\n"), "\n")
out:close()
print(table.concat(lines, "\n"))
