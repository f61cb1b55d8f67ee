local cli = require "cli"
local mobilellm = require "mobilellm"
local unpack = rawget(_G, "unpack") or table.unpack
local TINY = "tests/golden/tiny.gguf"
local WORDS = "be da go hi Hello an the dog kept a garden of small words, one after the other, and told nobody. "

describe("quantize and perplexity", function()
  local model, text, path, file
  setup(function()
    model = assert(mobilellm.load(TINY, {threads = 1}))
    text, file, path = WORDS:rep(3), os.tmpname(), os.tmpname()
    local f = assert(io.open(file, "wb"))
    f:write(text)
    f:close()
  end)
  teardown(function()
    model:close()
    os.remove(file)
    os.remove(path)
  end)

  it("perplexity is exp of the mean log-probability", function()
    local ids = model:tokenize(text)
    local session = assert(model:session())
    session:feed{model:info().bos}
    local sum = 0
    for _, logprob in ipairs(session:score(ids)) do sum = sum + logprob end
    local result = assert(model:perplexity(text))
    assert.same({#ids, 1}, {result.tokens, result.windows})
    assert.is_true(math.abs(result.logprob - sum) < 1e-3)
    assert.is_true(math.abs(result.perplexity - math.exp(-sum / #ids)) < 1e-3 * result.perplexity)
    assert.same(result, model:perplexity(ids))
    local spelled = "an</s>dog</s>"
    assert.equal(#model:tokenize(spelled, {special = true}), model:perplexity(spelled, {special = true}).tokens)
    assert.equal(#model:tokenize(spelled), model:perplexity(spelled).tokens)
    assert.is_true(#model:tokenize(spelled) > #model:tokenize(spelled, {special = true}))

    -- Two windows of 200 tokens: the second begins after a hundred.
    ids = {unpack(ids, 1, 250)}
    local function scores(first, last, from)
      session:rewind(0)
      session:feed{ids[first]}
      local list, total = session:score{unpack(ids, first + 1, last)}, 0
      for i = from - first, #list do total = total + list[i] end
      return total
    end
    result = assert(model:perplexity(ids, {context = 200, bos = false}))
    assert.same({249, 2}, {result.tokens, result.windows})
    assert.is_true(math.abs(result.logprob - scores(1, 200, 2) - scores(51, 250, 201)) < 1e-3)
    session:close()
  end)

  it("tells misuse and what the world does wrong", function()
    assert.has_error(function() model:perplexity(text, {contxt = 1}) end, "perplexity: unknown option 'contxt'")
    assert.has_error(function() model:perplexity(text, {context = -1}) end)
    assert.has_error(function() model:perplexity("", {bos = false}) end)
    local result, message, code = model:perplexity{1, 2, 100000}
    assert.is_nil(result)
    assert.equal("token", code)
    assert.matches("100000", message)
    assert.has_error(function() mobilellm.quantize(TINY, path, {type = "q3_k"}) end)
    assert.has_error(function() mobilellm.quantize(TINY, path, {type = "q4_0", calibrate = true}) end,
      "option 'calibrate': text or list of token ids expected, got boolean")
    assert.has_error(function() mobilellm.quantize(TINY, path, {seach = true}) end, "quantize: unknown option 'seach'")
    result, message, code = mobilellm.quantize("/nowhere/x", path)
    assert.is_nil(result)
    assert.equal("io", code)
    assert.matches("/nowhere/x", message, 1, true)
    result, message = mobilellm.quantize("/nowhere/x", path, {type = "q4_0", calibrate = text})
    assert.is_nil(result)
    assert.matches("/nowhere/x", message, 1, true)
  end)

  it("quantize writes every kind", function()
    for _, case in ipairs{
      {{type = "q8_0"}, "Q8_0", "Q8_0"}, {{type = "q4_0"}, "Q4_0", "Q4_0"}, {{type = "q4_0", embedding = "q8_0"}, "Q4_0", "Q8_0"},
      {{type = "q4_0", search = true, embedding = "f16"}, "Q4_0", "F16"},
      {{type = "q4_0", calibrate = text, packed = true, threads = 1, context = 64}, "P4", "P4"},
      {{type = "q4_0", calibrate = model:tokenize(text), kernel = "reference"}, "Q4_0", "Q4_0"},
    } do
      assert.is_true(mobilellm.quantize(TINY, path, case[1]))
      local other = assert(mobilellm.load(path, {threads = 1}))
      local info = other:info()
      assert.same({case[2], case[3]}, {info.quantization, info.types[1].stored})
      assert.is_true(other:perplexity(text, {context = 100}).perplexity > 1)
      other:close()
    end
  end)

  it("the command line reports what was gained and lost", function()
    local out, err, code = cli(("perplexity --threads 1 --json --context 100 %s %s"):format(TINY, file))
    assert.equal(0, code, err)
    local result = assert(mobilellm.json.decode(out))
    local expected = model:perplexity(text, {context = 100})
    assert.is_true(math.abs(result.logprob - expected.logprob) < 1e-3)
    assert.same({expected.tokens, expected.windows}, {result.tokens, result.windows})
    assert.matches("^perplexity %d+%.%d+ of %d+ tokens in 1 window\n$", (cli(("perplexity %s %s"):format(TINY, file))))

    out, err, code = cli(("quantize --threads 1 --type q4_0 --embedding q8_0 --calibrate %s --text %s --json %s %s"):format(file, file,
      TINY, path))
    assert.equal(0, code, err)
    local report = assert(mobilellm.json.decode(out))
    assert.equal(43168, report.parameters)
    assert.same({"F16", "Q4_0"}, {report.before.quantization, report.after.quantization})
    assert.is_true(report.before.tokens == report.after.tokens and report.after.perplexity > 1)
    assert.equal("Q8_0", report.types[1].stored)

    out, err, code = cli(("quantize --type q4_0 --search %s %s"):format(TINY, path))
    assert.equal(0, code, err)
    assert.matches("43168 parameters, %d+%.%d MB, %d%.%d+ bits a weight\n  Q4_0", out)
    for arguments, pattern in pairs{
      ["quantize --search --type q8_0 " .. TINY .. " " .. path] = "nothing to search",
      ["quantize --calibrate /nowhere/x --type q4_0 " .. TINY .. " " .. path] = "/nowhere/x",
      ["perplexity /nowhere/x " .. file] = "/nowhere/x",
    } do
      out, err, code = cli(arguments)
      assert.same({"", 1}, {out, code})
      assert.matches(pattern, err, 1, true)
    end
    assert.equal(2, (select(3, cli("quantize " .. TINY))))
    assert.equal(2, (select(3, cli("perplexity " .. TINY))))
  end)
end)
