-- Command line options: a list of {"--name", "VALUE" or nil, "help", kind = "integer"|"number"|"list"|nil, least = number, default = ...}.
local options = {}

-- Fails the way a wrong command line fails: caught by the command line's main.
function options.usage(format, ...) error({usage = format:format(...)}, 0) end

local function value_of(spec, text)
  if spec.kind == "integer" or spec.kind == "number" then
    local n = tonumber(text)
    if not n or n ~= n or spec.kind == "integer" and n % 1 ~= 0 then
      options.usage("%s: %s expected, got '%s'", spec[1], spec.kind, text)
    end
    if spec.least and n < spec.least then options.usage("%s: at least %d expected, got %s", spec[1], spec.least, text) end
    return spec.kind == "integer" and math.floor(n) or n
  end
  if spec.choices then
    for _, choice in ipairs(spec.choices) do
      if choice == text then return text end
    end
    options.usage("%s: one of %s expected, got '%s'", spec[1], table.concat(spec.choices, ", "), text)
  end
  return text
end

-- arguments[first..] -> table of values by name (dashes of the name become underscores), list of the others.
function options.parse(specs, arguments, first)
  local by_name, values, others = {}, {}, {}
  for _, spec in ipairs(specs) do
    by_name[spec[1]] = spec
    spec.key = spec[1]:gsub("^%-+", ""):gsub("%-", "_")
    if spec.default ~= nil then values[spec.key] = spec.default end
  end
  local i = first or 1
  while i <= #arguments do
    local word = arguments[i]
    if word == "--" then
      for k = i + 1, #arguments do others[#others + 1] = arguments[k] end
      break
    elseif word:sub(1, 2) == "--" or word:match "^%-%a$" then
      local name, inline = word:match "^(%-%-[^=]+)=(.*)$"
      local spec = by_name[name or word]
      if not spec then options.usage("unknown option %s", name or word) end
      if not spec[2] then
        if inline then options.usage("%s takes no value", spec[1]) end
        values[spec.key] = true
      else
        local text = inline
        if not text then
          i = i + 1
          text = arguments[i]
          if text == nil then options.usage("%s: %s is missing", spec[1], spec[2]) end
        end
        local value = value_of(spec, text)
        if spec.kind == "list" then
          values[spec.key] = values[spec.key] or {}
          table.insert(values[spec.key], value)
        else
          values[spec.key] = value
        end
      end
    else
      others[#others + 1] = word
    end
    i = i + 1
  end
  return values, others
end

-- The help text of a command.
function options.help(name, command)
  local lines = {"usage: mobilellm " .. name .. " " .. command.usage, "", command.about or command.summary, ""}
  local width, left = 0, {}
  for i, spec in ipairs(command.options) do
    left[i] = spec[1] .. (spec[2] and " " .. spec[2] or "")
    width = math.max(width, #left[i])
  end
  for i, spec in ipairs(command.options) do
    local default = spec.default ~= nil and spec[2] and (" (%s)"):format(tostring(spec.default)) or ""
    lines[#lines + 1] = ("  %-" .. width .. "s  %s%s"):format(left[i], spec[3], default)
  end
  lines[#lines + 1] = ("  %-" .. width .. "s  %s"):format("--help", "this text")
  return table.concat(lines, "\n") .. "\n"
end

return options
