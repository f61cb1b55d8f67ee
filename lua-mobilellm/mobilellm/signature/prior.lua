-- Words in common between what was said and a tool (mobilellm/retrieve.lua) as evidence beside the model's own: a small model has read few
-- words, and of tools that it has never seen counting common words is often right where it is not.
--
--   local prior = Prior.new(vocabulary, starts, texts, weight)
--     starts    list of {text (how a call of the tool begins: "name("), tool}
--     texts     what user and assistant have said, the last counting most
--     weight    a point of BM25 counts so many nats; 1 unless given
--               nil where there is nothing to weigh: a single tool, or no word in common with any
--   prior:add(logits, written)       written: ids of the call so far; nothing happens behind its beginning
--   Prior.said(messages, from) -> texts;  Prior.is_weight(x): a number from 0 on, not infinite
--   Prior.stage(model, tools, texts, weight) -> function(logits, tokens) for option `logits` of generate, for the first call of an answer
--
-- The tools are weighed by exp(weight * score); a token of a name gets the share that the tools with it have in the tools that what is
-- written so far leaves. So the product over a name is the model's probability times the tool's share, whatever tokens the names share.
local retrieve = require "mobilellm.retrieve"
local signature = require "mobilellm.signature"

local Prior = {}
Prior.__index = Prior

function Prior:add(logits, written)
  local sums, total = {}, 0
  for _, path in ipairs(self.paths) do
    local id, fits = path.ids[#written + 1], true
    for i = 1, #written do fits = fits and path.ids[i] == written[i] end
    if fits and id then sums[id], total = (sums[id] or 0) + path.mass, total + path.mass end
  end
  for id, mass in pairs(sums) do
    if mass < total then logits:add(id, math.log(mass / total)) end
  end
end

-- How calls of a tool may begin: a list of texts.
function Prior.starts(tool)
  local names, required = signature.parameters(tool)
  local list = {}
  if #names > 0 then list[1] = tool.name .. "(" end
  if next(required) == nil then list[#list + 1] = tool.name .. "()" end
  return list
end

-- What user and assistant say in messages, from number `from` on: a list of texts.
function Prior.said(messages, from)
  local list = {}
  for i = from or 1, #messages do
    local role, content = messages[i].role, messages[i].content
    if (role == "user" or role == "assistant") and type(content) == "string" and content ~= "" then list[#list + 1] = content end
  end
  return list
end

-- Whether a weight can be used.
function Prior.is_weight(weight) return type(weight) == "number" and weight >= 0 and weight < math.huge end

function Prior.new(vocabulary, starts, texts, weight)
  local tools, seen, scores = {}, {}, {}
  for _, start in ipairs(starts) do
    if not seen[start.tool] then seen[start.tool], tools[#tools + 1] = true, start.tool end
  end
  weight = weight or 1
  if #tools < 2 or weight == 0 then return nil end
  local best = 0
  for _, one in ipairs(retrieve.index(tools):rank(texts)) do
    scores[one.tool], best = one.score, math.max(best, one.score)
  end
  if best == 0 then return nil end
  local paths = {}
  for i, start in ipairs(starts) do
    paths[i] = {
      ids = vocabulary:tokenize(start.text, {bos = false, continuation = true}), mass = math.exp(weight * (scores[start.tool] - best)),
    }
  end
  return setmetatable({paths = paths}, Prior)
end

local LONGEST = 64 -- tokens of a name

function Prior.stage(model, tools, texts, weight)
  local starts = {}
  for _, tool in ipairs(tools) do
    for _, text in ipairs(Prior.starts(tool)) do starts[#starts + 1] = {text = text, tool = tool} end
  end
  local prior = Prior.new(model, starts, texts, weight)
  if not prior then return nil end
  local calls_id = model:tokenize("<|calls|>", {bos = false, special = true})[1]
  return function(logits, tokens)
    for at = #tokens, math.max(1, #tokens - LONGEST), -1 do
      if tokens[at] == calls_id then
        local written = {}
        for i = at + 1, #tokens do written[i - at] = tokens[i] end
        return prior:add(logits, written)
      end
    end
  end
end

return Prior
