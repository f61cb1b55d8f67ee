local mobilellm = require "mobilellm"
local TINY = "tests/golden/tiny.gguf"

local function whole_characters(s)
  return not s:find "^[\128-\191]" and not s:find "[\192-\255]$" and not s:find "[\224-\255][\128-\191]$"
end

describe("generating", function()
  local model
  setup(function() model = assert(mobilellm.load(TINY, {threads = 1, kernel = "reference"})) end)
  teardown(function() model:close() end)

  it("returns text and figures", function()
    local text, stats = model:generate("Hello", {max_tokens = 20})
    assert.is_string(text)
    assert.is_true(#text > 0)
    assert.equal(#model:tokenize("Hello", {bos = true}), stats.prompt_tokens)
    assert.equal(20, stats.tokens)
    assert.equal("length", stats.stop)
    for _, key in ipairs{"prefill_seconds", "decode_seconds", "prefill_per_second", "tokens_per_second"} do
      assert.is_true(stats[key] >= 0)
    end
  end)

  it("takes the likeliest tokens unless told otherwise", function()
    local session = assert(model:session{context = 64})
    assert(session:feed "Hello")
    local ids = {}
    for i = 1, 12 do
      ids[i] = session:logits():argmax()
      assert(session:feed{ids[i]})
    end
    session:close()
    local expected = assert(model:detokenize(ids, {continuation = true}))
    assert.equal(expected, (model:generate("Hello", {max_tokens = 12})))
    assert.equal(expected, (model:generate("Hello", {max_tokens = 12, temperature = 0})))
    assert.equal(expected, (model:generate(model:tokenize("Hello", {bos = true}), {max_tokens = 12})))
  end)

  it("draws the same with the same seed, on any number of threads", function()
    local function draw(m, seed)
      return (assert(m:generate("Hello", {max_tokens = 30, temperature = 1, top_k = 50, top_p = 0.99, min_p = 0.001, seed = seed})))
    end
    assert.equal(draw(model, 7), draw(model, 7))
    assert.not_equal(draw(model, 7), draw(model, 8))
    local two = assert(mobilellm.load(TINY, {threads = 2, kernel = "reference"}))
    assert.equal(draw(model, 7), draw(two, 7))
    two:close()
  end)

  it("streams the same text in whole characters", function()
    for _, options in ipairs{{max_tokens = 40}, {max_tokens = 60, temperature = 2, seed = 5}} do
      local expected = assert(model:generate("Hello", options))
      local pieces = {}
      for piece in model:stream("Hello", options) do
        assert.is_true(#piece > 0)
        assert.is_true(whole_characters(piece))
        pieces[#pieces + 1] = piece
      end
      assert.is_true(#pieces > 5)
      assert.equal(expected, table.concat(pieces))
    end
  end)

  it("hands out the job of a stream", function()
    local pieces, job = model:stream("Hello", {max_tokens = 5})
    while pieces() do end
    assert.equal("length", job:state())
    assert.equal(5, job:stats().tokens)
    assert.is_nil(pieces())
    job:close()
  end)

  it("ends before a stop string, wherever the tokens cut it", function()
    local full = assert(model:generate("Hello", {max_tokens = 60}))
    for from = 3, #full - 6, 4 do
      for length = 1, 5, 2 do
        local stop = full:sub(from, from + length - 1)
        if not stop:find "[\128-\255]" then
          local at = assert(full:find(stop, 1, true))
          local text, stats = model:generate("Hello", {max_tokens = 60, stop = {"no such text", stop}})
          assert.equal(full:sub(1, at - 1), text)
          assert.equal("stop", stats.stop)
          local streamed = {}
          for piece in model:stream("Hello", {max_tokens = 60, stop = stop}) do streamed[#streamed + 1] = piece end
          assert.equal(text, table.concat(streamed))
        end
      end
    end
  end)

  it("gives back what looked like the beginning of a stop string", function()
    local full = assert(model:generate("Hello", {max_tokens = 30}))
    local text, stats = model:generate("Hello", {max_tokens = 30, stop = {full:sub(-1) .. "never", full .. "x"}})
    assert.equal(full, text)
    assert.equal("length", stats.stop)
  end)

  it("ends at an end token, unless it is told to go on", function()
    local options = {max_tokens = 10, logit_bias = {[2] = 1000}}
    local text, stats = model:generate("Hello", options)
    assert.equal("", text)
    assert.equal(0, stats.tokens)
    assert.equal("end", stats.stop)
    options.ignore_end = true
    text, stats = model:generate("Hello", options)
    assert.equal("", text)
    assert.equal(10, stats.tokens)
    assert.equal("length", stats.stop)
  end)

  it("ends when the context is full", function()
    local text, stats = model:generate({1, 300, 301}, {max_tokens = 100, context = 10})
    assert.is_string(text)
    assert.equal("context", stats.stop)
    assert.equal(8, stats.tokens)
    local none, message, code = model:generate({1, 300, 301}, {context = 2})
    assert.is_nil(none)
    assert.is_string(message)
    assert.equal("context", code)
  end)

  it("returns nil, message, code for a wrong id in the prompt", function()
    local text, message, code = model:generate{1, 384}
    assert.is_nil(text)
    assert.matches("384", message)
    assert.equal("token", code)
    text, message, code = model:stream{1, -5}
    assert.is_nil(text)
    assert.matches("%-5", message)
    assert.equal("token", code)
  end)

  it("feeds only the prompt when no token is wanted", function()
    local text, stats = model:generate("Hello", {max_tokens = 0})
    assert.equal("", text)
    assert.equal(0, stats.tokens)
    assert.equal("length", stats.stop)
  end)

  it("calls on_token with each token and its text", function()
    local ids, texts = {}, {}
    local text = model:generate("Hello", {max_tokens = 15, on_token = function(id, piece)
      ids[#ids + 1] = id
      texts[#texts + 1] = piece
    end})
    assert.equal(15, #ids)
    assert.equal(text, table.concat(texts))
    assert.equal(text, (model:detokenize(ids, {continuation = true})))
    local count = 0
    local _, stats = model:generate("Hello", {max_tokens = 15, on_token = function()
      count = count + 1
      return count < 4
    end})
    assert.equal(4, count)
    assert.equal("cancelled", stats.stop)
  end)

  it("passes errors of callbacks on, the very same value", function()
    local thing = {}
    for _, value in ipairs{thing, "text", 7, true} do
      local ok, err = pcall(model.generate, model, "Hello", {on_token = function() error(value, 0) end})
      assert.is_false(ok)
      assert.equal(value, err)
      ok, err = pcall(model.generate, model, "Hello", {sampler = mobilellm.sampler{function() error(value, 0) end}})
      assert.is_false(ok)
      assert.equal(value, err)
    end
    assert.is_string((model:generate("Hello", {max_tokens = 3})))
  end)

  it("takes a sampler with functions of the script, and leaves it as it was", function()
    local calls = 0
    local id = model:find "a"
    local sampler = mobilellm.sampler{function(logits)
      calls = calls + 1
      for other = 0, #logits - 1 do
        if other ~= id then logits:set(other, -math.huge) end
      end
    end, seed = 3}
    assert.equal(("a"):rep(8), (model:generate("Hello", {max_tokens = 8, sampler = sampler})))
    assert.equal(8, calls)
    local drawing = mobilellm.sampler{{"temperature", 1.5}, seed = 11}
    local first = model:generate("Hello", {max_tokens = 20, sampler = drawing})
    assert.equal(first, (model:generate("Hello", {max_tokens = 20, sampler = drawing})))
    assert.equal(first, (model:generate("Hello", {max_tokens = 20, sampler = {{"temperature", 1.5}, seed = 11}})))
  end)

  it("is guided by a second session that a stage keeps in step", function()
    local prompt = model:tokenize("an", {bos = true})
    local plain = assert(model:generate(prompt, {max_tokens = 12, ignore_end = true}))
    local function guided(scale)
      local other = assert(model:session{context = 64})
      assert(other:feed(model:tokenize("be", {bos = true})))
      local seen
      local function guide(logits, tokens)
        local new = {}
        seen = seen or #tokens -- the prompt, which is not the other's
        for i = seen + 1, #tokens do new[#new + 1] = tokens[i] end
        seen = #tokens
        if #new > 0 then assert(other:feed(new)) end
        logits:guide(other:logits(), scale)
      end
      local sampler = mobilellm.sampler{guide, {"greedy"}}
      local text = assert(model:generate(prompt, {max_tokens = 12, ignore_end = true, sampler = sampler}))
      local length = #other
      other:close()
      return text, length
    end
    local text, length = guided(1)
    assert.equal(plain, text)
    assert.equal(#model:tokenize("be", {bos = true}) + 11, length) -- all tokens but the last
    local strong = guided(4)
    assert.equal(strong, (guided(4)))
    assert.are_not.equal(plain, strong)
  end)

  it("applies penalties and biases", function()
    local plain = model:generate("Hello", {max_tokens = 40})
    local id = model:find "x"
    assert.is_truthy(plain:find "x")
    assert.is_nil((model:generate("Hello", {max_tokens = 40, logit_bias = {[id] = -math.huge}})):find "x")
    assert.not_equal(plain, (model:generate("Hello", {max_tokens = 40, repeat_penalty = 3})))
    assert.not_equal(plain, (model:generate("Hello", {max_tokens = 40, presence_penalty = 5, penalty_last_n = -1})))
  end)

  it("lets a function change the logits before everything else", function()
    local seen = {}
    local function change(logits, tokens)
      seen[#seen + 1] = #tokens
      logits:add(tokens[#tokens], -1000) -- nothing twice in a row
    end
    local prompt = #model:tokenize("Hello", {bos = true})
    for _, options in ipairs{{}, {temperature = 1.5, seed = 4}, {grammar = mobilellm.grammar.gbnf 'root ::= ("a" | "b"){24}'}} do
      seen, options.max_tokens, options.logits = {}, 24, change
      local text = model:generate("Hello", options)
      assert.equal(24, #seen)
      assert.same({prompt, prompt + 23}, {seen[1], seen[24]})
      if options.grammar then assert.is_truthy(text:find "abab") end
      assert.is_nil(options.grammar and (text:find "aa" or text:find "bb"))
    end
    assert.has_error(function() model:generate("Hello", {logits = 1}) end, "generate: option 'logits': function expected, got number")
    assert.has_error(function() model:generate("Hello", {logits = change, sampler = {"greedy"}}) end,
      "generate: option 'logits' and a sampler: say it in the sampler")
  end)

  it("stays in a grammar, greedy or drawing, whatever the sampler does", function()
    local grammar = assert(mobilellm.grammar.regex "(ab|cd)+x{3}[0-9]{2}")
    for _, options in ipairs{{}, {temperature = 1.5, top_k = 1, seed = 1}, {temperature = 2, seed = 2},
      {sampler = {function() end, {"top_k", 3}, {"temperature", 1}, seed = 3}}} do
      options.grammar = grammar
      local text, stats = assert(model:generate("Hello", options))
      assert.is_truthy(text:match "^[abcd]+xxx%d%d$", text)
      assert.equal("end", stats.stop)
      assert.is_true(stats.forced >= 2)
      local pieces = {}
      for piece in model:stream("Hello", options) do pieces[#pieces + 1] = piece end
      assert.equal(text, table.concat(pieces))
    end
  end)

  it("makes JSON that satisfies a schema", function()
    local grammar = assert(mobilellm.grammar.json_schema{
      type = "object",
      properties = {name = {enum = {"light", "fan"}}, on = {type = "boolean"}},
      required = {"name", "on"},
      additionalProperties = false,
    })
    for seed = 1, 10 do
      local text = assert(model:generate("Hello", {grammar = grammar, temperature = 1, seed = seed}))
      local value = assert(mobilellm.json.decode(text))
      assert.is_true(value.name == "light" or value.name == "fan")
      assert.is_boolean(value.on)
    end
    local text, stats = model:generate("Hello", {grammar = grammar, max_tokens = 4})
    assert.is_string(text)
    assert.equal("length", stats.stop)
  end)

  it("makes one call of the given tools", function()
    local seen
    local tools = mobilellm.tools{
      {name = "light", parameters = {type = "object", properties = {room = {enum = {"kitchen", "bath"}}, on = {type = "boolean"}},
        required = {"room", "on"}, additionalProperties = false}, call = function(arguments) seen = arguments return "done" end},
      {name = "wait", parameters = {type = "object", properties = {minutes = {enum = {1, 5}}}, required = {"minutes"},
        additionalProperties = false}, call = function(arguments) seen = arguments return "waited" end},
    }
    local names = {}
    for seed = 1, 12 do
      local text = assert(model:generate("Hello", {tools = tools, temperature = 1, seed = seed}))
      local call = assert(mobilellm.json.decode(text))
      names[call.name] = true
      seen = nil
      assert.is_string((assert(tools:call(call))))
      assert.is_table(seen)
    end
    assert.same({light = true, wait = true}, names)
    local parsed = mobilellm.toolcall.parse(assert(model:generate("Hello", {tools = tools})), {tools = tools})
    assert.equal(1, #parsed.calls)
    assert.error_matches(function() model:generate("x", {tools = {}}) end, "at least one tool")
    assert.error_matches(function()
      model:generate("x", {tools = tools, grammar = mobilellm.grammar.regex "a"})
    end, "exclude each other")
  end)

  it("says the same with drafts from earlier text, in fewer passes where it repeats", function()
    local prompt = ("one two three four "):rep(6)
    for _, how in ipairs{{}, {temperature = 0.7, seed = 3}, {temperature = 0.5, repeat_penalty = 1.3, seed = 4}} do
      how.max_tokens = 60
      local plain, before = model:generate(prompt, how)
      how.lookup = 8
      local drafted, stats = model:generate(prompt, how)
      assert.equal(plain, drafted)
      assert.equal(before.tokens, stats.tokens)
      assert.equal(0, before.drafted)
      assert.is_true(stats.accepted <= stats.drafted)
    end
    -- Repeating itself is what a bias towards few tokens makes it do.
    local bias = {}
    for _, id in ipairs(model:tokenize("one two")) do bias[id] = 100 end
    local _, stats = model:generate(prompt, {max_tokens = 60, logit_bias = bias, lookup = 8})
    assert.is_true(stats.accepted > 30)
    assert.has_error(function() model:generate(prompt, {lookup = -1}) end)
  end)

  it("takes a matcher where it stands, and leaves it there", function()
    local matcher = assert(mobilellm.grammar.regex("hello (world|there)"):matcher(model))
    assert.is_true(matcher:accept_text "hello ")
    local text = assert(model:generate("Hello", {grammar = matcher}))
    assert.is_true(text == "world" or text == "there")
    assert.is_true(matcher:accept_text "there")
    assert.error_matches(function() model:generate("x", {grammar = "[a-z]"}) end, "option 'grammar': grammar or matcher expected")
    assert.error_matches(function() model:generate("x", {grammar = model}) end, "option 'grammar': grammar or matcher expected")
  end)

  it("runs inside coroutines", function()
    local co = coroutine.wrap(function()
      for piece in model:stream("Hello", {max_tokens = 10}) do coroutine.yield(piece) end
    end)
    local text = {}
    for piece in co do text[#text + 1] = piece end
    assert.equal((model:generate("Hello", {max_tokens = 10})), table.concat(text))
    local yielding = coroutine.wrap(function()
      return (model:generate("Hello", {max_tokens = 3, on_token = function(id) coroutine.yield(id) end}))
    end)
    for _ = 1, 3 do assert.is_number(yielding()) end
    assert.is_string(yielding())
  end)

  it("raises for misuse and names it", function()
    assert.error_matches(function() model:generate("x", {temprature = 1}) end, "generate: unknown option 'temprature'")
    assert.error_matches(function() model:stream("x", {foo = 1}) end, "stream: unknown option 'foo'")
    assert.error_matches(function() model:generate("x", 5) end, "options must be a table")
    assert.error_matches(function() model:generate(nil) end, "a prompt is a text or a list of token ids, got nil")
    assert.error_matches(function() model:generate("x", {max_tokens = -1}) end, "option 'max_tokens'")
    assert.error_matches(function() model:generate("x", {max_tokens = "3"}) end, "option 'max_tokens'")
    assert.error_matches(function() model:generate("x", {temperature = -1}) end, "temperature")
    assert.error_matches(function() model:generate("x", {stop = 5}) end, "option 'stop'")
    assert.error_matches(function() model:generate("x", {stop = {""}}) end, "empty")
    assert.error_matches(function() model:generate("x", {stop = {"a", 5}}) end, "option 'stop'")
    assert.error_matches(function() model:generate("x", {on_token = 1}) end, "on_token")
    assert.error_matches(function() model:generate("x", {sampler = mobilellm.sampler{}, top_k = 3}) end, "top_k")
    assert.error_matches(function() model:generate("x", {sampler = 3}) end, "option 'sampler'")
    assert.error_matches(function() model:generate("x", {max_tokens = 1.5}) end, "option 'max_tokens'")
    -- also where the likeliest token is taken and nothing is drawn
    assert.error_matches(function() model:generate("x", {top_k = -1}) end, "top_k")
    assert.error_matches(function() model:generate("x", {top_p = "a"}) end, "top_p")
    assert.error_matches(function() model:generate("x", {min_p = 2, temperature = 0}) end, "min_p")
    assert.error_matches(function() model:generate("x", {seed = -1}) end, "seed")
    assert.equal((model:generate("x", {max_tokens = 8})), (model:generate("x", {max_tokens = 8, typical = 0.1, top_k = 1, seed = 3})))
  end)
end)

describe("scoring", function()
  local model
  setup(function() model = assert(mobilellm.load(TINY, {threads = 1, kernel = "reference"})) end)
  teardown(function() model:close() end)

  it("sums the log-probabilities of a continuation", function()
    local ids = model:tokenize(" bead", {continuation = true})
    local session = assert(model:session{context = 64})
    assert(session:feed "an")
    local expected = 0
    for _, id in ipairs(ids) do
      expected = expected + session:logits():logprob(id)
      assert(session:feed{id})
    end
    session:close()
    local sum, count = model:score("an", " bead")
    assert.equal(#ids, count)
    assert.is_true(math.abs(sum - expected) < 1e-3)
    assert.same({model:score("an", " bead")}, {model:score(model:tokenize("an", {bos = true}), ids)})
    assert.same({0, 0}, {model:score("an", "")})
  end)

  it("chooses the likeliest", function()
    local choices = {" be", "da", " un", "x y z"}
    local best, logprobs = model:choose("an", choices)
    assert.equal(4, #logprobs)
    local top = 1
    for i, choice in ipairs(choices) do
      local sum = model:score("an", choice)
      assert.is_true(math.abs(sum - logprobs[i]) < 1e-3)
      if sum > logprobs[top] then top = i end
    end
    assert.equal(choices[top], best)
  end)

  it("feeds what choices share once, and last tokens not at all", function()
    local lists = {{7, 9, 11}, {7, 9}, {7, 9, 11, 12, 13}, {7}, {}, {8, 9}, {7, 9, 11}, {7, 10, 11}}
    local _, sums = model:choose("an", lists)
    for i, list in ipairs(lists) do
      local alone = model:score("an", list)
      assert.is_true(math.abs(alone - sums[i]) < 1e-4, ("choice %d: %g alone, %g among others"):format(i, alone, sums[i]))
    end
    -- Against the chain rule, token by token.
    local session, expected = assert(model:session{context = 64}), 0
    assert(session:feed "an")
    for _, id in ipairs{7, 10, 11} do
      expected = expected + session:logits():logprob(id)
      assert(session:feed{id})
    end
    session:close()
    assert.is_true(math.abs(expected - sums[8]) < 1e-3)
    assert.equal(0, sums[5])
    assert.is_true(sums[1] == sums[7] and sums[3] < sums[1] and sums[1] < sums[2] and sums[2] < sums[4])
    -- The prompt fills the context: there is room for the logits, and no need for more.
    local room = model:info().context
    local ids = {}
    for i = 1, room do ids[i] = 5 + i % 7 end
    local best, one = model:choose(ids, {{7}, {8}})
    assert.is_true(best ~= nil and one[1] < 0 and one[2] < 0)
  end)

  it("returns nil, message, code when it does not fit", function()
    local sum, message, code = model:score(("be "):rep(600), "x")
    assert.is_nil(sum)
    assert.is_string(message)
    assert.equal("context", code)
  end)

  it("raises for misuse", function()
    assert.error_matches(function() model:choose("x", {}) end, "at least one")
    assert.error_matches(function() model:choose("x", {5}) end, "text or a list of token ids expected")
    assert.error_matches(function() model:score("x", "y", {foo = 1}) end, "unknown option 'foo'")
    assert.error_matches(function() model:score({}, "y") end, "no token")
    assert.error_matches(function() model:score("x") end, "text or a list of token ids expected, got nil")
    assert.error_matches(function() model:score("x", "y", 5) end, "options must be a table, got number")
    assert.error_matches(function() model:choose("x", {"y"}, "z") end, "options must be a table, got string")
  end)
end)

describe("a session that generates", function()
  it("continues what it holds and keeps what it made", function()
    local model = assert(mobilellm.load(TINY, {threads = 1, kernel = "reference"}))
    local session = assert(model:session{context = 128})
    assert(session:feed "Hello")
    local before = #session:tokens()
    local text = assert(session:generate("", {max_tokens = 10}))
    assert.equal(text, (model:generate("Hello", {max_tokens = 10})))
    assert.equal(before + 10, #session:tokens())
    local more = {}
    for piece in session:stream({}, {max_tokens = 10}) do more[#more + 1] = piece end
    assert.equal((model:generate("Hello", {max_tokens = 20})), text .. table.concat(more))
    session:close()
    model:close()
  end)

  it("is free again when a loop was left or a callback raised", function()
    local model = assert(mobilellm.load(TINY, {threads = 1, kernel = "reference"}))
    local session = assert(model:session{context = 128})
    local function leave() -- a function of its own: what it leaves behind is garbage in every Lua
      local pieces = 0
      for _ in session:stream("Hello", {max_tokens = 20}) do
        pieces = pieces + 1
        if pieces == 2 then return end
      end
    end
    leave()
    assert.equal(1, session:feed{300})
    assert.error_matches(function() session:generate("Hello", {on_token = function() error("enough", 0) end}) end, "^enough$")
    assert.equal(1, session:feed{300})
    -- A loop that goes on after another use of its session is told so; a job of the script's own keeps the session to itself.
    local step = session:stream("Hello", {max_tokens = 20})
    step()
    assert.equal(1, session:feed{300})
    assert.error_matches(step, "the session was used otherwise")
    assert.equal(1, session:feed{300})
    local job = session:start("Hello", {max_tokens = 20})
    assert.error_matches(function() session:feed{300} end, "while a job runs on it")
    job:close()
    assert.equal(1, session:feed{300})
    assert.error_matches(function() session:generate("x", {context = 5}) end, "unknown option 'context'")
    session:close()
    model:close()
  end)
end)

describe("healing the prompt's end", function()
  local model
  setup(function() model = assert(mobilellm.load(TINY, {threads = 1, kernel = "reference"})) end)
  teardown(function() model:close() end)

  it("writes the last token again, maybe as a longer one", function()
    local healed = 0
    for _, prompt in ipairs{"Hello wor", "the model ", "a b", "th", "http:"} do
      local session = assert(model:session{context = 64})
      local text, stats = assert(session:generate(prompt, {heal = true, max_tokens = 6, ignore_end = true}))
      local before = #model:tokenize(prompt, {bos = model:info().adds_bos})
      healed = healed + before - stats.prompt_tokens
      assert.equal(6 + before - stats.prompt_tokens, stats.tokens)
      -- The session holds the prompt and the text, nothing twice and nothing lost.
      local ids = session:tokens()
      if model:info().adds_bos then table.remove(ids, 1) end
      assert.equal(prompt .. text, (model:detokenize(ids)))
      session:close()
    end
    assert.is_true(healed > 0)
  end)

  it("leaves the grammar's text as it is", function()
    local grammar = assert(mobilellm.grammar.choice{"kitchen", "bath room"})
    for _, prompt in ipairs{"The room is the ", "room=", "th"} do
      local text, stats = assert(model:generate(prompt, {heal = true, grammar = grammar, max_tokens = 40}))
      assert.is_true(text == "kitchen" or text == "bath room")
      assert.equal("end", stats.stop)
    end
    assert.error_matches(function()
      model:generate("x", {heal = true, grammar = grammar:matcher(model)})
    end, "needs a grammar, not a matcher")
  end)
end)

describe("the probability that masks take away", function()
  it("is that of the tokens that may not come", function()
    local model = assert(mobilellm.load(TINY, {threads = 1, kernel = "reference"}))
    local grammar = assert(mobilellm.grammar.regex "[a-f]{4,9}")
    local session = assert(model:session{context = 64})
    local _, stats = assert(session:generate("Hello", {grammar = grammar, mask_mass = true, max_tokens = 12}))
    local ids, mass = session:tokens(), stats.mask_mass
    local again, matcher = assert(model:session{context = 64}), assert(grammar:matcher(model))
    local given, sum, steps = stats.prompt_tokens, 0, 0
    for i = 1, given do assert(again:feed{ids[i]}) end
    for i = 1, stats.tokens do
      local logits, allowed = again:logits(), {}
      for _, id in ipairs(assert(matcher:allowed{budget = 13 - i})) do allowed[id] = true end
      local all, removed = 0, 0
      local highest = logits:get(logits:argmax())
      for id = 0, model:info().vocabulary - 1 do
        local p = math.exp(logits:get(id) - highest)
        all = all + p
        if not allowed[id] then removed = removed + p end
      end
      if mass[i] then
        assert.is_true(math.abs(mass[i] - removed / all) < 1e-4)
        sum, steps = sum + removed / all, steps + 1
        local copy = logits:copy()
        local _, other = assert(matcher:mask(copy, {budget = 13 - i, mass = true}))
        assert.is_true(math.abs(other - removed / all) < 1e-6)
      end
      assert.is_true(matcher:accept(ids[given + i]))
      assert(again:feed{ids[given + i]})
    end
    assert.is_true(steps > 0)
    assert.is_true(mass.steps == steps or mass.steps == steps + 1) -- the end may have been a choice
    assert.is_true(mass.sum >= sum - 1e-4 and mass.sum <= sum + 1.0001)
    local info = matcher:info()
    assert.equal(steps, info.mask_steps)
    assert.is_true(math.abs(info.mask_mass - sum) < 1e-4)
    local _, plain = assert(model:generate("Hello", {grammar = grammar, max_tokens = 12}))
    assert.is_nil(plain.mask_mass)
    session:close()
    again:close()
    model:close()
  end)
end)
