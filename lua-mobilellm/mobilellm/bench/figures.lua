-- What is measured of a model: each function returns a figure with its spread over repeats, or a table of figures.
local core = require "mobilellm.core"
local machine = require "mobilellm.bench.machine"

local figures = {}

-- Median, least and most of a list, with the list.
function figures.spread(list)
  local sorted = {}
  for i, v in ipairs(list) do sorted[i] = v end
  table.sort(sorted)
  local n = #sorted
  local median = n % 2 == 1 and sorted[(n + 1) / 2] or (sorted[n / 2] + sorted[n / 2 + 1]) / 2
  return {median = median, min = sorted[1], max = sorted[n], runs = list}
end

-- `repeats` results of measure() after one that does not count.
function figures.repeated(repeats, measure)
  local list = {}
  for i = 0, repeats do list[i] = measure(i) end
  list[0] = nil
  return figures.spread(list)
end

local function check(value, message)
  if value == nil then error({failure = tostring(message)}, 0) end
  return value
end
figures.check = check

-- The same values with a context, a prompt and an output that the model at `path` takes.
function figures.fit(path, values)
  local model = check(require "mobilellm".load(path, {vocabulary_only = true}))
  local context = math.min(values.context, model:info().context)
  model:close()
  local fitted = {}
  for k, v in pairs(values) do fitted[k] = v end
  fitted.context = context
  fitted.generate = math.max(1, math.min(values.generate, math.floor((context - 32) / 2)))
  fitted.prompt = math.max(1, math.min(values.prompt, context - 2))
  return fitted
end

-- Ids that mean nothing, the same for every engine that is measured.
function figures.prompt(vocabulary, length)
  local ids = {}
  for i = 0, length - 1 do ids[i + 1] = i == 0 and 1 or (i * 37) % (vocabulary - 5) + 5 end
  return ids
end

local function next_id(vocabulary, i) return (i * 53) % (vocabulary - 5) + 5 end

-- tokens per second of feeding `ids` into an empty session, the logits after the last included
function figures.prefill(session, ids)
  session:rewind(0)
  local start = core.clock()
  check(session:feed(ids))
  check(session:logits())
  return #ids / (core.clock() - start)
end

-- tokens per second, one after the other with the logits of each, from position `from` on (which the session has reached)
function figures.decode(session, count, from)
  local vocabulary = session:model():info().vocabulary
  session:rewind(from or 0)
  local start = core.clock()
  for i = 0, count - 1 do
    check(session:feed{next_id(vocabulary, i)})
    check(session:logits())
  end
  return count / (core.clock() - start)
end

-- Tokens per second of feeds of k tokens, each k alternating with feeds of one, from position `from` on; and how many single tokens' time
-- a feed of k takes.
function figures.feed(session, sizes, repeats, from)
  local vocabulary = session:model():info().vocabulary
  session:rewind(0)
  if from > 0 then check(session:feed(figures.prompt(vocabulary, from))) end
  local ids = figures.prompt(vocabulary, sizes[#sizes] + 1)
  local function seconds(k)
    local part = {}
    for i = 1, k do part[i] = ids[i + 1] end
    local best = {}
    for i = 1, 4 do -- the median of a few: one of them is short enough to be interrupted as a whole
      session:rewind(from)
      local start = core.clock()
      check(session:feed(part))
      check(session:logits())
      best[i] = core.clock() - start
    end
    return figures.spread(best).median
  end
  local rows = {}
  for _, k in ipairs(sizes) do
    local rates, ratios = {}, {}
    for i = 0, repeats do
      local one, many = seconds(1), seconds(k)
      if i > 0 then rates[i], ratios[i] = k / many, k == 1 and 1 or many / one end
    end
    rows[#rows + 1] = {tokens = k, rate = figures.spread(rates), time = figures.spread(ratios)}
  end
  return rows
end

-- Milliseconds from the file to the first token's logits. The file has been read before.
function figures.load(path, values, repeats)
  local mobilellm = require "mobilellm"
  return figures.repeated(repeats, function()
    collectgarbage()
    local start = core.clock()
    local model = check(mobilellm.load(path, {threads = values.threads, kernel = values.kernel}))
    local session = check(model:session{context = values.context, kv_type = values.kv_type})
    check(session:feed{1})
    check(session:logits())
    local ms = (core.clock() - start) * 1000
    session:close()
    model:close()
    return ms
  end)
end

-- Peak memory of the process while it loads the model, reads the prompt and decodes a token; its parts beside it.
function figures.memory(path, values)
  local mobilellm = require "mobilellm"
  collectgarbage()
  collectgarbage()
  local before, fresh = machine.resident(), machine.reset_peak()
  local model = check(mobilellm.load(path, {threads = values.threads, kernel = values.kernel}))
  local session = check(model:session{context = values.context, kv_type = values.kv_type})
  local info = model:info()
  check(session:feed(figures.prompt(info.vocabulary, math.min(values.prompt, values.context - 1))))
  check(session:logits())
  check(session:feed{5})
  check(session:logits())
  local report = {
    peak_bytes = machine.peak(), before_bytes = before, fresh = fresh, file_bytes = machine.file_bytes(path),
    weight_bytes = info.weight_bytes, packed_bytes = info.packed_bytes, kv_bytes = session:bytes(), positions = #session,
  }
  session:close()
  model:close()
  return report
end

-- Bytes that one position takes in the cache of this session's kind.
function figures.position_bytes(model, kv_type)
  local session = check(model:session{context = 64, kv_type = kv_type})
  check(session:feed(figures.prompt(model:info().vocabulary, 64)))
  local bytes = session:bytes() / 64
  session:close()
  return bytes
end

-- Decode behind a filled cache, by the type of the cache.
function figures.kv_types(model, values, repeats)
  local rows = {}
  for _, kind in ipairs{"f32", "f16", "q8_0"} do
    local session = model:session{context = values.context, kv_type = kind}
    if session then -- not every type takes every head size
      local from = math.max(0, values.context - values.generate)
      if from > 0 then check(session:feed(figures.prompt(model:info().vocabulary, from))) end
      rows[#rows + 1] = {
        type = kind, from = from, bytes = figures.position_bytes(model, kind),
        decode = figures.repeated(repeats, function() return figures.decode(session, values.generate, from) end),
      }
      session:close()
    end
  end
  return rows
end

-- One model's decode against another's, in turns: time per token of the second in those of the first.
function figures.decode_ratio(first, second, values, repeats)
  local a = check(first:session{context = values.context, kv_type = values.kv_type})
  local b = check(second:session{context = values.context, kv_type = values.kv_type})
  local ones, others, ratios = {}, {}, {}
  for i = 0, repeats do
    local x, y = figures.decode(a, values.generate), figures.decode(b, values.generate)
    if i > 0 then ones[i], others[i], ratios[i] = x, y, x / y end
  end
  a:close()
  b:close()
  return {base = figures.spread(ones), decode = figures.spread(others), time = figures.spread(ratios)}
end

-- Milliseconds from a prompt of `length` tokens to the parsed call that the grammar in the text of a GBNF file allows.
function figures.call(model, gbnf, length, values, repeats)
  local mobilellm = require "mobilellm"
  local ids, tokens, text = figures.prompt(model:info().vocabulary, length), 0, ""
  local grammar = check(mobilellm.grammar.gbnf(gbnf))
  local session = check(model:session{context = values.context, kv_type = values.kv_type})
  local ms = figures.repeated(repeats, function()
    session:rewind(0)
    local start = core.clock()
    local stats
    text, stats = session:generate(ids, {max_tokens = 256, grammar = grammar})
    check(text, stats)
    check(mobilellm.json.decode(text))
    tokens = stats.tokens
    return (core.clock() - start) * 1000
  end)
  session:close()
  return {ms = ms, tokens = tokens, text = text}
end

return figures
