-- A loop over a chat: the model calls tools, their results go back, until it answers. The script drives it and answers its events, so
-- that the same loop runs in a terminal, in an editor and in a test.
--
--   local agent = mobilellm.agent.new{chat = chat, tools = registry}
--   for event in agent:run "Turn off the lights" do
--     if event.kind == "approve" then event.answer = confirm(event.call) end
--     if event.kind == "done" then print(event.text) end
--   end
--
-- Events (kind) and what `event.answer` may hold when the loop goes on:
--   retrieve {tools}         the tools that the model is shown, as {name, score}, best first (option `retrieve`)
--   text, reasoning, call_begin, argument   those of the chat
--   approve {call}           the tool has `confirm`: true, "always" (also from now on), false (default), "never", or a reason as text
--   ask {call, calls, confidence}      less sure than the threshold: true acts, a text is what the user says instead, false (default)
--                            does not, and the model hears why
--   refuse {call, calls, confidence}   less sure than even `refuse`: true acts, a text is what the user says instead, else it is over
--   call {call}              about to run: any value but nil takes the place of running it
--   wait {call, value}       the tool yielded `value`: the answer is what its yield returns; "cancel" in event.answer ends it
--   result {call, value, problem}   what goes back to the model: any value but nil takes its place
--   retry {problem, attempt, calls}   a bad call: the answer is taken back and made again; false leaves it, the problem goes back instead
--   unread {problem}         a call that cannot be read, when there are no more retries: the model hears the problem
--   limit {what, limit}      a budget is used up; done follows
--   error {message, code}    of the chat; done follows
--   done {text, reason, steps}   reason: "answer", "limit", "refused", "error"
local core = require "mobilellm.core"
local tools_module = require "mobilellm.tools"

local agent = {}
local json = core.json

local Agent = {}
Agent.__index = Agent
Agent.__name = "mobilellm.agent"

local OPTIONS = {
  chat = "table", tools = "table", retrieve = "number",
  steps = "number", tokens = "number", seconds = "number", retries = "number", threshold = "number", refuse = "number",
  clock = "function", trace = "function", timeout = "number", instructions = "number", memory = "number", send = "table",
}

-- agent.new{chat, tools, retrieve, steps, tokens, seconds, retries, threshold, refuse, timeout, instructions, memory,
-- clock, trace, send} -> agent
--   chat       a chat that was made with these tools; anything with send, result, undo, use, stats and confidence does
--   tools      the registry. A tool may have `confirm` (true, or a function of its arguments that says so), `timeout` (seconds),
--              `instructions` (of the Lua machine) and `memory` (bytes): mobilellm.limits says what they hold back. A tool's function
--              may yield and goes on when the script does
--   retrieve   show the model only so many tools: those that best fit what was said, by registry:rank. Others cannot be called
--   steps, tokens, seconds   budgets: answers of the model (8), tokens generated, time
--   retries    times that a bad call is made again (2)
--   threshold, refuse   of chat:confidence(), the probability of the calls under the mask: below the first it asks before it acts, below
--              the second it does nothing. A tool may have its own; of several calls the most careful one's counts
--   timeout, instructions, memory   for tools without their own
--   clock      of the budget in seconds (the machine's), trace: called with each event as a line of JSON, send: options for every chat:send
function agent.new(options)
  if type(options) ~= "table" then error("agent.new: options must be a table, got " .. type(options), 2) end
  for key, value in pairs(options) do
    if not OPTIONS[key] then error(("agent.new: unknown option '%s'"):format(tostring(key)), 2) end
    if type(value) ~= OPTIONS[key] then
      error(("agent.new: option '%s': %s expected, got %s"):format(key, OPTIONS[key], type(value)), 2)
    end
  end
  if not options.chat then error("agent.new: option 'chat': a chat expected", 2) end
  for _, key in ipairs{"threshold", "refuse"} do
    if options[key] and not (options[key] >= 0 and options[key] <= 1) then
      error(("agent.new: option '%s': a number from 0 to 1 expected"):format(key), 2)
    end
  end
  if options.retrieve and (options.retrieve < 1 or options.retrieve % 1 ~= 0) then
    error("agent.new: option 'retrieve': a positive integer expected", 2)
  end
  local registry = options.tools or {}
  if not registry.check then registry = tools_module(registry) end
  return setmetatable({
    chat = options.chat, tools = registry, options = options, clock = options.clock or core.clock, memory = {}, tape = {},
    shown = registry, said = {},
    base = options.chat:stats().tokens,
  }, Agent)
end

-- ------------------------------------------------------------------- tools

-- What a value says in JSON; what JSON cannot say becomes text.
local function plain(value)
  local ok, text = pcall(json.encode, value)
  if ok then return text end
  return json.encode(tostring(value))
end

-- Runs a tool's function, which may yield: value | nil, problem.
local function perform(self, tool, arguments, call)
  local resume = tools_module.thread(tool, self.options)
  local input = arguments
  while true do
    local how, value, problem = resume(input)
    if how == "error" then return nil, tostring(value) end
    if how == "done" then
      if value == nil and problem ~= nil then return nil, tostring(problem) end
      return value == nil and "done" or value
    end
    input = self:emit{kind = "wait", call = call, value = value}
    if input == "cancel" then return nil, "cancelled" end
  end
end

-- --------------------------------------------------------------------- run

-- Hands an event to the script; returns its answer.
function Agent:emit(event)
  if self.options.trace then self.options.trace(plain(event)) end
  local answer = coroutine.yield(event)
  if answer ~= nil then self.tape[#self.tape + 1] = {kind = "answer", value = answer} end
  return answer
end

-- Shows the model the tools that what was said may be about.
local function retrieve(self, text)
  self.said[#self.said + 1] = text
  local most = self.options.retrieve
  if not most or #self.tools.list <= most then return end
  local ranked = self.tools:rank(self.said)
  local names, list = {}, json.array{}
  for i = 1, most do
    local one = ranked[i]
    names[i] = one.tool.name
    list[i] = json.object({name = one.tool.name, score = math.floor(one.score * 1000 + 0.5) / 1000}, {"name", "score"})
  end
  self.shown = self.tools:only(names)
  self.chat:use(self.shown)
  self:emit{kind = "retrieve", tools = list}
end

local forwarded = {text = true, reasoning = true, call_begin = true, argument = true}

-- One answer of the model: its last event, the calls, the problems that the parser reported.
local function listen(self, say, options)
  local calls, problems, done, failure = {}, {}, nil, nil
  local events = json.array{}
  local entry = {kind = "turn", say = say, events = events}
  self.tape[#self.tape + 1], self.entry = entry, entry
  for event in self.chat:send(say, options) do
    if forwarded[event.kind] then
      events[#events + 1] = json.decode(plain(event))
      self:emit(event)
    elseif event.kind == "tool_call" then
      calls[#calls + 1] = event.call
      events[#events + 1] = {kind = "tool_call", call = event.call}
    elseif event.kind == "error" then
      if event.raw or event.position then problems[#problems + 1] = event.message else failure = event end
      events[#events + 1] = {kind = "error", message = event.message, code = event.code, raw = event.raw, position = event.position}
    elseif event.kind == "done" then
      done = event
      events[#events + 1] = {kind = "done", stop = event.stop, text = event.text}
    end
  end
  entry.tokens = self.chat:stats().tokens - self.base
  return done, calls, problems, failure
end

local function sampling(options, attempt)
  local out = {}
  for key, value in pairs(options or {}) do out[key] = value end
  if attempt > 0 and not out.sampler then -- the same draw would make the same mistake
    out.temperature = math.max(out.temperature or 0, 0.7)
    out.seed = (out.seed or 0) + attempt
  end
  return out
end

local function approved(self, tool, call, arguments)
  local confirm = tool.confirm
  if type(confirm) == "function" then confirm = confirm(arguments) end
  if not confirm or self.memory[tool.name] == "always" then return true end
  if self.memory[tool.name] == "never" then return false, "the user does not allow this tool" end
  local answer = self:emit{kind = "approve", call = call, tool = tool.name}
  if answer == "always" or answer == "never" then self.memory[tool.name] = answer end
  if answer == true or answer == "always" then return true end
  return false, type(answer) == "string" and answer ~= "never" and answer or "the user does not allow this"
end

-- What to do with the calls by how sure the model was of them: "act", "ask" or "refuse", and the confidence.
local function decide(self, calls)
  local bounds = {}
  for _, key in ipairs{"threshold", "refuse"} do
    for _, call in ipairs(calls) do
      local tool = self.shown:get(call.name)
      local bound = tool and tool[key] or self.options[key]
      if bound then bounds[key] = math.max(bounds[key] or 0, bound) end
    end
  end
  if not next(bounds) then return "act" end
  local sure = self.chat:confidence()
  self.entry.confidence = sure
  if not sure then return "ask", 0 end -- it cannot be told: the careful way
  if bounds.refuse and sure < bounds.refuse then return "refuse", sure end
  return bounds.threshold and sure < bounds.threshold and "ask" or "act", sure
end

-- Runs one call that was checked and gives its result to the chat.
local function act(self, call, arguments)
  local tool = self.tools:get(call.name)
  local value, problem
  local allowed, reason = approved(self, tool, call, arguments)
  if not allowed then
    problem = reason
  else
    value = self:emit{kind = "call", call = call}
    if value == nil then
      if tool.call then value, problem = perform(self, tool, arguments, call) else problem = "the tool has no function to call" end
    end
  end
  local replaced = self:emit{kind = "result", call = call, value = value, problem = problem}
  if replaced ~= nil then value, problem = replaced, nil end
  if problem then value = {error = problem} end
  self.chat:result(call, type(value) == "string" and value or json.decode(plain(value)))
end

local function loop(self, text)
  local options = self.options
  local limits = {steps = options.steps or 8, tokens = options.tokens, seconds = options.seconds}
  local started, steps, attempt, say = self.clock(), 0, 0, text
  local first_tokens = limits.tokens and self.chat:stats().tokens
  local last = ""
  retrieve(self, text)
  local function over()
    if steps >= limits.steps then return "steps" end
    if limits.seconds and self.clock() - started > limits.seconds then return "seconds" end
    if limits.tokens and self.chat:stats().tokens - first_tokens >= limits.tokens then return "tokens" end
  end
  while true do
    local what = over()
    if what then
      self:emit{kind = "limit", what = what, limit = limits[what]}
      return self:emit{kind = "done", text = last, reason = "limit", steps = steps}
    end
    steps = steps + 1
    local done, calls, problems, failure = listen(self, say, sampling(options.send, attempt))
    say = nil
    if failure then
      self:emit{kind = "error", message = failure.message, code = failure.code}
      return self:emit{kind = "done", text = last, reason = "error", steps = steps}
    end
    last = done.text or ""
    local checked, failed = {}, {}
    for i, call in ipairs(calls) do
      local arguments, message = self.shown:check(call)
      checked[i] = arguments or false
      if not arguments then
        failed[i] = message
        problems[#problems + 1] = message
      end
    end
    local again = false
    if #problems > 0 and attempt < (options.retries or 2) then
      local event = {kind = "retry", problem = table.concat(problems, "\n"), attempt = attempt + 1, calls = calls}
      again = self:emit(event) ~= false
    end
    if again then
      attempt = attempt + 1
      self.chat:undo()
    elseif #calls == 0 and #problems == 0 then
      return self:emit{kind = "done", text = last, reason = "answer", steps = steps}
    elseif #calls == 0 then -- nothing that could be called: the model hears why
      self:emit{kind = "unread", problem = table.concat(problems, "\n")}
      say, attempt = "The call could not be read: " .. table.concat(problems, "\n"), 0
    else
      attempt = 0
      local way, sure = decide(self, calls)
      local instead, answer
      if way ~= "act" then
        answer = self:emit{kind = way, call = calls[1], calls = calls, confidence = sure}
        if type(answer) == "string" then
          instead = answer
        elseif answer ~= true then
          for i in ipairs(calls) do
            failed[i] = failed[i] or (way == "ask" and "not sure enough: ask the user" or "not sure enough: refused")
          end
        end
      end
      if instead then
        self.chat:undo()
        say = instead
        retrieve(self, instead)
      else
        for i, call in ipairs(calls) do
          if failed[i] then
            self:emit{kind = "result", call = call, problem = failed[i]}
            self.chat:result(call, {error = failed[i]})
          else
            act(self, call, checked[i])
          end
        end
        if way == "refuse" and answer ~= true then return self:emit{kind = "done", text = last, reason = "refused", steps = steps} end
      end
    end
  end
end

-- agent:run(text) -> iterator of events. What the script leaves in event.answer is the answer to the event. An error of the script's own
-- functions comes out of the iterator word for word.
function Agent:run(text)
  if type(text) ~= "string" then error("run: a text expected, got " .. type(text), 2) end
  local thread = coroutine.create(loop)
  local event
  return function()
    if coroutine.status(thread) == "dead" then return nil end
    local ok, value
    if event == nil then
      ok, value = coroutine.resume(thread, self, text)
    else
      ok, value = coroutine.resume(thread, event.answer)
    end
    if not ok then error(value, 0) end
    if coroutine.status(thread) == "dead" then return nil end
    event = value
    return event
  end
end

-- --------------------------------------------------------- record and replay

-- agent:record() -> the runs so far as JSON Lines: what the model said, and what the script answered.
function Agent:record()
  local lines = {}
  for i, entry in ipairs(self.tape) do lines[i] = plain(entry) end
  return table.concat(lines, "\n")
end

local Replay = {}
Replay.__index = Replay

function Replay:send(say)
  local turn
  repeat
    self.at = self.at + 1
    turn = self.tape[self.at]
  until not turn or turn.kind == "turn"
  if not turn then error("replay: the record ends before the run", 0) end
  if turn.say ~= say then error(("replay: the model hears '%s', the record has '%s'"):format(tostring(say), tostring(turn.say)), 0) end
  local i = 0
  self.turn = turn
  return function()
    i = i + 1
    return turn.events[i]
  end
end
function Replay:result(call, value) self.results[#self.results + 1] = {call = call, value = value} end
function Replay:undo() return self end
function Replay:use() return self end
function Replay:stats() return {tokens = self.turn and self.turn.tokens or 0} end
function Replay:confidence() return self.turn and self.turn.confidence end

-- agent.replay(record) -> a chat that says what the record has: agent.new{chat = agent.replay(text), tools = ...} runs without a model and
-- gives the same events, byte for byte, when the tools and the script answer as they did. Its `results` list what the tools gave.
function agent.replay(record)
  local tape = {}
  for line in record:gmatch "[^\n]+" do
    local entry, message = json.decode(line)
    if entry == nil then return nil, "replay: " .. message, "format" end
    tape[#tape + 1] = entry
  end
  return setmetatable({tape = tape, at = 0, results = {}}, Replay)
end
return agent
