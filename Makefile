# nexthop: build, try, test and install. There is no configure step.
#
#   make                        build for Lua 5.4 into build/lua5.4
#   make LUA=luajit             build for LuaJIT beside it (lua5.1 to lua5.5 too)
#   eval "$(make -s lua-env)"   use that build in place, the programs in bin/ too
#   make demo [DOMAIN=...]      the main job on a signed lab, or on the real internet
#   make lab                    a shell on the signed lab, for the commands in docs/
#   make demo-opensmtpd         the filter and the table in a real OpenSMTPD, on the lab (as root)
#   make demo-rspamd            the plugin in a real rspamd, on the lab (as root)
#   make test [LUA=] [SPEC=]    the suite, under lua5.4 and luajit
#   make test-all               that, and all the rest: lint, the other Luas, asan, musl ...
#   make docs                   the API as a page (build/docs/index.html) and as man/nexthop.3
#   make lint asan valgrind     one of the rest (rock, bench, test-luas, test-trixie, format, clean)
#   make fuzz soak              one minute for each fuzzer, ten of mixed load (SECONDS=)
#   make dist deb               a release tarball with its rockspec, and Debian packages (build/dist, build/deb)
#   make STS=no                 without MTA-STS, for which libcurl is needed (make test-no-sts)
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
mail_server := $(B)/mail-server
programs := $(patsubst bin/%,$(B)/bin/%,$(wildcard bin/*))

# The interpreter's name is its pkg-config name on Debian; others spell it
# lua-5.4 or lua54. A module takes the headers and never links the library:
# the interpreter that loads it brings its own.
PKG_CONFIG ?= pkg-config
LUA_PC  := $(firstword $(foreach p,$(LUA) $(LUA:lua5%=lua-5%) $(LUA:lua5%=lua-5.%) $(subst .,,$(LUA)),\
             $(shell $(PKG_CONFIG) --exists $(p) 2>/dev/null && echo $(p))))

# Debian's libunbound.pc asks for packages that its headers do not need, so a
# library without a usable .pc is taken to be where the compiler looks.
LIBS    := unbound uv idn2 ssl crypto
pc       = $(shell $(PKG_CONFIG) $(1) lib$(2) 2>/dev/null $(3))
LIB_CFLAGS := $(foreach l,$(LIBS),$(call pc,--cflags,$(l)))
LIB_LIBS   := $(foreach l,$(LIBS),$(call pc,--libs,$(l),|| echo -l$(l)))
LUA_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LUA_PC) 2>/dev/null)

# MTA-STS needs the headers of libcurl. The library itself is loaded when it is used first.
STS ?= $(if $(shell $(PKG_CONFIG) --exists libcurl 2>/dev/null && echo found),yes,no)
sts_said := $(if $(filter file default,$(origin STS)),$(filter no,$(STS)))
STS_CFLAGS := $(if $(filter no,$(STS)),-DNH_NO_STS,$(shell $(PKG_CONFIG) --cflags libcurl 2>/dev/null))

CFLAGS   ?= -O2 -g
hardened := -fstack-protector-strong $(if $(filter -asan,$(VARIANT)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
ifeq ($(VARIANT),-asan)
sanitize := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif
warnings := -Wall -Wextra -Wshadow -Wconversion -pedantic

# src/ needs POSIX and what all systems have beside it. The helpers of the tests are for glibc.
ALL_CFLAGS = -std=c11 $(if $(filter tests/%,$<),-D_GNU_SOURCE,-D_DEFAULT_SOURCE) -fPIC -fvisibility=hidden $(warnings) $(hardened) \
             $(LUA_CFLAGS) $(LIB_CFLAGS) $(STS_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(sanitize)
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

# The mail servers of the tests are a program of their own, which is never installed and not sanitized.
$(mail_server): $(wildcard tests/mailserver/*)
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O1 -g $(warnings) -o $@ $(filter %.c,$^) -pthread -lssl -lcrypto

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
	@$(if $(sts_said),echo "libcurl is not found (Debian: libcurl4-openssl-dev): this build has no MTA-STS" >&2;) \
	 .ci/headers $(LUA) $(CC) $(LUA_CFLAGS) $(LIB_CFLAGS) $(CPPFLAGS)

.PHONY: help
help:
	@sed -n 's/^#   //p' Makefile

-include $(objects:.o=.d) $(helpers:.so=.d)

# ------------------------------------------------------- using it in place

here := $(CURDIR)

# Prints, and builds nothing. The default path of some Luas lacks ./?/init.lua, by which `tests.support` is found.
.PHONY: lua-env
lua-env:
	@echo "export" \
	 "LUA_PATH='$(here)/lua/?.lua;$(here)/lua/?/init.lua;./?/init.lua;;'" \
	 "LUA_CPATH='$(here)/$(B)/?.so;;'" \
	 "PATH='$(here)/$(B)/bin:$(here)/bin':\"\$$PATH\""

.PHONY: demo
demo: $(if $(DOMAIN),need-demo,need-test)
	@$(MAKE) --no-print-directory LUA=$(LUA) all $(if $(DOMAIN),,test-modules) >/dev/null
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=$(LUA))" && \
	 exec $(LUA) examples/demo.lua $(DOMAIN)

# A shell in which the programs and the module ask the lab.
.PHONY: lab
lab: need-test
	@$(MAKE) --no-print-directory LUA=$(LUA) all test-modules >/dev/null
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=$(LUA))" && exec $(LUA) tests/lab/shell.lua

# A real smtpd with the filter and the table, on the lab; SUITE=bookworm for smtpd 6.8.
.PHONY: demo-opensmtpd
demo-opensmtpd: need-test
	@$(MAKE) --no-print-directory LUA=$(LUA) all test-modules >/dev/null
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
test-modules: $(helpers) $(mail_server) $(if $(filter -asan,$(VARIANT)),$(B)/keep.so) ; @:

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
	@UNDER=valgrind SPEC_TIMEOUT=1500 LANES=$$(nproc) tests/run lua5.4 $(SPEC)

# The Luas that `make test` leaves out.
.PHONY: test-luas
test-luas:
	@$(MAKE) --no-print-directory test LUAS='$(OTHER_LUAS)'

# The suite without MTA-STS. What needs it is skipped, and says so.
.PHONY: test-no-sts
test-no-sts: need-test
	+@$(call build-for,lua5.4,VARIANT=-no-sts STS=no)
	@UNDER=no-sts tests/run lua5.4 $(SPEC)

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

# A release in build/dist: a tarball, and the rockspec that fetches it from DIST_URL= (default: that folder).
# The Debian packages of this Debian in build/deb, as `make` says what they need.
.PHONY: dist deb
dist:
	@.ci/dist

deb: need-deb
	@.ci/deb

# Built, installed, tried and purged in roots of Debian 12 and 13.
.PHONY: test-deb
test-deb: need-test
	@$(MAKE) --no-print-directory LUA=lua5.4 all test-modules >/dev/null
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=lua5.4)" && tests/packages/run bookworm trixie
	@tests/packages/rocks bookworm trixie

# What `make install` installs is found there, and `make uninstall` takes it away.
.PHONY: check-install
check-install: need-build
	@.ci/install $(LUAS)

# The filter and the plugin under the smtpd and the rspamd of Debian's unstable, the newest there are.
.PHONY: test-sid
test-sid:
	@NEXTHOP_SMTPD=sid NEXTHOP_RSPAMD=sid $(MAKE) --no-print-directory test \
	 LUA=lua5.4 SPEC='tests/integration/opensmtpd_spec.lua tests/integration/table_spec.lua \
	 tests/integration/outgoing_spec.lua tests/integration/rspamd_spec.lua \
	 tests/integration/rspamd_rules_spec.lua'

# examples/cluster in a Debian 13 root, with an unbound and the Redis killed under load: RATE= plans a second for each
# of two servers, SECONDS= for each phase.
.PHONY: test-cluster
test-cluster: need-test
	@RATE='$(RATE)' PHASE='$(SECONDS)' tests/cluster/run

# Other systems, as far as they are here: musl's compiler, and libunbound of Debian 11 (1.13) and of unstable.
.PHONY: test-musl test-libunbound
test-musl: need-musl
	@tests/musl

test-libunbound: need-test
	@for suite in bullseye sid; do \
	 SUITE=$$suite LUAS=luajit tests/trixie SPEC='tests/layout_spec.lua tests/resolver_spec.lua \
	  tests/faults_spec.lua tests/plan_spec.lua' || exit; done

# Every combination of the downgrade matrix, HOSTS= of random worlds from SEED= on ("random": any), and damaged
# answers; `make test` has a sample of each.
.PHONY: test-downgrade
test-downgrade:
	@NEXTHOP_DOWNGRADE=all NEXTHOP_HOSTS=$(or $(HOSTS),100000) NEXTHOP_SEED="$${NEXTHOP_SEED:-$(SEED)}" SPEC_TIMEOUT=7200 \
	 $(MAKE) --no-print-directory test V=1 \
	 SPEC='tests/downgrade_spec.lua tests/hops_spec.lua tests/random_worlds_spec.lua tests/damage_spec.lua'

# All there is, whatever fails on the way: a new target has its word here.
everything := test lint rock check-install test-luas test-no-sts asan valgrind test-sid test-downgrade \
              test-trixie test-libunbound test-musl test-cluster test-deb fuzz soak

.PHONY: test-all
test-all:
	@$(MAKE) --no-print-directory --keep-going $(everything)

# ------------------------------------------------------------- other targets

.PHONY: lint format
lint: need-lint
	@.ci/lint

format: need-lint
	clang-format -i $(shell .ci/lint --c-files)
	lua5.4 tools/indent.lua --fix $(shell .ci/lint --lua-files)

# Both are made of the annotations in lua/nexthop; the man page is in git, and lint compares it.
.PHONY: docs
docs:
	@mkdir -p build/docs
	@$(LUA) tools/api.lua html >build/docs/index.html
	@$(LUA) tools/api.lua man >build/docs/nexthop.3
	@cp build/docs/nexthop.3 man/nexthop.3
	@echo "written: build/docs/index.html man/nexthop.3"

.PHONY: bench
bench: need-bench all
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=$(LUA))" && \
	 exec tests/bench/run $(LUA)

# nexthop-monitor with many domains: DOMAINS= on HOSTS=, each once in INTERVAL= seconds.
.PHONY: bench-monitor
bench-monitor: need-test
	@$(MAKE) --no-print-directory LUA=$(LUA) all test-modules >/dev/null
	@eval "$$($(MAKE) -s --no-print-directory lua-env LUA=$(LUA))" && \
	 exec $(LUA) tests/bench/monitor.lua $(or $(DOMAINS),1000) $(or $(HOSTS),200) $(or $(INTERVAL),120)

# Packages: see .ci/bootstrap for what is in each set.
.PHONY: need-build need-demo need-test need-lint need-fuzz need-rock need-valgrind need-bench need-musl need-all
need-build need-demo need-test need-lint need-fuzz need-rock need-valgrind need-bench need-musl need-all:
	@.ci/bootstrap $(@:need-%=%) $(LUAS)

.PHONY: clean
clean:
	rm -rf build

# ------------------------------------------------------------------- install

# install.sh has a table of what goes where. LUA_LMOD, LUA_CMOD, SYSCONFDIR, DOCDIR, FILTERDIR and ZSHDIR
# may be given on make's command line.
.PHONY: install uninstall
install: all
install uninstall:
	@LUA='$(LUA)' BUILD='$(B)' PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' ./install.sh $@
