local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"
local perplexity = require "mobilellm.cli.perplexity"

local command = {
  summary = "a model with fewer bits a weight",
  usage = "MODEL OUT",
  words = 2,
  about = "MODEL is a GGUF file or a Hugging Face folder, OUT the GGUF file to write. q4_0 gains by --search (the best scale of each\n"
    .. "block of 32 weights) and more by --calibrate (errors count as much as that text uses their column; implies --search).\n"
    .. "--text tells what it costs: the perplexity before and after.",
  options = cli.model_options{
    {"--type", "TYPE", "of the matrices", choices = {"q8_0", "q4_0"}, default = "q8_0"},
    {"--embedding", "TYPE", "of the embeddings, if not the same", choices = {"q8_0", "q4_0", "f16"}},
    {"--search", nil, "search each block's scale for the least squared error"},
    {"--calibrate", "FILE", "text to weight the errors by"},
    {"--packed", nil, "as convert --packed"},
    {"--text", "FILE", "text to measure the perplexity on"},
    {"--context", "N", "tokens of a window of the texts; 0: the smaller of the model's and 512", kind = "integer", least = 0,
      default = 0},
    {"--special", nil, "control tokens may be spelled in the texts"},
    {"--json", nil, "as one JSON object"},
  },
}

function command.run(values, others)
  if #others ~= 2 then options.usage "quantize: MODEL and OUT are needed" end
  local mobilellm = require "mobilellm"
  local from, to = others[1], others[2]
  local report = {from = from, to = to}
  local calibration = values.calibrate and cli.read_file(values.calibrate)
  local text = values.text and cli.read_file(values.text)
  if text then
    local model = cli.load(from, values)
    report.before = perplexity.measure(model, text, values)
    report.before.quantization = model:info().quantization
    model:close()
  end
  cli.check(mobilellm.quantize(from, to, {
    type = values.type, embedding = values.embedding, search = values.search, calibrate = calibration, packed = values.packed,
    threads = values.threads, kernel = values.kernel, context = values.context, special = values.special,
  }))
  local model = cli.load(to, text and values or {threads = 1, kernel = "reference"})
  local info = model:info()
  report.bytes, report.parameters, report.types = info.weight_bytes, info.parameters, info.types
  if text then
    report.after = perplexity.measure(model, text, values)
    report.after.quantization = info.quantization
  end
  model:close()
  if values.json then
    print(mobilellm.json.encode(report))
    return
  end
  print(("%s: %d parameters, %.1f MB, %.2f bits a weight"):format(to, report.parameters, report.bytes / 1e6,
    8 * report.bytes / report.parameters))
  for _, t in ipairs(report.types) do
    print(("  %-5s %4d tensors %12d weights %8.1f MB"):format(t.stored, t.tensors, t.parameters, t.stored_bytes / 1e6))
  end
  if text then
    print(("perplexity %.4f (%s) -> %.4f (%s), %+.2f %%, of %d tokens"):format(report.before.perplexity, report.before.quantization,
      report.after.perplexity, report.after.quantization, 100 * (report.after.perplexity / report.before.perplexity - 1),
      report.after.tokens))
  end
end

return command
