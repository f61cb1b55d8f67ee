local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "what of JSON Schema the grammars guarantee, on a suite of schemas",
  usage = "[DIR or FILE]",
  words = 1,
  about = [[
Compiles every schema strictly and reads its instances. Prints Markdown: the coverage by keyword, what is refused (pointer and
keyword), which valid instances are rejected and which invalid ones accepted. Suites: folders in the layout of
JSON-Schema-Test-Suite, or lines {"id", "schema", "valid": [...], "invalid": [...]} (.jsonl, .jsonl.gz); a small set of our own
without one. Exit code 1 when an invalid instance is accepted.
With --calls each schema becomes the parameters of a tool (lines of {"tools": [...]} are read, too), which random weights, or those of
--model, call in this format under the constraint; what they write is parsed and checked. Exit code 1 when a call is not valid.]],
  options = {
    {"--order", "ORDER", "of keys: any, or that of the schema", choices = {"any", "schema"}, default = "any"},
    {"--format", "HOW", "assert or annotation; else assert, but annotation in test suites", choices = {"assert", "annotation"}},
    {"--most", "N", "of each list to show", kind = "integer", least = 0, default = 20},
    {"--calls", "FORMAT", "of tool calls; several times for several; signature is that of our own models", kind = "list"},
    {"--model", "FILE", "with --calls: whose vocabulary and weights"},
    {"--seeds", "N", "with --calls: calls of each tool", kind = "integer", least = 1, default = 1},
    {"--part", "I/N", "with --calls: the I-th of N parts of the schemas"},
    {"--json", nil, "one JSON object"},
  },
}

local function run_calls(values, path)
  local calls, mobilellm = require "mobilellm.conformance.calls", require "mobilellm"
  for _, format in ipairs(values.calls) do
    if format ~= "signature" and not mobilellm.toolcall.record(format) then options.usage("--calls: no format '%s'", format) end
  end
  local from, step = 1, 1
  if values.part then
    from, step = values.part:match "^(%d+)/(%d+)$"
    from, step = tonumber(from), tonumber(step)
    if not from or from < 1 or from > step then options.usage("--part: I/N expected, got '%s'", values.part) end
  end
  local model = values.model and cli.check(mobilellm.load(values.model))
  local report, left_out = calls.run(path, {formats = values.calls, seeds = values.seeds, from = from, step = step, model = model,
    progress = function(format, count) io.stderr:write("conformance: ", format, ": ", count, " tools\n") end})
  local invalid = 0
  for _, one in ipairs(report) do invalid = invalid + one.invalid end
  if values.json then
    for _, one in ipairs(report) do mobilellm.json.array(one.problems) end
    print(mobilellm.json.encode(mobilellm.json.array(report)))
  else
    print(table.concat(calls.lines(report, left_out, values.most), "\n"))
  end
  if invalid > 0 then cli.fail("%d calls are not valid", invalid) end
end

function command.run(values, others)
  if values.calls then return run_calls(values, others[1]) end
  local conformance = require "mobilellm.conformance"
  local report = conformance.run(others[1], {order = values.order, format = values.format,
    progress = function(count) io.stderr:write("conformance: ", count, " schemas\n") end})
  if values.json then
    local json = require "mobilellm".json
    for _, list in ipairs{report.refused, report.rejected, report.accepted} do
      json.array(list)
      for _, r in ipairs(list) do
        local names = json.array{}
        for name in pairs(r.keywords) do names[#names + 1] = name end
        table.sort(names)
        r.keywords = names
        json.array(r.rejected)
        json.array(r.accepted)
      end
    end
    print(json.encode(report))
  else
    print(table.concat(conformance.lines(report, values.most), "\n"))
  end
  if #report.accepted > 0 then
    cli.fail("%d schemas with an invalid instance accepted", #report.accepted)
  end
end

return command
