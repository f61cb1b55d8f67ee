local mobilellm = require "mobilellm"

local shared = os.getenv "MLLM_SHARED" or "../shared"
local path = shared .. "/golden/mobilellm-f16.gguf"

describe("beam search", function()
  local model
  setup(function()
    local f = io.open(path, "rb")
    if not f then return end
    f:close()
    model = assert(mobilellm.load(path, {kernel = "reference", threads = 1}))
  end)

  -- Only these tokens exist: then all continuations can be tried.
  local few = {2, 300, 301, 302}
  local function only(logits) logits:mask(few) end

  -- Every continuation of at most `most` tokens, by session:feed and :rewind.
  local function all(prompt, most, penalty)
    local session = assert(model:session())
    assert(session:feed(prompt))
    local found = {}
    local function walk(tokens, sum)
      local logits = session:logits():copy()
      only(logits)
      for _, id in ipairs(few) do
        local total = sum + logits:logprob(id)
        local closed = model:is_end(id)
        if closed or #tokens + 1 == most then
          local ids = {}
          for i, t in ipairs(tokens) do ids[i] = t end
          if not closed then ids[#ids + 1] = id end
          found[#found + 1] = {tokens = ids, logprob = total, score = total / (#tokens + 1) ^ penalty, finished = closed}
        else
          local length = #session
          tokens[#tokens + 1] = id
          assert(session:feed{id})
          walk(tokens, total)
          tokens[#tokens] = nil
          session:rewind(length)
        end
      end
    end
    walk({}, 0)
    table.sort(found, function(a, b) return a.score > b.score end)
    return found
  end

  local function near(a, b) assert.is_true(math.abs(a - b) < 1e-4, ("%.9g %.9g"):format(a, b)) end

  it("finds what trying everything finds, when it is wide enough", function()
    if not model then return pending("no " .. path) end
    assert.is_true(model:is_end(2))
    for _, penalty in ipairs{0, 1, 2} do
      local expected = all({1, 5, 9}, 3, penalty)
      local best, results = mobilellm.beam(model, {1, 5, 9}, {beams = 40, max_tokens = 3, length_penalty = penalty, logits = only})
      assert.equal(best, results[1])
      assert.is_true(#results > 5)
      for i = 1, math.min(#results, 10) do
        near(expected[i].score, results[i].score)
        near(expected[i].logprob, results[i].logprob)
        assert.same(expected[i].tokens, results[i].tokens)
        assert.equal(expected[i].finished, results[i].finished)
      end
    end
  end)

  it("with one beam follows the best token", function()
    if not model then return pending("no " .. path) end
    local best = assert(mobilellm.beam(model, {1, 5, 9}, {beams = 1, max_tokens = 8, logits = function(l) l:set(2, -math.huge) end}))
    local session = assert(model:session())
    assert(session:feed{1, 5, 9})
    local sum = 0
    for i = 1, 8 do
      local logits = session:logits():set(2, -math.huge)
      local id = logits:argmax()
      sum = sum + logits:logprob(id)
      assert.equal(id, best.tokens[i])
      assert(session:feed{id})
    end
    near(sum, best.logprob)
    assert.equal(model:detokenize(best.tokens, {continuation = true}), best.text)
    assert.is_false(best.finished)
  end)

  it("is never worse than one beam, and the same each time", function()
    if not model then return pending("no " .. path) end
    local options = {beams = 1, max_tokens = 6, length_penalty = 0, logits = function(l) l:set(2, -math.huge) end}
    local one = assert(mobilellm.beam(model, "hello", options))
    options.beams = 5
    local five, results = mobilellm.beam(model, "hello", options)
    assert.is_true(five.logprob >= one.logprob - 1e-6)
    assert.equal(5, #results)
    for i = 2, #results do assert.is_true(results[i - 1].score >= results[i].score) end
    local _, again = mobilellm.beam(model, "hello", options)
    assert.same(results, again)
  end)

  it("goes on from a session and leaves it as it is", function()
    if not model then return pending("no " .. path) end
    local session = assert(model:session{context = 64})
    assert(session:feed{1, 5})
    local best = assert(mobilellm.beam(session, {9}, {max_tokens = 4, results = 2}))
    assert.same({1, 5}, session:tokens())
    local same, results = mobilellm.beam(model, {1, 5, 9}, {max_tokens = 4, results = 2})
    assert.same(best.tokens, same.tokens)
    assert.equal(2, #results)
    assert(session:feed{9})
    assert.same(best.tokens, assert(mobilellm.beam(session, nil, {max_tokens = 4})).tokens)
  end)

  it("tells what is wrong", function()
    if not model then return pending("no " .. path) end
    local function raises(part, ...)
      local ok, message = pcall(mobilellm.beam, ...)
      assert.is_false(ok)
      assert.is_truthy(message:find(part, 1, true), message)
    end
    raises("model or session expected, got table", {}, "x")
    raises("a prompt is a text or a list of token ids, got nil", model)
    raises("unknown option 'beam'", model, "x", {beam = 3})
    raises("option 'beams': integer of at least 1 expected, got 0", model, "x", {beams = 0})
    raises("option 'length_penalty'", model, "x", {length_penalty = "x"})
    local e = {}
    local ok, got = pcall(mobilellm.beam, model, "x", {logits = function() error(e) end})
    assert.is_false(ok)
    assert.equal(e, got)
    local best, message, code = mobilellm.beam(model, "x", {logits = function(l) l:mask{} end})
    assert.is_nil(best)
    assert.equal("grammar", code)
    assert.is_string(message)
    best, message, code = mobilellm.beam(assert(model:session{context = 4}), {1, 5, 9}, {max_tokens = 20,
      logits = function(l) l:set(2, -math.huge) end})
    assert.is_nil(best)
    assert.is_string(message)
    assert.equal("context", code)
  end)
end)
