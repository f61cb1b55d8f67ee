-- Grammars that are no schemas, with texts of them: what bench measures beside schemas.
local samples = {}

local JSON = [[
root ::= value
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}"
array ::= "[" ws (value ("," ws value)*)? "]"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)?
ws ::= " "?
]]

local ARITHMETIC = [[
root ::= expression
expression ::= expression " + " term | expression " - " term | term
term ::= term " * " factor | term " / " factor | factor
factor ::= number | "(" expression ")" | "-" factor
number ::= [0-9]+ ("." [0-9]+)?
]]

local CALL = [[
root ::= call (newline call)*
call ::= name "(" (argument (", " argument)*)? ")"
name ::= word ("." word)?
argument ::= word " = " value
value ::= string | number | "true" | "false" | "[" (value (", " value)*)? "]"
word ::= [a-z] [a-z0-9_]*
string ::= "\"" [^"\n]* "\""
number ::= "-"? [0-9]+ ("." [0-9]+)?
newline ::= "\n"
]]

-- {name, kind = "gbnf" or "regex", source, texts}
samples.grammars = {
  {name = "GBNF: any JSON", kind = "gbnf", source = JSON, texts = {
    '{"name": "Ada", "born": 1815, "known": ["engine", {"year": 1843, "pages": 66.5}], "alive": false, "note": null}',
    '[1, [2, [3, [4, []]]], "x\\u00e9y\\n", -0.5e+10]',
  }},
  {name = "GBNF: arithmetic, left recursion", kind = "gbnf", source = ARITHMETIC, texts = {
    "1 + 2 * (3 - 4.5) / -6", "((((1))))", "12 - 3 - 4 + 5 * 6 * 7",
  }},
  {name = "GBNF: calls", kind = "gbnf", source = CALL, texts = {
    'light.turn_on(entity_id = "light.desk", brightness = 40)\n' ..
      'notify(to = ["ann", "bob"], text = "It is on, and stays on.", urgent = false)',
  }},
  {name = "regex: date and time", kind = "regex",
    source = [[\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?Z?]],
    texts = {"2026-11-21T14:05:09Z", "1999-12-31T23:59"}},
  {name = "regex: e-mail", kind = "regex", source = [[[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+]],
    texts = {"ada.lovelace@example.org", "x@mail.a-b.co.uk"}},
  {name = "regex: list of words", kind = "regex", source = [[[A-Za-zÀ-ÿ]+(, [A-Za-zÀ-ÿ]+){0,40}]],
    texts = {"bread, milk, oil, Käse, jam", "one"}},
}

-- The call whose time from the prompt to the parsed arguments is measured, for engines that take GBNF.
samples.call = [[
root ::= "{\"name\": \"light.turn_on\", \"arguments\": {\"entity_id\": " entity rest "}}"
rest ::= ", \"brightness\": " percent ", \"color\": " color ", \"transition\": " percent ", \"note\": " string
entity ::= "\"light." [a-z]{3,12} "\""
percent ::= "0" | [1-9] [0-9]? | "100"
color ::= "\"warm\"" | "\"cold\"" | "\"red\"" | "\"blue\""
string ::= "\"" [a-z ]{20,60} "\""
]]

local function member(name, schema)
  return ('{"type":"object","properties":{"%s":%s},"required":["%s"],"additionalProperties":false}'):format(name, schema, name)
end

local function names(n)
  local list = {}
  for i = 1, n do list[i] = ('"item-%04d"'):format(i * 7919 % 10000) end
  return table.concat(list, ",")
end

local function tools(n)
  local list = {}
  for i = 1, n do
    list[i] = ([[{"type":"object","properties":{"name":{"const":"tool_%d"},"arguments":{"type":"object","properties":{
      "text":{"type":"string"},"count":{"type":"integer"}},"required":["text"],"additionalProperties":false}},
      "required":["name","arguments"],"additionalProperties":false}]]):format(i)
  end
  return '{"anyOf":[' .. table.concat(list, ",") .. "]}"
end

local prose = ("The quick brown fox jumps over the lazy dog, and nobody minds. "):rep(20)

-- Pairs of a schema with something large and the same without it: {name, with, without, text, text_without or nil}
samples.cliffs = {
  {name = "maxLength 100000", with = member("text", '{"type":"string","maxLength":100000}'), without = member("text", '{"type":"string"}'),
    text = '{"text":"' .. prose .. '"}'},
  {name = "minLength 200", with = member("text", '{"type":"string","minLength":200}'), without = member("text", '{"type":"string"}'),
    text = '{"text":"' .. prose .. '"}'},
  {name = "maxItems 10000", with = member("list", '{"type":"array","items":{"type":"integer"},"maxItems":10000}'),
    without = member("list", '{"type":"array","items":{"type":"integer"}}'), text = '{"list":[' .. ("12,345,6,"):rep(60) .. '7]}'},
  {name = "enum of 2,000", with = member("list", '{"type":"array","items":{"enum":[' .. names(2000) .. "]}}"),
    without = member("list", '{"type":"array","items":{"type":"string"}}'), text = '{"list":["item-7919","item-5838","item-3757"]}'},
  {name = "128 tools", with = tools(128), without = tools(1), text = '{"name":"tool_77","arguments":{"text":"what a fine day","count":12}}',
    text_without = '{"name":"tool_1","arguments":{"text":"what a fine day","count":12}}'},
}

return samples
