local mobilellm = require "mobilellm"
local agent, json = mobilellm.agent, mobilellm.json

-- A chat that says these turns: each a text, or a list of calls {name, arguments}, or an event.
local function scripted(turns)
  local lines = {}
  for i, turn in ipairs(turns) do
    local events = json.array{}
    if type(turn) == "string" then
      events[1] = {kind = "text", text = turn}
    elseif turn.kind then
      events[1] = turn
    else
      for n, call in ipairs(turn) do
        events[n] = {kind = "tool_call", call = {name = call[1], arguments = call[2], id = ("call%d%d"):format(i, n)}}
      end
    end
    events[#events + 1] = {kind = "done", stop = "end", text = type(turn) == "string" and turn or ""}
    lines[i] = json.encode{kind = "turn", say = turn.say, events = events, tokens = 10 * i, confidence = turn.sure}
  end
  local chat = assert(agent.replay(table.concat(lines, "\n")))
  chat.heard, chat.undone = {}, 0
  local send = chat.send
  function chat:send(say, options)
    self.heard[#self.heard + 1] = {say = say or false, options = options}
    for at = self.at + 1, #self.tape do
      if self.tape[at].kind == "turn" then
        self.tape[at].say = say
        break
      end
    end
    return send(self, say)
  end
  function chat:undo()
    self.undone = self.undone + 1
    return self
  end
  return chat
end

local function registry(done)
  local text = {type = "string"}
  local function tool(name, fields)
    local out = {name = name, description = name, parameters = {type = "object", properties = {x = text}, required = {"x"}}}
    for key, value in pairs(fields) do out[key] = value end
    return out
  end
  return mobilellm.tools{
    tool("get", {call = function(args)
      done[#done + 1] = "get " .. args.x
      return {got = args.x}
    end}),
    tool("delete", {confirm = true, call = function(args)
      done[#done + 1] = "delete " .. args.x
      return "gone"
    end}),
    tool("fail", {call = function() error("no such file", 0) end}),
    tool("slow", {call = function(args)
      local said = coroutine.yield("first " .. args.x)
      return "then " .. tostring(said)
    end}),
    tool("endless", {instructions = 50000, call = function() while true do end end}),
    tool("late", {timeout = 0.05, call = function() while true do end end}),
    tool("greedy", {memory = 1000000, call = function() return #("x"):rep(1e8) end}),
  }
end

-- Runs to the end; `answers`: kind -> value or function of the event.
local function run(a, text, answers)
  local kinds, last, all = {}, nil, {}
  for event in a:run(text) do
    kinds[#kinds + 1], last, all[#all + 1] = event.kind, event, event
    local answer = answers and answers[event.kind]
    if type(answer) == "function" then answer = answer(event) end
    event.answer = answer
  end
  return table.concat(kinds, " "), last, all
end

describe("an agent", function()
  local done
  before_each(function() done = {} end)

  it("calls tools until the model answers", function()
    local chat = scripted{{{"get", {x = "a"}}, {"get", {x = "b"}}}, "All there."}
    local kinds, last = run(agent.new{chat = chat, tools = registry(done)}, "look")
    assert.equal("call result call result text done", kinds)
    assert.same({"get a", "get b"}, done)
    assert.equal("answer", last.reason)
    assert.equal("All there.", last.text)
    assert.equal(2, last.steps)
    assert.same({got = "b"}, chat.results[2].value)
    assert.equal("call12", chat.results[2].call.id)
    assert.equal("look", chat.heard[1].say)
    assert.is_false(chat.heard[2].say)
  end)

  it("asks before it does what needs a yes, and remembers", function()
    local calls = {{"delete", {x = "a"}}}
    local function tried(answer, turns)
      done = {}
      local chat = scripted(turns or {calls, "ok"})
      local kinds = run(agent.new{chat = chat, tools = registry(done)}, "clean", {approve = answer})
      return kinds, chat
    end
    local kinds, chat = tried(nil)
    local _
    assert.equal("approve result text done", kinds)
    assert.same({}, done)
    assert.same({error = "the user does not allow this"}, chat.results[1].value)
    kinds = tried(true)
    assert.equal("approve call result text done", kinds)
    assert.same({"delete a"}, done)
    _, chat = tried("rather not on a Friday")
    assert.same({error = "rather not on a Friday"}, chat.results[1].value)
    kinds = tried("always", {calls, calls, "ok"})
    assert.equal("approve call result call result text done", kinds)
    kinds = tried("never", {calls, calls, "ok"})
    assert.equal("approve result result text done", kinds)
    assert.same({}, done)
  end)

  it("lets the script run a call itself, and change a result", function()
    local chat = scripted{{{"get", {x = "a"}}}, "ok"}
    run(agent.new{chat = chat, tools = registry(done)}, "x", {call = {mine = 1}})
    assert.same({}, done)
    assert.same({mine = 1}, chat.results[1].value)
    chat = scripted{{{"get", {x = "a"}}}, "ok"}
    run(agent.new{chat = chat, tools = registry(done)}, "x", {result = "changed"})
    assert.equal("changed", chat.results[1].value)
  end)

  it("feeds errors of tools back", function()
    local chat = scripted{{{"fail", {x = "a"}}}, "Sorry."}
    local kinds, _, all = run(agent.new{chat = chat, tools = registry(done)}, "x")
    assert.equal("call result text done", kinds)
    assert.equal("no such file", all[2].problem)
    assert.same({error = "no such file"}, chat.results[1].value)
  end)

  it("makes a bad call again from where it began", function()
    local chat = scripted{{{"got", {x = "a"}}}, {{"get", {y = 1}}}, {{"get", {x = "a"}}}, "ok"}
    local kinds, _, all = run(agent.new{chat = chat, tools = registry(done), send = {seed = 5}}, "x")
    assert.equal("retry retry call result text done", kinds)
    assert.matches("no tool 'got'", all[1].problem)
    assert.equal(2, chat.undone)
    assert.is_nil(chat.heard[1].options.temperature)
    assert.same({0.7, 6}, {chat.heard[2].options.temperature, chat.heard[2].options.seed})
    assert.equal(7, chat.heard[3].options.seed)
    chat = scripted{{{"got", {x = "a"}}}, "ok"}
    kinds = run(agent.new{chat = chat, tools = registry(done)}, "x", {retry = false})
    assert.equal("retry result text done", kinds)
    assert.equal(0, chat.undone)
    assert.matches("no tool 'got'", chat.results[1].value.error)
    chat = scripted{{kind = "error", message = "broken call", raw = "{", position = 1}, "ok"}
    kinds = run(agent.new{chat = chat, tools = registry(done), retries = 0}, "x")
    assert.equal("unread text done", kinds)
    assert.matches("could not be read: broken call", chat.heard[2].say)
  end)

  it("keeps to its budgets", function()
    local again = {{"get", {x = "a"}}}
    local kinds, last = run(agent.new{chat = scripted{again, again, again}, tools = registry(done), steps = 2}, "x")
    assert.equal("call result call result limit done", kinds)
    assert.equal("limit", last.reason)
    local _, _, all = run(agent.new{chat = scripted{again, again, again}, tools = registry(done), tokens = 15}, "x")
    assert.equal("tokens", all[#all - 1].what)
    local now = 0
    local function clock()
      now = now + 1
      return now
    end
    _, _, all = run(agent.new{chat = scripted{again, again, again, again}, tools = registry(done), seconds = 3, clock = clock}, "x")
    assert.equal("seconds", all[#all - 1].what)
  end)

  it("bounds tools, and lets them wait for the script", function()
    local chat = scripted{{{"endless", {x = "a"}}}, {{"slow", {x = "b"}}}, {{"slow", {x = "c"}}}, "ok"}
    local waits = 0
    local kinds = run(agent.new{chat = chat, tools = registry(done)}, "x", {wait = function(event)
      waits = waits + 1
      return waits == 1 and event.value .. "!" or "cancel"
    end})
    assert.equal("call result call wait result call wait result text done", kinds)
    assert.matches("more than 50000 instructions", chat.results[1].value.error)
    assert.equal("then first b!", chat.results[2].value)
    assert.same({error = "cancelled"}, chat.results[3].value)
    chat = scripted{{{"late", {x = "a"}}, {"greedy", {x = "a"}}}, "ok"}
    run(agent.new{chat = chat, tools = registry(done)}, "x")
    assert.matches("more than 0.05 seconds", chat.results[1].value.error)
    assert.equal("more than 1000000 bytes of memory", chat.results[2].value.error)
    local r = mobilellm.tools{{name = "endless", call = function() while true do end end}, {name = "one", instructions = 100000,
      call = function() return 1 end}}
    chat = scripted{{{"endless", {}}, {"one", {}}}, "ok"}
    run(agent.new{chat = chat, tools = r, instructions = 10000}, "x")
    assert.matches("more than 10000 instructions", chat.results[1].value.error)
    assert.equal(1, chat.results[2].value)
  end)

  it("asks when it is not sure", function()
    local function tried(answer)
      done = {}
      local chat = scripted{{{"get", {x = "a"}}, sure = 0.2}, "ok"}
      return chat, (run(agent.new{chat = chat, tools = registry(done), threshold = 0.5}, "x", {ask = answer}))
    end
    local _, kinds = tried(true)
    assert.equal("ask call result text done", kinds)
    local chat
    chat, kinds = tried(nil)
    assert.equal("ask result text done", kinds)
    assert.matches("not sure", chat.results[1].value.error)
    chat, kinds = tried("I meant b")
    assert.equal("ask text done", kinds)
    assert.equal(1, chat.undone)
    assert.equal("I meant b", chat.heard[2].say)
    assert.same({}, done)
  end)

  it("acts, asks or refuses by how sure the model is", function()
    local function tried(sure, options, answer, tools)
      done = {}
      local chat = scripted{{{"get", {x = "a"}}, sure = sure}, "ok"}
      options.chat, options.tools = chat, tools or registry(done)
      local kinds, last = run(agent.new(options), "x", {ask = answer, refuse = answer})
      return kinds, last.reason, chat
    end
    local both = function() return {threshold = 0.8, refuse = 0.3} end
    assert.equal("call result text done", (tried(0.9, both())))
    assert.equal("ask result text done", (tried(0.5, both())))
    local kinds, reason, chat = tried(0.2, both())
    assert.equal("refuse result done", kinds)
    assert.equal("refused", reason)
    assert.matches("refused", chat.results[1].value.error)
    assert.same({}, done)
    assert.equal("refuse call result text done", (tried(0.2, both(), true)))
    assert.equal("refuse text done", (tried(0.2, both(), "I meant b")))
    assert.equal("ask result text done", (tried(nil, both()))) -- not known is not sure
    local careful = mobilellm.tools{{name = "get", threshold = 0.95, parameters = {properties = {x = {}}}, call = function() end}}
    assert.equal("ask result text done", (tried(0.9, both(), nil, careful)))
    assert.equal("ask result text done", (tried(0.9, {}, nil, careful)))
    assert.error_matches(function() agent.new{chat = chat, refuse = 2} end, "option 'refuse': a number from 0 to 1")
    assert.matches("threshold must be a number from 0 to 1", mobilellm.tools{{name = "t", threshold = "high"}}.problems[1])
  end)

  it("is recorded and replayed byte for byte", function()
    local function traced(chat)
      local lines = {}
      local a = agent.new{chat = chat, tools = registry(done), threshold = 0.5, trace = function(line) lines[#lines + 1] = line end}
      run(a, "x", {approve = "always", ask = true, wait = "go"})
      return table.concat(lines, "\n"), a:record()
    end
    local turns = {{{"get", {x = "a"}}, sure = 0.3}, {{"delete", {x = "b"}}, {"nope", {x = 1}}}, {{"slow", {x = "c"}}}, "done \195\169"}
    local trace, record = traced(scripted(turns))
    local again, same = traced(assert(agent.replay(record)))
    assert.equal(trace, again)
    assert.equal(record, same)
    for line in trace:gmatch "[^\n]+" do assert.is_table(json.decode(line)) end
    local ok, message = pcall(run, agent.new{chat = assert(agent.replay(record)), tools = registry(done)}, "another text")
    assert.is_false(ok)
    assert.matches("the record has 'x'", message)
    local none, why, code = agent.replay "{"
    assert.is_nil(none)
    assert.is_string(why)
    assert.equal("format", code)
  end)

  it("hands on errors of the chat and of the script", function()
    local chat = scripted{{kind = "error", message = "the context is full", code = "context"}}
    local kinds, last = run(agent.new{chat = chat}, "x")
    assert.equal("error done", kinds)
    assert.equal("error", last.reason)
    assert.error_matches(function() agent.new{chat = chat, step = 1} end, "unknown option 'step'")
    assert.error_matches(function() agent.new{} end, "option 'chat'")
    assert.error_matches(function() agent.new{chat = chat}:run() end, "a text expected")
  end)

  it("drives a real chat", function()
    local model = assert(mobilellm.load("tests/golden/tiny.gguf", {threads = 1, kernel = "reference"}))
    local tools = registry(done)
    local said = {'<tool_call>{"name": "get", "arguments": {"x": "a"}}</tool_call>', "fine"}
    local ids, at = {}, 0
    for _, text in ipairs(said) do
      for _, id in ipairs(model:tokenize(text)) do ids[#ids + 1] = id end
      ids[#ids + 1] = model:info().eos
    end
    local template = "{% for t in tools or [] %}{{ t.function.name }}{{ t.function.parameters.properties.keys() | list }}{% endfor %}"
      .. "{% for m in messages %}{{ m.role[0] }}{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}"
      .. "{{ c.function.arguments }}{% endfor %}{% endfor %}:"
    local chat = assert(model:chat{tools = tools, format = "hermes", template = template, max_tokens = 100, sampler = {function(logits)
        at = at + 1
        logits:mask{ids[at]}
      end, {"greedy"}}})
    local kinds, last = run(agent.new{chat = chat, tools = tools}, "x")
    assert.matches("^call_begin argument.* call result text.* done$", kinds)
    assert.equal("fine", last.text)
    assert.same({"get a"}, done)
    local sure = assert(chat:confidence())
    assert.is_true(sure > 0 and sure <= 1)
    chat:close()
    model:close()
  end)
end)
