-- Classify by asking which continuation is the likeliest. usage: lua5.4 examples/03_choose.lua MODEL
local mobilellm = require "mobilellm"

local model = assert(mobilellm.load(arg[1] or error "usage: 03_choose.lua MODEL"))
local labels = {" positive", " negative"}

for _, sentence in ipairs{"I love this phone", "It broke on the first day"} do
  local prompt = "Review: " .. sentence .. "\nSentiment:"
  local best, logprobs = assert(model:choose(prompt, labels)) -- the prompt is computed once
  print(sentence, best)
  for i, label in ipairs(labels) do print(("    %-10s %8.3f"):format(label, logprobs[i])) end
end

-- How surprising is a text? Bits per token.
local sum, count = assert(model:score("", "The cat sat on the mat."))
print(("%.2f bits per token"):format(-sum / math.log(2) / count))
