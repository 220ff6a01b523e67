# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""Find the lines of a kernel log that tell of a fault.

None of the kernels says any of this on a sound boot under emulation, so there is no list of
exceptions.
"""
import re

FAULTS = re.compile("|".join([
    r"WARNING:", r"BUG:", r"\bOops\b", r"Kernel panic", r"Call Trace:", r"cut here",
    r"INFO: task .* blocked", r"INFO: (possible|lockdep|trying to register)", r"INFO: rcu",
    r"detected stalls", r"self-detected stall", r"soft lockup", r"hard LOCKUP",
    r"possible (circular|recursive) locking", r"inconsistent lock state", r"suspicious RCU usage",
    r"KASAN", r"KCSAN", r"KFENCE: (out-of-bounds|use-after-free|memory corruption|invalid)", r"UBSAN",
    r"general protection fault[:,]", r"unable to handle", r"scheduling while atomic",
    r"sleeping function called", r"refcount_t:", r"Objects remaining",
    r"still has objects", r"list_(add|del) corruption", r"nonzero pgtables_bytes", r"stack-protector:",
    # Checkers that gave up and from here on find nothing. What kmemleak finds is guest-init's to judge.
    r"kmemleak: .*(disabled|Cannot allocate)", r"ODEBUG: Out of memory",
]))


# QEMU 7.2 and 8.0, with a thread for each CPU, may go on running a breakpoint that the kernel set for a moment to
# change its own code, and has taken back. That is rare, and befalls a kernel that starts: then most code is changed.
STALE_BREAKPOINT = re.compile(r"\bint3: [0-9a-f]{4} \[#1\]")


def emulator_at_fault(text):
    """Whether the kernel died of a breakpoint of its own that QEMU did not forget."""
    return bool(STALE_BREAKPOINT.search(text))


def faults(text):
    """The faulty lines of a log, in order."""
    return [line.strip() for line in text.splitlines() if FAULTS.search(line)]


def excerpt(text, lines=40, further=10):
    """The log from its first faulty line on, and the faulty lines behind that part; nothing of a sound one."""
    log = text.splitlines()
    first = next((i for i, line in enumerate(log) if FAULTS.search(line)), len(log))
    end = first + lines
    return [line.strip() for line in log[first:end]] + faults("\n".join(log[end:]))[:further]
