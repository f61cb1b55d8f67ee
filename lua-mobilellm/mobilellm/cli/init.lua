-- The command line: finds the command, reads its options, turns failures into "mobilellm: message" and an exit code.
--
-- A command is a file beside this one: {summary, usage, about, words, options = {...}, run = function(values, others) ... end}. `words`:
-- how many it takes beside the options, at most. run returns nothing or an exit code; what the world does wrong is raised by fail(). Exit
-- codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
local options = require "mobilellm.cli.options"

local cli = {}

-- In the order of the help text.
cli.commands = {"run", "chat", "info", "tokenize", "score", "call", "eval", "train", "convert", "quantize", "perplexity", "bench",
  "conformance"}

-- Ends the command with "mobilellm: message" and exit code 1.
function cli.fail(format, ...) error({failure = select("#", ...) > 0 and format:format(...) or format}, 0) end

-- value, or the end when a library function returned nil, message.
function cli.check(value, message, ...)
  if value == nil then cli.fail("%s", tostring(message)) end
  return value, message, ...
end

-- Options that most commands have, in front of their own.
function cli.model_options(own)
  local list = {
    {"--threads", "N", "threads; 0: one per core", kind = "integer", least = 0, default = 0},
    {"--kernel", "NAME", "auto, reference, or one that this processor has", default = "auto"},
  }
  for _, spec in ipairs(own) do list[#list + 1] = spec end
  return list
end

function cli.load(path, values)
  if not path then options.usage "a model file or folder is missing" end
  local mobilellm = require "mobilellm"
  return cli.check(mobilellm.load(path, {
    threads = values.threads, kernel = values.kernel, vocabulary_only = values.vocabulary_only,
  }))
end

-- All of a file, or of standard input for "-".
function cli.read_file(path)
  local f, message = io.stdin, nil
  if path ~= "-" then f, message = io.open(path, "rb") end
  if not f then cli.fail("%s", message) end
  local text = f:read "*a"
  if path ~= "-" then f:close() end
  return text
end

local function overview(out)
  local lines = {"usage: mobilellm COMMAND [OPTION ...]", ""}
  for _, name in ipairs(cli.commands) do
    lines[#lines + 1] = ("  %-11s %s"):format(name, require("mobilellm.cli." .. name).summary)
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "mobilellm COMMAND --help tells more. mobilellm --version"
  out:write(table.concat(lines, "\n"), "\n")
end

local function run(arguments)
  local name = arguments[1]
  if name == nil then
    overview(io.stderr)
    return 2
  elseif name == "--help" or name == "-h" or name == "help" then
    overview(io.stdout)
    return 0
  elseif name == "--version" then
    print("mobilellm " .. require "mobilellm".version)
    return 0
  end
  local known = false
  for _, command in ipairs(cli.commands) do known = known or command == name end
  if not known then options.usage("unknown command '%s' (see mobilellm --help)", name) end
  local command = require("mobilellm.cli." .. name)
  for i = 2, #arguments do
    if arguments[i] == "--" then break end
    if arguments[i] == "--help" or arguments[i] == "-h" then
      io.stdout:write(options.help(name, command))
      return 0
    end
  end
  local values, others = options.parse(command.options, arguments, 2)
  if command.words and #others > command.words then options.usage("%s: unexpected '%s'", name, others[command.words + 1]) end
  return command.run(values, others) or 0
end

-- arguments -> exit code
function cli.main(arguments)
  local trace
  local ok, result = xpcall(function() return run(arguments) end, function(err)
    if type(err) == "string" and os.getenv "MOBILELLM_TRACE" then trace = debug.traceback(err, 2) end
    return err
  end)
  if ok then return result end
  io.stdout:flush()
  if type(result) == "table" and result.usage then
    io.stderr:write("mobilellm: ", result.usage, "\n")
    return 2
  elseif type(result) == "table" and result.failure then
    io.stderr:write("mobilellm: ", result.failure, "\n")
    return 1
  elseif type(result) == "string" and result:match "interrupted!$" then
    io.stderr:write "\n"
    return 130
  end
  -- Where in the library it was noticed helps nobody at a terminal.
  io.stderr:write("mobilellm: ", trace or (tostring(result):gsub("^[^\n]-%.lua:%d+: ", "")), "\n")
  return 1
end

return cli
