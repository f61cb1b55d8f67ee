local cli = require "mobilellm.cli"

local command = {
  summary = "what of JSON Schema the grammars guarantee, on a suite of schemas",
  usage = "[DIR or FILE]",
  words = 1,
  about = [[
Compiles every schema strictly and reads its instances. Prints Markdown: the coverage by keyword, what is refused (pointer and
keyword), which valid instances are rejected and which invalid ones accepted. Suites: folders in the layout of
JSON-Schema-Test-Suite, or lines {"id", "schema", "valid": [...], "invalid": [...]} (.jsonl, .jsonl.gz); a small set of our own
without one. Exit code 1 when an invalid instance is accepted.]],
  options = {
    {"--order", "ORDER", "of keys: any, or that of the schema", choices = {"any", "schema"}, default = "any"},
    {"--format", "HOW", "assert or annotation; else assert, but annotation in test suites", choices = {"assert", "annotation"}},
    {"--most", "N", "of each list to show", kind = "integer", least = 0, default = 20},
    {"--json", nil, "one JSON object"},
  },
}

function command.run(values, others)
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
