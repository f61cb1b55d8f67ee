local mobilellm = require "mobilellm"
local temporary, remove = require "temporary"()
local train = mobilellm.train

teardown(remove)

local shape = {vocabulary = 40, width = 32, heads = 4, kv_heads = 2, head_size = 8, ffn = 48, blocks = 2, context = 40}

local function with(extra, base)
  local out = {}
  for k, v in pairs(base or shape) do out[k] = v end
  for k, v in pairs(extra) do out[k] = v end
  return out
end

local function options(extra)
  return with(extra or {}, {
    shape = shape, threads = 2, learning_rate = 5e-3, warmup = 3, steps = 20, batch_tokens = 100, pack_tokens = 64,
  })
end

-- Rows "n n+1 n+2 ...": a counter that a small model learns in a few steps.
local function counting(rows, first)
  local data = train.data()
  for r = 1, rows do
    local ids = {}
    for i = 1, 12 do ids[i] = ((first or 0) + r * 7 + i) % 36 end
    data:add(ids, 2)
  end
  return data
end

describe("train.data", function()
  it("keeps what it is given", function()
    local data = train.data()
    assert.is_true(data:add({1, 2, 3, 4}, 2))
    data:add({5, 6, 7}, 1, 0.5, 0.25)
    data:add{ids = {8, 9}, weights = {0, 3}}
    assert.equal(3, data:rows())
    assert.equal(9, data:tokens())
    assert.equal(4, data:longest())
    assert.same({ids = {5, 6, 7}, prompt = 1, weight = 0.5, prompt_weight = 0.25}, data:row(2))
    assert.same({0, 3}, data:row(3).weights)
    local other = train.data()
    other:append(data)
    other:append(data)
    assert.equal(6, other:rows())
    assert.same(data:row(2), other:row(5))
  end)

  it("comes back from a file", function()
    local data, path = counting(5), temporary()
    assert.is_true(data:save(path))
    local again = assert(train.data(path))
    assert.equal(5, again:rows())
    assert.same(data:row(4), again:row(4))
    local none, message, code = train.data(path .. ".missing")
    assert.is_nil(none)
    assert.equal("io", code)
    assert.matches(path, message, 1, true)
  end)

  it("refuses what makes no sense", function()
    local data = train.data()
    assert.has_error(function() data:add({1}) end)
    assert.has_error(function() data:add({1, 2}, 3) end)
    assert.has_error(function() data:add({1, "x"}) end)
    assert.has_error(function() data:add{ids = {1, 2}, wieghts = {1, 1}} end, nil)
    assert.has_error(function() data:add{ids = {1, 2}, weights = {1}} end)
    local none, _, code = data:add({1, -2})
    assert.is_nil(none)
    assert.equal("token", code)
    assert.equal(0, data:rows())
    data:close()
    data:close()
    assert.has_error(function() data:rows() end)
  end)
end)

describe("train.new", function()
  it("names what is wrong with its options", function()
    local function message(o)
      local ok, text = pcall(train.new, o)
      assert.is_false(ok)
      return text
    end
    assert.matches("unknown option 'learningrate'", message(options{learningrate = 1}), 1, true)
    assert.matches("unknown option 'depth'", message{shape = with{depth = 3}}, 1, true)
    assert.matches("either 'shape' or 'base'", message{}, 1, true)
    assert.matches("'schedule'", message(options{schedule = "linear"}), 1, true)
    assert.matches("'heads'", message{shape = with{heads = 0}}, 1, true)
    assert.is_string(message{shape = with{heads = 3, kv_heads = 2}})
    assert.is_string(message{shape = with{head_size = 7}})
  end)

  it("counts parameters once, whatever shares them", function()
    local function parameters(extra) return train.new{shape = with(extra), threads = 1}:info().parameters end
    local plain = parameters{}
    assert.equal(plain, parameters{passes = 2})
    assert.equal(plain + 40 * 32, parameters{tied = false})
    assert.equal(plain - 3 * 32 * 48, parameters{shared_ffn = true})
  end)

  it("gives the same weights for the same seed", function()
    local function loss(seed)
      local trainer = train.new(options{seed = seed})
      local value = trainer:evaluate(counting(4))
      trainer:close()
      return value
    end
    assert.equal(loss(3), loss(3))
    assert.is_true(loss(3) ~= loss(4))
  end)
end)

describe("a trainer", function()
  it("learns from rows and tells how it went", function()
    local trainer = train.new(options())
    local rows = {}
    for r = 1, 8 do
      rows[r] = {ids = {r, r + 1, r + 2, r + 3, r + 4}, prompt = 1}
    end
    local first, stats = trainer:step(rows)
    assert.is_true(math.abs(first - math.log(40)) < 0.3)
    assert.equal(1, stats.step)
    assert.equal(32, stats.tokens)
    assert.equal(32, stats.scored)
    assert.is_true(stats.grad_norm > 0 and stats.learning_rate > 0 and stats.seconds >= 0)
    local last
    for _ = 1, 19 do last = trainer:step(rows) end
    assert.is_true(last < 0.8 * first)
  end)

  it("counts what its weights say", function()
    local function loss(row) return (train.new(options{seed = 5}):step{row}) end
    local ids = {1, 2, 3, 4, 5, 6}
    assert.equal(loss{ids = ids, prompt = 3}, loss{ids = ids, weights = {0, 0, 0, 1, 1, 1}})
    assert.is_true(math.abs(loss{ids = ids, prompt = 3, weight = 4} - loss{ids = ids, prompt = 3}) < 1e-6)
    local half = loss{ids = ids, prompt = 3, prompt_weight = 0.5}
    local both = loss{ids = ids, weights = {0.5, 0.5, 0.5, 1, 1, 1}}
    assert.equal(half, both)
    assert.is_true(half ~= loss{ids = ids, prompt = 3})
  end)

  it("returns nil and a code for a row that does not fit", function()
    local trainer = train.new(options())
    local long = {}
    for i = 1, 50 do long[i] = 1 end
    local none, message, code = trainer:step{{ids = {1, 2}}, {ids = long}}
    assert.is_nil(none)
    assert.equal("context", code)
    assert.matches("row 2", message, 1, true)
    none, message, code = trainer:step{{ids = {1, 40}}}
    assert.is_nil(none)
    assert.equal("token", code)
    assert.matches("40", message, 1, true)
    assert.has_error(function() trainer:step{} end)
    assert.has_error(function() trainer:step{{ids = {1, 2}, prompt = 2}} end)
    assert.equal(0, trainer:info().step)
  end)

  it("runs over data, evaluates, saves and stops when told", function()
    local trainer = train.new(options{steps = 12})
    local path, best, seen = temporary(), temporary(), {}
    local last = assert(trainer:run{
      data = counting(40), evaluate = counting(5, 3), evaluate_every = 5, checkpoint = path, best = best,
      on_step = function(stats) seen[#seen + 1] = stats end,
    })
    assert.equal(12, last.step)
    assert.equal(12, last.steps_done)
    assert.equal(12, #seen)
    assert.is_table(seen[5].evaluation)
    assert.is_nil(seen[6].evaluation)
    assert.is_table(seen[12].evaluation)
    assert.is_true(seen[12].evaluation.loss < seen[5].evaluation.loss)
    assert.equal(last.best_loss, seen[12].evaluation.loss)
    assert.is_true(seen[3].tokens_per_second > 0 and seen[12].time_left == 0)
    assert.matches("step 12  loss %d", train.progress(seen[12]))
    assert.equal(12, assert(train.resume(path)):info().step)
    assert.equal(12, assert(train.resume(best)):info().step)

    trainer:set{steps = 100}
    last = assert(trainer:run{data = counting(40), on_step = function(stats) return stats.step < 15 end})
    assert.equal(15, last.step)
    last = assert(trainer:run{data = counting(40), steps = 2})
    assert.equal(17, last.step)
    assert.has_error(function() trainer:run{data = counting(4), on_step = function() error("mine", 0) end} end, "mine")
    assert.has_error(function() trainer:run{data = counting(4), stpes = 1} end)
    assert.has_error(function() trainer:run{} end)
  end)

  it("goes on from a checkpoint to the same numbers", function()
    local data, path = counting(30), temporary()
    local straight, broken = train.new(options{seed = 9}), train.new(options{seed = 9})
    local wanted
    for _ = 1, 6 do wanted = straight:next(data) end
    for _ = 1, 3 do broken:next(data) end
    assert.is_true(broken:save(path))
    broken:close()
    local again = assert(train.resume(path, {threads = 1}))
    assert.equal(3, again:info().step)
    local got
    for _ = 1, 3 do got = again:next(data) end
    assert.equal(wanted, got)
    assert.equal(straight:evaluate(data), again:evaluate(data))
  end)

  it("refuses a damaged checkpoint", function()
    local trainer, path = train.new(options()), temporary()
    assert(trainer:save(path))
    local file = assert(io.open(path, "rb"))
    local bytes = file:read "*a"
    file:close()
    for _, damaged in ipairs{bytes:sub(1, -2), bytes:sub(1, 100), "", bytes:sub(1, 999) .. "?" .. bytes:sub(1001)} do
      file = assert(io.open(path, "wb"))
      file:write(damaged)
      file:close()
      local none, message, code = train.resume(path)
      assert.is_nil(none)
      assert.equal("format", code)
      assert.matches(path, message, 1, true)
    end
    local none, _, code = trainer:save "/nowhere/at/all"
    assert.is_nil(none)
    assert.equal("io", code)
  end)

  it("closes once and for all", function()
    local trainer = train.new(options())
    trainer:close()
    trainer:close()
    assert.has_error(function() trainer:info() end)
    assert.matches("closed", tostring(trainer))
  end)
end)

-- The engine's own forward pass and the trainer's must say the same about exported weights.
describe("an exported model", function()
  local shapes = {
    plain = {}, ["blocks executed twice"] = {passes = 2}, ["one FFN, own head"] = {shared_ffn = true, tied = false},
    ["q/k norms"] = {qk_norm = true}, ["q/k/v biases"] = {qkv_bias = true},
  }
  for name, extra in pairs(shapes) do
    it("gives the trainer's logits: " .. name, function()
      local trainer = train.new(options{shape = with(extra)})
      assert(trainer:run{data = counting(40), steps = 10})
      local ids = {3, 4, 5, 6, 7, 11, 2}
      local wanted = trainer:logits(ids)
      for _, case in ipairs{{"f32", 1e-4}, {"f16", 2e-2}, {"q8_0", 0.1}, {"q4_0", 1.5}} do
        local path = temporary ".gguf"
        assert(trainer:export(path, {type = case[1], card = {licence = "MIT"}, name = "counter"}))
        local model = assert(mobilellm.load(path, {kernel = "reference"}))
        local session = model:session()
        session:feed(ids)
        local logits, worst = session:logits(), 0
        for id = 0, 39 do worst = math.max(worst, math.abs(logits:get(id) - wanted[id + 1])) end
        assert.is_true(worst < case[2], ("%s is off by %g"):format(case[1], worst))
        model:close()

        if case[1] == "f32" then -- and the trainer goes on from it
          local again = assert(train.new{base = path, threads = 1})
          local got = again:logits(ids)
          for i = 1, 40 do assert.is_true(math.abs(got[i] - wanted[i]) < 1e-5) end
          assert(again:step{{ids = ids}})
        end
      end
    end)
  end

  it("carries its vocabulary and its card", function()
    local vocabulary = train.bpe{texts = {"turn the light on", "turn the light off", "turn it on"}, size = 280, special = {"<|end|>"}}
    local trainer = train.new{
      vocabulary = vocabulary, name = "light switch", threads = 1,
      shape = {width = 32, heads = 2, kv_heads = 1, head_size = 16, ffn = 64, blocks = 1},
    }
    assert.equal(vocabulary:size(), trainer:info().vocabulary)
    local text = "turn the light on"
    local ids = vocabulary:tokenize(text)
    assert(trainer:step{{ids = ids}})
    local path = temporary ".gguf"
    assert(trainer:export(path, {type = "q8_0", card = {licence = "MIT", data = "three sentences"}}))
    local model = assert(mobilellm.load(path))
    assert.same(ids, model:tokenize(text, {bos = false}))
    assert.equal("light switch", model:info().name)
    model:close()
    assert.has_error(function()
      train.new{vocabulary = vocabulary, shape = with{vocabulary = 40}}
    end)
  end)

  it("is not made from what is not there", function()
    local none, message, code = train.new{base = "/nowhere/model.gguf"}
    assert.is_nil(none)
    assert.equal("io", code)
    assert.matches("/nowhere/model.gguf", message, 1, true)
    assert.has_error(function() train.new(options()):export("/nowhere/x", {type = "q9"}) end)
  end)
end)

-- Reference logits of another engine: both rotary orders, blocks executed twice, one FFN, stored floats and blocks of bits.
describe("the trainer's forward pass on others' files", function()
  local shared = os.getenv "MLLM_SHARED" or "../shared"
  for _, name in ipairs{"mobilellm-hf", "mobilellm-ls-hf", "mobillama-hf", "mobilellm-f16.gguf", "mobilellm-q4_k_m.gguf"} do
    it("agrees with the reference: " .. name, function()
      local file = io.open(shared .. "/golden/" .. name:gsub("%.gguf$", "") .. ".logits.json", "rb")
      if not file then return pending "no shared data" end
      local golden = mobilellm.json.decode(file:read "*a")
      file:close()
      local trainer = assert(train.new{base = shared .. "/golden/" .. name, threads = 1, shards = 1})
      for count, wanted in pairs{[1] = golden.logits_first, [#golden.tokens] = golden.logits_last} do
        local ids = {}
        for i = 1, count do ids[i] = golden.tokens[i] end
        local got, difference, norm = trainer:logits(ids), 0, 0
        for i = 1, #wanted do
          difference, norm = difference + (got[i] - wanted[i]) ^ 2, norm + wanted[i] ^ 2
        end
        local worst = math.sqrt(difference / norm)
        assert.is_true(worst < 5e-4, ("off by %g after %d tokens"):format(worst, count))
      end
      trainer:close()
    end)
  end
end)

describe("train.curve", function()
  it("writes and reads CSV, and draws", function()
    local curve, path = train.curve.new(), temporary()
    for i = 1, 60 do
      curve:add{step = i, loss = 5 / i, learning_rate = 1e-3, grad_norm = 1, total_tokens = 10 * i, tokens_per_second = 7,
        evaluation = i % 20 == 0 and {loss = 6 / i, accuracy = 0.5} or nil}
    end
    assert.is_true(curve:save_csv(path))
    local again = assert(train.curve.load(path))
    assert.equal(60, #again.points)
    assert.equal(0.125, again.points[40].loss)
    assert.equal(0.15, again.points[40].evaluation_loss)
    assert.is_nil(again.points[41].evaluation_loss)
    again:add{step = 50, loss = 1}
    assert.equal(50, #again.points)
    local svg = curve:svg{title = "a < b"}
    assert.matches("^<svg ", svg)
    assert.matches("a &lt; b", svg, 1, true)
    assert.is_nil(svg:find "nan")
    assert.matches("^<svg ", train.curve.new():svg())
    local none, _, code = train.curve.load(path .. ".missing")
    assert.is_nil(none)
    assert.equal("io", code)
    assert.is_nil((curve:save_svg "/nowhere/x.svg"))
  end)
end)

describe("the start of new weights", function()
  local deep = {vocabulary = 300, width = 192, heads = 6, kv_heads = 3, head_size = 32, ffn = 64, blocks = 5, rope_base = 1e6,
    context = 64}

  -- Share of the second half of a repeated text that is predicted.
  local function copied(start)
    local trainer = assert(train.new{shape = deep, start = start, seed = 3, threads = 1, shards = 1})
    local ids = {}
    for i = 1, 20 do ids[i] = (i * 37) % 300 end
    for i = 1, 20 do ids[20 + i] = ids[i] end
    local rows = train.data()
    rows:add(ids, 21)
    local _, score = trainer:evaluate(rows)
    trainer:close()
    return score.accuracy
  end

  it("is random, or can copy", function()
    assert.is_true(copied(nil) < 0.2)
    assert.is_true(copied "copying" > 0.6)
  end)

  it("is refused where the shape cannot copy, or the name is unknown", function()
    local trainer, message, code = train.new{shape = {vocabulary = 300, width = 192, heads = 6, head_size = 32, ffn = 64, blocks = 1,
      rope_base = 1e6}, start = "copying"}
    assert.is_nil(trainer)
    assert.matches("two blocks", message)
    assert.equal("unsupported", code)
    assert.has_error(function() train.new{shape = deep, start = "magic"} end)
  end)
end)
