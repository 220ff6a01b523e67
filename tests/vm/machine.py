# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""The architectures that guests have, and what building for them and booting them takes.

Every guest has a console, a port for the command's output and one for the results. Where a machine has
too few of its own, serial ports on PCI are added: what the kernel calls each is told here.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """What Debian, the kernel's build and the compilers call an architecture, and how QEMU has one."""
    debian: str
    kernel: str
    triplet: str
    qemu: str
    console: str
    ports: tuple
    options: tuple = ()
    serial: str = "ports"
    cpu: str = "max"
    counting: str = ""  # what the processor is told besides, for the instruction-count model
    threads: str = "multi"

    def serial_ports(self, console, out, results):
        """QEMU's options for the three ports, given what each is connected to there."""
        backends = (("console", console), ("out", out), ("results", results))
        chardevs = [word for name, where in backends for word in ("-chardev", f"{where},id={name}")]
        if self.serial == "ports":
            return [*chardevs, *(word for name, _ in backends for word in ("-serial", f"chardev:{name}"))]
        devices = [f"{self.serial},chardev={name}" for name, _ in backends[1:]]
        return [*chardevs, "-serial", "chardev:console", *(word for device in devices for word in ("-device", device))]


MACHINES = {machine.debian: machine for machine in (
    # Without erms the kernel copies by rep movsq: emulated, seven times as fast as rep movsb.
    Machine("amd64", "x86_64", "x86_64-linux-gnu", "qemu-system-x86_64", "ttyS0", ("ttyS1", "ttyS2"),
            cpu="max,erms=off,fsrm=off"),
    # Pointer authentication as the architecture has it is slow to emulate, and not what is tested.
    Machine("arm64", "arm64", "aarch64-linux-gnu", "qemu-system-aarch64", "ttyAMA0", ("ttyS0", "ttyS1"),
            options=("-M", "virt,gic-version=3"), serial="pci-serial",
            cpu="max,pauth-impdef=on", counting=",cntfrq=1000000000"),  # programs count in nanoseconds
    # With a thread for each processor, QEMU 7.2 has one go on for a moment by translations that another one flushed.
    Machine("ppc64el", "powerpc", "powerpc64le-linux-gnu", "qemu-system-ppc64", "hvc0", ("hvc1", "hvc2"),
            options=("-M", "pseries,cap-htm=off"), cpu="power9", threads="single"),
)}
