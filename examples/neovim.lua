-- Text that goes on at the cursor, in Neovim 0.7 or later. Nothing waits: a thread of its own does the work, and the editor polls it.
--
--   vim.g.mobilellm_model = "/path/of/a/model.gguf"      in init.lua; LUA_PATH and LUA_CPATH as `make -s env LUA_VERSION=5.1` prints them,
--   dofile "/path/of/examples/neovim.lua"                or `make install LUA_VERSION=5.1`
--
-- :MobilellmContinue [TOKENS] writes at the cursor while you go on editing; :MobilellmStop ends it; one undo takes it all back.
local mobilellm = require "mobilellm"
local api = vim.api
local place = api.nvim_create_namespace "mobilellm"
local model, session, job

local function say(message) api.nvim_echo({{"mobilellm: " .. message, "ErrorMsg"}}, true, {}) end

-- What stands before the cursor, its last 2000 bytes from a character's beginning on.
local function before_cursor()
  local row, column = unpack(api.nvim_win_get_cursor(0))
  local lines = api.nvim_buf_get_lines(0, 0, row, false)
  -- In normal mode the cursor stands on a character: text goes on behind it.
  if api.nvim_get_mode().mode == "n" then column = column + #lines[row]:sub(column + 1):match "^[%z\1-\127\194-\244]?[\128-\191]*" end
  lines[row] = lines[row]:sub(1, column)
  return table.concat(lines, "\n"):sub(-2000):gsub("^[\128-\191]+", ""), row - 1, column
end

local function continue(tokens)
  if job then return say "is still writing (:MobilellmStop)" end
  if not model then
    local path = vim.g.mobilellm_model
    if not path then return say "set vim.g.mobilellm_model to a model's file" end
    local message
    model, message = mobilellm.load(path)
    if not model then return say(message) end
    session = assert(model:session{context = 2048})
  end
  local text, row, column = before_cursor()
  session:rewind(0)
  local started, message = session:start(text, {max_tokens = tokens, temperature = 0.7, top_p = 0.9, stop = {"\n\n"}})
  if not started then return say(message) end
  job = started
  local buffer, poll, come, waiting, over, joined = api.nvim_get_current_buf(), vim.loop.new_poll(job:pollfd()), {}, false, false, false
  local mark = api.nvim_buf_set_extmark(buffer, place, row, column, {}) -- moves along with edits before it and with what is written

  -- In the editor's own time: what has come goes into the buffer.
  local function write()
    waiting = false
    if not api.nvim_buf_is_valid(buffer) then job:cancel() end
    local piece = table.concat(come)
    come = {}
    if piece ~= "" and api.nvim_buf_is_valid(buffer) then
      local at = api.nvim_buf_get_extmark_by_id(buffer, place, mark, {})
      if joined then pcall(vim.cmd, "undojoin") end -- fails right after an undo, and then it is a step of its own
      local written, why = pcall(api.nvim_buf_set_text, buffer, at[1], at[2], at[1], at[2], vim.split(piece, "\n", {plain = true}))
      if not written then
        job:cancel()
        say(why)
      end
      joined = true
    end
    if over then
      if over ~= true then say(over) end
      if api.nvim_buf_is_valid(buffer) then api.nvim_buf_del_extmark(buffer, place, mark) end
      job:close()
      job = nil
    end
  end

  poll:start("r", function() -- between two events: no function of the editor may be called here
    local piece, failure = job:read()
    if not piece then
      over = failure or true
      poll:stop()
      poll:close()
    end
    come[#come + 1] = piece
    if not waiting then
      waiting = true
      vim.schedule(write)
    end
  end)
end

api.nvim_create_user_command("MobilellmContinue", function(o) continue(tonumber(o.args) or 60) end, {nargs = "?"})
api.nvim_create_user_command("MobilellmStop", function() if job then job:cancel() end end, {})
