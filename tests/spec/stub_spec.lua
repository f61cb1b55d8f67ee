-- lua-mobilellm/mobilellm.d.lua describes every public function, and nothing that does not exist.
local mobilellm = require "mobilellm"
local core = require "mobilellm.core"

-- "toolcall_parser" -> "ToolcallParser"
local function class_name(noun)
  return (("_" .. noun):gsub("_(%a)", string.upper))
end

-- Files that hold what is made without a userdata: class of the stub -> its table of methods.
local lua_classes = {
  Tools = function() return getmetatable(mobilellm.tools{}) end,
  Agent = function() return getmetatable(mobilellm.agent.new{chat = mobilellm.agent.replay ""}) end,
  Chat = function() return require "mobilellm.chat".class end,
  Template = function() return getmetatable(mobilellm.template.compile "") end,
}

describe("the stub", function()
  local text, functions, methods
  setup(function()
    local f = assert(io.open "lua-mobilellm/mobilellm.d.lua")
    text = f:read "*a"
    f:close()
    functions, methods = {}, {}
    for name in text:gmatch "\nfunction mobilellm%.([%w_.]+)%(" do functions[name] = true end
    for class, name in text:gmatch "\nfunction (%u[%w]*):([%w_]+)%(" do
      methods[class] = methods[class] or {}
      methods[class][name] = true
    end
    for name in pairs(getmetatable(mobilellm).files) do assert.is_not_nil(mobilellm[name]) end -- loads them
  end)

  it("is Lua", function()
    assert((rawget(_G, "loadstring") or load)(text))
  end)

  it("has every function of the module", function()
    local missing = {}
    local function walk(t, prefix)
      for name, value in pairs(t) do
        if type(value) == "function" and not functions[prefix .. name] then missing[#missing + 1] = prefix .. name end
        if type(value) == "table" then walk(value, prefix .. name .. ".") end
      end
    end
    walk(mobilellm, "")
    table.sort(missing)
    assert.same({}, missing)
  end)

  it("has every method of every class", function()
    local missing = {}
    for noun, table_of in pairs(core.classes) do
      local described = methods[class_name(noun)] or {}
      for name in pairs(table_of) do
        if not described[name] then missing[#missing + 1] = class_name(noun) .. ":" .. name end
      end
    end
    table.sort(missing)
    assert.same({}, missing)
  end)

  it("has no function that does not exist", function()
    local wrong = {}
    for path in pairs(functions) do
      local value = mobilellm
      for name in path:gmatch "[^.]+" do value = type(value) == "table" and value[name] or nil end
      if type(value) ~= "function" then wrong[#wrong + 1] = path end
    end
    local by_class = {}
    for noun, table_of in pairs(core.classes) do by_class[class_name(noun)] = table_of end
    for class, list in pairs(methods) do
      local real = by_class[class] or lua_classes[class] and lua_classes[class]() or {}
      for name in pairs(list) do
        if type(real[name]) ~= "function" then wrong[#wrong + 1] = class .. ":" .. name end
      end
    end
    table.sort(wrong)
    assert.same({}, wrong)
  end)

  it("names the fields of info() and stats()", function()
    local model = assert(mobilellm.load("tests/golden/tiny.gguf", {threads = 1}))
    for class, value in pairs{ModelInfo = model:info(), Stats = select(2, model:generate("x", {max_tokens = 1}))} do
      local block = assert(text:match("\n%-%-%-@class mobilellm%." .. class .. "\n(.-)\n\n"))
      for key in pairs(value) do
        assert.is_truthy(block:find("@field " .. key .. "%??%s"), class .. "." .. key)
      end
    end
    model:close()
  end)
end)
