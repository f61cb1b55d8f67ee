-- Tokens -> syntax tree. The grammar is that of Jinja 3 without inheritance and includes, with break and continue, and with the
-- generation block of Hugging Face transformers.
--
-- An expression is a table with `op`, a statement one with `tag`; both have their `line`.
local lexer = require "mobilellm.template.lexer"

local parser = {}
local syntax = lexer.syntax
local MAX_DEPTH = 100 -- of nested expressions and blocks

local Parser = {}
Parser.__index = Parser

local function shown(token)
  if token.kind == "end" then return "the end of the template" end
  if token.kind == "end_block" then return "'%}'" end
  if token.kind == "end_print" then return "'}}'" end
  return "'" .. tostring(token.value or token.kind) .. "'"
end

function Parser:peek(n) return self.tokens[self.at + (n or 0)] or self.tokens[#self.tokens] end

function Parser:next()
  local token = self:peek()
  self.at = self.at + 1
  return token
end

function Parser:is(kind, value)
  local token = self:peek()
  return token.kind == kind and (value == nil or token.value == value)
end

function Parser:accept(kind, value)
  if self:is(kind, value) then return self:next() end
end

function Parser:expect(kind, value)
  if not self:is(kind, value) then
    syntax(self:peek().line, "expected %s, got %s", value and "'" .. value .. "'" or kind == "end_block" and "'%}'" or kind,
      shown(self:peek()))
  end
  return self:next()
end

function Parser:deeper()
  self.depth = self.depth + 1
  if self.depth > MAX_DEPTH then
    error({template = true, message = ("nesting deeper than %d"):format(MAX_DEPTH), line = self:peek().line, code = "limit"}, 0)
  end
end

-- ------------------------------------------------------------ expressions

function Parser:node(op, fields)
  fields = fields or {}
  fields.op, fields.line = op, fields.line or self:peek().line
  return fields
end

function Parser:expression(no_condition)
  self:deeper()
  local left = self:any_of()
  if not no_condition then
    while self:is("name", "if") do
      local node = self:node("if")
      self:next()
      node.test = self:any_of()
      node.yes = left
      if self:accept("name", "else") then node.no = self:expression() end
      left = node
    end
  end
  self.depth = self.depth - 1
  return left
end

-- Operands of the level below with operators of one rank between them, grouped from the left. node_of: operator -> kind of its node
local function chain(kind, node_of, below)
  return function(self)
    local left = self[below](self)
    while self:peek().kind == kind and node_of[self:peek().value] do
      local node = self:node(node_of[self:peek().value])
      node.operator = self:next().value
      node.left, node.right = left, self[below](self)
      left = node
    end
    return left
  end
end

Parser.any_of = chain("name", {["or"] = "or"}, "all_of")
Parser.all_of = chain("name", {["and"] = "and"}, "negation")

function Parser:negation()
  if self:is("name", "not") then
    local node = self:node "not"
    self:next()
    self:deeper()
    node.value = self:negation()
    self.depth = self.depth - 1
    return node
  end
  return self:comparison()
end

local comparisons = {["=="] = true, ["!="] = true, ["<"] = true, ["<="] = true, [">"] = true, [">="] = true}

function Parser:comparison()
  local first = self:sum()
  local node
  while true do
    local op
    if self:peek().kind == "op" and comparisons[self:peek().value] then
      op = self:peek().value
      node = node or self:node("compare", {first = first})
      self:next()
    elseif self:is("name", "in") then
      op = "in"
      node = node or self:node("compare", {first = first})
      self:next()
    elseif self:is("name", "not") and self:peek(1).kind == "name" and self:peek(1).value == "in" then
      op = "not in"
      node = node or self:node("compare", {first = first})
      self:next()
      self:next()
    else
      return node or first
    end
    node[#node + 1] = {op = op, value = self:sum()}
  end
end

Parser.sum = chain("op", {["+"] = "binary", ["-"] = "binary"}, "joined")

function Parser:joined()
  local first = self:product()
  if not self:is("op", "~") then return first end
  local node = self:node("concat", {first})
  while self:accept("op", "~") do node[#node + 1] = self:product() end
  return node
end

Parser.product = chain("op", {["*"] = "binary", ["/"] = "binary", ["//"] = "binary", ["%"] = "binary"}, "power")
Parser.power = chain("op", {["**"] = "binary"}, "unary")

function Parser:unary(no_filter)
  local node
  if self:is("op", "-") or self:is("op", "+") then
    node = self:node "unary"
    node.operator = self:next().value
    self:deeper()
    node.value = self:unary(true)
    self.depth = self.depth - 1
  else
    node = self:primary()
  end
  node = self:postfix(node)
  if not no_filter then node = self:filters(node) end
  return node
end

local constants = {["true"] = true, ["True"] = true, ["false"] = false, ["False"] = false}

function Parser:primary()
  local token = self:peek()
  if token.kind == "name" then
    self:next()
    if constants[token.value] ~= nil then return self:node("constant", {value = constants[token.value], line = token.line}) end
    if token.value == "none" or token.value == "None" then return self:node("none", {line = token.line}) end
    return self:node("name", {name = token.value, line = token.line})
  elseif token.kind == "string" then
    local pieces = {}
    while self:is "string" do pieces[#pieces + 1] = self:next().value end
    return self:node("constant", {value = table.concat(pieces), line = token.line})
  elseif token.kind == "integer" or token.kind == "float" then
    self:next()
    return self:node(token.kind == "float" and "float" or "constant", {value = token.value, line = token.line})
  elseif self:accept("op", "(") then
    local node = self:tuple(")", true)
    self:expect("op", ")")
    return node
  elseif self:accept("op", "[") then
    local node = self:node("list", {line = token.line})
    while not self:is("op", "]") do
      if #node > 0 then self:expect("op", ",") end
      if self:is("op", "]") then break end
      node[#node + 1] = self:expression()
    end
    self:expect("op", "]")
    return node
  elseif self:accept("op", "{") then
    local node = self:node("dict", {line = token.line})
    while not self:is("op", "}") do
      if #node > 0 then self:expect("op", ",") end
      if self:is("op", "}") then break end
      local key = self:expression()
      self:expect("op", ":")
      node[#node + 1] = {key = key, value = self:expression()}
    end
    self:expect("op", "}")
    return node
  end
  syntax(token.line, "an expression expected, got %s", shown(token))
end

local ends = {end_block = true, end_print = true}

-- Expressions with commas between them; one without a comma is itself. `close`: what ends it; `empty`: () is a tuple.
function Parser:tuple(close, empty, no_condition)
  local node = self:node "tuple"
  local comma = false
  while true do
    if close and self:is("op", close) or ends[self:peek().kind] or self:is("name", "in") then break end
    node[#node + 1] = self:expression(no_condition)
    if not self:accept("op", ",") then
      if #node == 1 and not comma then return node[1] end
      break
    end
    comma = true
  end
  if #node == 0 and not empty then syntax(node.line, "an expression expected, got %s", shown(self:peek())) end
  return node
end

-- (a, *rest, key = value, **others)
function Parser:arguments()
  local args = {}
  self:expect("op", "(")
  while not self:is("op", ")") do
    if #args > 0 then self:expect("op", ",") end
    if self:is("op", ")") then break end
    if self:accept("op", "*") then
      args[#args + 1] = {spread = self:expression()}
    elseif self:accept("op", "**") then
      args[#args + 1] = {spread_keys = self:expression()}
    elseif self:is "name" and self:peek(1).kind == "op" and self:peek(1).value == "=" then
      local key = self:next().value
      self:next()
      args[#args + 1] = {key = key, value = self:expression()}
    else
      for _, arg in ipairs(args) do
        if arg.key then syntax(self:peek().line, "a positional argument behind a named one") end
      end
      args[#args + 1] = {value = self:expression()}
    end
  end
  self:expect("op", ")")
  return args
end

function Parser:subscript(target)
  local node = self:node("item", {target = target})
  local indexes = {}
  while not self:is("op", "]") do
    if #indexes > 0 then self:expect("op", ",") end
    if self:is("op", "]") then break end
    local slice = self:node "slice"
    local field, colons = "from", 0
    local names = {"to", "step"}
    while true do
      if self:accept("op", ":") then
        colons = colons + 1
        field = names[colons]
        if not field then syntax(slice.line, "too many ':' in a slice") end
      elseif self:is("op", "]") or self:is("op", ",") then
        break
      else
        if slice[field] then syntax(self:peek().line, "unexpected %s", shown(self:peek())) end
        slice[field] = self:expression()
      end
    end
    indexes[#indexes + 1] = colons > 0 and slice or slice.from
  end
  self:expect("op", "]")
  if #indexes == 1 then
    node.index = indexes[1]
  else
    indexes.op, indexes.line = "tuple", node.line
    node.index = indexes
  end
  return node
end

function Parser:postfix(node)
  while true do
    if self:is("op", ".") then
      local here = self:next()
      local token = self:next()
      if token.kind == "name" then
        node = self:node("attribute", {target = node, name = token.value, line = here.line})
      elseif token.kind == "integer" then
        node = self:node("item", {target = node, line = here.line,
          index = {op = "constant", value = token.value, line = here.line}})
      else
        syntax(token.line, "a name expected behind '.', got %s", shown(token))
      end
    elseif self:accept("op", "[") then
      node = self:subscript(node)
    elseif self:is("op", "(") then
      local line = self:peek().line
      node = self:node("call", {target = node, args = self:arguments(), line = line})
    else
      return node
    end
  end
end

function Parser:dotted()
  local name = self:expect("name").value
  while self:is("op", ".") and self:peek(1).kind == "name" do
    self:next()
    name = name .. "." .. self:next().value
  end
  return name
end

local not_an_argument = {["else"] = true, ["or"] = true, ["and"] = true, ["is"] = true, ["if"] = true, ["in"] = true, ["not"] = true}

function Parser:test(node)
  local result = self:node("test", {target = node, args = {}})
  self:expect("name", "is")
  result.negated = self:accept("name", "not") ~= nil
  result.name = self:dotted()
  local token = self:peek()
  if self:is("op", "(") then
    result.args = self:arguments()
  elseif token.kind == "string" or token.kind == "integer" or token.kind == "float" or self:is("op", "[") or self:is("op", "{")
    or token.kind == "name" and not not_an_argument[token.value] then
    result.args = {{value = self:postfix(self:primary())}}
  end
  return result
end

function Parser:filters(node)
  while true do
    if self:is("op", "|") then
      local line = self:next().line
      node = self:node("filter", {target = node, name = self:dotted(), args = {}, line = line})
      if self:is("op", "(") then node.args = self:arguments() end
    elseif self:is("name", "is") then
      node = self:test(node)
    elseif self:is("op", "(") then
      local line = self:peek().line
      node = self:node("call", {target = node, args = self:arguments(), line = line})
    else
      return node
    end
  end
end

-- ------------------------------------------------------------- statements

-- A name, a tuple of names, or name.attribute: what set and for assign to.
function Parser:target(attributes)
  local first = self:expect("name")
  if attributes and self:is("op", ".") then
    self:next()
    return {kind = "attribute", name = first.value, attribute = self:expect("name").value}
  end
  local list = {first.value}
  local tuple = false
  while self:accept("op", ",") do
    tuple = true
    if not self:is "name" or self:is("name", "in") then break end
    list[#list + 1] = self:next().value
  end
  if tuple then return {kind = "tuple", names = list} end
  return {kind = "name", name = first.value}
end

local function target_in_parentheses(self)
  if self:accept("op", "(") then
    local target = self:target()
    self:expect("op", ")")
    return target
  end
  return self:target()
end

function Parser:signature()
  local parameters = {}
  self:expect("op", "(")
  while not self:is("op", ")") do
    if #parameters > 0 then self:expect("op", ",") end
    if self:is("op", ")") then break end
    local parameter = {name = self:expect("name").value}
    if self:accept("op", "=") then
      parameter.default = self:expression()
    elseif #parameters > 0 and parameters[#parameters].default then
      syntax(self:peek().line, "a parameter without a default behind one with a default")
    end
    parameters[#parameters + 1] = parameter
  end
  self:expect("op", ")")
  return parameters
end

local tags = {}

tags["if"] = function(self, node)
  node.branches = {}
  local test = self:tuple()
  self:expect "end_block"
  local body, stop = self:body("if", {"elif", "else", "endif"})
  node.branches[1] = {test = test, body = body}
  while stop == "elif" do
    test = self:tuple()
    self:expect "end_block"
    body, stop = self:body("if", {"elif", "else", "endif"})
    node.branches[#node.branches + 1] = {test = test, body = body}
  end
  if stop == "else" then
    self:expect "end_block"
    node.otherwise = self:body("if", {"endif"})
  end
end

tags["for"] = function(self, node)
  node.target = target_in_parentheses(self)
  self:expect("name", "in")
  node.list = self:tuple(nil, false, true)
  if self:accept("name", "if") then node.test = self:expression() end
  node.recursive = self:accept("name", "recursive") ~= nil
  self:expect "end_block"
  local stop
  self.loops = self.loops + 1
  node.body, stop = self:body("for", {"else", "endfor"})
  self.loops = self.loops - 1
  if stop == "else" then
    self:expect "end_block"
    node.otherwise = self:body("for", {"endfor"})
  end
end

tags["set"] = function(self, node)
  node.target = self:target(true)
  if self:accept("op", "=") then
    node.value = self:tuple()
  else
    node.filter = self:filters({op = "block_text", line = node.line})
    self:expect "end_block"
    node.body = self:body("set", {"endset"})
  end
end

tags["macro"] = function(self, node)
  node.name = self:expect("name").value
  node.parameters = self:signature()
  self:expect "end_block"
  local loops = self.loops
  self.loops = 0
  node.body = self:body("macro", {"endmacro"})
  self.loops = loops
end

tags["call"] = function(self, node)
  node.parameters = self:is("op", "(") and self:signature() or {}
  node.call = self:expression()
  if node.call.op ~= "call" then syntax(node.line, "a call expected") end
  self:expect "end_block"
  local loops = self.loops
  self.loops = 0
  node.body = self:body("call", {"endcall"})
  self.loops = loops
end

tags["filter"] = function(self, node)
  local filter = {op = "filter", target = {op = "block_text", line = node.line}, name = self:dotted(), args = {}, line = node.line}
  if self:is("op", "(") then filter.args = self:arguments() end
  node.filter = self:filters(filter)
  self:expect "end_block"
  node.body = self:body("filter", {"endfilter"})
end

tags["with"] = function(self, node)
  node.names, node.values = {}, {}
  while not self:is "end_block" do
    if #node.names > 0 then self:expect("op", ",") end
    node.names[#node.names + 1] = self:expect("name").value
    self:expect("op", "=")
    node.values[#node.values + 1] = self:expression()
  end
  self:expect "end_block"
  node.body = self:body("with", {"endwith"})
end

tags["generation"] = function(self, node)
  self:expect "end_block"
  node.body = self:body("generation", {"endgeneration"})
end

tags["break"] = function(self, node)
  if self.loops == 0 then syntax(node.line, "'%s' outside of a loop", node.tag) end
end
tags["continue"] = tags["break"]

-- Statements up to one of the tags in `stops`; returns them and that tag. Behind the last of the stops the block's end is read too.
function Parser:body(name, stops)
  self:deeper()
  local body = {}
  local first = self:peek().line
  while true do
    local token = self:next()
    if token.kind == "text" then
      body[#body + 1] = {tag = "text", text = token.value, line = token.line}
    elseif token.kind == "print" then
      body[#body + 1] = {tag = "print", value = self:tuple(), line = token.line}
      self:expect "end_print"
    elseif token.kind == "block" then
      local tag = self:expect("name").value
      for i, stop in ipairs(stops or {}) do
        if tag == stop then
          self.depth = self.depth - 1
          if i == #stops then
            if tag == "endmacro" or tag == "endcall" then self:accept "name" end
            self:expect "end_block"
          end
          return body, tag
        end
      end
      if not tags[tag] then
        syntax(token.line, tag:find "^end" and "unexpected tag '%s'" or "unknown tag '%s'", tag)
      end
      local node = {tag = tag, line = token.line}
      tags[tag](self, node)
      if not node.body and not node.branches then self:expect "end_block" end
      body[#body + 1] = node
    elseif token.kind == "end" then
      if stops then syntax(first, "'%s' without '%s'", name, stops[#stops]) end
      self.depth = self.depth - 1
      return body
    else
      syntax(token.line, "unexpected %s", shown(token))
    end
  end
end

-- source -> list of statements. Raises {template = true, message, line, code}.
function parser.parse(source)
  return setmetatable({tokens = lexer.tokens(source), at = 1, depth = 0, loops = 0}, Parser):body()
end

return parser
