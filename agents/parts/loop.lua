-- What the agents of this folder have in common: one sentence at a time goes through mobilellm.agent, and a terminal in front of it.
--
--   local agent = loop.new({tools = {...}, system = function(agent) return "Files: ..." end}, options)   -- nil, message, code
--   local result = agent:say(sentence, approve)
--     approve(call) -> whether a call that needs a yes may run; without it none may
--     result: {sentence, text, seconds, problem, calls = list of {name, arguments, text, value | problem}}
--   for _, line in ipairs(agent:lines(result)) do print(line) end
-- Tools find what was said in agent.sentence, and hold what the model wrote against it: loop.said.
local loop = {}

local directory = ((debug.getinfo(1, "S").source:match "^@(.*)$") or "agents/parts/loop.lua"):match "^(.*)/[^/]*$" or "."
loop.model_path = directory .. "/../model/home.gguf"
loop.calls_path = directory .. "/../model/calls.gguf" -- more kinds of tools, and slower

local Agent = {}
Agent.__index = Agent

-- own: tools (declarations), system (function(agent) -> what the model is told first), tell (function(call) -> the lines {head, text} of a
-- call that ran; its value unless given), nothing (what is said when the model calls nothing)
-- options: model (path, or a loaded model; own.model_path unless given), chat (function(agent) -> a chat, in the place of the model's)
function loop.new(own, options)
  local mobilellm = require "mobilellm"
  local self = setmetatable(own, Agent)
  self.chat = options.chat
  if not self.chat then
    local model, message, code = options.model or own.model_path or loop.model_path
    if type(model) == "string" then
      model, message, code = mobilellm.load(model)
      if not model then return nil, message, code end
    end
    self.model = model
  end
  for _, tool in ipairs(own.tools) do loop.guard(self, tool) end
  local problems
  self.tools, problems = mobilellm.tools(own.tools)
  if problems then error(table.concat(problems, "\n"), 0) end
  return self
end

-- Whether every word of a text was said: a small model makes values up.
function loop.said(sentence, text)
  local words = {}
  for word in sentence:lower():gmatch "[%w\128-\255]+" do words[word] = true end
  for word in text:lower():gmatch "[%w\128-\255]+" do
    if not words[word] then return false, word end
  end
  return text:find "[%w\128-\255]" ~= nil
end

-- Raises for a value with words that nobody said; the message goes to the model and to the person.
function loop.insist(sentence, what, text)
  local ok, word = loop.said(sentence, text)
  if not ok then error(("nothing was said about %s '%s'"):format(what, word or text), 0) end
end

-- A declaration's `unless` lists words that speak against the tool ("^do": as the first word). The one of them that was said, or nil.
function loop.against(sentence, tool)
  local first = true
  for word in sentence:lower():gmatch "[%w\128-\255]+" do
    for _, against in ipairs(tool.unless or {}) do
      if word == against or first and "^" .. word == against then return word end
    end
    first = false
  end
end

-- A tool does not run for a sentence that speaks against it, whatever the model says.
function loop.guard(agent, tool)
  local call = tool.call
  function tool.call(arguments)
    local word = loop.against(agent.sentence, tool)
    if word then error(("it was said '%s': that is not what %s does"):format(word, tool.name), 0) end
    return call(arguments)
  end
end

-- The tools that the model is shown: those that nothing in the sentence speaks against.
function Agent:shown()
  local names = {}
  for _, tool in ipairs(self.tools.list) do
    if not loop.against(self.sentence, tool) then names[#names + 1] = tool.name end
  end
  return self.tools:only(names), table.concat(names, " ")
end

-- Each sentence begins anew: the shipped model knows no conversations. The chat stays as long as the system message and the tools do, so
-- that the grammar of the calls is made once, and what a model's template has in front of the sentence (tools, system message) is computed
-- once. The form of our own models has the sentence first: of that prompt nothing can stay.
function Agent:converse()
  if self.chat then return self.chat(self) end
  local system, shown, names = self.system and self:system(), self:shown()
  local key = names .. "\n" .. (system or "")
  if self.kept and self.kept_key == key then
    for _ = self.kept_from + 1, #self.kept:messages() do self.kept:undo() end
    return self.kept
  end
  if self.kept then self.kept:close() end
  local message, code
  self.kept, message, code = self.model:chat{system = system, tools = shown, max_tokens = 120}
  if not self.kept then return nil, message, code end
  self.kept_key, self.kept_from = key, #self.kept:messages()
  return self.kept
end

local function shortened(text, most)
  return #text > most and text:sub(1, most):gsub("[\128-\255]*$", "") .. "..." or text
end

function Agent:say(sentence, approve)
  local mobilellm = require "mobilellm"
  local signature, clock = require "mobilellm.signature", require "mobilellm.core".clock
  local begin, result, by_call = clock(), {sentence = sentence, calls = {}}, {}
  if not sentence:find "%S" then
    result.problem = "nothing was said"
    return result
  end
  self.sentence = sentence
  local nothing = "not understood: " .. (self.nothing or "no tool here fits that")
  if #self:shown().list == 0 then
    result.problem = nothing
    return result
  end
  local chat, message = self:converse()
  if not chat then
    result.problem = message
    return result
  end
  local function made(call)
    local one = by_call[call]
    if not one then
      one = {name = call.name, arguments = call.arguments, text = signature.call(call, self.tools.list)}
      by_call[call], result.calls[#result.calls + 1] = one, one
    end
    return one
  end
  local run = mobilellm.agent.new{chat = chat, tools = self.tools, steps = 1, retries = 0, timeout = 60}
  for event in run:run(sentence) do
    if event.kind == "approve" then
      made(event.call)
      event.answer = approve and approve(event.call) or "not confirmed"
    elseif event.kind == "result" then
      local one = made(event.call)
      one.value, one.problem = event.value, event.problem
    elseif event.kind == "unread" then
      result.problem = "not understood: " .. event.problem
    elseif event.kind == "error" then
      result.problem = event.code == "context" and "that sentence is too long" or event.message
    elseif event.kind == "done" then
      result.text = event.text
    end
  end
  if #result.calls == 0 and not result.problem then
    local text = result.text or ""
    result.problem = text:find "%S" and "not understood: the answer is not a call: " .. shortened(text, 60) or nothing
  end
  result.seconds = clock() - begin
  return result
end

-- --------------------------------------------------------------- to read

-- The lines that tell a person what happened.
function Agent:lines(result)
  local lines = {"> " .. result.sentence}
  local function add(head, text)
    for line in (text .. "\n"):gmatch "(.-)\n" do
      lines[#lines + 1] = ("  %-10s %s"):format(head, line)
      head = ""
    end
  end
  for _, call in ipairs(result.calls) do
    add("call", shortened((call.text:gsub("%( ", "("):gsub('" ', '"')), 160))
    if call.problem then
      add("not done", call.problem)
    else
      for _, line in ipairs(self.tell and self.tell(call) or {{"done", tostring(call.value)}}) do add(line[1], line[2]) end
    end
  end
  if result.problem then lines[#lines + 1] = "  " .. result.problem end
  if result.seconds then lines[#lines + 1] = ("  %.0f ms"):format(result.seconds * 1000) end
  return lines
end

function loop.is_terminal()
  local ok, _, code = os.execute "test -t 0"
  return ok == true and (code == nil or code == 0) or ok == 0
end

-- Says the sentences, then, with `typed`, what is typed on a terminal. Calls that need a yes ask for it there; without a terminal they need
-- `yes`.
function loop.talk(agent, sentences, typed, yes)
  local terminal = loop.is_terminal()
  local function approve(call)
    if yes then return true end
    if not terminal then return "not confirmed: there is no terminal to ask at (--yes confirms everything)" end
    io.write("  ", (require "mobilellm.signature".call(call, agent.tools.list):gsub("%( ", "("):gsub('" ', '"')), "\n  do it? [y/N] ")
    io.flush()
    local answer = io.read()
    return answer ~= nil and answer:lower():match "^%s*y" ~= nil
  end
  local function hear(sentence, from) print(table.concat(agent:lines(agent:say(sentence, approve)), "\n", from)) end
  for i, sentence in ipairs(sentences) do
    if i > 1 then print "" end
    hear(sentence)
  end
  if not typed then return end
  if not terminal then
    if #sentences == 0 then io.stderr:write "nothing was said, and there is no terminal to type at: give sentences as arguments\n" end
    return
  end
  io.write((#sentences > 0 and "\n" or "") .. "Say something (an empty line ends)\n> ")
  io.flush()
  for line in io.lines() do
    if not line:find "%S" then break end
    hear(line, 2) -- it stands there already
    io.write "\n> "
    io.flush()
  end
end

-- The command line of an agent: words apart from options ("--yes" and those that `known` names, with a value each).
function loop.arguments(list, known)
  local words, options, i = {}, {}, 1
  while list[i] do
    local name = list[i]:match "^%-%-(.+)$"
    if name == "yes" then
      options.yes = true
    elseif name and known[name] and list[i + 1] then
      i = i + 1
      options[name] = list[i]
    elseif name then
      return nil, "unknown option --" .. name
    else
      words[#words + 1] = list[i]
    end
    i = i + 1
  end
  return words, options
end

-- Runs as a program: own = {name, usage, options (their names), words (how many must stand in front of the sentences), sentences (that are
-- said when none are given), open = function(words, options) -> agent | nil, message; close = function(agent)}
function loop.main(own, list)
  local function fail(message)
    io.stderr:write(own.name, ": ", message, "\n")
    return 1
  end
  local words, options = loop.arguments(list, own.options or {})
  if not words then return fail(options .. "\nusage: " .. own.usage) end
  if #words < (own.words or 0) then return fail("usage: " .. own.usage) end
  local agent, message = own.open(words, options)
  if not agent then return fail(message) end
  local typed = #words == 0
  loop.talk(agent, typed and own.sentences or words, typed, options.yes)
  if own.close then own.close(agent) end
  return 0
end

return loop
