-- The converters on samples in the form of the sources' files; the sentences are ours.
local mobilellm = require "mobilellm"
local LUA = os.getenv "MLLM_TEST_LUA" or "lua5.4"
local json = mobilellm.json

describe("a converter", function()
  local folder
  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
  end)
  after_each(function() os.execute("rm -rf '" .. folder .. "'") end)

  local function write(name, text)
    local path = folder .. "/" .. name
    os.execute("mkdir -p '" .. path:match "^(.*)/" .. "'")
    local file = assert(io.open(path, "wb"))
    file:write(type(text) == "table" and json.encode(text) or text)
    file:close()
  end

  -- Rows by id, what was said on standard error, and their number.
  local function convert(arguments)
    local err = folder .. "/.err"
    local pipe = io.popen(("%s agents/model/convert.lua %s 2>'%s'"):format(LUA, arguments, err))
    local rows, count = {}, 0
    for line in pipe:lines() do
      local row = assert(json.decode(line))
      rows[row.id], count = row, count + 1
    end
    pipe:close()
    local file = assert(io.open(err, "rb"))
    local said = file:read "*a"
    file:close()
    return rows, said, count
  end

  local function tool(row, name)
    for _, t in ipairs(row.tools) do
      if t.name == name then return t end
    end
  end

  it("reads SNIPS", function()
    local function data(...) return {data = {...}} end
    local function train(list) return {GetWeather = list} end
    local list = {}
    for i = 1, 30 do
      list[i] = data({text = "Will it "}, {text = "rain", entity = "condition_description"}, {text = " in "}, {text = "Town " .. i,
        entity = "city"}, {text = "?"})
    end
    list[31] = data({text = "a", entity = "city"}, {text = " or "}, {text = "b", entity = "city"}) -- twice the same slot
    write("2017-06-custom-intent-engines/GetWeather/train_GetWeather_full.json", train(list))
    write("2017-06-custom-intent-engines/GetWeather/train_GetWeather.json", train{data{text = "the shorter file"}})
    write("2017-06-custom-intent-engines/GetWeather/validate_GetWeather.json", train{data{text = "any "}, data({text = "at "},
      {text = "noon ", entity = "timeRange"})})
    write("2017-06-custom-intent-engines/PlayMusic/train_PlayMusic_full.json",
      '{"PlayMusic": [{"data": [{"text": "play "}, {"text": "Beyonc\233", "entity": "artist"}]}]}') -- as their files are: ISO 8859-1
    write("2017-06-custom-intent-engines/GetWeather/Snips_metrics_full.json", {x = 1})
    local rows, said, count = convert("snips '" .. folder .. "'")
    assert.equal(31, count, said)
    local calls, silent = 0, 0
    for _, row in pairs(rows) do
      if #row.calls == 0 then
        silent = silent + 1
        assert.is_nil(tool(row, row.service))
        assert.equal("irrelevant", row.kind)
      else
        calls = calls + 1
        assert.truthy(tool(row, row.service))
      end
    end
    assert.is_true(calls > 20 and silent < 10)
    local row
    for i = 0, 29 do
      row = rows["snips-t-GetWeather-" .. i]
      if #row.calls == 1 then assert.same({condition_description = "rain", city = "Town " .. i + 1}, row.calls[1].arguments) end
      assert.equal(("Will it rain in Town %d?"):format(i + 1), row.messages[1].content)
    end
    assert.equal("CC0-1.0", row.license)
    assert.equal("play Beyonc\195\169", rows["snips-t-PlayMusic-0"].messages[1].content)
    rows, said, count = convert("snips '" .. folder .. "' --part eval --without PlayMusic")
    assert.equal(2, count, said)
    local noon = rows["snips-v-GetWeather-1"]
    assert.equal("at noon", noon.messages[1].content)
    assert.same({GetWeather = 1}, (function()
      local names = {}
      for _, t in ipairs(noon.tools) do names[t.name] = 1 end
      return names
    end)())
    assert.same({"city", "condition_description", "timeRange"}, (function() -- slots of both parts
      local names = {}
      for name in pairs(noon.tools[1].parameters.properties) do names[#names + 1] = name end
      table.sort(names)
      return names
    end)())
  end)

  it("reads NLU-Evaluation-Data", function()
    local head = "answerid;scenario;intent;answer_annotation;answer_from_anno;answer_from_user\n"
    write("CrossValidation/x/KFold_1/trainset/alarm_set.csv", head ..
      "1;alarm;set;\"wake me at [time : six] and [time : ten pm]\";\"wake me at six and ten pm\";\"Wake me at 6 and 10pm\"\n" ..
      "2;alarm;set;\"say \"\"hi\"\"; then ring on [date : sunday]\";\"say \"\"hi\"\"; then ring on sunday\";\"x\"\r\n")
    write("CrossValidation/x/KFold_1/trainset/general_joke.csv", head .. "3;general;joke;\"a joke\";\"a joke\";\"A joke\"\n")
    write("CrossValidation/x/KFold_1/testset/csv/alarm_set.csv", head .. "4;alarm;set;\"ring\";\"ring\";\"Ring\"\n")
    local rows, said, count = convert("nlueval '" .. folder .. "'")
    assert.equal(3, count, said)
    local row = rows["nlueval-t-alarm_set-0"]
    assert.equal("wake me at six and ten pm", row.messages[1].content)
    assert.same({"six", "ten pm"}, {row.calls[1].arguments.time[1], row.calls[1].arguments.time[2]})
    assert.equal("array", tool(row, "alarm_set").parameters.properties.time.type)
    row = rows["nlueval-t-alarm_set-1"]
    assert.equal("say \"hi\"; then ring on sunday", row.messages[1].content)
    assert.same({date = "sunday"}, row.calls[1].arguments)
    row = rows["nlueval-t-general_joke-0"]
    assert.same({"chat", 0, "CC-BY-4.0"}, {row.kind, #row.calls, row.license})
    rows, said, count = convert("nlueval '" .. folder .. "' --part eval")
    assert.equal(1, count, said)
    assert.truthy(rows["nlueval-v-alarm_set-0"])
  end)

  it("reads CLINC150", function()
    write("data/data_full.json", {train = {{"hello", "greeting"}, {"move my money", "transfer"}}, oos_train = {{"who won", "oos"}},
      val = {{"hi", "greeting"}}, oos_val = {},
      test = {{"bye", "goodbye"}}, oos_test = {}})
    write("rows.jsonl", json.encode{tools = {{name = "f", parameters = {properties = {}}}}, messages = json.array{}, calls = json.array{}})
    local rows, said, count = convert("clinc '" .. folder .. "' --tools '" .. folder .. "/rows.jsonl'")
    assert.equal(3, count, said)
    assert.same({"chat", "hello", "f"}, {rows["clinc-train-0"].kind, rows["clinc-train-0"].messages[1].content,
      rows["clinc-train-0"].tools[1].name})
    assert.equal("irrelevant", rows["clinc-oos_train-0"].kind)
    local _, later, none = convert("clinc '" .. folder .. "' --part eval")
    assert.equal(0, none)
    assert.matches("--tools ROWS.jsonl is needed", later, 1, true)
  end)

  it("reads SGD", function()
    write("dev/schema.json", {{service_name = "Cinema_1", slots = {
      {name = "title", description = "Film", is_categorical = false, possible_values = json.array{}},
      {name = "date", description = "Day", is_categorical = false, possible_values = json.array{}},
      {name = "seats", description = "Seats", is_categorical = true, possible_values = {"1", "2"}},
      {name = "dubbed", description = "Dubbed", is_categorical = true, possible_values = {"True", "False"}}},
      intents = {{name = "Buy", description = "Buy tickets", required_slots = {"title", "date"},
        optional_slots = {seats = "1", dubbed = "dontcare"}}}}})
    local function user(text, values)
      return {speaker = "USER", utterance = text, frames = {{service = "Cinema_1", state = {slot_values = values}}}}
    end
    local function system(text, call)
      return {speaker = "SYSTEM", utterance = text, frames = {{service = "Cinema_1", service_call = call}}}
    end
    write("dev/dialogues_001.json", {{dialogue_id = "1_0", services = {"Cinema_1"}, turns = {
      user("Two for Vertigo", {title = {"Vertigo"}, seats = {"2"}}), system "When?",
      user("today, dubbed", {title = {"Vertigo"}, seats = {"2"}, date = {"March 1st", "today"}, dubbed = {"True"}}),
      system("Done.", {method = "Buy", parameters = {title = "Vertigo", date = "2019-03-01", seats = "2", dubbed = "True"}})}}})
    local rows, said, count = convert("sgd '" .. folder .. "' --part eval")
    assert.equal(2, count, said)
    local row = rows["sgd-dev-1_0-3"]
    assert.same({name = "Buy", arguments = {title = "Vertigo", date = "2019-03-01", seats = 2, dubbed = true}}, row.calls[1])
    assert.same({title = "Vertigo", date = "today", seats = "2", dubbed = "True"}, row.surface)
    assert.same({"Done.", "Cinema_1", "CC-BY-SA-4.0", 4}, {row.response, row.service, row.license, #row.messages})
    local properties = row.tools[1].parameters.properties
    assert.same({"integer", 1, "boolean", nil, "date"}, {properties.seats.type, properties.seats.default, properties.dubbed.type,
      properties.dubbed.default, properties.date.format})
    assert.same({1, 2}, {properties.seats.enum[1], properties.seats.enum[2]})
    assert.same({"title", "date"}, {row.tools[1].parameters.required[1], row.tools[1].parameters.required[2]})
    row = rows["sgd-dev-1_0-1"]
    assert.same({"no_call", 0, "When?", 2}, {row.kind, #row.calls, row.response, #row.messages})
  end)

  it("says what it lacks", function()
    os.execute("mkdir '" .. folder .. "'")
    for arguments, pattern in pairs{
      ["snips '" .. folder .. "'"] = "no SNIPS files", ["sgd '" .. folder .. "'"] = "no train/dialogues_",
      ["nlueval '" .. folder .. "'"] = "no files KFold_1", ["moon x"] = "a source is one of", ["snips"] = "folder",
      ["snips x --part x"] = "--part is train or eval",
    } do
      local _, said = convert(arguments)
      assert.matches(pattern, said, 1, true)
    end
  end)
end)
