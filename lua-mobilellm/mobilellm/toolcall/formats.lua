-- The wire formats, as data. A record says how a call is written; the parser, the prompt and the grammar read the same record.
-- The first spelling of a field is the one to write, the others are understood too. A new format is a new record: see
-- core/toolcall/toolcall.h for the fields, mobilellm.toolcall.format to add one.
--
-- `aliases` are other names of the format, `hidden` keeps it out of "auto" (it would take plain text for a call).

local formats = {
  {
    name = "mobilellm", aliases = {"mobilellm_paper", "paper", "parser"},
    models = "MobileLLM, appendix H.5 of the paper (arXiv 2402.14905): the PARSER role",
    body = "python", bare = true, line = true, separator = "\n", assign = " = ",
  },
  {
    name = "pythonic", aliases = {"llama4_pythonic", "llama3_pythonic"},
    models = "Llama 3.2 and 4, ToolACE",
    body = "python", bare = true, list = true, separator = ", ",
  },
  {
    name = "lfm2", aliases = {"lfm2.5"},
    models = "LFM2, LFM2.5 (which often leaves the markers out)",
    body = "python", list = true, bare = true, separator = ", ",
    section = {"<|tool_call_start|>", "<|tool_call_end|>"},
  },
  {
    name = "olmo3", models = "Olmo 3",
    body = "python", separator = "\n",
    section = {"<function_calls>", "</function_calls>"},
  },
}

return formats
