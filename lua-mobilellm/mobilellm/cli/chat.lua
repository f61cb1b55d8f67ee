local cli = require "mobilellm.cli"

local command = {
  summary = "talk, line by line",
  usage = "MODEL",
  about = "Each line of standard input is a turn; an empty line or the end of the input ends the talk. Without a chat template in the\n"
    .. "file the turns are written as \"User: ...\" and \"Assistant: ...\".",
  options = cli.model_options{
    {"--system", "TEXT", "what the model is told first"},
    {"--max-tokens", "N", "most tokens of an answer", kind = "integer", default = 256},
    {"--temperature", "T", "0: always the likeliest token", kind = "number", default = 0.7},
    {"--top-p", "P", "draw from the likeliest that make up P", kind = "number", default = 0.95},
    {"--seed", "N", "of the random numbers", kind = "integer"},
    {"--context", "N", "most tokens of the whole talk; 0: what the model allows", kind = "integer", default = 0},
  },
}

local function lines(prompt)
  return function()
    io.stderr:write(prompt)
    local line = io.read "*l"
    if line and line:match "%S" then return line end
  end
end

function command.run(values, others)
  local model = cli.load(others[1], values)
  local options = {
    max_tokens = values.max_tokens, temperature = values.temperature, seed = values.seed,
    top_p = values.temperature > 0 and values.top_p or nil, stop = {"\nUser:", "User:"},
  }
  local session = cli.check(model:session{context = values.context > 0 and values.context or nil})
  local head = values.system and values.system .. "\n\n" or ""
  for line in lines "> " do
    local pieces, job = session:stream(("%sUser: %s\nAssistant:"):format(head, line), options)
    cli.check(pieces, job)
    head = "\n"
    local first = true
    while true do
      local piece, message = pieces()
      if not piece then
        io.stdout:write "\n"
        if message then cli.fail("%s", message) end
        break
      end
      if first then piece = piece:gsub("^%s+", "") end
      first = first and piece == ""
      io.stdout:write(piece)
      io.stdout:flush()
    end
    local state = job:state()
    job:close()
    if state == "context" then cli.fail("the context of %d tokens is full", session:context()) end
  end
end

return command
