-- examples/neovim.lua in a real Neovim: text arrives while the editor's loop goes on.
local TINY = "tests/golden/tiny.gguf"
local EXAMPLE = "examples/neovim.lua"

-- Runs `script` (Lua) in a Neovim without a screen, after the example, and returns what it wrote with `out`; nil where there is none, or
-- where its LuaJIT cannot load the module (this build is for the address sanitizer).
local function neovim(script, model)
  local build = os.getenv "BUILD" or "build"
  local pipe = assert(io.popen "command -v nvim")
  local there = pipe:read "*a" ~= ""
  pipe:close()
  if not there then return nil, "nvim is not installed" end
  if build == "build-asan" then return nil, "nvim is not built for sanitizers" end
  local name = os.tmpname()
  local f = assert(io.open(name, "w"))
  f:write(([[
    local function out(...) io.stdout:write(table.concat({...}, " "), "\n") end
    local ok, message = pcall(function() %s end)
    if not ok then out("FAILED", message) end
    vim.cmd "qall!"]]):format(script))
  f:close()
  pipe = assert(io.popen(("env LUA_PATH='./lua-mobilellm/?.lua;./lua-mobilellm/?/init.lua;;' LUA_CPATH='./%s/lua5.1/?.so;;' " ..
    "timeout 120 nvim --headless -u NONE -i NONE -n --cmd \"lua vim.g.mobilellm_model = %s\" -c 'luafile %s' -c 'luafile %s' 2>&1"):format(
    build, model and "'" .. model .. "'" or "nil", EXAMPLE, name)))
  local text = pipe:read "*a"
  pipe:close()
  os.remove(name)
  return text
end

describe("neovim", function()
  it("gets text at the cursor while it goes on, between lines that are edited meanwhile", function()
    local text, why = neovim([[
      local ticks = 0
      local timer = vim.loop.new_timer()
      timer:start(0, 1, function() ticks = ticks + 1 end)
      vim.api.nvim_buf_set_lines(0, 0, -1, false, {"Once upon a time", "the end"})
      vim.api.nvim_win_set_cursor(0, {1, 15})
      vim.cmd "MobilellmContinue 40"
      local before = ticks
      vim.api.nvim_buf_set_lines(0, 0, 0, false, {"typed meanwhile"})
      local place = vim.api.nvim_create_namespace "mobilellm"
      local over = vim.wait(60000, function() return #vim.api.nvim_buf_get_extmarks(0, place, 0, -1, {}) == 0 end, 1)
      local lines = vim.api.nvim_buf_get_lines(0, 0, -1, false)
      out(over and "over" or "not over", ticks > before and "ticked" or "froze", lines[1], "|", lines[#lines])
      out(lines[2])
      vim.cmd "MobilellmContinue 5"
      vim.cmd "MobilellmStop"
      vim.wait(60000, function() return #vim.api.nvim_buf_get_extmarks(0, place, 0, -1, {}) == 0 end, 1)
      vim.cmd "MobilellmContinue 5" -- the stopped one is gone: this is no error
      out(vim.api.nvim_exec("messages", true))]], TINY)
    if not text then return pending(why) end
    assert.matches("over ticked typed meanwhile | the end", text, 1, true)
    assert.matches("\nOnce upon a time[^\n]", text) -- which text, chance says
    assert.not_matches("FAILED", text, 1, true)
    assert.not_matches("still writing", text, 1, true)
  end)

  it("says what is missing", function()
    local text, why = neovim([[vim.cmd "MobilellmContinue" out(vim.api.nvim_exec("messages", true))]])
    if not text then return pending(why) end
    assert.matches("mobilellm: set vim.g.mobilellm_model", text, 1, true)
    text = neovim([[vim.cmd "MobilellmContinue" out(vim.api.nvim_exec("messages", true))]], "no/such/file.gguf")
    assert.matches("no/such/file.gguf", text, 1, true)
  end)
end)
