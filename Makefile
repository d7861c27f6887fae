# SPDX-License-Identifier: GPL-2.0
# KERNEL=6.12, 6.1, rt, debug or uml: a kernel of tests/vm/kernel; KDIR=...: any other's build folder.
# V=1, W=1, C=2 and the like reach the kernel's make.

KERNEL ?= 6.12
PREFIX ?= /usr/local
export KERNEL KDIR

# the folder in build/
ID = $(if $(KDIR),$(shell cat $(KDIR)/include/config/kernel.release),$(KERNEL))

all: modules tools		## the modules and the tools (the default)
modules:			## the kernel modules for KERNEL or KDIR, in build/
	+tests/vm/modules $(ID)
tools: modules			## kpy, its BPF programs and what it preloads, in build/tools/ and build/bpf/
	$(MAKE) -C tools
setup:				## installs the Debian packages that are missing and fetches the kernels for the VM
	tests/vm/setup
demo: setup			## records a Python program, replays it in a kernel, compares
	+$(MAKE) all
	tests/demo
vm: all				## a shell in the VM; ARGS='-m 2G -c 4 -a KERNEL_ARGS'
	tests/vm/run-vm -i $(ARGS)
check: setup			## all tests
	tests/run
quick:				## tests that need neither a VM nor kernel headers, in two minutes
	tests/vm/setup quick
	tests/run -q
check-long: setup		## what takes longer: how many mistakes in the core the tests notice
	tests/run-long
bench: setup			## what it costs beside SLUB: instructions, rates, pages; tests/bench/RESULTS.md
	+tests/bench/run
install: export KDIR ?= /lib/modules/$(shell uname -r)/build
install: export KPY_KUNIT =
install: all			## the modules for KDIR (the running kernel), the tools into PREFIX; DESTDIR
	$(MAKE) -C $(KDIR) M=$(CURDIR)/build/$(ID)/src INSTALL_MOD_PATH=$(DESTDIR) INSTALL_MOD_STRIP=1 modules_install
	install -D -t $(DESTDIR)$(PREFIX)/bin build/tools/kpy
	install -D -t $(DESTDIR)$(PREFIX)/lib/kpymalloc -m 644 build/tools/kpyrecord.so build/bpf/*.bpf.o
clean:				## removes build/
	rm -rf build
help:				## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' Makefile

.PHONY: all modules tools setup demo vm check quick check-long bench install clean help
