local mobilellm = require "mobilellm"
local TINY = "tests/golden/tiny.gguf"

describe("mobilellm.load", function()
  it("loads a file and describes it", function()
    local model = assert(mobilellm.load(TINY, {threads = 1, kernel = "reference"}))
    local info = model:info()
    assert.equal(TINY, info.path)
    assert.equal("llama", info.architecture)
    assert.equal("F16", info.quantization)
    assert.equal("reference", info.kernel)
    assert.equal(2, info.blocks)
    assert.equal(2, info.steps)
    assert.equal(384, info.vocabulary)
    assert.equal(32, info.width)
    assert.equal(43168, info.parameters)
    assert.is_true(info.bytes >= 2 * info.parameters)
    assert.is_false(info.tied_embedding)
    assert.equal(1, info.bos)
    assert.equal(2, info.eos)
    assert.is_nil(info.chat_template)
    model:close()
  end)

  it("returns nil, message, code for what is wrong in the world", function()
    local model, message, code = mobilellm.load "no/such/file.gguf"
    assert.is_nil(model)
    assert.matches("no/such/file.gguf", message, 1, true)
    assert.equal("io", code)
    local path = os.tmpname()
    local f = assert(io.open(path, "wb"))
    f:write "This is a text and no model."
    f:close()
    model, message, code = mobilellm.load(path)
    os.remove(path)
    assert.is_nil(model)
    assert.matches(path, message, 1, true)
    assert.equal("format", code)
  end)

  it("refuses damaged files and never crashes", function()
    local f = assert(io.open(TINY, "rb"))
    local bytes = f:read "*a"
    f:close()
    local path = os.tmpname()
    local function try(damaged)
      local out = assert(io.open(path, "wb"))
      out:write(damaged)
      out:close()
      local model, message, code = mobilellm.load(path, {threads = 1})
      if model then -- a flipped bit may leave a good file
        model:generate({1, 300}, {max_tokens = 2})
        model:close()
        return true
      end
      assert.is_string(message)
      assert.is_string(code)
      assert.is_truthy(message:find(path, 1, true), message)
    end
    for cut = 0, #bytes - 1, 1999 do assert.is_nil(try(bytes:sub(1, cut))) end
    local seed, refused = 12345, 0
    for _ = 1, 150 do
      seed = (seed * 1103515245 + 12345) % 2147483648
      local at = seed % 9000 + 1 -- header, metadata, tensor table
      local bit = 2 ^ (math.floor(seed / 65536) % 8)
      local byte = bytes:byte(at)
      local flipped = math.floor(byte / bit) % 2 == 1 and byte - bit or byte + bit
      if not try(bytes:sub(1, at - 1) .. string.char(flipped) .. bytes:sub(at + 1)) then refused = refused + 1 end
    end
    os.remove(path)
    assert.is_true(refused > 10)
  end)

  it("raises for misuse and names it", function()
    assert.error_matches(function() mobilellm.load(TINY, {thread = 1}) end, "load: unknown option 'thread'")
    assert.error_matches(function() mobilellm.load(TINY, {[1] = 1}) end, "load: unknown option %[1%]")
    assert.error_matches(function() mobilellm.load(TINY, {threads = "2"}) end, "option 'threads'")
    assert.error_matches(function() mobilellm.load(TINY, {threads = 1.5}) end, "option 'threads'")
    assert.error_matches(function() mobilellm.load(TINY, {threads = -1}) end, "option 'threads'")
    assert.error_matches(function() mobilellm.load(TINY, 7) end, "options must be a table")
    assert.has_error(function() mobilellm.load() end)
    assert.has_error(function() mobilellm.load(TINY .. "\0x") end)
  end)

  it("says that a kernel is unknown", function()
    local ok, message = pcall(function()
      local model, text = mobilellm.load(TINY, {kernel = "abacus"})
      return model == nil and text or error "loaded"
    end)
    assert.matches("abacus", message)
    assert.is_not_nil(ok)
  end)

  it("reads the vocabulary alone", function()
    local model = assert(mobilellm.load(TINY, {vocabulary_only = true}))
    assert.same(model:tokenize "banana", model:tokenize "banana")
    local ok, session, message = pcall(model.session, model)
    assert.is_true(not ok or session == nil)
    assert.is_string(ok and message or session)
    model:close()
  end)
end)

describe("a model", function()
  local model
  setup(function() model = assert(mobilellm.load(TINY, {threads = 1})) end)
  teardown(function() model:close() end)

  it("turns text into ids and back", function()
    for _, text in ipairs{"", "a", "Hello, world", "tabs\tand\nlines", "\195\169t\195\169 \226\130\172", "two  spaces ", "a\0b"} do
      local ids = model:tokenize(text)
      for _, id in ipairs(ids) do
        assert.is_true(id >= 3 and id < 384)
        if math.type then assert.equal("integer", math.type(id)) end
      end
      assert.equal(text, assert(model:detokenize(ids)))
    end
  end)

  it("adds the begin token when asked", function()
    local plain, with = model:tokenize "be", model:tokenize("be", {bos = true})
    assert.equal(1, with[1])
    table.remove(with, 1)
    assert.same(plain, with)
    assert.equal("be", model:detokenize(model:tokenize("be", {bos = true})))
  end)

  it("reads spellings of control tokens only when asked", function()
    assert.same({2}, model:tokenize("</s>", {special = true, continuation = true}))
    assert.is_true(#model:tokenize "</s>" > 1)
    assert.equal("</s>", model:detokenize({2}, {special = true}))
    assert.equal("", model:detokenize{2})
  end)

  it("names tokens", function()
    assert.same({"</s>", "control"}, {model:token(2)})
    assert.same({"a", "normal"}, {model:token(model:find "a")})
    assert.equal(" be", (model:token(model:find "\226\150\129be")))
    assert.is_nil(model:token(384))
    assert.is_nil(model:token(-1))
    assert.is_nil(model:find "no such piece")
    assert.is_true(model:is_end(2))
    assert.is_false(model:is_end(5))
  end)

  it("returns nil, message, code for an id outside", function()
    for _, id in ipairs{384, -1, 2147483647} do
      local text, message, code = model:detokenize{5, id}
      assert.is_nil(text)
      assert.matches(tostring(id), message, 1, true)
      assert.equal("token", code)
    end
  end)

  it("raises for things that are no ids and no text", function()
    assert.error_matches(function() model:detokenize{5, "x"} end, "%[2%]")
    assert.error_matches(function() model:detokenize{1.5} end, "token id expected")
    assert.has_error(function() model:detokenize "text" end)
    assert.has_error(function() model:tokenize(12) end)
    assert.error_matches(function() model:tokenize("x", {bso = true}) end, "unknown option 'bso'")
    assert.error_matches(function() model:tokenize("x", {bos = 1}) end, "option 'bos': boolean expected, got 1")
    assert.error_matches(function() model:token(2 ^ 40) end, "integer from")
  end)

  it("says what it is, and that it is closed", function()
    local m = assert(mobilellm.load(TINY))
    assert.matches("^mobilellm model: ", tostring(m))
    m:close()
    m:close()
    assert.matches("closed", tostring(m))
    assert.error_matches(function() m:info() end, "attempt to use a closed model")
    assert.error_matches(function() m:session{} end, "attempt to use a closed model")
    assert.error_matches(function() m.info(12) end, "model expected, got number")
    assert.error_matches(function() m.info(io.stdout) end, "model expected, got userdata")
  end)

  it("lives as long as a session needs it", function()
    local m = assert(mobilellm.load(TINY, {threads = 1}))
    local s = assert(m:session{context = 16})
    m:close()
    collectgarbage()
    assert.equal(3, assert(s:feed{1, 5, 6}))
    assert.equal(384, #s:logits())
    local again = s:model()
    assert.not_equal(m, again)
    assert.equal(again, s:model())
    local fork = assert(s:fork())
    assert.equal(again, fork:model())
    s:close()
    assert.equal(384, again:info().vocabulary)
    again:close()
  end)

  it("closes at the end of a block on Lua 5.4", function()
    if not math.type or _VERSION == "Lua 5.3" then return end
    local chunk = assert(load([[
      local mobilellm, path = ...
      local kept
      do
        local m <close> = assert(mobilellm.load(path))
        kept = m
      end
      return kept]]))
    assert.matches("closed", tostring(chunk(mobilellm, TINY)))
  end)
end)
