local mobilellm = require "mobilellm"
local tools, null = mobilellm.tools, mobilellm.null

local function light()
  return {
    name = "light", description = "Switch a light",
    parameters = {
      type = "object", required = {"room"},
      properties = {
        room = {type = "string", minLength = 2, maxLength = 10}, on = {type = "boolean", default = true},
        level = {type = "integer", minimum = 0, maximum = 100}, mode = {enum = {"warm", "cold"}},
        tags = {type = "array", items = {type = "string"}},
        place = {type = "object", properties = {x = {type = "number"}}, required = {"x"}, additionalProperties = false},
      },
    },
    call = function(args, more) return args.room, more end,
  }
end

local function refused(arguments, code, pattern)
  local value, message, got = tools{light()}:check{name = "light", arguments = arguments}
  assert.is_nil(value)
  assert.equal(code, got)
  assert.matches(pattern, message)
end

describe("tools", function()
  it("takes declarations in its own and in OpenAI's form", function()
    local other = {type = "function", ["function"] = {name = "other", parameters = {type = "object"}}}
    local r = tools{light(), other, {name = "bare"}}
    assert.same({"light", "other", "bare"}, r:names())
    assert.equal("Switch a light", r:get("light").description)
    assert.equal(r, tools(r))
    assert.equal("light", r:openai()[1]["function"].name)
  end)

  it("names a bad declaration and keeps the others", function()
    local r, problems = tools{
      light(), {name = ""}, {name = "t", parameters = {properties = {x = {type = "strnig"}}}}, light(),
      {name = "u", parameters = {properties = {}, required = {"gone"}}}, {name = "v", call = 3}, "no", {name = "ok"},
    }
    assert.same({"light", "ok"}, r:names())
    assert.equal(6, #problems)
    assert.matches("^tool 't': parameters: schema #/properties/x: keyword 'type'", problems[2])
    assert.matches("there is a tool 'light' already", problems[3])
    assert.matches("tool 'u': parameters: 'gone' is required but no property", problems[4])
    assert.error_matches(function() tools(3) end, "list of declarations expected, got number")
  end)

  it("checks arguments and fills in defaults", function()
    local r = tools{light()}
    assert.same({room = "hall", on = true}, r:check{name = "light", arguments = {room = "hall"}})
    local text = '{"room":"hall","on":false,"level":3}'
    assert.same({room = "hall", on = false, level = 3}, r:check{name = "light", arguments = text})
    local kind = rawget(math, "type")
    if kind then assert.equal("integer", kind(r:check{name = "light", arguments = {room = "hall", level = 4.0}}.level)) end
  end)

  it("fills in no default that its schema refuses, also where that is defined elsewhere", function()
    local definitions = {source = {type = "object", required = {"path"}}}
    local r = tools{{name = "f", parameters = {type = "object", definitions = definitions, properties = {
      bad = {type = "array", items = {["$ref"] = "#/definitions/source"}, default = {path = "."}},
      good = {type = "array", items = {["$ref"] = "#/definitions/source"}, default = {{path = "."}}},
    }}}}
    assert.same({good = {{path = "."}}}, r:check{name = "f", arguments = {}})
  end)

  it("takes what a part of the schema declares", function()
    local function one(name) return {properties = {[name] = {type = "integer"}}, required = {name}} end
    local r = tools{{name = "f", parameters = {properties = {x = {type = "integer"}}, anyOf = {one "a", one "b"}}}}
    assert.same({a = 1}, r:check{name = "f", arguments = {a = 1}})
    assert.is_nil((r:check{name = "f", arguments = {x = 1}}))
    local closed = tools{{name = "f", parameters = {properties = {x = {type = "integer"}, y = {type = "integer"}},
      anyOf = {{required = {"x"}}, {required = {"y"}}}}}}
    assert.same({x = 1}, closed:check{name = "f", arguments = {x = 1}})
    assert.is_nil((closed:check{name = "f", arguments = {x = 1, z = 1}}))
  end)

  it("names what is wrong", function()
    refused({}, "missing_argument", "^light: missing argument 'room'$")
    refused({room = "hall", colour = 1, size = 2}, "unknown_argument", "unknown arguments 'colour', 'size'")
    refused({room = 3}, "invalid_argument", "'room': string expected, got 3")
    refused({room = null}, "invalid_argument", "'room': string expected, got null")
    refused({room = "h"}, "invalid_argument", "'room': 2 characters or more")
    refused({room = "hall", level = 101}, "invalid_argument", "'level': at most 100 expected, got 101")
    refused({room = "hall", level = 1.5}, "invalid_argument", "'level': integer expected, got 1.5")
    refused({room = "hall", mode = "hot"}, "invalid_argument", "'mode': one of \"warm\", \"cold\" expected, got \"hot\"")
    refused({room = "hall", tags = "a"}, "invalid_argument", "'tags': array expected, got \"a\"")
    refused({room = "hall", tags = {"a", 2}}, "invalid_argument", "'tags%[2%]': string expected, got 2")
    refused({room = "hall", place = {}}, "missing_argument", "missing argument 'x' in 'place'")
    refused({room = "hall", place = {x = 1, y = 2}}, "unknown_argument", "unknown argument 'y' in 'place'")
    refused("{", "invalid_argument", "the arguments are no JSON")
    local value, message, code = tools{light()}:check{name = "lihgt", arguments = {}}
    assert.is_nil(value)
    assert.equal("unknown_tool", code)
    assert.matches("no tool 'lihgt'; there are: light", message)
  end)

  it("calls the function, whose error comes back word for word", function()
    local r = tools{light(), {name = "boom", call = function() error("it broke", 0) end}, {name = "none"}}
    local a, b = r:call({name = "light", arguments = {room = "hall"}}, "more")
    assert.equal("hall", a)
    assert.equal("more", b)
    assert.same({nil, "it broke", "tool_error", "it broke"}, {r:call{name = "boom", arguments = {}}})
    assert.equal("no_function", (select(3, r:call{name = "none"})))
    assert.equal("missing_argument", (select(3, r:call{name = "light"})))
  end)

  it("runs functions under the limits that the tool declares", function()
    local r = tools{
      {name = "endless", instructions = 20000, call = function() while true do end end},
      {name = "waits", instructions = 20000, parameters = {properties = {x = {type = "string"}}},
        call = function(args, more) return coroutine.yield(args.x .. more) end},
    }
    local value, message, code = r:call{name = "endless"}
    assert.same({n = nil, code = "tool_error"}, {n = value, code = code})
    assert.matches("more than 20000 instructions", message)
    local resume = coroutine.wrap(function() return r:call({name = "waits", arguments = {x = "a"}}, "b") end)
    assert.equal("ab", resume())
    assert.equal("c", resume "c")
    local _, problems = tools{{name = "t", instructions = 0}, {name = "u", memory = 1.5}, {name = "v", timeout = "soon"}}
    assert.matches("'t': instructions must be a positive integer, got 0", problems[1])
    assert.matches("'u': memory must be a positive integer", problems[2])
    assert.matches("'v': timeout must be a positive number, got \"soon\"", problems[3])
  end)
end)
