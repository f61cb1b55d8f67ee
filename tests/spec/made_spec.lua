local mobilellm = require "mobilellm"
local maker = require "mobilellm.train.made"
local LUA = os.getenv "MLLM_TEST_LUA" or "lua5.4"

local tools = {
  {name = "lamp.set", description = "Set the color of a lamp", parameters = {type = "object", required = {"lamp"}, properties = {
    lamp = {type = "string", examples = {"desk lamp", "reading light"}}, color = {type = "string", enum = {"red", "warm_white"}},
    brightness = {type = "integer", minimum = 5, maximum = 95}, slowly = {type = "boolean"},
    scenes = {type = "array", items = {type = "string"}}}}},
  {name = "lamp.off", description = "Switch off everything", phrases = {"good night", "lights out", "all off", "it is bed time"},
    parameters = {type = "object", properties = {}}},
  {name = "lamp.name", description = "Rename a lamp", phrases = {"call the {old} {new} from now on", "{old} is {new} now"},
    parameters = {type = "object", required = {"old", "new"}, properties = {old = {type = "string"}, new = {type = "string"}}}},
}

local function sentence(row) return row.messages[1].content end

describe("rows made from tools", function()
  local made
  setup(function() made = assert(maker.make(tools, {rows = 400, test = 120, seed = 2})) end)

  it("have calls that their tools allow", function()
    local called, kinds, arguments = {}, {}, {}
    assert.equal(400, #made.train)
    assert.is_true(#made.test >= 100)
    assert.same({}, made.notes)
    for _, side in ipairs{"train", "test"} do
      for _, row in ipairs(made[side]) do
        kinds[row.kind] = (kinds[row.kind] or 0) + 1
        local by_name = {}
        for _, tool in ipairs(row.tools) do
          assert.is_nil(by_name[tool.name])
          assert.is_nil(tool.phrases) -- the model does not see them
          by_name[tool.name] = tool
        end
        for _, call in ipairs(row.calls) do
          local tool = assert(by_name[call.name], sentence(row))
          called[call.name] = (called[call.name] or 0) + 1
          local schema = {type = "object", properties = tool.parameters.properties, required = tool.parameters.required,
            additionalProperties = false}
          assert(mobilellm.json.validate(schema, call.arguments))
          for name, value in pairs(call.arguments) do
            arguments[call.name .. "." .. name] = true
            local said = sentence(row)
            if type(value) == "string" then assert.truthy(said:lower():find(value:gsub("_", " "):lower(), 1, true), said) end
            if type(value) == "number" then assert.truthy(said:find(("%d"):format(value), 1, true), said) end
          end
        end
      end
    end
    for _, tool in ipairs(tools) do
      assert.is_true(called[tool.name] > 20)
      for name in pairs(tool.parameters.properties) do assert.truthy(arguments[tool.name .. "." .. name], name) end
    end
    for _, kind in ipairs{"new values", "new phrase", "no call"} do assert.is_true((kinds[kind] or 0) > 5, kind) end
  end)

  it("do not show the test what was learned", function()
    local known, values = {}, {}
    for _, row in ipairs(made.train) do
      known[sentence(row):lower():gsub("%s+", " "):gsub("[.!?]+$", "")] = true
      for _, call in ipairs(row.calls) do
        for name, value in pairs(call.arguments) do
          if type(value) == "string" and name ~= "color" then values[value:lower()] = true end
        end
      end
    end
    local free = 0
    for _, row in ipairs(made.test) do
      assert.is_nil(known[sentence(row):lower():gsub("%s+", " "):gsub("[.!?]+$", "")], sentence(row))
      local open, new = 0, 0
      for _, call in ipairs(row.calls) do
        for name, value in pairs(call.arguments) do
          for _, item in ipairs(type(value) == "table" and value or {value}) do
            if type(item) == "string" and name ~= "color" then
              open, new = open + 1, new + (values[item:lower()] and 0 or 1)
            end
          end
        end
      end
      if open > 0 then
        free = free + 1
        assert.is_true(new > 0, sentence(row))
      end
    end
    assert.is_true(free > 40)
    local both = maker.overlap(made.train, made.test)
    assert.same({0, 0}, {both.sentences, both.rows})
    assert.is_true(both.values < both.of_values / 2)
    both = maker.overlap(made.train, made.train) -- it can tell
    assert.equal(#made.train, both.sentences)
    assert.equal(both.of_values, both.values)
    for _, row in ipairs(made.train) do assert.not_equal("new phrase", row.kind) end
  end)

  it("are the same for a seed, and refuse where the tool is away", function()
    local again, other = maker.make(tools, {rows = 400, test = 120, seed = 2}), maker.make(tools, {rows = 400, test = 120, seed = 3})
    local same = 0
    for i, row in ipairs(made.train) do
      assert.equal(sentence(row), sentence(again.train[i]))
      if sentence(other.train[i]) == sentence(row) then same = same + 1 end
    end
    assert.is_true(same < 100)
    local silent, offered = 0, 0
    for _, row in ipairs(made.train) do
      if #row.calls == 0 then
        silent = silent + 1
        if #row.tools > 0 then offered = offered + 1 end
      end
    end
    assert.is_true(silent > 40 and silent < 140 and offered > silent / 2)
  end)

  it("take phrases and values out of the author's rows", function()
    local data = {}
    for i, name in ipairs{"desk", "shelf", "sofa"} do
      data[i] = {tools = tools, messages = {{role = "user", content = ("kindly tint %s in red at %d"):format(name, 10 + i)}},
        calls = {{name = "lamp.set", arguments = {lamp = name, color = "red", brightness = 10 + i}}}}
    end
    local with = assert(maker.make(tools, {rows = 300, test = 60, data = data}))
    assert.equal(data[1], with.train[1])
    local phrases, new = 0, {}
    for i = 4, #with.train do
      local name = sentence(with.train[i]):match "[Kk]indly tint (.-) in "
      if name then
        phrases = phrases + 1
        new[name] = true
      end
    end
    assert.is_true(phrases > 20)
    local count = 0
    for _ in pairs(new) do count = count + 1 end
    assert.is_true(count > 10)
    for _, row in ipairs(with.test) do -- what the author's rows have is learned
      assert.is_nil(sentence(row):find("tint sofa in", 1, true) and row.calls[1] and row.calls[1].arguments.brightness == 13 or nil)
    end
    assert.equal(0, maker.overlap(with.train, with.test).sentences)
  end)

  it("say what cannot be made", function()
    local list = {{name = "f", parameters = {type = "object", required = {"o"}, properties = {o = {type = "object"}}}}, tools[2]}
    local some = assert(maker.make(list, {rows = 50, test = 10}))
    assert.matches("f.o: values of its type cannot be made", table.concat(some.notes))
    local none, message = maker.make({{name = "f", phrases = {1}, parameters = {}}})
    assert.matches("a phrase is not a text", message)
    some = assert(maker.make({{name = "f", phrases = {"do {x}", "do it"}, parameters = {}}}, {rows = 5, test = 2}))
    assert.matches("there is no parameter 'x'", some.notes[1])
    assert.is_nil(none)
    none, message = maker.make({})
    assert.is_nil(none)
    assert.equal("no tools", message)
  end)

  it("ask as people do, from declarations alone", function()
    local phrasing = require "mobilellm.train.phrasing"
    local function declared(name, description, required, properties)
      return {name = name, description = description, parameters = {type = "object", required = required, properties = properties}}
    end
    local rent = declared("bike.rent", "Rent a bike at a station", {"station"}, {station = {type = "string"},
      kind = {type = "string", enum = {"city bike", "cargo bike"}}, hours = {type = "integer", minimum = 1, maximum = 3}})
    local hold = declared("library.holdBook", "Reserve a book. At any branch.", {"title"}, {title = {type = "string"},
      author = {type = "string", description = "Who wrote it"}})
    local stop = declared("garden.stop", "Stop watering", {}, {zone = {type = "string"}})
    local function phrases(of, alone)
      local set = {}
      for _, phrase in ipairs(phrasing.phrases(of, alone)) do
        assert.is_nil(set[phrase], phrase) -- none twice
        set[phrase] = true
      end
      return set
    end
    local found = phrases(rent)
    for _, phrase in ipairs{"rent a bike at {station}", "hire a bike", "i need {kind}", "i would like one {kind}"} do
      assert.is_true(found[phrase], phrase)
    end
    assert.is_nil(found["rent a bike at a station"]) -- a place that has to be said is said
    found = phrases(hold)
    for _, phrase in ipairs{"book {title}", "reserve the book", "keep {title} for me", "reserve a book"} do
      assert.is_true(found[phrase], phrase)
    end
    found = phrases(stop)
    assert.is_true(found["no more watering {zone}"] and found["end watering"])
    assert.is_true(phrases(hold, true)["could i have {title}"])
    assert.is_true(phrasing.is_order("hire a bike", rent) and not phrasing.is_order("i need {kind}", rent))
    local function joins(of, name)
      local set = {}
      for _, text in ipairs(phrasing.connectors(of, name)) do set[text] = true end
      return set
    end
    assert.is_true(joins(rent, "station")[" at {v}"] and joins(rent, "hours")[" for {v} hours"])
    assert.is_true(joins(hold, "author")[" by {v}"] and joins(hold, "title")[" called {v}"])
    assert.is_true(joins(declared("f", "", {}, {xyz = {type = "string"}}), "xyz")[" with {n} {v}"])
    -- the test has phrases that training has not
    local kinds, learned = {}, {}
    local rows = assert(maker.make({rent, hold, stop}, {rows = 600, test = 100, seed = 4}))
    for _, row in ipairs(rows.train) do learned[sentence(row)] = true end
    for _, row in ipairs(rows.test) do kinds[row.kind] = (kinds[row.kind] or 0) + 1 end
    assert.is_true(kinds["new phrase"] > 10 and kinds["new values"] > 10)
    for text in pairs(learned) do
      assert.is_nil(text:find "%f[%w]1 hours%f[%W]", text)
      assert.is_nil(text:find "[{}]", text)
    end
  end)

  it("train from the command line, with a report", function()
    local api, out, shown = os.tmpname(), os.tmpname(), os.tmpname()
    local file = assert(io.open(api, "wb"))
    file:write(mobilellm.json.encode(tools))
    file:close()
    local pipe = io.popen(("%s lua-mobilellm/bin/mobilellm train --base agents/model/home.gguf --tools '%s' --out '%s' --made '%s'"
      .. " --rows 40 --steps 2 --batch 1024 --threads 1 2>&1"):format(LUA, api, out, shown))
    local text = pipe:read "*a"
    pipe:close()
    assert.matches("made 40 rows to learn and %d+ to judge by; of the latter 0 have a learned sentence, 0 learned names only", text)
    assert.matches("before, rows made to judge by: EM_intent", text)
    assert.matches("\nby tool +rows +right tool", text)
    assert.matches("\n  lamp.set +%d+", text)
    assert.is_nil(text:find("What helps most", 1, true)) -- these tools have phrases
    local count = 0
    for line in io.lines(shown) do
      count = count + 1
      assert.truthy(mobilellm.json.decode(line).set)
    end
    assert.is_true(count > 60)
    for _, path in ipairs{api, out, shown} do os.remove(path) end
  end)
end)
