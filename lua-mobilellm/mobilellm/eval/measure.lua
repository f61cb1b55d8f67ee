-- Figures with what they are worth: intervals, calibration, and the overlap of texts.
local new_random = require "mobilellm.random"

local measure = {}

-- 95 % interval of a share (Wilson 1927): {low, high}.
function measure.wilson(part, whole)
  if whole == 0 then return nil end
  local z, p = 1.959964, part / whole
  local middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
  local half = z / (1 + z * z / whole) * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole))
  return {math.max(0, middle - half), math.min(1, middle + half)}
end

-- 95 % interval by resampling rows (percentile bootstrap, 500 resamples, seeded). columns: lists of numbers, one entry a row;
-- value(sums of the columns) -> number or nil.
function measure.bootstrap(columns, value)
  local n = #columns[1]
  if n == 0 then return nil end
  local random, found = new_random(1), {}
  for _ = 1, 500 do
    local sums = {}
    for c = 1, #columns do sums[c] = 0 end
    for _ = 1, n do
      local i = random.integer(1, n)
      for c = 1, #columns do sums[c] = sums[c] + columns[c][i] end
    end
    local v = value(sums)
    if v then found[#found + 1] = v end
  end
  if #found == 0 then return nil end
  table.sort(found)
  return {found[math.max(1, math.floor(0.025 * #found + 0.5))], found[math.min(#found, math.ceil(0.975 * #found))]}
end

-- How well a probability tells what is right. list: {{p, right (boolean)}}. Returns {ece =, bins = {{low, high, rows, p, right}},
-- thresholds = {{at, share, right}}}: ten bins of equal width with their mean probability and share of right answers; the expected
-- calibration error (mean distance of the two, weighted by rows; Naeini et al. 2015); and for each threshold the share of rows whose
-- probability reaches it and how many of those are right.
function measure.calibration(list)
  local bins, error_sum = {}, 0
  for b = 1, 10 do bins[b] = {low = (b - 1) / 10, high = b / 10, rows = 0, p = 0, right = 0} end
  for _, item in ipairs(list) do
    local bin = bins[math.min(10, 1 + math.floor(item[1] * 10))]
    bin.rows, bin.p, bin.right = bin.rows + 1, bin.p + item[1], bin.right + (item[2] and 1 or 0)
  end
  for _, bin in ipairs(bins) do
    if bin.rows > 0 then
      error_sum = error_sum + math.abs(bin.p - bin.right)
      bin.p, bin.right = bin.p / bin.rows, bin.right / bin.rows
    end
  end
  local thresholds = {}
  for _, at in ipairs{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99} do
    local rows, right = 0, 0
    for _, item in ipairs(list) do
      if item[1] >= at then
        rows, right = rows + 1, right + (item[2] and 1 or 0)
      end
    end
    thresholds[#thresholds + 1] = {at = at, share = #list > 0 and rows / #list or 0, right = rows > 0 and right / rows or nil}
  end
  return {ece = #list > 0 and error_sum / #list or nil, bins = bins, thresholds = thresholds}
end

local function words_of(text)
  local list = {}
  for word in text:lower():gmatch "[%l%d]+" do list[#list + 1] = word end
  return list
end

local function f1(common, a, b)
  if a == 0 or b == 0 then return a == b and 1 or 0 end
  return 2 * common / (a + b)
end

-- ROUGE-1 and ROUGE-L (Lin 2004) as F1, of words in lower case without stemming.
function measure.rouge(said, wanted)
  local a, b = words_of(said), words_of(wanted)
  local count, common = {}, 0
  for _, word in ipairs(b) do count[word] = (count[word] or 0) + 1 end
  for _, word in ipairs(a) do
    if (count[word] or 0) > 0 then
      count[word], common = count[word] - 1, common + 1
    end
  end
  local row = {}
  for j = 0, #b do row[j] = 0 end
  for i = 1, #a do
    local diagonal = 0
    for j = 1, #b do
      local above = row[j]
      row[j] = a[i] == b[j] and diagonal + 1 or math.max(above, row[j - 1])
      diagonal = above
    end
  end
  return f1(common, #a, #b), f1(row[#b], #a, #b)
end

return measure
