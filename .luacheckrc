std = "min"
max_line_length = 130
ignore = {"212/self", "611", "612"}
files["tests/spec"] = {std = "min+busted"}
