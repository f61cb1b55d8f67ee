package.path = "agents/model/?.lua;" .. package.path
local api_rows = require "api_rows"
local bind_rows = require "bind_rows"
local data = require "data"
local described_rows = require "described_rows"
local made_tools = require "made_tools"
local skill_rows = require "skill_rows"
local signature = require "mobilellm.signature"
local talks = require "talks"

local function light_row()
  return {
    tools = {
      {name = "light.turn_on", description = "Turn a device on", parameters = {type = "object",
        properties = {entity_id = {type = "string"}, color = {type = "string"}, brightness = {type = "integer"}},
        required = {"entity_id"}}},
      {name = "lock.lock", description = "Lock a door",
        parameters = {type = "object", properties = {entity_id = {type = "string"}}, required = {"entity_id"}}},
    },
    messages = {
      {role = "system", content = "Devices:\nlight.kitchen 'Kitchen Light'\nlock.door 'Front Door'"},
      {role = "user", content = "Turn the Kitchen Light Red"},
    },
    calls = {{name = "light.turn_on", arguments = {entity_id = "light.kitchen", color = "Red"}}}, kind = "call",
  }
end

local function find(list, key, value)
  for _, item in ipairs(list) do
    if item[key] == value then return item end
  end
end

-- Every call names a tool that is offered, with parameters that it has.
local function consistent(row)
  for _, call in ipairs(row.calls) do
    local tool = find(row.tools, "name", call.name)
    assert.is_table(tool, "no tool " .. call.name)
    for name in pairs(call.arguments) do
      assert.is_table(tool.parameters.properties[name], call.name .. ": no parameter " .. name)
    end
    for _, name in ipairs(tool.parameters.required) do assert.not_nil(call.arguments[name], name) end
  end
end

describe("training rows", function()
  it("come from numbers that are the same on every Lua", function()
    local random = data.random(7)
    local numbers = {}
    for i = 1, 5 do numbers[i] = random.integer(1, 1000) end
    assert.same({numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]}, {435, 478, 69, 156, 648})
    local sum = 0
    for _ = 1, 2000 do sum = sum + random.number() end
    assert.is_true(sum > 940 and sum < 1060)
  end)

  it("find a value only as whole words", function()
    assert.is_nil(data.find_value("forty cats", "cat"))
    assert.equal(7, (data.find_value("forty cat", "cat")))
    assert.equal(5, (data.find_value("14, 4", "4")))
  end)

  it("use what was spoken where the file has it, within the schema", function()
    local row = data.clean{
      tools = {{name = "f", parameters = {properties = {day = {type = "string"}, n = {type = "integer"},
        kind = {type = "string", enum = {"a"}}}}}},
      messages = {{role = "user", content = "today"}}, surface = {day = "today", n = "two", kind = "the a"},
      calls = {{name = "f", arguments = {day = "2019-03-01", n = 2, kind = "a"}}},
    }
    assert.same({day = "today", n = 2, kind = "a"}, row.calls[1].arguments)
  end)

  it("stay consistent however they are changed", function()
    local random, row = data.random(3), light_row()
    local pool = data.pool{row, light_row()}
    local shapes, refused = {}, 0
    for _ = 1, 300 do
      local changed = data.change(random, row, {pool = pool, tools = {{name = "other", description = "Other",
        parameters = {type = "object", properties = {}, required = {}}}}})
      consistent(changed)
      if #changed.calls == 0 then
        refused = refused + 1
        assert.is_nil(find(changed.tools, "name", "light.turn_on"))
      else
        local listed = false -- the device, whatever its parameter is called now
        for _, value in pairs(changed.calls[1].arguments) do
          listed = listed or changed.messages[1].content:find(tostring(value), 1, true) ~= nil
        end
        assert.is_true(listed)
      end
      shapes[signature.render(changed.tools, changed.messages)] = true
    end
    assert.is_true(refused > 2 and refused < 60)
    local different = 0
    for _ in pairs(shapes) do different = different + 1 end
    assert.is_true(different > 100)
    assert.same(light_row(), row) -- the row itself is untouched
  end)

  it("are made for many small services: what is called was said, as it is called", function()
    local random, kinds, names, conversations = data.random(13), {}, {}, 0
    local spoken = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}
    for _ = 1, 1200 do
      local row = data.api_row(random)
      consistent(row)
      kinds[row.kind] = (kinds[row.kind] or 0) + 1
      if #row.messages > 3 then conversations = conversations + 1 end
      local texts, schemas = {}, {}
      for i, message in ipairs(row.messages) do texts[i] = message.content end
      for _, tool in ipairs(row.tools) do schemas[tool.name] = tool.parameters.properties end
      local text = table.concat(texts, "\n")
      local digits = text:gsub("(%d),(%d%d%d)", "%1%2"):gsub("(%d),(%d%d%d)", "%1%2")
      for _, call in ipairs(row.calls) do
        names[call.name] = true
        for key, value in pairs(call.arguments) do
          local many = type(value) == "table"
          for _, item in ipairs(many and value or {value}) do
            local schema = schemas[call.name][key]
            if many then schema = schema.items end
            if type(item) == "number" then
              local plain, share = ("%.14g"):format(item), ("%.14g"):format(item * 100) -- 0.07 is said as 7 %
              local found = digits:find(plain, 1, true) or spoken[item] and text:lower():find(spoken[item], 1, true)
              assert.is_truthy(found or schema.type == "number" and digits:find(share, 1, true), key .. " = " .. plain .. "\n" .. text)
            elseif type(item) == "string" and not schema.enum then
              assert.is_truthy(text:find(item, 1, true), key .. " = " .. item .. "\n" .. text)
            end
          end
        end
      end
      consistent(data.change(random, row, {}))
    end
    local different = 0
    for _ in pairs(names) do different = different + 1 end
    assert.is_true(different > 100 and kinds.parallel > 150 and kinds.call > 600)
    assert.is_true(kinds.irrelevant > 20 and kinds.missing > 10)
    assert.is_true(conversations > 150)
  end)

  it("may stand beside tools of another kind, none of which says what is called", function()
    local random, others, mixed = data.random(29), {}, 0
    for i, name in ipairs{"light.turn_off", "timer_set", "music_query", "Lock door", "light_query"} do
      others[i] = {name = name, description = i == 3 and "Turn the music on" or "", parameters = {type = "object",
        properties = {}, required = {}}}
    end
    for _ = 1, 60 do
      local row = light_row()
      data.mix(random, row, others, 4)
      consistent(row)
      assert.is_nil(find(row.tools, "name", "lock.lock")) -- was not called
      for i, tool in ipairs(row.tools) do
        assert.is_true(tool.name == "light.turn_on" or tool.name == "timer_set" or tool.name == "Lock door", tool.name)
        for k = 1, i - 1 do assert.not_equal(tool.name, row.tools[k].name) end
      end
      if #row.tools > 1 then mixed = mixed + 1 end
    end
    assert.is_true(mixed > 40)
    assert.equal("", others[1].description)
  end)

  it("log in before a tool that wants it, and use what came back", function()
    local random, first, after = data.random(23), 0, 0
    for _ = 1, 300 do
      local row = {tools = {}, messages = {}, calls = {}}
      if talks.login(random, row, random.pick(api_rows.services)) then
        consistent(row)
        local login, call, result = row.tools[1], row.calls[1], nil
        for _, message in ipairs(row.messages) do
          if message.role == "tool" and not result then result = message.content end
        end
        if call.name == login.name then
          first = first + 1
          assert.is_nil(result)
        else
          after = after + 1
          local found = false
          for name, value in pairs(call.arguments) do
            if type(value) == "string" and result:find('"' .. value .. '"', 1, true) then
              found = true
              assert.is_nil(row.messages[1].content:find(value, 1, true), name) -- nobody can have said it before
            end
          end
          assert.is_true(found, result)
        end
      end
    end
    assert.is_true(first > 60 and after > 60)
  end)

  it("name no tool of the small services like one of the rows that the model is measured on", function()
    local folder = (os.getenv "MLLM_SHARED" or "../shared") .. "/calls/public-eval"
    local listing = assert(io.popen("ls '" .. folder .. "'/*.jsonl.gz 2>/dev/null"))
    local files, seen = 0, {}
    for path in listing:lines() do
      files = files + 1
      for _, row in ipairs(assert(data.read(path))) do
        for _, tool in ipairs(row.tools) do seen[tool.name] = path end
      end
    end
    listing:close()
    if files == 0 then return pending("no rows in " .. folder) end
    assert.is_not_nil(next(seen))
    local names = {}
    for i, name in ipairs(api_rows.names) do names[i] = name end
    local random = data.random(19)
    for _ = 1, 4000 do names[#names + 1] = made_tools.new(random).name end
    for _ = 1, 2000 do
      local row = {tools = {}, messages = {}, calls = {}}
      if talks.login(random, row, api_rows.services[1]) then names[#names + 1] = row.tools[1].name end
    end
    for _, name in ipairs(names) do assert.is_nil(seen[name], name .. " is in " .. tostring(seen[name])) end
  end)

  it("are made from declarations alone: what is called was said, and what is not fits nothing", function()
    local function tool(name, description, properties, required)
      return {name = name, description = description, parameters = {type = "object", properties = properties, required = required}}
    end
    local text, whole = {type = "string"}, {type = "integer"}
    local tools = {
      tool("getRobotBattery", "Retrieve the battery level of a robot", {robot_id = text}, {"robot_id"}),
      tool("getDroneBattery", "Retrieve the battery level of a drone", {drone_id = text}, {"drone_id"}),
      tool("bookTable", "Book a table in a restaurant (e.g., outdoors).", {restaurant = text, guests = whole, date = text}, {"guests"}),
      tool("list_files", "", {folder = text}, {"folder"}), -- says nothing of itself: is not used
    }
    local maker, random = described_rows.new(tools), data.random(17)
    assert.equal(3, maker.count)
    local kinds, called, put_together, turns = {}, {}, 0, 0
    for _ = 1, 600 do
      local row = maker:row(random)
      consistent(row)
      kinds[row.kind] = (kinds[row.kind] or 0) + 1
      local said = {}
      for i, message in ipairs(row.messages) do said[i] = message.content:lower() end
      if #said > 1 then turns = turns + 1 end
      said = table.concat(said, "\n")
      for _, call in ipairs(row.calls) do
        called[call.name] = true
        for key, value in pairs(call.arguments) do
          for _, item in ipairs(type(value) == "table" and value or {value}) do
            if type(item) == "number" then item = ("%.14g"):format(item) end
            if type(item) == "string" then assert.is_truthy(said:find(item:lower(), 1, true), key .. " = " .. item .. " in " .. said) end
          end
        end
      end
      for i, one in ipairs(row.tools) do
        if not one.name:find "^get%u%a+Battery" and one.name ~= "bookTable" then put_together = put_together + 1 end
        for k = 1, i - 1 do assert.not_equal(one.name, row.tools[k].name) end
      end
      assert.is_true(#row.calls > 0 or row.kind == "irrelevant")
      consistent(data.change(random, row, {}))
    end
    assert.is_true(called.getRobotBattery and called.getDroneBattery and called.bookTable)
    assert.is_nil(called.list_files)
    assert.is_true(kinds.parallel > 100 and kinds.call > 200 and kinds.irrelevant > 10 and turns > 30 and put_together > 300)
    assert.same(maker:row(data.random(5)), maker:row(data.random(5)))
  end)

  it("are made to practise choosing: the words of a tool are said where it is called, and none where nothing is", function()
    local random, kinds = data.random(23), {}
    local words = {}
    for word in ("amber basin cedar delta ember fjord grove heron inlet jasper knoll larch maple north orbit pearl quartz ridge sable" ..
      " tulip under valley willow xenon yarrow zinc"):gmatch "%a+" do words[#words + 1] = word end
    for _ = 1, 400 do
      local row = skill_rows.select(random, words)
      consistent(row)
      kinds[row.kind] = (kinds[row.kind] or 0) + 1
      local spoken = {}
      for word in row.messages[1].content:lower():gmatch "%a+" do spoken[word] = true end
      local called = {}
      for _, call in ipairs(row.calls) do called[call.name] = true end
      for _, tool in ipairs(row.tools) do
        local common = 0
        for word in tool.description:lower():gmatch "%a+" do common = common + (spoken[word] and 1 or 0) end
        if called[tool.name] then assert.is_true(common > 0, row.messages[1].content) end
        if #row.calls == 0 then assert.equal(0, common, row.messages[1].content) end
      end
    end
    assert.is_true(kinds.call > 80 and kinds.parallel > 120 and kinds.irrelevant > 20)
  end)

  it("are made to practise binding: each value is said, or came from a tool", function()
    local random, kinds, turns, results, again = data.random(29), {}, 0, 0, 0
    local words = {}
    for word in ("amber basin cedar delta ember fjord grove heron inlet jasper knoll larch maple north orbit pearl quartz ridge sable" ..
      " tulip under valley willow xenon yarrow zinc anchor beacon candle dagger engine falcon garnet hollow island"):gmatch "%a+" do
      words[#words + 1] = word
    end
    local numbers = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}
    for _ = 1, 500 do
      local row = bind_rows.row(random, words)
      consistent(row)
      kinds[row.kind] = (kinds[row.kind] or 0) + 1
      if #row.messages > 1 then turns = turns + 1 end
      local said = {}
      for _, message in ipairs(row.messages) do
        said[#said + 1] = message.content
        if message.role == "tool" then results = results + 1 end
      end
      said = table.concat(said, "\n"):lower()
      for i, call in ipairs(row.calls) do
        for name, value in pairs(call.arguments) do
          for _, one in ipairs(type(value) == "table" and value or {value}) do
            local text = type(one) == "number" and ("%.14g"):format(one) or one:lower()
            local at = said:find(text, 1, true) or said:find(numbers[one] or text, 1, true)
            assert.is_number(at, ("%s = %s: %s"):format(name, text, said))
          end
        end
        if i > 1 and row.calls[i - 1].name == call.name then again = again + 1 end
      end
    end
    assert.is_true(kinds.call > 200 and kinds.parallel > 100 and turns > 150 and results > 10 and again > 40)
    assert.same(bind_rows.row(data.random(5), words), bind_rows.row(data.random(5), words))
  end)

  it("put other values into all turns of a conversation", function()
    local random = data.random(9)
    local row = {
      tools = {{name = "find", description = "", parameters = {properties = {city = {type = "string"}}, required = {}}}},
      messages = {
        {role = "user", content = "a hotel in Rome"}, {role = "assistant", content = "Rome it is?"}, {role = "user", content = "yes"},
      },
      calls = {{name = "find", arguments = {city = "Rome"}}},
    }
    local pool, exchanged = {["find\0city"] = {"Bern", "Lima", "Oslo", "Paris"}}, 0
    for _ = 1, 100 do
      local changed = data.change(random, row, {pool = pool, exchange = 1})
      local _, value = next(changed.calls[1].arguments)
      assert.equal("a hotel in " .. value, changed.messages[1].content)
      assert.equal(value .. " it is?", changed.messages[2].content)
      if value ~= "Rome" then exchanged = exchanged + 1 end
    end
    assert.is_true(exchanged > 30)
  end)

  it("lose the oldest turns where no value is lost with them", function()
    local function talk(first)
      local messages = {{role = "system", content = "today"}, {role = "user", content = first}}
      for i = 1, 10 do messages[#messages + 1] = {role = i % 2 == 1 and "assistant" or "user", content = "turn " .. i} end
      return {messages = messages, calls = {{name = "f", arguments = {city = "Rome"}}}}
    end
    local row = talk "hello"
    row.messages[10].content = "to Rome"
    assert.is_true(data.shorten(row))
    assert.equal(8, #row.messages)
    assert.equal("today", row.messages[1].content)
    assert.equal("user", row.messages[2].role)
    assert.is_false(data.shorten(row))
    assert.is_false(data.shorten(talk "to Rome"))
  end)

  it("take apart what asks for several things, and put such wishes together", function()
    local function tool(name, key)
      return {name = name, description = "", parameters = {properties = {[key] = {type = "string"}}, required = {}}}
    end
    local wishes = data.wishes{{
      tools = {tool("weather", "city"), tool("call", "who")},
      messages = {{role = "user", content = "Look up the weather in Oslo. Then call Ann!"}},
      calls = {{name = "weather", arguments = {city = "Oslo"}}, {name = "call", arguments = {who = "Ann"}}},
    }}
    assert.equal(2, #wishes)
    local random, both = data.random(2), 0
    for _ = 1, 50 do
      local row = data.join(random, wishes)
      consistent(row)
      if #row.calls == 2 then both = both + 1 end
    end
    assert.is_true(both > 3)
  end)

  it("put other values into sentence and call alike", function()
    local random, rows = data.random(5), {}
    for i, city in ipairs{"Paris", "Rome", "Oslo", "Lima", "Bern"} do
      rows[i] = {
        tools = {{name = "weather", description = "", parameters = {properties = {city = {type = "string"}}, required = {}}}},
        messages = {{role = "user", content = "weather in " .. city .. " please"}},
        calls = {{name = "weather", arguments = {city = city}}},
      }
    end
    local pool, exchanged = data.pool(rows), 0
    for _ = 1, 200 do
      local changed = data.change(random, rows[1], {pool = pool})
      local _, value = next(changed.calls[1].arguments)
      assert.is_truthy(data.find_value(changed.messages[1].content, value))
      if value:lower() ~= "paris" then exchanged = exchanged + 1 end
    end
    assert.is_true(exchanged > 10)
  end)

  it("are made for smart homes: calls for devices that are there, none for others", function()
    local random = data.random(11)
    local kinds = {}
    for _ = 1, 500 do
      local row = data.home_row(random)
      kinds[row.kind] = (kinds[row.kind] or 0) + 1
      consistent(row)
      for _, call in ipairs(row.calls) do
        assert.is_truthy(row.messages[1].content:find("\n" .. call.arguments.entity_id .. " '", 1, true))
        for _, value in pairs(call.arguments) do
          if type(value) == "number" then assert.is_truthy(data.find_value(row.messages[2].content, ("%d"):format(value))) end
        end
      end
      if row.kind == "missing_device" or row.kind == "chat" or row.kind == "irrelevant" then assert.equal(0, #row.calls) end
      assert.is_nil(row.messages[2].content:find "%f[%w][DVW]%f[%W]")
    end
    for _, kind in ipairs{"call", "parallel", "missing_device", "chat", "irrelevant"} do assert.is_true((kinds[kind] or 0) > 5) end
  end)

  it("are made to practise copying: everything said stands in the sentence", function()
    local random = data.random(13)
    for _ = 1, 200 do
      local row = skill_rows.copy(random, {"alpha", "beta", "gamma", "Delta-4"})
      consistent(row)
      local sentence = row.messages[1].content
      assert.is_truthy(sentence:find(row.calls[1].name, 1, true))
      for name, value in pairs(row.calls[1].arguments) do assert.is_truthy(sentence:find(name .. " " .. value, 1, true)) end
    end
  end)

  it("can be told apart by sentence and calls", function()
    local a, b = light_row(), light_row()
    assert.equal(data.key(a), data.key(b))
    b.calls[1].arguments.color = "Blue"
    assert.not_equal(data.key(a), data.key(b))
    b = light_row()
    b.messages[2].content = "turn  the kitchen light red"
    assert.equal(data.key(a), data.key(b))
  end)
end)
