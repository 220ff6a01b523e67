// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Copies by pid as a caller of libcma has them, who cannot tell whether the system call
 * or the module makes them.
 */
#pragma once

#include "device.hpp"

#include <cma.h>
#include <memory>

namespace cma_test {

struct ContextCloser {
  void operator()(cma_context *context) const { cma_close(context); }
};
using Context = std::unique_ptr<cma_context, ContextCloser>;

/// Expects that it can be had.
Context open_context(unsigned flags);

/// Has the module know the peer, by a copy that is long enough for it, from memory of
/// the peer's; false if there is none.
bool make_known(const Context &context, pid_t pid, uintptr_t memory);

/// From what cma_copy() and its like return.
inline Outcome outcome_of(ssize_t moved)
{
  return moved < 0 ? fails(static_cast<int>(-moved)) : gives(moved);
}

} // namespace cma_test
