-- Take part in the choice of each token. usage: lua5.4 examples/06_own_sampler.lua MODEL
local mobilellm = require "mobilellm"

local model = assert(mobilellm.load(arg[1] or error "usage: 06_own_sampler.lua MODEL"))

-- A stage is a name with parameters, or a function that changes the logits: this one takes away every token with a capital letter.
local capitals = {}
for id = 0, model:info().vocabulary - 1 do
  local bytes = model:token(id)
  if bytes and bytes:find "%u" then capitals[#capitals + 1] = id end
end
local calls = 0
local function no_capitals(logits)
  calls = calls + 1
  for _, id in ipairs(capitals) do logits:set(id, -math.huge) end
end

local sampler = mobilellm.sampler{
  no_capitals,
  {"penalties", repeat_penalty = 1.1, last_n = 64},
  {"top_k", 40},
  {"temperature", 0.8},
  seed = 7,
}
local text = assert(model:generate("My name is", {max_tokens = 30, sampler = sampler}))
print(text)
print("capital letters", text:find "%u" ~= nil, "calls", calls)
