-- Everything about one model: measured by `run`, told by `lines`.
local core = require "mobilellm.core"
local files = require "mobilellm.bench.files"
local figures = require "mobilellm.bench.figures"
local lookup = require "mobilellm.bench.lookup"
local machine = require "mobilellm.bench.machine"
local peer = require "mobilellm.bench.peer"
local roofline = require "mobilellm.bench.roofline"

local story = {}

-- In the order in which they are measured and told.
story.parts = {"speed", "limits", "feed", "lookup", "kv", "ls", "packed", "call"}

local MIB = 2 ^ 20
local FEEDS = {1, 2, 4, 8, 16}

local function measure_speed(report, model, path, values, say)
  local info = model:info()
  local session = figures.check(model:session{context = values.context, kv_type = values.kv_type})
  local ids = figures.prompt(info.vocabulary, values.prompt)
  local prefill, decode, theirs, engine = {}, {}, {prefill = {}, decode = {}, load_ms = {}}, nil
  for i = 0, values.repeats do
    say("prefill and decode, %d of %d", i, values.repeats)
    local p, d = figures.prefill(session, ids), figures.decode(session, values.generate)
    if i > 0 then
      prefill[i], decode[i] = p, d
      if values.peer then
        say("the peer, %d of %d", i, values.repeats)
        local row = peer.bench(values.peer, path, info.threads, values)
        engine = row.engine or "peer"
        theirs.prefill[i], theirs.decode[i], theirs.load_ms[i] = row.prefill, row.decode, row.load_ms
      end
    end
  end
  session:close()
  report.prefill, report.decode = figures.spread(prefill), figures.spread(decode)
  if not values.peer then return end
  report.peer = {engine = engine, prefill = figures.spread(theirs.prefill), decode = figures.spread(theirs.decode)}
  report.ratio = {prefill = report.prefill.median / report.peer.prefill.median,
    decode = report.decode.median / report.peer.decode.median}
  if theirs.load_ms[1] then
    report.peer.load_ms = figures.spread(theirs.load_ms)
    report.ratio.load = report.peer.load_ms.median / report.load_ms.median
  end
end

-- Prefills of other lengths, for the roofline.
local function measure_lengths(model, values)
  local session = figures.check(model:session{context = values.context, kv_type = values.kv_type})
  local rows = {}
  for _, length in ipairs{32, 128, 512, 1024} do
    if length ~= values.prompt and length <= values.context then
      local ids = figures.prompt(model:info().vocabulary, length)
      rows[#rows + 1] = {tokens = length, rate = figures.repeated(values.repeats, function() return figures.prefill(session, ids) end)}
    end
  end
  session:close()
  return rows
end

local function draw_roofline(report, model, values)
  local info = model:info()
  local costs = roofline.costs(info, figures.position_bytes(model, values.kv_type))
  local limits = {read = report.limits.read[info.threads].median, product = report.limits.product[info.threads].median}
  local points = {}
  local function add(point) points[#points + 1] = roofline.point(costs, limits, point) end
  if report.decode then
    add{group = "decode", name = "decode", tokens = 1, from = math.floor(values.generate / 2), rate = report.decode.median}
  end
  for _, row in ipairs(report.feed and report.feed.rows or {}) do
    if row.tokens > 1 then
      add{group = "feed", name = ("feed of %d"):format(row.tokens), tokens = row.tokens, from = report.feed.from, rate = row.rate.median}
    end
  end
  if report.lookup then
    -- A pass computes what was drafted and one token more; what counts is the time of a generated token.
    local found = report.lookup.real or report.lookup.copied
    local passes = math.max(1, found.tokens - found.accepted)
    local rows = math.max(1, math.floor((passes + found.drafted) / passes + 0.5))
    local point = {group = "lookup", name = "lookup", tokens = rows, from = report.lookup.prompt_tokens, every = true,
      rate = found.lookup.median}
    local operations, bytes = roofline.pass(costs, rows, point.from, true)
    local each = found.tokens / passes
    local by_bytes, by_operations = limits.read * each / bytes, limits.product * each / operations
    points[#points + 1] = {name = "lookup", group = "lookup", tokens = rows, rate = found.lookup.median,
      intensity = operations / bytes, operations_per_second = operations / each * found.lookup.median,
      bytes_per_second = bytes / each * found.lookup.median, limit = math.min(by_bytes, by_operations), limit_bytes = by_bytes,
      limit_operations = by_operations, limited_by = by_bytes < by_operations and "bytes" or "operations",
      share = found.lookup.median / math.min(by_bytes, by_operations)}
  end
  local lengths = {}
  for i, row in ipairs(report.lengths or {}) do lengths[i] = {row.tokens, row.rate.median} end
  if report.prefill then lengths[#lengths + 1] = {values.prompt, report.prefill.median} end
  table.sort(lengths, function(a, b) return a[1] < b[1] end)
  for _, row in ipairs(lengths) do
    add{group = "prefill", name = ("prefill of %d"):format(row[1]), tokens = row[1], from = 0, rate = row[2]}
  end
  report.costs, report.roofline = costs, points
end

-- What the value of --only asks for: {name = true}
function story.chosen(only)
  local chosen = {}
  for _, name in ipairs(story.parts) do chosen[name] = only == nil end
  for name in (only or ""):gmatch "[^,%s]+" do
    if chosen[name] == nil then return nil, name end
    chosen[name] = true
  end
  return chosen
end

-- values: as the command line has them, with `path` or `shape`. Returns the report.
function story.run(values, chosen, say)
  local mobilellm = require "mobilellm"
  local set = files.new(say)
  local ok, result = pcall(function()
    local path = values.path or set.random(values.shape, values.type, values.write, values.tokenizer)
    values = figures.fit(path, values)
    local about = machine.describe()
    local report = {
      machine = about.name, cores = about.cores, features = about.features, caches = about.caches, load_average = about.load,
      command = "mobilellm bench " .. table.concat(arg or {}, " ", 2), version = core.version,
      model = values.shape and "random " .. values.shape or path, prompt = values.prompt, generate = values.generate,
      repeats = values.repeats,
    }
    if chosen.speed then -- first, while nothing else has taken memory
      say "memory and load"
      report.memory = figures.memory(path, values)
      report.peak_memory_bytes, report.kv_bytes = report.memory.peak_bytes, report.memory.kv_bytes
      report.load_ms = figures.load(path, values, values.repeats)
    end
    local model = figures.check(mobilellm.load(path, {threads = values.threads, kernel = values.kernel}))
    local info = model:info()
    for _, key in ipairs{"quantization", "kernel", "threads", "parameters", "weight_bytes", "packed_bytes"} do report[key] = info[key] end
    if chosen.speed then measure_speed(report, model, path, values, say) end
    if chosen.limits then
      say "limits of the machine"
      local kinds = {f32 = "f32", f16 = "f16", bf16 = "bf16", q4_0 = "q4_0"}
      report.limits = machine.limits{bytes = values.read_mib * MIB, threads = info.threads, kernel = info.kernel,
        type = kinds[info.quantization:lower()] or "q8_0", repeats = math.max(3, values.repeats)}
      say "prefill of other lengths"
      report.lengths = measure_lengths(model, values)
    end
    if chosen.feed then
      say "feeds of several tokens"
      local from = math.min(64, values.context - FEEDS[#FEEDS])
      local session = figures.check(model:session{context = values.context, kv_type = values.kv_type})
      if from >= 0 then report.feed = {from = from, rows = figures.feed(session, FEEDS, values.repeats, from)} end
      session:close()
    end
    if chosen.lookup then
      say "prompt lookup"
      report.lookup = lookup.measure(model, {max_tokens = values.generate * 2, context = values.context, draft = values.draft,
        repeats = values.repeats, kv_type = values.kv_type, real = values.path ~= nil})
    end
    if chosen.kv then
      say "types of the cache"
      report.kv = figures.kv_types(model, values, values.repeats)
    end
    if chosen.limits then draw_roofline(report, model, values) end
    if chosen.ls and values.shape and files.pair(values.shape) then
      local base, twice = files.pair(values.shape)
      local other = set.random(values.shape == base and twice or base, values.type, nil, values.tokenizer)
      say "LS against its base"
      other = figures.check(mobilellm.load(other, {threads = values.threads, kernel = values.kernel}))
      report.ls = values.shape == base and figures.decode_ratio(model, other, values, values.repeats)
        or figures.decode_ratio(other, model, values, values.repeats)
      report.ls.shapes = {base, twice}
      other:close()
    end
    if chosen.call and values.call then
      say "a call under a grammar"
      local f = io.open(values.call, "rb")
      if not f then error({failure = "cannot read " .. values.call}, 0) end
      local gbnf = f:read "*a"
      f:close()
      report.call = figures.call(model, gbnf, math.min(400, values.context - 256), values, values.repeats)
      if values.peer_call then
        local list = {}
        for i = 1, values.repeats do list[i] = peer.call(values.peer_call, path, info.threads, values.call, 400, 256).ms end
        report.call.peer = figures.spread(list)
        report.call.ratio = report.call.peer.median / report.call.ms.median
      end
    end
    model:close()
    local kind = report.quantization:lower()
    if chosen.packed and (kind == "q8_0" or kind == "q4_0") then
      local packed = set.packed(path, kind)
      report.packed_load_ms = figures.load(packed, values, values.repeats)
      report.packed_file_bytes = machine.file_bytes(packed)
    end
    return report
  end)
  set.remove()
  if not ok then error(result, 0) end
  return result
end

local function row(name, unit, f, digits)
  local format = "%." .. (digits or 1) .. "f"
  return ("  %-24s %10s %-9s (%s to %s)"):format(name, format:format(f.median), unit, format:format(f.min), format:format(f.max))
end

local function scaled(f, by) return {median = f.median * by, min = f.min * by, max = f.max * by} end

-- The report as lines of text.
function story.lines(report)
  local out = {}
  local function say(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end
  say("%s, %d cores, %s%s", report.machine, report.cores, report.features,
    report.caches ~= "" and ", " .. report.caches or "")
  say(report.command)
  say("%s, %s, %.1f million parameters, kernel %s, %d threads; medians of %d (least to most)", report.model, report.quantization,
    report.parameters / 1e6, report.kernel, report.threads, report.repeats)
  if report.prefill then
    say(row(("prefill of %d"):format(report.prompt), "tokens/s", report.prefill))
    say(row(("decode of %d"):format(report.generate), "tokens/s", report.decode))
    say(row("load to first token", "ms", report.load_ms))
  end
  if report.packed_load_ms then say(row("the same, packed file", "ms", report.packed_load_ms)) end
  if report.memory then
    local m = report.memory
    say("  %-24s %10.1f MiB       (weights in the file %.1f, repacked %.1f, cache of %d positions %.1f)", "peak memory",
      m.peak_bytes / MIB, m.weight_bytes / MIB, m.packed_bytes / MIB, m.positions, m.kv_bytes / MIB)
  end
  if report.peer then
    say(report.peer.engine)
    say(row("prefill", "tokens/s", report.peer.prefill))
    say(row("decode", "tokens/s", report.peer.decode))
    if report.peer.load_ms then say(row("load", "ms", report.peer.load_ms)) end
    say("  ratio                    prefill %.2f, decode %.2f%s", report.ratio.prefill, report.ratio.decode,
      report.ratio.load and (", load %.2f"):format(report.ratio.load) or "")
  end
  if report.feed then
    say("feed of k tokens in one pass, from position %d", report.feed.from)
    for _, r in ipairs(report.feed.rows) do say(row(("k = %d"):format(r.tokens), "x one", r.time, 2)) end
  end
  if report.lookup then
    local l = report.lookup
    say "prompt lookup against plain decode, the same tokens (a stage of the sampler names them: this is about speed alone)"
    for _, case in ipairs{{"text that copies", l.copied}, {"text that never repeats", l.fresh}, {"real requests, greedy", l.real}} do
      local c = case[2]
      if c then
        say("%s  %d of %d drafted tokens right, output %s", row(case[1], "x plain", c.speedup, 2), c.accepted, c.drafted,
          c.identical and "identical" or "DIFFERENT")
      end
    end
    if l.real then say "  (the real requests are the model's own words: no stage)" end
  end
  if report.kv then
    say("decode of %d from position %d, by the cache's type", report.generate, report.kv[1].from)
    for _, r in ipairs(report.kv) do
      say("%s  %.1f KiB a position", row(r.type, "tokens/s", r.decode), r.bytes / 1024)
    end
  end
  if report.ls then
    say("%s against %s, decode", report.ls.shapes[2], report.ls.shapes[1])
    say(row(report.ls.shapes[1], "tokens/s", report.ls.base))
    say(row(report.ls.shapes[2], "tokens/s", report.ls.decode))
    say(row("time", "x base", report.ls.time, 2))
  end
  if report.call then
    say("a call under a grammar, %d tokens out", report.call.tokens)
    say(row("prompt to parsed", "ms", report.call.ms))
    if report.call.peer then
      say(row("peer", "ms", report.call.peer))
      say("  ratio                    %.2f", report.call.ratio)
    end
  end
  if report.limits then
    say "limits of the machine"
    for threads, f in ipairs(report.limits.read) do
      say(row(("read memory, %d threads"):format(threads), "GB/s", scaled(f, 1e-9)))
    end
    for threads, f in ipairs(report.limits.product) do
      say(row(("%s %s, %d threads"):format(report.limits.kernel, report.limits.type, threads), "Tops/s", scaled(f, 1e-12), 3))
    end
    if report.roofline then
      say("roofline: %.1f MB of weights and %.1f KB of cache for each position are read for a pass; %.3f Gop a token and %.3f for logits",
        report.costs.weights / 1e6, report.costs.position / 1e3, report.costs.body / 1e9, report.costs.head / 1e9)
      for _, line in ipairs(require "mobilellm.bench.roofline".bars(report.roofline)) do say("%s", line) end
    end
  end
  return out
end

return story
