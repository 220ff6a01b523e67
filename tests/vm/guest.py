# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""Make the guest's initramfs: busybox, the real modprobe, the module, and what the caller adds.

The archive is not compressed and needs no driver, so that even a whole root directory costs little
time. The layout is that of Debian since merged /usr. Busybox's commands stand last in PATH
(/usr/lib/busybox): a real program that the caller adds always wins over them.
"""
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from lib import HERE, die

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/tmp:/bin/sh
alice:x:1000:1000:an ordinary user:/tmp:/bin/sh
bob:x:1001:1001:another ordinary user:/tmp:/bin/sh
"""
GROUP = "root:x:0:\nnogroup:x:65534:\nalice:x:1000:\nbob:x:1001:\n"
DIRECTORIES = ["proc", "sys", "dev", "tmp", "run", "root", "out", "etc", "var/tmp", "usr/lib/busybox"]
# Directories that are links into /usr.
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


class Tree:
    """A directory that becomes the guest's root."""

    def __init__(self, top, root=None):
        self.top, self.root = Path(top), root
        for name in DIRECTORIES:
            (self.top / name).mkdir(parents=True)
        for name in MERGED:
            (self.top / "usr" / name).mkdir(exist_ok=True)
            (self.top / name).symlink_to(f"usr/{name}")
        for name in ("out", "tmp", "var/tmp"):
            (self.top / name).chmod(0o1777)
        self.write("etc/passwd", PASSWD)
        self.write("etc/group", GROUP)
        self.write("etc/hostname", "guest\n")
        self.write("etc/hosts", "127.0.0.1 localhost guest\n")

    def inside(self, path):
        """Where a guest path lies in this tree, with the /usr merge but no other link followed."""
        path = os.path.normpath(str(path)).lstrip("/")
        return self.top / ("usr" if path.split("/")[0] in MERGED else "") / path

    def write(self, path, text, mode=0o644):
        target = self.inside(path)
        target.write_text(text)
        target.chmod(mode)

    def copy(self, source, target):
        """Copy a file (following links) or a directory (keeping them)."""
        target = self.inside(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(source).is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            target.unlink(missing_ok=True)
            shutil.copy2(source, target)

    def add(self, pairs):
        """Copy (source, target) pairs and whatever the programs among them need to start."""
        pairs = list(pairs)
        for source, target in pairs:
            self.copy(source, target)
        sources = [source for source, _ in pairs]
        for path, source in (needed_of_root(sources, self.root) if self.root else zip(*[needed(sources)] * 2)):
            if not self.inside(path).exists():
                self.copy(source, path)

    def pack(self, archive, *more):
        """Write this tree and further directories, in this order, as one uncompressed cpio.

        The top directories themselves stay out: their modes would become that of the guest's /.
        """
        with open(archive, "wb") as output:
            for top in (self.top, *more):
                names = subprocess.run(["find", ".", "-xdev", "-mindepth", "1", "-print0"],
                                       cwd=top, stdout=subprocess.PIPE, check=True).stdout
                subprocess.run(["cpio", "--null", "-o", "-H", "newc", "--owner=0:0", "--quiet"],
                               cwd=top, input=names, stdout=output, check=True)


def files_of(paths):
    for path in map(Path, paths):
        yield from ([f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path])


def needed(paths):
    """The shared libraries and interpreters that these files, or files of these directories, need."""
    programs, found = [], set()
    for path in files_of(paths):
        with open(path, "rb") as file:
            head = file.read(256)
        if head[:4] == b"\x7fELF":
            programs.append(path)
        elif head[:2] == b"#!":
            interpreter = Path(head[2:].split(None, 1)[0].decode())
            if interpreter.name not in ("sh", "env") and interpreter.exists():
                found.add(str(interpreter))
                programs.append(interpreter)
    if programs:
        text = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True).stdout
        missing = re.findall(r"(?m)^\s+(\S+) => not found", text)
        if missing:
            die(f"a program for the guest needs libraries that this machine lacks: {' '.join(sorted(set(missing)))}")
        found.update(re.findall(r"(?m)^\s+(?:\S+ => )?(/\S+) \(0x", text))
    return sorted(found)


def inside_root(path, root):
    """Where a path of a root really is, whose links may be absolute."""
    while path.is_symlink():
        target = os.readlink(path)
        path = root / target.lstrip("/") if target.startswith("/") else path.parent / target
    return path


def needed_of_root(paths, root):
    """The same of programs of another architecture, which a root has: where in the guest, and where here."""
    found, queue = {}, [path for path in files_of(paths) if path.open("rb").read(4) == b"\x7fELF"]
    while queue:
        text = subprocess.run(["readelf", "-d", "-l", *map(str, queue)], stdout=subprocess.PIPE, text=True,
                              check=True).stdout
        names = {Path(name).name: name for name in re.findall(r"program interpreter: ([^]]+)\]", text)}
        names |= {name: name for name in re.findall(r"\(NEEDED\).*\[(.+)\]", text) if name not in names}
        queue = []
        for name, wanted in names.items():
            given = [path for path in map(Path, paths) if path.name == name]
            places = [root / wanted.lstrip("/")] if "/" in wanted else sorted(root.glob(f"usr/lib/*-linux-gnu*/{name}"))
            if name in found or given:
                continue
            if not places:
                die(f"a program for the guest needs a library that the root lacks: {name}")
            source = inside_root(places[0], root)
            found[name] = (wanted if "/" in wanted else f"/{places[0].relative_to(root)}", source)
            queue.append(source)
    return sorted(found.values())


def add_modules(tree, release, module, others):
    """Put the modules where modprobe looks for them, with the indices depmod makes."""
    directory = tree.inside(f"lib/modules/{release}")
    (directory / "updates").mkdir(parents=True)
    if module:
        shutil.copy(module, directory / "updates" / "cma.ko")
    if others:
        shutil.copytree(others, directory / "kernel")
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (directory / name).touch()
    subprocess.run(["depmod", "-b", tree.top, release], check=True)


def build(work, archive, *, machine, root, release, module, swap, modules, files, roots, command, leaks):
    """Write the initramfs to archive. work is an empty directory; module, swap and root may be None."""
    for top in roots:
        if not top.is_dir():
            die(f"--root {top}: not a directory")
        split = [name for name in MERGED if (top / name).is_dir() and not (top / name).is_symlink()]
        if split:
            die(f"--root {top}: its {' '.join(split)} would replace a link of the guest\n"
                f"  remedy: use usr/{split[0]} instead")
    tree = Tree(work, root)
    tree.write("etc/ports", " ".join(machine.ports) + "\n")
    busybox, modprobe = ([root / "usr/bin" / name for name in ("busybox", "kmod")] if root else
                         map(shutil.which, ("busybox", "modprobe")))
    tree.copy(busybox, "/usr/bin/busybox")
    # Those of this machine's, which another architecture's cannot tell.
    for applet in subprocess.run(["busybox", "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split():
        (tree.top / "usr/lib/busybox" / applet).symlink_to("/usr/bin/busybox")
    for applet in ("sh", "env"):
        tree.inside(f"/bin/{applet}").symlink_to("/usr/bin/busybox")
    tree.add([(os.path.realpath(modprobe), "/usr/bin/kmod")])
    for name in ("modprobe", "rmmod", "insmod", "lsmod", "modinfo"):
        tree.inside(f"/sbin/{name}").symlink_to("/usr/bin/kmod")
    if module or swap:
        add_modules(tree, release, module, modules if swap and modules.is_dir() else None)
    if swap:
        tree.write("etc/swap", f"{swap}M\n")
    tree.add(files)
    tree.write("etc/command", shlex.join(command) + "\n")
    if leaks:
        tree.write("etc/leaks", "")
    tree.write("init", (HERE / "guest-init").read_text(), 0o755)
    tree.pack(archive, *roots)
