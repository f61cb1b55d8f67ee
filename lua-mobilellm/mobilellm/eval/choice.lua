-- Multiple choice as zero-shot tables score it: which of several continuations is the likeliest, by the sum of the log-probabilities of its
-- tokens (raw), and by that sum divided by the characters of the answer (normalised).
--
--   local choice = require "mobilellm.eval.choice"
--   local score = assert(choice.rows(model, rows))        -- {rows, raw, normalised, intervals = {raw, normalised}, too_long, kind}
--   choice.case(row) -> {kind, gold = index from 1, {prompt, continuation, answer}, ...}; nil, message, "format"
--
-- A row is one object of the data set as its publisher writes it; its fields tell which it is:
--   ARC           question, choices {text, label}, answerKey               "Question: ...\nAnswer:"
--                 or question {stem, choices}, answerKey, as OpenBookQA's own files have it, too
--   OpenBookQA    question_stem, choices {text, label}, answerKey          the stem alone
--   BoolQ         question, passage, answer (or label)                     "passage\nQuestion: ...?\nAnswer:" no or yes
--   PIQA          goal, sol1, sol2, label 0 or 1                           "Question: ...\nAnswer:"
--   SIQA          context, question, answerA answerB answerC, label 1-3    "Q: ...\nA:"
--   HellaSwag     ctx (or ctx_a, ctx_b), endings, label 0-3, activity_label
--   WinoGrande    sentence with _, option1, option2, answer 1 or 2         how likely the rest is after either option
--   any other     prompt, choices (list of texts), answer from 0
-- The prompts, and the length in characters, are those of EleutherAI's lm-evaluation-harness, whose acc and acc_norm these are. Answers
-- are joined by a space.
local measure = require "mobilellm.eval.measure"

local choice = {}

local function joined(kind, gold, prompt, answers)
  local case = {kind = kind, gold = gold}
  for i, answer in ipairs(answers) do case[i] = {prompt = prompt, continuation = " " .. answer, answer = answer} end
  return case
end

-- The place of a key among labels; keys may be numbers.
local function place(labels, key)
  for i, label in ipairs(labels) do
    if tostring(label) == tostring(key) then return i end
  end
end

local function listed(row, kind, prompt)
  local texts, labels = row.choices.text, row.choices.label
  if texts == nil then -- the publisher's own files: a list of {text, label}
    texts, labels = {}, {}
    for i, item in ipairs(row.choices) do texts[i], labels[i] = item.text, item.label end
  end
  return joined(kind, place(labels or {}, row.answerKey), prompt, texts)
end

-- Brackets of WikiHow go, as the harness has it.
local function clean(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""):gsub(" %[title%]", ". "):gsub("%[.-%]", ""):gsub("  ", " "))
end

local forms = {
  {"arc", {"question", "answerKey"}, function(row)
    if type(row.question) == "table" then -- as in the publisher's files
      row = {choices = row.question.choices, answerKey = row.answerKey, question = row.question.stem}
    end
    return listed(row, "arc", "Question: " .. row.question .. "\nAnswer:")
  end},
  {"openbookqa", {"question_stem", "choices", "answerKey"}, function(row) return listed(row, "openbookqa", row.question_stem) end},
  {"boolq", {"question", "passage"}, function(row)
    local answer = row.answer
    if answer == nil then answer = row.label end
    if answer == 0 then answer = false elseif answer == 1 then answer = true end
    return joined("boolq", answer == true and 2 or answer == false and 1 or nil,
      ("%s\nQuestion: %s?\nAnswer:"):format(row.passage, (row.question:gsub("%?$", ""))), {"no", "yes"})
  end},
  {"piqa", {"goal", "sol1", "sol2", "label"}, function(row)
    return joined("piqa", tonumber(row.label) and tonumber(row.label) + 1, "Question: " .. row.goal .. "\nAnswer:", {row.sol1, row.sol2})
  end},
  {"siqa", {"context", "question", "answerA", "answerB", "answerC", "label"}, function(row)
    return joined("siqa", tonumber(row.label) or place({"A", "B", "C"}, row.label), ("Q: %s %s\nA:"):format(row.context, row.question),
      {row.answerA, row.answerB, row.answerC})
  end},
  {"hellaswag", {"endings", "label"}, function(row)
    local context = row.ctx
    if row.ctx_a then context = row.ctx_a .. " " .. (row.ctx_b or ""):lower():gsub("^%l", string.upper) end
    if type(context) ~= "string" then return nil end
    local endings = {}
    for i, ending in ipairs(row.endings) do endings[i] = clean(ending) end
    return joined("hellaswag", tonumber(row.label) and tonumber(row.label) + 1,
      clean((row.activity_label and row.activity_label .. ": " or "") .. context), endings)
  end},
  {"winogrande", {"sentence", "option1", "option2", "answer"}, function(row)
    local before, after = row.sentence:match "^(.-)_(.*)$"
    if not before then return nil end
    local rest = after:gsub("^%s+", ""):gsub("%s+$", "")
    local case = {kind = "winogrande", gold = tonumber(row.answer)}
    for i, option in ipairs{row.option1, row.option2} do
      case[i] = {prompt = before .. option, continuation = " " .. rest, answer = rest}
    end
    return case
  end},
  {"choice", {"prompt", "choices", "answer"}, function(row)
    return joined("choice", tonumber(row.answer) and tonumber(row.answer) + 1, row.prompt, row.choices)
  end},
}

function choice.case(row)
  for _, form in ipairs(forms) do
    local fits = type(row) == "table"
    for _, field in ipairs(form[2]) do fits = fits and row[field] ~= nil end
    if fits then
      local ok, case = pcall(form[3], row)
      if not ok or not case or #case < 2 then return nil, form[1] .. ": a row with fields of another kind", "format" end
      if not case[case.gold or 0] then return nil, form[1] .. ": the answer is none of the choices", "format" end
      return case
    end
  end
  return nil, "the fields are of no known set of multiple-choice questions", "format"
end

local function characters(text)
  local _, count = text:gsub("[^\128-\191]", "")
  return count
end

-- {sum of log-probabilities} of a case's continuations; nil, message, code. The same prompt is read once.
local function sums(model, case)
  local list, same = {}, true
  for i, item in ipairs(case) do
    list[i] = item.continuation
    same = same and item.prompt == case[1].prompt
  end
  if same then
    local best, found, code = model:choose(case[1].prompt, list)
    if not best then return nil, found, code end
    return found
  end
  for i, item in ipairs(case) do
    local sum, message, code = model:score(item.prompt, item.continuation)
    if not sum then return nil, message, code end
    list[i] = sum
  end
  return list
end

local function argmax(list)
  local best = 1
  for i = 2, #list do
    if list[i] > list[best] then best = i end
  end
  return best
end

-- What the model makes of a case: {raw = index, normalised = index, sums = {...}}; nil, message, code.
function choice.answer(model, case)
  local found, message, code = sums(model, case)
  if not found then return nil, message, code end
  local normal = {}
  for i, sum in ipairs(found) do normal[i] = sum / math.max(1, characters(case[i].answer)) end
  return {raw = argmax(found), normalised = argmax(normal), sums = found}
end

-- Scores rows of any of the sets. options: on_row(index, row, case, answer). What does not fit the context counts as wrong.
function choice.rows(model, rows, options)
  local raw, normalised, too_long, kind = 0, 0, 0, nil
  for i, row in ipairs(rows) do
    local case, message, code = choice.case(row)
    if not case then return nil, ("row %d: %s"):format(i, message), code end
    kind = (kind == nil or kind == case.kind) and case.kind or "several"
    local answer
    answer, message, code = choice.answer(model, case)
    if not answer then
      if code ~= "context" then return nil, message, code end
      too_long = too_long + 1
    else
      if answer.raw == case.gold then raw = raw + 1 end
      if answer.normalised == case.gold then normalised = normalised + 1 end
    end
    if options and options.on_row then options.on_row(i, row, case, answer) end
  end
  local n = #rows
  return {
    rows = n, kind = kind, raw = n > 0 and raw / n or 0, normalised = n > 0 and normalised / n or 0, too_long = too_long,
    intervals = {raw = measure.wilson(raw, n), normalised = measure.wilson(normalised, n)},
  }
end

return choice
