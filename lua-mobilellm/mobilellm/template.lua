-- Jinja templates as chat templates use them, with the settings of Hugging Face transformers: trim_blocks, lstrip_blocks, an immutable
-- sandbox, tojson without escapes for what is not ASCII, raise_exception, strftime_now, break and continue, generation blocks.
-- Values mean what they mean in Python (template/values.lua). A template sees its context and nothing of the host.
--
--   local template = assert(mobilellm.template.compile("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"))
--   template:render{messages = {{role = "user", content = "Hi"}}}      -- "user: Hi\n"
--   template:segments(context)                                          -- the same as a list of {text =, user = true | false}
local compiler = require "mobilellm.template.compile"
local parser = require "mobilellm.template.parser"
local builtins = require "mobilellm.template.builtins"
local values = require "mobilellm.template.values"
local texts = require "mobilellm.template.text"

local template = {}

local Template = {}
Template.__index = Template
Template.__name = "mobilellm.template"

-- What a template may use up, unless the caller says otherwise: statements, loop turns and calls; bytes; calls inside calls.
local LIMITS = {steps = 1000000, output = 16777216, depth = 100}
local COMPILE = {name = "string", steps = "number", output = "number", depth = "number", mutable = "boolean"}
local RENDER = {now = true, own = true, steps = "number", output = "number", depth = "number"}

local function check(options, known, where)
  if options == nil then return {} end
  if type(options) ~= "table" then error(("%s: options must be a table, got %s"):format(where, type(options)), 3) end
  for key, value in pairs(options) do
    if not known[key] then error(("%s: unknown option '%s'"):format(where, tostring(key)), 3) end
    if known[key] ~= true and type(value) ~= known[key] then
      error(("%s: option '%s': %s expected, got %s"):format(where, key, known[key], type(value)), 3)
    end
  end
  return options
end

-- nil, message, code of an error of a template. Misuse by the caller raises. A Lua error comes from a filter that got what it cannot
-- work on; Python would say TypeError.
local function failed(err, name, line, where)
  if type(err) == "table" and err.misuse then error(where .. ": " .. err.misuse, 4) end
  if type(err) ~= "table" then err = {message = "TypeError: " .. tostring(err), code = "format"} end
  return nil, ("%s:%d: %s"):format(name, err.line or line or 0, err.message), err.code
end

-- template.compile(source, {name, steps, output, depth, mutable}) -> template | nil, message, code
--   name     for messages ("template")
--   steps, output, depth   limits: statements and calls, bytes, calls inside calls
--   mutable  true: methods that change a list or a dict (append, pop, update ...) are there; the sandbox of transformers has none
-- What is wrong with the source comes back with its line.
function template.compile(source, options)
  if type(source) ~= "string" then error(("template.compile: string expected, got %s"):format(type(source)), 2) end
  options = check(options, COMPILE, "template.compile")
  local name = options.name or "template"
  local ok, result = pcall(function() return compiler.body(parser.parse(source)) end)
  if not ok then return failed(result, name) end
  return setmetatable({name = name, body = result, options = options}, Template)
end

-- template.own(s): inside a context, a string that counts as the template's own and not as the user's.
function template.own(s)
  if type(s) ~= "string" then error(("template.own: string expected, got %s"):format(type(s)), 2) end
  return values.own(s)
end

local function run(self, context, options, where)
  if type(context) ~= "table" then error(("%s: a table of names expected, got %s"):format(where, type(context)), 3) end
  options = check(options, RENDER, where)
  local limits = {mutable = self.options.mutable or false, now = options.now}
  for key, default in pairs(LIMITS) do limits[key] = options[key] or self.options[key] or default end
  local state = compiler.run(limits)
  local ok, err = pcall(function()
    local globals = {}
    for name, value in pairs(builtins.functions) do globals[name] = value end
    for name, value in pairs(context) do
      if type(name) ~= "string" then error({misuse = "a context has names as keys"}, 0) end
      globals[name] = values.input(value, not (name:find "_token$" or options.own and options.own[name]))
    end
    state.globals = globals
    self.body(state, {vars = {}})
  end)
  if not ok then return failed(err, self.name, state.line, where) end
  return state.out
end

-- template:render(context, {now, own, steps, output, depth}) -> text | nil, message, code
--   context  names and their values: strings, numbers, booleans, mobilellm.null, arrays, objects (in the order of json.keys)
--   now      seconds since the epoch, for strftime_now; the present unless given
--   own      {name = true}: values of the context whose strings count as the template's own; so do all named *_token
-- Codes: "raised" (the template called raise_exception), "limit", "format" (anything else). Messages begin with name:line.
function Template:render(context, options)
  local out, message, code = run(self, context, options, "render")
  if not out then return nil, message, code end
  return texts.bytes(out:finish())
end

-- template:segments(context, options) -> list of {text =, user =} | nil, message, code: what comes from strings of the context has
-- user = true, through filters, slices and joins. Together they are the text of render.
function Template:segments(context, options)
  local out, message, code = run(self, context, options, "segments")
  if not out then return nil, message, code end
  return out:segments()
end

return template
