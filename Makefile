# SPDX-License-Identifier: MIT OR BSD-2-Clause
#
# The front door: what can be done with this tree, each in a line or two. User
# space is built by CMake into build/user, the module by the kernel's own build
# system into build/module; the scripts named here do the rest.

prefix = /usr/local
KDIR ?= /lib/modules/$(shell uname -r)/build
KERNEL ?= 6.1
JOBS ?= 2

# The kernels that the module is tested on; stock is the one of Debian 12.
stock := 6.1
matrix := 5.10 6.12 7.2
# Of the time that each scenario of the stress tests takes; make check needs less.
SCALE ?= 1

# A fresh checkout need not compile what another one has compiled. The place is that of
# cache() in tests/vm/lib.py.
ifneq ($(shell command -v ccache),)
launcher := -DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache
export CCACHE_DIR ?= $(abspath $(or $(CMA_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cma)/ccache)
export CCACHE_BASEDIR = $(CURDIR)
export CCACHE_NOHASHDIR = 1
export CCACHE_MAXSIZE ?= 500M
endif

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.SECONDARY:

##@ See it work
.PHONY: demo
demo: ## install what is needed, build, and move data between two processes through /dev/cma
	@scripts/setup build demo
	@scripts/demo

##@ Test
.PHONY: check check-matrix check-clients check-mpi check-debug check-unit check-packages check-device check-stress check-control
.PHONY: check-shortage check-vm check-model check-dkms lint
check: ## all tests, on Debian 12's kernel
	@scripts/setup build demo check
	@$(MAKE) user
	@SCALE=0.4 scripts/tally lint check-device check-stress check-control check-vm check-model check-dkms check-unit \
		check-packages

check-matrix: ## device tests, stress tests and DKMS, on the other kernels
	@scripts/setup build demo check matrix
	@$(MAKE) user
	@SCALE=0.3 scripts/tally $(matrix:%=check-device-%) $(matrix:%=check-stress-%) $(matrix:%=check-dkms-%) \
		$(matrix:%=lint-module-%)

check-clients: user ## Open MPI, strace and stress-ng, unchanged, through /dev/cma
	@scripts/setup build demo check clients
	@tests/clients/run

check-mpi: user ## Open MPI and UCX on their own XPMEM transports, with this tree's libxpmem
	@scripts/setup build demo check mpi
	@tests/mpi/run

check-debug: ## device and stress tests, and memory shortage, on a kernel with sanitizers and lock proving
	@scripts/setup build demo check debug
	@$(MAKE) user
	@scripts/tally check-device-debug check-stress-debug check-shortage

check-shortage: user ## every allocation of every call made to fail, on the debug kernel
	@tests/debug/run

check-unit: user ## the tests that need no device
	@scripts/unit-tests

check-packages: user ## what make install installs, and programs built against it
	@scripts/tally --aloud check-install check-consumers

check-device: check-device-$(stock) ## the device tests, in a guest (check-device-6.12: another kernel)
check-device-%: user
	@tests/device/run --kernel $*

check-stress: check-stress-$(stock) ## copies while the owner changes its memory (check-stress-6.12: another kernel)
check-stress-%: user
	@tests/stress/run --kernel $* --scale $(SCALE)

check-control: user ## that the stress tests are red with a module that was broken on purpose, way by way
	@tests/stress/run --kernel $(stock) --negative --scale $(SCALE)

check-model: user ## that a first touch is cheap, and very many mappings end in time that grows as they do
	@bench/run --kernel $(stock) --only 'touch 2 MiB 4k*' --only '1000 attachments*' --only '10000 attachments*'

check-vm: ## the guest runner itself
	@tests/vm/selftest

check-dkms: check-dkms-$(stock) ## dkms add, build, install, then boot (check-dkms-6.12: another kernel)
check-dkms-%: user
	@tests/packages/dkms/run --kernel $*

check-install: user
	@tests/packages/install/run

check-consumers: user
	@tests/packages/consumers/run

lint: user ## style, static analysis, licences, house rules
	@scripts/lint

lint-module-%:
	@scripts/lint --module $*

##@ Measure
.PHONY: bench-model bench-cost bench-uml bench-charts
bench-model: user ## instructions per copy, in the instruction-count model (KERNEL=6.12: another kernel)
	@scripts/setup build demo
	@bench/run --kernel $(KERNEL)

bench-cost: user ## what copying from a process costs its own calls, in the same model (KERNEL=6.12: another kernel)
	@scripts/setup build demo
	@tests/stress/cost --kernel $(KERNEL)

bench-uml: user ## copies timed natively, with the module in User Mode Linux
	@scripts/setup build demo bench
	@bench/uml/run

bench-charts: ## the README's charts and speed tables, from the last runs' figures, which docs/bench keeps
	@scripts/setup bench
	@mkdir -p build/bench docs/bench
	@find build/bench -maxdepth 1 '(' -name 'model-*.json' -o -name uml.json ')' -exec cp --update -t docs/bench {} +
	@bench/charts
	@bench/table

##@ Build and install
.PHONY: user module install uninstall format clean help
user: build/user/Makefile ## library, tool, shims, tests, examples: build/user
	@scripts/quietly "building user space" cmake --build build/user --parallel $(JOBS)

build/user/Makefile:
	@scripts/setup build
	@scripts/quietly "configuring" cmake -S . -B build/user -DCMAKE_BUILD_TYPE=RelWithDebInfo $(launcher)

module: ## the module for the running kernel: build/module/running/module/cma.ko
	@mkdir -p build/module/running
	@cp -r --update --parents module include/uapi build/module/running
	@scripts/quietly "building the module" $(MAKE) -C $(KDIR) M=$(CURDIR)/build/module/running/module modules

install: user ## module, library, headers, tool, udev rule (prefix=, DESTDIR=, MODULE=dkms|kernel|none)
	@prefix=$(prefix) KDIR=$(KDIR) scripts/install

uninstall: ## take away what make install brought
	@prefix=$(prefix) scripts/install --uninstall

format: ## clang-format the C++ files
	@scripts/lint --format

clean: ## remove build/
	rm -rf build

help:
	@awk -F ':.*## ' '/^##@ /{ printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## /{ printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
