package.path = "agents/model/?.lua;" .. package.path
local catalogue = require "catalogue"
local wishes = require "wishes"
local new_random = require "mobilellm.random"

local services = assert(catalogue.read([[
list place: Oslo; Rome; Bath; Nice; Bern; Graz
service weather
tool forecast: The weather of a day
town: place | Where?
day: monday / tuesday / friday / sunday | When?
unit?: metric / imperial
> how is {town} on {day}[ in {unit} units]?
tool now: The weather now
town: place | Where?
hours?: integer 1-9
> weather {town}
tool sea: The temperature of the sea
token: from forecast
> how warm is the sea]], "weather"))
local forecast, now, sea = services[1].entries[1], services[1].entries[2], services[1].entries[3]

describe("wishes", function()
  it("say each value once, and nothing that another call must give", function()
    local random = new_random(5)
    for _ = 1, 50 do
      local text, call = wishes.one(random, forecast)
      assert.is_truthy(text:find("how is " .. call.arguments.town .. " on " .. call.arguments.day, 1, true))
      assert.equal(call.arguments.unit ~= nil, text:find " units" ~= nil)
    end
    assert.is_nil(wishes.one(random, sea))
    local text, call = wishes.one(random, sea, {token = "x1"})
    assert.equal("how warm is the sea", text)
    assert.same({name = "sea", arguments = {token = "x1"}}, call)
  end)

  it("of several values are calls of their own: in a row, each with each, first with first, said again", function()
    local random, crossed, in_order, again, alone = new_random(6), 0, 0, 0, 0
    for _ = 1, 400 do
      local text, calls = wishes.several(random, forecast)
      if text and not calls[1].arguments.unit and not calls[2].arguments.unit then
        local seen, towns, days, town_count, day_count = {}, {}, {}, 0, 0
        for _, call in ipairs(calls) do
          local a = call.arguments
          local key = a.town .. a.day
          assert.is_nil(seen[key], text)
          seen[key] = true
          assert.is_truthy(text:find(a.town, 1, true) and text:find(a.day, 1, true), text)
          if not towns[a.town] then towns[a.town], town_count = true, town_count + 1 end
          if not days[a.day] then days[a.day], day_count = true, day_count + 1 end
        end
        assert.is_true(#calls > 1)
        if #calls == town_count * day_count then
          if town_count > 1 and day_count > 1 then crossed = crossed + 1 else alone = alone + 1 end
        else -- then it must be clear what belongs together
          assert.equal(#calls, town_count)
          if text:find "respectively" or text:find "in that order" then in_order = in_order + 1
          else
            assert.is_truthy(text:find " on %l+.* %u%l+ on %l+", text)
            again = again + 1
          end
        end
      end
    end
    assert.is_true(crossed > 20 and in_order > 10 and again > 20 and alone > 100)
    assert.is_nil(wishes.several(random, sea))
  end)

  it("may say what was left out in sentences of their own", function()
    local random, more = new_random(7), 0
    for _ = 1, 40 do
      local text, call = wishes.one(random, now)
      local long = wishes.details(random, now, text, call)
      assert.equal(text, long:sub(1, #text))
      assert.is_truthy(long:find "hours")
      assert.is_true(call.arguments.hours >= 1 and call.arguments.hours <= 9)
      if long ~= text then more = more + 1 end
    end
    assert.equal(40, more)
  end)
end)
