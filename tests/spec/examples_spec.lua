-- Every example runs to its end on the tiny model.
local LUA = os.getenv "MLLM_TEST_LUA" or "lua5.4"
local TINY = "tests/golden/tiny.gguf"

local function capture(command)
  local pipe = assert(io.popen(command .. " 2>&1; echo \"exit=$?\""))
  local text = pipe:read "*a"
  pipe:close()
  local body, code = text:match "^(.*)exit=(%d+)%s*$"
  return body, tonumber(code)
end

describe("examples", function()
  local names = {}
  for line in capture("ls examples"):gmatch "[^\n]+" do
    if line:match "^%d%d_.*%.lua$" then names[#names + 1] = line end
  end

  it("are numbered without a gap", function()
    assert.is_true(#names >= 6)
    for i, name in ipairs(names) do assert.equal(("%02d"):format(i), name:sub(1, 2)) end
  end)

  for _, name in ipairs(names) do
    it(name .. " runs", function()
      local text, code = capture(LUA .. " examples/" .. name .. " " .. TINY)
      assert.equal(0, code, text)
      assert.is_true(#text > 10, text)
    end)

    it(name .. " is a page and says how to start it", function()
      local lines, first = 0, nil
      for line in io.lines("examples/" .. name) do
        first = first or line
        lines = lines + 1
      end
      assert.is_true(lines <= 60)
      assert.matches("usage: lua5.4 examples/" .. name, first, 1, true)
      local text, code = capture(LUA .. " examples/" .. name)
      assert.not_equal(0, code)
      assert.matches("usage: " .. name, text, 1, true)
    end)
  end

  it("embed.c needs nothing but core/", function()
    local program = (os.getenv "BUILD" or "build") .. "/tests/embed"
    local f = io.open(program)
    if not f then return pending("no " .. program .. ": make check builds it") end
    f:close()
    local text, code = capture(program .. " " .. TINY .. " 'Hello'")
    assert.equal(0, code, text)
    assert.matches("^Hello.+tokens in, %d+ out, ended by: %a+\n$", text)
    text, code = capture(program .. " no/such/file Hello")
    assert.equal(1, code)
    assert.matches("embed: no/such/file", text, 1, true)
  end)
end)
