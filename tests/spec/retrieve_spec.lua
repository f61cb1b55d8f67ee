-- Which of many tools a sentence is about.
local mobilellm = require "mobilellm"
local retrieve = require "mobilellm.retrieve"
local agent, json = mobilellm.agent, mobilellm.json

local function registry()
  local text = {type = "string"}
  local function tool(name, description, properties, keywords)
    return {name = name, description = description, parameters = {type = "object", properties = properties or {}}, keywords = keywords}
  end
  return mobilellm.tools{
    tool("getWeather", "Get the forecast of a city", {city = text}, "rain snow umbrella"),
    tool("set_alarm", "Set an alarm", {time = text}),
    tool("PlayMusic", "Play a song by an artist", {artist = text, playback_device = {enum = {"kitchen speaker", "TV"}}}),
    tool("iot_hue_lightoff", "", {house_place = text}),
    tool("restaurants.reserve", "Reserve a table in a restaurant", {party_size = {type = "integer"}}),
    tool("send_email", "Send an email to a contact", {to = text, body = text}),
  }
end

local function best(text)
  return registry():rank(text)[1].tool.name
end

describe("retrieval of tools", function()
  it("takes names apart and forms of a word together", function()
    assert.same({"power", "output", "hue"}, retrieve.words "getPowerOutput_2 (hue)")
    assert.same(retrieve.words "reserve", retrieve.words "reservations")
    assert.same(retrieve.words "booked", retrieve.words "booking")
    assert.same(retrieve.words "stopping", retrieve.words "stops")
    assert.same(retrieve.words "calculate", retrieve.words "calculations")
    assert.same({"\195\164rger"}, retrieve.words "\195\132RGER")
    assert.same({}, retrieve.words "to the 3 a")
  end)

  it("finds by name, description, values and keywords", function()
    assert.equal("getWeather", best "what is the weather like")
    assert.equal("set_alarm", best "two alarms for seven please")
    assert.equal("PlayMusic", best "I want to hear songs on the kitchen speaker")
    assert.equal("iot_hue_lightoff", best "lights off")
    assert.equal("restaurants.reserve", best "make a reservation for six")
    assert.equal("getWeather", best "do I need an umbrella")
  end)

  it("lets the last of several texts count most, and earlier ones count", function()
    assert.equal("send_email", best{"the weather in Oslo", "send an email about it"})
    assert.equal("restaurants.reserve", best{"book me a restaurant", "yes please"})
  end)

  it("keeps the order of declaration where nothing is known", function()
    local names = {}
    for i, one in ipairs(registry():rank "?") do names[i], names.score = one.tool.name, one.score end
    assert.equal(0, names.score)
    assert.same("getWeather set_alarm PlayMusic", table.concat(names, " ", 1, 3))
    assert.same({}, mobilellm.tools{}:rank "x")
  end)

  it("makes a registry of some", function()
    local r = registry()
    assert.same({"set_alarm", "send_email"}, r:only{"send_email", "set_alarm"}:names())
    assert.error_matches(function() r:only{"nope"} end, "no tool 'nope'")
    local _, problems = mobilellm.tools{{name = "t", keywords = {}}}
    assert.matches("keywords must be a string", problems[1])
  end)

  it("is what an agent shows its model, and says so", function()
    local turns = {
      {kind = "turn", say = "wake me with an alarm at seven", tokens = 1, events = {
        {kind = "tool_call", call = {name = "send_email", arguments = {to = "me"}, id = "a"}}, {kind = "done", text = ""}}},
      {kind = "turn", tokens = 2, events = {{kind = "done", text = "ok"}}},
    }
    local chat = assert(agent.replay(json.encode(turns[1]) .. "\n" .. json.encode(turns[2])))
    local shown
    function chat:use(tools) shown = tools:names() end
    local a = agent.new{chat = chat, tools = registry(), retrieve = 2, retries = 0}
    local events = {}
    for event in a:run "wake me with an alarm at seven" do events[#events + 1] = event end
    assert.equal("retrieve", events[1].kind)
    assert.equal("set_alarm", events[1].tools[1].name)
    assert.equal(2, #events[1].tools)
    assert.is_true(events[1].tools[1].score > events[1].tools[2].score)
    assert.equal(2, #shown)
    assert.matches("no tool 'send_email'", chat.results[1].value.error) -- it was not shown
    assert.error_matches(function() agent.new{chat = chat, retrieve = 0} end, "option 'retrieve'")
    local few = agent.new{chat = assert(agent.replay '{"kind":"turn","say":"x","tokens":1,"events":[{"kind":"done"}]}'),
      tools = registry(), retrieve = 6}
    assert.equal("done", few:run "x"().kind)
  end)

  it("changes what a chat's prompt shows", function()
    local model = assert(mobilellm.load("agents/model/home.gguf", {threads = 1}))
    local chat = assert(model:chat{tools = registry(), messages = {{role = "user", content = "lights off"}}})
    assert.matches("send_email", chat:prompt())
    chat:use(registry():only{"set_alarm"})
    assert.matches("set_alarm", chat:prompt())
    assert.is_nil(chat:prompt():find("send_email", 1, true))
    -- and what calls are allowed
    local function called(sentence, names)
      chat:use(registry():only(names))
      local _, calls = assert(chat:ask(sentence, {tool_choice = "required", max_tokens = 60}))
      return calls[1] and calls[1].name or names[1]
    end
    assert.equal("set_alarm", called("set an alarm for seven", {"set_alarm"}))
    assert.equal("send_email", called("set an alarm for seven", {"send_email"}))
    chat:close()
    model:close()
  end)

  it("finds most of the public rows' tools among a hundred", function()
    local shared = os.getenv "MLLM_SHARED" or "../shared"
    local rows, pool, seen = {}, {}, {}
    for _, name in ipairs{"bfcl_live", "bfcl_v1", "seal_test_in", "star", "toolalpaca"} do
      local path = shared .. "/calls/public-eval/" .. name .. ".jsonl.gz"
      local file = io.open(path)
      if not file then return pending("no " .. path) end
      file:close()
      local pipe = io.popen("gzip -dc " .. path)
      local at = 0
      for line in pipe:lines() do
        at = at + 1
        if at % 20 == 0 then
          local row = assert(json.decode(line))
          if #row.calls == 1 then rows[#rows + 1] = row end
          for _, tool in ipairs(row.tools) do
            if not seen[tool.name] then pool[#pool + 1], seen[tool.name] = tool, true end
          end
        end
      end
      pipe:close()
    end
    local found, place = 0, 0
    for _, row in ipairs(rows) do
      local list, here, said = {}, {}, {}
      for _, tool in ipairs(row.tools) do
        if not here[tool.name] then list[#list + 1], here[tool.name] = tool, true end
      end
      while #list < 100 do
        place = place % #pool + 1
        if not here[pool[place].name] then list[#list + 1], here[pool[place].name] = pool[place], true end
      end
      for _, message in ipairs(row.messages) do
        if message.role == "user" then said[#said + 1] = message.content end
      end
      local ranked = retrieve.index(list):rank(said)
      for i = 1, 8 do
        if ranked[i].tool.name == row.calls[1].name then found = found + 1 end
      end
    end
    assert.is_true(#rows > 50)
    assert.is_true(found / #rows > 0.85, found .. " of " .. #rows)
  end)
end)
