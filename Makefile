# SPDX-License-Identifier: GPL-2.0-or-later
# Builds, installs and tests what ./configure has composed; `make help` lists it all.

BUILD ?= build
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
export PYTHON

locked = scripts/locked $(BUILD)
ninja = $(locked) ninja -C $(BUILD)/obj
composed = $(BUILD)/cache/composed

all: $(composed)
	$(ninja) qemu-system-x86_64

$(BUILD)/obj/build.ninja:
	./configure --build=$(BUILD)

# Hooks changed: edit the sources anew, then ninja sees what there is to do.
$(composed): scripts/compose.py $(shell find hooks) | $(BUILD)/obj/build.ninja
	@$(locked) test -e $@ || { echo 'The last configure failed: run it again'; exit 1; }
	$(locked) $(PYTHON) scripts/compose.py $(BUILD)
	@touch $@

install: all
	$(locked) scripts/install $(BUILD) "$(DESTDIR)$(PREFIX)"

deps:
	scripts/install-deps

# What demo and check share: they also run on a machine that has only git and make.
# Without gnuplot, all but the demo's pictures works.
ready:
	test -z "`scripts/requirements`" || $(MAKE) deps || \
		test -z "`scripts/requirements --no-pictures`"
	$(MAKE) all
	$(MAKE) -C guests/freestanding O=$(abspath $(BUILD))/guests/freestanding

demo: ready
	BUILD=$(abspath $(BUILD)) scripts/with-userfaultfd bench/bench demo

# How much a guest's tasks get done meanwhile
demo-linux demo-linux-kvm demo-freestanding: demo-%: ready
	BUILD=$(abspath $(BUILD)) scripts/with-userfaultfd scripts/demo --only $*

# BENCH: its form and options, as `quick` or '--load tpcb --runs 9'
bench: ready
	BUILD=$(abspath $(BUILD)) scripts/with-userfaultfd bench/bench $(BENCH)

# All of tests/run, or one of its suites
SUITES = unit harness house configure model mutants qtest guest postcopy nested kvm linux
check soak $(SUITES:%=check-%): ready
	$(ninja) pv-ve-tests
	$(if $(filter check soak %-nested %-linux,$@),-$(MAKE) linux-guest)
	mkdir -p $(BUILD)/check-logs
	BUILD=$(abspath $(BUILD)) scripts/with-userfaultfd tests/run $(CHECK) \
		$(if $(filter soak,$@),--soak) $(filter-out check soak,$(patsubst check-%,%,$@))

# Several programs need it, which run at once; they tell why it cannot be had.
linux-guest:
	scripts/linux-driver $(BUILD)
	scripts/linux-driver --flavour=rt $(BUILD)
	$(MAKE) -s -C guests/linux O=$(abspath $(BUILD))/guests/linux

mutants: ready
	BUILD=$(abspath $(BUILD)) scripts/with-userfaultfd \
		tests/mutants/run --build=$(abspath $(BUILD)) $(MUTANTS)

linux-driver:
	scripts/linux-driver $(BUILD)

clean:
	test ! -e $(BUILD)/obj/build.ninja || $(ninja) -t clean
	rm -rf $(BUILD)/guests $(BUILD)/linux

distclean:
	rm -rf $(BUILD)

help:
	@echo 'make            build qemu-system-x86_64 in $$BUILD (build)'
	@echo 'make install    install it with its firmware in $$PREFIX (/usr/local)'
	@echo 'make demo       PostgreSQL while its guest is migrated, with pv-ve off and on: a table, a picture'
	@echo 'make demo-linux  the same of tasks in a Linux guest; demo-linux-kvm: under KVM;'
	@echo '                demo-freestanding: in a small guest'
	@echo 'make bench      what clients of a database in the guest feel of a migration, with figures;'
	@echo '                BENCH=quick ends in ten minutes, BENCH=--help tells the options'
	@echo 'make check      all tests; check-nested those of KVM in the nested bed, and so on:'
	@echo '                $(SUITES)'
	@echo 'make soak       the same, with all repetitions, and nothing taken as known'
	@echo 'make mutants    break the fork line by line: does a test notice? (an hour)'
	@echo 'make linux-driver  the Linux driver for kernels 6.12 of Debian 13 and 12'
	@echo 'make deps       install the packages that all this needs (Debian 12, 13)'
	@echo 'make clean      remove what was compiled; distclean: remove $$BUILD'

.PHONY: all install deps ready demo demo-linux demo-linux-kvm demo-freestanding bench check soak linux-guest $(SUITES:%=check-%) mutants linux-driver clean distclean help
