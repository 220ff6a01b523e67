# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""Build a kernel from Debian's kernel source: allnoconfig and a configuration of this directory.

It gives up nothing of what the configuration asks for in silence: an option that does not take effect
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

from lib import DEBUG, DEBUG_RT, HERE, KCSAN, KERNELS, UML, die, remove_tree, require

# What building a module reads of a built tree; the paths are those of Debian's own header packages.
# The image is not among it, nor any object but the programs of scripts/ and tools/.
KEPT = ["Makefile", ".config", "Module.symvers", "include", "scripts", "arch/x86/include", "arch/x86/Makefile*"]


class SourceKernel:
    """What is built: NAME.config, over the source of a Debian suite's kernel."""

    def __init__(self, name, branch, arch, image, kept, selects=(), base=None, variables=()):
        self.name, self.branch, self.arch, self.image, self.kept = name, branch, arch, image, KEPT + kept
        self.suite = KERNELS[branch]
        self.selects = selects  # hidden options, which only another option's "select" sets
        self.configs = [base, name] if base else [name]  # a later one is laid over an earlier one
        self.variables = variables  # of make, for the kernel and not for modules
        self.package = f"linux-source-{branch}"

    def settings(self):
        """The lines of the configuration that set something, without their comments."""
        lines = "\n".join((HERE / f"{config}.config").read_text() for config in self.configs).splitlines()
        lines = [re.sub(r"\t+#.*", "", line).strip() for line in lines]
        options = {match.group(1): line for line in lines
                   if (match := re.match(r"(?:# )?(CONFIG_\w+)(?:=.| is not set$)", line))}
        return list(options.values())

    def variant(self):
        """What tells this configuration's build from that of another one; comments make no difference."""
        return hashlib.sha256("\n".join([*self.settings(), *self.selects, *self.variables]).encode()).hexdigest()[:8]

    def build(self, apt, work):
        """Make work what tests/vm/kernel promises of a kernel's directory."""
        require("make", "gcc", "flex", "bison", "bc", "lz4", "xz")
        source = work / "source"
        source.mkdir()
        self.unpack(apt, source)
        with open(work.parent / "build.log", "w") as log:
            self.configure(source, log)
            self.make(source, log, *self.variables, Path(self.image).name, "modules")
        self.keep(source, work)
        remove_tree(source)

    def unpack(self, apt, source):
        """Fetch the source package and unpack the tree it holds."""
        apt.download([self.package], source.parent)
        deb = next(source.parent.glob("*.deb"))
        # Nothing of Documentation but the Kconfig that the tree's own includes.
        pipe = f"""dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/src/{self.package}.tar.xz |
            tar -xJ --exclude='*/Documentation/[!K]*' --strip-components=1 -C "$2" """
        subprocess.run(["sh", "-c", pipe, "sh", deb, source], check=True)
        deb.unlink()

    def make(self, source, log, *arguments):
        """Run make with its words in log; on a terminal, show how far it is."""
        command = ["nice", "make", "-C", source, f"ARCH={self.arch}", f"-j{len(os.sched_getaffinity(0))}", *arguments]
        start, files = time.monotonic(), 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout:
                log.write(line)
                files += 1
                if sys.stderr.isatty():
                    print(f"\r\033[Kkernel {self.name}: {files} files, {time.monotonic() - start:.0f} s ",
                          end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        if process.returncode:
            log.flush()
            errors = re.findall(r"(?m)^.*(?:\berror\b|Error|\*\*\*).*$", Path(log.name).read_text())
            die("\n  | ".join([f"the {self.name} kernel does not build", *errors[:10]]) + f"\n  all of it: {log.name}")

    def configure(self, source, log):
        fragment = source / f"{self.name}.config"
        fragment.write_text("\n".join(self.settings()) + "\n")
        if self.selects:
            with open(source / "Kconfig", "a") as kconfig:
                kconfig.write("\nconfig CMA_SELECTS\n\tdef_bool y\n")
                kconfig.writelines(f"\tselect {option}\n" for option in self.selects)
        self.make(source, log, f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig")
        config = (source / ".config").read_text().splitlines()
        # An option that is off may also be absent: then nothing offered it.
        lost = [line for line in [*self.settings(), *(f"CONFIG_{option}=y" for option in self.selects)]
                if line not in config
                and (line[0] != "#" or any(other.startswith(f"{line.split()[1]}=") for other in config))]
        if lost:
            die("\n  ".join([f"{fragment.name} asks for what this source's Kconfig does not grant:", *lost]))

    def keep(self, source, work):
        """Move the image, and what modules are built from, out of the build tree."""
        release = (source / "include/config/kernel.release").read_text().strip()
        headers = work / "headers/usr/src" / f"linux-headers-{release}"
        for path in [path for pattern in self.kept for path in source.glob(pattern)]:
            target = headers / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        for path in [*headers.rglob("*.o"), *headers.rglob(".*.cmd")]:
            path.unlink()
        (source / self.image).rename(work / "vmlinuz")
        shutil.copy(headers / ".config", work / "config")
        shutil.copy(headers / "Module.symvers", work / "Module.symvers")
        (work / "release").write_text(release + "\n")


SOURCE_KERNELS = {kernel.name: kernel for kernel in (
    SourceKernel(DEBUG, "6.1", "x86_64", "arch/x86/boot/bzImage", ["tools/objtool/objtool"]),
    SourceKernel(DEBUG_RT, "6.12", "x86_64", "arch/x86/boot/bzImage", ["tools/objtool/objtool"], base=DEBUG,
                 selects=("MMU_NOTIFIER", "HMM_MIRROR")),
    SourceKernel(KCSAN, "6.1", "x86_64", "arch/x86/boot/bzImage", ["tools/objtool/objtool"], base=DEBUG,
                 variables=["KCSAN_SANITIZE=n"]),
    # The image is a program of this machine. As with PREEMPT_RT, nothing in it that could be switched on uses hmm.
    SourceKernel(UML, "7.2", "um", "linux",
                 ["arch/um/Makefile*", "arch/um/include", "arch/x86/um/asm", "arch/x86/um/shared"],
                 selects=("MMU_NOTIFIER", "HMM_MIRROR")),
)}
