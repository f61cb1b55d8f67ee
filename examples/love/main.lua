-- A storyteller in LÖVE 11: type, Enter lets the model go on, Escape stops it. The model gets four milliseconds of each frame, on the
-- game's own thread. usage: love examples/love MODEL [TEXT]      (LUA_PATH and LUA_CPATH as `make -s env LUA_VERSION=5.1` prints them)
local utf8 = require "utf8"
local mobilellm = require "mobilellm"
local BUDGET_MS, MARGIN = 4, 24
local model, session, job, note
local story, frames, worst = "", 0, 0

local function go_on()
  if job or story == "" then return end
  session:rewind(0)
  local text = story:sub(-1500):gsub("^[\128-\191]+", "") -- from a character's beginning on
  job, note = session:start(text, {max_tokens = 120, temperature = 0.8, top_p = 0.9})
  frames, worst = 0, 0
end

function love.load(arg)
  if not arg[1] then error "usage: love examples/love MODEL [TEXT]" end
  model = assert(mobilellm.load(arg[1], {threads = 1})) -- the other cores are the game's
  session = assert(model:session{context = 1024})
  love.window.setTitle "mobilellm"
  love.graphics.setBackgroundColor(0.96, 0.94, 0.89)
  love.graphics.setFont(love.graphics.newFont(18))
  love.keyboard.setKeyRepeat(true)
  story = arg[2] or ""
  go_on()
end

function love.update()
  if not job then return end
  local started = love.timer.getTime()
  local over, message = job:step{budget_ms = BUDGET_MS} -- of a long prompt, too, only a slice is read in a frame
  story = story .. (job:read() or "")
  frames, worst = frames + 1, math.max(worst, (love.timer.getTime() - started) * 1000)
  if over ~= false then
    note = message or ("ended by: %s"):format(job:state())
    job:close()
    job = nil
  end
end

function love.draw()
  local width, height = love.graphics.getDimensions()
  love.graphics.setColor(0.15, 0.13, 0.11)
  local shown = story .. (job and "" or "_")
  local _, lines = love.graphics.getFont():getWrap(shown, width - 2 * MARGIN)
  local line = love.graphics.getFont():getHeight()
  local room = math.floor((height - 3 * MARGIN) / line)
  love.graphics.printf(table.concat(lines, "\n", math.max(1, #lines - room + 1)), MARGIN, MARGIN, width - 2 * MARGIN)
  love.graphics.setColor(0.5, 0.45, 0.4)
  love.graphics.print(("%d frames, at most %.1f ms in one, %d a second   %s"):format(frames, worst, love.timer.getFPS(),
    job and "writing" or note or "Enter: go on   Escape: stop"), MARGIN, height - MARGIN - line / 2)
end

function love.textinput(text) if not job then story = story .. text end end

function love.keypressed(key)
  if key == "escape" and job then
    job:cancel()
  elseif key == "return" then
    go_on()
  elseif key == "backspace" and not job then
    story = story:sub(1, (utf8.offset(story, -1) or 1) - 1)
  end
end
