// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Transparent huge pages: what this kernel has as such, and whether it gave any. It may,
 * and need not, whatever it is asked for.
 */
#pragma once

#include <cstddef>
#include <sys/types.h>

namespace cma_test {

/// Of each; 0 if this kernel knows none, as with PREEMPT_RT.
size_t size_of_huge_pages();
/// Whether a process has any.
bool was_given_huge_pages(pid_t pid);

} // namespace cma_test
