local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "how well a model predicts a text",
  usage = "MODEL TEXT",
  words = 2,
  about = "TEXT is a file (- for standard input). Prints exp(-mean log-probability of a token). The text goes through in windows of\n"
    .. "--context tokens, each of which begins half a window after the one before; a token is counted in the first window that has\n"
    .. "it. So all but the first window's tokens have at least half a window before them.",
  options = cli.model_options{
    {"--context", "N", "tokens of a window, the begin token included; 0: the smaller of the model's and 512", kind = "integer",
      least = 0, default = 0},
    {"--kv", "TYPE", "of the cache", choices = {"auto", "f32", "f16", "q8_0"}, default = "auto"},
    {"--no-bos", nil, "no begin token in front of a window"},
    {"--special", nil, "control tokens may be spelled in the text"},
    {"--json", nil, "as one JSON object"},
  },
}

-- Shared with quantize.
function command.measure(model, text, values)
  local bos
  if values.no_bos then bos = false end
  return cli.check(model:perplexity(text, {context = values.context, kv_type = values.kv, bos = bos, special = values.special}))
end

function command.run(values, others)
  if #others ~= 2 then options.usage "perplexity: MODEL and TEXT are needed" end
  local text = cli.read_file(others[2])
  local model = cli.load(others[1], values)
  local result = command.measure(model, text, values)
  if values.json then
    result.model, result.kernel = others[1], model:info().kernel
    print(require "mobilellm".json.encode(result))
  else
    print(("perplexity %.4f of %d tokens in %d window%s"):format(result.perplexity, result.tokens, result.windows,
      result.windows == 1 and "" or "s"))
  end
end

return command
