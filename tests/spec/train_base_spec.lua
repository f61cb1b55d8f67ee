-- Training that stands on another model: adapters, teachers, rounding, and older checkpoints.
local mobilellm = require "mobilellm"
local temporary, remove = require "temporary"()
local train = mobilellm.train

teardown(remove)

local function with(base, extra)
  local out = {}
  for k, v in pairs(base) do out[k] = v end
  for k, v in pairs(extra or {}) do out[k] = v end
  return out
end

local shape = {vocabulary = 40, width = 32, heads = 4, kv_heads = 2, head_size = 8, ffn = 64, blocks = 2, context = 40}
local settings = {threads = 1, learning_rate = 5e-3, warmup = 3, steps = 200, batch_tokens = 100, pack_tokens = 64, precision = "f32"}

-- Rows "n n+s n+2s ...": a counter whose step a small model learns.
local function counting(rows, by)
  local data = train.data()
  for r = 1, rows do
    local ids = {}
    for i = 1, 12 do ids[i] = (r * 7 + i * (by or 1)) % 36 end
    data:add(ids, 2)
  end
  return data
end

-- A model file that has learned to count by one; its trainer.
local function base_model(extra, steps)
  local trainer = assert(train.new(with(settings, {shape = with(shape, extra)})))
  assert(trainer:run{data = counting(40), steps = steps or 60})
  local path = temporary ".gguf"
  assert(trainer:export(path, {type = "f32"}))
  return path, trainer
end

local function logits_of(path, ids)
  local model = assert(mobilellm.load(path, {kernel = "reference"}))
  local session = model:session()
  session:feed(ids)
  local out, logits = {}, session:logits()
  for id = 0, 39 do out[id + 1] = logits:get(id) end
  model:close()
  return out
end

local function furthest(a, b)
  local worst = 0
  for i = 1, #b do worst = math.max(worst, math.abs(a[i] - b[i])) end
  return worst
end

describe("adapters", function()
  local shapes = {
    ["a plain shape"] = {}, ["blocks executed twice"] = {passes = 2}, ["one FFN, own head"] = {shared_ffn = true, tied = false},
    ["q/k norms"] = {qk_norm = true}, biases = {qkv_bias = true, output_bias = true},
  }
  for name, extra in pairs(shapes) do
    it("learn beside the weights and are merged into them: " .. name, function()
      local path = base_model(extra)
      local ids = {3, 5, 7, 9}
      local trainer = assert(train.new(with(settings, {base = path, lora = {rank = 4, alpha = 8}})))
      assert.is_true(furthest(trainer:logits(ids), logits_of(path, ids)) < 1e-4) -- B is zero
      local info = trainer:info()
      assert.is_true(info.trained < info.parameters / 2)
      assert.same({rank = 4, alpha = 8, targets = {"q", "k", "v", "o", "gate", "up", "down"}}, info.lora)
      local other = counting(40, 2)
      local before = trainer:evaluate(other)
      assert(trainer:run{data = other, steps = 60})
      local after = trainer:evaluate(other)
      assert.is_true(after < 0.7 * before, ("loss %g, then %g"):format(before, after))
      local merged = temporary ".gguf"
      assert(trainer:export(merged, {type = "f32"}))
      assert.is_true(furthest(trainer:logits(ids), logits_of(merged, ids)) < 1e-4)
    end)
  end

  it("go on from a checkpoint to the same numbers, with their model", function()
    local path, full = base_model()
    local other, data, checkpoint = base_model({}, 61), counting(30, 3), temporary()
    local options = with(settings, {base = path, lora = 3, seed = 9})
    local straight, broken = assert(train.new(options)), assert(train.new(options))
    local wanted
    for _ = 1, 6 do wanted = straight:next(data) end
    for _ = 1, 3 do broken:next(data) end
    assert.is_true(broken:save(checkpoint))
    local again = assert(train.resume(checkpoint, {base = path}))
    assert.equal(3, again:info().lora.rank)
    local got
    for _ = 1, 3 do got = again:next(data) end
    assert.equal(wanted, got)
    assert.same(straight:logits{1, 2}, again:logits{1, 2})
    -- The file holds adapters only.
    local whole = temporary()
    full:save(whole)
    local function size(of)
      local file = assert(io.open(of, "rb"))
      local bytes = file:seek "end"
      file:close()
      return bytes
    end
    assert.is_true(size(checkpoint) < size(whole) / 2)
    local ok, message = pcall(train.resume, checkpoint)
    assert.is_false(ok)
    assert.matches("'base'", message, 1, true)
    ok, message = pcall(train.resume, checkpoint, {base = other})
    assert.is_false(ok)
    assert.matches("not the model", message, 1, true)
  end)

  it("stand on files of other types", function()
    local _, trainer = base_model()
    for _, kind in ipairs{"f16", "q8_0", "q4_0"} do
      local path = temporary ".gguf"
      assert(trainer:export(path, {type = kind}))
      local adapted = assert(train.new(with(settings, {base = path, lora = {rank = 2, targets = {"q", "v"}}})))
      assert.same({"q", "v"}, adapted:info().lora.targets)
      assert.is_true(furthest(adapted:logits{1, 2, 3}, logits_of(path, {1, 2, 3})) < 1e-3)
      assert(adapted:next(counting(10, 2)))
    end
  end)

  it("are refused where they make no sense", function()
    local path = base_model({}, 1)
    local function message(o)
      local ok, text = pcall(train.new, with(settings, o))
      assert.is_false(ok)
      return text
    end
    assert.matches("'base' is needed", message{shape = shape, lora = 4}, 1, true)
    assert.matches("rank 33", message{base = path, lora = 33}, 1, true)
    assert.matches("'targets'", message{base = path, lora = {targets = {"embedding"}}}, 1, true)
    assert.matches("targets", message{base = path, lora = {targets = {}}}, 1, true)
    assert.matches("unknown option 'ranks'", message{base = path, lora = {ranks = 3}}, 1, true)
    assert.matches("rounding", message{base = path, lora = 4, rounding = "q4_0"}, 1, true)
  end)
end)

describe("activations computed anew", function()
  it("give the same numbers with less memory", function()
    local function run(extra)
      local trainer = assert(train.new(with(settings, with({shape = with(shape, {blocks = 4}), pack_tokens = 512}, extra))))
      local loss
      for _ = 1, 4 do loss = trainer:next(counting(40)) end
      return loss, trainer:logits{1, 2, 3}, trainer:info().bytes, trainer
    end
    local loss, logits, bytes = run()
    local again, same, less, trainer = run{recompute = true}
    assert.equal(loss, again)
    assert.same(logits, same)
    assert.is_true(less < bytes)
    trainer:set{recompute = false}
    trainer:next(counting(40))
    assert.is_true(trainer:info().bytes > less)
  end)
end)

describe("the memory of a training", function()
  it("is known before it is taken", function()
    for _, extra in ipairs{{}, {recompute = true}, {rounding = "q4_0"}, {threads = 2}} do
      local options = with(settings, with({shape = shape}, extra))
      local before = assert(train.memory(with(options, {longest = 11})))
      local trainer = assert(train.new(options))
      assert.is_true(trainer:info().bytes < before)
      trainer:next(counting(40))
      assert.equal(trainer:info().bytes, before)
    end
    local path = base_model({}, 1)
    local full = assert(train.memory(with(settings, {base = path})))
    assert.is_true(assert(train.memory(with(settings, {base = path, lora = 2}))) < full)
    assert.is_true(assert(train.memory(with(settings, {base = path, teacher = path}))) > full)
    local none, message, code = train.memory{base = "/nowhere/model.gguf"}
    assert.is_nil(none)
    assert.equal("io", code)
    assert.matches("/nowhere", message, 1, true)
    assert.has_error(function() train.memory{} end)
    assert.has_error(function() train.memory{shape = with(shape, {heads = 3}), kv_heads = 2} end)
  end)
end)

describe("a teacher", function()
  it("is followed without rows of its own", function()
    local path, teacher = base_model({width = 48, head_size = 12}, 150)
    local data = counting(40)
    local student = assert(train.new(with(settings, {shape = shape, teacher = path, mix = 1, temperature = 1, steps = 200})))
    local first, last
    for _ = 1, 120 do
      local loss = student:next(data)
      first = first or loss
      last = loss
    end
    assert.is_true(last < 0.2 * first, ("divergence %g, then %g"):format(first, last))
    -- With mix 1 the targets say nothing: the student's loss comes to be the teacher's.
    local own, his = student:evaluate(data), teacher:evaluate(data)
    assert.is_true(math.abs(own - his) < 0.3, ("%g, the teacher's %g"):format(own, his))
  end)

  it("changes nothing with mix 0, and is needed to go on", function()
    local path, data, checkpoint = base_model({}, 20), counting(30, 2), temporary()
    local plain = assert(train.new(with(settings, {shape = shape, seed = 4})))
    local taught = assert(train.new(with(settings, {shape = shape, seed = 4, teacher = path, mix = 0})))
    for _ = 1, 4 do assert.is_true(math.abs(plain:next(data) - taught:next(data)) < 1e-5) end
    taught:set{mix = 0.5}
    taught:next(data)
    assert(taught:save(checkpoint))
    local wanted = taught:next(data)
    local again = assert(train.resume(checkpoint, {teacher = path}))
    assert.equal(wanted, (again:next(data)))
    local alone = assert(train.resume(checkpoint))
    local ok, message = pcall(alone.next, alone, data)
    assert.is_false(ok)
    assert.matches("teacher", message, 1, true)
    ok, message = pcall(train.resume, checkpoint, {teacher = base_model({}, 21)})
    assert.is_false(ok)
    assert.matches("not the one", message, 1, true)
  end)

  it("must speak the same tokens", function()
    local path = base_model({vocabulary = 41}, 1)
    local ok, message = pcall(train.new, with(settings, {shape = shape, teacher = path}))
    assert.is_false(ok)
    assert.matches("41", message, 1, true)
    local none, _, code = train.new(with(settings, {shape = shape, teacher = "/nowhere/x.gguf"}))
    assert.is_nil(none)
    assert.equal("io", code)
  end)
end)

describe("weights rounded while they learn", function()
  it("lose less when a file of the type is written", function()
    -- Random rows to be known by heart: that needs every weight.
    local data, state = train.data(), 7
    for _ = 1, 60 do
      local ids = {}
      for i = 1, 16 do
        state = state * 16807 % 2147483647
        ids[i] = state % 40
      end
      data:add(ids, 1)
    end
    local first = assert(train.new(with(settings, {shape = with(shape, {ffn = 32}), steps = 600, learning_rate = 4e-3, warmup = 10,
      decay = 0, batch_tokens = 300})))
    assert(first:run{data = data, steps = 300})
    local checkpoint = temporary()
    assert(first:save(checkpoint))
    local gap = {}
    for _, rounding in ipairs{"f32", "q4_0"} do
      local trainer = assert(train.resume(checkpoint, {rounding = rounding}))
      assert.equal(rounding, trainer:info().rounding)
      assert(trainer:run{data = data})
      local path = temporary ".gguf"
      assert(trainer:export(path, {type = "q4_0"}))
      local stored = assert(train.new{base = path, threads = 1, precision = "f32"})
      local loss = stored:evaluate(data)
      -- What a rounding trainer says about itself is what the file says.
      if rounding == "q4_0" then assert.is_true(math.abs(loss - trainer:evaluate(data)) < 1e-5) end
      trainer:set{rounding = "f32"}
      gap[rounding] = loss
      gap.float = gap.float or trainer:evaluate(data)
    end
    assert.is_true(gap.q4_0 - gap.float < 0.5 * (gap.f32 - gap.float),
      ("Q4_0: %g after rounding in training, %g without, floats %g"):format(gap.q4_0, gap.f32, gap.float))
  end)

  it("go on to the same numbers", function()
    local data, checkpoint = counting(30), temporary()
    local trainer = assert(train.new(with(settings, {shape = shape, rounding = "q8_0"})))
    for _ = 1, 3 do trainer:next(data) end
    assert(trainer:save(checkpoint))
    local wanted = trainer:next(data)
    local again = assert(train.resume(checkpoint))
    assert.equal("q8_0", again:info().rounding)
    assert.equal(wanted, (again:next(data)))
    assert.has_error(function() train.new(with(settings, {shape = shape, rounding = "q5_0"})) end)
    assert.has_error(function() train.new(with(settings, {shape = shape, rounding = "q9"})) end)
  end)
end)

-- tests/golden/trainer-v1.checkpoint was written by version 1 of the format after five steps of
--   train.new{shape = {vocabulary = 24, width = 16, heads = 2, kv_heads = 1, head_size = 8, ffn = 16, blocks = 1, passes = 2,
--     context = 16}, threads = 1, shards = 2, precision = "f32", seed = 4, warmup = 2, steps = 20, schedule = "wsd", cooldown = 5,
--     learning_rate = 0.01, batch_tokens = 30, pack_tokens = 16}
-- on the rows below; the losses and logits are those of the same run going on.
describe("a checkpoint of the first format", function()
  it("goes on", function()
    local trainer = assert(train.resume "tests/golden/trainer-v1.checkpoint")
    local data = train.data()
    for r = 1, 9 do
      local ids = {}
      for i = 1, 8 do ids[i] = (r * 5 + i) % 24 end
      data:add(ids, 1)
    end
    assert.equal(5, trainer:info().step)
    for _, wanted in ipairs{2.716155, 2.594052} do
      local loss = trainer:next(data)
      assert.is_true(math.abs(loss - wanted) < 1e-4, ("%g, then %g"):format(loss, wanted))
    end
    local logits = trainer:logits{1, 2, 3}
    assert.is_true(math.abs(logits[1] - 0.04550) < 1e-3 and math.abs(logits[5] - 0.71177) < 1e-3)
    local path = temporary()
    assert(trainer:save(path))
    assert.equal(7, assert(train.resume(path)):info().step)
  end)
end)
