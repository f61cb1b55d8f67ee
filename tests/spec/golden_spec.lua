-- The whole way through the module against the reference outputs in the shared data: tokens in, greedy tokens out.
local mobilellm = require "mobilellm"
local GOLDEN = (os.getenv "MLLM_SHARED" or "../shared") .. "/golden"

local function slurp(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  local text = f:read "*a"
  f:close()
  return text
end

describe("golden", function()
  for _, name in ipairs{"mobilellm-hf", "mobilellm-ls-hf", "mobillama-hf", "mobilellm-f16.gguf", "mobilellm-q8_0.gguf",
    "mobilellm-q4_0.gguf", "mobilellm-q4_k_m.gguf"} do
    it(name .. " continues as the reference does", function()
      local text = slurp(GOLDEN .. "/" .. name:gsub("%.gguf$", "") .. ".logits.json")
      if not text then return pending("no " .. GOLDEN) end
      local reference = assert(mobilellm.json.decode(text))
      local model = assert(mobilellm.load(GOLDEN .. "/" .. name, {kernel = "reference"}))
      local session = assert(model:session{context = 64})
      assert(session:feed(reference.tokens))
      assert.equal(reference.argmax[#reference.argmax], (session:logits():argmax()))
      local job = assert(session:start({}, {max_tokens = #reference.greedy, ignore_end = true}))
      assert.is_true(job:step())
      assert.same(reference.greedy, job:tokens())
      job:close()
      session:close()
      model:close()
    end)
  end
end)
