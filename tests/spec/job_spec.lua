local mobilellm = require "mobilellm"
local TINY = "tests/golden/tiny.gguf"

describe("a job", function()
  local model, session, expected
  setup(function()
    model = assert(mobilellm.load(TINY, {threads = 1, kernel = "reference"}))
    expected = assert(model:generate("Hello", {max_tokens = 30}))
  end)
  teardown(function() model:close() end)
  before_each(function() session = assert(model:session{context = 512}) end)
  after_each(function() session:close() end)

  local function start(options)
    options = options or {}
    options.max_tokens = options.max_tokens or 30
    return assert(session:start("Hello", options))
  end

  it("works on a thread of its own", function()
    local job = start()
    local text = {}
    while true do
      assert.is_true(job:wait(10000))
      local piece, message = job:read()
      if not piece then
        assert.is_nil(message)
        break
      end
      text[#text + 1] = piece
    end
    assert.equal(expected, table.concat(text))
    assert.equal("length", job:state())
    assert.equal(30, job:stats().tokens)
    assert.equal(30, #job:tokens())
    assert.is_nil(job:read())
    job:close()
    assert.equal(#model:tokenize("Hello", {bos = true}) + 30, #session:tokens())
  end)

  it("is read without waiting", function()
    local job, text = start(), ""
    while true do
      local piece = job:read()
      if not piece then break end
      text = text .. piece
    end
    assert.equal(expected, text)
  end)

  it("fits an event loop: pollfd, events, timeout", function()
    local job = start()
    local fd = job:pollfd()
    assert.is_number(fd)
    assert.is_true(fd > 2)
    assert.equal(fd, job:pollfd())
    assert.equal("r", job:events())
    assert.is_true(job:wait(10000))
    assert.equal(0, job:timeout())
    while job:read() do job:wait(10000) end
    assert.equal(0, job:timeout())
    job:close()
  end)

  it("has a descriptor that polls readable exactly when read() has something to say", function()
    local ok, ffi = pcall(require, "ffi")
    if not ok then return end -- LuaJIT alone can call poll(2)
    ffi.cdef "struct mllm_pollfd { int fd; short events, revents; }; int poll(struct mllm_pollfd *, unsigned long, int);"
    local job = start()
    local set = ffi.new("struct mllm_pollfd[1]")
    set[0].fd, set[0].events = job:pollfd(), 1
    local text = ""
    while true do
      assert.equal(1, ffi.C.poll(set, 1, 10000))
      local piece = job:read()
      if not piece then break end
      assert.is_true(#piece > 0)
      text = text .. piece
    end
    assert.equal(expected, text)
    assert.equal(1, ffi.C.poll(set, 1, 0)) -- it stays readable when it is over
    job:close()
  end)

  it("steps on the caller's thread", function()
    local job, text, steps = start(), "", 0
    while true do
      local over = job:step{budget_ms = 0}
      steps = steps + 1
      text = text .. (job:read() or "")
      if over then break end
    end
    assert.equal(expected, text)
    assert.is_true(steps >= 30)
    assert.is_nil(job:read())
    assert.is_true(job:step())
    job:close()
    session:rewind(0)
    job = start()
    assert.is_true(job:step()) -- no budget: to the end
    assert.equal(expected, job:read())
    assert.is_nil(job:read())
    job:close()
  end)

  it("leaves the driving to the caller once it has begun", function()
    local job = start()
    assert.is_false(job:step{budget_ms = 0})
    assert.is_nil(job:pollfd())
    assert.equal(0, job:timeout())
    job:read()
    local state = job:state()
    assert.equal("running", state)
    job:step()
    assert.is_number(job:pollfd())
    job:close()
  end)

  it("can be stepped beside its thread", function()
    local job = start()
    job:wait(10000)
    repeat until job:step{budget_ms = 1000}
    assert.equal(expected, job:read())
    job:close()
  end)

  it("is cancelled", function()
    for _, way in ipairs{"thread", "steps", "nothing"} do
      local job = start{max_tokens = 400, ignore_end = true}
      if way == "thread" then job:wait(10000) elseif way == "steps" then job:step{budget_ms = 0} end
      job:cancel()
      repeat
        job:wait(10000)
        local piece = job:read()
      until piece == nil
      assert.is_true(job:state() == "cancelled" or way == "thread" and job:state() ~= "running")
      assert.is_true(job:stats().tokens <= 400)
      job:cancel()
      job:close()
      session:rewind(0)
    end
  end)

  it("owns its session until it is over", function()
    local job = start{max_tokens = 5}
    for _, name in ipairs{"tokens", "logits", "fork", "context"} do
      assert.error_matches(function() session[name](session) end, "while a job runs on it")
    end
    assert.error_matches(function() session:feed{1} end, "while a job runs on it")
    assert.error_matches(function() session:start("x") end, "while a job runs on it")
    job:step()
    assert.is_table(session:tokens())
    job:close()
    job = start{max_tokens = 400}
    job:close()
    assert.is_table(session:tokens())
    job:close()
    assert.error_matches(function() job:read() end, "attempt to use a closed job")
  end)

  it("keeps its session alive", function()
    local s = assert(model:session{context = 128})
    local job = assert(s:start("Hello", {max_tokens = 30}))
    s:close()
    s = nil
    collectgarbage()
    job:step()
    assert.equal(expected, job:read())
    job:close()
    assert.is_nil(s)
  end)

  it("is collected while its thread runs", function()
    for _ = 1, 5 do
      local s = assert(model:session{context = 512})
      local job = assert(s:start("Hello", {max_tokens = 400, ignore_end = true}))
      job:read()
    end
    collectgarbage()
    collectgarbage()
  end)

  it("never has a thread when a Lua function is in its sampler", function()
    local main, calls = coroutine.running(), 0
    local function stage()
      calls = calls + 1
      assert.equal(main, coroutine.running())
    end
    local job = start{sampler = {stage, {"greedy"}}}
    assert.is_nil(job:pollfd())
    assert.equal(0, job:timeout())
    local text = ""
    repeat
      local piece = job:read()
      text = text .. (piece or "")
    until not piece
    assert.equal(expected, text)
    assert.equal(30, calls)
    job:close()
    session:rewind(0)
    job = start{sampler = {stage, {"greedy"}}}
    text = ""
    while job:wait(10000) do
      local piece = job:read()
      if not piece then break end
      text = text .. piece
    end
    assert.equal(expected, text)
    job:close()
  end)

  it("works under a grammar on its thread; under somebody's matcher on the caller's", function()
    local grammar = assert(mobilellm.grammar.regex "[a-f]{20}")
    local job = start{grammar = grammar}
    assert.is_number(job:pollfd())
    local text = ""
    repeat
      job:wait(10000)
      local piece = job:read()
      text = text .. (piece or "")
    until not piece
    assert.is_truthy(text:match "^[a-f]+$")
    assert.equal(20, #text)
    job:close()
    session:rewind(0)
    job = start{grammar = assert(grammar:matcher(model))}
    assert.is_nil(job:pollfd())
    job:step()
    assert.equal(text, job:read())
    job:close()
  end)

  it("survives what its callbacks do to it", function()
    local job
    job = start{sampler = {function() job:close() end}}
    assert.error_matches(function() job:step() end, "closed by one of its callbacks")
    assert.error_matches(function() job:read() end, "attempt to use a closed job")
    assert.is_table(session:tokens())
    session:rewind(0)
    job = start{sampler = {function() job:cancel() end}}
    assert.is_true(job:step())
    assert.equal("cancelled", job:state())
    session:rewind(0)
    job = start{sampler = {function() job:step() end}}
    assert.error_matches(function() job:step() end, "inside its own step")
    job:close()
    session:rewind(0)
    local value = {}
    job = start{sampler = {function() error(value) end}}
    local ok, err = pcall(job.read, job)
    while ok do ok, err = pcall(job.read, job) end
    assert.equal(value, err)
    job:close()
  end)

  it("runs beside others on one model", function()
    local jobs, texts, sessions = {}, {}, {}
    for i = 1, 4 do
      sessions[i] = assert(model:session{context = 128})
      jobs[i], texts[i] = assert(sessions[i]:start("Hello", {max_tokens = 30})), ""
    end
    local running = 4
    while running > 0 do
      for i = 1, 4 do
        if jobs[i] then
          local piece = jobs[i]:read()
          if piece then
            texts[i] = texts[i] .. piece
          else
            jobs[i]:close()
            jobs[i] = nil
            running = running - 1
          end
        end
      end
    end
    for i = 1, 4 do
      assert.equal(expected, texts[i])
      sessions[i]:close()
    end
  end)

  it("refuses what does not fit or is wrong", function()
    local job, message, code = session:start(("be "):rep(600))
    assert.is_nil(job)
    assert.is_string(message)
    assert.equal("context", code)
    assert.is_table(session:tokens())
    assert.error_matches(function() session:start("x", {budget = 1}) end, "start: unknown option 'budget'")
    assert.error_matches(function() session:start("x", {on_token = print}) end, "start: unknown option 'on_token'")
    assert.error_matches(function() session:start({}) end, "nothing to continue")
    job = start()
    assert.error_matches(function() job:step{budget = 1} end, "step: unknown option 'budget'")
    assert.error_matches(function() job:step{budget_ms = -1} end, "option 'budget_ms'")
    job:close()
  end)
end)
