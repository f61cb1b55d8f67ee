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
    r = row({call("a", {seats = 2, shared = true})}, {surface = {seats = "2", shared = "True"}})
    assert.is_true(eval.judge(r, {call("a", {seats = 2, shared = true})}).structure)
    assert.is_false(eval.judge(r, {call("a", {seats = "2", shared = true})}).structure)
    assert.is_false(eval.judge(r, {call("a", {seats = 2, shared = "True"})}).structure)
  end)

  it("accepts alternatives, and leaves out what may be left out", function()
    local r = row({call("a", {x = 1, unit = "m"})}, {alternatives = {{a = {x = {1, 2}, unit = {"m", ""}, z = {"", 0}}}}})
    assert.is_true(eval.judge(r, {call("a", {x = 2})}).structure)
    assert.is_true(eval.judge(r, {call("a", {x = 1, unit = "m", z = 0})}).structure)
    assert.is_false(eval.judge(r, {call("a", {x = 3})}).structure)
    assert.is_false(eval.judge(r, {call("a", {unit = "m"})}).structure)
    assert.is_false(eval.judge(r, {call("a", {x = 1, q = 1})}).structure)
  end)

  it("accepts alternatives inside of objects", function()
    local r = row({call("a", {area = {w = 20, h = 12}})}, {alternatives = {{a = {area = {{w = {20, 21}, h = {12}, unit = {"m", ""}}}}}}})
    assert.is_true(eval.judge(r, {call("a", {area = {w = 20, h = 12}})}).structure)
    assert.is_true(eval.judge(r, {call("a", {area = {w = 21, h = 12, unit = "m"}})}).structure)
    assert.is_false(eval.judge(r, {call("a", {area = {w = 20, h = 13}})}).structure)
    assert.is_false(eval.judge(r, {call("a", {area = {w = 20}})}).structure)
    assert.is_false(eval.judge(r, {call("a", {area = {w = 20, h = 12, z = 1}})}).structure)
    r = row({call("a", {list = {{k = "x"}}})}, {alternatives = {{a = {list = {{{k = {"x", "y"}}}}}}}})
    assert.is_true(eval.judge(r, {call("a", {list = {{k = "y"}}})}).structure)
    assert.is_false(eval.judge(r, {call("a", {list = {{k = "z"}}})}).structure)
  end)

  it("knows nested alternatives as BFCL writes them", function()
    -- math.mix(parts = [{"name": "water", "share": 0.5}, ...], order = [3, 1], factor = 5, label) with what its file accepts
    local wanted = {parts = {{name = "water", share = 0.5}, {name = "oil", share = 0.5}}, order = {3, 1}, factor = 5}
    local r = row({call("mix", wanted)}, {alternatives = {{mix = {
      parts = {{{name = {"water", "H2O"}, share = {0.5}}, {name = {"oil"}, share = {0.5, ""}, note = {"", "cold"}}}},
      order = {{3, 1}, {3, 1, 0}}, factor = {5.0, "five"}, label = {"", "a"},
    }}}})
    local function right(change)
      local arguments = {parts = {{name = "water", share = 0.5}, {name = "oil", share = 0.5}}, order = {3, 1}, factor = 5}
      change(arguments)
      return eval.judge(r, {call("mix", arguments)}).structure
    end
    assert.is_true(right(function() end))
    assert.is_true(right(function(a) a.parts[1].name = "H2O" end))
    assert.is_true(right(function(a) a.parts[2].share = nil end)) -- inner and may be omitted
    assert.is_true(right(function(a) a.parts[2].note = "cold" end))
    assert.is_true(right(function(a) a.order = {3, 1, 0} end))
    assert.is_true(right(function(a) a.order = {3.0, 1.0} end))
    assert.is_true(right(function(a) a.factor = "five" end)) -- as its list has it
    assert.is_true(right(function(a) a.factor = json.decode "5.0" end))
    assert.is_true(right(function(a) a.label = "a" end))
    assert.is_false(right(function(a) a.order = {1, 3} end)) -- lists have an order
    assert.is_false(right(function(a) a.order = {3} end))
    assert.is_false(right(function(a) a.parts[1], a.parts[2] = a.parts[2], a.parts[1] end))
    assert.is_false(right(function(a) a.parts[1].share = nil end)) -- inner and needed
    assert.is_false(right(function(a) a.parts[1].note = "cold" end)) -- only the second has a note
    assert.is_false(right(function(a) a.parts[3] = {name = "salt", share = 0} end))
    assert.is_false(right(function(a) a.factor = "5" end))
    assert.is_false(right(function(a) a.factor = 5.5 end))
    assert.is_false(right(function(a) a.factor = nil end))
    assert.is_false(right(function(a) a.label = "b" end))
    -- alternatives of the second of two calls to the same tool are its own
    r = row({call("f", {x = 1}), call("f", {x = 2})}, {alternatives = {{f = {x = {1, "one"}}}, {f = {x = {2, "two"}}}}})
    assert.is_true(eval.judge(r, {call("f", {x = "two"}), call("f", {x = "one"})}).structure)
    assert.is_false(eval.judge(r, {call("f", {x = "one"}), call("f", {x = 1})}).structure)
  end)

  describe("by words alone", function()
    local overlap = require "mobilellm.eval.overlap"
    local function tool(name, description, ...)
      local properties = {}
      for _, key in ipairs{...} do properties[key] = {type = "string"} end
      return {name = name, description = description, parameters = {type = "object", properties = properties}}
    end
    local lamp, lock = tool("lamp.on", "Switch a lamp on", "room"), tool("door.lock", "Lock a door", "door")
    local play = tool("play", "Play a song", "title")
    local function said(text, tools, ...)
      local calls = {}
      for i, name in ipairs{...} do calls[i] = call(name) end
      local messages = {{role = "system", content = "play lock song title door"}, {role = "user", content = text}}
      return row(calls, {messages = messages, tools = tools})
    end

    it("picks the tool with the most words in common, draws by lot among equals", function()
      -- "lamp", "room" of lamp.on; "door" of door.lock; none of play
      assert.equal(1, overlap.of(said("the lamp in the room by the door", {lock, lamp, play}, "lamp.on")))
      assert.equal(0, overlap.of(said("the lamp in the room by the door", {lock, lamp, play}, "door.lock")))
      -- one word each: one of two
      assert.equal(0.5, overlap.of(said("lamp and door", {lock, lamp, play}, "lamp.on")))
      -- nothing in common: one of three; forms of a word are one word, however often it is said
      assert.near(1 / 3, overlap.of(said("hm", {lock, lamp, play}, "play")), 1e-12)
      assert.equal(0.5, overlap.of(said("lamps lamps lamp, locking", {lock, lamp}, "door.lock")))
      -- two tools wanted: the two with the most words, any of two for the second place
      assert.equal(0.5, overlap.of(said("lamp in the room", {lock, lamp, play}, "lamp.on", "play")))
      assert.near(1 / 3, overlap.of(said("hm", {lock, lamp, play}, "lamp.on", "play")), 1e-12)
      assert.equal(1, overlap.of(said("hm", {lock}, "door.lock", "door.lock")))
      assert.equal(0, overlap.of(said("lamp", {lock}, "lamp.on"))) -- its tool is not there
      assert.is_nil(overlap.of(said("lamp", {lock, lamp})))
    end)

    it("is counted beside the model", function()
      local rows = {said("lamp in the room", {lock, lamp}, "lamp.on"), said("hm", {lock, lamp}, "lamp.on"), said("hm", {lock, lamp})}
      local s = eval.rows(nil, rows, {answer = function() return {calls = {}, text = ""} end})
      assert.equal(0.75, s.overlap)
      assert.equal(0, s.em_intent)
      s = eval.rows(nil, {rows[3]}, {answer = function() return {calls = {}, text = ""} end})
      assert.is_nil(s.overlap)
    end)

    it("puts the tools beside a row's that are most like the right one, the same for a seed", function()
      local off, dim = tool("lamp.off", "Switch a lamp off", "room"), tool("lamp.dim", "Dim a lamp in a room", "room", "level")
      local open = tool("door.open", "Open a door", "door")
      local rows = {
        said("a", {lamp, play}, "lamp.on"), said("b", {off, open}, "lamp.off"), said("c", {dim, lock}),
        said("d", {lamp}, "lamp.on", "door.lock"), said("e", {lamp, lock}, "lamp.on", "door.lock"),
      }
      local function names(r)
        local list = {}
        for i, t in ipairs(r.tools) do list[i] = t.name end
        return list
      end
      local function sorted(list)
        table.sort(list)
        return table.concat(list, " ")
      end
      local with = overlap.look_alikes(rows, 2, 1)
      assert.equal("lamp.dim lamp.off lamp.on play", sorted(names(with[1])))
      assert.equal("door.open lamp.dim lamp.off lamp.on", sorted(names(with[2])))
      assert.same({"lamp.dim", "door.lock"}, names(with[3])) -- nothing is called: nothing is added
      assert.equal("lamp.dim lamp.off lamp.on", sorted(names(with[4])))
      assert.same({"lamp.on", "play"}, names(rows[1])) -- the rows themselves stay
      assert.equal(rows[1].calls, with[1].calls)
      assert.equal(6, #overlap.look_alikes(rows, 50, 1)[1].tools) -- there are no more
      for seed = 1, 3 do
        local one, two = overlap.look_alikes(rows, 3, seed), overlap.look_alikes(rows, 3, seed)
        for i in ipairs(rows) do assert.same(names(one[i]), names(two[i])) end
      end
      local orders = {}
      for seed = 1, 20 do orders[table.concat(names(overlap.look_alikes(rows, 2, seed)[1]), " ")] = true end
      assert.is_true(next(orders, next(orders)) ~= nil)
      -- two tools are called: look-alikes of the one and of the other by turns
      local both = sorted(names(overlap.look_alikes(rows, 2, 1)[5]))
      assert.is_true(both == "door.lock door.open lamp.off lamp.on" or both == "door.lock door.open lamp.dim lamp.on", both)
    end)
  end)

  -- The answers come from a table instead of a model.
  local function score(rows, answers)
    local i = 0
    return eval.rows(nil, rows, {answer = function()
      i = i + 1
      if answers[i] == "long" then return nil, "the prompt is too long", "context" end
      return {calls = answers[i], text = ""}
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
      return {calls = {}, text = ""}
    end})
    assert.same({"model", 7, "q8_0"}, {seen[1], seen[3].max_tokens, seen[3].kv_type})
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

  it("counts a prompt that does not fit as wrong, and not as no call", function()
    local s = score({row{call("a")}, row{}}, {"long", "long"})
    assert.equal(2, s.too_long)
    assert.equal(0, s.em_intent)
    assert.equal(0, s.refusal_recall)
    assert.is_nil(s.refusal_precision)
    assert.equal(0, s.accuracy)
  end)

  it("counts the parts of a set apart where there are several", function()
    local rows = {
      row({call("a")}, {kind = "call", seen = true}), row({call("a")}, {kind = "call", seen = false}),
      row({}, {kind = "chat", seen = true}),
    }
    local s = score(rows, {{call("a")}, {}, {}})
    local names = {}
    for _, part in ipairs(s.parts) do names[part.name] = part.score end
    assert.equal(0.5, names["kind=call"].em_intent)
    assert.equal(1, names["kind=chat"].refusal_recall)
    assert.equal(0, names["seen=false"].em_intent)
    assert.equal(2, names["seen=true"].rows)
    assert.equal(4, #s.parts)
  end)

  it("says which rows want what their tools do not allow", function()
    local tool = {name = "a", parameters = {type = "object", properties = {x = {type = "string"}}}}
    local rows = {}
    for i, c in ipairs{call("a", {x = "1"}), call("a", {y = "1"}), call("b")} do rows[i] = row({c}, {tools = {tool}}) end
    assert.equal(2, score(rows, {{}, {}, {}}).outside)
  end)

  it("knows intervals, calibration and the overlap of texts", function()
    local measure = require "mobilellm.eval.measure"
    -- Wilson 1927, 95 %: 8 of 10 is 0.490 to 0.943 (Newcombe 1998 has more of these)
    local interval = measure.wilson(8, 10)
    assert.near(0.4902, interval[1], 1e-4)
    assert.near(0.9433, interval[2], 1e-4)
    assert.is_nil(measure.wilson(0, 0))
    local c = measure.calibration{{0.95, true}, {0.85, true}, {0.85, false}, {0.05, false}}
    assert.near((math.abs(0.95 - 1) + 2 * math.abs(0.85 - 0.5) + 0.05) / 4, c.ece, 1e-12)
    assert.equal(2, c.bins[9].rows)
    assert.equal(0.5, c.bins[9].right)
    assert.same({at = 0.9, share = 0.25, right = 1}, c.thresholds[10])
    -- "the cat sat" against "the cat is here": 2 common of 3 and 4; the longest common subsequence has 2
    local one, l = measure.rouge("The cat sat.", "the cat is here")
    assert.near(4 / 7, one, 1e-12)
    assert.near(4 / 7, l, 1e-12)
    one, l = measure.rouge("b a", "a b")
    assert.same({1, 0.5}, {one, l})
    assert.equal(0, (measure.rouge("", "a")))
    local column = {}
    for i = 1, 100 do column[i] = i <= 50 and 1 or 0 end
    local boot = measure.bootstrap({column}, function(sums) return sums[1] / 100 end)
    assert.is_true(boot[1] > 0.35 and boot[1] < 0.45 and boot[2] > 0.55 and boot[2] < 0.65)
  end)

  it("leaves out the oldest turns of what does not fit", function()
    local model = assert(require "mobilellm".load("agents/model/home.gguf", {threads = 1}))
    local said = {{role = "system", content = "Devices:"}}
    for i = 1, 40 do
      said[#said + 1] = {role = "user", content = ("turn %d of a long conversation about the weather"):format(i)}
      said[#said + 1] = {role = "assistant", content = "", tool_calls = {{name = "f", arguments = {}}}}
      said[#said + 1] = {role = "tool", content = "result " .. i}
    end
    said[#said + 1] = {role = "user", content = "last words"}
    local ids, shortened = eval.prompt(model, {}, said, 64)
    assert.is_true(shortened)
    assert.is_true(#ids <= model:info().context - 64)
    local text = model:detokenize(ids, {special = true})
    assert.matches("Devices:", text, 1, true)
    assert.matches("last words", text, 1, true)
    assert.matches("turn 40", text, 1, true)
    assert.is_nil(text:find("turn 1 of", 1, true))
    local _, _, code = eval.prompt(model, {}, {{role = "user", content = ("word "):rep(600)}}, 64)
    assert.equal("context", code)
    model:close()
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
      write '{"tools": [], "messages": [], "calls": [{"name": 1}]}'
      rows, message = eval.read(path)
      assert.is_nil(rows)
      assert.matches("line 1: a call without name or arguments", message)
    end)

    it("picks rows at random, the same ones for a seed", function()
      local lines = {}
      for i = 1, 50 do lines[i] = json.encode(row({call("a")}, {id = i})) end
      write(table.concat(lines, "\n"))
      local function ids(options)
        local list = {}
        for i, r in ipairs(assert(eval.read(path, options))) do list[i] = r.id end
        return list
      end
      local one = ids{sample = 10, seed = 3}
      assert.equal(10, #one)
      assert.same(one, ids{sample = 10, seed = 3})
      assert.not_same(one, ids{sample = 10, seed = 4})
      assert.equal(50, #ids{sample = 60})
    end)

    it("makes rows of the paper's conversations", function()
      local folder = path .. ".windows"
      os.execute("mkdir '" .. folder .. "'")
      path = folder .. "/w.jsonl"
      write(json.encode{id = "w", conversation = {
        {role = "USER", message = "Two seats for Nosferatu"},
        {role = "PARSER", message = 'Buy(seats = 2, title = "Nosferatu")', surface = 'Buy(seats = "2", title = "nosferatu")'},
        {role = "AGENT", message = "Done."}, {role = "USER", message = "And the time?"}, {role = "PARSER", message = "When()"},
      }})
      local rows, message = eval.read(path)
      assert.is_nil(rows)
      assert.matches("apis.json", message, 1, true)
      local apis = assert(io.open(folder .. "/apis.json", "wb"))
      apis:write(json.encode{Cinema = {{name = "Buy", parameters = {properties = {seats = {type = "integer"}, title = {type = "string"}}}},
        {name = "When", parameters = {properties = {x = {type = "string"}}}}}, Other = {{name = "Sell", parameters = {properties = {}}}}})
      apis:close()
      rows = assert(eval.read(path))
      os.execute("rm -r '" .. folder .. "'")
      path = os.tmpname()
      assert.equal(2, #rows)
      assert.same({name = "Buy", arguments = {seats = 2, title = "Nosferatu"}}, rows[1].calls[1])
      assert.equal("nosferatu", rows[1].surface.title)
      assert.equal("Done.", rows[1].response)
      assert.equal(2, #rows[1].tools)
      assert.equal(1, #rows[1].messages)
      assert.equal("nosferatu", rows[2].messages[2].tool_calls[1].arguments.title)
      assert.is_nil(rows[2].response)
    end)
  end)
end)
