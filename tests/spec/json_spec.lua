local mobilellm = require "mobilellm"
local json, null = mobilellm.json, mobilellm.null
local integers = math.type ~= nil -- Lua 5.3 and later tell 1 from 1.0

local function message_of(value)
  local ok, message = pcall(json.encode, value)
  assert.is_false(ok)
  return message
end

describe("json.decode", function()
  it("reads every kind of value", function()
    local v = json.decode('{"a": [1, 2.5, "x\\u00e9\\ud83d\\ude00", true, false, null], "b": {}}')
    assert.same({1, 2.5, "x\195\169\240\159\152\128", true, false, null}, v.a)
    assert.same({}, v.b)
  end)

  it("tells an empty array from an empty object", function()
    assert.is_true(json.is_array(json.decode("[]")))
    assert.is_false(json.is_array(json.decode("{}")))
    assert.equal('{"a":[],"o":{}}', json.encode(json.decode('{"o":{},"a":[]}')))
  end)

  it("keeps integers integers and floats floats", function()
    assert.equal("9007199254740991", json.encode(json.decode("9007199254740991")))
    assert.equal("0.1", json.encode(json.decode("0.1")))
    if integers then
      assert.equal("integer", math.type(json.decode("7")))
      assert.equal("float", math.type(json.decode("7.0")))
      local text = "[-9223372036854775808,9223372036854775807,7.0]"
      assert.equal(text, json.encode(json.decode(text)))
    else
      assert.equal("7", json.encode(json.decode("7.0")))
    end
  end)

  it("keeps zero bytes in strings", function()
    assert.equal("a\0b", json.decode('"a\\u0000b"'))
    assert.equal('"a\\u0000b"', json.encode("a\0b"))
  end)

  it("returns nil, message with the place, code", function()
    local value, message, code = json.decode('{"a": 1,\n "b": }')
    assert.is_nil(value)
    assert.matches("line 2", message)
    assert.equal("format", code)
    for _, text in ipairs{"", "[1,]", "{} x", "nul", '"\\ud800"', '"\255"', "01", "[1 2]", "'a'"} do
      value, message, code = json.decode(text)
      assert.is_nil(value)
      assert.is_string(message)
      assert.equal("format", code)
    end
  end)

  it("bounds the nesting", function()
    local value, _, code = json.decode(("["):rep(100000))
    assert.is_nil(value)
    assert.equal("limit", code)
    local deep = ("["):rep(500) .. ("]"):rep(500)
    assert.equal(deep, json.encode(json.decode(deep)))
  end)

  it("raises for something that is no text", function()
    assert.has_error(function() json.decode(nil) end)
    assert.has_error(function() json.decode(12) end)
  end)

  it("accepts and rejects the files of JSONTestSuite", function()
    local shared = os.getenv "MLLM_SHARED" or "../shared"
    local archive = shared .. "/json/JSONTestSuite.tar.gz"
    local f = io.open(archive)
    if not f then return pending("no " .. archive) end
    f:close()
    local dir = os.tmpname()
    os.remove(dir)
    assert(os.execute(("mkdir %s && tar xzf %s -C %s"):format(dir, archive, dir)))
    local list = io.popen("ls " .. dir .. "/test_parsing")
    local seen, wrong = 0, {}
    for name in list:lines() do
      local file = assert(io.open(dir .. "/test_parsing/" .. name, "rb"))
      local text = file:read "*a"
      file:close()
      local value, message = json.decode(text)
      local accepted = value ~= nil
      if not accepted then assert.is_string(message) end
      local kind = name:sub(1, 2)
      if kind == "y_" and not accepted or kind == "n_" and accepted then wrong[#wrong + 1] = name end
      if accepted then json.encode(value) end
      seen = seen + 1
    end
    list:close()
    os.execute("rm -r " .. dir)
    assert.same({}, wrong)
    assert.is_true(seen > 300)
  end)
end)

describe("json.encode", function()
  it("writes the keys of an object in byte order", function()
    assert.equal('{"":0,"B":1,"a":2,"aa":3,"b":4}', json.encode{b = 4, aa = 3, a = 2, B = 1, [""] = 0})
  end)

  it("writes sequences as arrays, {} as an object, a marked table as an array", function()
    assert.equal("[1,2,3]", json.encode{1, 2, 3})
    assert.equal("{}", json.encode{})
    assert.equal("[]", json.encode(json.array()))
    assert.equal("[]", json.encode(json.array{}))
    assert.equal('[{"a":[]}]', json.encode{{a = json.array{}}})
  end)

  it("writes null, booleans and numbers", function()
    assert.equal('[null,true,false,-1,0.5,1e300]', json.encode{null, true, false, -1, 0.5, 1e300})
    assert.equal(integers and "1.0" or "1", json.encode(1.0))
    assert.equal("0.1", json.encode(0.1))
    assert.equal(1 / 3, json.decode(json.encode(1 / 3)))
  end)

  it("escapes what must be escaped and nothing else", function()
    assert.equal('"\\"\\\\/\\n\\t\\u0001\195\169"', json.encode('"\\/\n\t\1\195\169'))
  end)

  it("names the place of what JSON cannot say", function()
    assert.matches("NaN at %$%.a%[2%]", message_of{a = {1, 0 / 0}})
    assert.matches("infinite number at %$%[1%]", message_of{1 / 0})
    assert.matches("not UTF%-8 at %$%.k", message_of{k = "\255"})
    assert.matches("key that is not UTF%-8", message_of{["\255"] = 1})
    assert.matches("both string keys and positions at %$%.x", message_of{x = {1, a = 2}})
    assert.matches("hole at %$", message_of{1, nil, 3})
    assert.matches("neither a string nor a position %(boolean%)", message_of{[true] = 1})
    assert.matches("neither a string nor a position %(number%)", message_of{[1.5] = 1})
    assert.matches("a function at %$%.f", message_of{f = print})
    assert.matches("string key at %$", message_of(json.array{a = 1}))
    assert.matches("a nil at", message_of(nil))
  end)

  it("finds cycles and allows repetition", function()
    local t = {}
    t.child = {up = t}
    assert.matches("contains itself at %$%.child%.up", message_of(t))
    local twice = {1}
    assert.equal('{"a":[1],"b":[1]}', json.encode{a = twice, b = twice})
  end)

  it("bounds the nesting", function()
    local t = {}
    local top = t
    for _ = 1, 600 do
      t[1] = {}
      t = t[1]
    end
    assert.matches("deeper than 512", message_of(top))
  end)

  it("survives an error in the middle without losing memory for the next", function()
    for _ = 1, 200 do pcall(json.encode, {("x"):rep(1000), print}) end
    assert.equal("[1]", json.encode{1})
  end)

  it("keeps the order of keys where an object carries one", function()
    local text = '{"z":1,"a":{"y":[],"b":{}},"m":[{"k":1,"c":2}]}'
    local value = assert(json.decode(text, {ordered = true}))
    assert.equal(text, json.encode(value))
    assert.same({"z", "a", "m"}, json.keys(value))
    assert.same({z = 1, a = {y = {}, b = {}}, m = {{k = 1, c = 2}}}, value)
    value.b, value.z = 2, nil -- what is new comes behind, what is gone is gone
    assert.equal('{"a":{"y":[],"b":{}},"m":[{"k":1,"c":2}],"b":2}', json.encode(value))
    assert.equal('{"a":2,"b":3}', json.encode(assert(json.decode('{"a":1,"b":3,"a":2}', {ordered = true}))))
    assert.equal('{"a":1,"b":2}', json.encode(assert(json.decode '{"b":2,"a":1}')))
    assert.same({"a", "b"}, json.keys{b = 1, a = 2})
    local order = {"b", "x"}
    local object = json.object({a = 1, b = 2, c = 3}, order)
    order[1] = "c"
    assert.equal('{"b":2,"a":1,"c":3}', json.encode(object))
    assert.equal('{"c":3,"a":1,"b":2}', json.encode(json.object(object, {"c"})))
    assert.equal("{}", json.encode(json.object({}, {"a"})))
    assert.error_matches(function() json.object({}, {1}) end, "list of strings")
    assert.error_matches(function() json.object(json.array{}, {"a"}) end, "without a metatable")
    assert.error_matches(function() json.keys{1} end, "keys are strings")
    assert.error_matches(function() json.decode("1", {order = true}) end, "unknown option 'order'")
  end)
end)
