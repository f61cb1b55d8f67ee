-- Suites of schemas with instances, read without losing the order of keys or the spelling of numbers: values stay text.
--
--   .jsonl, .jsonl.gz   a row a line: {"id", "source", "schema", "valid": [...], "invalid": [...]}
--   .json               the layout of JSON-Schema-Test-Suite: [{"description", "schema", "tests": [{"data", "valid", "description"}]}]
--   a folder            all of these in it; the folder's name says the draft (draft7, draft2020-12)
local json = require "mobilellm.core".json

local rows = {}

local function fail(format, ...) error({failure = format:format(...)}, 0) end

-- ------------------------------------------------------------ JSON as text

-- The end of the value that starts at `i` of a text that is known to be JSON.
local function value_end(text, i)
  local c = text:sub(i, i)
  if c == '"' then
    while true do
      i = text:find('[\\"]', i + 1)
      if text:sub(i, i) == '"' then return i end
      i = i + 1
    end
  elseif c ~= "{" and c ~= "[" then
    return (text:find("[%s,%]}]", i) or #text + 1) - 1
  end
  local depth = 0
  while true do
    c = text:sub(i, i)
    if c == '"' then
      i = value_end(text, i)
    elseif c == "{" or c == "[" then
      depth = depth + 1
    else
      depth = depth - 1
      if depth == 0 then return i end
    end
    i = text:find('["{}%[%]]', i + 1)
  end
end

-- Calls found(key or position, value as text) for each member of an object or element of an array.
local function each(text, found)
  local i, n = text:find("[%[{]"), 0
  if not i then return end
  local object = text:sub(i, i) == "{"
  i = text:find("[^%s]", i + 1)
  while text:sub(i, i) ~= "}" and text:sub(i, i) ~= "]" do
    local key
    n = n + 1
    if object then
      local last = value_end(text, i)
      key = json.decode(text:sub(i, last))
      i = text:find("[^%s:]", last + 1)
    end
    local last = value_end(text, i)
    found(key or n, text:sub(i, last))
    i = text:find("[^%s,]", last + 1)
  end
end
rows.each = each

-- The members of an object as a table of texts.
local function members(text)
  local t = {}
  each(text, function(key, value) t[key] = value end)
  return t
end

-- A value on one line, with one space after ',' and ':' or with none, its strings with the escapes that they need and no others.
function rows.spelled(text, spaced)
  local out, i, gap = {}, 1, spaced and " " or ""
  while i <= #text do
    local c = text:sub(i, i)
    if c == '"' then
      local last = value_end(text, i)
      local s = text:sub(i, last)
      if s:find("\\", 1, true) then s = json.encode((json.decode(s))) end
      out[#out + 1] = s
      i = last + 1
    elseif c == "," or c == ":" then
      out[#out + 1] = c .. gap
      i = i + 1
    elseif c:find "%s" then
      i = text:find("[^%s]", i) or #text + 1
    else
      local last = (text:find('[%s,:"]', i) or #text + 1) - 1
      out[#out + 1] = text:sub(i, last)
      i = last + 1
    end
  end
  return table.concat(out)
end

-- ------------------------------------------------------------------- files

local function draft_of(name)
  local draft = name:match "draft[-_]?(%d+)"
  draft = tonumber(draft)
  if draft == 3 then return nil, true end
  return draft
end

local function line_row(text, name, number, tools)
  local value, message = json.decode(text, {ordered = tools})
  if type(value) ~= "table" then fail("%s, line %d: %s", name, number, message or "an object expected") end
  local m = members(text)
  if not m.schema then
    if not tools or type(value.tools) ~= "table" then return nil end
    return {id = type(value.id) == "string" and value.id or ("%s:%d"):format(name, number), tools = value.tools}
  end
  local row = {id = type(value.id) == "string" and value.id or ("%s:%d"):format(name, number), schema = m.schema,
    source = type(value.source) == "string" and value.source or name, valid = {}, invalid = {}}
  row.draft = draft_of(row.id)
  row.suite = row.draft ~= nil
  each(m.valid or "[]", function(_, v) table.insert(row.valid, v) end)
  each(m.invalid or "[]", function(_, v) table.insert(row.invalid, v) end)
  return row
end

local function suite_rows(text, name, add)
  local value, message = json.decode(text)
  if message then fail("%s: %s", name, message) end
  if type(value) ~= "table" or type(value[1]) ~= "table" or value[1].tests == nil then return end
  local draft, unknown = draft_of(name)
  if unknown then return end
  each(text, function(n, group)
    local m = members(group)
    if not m.schema or not m.tests then return end
    local row = {id = ("%s/%d"):format(name, n - 1), source = name, schema = m.schema, valid = {}, invalid = {}, draft = draft,
      suite = true}
    each(m.tests, function(_, test)
      local t = members(test)
      if t.data then table.insert(t.valid == "true" and row.valid or row.invalid, t.data) end
    end)
    add(row)
  end)
end

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function read_file(path, name, add, tools)
  if path:match "%.jsonl$" or path:match "%.jsonl%.gz$" then
    local f = path:match "%.gz$" and io.popen("gzip -dc " .. quote(path), "r") or io.open(path, "rb")
    if not f then fail("cannot read %s", path) end
    local number = 0
    for line in f:lines() do
      number = number + 1
      local row = line:find "%S" and line_row(line, name, number, tools)
      if row then add(row) end
    end
    f:close()
    if number == 0 then fail("%s: nothing in it", path) end
  else
    local f, message = io.open(path, "rb")
    if not f then fail("%s", message) end
    local text = f:read "*a"
    f:close()
    suite_rows(text, name, add)
  end
end

-- Calls add(row) for each row of a file or folder: {id, source, schema = text, valid = {text ...}, invalid = {...}, draft = number or
-- nil, suite = true where formats are annotations}. With `tools` also for lines of {"tools": [{name, parameters}, ...]}: {id, tools}.
-- Raises {failure} for what cannot be read.
function rows.read(path, add, tools)
  path = path:gsub("(.)/+$", "%1")
  local list = {}
  if path:match "%.jsonl?$" or path:match "%.jsonl%.gz$" then
    list[1] = path
  else
    local names = "-name '*.json' -o -name '*.jsonl' -o -name '*.jsonl.gz'"
    local pipe = io.popen("find " .. quote(path) .. " -type f '(' " .. names .. " ')' 2>/dev/null")
    for file in pipe:lines() do list[#list + 1] = file end
    pipe:close()
    table.sort(list)
  end
  local count = 0
  for _, file in ipairs(list) do
    local name = file ~= path and file:sub(#path + 2) or file:match "[^/]*$"
    if not file:match "/remotes/" then
      if not name:match "draft" and path:match "draft" then name = path:match "[^/]*$" .. "/" .. name end
      read_file(file, (name:gsub("%.jsonl?$", "")), function(row)
        count = count + 1
        add(row)
      end, tools)
    end
  end
  if count == 0 then fail("%s: no suite of schemas in it", path) end
end

return rows
