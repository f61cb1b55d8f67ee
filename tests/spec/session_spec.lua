local mobilellm = require "mobilellm"
local TINY = "tests/golden/tiny.gguf"

local function logits_of(session)
  local view, list = assert(session:logits()), {}
  for id = 0, #view - 1 do list[id + 1] = view:get(id) end
  return list
end

local function assert_near(a, b, tolerance)
  assert.equal(#a, #b)
  for i = 1, #a do
    if math.abs(a[i] - b[i]) > tolerance then error(("logit %d: %g and %g"):format(i - 1, a[i], b[i])) end
  end
end

describe("a session", function()
  local model, session
  setup(function() model = assert(mobilellm.load(TINY, {threads = 1, kernel = "reference"})) end)
  teardown(function() model:close() end)
  before_each(function() session = assert(model:session{context = 64}) end)
  after_each(function() session:close() end)

  it("takes ids and text", function()
    assert.equal(3, session:feed{1, 300, 301})
    assert.same({1, 300, 301}, session:tokens())
    assert.equal(3, #session:tokens())
    assert.equal(0, session:feed{})
    local count = assert(session:feed " be")
    assert.equal(3 + count, #session:tokens())
    assert.equal(64, session:context())
    assert.is_true(session:bytes() > 0)
  end)

  it("begins a text with the begin token, and continues without", function()
    assert(session:feed "be")
    assert.equal(1, session:tokens()[1])
    assert(session:feed "da")
    local rest = model:tokenize("da", {continuation = true})
    local tokens = session:tokens()
    for i = #rest, 1, -1 do assert.equal(rest[i], table.remove(tokens)) end
  end)

  it("reads control tokens in text only when asked", function()
    assert(session:feed{1})
    assert.is_true(assert(session:feed "</s>") > 1)
    assert.equal(1, session:feed("</s>", {special = true}))
  end)

  it("has no logits before it was fed", function()
    assert.has_error(function() session:logits() end)
  end)

  it("gives the same logits whatever the cuts", function()
    local ids = model:tokenize("an early bird and a late worm", {bos = true})
    assert(session:feed(ids))
    local whole = logits_of(session)
    local other = assert(model:session{context = 64})
    for _, id in ipairs(ids) do assert(other:feed{id}) end
    assert_near(whole, logits_of(other), 1e-4)
    other:close()
  end)

  it("is all or nothing when it is full or an id is outside", function()
    assert(session:feed{1, 5})
    local before = logits_of(session)
    local long = {}
    for i = 1, 63 do long[i] = 5 end
    local count, message, code = session:feed(long)
    assert.is_nil(count)
    assert.is_string(message)
    assert.equal("context", code)
    count, message, code = session:feed{6, 384}
    assert.is_nil(count)
    assert.matches("384", message)
    assert.equal("token", code)
    assert.same({1, 5}, session:tokens())
    assert.same(before, logits_of(session))
    table.remove(long)
    assert.equal(62, session:feed(long))
    count, message, code = session:feed{5}
    assert.is_string(message)
    assert.is_nil(count)
    assert.equal("context", code)
  end)

  it("rewinds to the first n tokens", function()
    local ids = {1, 300, 310, 320, 330}
    assert(session:feed(ids))
    local logits = logits_of(session)
    assert(session:feed{340, 350})
    assert.equal(session, session:rewind(5))
    assert.same(ids, session:tokens())
    assert_near(logits, logits_of(session), 1e-4)
    session:rewind(2)
    assert(session:feed{310, 320, 330})
    assert_near(logits, logits_of(session), 1e-4)
    session:rewind(0)
    assert.same({}, session:tokens())
    assert.has_error(function() session:rewind(1) end)
    assert.has_error(function() session:rewind(-1) end)
    assert.has_error(function() session:rewind() end)
  end)

  it("forks into an independent copy", function()
    assert(session:feed{1, 300, 310})
    local fork = assert(session:fork())
    assert.same(logits_of(session), logits_of(fork))
    assert(session:feed{320})
    local went_on = logits_of(session)
    assert.same({1, 300, 310}, fork:tokens())
    assert(fork:feed{320})
    assert_near(went_on, logits_of(fork), 1e-4)
    session:close()
    assert(fork:feed{330})
    fork:close()
    session = assert(model:session{context = 64})
  end)

  it("goes to a file and comes back", function()
    assert(session:feed{1, 300, 310, 320})
    local logits = logits_of(session)
    local path = os.tmpname()
    assert.equal(session, session:save(path))
    local other = assert(model:session{context = 64})
    assert(other:feed{7, 8})
    assert.equal(other, other:restore(path))
    assert.same({1, 300, 310, 320}, other:tokens())
    assert_near(logits, logits_of(other), 1e-4)
    assert(session:feed{330})
    assert(other:feed{330})
    assert_near(logits_of(session), logits_of(other), 1e-4)
    -- cut short
    local f = assert(io.open(path, "rb"))
    local bytes = f:read "*a"
    f:close()
    f = assert(io.open(path, "wb"))
    f:write(bytes:sub(1, #bytes - 100))
    f:close()
    local ok, message, code = other:restore(path)
    os.remove(path)
    assert.is_nil(ok)
    assert.is_string(message)
    assert.equal("format", code)
    ok, message, code = other:restore(path)
    assert.is_nil(ok)
    assert.matches(path, message, 1, true)
    assert.equal("io", code)
    ok, message, code = other:save "no/such/folder/file"
    assert.is_nil(ok)
    assert.is_string(message)
    assert.equal("io", code)
    other:close()
  end)

  it("scores what follows", function()
    assert(session:feed{1, 300})
    local view = session:logits()
    local first = view:logprob(310)
    assert(session:feed{310})
    local second = session:logits():logprob(320)
    session:rewind(2)
    local scores = assert(session:score{310, 320})
    assert.equal(2, #scores)
    assert.is_true(math.abs(scores[1] - first) < 1e-4 and math.abs(scores[2] - second) < 1e-4)
    assert.same({1, 300, 310, 320}, session:tokens())
  end)

  it("gives views of its logits that go stale", function()
    assert(session:feed{1, 300})
    local view = session:logits()
    assert.equal(384, #view)
    assert.is_number(view:get(0))
    assert(session:feed{310})
    assert.has_error(function() view:get(0) end)
    local fresh = session:logits()
    session:close()
    assert.has_error(function() fresh:get(0) end)
    session = assert(model:session{context = 64})
  end)

  it("raises for misuse", function()
    assert.error_matches(function() model:session{contxt = 1} end, "session: unknown option 'contxt'")
    assert.error_matches(function() model:session{context = 0} end, "option 'context'")
    assert.error_matches(function() session:feed(12) end, "text or list of token ids expected, got number")
    assert.error_matches(function() session:feed{1, {}} end, "%[2%]")
    local s = assert(model:session{context = 8})
    s:close()
    assert.error_matches(function() s:feed{1} end, "attempt to use a closed session")
    assert.matches("closed", tostring(s))
  end)

  it("is collected with what it holds", function()
    for _ = 1, 30 do
      local s = assert(model:session{context = 64})
      s:feed{1, 5}
      s:logits()
    end
    collectgarbage()
    collectgarbage()
  end)
end)
