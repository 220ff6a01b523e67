# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""User Mode Linux with the module loaded, for whoever times something in it.

The kernel is built once, in some minutes, into the cache. Its virtual processors are bound to processors
of the machine, one each; its root file system is the machine's, read only.
"""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.append(str(TOP / "tests/vm"))
import logscan
from lib import output_of

MOST_PROCESSORS = 4


def virtual_processors():
    return max(2, min(MOST_PROCESSORS, len(os.sched_getaffinity(0))))


def linux(directory, module, memory):
    """User Mode Linux and its parameters; what follows the -- is its first process's."""
    kernel = output_of("kernel", "uml")
    return [kernel / "vmlinuz", f"mem={memory}M", f"ncpus={virtual_processors()}", "seccomp=on", f"uml_dir={directory}",
            "rootfstype=hostfs", "rootflags=/", "ro", "con=null", "con0=null,fd:1", "panic=-1", "oops=panic",
            f"init={TOP}/bench/uml/init", "--", module, directory]


def bind(process, directory):
    """Bind each virtual processor, which is a thread, to a processor of its own; then the command may begin.

    What runs on a virtual one is a process made by that thread, and inherits this. Left to the scheduler, a
    system call would take twice as long whenever the two lie apart.
    """
    processors = sorted(os.sched_getaffinity(0))
    threads = []
    while len(threads) < virtual_processors():
        if process.poll() is not None:
            return
        time.sleep(0.05)
        threads = sorted(int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir())
    for i, thread in enumerate(threads):
        os.sched_setaffinity(thread, {processors[i % len(processors)]})
    Path(directory, "bound").touch()


def wait(process, limit):
    """Until it ends; on a terminal, how long it has been. False if the limit struck first."""
    start = time.monotonic()
    while process.poll() is None and time.monotonic() - start < limit:
        if sys.stderr.isatty():
            print(f"\r\033[Kuml: {time.monotonic() - start:.0f} s ", end="", file=sys.stderr, flush=True)
        time.sleep(1)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return process.poll() is not None


def boot(command, directory, log, timeout, module=None, memory=2048):
    """Boot, run a shell command in which the directory is /mnt, and end unless it succeeds.

    All that the kernel and the command say is in the log. module: a file, in place of the tree's own.
    """
    status = Path(directory, "status")
    Path(directory, "command").write_text(command + "\n")
    module = (module or output_of("module", "uml")).absolute()
    with open(log, "w") as file:
        process = subprocess.Popen(linux(directory, module, memory), stdin=subprocess.DEVNULL, stdout=file,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            bind(process, directory)
            if not wait(process, timeout):
                sys.exit(f"bench: time limit of {timeout} s; see {log}")
        finally:
            # The processes of the kernel within are processes here, in its group.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    said = log.read_text(errors="replace")
    if faults := logscan.faults(said):
        sys.exit("\n  | ".join(["bench: fault in the kernel log", *faults[:10]]) + f"\n  all of it: {log}")
    if not status.exists() or status.read_text() != "0\n":
        sys.exit(f"{said[-2000:]}\nbench: failed, all of its words are in {log}")
