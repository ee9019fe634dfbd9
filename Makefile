# SPDX-License-Identifier: Apache-2.0
#
# kernelfs: everything that builds, tests, checks and installs. `make help`.

VERSION := 0.1.0
MODE ?= release
out := build/$(MODE)

.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# ---- packages ------------------------------------------------------------
# `make demo`, `make test` and their like install what lacks first; plain
# `make` only names it.

PACKAGES := fuse3 libcurl libgit2 libxxhash libcjson libcrypto libelf
setup_goals := demo test torture bench lint asan tsan fuzz help clean
ifeq ($(filter $(setup_goals),$(MAKECMDGOALS)),)
missing := $(shell for p in $(PACKAGES); do \
	pkg-config --exists $$p 2>/dev/null || echo $$p; done)
ifneq ($(strip $(missing)),)
$(error missing development packages: $(missing); run tests/setup build)
endif
endif
pkg_cflags = $(shell pkg-config --cflags $(PACKAGES) | sed 's/-I/-isystem /g')
pkg_libs = $(shell pkg-config --libs $(PACKAGES)) -lm

# ---- rooms: a file in a room is in the program ---------------------------

rooms := kernels/base kernels/http kernels/git kernels/dir kernels resolver fs \
	fs/cli
sources := $(foreach r,$(rooms),$(wildcard $(r)/*.c))
objects := $(patsubst %.c,$(out)/%.o,$(filter-out fs/cli/main.c,$(sources)))
main_o := $(out)/fs/cli/main.o

# ---- flags ---------------------------------------------------------------

CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
is_clang := $(findstring clang,$(CC))

warnings := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wold-style-definition -Wmissing-prototypes -Wmissing-declarations \
	-Wredundant-decls -Wnested-externs -Wpointer-arith -Wcast-qual \
	-Wcast-align -Wwrite-strings -Wundef -Wvla -Walloca -Wformat=2 \
	-Wconversion -Wsign-conversion -Wdouble-promotion -Wfloat-equal \
	-Wnull-dereference -Wimplicit-fallthrough -Wswitch-enum -Wdate-time \
	-Wframe-larger-than=32768
ifeq ($(is_clang),)
warnings += -Wcast-align=strict -Wduplicated-cond -Wduplicated-branches \
	-Wlogical-op -Wjump-misses-init -Wtrampolines -Walloc-zero \
	-Wformat-overflow=2 -Wformat-truncation=1 -Wformat-signedness \
	-Warith-conversion -Wbad-function-cast
else
warnings += -Wcomma -Wassign-enum -Wunreachable-code-aggressive \
	-Wconditional-uninitialized -Wloop-analysis -Wshift-sign-overflow \
	-Wmissing-variable-declarations -Wthread-safety -Wextra-semi \
	-Wno-gnu-statement-expression -Wno-gnu-auto-type
endif
ifdef WERROR
warnings += -Werror
endif

hardening := -fvisibility=hidden -fno-common -fstack-protector-strong -fPIE \
	-pthread
cflags_release := -O2 -g -D_FORTIFY_SOURCE=3 -fstack-clash-protection \
	-fcf-protection
cflags_clang := -O1 -g
cflags_debug := -O0 -g3
cflags_asan := -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer \
	-fno-sanitize-recover=all
cflags_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
	-fno-omit-frame-pointer -fno-sanitize-recover=all
cflags_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
ldflags_release := -Wl,-z,relro,-z,now,--as-needed
ldflags_asan := -fsanitize=address,undefined -Wl,--as-needed
ldflags_fuzz := -fsanitize=fuzzer,address,undefined
ldflags_tsan := -fsanitize=thread -Wl,--as-needed

all_cppflags := -iquote . -iquote kernels -D_GNU_SOURCE -DFUSE_USE_VERSION=314 \
	-DKERNELFS_VERSION=$(VERSION) -D_FILE_OFFSET_BITS=64 $(CPPFLAGS)
all_cflags = -std=gnu11 $(warnings) $(hardening) $(cflags_$(MODE)) \
	$(pkg_cflags) $(CFLAGS)
all_ldflags := -pie $(ldflags_$(MODE)) $(LDFLAGS)
quiet := $(if $(V),,@)

# ---- rules ---------------------------------------------------------------

.PHONY: all help demo test test_programs torture bench bench_all lint asan tsan fuzz \
	install uninstall clean units FORCE

all: $(out)/kernelfs  ## build the program (build/kernelfs)

# What stands at build/kernelfs is the release build, whatever else was built.
ifeq ($(MODE),release)
all: build/kernelfs
build/kernelfs: $(out)/kernelfs FORCE
	$(quiet)ln -sfn $(MODE)/kernelfs $@
endif

$(out)/kernelfs: $(main_o) $(out)/kernelfs.a
	$(quiet)$(CC) $(all_ldflags) -pthread -o $@ $^ $(pkg_libs)

$(out)/kernelfs.a: $(objects)
	$(quiet)rm -f $@ && $(AR) rcs $@ $^

$(out)/%.o: %.c $(out)/flags
	$(if $(V),,@echo "  CC $<")
	$(quiet)mkdir -p $(@D)
	$(quiet)$(CC) $(all_cppflags) $(all_cflags) -MMD -MP -c -o $@ $<

# Changed flags rebuild.
$(out)/flags: FORCE
	@mkdir -p $(@D); line='$(CC) $(all_cppflags) $(all_cflags) $(all_ldflags)'; \
	printf '%s\n' "$$line" | cmp -s - $@ || printf '%s\n' "$$line" >$@

# The door's Python is in the program; .incbin is unknown to -MMD. Bytecode of
# the pieces is named by a hash over all of them, which first.py carries.
door_pieces := $(filter-out %/first.py %/make_made.py, \
	$(sort $(wildcard fs/door/*.py)))

$(out)/fs/door/first.py: fs/door/first.py $(door_pieces)
	$(quiet)mkdir -p $(@D)
	$(quiet)hash=$$(cat $^ | sha256sum | cut -c1-16) && \
		sed "s/@RELEASE@/$$hash/" $< >$@

# Those that every process needs, compiled by each Python that is here.
PYTHONS := python3 $(foreach n,9 10 11 12 13 14,python3.$(n))

$(out)/fs/door/made.h: $(out)/fs/door/first.py fs/door/core.py \
		fs/door/environment.py fs/door/stub.py fs/door/make_made.py
	$(quiet)rm -f $(@D)/*.made $(@D)/*.pyc
	$(quiet)for p in $(PYTHONS); do \
		$$p -I fs/door/make_made.py $(@D) $(wordlist 1,4,$^) 2>/dev/null; \
	done; i=0; for f in $(@D)/*.made; do test -e "$$f" || continue; \
		printf 'MADE(%d, "%s")\n' $$i "$$(basename $$f .made)"; \
		i=$$((i + 1)); done >$@

$(out)/fs/door.o: $(out)/fs/door/first.py $(out)/fs/door/made.h $(door_pieces)
$(out)/fs/door.o: all_cppflags += -DDOOR_FIRST='"$(out)/fs/door/first.py"' \
	-DDOOR_MADE='"$(out)/fs/door/"' -DDOOR_MADE_LIST='"$(out)/fs/door/made.h"'

-include $(patsubst %.o,%.d,$(objects) $(main_o))

# ---- units ---------------------------------------------------------------

unit_sources := $(wildcard tests/unit/test_*.c)
unit_programs := $(patsubst tests/unit/%.c,$(out)/unit/%,$(unit_sources))

units: $(unit_programs)  ## build the unit tests of MODE

$(out)/unit/%: tests/unit/%.c $(out)/kernelfs.a $(out)/flags
	$(quiet)mkdir -p $(@D)
	$(if $(V),,@echo "  UNIT $<")
	$(quiet)$(CC) $(all_cppflags) -Itests/unit $(all_cflags) -MMD -MP -MF $@.d \
		$(all_ldflags) -o $@ $< $(out)/kernelfs.a $(pkg_libs) -lcmocka

-include $(patsubst %,%.d,$(unit_programs))

# ---- tests ---------------------------------------------------------------
# Each goal first installs what it lacks and says so; then make starts again,
# now that the packages are there to be found.

venv := build/venv/bin/python
oracle_programs := $(patsubst tests/oracle/%.c,$(out)/oracle/%, \
	$(wildcard tests/oracle/*.c))

$(out)/oracle/%: tests/oracle/%.c $(out)/kernelfs.a $(out)/flags
	$(quiet)mkdir -p $(@D)
	$(quiet)$(CC) $(all_cppflags) $(all_cflags) $(all_ldflags) -o $@ $< \
		$(out)/kernelfs.a $(pkg_libs)

torture_programs := $(patsubst tests/torture/%.c,$(out)/torture/%, \
	$(wildcard tests/torture/*.c))

# Programs that read a mount; they stand alone.
$(out)/torture/%: tests/torture/%.c $(out)/flags
	$(quiet)mkdir -p $(@D)
	$(quiet)$(CC) $(all_cppflags) $(all_cflags) $(all_ldflags) -o $@ $<

# Targets of the fuzzer; with a main() that replays files where there is no
# fuzzing engine.
fuzz_names := $(sort $(patsubst tests/fuzz/fuzz_%.c,%, \
	$(wildcard tests/fuzz/fuzz_*.c)))
fuzz_programs := $(patsubst %,$(out)/fuzz/%,$(fuzz_names))
fuzz_main := $(if $(filter fuzz,$(MODE)),,tests/fuzz/replay.c)

$(out)/fuzz/%: tests/fuzz/fuzz_%.c $(fuzz_main) tests/fuzz/fuzz.h \
		tests/fuzz/walk.h $(out)/kernelfs.a $(out)/flags
	$(quiet)mkdir -p $(@D)
	$(if $(V),,@echo "  FUZZ $<")
	$(quiet)$(CC) $(all_cppflags) $(all_cflags) $(all_ldflags) -o $@ $< \
		$(fuzz_main) $(out)/kernelfs.a $(pkg_libs)

# The programs of the bench stand alone: nothing of kernelfs is in them.
bench_programs := $(patsubst tests/bench/%.c,$(out)/bench/%, \
	$(wildcard tests/bench/*.c))

$(out)/bench/%: tests/bench/%.c $(out)/flags
	$(quiet)mkdir -p $(@D)
	$(if $(V),,@echo "  BENCH $<")
	$(quiet)$(CC) $(all_cppflags) $(all_cflags) $(all_ldflags) -o $@ $<

test_programs: all units $(oracle_programs) $(fuzz_programs) \
	$(torture_programs) $(bench_programs)

suites := unit fuzz hub kernel oracle door cli mount bench

demo:  ## the main job on an embedded Hub: build, serve, mount, import
	@tests/setup demo
	@$(MAKE) --no-print-directory all
	@tests/demo

test:  ## all tests but the long ones
	@tests/setup test
	@$(MAKE) --no-print-directory test_programs
	@tests/run $(suites)

torture:  ## the tests that are too long for `make test`
	@tests/setup test
	@$(MAKE) --no-print-directory test_programs
	@tests/run torture

asan:  ## units, corpora, command line and mounts under address and undefined sanitizers
	@tests/setup test
	@$(MAKE) --no-print-directory MODE=asan test_programs
	@tests/run --mode asan unit fuzz cli mount

tsan:  ## units and mounts under the thread sanitizer
	@tests/setup test
	@$(MAKE) --no-print-directory MODE=tsan test_programs
	@tests/run --mode tsan unit mount

# libFuzzer writes what it finds into the first folder that it is given.
FUZZ ?=
SECONDS ?= 60
fuzz_found := build/fuzz/found/$(FUZZ)

fuzz:  ## make up input for one parser: FUZZ=ref SECONDS=60
	@tests/setup lint
	@case ' $(fuzz_names) ' in *' $(FUZZ) '*) ;; *) \
		echo 'make fuzz FUZZ=<name>, one of: $(fuzz_names)' >&2; \
		exit 2 ;; esac
	@$(MAKE) --no-print-directory CC=clang-14 MODE=fuzz \
		build/fuzz/fuzz/$(FUZZ)
	@mkdir -p $(fuzz_found)
	build/fuzz/fuzz/$(FUZZ) -max_total_time=$(SECONDS) -timeout=10 \
		-artifact_prefix=build/fuzz/$(FUZZ)- $(fuzz_found) \
		$(wildcard tests/fuzz/corpus/$(FUZZ) \
			tests/data/must-refuse/$(FUZZ))

bench_all: all $(bench_programs)

# ROW=text measures only the rows whose name contains it.
ROW ?=
JSON ?=

bench:  ## speed and memory beside the alternative: ROW=text JSON=file
	@tests/setup bench
	@$(MAKE) --no-print-directory bench_all
	@$(venv) tests/bench/bench.py $(if $(ROW),--row '$(ROW)') \
		$(if $(JSON),--json '$(JSON)')

# ---- checks --------------------------------------------------------------

lint:  ## floors, library doors, names, lengths, both compilers, manual
	@tests/setup lint
	@$(MAKE) --no-print-directory WERROR=1 all
	@$(MAKE) --no-print-directory WERROR=1 CC=clang-14 MODE=clang \
		build/clang/kernelfs.a
	@tests/lint/run $(out)

# ---- install -------------------------------------------------------------

PREFIX ?= /usr/local
install_dir := $(DESTDIR)$(PREFIX)

install: all  ## install into $(DESTDIR)$(PREFIX)
	install -D -m 0755 $(out)/kernelfs $(install_dir)/bin/kernelfs
	install -D -m 0644 contrib/kernelfs.1 \
		$(install_dir)/share/man/man1/kernelfs.1
	install -D -m 0644 contrib/kernelfs.conf.example \
		$(install_dir)/share/doc/kernelfs/kernelfs.conf.example
	install -D -m 0644 contrib/completions/kernelfs.bash \
		$(install_dir)/share/bash-completion/completions/kernelfs

uninstall:  ## remove what install put there
	rm -f $(install_dir)/bin/kernelfs \
		$(install_dir)/share/man/man1/kernelfs.1 \
		$(install_dir)/share/doc/kernelfs/kernelfs.conf.example \
		$(install_dir)/share/bash-completion/completions/kernelfs

clean:  ## remove what was built (not the virtual environment)
	rm -rf build/release build/debug build/asan build/tsan build/clang \
		build/fuzz build/bench build/kernelfs

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  make \1\t\2/p' Makefile | expand -t 18
