// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * Memory that the kernel does not get: allocations of the calling thread, by slab
 * and by page, are made to fail. Needs root and a kernel with CONFIG_FAULT_INJECTION.
 *
 * The checkers of the debug kernel allocate too, and their allocations are counted
 * and made to fail like any other: a call that was hit may therefore well succeed.
 */
#pragma once

#include "../device/support/device.hpp"

namespace cma_test {

class Fault {
public:
  /// For the thread that makes it. Throws if this kernel injects no faults.
  Fault();

  /// From now on the n-th allocation fails, and only that one; n counts from 1.
  void arm(unsigned n) const;
  /// From now on every allocation fails.
  void exhaust() const;
  /// Back to normal. Whether an allocation that arm() named was reached, and failed.
  bool disarm() const;

private:
  Fd fail_nth_;
  Fd make_it_fail_;
};

} // namespace cma_test
