# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""Modules that are broken on purpose, to prove that the stress tests would see it.

Each patch in broken/ is one way to break module/. Before its first "---" line it says, after its licence,
what is wrong then, options of the test program if it needs any, the kernel that it takes if the stock ones do
not notice, and which tests have to be red, and how (a test that is named twice, in both ways):

    Options: --read-only
    Kernel: kcsan
    Red by "words of the failed test": Suite.Test Suite.Other
    Red by "BUG: words of the kernel's log": Suite.Test
    Red by hanging: Suite.Test
"""
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
PATCHES = {path.stem: path for path in sorted((HERE / "broken").glob("*.patch"))}
NAMES = list(PATCHES)
HANGING = "hanging"
LOGGED = "BUG: "


class Unfit(Exception):
    """A patch that does not do what it is for."""


class Way:
    """One way to break the module."""

    def __init__(self, name):
        self.name, self.patch = name, PATCHES[name]
        head = self.patch.read_text().partition("\n--- ")[0]
        self.text = re.search(r"Identifier:[^\n]*\n(.*?)\n\n", head, re.DOTALL).group(1)
        self.options = [option for line in re.findall(r"^Options: (.*)", head, re.M) for option in line.split()]
        self.kernel = next(iter(re.findall(r"^Kernel: (.*)", head, re.M)), None)
        self.reasons = {}
        for reason, tests in re.findall(r"^Red by (.*): (.*)", head, re.M):
            for test in tests.split():
                self.reasons.setdefault(test, []).append(reason.strip('"'))

    def guests(self):
        """Test -> reasons, for each guest that it takes: one that hangs, or whose kernel complains, ends there."""
        def ends(reasons):
            return any(reason == HANGING or reason.startswith(LOGGED) for reason in reasons)

        alone = [{test: reasons} for test, reasons in self.reasons.items() if ends(reasons)]
        others = {test: reasons for test, reasons in self.reasons.items() if not ends(reasons)}
        return alone + ([others] if others else [])

    def module(self, kernel):
        """The broken module, built from a copy of the sources."""
        copy = TOP / "build/stress-tests/broken"
        for target, source in ((self.name, "module"), ("include", "include")):
            shutil.rmtree(copy / target, ignore_errors=True)
            shutil.copytree(TOP / source, copy / target)
        patch = subprocess.run(["patch", "-d", copy / self.name, "-p2", "--batch", "--forward", "--fuzz=0",
                                "-i", self.patch], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if patch.returncode:
            raise Unfit(f"{self.patch.relative_to(TOP)} does not fit module/ any more\n{patch.stdout}"
                        "  remedy: break module/ in that way by hand, put the output of git diff below the patch's\n"
                        "  first lines, and take the change back")
        build = subprocess.run([TOP / "tests/vm/module", kernel, "--source", copy / self.name],
                               stdout=subprocess.PIPE, text=True)
        if build.returncode:
            raise Unfit(f"with {self.patch.relative_to(TOP)} the module does not build")
        return Path(build.stdout.strip())


def names_for(kernel):
    """The ways that have this kernel to themselves; if there are none, those that any kernel shows."""
    kernels = {name: Way(name).kernel for name in NAMES}
    wanted = kernel if kernel in kernels.values() else None
    return [name for name in NAMES if kernels[name] == wanted]
