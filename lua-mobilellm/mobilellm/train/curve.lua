-- mobilellm.train.curve: the loss of a run as CSV and as a plot (SVG).
--
--   local curve = mobilellm.train.curve.new()
--   trainer:run{..., on_step = function(stats) curve:add(stats) end}
--   curve:save_csv(path)  curve:save_svg(path, {title = ""})      true, or nil, message, "io"
--   mobilellm.train.curve.load(path)                              the points of a CSV file, to go on with after a resume
-- A point: step, loss, learning_rate, grad_norm, tokens_per_second, total_tokens, and where there was one evaluation.
local curve = {}
local methods = {}
local metatable = {__index = methods, __len = function(self) return #self.points end}

local columns = {"step", "total_tokens", "loss", "learning_rate", "grad_norm", "tokens_per_second", "evaluation_loss",
                 "evaluation_accuracy"}

function curve.new() return setmetatable({points = {}}, metatable) end

-- A step that is not beyond the last one (a run that went back to a checkpoint) replaces what followed it.
function methods:add(stats)
  local points = self.points
  while #points > 0 and points[#points].step >= stats.step do points[#points] = nil end
  local point = {}
  for i = 1, 6 do point[columns[i]] = stats[columns[i]] end
  if stats.evaluation then
    point.evaluation_loss, point.evaluation_accuracy = stats.evaluation.loss, stats.evaluation.accuracy
  end
  points[#points + 1] = point
end

local function write(path, text)
  local file, message = io.open(path, "wb")
  if not file then return nil, message, "io" end
  local ok, why = file:write(text)
  local closed, later = file:close()
  if not ok or not closed then return nil, path .. ": " .. tostring(why or later), "io" end
  return true
end

function methods:csv()
  local lines = {table.concat(columns, ",")}
  for _, point in ipairs(self.points) do
    local cells = {}
    for i, name in ipairs(columns) do
      local v = point[name]
      cells[i] = v == nil and "" or v % 1 == 0 and v < 1e15 and ("%d"):format(v) or ("%.7g"):format(v)
    end
    lines[#lines + 1] = table.concat(cells, ",")
  end
  return table.concat(lines, "\n") .. "\n"
end

function methods:save_csv(path) return write(path, self:csv()) end

function curve.load(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message, "io" end
  local names, self = {}, curve.new()
  for name in (file:read "*l" or ""):gmatch "[^,\r]+" do names[#names + 1] = name end
  if names[1] ~= "step" then
    file:close()
    return nil, path .. ": its first line does not begin with 'step'", "format"
  end
  for line in file:lines() do
    local point, i = {}, 0
    for cell in (line:gsub("\r", "") .. ","):gmatch "([^,]*)," do
      i = i + 1
      if names[i] then point[names[i]] = tonumber(cell) end
    end
    if point.step then self.points[#self.points + 1] = point end
  end
  file:close()
  return self
end

-- ---------------------------------------------------------------- SVG

local width, height, left, right, top, bottom = 800, 420, 60, 20, 40, 50

-- About five round numbers between low and high.
local function ticks(low, high)
  local raw = (high - low) / 5
  local size = 10 ^ math.floor(math.log(raw) / math.log(10))
  for _, factor in ipairs{1, 2, 5, 10} do
    if size * factor >= raw then
      size = size * factor
      break
    end
  end
  local list, v = {}, math.ceil(low / size) * size
  while v <= high + size * 1e-6 do
    list[#list + 1] = v
    v = v + size
  end
  return list
end

-- A running mean and at most 1,000 points: more cannot be seen.
local function smooth(points, name, keep)
  local out, mean = {}, nil
  local every = math.max(1, math.floor(#points / 1000))
  for i, point in ipairs(points) do
    local v = point[name]
    if v and v == v and v < math.huge then
      mean = mean and keep * mean + (1 - keep) * v or v
      if keep == 0 or i % every == 0 or i == #points then out[#out + 1] = {point.step, mean} end
    end
  end
  return out
end

local function path_of(line, x, y)
  local parts = {}
  for i, p in ipairs(line) do parts[i] = ("%s%.1f %.1f"):format(i == 1 and "M" or "L", x(p[1]), y(p[2])) end
  return table.concat(parts)
end

local function escape(text) return (text:gsub("[&<>]", {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;"})) end

function methods:svg(options)
  options = options or {}
  local training = smooth(self.points, "loss", #self.points > 50 and 0.9 or 0)
  local evaluation = smooth(self.points, "evaluation_loss", 0)
  local low, high, last = math.huge, -math.huge, 1
  for _, line in ipairs{training, evaluation} do
    for _, p in ipairs(line) do low, high, last = math.min(low, p[2]), math.max(high, p[2]), math.max(last, p[1]) end
  end
  if low > high then low, high = 0, 1 end
  if high - low < 1e-9 then high = low + 1 end
  local function x(step) return left + (width - left - right) * step / last end
  local function y(loss) return height - bottom - (height - top - bottom) * (loss - low) / (high - low) end
  local out = {
    ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" '
      .. 'font-size="12">'):format(width, height, width, height),
    ('<rect width="%d" height="%d" fill="white"/>'):format(width, height),
    ('<text x="%d" y="22" font-size="14">%s</text>'):format(left, escape(options.title or "Loss (nats per token)")),
  }
  local function add(...) out[#out + 1] = (...):format(select(2, ...)) end
  for _, v in ipairs(ticks(low, high)) do
    add('<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.4g</text>', left, y(v), width - right,
      left - 6, y(v) + 4, v)
  end
  for _, v in ipairs(ticks(0, last)) do
    add('<text x="%.1f" y="%d" text-anchor="middle">%.6g</text>', x(v), height - bottom + 18, v)
  end
  add('<text x="%d" y="%d" text-anchor="middle">step</text>', (left + width - right) / 2, height - 12)
  add('<path d="%s" fill="none" stroke="#3366aa" stroke-width="1.5"/>', path_of(training, x, y))
  if #evaluation > 0 then
    add('<path d="%s" fill="none" stroke="#cc5522" stroke-width="1.5"/>', path_of(evaluation, x, y))
    for _, p in ipairs(evaluation) do add('<circle cx="%.1f" cy="%.1f" r="2.5" fill="#cc5522"/>', x(p[1]), y(p[2])) end
    -- Two texts: not every program that draws SVG ends a text of two colours where it should.
    add('<text x="%d" y="22" text-anchor="end" fill="#3366aa">training</text>', width - right - 72)
    add('<text x="%d" y="22" text-anchor="end" fill="#cc5522">evaluation</text>', width - right)
  end
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

function methods:save_svg(path, options) return write(path, self:svg(options)) end

return curve
