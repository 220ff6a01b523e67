// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Memory that is not there for as long as a test likes: whoever touches it waits
 * (userfaultfd), as for a page on a slow disk.
 */
#pragma once

#include "device.hpp"

#include <cstddef>
#include <vector>

namespace cma_test {

class Stall {
public:
  /// Nobody has touched the range yet.
  Stall(uintptr_t base, size_t length);
  bool works() const { return static_cast<bool>(fd_); }
  /// Returns when somebody waits there.
  void wait() const;
  /// Gives the whole range its content, and lets them go on.
  void resume(const std::vector<uint8_t> &content) const;

private:
  Fd fd_;
  uintptr_t base_;
  size_t length_;
};

} // namespace cma_test
