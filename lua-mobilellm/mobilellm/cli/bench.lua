-- Speed and size on this machine, and how near they come to its limits. A benchmark reports; it judges nothing.
local options = require "mobilellm.cli.options"

local command = {
  summary = "measure speed, memory and how near they come to the machine's limits",
  usage = "[MODEL]",
  about = "Measures MODEL, or random weights in the shape of a published model. Every figure is a median with its spread.\n" ..
    "Parts (--only): speed, limits (with the roofline), feed, lookup, kv, ls, packed, call (with --call).",
  options = {
    {"--model", "FILE", "the same as MODEL"},
    {"--shape", "NAME", "125m, 350m, 600m, 1b, 1.5b (each also with -ls), mobillama-0.5b"},
    {"--type", "TYPE", "of random weights", choices = {"f32", "f16", "bf16", "q8_0", "q4_0"}, default = "q8_0"},
    {"--write", "FILE", "keep the random weights there"},
    {"--tokenizer", "FILE", "vocabulary for random weights"},
    {"--threads", "N", "threads; 0: one per core", kind = "integer", default = 0},
    {"--kernel", "NAME", "auto, reference, or one that this processor has", default = "auto"},
    {"--kv-type", "TYPE", "of the cache: auto, f32, f16, q8_0", default = "auto"},
    {"--prompt", "N", "tokens of the prompt", kind = "integer", default = 512},
    {"--generate", "N", "tokens to decode", kind = "integer", default = 64},
    {"--repeats", "N", "measurements, after one to warm up", kind = "integer", default = 5},
    {"--context", "N", "size of the session", kind = "integer", default = 2048},
    {"--draft", "N", "tokens that lookup may draft", kind = "integer", default = 15},
    {"--read-mib", "N", "buffer of the memory's speed", kind = "integer", default = 256},
    {"--only", "PARTS", "these parts, separated by commas"},
    {"--call", "FILE", "GBNF: also measure a call under it, after a prompt of 400 tokens"},
    {"--grammar", nil, "constrained decoding: masks, compilation, memory; with MODEL or --shape also a call, beside --peer-call's"},
    {"--data", "PATH", "suite of schemas for --grammar, as conformance takes them; else a small one of our own"},
    {"--order", "ORDER", "of keys, for --grammar: schema or any", choices = {"schema", "any"}, default = "schema"},
    {"--most", "N", "schemas of --data to measure", kind = "integer", least = 1},
    {"--peer", "COMMAND", "another engine's benchmark: run as COMMAND MODEL THREADS PROMPT GENERATE 1, prints a JSON line"},
    {"--peer-call", "COMMAND", "its call: run as COMMAND MODEL THREADS GRAMMAR PROMPT MOST 1, prints a JSON line"},
    {"--suite", nil, "the goals: 125M and 350M, Q8_0 and Q4_0, one thread and all cores (or MODEL, or --shape)"},
    {"--toolcall", nil, "what reading tool calls costs, by format; needs no model"},
    {"--plot", "FILE", "the roofline as SVG"},
    {"--json", nil, "one JSON object"},
    {"--markdown", nil, "the suite, or --grammar, as a Markdown table"},
  },
}

-- Sizes of this run on standard error, so that nobody waits before a silent terminal.
local function progress(format, ...)
  io.stderr:write("bench: ", select("#", ...) > 0 and format:format(...) or format, "\n")
end

local function write_plot(path, report)
  local ceilings = {}
  for threads, read in ipairs(report.limits.read) do
    ceilings[threads] = {read = read.median, product = report.limits.product[threads].median,
      label = ("%s, %d thread%s"):format(report.limits.kernel, threads, threads == 1 and "" or "s")}
  end
  local svg = require "mobilellm.bench.plot".svg(report.roofline, ceilings,
    ("Roofline: %s, %s"):format(report.model:match "[^/]*$", report.quantization),
    ("%s, kernel %s, %d threads; numbers beside the points are tokens per second"):format(report.machine, report.kernel, report.threads))
  local f, message = io.open(path, "wb")
  if not f then error({failure = message}, 0) end
  f:write(svg)
  f:close()
end

local function run_suite(values)
  local suite = require "mobilellm.bench.suite"
  local report = suite.run(values, progress)
  if values.json then
    print(require "mobilellm".json.encode(report))
    return
  end
  local about = report.machine
  print(("%s, %d cores, %s, %s"):format(about.name, about.cores, about.features, about.caches))
  print(("%s; kernel %s, medians of %d%s"):format(report.command, report.kernel, report.repeats,
    report.engine and ", peer " .. report.engine or ""))
  for threads, read in ipairs(report.limits.read) do
    local product = report.limits.product[threads]
    print(("%d thread%s: memory %.1f GB/s (%.1f to %.1f), products %.3f Tops/s (%.3f to %.3f)"):format(threads,
      threads == 1 and "" or "s", read.median / 1e9, read.min / 1e9, read.max / 1e9, product.median / 1e12, product.min / 1e12,
      product.max / 1e12))
  end
  print ""
  print(table.concat(suite.lines(report.rows, values.markdown), "\n"))
end

function command.run(values, others)
  for _, name in ipairs{"prompt", "generate", "repeats", "context"} do
    if values[name] < 1 then options.usage("--%s: at least 1 expected", name) end
  end
  if values.toolcall then
    local reading = require "mobilellm.bench.toolcall"
    local rows = reading.run(values)
    print(values.json and require "mobilellm".json.encode(rows) or table.concat(reading.lines(rows), "\n"))
    return
  end
  if values.read_mib < 1 then options.usage "--read-mib: at least 1 expected" end
  if values.prompt >= values.context or values.generate * 2 + 32 > values.context then
    options.usage("--context: the prompt of %d and twice the output of %d tokens must fit", values.prompt, values.generate)
  end
  local story = require "mobilellm.bench.story"
  local chosen, wrong = story.chosen(values.only)
  if not chosen then options.usage("--only: '%s' is none of %s", wrong, table.concat(story.parts, ", ")) end
  if values.plot and not (chosen.limits and not values.suite) then options.usage "--plot: the part limits draws it" end
  values.path = values.model or others[1]
  values.model = values.path
  if values.path and values.shape then options.usage "bench: a MODEL or a --shape is needed, not both" end
  if values.suite then return run_suite(values) end
  if values.grammar then
    local bench = require "mobilellm.bench.grammar"
    local report = bench.run(values, progress)
    print(values.json and require "mobilellm".json.encode(report) or table.concat(bench.lines(report, values.markdown), "\n"))
    return
  end
  if not values.path and not values.shape then options.usage "bench: a MODEL or a --shape is needed" end

  local report = story.run(values, chosen, progress)
  if values.plot then write_plot(values.plot, report) end
  if values.json then
    print(require "mobilellm".json.encode(report))
  else
    print(table.concat(story.lines(report), "\n"))
  end
end

return command
