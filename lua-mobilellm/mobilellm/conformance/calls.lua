-- Calls under the constraint: each schema of a suite as the parameters of a tool, called by random weights in a format of calls. What they
-- write under the grammar of the tool must be read as a call and satisfy the schema, whatever the weights are.
local core = require "mobilellm.core"
local rows = require "mobilellm.conformance.rows"
local toolcall = require "mobilellm.toolcall"
local prompt = require "mobilellm.chat.prompt"
local signature = require "mobilellm.signature"
local tools = require "mobilellm.tools"

local json = core.json
local calls = {}

local CONTEXT = 4096
local ROOM = 200 -- tokens beyond those that the shortest call needs

-- The tools of the suite, each schema once: list of {id, tool}; how many schemas are none of an object.
local function tools_of(path)
  local list, seen, others = {}, {}, 0
  local function add(id, name, parameters)
    if type(parameters) ~= "table" or (parameters.type or "object") ~= "object" then
      others = others + 1
      return
    end
    local key = json.encode(parameters)
    if seen[key] then return end
    seen[key] = true
    list[#list + 1] = {id = id, tool = {name = name, parameters = parameters}}
  end
  local function row(one)
    for _, tool in ipairs(one.tools or {}) do add(one.id .. ": " .. tostring(tool.name), tool.name, tool.parameters) end
    if one.schema then add(one.id, "f", (json.decode(one.schema, {ordered = true}))) end
  end
  if path then
    rows.read(path, row, true)
  else
    for _, one in ipairs(require "mobilellm.conformance.builtin".rows) do row(one) end
  end
  return list, others
end

-- One call of a tool: what came of it ("valid", "refused", "none", "unfinished", "dead end", "invalid"), the problem, the text.
function calls.try(model, tool, format, seed)
  local own = format == "signature"
  local record = own and prompt.signature_record or format
  local registry, problems = tools{tool}
  if problems then return "refused", problems[1] end
  local grammar, message, code = toolcall.grammar(registry, {format = record, vocabulary = model, most = 1})
  if not grammar then return code == "grammar" and "none" or "refused", message end
  local matcher = grammar:matcher(model)
  local shortest = matcher:completion()
  shortest = shortest and #shortest or matcher:min_left() or 0
  matcher:close()
  local session = assert(model:session())
  local text, stats
  text, stats, code = session:generate("call", {grammar = grammar, temperature = 1, seed = seed, show_special = not own,
    max_tokens = math.min(session:context() - 16, ROOM + 2 * shortest)})
  session:close()
  grammar:close()
  if not text then return code == "grammar" and "dead end" or "invalid", stats end
  local read = toolcall.parse(text, {format = own and "mobilellm" or format, tools = registry, reasoning = false})
  if stats.stop == "length" and (#read.calls ~= 1 or #read.errors > 0) then return "unfinished", nil, text end
  if #read.calls ~= 1 or #read.errors > 0 then
    return "invalid", read.errors[1] and read.errors[1].message or ("%d calls are read"):format(#read.calls), text
  end
  local call = read.calls[1]
  if own then call.arguments = signature.trim(call.arguments) end
  local ok
  ok, message = registry:check(call)
  if not ok then return "invalid", message, text end
  return "valid", nil, text, call
end

-- calls.run(path, {formats, seeds, from, model, progress, found}) -> list of {format, tools, valid, refused, none, unfinished, dead_ends,
-- invalid: counts; problems = list of {id, kind, problem, text}}, how many schemas are of no object.
--   from, step   every `step`-th schema from the `from`-th on (all)
--   model        whose vocabulary and weights; a small random one unless given
--   found        function(id, tool, format, call, text), called with each valid call
function calls.run(path, options)
  local list, others = tools_of(path)
  local model = options.model
  if not model then
    local texts = {}
    for i = 1, math.min(#list, 200) do texts[i] = json.encode(list[i].tool.parameters):sub(1, 2000) end
    model = assert(require "mobilellm.train.tiny"{
      texts = texts, size = 512, special = signature.special, bos = signature.begin, eos = signature.stop, context = CONTEXT,
    })
  end
  local report = {}
  for f, format in ipairs(options.formats) do
    local result = {format = format, tools = 0, problems = {}}
    for _, kind in ipairs{"valid", "refused", "none", "unfinished", "dead end", "invalid"} do result[kind] = 0 end
    report[f] = result
    for i = options.from or 1, #list, options.step or 1 do
      local one = list[i]
      result.tools = result.tools + 1
      for seed = 1, options.seeds or 1 do
        local kind, problem, text, call = calls.try(model, one.tool, format, seed)
        result[kind] = result[kind] + 1
        if kind ~= "valid" then
          result.problems[#result.problems + 1] = {id = one.id, kind = kind, problem = problem, text = text}
        elseif options.found then
          options.found(one.id, one.tool, format, call, text)
        end
        if kind == "refused" or kind == "none" then break end
      end
      if options.progress and result.tools % 200 == 0 then options.progress(format, result.tools) end
    end
  end
  if not options.model then model:close() end
  return report, others
end

-- The report as lines of Markdown. `most`: how many problems of a format are shown.
function calls.lines(report, others, most)
  local out = {}
  local function say(format, ...) out[#out + 1] = format:format(...) end
  say("Each schema as the parameters of a tool that random weights call under the constraint; %d of no object are left out.", others)
  say ""
  say "| format | tools | calls | valid | refused by name | no call possible | dead end | unfinished |"
  say "|---|---:|---:|---:|---:|---:|---:|---:|"
  for _, r in ipairs(report) do
    local made = r.valid + r.invalid
    say("| `%s` | %d | %d | %.2f %% | %d | %d | %d | %d |", r.format, r.tools, made, 100 * r.valid / math.max(made, 1), r.refused, r.none,
      r["dead end"], r.unfinished)
  end
  local shown = {invalid = true, ["dead end"] = true, unfinished = true}
  for _, r in ipairs(report) do
    local count = 0
    for _, one in ipairs(r.problems) do
      count = count + (shown[one.kind] and 1 or 0)
      if shown[one.kind] and count <= most then
        say("* `%s`, %s: %s%s", r.format, one.id, one.kind, one.problem and ": " .. one.problem or "")
      end
    end
  end
  return out
end

return calls
