-- The form of what the benchmark says; never how fast.
local mobilellm = require "mobilellm"
local core = require "mobilellm.core"
local figures = require "mobilellm.bench.figures"
local plot = require "mobilellm.bench.plot"
local roofline = require "mobilellm.bench.roofline"
local story = require "mobilellm.bench.story"
local suite = require "mobilellm.bench.suite"
local TINY = "tests/golden/tiny.gguf"

local function values(changes)
  local v = {threads = 1, kernel = "auto", kv_type = "auto", prompt = 20, generate = 8, repeats = 2, context = 96, draft = 15, read_mib = 1,
    type = "q8_0"}
  for k, x in pairs(changes or {}) do v[k] = x end
  return v
end

local function is_figure(f)
  assert.is_true(f.min > 0 and f.min <= f.median and f.median <= f.max and f.max < math.huge)
end

local function silent() end

describe("bench", function()
  it("spreads are median, least and most", function()
    assert.same({median = 2, min = 1, max = 9, runs = {9, 1, 2}}, figures.spread{9, 1, 2})
    assert.equal(2.5, figures.spread{4, 1, 2, 3}.median)
    local seen = {}
    assert.same({20, 30}, figures.repeated(2, function(i) seen[#seen + 1] = i return (i + 1) * 10 end).runs)
    assert.same({0, 1, 2}, seen) -- the first one warms up
  end)

  it("what is asked for fits into the model's context", function()
    local context = mobilellm.load(TINY, {vocabulary_only = true}):info().context
    local fitted = figures.fit(TINY, values{context = 1e6, prompt = 1e5, generate = 1e5})
    assert.same({context, context - 2, math.floor((context - 32) / 2)}, {fitted.context, fitted.prompt, fitted.generate})
    fitted = figures.fit(TINY, values())
    assert.same({96, 20, 8}, {fitted.context, fitted.prompt, fitted.generate})
  end)

  it("limits of the machine are rates, and nonsense is refused", function()
    local list = core.measure_read{bytes = 4096, threads = 2, repeats = 3}
    assert.equal(3, #list)
    list = core.measure_product{rows = 16, cols = 64, tokens = 3, threads = 1, type = "q4_0", repeats = 2}
    assert.equal(2, #list)
    for _, rate in ipairs(list) do assert.is_true(rate > 0) end
    assert.has_error(function() core.measure_product{type = "q9_9"} end, "option 'type': \"q9_9\" is no type of weights")
    assert.has_error(function() core.measure_product{cols = 33} end)
    assert.has_error(function() core.measure_read{size = 4} end)
  end)

  it("the costs of a pass are those of the shape", function()
    local info = {width = 576, heads = 9, head_size = 64, kv_heads = 3, ffn_width = 1536, steps = 30, vocabulary = 32000,
      tied_embedding = true, parameters = 124635456, types = {{kept_bytes = 132e6}, {kept_bytes = 1e5}}}
    local costs = roofline.costs(info, 23040)
    assert.equal(2 * 30 * (576 * 576 * 2 + 576 * 384 + 3 * 576 * 1536), costs.body)
    assert.equal(2 * 32000 * 576, costs.head)
    local operations, bytes = roofline.pass(costs, 1, 10)
    assert.equal(costs.body + costs.head + costs.attention * 11, operations)
    assert.equal(132.1e6 + 23040 * 11, bytes)
    operations, bytes = roofline.pass(costs, 512, 0)
    assert.equal(512 * (costs.body + costs.attention * 256.5) + costs.head, operations)
    assert.equal(2 * 132.1e6 + 23040 * 512, bytes) -- two slices
    -- An embedding of its own is read by the row.
    info.tied_embedding = false
    assert.is_true(roofline.costs(info, 1).weights < 132.1e6 * 0.86)
    local point = roofline.point(costs, {read = 1e10, product = 1e12}, {name = "decode", group = "decode", tokens = 1, from = 0, rate = 30})
    assert.equal("bytes", point.limited_by)
    assert.is_true(math.abs(point.limit - 1e10 / (132.1e6 + 23040)) < 1e-6)
    point = roofline.point(costs, {read = 1e10, product = 1e11}, {name = "p", group = "prefill", tokens = 256, from = 0, rate = 200})
    assert.equal("operations", point.limited_by)
  end)

  it("bars are as long as the share of the limit", function()
    local lines = roofline.bars({{name = "half", rate = 5, limit = 10, share = 0.5, limited_by = "bytes"},
      {name = "over", rate = 20, limit = 10, share = 2, limited_by = "operations"}}, 8)
    assert.matches("half .*|####%.%.%.%.|  50 %% of the bytes limit", lines[1])
    assert.matches("|########| 200 %% of the operations limit", lines[2])
  end)

  it("the plot is SVG, with a mark and a label for each point and nothing but its own markup", function()
    local points = {}
    for i, name in ipairs{"decode", "feed of 2", "<&>"} do
      points[i] = {name = name, group = i == 1 and "decode" or "feed", rate = 10 * i, intensity = i, operations_per_second = i * 1e9}
    end
    local svg = plot.svg(points, {{read = 1e10, product = 1e11, label = "k, 1 thread"}}, "a < b", "c")
    assert.matches('^<svg xmlns="http://www.w3.org/2000/svg"', svg)
    assert.matches("</svg>\n$", svg)
    assert.equal(3 + 2, select(2, svg:gsub("<circle ", ""))) -- points and legend
    assert.is_truthy(svg:find("&lt;&amp;&gt;: 30/s", 1, true))
    assert.is_truthy(svg:find("a &lt; b", 1, true))
    assert.is_nil(svg:find("nan", 1, true) or svg:find("inf", 1, true))
    assert.equal(select(2, svg:gsub("<text", "")), select(2, svg:gsub("</text>", "")))
  end)

  it("tells the whole story of a model", function()
    local peer = os.tmpname()
    local f = assert(io.open(peer, "wb"))
    f:write [[echo '{"engine":"other","load_ms":1,"prefill":2.0,"decode":4.0}']]
    f:close()
    local report = story.run(values{path = TINY, peer = "sh " .. peer}, story.chosen(), silent)
    os.remove(peer)
    for _, f2 in ipairs{report.prefill, report.decode, report.load_ms, report.limits.read[1], report.limits.product[1],
      report.lookup.copied.speedup, report.lookup.fresh.speedup} do is_figure(f2) end
    assert.equal("other", report.peer.engine)
    assert.is_true(math.abs(report.ratio.prefill - report.prefill.median / 2) < 1e-9 * report.prefill.median)
    assert.same({1, 2, 4, 8, 16}, (function(list) for i, r in ipairs(report.feed.rows) do list[i] = r.tokens end return list end){})
    assert.equal(1, report.feed.rows[1].time.median)
    assert.is_true(report.lookup.copied.identical and report.lookup.fresh.identical)
    assert.equal(16, report.lookup.copied.tokens)
    assert.is_true(report.lookup.copied.accepted > 0 and report.lookup.copied.accepted <= report.lookup.copied.drafted)
    assert.equal(0, report.lookup.fresh.accepted)
    assert.is_nil(report.lookup.real) -- no control tokens
    assert.equal("f32", report.kv[1].type)
    assert.is_true(report.kv[2].bytes * 2 == report.kv[1].bytes)
    assert.is_nil(report.ls) -- not a shape of ours
    assert.equal(1 + 4 + 1 + 2, #report.roofline) -- decode, feeds, lookup, prefill of 20 and 32

    local text = table.concat(story.lines(report), "\n")
    for _, part in ipairs{"prefill of 20", "decode of 8", "load to first token", "peak memory", "other", "k = 16", "text that copies",
      "about speed alone", "read memory, 1 threads", "roofline", "% of the "} do
      assert.is_truthy(text:find(part, 1, true), part)
    end
    assert.is_table(mobilellm.json.decode(mobilellm.json.encode(report)))
  end)

  it("measures the parts that are asked for", function()
    assert.same({nil, "fast"}, {story.chosen "speed,fast"})
    local report = story.run(values{path = TINY}, story.chosen "feed", silent)
    assert.is_nil(report.prefill or report.limits or report.lookup or report.kv)
    assert.is_table(report.feed)
  end)

  it("measures a call under a grammar beside a peer's", function()
    local gbnf, peer = os.tmpname(), os.tmpname()
    for path, text in pairs{[gbnf] = [[root ::= "[" [0-9] "]"]], [peer] = [[echo '{"ms":5.0}']]} do
      local f = assert(io.open(path, "wb"))
      f:write(text)
      f:close()
    end
    local report = story.run(values{path = TINY, call = gbnf, peer_call = "sh " .. peer, context = 300}, story.chosen "call", silent)
    os.remove(gbnf)
    os.remove(peer)
    is_figure(report.call.ms)
    assert.matches("^%[%d%]$", report.call.text)
    assert.equal(5, report.call.peer.median)
  end)

  it("a peer that says nothing usable is an error that shows what it said", function()
    local ok, err = pcall(story.run, values{path = TINY, peer = "echo no figures #"}, story.chosen "speed", silent)
    assert.is_false(ok)
    assert.matches("prefill and decode: no figures", err.failure)
  end)

  it("the suite is a table with goals", function()
    local report = suite.run(values{model = TINY, peer = [[echo '{"prefill":1.0,"decode":1e12,"load_ms":1}' #]]}, silent)
    local by_name = {}
    for _, row in ipairs(report.rows) do by_name[row.what] = row end
    assert.is_true(by_name["prefill of 20"].met)
    assert.is_false(by_name["decode of 8"].met)
    assert.is_boolean(by_name["peak memory"].met)
    assert.is_table(by_name["decode with lookup, text that copies"])
    local lines = suite.lines(report.rows, true)
    assert.equal(#report.rows + 2, #lines)
    for _, line in ipairs(lines) do assert.equal(10, select(2, line:gsub("|", ""))) end
    assert.equal(#report.rows + 1, #suite.lines(report.rows))
    assert.is_table(mobilellm.json.decode(mobilellm.json.encode(report)))
  end)

  it("the suite goes on without a peer that fails", function()
    local report = suite.run(values{model = TINY, peer = "false", repeats = 1}, silent)
    for _, row in ipairs(report.rows) do assert.is_nil(row.peer) end
    assert.matches("1%.0 x the peer | not measured", suite.lines(report.rows, true)[4])
  end)

  it("measures what reading tool calls costs", function()
    local reading = require "mobilellm.bench.toolcall"
    local rows = reading.run{repeats = 1}
    assert.equal(#require "mobilellm".toolcall.formats() + 1, #rows)
    for _, row in ipairs(rows) do assert.is_true(row.tokens > 50 and row.token.median > 0 and row.whole.median > 0, row.format) end
    assert.matches("microseconds a token", table.concat(reading.lines(rows), "\n"))
  end)
end)
