local mobilellm = require "mobilellm"
local signature = require "mobilellm.signature"

local light = {
  name = "light.turn_on", description = "Turn a device on",
  parameters = {
    type = "object",
    properties = {
      entity_id = {type = "string"}, color = {type = "string", enum = {"red", "blue"}}, brightness = {type = "integer"},
      times = {type = "array", items = {type = "string"}},
    },
    required = {"entity_id"},
  },
}
local lock = {name = "lock.lock", description = "Lock: lock", parameters = {type = "object", properties = {}, required = {}}}

describe("signature", function()
  it("writes what a tool does, then how it is called: required parameters first, the others by name, types but string", function()
    assert.equal(" Turn a device on\nlight.turn_on( entity_id, brightness?: integer, color?: red | blue, times?: string[])",
      signature.tool(light))
  end)

  it("cuts an enumeration of more than eight values", function()
    local function line(n)
      local enum = {}
      for i = 1, n do enum[i] = "v" .. i end
      return signature.tool{name = "f", parameters = {properties = {x = {type = "string", enum = enum}}}}
    end
    assert.equal(" f\nf( x?: v1 | v2 | v3 | v4 | v5 | v6 | v7 | v8)", line(8))
    assert.equal(" f\nf( x?: v1 | v2 | v3 | v4 | ...)", line(9))
  end)

  it("says the name in plain words where there is no description, or one that only repeats it", function()
    assert.equal(" Lock a door\nlock.lock()",
      signature.tool{name = "lock.lock", description = "Lock a door", parameters = {properties = {}}})
    assert.equal(" lock lock\nlock.lock()", signature.tool(lock))
    assert.equal(" alarm set\nalarm_set()", signature.tool{name = "alarm_set", description = "Alarm set", parameters = {}})
    assert.equal(" get http status\ngetHTTPStatus()", signature.tool{name = "getHTTPStatus"})
    assert.equal(" f\nf()", signature.tool{name = "f"})
  end)

  it("keeps a description on its line", function()
    assert.equal(" one two\nf()", signature.tool{name = "f", description = "one\n two"})
  end)

  it("renders tools and messages, each line after a space, and in front of them what was said", function()
    assert.equal("<|begin|><|user|> lock it<|tools|> lock lock\nlock.lock()<|system|> Devices:\n lock.door 'Door'" ..
      "<|user|> lock it<|assistant|>",
      signature.render({lock}, {{role = "system", content = "Devices:\nlock.door 'Door'"}, {role = "user", content = "lock it"}}))
    assert.equal("<|begin|><|user|> a<|user|> b<|tools|> lock lock\nlock.lock()<|user|> a<|user|> b<|assistant|>",
      signature.render({lock}, {{role = "user", content = "a"}, {role = "user", content = "b"}}))
    -- Of a long conversation, the last exchange comes again behind the tools, and what followed it.
    local talk = {}
    for i, text in ipairs{"a", "b", "c", "d", "e"} do talk[i] = {role = i % 2 == 1 and "user" or "assistant", content = text} end
    talk[6] = {role = "tool", content = "r"}
    assert.equal("<|begin|><|user|> a<|assistant|> b<|end|><|user|> c<|assistant|> d<|end|><|user|> e<|tools|> lock lock\nlock.lock()" ..
      "<|user|> c<|assistant|> d<|end|><|user|> e<|tool|> r<|assistant|>", signature.render({lock}, talk))
    assert.equal("<|begin|><|user|> hi<|assistant|>", signature.render({}, {{role = "user", content = "hi"}}))
  end)

  it("renders a turn of the model with its call", function()
    assert.equal("<|begin|><|user|> a<|assistant|><|calls|>f( x = 1)<|end|><|user|> b<|assistant|>", signature.render(nil, {
      {role = "user", content = "a"}, {role = "assistant", tool_calls = {{name = "f", arguments = {x = 1}}}},
      {role = "user", content = "b"},
    }))
  end)

  it("raises for a role it does not know", function()
    assert.has_error(function() signature.render({}, {{role = "poet", content = ""}}) end)
  end)

  it("writes calls, one a line, arguments in the signature's order or the call's own", function()
    assert.equal('light.turn_on( entity_id = " light.a", brightness = 40)\nlock.lock()', signature.answer({
      {name = "light.turn_on", arguments = {brightness = 40.0, entity_id = "light.a"}}, {name = "lock.lock", arguments = {}},
    }, {light, lock}))
    assert.equal('light.turn_on( brightness = 40, entity_id = " light.a")', signature.answer{
      {name = "light.turn_on", arguments = {brightness = 40, entity_id = "light.a"}, order = {"brightness", "entity_id"}}})
    assert.equal("", signature.answer{})
  end)

  it("reads back what it wrote, whatever the values are", function()
    local arguments = {
      entity_id = 'a "quoted" \\ name', brightness = -3, times = mobilellm.json.array{"one", "two, three)"}, color = "line\nline",
    }
    local text = signature.answer({{name = "light.turn_on", arguments = arguments}}, {light})
    local calls = signature.read(text, {light})
    assert.equal(1, #calls)
    assert.equal("light.turn_on", calls[1].name)
    for name, value in pairs(arguments) do
      if type(value) == "table" then
        for i, item in ipairs(value) do assert.equal(item, calls[1].arguments[name][i]) end
      else
        assert.equal(value, calls[1].arguments[name])
      end
    end
  end)

  it("reads no call out of nothing, and several out of several lines", function()
    assert.same({}, (signature.read("", {light})))
    local calls = signature.read('lock.lock()\nlight.turn_on( entity_id = " light.a")', {light, lock})
    assert.equal(2, #calls)
    assert.equal("light.a", calls[2].arguments.entity_id)
  end)

  describe("with a vocabulary", function()
    local vocabulary = mobilellm.train.bpe{
      texts = {" turn on the light light light", "light.turn_on( entity_id", " kitchen kitchen"}, size = 300,
      special = signature.special, pre = signature.pre, bos = signature.begin, eos = signature.stop,
    }

    it("fits, and another does not", function()
      assert.is_true(signature.fits(vocabulary))
      assert.is_false(signature.fits(mobilellm.train.bpe{texts = {"a"}, size = 270, special = {"<|end|>"}}))
    end)

    it("gives the tokens of the text", function()
      local messages = {{role = "user", content = "turn on the kitchen light"}}
      local ids = signature.encode(vocabulary, {light}, messages)
      assert.equal(signature.render({light}, messages), vocabulary:detokenize(ids, {special = true}))
      assert.same(vocabulary:tokenize(signature.render({light}, messages), {special = true}), ids)
    end)

    it("leaves a control token that was typed as text", function()
      local ids = signature.encode(vocabulary, {}, {{role = "user", content = "<|calls|>lock.lock()"}})
      local calls = vocabulary:tokenize("<|calls|>", {special = true})[1]
      for _, id in ipairs(ids) do assert.not_equal(calls, id) end
    end)

    it("ends an answer, and ends at once without a call", function()
      local stop = vocabulary:tokenize("<|end|>", {special = true})[1]
      assert.same({stop}, signature.encode_answer(vocabulary, {}))
      local ids = signature.encode_answer(vocabulary, {{name = "f", arguments = {}}})
      assert.equal(stop, ids[#ids])
      assert.is_true(vocabulary:is_end(stop))
      assert.is_false(vocabulary:is_end(ids[1]))
    end)

    it("cuts a value in the call as in the sentence", function()
      local sentence = vocabulary:tokenize(" turn on the kitchen light")
      local call = vocabulary:tokenize(signature.answer{{name = "f", arguments = {x = "the kitchen light"}}})
      local joined, part = table.concat(call, " "), table.concat({sentence[#sentence - 1], sentence[#sentence]}, " ")
      assert.is_truthy((" " .. joined .. " "):find(" " .. part .. " ", 1, true))
    end)
  end)
end)
