-- STAR (Mosig et al. 2020), github.com/RasaHQ/STAR, MIT; changed: what the assistant looked up became calls. A checkout; read are
-- apis/apis/TASK.json, {input = {{Name, Type, ReadableName, Categories}}, required}, and dialogues/*.json, whose Events are what the user
-- and the wizard did: {Agent, Action, Text}, or Action "query" with APIName and Constraints {{name: value}}.
--
-- Of the queries before something is said to the user the last one makes a row; one turn without any of a dialogue makes a row without
-- call. Conditions other than "equal" have no place in a call: such queries are left out. Of a conversation the last twelve messages stay.
-- Three tasks are kept for evaluation; party_*, spaceship_* and trip_directions are not read at all, so that something is left to judge by.
local json = require "mobilellm".json
local new_random = require "mobilellm.random"
local common = require "common"
local wording = require "wording"

local MESSAGES = 12

local descriptions = {
  apartment_schedule = "Check or book an apartment viewing", apartment_search = "Search for an apartment",
  bank_balance = "Check the balance of the user's bank account", bank_fraud_report = "Report fraud on a bank account",
  doctor_followup = "Get the doctor's follow-up instructions for a patient", doctor_schedule = "Check or book a doctor's appointment",
  hotel_book = "Check availability of or book a hotel room", hotel_search = "Search for a hotel",
  hotel_service_request = "Request room service from a hotel", meeting_schedule = "Schedule a meeting with a colleague",
  movie_search = "Search for a movie", plane_book = "Check or book a flight by its id", plane_search = "Search for a flight",
  restaurant_book = "Check availability of or book a restaurant table", restaurant_search = "Search for a restaurant",
  ride_book = "Check price of or book a ride", ride_change = "Change or cancel a booked ride",
  ride_status = "Check the status of a booked ride", trivia = "Get a trivia question by its number",
  weather = "Get the weather forecast of a city",
}
local evaluated = {doctor_followup = true, doctor_schedule = true, meeting_schedule = true}

local function trimmed(text) return (text:match "^%s*(.-)%s*$") end

local function tools_of(folder)
  local tools = {}
  for _, path in ipairs(common.find(folder, "*/apis/apis/*.json")) do
    local name, api = path:match "([^/]+)%.json$", common.json(path)
    if descriptions[name] then
      local properties = {}
      for _, input in ipairs(api.input) do
        local schema = {type = "string", description = input.ReadableName or input.Name}
        if input.Type == "Integer" then schema.type = "integer"
        elseif input.Type == "Boolean" then schema.type = "boolean"
        elseif input.Type == "RequestType" then schema.enum = {"Check", "Book"}
        elseif input.Categories and input.Type == "Categorical" then schema.enum = input.Categories end
        properties[input.Name] = schema
      end
      tools[name] = {name = name, description = descriptions[name],
        parameters = {type = "object", properties = properties, required = json.array(api.required or {})}}
    end
  end
  return tools
end

-- The arguments of a query; nil when a condition is not "equal", or a value not of its type.
local function arguments_of(tool, constraints)
  local arguments = {}
  for _, constraint in ipairs(constraints) do
    for name, text in pairs(constraint) do
      local schema, value = tool.parameters.properties[name], nil
      if not schema then return nil end
      text = tostring(text):match "^api%.is_equal_to%((.*)%)$" or tostring(text)
      if schema.type == "integer" then value = tonumber(text) or tonumber(text:match '^"(%d+)"$')
      elseif schema.type == "boolean" then
        if text:lower() == "true" or text:lower() == "false" then value = text:lower() == "true" end
      else
        value = json.decode(text)
        value = type(value) == "string" and trimmed(value) or text:match "^%d+$"
      end
      if value == nil then return nil end
      arguments[name] = value
    end
  end
  return arguments
end

local function dialogue(item, tools, options, random, emit)
  local messages, without, query, spoken, rows = {}, {}, nil, false, 0
  local own, trained = {}, true
  for _, capability in ipairs(item.Scenario.WizardCapabilities or {}) do
    own[#own + 1] = tools[capability.Task]
    trained = trained and tools[capability.Task] ~= nil and not evaluated[capability.Task]
  end
  local names = wording.names(tools)
  local function row(id, kind, service, calls, response)
    local recent, offered, seen = {}, {}, {}
    for i = math.max(1, #messages - MESSAGES + 1), #messages do recent[#recent + 1] = messages[i] end
    for _, tool in ipairs(own) do
      if not seen[tool.name] then offered[#offered + 1], seen[tool.name] = tool, true end
    end
    if service and not seen[service] then offered[#offered + 1], seen[service] = tools[service], true end
    for _ = 1, random.integer(0, 3) do
      local name = names[random.integer(1, #names)]
      local other = evaluated[name] == (options.part == "eval" or nil) -- the evaluation's tools are not shown in training
      if not seen[name] and (other or options.part == "eval") then offered[#offered + 1], seen[name] = tools[name], true end
    end
    return {id = ("star-%s-%s"):format(item.DialogueID, id), source = "STAR", license = "MIT", tools = random.shuffle(offered), kind = kind,
      messages = recent, calls = json.array(calls), response = response, service = service or own[1] and own[1].name}
  end
  for _, event in ipairs(item.Events) do
    if event.Action == "query" then query = event
    elseif event.Agent == "User" and event.Action == "utter" then
      messages[#messages + 1] = {role = "user", content = trimmed(event.Text)}
      spoken = true
    elseif event.Agent == "Wizard" and (event.Action == "utter" or event.Action == "pick_suggestion") then
      local tool = query and tools[query.APIName]
      if tool and spoken and (evaluated[tool.name] or false) == (options.part == "eval") then
        local arguments = arguments_of(tool, query.Constraints)
        if arguments then emit(row(rows, "call", tool.name, {{name = tool.name, arguments = arguments}}, trimmed(event.Text))) end
        rows = rows + 1
      elseif not query and spoken and trained and options.part == "train" then
        without[#without + 1] = row("n" .. #messages, "no_call", nil, {}, trimmed(event.Text))
      end
      query = nil
      messages[#messages + 1] = {role = "assistant", content = trimmed(event.Text)}
    end
  end
  if #without > 0 then emit(without[random.integer(1, #without)]) end
end

return function(folder, options, emit)
  local tools, paths = tools_of(folder), common.find(folder, "*/dialogues/*.json")
  if not next(tools) or #paths == 0 then error(folder .. ": no apis/apis/*.json and dialogues/*.json in it", 0) end
  local random = new_random(options.seed)
  for _, path in ipairs(paths) do
    local item = common.json(path)
    if item.CompletionLevel == "Complete" then dialogue(item, tools, options, random, emit) end
  end
end
