-- A session is a timeline that can be cut, copied and stored. usage: lua5.4 examples/04_session.lua MODEL
local mobilellm = require "mobilellm"

local model = assert(mobilellm.load(arg[1] or error "usage: 04_session.lua MODEL"))
local session = assert(model:session{context = 256})
assert(session:feed("The three primary colors are"))
local mark = #session

-- The five likeliest next tokens.
for _, candidate in ipairs(session:logits():topk(5)) do
  local id = type(candidate) == "table" and candidate.id or candidate
  print(id, ("%q"):format((model:token(id))))
end

-- Two continuations of the same past: a fork copies the cache instead of computing it again.
local other = assert(session:fork())
print("a", (assert(session:generate(" red", {max_tokens = 10}))))
print("b", (assert(other:generate(" blue", {max_tokens = 10}))))
other:close()

-- Back to the mark, to a file, and from the file into a new session.
session:rewind(mark)
local path = os.tmpname()
assert(session:save(path))
local restored = assert(model:session{context = 256})
assert(restored:restore(path))
os.remove(path)
print("same tokens", table.concat(session:tokens(), " ") == table.concat(restored:tokens(), " "))
restored:close()
session:close()
