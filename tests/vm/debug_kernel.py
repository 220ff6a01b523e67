# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""Build the sanitizer kernel: Debian's kernel source, allnoconfig and debug.config.

It gives up nothing of what debug.config asks for in silence: an option that does not take effect
fails the build. Niced, since it takes minutes and nobody waits for it alone.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lib import HERE, die, remove_tree, require

SUITE, BRANCH = "bookworm", "6.1"
PACKAGE = f"linux-source-{BRANCH}"

# What building a module reads of a built tree; the paths are those of Debian's own header packages.
# The image is not among it, nor any object but the programs of scripts/ and tools/.
KEPT = ["Makefile", ".config", "Module.symvers", "include", "scripts", "arch/x86/include", "arch/x86/Makefile",
        "arch/x86/Makefile_32.cpu", "tools/objtool/objtool"]


def settings():
    """The lines of debug.config that set something, without their comments."""
    lines = [re.sub(r"\t+#.*", "", line).strip() for line in (HERE / "debug.config").read_text().splitlines()]
    return [line for line in lines if re.match(r"CONFIG_|# CONFIG_\w+ is not set$", line)]


def variant():
    """What tells this configuration's build from that of another one; comments make no difference."""
    return hashlib.sha256("\n".join(settings()).encode()).hexdigest()[:8]


def unpack(apt, source):
    """Fetch the source package and unpack the tree it holds."""
    apt.download([PACKAGE], source.parent)
    deb = next(source.parent.glob("*.deb"))
    # Nothing of Documentation but the Kconfig that the tree's own includes.
    pipe = f"""dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/src/{PACKAGE}.tar.xz |
        tar -xJ --exclude='*/Documentation/[!K]*' --strip-components=1 -C "$2" """
    subprocess.run(["sh", "-c", pipe, "sh", deb, source], check=True)
    deb.unlink()


def make(source, log, *arguments):
    """Run make with its words in log; on a terminal, show how far it is."""
    command = ["nice", "make", "-C", source, "ARCH=x86_64", f"-j{len(os.sched_getaffinity(0))}", *arguments]
    start, files = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            log.write(line)
            files += 1
            if sys.stderr.isatty():
                print(f"\r\033[Kkernel debug: {files} files, {time.monotonic() - start:.0f} s ",
                      end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if process.returncode:
        log.flush()
        errors = re.findall(r"(?m)^.*(?:\berror\b|Error|\*\*\*).*$", Path(log.name).read_text())
        die("\n  | ".join(["the debug kernel does not build", *errors[:10]]) + f"\n  all of it: {log.name}")


def configure(source, log):
    fragment = source / "debug.config"
    fragment.write_text("\n".join(settings()) + "\n")
    make(source, log, f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig")
    config = (source / ".config").read_text().splitlines()
    # An option that is off may also be absent: then nothing offered it.
    lost = [line for line in settings() if line not in config
            and (line[0] != "#" or any(other.startswith(f"{line.split()[1]}=") for other in config))]
    if lost:
        die("\n  ".join(["debug.config asks for what this source's Kconfig does not grant:", *lost]))


def keep(source, work):
    """Move the image, and what modules are built from, out of the build tree."""
    release = (source / "include/config/kernel.release").read_text().strip()
    headers = work / "headers/usr/src" / f"linux-headers-{release}"
    for name in KEPT:
        (headers / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).rename(headers / name)
    for path in [*headers.rglob("*.o"), *headers.rglob(".*.cmd")]:
        path.unlink()
    (source / "arch/x86/boot/bzImage").rename(work / "vmlinuz")
    shutil.copy(headers / ".config", work / "config")
    shutil.copy(headers / "Module.symvers", work / "Module.symvers")
    (work / "release").write_text(release + "\n")


def build(apt, work):
    """Make work what tests/vm/kernel promises of a kernel's directory."""
    require("make", "gcc", "flex", "bison", "bc", "lz4", "xz")
    source = work / "source"
    source.mkdir()
    unpack(apt, source)
    with open(work.parent / "build.log", "w") as log:
        configure(source, log)
        make(source, log, "bzImage", "modules")
    keep(source, work)
    remove_tree(source)
