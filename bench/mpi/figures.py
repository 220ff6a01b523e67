# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""What docs/mpi.md and its charts show of docs/bench/mpi.json: ratios within one run of one instrument.

Of each number of processes in one cell: how many times as fast as a double copy, the yardstick of both
instruments. Figures of the two never meet in a table or a chart.
"""
from results import table

INSTRUMENTS = {"native": "native", "uml": "User Mode Linux"}
TRANSPORTS = {"process_vm": "process_vm_readv (smsc/cma)", "libcma": "smsc/libcma", "xpmem": "smsc/xpmem on libxpmem"}
WAYS = {"mpi/process_vm": "MPI as shipped (smsc/cma)", "mpi/libcma": "MPI on smsc/libcma", "process_vm": "process_vm_readv + add",
        "reduce_single": "cma_reduce, a peer at a time", "reduce_many": "cma_reduce, all peers at once",
        "mapping": "cma_map + add"}
YARDSTICK, WAYS_YARDSTICK = "double_copy", "mpi/double_copy"
RANKS = (2, 4, 8)
KIB, MIB = 1 << 10, 1 << 20

HPCC = ("ring, natural order", "ring, random order", "ping-pong, best pair")
IMB = ("PingPong", "PingPing", "Sendrecv", "Exchange", "Gather", "Scatter", "Alltoall")
KERNELS = ("halo exchange", "transposes")
SIZES = ((64 * KIB, "64 KiB"), (MIB, "1 MiB"))
REDUCED = ((KIB, "1 KiB"), (16 * KIB, "16 KiB"), (256 * KIB, "256 KiB"), (MIB, "1 MiB"), (16 * MIB, "16 MiB"))
DRAWN_RANKS = 4


class Figures:
    """The times of one instrument."""

    def __init__(self, rows, instrument):
        self.times = {(row["pattern"], row["mechanism"], row["ranks"], row["bytes"]): row["nanoseconds"]
                      for row in rows if row["instrument"] == instrument}

    def ratio(self, pattern, mechanism, ranks, size, yardstick):
        """How many times as fast as the yardstick; None if that was not measured. Without a size, of the only one."""
        sizes = [size] if size else [key[3] for key in self.times if key[:3] == (pattern, mechanism, ranks)]
        times = [self.times.get((pattern, name, ranks, sizes[0])) if sizes else None for name in (yardstick, mechanism)]
        return times[0] / times[1] if all(times) else None

    def has(self, mechanism):
        return any(key[1] == mechanism for key in self.times)

    def cell(self, pattern, mechanism, size, yardstick):
        ratios = [self.ratio(pattern, mechanism, ranks, size, yardstick) for ranks in RANKS]
        return " / ".join(f"{ratio:.2f}" if ratio else "-" for ratio in ratios)

    def ratios(self, head, names, yardstick, lines):
        """lines: (title, pattern, bytes)"""
        columns = [name for name in names if self.has(name)]
        return table([head, *(names[name] for name in columns)],
                     [[title, *(self.cell(pattern, name, size, yardstick) for name in columns)]
                      for title, pattern, size in lines])


def pattern_lines():
    yield from ((f"HPCC: {pattern}", pattern, None) for pattern in HPCC)
    yield from ((f"IMB: {pattern}, {words}", pattern, size) for pattern in IMB for size, words in SIZES)
    yield from ((f"kernel: {pattern}", pattern, None) for pattern in KERNELS)


def reduce_lines():
    return ((f"{pattern}, {words}", pattern, size) for pattern in ("reduce", "allreduce") for size, words in REDUCED)


def tables(rows):
    """Two of each instrument."""
    text = ""
    for instrument, name in INSTRUMENTS.items():
        figures = Figures(rows, instrument)
        text += figures.ratios(f"{name}: times as fast as a double copy, 2 / 4 / 8 processes", TRANSPORTS, YARDSTICK,
                              pattern_lines())
        text += figures.ratios(f"{name}: times as fast as MPI with double copies, 2 / 4 / 8 processes", WAYS,
                              WAYS_YARDSTICK, reduce_lines())
    return text


def drawn_patterns(rows):
    """[(title, {mechanism: times as fast as a double copy})] of User Mode Linux."""
    figures = Figures(rows, "uml")
    chosen = [*((pattern, pattern, None) for pattern in HPCC), *((f"{pattern} 1 MiB", pattern, MIB) for pattern in IMB),
              *((pattern, pattern, None) for pattern in KERNELS)]
    return [(title, {name: figures.ratio(pattern, name, DRAWN_RANKS, size, YARDSTICK) or 0 for name in TRANSPORTS})
            for title, pattern, size in chosen]


def drawn_reductions(rows):
    """{way: [(bytes, times as fast as MPI with double copies)]} of an allreduce in User Mode Linux."""
    figures = Figures(rows, "uml")
    sizes = sorted({size for pattern, _, ranks, size in figures.times if (pattern, ranks) == ("allreduce", DRAWN_RANKS)})
    return {name: [(size, figures.ratio("allreduce", name, DRAWN_RANKS, size, WAYS_YARDSTICK)) for size in sizes]
            for name in WAYS if figures.has(name)}
