package = "mobilellm"
version = "scm-1"
source = {
   url = "git+file://.",
}
description = {
   summary = "Small language models inside a Lua program",
   detailed = [[
A C engine for language models of less than a billion parameters, held by Lua at every joint: tokens, logits, sampling,
grammars, tool calls, training. Needs libutf8proc and, unless built with BLAS=none, OpenBLAS.]],
   license = "MIT",
}
dependencies = {
   "lua >= 5.1, < 5.5",
}
build = {
   type = "make",
   build_target = "rock",
   build_variables = {
      ROCK_LUA = "$(LUA)",
   },
   install_target = "rock-install",
   install_variables = {
      ROCK_LUA = "$(LUA)",
      ROCK_LUADIR = "$(LUADIR)",
      ROCK_LIBDIR = "$(LIBDIR)",
      ROCK_BINDIR = "$(BINDIR)",
   },
}
