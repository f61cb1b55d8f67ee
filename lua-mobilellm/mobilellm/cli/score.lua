local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "how likely continuations are",
  usage = "MODEL PROMPT CONTINUATION ...",
  about = "Prints, for each continuation, the sum of the natural log-probabilities of its tokens, their number, and the text.",
  options = cli.model_options{
    {"--special", nil, "control tokens may be spelled in the texts"},
    {"--json", nil, "as a JSON array"},
  },
}

function command.run(values, others)
  if #others < 3 then options.usage "score: MODEL, PROMPT and at least one CONTINUATION are needed" end
  local model = cli.load(others[1], values)
  local rows = {}
  for i = 3, #others do
    local sum, count = cli.check(model:score(others[2], others[i], {special = values.special}))
    rows[#rows + 1] = {text = others[i], logprob = sum, tokens = count}
  end
  if values.json then
    print(require "mobilellm".json.encode(rows))
  else
    for _, row in ipairs(rows) do print(("%12.4f  %4d  %s"):format(row.logprob, row.tokens, row.text)) end
  end
end

return command
