-- What the shipped models learn from, made ready: the rows of the training files without those that an evaluation asks, the vocabulary,
-- parts of rows in a mixture, and small sets to look at while training goes on.
--
--   local set = require "sources".open{model = "calls" or "home", data = DIR of calls, seed = 1, say = function(format, ...) end,
--     share = 1, vocabulary = FILE}
--   set.vocabulary
--   set:encode(row) -> ids, length of the prompt
--   set:part(number, settled) -> mobilellm.train.data of about sources.part_tokens tokens (number 0, the early one: sources.early_tokens)
--   set:watched() -> list of {name, data};  set:copies(seed, count) -> rows
-- The same seed makes the same rows. `share` makes shorter parts. The vocabulary is read from FILE, if there is one, else written there;
-- false: none, for rows alone.
local mobilellm = require "mobilellm"
local signature = require "mobilellm.signature"
local data = require "data"
local described_rows = require "described_rows"
local bind_rows = require "bind_rows"
local skill_rows = require "skill_rows"

local part_tokens = 4e6 -- rows are made in parts of so many tokens, each used once
-- By model: the size of the vocabulary, the context, the most tokens of a row (longer ones lose their oldest turns, or are left out), and
-- what share of the tokens a source has; `settled` is the mixture while the rate falls through its last part (recipe.lua): what is said
-- by people comes more often then, what was made to teach a skill less often.
local models = {
  calls = {vocabulary = 4096, context = 1024, longest = 512, mixture = {
    sgd = 0.06, sgdx = 0.04, star = 0.06, nlueval = 0.08, snips = 0.07, home = 0.04, home_rows = 0.02, seal = 0.06, api_rows = 0.43,
    tm4 = 0.01, clinc_neg = 0.04, copy = 0.01, described = 0.04, select = 0.01, bind = 0.03,
  }, settled = {
    sgd = 0.09, sgdx = 0.05, star = 0.08, nlueval = 0.12, snips = 0.11, home = 0.07, home_rows = 0.03, seal = 0.07, api_rows = 0.30,
    tm4 = 0.01, clinc_neg = 0.04, copy = 0.01, described = 0.03, select = 0.01, bind = 0.02,
  }},
  home = {vocabulary = 3072, context = 512, longest = 448, mixture = {
    home = 0.20, home_rows = 0.34, nlueval = 0.16, snips = 0.14, clinc_neg = 0.06, copy = 0.05, select = 0.05,
  }},
}
-- The first part: short rows, more copying, and the prompt is learned, too.
local early = {tokens = 3e6, copy = 0.2, prompt_weight = 0.1, longest = 224}

local function must(value, message, code)
  if value == nil then error(("sources: %s (%s)"):format(tostring(message), tostring(code)), 0) end
  return value
end

local files = {
  home = "home", nlueval = "nlueval", snips = "snips", clinc_neg = "clinc_neg", sgd = "sgd", sgdx = "sgdx", star = "star",
  seal = "seal_dev", tm4 = "tm4",
}
local names = {"home", "nlueval", "snips", "clinc_neg", "sgd", "sgdx", "star", "seal", "tm4"}
local public = {
  "home", "snips", "nlueval", "sgd_dev", "star", "seal_test_in", "apibank", "bfcl_v1", "bfcl_live", "toolalpaca", "tm4", "clinc_neg",
}

local sources = {part_tokens = part_tokens, early_tokens = early.tokens, public = public, models = models}

local function load_rows(o, say)
  -- Nothing that is asked in the evaluation is learned from: same sentence and same calls.
  local kept_out = {}
  for _, name in ipairs(public) do
    local rows = data.read(("%s/public-eval/%s.jsonl.gz"):format(o.data, name))
    for _, row in ipairs(rows or {}) do kept_out[data.key(row)] = true end
  end
  local rows, dropped = {}, 0
  for _, name in ipairs(names) do
    rows[name] = {}
    for _, row in ipairs(must(data.read(("%s/train/%s.jsonl.gz"):format(o.data, files[name])))) do
      if kept_out[data.key(row)] then dropped = dropped + 1 else table.insert(rows[name], data.clean(row)) end
    end
    say("%s: %d rows", name, #rows[name])
  end
  say("%d rows left out because the evaluation asks the same", dropped)
  return rows, kept_out
end

-- The tools of the rows of some sources, each name once.
local function tools_of(rows, which)
  local seen, tools = {}, {}
  for _, source in ipairs(names) do
    for _, row in ipairs(which(source) and rows[source] or {}) do
      for _, tool in ipairs(row.tools) do
        if not seen[tool.name] then
          seen[tool.name] = true
          tools[#tools + 1] = tool
        end
      end
    end
  end
  return tools
end

-- Of all sources but one: distractors.
local function tools_but(rows, but)
  return tools_of(rows, function(source) return source ~= but end)
end

local set = {} -- methods
set.__index = set

-- A row of a source, changed anew.
function set:row(random, source)
  if source == "copy" then return skill_rows.copy(random, self.words) end
  if source == "select" then return skill_rows.select(random, self.words) end
  if source == "bind" then return bind_rows.row(random, self.words) end
  local rows, pools, distractors = self.rows, self.pools, self.distractors
  local row
  if source == "home_rows" then
    row = data.change(random, data.home_row(random), {tools = distractors.home})
  elseif source == "described" then
    row = data.change(random, self.maker:row(random), {refuse = 0})
  elseif source == "api_rows" then
    row = data.api_row(random)
    if #row.calls > 0 and random.chance(0.4) then
      local beside = random.pick{"nlueval", "nlueval", "nlueval", "snips", "home", "sgd", "star"}
      data.mix(random, row, self.own_tools[beside], random.integer(1, 4))
      if beside == "nlueval" and random.chance(0.6) then -- as terse as those
        for _, tool in ipairs(row.tools) do tool.description = "" end
      end
    end
    row = data.change(random, row, {tools = distractors.clinc_neg})
  elseif source == "seal" and random.chance(0.7) then
    row = data.change(random, data.join(random, self.wishes), {pool = pools.seal, exchange = 0.8, tools = distractors.seal})
  else
    row = random.pick(rows[source])
    -- The files have more rows without a call than people say such things; half of them are enough.
    if #row.calls == 0 and source ~= "clinc_neg" and random.chance(0.5) then row = random.pick(rows[source]) end
    row = data.change(random, row, {
      pool = pools[source], tools = distractors[source], rename = (source == "star" or source == "nlueval") and 0.6 or nil, refuse = 0.05,
      exchange = source ~= "nlueval" and source ~= "snips" and 0.5 or 0.3,
    })
  end
  if self.kept_out[data.key(row)] then return self:row(random, source) end
  return row
end

function set:make_vocabulary()
  local random = data.random(self.seed + 1000)
  local texts, seen = {}, {}
  -- Each line counts at most three times, so that tools which stand in every other row do not take all the merges.
  local function add(text)
    for line in text:gmatch "[^\n]+" do
      seen[line] = (seen[line] or 0) + 1
      if seen[line] <= 3 then texts[#texts + 1] = line end
    end
  end
  for _, source in ipairs(names) do
    for i, row in ipairs(self.rows[source]) do
      if i > 12000 then break end
      for _, tool in ipairs(row.tools) do add(signature.tool(tool)) end
      for _, message in ipairs(row.messages) do add(" " .. message.content:gsub("\n", "\n ")) end
      add(signature.answer(row.calls))
    end
  end
  for _ = 1, 6000 do
    local row = self:row(random, "home_rows")
    for _, message in ipairs(row.messages) do add(" " .. message.content:gsub("\n", "\n ")) end
  end
  local vocabulary = must(mobilellm.train.bpe{
    texts = texts, size = self.model.vocabulary, special = signature.special, pre = signature.pre,
    bos = signature.begin, eos = signature.stop,
  })
  self.say("vocabulary: %d tokens from %d lines", vocabulary:size(), #texts)
  return vocabulary
end

-- Token ids of prompt and answer, and the length of the prompt.
function set:encode(row)
  local vocabulary = self.vocabulary
  local ids = signature.encode(vocabulary, row.tools, row.messages)
  local prompt = #ids
  local answer = signature.encode_answer(vocabulary, row.calls, row.tools)
  for i = 1, #answer do ids[#ids + 1] = answer[i] end
  return ids, prompt
end

-- The rows of a part; part 0 is the early one. The same part always has the same rows.
function set:part(number, settled)
  local part, random = mobilellm.train.data(), data.random(self.seed + 2000 + number)
  local mixture, longest = settled and self.model.settled or self.model.mixture, self.model.longest
  local first = number == 0
  local tokens, counts, kinds, total = 0, {}, {}, 0
  for source in pairs(mixture) do
    kinds[#kinds + 1] = source
    counts[source] = 0
  end
  table.sort(kinds)
  local function share(source)
    if not first then return mixture[source] end
    return source == "copy" and early.copy or mixture[source] * (1 - early.copy) / (1 - mixture.copy)
  end
  for _, source in ipairs(kinds) do total = total + share(source) end
  local most = (first and early.tokens or part_tokens) * self.share
  while tokens < most do
    -- The source that lacks most of its share.
    local source, lack = nil, -math.huge
    for _, name in ipairs(kinds) do
      local missing = share(name) / total * (tokens + 1000) - counts[name]
      if missing > lack then source, lack = name, missing end
    end
    for _ = 1, 50 do
      local row = self:row(random, source)
      local ids, prompt = self:encode(row)
      if #ids > longest and data.shorten(row) then ids, prompt = self:encode(row) end
      if #ids <= (first and early.longest or longest) then
        part:add(ids, prompt, 1, first and early.prompt_weight or 0)
        counts[source] = counts[source] + #ids
        tokens = tokens + #ids
        break
      end
    end
  end
  local list = {}
  for i, source in ipairs(kinds) do list[i] = ("%s %d"):format(source, counts[source]) end
  self.say("part %d: %d rows, %d tokens (%s)", number, part:rows(), part:tokens(), table.concat(list, ", "))
  return part
end

-- Rows that only ask to copy, none of which a part has.
function set:copies(seed, count)
  local random, copies = data.random(seed), {}
  for i = 1, count do copies[i] = skill_rows.copy(random, self.words) end
  return copies
end

-- Small sets that are looked at while training goes on: a list of {name, data}.
function set:watched()
  local sets = {}
  local function add(name, rows, at_most)
    local part = mobilellm.train.data()
    for i = 1, math.min(#rows, at_most) do -- evenly from all rows
      local ids, prompt = self:encode(data.clean(rows[math.floor((i - 1) * #rows / math.min(#rows, at_most)) + 1]))
      if #ids <= self.model.context then part:add(ids, prompt) end
    end
    if part:rows() > 0 then sets[#sets + 1] = {name, part} end
  end
  add("copy", self:copies(self.seed + 4000, 100), 100)
  for _, name in ipairs{"home", "snips", "nlueval", "sgd_dev", "star", "seal_test_in", "apibank", "bfcl_v1"} do
    add(name, data.read(("%s/public-eval/%s.jsonl.gz"):format(self.data, name)) or {}, 50)
  end
  return sets
end

local function file_exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

function sources.open(o)
  local say = o.say or function() end
  local model = models[o.model or "calls"] or error(("sources: there is no model '%s'"):format(tostring(o.model)), 0)
  local self = setmetatable({
    model = model, data = o.data, seed = o.seed or 1, say = say, share = o.share or 1, pools = {}, distractors = {}, own_tools = {},
  }, set)
  self.rows, self.kept_out = load_rows(o, say)
  for _, source in ipairs(names) do
    if source ~= "home" and source ~= "clinc_neg" then self.pools[source] = data.pool(self.rows[source]) end
    self.distractors[source] = tools_but(self.rows, source ~= "clinc_neg" and source or nil)
    self.own_tools[source] = tools_of(self.rows, function(one) return one == source end)
  end
  self.maker = described_rows.new(tools_but(self.rows))
  self.words = data.words(self.rows.snips)
  self.wishes = data.wishes(self.rows.seal) -- single sentences of rows that ask for several things
  -- Weights mean nothing with other pieces: the first vocabulary stays, whatever changes in the rows.
  if o.vocabulary == false then return self end
  if o.vocabulary and file_exists(o.vocabulary) then
    self.vocabulary = must(mobilellm.train.vocabulary(o.vocabulary))
  else
    self.vocabulary = self:make_vocabulary()
    if o.vocabulary then must(self.vocabulary:save(o.vocabulary)) end
  end
  return self
end

return sources
