local mobilellm = require "mobilellm"
local signature = require "mobilellm.signature"
local talk = require "talk"
local toolcall = mobilellm.toolcall

local declared = {
  {name = "get_weather", description = "The weather", parameters = {type = "object", required = {"city"}, properties = {
    city = {type = "string"}, days = {type = "integer", minimum = 1, maximum = 14}, unit = {enum = {"C", "F"}},
    where = {type = "object", required = {"x"}, properties = {x = {type = "number"}}, additionalProperties = false}}}},
  {name = "stop", description = "Stop", parameters = {type = "object", properties = {now = {type = "boolean"}}}},
}
local tools = mobilellm.tools(declared)

-- Markers of the formats that models have as control tokens.
local function markers()
  local list, seen = {"<s>", "</s>", "<think>", "</think>"}, {}
  for _, name in ipairs(toolcall.formats()) do
    local record = toolcall.record(name)
    for _, pair in ipairs{record.section or {}, record.call or {}} do
      for _, side in pairs(pair) do
        for _, s in ipairs(type(side) == "table" and side or {side}) do
          if not seen[s] and (s:find "^<|?[%w_]+|?>$" or s:find "^%[[%u_]+%]$") then seen[s], list[#list + 1] = true, s end
        end
      end
    end
  end
  return list
end

describe("calls under the constraint", function()
  local special, plain
  setup(function()
    special = talk.model(markers(), "<s>", "</s>", 2048) -- markers are tokens
    plain = talk.model({"<|im_start|>", "<|im_end|>"}, nil, "<|im_end|>", 2048) -- markers are spelled
  end)
  teardown(function()
    special:close()
    plain:close()
  end)

  it("are good with random weights, in every format", function()
    local count = 0
    for _, format in ipairs(toolcall.formats()) do
      for _, model in ipairs{special, plain} do
        local grammar = toolcall.grammar(tools, {format = format, vocabulary = model, most = 3})
        for seed = 1, grammar and 2 or 0 do
          local session = model:session{context = 1024}
          local text = assert(session:generate("hi", {grammar = grammar, temperature = 1, seed = seed, max_tokens = 300,
            show_special = true}))
          session:close()
          local read = toolcall.parse(text, {format = format, tools = tools})
          assert.is_true(#read.calls > 0 and #read.errors == 0, format .. ": " .. text)
          for _, call in ipairs(read.calls) do
            local arguments, problem = tools:check(call)
            assert.is_table(arguments, ("%s: %s: %s"):format(format, tostring(problem), text))
            count = count + 1
          end
        end
      end
    end
    assert.is_true(count >= 4 * 36, count)
  end)

  it("are good in free text too, which has no other ones", function()
    local called = 0
    for _, format in ipairs(toolcall.formats()) do
      local grammar = toolcall.grammar(tools, {format = format, vocabulary = special, text = true})
      for seed = 1, grammar and 4 or 0 do
        local session = special:session{context = 1024}
        local text = assert(session:generate("hi", {grammar = grammar, temperature = 1, seed = seed, max_tokens = 250,
          show_special = true}))
        session:close()
        local read = toolcall.parse(text, {format = format, tools = tools, reasoning = false})
        assert.equal(0, #read.errors, format .. ": " .. text)
        for _, call in ipairs(read.calls) do
          assert.is_table((tools:check(call)), format .. ": " .. text)
          called = called + 1
        end
      end
    end
    assert.is_true(called > 10, called)
  end)

  it("are what a chat makes unless it is told otherwise", function()
    local options = {template = "chatml", tools = declared, temperature = 1, max_tokens = 200, context = 2048}
    local chat = assert(plain:chat(options))
    local _, calls = assert(chat:ask("hi", {tool_choice = "required", seed = 3}))
    assert.is_true(#calls > 0)
    for _, call in ipairs(calls) do assert.is_table((tools:check(call))) end
    local grammar = assert(toolcall.grammar(tools, {format = "hermes", text = true}))
    local other = assert(plain:chat(options))
    assert.equal(other:ask("hi", {seed = 1, constrain = false, grammar = grammar}), (assert(plain:chat(options)):ask("hi", {seed = 1})))
    -- A model that begins a call and goes on as it likes.
    local function broken()
      local said = plain:tokenize('<tool_call>\n{"name": "get_weather", "arguments": {"city": 5', {special = true})
      local at = 0
      return {function(logits)
        at = at + 1
        if said[at] then logits:add(said[at], 100) end
      end, {"greedy"}}
    end
    for _, constrain in ipairs{true, false} do
      local forced = assert(plain:chat{template = "chatml", tools = declared, sampler = broken(), constrain = constrain, max_tokens = 150})
      local problems, good = 0, 0
      for event in forced:send "hi" do
        if event.kind == "error" then problems = problems + 1 end
        if event.kind == "tool_call" and tools:check(event.call) then good = good + 1 end
      end
      assert.equal(constrain, problems == 0 and good > 0)
      forced:close()
    end
    assert.same({}, (function()
      local notes = {}
      for _, note in ipairs(chat:notes()) do
        if note:find "constrained" then notes[#notes + 1] = note end
      end
      return notes
    end)())
    chat:close()
  end)

  it("are free where thoughts come first", function()
    local grammar = assert(toolcall.grammar(tools, {format = "hermes", vocabulary = special, thoughts = true, most = 1}))
    local session = special:session{context = 512}
    local text = assert(session:generate("hi", {grammar = grammar, temperature = 1, seed = 4, max_tokens = 200, show_special = true}))
    session:close()
    local read = toolcall.parse(text, {format = "hermes", tools = tools, reasoning = "open"})
    assert.equal(1, #read.calls)
    assert.is_true(#read.reasoning > 0)
  end)

  it("hold to one tool's schema when another's is beyond the format", function()
    local list = {
      {name = "fine", parameters = {type = "object", required = {"n"}, properties = {n = {type = "integer", minimum = 3, maximum = 4}}}},
      {name = "hard", parameters = {type = "object", properties = {s = {type = "string", pattern = "^a+$"}}}},
      {name = "never", parameters = {type = "object", required = {"x"}, properties = {x = {type = "integer", minimum = 5, maximum = 1}}}},
    }
    local grammar, notes = toolcall.grammar(list, {format = "qwen3_xml", strict = false})
    assert.is_truthy(grammar)
    assert.equal(2, #notes)
    assert.matches("tool 'hard': pattern of a string that is written in tags", notes[1])
    assert.matches("tool 'never': .*it cannot be called", notes[2])
    local function takes(calls)
      local matcher = grammar:matcher()
      local yes = matcher:accept_text(toolcall.write(calls, {format = "qwen3_xml"})) and matcher:is_complete()
      matcher:close()
      return yes
    end
    assert.is_true(takes{{name = "fine", arguments = {n = 3}}})
    assert.is_true(takes{{name = "hard", arguments = {s = "b"}}})
    assert.is_falsy(takes{{name = "fine", arguments = {n = 5}}})
    assert.is_falsy(takes{{name = "never", arguments = {x = 3}}})
    local chat = assert(plain:chat{template = "chatml", tools = list, format = "qwen3_xml"})
    assert.matches("tool 'hard'", table.concat(chat:notes(), "\n"))
    chat:close()
    local _, message, code = toolcall.grammar({list[3]}, {format = "hermes", strict = false})
    assert.matches("no tool can be called", message)
    assert.equal("grammar", code)
  end)

  it("leave out arguments that no value satisfies, and take what a part of the schema declares", function()
    local function takes(format, parameters, arguments)
      local matcher = assert(toolcall.grammar({{name = "f", parameters = parameters}}, {format = format})):matcher()
      local yes = matcher:accept_text(toolcall.write({{name = "f", arguments = arguments}}, {format = format})) and matcher:is_complete()
      matcher:close()
      return yes
    end
    for _, format in ipairs{"hermes", "pythonic", "qwen3_xml", "functiongemma"} do
      local never = {properties = {a = {type = "integer"}, n = {type = "object", enum = {"x"}}}}
      assert.is_true(takes(format, never, {a = 1}), format)
      assert.is_falsy(takes(format, never, {n = "x"}), format)
    end
    local function one(name) return {properties = {[name] = {type = "integer"}}, required = {name}} end
    local either = {anyOf = {one "a", one "b"}}
    assert.is_true(takes("hermes", either, {b = 1}))
    assert.is_falsy(takes("hermes", either, {c = 1}))
    local elsewhere = {["$ref"] = "#/definitions/x", definitions = {x = {properties = {a = {type = "integer"}}}}}
    assert.is_true(takes("hermes", elsewhere, {a = 1}))
    local x_or_y = {type = "string", anyOf = {{const = "x"}, {const = "y"}}}
    local named = assert(toolcall.grammar({{name = "f", parameters = {properties = {a = x_or_y}}}},
      {format = require "mobilellm.chat.prompt".signature_record})):matcher()
    assert.is_true(named:accept_text '<|calls|>f( a = " x")')
    assert.is_false((named:reset():accept_text '<|calls|>f( a = " z")'))
    named:close()
    assert.is_true(takes("pythonic", {properties = {["a.b-c"] = {type = "integer"}}}, {["a.b-c"] = 1}))
  end)

  it("are good for every schema of the suite that conformance has", function()
    local calls = require "mobilellm.conformance.calls"
    local report = calls.run(nil, {formats = {"hermes", "signature", "pythonic", "qwen3_xml"}, seeds = 2, from = 1, step = 2})
    for _, one in ipairs(report) do
      assert.equal(0, one.invalid, one.problems[1] and (one.problems[1].problem or one.problems[1].text))
      assert.is_true(one.valid > 0)
    end
    assert.matches("| `hermes` | %d+ |", table.concat(calls.lines(report, 0, 5), "\n"))
  end)

  it("refuse what only JSON can hold to", function()
    local any = {{name = "f", parameters = {type = "object", properties = {a = {type = "string"}, b = {type = "string"}},
      anyOf = {{required = {"a"}}, {required = {"b"}}}}}}
    for _, format in ipairs{"pythonic", "qwen3_xml", "functiongemma"} do
      local _, message, code = toolcall.grammar(any, {format = format})
      assert.matches("anyOf", message)
      assert.equal("unsupported", code)
    end
    assert.is_truthy(toolcall.grammar(any, {format = "hermes"}))
  end)

  it("are those of our own form for our own models", function()
    local caller = talk.model(signature.special, signature.begin, signature.stop, 1024)
    local list = {{name = "light.on", description = "Switch on", parameters = {type = "object", required = {"room"},
      properties = {room = {enum = {"hall", "kitchen"}}, level = {type = "integer", minimum = 0, maximum = 100}}}}}
    local registry = mobilellm.tools(list)
    for seed = 1, 4 do
      local chat = assert(caller:chat{tools = list, temperature = 1, seed = seed, max_tokens = 60})
      local _, calls = assert(chat:ask("light", {tool_choice = "required"}))
      assert.is_true(#calls > 0)
      for _, call in ipairs(calls) do
        assert.is_table((registry:check(call)))
        assert.is_truthy(call.arguments.room == "hall" or call.arguments.room == "kitchen")
      end
      chat:close()
    end
    caller:close()
  end)
end)

describe("a declaration that cannot be used", function()
  it("is named: beside others in the notes, alone in the error", function()
    local bad = {name = "bad", parameters = {type = "object", properties = {x = {type = "string", minLength = -3}}}}
    local g, notes = toolcall.grammar({bad, {name = "good", parameters = {type = "object", properties = {}}}}, {format = "hermes"})
    assert.is_truthy(g)
    assert.is_truthy(#notes == 1 and notes[1]:find("bad", 1, true) and notes[1]:find("minLength", 1, true), notes[1])
    local none, message, code = toolcall.grammar({bad}, {format = "hermes"})
    assert.is_nil(none)
    assert.equal("grammar", code)
    assert.is_truthy(message:find("minLength", 1, true), message)
  end)
end)

describe("the grammar of a part of a schema", function()

  it("knows what it refers to in the whole", function()
    for _, schema in ipairs{
      '{"type": "object", "properties": {"c": {"type": "array", "items": {"$ref": "#"}}}, "additionalProperties": false}',
      '{"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "properties": {"c": {"type": "array", "items": ' ..
        '{"$ref": "#/definitions/d"}}}, "definitions": {"d": {"$ref": "#"}}, "additionalProperties": false}',
      '{"properties": {"c": {"type": "array", "items": {"$ref": "#/properties/d"}}, "d": {"type": "object", "properties": ' ..
        '{"c": {"$ref": "#/properties/c"}}, "additionalProperties": false}}}',
    } do
      local recursive = {{name = "f", parameters = mobilellm.json.decode(schema)}}
      for _, format in ipairs{"pythonic", "qwen3_xml", "glm4"} do
        local g = assert(toolcall.grammar(recursive, {format = format}))
        for text, wanted in pairs{["[]"] = true, ['[{"c": [{}]}]'] = true, ["[[]]"] = false, ['[{"c": 1}]'] = false} do
          local matcher = g:matcher()
          local call = toolcall.write({{name = "f", arguments = {c = mobilellm.json.decode(text)}}}, {format = format})
          assert.equal(wanted, (matcher:accept_text(call) and matcher:is_complete()) or false, call)
          matcher:close()
        end
      end
    end
  end)
end)

describe("our own form", function()
  local json = mobilellm.json
  local record = require "mobilellm.chat.prompt".signature_record

  it("allows exactly what the schema does, behind the space", function()
    local schemas = {
      '{"type": "string"}', '{"type": "string", "minLength": 3}', '{"type": "string", "maxLength": 2}',
      '{"type": "string", "minLength": 2, "maxLength": 3, "pattern": "b"}', '{"type": "string", "pattern": "^ab?$"}',
      '{"type": "string", "pattern": "^ a"}', '{"type": "string", "pattern": "a$|^b"}', '{"type": "string", "pattern": " "}',
      '{"type": ["string", "null"], "minLength": 2}', '{"enum": ["a", " b", 1, null]}',
      '{"type": "array", "items": {"type": "string", "minLength": 2}}',
      '{"type": "object", "properties": {"k": {"type": "string", "minLength": 2}}, "additionalProperties": false}',
      '{"type": "object", "properties": {"k": {"enum": ["x", "yy"]}}, "additionalProperties": false}',
      '{"anyOf": [{"type": "string", "maxLength": 1}, {"type": "integer"}]}', '{"type": "string", "not": {"maxLength": 2}}',
      '{"type": "string", "allOf": [{"minLength": 2}, {"pattern": "^a"}]}', '{"const": "a"}', '{"$ref": "#/definitions/s"}',
      '{"type": "array", "items": {"$ref": "#/definitions/s"}, "uniqueItems": true}', '{"minLength": 2}',
      '{"type": "object", "propertyNames": {"$ref": "#/definitions/s"}, "additionalProperties": {"$ref": "#/definitions/s"}}',
    }
    local values = {
      "", "a", "b", "ab", "abc", " a", " b", "  ", "bb", "bbbb", "ba", "yy", "x", "\n", "é", "éé", 1, mobilellm.null, json.array{},
      json.array{"ab"}, json.array{"a"}, json.array{"ab", "ab"}, json.array{" a", " ab"}, {k = "x"}, {k = "yy"}, {k = " a"},
      {kk = "x"}, {kk = "yy"}, {[" k"] = "yy"},
    }
    for _, schema in ipairs(schemas) do
      local parameters = {type = "object", properties = {x = json.decode(schema)}, required = {"x"},
        definitions = {s = {type = "string", minLength = 2}}}
      local g = assert(toolcall.grammar({{name = "f", parameters = parameters}}, {format = record, most = 1}))
      for _, value in ipairs(values) do
        local matcher = g:matcher()
        local taken = matcher:accept_text("<|calls|>" .. signature.call{name = "f", arguments = {x = value}}) and matcher:is_complete()
        matcher:close()
        local fits = json.validate(parameters, json.encode{x = value}) == true
        assert.equal(fits, taken or false, schema .. ": " .. json.encode(value))
      end
    end
  end)

  it("writes without the space what no pattern can say behind it", function()
    for schema, text in pairs{['{"type": "string", "format": "date"}'] = "2020-01-02", ['{"type": "string", "pattern": "(^a)b"}'] = "ab"} do
      local parameters = {type = "object", properties = {x = json.decode(schema)}, required = {"x"}}
      local g = assert(toolcall.grammar({{name = "f", parameters = parameters}}, {format = record, most = 1}))
      local matcher = g:matcher()
      assert.is_true(matcher:accept_text('<|calls|>f( x = "' .. text .. '")') and matcher:is_complete(), schema)
      matcher:close()
    end
  end)
end)
