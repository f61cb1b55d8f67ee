-- Another engine, measured between our own runs on the same file.
local peer = {}

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function fail(format, ...) error({failure = format:format(...)}, 0) end

-- The JSON line that COMMAND MODEL ... prints, as a table; its fields `wanted` must be numbers.
local function run(line, wanted)
  local pipe = io.popen(line .. " 2>&1")
  local text = pipe:read "*a"
  pipe:close()
  local found = text:match "{[^\n]*}"
  local row = found and require "mobilellm".json.decode(found)
  if type(row) == "table" then
    for _, name in ipairs(wanted) do
      if type(row[name]) ~= "number" then row = nil break end
    end
  end
  if type(row) ~= "table" then
    fail("the peer's output has no JSON line with %s: %s", table.concat(wanted, " and "), text:sub(1, 300))
  end
  return row
end

-- COMMAND MODEL THREADS PROMPT GENERATE 1 -> {prefill, decode, load_ms, engine}
function peer.bench(command, path, threads, values)
  return run(("%s %s %d %d %d 1"):format(command, quote(path), threads, values.prompt, values.generate), {"prefill", "decode"})
end

-- COMMAND MODEL THREADS GRAMMAR PROMPT MOST 1 -> {ms, tokens}
function peer.call(command, path, threads, grammar, prompt, most)
  return run(("%s %s %d %s %d %d 1"):format(command, quote(path), threads, quote(grammar), prompt, most), {"ms"})
end

return peer
