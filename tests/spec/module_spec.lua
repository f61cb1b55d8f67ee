local mobilellm = require "mobilellm"
local core = require "mobilellm.core"

describe("the module", function()
  it("loads and tells its version", function()
    assert.is_table(mobilellm)
    assert.matches("^%d+%.%d+%.%d+$", mobilellm.version)
    assert.equal(mobilellm, require "mobilellm")
  end)

  it("sets no global", function()
    assert.is_nil(rawget(_G, "mobilellm"))
    assert.is_nil(rawget(_G, "core"))
  end)

  it("has a clock that does not go back", function()
    local a = core.clock()
    assert.is_number(a)
    assert.is_true(core.clock() >= a)
  end)

  it("gives nil for a name it does not have", function()
    assert.is_nil(mobilellm.no_such_thing)
  end)
end)
