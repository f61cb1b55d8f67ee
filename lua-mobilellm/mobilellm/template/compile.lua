-- Syntax tree -> Lua closures, and the rendering that runs them.
--
-- An expression becomes f(run, scope) -> value, a statement f(run, scope) -> nil, "break" or "continue". A scope is {vars, up}: loops,
-- macros and with-blocks have their own, and set writes into the innermost. `run` is one rendering: its output buffer, its limits,
-- the line it is at.
local core = require "mobilellm.core"
local arguments = require "mobilellm.template.arguments"
local builtins = require "mobilellm.template.builtins"
local lexer = require "mobilellm.template.lexer"
local sequences = require "mobilellm.template.sequences"
local text = require "mobilellm.template.text"
local values = require "mobilellm.template.values"

local compile = {}
local null = core.null
local kind, fail, number, truth = values.kind, values.fail, values.number, values.truth

-- --------------------------------------------------------------------- run

local Run = {}
Run.__index = Run

-- limits: steps, output (bytes), depth (of calls)
function compile.run(options)
  return setmetatable({
    steps = options.steps, max_steps = options.steps, max_output = options.output, max_depth = options.depth, depth = 0, line = 0,
    mutable = options.mutable, now = options.now, out = text.buffer(options.output, "output"), add = compile.add,
  }, Run)
end

-- n steps are taken; raises when there are no more.
function Run:charge(n)
  self.steps = self.steps - n
  if self.steps < 0 then
    error({template = true, code = "limit", message = ("more than %d steps (limit steps)"):format(self.max_steps)}, 0)
  end
end

local function lookup(run, scope, name)
  local at = scope
  while at do
    local v = at.vars[name]
    if v ~= nil then return v end
    at = at.up
  end
  return run.globals[name]
end

-- ------------------------------------------------------------- expressions

local expressions = {}

local function expression(node) return expressions[node.op](node) end

local function expressions_of(list)
  local out = {}
  for i = 1, #list do out[i] = expression(list[i]) end
  return out
end

function expressions.constant(node)
  local v = node.value
  return function() return v end
end

function expressions.none() return function() return null end end

expressions["float"] = function(node)
  local v = values.float(node.value)
  return function() return v end
end

function expressions.name(node)
  local name = node.name
  return function(run, scope)
    local v = lookup(run, scope, name)
    if v == nil then return values.undefined(name) end
    return v
  end
end

local function sequence(k)
  return function(node)
    local items = expressions_of(node)
    local n = #items
    return function(run, scope)
      local out = {k = k}
      for i = 1, n do out[i] = items[i](run, scope) end
      run:charge(n)
      return out
    end
  end
end
expressions.list, expressions.tuple = sequence "list", sequence "tuple"

function expressions.dict(node)
  local keys, items = {}, {}
  for i, pair in ipairs(node) do keys[i], items[i] = expression(pair.key), expression(pair.value) end
  return function(run, scope)
    local out = values.dict()
    for i = 1, #keys do values.set(out, keys[i](run, scope), items[i](run, scope)) end
    run:charge(#keys)
    return out
  end
end

expressions["if"] = function(node)
  local test, yes, no = expression(node.test), expression(node.yes), node.no and expression(node.no)
  return function(run, scope)
    if truth(test(run, scope)) then return yes(run, scope) end
    if no then return no(run, scope) end
    return {k = "undefined", message = "the inline if-expression evaluated to false and no else section was defined"}
  end
end

expressions["or"] = function(node)
  local left, right = expression(node.left), expression(node.right)
  return function(run, scope)
    local v = left(run, scope)
    if truth(v) then return v end
    return right(run, scope)
  end
end

expressions["and"] = function(node)
  local left, right = expression(node.left), expression(node.right)
  return function(run, scope)
    local v = left(run, scope)
    if not truth(v) then return v end
    return right(run, scope)
  end
end

expressions["not"] = function(node)
  local value = expression(node.value)
  return function(run, scope) return not truth(value(run, scope)) end
end

local function ordered(op, holds)
  return function(a, b) return holds(values.compare(a, b, op)) end
end
local relations = {
  ["=="] = values.equal,
  ["!="] = function(a, b) return not values.equal(a, b) end,
  ["<"] = ordered("<", function(o) return o < 0 end),
  ["<="] = ordered("<=", function(o) return o <= 0 end),
  [">"] = ordered(">", function(o) return o > 0 end),
  [">="] = ordered(">=", function(o) return o >= 0 end),
  ["in"] = function(a, b) return values.contains(b, a) end,
  ["not in"] = function(a, b) return not values.contains(b, a) end,
}

function expressions.compare(node)
  local first, parts, tests = expression(node.first), {}, {}
  for i, part in ipairs(node) do parts[i], tests[i] = expression(part.value), relations[part.op] end
  return function(run, scope)
    local left = first(run, scope)
    for i = 1, #parts do
      local right = parts[i](run, scope)
      if not tests[i](left, right) then return false end
      left = right
    end
    return true
  end
end

local function wrong_operands(op, a, b)
  values.defined(a)
  values.defined(b)
  if op == "+" and text.is(a) then fail('can only concatenate str (not "%s") to str', values.type_name(b)) end
  fail("unsupported operand type(s) for %s: '%s' and '%s'", op, values.type_name(a), values.type_name(b))
end

local function is_float(a, b) return kind(a) == "float" or kind(b) == "float" end

local function arithmetic(op, of_ints, of_floats)
  return function(run, a, b)
    local x, y = number(a), number(b)
    if not x or not y then wrong_operands(op, a, b) end
    if not is_float(a, b) then
      -- in doubles first: an integer of 5.4 would go round
      if math.abs(of_floats(x + 0.0, y + 0.0)) >= 9007199254740992 then fail "an integer beyond 2^53" end
      return of_ints(x, y)
    end
    run:charge(1)
    return values.float(of_floats(x + 0.0, y + 0.0))
  end
end

local add_numbers = arithmetic("+", function(x, y) return x + y end, function(x, y) return x + y end)

local function is_safe(v) return type(v) == "table" and v.safe end

function compile.add(run, a, b)
  if text.is(a) and text.is(b) then
    run:charge((#text.bytes(a) + #text.bytes(b)) / 256)
    if is_safe(a) or is_safe(b) then -- what is marked safe escapes what it is added to
      return builtins.safe(text.join({builtins.escaped(run, a), builtins.escaped(run, b)}, nil, run.max_output))
    end
    return text.join({a, b}, nil, run.max_output)
  end
  local k = kind(a)
  if (k == "list" or k == "tuple") and k == kind(b) then
    local out = {k = k}
    for i = 1, #a do out[i] = a[i] end
    for i = 1, #b do out[#out + 1] = b[i] end
    run:charge(#out)
    return out
  end
  return add_numbers(run, a, b)
end

local multiply_numbers = arithmetic("*", function(x, y) return x * y end, function(x, y) return x * y end)

local function multiply(run, a, b)
  if type(a) == "number" and (text.is(b) or kind(b) == "list" or kind(b) == "tuple") then a, b = b, a end
  if type(b) == "number" and text.is(a) then
    local s, m = text.bytes(a), text.marks(a)
    local n = math.max(0, b)
    if #s * n > run.max_output then
      error({template = true, code = "limit", message = ("a text longer than %d bytes (limit output)"):format(run.max_output)}, 0)
    end
    if s == "" then n = 0 end
    run:charge(#s * n / 256)
    return text.make(s:rep(n), type(m) == "string" and m:rep(n) or m)
  end
  local k = kind(a)
  if type(b) == "number" and (k == "list" or k == "tuple") then
    local out, n = {k = k}, #a
    run:charge(n * math.max(0, b))
    for i = 0, n * math.max(0, b) - 1 do out[i + 1] = a[i % n + 1] end
    return out
  end
  return multiply_numbers(run, a, b)
end

local function nonzero(y)
  if y == 0 then fail "division by zero" end
  return y
end

local remainder = arithmetic("%", function(x, y) return x % nonzero(y) end, function(x, y) return x - math.floor(x / nonzero(y)) * y end)
local whole = rawget(math, "tointeger") or function(x) return x end

local operators = {
  ["+"] = compile.add,
  ["-"] = arithmetic("-", function(x, y) return x - y end, function(x, y) return x - y end),
  ["*"] = multiply,
  ["/"] = function(_, a, b)
    local x, y = number(a), number(b)
    if not x or not y then wrong_operands("/", a, b) end
    return values.float((x + 0.0) / nonzero(y))
  end,
  ["//"] = arithmetic("//", function(x, y) return whole(math.floor((x + 0.0) / nonzero(y))) end,
    function(x, y) return math.floor(x / nonzero(y)) + 0.0 end),
  ["%"] = function(run, a, b)
    if text.is(a) then return builtins.percent(run, a, kind(b) == "tuple" and b or {b}) end
    return remainder(run, a, b)
  end,
  ["**"] = function(_, a, b)
    local x, y = number(a), number(b)
    if not x or not y then wrong_operands("**", a, b) end
    local power = (x + 0.0) ^ y
    if is_float(a, b) or y < 0 then return values.float(power) end
    return whole(values.int(power))
  end,
}

function expressions.binary(node)
  local left, right, operate = expression(node.left), expression(node.right), operators[node.operator]
  return function(run, scope)
    local a = left(run, scope)
    return operate(run, a, right(run, scope))
  end
end

function expressions.unary(node)
  local value, minus = expression(node.value), node.operator == "-"
  return function(run, scope)
    local v = value(run, scope)
    local x = number(v)
    if not x then
      values.defined(v)
      fail("bad operand type for unary %s: '%s'", minus and "-" or "+", values.type_name(v))
    end
    if kind(v) == "float" then return minus and values.float(-x) or v end
    return minus and -x or x
  end
end

function expressions.concat(node)
  local parts = expressions_of(node)
  return function(run, scope)
    local list = {}
    for i = 1, #parts do list[i] = values.text(parts[i](run, scope)) end
    local joined = text.join(list, nil, run.max_output)
    run:charge(#text.bytes(joined) / 256)
    return joined
  end
end

function expressions.attribute(node)
  local target, name, line = expression(node.target), node.name, node.line
  return function(run, scope)
    local v = target(run, scope)
    run.line = line
    return builtins.attribute(run, v, name)
  end
end

function expressions.item(node)
  local target, line = expression(node.target), node.line
  if node.index.op == "slice" then
    local from = node.index.from and expression(node.index.from)
    local to, step = node.index.to and expression(node.index.to), node.index.step and expression(node.index.step)
    local function part(f, run, scope)
      local v = f and f(run, scope)
      if v == null then return nil end
      return v or nil
    end
    return function(run, scope)
      local v = target(run, scope)
      run.line = line
      return sequences.slice(run, v, part(from, run, scope), part(to, run, scope), part(step, run, scope))
    end
  end
  local index = expression(node.index)
  return function(run, scope)
    local v = target(run, scope)
    local key = index(run, scope)
    run.line = line
    return builtins.item(run, v, key)
  end
end

function expressions.slice(node) lexer.syntax(node.line, "a slice among several indexes") end

-- f(run, scope) -> list with n (and `order`, the names as written), table of named ones or nil
local function arguments_of(args)
  local positional, plain = {}, true
  for i, arg in ipairs(args) do
    if not arg.value or arg.key then plain = false end
    positional[i] = arg.value and expression(arg.value) or expression(arg.spread or arg.spread_keys)
  end
  local n = #args
  if plain then
    return function(run, scope)
      local list = {n = n}
      for i = 1, n do list[i] = positional[i](run, scope) end
      return list
    end
  end
  return function(run, scope)
    local list, named = {n = 0, order = {}}, {}
    local function name(key, v)
      if named[key] == nil then list.order[#list.order + 1] = key end
      named[key] = v
    end
    for i, arg in ipairs(args) do
      local v = positional[i](run, scope)
      if arg.key then
        name(arg.key, v)
      elseif arg.spread then
        for _, item in ipairs(values.items(v)) do
          list.n = list.n + 1
          list[list.n] = item
        end
      elseif arg.spread_keys then
        if kind(v) ~= "dict" then fail "argument after ** must be a mapping" end
        for _, pair in ipairs(values.pairs(v)) do name(text.bytes(pair[1]), pair[2]) end
      else
        list.n = list.n + 1
        list[list.n] = v
      end
    end
    return list, named
  end
end

local function call(run, f, args, named)
  if kind(f) ~= "function" and not (kind(f) == "loop" and f.def) then
    values.defined(f)
    fail("'%s' object is not callable", values.type_name(f))
  end
  run:charge(1)
  return arguments.invoke(run, (f.name or "function") .. "()", f.def, f.self, args, named)
end

function expressions.call(node)
  local target, args, line = expression(node.target), arguments_of(node.args), node.line
  return function(run, scope)
    local f = target(run, scope)
    local list, named = args(run, scope)
    run.line = line
    local v = call(run, f, list, named)
    run.line = line
    return v
  end
end

function expressions.filter(node)
  local target, args, name, line = expression(node.target), arguments_of(node.args), node.name, node.line
  return function(run, scope)
    local v = target(run, scope)
    local list, named = args(run, scope)
    run.line = line
    local def = builtins.filters[name]
    if not def then fail("No filter named '%s' found.", name) end
    run:charge(1)
    return arguments.invoke(run, name .. "()", def, v, list, named)
  end
end

function expressions.test(node)
  local target, args, name, line, negated = expression(node.target), arguments_of(node.args), node.name, node.line, node.negated
  return function(run, scope)
    local v = target(run, scope)
    local list, named = args(run, scope)
    run.line = line
    local def = builtins.tests[name]
    if not def then fail("No test named '%s' found.", name) end
    local holds = arguments.invoke(run, name .. "()", def, v, list, named)
    return holds ~= negated
  end
end

-- The text of the block around it: what the filter of a block set or filter block works on.
function expressions.block_text() return function(run) return run.block end end

-- -------------------------------------------------------------- statements

local statements = {}

local function body(list)
  local all = {}
  for i, node in ipairs(list) do
    local f, line = statements[node.tag](node), node.line
    all[i] = node.tag == "text" and f or function(run, scope)
      run.line = line
      run:charge(1)
      return f(run, scope)
    end
  end
  local n = #all
  return function(run, scope)
    for i = 1, n do
      local signal = all[i](run, scope)
      if signal then return signal end
    end
  end
end

function statements.text(node)
  local s = node.text
  return function(run) run.out:add(s) end
end

function statements.print(node)
  local value, line = expression(node.value), node.line
  return function(run, scope)
    local v = value(run, scope)
    run.line = line
    run.out:put(values.text(v))
  end
end

statements["if"] = function(node)
  local tests, bodies = {}, {}
  for i, branch in ipairs(node.branches) do tests[i], bodies[i] = expression(branch.test), body(branch.body) end
  local otherwise = node.otherwise and body(node.otherwise)
  return function(run, scope)
    for i = 1, #tests do
      if truth(tests[i](run, scope)) then return bodies[i](run, scope) end
    end
    if otherwise then return otherwise(run, scope) end
  end
end

local function assign(target, scope, v, run)
  if target.kind == "name" then
    scope.vars[target.name] = v
  elseif target.kind == "tuple" then
    local items = values.items(v)
    if #items ~= #target.names then
      fail("%s values to unpack (expected %d, got %d)", #items < #target.names and "not enough" or "too many", #target.names, #items)
    end
    for i, name in ipairs(target.names) do scope.vars[name] = items[i] end
  else
    local object = lookup(run, scope, target.name)
    if object == nil then fail("'%s' is undefined", target.name) end
    if kind(object) ~= "namespace" then fail "cannot assign attribute on non-namespace object" end
    object.items[target.attribute] = v
  end
end

-- Runs a body into a buffer of its own and returns its text.
local function captured(run, scope, inside)
  local outer = run.out
  run.out = text.buffer(run.max_output, "output")
  inside(run, scope)
  local s = run.out:finish()
  run.out = outer
  return s
end

function statements.set(node)
  local target = node.target
  if node.value then
    local value = expression(node.value)
    return function(run, scope) assign(target, scope, value(run, scope), run) end
  end
  local inside, filter = body(node.body), expression(node.filter)
  return function(run, scope)
    local s = captured(run, {vars = {}, up = scope}, inside)
    local outer = run.block
    run.block = s
    s = filter(run, scope)
    run.block = outer
    assign(target, scope, s, run)
  end
end

function statements.filter(node)
  local inside, filter = body(node.body), expression(node.filter)
  return function(run, scope)
    local s = captured(run, {vars = {}, up = scope}, inside)
    local outer = run.block
    run.block = s
    s = filter(run, scope)
    run.block = outer
    run.out:put(values.text(s))
  end
end

statements["with"] = function(node)
  local names, given, inside = node.names, expressions_of(node.values), body(node.body)
  return function(run, scope)
    local own = {vars = {}, up = scope}
    for i = 1, #names do own.vars[names[i]] = given[i](run, scope) end
    return inside(run, own)
  end
end

function statements.generation(node)
  local inside = body(node.body)
  return function(run, scope) return inside(run, scope) end
end

statements["break"] = function() return function() return "break" end end
statements["continue"] = function() return function() return "continue" end end

local function deeper(run, what)
  run.depth = run.depth + 1
  if run.depth > run.max_depth then
    error({template = true, code = "limit", message = ("%s deeper than %d (limit depth)"):format(what, run.max_depth)}, 0)
  end
end

-- A macro (or the body of a call block) as a function. Its parameters' defaults are worked out where it was defined.
local function macro(node, name)
  local defaults, inside = {}, body(node.body)
  local names = {}
  for i, parameter in ipairs(node.parameters) do
    names[i] = parameter.name
    defaults[i] = parameter.default and expression(parameter.default)
  end
  return function(scope)
    local def = {variadic = true}
    function def.fn(run, _, args, named)
      deeper(run, "calls")
      local own = {vars = {}, up = scope}
      local known = {}
      for i, parameter in ipairs(names) do
        known[parameter] = true
        local v = args[i]
        if v ~= nil and named and named[parameter] ~= nil then
          fail("macro '%s' got multiple values for argument '%s'", name, parameter)
        end
        if v == nil and named then v = named[parameter] end
        if v == nil and defaults[i] then v = defaults[i](run, own) end
        own.vars[parameter] = v == nil and values.undefined(parameter) or v
      end
      local more = {k = "tuple"}
      for i = #names + 1, args.n do more[#more + 1] = args[i] end
      own.vars.varargs = more
      local others = values.dict()
      for _, key in ipairs(args.order or {}) do
        if not known[key] then
          if key == "caller" then
            own.vars.caller = named.caller
          else
            values.set(others, key, named[key])
          end
        end
      end
      own.vars.kwargs = others
      local s = captured(run, own, inside)
      run.depth = run.depth - 1
      return s
    end
    return {k = "function", name = name, def = def}
  end
end

function statements.macro(node)
  local make, name = macro(node, node.name), node.name
  return function(_, scope) scope.vars[name] = make(scope) end
end

function statements.call(node)
  local make = macro(node, "caller")
  local target, args = expression(node.call.target), arguments_of(node.call.args)
  return function(run, scope)
    local f = target(run, scope)
    local list, named = args(run, scope)
    named, list.order = named or {}, list.order or {}
    named.caller = make(scope)
    list.order[#list.order + 1] = "caller"
    run.out:put(values.text(call(run, f, list, named)))
  end
end

-- The `loop` of a for: its fields are worked out when they are asked for.
local function loop_object(items, depth)
  local self = {k = "loop", at = 1}
  local last_seen
  local fields = {
    index = function(i) return i end,
    index0 = function(i) return i - 1 end,
    revindex = function(i) return #items - i + 1 end,
    revindex0 = function(i) return #items - i end,
    first = function(i) return i == 1 end,
    last = function(i) return i == #items end,
    length = function() return #items end,
    depth = function() return depth + 1 end,
    depth0 = function() return depth end,
    previtem = function(i)
      if i == 1 then return {k = "undefined", message = "there is no previous item"} end
      return items[i - 1]
    end,
    nextitem = function(i)
      if i == #items then return {k = "undefined", message = "there is no next item"} end
      return items[i + 1]
    end,
    cycle = function(i)
      return {k = "function", name = "cycle", def = {variadic = true, fn = function(_, _, args)
        if args.n == 0 then fail "no items for cycling given" end
        return args[(i - 1) % args.n + 1]
      end}}
    end,
    changed = function()
      return {k = "function", name = "changed", def = {variadic = true, fn = function(_, _, args)
        local now = {k = "tuple"}
        for i = 1, args.n do now[i] = args[i] end
        local changed = not last_seen or not values.equal(now, last_seen)
        last_seen = now
        return changed
      end}}
    end,
  }
  function self.get(name)
    local field = fields[name]
    if field then return field(self.at) end
  end
  return self
end

statements["for"] = function(node)
  local list, target = expression(node.list), node.target
  local test, inside = node.test and expression(node.test), body(node.body)
  local otherwise = node.otherwise and body(node.otherwise)
  local function iterate(run, scope, v, depth)
    local items = values.items(v)
    if test then
      local kept = {}
      for i = 1, #items do
        local own = {vars = {}, up = scope}
        assign(target, own, items[i], run)
        run:charge(1)
        if truth(test(run, own)) then kept[#kept + 1] = items[i] end
      end
      items = kept
    end
    if #items == 0 then return otherwise and otherwise(run, {vars = {}, up = scope}) end
    local loop
    loop = loop_object(items, depth)
    if node.recursive then
      loop.def = arguments.define("iterable", function(_, _, more)
        deeper(run, "loops")
        local s = captured(run, scope, function() iterate(run, scope, more, depth + 1) end)
        run.depth = run.depth - 1
        return s
      end)
    end
    for i = 1, #items do
      if items[i] == nil then break end -- the list was changed on the way
      run:charge(1)
      loop.at = i
      local own = {vars = {loop = loop}, up = scope}
      assign(target, own, items[i], run)
      if inside(run, own) == "break" then break end
    end
  end
  return function(run, scope)
    local v = list(run, scope)
    local signal = iterate(run, scope, v, 0)
    return signal
  end
end

-- statements -> f(run, scope)
function compile.body(list) return body(list) end

return compile
