local mobilellm = require "mobilellm"
local template, json, null = mobilellm.template, mobilellm.json, mobilellm.null

local function render(source, context, options)
  local compiled = assert(template.compile(source))
  return assert(compiled:render(context or {}, options))
end

local function failure(source, context, options)
  local compiled, message, code = template.compile(source, options)
  if not compiled then return message, code end
  local out
  out, message, code = compiled:render(context or {})
  assert.is_nil(out)
  return message, code
end

-- Cases of our own, told by Python's Jinja2 3.1.6 with the settings of transformers: template, output[, context].
local cases = {
  {"a\n{% if true %}\n  b\n{% endif %}\nc\n", "a\n  b\nc"},
  {"a {%- if true -%} b {%- endif +%}\nc", "ab\nc"},
  {"  {%+ if true %}x{% endif %}", "  x"},
  {"  {# note #}\nx{#- y -#} z", "xz"},
  {"{% raw %}{{ x }} {% if %}{% endraw %}!", "{{ x }} {% if %}!"},
  {"{{ 'it\\'s' \"\\n\\x41\\u00e9\\q\" }}", "it's\nAé\\q"},
  {"{{ {'a': {'b': 1}}}}", "{'a': {'b': 1}}"},
  {"{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 6 / 2 }}", "3 -4 1 2 3.5 1024 3.0"},
  {"{{ 1.0 + 1 }} {{ 1e16 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ -0.0 }} {{ 123456789.25 }}",
    "2.0 1e+16 1e-05 0.30000000000000004 -0.0 123456789.25"},
  {"{{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ [1, 2] < [1, 3] }} {{ 'b' > 'a' }}", "True True False True True"},
  {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ not 1 in [2] }} {{ 1 not in [2] }}", "True False True True"},
  {"{{ none }} {{ true }} {{ [none, false, 'a\\'b', \"q\\\"\", 1.5] }}", "None True [None, False, \"a'b\", 'q\"', 1.5]"},
  {"{{ () }} {{ (1,) }} {{ (1, 2) }} {{ {} }} {{ [] }}", "() (1,) (1, 2) {} []"},
  {"{{ 'héllo'[1] }} {{ 'héllo'[-1:] }} {{ 'héllo'[::-1] }} {{ 'héllo'|length }} {{ 'x日本y'[1:3] }}", "é o olléh 5 日本"},
  {"{{ [1, 2, 3, 4][1:-1] }} {{ [1, 2, 3][::-2] }} {{ [1, 2, 3][5:] }} {{ [1, 2, 3][-2:] }}", "[2, 3] [3, 1] [] [2, 3]"},
  {"{{ 'ÀÉß ünï'.upper() }} {{ 'ÀÉ'.lower() }} {{ 'ünï x'|title }} {{ 'éA'.capitalize() }}", "ÀÉSS ÜNÏ àé Ünï X Éa"},
  {"[{{ '\\u00a0 x\\u3000'.strip() }}] [{{ '--x-'.lstrip('-') }}] [{{ 'xay'.strip('xy') }}]", "[x] [x-] [a]"},
  {"{{ ' a  b c '.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a b c'.split(none, 1) }} {{ 'a b c'.rsplit(none, 1) }}",
    "['a', 'b', 'c'] ['a', 'b', '', 'c'] ['a', 'b c'] ['a b', 'c']"},
  {"{{ 'abcabc'.find('c') }} {{ 'éabc'.rfind('a') }} {{ 'x'.find('y') }} {{ 'aXbX'.partition('X') }}", "2 1 -1 ('a', 'X', 'bX')"},
  {"{{ 'ab'.replace('', '-') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ '%s=%d' % ('x', 3) }} {{ '{} {a}'.format(1, a=2) }}",
    "-a-b- bba x=3 1 2"},
  {"{% for a, b in [(1, 2), (3, 4)] %}{{ a + b }}{{ ',' if not loop.last }}{% endfor %}", "3,7"},
  {"{% for x in range(6) if x is odd %}{{ loop.index }}:{{ x }}/{{ loop.revindex0 }} {% else %}none{% endfor %}", "1:1/2 2:3/1 3:5/0 "},
  {"{% for x in [] %}{% else %}none{% endfor %}", "none"},
  {"{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}", "013"},
  {"{% for x in 'ab' %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.cycle('!', '?') }}{% endfor %}", "<a>b!a<b>?"},
  {"{% for x in [1, 1, 2] %}{{ loop.changed(x) }} {% endfor %}", "True False True "},
  {"{% for n in [1, [2, [3]]] recursive %}{{ loop(n) if n is not number else n }}{{ loop.depth }}{% endfor %}", "11223321"},
  {"{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}", "2 3 1"},
  {"{% set ns = namespace(n=0, s='') %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "6"},
  {"{% set t %} a{{ 1 }} {% endset %}[{{ t }}]{% set u | trim | upper %} b {% endset %}[{{ u }}]", "[ a1 ][B]"},
  {"{% if true %}{% set y = 2 %}{% endif %}{{ y }}", "2"},
  {"{% macro m(a, b='d') %}<{{ a }},{{ b }},{{ varargs }},{{ kwargs }}>{% endmacro %}{{ m(1) }}{{ m(1, 2, 3, k=4) }}{{ m(b=1) }}",
    "<1,d,(),{}><1,2,(3,),{'k': 4}><,1,(),{}>"},
  {"{% macro box(t) %}[{{ t }}:{{ caller(2) }}]{% endmacro %}{% call(n) box('x') %}{{ n * 2 }}{% endcall %}", "[x:4]"},
  {"{% filter upper %}a{{ 'b' }}{% endfilter %}{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}", "AB3"},
  {"{{ {'b': 1, 'a': [1.5, none, true, 'é\\n\"']} | tojson }}", '{"b": 1, "a": [1.5, null, true, "é\\n\\""]}'},
  {"{{ {'a': [1, {}], 'b': {'c': []}} | tojson(indent=2) }}", '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": {\n    "c": []\n  }\n}'},
  {"{{ {1: 2, none: 3, true: 4} | tojson }} {{ '<é😀>' | tojson(ensure_ascii=true) }}", '{"1": 4, "null": 3} "<\\u00e9\\ud83d\\ude00>"'},
  {"{{ 'a' < 'é' }} {{ 'é' < '日' }}", "True True"},
  {"{{ ['b', 'A', 'c'] | sort }} {{ [3, 1, 2] | sort(reverse=true) }} {{ [1, 2, 1] | unique | list }}", "['A', 'b', 'c'] [3, 2, 1] [1, 2]"},
  {"{{ [{'k': 2, 'n': 'x'}, {'k': 1, 'n': 'y'}] | sort(attribute='k') | map(attribute='n') | join('+') }}", "y+x"},
  {"{{ ['1', '2'] | map('int') | sum }} {{ [1, 2, 3] | select('odd') | list }} {{ [[1, 2], [3]] | sum(start=[]) }}", "3 [1, 3] [1, 2, 3]"},
  {"{{ [1, 2, 3, 4, 5] | batch(2, 0) | list }} {{ 'abcdefghij' | truncate(5, true, '..', 0) }} {{ 'a\nb' | indent(2, true) }}",
    "[[1, 2], [3, 4], [5, 0]] abc..   a\n  b"},
  {"{% for k, g in [{'r': 'x', 'v': 1}, {'r': 'y', 'v': 2}, {'r': 'x', 'v': 3}] | groupby('r') %}{{ k }}"
    .. "{{ g | map(attribute='v') | list }}{% endfor %}",
    "x[1, 3]y[2]"},
  {"{{ '3.7' | int }} {{ 'x' | int(7) }} {{ '0x1F' | int(base=16) }} {{ 2.5 | round }} {{ 3.5 | round }} {{ 2.345 | round(2, 'floor') }}",
    "3 7 31 2.0 4.0 2.34"},
  {"{{ 1 is number }} {{ 1.0 is integer }} {{ true is number }} {{ 'a' is iterable }} {{ {} is sequence }} {{ none is none }}",
    "True False True True True True"},
  {"{{ x is defined }} {{ x is none }} {{ x | default('d') }} [{{ x }}] {{ x | length }} {{ x == y }} {{ 1 in x }}",
    "False False d [] 0 True False"},
  {"{{ '<' | e }} {{ ('<' | safe) + '<' }} {{ 'a' | safe ~ '<' }}", "&lt; <&lt; a<"},
  {"{{ d.items() | list }} {{ d.keys() | list }} {{ d.get('z', 9) }} {{ d['a'] }} {{ d.b.c }}",
    "[('a', 1), ('b', {'c': 2})] ['a', 'b'] 9 1 2",
    {d = {a = 1, b = {c = 2}}}},
  {"{{ dict(a=1, b=2) }} {{ dict([('x', 1)]) }} {{ range(2, 8, 3) | list }} {{ range(3) }}",
    "{'a': 1, 'b': 2} {'x': 1} [2, 5] range(0, 3)"},
  {"{{ strftime_now('%Y %B %-d %%') }}", "2026 November 3 %"},
}

describe("a template", function()
  for i, case in ipairs(cases) do
    it(("renders like Python (%d)"):format(i), function()
      assert.equal(case[2], render(case[1], case[3], {now = os.time{year = 2026, month = 11, day = 3}}))
    end)
  end

  it("is compiled once", function()
    local t = assert(template.compile "{% set x = x + 1 %}{{ x }}")
    assert.equal("2", t:render{x = 1})
    assert.equal("2", t:render{x = 1})
    assert.equal("6", t:render{x = 5})
  end)

  it("keeps the order of decoded objects", function()
    local tool = assert(json.decode('{"z": 1, "a": {"y": [], "b": {}}, "m": 1.5}', {ordered = true}))
    assert.equal('{"z": 1, "a": {"y": [], "b": {}}, "m": 1.5}', render("{{ t | tojson }}", {t = tool}))
    assert.equal('{"a": 1, "b": 2}', render("{{ t | tojson }}", {t = {b = 2, a = 1}}))
    assert.equal('{"b": 2, "a": 1}', render("{{ t | tojson }}", {t = json.object({b = 2, a = 1}, {"b"})}))
  end)

  it("takes Lua values", function()
    assert.equal("None True 3 2.5 [1] {'a': 'b'} []",
      render("{{ n }} {{ t }} {{ i }} {{ f }} {{ l }} {{ d }} {{ e }}",
        {n = null, t = true, i = 3, f = 2.5, l = {1}, d = {a = "b"}, e = json.array{}}))
  end)

  it("names the line of what is wrong", function()
    local function check(source, line, pattern)
      local message, code = failure(source, {}, {name = "chat"})
      assert.matches("^chat:" .. line .. ": .*" .. pattern, message)
      assert.equal("format", code)
    end
    check("a\n{{ x", 2, "ends inside")
    check("a\n{% if x %}\nb", 3, "'if' without 'endif'")
    check("a\n\n{% bogus %}", 3, "unknown tag 'bogus'")
    check("{{ 'a }}", 1, "string without an end")
    check("{# x", 1, "comment without an end")
    check("{{ a b }}", 1, "expected end_print")
    check("{{ (a] }}", 1, "unexpected '%]'")
    check("{% break %}", 1, "outside of a loop")
    check("a\n{{ x.y }}", 2, "'x' is undefined")
    check("{% set d = {} %}\n{{ d.a.b }}", 2, "'dict object' has no attribute 'a'")
    check("\n{{ 'a' + 1 }}", 2, "can only concatenate str")
    check("{{ 1 + none }}", 1, "unsupported operand")
    check("{{ 1 < 'a' }}", 1, "'<' not supported between instances of 'int' and 'str'")
    check("{% for x in 3 %}{% endfor %}", 1, "'int' object is not iterable")
    check("{{ x | nofilter }}", 1, "No filter named 'nofilter'")
    check("{{ x is notest }}", 1, "No test named 'notest'")
    check("{{ nothing() }}", 1, "'nothing' is undefined")
    check("{{ 1 // 0 }}", 1, "division by zero")
    check("{{ 'a'.upper(1) }}", 1, "at most 0 arguments")
    check("{{ 'a'|replace(x=1) }}", 1, "unexpected keyword argument 'x'")
    check("{% set x.y = 1 %}", 1, "'x' is undefined")
    check("{{ [1] | map('upper') | tojson }}", 1, "generator is not JSON serializable")
    check("{{ 9007199254740992 + 1 }}", 1, "beyond 2^53")
  end)

  it("hands on what raise_exception says", function()
    local message, code = failure("\n{{ raise_exception('roles must alternate') }}")
    assert.equal("template:2: roles must alternate", message)
    assert.equal("raised", code)
  end)

  it("changes nothing, unless it may", function()
    assert.matches("access to attribute 'append' of 'list' object is unsafe", (failure("{% set l = [] %}{{ l.append(1) }}")))
    assert.equal("False", render("{{ [].append is defined }}"))
    local t = assert(template.compile("{% set l = [1, 2] %}{{ l.append(3) }}{{ l.pop(0) }}{{ l }}", {mutable = true}))
    assert.equal("None1[2, 3]", t:render{})
    local list = {1, 2}
    t = assert(template.compile("{{ l.append(3) }}", {mutable = true}))
    assert(t:render{l = list})
    assert.equal(2, #list) -- the caller's table is never touched
  end)

  it("is bounded", function()
    local function limit(source, options)
      local message, code = failure(source, {}, options)
      assert.equal("limit", code)
      return message
    end
    assert.matches("limit steps", limit("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", {steps = 10000}))
    assert.matches("limit steps", limit("{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"))
    assert.matches("limit output", limit("{{ 'x' * 10000 }}", {output = 1000}))
    assert.matches("limit output", limit("{% for a in range(99) %}xxxxxxxxxxxxxxxxxx{% endfor %}", {output = 1000}))
    assert.matches("limit output",
      limit("{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}"))
    assert.matches("limit depth", limit("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"))
    assert.matches("limit range", limit("{{ range(10 ** 9) }}"))
    assert.matches("nesting deeper", limit("{{ " .. ("("):rep(500) .. "1" .. (")"):rep(500) .. " }}"))
    assert.matches("nesting deeper", limit(("{% if 1 %}"):rep(500) .. ("{% endif %}"):rep(500)))
    assert.equal("1", render("{{ " .. ("("):rep(90) .. "1" .. (")"):rep(90) .. " }}"))
    local cycle = {}
    cycle.me = cycle
    assert.is_nil((template.compile "{{ x }}"):render{x = cycle})
  end)

  it("sees nothing of the host", function()
    local seen = render("{{ print is defined }} {{ os is defined }} {{ _G is defined }} {{ string is defined }} {{ ''.format is defined }}")
    assert.equal("False False False False True", seen)
    assert.equal("False False", render("{{ x.__index is defined }} {{ x.secret is defined }}",
      {x = setmetatable({a = 1}, {__index = {secret = 1}})}))
    assert.error_matches(function() template.compile("{{ f }}"):render{f = print} end, "a function in what is to be rendered")
    assert.error_matches(function() template.compile("x"):render{[1] = 2} end, "names as keys")
  end)

  it("refuses options that it does not know", function()
    assert.error_matches(function() template.compile("x", {strict = true}) end, "template.compile: unknown option 'strict'")
    assert.error_matches(function() template.compile("x"):render({}, {time = 1}) end, "render: unknown option 'time'")
    assert.error_matches(function() template.compile(1) end, "string expected")
  end)
end)

describe("a broken template", function()
  it("is an error with a line and never one of Lua", function()
    local random = 1
    local function below(n)
      random = (random * 16807) % 2147483647
      return random % n
    end
    local pieces = {"{{", "}}", "{%", "%}", "[", "]", "(", ")", "|", ".", "none", "'a'", "1", "1.5", "x", "[::-1]", " in ", " is ", "~",
      "*", "%", "|sort", "|list", "|join", "|tojson", "|map('int')", "|items", "|replace('a', 'b')", ".split()", ".get('a')", "if",
      "else", "loop"}
    local context = {x = {{a = 1, b = "two"}, {a = 1.5}}, d = {b = 1}, items = {1, 2}}
    local failed = 0
    for _ = 1, 3000 do
      local source = cases[1 + below(#cases)][1]
      for _ = 1, 1 + below(3) do
        local at = 1 + below(#source + 1)
        if below(2) == 0 then
          source = source:sub(1, at - 1) .. source:sub(at + below(6))
        else
          source = source:sub(1, at - 1) .. pieces[1 + below(#pieces)] .. source:sub(at)
        end
      end
      local compiled, message, code = template.compile(source)
      local out
      if compiled then out, message, code = compiled:render(context, {steps = 5000, output = 100000}) end
      if not out then
        failed = failed + 1
        assert.matches("^template:%d+: ", message)
        assert.is_truthy(code == "format" or code == "limit" or code == "raised", code)
        assert.is_nil(message:find("attempt to", 1, true), source)
      end
    end
    assert.is_true(failed > 500)
  end)
end)

describe("segments of a template", function()
  local function marked(source, context, options)
    local out = {}
    for i, segment in ipairs(assert(assert(template.compile(source)):segments(context, options))) do
      out[i] = segment.user and "<" .. segment.text .. ">" or segment.text
    end
    return table.concat(out)
  end

  it("tell what the user wrote", function()
    assert.equal("[<hi>]", marked("[{{ x }}]", {x = "hi"}))
    assert.equal("a<hi>b<hi>", marked("{{ 'a' + x + 'b' ~ x }}", {x = "hi"}))
    assert.equal("<s>", marked("{{ bos_token }}", {bos_token = "<s>"}))
    assert.equal("k", marked("{{ x }}", {x = "k"}, {own = {x = true}}))
    assert.equal("k<u>", marked("{{ x[0] }}{{ x[1] }}", {x = {template.own "k", "u"}}))
  end)

  it("through methods, filters, slices and joins", function()
    local x = {x = "  <|a|> b "}
    assert.equal("<<|a|> b>", marked("{{ x.strip() }}", x))
    assert.equal("<<|A|> B>", marked("{{ x | trim | upper }}", x))
    assert.equal("<A>-<b>", marked("{{ x.split() | join('-') }}", {x = " A b "}))
    assert.equal("<yx>", marked("{{ x[::-1] }}", {x = "xy"}))
    assert.equal("<b>", marked("{{ ('a' ~ x)[1:] }}", {x = "b"}))
    assert.equal("a", marked("{{ ('a' ~ x)[:1] }}", {x = "b"}))
    assert.equal("[<a>!<c>]", marked("[{{ x.replace('b', '!') }}]", {x = "abc"}))
    assert.equal("<x>y", marked("{{ 'xy'.replace('x', u) }}", {u = "x"}))
    assert.equal("<aa>", marked("{{ x * 2 }}", {x = "a"}))
    assert.equal("a<u>b<v>", marked("{{ '%s'|format('a' ~ x) }}{{ 'b{}'.format(y) }}", {x = "u", y = "v"}))
    assert.equal('{"<k>": "<v\\">"}', marked("{{ x | tojson }}", {x = {k = 'v"'}}))
    assert.equal("{'<k>': ['<v>']}", marked("{{ x }}", {x = {k = {"v"}}}))
    assert.equal("<É>", marked("{{ x.upper() }}", {x = "é"}))
    assert.equal("u<x>", marked("{% macro m(a) %}u{{ a }}{% endmacro %}{{ m(x) }}", {x = "x"}))
    assert.equal("u<x>", marked("{% set s %}u{{ x }}{% endset %}{{ s }}", {x = "x"}))
    assert.equal("1<a>2<b>", marked("{% for c in x %}{{ loop.index }}{{ c }}{% endfor %}", {x = "ab"}))
  end)

  it("are the text of render together", function()
    local t = assert(template.compile "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}\n{% endfor %}")
    local context = {messages = {{role = "user", content = " <|user|> "}, {role = "assistant", content = "日本"}}}
    local pieces = {}
    for i, segment in ipairs(t:segments(context)) do pieces[i] = segment.text end
    assert.equal(t:render(context), table.concat(pieces))
  end)
end)

-- Golden data beside the checkout.
local shared = (os.getenv "MLLM_SHARED" or "../shared") .. "/toolcalls/templates/"

local function rows(name)
  local file = io.open(shared .. name)
  if not file then return nil end
  file:close()
  local pipe = assert(io.popen("gzip -dc '" .. shared .. name .. "'"))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = assert(json.decode(line, {ordered = true})) end
  pipe:close()
  return list
end

describe("templates of models", function()
  it("render as transformers renders them", function()
    local list = rows "goldens.jsonl.gz"
    if not list then pending "the chat templates are not here" return end
    local compiled, wrong = {}, {}
    for _, row in ipairs(list) do
      local t = compiled[row.template]
      if not t then
        local file = assert(io.open(shared .. row.template))
        t = assert(template.compile(file:read "*a", {name = row.template}))
        file:close()
        compiled[row.template] = t
      end
      local year, month, day, hour, min, sec = row.now:match "(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)"
      local now = os.time{year = year, month = month, day = day, hour = hour, min = min, sec = sec}
      local out, message, code = t:render(row.context, {now = now})
      local good
      if row.output then
        good = out == row.output
      elseif row.raised then
        good = code == "raised" and message:sub(-#row.raised) == row.raised
      else
        good = out == nil and code == "format"
      end
      if not good then wrong[#wrong + 1] = row.template .. " " .. row.case .. ": " .. tostring(message) end
    end
    assert.same({}, wrong)
    assert.equal(660, #list)
  end)

  it("and so do the small cases", function()
    local list = rows "jinja_unit.jsonl.gz"
    if not list then pending "the chat templates are not here" return end
    local wrong = {}
    for _, row in ipairs(list) do
      local t, message = template.compile(row.template)
      local out
      if t then out, message = t:render(row.context) end
      local good
      if row.python_jinja2:sub(1, 1) == "!" then good = t and out == nil else good = out == row.python_jinja2 end
      if not good then wrong[#wrong + 1] = row.name .. ": " .. tostring(message) end
    end
    assert.same({}, wrong)
    assert.equal(259, #list)
  end)
end)
