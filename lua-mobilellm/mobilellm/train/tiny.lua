-- A tiny model with random weights, for tests of what surrounds a model: its vocabulary is learned from some texts.
--
--   local model = assert(require "mobilellm.train.tiny"{texts = {...}, size = 400, special = {...}, bos = "...", eos = "...",
--     context = 1024, seed = 1})
--
-- size: of the vocabulary; special: its control tokens. One block of width 32; one thread. nil, message, code when it cannot be made.
local function tiny(o)
  local mobilellm = require "mobilellm"
  local vocabulary, message, code = mobilellm.train.bpe{texts = o.texts, size = o.size, special = o.special, bos = o.bos, eos = o.eos}
  if not vocabulary then return nil, message, code end
  local trainer = mobilellm.train.new{seed = o.seed or 1, threads = 1, shape = {
    vocabulary = vocabulary:size(), width = 32, heads = 2, kv_heads = 1, head_size = 16, ffn = 48, blocks = 1, context = o.context or 1024,
  }}
  local path = os.tmpname()
  local model, done
  done, message, code = trainer:export(path, {vocabulary = vocabulary, type = "f32"})
  trainer:close()
  if done then model, message, code = mobilellm.load(path, {threads = 1}) end
  os.remove(path)
  return model, message, code
end

return tiny
