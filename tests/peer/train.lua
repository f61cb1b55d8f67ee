-- Training steps beside PyTorch's: the same weights, rows and optimizer; losses and gradient norms side by side, then speed.
--
--   lua5.4 tests/peer/train.lua [--python PYTHON]... [--threads 2] [--steps 6] [--bf16]
--
-- 5.7 million parameters (width 256, 10 blocks, 8 heads over 4, FFN 384, vocabulary 3072), steps of 16 rows of 256 places, AdamW, clipping.
-- Without --bf16 everything is computed in floats and must agree; with it ours multiplies bfloat16, and PyTorch runs under
-- autocast. Speed is that of the median step, on the clock and per second of processor time: the latter is what a machine that also
-- does other things can tell (with --threads 1: threads that wait count as working). PYTHON must have torch (Debian: python3-torch).
local mobilellm = require "mobilellm"
local json = mobilellm.json

local pythons, threads, steps, precision = {}, 2, 6, "f32"
local i = 1
while arg[i] do
  if arg[i] == "--bf16" then
    precision = "bf16"
  elseif arg[i + 1] then
    i = i + 1
    if arg[i - 1] == "--python" then pythons[#pythons + 1] = arg[i]
    elseif arg[i - 1] == "--threads" then threads = tonumber(arg[i])
    elseif arg[i - 1] == "--steps" then steps = tonumber(arg[i])
    else error("unknown option " .. arg[i - 1], 0) end
  else
    error("unknown option " .. arg[i], 0)
  end
  i = i + 1
end
if #pythons == 0 then pythons[1] = "python3" end

local here = arg[0]:match "^(.*)/[^/]*$" or "."
local trainer = assert(mobilellm.train.new{
  shape = {vocabulary = 3072, width = 256, heads = 8, kv_heads = 4, head_size = 32, ffn = 384, blocks = 10, context = 512},
  threads = threads, precision = precision, seed = 3, learning_rate = 1e-3, warmup = 0, steps = 1000, floor = 1, decay = 0.1, clip = 1,
})
local model, rows = os.tmpname(), os.tmpname()
assert(trainer:export(model, {type = "f32"}))

-- Something to learn, and nothing that depends on a random generator of the language.
local state, batches = 11, {}
for s = 1, steps do
  batches[s] = {}
  for r = 1, 16 do
    local ids = {}
    for n = 1, 257 do
      state = state * 16807 % 2147483647
      ids[n] = n > 64 and state % 4 > 0 and ids[n - 64] or state % 3072
    end
    batches[s][r] = ids
  end
end
local file = assert(io.open(rows, "wb"))
file:write(json.encode(batches))
file:close()

local function median(list)
  table.sort(list)
  return list[math.floor((#list + 1) / 2)]
end

-- Tokens a second of the median step without the first.
local function speed_of(all, clock)
  local seconds = {}
  for s = 2, #all do seconds[#seconds + 1] = all[s][clock] end
  return 16 * 256 / median(seconds)
end

local function report(name, all)
  local losses, norms = {}, {}
  for s, one in ipairs(all) do losses[s], norms[s] = ("%.5f"):format(one.loss), ("%.4f"):format(one.norm) end
  print(("%-12s loss %s\n%12s norm %s\n%12s %.0f tokens/s, %.0f per second of processor time"):format(name, table.concat(losses, " "), "",
    table.concat(norms, " "), "", speed_of(all, "seconds"), speed_of(all, "work")))
end

local ours = {}
for s = 1, steps do
  local batch = {}
  for r, ids in ipairs(batches[s]) do batch[r] = {ids = ids} end
  local start = os.clock()
  local loss, stats = assert(trainer:step(batch))
  ours[s] = {loss = loss, norm = stats.grad_norm, seconds = stats.seconds, work = os.clock() - start}
end
print(("%d parameters, %d threads, %s"):format(trainer:info().parameters, threads, precision))
report("mobilellm", ours)
trainer:close()
for _, python in ipairs(pythons) do
  local version = io.popen(python .. " -c 'import torch; print(torch.__version__)'"):read "*l"
  local pipe = io.popen(("%s %s/torch_steps.py %s %s %d %s %d"):format(python, here, model, rows, threads, precision, steps))
  local all = {}
  for line in pipe:lines() do all[#all + 1] = assert(json.decode(line)) end
  pipe:close()
  if #all < steps then error(python .. " gave up", 0) end
  report("torch " .. version, all)
  local worst = 0
  for s = 1, steps do
    worst = math.max(worst, math.abs(all[s].loss / ours[s].loss - 1), math.abs(all[s].norm / ours[s].norm - 1))
  end
  print(("%12s mobilellm is %.2f times as fast (%.2f in processor time); losses and norms differ by %.2g at most"):format("",
    speed_of(ours, "seconds") / speed_of(all, "seconds"), speed_of(ours, "work") / speed_of(all, "work"), worst))
end
os.remove(model)
os.remove(rows)
