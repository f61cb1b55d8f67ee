-- examples/love in a real LÖVE on a screen that nobody sees (Xvfb): the story grows frame by frame.
local function has(command)
  local pipe = assert(io.popen("command -v " .. command))
  local there = pipe:read "*a" ~= ""
  pipe:close()
  return there
end

describe("love", function()
  it("draws a text that grows from frame to frame, and goes on by itself when Enter is pressed", function()
    local build = os.getenv "BUILD" or "build"
    if not has "love" or not has "xvfb-run" then return pending "love and xvfb-run are not installed" end
    if build == "build-asan" then return pending "love is not built for sanitizers" end
    local pipe = assert(io.popen "mktemp -d && pwd")
    local folder, here = pipe:read "*l", pipe:read "*l"
    pipe:close()
    local f = assert(io.open(folder .. "/main.lua", "w"))
    f:write(([[
      dofile "%s/examples/love/main.lua"
      local print_text, print_story = love.graphics.print, love.graphics.printf
      local story, growths, ends = "", 0, 0
      function love.graphics.printf(text, ...)
        if #text > #story then growths = growths + 1 end
        story = text
        return print_story(text, ...)
      end
      function love.graphics.print(text, ...)
        if text:find "ended by" then
          ends = ends + 1
          io.stdout:write("END ", ends, " after ", growths, " growths: ", text, "\n", story, "\n")
          if ends == 1 then love.keypressed "return" else love.event.quit() end
        end
        return print_text(text, ...)
      end]]):format(here))
    f:close()
    pipe = assert(io.popen(("env LUA_PATH='%s/lua-mobilellm/?.lua;%s/lua-mobilellm/?/init.lua;;' LUA_CPATH='%s/%s/lua5.1/?.so;;' " ..
      "SDL_AUDIODRIVER=dummy ALSOFT_DRIVERS=null timeout 120 xvfb-run -a love %s %s/tests/golden/tiny.gguf 'Once upon a time' 2>&1"):format(
      here, here, here, build, folder, here)))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(folder .. "/main.lua")
    os.remove(folder)
    assert.matches("END 1 after %d+ growths: %d+ frames", text)
    assert.matches("END 2 after %d+ growths", text)
    assert.matches("Once upon a time%S", text)
  end)
end)
