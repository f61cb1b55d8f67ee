local mobilellm = require "mobilellm"

-- What each public function says of wrong use names the line of the caller, not one of ours.
describe("errors of misuse", function()
  local model, session, chat, tools
  setup(function()
    model = assert(mobilellm.load("tests/golden/tiny.gguf", {threads = 1}))
    session = assert(model:session{context = 64})
    chat = assert(model:chat{})
    tools = mobilellm.tools{{name = "f"}}
  end)
  teardown(function()
    chat:close()
    session:close()
    model:close()
  end)

  it("point at the caller", function()
    local t, g = mobilellm.toolcall, mobilellm.grammar
    local cases = {
      function() session:generate("x", {temprature = 1}) end, function() session:generate(5) end,
      function() session:generate("x", {max_tokens = "a"}) end, function() session:generate("x", {stop = 5}) end,
      function() session:generate("x", {sampler = {{"nope"}}}) end, function() session:generate("x", {temperature = 1, top_k = "a"}) end,
      function() session:generate("x", {temperature = -1}) end, function() session:start("x", {lookup = -1}) end,
      function() session:stream("x", {on_token = 1}) end, function() session:feed(true) end, function() session:feed({}, 3) end,
      function() model:generate{1, "a"} end, function() model:generate("x", {max_tokens = -1}) end,
      function() model:stream("x", {stop = {1}}) end, function() model:tokenize(5) end, function() model:score "x" end,
      function() model:choose("x", {1}) end, function() model:choose("x", {}) end, function() model:session{context = "a"} end,
      function() model:chat{tool = 1} end, function() model:chat{context = -5} end, function() model:chat{kv_type = "x"} end,
      function() model:chat{format = "nope"} end, function() model:chat{format = 5} end, function() model:chat{history = "x"} end,
      function() chat:ask("x", {max_tokens = "x"}) end, function() chat:ask("x", {temperature = -1}) end,
      function() chat:ask("x", {temperature = 1, top_k = "a"}) end, function() chat:ask("x", {tool_choice = "x"}) end,
      function() chat:send("x", {nope = 1}) end, function() chat:add{role = "x"} end, function() chat:result(1, 2) end,
      function() mobilellm.load("x", {thread = 1}) end, function() mobilellm.load({}) end, function() g.json_schema({}, {order = "x"}) end,
      function() g.json_schema{[1.5] = 1} end, function() g.json_schema(5) end, function() g.seq(5) end, function() g.opt(5) end,
      function() g.lazy(5) end, function() mobilellm.json.validate(5, 5) end, function() mobilellm.json.encode(print) end,
      function() t.parse("x", {format = "nope"}) end, function() t.parser{limit = "x"} end, function() t.parser{tools = 5} end,
      function() t.grammar(5, {format = "hermes"}) end, function() t.grammar(tools, {format = "hermes", least = "x"}) end,
      function() t.grammar(tools, {format = "nope"}) end, function() t.format{name = "x", bdy = 1} end,
      function() t.format{name = "x"} end, function() t.write({}, {format = "nope"}) end,
      function() mobilellm.template.compile(5) end, function() mobilellm.template.compile("x", {foo = 1}) end,
      function() mobilellm.tools(5) end, function() tools:check(5) end, function() mobilellm.agent.new{chat = 5} end,
      function() mobilellm.beam(model, "x", {nope = 1}) end, function() mobilellm.train.new{shape = 5} end,
      function() mobilellm.train.bpe{texts = 5} end, function() mobilellm.sampler{{"top_k", "x"}} end,
      function() mobilellm.convert(5) end, function() mobilellm.quantize("a", "b", {type = 5}) end,
    }
    local wrong = {}
    for i, case in ipairs(cases) do
      local ok, message = pcall(case)
      if ok or type(message) ~= "string" or not message:find("misuse_spec%.lua:%d+: ") then
        wrong[#wrong + 1] = i .. ": " .. tostring(message)
      end
    end
    assert.same({}, wrong)
  end)

  it("name the place of a schema that contains itself", function()
    local schema = {type = "object", properties = {}, allOf = {{type = "object"}}}
    schema.properties.inner = {type = "object", properties = {outer = schema}}
    local ok, message = pcall(mobilellm.grammar.json_schema, schema)
    assert.is_false(ok)
    assert.matches("a table that contains itself at %$%.properties%.inner%.properties%.outer", message)
    -- The same table in two places is none within itself, and after an error the next schema is read as ever.
    local text = {type = "string"}
    assert.is_truthy((mobilellm.grammar.json_schema{type = "object", properties = {a = text, b = text}, anyOf = {{required = {"a"}}, {}}}))
  end)

  it("are not raised for what the world does wrong", function()
    assert.is_nil((mobilellm.load "nothing.gguf"))
    assert.is_nil((mobilellm.grammar.json_schema {type = 5}))
  end)
end)

describe("a vocabulary alone", function()
  it("comes out of any file that has one", function()
    local rows = 0
    for _, path in ipairs{"tests/golden/tokenizer-smollm.json", "tests/golden/tokenizer-llama2.json", "tests/golden/tiny.gguf"} do
      local model = assert(mobilellm.load(path, {vocabulary_only = true}))
      assert.is_true(model:info().vocabulary > 100)
      local ids = model:tokenize "hello there"
      assert.matches("hello there", model:detokenize(ids))
      assert.error(function() model:generate "x" end)
      model:close()
      rows = rows + 1
    end
    assert.equal(3, rows)
    local shared = (os.getenv "MLLM_SHARED" or "../shared") .. "/tokenizers/llama2/tokenizer.model"
    local file = io.open(shared, "rb")
    if file then
      file:close()
      assert.equal(32000, assert(mobilellm.load(shared, {vocabulary_only = true})):info().vocabulary)
    end
    local none, message, code = mobilellm.load("README.md", {vocabulary_only = true})
    assert.is_nil(none)
    assert.matches("README.md", message)
    assert.equal("format", code)
    assert.equal("io", (select(3, mobilellm.load("nothing.json", {vocabulary_only = true}))))
    assert.is_nil((mobilellm.load "tests/golden/tokenizer-smollm.json"))
  end)
end)
