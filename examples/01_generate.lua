-- Continue a text. usage: lua5.4 examples/01_generate.lua MODEL [PROMPT]
local mobilellm = require "mobilellm"

local model = assert(mobilellm.load(arg[1] or error "usage: 01_generate.lua MODEL [PROMPT]"))
local prompt = arg[2] or "The capital of France is"

-- Without a temperature the likeliest token is taken each time: the same text on every run.
local text, stats = assert(model:generate(prompt, {max_tokens = 40}))
print(prompt .. text)
print(("%d tokens in, %d out at %.0f tokens/s, ended by: %s"):format(stats.prompt_tokens, stats.tokens,
  stats.tokens_per_second, stats.stop))

-- With one, tokens are drawn; the seed makes the draws repeatable.
for seed = 1, 3 do
  print(seed, (assert(model:generate(prompt, {max_tokens = 20, temperature = 0.8, top_k = 40, seed = seed}))))
end
model:close()
