-- HTTP for agents: get(url, options) -> body, or nil, message, code ("unsupported", "refused", "limit", "io", "format").
--   allow    list of addresses "http://host:port/path": scheme, host, port and path must be those of one of them, redirects too
--   query    a table of names and values, which are written so that they cannot be anything but values
--   seconds  for the whole of it (10), but for the look-up of the name, which LuaSocket cannot interrupt; bytes: most of a body (1 MiB)
--   authorities  file of certificates that https servers are held to (the system's; SSL_CERT_FILE in the environment)
-- Needs LuaSocket (Debian: lua-socket), and LuaSec (lua-sec) for https. LuaSec's own ssl.https takes any certificate: here the server must
-- show one of a known authority, for the very host.
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

-- Whether a certificate names the host: "*" stands for the first label.
local function names_host(certificate, host)
  local names = (certificate:extensions() or {})["2.5.29.17"] or {} -- subjectAltName
  for _, kind in ipairs{"dNSName", "iPAddress"} do
    for _, name in ipairs(names[kind] or {}) do
      name = name:lower()
      if name == host or kind == "dNSName" and name:sub(1, 2) == "*." and host:match "^[^.]+(%..+)$" == name:sub(2) then return true end
    end
  end
  return false
end

local bundles = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

local function authorities(given)
  given = given or os.getenv "SSL_CERT_FILE"
  for _, path in ipairs(given and {given} or bundles) do
    local file = io.open(path, "rb")
    if file then
      file:close()
      return path
    end
  end
end

-- A connection whose every wait ends at the deadline. `secure`: {ssl, host, authorities} for https.
local function bounded(socket, deadline, secure)
  local tcp = assert(socket.tcp())
  local object = {}
  local function left()
    local seconds = deadline - socket.gettime()
    if seconds <= 0 then return nil end
    tcp:settimeout(seconds, "t")
    return true
  end
  for _, name in ipairs{"connect", "send", "receive"} do
    object[name] = function(_, ...)
      if not left() then return nil, "timeout" end
      return tcp[name](tcp, ...)
    end
  end
  function object.connect(_, host, port)
    if not left() then return nil, "timeout" end
    local ok, message = tcp:connect(host, port)
    if not ok or not secure then return ok, message end
    local wrapped
    wrapped, message = secure.ssl.wrap(tcp, {mode = "client", protocol = "any", options = {"all", "no_sslv2", "no_sslv3", "no_tlsv1",
      "no_tlsv1_1"}, verify = "peer", cafile = secure.authorities})
    if not wrapped then return nil, message end
    tcp = wrapped
    if not left() then return nil, "timeout" end
    tcp:sni(secure.host)
    ok, message = tcp:dohandshake()
    if not ok then
      if message == "wantread" or message == "wantwrite" then message = "timeout" end
      return nil, message == "timeout" and message or "no secure connection to " .. secure.host .. ": " .. tostring(message)
    end
    if not names_host(tcp:getpeercertificate(), secure.host) then
      return nil, "no secure connection: the certificate is not one of " .. secure.host
    end
    return 1
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
    local secure
    if url:find "^[hH][tT][tT][pP][sS]" then
      local found, ssl = pcall(require, "ssl")
      if not found then return nil, "https needs LuaSec (apt install lua-sec, or luarocks install luasec)", "unsupported" end
      local list = authorities(options.authorities)
      if not list then return nil, "https needs a file of certificate authorities (apt install ca-certificates)", "unsupported" end
      local address = fetch.parse(url)
      secure = {ssl = ssl, host = address.host, authorities = list}
      request.port = address.port
    end
    request.create = function() return bounded(socket, deadline, secure) end
    local done, status, headers = http.request(request)
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
