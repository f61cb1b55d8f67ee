-- Runs busted under whichever Lua executes this file, with a reporter that closes in the form tests/run adds up.
-- usage: LUA tests/specs.lua PATH_OF_BUSTED [spec ...]
local names = {}
for i = 2, #arg do names[#names + 1] = "tests/spec/" .. arg[i] .. "_spec.lua" end
if #names == 0 then names[1] = "tests/spec" end
arg = {[0] = arg[1], "--output=tests/reporter.lua", "--pattern=_spec", (unpack or table.unpack)(names)}
dofile(arg[0])
