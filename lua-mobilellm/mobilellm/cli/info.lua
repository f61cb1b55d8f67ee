local cli = require "mobilellm.cli"

local ORDER = {
  "path", "name", "architecture", "quantization", "kept_as", "parameters", "bytes", "weight_bytes", "packed_bytes", "blocks",
  "steps", "ffns", "kv_slots", "width", "heads", "kv_heads", "head_size", "ffn_width", "vocabulary", "context",
  "tied_embedding", "bos", "eos", "adds_bos", "kernel", "threads",
}

local command = {
  summary = "what a model file is",
  usage = "MODEL",
  words = 1,
  options = cli.model_options{
    {"--json", nil, "as one JSON object, with the chat template"},
    {"--chat-template", nil, "the chat template alone"},
  },
}

function command.run(values, others)
  local info = cli.load(others[1], values):info()
  if values.json then
    print(require "mobilellm".json.encode(info))
  elseif values.chat_template then
    if not info.chat_template then cli.fail("%s has no chat template", others[1]) end
    print(info.chat_template)
  else
    for _, key in ipairs(ORDER) do
      if info[key] ~= nil then print(("%-16s %s"):format(key, tostring(info[key]))) end
    end
    for i, t in ipairs(info.types) do
      print(("%-16s %s kept as %s: %d tensors, %.1f MB in the file, %.1f MB in use"):format(i == 1 and "types" or "", t.stored, t.kept_as,
        t.tensors, t.stored_bytes / 1e6, t.kept_bytes / 1e6))
    end
    print(("%-16s %s"):format("chat_template", info.chat_template and #info.chat_template .. " bytes" or "none"))
  end
end

return command
