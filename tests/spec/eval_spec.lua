local eval = require "mobilellm.eval"
local json = require "mobilellm".json

local function row(calls, more)
  local r = {tools = {}, messages = {{role = "user", content = "x"}}, calls = calls}
  for k, v in pairs(more or {}) do r[k] = v end
  return r
end
local function call(name, arguments) return {name = name, arguments = arguments or {}} end

describe("eval", function()
  it("compares values with their types, and numbers by value", function()
    assert.is_true(eval.same(5, 5.0))
    assert.is_false(eval.same(5, "5"))
    assert.is_true(eval.same("a  b ", "a b"))
    assert.is_false(eval.same("A", "a"))
    assert.is_true(eval.same({1, {x = 2}}, {1, {x = 2}}))
    assert.is_false(eval.same({1}, {1, 2}))
    assert.is_false(eval.same({x = 1}, {}))
  end)

  it("wants the right tools in any order, no more and no fewer", function()
    local r = row{call("a", {x = 1}), call("b")}
    assert.is_true(eval.judge(r, {call("b"), call("a", {x = 1})}).structure)
    assert.is_true(eval.judge(r, {call("b"), call("a", {x = 2})}).intent)
    assert.is_false(eval.judge(r, {call("b"), call("a", {x = 2})}).structure)
    assert.is_false(eval.judge(r, {call("a", {x = 1})}).intent)
    assert.is_false(eval.judge(r, {call("a", {x = 1}), call("b"), call("b")}).intent)
    assert.is_false(eval.judge(r, {}).intent)
  end)

  it("pairs calls to the same tool the best way", function()
    local r = row{call("a", {x = 1}), call("a", {x = 2})}
    assert.is_true(eval.judge(r, {call("a", {x = 2}), call("a", {x = 1})}).structure)
    assert.is_false(eval.judge(r, {call("a", {x = 2}), call("a", {x = 2})}).structure)
  end)

  it("counts arguments: said, wanted, right", function()
    local judged = eval.judge(row{call("a", {x = 1, y = 2})}, {call("a", {x = 1, z = 3})})
    assert.same({1, 2, 2}, {judged.right, judged.given, judged.wanted})
    judged = eval.judge(row{call("a", {x = 1})}, {call("b", {x = 1, y = 1})})
    assert.same({0, 2, 1}, {judged.right, judged.given, judged.wanted})
  end)

  it("accepts values as spoken", function()
    local r = row({call("a", {day = "2019-03-01"})}, {surface = {day = "today"}})
    assert.is_true(eval.judge(r, {call("a", {day = "today"})}).structure)
    assert.is_true(eval.judge(r, {call("a", {day = "2019-03-01"})}).structure)
    assert.is_false(eval.judge(r, {call("a", {day = "tomorrow"})}).structure)
  end)

  it("accepts alternatives, and leaves out what may be left out", function()
    local r = row({call("a", {x = 1, unit = "m"})}, {alternatives = {{a = {x = {1, 2}, unit = {"m", ""}, z = {"", 0}}}}})
    assert.is_true(eval.judge(r, {call("a", {x = 2})}).structure)
    assert.is_true(eval.judge(r, {call("a", {x = 1, unit = "m", z = 0})}).structure)
    assert.is_false(eval.judge(r, {call("a", {x = 3})}).structure)
    assert.is_false(eval.judge(r, {call("a", {unit = "m"})}).structure)
    assert.is_false(eval.judge(r, {call("a", {x = 1, q = 1})}).structure)
  end)

  -- The answers come from a table instead of a model.
  local function score(rows, answers)
    local i = 0
    return eval.rows(nil, rows, {answer = function()
      i = i + 1
      if answers[i] == "long" then return nil, "the prompt is too long", "context" end
      return answers[i], ""
    end})
  end

  it("gives shares of the rows with calls and of those without", function()
    local rows = {row{call("a", {x = 1})}, row{call("a", {x = 1})}, row{call("b")}, row{}, row{}, row{}}
    local s = score(rows, {{call("a", {x = 1})}, {call("a", {x = 2})}, {}, {}, {}, {call("a")}})
    assert.equal(6, s.rows)
    assert.equal(3, s.call_rows)
    assert.equal(3, s.no_call_rows)
    assert.near(2 / 3, s.em_intent, 1e-12)
    assert.near(1 / 3, s.em_structure, 1e-12)
    assert.near(3 / 6, s.accuracy, 1e-12)
    assert.near(2 / 3, s.refusal_precision, 1e-12)
    assert.near(2 / 3, s.refusal_recall, 1e-12)
    assert.near(2 * 1 / (2 + 2), s.argument_f1, 1e-12)
  end)

  it("hands its options on", function()
    local seen
    eval.rows("model", {row{}}, {max_tokens = 7, kv_type = "q8_0", answer = function(...)
      seen = {...}
      return {}, ""
    end})
    assert.same({"model", 7, "q8_0"}, {seen[1], seen[4], seen[5]})
  end)

  it("gives numbers for rows without any call, and for no rows", function()
    local s = score({row{}, row{}}, {{}, {call("a")}})
    assert.equal(0.5, s.em_intent)
    assert.equal(0.5, s.em_structure)
    assert.is_nil(s.argument_f1)
    s = score({}, {})
    assert.equal(0, s.em_intent)
    assert.is_nil(s.refusal_recall)
  end)

  it("counts a prompt that does not fit as no answer", function()
    local s = score({row{call("a")}}, {"long"})
    assert.equal(1, s.too_long)
    assert.equal(0, s.em_intent)
  end)

  describe("reading", function()
    local path
    before_each(function() path = os.tmpname() end)
    after_each(function() os.remove(path) end)

    local function write(text)
      local file = assert(io.open(path, "wb"))
      file:write(text)
      file:close()
    end

    it("takes one row a line, empty lines apart", function()
      write(json.encode(row{call("a", {x = 1})}) .. "\n\n" .. json.encode(row{call("b")}) .. "\n")
      local rows = assert(eval.read(path))
      assert.equal(2, #rows)
      assert.equal(1, rows[1].calls[1].arguments.x)
      assert.equal(1, #eval.read(path, 1))
    end)

    it("takes a gzipped file", function()
      write(json.encode(row{call("a")}) .. "\n")
      os.execute("gzip -f '" .. path .. "'")
      local rows = assert(eval.read(path .. ".gz"))
      os.remove(path .. ".gz")
      assert.equal("a", rows[1].calls[1].name)
    end)

    it("says where a file is wrong", function()
      local rows, message, code = eval.read "no/such/file"
      assert.is_nil(rows)
      assert.matches("no/such/file", message)
      assert.equal("io", code)
      write "{}\n"
      rows, message, code = eval.read(path)
      assert.is_nil(rows)
      assert.matches("line 1", message)
      assert.equal("format", code)
      write(json.encode(row{call("a")}) .. "\n{")
      rows, message = eval.read(path)
      assert.is_nil(rows)
      assert.matches("line 2", message)
    end)
  end)
end)
