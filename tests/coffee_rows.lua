-- Rows about a made-up coffee machine, for README's figure of fine-tuning. usage: LUA tests/coffee_rows.lua tools|train|other > FILE
-- "other" has drinks and phrases that no row of "train" has; "tools" are the declarations alone.
local json = require "mobilellm".json
local sets = {
  train = {drinks = {"espresso", "latte", "mocha", "cortado", "macchiato"},
    phrases = {"make me a %s %s please", "i want a %s %s", "brew a %s %s"}},
  other = {drinks = {"cappuccino", "flat white", "ristretto", "lungo"}, phrases = {
    "could i have one %s %s", "%s %s please", "can you pour me a %s %s", "one %s %s to start the day", "get me a %s %s",
    "prepare a %s %s now", "i'd love a %s %s", "a %s %s for my friend", "let's have a %s %s"}},
}
local set = assert(arg[1] == "tools" and {phrases = {}} or sets[arg[1]], "tools, train or other")
local tools = {
  {name = "coffee.brew", description = "Brew a drink", parameters = {type = "object", required = {"drink"},
    properties = {drink = {type = "string"}, size = {type = "string"}}}},
  {name = "coffee.clean", description = "Clean the machine", parameters = {type = "object", properties = {}}},
}
if arg[1] == "tools" then print(json.encode(tools)) end
for _, phrase in ipairs(set.phrases) do
  for _, drink in ipairs(set.drinks) do
    for _, size in ipairs{"small", "medium", "large"} do
      print(json.encode{tools = tools, messages = {{role = "user", content = phrase:format(size, drink)}},
        calls = {{name = "coffee.brew", arguments = {drink = drink, size = size}}}})
    end
  end
end
