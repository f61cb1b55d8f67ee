-- Limits of instructions, memory and time, against functions that try to get around them.
local mobilellm = require "mobilellm"
local limits = mobilellm.limits

local function resume(options, f, ...)
  return limits(options):resume(coroutine.create(f), ...)
end

local function forever() while true do end end

local function stopped(pattern, options, f)
  local ok, message = resume(options, f)
  assert.is_false(ok)
  assert.matches(pattern, message)
end

describe("limits", function()
  it("leave alone what keeps to them", function()
    local options = {instructions = 100000, memory = 1000000, seconds = 1000}
    assert.same({true, 3, nil, "x"}, {resume(options, function(a, b) return a + b, nil, "x" end, 1, 2)})
    local l, thread = limits(options), coroutine.create(function(a) return coroutine.yield(a + 1) * 2 end)
    assert.same({true, 2}, {l:resume(thread, 1)})
    assert.same({true, 42}, {l:resume(thread, 21)})
    assert.is_false((l:resume(thread)))
    assert.same({false, "mine"}, {resume(options, function() error("mine", 0) end)})
    local value = {}
    assert.equal(value, select(2, resume(options, function() error(value) end)))
    assert.same({true, "free"}, {resume(nil, function() return "free" end)})
  end)

  it("end a loop, and say where", function()
    stopped("limits_spec.lua:%d+: more than 50000 instructions$", {instructions = 50000}, forever)
    stopped("limits_spec.lua:%d+: more than 0.05 seconds$", {seconds = 0.05}, forever)
  end)

  it("are not got around by pcall and coroutines", function()
    local many = {instructions = 50000}
    stopped("instructions", many, function() while true do pcall(forever) end end)
    stopped("instructions", many, function() return pcall(forever) end)
    stopped("instructions", many, function() return coroutine.wrap(forever)() end)
    stopped("instructions", many, function()
      local thread = coroutine.create(forever)
      while true do coroutine.resume(thread) end
    end)
    stopped("instructions", many, function()
      while true do resume({instructions = 20000}, forever) end
    end)
    stopped("instructions", many, function()
      while true do resume({instructions = 20000}, function() end) end
    end)
  end)

  it("end a loop that was compiled before", function()
    local function hot(n)
      local sum = 0
      for i = 1, n do sum = sum + i % 7 end
      return sum
    end
    hot(1e6)
    stopped("instructions", {instructions = 50000}, function() return hot(1e15) end)
    assert.equal(hot(1000), select(2, resume({instructions = 50000}, function() return hot(1000) end)))
    local jit = rawget(_G, "jit")
    if jit then assert.is_true((jit.status())) end -- as before
  end)

  it("refuse memory, in one piece and in many", function()
    local little = {memory = 1000000}
    stopped("^more than 1000000 bytes of memory$", little, function() return ("x"):rep(1e8) end)
    stopped("memory", little, function() return pcall(string.rep, "x", 1e8) end)
    local kept = {}
    stopped("memory", little, function()
      while true do kept = {kept} end
    end)
    assert.is_table(kept)
    local before = collectgarbage "count"
    assert.is_true((resume({memory = 4000000}, function() -- garbage is collected
      for i = 1, 1000 do local _ = ("x"):rep(100000) .. i end
    end)))
    -- Also where so much was there before that the collector itself takes its time.
    local much = {}
    for i = 1, 40 do much[i] = ("x"):rep(1000000) .. i end
    collectgarbage()
    for i = 0, 9 do -- whichever piece is the one too many
      assert.same({true}, {resume({memory = 4000000 + i * 37000}, function()
        for k = 1, 200 do local _ = ("x"):rep(100000) .. k end
      end)})
    end
    assert.equal(40, #much)
    for i = 1, 40 do much[i] = nil end
    collectgarbage()
    assert.is_true(collectgarbage "count" < before + 4000)
    assert.equal(1e7, #("x"):rep(1e7)) -- outside nothing holds
  end)

  it("hold across yields", function()
    local l = limits{instructions = 50000}
    local thread = coroutine.create(function()
      while true do
        for _ = 1, 5000 do local _ = {} end
        coroutine.yield()
      end
    end)
    local count = 0
    while l:resume(thread) do count = count + 1 end
    assert.is_true(count >= 1 and count < 20)
    assert.is_true(l:used().instructions > 50000)
    assert.matches("more than 50000", select(2, l:resume(coroutine.create(function() end)))) -- over is over
  end)

  it("count for the run around them", function()
    local outer, inner = limits{memory = 1000000}, limits{memory = 100000000}
    local ok, message = outer:resume(coroutine.create(function()
      return inner:resume(coroutine.create(function() return #("x"):rep(5e6) end))
    end))
    assert.is_false(ok)
    assert.equal("more than 1000000 bytes of memory", message)
    assert.error_matches(function()
      local l = limits()
      local thread
      thread = coroutine.create(function() return l:resume(thread) end)
      error(select(2, l:resume(thread)), 0)
    end, "these limits are in use")
  end)

  it("name options that are wrong", function()
    assert.error_matches(function() limits{instruction = 1} end, "unknown option 'instruction'")
    assert.error_matches(function() limits{memory = 0} end, "option 'memory'")
    assert.error_matches(function() limits{seconds = "x"} end, "option 'seconds'")
    assert.error_matches(function() limits():resume(3) end, "thread expected")
    local l = limits()
    l:close()
    assert.error_matches(function() l:resume(coroutine.create(forever)) end, "closed limits")
  end)
end)
