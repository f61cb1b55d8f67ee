-- Slices of strings, lists, tuples and ranges, and sorted lists.
local arguments = require "mobilellm.template.arguments"
local text = require "mobilellm.template.text"
local values = require "mobilellm.template.values"

local sequences = {}

local kind, fail, list, integer_of = values.kind, values.fail, values.list, arguments.integer_of

-- v[from:to:step], the parts nil where they were left out
function sequences.slice(run, v, from, to, step)
  local k = kind(v)
  if k == "undefined" then values.defined(v) end
  if k ~= "str" and k ~= "list" and k ~= "tuple" and k ~= "range" then
    return values.undefined("slice", v)
  end
  step = step and integer_of(step, "slice") or 1
  if step == 0 then fail "slice step cannot be zero" end
  local n = values.length(v)
  local low, high = step < 0 and -1 or 0, step < 0 and n - 1 or n
  local function place(at, default)
    if not at then return default end
    at = integer_of(at, "slice")
    if at < 0 then at = at + n end
    return math.max(low, math.min(high, at))
  end
  from, to = place(from, step < 0 and high or low), place(to, step < 0 and low or high)
  if k == "str" and step == 1 then return text.characters(v, from + 1, to) end
  local source, out = k == "str" and text.split_characters(v) or v, {}
  for i = from, to + (step < 0 and 1 or -1), step do out[#out + 1] = source[i + 1] end
  run:charge(#out)
  if k == "str" then return text.join(out, nil, run.max_output) end
  return list(out, k == "range" and "list" or k)
end

-- The items in the order of key(item). Merge sort: stable, and not confused by comparisons that raise.
function sequences.sorted(run, items, key, reverse)
  local n = #items
  run:charge(n * 4)
  local a, keys = {}, {}
  for i = 1, n do a[i], keys[i] = i, key(items[i]) end
  local width = 1
  while width < n do
    local b = {}
    for from = 1, n, 2 * width do
      local i, middle, stop = from, math.min(from + width, n + 1), math.min(from + 2 * width, n + 1)
      local j = middle
      for at = from, stop - 1 do
        local left
        if i >= middle then
          left = false
        elseif j >= stop then
          left = true
        else
          local order = values.compare(keys[a[i]], keys[a[j]])
          left = order == 0 or (reverse and order > 0 or not reverse and order < 0)
        end
        if left then
          b[at], i = a[i], i + 1
        else
          b[at], j = a[j], j + 1
        end
      end
    end
    a, width = b, width * 2
  end
  local out = {}
  for i = 1, n do out[i] = items[a[i]] end
  return out
end

return sequences
