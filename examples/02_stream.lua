-- Print text as it comes and end at a line break. usage: lua5.4 examples/02_stream.lua MODEL [PROMPT]
local mobilellm = require "mobilellm"

local model = assert(mobilellm.load(arg[1] or error "usage: 02_stream.lua MODEL [PROMPT]"))
local prompt = arg[2] or "Once upon a time"

io.write(prompt)
local pieces, job = assert(model:stream(prompt, {max_tokens = 60, temperature = 0.7, seed = 1, stop = {"\n"}}))
for piece in pieces do -- whole characters, never a part of a stop string
  io.write(piece)
  io.flush()
end
print()
print("ended by: " .. job:state())
