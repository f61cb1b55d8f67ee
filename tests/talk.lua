-- What specs of chats share: tiny models that say what the test wants.

local talk = {}

-- A tiny model with random weights whose vocabulary has these control tokens. context: 1024 unless given
function talk.model(special, bos, eos, context)
  local texts = {}
  for i = 1, 60 do
    texts[i] = "hello there, what is the weather in Oslo on day " .. i .. "? <tool_call>\n{\"name\": \"weather\", "
      .. "\"arguments\": {\"city\": \"Oslo\", \"days\": 2}}\n</tool_call> <think>so</think> light.on( room = \" hall\")"
  end
  return assert(require "mobilellm.train.tiny"{
    texts = texts, size = 300 + math.max(80, #special), special = special, bos = bos, eos = eos, context = context,
  })
end

-- A sampler that says these texts, one after the other, each with its end of turn.
function talk.saying(model, list)
  local ids = {}
  for _, text in ipairs(list) do
    for _, id in ipairs(model:tokenize(text, {special = true})) do ids[#ids + 1] = id end
    ids[#ids + 1] = model:info().eos
  end
  local at = 0
  return {function(logits)
    at = at + 1
    logits:mask{ids[at]}
  end, {"greedy"}}
end

function talk.events(iterator)
  local list, kinds = {}, {}
  for event in iterator do
    list[#list + 1] = event
    if kinds[#kinds] ~= event.kind then kinds[#kinds + 1] = event.kind end
  end
  return list, table.concat(kinds, " ")
end

return talk
