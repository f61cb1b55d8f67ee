-- mobilellm.train: what the trainer in C offers, and the loop around it.
--
--   trainer:run{data =, steps =, seconds =, evaluate =, evaluate_every = 100, checkpoint =, every = 300, best =, on_step =}
--     data             rows to learn from (mobilellm.train.data())
--     steps            steps to do now; without it until the trainer's own option `steps` is reached
--     seconds          ends after so many seconds, too
--     evaluate         other rows; every `evaluate_every` steps, and at the end, stats.evaluation = {loss=, accuracy=, ...}
--     checkpoint       path, saved every `every` seconds and at the end
--     best             path, saved whenever the evaluation's loss is the lowest so far
--     on_step(stats)   after each step; false ends the run. Beside what trainer:next gives: tokens_per_second (of the last
--                      steps), time_left (seconds), elapsed, evaluation
--   returns the last step's stats with `steps_done` and `best_loss`; nil, message, code where the world does wrong
--
--   mobilellm.train.progress(stats) -> one line of text for a terminal
--   mobilellm.train.curve           -> see mobilellm/train/curve.lua
local core = require "mobilellm.core"
local train = core.train

local known = {}
for name in ("data steps seconds evaluate evaluate_every checkpoint every best on_step"):gmatch "%S+" do known[name] = true end

local function check_options(options)
  if type(options) ~= "table" then error("trainer:run: options must be a table, got " .. type(options), 3) end
  for name in pairs(options) do
    if not known[name] then error(("trainer:run: unknown option '%s'"):format(tostring(name)), 3) end
  end
  if options.data == nil then error("trainer:run: 'data' is missing", 3) end
  for _, name in ipairs{"steps", "seconds", "evaluate_every", "every"} do
    local value = options[name]
    if value ~= nil and (type(value) ~= "number" or value < 0 or value ~= value) then
      error(("option '%s': number of at least 0 expected, got %s"):format(name, tostring(value)), 3)
    end
  end
  if options.best and not options.evaluate then error("trainer:run: 'best' needs 'evaluate'", 3) end
end

local run = {} -- methods of a running loop, so that none of them grows long

function run:left(stats)
  local left = self.last_step - stats.step
  local time = left / self.steps_per_second
  if self.options.seconds then time = math.min(time, math.max(0, self.options.seconds - stats.elapsed)) end
  return time
end

-- Speed over about the last twenty steps: old steps fade.
function run:measure(stats)
  self.tokens = 0.95 * self.tokens + stats.tokens
  self.seconds = 0.95 * self.seconds + stats.seconds
  self.count = 0.95 * self.count + 1
  self.steps_per_second = self.count / self.seconds
  stats.tokens_per_second = self.tokens / self.seconds
  stats.elapsed = core.clock() - self.start
  stats.time_left = self:left(stats)
end

function run:evaluate(stats)
  local loss, score, code = self.trainer:evaluate(self.options.evaluate)
  if not loss then return nil, score, code end
  stats.evaluation = score
  if self.options.best and loss < self.best_loss then
    local ok, message, why = self.trainer:save(self.options.best)
    if not ok then return nil, message, why end
  end
  self.best_loss = math.min(self.best_loss, loss)
  return true
end

function run:save(force)
  local path = self.options.checkpoint
  if not path then return true end
  local now = core.clock()
  if not force and now - self.saved < (self.options.every or 300) then return true end
  self.saved = now
  return self.trainer:save(path)
end

function run:step()
  local options = self.options
  local loss, stats, code = self.trainer:next(options.data)
  if not loss then return nil, stats, code end
  self:measure(stats)
  self.done = self.done + 1
  local over = stats.step >= self.last_step or (options.seconds and stats.elapsed >= options.seconds) or false
  if options.evaluate and (over or stats.step % (options.evaluate_every or 100) == 0) then
    local ok, message, why = self:evaluate(stats)
    if not ok then return nil, message, why end
  end
  if options.on_step and options.on_step(stats) == false then over = true end
  local ok, message, why = self:save(over)
  if not ok then return nil, message, why end
  return stats, over
end

function core.classes.trainer.run(trainer, options)
  check_options(options)
  local info = trainer:info()
  local now = core.clock()
  local self = setmetatable({
    trainer = trainer, options = options, start = now, saved = now, tokens = 0, seconds = 0, count = 0, done = 0,
    best_loss = math.huge, last_step = options.steps and info.step + options.steps or info.steps,
  }, {__index = run})
  local last = {step = info.step}
  local over = info.step >= self.last_step
  while not over do
    local stats, next_over, code = self:step()
    if not stats then return nil, next_over, code end
    last, over = stats, next_over
  end
  last.steps_done = self.done
  if self.best_loss < math.huge then last.best_loss = self.best_loss end
  return last
end

local function clock_time(seconds)
  seconds = math.floor(seconds + 0.5)
  return ("%d:%02d:%02d"):format(math.floor(seconds / 3600), math.floor(seconds / 60) % 60, seconds % 60)
end

function train.progress(stats)
  local line = ("step %d  loss %.4f  norm %.2f  rate %.2g  %d tokens/s  left %s"):format(
    stats.step, stats.loss, stats.grad_norm, stats.learning_rate, math.floor(stats.tokens_per_second or 0),
    clock_time(stats.time_left or 0))
  if stats.evaluation then
    line = line .. ("  evaluation: loss %.4f, %.1f %% right"):format(stats.evaluation.loss, 100 * stats.evaluation.accuracy)
  end
  return line
end

train.curve = require "mobilellm.train.curve"

return train
