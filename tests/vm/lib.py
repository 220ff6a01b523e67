# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""What the scripts of tests/vm share: the table of kernels, the cache and its locks, messages.

Everything fetched or built for good lives in the cache, in a directory whose name holds the package
version. Such a directory appears by one rename when it is whole, so whoever sees it may use it
without a lock, and a run that was cut short leaves nothing that looks finished.
"""
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import MACHINES

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
MODULE_BUILDS = CHECKOUT / "build" / "module"

# The matrix: short name -> the Debian suite whose kernel it is.
KERNELS = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "7.2": "forky"}
SUITES = {suite: name for name, suite in KERNELS.items()}
# Other flavours of the same suites' kernels: short name -> suite, and what Debian calls the flavour.
FLAVOURS = {f"{name}-{flavour}": (KERNELS[name], f"{flavour}-amd64")
            for name in ("6.1", "6.12") for flavour in ("rt", "cloud")}
# The same suites' kernels of other architectures: short name -> suite, flavour, and the architecture.
FOREIGN = {"6.1-arm64": ("bookworm", "arm64", "arm64"), "6.12-arm64": ("trixie", "arm64", "arm64"),
           "6.12-arm64-16k": ("trixie", "arm64-16k", "arm64"), "7.2-arm64": ("forky", "arm64", "arm64"),
           "6.1-ppc64el": ("bookworm", "powerpc64le", "ppc64el")}
# The suite whose user space their guests have.
USER_SUITE = "bookworm"
# The newest kernel that any of these suites carries, each with the suite whose root builds modules for it.
NEXT = "next"
NEXT_SUITES = {"trixie-backports": "trixie", "forky": "forky", "sid": "forky", "experimental": "forky"}
# Kernels that are built here (source_kernel.py) and are no part of the matrix: one with sanitizers, the same
# with PREEMPT_RT, one that looks for data races, and one that runs as an ordinary process, for native speed.
DEBUG, DEBUG_RT, KCSAN, UML = "debug", "debug-rt", "kcsan", "uml"
# Those whose checkers take their share of a guest's memory and time.
CHECKED = (DEBUG, DEBUG_RT, KCSAN)
NAMES = [*KERNELS, *FLAVOURS, *FOREIGN, NEXT, DEBUG, DEBUG_RT, KCSAN, UML]
# Besides, a path with a slash in it is the name of the kernel that was built in that tree, wherever it came from.
NAMES_HELP = " ".join([*NAMES, "or the path of a tree in which an x86-64 kernel was built, as ./linux"])

# Which Debian package brings a command that the scripts call; packages.txt says why each is needed.
PACKAGE_OF = {
    "qemu-system-x86_64": "qemu-system-x86", "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-ppc64": "qemu-system-ppc", "readelf": "binutils", "busybox": "busybox-static", "modprobe": "kmod",
    "depmod": "kmod", "cpio": "cpio", "mmdebstrap": "mmdebstrap", "gcc": "gcc", "make": "make",
    "sparse": "sparse", "ldd": "libc-bin", "setpriv": "util-linux", "unshare": "util-linux",
    "dpkg-deb": "dpkg", "apt-get": "apt", "flex": "flex", "bison": "bison", "bc": "bc", "lz4": "lz4",
    "xz": "xz-utils",
}


def say(message):
    print(message, file=sys.stderr, flush=True)


def die(message, status=125):
    """End with a message. 125 is the scripts' own failure, as opposed to a command's status."""
    say(f"{Path(sys.argv[0]).name}: {message}")
    sys.exit(status)


def require(*commands):
    """Refuse to go on when a command is missing, naming every package to install."""
    sbin = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = sorted({PACKAGE_OF[c] for c in commands if not shutil.which(c, path=sbin)})
    if missing:
        die(f"not installed: {' '.join(missing)}\n"
            f"  remedy: apt-get install {' '.join(missing)}")
    os.environ["PATH"] = sbin


def kernel_name(text):
    """argparse type of a kernel's short name, or of a tree's path."""
    if is_tree(text) and Path(text).is_dir():
        return str(Path(text).resolve())
    if text not in NAMES:
        raise ValueError
    return text


kernel_name.__name__ = f"kernel (one of {', '.join(NAMES)}, or a tree's path)"


def is_tree(name):
    """Whether a kernel's name is the path of a tree."""
    return "/" in name


def label_of(name):
    """What a kernel's files are called."""
    return f"tree-{Path(name).name}" if is_tree(name) else name


def split_command(arguments):
    """(options, command) around the first "--"; argparse cannot part them reliably."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1:]


def host_suite():
    """The Debian suite this machine runs, or '' when it is another system."""
    fields = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release") if "=" in line)
    return fields.get("VERSION_CODENAME", "").strip('"')


def suite_of(name, kernel):
    """The suite whose compiler builds modules for a kernel, kept at that path; its own, for one built here."""
    if name in FLAVOURS:
        return FLAVOURS[name][0]
    if name in FOREIGN:
        return FOREIGN[name][0]
    if name == NEXT:
        return (kernel / "suite").read_text().strip()
    return KERNELS.get(name, host_suite())


def machine_of(name):
    """What a kernel runs on."""
    return MACHINES[FOREIGN[name][2] if name in FOREIGN else "amd64"]


def cache(*parts):
    """A directory of the cache, made if needed."""
    base = os.environ.get("CMA_CACHE")
    if not base:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cma"
    path = Path(base).absolute().joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock(path):
    """Hold an exclusive lock on a file. It ends with the process, so a killed run leaves none."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run ({path})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cached(parent, key, make):
    """Return parent/key, made by make(temporary directory) if it is not there.

    The caller holds the lock of parent: it is what makes a leftover temporary directory garbage.
    Of the superseded versions the last one stays: another run may be using it.
    """
    final = parent / key
    if final.is_dir():
        return final
    for rest in parent.glob("tmp.*"):
        remove_tree(rest)
    work = Path(tempfile.mkdtemp(prefix="tmp.", dir=parent))
    try:
        work.chmod(0o755)
        make(work)
        work.rename(final)
        versions = [path for path in parent.iterdir() if path.is_dir()]
        for old in sorted(versions, key=lambda path: path.stat().st_mtime)[:-2]:
            remove_tree(old)
    finally:
        if work.exists():
            remove_tree(work)
    return final


def remove_tree(path):
    # rm rather than shutil.rmtree: a root's tree is large, and holds names no locale decodes.
    subprocess.run(["rm", "-rf", "--one-file-system", str(path)], check=False)


def output_of(script, *arguments):
    """The path that another script of this directory prints; its failure is ours."""
    result = subprocess.run([HERE / script, *arguments], stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(125)
    return Path(result.stdout.strip())


@contextlib.contextmanager
def timed(what):
    """Say that something long begins, and how long it took."""
    say(f"{what} ...")
    start = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - start:.0f} s")
