-- Rows to train on and to judge by, from the public files of their sources:
--
--   lua5.4 agents/model/convert.lua SOURCE FOLDER [--part train|eval] [--seed 1] [--without NAME,...] [--tools ROWS.jsonl] [--variant 1]
--     > ROWS.jsonl
--
-- SOURCE: clinc, home, nlueval, seal, sgd, sgdx, snips, star, tm4; the files in convert/ say what they read, from whom, and under which
-- licence. FOLDER: a checkout of the source's repository. A row is {id, source, license, tools, messages, calls, kind, service, ...} as
-- mobilellm.eval reads it.
local here = (arg and arg[0] or "agents/model/convert.lua"):match "^(.*)/[^/]*$" or "."
package.path = here .. "/convert/?.lua;" .. here .. "/?.lua;" .. package.path

local json = require "mobilellm".json
-- Which file in convert/ reads a source.
local known = {
  clinc = "clinc", home = "home", nlueval = "nlueval", seal = "seal", sgd = "sgd", sgdx = "sgd", snips = "snips", star = "star",
  tm4 = "tm4",
}
local source, folder, options = arg[1], arg[2], {part = "train", seed = "1", without = ""}

local function fail(...)
  io.stderr:write("convert: ", string.format(...), "\n")
  os.exit(1)
end

if not known[source] then fail("a source is one of clinc, home, nlueval, seal, sgd, sgdx, snips, star, tm4, got '%s'", tostring(source)) end
if not folder then fail "the folder with the source's files is missing" end
for i = 3, #arg, 2 do
  local name = arg[i]:match "^%-%-(%a+)$"
  if not (name == "variant" or name == "part" or name == "seed" or name == "without" or name == "tools") or not arg[i + 1] then
    fail("'%s' is no option, or its value is missing", arg[i])
  end
  options[name] = arg[i + 1]
end
if options.part ~= "train" and options.part ~= "eval" then fail("--part is train or eval, got '%s'", options.part) end
options.seed = tonumber(options.seed) or fail("--seed: a number expected, got '%s'", options.seed)
options.variant = options.variant and (tonumber(options.variant) or fail("--variant: a number expected, got '%s'", options.variant))
options.source = source
local without = {}
for name in options.without:gmatch "[^,]+" do without[name] = true end
options.without = without

-- A row whose calls its own tools do not allow is left out.
local count, dropped = 0, 0
local function emit(row)
  for _, call in ipairs(row.calls) do
    local allowed = false
    for _, tool in ipairs(row.tools) do
      if tool.name == call.name then
        allowed = json.validate({type = "object", properties = tool.parameters.properties, required = tool.parameters.required,
          additionalProperties = false}, call.arguments, {format = "annotation"})
      end
    end
    if not allowed then
      dropped = dropped + 1
      return
    end
  end
  count = count + 1
  io.stdout:write(json.encode(row), "\n")
end

local ok, message = pcall(require(known[source]), folder, options, emit)
if not ok then fail("%s", tostring(message)) end
io.stderr:write(("convert: %d rows%s\n"):format(count, dropped > 0 and (", %d left out: not as their tools say"):format(dropped) or ""))
