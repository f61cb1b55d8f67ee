-- The probability of a call under the mask of its tools.
package.path = "agents/?.lua;" .. package.path
local mobilellm = require "mobilellm"
local confidence = require "mobilellm.chat.confidence"
local signature = require "mobilellm.signature"
local tools = mobilellm.tools

describe("the confidence of a call", function()
  local model
  local form
  setup(function()
    model = assert(mobilellm.load("agents/model/home.gguf", {threads = 1}))
    form = assert(require "mobilellm.chat.prompt".new(model, {template = "signature"}))
  end)
  teardown(function() model:close() end)

  -- Of this answer (list of calls, or ids) to a sentence.
  local function sure(registry, sentence, answer)
    local session = assert(model:session{context = 512})
    session:feed(signature.encode(model, registry.list, {{role = "user", content = sentence}}))
    local ids = answer.ids or signature.encode_answer(model, answer, registry.list)
    if not answer.ids then ids[#ids] = nil end -- the end is no part of it
    local raw = {}
    for i, id in ipairs(ids) do
      local bytes, kind = model:token(id)
      raw[i] = kind == "control" and "" or bytes
    end
    local start = #session
    local number, detail = assert(confidence(model, session, {ids = ids, raw = table.concat(raw)}, registry.list, form))
    session:rewind(start)
    local plain = 0
    for _, logprob in ipairs(#ids > 0 and session:score(ids) or {}) do plain = plain + logprob end
    session:close()
    return number, detail, math.exp(plain)
  end

  it("sums to one over all that can be said", function()
    local registry = tools{
      {name = "light.switch", description = "Switch a light", parameters = {type = "object", required = {"room", "on"}, properties = {
        room = {enum = {"kitchen", "hall", "bedroom"}}, on = {type = "boolean"}}}},
      {name = "door.lock", description = "Lock a door", parameters = {type = "object", properties = {door = {enum = {"front", "back"}}}}},
      {name = "stop"},
    }
    for _, sentence in ipairs{"switch the kitchen light on", "lock the back door", "good morning"} do
      local sum = sure(registry, sentence, {})
      local function add(name, arguments)
        local one, detail, plain = sure(registry, sentence, {{name = name, arguments = arguments}})
        assert.is_true(detail.masked, name)
        assert.is_true(one >= plain - 1e-9) -- what the mask forbids no longer takes its share
        sum = sum + one
      end
      for _, room in ipairs{"kitchen", "hall", "bedroom"} do
        for _, on in ipairs{true, false} do add("light.switch", {room = room, on = on}) end
      end
      add("door.lock", {})
      add("door.lock", {door = "front"})
      add("door.lock", {door = "back"})
      add("stop", {})
      -- Near one: what is left is text that other tokens than the tokenizer's would have made.
      assert.is_true(sum > 0.8 and sum < 1.02, sentence .. ": " .. sum)
    end
  end)

  it("costs nothing where there is no choice", function()
    local registry = tools{{name = "a.very.long.name.that.nothing.else.has", parameters = {type = "object", required = {"only"},
      properties = {only = {const = "one value"}}}}}
    local call = {name = "a.very.long.name.that.nothing.else.has", arguments = {only = "one value"}}
    local number, detail, plain = sure(registry, "do it", {call})
    assert.is_true(detail.masked)
    assert.is_true(math.abs(number - detail.call) < 0.01)
    assert.is_true(plain < number)
  end)

  it("is that of none where there is no call", function()
    local registry = tools{{name = "light.turn_on", description = "Turn a light on"}}
    local number, detail = sure(registry, "how are you today", {})
    assert.is_true(math.abs(number + detail.call - 1) < 1e-6)
    assert.is_true(number > 0.5)
  end)

  it("says when an answer leaves the grammar", function()
    local registry = tools{{name = "f", parameters = {properties = {a = {type = "integer"}, b = {type = "integer"}}}}}
    local _, detail = sure(registry, "x", {{name = "f", arguments = {b = 1, a = 2}, order = {"b", "a"}}})
    assert.is_false(detail.masked)
    _, detail = sure(registry, "x", {{name = "f", arguments = {a = "one"}}})
    assert.is_false(detail.masked)
    _, detail = sure(registry, "x", {{name = "f", arguments = {b = 1}}, {name = "f", arguments = {a = 3, b = 4}}})
    assert.is_true(detail.masked)
  end)

  it("is told by a chat, of the shipped model and in the forms of templates", function()
    local registry = tools{{name = "light.turn_on", description = "Turn a device on", parameters = {required = {"entity_id"},
      properties = {entity_id = {type = "string"}}}}}
    local house = assert(require "home".new{model = model})
    local chat = assert(model:chat{tools = house.tools, system = house:system(), max_tokens = 60})
    assert.is_nil((chat:confidence()))
    local _, calls = assert(chat:ask "turn on the kitchen light")
    assert.equal(1, #calls)
    local number, detail = assert(chat:confidence())
    assert.is_true(number > 0 and number <= detail.call and detail.call <= 1)
    assert.is_true(detail.masked)
    assert.equal(number, (chat:confidence())) -- asking changes nothing
    chat:close()

    local tiny = assert(mobilellm.load("tests/golden/tiny.gguf", {threads = 1, kernel = "reference"}))
    local said, at = 'Well. <tool_call>\n{"name": "light.turn_on", "arguments": {"entity_id": "x"}}\n</tool_call>', 0
    local ids = tiny:tokenize(said)
    ids[#ids + 1] = tiny:info().eos
    local template = "{% for t in tools or [] %}{{ t.function.name }}{{ t.function.parameters.properties.keys() | list }}{% endfor %}"
      .. "{% for m in messages %}{{ m.role[0] }}{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}"
      .. "{{ c.function.arguments }}{% endfor %}{% endfor %}:"
    chat = assert(tiny:chat{tools = registry, format = "hermes", template = template, max_tokens = 100, sampler = {function(logits)
      at = at + 1
      logits:mask{ids[at]}
    end, {"greedy"}}})
    _, calls = assert(chat:ask "x")
    assert.equal(1, #calls)
    number, detail = assert(chat:confidence())
    assert.is_true(detail.masked)
    assert.is_true(detail.tokens < #ids - #tiny:tokenize "Well." + 1) -- the text in front does not count
    assert.is_true(number > 0 and number <= 1)
    chat:close()
    tiny:close()
  end)
end)
