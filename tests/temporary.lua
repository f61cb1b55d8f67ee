-- For specs: names of files that go when the spec is over.
--   local temporary, remove = require "temporary"()
--   temporary(suffix)   a path that nobody else has; suffix: ".gguf", ...
--   remove()            for teardown: takes away all that lies under these names
return function()
  local names = {}
  return function(suffix)
    local name = os.tmpname()
    names[#names + 1] = name
    if suffix then
      name = name .. suffix
      names[#names + 1] = name
    end
    return name
  end, function()
    for _, name in ipairs(names) do os.remove(name) end
  end
end
