-- A weather agent: what the weather of a place is, from an HTTP service (open-meteo.com's interface, or another with the same).
--
--   lua5.4 agents/weather.lua "what is the weather in Oslo tomorrow"    these sentences; none: what is typed (on a terminal)
--
-- The model only names a place and a day, both of which must have been said. The addresses are the agent's: two are allowed, to the path,
-- and a redirect elsewhere is refused; what the model wrote only becomes the value of a query. Answers are bounded in time and size,
-- and are held to be what they should be before they are shown. Needs LuaSocket, and LuaSec for https.
--
-- As a module: local agent = assert(require "weather".new{model = path}); agent:say(sentence) (parts/loop.lua)
local directory = ((debug.getinfo(1, "S").source:match "^@(.*)$") or "agents/weather.lua"):match "^(.*)/[^/]*$" or "."
local loop = dofile(directory .. "/parts/loop.lua")
local fetch, dates = dofile(directory .. "/parts/fetch.lua"), dofile(directory .. "/parts/dates.lua")

local weather = {}
weather.places = "https://geocoding-api.open-meteo.com/v1/search"
weather.forecast = "https://api.open-meteo.com/v1/forecast"

-- WMO code table 4677, as far as the service uses it.
local skies = {
  [0] = "clear", "mainly clear", "partly cloudy", "overcast", [45] = "fog", [48] = "fog with rime", [51] = "light drizzle",
  [53] = "drizzle", [55] = "dense drizzle", [56] = "freezing drizzle", [57] = "dense freezing drizzle", [61] = "light rain", [63] = "rain",
  [65] = "heavy rain", [66] = "freezing rain", [67] = "heavy freezing rain", [71] = "light snow", [73] = "snow", [75] = "heavy snow",
  [77] = "snow grains", [80] = "light showers", [81] = "showers", [82] = "violent showers", [85] = "snow showers",
  [86] = "heavy snow showers", [95] = "thunderstorm", [96] = "thunderstorm with hail", [99] = "thunderstorm with heavy hail",
}

local function need(value, message)
  if value == nil or value == false then error(message, 0) end
  return value
end

-- The service's answer to a query, as a table.
local function ask(agent, url, query)
  local body, message = fetch.get(url, {query = query, allow = {agent.places, agent.forecast}, seconds = agent.seconds, bytes = 200000,
    authorities = agent.authorities})
  need(body, message)
  local value = require "mobilellm".json.decode(body)
  return need(type(value) == "table" and value, "the service's answer is no JSON")
end

local function number(t, key)
  local value = type(t) == "table" and t[key]
  return need(type(value) == "number" and value == value and math.abs(value) < 1e6 and value,
    ("the service's answer has no '%s'"):format(tostring(key)))
end

local function printable(text)
  return type(text) == "string" and text:sub(1, 80):gsub("[%c\127]", "?") or "?"
end

local function sky(code) return skies[code] or "weather code " .. tostring(code) end

local function look(agent, place, day)
  local found = ask(agent, agent.places, {name = place, count = 1, format = "json"})
  local first = type(found.results) == "table" and found.results[1]
  need(type(first) == "table", ("the service knows no place '%s'"):format(place))
  local query = {latitude = ("%.4f"):format(number(first, "latitude")), longitude = ("%.4f"):format(number(first, "longitude")),
    timezone = "auto"}
  if day then
    query.daily = "weather_code,temperature_2m_min,temperature_2m_max,precipitation_sum"
    query.start_date, query.end_date = day, day
  else
    query.current = "temperature_2m,weather_code,wind_speed_10m"
  end
  local answer = ask(agent, agent.forecast, query)
  local where = printable(first.name) .. ", " .. printable(first.country)
  if day then
    local daily = need(type(answer.daily) == "table" and answer.daily, "the service's answer has no 'daily'")
    return ("%s, %s: %s, %.0f to %.0f degrees, %.1f mm"):format(where, day, sky(number(daily.weather_code, 1)),
      number(daily.temperature_2m_min, 1), number(daily.temperature_2m_max, 1), number(daily.precipitation_sum, 1))
  end
  return ("%s, now: %s, %.0f degrees, wind %.0f km/h"):format(where, sky(number(answer.current, "weather_code")),
    number(answer.current, "temperature_2m"), number(answer.current, "wind_speed_10m"))
end

local function declare(agent)
  return {
    {name = "weather_query", description = "Weather forecast of a place", timeout = 30,
      parameters = {type = "object", required = {"place_name"}, additionalProperties = false, properties = {
        place_name = {type = "string", maxLength = 100, description = "City or place"},
        date = {type = "string", description = "Day, as it was said"},
      }},
      call = function(arguments)
        loop.insist(agent.sentence, "the place", arguments.place_name)
        local day
        if arguments.date and not ({now = true, today = true, currently = true})[arguments.date:lower()] then
          loop.insist(agent.sentence, "the day", arguments.date)
          local year, month, date = dates.day(arguments.date, agent.now())
          day = ("%04d-%02d-%02d"):format(need(year, month), month, date)
        end
        return look(agent, arguments.place_name, day)
      end},
  }
end

-- options: places, forecast (addresses), authorities (of https: parts/fetch.lua), seconds (of one request: 10), model, chat
-- (parts/loop.lua), now (function)
function weather.new(options)
  local agent = {places = options.places or weather.places, forecast = options.forecast or weather.forecast, seconds = options.seconds,
    authorities = options.authorities, now = options.now or os.time}
  for _, url in ipairs{agent.places, agent.forecast} do
    local ok, message = fetch.parse(url)
    if not ok then return nil, url .. ": " .. message, "format" end
  end
  local needed = {"socket.http", (agent.places .. agent.forecast):find "^https" and "ssl" or nil}
  for _, name in ipairs(needed) do
    if not pcall(require, name) then
      return nil, name == "ssl" and "https addresses need LuaSec (apt install lua-sec, or luarocks install luasec)"
        or "this agent needs LuaSocket (apt install lua-socket, or luarocks install luasocket)", "unsupported"
    end
  end
  agent.tools = declare(agent)
  return loop.new(agent, options)
end

function weather.main(arguments)
  return loop.main({name = "weather", usage = "weather.lua [SENTENCE ...] [--places URL] [--forecast URL] [--model FILE]",
    options = {model = true, places = true, forecast = true}, open = function(_, options) return weather.new(options) end}, arguments)
end

if arg and arg[0] and arg[0]:match "weather%.lua$" and (...) ~= "weather" then os.exit(weather.main(arg)) end

return weather
