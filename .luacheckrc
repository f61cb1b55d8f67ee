std = "min"
max_line_length = 130
ignore = {"212/self", "611", "612"}
read_globals = {"unpack", table = {fields = {"unpack"}}}
files["tests/spec"] = {std = "min+busted"}
files["tests/specs.lua"] = {globals = {"arg"}}
