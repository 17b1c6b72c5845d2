# SPDX-License-Identifier: GPL-2.0
# The top level: what there is to do. The work is done by scripts/, the
# programs and the tests that are called here. AS_IS=1 builds the kernel trees
# under build/src as they are, for those who are changing them.

TOP := $(CURDIR)
KSRC := $(TOP)/build/src/kview

.DEFAULT_GOAL := help
.NOTPARALLEL:

help: ## print this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install the packages that are needed and missing (needs root)
	@scripts/setup

kernels: setup ## build the kernels: baseline, pre and kview
	@scripts/kernel build baseline pre kview

kernel-debug: setup ## build the kview kernel with KASAN, lockdep and others
	@scripts/kernel build debug

tools: setup ## build libbpf, bpftool, kview, the tracing tools and the benches
	@scripts/kernel source
	@$(MAKE) --no-print-directory -C userspace O=$(TOP)/build/tools KSRC=$(KSRC)

demo: kernels tools ## the paper's comparison, then two memcached servers
	@bench/run demo

# FORCE=1 does again what was done before
bench: kernels tools ## all benches, into bench/REPORT.md; bench-NAME for one of them
	@bench/run $(if $(FORCE),--force)

bench-%: kernels tools
	@bench/run $(if $(FORCE),--force) $*

test: kernels tools ## run the tests in QEMU, and a few in Bochs
	@scripts/test

test-bochs: kernels tools ## run tests in Bochs, and see them fail without protections
	@scripts/test --emulator bochs

test-foreign: kernels tools ## run the kernel's own selftests as targets, and bpftrace beside
	@scripts/test-foreign

test-debug: kernel-debug tools ## run the tests in the debug kernel
	@scripts/test --debug

# SEED=N one seed, RUNS=N so many; CPUS=, PTI=, LA57= lists of what is tried;
# KERNEL=debug, EMULATOR=bochs
oracle: $(if $(filter debug,$(KERNEL)),kernel-debug,kernels) tools ## compare views with PID checks on random processes
	@scripts/oracle $(if $(SEED),--seed $(SEED) --verbose) $(if $(RUNS),--runs $(RUNS)) \
		$(if $(CPUS),--cpus "$(CPUS)") $(if $(PTI),--pti "$(PTI)") \
		$(if $(LA57),--la57 "$(LA57)") $(if $(KERNEL),--kernel $(KERNEL)) \
		$(if $(EMULATOR),--emulator $(EMULATOR))

storm: kernels tools ## ten minutes of everything at once, on 4 CPUs (STORM=seconds)
	@scripts/test --storm $(or $(STORM),600)

each-patch: setup ## build and boot a kernel after each patch of the series
	@[ -e build/src/kview/.git ] || scripts/kernel source
	@scripts/each-patch

# PREFIX (/usr/local), DESTDIR
install: tools ## install kview, the tracing tools and their manual pages
	@$(MAKE) --no-print-directory -C userspace O=$(TOP)/build/tools KSRC=$(KSRC) install

uninstall: ## remove what install installed
	@$(MAKE) --no-print-directory -C userspace O=$(TOP)/build/tools KSRC=$(KSRC) uninstall

lint: setup ## check style and that patches and trees agree; silent if clean
	@[ -e build/src/kview/.git ] || scripts/kernel source
	@scripts/lint

clean: ## remove what was built, but not the kernel source trees
	@scripts/clean

distclean: ## remove build/ altogether, unless it holds unexported work
	@scripts/clean --all

.PHONY: help setup kernels kernel-debug tools demo bench test test-bochs test-foreign test-debug oracle storm each-patch install uninstall lint clean distclean
