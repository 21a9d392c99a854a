# nexthop: build, try, test and install. There is no configure step.
#
#   make                        build for Lua 5.4 into build/lua5.4
#   make LUA=luajit             build for LuaJIT beside it (lua5.1 to lua5.5 too)
#   eval "$(make -s lua-env)"   use that build in place, the programs in bin/ too
#   make demo [DOMAIN=...]      the main job on a signed lab, or on the real internet
#   make demo-opensmtpd         the filter in a real OpenSMTPD, on the lab (as root)
#   make demo-rspamd            the plugin in a real rspamd, on the lab (as root)
#   make test [LUA=] [SPEC=]    the suite, under lua5.4 and luajit
#   make test-all               that, and all the rest: lint, the other Luas, asan ...
#   make lint asan valgrind     one of the rest (rock, bench, test-luas, test-trixie, format, clean)
#   make fuzz soak              one minute for each fuzzer, ten of mixed load (SECONDS=)
#   make install DESTDIR= PREFIX=/usr [LUA=]       and uninstall
#   make help                   this
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
# nodelete: Lua unloads modules at its end, and what a forked child left behind must stay reachable.
ALL_LDFLAGS = -shared -Wl,-z,relro,-z,now,-z,nodelete -Wl,--as-needed $(LDFLAGS) $(sanitize)
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

.PHONY: help
help:
	@sed -n 's/^#   //p' Makefile

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
demo: $(if $(DOMAIN),need-demo,need-test)
	@$(MAKE) --no-print-directory LUA=$(LUA) >/dev/null
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=$(LUA))" && \
	 exec $(LUA) examples/demo.lua $(DOMAIN)

# A real smtpd with the filter, on the lab; SUITE=bookworm for smtpd 6.8.
.PHONY: demo-opensmtpd
demo-opensmtpd: need-test
	@$(MAKE) --no-print-directory LUA=$(LUA) >/dev/null
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=$(LUA))" && \
	 exec $(LUA) examples/opensmtpd/demo.lua

# Real rspamd with the plugin, on the lab.
.PHONY: demo-rspamd
demo-rspamd: need-test
	@$(MAKE) --no-print-directory LUA=$(LUA) >/dev/null
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=$(LUA))" && exec $(LUA) examples/rspamd/demo.lua

# -------------------------------------------------------------------- tests

# Each Lua is a run of make of its own: $(call build-for,LUAS,more arguments)
build-for = $(foreach l,$(1),$(MAKE) --no-print-directory LUA=$(l) $(2) all test-modules &&) :

.PHONY: test-modules
test-modules: $(helpers) $(if $(VARIANT),$(B)/keep.so) ; @:

.PHONY: test
test: need-test
	+@$(call build-for,$(LUAS))
	@tests/run $(LUAS) $(SPEC)

# The same with the module built under ASan and UBSan, and under valgrind
# (where LuaJIT's own machine code is all noise).
.PHONY: asan valgrind
asan: need-test
	+@$(call build-for,$(LUAS),VARIANT=-asan)
	@UNDER=asan CC='$(CC)' tests/run $(LUAS) $(SPEC)

$(B)/keep.so: tests/asan/keep.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -fPIC -shared -O2 $(warnings) -o $@ $<

valgrind: need-valgrind
	+@$(call build-for,lua5.4)
	@UNDER=valgrind tests/run lua5.4 $(SPEC)

# The Luas that `make test` leaves out.
.PHONY: test-luas
test-luas:
	@$(MAKE) --no-print-directory test LUAS='$(OTHER_LUAS)'

# The suite on Debian 13, in a root of its own (see tests/trixie).
.PHONY: test-trixie
test-trixie: need-test
	@tests/trixie

# What comes from outside, made up and mutated: SECONDS for each target, TARGETS= for some of them.
# Long loads: memory and descriptors must stay as they are (make test has a short one of each).
.PHONY: fuzz soak
fuzz: need-fuzz all test-modules
	@LUA='$(LUA)' tests/fuzz/run $(or $(SECONDS),60) $(TARGETS)

soak: need-test all
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=$(LUA))" && \
	 exec $(LUA) tests/soak/soak.lua $(or $(SECONDS),600)

# The rockspec builds, offline, and what it installs loads.
.PHONY: rock
rock: need-rock
	@.ci/rock $(LUA)

# What `make install` installs is found there, and `make uninstall` takes it away.
.PHONY: check-install
check-install: need-build
	@.ci/install $(LUAS)

# The filter and the plugin under the smtpd and the rspamd of Debian's unstable, the newest there are.
.PHONY: test-sid
test-sid:
	@NEXTHOP_SMTPD=sid NEXTHOP_RSPAMD=sid $(MAKE) --no-print-directory test \
	 LUA=lua5.4 SPEC='tests/integration/opensmtpd_spec.lua tests/integration/rspamd_spec.lua'

# Every combination of the downgrade matrix, HOSTS= of random worlds from SEED= on ("random": any), and damaged
# answers; `make test` has a sample of each.
.PHONY: test-downgrade
test-downgrade:
	@NEXTHOP_DOWNGRADE=all NEXTHOP_HOSTS=$(or $(HOSTS),100000) NEXTHOP_SEED="$${NEXTHOP_SEED:-$(SEED)}" SPEC_TIMEOUT=7200 \
	 $(MAKE) --no-print-directory test V=1 \
	 SPEC='tests/downgrade_spec.lua tests/hops_spec.lua tests/random_worlds_spec.lua tests/damage_spec.lua'

# All there is, whatever fails on the way: a new target has its word here.
everything := test lint rock check-install test-luas asan valgrind test-sid test-downgrade \
              test-trixie fuzz soak

.PHONY: test-all
test-all:
	@$(MAKE) --no-print-directory --keep-going $(everything)

# ------------------------------------------------------------- other targets

.PHONY: lint format
lint: need-lint
	@.ci/lint

format: need-lint
	clang-format -i $(shell .ci/lint --c-files)

.PHONY: bench
bench: need-bench all
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=$(LUA))" && \
	 exec tests/bench/run $(LUA)

# Packages: see .ci/bootstrap for what is in each set.
.PHONY: need-build need-demo need-test need-lint need-fuzz need-rock need-valgrind need-bench need-all
need-build need-demo need-test need-lint need-fuzz need-rock need-valgrind need-bench need-all:
	@.ci/bootstrap $(@:need-%=%) $(LUAS)

.PHONY: clean
clean:
	rm -rf build

# ------------------------------------------------------------------- install

# Where this Lua looks, of the places under PREFIX. LuaJIT counts as 5.1.
abi       := $(if $(filter luajit,$(LUA)),5.1,$(LUA:lua%=%))
looks-for  = $(firstword $(filter $(PREFIX)/$(1)%/lua/$(abi),$(patsubst %/?.$(2),%,\
               $(subst ;, ,$(shell env -u LUA_PATH -u LUA_CPATH $(LUA) -e 'print(package.$(3))')))) \
               $(PREFIX)/$(1)/lua/$(abi))
LUA_LMOD  ?= $(PREFIX)/share/lua/$(abi)
LUA_CMOD  ?= $(call looks-for,lib,so,cpath)
SYSCONFDIR ?= /etc
DOCDIR    ?= $(PREFIX)/share/doc/nexthop
# OpenSMTPD starts a filter without a path from here.
FILTERDIR ?= $(PREFIX)/libexec/opensmtpd
# Debian's zsh looks elsewhere than others below /usr.
ZSHDIR    ?= $(PREFIX)/share/zsh/$(if $(and $(filter /usr,$(PREFIX)),$(wildcard /etc/debian_version)),vendor-completions,site-functions)

# Words of the form mode:from:to, each for one file: $(call put,mode,files,directory)
put = $(foreach f,$(2),$(1):$(f):$(3)/$(notdir $(f)))
# The same for a whole tree: $(call put-tree,mode,top,directory)
put-tree = $(foreach f,$(shell find $(2) -type f 2>/dev/null | sort),$(1):$(f):$(3)$(f:$(2)%=%))

# What each Lua has of its own. rspamd runs LuaJIT: its plugin comes with the modules for that.
of-one-lua = \
  0644:$(core):$(LUA_CMOD)/nexthop/core.so \
  $(call put-tree,0644,lua,$(LUA_LMOD)) \
  $(if $(filter 5.1,$(abi)), \
    $(call put,0644,$(wildcard share/rspamd/plugins.d/*.lua),$(SYSCONFDIR)/rspamd/plugins.d) \
    $(call put,0644,$(wildcard share/rspamd/modules.d/*.conf),$(SYSCONFDIR)/rspamd/modules.d))

installed-programs = \
  $(call put,0755,$(filter-out %/filter-nexthop %/nexthop-server,$(programs)),$(PREFIX)/bin) \
  $(call put,0755,$(filter %/nexthop-server,$(programs)),$(PREFIX)/sbin) \
  $(call put,0755,$(filter %/filter-nexthop,$(programs)),$(FILTERDIR))

of-all-luas = \
  $(call put,0644,$(wildcard share/systemd/*.service share/systemd/*.socket),$(PREFIX)/lib/systemd/system) \
  $(call put,0644,$(wildcard share/sysusers.d/*.conf),$(PREFIX)/lib/sysusers.d) \
  $(foreach n,1 3 5 8,$(call put,0644,$(wildcard man/*.$(n)),$(PREFIX)/share/man/man$(n))) \
  $(foreach f,$(wildcard share/completions/*.bash),0644:$(f):$(PREFIX)/share/bash-completion/completions/$(notdir $(f:.bash=))) \
  $(call put,0644,$(wildcard share/completions/_*),$(ZSHDIR)) \
  $(call put,0644,$(wildcard README.md CHANGELOG.md SECURITY.md LICENSE),$(DOCDIR)) \
  $(call put-tree,0644,examples,$(DOCDIR)/examples)

# In the shell: is that file there, and a program for another Lua?
is-for-another = [ -e "$(1)" ] && [ "$$(head -n 1 "$(1)")" != "\#!/usr/bin/env $(LUA)" ]

# Where the section of rspamd's plugin was once. Left there, it would be read twice.
former := $(SYSCONFDIR)/rspamd/modules.local.d/nexthop.conf

# A program that is there for another Lua stays, unless this is the usual one: with `LUA=luajit` for
# rspamd the filter must not come to need an interpreter that is not there.
.PHONY: install uninstall
install: all
	@for word in $(of-one-lua) $(installed-programs) $(of-all-luas); do \
	     from=$${word#*:}; to=$${from#*:}; from=$${from%%:*}; \
	     case $(LUA):$$from in lua5.4:*) ;; *:build/*/bin/*) \
	         if $(call is-for-another,$(DESTDIR)$$to); then \
	             echo "$(DESTDIR)$$to: stays, it is for another Lua" >&2; continue; \
	         fi ;; esac; \
	     install -D -m "$${word%%:*}" "$$from" "$(DESTDIR)$$to" && echo "$(DESTDIR)$$to" || exit; \
	 done
	@rm -f "$(DESTDIR)$(former)"

# Programs for another Lua stay, and with them all that is not of one Lua.
uninstall:
	@others=; for word in $(installed-programs); do \
	     to=$(DESTDIR)$${word##*:}; \
	     if $(call is-for-another,$$to); then \
	         others=yes; echo "$$to: stays, it is for another Lua" >&2; \
	     else \
	         echo "$$to"; rm -f "$$to"; \
	     fi; \
	 done; \
	 for word in $(of-one-lua) $${others:-$(of-all-luas)}; do \
	     [ "$$word" = yes ] || { echo "$(DESTDIR)$${word##*:}"; rm -f "$(DESTDIR)$${word##*:}"; }; \
	 done
	@rm -f "$(DESTDIR)$(former)"
	@for own in "$(LUA_CMOD)/nexthop" "$(LUA_LMOD)/nexthop" "$(DOCDIR)"; do \
	     if [ -d "$(DESTDIR)$$own" ]; then find "$(DESTDIR)$$own" -depth -type d -empty -delete; fi; \
	 done
