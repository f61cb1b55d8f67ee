-- Keep a program alive while text is generated. usage: lua5.4 examples/05_job.lua MODEL
local mobilellm = require "mobilellm"

local model = assert(mobilellm.load(arg[1] or error "usage: 05_job.lua MODEL"))
local session = assert(model:session{context = 256})

-- First way: a thread of its own. An event loop polls job:pollfd(); here the "loop" does something else every few milliseconds.
local job = assert(session:start("A list of fruits:", {max_tokens = 30}))
local turns, text = 0, {}
while true do
  if job:wait(5) then -- milliseconds; true: there is something to read
    local piece, message = job:read()
    if not piece then
      if message then error(message) end
      break
    end
    text[#text + 1] = piece
  end
  turns = turns + 1
end
print(table.concat(text))
print(("%d turns of the loop, ended by: %s"):format(turns, job:state()))
job:close()

-- Second way: no thread, a slice of the frame's time. A game calls this once per frame.
session:rewind(0)
job = assert(session:start("A list of animals:", {max_tokens = 30}))
local frames = 0
repeat
  frames = frames + 1
  local over, message = job:step{budget_ms = 4}
  if over == nil then error(message) end
  io.write(job:read() or "")
until over
print()
print(("%d frames"):format(frames))
job:close()
