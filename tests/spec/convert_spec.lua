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

  it("reads SGD-X: the same dialogues under other names", function()
    local function schema(service, slots, intent)
      local list = {}
      for i, name in ipairs(slots) do
        list[i] = {name = name, description = name .. "!", is_categorical = false, possible_values = json.array{}}
      end
      return {{service_name = service, slots = list, intents = {{name = intent, description = intent .. "!", required_slots = {slots[1]},
        optional_slots = {[slots[2]] = "dontcare"}}}}}
    end
    write("train/schema.json", schema("Cinema_1", {"title", "date"}, "Buy"))
    for v = 1, 5 do
      write(("sgd_x/data/v%d/train/schema.json"):format(v), schema("Cinema_1" .. v, {"film_" .. v, "when_" .. v}, "Get" .. v))
    end
    local dialogues = {}
    for i = 1, 20 do
      dialogues[i] = {dialogue_id = "1_" .. i, services = {"Cinema_1"}, turns = {
        {speaker = "USER", utterance = "Vertigo today", frames = {{service = "Cinema_1", state = {
          slot_values = {title = {"Vertigo"}, date = {"today"}}}}}},
        {speaker = "SYSTEM", utterance = "Done.", frames = {{service = "Cinema_1",
          service_call = {method = "Buy", parameters = {title = "Vertigo", date = "2019-03-01"}}}}}}}
    end
    write("train/dialogues_001.json", dialogues)
    local rows, said, count = convert("sgdx '" .. folder .. "' --variant 4")
    assert.equal(20, count, said)
    local row = rows["sgdxv4-train-1_7-1"]
    assert.same({name = "Get4", arguments = {film_4 = "Vertigo", when_4 = "2019-03-01"}}, row.calls[1])
    assert.same({film_4 = "Vertigo", when_4 = "today"}, row.surface)
    assert.same({"SGD-X/v4", "Cinema_1"}, {row.source, row.service}) -- the service keeps its name, to tell what was seen
    local properties = tool(row, "Get4").parameters.properties
    assert.same({"date", "film_4!"}, {properties.when_4.format, properties.film_4.description})
    local variants = {}
    rows = convert("sgdx '" .. folder .. "'")
    for _, one in pairs(rows) do variants[one.source] = true end
    assert.is_true(next(variants, next(variants)) ~= nil) -- each dialogue is in one, not all in the same
    write("dev/dialogues_001.json", dialogues)
    write("dev/schema.json", schema("Cinema_1", {"title", "date"}, "Buy"))
    rows = convert("sgd '" .. folder .. "' --part eval")
    assert.equal("Buy", rows["sgd-dev-1_7-1"].calls[1].name)
  end)

  it("reads STAR", function()
    write("apis/apis/hotel_book.json", {input = {
      {Name = "Name", Type = "Categorical", Categories = {"Old Inn", "New Inn"}, ReadableName = "Hotel Name"},
      {Name = "Nights", Type = "Integer", ReadableName = "Nights"}, {Name = "Guest", Type = "ShortString", ReadableName = "Guest"},
      {Name = "Quiet", Type = "Boolean", ReadableName = "Quiet"}, {Name = "RequestType", Type = "RequestType"}}, required = {"Name"}})
    write("apis/apis/doctor_followup.json", {input = {{Name = "PatientName", Type = "ShortString", ReadableName = "Patient Name"}},
      required = {"PatientName"}})
    write("apis/apis/party_plan.json", {input = {}, required = json.array{}}) -- kept back
    local function user(text) return {Agent = "User", Action = "utter", Text = text} end
    local function wizard(text, action) return {Agent = "Wizard", Action = action or "utter", Text = text} end
    local function query(name, ...) return {Agent = "Wizard", Action = "query", APIName = name, Constraints = {...}} end
    write("dialogues/1.json", {DialogueID = 1, CompletionLevel = "Complete", Scenario = {WizardCapabilities = {{Task = "hotel_book"}}},
      Events = {
        {Agent = "UserGuide", Action = "instruct", Text = "a task"}, user " Hello ", wizard("What can I do?", "pick_suggestion"),
        user "Two nights at the Old Inn for Ann, a quiet room", query("hotel_book", {Name = '"New Inn"'}),
        query("hotel_book", {Name = 'api.is_equal_to("Old Inn")'}, {Nights = "2"}, {Guest = '" Ann"'}, {Quiet = "True"},
          {RequestType = '"Check"'}),
        wizard "It is free.", user "Cheaper ones?", query("hotel_book", {Nights = "api.is_at_most(2)"}), wizard "No.", user "Then book it",
        query("hotel_book", {Name = '"Old Inn"'}, {RequestType = '"Book"'}), wizard "Booked."}})
    write("dialogues/2.json", {DialogueID = 2, CompletionLevel = "DisconnectDuringDialogue", Scenario = {WizardCapabilities = json.array{}},
      Events = {user "a", query("hotel_book", {Name = '"Old Inn"'}), wizard "b"}})
    write("dialogues/3.json", {DialogueID = 3, CompletionLevel = "Complete", Scenario = {WizardCapabilities = {{Task = "doctor_followup"}}},
      Events = {user "I am Bo", query("doctor_followup", {PatientName = '"Bo"'}), wizard "Rest.", user "And the party?",
        query("party_plan"), wizard "No."}})
    local rows, said, count = convert("star '" .. folder .. "'")
    assert.equal(3, count, said)
    local row = rows["star-1-0"]
    assert.same({name = "hotel_book", arguments = {Name = "Old Inn", Nights = 2, Guest = "Ann", Quiet = true, RequestType = "Check"}},
      row.calls[1])
    assert.same({"It is free.", 3, "Hello", "assistant"}, {row.response, #row.messages, row.messages[1].content, row.messages[2].role})
    local properties = tool(row, "hotel_book").parameters.properties
    assert.same({"Old Inn", "New Inn"}, properties.Name.enum)
    assert.same({"integer", "boolean", "Nights"}, {properties.Nights.type, properties.Quiet.type, properties.Nights.description})
    assert.same({"Check", "Book"}, properties.RequestType.enum)
    assert.is_nil(rows["star-1-1"]) -- "at most" is no value
    assert.equal("Book", rows["star-1-2"].calls[1].arguments.RequestType)
    for id, one in pairs(rows) do
      assert.is_nil(tool(one, "party_plan"))
      assert.is_nil(tool(one, "doctor_followup"))
      if id:find "n" and #one.calls == 0 then assert.equal("no_call", one.kind) end
    end
    rows, said, count = convert("star '" .. folder .. "' --part eval")
    assert.equal(1, count, said)
    assert.same({name = "doctor_followup", arguments = {PatientName = "Bo"}}, rows["star-3-0"].calls[1])
  end)

  it("reads Seal-Tools", function()
    local apis = [=[
[{'api_name': 'mixPaint', 'api_description': "A painter's mix", 'field': 'Art', 'parameters': {'color': {'type': 'str',
'description': 'Colour (e.g., "sky\'s blue")'}, 'litres': {'type': 'float', 'description': 'L'}, 'cans': {'type': 'int',
'description': 'n'}, 'matt': {'type': 'bool', 'description': 'm'}}, 'required': ['color'], 'responses': {}}, {'api_name': 'dry',
'api_description': 'd', 'field': 'Art', 'parameters': {}, 'required': [], 'responses': {}}]]=]
    local function item(id, said, calls)
      return {id = id, conversations = {{from = "gpt", value = calls}}, said = said}
    end
    local function list(...)
      local items = {...}
      for _, one in ipairs(items) do
        table.insert(one.conversations, 1, {from = "human",
          value = ('Please.\n\nInput:\napi_list = %s\ntask_instruction = "%s"\nOutput:\n'):format(apis, one.said)})
      end
      return items
    end
    write("Seal-Tools_Dataset/dataset_for_finetune/dev.json", list(
      item("dev-easy-0", 'Mix "sky" blue ', [=[[{'api': 'mixPaint', 'parameters': {'color': 'caf\xe9 \u00fc \'x\'\n', 'litres': '2.5',
        'cans': 3, 'matt': True}, 'responses': ['API_call_0']}]]=]),
      item("dev-difficult-1", "Two", [=[[{'api': 'dry', 'parameters': {}, 'responses': []}, {'api': 'mixPaint', 'parameters':
        {'color': "it's"}, 'responses': ()}]]=]),
      item("dev-difficult-2", "One into the other", [=[[{'api': 'mixPaint', 'parameters': {'color': 'API_call_0'}, 'responses': []}]]=]),
      item("dev-easy-3", "No number", [=[[{'api': 'mixPaint', 'parameters': {'color': 'a', 'cans': 'many'}, 'responses': []}]]=])
    ))
    local rows, said, count = convert("seal '" .. folder .. "'")
    assert.equal(2, count, said)
    local row = rows["seal-dev-easy-0"]
    assert.same({{role = "user", content = 'Mix "sky" blue'}}, row.messages)
    assert.same({name = "mixPaint", arguments = {color = "caf\195\169 \195\188 'x'\n", litres = 2.5, cans = 3, matt = true}}, row.calls[1])
    local parameters = tool(row, "mixPaint").parameters
    assert.same({"string", "number", "integer", "boolean", 'Colour (e.g., "sky\'s blue")', "color"}, {parameters.properties.color.type,
      parameters.properties.litres.type, parameters.properties.cans.type, parameters.properties.matt.type,
      parameters.properties.color.description, parameters.required[1]})
    assert.equal("A painter's mix", tool(row, "mixPaint").description)
    row = rows["seal-dev-difficult-1"]
    assert.same({"parallel", "dry", "it's"}, {row.kind, row.calls[1].name, row.calls[2].arguments.color})
    write("Seal-Tools_Dataset/dataset_for_finetune/dev.json", list(item("x", "a", "[{'api': 'dry', 'parameters': {}, 'respon")))
    rows, said = convert("seal '" .. folder .. "'")
    assert.is_nil(next(rows))
    assert.matches("a Python value: byte %d+", said)
  end)

  it("reads Taskmaster-4", function()
    local function note(name, value) return {name = name, value = value} end
    local list = {}
    for i = 1, 60 do
      list[i] = {conversation_id = "dlg-" .. i, utterances = {
        {speaker = "user", text = "Two teas ", annotations = {
          note("api_call", "get_addons"), note("request", '{"scope": "order"}'), note("response", "{}"), -- not declared: passed over
          note("api_call", "add_order_item"), note("request", '{"menu_item_id": "tea-1", "quantity": 2}'),
          note("response", '{"order_id": "7", "note": "a \\" b"}'), note("api_call", "show_menu"), note("response", "{}")}},
        {speaker = "assistant", text = "Right?", annotations = json.array{}},
        {speaker = "user", text = "Yes", annotations = {note("api_call", "finish_order"), note("request", '{"order_id": "7"}'),
          note("response", "{}")}}}}
    end
    write("TM-4-2024/data/data_00.json", list)
    local rows, said, count = convert("tm4 '" .. folder .. "'")
    local kept, _, kept_count = convert("tm4 '" .. folder .. "' --part eval")
    assert.equal(180, count + kept_count, said)
    assert.is_true(kept_count > 0 and kept_count < 40)
    for id in pairs(kept) do assert.is_nil(rows[id]) end
    local id = (next(rows)):match "^(.*)%-%d$"
    assert.same({name = "add_order_item", arguments = {menu_item_id = "tea-1", quantity = "2"}}, rows[id .. "-0"].calls[1])
    assert.same({{role = "user", content = "Two teas"}}, rows[id .. "-0"].messages)
    local row = rows[id .. "-1"]
    assert.same({"show_menu", 3, "tool", '{"order_id":"7","note":"a \\" b"}'}, {row.calls[1].name, #row.messages, row.messages[3].role,
      row.messages[3].content})
    assert.same({}, row.calls[1].arguments)
    row = rows[id .. "-2"]
    assert.same({"finish_order", 7}, {row.calls[1].name, #row.messages})
    assert.equal("add_order_item", row.messages[2].tool_calls[1].name)
    assert.is_table(tool(row, "finish_order"))
  end)

  it("puts the texts of home-llm together", function()
    local names = {"device_name,description"}
    for i = 1, 60 do
      names[#names + 1] = ('%s.%s_%d,"Lamp, number %d"'):format(i % 2 == 0 and "light" or "fan", i % 2 == 0 and "desk" or "roof", i, i)
    end
    names[#names + 1] = "timer.egg,Egg timer"
    for i = 1, 20 do names[#names + 1] = ("timer.t%d,Timer %d"):format(i, i) end
    local function english(name, ...) write("data/piles/english/pile_of_" .. name, table.concat({...}, "\n") .. "\n") end
    english("device_names.csv", table.concat(names, "\n"))
    english("templated_actions.csv", "device_type,service,phrase,multiplier", 'light,turn_on,"Set <device_name> to <brightness>%.",8',
      'light,turn_on,"Make <device_name> <color>",8', "timer,start,Start <device_name> for <duration>,2",
      "fan|light,turn_off|turn_on,Turn off <device_name1> and light <device_name2>,1", "oven,bake,Bake with <device_name>,1")
    english("specific_actions.csv", "service_name,device_name,phrase", "fan.toggle,roof_1,Flip the roof fan", "fan.toggle,none,No such fan")
    english("durations.csv", "duration,name", "00:05:00,Five minutes")
    english("todo_items.txt", "buy milk")
    local rows, said, count = convert("home '" .. folder .. "'")
    local kept, _, kept_count = convert("home '" .. folder .. "' --part eval")
    assert.same({6000, 800}, {count, kept_count}, said)
    local kinds, seen = {}, {}
    for _, row in pairs(rows) do
      kinds[row.kind] = (kinds[row.kind] or 0) + 1
      local system, text = row.messages[1].content, row.messages[2].content
      if row.kind == "missing_device" then assert.equal(0, #row.calls) end
      for _, call in ipairs(row.calls) do
        seen[call.name] = true
        local id = call.arguments.entity_id
        assert.truthy(system:find("\n" .. id .. " '", 1, true))
        if call.name ~= "fan.toggle" then
          assert.truthy(text:lower():find(system:match("\n" .. id:gsub("%p", "%%%0") .. " '([^\n]*)'"):lower(), 1, true), text)
        end
        local brightness, color = call.arguments.brightness, call.arguments.color
        if brightness then assert.truthy(text:find("to " .. ("%d"):format(brightness) .. "%", 1, true) or #row.calls > 1) end
        if color then assert.truthy(text:find(color, 1, true)) end
        if call.name == "timer.start" then
          assert.equal("00:05:00", call.arguments.duration)
          if #row.calls == 1 then assert.same({entity_id = id, duration = "Five minutes"}, row.surface) end
        end
      end
    end
    assert.is_true(kinds.call > 3000 and kinds.parallel > 300 and kinds.missing_device > 300)
    for _, name in ipairs{"light.turn_on", "timer.start", "fan.turn_off", "fan.toggle"} do assert.is_true(seen[name], name) end
    local learned = {}
    for _, row in pairs(rows) do
      for _, call in ipairs(row.calls) do learned[call.arguments.entity_id] = true end
    end
    for _, row in pairs(kept) do
      for _, call in ipairs(row.calls) do assert.is_nil(learned[call.arguments.entity_id]) end
    end
  end)

  it("says what it lacks", function()
    os.execute("mkdir '" .. folder .. "'")
    for arguments, pattern in pairs{
      ["snips '" .. folder .. "'"] = "no SNIPS files", ["sgd '" .. folder .. "'"] = "no train/dialogues_",
      ["nlueval '" .. folder .. "'"] = "no files KFold_1", ["moon x"] = "a source is one of", ["snips"] = "folder",
      ["snips x --part x"] = "--part is train or eval", ["star '" .. folder .. "'"] = "no apis/apis",
      ["seal '" .. folder .. "'"] = "no dataset_for_finetune/dev.json", ["tm4 '" .. folder .. "'"] = "no TM-4-2024/data",
      ["home '" .. folder .. "'"] = "no data/piles/english/pile_of_device_names.csv",
      ["sgdx '" .. folder .. "' --variant x"] = "--variant: a number expected",
    } do
      local _, said = convert(arguments)
      assert.matches(pattern, said, 1, true)
    end
  end)
end)
