-- What the words of a row alone tell: how far a model must get beyond them, and tools that make a row harder for being alike.
--
--   local overlap = require "mobilellm.eval.overlap"
--   overlap.of(row)                       -- share, 0 to 1, of being right by counting common words; nil for a row without calls
--   overlap.look_alikes(rows, 8, seed)    -- the rows again, with eight more tools each
local new_random = require "mobilellm.random"
local retrieve = require "mobilellm.retrieve"

local overlap = {}

-- Name, description and parameters' names of a tool as one text.
local function text_of(tool)
  local texts = {tool.name}
  if type(tool.description) == "string" then texts[2] = tool.description end
  local names = {}
  for name in pairs((tool.parameters or {}).properties or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do texts[#texts + 1] = name end
  return table.concat(texts, " ")
end

-- The tools with the most different words (stems) in common with what user and assistant said, as many as tools are wanted: are they the
-- right ones? Where tools with equally many words would be drawn by lot it is the probability of a lucky draw.
function overlap.of(row)
  local wanted, missing = {}, 0
  for _, call in ipairs(row.calls) do
    if not wanted[call.name] then wanted[call.name], missing = true, missing + 1 end
  end
  if missing == 0 then return nil end
  local said = {}
  for _, message in ipairs(row.messages) do
    if message.role ~= "system" and message.role ~= "tool" and type(message.content) == "string" then
      for _, word in ipairs(retrieve.words(message.content)) do said[word] = true end
    end
  end
  local counts, lowest = {}, math.huge -- lowest: the fewest common words of a wanted tool
  for i, tool in ipairs(row.tools) do
    local seen, count = {}, 0
    for _, word in ipairs(retrieve.words(text_of(tool))) do
      if said[word] and not seen[word] then seen[word], count = true, count + 1 end
    end
    counts[i] = count
    if wanted[tool.name] then lowest, missing = math.min(lowest, count), missing - 1 end
  end
  if missing > 0 then return 0 end
  local drawn, level = 0, 0 -- of the tools with the fewest words of a wanted one: those wanted, all
  for i, tool in ipairs(row.tools) do
    if counts[i] > lowest and not wanted[tool.name] then return 0 end
    if counts[i] == lowest then
      level = level + 1
      if wanted[tool.name] then drawn = drawn + 1 end
    end
  end
  local luck = 1 -- one way of all to draw `drawn` of `level`
  for i = 1, drawn do luck = luck * i / (level - drawn + i) end
  return luck
end

-- Each row with calls gets `count` more tools (fewer where there are not as many) from other rows, those whose words are most like the
-- words of a tool that is to be called, by turns where several are (mobilellm/retrieve.lua; the seed decides among equals). A tool of
-- a name that the row has stays away; all tools of the row come in a new order. Rows without calls stay as they are: what they ask for
-- could be among the tools of others. The given rows are not changed.
function overlap.look_alikes(rows, count, seed)
  local random = new_random(seed or 1)
  local all, seen = {}, {}
  for _, row in ipairs(rows) do
    for _, tool in ipairs(row.tools) do
      if not seen[tool.name] then
        seen[tool.name] = true
        all[#all + 1] = tool
      end
    end
  end
  local index, rankings, out = retrieve.index(random.shuffle(all)), {}, {}
  for i, row in ipairs(rows) do
    local new, names, queues = {}, {}, {}
    for key, value in pairs(row) do new[key] = value end
    new.tools = {}
    for k, tool in ipairs(row.tools) do new.tools[k], names[tool.name] = tool, true end
    for _, call in ipairs(row.calls) do
      for _, tool in ipairs(row.tools) do
        if tool.name == call.name then
          local text = text_of(tool)
          rankings[text] = rankings[text] or index:rank(text)
          queues[#queues + 1] = {at = 1, list = rankings[text]}
        end
      end
    end
    local added, turn, empty = 0, 0, 0
    while added < count and empty < #queues do
      turn = turn % #queues + 1
      local queue = queues[turn]
      while queue.list[queue.at] and names[queue.list[queue.at].tool.name] do queue.at = queue.at + 1 end
      local found = queue.list[queue.at]
      if found then
        new.tools[#new.tools + 1], names[found.tool.name], added, empty = found.tool, true, added + 1, 0
      else
        empty = empty + 1
      end
    end
    if added > 0 then random.shuffle(new.tools) end
    out[i] = new
  end
  return out
end

return overlap
