-- lines(path, most) -> list of {number, text} of the lines that are not blank (the first `most`); gzipped files through the program
-- gzip. nil, message, code when the file cannot be read.

-- A shell word.
local function quote(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

return function(path, most)
  local file, message = io.open(path, "rb")
  if not file then return nil, message, "io" end
  if file:read(2) == "\31\139" then
    file:close()
    file = io.popen("gzip -dc " .. quote(path), "r")
  else
    file:seek "set"
  end
  local lines, number = {}, 0
  for line in file:lines() do
    number = number + 1
    if line:find "%S" then
      lines[#lines + 1] = {number, line}
      if most and #lines >= most then break end
    end
  end
  file:close()
  return lines
end
