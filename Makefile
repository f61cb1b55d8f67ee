# make              build everything (library, Lua modules, command line)
# make demo         the main job: sentences become checked API calls, with the shipped model (SAY="..." for a sentence of yours)
# make test         all tests; make asan: again under the address and undefined-behaviour sanitizers
# make fuzz         the fuzzers for SECONDS=600 in all, under the sanitizers (make test runs them with fixed seeds)
# make lint         luacheck, clang-format, cppcheck
# make install      PREFIX=/usr/local LUA_VERSION=5.4
# make -s env       shell lines under which lua5.4 and mobilellm use the built tree
# Options: BLAS=none (no OpenBLAS), CC=clang, BUILD=dir, SAN=1 (sanitizers)

SHELL := /bin/sh
BUILD ?= build
BLAS ?= openblas
PREFIX ?= /usr/local
LUA_VERSION ?= 5.4
CC ?= cc
AR ?= ar

WARN := -Wall -Wextra -Wshadow -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef \
        -Wwrite-strings -Werror
OPT ?= -O2 -g
STD := -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -fno-math-errno -ffp-contract=off -pthread

VERSION := $(shell sed -n "s/^\#\# \([0-9][0-9.]*\).*/\1/p" CHANGELOG.md | head -n 1)
PKGS := libutf8proc
ifneq ($(BLAS),none)
PKGS += openblas
DEFS += -DMLLM_BLAS=1
else
DEFS += -DMLLM_BLAS=0
endif
ifeq ($(SAN),1)
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
DEFS += -DMLLM_SANITIZED=1
else
DEFS += -DMLLM_SANITIZED=0
endif

PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null)
ALL_CFLAGS = $(STD) $(OPT) $(WARN) $(DEFS) $(PKG_CFLAGS) $(CFLAGS)
LIBS = $(PKG_LIBS) -lm -pthread

CORE_SRC := $(sort $(wildcard core/*/*.c))
CORE_OBJ := $(CORE_SRC:%.c=$(BUILD)/%.o)
BIND_SRC := $(sort $(wildcard lua-mobilellm/src/*.c))
LUA_SRC := $(sort $(wildcard lua-mobilellm/mobilellm/*.lua lua-mobilellm/mobilellm/*/*.lua))
LIB := $(BUILD)/libmobilellm.a
# One module per Lua binary interface; LuaJIT uses that of 5.1.
MODULES := $(BUILD)/lua5.4/mobilellm/core.so $(BUILD)/lua5.1/mobilellm/core.so
TEST_SRC := $(sort $(wildcard tests/core/test_*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/tests/%)
TEST_BIN := $(TEST_SRC:tests/core/%.c=$(BUILD)/tests/%) $(FUZZ_BIN)
# What the fuzzers look into: compiled once more, so that every block that is entered is counted.
TRACED := $(filter core/grammar/% core/toolcall/% core/base/json.c,$(CORE_SRC))
TRACED_OBJ := $(TRACED:%.c=$(BUILD)/traced/%.o)

.PHONY: all module demo test check asan fuzz lint deps env install rock rock-install clean

all: $(LIB) $(MODULES)

module: $(MODULES)

$(BUILD)/core/%.o: core/%.c Makefile
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(LIB): $(CORE_OBJ)
	@echo "AR $@"
	@rm -f $@
	@$(AR) rcs $@ $^

define LUA_RULES
$(BUILD)/lua$(1)/%.o: lua-mobilellm/src/%.c Makefile
	@mkdir -p $$(@D)
	@echo "CC $$< (Lua $(1))"
	@$$(CC) $$(ALL_CFLAGS) $$(shell pkg-config --cflags lua$(1)) -Icore -MMD -MP -c $$< -o $$@
$(BUILD)/lua$(1)/mobilellm/core.so: $(BIND_SRC:lua-mobilellm/src/%.c=$(BUILD)/lua$(1)/%.o) $(LIB)
	@mkdir -p $$(@D)
	@echo "LD $$@"
	@$$(CC) -shared $$(OPT) -o $$@ $$(filter %.o,$$^) -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive $$(LIBS)
endef
$(eval $(call LUA_RULES,5.4))
$(eval $(call LUA_RULES,5.1))

# examples/embed.c: a program on core/ alone.
$(BUILD)/tests/embed: examples/embed.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Icore $< -o $@ $(LIB) $(LIBS)

$(BUILD)/tests/%: tests/core/%.c tests/core/test.h $(LIB)
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(ALL_CFLAGS) -Icore -Itests/core -MMD -MP $< -o $@ $(LIB) $(LIBS)

$(BUILD)/traced/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "CC $< (traced)"
	@$(CC) $(ALL_CFLAGS) -fsanitize-coverage=trace-pc -MMD -MP -c $< -o $@

$(FUZZ_BIN): $(BUILD)/tests/%: tests/fuzz/%.c $(TRACED_OBJ) $(LIB)
	@mkdir -p $(@D)
	@echo "CC $<"
	@$(CC) $(ALL_CFLAGS) -Icore -Itests/fuzz -MMD -MP $< -o $@ $(TRACED_OBJ) $(LIB) $(LIBS)

deps:
	@sh .ci/deps

# The smart-home agent with its own three sentences and what is typed; make demo SAY="lock the front door" hears that one.
demo: export SAY := $(SAY)
demo: deps
	@$(MAKE) -q all 2>/dev/null || $(MAKE) --no-print-directory all
	@LUA_PATH="$(CURDIR)/lua-mobilellm/?.lua;$(CURDIR)/lua-mobilellm/?/init.lua;;" LUA_CPATH="$(CURDIR)/$(BUILD)/lua5.4/?.so;;" \
	    lua5.4 agents/home.lua $${SAY:+"$$SAY"}

test:
	@sh .ci/deps test
	@$(MAKE) --no-print-directory check

# The tests without the look for missing packages.
check: all $(TEST_BIN) $(BUILD)/tests/embed
	@BUILD=$(BUILD) sh tests/run

asan: deps
	@$(MAKE) --no-print-directory BUILD=build-asan SAN=1 check

# One after the other; an input that fails is left in build-asan/tests/fuzz_X.failed.
SECONDS ?= 600
fuzz: deps
	@$(MAKE) --no-print-directory BUILD=build-asan SAN=1 $(FUZZ_BIN:$(BUILD)/%=build-asan/%)
	@for f in $(FUZZ_BIN:$(BUILD)/%=build-asan/%); do $$f $$(($(SECONDS) / $(words $(FUZZ_BIN)))) || exit 1; done

lint: deps
	@sh .ci/lint

env:
	@echo 'export PATH="$(CURDIR)/lua-mobilellm/bin:$$PATH"'
	@echo 'export LUA_PATH="$(CURDIR)/lua-mobilellm/?.lua;$(CURDIR)/lua-mobilellm/?/init.lua;;"'
	@echo 'export LUA_CPATH="$(CURDIR)/$(BUILD)/lua$(LUA_VERSION)/?.so;;"'

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include/mobilellm $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_VERSION)/mobilellm
	cd lua-mobilellm && find mobilellm -name '*.lua' -exec install -D -m 644 {} $(DESTDIR)$(PREFIX)/share/lua/$(LUA_VERSION)/{} \;
	install -m 755 $(BUILD)/lua$(LUA_VERSION)/mobilellm/core.so $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_VERSION)/mobilellm/
	install -m 755 lua-mobilellm/bin/mobilellm $(DESTDIR)$(PREFIX)/bin/
	install -D -m 644 lua-mobilellm/mobilellm.d.lua $(DESTDIR)$(PREFIX)/share/mobilellm/mobilellm.d.lua
	install -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/
	cd core && find . -name '*.h' -exec install -D -m 644 {} $(DESTDIR)$(PREFIX)/include/mobilellm/{} \;
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include/mobilellm' '' 'Name: mobilellm' \
	    'Description: sub-billion-parameter language models inside a program' 'Version: $(VERSION)' 'Requires: $(PKGS)' \
	    'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lmobilellm -lm -pthread' >$(DESTDIR)$(PREFIX)/lib/pkgconfig/mobilellm.pc

# For rockspec/: luarocks says which Lua it builds for and where things go.
ROCK_VERSION = $(shell $(ROCK_LUA) -e 'io.write((_VERSION:match "%d%.%d"))')
rock:
	@$(MAKE) --no-print-directory $(BUILD)/lua$(ROCK_VERSION)/mobilellm/core.so

rock-install:
	install -d $(ROCK_LUADIR) $(ROCK_LIBDIR)/mobilellm $(ROCK_BINDIR)
	cd lua-mobilellm && find mobilellm -name '*.lua' -exec install -D -m 644 {} $(ROCK_LUADIR)/{} \;
	install -m 755 $(BUILD)/lua$(ROCK_VERSION)/mobilellm/core.so $(ROCK_LIBDIR)/mobilellm/
	install -m 755 lua-mobilellm/bin/mobilellm $(ROCK_BINDIR)/

clean:
	rm -rf build build-asan

-include $(CORE_OBJ:.o=.d) $(TRACED_OBJ:.o=.d) $(wildcard $(BUILD)/lua5.4/*.d $(BUILD)/lua5.1/*.d $(BUILD)/tests/*.d)
