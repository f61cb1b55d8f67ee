-- What a model has learned of an interface and what it confuses, from rows with known calls.
--
--   local report = require "mobilellm.train.report"
--   local text, score = assert(report.text(model, rows, options))     -- options as for mobilellm.eval.rows

local report = {}

local function called(calls)
  if #calls == 0 then return "no call" end
  local names = {}
  for i, call in ipairs(calls) do names[i] = call.name end
  table.sort(names)
  return table.concat(names, " + ")
end

local function by_count(map)
  local list = {}
  for key, value in pairs(map) do list[#list + 1] = {key = key, value = value} end
  table.sort(list, function(a, b)
    if a.value.wrong ~= b.value.wrong then return a.value.wrong > b.value.wrong end
    return a.key < b.key
  end)
  return list
end

local function percent(part, whole) return whole > 0 and ("%5.1f"):format(100 * part / whole) or "    -" end

-- Adds the arguments of a row with one call, rightly named, to the figures by argument.
local function count_arguments(arguments, row, calls)
  local eval = require "mobilellm.eval"
  local wanted, got = row.calls[1], calls[1]
  local names = {}
  for name in pairs(wanted.arguments) do names[name] = true end
  for name in pairs(got.arguments) do names[name] = true end
  for name in pairs(names) do
    local key = wanted.name .. "." .. name
    local at = arguments[key] or {rows = 0, wrong = 0}
    arguments[key] = at
    at.rows = at.rows + 1
    if not eval.same(wanted.arguments[name], got.arguments[name]) then
      at.wrong = at.wrong + 1
      at.example = at.example or {wanted = wanted.arguments[name], got = got.arguments[name]}
    end
  end
end

local function shown(value)
  if value == nil then return "nothing" end
  return (require "mobilellm.signature".value(value):gsub('" ', '"'))
end

function report.text(model, rows, options)
  local eval, signature = require "mobilellm.eval", require "mobilellm.signature"
  local tools, confused, arguments, examples, kinds = {}, {}, {}, {}, {}
  local passed = {}
  for name, value in pairs(options or {}) do passed[name] = value end
  function passed.on_row(_, row, calls, _, right)
    local wanted, got = called(row.calls), called(calls)
    local at = tools[wanted] or {rows = 0, named = 0, right = 0, wrong = 0}
    tools[wanted] = at
    at.rows, at.named, at.right = at.rows + 1, at.named + (wanted == got and 1 or 0), at.right + (right and 1 or 0)
    at.wrong = at.rows - at.right
    local kind = kinds[row.kind or "rows"] or {rows = 0, named = 0, right = 0, wrong = 0}
    kinds[row.kind or "rows"] = kind
    kind.rows, kind.named, kind.right = kind.rows + 1, kind.named + (wanted == got and 1 or 0), kind.right + (right and 1 or 0)
    if wanted ~= got then
      local key = wanted .. " -> " .. got
      confused[key] = confused[key] or {wrong = 0, said = row.messages[#row.messages].content}
      confused[key].wrong = confused[key].wrong + 1
    elseif #row.calls == 1 then
      count_arguments(arguments, row, calls)
    end
    if not right and #examples < 5 then
      examples[#examples + 1] = ("  %s\n    wanted %s\n    got    %s"):format(row.messages[#row.messages].content,
        #row.calls > 0 and signature.answer(row.calls, row.tools):gsub('" ', '"'):gsub("\n", "; ") or "no call",
        #calls > 0 and signature.answer(calls, row.tools):gsub('" ', '"'):gsub("\n", "; ") or "no call")
    end
  end
  local score, message, code = eval.rows(model, rows, passed)
  if not score then return nil, message, code end

  local out = {}
  local function say(...) out[#out + 1] = string.format(...) end
  local function table_of(title, map)
    local list = by_count(map)
    say("%-34s %5s %13s %13s", title, "rows", "right tool %", "all right %")
    for _, item in ipairs(list) do
      say("  %-32s %5d %13s %13s", item.key, item.value.rows, percent(item.value.named, item.value.rows),
        percent(item.value.right, item.value.rows))
    end
  end
  table_of("by kind", kinds)
  table_of("by tool", tools)
  local list = by_count(confused)
  if #list > 0 then say "confused (wanted -> got)" end
  for i = 1, math.min(8, #list) do say("  %3d  %s   e.g. %s", list[i].value.wrong, list[i].key, list[i].value.said) end
  list = by_count(arguments)
  if #list > 0 and list[1].value.wrong > 0 then say "arguments that are wrong most often, where the tool is right" end
  for i = 1, math.min(8, #list) do
    local at = list[i].value
    if at.wrong > 0 then
      say("  %3d of %-4d %s   e.g. wanted %s, got %s", at.wrong, at.rows, list[i].key, shown(at.example.wanted), shown(at.example.got))
    end
  end
  if #examples > 0 then say "some that came out wrong" end
  for _, example in ipairs(examples) do say("%s", example) end
  return table.concat(out, "\n") .. "\n", score
end

return report
