-- Calendar files (iCalendar, RFC 5545): events are read and changed, everything else stays byte for byte as it was.
--
--   local file = assert(ics.open "my.ics")        nil, message, code ("io", "format")
--   for _, event in ipairs(file:events()) do print(event.summary, event.start.text) end
--   file:add{summary, location, start = {year, month, day, hour, min}, minutes}; file:move(event, start); file:delete(event)
--   assert(file:save())                           written beside, then renamed over the old one
-- A file is a list of content lines; each keeps the bytes it came from, folded or not, until it is changed.
local ics = {}

local File = {}
File.__index = File

local function escape(text)
  return (text:gsub("\r\n?", "\n"):gsub("[\\;,]", "\\%0"):gsub("\n", "\\n"))
end

local function unescape(text)
  return (text:gsub("\\(.)", function(c) return (c == "n" or c == "N") and "\n" or c end))
end

-- A content line in lines of at most 75 octets, cut between characters (section 3.1).
local function fold(line)
  local out, at, room = {}, 1, 75
  while #line - at + 1 > room do
    local stop = at + room
    while line:byte(stop) >= 0x80 and line:byte(stop) < 0xC0 do stop = stop - 1 end
    out[#out + 1] = line:sub(at, stop - 1)
    at, room = stop, 74
  end
  out[#out + 1] = line:sub(at)
  return table.concat(out, "\r\n ") .. "\r\n"
end

-- "DTSTART;TZID=\"Europe/Oslo\":20261123T090000" -> name, parameters, value; nil for what is no content line
local function split(line)
  local name, at = line:match "^([%w%-]+)()"
  if not name then return nil end
  local parameters = {}
  while line:sub(at, at) == ";" do
    local key, after = line:match("^;([%w%-]+)=()", at)
    if not key then return nil end
    local value, stop = line:match('^"([^"]*)"()', after)
    if not value then value, stop = line:match("^([^;:,\"]*)()", after) end
    while line:sub(stop, stop) == "," do -- more values of one parameter
      stop = line:match('^,"[^"]*"()', stop) or line:match("^,[^;:,\"]*()", stop)
    end
    parameters[key:upper()], at = value, stop
  end
  if line:sub(at, at) ~= ":" then return nil end
  return name:upper(), parameters, line:sub(at + 1)
end

local function parse(path, text)
  local self = setmetatable({path = path, text = text, lines = {}}, File)
  local depth = {}
  local number = 0
  for raw in text:gmatch "[^\n]*\n?" do
    if raw == "" then break end
    number = number + 1
    local last = self.lines[#self.lines]
    if raw:find "^[ \t]" and last then -- a fold
      last.raw = last.raw .. raw
      last.text = last.text .. raw:sub(2):gsub("\r?\n$", "")
    else
      self.lines[#self.lines + 1] = {raw = raw, text = raw:gsub("\r?\n$", ""), number = number}
    end
  end
  for _, line in ipairs(self.lines) do
    local name, _, value = split(line.text)
    if not name and line.text ~= "" then return nil, ("%s:%d: no content line"):format(path, line.number), "format" end
    if name == "BEGIN" then
      depth[#depth + 1] = value:upper()
    elseif name == "END" and table.remove(depth) ~= value:upper() then
      return nil, ("%s:%d: END:%s closes nothing"):format(path, line.number, value), "format"
    end
  end
  if #depth > 0 then return nil, ("%s: %s has no end"):format(path, depth[#depth]), "format" end
  local first = self.lines[1]
  if not first or first.text:upper() ~= "BEGIN:VCALENDAR" then return nil, path .. ": not a calendar file", "format" end
  if not self.lines[#self.lines].raw:find "\n$" then
    self.lines[#self.lines].raw = self.lines[#self.lines].raw .. "\r\n"
  end
  return self
end

local function read(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message, "io" end
  local text = file:read "*a"
  file:close()
  if not text then return nil, path .. ": cannot be read", "io" end
  return text
end

-- ics.open(path) -> file. A file that does not exist is an empty calendar only when create is true.
function ics.open(path, create)
  local text, message, code = read(path)
  if not text then
    if not create or io.open(path, "rb") then return nil, message, code end
    text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//mobilellm//calendar agent//EN\r\nEND:VCALENDAR\r\n"
    local file = parse(path, text)
    file.text = nil -- there is nothing to be overwritten
    return file
  end
  return parse(path, text)
end

-- "20261123T090000Z" and its parameters -> {year, month, day, hour, min, sec, utc, zone, date (no time), text}
local function moment(parameters, value)
  local year, month, day, rest = value:match "^(%d%d%d%d)(%d%d)(%d%d)(.*)$"
  if not year then return nil end
  local hour, min, sec, utc = rest:match "^T(%d%d)(%d%d)(%d%d)(Z?)$"
  if not hour and rest ~= "" then return nil end
  local at = {year = tonumber(year), month = tonumber(month), day = tonumber(day), hour = tonumber(hour or 0), min = tonumber(min or 0),
    sec = tonumber(sec or 0), utc = utc == "Z", zone = parameters.TZID, date = hour == nil}
  at.text = ("%04d-%02d-%02d"):format(at.year, at.month, at.day)
  if not at.date then
    at.text = ("%s %02d:%02d%s"):format(at.text, at.hour, at.min, at.utc and " UTC" or at.zone and " " .. at.zone or "")
  end
  return at
end

-- file:events() -> list of {summary, location, uid, start, stop, repeats, first, last (lines)} in the order of their beginning
function File:events()
  local out, event, inner = {}, nil, 0
  for i, line in ipairs(self.lines) do
    local name, parameters, value = split(line.text)
    if name == "BEGIN" and value:upper() == "VEVENT" and not event then
      event = {first = i, at = {}}
    elseif event and name == "BEGIN" then
      inner = inner + 1 -- an alarm has names of its own
    elseif event and name == "END" and inner > 0 then
      inner = inner - 1
    elseif event and name == "END" then
      event.last = i
      if event.start then out[#out + 1] = event end
      event = nil
    elseif event and inner == 0 and name then
      event.at[name] = i
      if name == "SUMMARY" or name == "LOCATION" then event[name:lower()] = unescape(value)
      elseif name == "UID" then event.uid = value
      elseif name == "DTSTART" then event.start = moment(parameters, value)
      elseif name == "DTEND" then event.stop = moment(parameters, value)
      elseif name == "RRULE" or name == "RDATE" or name == "RECURRENCE-ID" then event.repeats = true
      end
    end
  end
  local order = {}
  for i, one in ipairs(out) do
    one.summary = one.summary or ""
    order[one] = i
  end
  local function key(s) return ((((s.year * 16 + s.month) * 32 + s.day) * 32 + s.hour) * 64 + s.min) end
  table.sort(out, function(a, b)
    local x, y = key(a.start), key(b.start)
    if x ~= y then return x < y end
    return order[a] < order[b]
  end)
  return out
end

local function line_of(name, value, parameters)
  local text = name .. (parameters or "") .. ":" .. value
  return {text = text, raw = fold(text)}
end

local function stamp(seconds)
  return os.date("!%Y%m%dT%H%M%SZ", seconds)
end

-- Seconds, as if the numbers were UTC: only differences of them mean something.
local function seconds_of(t)
  local year, month = t.year, t.month
  if month <= 2 then year, month = year - 1, month + 12 end
  local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * (month - 3) + 2) / 5) + t.day
  return ((days * 24 + (t.hour or 0)) * 60 + (t.min or 0)) * 60 + (t.sec or 0)
end

local epoch = seconds_of{year = 1970, month = 1, day = 1}

-- The moment in the form of another one (date only, UTC, or the time on the wall), as parameters and value.
local function spelled(t, like)
  local base = seconds_of(t) - epoch
  if like.date then return ";VALUE=DATE", os.date("!%Y%m%d", base) end
  if like.utc then -- t is local time
    return "", stamp(os.time{year = t.year, month = t.month, day = t.day, hour = t.hour, min = t.min, sec = t.sec or 0})
  end
  local zone = like.zone
  if zone and zone:find "[;:,]" then zone = '"' .. zone .. '"' end
  return zone and ";TZID=" .. zone or "", os.date("!%Y%m%dT%H%M%S", base)
end

local count = 0
local function unlike() -- differs between processes
  count = count + 1
  return ("%d-%d-%s"):format(os.time(), count, (tostring({}):match "0x0*(%x+)" or tostring(math.random(0, 2 ^ 31))))
end

-- file:add{summary, location, start = {year, month, day, hour, min} (no hour: the whole day), minutes}: local time
function File:add(event, now)
  now = now or os.time()
  local whole_day = event.start.hour == nil
  local form = {date = whole_day}
  local stop = {year = event.start.year, month = event.start.month, day = event.start.day + (whole_day and 1 or 0),
    hour = event.start.hour, min = (event.start.min or 0) + (whole_day and 0 or event.minutes or 60)}
  local start_form, start = spelled(event.start, form)
  local stop_form, stop_text = spelled(stop, form)
  local lines = {
    line_of("BEGIN", "VEVENT"), line_of("UID", unlike() .. "@mobilellm"),
    line_of("DTSTAMP", stamp(now)), line_of("DTSTART", start, start_form), line_of("DTEND", stop_text, stop_form),
    line_of("SUMMARY", escape(event.summary)),
  }
  if event.location then lines[#lines + 1] = line_of("LOCATION", escape(event.location)) end
  lines[#lines + 1] = line_of("END", "VEVENT")
  local at = #self.lines
  while split(self.lines[at].text) ~= "END" do at = at - 1 end -- END:VCALENDAR
  for i, line in ipairs(lines) do table.insert(self.lines, at + i - 1, line) end
end

-- file:delete(event) of the list that file:events() gave last
function File:delete(event)
  for _ = event.first, event.last do table.remove(self.lines, event.first) end
end

-- file:move(event, {year, month, day, hour, min}): its end moves with it, its form stays; returns nil, message for what cannot move
function File:move(event, start, now)
  if event.repeats then return nil, "it repeats: only a calendar program can move one of its days" end
  local old = event.start
  local target = {year = start.year, month = start.month, day = start.day, hour = start.hour or old.hour, min = start.min or old.min}
  if start.hour and old.date then return nil, "it takes the whole day and has no time" end
  if old.utc and not start.hour then -- the same time on the wall of another day
    local here = os.date("*t", seconds_of(old) - epoch)
    target.hour, target.min = here.hour, here.min
  end
  local form, value = spelled(target, old)
  local _, _, before = split(self.lines[event.at.DTSTART].text)
  self.lines[event.at.DTSTART] = line_of("DTSTART", value, form)
  if event.stop then
    local shift = seconds_of(moment({}, value)) - seconds_of(moment({}, before))
    local parameters = self.lines[event.at.DTEND].text:match "^%a+([^:]*):" -- its own form stays
    local stop = os.date(event.stop.date and "!%Y%m%d" or "!%Y%m%dT%H%M%S", seconds_of(event.stop) - epoch + shift)
    self.lines[event.at.DTEND] = line_of("DTEND", stop .. (event.stop.utc and "Z" or ""), parameters)
  end
  local function set(name, new)
    if event.at[name] then self.lines[event.at[name]] = line_of(name, new) end
  end
  set("DTSTAMP", stamp(now))
  set("LAST-MODIFIED", stamp(now))
  local sequence = event.at.SEQUENCE and select(3, split(self.lines[event.at.SEQUENCE].text))
  set("SEQUENCE", ("%d"):format((tonumber(sequence) or 0) + 1))
  return true
end

local function quote(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

-- file:save() -> true | nil, message, code. Refuses to overwrite what another program wrote meanwhile ("changed"). A link is followed, and
-- the file's permissions stay; the shell's readlink, cp and sync do what Lua cannot (without them a link becomes a file, with the
-- permissions of a new one, and the system brings it to the disk when it likes).
function File:save()
  local here = read(self.path)
  if here ~= self.text then return nil, self.path .. ": it was changed meanwhile: nothing is written", "changed" end
  local raw = {}
  for i, line in ipairs(self.lines) do raw[i] = line.raw end
  local text = table.concat(raw)
  local pipe = io.popen("readlink -f -- " .. quote(self.path) .. " 2>/dev/null")
  local target = pipe and pipe:read "*l"
  if pipe then pipe:close() end
  if not target or target == "" then target = self.path end
  local beside = target .. "." .. unlike() .. ".new"
  os.execute(("cp -p -- %s %s 2>/dev/null"):format(quote(target), quote(beside)))
  local file, message = io.open(beside, "wb")
  if not file then
    os.remove(beside)
    return nil, message, "io"
  end
  local ok, why = file:write(text)
  local closed, why_not = file:close()
  if ok and closed then
    os.execute(("sync -- %s 2>/dev/null"):format(quote(beside))) -- before the old one is gone
    ok, why = os.rename(beside, target)
  else
    ok, why = nil, why or why_not
  end
  if not ok then
    os.remove(beside)
    return nil, why or "cannot write", "io"
  end
  self.text = text
  return true
end

return ics
