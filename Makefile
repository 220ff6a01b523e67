# SPDX-License-Identifier: MIT OR BSD-2-Clause
#
# The front door: what can be done with this tree, each in a line or two. User
# space is built by CMake into build/user, the module by the kernel's own build
# system into build/module; the scripts named here do the rest.

prefix = /usr/local
KDIR ?= /lib/modules/$(shell uname -r)/build
KERNEL ?= 6.1
ARCH ?= arm64
JOBS ?= 2

# The kernels that the module is tested on; stock is the one of Debian 12.
stock := 6.1
matrix := 5.10 6.12 7.2
# Other flavours of those: with PREEMPT_RT, and without the drivers of real machines.
flavours := 6.1-rt 6.1-cloud 6.12-rt 6.12-cloud
# The device tests of which several processes do much at once.
racy := ExecRace*:VerdictCache*:MapRace*:MapLife*:*Revoked*:*LateBytes*:LimitOfUser*:Xpmem*
# Those of what depends on the architecture: vectors, faults, page tables, memory that is mapped and changes.
portable := Door*:Hole*:Local*:Shape*:Random*:*Reduce*:List*:LongCopy*:Fuzz*:Memory*:Vmap*:*Huge*:Map*:*/Map*:*EveryKind*:Show*:Signal*:Populate*:SelfCopy*
# The Debian suites that user space is built and tested in beside this machine's, and with what.
suites := trixie
COMPILERS ?= gcc
# Those that the Debian packages are built for, and tried in.
deb_suites := bookworm trixie
# Of the time that each scenario of the stress tests takes, and each device test that tries as often as fits into a
# time; make check needs less, and so does check-all, which has the same tests on five kernels.
SCALE ?= 1
check-all: SCALE = 0.3

# What the targets of several parts run, for scripts/tally, with the SCALE of what stands behind it. Two parts run at
# a time: what takes longest stands first, so that it is not one part alone that is waited for in the end.
package_parts := check-install $(deb_suites:%=check-deb-%) check-rpm check-system check-consumers check-dist check-abi
check_parts := check-device SCALE=0.4 lint check-control check-vm check-stress $(package_parts) check-model check-dkms \
	check-protocol check-unit
matrix_parts := SCALE=0.3 check-device-6.1-rt check-portable $(suites:%=check-user-%) $(matrix:%=check-device-%) $(matrix:%=check-stress-%) \
	$(matrix:%=check-dkms-%) $(matrix:%=lint-module-%)
debug_parts = SCALE=$(SCALE) check-device-debug SCALE=0.4 check-stress-debug check-races-stress check-races-device check-races-control \
	check-shortage check-fuzz

# A fresh checkout need not compile what another one has compiled. The place is that of
# cache() in tests/vm/lib.py.
ifneq ($(shell command -v ccache),)
launcher := -DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache
export CCACHE_DIR ?= $(abspath $(or $(CMA_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cma)/ccache)
export CCACHE_BASEDIR = $(CURDIR)
export CCACHE_NOHASHDIR = 1
export CCACHE_MAXSIZE ?= 2G
endif

# What is installed is stripped: to write what debuggers need would take a third of the time.
release := -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE='-O2 -DNDEBUG' -DCMAKE_CXX_FLAGS_RELEASE='-O2 -DNDEBUG'

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.SECONDARY:

##@ See it work
.PHONY: demo
demo: ## install what is needed, build, and move data between two processes through /dev/cma
	@scripts/setup build demo
	@scripts/demo

##@ Test
.PHONY: check check-all check-arch check-portable check-matrix check-user check-clients check-mpi check-openmpi check-debug check-unit check-packages check-device check-stress check-control
.PHONY: check-install check-consumers check-system check-dist check-deb check-rpm check-abi
.PHONY: check-shortage check-fuzz check-debug-rt check-races check-races-device check-races-stress check-races-control check-flavours check-vm check-model check-protocol check-dkms check-tracing lint
check: ## all tests, on Debian 12's kernel
	@scripts/setup build demo check
	@$(MAKE) user
	@scripts/tally $(check_parts)

check-all: ## what .ci/run runs: check, and check- matrix, clients, mpi, openmpi and debug, as one list
	@scripts/setup build demo check matrix arch clients mpi openmpihost debug
	@$(MAKE) user
	@scripts/tally $(debug_parts) $(matrix_parts) check-clients check-mpi check-openmpi $(check_parts)

check-matrix: ## device tests, stress tests and DKMS, on the other kernels; device tests with PREEMPT_RT, and on arm64; user space on Debian 13
	@scripts/setup build demo check matrix arch
	@$(MAKE) user
	@scripts/tally $(matrix_parts)

check-flavours: ## device and stress tests on PREEMPT_RT and cloud kernels, device tests on the newest kernel there is
	@scripts/setup build demo check matrix
	@$(MAKE) user
	@SCALE=0.3 scripts/tally $(flavours:%=check-device-%) $(flavours:%=check-stress-%) check-device-next

check-arch: ## device tests on another architecture, emulated (ARCH=arm64; ARCH=6.12-arm64-16k: another kernel of it)
	@scripts/setup build demo check arch
	@tests/arch/run $(ARCH) --scale $(SCALE) $(FILTER)

check-portable: ## those device tests that depend on the architecture, on arm64
	@scripts/setup build demo check arch
	@tests/arch/run arm64 --scale $(SCALE) '$(portable)'

check-clients: user ## Open MPI, strace and stress-ng, unchanged, through /dev/cma
	@scripts/setup build demo check clients
	@tests/clients/run

check-mpi: user ## Open MPI and UCX on their own XPMEM transports, with this tree's libxpmem
	@scripts/setup build demo check mpi
	@tests/mpi/run

check-openmpi: user ## Open MPI 5 of Debian 13 with a component of its own for /dev/cma (integrations/openmpi)
	@scripts/setup build demo check matrix openmpihost
	@tests/openmpi/run

check-debug: ## device and stress tests, memory shortage and data races, on kernels with sanitizers and lock proving
	@scripts/setup build demo check debug
	@$(MAKE) user
	@scripts/tally $(debug_parts)

check-debug-rt: ## device and stress tests on a kernel with PREEMPT_RT, sanitizers and lock proving
	@scripts/setup build demo check debug matrix
	@$(MAKE) user
	@SCALE=0.3 scripts/tally check-device-debug-rt check-stress-debug-rt

check-shortage: user ## every allocation of every call made to fail, on the debug kernel
	@tests/debug/run

check-fuzz: user ## a minute of the fuzzer, on the debug kernel
	@tests/fuzz/run --seconds 60

check-races: ## all device and stress tests on a kernel that looks for data races in the module
	@scripts/setup build demo check debug
	@$(MAKE) user
	@scripts/tally check-device-kcsan check-stress-kcsan check-races-control

check-races-device: user
	@tests/device/run --kernel kcsan '$(racy)'

check-races-stress: user
	@tests/stress/run --kernel kcsan --scale 0.2

check-races-control: user ## that data races which were put into the module on purpose are seen
	@tests/stress/run --kernel kcsan --negative

check-tracing: user ## the commands of docs/tracing.md (perf, bpftrace), in a guest in which a program copies
	@scripts/setup build demo check tracing
	@tests/tracing/run

check-unit: user ## the tests that need no device
	@scripts/unit-tests

check-user: $(suites:%=check-user-%) ## user space built, and its tests run, on Debian 13 (check-user-forky: another, COMPILERS=clang)
check-user-%:
	@tests/suites/run $* $(COMPILERS)

check-packages: user ## make install, in a whole system too; Debian and RPM packages; the tarball; the library's ABI
	@scripts/tally --aloud $(package_parts)

check-device: check-device-$(stock) ## the device tests, in a guest (check-device-6.12: another kernel)
check-device-%: user
	@tests/device/run --kernel $* --scale $(SCALE)

check-stress: check-stress-$(stock) ## copies while the owner changes its memory (check-stress-6.12: another kernel)
check-stress-%: user
	@tests/stress/run --kernel $* --scale $(SCALE)

check-control: user ## that the stress tests are red with a module that was broken on purpose, way by way
	@tests/stress/run --kernel $(stock) --negative --scale $(SCALE)

check-model: user ## that a first touch is cheap, and very many mappings end in time that grows as they do
	@bench/run --kernel $(stock) --only 'touch 2 MiB 4k*' --only '1000 attachments*' --only '10000 attachments*'

check-protocol: ## that a model of the locks keeps the module's promises in every order of steps, and breaks them with each known fault
	@tests/model/run

check-vm: ## the guest runner itself
	@tests/vm/selftest

check-dkms: check-dkms-$(stock) ## dkms add, build, install, then boot (check-dkms-6.12: another kernel)
check-dkms-%: user
	@tests/packages/dkms/run --kernel $*

check-install: user
	@tests/packages/install/run

check-system:
	@tests/packages/system/run

check-dist: ## that make dist writes the same bytes everywhere, and all that git tracks
	@tests/packages/dist/run

check-deb: $(deb_suites:%=check-deb-%) ## Debian packages built, judged, installed, upgraded and purged (check-deb-trixie: in that suite alone)
check-deb-%:
	@tests/packages/deb/run $*

check-rpm: ## RPM packages built, judged, installed, updated and erased
	@tests/packages/rpm/run

check-abi: user ## that nothing is gone from libcma's ABI, or changed in it
	@tests/packages/abi/run

check-consumers: user
	@tests/packages/consumers/run

lint: user ## style, static analysis, licences, house rules
	@scripts/lint

lint-module-%:
	@scripts/lint --module $*

.PHONY: fuzz
fuzz: user ## the fuzzer for as long as one likes, keeping what it finds (FUZZ='--seconds 3600 --seed 7')
	@scripts/setup build demo check debug
	@tests/fuzz/run --keep $(FUZZ)

##@ Measure
.PHONY: bench-native bench-model bench-cost bench-uml bench-mpi bench-charts pictures
bench-native: user ## copies timed on this machine and the kernel it runs, and the ceiling that memcpy sets (BENCH='--place all')
	@scripts/setup build bench
	@mkdir -p build/bench
	@build/user/tools/cma bench --chart build/bench/native.svg $(BENCH)

bench-model: user ## instructions per copy, in the instruction-count model (KERNEL=6.12, KERNEL=6.1-arm64: another kernel)
	@scripts/setup build demo $(if $(findstring arm64,$(KERNEL)),arch)
	@bench/run --kernel $(KERNEL)

bench-cost: user ## what copying from a process costs its own calls, in the same model (KERNEL=6.12: another kernel)
	@scripts/setup build demo
	@tests/stress/cost --kernel $(KERNEL)

bench-uml: user ## copies timed natively, with the module in User Mode Linux
	@scripts/setup build demo bench
	@bench/uml/run

bench-mpi: user ## MPI's messages and reductions on every transport, natively and in User Mode Linux, with tables and charts
	@scripts/setup build demo matrix openmpihost bench
	@bench/mpi/run
	@$(MAKE) bench-charts

bench-charts: ## the charts and speed tables of README, docs/performance.md and docs/mpi.md, from the last runs' figures, which docs/bench keeps
	@scripts/setup bench
	@mkdir -p build/bench docs/bench
	@find build/bench -maxdepth 1 '(' -name 'model-*.json' -o -name uml.json -o -name mpi.json ')' -exec cp --update -t docs/bench {} +
	@bench/charts
	@bench/table

pictures: ## the picture of docs/architecture.md, from docs/img/objects.dot
	@scripts/setup docs
	@dot -Tsvg docs/img/objects.dot -o docs/img/objects.svg

##@ Build and install
.PHONY: user module install uninstall dist deb abi format clean help
user: build/user/Makefile ## library, tool, shims, tests, examples: build/user
	@scripts/quietly "building user space" cmake --build build/user --parallel $(JOBS)

build/user/Makefile:
	@scripts/setup build
	@scripts/quietly "configuring" cmake -S . -B build/user -DCMAKE_BUILD_TYPE=RelWithDebInfo $(launcher)

module: ## the module for the running kernel: build/module/running/module/cma.ko
	@mkdir -p build/module/running
	@cp -r --update --parents module include/uapi build/module/running
	@scripts/quietly "building the module" $(MAKE) -C $(KDIR) M=$(CURDIR)/build/module/running/module modules

install: build/install/Makefile ## module, library, headers, tool, udev rule (prefix=, DESTDIR=, MODULE=dkms|kernel|none)
	@scripts/quietly "building what is installed" cmake --build build/install --parallel $(JOBS) --target installed
	@prefix=$(prefix) KDIR=$(if $(filter file,$(origin KDIR)),,$(KDIR)) scripts/install

build/install/Makefile:
	@scripts/setup install
	@scripts/quietly "configuring" cmake -S . -B build/install -DCMA_TESTS=OFF $(release) $(launcher)

uninstall: ## take away what make install brought
	@prefix=$(prefix) scripts/install --uninstall

dist: ## the source tarball: build/dist
	@scripts/dist build/dist

deb: ## Debian packages for this machine: build/deb
	@scripts/setup debuild
	@rm -rf build/deb/here
	@mkdir -p build/deb/here
	@tar -xzf "$$(scripts/dist build/dist)" -C build/deb/here
	@scripts/quietly "building packages" env -C build/deb/here/cma-* dpkg-buildpackage --no-sign --build=binary
	@ls build/deb/here/*.deb

abi: ## take what was added to libcma into the baseline of its ABI
	@tests/packages/abi/run --write

format: ## clang-format the C++ files
	@scripts/lint --format

clean: ## remove build/
	rm -rf build

help:
	@awk -F ':.*## ' '/^##@ /{ printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## /{ printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
