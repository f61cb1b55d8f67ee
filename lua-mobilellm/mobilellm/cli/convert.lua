local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "model files into GGUF",
  usage = "FROM TO",
  words = 2,
  about = "FROM is a GGUF file or a Hugging Face folder, TO the GGUF file to write. Shared blocks and FFNs are stored once.",
  options = {
    {"--type", "TYPE", "of the weights", choices = {"f32", "f16", "bf16", "q8_0", "q4_0"}, default = "q8_0"},
    {"--packed", nil, "q8_0 or q4_0 as the integer kernels want them: loads without work, and only in this engine"},
  },
}

function command.run(values, others)
  if #others ~= 2 then options.usage "convert: FROM and TO are needed" end
  cli.check(require "mobilellm".convert(others[1], others[2], {type = values.type, packed = values.packed}))
  local info = cli.load(others[2], {threads = 1, kernel = "reference"}):info()
  print(("%s: %s, %d parameters, %.1f MB of weights"):format(others[2], info.quantization, info.parameters,
    info.weight_bytes / 1e6))
end

return command
