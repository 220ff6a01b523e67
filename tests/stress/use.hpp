// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Ways to use an owner's memory again and again, for tests of what that does to the
 * owner.
 */
#pragma once

#include "../device/support/device.hpp"

#include <cstdint>
#include <functional>
#include <sys/types.h>

namespace cma_test {

/// What the cache translates as one.
constexpr size_t chunk = 2UL << 20;

/// Memory with one page in each of so many chunks.
uintptr_t make_sparse(size_t chunks);

int32_t handle_of(const Device &device, pid_t pid);
int64_t read_by_handle(const Device &device, int32_t handle, uintptr_t local,
                       uintptr_t remote, size_t bytes);

/// Uses so many bytes of the owner's memory once.
using Use = std::function<void(uintptr_t at, size_t bytes)>;

Use copies_by_handle(pid_t owner);
Use copies_by_the_system_call(pid_t owner);
/// Of the memory that the first use is of.
Use loads_through_a_mapping(pid_t owner);
/// Likewise; hides each page and shows it again before.
Use loads_after_hiding(pid_t owner);

} // namespace cma_test
