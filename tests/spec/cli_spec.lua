local cli = require "cli"
local mobilellm = require "mobilellm"
local LUA = os.getenv "MLLM_TEST_LUA" or "lua5.4"
local TINY = "tests/golden/tiny.gguf"

describe("mobilellm", function()
  local model
  setup(function() model = assert(mobilellm.load(TINY, {threads = 1})) end)
  teardown(function() model:close() end)

  it("tells its version and its commands", function()
    local out, err, code = cli "--version"
    assert.equal("mobilellm " .. mobilellm.version .. "\n", out)
    assert.same({"", 0}, {err, code})
    out, err, code = cli "--help"
    assert.same({"", 0}, {err, code})
    for _, name in ipairs(require "mobilellm.cli".commands) do assert.matches("\n  " .. name .. " ", out, 1, true) end
    out, err, code = cli ""
    assert.same({"", 2}, {out, code})
    assert.matches("usage:", err)
  end)

  it("helps with every command", function()
    for _, name in ipairs(require "mobilellm.cli".commands) do
      local out, err, code = cli(name .. " --help")
      assert.equal(0, code, name .. err)
      assert.matches("^usage: mobilellm " .. name .. " ", out)
      assert.matches("--help", out, 1, true)
    end
  end)

  it("says what is wrong with its use: exit code 2", function()
    for arguments, pattern in pairs{
      ["frob"] = "mobilellm: unknown command 'frob'",
      ["run --frob x"] = "unknown option --frob",
      ["run"] = "a model file or folder is missing",
      ["run --max-tokens"] = "--max-tokens: N is missing",
      ["run --max-tokens=x " .. TINY] = "--max-tokens: integer expected, got 'x'",
      ["run --max-tokens=-1 " .. TINY] = "--max-tokens: at least 0 expected, got -1",
      ["run --temperature=-0.5 " .. TINY] = "--temperature: at least 0 expected, got -0.5",
      ["info " .. TINY .. " more"] = "info: unexpected 'more'",
      ["convert a b c"] = "convert: unexpected 'c'",
      ["run --special=1 " .. TINY] = "--special takes no value",
      ["convert a b --type q9"] = "--type: one of f32, f16, bf16, q8_0, q4_0 expected, got 'q9'",
      ["convert a"] = "FROM and TO",
      ["score " .. TINY .. " x"] = "at least one CONTINUATION",
      ["bench"] = "a MODEL or a --shape is needed",
      ["bench --only sped " .. TINY] = "'sped' is none of speed, limits",
      ["bench --prompt 0 " .. TINY] = "--prompt: at least 1",
      ["tokenize --decode " .. TINY .. " x"] = "token id expected, got 'x'",
    } do
      local out, err, code = cli(arguments)
      assert.equal(2, code, arguments .. ": " .. err)
      assert.equal("", out)
      assert.matches("^mobilellm: ", err)
      assert.matches(pattern, err, 1, true)
    end
  end)

  it("says what went wrong: exit code 1", function()
    for _, arguments in ipairs{"info no/such/file", "run no/such/file x", "tokenize no/such/file x",
      "convert no/such/file /tmp/x.gguf", "info --chat-template " .. TINY, "run --kernel none " .. TINY .. " x",
      "run --top-p 7 " .. TINY .. " x"} do
      local out, err, code = cli(arguments)
      assert.equal(1, code, arguments)
      assert.equal("", out)
      assert.matches("^mobilellm: [^\n]+\n$", err)
      assert.is_nil(err:find("traceback", 1, true))
      assert.is_nil(err:find("%.lua:%d"))
    end
  end)

  it("run: continues a prompt from words or standard input", function()
    local expected = model:generate("Hello be", {max_tokens = 12})
    assert.equal(expected .. "\n", (cli("run " .. TINY .. " --threads 1 --max-tokens 12 Hello be")))
    local out, err, code = cli("run " .. TINY .. " --threads=1 --max-tokens=12 --stats", "Hello be")
    assert.equal(expected .. "\n", out)
    assert.equal(0, code)
    assert.matches("output 12 tokens at .* ended by: length", err)
    local stop = expected:sub(5, 6)
    out = cli(("run %s --threads 1 --max-tokens 12 --stop '%s' -- Hello be"):format(TINY, stop))
    assert.equal(expected:sub(1, expected:find(stop, 1, true) - 1) .. "\n", out)
    assert.equal(cli("run " .. TINY .. " --temperature 1 --top-k 20 --seed 5 --max-tokens 12 x"),
      (cli("run " .. TINY .. " --temperature 1 --top-k 20 --seed 5 --max-tokens 12 x")))
  end)

  it("run: under a grammar", function()
    local path = os.tmpname()
    local f = assert(io.open(path, "wb"))
    f:write '{"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 2}'
    f:close()
    assert.matches('^%["[ab]", ?"[ab]"%]\n$', (cli("run " .. TINY .. " --schema " .. path .. " Hello")))
    assert.matches("^[ab]c\n$", (cli("run " .. TINY .. " --regex '[ab]c' Hello")))
    local _, err, code = cli("run " .. TINY .. " --regex '[ab]c' --schema " .. path .. " Hello")
    os.remove(path)
    assert.equal(2, code)
    assert.matches("exclude each other", err)
  end)

  it("run: draws the same tokens under every Lua and for any number of threads", function()
    local build, texts = os.getenv "BUILD" or "build", {}
    for lua, abi in pairs{["lua5.4"] = "5.4", ["lua5.1"] = "5.1", luajit = "5.1"} do
      for threads = 1, 3 do
        local pipe = io.popen(("LUA_CPATH='./%s/lua%s/?.so;;' %s lua-mobilellm/bin/mobilellm run %s --threads %d --kernel reference "
          .. "--temperature 1 --top-p 0.95 --seed 42 --max-tokens 40 Hello 2>/dev/null"):format(build, abi, lua, TINY, threads))
        local text = pipe:read "*a"
        pipe:close()
        if text ~= "" then texts[#texts + 1] = text end -- this Lua is here
      end
    end
    assert.is_true(#texts >= 3)
    for i = 2, #texts do assert.equal(texts[1], texts[i]) end
  end)

  it("chat: answers line by line", function()
    local out, err, code = cli("chat " .. TINY .. " --threads 1 --max-tokens 6 --temperature 0 --system 'Be kind.'", "hi\nhow are you\n\n")
    assert.equal(0, code, err)
    local _, lines = out:gsub("\n", "")
    assert.is_true(lines >= 2)
    out, err, code = cli("chat " .. TINY .. " --threads 1 --context 20", "hi there, this is far too long for so small a context\n")
    assert.same({"", 1}, {out, code})
    assert.matches("mobilellm: .*fit", err)
  end)

  it("info: prints what the file says, also as JSON", function()
    local out = cli("info " .. TINY)
    assert.matches("\nparameters +43168\n", out)
    local info = assert(mobilellm.json.decode((cli("info --json --threads 1 " .. TINY))))
    assert.same(model:info(), info)
  end)

  it("tokenize: there and back", function()
    local ids = model:tokenize "be da"
    assert.equal(table.concat(ids, " ") .. "\n", (cli("tokenize " .. TINY .. " be da")))
    assert.equal(mobilellm.json.encode(ids) .. "\n", (cli("tokenize --json " .. TINY, "be da")))
    assert.equal("be da\n", (cli("tokenize --decode " .. TINY .. " " .. table.concat(ids, " "))))
    assert.matches("^ +" .. ids[1] .. "  normal +' be'\n", (cli("tokenize --pieces " .. TINY .. " be")))
    local none, err, code = cli("tokenize --decode " .. TINY .. " 99999")
    assert.equal(1, code)
    assert.equal("", none)
    assert.matches("99999", err)
  end)

  it("score: log-probabilities of continuations", function()
    local rows = assert(mobilellm.json.decode((cli("score --threads 1 --json " .. TINY .. " an ' be' da"))))
    assert.equal(2, #rows)
    for _, row in ipairs(rows) do
      local sum, count = model:score("an", row.text)
      assert.is_true(math.abs(sum - row.logprob) < 1e-3)
      assert.equal(count, row.tokens)
    end
  end)

  it("call: a sentence to checked calls", function()
    local tools = os.tmpname()
    local f = assert(io.open(tools, "wb"))
    f:write [[
      [{"name": "light.turn_on", "parameters": {"type": "object", "required": ["entity_id"], "properties":
         {"entity_id": {"type": "string"}, "brightness": {"type": "integer", "minimum": 0, "maximum": 50}}}},
       {"type": "function", "function": {"name": "lock.lock", "parameters": {"type": "object", "required": ["entity_id"],
         "properties": {"entity_id": {"type": "string"}}}}}]
    ]]
    f:close()
    local system = [[--system "Devices:
light.desk 'Desk Lamp'
lock.front 'Front Door Lock'"]]
    local function call(sentence, more)
      return cli(("call agents/model/home.gguf %s '%s' %s %s"):format(tools, sentence, system, more or ""))
    end
    local out, err, code = call "set the desk lamp to 40 percent"
    assert.same({"", 0}, {err, code})
    assert.same({name = "light.turn_on", arguments = {entity_id = "light.desk", brightness = 40}}, mobilellm.json.decode(out))
    out, err, code = call("set the desk lamp to 80 percent", "--json")
    assert.same({"", 0}, {err, code}) -- 80 cannot be written: the schema ends at 50
    local result = assert(mobilellm.json.decode(out))
    assert.same({}, result.problems)
    for _, one in ipairs(result.calls) do assert.is_true((one.arguments.brightness or 0) <= 50) end
    out = call("set the desk lamp to 40 percent", "--json --retrieve 1")
    result = assert(mobilellm.json.decode(out))
    assert.same({"light.turn_on"}, result.tools)
    assert.is_true(result.confidence > 0 and result.confidence <= 1)
    out, err, code = call "who wrote hamlet"
    assert.same({"", "", 0}, {out, err, code})
    out, err, code = cli "call agents/model/home.gguf /nowhere/tools.json hello"
    assert.same({"", 1}, {out, code})
    assert.matches("/nowhere/tools.json", err)
    os.remove(tools)
  end)

  it("train: a model learns an interface of one's own", function()
    local rows, out_file, checkpoint = os.tmpname(), os.tmpname(), os.tmpname()
    os.remove(checkpoint)
    local f = assert(io.open(rows, "wb"))
    local drinks, sizes = {"espresso", "latte", "mocha", "cortado"}, {"small", "large"}
    for i = 0, 31 do
      local drink, size = drinks[i % 4 + 1], sizes[math.floor(i / 4) % 2 + 1]
      f:write(mobilellm.json.encode{
        tools = {{name = "coffee.brew", description = "Brew a drink", parameters = {type = "object", required = {"drink"},
          properties = {drink = {type = "string"}, size = {type = "string"}}}}},
        messages = {{role = "user", content = (i < 16 and "make me a %s %s please" or "i want one %s %s"):format(size, drink)}},
        calls = {{name = "coffee.brew", arguments = {drink = drink, size = size}}},
      }, "\n")
    end
    f:close()
    local command = ("train --base agents/model/home.gguf --data '%s' --evaluate '%s' --out '%s' --batch 2048 --checkpoint '%s'"):format(
      rows, rows, out_file, checkpoint)
    local out, err, code = cli(command .. " --steps 12 --threads 1")
    assert.same({"", 0}, {out, code}, err)
    local before, after = err:match "before: .-EM_structure ([%d.]+)", err:match "after: .-EM_structure ([%d.]+)"
    assert.is_true(tonumber(before) < 50 and tonumber(after) > 80, err)
    out, err, code = cli(command .. " --steps 12") -- the checkpoint is already there
    assert.same({"", 0}, {out, code}, err)
    assert.matches("step 12 of 12", err, 1, true)
    for _, path in ipairs{rows, out_file, checkpoint} do os.remove(path) end
    out, err, code = cli("train --base " .. TINY .. " --data /nowhere/rows --out y")
    assert.same({"", 1}, {out, code})
    assert.matches("/nowhere/rows", err, 1, true)
    out, err, code = cli "train --data x --out y"
    assert.same({"", 2}, {out, code})
    assert.matches("--base is missing", err, 1, true)
  end)

  it("train: any model, adapters, and an interruption that loses nothing", function()
    local rows, out_file = os.tmpname(), os.tmpname()
    local function write(...)
      local f = assert(io.open(rows, "wb"))
      for _, row in ipairs{...} do f:write(mobilellm.json.encode(row), "\n") end
      f:close()
    end
    local command = ("train --base %s --data '%s' --out '%s' --threads 1 --type f32"):format(TINY, rows, out_file)
    write({tools = {}, messages = {}, calls = {}})
    local out, err, code = cli(command)
    assert.same({"", 1}, {out, code})
    assert.matches("control tokens", err)
    write({text = "a b c"}, {prompt = "a", completion = "b"})
    out, err, code = cli(command)
    assert.same({"", 1}, {out, code})
    assert.matches(rows .. ": line 2: a row of completion among rows of text", err, 1, true)
    write({text = 3})
    out, err, code = cli(command)
    assert.same({"", 1}, {out, code})
    assert.matches("line 1", err, 1, true)

    write({prompt = "one two", completion = " three"}, {prompt = "two one", completion = " four"})
    out, err, code = cli(command .. " --lora 4 --rate 0.02 --steps 30 --evaluate " .. rows)
    assert.same({"", 0}, {out, code}, err)
    assert.matches("%d+ trained", err)
    assert.matches("takes %d+%.%d+ GB of memory and about %d+ ", err)
    local before, after = err:match "before: loss ([%d.]+)", err:match "after: loss ([%d.]+)"
    assert.is_true(tonumber(after) < 0.5 * tonumber(before), err)
    assert.is_nil(io.open(out_file .. ".checkpoint")) -- it was needed as long as the run was on

    -- Told to end while it works: it saves, and the same command goes on from there.
    local log, script = os.tmpname(), os.tmpname()
    local f = assert(io.open(script, "wb"))
    f:write(("%s lua-mobilellm/bin/mobilellm %s --steps 1000000 2>'%s' & pid=$!\n"):format(LUA, command, log),
      ("while kill -0 $pid && ! grep -q 'step 10 ' '%s'; do sleep 0.05; done\n"):format(log),
      "kill -TERM $pid; wait $pid; echo $?\n")
    f:close()
    local pipe = io.popen("sh " .. script .. " 2>/dev/null")
    local status = tonumber(pipe:read "*l")
    pipe:close()
    f = assert(io.open(log, "rb"))
    err = f:read "*a"
    f:close()
    assert.equal(143, status, err)
    local step = tonumber(err:match "SIGTERM at step (%d+)")
    assert.is_true(step ~= nil and step >= 10, err)
    out, err, code = cli(("%s --steps %d"):format(command, step + 2))
    assert.same({"", 0}, {out, code}, err)
    assert.matches(("step %d of %d"):format(step, step + 2), err, 1, true)
    for _, path in ipairs{rows, out_file, log, script} do os.remove(path) end
  end)

  it("convert: writes a file that loads", function()
    local path = os.tmpname()
    local out, err, code = cli("convert --type q8_0 " .. TINY .. " " .. path)
    assert.equal(0, code, err)
    assert.matches("Q8_0, 43168 parameters", out)
    local other = assert(mobilellm.load(path, {threads = 1}))
    for _, command in ipairs{"convert", "quantize"} do -- never onto its own source
      out, err, code = cli(("%s %s %s --type q4_0"):format(command, path, path))
      assert.same({"", 1}, {out, code})
      assert.matches("the output is the input itself", err)
    end
    os.remove(path)
    assert.equal("Q8_0", other:info().quantization)
    assert.same(model:tokenize "Hello", other:tokenize "Hello")
    other:close()
  end)

  it("convert: packed files answer as the others do and turn back", function()
    local packed, back = os.tmpname(), os.tmpname()
    local out, err, code = cli("convert --type q8_0 --packed " .. TINY .. " " .. packed)
    assert.equal(0, code, err)
    assert.matches("P8, 43168 parameters", out)
    assert.equal(0, (select(3, cli("convert --type q8_0 " .. packed .. " " .. back))))
    local a, b = assert(mobilellm.load(back, {threads = 1})), assert(mobilellm.load(packed, {threads = 1}))
    local same = {temperature = 1, seed = 7, max_tokens = 20}
    assert.equal((a:generate("Hello", same)), (b:generate("Hello", same)))
    assert.same({"P8", 0}, {b:info().quantization, b:info().packed_bytes})
    for _, model_of in ipairs{a, b} do
      local info, bytes, parameters = model_of:info(), 0, 0
      for _, t in ipairs(info.types) do bytes, parameters = bytes + t.stored_bytes, parameters + t.parameters end
      assert.same({info.weight_bytes, info.parameters}, {bytes, parameters})
    end
    a:close()
    b:close()
    assert.matches("P8 kept as P8: 16 tensors", (cli("info --threads 1 " .. packed)))
    os.remove(packed)
    os.remove(back)
    out, err, code = cli("convert --type f16 --packed " .. TINY .. " " .. packed)
    assert.same({"", 1}, {out, code})
    assert.matches("packed form", err)
  end)

  it("bench: reports figures, alone and beside a peer", function()
    local peer = os.tmpname()
    local f = assert(io.open(peer, "wb"))
    f:write [[io.write("loading\n", '{"engine":"peer","load_ms":1,"prefill":2.0,"decode":4.0,"model":"', arg[1], '"}', "\n")]]
    f:close()
    local out, err,
      code = cli(("bench %s --only speed --threads 1 --prompt 20 --generate 5 --context 64 --repeats 2 --json --peer '%s %s'"):format(
      TINY, LUA, peer))
    os.remove(peer)
    assert.equal(0, code, err)
    local report = assert(mobilellm.json.decode(out))
    for _, key in ipairs{"prefill", "decode", "load_ms"} do
      assert.is_true(report[key].median > 0)
      assert.is_true(report[key].min <= report[key].median and report[key].median <= report[key].max)
    end
    assert.equal(2, #report.prefill.runs)
    assert.is_true(report.peak_memory_bytes > 0)
    assert.is_string(report.machine)
    assert.matches("^mobilellm bench ", report.command)
    assert.is_true(math.abs(report.ratio.decode - report.decode.median / 4) < 1e-6 * report.ratio.decode)
    assert.equal("peer", report.peer.engine)
    out, err, code = cli("bench --only speed --model " .. TINY .. " --threads 1 --prompt 20 --generate 5 --context 64 --repeats 1")
    assert.equal(0, code, err)
    assert.matches("prefill of 20 +%d+%.%d tokens/s", out)
    assert.matches("peak memory +%d+%.%d MiB", out)
    out, err, code = cli("bench --shape 7b")
    assert.equal("", out)
    assert.equal(1, code)
    assert.matches("7b", err)
  end)
end)
