-- model:generate, stream, choose, score and session:start, generate, stream: Lua over the jobs and sessions of mobilellm.core.
-- Returns a function that adds them to the classes of the core.

local misuse -- raises at the caller's line; core.misuse

-- Options of generate, stream and start. `true`: handed to the core as it is; a string: the sampler stage it belongs to.
local OPTIONS = {
  max_tokens = true, stop = true, special = true, show_special = true, ignore_end = true, sampler = true, grammar = true, tools = true,
  on_token = true, context = true, seed = true, lookup = true, heal = true, mask_mass = true, logits = "logits",
  temperature = "temperature", top_k = "top_k", top_p = "top_p", min_p = "min_p", typical = "typical",
  logit_bias = "logit_bias",
  repeat_penalty = "penalties", frequency_penalty = "penalties", presence_penalty = "penalties", penalty_last_n = "penalties",
}
local MAX_TOKENS = 256 -- unless the caller says otherwise

-- Options by name; others raise, at the caller of the method that called check().
local function check_known(options, known, where)
  if options == nil then return {} end
  if type(options) ~= "table" then misuse(where .. ": options must be a table, got " .. type(options)) end
  for key in pairs(options) do
    if not known[key] then misuse(("%s: unknown option '%s'"):format(where, tostring(key))) end
  end
  return options
end

local function check(options, where, of_session)
  options = check_known(options, OPTIONS, where)
  if of_session and options.context ~= nil then
    misuse(where .. ": unknown option 'context' (a session has its own)")
  end
  if options.on_token ~= nil and type(options.on_token) ~= "function" then
    misuse(("%s: option 'on_token': function expected, got %s"):format(where, type(options.on_token)))
  end
  return options
end

-- The sampler that the options describe; nil stands for the best token each time.
local function make_sampler(core, options, where)
  local sampler = options.sampler
  if sampler ~= nil then
    for key, stage in pairs(OPTIONS) do
      if options[key] ~= nil and (type(stage) == "string" or key == "seed") then
        misuse(("%s: option '%s' and a sampler: say it in the sampler"):format(where, key))
      end
    end
    if type(sampler) == "table" then return core.sampler(sampler) end
    if type(sampler) ~= "userdata" then
      misuse(("%s: option 'sampler': sampler or list of stages expected, got %s"):format(where, type(sampler)))
    end
    return sampler:fork() -- its own history and draws: the caller's stay as they are
  end
  local stages = {seed = options.seed}
  if options.logits ~= nil then
    if type(options.logits) ~= "function" then
      misuse(("%s: option 'logits': function expected, got %s"):format(where, type(options.logits)))
    end
    stages[1] = options.logits
  end
  local function add(stage, ...) stages[#stages + 1] = {stage, ...} end
  if options.logit_bias ~= nil then add("logit_bias", options.logit_bias) end
  if options.repeat_penalty or options.frequency_penalty or options.presence_penalty or options.penalty_last_n then
    stages[#stages + 1] = {"penalties", repeat_penalty = options.repeat_penalty,
      frequency_penalty = options.frequency_penalty, presence_penalty = options.presence_penalty,
      last_n = options.penalty_last_n}
  end
  local temperature = options.temperature or 0
  if type(temperature) ~= "number" or temperature ~= temperature or temperature < 0 then
    misuse(("%s: option 'temperature': number of at least 0 expected, got %s"):format(where, tostring(temperature)))
  end
  local before = #stages
  for _, name in ipairs{"top_k", "typical", "top_p", "min_p"} do
    if options[name] ~= nil then add(name, options[name]) end
  end
  add("temperature", temperature)
  if temperature == 0 then
    -- What cuts the tail has no say in which token is the likeliest, but a wrong value of it is still wrong.
    if #stages > before + 1 or stages.seed ~= nil then core.sampler(stages):close() end
    for i = #stages, before + 1, -1 do stages[i] = nil end
    if before == 0 then return nil end
    add "greedy"
  end
  return core.sampler(stages)
end

-- A grammar of one call of these tools as JSON: {"name": "...", "arguments": {...}}.
local function grammar_of_tools(core, tools, where)
  local list = require "mobilellm.tools".list(tools)
  if #list == 0 then misuse(where .. ": option 'tools': at least one tool expected") end
  local calls = {}
  for i, tool in ipairs(list) do
    calls[i] = {
      type = "object",
      properties = {name = {const = tool.name}, arguments = tool.parameters or {type = "object"}},
      required = {"name", "arguments"},
      additionalProperties = false,
    }
  end
  return core.grammar.json_schema{anyOf = calls}
end

-- The matcher that options `grammar` or `tools` ask for (false: none), and whether it belongs to somebody else; nil, message,
-- code when it cannot be made. A grammar gives a new one.
-- `healed`: bytes that come before what the grammar says.
local function make_matcher(core, session, options, where, healed)
  local grammar = options.grammar
  if options.tools ~= nil then
    if grammar ~= nil then misuse(where .. ": options 'grammar' and 'tools' exclude each other") end
    local message, code
    grammar, message, code = grammar_of_tools(core, options.tools, where)
    if not grammar then return nil, message, code end
  end
  if grammar == nil then
    if not healed then return false, false end
    grammar = core.grammar.free()
  end
  if type(grammar) == "userdata" then
    local known, method = pcall(function() return grammar.matcher end)
    if known and method then
      if healed then grammar = assert(core.grammar.seq(core.grammar.lit(healed), grammar)) end
      local matcher, message, code = grammar:matcher(session:model())
      if not matcher then return nil, message, code end
      return matcher, false
    end
    known, method = pcall(function() return grammar.is_complete end)
    if known and method then
      if options.heal then misuse(where .. ": option 'heal' needs a grammar, not a matcher") end
      return grammar, true
    end
  end
  misuse(("%s: option 'grammar': grammar or matcher expected, got %s"):format(where, type(grammar)))
end

local function check_prompt(prompt, where)
  if type(prompt) ~= "string" and type(prompt) ~= "table" then
    misuse(("%s: a prompt is a text or a list of token ids, got %s"):format(where, type(prompt)))
  end
end

-- `loop`: driven by a loop that may be left at any time, so that other uses of the session end it.
local function start(core, session, prompt, options, where, feed_last, loop)
  check_prompt(prompt, where)
  local healed, code
  if options.heal then -- the last token of the prompt is written again, as the beginning of what follows
    prompt, healed, code = core.heal(session, session:model(), prompt, options.special)
    if not prompt then return nil, healed, code end
  end
  local matcher, shared
  matcher, shared, code = make_matcher(core, session, options, where, healed)
  if matcher == nil then return nil, shared, code end
  local max_tokens = options.max_tokens or MAX_TOKENS
  if healed and type(max_tokens) == "number" then max_tokens = max_tokens + 1 end
  return core.start(session, prompt, {
    max_tokens = max_tokens,
    healed = healed and #healed,
    healing = healed ~= nil and options.grammar == nil and options.tools == nil,
    mask_mass = options.mask_mass,
    stop = options.stop,
    special = options.special,
    show_special = options.show_special,
    ignore_end = options.ignore_end,
    lookup = options.lookup,
    sampler = make_sampler(core, options, where),
    feed_last = feed_last,
    matcher = matcher or nil,
    shared = shared,
    loop = loop,
  })
end

-- Steps the job to its end on this thread. on_token(id, text) sees each token with the text that became certain by it; when it
-- returns false, that was the last one.
local function run(job, on_token)
  local pieces = {}
  local function take()
    local text = job:read()
    if text and text ~= "" then pieces[#pieces + 1] = text end
    return text or ""
  end
  if on_token then
    local over, message, code
    repeat
      over, message, code = job:advance()
      if over == nil then return nil, message, code end
      local ids, text = job:tokens(), take()
      for i, id in ipairs(ids) do
        if on_token(id, i == #ids and text or "") == false then
          job:cancel()
          over = true
        end
      end
    until over
    if take() ~= "" then take() end
  else
    local over, message, code = job:step()
    if over == nil then return nil, message, code end
    take()
  end
  local stats = job:stats()
  job:close()
  return table.concat(pieces), stats
end

local function iterator(job, options)
  local on_token = options.on_token
  return function()
    while true do
      local over, message, code = job:advance()
      if over == nil then return nil, message, code end
      local text = job:read()
      if on_token then
        local ids = job:tokens()
        for i, id in ipairs(ids) do
          if on_token(id, i == #ids and text or "") == false then job:cancel() end
        end
      end
      if text ~= "" then return text end
    end
  end, job, nil, job -- Lua 5.4 closes the fourth when the loop is left
end

local function prompt_ids(model, prompt, special, where)
  check_prompt(prompt, where)
  if type(prompt) == "table" then return prompt end
  return model:tokenize(prompt, {bos = model:info().adds_bos, special = special})
end

-- A job in a session of its own, just long enough | nil, message, code.
local function start_alone(core, model, prompt, options, where)
  local ids = prompt_ids(model, prompt, options.special, where)
  local context = options.context
  if context == nil then
    local most = options.max_tokens or MAX_TOKENS
    if type(most) ~= "number" or most % 1 ~= 0 then most = MAX_TOKENS end -- the core says what is wrong with it
    context = math.max(1, math.min(model:info().context, #ids + most))
  end
  local session, message, code = model:session{context = context}
  if not session then return nil, message, code end
  local job
  job, message, code = start(core, session, ids, options, where, false)
  session:close() -- the job holds it as long as it needs it
  return job, message, code
end

local function ids_of(model, text, special, where)
  if type(text) == "table" then return text end
  if type(text) ~= "string" then
    misuse(("%s: a text or a list of token ids expected, got %s"):format(where, type(text)))
  end
  return model:tokenize(text, {special = special, continuation = true})
end

local function before(a, b)
  for i = 1, math.min(#a, #b) do
    if a[i] ~= b[i] then return a[i] < b[i] end
  end
  return #a < #b
end

-- Log-probabilities of the lists behind `ids`, in an empty session. What several of them begin with is fed once, each rest in one pass,
-- and last tokens not at all: continuations of one token cost nothing beyond the prompt.
local function score_lists(session, ids, lists)
  local done, message, code = session:feed(ids)
  local order, sums, known, path, fed = {}, {}, {}, {}, 0
  if not done then return nil, message, code end
  for i in ipairs(lists) do order[i] = i end
  table.sort(order, function(x, y) return before(lists[x], lists[y]) end)
  local view
  view, message, code = session:logits()
  if not view then return nil, message, code end
  local first = view:copy()
  for _, which in ipairs(order) do
    local list, shared = lists[which], 0
    while shared < #list and list[shared + 1] == path[shared + 1] do shared = shared + 1 end
    path = list
    if shared < #list then
      if fed > shared then session:rewind(#ids + shared) end
      fed = math.min(fed, shared)
      if #list - fed > 1 then
        local rest = {}
        for k = fed + 1, #list - 1 do rest[#rest + 1] = list[k] end
        done, message, code = session:score(rest)
        if not done then return nil, message, code end
        for k, p in ipairs(done) do known[fed + k] = p end
        fed = #list - 1
      end
      view = first
      if fed > 0 then view, message, code = session:logits() end
      if not view then return nil, message, code end
      known[#list] = view:logprob(list[#list])
    end
    local sum = 0
    for k = 1, #list do sum = sum + known[k] end
    sums[which] = sum
  end
  return sums
end

local SCORE_OPTIONS = {special = true}

-- Log-probabilities of several continuations of one prompt, which is fed once, and their ids | nil, message, code.
local function score_all(model, prompt, continuations, count, options, where)
  options = check_known(options, SCORE_OPTIONS, where)
  local lists, longest = {}, 0
  for i = 1, count do
    lists[i] = ids_of(model, continuations[i], options.special, where)
    longest = math.max(longest, #lists[i])
  end
  local ids = prompt_ids(model, prompt, options.special, where)
  if #ids == 0 then misuse(where .. ": the prompt has no token and the vocabulary no begin token") end
  local session, message, code = model:session{context = math.max(1, math.min(model:info().context, #ids + longest))}
  if not session then return nil, message, code end
  local sums
  sums, message, code = score_lists(session, ids, lists)
  session:close()
  if not sums then return nil, message, code end
  return sums, lists
end

return function(core)
  misuse = core.misuse
  local model_methods, session_methods = core.classes.model, core.classes.session

  -- session:start(prompt, options) -> job | nil, message, code
  function session_methods.start(session, prompt, options)
    options = check(options, "start", true)
    if options.on_token ~= nil then misuse("start: unknown option 'on_token'") end
    return start(core, session, prompt, options, "start", true)
  end

  -- session:generate(prompt, options) -> text, stats | nil, message, code: continues the session.
  function session_methods.generate(session, prompt, options)
    options = check(options, "generate", true)
    local job, message, code = start(core, session, prompt, options, "generate", true, true)
    if not job then return nil, message, code end
    return run(job, options.on_token)
  end

  -- session:stream(prompt, options) -> iterator of pieces, job | nil, message, code
  function session_methods.stream(session, prompt, options)
    options = check(options, "stream", true)
    local job, message, code = start(core, session, prompt, options, "stream", true, true)
    if not job then return nil, message, code end
    return iterator(job, options)
  end

  -- model:generate(prompt, options) -> text, stats | nil, message, code
  function model_methods.generate(model, prompt, options)
    options = check(options, "generate")
    local job, message, code = start_alone(core, model, prompt, options, "generate")
    if not job then return nil, message, code end
    return run(job, options.on_token)
  end

  -- model:stream(prompt, options) -> iterator of pieces, job | nil, message, code
  function model_methods.stream(model, prompt, options)
    options = check(options, "stream")
    local job, message, code = start_alone(core, model, prompt, options, "stream")
    if not job then return nil, message, code end
    return iterator(job, options)
  end

  -- model:score(prompt, continuation, {special}) -> sum of natural log-probabilities, token count | nil, message, code
  function model_methods.score(model, prompt, continuation, options)
    local sums, lists, code = score_all(model, prompt, {continuation}, 1, options, "score")
    if not sums then return nil, lists, code end
    return sums[1], #lists[1]
  end

  -- model:choose(prompt, {text, ...}, {special}) -> the likeliest, {log-probabilities} | nil, message, code
  function model_methods.choose(model, prompt, choices, options)
    if type(choices) ~= "table" or #choices == 0 then misuse("choose: a list of at least one text expected") end
    local sums, lists, code = score_all(model, prompt, choices, #choices, options, "choose")
    if not sums then return nil, lists, code end
    local best = 1
    for i = 2, #sums do
      if sums[i] > sums[best] then best = i end
    end
    return choices[best], sums
  end
end
