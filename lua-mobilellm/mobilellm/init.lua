-- mobilellm: small language models inside a Lua program. This file only gathers: the engine is mobilellm.core (C), the
-- rest are Lua files beside this one, loaded when first used.
local core = require "mobilellm.core"
core.files((debug.getinfo(1, "S").source:gsub("init%.lua$", "")))
require "mobilellm.generate"(core)
core.classes.model.chat = function(model, options) return require "mobilellm.chat".new(model, options) end
require "mobilellm.grammar"

local mobilellm = {}
for _, name in ipairs{"version", "load", "convert", "quantize", "logits", "sampler", "grammar", "json", "null", "limits"} do
  mobilellm[name] = core[name]
end

-- field of the module -> Lua file that returns its value
local files = {
  agent = "mobilellm.agent",
  beam = "mobilellm.beam",
  template = "mobilellm.template",
  toolcall = "mobilellm.toolcall",
  tools = "mobilellm.tools",
  train = "mobilellm.train",
}

return setmetatable(mobilellm, {
  files = files,
  __index = function(_, key)
    local file = files[key]
    if not file then return nil end
    local value = require(file)
    mobilellm[key] = value
    return value
  end,
})
