local cli = require "mobilellm.cli"
local options = require "mobilellm.cli.options"

local command = {
  summary = "text to token ids and back",
  usage = "MODEL [TEXT ...]",
  about = "Prints the ids of the text (the words given, or standard input), one line.",
  options = {
    {"--bos", nil, "with the begin token in front"},
    {"--special", nil, "control tokens may be spelled in the text"},
    {"--pieces", nil, "a line for each token: id, kind, text"},
    {"--json", nil, "the ids as a JSON array"},
    {"--decode", nil, "the other way: ids in, text out"},
  },
}

function command.run(values, others)
  local model = cli.load(others[1], {vocabulary_only = true})
  local text = #others > 1 and table.concat(others, " ", 2) or cli.read_file "-"
  if values.decode then
    local ids = {}
    for word in text:gmatch "[^%s,%[%]]+" do
      local id = tonumber(word)
      if not id or id % 1 ~= 0 then options.usage("token id expected, got '%s'", word) end
      ids[#ids + 1] = math.floor(id)
    end
    print((cli.check(model:detokenize(ids, {special = values.special}))))
    return
  end
  local ids = model:tokenize(text, {bos = values.bos, special = values.special})
  if values.json then
    print(require "mobilellm".json.encode(require "mobilellm".json.array(ids)))
  elseif values.pieces then
    for _, id in ipairs(ids) do
      local bytes, kind = model:token(id)
      bytes = bytes:gsub("[%c\128-\255\\]", function(c)
        return bytes:find "[\128-\255]" and c:byte() >= 128 and c or ("\\x%02x"):format(c:byte())
      end)
      print(("%6d  %-7s  '%s'"):format(id, kind, bytes))
    end
  else
    print(table.concat(ids, " "))
  end
end

return command
