# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""What a copy through /dev/cma may cost: the one table, and the judgement of a run by it.

Counts are those of the instruction-count model (bench/run); "uml" is User Mode Linux, where nanoseconds
are counted (bench/uml/run). A must that names an absolute count is one for the kernel it names alone: on
another one even an empty system call costs something else.
"""
import fnmatch
from typing import NamedTuple, Optional

from results import YARDSTICK, by_key, cost, unit_of


FEW = 1000  # attachments, and what a growth is measured by


class Must(NamedTuple):
    kernels: str
    case: str  # * and ? match any
    mechanism: str  # the same
    instructions: Optional[int] = None  # at most so many for each segment, or page, of a call
    times: Optional[float] = None  # at least so many times fewer than process_vm takes
    memcpy: Optional[float] = None  # at most so many times as many as memcpy takes
    known: bool = True  # whether the peer is known, and not judged again
    growth: Optional[float] = None  # each at most so many times what it takes each where there are FEW of them


MUSTS = (
    Must("6.1", "read 64 B 4k", "cma_handle", instructions=950),
    Must("6.1", "read 64 B 4k", "cma_pid", instructions=1400),
    # All that a caller pays, in every form of the call.
    Must("6.1", "read 64 B 4k, by *", "cma_handle", instructions=970),
    # By pid it depends on the pid: the kernel's table of them grows deeper, by 17 instructions for everybody.
    Must("6.1", "read 64 B 4k, under cma run", "cma_pid", instructions=1170),
    # Any number of peers.
    Must("6.1", "read 64 B 4k, * peers in turn", "cma_[hw]*", instructions=950),
    Must("6.1", "read 64 B 4k, * peers in turn", "cma_pid", instructions=1400),
    # Whatever the moment.
    # 5.10 has the system call cheaper, and what the library does before it weighs more.
    Must("5.10", "* 4k, *, first contact", "cma_pid", times=0.94, known=False),
    Must("6.1 6.12 7.2", "* 4k, *, first contact", "cma_pid", times=0.95, known=False),
    Must("5.10 6.1 6.12 7.2", "* 4k, *, after 150 ms of quiet", "cma_pid", times=0.95),
    Must("5.10 6.1 6.12 7.2", "* 4k, *, the peer's credentials changed", "cma_pid", times=0.95),
    # A window is opened and copied from for the first time, and its owner was never copied from.
    Must("6.1", "read 64 B 4k, first contact: new open file and process", "cma_window", instructions=3000, known=False),
    # More memory than may be cached, in whatever order; and what may, after something else filled the cache.
    Must("5.10 6.1 6.12 7.2", "* 4k, 8x the bound *", "cma_*", times=0.95),
    Must("5.10 6.1 6.12 7.2", "* 4k, no cache", "cma_*", times=0.95),
    Must("6.1", "read 64 B 4k, moved on", "cma_[hw]*", instructions=1000),
    Must("5.10 6.1 6.12 7.2", "* 4k, moved on", "cma_*", times=1.85),
    Must("6.1", "* 64 KiB 4k", "cma_*", instructions=9500),
    Must("6.1", "* 64 KiB thp", "cma_*", instructions=9500),
    Must("6.1", "read 1 MiB 4k", "cma_pid", instructions=150000),
    Must("6.1", "read 1 MiB 4k", "cma_[hw]*", instructions=134000),
    Must("6.1", "write 1 MiB 4k", "cma_*", instructions=134000),
    # In one chunk or, by where the peer has it, in two, which takes 8,000 more.
    Must("6.1", "read 1 MiB 4k, new memory", "cma_*", instructions=190000),
    Must("6.1", "read 64 x 64 B 4k", "cma_*", instructions=300),
    # The module reduces straight out of the peers' memory, but for what is small: that is copied, and the loop comes
    # on top. A page of doubles is 384 instructions of vectors.
    Must("6.1", "reduce 64 B 4k, one peer", "cma_handle", instructions=1110),
    Must("6.1", "reduce 64 KiB 4k, one peer", "cma_*", instructions=600),
    Must("6.1", "reduce 1 MiB 4k, one peer", "cma_*", instructions=530),
    Must("6.1", "reduce 1 MiB 4k, new memory", "cma_*", instructions=800),
    Must("6.1", "reduce 1 MiB 4k, four peers", "cma_*", instructions=1400),
    Must("5.10 6.12 7.2", "read 1 MiB 4k", "cma_*", times=2.0),
    # There the copy itself takes more, in the kernel's functions, which both call.
    Must("6.1-arm64", "read 64 B 4k", "cma_*", times=2.0),
    Must("6.1-arm64", "read 1 MiB 4k", "cma_*", times=1.6),
    Must("6.1-arm64", "read 1 MiB thp", "cma_*", times=1.5),
    Must("5.10 6.12 7.2", "read 1 MiB thp", "cma_*", times=1.25),
    # A first touch of a peer that is known, even where its memory is not, however it is touched, for each page.
    Must("6.1", "touch 2 MiB 4k *", "mapping", instructions=200),
    Must("6.12 7.2", "touch 2 MiB thp *", "mapping", instructions=60),
    Must("5.10 6.1 6.12 7.2", "* 1 MiB *", "mapping", memcpy=1.01),
    # What real XPMEM takes in the same model, or less; docs/xpmem.md has what is not reached.
    Must("6.1", "attach, 64 B and detach 4 KiB, attached before", "xpmem", instructions=8000),
    Must("6.1", "attach, 64 B and detach 4 KiB, the first", "xpmem", instructions=19945),
    Must("6.1", "xpmem_detach 4 KiB, *", "xpmem", instructions=4000),
    Must("6.1", "xpmem_release with 4 KiB, the first", "xpmem", instructions=13693),
    Must("6.1", "xpmem_release with 4 KiB, attached before", "xpmem", instructions=15000),
    Must("6.1", "xpmem_attach ? ?iB, attached before", "xpmem", instructions=2000),
    Must("6.1", "xpmem_attach ? ?iB, the first", "xpmem", instructions=9500),
    Must("6.1", "xpmem_make", "xpmem", instructions=2000),
    Must("6.1", "xpmem_get", "xpmem", instructions=2100),
    Must("6.1", "1*0 attachments, xpmem_detach", "mapping", instructions=4000),
    Must("6.1", "1*0 attachments, xpmem_release", "mapping", instructions=1000),
    Must("6.1", "1*0 attachments, attached by xpmem_attach, exit of the owner", "mapping", instructions=3037),
    # To make and to drop attachments grows as the trees do that they are in: log 100,000 / log 1,000 is 1.67.
    Must("5.10 6.1 6.12 7.2", "*0000 attachments, *", "mapping", growth=1.67),
    # A peer that is known, even where its memory is not: whatever no other line tells a ratio of.
    Must("5.10 6.1 6.12 7.2", "*", "cma_*", times=1.0),
    Must("uml", "read 4 MiB 4k", "cma_*", times=2.5),
)


def judge(kernel, rows, complete):
    """(how many musts were met, a line for each that was missed); in a complete run none goes unmeasured."""
    met, missed = 0, []
    costs = by_key(rows)
    for must in (must for must in MUSTS if kernel in must.kernels.split()):
        judged = [row for row in rows if row.get("known", True) == must.known and names(must, row)]
        if complete and not judged:
            missed.append(f"{must.case}: {must.mechanism} was not measured")
        for row in judged:
            if must.growth and few_of(row) not in costs or must.case == "*" and has_ratio(kernel, row):
                continue
            complaint = excess(must, row, costs)
            if complaint:
                missed.append(f"{row['case']}: {row['mechanism']} {complaint}")
            else:
                met += 1
    return met, missed


def has_ratio(kernel, row):
    """Whether a line that names this row's case tells how many times fewer it takes."""
    return any(must.times and must.case != "*" and kernel in must.kernels.split() and names(must, row) for must in MUSTS)


def names(must, row):
    return fnmatch.fnmatchcase(row["case"], must.case) and fnmatch.fnmatchcase(row["mechanism"], must.mechanism)


def few_of(row):
    """The key of what this row's growth is told by."""
    return f"{FEW} {row['case'].partition(' ')[2]}", row["mechanism"]


def excess(must, row, costs):
    """In words, by how much this row misses the must; None if it does not."""
    count, unit = cost(row), "instructions" if "instructions" in row else "ns"
    if must.instructions:
        each, part = count / row["segments"], f" a {unit_of(row)}" if row["segments"] > 1 else ""
        if each > must.instructions:
            return f"takes {each:.0f} instructions{part}, must take at most {must.instructions}"
    elif must.memcpy:
        floor = costs[row["case"], "memcpy"]
        if count > must.memcpy * floor:
            return f"takes {count:.0f} {unit}, memcpy {floor:.0f}, must take at most {must.memcpy} times as many"
    elif must.growth:
        each, each_of_few = count / row["segments"], costs[few_of(row)] / FEW
        if each > must.growth * each_of_few:
            return (f"takes {each:.0f} {unit} each, {each / each_of_few:.2f} times what each of {FEW} takes, "
                    f"must be at most {must.growth}")
    else:
        yardstick = costs[row["case"], YARDSTICK]
        if yardstick < must.times * count:
            return (f"takes {count:.0f} {unit}, {yardstick / count:.3f} times fewer than {YARDSTICK}'s "
                    f"{yardstick:.0f}, must be at least {must.times}")
    return None
