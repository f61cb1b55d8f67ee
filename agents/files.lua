-- A files agent: finds, reads and moves files inside one folder.
--
--   lua5.4 agents/files.lua FOLDER "find the notes about the garden"    these sentences; none: what is typed (on a terminal)
--
-- The folder is a wall: a path is taken apart name by name, "..", absolute paths and symbolic links are refused wherever they stand,
-- and only regular files are read or moved. Moving needs a yes (on the terminal, or --yes) and never overwrites: the new name is
-- linked first, which fails when there is one. What another program does in the folder between the check and the deed is not guarded.
-- Needs LuaFileSystem (Debian: lua-filesystem, LuaRocks: luafilesystem).
--
-- As a module: local agent = assert(require "files".new{folder = path, model = path}); agent:say(sentence, approve) (parts/loop.lua)
local directory = ((debug.getinfo(1, "S").source:match "^@(.*)$") or "agents/files.lua"):match "^(.*)/[^/]*$" or "."
local loop = dofile(directory .. "/parts/loop.lua")

local files = {}
local FOUND, SHOWN, LISTED = 20, 4000, 20000 -- names in an answer, bytes of a text, names that are looked at
local DEPTH = 16 -- folders in folders

local function need(value, message)
  if value == nil or value == false then error(message, 0) end
  return value
end

-- A path that was given, as names below the folder; raises for one that leads elsewhere.
local function names_of(path)
  need(not path:find "[%z\1-\31]" and path ~= "", "that is no path")
  need(path:sub(1, 1) ~= "/" and not path:find "^%a:" and not path:find("\\", 1, true), ("'%s' is not inside the folder"):format(path))
  local names = {}
  for name in path:gmatch "[^/]+" do
    need(name ~= "..", ("'%s' is not inside the folder"):format(path))
    if name ~= "." then names[#names + 1] = name end
  end
  need(#names > 0, "that is the folder itself")
  return names
end

-- The path on the disk, after a look at every name on the way: each a folder and no link. `last`: what the last one must be, "file" or
-- "none"; nil: a folder, or nothing.
local function inside(agent, path, last)
  local names, at = names_of(path), agent.folder
  for i, name in ipairs(names) do
    at = at .. "/" .. name
    local mode = agent.lfs.symlinkattributes(at, "mode")
    if i < #names then
      need(mode, ("there is no '%s'"):format(path))
      need(mode == "directory", ("'%s' does not go through folders"):format(path))
    elseif last == "file" then
      need(mode, ("there is no '%s'"):format(path))
      need(mode == "file", ("'%s' is a %s"):format(path, mode))
    elseif last == "none" then
      need(not mode, ("there is a '%s' already"):format(path))
    end
  end
  return at, table.concat(names, "/")
end

-- All regular files, sorted, as paths below the folder; links are not followed.
local function list(agent)
  local out, looked = {}, 0
  local function walk(below, depth)
    local ok, iterate, state = pcall(agent.lfs.dir, agent.folder .. below)
    if not ok then return end
    for name in iterate, state do
      looked = looked + 1
      if looked > LISTED then return end
      local mode = agent.lfs.symlinkattributes(agent.folder .. below .. "/" .. name, "mode")
      if mode == "file" then
        out[#out + 1] = (below .. "/" .. name):sub(2)
      elseif mode == "directory" and name ~= "." and name ~= ".." and depth < DEPTH then
        walk(below .. "/" .. name, depth + 1)
      end
    end
  end
  walk("", 1)
  table.sort(out)
  return out
end

-- The files whose path has the words; those that have more of them first.
local function matching(agent, text)
  local words, scores, out = {}, {}, {}
  local bare = text:lower():gsub("(%w)%.%a%w*", "%1") -- an ending says little
  for word in bare:gmatch "[%w\128-\255]+" do
    if #word > 1 then words[#words + 1] = word end
  end
  for _, path in ipairs(list(agent)) do
    local score, lower = 0, path:lower()
    for _, word in ipairs(words) do
      if lower:find(word, 1, true) or #word > 3 and lower:find(word:gsub("s$", ""), 1, true) then score = score + #word end
    end
    if score > 0 then out[#out + 1], scores[path] = path, score end
  end
  table.sort(out, function(a, b)
    if scores[a] ~= scores[b] then return scores[a] > scores[b] end
    return a < b
  end)
  return out
end

-- A file that was meant: by its path, or by a name that only one file has.
local function meant(agent, name)
  local found = {}
  for _, path in ipairs(list(agent)) do
    if path == name then return path end
    local file = path:match "[^/]*$"
    if file:lower() == name:lower() or file:lower():gsub("%.%w+$", "") == name:lower() then found[#found + 1] = path end
  end
  need(#found <= 1, ("'%s' may be any of these:\n%s"):format(name, table.concat(found, "\n", 1, math.min(#found, FOUND))))
  return found[1] or name
end

local function declare(agent)
  local function text(description) return {type = "string", description = description} end
  local function schema(properties, ...)
    return {type = "object", properties = properties, required = {...}, additionalProperties = false}
  end
  return {
    {name = "find_files", description = "Find files by words of their name",
      parameters = schema({query = text "Words of the name"}, "query"),
      call = function(arguments)
        local found = matching(agent, arguments.query)
        local more = #found > FOUND and ("\nand %d more"):format(#found - FOUND) or ""
        return #found > 0 and table.concat(found, "\n", 1, math.min(#found, FOUND)) .. more or "there is no such file"
      end},
    {name = "read_file", description = "Read a file", unless = {"move", "rename", "delete", "remove"},
      parameters = schema({file = text "Name of the file"}, "file"),
      call = function(arguments)
        loop.insist(agent.sentence, "a file", arguments.file:gsub("%.%w+$", ""):match "[^/]*$")
        local path, shown = inside(agent, meant(agent, arguments.file), "file")
        local file, message = io.open(path, "rb")
        need(file, message)
        local data = file:read(SHOWN + 1) or ""
        file:close()
        need(not data:find "%z", ("'%s' is no text"):format(shown))
        if #data > SHOWN then data = data:sub(1, SHOWN):gsub("[\192-\255][\128-\191]*$", "") .. "\n(there is more)" end
        return shown .. ":\n" .. data:gsub("\r\n", "\n"):gsub("[%c\127]", function(c) return (c == "\n" or c == "\t") and c or "?" end)
      end},
    {name = "move_file", description = "Move a file to a folder or another name", confirm = true,
      unless = {"delete", "remove", "find", "read", "show", "^what", "^where", "^is", "^do"},
      parameters = schema({file = text "Name of the file", destination = text "Folder or new name"}, "file", "destination"),
      call = function(arguments)
        loop.insist(agent.sentence, "a file", arguments.file:gsub("%.%w+$", ""):match "[^/]*$")
        loop.insist(agent.sentence, "a place", arguments.destination)
        local from, shown = inside(agent, meant(agent, arguments.file), "file")
        local to, new = inside(agent, (arguments.destination:gsub("/+$", "")))
        if agent.lfs.symlinkattributes(to, "mode") == "directory" then
          to, new = inside(agent, new .. "/" .. shown:match "[^/]*$", "none")
        else
          local ending = shown:match "%.%w+$" or "" -- "rename notes.txt to garden" keeps it a text
          to, new = inside(agent, new:find "%.%w+$" and new or new .. ending, "none")
        end
        local ok, message = agent.lfs.link(from, to)
        need(ok, message)
        ok, message = os.remove(from)
        if not ok then
          os.remove(to)
          error(message, 0)
        end
        return ("moved %s to %s"):format(shown, new)
      end},
  }
end

-- The model is shown the files that the sentence may be about.
local function system(agent)
  local lines = {"Files:"}
  for i, path in ipairs(matching(agent, agent.sentence)) do
    if i <= 8 then lines[#lines + 1] = path end
  end
  return table.concat(lines, "\n")
end

-- options: folder, model, chat (parts/loop.lua)
function files.new(options)
  local ok, lfs = pcall(require, "lfs")
  if not ok then
    return nil, "this agent needs LuaFileSystem (apt install lua-filesystem, or luarocks install luafilesystem)", "unsupported"
  end
  local folder = options.folder and options.folder:gsub("(.)/+$", "%1")
  if not folder then return nil, "no folder", "io" end
  local mode, message = lfs.attributes(folder, "mode")
  if mode ~= "directory" then return nil, message or folder .. ": not a folder", "io" end
  local agent = {folder = folder, model_path = loop.calls_path, lfs = lfs, system = system}
  agent.tools = declare(agent)
  return loop.new(agent, options)
end

function files.main(arguments)
  return loop.main({name = "files", usage = "files.lua FOLDER [SENTENCE ...] [--yes] [--model FILE]", words = 1,
    options = {model = true},
    open = function(words, options) return files.new{folder = table.remove(words, 1), model = options.model} end}, arguments)
end

if arg and arg[0] and arg[0]:match "files%.lua$" and (...) ~= "files" then os.exit(files.main(arg)) end

return files
