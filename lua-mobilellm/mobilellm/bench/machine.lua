-- What machine this is, and its limits, measured.
local core = require "mobilellm.core"

local machine = {}

local function line_of(path, pattern)
  local f = io.open(path)
  if not f then return nil end
  for line in f:lines() do
    local found = line:match(pattern)
    if found then
      f:close()
      return found
    end
  end
  f:close()
end

-- {name, cores, features, caches}: caches as text, for instance "L1 48K, L2 1024K, L3 32768K"
function machine.describe()
  local facts = core.machine()
  local caches = {}
  for i = 0, 5 do
    local at = ("/sys/devices/system/cpu/cpu0/cache/index%d/"):format(i)
    local level, kind, size = line_of(at .. "level", "%d+"), line_of(at .. "type", "%a+"), line_of(at .. "size", "%w+")
    if level and kind ~= "Instruction" and size then caches[#caches + 1] = ("L%s %s"):format(level, size) end
  end
  return {
    name = line_of("/proc/cpuinfo", "^model name%s*:%s*(.*)$") or "unknown processor",
    cores = facts.cores, features = facts.features, caches = table.concat(caches, ", "),
    load = line_of("/proc/loadavg", "^%S+"),
  }
end

local function status(key) return (tonumber(line_of("/proc/self/status", "^" .. key .. ":%s*(%d+) kB")) or 0) * 1024 end

-- Memory of this process: now, at its peak; and forgetting the peak, where the system can (true then).
function machine.resident() return status "VmRSS" end
function machine.peak() return status "VmHWM" end
function machine.reset_peak()
  local f = io.open("/proc/self/clear_refs", "w")
  if not f then return false end
  local done = f:write "5"
  return f:close() and done and true or false
end

function machine.file_bytes(path)
  local f = io.open(path, "rb")
  if not f then return 0 end
  local size = f:seek "end"
  f:close()
  return size or 0
end

-- {read = {[threads] = figure in bytes/s}, product = {[threads] = figure in operations/s}}, for 1 .. `threads`. The weights are of `type`.
function machine.limits(options)
  local figures = require "mobilellm.bench.figures"
  local limits = {read = {}, product = {}, kernel = options.kernel, type = options.type, bytes = options.bytes}
  for threads = 1, options.threads do
    limits.read[threads] = figures.spread(figures.check(core.measure_read{
      bytes = options.bytes, threads = threads, repeats = options.repeats}))
    limits.product[threads] = figures.spread(figures.check(core.measure_product{
      kernel = options.kernel, type = options.type, threads = threads, repeats = options.repeats}))
  end
  return limits
end

return machine
