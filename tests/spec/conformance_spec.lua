-- Suites of schemas: how they are read, and what is said about them; and that the built-in set is entirely right.
local mobilellm = require "mobilellm"
local conformance = require "mobilellm.conformance"
local rows = require "mobilellm.conformance.rows"

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

local function read(path)
  local list = {}
  rows.read(path, function(row) list[#list + 1] = row end)
  return list
end

describe("conformance", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p '" .. folder .. "/tests/draft7' '" .. folder .. "/tests/draft3' '" .. folder .. "/remotes/draft7'"))
  end)
  after_each(function() os.execute("rm -r '" .. folder .. "'") end)

  it("instances keep their order, their numbers, and get the escapes that they need", function()
    local text = '{"b" : [1.0,1e3 , 12345678901234567890], "a\\u0062":"\\u00e9\\/\\n" ,"c":{ } }'
    assert.equal('{"b":[1.0,1e3,12345678901234567890],"ab":"é/\\n","c":{}}', rows.spelled(text))
    assert.equal('{"b": [1.0, 1e3, 12345678901234567890], "ab": "é/\\n", "c": {}}', rows.spelled(text, true))
    assert.equal('" a , b : "', rows.spelled '" a , b : "')
    local seen = {}
    rows.each(' { "x" : "}]" , "y":[1,{"z":2}],"w":null}', function(k, v) seen[#seen + 1] = k .. "=" .. v end)
    assert.same({'x="}]"', 'y=[1,{"z":2}]', "w=null"}, seen)
    rows.each("[]", function() error "nothing is in it" end)
  end)

  it("reads lines, and folders in the layout of the official suite", function()
    write(folder .. "/some.jsonl", '{"id":"one","schema":{"type":"integer"},"valid":[1,2.0],"invalid":["x"]}\n\n{"no":"schema"}\n')
    local group = '[{"description":"d","schema":{"type":"string"},"tests":[{"description":"t","data":"a","valid":true},' ..
      '{"description":"u","data":{"b":[1]},"valid":false}]}]'
    write(folder .. "/tests/draft7/type.json", group)
    write(folder .. "/tests/draft3/type.json", group) -- a draft that is not supported
    write(folder .. "/remotes/draft7/x.json", '{"type":"integer"}')
    local list = read(folder)
    assert.equal(2, #list)
    assert.same({id = "one", source = "some", schema = '{"type":"integer"}', valid = {"1", "2.0"}, invalid = {'"x"'}, suite = false},
      list[1])
    assert.same({id = "tests/draft7/type/0", source = "tests/draft7/type", schema = '{"type":"string"}', valid = {'"a"'},
      invalid = {'{"b":[1]}'}, draft = 7, suite = true}, list[2])
    assert.equal(7, read(folder .. "/tests/draft7")[1].draft)
    assert.equal(1, #read(folder .. "/some.jsonl"))
    write(folder .. "/bad.jsonl", "{\n")
    local ok, err = pcall(read, folder .. "/bad.jsonl")
    assert.is_false(ok)
    assert.matches("^bad, line 1: ", err.failure)
    ok, err = pcall(read, folder .. "/nowhere")
    assert.is_false(ok)
    assert.matches("no suite of schemas in it", err.failure, 1, true)
  end)

  it("tells right, refused, rejected and accepted apart, by keyword", function()
    write(folder .. "/a.jsonl", table.concat({
      '{"id":"right","schema":{"properties":{"enum":{"minimum":3}}},"valid":[{"enum":3}],"invalid":[{"enum":2}]}',
      '{"id":"refused","schema":{"properties":{"a":{"pattern":"(?=x)"}}},"valid":[1],"invalid":[]}',
      '{"id":"rejected","schema":{"type":"string"},"valid":["a",1],"invalid":[]}',
      '{"id":"accepted","schema":{"maxLength":2},"valid":[],"invalid":["abc","a|b\\nc",5]}',
      '{"id":"none","schema":false,"valid":[],"invalid":[1]}',
    }, "\n"))
    local report = conformance.run(folder, {order = "any"})
    assert.same({5, 2, 9}, {report.rows, report.passed, report.instances})
    assert.same({pointer = "#/properties/a", keyword = "pattern", message = report.refused[1].refused.message}, report.refused[1].refused)
    assert.same({"1"}, report.rejected[1].rejected)
    assert.same({"5"}, report.accepted[1].accepted)
    assert.same({rows = 2, passed = 1, refused = 1, rejected = 0, accepted = 0, named = 0}, report.keywords.properties)
    assert.equal(1, report.keywords.pattern.named)
    assert.is_nil(report.keywords.enum) -- the name of a property
    local text = table.concat(conformance.lines(report, 5), "\n")
    assert.matches("2 of 5 schemas entirely right (40.00 %)", text, 1, true)
    assert.matches("| refused | `#/properties/a` | `pattern` |", text, 1, true)
    assert.matches("| rejected | `1` |", text, 1, true)
    assert.matches("| accepted | `5` |", text, 1, true)
    assert.not_matches("(the first", text, 1, true)
    assert.matches("(the first 0 of 1)", table.concat(conformance.lines(report, 0), "\n"), 1, true)
  end)

  it("the built-in set is entirely right, in both orders", function()
    for _, order in ipairs{"any", "schema"} do
      local report = conformance.run(nil, {order = order})
      assert.same({#report.refused, #report.rejected, #report.accepted}, {0, 0, 0})
      assert.is_true(report.passed == report.rows and report.rows >= 15)
    end
  end)
end)

describe("bench --grammar", function()
  local bench = require "mobilellm.bench.grammar"
  local TINY = "tests/golden/tiny.gguf"

  it("tells masks, memory, large schemas, forced tokens and a call", function()
    local f = os.tmpname()
    write(f, 'root ::= "{\\"a\\": " [1-9] "}"')
    local report = bench.run({path = TINY, call = f, repeats = 1, context = 300, threads = 1, kernel = "auto", kv_type = "auto",
      order = "schema", prompt = 20, generate = 8}, function() end)
    os.remove(f)
    assert.equal(0, report.wrong)
    assert.equal(0, report.refused)
    assert.equal(0, report.forced.other)
    assert.is_true(report.forced.forced > 0 and report.forced.forced < report.forced.tokens)
    assert.is_true(report.masks.count > 500 and report.masks.p50 <= report.masks.p99 and report.masks.p99 <= report.masks.max)
    assert.is_true(report.vocabulary_bytes > 0 and report.memory.median > 0)
    assert.equal(5, #report.cliffs)
    assert.is_true(#report.samples >= 6)
    assert.is_true(mobilellm.json.decode(report.call.text).a > 0)
    local text = table.concat(bench.lines(report), "\n")
    for _, what in ipairs{"mask p99.9", "compile p50", "memory of the vocabulary", "128 tools", "forced tokens on compact", "GBNF: calls",
      "call of "} do
      assert.matches(what, text, 1, true)
    end
    assert.equal("| what | measured | goal | stretch |  |", bench.lines(report, true)[6])
  end)

  it("quantiles are of the sorted list", function()
    assert.same({count = 4, p50 = 3, p99 = 4, p999 = 4, max = 4}, bench.summary{4, 1, 3, 2})
  end)
end)
