-- What constrained decoding costs: masks, compilation, memory, what large schemas add, forced tokens, and a call from the prompt to its
-- arguments. Times are those of the thread, so that other programs do not count; each measured walk is a text of the language, token by
-- token.
local core = require "mobilellm.core"
local figures = require "mobilellm.bench.figures"
local files = require "mobilellm.bench.files"
local machine = require "mobilellm.bench.machine"
local peer = require "mobilellm.bench.peer"
local samples = require "mobilellm.bench.samples"
local spelled = require "mobilellm.conformance.rows".spelled

local grammar = {}
local check = figures.check

-- The value below which a share `q` of the sorted list lies.
local function quantile(list, q) return list[math.min(#list, math.floor(q * #list) + 1)] or 0 end

local function summary(list)
  table.sort(list)
  return {count = #list, p50 = quantile(list, 0.5), p99 = quantile(list, 0.99), p999 = quantile(list, 0.999), max = list[#list] or 0}
end
grammar.summary = summary

local function tokens(model, text)
  local ids = model:tokenize(text, {continuation = true})
  return ids
end

-- Microseconds of the masks of one text, its end included, added to `into`; whether it was accepted.
local function walk(g, model, text, into)
  local ids = tokens(model, text)
  ids[#ids + 1] = model:info().eos
  local matcher = check(g:matcher(model))
  local spent, accepted = core.measure_masks(matcher, ids)
  matcher:close()
  if not spent then return false end
  for _, v in ipairs(spent) do into[#into + 1] = v end
  return accepted
end

-- Tokens that need no model on this text, which is in the language: how many, of how many, and how many were not the tokenizer's.
local function forced(g, model, text)
  local ids = tokens(model, text)
  local matcher, i, count, other = check(g:matcher(model)), 1, 0, 0
  while i <= #ids do
    local list = matcher:forced()
    for _, id in ipairs(list) do
      if id ~= ids[i] then other = other + 1 end
      if not matcher:accept(id) then other = other + 1 break end
      count, i = count + 1, i + 1
    end
    if #list == 0 then
      if not matcher:accept(ids[i]) then break end
      i = i + 1
    elseif other > 0 then
      break -- from here on the two texts differ
    end
  end
  matcher:close()
  return count, #ids, other
end

local function is_tool(row)
  local source = row.source:lower()
  return source:find "glaive" or source:find "bfcl" or source:find "mcp" or row.id:find "^tool/"
end

local function measure_rows(report, model, values, say)
  local masks, compiles, sizes, limit = {}, {}, {}, {rows = 0, refused = 0, wrong = 0}
  local calls = {forced = 0, tokens = 0, other = 0, rows = 0}
  local function add(row)
    if values.most and limit.rows >= values.most then return end
    limit.rows = limit.rows + 1
    local start = core.processor_time()
    local format = row.suite and "annotation" or "assert"
    local g = core.grammar.json_schema(row.schema, {draft = row.draft, format = format, order = values.order})
    compiles[#compiles + 1] = (core.processor_time() - start) * 1e3
    if not g then
      limit.refused = limit.refused + 1
      return
    end
    sizes[#sizes + 1] = g:info().bytes
    for _, kind in ipairs{"valid", "invalid"} do
      for _, text in ipairs(row[kind]) do
        if walk(g, model, spelled(text, true), masks) ~= (kind == "valid") then limit.wrong = limit.wrong + 1 end
      end
    end
    if is_tool(row) then
      calls.rows = calls.rows + 1
      for _, text in ipairs(row.valid) do
        local compact = spelled(text, false)
        if walk(g, model, compact, {}) then -- with --order schema some have their keys in another one
          local count, all, other = forced(g, model, compact)
          calls.forced, calls.tokens, calls.other = calls.forced + count, calls.tokens + all, calls.other + other
        end
      end
    end
    g:close()
    if limit.rows % 200 == 0 then say("%d schemas", limit.rows) end
  end
  if values.data then
    require "mobilellm.conformance.rows".read(values.data, add)
  else
    -- A few rows: several times, so that the tail is one.
    for _ = 1, 5 * values.repeats do
      for _, row in ipairs(require "mobilellm.conformance.builtin".rows) do add(row) end
    end
  end
  table.sort(sizes)
  report.rows, report.refused, report.wrong = limit.rows, limit.refused, limit.wrong
  report.masks, report.compile = summary(masks), summary(compiles)
  report.memory = {median = quantile(sizes, 0.5), max = sizes[#sizes]}
  report.forced = calls
end

local function measure_cliffs(report, model, values)
  report.cliffs = {}
  for _, case in ipairs(samples.cliffs) do
    local big, small = check(core.grammar.json_schema(case.with)), check(core.grammar.json_schema(case.without))
    local ratios, p99 = {}, {}
    for i = 0, values.repeats do
      local a, b = {}, {}
      for _ = 1, 10 do
        check(walk(big, model, case.text, a) or nil, case.name .. ": its text is not accepted")
        check(walk(small, model, case.text_without or case.text, b) or nil, case.name .. ": its text is not accepted")
      end
      local x, y = summary(a), summary(b)
      if i > 0 then ratios[i], p99[i] = x.p99 / y.p99, x.p99 end
    end
    report.cliffs[#report.cliffs + 1] = {name = case.name, ratio = figures.spread(ratios), p99 = figures.spread(p99)}
    big:close()
    small:close()
  end
end

local function measure_samples(report, model, values)
  report.samples = {}
  for _, sample in ipairs(samples.grammars) do
    local start = core.processor_time()
    local g = check(core.grammar[sample.kind](sample.source))
    local compile = (core.processor_time() - start) * 1e3
    local masks = {}
    for _ = 1, 10 * values.repeats do
      for _, text in ipairs(sample.texts) do
        check(walk(g, model, text, masks) or nil, sample.name .. ": its text is not accepted")
      end
    end
    report.samples[#report.samples + 1] = {name = sample.name, masks = summary(masks), compile_ms = compile, bytes = g:info().bytes}
    g:close()
  end
end

-- The same file, the same grammar, turn by turn.
local function measure_call(report, path, values, say)
  local model = check(require "mobilellm".load(path, {threads = values.threads, kernel = values.kernel}))
  local gbnf, file = samples.call, values.call
  if file then
    local f = io.open(file, "rb")
    if not f then error({failure = "cannot read " .. file}, 0) end
    gbnf = f:read "*a"
    f:close()
  end
  local length = math.max(1, math.min(400, values.context - 256))
  say "a call, from the prompt to its arguments"
  report.call = figures.call(model, gbnf, length, values, values.repeats)
  report.call.prompt, report.call.threads = length, model:info().threads
  model:close()
  if not values.peer_call then return end
  local made
  if not file then
    made = os.tmpname()
    local f = check(io.open(made, "wb"))
    f:write(gbnf)
    f:close()
  end
  local ok, result = pcall(function()
    local list = {}
    for i = 1, values.repeats do
      say("the peer's call, %d of %d", i, values.repeats)
      list[i] = peer.call(values.peer_call, path, report.call.threads, file or made, length, 256).ms
    end
    return figures.spread(list)
  end)
  if made then os.remove(made) end
  if not ok then error(result, 0) end
  report.call.peer = result
  report.call.ratio = result.median / report.call.ms.median
end

-- values: as the command line has them; path or shape for the call and its vocabulary, tokenizer for another vocabulary, data for a suite
-- of schemas.
function grammar.run(values, say)
  local mobilellm = require "mobilellm"
  local set = files.new(say)
  local ok, result = pcall(function()
    local path = values.path or set.random(values.shape or "125m", values.type, nil, values.tokenizer)
    local model = check(mobilellm.load(path, {vocabulary_only = true}))
    local about = machine.describe()
    local report = {machine = about.name, cores = about.cores, features = about.features, caches = about.caches,
      command = "mobilellm bench " .. table.concat(arg or {}, " ", 2), version = core.version, data = values.data or "built-in",
      vocabulary = values.tokenizer or values.path or "made up", tokens = model:info().vocabulary, order = values.order}
    local first = check(core.grammar.choice{"x"})
    local matcher = check(first:matcher(model))
    report.vocabulary_bytes = matcher:info().trie_bytes
    matcher:close()
    first:close()
    say "schemas"
    measure_rows(report, model, values, say)
    say "large schemas"
    measure_cliffs(report, model, values)
    say "other grammars"
    measure_samples(report, model, values)
    model:close()
    if values.path or values.shape then measure_call(report, path, figures.fit(path, values), say) end
    return report
  end)
  set.remove()
  if not ok then error(result, 0) end
  return result
end

-- {what, figure, must, stretch, verdict}: goals of the project beside what was measured.
local function rows_of(report)
  local list = {}
  local function add(what, figure, value, must, stretch, smaller, unit)
    local function met(goal) return smaller and value <= goal or not smaller and value >= goal end
    local function goal(v) return v and tostring(v) .. (unit or "") or "" end
    list[#list + 1] = {what, figure, goal(must), goal(stretch),
      must and (met(stretch) and "stretch" or met(must) and "met" or "not met") or ""}
  end
  local m, c = report.masks, report.compile
  for _, q in ipairs{{"p50", 3, 1.5}, {"p99", 50, 20}, {"p999", 300, 150}, {"max", 2000, 500}} do
    add("mask " .. (q[1] == "p999" and "p99.9" or q[1]), ("%.2f us"):format(m[q[1]]), m[q[1]], q[2], q[3], true, " us")
  end
  for _, q in ipairs{{"p50", 0.5, 0.2}, {"p99", 10, 5}, {"max", 150, 50}} do
    add("compile " .. q[1], ("%.3f ms"):format(c[q[1]]), c[q[1]], q[2], q[3], true, " ms")
  end
  local vocabulary, median = report.vocabulary_bytes / 2 ^ 20, report.memory.median / 1024
  add("memory of the vocabulary", ("%.2f MiB"):format(vocabulary), vocabulary, 1.5, 0.8, true, " MiB")
  add("memory of a grammar, median", ("%.1f KiB"):format(median), median, 256, 64, true, " KiB")
  for _, x in ipairs(report.cliffs) do
    local r = x.ratio
    add(x.name .. ", mask p99 against without", ("%.2f x (%.2f to %.2f)"):format(r.median, r.min, r.max), r.median, 2, 1.2, true, " x")
  end
  local f = report.forced
  if f.tokens > 0 then
    local share = 100 * f.forced / f.tokens
    add("forced tokens on compact tool calls", ("%.1f %% of %d"):format(share, f.tokens), share, 20, 25, false, " %")
    add("forced tokens that are not the tokenizer's", ("%d"):format(f.other), f.other, 0, 0, true)
  end
  for _, s in ipairs(report.samples) do
    add(s.name .. ", mask p50 / p99 / max", ("%.2f / %.1f / %.1f us"):format(s.masks.p50, s.masks.p99, s.masks.max))
    add(s.name .. ", compile", ("%.3f ms, %.0f KiB"):format(s.compile_ms, s.bytes / 1024))
  end
  local call = report.call
  if call then
    local ms = call.ms
    add(("call of %d tokens after a prompt of %d"):format(call.tokens, call.prompt), ("%.1f ms (%.1f to %.1f)"):format(ms.median, ms.min,
      ms.max))
    if call.peer then
      add("the peer's", ("%.1f ms (%.1f to %.1f)"):format(call.peer.median, call.peer.min, call.peer.max))
      add("the peer's time to ours", ("%.2f x"):format(call.ratio), call.ratio, 3, 3, false, " x")
    end
  end
  return list
end

-- Lines for a terminal, or Markdown.
function grammar.lines(report, markdown)
  local out = {
    ("%s, %d cores, %s"):format(report.machine, report.cores, report.caches),
    report.command,
    ("schemas: %s, %d of them, %d refused, %d instances judged wrongly; %d masks"):format(report.data, report.rows, report.refused,
      report.wrong, report.masks.count),
    ("vocabulary: %s, %d tokens; one thread"):format(report.vocabulary, report.tokens),
    "",
  }
  local list, widths = {{"what", "measured", "goal", "stretch", ""}}, {}
  for _, row in ipairs(rows_of(report)) do list[#list + 1] = row end
  for _, row in ipairs(list) do
    for i, text in ipairs(row) do widths[i] = math.max(widths[i] or 0, #text) end
  end
  for n, row in ipairs(list) do
    local padded = {}
    for i, text in ipairs(row) do padded[i] = text .. (" "):rep(widths[i] - #text) end
    out[#out + 1] = markdown and "| " .. table.concat(row, " | ") .. " |" or (table.concat(padded, "  "):gsub("%s+$", ""))
    if n == 1 and markdown then out[#out + 1] = ("|---"):rep(#row) .. "|" end
  end
  return out
end

return grammar
