-- What templates call, as definitions {fn, names, index, variadic}: fn(run, value, argument, ...) gets its arguments in the order of
-- `names`, nil where none was given; a variadic one gets (run, value, list, named). `run` is the rendering at work (compile.lua). And the
-- checks of arguments; `what` names the call in their messages.
local core = require "mobilellm.core"
local text = require "mobilellm.template.text"
local values = require "mobilellm.template.values"

local arguments = {}

local null = core.null
local kind, fail = values.kind, values.fail
local unpack = rawget(_G, "unpack") or table.unpack

-- "separator maxsplit" or "..." -> definition
function arguments.define(names, fn)
  local def = {fn = fn, names = {}, index = {}, variadic = names == "..."}
  if not def.variadic then
    for name in names:gmatch "%S+" do
      def.names[#def.names + 1] = name
      def.index[name] = #def.names
    end
  end
  return def
end

-- Calls a definition: `args` is a list with n, `named` a table or nil.
function arguments.invoke(run, what, def, value, args, named)
  if def.variadic then return def.fn(run, value, args, named) end
  local n = #def.names
  if args.n > n then fail("%s takes at most %d arguments, got %d", what, n, args.n) end
  if not named then return def.fn(run, value, unpack(args, 1, args.n)) end
  local slots = {}
  for i = 1, args.n do slots[i] = args[i] end
  for name, v in pairs(named) do
    local i = def.index[name]
    if not i then fail("%s got an unexpected keyword argument '%s'", what, name) end
    if i <= args.n then fail("%s got multiple values for argument '%s'", what, name) end
    slots[i] = v
  end
  return def.fn(run, value, unpack(slots, 1, n))
end

function arguments.string_of(v, what)
  if text.is(v) then return v end
  values.defined(v)
  fail("%s: str expected, got %s", what, values.type_name(v))
end

function arguments.integer_of(v, what)
  if kind(v) == "bool" then return v and 1 or 0 end
  if kind(v) ~= "int" then
    values.defined(v)
    fail("%s: an integer expected, got %s", what, values.type_name(v))
  end
  return v
end

-- nil for an argument that was left out, or None.
function arguments.optional(v)
  if v == nil or v == null then return nil end
  return v
end

function arguments.optional_integer(v, what)
  if v == nil or v == null then return nil end
  return arguments.integer_of(v, what)
end

return arguments
