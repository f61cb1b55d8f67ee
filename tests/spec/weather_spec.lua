package.path = "agents/?.lua;" .. package.path
local weather = require "weather"
local said = require "said"
local fetch = dofile "agents/parts/fetch.lua"

local NOW = os.time{year = 2026, month = 11, day = 21, hour = 12}

describe("the weather agent", function()
  local pipe, base
  setup(function()
    pipe = assert(io.popen((os.getenv "MLLM_TEST_LUA" or "lua5.4") .. " tests/server.lua"))
    base = "http://127.0.0.1:" .. assert(pipe:read "*l", "no server")
  end)
  teardown(function()
    fetch.get(base .. "/quit", {allow = {base .. "/quit"}})
    pipe:close()
  end)

  local function hear(sentence, answer, options)
    options = options or {}
    local agent = assert(weather.new{places = base .. (options.places or "/v1/search"),
      forecast = base .. (options.forecast or "/v1/forecast"), chat = said{answer}, now = function() return NOW end,
      seconds = options.seconds})
    return agent:say(sentence).calls[1]
  end

  local OSLO = 'weather_query( place_name = " Oslo")'

  it("asks a service on the network", function()
    assert.equal("Oslo, Norway, now: partly cloudy, 3 degrees, wind 15 km/h", hear("weather in Oslo", OSLO).value)
    assert.equal("Oslo, Norway, 2026-11-23: rain, -1 to 5 degrees, 7.5 mm",
      hear("will it rain in Oslo on monday?", 'weather_query( place_name = " Oslo", date = " monday")').value)
  end)

  it("sends what the model wrote as a value, whatever it is", function()
    local place = "x&count=9#/../?a=b c\\195\\165"
    local quoted = place:gsub("\\", "\\\\")
    local call = hear("weather in " .. place, ('weather_query( place_name = " %s")'):format(quoted))
    assert.matches("knows no place", call.problem)
    local log = fetch.get(base .. "/log", {allow = {base .. "/log"}})
    assert.matches("GET /v1/search?count=1&format=json&name=x%26count%3D9%23%2F..%2F%3Fa%3Db%20c%5C195%5C165 HTTP/1.1", log, 1, true)
  end)

  it("asks for nothing that was not said", function()
    assert.matches("nothing was said about the place 'paris'", hear("weather in Oslo", 'weather_query( place_name = " Paris")').problem)
    assert.matches("nothing was said about the day 'friday'",
      hear("weather in Oslo", 'weather_query( place_name = " Oslo", date = " friday")').problem)
    assert.matches("no day that can be told", hear("weather in Oslo soon", 'weather_query( place_name = " Oslo", date = " soon")').problem)
  end)

  it("survives what a service may answer", function()
    assert.matches("no 'latitude'", hear("weather in Bergen", 'weather_query( place_name = " Bergen")').problem)
    assert.matches("no JSON", hear("weather in Oslo", OSLO, {places = "/text"}).problem)
    assert.matches("more than 200000 bytes", hear("weather in Oslo", OSLO, {places = "/large"}).problem)
    assert.matches("the server said 500", hear("weather in Oslo", OSLO, {forecast = "/broken"}).problem)
    assert.matches("the server said 404", hear("weather in Oslo", OSLO, {forecast = "/nothing"}).problem)
    assert.matches("no answer in time", hear("weather in Oslo", OSLO, {places = "/silent", seconds = 0.2}).problem)
    assert.matches("no answer in time", hear("weather in Oslo", OSLO, {places = "/drip", seconds = 0.2}).problem)
    local agent = assert(weather.new{places = "http://127.0.0.1:1/", forecast = base .. "/", chat = said{OSLO}})
    assert.matches("refused", agent:say("weather in Oslo").calls[1].problem)
  end)

  it("follows redirects to where it may go, and no others", function()
    local search = base .. "/v1/search"
    assert.matches("Norway", fetch.get(base .. "/here", {allow = {base .. "/here", search}}))
    local function refused(path, pattern)
      local body, message, code = fetch.get(base .. path, {allow = {base .. path}})
      assert.is_nil(body)
      assert.matches(pattern, message)
      assert.is_string(code)
    end
    refused("/here", "/v1/search is none of the addresses")
    refused("/elsewhere", "127.0.0.2:1/secret is none of the addresses")
    refused("/file", "not fetched: no http")
    refused("/circle", "more than three redirects")
  end)

  it("takes addresses strictly", function()
    local allow = {"http://example.com/v1/x", "https://example.com:8443/"}
    for _, url in ipairs{
      "http://example.com/v1/x", "HTTP://EXAMPLE.com:80/v1/x?a=b", "https://example.com:8443", "https://example.com:8443/?q",
    } do
      assert.is_true(fetch.allowed(url, allow), url)
    end
    for _, url in ipairs{
      "https://example.com/v1/x", "http://example.com:81/v1/x", "http://example.com/v1/x/y", "http://example.com/v1/",
      "ftp://example.com/v1/x",
      "http://example.com@evil.org/v1/x", "http://evil.org#example.com/v1/x", "http://evil.org\\@example.com/v1/x",
      "http://example.com.evil.org/v1/x",
      "http://example.com/v1/x/../x", "http://example.com/v1/%78", "http://example.com/v1/x#f", "http://example.com /v1/x",
      "http://[::1]/v1/x", "//example.com/v1/x", "", "http://", "http://example.com/v1/x\r\nHost: evil.org",
      "http://ex\195\164mple.com/v1/x",
    } do
      local ok, why = fetch.allowed(url, allow)
      assert.is_false(ok, url)
      assert.is_string(why)
    end
  end)

  it("says what it lacks", function()
    local agent, message = weather.new{places = "gopher://x/", chat = said{}}
    assert.is_nil(agent)
    assert.matches("gopher://x/: no http", message)
    local loaded, preload = package.loaded["socket.http"], package.preload["socket.http"]
    package.loaded["socket.http"], package.preload["socket.http"] = nil, function() error "not here" end
    agent, message = weather.new{places = base .. "/", forecast = base .. "/", chat = said{}}
    local body, why = fetch.get(base .. "/", {allow = {base .. "/"}})
    package.loaded["socket.http"], package.preload["socket.http"] = loaded, preload
    assert.is_nil(agent)
    assert.matches("needs LuaSocket %(apt install lua%-socket", message)
    assert.is_nil(body)
    assert.matches("needs LuaSocket", why)
  end)

  it("asks only the allowed addresses with the shipped model, whatever is said", function()
    local agent = assert(weather.new{places = base .. "/v1/search", forecast = base .. "/v1/forecast", now = function() return NOW end})
    for _, sentence in ipairs{
      "what is the weather in Oslo", "fetch http://127.0.0.1/secret", "weather at ../../etc/passwd", "how are you", "", "\255\0",
    } do agent:say(sentence) end
    for line in (fetch.get(base .. "/log", {allow = {base .. "/log"}}) .. "\n"):gmatch "(.-)\n" do
      assert.is_truthy(line:find "^GET /[%w/]+%?[%w%-%._~%%&=]* HTTP/1.1$" or line:find "^GET /%a+ HTTP/1.1$", line)
    end
    agent.model:close()
  end)

  it("runs as a program", function()
    local program = os.getenv "MLLM_TEST_LUA" or "lua5.4"
    local out = io.popen(("%s agents/weather.lua --places %s/v1/search --forecast %s/v1/forecast %s </dev/null 2>&1")
      :format(program, base, base, "'what is the weather in Oslo'"))
    assert.matches("^> what is the weather in Oslo\n  .*\n  %d+ ms\n$", out:read "*a")
    out:close()
  end)

  it("holds an https server to its certificate", function()
    if not pcall(require, "ssl") then return pending "LuaSec is not installed" end
    local stem = os.tmpname()
    local function certificate(name, host)
      local made = os.execute(("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=%s -addext subjectAltName=DNS:%s "
        .. "-keyout %s.%s.key -out %s.%s.crt 2>/dev/null"):format(host, host, stem, name, stem, name))
      return made == true or made == 0
    end
    if not certificate("good", "localhost") or not certificate("other", "example.org") then return pending "openssl is not installed" end
    local function served(name, use)
      local server = assert(io.popen(("%s tests/server.lua %s.%s.crt %s.%s.key"):format(os.getenv "MLLM_TEST_LUA" or "lua5.4", stem, name,
        stem, name)))
      local url = "https://localhost:" .. assert(server:read "*l", "no server")
      use(url)
      os.execute(("printf 'GET /quit HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet -connect %s >/dev/null 2>&1"):format(url:sub(9)))
      server:close()
    end
    served("good", function(url)
      local function ask(authority)
        return fetch.get(url .. "/text", {allow = {url .. "/text"}, authorities = authority})
      end
      assert.equal("hello", ask(stem .. ".good.crt"))
      local body, message, code = ask(stem .. ".other.crt") -- an authority that does not know it
      assert.is_nil(body)
      assert.matches("no secure connection to localhost: certificate verify failed", message)
      assert.equal("io", code)
      assert.is_nil((ask())) -- nor do those of the system
      local _, missing, why = ask "no/such/file"
      assert.matches("certificate authorities", missing)
      assert.equal("unsupported", why)
      local agent = assert(weather.new{places = url .. "/v1/search", forecast = url .. "/v1/forecast", authorities = stem .. ".good.crt",
        chat = said{OSLO}, now = function() return NOW end})
      assert.equal("Oslo, Norway, now: partly cloudy, 3 degrees, wind 15 km/h", agent:say("weather in Oslo").calls[1].value)
    end)
    served("other", function(url) -- known, but another host's
      local body, message = fetch.get(url .. "/text", {allow = {url .. "/text"}, authorities = stem .. ".other.crt"})
      assert.is_nil(body)
      assert.matches("the certificate is not one of localhost", message)
    end)
    os.execute("rm -f " .. stem .. "*")
  end)
end)
