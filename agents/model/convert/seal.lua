-- Seal-Tools (Wu et al. 2024), github.com/fairyshine/Seal-Tools, Apache-2.0. A checkout; read are dev.json (train) or test_in_domain.json
-- (eval) of Seal-Tools_Dataset/dataset_for_finetune: a list of {id, conversations}, of which the first has "api_list = [...]", values as
-- Python writes them {api_name, api_description, parameters {name: {type, description}}, required}, and "task_instruction = "...""; the
-- second has the calls [{api, parameters, responses}].
--
-- Left out: calls that take what another call returned ("API_call_0"), and values not of their parameter's type.
local json = require "mobilellm".json
local common = require "common"
local python = require "python"

local types = {str = "string", int = "integer", float = "number", bool = "boolean"}

local function tool_of(api)
  local properties = {}
  for name, parameter in pairs(api.parameters) do
    properties[name] = {type = types[parameter.type] or "string", description = parameter.description}
  end
  return {name = api.api_name, description = api.api_description,
    parameters = {type = "object", properties = properties, required = json.array(api.required or {})}}
end

-- A value in the type that the tool declares: numbers and booleans are sometimes written as strings. nil: it is none.
local function typed(schema, value)
  if schema.type == "string" then return type(value) == "string" and not value:find "API_call_%d" and value or nil end
  if schema.type == "boolean" then
    if value == "True" or value == "true" then return true end
    if value == "False" or value == "false" then return false end
    if type(value) == "boolean" then return value end
    return nil
  end
  local number = tonumber(value)
  if number and schema.type == "integer" then return number % 1 == 0 and math.floor(number) or nil end
  return number
end

local function row_of(item)
  local asked, answered = item.conversations[1].value, item.conversations[2].value
  local from, to = asked:find("api_list = ", 1, true), asked:find("\ntask_instruction = ", 1, true)
  if not from or not to then return nil end
  local tools, by_name = {}, {}
  for i, api in ipairs((python(asked:sub(from + 11, to)))) do
    tools[i] = tool_of(api)
    by_name[api.api_name] = tools[i]
  end
  local said = asked:match('^"(.*)"\nOutput:', to + 20)
  if not said then return nil end
  local calls = json.array{}
  for i, call in ipairs((python(answered))) do
    local tool, arguments = by_name[call.api], {}
    for name, value in pairs(call.parameters) do
      local schema = tool and tool.parameters.properties[name]
      if not schema then return nil end
      arguments[name] = typed(schema, value)
      if arguments[name] == nil then return nil end
    end
    calls[i] = {name = call.api, arguments = arguments}
  end
  return {id = "seal-" .. item.id, source = "Seal-Tools", license = "Apache-2.0", tools = tools, calls = calls, service = "seal",
    messages = {{role = "user", content = said:match "^%s*(.-)%s*$"}}, kind = #calls > 1 and "parallel" or "call"}
end

return function(folder, options, emit)
  local name = options.part == "eval" and "test_in_domain" or "dev"
  local paths = common.find(folder, "*/dataset_for_finetune/" .. name .. ".json")
  if #paths == 0 then error(folder .. ": no dataset_for_finetune/" .. name .. ".json in it", 0) end
  for _, item in ipairs(common.json(paths[1])) do
    local row = row_of(item)
    if row then emit(row) end
  end
end
