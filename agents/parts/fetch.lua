-- HTTP for agents: get(url, options) -> body, or nil, message, code ("unsupported", "refused", "limit", "io", "format").
--   allow    list of addresses "http://host:port/path": scheme, host, port and path must be those of one of them, redirects too
--   query    a table of names and values, which are written so that they cannot be anything but values
--   seconds  for the whole of it (10), but for the look-up of the name, which LuaSocket cannot interrupt; bytes: most of a body (1 MiB)
-- Needs LuaSocket (Debian: lua-socket), and LuaSec (lua-sec) for https.
local fetch = {}

local ports = {http = "80", https = "443"}

-- "http://Host/a?b" -> {scheme, host, port, path, query}; nil, message for what is no address or could be read in two ways
function fetch.parse(url)
  if url:find "[%z\1-\32\127-\255\\]" then return nil, "a character that no address has" end
  local scheme, authority, rest = url:match "^(%a+)://([^/?#]+)(.*)$"
  scheme = scheme and scheme:lower()
  if not ports[scheme] then return nil, "no http or https address" end
  if authority:find "@" then return nil, "a user in an address" end
  local host, port = authority:match "^([%w%.%-]+):?(%d*)$"
  if not host then return nil, "no host" end
  local path, query = rest:match "^([^?#]*)%??([^#]*)$"
  if not path then return nil, "a fragment in an address" end
  if (path .. "/"):find "/%.%.?/" or path:find "%%" then return nil, "a path that could mean another" end
  if port == "" then port = ports[scheme] end
  return {scheme = scheme, host = host:lower(), port = port, path = path == "" and "/" or path, query = query}
end

-- Whether the address is one of those that are allowed; the second result says why not.
function fetch.allowed(url, allow)
  local one, message = fetch.parse(url)
  if not one then return false, message end
  for _, other in ipairs(allow) do
    local a = assert(fetch.parse(other))
    if a.scheme == one.scheme and a.host == one.host and a.port == one.port and a.path == one.path then return true end
  end
  return false, ("%s://%s:%s%s is none of the addresses that are allowed"):format(one.scheme, one.host, one.port, one.path)
end

local function encode(text)
  return (tostring(text):gsub("[^%w%-%._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- A connection whose every wait ends at the deadline.
local function bounded(socket, deadline)
  local tcp = assert(socket.tcp())
  local object = {}
  for _, name in ipairs{"connect", "send", "receive"} do
    object[name] = function(_, ...)
      local left = deadline - socket.gettime()
      if left <= 0 then return nil, "timeout" end
      tcp:settimeout(left, "t")
      return tcp[name](tcp, ...)
    end
  end
  function object.settimeout() return 1 end
  function object.close() return tcp:close() end
  return object
end

function fetch.get(url, options)
  local ok, http = pcall(require, "socket.http")
  if not ok then return nil, "this needs LuaSocket (apt install lua-socket, or luarocks install luasocket)", "unsupported" end
  local socket, absolute = require "socket", require "socket.url".absolute
  local names, parts = {}, {}
  for name in pairs(options.query or {}) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = encode(name) .. "=" .. encode(options.query[name]) end
  if #parts > 0 then url = url .. "?" .. table.concat(parts, "&") end
  local deadline, most = socket.gettime() + (options.seconds or 10), options.bytes or 2 ^ 20
  for _ = 1, 4 do
    local may, why = fetch.allowed(url, options.allow)
    if not may then return nil, "not fetched: " .. why, "refused" end
    local chunks, size = {}, 0
    local request = {url = url, redirect = false, headers = {accept = "application/json", connection = "close"},
      sink = function(chunk)
        size = size + #(chunk or "")
        if size > most then return nil, "too much" end
        chunks[#chunks + 1] = chunk
        return 1
      end}
    local maker = http
    if url:find "^[hH][tT][tT][pP][sS]" then
      ok, maker = pcall(require, "ssl.https")
      if not ok then return nil, "https needs LuaSec (apt install lua-sec, or luarocks install luasec)", "unsupported" end
      maker.TIMEOUT = options.seconds or 10
    else
      request.create = function() return bounded(socket, deadline) end
    end
    local done, status, headers = maker.request(request)
    if size > most then return nil, ("the answer has more than %d bytes"):format(most), "limit" end
    if not done and status == "timeout" then return nil, "no answer in time", "limit" end
    if not done then return nil, tostring(status), "io" end
    local place = type(headers) == "table" and headers.location
    if type(status) == "number" and status >= 300 and status < 400 and place then
      url = absolute(url, place)
    elseif status ~= 200 then
      return nil, ("the server said %s"):format(tostring(status)), "io"
    else
      return table.concat(chunks)
    end
  end
  return nil, "more than three redirects", "io"
end

return fetch
