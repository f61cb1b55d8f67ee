-- A weather service on loopback for weather_spec: says its port, then answers until /quit, or until nobody asked for a minute.
-- usage: LUA tests/server.lua [CERTIFICATE KEY] (https with these)
local socket = require "socket"
local server = assert(socket.bind("127.0.0.1", 0))
server:settimeout(60)
local _, port = server:getsockname()
io.stdout:write(port, "\n")
io.stdout:flush()

local function value(query, name)
  local text = ("&" .. query):match("&" .. name .. "=([^&]*)")
  return text and text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
end

local log = {}
local answers = {
  ["/v1/search"] = function(query)
    local name = value(query, "name")
    if name == "Oslo" then return '{"results":[{"name":"Oslo","country":"Norway","latitude":59.91273,"longitude":10.74609}]}' end
    if name == "Bergen" then return '{"results":[{"name":"Bergen","country":"Norway","latitude":"sixty"}]}' end
    return '{"generationtime_ms":0.5}'
  end,
  ["/v1/forecast"] = function(query)
    if value(query, "latitude") ~= "59.9127" or value(query, "longitude") ~= "10.7461" then return "{}" end
    if value(query, "start_date") then
      return ('{"daily":{"time":["%s"],"weather_code":[63],"temperature_2m_min":[-1.4],"temperature_2m_max":[4.6],'
        .. '"precipitation_sum":[7.5]}}'):format(value(query, "start_date"))
    end
    return '{"current":{"temperature_2m":3.2,"weather_code":2,"wind_speed_10m":14.8}}'
  end,
  ["/log"] = function() return table.concat(log, "\n") end,
  ["/text"] = function() return "hello" end,
  ["/large"] = function() return ("x"):rep(300000) end,
  ["/here"] = function() return "", "302 Found", "Location: /v1/search?name=Oslo\r\n" end,
  ["/elsewhere"] = function() return "", "302 Found", "Location: http://127.0.0.2:1/secret\r\n" end,
  ["/file"] = function() return "", "302 Found", "Location: file:///etc/passwd\r\n" end,
  ["/circle"] = function() return "", "302 Found", "Location: /circle\r\n" end,
  ["/broken"] = function() return "no", "500 Internal Server Error" end,
  ["/quit"] = function() return "bye" end,
}

local waiting = {} -- connections that get nothing
repeat
  local client = server:accept()
  if not client then break end
  client:settimeout(5)
  local secure = true
  if arg[1] then
    local ssl = require "ssl"
    client = assert(ssl.wrap(client, {mode = "server", protocol = "any", certificate = arg[1], key = arg[2]}))
    client:settimeout(5)
    secure = client:dohandshake()
  end
  local line = secure and client:receive() or ""
  while secure and (client:receive() or "") ~= "" do end
  local path, query = line:match "^GET ([^? ]+)%??([^ ]*)"
  log[#log + 1] = line
  if path == "/silent" then
    waiting[#waiting + 1] = client
  elseif path == "/drip" then -- a byte now and then, for ever, but for others
    client:send "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx"
    waiting[#waiting + 1] = client
  else
    local answer = answers[path]
    local body, status, headers
    if answer then body, status, headers = answer(query) else body, status = "no", "404 Not Found" end
    local head = ("HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n"):format(status or "200 OK", #body, headers or "")
    client:send(head .. body)
    client:close()
  end
until path == "/quit"
for _, client in ipairs(waiting) do client:close() end
