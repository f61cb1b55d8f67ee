-- Speed and size on this machine. A benchmark reports; it judges nothing.
local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "measure prefill, decode, load time and memory",
  usage = "[MODEL]",
  about = "Measures MODEL, or random weights in the shape of a published model.",
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
    {"--peer", "COMMAND", "another engine's benchmark: run as COMMAND MODEL THREADS PROMPT GENERATE 1, prints a JSON line"},
    {"--json", nil, "one JSON object"},
  },
}

local function line_of(path, pattern)
  local f = io.open(path)
  if not f then return nil end
  for line in f:lines() do
    local found = line:match(pattern)
    if found then
      f:close()
      return found
    end
  end
  f:close()
end

-- Median, least and most.
local function spread(list)
  local sorted = {}
  for i, v in ipairs(list) do sorted[i] = v end
  table.sort(sorted)
  local n = #sorted
  local median = n % 2 == 1 and sorted[(n + 1) / 2] or (sorted[n / 2] + sorted[n / 2 + 1]) / 2
  return {median = median, min = sorted[1], max = sorted[n], runs = list}
end

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function run_peer(values, path, threads)
  local line = ("%s %s %d %d %d 1"):format(values.peer, quote(path), threads, values.prompt, values.generate)
  local pipe = io.popen(line .. " 2>&1")
  local text = pipe:read "*a"
  pipe:close()
  local row = text:match "{[^\n]*}"
  row = row and require "mobilellm".json.decode(row)
  if type(row) ~= "table" or type(row.prefill) ~= "number" or type(row.decode) ~= "number" then
    cli.fail("the peer's output has no JSON line with prefill and decode: %s", text:sub(1, 300))
  end
  return row
end

local function measure(session, prompt, values)
  local clock = require "mobilellm.core".clock
  local vocabulary = session:model():info().vocabulary
  session:rewind(0)
  local start = clock()
  cli.check(session:feed(prompt))
  cli.check(session:logits())
  local prefill = #prompt / (clock() - start)
  session:rewind(0)
  start = clock()
  for i = 0, values.generate - 1 do
    cli.check(session:feed{(i * 53) % (vocabulary - 5) + 5})
    cli.check(session:logits())
  end
  return prefill, values.generate / (clock() - start)
end

local function row(name, unit, figures, digits)
  local f = "%." .. (digits or 1) .. "f"
  print(("  %-18s %10s %-9s (%s to %s)"):format(name, f:format(figures.median), unit, f:format(figures.min),
    f:format(figures.max)))
end

function command.run(values, others)
  local core = require "mobilellm.core"
  for _, name in ipairs{"prompt", "generate", "repeats", "context"} do
    if values[name] < 1 then options.usage("--%s: at least 1 expected", name) end
  end
  if values.prompt > values.context or values.generate > values.context then
    options.usage("--context: the prompt of %d and the output of %d tokens must fit", values.prompt, values.generate)
  end
  local path, scratch = values.model or others[1], nil
  if path and values.shape or not path and not values.shape then options.usage "bench: a MODEL or a --shape is needed" end
  if values.shape then
    path = values.write
    if not path then
      scratch = os.tmpname()
      path = scratch
    end
    local ok, made, message = pcall(core.make_random, path,
      {shape = values.shape, type = values.type, tokenizer = values.tokenizer})
    if not ok or not made then
      if scratch then os.remove(scratch) end
      cli.fail("%s", tostring(ok and message or made))
    end
  end

  local ok, result = pcall(function()
    local loads, model = {}, nil
    for i = 1, 3 do -- the first one also reads the file from the disk
      if model then model:close() end
      local start = core.clock()
      model = cli.load(path, values)
      loads[i] = (core.clock() - start) * 1000
    end
    local info = model:info()
    local session = cli.check(model:session{context = values.context, kv_type = values.kv_type})
    local prompt = {}
    for i = 0, values.prompt - 1 do prompt[i + 1] = i == 0 and 1 or (i * 37) % (info.vocabulary - 5) + 5 end
    local prefill, decode, peer_prefill, peer_decode, peer = {}, {}, {}, {}, nil
    for i = 0, values.repeats do
      local p, d = measure(session, prompt, values)
      if i > 0 then prefill[i], decode[i] = p, d end
      if values.peer and i > 0 then
        peer = run_peer(values, path, info.threads)
        peer_prefill[i], peer_decode[i] = peer.prefill, peer.decode
      end
    end
    local report = {
      machine = line_of("/proc/cpuinfo", "^model name%s*:%s*(.*)$") or "unknown processor",
      cores = core.machine().cores, features = core.machine().features,
      command = "mobilellm bench " .. table.concat(arg or {}, " ", 2),
      model = values.shape and "random " .. values.shape or path, quantization = info.quantization,
      kernel = info.kernel, threads = info.threads, parameters = info.parameters, weight_bytes = info.weight_bytes,
      packed_bytes = info.packed_bytes, kv_bytes = session:bytes(), prompt = values.prompt, generate = values.generate,
      load_ms = spread(loads), prefill = spread(prefill), decode = spread(decode),
      peak_memory_bytes = (tonumber(line_of("/proc/self/status", "^VmHWM:%s*(%d+) kB")) or 0) * 1024,
      version = core.version,
    }
    if peer then
      report.peer = {engine = peer.engine, load_ms = peer.load_ms, prefill = spread(peer_prefill),
        decode = spread(peer_decode)}
      report.ratio = {prefill = report.prefill.median / report.peer.prefill.median,
        decode = report.decode.median / report.peer.decode.median}
    end
    return report
  end)
  if scratch then os.remove(scratch) end
  if not ok then error(result, 0) end

  if values.json then
    print(require "mobilellm".json.encode(result))
    return
  end
  print(("%s, %d cores, %s"):format(result.machine, result.cores, result.features))
  print(result.command)
  print(("%s, %s, %.1f million parameters, kernel %s, %d threads"):format(result.model, result.quantization,
    result.parameters / 1e6, result.kernel, result.threads))
  row(("prefill of %d"):format(result.prompt), "tokens/s", result.prefill)
  row(("decode of %d"):format(result.generate), "tokens/s", result.decode)
  row("load", "ms", result.load_ms)
  print(("  %-18s %10.1f MiB       (weights %.1f, repacked %.1f, cache %.1f)"):format("peak memory",
    result.peak_memory_bytes / 2^20, result.weight_bytes / 2^20, result.packed_bytes / 2^20, result.kv_bytes / 2^20))
  if result.peer then
    print(("%s"):format(result.peer.engine or "peer"))
    row("prefill", "tokens/s", result.peer.prefill)
    row("decode", "tokens/s", result.peer.decode)
    print(("  ratio              prefill %.2f, decode %.2f"):format(result.ratio.prefill, result.ratio.decode))
  end
end

return command
