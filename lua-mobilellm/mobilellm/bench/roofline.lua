-- How near a model's figures come to the limits of the machine (Williams, Waterman and Patterson, "Roofline", CACM 2009).
--
-- A pass over k tokens must read the weights once and the cache of the positions before, and must do 2 operations for each weight and
-- token, and those of attention. Neither can be faster than the machine reads, nor than the kernel multiplies.
local roofline = {}

local SLICE = 256 -- tokens that run through the blocks together (core/model/session.h)

-- What passes cost: {head, body (operations), attention (operations for each position before), weights (bytes), position (bytes of cache)}
function roofline.costs(info, position_bytes)
  local width, all = info.width, info.heads * info.head_size
  local step = width * (all + 2 * info.kv_heads * info.head_size) + all * width + 3 * width * info.ffn_width
  local bytes = 0
  for _, kind in ipairs(info.types) do bytes = bytes + kind.kept_bytes end
  -- An embedding of its own is not read, but for a row.
  if not info.tied_embedding then bytes = bytes * (1 - info.vocabulary * width / info.parameters) end
  return {
    head = 2 * info.vocabulary * width, body = 2 * step * info.steps, attention = 4 * all * info.steps,
    weights = bytes, position = position_bytes,
  }
end

-- A pass of k tokens from position `from` on: operations, bytes. Logits of the last one (`every`: of each).
function roofline.pass(costs, k, from, every)
  local middle = from + (k + 1) / 2
  local operations = k * (costs.body + costs.attention * middle) + costs.head * (every and k or 1)
  local slices = math.ceil(k / SLICE)
  return operations, slices * costs.weights + costs.position * (slices * from + k)
end

-- A point of the plot: what was reached, and the most that the limits allow, in tokens per second.
function roofline.point(costs, limits, options)
  local operations, bytes = roofline.pass(costs, options.tokens, options.from, options.every)
  local by_bytes, by_operations = limits.read * options.tokens / bytes, limits.product * options.tokens / operations
  return {
    name = options.name, group = options.group, tokens = options.tokens, rate = options.rate,
    intensity = operations / bytes, operations_per_second = operations * options.rate / options.tokens,
    bytes_per_second = bytes * options.rate / options.tokens,
    limit = math.min(by_bytes, by_operations), limit_bytes = by_bytes, limit_operations = by_operations,
    limited_by = by_bytes < by_operations and "bytes" or "operations",
    share = options.rate / math.min(by_bytes, by_operations),
  }
end

-- Lines of text: a bar for each point, full where the limit is.
function roofline.bars(points, width)
  width = width or 32
  local lines = {}
  for _, p in ipairs(points) do
    local full = math.max(0, math.min(width, math.floor(p.share * width + 0.5)))
    lines[#lines + 1] = ("  %-18s %8.0f of %8.0f tokens/s  |%s%s| %3.0f %% of the %s limit"):format(p.name, p.rate, p.limit,
      ("#"):rep(full), ("."):rep(width - full), p.share * 100, p.limited_by)
  end
  return lines
end

return roofline
