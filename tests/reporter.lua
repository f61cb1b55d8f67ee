-- A busted output handler: failures in full, then "<lua>: P passed, F failed, S skipped".
return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  handler.suiteEnd = function()
    for _, list in ipairs{handler.failures, handler.errors} do
      for _, f in ipairs(list) do
        local message = f.message
        if type(message) ~= "string" then message = message == nil and "error" or require "pl.pretty".write(message) end
        io.write("FAILED ", f.name or "?", "\n  ", f.trace and f.trace.short_src or "", ":",
          tostring(f.trace and f.trace.currentline or ""), "\n  ", (message:gsub("\n", "\n  ")), "\n")
      end
    end
    for _, p in ipairs(handler.pendings) do
      io.write("skipped: ", p.name or "?", type(p.message) == "string" and " (" .. p.message .. ")" or "", "\n")
    end
    io.write(("%s: %d passed, %d failed, %d skipped\n"):format(_VERSION, handler.successesCount,
      handler.failuresCount + handler.errorsCount, handler.pendingsCount))
    return nil, true
  end
  busted.subscribe({"suite", "end"}, handler.suiteEnd)
  return handler
end
