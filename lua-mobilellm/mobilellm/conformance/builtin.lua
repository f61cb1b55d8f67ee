-- A small set of schemas of our own, with instances: what bench and conformance take when they are given no suite. `tools`: schemas of
-- calls.
local builtin = {rows = {}, tools = {}}

local function row(id, schema, valid, invalid)
  builtin.rows[#builtin.rows + 1] = {id = id, source = "builtin", schema = schema, valid = valid, invalid = invalid}
end

-- A tool: its schema as a call has it, and calls of it.
local function tool(id, schema, valid, invalid)
  row("tool/" .. id, schema, valid, invalid)
  builtin.tools[#builtin.tools + 1] = builtin.rows[#builtin.rows]
end

tool("light", [[{"type":"object","properties":{"name":{"const":"light.turn_on"},"arguments":{"type":"object","properties":{
  "entity_id":{"type":"string"},"brightness":{"type":"integer","minimum":0,"maximum":100},"color":{"enum":["warm","cold","red","blue"]}},
  "required":["entity_id"],"additionalProperties":false}},"required":["name","arguments"],"additionalProperties":false}]], {
  [[{"name":"light.turn_on","arguments":{"entity_id":"light.kitchen","brightness":40,"color":"warm"}}]],
  [[{"name":"light.turn_on","arguments":{"entity_id":"light.hall"}}]],
}, {
  [[{"name":"light.turn_on","arguments":{"entity_id":"light.hall","brightness":101}}]],
  [[{"name":"light.turn_off","arguments":{"entity_id":"light.hall"}}]],
  [[{"name":"light.turn_on","arguments":{"brightness":10}}]],
})

tool("booking", [[{"type":"object","properties":{"restaurant":{"type":"string","minLength":1,"maxLength":60},"date":{"type":"string",
  "format":"date"},
  "time":{"type":"string","pattern":"^([01][0-9]|2[0-3]):[0-5][0-9]$"},"party":{"type":"integer","minimum":1,"maximum":20},
  "outside":{"type":"boolean"}},"required":["restaurant","date","time","party"],"additionalProperties":false}]], {
  [[{"restaurant":"Chez Panisse","date":"2026-12-24","time":"19:30","party":4,"outside":false}]],
  [[{"restaurant":"Sushi Bar","date":"2027-01-02","time":"08:05","party":2}]],
}, {
  [[{"restaurant":"Sushi Bar","date":"2027-13-02","time":"08:05","party":2}]],
  [[{"restaurant":"Sushi Bar","date":"2027-01-02","time":"24:05","party":2}]],
  [[{"restaurant":"","date":"2027-01-02","time":"08:05","party":2}]],
})

tool("message", [[{"type":"object","properties":{"to":{"type":"array","items":{"type":"string","format":"email"},"minItems":1,
  "uniqueItems":true},
  "subject":{"type":"string"},"body":{"type":"string"},"priority":{"enum":["low","normal","high"]}},"required":["to","body"]}]], {
  [[{"to":["ann@example.org","bob@example.org"],"subject":"Lunch","body":"At noon, at the usual place?","priority":"normal"}]],
  [[{"to":["ann@example.org"],"body":"Yes"}]],
}, {
  [[{"to":[],"body":"Yes"}]],
  [[{"to":["ann@example.org","ann@example.org"],"body":"Yes"}]],
  [[{"to":["ann"],"body":"Yes"}]],
})

tool("search", [[{"type":"object","properties":{"query":{"type":"string"},"filters":{"type":"array","items":{"type":"object",
  "properties":{
  "field":{"enum":["author","year","language"]},"op":{"enum":["=","<",">"]},"value":{"type":["string","integer"]}},
  "required":["field","op","value"],"additionalProperties":false}},"limit":{"type":"integer","minimum":1,"maximum":50}},
  "required":["query"],
  "additionalProperties":false}]], {
  [[{"query":"small language models","filters":[{"field":"year","op":">","value":2023},{"field":"language","op":"=","value":"en"}],
  "limit":10}]],
  [[{"query":"Lua"}]],
}, {[[{"query":"Lua","limit":51}]], [[{"query":"Lua","filters":[{"field":"size","op":"=","value":1}]}]]})

row("person", [[{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0},
  "email":{"type":["string","null"]},
  "address":{"type":"object","properties":{"street":{"type":"string"},"zip":{"type":"string","pattern":"^[0-9]{5}$"}},
  "required":["zip"]}},
  "required":["name"]}]], {
  [[{"name":"Ada Lovelace","age":36,"email":null,"address":{"street":"St James's Square","zip":"10115"}}]],
  [[{"name":"Zoë","extra":[1,2.5,{"deep":true}]}]],
}, {[[{"age":3}]], [[{"name":"x","age":-1}]], [[{"name":"x","address":{"zip":"1011"}}]]})

row("tree", [[{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"value":{"type":"number"},
  "children":{"type":"array","items":{"$ref":"#/$defs/node"}}},"required":["value"],"additionalProperties":false}}}]], {
  [[{"value":1,"children":[{"value":2.5},{"value":-3,"children":[]}]}]],
}, {[[{"value":1,"children":[{}]}]], [[{"value":"1"}]]})

row("shape", [[{"oneOf":[{"type":"object","properties":{"kind":{"const":"circle"},"r":{"type":"number","exclusiveMinimum":0}},
  "required":["kind","r"]},
  {"type":"object","properties":{"kind":{"const":"box"},"w":{"type":"number"},"h":{"type":"number"}},"required":["kind","w","h"]}]}]], {
  [[{"kind":"circle","r":2.5}]], [[{"kind":"box","w":1,"h":2}]],
}, {[[{"kind":"circle","r":0}]], [[{"kind":"box","w":1}]], [[{"kind":"line"}]]})

row("conditional", [[{"type":"object","properties":{"country":{"enum":["US","NL"]},"code":{"type":"string"}},"required":["country",
  "code"],
  "if":{"properties":{"country":{"const":"US"}}},"then":{"properties":{"code":{"pattern":"^[0-9]{5}$"}}},
  "else":{"properties":{"code":{"pattern":"^[0-9]{4} [A-Z]{2}$"}}}}]], {
  [[{"country":"US","code":"94110"}]], [[{"country":"NL","code":"1012 AB"}]],
}, {[[{"country":"US","code":"1012 AB"}]], [[{"country":"NL","code":"94110"}]]})

row("map", [[{"type":"object","patternProperties":{"^x-":{"type":"string"}},"additionalProperties":{"type":"integer"},
  "propertyNames":{"maxLength":8},
  "minProperties":1,"maxProperties":3}]], {[[{"x-a":"b","n":3}]], [[{"one":1,"two":2,"three":3}]]}, {
  [[{}]], [[{"x-a":1}]], [[{"n":"3"}]], [[{"a":1,"b":2,"c":3,"d":4}]], [[{"much too long":1}]],
})

row("dependent", [[{"type":"object","properties":{"card":{"type":"string"},"address":{"type":"string"}},
  "dependentRequired":{"card":["address"]}}]],
  {[[{"card":"1","address":"2"}]], [[{"address":"2"}]], [[{}]]}, {[[{"card":"1"}]]})

row("tuple", [[{"type":"array","prefixItems":[{"type":"number"},{"enum":["km","mi"]}],"items":false,"minItems":2}]],
  {[=[[1.5,"km"]]=]}, {[=[[1.5]]=], [=[[1.5,"km",2]]=], [=[["km",1.5]]=]})

row("steps", [[{"type":"integer","multipleOf":5,"minimum":-10,"maximum":250}]], {"-10", "0", "15", "250"}, {"-15", "3", "251", "2.5"})

row("not", [[{"type":"string","not":{"enum":["admin","root"]},
  "maxLength":12}]], {'"guest"', '"roots"', '""'}, {'"admin"', '"root"', '"thirteen long"'})

row("contains", [[{"type":"array","items":{"type":"integer"},"contains":{"minimum":10},"minContains":1,"maxContains":2}]],
  {"[1,10]", "[10,11,3]"}, {"[]", "[1,2]", "[10,11,12]"})

row("closed", [[{"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},
  "required":["a"]},{"properties":{"b":{"type":"string"}}}],
  "unevaluatedProperties":false}]], {[[{"a":1}]], [[{"a":1,"b":"x"}]]}, {[[{"a":1,"c":2}]], [[{"b":"x"}]]})

return builtin
