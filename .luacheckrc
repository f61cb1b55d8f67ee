std = "min"
max_line_length = 140
ignore = {"212/self", "611", "612"}
read_globals = {"unpack", table = {fields = {"unpack"}}, math = {fields = {"type"}}}
files["tests/spec"] = {std = "min+busted"}
files["tests/specs.lua"] = {globals = {"arg"}}
files["lua-mobilellm/mobilellm.d.lua"] = {ignore = {"211", "212", "241", "631"}}
files["examples/neovim.lua"] = {read_globals = {"vim"}}
files["examples/love"] = {globals = {"love"}}
