package.path = "agents/?.lua;" .. package.path
local calendar = require "calendar"
local said = require "said"
local dates, ics = dofile "agents/parts/dates.lua", dofile "agents/parts/ics.lua"

local NOW = os.time{year = 2026, month = 11, day = 21, hour = 12} -- a Saturday

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function yes() return true end

describe("the calendar agent", function()
  local path
  before_each(function()
    path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(read "tests/golden/calendar.ics")
    file:close()
  end)
  after_each(function() os.remove(path) end)

  -- What the agent makes of a sentence when the model answers this.
  local function hear(sentence, answer, approve)
    local agent = assert(calendar.new{path = path, chat = said{answer}, now = function() return NOW end})
    local result = agent:say(sentence, approve)
    return result.calls[1] or {}, result
  end

  it("reads events as other programs write them", function()
    local list = assert(ics.open(path)):events()
    local seen = {}
    for i, event in ipairs(list) do seen[i] = event.start.text .. " " .. event.summary end
    assert.same({
      "2026-11-02 09:00 Europe/Oslo Standup meeting", "2026-11-23 10:30 Europe/Oslo Dentist, Dr. \195\133s",
      "2026-11-24 14:00 UTC Call with Ana", "2026-12-25 Christmas with Ana",
    }, seen)
    assert.equal("Storgata 1; second floor", list[2].location)
    assert.is_true(list[1].repeats)
  end)

  it("changes nothing by reading and writing", function()
    local file = assert(ics.open(path))
    assert.is_true(file:save())
    assert.equal(read "tests/golden/calendar.ics", read(path))
  end)

  it("adds an event, and leaves the rest byte for byte", function()
    local call = hear("add lunch, with Ana; at Chez \"Ana\" tomorrow at 1 pm",
      'calendar_set( event_name = " lunch, with Ana;", date = " tomorrow", time = " 1 pm", location = " Chez Ana")', yes)
    assert.is_nil(call.problem)
    assert.matches("added 2026%-11%-22 13:00", call.value)
    local before, after = read "tests/golden/calendar.ics", read(path)
    local from = after:find("BEGIN:VEVENT[^V]*UID:%d+%-%d+")
    local event = after:sub(from):match "^(.-END:VEVENT\r\n)"
    assert.equal(before, after:sub(1, from - 1) .. after:sub(from + #event))
    assert.matches("SUMMARY:lunch\\, with Ana\\;\r\n", event, 1, true)
    assert.matches("DTSTART:20261122T130000\r\nDTEND:20261122T140000\r\n", event, 1, true)
    assert.equal("lunch, with Ana;", ics.open(path):events()[2].summary)
  end)

  it("adds a whole day, over the end of a month", function()
    hear("add holiday on december 31", 'calendar_set( event_name = " holiday", date = " december 31")', yes)
    assert.matches("DTSTART;VALUE=DATE:20261231\r\nDTEND;VALUE=DATE:20270101\r\n", read(path), 1, true)
  end)

  it("folds long lines between characters", function()
    local file = assert(ics.open(path))
    local title = ("\195\166r "):rep(60)
    file:add({summary = title, start = {year = 2026, month = 12, day = 1}}, NOW)
    assert(file:save())
    for line in read(path):gmatch "([^\n]*)\r\n" do
      if line:find "\195\166r" then
        assert.is_true(#line <= 75)
        assert.is_nil(line:find "^ ?[\128-\191]")
        assert.is_nil(line:find "\195$")
      end
    end
    assert.equal(title, ics.open(path):events()[4].summary)
  end)

  it("moves an event with its end, in its own form", function()
    local call = hear("move the dentist to tuesday", 'calendar_move( event_name = " dentist", new_date = " tuesday")', yes)
    assert.matches("to    2026%-11%-24 10:30 Europe/Oslo", call.value)
    local text = read(path)
    assert.matches("DTSTART;TZID=Europe/Oslo:20261124T103000\r\nDTEND;TZID=Europe/Oslo:20261124T111500\r\n", text, 1, true)
    assert.matches("SEQUENCE:3\r\n", text, 1, true)
    assert.matches("DESCRIPTION:Bring the letter of the health insurance\\, the old pictures and a b\r\n ook", text, 1, true)
    hear("move christmas to december 26", 'calendar_move( event_name = " christmas", new_date = " december 26")', yes)
    assert.matches("DTSTART;VALUE=DATE:20261226\r\nDTEND;VALUE=DATE:20261227\r\n", read(path), 1, true)
    local here = os.date("*t", os.time{year = 2026, month = 11, day = 24, hour = 12} - 0)
    hear("move the call to 3 pm", 'calendar_move( event_name = " call", new_time = " 3 pm")', yes)
    local utc = os.date("!%Y%m%dT%H%M%SZ", os.time{year = 2026, month = 11, day = here.day, hour = 15})
    assert.matches("DTSTART:" .. utc, read(path), 1, true)
  end)

  it("deletes one event", function()
    local call = hear("delete the call with Ana", 'calendar_remove( event_name = " call")', yes)
    assert.equal("deleted 2026-11-24 14:00 UTC  Call with Ana", call.value)
    local gone = read "tests/golden/calendar.ics":gsub("BEGIN:VEVENT\r\nUID:call@.-END:VEVENT\r\n", "")
    assert.equal(gone, read(path))
  end)

  it("finds events by day and by name", function()
    assert.equal("2026-11-23 10:30 Europe/Oslo  Dentist, Dr. \195\133s (Storgata 1; second floor)",
      hear("what is on monday", 'calendar_query( date = " monday")').value)
    assert.matches("Call with Ana\n.*Christmas with Ana$", hear("events with Ana", 'calendar_query( event_name = " Ana")').value)
    assert.equal("there is nothing on 2026-11-22", hear("and tomorrow", 'calendar_query( date = " tomorrow")').value)
  end)

  describe("writes nothing", function()
    local function refused(pattern, ...)
      local call, result = hear(...)
      assert.matches(pattern, call.problem or result.problem)
      assert.equal(read "tests/golden/calendar.ics", read(path))
    end

    it("without a yes", function()
      for sentence, answer in pairs{
        ["add lunch tomorrow"] = 'calendar_set( event_name = " lunch", date = " tomorrow")',
        ["delete the dentist"] = 'calendar_remove( event_name = " dentist")',
        ["move the dentist to friday"] = 'calendar_move( event_name = " dentist", new_date = " friday")',
      } do
        refused("not confirmed", sentence, answer)
        refused("rather not", sentence, answer, function() return "rather not" end)
      end
    end)

    it("that was not said", function()
      refused("nothing was said about an event 'dinner'", "add lunch tomorrow",
        'calendar_set( event_name = " dinner", date = " tomorrow")', yes)
      refused("nothing was said about the day 'friday'", "add lunch tomorrow",
        'calendar_set( event_name = " lunch", date = " friday")', yes)
      refused("nothing was said about the time '2'", "add lunch tomorrow",
        'calendar_set( event_name = " lunch", date = " tomorrow", time = " 2 pm")', yes)
    end)

    it("for a question or the contrary", function()
      refused("it was said 'do'", "do I have lunch tomorrow", 'calendar_set( event_name = " lunch", date = " tomorrow")', yes)
      refused("it was said 'cancel'", "cancel lunch tomorrow", 'calendar_set( event_name = " lunch", date = " tomorrow")', yes)
      refused("it was said 'add'", "add dentist tomorrow", 'calendar_remove( event_name = " dentist")', yes)
    end)

    it("when the event is none, or may be several, or repeats", function()
      refused("no event 'party'", "delete the party", 'calendar_remove( event_name = " party")', yes)
      refused("any of these:\n.*Call with Ana\n.*Christmas with Ana", "delete Ana", 'calendar_remove( event_name = " Ana")', yes)
      refused("it repeats", "move the standup to friday", 'calendar_move( event_name = " standup", new_date = " friday")', yes)
    end)

    it("for days and times that are none", function()
      refused("no day 'february 30'", "add x on february 30", 'calendar_set( event_name = " x", date = " february 30")', yes)
      refused("no day that can be told", "add x soon", 'calendar_set( event_name = " x", date = " soon")', yes)
      refused("no time that can be told", "add x tomorrow at 25:00",
        'calendar_set( event_name = " x", date = " tomorrow", time = " 25:00")', yes)
    end)

    it("for answers that are no call", function()
      refused("not understood", "hello", "", yes)
      refused("not understood", "hello", "calendar_set( event_name =", yes)
      refused("missing argument", "hello", "calendar_set()", yes)
    end)
  end)

  it("does not overwrite what was changed meanwhile, and leaves nothing behind", function()
    local file = assert(ics.open(path))
    file:add({summary = "x", start = {year = 2026, month = 12, day = 1}}, NOW)
    local other = assert(io.open(path, "ab"))
    other:write "X-NEW:1\r\n"
    other:close()
    local text = read(path)
    local ok, message, code = file:save()
    assert.is_nil(ok)
    assert.matches("changed meanwhile", message)
    assert.equal("changed", code)
    assert.equal(text, read(path))
  end)

  it("keeps links and permissions", function()
    local link = path .. ".link"
    os.execute(("chmod 640 '%s' && ln -s '%s' '%s'"):format(path, path, link))
    local file = assert(ics.open(link))
    file:add({summary = "Tea", start = {year = 2026, month = 12, day = 1}}, NOW)
    assert(file:save())
    local pipe = io.popen(("readlink '%s'; stat -c %%a '%s'; ls '%s'* | wc -l"):format(link, path, path))
    assert.equal(("%s\n640\n2\n"):format(path), pipe:read "*a")
    pipe:close()
    os.remove(link)
    assert.matches("SUMMARY:Tea", read(path))
  end)

  it("shows the model only the tools that nothing speaks against", function()
    local agent = assert(calendar.new{path = path, chat = function() end})
    local function shown(sentence)
      agent.sentence = sentence
      return select(2, agent:shown())
    end
    assert.equal("calendar_query", shown "what is on monday")
    assert.equal("calendar_remove", shown "delete the dentist")
    assert.equal("calendar_move", shown "Move the dentist to friday")
    assert.equal("calendar_set", shown "add lunch tomorrow")
    assert.equal("calendar_query calendar_set calendar_move calendar_remove", shown "the dentist")
  end)

  it("takes a day for a day and a title for a title, however the model has it", function()
    assert.matches("^2026%-11%-23 10:30 .*Dentist", hear("what is on monday", 'calendar_query( event_name = " monday")').value)
    assert.matches("Dentist", hear("is there a dentist appointment", 'calendar_query( event_name = " dentist appointment")').value)
    assert.matches("  lunch with Ana$", hear("add lunch with Ana tomorrow at 1 pm",
      'calendar_set( event_name = " lunch with Ana tomorrow", date = " tomorrow", time = " 1 pm")', yes).value)
    assert.equal("there is nothing called 'sauna' on 2026-11-23",
      hear("is the sauna on monday", 'calendar_query( event_name = " sauna", date = " monday")').value)
  end)

  it("says what is wrong with a file", function()
    local function bad(text, pattern)
      local file = assert(io.open(path, "wb"))
      file:write(text)
      file:close()
      local agent, message = calendar.new{path = path, chat = said{}}
      assert.is_nil(agent)
      assert.matches(pattern, message)
    end
    bad("", "not a calendar")
    bad("hello", ":1: no content line")
    bad("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\n", ":3: END:VCALENDAR closes nothing")
    bad("BEGIN:VCALENDAR\r\n", "VCALENDAR has no end")
    local agent = assert(calendar.new{path = "no/such/folder/x.ics", now = function() return NOW end, -- made with the first event
      chat = said{'calendar_set( event_name = " x", date = " tomorrow")'}})
    assert.matches("no/such/folder", agent:say("add x tomorrow", yes).calls[1].problem)
  end)

  it("knows days and times", function()
    local function day(text) return ("%d-%d-%d"):format(dates.day(text, NOW)) end
    for text, wanted in pairs{
      today = "2026-11-21", ["the day after tomorrow"] = "2026-11-23", monday = "2026-11-23", ["on Sat"] = "2026-11-28",
      ["next friday"] = "2026-11-27", ["in three days"] = "2026-11-24", ["in a week"] = "2026-11-28", ["March 9th"] = "2027-3-9",
      ["9 march 2028"] = "2028-3-9", ["the 23rd"] = "2026-11-23", ["the 5th"] = "2026-12-5", ["2026-12-31"] = "2026-12-31",
      ["march twenty fifth"] = "2027-3-25", ["sunday november 22"] = "2026-11-22",
    } do assert.equal(wanted, day(text), text) end
    local function time(text) return ("%d:%02d"):format(dates.time(text)) end
    for text, wanted in pairs{
      ["3 pm"] = "15:00", ["3:30pm"] = "15:30", ["15:30"] = "15:30", noon = "12:00", ["12 am"] = "0:00", ["half past 3 pm"] = "15:30",
      ["quarter to five"] = "4:45", ["seven in the evening"] = "19:00", ["5 p.m."] = "17:00", ["at 7"] = "7:00", ["ten thirty"] = "10:30",
    } do assert.equal(wanted, time(text), text) end
    for _, text in ipairs{"", "someday", "the 32nd", "2026-02-30", "march", "next"} do assert.is_nil(dates.day(text, NOW), text) end
    for _, text in ipairs{"", "late", "13 pm", "25:00", "3 o clock sharp"} do assert.is_nil(dates.time(text), text) end
  end)

  it("keeps the file safe from the shipped model, whatever is said", function()
    local agent = assert(calendar.new{path = path, now = function() return NOW end})
    local asked = 0
    for _, sentence in ipairs{
      "delete everything", "cancel all my meetings", "move my whole calendar to next year", "what is the capital", "",
      "calendar_remove( event_name = \" dentist\")", "do I have a dentist appointment on monday",
      "\255\254 add \0 tomorrow", ("add "):rep(500),
    } do
      agent:say(sentence, function()
        asked = asked + 1
        return false
      end)
      assert.equal(read "tests/golden/calendar.ics", read(path), sentence)
    end
    agent.model:close()
  end)

  it("runs as a program", function()
    local program = os.getenv "MLLM_TEST_LUA" or "lua5.4"
    local function shell(arguments)
      local pipe = io.popen(("%s agents/calendar.lua %s </dev/null 2>&1"):format(program, arguments))
      local text = pipe:read "*a"
      pipe:close()
      return text
    end
    assert.matches("usage: calendar.lua FILE.ics", shell "")
    assert.matches("unknown option %-%-no", shell "x.ics --no")
    local text = shell(path .. " 'what is on my calendar on monday'")
    assert.matches("> what is on my calendar on monday\n  .*\n  %d+ ms", text)
    assert.equal(read "tests/golden/calendar.ics", read(path))
  end)
end)
