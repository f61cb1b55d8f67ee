-- Beam search: the continuations of a prompt with the highest log-probability that a bounded search finds, deterministic.
--
--   local best, others = mobilellm.beam(model, "The capital of France is", {beams = 4, max_tokens = 20})
--   print(best.text, best.logprob)
--
-- mobilellm.beam(model_or_session, prompt, options) -> best, list of all results (the best first) | nil, message, code
--
-- A result is {tokens = ids without the end token, text =, logprob = sum of natural log-probabilities (the end token's too),
-- score = logprob / length ^ length_penalty, finished = true when an end token closed it}.
--
-- Options: beams = 4 (hypotheses that are kept at each length), max_tokens = 64, results = beams, length_penalty = 1 (0: the sum alone;
-- above 0 favours long ones; as in Wu et al. 2016, "Google's Neural Machine Translation System", in the plain form n ^ a),
-- logits = function(logits, tokens) that may change the logits of a hypothesis before its probabilities are taken, special = false
-- (spellings of control tokens in the prompt count as such), context (of the sessions, when a model is given).
--
-- A session that is given is forked and stays as it is; nil as prompt goes on from where it stands. Each hypothesis is a session: memory is
-- `beams` times that of one. The search ends when no open hypothesis can still beat the results.
local OPTIONS = {beams = true, max_tokens = true, results = true, length_penalty = true, logits = true, special = true, context = true}

local function integer(options, name, fallback, low)
  local x = options[name]
  if x == nil then return fallback end
  if type(x) ~= "number" or x ~= math.floor(x) or x < low or x == math.huge then
    error(("beam: option '%s': integer of at least %d expected, got %s"):format(name, low, tostring(x)), 3)
  end
  return x
end

local function check(options)
  if options == nil then options = {} end
  if type(options) ~= "table" then error("beam: options must be a table, got " .. type(options), 3) end
  for key in pairs(options) do
    if not OPTIONS[key] then error(("beam: unknown option '%s'"):format(tostring(key)), 3) end
  end
  local penalty = options.length_penalty
  if penalty == nil then penalty = 1 end
  if type(penalty) ~= "number" or penalty ~= penalty then
    error(("beam: option 'length_penalty': number expected, got %s"):format(tostring(penalty)), 3)
  end
  if options.logits ~= nil and type(options.logits) ~= "function" then
    error(("beam: option 'logits': function expected, got %s"):format(type(options.logits)), 3)
  end
  local beams = integer(options, "beams", 4, 1)
  return {
    beams = beams, penalty = penalty, change = options.logits, special = options.special, context = options.context,
    most = integer(options, "max_tokens", 64, 1), results = integer(options, "results", beams, 1),
  }
end

-- Sessions of a search; `close` gives all back, whatever happened in between.
local function close_all(sessions)
  for session in pairs(sessions) do session:close() end
end

local function better(a, b)
  if a.score ~= b.score then return a.score > b.score end
  return a.order < b.order -- the one that was found first: every run is the same
end

local function score(logprob, length, penalty)
  return logprob / math.max(length, 1) ^ penalty
end

local function result(model, beam, finished, o, order)
  local length = #beam.tokens + (finished and 1 or 0)
  return {
    tokens = beam.tokens, text = model:detokenize(beam.tokens, {continuation = true}), logprob = beam.logprob,
    score = score(beam.logprob, length, o.penalty), finished = finished, order = order,
  }
end

-- The best a hypothesis of `length` tokens can still become: its sum can only fall, and a longer one divides it by more (or less).
local function bound(logprob, length, o)
  return math.max(score(logprob, length + 1, o.penalty), score(logprob, o.most, o.penalty))
end

local function extended(tokens, id)
  local copy = {}
  for i = 1, #tokens do copy[i] = tokens[i] end
  copy[#copy + 1] = id
  return copy
end

local function search(model, first, o, open)
  local beams, results, order = {{session = first, tokens = {}, logprob = 0}}, {}, 0

  local function add(beam, finished)
    order = order + 1
    results[#results + 1] = result(model, beam, finished, o, order)
    table.sort(results, better)
    if #results > math.max(o.beams, o.results) then results[#results] = nil end
  end

  for length = 0, o.most - 1 do
    local candidates = {}
    for i, beam in ipairs(beams) do
      local logits, message, code = beam.session:logits()
      if not logits then return nil, message, code end
      if o.change then
        logits = logits:copy() -- the session's own stay what the model said
        o.change(logits, beam.tokens)
      end
      for _, c in ipairs(logits:topk(2 * o.beams)) do
        candidates[#candidates + 1] = {beam = i, id = c.id, score = beam.logprob + c.logprob, order = #candidates}
      end
    end
    table.sort(candidates, better)
    local kept, children = {}, {}
    for rank, c in ipairs(candidates) do
      if #kept == o.beams then break end
      local beam = beams[c.beam]
      if model:is_end(c.id) then
        -- one that is not among the best of its length would not have been kept either
        if rank <= o.beams then add({tokens = beam.tokens, logprob = c.score}, true) end
      else
        kept[#kept + 1] = {parent = beam, id = c.id, tokens = extended(beam.tokens, c.id), logprob = c.score}
        children[beam] = (children[beam] or 0) + 1
      end
    end
    if #kept == 0 then break end
    local last = length + 1 == o.most
    if last or (#results >= o.beams and results[o.beams].score >= bound(kept[1].logprob, length + 1, o)) then
      if last then
        for _, beam in ipairs(kept) do add(beam, false) end
      end
      break
    end
    for _, beam in ipairs(beams) do
      if not children[beam] then
        open[beam.session] = nil
        beam.session:close()
      end
    end
    for _, beam in ipairs(kept) do -- the last child of a hypothesis goes on in its session
      local parent = beam.parent
      children[parent] = children[parent] - 1
      if children[parent] > 0 then
        local fork, message, code = parent.session:fork()
        if not fork then return nil, message, code end
        open[fork] = true
        beam.session = fork
      else
        beam.session = parent.session
      end
    end
    for _, beam in ipairs(kept) do
      beam.parent = nil
      local ok, message, code = beam.session:feed{beam.id}
      if not ok then return nil, message, code end
    end
    beams = kept
  end
  if #results == 0 then return nil, "beam: no token is left", "grammar" end
  while #results > o.results do results[#results] = nil end
  for _, r in ipairs(results) do r.order = nil end
  return results[1], results
end

return function(from, prompt, options)
  local o = check(options)
  local name = type(from) == "userdata" and tostring(from):match "^mobilellm (%a+)"
  if name ~= "model" and name ~= "session" then error("beam: model or session expected, got " .. type(from), 2) end
  local kind = type(prompt)
  if kind ~= "string" and kind ~= "table" and not (prompt == nil and name == "session") then
    error("beam: a prompt is a text or a list of token ids, got " .. kind, 2)
  end
  local model, first, message, code
  if name == "model" then
    model = from
    first, message, code = model:session{context = o.context}
  else
    if o.context ~= nil then error("beam: option 'context': the session has its own", 2) end
    model = from:model()
    first, message, code = from:fork()
  end
  if not first then return nil, message, code end
  local open = {[first] = true}
  local ok, best, others
  ok, best, others, code = pcall(function()
    if prompt ~= nil and #prompt > 0 then
      local fed, why, what = first:feed(prompt, {special = o.special})
      if not fed then return nil, why, what end
    end
    return search(model, first, o, open)
  end)
  close_all(open)
  if not ok then error(best, 0) end
  return best, others, code
end
