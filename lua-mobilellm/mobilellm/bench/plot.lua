-- The roofline as a picture: operations for each byte to the right, operations per second upwards, both by powers of ten.
local plot = {}

local WIDTH, HEIGHT = 960, 600
local LEFT, RIGHT, TOP, BOTTOM = 84, 214, 66, 66
local COLORS = {prefill = "#1b6ca8", feed = "#c2571a", decode = "#b3202a", lookup = "#2e7d32"}
local MARKS = {prefill = "prefill", feed = "feed of k tokens", decode = "decode", lookup = "decode with lookup"}

local function log10(x) return math.log(x) / math.log(10) end

local function escape(text) return (tostring(text):gsub("[&<>\"]", {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;"})) end

local function short(x) return (x >= 1000 and "%.0f" or "%.3g"):format(x) end

-- 1.2e12 -> "1.2 Tops/s"
local function rate(x, unit)
  if x >= 1e12 then return short(x / 1e12) .. " T" .. unit end
  return short(x / 1e9) .. " G" .. unit
end

-- Labels of points that lie close together move apart, up or down, by no more than it takes.
local function spread_labels(labels)
  table.sort(labels, function(a, b) return a.y < b.y end)
  for _ = 1, 60 do
    local moved = false
    for i = 1, #labels do
      for k = i + 1, #labels do
        local a, b = labels[i], labels[k]
        local near = a.x < b.x + b.width and b.x < a.x + a.width
        local gap = b.y - a.y
        if near and math.abs(gap) < 14 then
          local push = (14 - math.abs(gap)) / 2 + 0.1
          if gap < 0 then push = -push end
          a.y, b.y, moved = a.y - push, b.y + push, true
        end
      end
    end
    if not moved then break end
  end
end

-- points as roofline.point makes them; ceilings: list of {read, product (per second), label}, the highest last. Returns SVG.
function plot.svg(points, ceilings, title, subtitle)
  local x_low, x_high, y_low, y_high = math.huge, -math.huge, math.huge, -math.huge
  for _, p in ipairs(points) do
    x_low, x_high = math.min(x_low, p.intensity), math.max(x_high, p.intensity)
    y_low, y_high = math.min(y_low, p.operations_per_second), math.max(y_high, p.operations_per_second)
  end
  for _, c in ipairs(ceilings) do
    y_high, x_high = math.max(y_high, c.product), math.max(x_high, c.product / c.read)
  end
  x_low, x_high = log10(x_low) - 0.25, log10(x_high) + 0.35
  y_low, y_high = log10(y_low) - 0.25, log10(y_high) + 0.2
  local function px(x) return LEFT + (log10(x) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT) end
  local function py(y) return HEIGHT - BOTTOM - (log10(y) - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM) end

  local out = {}
  local function put(format, ...) out[#out + 1] = format:format(...) end
  put('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" ' ..
    'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12" fill="#222">', WIDTH, HEIGHT, WIDTH, HEIGHT)
  put('<rect width="%d" height="%d" fill="#ffffff"/>', WIDTH, HEIGHT)
  put('<text x="%d" y="28" font-size="17" font-weight="bold">%s</text>', LEFT, escape(title))
  put('<text x="%d" y="48" fill="#555">%s</text>', LEFT, escape(subtitle))

  -- Grid: every power of ten, with 2 and 5 between.
  for e = math.floor(x_low), math.ceil(x_high) do
    for _, m in ipairs{1, 2, 5} do
      local v = m * 10 ^ e
      if log10(v) >= x_low and log10(v) <= x_high then
        put('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>', px(v), TOP, px(v), HEIGHT - BOTTOM, m == 1 and "#ccc" or "#eee")
        put('<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%s</text>', px(v), HEIGHT - BOTTOM + 18, short(v))
      end
    end
  end
  for e = math.floor(y_low), math.ceil(y_high) do
    for _, m in ipairs{1, 2, 5} do
      local v = m * 10 ^ e
      if log10(v) >= y_low and log10(v) <= y_high then
        put('<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="%s"/>', LEFT, py(v), WIDTH - RIGHT, py(v), m == 1 and "#ccc" or "#eee")
        put('<text x="%d" y="%.1f" text-anchor="end" fill="#555">%s</text>', LEFT - 8, py(v) + 4, rate(v, "op/s"))
      end
    end
  end
  put('<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#888"/>', LEFT, TOP, WIDTH - LEFT - RIGHT,
    HEIGHT - TOP - BOTTOM)
  put('<text x="%.1f" y="%d" text-anchor="middle">operations for each byte read</text>', (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 22)

  -- Ceilings: up along the memory's speed, then flat along the arithmetic's. The label stands at the right end.
  put '<defs><clipPath id="area">'
  put('<rect x="%d" y="%d" width="%d" height="%d"/></clipPath></defs>', LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)
  for i, c in ipairs(ceilings) do
    local ridge, first = c.product / c.read, 10 ^ x_low
    local last = i == #ceilings
    put('<path clip-path="url(#area)" d="M%.1f %.1f L%.1f %.1f L%d %.1f" fill="none" stroke="#444" stroke-width="%s"%s/>', px(first),
      py(first * c.read), px(ridge), py(c.product), WIDTH - RIGHT, py(c.product), last and "2" or "1.2",
      last and "" or ' stroke-dasharray="6 4"')
    put('<text x="%d" y="%.1f" fill="#333">%s</text>', WIDTH - RIGHT + 8, py(c.product) - 2, escape(c.label))
    put('<text x="%d" y="%.1f" fill="#333">%s, %s</text>', WIDTH - RIGHT + 8, py(c.product) + 13, rate(c.product, "op/s"),
      rate(c.read, "B/s"))
  end

  local labels = {}
  for _, p in ipairs(points) do
    local x, y = px(p.intensity), py(p.operations_per_second)
    put('<circle cx="%.1f" cy="%.1f" r="5" fill="%s" stroke="#fff" stroke-width="1.2"/>', x, y, COLORS[p.group] or "#666")
    local text = ("%s: %.0f/s"):format(p.name, p.rate)
    labels[#labels + 1] = {x = x + 9, y = y + 4, at_x = x, at_y = y, text = text, width = 6.6 * #text, group = p.group}
  end
  for _, l in ipairs(labels) do
    if l.x + l.width > WIDTH - RIGHT then l.x = l.at_x - 9 - l.width end
  end
  spread_labels(labels)
  for _, l in ipairs(labels) do
    if math.abs(l.y - 4 - l.at_y) > 9 then
      put('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#aaa" stroke-width="0.8"/>', l.at_x, l.at_y,
        l.x > l.at_x and l.x - 2 or l.x + l.width, l.y - 4)
    end
    put('<text x="%.1f" y="%.1f" fill="%s" stroke="#fff" stroke-width="3" paint-order="stroke">%s</text>', l.x, l.y,
      COLORS[l.group] or "#333", escape(l.text))
  end

  local seen, y = {}, HEIGHT - BOTTOM - 78
  for _, p in ipairs(points) do
    if not seen[p.group] then
      seen[p.group] = true
      put('<circle cx="%d" cy="%d" r="5" fill="%s"/>', WIDTH - RIGHT + 15, y, COLORS[p.group] or "#666")
      put('<text x="%d" y="%d">%s</text>', WIDTH - RIGHT + 26, y + 4, escape(MARKS[p.group] or p.group))
      y = y + 20
    end
  end
  put "</svg>"
  return table.concat(out, "\n") .. "\n"
end

return plot
