package.path = "agents/model/?.lua;" .. package.path
local catalogue = require "catalogue"
local new_random = require "mobilellm.random"

local example = [[
# drinks
list drink: flat white; oat milk latte; pot of green tea

service coffee shop

tool order_drink: Orders a drink for pickup
drink: drink | What would you like? | Which drink?
size?: small (tiny, little) / extra_large (really big)
shots?: integer 1-4
to_go?: boolean
> a[ {size}] {drink}[to_go=true: to go][size=small:, not much], please
> <I'd like|get me> {drink}
? can I have something

tool pay: Pays with the card that is known
token: from log_in
price: money 5-9000 | How much?
> pay {price}

tool log_in: Opens an account
code: integer[] 1000-9999 | Which code?
> open it with {code}
]]

describe("catalogues of services", function()
  it("say what tools there are, what is asked and what may be said", function()
    local services, problems = catalogue.read(example, "coffee.txt")
    assert.same({}, problems)
    assert.equal(1, #services)
    local entries = services[1].entries
    assert.same({"order_drink", "pay", "log_in"}, {entries[1].tool.name, entries[2].tool.name, entries[3].tool.name})
    assert.same({type = "object", required = {"drink"}, properties = {
      drink = {type = "string"}, size = {type = "string", enum = {"small", "extra_large"}}, shots = {type = "integer"},
      to_go = {type = "boolean"},
    }}, entries[1].tool.parameters)
    assert.same({"What would you like?", "Which drink?"}, entries[1].by_name.drink.asked)
    assert.equal("log_in", entries[2].by_name.token.from)
    assert.same({type = "array", items = {type = "integer"}}, entries[3].tool.parameters.properties.code)
    assert.equal(2, #entries[1].phrases)
    assert.same({"can I have something"}, entries[1].openers)
  end)

  it("draw values as their kind has them, and say them in different ways", function()
    local services = catalogue.read(example, "coffee.txt")
    local order, pay, log_in = services[1].entries[1], services[1].entries[2], services[1].entries[3]
    local random, said = new_random(3), {}
    local function ways(p, count)
      for _ = 1, count do
        local value, text = catalogue.draw(random, p)
        said[text] = value
      end
      return said
    end
    ways(order.by_name.size, 60)
    assert.same({small = "small", tiny = "small", little = "small", ["extra large"] = "extra_large", ["really big"] = "extra_large"}, said)
    said = {}
    ways(order.by_name.shots, 80)
    assert.equal(3, said["3"])
    assert.equal(3, said.three)
    assert.is_nil(said["5"])
    said = {}
    local commas, dollars = 0, 0
    for text, value in pairs(ways(pay.by_name.price, 300)) do
      assert.is_true(value >= 5 and value <= 9000 and value % 1 == 0)
      assert.equal(value, tonumber((text:gsub("[^%d]", ""))))
      if text:find "%d,%d%d%d" then commas = commas + 1 end
      if text:find "^%$" then dollars = dollars + 1 end
    end
    assert.is_true(commas > 20 and dollars > 50)
    for _ = 1, 50 do
      local codes, text = catalogue.draw(random, log_in.by_name.code)
      assert.is_true(#codes >= 1 and #codes <= 4)
      for _, code in ipairs(codes) do assert.is_truthy(text:find(("%d"):format(code), 1, true)) end -- codes have no commas
    end
  end)

  it("name the line of what is wrong, and go on", function()
    local function problems_of(text)
      local services, problems = catalogue.read(text, "x")
      return problems, services
    end
    local head = "service s\ntool t: Does it\n"
    for _, case in ipairs{
      {"tool t: Does it\n> do it", "x:1: a tool before any service"},
      {"name: person", "x:1: 'name: person' belongs to no tool"},
      {head .. "a: nothing_known\n> do it", "x:3: there is no kind 'nothing_known'"},
      {head .. "a: integer 9-1 | Which?\n> do it", "x:3: 'integer 9-1' is no range"},
      {head .. "a: integer 0.5-9 | Which?\n> do it", "x:3: 'integer 0.5-9' has no whole ends"},
      {head .. "a: city | Which?\n> do it", "x:4: {a} is required and not said"},
      {head .. "a?: city\n> do it[ in {b}]", "x:4: there is no parameter 'b'"},
      {head .. "a?: city\n> do it[ in {a}", "x:4: a bracket without its other one"},
      {head .. "a?: city\n> do it[ in {a]", "x:4: a brace without its other one"},
      {head .. "a?: on / off\n> do it[a=up: up]", "x:4: 'up' is no value of a"},
      {head .. "a?: boolean\n> do it[a=yes: up]", "x:4: 'yes' is neither true nor false"},
      {head .. "a?: city\na: city\n> do it", "x:4: the parameter 'a' is there already"},
      {head .. "> do it\ntool t: Again\n> do it", "x:4: the tool 't' is there already"},
      {head .. "a: from u\n> do it", "x:2: t has 'a' from 'u', no other tool of its service"},
      {head .. "a?: city", "x:2: t has no phrase"},
      {"list l: one", "x:1: the list 'l' has no two values"},
      {head .. "a: integer[0] 1-9 | Which?\n> do it", "x:3: 'integer[0] 1-9' has no values"},
      {head .. "a?: boolean[]\n> do it", "x:3: 'boolean[]': only what is said can be several"},
      {head .. "a: from u[]\n> do it", "x:3: 'from u[]': only what is said can be several"},
    } do
      local problems = problems_of(case[1])
      assert.is_truthy(problems[1] and problems[1]:find(case[2], 1, true), case[1] .. " -> " .. tostring(problems[1]))
    end
    local problems, services = problems_of(head .. "> do it[a=on: on]\n> do it\nwhat is this\n")
    assert.same({"x:3: there is no parameter 'a'", "x:5: this is no parameter, phrase or opener"}, problems)
    assert.same({"do it"}, services[1].entries[1].phrases)
    for _, text in ipairs{"", "\n\n", "service", "tool", ">", "? ", "\0\255", "list : a; b"} do
      assert.same({}, (catalogue.read(text, "x")))
    end
  end)

  it("leave out what waits for a tool that was left out", function()
    local services, problems = catalogue.read([[
service s
tool a: First
x: from b
> do a
tool b: Second
x: from c
> do b
tool c: Third
tool d: Fourth
> do d]], "x")
    assert.same({
      "x:8: c has no phrase", "x:5: b has 'x' from 'c', no other tool of its service",
      "x:2: a has 'x' from 'b', no other tool of its service",
    }, problems)
    assert.equal(1, #services[1].entries)
    assert.equal("d", services[1].entries[1].tool.name)
  end)

  it("have sentences that are said around a wish", function()
    local services = catalogue.read(example, "coffee.txt")
    local problems = catalogue.around([[
# what people say
service coffee shop
~ I'm meeting {first_name} here.
~~ My boss is paying.
~ It rains.]], "around.txt", services)
    assert.same({}, problems)
    assert.same({"I'm meeting {first_name} here.", "It rains."}, services[1].before)
    assert.same({"My boss is paying."}, services[1].behind)
    assert.same({
      "x:1: there is no service 'tea house'", "x:3: there is no kind 'nothing_known'", "x:4: a brace without its other one",
      "x:5: this is neither a service nor a sentence",
    }, catalogue.around("service tea house\nservice coffee shop\n~ {nothing_known}\n~ {city\ntool t: x", "x", services))
    assert.equal(2, #services[1].before)
  end)
end)
