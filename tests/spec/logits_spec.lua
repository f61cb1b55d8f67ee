local mobilellm = require "mobilellm"

local function near(expected, got, tolerance)
  assert.is_true(math.abs(expected - got) <= (tolerance or 1e-6) * math.max(1, math.abs(expected)),
    ("%.9g expected, got %.9g"):format(expected, got))
end

local inf = math.huge

-- The logits of the probabilities 0.5 0.25 0.15 0.1 of the tokens 2 0 3 1.
local function four()
  return mobilellm.logits{math.log(0.25), math.log(0.1), math.log(0.5), math.log(0.15)}
end

describe("logits", function()
  it("are made of a list or of bytes, and give the bytes back", function()
    local l = mobilellm.logits{1, -2, 0.5, -inf}
    assert.equal(4, #l)
    local s = l:string()
    assert.equal("\0\0\128\63" .. "\0\0\0\192" .. "\0\0\0\63" .. "\0\0\128\255", s)
    local copy = mobilellm.logits(s)
    for id = 0, 3 do assert.equal(l:get(id), copy:get(id)) end
    assert.has_error(function() mobilellm.logits{} end)
    assert.has_error(function() mobilellm.logits("abc") end)
    assert.has_error(function() mobilellm.logits{1, "x"} end)
    assert.has_error(function() mobilellm.logits() end)
  end)

  it("are read and changed by 0-based ids", function()
    local l = mobilellm.logits{1, 2, 3}
    assert.equal(1, l:get(0))
    assert.equal(l, l:set(2, 7))
    assert.equal(7, l:get(2))
    l:set(1, -inf)
    assert.equal(-inf, l:get(1))
    l:set(1, 1e300)
    assert.is_true(l:get(1) < inf)
  end)

  it("raise for what is no token or no number", function()
    local l = mobilellm.logits{1, 2, 3}
    local function raises(part, f, ...)
      local ok, message = pcall(f, ...)
      assert.is_false(ok)
      assert.is_truthy(message:find(part, 1, true), message)
    end
    raises("0 to 2 expected, got 3", l.get, l, 3)
    raises("0 to 2 expected, got -1", l.get, l, -1)
    raises("0 to 2 expected", l.get, l, 0.5)
    raises("0 to 2 expected, got string", l.get, l, "1")
    raises("0 to 2 expected, got 3", l.set, l, 3, 0)
    raises("number under infinity", l.set, l, 0, inf)
    raises("number under infinity", l.set, l, 0, 0 / 0)
    raises("number", l.set, l, 0, {})
    raises("token id 3 is outside of the vocabulary of 3", l.add, l, {0, 3}, 1)
    raises("token id -1 is outside", l.mask, l, {-1})
    raises("token id expected at [2], got boolean", l.mask, l, {1, true})
    raises("0 to 2 expected", l.logprob, l, 3)
    raises("outside", l.softmax, l, {5})
    raises("logits expected, got table", l.get, {}, 0)
    raises("3", l.guide, l, mobilellm.logits{1, 2}, 1)
    raises("unknown option 'gamma'", l.contrast, l, l, {gamma = 1})
    raises("alpha", l.contrast, l, l, {alpha = 2})
  end)

  it("add to one token or to many, and leave masked ones masked", function()
    local l = mobilellm.logits{1, 2, -inf, 4}
    assert.equal(l, l:add(0, 0.5):add({1, 2, 1}, -1))
    assert.same({1.5, 0, -inf, 4}, {l:get(0), l:get(1), l:get(2), l:get(3)})
    l:add({0, 3}, -inf)
    assert.same({-inf, 0, -inf, -inf}, {l:get(0), l:get(1), l:get(2), l:get(3)})
    l:add(1, 1e308):add(1, 1e308)
    assert.is_true(l:get(1) < inf)
  end)

  it("mask all but a list, or all but the bits of a string", function()
    local t = {}
    for i = 1, 20 do t[i] = i end
    local l = mobilellm.logits(t)
    assert.equal(l, l:mask{0, 9, 17, 3, 9})
    for id = 0, 19 do assert.equal((id == 0 or id == 9 or id == 17 or id == 3) and id + 1 or -inf, l:get(id)) end
    l:mask(string.char(1, 2)) -- bits 0 and 9; what has no bit is not allowed
    for id = 0, 19 do assert.equal((id == 0 or id == 9) and id + 1 or -inf, l:get(id)) end
    l:mask{}
    assert.is_nil(l:argmax())
  end)

  it("tell probabilities", function()
    local l = four():add({0, 1, 2, 3}, 5)
    near(math.log(0.25), l:logprob(0))
    near(math.log(0.1), l:logprob(1))
    near(-(0.5 * math.log(0.5) + 0.25 * math.log(0.25) + 0.15 * math.log(0.15) + 0.1 * math.log(0.1)), l:entropy())
    for i, p in ipairs(l:softmax()) do near(({0.25, 0.1, 0.5, 0.15})[i], p) end
    local some = l:softmax{2, 2, 1}
    assert.equal(3, #some)
    near(0.5, some[1])
    near(0.1, some[3])
    l:set(2, -inf)
    assert.equal(-inf, l:logprob(2))
    near(math.log(0.5), l:logprob(0))
    assert.same({0}, l:softmax{2})
    near(0, mobilellm.logits{3, -inf, -inf}:entropy())
    near(math.log(1000), mobilellm.logits(("\0"):rep(4000)):entropy())
    near(0, mobilellm.logits{1e38, -1e38}:logprob(0))
  end)

  it("tell the best tokens", function()
    local id, x = four():argmax()
    assert.equal(2, id)
    near(math.log(0.5), x)
    local best = four():topk(3)
    assert.equal(3, #best)
    for i, expected in ipairs{{2, 0.5}, {0, 0.25}, {3, 0.15}} do
      assert.equal(expected[1], best[i].id)
      near(math.log(expected[2]), best[i].logit)
      near(math.log(expected[2]), best[i].logprob)
    end
    assert.same({}, four():topk(0))
    assert.equal(4, #four():topk(100))
    assert.equal(2, #mobilellm.logits{1, -inf, 2}:topk(3))
    -- of equals the smaller id, and a full order for many
    local t = {}
    for i = 1, 2000 do t[i] = i * 7919 % 100 end
    best = mobilellm.logits(t):topk(1500)
    assert.equal(1500, #best)
    for i = 2, 1500 do
      local a, b = best[i - 1], best[i]
      assert.is_true(a.logit > b.logit or (a.logit == b.logit and a.id < b.id))
      assert.equal(t[b.id + 1], b.logit)
    end
  end)

  it("are copied", function()
    local l = four()
    local copy = l:copy()
    l:set(0, 9)
    near(math.log(0.25), copy:get(0))
    assert.equal(4, #copy)
  end)

  it("raise when they were closed", function()
    local l = four()
    l:close()
    l:close()
    assert.has_error(function() l:get(0) end, "attempt to use stale logits")
  end)
end)

describe("guidance", function()
  it("extrapolates log-probabilities from the other's to its own", function()
    local own, other = four(), mobilellm.logits{5, 5, 5, 5}
    assert.equal(own, own:guide(other, 1))
    for i, p in ipairs(own:softmax()) do near(({0.25, 0.1, 0.5, 0.15})[i], p) end
    local sum, expected = 0, {}
    for i, p in ipairs{0.25, 0.1, 0.5, 0.15} do -- p^s * 0.25^(1 - s)
      expected[i] = p ^ 1.5 * 0.25 ^ -0.5
      sum = sum + expected[i]
    end
    own = four():guide(other, 1.5)
    near(math.log(expected[3]), own:get(2))
    for i, p in ipairs(own:softmax()) do near(expected[i] / sum, p) end
    own = four():guide(other, 0)
    for _, p in ipairs(own:softmax()) do near(0.25, p) end
  end)

  it("keeps masks", function()
    local own = four():set(0, -inf):guide(mobilellm.logits{1, -inf, 2, 3}, 2)
    assert.equal(-inf, own:get(0))
    near(math.log(0.1 / 0.75), own:get(1)) -- masked in the other only: its own log-probability
  end)

  it("contrasts with a weaker model among the plausible tokens", function()
    local own, weak = mobilellm.logits{2, 1, -3, 1.9}, mobilellm.logits{1, 0.5, 9, 3}
    assert.equal(own, own:contrast(weak, {alpha = 0.1, beta = 0.5}))
    near(1.5 * 2 - 0.5 * 1, own:get(0))
    near(1.5 * 1 - 0.5 * 0.5, own:get(1))
    assert.equal(-inf, own:get(2)) -- e^-5 of the best
    near(1.5 * 1.9 - 0.5 * 3, own:get(3))
    local all = mobilellm.logits{2, 1, -3, 1.9}:contrast(weak, {alpha = 0, beta = 0})
    near(-3, all:get(2))
  end)
end)

local shared = os.getenv "MLLM_SHARED" or "../shared"
local path = shared .. "/golden/mobilellm-f16.gguf"

describe("the logits of a session", function()
  local model
  setup(function()
    local f = io.open(path, "rb")
    if not f then return end
    f:close()
    model = assert(mobilellm.load(path, {kernel = "reference"}))
  end)

  it("are a live view that raises when it is stale", function()
    if not model then return pending("no " .. path) end
    local session = assert(model:session())
    assert(session:feed{1, 5, 9})
    local l = session:logits()
    assert.equal(model:info().vocabulary, #l)
    local id, x = l:argmax()
    assert.equal(x, session:logits():get(id))
    l:set(id, -inf)
    assert.equal(-inf, session:logits():get(id)) -- the same array
    local kept = l:copy()
    assert(session:feed{id})
    assert.has_error(function() l:get(0) end, "attempt to use stale logits: the session went on")
    assert.has_error(function() return #l end)
    assert.equal(-inf, kept:get(id))
    l = session:logits()
    session:rewind(2)
    assert.has_error(function() l:topk(1) end)
    l = session:logits()
    l:get(0)
    session:close()
    assert.has_error(function() l:get(0) end, "attempt to use a closed session")
  end)

  it("keep their session alive", function()
    if not model then return pending("no " .. path) end
    local l
    do
      local session = assert(model:session())
      assert(session:feed{1, 5, 9})
      l = session:logits()
    end
    collectgarbage()
    collectgarbage()
    assert.is_number(l:get(0))
  end)
end)
