-- A loss curve: the log of a training run as CSV, and the same as a small SVG.
local curve = {}

local colours = {loss = "#333333", copy = "#c0392b", home = "#2471a3", snips = "#1e8449", nlueval = "#b9770e"}
local order = {"loss", "copy", "home", "snips", "nlueval"}

-- The columns of a CSV text with a header line: name -> list of numbers (false where a cell is empty), and the names in order.
function curve.parse(text)
  local names, columns, first = {}, {}, true
  for line in text:gmatch "[^\n]+" do
    local i = 0
    for cell in (line .. ","):gmatch "([^,]*)," do
      i = i + 1
      if first then
        names[i], columns[cell] = cell, {}
      elseif names[i] then
        table.insert(columns[names[i]], tonumber(cell) or false)
      end
    end
    first = false
  end
  return columns, names
end

-- The SVG of some columns over the tokens seen, loss on a logarithmic axis.
function curve.svg(columns)
  local width, height, left, right, top, bottom = 640, 320, 56, 90, 16, 40
  local tokens = columns.tokens or {}
  local last = tokens[#tokens] or 1
  local low, high = math.huge, -math.huge
  for _, name in ipairs(order) do
    for _, value in ipairs(columns[name] or {}) do
      if value and value > 0 then low, high = math.min(low, value), math.max(high, value) end
    end
  end
  if low >= high then low, high = 0.01, 10 end
  low, high = math.log(low), math.log(high)
  local function x(t) return left + (width - left - right) * t / last end
  local function y(v) return top + (height - top - bottom) * (high - math.log(v)) / (high - low) end
  local out = {
    ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">'):format(width, height),
    ('<rect width="%d" height="%d" fill="white"/>'):format(width, height),
  }
  for _, mark in ipairs{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5} do
    if math.log(mark) >= low and math.log(mark) <= high then
      out[#out + 1] = ('<path d="M%d %.1fH%d" stroke="#dddddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>'):format(left, y(mark),
        width - right, left - 6, y(mark) + 4, mark)
    end
  end
  for i = 0, 4 do
    out[#out + 1] = ('<text x="%.1f" y="%d" text-anchor="middle">%.1f M</text>'):format(x(last * i / 4), height - bottom + 16,
      last * i / 4e6)
  end
  out[#out + 1] = ('<text x="%d" y="%d" text-anchor="middle">tokens seen; mean cross-entropy of the answers</text>'):format(
    (left + width - right) / 2, height - 8)
  local label = top + 10
  for _, name in ipairs(order) do
    local points = {}
    for i, value in ipairs(columns[name] or {}) do
      if value and value > 0 then points[#points + 1] = ("%.1f,%.1f"):format(x(tokens[i]), y(value)) end
    end
    if #points > 1 then
      out[#out + 1] = ('<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/>'):format(colours[name],
        table.concat(points, " "))
      out[#out + 1] = ('<text x="%d" y="%d" fill="%s">%s</text>'):format(width - right + 8, label, colours[name],
        name == "loss" and "training" or name)
      label = label + 15
    end
  end
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

-- Reads the log at `path`, writes NAME.csv and NAME.svg.
function curve.write(path, name)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  for ending, content in pairs{csv = text, svg = curve.svg((curve.parse(text)))} do
    local out = assert(io.open(name .. "." .. ending, "w"))
    out:write(content)
    out:close()
  end
end

return curve
