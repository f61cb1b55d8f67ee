-- The files that are measured: random weights in published shapes, made once a run and removed at its end.
local core = require "mobilellm.core"

local files = {}

local function fail(message) error({failure = tostring(message)}, 0) end

-- A set of files; `say` is told what is being made.
function files.new(say)
  local made, by_name = {}, {}
  local set = {}

  -- The path of random weights in `shape`; `keep`: there, and not removed.
  function set.random(shape, kind, keep, tokenizer)
    local name = shape .. " " .. kind
    if by_name[name] then return by_name[name] end
    say("making random weights: %s", name)
    local path = keep or os.tmpname()
    if not keep then made[#made + 1] = path end
    local ok, done, message = pcall(core.make_random, path, {shape = shape, type = kind, tokenizer = tokenizer})
    if not ok or not done then fail(ok and message or done) end
    by_name[name] = path
    return path
  end

  -- The same weights as a packed file.
  function set.packed(path, kind)
    say("packing %s", path)
    local to = os.tmpname()
    made[#made + 1] = to
    local done, message = require "mobilellm".convert(path, to, {type = kind, packed = true})
    if not done then fail(message) end
    return to
  end

  function set.remove()
    for _, path in ipairs(made) do os.remove(path) end
    made, by_name = {}, {}
  end

  return set
end

-- The base of "125m-ls" is "125m"; the LS form of "125m" is "125m-ls"; nil where there is none.
function files.pair(shape)
  local base = shape:match "^(.*)%-ls$"
  if base then return base, shape end
  if shape:match "^mobillama" then return nil end
  return shape, shape .. "-ls"
end

return files
