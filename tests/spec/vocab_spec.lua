local mobilellm = require "mobilellm"
local train = mobilellm.train

local texts = {}
for i = 1, 40 do
  local room, way = i % 2 == 0 and "kitchen" or "bedroom", i % 3 == 0 and "on" or "off"
  texts[i] = ("turn the %s light %s, set %d degrees"):format(room, way, i)
end
local special = {"<|user|>", "<|call|>", "<|end|>"}

local function same(a, b)
  assert.are.equal(table.concat(a, " "), table.concat(b, " "))
end

describe("train.bpe", function()
  local v = assert(train.bpe{texts = texts, size = 320, special = special})

  it("learns from a list", function()
    assert.is_true(v:size() > 270 and v:size() <= 320)
    same({0}, v:tokenize("<|user|>", {special = true}))
    assert.are.equal(2, v:eos())
    assert.is_nil(v:bos())
    assert.is_true(v:is_end(2))
    assert.is_false(v:is_end(0))
    assert.is_true(#v:tokenize(" kitchen light") < 8)
  end)

  it("learns the same from a function", function()
    local at = 0
    local w = assert(train.bpe{texts = function() at = at + 1 return texts[at] end, size = 320, special = special})
    assert.are.equal(v:size(), w:size())
    for id = 0, v:size() - 1 do assert.are.equal(v:bytes(id), w:bytes(id)) end
  end)

  it("gives text back", function()
    for _, text in ipairs{"", " ", "turn it off!\n", "caf\195\169 \240\159\166\153", "1234 a\0b"} do
      assert.are.equal(text, v:detokenize(v:tokenize(text)))
    end
    local text = "<|user|>turn the light on<|end|>"
    assert.are.equal(text, v:detokenize(v:tokenize(text, {special = true}), {special = true}))
    assert.are.equal("turn the light on", v:detokenize(v:tokenize(text, {special = true})))
    assert.are.equal("\239\191\189", v:detokenize(v:tokenize("\255")))
  end)

  it("puts begin and end where asked", function()
    local w = assert(train.bpe{texts = texts, size = 300, special = special, bos = "<|call|>", eos = "<|user|>", pre = "gpt-2"})
    local ids = w:tokenize("a", {bos = true, eos = true})
    assert.are.equal(1, ids[1])
    assert.are.equal(0, ids[#ids])
    assert.are.equal(3, #ids)
  end)

  it("saves and reads again", function()
    local path = os.tmpname()
    assert(v:save(path))
    local w = assert(train.vocabulary(path))
    os.remove(path)
    assert.are.equal(v:size(), w:size())
    assert.are.equal(2, w:eos())
    for _, text in ipairs(texts) do same(v:tokenize(text), w:tokenize(text)) end
    assert.are.equal(0, w:find("<|user|>"))
    assert.is_nil(w:find("nothing of the kind"))
    assert.is_nil(w:bytes(100000))
    assert.is_nil(w:bytes(-1))
  end)

  it("hands on the error of a callback as it is", function()
    local mine = {}
    local ok, err = pcall(train.bpe, {texts = function() error(mine) end, size = 300})
    assert.is_false(ok)
    assert.are.equal(mine, err)
    ok, err = pcall(train.bpe, {texts = {"a", {}}, size = 300})
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("text expected from 'texts', got table", 1, true))
  end)

  it("names what is wrong", function()
    local function fails(pattern, f, ...)
      local ok, err = pcall(f, ...)
      assert.is_false(ok)
      assert.is_truthy(tostring(err):find(pattern, 1, true), tostring(err))
    end
    fails("sise", train.bpe, {texts = {}, sise = 1})
    fails("texts", train.bpe, {size = 300})
    fails("klingon", train.bpe, {texts = {}, pre = "klingon"})
    fails("<|nobody|>", train.bpe, {texts = {}, eos = "<|nobody|>"})
    fails("entry 2", train.bpe, {texts = {}, special = {"a", 1}})
    fails("prefiks", v.tokenize, v, "a", {prefiks = true})
    local nothing, message, code = train.vocabulary("/nonexistent/tokenizer.json")
    assert.is_nil(nothing)
    assert.is_truthy(message:find("/nonexistent/tokenizer.json", 1, true))
    assert.are.equal("io", code)
    nothing, message, code = v:save("/nonexistent/tokenizer.json")
    assert.is_nil(nothing)
    assert.is_truthy(message:find("/nonexistent/tokenizer.json", 1, true))
    assert.are.equal("io", code)
  end)

  it("reads SentencePiece models, which cannot be saved", function()
    local path = (os.getenv("MLLM_SHARED") or "../shared") .. "/tokenizers/llama2/tokenizer.model"
    local file = io.open(path, "rb")
    if not file then return pending("no shared data") end
    file:close()
    local w = assert(train.vocabulary(path))
    assert.are.equal(32000, w:size())
    same({15043, 3186}, w:tokenize("Hello world"))
    same({10994, 3186}, w:tokenize("Hello world", {continuation = true}))
    assert.are.equal("Hello world", w:detokenize{1, 15043, 3186})
    assert.are.equal(" Hello world", w:detokenize({15043, 3186}, {continuation = true}))
    local nothing, message, code = w:save("/nonexistent/tokenizer.json")
    assert.is_nil(nothing)
    assert.is_truthy(message)
    assert.are.equal("unsupported", code)
  end)

  it("closes", function()
    local w = assert(train.bpe{texts = {}, size = 256})
    w:close()
    w:close()
    assert.has_error(function() w:size() end)
  end)
end)
