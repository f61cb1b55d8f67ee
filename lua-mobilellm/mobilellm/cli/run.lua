local cli = require "mobilellm.cli"

local command = {
  summary = "continue a prompt",
  usage = "MODEL [PROMPT ...]",
  about = "Writes what the model makes of the prompt (the words given, or standard input) as it comes.",
  options = cli.model_options{
    {"--max-tokens", "N", "most tokens to write", kind = "integer", least = 0, default = 256},
    {"--temperature", "T", "0: always the likeliest token", kind = "number", least = 0, default = 0},
    {"--top-k", "K", "draw from the K likeliest", kind = "integer", least = 0},
    {"--top-p", "P", "draw from the likeliest that make up P", kind = "number", least = 0},
    {"--min-p", "P", "draw from those with at least P of the likeliest one's probability", kind = "number", least = 0},
    {"--repeat-penalty", "X", "above 1: fewer repetitions", kind = "number", least = 0},
    {"--seed", "N", "of the random numbers", kind = "integer", least = 0},
    {"--stop", "TEXT", "end before this text (may be given again)", kind = "list"},
    {"--grammar", "FILE", "GBNF that the output must satisfy"},
    {"--schema", "FILE", "JSON Schema that the output must satisfy"},
    {"--regex", "PATTERN", "regular expression that the output must match"},
    {"--special", nil, "control tokens may be spelled in the prompt"},
    {"--stats", nil, "figures on standard error at the end"},
  },
}

local function grammar(values)
  local mobilellm = require "mobilellm"
  local given
  for _, kind in ipairs{"grammar", "schema", "regex"} do
    if values[kind] then
      if given then require "mobilellm.cli.options".usage("--%s and --%s exclude each other", given, kind) end
      given = kind
    end
  end
  if not given then return nil end
  if not mobilellm.grammar then cli.fail("this build has no grammars") end
  if given == "grammar" then return cli.check(mobilellm.grammar.gbnf(cli.read_file(values.grammar))) end
  if given == "schema" then return cli.check(mobilellm.grammar.json_schema(cli.read_file(values.schema))) end
  return cli.check(mobilellm.grammar.regex(values.regex))
end

function command.run(values, others)
  local constraint = grammar(values)
  local model = cli.load(others[1], values)
  local prompt = #others > 1 and table.concat(others, " ", 2) or cli.read_file "-"
  local pieces, job = model:stream(prompt, {
    max_tokens = values.max_tokens, temperature = values.temperature, top_k = values.top_k, top_p = values.top_p,
    min_p = values.min_p, repeat_penalty = values.repeat_penalty, seed = values.seed, stop = values.stop,
    special = values.special, grammar = constraint,
  })
  cli.check(pieces, job)
  while true do
    local piece, message = pieces()
    if not piece then
      io.stdout:write "\n"
      io.stdout:flush()
      if message then cli.fail("%s", message) end
      break
    end
    io.stdout:write(piece)
    io.stdout:flush()
  end
  if values.stats then
    local s = job:stats()
    io.stderr:write(("prompt %d tokens at %.1f/s, output %d tokens at %.1f/s, ended by: %s\n"):format(s.prompt_tokens,
      s.prefill_per_second, s.tokens, s.tokens_per_second, s.stop))
  end
end

return command
