-- Text that cannot be wrong: JSON that satisfies a schema. usage: lua5.4 examples/07_grammar.lua MODEL
local mobilellm = require "mobilellm"

local model = assert(mobilellm.load(arg[1] or error "usage: 07_grammar.lua MODEL"))

local schema = assert(mobilellm.grammar.json_schema{
  type = "object",
  properties = {
    room = {enum = {"kitchen", "bedroom", "bath"}},
    on = {type = "boolean"},
    level = {type = "integer", minimum = 0, maximum = 100},
  },
  required = {"room", "on"},
  additionalProperties = false,
})

-- The grammar's mask comes before every other stage, so that whatever the model prefers, the text is in the language. Where only one
-- continuation is possible, no pass of the model is spent on it.
for seed = 1, 3 do
  local text, stats = assert(model:generate("Dim the light in the kitchen: ", {grammar = schema, temperature = 1, seed = seed}))
  local value = assert(mobilellm.json.decode(text))
  print(text, value.room, ("%d of %d tokens were forced"):format(stats.forced, stats.tokens))
end

-- Regular expressions, too.
local date = assert(mobilellm.grammar.regex "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
print((assert(model:generate("Today is ", {grammar = date}))))
