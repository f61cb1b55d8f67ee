local mobilellm = require "mobilellm"

local inf = math.huge

local function numbers(n)
  local t = {}
  for i = 1, n do t[i] = (i * 7919 % 1000) / 250 end
  return t
end

local function raises(part, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok)
  assert.is_string(message)
  assert.is_truthy(message:find(part, 1, true), message)
end

local function draws(sampler, logits, n)
  local ids = {}
  for i = 1, n do
    ids[i] = assert(sampler:sample(logits))
    sampler:accept(ids[i])
  end
  return ids
end

describe("a sampler", function()
  it("takes every stage, with its first parameter in place or by name", function()
    local logits = mobilellm.logits(numbers(50))
    for _, stage in ipairs{
      {"temperature", 0.8}, {"temperature", t = 0.8, range = 0.2, exponent = 2}, {"greedy"}, {"top_k", 40}, {"top_k", k = 40},
      {"top_p", 0.9, min_keep = 2}, {"min_p", 0.1}, {"typical", 0.9}, {"top_n_sigma", 1.5}, {"xtc", 0.5, threshold = 0.01},
      {"mirostat", 4, eta = 0.2}, {"mirostat", tau = 4, version = 1, m = 50}, {"penalties", 1.1},
      {"penalties", repeat_penalty = 1.1, frequency_penalty = 0.1, presence_penalty = 0.2, last_n = 64},
      {"dry", 0.8, base = 1.75, allowed_length = 2, last_n = -1, breakers = {3, 4}}, {"logit_bias", {[0] = 1, [7] = -inf}},
      {"logit_bias", biases = {[3] = 2.5}}, {"ban", {0, 1}}, {"ban", tokens = {5}}, {"no_repeat_ngram", 3, last_n = 100},
      {"min_length", 3, ends = {2}},
    } do
      local sampler = mobilellm.sampler{stage, seed = 1}
      for _, id in ipairs(draws(sampler, logits, 30)) do assert.is_true(id >= 0 and id < 50) end
    end
  end)

  it("names what it does not know", function()
    local function new(t) return function() return mobilellm.sampler(t) end end
    raises("unknown sampler stage 'topk'", new{{"topk", 40}})
    raises("'top_k' has no parameter 'q' (it has: k)", new{{"top_k", q = 1}})
    raises("unknown option 'sed'", new{{"top_k", 40}, sed = 1})
    raises("unknown option '5'", new{{"top_k", 40}, [5] = {"greedy"}})
    raises("stage 1: its name must stand first, got nil", new{{k = 40}})
    raises("stage 2: a table {name, ...} or a function expected, got string", new{{"greedy"}, "top_k"})
    raises("only one parameter without a name", new{{"top_k", 40, 50}})
    raises("k is given twice", new{{"top_k", 40, k = 50}})
    raises("p = 2 is outside 0..1", new{{"top_p", 2}})
    raises("stage 1: the first parameter of 'top_k' must be a number or a table, got string", new{{"top_k", "40"}})
    raises("p of 'top_p' must be a number or a table, got boolean", new{{"top_p", p = true}})
    raises("logits or session expected, got number", function() mobilellm.sampler{}:sample(5) end)
    raises("k must be a number", new{{"top_k", {40}}})
    raises("must be a table of token id = number", new{{"logit_bias", {a = 1}}})
    raises("must be a table of token id = number", new{{"logit_bias", {[3] = "x"}}})
    raises("list of strings", new{{"dry", breakers = {"a", 4}}})
    raises("token id expected at [1]", new{{"ban", {{}}}})
    raises("'ban' needs tokens", new{{"ban"}})
    raises("seed must be an integer", new{seed = 1.5})
    raises("seed must be an integer of at least 0, got -1", new{seed = -1})
    raises("a table of stages expected, got nil", new(nil))
    raises("model expected", new{model = 3})
  end)

  it("draws the same tokens from the same seed, in every Lua", function()
    local function chain(seed)
      return mobilellm.sampler{{"penalties", 1.2, last_n = 20}, {"top_k", 30}, {"top_p", 0.95}, {"temperature", 0.7},
        {"xtc", 0.3}, seed = seed}
    end
    local logits = mobilellm.logits(numbers(200))
    local a = draws(chain(42), logits, 12)
    assert.same(a, draws(chain(42), logits, 12))
    assert.are_not.same(a, draws(chain(43), logits, 12))
    assert.same({74, 186, 160, 172, 111, 50, 61, 174, 173, 136, 24, 123}, a)
    local sampler = chain(42)
    draws(sampler, logits, 5)
    assert.equal(42, sampler:seed())
    sampler:reset()
    assert.same(a, draws(sampler, logits, 12))
    sampler:reset(43)
    assert.same(draws(chain(43), logits, 12), draws(sampler, logits, 12))
    assert.equal(43, sampler:seed())
  end)

  it("has a seed of its own when none is given", function()
    local a, b = mobilellm.sampler{}, mobilellm.sampler{}
    assert.are_not.equal(a:seed(), b:seed())
    local logits = mobilellm.logits(numbers(200))
    assert.same(draws(a, logits, 10), draws(mobilellm.sampler{seed = a:seed()}, logits, 10))
  end)

  it("leaves the logits as they are and accepts nothing by itself", function()
    local logits = mobilellm.logits{1, 2, 3, -inf}
    local before = logits:string()
    local sampler = mobilellm.sampler{{"penalties", presence_penalty = 1}, {"temperature", 0.5}}
    for _ = 1, 5 do assert.is_true(sampler:sample(logits) < 3) end
    assert.equal(before, logits:string())
    assert.same({}, sampler:tokens())
    sampler:prompt{7, 8}
    sampler:accept(2)
    assert.same({7, 8, 2}, sampler:tokens())
    raises("got -1", sampler.accept, sampler, -1)
    raises("logits or session expected", sampler.sample, sampler, {1, 2})
    raises("logits or session expected", sampler.sample, sampler)
  end)

  it("tells what is wrong with logits", function()
    local function failure(t)
      local id, message, code = mobilellm.sampler{{"ban", {1}}}:sample(mobilellm.logits(t))
      assert.is_nil(id)
      return code .. ": " .. message
    end
    assert.equal("format: the logit of token 2 is not a number", failure{1, 2, 0 / 0})
    assert.equal("format: the logit of token 1 is infinite", failure{1, inf})
    assert.equal("grammar: no token to sample: all are masked", failure{-inf, -inf})
    assert.equal("grammar: sampler stage 1 (ban) left no token", failure{-inf, 5})
  end)

  it("forks with its state", function()
    local logits = mobilellm.logits(numbers(100))
    local seen = 0
    local a = mobilellm.sampler{{"mirostat", 3}, function(_, tokens) seen = #tokens end, seed = 5}
    draws(a, logits, 10)
    local b = a:fork()
    assert.same(a:tokens(), b:tokens())
    assert.same(draws(a, logits, 10), draws(b, logits, 10))
    assert.equal(19, seen)
    a:close()
    collectgarbage()
    draws(b, logits, 1)
    assert.equal(20, seen)
  end)

  it("is closed once and for all", function()
    local s = mobilellm.sampler{}
    s:close()
    s:close()
    assert.has_error(function() s:sample(mobilellm.logits{1}) end, "attempt to use a closed sampler")
    assert.has_error(function() s:fork() end, "attempt to use a closed sampler")
  end)
end)

describe("a Lua function in a sampler", function()
  it("sees the logits of its place in the chain, and the tokens", function()
    local logits = mobilellm.logits{1, 5, 3, 4}
    local got
    local sampler = mobilellm.sampler{
      {"top_k", 3},
      {"temperature", 0.5},
      function(l, tokens)
        got = {#l, l:get(0), l:get(1), l:get(2), l:get(3), (unpack or table.unpack)(tokens)}
        l:set(0, 100) -- was cut off: stays so
        l:set(1, -inf)
        l:add({0, 3}, -50)
      end,
      {"greedy"},
    }
    sampler:prompt{9}
    sampler:accept(2)
    assert.equal(2, sampler:sample(logits))
    assert.same({4, -inf, 10, 6, 8, 9, 2}, got)
  end)

  it("is given every method of a view", function()
    local ran = false
    local sampler = mobilellm.sampler{{"top_k", 2}, function(l)
      ran = true
      local id, x = l:argmax()
      assert.equal(3, id)
      assert.equal(4, x)
      assert.equal(3, l:topk(5)[1].id)
      assert.equal(1, l:topk(5)[2].id)
      assert.is_nil(l:topk(5)[3])
      assert.is_true(math.abs(l:logprob(3) + math.log(1 + math.exp(-1))) < 1e-6)
      assert.equal(-inf, l:logprob(0))
      assert.same({0, 0}, l:softmax{0, 2})
      assert.is_true(l:entropy() > 0)
      assert.equal(20, #l:string())
      assert.equal(-inf, l:copy():get(2))
      l:guide(mobilellm.logits{0, 9, 0, 0, 0}, 2)
      l:contrast(mobilellm.logits{0, 9, 0, 0, 0}, {alpha = 0, beta = 1})
      l:mask{0, 1, 2}
    end}
    assert.equal(1, sampler:sample(mobilellm.logits{1, 3, 2, 4, 0}))
    assert.is_true(ran)
  end)

  it("may not keep the view", function()
    local kept
    local sampler = mobilellm.sampler{function(l) kept = l end}
    assert(sampler:sample(mobilellm.logits{1, 2}))
    assert.has_error(function() kept:get(0) end, "attempt to use stale logits")
    assert.has_error(function() return #kept end, "attempt to use stale logits")
  end)

  it("follows the tokens through accept, prompt and reset", function()
    local last, count, logits = nil, nil, mobilellm.logits{1, 2, 3}
    local sampler = mobilellm.sampler{function(_, tokens) count, last = #tokens, tokens[#tokens] end}
    local function look()
      sampler:sample(logits)
      return count, last
    end
    assert.same({0}, {look()})
    sampler:prompt{5, 6}
    assert.same({2, 6}, {look()})
    for i = 1, 50 do sampler:accept(i) end
    assert.same({52, 50}, {look()})
    sampler:reset()
    for _ = 1, 60 do sampler:accept(1) end
    assert.same({60, 1}, {look()})
    sampler:reset()
    assert.same({0}, {look()})
  end)

  it("ends the sampling with its error, word for word", function()
    local logits = mobilellm.logits{1, 2}
    local what
    local sampler = mobilellm.sampler{{"top_k", 2}, function() error(what, 0) end}
    for _, value in ipairs{"some text", {code = 7}, 42, true} do
      what = value
      local ok, got = pcall(sampler.sample, sampler, logits)
      assert.is_false(ok)
      assert.equal(value, got)
    end
    what = nil
    local good = mobilellm.sampler{function() end}
    assert.is_number(good:sample(logits))
    local wrong = mobilellm.sampler{function(l) l:get(2) end}
    local ok, message = pcall(wrong.sample, wrong, logits)
    assert.is_false(ok)
    assert.matches("0 to 1 expected, got 2", message)
  end)

  it("must leave a token", function()
    local id, message, code = mobilellm.sampler{function(l) l:mask{} end}:sample(mobilellm.logits{1, 2})
    assert.is_nil(id)
    assert.equal("sampler stage 1 (function) left no token", message)
    assert.equal("grammar", code)
  end)

  it("may use another sampler, but not its own", function()
    local logits = mobilellm.logits{1, 5, 2}
    local inner = mobilellm.sampler{function(l) l:set(1, -inf) end, {"greedy"}}
    local outer, own
    outer = mobilellm.sampler{function(l)
      assert.equal(2, inner:sample(l))
      own = {pcall(outer.sample, outer, logits)}
      l:add(0, 10)
    end, {"greedy"}}
    assert.equal(0, outer:sample(logits))
    assert.is_false(own[1])
    assert.matches("same sampler", own[2])
    -- an error inside the inner one passes through both
    local e = {}
    inner = mobilellm.sampler{function() error(e) end}
    local ok, got = pcall(outer.sample, outer, logits)
    assert.is_false(ok)
    assert.equal(e, got)
  end)

  it("may close or collect its sampler", function()
    local logits = mobilellm.logits{1, 5, 2}
    local sampler
    sampler = mobilellm.sampler{function()
      sampler:close()
      sampler = nil
      collectgarbage()
    end, {"greedy"}}
    assert.equal(1, sampler:sample(logits))
  end)

  it("runs in a coroutine, on the state that called", function()
    local logits = mobilellm.logits{1, 5, 2}
    local state
    local sampler = mobilellm.sampler{function() state = coroutine.running() end, {"greedy"}}
    local co = coroutine.create(function() return sampler:sample(logits) end)
    local ok, id = coroutine.resume(co)
    assert.is_true(ok)
    assert.equal(1, id)
    assert.equal(co, state)
    -- and cannot yield across the engine
    local yields = mobilellm.sampler{function() coroutine.yield(1) end}
    co = coroutine.create(function() return yields:sample(logits) end)
    assert.is_false(coroutine.resume(co))
  end)

  it("lives as long as its sampler", function()
    local logits = mobilellm.logits{1, 5, 2}
    local sampler = mobilellm.sampler{function(l) l:set(1, -inf) end, {"greedy"}}
    for _ = 1, 5 do collectgarbage() end
    assert.equal(2, sampler:sample(logits))
    local weak = setmetatable({}, {__mode = "k"})
    do
      local f = function() end
      weak[f] = true
      assert(mobilellm.sampler{f}:sample(logits))
    end
    for _ = 1, 5 do collectgarbage() end
    assert.is_nil(next(weak))
  end)
end)

local shared = os.getenv "MLLM_SHARED" or "../shared"
local path = shared .. "/golden/mobilellm-f16.gguf"

describe("a sampler with a model", function()
  local model
  setup(function()
    local f = io.open(path, "rb")
    if not f then return end
    f:close()
    model = assert(mobilellm.load(path, {kernel = "reference"}))
  end)

  it("draws from a session", function()
    if not model then return pending("no " .. path) end
    local session = assert(model:session())
    assert(session:feed{1, 5, 9})
    local best = session:logits():argmax()
    assert.equal(best, mobilellm.sampler{{"greedy"}}:sample(session))
    assert.is_nil(mobilellm.sampler{{"ban", {best}}, function(l) l:mask{best} end}:sample(session))
    session:close()
    raises("closed session", function() mobilellm.sampler{}:sample(session) end)
  end)

  it("learns end tokens and breakers from the vocabulary", function()
    if not model then return pending("no " .. path) end
    local ends = {}
    local eos = 2
    local logits = mobilellm.logits(numbers(model:info().vocabulary)):set(eos, 1000)
    local sampler = mobilellm.sampler{{"min_length", 2}, {"greedy"}, model = model}
    for i = 1, 3 do
      ends[i] = sampler:sample(logits) == eos
      sampler:accept(7)
    end
    assert.same({false, false, true}, ends)
    raises("end tokens", function() mobilellm.sampler{{"min_length", 2}}:sample(logits) end)
    local dry = {"dry", breakers = {"\n"}}
    raises("need a vocabulary", function() mobilellm.sampler{dry}:sample(logits) end)
    assert.is_number(mobilellm.sampler{dry, model = model}:sample(logits))
    assert.is_number(mobilellm.sampler{dry, model = model}:fork():sample(logits))
    local session = assert(model:session())
    assert(session:feed{1, 5, 9})
    assert.is_number(mobilellm.sampler{dry}:sample(session))
  end)

  it("drives a generation", function()
    if not model then return pending("no " .. path) end
    local calls, most = 0, 0
    local sampler = mobilellm.sampler{function(l, tokens)
      calls = calls + 1
      most = #tokens
      l:set(2, -inf) -- no end token
    end, {"temperature", 0.8}, seed = 3}
    local text, stats = assert(model:generate("hello", {max_tokens = 12, sampler = sampler}))
    assert.is_string(text)
    assert.equal(12, stats.tokens)
    assert.equal(12, calls)
    assert.is_true(most >= 12)
    assert.equal(text, (assert(model:generate("hello", {max_tokens = 12, sampler = sampler}))))
    local e = {}
    local ok, got = pcall(model.generate, model, "hello", {sampler = mobilellm.sampler{function() error(e) end}})
    assert.is_false(ok)
    assert.equal(e, got)
  end)
end)
