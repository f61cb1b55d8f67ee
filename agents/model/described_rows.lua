-- Makes rows from declarations alone: what a tool does is said in its description, so a wish can be made of it ("Retrieve the battery
-- level of a robot" and robot_id: "what is the battery level of robot 512"; asking.lua). The tools are those that training files offer, a
-- few thousand, and as many as one likes that are put together (made_tools.lua). Their names differ, what is asked for stands in the
-- sentence and in the declaration in nearly the same words, and tools that share words stand beside the right one: what is left to
-- learn is to compare, which serves for tools never seen.
--
--   local maker = require "described_rows".new(tools)
--   maker:row(random) -> {tools, messages, calls, kind, source}
-- tools: a list of {name, description, parameters}; only those that can be asked for in a sentence are used (maker.count of them).
local asking = require "asking"
local made_tools = require "made_tools"
local signature = require "mobilellm.signature"
local words = require "mobilellm.train.words"
local wording = require "wording"

local described_rows = {}

local capital, spaced = wording.capital, signature.plain_words

local connectors = {
  first = words.list "First, | Please help me to | Please | I need your help. Please | Please assist me. First, | I need you to | Can you",
  next = words.list [[Then, | After that, | Next, | Also, | Additionally, | Then, please | I also need you to | After that, please | And |
    Also, please]],
  last = words.list "Finally, | Lastly, | Finally, please | At last, | And finally,",
}

local stop = {}
for word in ("a an the of for in on to and or by with from at is are be this that it its as using given specific specified based" ..
  " information data details get retrieve find check show provide current new available certain particular about within"):gmatch "%a+" do
  stop[word] = true
end

-- The words that tell a tool from others.
local function content_words(tool)
  local set = {}
  for word in (spaced(tool.name) .. " " .. (tool.description or "")):lower():gmatch "%a+" do
    if #word > 2 and not stop[word] then set[(word:gsub("s$", ""))] = true end
  end
  return set
end

local function pick_tool(self, random)
  return random.chance(0.45) and made_tools.new(random) or random.pick(self.usable)
end

-- A tool that has words in common with this one, but lacks one of those that tell it.
local function look_alike(self, random, tool)
  local thing = made_tools.thing(tool)
  if thing then
    local made = made_tools.new(random, random.chance(0.5) and thing or nil)
    local verb = spaced(tool.name):match "^%a+"
    if made_tools.thing(made) == thing and (" " .. spaced(made.name) .. " "):find(" " .. verb .. " ", 1, true) then return nil end
    return made
  end
  local own = content_words(tool)
  local shared = wording.names(own)
  if #shared == 0 then return nil end
  local other = random.pick(self.by_word[random.pick(shared)])
  local theirs = content_words(other)
  for word in pairs(own) do
    if not theirs[word] then return other end
  end
  return nil
end

-- Puts a tool into the row; false when one of that name is there already.
local function offer(row, tool)
  for _, other in ipairs(row.tools) do
    if other.name == tool.name or spaced(other.name) == spaced(tool.name) then return false end
  end
  row.tools[#row.tools + 1] = tool
  return true
end

----------------------------------------------------------------------------------------------------------------------- conversations

local function finish(random, text)
  local roll = random.number()
  if roll < 0.55 then text = capital(text) end
  if roll < 0.4 then text = text .. (text:find "^[Ww]h" and "?" or ".") end
  return text
end

local function say(row, role, content) row.messages[#row.messages + 1] = {role = role, content = content} end

-- What the assistant asks for, and what the user answers, of one argument.
local function question_and_answer(random, name, v)
  local plain = spaced(name)
  if type(v) == "boolean" then return "you want " .. plain, v and "yes" or "no" end
  local answer = random.pick{"%v", "%v", "The %n is %v", "my %n is %v", "%n: %v", "it is %v", "%v, please"}
  return plain, (answer:gsub("%%(.)", function(c) return c == "n" and plain or wording.spoken(v) end))
end

-- Questions for arguments of these names, one or two at a time.
local function ask_back(random, row, arguments, names)
  local at = 1
  while at <= #names do
    local asked, answered = {}, {}
    for i = 1, math.min(random.pick{1, 1, 2}, #names - at + 1) do
      asked[i], answered[i] = question_and_answer(random, names[at], arguments[names[at]])
      at = at + 1
    end
    local question = random.pick{"What is the %s?", "Please tell me the %s.", "Could you give me the %s?", "Sure. What is your %s?",
      "I need the %s for that.", "And the %s?", "May I have the %s?"}
    say(row, "assistant", question:format(table.concat(asked, " and the ")))
    say(row, "user", capital(table.concat(answered, random.pick{" and ", ", "})))
  end
end

-- A wish whose values come one after the other, as they are asked for. false: it cannot be said.
local function conversation(self, random, row)
  local tool = pick_tool(self, random)
  local text, call = asking.once(random, tool)
  if not text then return false end
  local opening = asking.wish(random, {name = tool.name, description = tool.description, parameters = {properties = {}}})
  say(row, "user", finish(random, random.pick{"", "Hi, ", "I'd like some help: ", "Hello, "} .. opening))
  local names = random.shuffle(wording.names(call.arguments))
  if #names > 0 then
    ask_back(random, row, call.arguments, names)
    if random.chance(0.15) then
      say(row, "assistant", random.pick{"Shall I go on?", "Is that right?", "Please confirm."})
      say(row, "user", random.pick{"Yes, please", "yes", "That is right.", "Go ahead", "Sure"})
    end
  end
  row.calls[1] = call
  return offer(row, tool)
end

----------------------------------------------------------------------------------------------------------------------- one sentence

-- Whether "please" may stand before it.
local function is_order(sentence) return not sentence:find "^[Ww]h" and not sentence:find "^I" and not sentence:find "^%a+ you " end

local function join(random, sentences)
  if #sentences == 1 then
    local opening = random.pick{"", "", "", "", "please ", "can you ", "I want to ", "could you "}
    return finish(random, (is_order(sentences[1]) and opening or "") .. sentences[1])
  elseif random.chance(0.25) then
    return finish(random, table.concat(sentences, random.pick{" and ", ", and ", "; ", " and then ", ", then "}))
  end
  local parts = {}
  for i, sentence in ipairs(sentences) do
    local which = i == 1 and connectors.first or i == #sentences and connectors.last or connectors.next
    if is_order(sentence) and random.chance(0.8) then sentence = random.pick(which) .. " " .. sentence end
    parts[i] = capital(sentence) .. "."
  end
  return table.concat(parts, " ")
end

-- One message with so many wishes, each for a tool of its own. false: none of them can be said.
local function message(self, random, row, wishes)
  local sentences = {}
  for _ = 1, wishes do
    local tool = pick_tool(self, random)
    local text, calls
    if random.chance(0.14) then text, calls = asking.for_each(random, tool) end
    if not text then
      local call
      text, call = asking.once(random, tool)
      calls = {call}
    end
    if text and offer(row, tool) then
      sentences[#sentences + 1] = text
      for _, call in ipairs(calls) do row.calls[#row.calls + 1] = call end
      if wishes == 1 and random.chance(0.15) then -- once more the same with other values
        local again, call = asking.once(random, tool)
        if again then
          sentences[#sentences + 1] = again
          row.calls[#row.calls + 1] = call
        end
      end
    end
  end
  if #sentences == 0 then return false end
  local text = join(random, sentences)
  if random.chance(0.08) then text = text .. random.pick{" Thank you.", " Thanks!", " That would help me a lot."} end
  say(row, "user", text)
  if #row.calls > 1 then row.kind = "parallel" end
  return true
end

------------------------------------------------------------------------------------------------------------------------------- rows

-- Other tools, at most `count`, which share no telling word with the one that was meant: nothing fits.
local function misfits(self, random, tool, count)
  local meant, others = content_words(tool), {}
  for _ = 1, 12 do
    local other, apart = pick_tool(self, random), true
    for word in pairs(content_words(other)) do apart = apart and not meant[word] end
    for _, one in ipairs(others) do apart = apart and one.name ~= other.name end
    if apart and #others < count then others[#others + 1] = other end
  end
  return others
end

local maker = {} -- methods
maker.__index = maker

function maker:row(random)
  local row = {tools = {}, calls = {}, messages = {}, source = "described", kind = "call"}
  local roll = random.number()
  local made
  if roll < 0.14 then
    made = conversation(self, random, row)
  else
    made = message(self, random, row, roll < 0.55 and 1 or random.pick{2, 2, 2, 3, 3, 4})
  end
  if not made then return self:row(random) end
  -- Beside the right ones: tools that sound like them, and others.
  local called = {}
  for i, tool in ipairs(row.tools) do called[i] = tool end
  local count = math.max(#called, random.pick{1, 2, 2, 3, 4, 5, 5, 5, 6})
  for _ = 1, 20 do
    if #row.tools >= count then break end
    offer(row, random.chance(0.7) and look_alike(self, random, random.pick(called)) or pick_tool(self, random))
  end
  if #row.calls == 1 and random.chance(0.1) then
    local others = misfits(self, random, called[1], count)
    if #others > 0 then row.tools, row.calls, row.kind = others, {}, "irrelevant" end
  end
  return row
end

-- A maker of rows from tools: see above.
function described_rows.new(tools)
  local usable, by_word = {}, {}
  for _, tool in ipairs(tools) do
    if (tool.description or "") ~= "" and #tool.description < 140 and tool.parameters.properties then
      usable[#usable + 1] = tool
      for word in pairs(content_words(tool)) do
        by_word[word] = by_word[word] or {}
        table.insert(by_word[word], tool)
      end
    end
  end
  return setmetatable({usable = usable, by_word = by_word, count = #usable}, maker)
end

return described_rows
