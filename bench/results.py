# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""The rows that a benchmark writes as JSON, and how they are shown.

A row says what one mechanism took for one case: "instructions" in the model, "nanoseconds" on a machine.
"""
import json
import sys

MECHANISMS = ("process_vm", "cma_pid", "cma_handle", "cma_window", "mapping", "xpmem", "double_copy", "memcpy")
YARDSTICK = "process_vm"


def load(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        make = (f"bench-{path.stem}" if path.stem in ("uml", "mpi")
                else f"bench-model KERNEL={path.stem.removeprefix('model-')}")
        sys.exit(f"bench: {path} is not there\n  remedy: make {make}, then make bench-charts")


def dump(rows):
    """The text of a file: a line for each row."""
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def cost(row):
    return row["instructions"] if "instructions" in row else row["nanoseconds"]


def unit_of(row):
    """What "segments" counts in this row."""
    return row.get("unit", "segment")


def by_key(rows):
    return {(row["case"], row["mechanism"]): cost(row) for row in rows}


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines) + "\n"


def cells(costs, case, columns, segments):
    """A line of the table: what a call takes, or each of its segments."""
    line = ""
    for mechanism in columns:
        value = costs.get((case, mechanism))
        if value is None:
            line += " " * 18
        elif mechanism == YARDSTICK or (case, YARDSTICK) not in costs:
            line += f"{value / segments:>18.0f}"
        else:
            line += f"{value / segments:>10.0f} {costs[case, YARDSTICK] / value:>6.2f}x"
    return line.rstrip()


def print_table(title, rows):
    costs = by_key(rows)
    columns = [name for name in MECHANISMS if any(row["mechanism"] == name for row in rows)]
    parts = {row["case"]: (row.get("segments", 1), unit_of(row)) for row in rows}
    width = max(map(len, parts))
    print(f"{title} per call (and how many times fewer than {YARDSTICK})")
    print(f"{'':{width}}" + "".join(f"{column:>18}" for column in columns))
    for case, (number, unit) in parts.items():
        print(f"{case:{width}}" + cells(costs, case, columns, 1))
        if number > 1:
            print(f"{'  for each ' + unit:{width}}" + cells(costs, case, columns, number))
