local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "score a model on rows of sentences and calls, or of questions with choices",
  usage = "--model MODEL ROWS.jsonl ...",
  about = "Each row is one JSON object a line: {\"tools\": [...], \"messages\": [...], \"calls\": [{\"name\", \"arguments\"}]};"
    .. " the files may be\n"
    .. "gzipped, and may have conversations in the MobileLLM paper's form. Prompts are written in the form of the project's own models\n"
    .. "(mobilellm/signature.lua). mobilellm/eval.lua says what is counted. Brackets: 95 % intervals.\n"
    .. "'by words alone' is how often the tools with the most words in common with the conversation are the right ones.\n"
    .. "A file may also have multiple-choice questions, of ARC, BoolQ, PIQA, SIQA, HellaSwag, OpenBookQA or WinoGrande as they are\n"
    .. "published, or {\"prompt\", \"choices\": [...], \"answer\": N from 0}, for any model (mobilellm/eval/choice.lua).",
  options = cli.model_options{
    {"--model", "MODEL", "the model file"},
    {"--constraint", "WHICH", "on: the answer can only be calls of the row's tools; off; both: two scores, and where they differ",
      choices = {"on", "off", "both"}, default = "on"},
    {"--strings", "WHICH", "under the constraint: spoken, only words that were said; or free", choices = {"spoken", "free"}},
    {"--lexical", "W", "under the constraint: how much words in common with a tool count where one is chosen, in nats for a point of BM25"
      .. " (1 unless given; 0: the model chooses alone)", kind = "number", least = 0},
    {"--threshold", "P", "call only when the probability of a call is at least P; else: when it is the likeliest thing", kind = "number",
      least = 0},
    {"--responses", nil, "ROUGE of what the model says after the right call, for rows with a `response`"},
    {"--parts", nil, "the table has the sources, kinds, and seen and unseen services of each file, too (JSON always has)"},
    {"--json", nil, "print one JSON object: all rows together, and `files`"},
    {"--plot", "FILE", "write the scores with their intervals and the calibration as SVG"},
    {"--limit", "N", "so many rows of each file, picked at random", kind = "integer", least = 1},
    {"--look-alikes", "N", "put so many tools of other rows of the file beside each row's, those most like the right tool by their"
      .. " words", kind = "integer", least = 1},
    {"--seed", "N", "of the picking, and of the order of tools with --look-alikes", kind = "integer", default = 1},
    {"--max-tokens", "N", "most tokens of an answer", kind = "integer", least = 1, default = 200},
    {"--kv", "TYPE", "of the cache", choices = {"auto", "f32", "f16", "q8_0"}, default = "auto"},
    {"--wrong", nil, "print the rows that came out wrong, on standard error"},
  },
}

local function wrong(row, calls, made)
  local signature = require "mobilellm.signature"
  local wanted = signature.answer(row.calls, row.tools)
  local got = made and (made.text ~= "" and made.text or "no call") or "nothing: too long"
  if made and #calls == 0 and made.text ~= "" then got = got .. " (no call)" end
  local said = ""
  for _, message in ipairs(row.messages) do
    if message.role == "user" then said = message.content end
  end
  io.stderr:write(("%s: %s\n  wanted %s\n  got    %s\n"):format(tostring(row.id or "row"), said, wanted == "" and "no call" or wanted, got))
end

-- Multiple choice: a line for each file, or JSON.
local function choose(model, path, files, values)
  local choice, json = require "mobilellm.eval.choice", require "mobilellm".json
  local list = {}
  for i, file in ipairs(files) do
    local score = cli.check(choice.rows(model, file.rows))
    score.path = file.path
    list[i] = score
    if not values.json then
      local function figure(name)
        local interval = score.intervals[name]
        return ("%s %.1f %% [%.0f-%.0f]"):format(name, 100 * score[name], 100 * interval[1], 100 * interval[2])
      end
      print(("%s (%s): %s, %s, of %d rows%s"):format(file.path, score.kind, figure "raw", figure "normalised", score.rows,
        score.too_long > 0 and (", %d too long"):format(score.too_long) or ""))
    end
  end
  if values.json then print(json.encode{model = path, files = json.array(list)}) end
end

-- Scores one file under one or both constraints: {path, scores = {on =, off =}, differ = {better, worse}}; adds to the counters of all.
local function score_file(model, file, values, all)
  local eval = require "mobilellm.eval"
  local rows, result = file.rows, {path = file.path, scores = {}, better = 0, worse = 0}
  local right_without = {}
  for _, which in ipairs(values.constraint == "both" and {"off", "on"} or {values.constraint}) do
    result.scores[which] = cli.check(eval.rows(model, rows, {
      constraint = which == "on", strings = values.strings, threshold = values.threshold, lexical = values.lexical,
      responses = values.responses, max_tokens = values.max_tokens, kv_type = values.kv,
      on_row = function(i, row, calls, _, right, made)
        all[which]:add(row, made and calls, made)
        if values.constraint == "both" and which == "off" then
          right_without[i] = right
        elseif values.constraint == "both" and right ~= right_without[i] then
          result[right and "better" or "worse"] = result[right and "better" or "worse"] + 1
        end
        if values.wrong and not right and (which == "on" or values.constraint == "off") then wrong(row, calls, made) end
      end,
    }))
  end
  return result
end

function command.run(values, others)
  local path, first = values.model, 1
  if not path then path, first = others[1], 2 end
  if not others[first] then options.usage "eval: a model and at least one file of rows are needed" end
  if values.constraint == "off" and (values.strings or values.threshold or values.lexical) then
    options.usage "eval: --strings, --threshold and --lexical need the constraint"
  end
  local eval, report = require "mobilellm.eval", require "mobilellm.eval.report"
  local signature = require "mobilellm.signature"
  local model, files, kind = cli.load(path, values), {}, nil
  for i = first, #others do
    local rows, of = cli.check(eval.read(others[i], {sample = values.limit, seed = values.seed}))
    if #rows == 0 then cli.fail("%s: no rows", others[i]) end
    if kind and of ~= kind then cli.fail("%s: other rows than the files before: score them in a run of their own", others[i]) end
    if values.look_alikes and of == "calls" then
      rows = require "mobilellm.eval.overlap".look_alikes(rows, values.look_alikes, values.seed)
    end
    kind, files[#files + 1] = of, {path = others[i], rows = rows}
  end
  if kind == "choice" then return choose(model, path, files, values) end
  if not signature.fits(model) then
    cli.fail("%s: its vocabulary lacks the control tokens of the prompt form (%s ...)", path, signature.special[3])
  end
  local all, begin = {on = eval.counter(), off = eval.counter()}, os.clock()
  for i, file in ipairs(files) do files[i] = score_file(model, file, values, all) end
  local total = {path = "all", scores = {}, better = 0, worse = 0}
  for which in pairs(files[1].scores) do total.scores[which] = all[which]:score() end
  for _, file in ipairs(files) do
    total.better, total.worse = total.better + file.better, total.worse + file.worse
  end
  if values.plot then
    local out, message = io.open(values.plot, "wb")
    if not out then cli.fail("%s", message) end
    local listed = {}
    for _, file in ipairs(files) do listed[#listed + 1] = file end
    if #files > 1 then listed[#listed + 1] = total end
    out:write(report.svg(listed, ("%s, %d rows"):format(path:match "[^/]*$", total.scores.on and total.scores.on.rows
      or total.scores.off.rows)))
    out:close()
  end
  if values.json then
    print(require "mobilellm".json.encode(report.json(files, total, {
      model = path, constraint = values.constraint, strings = values.constraint ~= "off" and (values.strings or "spoken") or nil,
      threshold = values.threshold, lexical = values.lexical, limit = values.limit, look_alikes = values.look_alikes,
      seed = (values.limit or values.look_alikes) and values.seed or nil, cpu_seconds = os.clock() - begin,
    })))
  else
    io.stdout:write(report.text(files, total, values.parts))
  end
end

return command
