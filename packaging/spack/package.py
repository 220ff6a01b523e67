# SPDX-License-Identifier: MIT OR BSD-2-Clause
"""Recipe of cma's user space for Spack 1: package.py in a repository's packages/cma.

The source is the tarball that make dist writes, in the directory where spack is called, or in a mirror.
The module is the machine's administrator's to install: make install, or the packages of its distribution.
"""
import os

from spack.package import depends_on, variant, version
from spack_repo.builtin.build_systems.cmake import CMakePackage


class Cma(CMakePackage):
    """Moves data between the processes of one machine with a single copy: /dev/cma, or process_vm_readv."""

    manual_download = True
    url = f"file://{os.getcwd()}/cma-0.1.0.tar.gz"

    version("0.1.0")

    variant("tools", default=True, description="the tool cma, what cma run preloads, and libxpmem")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("cli11", type="build", when="+tools")
    depends_on("fmt", type="build", when="+tools")
    depends_on("nlohmann-json", type="build", when="+tools")

    def cmake_args(self):
        return [self.define("CMA_TESTS", False), self.define_from_variant("CMA_TOOLS", "tools")]
