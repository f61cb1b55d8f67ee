-- Scores of rows that come one after the other; mobilellm/eval.lua says what a score has.
--
--   local counter = new_counter()
--   counter:add(row, calls, more) -> whether the row is right
--     calls   what was called, nil when the row could not be asked at all
--     more    {confidence, call} as eval.answer has them, {rouge_1, rouge_l}, shortened; all of them may be missing
--   counter:score()
local judge = require "mobilellm.eval.judge"
local measure = require "mobilellm.eval.measure"
local overlap = require "mobilellm.eval.overlap"

local Counter = {}
Counter.__index = Counter

function Counter:add(row, said, more)
  more = more or {}
  local item = {wants = #row.calls > 0, confidence = more.confidence, call = more.call, rouge_1 = more.rouge_1, rouge_l = more.rouge_l}
  if not said then self.too_long = self.too_long + 1 end
  if more.shortened then self.shortened = self.shortened + 1 end
  if not judge.allowed(row) then self.outside = self.outside + 1 end
  item.silent, item.overlap = said ~= nil and #said == 0, overlap.of(row)
  if item.wants then
    local judged = judge.calls(row, said or {})
    item.intent, item.right = judged.intent, judged.structure
    item.hits, item.given, item.wanted = judged.right, judged.given, judged.wanted
  else
    item.right = item.silent
  end
  table.insert(self.rows, item)
  return item.right
end

-- Rows for which `which` says yes, and of these the ones for which `what` does: share and interval.
function Counter:share(which, what)
  local part, whole = 0, 0
  for _, item in ipairs(self.rows) do
    if which(item) then
      whole = whole + 1
      if what(item) then part = part + 1 end
    end
  end
  if whole == 0 then return nil end
  return part / whole, measure.wilson(part, whole)
end

-- `value` of the sums of some fields and of the number of rows that have the first: value and interval.
function Counter:mean_of(names, value)
  local columns = {}
  for c, name in ipairs(names) do
    columns[c] = {}
    for _, item in ipairs(self.rows) do
      if item[name] then table.insert(columns[c], item[name]) end
    end
  end
  if #columns[1] == 0 then return nil end
  local ones = {}
  for i = 1, #columns[1] do ones[i] = 1 end
  columns[#columns + 1] = ones
  local sums = {}
  for c, column in ipairs(columns) do
    sums[c] = 0
    for _, v in ipairs(column) do sums[c] = sums[c] + v end
  end
  return value(sums), measure.bootstrap(columns, value)
end

-- What refusing below a probability of `call` would give; rows that were not asked are left out.
function Counter:by_call_probability()
  local list = {}
  for _, at in ipairs{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95} do
    local refused, rightly, wanted = 0, 0, 0
    for _, item in ipairs(self.rows) do
      if item.call then
        if not item.wants then wanted = wanted + 1 end
        if item.call < at then
          refused = refused + 1
          if not item.wants then rightly = rightly + 1 end
        end
      end
    end
    list[#list + 1] = {at = at, precision = refused > 0 and rightly / refused or nil, recall = wanted > 0 and rightly / wanted or nil}
  end
  return list
end

function Counter:calibration()
  local certain = {}
  for _, item in ipairs(self.rows) do
    if item.confidence then certain[#certain + 1] = {item.confidence, item.right} end
  end
  if #certain == 0 then return nil end
  local calibration = measure.calibration(certain)
  calibration.calls = self:by_call_probability()
  return calibration
end

local function wants(item) return item.wants end
local function no_call(item) return not item.wants end
local function silent(item) return item.silent end
local function right(item) return item.right end
local function intent(item) return item.intent end
local function all() return true end
local function f1(s) return s[2] + s[3] > 0 and 2 * s[1] / (s[2] + s[3]) or nil end
local function mean(s) return s[1] / s[2] end

function Counter:score()
  local score = {
    rows = #self.rows, call_rows = 0, too_long = self.too_long, shortened = self.shortened, outside = self.outside, intervals = {},
  }
  local function put(name, value, interval) score[name], score.intervals[name] = value, interval end
  for _, item in ipairs(self.rows) do
    if item.wants then score.call_rows = score.call_rows + 1 end
  end
  score.no_call_rows = score.rows - score.call_rows
  local calls = score.call_rows > 0
  put("em_intent", self:share(calls and wants or all, calls and intent or right))
  put("em_structure", self:share(calls and wants or all, right))
  put("argument_f1", self:mean_of({"hits", "given", "wanted"}, f1))
  put("accuracy", self:share(all, right))
  put("refusal_precision", self:share(silent, no_call))
  put("refusal_recall", self:share(no_call, silent))
  for _, name in ipairs{"overlap", "rouge_1", "rouge_l"} do put(name, self:mean_of({name}, mean)) end
  score.em_intent, score.em_structure = score.em_intent or 0, score.em_structure or 0
  score.accuracy = score.accuracy or 0
  score.calibration = self:calibration()
  return score
end

return function() return setmetatable({rows = {}, too_long = 0, shortened = 0, outside = 0}, Counter) end
