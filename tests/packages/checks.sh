# SPDX-License-Identifier: MIT OR BSD-2-Clause
# shellcheck shell=bash
#
# What the tests inside of a root share: a line for each thing that was looked at, and
# what a kernel, or a system, would find there. Read by them; $release is the kernel
# whose headers are here.
passed=0 failed=0 elsewhere=()

ok() {
	echo "ok      $1"
	((passed += 1))
}
bad() {
	echo "FAILED  $1"
	((failed += 1))
}
is() { # what, seen, wanted
	if [[ $2 == "$3" ]]; then ok "$1"; else bad "$1: it is \"$2\" and not \"$3\""; fi
}
has() { # what, text, pattern
	if grep -qE -- "$3" <<<"$2"; then ok "$1"; else bad "$1: $2"; fi
}
hasnt() { # what, text, pattern
	if grep -qE -- "$3" <<<"$2"; then bad "$1: $2"; else ok "$1"; fi
}
count() {
	echo "$passed passed, $failed failed"
	((failed == 0))
}

# The kernel whose headers are here.
release_of_headers() {
	local release
	release=$(basename "$(dirname "$(readlink -e /lib/modules/*/build/Makefile | head -n 1)")")
	echo "${release#linux-headers-}"
}
# A field of the module that modprobe would load.
loaded() {
	local path
	path=$(modprobe -S "$release" --show-depends cma 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p')
	[[ -z $path ]] || modinfo -F "$1" "$path"
}
modules() { find /lib/modules/ -name 'cma.ko*' | wc -l; }
# All files that could have been left, but for indices, logs, dkms's own key, and what
# lies in the directories of $elsewhere.
everything() {
	local prune=() directory
	for directory in /proc /sys /dev /src /tmp /ccache /var/cache /var/log /var/lib/dpkg /etc/ld.so.cache "${elsewhere[@]}"; do
		prune+=(-path "$directory" -o)
	done
	find / -xdev '(' "${prune[@]}" -name 'modules.*' -o -path '/var/lib/dkms/mok.*' ')' -prune -o ! -type d -print | sort
}
