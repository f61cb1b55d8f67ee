local mobilellm = require "mobilellm"
local derive = require "mobilellm.toolcall.derive"
local prompt = require "mobilellm.chat.prompt"
local toolcall = mobilellm.toolcall

-- A renderer of a Jinja source, as derive.format takes it.
local function renderer(source)
  local compiled = assert(mobilellm.template.compile(source))
  return function(messages, tools, generation)
    return (compiled:render{messages = messages, tools = tools, add_generation_prompt = generation})
  end
end

local frame = "{%% for m in messages %%}<|{{ m.role }}|>{{ m.content }}{%% for c in m.tool_calls or [] %%}%s{%% endfor %%}<|end|>"
  .. "{%% endfor %%}{%% if add_generation_prompt %%}<|assistant|>{%% endif %%}"

describe("the format of calls", function()
  it("is found among the known ones", function()
    local cases = {
      hermes = '<tool_call>\n{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>',
      qwen3_xml = "<tool_call>\n<function={{ c.function.name }}>\n{% for k, v in c.function.arguments.items() %}"
        .. "<parameter={{ k }}>\n{{ v }}\n</parameter>\n{% endfor %}</function>\n</tool_call>",
      functionary_v31 = "<function={{ c.function.name }}>{{ c.function.arguments | tojson }}</function>",
    }
    for name, call in pairs(cases) do
      local source = frame:gsub("%%s", function() return call end):gsub("%%%%", "%%")
      assert.equal(name, derive.format(renderer(source)), name)
    end
  end)

  it("is a record of its own where the markers are unknown", function()
    local call = '<<call>>{"fn": "{{ c.function.name }}", "with": {{ c.function.arguments | tojson }}}<</call>>'
    local source = frame:gsub("%%s", function() return call end):gsub("%%%%", "%%")
    local record = derive.format(renderer(source))
    assert.is_table(record)
    local result = assert(toolcall.parse('so <<call>>{"fn": "f", "with": {"a": 1}}<</call>>', {format = record}))
    assert.same({a = 1}, result.calls[1].arguments)
    assert.equal("f", result.calls[1].name)
  end)

  it("is not made up", function()
    assert.is_nil(derive.format(renderer "{% for m in messages %}{{ m.content }}{% endfor %}"))
    assert.is_nil(derive.format(renderer "{{ raise_exception('no') }}"))
  end)

  it("comes out of the templates of models", function()
    local shared = (os.getenv "MLLM_SHARED" or "../shared") .. "/toolcalls/templates/"
    local listing = io.popen("ls '" .. shared .. "' 2>/dev/null")
    local vocabulary = { -- what prompt.new asks of a model
      info = function() return {bos = 1, eos = 2} end,
      token = function(_, id) return id == 1 and "<s>" or "</s>" end,
      find = function(_, spelling) return spelling == "<|tool_call_start|>" and 7 or nil end,
    }
    local wanted = {
      ["Qwen-Qwen3-0.6B.jinja"] = "hermes", ["Qwen3-Coder.jinja"] = "qwen3_xml", ["GLM-4.6.jinja"] = "glm4",
      ["meta-llama-Llama-3.2-3B-Instruct.jinja"] = "llama3_json", ["openai-gpt-oss-120b.jinja"] = "harmony",
      ["mistralai-Mistral-Nemo-Instruct-2407.jinja"] = "mistral_v3", ["moonshotai-Kimi-K2.jinja"] = "kimi_k2",
      ["google-gemma-4-31B-it.jinja"] = "gemma4", ["deepseek-ai-DeepSeek-V3.2.jinja"] = "deepseek_dsml",
      ["LFM2.5-Instruct.jinja"] = "lfm2", -- it shows no calls; the vocabulary has the marker
    }
    local derived, total, wrong = 0, 0, {}
    for name in listing:lines() do
      if name:find "%.jinja$" then
        local file = assert(io.open(shared .. name))
        local form = assert(prompt.new(vocabulary, {template = file:read "*a"}))
        file:close()
        total = total + 1
        if form.format ~= "auto" and not form.lost.calls then derived = derived + 1 end
        if wanted[name] and form.format ~= wanted[name] then wrong[#wrong + 1] = name .. ": " .. tostring(form.format) end
      end
    end
    listing:close()
    if total == 0 then pending "the chat templates are not here" return end
    assert.same({}, wrong)
    assert.equal(55, total)
    assert.is_true(derived >= 45, derived)
  end)
end)
