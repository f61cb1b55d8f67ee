-- The wire formats, as data. A record says how a call is written; reading (core/toolcall), writing (write.lua) and the grammar
-- (constrain.lua) all come from it. A new format is a new record: mobilellm.toolcall.format{...} adds one, format = {...} uses one.
--
-- The first spelling of a field is the one to write, the others are understood too; "" as the first means that nothing is written.
-- Pairs are {begin, end}. The order of the list is the one in which "auto" tries the formats.
--
--   name, aliases, models    names, and who writes so
--   hidden                   not for "auto", where it would take plain text for a call
--   body                     "json"    {"name": ..., "arguments": {...}}
--                            "named"   a name, then the object of the arguments
--                            "tagged"  a name, then key and value of each argument in tags; values are typed by the schema
--                            "python"  name(key = value, ...)
--                            "channels" messages with a header that names the recipient
--   section, call            pairs around all calls and around each call
--   list                     the calls stand in [ ]; list_open, list_close: when that is written with more around it
--   bare                     calls may stand without a marker; line: only where a line begins; weak: the section's marker alone
--                            proves nothing; start: the prompt ends inside the first call's marker (bare_start) or header
--   separator, padding       between calls; inside the markers (written, not asked for in reading)
--   one_per_section          each call has a section of its own
--   name_key, arguments_key, id_key      keys of the object (json); name_is_key: {name: arguments}; arguments_text: the object
--                            stands in a JSON string; nest_key: keys that hold calls; text_key: keys that hold text; extra_key: keys
--                            that a bare call may have; id_length: ids of that many letters and digits are needed
--   name_end, id_begin       after the name, before an id; name_prefix: before it; name_suffix: what follows it is the call's place
--   delimiter                around strings, whose objects have keys without quotes
--   key, value               pairs of tags; value_text, value_json: opening tags that say the type; trim: a line end at each end of
--                            a value is not part of it
--   assign                   between name and value of an argument (python)
--   reasoning                pair around thoughts (<think> unless given); reasoning_stray: markers of these that mean nothing alone;
--                            reasoning_calls: a call ends them
--   drop                     control tokens that are no text
--   channels_begin, channels_message, channels_end, channels_reasoning, recipient, header, text_name    see harmony

local name_and_arguments = {"arguments", "parameters"}
local cohere_thoughts = {"<|START_THINKING|>", "<|END_THINKING|>"}
local mistral_thoughts = {{"[THINK]", "<think>"}, {"[/THINK]", "</think>"}}

return {
  {
    name = "mobilellm", aliases = {"mobilellm_paper", "paper"},
    models = "MobileLLM, appendix H.5 of the paper (arXiv 2402.14905): the PARSER role",
    body = "python", bare = true, line = true, separator = "\n", assign = " = ",
  },

  -- ------------------------------------------------- {"name": ..., "arguments": ...} between markers

  {
    name = "hermes", aliases = {"qwen", "qwen2.5", "qwen3", "smollm3", "granite4", "reka"},
    models = "Hermes 2 and 3, Qwen2.5, Qwen3, Granite 4, SmolLM3 (xml tools), Reka Edge",
    body = "json", call = {"<tool_call>", "</tool_call>"}, separator = "\n", padding = "\n",
    name_key = "name", arguments_key = name_and_arguments, id_key = "id", nest_key = "function", extra_key = {"type"},
  },
  {
    name = "mistral_v3", aliases = {"mistral", "mistral_nemo"},
    models = "Mistral 7B v0.3, Nemo, Small 2409",
    body = "json", list = true, section = {"[TOOL_CALLS]"}, drop = "</s>", reasoning = mistral_thoughts,
    name_key = "name", arguments_key = "arguments", id_key = "id", id_length = 9,
  },
  {
    name = "phi4_mini", models = "Phi-4-mini",
    body = "json", list = true, section = {"<|tool_call|>", "<|/tool_call|>"},
    name_key = "name", arguments_key = name_and_arguments,
  },
  {
    name = "granite3", aliases = {"granite"}, models = "Granite 3.x",
    body = "json", list = true, section = {{"<|tool_call|>", "<tool_call>"}, {"", "</tool_call>"}},
    name_key = "name", arguments_key = name_and_arguments,
  },
  {
    name = "granite_20b", aliases = {"granite_20b_fc", "gigachat3.1"}, models = "Granite-20B-FC, GigaChat 3.1",
    body = "json", call = {{"<function_call>", "<|function_call|>"}, {"", "</function_call>"}},
    name_key = "name", arguments_key = name_and_arguments,
  },
  {
    name = "gigachat3", models = "GigaChat 3",
    body = "json", call = {"<|message_sep|>\n\nfunction call<|role_sep|>\n"},
    name_key = "name", arguments_key = name_and_arguments,
  },
  {
    name = "functools", aliases = {"firefunction", "firefunction_v2"}, models = "FireFunction v2",
    body = "json", list = true, section = {"functools"},
    name_key = "name", arguments_key = name_and_arguments,
  },
  {
    name = "command_r7b", aliases = {"cohere", "cohere2"}, models = "Command-R7B and later",
    body = "json", list = true, section = {"<|START_ACTION|>", "<|END_ACTION|>"}, reasoning = cohere_thoughts,
    drop = {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"},
    name_key = "tool_name", arguments_key = "parameters", id_key = "tool_call_id",
  },
  {
    name = "command_r_plus", models = "Command-R+",
    body = "json", list = true, section = {{"Action:\n```json\n", "Action: ```json\n"}, {"\n```", "```"}},
    drop = {"<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>"},
    name_key = "tool_name", arguments_key = "parameters",
  },
  {
    name = "nemotron_v2", models = "Nemotron Nano v2",
    body = "json", list = true, section = {"<TOOLCALL>", "</TOOLCALL>"}, drop = "<SPECIAL_12>",
    name_key = "name", arguments_key = name_and_arguments,
  },
  {
    name = "apriel", models = "Apriel 1.5 and 1.6",
    body = "json", list = true, section = {"<tool_calls>", "</tool_calls>"},
    reasoning = {"<think>", {"[BEGIN FINAL RESPONSE]", "</think>"}},
    drop = "[END FINAL RESPONSE]",
    name_key = "name", arguments_key = name_and_arguments, id_key = "id",
  },
  {
    name = "apertus", models = "Apertus",
    body = "json", list = true, section = {"<|tools_prefix|>", "<|tools_suffix|>"}, name_is_key = true,
  },
  {
    name = "llama3_python_tag", models = "Llama 3.1 and later",
    body = "json", section = {"<|python_tag|>"}, separator = "; ", drop = {"<|eom_id|>", "<|eot_id|>"},
    name_key = "name", arguments_key = {"parameters", "arguments"}, extra_key = {"type"}, nest_key = "function",
  },
  {
    name = "llama3_builtin", models = "Llama 3.1, built-in tools",
    body = "python", section = {"<|python_tag|>"}, name_suffix = ".call", drop = {"<|eom_id|>", "<|eot_id|>"},
  },

  -- ----------------------------------------------------------- a name, then an object of arguments

  {
    name = "mistral_v11", aliases = {"mistral_v11_id", "ministral_3", "devstral", "magistral"},
    models = "Devstral, Magistral, Small 3.1 and 3.2, Ministral 3",
    body = "named", call = {"[TOOL_CALLS]"}, name_end = "[ARGS]", id_begin = "[CALL_ID]", drop = "</s>",
    reasoning = mistral_thoughts,
  },
  {
    name = "deepseek_v3", aliases = {"deepseek", "deepseek_r1"}, models = "DeepSeek V3, R1 and its distillates",
    body = "named",
    section = {{"<｜tool▁calls▁begin｜>", "<｜tool_calls_begin｜>"}, {"<｜tool▁calls▁end｜>", "<｜tool_calls_end｜>"}},
    call = {
      {"<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "<｜tool_call_begin｜>function<｜tool_sep｜>"},
      {"\n```<｜tool▁call▁end｜>", "```<｜tool▁call▁end｜>", "<｜tool▁call▁end｜>", "```<｜tool_call_end｜>", "<｜tool_call_end｜>", "```"},
    },
    name_end = {"\n```json\n", "\n```json", "\n"}, drop = "<｜end▁of▁sentence｜>", separator = "\n",
  },
  {
    name = "deepseek_v31", models = "DeepSeek V3.1",
    body = "named", section = {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"},
    call = {"<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"}, name_end = "<｜tool▁sep｜>",
    drop = "<｜end▁of▁sentence｜>",
  },
  {
    name = "kimi_k2", aliases = {"kimi"}, models = "Kimi K2",
    body = "named", section = {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"},
    call = {"<|tool_call_begin|>", "<|tool_call_end|>"}, name_end = "<|tool_call_argument_begin|>",
    name_prefix = "functions.", name_suffix = ":", reasoning_calls = true,
  },
  {
    name = "functiongemma", models = "FunctionGemma 270M",
    body = "named", call = {"<start_function_call>call:", "<end_function_call>"}, delimiter = "<escape>",
    drop = {"<start_function_response>", "<end_of_turn>"},
  },
  {
    name = "gemma4", models = "Gemma 4",
    body = "named", call = {"<|tool_call>call:", "<tool_call|>"}, delimiter = '<|"|>',
    reasoning = {{"<|channel>thought\n", "<|channel>thought"}, "<channel|>"},
    reasoning_stray = {"<|channel>", "<channel|>"},
  },

  -- ----------------------------------------------------------------------- arguments in tags

  {
    name = "qwen3_xml", aliases = {"qwen3_coder", "qwen3.5", "nemotron_3", "step3.5", "mimo"},
    models = "Qwen3-Coder, Qwen3.5, Nemotron 3 Nano, Step-3.5, MiMo",
    body = "tagged", section = {"<tool_call>", "</tool_call>"}, call = {"<function=", "</function>"}, name_end = ">",
    key = {"<parameter=", ">"}, value = {nil, "</parameter>"}, trim = true, separator = "\n", padding = "\n",
    one_per_section = true,
  },
  {
    name = "seed_oss", models = "ByteDance Seed-OSS",
    body = "tagged", section = {"<seed:tool_call>", "</seed:tool_call>"}, call = {"<function=", "</function>"},
    name_end = ">", key = {"<parameter=", ">"}, value = {nil, "</parameter>"}, trim = true, separator = "\n",
    padding = "\n", one_per_section = true,
    reasoning = {"<seed:think>", "</seed:think>"},
  },
  {
    name = "minimax_m2", aliases = {"minimax"}, models = "MiniMax M2",
    body = "tagged", section = {"<minimax:tool_call>", "</minimax:tool_call>"}, call = {'<invoke name="', "</invoke>"},
    name_end = '">', key = {'<parameter name="', '">'}, value = {nil, "</parameter>"}, separator = "\n", padding = "\n",
  },
  {
    name = "deepseek_dsml", aliases = {"deepseek_v32", "deepseek_v4"}, models = "DeepSeek V3.2, V4",
    body = "tagged",
    section = {
      {"<｜DSML｜function_calls>", "<｜DSML｜tool_calls>"}, {"</｜DSML｜function_calls>", "</｜DSML｜tool_calls>"},
    },
    call = {'<｜DSML｜invoke name="', "</｜DSML｜invoke>"}, name_end = '">',
    key = {'<｜DSML｜parameter name="', '"'}, value = {">", "</｜DSML｜parameter>"},
    value_text = ' string="true">', value_json = ' string="false">', separator = "\n", padding = "\n",
  },
  {
    name = "glm4", aliases = {"glm", "glm45", "glm47"}, models = "GLM-4.5, 4.6, 4.7",
    body = "tagged", call = {"<tool_call>", "</tool_call>"}, name_end = "\n",
    key = {"<arg_key>", "</arg_key>"}, value = {"<arg_value>", "</arg_value>"}, separator = "\n",
  },
  {
    name = "functionary_v31", models = "Functionary v3.1",
    body = "named", call = {"<function=", "</function>"}, name_end = ">",
  },
  {
    name = "functionary_v32", aliases = {"functionary"}, models = "Functionary v3.2",
    body = "named", call = {">>>"}, name_end = "\n", start = true, text_name = "all", bare_start = true,
  },

  -- ---------------------------------------------------------------- Python's way of writing calls

  {
    name = "lfm2", aliases = {"lfm2.5"}, models = "LFM2, LFM2.5 (which often leaves the markers out)",
    body = "python", list = true, bare = true, separator = ", ",
    section = {"<|tool_call_start|>", "<|tool_call_end|>"},
  },
  {
    name = "olmo3", models = "Olmo 3",
    body = "python", section = {"<function_calls>", "</function_calls>"}, separator = "\n",
  },
  {
    name = "pythonic", aliases = {"llama4_pythonic", "llama3_pythonic", "toolace"}, models = "Llama 3.2 and 4, ToolACE",
    body = "python", bare = true, list = true, separator = ", ",
  },

  -- --------------------------------------------------------------------------- channels

  {
    name = "harmony", aliases = {"gpt_oss", "gpt-oss"}, models = "gpt-oss",
    body = "channels", channels_begin = {"<|channel|>", "<|start|>"}, channels_message = "<|message|>",
    channels_end = {"<|call|>", "<|end|>", "<|return|>"}, channels_reasoning = "analysis", recipient = {" to=", ">to="},
    header = {"<|channel|>commentary to=functions.", " <|constrain|>json<|message|>"}, separator = "<|start|>assistant",
    name_prefix = "functions.", text_name = {"assistant", "user", "all"}, start = true,
  },

  -- --------------------------------------------------------- JSON that stands in the text as it is

  {
    name = "llama3_json", aliases = {"llama3"}, models = "Llama 3.1 to 3.3",
    body = "json", bare = true, separator = "; ", drop = {"<|eom_id|>", "<|eot_id|>"},
    name_key = "name", arguments_key = {"parameters", "arguments"}, extra_key = {"type", "id"},
  },
  {
    name = "xlam", aliases = {"xlam_json", "needle", "json"}, models = "xLAM, ToolACE in JSON, Needle, arrays of calls in general",
    body = "json", bare = true, list = true, weak = true,
    section = {{"", "```json", "<tool_call>", "[TOOL_CALLS]", "```"}, {"", "```", "</tool_call>"}},
    name_key = "name", arguments_key = name_and_arguments, id_key = "id", extra_key = {"type"}, nest_key = "function",
  },
  {
    name = "smollm2", models = "SmolLM2-1.7B-Instruct, as prompted",
    body = "json", list = true, section = {"<tool_call>", "</tool_call>"},
    name_key = "name", arguments_key = name_and_arguments,
  },
  {
    name = "tool_calls", models = "lists of calls in the form of OpenAI's API",
    body = "json", bare = true, list = true, name_key = "name", arguments_key = "arguments", id_key = "id",
    arguments_text = true, nest_key = {"function", "tool_calls", "tool_call"}, extra_key = {"type", "index", "role"},
    list_open = '{"tool_calls": [', list_close = "]}",
  },
  {
    name = "openai", aliases = {"apple_fm"}, models = "the message object of OpenAI's API", hidden = true,
    body = "json", bare = true, list = true, name_key = "name", arguments_key = "arguments", id_key = "id",
    arguments_text = true, nest_key = {"function", "tool_calls", "tool_call"}, text_key = "content",
    list_open = '{"tool_calls": [', list_close = "]}",
    extra_key = {"type", "index", "role", "refusal", "annotations", "audio", "function_call"},
  },
  {
    name = "generic", models = "models without tools of their own, answering in JSON", hidden = true,
    body = "json", bare = true, name_key = "name", arguments_key = name_and_arguments, id_key = "id",
    nest_key = {"tool_call", "tool_calls", "function"}, text_key = {"response", "content"},
    extra_key = {"type", "index", "role", "refusal"},
  },
}
