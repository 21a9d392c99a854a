# nexthop: build, try, test and install. There is no configure step.
#
#   make                        build for Lua 5.4 into build/lua5.4
#   make LUA=luajit             build for LuaJIT beside it (lua5.1 to lua5.5 too)
#   eval "$(make -s lua-env)"   use that build in place, the programs in bin/ too
#   make demo [DOMAIN=...]      the main job on a signed lab, or on the real internet
#   make test [LUA=] [SPEC=]    the suite, under lua5.4 and luajit
#   make test-all               everything else there is: see `make help`
#   make install DESTDIR= PREFIX=/usr [LUA=]
#
# `make demo` and `make test` install the Debian packages they miss, and say so.

LUA     ?= lua5.4
PREFIX  ?= /usr/local
DESTDIR ?=

# What `make test` runs under: the two that matter most, or the one asked for.
LUAS = $(if $(filter file default,$(origin LUA)),lua5.4 luajit,$(LUA))
OTHER_LUAS = lua5.1 lua5.2 lua5.3

# ---------------------------------------------------------------- the C half

# Everything built for one Lua is in one directory, so that they never mix;
# `make asan` uses the same rules with VARIANT=-asan.
VARIANT ?=
B       := build/$(LUA)$(VARIANT)
core    := $(B)/nexthop/core.so
sources := $(wildcard src/*.c)
objects := $(sources:src/%.c=$(B)/%.o)
helpers := $(patsubst tests/%.c,$(B)/%.so,$(wildcard tests/*.c))
programs := $(patsubst bin/%,$(B)/bin/%,$(wildcard bin/*))

# The interpreter's name is its pkg-config name on Debian; others spell it
# lua-5.4 or lua54. A module takes the headers and never links the library:
# the interpreter that loads it brings its own.
PKG_CONFIG ?= pkg-config
LUA_PC  := $(firstword $(foreach p,$(LUA) $(LUA:lua5%=lua-5%) $(subst .,,$(LUA)),\
             $(shell $(PKG_CONFIG) --exists $(p) 2>/dev/null && echo $(p))))

# Debian's libunbound.pc asks for packages that its headers do not need, so a
# library without a usable .pc is taken to be where the compiler looks.
LIBS    := unbound uv idn2 crypto
pc       = $(shell $(PKG_CONFIG) $(1) lib$(2) 2>/dev/null $(3))
LIB_CFLAGS := $(foreach l,$(LIBS),$(call pc,--cflags,$(l)))
LIB_LIBS   := $(foreach l,$(LIBS),$(call pc,--libs,$(l),|| echo -l$(l)))
LUA_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LUA_PC) 2>/dev/null)

CFLAGS   ?= -O2 -g
hardened := -fstack-protector-strong $(if $(VARIANT),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
ifeq ($(VARIANT),-asan)
sanitize := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif
warnings := -Wall -Wextra -Wshadow -Wconversion

ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden $(warnings) $(hardened) \
             $(LUA_CFLAGS) $(LIB_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(sanitize)
ALL_LDFLAGS = -shared -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS) $(sanitize)
ALL_LIBS   = $(LIB_LIBS) $(LDLIBS)

.PHONY: all
all: $(core) $(programs) ; @:

$(core): $(objects)
	@mkdir -p $(@D)
	$(CC) -o $@ $(objects) $(ALL_LDFLAGS) $(ALL_LIBS)

$(B)/%.o: src/%.c $(B)/flags | libraries
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# What tests need of C and Lua has not (fork, say): tests/NAME.c is a module of
# that name, on the path of the build that is tested and never installed.
$(B)/%.so: tests/%.c $(B)/flags | libraries
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -o $@ $< $(ALL_LDFLAGS) $(ALL_LIBS)

# A program runs under the Lua it was built for.
$(B)/bin/%: bin/%
	@mkdir -p $(@D)
	@sed '1s|^#!.*lua.*|#!/usr/bin/env $(LUA)|' $< > $@ && chmod 755 $@

# Other flags, other objects: this file changes when they do.
$(B)/flags: force
	@mkdir -p $(@D)
	@echo '$(CC) $(subst ','\'',$(ALL_CFLAGS) $(ALL_LDFLAGS))' | cmp -s - $@ || \
	 echo '$(CC) $(subst ','\'',$(ALL_CFLAGS) $(ALL_LDFLAGS))' > $@

.PHONY: force libraries
force:

libraries:
	@.ci/headers $(LUA) $(CC) $(LUA_CFLAGS) $(LIB_CFLAGS) $(CPPFLAGS)

-include $(objects:.o=.d) $(helpers:.so=.d)

# ------------------------------------------------------- using it in place

here := $(CURDIR)

# Prints, and builds nothing.
.PHONY: lua-env
lua-env:
	@echo "export" \
	 "LUA_PATH='$(here)/lua/?.lua;$(here)/lua/?/init.lua;;'" \
	 "LUA_CPATH='$(here)/$(B)/?.so;;'" \
	 "PATH='$(here)/$(B)/bin:$(here)/bin':\"\$$PATH\""

.PHONY: demo
demo: need-test
	@$(MAKE) --no-print-directory -s LUA=$(LUA)
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=$(LUA))" && \
	 exec $(LUA) examples/demo.lua $(DOMAIN)

# -------------------------------------------------------------------- tests

# Each Lua is a run of make of its own: $(call build-for,LUAS,more arguments)
build-for = $(foreach l,$(1),$(MAKE) --no-print-directory LUA=$(l) $(2) all test-modules &&) :

.PHONY: test-modules
test-modules: $(helpers) ; @:

.PHONY: test
test: need-test
	@$(call build-for,$(LUAS))
	@tests/run $(LUAS) $(SPEC)

# ----------------------------------------------------------------- the rest

.PHONY: need-build need-test need-lint need-rock need-all
need-build need-test need-lint need-rock need-all:
	@.ci/bootstrap $(@:need-%=%) $(LUAS)

.PHONY: clean
clean:
	rm -rf build
