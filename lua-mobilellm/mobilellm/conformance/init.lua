-- How the grammars of JSON Schemas do on suites of schemas with instances: what is refused, and where, what is accepted wrongly and
-- rejected wrongly, by keyword. An instance is read byte by byte, compact and with a space after ',' and ':'; no vocabulary is needed.
local core = require "mobilellm.core"
local rows = require "mobilellm.conformance.rows"

local conformance = {}

-- Keywords by the groups of the specification; others are no keywords here.
conformance.keywords = {
  "type", "enum", "const",
  "properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties",
  "dependencies", "dependentRequired", "dependentSchemas", "unevaluatedProperties",
  "items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains",
  "unevaluatedItems",
  "minLength", "maxLength", "pattern", "format",
  "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
  "allOf", "anyOf", "oneOf", "not", "if",
  "$ref", "$dynamicRef", "$recursiveRef", "$id", "$anchor",
}
local known = {}
for _, name in ipairs(conformance.keywords) do known[name] = true end

-- Their values are schemas by name, or no schemas at all.
local MAPS = {properties = true, patternProperties = true, ["$defs"] = true, definitions = true, dependentSchemas = true,
  dependencies = true}
local VALUES = {enum = true, const = true, default = true, examples = true, required = true, dependentRequired = true}

local function collect(schema, found)
  if type(schema) ~= "table" then return end
  for key, value in pairs(schema) do
    if known[key] then found[key] = true end
    if MAPS[key] and type(value) == "table" then
      for _, child in pairs(value) do collect(child, found) end
    elseif not VALUES[key] then
      collect(value, found)
    end
  end
end

local function accepts(matcher, text)
  matcher:reset()
  return matcher:accept_text(text) and matcher:is_complete()
end

-- "schema #/a: keyword 'b': why" -> "#/a", "b", "why"
local function place(message)
  local pointer, keyword, why = message:match "^schema (#.-): keyword '([^']*)': (.*)$"
  if pointer then return pointer, keyword, why end
  pointer, why = message:match "^schema (#.-): (.*)$"
  return pointer or "#", "", why or message
end

-- One row: {id, pass, refused = {pointer, keyword, message} or nil, rejected = texts, accepted = texts, keywords = set}
function conformance.check(row, options)
  local result = {id = row.id, source = row.source, rejected = {}, accepted = {}, keywords = {}}
  collect(core.json.decode(row.schema), result.keywords)
  local grammar, message, code = core.grammar.json_schema(row.schema, {order = options.order, strict = true, draft = row.draft,
    format = options.format or (row.suite and "annotation" or "assert")})
  if not grammar then
    if code == "grammar" and #row.valid == 0 then -- nothing is valid, and it says so
      result.pass = true
      return result
    end
    local pointer, keyword, why = place(message)
    result.refused = {pointer = pointer, keyword = keyword, message = why}
    return result
  end
  local matcher = assert(grammar:matcher())
  for _, kind in ipairs{"valid", "invalid"} do
    for _, text in ipairs(row[kind]) do
      for _, spaced in ipairs{false, true} do
        local spelled = rows.spelled(text, spaced)
        if accepts(matcher, spelled) ~= (kind == "valid") then
          table.insert(kind == "valid" and result.rejected or result.accepted, spelled)
          break
        end
      end
    end
  end
  matcher:close()
  grammar:close()
  result.pass = #result.rejected == 0 and #result.accepted == 0
  return result
end

-- All rows of `path` (or of the built-in set): {rows, passed, refused = list, rejected = list, accepted = list, keywords = {name ->
-- {rows, passed, refused, rejected, accepted}}, instances}. options: {order, format, progress = function(count)}
function conformance.run(path, options)
  local report = {rows = 0, passed = 0, instances = 0, refused = {}, rejected = {}, accepted = {}, keywords = {}}
  local function add(row)
    local result = conformance.check(row, options)
    report.rows = report.rows + 1
    report.instances = report.instances + #row.valid + #row.invalid
    if result.pass then report.passed = report.passed + 1 end
    local kind = result.refused and "refused" or #result.accepted > 0 and "accepted" or #result.rejected > 0 and "rejected" or "passed"
    if kind ~= "passed" then table.insert(report[kind], result) end
    for name in pairs(result.keywords) do
      local k = report.keywords[name] or {rows = 0, passed = 0, refused = 0, rejected = 0, accepted = 0, named = 0}
      report.keywords[name] = k
      k.rows = k.rows + 1
      k[kind] = k[kind] + 1
      if result.refused and result.refused.keyword == name then k.named = k.named + 1 end
    end
    if options.progress and report.rows % 200 == 0 then options.progress(report.rows) end
  end
  if path then
    rows.read(path, add)
  else
    for _, row in ipairs(require "mobilellm.conformance.builtin".rows) do add(row) end
  end
  return report
end

local function percent(part, whole) return ("%.2f %%"):format(100 * part / math.max(whole, 1)) end

-- At most `length` bytes, cut at a character, and harmless in a table.
local function short(text, length)
  if #text > length then
    while length > 0 and text:byte(length + 1) >= 0x80 and text:byte(length + 1) < 0xC0 do length = length - 1 end
    text = text:sub(1, length) .. "..."
  end
  return (text:gsub("|", "\\|"):gsub("\n", " "))
end

-- The report as lines of Markdown. `most`: how many of each list are shown.
function conformance.lines(report, most)
  local out = {}
  local function say(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end
  say("%d of %d schemas entirely right (%s), %d instances each in two spellings: %d refused by name, %d with a valid instance rejected, " ..
    "%d with an invalid one accepted.", report.passed, report.rows, percent(report.passed, report.rows),
    report.instances, #report.refused, #report.rejected, #report.accepted)
  say ""
  say "| keyword | schemas with it | right | refused | of these for it | valid rejected | invalid accepted |"
  say "|---|---:|---:|---:|---:|---:|---:|"
  for _, name in ipairs(conformance.keywords) do
    local k = report.keywords[name]
    if k then
      say("| `%s` | %d | %s | %d | %d | %d | %d |", name, k.rows, percent(k.passed, k.rows), k.refused, k.named, k.rejected, k.accepted)
    end
  end
  local function table_of(title, list, head, line)
    if #list == 0 then return end
    say ""
    say("%s%s", title, #list > most and (" (the first %d of %d)"):format(most, #list) or "")
    say ""
    say("| %s |", head)
    say("|%s", ("---|"):rep(select(2, head:gsub("|", "")) + 1))
    for i = 1, math.min(most, #list) do say("| %s |", line(list[i])) end
  end
  table_of("Refused", report.refused, "schema | pointer | keyword | why", function(r)
    local keyword = r.refused.keyword ~= "" and "`" .. r.refused.keyword .. "`" or ""
    return ("%s | `%s` | %s | %s"):format(short(r.id, 60), short(r.refused.pointer, 80), keyword, short(r.refused.message, 120))
  end)
  table_of("Valid instances rejected", report.rejected, "schema | instance", function(r)
    return ("%s | `%s`"):format(short(r.id, 60), short(r.rejected[1], 100))
  end)
  table_of("Invalid instances accepted", report.accepted, "schema | instance", function(r)
    return ("%s | `%s`"):format(short(r.id, 60), short(r.accepted[1], 100))
  end)
  return out
end

return conformance
