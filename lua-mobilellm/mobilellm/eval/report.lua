-- Scores of files as a table, as a plot, and as one table to encode.
--
-- A file is {path, scores = {on = score, off = score} (either may be missing), better, worse}: with both, how many rows only the
-- constraint got right, and wrong.
local report = {}

-- The score that counts where only one is shown.
local function main_score(file) return file.scores.on or file.scores.off end

local function short(path) return (path:match "[^/]*$":gsub("%.gz$", ""):gsub("%.jsonl$", "")) end

local function percent(value) return value and ("%.1f"):format(100 * value) or "-" end

local function between(interval)
  return interval and (" [%.0f-%.0f]"):format(100 * interval[1], 100 * interval[2]) or ""
end

local columns = {
  {"em_intent", "EM_intent"}, {"overlap", "by words alone"}, {"em_structure", "EM_structure"}, {"argument_f1", "argument F1"},
  {"refusal_precision", "no call: precision"}, {"refusal_recall", "recall"}, {"rouge_1", "ROUGE-1"}, {"rouge_l", "ROUGE-L"},
}

local function line(name, score, shown)
  local cells = {name, ("%d / %d"):format(score.call_rows, score.no_call_rows)}
  for _, column in ipairs(shown) do
    local key = column[1]
    local silent = score.call_rows == 0 and (key == "em_intent" or key == "em_structure")
    cells[#cells + 1] = silent and "-" or percent(score[key]) .. between(score[key] and score.intervals[key])
  end
  cells[#cells + 1] = score.calibration and score.calibration.ece and ("%.3f"):format(score.calibration.ece) or "-"
  return cells
end

-- Columns under each other.
local function layout(rows)
  local widths, out = {}, {}
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, #cell) end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = i == 1 and cell .. (" "):rep(widths[i] - #cell) or (" "):rep(widths[i] - #cell) .. cell
    end
    out[#out + 1] = table.concat(cells, "  ")
  end
  return table.concat(out, "\n") .. "\n"
end

local function notes(name, score)
  local list = {}
  for _, note in ipairs{
    {"too_long", "did not fit into the context and counted as wrong"}, {"shortened", "lost their oldest turns to fit"},
    {"outside", "want a call that their own tools do not allow"},
  } do
    if score[note[1]] > 0 then list[#list + 1] = ("%d rows %s"):format(score[note[1]], note[2]) end
  end
  return #list > 0 and name .. ": " .. table.concat(list, "; ") .. "\n" or ""
end

local function calibration(score)
  local c = score.calibration
  if not c then return "" end
  local rows = {{"confidence", "rows", "mean", "right"}}
  for _, bin in ipairs(c.bins) do
    if bin.rows > 0 then
      rows[#rows + 1] = {("%.1f - %.1f"):format(bin.low, bin.high), ("%d"):format(bin.rows), percent(bin.p), percent(bin.right)}
    end
  end
  local text = "\ncalibration (all rows)\n" .. layout(rows)
  rows = {{"answers with confidence of at least", "share", "right"}}
  for _, t in ipairs(c.thresholds) do rows[#rows + 1] = {("%.2f"):format(t.at), percent(t.share), percent(t.right)} end
  text = text .. "\n" .. layout(rows)
  if score.no_call_rows > 0 and score.call_rows > 0 then
    rows = {{"no call below a probability of", "precision", "recall"}}
    for _, t in ipairs(c.calls) do rows[#rows + 1] = {("%.2f"):format(t.at), percent(t.precision), percent(t.recall)} end
    text = text .. "\n" .. layout(rows)
  end
  return text
end

-- The table for a terminal. parts: with the parts of each file.
function report.text(files, total, parts)
  local shown = {}
  for _, column in ipairs(columns) do
    if main_score(total)[column[1]] ~= nil then shown[#shown + 1] = column end
  end
  local rows, notes_text, differ = {{"rows", "calls / none"}}, "", ""
  for _, column in ipairs(shown) do table.insert(rows[1], column[2]) end
  table.insert(rows[1], "ECE")
  local listed = {}
  for _, file in ipairs(files) do listed[#listed + 1] = file end
  if #files > 1 then listed[#listed + 1] = total end
  for _, file in ipairs(listed) do
    local both = file.scores.on and file.scores.off
    for _, which in ipairs{"off", "on"} do
      local score = file.scores[which]
      if score then
        rows[#rows + 1] = line(short(file.path) .. (both and (which == "on" and ", constraint" or ", free") or ""), score, shown)
        if parts and not (both and which == "off") then
          for _, part in ipairs(score.parts or {}) do rows[#rows + 1] = line("  " .. part.name, part.score, shown) end
        end
      end
    end
    if file ~= total then notes_text = notes_text .. notes(short(file.path), main_score(file)) end
    if both then
      differ = differ .. ("%s: %d rows right only with the constraint, %d only without\n"):format(short(file.path), file.better, file.worse)
    end
  end
  return layout(rows) .. (notes_text .. differ ~= "" and "\n" or "") .. notes_text .. differ .. calibration(main_score(total))
end

-- One table for JSON: the main score of all rows, `files` with theirs, `free` the scores without the constraint when both were taken.
function report.json(files, total, about)
  local function flat(file)
    local out = {}
    for key, value in pairs(main_score(file)) do out[key] = value end
    out.path = file.path
    if file.scores.on and file.scores.off then
      out.free, out.better, out.worse = file.scores.off, file.better, file.worse
    end
    if out.parts and #out.parts == 0 then out.parts = nil end
    if out.free and out.free.parts and #out.free.parts == 0 then out.free.parts = nil end
    return out
  end
  local out = flat(total)
  out.path = nil
  for key, value in pairs(about) do out[key] = value end
  out.interval = "95 %: Wilson for shares of rows; percentile bootstrap over rows (500 resamples) for argument_f1, overlap, rouge_1 and "
    .. "rouge_l"
  out.files = {}
  for i, file in ipairs(files) do out.files[i] = flat(file) end
  return out
end

local function escape(text) return (tostring(text):gsub("[&<>\"]", {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;"})) end

-- Bars of EM_intent and EM_structure with their intervals (refusal recall where there is nothing to call), and beside them how often
-- answers of a confidence were right.
function report.svg(files, title)
  local row_height, left, bar_width, top = 34, 150, 360, 70
  local height = math.max(top + #files * row_height + 60, 430)
  local out = {}
  local function put(format, ...) out[#out + 1] = format:format(...) end
  put('<svg xmlns="http://www.w3.org/2000/svg" width="960" height="%d" viewBox="0 0 960 %d" ' ..
    'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12" fill="#222">', height, height)
  put('<rect width="960" height="%d" fill="#ffffff"/>', height)
  put('<text x="20" y="28" font-size="17" font-weight="bold">%s</text>', escape(title))
  put '<text x="20" y="50" fill="#555">percent of rows; whiskers and shades: 95 %% intervals</text>'
  local bottom = top + #files * row_height
  for v = 0, 100, 20 do
    local x = left + v / 100 * bar_width
    put('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/>', x, top - 4, x, bottom)
    put('<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%d</text>', x, bottom + 16, v)
  end
  local function bar(y, color, value, interval)
    if not value then return end
    put('<rect x="%d" y="%.1f" width="%.1f" height="10" fill="%s"/>', left, y, value * bar_width, color)
    if interval then
      put('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#222" stroke-width="1.2"/>', left + interval[1] * bar_width, y + 5,
        left + interval[2] * bar_width, y + 5)
    end
    put('<text x="%.1f" y="%.1f" font-size="10">%.1f</text>', left + math.max(value, interval and interval[2] or 0) * bar_width + 4,
      y + 9, 100 * value)
  end
  for i, file in ipairs(files) do
    local score, y = main_score(file), top + (i - 1) * row_height
    put('<text x="%d" y="%.1f" text-anchor="end">%s</text>', left - 8, y + 17, escape(short(file.path)))
    if score.call_rows > 0 then
      bar(y + 3, "#1b6ca8", score.em_intent, score.intervals.em_intent)
      bar(y + 15, "#c2571a", score.em_structure, score.intervals.em_structure)
    else
      bar(y + 9, "#2e7d32", score.refusal_recall, score.intervals.refusal_recall)
    end
  end
  local x = left
  for _, entry in ipairs{{"#1b6ca8", "EM_intent"}, {"#c2571a", "EM_structure"}, {"#2e7d32", "no call: recall"}} do
    put('<rect x="%d" y="%d" width="10" height="10" fill="%s"/>', x, bottom + 30, entry[1])
    put('<text x="%d" y="%d">%s</text>', x + 15, bottom + 39, entry[2])
    x = x + 120
  end

  local c = main_score(files[#files]).calibration
  if c then
    local size, x0, y0 = 300, 620, 370
    put('<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#888"/>', x0, y0 - size, size, size)
    put('<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#aaa" stroke-dasharray="5 4"/>', x0, y0, x0 + size, y0 - size)
    put('<text x="%d" y="%d" text-anchor="middle">confidence of the answer</text>', x0 + size / 2, y0 + 34)
    put('<text x="%d" y="%d" text-anchor="middle" transform="rotate(-90 %d %d)">share that is right</text>', x0 - 34, y0 - size / 2,
      x0 - 34, y0 - size / 2)
    for v = 0, 100, 20 do
      put('<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%d</text>', x0 + v / 100 * size, y0 + 16, v)
      put('<text x="%d" y="%.1f" text-anchor="end" fill="#555">%d</text>', x0 - 6, y0 - v / 100 * size + 4, v)
    end
    local path
    for _, bin in ipairs(c.bins) do
      if bin.rows > 0 then
        local px, py = x0 + bin.p * size, y0 - bin.right * size
        local around = require "mobilellm.eval.measure".wilson(bin.right * bin.rows, bin.rows)
        put('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#1b6ca8" stroke-opacity="0.35" stroke-width="6"/>', px,
          y0 - around[1] * size, px, y0 - around[2] * size)
        put('<circle cx="%.1f" cy="%.1f" r="4" fill="#1b6ca8"/>', px, py)
        path = (path and path .. " L" or "M") .. ("%.1f %.1f"):format(px, py)
      end
    end
    if path then put('<path d="%s" fill="none" stroke="#1b6ca8" stroke-width="1.5"/>', path) end
    put('<text x="%d" y="%d" fill="#555">expected calibration error %.3f</text>', x0 + 8, y0 - size + 18, c.ece or 0)
  end
  put "</svg>"
  return table.concat(out, "\n") .. "\n"
end

return report
