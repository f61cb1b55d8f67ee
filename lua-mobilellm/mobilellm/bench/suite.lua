-- The table of goals: each figure of each model, type and number of threads, beside another engine's on the same file.
local files = require "mobilellm.bench.files"
local figures = require "mobilellm.bench.figures"
local lookup = require "mobilellm.bench.lookup"
local machine = require "mobilellm.bench.machine"
local peer = require "mobilellm.bench.peer"
local roofline = require "mobilellm.bench.roofline"

local suite = {}

local MIB = 2 ^ 20

local function copy(values, changes)
  local new = {}
  for k, v in pairs(values) do new[k] = v end
  for k, v in pairs(changes) do new[k] = v end
  return new
end

-- Rows: {model, threads, what, unit, ours = figure, peer = figure or nil, ratio, goal = text, met = true, false or nil}
local function speed_rows(add, model, path, values, context)
  local info = model:info()
  local session = figures.check(model:session{context = values.context, kv_type = values.kv_type})
  local ids = figures.prompt(info.vocabulary, values.prompt)
  local ours, theirs = {prefill = {}, decode = {}}, {prefill = {}, decode = {}, load_ms = {}}
  local with_peer = values.peer ~= nil
  for i = 0, values.repeats do
    context.say("%s, %d threads: prefill and decode, %d of %d", info.quantization, info.threads, i, values.repeats)
    local p, d = figures.prefill(session, ids), figures.decode(session, values.generate)
    if i > 0 then
      ours.prefill[i], ours.decode[i] = p, d
      if with_peer then -- one that fails (or that the command's own time limit ends) costs its column, not the table
        local done, row = pcall(peer.bench, values.peer, path, info.threads, values)
        if done then
          theirs.engine = row.engine or "peer"
          table.insert(theirs.prefill, row.prefill)
          table.insert(theirs.decode, row.decode)
          table.insert(theirs.load_ms, row.load_ms)
        else
          context.say("%s", type(row) == "table" and row.failure or row)
          with_peer = false
        end
      end
    end
  end
  session:close()
  local function pair(what)
    local a = figures.spread(ours[what])
    if not theirs[what][1] then return a end
    local b = figures.spread(theirs[what])
    return a, b, a.median / b.median
  end
  local a, b, ratio = pair "prefill"
  local wanted = context.amx and 5 or 1.5
  add{what = ("prefill of %d"):format(values.prompt), unit = "tokens/s", ours = a, peer = b, ratio = ratio,
    goal = context.goal_prefill and ("%.1f x the peer"):format(wanted) or nil,
    met = context.goal_prefill and ratio and ratio >= wanted or nil, missed = context.goal_prefill and ratio and ratio < wanted}
  a, b, ratio = pair "decode"
  add{what = ("decode of %d"):format(values.generate), unit = "tokens/s", ours = a, peer = b, ratio = ratio,
    goal = "1.0 x the peer", met = ratio and ratio >= 1, missed = ratio and ratio < 1}
  local costs = roofline.costs(info, figures.position_bytes(model, values.kv_type))
  local _, bytes = roofline.pass(costs, 1, values.generate / 2)
  local read = context.limits.read[info.threads] or context.limits.read[#context.limits.read]
  local share = a.median * bytes / read.median
  add{what = "decode, bytes read", unit = "GB/s", ours = {median = a.median * bytes / 1e9, min = a.min * bytes / 1e9,
    max = a.max * bytes / 1e9}, limit = read.median / 1e9, ratio = share, of = "read speed", goal = "0.90 of the read speed",
    met = share >= 0.9, missed = share < 0.9}
  return theirs.engine, theirs.load_ms[1] and figures.spread(theirs.load_ms)
end

local function model_rows(rows, name, path, kind, threads, values, context)
  local mobilellm = require "mobilellm"
  values = figures.fit(path, values)
  local mine = copy(values, {threads = threads})
  local small = name:match "^125m" ~= nil or context.only
  local flagship = small and kind == "q8_0"
  local function add(row)
    row.model, row.type, row.threads = name, kind, threads
    if row.met == nil and row.missed then row.met = false end
    row.missed = nil
    rows[#rows + 1] = row
  end
  context.say("%s %s, %d threads: memory and load", name, kind, threads)
  local memory = figures.memory(path, mine)
  local load = figures.load(path, mine, values.repeats)
  local model = figures.check(mobilellm.load(path, {threads = threads, kernel = values.kernel}))
  context.kernel = model:info().kernel
  context.goal_prefill = flagship
  local engine, peer_load = speed_rows(add, model, path, mine, context)
  context.engine = engine or context.engine
  add{what = "load to first token", unit = "ms", ours = load, peer = peer_load,
    ratio = peer_load and peer_load.median / load.median, goal = flagship and "60 ms" or nil,
    met = flagship and load.median <= 60, missed = flagship and load.median > 60}
  if not flagship then rows[#rows].met = nil end
  local extra = (memory.peak_bytes - memory.file_bytes - memory.kv_bytes) / MIB
  add{what = "peak memory", unit = "MiB", ours = {median = memory.peak_bytes / MIB},
    detail = ("file %.1f + cache %.1f + %.1f"):format(memory.file_bytes / MIB, memory.kv_bytes / MIB, extra),
    goal = flagship and "file + cache + 32 MiB" or nil}
  if flagship then rows[#rows].met = extra <= 32 end
  if flagship then
    context.say("%s %s, %d threads: lookup", name, kind, threads)
    local found = lookup.measure(model, {max_tokens = values.generate * 2, context = values.context, draft = values.draft,
      repeats = values.repeats, kv_type = values.kv_type})
    add{what = "decode with lookup, text that copies", unit = "x plain", ours = found.copied.speedup, goal = "1.5 x, same output",
      met = found.copied.speedup.median >= 1.5 and found.copied.identical}
    add{what = "decode with lookup, text that never repeats", unit = "x plain", ours = found.fresh.speedup}
    if context.shape then
      context.say("%s %s, %d threads: LS", name, kind, threads)
      local other = figures.check(mobilellm.load(context.set.random(context.shape .. "-ls", kind), {threads = threads,
        kernel = values.kernel}))
      local ls = figures.decode_ratio(model, other, mine, values.repeats)
      add{what = "LS against its base, decode", unit = "x time", ours = ls.time, goal = "at most 1.15 x", met = ls.time.median <= 1.15}
      other:close()
    end
    if values.call then
      context.say("%s %s, %d threads: a call under a grammar", name, kind, threads)
      local ours = figures.call(model, context.gbnf, 400, mine, values.repeats)
      local theirs
      if values.peer_call then
        local list = {}
        for i = 1, values.repeats do
          context.say("%s %s, %d threads: the peer's call, %d of %d", name, kind, threads, i, values.repeats)
          local done, row = pcall(peer.call, values.peer_call, path, threads, values.call, 400, 256)
          if not done then
            context.say("%s", type(row) == "table" and row.failure or row)
            break
          end
          list[i] = row.ms
        end
        theirs = list[1] and figures.spread(list)
      end
      local ratio = theirs and theirs.median / ours.ms.median
      add{what = ("call under a grammar, %d tokens"):format(ours.tokens), unit = "ms", ours = ours.ms, peer = theirs, ratio = ratio,
        goal = "3 x the peer", met = ratio and ratio >= 3, missed = ratio and ratio < 3}
    end
  end
  model:close()
  if flagship and context.packed then
    context.packed_path = context.packed_path or context.set.packed(path, kind)
    add{what = "load of the packed file", unit = "ms", ours = figures.load(context.packed_path, mine, values.repeats), goal = "60 ms"}
    rows[#rows].met = rows[#rows].ours.median <= 60
  end
end

-- values: as the command line has them. Returns {machine, limits, rows, engine, kernel}.
function suite.run(values, say)
  local set = files.new(say)
  local ok, result = pcall(function()
    local about = machine.describe()
    local counts = {}
    if values.threads > 0 then
      counts[1] = values.threads
    else
      counts[1] = 1
      if about.cores > 1 then counts[2] = about.cores end
    end
    local amx = about.features:find "amx_int8" ~= nil and (values.kernel == "auto" or values.kernel == "amx")
    local context = {set = set, say = say, amx = amx, only = values.model ~= nil, packed = true}
    say "limits of the machine"
    context.limits = machine.limits{bytes = values.read_mib * MIB, threads = math.max(counts[1], counts[2] or 1), type = "q8_0",
      kernel = values.kernel, repeats = math.max(3, values.repeats)}
    if values.call then
      local f = io.open(values.call, "rb")
      if not f then error({failure = "cannot read " .. values.call}, 0) end
      context.gbnf = f:read "*a"
      f:close()
    end
    local rows = {}
    for _, shape in ipairs(values.model and {"file"} or values.shape and {values.shape} or {"125m", "350m"}) do
      for _, kind in ipairs(values.model and {values.type} or {"q8_0", "q4_0"}) do
        local path = values.model or set.random(shape, kind, nil, values.tokenizer)
        context.shape = not values.model and shape == "125m" and shape or nil
        for _, threads in ipairs(counts) do
          model_rows(rows, values.model and values.model:match "[^/]*$" or shape, path, kind, threads, values, context)
        end
      end
    end
    return {machine = about, limits = context.limits, rows = rows, engine = context.engine, kernel = context.kernel,
      command = "mobilellm bench " .. table.concat(arg or {}, " ", 2), repeats = values.repeats}
  end)
  set.remove()
  if not ok then error(result, 0) end
  return result
end

local function number(x, unit)
  if not x then return "" end
  return (unit == "x plain" or unit == "x time") and ("%.2f"):format(x) or ("%.1f"):format(x)
end

local function cells(row)
  local spread = row.ours.min and row.ours.max and ("%s to %s"):format(number(row.ours.min, row.unit), number(row.ours.max, row.unit))
    or row.detail or ""
  local other = row.peer and number(row.peer.median, row.unit) or row.limit and ("limit %.1f"):format(row.limit) or ""
  return {("%s %s"):format(row.model, row.type), tostring(row.threads), row.what, number(row.ours.median, row.unit) .. " " .. row.unit,
    spread, other, row.ratio and ("%.2f"):format(row.ratio) or "", row.goal or "",
    row.met == true and "met" or row.met == false and "not met" or row.goal and "not measured" or ""}
end

local HEAD = {"model", "threads", "what", "median", "spread", "peer", "ratio", "goal", ""}

-- Lines of the table: for a terminal, or as Markdown.
function suite.lines(rows, markdown)
  local lines, list, widths = {}, {HEAD}, {}
  for _, row in ipairs(rows) do list[#list + 1] = cells(row) end
  for _, line in ipairs(list) do
    for i, text in ipairs(line) do widths[i] = math.max(widths[i] or 0, #text) end
  end
  for n, line in ipairs(list) do
    local padded = {}
    for i, text in ipairs(line) do padded[i] = text .. (" "):rep(widths[i] - #text) end
    lines[#lines + 1] = markdown and "| " .. table.concat(line, " | ") .. " |" or (table.concat(padded, "  "):gsub("%s+$", ""))
    if n == 1 and markdown then lines[#lines + 1] = ("|---"):rep(#HEAD) .. "|" end
  end
  return lines
end

return suite
