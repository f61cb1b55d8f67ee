local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "score a tool-calling model on rows of sentences and calls",
  usage = "--model MODEL ROWS.jsonl ...",
  about = "Each row is one JSON object a line: {\"tools\": [...], \"messages\": [...], \"calls\": [{\"name\", \"arguments\"}]};"
    .. " the files may be\n"
    .. "gzipped. Prompts are written in the form of the project's own models (mobilellm/signature.lua). mobilellm/eval.lua says what\n"
    .. "is counted.",
  options = cli.model_options{
    {"--model", "MODEL", "the model file"},
    {"--json", nil, "print one JSON object: all rows together, and `files` when there are several"},
    {"--limit", "N", "at most so many rows of each file", kind = "integer"},
    {"--max-tokens", "N", "most tokens of an answer", kind = "integer", default = 200},
    {"--kv", "TYPE", "of the cache", choices = {"auto", "f32", "f16", "q8_0"}, default = "auto"},
    {"--wrong", nil, "print the rows that came out wrong, on standard error"},
  },
}

local order = {"rows", "call_rows", "no_call_rows", "em_intent", "em_structure", "argument_f1", "accuracy", "refusal_precision",
  "refusal_recall", "too_long"}

function command.run(values, others)
  local path, first = values.model, 1
  if not path then path, first = others[1], 2 end
  if not others[first] then options.usage "eval: a model and at least one file of rows are needed" end
  local model = cli.load(path, values)
  local eval, json = require "mobilellm.eval", require "mobilellm".json
  local signature = require "mobilellm.signature"
  if not signature.fits(model) then
    cli.fail("%s: its vocabulary lacks the control tokens of the prompt form (%s ...)", path, signature.special[3])
  end
  local all, files, too_long, begin = eval.counter(), {}, 0, os.clock()
  for i = first, #others do
    local rows = cli.check(eval.read(others[i], values.limit))
    local score = cli.check(eval.rows(model, rows, {
      max_tokens = values.max_tokens, kv_type = values.kv,
      on_row = function(_, row, calls, text, right)
        all.add(row, calls)
        if values.wrong and not right then
          local wanted = signature.answer(row.calls, row.tools)
          io.stderr:write(("%s\n  wanted %s\n  got    %s\n"):format(tostring(row.id or "row"), wanted == "" and "no call" or wanted,
            (text or "") == "" and "no call" or text))
        end
      end,
    }))
    too_long = too_long + score.too_long
    files[#files + 1] = {path = others[i], score = score}
  end
  local total = all.score()
  total.too_long = too_long
  total.cpu_seconds = os.clock() - begin
  if values.json then
    if #files > 1 then
      total.files = {}
      for _, file in ipairs(files) do
        file.score.path = file.path
        total.files[#total.files + 1] = file.score
      end
    end
    print(json.encode(total))
    return
  end
  if #files > 1 then files[#files + 1] = {path = "all", score = total} end
  for _, file in ipairs(files) do
    print(file.path)
    for _, key in ipairs(order) do
      local value = file.score[key]
      if value ~= nil then print(("  %-18s %s"):format(key, value % 1 == 0 and ("%d"):format(value) or ("%.4f"):format(value))) end
    end
  end
end

return command
