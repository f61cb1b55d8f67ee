local mobilellm = require "mobilellm"
local signature = require "mobilellm.signature"
local decode = require "mobilellm.signature.decode"
local Prior = require "mobilellm.signature.prior"
local retrieve = require "mobilellm.retrieve"
local values = require "mobilellm.signature.grammar"

-- A tiny model with random weights and the control tokens of the prompt form: it would say anything.
local function random_model(seed)
  local texts = {}
  for i = 1, 60 do
    texts[i] = "turn the light in the hall to " .. i .. "% light.on( room = \" hall\", level = 2) \"x\", [1, true] {\"a\": false}"
  end
  local vocabulary = assert(mobilellm.train.bpe{texts = texts, size = 380, special = signature.special, pre = signature.pre,
    bos = signature.begin, eos = signature.stop})
  local trainer = mobilellm.train.new{seed = seed, threads = 1, shape = {vocabulary = vocabulary:size(), width = 32, heads = 2,
    kv_heads = 1, head_size = 16, ffn = 48, blocks = 2, context = 1024}}
  local path = os.tmpname()
  assert(trainer:export(path, {vocabulary = vocabulary, type = "f32"}))
  trainer:close()
  local model = assert(mobilellm.load(path, {threads = 1, kernel = "reference"}))
  os.remove(path)
  return model
end

local tools = {
  {name = "light.on", description = "Light", parameters = {type = "object", required = {"room", "level"}, properties = {
    room = {type = "string", enum = {"hall", "living \"big\" room"}}, level = {type = "integer", minimum = 0, maximum = 100},
    fast = {type = "boolean"}, mode = {enum = {1, 2.5, "auto"}}}}},
  {name = "stop", description = "Stop", parameters = {type = "object", properties = {}}},
  {name = "note", description = "Note", parameters = {type = "object", required = {"text"}, properties = {
    text = {type = "string"}, tags = {type = "array", enum = {{"a", "b"}, {"a"}}},
    where = {type = "object", required = {"x"}, properties = {x = {type = "boolean"}, y = {type = {"boolean", "null"}}}}}}},
}
local messages = {{role = "user", content = "turn on the \"big\" light, in the hall: at 40%!"}}
local texts = {messages[1].content}

describe("decoding under the tools", function()
  local models
  setup(function() models = {random_model(1), random_model(2)} end)
  teardown(function()
    for _, model in ipairs(models) do model:close() end
  end)

  local function ask(model, list, words, options)
    local session = assert(model:session{context = 900})
    assert(session:feed(signature.encode(model, list, {{role = "user", content = words}})))
    local made = assert(decode(session, list, options))
    session:close()
    return made
  end

  it("says nothing but calls of these tools with values of their types, whatever the model is", function()
    local calls, names, cut = 0, {}, 0
    for m, model in ipairs(models) do
      for i = 1, 40 do
        local made = ask(model, tools, ("%d hall light %d turn"):format(i * 37 * m, i), {threshold = 0, strings = "spoken",
          texts = texts, most = 3, max_tokens = 300})
        assert.is_true(made.call >= 0 and made.call <= 1 and made.confidence >= 0 and made.confidence <= 1)
        if made.cut then cut = cut + 1 else assert.truthy(made.text:find "%S") end
        for _, call in ipairs(made.calls) do
          calls, names[call.name] = calls + 1, true
          local tool
          for _, t in ipairs(tools) do
            if t.name == call.name then tool = t end
          end
          local schema = {type = "object", properties = tool.parameters.properties, required = tool.parameters.required,
            additionalProperties = false}
          assert(mobilellm.json.validate(schema, call.arguments))
          if call.arguments.text then assert.truthy(texts[1]:find(call.arguments.text, 1, true)) end
        end
      end
    end
    assert.is_true(calls >= 40 and cut < 40, calls .. " calls, " .. cut .. " cut")
    assert.truthy(next(names))
  end)

  it("calls nothing without tools, or below the threshold", function()
    local made = ask(models[1], {}, "x", {})
    assert.same({0, "", 0}, {#made.calls, made.text, made.call})
    made = ask(models[1], tools, "x", {threshold = 1})
    assert.equal(0, #made.calls)
    assert.is_true(made.confidence > 0)
  end)

  it("says what the model says without the constraint", function()
    local ids = signature.encode(models[1], tools, messages)
    local session = assert(models[1]:session{context = 900})
    local text = assert(session:generate(ids, {max_tokens = 30, temperature = 0}))
    session:close()
    assert.equal(text, ask(models[1], tools, messages[1].content, {constraint = false, max_tokens = 30}).text)
  end)

  it("refuses options that it cannot use", function()
    local session = assert(models[1]:session{context = 64})
    assert.has_error(function() decode(session, tools, {constrained = true}) end, "decode: unknown option 'constrained'")
    assert.has_error(function() decode(session, tools, {constraint = "off"}) end,
      "decode: option 'constraint': a boolean expected, got a string")
    assert.has_error(function() decode(session, tools, {strings = "said"}) end,
      'decode: option \'strings\': "free" or "spoken" expected, got "said"')
    for _, weight in ipairs{-1, 1 / 0, 0 / 0} do
      assert.has_error(function() decode(session, tools, {lexical = weight}) end,
        ("decode: option 'lexical': a number from 0 on expected, got %s"):format(weight))
      assert.has_error(function() models[1]:chat{tools = tools, lexical = weight} end)
    end
    session:close()
  end)

  it("lets words in common count where a tool is chosen, by each tool's share of what is left", function()
    local names = {"get_alarm", "get_lights", "get_light_colour"}
    local starts = {}
    for i, name in ipairs(names) do starts[i] = {text = name .. "(", tool = {name = name, description = ""}} end
    assert.is_nil(Prior.new(models[1], {starts[1]}, {"the alarm"})) -- one tool: nothing to choose
    assert.is_nil(Prior.new(models[1], starts, {"good morning"}))
    assert.is_nil(Prior.new(models[1], starts, {"the alarm"}, 0))
    local said = {"make the lights another colour"}
    local prior = assert(Prior.new(models[1], starts, said, 0.7))
    local scores, sum, session = {}, 0, assert(models[1]:session{context = 64})
    local tools_of = {}
    for i, start in ipairs(starts) do tools_of[i] = start.tool end
    for _, one in ipairs(retrieve.index(tools_of):rank(said)) do
      scores[one.tool.name], sum = math.exp(0.7 * one.score), sum + math.exp(0.7 * one.score)
    end
    assert(session:feed{1})
    for _, name in ipairs(names) do
      local ids, written, gained = models[1]:tokenize(name .. "(", {bos = false, continuation = true}), {}, 0
      for _, id in ipairs(ids) do
        local logits = assert(session:logits()):copy()
        local before = logits:get(id)
        prior:add(logits, written)
        gained, written[#written + 1] = gained + logits:get(id) - before, id
      end
      assert.near(math.log(scores[name] / sum), gained, 1e-4, name)
      local logits = assert(session:logits()):copy()
      local before = logits:argmax()
      prior:add(logits, {ids[1], ids[1]}) -- behind no beginning that is known
      assert.equal(before, logits:argmax())
    end
    session:close()
  end)

  it("chooses by words in common where the model does not know better", function()
    local list = {}
    for i, name in ipairs{"zork", "quux", "blip"} do
      list[i] = {name = name, description = "Does " .. name, parameters = {type = "object", properties = {x = {type = "integer"}}}}
    end
    local chosen = {}
    for _, name in ipairs{"zork", "quux", "blip"} do
      local made = ask(models[1], list, "please " .. name, {asked = {"please " .. name}, lexical = 50, threshold = 0})
      chosen[#chosen + 1] = made.calls[1] and made.calls[1].name
    end
    assert.same({"zork", "quux", "blip"}, chosen)
  end)

  it("gives the same answer with and without, where that is allowed", function()
    local model = assert(mobilellm.load("agents/model/home.gguf", {threads = 1}))
    local list = {{name = "light.turn_on", description = "Turn a device on", parameters = {type = "object", required = {"entity_id"},
      properties = {entity_id = {type = "string"}, brightness = {type = "integer"}}}},
      {name = "light.turn_off", description = "Turn a device off", parameters = {type = "object", required = {"entity_id"},
      properties = {entity_id = {type = "string"}}}}}
    for _, words in ipairs{"Turn on the kitchen light", "turn off the kitchen light", "hello"} do
      local said = {{role = "system", content = "Devices:\nlight.kitchen 'Kitchen Light'"}, {role = "user", content = words}}
      local answers = {}
      for i, options in ipairs{{constraint = false}, {}, {strings = "spoken", texts = {said[1].content, words}}} do
        local session = assert(model:session{context = 400})
        assert(session:feed(signature.encode(model, list, said)))
        answers[i] = assert(decode(session, list, options))
        session:close()
      end
      assert.equal(answers[1].text, answers[2].text)
      assert.equal(answers[1].text, answers[3].text)
      assert.is_true(answers[2].confidence >= answers[1].confidence - 1e-6) -- fewer tokens share the probability
    end
    model:close()
  end)

  it("knows the runs of words in a text", function()
    local spans = assert(values.spans{"Call Anna-Lena at 7:30, \"now\"\nor later", ""})
    local function takes(text)
      local matcher = assert(spans:matcher())
      local ok = matcher:accept_text(text) and matcher:is_complete()
      matcher:close()
      return ok
    end
    for _, text in ipairs{"Call", "Anna-Lena", "Lena at 7", "7:30", [[\"now\"]], [[now\"\nor later]], "later"} do
      assert.is_true(takes(text), text)
    end
    for _, text in ipairs{"Cal", "all", "Anna Lena", " at", "at ", "30 ", "later Call", ""} do assert.is_false(takes(text), text) end
    assert.is_nil(values.spans{"", "  "})
  end)

  it("writes the values of a schema in the form of a call", function()
    local function takes(schema, text)
      local matcher = assert(assert(values.argument(schema, ",)")):matcher())
      local ok = matcher:accept_text(text) and matcher:is_complete()
      matcher:close()
      return ok
    end
    for _, case in ipairs{
      {{type = "string"}, ' " a \\"b\\" c\\n",', true}, {{type = "string"}, ' "a",', false}, {{type = "string"}, ' 4)', false},
      {{type = "string", format = "date"}, ' " next friday")', true}, {{type = "integer"}, " -4,", true},
      {{type = "integer"}, " 4.5,", false},
      {{type = "integer", maximum = 9}, " 10)", false}, {{type = "number"}, " 4.5)", true}, {{enum = {"a", 2}}, ' " a",', true},
      {{enum = {"a", 2}}, " 2)", true}, {{enum = {"a", 2}}, ' " b",', false}, {{type = "boolean"}, " true)", true},
      {{type = "array", items = {type = "integer"}}, " [1, 2])", true}, {{type = "array", items = {type = "integer"}}, " []", false},
      {{type = "array"}, ' [" a", {"k": 1}])', true}, {{}, ' {"k": [null]})', true}, {{type = {"string", "null"}}, " null)", true},
      {{type = "object", properties = {a = {type = "integer"}, b = {}}, required = {"b"}}, ' {"a": 1, "b": true})', true},
      {{type = "object", properties = {a = {type = "integer"}, b = {}}, required = {"b"}}, ' {"a": 1})', false},
      {{anyOf = {{type = "integer"}, {const = "x"}}}, ' " x")', true}, {{type = "object"}, ' {"z": " 1"})', true},
    } do
      assert.equal(case[3], takes(case[1], case[2]), mobilellm.json.encode(case[1]) .. case[2])
    end
  end)

  it("names an option that it does not know", function()
    local session = assert(models[1]:session{context = 50})
    assert.has_error(function() decode(session, {}, {grammar = true}) end, "decode: unknown option 'grammar'")
    session:close()
  end)
end)
