-- A calendar agent: sentences read and change an .ics file (iCalendar, RFC 5545).
--
--   lua5.4 agents/calendar.lua my.ics "add lunch with Ana tomorrow at 1 pm"    these sentences; none: what is typed (on a terminal)
--
-- What the model says is held against the sentence before anything is written: the title's words must have been said, dates and times
-- stay as spoken and are turned into numbers here, an event must be named so that it is only one, a question changes nothing. Whatever
-- writes needs a yes (on the terminal, or --yes). The file is written beside, brought to the disk and renamed, so that it is the old or the
-- new one whatever happens; links and permissions stay, and what is not changed stays byte for byte.
--
-- As a module: local agent = assert(require "calendar".new{path = "my.ics", model = path}); agent:say(sentence, approve) (parts/loop.lua)
local directory = ((debug.getinfo(1, "S").source:match "^@(.*)$") or "agents/calendar.lua"):match "^(.*)/[^/]*$" or "."
local loop = dofile(directory .. "/parts/loop.lua")
local ics, dates = dofile(directory .. "/parts/ics.lua"), dofile(directory .. "/parts/dates.lua")

local calendar = {}
local SHOWN = 20 -- events in one answer

local function text(description) return {type = "string", description = description} end

local function schema(required, properties)
  return {type = "object", properties = properties, required = required, additionalProperties = false}
end

-- What speaks against a tool that writes: these words, and a question.
local function against(...)
  return {"^what", "^when", "^which", "^where", "^do", "^does", "^is", "^are", "^am", "^have", "^show", "^list", "^find", ...}
end

-- Errors of a tool: told to the model and to the person.
local function need(value, message)
  if value == nil or value == false then error(message, 0) end
  return value
end

local function day_of(agent, said)
  loop.insist(agent.sentence, "the day", said)
  if agent.sentence:lower():find("next " .. said:lower(), 1, true) then said = "next " .. said end -- it may have been cut off
  local year, month, day = dates.day(said, agent.now())
  return {year = need(year, month), month = month, day = day}
end

local function with_time(agent, day, said)
  if not said then return day end
  loop.insist(agent.sentence, "the time", said)
  local hour, min = dates.time(said)
  day.hour, day.min = need(hour, min), min
  return day
end

local function open(agent) -- read anew each time: other programs write, too
  local file, message = ics.open(agent.path, true)
  return need(file, message)
end

local function show(event)
  return ("%s  %s%s%s"):format(event.start.text, event.summary, event.location and " (" .. event.location .. ")" or "",
    event.repeats and ", repeats" or "")
end

-- The events whose title has all the words; when there is none, those that have them without "appointment", "event" and the like.
local function named(events, name)
  local out = {}
  for _, event in ipairs(events) do
    if loop.said(event.summary, name) then out[#out + 1] = event end
  end
  local less = (" " .. name .. " "):gsub("(%a+)", function(word)
    return ({my = "", the = "", a = "", an = "", event = "", appointment = "", entry = ""})[word:lower()]
  end):gsub("%s+", " "):match "^%s*(.-)%s*$"
  if #out == 0 and less ~= name and less:find "%S" then return named(events, less) end
  return out
end

-- The title without a day or a time that the model copied along with it: "lunch with Ana tomorrow".
local function title_of(arguments)
  local title = arguments.event_name
  for _ = 1, 2 do
    for _, said in ipairs{arguments.date or "", arguments.time or ""} do
      local rest = #title - #said
      if said ~= "" and title:sub(rest + 1):lower() == said:lower() then
        title = title:sub(1, rest):gsub("%s+$", ""):gsub("%s+on$", ""):gsub("%s+at$", "")
      end
    end
  end
  return title:find "%S" and title or arguments.event_name
end

-- The one event that is meant.
local function only(agent, events, name, day)
  loop.insist(agent.sentence, "an event", name)
  local found = named(events, name)
  if day then
    local here = {}
    for _, event in ipairs(found) do
      local s = event.start
      if s.year == day.year and s.month == day.month and s.day == day.day then here[#here + 1] = event end
    end
    found = here
  end
  need(#found > 0, ("there is no event '%s'%s"):format(name, day and " on that day" or ""))
  if #found > 1 then
    local list = {}
    for i, event in ipairs(found) do list[i] = show(event) end
    error(("'%s' may be any of these:\n%s"):format(name, table.concat(list, "\n", 1, math.min(#list, SHOWN))), 0)
  end
  return found[1]
end

local function save(file)
  local ok, message = file:save()
  need(ok, message)
end

local function declare(agent)
  return {
    {name = "calendar_query", description = "Show events",
      unless = {"^add", "^schedule", "^plan", "^book", "^remind", "^delete", "^remove", "^cancel", "^move", "^postpone", "^reschedule"},
      parameters = schema({}, {event_name = text "Title of the event", date = text "Day, as it was said"}),
      call = function(arguments)
        local list, date, name = open(agent):events(), arguments.date, arguments.event_name
        if name and not date and dates.day(name, agent.now()) then date, name = name, nil end -- "what is on monday"
        local day = date and day_of(agent, date)
        if name then
          loop.insist(agent.sentence, "an event", name)
          list = named(list, name)
        end
        local lines, more = {}, 0
        for _, event in ipairs(list) do
          local s = event.start
          if not day or s.year == day.year and s.month == day.month and s.day == day.day then
            if #lines < SHOWN then lines[#lines + 1] = show(event) else more = more + 1 end
          end
        end
        if more > 0 then lines[#lines + 1] = ("and %d more"):format(more) end
        if #lines > 0 then return table.concat(lines, "\n") end
        return "there is nothing" .. (name and (" called '%s'"):format(name) or "")
          .. (day and (" on %04d-%02d-%02d"):format(day.year, day.month, day.day) or "")
      end},
    {name = "calendar_set", description = "Add an event to the calendar", confirm = true,
      unless = against("delete", "remove", "cancel", "move", "postpone", "reschedule"),
      parameters = schema({"event_name", "date"}, {event_name = text "Title of the event", date = text "Day, as it was said",
        time = text "Time, as it was said", location = text "Place"}),
      call = function(arguments)
        loop.insist(agent.sentence, "an event", arguments.event_name)
        if arguments.location then loop.insist(agent.sentence, "a place", arguments.location) end
        local file = open(agent)
        local start, title = with_time(agent, day_of(agent, arguments.date), arguments.time), title_of(arguments)
        file:add({summary = title, location = arguments.location, start = start}, agent.now())
        save(file)
        return ("added %04d-%02d-%02d%s  %s"):format(start.year, start.month, start.day,
          start.hour and (" %02d:%02d"):format(start.hour, start.min) or "", title)
      end},
    {name = "calendar_move", description = "Move an appointment, a lunch or a meeting to another date", confirm = true,
      unless = against("delete", "remove", "cancel", "add", "^schedule", "^remind"),
      parameters = schema({"event_name"}, {event_name = text "Title of the event", new_date = text "New day, as it was said",
        new_time = text "New time, as it was said"}),
      call = function(arguments)
        need(arguments.new_date or arguments.new_time, "a new day or time is needed")
        local file = open(agent)
        local event = only(agent, file:events(), arguments.event_name)
        local s = event.start
        local start = with_time(agent, arguments.new_date and day_of(agent, arguments.new_date)
          or {year = s.year, month = s.month, day = s.day}, arguments.new_time)
        local before = show(event)
        local ok, message = file:move(event, start, agent.now())
        need(ok, ("'%s' is not moved: %s"):format(event.summary, message or ""))
        save(file)
        return "moved " .. before .. "\nto    " .. show(only(agent, file:events(), arguments.event_name))
      end},
    {name = "calendar_remove", description = "Delete an event from the calendar", confirm = true,
      unless = against("add", "move", "postpone", "reschedule", "^schedule", "^remind"),
      parameters = schema({"event_name"}, {event_name = text "Title of the event", date = text "Day, as it was said"}),
      call = function(arguments)
        local file = open(agent)
        local event = only(agent, file:events(), arguments.event_name, arguments.date and day_of(agent, arguments.date))
        file:delete(event)
        save(file)
        return "deleted " .. show(event)
      end},
  }
end

-- options: path (of the .ics file; one that is not there is made with the first event), model, chat (parts/loop.lua), now (function)
function calendar.new(options)
  local agent = {path = options.path, model_path = loop.calls_path, now = options.now or os.time}
  agent.tools = declare(agent)
  if not agent.path then return nil, "no calendar file", "io" end
  local file, message, code = ics.open(agent.path, true)
  if not file then return nil, message, code end
  return loop.new(agent, options)
end

function calendar.main(arguments)
  return loop.main({name = "calendar", usage = "calendar.lua FILE.ics [SENTENCE ...] [--yes] [--model FILE]", words = 1,
    options = {model = true},
    open = function(words, options) return calendar.new{path = table.remove(words, 1), model = options.model} end}, arguments)
end

if arg and arg[0] and arg[0]:match "calendar%.lua$" and (...) ~= "calendar" then os.exit(calendar.main(arg)) end

return calendar
