local mobilellm = require "mobilellm"
local grammar, json = mobilellm.grammar, mobilellm.json

-- Accepts the text byte by byte; true when all of it is taken and it is complete.
local function takes(g, text)
  local m = assert(g:matcher())
  for i = 1, #text do
    if not m:accept_text(text:sub(i, i)) then return false end
  end
  return m:is_complete()
end

describe("grammar.regex", function()
  it("matches the whole text", function()
    local g = assert(grammar.regex "[a-c]+x?")
    assert.is_true(takes(g, "abcx"))
    assert.is_false(takes(g, "abcxx"))
    assert.is_false(takes(g, "x"))
  end)

  it("names the place of what it cannot do", function()
    local g, message, code = grammar.regex "a(?=b)"
    assert.is_nil(g)
    assert.equal("unsupported", code)
    assert.equal("regular expression, position 2: look-ahead is not supported", message)
    g, message, code = grammar.regex "a(b"
    assert.is_nil(g)
    assert.equal("format", code)
    assert.matches("position 2: '%(' is not closed", message)
  end)
end)

describe("grammar.choice", function()
  it("takes one of the texts", function()
    local g = assert(grammar.choice{"yes", "no", "nothing"})
    for _, text in ipairs{"yes", "no", "nothing"} do assert.is_true(takes(g, text)) end
    assert.is_false(takes(g, "noth"))
    assert.is_false(takes(g, "maybe"))
  end)
  it("is refused when empty", function()
    assert.has_error(function() grammar.choice{} end)
  end)
end)

describe("grammar.gbnf", function()
  it("reads rules, classes, groups and repeats", function()
    local g = assert(grammar.gbnf [[
# arithmetic
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]{1,3} ws
ws    ::= [ \t\n]*
]])
    assert.is_true(takes(g, "x = 5\n"))
    assert.is_true(takes(g, "(1+y)*22=7\na=b\n"))
    assert.is_false(takes(g, "x = \n"))
    assert.is_false(takes(g, "1234=1\n"))
  end)

  it("takes left recursion, direct, indirect and hidden", function()
    local sum = assert(grammar.gbnf 'root ::= root "+" [0-9] | [0-9]')
    assert.is_true(takes(sum, "1+2+3+4+5"))
    assert.is_false(takes(sum, "1+"))
    assert.is_false(takes(sum, "+1"))
    local indirect = assert(grammar.gbnf 'root ::= a\na ::= b "x" | "y"\nb ::= a "z" | "w"')
    for text, yes in pairs{y = true, wx = true, yzx = true, wxzx = true, yzxzx = true, w = false, yx = false, wz = false} do
      assert.equal(yes, takes(indirect, text), text)
    end
    local hidden = assert(grammar.gbnf 'root ::= e root "a" | "b"\ne ::= "c"?')
    for text, yes in pairs{b = true, ba = true, baa = true, cba = true, ccbaa = true, cb = false, ca = false} do
      assert.equal(yes, takes(hidden, text), text)
    end
    local empty = assert(grammar.gbnf 'root ::= root root | "a" | ""')
    assert.is_true(takes(empty, ""))
    assert.is_true(takes(empty, "aaaa"))
  end)

  it("loops over what may be empty", function()
    local g = assert(grammar.gbnf 'root ::= (a*)* b\na ::= "x"*\nb ::= "y"?')
    for text, yes in pairs{[""] = true, xxx = true, xy = true, y = true, yx = false} do
      assert.equal(yes, takes(g, text), text)
    end
  end)

  it("says where a grammar is wrong", function()
    local function message(text)
      local g, m, code = grammar.gbnf(text)
      assert.is_nil(g)
      return code .. ": " .. m
    end
    assert.equal("format: grammar, line 1, column 10: '(' is not closed", message 'root ::= ("a"')
    assert.equal("format: grammar, line 2, column 11: no rule 'c'", message 'root ::= b\nb ::= "x" c')
    assert.equal("format: grammar: no rule 'root'", message 'b ::= "x"')
    assert.equal("format: grammar, line 1, column 10: the text is not closed", message 'root ::= "x')
    assert.equal("grammar: grammar, line 1, column 1: no text can satisfy the rule 'root'", message 'root ::= "x" root')
    assert.matches("nested deeper", message("root ::= " .. ("("):rep(60000)))
  end)
end)

describe("combinators", function()
  it("compose grammars", function()
    local call = assert(grammar.seq("<tool>", grammar.capture("call", grammar.json_schema{
      type = "object", required = {"name"}, properties = {name = {enum = {"f", "g"}}}, additionalProperties = false,
    }), "</tool>"))
    local m = call:matcher()
    assert.is_true(m:accept_text '<tool>{"name": "g"}</tool>')
    assert.is_true(m:is_complete())
    local byname, list = m:captures()
    assert.same({call = '{"name": "g"}'}, byname)
    assert.same({{name = "call", text = '{"name": "g"}', from = 7, to = 19}}, list)

    local list_of = assert(grammar.many(grammar.alt("a", grammar.regex "b+"), 2, 3, ","))
    for text, yes in pairs{["a,bb"] = true, ["a,a,b"] = true, a = false, ["a,a,a,a"] = false, ["a,"] = false} do
      assert.equal(yes, takes(list_of, text), text)
    end
    assert.is_true(takes(assert(grammar.opt "x"), ""))
    assert.is_true(takes(assert(grammar.free_until "</s>"), "a < b </s></s>") == false)
    assert.is_true(takes(assert(grammar.free_until "</s>"), "a < b </s>"))
    assert.is_true(takes(assert(grammar.many("ab", 0, 0, ",")), ""))
  end)

  it("wait for a trigger", function()
    local g = assert(grammar.lazy{trigger = "<call>", body = grammar.seq(grammar.json(), "</call>")})
    for text, yes in pairs{
      ["free text < call>"] = true, ["x<call>[1]</call> and <call>{}</call>."] = true, ["<call>1"] = false,
      ["<call>oops</call>"] = false, ["<cal"] = true, [""] = true,
    } do
      assert.equal(yes, takes(g, text), text)
    end
  end)

  it("raise for parts that are none", function()
    assert.has_error(function() grammar.seq("a", 5) end, "seq: grammar or text expected as part 2, got number")
  end)
end)

describe("grammar.json", function()
  it("takes any value and nothing else", function()
    local g = assert(grammar.json())
    for _, text in ipairs{'{"a": [1, -2.5e3, "x\\n", null, true]}', "[]", '""', "0", "{}"} do
      assert.is_true(takes(g, text), text)
    end
    for _, text in ipairs{"", "01", "[1,]", '{"a"}', "nul", '"\\x"', '{"a": 1, "a": 2}'} do
      assert.is_false(takes(g, text), text)
    end
  end)
end)

describe("grammar.json_schema", function()
  local person = {
    type = "object", required = {"name", "age"}, additionalProperties = false,
    properties = {age = {type = "integer", minimum = 0, maximum = 150}, name = {type = "string", maxLength = 5}, tag = {enum = {"a", 2}}},
  }

  it("takes a table, with the order of `required`", function()
    local g = assert(grammar.json_schema(person))
    assert.is_true(takes(g, '{"name": "Ann", "age": 7}'))
    assert.is_true(takes(g, '{"name":"Ann","age":150,"tag":2}'))
    assert.is_false(takes(g, '{"age": 7, "name": "Ann"}'))
    assert.is_true(takes(assert(grammar.json_schema(person, {order = "any"})), '{"age": 7, "name": "Ann"}'))
    for _, text in ipairs{'{"name": "Ann"}', '{"name": "Annika", "age": 1}', '{"name": "Ann", "age": 151}',
      '{"name": "Ann", "age": -1}', '{"name": "Ann", "age": 1, "x": 1}', '{"name": "Ann",  "age": 1}'} do
      assert.is_false(takes(g, text), text)
    end
  end)

  it("has white space policies", function()
    local schema = '{"type": "array", "items": {"type": "boolean"}}'
    assert.is_true(takes(grammar.json_schema(schema, {space = "any"}), "[\n  true,\n  false\n]"))
    assert.is_false(takes(grammar.json_schema(schema, {space = "none"}), "[true, false]"))
    assert.is_true(takes(grammar.json_schema(schema, {space = "none"}), "[true,false]"))
  end)

  it("refuses what it cannot guarantee, with its place", function()
    local schema = '{"properties": {"a": {"pattern": "(?<=x)y"}, "b": {"$ref": "http://elsewhere/x"}}}'
    local g, message, code = grammar.json_schema(schema)
    assert.is_nil(g)
    assert.equal("unsupported", code)
    assert.matches("schema #/properties/[ab]: keyword '", message)
    g = assert(grammar.json_schema(schema, {strict = false}))
    local found = {}
    for _, line in ipairs(g:report()) do found[#found + 1] = line.pointer .. " " .. line.keyword .. " " .. line.tier end
    table.sort(found)
    assert.same({"#/properties/a pattern ignored", "#/properties/b $ref ignored"}, found)
  end)

  it("says when nothing can satisfy a schema", function()
    local g, message, code = grammar.json_schema('{"type": "integer", "minimum": 3, "maximum": 2}')
    assert.is_nil(g)
    assert.equal("grammar", code)
    assert.equal("schema #: no value can satisfy it", message)
    g, message, code = grammar.json_schema('{"type": 3}')
    assert.is_nil(g)
    assert.equal("format", code)
    assert.matches("schema #: keyword 'type'", message)
  end)

  it("never begins a number that cannot become one", function()
    for _, case in ipairs{
      {{type = "integer", exclusiveMinimum = 0}, {"1", "5.0"}, {"0", "-0"}},
      {{type = "integer", exclusiveMaximum = 0}, {"-1", "-5.0"}, {"0", "-0"}},
      {{type = "number", exclusiveMinimum = 0}, {"0.01", "1"}, {"-"}},
      {{type = "number", exclusiveMaximum = 0}, {"-0.1", "-1"}, {"0"}},
      {{type = "number", minimum = -0.7, maximum = -0.5}, {"-0.6"}, {"-0.4", "-1", "0"}},
    } do
      local matcher = assert(grammar.json_schema(case[1])):matcher()
      for _, text in ipairs(case[2]) do
        assert.is_true(matcher:reset():accept_text(text), text)
        assert.is_true(matcher:is_complete(), text)
      end
      for _, text in ipairs(case[3]) do assert.is_false((matcher:reset():accept_text(text)), text) end
      for zeros = 1, 50 do -- no dead end
        for _, sign in ipairs{"", "-"} do
          if matcher:reset():accept_text(sign .. "0." .. ("0"):rep(zeros)) and not matcher:is_complete() then
            local ways = 0
            for digit = 0, 9 do
              if matcher:accept_text(tostring(digit)) then
                ways = ways + 1
                matcher:rollback(1)
              end
            end
            assert.is_true(ways > 0, zeros)
          end
        end
      end
      matcher:close()
    end
  end)

  it("checks the rest when the value closes", function()
    local g = assert(grammar.json_schema'{"type": "array", "items": {"type": "integer"}, "contains": {"const": 7}}')
    assert.equal("closing", g:report()[1].tier)
    assert.is_true(takes(g, "[1, 7]"))
    assert.is_false(takes(g, "[1, 8]"))
  end)

  it("raises for options that do not exist", function()
    assert.has_error(function() grammar.json_schema("{}", {orders = "any"}) end, "json_schema: unknown option 'orders'")
  end)
end)

describe("matcher", function()
  it("rolls back, forks and resets", function()
    local m = assert(grammar.json_schema('{"enum": ["north", "south"]}')):matcher()
    assert.is_true(m:accept_text '"no')
    local f = m:fork()
    local ids, text = m:forced()
    assert.same({}, ids)
    assert.equal('rth"', text)
    assert.is_true(m:accept_text 'rth"')
    assert.is_true(m:is_complete())
    local ok, message, code = m:accept_text "x"
    assert.is_false(ok)
    assert.equal("grammar", code)
    assert.equal("'x' cannot follow at byte 7", message)
    m:rollback(2)
    assert.is_true(m:accept_text '"south"')
    assert.is_false(f:is_complete())
    assert.is_true(f:accept_text 'rth"')
    assert.equal('"north"', f:text())
    assert.equal("", m:reset():text())
    assert.has_error(function() m:rollback(1) end)
  end)

  it("knows the least that is left", function()
    local m = assert(grammar.json_schema('{"type": "object", "required": ["a"], "properties": {"a": {"const": 12}}}')):matcher()
    assert.equal(8, m:min_left())
    m:accept_text '{"a"'
    assert.equal(4, m:min_left())
  end)

  it("tells the memory that is held", function()
    local small = assert(grammar.json_schema '{"const": 1}')
    local names = {}
    for i = 1, 500 do names[i] = "a rather long name " .. i end
    local large = assert(grammar.json_schema{enum = names})
    assert.is_true(large:info().bytes > small:info().bytes + 500 * 20)
    local m = large:matcher()
    local before = m:info()
    assert.is_nil(before.trie_bytes)
    assert.equal(0, before.steps)
    m:accept_text('"' .. names[77])
    assert.equal(1, m:info().steps)
    assert.is_true(m:info().bytes >= before.bytes)
  end)
end)

describe("matcher with a vocabulary", function()
  local path = (os.getenv "MLLM_SHARED" or "../shared") .. "/tokenizers/llama2/ggml-vocab-llama-spm.gguf"
  local file = io.open(path, "rb")
  if not file then
    print("skipped: matcher with a vocabulary: " .. path .. " is not here")
    return
  end
  file:close()
  local model = assert(mobilellm.load(path, {vocabulary_only = true}))
  local g = assert(grammar.json_schema{
    type = "object", required = {"temperature", "room"}, additionalProperties = false,
    properties = {temperature = {type = "integer", minimum = 5, maximum = 30}, room = {enum = {"kitchen", "bath room"}}},
  })

  it("allows exactly what it accepts", function()
    local m = g:matcher(model)
    for _, id in ipairs(model:tokenize('{"temperature": 21, "room": "bath room"}', {continuation = true})) do
      local allowed = {}
      for _, a in ipairs(m:allowed()) do
        allowed[a] = true
        assert.is_true(m:accept(a))
        m:rollback(1)
      end
      assert.is_true(allowed[id])
      local bits = m:mask()
      assert.equal(4000, #bits)
      assert.is_true(math.floor(bits:byte(math.floor(id / 8) + 1) / 2 ^ (id % 8)) % 2 == 1)
      assert.is_true(m:accept(id))
    end
    assert.is_true(m:is_complete())
    assert.same({model:info().eos}, m:allowed())
    assert.is_true(m:accept(model:info().eos))
    assert.is_true(m:is_finished())
    local info = m:info()
    assert.equal(32000, info.tokens)
    assert.is_true(info.trie_bytes > 32000 * 8) -- not nothing: every token has its text and its place
  end)

  it("masks logits", function()
    local m = g:matcher(model)
    local zeros = {}
    for i = 1, model:info().vocabulary do zeros[i] = 0 end
    local logits = mobilellm.logits(zeros)
    m:mask(logits)
    local open = model:find "{"
    assert.is_true(logits:get(open) > -math.huge)
    assert.equal(-math.huge, logits:get(model:find "a"))
    assert.equal(-math.huge, logits:get(model:find "<0x7B>")) -- its twin is canonical
  end)

  it("forces tokens as the tokenizer writes them", function()
    local m = g:matcher(model)
    local text = '{"temperature":'
    local ids, all = m:forced()
    assert.equal(text, all)
    local expected = model:tokenize(text .. "21", {continuation = true})
    assert.is_true(#ids > 0)
    for i, id in ipairs(ids) do assert.equal(expected[i], id) end
  end)

  it("knows tokens that complete the text", function()
    local m = g:matcher(model)
    local ids, text = m:completion()
    assert.is_true(#ids < m:min_left()) -- tokens are longer than bytes
    for _, id in ipairs(ids) do assert.is_true(m:accept(id)) end
    assert.is_true(m:is_complete())
    assert.equal(text, m:text())
    assert.same({}, (m:completion()))
    m:reset()
    for left = #ids, 1, -1 do -- just enough
      local allowed = assert(m:allowed{budget = left})
      assert.is_true(m:accept(allowed[1]))
    end
    assert.is_true(m:is_complete())
  end)

  it("takes a token within a budget only if a way to the end is known behind it", function()
    -- Two keys are needed whose names differ, and nothing but the check at the end says which.
    local digits = assert(grammar.json_schema{type = "object", patternProperties = {["^[0-9]$"] = {type = "null"}},
      additionalProperties = false, maxProperties = 2,
      ["not"] = {anyOf = {{propertyNames = {enum = {"3", "4", "5"}}}, {propertyNames = {["not"] = {const = "4"}}}}}})
    local m = digits:matcher(model)
    assert.is_true(m:accept_text '{"1":null,"')
    local eight, refused = model:tokenize("8", {continuation = true})[1], 0
    local ok, message, code = m:accept(eight, {budget = 20})
    assert.is_false(ok)
    assert.equal("grammar", code)
    assert.matches("no way to the end was found behind token", message)
    assert.equal('{"1":null,"', m:text())
    for budget = 20, 1, -1 do
      if m:is_complete() then break end
      repeat
        local allowed = assert(m:allowed{budget = budget})
        ok = m:accept(allowed[#allowed], {budget = budget})
        refused = refused + (ok and 0 or 1)
      until ok
    end
    assert.is_true(m:is_complete() and refused < 100)
    assert.is_true(m:text():find('"4":null', 1, true) ~= nil)
    assert.is_true(digits:matcher(model):accept(eight, {}) == false)
    assert.error_matches(function() m:accept(eight, {budgets = 1}) end, "accept: unknown option 'budgets'")
  end)

  it("completes within a budget", function()
    local m = g:matcher(model)
    local budget = m:min_left()
    while budget > 0 and not m:is_complete() do
      local allowed = assert(m:allowed{budget = budget})
      assert.is_true(m:accept(allowed[#allowed]))
      budget = budget - 1
    end
    assert.is_true(m:is_complete())
  end)
end)

describe("json.validate", function()
  it("says where a value fails", function()
    local schema = {type = "object", properties = {a = {type = "array", items = {minimum = 3}}}}
    assert.is_true(json.validate(schema, '{"a": [3, 4]}'))
    assert.is_true(json.validate(schema, {a = {5}}))
    local ok, message, code = json.validate(schema, '{"a": [3, 2]}')
    assert.is_nil(ok)
    assert.equal("grammar", code)
    assert.equal("instance #/a/1 does not satisfy schema #/properties/a/items/minimum", message)
  end)

  it("ends a text without a word where the word is complete", function()
    for _, case in ipairs{
      {'@without "<a>"', "x <a y", "x <a>"}, {'@without ("<a>" | "<b" [0-9]+ ">")', "<b> <a <b12", "<b12>"},
      {'(@without ("<a>" | "<b>")) "<a>" "x"', "so <a>x", "so <b>"}, {'@until ("a" | "b" "c")', "xbc", "xbcy"},
    } do
      local matcher = assert(grammar.compose("root ::= " .. case[1], {})):matcher()
      assert.is_true(matcher:accept_text(case[2]) and matcher:is_complete(), case[1])
      matcher:reset()
      assert.is_false((matcher:accept_text(case[3])), case[1])
      matcher:close()
    end
  end)

  it("completes within a budget of tokens, where characters have several and tokens are named", function()
    local talk = require "talk"
    local model = talk.model({"<s>", "</s>", "<e>"}, "<s>", "</s>", 512)
    local id = model:find "<e>"
    for _, text in ipairs{'"a" @until "</end>" "!"', '"a" @until "</｜end>" "ü!"', ('"a" .* @token %d "b" .* @token %d "c"'):format(id, id),
      ('.* (@token %d "bcd" @token %d)*'):format(id, id), '("b" @until "zz")? "!"'} do
      local g = assert(grammar.compose("root ::= " .. text, {}))
      for seed = 1, 12 do
        local session = model:session{context = 128}
        assert(session:generate("hi", {grammar = g, temperature = 1, seed = seed, max_tokens = 30}))
        local ids, matcher = session:tokens(), g:matcher(model)
        for k = #model:tokenize("hi", {bos = model:info().adds_bos}) + 1, #ids do assert(matcher:accept(ids[k])) end
        assert.is_true(matcher:is_complete(), text)
        matcher:close()
        session:close()
      end
    end
    model:close()
  end)
end)
