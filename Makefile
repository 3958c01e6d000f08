# SPDX-License-Identifier: GPL-2.0-or-later

BUILD ?= build
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
export PYTHON

hooks = $(shell find hooks -name '*.cocci' -o -name '*.insert') hooks scripts/compose.py
ninja = ninja -C $(BUILD)/obj

all: $(BUILD)/cache/composed
	$(ninja) qemu-system-x86_64

$(BUILD)/obj/build.ninja:
	./configure --build=$(BUILD)

# Hooks changed: edit the sources anew, then ninja sees what there is to do.
$(BUILD)/cache/composed: $(hooks) | $(BUILD)/obj/build.ninja
	$(PYTHON) scripts/compose.py $(BUILD)

install: all
	scripts/install $(BUILD) "$(DESTDIR)$(PREFIX)"

deps:
	scripts/install-deps

# What demo and check share: they also run on a machine that has only git and make.
ready:
	test -z "`scripts/requirements`" || $(MAKE) deps
	$(MAKE) all

demo: ready
	BUILD=$(abspath $(BUILD)) scripts/demo

check: ready
	$(ninja) pv-ve-tests
	BUILD=$(abspath $(BUILD)) tests/run

clean:
	test ! -e $(BUILD)/obj/build.ninja || $(ninja) -t clean

distclean:
	rm -rf $(BUILD)

help:
	@echo 'make            build qemu-system-x86_64 in $$BUILD (build)'
	@echo 'make install    install it with its firmware in $$PREFIX (/usr/local)'
	@echo 'make demo       a postcopy migration with pv-ve off and on'
	@echo 'make check      all tests'
	@echo 'make deps       install the packages that all this needs (Debian 12, 13)'
	@echo 'make clean      remove what was compiled; distclean: remove $$BUILD'

.PHONY: all install deps ready demo check clean distclean help
