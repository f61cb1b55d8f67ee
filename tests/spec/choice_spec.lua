local mobilellm = require "mobilellm"
local choice = require "mobilellm.eval.choice"
local eval = require "mobilellm.eval"

-- One row of each set, in the form of its publisher (the sentences are ours).
local rows = {
  arc = {id = "x", question = "What melts?", choices = {text = {"ice", "a stone"}, label = {"A", "B"}}, answerKey = "A"},
  openbookqa = {question_stem = "Plants need", choices = {text = {"light", "oil"}, label = {"A", "B"}}, answerKey = "A"},
  boolq = {question = "is ice cold", passage = "Ice is frozen water.", answer = true},
  piqa = {goal = "Open a jar", sol1 = "Twist it.", sol2 = "Look at it.", label = 0},
  siqa = {context = "Ann fell.", question = "How is she?", answerA = "glad", answerB = "hurt", answerC = "tall", label = "2"},
  hellaswag = {activity_label = "Cooking", ctx_a = "A man stirs.", ctx_b = "he", endings = {"eats [step] it.", "flies."}, label = "0",
    ctx = "A man stirs. he"},
  winogrande = {sentence = "The cup did not fit the box because the _ was big.", option1 = "cup", option2 = "box", answer = "1"},
  choice = {prompt = "One and one is", choices = {"two", "three", "four"}, answer = 0},
}

describe("multiple choice", function()
  it("writes the prompts of the sets", function()
    local function first(name) return choice.case(rows[name])[1] end
    assert.same({prompt = "Question: What melts?\nAnswer:", continuation = " ice", answer = "ice"}, first "arc")
    assert.same({prompt = "Plants need", continuation = " light", answer = "light"}, first "openbookqa")
    assert.same({prompt = "Ice is frozen water.\nQuestion: is ice cold?\nAnswer:", continuation = " no", answer = "no"}, first "boolq")
    assert.same({prompt = "Question: Open a jar\nAnswer:", continuation = " Twist it.", answer = "Twist it."}, first "piqa")
    assert.same({prompt = "Q: Ann fell. How is she?\nA:", continuation = " glad", answer = "glad"}, first "siqa")
    assert.same({prompt = "Cooking: A man stirs. He", continuation = " eats it.", answer = "eats it."}, first "hellaswag")
    local case = choice.case(rows.winogrande)
    assert.same({prompt = "The cup did not fit the box because the cup", continuation = " was big.", answer = "was big."}, case[1])
    assert.equal("The cup did not fit the box because the box", case[2].prompt)
    local gold = {}
    for name, row in pairs(rows) do gold[name] = choice.case(row).gold end
    assert.same({arc = 1, openbookqa = 1, boolq = 2, piqa = 1, siqa = 2, hellaswag = 1, winogrande = 1, choice = 1}, gold)
    -- ARC and OpenBookQA as their publishers have them
    case = choice.case{question = {stem = "What melts?", choices = {{text = "ice", label = "1"}, {text = "iron", label = "2"}}},
      answerKey = "2"}
    assert.equal(2, case.gold)
    assert.equal("Question: What melts?\nAnswer:", case[2].prompt)
  end)

  -- By hand: one token after the other, each probability from a softmax over all logits.
  local function by_hand(model, prompt, continuation)
    local session = assert(model:session{context = 512})
    assert(session:feed(prompt))
    local sum = 0
    for _, id in ipairs(model:tokenize(continuation, {continuation = true})) do
      local logits, whole = session:logits(), 0
      local top = select(2, logits:argmax())
      for i = 0, #logits - 1 do whole = whole + math.exp(logits:get(i) - top) end
      sum = sum + logits:get(id) - top - math.log(whole)
      assert(session:feed{id})
    end
    session:close()
    return sum
  end

  it("chooses as sums of log-probabilities computed one by one say, raw and by character", function()
    local model = assert(mobilellm.load("tests/golden/tiny.gguf", {threads = 1, kernel = "reference"}))
    local differ, list, raw_right, normal_right = 0, {}, 0, 0
    for _, row in pairs(rows) do list[#list + 1] = row end
    for i = 1, 6 do -- choices of unequal length, so that the two ways part
      list[#list + 1] = {prompt = "row " .. i, answer = i % 4,
        choices = {"a", "some words more", "x y z " .. i, "one two three four five six"}}
    end
    for _, row in ipairs(list) do
      local case = choice.case(row)
      local answer = assert(choice.answer(model, case))
      local best, best_normal
      for i, item in ipairs(case) do
        local sum = by_hand(model, item.prompt, item.continuation)
        assert.near(sum, answer.sums[i], 1e-3)
        local normal = sum / #item.answer
        if not best or sum > best[1] then best = {sum, i} end
        if not best_normal or normal > best_normal[1] then best_normal = {normal, i} end
      end
      assert.equal(best[2], answer.raw)
      assert.equal(best_normal[2], answer.normalised)
      if answer.raw ~= answer.normalised then differ = differ + 1 end
      if answer.raw == case.gold then raw_right = raw_right + 1 end
      if answer.normalised == case.gold then normal_right = normal_right + 1 end
    end
    assert.is_true(differ > 0)
    local score = assert(choice.rows(model, list))
    assert.near(raw_right / #list, score.raw, 1e-12)
    assert.near(normal_right / #list, score.normalised, 1e-12)
    assert.equal("several", score.kind)
    assert.equal(0, score.too_long)
    model:close()
  end)

  it("says what is wrong with a row, and reads files", function()
    local _, message, code = choice.case{x = 1}
    assert.matches("no known set", message)
    assert.equal("format", code)
    _, message = choice.case{goal = "a", sol1 = "b", sol2 = "c", label = 7}
    assert.matches("piqa: the answer is none of the choices", message)
    _, message = choice.case{goal = 1, sol1 = {}, sol2 = "c", label = 0}
    assert.matches("piqa: a row with fields of another kind", message)
    local path = os.tmpname()
    local function write(text)
      local file = assert(io.open(path, "wb"))
      file:write(text)
      file:close()
    end
    local json = mobilellm.json
    write(json.encode(rows.piqa) .. "\n" .. json.encode(rows.piqa) .. "\n")
    local list, kind = eval.read(path)
    assert.same({2, "choice"}, {#list, kind})
    write(json.encode(rows.piqa) .. "\n{\"tools\": [], \"messages\": [], \"calls\": []}\n")
    _, message = eval.read(path)
    assert.matches("line 2: no multiple%-choice question", message)
    write(json.encode(rows.piqa))
    local program = os.getenv "MLLM_TEST_LUA" or "lua5.4"
    local pipe = io.popen(program .. " lua-mobilellm/bin/mobilellm eval tests/golden/tiny.gguf " .. path .. " 2>&1")
    local text = pipe:read "*a"
    pipe:close()
    assert.matches("%(piqa%): raw [%d.]+ %% %[%d+%-%d+%], normalised [%d.]+ %% %[%d+%-%d+%], of 1 rows\n", text)
    os.remove(path)
  end)
end)
