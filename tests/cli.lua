-- For specs: runs the command line under the Lua of the tests. cli(arguments, input) -> standard output, standard error, exit code;
-- arguments as the shell reads them, input: text for standard input
local LUA = os.getenv "MLLM_TEST_LUA" or "lua5.4"

local function slurp(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  os.remove(path)
  return text
end

return function(arguments, input)
  local out, err, from = os.tmpname(), os.tmpname(), nil
  local redirect = "</dev/null"
  if input then
    from = os.tmpname()
    local f = assert(io.open(from, "wb"))
    f:write(input)
    f:close()
    redirect = "<" .. from
  end
  local pipe = io.popen(("%s lua-mobilellm/bin/mobilellm %s %s >%s 2>%s; echo $?"):format(LUA, arguments, redirect, out, err))
  local code = tonumber(pipe:read "*a")
  pipe:close()
  if from then os.remove(from) end
  return slurp(out), slurp(err), code
end
