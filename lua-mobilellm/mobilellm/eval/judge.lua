-- Calls that were made, against those that a row wants.
--
--   judge.same(a, b)         whether two values are one: types count, 5 is 5.0, white space in strings does not
--   judge.calls(row, said)   -> {intent =, structure =, right =, given =, wanted =}
--   judge.allowed(row)       whether the wanted calls name tools that the row has, with arguments that these declare
local judge = {}

local function trimmed(text)
  return (text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

local function same(a, b)
  if type(a) ~= type(b) then return false end
  if type(a) == "string" then return trimmed(a) == trimmed(b) end
  if type(a) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end
judge.same = same

local among

-- An object whose members have lists of accepted values, as BFCL writes them.
local function same_by_lists(value, lists)
  if type(value) ~= "table" or type(lists) ~= "table" then return false end
  if #lists > 0 then
    if #value ~= #lists then return false end
    for i, item in ipairs(lists) do
      if not same(value[i], item) and not same_by_lists(value[i], item) then return false end
    end
    return true
  end
  if next(lists) == nil then return next(value) == nil end
  for key, list in pairs(lists) do
    if type(list) ~= "table" then return false end
    if value[key] == nil then
      if not among("", list) then return false end
    elseif not among(value[key], list) then
      return false
    end
  end
  for key in pairs(value) do
    if lists[key] == nil then return false end
  end
  return true
end

function among(value, list)
  for _, item in ipairs(list) do
    if same(value, item) or same_by_lists(value, item) then return true end
  end
  return false
end

-- For one call of a row: argument name -> list of accepted values; `optional` names those that may be left out.
local function accepted(row, index)
  local call = row.calls[index]
  local values, optional = {}, {}
  for name, value in pairs(call.arguments) do values[name] = {value} end
  local spoken = #row.calls == 1 and row.surface or nil
  if type(spoken) == "table" then
    if type(spoken.arguments) == "table" then spoken = spoken.arguments end
    for name, value in pairs(spoken) do -- a number or a boolean stays one, however it was said
      if values[name] and type(values[name][1]) == type(value) then table.insert(values[name], value) end
    end
  end
  local other = type(row.alternatives) == "table" and row.alternatives[index]
  other = type(other) == "table" and other[call.name]
  if type(other) == "table" then
    for name, list in pairs(other) do
      if type(list) == "table" then
        values[name] = values[name] or {}
        for _, value in ipairs(list) do
          if value == "" then optional[name] = true end
          table.insert(values[name], value)
        end
      end
    end
  end
  return values, optional
end

-- Right arguments of `said` against call `index` of the row; how many were said, how many wanted, and whether all is
-- right.
local function compare(row, index, said)
  local values, optional = accepted(row, index)
  local right, given, wanted, exact = 0, 0, 0, true
  for name, value in pairs(said.arguments) do
    given = given + 1
    if values[name] and among(value, values[name]) then right = right + 1 else exact = false end
  end
  for name in pairs(values) do
    if said.arguments[name] ~= nil or not optional[name] then wanted = wanted + 1 end
    if said.arguments[name] == nil and not optional[name] then exact = false end
  end
  return right, given, wanted, exact
end

local function count_arguments(arguments)
  local n = 0
  for _ in pairs(arguments) do n = n + 1 end
  return n
end

-- Judges the calls that were made for a row: {intent =, structure =, right =, given =, wanted =} (the last three count
-- arguments).
function judge.calls(row, said)
  local result = {intent = #said == #row.calls, structure = #said == #row.calls, right = 0, given = 0, wanted = 0}
  local free = {}
  for i = 1, #said do free[i] = true end
  for index, call in ipairs(row.calls) do
    -- the best of the calls to the same tool that are still free
    local best, at
    for i, made in ipairs(said) do
      if free[i] and made.name == call.name then
        local right, given, wanted, exact = compare(row, index, made)
        if not best or exact or right > best.right then
          best, at = {right = right, given = given, wanted = wanted, exact = exact}, i
          if exact then break end
        end
      end
    end
    if best then
      free[at] = nil
      result.right, result.given = result.right + best.right, result.given + best.given
      result.wanted = result.wanted + best.wanted
      if not best.exact then result.structure = false end
    else
      result.intent, result.structure = false, false
      result.wanted = result.wanted + count_arguments(call.arguments)
    end
  end
  for i, made in ipairs(said) do
    if free[i] then result.given = result.given + count_arguments(made.arguments) end
  end
  return result
end

-- Whether the wanted calls of a row name tools that the row has, with arguments that these declare.
function judge.allowed(row)
  for _, call in ipairs(row.calls) do
    local found = false
    for _, tool in ipairs(row.tools) do
      if tool.name == call.name then
        found = true
        local properties = (tool.parameters or {}).properties or {}
        for name in pairs(call.arguments) do found = found and properties[name] ~= nil end
      end
    end
    if not found then return false end
  end
  return true
end

return judge
