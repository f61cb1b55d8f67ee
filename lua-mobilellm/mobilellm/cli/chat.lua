local cli = require "mobilellm.cli"

local command = {
  summary = "talk, line by line",
  usage = "MODEL",
  words = 1,
  about = "Each line of standard input is a turn; an empty line or the end of the input ends the talk. The turns are written as the chat\n"
    .. "template in the file says; without one in ours: as ChatML where the vocabulary knows it, else as \"User: ...\" and\n"
    .. "\"Assistant: ...\". When the context is full, the oldest turns are dropped.",
  options = cli.model_options{
    {"--system", "TEXT", "what the model is told first"},
    {"--template", "FILE", "a chat template in the place of the model's"},
    {"--max-tokens", "N", "most tokens of an answer", kind = "integer", least = 0, default = 256},
    {"--temperature", "T", "0: always the likeliest token", kind = "number", least = 0, default = 0.7},
    {"--top-p", "P", "draw from the likeliest that make up P", kind = "number", default = 0.95},
    {"--seed", "N", "of the random numbers", kind = "integer", least = 0},
    {"--context", "N", "most tokens of the whole talk; 0: what the model allows", kind = "integer", least = 0, default = 0},
    {"--stats", nil, "what was computed and what was found in the cache, on standard error"},
  },
}

local function lines(prompt)
  return function()
    io.stderr:write(prompt)
    local line = io.read "*l"
    if line and line:match "%S" then return line end
  end
end

local function read_file(path)
  if not path then return nil end
  local file, message = io.open(path, "rb")
  if not file then cli.fail("%s", message) end
  local text = file:read "*a"
  file:close()
  return text
end

function command.run(values, others)
  local model = cli.load(others[1], values)
  local chat = cli.check(model:chat{
    system = values.system, template = read_file(values.template), context = values.context > 0 and values.context or nil,
    max_tokens = values.max_tokens, temperature = values.temperature, seed = values.seed,
    top_p = values.temperature > 0 and values.top_p or nil,
  })
  for line in lines "> " do
    local first, failure = true, nil
    for event in chat:send(line) do
      if event.kind == "text" then
        local piece = first and event.text:gsub("^%s+", "") or event.text
        first = first and piece == ""
        io.stdout:write(piece)
        io.stdout:flush()
      elseif event.kind == "error" then
        failure = event.message
      end
    end
    if not failure or not first then io.stdout:write "\n" end
    if failure then cli.fail("%s", failure) end
    if values.stats then
      local stats = chat:stats()
      io.stderr:write(("%d tokens found in the cache, %d fed, %d of them again, %d generated\n"):format(stats.reused,
        stats.prompt_tokens, stats.recomputed, stats.tokens))
    end
  end
end

return command
