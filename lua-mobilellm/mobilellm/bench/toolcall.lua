-- What reading tool calls costs: a message of text and two calls in each format, fed in pieces of the size of a token, with the events as
-- Lua tables; and the same bytes in one piece.
local figures = require "mobilellm.bench.figures"
local mobilellm = require "mobilellm"

local bench = {}

local PIECE = 4 -- bytes; English has a little more to a token
local ROUNDS = 50 -- messages in one measurement

local calls = {
  {name = "get_weather", id = "abcdefgh1", arguments = {city = "Oslo", days = 3, notes = ("a few words about it "):rep(8)}},
  {name = "stop", id = "abcdefgh2", arguments = {now = true}},
}

-- Seconds of the processor for reading the pieces ROUNDS times.
local function measure(parser, pieces)
  local begin = os.clock()
  for _ = 1, ROUNDS do
    parser:reset()
    for i = 1, #pieces do assert(parser:feed(pieces[i])) end
    assert(parser:finish())
  end
  return os.clock() - begin
end

-- bench.run{repeats} -> list of {format, tokens, token = seconds per token (median, min, max), whole = the same of one piece}
function bench.run(options)
  local rows = {}
  local names = mobilellm.toolcall.formats()
  names[#names + 1] = "auto"
  for _, name in ipairs(names) do
    local written = name == "auto" and "hermes" or name
    local text = ("I will look that up for you now. "):rep(6) .. mobilellm.toolcall.write(calls, {format = written})
    local pieces = {}
    for at = 1, #text, PIECE do pieces[#pieces + 1] = text:sub(at, at + PIECE - 1) end
    local parser = assert(mobilellm.toolcall.parser{format = name})
    local function per_token(list)
      return figures.repeated(options.repeats, function() return measure(parser, list) / ROUNDS / #pieces end)
    end
    rows[#rows + 1] = {format = name, tokens = #pieces, token = per_token(pieces), whole = per_token{text}}
    parser:close()
  end
  return rows
end

-- bench.lines(rows) -> list of lines
function bench.lines(rows)
  local lines = {("%-20s %7s %34s %22s"):format("format", "tokens", "ns a token, fed one by one", "ns a token, at once")}
  local most = 0
  for _, row in ipairs(rows) do
    lines[#lines + 1] = ("%-20s %7d %12.0f (%.0f to %.0f) %18.0f"):format(row.format, row.tokens, row.token.median * 1e9,
      row.token.min * 1e9, row.token.max * 1e9, row.whole.median * 1e9)
    most = math.max(most, row.token.median)
  end
  lines[#lines + 1] = ("the slowest format: %.2f microseconds a token"):format(most * 1e6)
  return lines
end

return bench
