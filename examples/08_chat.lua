-- A conversation: only what is new is computed. usage: lua5.4 examples/08_chat.lua MODEL
local mobilellm = require "mobilellm"

local model = assert(mobilellm.load(arg[1] or error "usage: 08_chat.lua MODEL"))

-- The messages are written by the model's own chat template; without one as ChatML or as "User: ... Assistant: ...".
local chat = assert(model:chat{system = "You are brief.", max_tokens = 24})
for _, question in ipairs{"Who are you?", "And what can you do?", "Goodbye!"} do
  io.write("> ", question, "\n")
  for event in chat:send(question) do
    if event.kind == "text" then io.write(event.text) end
    if event.kind == "done" then
      print(("\n  (%d tokens found in the cache, %d fed)"):format(event.reused, event.fed))
    end
  end
end

-- Another way to go on from the second answer, without touching the first chat.
local fork = assert(chat:fork())
fork:undo():undo() -- the last answer and the question
print("fork:", (assert(fork:ask "Tell me more.")))
print("messages:", #chat:messages(), "computed again:", chat:stats().recomputed)
