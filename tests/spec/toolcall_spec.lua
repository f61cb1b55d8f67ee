local mobilellm = require "mobilellm"
local toolcall, json = mobilellm.toolcall, mobilellm.json

local shared = os.getenv("MLLM_SHARED") or "../shared"

-- The lines of a gzipped file of JSON objects; nil when it is not there.
local function read_lines(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  f:close()
  local pipe = io.popen(("gzip -dc '%s'"):format(path))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = assert(json.decode(line)) end
  pipe:close()
  return list
end

-- Joins pieces of text and of one argument, so that what is left does not depend on the chunks.
local function joined(list, event)
  local last = list[#list]
  if last and last.kind == event.kind and (event.kind == "text" or event.kind == "reasoning") then
    last.text = last.text .. event.text
    return
  end
  if last and event.kind == "argument" and last.kind == "argument" and not last.complete then
    last.delta, last.text = last.delta .. event.delta, event.text and (last.text or "") .. event.text or last.text
    last.complete, last.value = event.complete, event.value
    return
  end
  list[#list + 1] = event
end

local function collect(parser, chunks)
  local list = {}
  for _, chunk in ipairs(chunks) do
    for _, event in ipairs(assert(parser:feed(chunk))) do joined(list, event) end
  end
  for _, event in ipairs(assert(parser:finish())) do joined(list, event) end
  return list
end

local function bytes(text)
  local list = {}
  for i = 1, #text do list[i] = text:sub(i, i) end
  return list
end

-- A small generator of our own: the same splits everywhere.
local seed = 20260902
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local function split(text)
  local list, at = {}, 1
  local longest = random(40)
  while at <= #text do
    local n = random(longest)
    list[#list + 1] = text:sub(at, at + n - 1)
    at = at + n
  end
  return list
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if next(a) == nil and json.is_array(a) ~= json.is_array(b) then return false end
  for k, v in pairs(a) do
    if not same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function text_of(events)
  local list = {}
  for _, e in ipairs(events) do
    if e.kind == "text" then list[#list + 1] = e.text end
  end
  return table.concat(list)
end

local function calls_of(events)
  local list = {}
  for _, e in ipairs(events) do
    if e.kind == "call_end" then list[#list + 1] = {name = e.name, arguments = e.arguments} end
  end
  return list
end

describe("toolcall.parse", function()
  it("reads MobileLLM's own form", function()
    local r = toolcall.parse('light(room = "kitchen", on = True, levels = [1, 2.5], note = None)', {format = "mobilellm"})
    assert.equal(1, #r.calls)
    assert.equal("light", r.calls[1].name)
    assert.same({room = "kitchen", on = true, levels = {1, 2.5}, note = mobilellm.null}, r.calls[1].arguments)
    assert.equal("", r.text)
  end)

  it("reads several calls, one per line or on one line", function()
    for _, text in ipairs{'a(x = 1)\nb()\nc(y = "z")', 'a(x = 1) b() c(y = "z")', 'a(x = 1); b(), c(y = "z")\n'} do
      local r = toolcall.parse(text, {format = "mobilellm"})
      assert.equal(3, #r.calls, text)
      assert.equal("c", r.calls[3].name)
      assert.equal("z", r.calls[3].arguments.y)
      assert.equal("", r.text)
    end
  end)

  it("keeps text that only looks like a call", function()
    for _, text in ipairs{"f(x) is a function", "see note(1)", "call me (maybe = no)", "a(", "f(x = 1", "f(x == 1)", "\n\n"} do
      local r = toolcall.parse(text, {format = "mobilellm", tools = {{name = "light"}}})
      assert.equal(0, #r.calls, text)
      assert.equal(text, r.text)
    end
  end)

  it("keeps integers integers", function()
    local r = toolcall.parse("f(a = 3, b = 3.0, c = -7)", {format = "mobilellm"})
    local a = r.calls[1].arguments
    local kind = rawget(math, "type")
    if kind then
      assert.equal("integer", kind(a.a))
      assert.equal("float", kind(a.b))
    end
    assert.equal(-7, a.c)
  end)

  it("reads minus zero as the integer that it is", function()
    for text, format in pairs{["f(n = -0)"] = "mobilellm", ['<tool_call>{"name": "f", "arguments": {"n": -0}}</tool_call>'] = "hermes"} do
      assert.equal('{"n":0}', json.encode(toolcall.parse(text, {format = format}).calls[1].arguments))
    end
  end)

  it("types a value without a type of its own by what the schema is made of", function()
    local tools = {{name = "f", parameters = json.decode [[{
      "properties": {"id": {"$ref": "#/definitions/id"}, "any": {"anyOf": [{"type": "string"}, {"$ref": "#/definitions/o"}]},
        "both": {"allOf": [{"type": ["string", "integer"]}, {"$ref": "#/definitions/id"}]}, "loop": {"$ref": "#/properties/loop"}},
      "allOf": [{"properties": {"version": {"type": "string"}}}], "oneOf": [{"properties": {"zip": {"type": "string"}}}],
      "additionalProperties": {"type": "string"},
      "definitions": {"id": {"type": "string"}, "o": {"properties": {"n": {"type": "integer"}}}}}]]}}
    local wanted = {id = "12", any = {n = 1}, both = "3", loop = 4, version = "1.0", zip = "01", other = "5"}
    for _, format in ipairs{"qwen3_xml", "glm4", "minimax_m2"} do
      local text = toolcall.write({{name = "f", arguments = wanted}}, {format = format})
      assert.same(wanted, toolcall.parse(text, {format = format, tools = tools}).calls[1].arguments, format)
    end
    tools[1].parameters.patternProperties = {["^x"] = {type = "integer"}} -- one or the other: both fit
    local text = toolcall.write({{name = "f", arguments = {x1 = 1, y = "z"}}}, {format = "glm4"})
    assert.same({x1 = 1, y = "z"}, toolcall.parse(text, {format = "glm4", tools = tools}).calls[1].arguments)
  end)

  it("names an option that it does not know, and a format", function()
    assert.error_matches(function() toolcall.parse("x", {fromat = "auto"}) end, "unknown option 'fromat'")
    assert.error_matches(function() toolcall.parse("x", {format = "nonsense"}) end, "unknown tool call format 'nonsense'")
  end)
end)

describe("format = \"auto\"", function()
  local cases = read_lines(shared .. "/toolcalls/wire_public.jsonl.gz")

  it("finds every format by its text", function()
    if not cases then return pending("no wire_public.jsonl.gz in " .. shared) end
    local bad = {}
    for _, case in ipairs(cases) do
      local r = toolcall.parse(case.text, {tools = case.tools})
      local calls = {}
      for i, call in ipairs(r.calls) do calls[i] = {name = call.name, arguments = call.arguments} end
      if r.text ~= case.content or not same(calls, case.calls) then bad[#bad + 1] = case.id .. " as " .. tostring(r.format) end
    end
    assert.equal(0, #bad, table.concat(bad, "\n", 1, math.min(#bad, 20)))
  end)

  it("leaves text that is none of them alone", function()
    for _, text in ipairs{
      "", " ", "Just text.", "A list: [1, 2, 3] and {\"a\": 1}.", "f(x) and [f(x)]", "{\"name\": \"Bob\", \"age\": 3}",
      "Use <tool_call> like this.", "x < y > z", "[TOOL_CALLS", "```json\n{\"a\": 1}\n```", ">>> print(1)\n1\n", "all\ntext",
      "[](link) [x](y)", "call f(a=1) when you like", "{{{{[[[[((((", "<function=", "functools are tools", "\n\n  indented(",
      '{"name": "f", "arguments": "none"}', "<|tool", "a\nb(c)\nd", "<s>old</s> new",
      "Like this:\n\nplot(x = 1)\nshow()", "x = [f(a=1)]",
    } do
      local r = toolcall.parse(text)
      assert.same({text, 0}, {r.text, #r.calls})
    end
  end)
end)

describe("thoughts", function()
  it("that the prompt has opened are known by their end", function()
    for _, case in ipairs{{"</think>", nil}, {"</think>", "hermes"}, {"<|END_THINKING|>", nil}, {"[/THINK]", "mistral_v11"}} do
      local r = toolcall.parse("why\n" .. case[1] .. "\n\nso", {format = case[2]})
      assert.same({"why", "so"}, {r.reasoning, r.text})
    end
    local r = toolcall.parse("why</think>so", {reasoning = true})
    assert.same({"", "why</think>so"}, {r.reasoning, r.text})
  end)

  it("end at a call where the format has them so", function()
    local text = '<think>a <|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"x": 1}<|tool_call_end|>'
    for _, format in ipairs{"kimi_k2", "auto"} do
      local r = toolcall.parse(text, {format = format})
      assert.same({"a", "f", "functions.f:0"}, {r.reasoning, r.calls[1].name, r.calls[1].id})
    end
  end)
end)

describe("a format of one's own", function()
  it("is a table of ten lines", function()
    local record = {
      name = "mine", body = "named",
      section = {"<<", ">>"}, call = {"do ", "."}, name_end = " with ",
    }
    local r = toolcall.parse('ok <<do f with {"a": 1}. do g with {}.>> bye', {format = record})
    assert.equal(2, #r.calls)
    assert.same({a = 1}, r.calls[1].arguments)
    assert.equal("ok  bye", r.text)
    assert.equal("mine", toolcall.format(record))
    assert.equal("g", toolcall.parse("<<do g with {}.>>", {format = "mine"}).calls[1].name)
  end)

  it("says what is wrong with it", function()
    assert.error_matches(function() toolcall.format{name = "x", body = "named"} end, "no call can be found")
    assert.error_matches(function() toolcall.format{name = "x", body = "named", cal = {"<"}} end, "unknown field 'cal'")
    assert.error_matches(function() toolcall.format{body = "json"} end, "a table with a name expected")
    assert.error_matches(function() toolcall.parse("", {format = {name = "x", body = "odd"}}) end, "unknown body 'odd'")
  end)
end)

describe("toolcall.write", function()
  local array = json.array
  local function record_id(format) return toolcall.record(format).id_length and "abcdefgh1" or nil end
  local calls = {
    {name = "f", arguments = {s = 'a "q"\n\\d é', n = 1, o = {k = array{1, true, mobilellm.null}, e = {}}, a = array{}}, id = "abc123def"},
    {name = "g", arguments = {}},
  }
  local tools = {
    {name = "f", parameters = {type = "object", properties = {
      s = {type = "string"}, n = {type = "integer"}, o = {type = "object"}, a = {type = "array"},
    }}},
    {name = "g"},
  }

  it("writes what the parser reads, in every format", function()
    for _, format in ipairs(toolcall.formats()) do
      local text = toolcall.write(calls, {format = format})
      local r = toolcall.parse(text, {format = format, tools = tools})
      assert.equal(2, #r.calls, format .. ": " .. text)
      assert.same({"f", "g", ""}, {r.calls[1].name, r.calls[2].name, r.text})
      assert.is_true(same(calls[1].arguments, r.calls[1].arguments), format .. ": " .. text)
    end
  end)

  it("writes names of arguments that are no words", function()
    local names = {"$schema", "@type", "content-type"}
    for _, format in ipairs(toolcall.formats()) do
      local delimited = toolcall.record(format).delimiter
      local arguments, properties = {o = {["a b"] = 1}}, {o = {type = "object"}}
      for _, name in ipairs(delimited and {"$schema", "@type", "two words", "a:b", "[x]", " y ", "é", "it's", "a<b"} or names) do
        arguments[name], properties[name] = "v", {type = "string"}
        if delimited then arguments.o[name] = true end
      end
      local odd = {{name = "f", parameters = {type = "object", properties = properties}}}
      local text = toolcall.write({{name = "f", arguments = arguments}}, {format = format})
      local r = toolcall.parse(text, {format = format, tools = odd})
      assert.same(arguments, r.calls[1] and r.calls[1].arguments, format .. ": " .. text)
      local g = toolcall.grammar(odd, {format = format})
      if g then
        local matcher = g:matcher()
        local without = {}
        for name, value in pairs(arguments) do without[name] = type(value) == "string" and value or nil end
        text = toolcall.write({{name = "f", arguments = without, id = record_id(format)}}, {format = format})
        assert.is_true(matcher:accept_text(text) and matcher:is_complete(), format .. ": " .. text)
        matcher:close()
      end
    end
    assert.equal('<start_function_call>call:f{"a:b":1,a b:2}<end_function_call>',
      toolcall.write({{name = "f", arguments = {["a b"] = 2, ["a:b"] = 1}, order = {"a:b"}}}, {format = "functiongemma"}))
    local spaced = toolcall.parse("<start_function_call>call:f{ a b : 1}<end_function_call>", {format = "functiongemma"})
    assert.same({["a b"] = 1}, spaced.calls[1].arguments)
  end)

  it("spells them as models do", function()
    local f = {{name = "f", arguments = {n = 1, s = "x"}, order = {"s", "n"}}}
    local function written(format) return toolcall.write(f, {format = format}) end
    assert.equal('f(s = "x", n = 1)', written "mobilellm")
    assert.equal('<tool_call>\n{"name": "f", "arguments": {"s": "x", "n": 1}}\n</tool_call>', written "hermes")
    assert.equal("<tool_call>\n<function=f>\n<parameter=s>\nx\n</parameter>\n<parameter=n>\n1\n</parameter>\n</function>" ..
      "\n</tool_call>", written "qwen3_xml")
    assert.equal("<start_function_call>call:f{s:<escape>x<escape>,n:1}<end_function_call>", written "functiongemma")
    assert.equal('<|tool_call_start|>[f(s="x", n=1)]<|tool_call_end|>', written "lfm2")
    assert.equal("", toolcall.write({}, {format = "hermes"}))
    assert.error_matches(function() written "nonsense" end, "unknown tool call format 'nonsense'")
  end)
end)

describe("toolcall.grammar", function()
  local all = os.getenv("MLLM_TEST_ALL")
  local object = {type = "object", properties = {x = {type = "number"}}, required = {"x"}, additionalProperties = false}
  local declared = {
    {name = "f", parameters = {type = "object", required = {"s"}, properties = {
      s = {type = "string"}, n = {type = "integer", minimum = 0, maximum = 50}, b = {type = "boolean"},
      u = {enum = {"a b", "c"}}, l = {type = "array", items = {type = "string"}, maxItems = 2}, o = object,
    }}},
    {name = "g"},
    {name = "h.k", parameters = {type = "object", properties = {q = {type = "string"}, z = {type = {"integer", "null"}}}}},
  }
  local tools = mobilellm.tools(declared)
  local good = {
    {{name = "f", arguments = {s = "x"}}},
    {{name = "f", arguments = {s = 'a "q" é\nz', n = 7, b = true, u = "a b", l = {"p"}, o = {x = 1.5}}, order = {"s"}}, {name = "g"}},
    {{name = "h.k"}}, {{name = "h.k", arguments = {z = mobilellm.null}}},
    {{name = "h.k", arguments = {q = "1", z = 4}}, {name = "g"}, {name = "g"}},
  }
  local wrong = {
    {name = "f"}, {name = "f", arguments = {s = "x", n = 51}}, {name = "f", arguments = {s = "x", u = "d"}}, {name = "zz"},
    {name = "f", arguments = {s = "x", extra = 1}}, {name = "f", arguments = {s = "x", l = {"a", "b", "c"}}},
  }

  local function with_id(calls, format)
    for _, call in ipairs(calls) do call.id = format == "mistral_v3" and "abcdefgh1" or nil end
    return toolcall.write(calls, {format = format})
  end

  local function takes(g, text)
    local matcher = g:matcher()
    local yes = matcher:accept_text(text) and matcher:is_complete()
    matcher:close()
    return yes
  end

  -- Bytes that the grammar takes, one by one; after a while those that lead to the end soonest.
  local function wander(g)
    local matcher = g:matcher()
    local letters = {}
    for i = 32, 255 do letters[#letters + 1] = string.char(i) end
    letters[#letters + 1] = "\n"
    local step = 0
    while not (matcher:is_complete() and step > 40) and step < 3000 do
      step = step + 1
      local found
      local at, left = random(#letters), math.huge
      for i = 1, #letters do
        local c = letters[(at + i) % #letters + 1]
        if matcher:accept_text(c) then
          if step < 80 then
            found = c
            break
          end
          local more = matcher:min_left() or 0
          if more < left then found, left = c, more end
          matcher:rollback(1)
        end
      end
      if not found then break end
      if step >= 80 then matcher:accept_text(found) end
    end
    local text, complete = matcher:text(), matcher:is_complete()
    matcher:close()
    return text, complete
  end

  it("is the language that the parser reads and the check accepts", function()
    for _, format in ipairs(toolcall.formats()) do
      local g, message, code = toolcall.grammar(tools, {format = format})
      if not g then
        assert.same({"unsupported", true}, {code, toolcall.record(format).arguments_text}, message)
      else
        for _, calls in ipairs(good) do
          local text = with_id(calls, format)
          assert.is_true(takes(g, text), format .. ": " .. text)
        end
        for _, call in ipairs(wrong) do
          local text = with_id({call}, format)
          assert.is_falsy(takes(g, text), format .. ": " .. text)
        end
        for _ = 1, all and 50 or 1 do
          local text, complete = wander(g)
          assert.is_true(complete, format .. ": " .. text)
          local r = toolcall.parse(text, {format = format, tools = tools})
          assert.is_true(#r.calls > 0 and #r.errors == 0 and r.text == "", format .. ": " .. text)
          for _, call in ipairs(r.calls) do
            local arguments, why = tools:check(call)
            assert.is_table(arguments, ("%s: %s: %s"):format(format, tostring(why), text))
          end
        end
      end
    end
  end)

  it("lets text stand around calls that have a marker", function()
    local g = assert(toolcall.grammar(tools, {format = "hermes", text = true}))
    local call = toolcall.write(good[1], {format = "hermes"})
    assert.is_true(takes(g, "no call"))
    assert.is_true(takes(g, "first " .. call .. " and " .. call .. "."))
    assert.is_falsy(takes(g, "first <tool_call>what"))
    assert.equal("unsupported", (select(3, toolcall.grammar(tools, {format = "harmony", text = true}))))
  end)

  it("counts calls", function()
    local g = assert(toolcall.grammar(tools, {format = "mobilellm", most = 1}))
    assert.is_true(takes(g, "g()"))
    assert.is_falsy(takes(g, "g()\ng()"))
    g = assert(toolcall.grammar(tools, {format = "mobilellm", least = 0, most = 2}))
    assert.is_true(takes(g, "") and takes(g, "g()\ng()"))
    assert.is_falsy(takes(g, "g()\ng()\ng()"))
  end)

  it("refuses what a format cannot hold to, unless told otherwise", function()
    local strict = {{name = "f", parameters = {properties = {s = {type = "string", pattern = "^a+$"}}}}}
    local g, message, code = toolcall.grammar(strict, {format = "qwen3_xml"})
    assert.is_nil(g)
    assert.equal("unsupported", code)
    assert.matches("tool 'f': pattern of a string that is written in tags", message)
    assert.is_truthy(toolcall.grammar(strict, {format = "qwen3_xml", strict = false}))
    g = assert(toolcall.grammar(strict, {format = "hermes"}))
    assert.is_falsy(takes(g, toolcall.write({{name = "f", arguments = {s = "b"}}}, {format = "hermes"})))
  end)
end)

describe("broken calls", function()
  it("do not take the good ones down", function()
    local r = toolcall.parse('<|tool_call_start|>[f(a=1), g(b=@), h(c="x")]<|tool_call_end|> done', {format = "lfm2"})
    assert.same({"f", "h"}, {r.calls[1].name, r.calls[2].name})
    assert.equal(" done", r.text)
    assert.equal("broken", r.errors[1].code)
    assert.equal("g", r.errors[1].name)
    assert.matches("expected a value, got '@'", r.errors[1].message)
    assert.equal(("<|tool_call_start|>[f(a=1), g(b="):len() + 1, r.errors[1].position)
  end)

  it("are told with what could be saved", function()
    local r = toolcall.parse('<tool_call>{"name": "f", "arguments": {"a": 1, "b": {"c": [2, "x', {format = "hermes"})
    assert.equal(0, #r.calls)
    assert.equal("unfinished", r.errors[1].code)
    assert.same({a = 1, b = {c = {2}}}, r.errors[1].arguments)
  end)

  it("are mended when that is unambiguous and wanted", function()
    local text = "<tool_call>{\"name\": \"f\", \"arguments\": {'a': True, b: 07}}</tool_call>"
    assert.equal(0, #toolcall.parse(text, {format = "hermes"}).calls)
    local r = toolcall.parse(text, {format = "hermes", repair = true})
    assert.same({a = true, b = 7}, r.calls[1].arguments)
    assert.same({"quote", "literal", "key", "number"}, r.calls[1].repairs)
  end)
end)

describe("the call that is being written", function()
  it("can be looked at as far as it is certain", function()
    local parser = toolcall.parser{format = "hermes"}
    assert.is_nil(parser:partial())
    parser:feed('<tool_call>{"name": "f", "arg')
    assert.same({name = "f", call = 1, arguments = {}}, parser:partial())
    parser:feed('uments": {"n": 12')
    assert.same({}, parser:partial().arguments)
    parser:feed(', "s": {"t": ["a", "bc')
    assert.same({n = 12, s = {t = {"a", "bc"}}}, parser:partial().arguments)
    parser:feed('"]}, "k')
    assert.same({n = 12, s = {t = {"a", "bc"}}}, parser:partial().arguments)
    parser:feed('": 1}}</tool_call>')
    assert.is_nil(parser:partial())
    parser = toolcall.parser{format = "qwen3_xml", tools = {{name = "f", parameters = {properties = {s = {type = "string"}}}}}}
    parser:feed("<tool_call>\n<function=f>\n<parameter=s>\nline\none\n</par")
    assert.same({s = "line\none"}, parser:partial().arguments)
  end)
end)

describe("events", function()
  it("come as soon as they are certain", function()
    local parser = toolcall.parser{format = "hermes"}
    local function kinds(chunk)
      local list = {}
      for i, e in ipairs(parser:feed(chunk)) do list[i] = e.kind end
      return table.concat(list, " ")
    end
    assert.equal("text", kinds("Hi <"))
    assert.equal("", kinds("tool_call>\n"))
    assert.equal("call_begin", kinds('{"name": "f"'))
    assert.equal("", kinds(', "arguments": '))
    assert.equal("argument", kinds('{"city": "Par'))
    assert.equal("argument", kinds("is"))
    assert.equal("argument argument", kinds('", "n": 1'))
    assert.equal("argument call_end", kinds("}}"))
    assert.equal("", kinds("\n</tool_call>"))
    assert.same({}, parser:finish())
    assert.same({}, parser:finish())
  end)

  it("tell a string so far, while it is short", function()
    local parser = toolcall.parser{format = "hermes"}
    parser:feed('<tool_call>{"name": "f", "arguments": {"city": ')
    assert.equal("", parser:feed('"')[1].value)
    assert.equal("Par", parser:feed("Par")[1].value)
    local event = parser:feed("is\\n")[1]
    assert.same({"is\n", "Paris\n", "is\\n"}, {event.text, event.value, event.delta})
    event = parser:feed(("x"):rep(5000))[1]
    assert.same({5000}, {#event.text, event.value})
    event = parser:feed('"')[1]
    assert.equal(5006, #event.value)
    assert.is_true(event.complete)
  end)

  it("tell the path and the value of an argument", function()
    local parser = toolcall.parser{format = "mobilellm"}
    local events = parser:feed('f(a = [1, {"b": "x\\ty"}])')
    assert.same({kind = "argument", call = 1, path = {"a", 1}, delta = "1", complete = true, value = 1}, events[2])
    assert.same({"a", 2, "b"}, events[3].path)
    assert.equal('"x\\ty"', events[3].delta)
    assert.equal("x\ty", events[3].text)
    assert.equal("x\ty", events[3].value)
  end)
end)

describe("the events of the wire formats", function()
  local cases = read_lines(shared .. "/toolcalls/wire_public.jsonl.gz")
  local all = os.getenv("MLLM_TEST_ALL") -- every case byte by byte and in a hundred splits

  it("are those expected, whole, byte by byte and in random pieces", function()
    if not cases then return pending("no wire_public.jsonl.gz in " .. shared) end
    local bad = {}
    for i, case in ipairs(cases) do
      if toolcall.record(case.format) then
        local parser = toolcall.parser{format = case.format, tools = case.tools}
        local whole = collect(parser, {case.text})
        if text_of(whole) ~= case.content or not same(calls_of(whole), case.calls) then
          bad[#bad + 1] = case.id .. " " .. json.encode(calls_of(whole)) .. " " .. text_of(whole)
        end
        if all or i % 3 == 0 then
          parser:reset()
          if not same(whole, collect(parser, bytes(case.text))) then bad[#bad + 1] = case.id .. " byte by byte" end
        end
        for _ = 1, (all or i % 40 == 1) and 100 or 1 do
          parser:reset()
          if not same(whole, collect(parser, split(case.text))) then bad[#bad + 1] = case.id .. " split" end
        end
        parser:close()
      end
    end
    assert.equal(0, #bad, table.concat(bad, "\n", 1, math.min(#bad, 20)))
  end)
end)

-- What llama.cpp's chat parser tests say: the formats of their templates, and the end of the prompt where it opens thoughts.
local templates = {
  ["Qwen3.5-4B"] = {"qwen3_xml", "<think>\n"}, ["Qwen3-Coder"] = {"qwen3_xml"}, ["StepFun3.5-Flash"] = {"qwen3_xml", "<think>\n"},
  ["NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"] = {"qwen3_xml", "<think>\n"}, ["ByteDance-Seed-OSS"] = {"seed_oss"},
  ["mistralai-Ministral-3-14B-Reasoning-2512"] = {"mistral_v11"}, ["Mistral-Small-3.2-24B-Instruct-2506"] = {"mistral_v11"},
  ["unsloth-mistral-Devstral-Small-2507"] = {"mistral_v11"}, ["mistralai-Mistral-Nemo-Instruct-2407"] = {"mistral_v3"},
  ["CohereForAI-c4ai-command-r7b-12-2024-tool_use"] = {"command_r7b"}, ["Cohere2MoE"] = {"command_r7b", "<|START_THINKING|>", true},
  ["CohereForAI-c4ai-command-r-plus-tool_use"] = {"command_r_plus"}, ["google-gemma-2-2b-it"] = {"generic"},
  ["google-gemma-4-31B-it"] = {"gemma4"}, ["Qwen-QwQ-32B"] = {"hermes", "<think>\n"}, ["Reka-Edge"] = {"hermes", "<think>\n"},
  ["NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use"] = {"hermes"}, ["ibm-granite-granite-3.3-2B-Instruct"] = {"granite3"},
  ["deepseek-ai-DeepSeek-V3.1"] = {"deepseek_v31", "<think>"}, ["deepseek-ai-DeepSeek-V3.2"] = {"deepseek_dsml", "<think>"},
  ["deepseek-ai-DeepSeek-R1-Distill-Llama-8B"] = {"deepseek_v3", "<think>\n"}, ["llama-cpp-deepseek-r1"] = {"deepseek_v3", "<think>\n"},
  -- the distillates of Qwen also write calls as Qwen does
  ["deepseek-ai-DeepSeek-R1-Distill-Qwen-32B"] = {{"deepseek_v3", "hermes"}, "<think>\n"},
  ["GLM-4.6"] = {"glm4"}, ["GLM-4.7-Flash"] = {"glm4", "<think>"}, ["Kimi-K2-Thinking"] = {"kimi_k2"},
  ["moonshotai-Kimi-K2"] = {"kimi_k2"}, ["Kimi-K2-Instruct"] = {"kimi_k2"}, ["LFM2-8B-A1B"] = {"lfm2"}, ["LFM2.5-Instruct"] = {"lfm2"},
  ["Apertus-8B-Instruct"] = {"apertus"}, ["MiniMax-M2"] = {"minimax_m2", "<think>\n"}, ["NVIDIA-Nemotron-Nano-v2"] = {"nemotron_v2"},
  ["meetkai-functionary-medium-v3.1"] = {"functionary_v31"}, ["meetkai-functionary-medium-v3.2"] = {"functionary_v32"},
  ["fireworks-ai-llama-3-firefunction-v2"] = {"functools"}, ["unsloth-Apriel-1.5"] = {"apriel"},
  ["Apriel-1.6-15b-Thinker-fixed"] = {"apriel", "Here are my reasoning steps:\n", true, "open"},
  ["meta-llama-Llama-3.1-8B-Instruct"] = {"llama3_json"}, ["meta-llama-Llama-3.2-3B-Instruct"] = {"llama3_json"},
  ["meta-llama-Llama-3.3-70B-Instruct"] = {"llama3_json"}, ["openai-gpt-oss-120b"] = {"harmony"},
  ["GigaChat3-10B-A1.8B"] = {"gigachat3"}, ["GigaChat3.1-10B-A1.8B"] = {"granite_20b"},
}

-- Cases that we read otherwise, and why.
local misses = {
  ["llamacpp-153"] = "llama.cpp keeps the two bytes \\n of a Python string; Python and every other case of the format mean a line end",
}

local function trim(s)
  return (s:gsub("^%s+", ""):gsub("%s+$", ""))
end

-- nil, or what differs. As in llama.cpp's own comparison, white space around text does not count, nor do arguments that are cut.
local function difference(case, events)
  local want, thoughts, calls = case.expect, {}, {}
  for _, e in ipairs(events) do
    if e.kind == "reasoning" then thoughts[#thoughts + 1] = e.text end
    if e.kind == "call_end" or (e.kind == "error" and e.code == "unfinished" and e.name) then calls[#calls + 1] = e end
  end
  if want == mobilellm.null then return nil end -- it only has to come through
  if trim(text_of(events)) ~= trim(want.content) then return "text: " .. text_of(events) end
  if trim(table.concat(thoughts)) ~= trim(want.reasoning) then return "thoughts: " .. table.concat(thoughts) end
  if #calls ~= #want.calls then return #calls .. " calls" end
  for i, call in ipairs(want.calls) do
    if calls[i].name ~= call.name then return "name: " .. tostring(calls[i].name) end
    if call.id ~= "" and calls[i].id ~= call.id then return "id: " .. tostring(calls[i].id) end
    local arguments = json.decode(call.arguments)
    if arguments and not same(arguments, calls[i].arguments) then return "arguments: " .. json.encode(calls[i].arguments) end
    if not arguments and calls[i].kind ~= "error" then return "a call that is cut is complete" end
  end
end

describe("wire texts with random changes", function()
  local cases = read_lines(shared .. "/toolcalls/wire_public.jsonl.gz")
  local pieces = {
    "<tool_call>", "</tool_call>", "\n", "{", "}", '"', "'", "[", "]", "\\", ",", "<think>", "</think>", "null", "\\ud83d", "é", "\255",
    "functions.", "<parameter=x>", "</parameter>", "(", ")", "=", "\0", "<|end|>", "<|channel|>", "<|message|>",
  }

  it("give the same events in any pieces", function()
    if not cases then return pending("no wire_public.jsonl.gz in " .. shared) end
    local formats = toolcall.formats()
    for _ = 1, tonumber(os.getenv("MLLM_FUZZ") or 600) do
      local case = cases[random(#cases)]
      local text = case.text
      for _ = 1, random(4) do
        local at, kind = random(#text + 1) - 1, random(4)
        if kind == 1 then
          text = text:sub(1, at) .. pieces[random(#pieces)] .. text:sub(at + 1)
        elseif kind == 2 then
          text = text:sub(1, at) .. text:sub(at + 1 + random(6))
        elseif kind == 3 and random(3) == 1 then
          text = text:sub(1, at)
        else
          local from = random(#case.text)
          text = text:sub(1, at) .. case.text:sub(from, from + random(60)) .. text:sub(at + 1)
        end
      end
      local format = ({case.format, "auto", formats[random(#formats)]})[random(3)]
      local tools, repair = random(2) == 1 and case.tools or nil, random(2) == 1
      local parser = toolcall.parser{format = format, tools = tools, repair = repair}
      local whole = collect(parser, {text})
      for _, chunks in ipairs{bytes(text), split(text)} do
        parser:reset()
        assert.is_true(same(whole, collect(parser, chunks)), ("%s, repair %s: %q"):format(format, tostring(repair), text))
      end
      parser:close()
    end
  end)
end)

describe("llama.cpp's chat parser cases", function()
  local cases = read_lines(shared .. "/toolcalls/llamacpp_test_chat.jsonl.gz")

  it("give the same text, thoughts and calls", function()
    if not cases then return pending("no llamacpp_test_chat.jsonl.gz in " .. shared) end
    local bad, missed = {}, 0
    for _, case in ipairs(cases) do
      local t = assert(templates[case.template:gsub("%.jinja$", "")], case.template)
      local reasoning = case.reasoning_format ~= nil and case.reasoning_format ~= "COMMON_REASONING_FORMAT_NONE"
      -- Does the prompt open thoughts? Where a template can do without, it does when they are off.
      local opens = t[2] and (t[3] or (case.enable_thinking ~= false and (reasoning or case.enable_thinking)))
      local mode = reasoning and opens and t[4] or reasoning
      local text = (opens and t[2] or "") .. case.input
      local parser = toolcall.parser{format = t[1], tools = case.tools, reasoning = mode}
      local whole = collect(parser, {text})
      local why = difference(case, whole)
      if why and misses[case.id] then
        missed = missed + 1
      elseif why then
        bad[#bad + 1] = case.id .. " " .. case.template .. ": " .. why
      elseif misses[case.id] then
        bad[#bad + 1] = case.id .. " is listed as a miss but passes"
      end
      for _, chunks in ipairs{bytes(text), split(text), split(text)} do
        parser:reset()
        if not same(whole, collect(parser, chunks)) then bad[#bad + 1] = case.id .. " in pieces" end
      end
      parser:close()
    end
    assert.equal(0, #bad, table.concat(bad, "\n"))
    assert.is_true(missed / #cases <= 0.01)
  end)
end)
