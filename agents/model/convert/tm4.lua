-- Taskmaster-4 (Byrne and Saravanan 2024), github.com/google-research-datasets/Taskmaster, CC-BY-4.0; changed: annotations became calls and
-- results, the tools got declarations. A checkout; read are TM-4-2024/data/*.json: lists of {conversation_id, utterances {speaker, text,
-- annotations {name, value}}}, where "api_call" (a name), "request" (its arguments as JSON) and "response" (the result) follow each other.
--
-- Each call makes a row: what was said, called and answered before it, the last fourteen messages of it. Calls with other arguments than
-- the declarations below have are passed over. One conversation of twenty is
-- kept for evaluation, told by its id.
local json = require "mobilellm".json
local new_random = require "mobilellm.random"
local common = require "common"
local wording = require "wording"

local MESSAGES = 14

local function text(description) return {type = "string", description = description} end

local attributes = {type = "array", description = "Modifications of the item", items = {type = "object",
  properties = {attribute_id = {type = "string"}, option = {type = "string"}}}}
local declared = {
  show_menu = {"Show the menu to the customer", {}, {}},
  get_menu_items = {"Search the menu for items", {query = text "Search words"}, {"query"}},
  get_addons = {"Search the modifications available for a menu item",
    {query = text "Search words", menu_item_id = text "Id of the menu item"}, {"menu_item_id"}},
  get_order_details = {"Show the current order", {order_id = text "Id of the order"}, {"order_id"}},
  finish_order = {"Send the order off to be made", {order_id = text "Id of the order"}, {"order_id"}},
  add_order_item = {"Add a menu item to the order",
    {menu_item_id = text "Id of the menu item", quantity = text "How many", attributes = attributes}, {"menu_item_id", "quantity"}},
  update_order = {"Change attributes of the whole order", {order_id = text "Id of the order", attributes = attributes}, {"order_id"}},
  update_order_item = {"Change an item of the order",
    {order_item_id = text "Id of the order item", quantity = text "How many", attributes = attributes}, {"order_item_id"}},
}

local tools = {}
for name, about in pairs(declared) do
  tools[name] = {name = name, description = about[1],
    parameters = {type = "object", properties = about[2], required = json.array(about[3])}}
end
local names = wording.names(tools)

-- The tool, and two, four or all of the others.
local function offer(random, own)
  local others, list = {}, {tools[own]}
  for _, name in ipairs(names) do
    if name ~= own then others[#others + 1] = name end
  end
  random.shuffle(others)
  for i = 1, random.pick{2, 4, #others} do list[#list + 1] = tools[others[i]] end
  return random.shuffle(list)
end

-- JSON without the space between its parts; the order of members stays.
local function compact(json_text)
  local parts, at = {}, 1
  while true do
    local quote = json_text:find('"', at, true)
    parts[#parts + 1] = json_text:sub(at, (quote or 0) - 1):gsub("%s+", "")
    if not quote then return table.concat(parts) end
    local stop = quote
    repeat stop = json_text:find('["\\]', stop + 1) or #json_text
      local escape = json_text:sub(stop, stop) == "\\"
      if escape then stop = stop + 1 end
    until not escape or stop >= #json_text
    parts[#parts + 1] = json_text:sub(quote, stop)
    at = stop + 1
  end
end

-- Numbers as the texts that the declarations want; nil when there is an argument that the tool does not declare.
local function typed(tool, arguments)
  for key, value in pairs(arguments) do
    local schema = tool.parameters.properties[key]
    if not schema then return nil end
    if type(value) == "number" and schema.type == "string" then arguments[key] = ("%.14g"):format(value) end
  end
  return arguments
end

local function conversation(item, random, emit)
  local messages, count = {}, 0
  for _, utterance in ipairs(item.utterances) do
    if utterance.text ~= "" then
      messages[#messages + 1] = {role = utterance.speaker, content = utterance.text:match "^%s*(.-)%s*$"}
    end
    local name, arguments
    for _, note in ipairs(utterance.annotations) do
      if note.name == "api_call" then name, arguments = note.value, {}
      elseif note.name == "request" then arguments = json.decode(note.value)
      elseif note.name == "response" and tools[name] then
        arguments = type(arguments) == "table" and typed(tools[name], arguments) or nil
        if arguments then
          local recent = {}
          for i = math.max(1, #messages - MESSAGES + 1), #messages do recent[#recent + 1] = messages[i] end
          emit{id = ("tm4-%s-%d"):format(item.conversation_id, count), source = "Taskmaster-4", license = "CC-BY-4.0", service = "coffee",
            kind = "step", tools = offer(random, name), messages = recent, calls = {{name = name, arguments = arguments}}}
          messages[#messages + 1] = {role = "assistant", content = "", tool_calls = {{name = name, arguments = arguments}}}
          messages[#messages + 1] = {role = "tool", content = compact(note.value)}
          count = count + 1
        end
        name = nil
      end
    end
  end
end

return function(folder, options, emit)
  local paths = common.find(folder, "*/TM-4-2024/data/*.json")
  if #paths == 0 then error(folder .. ": no TM-4-2024/data/*.json in it", 0) end
  local random = new_random(options.seed)
  for _, path in ipairs(paths) do
    for _, item in ipairs(common.json(path)) do
      local sum = 0
      for i = 1, #item.conversation_id do sum = (sum * 31 + item.conversation_id:byte(i)) % 1000003 end
      if (sum % 20 == 0) == (options.part == "eval") then conversation(item, random, emit) end
    end
  end
end
