local mobilellm = require "mobilellm"
local toolcall, json = mobilellm.toolcall, mobilellm.json

local shared = os.getenv("MLLM_SHARED") or "../shared"

-- The lines of a gzipped file of JSON objects; nil when it is not there.
local function read_lines(path)
  local f = io.open(path, "rb")
  if not f then return nil end
  f:close()
  local pipe = io.popen(("gzip -dc '%s'"):format(path))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = assert(json.decode(line)) end
  pipe:close()
  return list
end

-- Joins pieces of text and of one argument, so that what is left does not depend on the chunks.
local function joined(list, event)
  local last = list[#list]
  if last and last.kind == event.kind and (event.kind == "text" or event.kind == "reasoning") then
    last.text = last.text .. event.text
    return
  end
  if last and event.kind == "argument" and last.kind == "argument" and not last.complete then
    last.delta, last.text = last.delta .. event.delta, event.text and (last.text or "") .. event.text or last.text
    last.complete, last.value = event.complete, event.value
    return
  end
  list[#list + 1] = event
end

local function collect(parser, chunks)
  local list = {}
  for _, chunk in ipairs(chunks) do
    for _, event in ipairs(assert(parser:feed(chunk))) do joined(list, event) end
  end
  for _, event in ipairs(assert(parser:finish())) do joined(list, event) end
  return list
end

local function bytes(text)
  local list = {}
  for i = 1, #text do list[i] = text:sub(i, i) end
  return list
end

-- A small generator of our own: the same splits everywhere.
local seed = 20260902
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local function split(text)
  local list, at = {}, 1
  local longest = random(40)
  while at <= #text do
    local n = random(longest)
    list[#list + 1] = text:sub(at, at + n - 1)
    at = at + n
  end
  return list
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  if next(a) == nil and json.is_array(a) ~= json.is_array(b) then return false end
  for k, v in pairs(a) do
    if not same(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function text_of(events)
  local list = {}
  for _, e in ipairs(events) do
    if e.kind == "text" then list[#list + 1] = e.text end
  end
  return table.concat(list)
end

local function calls_of(events)
  local list = {}
  for _, e in ipairs(events) do
    if e.kind == "call_end" then list[#list + 1] = {name = e.name, arguments = e.arguments} end
  end
  return list
end

describe("toolcall.parse", function()
  it("reads MobileLLM's own form", function()
    local r = toolcall.parse('light(room = "kitchen", on = True, levels = [1, 2.5], note = None)', {format = "mobilellm"})
    assert.equal(1, #r.calls)
    assert.equal("light", r.calls[1].name)
    assert.same({room = "kitchen", on = true, levels = {1, 2.5}, note = mobilellm.null}, r.calls[1].arguments)
    assert.equal("", r.text)
  end)

  it("reads several calls, one per line or on one line", function()
    for _, text in ipairs{'a(x = 1)\nb()\nc(y = "z")', 'a(x = 1) b() c(y = "z")', 'a(x = 1); b(), c(y = "z")\n'} do
      local r = toolcall.parse(text, {format = "mobilellm"})
      assert.equal(3, #r.calls, text)
      assert.equal("c", r.calls[3].name)
      assert.equal("z", r.calls[3].arguments.y)
      assert.equal("", r.text)
    end
  end)

  it("keeps text that only looks like a call", function()
    for _, text in ipairs{"f(x) is a function", "see note(1)", "call me (maybe = no)", "a(", "f(x = 1", "f(x == 1)", "\n\n"} do
      local r = toolcall.parse(text, {format = "mobilellm", tools = {{name = "light"}}})
      assert.equal(0, #r.calls, text)
      assert.equal(text, r.text)
    end
  end)

  it("keeps integers integers", function()
    local r = toolcall.parse("f(a = 3, b = 3.0, c = -7)", {format = "mobilellm"})
    local a = r.calls[1].arguments
    local kind = rawget(math, "type")
    if kind then
      assert.equal("integer", kind(a.a))
      assert.equal("float", kind(a.b))
    end
    assert.equal(-7, a.c)
  end)

  it("names an option that it does not know, and a format", function()
    assert.error_matches(function() toolcall.parse("x", {fromat = "auto"}) end, "unknown option 'fromat'")
    assert.error_matches(function() toolcall.parse("x", {format = "nonsense"}) end, "unknown tool call format 'nonsense'")
  end)
end)

describe("the events of the wire formats", function()
  local cases = read_lines(shared .. "/toolcalls/wire_public.jsonl.gz")
  local all = os.getenv("MLLM_TEST_ALL")

  it("are those expected, whole, byte by byte and in random pieces", function()
    if not cases then return pending("no wire_public.jsonl.gz in " .. shared) end
    local bad = {}
    for i, case in ipairs(cases) do
      if toolcall.record(case.format) then
        local parser = toolcall.parser{format = case.format, tools = case.tools}
        local whole = collect(parser, {case.text})
        if text_of(whole) ~= case.content or not same(calls_of(whole), case.calls) then
          bad[#bad + 1] = case.id .. " " .. json.encode(calls_of(whole)) .. " " .. text_of(whole)
        end
        parser:reset()
        if not same(whole, collect(parser, bytes(case.text))) then bad[#bad + 1] = case.id .. " byte by byte" end
        for _ = 1, (all or i % 20 == 1) and 100 or 1 do
          parser:reset()
          if not same(whole, collect(parser, split(case.text))) then bad[#bad + 1] = case.id .. " split" end
        end
        parser:close()
      end
    end
    assert.equal(0, #bad, table.concat(bad, "\n", 1, math.min(#bad, 20)))
  end)
end)
